"""What a process does to its disk, watched: each write, sync, open and rename of one folder, recorded, failed or made the last.

Two doors lead to the disk and both are watched without touching the product: the functions of `os` (latch, spool, audit key,
note of the head), and SQLite's own system calls. SQLite lets a caller replace its `open`, `pwrite`, `ftruncate` and so on
(`sqlite3_vfs.xSetSystemCall`); only `fsync` has no such place, so the `xSync` of each file it opens is wrapped. All of it by
ctypes on the very library the `sqlite3` module is linked to: no compiler, no privilege, no package. Where that library cannot
be reached (linked into the interpreter without its symbols) `Unwatchable` is raised, and nothing is claimed.

Installed inside the process under test, after its modules were imported. Standard library only.
"""

import _sqlite3
import ctypes
import errno
import json
import os
import signal
import socket
import sqlite3
import tempfile
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

EXCHANGE = ".exchange"  # the embedded exchange's folder: not ours to fail
IOERR_FSYNC = 10 | (4 << 8)  # SQLITE_IOERR_FSYNC
KINDS = ("write", "sync", "open", "name", "read")  # name: rename, link, unlink, mkdir


class Unwatchable(RuntimeError):
    """This interpreter's SQLite cannot be watched from inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The `nth` operation of one kind fails with `errno`; `lasting`: so do all of that kind after it."""

    kind: str
    nth: int
    errno: int
    lasting: bool


@dataclass(slots=True, kw_only=True)
class Plan:
    """What becomes of one process's disk."""

    root: str
    trace: str  # outside `root`
    die_at: int | None = None  # killed instead of its n-th operation (sends included)
    die_on: str | None = None  # killed at the first operation of this kind: `sent` is a reply that never comes
    fail: Failure | None = None
    bytes_kept: bool = True  # the trace holds what was written, so that images can be made of it
    counts: dict[str, int] = field(default_factory=dict)


class Watch:
    """One process's operations in order."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._trace = os.open(plan.trace, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._write = os.write
        self._step = 0
        self._counts = dict.fromkeys(KINDS, 0)
        self.files: dict[int, tuple[str, int]] = {}  # descriptor -> (path, inode)

    def inside(self, path: object) -> str | None:
        """`path` below the watched folder, relative to it; None for anything else."""
        if isinstance(path, int):
            return None
        text = os.path.abspath(os.fsdecode(cast("os.PathLike[str]", path)))
        if text == self._plan.root:
            return "."
        if not text.startswith(self._plan.root + "/"):
            return None
        below = text[len(self._plan.root) + 1 :]
        return None if below.split("/", 1)[0] == EXCHANGE else below

    def reached(self, kind: str, what: str, path: str) -> None:
        """The process is about to do it: OSError when it is to fail, and no return at all when it is to die here."""
        self._step += 1
        if self._step == self._plan.die_at or kind == self._plan.die_on:
            self.note(op="died", step=self._step, kind=kind, what=what, path=path)
            os.kill(os.getpid(), signal.SIGKILL)
        if kind not in self._counts:
            return
        self._counts[kind] += 1
        fail = self._plan.fail
        if fail is None or fail.kind != kind:
            return
        count = self._counts[kind]
        if count == fail.nth or (fail.lasting and count > fail.nth):
            self.note(op="failed", kind=kind, what=what, path=path, n=count, errno=fail.errno)
            raise OSError(fail.errno, os.strerror(fail.errno), path)

    def note(self, **facts: Any) -> None:
        """One line of the trace; bytes as base64, or only their number where nobody makes an image of them."""
        data = facts.get("data")
        if data is not None:
            facts["data"] = b64encode(data).decode("ascii") if self._plan.bytes_kept else len(data)
        self._write(self._trace, json.dumps(facts).encode() + b"\n")

    def opened(self, path: str, below: str, descriptor: int, *, new: bool, emptied: bool) -> None:
        inode = os.fstat(descriptor).st_ino
        self.files[descriptor] = (below, inode)
        if new:
            self.note(op="create", path=below, ino=inode)
        elif emptied:
            self.note(op="trunc", path=below, ino=inode, size=0)

    def closing(self) -> None:
        """The counts, once the process is through."""
        self.note(op="end", steps=self._step, counts=self._counts)


# --- the functions of `os` ---------------------------------------------------------------------------------------


def watch_os(watch: Watch) -> None:
    """Python's own ways to the disk go through `watch`."""
    real: dict[str, Callable[..., Any]] = {
        name: getattr(os, name)
        for name in (
            *("open", "close", "write", "pwrite", "read", "pread", "fsync", "fdatasync", "ftruncate"),
            *("rename", "replace", "link", "unlink", "remove", "mkdir"),
        )
    }

    def opening(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        below = watch.inside(path)
        if below is None:
            return int(real["open"](path, flags, mode, dir_fd=dir_fd))
        new = bool(flags & os.O_CREAT) and not os.path.lexists(path)
        watch.reached("open", "os.open", below)
        held = int(real["open"](path, flags, mode, dir_fd=dir_fd))
        watch.opened(os.fspath(path), below, held, new=new, emptied=bool(flags & os.O_TRUNC))
        return held

    def closing(descriptor: int) -> None:
        watch.files.pop(descriptor, None)
        real["close"](descriptor)

    def writing(descriptor: int, data: Any) -> int:
        known = watch.files.get(descriptor)
        if known is None:
            return int(real["write"](descriptor, data))
        import fcntl

        watch.reached("write", "os.write", known[0])
        appends = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND
        at = os.fstat(descriptor).st_size if appends else os.lseek(descriptor, 0, os.SEEK_CUR)
        done = int(real["write"](descriptor, data))
        watch.note(op="write", path=known[0], ino=known[1], off=at, data=bytes(data)[:done])
        return done

    def pwriting(descriptor: int, data: Any, offset: int) -> int:
        known = watch.files.get(descriptor)
        if known is None:
            return int(real["pwrite"](descriptor, data, offset))
        watch.reached("write", "os.pwrite", known[0])
        done = int(real["pwrite"](descriptor, data, offset))
        watch.note(op="write", path=known[0], ino=known[1], off=offset, data=bytes(data)[:done])
        return done

    def reading(name: str) -> Callable[..., bytes]:
        def read(descriptor: int, *rest: int) -> bytes:
            known = watch.files.get(descriptor)
            if known is not None:
                watch.reached("read", f"os.{name}", known[0])
            found: bytes = real[name](descriptor, *rest)
            return found

        return read

    def syncing(name: str) -> Callable[[Any], None]:
        def sync(held: Any) -> None:
            descriptor = held if isinstance(held, int) else held.fileno()
            known = watch.files.get(descriptor)
            if known is not None:
                watch.reached("sync", f"os.{name}", known[0])
            real[name](descriptor)
            if known is not None:
                watch.note(op="sync", path=known[0], ino=known[1])

        return sync

    def truncating(descriptor: int, length: int) -> None:
        known = watch.files.get(descriptor)
        if known is not None:
            watch.reached("write", "os.ftruncate", known[0])
        real["ftruncate"](descriptor, length)
        if known is not None:
            watch.note(op="trunc", path=known[0], ino=known[1], size=length)

    def naming(name: str) -> Callable[..., None]:
        def two(source: Any, target: Any, **named: Any) -> None:
            here, there = watch.inside(source), watch.inside(target)
            if there is not None:
                watch.reached("name", f"os.{name}", there)
            real[name](source, target, **named)
            if here is not None and there is not None:
                watch.note(op="link" if name == "link" else "rename", path=here, to=there)

        return two

    def removing(name: str) -> Callable[..., None]:
        def one(path: Any, **named: Any) -> None:
            below = watch.inside(path)
            if below is not None and os.path.lexists(path):
                watch.reached("name", f"os.{name}", below)
            real[name](path, **named)
            if below is not None:
                watch.note(op="unlink", path=below)

        return one

    def making(path: Any, mode: int = 0o777, **named: Any) -> None:
        below = watch.inside(path)
        if below is not None and not os.path.lexists(path):
            watch.reached("name", "os.mkdir", below)
        real["mkdir"](path, mode, **named)
        if below is not None:
            watch.note(op="mkdir", path=below)

    replaced: dict[str, Callable[..., Any]] = {
        "open": opening, "close": closing, "write": writing, "pwrite": pwriting, "ftruncate": truncating,
        "mkdir": making,
    }  # fmt: skip
    replaced |= {name: reading(name) for name in ("read", "pread")}
    replaced |= {name: syncing(name) for name in ("fsync", "fdatasync")}
    replaced |= {name: naming(name) for name in ("rename", "replace", "link")}
    replaced |= {name: removing(name) for name in ("unlink", "remove")}
    for name, function in replaced.items():
        setattr(os, name, function)


# --- what leaves for the exchange -----------------------------------------------------------------------------------

_WRITES = (
    (b"POST /api/v3/brokerage/orders/batch_cancel", "cancel"),
    (b"POST /api/v3/brokerage/orders/edit ", "edit"),
    (b"POST /api/v3/brokerage/orders/close_position", "close"),
    (b"POST /api/v3/brokerage/orders ", "create"),
    (b'"private/buy"', "create"),
    (b'"private/sell"', "create"),
    (b'"private/edit"', "edit"),
    (b'"private/cancel', "cancel"),
    (b'"private/close_position"', "close"),
)


def watch_sends(watch: Watch) -> None:
    """Requests that change something at the exchange are steps of their own: a process may die on either side of one."""

    def watched(kept: Callable[..., Any]) -> Callable[..., Any]:
        def send(line: socket.socket, data: Any, *flags: int) -> Any:
            told = bytes(data)
            what = next((name for mark, name in _WRITES if mark in told), None)
            if what is not None:
                watch.reached("send", what, "")
            done = kept(line, data, *flags)
            if what is not None:
                watch.note(op="send", what=what)
                watch.reached("sent", what, "")
            return done

        return send

    socket.socket.send = watched(socket.socket.send)  # type: ignore[method-assign]
    socket.socket.sendall = watched(socket.socket.sendall)  # type: ignore[method-assign]


# --- SQLite's own calls ---------------------------------------------------------------------------------------------


class _File(ctypes.Structure):
    _fields_ = (("methods", ctypes.c_void_p),)


class _Methods(ctypes.Structure):
    _fields_ = (
        ("version", ctypes.c_int),
        *((name, ctypes.c_void_p) for name in ("close", "read", "write", "truncate", "sync", "size")),
        *((f"rest_{number}", ctypes.c_void_p) for number in range(12)),
    )


class _Vfs(ctypes.Structure):
    _fields_ = (
        ("version", ctypes.c_int),
        ("size", ctypes.c_int),
        ("longest", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("open", ctypes.c_void_p),
        *((f"rest_{number}", ctypes.c_void_p) for number in range(12)),  # to xCurrentTimeInt64
        ("set_call", ctypes.c_void_p),
        ("get_call", ctypes.c_void_p),
        ("next_call", ctypes.c_void_p),
    )


_INT, _LONG, _SIZE, _POINTER, _TEXT = ctypes.c_int, ctypes.c_int64, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_char_p
_SIGNED = ctypes.c_ssize_t
_XOPEN = ctypes.CFUNCTYPE(
    _INT, _POINTER, _POINTER, _POINTER, _INT, _POINTER
)  # SQLite keeps the name's pointer: pass it on
_XSYNC = ctypes.CFUNCTYPE(_INT, _POINTER, _INT)
_SET_CALL = ctypes.CFUNCTYPE(_INT, _POINTER, _TEXT, _POINTER)
_GET_CALL = ctypes.CFUNCTYPE(_POINTER, _POINTER, _TEXT)
_CALLS = {
    "open": ctypes.CFUNCTYPE(_INT, _TEXT, _INT, _INT, use_errno=True),
    "close": ctypes.CFUNCTYPE(_INT, _INT, use_errno=True),
    "write": ctypes.CFUNCTYPE(_SIGNED, _INT, _POINTER, _SIZE, use_errno=True),
    "pwrite": ctypes.CFUNCTYPE(_SIGNED, _INT, _POINTER, _SIZE, _LONG, use_errno=True),
    "pwrite64": ctypes.CFUNCTYPE(_SIGNED, _INT, _POINTER, _SIZE, _LONG, use_errno=True),
    "pread": ctypes.CFUNCTYPE(_SIGNED, _INT, _POINTER, _SIZE, _LONG, use_errno=True),
    "pread64": ctypes.CFUNCTYPE(_SIGNED, _INT, _POINTER, _SIZE, _LONG, use_errno=True),
    "ftruncate": ctypes.CFUNCTYPE(_INT, _INT, _LONG, use_errno=True),
    "fallocate": ctypes.CFUNCTYPE(_INT, _INT, _LONG, _LONG, use_errno=True),
    "unlink": ctypes.CFUNCTYPE(_INT, _TEXT, use_errno=True),
    "openDirectory": ctypes.CFUNCTYPE(_INT, _TEXT, ctypes.POINTER(_INT), use_errno=True),
}
_kept_alive: list[object] = []  # what C calls must outlive it


def _library() -> ctypes.CDLL:
    """The SQLite of the `sqlite3` module."""
    places = [_sqlite3.__file__] if hasattr(_sqlite3, "__file__") else []
    try:
        with open("/proc/self/maps", encoding="utf-8") as maps:
            places = [line.split()[-1] for line in maps if "libsqlite3" in line] + places
    except OSError:
        places.append("libsqlite3.dylib")
    (wanted,) = sqlite3.connect(":memory:").execute("SELECT sqlite_source_id()").fetchone()
    for place in dict.fromkeys(places):
        try:
            library = ctypes.CDLL(place)
            library.sqlite3_sourceid.restype = ctypes.c_char_p
            library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
            if library.sqlite3_sourceid().decode() == wanted:
                return library
        except (OSError, AttributeError):
            continue
    raise Unwatchable("the library behind the sqlite3 module cannot be found")


def watch_sqlite(watch: Watch) -> None:
    """SQLite's ways to the disk go through `watch`; proven by a database that is written, else Unwatchable."""
    vfs = _library().sqlite3_vfs_find(None)
    if not vfs or vfs.contents.version < 3:
        raise Unwatchable("this SQLite lets nobody replace its system calls")
    table = vfs.contents
    get_call = _GET_CALL(table.get_call)
    set_call = _SET_CALL(table.set_call)
    calls = _calls(watch)
    for name, kind in _CALLS.items():
        place = get_call(ctypes.addressof(table), name.encode())
        if place is None:
            continue  # this build does not use it
        replaced = kind(calls[name](kind(place)))
        _kept_alive.append(replaced)
        if set_call(ctypes.addressof(table), name.encode(), ctypes.cast(replaced, _POINTER)) != 0:
            raise Unwatchable(f"SQLite kept its own {name}")
    _watch_syncs(watch, table)
    _prove(watch)


def _calls(watch: Watch) -> dict[str, Callable[[Any], Callable[..., int]]]:
    def refused(trouble: OSError) -> int:
        ctypes.set_errno(trouble.errno or errno.EIO)
        return -1

    def opening(real: Any) -> Callable[..., int]:
        def call(path: bytes, flags: int, mode: int) -> int:
            below = watch.inside(path)
            try:
                new = bool(flags & os.O_CREAT) and not os.path.lexists(path)
                if below is not None:
                    watch.reached("open", "sqlite open", below)
                held = int(real(path, flags, mode))
                if below is not None and held >= 0:
                    kept = ctypes.get_errno()
                    watch.opened(os.fsdecode(path), below, held, new=new, emptied=bool(flags & os.O_TRUNC))
                    ctypes.set_errno(kept)
            except OSError as trouble:
                return refused(trouble)
            return held

        return call

    def closing(real: Any) -> Callable[..., int]:
        def call(descriptor: int) -> int:
            watch.files.pop(descriptor, None)
            return int(real(descriptor))

        return call

    def writing(real: Any) -> Callable[..., int]:
        def call(descriptor: int, data: int, length: int, *offset: int) -> int:
            known = watch.files.get(descriptor)
            if known is None:
                return int(real(descriptor, data, length, *offset))
            try:
                watch.reached("write", "sqlite write", known[0])
                at = offset[0] if offset else os.lseek(descriptor, 0, os.SEEK_CUR)
            except OSError as trouble:
                return refused(trouble)
            done = int(real(descriptor, data, length, *offset))
            if done > 0:
                watch.note(op="write", path=known[0], ino=known[1], off=at, data=ctypes.string_at(data, done))
            return done

        return call

    def reading(real: Any) -> Callable[..., int]:
        def call(descriptor: int, data: int, length: int, offset: int) -> int:
            known = watch.files.get(descriptor)
            try:
                if known is not None:
                    watch.reached("read", "sqlite read", known[0])
            except OSError as trouble:
                return refused(trouble)
            return int(real(descriptor, data, length, offset))

        return call

    def truncating(real: Any) -> Callable[..., int]:
        def call(descriptor: int, length: int) -> int:
            known = watch.files.get(descriptor)
            try:
                if known is not None:
                    watch.reached("write", "sqlite ftruncate", known[0])
            except OSError as trouble:
                return refused(trouble)
            done = int(real(descriptor, length))
            if known is not None and done == 0:
                watch.note(op="trunc", path=known[0], ino=known[1], size=length)
            return done

        return call

    def plain(real: Any) -> Callable[..., int]:
        return lambda *given: int(real(*given))

    def removing(real: Any) -> Callable[..., int]:
        def call(path: bytes) -> int:
            below = watch.inside(path)
            try:
                if below is not None and os.path.lexists(path):
                    watch.reached("name", "sqlite unlink", below)
            except OSError as trouble:
                return refused(trouble)
            done = int(real(path))
            if below is not None and done == 0:
                watch.note(op="unlink", path=below)
            return done

        return call

    def syncing_folder(real: Any) -> Callable[..., int]:
        """SQLite opens a folder for one purpose: to sync it the moment after."""

        def call(path: bytes, held: Any) -> int:
            done = int(real(path, held))
            below = watch.inside(os.path.dirname(path))
            if below is not None and done == 0:
                watch.note(op="sync", path=below, ino=0)
            return done

        return call

    return {
        "open": opening,
        "close": closing,
        "write": writing,
        "pwrite": writing,
        "pwrite64": writing,
        "pread": reading,
        "pread64": reading,
        "ftruncate": truncating,
        "fallocate": plain,
        "unlink": removing,
        "openDirectory": syncing_folder,
    }


def _watch_syncs(watch: Watch, table: _Vfs) -> None:
    real_open = _XOPEN(table.open)
    paths: dict[int, str] = {}
    tables: dict[int, _Methods] = {}
    real_syncs: dict[int, Callable[[int, int], Any]] = {}
    origin: dict[int, int] = {}

    def syncing(file: int, flags: int) -> int:
        path = paths.get(file)
        real = real_syncs[origin[file]]
        below = None if path is None else watch.inside(path)
        if path is None or below is None:
            return int(real(file, flags))
        try:
            watch.reached("sync", "sqlite fsync", below)
            inode = os.stat(path).st_ino
        except OSError:
            return IOERR_FSYNC
        done = int(real(file, flags))
        if done == 0:
            watch.note(op="sync", path=below, ino=inode)
        return done

    our_sync = _XSYNC(syncing)

    def opening(vfs: int, path: int | None, file: int, flags: int, told: int) -> int:
        done = int(real_open(vfs, path, file, flags, told))
        held = _File.from_address(file)
        if done != 0 or not held.methods or path is None:
            return done
        at = held.methods
        if at not in tables:
            copied = _Methods()
            ctypes.memmove(ctypes.addressof(copied), at, ctypes.sizeof(_Methods))
            real_syncs[at] = _XSYNC(copied.sync)
            copied.sync = ctypes.cast(our_sync, _POINTER).value
            tables[at] = copied
        paths[file], origin[file] = os.fsdecode(ctypes.string_at(path)), at
        held.methods = ctypes.addressof(tables[at])
        return done

    our_open = _XOPEN(opening)
    _kept_alive.extend((our_sync, our_open, tables, real_open))
    table.open = ctypes.cast(our_open, _POINTER).value


def _prove(watch: Watch) -> None:
    """A database written below the watched folder's rule is seen; a shim that sees nothing would pass every test."""
    seen: list[str] = []
    kept, inside, reached, note = watch._plan, watch.inside, watch.reached, watch.note
    with tempfile.TemporaryDirectory() as folder:
        watch.inside = lambda path: os.path.basename(os.fsdecode(path))  # type: ignore[arg-type, method-assign]
        watch.reached = lambda kind, what, path: seen.append(kind)  # type: ignore[method-assign]
        watch.note = lambda **facts: None  # type: ignore[method-assign]
        try:
            connection = sqlite3.connect(os.path.join(folder, "probe.db"), isolation_level=None)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("CREATE TABLE probe (a)")
            connection.close()
        finally:
            watch.inside, watch.reached, watch.note = inside, reached, note  # type: ignore[method-assign]
    if not {"open", "write", "sync"} <= set(seen):
        raise Unwatchable(f"SQLite's calls do not pass the watch: {sorted(set(seen))}")
    assert watch._plan is kept


def install(plan: Plan) -> Watch:
    """From now on this process's disk is watched by `plan`."""
    watch = Watch(plan)
    watch_sqlite(watch)
    watch_os(watch)
    watch_sends(watch)
    return watch
