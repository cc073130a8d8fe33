"""A venue's face behind a `requests` transport adapter: the same requests, replies and faults, without a socket.

A fault on the connection becomes the exception a real socket would have raised. Time passes on the exchange's own clock:
a `ManualClock` is moved by a delay, any other is waited for. Nothing here opens a socket.
"""

import io
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from http.client import IncompleteRead, RemoteDisconnected
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection
from urllib3.exceptions import NameResolutionError, NewConnectionError, ProtocolError

from perpsctl.simulator.clock import ManualClock
from perpsctl.simulator.embedded import Embedded
from perpsctl.simulator.faces.messages import Reply, Request, first_of, whole, word
from perpsctl.simulator.faces.venue_face import NOT_ANSWERED, Arrival, VenueFace
from perpsctl.simulator.faults import Effect, EffectKind

HOST = "127.0.0.1:1"  # loopback, as the client demands of a simulator; nobody listens there
ORIGIN = f"http://{HOST}"
GLOBAL_ORIGIN = "http://127.0.0.1:2"
_WITHOUT_LIMIT_MS = 1 << 40
_BEFORE_A_BYTE = frozenset({EffectKind.REFUSE_CONNECTION, EffectKind.DNS_FAILURE})
Wait = Callable[[int], None]  # milliseconds


class InProcessAdapter(BaseAdapter):
    """Mounted on a session for `ORIGIN` (or any other address), it answers from the exchange itself.

    The US face answers unless another is given: `face=embedded.global_`, mounted for `GLOBAL_ORIGIN`.
    """

    def __init__(self, embedded: Embedded, *, wait_ms: Wait | None = None, face: VenueFace[Any] | None = None) -> None:
        super().__init__()
        self._embedded = embedded
        self._face: VenueFace[Any] = embedded.us if face is None else face
        self._wait_ms = wait_ms if wait_ms is not None else waiting(embedded)

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: float | tuple[float | None, float | None] | None = None,
        verify: bool | str = True,
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """The reply, or the exception the network would have raised: requests.ConnectionError, ReadTimeout.

        A body that breaks off raises when it is read: at once with `stream=False`.
        """
        arrived = self._arrived(request)
        face = self._face
        intake = face.intake(arrived)
        patience = _Patience(_read_timeout_ms(timeout), self._wait_ms)
        self._break_before(request, arrived, intake, patience)
        reply = face.answer(arrived, intake)
        body = self._break_after(request, arrived, reply, patience)
        response = _response(request, reply, body)
        if not stream:
            response.content  # noqa: B018  # reads it, as requests' own adapter does
        return response

    def close(self) -> None:
        """Nothing is held."""

    def _arrived(self, request: requests.PreparedRequest) -> Request:
        parts = urlsplit(request.url or "")
        body = request.body or b""
        return Request(
            method=request.method or "GET",
            path=parts.path,
            query=parts.query,
            headers={name.lower(): str(value) for name, value in request.headers.items()},
            body=body if isinstance(body, bytes) else str(body).encode("utf-8"),
            received_at=self._embedded.exchange.now(),
            connected_host=parts.netloc,
        )

    def _break_before(
        self, request: requests.PreparedRequest, arrived: Request, intake: Arrival, patience: "_Patience"
    ) -> None:
        """What happens before the exchange has seen the request."""
        for effect in intake.effects:
            if effect.kind in _BEFORE_A_BYTE:
                raise _not_connected(effect, request)
        delay_ms = intake.delay_before_s * 1000 + _upload_ms(intake, len(arrived.body))
        if delay_ms and not patience.wait(delay_ms):
            late_s = -(-(delay_ms - patience.limit_ms) // 1000)
            self._face.defer(arrived, replace(intake, effects=()), late_s)
            raise _read_timeout(request)

    def _break_after(
        self, request: requests.PreparedRequest, arrived: Request, reply: Reply, patience: "_Patience"
    ) -> io.RawIOBase | None:
        """What happens to the answer; None for a body that arrives whole."""
        broken: io.RawIOBase | None = None
        for effect in reply.effects:
            match effect.kind:
                case EffectKind.DEFER:
                    patience.exhaust()
                    raise _read_timeout(request)
                case EffectKind.DELAY if effect.after:
                    if not patience.wait(whole(effect, "seconds", 0) * 1000):
                        raise _read_timeout(request)
                case EffectKind.CLOSE_IDLE:
                    raise _reset(request, RemoteDisconnected("Remote end closed connection without response"))
                case EffectKind.RESET if word(effect, "when", "before") == "mid_body":
                    broken = _Breaking(reply.body, ConnectionResetError(104, "Connection reset by peer"))
                case EffectKind.RESET:
                    raise _reset(request, ConnectionResetError(104, "Connection reset by peer"))
                case EffectKind.BAD_CHUNKS:
                    half = len(reply.body) // 2
                    broken = _Breaking(reply.body, IncompleteRead(reply.body[:half], len(reply.body) - half))
                case EffectKind.SLOW_BODY:
                    broken = _Slow(reply.body, whole(effect, "interval_ms", 1000), 1, patience)
                case EffectKind.SLICED:
                    broken = _Slow(
                        reply.body, whole(effect, "interval_ms", 2), max(1, whole(effect, "bytes", 1)), patience
                    )
                case _:
                    pass
        if reply.status == NOT_ANSWERED:
            raise _reset(request, RemoteDisconnected("Remote end closed connection without response"))
        return broken


class _Patience:
    """How long the caller still waits. Time that passes here passes on the exchange's clock."""

    def __init__(self, limit_ms: int, wait_ms: Wait) -> None:
        self.limit_ms = limit_ms
        self._left_ms = limit_ms
        self._wait_ms = wait_ms

    def wait(self, milliseconds: int) -> bool:
        """False when the caller gave up first; then only its patience has passed."""
        waited = min(milliseconds, self._left_ms)
        self._wait_ms(waited)
        self._left_ms -= waited
        return waited == milliseconds

    def exhaust(self) -> None:
        """The caller waits for nothing until it gives up."""
        if self.limit_ms == _WITHOUT_LIMIT_MS:
            raise RuntimeError("a caller without a time-out would wait for ever for an answer that a fault withholds")
        self.wait(self._left_ms)


class _Breaking(io.RawIOBase):
    """Half a body, then an error."""

    def __init__(self, body: bytes, error: Exception) -> None:
        super().__init__()
        self._half = io.BytesIO(body[: len(body) // 2])
        self._error = error

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        chunk = self._half.read(size)
        if not chunk:
            raise self._error
        return chunk


class _Slow(io.RawIOBase):
    """A body in pieces with a pause before each; ends in a time-out when the caller's patience does."""

    def __init__(self, body: bytes, interval_ms: int, piece: int, patience: _Patience) -> None:
        super().__init__()
        self._body = io.BytesIO(body)
        self._interval_ms = interval_ms
        self._piece = piece
        self._patience = patience

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        chunk = self._body.read(self._piece if size < 0 else min(size, self._piece))
        if chunk and not self._patience.wait(self._interval_ms):
            raise TimeoutError("timed out")
        return chunk


def _response(request: requests.PreparedRequest, reply: Reply, broken: io.RawIOBase | None) -> requests.Response:
    headers = [*reply.all_headers(), ("content-length", str(len(reply.body)))]
    raw: io.BytesIO | urllib3.HTTPResponse = io.BytesIO(reply.body)  # whole: requests reads any file as it is
    if broken is not None:
        raw = urllib3.HTTPResponse(
            body=broken, headers=dict(headers), status=reply.status, preload_content=False, decode_content=False
        )
    response = requests.Response()
    response.status_code = reply.status
    response.headers = CaseInsensitiveDict(headers)
    response.encoding = "utf-8"
    response.raw = raw
    response.url = request.url or ""
    response.request = request
    return response


def _not_connected(effect: Effect, request: requests.PreparedRequest) -> requests.ConnectionError:
    """Proof that nothing was sent: urllib3 says NewConnectionError before any byte leaves."""
    connection = HTTPConnection("127.0.0.1", 1)
    error: NewConnectionError = (
        NameResolutionError(HOST, connection, socket.gaierror(-2, "Name or service not known"))
        if effect.kind is EffectKind.DNS_FAILURE
        else NewConnectionError(connection, "Failed to establish a new connection: [Errno 111] Connection refused")
    )
    return requests.ConnectionError(error, request=request)


def _reset(request: requests.PreparedRequest, cause: Exception) -> requests.ConnectionError:
    return requests.ConnectionError(ProtocolError("Connection aborted.", cause), request=request)


def _read_timeout(request: requests.PreparedRequest) -> requests.ReadTimeout:
    return requests.ReadTimeout("Read timed out.", request=request)


def _read_timeout_ms(timeout: float | tuple[float | None, float | None] | None) -> int:
    read = timeout[1] if isinstance(timeout, tuple) else timeout
    return _WITHOUT_LIMIT_MS if read is None else int(read * 1000)


def _upload_ms(intake: Arrival, size: int) -> int:
    slow = first_of(intake.effects, EffectKind.SLOW_READ)
    return 0 if slow is None else size * 1000 // max(1, whole(slow, "bytes_per_second", 1000))


def waiting(embedded: Embedded) -> Wait:
    """What lets milliseconds pass: it moves a manual clock, and waits on any other."""
    clock = embedded.clock
    if isinstance(clock, ManualClock):

        def advance(milliseconds: int) -> None:
            clock.advance(milliseconds=milliseconds)
            embedded.advance()

        return advance
    never = threading.Event()

    def wait(milliseconds: int) -> None:
        never.wait(milliseconds / 1000)

    return wait
