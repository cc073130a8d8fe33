"""What the control face can set, by name, and how its arguments are read. State, never limits.

A setter reads every argument first and answers with the change; nothing changes before all were understood.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from functools import partial
from ipaddress import ip_network
from typing import Any

from perpsctl.simulator.embedded import Embedded
from perpsctl.simulator.faces.errors import Malformed
from perpsctl.simulator.faces.routes import Switches
from perpsctl.simulator.faces.spelling import instant
from perpsctl.simulator.faces.us_account import exact
from perpsctl.simulator.faults import Value
from perpsctl.simulator.identity import Role


class Arguments:
    """The fields of a control call, each read once; what is left over is a mistake."""

    def __init__(self, body: Mapping[str, Any]) -> None:
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
        return whole(self._left.pop(name, default), name)

    def maybe_whole(self, name: str) -> int | None:
        """A whole number or None."""
        value = self._left.pop(name, None)
        return None if value is None else whole(value, name)

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


def whole(value: object, name: str) -> int:
    """A whole number; Malformed for anything else."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise Malformed(f"{name} is a whole number")
    return value


def fault_parameters(given: object) -> Mapping[str, Any]:
    """The parameters of a fault: texts and whole numbers by name."""
    if not isinstance(given, dict) or not all(
        isinstance(value, str | int) and not isinstance(value, bool) for value in given.values()
    ):
        raise Malformed("params is an object of texts and whole numbers")
    parameters: dict[str, Value] = dict(given)
    return parameters


Change = Callable[[], object]
Setter = Callable[[Embedded, Arguments], Change]  # reads every argument; nothing changes before all were understood


def _position(embedded: Embedded, given: Arguments) -> Change:
    return partial(
        embedded.exchange.control.set_position,
        given.text("product_id"),
        given.decimal("contracts"),
        given.number("average_entry"),
    )


def _price(embedded: Embedded, given: Arguments) -> Change:
    return partial(
        embedded.exchange.control.set_price,
        given.text("product_id"),
        given.decimal("price"),
        hold=given.flag("hold", default=False),
    )


def _release_price(embedded: Embedded, given: Arguments) -> Change:
    return partial(embedded.exchange.control.release_price, given.text("product_id"))


def _index(embedded: Embedded, given: Arguments) -> Change:
    return partial(embedded.exchange.control.set_index, given.text("product_id"), given.number("price"))


def _book(embedded: Embedded, given: Arguments) -> Change:
    return partial(
        embedded.exchange.control.set_book, given.text("product_id"), given.levels("bids"), given.levels("asks")
    )


def _clear_book(embedded: Embedded, given: Arguments) -> Change:
    return partial(embedded.exchange.control.clear_book, given.text("product_id"))


def _balance(embedded: Embedded, given: Arguments) -> Change:
    change = embedded.exchange.control.set_balance
    wallets = {name: given.number(name) for name in ("cbi_usd", "cfm_usd", "usdc")}
    return partial(change, **wallets)


def _transfer(embedded: Embedded, given: Arguments) -> Change:
    return partial(embedded.exchange.control.move_money, given.decimal("usdc"))


def _status(embedded: Embedded, given: Arguments) -> Change:
    product_id = given.text("product_id")
    return partial(embedded.exchange.control.set_status, product_id, **given.flags())


def _maintenance(embedded: Embedded, given: Arguments) -> Change:
    return partial(
        embedded.exchange.control.set_maintenance, given.text("product_id"), given.time("start"), given.time("end")
    )


def _increments(embedded: Embedded, given: Arguments) -> Change:
    return partial(
        embedded.exchange.control.set_increments,
        given.text("product_id"),
        price_increment=given.number("price_increment"),
        base_increment=given.number("base_increment"),
        base_min_size=given.number("base_min_size"),
        contract_size=given.number("contract_size"),
    )


def _funding(embedded: Embedded, given: Arguments) -> Change:
    return partial(embedded.exchange.control.set_funding, given.text("product_id"), given.number("rate"))


def _fees(embedded: Embedded, given: Arguments) -> Change:
    return partial(embedded.exchange.control.set_fees, maker=given.decimal("maker"), taker=given.decimal("taker"))


def _dedupe(embedded: Embedded, given: Arguments) -> Change:
    return partial(embedded.exchange.control.set_dedupe, given.text("mode"))


def _cash_times(embedded: Embedded, given: Arguments) -> Change:
    return partial(embedded.exchange.control.set_cash_times, given.texts("times"))


def _session(embedded: Embedded, given: Arguments) -> Change:
    return partial(
        embedded.exchange.control.expire_session, given.text("product_id"), given.flag("closed", default=True)
    )


def _liquidate(embedded: Embedded, given: Arguments) -> Change:
    return partial(embedded.exchange.control.liquidate, given.text("product_id"))


def _locked(embedded: Embedded, given: Arguments) -> Change:
    locked, message = given.flag("locked", default=True), given.maybe_text("message")
    change = partial(embedded.exchange.control.set_locked, locked)
    return change if message is None else partial(change, message)


def _margin_model(embedded: Embedded, given: Arguments) -> Change:
    return partial(embedded.exchange.control.set_margin_model, given.text("model"))


def _settle(embedded: Embedded, _: Arguments) -> Change:
    return embedded.exchange.control.settle


def _clock(embedded: Embedded, given: Arguments) -> Change:
    """The venue's clock is so many seconds ahead of the host's until set to 0 (fault A1)."""
    seconds = given.whole("offset_s", 0)

    def shift() -> None:
        embedded.exchange.faults.disarm(name="A1")
        if seconds:
            embedded.exchange.faults.arm("A1", seconds=seconds, count=None)

    return shift


def _allowlist(embedded: Embedded, given: Arguments) -> Change:
    """The networks keys may be used from; an empty list means every one."""
    networks = given.texts("networks")
    for network in networks:
        ip_network(network)
    return partial(setattr, embedded.us.switches, "allowlist", networks)


def _switches(embedded: Embedded, given: Arguments) -> Change:
    """The open questions of the reference, one way or the other, and whether budgets bind."""
    wanted = given.flags()
    known = {each.name for each in fields(Switches)} - {"allowlist"} | {"rate_limits"}
    if wanted.keys() - known:
        raise Malformed(f"unknown switch; there are {', '.join(sorted(known))}")

    def throw() -> None:
        for name, value in wanted.items():
            if name == "rate_limits":
                embedded.us.budgets.enforced = embedded.global_.credits.enforced = value
            else:
                setattr(embedded.us.switches, name, value)

    return throw


def _key(embedded: Embedded, given: Arguments) -> Change:
    """Rights of one throw-away key: `role`, and any of can_view, can_trade, can_transfer, active, portfolio_uuid."""
    role = Role(given.text("role"))
    portfolio = given.maybe_text("portfolio_uuid")
    rights = given.flags()
    unknown = rights.keys() - {"can_view", "can_trade", "can_transfer", "active"}
    if unknown:
        raise Malformed(f"unknown right: {', '.join(sorted(unknown))}")
    return partial(embedded.keys.change, role, portfolio_uuid=portfolio, **rights)


SETTERS: dict[str, Setter] = {
    "position": _position,
    "price": _price,
    "release_price": _release_price,
    "index": _index,
    "book": _book,
    "clear_book": _clear_book,
    "balance": _balance,
    "transfer": _transfer,
    "status": _status,
    "maintenance": _maintenance,
    "increments": _increments,
    "funding": _funding,
    "fees": _fees,
    "dedupe": _dedupe,
    "cash_times": _cash_times,
    "session": _session,
    "liquidate": _liquidate,
    "locked": _locked,
    "margin_model": _margin_model,
    "settle": _settle,
    "clock": _clock,
    "allowlist": _allowlist,
    "switches": _switches,
    "key": _key,
}
