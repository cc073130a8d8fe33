"""A copy of the journal in one SQLite file, proven before it gets its name: whole chain, same head, same views (J3).

The rows of a copy are sealed with the profile's audit key, which is not in it: keep the key elsewhere. A copy is never
written over a file that is there, and one that could not be proven leaves nothing behind.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import insert, select

from perpsctl.domain.errors import JournalUnavailable, UsageError
from perpsctl.domain.text import shown
from perpsctl.journal import sqlite
from perpsctl.journal.audit import corrupt, sync_folder
from perpsctl.journal.backend import no_step
from perpsctl.journal.database import Database
from perpsctl.journal.head import Head
from perpsctl.journal.history import rows_since
from perpsctl.journal.log import Log, values_of
from perpsctl.journal.schema import events, leases

WAIT = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedUp:
    """A proven copy."""

    file: str
    rows: int
    head: str
    size_bytes: int
    source: str


def back_up(log: Log, target: Path) -> BackedUp:
    """`target` is a proven copy of everything committed when this began, 0600.

    UsageError when something is there already; JournalUnavailable or JournalCorrupt when it could not be made or proven.
    """
    if os.path.lexists(target):
        raise UsageError(f"{shown(target)} is there already", fix="name a new file: a backup is never overwritten")
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        try:
            with _opened(beside) as copy:
                _fill(log, copy)
                head = _prove(log, copy)
            _sync(beside)
            os.link(beside, target)
        finally:
            beside.unlink(missing_ok=True)
        sync_folder(target.parent)
        size = target.stat().st_size
    except FileExistsError:
        raise UsageError(f"{shown(target)} is there already", fix="name a new file") from None
    except OSError as trouble:
        raise JournalUnavailable(
            f"the backup cannot be written: {trouble.strerror}", fix="look at the disk; the journal itself is untouched"
        ) from None
    return BackedUp(file=str(target), rows=head.seq, head=head.hash, size_bytes=size, source=log.database.place)


@contextmanager
def _opened(path: Path) -> Iterator[Database]:
    try:
        connection = sqlite.connect(path, WAIT)
    except sqlite.DatabaseTrouble as trouble:
        raise _failed(trouble) from None
    database = Database(path, connection, no_step)
    try:
        yield database
    finally:
        database.close()
        for tail in ("-journal", "-wal", "-shm"):
            with suppress(OSError):
                path.with_name(path.name + tail).unlink(missing_ok=True)


def _fill(log: Log, copy: Database) -> None:
    """SQLite copies its own pages; from elsewhere the rows are written anew, with the leases, whose numbers only grow."""
    with log.database.reading():
        log.catch_up()
        try:
            if isinstance(log.database, Database):
                log.database.copy_into(copy)
                return
            with copy.creating():
                for row in rows_since(log.database, 1):
                    if row.seq > log.state.seq:
                        break
                    copy.execute(insert(events), values_of(row))
                for held in log.database.rows(select(leases)):
                    copy.execute(insert(leases), dict(held._mapping))
        except sqlite.DatabaseTrouble as trouble:
            raise _failed(trouble) from None


def _prove(log: Log, copy: Database) -> Head:
    """The head of a copy whose every row and whose views are the journal's."""
    problem = copy.storage_problem()
    if problem is not None:
        raise corrupt(None, f"the backup's pages: {problem}")
    found = log.proven(copy)
    if found is None:
        raise corrupt(None, "the backup does not hold what the journal holds; it was thrown away")
    return found


def _sync(path: Path) -> None:
    held = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(held)
    finally:
        os.close(held)


def _failed(trouble: Exception) -> JournalUnavailable:
    return JournalUnavailable(
        f"the backup cannot be written: {sqlite.trouble_of(trouble)[1]}",
        fix="look at the disk; the journal itself is untouched",
    )
