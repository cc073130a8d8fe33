"""Where the simulator's time comes from. All its timestamps are host UTC; only the price path is ever accelerated.

Whole-clock acceleration (days in seconds) exists in process only, by advancing a `ManualClock`.
"""

import threading
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """The one source of time of the exchange."""

    def now(self) -> datetime:
        """The present instant, timezone-aware UTC."""
        ...


class SystemClock:
    """The host's clock."""

    def now(self) -> datetime:
        """The host's UTC time."""
        return datetime.now(UTC)


class ManualClock:
    """A clock that stands still until a test moves it. Safe to read from several threads."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("a clock starts at a timezone-aware instant")
        self._now = start.astimezone(UTC)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The instant it was last moved to."""
        with self._lock:
            return self._now

    def advance(self, seconds: int = 0, *, milliseconds: int = 0) -> datetime:
        """Moves forward; going back is refused with ValueError."""
        step = timedelta(seconds=seconds, milliseconds=milliseconds)
        if step < timedelta(0):
            raise ValueError("a clock only moves forward; use `set` to step it")
        with self._lock:
            self._now += step
            return self._now

    def set(self, instant: datetime) -> None:
        """Steps to any instant, also backwards: what a host's clock can do to us (invariant J8)."""
        with self._lock:
            self._now = instant.astimezone(UTC)
