"""How a streamed book's texts become whole numbers and whole numbers become Decimals again, without losing a digit.

A price off the product's grid, a price that is none, a negative or too fine size: each is refused by name, never rounded.
What was read once is remembered, so that a level told again costs a look-up; the memory is bounded.
"""

from decimal import Decimal
from enum import StrEnum
from math import gcd
from typing import Final

from perpsctl.domain.numbers import WIDE, Notional, Price, Size, multiple_of
from perpsctl.domain.products import PriceStep, Product
from perpsctl.wire.guard import WireError, number

__all__ = ["BookFault", "BookRefused", "Grid", "Token"]

# A number as it stood in the message: text (US), or the bytes of a JSON number (Global).
Token = str | bytes

MEMO_MAX: Final = 4_096
_SPARE_PLACES: Final = 8  # sizes finer than the size step are kept exactly down to here
_SHIFT_MAX: Final = 60
_TENS: Final[tuple[int, ...]] = tuple(10**power for power in range(_SHIFT_MAX + 1))
_PLAIN_LENGTH: Final = 32


class BookFault(StrEnum):
    """Why a streamed book was thrown away; only a new snapshot mends it."""

    GAP = "gap"  # messages are missing (W1, W2)
    LOST = "lost"  # its connection is over
    UNREADABLE = "unreadable"  # a field is missing or a word is unknown
    BAD_PRICE = "bad_price"  # not a number, or not above zero
    OFF_GRID = "off_grid"  # not a multiple of the product's price step: our product may be outdated
    BAD_SIZE = "bad_size"  # not a number, below zero, or finer than can be kept
    TOO_MANY_LEVELS = "too_many_levels"
    OLDER_SNAPSHOT = "older_snapshot"  # dated before what it was to replace (W9)
    DISAGREES = "disagrees"  # a read of the venue says otherwise


class BookRefused(ValueError):
    """A row no exact book can hold; the message holds nothing from outside."""

    def __init__(self, fault: BookFault, detail: str) -> None:
        super().__init__(detail)
        self.fault = fault
        self.detail = detail


class Grid:
    """Prices as ticks and sizes as units of one product.

    A tick divides every price step of the product. A unit is a power of ten of what the wire counts in, `coin_per_wire`
    coin each (contracts on the US venue, coin on the other).
    """

    __slots__ = ("_coin_per_unit", "_prices", "_sizes", "_tick", "_value", "ask_keys", "bid_keys", "units")

    def __init__(self, product: Product, coin_per_wire: Decimal) -> None:
        self._tick = _common_step(product.price_steps)
        wire_step = WIDE.divide(product.size_step, coin_per_wire).normalize(WIDE)
        places = max(_places(wire_step), _SPARE_PLACES)
        self._coin_per_unit = WIDE.scaleb(coin_per_wire, -places)
        self._value = WIDE.multiply(self._tick, self._coin_per_unit)
        self._prices: dict[int, Price] = {}
        self._sizes: dict[int, Size] = {}
        self.ask_keys = _Keys(product, self._tick, 1)
        self.bid_keys = _Keys(product, self._tick, -1)
        self.units = _Units(places)

    def price(self, key: int) -> Price:
        """The price of a key of either side."""
        found = self._prices.get(key)
        if found is None:
            if len(self._prices) >= MEMO_MAX:
                self._prices.clear()
            found = self._prices[key] = Price(WIDE.multiply(Decimal(abs(key)), self._tick))
        return found

    def size(self, units: int) -> Size:
        """Units as coin."""
        found = self._sizes.get(units)
        if found is None:
            if len(self._sizes) >= MEMO_MAX:
                self._sizes.clear()
            found = self._sizes[units] = Size(WIDE.multiply(Decimal(units), self._coin_per_unit))
        return found

    def notional(self, value: int) -> Notional:
        """A sum of units x key as quote currency."""
        return Notional(WIDE.multiply(Decimal(abs(value)), self._value))

    def whole_units(self, size: Size) -> int | None:
        """Coin as units; None when it is no whole number of them."""
        if not multiple_of(size, self._coin_per_unit):
            return None
        return int(WIDE.divide_int(size, self._coin_per_unit))


class _Memo(dict[object, int]):
    """Read once, remembered; emptied when full, so that no stream of ever new numbers can fill the memory.

    What is nothing but a few ASCII digits, with a point between or none, is read at once; `careful` has the last word on
    everything that is not as plain, and says the same of what is.
    """

    def __init__(self, *, places: int, step: int, sign: int, least: int) -> None:
        super().__init__()
        self._places = places  # scaled by so many, numbers are whole
        self._step = step  # and multiples of this, 0 where only `careful` can tell
        self._sign = sign
        self._least = least

    def __missing__(self, token: object) -> int:
        found = None
        if isinstance(token, str | bytes) and len(token) <= _PLAIN_LENGTH and token.isascii() and self._step:
            text = token if isinstance(token, str) else token.decode()
            whole, point, parts = text.partition(".")
            digits, spare = whole + parts, self._places - len(parts)
            if digits.isdigit() and whole and (parts or not point) and spare >= 0:
                scaled = int(digits) * _TENS[spare]
                if scaled >= self._least and not scaled % self._step:
                    found = self._sign * (scaled // self._step)
        if found is None:
            found = self.careful(token)
        if len(self) >= MEMO_MAX:
            self.clear()
        self[token] = found
        return found

    def careful(self, token: object) -> int:
        """The number as the book keeps it, read exactly; BookRefused for what it cannot keep."""
        raise NotImplementedError


class _Keys(_Memo):
    """Prices to keys: ticks times `sign`."""

    def __init__(self, product: Product, tick: Decimal, sign: int) -> None:
        places = max(_places(tick), _SPARE_PLACES)
        one_step = len(product.price_steps) == 1
        super().__init__(places=places, step=int(WIDE.scaleb(tick, places)) if one_step else 0, sign=sign, least=1)
        self._product = product
        self._tick = tick

    def careful(self, token: object) -> int:
        price = _number(token, BookFault.BAD_PRICE, "a price")
        if price <= 0:
            raise BookRefused(BookFault.BAD_PRICE, "a price is not above zero")
        if not multiple_of(price, self._product.price_step(price)):
            raise BookRefused(BookFault.OFF_GRID, f"a price is off the grid of {self._product.price_step(price)}")
        return self._sign * int(WIDE.divide_int(price, self._tick))


class _Units(_Memo):
    """Sizes to units: 10 ** `places` of them to one of the wire's."""

    def __init__(self, places: int) -> None:
        super().__init__(places=places, step=1, sign=1, least=0)

    def careful(self, token: object) -> int:
        size = _number(token, BookFault.BAD_SIZE, "a size")
        if size < 0:
            raise BookRefused(BookFault.BAD_SIZE, "a size is below zero")
        units = WIDE.scaleb(size, self._places)
        if units != units.to_integral_value():
            raise BookRefused(BookFault.BAD_SIZE, f"a size has more than {self._places} places")
        return int(units)


def _number(token: object, fault: BookFault, what: str) -> Decimal:
    """The number a token spells, quoted or not (fault H3)."""
    try:
        return number(token.decode("ascii").strip('"') if isinstance(token, bytes) else token)
    except (WireError, UnicodeDecodeError):
        raise BookRefused(fault, f"{what} is missing or not a plain number") from None


def _common_step(steps: tuple[PriceStep, ...]) -> Decimal:
    """The largest step of which every step of the product is a multiple."""
    places = max(_places(rung.step) for rung in steps)
    whole = gcd(*(int(WIDE.scaleb(rung.step, places)) for rung in steps))
    return WIDE.scaleb(Decimal(whole), -places)


def _places(step: Decimal) -> int:
    """Digits behind the point that are needed to write `step`."""
    exponent = step.normalize(WIDE).as_tuple().exponent
    return min(max(-int(exponent), 0), _SHIFT_MAX)
