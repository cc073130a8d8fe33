"""Brings the journal's order states and fills up to date from the venue. Reads decide; nothing is assumed gone.

An order of ours that the live listing lacks is asked for by id, and only the venue's own final word ends it (E2, E10,
E12). Fills are fetched, never computed from states (I8). What cannot be read stays as it was, with a problem named.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Final, TypeVar

from perpsctl.domain.accounts import OrdersRead
from perpsctl.domain.errors import InvariantBroken, JournalUnavailable, VenueSpokeStrangely
from perpsctl.domain.ids import IntentId, VenueOrderId
from perpsctl.domain.numbers import ZERO
from perpsctl.domain.orders import EditIntent, Fill, FillKind, VenueOrder
from perpsctl.domain.ports import Clock, Journal, Venue
from perpsctl.domain.reports import IntentRecord
from perpsctl.engine.reading import Problem, Reads

FILL_OVERLAP: Final = timedelta(minutes=10)  # fills may be listed late and out of order (E15)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """What one update saw; `orders` is None when the live listing could not be read to its end."""

    orders: OrdersRead | None
    moved: tuple[VenueOrder, ...]
    fills: tuple[Fill, ...]
    problems: tuple[Problem, ...]
    read: tuple[VenueOrder, ...] = ()  # orders asked for one by one


class Tracker:
    """Follows every working order of the journal to its end."""

    def __init__(self, *, venue: Venue, journal: Journal, clock: Clock) -> None:
        self._venue = venue
        self._journal = journal
        self._clock = clock
        self._short: dict[VenueOrderId, Decimal] = {}  # filled by state, of which fills are still missing
        self._fetched: dict[VenueOrderId, Decimal] = {}  # filled by state, of which this process booked the fills

    def update(self, orders: OrdersRead | None = None, *, all_fills: bool = False) -> Tracked:
        """Journal states are as the venue tells them now. Raises JournalUnavailable; venue failures are problems.

        `all_fills` reads the fill list from the last booked fill on, so that fills of other people's orders show too.
        """
        reads = Reads()
        if orders is None:
            orders = reads.attempt("live orders", self._venue.live_orders)
        moved: list[VenueOrder] = []
        if orders is not None:
            listed = {order.venue_order_id: order for order in orders.orders}
            for record in self._journal.working():
                order = self._order_of(record, listed, reads)
                if order is not None and self.book_order(order, owner_of(record)):
                    moved.append(order)
            if all_fills:
                self._update_others(listed, reads)
        fills = self._fills_of_short(reads)
        if all_fills:
            fills += self._recent_fills(reads)
        return Tracked(orders=orders, moved=tuple(moved), fills=fills, problems=reads.problems)

    def look(self, named: Iterable[VenueOrderId]) -> Tracked:
        """These working orders of ours are as the venue tells them now, and their fills are fetched; nothing else is read.

        `orders` is None: no listing was asked for. A name that no working order has is passed over.
        """
        reads, working = Reads(), {record.venue_order_id: record for record in self._journal.working()}
        read: list[VenueOrder] = []
        moved: list[VenueOrder] = []
        for record in filter(None, map(working.get, named)):
            order = self._order_of(record, {}, reads)
            if order is not None:
                read.append(order)
                if self.book_order(order, owner_of(record)):
                    moved.append(order)
        fills = self._fills_of_short(reads)
        return Tracked(orders=None, moved=tuple(moved), fills=fills, problems=reads.problems, read=tuple(read))

    def book_order(self, order: VenueOrder, intent_id: IntentId | None) -> bool:
        """The state is in the journal; True when it moved. Its fills are fetched by the next update or `book_fills`."""
        moved = self._journal.record_order(order, intent_id)  # step: record_order
        if order.filled > self._fetched.get(order.venue_order_id, ZERO):  # also where the outcome itself told the state
            self._short[order.venue_order_id] = order.filled
        return moved

    def book_fills(self) -> tuple[tuple[Fill, ...], tuple[Problem, ...]]:
        """Fills of every order whose state told of more than was booked are fetched and booked, as far as listed."""
        reads = Reads()
        return self._fills_of_short(reads), reads.problems

    def settle(self, orders: Iterable[tuple[VenueOrder, IntentId | None]]) -> tuple[Problem, ...]:
        """Book what a cancel or exit saw, after the fact: a broken journal is a problem here and stops nothing (R3)."""
        reads = Reads()
        try:
            for order, intent_id in orders:
                self.book_order(order, intent_id)
            self._fills_of_short(reads)
        except (JournalUnavailable, InvariantBroken) as error:  # the latter: an exit that only the spool knows yet
            reads.note("journal", error)
        return reads.problems

    def _order_of(
        self, record: IntentRecord, listed: dict[VenueOrderId, VenueOrder], reads: Reads
    ) -> VenueOrder | None:
        order_id = record.venue_order_id
        if order_id is None:
            return None
        if order_id in listed:
            return listed[order_id]
        known, order = self._ask(f"order {order_id}", lambda: self._venue.order(order_id), reads)
        if known and order is None:
            reads.note(
                f"order {order_id}",
                VenueSpokeStrangely("the venue accepted it and now says it knows no such order; it counts as live"),
            )
        return order

    def _update_others(self, listed: dict[VenueOrderId, VenueOrder], reads: Reads) -> None:
        """Booked orders that are not an intent's own are followed to their end too: they count in exposure until then."""
        ours = {record.venue_order_id for record in self._journal.working()}
        for live in self._journal.booked().live:
            order_id = live.venue_order_id
            if order_id is None or order_id in ours:
                continue
            order = listed.get(order_id) or reads.attempt(f"order {order_id}", partial(self._venue.order, order_id))
            if order is not None:
                self._journal.record_order(order, None)  # step: record_other

    def _ask(self, part: str, read: Callable[[], T | None], reads: Reads) -> tuple[bool, T | None]:
        """Whether the venue answered at all, and what; None as an answer is not a failed read."""
        before = len(reads.problems)
        value = reads.attempt(part, read)
        return len(reads.problems) == before, value

    def _fills_of_short(self, reads: Reads) -> tuple[Fill, ...]:
        booked: list[Fill] = []
        for order_id in tuple(self._short):
            fills = reads.attempt(f"fills of {order_id}", partial(self._venue.fills, venue_order_id=order_id))
            if fills is None:
                continue
            booked += self._journal.record_fills(fills)  # step: record_fills
            if told(fills) >= self._short[order_id]:
                self._fetched[order_id] = self._short.pop(order_id)
        return tuple(booked)

    def _recent_fills(self, reads: Reads) -> tuple[Fill, ...]:
        newest = self._journal.fills(limit=1)
        if newest:
            since = newest[0].time - FILL_OVERLAP
        else:
            open_since = [r.committed_at for r in (*self._journal.working(), *self._journal.in_doubt())]
            since = min(open_since, default=self._clock.now()) - FILL_OVERLAP
        fills = reads.attempt("fills", lambda: self._venue.fills(since=since))
        return () if fills is None else self._journal.record_fills(fills)  # step: record_fills

    @property
    def awaiting_fills(self) -> tuple[VenueOrderId, ...]:
        """Orders whose state tells of fills that the fill list does not show yet."""
        return tuple(self._short)


def told(fills: Iterable[Fill]) -> Decimal:
    """Coin that rows of one order's fill list add up to; a reversal takes back (E14)."""
    total = Decimal(0)
    for fill in fills:
        if fill.kind in (FillKind.FILL, FillKind.SYNTHETIC, FillKind.CORRECTION):
            total += fill.size
        elif fill.kind is FillKind.REVERSAL:
            total -= fill.size
    return total


def owner_of(record: IntentRecord) -> IntentId:
    """The intent an order belongs to: an edit's order is its target's."""
    return record.intent.target if isinstance(record.intent, EditIntent) else record.intent.id
