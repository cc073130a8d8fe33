"""Moments as the gateway writes them: whole milliseconds since 1970, UTC."""

from datetime import UTC, datetime, timedelta

__all__ = ["EPOCH", "MILLISECOND", "millis"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def millis(at: datetime) -> int:
    """The millisecond `at` lies in."""
    return (at - EPOCH) // MILLISECOND
