"""What every venue's client answers in the same way, from parts that differ: the base of the `Venue` ports.

Nothing here reads or writes by itself, and nothing here knows which venue it serves.
"""

from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Protocol

from perpsctl.domain.ids import ProductId, VenueOrderId
from perpsctl.domain.market import Candle
from perpsctl.domain.orders import ApprovedEdit, ApprovedOrder, Fill, SubmitOutcome, VenueOrder
from perpsctl.domain.ports import Clock, Gate, Sighting, Sought
from perpsctl.domain.products import Product, VenueCapabilities
from perpsctl.domain.reports import RequestLimit
from perpsctl.exchange.bars import windows
from perpsctl.exchange.retrying import within
from perpsctl.exchange.search import Search
from perpsctl.exchange.transport import ExchangeRecord, Transport

__all__ = ["CommonVenue", "from_moment"]


class Products(Protocol):
    """What can be traded at the venue."""

    def products(self) -> tuple[Product, ...]: ...
    def product(self, product_id: ProductId) -> Product: ...


class Writes(Protocol):
    """The write methods of one key: each sends once and never raises."""

    def submit(self, approved: ApprovedOrder, gate: Gate) -> SubmitOutcome: ...
    def submit_edit(self, approved: ApprovedEdit, gate: Gate) -> SubmitOutcome: ...
    def close_position(self, approved: ApprovedOrder, gate: Gate) -> SubmitOutcome: ...


class CommonVenue:
    """One venue with one key, or with none for public reads."""

    def __init__(
        self,
        *,
        capabilities: VenueCapabilities,
        clock: Clock,
        transport: Transport,
        products: Products,
        writes: Writes,
        search: Search,
    ) -> None:
        self._capabilities = capabilities
        self._clock = clock
        self._transport = transport
        self.__products = products
        self.__writes = writes
        self.__search = search
        self.__live_before: frozenset[VenueOrderId] = frozenset()

    @property
    def capabilities(self) -> VenueCapabilities:
        return self._capabilities

    def within(self, length: timedelta) -> AbstractContextManager[None]:
        """Bounds every read and cancel that is asked in the block; a request begun before keeps its own deadline."""
        return within(length, self._clock)

    def request_limits(self) -> tuple[RequestLimit, ...]:
        """What the venue tells the account of how often it may ask; empty where it tells that in headers, or not at all."""
        return ()

    def last_exchange(self) -> ExchangeRecord | None:
        """What the last request did: evidence for probe, with no secret in it."""
        return self._transport.last

    def close(self) -> None:
        """No connection is held any more."""
        self._transport.close()

    def products(self) -> tuple[Product, ...]:
        """Every perpetual the venue offers, discovered by structure, to the last page."""
        return self.__products.products()

    def product(self, product_id: ProductId) -> Product:
        """One perpetual, read now. UsageError names the successor of a retired id."""
        return self.__products.product(product_id)

    def submit(self, order: ApprovedOrder, gate: Gate) -> SubmitOutcome:
        return self.__writes.submit(order, gate)

    def submit_edit(self, edit: ApprovedEdit, gate: Gate) -> SubmitOutcome:
        return self.__writes.submit_edit(edit, gate)

    def close_position(self, order: ApprovedOrder, gate: Gate) -> SubmitOutcome:
        return self.__writes.close_position(order, gate)

    def search(self, sought: Sought) -> Sighting:
        return self.__search.look(sought)

    def _bars(
        self,
        start: datetime,
        end: datetime,
        granularity: timedelta,
        *,
        per_request: int,
        read: Callable[[int, int], Iterable[Candle]],
    ) -> tuple[Candle, ...]:
        """Bars that start in [start, end), oldest first; long ranges in several requests of (first, last) Unix second."""
        found: dict[datetime, Candle] = {}
        for first, last in windows(start, end, granularity, bars=per_request):
            found.update((bar.start, bar) for bar in read(first, last) if start <= bar.start < end)
        return tuple(found[at] for at in sorted(found))

    def _still_live(
        self,
        listed: Iterable[VenueOrder],
        by_id: Callable[[Collection[VenueOrderId]], Iterable[VenueOrder]],
        *,
        live: Callable[[VenueOrder], bool],
        ended: Collection[VenueOrderId] = (),
    ) -> tuple[VenueOrder, ...]:
        """The live ones of what is listed, and of what was live when we last looked and is not listed now.

        A listing may lag: those are asked for by id (E2), but for those it told as `ended`.
        """
        seen = {order.venue_order_id: order for order in listed}
        seen.update((order.venue_order_id, order) for order in by_id(self.__live_before - seen.keys() - set(ended)))
        found = {order_id: order for order_id, order in seen.items() if live(order)}
        self.__live_before = frozenset(found)
        return tuple(found.values())


def from_moment(fills: tuple[Fill, ...], since: datetime | None) -> tuple[Fill, ...]:
    """The fills from that moment on; all without one."""
    return fills if since is None else tuple(fill for fill in fills if fill.time >= since)
