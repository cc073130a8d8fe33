"""The venue's clock as we know it, and until when a write may start there.

Every write carries `valid_until`: after that moment the engine never starts it, so a listing read later is conclusive
(reference section 9, 2026-11-22). It is counted from the venue's own clock, measured at most 60 s ago and carried on by
our monotonic count, so that a step of our wall clock moves nothing.
"""

from datetime import datetime, timedelta

from perpsctl.domain.accounts import ServerTime
from perpsctl.domain.ports import Clock
from perpsctl.exchange.answers import strangeness
from perpsctl.exchange.endings import Got
from perpsctl.exchange.global_derivatives.link import Link
from perpsctl.exchange.global_derivatives.moments import EPOCH, MILLISECOND, millis
from perpsctl.exchange.pacing import Priority
from perpsctl.wire.global_derivatives import params
from perpsctl.wire.guard import WireError

__all__ = ["MEASURED_AT_MOST", "WRITE_TTL", "VenueClock"]

WRITE_TTL = timedelta(seconds=5)
MEASURED_AT_MOST = timedelta(seconds=60)
_MICROSECOND = timedelta(microseconds=1)
_YEAR_2000_MS = 946_684_800_000
_YEAR_2100_MS = 4_102_444_800_000


class VenueClock:
    """Measured by asking; never guessed."""

    def __init__(self, link: Link, clock: Clock) -> None:
        self._link = link
        self._clock = clock
        self._theirs: datetime | None = None  # at `_at_ns` of our monotonic count
        self._at_ns = 0

    def measured(self, priority: Priority = Priority.READ) -> ServerTime:
        """Asks now: their clock against ours at the middle of the flight; half the round trip and half a step are doubt."""
        got = self._link.read("public/get_time", params.NoParams(), int, priority=priority)
        theirs = _moment(got)
        answer = got.answer
        half_trip = timedelta(microseconds=(answer.arrived_ns - answer.sent_ns) // 2000)
        ours = answer.arrived - half_trip
        self._theirs = theirs + MILLISECOND / 2
        self._at_ns = answer.sent_ns + (answer.arrived_ns - answer.sent_ns) // 2
        return ServerTime(
            venue_time=theirs,
            skew=self._theirs - ours,
            uncertainty=half_trip + MILLISECOND / 2,
            as_of=ours,
        )

    def ensure_fresh(self) -> None:
        """Measured at most 60 s ago afterwards; raises as a read does when it cannot be."""
        age_ns = self._clock.monotonic_ns() - self._at_ns
        if self._theirs is None or age_ns > MEASURED_AT_MOST // _MICROSECOND * 1000:
            self.measured(Priority.WRITE)

    def valid_until_ms(self) -> int:
        """The venue's clock now and 5 s, in its milliseconds. `ensure_fresh` comes first."""
        assert self._theirs is not None
        elapsed = timedelta(microseconds=(self._clock.monotonic_ns() - self._at_ns) // 1000)
        return millis(self._theirs + elapsed + WRITE_TTL)


def _moment(got: Got[int]) -> datetime:
    with strangeness("the venue's clock"):
        if not _YEAR_2000_MS <= got.body <= _YEAR_2100_MS:
            raise WireError("no moment of this century")
    return EPOCH + got.body * MILLISECOND
