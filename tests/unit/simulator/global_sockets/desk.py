"""A gateway socket on a clock that stands still, over the real account and a dispatcher of this room's own."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from perpsctl.simulator.clock import ManualClock
from perpsctl.simulator.exchange import Exchange
from perpsctl.simulator.faces.global_market import PUBLIC, ticker_row
from perpsctl.simulator.faces.global_methods import Call
from perpsctl.simulator.faces.global_orders import ORDERS
from perpsctl.simulator.faces.global_params import Params
from perpsctl.simulator.faces.global_session import SOCKET_LIFETIME, Login, Session, Transport
from perpsctl.simulator.faces.global_streams import Streams
from perpsctl.simulator.faces.global_ws import GlobalSocket
from perpsctl.simulator.gateway.refusal import RpcError
from perpsctl.simulator.identity import throw_away_keys
from perpsctl.wire.guard import PlainJson

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BTC = "BTC_USDC-PERPETUAL"
KEY = throw_away_keys()[0].record


class Face:
    """The methods a socket test needs, on the account itself; a login is taken at its word here."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.exhausted = False

    def call(self, method: str, params: Mapping[str, PlainJson], session: Session) -> object:
        match method:
            case "public/auth":
                session.login = Login(key=KEY, expires_at=self.exchange.now() + SOCKET_LIFETIME)
                return {"expires_in": 3000, "sid": "s", "scope": "connection"}
            case "private/enable_cancel_on_disconnect":
                session.cancel_on_disconnect = True
                return "ok"
            case "private/get_cancel_on_disconnect":
                return {"scope": "connection", "enabled": session.cancel_on_disconnect}
            case "private/logout":
                session.logged_out = True
                return None
        known = {**PUBLIC, **ORDERS}.get(method)
        if known is None or session.transport not in known.served:
            raise RpcError(-32601, "method not in allowlist")
        if self.exhausted:
            session.closing = True
            raise RpcError(10028)
        with self.exchange.gateway() as core:
            return known.answer(Call(core=core, params=Params(params), session=session, now=self.exchange.now()))


class Desk:
    """One socket with shorthand."""

    def __init__(self, exchange: Exchange, clock: ManualClock, transport: Transport, name: str = "socket-1") -> None:
        self.exchange = exchange
        self.clock = clock
        self.face = Face(exchange)
        self.session = Session(transport=transport, connection=name)
        self.line = GlobalSocket(self.face, exchange.gateway, self.session, exchange.now, market=Streams())
        self._ids = 0

    def send(self, method: str, /, **params: Any) -> list[dict[str, Any]]:
        self._ids += 1
        text = json.dumps({"jsonrpc": "2.0", "id": self._ids, "method": method, "params": params})
        return [json.loads(frame) for frame in self.line.receive(text)]

    def ask(self, method: str, /, **params: Any) -> Any:
        """The result or the error of one call."""
        first = self.send(method, **params)[0]
        assert first["id"] == self._ids
        return first.get("result", first.get("error"))

    def pass_time(self, **step: int) -> list[dict[str, Any]]:
        self.clock.advance(**step)
        return [json.loads(frame) for frame in self.line.due()]

    def log_in(self) -> None:
        assert self.ask("public/auth", grant_type="coinbase_cdp", token="t")["expires_in"] == 3000

    def rest(self, **more: Any) -> str:
        """A buy far below the market, resting."""
        with self.exchange.gateway() as core:
            mark = core.state.mark(BTC)
        price = int(mark * Decimal("0.97"))
        told = self.ask("private/buy", instrument_name=BTC, amount=0.01, type="limit", price=price, **more)
        assert told["order"]["order_state"] == "open"
        return str(told["order"]["order_id"])

    def order(self, order_id: str) -> dict[str, Any]:
        with self.exchange.gateway() as core:
            order = core.state.own(order_id)
            assert order is not None
            return {"state": order.state_word, "reason": order.cancel_reason}

    def ticker(self) -> dict[str, Any]:
        with self.exchange.gateway() as core:
            return ticker_row(core.state, BTC)


def a_desk(transport: Transport = Transport.SOCKET) -> Desk:
    clock = ManualClock(NOW)
    return Desk(Exchange(clock), clock, transport)
