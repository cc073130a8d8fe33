"""A canned gateway: answers by method, under the id it was asked with; and orders as this venue has them."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from io import BytesIO
from typing import Any

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from perpsctl.domain.ids import ClientOrderId
from perpsctl.domain.orders import ApprovedEdit, ApprovedOrder
from perpsctl.domain.products import PriceStep, Product
from perpsctl.domain.quantize import quantize
from perpsctl.exchange.credentials import Credentials
from perpsctl.exchange.global_derivatives import GlobalDerivativesVenue
from tests.builders import a_product, an_edit, an_edit_intent, an_intent
from tests.unit.exchange.parts import NOW, CountingIds, FakeClock, credentials, sim_endpoint

BTC = "BTC_USDC-PERPETUAL"
LABEL = "intent-00000001"
NOW_MS = 1795348800000  # NOW in milliseconds
TOKEN = "bearer-token-of-a-test"

Params = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request as the adapter saw it; numbers are Decimals."""

    method: str
    params: Params
    id: int
    token: str
    target: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Raw:
    """An answer that is not made up of result or error."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Refusal:
    code: int
    message: str = "refused"
    data: dict[str, Any] | None = None
    status: int = 400
    headers: dict[str, str] = field(default_factory=dict)


Answer = Any  # a result, a Refusal, Raw bytes or an exception
Handler = Callable[[Call], Answer]


class Gateway(BaseAdapter):
    """Answers from functions by method; login and clock are there unless replaced."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock
        self.calls: list[Call] = []
        self.ids: Callable[[Call], Any] = lambda call: call.id
        self._handlers: dict[str, Handler] = {}
        self.logins = 0
        self.on("public/auth", self._login)
        self.on("public/get_time", lambda call: NOW_MS + (self.clock.now() - NOW) // _MS)
        self.on("private/get_user_locks", [[{"currency": "USDC", "locked": False}]])

    def on(self, method: str, answer: Answer) -> None:
        """A list is played in order, its last element for ever; a function is asked each time."""
        if isinstance(answer, list):
            answers = list(answer)
            self._handlers[method] = lambda call: answers.pop(0) if len(answers) > 1 else answers[0]
        elif callable(answer):
            self._handlers[method] = answer
        else:
            self._handlers[method] = lambda call: answer

    def to(self, method: str) -> list[Call]:
        return [call for call in self.calls if call.method == method]

    def methods(self) -> list[str]:
        return [call.method for call in self.calls]

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        assert request.method == "POST"
        assert isinstance(request.body, bytes)
        told = json.loads(request.body, parse_float=Decimal)
        call = Call(
            method=told["method"],
            params=told["params"],
            id=told["id"],
            token=str(request.headers.get("Authorization", "")).removeprefix("Bearer "),
            target=str(request.url),
            text=request.body.decode(),
        )
        self.calls.append(call)
        handler = self._handlers.get(call.method)
        if handler is None:
            raise AssertionError(f"nobody expected {call.method}")
        answer = handler(call)
        if isinstance(answer, BaseException):
            raise answer
        status, headers, body = self._written(answer, call)
        response = requests.Response()
        response.status_code = status
        response.headers = CaseInsensitiveDict(headers)
        response.raw = BytesIO(body)
        response.request = request
        return response

    def close(self) -> None:
        pass

    def _written(self, answer: Answer, call: Call) -> tuple[int, dict[str, str], bytes]:
        plain = {"content-type": "application/json"}
        if isinstance(answer, Raw):
            return answer.status, {"content-type": answer.content_type} | answer.headers, answer.body
        head = {"jsonrpc": "2.0", "id": self.ids(call)}
        if isinstance(answer, Refusal):
            told: dict[str, Any] = {"code": answer.code, "message": answer.message}
            if answer.data is not None:
                told["data"] = answer.data
            return answer.status, plain | answer.headers, json.dumps(head | {"error": told}).encode()
        return 200, plain, json.dumps(head | {"result": answer}).encode()

    def _login(self, call: Call) -> Answer:
        self.logins += 1
        return {
            "access_token": f"{TOKEN}-{self.logins}",
            "expires_in": 900,
            "scope": "rat#view rat#trade",
            "token_type": "bearer",
        }


_MS = timedelta(milliseconds=1)


def a_gateway(
    clock: FakeClock | None = None, *, key: Credentials | None = None, keyless: bool = False, **more: Any
) -> tuple[GlobalDerivativesVenue, Gateway]:
    clock = clock or FakeClock()
    gateway = Gateway(clock)
    venue = GlobalDerivativesVenue(
        sim_endpoint(), None if keyless else (key or credentials()), clock, CountingIds(), adapter=gateway, **more
    )
    return venue, gateway


def btc(**changes: Any) -> Product:
    """The perpetual in domain values."""
    return a_product(
        **{
            "product_id": BTC,
            "contract_size": "0.0001",
            "price_steps": (
                PriceStep(above=Decimal(0), step=Decimal("0.1")),
                PriceStep(above=Decimal(100000), step=Decimal(1)),
            ),
            "max_contracts": None,
        }
        | changes
    )


def approved(product: Product | None = None, **changes: Any) -> ApprovedOrder:
    told = {"id": LABEL, "product_id": BTC, "size": "0.02", "limit_price": "59900.5"} | changes
    if told.get("limit_price") is None:
        del told["limit_price"]
    intent = an_intent(**told)
    return ApprovedOrder(
        order=quantize(intent, product or btc()), client_order_id=ClientOrderId(intent.id), judged_at=NOW
    )


def approved_edit(**changes: Any) -> ApprovedEdit:
    intent = an_edit_intent(target=LABEL, venue_order_id="USDC-1")
    told: dict[str, Any] = {"intent": intent, "product": btc(), "new_size": "0.03", "new_price": "59800"} | changes
    return ApprovedEdit(edit=an_edit(**told), judged_at=NOW)


def order_body(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "order_id": "USDC-1",
        "instrument_name": BTC,
        "direction": "buy",
        "order_type": "limit",
        "order_state": "open",
        "time_in_force": "good_til_cancelled",
        "price": 59900.5,
        "amount": 0.02,
        "filled_amount": 0,
        "average_price": 0,
        "label": LABEL,
        "post_only": False,
        "reject_post_only": False,
        "reduce_only": False,
        "creation_timestamp": NOW_MS,
        "last_update_timestamp": NOW_MS,
        "api": True,
        "is_liquidation": False,
    }
    return {name: value for name, value in (body | changes).items() if value is not ...}


def taken(**changes: Any) -> dict[str, Any]:
    return {"order": order_body(**changes), "trades": []}


def instrument_body(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "instrument_name": BTC,
        "kind": "future",
        "instrument_type": "linear",
        "settlement_period": "perpetual",
        "settlement_currency": "USDC",
        "quote_currency": "USDC",
        "base_currency": "BTC",
        "price_index": "btc_usdc",
        "state": "open",
        "is_active": True,
        "tick_size": 0.1,
        "tick_size_steps": [],
        "contract_size": 0.0001,
        "min_trade_amount": 0.0001,
        "max_leverage": 50,
        "maker_commission": 1.5e-4,
        "taker_commission": 3.5e-4,
    }
    return body | changes


def ticker_body(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "instrument_name": BTC,
        "state": "open",
        "best_bid_price": 59999.9,
        "best_bid_amount": 1,
        "best_ask_price": 60000.1,
        "best_ask_amount": 1,
        "last_price": 60000,
        "mark_price": 60000.5,
        "index_price": 60001,
        "min_price": 59100,
        "max_price": 60900,
        "current_funding": 0,
        "funding_8h": 0.0001,
    }
    return body | changes


def trade_body(trade: str = "1", **changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "trade_id": trade,
        "order_id": "USDC-1",
        "instrument_name": BTC,
        "direction": "buy",
        "price": 59900.5,
        "amount": 0.01,
        "fee": 0.2,
        "fee_currency": "USDC",
        "liquidity": "M",
        "label": LABEL,
        "timestamp": NOW_MS,
    }
    return body | changes


def summary_body(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "currency": "USDC",
        "equity": 1000,
        "balance": 990,
        "session_upl": 10,
        "session_rpl": -1,
        "session_funding": -0.5,
        "margin_balance": 1000,
        "available_funds": 900,
        "initial_margin": 100,
        "maintenance_margin": 50,
        "margin_model": "cross_sm",
        "limits": {
            "matching_engine": {
                "trading": {"total": {"rate": 7, "burst": 30}},
                "cancel_all": {"rate": 6, "burst": 12},
            },
            "non_matching_engine": {"rate": 1000, "burst": 1500},
        },
    }
    return {name: value for name, value in (body | changes).items() if value is not ...}


def at(milliseconds: int) -> datetime:
    return NOW + milliseconds * _MS
