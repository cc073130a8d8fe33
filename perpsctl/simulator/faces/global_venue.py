"""The Global gateway's face: one JSON-RPC call in, one result or refusal out, whatever carried it.

The order of judgement: is the method served on this transport, credits, login, right, then the core. HTTP requests and
sockets meet in `GlobalFace.call`; this file adds HTTP's spelling. A token or JWT never appears in an answer or a log.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import parse_qsl

from perpsctl.simulator.auth import Refusal, verify_login
from perpsctl.simulator.credits import Credits, Pool
from perpsctl.simulator.exchange import Exchange
from perpsctl.simulator.faces.global_account import ACCOUNT
from perpsctl.simulator.faces.global_market import PUBLIC
from perpsctl.simulator.faces.global_methods import Call, Method
from perpsctl.simulator.faces.global_order_reads import ORDER_READS
from perpsctl.simulator.faces.global_orders import ORDER_WRITES
from perpsctl.simulator.faces.global_params import Params
from perpsctl.simulator.faces.global_session import HTTP_LIFETIME, SOCKET_LIFETIME, Login, Session, Tokens, Transport
from perpsctl.simulator.faces.messages import Reply, Request, whole, word
from perpsctl.simulator.faces.routes import Needs, Switches
from perpsctl.simulator.faces.venue_face import Arrival, VenueFace, allowed
from perpsctl.simulator.faults import Effect, EffectKind
from perpsctl.simulator.gateway.refusal import RpcError
from perpsctl.simulator.identity import KeyRing
from perpsctl.simulator.tape import micros
from perpsctl.wire.global_derivatives import rpc
from perpsctl.wire.guard import PlainJson, WireError

PREFIX = "/api/v2"
LOGIN = "public/auth"
NOT_ALLOWED = "method not in allowlist"
GRANTS = {"coinbase_cdp"}
# Methods the gateway has and this exchange does not: portfolio margin, transfers, brokers, options' figures.
NOT_BUILT = frozenset(
    {
        *(f"private/{name}" for name in ("get_risk_profile", "get_pme_params", "pme_simulate", "simulate_portfolio")),
        *(f"private/{name}" for name in ("submit_transfer_between_subaccounts", "get_subaccounts_details")),
        *(
            f"private/{name}"
            for name in ("get_broker_trades", "get_broker_trade_requests", "create_combo", "get_leg_prices")
        ),
        *(f"public/{name}" for name in ("get_combos", "get_combo_ids", "get_combo_details", "get_delivery_prices")),
        *(
            f"public/{name}"
            for name in ("get_historical_volatility", "get_volatility_index_data", "get_index_chart_data")
        ),
        *(f"public/get_last_settlements_by_{name}" for name in ("currency", "instrument")),
        *(f"public/{name}" for name in ("get_expirations", "get_trade_volumes")),
    }
)
_UNSIGNED = frozenset({EffectKind.KEY_EXPIRED, EffectKind.UNAUTHORIZED})
_OK, _BAD = 200, 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One call as it was read, or why it could not be."""

    method: str
    params: Mapping[str, PlainJson]
    id: rpc.RequestId | None
    from_query: bool = False
    refused: RpcError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalIntake(Arrival):
    """What is known of a request before the exchange has seen it."""

    asked: Asked


class GlobalFace(VenueFace[GlobalIntake]):
    """The face of one exchange towards clients of the gateway. Safe to call from several threads.

    Sockets share it: one `Session` for each, `call` for each frame, `ended` when the connection is gone. What only a
    socket has (subscriptions, heartbeats) joins by `extend`.
    """

    def __init__(self, exchange: Exchange, keys: KeyRing, switches: Switches | None = None) -> None:
        super().__init__(exchange, keys, switches)
        self.credits = Credits()
        self.tokens = Tokens()
        self._methods: dict[str, Method] = {**PUBLIC, **ORDER_READS, **ORDER_WRITES, **ACCOUNT}

    def extend(self, methods: Iterable[Method]) -> None:
        """These methods are served too; a name already known is replaced."""
        self._methods |= {method.name: method for method in methods}

    def forget(self) -> None:
        """A reset: no credit used, no login good, nothing deferred."""
        super().forget()
        self.credits.clear()
        self.credits.enforced = True
        self.tokens.clear()

    # --- the dispatcher ------------------------------------------------------------------------------

    def operation_of(self, method: str) -> str:
        """The word faults of a method are armed for."""
        known = self._methods.get(method)
        return "login" if method == LOGIN else method if known is None else known.operation

    def call(
        self,
        method: str,
        params: Mapping[str, PlainJson],
        session: Session,
        *,
        effects: tuple[Effect, ...] = (),
        from_query: bool = False,
    ) -> object:
        """The result, as plain values for the wire room. Raises RpcError when the call was refused and did nothing.

        `effects` are this call's own faults, drawn by the caller, once.
        """
        now = self.exchange.now()
        given = Params(params, from_query=from_query)
        try:
            if method == LOGIN:
                return self._login(given, session, effects)
            known = self._methods.get(method)
            if known is None or session.transport not in known.served:
                raise self._not_served(method, known, session)
            self._draw(session, known, login=self._login_in_force(session))
            self._permit(session, known, effects)
            frozen = self._frozen(method, params)
            with self.exchange.gateway() as core, core.state.as_of(frozen):
                return known.answer(Call(core=core, params=given, session=session, now=now, effects=effects))
        except RpcError as refused:
            self._note(self.operation_of(method), str(refused.code))
            raise

    def _frozen(self, method: str, params: Mapping[str, PlainJson]) -> datetime | None:
        """The instant a read of the market is made as of, where fault M2 froze it."""
        if method not in PUBLIC:
            return None
        return self.exchange.faults.frozen(str(params.get("instrument_name", "")))

    @staticmethod
    def _not_served(method: str, known: Method | None, session: Session) -> RpcError:
        if method in NOT_BUILT and session.transport is not Transport.STREAMS:
            return RpcError(10033)
        if known is not None and session.transport is Transport.HTTP:
            return RpcError(10030)
        return RpcError(-32601, NOT_ALLOWED)

    def ended(self, session: Session) -> int:
        """A socket is gone: its orders are cancelled if that was armed and nobody logged out; how many there were."""
        if session.logged_out or not session.cancel_on_disconnect or not session.connection:
            return 0
        with self.exchange.gateway() as core:
            return core.trading.disconnected(session.connection)

    # --- logins --------------------------------------------------------------------------------------

    def _login(self, params: Params, session: Session, effects: tuple[Effect, ...]) -> object:
        if session.transport is Transport.STREAMS:
            raise RpcError(-32601, NOT_ALLOWED)
        if not self.credits.take(f"ip:{session.client_ip}", Pool.READS, self.exchange.now()):
            raise self._too_many(session)
        if params.text("grant_type") not in GRANTS:
            raise RpcError(13004, None, {"reason": "this exchange knows the grant coinbase_cdp only"})
        if any(effect.kind in _UNSIGNED for effect in effects):
            raise RpcError(13004)
        now = self.exchange.now()
        late = sum(whole(effect, "seconds", 0) for effect in effects if effect.kind is EffectKind.LATE_READING)  # W12
        caller = verify_login(params.text("token"), now=now + timedelta(seconds=late), keys=self.keys)
        if isinstance(caller, Refusal):
            self._note("login", caller.reason)
            raise RpcError(13004)
        scopes = [
            f"rat#{right}"
            for right, held in (
                ("view", caller.key.can_view),
                ("trade", caller.key.can_trade),
                ("transfer", caller.key.can_transfer or self.exchange.faults.holding("A7") is not None),
            )
            if held
        ]
        scope = " ".join(scopes)
        if session.transport is Transport.SOCKET:
            session.login = Login(key=caller.key, expires_at=now + SOCKET_LIFETIME)
            return {"expires_in": _seconds(SOCKET_LIFETIME), "scope": scope, "sid": session.connection}
        token = self.tokens.issue(caller.key, params.text("token"), now)
        return {
            "access_token": token,
            "expires_in": _seconds(HTTP_LIFETIME) - 1,  # 899 seen
            "scope": scope,
            "token_type": "bearer",
        }

    def _login_in_force(self, session: Session) -> Login | None:
        login = session.login
        return login if login is not None and login.expires_at > self.exchange.now() else None

    def _draw(self, session: Session, known: Method, *, login: Login | None) -> None:
        caller = f"ip:{session.client_ip}" if login is None else f"user:{self.exchange.user_id}"
        if not self.credits.take(caller, known.pool, self.exchange.now()):
            raise self._too_many(session)

    @staticmethod
    def _too_many(session: Session) -> RpcError:
        session.closing = True
        return RpcError(10028)

    def _permit(self, session: Session, known: Method, effects: tuple[Effect, ...]) -> None:
        if known.needs is Needs.NOTHING:
            return
        if any(effect.kind in _UNSIGNED for effect in effects):
            raise RpcError(13009)
        login = self._login_in_force(session)
        if login is None:
            raise RpcError(13009, None, {"reason": "not logged in on this transport, or the login has expired"})
        key = self.keys.find(login.key.name)  # rights may have changed since
        if key is None or not key.active:
            raise RpcError(13004)
        if not allowed(key, known.needs, effects):
            raise RpcError(13403)

    # --- HTTP ----------------------------------------------------------------------------------------

    def intake(self, request: Request, *, counted: frozenset[int] = frozenset()) -> GlobalIntake:
        """Reads the call and draws the faults, once for each request. The body must be there: it may name the method."""
        self.advance()
        asked = _asked(request)
        effects = self.exchange.faults.wire_effects(self.operation_of(asked.method), counted=counted)
        return GlobalIntake(asked=asked, effects=effects)

    def _rate_limited(self, effect: Effect, intake: GlobalIntake) -> Reply:
        """10028 in the gateway's own words, and the connection is closed; a page of HTML is the edge in front of it."""
        if word(effect, "body", "json") == "html":
            return super()._rate_limited(effect, intake)
        return self._refused(RpcError(10028), intake.asked.id, micros(self.exchange.now()), closing=True)

    def _refused(self, refused: RpcError, request_id: rpc.RequestId | None, us_in: int, *, closing: bool) -> Reply:
        body = rpc.encode_error(told(refused), request_id, us_in=us_in, us_out=micros(self.exchange.now()))
        return Reply(status=_BAD, body=body, headers=(("connection", "close"),) if closing else ())

    def _served(self, request: Request, intake: GlobalIntake) -> Reply:
        asked = intake.asked
        session = Session(
            transport=Transport.HTTP,
            client_ip=request.client_ip,
            login=self.tokens.find(request.headers.get("authorization")),
        )
        us_in = micros(self.exchange.now())
        try:
            if asked.refused is not None:
                raise asked.refused
            if not self._address_listed(request, intake.effects):
                raise RpcError(13021)
            result = self.call(asked.method, asked.params, session, effects=intake.effects, from_query=asked.from_query)
        except RpcError as refused:
            return self._refused(refused, asked.id, us_in, closing=session.closing)
        return Reply(
            status=_OK, body=rpc.encode_result(result, asked.id, us_in=us_in, us_out=micros(self.exchange.now()))
        )


def told(refused: RpcError) -> rpc.RpcError:
    """A refusal for the wire."""
    return rpc.RpcError(code=refused.code, message=refused.message, data=refused.data)  # type: ignore[arg-type]


def _seconds(span: timedelta) -> int:
    return span // timedelta(seconds=1)


def _asked(request: Request) -> Asked:
    """The call of an HTTP request: a JSON-RPC body, or a path and a query string."""
    named = request.path.removeprefix(PREFIX).strip("/") if request.path.startswith(PREFIX) else None
    nothing = Asked(method="", params={}, id=None, refused=RpcError(-32601))
    if named is None:
        return nothing
    if request.method == "GET":
        values: dict[str, PlainJson] = dict(parse_qsl(request.query, keep_blank_values=False))
        return Asked(method=named, params=values, id=None, from_query=True) if named else nothing
    if request.method != "POST":
        return nothing
    try:
        body = rpc.decode_request(request.body)
    except WireError as strange:
        return Asked(method=named, params={}, id=None, refused=RpcError(-32700, None, {"reason": str(strange)}))
    if named and body.method != named:
        return Asked(
            method=named, params={}, id=body.id, refused=RpcError(-32600, None, {"reason": "path and body disagree"})
        )
    return Asked(method=body.method, params=body.params, id=body.id)
