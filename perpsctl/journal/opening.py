"""Opens a profile's journal: file, audit key, views, and exits spooled while it was broken."""

from datetime import timedelta
from pathlib import Path

from sqlalchemy import func, select

from perpsctl.domain.ids import AccountKey, Ids
from perpsctl.domain.ports import Clock
from perpsctl.journal.audit import KEY_FILE, Chain, corrupt, make_key, read_key
from perpsctl.journal.database import Database, Step, no_step
from perpsctl.journal.head import HeadNote
from perpsctl.journal.log import Log
from perpsctl.journal.schema import events
from perpsctl.journal.spool import Spool
from perpsctl.journal.store import SqlJournal

JOURNAL_FILE = "journal.db"
BUSY_TIMEOUT = timedelta(seconds=5)


def open_journal(
    folder: Path,
    account: AccountKey,
    *,
    clock: Clock,
    ids: Ids,
    busy_timeout: timedelta = BUSY_TIMEOUT,
    step: Step = no_step,
) -> SqlJournal:
    """The journal in a profile's state folder, verified from its last snapshot on, for one account of it.

    JournalUnavailable when it cannot be used, JournalCorrupt when it contradicts itself; trading is then shut and the way
    out open. `busy_timeout` bounds every wait for another writer; `step` is where tests fail the disk.
    """
    database = Database.open(folder / JOURNAL_FILE, clock=clock, busy_timeout=busy_timeout, step=step)
    try:
        chain = Chain(_key(folder, database, ids))
        journal = SqlJournal(Log(database, chain, HeadNote(folder, chain), account, clock))
        Spool(folder, account, clock).import_into(journal)
    except BaseException:
        database.close()
        raise
    return journal


def _key(folder: Path, database: Database, ids: Ids) -> bytes:
    """The audit key; made with the first row's journal, never for one that has rows."""
    key = read_key(folder)
    if key is not None:
        return key
    with database.writing():
        key = read_key(folder)
        if key is not None:
            return key
        if database.rows(select(func.count()).select_from(events))[0][0]:
            raise corrupt(None, f"its rows are sealed and {KEY_FILE} is missing")
        return make_key(folder, ids)
