"""What the venue told of our orders and of money, as rows: outcomes, orders, fills, transfers, each once.

What contradicts a proven ending, or cannot be, is never booked over what was known and never dropped in silence: it leaves
an alarm row. Nothing here judges, and nothing here is asked before an order is sent.
"""

from collections.abc import Iterable
from decimal import Decimal

from perpsctl.domain.accounts import Transfer
from perpsctl.domain.errors import InvariantBroken
from perpsctl.domain.ids import IntentId, VenueOrderId
from perpsctl.domain.orders import Accepted, Fill, FillKind, OrderStatus, SubmitOutcome, VenueOrder
from perpsctl.domain.ports import EventKind
from perpsctl.journal.codec import dumps, encode
from perpsctl.journal.entries import (
    FillEntry,
    Kind,
    OrderEntry,
    OutcomeEntry,
    Ruling,
    Tracked,
    merge_orders,
    moved,
    ruling,
)
from perpsctl.journal.ledger import flow_of
from perpsctl.journal.log import Batch, Log


def book_outcome(log: Log, intent_id: IntentId, outcome: SubmitOutcome) -> None:
    """The outcome stands. What contradicts a proven one is not booked; an alarm row is.

    An order that shows up after NotSent or Rejected is adopted under its intent, counts again, and is alarmed; so is a
    second order under one intent. InvariantBroken for an intent that was denied, or never decided.
    """
    denied = False
    with log.transaction() as batch:
        held = log.find(intent_id)
        if held is None:
            raise InvariantBroken("an outcome was reported for an intent the journal does not know")
        if held.record.denied is not None:
            denied = True
            batch.alarm("outcome_of_denied", intent_id, outcome=encode(outcome))
        else:
            _book_outcome(batch, held, outcome)
    if denied:
        raise InvariantBroken("an intent that was denied was sent")
    log.snapshot_if_due()


def book_order(log: Log, order: VenueOrder, intent_id: IntentId | None) -> bool:
    """The order's state is booked if it says anything new; an order of an intent of ours stays that intent's."""
    with log.database.reading():
        log.catch_up()
        if not _order_moves(log, order, intent_id)[0]:
            return False
    with log.transaction() as batch:
        moves, merged, owner = _order_moves(log, order, intent_id)
        if not moves:
            return False
        if owner is not None and log.find(owner) is None:
            raise InvariantBroken("an order was booked under an intent the journal does not know")
        batch.add(Kind.ORDER, dumps(OrderEntry(order=merged)), intent_id=owner, venue_order_id=merged.venue_order_id)
        if merged.size is not None and merged.filled > merged.size:
            batch.alarm("filled_above_size", owner, order=merged.venue_order_id, filled=merged.filled, size=merged.size)
    log.snapshot_if_due()
    return True


def book_fills(log: Log, fills: Iterable[Fill]) -> tuple[Fill, ...]:
    """Fills whose row key was not booked before, oldest first, now booked; oddities among them are alarmed."""
    offered = {fill.fill_id: fill for fill in sorted(fills, key=lambda fill: (fill.time, fill.fill_id))}
    with log.database.reading():
        known = log.history.known_fills(list(offered))
    if len(known) == len(offered):
        return ()
    with log.transaction() as batch:
        known = log.history.known_fills(list(offered))
        new = tuple(fill for fill in offered.values() if fill.fill_id not in known)
        for fill in new:
            batch.add(
                Kind.FILL,
                dumps(FillEntry(fill=fill)),
                intent_id=log.owner(fill.venue_order_id),
                venue_order_id=fill.venue_order_id,
                ref=fill.fill_id,
                occurred=fill.time,
            )
        for venue_order_id in dict.fromkeys(fill.venue_order_id for fill in new):
            of_order = [fill for fill in new if fill.venue_order_id == venue_order_id]
            _alarm_odd_fills(log, batch, venue_order_id, of_order)
    log.snapshot_if_due()
    return new


def book_transfers(log: Log, transfers: Iterable[Transfer]) -> tuple[Transfer, ...]:
    """Transfers not booked before, now booked: looked up and added in one transaction, for one told twice hides a loss."""
    offered = {each.id: each for each in sorted(transfers, key=lambda each: (each.at, each.id))}
    if not offered:
        return ()
    with log.transaction() as batch:
        known = log.history.known_refs(EventKind.TRANSFER, list(offered))
        new = tuple(each for each in offered.values() if each.id not in known)
        for each in new:
            payload = {"amount": each.amount, "at": each.at, "kind": each.kind}
            batch.add(EventKind.TRANSFER, dumps(payload), ref=each.id, occurred=each.at)
    log.snapshot_if_due()
    return new


def _book_outcome(batch: Batch, held: Tracked, outcome: SubmitOutcome) -> None:
    intent_id = held.record.intent.id
    rules = ruling(held, outcome)
    if rules is Ruling.NOTHING_NEW:
        return
    if rules is Ruling.CONTRADICTS:
        batch.alarm("outcome_contradicts", intent_id, held=held.record.stage.value, outcome=encode(outcome))
        return
    adopted = held if rules in (Ruling.ADOPT, Ruling.SECOND_ORDER) else None
    accepted = outcome.venue_order_id if isinstance(outcome, Accepted) and not held.is_edit else None
    batch.add(
        Kind.OUTCOME,
        dumps(OutcomeEntry(outcome=outcome, adopted=adopted)),
        intent_id=intent_id,
        venue_order_id=accepted,
    )
    if rules is Ruling.ADOPT:
        batch.alarm("order_appeared_after_all", intent_id, held=held.record.stage.value, order=accepted)
    if rules is Ruling.SECOND_ORDER:
        batch.alarm("second_order_of_intent", intent_id, first=held.record.venue_order_id, order=accepted)


def _order_moves(log: Log, order: VenueOrder, intent_id: IntentId | None) -> tuple[bool, VenueOrder, IntentId | None]:
    """(anything new, the merged state, whose it is)."""
    owner = intent_id if intent_id is not None else log.owner(order.venue_order_id)
    if owner is None and order.succeeds is not None:  # what our waiting order became is ours too
        owner = log.owner(order.succeeds)
    held = log.state.others.get(order.venue_order_id)
    if held is None and owner is not None:
        known = log.find(owner)
        if known is not None and known.record.order is not None:
            if known.record.order.venue_order_id == order.venue_order_id:
                held = known.record.order
    if held is None:
        held = log.history.last_order(order.venue_order_id)
    merged = order if held is None else merge_orders(held, order)
    return moved(held, merged), merged, owner


def _alarm_odd_fills(log: Log, batch: Batch, venue_order_id: VenueOrderId, new: list[Fill]) -> None:
    before = log.history.fills_of_order(venue_order_id)
    owner = log.owner(venue_order_id)
    trades = {fill.trade_id: fill.fill_id for fill in before if fill.kind is FillKind.FILL}
    for fill in new:
        if fill.kind is not FillKind.FILL:
            batch.alarm("fill_is_no_plain_fill", owner, fill=fill.fill_id, is_a=fill.kind)
            continue
        if trades.setdefault(fill.trade_id, fill.fill_id) != fill.fill_id:
            batch.alarm("trade_filled_twice", owner, trade=fill.trade_id, fill=fill.fill_id)
    _alarm_overfill(log, batch, venue_order_id, owner, [*before, *new])


def _alarm_overfill(
    log: Log, batch: Batch, venue_order_id: VenueOrderId, owner: IntentId | None, fills: list[Fill]
) -> None:
    held = None if owner is None else log.find(owner)
    order = log.state.others.get(venue_order_id)
    if order is None and held is not None:
        order = held.record.order
    size = None if held is None else held.record.sent_size
    if order is not None and order.size is not None:
        size = order.size
    filled = abs(sum((flow_of(fill).coin for fill in fills), Decimal(0)))
    if size is not None and filled > size:
        batch.alarm("fills_above_size", owner, order=venue_order_id, filled=filled, size=size)
    ended = order is not None and order.status.final and order.status is not OrderStatus.FILLED
    if ended and order is not None and filled > order.filled:
        batch.alarm("fill_after_end", owner, order=venue_order_id, status=order.status, filled=filled)
