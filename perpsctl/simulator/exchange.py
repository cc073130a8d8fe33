"""The exchange as its faces see it: typed questions in, dated values out, one lock around everything.

Every public method first advances the market to the clock's now, so an idle exchange costs nothing. Nothing here
knows HTTP, JSON or JWT; nothing here may answer from anything but the core's own book.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import takewhile

from perpsctl.simulator.clock import Clock
from perpsctl.simulator.control import Control
from perpsctl.simulator.core import Core
from perpsctl.simulator.faults import Faults
from perpsctl.simulator.gateway.core import GatewayCore
from perpsctl.simulator.ledger import CBI
from perpsctl.simulator.listings import ANY_SOURCE, InvalidArgument
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
from perpsctl.simulator.seeded import identifier
from perpsctl.simulator.state import INTRADAY, STANDARD
from perpsctl.simulator.views import (
    AccountView,
    BalanceSummary,
    BookSnapshot,
    Candle,
    FeeSummary,
    Granularity,
    JudgedRequest,
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

__all__ = ["ANY_SOURCE", "Exchange", "InvalidArgument", "NotFound"]

INTRADAY_PROFILE = "MARGIN_PROFILE_TYPE_RETAIL_INTRADAY_MARGIN_1"
PORTFOLIOS_MAX = 50


class NotFound(LookupError):
    """There is no such order, product, position, account or portfolio, or a fault hides it."""


class Exchange:
    """One deterministic exchange with one operator account. Safe to call from several threads.

    The same seed and the same calls at the same times give the same answers, byte for byte.
    """

    def __init__(self, clock: Clock, options: Options | None = None, faults: Faults | None = None) -> None:
        """Opens the first account. Raises recordings.BadRecording when the replay file cannot be used."""
        self._clock = clock
        self._lock = threading.RLock()
        self.options = Options() if options is None else options
        self.faults = Faults(clock.now) if faults is None else faults
        self._core = Core(self.options, clock.now(), self.options.first_account, self.faults)
        self.control = Control(self._entered)

    @contextmanager
    def _entered(self) -> Iterator[Core]:
        with self._lock:
            self._core.advance(self._clock.now())
            yield self._core

    # -- time ----------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """What the venue calls now: host UTC, plus the offset of fault A1 (tokens and `/time` are judged by it)."""
        return self._clock.now() + timedelta(seconds=self.faults.clock_offset_s())

    def advance(self) -> None:
        """Brings the market to the clock's now; a ticker thread may call it, every other method does."""
        with self._entered():
            pass

    def reset(self) -> None:
        """A new account with the same options; path and calendar start again at now, no fault is armed."""
        with self._lock:
            self.faults.disarm()
            self._core = Core(self.options, self._clock.now(), self._core.state.account + 1, self.faults)

    @property
    def user_id(self) -> str:
        """The operator's user id; the same after a reset."""
        return self._core.state.user_id

    @property
    def portfolio_uuid(self) -> str:
        """The portfolio of this account; another after every start or reset of the same exchange."""
        return self._core.state.portfolio_uuid

    @contextmanager
    def gateway(self) -> Iterator[GatewayCore]:
        """The Global account at the clock's now, locked for as long as the block lasts: for its face alone."""
        with self._entered() as core:
            yield core.gateway

    @contextmanager
    def us(self) -> Iterator[Core]:
        """The US account at the clock's now, locked for as long as the block lasts: for its sockets alone."""
        with self._entered() as core:
            yield core

    @contextmanager
    def _seen(self, product_id: str) -> Iterator[Core]:
        """A product as reads show it: now, or as it stood when fault M2 froze it. Raises NotFound."""
        with self._entered() as core, core.state.as_of(self.faults.frozen(product_id)):
            self._known(core, product_id)
            yield core

    # -- market --------------------------------------------------------------------------------------

    def products(
        self, *, product_type: str | None = None, product_ids: tuple[str, ...] = (), all_products: bool = False
    ) -> tuple[ProductView, ...]:
        """What is listed; disabled and hidden products only with `all_products`."""
        with self._entered() as core:
            views = [self._listed(core, product) for product in core.state.products]
        return tuple(
            view
            for view in views
            if (product_type is None or view.product_type == product_type)
            and (not product_ids or view.product_id in product_ids)
            and (all_products or not (view.hidden or view.is_disabled))
        )

    def product(self, product_id: str) -> ProductView:
        """One product, disabled ones too. Raises NotFound."""
        with self._seen(product_id) as core:
            return core.reads.product(core.state.products[product_id])

    def _listed(self, core: Core, product_id: str) -> ProductView:
        with core.state.as_of(self.faults.frozen(product_id)):
            return core.reads.product(core.state.products[product_id])

    def book(self, product_id: str, depth: int | None = None) -> BookSnapshot:
        """At most `depth` levels a side; the whole ladder reaches 2 % from the mid. Raises NotFound, InvalidArgument."""
        if depth is not None and depth < 1:
            raise InvalidArgument("limit is at least 1")
        with self._seen(product_id) as core:
            return core.reads.book(core.state.products[product_id], depth)

    def candles(
        self, product_id: str, *, start: datetime, end: datetime, granularity: Granularity, limit: int = 350
    ) -> tuple[Candle, ...]:
        """Buckets beginning within [start, end], newest first, at most the newest 350. Raises NotFound, InvalidArgument."""
        if end < start or limit < 1:
            raise InvalidArgument("start is not after end, limit is at least 1")
        with self._seen(product_id) as core:
            tape = core.state.tapes[product_id]
            return tape.candles(start=start, end=end, granularity=granularity, now=core.state.now, limit=limit)

    def trades(self, product_id: str, limit: int) -> TradesView:
        """Recent public trades, newest first, at most 1000. Raises NotFound, InvalidArgument."""
        if limit < 1:
            raise InvalidArgument("limit is at least 1")
        with self._seen(product_id) as core:
            state = core.state
            rows = state.tapes[product_id].trades(limit, state.step)
            book = core.reads.book(state.products[product_id], 1)
        return TradesView(
            trades=rows,
            best_bid=book.bids[0].price if book.bids else None,
            best_ask=book.asks[0].price if book.asks else None,
        )

    @staticmethod
    def _known(core: Core, product_id: str) -> str:
        if product_id not in core.state.products:
            raise NotFound("product not found")
        return product_id

    # -- orders --------------------------------------------------------------------------------------

    def create(self, request: OrderRequest) -> CreateAnswer:
        """Places an order; a repeat of a remembered client id places nothing and answers the first order's id."""
        with self._entered() as core:
            return core.entries.create(request)

    def create_later(self, request: OrderRequest, seconds: int) -> None:
        """The order is handled `seconds` from now, with nobody listening (fault N14)."""
        with self._entered() as core:
            core.timeflow.after(seconds, lambda _: core.entries.create_unheard(request))

    def preview(self, request: OrderRequest) -> Preview:
        """What the order would do now; nothing changes."""
        with self._entered() as core:
            return core.previews.preview(request)

    def edit(self, request: EditRequest) -> EditAnswer:
        """Changes size or price of an open GTC order; its id stays."""
        with self._entered() as core:
            return core.edits.edit(request)

    def edit_preview(self, request: EditRequest) -> EditPreview:
        """What the edit would do now; nothing changes."""
        with self._entered() as core:
            return core.previews.edit_preview(request)

    def cancel(self, order_ids: Iterable[str]) -> tuple[CancelResult, ...]:
        """One result per id, in their order."""
        with self._entered() as core:
            return core.entries.cancel(order_ids)

    def close_position(self, *, client_order_id: str, product_id: str, size: Decimal | None = None) -> CreateAnswer:
        """A market order against the position, for `size` contracts or all of it."""
        with self._entered() as core:
            return core.entries.close(client_order_id, product_id, size)

    def order(self, order_id: str) -> OrderView:
        """One order of any source. Raises NotFound, also while a fault hides it."""
        with self._entered() as core:
            order = core.state.orders.get(order_id)
            hidden = (
                order is not None and order.hidden_by_id_until is not None and core.state.now < order.hidden_by_id_until
            )
            if order is None or hidden:
                raise NotFound("order with this orderID was not found")
            return core.listings.order(order)

    def orders(self, filters: OrderFilter) -> Page[OrderView]:
        """Orders, newest first; without `sources` those of RETAIL_ADVANCED only. Raises InvalidArgument."""
        with self._entered() as core:
            return core.listings.orders(filters)

    def fills(self, filters: FillFilter) -> Page[FillView]:
        """Fills of every source, newest first. Raises InvalidArgument."""
        with self._entered() as core:
            return core.listings.fills(filters)

    # -- futures account -----------------------------------------------------------------------------

    def positions(self) -> tuple[PositionView, ...]:
        """Every futures position that is not zero."""
        with self._entered() as core:
            return core.reads.positions()

    def position(self, product_id: str) -> PositionView:
        """One position. Raises NotFound when it is flat."""
        with self._entered() as core:
            if not core.state.contracts(product_id):
                raise NotFound("position not found")
            return core.reads.position(product_id)

    def balance_summary(self) -> BalanceSummary:
        """Money and margin."""
        with self._entered() as core:
            return core.reads.balance_summary()

    def margin_window(self, margin_profile_type: str | None = None) -> MarginWindowView:
        """The window now: intraday only for the intraday profile (default: the account's own setting)."""
        with self._entered() as core:
            window = core.state.calendar.window(core.state.now)
            enrolled = core.state.margin_setting == INTRADAY
            if margin_profile_type is not None:
                enrolled = margin_profile_type == INTRADAY_PROFILE
        kind = "INTRADAY" if window.intraday and enrolled else "OVERNIGHT"
        return MarginWindowView(
            margin_window_type=f"MARGIN_WINDOW_TYPE_{kind}",
            end_time=window.end_time,
            is_intraday_margin_killswitch_enabled=False,
            is_intraday_margin_enrollment_killswitch_enabled=False,
        )

    def margin_setting(self) -> str:
        """INTRADAY_MARGIN_SETTING_STANDARD or _INTRADAY."""
        with self._entered() as core:
            return core.state.margin_setting

    def set_margin_setting(self, setting: str) -> None:
        """Opts in or out of intraday rates. Raises InvalidArgument."""
        if setting not in {STANDARD, INTRADAY}:
            raise InvalidArgument("unknown intraday margin setting")
        with self._entered() as core:
            core.state.margin_setting = setting

    def sweeps(self) -> tuple[SweepView, ...]:
        """The pending sweep, if any."""
        with self._entered() as core:
            return () if core.state.sweep is None else (core.state.sweep,)

    def schedule_sweep(self, usd_amount: Decimal | None) -> bool:
        """Plans a sweep to spot (None: all that is free) for the end of the session day; one at a time."""
        if usd_amount is not None and not (usd_amount.is_finite() and usd_amount > 0):
            raise InvalidArgument("usd_amount is above zero")
        with self._entered() as core:
            state = core.state
            if state.sweep is not None:
                return False
            state.sweep = SweepView(
                sweep_id=state.new_id("sweep", state.request_count, state.now.isoformat()),
                requested_amount=Decimal(0) if usd_amount is None else usd_amount,
                should_sweep_all=usd_amount is None,
                status="PENDING",
                scheduled_time=state.calendar.next_roll(state.now),
            )
            return True

    def cancel_sweep(self) -> bool:
        """False when none is pending."""
        with self._entered() as core:
            had, core.state.sweep = core.state.sweep is not None, None
            return had

    # -- wallets -------------------------------------------------------------------------------------

    def accounts(self) -> tuple[AccountView, ...]:
        """Wallets of the portfolio."""
        with self._entered() as core:
            return core.reads.accounts()

    def account(self, uuid: str) -> AccountView:
        """One wallet. Raises NotFound."""
        for account in self.accounts():
            if account.uuid == uuid:
                return account
        raise NotFound("account not found")

    def portfolios(self) -> tuple[PortfolioView, ...]:
        """The key's portfolio first."""
        with self._entered() as core:
            return core.reads.portfolios()

    def portfolio(self, uuid: str) -> PortfolioBreakdown:
        """What a portfolio is worth. Raises NotFound."""
        with self._entered() as core:
            return core.reads.portfolio(self._portfolio(core, uuid))

    @staticmethod
    def _portfolio(core: Core, uuid: str) -> PortfolioView:
        for view in core.reads.portfolios():
            if view.uuid == uuid and not view.deleted:
                return view
        raise NotFound("portfolio not found")

    def create_portfolio(self, name: str) -> PortfolioView:
        """An empty portfolio beside the key's own. Raises InvalidArgument."""
        with self._entered() as core:
            others = core.state.other_portfolios
            if not name or len(others) >= PORTFOLIOS_MAX:
                raise InvalidArgument("a portfolio has a name, and there is a limit to their number")
            uuid = core.state.new_id("portfolio", len(others) + 1)
            others[uuid] = PortfolioView(uuid=uuid, name=name, type="CONSUMER", deleted=False)
            return others[uuid]

    def rename_portfolio(self, uuid: str, name: str) -> PortfolioView:
        """Raises NotFound, InvalidArgument."""
        if not name:
            raise InvalidArgument("a portfolio has a name")
        with self._entered() as core:
            view = self._portfolio(core, uuid)
            renamed = PortfolioView(uuid=uuid, name=name, type=view.type, deleted=False)
            if uuid == core.state.portfolio_uuid:
                core.state.portfolio_name = name
            else:
                core.state.other_portfolios[uuid] = renamed
            return renamed

    def delete_portfolio(self, uuid: str) -> None:
        """Only an empty one that is not the key's own. Raises NotFound, InvalidArgument."""
        with self._entered() as core:
            view = self._portfolio(core, uuid)
            if uuid == core.state.portfolio_uuid or core.state.ledger.balance(uuid):
                raise InvalidArgument("only an empty portfolio that is not the key's own can be deleted")
            core.state.other_portfolios[uuid] = PortfolioView(uuid=uuid, name=view.name, type=view.type, deleted=True)

    def move_funds(self, *, source: str, target: str, amount: Decimal, currency: str) -> None:
        """Moves spot USD between portfolios. Raises InvalidArgument, NotFound."""
        with self._entered() as core:
            wallets = [
                CBI if self._portfolio(core, uuid).uuid == core.state.portfolio_uuid else uuid
                for uuid in (source, target)
            ]
            if currency != "USD" or not amount.is_finite() or amount <= 0 or source == target:
                raise InvalidArgument("an amount of USD above zero moves between two portfolios")
            if core.state.ledger.balance(wallets[0]) < amount:
                raise InvalidArgument("insufficient funds")
            reference = core.state.new_id("move", core.state.request_count, core.state.now.isoformat())
            core.state.ledger.move(
                at=core.state.now, source=wallets[0], target=wallets[1], amount=amount, reference=reference
            )

    def fee_summary(self) -> FeeSummary:
        """The futures tier and what was paid so far."""
        with self._entered() as core:
            state = core.state
            return FeeSummary(
                pricing_tier="Simulated",
                maker_fee_rate=state.maker_fee_rate,
                taker_fee_rate=state.taker_fee_rate,
                total_volume=state.total_volume,
                total_fees=state.total_fees,
                total_balance=state.cash,
            )

    def key_permissions(
        self, *, can_trade: bool, can_transfer: bool = False, can_view: bool = True, bound_to: str | None = None
    ) -> KeyPermissions:
        """What a key with these scopes may do as the venue tells it: faults A3, A6 and A7 show here.

        `bound_to` is the key's portfolio, by default the account's; A6 hides either.
        """
        portfolio = self.portfolio_uuid if bound_to is None else bound_to
        revoked = (self.faults.holding("A3") or {}).get("scope")
        elsewhere = self.faults.standing("A6", "key_permissions") is not None
        transfers = self.faults.standing("A7", "key_permissions") is not None
        return KeyPermissions(
            can_view=can_view and revoked != "view",
            can_trade=can_trade and revoked != "trade",
            can_transfer=can_transfer or transfers,
            portfolio_uuid=identifier(portfolio, "elsewhere") if elsewhere else portfolio,
            portfolio_type="DEFAULT",
        )

    # -- tests ---------------------------------------------------------------------------------------

    def judge_view(self) -> JudgeView:
        """The complete truth for tests, untouched by faults."""
        with self._entered() as core:
            return core.judge_view()

    def judged_requests(self, after: int) -> tuple[JudgedRequest, ...]:
        """The write requests of the US account beyond a sequence number, oldest first."""
        with self._entered() as core:
            newer = takewhile(lambda each: each.sequence > after, reversed(core.state.requests))
            return tuple(newer)[::-1]

    def ledger(self) -> tuple[LedgerRow, ...]:
        """Every cash row in order."""
        with self._entered() as core:
            return core.state.ledger.rows()
