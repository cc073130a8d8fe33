"""Changes orders of ours: an edit is an intent of its own; a replacement waits for a proven cancel.

An edit never silently becomes cancel and create, and nothing is placed while the order it replaces could still fill.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from perpsctl.domain.accounts import Booked, RiskView
from perpsctl.domain.errors import InvariantBroken, UsageError
from perpsctl.domain.numbers import Size, plain
from perpsctl.domain.orders import (
    EditIntent,
    OrderIntent,
    OrderType,
    QuantizedEdit,
    SubmitOutcome,
    TimeInForce,
    Unknown,
    VenueOrder,
)
from perpsctl.domain.ports import Clock, Halts, Journal, Known, Venue
from perpsctl.domain.quantize import quantize_edit
from perpsctl.domain.reports import HaltState, IntentRecord, IntentStage, PlaceReport, ReplaceReport
from perpsctl.domain.verdicts import ApprovedChange, Denial, Denied
from perpsctl.engine.cancels import Canceller
from perpsctl.engine.desk import DEFAULT_WAIT, OrderDesk
from perpsctl.engine.outdated import JUDGE_ATTEMPTS, ViewOutdated, current
from perpsctl.engine.sending import Sender, Sent, gate_refused, switch_denial
from perpsctl.engine.tracking import Tracker
from perpsctl.engine.views import Views
from perpsctl.risk.judge import evaluate_edit
from perpsctl.risk.limits import RiskLimits


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

        Nothing is placed while the cancel is unproven, and nothing when the old order filled to the new total.
        """
        target, order = self._edited(edit)
        _must_rest(target)
        forbidden = self._forbids_entries()
        if forbidden:  # before the cancel: a replacement that cannot be placed must not cost the old order
            raise UsageError(f"entries are not allowed here ({forbidden[0].code.value}); the old order stands")
        cancelled = self._canceller.cancel([str(edit.venue_order_id)], wait=wait)
        final = self._venue.order(edit.venue_order_id) if edit.venue_order_id in cancelled.gone else None
        if final is None or not final.status.final:
            note = "the old order is not proven gone, so nothing was placed"
            return ReplaceReport(cancelled=cancelled, old_filled=None, placed=None, notes=(note,))
        total = edit.new_size if edit.new_size is not None else order.size
        left = Decimal(0) if total is None else total - final.filled
        if left <= 0:
            note = f"{plain(final.filled)} was filled already: nothing is left to place"
            return ReplaceReport(cancelled=cancelled, old_filled=final.filled, placed=None, notes=(note,))
        placed = self._desk.place(replacement(target, edit, Size(left)), wait=wait)
        return ReplaceReport(cancelled=cancelled, old_filled=final.filled, placed=placed, notes=())

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
    if target.type is not OrderType.LIMIT or target.tif not in (TimeInForce.GTC, TimeInForce.GTD):
        raise UsageError("only a resting limit order can be replaced")
