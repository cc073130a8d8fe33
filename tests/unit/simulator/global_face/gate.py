"""A caller of the gateway's face for tests: signs with PyJWT (neither the client's code nor the face's), in process."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from perpsctl.simulator.clock import ManualClock
from perpsctl.simulator.embedded import Embedded
from perpsctl.simulator.faces.messages import Reply, Request
from perpsctl.simulator.options import CalendarMode, Options
from tests.unit.simulator.faces.trader import private_key

START = datetime(2026, 11, 22, 10, tzinfo=UTC)
BTC = "BTC_USDC-PERPETUAL"
ETH = "ETH_USDC-PERPETUAL"
SOL = "SOL_USDC-PERPETUAL"


class Gate:
    """One exchange on a clock that stands still, logged in at its gateway."""

    def __init__(
        self, role: str = "trade", *, start: datetime = START, calendar: CalendarMode = CalendarMode.OPEN
    ) -> None:
        self.clock = ManualClock(start)
        self.embedded = Embedded(self.clock, Options(calendar=calendar))
        self.face = self.embedded.global_
        self.face.credits.enforced = False  # tests of the credits switch them on
        self.control = self.embedded.exchange.control
        self.use(role)

    def use(self, role: str) -> None:
        text = self.embedded.key_text(role)
        self.name = json.loads(text)["name"]
        self.secret = private_key(text)
        self.log_in()

    def jwt(self, **changed: Any) -> str:
        now = int(self.clock.now().timestamp())
        claims = {"sub": self.name, "iss": "cdp", "nbf": now, "exp": now + 120} | changed
        algorithm = "EdDSA" if isinstance(self.secret, Ed25519PrivateKey) else "ES256"
        return jwt.encode(claims, self.secret, algorithm, headers={"kid": self.name, "nonce": "00"})

    def log_in(self) -> None:
        self.log_in_at(0)

    def log_in_at(self, ahead_s: int) -> None:
        """As `log_in`, with a token for a venue whose clock is so many seconds ahead."""
        now = int(self.clock.now().timestamp()) + ahead_s
        told = self.ask("public/auth", grant_type="coinbase_cdp", token=self.jwt(nbf=now, exp=now + 120))
        self.token = told["access_token"]

    def reply(self, method: str, params: dict[str, Any], *, token: str | None = None, path: str | None = None) -> Reply:
        body = json.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
        return self.face.handle(self._request("POST", path or f"/api/v2/{method}", "", body, token))

    def _request(self, verb: str, path: str, query: str, body: str, token: str | None) -> Request:
        bearer = self.token if token is None and hasattr(self, "token") else token
        return Request(
            method=verb,
            path=path,
            query=query,
            headers={"authorization": f"Bearer {bearer}"} if bearer else {},
            body=body.encode(),
            received_at=self.clock.now(),
            connected_host="127.0.0.1:2",
        )

    def get(self, method: str, /, **params: Any) -> dict[str, Any]:
        """The whole answer of a GET with a query string."""
        reply = self.face.handle(self._request("GET", f"/api/v2/{method}", urlencode(params), "", None))
        return _read(reply)

    def answer(self, method: str, /, **params: Any) -> dict[str, Any]:
        """The whole answer, numbers as Decimals."""
        return _read(self.reply(method, params))

    def ask(self, method: str, /, **params: Any) -> Any:
        """The result; a refusal fails the test."""
        told = self.answer(method, **params)
        assert "result" in told, told
        return told["result"]

    def refused(self, method: str, /, **params: Any) -> int:
        """The code of a refusal; an acceptance fails the test."""
        told = self.answer(method, **params)
        assert "error" in told, told
        return int(told["error"]["code"])

    def rest(self, **more: Any) -> dict[str, Any]:
        """A buy of 0.01 BTC that rests a per cent below the mark."""
        terms = {"instrument_name": BTC, "amount": 0.01, "type": "limit", "price": self.below(), "label": "one"}
        order = self.ask("private/buy", **(terms | {"post_only": True, "reject_post_only": True} | more))["order"]
        assert isinstance(order, dict)
        return order

    def below(self, product_id: str = BTC, share: str = "0.99") -> float:
        """A price on the grid below the mark."""
        ticker = self.ask("public/ticker", instrument_name=product_id)
        return float(int(Decimal(str(ticker["mark_price"])) * Decimal(share)))

    def buy(self, amount: float = 0.01, product_id: str = BTC, **more: Any) -> dict[str, Any]:
        """A market buy."""
        told = self.ask("private/buy", instrument_name=product_id, amount=amount, type="market", **more)
        assert isinstance(told, dict)
        return told

    def position(self, product_id: str = BTC) -> dict[str, Any]:
        told = self.ask("private/get_position", instrument_name=product_id)
        assert isinstance(told, dict)
        return told

    def summary(self) -> dict[str, Any]:
        told = self.ask("private/get_account_summary", currency="USDC")
        assert isinstance(told, dict)
        return told

    def later(self, **step: int) -> None:
        self.clock.advance(**step)
        self.embedded.advance()


def _read(reply: Reply) -> dict[str, Any]:
    told = json.loads(reply.body, parse_float=Decimal)
    assert isinstance(told, dict)
    return told
