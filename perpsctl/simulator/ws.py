"""Sockets of both venues over uvicorn: a shell around `faces.us_ws` and `faces.global_ws`, which know what is said.

Loopback only, no compression, no protocol pings (they do not count for the gateway's idle rule), frames capped by uvicorn.
One loop serves every face: each socket is asked in turn and briefly, frames go straight to the transport, and a client that
reads nothing is dropped instead of being waited for.
"""

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Protocol

from starlette.types import Message, Receive, Scope, Send

from perpsctl.simulator.embedded import Embedded
from perpsctl.simulator.faces.global_session import Session, Transport
from perpsctl.simulator.faces.global_streams import Streams
from perpsctl.simulator.faces.global_ws import FRAME_BYTES_MAX, Dispatcher, GlobalSocket
from perpsctl.simulator.outlet import CUT, Closing, SocketName, WireFrame, framed
from perpsctl.simulator.sockets import Connection as Wire
from perpsctl.simulator.sockets import connection_of
from perpsctl.simulator.stream_judge import Connection, StreamJudge

PATH: Final = "/ws/api/v2"
US_PATHS: Final = frozenset({"", "/"})
POLL_S: Final = 0.02
POLL_EACH_S: Final = 0.000_5  # many sockets are asked less often, so that the rest of the loop has its time
FLOOD_POLL_S: Final = 0.004
BUFFER_MAX: Final = 2_000_000  # bytes not taken yet; beyond that a socket is not asked for more
SLOW_FOR_S: Final = 5.0  # so long the buffer may stand full before the client is dropped
_SMALLEST_TAKE: Final = 4096
# For `uvicorn.Config` of the servers that carry these sockets.
UVICORN: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "ws": "websockets-sansio",
        "ws_max_size": FRAME_BYTES_MAX,
        "ws_per_message_deflate": False,
        "ws_ping_interval": None,
        "ws_ping_timeout": None,
    }
)
_TEXT_ONLY = 1003
_numbers = itertools.count(1)
_open: set[int] = set()


class VenueSocket(Protocol):
    """One socket of either venue, whatever carries its frames."""

    closing: Closing | None
    record: Connection

    @property
    def flooding(self) -> bool:
        """True while it has more to say than a usual look would take."""

    def receive(self, frame: bytes | str) -> list[bytes]:
        """One frame of the client's: what is said to it at once."""

    def due(self) -> list[bytes]:
        """What time has brought."""

    def ended(self) -> int:
        """The connection is over; how many orders that cancelled."""


Make = Callable[[str], VenueSocket]  # the client's address -> its socket


def sockets_of(
    face: Dispatcher,
    transport: Transport,
    *,
    heard: Callable[[], None] = lambda: None,
    judge: StreamJudge | None = None,
) -> Make:
    """What makes a socket of one of the gateway's hosts for each connection; `transport` is SOCKET or STREAMS.

    `heard` is told of each connection and each frame: a simulator that is talked to is not idle.
    """
    market = Streams() if transport is Transport.STREAMS else None

    def make(client_ip: str) -> VenueSocket:
        heard()
        session = Session(transport=transport, client_ip=client_ip, connection=f"socket-{next(_numbers)}")
        return GlobalSocket(face, session, market=market, heard=heard, judge=judge)

    return make


def embedded_sockets(embedded: Embedded, name: SocketName, *, heard: Callable[[], None] = lambda: None) -> Make:
    """The same for any socket of a whole exchange, its judge included."""
    return lambda client_ip: embedded.open_socket(name, client_ip, heard=heard)


def in_use() -> bool:
    """True while a socket stands: who only listens uses the simulator too."""
    return bool(_open)


def _everyone(_: str) -> bool:
    return True


async def serve_socket(
    scope: Scope,
    receive: Receive,
    send: Send,
    make: Make,
    *,
    paths: frozenset[str] = frozenset({PATH}),
    admits: Callable[[str], bool] = _everyone,
) -> None:
    """Serves one socket until it ends; what its end cancels is cancelled before this returns."""
    assert scope["type"] == "websocket"
    opening = await receive()
    if opening["type"] != "websocket.connect":
        return
    client = scope.get("client")
    client_ip = client[0] if client else "127.0.0.1"
    if scope["path"] not in paths or not admits(client_ip):
        await send({"type": "websocket.close", "code": 1000})  # before the upgrade: answered 403
        return
    await send({"type": "websocket.accept"})
    line = make(client_ip)
    _open.add(line.record.number)
    try:
        await _Served(line, connection_of(scope), receive, send).run()
    finally:
        _open.discard(line.record.number)
        line.ended()


class _Served:
    """One accepted socket and its transport."""

    def __init__(self, line: VenueSocket, wire: Wire, receive: Receive, send: Send) -> None:
        self._line = line
        self._wire = wire
        self._receive = receive
        self._send = send
        self._full_since: float | None = None
        self._smallest = 0

    async def run(self) -> None:
        """Until it ends, by whichever side."""
        waiting: asyncio.Task[Message] | None = None
        try:
            while True:
                waiting = waiting or asyncio.ensure_future(self._receive())
                await asyncio.wait({waiting}, timeout=self._pace())
                told: Sequence[bytes] = ()
                if waiting.done():
                    message, waiting = waiting.result(), None
                    if message["type"] != "websocket.receive":
                        return
                    text = message.get("text")
                    if text is None:
                        await self._close(_TEXT_ONLY, "text only")
                        return
                    told = self._line.receive(text)
                if not self._takes():
                    if self._too_slow():
                        self._line.record.closed_by = "too slow"
                        self._wire.reset()
                        return
                elif not told:
                    told = self._line.due()
                self._write(told)
                if self._line.closing is not None:
                    await self._ending(self._line.closing)
                    return
        finally:
            if waiting is not None:
                waiting.cancel()

    def _pace(self) -> float:
        return FLOOD_POLL_S if self._line.flooding else max(POLL_S, POLL_EACH_S * len(_open))

    def _write(self, told: Sequence[bytes]) -> None:
        if told and not self._wire.lost.is_set():
            self._wire.write(b"".join(each if isinstance(each, WireFrame) else framed(each) for each in told))

    def _takes(self) -> bool:
        """False while the client has too much before it to be told more."""
        left = self._wire.unsent()
        if left < BUFFER_MAX:
            self._full_since = None
            return True
        now = asyncio.get_running_loop().time()
        if self._full_since is None or left < self._smallest - _SMALLEST_TAKE:
            self._full_since, self._smallest = now, left
        return False

    def _too_slow(self) -> bool:
        return self._full_since is not None and asyncio.get_running_loop().time() - self._full_since > SLOW_FOR_S

    async def _ending(self, closing: Closing) -> None:
        if closing.code == CUT:
            await self._wire.flushed()
            self._wire.reset()
        else:
            await self._close(closing.code, closing.reason)

    async def _close(self, code: int, reason: str) -> None:
        try:
            await asyncio.wait_for(self._send({"type": "websocket.close", "code": code, "reason": reason}), SLOW_FOR_S)
        except TimeoutError:
            self._wire.reset()
