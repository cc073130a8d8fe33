"""How single fields of this venue are read. Numbers are exact already; here they get a meaning and bounds."""

from datetime import datetime
from decimal import Decimal

from msgspec import UnsetType

from perpsctl.domain.numbers import Notional, Price, Size
from perpsctl.wire.guard import WireError
from perpsctl.wire.reading import is_absent, not_negative, positive, required, since_epoch

Figure = Decimal | UnsetType | None
Whole = int | UnsetType | None


def figure_or_none(value: Figure) -> Decimal | None:
    """The number; None when there is none."""
    return value if isinstance(value, Decimal) else None


def figure(value: Figure, field: str) -> Decimal:
    """The number; WireError when there is none."""
    return required(value, field)


def above_zero(value: Figure, field: str) -> Decimal:
    """A number above zero."""
    return positive(required(value, field), field)


def not_below_zero(value: Figure, field: str) -> Decimal:
    """A number that is zero or more."""
    return not_negative(required(value, field), field)


def price(value: Figure, field: str) -> Price:
    """A price; WireError when there is none or it is not above zero (fault M1)."""
    return Price(above_zero(value, field))


def price_or_none(value: Figure, field: str) -> Price | None:
    """A price; None when there is none. The venue also writes 0 for none (average price of an unfilled order)."""
    if is_absent(value) or value == 0:
        return None
    return Price(not_below_zero(value, field))


def size(value: Figure, field: str) -> Size:
    """An amount of coin, zero or more."""
    return Size(not_below_zero(value, field))


def notional_or_none(value: Figure) -> Notional | None:
    """A sum in quote currency, either sign; None when there is none, zero when it says zero."""
    return Notional(value) if isinstance(value, Decimal) else None


def unix_millis(value: Whole, field: str) -> datetime:
    """Milliseconds since 1970 as UTC."""
    found = required(value, field)
    if found < 0:
        raise WireError(f"{field} is below zero")
    return since_epoch(Decimal(found), 1000, field)


def unix_millis_or_none(value: Whole, field: str) -> datetime | None:
    """The same; None when there is none."""
    return None if is_absent(value) else unix_millis(value, field)
