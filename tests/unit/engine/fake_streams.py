"""Streams that tell what a test lets them tell: channels with their own last message, news in order, figures that add up.

Honest about the contract: a channel turns stale by its age alone, a broken or downed one gives no data, a read that
disagrees throws the book away, and `settled` is only remembered after everything was taken.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from perpsctl.domain.ids import ProductId, VenueOrderId
from perpsctl.domain.market import BookView, DataSource, Mark, MarkSource
from perpsctl.domain.numbers import Price
from perpsctl.domain.ports import Clock
from perpsctl.domain.streams import (
    ChannelHealth,
    ChannelState,
    News,
    NewsKind,
    StreamFigures,
    StreamPart,
    Streams,
)
from tests.builders import BTC, a_book

PRODUCT = ProductId(BTC)
BOUND = timedelta(seconds=2)
FIGURES = StreamFigures(
    uptime=Decimal("0.9995"), messages=12, gaps=1, reconnects=2, dropped=0, confirmed_by_read=0,
    recoveries=(timedelta(milliseconds=800),), ages=(timedelta(milliseconds=40), timedelta(milliseconds=60)),
)  # fmt: skip


@dataclass(slots=True)
class Channel:
    """One channel: when it last said something, or why it says nothing."""

    part: StreamPart
    product_id: ProductId | None
    last: datetime | None = None
    state: ChannelState | None = None  # None: by age
    since: datetime | None = None
    reason: str = ""
    bound: timedelta = BOUND


@dataclass(slots=True)
class FakeStreams:
    clock: Clock
    channels: dict[tuple[StreamPart, ProductId | None], Channel] = field(default_factory=dict)
    books: dict[ProductId, BookView] = field(default_factory=dict)
    marks: dict[ProductId, Mark] = field(default_factory=dict)
    pending: list[News] = field(default_factory=list)
    confirmed: list[BookView] = field(default_factory=list)
    products: tuple[ProductId, ...] = ()
    settlements: int = 0
    stopped: bool = False
    figures_: StreamFigures = FIGURES
    at_wait: list[Callable[[], None]] = field(default_factory=list)
    waits: int = 0
    refuses_start: Exception | None = None

    # --- what a test does to it -------------------------------------------------------------------------------

    def live(self, part: StreamPart = StreamPart.ORDERS, product_id: ProductId | None = None) -> Channel:
        """The channel is heard from now on, until told otherwise."""
        found = self.channels.setdefault((part, product_id), Channel(part=part, product_id=product_id))
        found.state, found.reason, found.last, found.since = ChannelState.LIVE, "", self.clock.now(), self.clock.now()
        return found

    def fail(
        self, state: ChannelState, part: StreamPart = StreamPart.ORDERS, product_id: ProductId | None = None,
        reason: str = "no message",
    ) -> None:  # fmt: skip
        found = self.channels[part, product_id]
        found.state, found.reason, found.since = state, reason, self.clock.now()

    def tell_book(self, mid: str = "60000", product_id: ProductId = PRODUCT) -> None:
        """A message of the book has come: its channel's age is by that message alone."""
        self.live(StreamPart.BOOK, product_id).state = None
        self.books[product_id] = replace(
            a_book(mid=mid, product_id=product_id), as_of=self.clock.now(), source=DataSource.STREAM
        )
        self.news(NewsKind.MARKET, product_id=product_id, part=StreamPart.BOOK)

    def tell_mark(self, price: str, product_id: ProductId = PRODUCT) -> None:
        self.marks[product_id] = Mark(price=Price(Decimal(price)), as_of=self.clock.now(), source=MarkSource.VENUE)
        self.news(NewsKind.MARKET, product_id=product_id, part=StreamPart.TICKER)

    def news(
        self, kind: NewsKind, *, order: VenueOrderId | None = None, part: StreamPart | None = None,
        product_id: ProductId | None = None,
    ) -> None:  # fmt: skip
        self.pending.append(
            News(kind=kind, at=self.clock.now(), part=part, product_id=product_id, venue_order_id=order)
        )

    # --- the port ---------------------------------------------------------------------------------------------

    def start(self, products: Sequence[ProductId]) -> None:
        if self.refuses_start is not None:
            raise self.refuses_start
        self.products = tuple(products)

    def stop(self) -> None:
        self.stopped = True

    def take(self) -> tuple[News, ...]:
        taken, self.pending = tuple(self.pending), []
        return taken

    def wait(self, within: timedelta) -> bool:
        self.waits += 1
        if not self.pending:
            for action in tuple(self.at_wait):
                action()
        if self.pending:
            return True
        self.clock.sleep(within)
        return bool(self.pending)

    def book(self, product_id: ProductId) -> BookView | None:
        found = self.channels.get((StreamPart.BOOK, product_id))
        if found is None or self._health(found).state not in (ChannelState.LIVE, ChannelState.STALE):
            return None
        return self.books.get(product_id)

    def mark(self, product_id: ProductId) -> Mark | None:
        return self.marks.get(product_id)

    def confirm(self, read: BookView) -> bool:
        self.confirmed.append(read)
        held = self.books[read.product_id]
        channel = self.channels[StreamPart.BOOK, read.product_id]
        if (held.best_bid, held.best_ask) == (read.best_bid, read.best_ask):
            self.books[read.product_id] = replace(held, as_of=read.as_of)
            channel.last = read.as_of
            return True
        channel.state, channel.reason, channel.since = ChannelState.BROKEN, "a read disagreed", self.clock.now()
        return False

    def settled(self) -> None:
        assert not self.pending, "settled before everything was taken"
        self.settlements += 1

    def health(self) -> tuple[ChannelHealth, ...]:
        return tuple(self._health(each) for each in self.channels.values())

    def _health(self, channel: Channel) -> ChannelHealth:
        now = self.clock.now()
        age = None if channel.last is None else now - channel.last
        state, since = channel.state, channel.since or now
        if state is None:
            stale = age is None or age > channel.bound
            state = ChannelState.STALE if stale else ChannelState.LIVE
            since = now if channel.last is None or not stale else channel.last + channel.bound
        return ChannelHealth(
            part=channel.part, product_id=channel.product_id, state=state, age=age, bound=channel.bound, since=since,
            reason="" if state is ChannelState.LIVE else channel.reason or "no message",
        )  # fmt: skip

    def figures(self) -> StreamFigures:
        return self.figures_


def is_streams(found: FakeStreams) -> Streams:
    """The fake keeps to the port, as far as types can tell."""
    return found
