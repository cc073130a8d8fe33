"""The kill switch's latch file, and the door to the gate every sender passes; found from the profile's name alone.

Standard library, `gate`, `places` and the error tree only: `killswitch engage` has its latch durable on disk before anything that
speaks HTTP, signs, reads settings or opens a database is imported (a test holds it). Whatever cannot be read counts as
engaged, an engagement that did not become durable says so, and nothing here ever opens the gate by mistake.

    <state>/<profile>/killswitch.latch     there (whatever it holds): engaged. Gone: released
    <state>/<profile>/killswitch.history   one line for each release: who, why, and what was released
    <state>/<profile>/gate.lock            flock: senders shared, engage exclusive for a moment
    /dev/shm/perpsctl-....latch            the last resort when the folder takes no file; it does not survive a restart
"""

import errno
import fcntl
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import count
from pathlib import Path
from zlib import crc32

from perpsctl.domain.errors import ConfigError, ExitCode, PerpsctlError
from perpsctl.gate import LOCK_FILE, SENDERS_MAY_TAKE_MS, FileGate, GateClosed, close, holds, lock_within
from perpsctl.places import known_profiles, private_folder, profile_folder

__all__ = [
    "CHANGE_LOCK",
    "GATE_FILE",
    "HISTORY_FILE",
    "LARGEST_LATCH",
    "LATCH_FILE",
    "LATER_KEPT",
    "SENDERS_MAY_TAKE_MS",
    "Engaged",
    "FileGate",
    "GateClosed",
    "Latch",
    "LatchFacts",
    "LatchState",
    "LatchTrouble",
    "engage_every",
    "last_resort",
]

LATCH_FILE = "killswitch.latch"
HISTORY_FILE = "killswitch.history"
CHANGE_LOCK = "killswitch.lock"
GATE_FILE = "gate.lock"
LARGEST_LATCH = 65_536
LATER_KEPT = 20

_NEW_FILE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_serial = count()


class LatchTrouble(PerpsctlError):
    """The kill switch could not be released, and stays engaged."""

    code = "latch"
    exit_code = ExitCode.JOURNAL
    default_fix = "the kill switch stays engaged; look at the profile's state folder, then release again"


class LatchState(StrEnum):
    """What the file says. Everything but RELEASED shuts the gate."""

    ENGAGED = "engaged"
    RELEASED = "released"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class LatchFacts:
    """The latch as it stands: first reason, how often it was engaged, and what is wrong with it."""

    state: LatchState
    reason: str = ""
    by: str = ""
    since: datetime | None = None
    times: int = 0
    trouble: str = ""

    @property
    def engaged(self) -> bool:
        """True unless the latch is provably not there."""
        return self.state is not LatchState.RELEASED

    @property
    def told(self) -> str:
        """`engaged`, `released` or `unreadable: why`."""
        return f"{self.state}: {self.trouble}" if self.state is LatchState.UNREADABLE else self.state.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Engaged:
    """What engaging achieved: `in_force` for senders of this host, `durable` through a crash; `problems` say the rest."""

    profile: str
    in_force: bool
    durable: bool
    first: bool  # this call made it; else it was engaged before
    facts: LatchFacts
    problems: tuple[str, ...]


class Latch:
    """The latch and the gate of one profile."""

    def __init__(self, profile: str, folder: Path) -> None:
        self.profile = profile
        self.folder = folder
        self._latch = folder / LATCH_FILE
        self._last_resort = last_resort(profile, folder)

    @classmethod
    def of(cls, profile: str, environ: Mapping[str, str] = os.environ) -> "Latch":
        """The latch of a profile; ConfigError when that is no profile's name."""
        return cls(profile, profile_folder(profile, environ))

    def state(self) -> LatchFacts:
        """The latch as it stands; never raises: what cannot be read is UNREADABLE, which counts as engaged."""
        found = _read_latch(self._latch)
        if found.state is LatchState.RELEASED and holds(self._last_resort):
            return _read_latch(self._last_resort)
        return found

    def engage(self, *, reason: str, by: str, at: datetime) -> Engaged:
        """Senders of this host are refused from now on. Never raises; repeating it keeps the first reason.

        Tried in turn: a complete file, put in place atomically and synced; an empty one, which needs no space; a file
        in memory. `problems` says what failed on the way, `durable` whether a power cut would lose it.
        """
        problems: list[str] = []
        durable, first = False, True
        try:
            made = not self.folder.exists()
            private_folder(self.folder)
            with self._change_lock(wait_ms=100, needed=False):
                durable, first = self._engage_in_folder(reason, by, at, problems)
            if made:
                _sync_upwards(self.folder)
        except (OSError, ConfigError) as trouble:
            problems.append(f"the state folder takes no latch: {trouble}")
        if not os.path.lexists(self._latch):
            durable = False
            self._engage_in_memory(reason, by, at, problems)
        facts = self.state()
        return Engaged(
            profile=self.profile,
            in_force=facts.engaged,
            durable=durable,
            first=first,
            facts=facts,
            problems=tuple(problems),
        )

    def release(self, *, reason: str, by: str, at: datetime, even_unreadable: bool = False) -> LatchFacts:
        """The latch is gone and a line of its release is kept, both durably; answers what was released.

        LatchTrouble when that cannot be done, or when the latch is unreadable and `even_unreadable` was not said: the
        switch then stays engaged. Orders in doubt are the caller's to look at first (R4).
        """
        if not reason.strip() or not by.strip():
            raise LatchTrouble("a release needs a reason and a name")
        try:
            with self._change_lock(wait_ms=SENDERS_MAY_TAKE_MS, needed=True):
                seen = self.state()
                if seen.state is LatchState.RELEASED:
                    return seen
                if seen.state is LatchState.UNREADABLE and not even_unreadable:
                    raise LatchTrouble(f"the latch cannot be read ({seen.trouble})")
                self._keep_release(seen, reason, by, at)
                self._latch.unlink(missing_ok=True)
                if holds(self._last_resort):
                    self._last_resort.unlink()
                _sync_folder(self.folder)
        except OSError as trouble:
            raise LatchTrouble(f"the latch could not be removed: {trouble}") from None
        if self.state().engaged:
            raise LatchTrouble("the kill switch was engaged again meanwhile")
        return seen

    def gate(self, *, switch_road: bool = False) -> FileGate:
        """The gate for one send; `switch_road` is the switch's own way out and passes although engaged."""
        return FileGate(self.folder / GATE_FILE, self._latch, self._last_resort, switch_road=switch_road)

    def close_gate(self, wait_ms: int = SENDERS_MAY_TAKE_MS) -> GateClosed:
        """Waits until no sender that passed the gate before the latch is still sending; call it after `engage`."""
        return close(self.folder / GATE_FILE, wait_ms)

    def _engage_in_folder(self, reason: str, by: str, at: datetime, problems: list[str]) -> tuple[bool, bool]:
        """(durable, first): a complete latch, else an empty one; an existing one is kept and synced again."""
        try:
            _create(self._latch, _record(reason, by, at, times=1))
        except FileExistsError:
            return self._engage_again(reason, by, at, problems), False
        except OSError as trouble:
            problems.append(f"the latch's reason could not be written: {trouble}")
            if os.path.lexists(self._latch):  # it got its name; only the folder's sync failed
                return False, True
            return self._engage_bare(_record(reason, by, at, times=1), problems), True
        return True, True

    def _engage_bare(self, content: bytes, problems: list[str]) -> bool:
        """A file without its content is engaged as well: a full disk still takes the name."""
        try:
            held = os.open(self._latch, _NEW_FILE, 0o600)
            try:
                with suppress(OSError):
                    _write_all(held, content)
                os.fsync(held)
            finally:
                os.close(held)
            _sync_folder(self.folder)
        except OSError as trouble:
            problems.append(f"not even an empty latch could be made durable: {trouble}")
            return False
        return True

    def _engage_again(self, reason: str, by: str, at: datetime, problems: list[str]) -> bool:
        durable = self._sync_existing(problems)
        earlier = _read_latch(self._latch)
        if earlier.state is LatchState.UNREADABLE:
            problems.append(f"the latch that was there cannot be read: {earlier.trouble}; it counts as engaged")
        elif earlier.state is LatchState.ENGAGED:
            try:
                _replace(self._latch, _with_later(_raw(self._latch), reason, by, at))
            except (OSError, ValueError) as trouble:
                problems.append(f"this reason could not be added to the latch: {trouble}")
        return durable

    def _sync_existing(self, problems: list[str]) -> bool:
        try:
            held = os.open(self._latch, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                os.fsync(held)
            finally:
                os.close(held)
            _sync_folder(self.folder)
        except OSError as trouble:
            problems.append(f"the latch is there and could not be synced: {trouble}")
            return False
        return True

    def _engage_in_memory(self, reason: str, by: str, at: datetime, problems: list[str]) -> None:
        try:
            _create(self._last_resort, _record(reason, by, at, times=1))
        except FileExistsError:
            if not _is_ours(self._last_resort):
                problems.append(f"{self._last_resort} belongs to somebody else: the switch is NOT engaged")
                return
        except OSError as trouble:
            if not _is_ours(self._last_resort):
                problems.append(f"no latch could be made anywhere: {trouble}: the switch is NOT engaged")
                return
        problems.append(f"the latch is in memory only ({self._last_resort}) and is lost when the host restarts")

    def _keep_release(self, seen: LatchFacts, reason: str, by: str, at: datetime) -> None:
        line = {
            "released_at": at.isoformat(),
            "released_by": by,
            "release_reason": reason,
            "engaged_at": seen.since.isoformat() if seen.since is not None else None,
            "engaged_by": seen.by,
            "engage_reason": seen.reason,
            "times": seen.times,
            "trouble": seen.trouble,
        }
        held = os.open(
            self.folder / HISTORY_FILE,
            os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW,
            0o600,
        )
        try:
            _write_all(held, json.dumps(line).encode() + b"\n")
            os.fsync(held)
        finally:
            os.close(held)

    @contextmanager
    def _change_lock(self, *, wait_ms: int, needed: bool) -> Iterator[None]:
        """Engage and release of one profile take turns; an engage goes on without its turn when it is `needed` not."""
        held = -1
        try:
            try:
                held = os.open(self.folder / CHANGE_LOCK, LOCK_FILE, 0o600)
                locked = lock_within(held, fcntl.LOCK_EX, wait_ms)
            except OSError:
                if needed:
                    raise
                locked = False
            if needed and not locked:
                raise OSError(errno.EWOULDBLOCK, "another engage or release is at it")
            yield
        finally:
            if held >= 0:
                os.close(held)


def engage_every(
    *, reason: str, by: str, at: datetime, environ: Mapping[str, str] = os.environ, besides: tuple[str, ...] = ()
) -> tuple[Engaged, ...]:
    """Every profile with state under PERPSCTL_HOME, and those named `besides`, is engaged; one answer for each.

    OSError when the folder of profiles cannot be listed: the caller then cannot claim to have reached all of them, and
    those named `besides` are engaged all the same before it is raised.
    """
    names: set[str] = set(besides)
    trouble: OSError | None = None
    try:
        names.update(known_profiles(environ))
    except OSError as unreadable:
        trouble = unreadable
    answers = tuple(Latch.of(name, environ).engage(reason=reason, by=by, at=at) for name in sorted(names))
    if trouble is not None:
        raise trouble
    return answers


def last_resort(profile: str, folder: Path) -> Path:
    """Where a latch goes when the folder takes no file. A collision of names could only shut a gate, never open one."""
    memory = Path("/dev/shm") if os.path.isdir("/dev/shm") else Path("/tmp")  # noqa: S108 - owner checked, O_EXCL
    return memory / f"perpsctl-{crc32(os.fsencode(folder)):08x}-{profile}.latch"


def _is_ours(path: Path) -> bool:
    """True only when a file of ours (or root's) is provably there."""
    return os.path.lexists(path) and holds(path)


def _read_latch(path: Path) -> LatchFacts:
    try:
        told = json.loads(_raw(path))
        return LatchFacts(
            state=LatchState.ENGAGED,
            reason=_text(told["reason"]),
            by=_text(told["by"]),
            since=datetime.fromisoformat(_text(told["at"])),
            times=int(told["times"]),
        )
    except FileNotFoundError:
        return LatchFacts(state=LatchState.RELEASED)
    except OSError as trouble:
        return LatchFacts(state=LatchState.UNREADABLE, trouble=trouble.strerror or "cannot be read")
    except (ValueError, KeyError, TypeError, RecursionError):
        return LatchFacts(state=LatchState.UNREADABLE, trouble="its content is not a latch's")


def _raw(path: Path) -> bytes:
    held = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(held).st_mode):
            raise OSError(errno.EINVAL, "not a plain file")
        return os.read(held, LARGEST_LATCH)
    finally:
        os.close(held)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not text")
    return value


def _record(reason: str, by: str, at: datetime, *, times: int) -> bytes:
    return json.dumps({"at": at.isoformat(), "by": by, "later": [], "reason": reason, "times": times}).encode()


def _with_later(existing: bytes, reason: str, by: str, at: datetime) -> bytes:
    """The latch with one more engagement: counted for ever, its words kept for the first few."""
    told = json.loads(existing)
    told["times"] = int(told["times"]) + 1
    if len(told["later"]) < LATER_KEPT:
        told["later"].append({"at": at.isoformat(), "by": by[:200], "reason": reason[:500]})
    return json.dumps(told).encode()


def _create(path: Path, content: bytes) -> None:
    """`path` holds `content`, durably; FileExistsError, and nothing changed, when it was there already."""
    beside = _beside(path, content)
    try:
        os.link(beside, path, follow_symlinks=False)
    finally:
        with suppress(OSError):
            os.unlink(beside)
    _sync_folder(path.parent)


def _replace(path: Path, content: bytes) -> None:
    beside = _beside(path, content)
    try:
        os.rename(beside, path)
    except OSError:
        with suppress(OSError):
            os.unlink(beside)
        raise
    _sync_folder(path.parent)


def _beside(path: Path, content: bytes) -> Path:
    """A synced file with `content` next to `path`, under a name nobody else uses."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.{next(_serial)}")
    with suppress(FileNotFoundError):
        os.unlink(beside)  # left by a process that died with our number
    held = os.open(beside, _NEW_FILE, 0o600)
    try:
        os.fchmod(held, 0o600)
        _write_all(held, content)
        os.fsync(held)
    except OSError:
        with suppress(OSError):
            os.unlink(beside)
        raise
    finally:
        os.close(held)
    return beside


def _write_all(held: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(held, rest) :]


def _sync_folder(folder: Path) -> None:
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(held)
    finally:
        os.close(held)


def _sync_upwards(folder: Path) -> None:
    """The names of folders made just now are durable too, as far as we may touch the folders above."""
    for above in list(folder.parents)[:3]:
        with suppress(OSError):
            _sync_folder(above)
