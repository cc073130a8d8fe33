"""HTTP connections that end on time, know whether a byte was written, and pass the gate before the first one.

urllib3's connection classes with four habits of their own: the whole request leaves in one piece; the gate of the kill
switch is entered after connecting and left when the last byte is handed to the socket (R1); every wait, name look-up
included, ends at the request's total deadline (N18, N19, N29, N30); headers and bodies are capped on the wire (H6, H13).

Here and nowhere else bytes leave the process. Nothing is ever sent twice.
"""

import io
import socket
import ssl
import threading
from contextvars import ContextVar
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from perpsctl.domain.ports import Clock, Gate
from perpsctl.exchange.hosts import is_loopback

__all__ = ["IDLE_MAX_NS", "CappedOut", "GatedAdapter", "Sending", "resolve", "sending"]

HEADER_BYTES_MAX = 64 * 1024
WIRE_BYTES_MAX = 11_000_000  # a body of 10 MB (S4) with its chunk frames
# A kept-alive connection older than this is not used again: the server may be closing it just as we send (N25), and
# for a write that would be a doubt for nothing.
IDLE_MAX_NS = 15_000_000_000
_READ_BUFFER = 16 * 1024


class CappedOut(OSError):
    """The answer is larger than any honest one; the rest is not read."""


class Sending:
    """One request on its way: its bounds, its gate, and what is known of its bytes."""

    __slots__ = ("clock", "connect_until_ns", "gate", "touched", "until_ns", "written_ns")

    def __init__(self, clock: Clock, *, until_ns: int, connect_until_ns: int, gate: Gate | None) -> None:
        self.clock = clock
        self.until_ns = until_ns
        self.connect_until_ns = connect_until_ns
        self.gate = gate
        self.touched = False  # True from just before the first byte is handed over: from then on nothing is proven
        self.written_ns = 0  # when the first byte was handed over

    def begin(self) -> None:
        self.touched = True
        self.written_ns = self.clock.monotonic_ns()

    def left(self, *, connecting: bool = False) -> float:
        """Seconds left, for a socket; TimeoutError when there are none."""
        until_ns = min(self.until_ns, self.connect_until_ns) if connecting else self.until_ns
        left_ns = until_ns - self.clock.monotonic_ns()
        if left_ns <= 0:
            raise TimeoutError("the deadline of the request has passed")
        return left_ns / 1_000_000_000


sending: ContextVar[Sending] = ContextVar("sending")


class _Wire(io.RawIOBase):
    """The reading end of a socket: each read waits no longer than the request has left, and reads no more than allowed."""

    def __init__(self, sock: "_BoundedSocket") -> None:
        super().__init__()
        self._sock = sock
        self._raw = sock.real.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._sock.allowance <= 0:
            raise CappedOut("the answer is over the cap")
        self._sock.real.settimeout(sending.get().left())
        count = self._raw.readinto(buffer)
        self._sock.allowance -= count or 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedSocket:
    """A connected socket whose every wait is bounded by the request under way, whatever time-outs a library sets."""

    def __init__(self, real: socket.socket) -> None:
        self.real = real
        self.allowance = 0

    def makefile(self, mode: str = "rb", *_: Any, **__: Any) -> io.BufferedReader:
        return io.BufferedReader(_Wire(self), _READ_BUFFER)

    def sendall(self, data: bytes) -> None:
        """The time-out bounds the whole call for a plain socket, each piece for a TLS one; so pieces are sent here."""
        view = memoryview(data)
        while view:
            self.real.settimeout(sending.get().left())
            view = view[self.real.send(view) :]

    def settimeout(self, _: float | None) -> None:
        """The request's own deadline counts, not the library's."""

    def fileno(self) -> int:
        return self.real.fileno()

    def close(self) -> None:
        self.real.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class _GatedMixin(urllib3.connection.HTTPConnection):
    """What both schemes share; mixed in before urllib3's own class."""

    _collected: bytearray | None = None
    _used_ns = 0

    def connect(self) -> None:
        super().connect()
        self._bind()

    def _bind(self) -> None:
        if self.sock is not None and not isinstance(self.sock, _BoundedSocket):
            self.sock = _BoundedSocket(self.sock)
        self._used_ns = sending.get().clock.monotonic_ns()

    def _new_conn(self) -> socket.socket:
        call = sending.get()
        host, port = self._dns_host, self.port
        try:
            addresses = resolve(host, port, call.left(connecting=True))
        except TimeoutError as late:
            raise ConnectTimeoutError(self, f"no address of {host} in time") from late
        except socket.gaierror as unknown:
            raise NameResolutionError(host, self, unknown) from unknown
        refused: OSError = OSError(f"no usable address of {host}")
        for family, kind, protocol, _, address in addresses:
            if host == "localhost" and not is_loopback(str(address[0])):
                continue
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.settimeout(call.left(connecting=True))
                sock.connect(address)
                sock.getpeername()  # already reset: said here, because CPython 3.11's TLS wrapper then leaks the socket
                sock.settimeout(call.left(connecting=True))  # for the TLS handshake that may follow
            except TimeoutError as late:
                sock.close()
                raise ConnectTimeoutError(self, f"connecting to {host} took too long") from late
            except OSError as problem:
                sock.close()
                refused = problem
                continue
            return sock
        raise NewConnectionError(self, f"no connection to {host}: {refused.strerror}") from refused

    def send(self, data: Any) -> None:
        if self._collected is None:
            super().send(data)
        else:
            self._collected += data

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        """Connect, put the request together, pass the gate, hand it over in one piece, leave the gate."""
        call = sending.get()
        if self.sock is not None and call.clock.monotonic_ns() - self._used_ns > IDLE_MAX_NS:
            self.close()
        if self.sock is None:
            self.connect()
        self._collected = bytearray()
        try:
            super().request(method, url, *args, **kwargs)
        finally:
            whole, self._collected = bytes(self._collected), None
        if call.gate is None:
            self._hand_over(call, whole)
        else:
            with call.gate:
                self._hand_over(call, whole)

    def _hand_over(self, call: Sending, whole: bytes) -> None:
        call.left()  # what is already late is not begun
        call.begin()
        self.sock.sendall(whole)

    def getresponse(self) -> Any:
        sock = self.sock
        assert isinstance(sock, _BoundedSocket)
        sock.allowance = HEADER_BYTES_MAX
        response = super().getresponse()
        sock.allowance = WIRE_BYTES_MAX
        self._used_ns = sending.get().clock.monotonic_ns()
        return response


class _Connection(_GatedMixin):
    """Plain HTTP, for loopback."""


class _TlsConnection(_GatedMixin, urllib3.connection.HTTPSConnection):
    """HTTPS."""


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class GatedAdapter(HTTPAdapter):
    """The adapter for real sockets: no retries, no redirects, no proxies, two connections kept alive."""

    def __init__(self) -> None:
        super().__init__(pool_connections=2, pool_maxsize=2, max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: Any) -> None:
        super().init_poolmanager(connections, maxsize, block=block, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def forget_connections(self) -> None:
        """No connection in use now serves another request (N17)."""
        self.poolmanager.clear()


def resolve(host: str, port: int, seconds: float) -> list[Any]:
    """The addresses of `host`. The system's resolver takes no time-out, so a thread waits for it and we for the thread."""
    if is_loopback(host):
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    found: list[Any] = []
    failed: list[OSError] = []

    def ask() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as refused:
            failed.append(refused)
        except UnicodeError:
            failed.append(socket.gaierror(socket.EAI_NONAME, "not a host name"))

    asking = threading.Thread(target=ask, name="resolver", daemon=True)
    asking.start()
    asking.join(seconds)
    if asking.is_alive():
        raise TimeoutError(f"no address of {host} in time")
    if failed:
        raise failed[0]
    return found


# The oldest protocol we speak; urllib3 sets it as well, this states it.
assert ssl.HAS_TLSv1_2
