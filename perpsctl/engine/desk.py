"""Places orders. Every order that can add exposure passes through `place`; nothing is sent twice.

The road: known id -> grid -> dated view -> verdict and commit in one transaction -> one send through the gate -> recorded
outcome -> doubt ended by evidence, or told. What this room must never do: judge outside `decide`, or repeat a send.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, TypeVar

from perpsctl.domain.accounts import Booked, OrdersRead, RiskView
from perpsctl.domain.errors import InvariantBroken, JournalUnavailable, UsageError
from perpsctl.domain.ids import IntentId, ProductId
from perpsctl.domain.numbers import Size
from perpsctl.domain.orders import (
    Accepted,
    OrderIntent,
    OrderStatus,
    Origin,
    QuantizedOrder,
    Road,
    SubmitOutcome,
    TimeInForce,
    Unknown,
    VenueOrder,
)
from perpsctl.domain.ports import Clock, Diagnostics, Halts, Journal, Known, Venue
from perpsctl.domain.products import VenueCapabilities
from perpsctl.domain.quantize import quantize
from perpsctl.domain.reports import CancelReport, HaltState, IntentRecord, PlaceReport, PreviewReport
from perpsctl.domain.sides import Side
from perpsctl.domain.verdicts import Approved, Denial, Denied
from perpsctl.engine.allowance import steady
from perpsctl.engine.cancels import Canceller
from perpsctl.engine.outdated import JUDGE_ATTEMPTS, ViewOutdated, current
from perpsctl.engine.reading import Reads
from perpsctl.engine.resolver import Resolver
from perpsctl.engine.sending import Judge, OutcomeUnrecorded, Sender, Sent, gate_refused, switch_denial
from perpsctl.engine.tracking import Tracker
from perpsctl.engine.transfers import TransferBook
from perpsctl.engine.views import Seen, Views
from perpsctl.risk.judge import approve_exit, evaluate
from perpsctl.risk.limits import RiskLimits

DEFAULT_WAIT: Final = timedelta(seconds=20)
READ_BACK_PAUSE: Final = timedelta(milliseconds=100)
READ_BACK_RESTING: Final = timedelta(seconds=1)
READ_BACK_ONE_SHOT: Final = timedelta(seconds=3)
Verdict = Callable[[QuantizedOrder, RiskView, RiskLimits], Approved | Denied]
T = TypeVar("T")
_SETTLING: Final = frozenset({OrderStatus.PENDING, OrderStatus.UNRECOGNISED})


class OrderDesk:
    """Places orders, with each outcome in the journal before it is told."""

    def __init__(
        self,
        *,
        venue: Venue,
        journal: Journal,
        halts: Halts,
        clock: Clock,
        limits: RiskLimits,
        views: Views,
        tracker: Tracker,
        resolver: Resolver,
        sender: Sender,
        canceller: Canceller,
        diagnostics: Diagnostics,
        forbids_entries: Callable[[], tuple[Denial, ...]] = lambda: (),
    ) -> None:
        self._venue = venue
        self._journal = journal
        self._halts = halts
        self._clock = clock
        self._limits = limits
        self._views = views
        self._tracker = tracker
        self._resolver = resolver
        self._sender = sender
        self._canceller = canceller
        self._diagnostics = diagnostics
        self._forbids_entries = forbids_entries
        self._transfers = TransferBook(venue=venue, journal=journal)

    # --- place --------------------------------------------------------------------------------------------

    def place(self, intent: OrderIntent, *, wait: timedelta = DEFAULT_WAIT) -> PlaceReport:
        """The order is at the venue at most once, and the report says which of the endings is proven.

        Raises UsageError for terms that cannot be an order or differ from those stored under this id, a venue error
        when the product could not be read, JournalUnavailable when nothing was sent, OutcomeUnrecorded when it was.
        """
        known = self._journal.intent(intent.id)
        if known is not None:
            return self._replay(known, intent, wait)
        denied = self._refused_at_the_door(intent)
        if denied is not None:
            return PlaceReport(intent_id=intent.id, denied=denied, outcome=None, order=None)
        check_offered(intent, self._venue.capabilities)
        order = quantize(intent, self._views.product(intent.product_id))
        if intent.road is Road.ENTRY:
            ended, notes = self._enter(order, self._sender.send)
        else:
            ended, notes = self._leave(order)
        return self._finish(order, ended, notes, wait)

    def rehearse(self, intent: OrderIntent, verdict: Verdict) -> tuple[Denied | None, tuple[str, ...]]:
        """The denial that `verdict` has for this entry now, committed under its id; None when it would be approved.

        Nothing is sent and an approval is not kept: `place` asks again. Raises what `place` raises before a send.
        """
        denied = self._refused_at_the_door(intent)
        if denied is not None:
            return denied, ()
        check_offered(intent, self._venue.capabilities)
        order = quantize(intent, self._views.product(intent.product_id))
        told, notes = self._enter(order, lambda order, judge: judge(self._journal.booked()), verdict)
        if not isinstance(told, Denied):
            return None, notes
        self._keep_denial(intent, order.size, told)
        return told, notes

    def _enter(
        self, order: QuantizedOrder, deliver: Callable[[QuantizedOrder, Judge], T], verdict: Verdict = evaluate
    ) -> tuple[T, tuple[str, ...]]:
        """What `deliver` makes of the judge of this order; a view that was overtaken meanwhile is read again."""
        for attempt in range(JUDGE_ATTEMPTS):
            seen, before = self._entry_view(order)
            if attempt == 0:
                seen = self._losses_explained(seen)
            judge = self._judge(verdict, order, seen.view, before, last=attempt == JUDGE_ATTEMPTS - 1)
            try:
                return deliver(order, judge), seen.notes
            except ViewOutdated:
                continue
        raise InvariantBroken("the last attempt at a verdict must answer")

    def _entry_view(self, order: QuantizedOrder) -> tuple[Seen, Booked]:
        """Orders, then the journal brought up to date, then positions: a fill in between is counted twice, never lost."""
        tracked = self._tracker.update()
        before = self._journal.booked()
        seen = self._views.fresh(order.product_id, product=order.product, orders=tracked.orders)
        return replace(seen, problems=tracked.problems + seen.problems), before

    def _losses_explained(self, seen: Seen) -> Seen:
        """Where a loss is over its limit the venue's books are asked first: a withdrawal is not a loss (design 6)."""
        reads = Reads()
        self._transfers.explain(seen.view, self._limits, reads)
        return replace(seen, problems=seen.problems + reads.problems)

    def _leave(self, order: QuantizedOrder) -> tuple[Denied | Known | Sent, tuple[str, ...]]:
        notes: tuple[str, ...] = ()
        for attempt in range(JUDGE_ATTEMPTS):
            before, seen = self._journal.booked(), self._views.for_exit(order.product_id)
            if attempt == 0 and (notes := self.clear_way(order, seen.view.orders)):
                before, seen = self._journal.booked(), self._views.for_exit(order.product_id)
            judge = self._judge(approve_exit, order, seen.view, before, last=attempt == JUDGE_ATTEMPTS - 1)
            try:
                return self._sender.send(order, judge), (*notes, *seen.notes)
            except ViewOutdated:
                continue
        raise InvariantBroken("the last attempt at a verdict must answer")

    def _judge(
        self,
        verdict: Verdict,
        order: QuantizedOrder,
        view: RiskView,
        before: Booked,
        *,
        last: bool,
    ) -> Judge:
        def judge(booked: Booked) -> Approved | Denied:
            return verdict(order, current(view, before, booked, self._clock.now(), last=last), self._limits)

        return judge

    def clear_way(self, order: QuantizedOrder, orders: OrdersRead | None) -> tuple[str, ...]:
        """Our own resting orders that this exit would cross are cancelled first; notes say what was done."""
        if orders is None or not order.takes:
            return ()
        crossed = [other for other in orders.orders if crosses(order, other)]
        if not crossed:
            return ()
        report = self._canceller.cancel([str(other.venue_order_id) for other in crossed])
        return (f"cancelled {len(report.gone)} of {len(crossed)} own orders in the way", *report.problems)

    def _refused_at_the_door(self, intent: OrderIntent) -> Denied | None:
        """What is refused before anything is read: an engaged switch, and entries where the profile allows none.

        The switch here is a courtesy: the gate looks again, for real, at the send (R1).
        """
        if intent.road is Road.SWITCH:
            return None
        facts = self._halts.facts()
        forbidden = self._forbids_entries() if intent.road is Road.ENTRY else ()
        if facts.state is not HaltState.RELEASED:
            denied = switch_denial(facts.reason or f"latch {facts.latch}, journal {facts.journal}")
        elif forbidden:
            denied = Denied(denials=forbidden)
        else:
            return None
        self._keep_denial(intent, intent.size, denied)
        return denied

    def _keep_denial(self, intent: OrderIntent, size: Size, denied: Denied) -> None:
        try:
            self._journal.decide(intent, size, lambda booked: denied)
        except JournalUnavailable as error:  # the answer stands without its record: nothing is sent either way
            self._diagnostics.alarm("denial_unrecorded", intent_id=intent.id, problem=error.message)

    # --- endings -------------------------------------------------------------------------------------------

    def _finish(
        self, order: QuantizedOrder, ended: Denied | Known | Sent, notes: tuple[str, ...], wait: timedelta
    ) -> PlaceReport:
        intent = order.intent
        if isinstance(ended, Denied):
            return PlaceReport(intent_id=intent.id, denied=ended, outcome=None, order=None, notes=notes)
        if isinstance(ended, Known):
            return self._replay(ended.record, intent, wait)
        notes += ended.notes
        outcome = self.end_doubt(intent.id, ended.outcome, wait)
        denied = gate_refused(outcome)
        if denied is not None:
            return PlaceReport(intent_id=intent.id, denied=denied, outcome=None, order=None, notes=notes)
        venue_order, more = self.read_back(intent.id, outcome, one_shot=order.one_shot)
        return PlaceReport(intent_id=intent.id, denied=None, outcome=outcome, order=venue_order, notes=notes + more)

    def end_doubt(self, intent_id: IntentId, outcome: SubmitOutcome, wait: timedelta) -> SubmitOutcome:
        """Unknown is looked into for `wait`; a contradiction is not, for no listing can settle it."""
        if not isinstance(outcome, Unknown) or outcome.alarm:
            return outcome
        try:
            record = self._journal.intent(intent_id)
            if record is None:
                raise InvariantBroken(f"intent {intent_id} was committed and is not in the journal")
            found = self._resolver.resolve(record, wait)
        except JournalUnavailable as error:
            raise OutcomeUnrecorded(intent_id, outcome, error) from error
        if isinstance(found, Unknown) and not found.alarm:
            return replace(outcome, evidence=f"{outcome.evidence}; {found.evidence}")
        return found

    def _replay(self, record: IntentRecord, intent: OrderIntent, wait: timedelta) -> PlaceReport:
        """The stored intent's outcome; nothing is sent. Doubt is looked into once more, which only reads."""
        if not isinstance(record.intent, OrderIntent) or not same_terms(record.intent, intent):
            raise UsageError(
                f"id {intent.id} was used before for other terms; nothing was sent", fix="choose another id"
            )
        outcome = record.outcome
        if record.stage.in_doubt:
            doubt = outcome or Unknown(reason="in_doubt", evidence="the outcome was never recorded")
            outcome = self.end_doubt(intent.id, doubt, wait)
            record = self._journal.intent(intent.id) or record
        denied = record.denied
        if denied is None and outcome is not None:
            denied = gate_refused(outcome)
        return PlaceReport(
            intent_id=intent.id,
            denied=denied,
            outcome=None if denied is not None else outcome,
            order=record.order,
            notes=("this id was placed before: nothing was sent this time",),
            replayed=True,
        )

    def read_back(
        self, intent_id: IntentId, outcome: SubmitOutcome, *, one_shot: bool
    ) -> tuple[VenueOrder | None, tuple[str, ...]]:
        """The accepted order as the venue shows it once it settled, booked; a failed read is a note, never an ending."""
        if not isinstance(outcome, Accepted):
            return None, ()
        reads, order = Reads(), outcome.order
        deadline = steady(self._clock) + (READ_BACK_ONE_SHOT if one_shot else READ_BACK_RESTING)
        while not _settled(order, one_shot=one_shot):
            order = reads.attempt("order", lambda: self._venue.order(outcome.venue_order_id)) or order
            if _settled(order, one_shot=one_shot) or steady(self._clock) >= deadline:
                break
            self._clock.sleep(READ_BACK_PAUSE)
        if order is None:
            return None, reads.notes or ("accepted; the venue does not show the order yet",)
        return order, tuple(problem.note for problem in self._tracker.settle([(order, intent_id)]))

    # --- others ----------------------------------------------------------------------------------------------

    def cancel(self, ids: Sequence[str], *, wait: timedelta = timedelta(seconds=10)) -> CancelReport:
        """Each id is proven gone or named as live or unproven; a broken journal stops nothing."""
        return self._canceller.cancel(ids, wait=wait)

    def cancel_all(
        self, product_id: ProductId | None = None, *, wait: timedelta = timedelta(seconds=10)
    ) -> CancelReport:
        """No derivatives order rests (on this product), or the report says which may."""
        return self._canceller.cancel_all(product_id, wait=wait)

    def preview(self, intent: OrderIntent) -> PreviewReport:
        """What the venue would say and what we would; nothing is committed and nothing sent."""
        check_offered(intent, self._venue.capabilities)
        order = quantize(intent, self._views.product(intent.product_id))
        reads = Reads()
        preview = reads.attempt("preview", lambda: self._venue.preview(order))
        if intent.road is Road.ENTRY:
            seen = self._views.fresh(order.product_id, product=order.product)
            verdict = evaluate(order, seen.view.booked(self._journal.booked()), self._limits)
        else:
            seen = self._views.for_exit(order.product_id)
            verdict = approve_exit(order, seen.view.booked(self._journal.booked()), self._limits)
        denied = verdict if isinstance(verdict, Denied) else None
        notes = reads.notes + seen.notes + (() if isinstance(verdict, Denied) else verdict.notes)
        return PreviewReport(order=order, preview=preview, denied=denied, notes=notes)


def check_offered(intent: OrderIntent, capabilities: VenueCapabilities) -> None:
    """The venue offers such an order; UsageError says what it does not offer, and what does instead."""
    if intent.tif is TimeInForce.GTD and not capabilities.native_gtd:
        raise UsageError(
            "this venue has no good-till-date orders, and a single command does not live to cancel one",
            fix="use gtc and cancel it yourself, or ioc; `run` expires its own orders",
        )


def crosses(order: QuantizedOrder, other: VenueOrder) -> bool:
    """True when taking with `order` could meet `other`, a live order of the same portfolio."""
    if other.product_id != order.product_id or other.side is order.side or other.status.final:
        return False
    if order.limit_price is None or other.limit_price is None:
        return True
    if order.side is Side.BUY:
        return order.limit_price >= other.limit_price
    return order.limit_price <= other.limit_price


def same_terms(stored: OrderIntent, asked: OrderIntent) -> bool:
    """True when both ask for the same order; why, when and with which overrides it was asked does not matter."""
    return _terms(stored) == _terms(asked)


def _terms(intent: OrderIntent) -> OrderIntent:
    return replace(
        intent,
        created_at=datetime.min,  # noqa: DTZ901 - a placeholder on both sides of one comparison, never shown
        reason="",
        again=False,
        rest_through=False,
        origin=Origin.OPERATOR,
        size=Size(intent.size.normalize()),
    )


def _settled(order: VenueOrder | None, *, one_shot: bool) -> bool:
    if order is None:
        return False
    return order.status.final if one_shot else order.status not in _SETTLING
