"""Clean journals of many kinds, opened again and again: no open and no verdict may find fault with one."""

import os
import random
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from perpsctl.domain.errors import JournalUnavailable
from perpsctl.journal.anchor import AnchorFile
from perpsctl.journal.backup import back_up
from perpsctl.journal.info import check_journal
from perpsctl.journal.opening import JOURNAL_FILE, open_journal
from tests.audit.journals import OTHER, audit_of, filled, of_two_accounts
from tests.unit.journal.fakes import ACCOUNT, FakeClock, FakeIds, a_journal, a_mark

VERIFIED_EVERY = 20  # every so many opens are verified whole, by `journal check` and `audit verify`


def _small(folder: Path) -> None:
    filled(folder, 0)


def _one(folder: Path) -> None:
    filled(folder, 1, snapshot=False)


def _usual(folder: Path) -> None:
    filled(folder, 200)


def _without_snapshot(folder: Path) -> None:
    filled(folder, 120, seed=2, snapshot=False)


def long(folder: Path) -> None:
    filled(folder, 1200, seed=3)  # past the number at which a snapshot is made by itself


def _died(folder: Path) -> None:
    """As a killed process leaves it: everything since the beginning is in the write-ahead log."""
    working = folder.parent / "working" / "sim"
    filled(working, 150, seed=4)
    journal = a_journal(working)
    for number in range(20):
        journal.record_mark(a_mark(str(1_000_000 + number)))
    shutil.copytree(working, folder)
    journal.close()


def _vacuumed(folder: Path) -> None:
    """Another tool rewrote every page and took statistics."""
    filled(folder, 180, seed=5)
    with sqlite3.connect(folder / JOURNAL_FILE, isolation_level=None) as database:
        database.execute("VACUUM")
        database.execute("ANALYZE")
    database.close()


def _restored(folder: Path) -> None:
    """A backup that took the journal's place, with the note of the head it was made at."""
    source = folder.parent / "source" / "sim"
    filled(source, 160, seed=6)
    journal = a_journal(source)
    shutil.copytree(source, folder)
    (folder / JOURNAL_FILE).unlink()
    back_up(journal.log, folder / JOURNAL_FILE)
    journal.close()


def _anchored(folder: Path) -> None:
    """Anchored at three lengths, and gone on from."""
    audit = audit_of(folder)
    for records in (50, 90, 130):
        filled(folder, records, seed=7 + records)
        audit.anchor(None)
    filled(folder, 140, seed=8)


def _note_older(folder: Path) -> None:
    """The note beside the journal was not synced when the power went: it is older than the journal."""
    filled(folder, 60, seed=9)
    note = (folder / "journal.head").read_bytes()
    filled(folder, 100, seed=10)
    (folder / "journal.head").write_bytes(note)


Kind = Callable[[Path], None]
KINDS: tuple[Kind, ...] = (
    *(_small, _one, _usual, _without_snapshot, long, _died, _vacuumed, _restored, _anchored, _note_older),
    of_two_accounts,
)


def opened(folder: Path, count: int, *, seed: int = 1, kinds: Sequence[Kind] = KINDS) -> "Opened":
    """`count` opens over clean journals of every kind in `folder`; every so often a record is added in between."""
    chance, result = random.Random(seed), Opened()
    homes = []
    for number, make in enumerate(kinds):
        home = folder / f"{number:02d}"
        home.mkdir()
        make(home / "sim")
        if make is of_two_accounts:
            (home / "two").touch()
        homes.append((make.__name__.strip("_"), home))
    began = time.monotonic()
    for number in range(count):
        name, home = homes[number % len(homes)]
        with result.watched(f"open {number} of {name}"):
            _open_once(home, number, chance)
        result.counts[name] += 1
    result.seconds = time.monotonic() - began
    return result


def _open_once(home: Path, number: int, chance: random.Random) -> None:
    account = OTHER if (home / "two").exists() and number % 2 else ACCOUNT
    anchors = AnchorFile(home / "anchors.jsonl", "sim")
    journal = open_journal(home / "sim", account, clock=FakeClock(), ids=FakeIds(), anchors=anchors)
    try:
        if chance.random() < 0.05:
            journal.record_mark(a_mark(str(1_000_000 + number)))
        if chance.random() < 0.01:
            journal.log.snapshot()
    finally:
        journal.close()
    if number % VERIFIED_EVERY == 0:
        found = check_journal(home / "sim", account, clock=FakeClock(), ids=FakeIds(), full=True, anchors=anchors)
        assert found.sound, found.problem
        verdict = audit_of(home / "sim", anchors=home / "anchors.jsonl").verify()
        assert verdict.sound, verdict
        assert verdict.completeness.sound, verdict


class Opened:
    """How many opens of which kind, and every alarm there was."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.alarms: list[str] = []
        self.seconds = 0.0

    @contextmanager
    def watched(self, what: str) -> Iterator[None]:
        """An alarm inside is noted."""
        try:
            yield
        except (JournalUnavailable, AssertionError) as alarm:
            self.alarms.append(f"{what}: {alarm}")

    @property
    def opens(self) -> int:
        return sum(self.counts.values())


def clear(folder: Path) -> None:
    """Nothing is left of it."""
    shutil.rmtree(folder, ignore_errors=True)
    assert not os.path.lexists(folder)
