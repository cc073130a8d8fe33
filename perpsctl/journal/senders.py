"""The kill switch's gate over several hosts: senders hold a lock of the shared database from their last look to their last byte.

The local gate is passed first and held as well. A halt that stands in the shared journal shuts this one; so does a database
that cannot be asked. An exit whose intent stands in the spool never comes here: the way out does not wait for a database.
"""

from datetime import timedelta
from types import TracebackType

from perpsctl.domain.errors import JournalUnavailable
from perpsctl.domain.ports import Gate, GateShut
from perpsctl.journal.backend import Backend
from perpsctl.journal.shared import SharedDatabase
from perpsctl.journal.store import SqlJournal

SENDERS_MAY_TAKE = timedelta(seconds=1)  # design 7: engage waits this long for senders, then names them


class SharedGate:
    """One send's gate: the local one, then the database's."""

    def __init__(self, local: Gate, journal: SqlJournal, database: SharedDatabase) -> None:
        self._local = local
        self._journal = journal
        self._database = database

    def __enter__(self) -> None:
        self._local.__enter__()
        try:
            self._enter_shared()
        except BaseException:
            self._local.__exit__(None, None, None)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._database.end_sending()
        finally:
            self._local.__exit__(kind, error, trace)

    def _enter_shared(self) -> None:
        """Locked, and then looked: an engage that records its halt later waits for us, an earlier one is seen (R1)."""
        try:
            self._database.begin_sending(SENDERS_MAY_TAKE)
        except JournalUnavailable as ill:
            raise GateShut(f"the kill switch of the shared journal cannot be asked: {ill.message}") from None
        try:
            halted = self._journal.log.fresh().halted.engaged
        except JournalUnavailable as ill:
            self._database.end_sending()
            raise GateShut(f"the kill switch of the shared journal cannot be read: {ill.message}") from None
        except BaseException:
            self._database.end_sending()
            raise
        if halted:
            self._database.end_sending()
            raise GateShut("the kill switch is engaged (in the shared journal)")


def shared_database(journal: SqlJournal) -> SharedDatabase | None:
    """The database of a journal that hosts share; None for a journal of this host's own."""
    database: Backend = journal.log.database
    return database if isinstance(database, SharedDatabase) else None


def wait_for_senders(journal: SqlJournal) -> tuple[str, ...]:
    """Empty when every send that passed a gate before the halt was recorded is over, on every host; else who may still send.

    To be called when the halt stands in the journal. JournalUnavailable when the database cannot be asked.
    """
    database = shared_database(journal)
    return () if database is None else database.wait_for_senders(SENDERS_MAY_TAKE)
