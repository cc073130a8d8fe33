"""What each kind of row holds, and how what is known of one intent moves as outcomes and order states arrive. Pure.

A proven ending is never taken back by a later word: what contradicts it becomes an alarm row. The one move out of a
proven end is an order that shows up after all: it is adopted under its intent, and alarmed (design 5).
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import assert_never

from perpsctl.domain.accounts import EquityMark, TradingState
from perpsctl.domain.ids import ClientOrderId, ProductId, VenueOrderId
from perpsctl.domain.numbers import NO_SIZE, Price, Size
from perpsctl.domain.orders import (
    Accepted,
    EditIntent,
    Fill,
    NotSent,
    OrderIntent,
    OrderStatus,
    QuantizedEdit,
    Rejected,
    SubmitOutcome,
    TimeInForce,
    Unknown,
    VenueOrder,
    later_status,
)
from perpsctl.domain.reports import IntentRecord, IntentStage
from perpsctl.domain.sides import Side
from perpsctl.domain.verdicts import Approved, ApprovedChange, Denied
from perpsctl.journal.codec import dumps

EDIT_SETTLES_AFTER = timedelta(seconds=30)  # an accepted edit is listed by then (design 5: 20 s visibility, and slack)


class Kind(StrEnum):
    """Kinds of rows besides those of EventKind."""

    INTENT = "intent"
    EDIT = "edit"
    OUTCOME = "outcome"
    ORDER = "order"
    FILL = "fill"
    MARK = "mark"
    HALT = "halt"
    LEASE = "lease"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTerms:
    """An approved order as it would be sent: what "sent is what was meant" is checked against (I7)."""

    size: Size
    limit_price: Price | None
    stop_price: Price | None
    contract_size: Size | None
    client_order_id: ClientOrderId | None
    judged_at: datetime
    notes: tuple[str, ...] = ()
    leverage_note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditTerms:
    """An approved edit with the order's terms before and after."""

    product_id: ProductId
    side: Side
    old_size: Size
    old_price: Price | None
    filled: Size
    new_size: Size
    new_price: Price | None
    post_only: bool
    reduce_only: bool
    judged_at: datetime
    notes: tuple[str, ...] = ()


Terms = OrderTerms | EditTerms


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentEntry:
    """A decision: what was wanted, and either the terms that were approved or every reason against."""

    intent: OrderIntent | EditIntent
    sent_size: Size
    terms: OrderTerms | EditTerms | None
    denied: Denied | None
    spooled: bool = False  # decided while the journal was broken, imported from the spool later


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """An intent as far as the journal knows it."""

    record: IntentRecord
    terms: OrderTerms | EditTerms | None
    outcome_at: datetime | None = None

    @property
    def is_edit(self) -> bool:
        return isinstance(self.record.intent, EditIntent)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeEntry:
    """What became of a send; `adopted` is the whole intent when it comes back to life from a proven end."""

    outcome: Accepted | Rejected | NotSent | Unknown
    adopted: Tracked | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderEntry:
    """An order's state after merging what was held with what was seen."""

    order: VenueOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class FillEntry:
    """One row of the venue's fill list."""

    fill: Fill


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkEntry:
    """Equity at a moment."""

    mark: EquityMark


@dataclass(frozen=True, slots=True, kw_only=True)
class HaltEntry:
    """The kill switch was engaged or released."""

    engaged: bool
    reason: str
    by: str
    loss_breach: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StateEntry:
    """What a product may do from now on."""

    product_id: ProductId
    state: TradingState
    reason: str


class Ruling(StrEnum):
    """What to do with an outcome, given what is known already."""

    TAKE = "take"
    ADOPT = "adopt"  # the order showed up after a proven end: it counts again, and is alarmed
    SECOND_ORDER = "second_order"  # another venue order for the same intent (I1 broken): counted, and alarmed
    CONTRADICTS = "contradicts"  # ignored, and alarmed
    NOTHING_NEW = "nothing_new"


def terms_of(verdict: Approved | ApprovedChange | Denied) -> OrderTerms | EditTerms | None:
    """What of an approval is kept; None for a denial."""
    if isinstance(verdict, Approved):
        order = verdict.order.order
        return OrderTerms(
            size=order.size,
            limit_price=order.limit_price,
            stop_price=order.stop_price,
            contract_size=order.product.contract_size,
            client_order_id=verdict.order.client_order_id,
            judged_at=verdict.order.judged_at,
            notes=verdict.notes,
            leverage_note=verdict.order.leverage_note,
        )
    if isinstance(verdict, ApprovedChange):
        return _edit_terms(verdict.edit.edit, verdict.edit.judged_at, verdict.notes)
    return None


def _edit_terms(edit: QuantizedEdit, judged_at: datetime, notes: tuple[str, ...]) -> EditTerms:
    return EditTerms(
        product_id=edit.product_id,
        side=edit.side,
        old_size=edit.old_size,
        old_price=edit.old_price,
        filled=edit.filled,
        new_size=edit.new_size,
        new_price=edit.new_price,
        post_only=edit.post_only,
        reduce_only=edit.reduce_only,
        judged_at=judged_at,
        notes=notes,
    )


def same_terms(held: OrderIntent | EditIntent, asked: OrderIntent | EditIntent) -> bool:
    """True when both ask for the same order; who asks, when and why does not matter."""
    if isinstance(held, OrderIntent) and isinstance(asked, OrderIntent):
        return _order_asks(held) == _order_asks(asked)
    if isinstance(held, EditIntent) and isinstance(asked, EditIntent):
        return _edit_asks(held) == _edit_asks(asked)
    return False


def _order_asks(intent: OrderIntent) -> tuple[object, ...]:
    return (
        *(intent.product_id, intent.side, intent.size, intent.type, intent.tif, intent.limit_price, intent.stop_price),
        *(intent.post_only, intent.reduce_only, intent.expires, intent.road),
    )


def _edit_asks(intent: EditIntent) -> tuple[object, ...]:
    return intent.target, intent.venue_order_id, intent.new_price, intent.new_size


def begun(entry: IntentEntry, at: datetime) -> Tracked:
    """An intent right after its decision: denied, or committed and in doubt until its outcome is known."""
    denied, terms = entry.denied is not None, entry.terms
    record = IntentRecord(
        intent=entry.intent,
        stage=IntentStage.DENIED if denied else IntentStage.COMMITTED,
        committed_at=at,
        sent_size=entry.sent_size,
        denied=entry.denied,
        outcome=None,
        venue_order_id=None,
        order=None,
        sent_price=terms.limit_price if isinstance(terms, OrderTerms) else None if terms is None else terms.new_price,
        sent_stop=terms.stop_price if isinstance(terms, OrderTerms) else None,
    )
    return Tracked(record=record, terms=terms)


def ruling(held: Tracked, outcome: SubmitOutcome) -> Ruling:
    """What an outcome means for an intent that was decided; the caller has refused denied ones."""
    stage = held.record.stage
    if stage.in_doubt:
        return Ruling.TAKE if outcome != held.record.outcome else Ruling.NOTHING_NEW
    match outcome:
        case Unknown():
            return Ruling.NOTHING_NEW  # doubt does not undo proof
        case Accepted():
            if stage in (IntentStage.REJECTED, IntentStage.NOT_SENT):
                return Ruling.ADOPT
            before = None if outcome.order is None else outcome.order.succeeds
            if not {outcome.venue_order_id, before} & set(held.record.venue_ids):
                return Ruling.SECOND_ORDER
            return Ruling.TAKE if outcome.order is not None and not held.is_edit else Ruling.NOTHING_NEW
        case Rejected() | NotSent():
            same_end = type(outcome) is type(held.record.outcome)
            return Ruling.NOTHING_NEW if same_end else Ruling.CONTRADICTS
    assert_never(outcome)


def after_outcome(held: Tracked, outcome: SubmitOutcome, at: datetime) -> Tracked:
    """The intent once an outcome that was ruled TAKE, ADOPT or SECOND_ORDER is booked."""
    record = held.record
    match outcome:
        case Unknown():
            moved = replace(record, stage=IntentStage.UNKNOWN, outcome=outcome)
        case Rejected():
            moved = replace(record, stage=IntentStage.REJECTED, outcome=outcome)
        case NotSent():
            moved = replace(record, stage=IntentStage.NOT_SENT, outcome=outcome)
        case Accepted():
            first = record.venue_order_id or outcome.venue_order_id
            ids = record.venue_ids
            if outcome.venue_order_id not in ids:
                ids = (*ids, outcome.venue_order_id)
            moved = replace(record, stage=IntentStage.WORKING, outcome=outcome, venue_order_id=first, venue_ids=ids)
            held = replace(held, record=moved)
            if outcome.order is not None and not held.is_edit:
                held = after_order(held, outcome.order)
            elif record.order is not None and not held.is_edit:
                held = after_order(held, record.order)
            return replace(held, outcome_at=held.outcome_at or at)
        case _:
            assert_never(outcome)
    return replace(held, record=moved, outcome_at=at)


def after_order(held: Tracked, seen: VenueOrder) -> Tracked:
    """The intent once a state of its order is booked. An intent in doubt stays so: its end is an outcome."""
    record = held.record
    merged = _standing(record.order, seen)
    stage = record.stage
    if stage in (IntentStage.WORKING, IntentStage.DONE):
        stage = IntentStage.DONE if merged.status.final else IntentStage.WORKING
    told = tuple(each for each in (seen.succeeds, seen.venue_order_id) if each is not None)
    ids = (*record.venue_ids, *(each for each in told if each not in record.venue_ids))
    current = record.venue_order_id or seen.venue_order_id
    if current == merged.succeeds:
        current = merged.venue_order_id
    return replace(held, record=replace(record, stage=stage, order=merged, venue_ids=ids, venue_order_id=current))


def one_order(held: VenueOrder | None, seen: VenueOrder) -> bool:
    """True when both are one order of an intent, under one id or under the two that a waiting order has over its life."""
    return held is None or bool(_names(held) & _names(seen))


def _names(order: VenueOrder) -> set[VenueOrderId]:
    return {order.venue_order_id} if order.succeeds is None else {order.venue_order_id, order.succeeds}


def _standing(held: VenueOrder | None, seen: VenueOrder) -> VenueOrder:
    """The order of an intent after one more read. A waiting order that fired is what it became, whichever is read first (I5).

    Of two that are not one (I1 broken) the live one counts here; the other is counted besides.
    """
    if held is None or held.venue_order_id == seen.succeeds:
        return seen
    if held.venue_order_id == seen.venue_order_id:
        return merge_orders(held, seen)
    if held.succeeds == seen.venue_order_id:
        return held
    return seen if held.status.final and seen.status.live else held


def edit_after_order(held: Tracked, target: VenueOrder) -> Tracked:
    """An accepted edit is done once the order shows its terms, is over, or was read well after the edit (E24)."""
    terms = held.terms
    if held.record.stage is not IntentStage.WORKING or not isinstance(terms, EditTerms):
        return held
    shows = target.size == terms.new_size and target.limit_price == terms.new_price
    read_late = held.outcome_at is not None and target.read_at >= held.outcome_at + EDIT_SETTLES_AFTER
    read_after = held.outcome_at is not None and target.read_at >= held.outcome_at
    settled = (read_after and shows) or (read_late and target.status is not OrderStatus.EDIT_QUEUED)
    if not settled and not target.status.final:
        return held
    return replace(held, record=replace(held.record, stage=IntentStage.DONE, order=target))


def merge_orders(held: VenueOrder, seen: VenueOrder) -> VenueOrder:
    """One order from two reads of it: states move forward only, what is filled never falls (I5).

    The rest is told by the later read. The result does not depend on which of the two came first.
    """
    newest = _newer(held, seen)
    status = later_status(held.status, seen.status)
    raw = newest if newest.status is status else (held if held.status is status else seen)
    filled = max(held.filled, seen.filled)
    richer = newest if newest.filled == filled else (held if held.filled == filled else seen)
    return replace(
        newest,
        status=status,
        raw_status=raw.raw_status,
        reason=raw.reason,
        filled=filled,
        average_price=richer.average_price if richer.average_price is not None else newest.average_price,
        fees=richer.fees if richer.fees is not None else newest.fees,
        size=newest.size if newest.size is not None else (held.size if held.size is not None else seen.size),
        client_order_id=newest.client_order_id or held.client_order_id or seen.client_order_id,
    )


def _newer(held: VenueOrder, seen: VenueOrder) -> VenueOrder:
    """The later read; of two of one moment the one with more filled, else any, as long as it is always the same one.

    Its text is written for that last case alone: a replay of a long journal merges hundreds of thousands.
    """
    one, other = (held.read_at, held.filled), (seen.read_at, seen.filled)
    if one != other:
        return held if one > other else seen
    return held if held == seen or dumps(held) >= dumps(seen) else seen


def moved(held: VenueOrder | None, merged: VenueOrder) -> bool:
    """True when the merged state says anything new: the moment of reading alone is nothing new."""
    return held is None or replace(merged, read_at=held.read_at) != held


def unfilled(held: Tracked) -> Size:
    """What of a working or in-doubt order could still fill, at its worst."""
    record = held.record
    sent = record.sent_size if record.sent_size is not None else NO_SIZE
    order = record.order
    if order is None:
        return sent
    if record.stage.in_doubt:
        return max(sent, order.size if order.size is not None else sent)
    remaining = order.remaining
    return Size(max(sent - order.filled, Decimal(0))) if remaining is None else remaining


def one_shot(held: Tracked) -> bool:
    """True for orders that never rest."""
    intent = held.record.intent
    return isinstance(intent, OrderIntent) and intent.tif in (TimeInForce.IOC, TimeInForce.FOK)


def ended_empty(record: IntentRecord) -> bool:
    """True when it is proven that the intent ended without a fill."""
    if record.stage in (IntentStage.DENIED, IntentStage.REJECTED, IntentStage.NOT_SENT):
        return True
    return record.stage is IntentStage.DONE and record.order is not None and record.order.filled == 0


def order_ids(held: Tracked) -> tuple[VenueOrderId, ...]:
    """The venue's orders that belong to the intent; none for an edit, whose order is its target's."""
    return () if held.is_edit else held.record.venue_ids
