"""What both venues' faces do alike: faults drawn once for each request, replies disturbed, late requests handled late.

A face says what a request asks for (`intake`) and answers it (`_served`); the rest is here. Nothing here waits or touches
a socket: a shell carries out delays and broken connections, and calls `intake` and `answer` apart where a delay lies
between them.
"""

import itertools
import threading
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address, ip_network
from typing import Generic, TypeVar

from perpsctl.simulator.exchange import Exchange
from perpsctl.simulator.faces import errors
from perpsctl.simulator.faces.messages import PLAIN, Reply, Request, first_of, whole, word
from perpsctl.simulator.faces.routes import Needs, Switches
from perpsctl.simulator.faults import Effect, EffectKind
from perpsctl.simulator.identity import KeyRecord, KeyRing

NOT_ANSWERED = 0  # the status of a reply of which no byte leaves
REFUSALS_KEPT = 50
_DAY_S = 86_400
# What ends a request before the exchange has seen it, whatever its parameters.
_NEVER_ARRIVES = frozenset(
    {EffectKind.REFUSE_CONNECTION, EffectKind.DNS_FAILURE, EffectKind.CLOSE_IDLE, EffectKind.DEFER}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What is known of a request before the exchange has seen it; each face adds what it read of it."""

    effects: tuple[Effect, ...]

    @property
    def delay_before_s(self) -> int:
        """How long the request waits at the venue's door (faults N14, N19 and kin)."""
        return sum(
            whole(effect, "seconds", 0)
            for effect in self.effects
            if effect.kind is EffectKind.DELAY and not effect.after
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A request that was turned away at the door, for the simulator's own log. Never a token."""

    at: datetime
    operation: str
    reason: str


A = TypeVar("A", bound=Arrival)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Late(Generic[A]):
    due: datetime
    request: Request
    intake: A


class VenueFace(ABC, Generic[A]):
    """The face of one exchange towards one venue's clients. Safe to call from several threads."""

    def __init__(self, exchange: Exchange, keys: KeyRing, switches: Switches | None = None) -> None:
        self.exchange = exchange
        self.keys = keys
        self.switches = switches if switches is not None else Switches()
        self.refusals: deque[Refused] = deque(maxlen=REFUSALS_KEPT)
        self._previous: Reply | None = None
        self._late: list[_Late[A]] = []
        self._lock = threading.Lock()
        self._served_count = itertools.count(1)
        self._date = ("", datetime.fromtimestamp(0, UTC))

    def handle(self, request: Request) -> Reply:
        """Intake and answer in one: for callers with nothing to do in between."""
        return self.answer(request, self.intake(request))

    @abstractmethod
    def intake(self, request: Request, *, counted: frozenset[int] = frozenset()) -> A:
        """Reads what is asked for and draws the faults, once for each request; `counted` have seen its connection (N9)."""

    @abstractmethod
    def _served(self, request: Request, intake: A) -> Reply:
        """The exchange's answer."""

    def answer(self, request: Request, intake: A) -> Reply:
        """The reply; the exchange has handled the request unless a fault kept it out."""
        kept_out = self._kept_out(request, intake)
        reply = kept_out if kept_out is not None else self._served(request, intake)
        return self._disturbed(reply, intake.effects, request)

    def defer(self, request: Request, intake: A, seconds: int) -> None:
        """The exchange handles the request `seconds` from now, after the caller has given up (faults N14, N15)."""
        with self._lock:
            due = self.exchange.now() + timedelta(seconds=seconds)
            self._late.append(_Late(due=due, request=request, intake=intake))

    def advance(self) -> None:
        """Handles what was deferred and is due now."""
        if not self._late:
            return
        now = self.exchange.now()
        with self._lock:
            due = [late for late in self._late if late.due <= now]
            self._late = [late for late in self._late if late.due > now]
        for late in due:
            self._served(late.request, late.intake)

    def forget(self) -> None:
        """A reset: nothing deferred, no previous answer."""
        with self._lock:
            self._late.clear()
        self._previous = None

    # --- before the exchange -------------------------------------------------------------------------

    def _kept_out(self, request: Request, intake: A) -> Reply | None:
        """The reply of a request that never reaches the exchange, or None."""
        for effect in intake.effects:
            if effect.kind is EffectKind.HTTP_429:
                return self._rate_limited(effect, intake)
            if effect.kind is EffectKind.HTTP_STATUS and not effect.after:
                return errors.unavailable(whole(effect, "status", 503))
            if effect.kind is EffectKind.REDIRECT:
                return _redirect(effect, request)
            if effect.kind is EffectKind.DEFER:
                self.defer(request, replace(intake, effects=()), whole(effect, "seconds", 5))
            if effect.kind in _NEVER_ARRIVES or (effect.kind is EffectKind.RESET and not effect.after):
                return Reply(status=NOT_ANSWERED)
        return None

    def _rate_limited(self, effect: Effect, intake: A) -> Reply:
        """The answer of faults N1 to N6."""
        headers = _retry_after(effect, self.exchange.now())
        return errors.too_many_requests(html=word(effect, "body", "json") == "html", headers=headers)

    def address_listed(self, client_ip: str) -> bool:
        """Whether an address is on the allowlist of the keys."""
        allowed = self.switches.allowlist
        return not allowed or any(ip_address(client_ip) in ip_network(each) for each in allowed)

    def _address_listed(self, request: Request, effects: tuple[Effect, ...]) -> bool:
        """Whether the caller's address may use a key (fault A4)."""
        return self.address_listed(request.client_ip) and first_of(effects, EffectKind.IP_NOT_ALLOWED) is None

    # --- after the exchange ---------------------------------------------------------------------------

    def _disturbed(self, reply: Reply, effects: tuple[Effect, ...], request: Request) -> Reply:
        """What leaves: the body replaced where a fault says so, and what the shell must do besides."""
        true_reply = reply
        for effect in effects:
            match effect.kind:
                case EffectKind.HTTP_STATUS if effect.after:
                    reply = errors.unavailable(whole(effect, "status", 502))
                case EffectKind.EMPTY_BODY:
                    reply = replace(reply, body=b"")
                case EffectKind.HTML_200:
                    reply = errors.html_page()
                case EffectKind.WRONG_CONTENT_TYPE:
                    reply = replace(reply, content_type=PLAIN)
                case EffectKind.TRUNCATED_BODY:
                    reply = replace(reply, body=reply.body[: len(reply.body) // 2])
                case EffectKind.OTHER_RESPONSE if word(effect, "form", "other") == "other":
                    reply = self._previous if self._previous is not None else Reply(status=200, body=b"{}")
                case _:
                    pass
        if true_reply.status != NOT_ANSWERED:
            self._previous = true_reply
        # An id to name in evidence; production's edge sends one under several names, its form is nowhere documented.
        trace = ("trace-id", f"{next(self._served_count):016x}")
        return replace(reply, headers=(("date", self._date_header()), trace, *reply.headers), effects=effects)

    def _date_header(self) -> str:
        """The venue's clock, offset of fault A1 included: what clients measure skew by."""
        second = self.exchange.now().replace(microsecond=0)
        text, made_for = self._date
        if second != made_for or not text:
            text = format_datetime(second, usegmt=True)
            self._date = (text, second)
        return text

    def _note(self, operation: str, reason: str) -> None:
        self.refusals.append(Refused(at=self.exchange.now(), operation=operation, reason=reason))


def _redirect(effect: Effect, request: Request) -> Reply:
    """Elsewhere is an address of this machine nobody listens on: a client that follows leaks nothing (N24)."""
    line = request.path + (f"?{request.query}" if request.query else "")
    place = {
        "same": f"{request.path}/moved",
        "loop": line,
        "other": f"http://127.0.0.2:9{line}",
    }[word(effect, "target", "other")]
    status = whole(effect, "status", 307)
    return Reply(status=status, content_type=PLAIN, headers=(("location", place),))


def _retry_after(effect: Effect, now: datetime) -> tuple[tuple[str, str], ...]:
    seconds = whole(effect, "seconds", 2)
    match word(effect, "retry_after", "none"):
        case "seconds":
            value = str(seconds)
        case "date":
            value = format_datetime(now.replace(microsecond=0) + timedelta(seconds=seconds), usegmt=True)
        case "past":
            value = format_datetime(now.replace(microsecond=0) - timedelta(hours=1), usegmt=True)
        case "negative":
            value = "-5"
        case "day_ahead":
            value = str(_DAY_S)
        case _:
            return ()
    return (("retry-after", value),)


def allowed(key: KeyRecord, needs: Needs, effects: tuple[Effect, ...]) -> bool:
    """True when the key has that right, and no fault took it away (A3)."""
    revoked = {word(effect, "scope", "trade") for effect in effects if effect.kind is EffectKind.SCOPE_REVOKED}
    return {
        Needs.NOTHING: True,
        Needs.VIEW: key.can_view and "view" not in revoked,
        Needs.TRADE: key.can_trade and "trade" not in revoked,
        Needs.TRANSFER: key.can_transfer,
    }[needs]
