"""The US venue's face: one HTTP request in, one reply and its wire-level faults out.

The order of judgement: which path, what is armed to go wrong before the exchange sees it, budget, token, right, then
the core. Nothing here waits or touches a socket: a shell carries out delays and broken connections, and calls `intake`
and `answer` apart where a delay lies between them.
"""

import itertools
import threading
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address, ip_network

import msgspec

from perpsctl.simulator.auth import Refusal, verify
from perpsctl.simulator.exchange import Exchange, InvalidArgument, NotFound
from perpsctl.simulator.faces import errors, us_orders
from perpsctl.simulator.faces.errors import Forbidden, Malformed
from perpsctl.simulator.faces.messages import PLAIN, Query, Reply, Request, first_of, whole, word
from perpsctl.simulator.faces.routes import Call, Needs, Route, Switches, find
from perpsctl.simulator.faces.strict_json import read_body
from perpsctl.simulator.faults import Effect, EffectKind
from perpsctl.simulator.identity import KeyRecord, KeyRing
from perpsctl.simulator.ratelimit import PRIVATE_PER_SECOND, PUBLIC_PER_SECOND, Budgets
from perpsctl.wire.advanced_trade.orders import CreateOrderRequest

NOT_ANSWERED = 0  # the status of a reply of which no byte leaves
_REFUSALS_KEPT = 50
_DAY_S = 86_400
_ENCODER = msgspec.json.Encoder()
# What ends a request before the exchange has seen it, whatever its parameters.
_NEVER_ARRIVES = frozenset(
    {EffectKind.REFUSE_CONNECTION, EffectKind.DNS_FAILURE, EffectKind.CLOSE_IDLE, EffectKind.DEFER}
)
_UNSIGNED = {EffectKind.KEY_EXPIRED: "key is expired (fault)", EffectKind.UNAUTHORIZED: "bad node (fault)"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What is known of a request before the exchange has seen it."""

    route: Route | None
    ids: tuple[str, ...]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Late:
    due: datetime
    request: Request
    intake: Intake


class UsFace:
    """The face of one exchange towards clients of the Advanced Trade REST API. Safe to call from several threads."""

    def __init__(self, exchange: Exchange, keys: KeyRing, switches: Switches | None = None) -> None:
        self.exchange = exchange
        self.keys = keys
        self.switches = switches if switches is not None else Switches()
        self.budgets = Budgets()
        self.refusals: deque[Refused] = deque(maxlen=_REFUSALS_KEPT)
        self._previous: Reply | None = None
        self._late: list[_Late] = []
        self._lock = threading.Lock()
        self._served_count = itertools.count(1)
        self._date = ("", datetime.fromtimestamp(0, UTC))

    def handle(self, request: Request) -> Reply:
        """Intake and answer in one: for callers with nothing to do in between."""
        return self.answer(request, self.intake(request))

    def intake(self, request: Request, *, counted: frozenset[int] = frozenset()) -> Intake:
        """Finds the route and draws the faults, once for each request; `counted` have seen its connection (N9)."""
        self.advance()
        found = find(request.method, request.path)
        if found is None:
            return Intake(route=None, ids=(), effects=())
        route, ids = found
        return Intake(route=route, ids=ids, effects=self.exchange.faults.wire_effects(route.operation, counted=counted))

    def answer(self, request: Request, intake: Intake) -> Reply:
        """The reply; the exchange has handled the request unless a fault kept it out."""
        kept_out = self._kept_out(request, intake)
        reply = kept_out if kept_out is not None else self._served(request, intake)
        return self._disturbed(reply, intake.effects, request)

    def defer(self, request: Request, intake: Intake, seconds: int) -> None:
        """The exchange handles the request `seconds` from now, after the caller has given up (faults N14, N15).

        Its token must still be valid then: what arrives after `exp` is refused.
        """
        if intake.route is not None and intake.route.operation == "create_order":
            due = self.exchange.now() + timedelta(seconds=seconds)
            try:
                self._authorize(request, intake.route, intake.effects, due)
                self.exchange.create_later(
                    us_orders.order_request(read_body(request.body, CreateOrderRequest)), seconds
                )
            except (_Unsigned, Forbidden, Malformed) as refused:
                self._note(intake.route.operation, f"arrived late: {refused}")
            return
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
        """A reset: no budget used, nothing deferred, no previous answer."""
        self.budgets.clear()
        self.budgets.enforced = True
        with self._lock:
            self._late.clear()
        self._previous = None

    # --- before the exchange -------------------------------------------------------------------------

    def _kept_out(self, request: Request, intake: Intake) -> Reply | None:
        """The reply of a request that never reaches the exchange, or None."""
        for effect in intake.effects:
            if effect.kind is EffectKind.HTTP_429:
                headers = _retry_after(effect, self.exchange.now())
                return errors.too_many_requests(html=word(effect, "body", "json") == "html", headers=headers)
            if effect.kind is EffectKind.HTTP_STATUS and not effect.after:
                return errors.unavailable(whole(effect, "status", 503))
            if effect.kind is EffectKind.REDIRECT:
                return _redirect(effect, request)
            if effect.kind is EffectKind.DEFER:
                self.defer(request, replace(intake, effects=()), whole(effect, "seconds", 5))
            if effect.kind in _NEVER_ARRIVES or (effect.kind is EffectKind.RESET and not effect.after):
                return Reply(status=NOT_ANSWERED)
        return None

    def _served(self, request: Request, intake: Intake) -> Reply:
        if intake.route is None:
            return errors.not_found("not found")
        limit_headers: tuple[tuple[str, str], ...] = ()
        try:
            key = self._authorize(request, intake.route, intake.effects, self.exchange.now())
            caller, budget = (
                (f"ip:{request.client_ip}", PUBLIC_PER_SECOND)
                if key is None
                else (f"user:{self.exchange.user_id}", PRIVATE_PER_SECOND)
            )
            allowance = self.budgets.take(caller, budget, self.exchange.now())
            limit_headers = allowance.headers()
            if not allowance.allowed:
                self._note(intake.route.operation, "budget used up")
                return errors.too_many_requests(html=self.switches.html_429, headers=limit_headers)
            call = Call(
                exchange=self.exchange,
                request=request,
                query=Query(request.query),
                ids=intake.ids,
                key=key,
                switches=self.switches,
            )
            answered = Reply(status=200, body=_ENCODER.encode(intake.route.answer(call)))
        except _Unsigned as refused:
            self._note(intake.route.operation, str(refused))
            answered = errors.unauthorized()
        except _MissingScope as refused:
            self._note(intake.route.operation, str(refused))
            answered = errors.missing_scopes()
        except Forbidden as refused:
            self._note(intake.route.operation, refused.details)
            answered = errors.refusal(403, "PERMISSION_DENIED", refused.details)
        except Malformed as refused:
            answered = errors.refusal(400, refused.error, refused.details)
        except InvalidArgument as refused:
            answered = errors.refusal(400, "INVALID_ARGUMENT", str(refused))
        except NotFound as refused:
            answered = errors.not_found(str(refused.args[0]) if refused.args else "not found")
        return replace(answered, headers=(*answered.headers, *limit_headers))

    def _authorize(
        self, request: Request, route: Route, effects: tuple[Effect, ...], now: datetime
    ) -> KeyRecord | None:
        """The key of a signed request; None on public paths, where a token is not looked at."""
        if route.needs is Needs.NOTHING:
            return None
        for effect in effects:
            if effect.kind in _UNSIGNED:
                raise _Unsigned(_UNSIGNED[effect.kind])
        caller = verify(
            request.headers.get("authorization"),
            method=request.method,
            path=request.path,
            connected_host=request.connected_host,
            now=now,
            keys=self.keys,
        )
        if isinstance(caller, Refusal):
            raise _Unsigned(caller.reason)
        key = caller.key
        self._check_address(request, effects)
        revoked = {word(effect, "scope", "trade") for effect in effects if effect.kind is EffectKind.SCOPE_REVOKED}
        rights = {
            Needs.VIEW: key.can_view and "view" not in revoked,
            Needs.TRADE: key.can_trade and "trade" not in revoked,
            Needs.TRANSFER: key.can_transfer,
        }
        if not rights[route.needs]:
            raise _MissingScope(f"key {key.role} lacks {route.needs}")
        return key

    def _check_address(self, request: Request, effects: tuple[Effect, ...]) -> None:
        """The wording of this refusal is ours: what the venue says to an address off the list is unknown (A4)."""
        allowed = self.switches.allowlist
        listed = not allowed or any(ip_address(request.client_ip) in ip_network(each) for each in allowed)
        if not listed or first_of(effects, EffectKind.IP_NOT_ALLOWED) is not None:
            raise Forbidden("IP address is not on the allowlist of this API key")

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


class _Unsigned(Exception):
    """401."""


class _MissingScope(Exception):
    """403 with the scope text."""


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
