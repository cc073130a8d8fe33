"""Exits sent while the journal was broken: one synced line each, taken into the journal when it opens again.

The way out never waits for the journal, and yet stays on record: what cannot even be spooled raises, the caller says so and
goes on. Taking in is idempotent; lines leave only after their rows are durable.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

from perpsctl.domain.errors import InvariantBroken, JournalUnavailable
from perpsctl.domain.ids import AccountKey, IntentId
from perpsctl.domain.numbers import Size
from perpsctl.domain.orders import Accepted, EditIntent, NotSent, OrderIntent, Rejected, SubmitOutcome, Unknown
from perpsctl.domain.ports import Clock, EventKind
from perpsctl.domain.verdicts import Approved, ApprovedChange
from perpsctl.journal.audit import sync_folder
from perpsctl.journal.codec import Unreadable, dumps, loads
from perpsctl.journal.entries import IntentEntry, Kind, terms_of

if TYPE_CHECKING:
    from perpsctl.journal.store import SqlJournal

SPOOL_FOLDER = "spool"
LOCK_TRIES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolLine:
    """One line: a decision taken, or an outcome of one."""

    account: str
    decided: IntentEntry | None
    intent_id: IntentId
    outcome: Accepted | Rejected | NotSent | Unknown | None


class Spool:
    """The spool of one account, beside the latch."""

    def __init__(self, folder: Path, account: AccountKey, clock: Clock) -> None:
        self._folder = folder / SPOOL_FOLDER
        self._path = self._folder / f"exits-{crc32(account.encode()):08x}.jsonl"
        self._account = account
        self._clock = clock

    def keep_decision(
        self, intent: OrderIntent | EditIntent, sent_size: Size, verdict: Approved | ApprovedChange
    ) -> None:
        """The decision is durable before anything is sent; JournalUnavailable when not even this works."""
        entry = IntentEntry(intent=intent, sent_size=sent_size, terms=terms_of(verdict), denied=None, spooled=True)
        self._append(SpoolLine(account=self._account, decided=entry, intent_id=intent.id, outcome=None))

    def keep_outcome(self, intent_id: IntentId, outcome: SubmitOutcome) -> None:
        """The outcome is durable; JournalUnavailable otherwise."""
        self._append(SpoolLine(account=self._account, decided=None, intent_id=intent_id, outcome=outcome))

    def waiting(self) -> int:
        """Lines that are not in the journal yet."""
        try:
            return self._path.read_bytes().count(b"\n")
        except FileNotFoundError:
            return 0
        except OSError as trouble:
            raise _unusable(trouble) from None

    def import_into(self, journal: "SqlJournal") -> int:
        """Everything spooled is in the journal, and gone from the spool; answers how many lines there were."""
        if not self._path.exists():
            return 0
        try:
            with self._locked() as held:
                lines = _read_all(held).splitlines()
                if lines:
                    self._take_in(journal, lines)
                    os.ftruncate(held, 0)
                    os.fsync(held)
        except OSError as trouble:
            raise _unusable(trouble) from None
        return len(lines)

    def _take_in(self, journal: "SqlJournal", lines: list[bytes]) -> None:
        read = [_line(each) for each in lines]
        good = [line for line in read if line is not None and line.account == self._account]
        journal.log.retried(lambda: _add_decisions(journal, good))
        for line in good:
            if line.outcome is not None:
                try:
                    journal.record_outcome(line.intent_id, line.outcome)
                except InvariantBroken as odd:  # its decision never reached the disk, or was a denial
                    journal.record_event(
                        EventKind.ALARM,
                        {"what": "spooled_outcome_without_intent", "intent": line.intent_id, "why": odd.message},
                    )
        unread = len(read) - len(good)
        if unread:
            journal.record_event(EventKind.ALARM, {"what": "spool_lines_unreadable", "lines": unread})

    def _append(self, line: SpoolLine) -> None:
        try:
            made = not self._folder.exists()
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._locked() as held:
                size = os.fstat(held).st_size
                torn = size > 0 and os.pread(held, 1, size - 1) != b"\n"  # a crash cut the line before
                content = (b"\n" if torn else b"") + dumps(line).encode("ascii") + b"\n"
                while content:
                    content = content[os.write(held, content) :]
                os.fsync(held)
            sync_folder(self._folder)
            if made:
                sync_folder(self._folder.parent)
        except OSError as trouble:
            raise _unusable(trouble) from None

    @contextmanager
    def _locked(self) -> Iterator[int]:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        held = os.open(self._path, flags, 0o600)
        try:
            for _ in range(LOCK_TRIES):
                try:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    self._clock.sleep(timedelta(milliseconds=5))
            else:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield held
        finally:
            os.close(held)


def _add_decisions(journal: "SqlJournal", lines: list[SpoolLine]) -> None:
    with journal.log.transaction() as batch:
        taken: set[IntentId] = set()
        for line in lines:
            entry = line.decided
            if entry is None or line.intent_id in taken or journal.log.find(line.intent_id) is not None:
                continue
            taken.add(line.intent_id)
            kind = Kind.EDIT if isinstance(entry.intent, EditIntent) else Kind.INTENT
            batch.add(kind, dumps(entry), intent_id=line.intent_id)


def _read_all(held: int) -> bytes:
    return os.pread(held, os.fstat(held).st_size, 0)


def _line(text: bytes) -> SpoolLine | None:
    try:
        return loads(SpoolLine, text.decode("ascii"))
    except (Unreadable, UnicodeDecodeError):
        return None


def _unusable(trouble: OSError) -> JournalUnavailable:
    return JournalUnavailable(
        f"the exit spool cannot be used: {trouble.strerror}",
        fix="what was sent stands at the venue: compare with `perpsctl order list` and `positions list`",
    )
