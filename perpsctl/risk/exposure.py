"""What could be held if everything that can fill does: position, working, in flight and in doubt, never netted (R5).

An order is never counted less than any source says of it: what the venue lists and what the journal holds are merged by
id and the larger remaining size counts; what only one of them knows counts in full, whoever placed it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from perpsctl.domain.accounts import LiveOrder, OrdersRead, PositionsRead, RecentIntent
from perpsctl.domain.ids import ClientOrderId, ProductId, VenueOrderId, client_order_id
from perpsctl.domain.numbers import NO_SIZE, ZERO, Price, Size
from perpsctl.domain.orders import TimeInForce, VenueOrder
from perpsctl.domain.sides import Side

# Another process commits its intent some milliseconds before its order can be listed. An intent that young, absent from
# the listing and from the journal's live orders, may have filled after our reads: an entry counts it.
UNSEEN_ALLOWANCE = timedelta(seconds=1)

_Key = tuple[str, str, ProductId, Side]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSet:
    """Every order that could still fill, each once. `unsized` names those whose remaining size nobody tells."""

    orders: tuple[LiveOrder, ...]
    unsized: tuple[tuple[ProductId, str], ...]


NOTHING_LIVE = LiveSet(orders=(), unsized=())


def merge_live(listed: OrdersRead | None, live: Iterable[LiveOrder], unseen: Iterable[LiveOrder] = ()) -> LiveSet:
    """The venue's listing and the journal's live orders as one set, by venue order id or client id.

    A match has the same id, product and side; its larger remaining size counts, at the more aggressive price. An order
    under one of our ids with another product or side is another order and counts besides (fault H10). `unseen` joins
    where nothing matches. A size that one source does not tell is the other's; one that neither tells makes it unsized.
    """
    if listed is None or not listed.orders:
        if not unseen:
            live = tuple(live)
            if not live:
                return NOTHING_LIVE
            if len(live) == 1 and live[0].remaining is not None:
                return LiveSet(orders=live, unsized=())
    merged: dict[_Key, LiveOrder] = {}
    by_client: dict[ClientOrderId, VenueOrderId] = {}
    for order in () if listed is None else listed.orders:
        if not order.status.live:
            continue
        key = ("venue", str(order.venue_order_id), order.product_id, order.side)
        if order.client_order_id is not None:
            by_client.setdefault(order.client_order_id, order.venue_order_id)
        _add(merged, key, _as_live(order))
    for number, ours in enumerate(live):
        _add(merged, _key(ours, by_client, number), ours)
    known = {each.intent_id for each in merged.values()}
    for ours in unseen:
        if ours.intent_id not in known:
            _add(merged, _key(ours, by_client, -1), ours)  # each has a client id, so no row number is needed
    unsized = tuple((each.product_id, _name(each)) for each in merged.values() if each.remaining is None)
    return LiveSet(orders=tuple(merged.values()), unsized=unsized)


def _name(order: LiveOrder) -> str:
    return str(order.venue_order_id or order.client_order_id or order.intent_id)


def _key(order: LiveOrder, by_client: Mapping[ClientOrderId, VenueOrderId], number: int) -> _Key:
    venue_id = order.venue_order_id
    if venue_id is None and order.client_order_id is not None:
        venue_id = by_client.get(order.client_order_id)
    if venue_id is not None:
        return ("venue", str(venue_id), order.product_id, order.side)
    if order.client_order_id is not None:
        return ("client", str(order.client_order_id), order.product_id, order.side)
    return ("row", str(number), order.product_id, order.side)


def _add(merged: dict[_Key, LiveOrder], key: _Key, order: LiveOrder) -> None:
    held = merged.get(key)
    if held is None:
        merged[key] = order
        return
    ours = order if order.intent_id is not None else held
    merged[key] = replace(
        ours,
        venue_order_id=ours.venue_order_id or held.venue_order_id or order.venue_order_id,
        remaining=_larger(held.remaining, order.remaining),
        price=_more_aggressive(held.price, order.price, order.side),
        in_doubt=held.in_doubt or order.in_doubt,
        reduce_only=held.reduce_only and order.reduce_only,
    )


def _larger(one: Size | None, other: Size | None) -> Size | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)


def _more_aggressive(one: Price | None, other: Price | None, side: Side) -> Price | None:
    """The price that reaches further: an order whose new terms are in doubt may stand at either."""
    if one is None or other is None:
        return None
    return max(one, other) if side is Side.BUY else min(one, other)


def _as_live(order: VenueOrder) -> LiveOrder:
    return LiveOrder(
        intent_id=None,
        client_order_id=order.client_order_id,
        venue_order_id=order.venue_order_id,
        product_id=order.product_id,
        side=order.side,
        remaining=order.remaining,
        price=order.limit_price,
        in_doubt=False,
        one_shot=order.tif in (TimeInForce.IOC, TimeInForce.FOK),
        reduce_only=False,
    )


def unseen_orders(recent: Iterable[RecentIntent], *, since: datetime, itself: str) -> tuple[LiveOrder, ...]:
    """Recent intents that our reads may not show: committed at or after `since`, not proven to have ended empty.

    They count at their whole size: one may have been sent, filled and booked between our reads and this judgement.
    """
    return tuple(
        LiveOrder(
            intent_id=each.intent_id,
            client_order_id=client_order_id(each.intent_id),
            venue_order_id=None,
            product_id=each.product_id,
            side=each.side,
            remaining=each.size,
            price=each.price,
            in_doubt=False,
            one_shot=False,
            reduce_only=False,
        )
        for each in recent
        if each.at >= since and not each.ended_empty and each.intent_id != itself
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """One product at its worst, in coin: `long` if only buys fill, `short` if only sells do (positive when short)."""

    position: Decimal
    buys: Decimal
    sells: Decimal

    @property
    def long(self) -> Decimal:
        return self.position + self.buys

    @property
    def short(self) -> Decimal:
        return self.sells - self.position

    @property
    def worst(self) -> Decimal:
        """The larger side in absolute coin; the two sides never net."""
        return max(self.long, self.short)

    def least_left(self, closing: Side) -> Decimal:
        """What surely remains to be closed by an order of side `closing`: the position less every live order that
        closes too. Zero when nothing is left, or when `closing` would open instead."""
        if closing is Side.SELL:
            return max(self.position - self.sells, ZERO)
        return max(-self.position - self.buys, ZERO)


FLAT = Exposure(position=ZERO, buys=ZERO, sells=ZERO)


def exposures(positions: PositionsRead, live: LiveSet) -> dict[ProductId, Exposure]:
    """Every product that is held or has an order that could fill."""
    held: dict[ProductId, Decimal] = {}
    buys: dict[ProductId, Decimal] = {}
    sells: dict[ProductId, Decimal] = {}
    for position in positions.positions:
        held[position.product_id] = held.get(position.product_id, ZERO) + position.coin
    for order in live.orders:
        side = buys if order.side is Side.BUY else sells
        side[order.product_id] = side.get(order.product_id, ZERO) + _told(order)
    return {
        product: Exposure(
            position=held.get(product, ZERO), buys=buys.get(product, ZERO), sells=sells.get(product, ZERO)
        )
        for product in {**held, **buys, **sells}
    }


def with_order(exposure: Exposure, side: Side, size: Decimal) -> Exposure:
    """The same product with one more order of `size` that could fill."""
    if side is Side.BUY:
        return Exposure(position=exposure.position, buys=exposure.buys + size, sells=exposure.sells)
    return Exposure(position=exposure.position, buys=exposure.buys, sells=exposure.sells + size)


def seen_since(listed: OrdersRead | None, positions: PositionsRead | None) -> datetime | None:
    """The moment our reads are surely complete up to: the older of the two; None when neither was read."""
    moments = [each.as_of for each in (listed, positions) if each is not None]
    return min(moments) if moments else None


def without(live: LiveSet, target: VenueOrderId, intent: str) -> tuple[LiveSet, Size]:
    """The set without one order (the one an edit replaces), and what remained of it at most."""
    gone = [each for each in live.orders if each.venue_order_id == target or each.intent_id == intent]
    kept = tuple(each for each in live.orders if each not in gone)
    left = max((_told(each) for each in gone), default=NO_SIZE)
    return LiveSet(orders=kept, unsized=tuple(each for each in live.unsized if each[1] != target)), left


def _told(order: LiveOrder) -> Size:
    """The remaining size; nothing for an unsized order, which every rule that adds up denies for by name."""
    return NO_SIZE if order.remaining is None else order.remaining
