"""A scripted venue on a loopback socket: well behaved unless a test says what happens to a method."""

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

Handler = Callable[[ServerConnection, dict[str, Any]], object]


class HangUp(Exception):
    """The connection is cut without a close frame."""


class ScriptedVenue:
    """`on[method]` replaces what a method does: its return value is the result; None answers nothing."""

    def __init__(self, **options: Any) -> None:
        self.on: dict[str, Handler] = {}
        self.seen: list[tuple[int, str, dict[str, Any]]] = []  # connection, method, request
        self.connections: list[ServerConnection] = []
        self._changed = threading.Condition()
        self._server: Server = serve(self._serve, "127.0.0.1", 0, compression=None, ping_interval=None, **options)
        self.port = self._server.socket.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}/ws/api/v2"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        for each in self.connections:
            cut(each)
        self._server.shutdown()
        self._thread.join(5)

    def _serve(self, connection: ServerConnection) -> None:
        with self._changed:
            self.connections.append(connection)
            number = len(self.connections)
            self._changed.notify_all()
        try:
            for message in connection:
                request = json.loads(message)
                with self._changed:
                    self.seen.append((number, request["method"], request))
                    self._changed.notify_all()
                self._do(connection, request)
        except (ConnectionClosed, HangUp, OSError):
            cut(connection)

    def _do(self, connection: ServerConnection, request: dict[str, Any]) -> None:
        handler = self.on.get(request["method"], _well_behaved)
        result = handler(connection, request)
        if result is not None:
            answer(connection, request, result)

    def methods(self, connection: int | None = None) -> list[str]:
        with self._changed:
            return [method for number, method, _ in self.seen if connection is None or number == connection]

    def wait_for(self, condition: Callable[[], bool], seconds: float = 5) -> bool:
        with self._changed:
            return self._changed.wait_for(condition, seconds)

    def wait_seen(self, method: str, times: int = 1, seconds: float = 5) -> bool:
        return self.wait_for(lambda: sum(name == method for _, name, _ in self.seen) >= times, seconds)

    def say(self, message: dict[str, Any], connection: int = -1) -> None:
        self.connections[connection].send(json.dumps(message))


def _well_behaved(_: ServerConnection, request: dict[str, Any]) -> object:
    match request["method"]:
        case "public/auth":
            return {"expires_in": 3000, "sid": "x", "scope": "connection"}
        case "private/get_cancel_on_disconnect":
            return {"enabled": True, "scope": "connection"}
        case "public/test":
            return {"version": "1.2.26"}
        case "private/subscribe" | "public/subscribe":
            return request["params"]["channels"]
        case _:
            return "ok"


def answer(connection: ServerConnection, request: dict[str, Any], result: object) -> None:
    connection.send(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}))


def refuse(connection: ServerConnection, request: dict[str, Any], code: int, message: str = "no") -> None:
    error = {"code": code, "message": message}
    connection.send(json.dumps({"jsonrpc": "2.0", "id": request["id"], "error": error}))


def refusing(code: int) -> Handler:
    return lambda connection, request: refuse(connection, request, code)


def cut(connection: ServerConnection) -> None:
    with suppress(OSError):
        connection.socket.shutdown(socket.SHUT_RDWR)
