"""Small real implementations for the tests of the exchange room: clocks, ids, gates, keys, and canned venues."""

import json
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from perpsctl.domain.ports import GateShut
from perpsctl.domain.products import Environment
from perpsctl.exchange.advanced_trade import AdvancedTradeVenue
from perpsctl.exchange.credentials import Credentials, Secret, from_values
from perpsctl.exchange.hosts import Endpoint, endpoint_for

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
KEY_NAME = "organizations/3c7f0e2a/apiKeys/canary-key"
BIP = "BIP-20DEC30-CDE"


class FakeClock:
    """Time that moves only when somebody sleeps or a test says so."""

    def __init__(self, at: datetime = NOW) -> None:
        self.at = at
        self.ns = 1_000_000_000_000
        self.slept: list[timedelta] = []

    def now(self) -> datetime:
        return self.at

    def monotonic_ns(self) -> int:
        return self.ns

    def sleep(self, duration: timedelta) -> None:
        self.slept.append(duration)
        self.advance(duration)

    def advance(self, duration: timedelta) -> None:
        self.at += duration
        self.ns += duration // timedelta(microseconds=1) * 1000


class CountingIds:
    def __init__(self, jitter: int = 500_000) -> None:
        self.count = 0
        self._jitter = jitter

    def new(self) -> str:
        self.count += 1
        return f"00000000-0000-4000-8000-{self.count:012d}"

    def nonce(self) -> str:
        self.count += 1
        return f"{self.count:064x}"

    def jitter(self) -> int:
        return self._jitter


class OpenGate:
    """A gate that lets everything through and tells what happened when."""

    def __init__(
        self, on_enter: Callable[[], object] = lambda: None, on_exit: Callable[[], object] = lambda: None
    ) -> None:
        self.entered = 0
        self.left = 0
        self._on_enter = on_enter
        self._on_exit = on_exit

    def __enter__(self) -> None:
        self.entered += 1
        self._on_enter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.left += 1
        self._on_exit()


class ShutGate(OpenGate):
    def __enter__(self) -> None:
        raise GateShut("engaged by a test")


def ec_pem(curve: ec.EllipticCurve | None = None) -> str:
    key = ec.generate_private_key(curve or ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


def ed_pem() -> str:
    key = ed25519.Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def credentials() -> Credentials:
    return from_values(KEY_NAME, Secret(ec_pem()))


def told_by(error: BaseException) -> str:
    """Everything a traceback with local variables tells, the frames of the tests left out."""
    trace = error.__traceback__
    while trace is not None and "/tests/" in trace.tb_frame.f_code.co_filename:
        trace = trace.tb_next
    whole = traceback.TracebackException(type(error), error, trace, capture_locals=True)
    return "".join(whole.format()) + repr(error) + str(error)


# --- a canned venue ---------------------------------------------------------------------------------


class Call:
    """One request as the adapter saw it."""

    def __init__(self, prepared: requests.PreparedRequest) -> None:
        parts = urlsplit(str(prepared.url))
        self.method = str(prepared.method)
        self.path = parts.path.removeprefix("/api/v3/brokerage")
        self.query = parse_qsl(parts.query)
        self.headers = dict(prepared.headers)
        self.body: Any = json.loads(prepared.body) if isinstance(prepared.body, bytes) else None

    def asks(self, key: str) -> list[str]:
        return [value for name, value in self.query if name == key]


Answer = tuple[int, dict[str, str], bytes] | BaseException
Handler = Callable[[Call], Answer]


def reply(body: object, status: int = 200, /, **headers: str) -> Answer:
    """An answer with a JSON body; header names are written with underscores."""
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, {"content-type": "application/json", **told}, json.dumps(body).encode()


class Canned(BaseAdapter):
    """A `requests` adapter that answers from functions: the latest registered for a method and path wins."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.handlers: dict[tuple[str, str], Handler] = {}
        self.on_send: Callable[[Call], None] = lambda call: None

    def on(self, method: str, path: str, answer: Answer | Handler | list[Answer]) -> None:
        """A list is played in order, its last element for ever."""
        if isinstance(answer, list):
            answers = list(answer)
            self.handlers[method, path] = lambda call: answers.pop(0) if len(answers) > 1 else answers[0]
        elif callable(answer):
            self.handlers[method, path] = answer
        else:
            self.handlers[method, path] = lambda call: answer

    def to(self, method: str, path: str) -> list[Call]:
        return [call for call in self.calls if (call.method, call.path) == (method, path)]

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        call = Call(request)
        self.calls.append(call)
        self.on_send(call)
        handler = self.handlers.get((call.method, call.path))
        if handler is None:
            raise AssertionError(f"nobody expected {call.method} {call.path}")
        answer = handler(call)
        if isinstance(answer, BaseException):
            raise answer
        status, headers, body = answer
        response = requests.Response()
        response.status_code = status
        response.headers = CaseInsensitiveDict(headers)
        response.raw = BytesIO(body)
        response.request = request
        return response

    def close(self) -> None:
        pass


def sim_endpoint(address: str = "http://127.0.0.1:9") -> Endpoint:
    return endpoint_for(Environment.SIM, address)


def a_venue(
    canned: BaseAdapter, *, clock: FakeClock | None = None, key: Credentials | None = None, **more: Any
) -> AdvancedTradeVenue:
    """A venue in process; with a key unless `key` says otherwise by being given in `more` as keyless=True."""
    keyless = more.pop("keyless", False)
    return AdvancedTradeVenue(
        sim_endpoint(),
        None if keyless else (key or credentials()),
        clock or FakeClock(),
        CountingIds(),
        adapter=canned,
        **more,
    )


# --- bodies -----------------------------------------------------------------------------------------


def product_body(product_id: str = BIP, **changes: Any) -> dict[str, Any]:
    """A US perpetual as the venue sends it; no recorded payload is copied here, only the fields that are read."""
    body: dict[str, Any] = {
        "product_id": product_id,
        "price": "60000",
        "base_increment": "1",
        "quote_increment": "0.01",
        "price_increment": "5",
        "base_min_size": "1",
        "base_max_size": "5000",
        "quote_currency_id": "USD",
        "product_type": "FUTURE",
        "product_venue": "FCM",
        "display_name": "BTC PERP",
        "is_disabled": False,
        "trading_disabled": False,
        "cancel_only": False,
        "limit_only": False,
        "post_only": False,
        "auction_mode": False,
        "view_only": False,
        "fcm_trading_session_details": {"is_session_open": True},
        "future_product_details": {
            "contract_size": "0.01",
            "contract_root_unit": "BTC",
            "contract_expiry_type": "EXPIRING",
            "funding_interval": "3600s",
            "funding_rate": "0.00001",
            "index_price": "60001",
        },
    }
    body.update(changes)
    return body


def order_body(order_id: str = "order-1", **changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "order_id": order_id,
        "product_id": BIP,
        "product_type": "FUTURE",
        "side": "BUY",
        "client_order_id": "intent-00000001",
        "status": "OPEN",
        "time_in_force": "GOOD_UNTIL_CANCELLED",
        "order_type": "LIMIT",
        "created_time": "2026-11-22T12:00:00Z",
        "filled_size": "0",
        "order_placement_source": "RETAIL_ADVANCED",
        "order_configuration": {"limit_limit_gtc": {"base_size": "1", "limit_price": "59000", "post_only": False}},
    }
    body.update(changes)
    return body


def orders_page(*bodies: dict[str, Any], cursor: str = "", has_next: bool = False) -> Answer:
    return reply({"orders": list(bodies), "has_next": has_next, "cursor": cursor})


def fill_body(entry_id: str = "entry-1", **changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "entry_id": entry_id,
        "trade_id": f"trade-{entry_id}",
        "order_id": "order-1",
        "trade_time": "2026-11-22T12:00:01Z",
        "trade_type": "FILL",
        "price": "59000",
        "size": "1",
        "commission": "0.1",
        "product_id": BIP,
        "liquidity_indicator": "MAKER",
        "size_in_quote": False,
        "side": "BUY",
    }
    body.update(changes)
    return body
