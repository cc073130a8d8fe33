"""The streams of one profile for the one thread that decides (`domain.streams.Streams`): what both venues' feeds share.

Each method first works off what has arrived, in the order of arrival over all connections. Readers only fill mailboxes;
decoding, books and judgement happen here. A gap costs what was built from it, and a new snapshot is asked for at most
once a second, ever slower while it keeps happening. A message is a hint; nothing here proves anything about an order.

What each figure means (design 10), where `domain.streams` leaves it open:
- uptime: exact. A channel has fresh data from a message until its bound later, also when its connection was lost
  meanwhile (age decides, not the state of a socket); a gap throws the data away at once. Refused channels are left out.
- recoveries: a lost connection is one fault, safe when each of its channels is live again and, where it carries orders,
  the engine has settled after that. A gap is one, safe when what it cost is live again (orders: and settled). A channel
  that was stale is one, from its bound to its next message or confirmation. Every one up to 4,096, then a fair sample
  that always holds the longest.
- ages: of each product's book at each `take`; every one up to 4,096, then a fair sample with the oldest.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Protocol

from perpsctl.domain.ids import Ids, ProductId
from perpsctl.domain.market import BookView, Mark
from perpsctl.domain.ports import Clock
from perpsctl.domain.products import MOST_LEVELS, Product
from perpsctl.domain.streams import ChannelHealth, ChannelState, News, NewsKind, StreamFigures, StreamPart
from perpsctl.exchange.streams.book import BookState, LiveBook
from perpsctl.exchange.streams.channels import Channel, Key
from perpsctl.exchange.streams.figures import Recoveries, Samples, Uptime
from perpsctl.exchange.streams.grid import BookFault
from perpsctl.exchange.streams.keeper import NOTHING, SLICE, nanoseconds
from perpsctl.exchange.streams.mailbox import Event, EventKind, Mailbox
from perpsctl.exchange.streams.newsbox import NewsBox
from perpsctl.exchange.streams.states import SocketState
from perpsctl.wire.guard import WireError

__all__ = ["Host", "LiveStreams", "Source", "SourceFacts"]

TAKEN_AT_ONCE = 20_000  # more than a mailbox holds
STEPS_AT_ONCE = 20_000
ASK_AFTER = timedelta(seconds=1)  # a new snapshot is asked for at most this often, doubling
ASK_AFTER_MAX = timedelta(seconds=8)
SNAPSHOT_WITHIN = timedelta(seconds=5)  # a subscription that begins with nothing is made anew
CALM_AFTER = timedelta(seconds=10)  # a book that stayed live so long had nothing to do with the last gap
COMPARED_LEVELS = 5
GRACE = timedelta(seconds=1)  # what a read saw and the stream did not is told by then, or the stream is mute
_SECOND_NS = 1_000_000_000
_NO_BODY = frozenset({EventKind.UP, EventKind.DOWN, EventKind.OVERFLOW, EventKind.BEAT})


class SourceFacts(Protocol):
    """What a connection says of itself."""

    @property
    def state(self) -> SocketState: ...

    @property
    def reason(self) -> str: ...


class Source(Protocol):
    """A connection that comes back by itself and fills a mailbox."""

    mailbox: Mailbox

    def start(self, *, thread: bool = True) -> None: ...

    def step(self, within: timedelta) -> bool: ...

    def stop(self) -> bool: ...

    def facts(self) -> SourceFacts: ...

    def give_up(self, reason: str) -> None: ...


@dataclass(slots=True, kw_only=True, eq=False)
class Host:
    """One connection and the channels it carries. `owned`: started and stopped here; `stepped`: it has no reader."""

    name: str
    source: Source
    owned: bool
    stepped: bool
    carries_orders: bool
    channels: list[Channel] = field(default_factory=list)
    connection: int = 0
    ended: int = 0
    reconnects: int = 0
    standing: bool = False
    told_refused: bool = False


class _Settling(Enum):
    """How far a fault of orders has come."""

    UNTOLD = "untold"
    TOLD = "told"  # by `take`
    SETTLED = "settled"  # the engine reconciled since; the channels may not all be live yet


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
        self._uptime = Uptime()
        self._recovery_samples, self._ages = Samples(ids), Samples(ids)
        self._recoveries = Recoveries(self._recovery_samples)
        self._unsettled: dict[object, _Settling] = {}  # faults of orders
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
        for key in self._channels:
            self._uptime.watch(key)
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
        for fault, settling in self._unsettled.items():
            if settling is _Settling.UNTOLD:
                self._unsettled[fault] = _Settling.TOLD
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
        for fault, settling in list(self._unsettled.items()):
            if settling is _Settling.TOLD:
                self._unsettled[fault] = _Settling.SETTLED
                self._end_if_safe(fault, self._clock.monotonic_ns())

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
            uptime=self._uptime.share(self._clock.monotonic_ns()),
            messages=self._messages,
            gaps=self._gaps,
            reconnects=sum(host.reconnects for host in self._hosts),
            dropped=sum(host.source.mailbox.market_dropped for host in self._hosts),
            confirmed_by_read=self._confirmed,
            recoveries=self._recovery_samples.told(),
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
                self._lives(host, event.arrived_ns)
            case EventKind.MARKET | EventKind.ACCOUNT:
                try:
                    if self._message(host, event):
                        self._lives(host, event.arrived_ns)
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
                self._refuse(channel, self._why_refused(host, channel), event.arrived_ns)
        self._lives(host, event.arrived_ns)
        for channel in host.channels:
            self._perhaps_complete(channel, event.arrived_ns)
        if host.carries_orders:
            self._unsettled[host.name] = _Settling.UNTOLD
            self._tell(NewsKind.UP, event, part=StreamPart.ORDERS, detail=event.detail)

    def _down(self, host: Host, event: Event) -> None:
        was_standing = host.standing
        overdue = [channel.overdue_since(event.arrived_ns) for channel in host.channels if channel.by_life]
        seen_ns = min((since for since in overdue if since is not None), default=event.arrived_ns)
        host.ended, host.standing = event.connection, False
        for channel in host.channels:
            channel.standing = channel.complete = False
            channel.broken, channel.down = "", event.detail or "the connection is gone"
            channel.renewed_ns = None
            self._recoveries_end_with(channel)
            book = self._book_of(channel)
            if book is not None:
                book.invalidate(BookFault.LOST, channel.down)
        if was_standing or self._recoveries.is_open(host.name):
            self._recoveries.fault(host.name, seen_ns)  # a silence was seen before the connection was given up
        if host.carries_orders and was_standing:
            self._unsettled[host.name] = _Settling.UNTOLD
            self._tell(NewsKind.DOWN, event, part=StreamPart.ORDERS, detail=event.detail)

    def _recoveries_end_with(self, channel: Channel) -> None:
        """A fault of one channel goes on as its connection's: the earlier of the two moments counts."""
        since_ns = self._recoveries.dropped(channel.key)
        self._unsettled.pop(channel.key, None)
        if since_ns is not None:
            self._recoveries.fault(self._carriers[channel.key].name, since_ns)

    def _lives(self, host: Host, at_ns: int) -> None:
        """A sign of life of the connection: what is quiet by nature is as young as that."""
        overdue = [self._renewed(channel, at_ns) for channel in host.channels if channel.by_life and channel.standing]
        stale_ns = min((since for since in overdue if since is not None), default=None)
        if stale_ns is not None:  # one silence, however many channels it made stale
            self._recoveries.lasted(at_ns - stale_ns)

    def _renewed(self, channel: Channel, at_ns: int) -> int | None:
        """As young as this moment; since when it had been stale, None when it had not."""
        stale_ns = channel.overdue_since(at_ns)
        channel.renewed_ns = at_ns
        if channel.complete and not channel.broken:
            self._uptime.fresh(channel.key, at_ns, channel.bound_ns)
        return stale_ns

    # --- for the venues -------------------------------------------------------------------------------------

    def _heard(self, channel: Channel, event: Event) -> None:
        """A message of this channel itself."""
        channel.last_ns = event.arrived_ns
        if channel.product_id is not None:
            self._views.pop(channel.product_id, None)
            self._news.moved(channel.product_id, channel.part, event.arrived)
        stale_ns = self._renewed(channel, event.arrived_ns)
        if stale_ns is not None and not channel.by_life:
            self._recoveries.lasted(event.arrived_ns - stale_ns)

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
                self._is_complete(channel, event.arrived_ns)

    def _is_complete(self, channel: Channel, at_ns: int) -> None:
        """It has all there is to have: live from now on."""
        if not channel.complete or channel.broken:
            channel.complete, channel.broken = True, ""
            channel.renewed_ns = at_ns
            self._perhaps_complete(channel, at_ns)

    def _perhaps_complete(self, channel: Channel, at_ns: int) -> None:
        """Live, if its connection stands: counted as fresh, and what faults that ends is safe again."""
        if not channel.complete or channel.broken or not channel.standing:
            return
        if channel.renewed_ns is None:
            channel.renewed_ns = at_ns
        self._uptime.fresh(channel.key, channel.renewed_ns, channel.bound_ns)
        self._end_if_safe(channel.key, at_ns)
        self._end_if_safe(self._carriers[channel.key].name, at_ns)

    def _end_if_safe(self, fault: object, at_ns: int) -> None:
        """Over, when all it touched is live and, of orders, the engine has settled."""
        if self._unsettled.get(fault, _Settling.SETTLED) is _Settling.SETTLED and self._all_live(fault, at_ns):
            self._unsettled.pop(fault, None)
            self._recoveries.safe(fault, at_ns)

    def _gap(self, channels: Sequence[Channel], event: Event, detail: str) -> None:
        """Messages are missing: what these channels built is thrown away, and asked for anew by `_look_after`."""
        self._gaps += 1
        for channel in channels:
            self._break(channel, event.arrived_ns, f"messages are missing: {detail}", BookFault.GAP)
            self._tell(NewsKind.GAP, event, part=channel.part, product_id=channel.product_id, detail=detail)

    def _break(self, channel: Channel, at_ns: int, reason: str, fault: BookFault) -> None:
        if channel.refused:
            return
        if not channel.broken and channel.renewed_ns is not None and channel.asked_ns is not None:
            calm = at_ns - channel.asked_ns > nanoseconds(CALM_AFTER)
            channel.asks = 0 if calm else channel.asks
        channel.broken, channel.complete = reason, False
        self._uptime.gone(channel.key, at_ns)
        if not self._recoveries.is_open(self._carriers[channel.key].name):
            self._recoveries.fault(channel.key, at_ns)
        if channel.part is StreamPart.ORDERS:
            self._unsettled[channel.key] = _Settling.UNTOLD
        book = self._book_of(channel)
        if book is not None and book.broken is None:
            book.invalidate(fault, reason)

    def _refuse(self, channel: Channel, reason: str, at_ns: int) -> None:
        channel.refused = reason
        self._uptime.leave_out(channel.key, at_ns)

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
                        self._refuse(channel, host.source.facts().reason, now_ns)
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
        """As young as the read, which was asked for a moment ago; uptime does not count it."""
        self._confirmed += 1
        past_ns = nanoseconds(max(NOTHING, self._clock.now() - read.as_of))
        stale_ns = channel.overdue_since(now_ns)
        channel.renewed_ns = max(channel.renewed_ns or 0, now_ns - past_ns)
        if stale_ns is not None:
            self._recoveries.lasted(now_ns - stale_ns)
        book.renew(read.as_of)

    def _all_live(self, fault: object, now_ns: int) -> bool:
        """True when each channel a fault touched is live, those the venue refuses left out: of a connection, or the one."""
        states = [
            channel.state(now_ns)
            for host in self._hosts
            for channel in host.channels
            if fault in (host.name, channel.key)
        ]
        asked = [state for state in states if state is not ChannelState.REFUSED]
        return bool(asked) and all(state is ChannelState.LIVE for state in asked)


def _moment(arrived: tuple[int, Host, Event]) -> int:
    return arrived[0]
