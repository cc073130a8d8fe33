"""This machine, asked through the standard library: space, descriptors, modes, and whether a sync comes back.

The one thing written is a file of a few bytes with a name of its own, which is gone when the answer is there.
"""

import os
import resource
import stat
from contextlib import suppress
from pathlib import Path

from perpsctl.checks.context import Descriptors, Space, Synced
from perpsctl.domain.ports import Clock

_PROBE = b"perpsctl: may be deleted\n"
_NEW_FILE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW


class ThisHost:
    """The real one; OSError goes up as it is."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def space(self, folder: Path) -> Space:
        """Space for an ordinary user on the file system that holds `folder`, or would."""
        found = os.statvfs(_nearest(folder))
        return Space(
            free=found.f_bavail * found.f_frsize,
            total=found.f_blocks * found.f_frsize,
            files_free=found.f_favail if found.f_files else None,
        )

    def descriptors(self) -> Descriptors:
        """What this process has open now, and its soft limit."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        listing = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
        return Descriptors(open=len(os.listdir(listing)), limit=soft)

    def sync_beside(self, folder: Path) -> Synced:
        """How long it takes to make a small new file and its name durable in `folder`."""
        path = folder / f".perpsctl-check-{os.getpid()}"
        with suppress(FileNotFoundError):
            path.unlink()
        began = self._clock.monotonic_ns()
        try:
            held = os.open(path, _NEW_FILE, 0o600)
            try:
                os.write(held, _PROBE)
                os.fsync(held)
            finally:
                os.close(held)
            _sync_folder(folder)
            took = self._clock.monotonic_ns() - began
        finally:
            with suppress(FileNotFoundError):
                path.unlink()
        return Synced(took_us=took // 1000)

    def mode(self, path: Path) -> int | None:
        """Permission bits of `path` itself; None when nothing is there."""
        try:
            return stat.S_IMODE(os.lstat(path).st_mode)
        except FileNotFoundError:
            return None

    def names(self, folder: Path) -> tuple[str, ...]:
        """Names in the folder, sorted; none when it is not there."""
        try:
            return tuple(sorted(os.listdir(folder)))
        except FileNotFoundError:
            return ()


def _nearest(folder: Path) -> Path:
    """The folder itself, or the first one above it that is there."""
    for candidate in (folder, *folder.parents):
        if candidate.exists():
            return candidate
    return Path("/")


def _sync_folder(folder: Path) -> None:
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(held)
    finally:
        os.close(held)
