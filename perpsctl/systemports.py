"""The real Clock and Ids: the only module in which wall clock, monotonic count, sleep and randomness are read.

Everything else is handed its time and its chance through the ports of `domain`, so that tests and the simulator can
replace them. Standard library only; nothing here may know of a venue, a key or a journal.
"""

import secrets
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # every command starts here, and most of what the ports name is not needed to start
    from perpsctl.domain.ids import Ids
    from perpsctl.domain.ports import Clock

__all__ = ["SystemClock", "SystemIds"]

_MICROSECOND = timedelta(microseconds=1)


class SystemClock:
    """This machine's clocks. The monotonic count does not run while the machine is suspended; the wall clock does."""

    def now(self) -> datetime:
        """Wall time, aware, UTC."""
        return datetime.now(UTC)

    def monotonic_ns(self) -> int:
        """Nanoseconds since an unknown start; never goes back."""
        return time.monotonic_ns()

    def sleep(self, duration: timedelta) -> None:
        """Returns after `duration`, at once when it is zero or negative."""
        microseconds = duration // _MICROSECOND
        if microseconds > 0:
            time.sleep(microseconds / 1_000_000)


class SystemIds:
    """Names and chance from the operating system's generator; safe after a fork, never seeded."""

    def new(self) -> str:
        """A random UUID of 36 characters."""
        return str(uuid.uuid4())

    def nonce(self) -> str:
        """64 random hex digits."""
        return secrets.token_hex(32)

    def jitter(self) -> int:
        """A random whole number from 0 to 999,999."""
        return secrets.randbelow(1_000_000)


def _is_clock(clock: SystemClock) -> "Clock":
    return clock


def _is_ids(ids: SystemIds) -> "Ids":
    return ids
