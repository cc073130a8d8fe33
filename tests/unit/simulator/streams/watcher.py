"""A client of nothing but the standard library on an in-process socket: it keeps books by the venue's documented rules."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from perpsctl.simulator.clock import ManualClock
from perpsctl.simulator.embedded import Embedded
from perpsctl.simulator.inprocess_sockets import InProcessLine
from perpsctl.simulator.options import Options
from perpsctl.simulator.orders import ConfigKind, Configuration, OrderRequest, Placed, Side
from perpsctl.simulator.outlet import SocketName

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BTC = "BIP-20DEC30-CDE"
ETH = "ETP-20DEC30-CDE"
GLOBAL_BTC = "BTC_USDC-PERPETUAL"
Book = dict[Decimal, Decimal]
_ids = count(1)


def an_exchange(seed: int = 1) -> Embedded:
    """On a clock that stands until somebody waits."""
    return Embedded(ManualClock(NOW), Options(seed=seed))


def a_token(embedded: Embedded, *, role: str = "trade", lives_s: int = 120, shift_s: int = 0) -> str:
    """A token for a subscribe or a login, made by hand."""
    file = json.loads(embedded.key_text(role))
    key = serialization.load_pem_private_key(file["privateKey"].encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    begins = int(embedded.clock.now().timestamp()) + shift_s
    claims = {"sub": file["name"], "iss": "cdp", "nbf": begins, "exp": begins + lives_s}
    signed = f"{_part({'alg': 'ES256', 'typ': 'JWT', 'kid': file['name']})}.{_part(claims)}"
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{_text(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _part(value: object) -> str:
    return _text(json.dumps(value).encode())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def an_order(price: Decimal | None, *, side: Side = Side.BUY, size: int = 1, product_id: str = BTC) -> OrderRequest:
    """A limit order, or a market one without a price."""
    kind = ConfigKind.MARKET_IOC if price is None else ConfigKind.LIMIT_GTC
    return OrderRequest(
        product_id=product_id,
        side=side,
        configuration=Configuration(kind=kind, base_size=Decimal(size), limit_price=price),
        client_order_id=f"order-{next(_ids)}",
        leverage=None,
        margin_type=None,
        preview_id=None,
        attached=None,
    )


def placed(embedded: Embedded, request: OrderRequest) -> str:
    """The order's id; it was taken."""
    answer = embedded.exchange.create(request)
    assert isinstance(answer, Placed)
    return answer.order_id


class Watcher:
    """One line and what came over it. Books hold what was told; `gaps` counts breaks of the venue's own sequence."""

    def __init__(self, embedded: Embedded, name: SocketName) -> None:
        self.embedded = embedded
        self.line = InProcessLine(embedded, name)
        self.messages: list[dict[str, Any]] = []
        self.bids: Book = {}
        self.asks: Book = {}
        self.gaps = 0
        self.snapshots = 0
        self.sequence = -1  # US: the connection's; gateway: the book's
        self._calls = count(1)

    # --- both venues -------------------------------------------------------------------------------------

    def hear(self, seconds: int = 0, milliseconds: int = 0) -> list[dict[str, Any]]:
        """Everything that comes while so much time passes."""
        left = timedelta(seconds=seconds, milliseconds=milliseconds)
        end = self.embedded.clock.now() + left
        found: list[dict[str, Any]] = []
        while True:
            message = self.line.receive(max(timedelta(0), end - self.embedded.clock.now()))
            if message is None:
                return found
            found.append(self._kept(json.loads(message)))

    def _kept(self, message: dict[str, Any]) -> dict[str, Any]:
        self.messages.append(message)
        if "sequence_num" in message:
            self.gaps += message["sequence_num"] != self.sequence + 1
            self.sequence = max(self.sequence, message["sequence_num"])
            if message["channel"] == "l2_data":
                self._us_book(message["events"][0])
        elif message.get("method") == "subscription" and message["params"]["channel"].startswith("book."):
            self._gateway_book(message["params"]["data"])
        return message

    def truth(self, product_id: str = BTC, number: int | None = None) -> tuple[Book, Book]:
        """The judge's book, in the venue's own units."""
        connection = self.embedded.judge.connection(self.line.number)
        assert connection is not None
        found = connection.book(product_id, number)
        assert found is not None
        with self.embedded.exchange.us() as core:
            gateway = product_id in core.gateway.state.products
            state = core.gateway.state if gateway else core.state
            unit = state.products[product_id].unit_size if gateway else Decimal(1)
            price = state.markets[product_id].price_of
            bids, asks = ({price(ticks): size * unit for ticks, size in side.items()} for side in found[1])
        return bids, asks

    @property
    def judged(self) -> Any:
        """What the judge has on this connection."""
        return self.embedded.judge.connection(self.line.number)

    # --- US ----------------------------------------------------------------------------------------------

    def subscribe(self, channel: str, *ids: str, jwt: str | None = None, type_: str = "subscribe") -> None:
        body: dict[str, Any] = {"type": type_, "product_ids": list(ids), "channel": channel}
        self.line.send(json.dumps(body if jwt is None else body | {"jwt": jwt}).encode())

    def events(self, channel: str) -> Iterator[dict[str, Any]]:
        return (m["events"][0] for m in self.messages if m.get("channel") == channel)

    def errors(self) -> list[str]:
        return [m["message"] for m in self.messages if m.get("type") == "error"]

    def _us_book(self, event: dict[str, Any]) -> None:
        if event["type"] == "snapshot":
            self.snapshots += 1
            self.bids.clear()
            self.asks.clear()
        for row in event["updates"]:
            book = self.bids if row["side"] == "bid" else self.asks
            size = Decimal(row["new_quantity"])
            if size:
                book[Decimal(row["price_level"])] = size
            else:
                book.pop(Decimal(row["price_level"]), None)

    # --- gateway -----------------------------------------------------------------------------------------

    def call(self, method: str, **params: Any) -> Any:
        number = next(self._calls)
        self.line.send(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode())
        self.hear()
        return next((m.get("result", m.get("error")) for m in self.messages if m.get("id") == number), None)

    def log_in(self) -> Any:
        return self.call("public/auth", grant_type="coinbase_cdp", token=a_token(self.embedded))

    def told(self, channel: str) -> list[Any]:
        return [m["params"]["data"] for m in self.messages if "params" in m and m["params"].get("channel") == channel]

    def _gateway_book(self, data: dict[str, Any]) -> None:
        if data["type"] == "snapshot":
            self.snapshots += 1
            self.bids.clear()
            self.asks.clear()
        elif data["prev_change_id"] != self.sequence:
            self.gaps += 1
        self.sequence = data["change_id"]
        for book, rows in ((self.bids, data["bids"]), (self.asks, data["asks"])):
            for word, price, amount in rows:
                if word == "delete":
                    book.pop(Decimal(str(price)), None)
                else:
                    book[Decimal(str(price))] = Decimal(str(amount))


def a_us_watcher(embedded: Embedded, *channels: str) -> Watcher:
    """On the market host, subscribed to heartbeats and to `channels` of BTC."""
    watcher = Watcher(embedded, SocketName.US_MARKET)
    for channel in ("heartbeats", *channels):
        watcher.subscribe(channel, *(() if channel == "heartbeats" else (BTC,)))
    watcher.hear()
    return watcher


def a_gateway_watcher(embedded: Embedded, *channels: str) -> Watcher:
    """On the streams host, subscribed."""
    watcher = Watcher(embedded, SocketName.GLOBAL_STREAMS)
    watcher.call("public/subscribe", channels=list(channels))
    watcher.hear()
    return watcher
