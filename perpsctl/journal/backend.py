"""What every back end of the journal does alike: one thread at a time, named steps, and a handle that failed is done.

After a failed write nobody knows what is on disk, so nothing more is written through this handle (J2, D1, D3); waiting for
another writer is bounded and harmless (D2). The back ends themselves are `database` (SQLite) and `shared` (PostgreSQL); no
error of their libraries leaves them.
"""

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.sql import Executable
from sqlalchemy.sql.expression import ClauseElement

from perpsctl.domain.errors import InvariantBroken, JournalUnavailable

Step = Callable[[str], None]


def no_step(name: str) -> None:
    """What happens at a named step of a write when nobody watches."""


class Undone(JournalUnavailable):
    """The database took the whole transaction back, or never had it: nothing was written and nothing was sent (X4)."""


class CommitUnknown(JournalUnavailable):
    """The connection ended at the commit: the rows stand or they do not, and only reading again can tell (X2)."""


class Backend(ABC):
    """An open journal, wherever its rows are. One thread at a time; never used across a fork (P9)."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._broken = ""

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
            if self._in_transaction():
                raise InvariantBroken("a write inside a write of the journal")
            self.step("begin")
            self._begin()
            try:
                self._require_same_place()
                yield
                self.step("commit")
                self._commit()
                self.step("committed")
            except BaseException:
                self._roll_back()
                raise

    @property
    @abstractmethod
    def place(self) -> str:
        """Where the journal is, for the operator; never a secret."""

    @abstractmethod
    def execute(
        self, statement: Executable, values: Mapping[str, object] | Sequence[Mapping[str, object]] | None = None
    ) -> None:
        """Run one writing statement inside `writing`."""

    @abstractmethod
    def rows(self, statement: Executable, values: Mapping[str, object] | None = None) -> list[Row[Any]]:
        """All rows of a select."""

    @abstractmethod
    def often(
        self, statement: ClauseElement, values: Mapping[str, object], *, verb: str = "read"
    ) -> list[tuple[Any, ...]]:
        """As `rows`, for the few statements that every write runs: rendered once per handle, answered as plain tuples."""

    @abstractmethod
    def schema_number(self) -> int:
        """The number of the schema it has; an error when it is no journal of ours."""

    @abstractmethod
    def take_schema(self, number: int, work: Callable[[Connection], None]) -> None:
        """Inside `writing`: what `work` changes and the number that stands for it, committed together."""

    @abstractmethod
    def keep_aside(self, number: int) -> str | None:
        """A copy of the journal with the schema `number` is kept beside it, and this is its name; None where none is ours."""

    @abstractmethod
    def storage_problem(self) -> str | None:
        """What the back end finds wrong with its own storage, indexes included; None when nothing."""

    def form_problem(self) -> str | None:
        """What of its form is not as we made it, where `storage_problem` does not tell; None when nothing."""
        return None

    @abstractmethod
    def size_bytes(self) -> int:
        """How much it takes where it lies."""

    def knows_key(self, fingerprint: str) -> bool:
        """True when nothing is left to note of the audit key; corrupt when another key seals these rows."""
        return True

    def keep_key(self, fingerprint: str) -> None:
        """Inside `writing`: hosts that come later are held to the audit key of this fingerprint."""
        self.knows_key(fingerprint)

    def time(self) -> datetime | None:
        """The database's own clock, where it has one that all its hosts share (X8); None where the host's is meant."""
        return None

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
        """It is closed; the handle cannot be used again."""
        with self._lock:
            self._broken = self._broken or "it was closed"
            if os.getpid() == self._process:
                self._disconnect()

    # --- what a back end brings ---------------------------------------------------------------------------

    @abstractmethod
    def _in_transaction(self) -> bool: ...

    @abstractmethod
    def _begin(self) -> None:
        """Alone with the journal from now on, or JournalUnavailable and nothing happened."""

    @abstractmethod
    def _commit(self) -> None:
        """Durable, or an error: Undone and CommitUnknown where that can be told."""

    @abstractmethod
    def _roll_back(self) -> None:
        """Nothing of the transaction stands, if one is open; never raises."""

    @abstractmethod
    def _require_same_place(self) -> None:
        """It is still the journal that was opened; else nothing more is written through this handle."""

    @abstractmethod
    def _disconnect(self) -> None:
        """What was open is closed; never raises."""

    # --- inside -------------------------------------------------------------------------------------------

    def _require_usable(self) -> None:
        if os.getpid() != self._process:
            raise JournalUnavailable("the journal was opened by another process", fix="open it again after a fork")
        if self._broken:
            raise self._unusable()

    def _unusable(self) -> JournalUnavailable:
        return JournalUnavailable(
            f"the journal is shut after a failure: {self._broken}",
            fix="no new order is possible; open orders stand as they are: look at the disk, then start again",
        )


def close_quietly(connection: Connection | None, trouble: tuple[type[Exception], ...]) -> None:
    """The connection and its engine are closed, whatever they say to it."""
    if connection is None:
        return
    try:
        connection.close()
        connection.engine.dispose()
    except trouble:
        return  # what it held is durable already or was never promised
