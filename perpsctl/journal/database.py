"""One handle on the journal's file: exclusive write transactions, reads, and the rule that a handle that failed is done.

After a failed write or sync nobody knows what is on disk, so nothing more is written through this handle (J2, D1, D3);
waiting for another writer is bounded and harmless (D2). The only place that turns the library's errors into ours.
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.sql import Executable
from sqlalchemy.sql.expression import ClauseElement

from perpsctl.domain.errors import InvariantBroken, JournalUnavailable
from perpsctl.domain.ports import Clock
from perpsctl.journal import sqlite
from perpsctl.journal.audit import corrupt
from perpsctl.journal.rendered import Rendered
from perpsctl.journal.sqlite import DatabaseTrouble, Trouble, trouble_of

Step = Callable[[str], None]


def no_step(name: str) -> None:
    """What happens at a named step of a write when nobody watches."""


class Database:
    """An open journal file. One thread at a time; never used across a fork (P9)."""

    def __init__(self, path: Path, connection: Connection, step: Step) -> None:
        self.path = path
        self._connection = connection
        self._driver = sqlite.driver(connection)
        self._step = step
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._file = _identity(path)
        self._wal = path.with_name(path.name + "-wal")
        self._wal_file: tuple[int, int] | None = None
        self._broken = ""
        self._rendered: dict[ClauseElement, Rendered] = {}

    @classmethod
    def open(cls, path: Path, *, clock: Clock, busy_timeout: timedelta, step: Step = no_step) -> "Database":
        """The file, created and stamped when it was empty; JournalUnavailable or JournalCorrupt otherwise."""
        sqlite.prepare_file(path)
        connection: Connection | None = None
        try:
            connection = sqlite.connect(path, busy_timeout)
            sqlite.use_wal(connection, clock)
            database = cls(path, connection, step)
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
            raise JournalUnavailable(
                f"the journal cannot be opened: {trouble.strerror}", fix="look at the disk"
            ) from None
        except BaseException:
            _close(connection)
            raise
        return database

    @property
    def broken(self) -> str:
        """Why nothing more is written through this handle; empty when it is well."""
        return self._broken

    @contextmanager
    def reading(self) -> Iterator[None]:
        """This thread's alone, without a transaction: each read sees what is committed when it starts."""
        with self._lock:
            self._require_usable()
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One exclusive write transaction: what is inside is durable when the block is left, or nothing of it is.

        Leaving through an exception of the caller's own rolls back; a failure of the disk also ends this handle.
        """
        with self._lock:
            self._require_usable()
            if self._driver.in_transaction:
                raise InvariantBroken("a write inside a write of the journal")
            self._begin()
            try:
                self._require_same_file()
                yield
                self.step("commit")
                self._run("COMMIT")
                self.step("committed")
            except BaseException:
                self._roll_back()
                raise

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

    def pages_problem(self) -> str | None:
        """What SQLite finds wrong with the whole file, indexes included."""
        try:
            return sqlite.check_pages(self._connection, thorough=True)
        except DatabaseTrouble as trouble:
            if trouble_of(trouble)[0] is Trouble.CORRUPT:
                return str(trouble_of(trouble)[1])
            raise self._failed(trouble, "read") from None

    def step(self, name: str) -> None:
        """A named point of a write, where tests fail the disk or kill the process."""
        try:
            self._step(name)
        except OSError as trouble:
            self._broken = f"the disk failed at {name}: {trouble.strerror}"
            raise self._unusable() from None

    def condemn(self, why: str) -> None:
        """Nothing more is read or written through this handle: what it shows cannot be trusted."""
        self._broken = self._broken or why

    def close(self) -> None:
        """The file is closed; the handle cannot be used again."""
        with self._lock:
            self._broken = self._broken or "it was closed"
            if os.getpid() == self._process:
                _close(self._connection)

    def _begin(self) -> None:
        self.step("begin")
        try:
            self._driver.execute("BEGIN IMMEDIATE")
        except DatabaseTrouble as trouble:
            raise self._failed(trouble, "written") from None

    def _run(self, statement: str) -> None:
        try:
            self._driver.execute(statement)
        except DatabaseTrouble as trouble:
            self._broken = f"it could not be synced: {trouble_of(trouble)[1]}"
            raise self._failed(trouble, "written") from None

    def _roll_back(self) -> None:
        try:
            if self._driver.in_transaction:
                self._driver.execute("ROLLBACK")
        except DatabaseTrouble as trouble:
            self._broken = self._broken or f"a rollback failed: {trouble_of(trouble)[1]}"

    def _require_usable(self) -> None:
        if os.getpid() != self._process:
            raise JournalUnavailable("the journal was opened by another process", fix="open it again after a fork")
        if self._broken:
            raise self._unusable()

    def _require_same_file(self) -> None:
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

    def _unusable(self) -> JournalUnavailable:
        return JournalUnavailable(
            f"the journal is shut after a failure: {self._broken}",
            fix="no new order is possible; open orders stand as they are: look at the disk, then start again",
        )


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
    if connection is None:
        return
    try:
        connection.close()
        connection.engine.dispose()
    except DatabaseTrouble:
        return  # what it held is durable already or was never promised
