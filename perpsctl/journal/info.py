"""Facts about a journal's file for `journal info`, and a check that works where opening is refused."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from perpsctl.domain.errors import JournalCorrupt, JournalUnavailable
from perpsctl.domain.ids import AccountKey, Ids
from perpsctl.domain.ports import Clock, Integrity
from perpsctl.journal.anchor import AnchorFile
from perpsctl.journal.audit import GENESIS, Chain, DamagedAt, read_key
from perpsctl.journal.head import Head, HeadNote
from perpsctl.journal.history import rows_since
from perpsctl.journal.opening import BUSY_TIMEOUT, JOURNAL_FILE, open_backend, open_journal
from perpsctl.journal.schema import SCHEMA, events
from perpsctl.journal.spool import Spool
from perpsctl.journal.store import SqlJournal


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalInfo:
    """What there is. `noted` is the head in the note beside the journal: completeness up to there was proven on opening."""

    path: str  # the file, or the database without its secret
    size_bytes: int  # with its write-ahead log, or its indexes
    schema: int
    account: AccountKey
    rows: int
    head: str
    noted: Head | None
    snapshot_seq: int
    rows_since_snapshot: int
    spooled: int


def journal_info(journal: SqlJournal, folder: Path, clock: Clock) -> JournalInfo:
    """The facts of an open journal."""
    head = journal.log.head()
    snapshot_seq, since = journal.log.snapshot_facts()
    key = read_key(folder)
    return JournalInfo(
        path=journal.log.database.place,
        size_bytes=journal.log.database.size_bytes(),
        schema=SCHEMA,
        account=journal.account,
        rows=head.seq,
        head=head.hash,
        noted=None if key is None else HeadNote(folder, Chain(key)).read(),
        snapshot_seq=snapshot_seq,
        rows_since_snapshot=since,
        spooled=Spool(folder, journal.account, clock).waiting(),
    )


def check_journal(
    folder: Path,
    account: AccountKey,
    *,
    clock: Clock,
    ids: Ids,
    full: bool,
    busy_timeout: timedelta = BUSY_TIMEOUT,
    url: str | None = None,
    anchors: AnchorFile | None = None,
) -> Integrity:
    """What verifying the journal in `folder`, or at `url`, finds, also when it is too damaged to open.

    Raises JournalUnavailable when it could not be looked at: that is no verdict on its content.
    """
    if url is None and not (folder / JOURNAL_FILE).exists():
        raise JournalUnavailable("there is no journal yet", fix="it is made by the first command that needs it")
    try:
        journal = open_journal(
            folder, account, clock=clock, ids=ids, busy_timeout=busy_timeout, url=url, anchors=anchors
        )
    except JournalCorrupt as found:
        return _verdict_without_opening(folder, url, found, clock, busy_timeout)
    try:
        return journal.check(full=full)
    finally:
        journal.close()


def _verdict_without_opening(
    folder: Path, url: str | None, found: JournalCorrupt, clock: Clock, busy_timeout: timedelta
) -> Integrity:
    """The chain read from its first row as far as it can be read; else what opening said."""
    row = found.row if isinstance(found, DamagedAt) else None
    problem = found.message
    rows, head = 0, ""
    try:
        key = read_key(folder)
        database = open_backend(folder, url, clock=clock, busy_timeout=busy_timeout)
    except JournalUnavailable:
        return Integrity(rows=0, verified_from=1, sound=False, first_bad=row, problem=problem, head="")
    try:
        last = database.rows(select(events.c.seq, events.c.hash).order_by(events.c.seq.desc()).limit(1))
        rows, head = (last[0].seq, last[0].hash) if last else (0, "")
        if key is not None:
            bad, told = Chain(key).first_bad(rows_since(database, 1), 0, GENESIS)
            if bad is not None:
                row, problem = bad, told
    except JournalUnavailable as worse:
        problem = worse.message
    finally:
        database.close()
    return Integrity(rows=rows, verified_from=1, sound=False, first_bad=row, problem=problem, head=head)
