"""The journal in a file: SQLite's exclusive write transactions and reads, and the file that must stay the one we opened.

The only place that turns SQLite's errors into ours.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Row
from sqlalchemy.sql import Executable
from sqlalchemy.sql.expression import ClauseElement

from perpsctl.domain.errors import InvariantBroken, JournalUnavailable
from perpsctl.domain.ports import Clock
from perpsctl.journal import sqlite
from perpsctl.journal.audit import corrupt
from perpsctl.journal.backend import Backend, Step, close_quietly, no_step
from perpsctl.journal.rendered import Rendered
from perpsctl.journal.sqlite import DatabaseTrouble, Trouble, trouble_of

T = TypeVar("T")


class Database(Backend):
    """An open journal file."""

    def __init__(self, path: Path, connection: Connection, step: Step) -> None:
        super().__init__(step)
        self.path = path
        self._connection = connection
        self._driver = sqlite.driver(connection)
        self._file = _identity(path)
        self._wal = path.with_name(path.name + "-wal")
        self._wal_file: tuple[int, int] | None = None
        self._rendered: dict[ClauseElement, Rendered] = {}

    @classmethod
    def unchecked(cls, path: Path, *, clock: Clock, busy_timeout: timedelta, step: Step = no_step) -> "Database":
        """The file as it is, made empty when there was none; JournalUnavailable or JournalCorrupt otherwise."""
        sqlite.prepare_file(path)
        connection: Connection | None = None
        try:
            connection = sqlite.connect(path, busy_timeout)
            sqlite.use_wal(connection, clock)
            return cls(path, connection, step)
        except DatabaseTrouble as trouble:
            _close(connection)
            raise _translated(trouble, "opened") from None
        except OSError as trouble:
            _close(connection)
            raise _not_opened(trouble) from None
        except BaseException:
            _close(connection)
            raise

    @classmethod
    def open(cls, path: Path, *, clock: Clock, busy_timeout: timedelta, step: Step = no_step) -> "Database":
        """The file, created and stamped when it was empty; JournalUnavailable or JournalCorrupt otherwise."""
        database = cls.unchecked(path, clock=clock, busy_timeout=busy_timeout, step=step)
        connection = database._connection
        try:
            if sqlite.is_empty(connection):
                with database.writing():
                    if sqlite.is_empty(connection):  # nobody was faster
                        sqlite.create_schema(connection)
            sqlite.require_our_schema(connection)
            if path.stat().st_size <= sqlite.CHECK_PAGES_UP_TO:
                problem = sqlite.check_pages(connection, thorough=False)
                if problem is not None:
                    raise corrupt(None, problem)
        except DatabaseTrouble as trouble:
            _close(connection)
            raise _translated(trouble, "opened") from None
        except OSError as trouble:
            _close(connection)
            raise _not_opened(trouble) from None
        except BaseException:
            _close(connection)
            raise
        return database

    @property
    def place(self) -> str:
        """The file."""
        return str(self.path)

    def execute(
        self, statement: Executable, values: Mapping[str, object] | Sequence[Mapping[str, object]] | None = None
    ) -> None:
        """Run one writing statement inside `writing`."""
        try:
            self._connection.execute(statement, values)
        except DatabaseTrouble as trouble:
            raise self._failed(trouble, "written") from None

    def rows(self, statement: Executable, values: Mapping[str, object] | None = None) -> list[Row[Any]]:
        """All rows of a select."""
        try:
            return list(self._connection.execute(statement, values).fetchall())
        except DatabaseTrouble as trouble:
            raise self._failed(trouble, "read") from None

    def often(
        self, statement: ClauseElement, values: Mapping[str, object], *, verb: str = "read"
    ) -> list[tuple[Any, ...]]:
        """As `rows`, for the few statements that every write runs: rendered once per handle, answered as plain tuples."""
        rendered = self._rendered.get(statement)
        if rendered is None:
            rendered = self._rendered[statement] = Rendered(statement, self._connection.dialect)
        try:
            return rendered.run(self._driver, values)
        except DatabaseTrouble as trouble:
            raise self._failed(trouble, verb) from None

    def schema_number(self) -> int:
        """As the file's header bears it."""
        return self._asked(sqlite.number_of)

    def take_schema(self, number: int, work: Callable[[Connection], None]) -> None:
        """The tables `work` makes and their number."""
        self._asked(work)
        self._asked(lambda connection: sqlite.set_number(connection, number))

    def keep_aside(self, number: int) -> str:
        """A whole copy beside the file; one that a killed migration left is made anew."""
        kept = self.path.with_name(f"{self.path.name}.schema-{number}")
        try:
            kept.unlink(missing_ok=True)
            sqlite.prepare_file(kept)
            connection = sqlite.connect(kept, timedelta(0))
            try:
                self.copy_into(Database(kept, connection, no_step))
            finally:
                _close(connection)
        except OSError as trouble:
            raise JournalUnavailable(
                f"the journal cannot be kept aside before it is migrated: {trouble.strerror}", fix="look at the disk"
            ) from None
        return str(kept)

    def copy_into(self, other: "Database") -> None:
        """Every page as of one moment, while others write; `other` is then one file without a write-ahead log."""
        try:
            self._driver.backup(other._driver)
            other._driver.execute("PRAGMA journal_mode=DELETE")
        except DatabaseTrouble as trouble:
            raise _translated(trouble, "copied") from None

    @contextmanager
    def creating(self) -> Iterator[None]:
        """An empty file has our schema and what is inside, in one transaction."""
        self._driver.execute("BEGIN IMMEDIATE")
        try:
            sqlite.create_schema(self._connection)
            yield
            self._driver.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _asked(self, ask: Callable[[Connection], T]) -> T:
        try:
            return ask(self._connection)
        except DatabaseTrouble as trouble:
            raise self._failed(trouble, "migrated") from None

    def storage_problem(self) -> str | None:
        """What SQLite finds wrong with the whole file, indexes included."""
        try:
            return sqlite.check_pages(self._connection, thorough=True)
        except DatabaseTrouble as trouble:
            if trouble_of(trouble)[0] is Trouble.CORRUPT:
                return str(trouble_of(trouble)[1])
            raise self._failed(trouble, "read") from None

    def form_problem(self) -> str | None:
        """What of tables, indexes and triggers is not as we made it."""
        return self._asked(sqlite.form_problem)

    def size_bytes(self) -> int:
        """The file with its write-ahead log."""
        return sum(each.stat().st_size for each in (self.path, self._wal) if each.exists())

    def _in_transaction(self) -> bool:
        return self._driver.in_transaction

    def _begin(self) -> None:
        try:
            self._driver.execute("BEGIN IMMEDIATE")
        except DatabaseTrouble as trouble:
            raise self._failed(trouble, "written") from None

    def _commit(self) -> None:
        try:
            self._driver.execute("COMMIT")
        except DatabaseTrouble as trouble:
            self._broken = f"it could not be synced: {trouble_of(trouble)[1]}"
            raise self._failed(trouble, "written") from None

    def _roll_back(self) -> None:
        try:
            if self._driver.in_transaction:
                self._driver.execute("ROLLBACK")
        except DatabaseTrouble as trouble:
            self._broken = self._broken or f"a rollback failed: {trouble_of(trouble)[1]}"

    def _require_same_place(self) -> None:
        """A file that was moved, removed or replaced under us takes writes that nobody will ever read (D8, D9)."""
        try:
            same = _identity(self.path) == self._file
            wal = _identity(self._wal)
        except OSError as trouble:
            self._broken = f"its file is gone: {trouble.strerror}"
            raise self._unusable() from None
        self._wal_file = wal if self._wal_file is None else self._wal_file
        if not same or wal != self._wal_file:
            self._broken = "its file was replaced while in use"
            raise self._unusable()

    def _failed(self, error: Exception, verb: str) -> Exception:
        kind, words = trouble_of(error)
        if kind is not Trouble.BUSY and kind is not Trouble.CONSTRAINT:
            self._broken = self._broken or words
        return _translated(error, verb)

    def _disconnect(self) -> None:
        _close(self._connection)


def _not_opened(trouble: OSError) -> JournalUnavailable:
    return JournalUnavailable(f"the journal cannot be opened: {trouble.strerror}", fix="look at the disk")


def _translated(error: Exception, verb: str) -> Exception:
    kind, words = trouble_of(error)
    if kind is Trouble.BUSY:
        return JournalUnavailable(
            "the journal is being written by another process and did not come free in time; nothing was sent",
            fix="repeat the command",
        )
    if kind is Trouble.CONSTRAINT:
        return InvariantBroken(f"a row the journal must not hold: {words}")
    if kind is Trouble.CORRUPT:
        return corrupt(None, words)
    return JournalUnavailable(
        f"the journal could not be {verb}: {words}", fix="look at the disk; no new order is possible until it works"
    )


def _identity(path: Path) -> tuple[int, int]:
    facts = os.lstat(path)
    return facts.st_dev, facts.st_ino


def _close(connection: Connection | None) -> None:
    close_quietly(connection, DatabaseTrouble)
