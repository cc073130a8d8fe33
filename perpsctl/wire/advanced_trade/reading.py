"""How single fields are read: text, flags, exact numbers, moments. Everything that a conversion concludes starts here.

Absent, null and "" are all "no value" (reference 3) and become None, never zero (fault E16). What is there and cannot
be read is a WireError naming the field.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Context, Decimal, localcontext
from enum import StrEnum
from typing import Any, TypeVar

from msgspec import UnsetType

from perpsctl.domain.ids import ProductId, VenueOrderId
from perpsctl.domain.numbers import Notional, Price, Size
from perpsctl.domain.sides import Side
from perpsctl.wire.advanced_trade.common import Amount, is_absent
from perpsctl.wire.guard import WireError, number

Text = str | UnsetType | None
Figure = str | Amount | UnsetType | None

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_SECOND = 253402300799  # of year 9999
_MOMENT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:([Zz])|([+-])([0-9]{2}):([0-9]{2}))",
    re.ASCII,
)
_DURATION = re.compile(r"([0-9]{1,7})s", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}", re.ASCII)
_WIDE = Context(prec=120)  # two numbers of 40 digits multiply without rounding

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")


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


def figure_or_none(value: Figure, field: str) -> Decimal | None:
    """The number, written flat or as an Amount; None when there is none."""
    if isinstance(value, Amount):
        value = value.value
    if is_absent(value):
        return None
    try:
        return number(value)
    except WireError as refused:
        raise WireError(f"{field}: {refused}") from None


def figure(value: Figure, field: str) -> Decimal:
    """The number; WireError when there is none."""
    found = figure_or_none(value, field)
    if found is None:
        raise WireError(f"{field} is missing")
    return found


def above_zero(value: Figure, field: str) -> Decimal:
    """A number above zero."""
    found = figure(value, field)
    if found <= 0:
        raise WireError(f"{field} is not above zero")
    return found


def not_below_zero(value: Figure, field: str) -> Decimal:
    """A number that is zero or more."""
    found = figure(value, field)
    if found < 0:
        raise WireError(f"{field} is below zero")
    return found


def price(value: Figure, field: str) -> Price:
    """A price; WireError when there is none or it is not above zero (fault M1)."""
    return Price(above_zero(value, field))


def price_or_none(value: Figure, field: str) -> Price | None:
    """A price; None when there is none. The venue also writes 0 for none (unfilled orders, liquidation price)."""
    found = figure_or_none(value, field)
    if found is None or found == 0:
        return None
    if found < 0:
        raise WireError(f"{field} is below zero")
    return Price(found)


def notional_or_none(value: Figure, field: str) -> Notional | None:
    """A sum in quote currency, either sign; None when there is none, zero when it says zero."""
    found = figure_or_none(value, field)
    return None if found is None else Notional(found)


def coin(units: Decimal, unit_size: Decimal) -> Size:
    """Venue units (contracts, or coin itself with a unit of 1) in coin, without rounding."""
    with localcontext(_WIDE):
        return Size(units * unit_size)


def side(value: Text, field: str = "side") -> Side:
    """BUY or SELL in any case; any other word is a WireError, for nothing can be concluded from it."""
    word = required(value, field).upper()
    if word not in ("BUY", "SELL"):
        raise WireError(f"{field} is neither BUY nor SELL: {word}")
    return Side.BUY if word == "BUY" else Side.SELL


def word(value: Text, known: Mapping[str, E], otherwise: E) -> E:
    """The venue's word in ours, `otherwise` for a word we do not know; whoever calls keeps the raw text."""
    return known.get(text(value).upper(), otherwise)


def moment(value: Text, field: str) -> datetime:
    """An RFC 3339 time with 0 to 9 fraction digits, `Z` or an offset, as UTC (fault T5).

    Digits beyond the microsecond are cut, that is rounded down, so order is kept and never reversed. The leap second
    :60 becomes the last microsecond before it.
    """
    found = _MOMENT.fullmatch(required(value, field))
    if found is None:
        raise WireError(f"{field} is not a time")
    year, month, day, hour, minute, second, fraction, zulu, sign, off_hours, off_minutes = found.groups()
    leap = second == "60"
    micro = 999_999 if leap else int((fraction or "0")[:6].ljust(6, "0"))
    try:
        offset = timedelta(0) if zulu else timedelta(hours=int(off_hours), minutes=int(off_minutes))
        zone = timezone(-offset if sign == "-" else offset)
        whole = (int(year), int(month), int(day), int(hour), int(minute), 59 if leap else int(second))
        return datetime(*whole, micro, tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise WireError(f"{field} is not a time") from None


def moment_or_none(value: Text, field: str) -> datetime | None:
    """A time; None when absent or the zero time 0001-01-01T00:00:00Z, which the venue writes for none."""
    if is_absent(value):
        return None
    found = moment(value, field)
    return None if found.year == 1 else found


def unix_seconds(value: Figure, field: str) -> datetime:
    """Unix seconds as UTC."""
    return _since_epoch(not_below_zero(value, field), 1, field)


def unix_millis(value: Figure, field: str) -> datetime:
    """Unix milliseconds as UTC."""
    return _since_epoch(not_below_zero(value, field), 1000, field)


def _since_epoch(units: Decimal, per_second: int, field: str) -> datetime:
    if units > _LAST_SECOND * per_second:
        raise WireError(f"{field} is not a time")
    return _EPOCH + timedelta(microseconds=int(units * 1_000_000 / per_second))


def rfc3339(at: datetime) -> str:
    """A time as the venue writes it: UTC, `Z`, microseconds only where there are any. `at` is timezone-aware."""
    utc = at.astimezone(UTC)
    return utc.replace(tzinfo=None).isoformat(timespec="microseconds" if utc.microsecond else "seconds") + "Z"


def interval_or_none(value: Text) -> timedelta | None:
    """A length like `3600s`; None when absent, zero, or a spelling we do not know (then nothing is computed from it)."""
    found = _DURATION.fullmatch(text(value))
    return timedelta(seconds=int(found[1])) or None if found else None


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
