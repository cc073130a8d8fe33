"""A conversation played back to the real client with one of its replies spoiled.

At the wire level the transport is replaced: the bytes of a reply go straight to the real readers, nothing is repeated, and
hundreds of thousands can be played. At the client level only the socket is replaced: the real transport, its caps, its
deadline and the retries are in between.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import requests
import urllib3
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from perpsctl.domain.ports import Gate
from perpsctl.domain.products import Environment, VenueId
from perpsctl.exchange.advanced_trade import AdvancedTradeVenue
from perpsctl.exchange.global_derivatives import GlobalDerivativesVenue
from perpsctl.exchange.hosts import Endpoint, endpoint_for
from perpsctl.exchange.retrying import CANCELS, READS
from perpsctl.exchange.transport import Answered, Ending, Request, Transport
from perpsctl.simulator.inprocess import GLOBAL_ORIGIN, ORIGIN
from tests.hostile.corpus import WRITE_PATHS, Call, Exchange, credentials, key_and_path

_US = timedelta(microseconds=1)
_NO_RETRIES = replace(READS, attempts=1)
_NO_RETRIED_CANCELS = replace(CANCELS, attempts=1)
_SESSION_REFUSED = (b"13004", b"13009", b"10000")
_NOT_IN_IT = {
    "us": (404, b'{"error":"NOT_FOUND","error_details":"","message":"not in this conversation"}'),
    "global": (400, b'{"jsonrpc":"2.0","id":%d,"error":{"code":11044,"message":"not in this conversation"}}'),
}


class StillClock:
    """Time that moves only when somebody sleeps or waits for an answer."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self.ns = 1_000_000_000_000
        self.slept = timedelta(0)

    def now(self) -> datetime:
        return self.at

    def monotonic_ns(self) -> int:
        return self.ns

    def sleep(self, duration: timedelta) -> None:
        self.slept += duration
        self.advance(duration)

    def advance(self, duration: timedelta) -> None:
        self.at += duration
        self.ns += duration // _US * 1000


class CountedIds:
    """Names and nonces in order."""

    def __init__(self) -> None:
        self.count = 0

    def new(self) -> str:
        self.count += 1
        return f"00000000-0000-4000-8000-{self.count:012d}"

    def nonce(self) -> str:
        self.count += 1
        return f"{self.count:064x}"

    def jitter(self) -> int:
        return 500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoilt:
    """What stands in for one reply of a conversation."""

    number: int
    body: bytes
    status: int | None = None
    headers: Mapping[str, str] | None = None
    stream: Callable[[bytes], Any] | None = None  # client level: makes the body's file
    others: bool = True  # the same reply again when the same is asked again


class Script:
    """Finds the reply to a request, the spoilt one where its turn is."""

    def __init__(self, call: Call, spoilt: Spoilt) -> None:
        self._call = call
        self._spoilt = spoilt
        self._left = list(enumerate(call.exchanges))
        self.numbers: list[int] = []  # of the recorded exchanges, in the order they were asked for
        self.asked = 0
        self.struck = 0  # how often the spoilt reply was given
        self.writes = 0  # orders and edits that were sent
        self.sessions_refused = 0  # ... and refused for their session, which proves that they did not act

    def reply(self, method: str, target: str, body: bytes | None) -> tuple[Exchange, bytes, Spoilt | None]:
        """The recorded exchange, its body under the request's own id, and the spoilt reply where it is this one's turn."""
        key, path, ident = key_and_path(method, target, body)
        self.asked += 1
        self.writes += path in WRITE_PATHS
        place = next((at for at, (_, each) in enumerate(self._left) if each.key == key), None)
        before = next((at for at, each in enumerate(self._call.exchanges) if each.key == key), None)
        if place is None and before is None:
            place = next((at for at, (_, each) in enumerate(self._left) if each.path == path), None)
        if place is not None:
            number, found = self._left.pop(place)
        elif before is not None:  # asked again
            number, found = before, self._call.exchanges[before]
        else:  # something the honest conversation did not lead to
            again = [(n, each) for n, each in enumerate(self._call.exchanges) if each.path == path]
            number, found = again[-1] if again else (-1, self._unknown(path, ident))
        self.numbers.append(number)
        whole = found.body if ident is None or found.id is None else under_id(found, ident)
        if number == self._spoilt.number and (self._spoilt.others or not self.struck):
            self.struck += 1
            spoilt = self._spoilt
            told = spoilt.body if found.id is None or ident is None else renamed(spoilt.body, found.id, ident)
            self.sessions_refused += path in WRITE_PATHS and any(code in told for code in _SESSION_REFUSED)
            return found, told, spoilt
        return found, whole, None

    def _unknown(self, path: str, ident: int | None) -> Exchange:
        status, body = _NOT_IN_IT[self._call.venue]
        told = body % (ident or 0) if self._call.venue == "global" else body
        return Exchange("", path, status, (("content-type", "application/json"),), told, None)


def under_id(exchange: Exchange, ident: int) -> bytes:
    """The recorded reply as an answer to this request."""
    return exchange.body if exchange.id is None else renamed(exchange.body, exchange.id, ident)


def renamed(body: bytes, old: int, new: int) -> bytes:
    """The body with the old request's id replaced where it stands as the id."""
    return body.replace(b'"id":%d' % old, b'"id":%d' % new)


# --- wire level ---------------------------------------------------------------------------------------------


class Wire(Transport):
    """A transport whose answers are bytes from a script; the gate is passed as the real one passes it."""

    def __init__(self, endpoint: Endpoint, clock: "StillClock", stage: "_Stage") -> None:
        super().__init__(endpoint, clock, adapter=_NOBODY)
        self._stage = stage

    def exchange(self, request: Request, token: str | None, *, gate: Gate | None = None) -> Ending:
        if gate is not None:
            with gate:
                pass
        found, body, spoilt = self._stage.script.reply(request.method, request.target, request.body)
        status, headers = found.status, dict(found.headers)
        if spoilt is not None:
            status = found.status if spoilt.status is None else spoilt.status
            headers |= spoilt.headers or {}
        now, ns = self._clock.now(), self._clock.monotonic_ns()
        return Answered(
            status=status,
            headers=CaseInsensitiveDict(headers),
            body=body,
            asked=now,
            arrived=now,
            sent_ns=ns,
            arrived_ns=ns,
        )

    def forget_connections(self) -> None:
        """There is none."""


# --- client level -------------------------------------------------------------------------------------------


class Socket(BaseAdapter):
    """What a socket would bring: status, headers and a body that is read piece by piece."""

    def __init__(self, stage: "_Stage") -> None:
        super().__init__()
        self._stage = stage

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        target = (request.url or "").partition("://")[2]
        body = request.body if isinstance(request.body, bytes) else None
        found, told, spoilt = self._stage.script.reply(request.method or "GET", target[target.index("/") :], body)
        headers = urllib3.HTTPHeaderDict(dict(found.headers))
        headers.discard("content-length")
        status, raw = found.status, io.BytesIO(told)
        if spoilt is not None:
            status = found.status if spoilt.status is None else spoilt.status
            headers.update(spoilt.headers or {})
            raw = raw if spoilt.stream is None else spoilt.stream(told)
        response = requests.Response()
        response.status_code = status
        response.headers = CaseInsensitiveDict(headers)
        response.raw = urllib3.HTTPResponse(body=raw, headers=headers, status=status, preload_content=False)
        response.url = request.url or ""
        response.request = request
        return response

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True)
class Played:
    """How a call ended."""

    value: Any
    error: BaseException | None
    script: Script
    clock: StillClock


def play(call: Call, spoilt: Spoilt, *, client: bool = False) -> Played:
    """The call's answer from a client that knows nothing yet. Whatever was raised is kept, of whatever kind."""
    return Client(call, client=client).play(spoilt)


class Client:
    """A client with the conversation of one call in front of it; played again, it knows what it was told before."""

    def __init__(self, call: Call, *, client: bool = False) -> None:
        self._call = call
        self.clock = StillClock(call.at)
        self._stage = _Stage()
        self._venue = _venue(call, self._stage, self.clock, client=client)

    def play(self, spoilt: Spoilt) -> Played:
        """The call once more, this reply spoilt."""
        script = self._stage.script = Script(self._call, spoilt)
        try:
            return Played(self._call.ask(self._venue), None, script, self.clock)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            return Played(None, error, script, self.clock)


class _Stage:
    """What is played now."""

    script: Script


def _venue(call: Call, stage: _Stage, clock: StillClock, *, client: bool) -> Any:
    ids = CountedIds()
    retries: dict[str, Any] = {} if client else {"reads": _NO_RETRIES, "cancels": _NO_RETRIED_CANCELS}
    retries["adapter"] = Socket(stage) if client else _NOBODY
    venue: AdvancedTradeVenue | GlobalDerivativesVenue
    if call.venue == "us":
        endpoint = endpoint_for(Environment.SIM, ORIGIN)
        venue = AdvancedTradeVenue(endpoint, credentials(), clock, ids, **retries)
        if not client:
            venue.link.transport = Wire(endpoint, clock, stage)
        return venue
    endpoint = endpoint_for(Environment.SIM, GLOBAL_ORIGIN, venue=VenueId.GLOBAL)
    venue = GlobalDerivativesVenue(endpoint, credentials(), clock, ids, **retries)
    if not client:
        venue.link.rpc.transport = Wire(endpoint, clock, stage)
    return venue


class _Nobody(BaseAdapter):
    def send(self, *_: Any, **__: Any) -> requests.Response:
        raise AssertionError("the wire level has no socket")

    def close(self) -> None:
        """Nothing is held."""


_NOBODY = _Nobody()
