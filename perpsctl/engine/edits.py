"""Changes orders of ours: an edit is an intent of its own; a replacement waits for a proven cancel.

An edit never silently becomes cancel and create. Nothing is cancelled for a replacement that would be denied, and nothing
is placed while the order it replaces could still fill.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from perpsctl.domain.accounts import Booked, RiskView
from perpsctl.domain.errors import ExitCode, InvariantBroken, PerpsctlError, UsageError
from perpsctl.domain.ids import IntentId, VenueOrderId
from perpsctl.domain.numbers import Size, plain
from perpsctl.domain.orders import (
    EditIntent,
    OrderIntent,
    OrderType,
    QuantizedEdit,
    QuantizedOrder,
    Road,
    SubmitOutcome,
    TimeInForce,
    Unknown,
    VenueOrder,
)
from perpsctl.domain.ports import Clock, Halts, Journal, Known, Venue
from perpsctl.domain.quantize import quantize_edit
from perpsctl.domain.reports import CancelReport, HaltState, IntentRecord, IntentStage, PlaceReport, ReplaceReport
from perpsctl.domain.verdicts import Approved, ApprovedChange, Denial, Denied
from perpsctl.engine.cancels import Canceller
from perpsctl.engine.desk import DEFAULT_WAIT, OrderDesk, Verdict, same_terms
from perpsctl.engine.outdated import JUDGE_ATTEMPTS, ViewOutdated, current
from perpsctl.engine.sending import OutcomeUnrecorded, Sender, Sent, gate_refused, switch_denial
from perpsctl.engine.tracking import Tracker
from perpsctl.engine.views import Views
from perpsctl.risk.judge import evaluate, evaluate_edit
from perpsctl.risk.limits import RiskLimits

NOTHING_CANCELLED: Final = CancelReport(requested=(), gone=(), still_live=(), unproven=(), problems=())


class HalfReplaced(PerpsctlError):
    """The old order is gone and the remainder was not placed: nothing of either rests."""

    code = "half_replaced"
    exit_code = ExitCode.PARTLY_DONE

    def __init__(self, old: VenueOrderId, cause: PerpsctlError) -> None:
        super().__init__(
            f"order {old} is gone and what it left was not placed: {cause.message}",
            fix="look at `perpsctl order list --all`, then place what is missing under a new id",
        )


class EditDesk:
    """Edits and replaces working orders of ours."""

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
        sender: Sender,
        canceller: Canceller,
        desk: OrderDesk,
        forbids_entries: Callable[[], tuple[Denial, ...]] = lambda: (),
    ) -> None:
        self._venue = venue
        self._journal = journal
        self._halts = halts
        self._clock = clock
        self._limits = limits
        self._views = views
        self._tracker = tracker
        self._sender = sender
        self._canceller = canceller
        self._desk = desk
        self._forbids_entries = forbids_entries

    def edit(self, intent: EditIntent, *, wait: timedelta = DEFAULT_WAIT) -> PlaceReport:
        """The order carries the new terms, or the old ones, or both are counted until evidence tells (E24).

        Raises as `OrderDesk.place`; UsageError when the order is not a working one of ours.
        """
        known = self._journal.intent(intent.id)
        if known is not None:
            return self._replay(known, intent, wait)
        target, order = self._edited(intent)
        facts = self._halts.facts()
        if facts.state is not HaltState.RELEASED:
            denied = switch_denial(facts.reason)
            return PlaceReport(intent_id=intent.id, denied=denied, outcome=None, order=order)
        forbidden = self._forbids_entries()
        if forbidden:
            return PlaceReport(intent_id=intent.id, denied=Denied(denials=forbidden), outcome=None, order=order)
        product = self._views.product(order.product_id)
        edit = quantize_edit(intent, order, product, post_only=target.post_only, reduce_only=target.reduce_only)
        ended, seen_notes = self._judge_and_send(edit)
        if isinstance(ended, Known):
            return self._replay(ended.record, intent, wait)
        if isinstance(ended, Denied):
            return PlaceReport(intent_id=intent.id, denied=ended, outcome=None, order=order, notes=seen_notes)
        outcome = self._desk.end_doubt(intent.id, ended.outcome, wait)
        refused = gate_refused(outcome)
        changed, notes = self._desk.read_back(target.id, outcome, one_shot=False)
        return PlaceReport(
            intent_id=intent.id,
            denied=refused,
            outcome=None if refused is not None else outcome,
            order=changed or order,
            notes=seen_notes + ended.notes + notes,
        )

    def _judge_and_send(self, edit: QuantizedEdit) -> tuple[Denied | Known | Sent, tuple[str, ...]]:
        """Orders, then the journal, then positions, as for a new order; a view that was overtaken is read again."""
        for attempt in range(JUDGE_ATTEMPTS):
            tracked = self._tracker.update()
            before = self._journal.booked()
            seen = self._views.fresh(edit.product_id, product=edit.product, orders=tracked.orders)
            judge = self._judge(edit, seen.view, before, last=attempt == JUDGE_ATTEMPTS - 1)
            try:
                return self._sender.send_edit(edit, judge), seen.notes
            except ViewOutdated:
                continue
        raise InvariantBroken("the last attempt at a verdict must answer")

    def _judge(
        self, edit: QuantizedEdit, view: RiskView, before: Booked, *, last: bool
    ) -> Callable[[Booked], ApprovedChange | Denied]:
        def judge(booked: Booked) -> ApprovedChange | Denied:
            return evaluate_edit(edit, current(view, before, booked, self._clock.now(), last=last), self._limits)

        return judge

    def replace(self, edit: EditIntent, *, wait: timedelta = DEFAULT_WAIT) -> ReplaceReport:
        """The old order is proven gone, then what it left unfilled is placed with the new terms under the edit's id.

        The new terms are judged first, as if the old order were gone: what would be denied cancels nothing. They are
        judged again at the send. Nothing is placed while the cancel is unproven, nor when the old order filled meanwhile.
        Raises UsageError before anything is cancelled, HalfReplaced when the remainder could not be placed after it.
        """
        known = self._journal.intent(edit.id)
        if known is not None:
            return self._replaced_before(known, edit, wait)
        target, order = self._edited(edit)
        _must_rest(target)
        terms = quantize_edit(
            edit,
            order,
            self._views.product(order.product_id),
            post_only=target.post_only,
            reduce_only=target.reduce_only,
        )
        if terms.new_size == terms.filled:
            raise UsageError(f"the order has filled {plain(terms.filled)} already: nothing would be left to place")
        foreseen = replacement(target, edit, Size(terms.new_size - terms.filled))
        denied, seen_notes = self._desk.rehearse(foreseen, _once_gone(edit))
        if denied is not None:
            notes = ("the old order stands: its replacement was denied before anything was cancelled",)
            placed = PlaceReport(intent_id=edit.id, denied=denied, outcome=None, order=order, notes=seen_notes)
            return ReplaceReport(cancelled=NOTHING_CANCELLED, old_filled=None, placed=placed, notes=notes)
        cancelled = self._canceller.cancel([str(edit.venue_order_id)], wait=wait)
        if edit.venue_order_id not in cancelled.gone:
            return _nothing_placed(cancelled, None, "the old order is not proven gone, so nothing was placed")
        try:
            return self._place_rest(target, edit, terms.new_size, cancelled, wait)
        except (OutcomeUnrecorded, InvariantBroken):
            raise  # the one was sent and says so itself, the other is no answer at all
        except PerpsctlError as error:
            raise HalfReplaced(edit.venue_order_id, error) from error

    def _place_rest(
        self, target: OrderIntent, edit: EditIntent, total: Size, cancelled: CancelReport, wait: timedelta
    ) -> ReplaceReport:
        final = self._venue.order(edit.venue_order_id)
        if final is None or not final.status.final:
            return _nothing_placed(cancelled, None, "the venue does not show how much of the old order filled")
        left = total - final.filled
        if left <= 0:
            note = f"{plain(final.filled)} was filled already: nothing is left to place"
            return _nothing_placed(cancelled, final.filled, note)
        placed = self._desk.place(replacement(target, edit, Size(left)), wait=wait)
        return ReplaceReport(cancelled=cancelled, old_filled=final.filled, placed=placed, notes=())

    def _replaced_before(self, record: IntentRecord, edit: EditIntent, wait: timedelta) -> ReplaceReport:
        """What became of the replacement that has this id; nothing is cancelled and nothing sent."""
        target = self._journal.intent(edit.target)
        if target is not None and isinstance(target.intent, OrderIntent) and isinstance(record.intent, OrderIntent):
            if same_terms(record.intent, replacement(target.intent, edit, record.intent.size)):
                placed = self._desk.place(record.intent, wait=wait)
                return ReplaceReport(cancelled=NOTHING_CANCELLED, old_filled=None, placed=placed, notes=())
        raise UsageError(f"id {edit.id} was used before for other terms; nothing was cancelled and nothing sent")

    def _edited(self, intent: EditIntent) -> tuple[OrderIntent, VenueOrder]:
        target = self._journal.intent(intent.target)
        if target is None or not isinstance(target.intent, OrderIntent):
            raise UsageError("only an order of ours can be changed", fix="see `perpsctl order list`")
        if target.stage is not IntentStage.WORKING:
            raise UsageError(f"the order is {target.stage.value}: only a working order can be changed")
        if target.venue_order_id != intent.venue_order_id and intent.venue_order_id not in target.venue_ids:
            raise UsageError("that order is not this intent's")
        order = self._venue.order(intent.venue_order_id)
        if order is None:
            raise UsageError("the venue knows no order of this id")
        return target.intent, order

    def _replay(self, record: IntentRecord, intent: EditIntent, wait: timedelta) -> PlaceReport:
        if not isinstance(record.intent, EditIntent) or not same_edit(record.intent, intent):
            raise UsageError(f"id {intent.id} was used before for other terms; nothing was sent")
        outcome: SubmitOutcome | None = record.outcome
        if record.stage.in_doubt:
            doubt = outcome or Unknown(reason="in_doubt", evidence="the outcome was never recorded")
            outcome = self._desk.end_doubt(intent.id, doubt, wait)
        refused = record.denied or (None if outcome is None else gate_refused(outcome))
        return PlaceReport(
            intent_id=intent.id,
            denied=refused,
            outcome=None if refused is not None else outcome,
            order=record.order,
            notes=("this id was used before: nothing was sent this time",),
            replayed=True,
        )


def _once_gone(edit: EditIntent) -> Verdict:
    """The verdict on a replacement as it will be when the order it replaces no longer counts.

    The two are never live together, so the old order's room is the new one's; whatever part of it fills before it is gone
    is missing from the remainder, so that position and remainder add up to no more than was judged (R5).
    """

    def verdict(order: QuantizedOrder, view: RiskView, limits: RiskLimits) -> Approved | Denied:
        return evaluate(order, without_order(view, edit.venue_order_id, edit.target), limits)

    return verdict


def without_order(view: RiskView, venue_order_id: VenueOrderId, intent_id: IntentId) -> RiskView:
    """The view in which this order of ours, and every change of it, can fill no more."""
    orders, booked = view.orders, view.booked_part
    if orders is not None:
        kept = tuple(each for each in orders.orders if each.venue_order_id != venue_order_id)
        orders = replace(orders, orders=kept)
    if booked is not None:
        live = tuple(e for e in booked.live if e.venue_order_id != venue_order_id and e.intent_id != intent_id)
        recent = tuple(each for each in booked.recent if each.intent_id != intent_id)
        booked = replace(booked, live=live, recent=recent)
    return replace(view, orders=orders, booked_part=booked)


def _nothing_placed(cancelled: CancelReport, old_filled: Size | None, note: str) -> ReplaceReport:
    return ReplaceReport(cancelled=cancelled, old_filled=old_filled, placed=None, notes=(note,))


def same_edit(stored: EditIntent, asked: EditIntent) -> bool:
    """True when both ask for the same change."""
    return (stored.target, stored.venue_order_id, stored.new_price, stored.new_size) == (
        asked.target,
        asked.venue_order_id,
        asked.new_price,
        asked.new_size,
    )


def replacement(target: OrderIntent, edit: EditIntent, left: Size) -> OrderIntent:
    """The old order's intent with the edit's id, price and moment, for what is left of the size."""
    return replace(
        target,
        id=edit.id,
        size=left,
        limit_price=target.limit_price if edit.new_price is None else edit.new_price,
        origin=edit.origin,
        reason="replace",
        again=True,  # the old order's own intent must not count as a duplicate of its replacement
        created_at=edit.created_at,
    )


def _must_rest(target: OrderIntent) -> None:
    rests = target.type is OrderType.LIMIT and target.tif in (TimeInForce.GTC, TimeInForce.GTD)
    if not rests or target.road is not Road.ENTRY:
        raise UsageError("only a resting limit order can be replaced")
