"""The embedded exchange: where it is, its own books, its faults. What it answered is shown as data, escaped."""

from collections.abc import Mapping, Sequence
from typing import Any

from perpsctl.domain.numbers import NotANumber, exact, plain
from perpsctl.render.answer import Answer, Cell, Facts, Table, good, quiet, warn
from perpsctl.render.values import word

FINAL = frozenset({"FILLED", "CANCELLED", "EXPIRED", "FAILED"})


def status(data: Mapping[str, Any]) -> Answer:
    """Whether it runs, and where its faces are."""
    if not data["running"]:
        return Answer(data=data, blocks=[Facts(title="", rows=(("exchange", warn("not running")),))])
    options = {key: value for key, value in data["options"].items() if value is not None}
    rows: list[tuple[str, Cell]] = [
        ("exchange", good("running")),
        *(
            (f"{venue} {door.replace('_', ' ')}", word(address))
            for venue, doors in sorted(data["faces"].items(), reverse=True)
            for door, address in doors.items()
        ),
        ("CA file", word(data["ca_file"])),
        *((f"key {role}", word(path)) for role, path in sorted(data["key_files"].items())),
        ("portfolio", f"{word(data['portfolio'])} (account {data['account']})"),
        ("options", word(", ".join(f"{key}={value}" for key, value in sorted(options.items())))),
        ("pid", str(data["pid"])),
    ]
    return Answer(data=data, blocks=[Facts(title="", rows=tuple(rows))])


def judged(view: Mapping[str, Any]) -> Answer:
    """Every order and position as they truly stand."""
    orders = [
        dict(order)
        | {name: _plain(order[name]) for name in ("size", "filled_size")}
        | {"live": order["status"] not in FINAL}
        for order in view["orders"]
    ]
    table = Table(
        title="The exchange's own book",
        columns=("order", "product", "side", "contracts", "filled", "price", "status"),
        rows=tuple(
            (
                word(order["order_id"]),
                word(order["product_id"]),
                word(order["side"]).lower(),
                word(order["size"]),
                word(order["filled_size"]),
                word(order["limit_price"]),
                good(word(order["status"])) if order["live"] else quiet(word(order["status"])),
            )
            for order in orders
        ),
        right=frozenset({"contracts", "filled", "price"}),
    )
    held = {product: _plain(contracts) for product, contracts in view["positions"].items() if str(contracts) != "0"}
    positions = Table(
        title="Positions",
        columns=("product", "contracts"),
        rows=tuple((word(product), word(contracts)) for product, contracts in held.items()),
        right=frozenset({"contracts"}),
        empty="flat",
    )
    data = {
        "orders": orders,
        "positions": held,
        "requests": view["requests"],
        "portfolio": view["portfolio_uuid"],
        "account": view["account"],
        "fills": view["fills"],
        "at": view["at"],
    }
    return Answer(data=data, blocks=[table, positions], rows_key="orders")


def armed(faults: Sequence[Mapping[str, Any]]) -> Answer:
    """What is armed, and how often each fired."""
    table = Table(
        title="Armed faults",
        columns=("fault", "name", "operation", "fired", "state"),
        rows=tuple(
            (
                word(f.get("fault")),
                word(f.get("name")),
                word(f.get("operation")),
                word(str(f.get("fired"))),
                quiet("spent") if f.get("spent") is True else "armed",
            )
            for f in faults
        ),
        right=frozenset({"fired"}),
    )
    return Answer(data={"faults": list(faults)}, blocks=[table], rows_key="faults")


def catalogue(rows: Sequence[Mapping[str, Any]]) -> Answer:
    """Every fault it knows."""
    table = Table(
        title="Faults",
        columns=("id", "name", "what happens"),
        rows=tuple((word(row["fault"]), word(row["name"]), word(row["does"])) for row in rows),
    )
    return Answer(data={"catalogue": list(rows)}, blocks=[table], rows_key="catalogue")


def _plain(told: object) -> object:
    """A decimal as plain text, exponents written out; anything else as it came."""
    try:
        return plain(exact(told)) if isinstance(told, str) else told
    except NotANumber:
        return told
