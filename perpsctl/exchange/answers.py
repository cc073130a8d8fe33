"""What both venues' roads ask of an answer before it is believed: its kind, its clock, whether it can be read.

Nothing here knows of a venue, and nothing decides what an answer means.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from perpsctl.domain.errors import PerpsctlError, VenueSpokeStrangely
from perpsctl.exchange.pacing import http_date
from perpsctl.exchange.transport import Answered
from perpsctl.wire.guard import WireError

__all__ = ["apart_hint", "clock_hint", "is_json", "skew_hint", "strangeness"]

SKEW_NAMED = timedelta(seconds=30)  # fault T4: from here on the clock is named as the likely cause
_SECOND = timedelta(seconds=1)


def is_json(answer: Answered) -> bool:
    """True unless the answer says to be something else (N22, N23)."""
    kind = answer.header("content-type").partition(";")[0].strip().lower()
    return kind in ("", "application/json")


def clock_hint(answer: Answered) -> str:
    """How far our clock is from the venue's `Date` header, said when it is 30 s or more; "" otherwise (A1, T4)."""
    return skew_hint(answer.header("date"), answer.arrived)


def skew_hint(date: str, arrived: datetime) -> str:
    """The same of a `Date` header as it stood, "" without one, and the moment it came."""
    return apart_hint(http_date(date), arrived)


def apart_hint(theirs: datetime | None, arrived: datetime) -> str:
    """The same of any moment the venue named as its own."""
    if theirs is None or abs(arrived - theirs) < SKEW_NAMED:
        return ""
    ahead = arrived > theirs
    seconds = abs(arrived - theirs) // _SECOND
    return f"our clock is {seconds} s {'ahead of' if ahead else 'behind'} the venue's; tokens are refused"


@contextmanager
def strangeness(what: str) -> Iterator[None]:
    """What cannot be read as what was asked for becomes VenueSpokeStrangely."""
    try:
        yield
    except WireError as refused:
        problem: PerpsctlError = VenueSpokeStrangely(f"{what}: {refused}")
    else:
        return
    raise problem
