"""The gate every sender passes: a lock senders share, and that an engaging kill switch takes alone for a moment.

Standard library only, loaded with the latch before everything else. A sender holds the lock from its last look at the latch
to its last byte; what cannot be locked or read is shut. Nothing here ever opens the gate by mistake, or writes a latch.
"""

import errno
import fcntl
import os
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

SENDERS_MAY_TAKE_MS = 1000  # design 7: engage waits this long for senders, then names them
LOCK_FILE = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
_BUSY = frozenset({errno.EWOULDBLOCK, errno.EACCES})


@dataclass(frozen=True, slots=True, kw_only=True)
class GateClosed:
    """`quiet`: every send begun before the latch has handed over its last byte. Else who is stuck, or why unknown."""

    quiet: bool
    stuck: tuple[str, ...] = ()
    trouble: str = ""


class FileGate:
    """The gate of one profile over flock; each entry has a descriptor of its own, so threads and forks do not mix.

    A refused sender looks before it locks, so that a crowd of them cannot keep an engage waiting.
    """

    __slots__ = ("_held", "_last_resort", "_latch", "_path", "_switch_road")

    def __init__(self, path: Path, latch: Path, last_resort: Path, *, switch_road: bool) -> None:
        self._path = str(path)
        self._latch = str(latch)
        self._last_resort = str(last_resort)
        self._switch_road = switch_road
        self._held: list[int] = []

    def __enter__(self) -> None:
        if not self._switch_road and os.path.lexists(self._latch):
            raise _shut("the kill switch is engaged")
        held = self._lock()
        try:
            self._look()  # the look that counts: engage cannot come between it and the last byte (R1)
        except BaseException:
            _unlock(held)
            raise
        self._held.append(held)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _unlock(self._held.pop())

    def _lock(self) -> int:
        deadline: float | None = None
        while True:
            try:
                held = os.open(self._path, LOCK_FILE, 0o600)
            except OSError as trouble:
                raise _shut(f"the gate's lock cannot be opened: {trouble.strerror}") from None
            try:
                if _try_lock(held, fcntl.LOCK_SH) and _still_there(held, self._path):
                    return held
            except OSError as trouble:  # a network file system without locks (D12)
                os.close(held)
                raise _shut(f"the gate's lock cannot be used here: {trouble.strerror}") from None
            os.close(held)
            now = time.monotonic()
            deadline = now + SENDERS_MAY_TAKE_MS / 1000 if deadline is None else deadline
            if now >= deadline:
                raise _shut("the gate stays locked: a kill switch is being engaged")
            time.sleep(0.0005)
            self._look()

    def _look(self) -> None:
        """One lstat each: whatever stands at the latch's name shuts the gate, readable or not."""
        if self._switch_road:
            return
        try:
            os.lstat(self._latch)
        except FileNotFoundError:
            pass
        except OSError as trouble:
            raise _shut(f"the kill switch cannot be read: {trouble.strerror}") from None
        else:
            raise _shut("the kill switch is engaged")
        if holds(self._last_resort):
            raise _shut("the kill switch is engaged (in memory)")


def close(path: Path, wait_ms: int) -> GateClosed:
    """Waits until nobody who passed the gate is still sending; never raises: what cannot be told is `trouble`."""
    deadline = time.monotonic() + wait_ms / 1000
    try:
        while True:
            held = os.open(path, LOCK_FILE, 0o600)
            try:
                if _try_lock(held, fcntl.LOCK_EX) and _still_there(held, path):
                    return GateClosed(quiet=True)
                if time.monotonic() >= deadline:
                    return GateClosed(quiet=False, stuck=_holders_of(held))
            finally:
                os.close(held)
            time.sleep(0.0005)
    except OSError as trouble:
        return GateClosed(quiet=False, trouble=f"the gate's lock cannot be used: {trouble}")


def _shut(reason: str) -> Exception:
    """GateShut of the ports, imported only now: the ports load the whole domain, which engaging must not wait for."""
    from perpsctl.domain.ports import GateShut

    return GateShut(reason)


def holds(path: Path | str) -> bool:
    """True when something of ours (or root's) stands there, or when that cannot be told."""
    try:
        return os.lstat(path).st_uid in (os.geteuid(), 0)
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _try_lock(held: int, kind: int) -> bool:
    try:
        fcntl.flock(held, kind | fcntl.LOCK_NB)
    except OSError as trouble:
        if trouble.errno in _BUSY:
            return False
        raise
    return True


def lock_within(held: int, kind: int, wait_ms: int) -> bool:
    """True when the open file `held` is locked; False when others kept it that long."""
    deadline = time.monotonic() + wait_ms / 1000
    while not _try_lock(held, kind):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.001)
    return True


def _unlock(held: int) -> None:
    """Unlocked by name and not only closed: a forked child may still hold a copy of the descriptor."""
    try:
        fcntl.flock(held, fcntl.LOCK_UN)
    finally:
        os.close(held)


def _still_there(held: int, path: Path | str) -> bool:
    """False when the locked file is no longer the one under this name: its lock would exclude nobody."""
    mine = os.fstat(held)
    try:
        named = os.lstat(path)
    except FileNotFoundError:
        return False
    return mine.st_ino == named.st_ino and mine.st_dev == named.st_dev


def _holders_of(held: int) -> tuple[str, ...]:
    """The processes that hold the lock, as the kernel tells them; `a sender` where it does not tell."""
    mine = os.fstat(held)
    wanted = f"{os.major(mine.st_dev):02x}:{os.minor(mine.st_dev):02x}:{mine.st_ino}"
    found: set[str] = set()
    try:
        lines = Path("/proc/locks").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return ("a sender",)
    for line in lines:
        words = line.split()
        if len(words) > 5 and words[1] == "FLOCK" and words[5] == wanted:
            found.add(_process(words[4]))
    return tuple(sorted(found)) or ("a sender",)


def _process(pid: str) -> str:
    try:
        name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return f"process {pid}"
    return f"process {pid} ({name})"
