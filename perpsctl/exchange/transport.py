"""One session, one total deadline per request, and the only place where transport failures get their names.

`exchange` never raises for what happens on the wire: it ends as one of four plain values, and for a write the
difference between "no byte was written" and "something was" is kept (N9 to N13). No library's exception, and with it no
request header, leaves this module. Nothing is sent twice, no redirect is followed, no proxy is used.
"""

import http.client
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import requests
import urllib3
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from perpsctl import __version__
from perpsctl.domain.ports import KILL_SWITCH_ENGAGED, Clock, Gate, GateShut
from perpsctl.domain.text import shown
from perpsctl.exchange.hosts import Endpoint
from perpsctl.exchange.sockets import CappedOut, GatedAdapter, Sending, sending

__all__ = [
    "Answered",
    "Ending",
    "ExchangeRecord",
    "GateClosed",
    "NotWritten",
    "Observer",
    "Problem",
    "Request",
    "Timing",
    "Transport",
    "Written",
    "classify",
]

BODY_BYTES_MAX = 10_000_000  # S4
_CHUNK = 64 * 1024
_HEADER_SHOWN = 120
_USER_AGENT = f"perpsctl/{__version__}"
_MICROSECOND = timedelta(microseconds=1)
RATE_HEADERS = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "retry-after")
_ID_HEADERS = ("x-request-id", "trace-id", "x-amzn-requestid", "cf-ray")


class Problem(StrEnum):
    """What went wrong between us and the venue, one word per thing an operator could look at."""

    NO_ADDRESS = "no_address"
    NOT_CONNECTED = "not_connected"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS = "tls"
    PROXY = "proxy"
    TIMEOUT = "timeout"
    RESET = "reset"
    CUT_SHORT = "cut_short"
    TOO_LARGE = "too_large"
    ENCODED = "encoded"
    BROKEN_HTTP = "broken_http"
    BAD_REQUEST = "bad_request"
    OUR_BUDGET = "rate_limited_here"
    OTHER = "other"


SENTENCES: Mapping[Problem, str] = MappingProxyType(
    {
        Problem.NO_ADDRESS: "the venue's name has no address here (DNS)",
        Problem.NOT_CONNECTED: "no connection to the venue (refused or no route)",
        Problem.CONNECT_TIMEOUT: "connecting to the venue took too long",
        Problem.TLS: "the venue's certificate or TLS handshake was refused",
        Problem.PROXY: "a proxy stands between us and the venue; none is used",
        Problem.TIMEOUT: "the venue did not answer before the deadline",
        Problem.RESET: "the connection was lost",
        Problem.CUT_SHORT: "the answer was cut short",
        Problem.TOO_LARGE: "the answer is over the cap",
        Problem.ENCODED: "the answer is compressed, which was not asked for",
        Problem.BROKEN_HTTP: "the answer is not proper HTTP",
        Problem.BAD_REQUEST: "the request could not be put together",
        Problem.OUR_BUDGET: "our own request budget is used up",
        Problem.OTHER: "the network failed",
    }
)

# Specific before general: the first row that fits anything in the chain of causes wins. A test lists every exception of
# the libraries used here and fails on one that falls through to OTHER without being meant to.
_ROWS: tuple[tuple[Problem, tuple[type[BaseException], ...]], ...] = (
    (Problem.TOO_LARGE, (CappedOut, http.client.LineTooLong)),
    (Problem.NO_ADDRESS, (urllib3.exceptions.NameResolutionError, socket.gaierror, socket.herror)),
    (Problem.NOT_CONNECTED, (urllib3.exceptions.NewConnectionError, ConnectionRefusedError)),
    (Problem.CONNECT_TIMEOUT, (urllib3.exceptions.ConnectTimeoutError, requests.ConnectTimeout)),
    (
        Problem.PROXY,
        (
            urllib3.exceptions.ProxyError,
            urllib3.exceptions.ProxySchemeUnknown,
            urllib3.exceptions.ProxySchemeUnsupported,
            requests.exceptions.ProxyError,
            requests.exceptions.InvalidProxyURL,
        ),
    ),
    (Problem.TIMEOUT, (urllib3.exceptions.TimeoutError, requests.Timeout, TimeoutError)),
    (Problem.TLS, (ssl.SSLError, ssl.CertificateError, urllib3.exceptions.SSLError, requests.exceptions.SSLError)),
    (
        Problem.CUT_SHORT,
        (
            http.client.IncompleteRead,
            urllib3.exceptions.IncompleteRead,
            urllib3.exceptions.InvalidChunkLength,
            requests.exceptions.ChunkedEncodingError,
        ),
    ),
    (
        Problem.RESET,
        (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ConnectionAbortedError),
    ),
    (Problem.ENCODED, (urllib3.exceptions.DecodeError, requests.exceptions.ContentDecodingError)),
    (
        Problem.BAD_REQUEST,
        (
            http.client.InvalidURL,
            http.client.CannotSendRequest,
            http.client.CannotSendHeader,
            urllib3.exceptions.LocationValueError,
            urllib3.exceptions.UnrewindableBodyError,
            requests.exceptions.InvalidURL,
            requests.exceptions.InvalidSchema,
            requests.exceptions.MissingSchema,
            requests.exceptions.URLRequired,
            requests.exceptions.InvalidHeader,
            requests.exceptions.UnrewindableBodyError,
            requests.exceptions.InvalidJSONError,
        ),
    ),
    (
        Problem.BROKEN_HTTP,
        (
            http.client.HTTPException,
            urllib3.exceptions.ProtocolError,
            urllib3.exceptions.HeaderParsingError,
            urllib3.exceptions.InvalidHeader,
            urllib3.exceptions.ResponseError,
            urllib3.exceptions.BodyNotHttplibCompatible,
            requests.exceptions.StreamConsumedError,
            requests.exceptions.TooManyRedirects,
            requests.exceptions.RetryError,
            requests.exceptions.JSONDecodeError,
        ),
    ),
    (
        Problem.RESET,  # never "not connected": what only says "connection error" proves nothing
        (urllib3.exceptions.PoolError, requests.exceptions.ConnectionError, ConnectionError),
    ),
)
# Everything the libraries raise on purpose derives from one of these; anything else is our bug and stays loud.
_CAUGHT = (OSError, urllib3.exceptions.HTTPError, http.client.HTTPException, ValueError)
# Raised by an adapter that has no gate of its own, these prove that nothing was written.
_BEFORE_FIRST_BYTE = frozenset({Problem.NO_ADDRESS, Problem.NOT_CONNECTED, Problem.CONNECT_TIMEOUT})


def classify(error: BaseException) -> Problem:
    """The name of a failure, found anywhere in its chain of causes."""
    return _named(error, tuple(_chain(error)))


def proves_nothing_written(error: BaseException) -> bool:
    """True when the failure itself says that no connection came about, for adapters that cannot tell us more.

    What was merely being handled when it was raised (`__context__`) is no proof.
    """
    return _named(error, tuple(_chain(error, contexts=False))) in _BEFORE_FIRST_BYTE


def _named(error: BaseException, chain: tuple[BaseException, ...]) -> Problem:
    for problem, kinds in _ROWS:
        if any(isinstance(link, kinds) for link in chain):
            return problem
    return Problem.BAD_REQUEST if isinstance(error, ValueError) else Problem.OTHER


def _chain(error: BaseException, *, contexts: bool = True) -> Iterator[BaseException]:
    """The error and what it wraps, each once, nearest first; bounded."""
    seen: dict[int, BaseException] = {}
    waiting = [error]
    while waiting and len(seen) < 32:
        link = waiting.pop(0)
        if id(link) in seen:
            continue
        seen[id(link)] = link
        yield link
        wrapped = (*link.args, getattr(link, "reason", None), link.__cause__, link.__context__ if contexts else None)
        waiting += [inner for inner in wrapped if isinstance(inner, BaseException)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long anything may take. `total` bounds one request from connecting to its last byte."""

    connect: timedelta = timedelta(seconds=3)
    total: timedelta = timedelta(seconds=8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What goes out. `target` is path and query, quoted already; the token is signed when pacing let the request through."""

    method: str
    path: str  # as signed, without query
    target: str
    body: bytes | None
    fresh: bool = False  # public twins are cached for a second; this asks for the newest (reference section 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A whole answer, whatever its status. The monotonic moments are of our clock: first request byte, last body byte."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    asked: datetime  # wall time before anything was sent: the age of what the answer says counts from here
    arrived: datetime
    sent_ns: int
    arrived_ns: int

    def header(self, name: str) -> str:
        """A header's value, "" when absent; raw text from outside."""
        return self.headers.get(name) or ""

    @property
    def request_id(self) -> str:
        """The first id the venue or its edge put on the answer, safe to show; "" without one."""
        return next((shown(self.header(name), _HEADER_SHOWN) for name in _ID_HEADERS if self.header(name)), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class GateClosed:
    """The gate let nothing out: not a byte was sent. `code` says whose word it was, the kill switch's if nothing else."""

    reason: str
    code: str = KILL_SWITCH_ENGAGED


@dataclass(frozen=True, slots=True, kw_only=True)
class NotWritten:
    """Proven: not a byte of the request was handed to a socket."""

    problem: Problem
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Something may have left; whether the venue saw it, nobody here knows."""

    problem: Problem
    detail: str


Ending = Answered | GateClosed | NotWritten | Written


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeRecord:
    """What one request did, for probe and metrics. No token, no body, no header but the ones named here."""

    method: str
    path: str
    started: datetime
    status: int | None  # None: no answer
    ending: str  # "answered", "gate_closed", "not_written:<problem>", "written:<problem>"
    latency_us: int | None
    request_id: str
    rate_headers: Mapping[str, str]
    date: str


Observer = Callable[[ExchangeRecord], None]


@runtime_checkable
class KeepsConnections(Protocol):
    """An adapter whose connections outlive a request."""

    def forget_connections(self) -> None: ...


class Transport:
    """One venue's HTTP: a session that reaches that one origin and nothing else."""

    def __init__(
        self,
        endpoint: Endpoint,
        clock: Clock,
        *,
        timing: Timing | None = None,
        adapter: BaseAdapter | None = None,
        observer: Observer | None = None,
    ) -> None:
        """`adapter` replaces the socket: the simulator's in-process one, or a test's. The gate then spans its whole send."""
        self.endpoint = endpoint
        self.timing = timing or Timing()
        self._clock = clock
        self._observer = observer
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy, no netrc, no CA variable from the environment (S2)
        self._session.adapters.clear()
        self._adapter: BaseAdapter = adapter if adapter is not None else GatedAdapter()
        self._session.mount(f"{endpoint.origin}/", self._adapter)
        self.last: ExchangeRecord | None = None

    def exchange(self, request: Request, token: str | None, *, gate: Gate | None = None) -> Ending:
        """Send it once. Never raises for the wire; a write passes `gate`, which is entered just before the first byte."""
        started = self._clock.now()
        start_ns = self._clock.monotonic_ns()
        gated_by_socket = isinstance(self._adapter, GatedAdapter)
        call = Sending(
            self._clock,
            until_ns=start_ns + self.timing.total // _MICROSECOND * 1000,
            connect_until_ns=start_ns + self.timing.connect // _MICROSECOND * 1000,
            gate=gate,
        )
        ending = self._run(request, token, call, started, outer_gate=None if gated_by_socket else gate)
        self._record(request, started, call, ending)
        return ending

    def forget_connections(self) -> None:
        """The next request opens a connection of its own (N17: an answer that was not ours may be followed by others)."""
        if isinstance(self._adapter, KeepsConnections):
            self._adapter.forget_connections()

    def close(self) -> None:
        self._session.close()

    def _run(
        self, request: Request, token: str | None, call: Sending, asked: datetime, *, outer_gate: Gate | None
    ) -> Ending:
        mark = sending.set(call)
        try:
            with outer_gate if outer_gate is not None else nullcontext():
                return self._send(request, token, call, asked)
        except GateShut as shut:
            if call.touched:  # only a broken gate says so after the first byte
                return Written(problem=Problem.OTHER, detail="the gate shut while the request was leaving")
            return GateClosed(reason=shut.reason, code=shut.code)
        finally:
            sending.reset(mark)

    def _send(self, request: Request, token: str | None, call: Sending, asked: datetime) -> Ending:
        own_socket = isinstance(self._adapter, GatedAdapter)
        if not own_socket:
            call.begin()
        try:
            response = self._session.get_adapter(self.endpoint.origin + "/").send(
                self._prepared(request, token),
                stream=True,
                timeout=(self.timing.connect / _SECOND, self.timing.total / _SECOND),
                verify=self.endpoint.verify,
                proxies=_NO_PROXIES,
            )
            body = _body_of(response, call)
        except _CAUGHT as failure:
            problem = classify(failure)
            detail = _detail(problem, failure)
            proven = not call.touched if own_socket else proves_nothing_written(failure)
            return NotWritten(problem=problem, detail=detail) if proven else Written(problem=problem, detail=detail)
        return Answered(
            status=response.status_code,
            headers=response.headers,
            body=body,
            asked=asked,
            arrived=self._clock.now(),
            sent_ns=call.written_ns,
            arrived_ns=self._clock.monotonic_ns(),
        )

    def _prepared(self, request: Request, token: str | None) -> requests.PreparedRequest:
        prepared = requests.PreparedRequest()
        prepared.method = request.method
        prepared.url = self.endpoint.origin + request.target
        prepared.headers = CaseInsensitiveDict(_FIXED_HEADERS)
        prepared.hooks = {}
        prepared.body = request.body
        if request.body is not None:
            prepared.headers["Content-Type"] = "application/json"
            prepared.headers["Content-Length"] = str(len(request.body))
        if request.fresh:
            prepared.headers["Cache-Control"] = "no-cache"
        if token is not None:
            prepared.headers["Authorization"] = f"Bearer {token}"
        return prepared

    def _record(self, request: Request, started: datetime, call: Sending, ending: Ending) -> None:
        answer = ending if isinstance(ending, Answered) else None
        self.last = ExchangeRecord(
            method=request.method,
            path=request.path,
            started=started,
            status=None if answer is None else answer.status,
            ending=_word(ending),
            latency_us=(self._clock.monotonic_ns() - call.written_ns) // 1000 if call.touched else None,
            request_id="" if answer is None else answer.request_id,
            rate_headers={}
            if answer is None
            else {name: shown(answer.header(name), _HEADER_SHOWN) for name in RATE_HEADERS if answer.header(name)},
            date="" if answer is None else shown(answer.header("date"), _HEADER_SHOWN),
        )
        if self._observer is not None:
            self._observer(self.last)


_SECOND = timedelta(seconds=1)
_NO_PROXIES: dict[str, str] = {}
_FIXED_HEADERS = {"User-Agent": _USER_AGENT, "Accept": "application/json", "Accept-Encoding": "identity"}


def _body_of(response: requests.Response, call: Sending) -> bytes:
    """The whole body, as long as it is honest in size, plain, and in time."""
    try:
        encoding = (response.headers.get("Content-Encoding") or "identity").strip().lower()
        if encoding != "identity":  # never unpacked, so no bomb can go off (H7)
            raise urllib3.exceptions.DecodeError("compressed although identity was asked for")
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_content(_CHUNK):
            size += len(chunk)
            if size > BODY_BYTES_MAX:
                raise CappedOut("the body is over the cap")
            call.left()
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)
    except BaseException:
        response.close()  # a connection with something left on it serves no other request
        raise


def _detail(problem: Problem, failure: BaseException) -> str:
    """What to say of it: our own sentence and the kind of failure, never the library's text."""
    reason = next((link.strerror for link in _chain(failure) if isinstance(link, OSError) and link.strerror), None)
    more = type(failure).__name__ if reason is None else str(reason)
    return f"{SENTENCES[problem]} ({shown(more, 80)})"


def _word(ending: Ending) -> str:
    match ending:
        case Answered():
            return "answered"
        case GateClosed():
            return "gate_closed"
        case NotWritten():
            return f"not_written:{ending.problem}"
        case Written():
            return f"written:{ending.problem}"
