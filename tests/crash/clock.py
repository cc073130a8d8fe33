"""Time that two processes share: how far the exchange's clock and a command's are ahead of the host's, in a mapped file.

A minute that a proof of absence takes passes for both sides at once, by whoever sleeps it; no clock ever jumps between two
of them unless a test steps one side's on purpose.
"""

import mmap
import os
import struct
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

MICROSECOND = timedelta(microseconds=1)
_SLOTS = struct.Struct("<q")
_BOTH, _OURS = 0, 8


class SharedClock:
    """The host's clock and what was added to it: `both` for everybody, `ours` for the wall clock of commands alone."""

    def __init__(self, path: Path) -> None:
        """`path` is made, with nothing added, where it was not there."""
        held = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(held).st_size < 16:
                os.ftruncate(held, 16)
            self._memory = mmap.mmap(held, 16)
        finally:
            os.close(held)

    def pass_by(self, length: timedelta) -> None:
        """So much time passed for everybody."""
        self._add(_BOTH, length)

    def step(self, length: timedelta) -> None:
        """The wall clock of the commands alone is stepped, back where it is negative."""
        self._add(_OURS, length)

    def venue_now(self) -> datetime:
        """The exchange's wall clock."""
        return datetime.now(UTC) + self._at(_BOTH)

    def our_now(self) -> datetime:
        """A command's wall clock."""
        return datetime.now(UTC) + self._at(_BOTH) + self._at(_OURS)

    def monotonic_ns(self) -> int:
        """A command's count, which no step of a wall clock moves."""
        return time.monotonic_ns() + self._at(_BOTH) // MICROSECOND * 1000

    def _at(self, slot: int) -> timedelta:
        (found,) = _SLOTS.unpack_from(self._memory, slot)
        return int(found) * MICROSECOND

    def _add(self, slot: int, length: timedelta) -> None:
        _SLOTS.pack_into(self._memory, slot, (self._at(slot) + length) // MICROSECOND)
