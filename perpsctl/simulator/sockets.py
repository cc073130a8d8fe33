"""Faults on a real connection: uvicorn's protocol with its transport within reach, and what is done to it.

Everything here happens to one connection of one client. Whether it should happen was decided before (`faults`, the face).
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from perpsctl.simulator.faces.messages import Reply, whole, word
from perpsctl.simulator.faces.venue_face import NOT_ANSWERED
from perpsctl.simulator.faults import UNHEARD, Effect, EffectKind, Knock

_STATE = "connection"
_LINGER_ZERO = struct.pack("ii", 1, 0)  # close() sends RST at once and drops what is unsent
_FLUSHED_WITHIN_S = 0.05
_GIVEN_UP_AFTER_S = 120  # a client that never leaves is left
_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}


class Connection(H11Protocol):
    """One accepted connection; the application finds it in its scope."""

    @staticmethod
    def knock() -> Knock:
        """What a new connection meets; one that is refused is closed unread."""
        return UNHEARD

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.app_state = {**self.app_state, _STATE: self}
        self.lost = asyncio.Event()
        self._counted: frozenset[int] = frozenset()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        met = type(self).knock()
        self._counted = met.counted
        if met.refused:
            self.reset()

    def first_counted(self) -> frozenset[int]:
        """The faults that counted this connection, told to its first request alone: a later one is a try of its own."""
        counted, self._counted = self._counted, frozenset()
        return counted

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.lost.set()

    def reset(self) -> None:
        """The peer sees a reset (RST), not an end; with TLS too."""
        raw = self.transport.get_extra_info("socket")
        if raw is not None and raw.fileno() >= 0:  # the peer may have gone first: there is nobody to reset then
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self.transport.abort()

    async def end(self) -> None:
        """Closed in order (FIN), and gone."""
        self.transport.close()
        await self.lost.wait()

    async def cut(self) -> None:
        """Reset, and gone."""
        self.reset()
        await self.lost.wait()

    async def pause(self, seconds: float) -> bool:
        """Waits, at most until the client leaves; False when it has left."""
        try:
            await asyncio.wait_for(self.lost.wait(), seconds)
        except TimeoutError:
            return True
        return False

    def write(self, data: bytes) -> None:
        """Bytes as they are, past the HTTP library."""
        self.transport.write(data)

    def unsent(self) -> int:
        """How many bytes wait for the peer to take them; 0 once it is gone."""
        return 0 if self.transport.is_closing() else self.transport.get_write_buffer_size()

    async def flushed(self) -> None:
        """What was written has left, or had its time to."""
        for _ in range(10):
            if not self.unsent():
                break
            await asyncio.sleep(_FLUSHED_WITHIN_S / 10)


def refusing(asked: Callable[[], Knock]) -> type[Connection]:
    """Connections that ask first whether they are refused (fault N9): the peer is reset before a byte is read."""

    class Refusing(Connection):
        knock = staticmethod(asked)

    return Refusing


def connection_of(scope: Scope) -> Connection:
    """The connection a request came on."""
    found = scope["state"][_STATE]
    assert isinstance(found, Connection)
    return found


async def deliver(reply: Reply, connection: Connection, send: Send) -> None:
    """The reply leaves as its effects say."""
    pieces: tuple[int, int] | None = None  # bytes, interval
    twice = False
    for effect in reply.effects:
        match effect.kind:
            case EffectKind.DEFER:
                await connection.pause(_GIVEN_UP_AFTER_S)
                await connection.end()
                return
            case EffectKind.DELAY if effect.after:
                await connection.pause(whole(effect, "seconds", 0))
            case EffectKind.RESET if word(effect, "when", "before") == "mid_body":
                connection.write(_head(reply, length=len(reply.body)) + reply.body[: len(reply.body) // 2])
                await asyncio.sleep(_FLUSHED_WITHIN_S)
                await connection.cut()
                return
            case EffectKind.RESET | EffectKind.REFUSE_CONNECTION | EffectKind.DNS_FAILURE:
                await connection.cut()
                return
            case EffectKind.CLOSE_IDLE:
                await connection.end()
                return
            case EffectKind.BAD_CHUNKS:
                connection.write(_broken(reply, effect))
                await connection.end()
                return
            case EffectKind.SLOW_BODY:
                pieces = (1, whole(effect, "interval_ms", 1000))
            case EffectKind.SLICED:
                pieces = (max(1, whole(effect, "bytes", 1)), whole(effect, "interval_ms", 2))
            case EffectKind.OTHER_RESPONSE:
                twice = word(effect, "form", "other") == "duplicate"
            case _:
                pass
    if reply.status == NOT_ANSWERED:
        await connection.cut()
        return
    await _send(reply, connection, send, pieces)
    if twice and not connection.lost.is_set():
        connection.write(_head(reply, length=len(reply.body)) + reply.body)


async def _send(reply: Reply, connection: Connection, send: Send, pieces: tuple[int, int] | None) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.all_headers()]
    headers.append((b"content-length", str(len(reply.body)).encode("ascii")))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if pieces is None or not reply.body:
        await send({"type": "http.response.body", "body": reply.body})
        return
    size, interval_ms = pieces
    for start in range(0, len(reply.body), size):
        if start and not await connection.pause(interval_ms / 1000):
            return
        more = start + size < len(reply.body)
        await send({"type": "http.response.body", "body": reply.body[start : start + size], "more_body": more})


def _head(reply: Reply, *, length: int | None) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, '')}".rstrip()]
    lines += [f"{name}: {value}" for name, value in reply.all_headers()]
    lines.append("transfer-encoding: chunked" if length is None else f"content-length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _broken(reply: Reply, effect: Effect) -> bytes:
    if word(effect, "form", "broken") == "lying_length":
        return _head(reply, length=len(reply.body) + 100) + reply.body
    half = reply.body[: len(reply.body) // 2]
    return _head(reply, length=None) + b"%x\r\n%s\r\nnot-a-length\r\n" % (len(half), half)


async def whole_body(receive: Receive, limit: int) -> bytes | None:
    """The request's body; None when the client left before its end. Longer than `limit`: cut there."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False) or len(body) > limit:
            return bytes(body[: limit + 1])
