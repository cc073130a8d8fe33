"""Where the level of a rate budget stands: in this process, or in a file shared by every process with the same key.

The venue counts per user, not per process (coinbase-advanced-trade.md section 10, 2026-11-22). Sharing is a courtesy that
avoids refusals, never a safety: a file that cannot be used, or a lock somebody sits on, falls back to this process's own
count at once, so that no cancel ever waits for another process. That count goes on from the level last seen.
"""

import fcntl
import os
import stat
import struct
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["FileShelf", "Level", "MemoryShelf", "Shelf"]

_RECORD = struct.Struct(">qqq")
_OPEN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe in its place holds nobody up
_LOCK_TRIES = 500  # a holder keeps it for microseconds; past some milliseconds it is stuck


@dataclass(slots=True)
class Level:
    """Tokens in billionths, the monotonic moment they were counted at, and until when nothing but cancels may go."""

    tokens: int
    filled_ns: int
    blocked_until_ns: int


class Shelf(Protocol):
    """Lends the level to one user at a time; what it was changed to is kept."""

    def held(self) -> AbstractContextManager[Level]: ...


class MemoryShelf:
    """This process's own level; one thread is let at it at a time."""

    def __init__(self, level: Level) -> None:
        self._level = level
        self._lock = threading.Lock()

    @contextmanager
    def held(self) -> Iterator[Level]:
        """The level itself."""
        with self._lock:
            yield self._level


class FileShelf:
    """A level in a small file, 0600, under an exclusive lock held for microseconds. The monotonic clock is the host's."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own = MemoryShelf(Level(0, 0, 0))  # filled_ns 0: counted as full at the first use
        self._shared = True

    @contextmanager
    def held(self) -> Iterator[Level]:
        """The shared level, or our own where it cannot be shared."""
        handle = self._locked() if self._shared else None
        if handle is None:
            with self._own.held() as level:
                yield level
            return
        try:
            level = _read(handle)
            yield level
            with self._own.held() as own:
                own.tokens, own.filled_ns, own.blocked_until_ns = level.tokens, level.filled_ns, level.blocked_until_ns
            # What does not keep what is written would say "full" each time: from then on our own count goes on alone.
            self._shared = _written(handle, level)
        finally:
            os.close(handle)

    def _locked(self) -> int | None:
        try:
            handle = os.open(self._path, _OPEN, 0o600)
        except OSError:
            return None
        tries = _LOCK_TRIES if stat.S_ISREG(os.fstat(handle).st_mode) else 0
        for _ in range(tries):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.sched_yield()
            else:
                return handle
        os.close(handle)
        return None


def _read(handle: int) -> Level:
    try:
        raw = os.pread(handle, _RECORD.size, 0)
    except OSError:
        raw = b""
    return Level(*_RECORD.unpack(raw)) if len(raw) == _RECORD.size else Level(0, 0, 0)


def _written(handle: int, level: Level) -> bool:
    record = _RECORD.pack(level.tokens, level.filled_ns, level.blocked_until_ns)
    try:
        return os.pwrite(handle, record, 0) == len(record)
    except OSError:  # a full disk costs courtesy, not an order
        return False
