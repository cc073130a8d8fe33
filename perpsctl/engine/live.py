"""Streams as the loop uses them: what may stand in for a read, when a read takes over, and saying so once (W4, W5).

The age of data decides, never the state of a socket. Data older than its bound is never passed off as younger: where
even the read fails, the old book is handed on with its true age, so that a denial can name it (M2). Without streams
everything here answers as if nothing had ever been streamed, and every look is a read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import BookView, DataSource, Mark
from perpsctl.domain.ports import Clock, Diagnostics
from perpsctl.domain.streams import ChannelHealth, ChannelState, News, StreamFigures, StreamPart, Streams
from perpsctl.engine.reading import VENUE_ERRORS, Reads
from perpsctl.risk.limits import RiskLimits

__all__ = ["LiveData"]

CONFIRM_AT: Final = 2  # a quiet book is confirmed by a read once a half of its bound has passed
GRACE: Final = timedelta(seconds=10)  # how long a channel may take to get its first snapshot before it is told
START_EVERY_NS: Final = 5_000_000_000  # between two tries to start
SAID_AFTER: Final = timedelta(seconds=1)  # a shorter outage is counted and not talked about
SAID_KEPT: Final = 100  # statements nobody has fetched yet
STANDS_IN: Final = frozenset({StreamPart.BOOK, StreamPart.TICKER, StreamPart.ORDERS, StreamPart.BALANCE})

Channel = tuple[StreamPart, ProductId | None]


@dataclass(slots=True)
class _Outage:
    """One channel's times without live data; `since` is None while it has some."""

    name: str
    since: datetime | None = None
    words: str = ""
    said: bool = False
    times: int = 0
    longest: timedelta = timedelta(0)


class LiveData:
    """One profile's streams, or none, for the thread that decides."""

    def __init__(self, *, streams: Streams | None, clock: Clock, diagnostics: Diagnostics, limits: RiskLimits) -> None:
        self._streams = streams
        self._clock = clock
        self._diagnostics = diagnostics
        self._book_bound = timedelta(seconds=limits.book_age_max_s)
        self._mark_bound = timedelta(seconds=limits.mark_age_max_s)
        self._ahead_bound = timedelta(milliseconds=limits.clock_skew_max_ms)
        self._outages: dict[Channel, _Outage] = {}
        self._said: list[str] = []
        self._wanted: tuple[ProductId, ...] = ()
        self._tried_ns: int | None = None
        self._started = False

    # --- the connection -------------------------------------------------------------------------------------

    @property
    def streamed(self) -> bool:
        """True while streams were started and not stopped."""
        return self._started

    def start(self, products: Sequence[ProductId]) -> None:
        """Channels of these products and of the account are asked for, where there are streams.

        A venue that does not answer just now is asked again by `take`; meanwhile everything is read.
        """
        self._wanted = tuple(products)
        self._try_to_start()

    def _try_to_start(self) -> None:
        now_ns = self._clock.monotonic_ns()
        if self._streams is None or not self._wanted or self._started:
            return
        if self._tried_ns is not None and now_ns - self._tried_ns < START_EVERY_NS:
            return
        self._tried_ns = now_ns
        try:
            self._streams.start(self._wanted)
        except VENUE_ERRORS as error:
            self._diagnostics.note("streams_not_started", problem=error.message)
            self._say(f"polling: streams not started: {error.message}")
        else:
            self._started = True

    def stop(self) -> None:
        """Everything is closed; from now on every look is a read."""
        self._wanted = ()
        if self._streams is not None and self._started:
            self._started = False
            self._streams.stop()

    def take(self) -> tuple[News, ...]:
        """What happened since the last call; what stopped or came back meanwhile is said."""
        self._try_to_start()
        if self._streams is None or not self._started:
            return ()
        news = self._streams.take()
        self._notice(self._streams.health())
        return news

    def wait(self, within: timedelta) -> bool:
        """True as soon as there is news; without streams a sleep of `within`."""
        if self._streams is None or not self._started:
            self._clock.sleep(within)
            return False
        return self._streams.wait(within)

    def settled(self) -> None:
        """The engine reconciled after everything that was taken."""
        if self._streams is not None and self._started:
            self._streams.settled()

    def figures(self) -> StreamFigures | None:
        """Figures since the start; None without streams."""
        return self._streams.figures() if self._streams is not None and self._started else None

    def health(self) -> tuple[ChannelHealth, ...]:
        """Each channel asked for, as it stands; none without streams."""
        return self._streams.health() if self._streams is not None and self._started else ()

    # --- what may stand in for a read -------------------------------------------------------------------------

    @property
    def covers_orders(self) -> bool:
        """True while news of every order is sure to come: polling may slow down."""
        return self._state(StreamPart.ORDERS, None) is ChannelState.LIVE

    def book(self, product_id: ProductId, read: Callable[[], BookView], reads: Reads, part: str) -> BookView | None:
        """The live book where it is young, else a read; a book that has gone quiet is confirmed by that read.

        A read that fails leaves a book that is still within its bound, then a problem and the old book with its age.
        """
        live = self.streamed_book(product_id)
        if live is None:
            return reads.attempt(part, read)
        age = self._clock.now() - live.as_of
        if -self._ahead_bound <= age <= self._book_bound / CONFIRM_AT:
            return live
        tries = Reads()
        found = tries.attempt(part, read)
        if found is not None:
            if self._streams is not None:
                self._streams.confirm(found)
            return found
        if not -self._ahead_bound <= age <= self._book_bound:
            for problem in tries.problems:
                reads.note(problem.part, problem.error)
        return live

    def mark(self, product_id: ProductId) -> Mark | None:
        """The venue's streamed mark while it is within its bound."""
        if self._streams is None or not self._started:
            return None
        mark = self._streams.mark(product_id)
        return mark if mark is not None and self.within_bound(mark) else None

    def price(self, product_id: ProductId) -> Mark | None:
        """What the product is worth by streams alone: the venue's mark, else the middle of a young live book."""
        mark = self.mark(product_id)
        if mark is not None:
            return mark
        book = self.streamed_book(product_id)
        return None if book is None or not self._young(book.as_of, self._book_bound) else book.middle_mark()

    def within_bound(self, mark: Mark) -> bool:
        """True when the mark is young enough to judge by, however it came."""
        return self._young(mark.as_of, self._mark_bound)

    def streamed_book(self, product_id: ProductId) -> BookView | None:
        """The book the stream keeps, however old; None while it is not whole or not sound."""
        if self._streams is None or not self._started:
            return None
        if self._state(StreamPart.BOOK, product_id) not in (ChannelState.LIVE, ChannelState.STALE):
            return None
        book = self._streams.book(product_id)
        return book if book is not None and book.sound and book.source is DataSource.STREAM else None

    def _young(self, as_of: datetime, bound: timedelta) -> bool:
        return -self._ahead_bound <= self._clock.now() - as_of <= bound

    def _state(self, part: StreamPart, product_id: ProductId | None) -> ChannelState | None:
        """The worst state among the channels of this part; None when there is none."""
        order = tuple(ChannelState)
        found = [
            each.state
            for each in self.health()
            if each.part is part and (product_id is None or each.product_id == product_id)
        ]
        live = [state for state in found if state is not ChannelState.LIVE]
        return min(live, key=order.index) if live else (ChannelState.LIVE if found else None)

    # --- saying so --------------------------------------------------------------------------------------------

    def said(self) -> tuple[str, ...]:
        """What was said since the last call: when polling took over, and when a stream is back. Each once."""
        said, self._said = tuple(self._said), []
        return said

    def outages(self) -> tuple[str, ...]:
        """For the end of a run: what is without live data, and what was for longer than is talked about."""
        return _together(
            [
                self._summed(each)
                for each in self._outages.values()
                if each.since is not None or each.longest >= SAID_AFTER
            ]
        )

    def _notice(self, channels: Sequence[ChannelHealth]) -> None:
        said: list[_Statement] = []
        for health in channels:
            if health.part not in STANDS_IN:
                continue  # a tape may be silent for as long as nobody trades, and no read stands in for it
            outage = self._outages.setdefault((health.part, health.product_id), _Outage(name=_named(health)))
            if health.state is ChannelState.LIVE:
                said += self._back(outage)
            elif not self._still_starting(health, outage):
                said += self._gone(outage, health)
        for text in _together(said):
            self._say(text)

    def _still_starting(self, health: ChannelHealth, outage: _Outage) -> bool:
        waited = self._clock.now() - health.since
        return health.state is ChannelState.STARTING and not outage.times and waited < GRACE

    def _gone(self, outage: _Outage, health: ChannelHealth) -> "list[_Statement]":
        if outage.since is None:
            outage.since, outage.times, outage.said = health.since, outage.times + 1, False
        outage.words = f"{health.state.value}{f' ({health.reason})' if health.reason else ''}"
        refused = health.state is ChannelState.REFUSED
        if outage.said or (self._clock.now() - outage.since < SAID_AFTER and not refused):
            return []
        outage.said = True
        say = self._diagnostics.alarm if refused else self._diagnostics.note
        say("stream_polling", stream=outage.name, state=health.state.value, since=_clock(outage.since))
        why = f": {health.reason}" if health.reason else ""
        return [_Statement("polling: ", outage.name, f" {health.state.value} since {_clock(outage.since)}{why}")]

    def _back(self, outage: _Outage) -> "list[_Statement]":
        if outage.since is None:
            return []
        lasted = self._clock.now() - outage.since
        outage.since, outage.longest = None, max(outage.longest, lasted)
        if not outage.said:
            return []
        self._diagnostics.note("stream_live", stream=outage.name, after=_seconds(lasted))
        return [_Statement("", outage.name, f" live again after {_seconds(lasted)} s")]

    def _say(self, text: str) -> None:
        self._said.append(text)
        del self._said[:-SAID_KEPT]

    def _summed(self, outage: _Outage) -> "_Statement":
        if outage.since is not None:
            again = f", {outage.times} times so far" if outage.times > 1 else ""
            return _Statement("polling: ", outage.name, f" {outage.words} since {_clock(outage.since)}{again}")
        times = "once" if outage.times == 1 else f"{outage.times} times"
        longest = f"{_seconds(outage.longest)} s{'' if outage.times == 1 else ' at the longest'}"
        return _Statement("reads stood in for the ", outage.name, f" {times}, {longest}")


@dataclass(frozen=True, slots=True)
class _Statement:
    """Something to say of one stream: what stands before its name and after."""

    before: str
    name: str
    after: str


def _together(statements: Sequence[_Statement]) -> tuple[str, ...]:
    """One line for all streams of which the same is to be said: what one lost connection carried goes together."""
    names: dict[tuple[str, str], list[str]] = {}
    for each in statements:
        names.setdefault((each.before, each.after), []).append(each.name)
    return tuple(f"{before}{_listed(found)}{after}" for (before, after), found in names.items())


def _listed(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"{names[0]} stream"
    return f"{', '.join(names[:-1])} and {names[-1]} streams"


def _named(health: ChannelHealth) -> str:
    return health.part.value if health.product_id is None else f"{health.part.value} ({health.product_id})"


def _clock(at: datetime) -> str:
    return f"{at:%H:%M:%SZ}"


def _seconds(lasted: timedelta) -> str:
    tenths = max(lasted, timedelta(0)) // timedelta(milliseconds=100)
    return f"{tenths // 10}.{tenths % 10}"
