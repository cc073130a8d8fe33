"""Opens a profile's journal: file, audit key, views, and exits spooled while it was broken."""

from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import func, select

from perpsctl.domain.errors import JournalUnavailable
from perpsctl.domain.ids import AccountKey, Ids
from perpsctl.domain.ports import Clock
from perpsctl.journal.anchor import AnchorFile
from perpsctl.journal.audit import KEY_FILE, NO_KEY, Chain, corrupt, fingerprint, make_key, read_key
from perpsctl.journal.backend import Backend, Step, no_step
from perpsctl.journal.database import Database
from perpsctl.journal.head import HeadNote
from perpsctl.journal.log import Log
from perpsctl.journal.schema import events
from perpsctl.journal.spool import Spool
from perpsctl.journal.sqlite import prepare_folder
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
    url: str | None = None,
    anchors: AnchorFile | None = None,
) -> SqlJournal:
    """The journal of a profile, verified from its last snapshot on, for one account of it: in its state folder, or at `url`.

    `url` is `postgresql://…`, whose password shows nowhere; audit key, note of the head and spool stay in the folder.

    JournalUnavailable when it cannot be used, JournalCorrupt when it contradicts itself; trading is then shut and the way
    out open: also one that lacks a record which `anchors` names (D9, D10). `busy_timeout` bounds every wait for another
    writer; `step` is where tests fail the disk.
    """
    database = open_backend(folder, url, clock=clock, busy_timeout=busy_timeout, step=step)
    try:
        key = _key(folder, database, ids)
        chain = Chain(key)
        anchored = (
            None if anchors is None else anchors.believed(chain, fingerprint(key))
        )  # before the rows, as the note
        journal = SqlJournal(Log(database, chain, HeadNote(folder, chain), account, clock))
        if anchored is not None:
            journal.log.require_anchored(anchored.head, anchored.at)
        Spool(folder, account, clock).import_into(journal)
    except BaseException:
        database.close()
        raise
    return journal


def open_backend(
    folder: Path, url: str | None, *, clock: Clock, busy_timeout: timedelta = BUSY_TIMEOUT, step: Step = no_step
) -> Backend:
    """The rows, wherever they lie, with a schema of our number; nothing of them is verified yet."""
    if url is None:
        return Database.open(folder / JOURNAL_FILE, clock=clock, busy_timeout=busy_timeout, step=step)
    _require_driver()
    from perpsctl.journal.locks import Address
    from perpsctl.journal.shared import SharedDatabase

    prepare_folder(folder)
    return SharedDatabase.open(Address.read(url), clock=clock, busy_timeout=busy_timeout, step=step)


def unchecked_backend(folder: Path, url: str | None, *, clock: Clock) -> Backend:
    """The rows, wherever they lie, whatever their schema: for bringing it up to date."""
    if url is None:
        return Database.unchecked(folder / JOURNAL_FILE, clock=clock, busy_timeout=BUSY_TIMEOUT)
    _require_driver()
    from perpsctl.journal.locks import Address
    from perpsctl.journal.shared import SharedDatabase

    return SharedDatabase(Address.read(url), clock=clock, busy_timeout=BUSY_TIMEOUT, step=no_step)


def _require_driver() -> None:
    if find_spec("psycopg") is None:
        raise JournalUnavailable(
            "the journal lies on PostgreSQL and its driver is not installed", fix="pip install 'perpsctl[postgres]'"
        )


def _key(folder: Path, database: Backend, ids: Ids) -> bytes:
    """The audit key; made with the first row's journal, never for one that has rows, and one for all who share it."""
    key = read_key(folder)
    if key is not None and database.knows_key(fingerprint(key)):
        return key
    with database.writing():
        key = read_key(folder) or _new_key(folder, database, ids)
        database.keep_key(fingerprint(key))
    return key


def _new_key(folder: Path, database: Backend, ids: Ids) -> bytes:
    database.knows_key(NO_KEY)
    if database.rows(select(func.count()).select_from(events))[0][0]:
        raise corrupt(None, f"its rows are sealed and {KEY_FILE} is missing")
    return make_key(folder, ids)
