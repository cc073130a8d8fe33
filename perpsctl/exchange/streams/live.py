"""The streams of one profile for the one thread that decides (`domain.streams.Streams`): what both venues' feeds share.

Each method first works off what has arrived, in the order of arrival over all connections. Readers only fill mailboxes;
decoding, books and judgement happen here. A gap costs what was built from it, and a new snapshot is asked for at most
once a second, ever slower while it keeps happening. A message is a hint; nothing here proves anything about an order.

What each figure means (design 10), where `domain.streams` leaves it open: uptime and recoveries are told in `faults`; ages
are of each product's book at each `take`, every one up to 4,096, then a fair sample with the oldest.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from perpsctl.domain.ids import Ids, ProductId
from perpsctl.domain.market import BookView, Mark
from perpsctl.domain.ports import Clock
from perpsctl.domain.products import MOST_LEVELS, Product
from perpsctl.domain.streams import ChannelHealth, ChannelState, News, NewsKind, StreamFigures, StreamPart
from perpsctl.exchange.streams.book import BookState, LiveBook
from perpsctl.exchange.streams.channels import Channel, Key
from perpsctl.exchange.streams.faults import Faults
from perpsctl.exchange.streams.figures import Samples
from perpsctl.exchange.streams.grid import BookFault
from perpsctl.exchange.streams.hosts import Host
from perpsctl.exchange.streams.keeper import NOTHING, SLICE, nanoseconds
from perpsctl.exchange.streams.mailbox import Event, EventKind
from perpsctl.exchange.streams.newsbox import NewsBox
from perpsctl.exchange.streams.states import SocketState
from perpsctl.wire.guard import WireError

__all__ = ["LiveStreams"]

TAKEN_AT_ONCE = 20_000  # more than a mailbox holds
STEPS_AT_ONCE = 20_000
ASK_AFTER = timedelta(seconds=1)  # a new snapshot is asked for at most this often, doubling
ASK_AFTER_MAX = timedelta(seconds=8)
SNAPSHOT_WITHIN = timedelta(seconds=5)  # a subscription that begins with nothing is made anew
COMPARED_LEVELS = 5
GRACE = timedelta(seconds=1)  # what a read saw and the stream did not is told by then, or the stream is mute
_SECOND_NS = 1_000_000_000
_NO_BODY = frozenset({EventKind.UP, EventKind.DOWN, EventKind.OVERFLOW, EventKind.BEAT})


@dataclass(slots=True, kw_only=True)
class _Doubt:
    """A read that disagreed with a quiet book."""

    since_ns: int
    last_ns: int | None


class LiveStreams(ABC):
    """What both venues share; each says which channels there are and what their messages mean."""

    def __init__(
        self,
        clock: Clock,
        ids: Ids,
        *,
        product_of: Callable[[ProductId], Product],
        book_age_max: timedelta,
        threads: bool,
    ) -> None:
        self._clock = clock
        self._ids = ids
        self._product_of = product_of
        self._book_age_max = book_age_max
        self._threads = threads
        self._bell = threading.Event()
        self._hosts: list[Host] = []
        self._channels: dict[Key, Channel] = {}
        self._carriers: dict[Key, Host] = {}
        self._books: Mapping[ProductId, LiveBook] = {}
        self._views: dict[ProductId, BookView | None] = {}
        self._doubts: dict[ProductId, _Doubt] = {}
        self._news = NewsBox()
        self._faults = Faults(ids)
        self._ages = Samples(ids)
        self._messages = self._gaps = self._confirmed = 0
        self._running = False

    # --- what a venue adds ----------------------------------------------------------------------------------

    @abstractmethod
    def _connections(self, products: Sequence[Product]) -> tuple[list[Host], Mapping[ProductId, LiveBook]]:
        """The hosts with their channels, not started, and the books they feed."""

    @abstractmethod
    def _begun(self, host: Host) -> None:
        """A new connection of this host: nothing of the one before counts."""

    @abstractmethod
    def _message(self, host: Host, event: Event) -> bool:
        """One message; False for one that counts for nothing, not as a sign of life either. WireError: unreadable."""

    @abstractmethod
    def _renew(self, channel: Channel) -> None:
        """The channel is asked for anew."""

    def _why_refused(self, host: Host, channel: Channel) -> str:
        """Why the venue left it out."""
        return "the venue did not take the channel"

    # --- Streams --------------------------------------------------------------------------------------------

    def start(self, products: Sequence[ProductId]) -> None:
        """Connections are being made; channels of these products and of the account are asked for.

        Raises what reading a product raises; then nothing was begun.
        """
        found = [self._product_of(each) for each in dict.fromkeys(products)]
        self._hosts, self._books = self._connections(found)
        self._channels = {channel.key: channel for host in self._hosts for channel in host.channels}
        self._carriers = {channel.key: host for host in self._hosts for channel in host.channels}
        self._faults.follow(self._hosts)
        self._running = True
        for host in self._hosts:
            host.source.mailbox.ring(self._bell)
            if host.owned:
                host.source.start(thread=self._threads)

    def stop(self) -> None:
        """Everything of ours is closed, readers gone; what was handed in goes on for its owner."""
        if self._running:
            self._work()
        self._running = False
        for host in self._hosts:
            if host.owned:
                host.source.stop()

    def take(self) -> tuple[News, ...]:
        """What happened since the last call, in order."""
        self._work()
        now_ns = self._clock.monotonic_ns()
        for product_id in self._books:
            channel = self._channels[StreamPart.BOOK, product_id]
            if channel.last_ns is not None and channel.state(now_ns) in {ChannelState.LIVE, ChannelState.STALE}:
                self._ages.add(now_ns - channel.last_ns)
        self._faults.told()
        return self._news.take()

    def wait(self, within: timedelta) -> bool:
        """True as soon as there is news; at the latest after `within`."""
        until_ns = self._clock.monotonic_ns() + nanoseconds(within)
        while True:
            self._bell.clear()
            self._work()
            if self._news:
                return True
            left_ns = until_ns - self._clock.monotonic_ns()
            if left_ns <= 0:
                return False
            if self._threads:
                self._bell.wait(min(left_ns, _SECOND_NS) / _SECOND_NS)
            else:
                self._clock.sleep(min(SLICE, timedelta(microseconds=max(1, left_ns // 1000))))

    def book(self, product_id: ProductId) -> BookView | None:
        """The live book with the moment of its last message; None unless it is LIVE or merely stale, and sound."""
        self._work()
        channel, book = self._channels.get((StreamPart.BOOK, product_id)), self._books.get(product_id)
        if channel is None or book is None:
            return None
        if channel.state(self._clock.monotonic_ns()) not in {ChannelState.LIVE, ChannelState.STALE} or not book.sound:
            return None
        view = self._views.get(product_id)
        if view is None or view.as_of != book.as_of:
            view = self._views[product_id] = book.view(MOST_LEVELS)
        return view

    def mark(self, product_id: ProductId) -> Mark | None:
        """The venue's streamed mark where it streams one; None elsewhere."""
        self._work()
        return None

    def confirm(self, read: BookView) -> bool:
        """A read of a quiet book: True when the live book agrees and is renewed.

        Compared are prices and sizes of the best five levels a side, exactly. A book whose own message came after the read
        was asked for needs no confirmation: True. A read the venue dates before the stream's last message proves nothing:
        False. One that differs is first a doubt, because the market may have moved with the message still under way:
        False, nothing is renewed, and unless a message of the book comes within a second the book is thrown away and
        asked for anew.
        """
        self._work()
        channel, book = self._channels.get((StreamPart.BOOK, read.product_id)), self._books.get(read.product_id)
        now_ns = self._clock.monotonic_ns()
        if channel is None or book is None or channel.last_ns is None or book.as_of is None:
            return False
        if channel.state(now_ns) not in {ChannelState.LIVE, ChannelState.STALE}:
            return False
        if book.as_of >= read.as_of:
            return channel.state(now_ns) is ChannelState.LIVE
        if read.venue_time is not None and book.venue_time is not None and read.venue_time < book.venue_time:
            return False
        levels = min(COMPARED_LEVELS, max(len(read.bids), 1), max(len(read.asks), 1))
        if book.agrees_with(read, levels):
            self._doubts.pop(read.product_id, None)
            self._renewed_by_read(channel, book, read, now_ns)
            return True
        self._doubts.setdefault(read.product_id, _Doubt(since_ns=now_ns, last_ns=channel.last_ns))
        return False

    def settled(self) -> None:
        """The engine has reconciled after everything that `take` told: what was unsettled is a proven safe state again."""
        self._work()
        self._faults.settled(self._clock.monotonic_ns())

    def health(self) -> tuple[ChannelHealth, ...]:
        """Each channel asked for, as it stands."""
        self._work()
        now, now_ns = self._clock.now(), self._clock.monotonic_ns()
        return tuple(
            channel.look(now, now_ns, starting=host.source.facts().reason or "connecting")
            for host in self._hosts
            for channel in host.channels
        )

    def figures(self) -> StreamFigures:
        """Figures since `start`; what is exact and what is a sample, the head of this module says."""
        if self._running:
            self._work()
        return StreamFigures(
            uptime=self._faults.uptime(self._clock.monotonic_ns()),
            messages=self._messages,
            gaps=self._gaps,
            reconnects=sum(host.reconnects for host in self._hosts),
            dropped=sum(host.source.mailbox.market_dropped for host in self._hosts),
            confirmed_by_read=self._confirmed,
            recoveries=self._faults.recoveries(),
            ages=self._ages.told(),
        )

    @property
    def hosts(self) -> list[Host]:
        """The connections, for whoever looks into them."""
        return self._hosts

    # --- working off ----------------------------------------------------------------------------------------

    def _work(self) -> None:
        if not self._running:
            return
        for host in self._hosts:
            if host.stepped:
                for _ in range(STEPS_AT_ONCE):
                    if not host.source.step(NOTHING):
                        break
        arrived = [
            (event.arrived_ns, host, event) for host in self._hosts for event in host.source.mailbox.take(TAKEN_AT_ONCE)
        ]
        if len(self._hosts) > 1:
            arrived.sort(key=_moment)
        for _, host, event in arrived:
            self._on(host, event)
        self._look_after()

    def _on(self, host: Host, event: Event) -> None:
        if event.connection <= host.ended:
            return  # left behind by a connection that is over
        if event.connection > host.connection:
            host.reconnects += host.connection > 0
            host.connection = event.connection
            self._begun(host)
        if event.kind not in _NO_BODY:
            self._messages += 1
        match event.kind:
            case EventKind.UP:
                self._up(host, event)
            case EventKind.DOWN:
                self._down(host, event)
            case EventKind.OVERFLOW:
                self._tell(NewsKind.OVERFLOW, event, part=StreamPart.ORDERS, detail=event.detail)
            case EventKind.LATE_REPLY:
                self._tell(NewsKind.LATE_REPLY, event, part=StreamPart.ORDERS, detail=f"request {event.request_id}")
            case EventKind.BEAT:
                self._faults.lives(host, event.arrived_ns)
            case EventKind.MARKET | EventKind.ACCOUNT:
                try:
                    if self._message(host, event):
                        self._faults.lives(host, event.arrived_ns)
                except WireError as unreadable:
                    self._give_up(host, event, f"a message cannot be read: {unreadable}")

    def _up(self, host: Host, event: Event) -> None:
        host.standing = True
        for channel in host.channels:
            if channel.refused:
                continue
            if set(channel.names) <= set(event.channels):
                channel.standing, channel.asked_ns, channel.asks = True, event.arrived_ns, 0
                channel.complete = channel.complete or not channel.begins
            else:
                self._faults.refused(channel, event.arrived_ns, self._why_refused(host, channel))
        self._faults.lives(host, event.arrived_ns)
        for channel in host.channels:
            self._faults.perhaps_live(channel, event.arrived_ns)
        self._faults.stands(host)
        if host.carries_orders:
            self._tell(NewsKind.UP, event, part=StreamPart.ORDERS, detail=event.detail)

    def _down(self, host: Host, event: Event) -> None:
        host.ended = event.connection
        was_standing = self._faults.lost(host, event.arrived_ns, event.detail or "the connection is gone")
        for channel in host.channels:
            book = self._book_of(channel)
            if book is not None:
                book.invalidate(BookFault.LOST, channel.down)
        if host.carries_orders and was_standing:
            self._tell(NewsKind.DOWN, event, part=StreamPart.ORDERS, detail=event.detail)

    # --- for the venues -------------------------------------------------------------------------------------

    def _heard(self, channel: Channel, event: Event) -> None:
        """A message of this channel itself."""
        if channel.product_id is not None:
            self._views.pop(channel.product_id, None)
            self._news.moved(channel.product_id, channel.part, event.arrived)
        self._faults.heard(channel, event.arrived_ns)

    def _touched(self, products: Sequence[ProductId], event: Event) -> None:
        """A message was applied to these books: live, or thrown away by what it held."""
        for product_id in products:
            channel, book = self._channels[StreamPart.BOOK, product_id], self._books[product_id]
            if book.broken is not None and not channel.broken:
                if book.broken.fault is BookFault.GAP:
                    self._gap([channel], event, book.broken.detail)
                else:
                    self._break(channel, event.arrived_ns, book.broken.detail, book.broken.fault)
            elif book.state is BookState.LIVE:
                self._heard(channel, event)
                self._faults.complete(channel, event.arrived_ns)

    def _gap(self, channels: Sequence[Channel], event: Event, detail: str) -> None:
        """Messages are missing: what these channels built is thrown away, and asked for anew by `_look_after`."""
        self._gaps += 1
        for channel in channels:
            self._break(channel, event.arrived_ns, f"messages are missing: {detail}", BookFault.GAP)
            self._tell(NewsKind.GAP, event, part=channel.part, product_id=channel.product_id, detail=detail)

    def _missed(self, channel: Channel, event: Event, detail: str) -> None:
        """Messages are missing that cost nothing: counted and told, and no fault of the channel."""
        self._gaps += 1
        self._tell(NewsKind.GAP, event, part=channel.part, product_id=channel.product_id, detail=detail)

    def _break(self, channel: Channel, at_ns: int, reason: str, fault: BookFault) -> None:
        if channel.refused:
            return
        self._faults.broken(channel, at_ns, reason)
        book = self._book_of(channel)
        if book is not None and book.broken is None:
            book.invalidate(fault, reason)

    def _give_up(self, host: Host, event: Event, reason: str) -> None:
        """What came over this connection is not trusted further: closed and opened anew (W11)."""
        for channel in host.channels:
            if channel.part is StreamPart.BOOK:
                self._break(channel, event.arrived_ns, reason, BookFault.UNREADABLE)
        host.source.give_up(reason)

    def _tell(
        self,
        kind: NewsKind,
        event: Event,
        *,
        part: StreamPart,
        product_id: ProductId | None = None,
        detail: str = "",
    ) -> None:
        self._news.add(News(kind=kind, at=event.arrived, part=part, product_id=product_id, detail=detail))

    def _book_of(self, channel: Channel) -> LiveBook | None:
        if channel.part is not StreamPart.BOOK or channel.product_id is None:
            return None
        return self._books[channel.product_id]

    # --- what time brings -----------------------------------------------------------------------------------

    def _look_after(self) -> None:
        now_ns = self._clock.monotonic_ns()
        for host in self._hosts:
            if host.source.facts().state is SocketState.REFUSED and not host.told_refused:
                host.told_refused = True
                for channel in host.channels:
                    if not channel.refused:
                        self._faults.refused(channel, now_ns, host.source.facts().reason)
            for channel in host.channels:
                if channel.standing and not channel.refused and not channel.complete:
                    self._ask_anew(channel, now_ns)
        for product_id, doubt in list(self._doubts.items()):
            self._judge(product_id, doubt, now_ns)

    def _ask_anew(self, channel: Channel, now_ns: int) -> None:
        """A snapshot that is missing is asked for: after a gap at once, at most once a second, ever slower."""
        asked_ns = channel.asked_ns
        wait = min(ASK_AFTER_MAX, ASK_AFTER * (1 << min(channel.asks, 5))) if channel.broken else SNAPSHOT_WITHIN
        if asked_ns is not None and now_ns - asked_ns < nanoseconds(wait):
            return
        channel.asked_ns = now_ns
        channel.asks += 1
        self._renew(channel)

    def _judge(self, product_id: ProductId, doubt: _Doubt, now_ns: int) -> None:
        channel = self._channels[StreamPart.BOOK, product_id]
        if channel.last_ns != doubt.last_ns or not channel.complete:
            del self._doubts[product_id]  # the stream told of a move by itself
        elif now_ns - doubt.since_ns > nanoseconds(GRACE):
            del self._doubts[product_id]
            self._break(channel, now_ns, "a read of the venue says otherwise", BookFault.DISAGREES)

    def _renewed_by_read(self, channel: Channel, book: LiveBook, read: BookView, now_ns: int) -> None:
        """As young as the read, which was asked for a moment ago."""
        self._confirmed += 1
        self._faults.confirmed(channel, now_ns, nanoseconds(max(NOTHING, self._clock.now() - read.as_of)))
        book.renew(read.as_of)


def _moment(arrived: tuple[int, Host, Event]) -> int:
    return arrived[0]
