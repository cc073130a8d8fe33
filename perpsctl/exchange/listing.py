"""What a listing of orders saw, whole: ours, what is out of our scope, and when it was asked for. Plain values."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from perpsctl.domain.orders import VenueOrder

__all__ = ["ForeignOrder", "Listing", "joined", "merged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignOrder:
    """An order outside our scope (spot, options...): shown, never touched, never counted as derivatives exposure."""

    venue_order_id: str
    client_order_id: str
    product_id: str
    product_type: str
    side: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What one or several listings saw. `as_of` is when the first page was asked for."""

    orders: tuple[VenueOrder, ...]
    foreign: tuple[ForeignOrder, ...]
    as_of: datetime
    pages: int
    what: str = "every source"  # which listings these were, for the evidence


def joined(parts: Iterable[Listing], *, what: str = "every source") -> Listing:
    """Several listings as one, each order once; as old as the oldest of them."""
    whole = tuple(parts)
    return Listing(
        orders=merged([order for part in whole for order in part.orders]),
        foreign=tuple({order.venue_order_id: order for part in whole for order in part.foreign}.values()),
        as_of=min(part.as_of for part in whole),
        pages=sum(part.pages for part in whole),
        what=what,
    )


def merged(found: list[VenueOrder]) -> tuple[VenueOrder, ...]:
    """Each order once, as it was seen last; a final state seen earlier stays (lists lag, finals do not go back: I5)."""
    by_id: dict[str, VenueOrder] = {}
    for order in found:
        held = by_id.get(order.venue_order_id)
        if held is None or not held.status.final or order.status.final:
            by_id[order.venue_order_id] = order
    return tuple(by_id.values())
