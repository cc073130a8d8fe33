"""Every order that could still fill, of every placement source, in as few requests as that can be told from.

A source whose newest page is its last is told whole by that one page: every state there is, all at one moment, so that
no order can slip from one list into another in between. A source with a longer history is asked by state, and an order
may change its state between two of those lists: OPEN is asked before and after the states on the way, so that whatever
makes one move in between (placed, opened, cancelled, edited) is in one of the three. Nothing is asked about orders that
are over: they need not be readable for the live ones to be.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from perpsctl.domain.errors import VenueRefusedRequest
from perpsctl.domain.ids import VenueOrderId
from perpsctl.domain.orders import OrderStatus
from perpsctl.domain.ports import Clock
from perpsctl.exchange.advanced_trade.link import strangeness
from perpsctl.exchange.advanced_trade.listings import SOURCES, TRANSITIONAL, Lists, Page
from perpsctl.exchange.listing import Listing
from perpsctl.wire.advanced_trade import convert_orders, orders, reading

__all__ = ["Live", "LiveLists"]

NEWEST_ROWS = 100  # a history up to here is read whole rather than by state
# How far back the unfiltered rows of a longer history are read: states we have no filter for, and lists that lag (E2).
RECENT = timedelta(minutes=15)
# Further back than that no order is on its way: QUEUED can last a long weekend.
QUEUED_AT_MOST = timedelta(days=5)

Query = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """The live orders, and the ids of the ended ones the same lists told of: what ended once stays ended (I5)."""

    listing: Listing
    ended: frozenset[VenueOrderId]


class LiveLists:
    """Remembers which sources have a long history: what was long once is not asked for whole again."""

    def __init__(self, lists: Lists, clock: Clock) -> None:
        self._lists = lists
        self._clock = clock
        self._long: set[str] = set()

    def read(self) -> Live:
        """Every live order. Raises rather than answer in part (L5)."""
        pages = [page for source in SOURCES for page in self._of(source)]
        with strangeness("the list of orders"):
            ended = frozenset(
                reading.order_id(row.order_id) for page in pages for row in page.rows if _status(row).final
            )
        oldest_unknown = self._clock.now() - QUEUED_AT_MOST
        listing = self._lists.listing(pages, wanted=lambda body: _could_fill(body, oldest_unknown))
        told = tuple(order for order in listing.orders if order.venue_order_id not in ended)
        return Live(listing=replace(listing, orders=told), ended=ended)

    def _of(self, source: str) -> list[Page]:
        by_source = (("order_placement_source", source),)
        newest = None
        if source not in self._long:
            newest = self._lists.newest(by_source, rows=NEWEST_ROWS)
            if newest.last:
                return [newest]
            self._long.add(source)
        still_open: Query = (*by_source, ("order_status", "OPEN"))
        pages = [
            *self._lists.pages(still_open),
            *self._on_their_way(by_source),
            *self._lists.pages(still_open),
        ]
        if source == SOURCES[0]:
            pages += self._recent(by_source, newest)
        return pages

    def _on_their_way(self, by_source: Query) -> list[Page]:
        states = tuple(("order_status", state) for state in TRANSITIONAL)
        try:
            return self._lists.pages((*by_source, *states))
        except VenueRefusedRequest:  # on no record that these may be asked for; then everything recent is read instead
            since = reading.rfc3339(self._clock.now() - QUEUED_AT_MOST)
            return self._lists.pages((*by_source, ("start_date", since)))

    def _recent(self, by_source: Query, newest: Page | None) -> list[Page]:
        since = self._clock.now() - RECENT
        if newest is not None and _reaches(newest, since):
            return [newest]
        return self._lists.pages((*by_source, ("start_date", reading.rfc3339(since))))


def _reaches(page: Page, since: datetime) -> bool:
    """True when the page says itself that it holds everything from `since` on: newest first, and back beyond it."""
    with strangeness("the list of orders"):
        created = [reading.moment_or_none(body.created_time, "created_time") for body in page.rows]
    known = [at for at in created if at is not None]
    return len(known) == len(created) > 0 and known == sorted(known, reverse=True) and known[-1] < since


def _status(body: orders.OrderBody) -> OrderStatus:
    return reading.word(body.status, convert_orders.STATUSES, OrderStatus.UNRECOGNISED)


def _could_fill(body: orders.OrderBody, oldest_unknown: datetime) -> bool:
    """True for a state that is not final. A word we do not know counts while the order could be on its way somewhere."""
    status = _status(body)
    if status is not OrderStatus.UNRECOGNISED:
        return status.live
    created = reading.moment_or_none(body.created_time, "created_time")
    return created is None or created >= oldest_unknown
