"""Sockets of the gateway over uvicorn: a shell around `faces.global_ws`, which knows what is said and when to close.

Loopback only, no compression, no protocol pings (they do not count for the gateway's idle rule), frames capped by uvicorn.
"""

import asyncio
import itertools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from starlette.types import Message, Receive, Scope, Send

from perpsctl.simulator.faces.global_session import Session, Transport
from perpsctl.simulator.faces.global_streams import Streams
from perpsctl.simulator.faces.global_ws import CUT, FRAME_BYTES_MAX, Dispatcher, GlobalSocket
from perpsctl.simulator.sockets import connection_of

PATH: Final = "/ws/api/v2"
POLL_S: Final = 0.02
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


def sockets_of(
    face: Dispatcher, transport: Transport, *, heard: Callable[[], None] = lambda: None
) -> Callable[[Scope], GlobalSocket]:
    """What makes a socket of one host for each connection; `transport` is SOCKET (trading) or STREAMS.

    `heard` is told of each connection and each frame: a simulator that is talked to is not idle.
    """
    market = Streams() if transport is Transport.STREAMS else None

    def make(scope: Scope) -> GlobalSocket:
        heard()
        client = scope.get("client")
        session = Session(
            transport=transport,
            client_ip=client[0] if client else "127.0.0.1",
            connection=f"socket-{next(_numbers)}",
        )
        return GlobalSocket(face, session, market=market, heard=heard)

    return make


async def serve_socket(scope: Scope, receive: Receive, send: Send, make: Callable[[Scope], GlobalSocket]) -> None:
    """Serves one socket until it ends; what its end cancels is cancelled before this returns."""
    assert scope["type"] == "websocket"
    opening = await receive()
    if opening["type"] != "websocket.connect":
        return
    if scope["path"] != PATH:
        await send({"type": "websocket.close", "code": 1000})  # before the upgrade: answered 403
        return
    await send({"type": "websocket.accept"})
    line = make(scope)
    waiting: asyncio.Task[Message] | None = None
    try:
        while True:
            waiting = waiting or asyncio.ensure_future(receive())
            await asyncio.wait({waiting}, timeout=POLL_S)
            told: list[bytes] = []
            if waiting.done():
                message, waiting = waiting.result(), None
                if message["type"] != "websocket.receive":
                    return
                text = message.get("text")
                if text is None:
                    await send({"type": "websocket.close", "code": _TEXT_ONLY, "reason": "text only"})
                    return
                told = line.receive(text)
            told += line.due()
            for frame in told:
                await send({"type": "websocket.send", "text": frame.decode("utf-8")})
            if line.closing is not None and line.closing.code == CUT:
                connection_of(scope).reset()
                return
            if line.closing is not None:
                await send({"type": "websocket.close", "code": line.closing.code, "reason": line.closing.reason})
                return
    finally:
        if waiting is not None:
            waiting.cancel()
        line.ended()
