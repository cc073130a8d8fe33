"""Sockets of the gateway over uvicorn: a shell around `faces.global_ws`, which knows what is said and when to close.

Loopback only, no compression, no protocol pings (they do not count for the gateway's idle rule), frames capped by uvicorn.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from starlette.types import Message, Receive, Scope, Send

from perpsctl.simulator.faces.global_ws import GlobalSocket

PATH: Final = "/ws/api/v2"
POLL_S: Final = 0.02
_TEXT_ONLY = 1003


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
            if line.closing is not None:
                await send({"type": "websocket.close", "code": line.closing.code, "reason": line.closing.reason})
                return
    finally:
        if waiting is not None:
            waiting.cancel()
        line.ended()
