"""Exits sent while the journal was broken are on record as soon as it opens again, once (design 5)."""

import json
import os
import stat
from pathlib import Path

import pytest

from perpsctl.domain.errors import JournalUnavailable
from perpsctl.domain.ids import AccountKey
from perpsctl.domain.orders import NotSent, Road
from perpsctl.domain.ports import EventKind
from perpsctl.domain.reports import IntentStage
from perpsctl.journal.opening import JOURNAL_FILE
from perpsctl.journal.spool import SPOOL_FOLDER, Spool
from perpsctl.journal.store import SqlJournal
from tests.unit.journal.fakes import ACCOUNT, FakeClock, a_journal, accepted, an_intent, approved, yes

NOT_SENT = NotSent(reason="refused", evidence="connection refused")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "sim"


@pytest.fixture
def spool(folder: Path) -> Spool:
    return Spool(folder, ACCOUNT, FakeClock())


def spooled(spool: Spool, id_: str = "intent-0001") -> None:
    intent = an_intent(id_, road=Road.EXIT)
    spool.keep_decision(intent, intent.size, approved(intent))


def alarms(journal: SqlJournal) -> list[str]:
    return [json.loads(each.payload)["what"] for each in journal.events(kind=EventKind.ALARM)]


def test_a_spooled_exit_is_in_doubt_in_the_next_journal_and_gone_from_the_spool(folder: Path, spool: Spool) -> None:
    spooled(spool)
    assert spool.waiting() == 1
    journal = a_journal(folder)
    (record,) = journal.in_doubt()
    assert (record.intent, record.stage) == (an_intent(road=Road.EXIT), IntentStage.COMMITTED)
    assert journal.booked().live[0].remaining == record.sent_size
    assert spool.waiting() == 0
    journal.close()
    journal = a_journal(folder)
    assert len(journal.intents()) == 1
    assert journal.check(full=True).sound
    journal.close()


def test_outcomes_are_taken_in_after_their_decisions(folder: Path, spool: Spool) -> None:
    spooled(spool, "intent-0001")
    spool.keep_outcome(an_intent("intent-0001").id, accepted())
    spooled(spool, "intent-0002")
    spool.keep_outcome(an_intent("intent-0002").id, NOT_SENT)
    journal = a_journal(folder)
    stages = {record.intent.id: record.stage for record in journal.intents()}
    assert stages == {"intent-0001": IntentStage.WORKING, "intent-0002": IntentStage.NOT_SENT}
    journal.close()


def test_taking_in_twice_books_once(folder: Path, spool: Spool) -> None:
    """A crash after the rows are durable and before the spool is emptied."""
    spooled(spool)
    spool.keep_outcome(an_intent().id, accepted())
    (path,) = (folder / SPOOL_FOLDER).iterdir()
    content = path.read_bytes()
    a_journal(folder).close()
    path.write_bytes(content + content)
    journal = a_journal(folder)
    assert len(journal.intents()) == 1
    assert [each.kind for each in journal.events()] == ["outcome", "intent"]
    journal.close()


def test_an_outcome_for_an_intent_already_in_the_journal_is_booked(folder: Path, spool: Spool) -> None:
    journal = a_journal(folder)
    intent = an_intent()
    journal.decide(intent, intent.size, yes(intent))
    journal.close()
    spool.keep_outcome(intent.id, accepted())
    journal = a_journal(folder)
    assert [record.stage for record in journal.intents()] == [IntentStage.WORKING]
    journal.close()


def test_a_line_cut_by_a_crash_is_alarmed_and_costs_no_other(folder: Path, spool: Spool) -> None:
    spooled(spool, "intent-0001")
    (path,) = (folder / SPOOL_FOLDER).iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    spooled(spool, "intent-0002")
    spool.keep_outcome(an_intent("intent-0099").id, accepted())
    journal = a_journal(folder)
    assert sorted(record.intent.id for record in journal.intents()) == ["intent-0001", "intent-0002"]
    assert sorted(alarms(journal)) == ["spool_lines_unreadable", "spooled_outcome_without_intent"]
    journal.close()


def test_another_accounts_spool_waits_for_its_own_journal(folder: Path) -> None:
    other = Spool(folder, AccountKey("us:sim:other"), FakeClock())
    spooled(other)
    journal = a_journal(folder)
    assert journal.intents() == ()
    journal.close()
    assert other.waiting() == 1


def test_spooling_needs_no_journal_and_is_private_S6(folder: Path, spool: Spool) -> None:
    folder.mkdir()
    (folder / JOURNAL_FILE).write_text("broken beyond repair")
    before = os.umask(0)
    try:
        spooled(spool)
    finally:
        os.umask(before)
    (path,) = (folder / SPOOL_FOLDER).iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / SPOOL_FOLDER).stat().st_mode) == 0o700
    assert json.loads(path.read_text())["decided"]["intent"]["id"] == "intent-0001"


def test_a_line_and_its_names_are_synced_before_the_answer_I2(
    folder: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync
    synced: list[str] = []

    def watch(held: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{held}"))
        real(held)

    monkeypatch.setattr(os, "fsync", watch)
    spooled(spool)
    (path,) = (folder / SPOOL_FOLDER).iterdir()
    assert synced == [str(path), str(path.parent), str(folder)]


def test_what_cannot_be_spooled_is_said_D1(folder: Path, spool: Spool, tmp_path: Path) -> None:
    folder.mkdir()
    (folder / SPOOL_FOLDER).write_text("a file where the folder should be")
    with pytest.raises(JournalUnavailable, match="spool cannot be used"):
        spooled(spool)
    (folder / SPOOL_FOLDER).unlink()
    spooled(spool)
    (path,) = (folder / SPOOL_FOLDER).iterdir()
    path.unlink()
    path.symlink_to(tmp_path / "victim")
    with pytest.raises(JournalUnavailable):
        spooled(spool)
    assert not (tmp_path / "victim").exists()
