"""Small real implementations of the engine's ports: a venue with orders that live, fill and go wrong on request, a journal
honest about its semantics, a clock that only moves when told, the real latch behind the halts.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from perpsctl.domain.accounts import (
    AccountView,
    Booked,
    EquityMark,
    Fees,
    LiveOrder,
    LossBasis,
    MarginWindow,
    OrdersRead,
    Position,
    PositionsRead,
    RecentIntent,
    ServerTime,
    TradingState,
    Transfer,
)
from perpsctl.domain.cash import CashRow
from perpsctl.domain.errors import (
    InvariantBroken,
    JournalUnavailable,
    LeaseHeld,
    PerpsctlError,
    UsageError,
    VenueUnreachable,
)
from perpsctl.domain.funding import FundingHour, FundingReport
from perpsctl.domain.ids import AccountKey, ClientOrderId, FillId, IntentId, ProductId, VenueOrderId
from perpsctl.domain.market import BookView, Candle, FundingTerms, PublicTrade
from perpsctl.domain.numbers import NO_SIZE, Notional, Price, Size
from perpsctl.domain.orders import (
    Accepted,
    ApprovedEdit,
    ApprovedOrder,
    CancelResult,
    EditIntent,
    Fill,
    FillKind,
    Liquidity,
    NotSent,
    OrderIntent,
    OrderStatus,
    OrderType,
    Preview,
    QuantizedOrder,
    Rejected,
    SubmitOutcome,
    TimeInForce,
    Unknown,
    VenueOrder,
    later_status,
)
from perpsctl.domain.ports import EventKind, Gate, GateShut, Integrity, JournalEvent, Known, Sighting, Sought
from perpsctl.domain.products import DoubtTerms, Product, VenueCapabilities, VenueId
from perpsctl.domain.reports import ExitPending, HaltFacts, HaltState, IntentRecord, IntentStage, KeyFacts
from perpsctl.domain.sides import Side
from perpsctl.domain.verdicts import Approved, ApprovedChange, Denied
from perpsctl.journal.codec import dumps
from perpsctl.latch import Latch
from tests.builders import BTC, NOW, a_book, a_margin_window, a_position, a_product, an_account, an_order

DOWN = VenueUnreachable("the venue did not answer")
DISK_FULL = JournalUnavailable("the disk is full")


class ManualClock:
    """Stands still until somebody sleeps or moves it; `each_read` lets time pass by itself."""

    def __init__(self, now: datetime = NOW) -> None:
        self._now = now
        self._ticks = 0
        self.at_sleep: list[Callable[[], None]] = []

    def now(self) -> datetime:
        return self._now

    def monotonic_ns(self) -> int:
        return self._ticks

    def sleep(self, duration: timedelta) -> None:
        self.advance(max(duration, timedelta(0)))
        for action in tuple(self.at_sleep):
            action()

    def step(self, by: timedelta) -> None:
        """The host's wall clock is set by somebody; no time passes (T1)."""
        self._now += by

    def advance(self, duration: timedelta) -> None:
        self._now += duration
        self._ticks += duration // timedelta(microseconds=1) * 1000


class CountingIds:
    def __init__(self) -> None:
        self.given = 0

    def new(self) -> str:
        self.given += 1
        return f"minted-{self.given:05d}"

    def nonce(self) -> str:
        return "0" * 64

    def jitter(self) -> int:
        return 500_000


class Talk:
    """Keeps what diagnostics were told."""

    def __init__(self) -> None:
        self.alarms: list[str] = []
        self.notes: list[str] = []

    def note(self, event: str, **facts: object) -> None:
        self.notes.append(event)

    def alarm(self, event: str, **facts: object) -> None:
        self.alarms.append(event)


class FakeVenue:
    """Orders rest, fill on request, and endings are scripted: `endings` is used up one per submit, then `accept`."""

    def __init__(self, clock: ManualClock, *, native_gtd: bool = True) -> None:
        self.clock = clock
        self.native_gtd = native_gtd
        self.specs: dict[ProductId, Product] = {ProductId(BTC): a_product()}
        self.books: dict[ProductId, Callable[[], BookView]] = {}
        self.equity = "1000000"
        self.coin: dict[ProductId, Decimal] = {}
        self.orders_: dict[VenueOrderId, VenueOrder] = {}
        self.hidden_until: dict[VenueOrderId, datetime] = {}
        self.all_fills: list[Fill] = []
        self.hidden_fills: set[FillId] = set()
        self.endings: list[str] = []
        self.ioc_liquidity: Decimal = Decimal(1000)
        self.cancel_mode = "done"
        self.cancel_lag_looks = 0
        self.offers_mass_cancel = False
        self.mass_takes: int | None = None  # how many orders one mass cancel really reaches; None: every one
        self.hours_: tuple[FundingHour, ...] | None = None  # published funding
        self.rows_: list[CashRow] | None = None  # None: the venue keeps no rows of cash
        self.books_: list[Transfer] | None = None  # None: the venue keeps no books of transfers
        self.contradiction = ""
        self.forgets: set[VenueOrderId] = set()
        self.unlisted: dict[VenueOrderId, int] = {}  # missing from so many live listings, there by id (E2)
        self.failing: dict[str, PerpsctlError] = {}
        self.fail_times: Counter[str] = Counter()
        self.calls: list[str] = []
        self.submitted: list[ApprovedOrder] = []
        self.edits: list[ApprovedEdit] = []
        self.before_submit: Callable[[], None] = lambda: None
        self.skew = timedelta(0)
        self.bounds: list[datetime] = []
        self._serial = 0
        self._cancel_looks: dict[VenueOrderId, int] = {}

    # --- what a test does to it --------------------------------------------------------------------------

    def fail(self, call: str, error: PerpsctlError = DOWN, *, times: int | None = None) -> None:
        """Every read of this name fails, or the next `times` of them."""
        self.failing[call] = error
        if times is not None:
            self.fail_times[call] = times

    def heal(self) -> None:
        self.failing.clear()
        self.fail_times.clear()

    def live(self) -> list[VenueOrder]:
        return [order for order in self.orders_.values() if order.status.live]

    def of_intent(self, intent_id: str) -> list[VenueOrder]:
        """The judge's count for I1: every order this intent ever made."""
        return [order for order in self.orders_.values() if order.client_order_id == intent_id]

    def rest(self, **terms: object) -> VenueOrder:
        """A foreign order that rests."""
        self._serial += 1
        order = an_order(venue_order_id=f"foreign-{self._serial}", client_order_id=None, **terms)  # type: ignore[arg-type]
        self.orders_[order.venue_order_id] = order
        return order

    def fill(self, order_id: VenueOrderId, size: str | None = None, price: Price | None = None) -> Fill:
        """A resting order trades: state, fill list and position move together."""
        order = self.orders_[order_id]
        total = order.size or NO_SIZE
        amount = total - order.filled if size is None else Decimal(size)
        return self._trade(order, amount, price or order.limit_price or Price(Decimal(60000)))

    def _trade(self, order: VenueOrder, amount: Decimal, price: Price) -> Fill:
        filled = Size(order.filled + amount)
        done = order.size is not None and filled >= order.size
        status = OrderStatus.FILLED if done else order.status
        moved = replace(order, filled=filled, status=status, raw_status=status.value.upper(), read_at=self.clock.now())
        self.orders_[order.venue_order_id] = moved
        self.coin[order.product_id] = self.coin.get(order.product_id, Decimal(0)) + order.side.sign * amount
        fill = Fill(
            fill_id=FillId(f"fill-{len(self.all_fills) + 1}"),
            trade_id=f"trade-{len(self.all_fills) + 1}",
            venue_order_id=order.venue_order_id,
            product_id=order.product_id,
            side=order.side,
            price=price,
            size=Size(amount),
            fee=Notional(Decimal("0.1")),
            kind=FillKind.FILL,
            liquidity=Liquidity.MAKER,
            time=self.clock.now(),
        )
        self.all_fills.append(fill)
        return fill

    def _read(self, name: str) -> None:
        self.calls.append(name)
        self.clock.advance(timedelta(microseconds=1))  # no two reads are of the same moment
        if self.bounds and self.clock.now() > min(self.bounds):
            raise VenueUnreachable("not asked: the time given for it was over")
        error = self.failing.get(name) or self.failing.get("*")
        if error is None:
            return
        if name in self.fail_times:
            if self.fail_times[name] <= 0:
                return
            self.fail_times[name] -= 1
        raise error

    def _visible(self, order: VenueOrder) -> bool:
        return self.hidden_until.get(order.venue_order_id, self.clock.now()) <= self.clock.now()

    # --- market ------------------------------------------------------------------------------------------

    @property
    def capabilities(self) -> VenueCapabilities:
        return VenueCapabilities(
            venue=VenueId.US,
            dedupes_client_id=True,
            has_preview=True,
            has_cancel_on_disconnect=False,
            has_server_expiry=False,
            native_reduce_only=False,
            native_gtd=self.native_gtd,
            publishes_mark=False,
            ws_order_snapshot=True,
            leverage_settable=False,
            requests_per_second_private=30,
            requests_per_second_public=10,
            cancel_batch=100,
            doubt=DoubtTerms(
                write_ttl=timedelta(seconds=20),
                visibility=timedelta(seconds=20),
                listings=2,
                listings_apart=timedelta(seconds=5),
            ),
        )

    @contextmanager
    def within(self, length: timedelta) -> Iterator[None]:
        self.bounds.append(self.clock.now() + length)
        try:
            yield
        finally:
            self.bounds.pop()

    def products(self) -> tuple[Product, ...]:
        self._read("products")
        return tuple(self.specs.values())

    def product(self, product_id: ProductId) -> Product:
        self._read("product")
        now = self.clock.now()
        spec = self.specs[product_id]
        funding = spec.funding
        if funding is not None:
            funding = replace(funding, as_of=now)
        return replace(spec, as_of=now, funding=funding)

    def book(self, product_id: ProductId, depth: int) -> BookView:
        self._read("book")
        make = self.books.get(product_id)
        book = make() if make is not None else a_book(product_id=product_id)
        return replace(book, as_of=self.clock.now())

    def candles(
        self, product_id: ProductId, *, start: datetime, end: datetime, granularity: timedelta
    ) -> tuple[Candle, ...]:
        raise UsageError("this fake has no candles")

    def trades(self, product_id: ProductId, limit: int) -> tuple[PublicTrade, ...]:
        raise UsageError("this fake has no tape")

    def funding(self, product_id: ProductId, hours: int) -> FundingReport:
        self._read("funding")
        terms = FundingTerms(rate=None, interval=None, next_accrual=None, as_of=self.clock.now())
        return FundingReport(
            product_id=product_id, terms=terms, hours=self.hours_, sums=(), last_full=None, accruing=None,
            as_of=self.clock.now(),
        )  # fmt: skip

    # --- account -----------------------------------------------------------------------------------------

    def account(self) -> AccountView:
        self._read("account")
        return an_account(equity=self.equity, as_of=self.clock.now())

    def positions(self) -> PositionsRead:
        self._read("positions")
        held: list[Position] = [
            a_position(coin=str(coin), product_id=product_id) for product_id, coin in self.coin.items() if coin
        ]
        return PositionsRead(positions=tuple(held), as_of=self.clock.now())

    def live_orders(self) -> OrdersRead:
        self._read("live_orders")
        self._expire()
        self._lagging_cancels()
        listed = tuple(
            order
            for order in self.orders_.values()
            if order.status.live and self._visible(order) and self.unlisted.get(order.venue_order_id, 0) <= 0
        )
        self.unlisted = {order_id: looks - 1 for order_id, looks in self.unlisted.items()}
        return OrdersRead(orders=tuple(map(self._told, listed)), as_of=self.clock.now(), pages=1)

    def orders_since(self, start: datetime) -> OrdersRead:
        self._read("orders_since")
        self._expire()
        listed = [o for o in self.orders_.values() if (o.created is None or o.created >= start) and self._visible(o)]
        return OrdersRead(orders=tuple(map(self._told, listed)), as_of=self.clock.now(), pages=1)

    def order(self, venue_order_id: VenueOrderId) -> VenueOrder | None:
        self._read("order")
        self._expire()
        self._lagging_cancels()
        order = self.orders_.get(venue_order_id)
        if order is None or venue_order_id in self.forgets or not self._visible(order):
            return None
        return self._told(order)

    def _told(self, order: VenueOrder) -> VenueOrder:
        return replace(order, read_at=self.clock.now())

    def _expire(self) -> None:
        for order in self.live():
            if order.expires is not None and order.expires <= self.clock.now():
                self._end(order, OrderStatus.EXPIRED)

    def _end(self, order: VenueOrder, status: OrderStatus) -> None:
        self.orders_[order.venue_order_id] = replace(order, status=status, raw_status=status.value.upper())

    def fills(self, *, since: datetime | None = None, venue_order_id: VenueOrderId | None = None) -> tuple[Fill, ...]:
        self._read("fills")
        return tuple(
            fill
            for fill in self.all_fills
            if fill.fill_id not in self.hidden_fills
            and (since is None or fill.time >= since)
            and (venue_order_id is None or fill.venue_order_id == venue_order_id)
        )

    def fees(self) -> Fees:
        self._read("fees")
        return Fees(maker=Decimal(0), taker=Decimal("0.0003"), tier="fake")

    def margin_window(self) -> MarginWindow:
        self._read("margin_window")
        return a_margin_window()

    def transfers(self, since: datetime) -> tuple[Transfer, ...] | None:
        if self.books_ is None:
            return None
        self._read("transfers")
        return tuple(row for row in self.books_ if row.at >= since)

    def cash_rows(self, since: datetime) -> tuple[CashRow, ...] | None:
        self._read("cash_rows")
        return None if self.rows_ is None else tuple(row for row in self.rows_ if row.at >= since)

    def server_time(self) -> ServerTime:
        self._read("server_time")
        now = self.clock.now()
        return ServerTime(venue_time=now + self.skew, skew=self.skew, uncertainty=timedelta(milliseconds=5), as_of=now)

    def key_facts(self) -> KeyFacts:
        return KeyFacts(can_view=True, can_trade=True, can_transfer=False, portfolio_id="p", portfolio_type="DEFAULT")

    def preview(self, order: QuantizedOrder) -> Preview:
        self._read("preview")
        return Preview(
            problems=(), warnings=(), order_total=None, commission=None, margin=None, average_price=None,
            best_bid=None, best_ask=None, slippage=None, estimate=False,
        )  # fmt: skip

    # --- writes ------------------------------------------------------------------------------------------

    def submit(self, order: ApprovedOrder, gate: Gate) -> SubmitOutcome:
        self.before_submit()
        try:
            with gate:
                return self._submit(order)
        except GateShut as shut:
            return NotSent(reason=shut.code, evidence=shut.reason)

    def close_position(self, order: ApprovedOrder, gate: Gate) -> SubmitOutcome:
        self.calls.append("close_position")
        return self.submit(order, gate)

    def _submit(self, approved: ApprovedOrder) -> SubmitOutcome:
        self.calls.append("submit")
        self.submitted.append(approved)
        ending = self.endings.pop(0) if self.endings else "accept"
        if ending == "reject":
            return Rejected(reason="INSUFFICIENT_FUND", message="no", evidence="success:false")
        if ending == "session":
            return Rejected(reason="INVALID_FCM_TRADING_SESSION", message="closed", evidence="success:false")
        if ending == "not_sent":
            return NotSent(reason="connection_refused", evidence="connection refused")
        if ending == "lost":
            return Unknown(reason="timeout", evidence="no answer in 5 s")
        order = self._accept(approved)
        if ending == "unanswered":
            return Unknown(reason="timeout", evidence="no answer in 5 s")
        if ending == "hidden":
            self.hidden_until[order.venue_order_id] = self.clock.now() + timedelta(seconds=12)
            return Unknown(reason="timeout", evidence="no answer in 5 s")
        if ending == "contradicts":
            return Unknown(reason="echo_differs", evidence="another size", alarm=True)
        return Accepted(venue_order_id=order.venue_order_id, order=None, evidence="success:true", latency_us=1500)

    def _accept(self, approved: ApprovedOrder) -> VenueOrder:
        self._serial += 1
        quantized, intent = approved.order, approved.order.intent
        order = an_order(
            venue_order_id=f"venue-{self._serial}",
            client_order_id=str(approved.client_order_id),
            product_id=str(quantized.product_id),
            side=intent.side,
            size=str(quantized.size),
            status=OrderStatus.OPEN,
            type=intent.type,
            tif=intent.tif,
            limit_price=None if quantized.limit_price is None else str(quantized.limit_price),
            post_only=intent.post_only,
            created=self.clock.now(),
            expires=intent.expires,
            read_at=self.clock.now(),
        )
        self.orders_[order.venue_order_id] = order
        if quantized.one_shot:
            taken = min(quantized.size, self.ioc_liquidity)
            if taken > 0:
                self._trade(order, taken, quantized.limit_price or Price(Decimal(60000)))
            held = self.orders_[order.venue_order_id]
            if held.status.live:
                self._end(held, OrderStatus.CANCELLED)
        return self.orders_[order.venue_order_id]

    def submit_edit(self, edit: ApprovedEdit, gate: Gate) -> SubmitOutcome:
        self.before_submit()
        try:
            with gate:
                self.calls.append("submit_edit")
                self.edits.append(edit)
                ending = self.endings.pop(0) if self.endings else "accept"
                if ending == "reject":
                    return Rejected(reason="ORDER_NOT_FOUND", message="no", evidence="errors")
                order_id = edit.edit.intent.venue_order_id
                if ending != "lost":
                    held = self.orders_[order_id]
                    self.orders_[order_id] = replace(held, size=edit.edit.new_size, limit_price=edit.edit.new_price)
                if ending in ("unanswered", "lost"):
                    return Unknown(reason="timeout", evidence="no answer")
                return Accepted(venue_order_id=order_id, order=None, evidence="success:true")
        except GateShut as shut:
            return NotSent(reason=shut.code, evidence=shut.reason)

    def cancel(self, venue_order_ids: Sequence[VenueOrderId]) -> tuple[CancelResult, ...]:
        self._read("cancel")
        return tuple(self._cancel(order_id) for order_id in venue_order_ids)

    def cancel_all(self, product_id: ProductId | None) -> int | None:
        if not self.offers_mass_cancel:
            return None
        self._read("cancel_all")
        wanted = [order for order in self.live() if product_id is None or order.product_id == product_id]
        reached = wanted if self.mass_takes is None else wanted[: self.mass_takes]
        return sum(self._cancel(order.venue_order_id).accepted for order in reached)

    def _cancel(self, order_id: VenueOrderId) -> CancelResult:
        order = self.orders_.get(order_id)
        if order is None:
            return CancelResult(venue_order_id=order_id, accepted=False, reason="UNKNOWN_CANCEL_ORDER")
        if order.status.final:
            return CancelResult(venue_order_id=order_id, accepted=False, reason="ORDER_IS_FULLY_FILLED")
        if self.cancel_mode == "refuse":
            return CancelResult(venue_order_id=order_id, accepted=False, reason="INVALID_CANCEL_FCM_TRADING_SESSION")
        if self.cancel_mode == "fills":
            self.fill(order_id)
            return CancelResult(venue_order_id=order_id, accepted=True, reason="")
        if self.cancel_mode == "never":
            return CancelResult(venue_order_id=order_id, accepted=True, reason="")
        if self.cancel_mode == "slow":
            self._cancel_looks.setdefault(order_id, 3)
            return CancelResult(venue_order_id=order_id, accepted=True, reason="")
        self._end(order, OrderStatus.CANCELLED)
        return CancelResult(venue_order_id=order_id, accepted=True, reason="")

    def _lagging_cancels(self) -> None:
        for order_id in tuple(self._cancel_looks):
            self._cancel_looks[order_id] -= 1
            if self._cancel_looks[order_id] <= 0:
                del self._cancel_looks[order_id]
                if self.orders_[order_id].status.live:
                    self._end(self.orders_[order_id], OrderStatus.CANCELLED)

    def search(self, sought: Sought) -> Sighting:
        self._read("search")
        intent = sought.record.intent
        found = [o for o in self.orders_.values() if o.client_order_id == ClientOrderId(intent.id) and self._visible(o)]
        order = self._told(found[0]) if found else None
        return Sighting(
            order=None if self.contradiction else order,
            contradicts=self.contradiction,
            listed_at=self.clock.now(),
            evidence=f"live orders, history and fills read to the end ({len(self.orders_)} orders)",
        )


@dataclass(slots=True)
class _Held:
    record: IntentRecord
    fills: Decimal = Decimal(0)


@dataclass(slots=True)
class FakeJournal:
    """Keeps what it is told with the semantics of the real one; `broken` names writes (or `*`) that fail."""

    clock: ManualClock
    broken: dict[str, int] = field(default_factory=dict)  # write -> calls left before it fails
    held: dict[IntentId, _Held] = field(default_factory=dict)
    others: dict[VenueOrderId, VenueOrder] = field(default_factory=dict)
    booked_fills: dict[FillId, Fill] = field(default_factory=dict)
    transfers: dict[str, Transfer] = field(default_factory=dict)
    marks: list[EquityMark] = field(default_factory=list)
    events_: list[JournalEvent] = field(default_factory=list)
    states: dict[ProductId, TradingState] = field(default_factory=dict)
    halts: list[tuple[bool, str, str, bool]] = field(default_factory=list)
    openings: dict[ProductId, Decimal] = field(default_factory=dict)
    exits: dict[ProductId, ExitPending] = field(default_factory=dict)
    writes: int = 0
    loss_bases: tuple[LossBasis, ...] | None = None
    in_decide: Callable[[], None] = lambda: None

    def _write(self, name: str) -> None:
        for key in (name, "*"):
            if key in self.broken:
                if self.broken[key] <= 0:
                    raise DISK_FULL
                self.broken[key] -= 1
        self.writes += 1

    def _reads(self) -> None:
        if self.broken.get("*", 1) <= 0:
            raise DISK_FULL

    @property
    def account(self) -> AccountKey:
        return AccountKey("us:sim:fake")

    # --- deciding ----------------------------------------------------------------------------------------

    def decide(
        self, intent: OrderIntent, sent_size: Size, judge: Callable[[Booked], Approved | Denied]
    ) -> Approved | Denied | Known:
        self._reads()
        self.in_decide()
        if intent.id in self.held:
            return Known(record=self.held[intent.id].record, same_terms=True)
        verdict = judge(self.booked())
        self._write("decide")
        self._begin(intent, sent_size, verdict)
        return verdict

    def decide_edit(
        self, intent: EditIntent, sent_size: Size, judge: Callable[[Booked], ApprovedChange | Denied]
    ) -> ApprovedChange | Denied | Known:
        self._reads()
        if intent.id in self.held:
            return Known(record=self.held[intent.id].record, same_terms=True)
        verdict = judge(self.booked())
        self._write("decide")
        self._begin(intent, sent_size, verdict)
        return verdict

    def _begin(
        self, intent: OrderIntent | EditIntent, sent_size: Size, verdict: Approved | ApprovedChange | Denied
    ) -> None:
        denied = verdict if isinstance(verdict, Denied) else None
        price = stop = None
        if isinstance(verdict, Approved):
            price, stop = verdict.order.order.limit_price, verdict.order.order.stop_price
        elif isinstance(verdict, ApprovedChange):
            price = verdict.edit.edit.new_price
        self.held[intent.id] = _Held(
            IntentRecord(
                intent=intent,
                stage=IntentStage.DENIED if denied is not None else IntentStage.COMMITTED,
                committed_at=self.clock.now(),
                sent_size=sent_size,
                denied=denied,
                outcome=None,
                venue_order_id=None,
                order=None,
                sent_price=price,
                sent_stop=stop,
            )
        )

    def record_outcome(self, intent_id: IntentId, outcome: SubmitOutcome) -> None:
        self._write("record_outcome")
        held = self.held[intent_id]
        record = held.record
        if record.stage is IntentStage.DENIED:
            raise InvariantBroken("a denied intent has no outcome")
        if isinstance(outcome, Unknown) and not record.stage.in_doubt:
            return
        if isinstance(outcome, Rejected | NotSent) and not record.stage.in_doubt:
            return  # a proven end is contradicted by nothing
        stages = {Rejected: IntentStage.REJECTED, NotSent: IntentStage.NOT_SENT, Unknown: IntentStage.UNKNOWN}
        if isinstance(outcome, Accepted):
            final = record.order is not None and record.order.status.final
            stage = IntentStage.DONE if final else IntentStage.WORKING
            held.record = replace(
                record,
                stage=stage,
                outcome=outcome,
                venue_order_id=outcome.venue_order_id,
                venue_ids=(*record.venue_ids, outcome.venue_order_id),
            )
            if isinstance(record.intent, EditIntent):
                held.record = replace(held.record, stage=IntentStage.DONE, venue_ids=())
        else:
            held.record = replace(record, stage=stages[type(outcome)], outcome=outcome)

    def record_order(self, order: VenueOrder, intent_id: IntentId | None) -> bool:
        self._write("record_order")
        if intent_id is None:
            before = self.others.get(order.venue_order_id)
            self.others[order.venue_order_id] = order
            return before is None or replace(before, read_at=order.read_at) != order
        held = self.held[intent_id]
        before = held.record.order
        merged = order
        if before is not None:
            status = later_status(before.status, order.status)
            merged = replace(order, status=status, filled=max(before.filled, order.filled))
        stage = held.record.stage
        if stage in (IntentStage.WORKING, IntentStage.DONE):
            stage = IntentStage.DONE if merged.status.final else IntentStage.WORKING
        held.record = replace(
            held.record, stage=stage, order=merged, venue_order_id=held.record.venue_order_id or order.venue_order_id
        )
        return before is None or replace(before, read_at=merged.read_at) != merged

    def record_fills(self, fills: Iterable[Fill]) -> tuple[Fill, ...]:
        fresh = tuple(fill for fill in fills if fill.fill_id not in self.booked_fills)
        if fresh:
            self._write("record_fills")
            self.booked_fills.update({fill.fill_id: fill for fill in fresh})
        return fresh

    def record_transfers(self, transfers: Iterable[Transfer]) -> tuple[Transfer, ...]:
        fresh = tuple(each for each in transfers if each.id not in self.transfers)
        if fresh:
            self._write("record_transfers")
            self.transfers.update({each.id: each for each in fresh})
        return fresh

    def record_mark(self, mark: EquityMark) -> None:
        self._write("record_mark")
        self.marks.append(mark)

    def record_halt(self, *, engaged: bool, reason: str, by: str, loss_breach: bool = False) -> None:
        self._write("record_halt")
        self.halts.append((engaged, reason, by, loss_breach))

    def record_state(self, product_id: ProductId, state: TradingState, reason: str) -> None:
        self._write("record_state")
        self.states[product_id] = state

    def record_event(self, kind: EventKind, payload: Mapping[str, object], intent_id: IntentId | None = None) -> None:
        self._write("record_event")
        if kind is EventKind.EXIT_PENDING:
            retry_at = payload.get("retry_at")
            assert retry_at is None or re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", str(retry_at))
            product_id = ProductId(str(payload["product_id"]))
            self.exits[product_id] = ExitPending(
                product_id=product_id,
                size=Size(Decimal(str(payload["size"]))),
                reason=str(payload["reason"]),
                retry_at=None if retry_at is None else datetime.fromisoformat(str(retry_at)),
                part=payload.get("part") is True,
            )
        if kind is EventKind.EXIT_SETTLED:
            self.exits.pop(ProductId(str(payload["product_id"])), None)
        adopted = payload.get("adopted")
        for each in adopted if isinstance(adopted, list) else ():
            product_id = ProductId(each["product_id"])
            self.openings[product_id] = self.openings.get(product_id, Decimal(0)) + Decimal(each["coin"])
        self.events_.append(
            JournalEvent(
                seq=len(self.events_) + 1,
                kind=kind.value,
                at=self.clock.now(),
                intent_id=intent_id,
                payload=dumps(dict(payload)),
            )
        )

    # --- reading -----------------------------------------------------------------------------------------

    def booked(self) -> Booked:
        self._reads()
        now = self.clock.now()
        live = [self._live(held.record) for held in self.held.values() if not held.record.stage.final]
        live += [self._other(order) for order in self.others.values() if order.status.live]
        sent = [h.record for h in self.held.values() if h.record.stage is not IntentStage.DENIED]
        return Booked(
            as_of=now,
            live=tuple(each for each in live if each is not None),
            in_doubt=tuple(record.intent.id for record in self.in_doubt()),
            recent=tuple(self._recent(r) for r in sent if isinstance(r.intent, OrderIntent)),
            sent_last_minute=sum(r.committed_at > now - timedelta(minutes=1) for r in sent),
            sent_today=len(sent),
            loss_bases=self._bases() if self.loss_bases is None else self.loss_bases,
            halted=bool(self.halts) and self.halts[-1][0],
            states=dict(self.states),
        )

    def _bases(self) -> tuple[LossBasis, ...]:
        baseline = self.marks[0] if self.marks else None
        return tuple(
            LossBasis(window=w, start=self.clock.now(), baseline=baseline, flows=(), transfers=Notional(Decimal(0)))
            for w in ("utc_day", "rolling_24h")
        )

    def _live(self, record: IntentRecord) -> LiveOrder | None:
        intent = record.intent
        if isinstance(intent, EditIntent):
            return None
        remaining = record.sent_size or NO_SIZE
        if record.order is not None and record.order.remaining is not None and not record.stage.in_doubt:
            remaining = record.order.remaining
        return LiveOrder(
            intent_id=intent.id,
            client_order_id=ClientOrderId(intent.id),
            venue_order_id=record.venue_order_id,
            product_id=intent.product_id,
            side=intent.side,
            remaining=remaining,
            price=intent.limit_price,
            in_doubt=record.stage.in_doubt,
            one_shot=intent.tif in (TimeInForce.IOC, TimeInForce.FOK),
            reduce_only=intent.reduce_only,
        )

    def _other(self, order: VenueOrder) -> LiveOrder:
        return LiveOrder(
            intent_id=None,
            client_order_id=order.client_order_id,
            venue_order_id=order.venue_order_id,
            product_id=order.product_id,
            side=order.side,
            remaining=order.remaining or NO_SIZE,
            price=order.limit_price,
            in_doubt=False,
            one_shot=False,
            reduce_only=False,
        )

    def _recent(self, record: IntentRecord) -> RecentIntent:
        intent = record.intent
        assert isinstance(intent, OrderIntent)
        empty = record.stage in (IntentStage.REJECTED, IntentStage.NOT_SENT) or (
            record.stage is IntentStage.DONE and record.order is not None and record.order.filled == 0
        )
        return RecentIntent(
            intent_id=intent.id,
            product_id=intent.product_id,
            side=intent.side,
            size=record.sent_size or NO_SIZE,
            price=intent.limit_price,
            reason=intent.reason,
            at=record.committed_at,
            ended_empty=empty,
        )

    def intent(self, intent_id: IntentId) -> IntentRecord | None:
        self._reads()
        held = self.held.get(intent_id)
        return None if held is None else held.record

    def intent_by_order(self, venue_order_id: VenueOrderId) -> IntentRecord | None:
        self._reads()
        for held in self.held.values():
            record = held.record
            if isinstance(record.intent, OrderIntent) and venue_order_id in (record.venue_order_id, *record.venue_ids):
                return record
        return None

    def intents(self, *, since: datetime | None = None, limit: int | None = None) -> tuple[IntentRecord, ...]:
        self._reads()
        return tuple(held.record for held in reversed(self.held.values()))[:limit]

    def in_doubt(self) -> tuple[IntentRecord, ...]:
        self._reads()
        return tuple(held.record for held in self.held.values() if held.record.stage.in_doubt)

    def working(self) -> tuple[IntentRecord, ...]:
        self._reads()
        return tuple(held.record for held in self.held.values() if held.record.stage is IntentStage.WORKING)

    def fills(self, *, since: datetime | None = None, limit: int | None = None) -> tuple[Fill, ...]:
        self._reads()
        newest = sorted(self.booked_fills.values(), key=lambda fill: fill.time, reverse=True)
        return tuple(fill for fill in newest if since is None or fill.time >= since)[:limit]

    def booked_coin(self) -> Mapping[ProductId, Decimal]:
        self._reads()
        coin = dict(self.openings)
        for fill in self.booked_fills.values():
            coin[fill.product_id] = coin.get(fill.product_id, Decimal(0)) + fill.side.sign * fill.size
        return coin

    def halt(self) -> HaltFacts:
        self._reads()
        engaged, reason, by, breach = self.halts[-1] if self.halts else (False, "", "", False)
        state = HaltState.ENGAGED if engaged else HaltState.RELEASED
        return HaltFacts(
            state=state, latch="released", journal=state.value, reason=reason, by=by, since=None, loss_breach=breach
        )

    def exits_pending(self) -> tuple[ExitPending, ...]:
        self._reads()
        return tuple(self.exits.values())

    def events(self, *, kind: str | None = None, limit: int | None = None) -> tuple[JournalEvent, ...]:
        self._reads()
        return tuple(event for event in reversed(self.events_) if kind is None or event.kind == kind)[:limit]

    def check(self, *, full: bool) -> Integrity:
        return Integrity(rows=0, verified_from=0, sound=True, first_bad=None, problem="", head="")

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events_]


class LatchHalts:
    """The halts over the real latch and the fake journal: either engaged means engaged."""

    def __init__(self, latch: Latch, journal: FakeJournal) -> None:
        self._latch = latch
        self._journal = journal

    def facts(self) -> HaltFacts:
        latch = self._latch.state()
        try:
            journal = self._journal.halt()
            told, breach = journal.journal, journal.loss_breach
        except JournalUnavailable as error:
            told, breach = f"unreadable: {error.message}", False
        engaged = latch.engaged or told != "released"
        return HaltFacts(
            state=HaltState.ENGAGED if engaged else HaltState.RELEASED,
            latch=latch.told,
            journal=told,
            reason=latch.reason,
            by=latch.by,
            since=latch.since,
            loss_breach=breach,
        )

    def gate(self, *, switch_road: bool = False, spooled: bool = False) -> Gate:
        return self._latch.gate(switch_road=switch_road)


class FakeLease:
    def __init__(self) -> None:
        self.held_by: str | None = None
        self.taken_by_other = False
        self.released = False

    def acquire(self) -> None:
        if self.taken_by_other:
            raise LeaseHeld("run 4711 holds the lease")
        self.held_by = "us"

    def renew(self) -> None:
        if self.taken_by_other:
            raise LeaseHeld("run 4711 took the lease over")

    def release(self) -> None:
        self.held_by, self.released = None, True

    def holder(self) -> str | None:
        return self.held_by


class MemorySpool:
    """Keeps exit intents in memory; `broken` makes it refuse."""

    def __init__(self) -> None:
        self.intents: list[OrderIntent | EditIntent] = []
        self.outcomes: list[tuple[IntentId, SubmitOutcome]] = []
        self.broken = False

    def keep_decision(
        self, intent: OrderIntent | EditIntent, sent_size: Size, verdict: Approved | ApprovedChange
    ) -> None:
        if self.broken:
            raise JournalUnavailable("the spool takes no rows")
        self.intents.append(intent)

    def keep_outcome(self, intent_id: IntentId, outcome: SubmitOutcome) -> None:
        self.outcomes.append((intent_id, outcome))


SELL, BUY = Side.SELL, Side.BUY
LIMIT = OrderType.LIMIT
