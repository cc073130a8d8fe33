"""Books of the US venue: the door from `l2_data` messages to live books. Contracts on the wire, coin in the book.

Continuity is the connection's (`ConnectionSequence`), not a book's: whoever reads the connection judges every message of
it, invalidates every book when one is missing, and brings the books' messages here.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from operator import attrgetter
from typing import Final

from perpsctl.domain.ids import ProductId
from perpsctl.domain.products import Product
from perpsctl.exchange.streams.book import LiveBook
from perpsctl.exchange.streams.grid import BookFault
from perpsctl.wire.advanced_trade import reading
from perpsctl.wire.advanced_trade.socket import BookMessage, LeanBookMessage

__all__ = ["UsBooks", "us_book"]

_ROW: Final = attrgetter("side", "price_level", "new_quantity")
_PLAIN_TIME: Final = len("2026-11-22T12:00:00.000000Z")


def us_book(product: Product) -> LiveBook:
    """An empty book of a US product, whose wire counts contracts."""
    return LiveBook(product, coin_per_wire=product.contract_size)


class UsBooks:
    """The books of one connection, by product. `unasked` counts events of products that are not among them (W7)."""

    def __init__(self, products: Iterable[Product]) -> None:
        self.books: Mapping[ProductId, LiveBook] = {product.product_id: us_book(product) for product in products}
        self.unasked = 0

    def take(self, message: LeanBookMessage | BookMessage, arrived: datetime) -> tuple[ProductId, ...]:
        """Every event is applied in order; the products whose book it touched, BROKEN ones included.

        A broken or empty book waits for its snapshot. What cannot be read breaks the book it names, and every book where
        it names none.
        """
        if not isinstance(message.events, tuple):
            return self.invalidate(BookFault.UNREADABLE, "a book's message has no events")
        told, touched = _venue_time(message.timestamp), []
        for event in message.events:
            if not isinstance(event.product_id, str):
                return self.invalidate(BookFault.UNREADABLE, "an event names no product")
            book = self.books.get(ProductId(event.product_id))
            if book is None:
                self.unasked += 1
                continue
            touched.append(book.product_id)
            if not isinstance(event.updates, tuple):
                book.invalidate(BookFault.UNREADABLE, "an event has no updates")
            elif event.type == "update":
                book.apply(map(_ROW, event.updates), as_of=arrived, venue_time=told)
            elif event.type == "snapshot":
                book.load(map(_ROW, event.updates), as_of=arrived, venue_time=told)
            else:
                book.invalidate(BookFault.UNREADABLE, "an event is neither a snapshot nor an update")
        return tuple(touched)

    def invalidate(self, fault: BookFault, detail: str) -> tuple[ProductId, ...]:
        """Every book is thrown away: the connection is over (LOST), or a message that could be anybody's was unreadable."""
        for book in self.books.values():
            book.invalidate(fault, detail)
        return tuple(self.books)


def _venue_time(text: object) -> datetime | None:
    """The message's time; None when it has none that can be read: a price does not hang on it."""
    if not isinstance(text, str):
        return None
    try:
        if len(text) == _PLAIN_TIME and text[10] == "T" and text.endswith("Z"):
            return datetime.fromisoformat(text)
        return reading.moment_or_none(text, "timestamp")
    except ValueError:
        return None
