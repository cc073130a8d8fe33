"""How long something may take, and when it may take longer: while the venue answers that we ask too often.

A venue that does not answer gets no more time: whoever waits hears quickly that nothing could be proven. Deadlines are
instants of the monotonic clock: a wall clock that is stepped makes none earlier or later (T1).
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from perpsctl.domain.ports import Clock

AT_LEAST: Final = timedelta(seconds=2)  # however short the wait: each thing is asked for once
LAST_LOOK: Final = timedelta(milliseconds=250)  # kept back, so that the last look can still be asked for
NOTHING: Final = timedelta(0)
_LINE_BEGINS: Final = datetime(1970, 1, 1, tzinfo=UTC)


def steady(clock: Clock) -> datetime:
    """Now on the monotonic clock's own line: for deadlines among themselves, never for a record or a venue's time."""
    return _LINE_BEGINS + timedelta(microseconds=clock.monotonic_ns() // 1000)


class Allowance:
    """`length` from now on. While a rate limit is what the venue answers it begins again, up to `most` in all.

    It begins once more after the last such answer: only then can all be done that had to wait.
    """

    def __init__(
        self,
        clock: Clock,
        length: timedelta,
        *,
        most: timedelta | None = None,
        longer: Callable[[timedelta], None] = lambda more: None,
    ) -> None:
        """`longer` hears each time how much was added."""
        self._clock = clock
        self._length = length
        began = steady(clock)
        self._until = began + length
        self._at_least = began + AT_LEAST
        self._most = self._until if most is None else max(began + most, self._until)
        self._limited_at: datetime | None = None
        self._longer = longer

    @property
    def left(self) -> timedelta:
        return max(self._until - steady(self._clock), NOTHING)

    @property
    def asking(self) -> timedelta:
        """For how long from now requests may begin."""
        return max(self.left, self._at_least - steady(self._clock), NOTHING)

    def rate_limited(self) -> None:
        """The venue answered, and said no more than that we ask too often."""
        self._limited_at = steady(self._clock)

    def spent(self) -> bool:
        """True when there is no time for another look; prolongs itself where it may."""
        if self.left > LAST_LOOK:
            return False
        now = steady(self._clock)
        if not self._limited_lately(now) or self._length <= LAST_LOOK or self._most - now <= LAST_LOOK:
            return True
        self._until = min(now + self._length, self._most)
        self._longer(self._until - now)
        return False

    def _limited_lately(self, now: datetime) -> bool:
        return self._limited_at is not None and now - self._limited_at < 2 * self._length

    def pause(self, length: timedelta) -> None:
        """Waits, and leaves time for a last look."""
        wait = min(length, self.left - LAST_LOOK)
        if wait > NOTHING:
            self._clock.sleep(wait)
