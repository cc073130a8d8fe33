"""The way out: cancel, re-read, reduce by at most the position read, re-read, repeat. Never flips a position (R7).

An exit needs no fresh book, only a bounded price; it needs no journal, only a durable spool; what the venue will not take
now becomes an exit pending with its reason and the time of the next try. An unread position is never called flat (L5).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from perpsctl.domain.accounts import Booked, Position, RiskView
from perpsctl.domain.errors import JournalUnavailable, PerpsctlError, UsageError
from perpsctl.domain.ids import Ids, IntentId, ProductId
from perpsctl.domain.market import TradingStatus
from perpsctl.domain.numbers import Price, Size, plain
from perpsctl.domain.orders import (
    NotSent,
    OrderIntent,
    OrderType,
    Origin,
    QuantizedOrder,
    Rejected,
    Road,
    TimeInForce,
    Unknown,
)
from perpsctl.domain.ports import Clock, Diagnostics, EventKind, Journal, Known, Venue
from perpsctl.domain.quantize import quantize
from perpsctl.domain.reports import CancelReport, ExitPending, ExitReport, FlattenReport, PlaceReport
from perpsctl.domain.sides import Side
from perpsctl.domain.text import shown
from perpsctl.domain.verdicts import Approved, DenialCode, Denied
from perpsctl.engine.allowance import Allowance, steady
from perpsctl.engine.cancels import Canceller
from perpsctl.engine.desk import OrderDesk
from perpsctl.engine.exit_facts import pending_payload, position_of, shut_reason
from perpsctl.engine.outdated import current
from perpsctl.engine.reading import VENUE_ERRORS, Reads
from perpsctl.engine.resting import resting_life
from perpsctl.engine.sending import OutcomeUnrecorded, Sender, Sent, gate_refused, outcome_text
from perpsctl.engine.views import Views
from perpsctl.risk.judge import approve_exit
from perpsctl.risk.limits import RiskLimits

DEFAULT_WAIT: Final = timedelta(seconds=30)
MAX_ROUNDS: Final = 12
ROUND_PAUSE: Final = timedelta(milliseconds=250)
CANCEL_WAIT: Final = timedelta(seconds=5)
RETRY_PENDING: Final = timedelta(seconds=60)
SHUT_CODES: Final = frozenset({DenialCode.PRODUCT_STATUS, DenialCode.SESSION_CLOSED})
READ_AGAIN_CODES: Final = frozenset({DenialCode.ACCOUNT_STALE, DenialCode.NOT_REDUCING, DenialCode.ACCOUNT_MISSING})


@dataclass(slots=True, kw_only=True)
class _Way:
    """One product on its way out."""

    product_id: ProductId
    wanted: Size | None
    road: Road
    unbounded: bool
    reason: str
    deadline: datetime
    retry: bool = False  # it waited in the journal before
    before: Decimal | None = None
    after: Decimal | None = None
    orders: list[PlaceReport] = field(default_factory=list)
    cancels: list[CancelReport] = field(default_factory=list)
    pending: ExitPending | None = None
    denied: Denied | None = None
    problems: dict[str, None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # on the order at hand
    broken: bool = False

    def report(self) -> ExitReport:
        return ExitReport(
            product_id=self.product_id,
            before=self.before,
            after=self.after,
            wanted=self.wanted,
            orders=tuple(self.orders),
            cancels=tuple(self.cancels),
            pending=self.pending,
            denied=self.denied,
            problems=tuple(self.problems),
        )

    @property
    def closed(self) -> bool:
        """True when the position was read and nothing of what was asked for is left."""
        return self.after is not None and self.left(self.after) <= 0

    def left(self, coin: Decimal) -> Decimal:
        """How much of the position read is still to be closed."""
        if self.wanted is None or self.before is None:
            return abs(coin)
        closed = abs(self.before) - abs(coin)
        return max(min(abs(coin), self.wanted - closed), Decimal(0))


class Exits:
    """Closes positions. Works with the kill switch engaged, and with a broken journal as long as the spool takes rows."""

    def __init__(
        self,
        *,
        venue: Venue,
        journal: Journal,
        clock: Clock,
        ids: Ids,
        limits: RiskLimits,
        views: Views,
        desk: OrderDesk,
        sender: Sender,
        canceller: Canceller,
        diagnostics: Diagnostics,
    ) -> None:
        self._venue = venue
        self._journal = journal
        self._clock = clock
        self._ids = ids
        self._limits = limits
        self._views = views
        self._desk = desk
        self._sender = sender
        self._canceller = canceller
        self._diagnostics = diagnostics

    def flatten(
        self,
        products: Iterable[ProductId] | None = None,
        *,
        unbounded: bool = False,
        reason: str = "flatten",
        wait: timedelta = DEFAULT_WAIT,
    ) -> FlattenReport:
        """The positions (of these products) are zero, or the report says which are not and why. Bounded by `wait`."""
        deadline = steady(self._clock) + wait
        wanted = tuple(products) if products is not None else self._held(Allowance(self._clock, wait))
        if wanted is None:
            return FlattenReport(exits=(), unread=("positions",))
        reports = tuple(
            self._leave(self._way(product_id, None, unbounded, reason, self._share(deadline, len(wanted) - number)))
            for number, product_id in enumerate(wanted)
        )
        unread = tuple(f"position of {report.product_id}" for report in reports if report.after is None)
        return FlattenReport(exits=reports, unread=unread)

    def close(
        self,
        product_id: ProductId,
        size: Size | None = None,
        *,
        unbounded: bool = False,
        reason: str = "close",
        wait: timedelta = DEFAULT_WAIT,
    ) -> ExitReport:
        """The position is smaller by `size` (None: gone), or the report says why not. UsageError for no legal size."""
        if size is not None and size <= 0:
            raise UsageError("size must be above zero")
        return self._leave(self._way(product_id, size, unbounded, reason, steady(self._clock) + wait))

    def retry_pending(self, *, wait: timedelta = DEFAULT_WAIT) -> tuple[ExitReport, ...]:
        """Every pending exit whose time has come is tried again, for what it was asked for. Raises JournalUnavailable."""
        now, deadline = self._clock.now(), steady(self._clock) + wait
        due = [each for each in self._journal.exits_pending() if each.retry_at is None or each.retry_at <= now]
        return tuple(
            self._leave(
                replace(
                    self._way(each.product_id, each.size if each.part else None, False, "exit pending", deadline),
                    retry=True,
                )
            )
            for each in due
        )

    def _way(
        self, product_id: ProductId, wanted: Size | None, unbounded: bool, reason: str, deadline: datetime
    ) -> _Way:
        return _Way(
            product_id=product_id,
            wanted=wanted,
            road=Road.SWITCH,
            unbounded=unbounded,
            reason=reason,
            deadline=deadline,
        )

    def _share(self, deadline: datetime, products: int) -> datetime:
        """Until when the first of so many products may take: one that goes slowly leaves time for the next."""
        now = steady(self._clock)
        return now + max(deadline - now, timedelta(0)) / products

    def _held(self, time: Allowance) -> tuple[ProductId, ...] | None:
        while True:
            with self._venue.within(time.asking):
                positions = Reads().attempt("positions", self._venue.positions)
            if positions is not None:
                return tuple(dict.fromkeys(p.product_id for p in positions.positions if p.coin != 0))
            if time.spent():
                return None
            time.pause(ROUND_PAUSE)

    # --- one product -----------------------------------------------------------------------------------------

    def _leave(self, way: _Way) -> ExitReport:
        time = Allowance(self._clock, max(way.deadline - steady(self._clock), timedelta(0)))
        for turn in range(MAX_ROUNDS):
            with self._venue.within(time.asking):
                if self._round(way, time):
                    break
            if time.spent():
                way.problems["time is over"] = None
                break
            if turn < MAX_ROUNDS - 1:
                time.pause(ROUND_PAUSE)
        self._settle(way)
        return way.report()

    def _round(self, way: _Way, time: Allowance) -> bool:
        """Cancel, read, reduce once, read again. True when there is nothing more to do now."""
        budget = max(way.deadline - steady(self._clock), timedelta(0))
        cancelled = self._canceller.cancel_all(way.product_id, wait=min(CANCEL_WAIT, budget))
        if cancelled.requested or cancelled.problems:
            way.cancels.append(cancelled)
        position = self._read(way)
        if position is None:
            return False
        way.before = position.coin if way.before is None else way.before
        way.after = position.coin
        booked = self._booked(way)
        left = way.left(position.coin)
        if left <= 0:
            return True
        try:
            seen = self._views.for_exit(way.product_id)
        except VENUE_ERRORS as error:
            way.problems[error.message] = None
            return False
        if self._shut_now(way, left, seen.view.market.status):
            return True
        order = self._order(way, position, Size(left), seen.view)
        if order is None:
            return True
        if time.asking <= timedelta(0):
            return False  # a write has a deadline of its own, and would be begun after ours
        ended = self._send(way, order, seen.view, booked)
        self._read_after(way)
        return ended or way.closed

    def _read(self, way: _Way) -> Position | None:
        reads = Reads()
        read = reads.attempt("positions", self._venue.positions)
        if read is None:
            way.after = None
            way.problems.update(dict.fromkeys(reads.notes))
            return None
        return position_of(read, way.product_id)

    def _read_after(self, way: _Way) -> None:
        position = self._read(way)
        way.after = None if position is None else position.coin

    def _shut_now(self, way: _Way, left: Decimal, status: TradingStatus | None) -> bool:
        """A product that takes no orders at all is not asked: the exit is pending until it does."""
        if status is None or status.takes_orders:
            return False
        opens = status.session.opens if status.session is not None else None
        self._pend(way, Size(left), shut_reason(status), opens)
        return True

    def _order(self, way: _Way, position: Position, left: Size, view: RiskView) -> QuantizedOrder | None:
        status = view.market.status
        resting = status is not None and status.post_only and not way.unbounded
        price = None if way.unbounded else self._price(position.closing_side, view, resting=resting)
        way.notes = ()
        if price is not None:
            price = self._drawn_in(way, position.closing_side, price, view)
        elif not way.unbounded:
            self._pend(way, left, "no price is known to bound the exit with; --unbounded closes without one", None)
            return None
        now = self._clock.now()
        tif, expires = resting_life(self._venue.capabilities, now, self._limits)
        intent = OrderIntent(
            id=IntentId(self._ids.new()),
            product_id=way.product_id,
            side=position.closing_side,
            size=left,
            type=OrderType.MARKET if way.unbounded else OrderType.LIMIT,
            tif=tif if resting else TimeInForce.IOC,
            limit_price=price,
            post_only=resting,
            reduce_only=True,
            expires=expires if resting else None,
            origin=Origin.STRATEGY,  # put on the grid towards less risk: never more than the position, never past the collar
            road=way.road,
            reason=way.reason,
            created_at=now,
        )
        try:
            return quantize(intent, view.product)
        except UsageError as error:
            self._pend(way, left, error.message, None)
            return None

    def _price(self, side: Side, view: RiskView, *, resting: bool) -> Price | None:
        """The collar's edge from the best known price; at the touch where only resting orders are taken."""
        book = view.market.book
        if resting:
            touch = None if book is None else (book.best_bid if side is Side.BUY else book.best_ask)
            return touch if touch is not None else view.market.best_known_price()
        known = view.market.best_known_price()
        if known is None:
            return None
        return Price(known * (1 + side.sign * self._limits.exit_collar_bps / 10_000))

    def _drawn_in(self, way: _Way, side: Side, price: Price, view: RiskView) -> Price:
        """The price within the venue's own limits, told on the order: intent and wire stay equal (I7).

        The venue moves a price beyond them without a word. Limits that are not fresh are left alone: they could keep the
        exit away from a market that has moved on.
        """
        limits, age = view.product.price_limits, view.now - view.product.as_of
        if limits is None or not timedelta(0) <= age <= timedelta(seconds=self._limits.mark_age_max_s):
            return price
        drawn = limits.drawn_in(side, price)
        if drawn != price:
            way.notes = (f"the venue's price limit bounds the exit at {plain(drawn)} instead of {plain(price)}",)
        return drawn

    # --- one order --------------------------------------------------------------------------------------------

    def _booked(self, way: _Way) -> Booked | None:
        """What the journal holds before the reads an order is judged by; None with a broken one, which the spool replaces."""
        try:
            return None if way.broken else self._journal.booked()
        except JournalUnavailable:
            return None  # told where the intent is committed

    def _send(self, way: _Way, order: QuantizedOrder, view: RiskView, before: Booked | None) -> bool:
        """Send once and take in the ending. True when another round cannot help now."""
        try:
            ended = self._decide_and_send(way, order, view, before)
            way.denied = None
        except PerpsctlError as error:
            way.problems[error.message] = None
            self._diagnostics.alarm("exit_failed", product_id=way.product_id, problem=error.message)
            return True
        if isinstance(ended, Denied):
            return self._take_in_denial(way, order, ended)
        way.problems.update(dict.fromkeys(ended.notes))
        return self._take_in(way, order, ended)

    def _decide_and_send(
        self, way: _Way, order: QuantizedOrder, view: RiskView, before: Booked | None
    ) -> Denied | Sent:
        def judge(booked: Booked) -> Approved | Denied:  # overtaken: denied, and the next round reads again
            return approve_exit(order, current(view, before, booked, self._clock.now(), last=True), self._limits)

        if not way.broken:
            try:
                ended = self._sender.send(order, judge, unbounded=way.unbounded)
            except JournalUnavailable as error:
                if isinstance(error, OutcomeUnrecorded):
                    raise  # it was sent; only its record is missing
                way.broken, cause = True, error
            else:
                if isinstance(ended, Known):
                    raise UsageError("a fresh exit id was known to the journal; nothing was sent")
                return ended
        else:
            cause = JournalUnavailable("the journal is broken")
        return self._sender.send_spooled(
            order, lambda: approve_exit(order, view, self._limits), broken=cause, unbounded=way.unbounded
        )

    def _take_in_denial(self, way: _Way, order: QuantizedOrder, denied: Denied) -> bool:
        """A denial over what was just read wrong or old is worth another read; a shut product is pending."""
        way.denied = denied
        codes = {denial.code for denial in denied.denials}
        told = "; ".join(f"{d.code.value} {d.observed} ({d.limit})" for d in denied.denials)
        way.problems[f"denied: {told}"] = None
        if codes & SHUT_CODES:
            self._pend(way, order.size, told, None)
            return True
        return not codes <= READ_AGAIN_CODES

    def _take_in(self, way: _Way, order: QuantizedOrder, ended: Sent) -> bool:
        outcome = ended.outcome
        if isinstance(outcome, Unknown) and not way.broken:
            budget = max(way.deadline - steady(self._clock), timedelta(0))
            outcome = self._desk.end_doubt(order.intent.id, outcome, budget)
        shut = gate_refused(outcome)
        venue_order, notes = (
            (None, ()) if shut else self._desk.read_back(order.intent.id, outcome, one_shot=order.one_shot)
        )
        way.orders.append(
            PlaceReport(
                intent_id=order.intent.id,
                denied=shut,
                outcome=None if shut else outcome,
                order=venue_order,
                notes=(*way.notes, *ended.notes, *notes),
            )
        )
        if isinstance(outcome, Rejected):
            self._pend(way, order.size, f"the venue refused: {shown(outcome.reason)}", None)
            return True
        if isinstance(outcome, Unknown):
            way.problems[f"exit {order.intent.id} is in doubt: {outcome.reason}"] = None
            return True
        if isinstance(outcome, NotSent):
            way.problems[outcome_text(outcome)] = None
            return shut is not None
        if not order.one_shot:
            self._pend(way, order.size, "post-only: the exit rests at the touch", None)
            return True
        return False

    # --- pending ----------------------------------------------------------------------------------------------

    def _pend(self, way: _Way, size: Size, reason: str, retry_at: datetime | None) -> None:
        now = self._clock.now()
        later = now + RETRY_PENDING
        at = later if retry_at is None or retry_at <= now else min(retry_at, later)
        part = way.wanted is not None
        way.pending = ExitPending(product_id=way.product_id, size=size, reason=reason, retry_at=at, part=part)
        way.problems[f"exit pending: {reason}"] = None

    def _settle(self, way: _Way) -> None:
        """What is pending is in the journal; what was pending and is done now is settled there.

        A part never takes the place of a whole position that waits already, nor ends it; a part that was closed in part
        waits for the rest alone.
        """
        try:
            held = next((each for each in self._journal.exits_pending() if each.product_id == way.product_id), None)
            whole = held is not None and not held.part
            if way.after == 0 or (way.closed and not whole):
                way.pending = None
                if held is not None:
                    payload = {"product_id": str(way.product_id)}
                    self._journal.record_event(EventKind.EXIT_SETTLED, payload)  # step: exit_settled
                return
            if way.pending is None and held is not None and held.part and way.after is not None:
                if way.retry and (left := Size(way.left(way.after))) != held.size:
                    self._pend(way, left, held.reason, None)
            if way.pending is not None and not (whole and way.pending.part):
                self._journal.record_event(EventKind.EXIT_PENDING, pending_payload(way.pending))  # step: exit_pending
        except JournalUnavailable as error:
            way.problems[f"journal: {error.message}"] = None
