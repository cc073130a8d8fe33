"""Answers of the exchange about markets and the account: plain dated values, no behaviour, no wire spelling.

Money is USD, sizes of futures are contracts, prices are USD per coin. Faces turn these into bodies.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class Granularity(StrEnum):
    """Candle lengths of reference 4.6."""

    ONE_MINUTE = "ONE_MINUTE"
    FIVE_MINUTE = "FIVE_MINUTE"
    FIFTEEN_MINUTE = "FIFTEEN_MINUTE"
    THIRTY_MINUTE = "THIRTY_MINUTE"
    ONE_HOUR = "ONE_HOUR"
    TWO_HOUR = "TWO_HOUR"
    FOUR_HOUR = "FOUR_HOUR"
    SIX_HOUR = "SIX_HOUR"
    ONE_DAY = "ONE_DAY"

    @property
    def minutes(self) -> int:
        """Length in minutes."""
        return GRANULARITY_MINUTES[self]


GRANULARITY_MINUTES = {
    Granularity.ONE_MINUTE: 1,
    Granularity.FIVE_MINUTE: 5,
    Granularity.FIFTEEN_MINUTE: 15,
    Granularity.THIRTY_MINUTE: 30,
    Granularity.ONE_HOUR: 60,
    Granularity.TWO_HOUR: 120,
    Granularity.FOUR_HOUR: 240,
    Granularity.SIX_HOUR: 360,
    Granularity.ONE_DAY: 1440,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionView:
    """`fcm_trading_session_details`; futures only."""

    is_open: bool
    open_time: datetime
    close_time: datetime
    state: str  # FCM_TRADING_SESSION_STATE_OPEN or _CLOSED (the closed word is ours: unknown at the venue)
    after_hours_order_entry_disabled: bool
    closed_reason: str
    maintenance_start: datetime | None
    maintenance_end: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginRates:
    """Share of notional, per side."""

    long: Decimal
    short: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class FutureView:
    """`future_product_details`. Funding fields are None on a dated future."""

    contract_code: str
    contract_expiry: datetime
    contract_size: Decimal
    contract_root_unit: str
    group_description: str
    group_short_description: str
    contract_expiry_timezone: str
    contract_display_name: str
    contract_expiry_name: str
    display_name: str
    twenty_four_by_seven: bool
    time_to_expiry_ms: int
    open_interest: Decimal
    funding_interval_s: int | None
    funding_rate: Decimal | None  # of the last full hour; positive: longs pay
    funding_time: datetime | None  # the hour it applies to
    settlement_price: Decimal
    index_price: Decimal | None  # None only by control: a venue that lost its index
    intraday: MarginRates
    overnight: MarginRates


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductView:
    """A product as the venue would list it, at one instant."""

    product_id: str
    product_type: str  # FUTURE or SPOT
    product_venue: str  # FCM or CBE
    status: str  # "online" for spot, "" for futures
    display_name: str
    base_name: str
    base_currency_id: str
    quote_currency_id: str
    quote_name: str
    base_increment: Decimal
    quote_increment: Decimal
    price_increment: Decimal
    base_min_size: Decimal
    base_max_size: Decimal
    quote_min_size: Decimal
    quote_max_size: Decimal
    price: Decimal  # last trade
    mid_market_price: Decimal | None
    price_percentage_change_24h: Decimal
    volume_24h: Decimal
    volume_percentage_change_24h: Decimal
    approximate_quote_24h_volume: Decimal
    is_disabled: bool
    cancel_only: bool
    limit_only: bool
    post_only: bool
    trading_disabled: bool
    auction_mode: bool
    view_only: bool
    hidden: bool  # shown only with get_all_products
    alias_to: tuple[str, ...]
    new_at: datetime | None
    session: SessionView | None
    future: FutureView | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One price of a book: all resting size at it."""

    price: Decimal
    size: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class BookSnapshot:
    """Bids descending, asks ascending, the operator's own orders included."""

    product_id: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    time: datetime
    last: Decimal
    mid_market: Decimal | None
    spread_bps: Decimal | None
    spread_absolute: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candle:
    """One bucket, stamped at its start; volume in contracts (coin for spot)."""

    start: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketTrade:
    """A public trade. `side` is the maker's, as reference 4.7 advises to read it."""

    trade_id: str
    product_id: str
    price: Decimal
    size: Decimal
    time: datetime
    side: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TradesView:
    """Recent trades, newest first, with the touch."""

    trades: tuple[MarketTrade, ...]
    best_bid: Decimal | None
    best_ask: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionView:
    """A futures position that is not zero."""

    product_id: str
    expiration_time: datetime
    side: str  # LONG or SHORT
    number_of_contracts: Decimal
    current_price: Decimal
    avg_entry_price: Decimal
    unrealized_pnl: Decimal
    daily_realized_pnl: Decimal
    contract_size: Decimal
    notional: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowMeasure:
    """Margin measured with one window's rates."""

    margin_window_type: str  # FCM_MARGIN_WINDOW_TYPE_INTRADAY or _OVERNIGHT
    margin_level: str  # MARGIN_LEVEL_TYPE_...
    initial_margin: Decimal
    maintenance_margin: Decimal
    liquidation_buffer: Decimal
    liquidation_buffer_percentage: Decimal
    total_hold: Decimal
    futures_buying_power: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceSummary:
    """`/cfm/balance_summary`; the definitions stand in `margin.py`."""

    futures_buying_power: Decimal
    total_usd_balance: Decimal
    cbi_usd_balance: Decimal
    cfm_usd_balance: Decimal
    total_open_orders_hold_amount: Decimal
    unrealized_pnl: Decimal
    daily_realized_pnl: Decimal
    initial_margin: Decimal
    available_margin: Decimal
    liquidation_threshold: Decimal
    liquidation_buffer_amount: Decimal
    liquidation_buffer_percentage: Decimal
    funding_pnl: Decimal  # accrued or paid since the session day began
    total_pending_transfers_amount: Decimal
    intraday: WindowMeasure
    overnight: WindowMeasure


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginWindowView:
    """`/cfm/intraday/current_margin_window`; type without the FCM_ prefix."""

    margin_window_type: str
    end_time: datetime
    is_intraday_margin_killswitch_enabled: bool
    is_intraday_margin_enrollment_killswitch_enabled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepView:
    """A pending sweep from futures back to spot."""

    sweep_id: str
    requested_amount: Decimal
    should_sweep_all: bool
    status: str  # PENDING or PROCESSING
    scheduled_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """A wallet of the portfolio."""

    uuid: str
    name: str
    currency: str
    available: Decimal
    hold: Decimal
    type: str
    platform: str
    default: bool
    active: bool
    ready: bool
    created_at: datetime
    updated_at: datetime
    portfolio_uuid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioView:
    """A portfolio of the user."""

    uuid: str
    name: str
    type: str  # DEFAULT, CONSUMER
    deleted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioBreakdown:
    """What a portfolio is worth."""

    portfolio: PortfolioView
    cash: Decimal
    futures_cash: Decimal
    futures_unrealized_pnl: Decimal
    positions: tuple[PositionView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeSummary:
    """`/transaction_summary` of the futures tier."""

    pricing_tier: str
    maker_fee_rate: Decimal
    taker_fee_rate: Decimal
    total_volume: Decimal
    total_fees: Decimal
    total_balance: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPermissions:
    """What a key may do, before faults A3, A6, A7 are applied by the face."""

    can_view: bool
    can_trade: bool
    can_transfer: bool
    portfolio_uuid: str
    portfolio_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """One movement of USD. The sum of all `amount`s of a wallet is its balance, exactly."""

    sequence: int
    at: datetime
    kind: str  # opening, trade_pnl, fee, funding, transfer, set_balance
    wallet: str  # cbi, cfm or a portfolio uuid
    amount: Decimal
    product_id: str
    reference: str  # order, fill or transfer id


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRequest:
    """A write request as the core received it, in order of arrival."""

    sequence: int
    received_at: datetime
    operation: str  # create_order, edit_order, cancel_orders, close_position
    client_order_id: str
    product_id: str
    answer: str  # placed, repeated, refused:REASON, cancelled, ...
    order_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedOrder:
    """An order as it truly stands, whatever faults show to the client."""

    sequence: int  # of the request that created it; 0 for orders from outside
    accepted_at: datetime
    order_id: str
    client_order_id: str
    product_id: str
    side: str
    kind: str
    status: str
    size: Decimal
    filled_size: Decimal
    limit_price: Decimal | None
    source: str
    is_liquidation: bool
    worst_long_after: Decimal  # contracts of this product if every live buy filled, at acceptance
    worst_short_after: Decimal  # same for every live sell: below zero is short, above it what stays long at least


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeView:
    """The whole truth for tests (invariants I1, I6, R1, R5): every order, request, fill, position and cash row."""

    at: datetime
    account: int  # how many starts and resets there have been
    portfolio_uuid: str
    orders: tuple[JudgedOrder, ...]
    requests: tuple[JudgedRequest, ...]
    positions: dict[str, Decimal]  # signed contracts
    fills: int
    cbi_usd: Decimal
    cfm_usd: Decimal
    ledger: tuple[LedgerRow, ...]
    usdc: Decimal = Decimal(0)  # cash of the Global account's cross margin
    usdc_ledger: tuple[LedgerRow, ...] = ()
