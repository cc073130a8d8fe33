"""Lists read to their last page: orders of every placement source, and fills.

A list that could not be read whole is an error, never a shorter list (E21, L5). Orders of products that are no futures
are kept apart: they are listed and never touched (design 5, scope).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from perpsctl.domain.ids import ProductId
from perpsctl.domain.numbers import Size
from perpsctl.domain.orders import Fill, VenueOrder
from perpsctl.domain.text import shown
from perpsctl.exchange.advanced_trade.catalogue import Catalogue
from perpsctl.exchange.advanced_trade.link import Ask, Link, strangeness
from perpsctl.exchange.listing import ForeignOrder, Listing, merged
from perpsctl.exchange.pages import Pages
from perpsctl.wire.advanced_trade import convert_orders, orders, reading
from perpsctl.wire.advanced_trade.common import is_absent

__all__ = ["SOURCES", "TRANSITIONAL", "Lists", "Page"]

# Every source there is. The venue's default is RETAIL_ADVANCED alone, which hides what was placed in the simple app
# (reference section 6.7, 2026-11-22).
SOURCES = ("RETAIL_ADVANCED", "RETAIL_SIMPLE", "UNKNOWN_PLACEMENT_SOURCE")
# States that could still fill and that an OPEN filter does not show; OPEN may not be combined with them.
TRANSITIONAL = ("PENDING", "QUEUED", "CANCEL_QUEUED", "EDIT_QUEUED")
PAGE_ROWS = 250
FILL_ROWS = 100
_FUTURE_TYPES = ("", "FUTURE", "UNKNOWN_PRODUCT_TYPE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One answer of the list: its rows as told, when it was asked for, and whether more follow."""

    rows: tuple[orders.OrderBody, ...]
    asked: datetime
    last: bool


class Lists:
    """The paged reads of one key."""

    def __init__(self, link: Link, catalogue: Catalogue) -> None:
        self._link = link
        self._catalogue = catalogue

    def read_orders(self, query: tuple[tuple[str, str], ...]) -> Listing:
        """Every order the query selects, to the last page, each once."""
        return self.listing(self.pages(query))

    def pages(self, query: tuple[tuple[str, str], ...]) -> list[Page]:
        """What the query selects, to the last page, as the venue tells it."""
        read: list[Page] = []
        pages = Pages("orders")
        while True:
            page, cursor = self._page((*query, ("limit", str(PAGE_ROWS)), *pages.query))
            read.append(page)
            if not pages.turn(cursor, rows=len(page.rows)):
                return read

    def newest(self, query: tuple[tuple[str, str], ...], *, rows: int) -> Page:
        """The newest of what the query selects (reference section 6.7); `last` tells whether that is all of it."""
        return self._page((*query, ("limit", str(rows))))[0]

    def _page(self, query: tuple[tuple[str, str], ...]) -> tuple[Page, str | None]:
        reply = self._link.read(Ask(path="/orders/historical/batch", query=query), orders.OrdersReply)
        with strangeness("the list of orders"):
            rows = reading.required(reply.body.orders, "orders")
            cursor = convert_orders.more_orders(reply.body)
        return Page(rows=tuple(rows), asked=reply.answer.asked, last=cursor is None), cursor

    def listing(self, pages: list[Page], *, wanted: Callable[[orders.OrderBody], bool] = lambda body: True) -> Listing:
        """Those rows of the pages that are wanted, each order once."""
        ours: list[VenueOrder] = []
        foreign: list[ForeignOrder] = []
        with strangeness("the list of orders"):
            for page in pages:
                for body in filter(wanted, page.rows):
                    sizes = self.sizes_for(body.product_id, body.product_type)
                    if sizes is None:
                        foreign.append(_foreign(body))
                    else:
                        ours.append(convert_orders.order_from(body, sizes, page.asked))
        asked = min(page.asked for page in pages)
        return Listing(orders=merged(ours), foreign=tuple(foreign), as_of=asked, pages=len(pages))

    def sizes_for(self, product_id: reading.Text, product_type: reading.Text) -> dict[ProductId, Size] | None:
        """The contract sizes to read this order with; None when its product is no future."""
        if reading.text(product_type) not in _FUTURE_TYPES:
            return None
        return self._catalogue.sizes_with(reading.product_id(product_id))

    def read_fills(self, query: tuple[tuple[str, str], ...]) -> tuple[Fill, ...]:
        """Every fill of a future the query selects, oldest first, each once; a row told twice in two ways is an error."""
        found: list[Fill] = []
        pages = Pages("fills")
        while True:
            asked = (*query, ("limit", str(FILL_ROWS)), *pages.query)
            reply = self._link.read(Ask(path="/orders/historical/fills", query=asked), orders.FillsReply)
            with strangeness("the list of fills"):
                found += self._fills_of(reply.body)
                cursor = convert_orders.more_fills(reply.body)
            if not pages.turn(cursor, rows=len(reply.body.fills or ())):
                break
        with strangeness("the list of fills"):
            return reading.fills_once(found)

    def _fills_of(self, reply: orders.FillsReply) -> Iterator[Fill]:
        for body in reading.required(reply.fills, "fills"):
            sizes = self._catalogue.sizes_with(reading.product_id(body.product_id))
            if sizes is not None:
                yield convert_orders.fill_from(body, sizes)


def _foreign(body: orders.OrderBody) -> ForeignOrder:
    def word(value: reading.Text) -> str:
        return "" if is_absent(value) else shown(reading.text(value), 80)

    return ForeignOrder(
        venue_order_id=word(body.order_id),
        client_order_id=word(body.client_order_id),
        product_id=word(body.product_id),
        product_type=word(body.product_type),
        side=word(body.side),
        status=word(body.status),
    )
