"""Looks for an edit in doubt: the order itself tells which terms it carries. Nothing is sent and nothing concluded early.

Until the order shows the new terms, or shows the old ones after the request could no longer arrive, both count (E24).
"""

from datetime import datetime
from typing import Final

from perpsctl.domain.errors import VenueSpokeStrangely
from perpsctl.domain.orders import EditIntent, OrderStatus, VenueOrder
from perpsctl.domain.ports import Clock, Journal, Sighting, Venue
from perpsctl.domain.reports import IntentRecord
from perpsctl.domain.sides import Side

_UNSETTLED: Final = frozenset({OrderStatus.EDIT_QUEUED, OrderStatus.UNRECOGNISED})


class EditSearch:
    """Reads the edited order and says whether the edit took."""

    def __init__(self, *, venue: Venue, clock: Clock) -> None:
        self._venue = venue
        self._clock = clock

    def search(
        self, record: IntentRecord, intent: EditIntent, journal: Journal, absent_counts_from: datetime | None
    ) -> Sighting:
        """A sighting whose order is set when the edit took effect; absent means the old terms stand."""
        asked_at = self._clock.now()
        order = self._venue.order(intent.venue_order_id)
        if order is None:
            raise VenueSpokeStrangely("the venue knows no order of the id that was to be edited")
        if order.status in _UNSETTLED:
            raise VenueSpokeStrangely(
                f"the edited order is {order.status.value}: neither the old nor the new terms yet"
            )
        price = intent.new_price if record.sent_price is None else record.sent_price
        took = (record.sent_size is None or order.size == record.sent_size) and (
            price is None or order.limit_price == price
        )
        target = journal.intent(intent.target)
        told = f"order {intent.venue_order_id} {order.status.value} carries {'the new' if took else 'the old'} terms"
        contradicts = "" if target is None or order.side is target_side(target, order) else f"{told}, side differs"
        return Sighting(order=order if took else None, contradicts=contradicts, listed_at=asked_at, evidence=told)


def target_side(record: IntentRecord, order: VenueOrder) -> Side:
    """The side the edited order was placed with."""
    return order.side if isinstance(record.intent, EditIntent) else record.intent.side
