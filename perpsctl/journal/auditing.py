"""The audit of a journal: its records as they stand, the verdict on them, anchors and the document for an outsider.

Reads past the views and opens what `open_journal` refuses, for a damaged journal is when an audit is wanted. Nothing here
writes to the journal. Integrity (is every record as it was sealed) and completeness (are the last ones still there) are
separate verdicts: the first needs the key alone, the second a head that was kept elsewhere.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import or_, select

from perpsctl.domain.audits import (
    AnchorMade,
    Audited,
    AuditFilter,
    AuditPage,
    AuditRecord,
    Completeness,
    Damage,
    Tampering,
    Wholeness,
)
from perpsctl.domain.errors import JournalCorrupt, JournalUnavailable, UsageError
from perpsctl.domain.ports import Clock
from perpsctl.domain.text import shown
from perpsctl.journal.anchor import Anchor, Anchored, AnchorFile, require_outside
from perpsctl.journal.audit import GENESIS, KEY_FILE, Chain, Row, corrupt, fingerprint, next_digest, read_key
from perpsctl.journal.backend import Backend
from perpsctl.journal.codec import Unreadable, parse, stamp
from perpsctl.journal.diagnosis import named
from perpsctl.journal.head import Head, HeadNote
from perpsctl.journal.history import PAGE, SINCE, as_row
from perpsctl.journal.opening import JOURNAL_FILE, open_backend, unchecked_backend
from perpsctl.journal.schema import events, snapshots

BEGINNING = Head(seq=0, hash=GENESIS)


class Unread(JournalUnavailable):
    """A record cannot be read from where it lies."""

    def __init__(self, seq: int, why: JournalUnavailable) -> None:
        super().__init__(why.message, fix=why.fix)
        self.seq = seq


class Audit:
    """The audit of one profile's journal."""

    def __init__(self, *, profile: str, folder: Path, url: str | None, anchors: Path, clock: Clock) -> None:
        self.profile = profile
        self._folder = folder
        self._url = url
        self._anchors = anchors
        self._clock = clock

    # --- what the commands ask --------------------------------------------------------------------------------

    def page(self, wanted: AuditFilter) -> AuditPage:
        """The newest records that fit. JournalUnavailable when they cannot be read."""
        key = read_key(self._folder)
        chain = None if key is None else Chain(key)
        query = select(events).order_by(events.c.seq.desc()).limit(wanted.limit + 1)
        for condition in _conditions(wanted):
            query = query.where(condition)
        with self._opened() as (database, _):
            rows = [as_row(found) for found in database.rows(query)]
        told = tuple(_record(row, None if chain is None else chain.sealed(row)) for row in rows[: wanted.limit])
        return AuditPage(records=told, next_before=told[-1].seq if len(rows) > wanted.limit else None)

    def verify(self, anchors: Path | None = None) -> Audited:
        """Both verdicts on the whole journal, against the profile's anchors or those in `anchors`.

        UsageError when `anchors` holds none of this profile; JournalUnavailable when there is nothing that could be judged.
        """
        key = self._key()
        chain = Chain(key)
        noted = HeadNote(self._folder, chain).read()  # both before the rows, which may only have grown since
        anchored = self._anchored(anchors, chain, fingerprint(key))
        if self._gone():
            walked = Walked() if noted is not None or anchored.anchors or anchored.problem else self._no_journal()
        else:
            with self._opened(fingerprint(key)) as (database, trouble):
                reached = max((head.seq for head in _heads(noted, anchored)), default=0)
                walked = walk(database, chain, _heads(noted, anchored), reached=reached)
                walked = replace(walked, problem=walked.problem or trouble or _besides_rows(database, chain))
        return Audited(
            rows=walked.rows,
            head=walked.head.hash,
            digest=walked.digest,
            damage=walked.damage,
            problem=walked.problem,
            completeness=wholeness(walked, noted, anchored),
        )

    def anchor(self, out: Path | None) -> AnchorMade:
        """The head of a journal verified whole, durable in `out` or the profile's anchors file.

        JournalCorrupt, and nothing written, where either verdict is against it.
        """
        target = self._anchors if out is None else out
        require_outside(target, self._folder)
        key = self._key()
        found = self.verify()
        require_sound(found)
        made = self._anchor_of(found, fingerprint(key))
        AnchorFile(target, self.profile).add(made, Chain(key))
        return AnchorMade(
            file=str(target),
            seq=made.seq,
            hash=made.hash,
            digest=made.digest,
            at=made.at,
            profile=made.profile,
            account=made.account,
            key=made.key,
        )

    # --- what an export is made of ----------------------------------------------------------------------------

    def head_line(self, found: Audited) -> dict[str, Any]:
        """The anchor of a sound journal as it is written."""
        key = self._key()
        return dict(self._anchor_of(found, fingerprint(key)).sealed(Chain(key)))

    def now(self) -> str:
        """The moment, as it is written."""
        return stamp(self._clock.now())

    @property
    def key(self) -> str:
        """The fingerprint of the audit key."""
        return fingerprint(self._key())

    def records(self, up_to: int) -> Iterator[Row]:
        """Every record as it stands, up to a number; ends before one that cannot be read."""
        with self._opened() as (database, _), suppress(Unread):
            for row in rows_as_far(database):
                if row.seq > up_to:
                    return
                yield row

    # --- inside -------------------------------------------------------------------------------------------------

    def _anchor_of(self, found: Audited, key: str) -> Anchor:
        account = ""
        if found.rows:
            with self._opened() as (database, _):
                account = database.rows(select(events.c.account).where(events.c.seq == found.rows))[0][0]
        return Anchor(
            seq=found.rows,
            hash=found.head,
            digest=found.digest,
            at=self._clock.now(),
            profile=self.profile,
            account=account,
            key=key,
        )

    def _anchored(self, file: Path | None, chain: Chain, key: str) -> Anchored:
        if file is None:
            return AnchorFile(self._anchors, self.profile).read(chain, key)
        given = AnchorFile(file, self.profile)
        found = given.read(chain, key)
        if not given.exists() or (not found.anchors and not found.problem):
            raise UsageError(
                f"{shown(file)} holds no anchor of profile {self.profile}", fix="make one with `perpsctl audit anchor`"
            )
        return found

    def _key(self) -> bytes:
        key = read_key(self._folder)
        if key is not None:
            return key
        if self._gone() and not AnchorFile(self._anchors, self.profile).exists():
            self._no_journal()
        raise corrupt(None, f"{KEY_FILE} is missing, and without it no record can be judged")

    def _gone(self) -> bool:
        return self._url is None and not (self._folder / JOURNAL_FILE).exists()

    def _no_journal(self) -> "Walked":
        raise JournalUnavailable("there is no journal yet", fix="it is made by the first command that needs it")

    @contextmanager
    def _opened(self, key: str = "") -> Iterator[tuple[Backend, str]]:
        """The rows wherever they lie, and what the back end found wrong with them before one was read."""
        if self._gone():
            self._no_journal()
        trouble = ""
        try:
            database = open_backend(self._folder, self._url, clock=self._clock)
        except JournalCorrupt as found:
            trouble = found.message
            database = unchecked_backend(self._folder, self._url, clock=self._clock)
        try:
            if key:
                database.knows_key(key)
            yield database, trouble
        finally:
            database.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """What one pass over every row found; `seen` are hash and digest at the rows that were asked about."""

    rows: int = 0
    head: Head = BEGINNING
    digest: str = GENESIS
    seen: tuple[tuple[int, str], ...] = ()
    damage: Damage | None = None
    problem: str = ""


def walk(database: Backend, chain: Chain, asked: Sequence[Head] = (), *, reached: int = 0) -> Walked:
    """Every row read and verified onto the one before, on to the end also behind a bad one."""
    wanted = {head.seq for head in asked}
    seen: list[tuple[int, str]] = []
    good, last, digest = BEGINNING, BEGINNING, GENESIS
    bad: Row | None = None
    damage: Damage | None = None
    try:
        for row in rows_as_far(database):
            if bad is None and chain.problem(row, good.seq, good.hash) is not None:
                bad = row
            if bad is None:
                good, digest = Head(seq=row.seq, hash=row.hash), next_digest(digest, row)
            last = Head(seq=row.seq, hash=row.hash)
            if row.seq in wanted:
                seen.append((row.seq, row.hash))
        if bad is not None:
            damage = named(chain, good, bad, rows_as_far(database), reached=reached)
    except Unread as found:
        seq = good.seq + 1 if bad is not None else found.seq
        damage = Damage(row=seq, what=Tampering.CHANGED, detail=f"it cannot be read: {found.message}")
    problem = "" if damage is None else f"record {damage.row} {damage.what.value}: {damage.detail}"
    return Walked(rows=last.seq, head=last, digest=digest, seen=tuple(seen), damage=damage, problem=problem)


def rows_as_far(database: Backend) -> Iterator[Row]:
    """Every row in order; Unread names the first that cannot be read, after all before it."""
    seq = 1
    while True:
        try:
            page = database.often(SINCE, {"seq": seq})
        except JournalUnavailable as trouble:
            yield from _singly(database, seq, trouble)
            return
        for found in page:
            yield as_row(found)
        if len(page) < PAGE:
            return
        seq = page[-1][0] + 1


def _singly(database: Backend, seq: int, trouble: JournalUnavailable) -> Iterator[Row]:
    """The rows of a page that cannot be read at once; ends in Unread, at the latest a page on."""
    for number in range(seq, seq + PAGE):
        try:
            found = database.rows(select(events).where(events.c.seq == number))
        except JournalUnavailable as why:
            raise Unread(number, why) from None
        if not found:
            break  # gone, or out of reach: the record that should stand here is the first that is missing
        yield as_row(found[0])
        seq = number + 1
    raise Unread(seq, trouble)


def _besides_rows(database: Backend, chain: Chain) -> str:
    """What is wrong with the pages, the tables' form or the snapshots of a journal whose records are well; empty if nothing."""
    try:
        problem = database.storage_problem() or database.form_problem()
        if problem is not None:
            return problem
        for kept in database.rows(select(snapshots)):
            if chain.state_hash(kept.account, kept.seq, kept.chain, kept.state) != kept.hash:
                return f"the snapshot at record {kept.seq} was changed"
    except JournalUnavailable as trouble:
        return trouble.message
    return ""


def _heads(noted: Head | None, anchored: Anchored) -> tuple[Head, ...]:
    heads = [anchor.head for anchor in anchored.anchors]
    return tuple(sorted([*heads, *([] if noted is None else [noted])], key=lambda head: head.seq))


def wholeness(walked: Walked, noted: Head | None, anchored: Anchored) -> Wholeness:
    """Whether every row that was noted or anchored is there, as `walk` saw them."""
    seen, up_to, count = dict(walked.seen), 0, len(anchored.anchors)
    for head in _heads(noted, anchored):
        if head.seq > walked.rows:
            missing = walked.rows + 1
            gone = f"record {missing} is" if head.seq == missing else f"records {missing} to {head.seq} are"
            told = f"{gone} gone: the end was cut or lost, or an older copy was restored"
            return Wholeness(
                state=Completeness.TRUNCATED, up_to=up_to, anchors=count, first_missing=missing, problem=told
            )
        there = head.seq == 0 or seen.get(head.seq) == head.hash
        blamed = walked.damage is not None and head.seq >= walked.damage.row  # that damage is told already
        if not there and not blamed:
            told = (
                f"record {head.seq} is not the one that was anchored, record {up_to} still is: "
                "an older copy was restored and gone on from"
            )
            return Wholeness(
                state=Completeness.REPLACED, up_to=up_to, anchors=count, first_missing=up_to + 1, problem=told
            )
        up_to = head.seq if there else up_to
    if anchored.problem:
        return Wholeness(state=Completeness.UNPROVEN, up_to=up_to, anchors=count, problem=anchored.problem)
    state = Completeness.ANCHORED if count else Completeness.NOTED if noted is not None else Completeness.NOT_ANCHORED
    return Wholeness(state=state, up_to=up_to, anchors=count)


def require_sound(found: Audited) -> None:
    """JournalCorrupt, naming the first bad record, where either verdict is against the journal."""
    if not found.sound:
        raise corrupt(None if found.damage is None else found.damage.row, found.problem)
    if not found.completeness.sound:
        raise corrupt(found.completeness.first_missing, found.completeness.problem)


def _record(row: Row, sealed: bool | None) -> AuditRecord:
    try:
        payload: Mapping[str, object] | None = parse(row.payload)
    except (Unreadable, TypeError):
        payload = None
    return AuditRecord(
        seq=row.seq,
        account=row.account,
        kind=row.kind,
        at=row.at,
        intent_id=row.intent_id,
        venue_order_id=row.venue_order_id,
        ref=row.ref,
        occurred=row.occurred,
        payload=payload,
        hash=row.hash,
        sealed=sealed,
    )


def _conditions(wanted: AuditFilter) -> Iterator[Any]:
    if wanted.since is not None:
        yield events.c.at >= stamp(wanted.since)
    if wanted.until is not None:
        yield events.c.at < stamp(wanted.until)
    if wanted.kind is not None:
        yield events.c.kind == wanted.kind
    if wanted.id is not None:
        yield or_(
            *(column.startswith(wanted.id, autoescape=True) for column in (events.c.intent_id, events.c.venue_order_id))
        )
    if wanted.before is not None:
        yield events.c.seq < wanted.before
