"""The US venue's face: one HTTP request in, one reply and its wire-level faults out.

The order of judgement: which path, what is armed to go wrong before the exchange sees it, budget, token, right, then
the core. Nothing here waits or touches a socket: a shell carries out delays and broken connections, and calls `intake`
and `answer` apart where a delay lies between them.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from perpsctl.simulator.auth import Refusal, verify
from perpsctl.simulator.exchange import Exchange, InvalidArgument, NotFound
from perpsctl.simulator.faces import errors, us_orders
from perpsctl.simulator.faces.errors import Forbidden, Malformed
from perpsctl.simulator.faces.messages import Query, Reply, Request
from perpsctl.simulator.faces.routes import Call, Needs, Route, Switches, find
from perpsctl.simulator.faces.strict_json import read_body
from perpsctl.simulator.faces.venue_face import NOT_ANSWERED, Arrival, VenueFace, allowed
from perpsctl.simulator.faults import Effect, EffectKind
from perpsctl.simulator.identity import KeyRecord, KeyRing
from perpsctl.simulator.ratelimit import PRIVATE_PER_SECOND, PUBLIC_PER_SECOND, Budgets
from perpsctl.wire.advanced_trade.orders import CreateOrderRequest

__all__ = ["NOT_ANSWERED", "Intake", "UsFace"]

_ENCODER = msgspec.json.Encoder()
_UNSIGNED = {EffectKind.KEY_EXPIRED: "key is expired (fault)", EffectKind.UNAUTHORIZED: "bad node (fault)"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake(Arrival):
    """What is known of a request before the exchange has seen it."""

    route: Route | None
    ids: tuple[str, ...]


class UsFace(VenueFace[Intake]):
    """The face of one exchange towards clients of the Advanced Trade REST API. Safe to call from several threads."""

    def __init__(self, exchange: Exchange, keys: KeyRing, switches: Switches | None = None) -> None:
        super().__init__(exchange, keys, switches)
        self.budgets = Budgets()

    def intake(self, request: Request, *, counted: frozenset[int] = frozenset()) -> Intake:
        """Finds the route and draws the faults, once for each request; `counted` have seen its connection (N9)."""
        self.advance()
        found = find(request.method, request.path)
        if found is None:
            return Intake(route=None, ids=(), effects=())
        route, ids = found
        return Intake(route=route, ids=ids, effects=self.exchange.faults.wire_effects(route.operation, counted=counted))

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
        super().defer(request, intake, seconds)

    def forget(self) -> None:
        """A reset: no budget used, nothing deferred, no previous answer."""
        super().forget()
        self.budgets.clear()
        self.budgets.enforced = True

    # --- the exchange --------------------------------------------------------------------------------

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
        if not allowed(key, route.needs, effects):
            raise _MissingScope(f"key {key.role} lacks {route.needs}")
        return key

    def _check_address(self, request: Request, effects: tuple[Effect, ...]) -> None:
        """The wording of this refusal is ours: what the venue says to an address off the list is unknown (A4)."""
        if not self._address_listed(request, effects):
            raise Forbidden("IP address is not on the allowlist of this API key")


class _Unsigned(Exception):
    """401."""


class _MissingScope(Exception):
    """403 with the scope text."""
