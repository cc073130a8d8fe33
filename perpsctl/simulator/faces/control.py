"""The control face: state of the exchange from outside, for tests, drills and `sim fault`. Never limits, never secrets.

Guarded by a bearer token that stands in the 0600 state file only. JSON in, JSON out; decimals are text. A wrong
question is a 400 with a sentence and changes nothing.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec

from perpsctl.simulator.embedded import Embedded
from perpsctl.simulator.exchange import InvalidArgument, NotFound
from perpsctl.simulator.faces.control_state import SETTERS, Arguments, fault_parameters, whole
from perpsctl.simulator.faces.errors import Malformed
from perpsctl.simulator.faces.messages import PLAIN, Query, Reply, Request
from perpsctl.simulator.faces.strict_json import read_body
from perpsctl.simulator.faces.us_orders import order_request
from perpsctl.simulator.faults import UnknownFault
from perpsctl.simulator.orders import PlacementSource
from perpsctl.simulator.scenarios import SCENARIOS
from perpsctl.wire.advanced_trade.orders import CreateOrderRequest
from perpsctl.wire.guard import WireError, check

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(dict[str, Any])
Body = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What the shell around the exchange does when asked; in process nothing but a reset can be asked."""

    status: Callable[[], Body]
    new_account: Callable[[], None]  # a reset made it, its keys are not written yet
    stop: Callable[[], None]


class ControlFace:
    """Answers whoever knows the token."""

    def __init__(self, embedded: Embedded, token: str, hooks: Hooks) -> None:
        self._embedded = embedded
        self._token = token
        self._hooks = hooks
        self._calls: dict[tuple[str, str], Callable[[Request], object]] = {
            ("GET", "/status"): lambda _: self._hooks.status(),
            ("POST", "/reset"): self._reset,
            ("POST", "/stop"): self._stop,
            ("GET", "/judge"): lambda _: self._embedded.exchange.judge_view(),
            ("GET", "/judge/requests"): self._requests,
            ("GET", "/calendar"): lambda _: self._calendar(),
            ("GET", "/faults"): lambda _: {"faults": self._embedded.exchange.faults.armed()},
            ("GET", "/faults/catalogue"): lambda _: self._catalogue(),
            ("POST", "/faults"): self._arm,
            ("DELETE", "/faults"): self._disarm,
            ("GET", "/refusals"): lambda _: {
                "refusals": (*self._embedded.us.refusals, *self._embedded.global_.refusals)
            },
            ("GET", "/streams"): lambda _: {
                "connections": [each.body() for each in self._embedded.judge.connections()]
            },
            ("GET", "/streams/book"): self._stream_book,
            ("GET", "/scenarios"): lambda _: {"scenarios": {name: does for name, (does, _) in SCENARIOS.items()}},
            ("POST", "/scenario"): self._scenario,
            ("POST", "/orders"): self._inject_order,
            ("POST", "/fills"): self._inject_fill,
        }

    def handle(self, request: Request) -> Reply:
        """The answer to one control request."""
        if not self._knows_token(request.headers.get("authorization", "")):
            return Reply(status=401, body=b"Unauthorized", content_type=PLAIN)
        try:
            return Reply(status=200, body=_ENCODER.encode(self._answer(request)))
        except (Malformed, InvalidArgument, UnknownFault, WireError, ValueError) as refused:
            return _refusal(400, str(refused))
        except NotFound as refused:
            return _refusal(404, str(refused.args[0]) if refused.args else "not found")

    def _answer(self, request: Request) -> object:
        call = self._calls.get((request.method, request.path))
        if call is not None:
            return call(request)
        setter = SETTERS.get(request.path.removeprefix("/state/")) if request.path.startswith("/state/") else None
        if setter is None or request.method != "POST":
            raise NotFound(f"no such control call; state can be set for {', '.join(sorted(SETTERS))}")
        arguments = Arguments(_body(request))
        change = setter(self._embedded, arguments)
        arguments.refuse_rest()
        change()
        return {}

    def _knows_token(self, authorization: str) -> bool:
        return hmac.compare_digest(authorization.encode("utf-8"), f"Bearer {self._token}".encode())

    def _reset(self, _: Request) -> Body:
        self._embedded.reset(self._hooks.new_account)
        return self._hooks.status()

    def _stop(self, _: Request) -> Body:
        self._hooks.stop()
        return {}

    def _calendar(self) -> Body:
        control = self._embedded.exchange.control
        with self._embedded.exchange.gateway() as core:
            settles_at = core.state.settles_at
        return {
            "cash_times": control.cash_times(),
            "next_cash_event": control.next_cash_event(),
            "settlement": settles_at,
        }

    def _requests(self, request: Request) -> Body:
        """The newest write requests alone: a judge of hundreds of thousands reads each of them once."""
        after = _number(Query(request.query), "after") or 0
        return {"requests": self._embedded.exchange.judged_requests(after)}

    def _catalogue(self) -> Body:
        rows = self._embedded.exchange.faults.catalogue()
        return {"catalogue": [{"fault": fault, "name": name, "does": does} for fault, name, does in rows]}

    def _arm(self, request: Request) -> Body:
        return {"handle": self._armed(_body(request))}

    def _scenario(self, request: Request) -> Body:
        """Several faults at once, in their order: all of them are armed, or none."""
        body = _body(request)
        name = body.get("name")
        if name is not None and name not in SCENARIOS:
            raise Malformed(f"no such scenario; there are {', '.join(sorted(SCENARIOS))}")
        wanted = body.get("faults") if name is None else [dict(each) for each in SCENARIOS[name][1]]
        if not isinstance(wanted, list) or not wanted or not all(isinstance(each, dict) for each in wanted):
            raise Malformed("faults is a list of objects, each as for POST /faults")
        handles: list[int] = []
        try:
            for each in wanted:
                handles.append(self._armed(each))
        except Exception:
            for handle in handles:
                self._embedded.exchange.faults.disarm(handle)
            raise
        return {"handles": handles, "faults": [str(each.get("name")) for each in wanted]}

    def _armed(self, body: Body) -> int:
        arguments = Arguments(body)
        probability = arguments.number("probability")
        count = arguments.raw("count", 1)
        arm = partial(
            self._embedded.exchange.faults.arm,
            arguments.text("name"),
            operation=arguments.maybe_text("operation"),
            nth=arguments.whole("nth", 1),
            count=None if count is None else whole(count, "count"),
            probability=probability,
            seed=arguments.whole("seed", 0),
            for_seconds=arguments.maybe_whole("for_seconds"),
            **fault_parameters(arguments.raw("params", {})),
        )
        arguments.refuse_rest()
        return arm()

    def _stream_book(self, request: Request) -> Body:
        """The true book after a message of a connection: who missed nothing holds this one."""
        query = Query(request.query)
        connection = self._embedded.judge.connection(_number(query, "connection") or 0)
        product_id, number = query.one("product_id") or "", _number(query, "number")
        with self._embedded.exchange.us() as core:
            state = core.gateway.state if product_id in core.gateway.state.products else core.state
            found = None if connection is None else connection.book(product_id, number)
            if found is None:
                raise NotFound("no such connection, or nothing of that book is known of it")
            price = state.markets[product_id].price_of
            unit = state.products[product_id].unit_size if state is core.gateway.state else 1
            version, (bids, asks) = found
        return {
            "product_id": product_id,
            "version": version.number,
            "at": version.at,
            "bids": [[price(ticks), bids[ticks] * unit] for ticks in sorted(bids, reverse=True)],
            "asks": [[price(ticks), asks[ticks] * unit] for ticks in sorted(asks)],
        }

    def _disarm(self, request: Request) -> Body:
        query = Query(request.query)
        handle = query.one("handle")
        if handle is not None and not (handle.isascii() and handle.isdigit()):
            raise Malformed("handle is a number")
        gone = self._embedded.exchange.faults.disarm(None if handle is None else int(handle), query.one("name"))
        return {"disarmed": gone}

    def _inject_order(self, request: Request) -> object:
        body = _body(request)
        source = PlacementSource(str(body.pop("source", PlacementSource.RETAIL_SIMPLE.value)))
        order = order_request(read_body(_ENCODER.encode(body), CreateOrderRequest))
        return self._embedded.exchange.control.inject_order(replace(order, source=source))

    def _inject_fill(self, request: Request) -> Body:
        arguments = Arguments(_body(request))
        order_id, contracts = arguments.text("order_id"), arguments.decimal("contracts")
        price = arguments.number("price")
        arguments.refuse_rest()
        self._embedded.exchange.control.external_fill(order_id, contracts, price)
        return {}


def _number(query: Query, name: str) -> int | None:
    text = query.one(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Malformed(f"{name} is a number")
    return int(text)


def _body(request: Request) -> Body:
    if not request.body:
        return {}
    check(request.body)
    try:
        return _DECODER.decode(request.body)
    except (msgspec.DecodeError, UnicodeError):
        raise Malformed("the body is one JSON object") from None


def _refusal(status: int, message: str) -> Reply:
    return Reply(status=status, body=_ENCODER.encode({"error": message}))
