"""What keeps one connection standing: opened, set up, served, given up, waited for, and opened again. It knows no venue.

Steppable: `step` does one thing and never waits longer than it is told, so a reader thread is a loop around it, and a
scenario on virtual time calls it on its own thread. What is said and heard on a connection is a `Dialect`'s business; its
set-up is written as one conversation and resumed whenever something was heard or time has passed.

Waits double with full jitter up to a cap and start over only after a connection stood for a minute (W6). A key that is
refused is tried once more, with a new token, and then no more (A2, A5); what the venue will not grant for another reason
is asked for as often as the timing says, and then no more either (W7).
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from perpsctl.domain.errors import PerpsctlError, VenueRefusedRequest, VenueRefusedUs, VenueUnreachable
from perpsctl.domain.ids import Ids
from perpsctl.domain.ports import Clock
from perpsctl.exchange.streams.line import Line, LineLost
from perpsctl.exchange.streams.states import SocketState, SocketTiming
from perpsctl.exchange.transport import Problem

__all__ = ["NOTHING", "SLICE", "Connection", "Dialect", "Keeper", "KeeperFacts", "Talk", "nanoseconds"]

SLICE = timedelta(milliseconds=100)  # how late a stop or a due duty may be noticed
NOTHING = timedelta(0)
_MICROSECOND = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)
_NO_CLOSE_CODE = 1006
_DOUBLINGS_MAX = 10

Talk = Iterator[None]  # a conversation: resumed after each thing heard and each passing of time, until it ends


class Connection:
    """One connection: its line, its number (counting up over all of them) and when something last went each way."""

    __slots__ = ("last_received_ns", "last_sent_ns", "line", "number", "opened_ns")

    def __init__(self, line: Line, number: int, now_ns: int) -> None:
        self.line = line
        self.number = number
        self.opened_ns = now_ns
        self.last_sent_ns = now_ns
        self.last_received_ns = now_ns

    def send(self, text: bytes) -> int:
        """One frame was handed over; the monotonic moment of its first byte. LineLost otherwise."""
        self.last_sent_ns = moment_ns = self.line.send(text)
        return moment_ns


class Dialect(Protocol):
    """What is said and heard on a connection, always on the thread that steps.

    Each may raise LineLost (the connection is given up) or a PerpsctlError (and this is why); VenueRefusedUs twice in a
    row ends the trying, and so does VenueRefusedRequest `SocketTiming.refused_most` times.
    """

    def set_up(self, connection: Connection) -> Talk:
        """The conversation after which the connection stands."""

    def stands(self, connection: Connection) -> None:
        """It is set up."""

    def heard(self, connection: Connection, body: bytes, now: datetime) -> None:
        """One message."""

    def tend(self, connection: Connection) -> None:
        """What is due on a connection that stands."""

    def lost(self, connection: Connection, how: LineLost) -> None:
        """It is over; nobody sends on it any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperFacts:
    """The connection as it stands, and why it does not."""

    state: SocketState
    since: datetime
    reason: str  # why it is not READY, "" when it is
    error: PerpsctlError | None  # the named error behind it, if it has a name
    connections: int  # how many were opened so far
    last_message: datetime | None


class Keeper:
    """Keeps one connection standing. Asked from any thread, stepped by one."""

    def __init__(
        self,
        opener: Callable[[], Line],
        dialect: Dialect,
        clock: Clock,
        ids: Ids,
        *,
        timing: SocketTiming,
        has_room: Callable[[], bool] = lambda: True,
        name: str = "socket",
    ) -> None:
        """`opener` gives an open `Line` or raises LineLost; no new connection is opened while `has_room` says no."""
        self.timing = timing
        self._opener = opener
        self._dialect = dialect
        self._clock = clock
        self._ids = ids
        self._has_room = has_room
        self._changed = threading.Condition()
        self._state = SocketState.STOPPED
        self._since = clock.now()
        self._reason = "not started"
        self._error: PerpsctlError | None = None
        self._connection: Connection | None = None
        self._setting_up: Talk | None = None
        self._set_up_until_ns = 0
        self._numbers = 0
        self._last_message: datetime | None = None
        self._failures = 0
        self._refusals = 0  # of the key, in a row
        self._denials = 0  # of anything else, since a connection last stood
        self._resume_ns = 0
        self._busy = False
        self._given_up: str | None = None
        self._stopping = threading.Event()
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    # --- asked from anywhere ------------------------------------------------------------------------------

    def facts(self) -> KeeperFacts:
        with self._changed:
            return KeeperFacts(
                state=self._state,
                since=self._since,
                reason=self._reason,
                error=self._error,
                connections=self._numbers,
                last_message=self._last_message,
            )

    @property
    def ended(self) -> bool:
        """True when nothing will come of it by itself any more."""
        return self._state in {SocketState.REFUSED, SocketState.STOPPED}

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set() or self._leaving.is_set()

    def usable(self) -> Connection | None:
        """The connection, while it stands and nobody is leaving it."""
        with self._changed:
            return self._connection if self._state is SocketState.READY and not self.stopping else None

    def is_current(self, connection: Connection) -> bool:
        return self._connection is connection and not self.stopping

    def wait_ready(self, within: timedelta) -> None:
        """READY now; otherwise the named error of what stands in the way, after `within` at the latest."""
        until_ns = self._clock.monotonic_ns() + nanoseconds(within)
        while True:
            with self._changed:
                if self._state is SocketState.READY:
                    return
                left_ns = until_ns - self._clock.monotonic_ns()
                if self.ended or left_ns <= 0:
                    raise self._error or VenueUnreachable(f"the venue's socket is not ready: {self._reason}")
                if self._thread.is_alive():
                    self._changed.wait(min(left_ns / 1_000_000_000, 0.05))
                    continue
            if not self.step(NOTHING):
                self._clock.sleep(min(SLICE, timedelta(microseconds=max(1, left_ns // 1000))))

    def busy(self) -> None:
        """The venue said that it is asked too much: before the next try a whole refill is waited for."""
        with self._changed:
            self._busy = True

    def give_up(self, reason: str) -> None:
        """The connection is closed at the next step and opened anew: what came over it cannot be used."""
        with self._changed:
            self._given_up = reason

    # --- beginning and ending -----------------------------------------------------------------------------

    def start(self, *, thread: bool = True) -> None:
        """Connecting; with a reader of its own, or stepped by the caller."""
        self._move(SocketState.CONNECTING, "connecting")
        if thread:
            self._thread.start()

    def leave(self) -> None:
        """The end of this connection is the end of all of it."""
        self._leaving.set()

    def stop(self, *, within: timedelta) -> bool:
        """Closed, and the reader gone; False if it hangs."""
        self._stopping.set()
        if self._thread.ident is None:
            self._finish()
            return True
        self._thread.join(within / _SECOND)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self.ended:
                self.step(SLICE)
        finally:
            if self._state is not SocketState.REFUSED:  # also when a bug ends the reader: nothing is sent any more
                self._finish()

    def _finish(self) -> None:
        if self._connection is not None:
            self._take_down(LineLost(Problem.RESET, "closed here", code=None))
        if self._state is not SocketState.REFUSED:
            self._move(SocketState.STOPPED, "stopped")

    # --- one step -----------------------------------------------------------------------------------------

    def step(self, within: timedelta) -> bool:
        """One thing is done, waiting at most `within` for it (and for the opener); True when something happened."""
        if self._stopping.is_set():
            self._finish()
            return False
        if self.ended:
            return False
        connection = self._connection
        try:
            if connection is None:
                return self._opened(within)
            return self._went_on(connection, within)
        except LineLost as over:
            self._gone(over, None)
        except PerpsctlError as error:
            self._gone(LineLost(Problem.OTHER, error.message, code=None), error)
        return True

    def _opened(self, within: timedelta) -> bool:
        left_ns = self._resume_ns - self._clock.monotonic_ns()
        if left_ns > 0 or not self._has_room():
            if within > NOTHING:
                self._clock.sleep(min(within, SLICE, max(timedelta(microseconds=left_ns // 1000), SLICE // 10)))
            return False
        # What went wrong last time stays told until something new is known.
        self._move(SocketState.CONNECTING, self._reason, self._error)
        line = self._opener()
        now_ns = self._clock.monotonic_ns()
        with self._changed:
            self._numbers += 1
            connection = self._connection = Connection(line, self._numbers, now_ns)
            self._given_up = None
        self._set_up_until_ns = now_ns + nanoseconds(self.timing.setting_up)
        self._setting_up = self._dialect.set_up(connection)
        self._talked(connection)
        return True

    def _went_on(self, connection: Connection, within: timedelta) -> bool:
        if self._given_up is not None:
            raise LineLost(Problem.BROKEN_HTTP, self._given_up)
        body = connection.line.receive(within)
        now_ns = self._clock.monotonic_ns()
        if body is not None:
            connection.last_received_ns = now_ns
            now = self._clock.now()
            with self._changed:
                self._last_message = now
            self._dialect.heard(connection, body, now)
        if self._setting_up is not None:
            self._talked(connection)
            return body is not None
        if now_ns - connection.last_received_ns > nanoseconds(self.timing.silence_max):
            raise LineLost(Problem.TIMEOUT, f"nothing came for {self.timing.silence_max // _SECOND} s")
        self._dialect.tend(connection)
        return body is not None

    def _talked(self, connection: Connection) -> None:
        """The set-up goes on as far as it can; at its end the connection stands."""
        talk = self._setting_up
        assert talk is not None
        if next(talk, self) is not self:
            if self._clock.monotonic_ns() >= self._set_up_until_ns:
                raise LineLost(Problem.TIMEOUT, "the set-up was not answered in time")
            return
        self._setting_up = None
        with self._changed:
            self._error = None
            self._state, self._reason, self._since = SocketState.READY, "", self._clock.now()
            self._changed.notify_all()
        self._refusals = self._denials = 0
        self._dialect.stands(connection)

    def _gone(self, lost: LineLost, error: PerpsctlError | None) -> None:
        """The connection or the try is over: told, closed, and when the next one may be."""
        connection = self._connection
        with self._changed:
            self._reason = lost.detail
            if error is not None or connection is None:  # a drop of what stood says nothing of an error known before
                self._error = error
        stood_for_ns = 0
        if connection is not None:
            self._take_down(lost)
            stood_for_ns = self._clock.monotonic_ns() - connection.opened_ns
        if self.stopping:
            self._move(SocketState.STOPPED, "stopped")
            return
        self._refusals = self._refusals + 1 if isinstance(error, VenueRefusedUs) else 0
        self._denials += isinstance(error, VenueRefusedRequest)
        if self._is_final():
            self._move(SocketState.REFUSED, self._reason, self._error)
            return
        self._failures = 1 if stood_for_ns >= nanoseconds(self.timing.stable) else self._failures + 1
        self._move(SocketState.WAITING, self._reason, self._error)
        self._resume_ns = self._clock.monotonic_ns() + nanoseconds(self._wait(lost))

    def _is_final(self) -> bool:
        """True when asking again would get the same no: one node may refuse a good key (A5), two refusals are the key's."""
        most = self.timing.refused_most
        return self._refusals > 1 or (most is not None and self._denials >= most)

    def _wait(self, lost: LineLost) -> timedelta:
        """Doubling with full jitter; a full refill after 10028, and after a close without a reason that may have been one."""
        ceiling = min(self.timing.wait_max, self.timing.first_wait * (1 << min(self._failures - 1, _DOUBLINGS_MAX)))
        wait = ceiling * self._ids.jitter() // 1_000_000
        with self._changed:
            busy, self._busy = self._busy, False
        if busy:
            return max(wait, self.timing.refill)
        if lost.code == _NO_CLOSE_CODE:
            return max(wait, self.timing.refill if self.timing.unexplained is None else self.timing.unexplained)
        return wait

    def _take_down(self, lost: LineLost) -> None:
        """Nobody sends on it any more, everybody who waited knows, and it is closed."""
        with self._changed:
            connection, self._connection, self._setting_up = self._connection, None, None
            if self._state is SocketState.READY:
                self._state, self._since = SocketState.WAITING, self._clock.now()
            self._changed.notify_all()
        if connection is not None:
            self._dialect.lost(connection, lost)
            connection.line.close()

    def _move(self, state: SocketState, reason: str, error: PerpsctlError | None = None) -> None:
        with self._changed:
            self._state, self._reason, self._error, self._since = state, reason, error, self._clock.now()
            self._changed.notify_all()


def nanoseconds(duration: timedelta) -> int:
    """For the monotonic count of a clock."""
    return duration // _MICROSECOND * 1000
