"""How single fields are read: text, flags, exact numbers, moments. Everything that a conversion concludes starts here.

Absent, null and "" are all "no value" (reference 3) and become None, never zero (fault E16). What is there and cannot
be read is a WireError naming the field.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

from msgspec import UnsetType

from perpsctl.domain.numbers import Notional, Price
from perpsctl.wire.advanced_trade.common import Amount, is_absent
from perpsctl.wire.guard import WireError, number
from perpsctl.wire.reading import (
    Text,
    coin,
    each,
    fills_once,
    flag,
    in_order,
    no_two_alike,
    not_negative,
    order_id,
    positive,
    product_id,
    required,
    side,
    since_epoch,
    text,
    venue_id,
    word,
)

__all__ = [
    "Figure",
    "Text",
    "above_zero",
    "coin",
    "each",
    "figure",
    "figure_or_none",
    "fills_once",
    "flag",
    "in_order",
    "interval_or_none",
    "moment",
    "moment_or_none",
    "no_two_alike",
    "not_below_zero",
    "notional_or_none",
    "order_id",
    "price",
    "price_or_none",
    "product_id",
    "required",
    "rfc3339",
    "side",
    "text",
    "unix_millis",
    "unix_seconds",
    "venue_id",
    "word",
]

Figure = str | Amount | UnsetType | None

_MOMENT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:([Zz])|([+-])([0-9]{2}):([0-9]{2}))",
    re.ASCII,
)
_DURATION = re.compile(r"([0-9]{1,7})s", re.ASCII)


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
    return positive(figure(value, field), field)


def not_below_zero(value: Figure, field: str) -> Decimal:
    """A number that is zero or more."""
    return not_negative(figure(value, field), field)


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
    return since_epoch(not_below_zero(value, field), 1, field)


def unix_millis(value: Figure, field: str) -> datetime:
    """Unix milliseconds as UTC."""
    return since_epoch(not_below_zero(value, field), 1000, field)


def rfc3339(at: datetime) -> str:
    """A time as the venue writes it: UTC, `Z`, microseconds only where there are any. `at` is timezone-aware."""
    utc = at.astimezone(UTC)
    return utc.replace(tzinfo=None).isoformat(timespec="microseconds" if utc.microsecond else "seconds") + "Z"


def interval_or_none(value: Text) -> timedelta | None:
    """A length like `3600s`; None when absent, zero, or a spelling we do not know (then nothing is computed from it)."""
    found = _DURATION.fullmatch(text(value))
    return timedelta(seconds=int(found[1])) or None if found else None
