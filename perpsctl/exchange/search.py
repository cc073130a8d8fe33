"""Looking for an order in doubt by every means the venue has, once. Absence here is one observation, not a verdict.

By venue order id where one is known; by the venue's listings since the send, however it lists (US: every placement
source, no lookup by client id, reference section 6.7; Global: by label, reference section 9); and by the orders that
fills name and the listings lack (E2). What carries our id with other terms is reported and never adopted (H10).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from perpsctl.domain.ids import ClientOrderId, VenueOrderId, client_order_id
from perpsctl.domain.orders import Fill, OrderIntent, VenueOrder
from perpsctl.domain.ports import Clock, Sighting, Sought
from perpsctl.domain.reports import IntentRecord
from perpsctl.domain.sameness import terms_apart
from perpsctl.exchange.listing import ForeignOrder, Listing

__all__ = ["LISTINGS_APART", "SKEW_TOLERATED", "VISIBILITY", "Search"]

# How far the venue's clock may be from ours before an order "created" earlier than we sent it is called another one;
# trading is refused at 30 s of skew (fault T4), so twice that.
SKEW_TOLERATED = timedelta(seconds=60)
# How long a venue may take to list what it accepted, and how far apart two listings of absence are (design 5, fault E1).
# Neither venue publishes a figure; the global one's `valid_until` bounds when an order may start, not when it is listed.
VISIBILITY = timedelta(seconds=20)
LISTINGS_APART = timedelta(seconds=5)
FETCHED_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """The reads a search is made of; each raises rather than answer in part."""

    clock: Clock
    by_id: Callable[[VenueOrderId], VenueOrder | None]
    since: Callable[[Sought], Listing]
    fills_since: Callable[[Sought], tuple[Fill, ...]]

    def look(self, sought: Sought) -> Sighting:
        """The order, a contradiction, or its absence from listings read to the end."""
        record = sought.record
        if not isinstance(record.intent, OrderIntent):
            return self._edited(record, record.intent.venue_order_id)
        if record.venue_order_id is not None:
            known = self.by_id(record.venue_order_id)
            if known is not None:
                return self._sighting(sought, record.intent, known, f"read by its id {record.venue_order_id}")
        return self._listed(sought, record.intent)

    def _edited(self, record: IntentRecord, target: VenueOrderId) -> Sighting:
        """An edit keeps its order's id: what stands there now is the evidence, for the resolver to compare."""
        asked = self.clock.now()
        order = self.by_id(target)
        evidence = (
            f"order {target} {'read' if order is not None else 'not known to the venue'}; edit {record.intent.id}"
        )
        return Sighting(order=order, contradicts="", listed_at=asked, evidence=evidence)

    def _listed(self, sought: Sought, intent: OrderIntent) -> Sighting:
        ours = client_order_id(intent.id)
        listing = self.since(sought)
        fills = self.fills_since(sought)
        found = [order for order in listing.orders if order.client_order_id == ours]
        found += self._behind_fills(fills, listing, ours)
        told = f"{len(listing.orders)} orders on {listing.pages} pages of {listing.what}, {len(fills)} fills"
        if len({order.venue_order_id for order in found}) > 1:
            ids = ", ".join(sorted(order.venue_order_id for order in found))
            return _contradiction(f"more than one order carries our id: {ids}", listing, told)
        foreign = [order for order in listing.foreign if order.client_order_id == ours]
        if foreign:
            return _contradiction(_foreign_words(foreign[0]), listing, told)
        if found:
            return self._sighting(sought, intent, found[0], told)
        return Sighting(order=None, contradicts="", listed_at=listing.as_of, evidence=f"not among {told}")

    def _behind_fills(self, fills: tuple[Fill, ...], listing: Listing, ours: ClientOrderId) -> list[VenueOrder]:
        """Orders that fills name and the listings lack, if they are ours."""
        listed = {order.venue_order_id for order in listing.orders}
        missing = list(dict.fromkeys(fill.venue_order_id for fill in fills if fill.venue_order_id not in listed))
        fetched = [self.by_id(missed) for missed in missing[:FETCHED_MAX]]
        return [order for order in fetched if order is not None and order.client_order_id == ours]

    def _sighting(self, sought: Sought, intent: OrderIntent, order: VenueOrder, evidence: str) -> Sighting:
        against = _against(sought, intent, order)
        return Sighting(
            order=None if against else order,
            contradicts=f"order {order.venue_order_id} under our id differs in {', '.join(against)}" if against else "",
            listed_at=order.read_at,
            evidence=evidence,
        )


def _against(sought: Sought, intent: OrderIntent, order: VenueOrder) -> tuple[str, ...]:
    """Everything that speaks against this being the order we sent: its terms, its id, its age."""
    early = order.created is not None and order.created < sought.sent_after - SKEW_TOLERATED
    return (
        *(("client order id",) if order.client_order_id != client_order_id(intent.id) else ()),
        *terms_apart(order, sought.record),
        *(("time of creation",) if early else ()),
    )


def _contradiction(why: str, listing: Listing, evidence: str) -> Sighting:
    return Sighting(order=None, contradicts=why, listed_at=listing.as_of, evidence=evidence)


def _foreign_words(order: ForeignOrder) -> str:
    return f"order {order.venue_order_id} of {order.product_id} ({order.product_type}) carries our id"
