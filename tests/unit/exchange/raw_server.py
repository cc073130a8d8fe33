"""A hand-written server that answers bytes, so that it can answer wrong ones. Loopback, ephemeral port, stops by itself."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from types import TracebackType

Act = Callable[["Peer"], None]


class Peer:
    """One accepted connection with the request just read; an act writes what it likes and may hang up."""

    def __init__(self, connection: socket.socket, server: "RawServer") -> None:
        self.connection = connection
        self.server = server
        self.request = b""
        self.open = True

    def say(self, data: bytes) -> None:
        self.connection.sendall(data)

    def trickle(self, data: bytes, gap: float) -> None:
        """A byte at a time, until the other side gives up or the server stops."""
        for at in range(len(data)):
            if self.server.stopping.wait(gap):
                break
            self.connection.sendall(data[at : at + 1])

    def hang_up(self, *, reset: bool = False) -> None:
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        else:
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()
        self.open = False


def http(
    body: bytes = b"{}",
    *,
    status: str = "200 OK",
    kind: str = "application/json",
    extra: str = "",
    length: int | None = None,
) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n{extra}\r\n".encode() + body


def says(data: bytes) -> Act:
    return lambda peer: peer.say(data)


class RawServer:
    """Plays one act per request, in order; the last one for ever."""

    def __init__(self, *acts: Act, tls: ssl.SSLContext | None = None, on_accept: Act | None = None) -> None:
        self._acts = list(acts)
        self._tls = tls
        self._on_accept = on_accept
        self.stopping = threading.Event()
        self.requests: list[bytes] = []
        self.connections = 0
        self.bytes_seen = 0
        self.first_byte_at: float | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self._threads = [threading.Thread(target=self._serve, daemon=True)]

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def address(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> "RawServer":
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _serve(self) -> None:
        while not self.stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._talk, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _talk(self, connection: socket.socket) -> None:
        try:
            connection.settimeout(5)
            if self._on_accept is not None:
                peer = Peer(connection, self)
                self._on_accept(peer)
                if not peer.open:
                    return
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            self._converse(connection)
        except OSError:
            pass
        finally:
            connection.close()

    def _converse(self, connection: socket.socket) -> None:
        connection.settimeout(0.05)
        while not self.stopping.is_set():
            request = self._read(connection)
            if request is None:
                return
            self.requests.append(request)
            peer = Peer(connection, self)
            peer.request = request
            connection.settimeout(5)
            (self._acts.pop(0) if len(self._acts) > 1 else self._acts[0])(peer)
            connection.settimeout(0.05)
            if not peer.open:
                return

    def _read(self, connection: socket.socket) -> bytes | None:
        data = b""
        while not self.stopping.is_set():
            head, found, body = data.partition(b"\r\n\r\n")
            if found and len(body) >= _length(head):
                return data
            try:
                chunk = connection.recv(65536)
            except TimeoutError:
                continue
            if not chunk:
                return None
            if self.first_byte_at is None:
                self.first_byte_at = time.monotonic()
            self.bytes_seen += len(chunk)
            data += chunk
        return None


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0
