"""A venue's socket without a network: the same frames and faults, on the exchange's own clock.

It has the shape of the client's connection (`send`, `receive`, `close`) and shares no line with it: how a loss is said is
the caller's choice. On a `ManualClock` waiting moves the clock, in steps that do not depend on who asks, so a run repeats
byte for byte; any other clock is waited for. Nothing here opens a socket or starts a thread.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from perpsctl.simulator.embedded import Embedded
from perpsctl.simulator.inprocess import Wait, waiting
from perpsctl.simulator.outlet import CUT, SocketName, WireFrame

STEP_MS = 10
MESSAGE_MAX = 4_000_000
_MILLISECOND = timedelta(milliseconds=1)
_REFUSED_BY_PROTOCOL = {"bomb": 1002, "binary": 1003}
_TOO_BIG = 1009


class End(StrEnum):
    """How a line ended."""

    NOT_CONNECTED = "not_connected"
    RESET = "reset"
    CLOSED = "closed"  # a close frame came, or was sent from here
    TOO_LARGE = "too_large"
    BROKEN = "broken"  # what arrived breaks the protocol


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a line. `code` is the close code, None where no close frame came."""

    end: End
    detail: str
    code: int | None = None


class NeverOpened(Exception):
    """The connection was refused; `ending` says how."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.detail)
        self.ending = ending


class InProcessLine:
    """One connection to one socket of the exchange."""

    def __init__(
        self,
        embedded: Embedded,
        name: SocketName,
        *,
        lost: Callable[[Ending], Exception] = NeverOpened,
        monotonic_ns: Callable[[], int] = lambda: 0,
        wait_ms: Wait | None = None,
        message_max: int = MESSAGE_MAX,
    ) -> None:
        """Open afterwards; else the caller's own exception for an end.

        `monotonic_ns` tells `send` its moment. `wait_ms` passes time while nothing comes: by default it moves a manual
        clock, and waits on any other.
        """
        self._lost = lost
        self._monotonic_ns = monotonic_ns
        self._wait_ms = wait_ms if wait_ms is not None else waiting(embedded)
        self._message_max = message_max
        self._messages: deque[bytes] = deque()
        self._ending: Ending | None = None
        refused = embedded.exchange.faults.knock().refused
        if refused or not embedded.admits_socket(name, "127.0.0.1"):
            raise lost(Ending(End.NOT_CONNECTED, "the connection was refused"))
        self._socket = embedded.open_socket(name)

    @property
    def number(self) -> int:
        """The judge's number of this connection."""
        return self._socket.record.number

    def send(self, text: bytes) -> int:
        """One text frame was handed over; the moment of its first byte."""
        self._raise_end()
        moment = self._monotonic_ns()
        self._take(self._socket.receive(text))
        return moment

    def receive(self, within: timedelta) -> bytes | None:
        """The next message; None when none came within the time, which has passed then."""
        left_ms = max(0, within // _MILLISECOND)
        while True:
            if not self._messages and self._ending is None:
                self._take(self._socket.due())
            if self._messages:
                return self._messages.popleft()
            self._raise_end()
            if left_ms <= 0:
                return None
            step = min(STEP_MS, left_ms)
            self._wait_ms(step)
            left_ms -= step

    def close(self, code: int = 1000) -> None:
        """The connection is closed. Never raises."""
        if self._ending is None:
            self._end(End.CLOSED, "closed here", code)

    def _raise_end(self) -> None:
        if self._ending is not None:
            raise self._lost(self._ending)

    def _end(self, end: End, detail: str, code: int | None = None) -> None:
        self._ending = self._ending or Ending(end, detail, code)
        self._socket.ended()

    def _take(self, frames: Sequence[bytes]) -> None:
        """What arrives, as a client's protocol library would take it."""
        for frame in frames:
            if isinstance(frame, WireFrame):
                if frame.form == "partial":
                    break  # the rest of it never comes
                if frame.form in _REFUSED_BY_PROTOCOL:
                    code = _REFUSED_BY_PROTOCOL[frame.form]
                    self._end(End.BROKEN, f"what arrived was refused ({code})", code)
                    return
                if frame.form == "oversize" and len(frame) > self._message_max:
                    self._end(End.TOO_LARGE, f"what arrived was refused ({_TOO_BIG})", _TOO_BIG)
                    return
                self._messages.append(frame.payload)
            else:
                self._messages.append(frame)
        closing = self._socket.closing
        if closing is not None and closing.code == CUT:
            self._end(End.RESET, "the connection was reset")
        elif closing is not None:
            said = f"the venue closed the socket ({closing.code} {closing.reason})".replace(" )", ")")
            self._end(End.CLOSED, said, closing.code)
