"""The control face: state of the exchange from outside, for tests, drills and `sim fault`. Never limits, never secrets.

Guarded by a bearer token that stands in the 0600 state file only. JSON in, JSON out; decimals are text. A wrong
question is a 400 with a sentence and changes nothing.
"""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from ipaddress import ip_network
from typing import Any

import msgspec

from perpsctl.simulator.embedded import Embedded
from perpsctl.simulator.exchange import InvalidArgument, NotFound
from perpsctl.simulator.faces.errors import Malformed
from perpsctl.simulator.faces.messages import PLAIN, Query, Reply, Request
from perpsctl.simulator.faces.routes import Switches
from perpsctl.simulator.faces.spelling import instant
from perpsctl.simulator.faces.strict_json import read_body
from perpsctl.simulator.faces.us_account import exact
from perpsctl.simulator.faces.us_orders import order_request
from perpsctl.simulator.faults import UnknownFault, Value
from perpsctl.simulator.identity import Role
from perpsctl.simulator.orders import PlacementSource
from perpsctl.wire.advanced_trade.orders import CreateOrderRequest
from perpsctl.wire.guard import WireError, check

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(dict[str, Any])
Body = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What the shell around the exchange does when asked; in process nothing but a reset can be asked."""

    status: Callable[[], Body]
    after_reset: Callable[[], None]
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
            ("GET", "/calendar"): lambda _: self._calendar(),
            ("GET", "/faults"): lambda _: {"faults": self._embedded.exchange.faults.armed()},
            ("GET", "/faults/catalogue"): lambda _: self._catalogue(),
            ("POST", "/faults"): self._arm,
            ("DELETE", "/faults"): self._disarm,
            ("GET", "/refusals"): lambda _: {"refusals": tuple(self._embedded.us.refusals)},
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
        setter(self._embedded, arguments)
        arguments.refuse_rest()
        return {}

    def _knows_token(self, authorization: str) -> bool:
        return hmac.compare_digest(authorization.encode("utf-8"), f"Bearer {self._token}".encode())

    def _reset(self, _: Request) -> Body:
        self._embedded.reset()
        self._hooks.after_reset()
        return self._hooks.status()

    def _stop(self, _: Request) -> Body:
        self._hooks.stop()
        return {}

    def _calendar(self) -> Body:
        control = self._embedded.exchange.control
        return {"cash_times": control.cash_times(), "next_cash_event": control.next_cash_event()}

    def _catalogue(self) -> Body:
        rows = self._embedded.exchange.faults.catalogue()
        return {"catalogue": [{"fault": fault, "name": name, "does": does} for fault, name, does in rows]}

    def _arm(self, request: Request) -> Body:
        arguments = Arguments(_body(request))
        probability = arguments.number("probability")
        count = arguments.raw("count", 1)
        handle = self._embedded.exchange.faults.arm(
            arguments.text("name"),
            operation=arguments.maybe_text("operation"),
            nth=arguments.whole("nth", 1),
            count=None if count is None else _whole(count, "count"),
            probability=probability,
            seed=arguments.whole("seed", 0),
            for_seconds=arguments.maybe_whole("for_seconds"),
            **_fault_parameters(arguments.raw("params", {})),
        )
        arguments.refuse_rest()
        return {"handle": handle}

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
        self._embedded.exchange.control.external_fill(
            arguments.text("order_id"), arguments.decimal("contracts"), arguments.number("price")
        )
        arguments.refuse_rest()
        return {}


class Arguments:
    """The fields of a control call, each read once; what is left over is a mistake."""

    def __init__(self, body: Body) -> None:
        self._left = dict(body)

    def raw(self, name: str, default: object) -> object:
        """A field as it came."""
        return self._left.pop(name, default)

    def text(self, name: str) -> str:
        """A text that must be there."""
        value = self.maybe_text(name)
        if value is None:
            raise Malformed(f"{name} is required")
        return value

    def maybe_text(self, name: str) -> str | None:
        """A text or None."""
        value = self._left.pop(name, None)
        if value is not None and not isinstance(value, str):
            raise Malformed(f"{name} is a text")
        return value

    def number(self, name: str) -> Decimal | None:
        """A decimal as text, or a whole number; None when absent."""
        value = self._left.pop(name, None)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise Malformed(f"{name} is a number, as text")
        return exact(str(value), name)

    def decimal(self, name: str) -> Decimal:
        """A number that must be there."""
        value = self.number(name)
        if value is None:
            raise Malformed(f"{name} is required")
        return value

    def whole(self, name: str, default: int) -> int:
        """A whole number."""
        return _whole(self._left.pop(name, default), name)

    def maybe_whole(self, name: str) -> int | None:
        """A whole number or None."""
        value = self._left.pop(name, None)
        return None if value is None else _whole(value, name)

    def flag(self, name: str, default: bool) -> bool:
        """A boolean."""
        value = self._left.pop(name, default)
        if not isinstance(value, bool):
            raise Malformed(f"{name} is true or false")
        return value

    def flags(self) -> dict[str, bool]:
        """Every field left, all booleans."""
        return {name: self.flag(name, default=False) for name in tuple(self._left)}

    def time(self, name: str) -> datetime:
        """An instant in RFC 3339."""
        return instant(self.text(name))

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        value = self._left.pop(name, [])
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise Malformed(f"{name} is a list of texts")
        return tuple(value)

    def levels(self, name: str) -> tuple[tuple[Decimal, Decimal], ...]:
        """A list of [price, size]."""
        value = self._left.pop(name, [])
        if not isinstance(value, list) or not all(isinstance(row, list) and len(row) == 2 for row in value):
            raise Malformed(f"{name} is a list of [price, size]")
        return tuple((exact(str(price), name), exact(str(size), name)) for price, size in value)

    def refuse_rest(self) -> None:
        """Nothing may be left."""
        if self._left:
            raise Malformed(f"unknown: {', '.join(sorted(self._left))}")


def _whole(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Malformed(f"{name} is a whole number")
    return value


def _fault_parameters(given: object) -> Mapping[str, Any]:
    if not isinstance(given, dict) or not all(
        isinstance(value, str | int) and not isinstance(value, bool) for value in given.values()
    ):
        raise Malformed("params is an object of texts and whole numbers")
    parameters: dict[str, Value] = dict(given)
    return parameters


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


# --- what can be set ----------------------------------------------------------------------------------

Setter = Callable[[Embedded, Arguments], None]


def _position(embedded: Embedded, given: Arguments) -> None:
    embedded.exchange.control.set_position(
        given.text("product_id"), given.decimal("contracts"), given.number("average_entry")
    )


def _price(embedded: Embedded, given: Arguments) -> None:
    embedded.exchange.control.set_price(
        given.text("product_id"), given.decimal("price"), hold=given.flag("hold", default=False)
    )


def _release_price(embedded: Embedded, given: Arguments) -> None:
    embedded.exchange.control.release_price(given.text("product_id"))


def _index(embedded: Embedded, given: Arguments) -> None:
    embedded.exchange.control.set_index(given.text("product_id"), given.number("price"))


def _book(embedded: Embedded, given: Arguments) -> None:
    embedded.exchange.control.set_book(given.text("product_id"), given.levels("bids"), given.levels("asks"))


def _clear_book(embedded: Embedded, given: Arguments) -> None:
    embedded.exchange.control.clear_book(given.text("product_id"))


def _balance(embedded: Embedded, given: Arguments) -> None:
    embedded.exchange.control.set_balance(cbi_usd=given.number("cbi_usd"), cfm_usd=given.number("cfm_usd"))


def _status(embedded: Embedded, given: Arguments) -> None:
    product_id = given.text("product_id")
    embedded.exchange.control.set_status(product_id, **given.flags())


def _maintenance(embedded: Embedded, given: Arguments) -> None:
    embedded.exchange.control.set_maintenance(given.text("product_id"), given.time("start"), given.time("end"))


def _increments(embedded: Embedded, given: Arguments) -> None:
    embedded.exchange.control.set_increments(
        given.text("product_id"),
        price_increment=given.number("price_increment"),
        base_increment=given.number("base_increment"),
        base_min_size=given.number("base_min_size"),
        contract_size=given.number("contract_size"),
    )


def _funding(embedded: Embedded, given: Arguments) -> None:
    embedded.exchange.control.set_funding(given.text("product_id"), given.number("rate"))


def _fees(embedded: Embedded, given: Arguments) -> None:
    embedded.exchange.control.set_fees(maker=given.decimal("maker"), taker=given.decimal("taker"))


def _dedupe(embedded: Embedded, given: Arguments) -> None:
    embedded.exchange.control.set_dedupe(given.text("mode"))


def _cash_times(embedded: Embedded, given: Arguments) -> None:
    embedded.exchange.control.set_cash_times(given.texts("times"))


def _session(embedded: Embedded, given: Arguments) -> None:
    embedded.exchange.control.expire_session(given.text("product_id"), given.flag("closed", default=True))


def _liquidate(embedded: Embedded, given: Arguments) -> None:
    embedded.exchange.control.liquidate(given.text("product_id"))


def _clock(embedded: Embedded, given: Arguments) -> None:
    """The venue's clock is so many seconds ahead of the host's until set to 0 (fault A1)."""
    seconds = given.whole("offset_s", 0)
    embedded.exchange.faults.disarm(name="A1")
    if seconds:
        embedded.exchange.faults.arm("A1", seconds=seconds, count=None)


def _allowlist(embedded: Embedded, given: Arguments) -> None:
    """The networks keys may be used from; an empty list means every one."""
    networks = given.texts("networks")
    for network in networks:
        ip_network(network)
    embedded.us.switches.allowlist = networks


def _switches(embedded: Embedded, given: Arguments) -> None:
    """The open questions of the reference, one way or the other, and whether budgets bind."""
    known = {each.name for each in fields(Switches)} - {"allowlist"} | {"rate_limits"}
    for name, value in given.flags().items():
        if name not in known:
            raise Malformed(f"unknown switch {name}; there are {', '.join(sorted(known))}")
        if name == "rate_limits":
            embedded.us.budgets.enforced = value
        else:
            setattr(embedded.us.switches, name, value)


def _key(embedded: Embedded, given: Arguments) -> None:
    """Rights of one throw-away key: `role`, and any of can_view, can_trade, can_transfer, active, portfolio_uuid."""
    role = Role(given.text("role"))
    portfolio = given.maybe_text("portfolio_uuid")
    rights = given.flags()
    unknown = rights.keys() - {"can_view", "can_trade", "can_transfer", "active"}
    if unknown:
        raise Malformed(f"unknown right: {', '.join(sorted(unknown))}")
    embedded.keys.change(role, portfolio_uuid=portfolio, **rights)


SETTERS: dict[str, Setter] = {
    "position": _position,
    "price": _price,
    "release_price": _release_price,
    "index": _index,
    "book": _book,
    "clear_book": _clear_book,
    "balance": _balance,
    "status": _status,
    "maintenance": _maintenance,
    "increments": _increments,
    "funding": _funding,
    "fees": _fees,
    "dedupe": _dedupe,
    "cash_times": _cash_times,
    "session": _session,
    "liquidate": _liquidate,
    "clock": _clock,
    "allowlist": _allowlist,
    "switches": _switches,
    "key": _key,
}
