"""One websocket connection: opened, written to and read within bounds, and closed. It knows no JSON and no venue.

The protocol core of `websockets` without its threads, for three reasons (2026-11): the kill switch's gate spans nothing
but the handing over of one frame; a send ends within its bound although the peer reads nothing; and a TLS object is never
used by two threads at once, which CPython does not guard against. No compression is offered, so no bomb can
go off (W11, H7); no redirect is followed, no proxy is used; frames and messages are capped while they arrive.

Any thread may send; one thread, the one that opened it, reads and closes.
"""

import select
import socket
import ssl
import threading
from collections import deque
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from requests.utils import DEFAULT_CA_BUNDLE_PATH
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus, WebSocketException
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from perpsctl import __version__
from perpsctl.domain.ports import Clock
from perpsctl.domain.text import shown
from perpsctl.exchange.hosts import is_loopback
from perpsctl.exchange.sockets import resolve
from perpsctl.exchange.streams.addresses import SocketAddress
from perpsctl.exchange.transport import SENTENCES, Problem, classify

__all__ = ["FRAME_OUT_BYTES_MAX", "Dated", "Line", "LineLost", "LineTiming", "WebsocketLine"]

FRAME_OUT_BYTES_MAX = 32_768  # the gateway's own cap (coinbase-global-derivatives.md section 2, 2026-11-22)
MESSAGE_IN_BYTES_MAX = 4_000_000
_READ = 65_536
_MICROSECOND = timedelta(microseconds=1)
_TRY_READING = (ssl.SSLWantReadError, BlockingIOError, InterruptedError)
_TRY_WRITING = (ssl.SSLWantWriteError, *_TRY_READING)
_NO_CLOSE_CODE = 1006
_UNSUPPORTED = 1003
_TOO_BIG = 1009


class LineLost(Exception):
    """The connection is over. `touched` tells, of a send, whether a byte of it may have left; `code` is the close code."""

    def __init__(self, problem: Problem, detail: str, *, code: int | None = None, touched: bool = False) -> None:
        super().__init__(detail)
        self.problem = problem
        self.detail = detail
        self.code = code
        self.touched = touched


class LineTiming:
    """Bounds of one connection: `connect` for address, TCP, TLS and upgrade together, `send` for handing over a frame."""

    __slots__ = ("close", "connect", "send")

    def __init__(
        self,
        *,
        connect: timedelta = timedelta(seconds=5),
        send: timedelta = timedelta(milliseconds=800),  # below the second for which `engage` waits for senders
        close: timedelta = timedelta(milliseconds=500),
    ) -> None:
        self.connect = connect
        self.send = send
        self.close = close


class Line(Protocol):
    """What the sockets of this room need of a connection."""

    def send(self, text: bytes) -> int:
        """One text frame was handed over; the monotonic moment of its first byte. LineLost otherwise."""

    def receive(self, within: timedelta) -> bytes | None:
        """The next message, None when none came in time; LineLost once the connection is over."""

    def close(self, code: int = 1000) -> None:
        """The connection is closed. Never raises."""


@runtime_checkable
class Dated(Protocol):
    """A line that knows the `Date` header of its upgrade; "" when there was none, and when it arrived."""

    date: str
    opened: datetime


class WebsocketLine:
    """A connection over TCP, with TLS for `wss`."""

    def __init__(
        self,
        address: SocketAddress,
        clock: Clock,
        timing: LineTiming | None = None,
        *,
        message_bytes_max: int = MESSAGE_IN_BYTES_MAX,
    ) -> None:
        """Open afterwards, or LineLost with `touched` False. A longer message than the cap ends the connection."""
        self.date = ""
        self._clock = clock
        self._timing = timing or LineTiming()
        self._mutex = threading.Lock()
        self._messages: deque[bytes] = deque()
        self._parts: list[bytes] = []
        self._lost: LineLost | None = None
        self._protocol = ClientProtocol(parse_uri(address.url), extensions=None, max_size=message_bytes_max)
        until_ns = _after(clock, self._timing.connect)
        self._sock = self._connected(address, until_ns)
        try:
            self._upgrade(until_ns)
        except BaseException:
            self._sock.close()
            raise
        self.opened = clock.now()

    # --- for any thread -------------------------------------------------------------------------------

    def send(self, text: bytes) -> int:
        """Hands over one text frame within the send bound; a frame that left in part ends the connection."""
        with self._mutex:
            if self._lost is not None:
                raise LineLost(self._lost.problem, self._lost.detail, code=self._lost.code)
            if self._protocol.state is not State.OPEN:
                raise LineLost(Problem.RESET, "the connection is closing")
            self._protocol.send_text(text)
            began_ns = self._clock.monotonic_ns()
            self._flush(self._timing.send)
            return began_ns

    # --- for the reading thread ------------------------------------------------------------------------

    def receive(self, within: timedelta) -> bytes | None:
        until_ns = _after(self._clock, within)
        while not self._messages:
            if self._lost is not None:
                raise self._lost
            if not self._read():
                left_ns = until_ns - self._clock.monotonic_ns()
                if left_ns <= 0:
                    return None
                self._await(select.POLLIN, left_ns)
        return self._messages.popleft()

    def close(self, code: int = 1000) -> None:
        """A close frame is sent if the connection still stands; its echo is not waited for longer than the bound."""
        try:
            with self._mutex:
                if self._lost is None and self._protocol.state is State.OPEN:
                    self._protocol.send_close(code)
                    self._flush(self._timing.close)
            until_ns = _after(self._clock, self._timing.close)
            while self._lost is None and (left_ns := until_ns - self._clock.monotonic_ns()) > 0:
                if not self._read():
                    self._await(select.POLLIN, left_ns)
        except (LineLost, OSError, ValueError):
            pass  # it is over either way
        with self._mutex:
            self._lost = self._lost or LineLost(Problem.RESET, "closed here", code=code)
            self._sock.close()

    # --- opening ---------------------------------------------------------------------------------------

    def _connected(self, address: SocketAddress, until_ns: int) -> socket.socket:
        refused: BaseException | None = None
        try:
            found = resolve(address.host, address.port, self._left(until_ns))
            for family, kind, protocol, _, target in found:
                if address.host == "localhost" and not is_loopback(str(target[0])):
                    continue
                sock = socket.socket(family, kind, protocol)
                try:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    sock.settimeout(self._left(until_ns))
                    sock.connect(target)
                    sock = self._secured(sock, address, until_ns)
                except OSError as problem:
                    sock.close()
                    refused = problem
                    continue
                sock.setblocking(False)
                return sock
        except OSError as problem:
            refused = problem
        if refused is None:
            raise LineLost(Problem.NO_ADDRESS, SENTENCES[Problem.NO_ADDRESS])
        problem_name = Problem.CONNECT_TIMEOUT if isinstance(refused, TimeoutError) else classify(refused)
        raise LineLost(problem_name, SENTENCES[problem_name]) from None

    def _secured(self, sock: socket.socket, address: SocketAddress, until_ns: int) -> socket.socket:
        if not address.secure:
            return sock
        bundle = address.verify if isinstance(address.verify, str) else DEFAULT_CA_BUNDLE_PATH
        # Named, so that no CA variable of the environment is read (S2).
        context = ssl.create_default_context(cafile=bundle)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        sock.settimeout(self._left(until_ns))
        sock.getpeername()  # already reset: said here, because CPython 3.11's TLS wrapper then leaks the socket
        return context.wrap_socket(sock, server_hostname=address.host)

    def _upgrade(self, until_ns: int) -> None:
        request = self._protocol.connect()
        request.headers["User-Agent"] = f"perpsctl/{__version__}"
        with self._mutex:
            self._protocol.send_request(request)
            self._flush(self._timing.send)
        while self._protocol.state is State.CONNECTING:
            try:
                read = self._read()
            except LineLost as over:
                raise self._not_upgraded(over) from None
            left_ns = until_ns - self._clock.monotonic_ns()
            if left_ns <= 0:
                raise LineLost(Problem.CONNECT_TIMEOUT, SENTENCES[Problem.CONNECT_TIMEOUT])
            if not read and self._protocol.state is State.CONNECTING:
                if self._lost is not None or self._protocol.handshake_exc is not None:
                    raise self._not_upgraded(self._lost)
                self._await(select.POLLIN, left_ns)
        if self._protocol.handshake_exc is not None:
            raise self._not_upgraded(self._lost)

    def _not_upgraded(self, over: LineLost | None) -> LineLost:
        """What refused the upgrade; a redirect is one of the answers that are not followed."""
        failed = self._protocol.handshake_exc
        if isinstance(failed, InvalidStatus):
            return LineLost(Problem.NOT_CONNECTED, f"the socket was refused: HTTP {failed.response.status_code}")
        if isinstance(failed, InvalidHandshake | InvalidMessage | WebSocketException):
            return LineLost(Problem.BROKEN_HTTP, f"the upgrade was not proper ({type(failed).__name__})")
        return LineLost(Problem.RESET, "the connection was lost during the upgrade") if over is None else over

    # --- bytes -----------------------------------------------------------------------------------------

    def _read(self) -> bool:
        """True when something arrived, the end included; messages and the loss are kept."""
        with self._mutex:
            try:
                data = self._sock.recv(_READ)
            except _TRY_WRITING:
                return False
            except OSError as broken:
                self._over(classify(broken))
                return True
            if data:
                self._protocol.receive_data(data)
            else:
                self._protocol.receive_eof()
            events = self._protocol.events_received()
            self._flush(self._timing.send, quietly=True)  # pongs, and the echo of a close
            for event in events:
                if isinstance(event, Frame):
                    self._frame(event)
                elif isinstance(event, Response):
                    self.date = event.headers.get("Date", "")
                    if self._protocol.handshake_exc is not None:
                        return True
            if self._protocol.state is not State.OPEN and self._protocol.state is not State.CONNECTING:
                self._ended()
            elif not data:
                self._over(Problem.RESET)
            return True

    def _frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.TEXT or (frame.opcode is Opcode.CONT and self._parts):
            self._parts.append(bytes(frame.data))
            if frame.fin:
                self._messages.append(self._parts[0] if len(self._parts) == 1 else b"".join(self._parts))
                self._parts = []
        elif frame.opcode in {Opcode.BINARY, Opcode.CONT} and self._protocol.state is State.OPEN:
            self._protocol.fail(_UNSUPPORTED, "text only")
            self._flush(self._timing.send, quietly=True)
            self._over(Problem.BROKEN_HTTP, f"what arrived was refused ({_UNSUPPORTED})")

    def _ended(self) -> None:
        """A close frame came or went, or the stream broke the protocol."""
        sent, received = self._protocol.close_sent, self._protocol.close_rcvd
        if received is not None:
            said = f"the venue closed the socket ({received.code} {shown(received.reason, 60)})".replace(" )", ")")
            self._over(Problem.RESET, said, received.code)
        elif self._protocol.parser_exc is not None and sent is not None:
            large = sent.code == _TOO_BIG
            self._over(Problem.TOO_LARGE if large else Problem.BROKEN_HTTP, f"what arrived was refused ({sent.code})")
        elif self._protocol.state is State.CLOSED or self._protocol.eof_sent:
            self._over(Problem.RESET)

    def _over(self, problem: Problem, detail: str | None = None, code: int | None = _NO_CLOSE_CODE) -> None:
        if self._lost is None:
            self._lost = LineLost(problem, SENTENCES[problem] if detail is None else detail, code=code)

    def _flush(self, within: timedelta, *, quietly: bool = False) -> None:
        """What the protocol has to say leaves, with the mutex held; LineLost when it cannot. `quietly` keeps the loss."""
        view = memoryview(b"".join(self._protocol.data_to_send()))
        until_ns = _after(self._clock, within)
        touched = False
        try:
            while view:
                try:
                    touched = True
                    view = view[self._sock.send(view) :]
                except _TRY_WRITING:
                    left_ns = until_ns - self._clock.monotonic_ns()
                    if left_ns <= 0:
                        raise TimeoutError("the peer takes no more bytes") from None
                    self._await(select.POLLOUT, left_ns)
        except OSError as broken:
            self._over(classify(broken))
            _shut(self._sock)  # wakes the reader; a frame that left in part can have no successor
            if not quietly:
                assert self._lost is not None
                raise LineLost(self._lost.problem, self._lost.detail, touched=touched) from None

    def _await(self, what: int, left_ns: int) -> None:
        try:
            waiting = select.poll()
            waiting.register(self._sock.fileno(), what)
            waiting.poll(max(1, left_ns // 1_000_000))
        except (OSError, ValueError):
            self._over(Problem.RESET)

    def _left(self, until_ns: int) -> float:
        left_ns = until_ns - self._clock.monotonic_ns()
        if left_ns <= 0:
            raise TimeoutError("connecting took too long")
        return left_ns / 1_000_000_000


def _after(clock: Clock, duration: timedelta) -> int:
    return clock.monotonic_ns() + duration // _MICROSECOND * 1000


def _shut(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
