"""The exchange as its faces see it: typed questions in, dated values out, one lock around everything.

Every public method first advances the market to the clock's now, so an idle exchange costs nothing. Nothing here
knows HTTP, JSON or JWT; nothing here may answer from anything but the core's own book.
"""

import threading
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from perpsctl.simulator.clock import Clock
from perpsctl.simulator.faults import Faults
from perpsctl.simulator.options import Options
from perpsctl.simulator.orders import (
    CancelResult,
    CreateAnswer,
    EditAnswer,
    EditPreview,
    EditRequest,
    FillFilter,
    FillView,
    OrderFilter,
    OrderRequest,
    OrderView,
    Page,
    Preview,
)
from perpsctl.simulator.views import (
    AccountView,
    BalanceSummary,
    BookSnapshot,
    Candle,
    FeeSummary,
    Granularity,
    JudgeView,
    KeyPermissions,
    LedgerRow,
    MarginWindowView,
    PortfolioBreakdown,
    PortfolioView,
    PositionView,
    ProductView,
    SweepView,
    TradesView,
)


class NotFound(LookupError):
    """There is no such order, product, position, account or portfolio, or a fault hides it."""


class InvalidArgument(ValueError):
    """The question itself is malformed: HTTP 400 INVALID_ARGUMENT on the wire."""


class Exchange:
    """One deterministic exchange with one operator account. Safe to call from several threads."""

    control: "Control"
    faults: Faults
    options: Options
    user_id: str
    portfolio_uuid: str

    def __init__(self, clock: Clock, options: Options | None = None, faults: Faults | None = None) -> None: ...

    # time
    def now(self) -> datetime: ...  # host UTC; what the venue calls now, the offset of fault A1 included
    def advance(self) -> None: ...  # called by every method; a ticker thread may call it too
    def reset(self) -> None: ...  # a new account, the same seed; path and calendar start again at now

    # market
    def products(self, *, product_type: str | None = None, product_ids: tuple[str, ...] = (), all_products: bool = False) -> tuple[ProductView, ...]: ...
    def product(self, product_id: str) -> ProductView: ...  # NotFound
    def book(self, product_id: str, depth: int | None = None) -> BookSnapshot: ...
    def candles(self, product_id: str, *, start: datetime, end: datetime, granularity: Granularity, limit: int = 350) -> tuple[Candle, ...]: ...
    def trades(self, product_id: str, limit: int) -> TradesView: ...

    # orders
    def create(self, request: OrderRequest) -> CreateAnswer: ...
    def create_later(self, request: OrderRequest, seconds: int) -> None: ...  # fault N14: processed after the client gave up
    def preview(self, request: OrderRequest) -> Preview: ...
    def edit(self, request: EditRequest) -> EditAnswer: ...
    def edit_preview(self, request: EditRequest) -> EditPreview: ...
    def cancel(self, order_ids: Iterable[str]) -> tuple[CancelResult, ...]: ...
    def close_position(self, *, client_order_id: str, product_id: str, size: Decimal | None = None) -> CreateAnswer: ...
    def order(self, order_id: str) -> OrderView: ...  # NotFound
    def orders(self, filters: OrderFilter) -> Page[OrderView]: ...  # InvalidArgument
    def fills(self, filters: FillFilter) -> Page[FillView]: ...  # InvalidArgument

    # futures account
    def positions(self) -> tuple[PositionView, ...]: ...
    def position(self, product_id: str) -> PositionView: ...  # NotFound when flat
    def balance_summary(self) -> BalanceSummary: ...
    def margin_window(self, margin_profile_type: str | None = None) -> MarginWindowView: ...
    def margin_setting(self) -> str: ...  # INTRADAY_MARGIN_SETTING_STANDARD or _INTRADAY
    def set_margin_setting(self, setting: str) -> None: ...  # InvalidArgument
    def sweeps(self) -> tuple[SweepView, ...]: ...
    def schedule_sweep(self, usd_amount: Decimal | None) -> bool: ...
    def cancel_sweep(self) -> bool: ...

    # wallets
    def accounts(self) -> tuple[AccountView, ...]: ...
    def account(self, uuid: str) -> AccountView: ...  # NotFound
    def portfolios(self) -> tuple[PortfolioView, ...]: ...
    def portfolio(self, uuid: str) -> PortfolioBreakdown: ...  # NotFound
    def create_portfolio(self, name: str) -> PortfolioView: ...
    def rename_portfolio(self, uuid: str, name: str) -> PortfolioView: ...
    def delete_portfolio(self, uuid: str) -> None: ...
    def move_funds(self, *, source: str, target: str, amount: Decimal, currency: str) -> None: ...  # InvalidArgument, NotFound
    def fee_summary(self) -> FeeSummary: ...
    def key_permissions(self, *, can_trade: bool, can_transfer: bool = False, can_view: bool = True) -> KeyPermissions: ...

    # tests
    def judge_view(self) -> JudgeView: ...
    def ledger(self) -> tuple[LedgerRow, ...]: ...


class Control:
    """What the control face may do to an exchange: set state, never limits. Reached as `exchange.control`."""

    def set_position(self, product_id: str, contracts: Decimal, average_entry: Decimal | None = None) -> None: ...
    def set_price(self, product_id: str, price: Decimal, *, hold: bool = False) -> None: ...  # hold: stands still until released
    def release_price(self, product_id: str) -> None: ...
    def set_index(self, product_id: str, price: Decimal | None) -> None: ...
    def set_book(self, product_id: str, bids: tuple[tuple[Decimal, Decimal], ...], asks: tuple[tuple[Decimal, Decimal], ...]) -> None: ...
    def clear_book(self, product_id: str) -> None: ...
    def set_balance(self, *, cbi_usd: Decimal | None = None, cfm_usd: Decimal | None = None) -> None: ...
    def set_status(self, product_id: str, **flags: bool) -> None: ...  # names of products.Status
    def set_maintenance(self, product_id: str, start: datetime, end: datetime) -> None: ...
    def set_increments(self, product_id: str, *, price_increment: Decimal | None = None, base_increment: Decimal | None = None, base_min_size: Decimal | None = None, contract_size: Decimal | None = None) -> None: ...
    def set_funding(self, product_id: str, rate: Decimal | None) -> None: ...  # None: by premium again
    def set_fees(self, *, maker: Decimal, taker: Decimal) -> None: ...
    def set_dedupe(self, mode: str) -> None: ...
    def set_cash_times(self, times: tuple[str, ...]) -> None: ...  # "HH:MM" UTC
    def cash_times(self) -> tuple[str, ...]: ...
    def next_cash_event(self) -> datetime: ...
    def inject_order(self, request: OrderRequest) -> CreateAnswer: ...  # an order from outside, with its own source
    def external_fill(self, order_id: str, contracts: Decimal, price: Decimal | None = None) -> None: ...
    def expire_session(self, product_id: str, closed: bool) -> None: ...
    def liquidate(self, product_id: str) -> None: ...
