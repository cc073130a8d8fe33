"""What an answer may say after one of its replies was spoiled. Reads the spoiled bytes with Python's own JSON, never with ours.

A value claims no more than the bytes do: nothing comes of an unreadable reply, no row that stands untouched is missing, no
order is accepted under other terms than were asked for, no number is endless; and no text from outside is let through raw.
"""

import dataclasses
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import cache
from typing import Any

from perpsctl.domain.errors import (
    PerpsctlError,
    RateLimited,
    VenueRefusedRequest,
    VenueRefusedUs,
    VenueSpokeStrangely,
    VenueUnreachable,
)
from perpsctl.domain.orders import Accepted, CancelResult, NotSent, Rejected, Unknown
from perpsctl.exchange.listing import ForeignOrder
from tests.hostile.corpus import WRITE_PATHS, WRITES, Call, Exchange
from tests.hostile.playback import Played

TYPED = (VenueUnreachable, RateLimited, VenueRefusedUs, VenueRefusedRequest, VenueSpokeStrangely)
TEXT_MAX = 2_000
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}", re.ASCII)
_IDS = frozenset({"venue_order_id", "product_id", "succeeds"})
_WORDS = frozenset({"reason", "message", "evidence", "contradicts"})


class Twice(ValueError):
    """A key comes twice."""


class NotPlain(ValueError):
    """NaN or an infinity."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise Twice
    return dict(pairs)


def _constant(_: str) -> Any:
    raise NotPlain


def tree_of(body: bytes, *, unique: bool = False) -> Any:
    """The body as plain values, numbers as text in a list of one; ValueError where it is no plain JSON in UTF-8."""
    text = body.decode("utf-8")
    if text.startswith("\ufeff"):
        raise ValueError("a byte order mark")
    try:
        return json.loads(
            text, parse_int=Num, parse_float=Num, parse_constant=_constant, object_pairs_hook=_pairs if unique else None
        )
    except RecursionError:
        raise ValueError("nested without end") from None


class Num(str):
    """A JSON number as it stood."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """The spoilt reply as the bytes say it; `tree` is None where they say nothing."""

    call: Call
    exchange: Exchange
    body: bytes
    status: int
    tree: Any
    readable: bool
    once: bool  # no key twice

    @property
    def write(self) -> str:
        """create, edit, or "" for a reply to anything else."""
        return WRITE_PATHS.get(self.exchange.path, "")


def reply_of(call: Call, exchange: Exchange, body: bytes, status: int) -> Reply:
    """The reply, read by ourselves."""
    try:
        tree, readable = tree_of(body), True
    except ValueError:
        tree, readable = None, False
    once = readable
    if readable:
        try:
            tree_of(body, unique=True)
        except ValueError:
            once = False
    return Reply(call, exchange, body, status, tree, readable, once)


def violations(reply: Reply, played: Played, honest: Played) -> Iterator[str]:
    """One line per rule that was broken."""
    call = reply.call
    if played.error is not None:
        yield from _error(call, played.error)
        return
    yield from _texts_and_numbers(played.value)
    if call.name in WRITES:
        yield from _write(reply, played)
    elif played.script.struck:
        yield from _read(reply, played, honest)


def _error(call: Call, error: BaseException) -> Iterator[str]:
    if call.name in WRITES:
        yield f"a write raised {type(error).__name__}"
    if not isinstance(error, TYPED):
        yield f"not one of the typed errors: {type(error).__name__}: {str(error)[:200]!r}"
        return
    for text in (error.message, error.fix, str(error), str(getattr(error, "reason", ""))):
        if not clean(text):
            yield f"an error carries text from outside raw: {text[:200]!r}"
    if error.__cause__ is not None and not isinstance(error.__cause__, PerpsctlError):
        yield f"an error drags {type(error.__cause__).__name__} along"


def clean(text: str) -> bool:
    """True when nothing of it could move a cursor, hide, or begin a line."""
    if len(text) > TEXT_MAX:
        return False
    if text.isascii():
        return text.isprintable()
    return not any(unicodedata.category(each) in _HIDDEN for each in text)


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every plain value inside, with the name of its field."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for each in dataclasses.fields(value):
            yield from leaves(getattr(value, each.name), each.name)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield name, key
            yield from leaves(item, name)
    elif isinstance(value, (tuple, list, set, frozenset)):
        for item in value:
            yield from leaves(item, name)
    else:
        yield name, value


def _texts_and_numbers(value: Any) -> Iterator[str]:
    outcome = isinstance(value, (Accepted, Rejected, NotSent, Unknown, CancelResult))
    foreign = isinstance(value, tuple) and any(isinstance(each, ForeignOrder) for each in value)  # told, never used
    for name, leaf in leaves(value):
        if isinstance(leaf, float):
            yield f"{name} is a binary float"
        elif isinstance(leaf, Decimal):
            if not leaf.is_finite() or abs(leaf.adjusted()) > 90 or len(leaf.as_tuple().digits) > 90:
                yield f"{name} is {str(leaf)[:60]}"
        elif isinstance(leaf, str) and not isinstance(leaf, Enum):
            if name in _IDS and leaf and _ID.fullmatch(leaf) is None and not foreign:
                yield f"{name} is no id: {leaf[:80]!r}"
            elif (
                (outcome or foreign or name in ("contradicts", "evidence"))
                and (foreign or name in _WORDS)
                and not clean(leaf)
            ):
                yield f"{name} carries text from outside raw: {leaf[:80]!r}"


# --- reads ------------------------------------------------------------------------------------------------------

# Replies a call can do without: what they would have told is told as "not known" then, and the rest stands.
_FUNDING = frozenset({"public/get_funding_rate_history"})
CAN_DO_WITHOUT: Mapping[str, frozenset[str]] = {
    "global.product": _FUNDING,
    "global.book": _FUNDING,
    "global.candles": _FUNDING,
    "global.trades": _FUNDING,
    "global.account": frozenset({"private/get_user_locks"}),  # each entry asks for the locks itself
}


def _read(reply: Reply, played: Played, honest: Played) -> Iterator[str]:
    call, value = reply.call, played.value
    if not reply.readable:
        if reply.exchange.path not in CAN_DO_WITHOUT.get(call.told, ()):
            yield f"an answer came of an unreadable reply: {str(value)[:200]}"
        elif call.name == "product" and value.funding.long_rate is not None:
            yield "a funding rate came of an unreadable history"
        return
    if call.name == "order":
        found = getattr(value, "venue_order_id", None)
        if value is None and reply.status == 200 and not _refuses(reply.tree):
            yield "an order is called unknown by a reply that does not say so"
        if value is not None and call.terms.order_id not in (found, value.succeeds):
            yield f"another order was answered: {found}"
    if call.name in ("product", "book") and getattr(value, "product_id", "") != call.terms.product:
        yield f"another product was answered: {getattr(value, 'product_id', None)}"
    if call.name == "position" and value is None and honest.value is not None and not _says_none(reply):
        yield "a position is called none by a reply that does not say so"
    if call.name == "search" and value.order is None and not value.contradicts and reply.exchange.path in _BY_ID:
        yield from _untouched_rows(reply, played, honest)
    if call.name == "search" and value.order is not None and value.order.client_order_id != call.terms.label:
        yield f"another order was found: {value.order.client_order_id}"
    if call.name == "cancel":
        yield from _cancelled(reply, value)
    if call.name in ("cancel_all", "cancel_every") and isinstance(value, int):
        if reply.exchange.path.startswith("private/cancel") and str(value) != str(_at(reply.tree, ("result",))):
            yield f"{value} orders were told as cancelled"
    yield from _untouched_rows(reply, played, honest)


_BY_ID = frozenset({"private/get_order_state"})


def _refuses(tree: Any) -> bool:
    return isinstance(tree, dict) and isinstance(tree.get("error"), (dict, str))


def _says_none(reply: Reply) -> bool:
    told = reply.tree.get("position") if isinstance(reply.tree, dict) else "no object"
    if isinstance(told, dict):
        return _same(told.get("number_of_contracts") or "-", Decimal(0))
    return "cfm/positions" in reply.exchange.path and told in (None, "")


def _cancelled(reply: Reply, value: Any) -> Iterator[str]:
    if reply.exchange.path.endswith("batch_cancel"):
        rows = reply.tree.get("results") if isinstance(reply.tree, dict) else None
        yes = {row.get("order_id") for row in rows or () if isinstance(row, dict) and _true(row.get("success"))}
    elif reply.exchange.path == "private/cancel":
        told = _at(reply.tree, ("result",))
        yes = {told.get("order_id")} if isinstance(told, dict) and told.get("order_state") == "cancelled" else set()
    else:
        return
    for each in value:
        if each.accepted and each.venue_order_id not in yes:
            yield f"a cancel of {each.venue_order_id} is told as accepted"


def _true(value: Any) -> bool:
    return value is True or (isinstance(value, str) and not isinstance(value, Num) and value.lower() == "true")


def _at(tree: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        if isinstance(tree, dict) and isinstance(step, str):
            tree = tree.get(step)
        elif isinstance(tree, list) and isinstance(step, int) and step < len(tree):
            tree = tree[step]
        else:
            return None
    return tree


ROW_IDS = ("venue_order_id", "fill_id", "product_id")


def row_ids(value: Any) -> set[str]:
    """What names the rows of an answer: ids of orders, fills and positions."""
    return {
        str(leaf)
        for name, leaf in leaves(value)
        if name in ROW_IDS and leaf and isinstance(leaf, str) and not isinstance(leaf, Enum)
    }


def rows_of(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Every object that is an item of a list, with the place of that list."""
    if isinstance(tree, dict):
        for name, item in tree.items():
            yield from rows_of(item, (*path, name))
    elif isinstance(tree, list):
        for number, item in enumerate(tree):
            if isinstance(item, dict):
                yield path, item
            yield from rows_of(item, (*path, number))


LISTS = frozenset(
    {"products", "positions", "live_orders", "orders_since", "foreign_orders", "fills", "by_label", "fills_of"}
)
_PRODUCT, _ORDER, _FILL = ("product_id", "instrument_name"), ("order_id",), ("entry_id", "trade_id")
_KEYS = {
    "products": _PRODUCT,
    "positions": _PRODUCT,
    "fills": _FILL,
    "fills_of": _FILL,
}


def _untouched_rows(reply: Reply, played: Played, honest: Played) -> Iterator[str]:
    """What stands untouched in its list is in the answer, and a list that is gone is not an empty one (L5)."""
    if reply.call.name not in LISTS:
        return
    before = json.loads(reply.exchange.body, parse_int=Num, parse_float=Num)
    missing = row_ids(honest.value) - row_ids(played.value)
    told = row_ids(played.value)
    for path, row in rows_of(before):
        names = {str(row[key]) for key in _KEYS.get(reply.call.name, _ORDER) if key in row} & missing
        if not names:
            continue
        now = _at(reply.tree, path)
        if not isinstance(now, list):
            yield f"the list at {'/'.join(map(str, path))} is gone, and {sorted(names)} with it"
        elif any(each == row for each in now):
            yield f"{sorted(names)} stands untouched in the reply and is missing in the answer"
    strange = told - row_ids(honest.value)
    if strange and reply.call.name != "foreign_orders":  # those are told escaped and cut, and never used
        texts = {str(leaf) for leaf in _scalars(reply.tree)} | _texts_of(reply.call)
        shown = {each for each in texts if not clean(each)}
        unknown = {
            each
            for each in strange
            if not shown and not texts.issuperset((each,)) and not texts.issuperset(each.split(":"))
        }
        if unknown:
            yield f"{sorted(unknown)} stands in no reply"


@cache
def _texts_of(call: Call) -> frozenset[str]:
    """Every text of the honest conversation."""
    return frozenset(str(leaf) for each in call.exchanges for leaf in _scalars(json.loads(each.body)))


def _scalars(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict):
        for item in tree.values():
            yield from _scalars(item)
    elif isinstance(tree, list):
        for item in tree:
            yield from _scalars(item)
    else:
        yield tree


# --- writes ------------------------------------------------------------------------------------------------------


def _write(reply: Reply, played: Played) -> Iterator[str]:
    value, script, call = played.value, played.script, reply.call
    if not isinstance(value, (Accepted, Rejected, NotSent, Unknown)):
        yield f"a write ended as {type(value).__name__}"
        return
    if script.writes > 1 + script.sessions_refused:
        yield f"a write was sent {script.writes} times"
    if isinstance(value, NotSent) and script.writes and not (reply.status == 429 or _global_error(reply)):
        yield f"told as not sent after it was sent: {value.reason}"
    if not reply.write or not script.struck:
        return
    if isinstance(value, Unknown):
        return
    if not reply.readable or not reply.once:
        yield f"{type(value).__name__} by a reply that cannot be read, or names a key twice"
        return
    if isinstance(value, Accepted):
        yield from _accepted_us(reply, value) if call.venue == "us" else _accepted_global(reply, value)
    elif isinstance(value, Rejected) and reply.status == 200:
        state = _at(reply.tree, ("result", "order", "order_state"))
        no = _at(reply.tree, ("success",))
        said = (
            no is False or str(no).lower() == "false"
            if call.venue == "us"
            else _global_error(reply) or state == "rejected"
        )
        if not said:
            yield f"rejected by a reply that does not say no: {value.reason}"


def _global_error(reply: Reply) -> bool:
    return isinstance(_at(reply.tree, ("error",)), dict) and _at(reply.tree, ("result",)) is None


def _same(told: Any, meant: Decimal | None) -> bool:
    if told in (None, ""):
        return True
    try:
        return Decimal(str(told)) == meant
    except InvalidOperation:
        return False


def _accepted_us(reply: Reply, value: Accepted) -> Iterator[str]:
    terms, tree = reply.call.terms, reply.tree
    if not _true(_at(tree, ("success",))):
        yield "accepted by a reply that does not say so"
    taken = _at(tree, ("success_response",))
    if reply.write == "edit":
        other = _at(tree, ("success_response", "order_id"))
        if value.venue_order_id != terms.order_id or other not in (None, "", terms.order_id):
            yield f"an edit of another order is accepted: {other}"
        return
    if not isinstance(taken, dict):
        yield "accepted without an order"
        return
    if str(taken.get("order_id")) != value.venue_order_id:
        yield "accepted under another order id"
    if taken.get("client_order_id") != terms.label:
        yield f"accepted under another client id: {taken.get('client_order_id')!r}"
    if taken.get("product_id") not in (None, "", terms.product):
        yield "accepted for another product"
    if taken.get("side") not in (None, "", terms.side.upper()):
        yield "accepted for another side"
    told = _at(tree, ("order_configuration",))
    if isinstance(told, dict) and reply.call.name == "submit":
        for body in told.values():
            if isinstance(body, dict):
                if not _same(body.get("base_size"), terms.contracts):
                    yield f"accepted with another size: {body.get('base_size')}"
                if not _same(body.get("limit_price"), terms.price):
                    yield f"accepted with another price: {body.get('limit_price')}"


def _accepted_global(reply: Reply, value: Accepted) -> Iterator[str]:
    terms = reply.call.terms
    if str(_at(reply.tree, ("id",))) != str(reply.exchange.id):
        yield f"accepted by the reply to another request: {_at(reply.tree, ('id',))}"
    order = _at(reply.tree, ("result", "order"))
    if not isinstance(order, dict):
        yield "accepted without an order"
        return
    asked = {"instrument_name": terms.product, "direction": terms.side, "label": terms.label}
    if reply.write == "edit":
        asked |= {"order_id": terms.order_id}
    for name, meant in asked.items():
        told = order.get(name)
        if (told.lower() if name == "direction" and isinstance(told, str) else told) != meant:
            yield f"accepted with {name} {str(order.get(name))[:60]!r} for {meant!r}"
    if not _same(order.get("amount", "missing"), terms.size):
        yield f"accepted with another size: {order.get('amount')}"
    if reply.call.name != "close_position" and reply.write == "create":
        if not _same(order.get("price", "missing"), terms.price):
            yield f"accepted with another price: {order.get('price')}"
    if value.venue_order_id != str(order.get("order_id")):
        yield "accepted under another order id"
