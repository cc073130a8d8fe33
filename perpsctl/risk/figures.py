"""Observed numbers and bounds as text for a denial; rounding never makes a broken bound look kept."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

from perpsctl.domain.numbers import plain
from perpsctl.domain.verdicts import Denial, DenialCode

_DIGITS = Decimal("0.00000001")
_WIDE = Context(prec=300)  # a hostile price has up to 40 digits and as many places; showing it must not fail (fault M1)
_MICROSECOND = timedelta(microseconds=1)
UNKNOWN = "unknown"


def over(value: Decimal) -> str:
    """A value that is too large, rounded up to eight places."""
    return plain(value.quantize(_DIGITS, rounding=ROUND_CEILING, context=_WIDE))


def under(value: Decimal) -> str:
    """A value that is too small, rounded down to eight places."""
    return plain(value.quantize(_DIGITS, rounding=ROUND_FLOOR, context=_WIDE))


def share(part: Decimal, whole: Decimal) -> str:
    """`part` of `whole`, rounded up; a whole of nothing has no share."""
    return over(part / whole) if whole > 0 else f"{over(part)} of {over(whole)}"


def seconds(duration: timedelta) -> str:
    """A duration in seconds, exactly."""
    return plain(Decimal(duration // _MICROSECOND) / 1_000_000)


def milliseconds(duration: timedelta) -> str:
    """A duration in milliseconds, exactly."""
    return plain(Decimal(duration // _MICROSECOND) / 1_000)


def moment(at: datetime) -> str:
    """A moment in UTC, to the second."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def names(texts: Iterable[str]) -> str:
    """Names in one order."""
    return ", ".join(sorted(texts))


def denial(code: DenialCode, observed: str, limit: str, detail: str = "") -> Denial:
    """One reason."""
    return Denial(code=code, observed=observed, limit=limit, detail=detail)
