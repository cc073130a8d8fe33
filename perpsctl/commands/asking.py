"""From what was typed to what the engine takes: intents built, ids looked up, doubt ended. Nothing is sent here."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from perpsctl.commands.inputs import Terms, who
from perpsctl.domain.errors import JournalUnavailable, UsageError
from perpsctl.domain.ids import IntentId, ProductId, VenueOrderId, intent_id
from perpsctl.domain.numbers import Price, Size, plain
from perpsctl.domain.orders import EditIntent, OrderIntent, Origin, QuantizedOrder, Road, VenueOrder
from perpsctl.domain.products import Product, find_product
from perpsctl.domain.quantize import quantize

if TYPE_CHECKING:
    from perpsctl.bootstrap import Toolkit
    from perpsctl.domain.accounts import AccountView, OrdersRead
    from perpsctl.domain.reports import IntentRecord

LATELY = timedelta(days=1)  # how far back `order list --all` asks the venue


def product_of(toolkit: "Toolkit", wanted: str) -> Product:
    """The perpetual with this id or alias, found among what the venue offers now."""
    return find_product(toolkit.venue.products(), wanted)


def intent_of(toolkit: "Toolkit", terms: Terms) -> OrderIntent:
    """The intent an operator typed, with its id: theirs, or a new one."""
    product = product_of(toolkit, terms.product)
    size = terms.size if terms.contracts is None else product.coin(terms.contracts)
    if size is None:
        raise UsageError("give either --size in coin or --contracts")
    return OrderIntent(
        id=terms.intent_id or IntentId(toolkit.ids.new()),
        product_id=product.product_id,
        side=terms.side,
        size=size,
        type=terms.kind,
        tif=terms.tif,
        limit_price=terms.limit_price,
        stop_price=terms.stop_price,
        post_only=terms.post_only,
        reduce_only=terms.reduce_only,
        expires=terms.expires,
        origin=Origin.OPERATOR,
        road=Road.ENTRY,
        reason="place",
        again=terms.again,
        rest_through=terms.rest_through,
        created_at=toolkit.clock.now(),
    )


def quantized(toolkit: "Toolkit", intent: OrderIntent) -> QuantizedOrder:
    """The intent on the venue's grid."""
    return quantize(intent, toolkit.venue.product(intent.product_id))


def edit_of(
    toolkit: "Toolkit", target: VenueOrderId, *, price: Price | None, size: Size | None, named: IntentId | None
) -> EditIntent:
    """The edit of an order of ours, named by its intent's or its own id."""
    record = record_of(toolkit, target)
    if record is None or record.venue_order_id is None:
        raise UsageError("no order of ours has this id", fix="see `perpsctl order list`")
    return EditIntent(
        id=named or IntentId(toolkit.ids.new()),
        target=record.intent.id,
        venue_order_id=record.venue_order_id,
        new_price=price,
        new_size=size,
        created_at=toolkit.clock.now(),
    )


def record_of(toolkit: "Toolkit", wanted: str) -> "IntentRecord | None":
    """The journal's record of an intent's or an order's id."""
    return toolkit.journal.intent(IntentId(wanted)) or toolkit.journal.intent_by_order(VenueOrderId(wanted))


def order_now(toolkit: "Toolkit", record: "IntentRecord") -> VenueOrder | None:
    """The order behind a record: read again while it may move, else as last seen."""
    if record.venue_order_id is None or record.stage.final:
        return record.order
    return toolkit.venue.order(record.venue_order_id) or record.order


def filled_of(toolkit: "Toolkit", gone: Sequence[VenueOrderId]) -> tuple[str, ...]:
    """A sentence for each order of ours that is gone and had filled, whole or in part: gone is not the same as empty."""
    said = []
    try:
        for order_id in gone:
            record = toolkit.journal.intent_by_order(order_id)
            if record is not None and record.order is not None and record.order.filled > 0:
                state = record.order.status.value
                said.append(f"{order_id} is {state}: {plain(record.order.filled)} had filled before the cancel")
    except JournalUnavailable:
        return ()
    return tuple(said)


def unfinished(toolkit: "Toolkit") -> "tuple[IntentRecord, ...]":
    """What is in doubt, then what works."""
    return toolkit.journal.in_doubt() + toolkit.journal.working()


def resolved(toolkit: "Toolkit", wanted: str | None, wait: timedelta) -> "tuple[IntentRecord, ...]":
    """The records of one doubt, or of all, after looking for up to `wait`."""
    if wanted is None:
        ended = toolkit.engine.resolver.resolve_all(wait)
        return _again(toolkit, [intent for intent, _ in ended])
    record = record_of(toolkit, wanted)
    if record is None:
        raise UsageError("the journal knows no such intent", fix="see `perpsctl order list --all`")
    if record.stage.in_doubt:
        toolkit.engine.resolver.resolve(record, wait)
    return _again(toolkit, [record.intent.id])


def decided(
    toolkit: "Toolkit", wanted: str, decision: str, *, reason: str, by: str | None
) -> "tuple[IntentRecord, ...]":
    """The record of a doubt that an operator ended by name: `not-sent`, or the id of the order it became."""
    named = intent_id(wanted)
    accepted = decision != "not-sent"
    toolkit.engine.resolver.decide_by_operator(
        named,
        verdict="accepted" if accepted else "not_sent",
        by=who(by),
        reason=reason,
        venue_order_id=VenueOrderId(decision) if accepted else None,
    )
    return _again(toolkit, [named])


def _again(toolkit: "Toolkit", ids: Sequence[IntentId]) -> "tuple[IntentRecord, ...]":
    found = (toolkit.journal.intent(each) for each in ids)
    return tuple(record for record in found if record is not None)


def booked_coin(toolkit: "Toolkit") -> Mapping[ProductId, Decimal] | None:
    """Signed coin by the journal's fills; None when the journal cannot be read."""
    try:
        return toolkit.journal.booked_coin()
    except JournalUnavailable:
        return None


def gains(toolkit: "Toolkit", account: "AccountView") -> Mapping[str, Decimal | None]:
    """Gains (negative: losses) of the UTC day and the last 24 hours, by balances and by the journal's fills."""
    from perpsctl.engine.losses import losses_now

    engine = toolkit.engine
    reading = losses_now(lambda: account, toolkit.journal, engine.views, engine.reconciler.transfers)
    rows: dict[str, Decimal | None] = {}
    for window in reading.windows:
        rows[f"{window.window} by balances"] = -window.by_balances
        rows[f"{window.window} by fills"] = None if window.by_flows is None else -window.by_flows
    return rows | {f"{window} by balances": None for window in reading.missing}


def over_lately(toolkit: "Toolkit", live: "OrdersRead") -> tuple[VenueOrder, ...]:
    """What the venue tells of the last day beside the live orders, read whole or not at all (L5), newest first."""
    listed = {order.venue_order_id for order in live.orders}
    told = toolkit.venue.orders_since(toolkit.clock.now() - LATELY).orders
    over = [order for order in told if order.venue_order_id not in listed]
    return tuple(sorted(over, key=lambda order: order.created or order.read_at, reverse=True))
