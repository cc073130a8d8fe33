"""What every socket connection really got: for a judge who compares it with what a client says it got.

Written by the sockets, read through the control face. Numbers are the venue's own: the US connection's sequence number, a
gateway book's change id. Nothing here is shown to a client.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from perpsctl.simulator.bookfeed import BookFeed, Sides, Version

CONNECTIONS_KEPT = 500
MARKS_KEPT = 6000  # as many as versions of a book are kept
STRUCK_KEPT = 500
PAST_KEPT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """One fault that struck a connection; `number` is that of the message it struck, if it had one."""

    at: datetime
    fault: str
    what: str
    channel: str
    number: int | None


@dataclass(slots=True, kw_only=True)
class Flood:
    """What was asked of a flood and what was reached; `skipped` fell due while the socket could take no more."""

    asked_per_second: int
    sent: int = 0
    skipped: int = 0
    took_us: int = 0

    @property
    def reached_per_second(self) -> int:
        """Messages a second over the time it took; 0 while it has not begun."""
        return self.sent * 1_000_000 // self.took_us if self.took_us else 0


@dataclass(slots=True, kw_only=True)
class Connection:
    """One socket from its opening to its end."""

    number: int
    socket: str  # us_market, us_user, global_trading, global_streams
    client_ip: str
    opened_at: datetime
    closed_at: datetime | None = None
    close_code: int | None = None  # None: open, or reset without a close frame
    closed_by: str = ""  # client, venue, fault
    messages: dict[str, int] = field(default_factory=dict)  # that left, by channel
    gaps: int = 0
    duplicates: int = 0
    reorders: int = 0
    stalls: int = 0
    stalled_messages: int = 0
    mutes: dict[str, int] = field(default_factory=dict)  # by channel: looks at it that found it mute
    replayed: int = 0
    bad_books: int = 0
    bad_frames: int = 0
    refused_subscribes: int = 0
    last_number: int | None = None
    flood: Flood | None = None
    struck: deque[Struck] = field(default_factory=lambda: deque(maxlen=STRUCK_KEPT))
    _books: dict[str, BookFeed] = field(default_factory=dict)
    _marks: dict[str, deque[tuple[int, int]]] = field(default_factory=dict)

    def told(self, channel: str, number: int | None, messages: int = 1) -> None:
        """Messages left."""
        self.messages[channel] = self.messages.get(channel, 0) + messages
        if number is not None:
            self.last_number = number

    def strike(self, at: datetime, fault: str, what: str, channel: str = "", number: int | None = None) -> None:
        """A fault struck."""
        self.struck.append(Struck(at=at, fault=fault, what=what, channel=channel, number=number))

    def mark(self, feed: BookFeed, number: int, version: int) -> None:
        """From message `number` on, who missed nothing holds this version of the book."""
        self._books[feed.product_id] = feed
        self._marks.setdefault(feed.product_id, deque(maxlen=MARKS_KEPT)).append((number, version))

    def book(self, product_id: str, number: int | None) -> tuple[Version, Sides] | None:
        """The true book after message `number` (None: after the last one); None where it is not known any more."""
        feed, marks = self._books.get(product_id), self._marks.get(product_id)
        if feed is None or not marks:
            return None
        version = next((mark[1] for mark in reversed(marks) if number is None or mark[0] <= number), None)
        return None if version is None else feed.at(version)

    def body(self) -> dict[str, object]:
        """As the control face tells it."""
        shown = {name: getattr(self, name) for name in self.__slots__ if not name.startswith("_")}
        flood = self.flood
        if flood is not None:
            shown["flood"] = {
                "asked_per_second": flood.asked_per_second,
                "reached_per_second": flood.reached_per_second,
                "sent": flood.sent,
                "skipped": flood.skipped,
                "took_us": flood.took_us,
            }
        return shown | {"struck": list(self.struck)}


class StreamJudge:
    """The connections of one exchange, the newest kept."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._kept: deque[Connection] = deque(maxlen=CONNECTIONS_KEPT)
        self._past: dict[tuple[str, str], deque[bytes]] = {}

    def remember(self, socket: str, channel: str, frame: bytes) -> None:
        """An update was told: who subscribes later may be told it once more (W8)."""
        self._past.setdefault((socket, channel), deque(maxlen=PAST_KEPT)).append(frame)

    def past(self, socket: str, channel: str, count: int) -> list[bytes]:
        """The last updates of a channel, oldest first."""
        return list(self._past.get((socket, channel), ()))[-count:] if count else []

    def opened(self, socket: str, client_ip: str, at: datetime) -> Connection:
        """A connection stands."""
        made = Connection(number=next(self._numbers), socket=socket, client_ip=client_ip, opened_at=at)
        self._kept.append(made)
        return made

    def connections(self) -> tuple[Connection, ...]:
        """Oldest first."""
        return tuple(self._kept)

    def connection(self, number: int) -> Connection | None:
        """One of them."""
        return next((each for each in self._kept if each.number == number), None)

    def forget(self) -> None:
        """A reset: the connections of the account before are nobody's business; numbers go on."""
        self._kept.clear()
        self._past.clear()
