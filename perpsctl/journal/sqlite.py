"""What is particular to SQLite: the file and its modes, pragmas, triggers, and what its errors mean.

The only module that knows the back end; another one gets a module like this beside it.
"""

import os
import sqlite3
import stat
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import cast

from sqlalchemy import URL, Connection, create_engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from perpsctl.domain.errors import JournalUnavailable
from perpsctl.domain.ports import Clock
from perpsctl.domain.text import shown
from perpsctl.journal.audit import corrupt, sync_folder
from perpsctl.journal.schema import APPLICATION_ID, SCHEMA, metadata

# The driver also stumbles over its own message where that quotes a damaged schema.
DatabaseTrouble = (SQLAlchemyError, sqlite3.Error, UnicodeDecodeError)
_NOT_TEXT = "Could not decode to UTF-8"  # what the driver says of a text column that holds something else
WAL_TRIES = 200
CHECK_PAGES_UP_TO = 64 * 1024 * 1024  # a larger file has its pages checked by `check(full=True)`, at the start of `run`
SHARED_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "ceph", "glusterfs", "fuse.glusterfs"}
)

TRIGGERS = tuple(
    f"CREATE TRIGGER events_keep_{verb.lower()} BEFORE {verb} ON events "
    "BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"
    for verb in ("UPDATE", "DELETE")
)


class Trouble(Enum):
    """What an error of the database means for us."""

    BUSY = "busy"  # somebody else writes; nothing happened, the handle is well
    CONSTRAINT = "constraint"  # a row that must not be: our bug
    CORRUPT = "corrupt"
    DISK = "disk"  # everything else: nothing more is written through this handle


def trouble_of(error: Exception) -> tuple[Trouble, str]:
    """What `error` means, and SQLite's own short words for it (they hold no data of ours)."""
    inner = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(inner, UnicodeDecodeError):
        return Trouble.CORRUPT, "database schema is damaged"
    words = str(inner)
    if words.startswith(_NOT_TEXT):
        return Trouble.CORRUPT, "a text that is no text"
    code = getattr(inner, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Trouble.BUSY, words
    if code == sqlite3.SQLITE_CONSTRAINT:
        return Trouble.CONSTRAINT, words
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return Trouble.CORRUPT, words
    return Trouble.DISK, words


def prepare_file(path: Path) -> None:
    """`path` is a plain file of ours alone (0600 in 0700), made durably when it was not there (S6)."""
    folder = path.parent
    prepare_folder(folder)
    try:
        _refuse_shared_file_system(folder)
        try:
            held = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except FileExistsError:
            pass
        else:
            os.close(held)
            sync_folder(folder)
        for each in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
            _keep_private(each)
    except OSError as trouble:
        raise _unusable(str(trouble.strerror), "look at the disk and the folder's owner") from None


def prepare_folder(folder: Path) -> None:
    """`folder` is there and ours alone."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.is_symlink():
            raise _unusable("its folder is a symlink", "move it away")
        folder.chmod(0o700)
    except OSError as trouble:
        raise _unusable(str(trouble.strerror), "look at the disk and the folder's owner") from None


def _keep_private(path: Path) -> None:
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISREG(facts.st_mode):
        raise _unusable(f"{path.name} is not a plain file", "move it away")
    if facts.st_mode & 0o077:
        path.chmod(0o600)


def _refuse_shared_file_system(folder: Path) -> None:
    """SQLite's WAL and flock are not to be trusted over a network (D12)."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    where = str(folder.resolve())
    best, kind = "", ""
    for line in lines:
        left, _, right = line.partition(" - ")
        words = left.split()
        if len(words) < 5 or not right:
            continue
        mount = words[4].replace("\\040", " ")
        inside = where == mount or where.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, right.split()[0]
    if kind in SHARED_FILE_SYSTEMS:
        raise _unusable(f"it lies on a network file system ({kind})", "put PERPSCTL_HOME on a local disk")


def connect(path: Path, busy_timeout: timedelta) -> Connection:
    """One connection with our pragmas; SQLAlchemy opens no transaction of its own on it."""
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=StaticPool,
        connect_args={"check_same_thread": False, "isolation_level": None, "timeout": 0, "cached_statements": 64},
        isolation_level="AUTOCOMMIT",
        query_cache_size=64,  # here and above: lists of ids make ever new statements, and a loop of days must not keep them
    )
    connection = engine.connect()
    pragmas = (
        f"busy_timeout={busy_timeout // timedelta(milliseconds=1)}",
        "synchronous=FULL",
        "fullfsync=ON",  # macOS: a plain fsync does not reach the platter there
        "checkpoint_fullfsync=ON",
        "trusted_schema=OFF",
        "cell_size_check=ON",
        "temp_store=MEMORY",
        "cache_size=-512",  # KiB; rows are read once, in order, and a loop of days must not grow (SQLite's default is 2000)
    )
    try:
        for each in pragmas:
            connection.exec_driver_sql(f"PRAGMA {each}")
    except DatabaseTrouble:
        connection.close()
        engine.dispose()  # the pool keeps its one connection open otherwise
        raise
    return connection


def driver(connection: Connection) -> sqlite3.Connection:
    """The connection below SQLAlchemy's, for BEGIN, COMMIT and ROLLBACK."""
    return cast(sqlite3.Connection, connection.connection.dbapi_connection)


def use_wal(connection: Connection, clock: Clock) -> None:
    """Write-ahead logging is on. Turning it on does not wait for others by itself, so we do, within bounds."""
    for _ in range(WAL_TRIES):
        try:
            mode = connection.exec_driver_sql("PRAGMA journal_mode=WAL").scalar()
        except DatabaseTrouble as trouble:
            if trouble_of(trouble)[0] is not Trouble.BUSY:
                raise
        else:
            if mode == "wal":
                return
            raise _unusable("this file system does not take its write-ahead log", "use a local disk")
        clock.sleep(timedelta(milliseconds=5))
    raise _unusable("another process keeps it locked", "repeat the command")


def create_schema(connection: Connection) -> None:
    """Tables, triggers and stamp, inside the caller's transaction."""
    metadata.create_all(connection, checkfirst=False)
    for each in TRIGGERS:
        connection.exec_driver_sql(each)
    connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
    connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA}")


def number_of(connection: Connection) -> int:
    """The schema's number in the file; JournalCorrupt when it is no journal of ours."""
    if _pragma(connection, "application_id") != APPLICATION_ID:
        raise corrupt(None, "the file is not a perpsctl journal")
    return _pragma(connection, "user_version")


def set_number(connection: Connection, number: int) -> None:
    """The file bears this schema number, with the caller's transaction."""
    connection.exec_driver_sql(f"PRAGMA user_version={number:d}")


def is_empty(connection: Connection) -> bool:
    """True for a file nobody has put anything into."""
    return (
        _pragma(connection, "user_version") == 0
        and _pragma(connection, "application_id") == 0
        and connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema").scalar() == 0
    )


def require_our_schema(connection: Connection) -> None:
    """Exactly our schema number, else a refusal that says what to do (J6)."""
    found = number_of(connection)
    if found < SCHEMA:
        raise _unusable(f"it has schema {found}, this version needs {SCHEMA}", "run `perpsctl journal migrate`")
    if found > SCHEMA:
        raise _unusable(
            f"it has schema {found}, this version knows {SCHEMA} only", "use the newer perpsctl that wrote it"
        )


def check_pages(connection: Connection, *, thorough: bool) -> str | None:
    """What SQLite finds wrong with its own pages, and with `thorough` with its indexes; None when nothing."""
    found = connection.exec_driver_sql(f"PRAGMA {'integrity_check' if thorough else 'quick_check'}(1)").scalar()
    return None if found == "ok" else str(found)


def form_problem(connection: Connection) -> str | None:
    """What differs from the tables, indexes and triggers we make, byte for byte; None when nothing.

    An index whose condition changed hides rows from who looks by it, and a trigger that is gone keeps nothing from change.
    """
    engine = create_engine("sqlite://", poolclass=StaticPool, isolation_level="AUTOCOMMIT")
    fresh = engine.connect()
    try:
        create_schema(fresh)
        ours, found = _form(fresh), _form(connection)
    finally:
        fresh.close()
        engine.dispose()
    odd = sorted({name for name, _ in ours.items() ^ found.items()})
    return f"its form is not ours: {', '.join(shown(name, 60) for name in odd)}" if odd else None


def _form(connection: Connection) -> dict[str, tuple[str, ...]]:
    query = "SELECT name, type, tbl_name, coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%'"
    return {str(name): tuple(map(str, rest)) for name, *rest in connection.exec_driver_sql(query)}


def _pragma(connection: Connection, name: str) -> int:
    return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar() or 0)


def _unusable(what: str, fix: str) -> JournalUnavailable:
    return JournalUnavailable(f"the journal cannot be used: {what}", fix=fix)
