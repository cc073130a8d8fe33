"""Whose an order is, under either of the two ids that a waiting order has over its life. Reads the journal, nothing else."""

from perpsctl.domain.ids import VenueOrderId
from perpsctl.domain.ports import Journal
from perpsctl.domain.reports import IntentRecord


def record_behind(journal: Journal, order_id: VenueOrderId, succeeds: VenueOrderId | None) -> IntentRecord | None:
    """The intent of an order, also where only the waiting order that it came from is known; None for a foreign one."""
    record = journal.intent_by_order(order_id)
    return record if record is not None or succeeds is None else journal.intent_by_order(succeeds)
