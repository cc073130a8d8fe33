"""A backup is one file, proven whole before it gets its name; restored, it goes on where the journal was (J3, D9)."""

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from perpsctl.domain.errors import JournalCorrupt, JournalUnavailable, UsageError
from perpsctl.journal.audit import KEY_FILE
from perpsctl.journal.backup import back_up
from perpsctl.journal.lease import Holder, RowLease
from perpsctl.journal.opening import JOURNAL_FILE
from perpsctl.journal.snapshots import state_text
from perpsctl.journal.store import SqlJournal
from tests.postgres import Server
from tests.unit.journal.fakes import FakeIds, a_fill, a_journal, a_mark, accepted, an_intent, yes


@pytest.fixture(params=["sqlite", "postgres"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlJournal]:
    url = None
    if request.param == "postgres":
        server: Server = request.getfixturevalue("postgres_server")
        url = server.url(server.new_database())
    made = a_journal(tmp_path / "sim", url=url)
    for number in range(5):
        intent = an_intent(f"intent-{number:04}")
        made.decide(intent, intent.size, yes(intent))
    made.record_outcome(an_intent("intent-0001").id, accepted())
    made.record_fills([a_fill()])
    made.record_mark(a_mark())
    yield made
    made.close()


def restored(tmp_path: Path, file: Path) -> SqlJournal:
    """As an operator restores: the file and its key in an empty folder."""
    folder = tmp_path / "restored"
    folder.mkdir(mode=0o700)
    shutil.copy(file, folder / JOURNAL_FILE)
    shutil.copy(tmp_path / "sim" / KEY_FILE, folder / KEY_FILE)
    return a_journal(folder)


def test_a_backup_is_one_private_file_that_restores_to_the_same_rows_and_views_J3(
    journal: SqlJournal, tmp_path: Path
) -> None:
    RowLease(journal, Holder.this_process(FakeIds())).acquire()
    file = tmp_path / "elsewhere" / "copy.db"
    file.parent.mkdir(mode=0o755)
    done = back_up(journal.log, file)
    assert (done.rows, done.head, done.file) == (journal.log.head().seq, journal.log.head().hash, str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o755  # a folder of the operator's own stays as it is
    assert os.listdir(file.parent) == ["copy.db"]
    again = restored(tmp_path, file)
    assert state_text(again.log.fresh()) == state_text(journal.log.fresh())
    assert again.check(full=True).sound
    lease = RowLease(again, Holder.this_process(FakeIds("x")))
    assert lease.holder() is not None
    again.close()


def test_a_backup_is_never_written_over_a_file_or_through_a_link(journal: SqlJournal, tmp_path: Path) -> None:
    file = tmp_path / "copy.db"
    file.write_text("precious")
    with pytest.raises(UsageError, match="there already"):
        back_up(journal.log, file)
    assert file.read_text() == "precious"
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="there already"):
        back_up(journal.log, link)
    with pytest.raises(JournalUnavailable, match="cannot be written"):
        back_up(journal.log, tmp_path / "no-folder" / "copy.db")


@pytest.mark.parametrize(
    "harm",
    [
        "DROP TRIGGER events_keep_update; UPDATE events SET payload = payload || ' ' WHERE seq = 3",
        "DROP TRIGGER events_keep_delete; DELETE FROM events WHERE seq > 6",
    ],
)
def test_a_copy_that_cannot_be_proven_leaves_nothing_behind(
    journal: SqlJournal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    """Written and then spoilt, as a bad disk would, before it is read back."""
    from perpsctl.journal import backup

    filled: Callable[..., None] = backup._fill

    def spoilt(log: object, copy: object) -> None:
        filled(log, copy)
        (beside,) = (tmp_path / "out").iterdir()
        with sqlite3.connect(beside) as wrong:
            wrong.executescript(harm)
        wrong.close()

    (tmp_path / "out").mkdir()
    monkeypatch.setattr(backup, "_fill", spoilt)
    with pytest.raises(JournalCorrupt, match="does not hold"):
        back_up(journal.log, tmp_path / "out" / "copy.db")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_empty_journal_has_a_backup_too(tmp_path: Path) -> None:
    empty = a_journal(tmp_path / "sim")
    assert back_up(empty.log, tmp_path / "copy.db").rows == 0
    empty.close()
    again = restored(tmp_path, tmp_path / "copy.db")
    assert again.check(full=True).sound
    again.close()
