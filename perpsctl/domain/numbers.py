"""Exact numbers: how text becomes a Decimal and a Decimal becomes text.

No binary float may enter or leave this room; a number that is not plain ASCII is refused before `Decimal` sees it.
"""

import re
from decimal import Context, Decimal, InvalidOperation
from typing import NewType

Price = NewType("Price", Decimal)  # quote currency per unit of base
Size = NewType("Size", Decimal)  # units of base (coin), never negative: direction lives in Side
Notional = NewType("Notional", Decimal)  # quote currency
Share = NewType("Share", Decimal)  # a fraction of one: 0.01 is one per cent

ZERO = Decimal(0)
NO_SIZE = Size(ZERO)

# 40 digits against a step of 40 places, with room: the default of 28 digits would round, and a rounded size may be larger.
WIDE = Context(prec=160)
_BPS = Decimal(10_000)
_TEN_PLACES = Decimal("0.0000000001")

MAX_NUMBER_LENGTH = 48
MAX_DIGITS = 40
MAX_EXPONENT = 40
NUMBER = re.compile(r"-?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)


class NotANumber(ValueError):
    """The text is not a plain, finite, ASCII decimal number of at most 40 digits."""


def exact(text: str) -> Decimal:
    """Read a number without losing a digit. A float already lost some, so only text comes in.

    Raises TypeError for anything but text and NotANumber for NaN, infinities, underscores, foreign digits, surrounding
    blanks, more than 40 digits or an exponent beyond 40 (fault H1, H2 of the catalogue).
    """
    if not isinstance(text, str):  # what an untyped JSON body can still smuggle past the type checker
        raise TypeError(f"a {type(text).__name__} is not text; decode numbers as text")
    if len(text) > MAX_NUMBER_LENGTH or NUMBER.fullmatch(text) is None:
        raise NotANumber("not a plain number")
    value = Decimal(text)
    if len(text) <= MAX_DIGITS and "e" not in text and "E" not in text:  # cannot have too many digits, or an exponent
        return value if value else abs(value)
    if len(value.as_tuple().digits) > MAX_DIGITS or abs(value.adjusted()) > MAX_EXPONENT:
        raise NotANumber("too many digits")
    return value if value else abs(value)  # a negative zero is zero


def exact_or_none(text: str) -> Decimal | None:
    """Read a number where the venue writes `""` for "no value" (Advanced Trade reference, section 3)."""
    return None if text == "" else exact(text)


def plain(value: Decimal) -> str:
    """Write a finite Decimal as plain digits: no exponent, no trailing zeros, no negative zero."""
    if not value.is_finite():
        raise NotANumber("not a finite number")
    if value == 0:
        return "0"
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def price(text: str) -> Price:
    """Read a price; it is finite and above zero, else NotANumber."""
    value = exact(text)
    if value <= 0:
        raise NotANumber("a price is above zero")
    return Price(value)


def size(text: str) -> Size:
    """Read a size in coin; it is finite and not negative, else NotANumber."""
    value = exact(text)
    if value < 0:
        raise NotANumber("a size is never negative")
    return Size(value)


def notional_of(price_: Price, size_: Size) -> Notional:
    """The quote value of `size_` at `price_`."""
    return Notional(price_ * size_)


def multiple_of(value: Decimal, step: Decimal) -> bool:
    """True when `value` is a whole number of `step`s; exact for every number `exact` admits."""
    return WIDE.remainder(value, step) == 0


def step_down(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` that is not above `value`; exact for every number `exact` admits."""
    return WIDE.subtract(value, _beyond(value, step))


def step_up(value: Decimal, step: Decimal) -> Decimal:
    """The smallest multiple of `step` that is not below `value`; exact for every number `exact` admits."""
    beyond = _beyond(value, step)
    return value if beyond == 0 else WIDE.add(WIDE.subtract(value, beyond), step)


def _beyond(value: Decimal, step: Decimal) -> Decimal:
    """How far `value` is above the multiple of `step` below it: never negative, less than a step."""
    rest = WIDE.remainder(value, step)
    return rest if rest >= 0 else WIDE.add(rest, step)


def bps_between(value: Decimal, reference: Decimal) -> Decimal:
    """How far `value` stands from `reference`, in basis points of the reference, signed, to 10 places.

    `reference` must be above zero.
    """
    if reference <= 0:
        raise InvalidOperation("a reference is above zero")
    return WIDE.quantize(
        WIDE.divide(WIDE.multiply(WIDE.subtract(value, reference), _BPS), reference), _TEN_PLACES
    )  # fmt: skip
