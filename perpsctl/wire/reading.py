"""How single fields of any venue are read: text, flags, ids, words, moments.

Absent, null and "" are all "no value" and become None, never zero (fault E16). What is there and cannot be read is a
WireError naming the field.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, localcontext
from enum import StrEnum
from itertools import pairwise
from typing import Any, TypeVar

from msgspec import UNSET, UnsetType

from perpsctl.domain.ids import FillId, ProductId, VenueOrderId
from perpsctl.domain.market import Level
from perpsctl.domain.numbers import Size
from perpsctl.domain.orders import Fill
from perpsctl.domain.sides import Side
from perpsctl.domain.text import shown
from perpsctl.wire.guard import WireError

Text = str | UnsetType | None

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_SECOND = 253402300799  # of year 9999
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}", re.ASCII)
_WIDE = Context(prec=120)  # two numbers of 40 digits multiply without rounding

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")


def is_absent(value: object) -> bool:
    """True when the venue sent nothing, null, or the empty text that stands for "no value" (fault E16)."""
    return value is UNSET or value is None or value == ""


def required(value: T | UnsetType | None, field: str) -> T:
    """The value; WireError when it is absent. An empty list is a value, an empty text is not."""
    if is_absent(value):
        raise WireError(f"{field} is missing")
    return value  # type: ignore[return-value]  # is_absent ruled out UnsetType and None


def text(value: Text) -> str:
    """The text, "" when absent."""
    return value if isinstance(value, str) else ""


def flag(value: bool | UnsetType | None, field: str) -> bool:
    """The flag; WireError when absent: no answer is not "no"."""
    return required(value, field)


def venue_id(value: Text, field: str) -> str:
    """An id that may stand in a path or a query: letters, digits and `_.:-`, at most 128 (fault H11)."""
    found = required(value, field)
    if _ID.fullmatch(found) is None:
        raise WireError(f"{field} is not an id")
    return found


def product_id(value: Text, field: str = "product_id") -> ProductId:
    """A product's id, safe in a path."""
    return ProductId(venue_id(value, field))


def order_id(value: Text, field: str = "order_id") -> VenueOrderId:
    """An order's id, safe in a path."""
    return VenueOrderId(venue_id(value, field))


def coin(units: Decimal, unit_size: Decimal) -> Size:
    """Venue units (contracts, or coin itself with a unit of 1) in coin, without rounding."""
    with localcontext(_WIDE):
        return Size(units * unit_size)


def positive(found: Decimal, field: str) -> Decimal:
    """The number, which is above zero."""
    if found <= 0:
        raise WireError(f"{field} is not above zero")
    return found


def not_negative(found: Decimal, field: str) -> Decimal:
    """The number, which is zero or more."""
    if found < 0:
        raise WireError(f"{field} is below zero")
    return found


def in_order(bids: Sequence[Level], asks: Sequence[Level]) -> None:
    """Raises WireError unless both sides of a book run from the best price on, each price once.

    A crossed or one-sided book passes: `BookView.sound` says so, and nobody takes a price from it (W9).
    """
    if any(better.price <= worse.price for better, worse in pairwise(bids)):
        raise WireError("bids are not in falling order")
    if any(better.price >= worse.price for better, worse in pairwise(asks)):
        raise WireError("asks are not in rising order")


def fills_once(told: Iterable[Fill]) -> tuple[Fill, ...]:
    """Each fill once, oldest first: pages and windows overlap. One told in two ways is a WireError."""
    found: dict[FillId, Fill] = {}
    for fill in told:
        if found.setdefault(fill.fill_id, fill) != fill:
            raise WireError(f"fill {shown(fill.fill_id, 80)} is told twice, in two ways")
    return tuple(sorted(found.values(), key=lambda fill: (fill.time, fill.fill_id)))


def side(value: Text, field: str = "side") -> Side:
    """BUY or SELL in any case; any other word is a WireError, for nothing can be concluded from it."""
    word = required(value, field).upper()
    if word not in ("BUY", "SELL"):
        raise WireError(f"{field} is neither BUY nor SELL: {word}")
    return Side.BUY if word == "BUY" else Side.SELL


def word(value: Text, known: Mapping[str, E], otherwise: E) -> E:
    """The venue's word in ours, `otherwise` for a word we do not know; whoever calls keeps the raw text."""
    return known.get(text(value).upper(), otherwise)


def no_two_alike(names: Iterable[str], what: str) -> None:
    """Raises WireError when a name comes twice: a list with two answers for one thing is no answer (fault H12)."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise WireError(f"{what} is listed twice: {name}")
        seen.add(name)


def each(rows: tuple[Any, ...] | UnsetType | None, field: str, convert: Callable[[Any], T]) -> tuple[T, ...]:
    """Every row converted. A reply without the list is a WireError: it does not say that there are none (L5)."""
    return tuple(convert(row) for row in required(rows, field))


def since_epoch(units: Decimal, per_second: int, field: str) -> datetime:
    """So many parts of a second after 1970 as UTC; WireError beyond the year 9999."""
    if units > _LAST_SECOND * per_second:
        raise WireError(f"{field} is not a time")
    return _EPOCH + timedelta(microseconds=int(units * 1_000_000 / per_second))
