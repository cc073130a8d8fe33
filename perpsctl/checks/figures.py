"""Figures of checks as text: lengths of time, percentiles, amounts; nothing here judges."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from perpsctl.domain.numbers import plain

_MICROSECOND = timedelta(microseconds=1)
_CENT = Decimal("0.01")
_UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def ms(microseconds: int) -> str:
    """Microseconds as milliseconds with one decimal."""
    return f"{microseconds // 1000}.{microseconds % 1000 // 100} ms"


def ms_of(length: timedelta) -> str:
    """A length of time in whole milliseconds, signed."""
    micros = length // _MICROSECOND
    return f"{'-' if micros < 0 else ''}{abs(micros) // 1000} ms"


def percentile(sorted_values: Sequence[int], percent: int) -> int:
    """The smallest value that at least `percent` of the samples do not exceed (nearest rank); needs a sample."""
    rank = -(-len(sorted_values) * percent // 100)
    return sorted_values[max(rank, 1) - 1]


def age(length: timedelta) -> str:
    """`3 d`, `5 h`, `12 min`, `8 s`."""
    seconds = length // timedelta(seconds=1)
    if abs(seconds) >= 172_800:
        return f"{seconds // 86_400} d"
    if abs(seconds) >= 7_200:
        return f"{seconds // 3_600} h"
    if abs(seconds) >= 120:
        return f"{seconds // 60} min"
    return f"{seconds} s"


def usd(amount: Decimal) -> str:
    """An amount to the cent, thousands parted."""
    return f"{amount.quantize(_CENT):,f} USD"


def percent(share: Decimal, digits: str = "0.0001") -> str:
    """A fraction as a percentage."""
    return f"{plain((share * 100).quantize(Decimal(digits)))} %"


def size_of(count: int) -> str:
    """Bytes in the largest unit that leaves at least one of it."""
    for unit, name in _UNITS:
        if count >= unit:
            return f"{count // unit} {name}"
    return f"{count} bytes"


def plural(count: int, noun: str) -> str:
    """`1 order`, `2 orders`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
