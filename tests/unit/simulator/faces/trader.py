"""A caller of the US face for tests: signs with PyJWT (neither the client's code nor the face's) and asks in process."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from perpsctl.simulator.clock import ManualClock
from perpsctl.simulator.embedded import Embedded
from perpsctl.simulator.faces.messages import Reply, Request

START = datetime(2026, 11, 22, 10, tzinfo=UTC)
V3 = "/api/v3/brokerage"
BIP = "BIP-20DEC30-CDE"
HOST = "127.0.0.1:1"


def private_key(file_text: str) -> EllipticCurvePrivateKey | Ed25519PrivateKey:
    text = json.loads(file_text)["privateKey"]
    if text.startswith("-----"):
        key = load_pem_private_key(text.encode(), None)
        assert isinstance(key, EllipticCurvePrivateKey)
        return key
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(text)[:32])


class Trader:
    """One exchange on a clock that stands still, and a way to ask it."""

    def __init__(self, role: str = "trade", embedded: Embedded | None = None) -> None:
        self.clock = ManualClock(START)
        self.embedded = embedded if embedded is not None else Embedded(self.clock)
        self.use(role)

    def use(self, role: str) -> None:
        text = self.embedded.key_text(role)
        self.name = json.loads(text)["name"]
        self.secret = private_key(text)

    def claims(self, method: str, path: str, host: str = HOST) -> dict[str, Any]:
        now = int(self.embedded.clock.now().timestamp())
        return {"sub": self.name, "iss": "cdp", "nbf": now, "exp": now + 120, "uri": f"{method} {host}{path}"}

    def sign(self, claims: dict[str, Any], **headers: Any) -> str:
        algorithm = "EdDSA" if isinstance(self.secret, Ed25519PrivateKey) else "ES256"
        return jwt.encode(claims, self.secret, algorithm, headers={"kid": self.name, "nonce": "00", **headers})

    def request(
        self,
        method: str,
        path: str,
        query: str = "",
        body: Any = None,
        *,
        token: str | None = None,
        ip: str = "127.0.0.1",
    ) -> Request:
        signed = self.sign(self.claims(method, path)) if token is None else token
        return Request(
            method=method,
            path=path,
            query=query,
            headers={"authorization": f"Bearer {signed}"} if signed else {},
            body=b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode(),
            received_at=self.embedded.exchange.now(),
            connected_host=HOST,
            client_ip=ip,
        )

    def ask(self, method: str, path: str, query: str = "", body: Any = None, **named: Any) -> Reply:
        return self.embedded.us.handle(self.request(method, V3 + path, query, body, **named))

    def get(self, path: str, query: str = "") -> Any:
        reply = self.ask("GET", path, query)
        assert reply.status == 200, reply.body
        return json.loads(reply.body)

    def post(self, path: str, body: Any) -> Any:
        reply = self.ask("POST", path, body=body)
        assert reply.status == 200, reply.body
        return json.loads(reply.body)

    def limit(
        self, client_order_id: str, *, side: str = "BUY", size: str = "1", price: str = "60000"
    ) -> dict[str, Any]:
        return {
            "client_order_id": client_order_id,
            "product_id": BIP,
            "side": side,
            "order_configuration": {"limit_limit_gtc": {"base_size": size, "limit_price": price, "post_only": True}},
        }

    def pass_time(self, seconds: int) -> None:
        self.clock.advance(seconds)

    def booked(self) -> tuple[str, ...]:
        return tuple(order.client_order_id for order in self.embedded.exchange.judge_view().orders)


def later(claims: dict[str, Any], seconds: int) -> dict[str, Any]:
    """The same claims with both times moved."""
    shift = timedelta(seconds=seconds).total_seconds()
    return {**claims, "nbf": int(claims["nbf"] + shift), "exp": int(claims["exp"] + shift)}
