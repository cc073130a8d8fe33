"""Bars of time: the venue's names for them, and how many it answers at once.

Asked for more than 350 bars the venue answers the newest 350 and says nothing of the rest (design 11), so no request
asks for more than it can answer.
"""

from datetime import timedelta

from perpsctl.domain.errors import UsageError

__all__ = ["BARS_PER_REQUEST", "GRANULARITIES", "granularity_of"]

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


def granularity_of(length: timedelta) -> str:
    """The venue's word for bars of this length; UsageError names the lengths there are."""
    name = GRANULARITIES.get(length)
    if name is None:
        raise UsageError("the venue has no bars of that length", fix=f"one of {', '.join(GRANULARITIES.values())}")
    return name
