"""A gateway socket on a clock that stands still, over the real account and a dispatcher of this room's own."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from perpsctl.simulator.clock import ManualClock
from perpsctl.simulator.exchange import Exchange
from perpsctl.simulator.faces.global_market import ticker_row
from perpsctl.simulator.faces.global_session import SOCKET_LIFETIME, Login, Session, Transport
from perpsctl.simulator.faces.global_streams import Streams
from perpsctl.simulator.faces.global_venue import GlobalFace
from perpsctl.simulator.faces.global_ws import GlobalSocket
from perpsctl.simulator.faults import Effect
from perpsctl.simulator.gateway.refusal import RpcError
from perpsctl.simulator.identity import KeyRing, throw_away_keys
from perpsctl.wire.guard import PlainJson

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BTC = "BTC_USDC-PERPETUAL"


class TrustingFace(GlobalFace):
    """The gateway's face, but a login is taken at its word; with `exhausted` every credit is used up."""

    def __init__(self, exchange: Exchange) -> None:
        keys = throw_away_keys()
        super().__init__(exchange, KeyRing(key.record for key in keys))
        self._key = keys[0].record
        self.exhausted = False

    def call(
        self,
        method: str,
        params: Mapping[str, PlainJson],
        session: Session,
        *,
        effects: tuple[Effect, ...] = (),
        from_query: bool = False,
    ) -> object:
        if method == "public/auth" and session.transport is Transport.SOCKET:
            session.login = Login(key=self._key, expires_at=self.exchange.now() + SOCKET_LIFETIME)
            return {"expires_in": 3000, "sid": "s", "scope": "connection"}
        if self.exhausted:
            session.closing = True
            raise RpcError(10028)
        return super().call(method, params, session, effects=effects, from_query=from_query)


class Desk:
    """One socket with shorthand."""

    def __init__(self, face: TrustingFace, clock: ManualClock, transport: Transport, name: str = "socket-1") -> None:
        self.exchange = face.exchange
        self.clock = clock
        self.face = face
        self.session = Session(transport=transport, connection=name)
        self.line = GlobalSocket(face, self.session, market=Streams())
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
    return Desk(TrustingFace(Exchange(clock)), clock, transport)
