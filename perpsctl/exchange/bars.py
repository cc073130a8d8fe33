"""Long ranges of bars cut into requests a venue answers whole. Pure."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from perpsctl.domain.errors import UsageError

__all__ = ["windows"]

REQUESTS_MAX = 400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


def windows(start: datetime, end: datetime, granularity: timedelta, *, bars: int) -> Iterator[tuple[int, int]]:
    """Unix seconds (first, last) of the requests that together cover [start, end), `bars` each; UsageError when too many."""
    if start >= end:
        raise UsageError("the range of bars is empty or runs backwards")
    span = granularity * bars
    if (end - start) // span >= REQUESTS_MAX:
        raise UsageError("too many bars at once", fix="ask for a shorter range or longer bars")
    at = start
    while at < end:
        until = min(at + span, end)
        yield (at - _EPOCH) // _SECOND, -((_EPOCH - until) // _SECOND)
        at = until
