"""Books of the international venue: the door from `book` notifications to live books. Coin on the wire already.

Continuity is each channel's own: `change_id` follows `prev_change_id`. A break throws that one book away; its channel
has to be left and subscribed to again for a new snapshot (coinbase-global-derivatives.md 12).
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from perpsctl.domain.ids import ProductId
from perpsctl.domain.products import Product
from perpsctl.exchange.streams.book import LiveBook, Row
from perpsctl.exchange.streams.gaps import ChangeChain, Continuity
from perpsctl.exchange.streams.grid import BookFault, BookRefused
from perpsctl.wire.global_derivatives.channels import BookNotification, ImageNotification, LeanBook, LeanImage

__all__ = ["GlobalBooks", "global_book"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_LAST_MS: Final = 253_402_300_799_000  # of the year 9999
_NOTHING: Final = b"0"


def global_book(product: Product) -> LiveBook:
    """An empty book of an international product, whose wire counts coin."""
    return LiveBook(product, coin_per_wire=Decimal(1))


class GlobalBooks:
    """The books of one connection, by product, each fed by one channel. `unasked` counts messages of others (W7)."""

    def __init__(self, products: Iterable[Product]) -> None:
        self.books: Mapping[ProductId, LiveBook] = {product.product_id: global_book(product) for product in products}
        self._chains = {product_id: ChangeChain() for product_id in self.books}
        self.unasked = 0

    def take(self, message: BookNotification | ImageNotification, arrived: datetime) -> tuple[ProductId, ...]:
        """The message is applied if it is the next of its chain; the products whose book it touched, BROKEN ones included."""
        data = message.params.data
        book = self.books.get(ProductId(message.params.channel.partition(".")[2].partition(".")[0]))
        if book is None:
            self.unasked += 1
            return ()
        if data.instrument_name != book.product_id:
            book.invalidate(BookFault.UNREADABLE, "a channel told another product's book")
        elif isinstance(data, LeanImage):
            self._image(book, data, arrived)
        elif data.type in ("snapshot", "change"):
            self._linked(book, data, arrived)
        else:
            book.invalidate(BookFault.UNREADABLE, "a message is neither a snapshot nor a change")
        return (book.product_id,)

    def restart(self, product_id: ProductId) -> None:
        """Its channel is subscribed to anew: EMPTY, and the next snapshot begins a new chain."""
        self.books[product_id].reset()
        self._chains[product_id].restart()

    def _linked(self, book: LiveBook, data: LeanBook, arrived: datetime) -> None:
        previous = data.prev_change_id if data.type == "change" else None
        if not isinstance(data.change_id, int) or (data.type == "change" and not isinstance(previous, int)):
            book.invalidate(BookFault.UNREADABLE, "a message lacks the id it has or follows")
            return
        step = self._chain_of(book).take(data.change_id, previous if isinstance(previous, int) else None)
        if step.kind is Continuity.GAP:
            book.invalidate(BookFault.GAP, f"prev_change_id: {step.told()}")
        elif step.kind is Continuity.APPLY:
            put = book.load if data.type == "snapshot" else book.apply
            put(_changes(data), as_of=arrived, venue_time=_venue_time(data.timestamp))

    def _image(self, book: LiveBook, data: LeanImage, arrived: datetime) -> None:
        if not isinstance(data.change_id, int):
            book.invalidate(BookFault.UNREADABLE, "an image lacks its id")
        elif self._chain_of(book).take(data.change_id).kind is Continuity.APPLY:
            book.load(_levels(data), as_of=arrived, venue_time=_venue_time(data.timestamp))

    def _chain_of(self, book: LiveBook) -> ChangeChain:
        """The book's chain, as new where the book does not stand: the snapshot of a quiet book has the id it had."""
        chain = self._chains[book.product_id]
        if book.as_of is None:
            chain.restart()
        return chain


def _changes(data: LeanBook) -> Iterator[Row]:
    if not isinstance(data.bids, tuple) or not isinstance(data.asks, tuple):
        raise BookRefused(BookFault.UNREADABLE, "a message lacks a side")
    for word, levels in (("bid", data.bids), ("ask", data.asks)):
        for action, price, amount in levels:
            if action == "delete":
                yield word, bytes(price), _NOTHING
            elif action in ("new", "change"):
                yield word, bytes(price), bytes(amount)
            else:
                raise BookRefused(BookFault.UNREADABLE, "a level is neither new, changed nor deleted")


def _levels(data: LeanImage) -> Iterator[Row]:
    if not isinstance(data.bids, tuple) or not isinstance(data.asks, tuple):
        raise BookRefused(BookFault.UNREADABLE, "an image lacks a side")
    for word, levels in (("bid", data.bids), ("ask", data.asks)):
        for price, amount in levels:
            yield word, bytes(price), bytes(amount)


def _venue_time(millis: object) -> datetime | None:
    """Milliseconds since 1970; None when there are none that can be read: a price does not hang on them."""
    return _EPOCH + millis * _MILLISECOND if isinstance(millis, int) and 0 <= millis <= _LAST_MS else None
