"""Bars of time: the venue's names for them, and long ranges cut into requests it answers whole.

Asked for more than 350 bars the venue answers the newest 350 and says nothing of the rest (design 11), so no request
asks for more than it can answer.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from perpsctl.domain.errors import UsageError

__all__ = ["GRANULARITIES", "granularity_of", "windows"]

GRANULARITIES = {
    timedelta(minutes=1): "ONE_MINUTE",
    timedelta(minutes=5): "FIVE_MINUTE",
    timedelta(minutes=15): "FIFTEEN_MINUTE",
    timedelta(minutes=30): "THIRTY_MINUTE",
    timedelta(hours=1): "ONE_HOUR",
    timedelta(hours=2): "TWO_HOUR",
    timedelta(hours=4): "FOUR_HOUR",
    timedelta(hours=6): "SIX_HOUR",
    timedelta(days=1): "ONE_DAY",
}
BARS_PER_REQUEST = 349  # both ends may be included, and 350 is the cap (reference section 4.6)
REQUESTS_MAX = 400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


def granularity_of(length: timedelta) -> str:
    """The venue's word for bars of this length; UsageError names the lengths there are."""
    name = GRANULARITIES.get(length)
    if name is None:
        raise UsageError("the venue has no bars of that length", fix=f"one of {', '.join(GRANULARITIES.values())}")
    return name


def windows(start: datetime, end: datetime, granularity: timedelta) -> Iterator[tuple[int, int]]:
    """Unix seconds (first, last) of the requests that together cover [start, end); UsageError when too many."""
    if start >= end:
        raise UsageError("the range of bars is empty or runs backwards")
    span = granularity * BARS_PER_REQUEST
    if (end - start) // span >= REQUESTS_MAX:
        raise UsageError("too many bars at once", fix="ask for a shorter range or longer bars")
    at = start
    while at < end:
        until = min(at + span, end)
        yield (at - _EPOCH) // _SECOND, -((_EPOCH - until) // _SECOND)
        at = until
