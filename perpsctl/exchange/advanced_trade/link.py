"""One request to the US venue: paced, signed, sent, and its refusals turned into our errors.

Reads end as a decoded body or one error of the tree in `domain.errors`; writes end as plain values for `writes` to
judge. Only here is it decided what a status code means for a read.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar
from urllib.parse import quote, urlencode

from perpsctl.domain.errors import (
    CredentialsError,
    RateLimited,
    RefusalCause,
    VenueRefusedRequest,
    VenueRefusedUs,
    VenueSpokeStrangely,
    VenueUnreachable,
)
from perpsctl.domain.ids import Ids
from perpsctl.domain.ports import Clock, Gate
from perpsctl.domain.text import shown
from perpsctl.exchange.answers import clock_hint, is_json, strangeness
from perpsctl.exchange.endings import Got, answered
from perpsctl.exchange.pacing import Pacer, Priority, retry_after_wait
from perpsctl.exchange.retrying import CANCELS, READS, Again, RetryPolicy, repeat
from perpsctl.exchange.signing import READ_TTL, WRITE_TTL, Signer
from perpsctl.exchange.transport import Answered, Ending, NotWritten, Problem, Request, Transport
from perpsctl.wire.advanced_trade.faults import ErrorFacts, error_facts
from perpsctl.wire.guard import WireError, decode

__all__ = ["PREFIX", "Ask", "Link", "clock_hint", "in_path", "is_json", "refusal_of", "strangeness"]

PREFIX = "/api/v3/brokerage"
_MICROSECOND = timedelta(microseconds=1)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One question. `public_path` is the unsigned twin, used when there is no key; `open_to_all` is never signed."""

    path: str
    method: str = "GET"
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    public_path: str | None = None
    open_to_all: bool = False
    priority: Priority = Priority.READ


class Link:
    """The road to the venue for one key, or for none."""

    def __init__(
        self,
        transport: Transport,
        signer: Signer | None,
        pacer: Pacer,
        clock: Clock,
        ids: Ids,
        *,
        reads: RetryPolicy = READS,
        cancels: RetryPolicy = CANCELS,
    ) -> None:
        self.transport = transport
        self.clock = clock
        self._signer = signer
        self._pacer = pacer
        self._ids = ids
        self._reads = reads
        self._cancels = cancels

    @property
    def has_key(self) -> bool:
        return self._signer is not None or not self.transport.endpoint.signs

    def read(self, ask: Ask, kind: type[T]) -> Got[T]:
        """The decoded answer, asked again while that can help; one of our errors otherwise, never nothing."""
        policy = self._cancels if ask.priority is Priority.CANCEL else self._reads
        return repeat(lambda until_ns: self._attempt(ask, kind, until_ns), policy, self.clock, self._ids)

    def write(self, path: str, body: bytes, gate: Gate | None) -> Ending:
        """Send a write once, signed for 20 s only. Never raises; what was never let out ends as NotWritten."""
        until_ns = self.clock.monotonic_ns() + self.transport.timing.total // _MICROSECOND * 1000
        ask = Ask(path=path, method="POST", body=body, priority=Priority.WRITE)
        try:
            return self._once(ask, until_ns, ttl=WRITE_TTL, gate=gate)
        except RateLimited as full:
            return NotWritten(problem=Problem.OUR_BUDGET, detail=full.message)
        except CredentialsError as missing:
            return NotWritten(problem=Problem.BAD_REQUEST, detail=missing.message)

    def once(self, ask: Ask, kind: type[T]) -> Got[T]:
        """As `read`, for requests that must not be repeated although they are no orders."""
        single = RetryPolicy(attempts=1, total=self._reads.total)
        return repeat(lambda until_ns: self._attempt(ask, kind, until_ns), single, self.clock, self._ids)

    def _attempt(self, ask: Ask, kind: type[T], until_ns: int) -> Got[T]:
        answer = answered(self._once(ask, until_ns, ttl=READ_TTL, gate=None), f"{ask.method} {ask.path}")
        failure = self._failure(ask, answer)
        if failure is not None:
            raise failure
        try:
            return Got(body=decode(answer.body, kind), answer=answer)
        except WireError as refused:
            problem = str(refused)
        self.transport.forget_connections()
        raise Again(VenueSpokeStrangely(f"{ask.method} {ask.path}: {problem}"))

    def _once(self, ask: Ask, until_ns: int, *, ttl: timedelta, gate: Gate | None) -> Ending:
        signer = self._signer
        signed = signer is not None and not ask.open_to_all
        path = self._path(ask)
        self._pacer.take(ask.priority, signed=signed, until_ns=until_ns)
        token = (
            signer.token(ask.method, path, now=self.clock.now(), ttl=ttl, nonce=self._ids.nonce())
            if signer is not None and signed
            else None
        )
        target = f"{path}?{urlencode(ask.query)}" if ask.query else path
        request = Request(method=ask.method, path=path, target=target, body=ask.body, fresh=token is None)
        ending = self.transport.exchange(request, token, gate=gate)
        if isinstance(ending, Answered):
            self._pacer.observe(ending.header, ending.status, signed=signed)
        return ending

    def _path(self, ask: Ask) -> str:
        if ask.open_to_all or self.has_key:
            return PREFIX + ask.path
        if ask.public_path is None:
            raise CredentialsError(
                "this needs an API key and the profile has none", fix="name a key file in the profile"
            )
        return PREFIX + ask.public_path

    def _failure(self, ask: Ask, answer: Answered) -> Exception | None:
        """What to raise for an answer that is not a 200 with JSON; None for one that is."""
        name = f"{ask.method} {ask.path}"
        if answer.status == 200:
            if is_json(answer):
                return None
            self.transport.forget_connections()
            return Again(
                VenueSpokeStrangely(f"{name}: a 200 that is no JSON ({shown(answer.header('content-type'), 60)})")
            )
        facts = error_facts(answer.body)
        if answer.status == 429:
            told = retry_after_wait(answer.header("retry-after"), self.clock.now())
            return Again(RateLimited(f"{name}: the venue's rate limit is used up (HTTP 429)"), asked_wait=told)
        if answer.status >= 500:
            return Again(VenueUnreachable(f"{name}: the venue answered HTTP {answer.status}"))
        if answer.status == 401:
            return Again(refusal_of(answer, facts, name), once=True)
        if answer.status == 403:
            return refusal_of(answer, facts, name)
        if 300 <= answer.status < 400:
            return VenueSpokeStrangely(
                f"{name}: a redirect (HTTP {answer.status}), not followed",
                fix="something stands between us and the venue",
            )
        if answer.status >= 400 and facts.parsed:
            return VenueRefusedRequest(
                f"{name}: HTTP {answer.status} {facts.code}: {facts.message}", reason=facts.code or str(answer.status)
            )
        return Again(VenueSpokeStrangely(f"{name}: HTTP {answer.status} with a body of no known shape"))


def refusal_of(answer: Answered, facts: ErrorFacts, name: str) -> VenueRefusedUs:
    """Why the venue would not have us, as far as can be told: clock, permission, portfolio, address or the key itself."""
    said = f"{name}: HTTP {answer.status}"
    cause = _cause_of(answer, facts)
    told = f" ({facts.message})" if facts.message else ""
    sentence, fix = {
        RefusalCause.CLOCK: (clock_hint(answer), "start the host's time service, then repeat"),
        RefusalCause.PERMISSION: (
            "the key lacks a permission this needs",
            "give the key that permission, or use another",
        ),
        RefusalCause.PORTFOLIO: ("the key belongs to another portfolio", "use a key of the pinned portfolio"),
        RefusalCause.ADDRESS: ("this address is not on the key's allowlist", "add the egress address to the key"),
        RefusalCause.KEY: (f"the key was refused{told}", None),
        RefusalCause.UNKNOWN: (f"the key was refused{told}", None),
    }[cause]
    return VenueRefusedUs(f"{said}: {sentence}", cause=cause, fix=fix)


def _cause_of(answer: Answered, facts: ErrorFacts) -> RefusalCause:
    if answer.status == 401 and clock_hint(answer):
        return RefusalCause.CLOCK
    if facts.missing_scopes:
        return RefusalCause.PERMISSION
    words = facts.message.lower()
    if "portfolio" in words:
        return RefusalCause.PORTFOLIO
    if "ip" in words.replace(",", " ").replace(".", " ").split() or "allowlist" in words or "address" in words:
        return RefusalCause.ADDRESS
    return RefusalCause.KEY if answer.status == 401 else RefusalCause.UNKNOWN


def in_path(part: str) -> str:
    """An id as one part of a path, whatever is in it (H11)."""
    return quote(part, safe="")
