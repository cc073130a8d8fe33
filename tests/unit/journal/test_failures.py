"""Whatever fails, nothing acknowledged is lost, nothing unacknowledged is claimed, and a failed handle is done (J1, J2, D)."""

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from perpsctl.domain.accounts import Booked
from perpsctl.domain.errors import JournalUnavailable
from perpsctl.domain.orders import Unknown
from perpsctl.domain.verdicts import Denied
from perpsctl.journal.audit import Row
from perpsctl.journal.fold import State
from perpsctl.journal.info import check_journal
from perpsctl.journal.opening import JOURNAL_FILE
from perpsctl.journal.store import SqlJournal
from tests.unit.journal.fakes import (
    ACCOUNT,
    DENIED,
    FakeClock,
    FakeIds,
    a_fill,
    a_journal,
    a_mark,
    accepted,
    an_intent,
    an_order,
    yes,
)

ROOT = Path(__file__).resolve().parents[3]


class FailsAt:
    """The disk fails at the n-th named step, and works again afterwards: nobody may rely on that."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.where = ""

    def __call__(self, name: str) -> None:
        self.left -= 1
        if self.left == 0:
            self.where = name
            raise OSError(errno.EIO, "Input/output error")


def story(journal: SqlJournal, acknowledged: list[str]) -> None:
    """A few writes; the name of each that returned is noted, as a caller that goes on would rely on it."""
    for number in range(3):
        intent = an_intent(f"intent-{number:04d}")
        journal.decide(intent, intent.size, yes(intent))
        acknowledged.append(f"decided {number}")
        journal.record_outcome(intent.id, accepted(f"order-{number}", an_order(f"order-{number}")))
        acknowledged.append(f"accepted {number}")
        journal.record_fills([a_fill(f"fill-{number}", order=f"order-{number}", size="0.01")])
        acknowledged.append(f"filled {number}")


def on_record(journal: SqlJournal) -> set[str]:
    found = set()
    for record in journal.intents():
        number = int(record.intent.id[-4:])
        found.add(f"decided {number}")
        if record.outcome is not None:
            found.add(f"accepted {number}")
    return found | {f"filled {fill.fill_id[-1]}" for fill in journal.fills()}


def test_each_step_that_fails_ends_the_handle_and_loses_nothing_acknowledged_J1_J2_D3(tmp_path: Path) -> None:
    places = set()
    for at in range(1, 200):
        folder = tmp_path / str(at)
        a_journal(folder).close()
        disk = FailsAt(at)
        journal = a_journal(folder, step=disk)
        acknowledged: list[str] = []
        try:
            story(journal, acknowledged)
        except JournalUnavailable:
            with pytest.raises(JournalUnavailable, match="shut after a failure"):
                journal.record_mark(a_mark())
            with pytest.raises(JournalUnavailable, match="shut after a failure"):
                story(journal, [])
            with pytest.raises(JournalUnavailable, match="shut after a failure"):
                journal.booked()
        journal.close()
        again = a_journal(folder)
        record = on_record(again)
        assert again.check(full=True).sound
        again.close()
        assert set(acknowledged) <= record
        assert len(record) <= len(acknowledged) + 1  # at most the write that failed after its commit
        if not disk.where:
            break
        places.add(disk.where)
    else:
        pytest.fail("the story never ended")
    assert places == {"begin", "insert", "commit", "committed"}


def test_a_real_full_disk_refuses_before_anything_is_sent_D1(tmp_path: Path) -> None:
    """The kernel refuses to let any file grow: the write fails inside SQLite itself."""
    script = f"""
import resource, sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from perpsctl.domain.errors import JournalUnavailable
from tests.unit.journal.fakes import *
journal = a_journal(Path({str(tmp_path / "sim")!r}))
done = 0
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
try:
    for number in range(2000):
        intent = an_intent(f"intent-{{number:05d}}")
        journal.decide(intent, intent.size, yes(intent))
        done += 1
except JournalUnavailable as told:
    assert "could not be written" in told.message or "shut after" in told.message, told.message
else:
    raise SystemExit("the disk was never full")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
try:
    journal.record_mark(a_mark())
except JournalUnavailable as told:
    assert "shut after a failure" in told.message
else:
    raise SystemExit("the failed handle wrote again")
print(done)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    done = int(ran.stdout)
    assert done > 10
    journal = a_journal(tmp_path / "sim")
    assert len(journal.intents()) == done
    assert journal.check(full=True).sound
    journal.close()


CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tests.unit.journal.fakes import *
journal = a_journal(Path(sys.argv[2]))
number = len(journal.intents())
while True:
    intent = an_intent(f"intent-{number:06d}")
    journal.decide(intent, intent.size, yes(intent))
    print(f"decided {number}", flush=True)
    journal.record_outcome(intent.id, accepted(f"order-{number}"))
    print(f"accepted {number}", flush=True)
    if number % 5 == 0:
        journal.log.snapshot()
    number += 1
"""


def test_a_process_killed_at_any_instant_loses_nothing_it_acknowledged_J1_D5(tmp_path: Path) -> None:
    folder = tmp_path / "sim"
    said: set[str] = set()
    for trial in range(8):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(ROOT), str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        said.add(child.stdout.readline().strip())  # it is up
        time.sleep(0.003 + 0.011 * trial)
        os.kill(child.pid, signal.SIGKILL)
        lines = child.stdout.read().splitlines()
        child.wait(timeout=10)
        child.stdout.close()
        said |= {line for line in lines if line[-1:].isdigit()}
        journal = a_journal(folder)
        found = journal.check(full=True)
        assert found.sound, found.problem
        numbers = {f"{'accepted' if r.outcome else 'decided'} {int(r.intent.id[-6:])}" for r in journal.intents()}
        numbers |= {each.replace("accepted", "decided") for each in numbers}
        journal.close()
        assert {each for each in said if not torn(each, numbers)} <= numbers
    assert len(said) > 20


def torn(line: str, numbers: set[str]) -> bool:
    """A line cut by the kill shows the beginning of a longer number."""
    return line not in numbers and any(each.startswith(line) for each in numbers)


def test_a_busy_journal_is_waited_for_then_refused_and_is_well_again_D2(tmp_path: Path) -> None:
    folder = tmp_path / "sim"
    journal = a_journal(folder)
    other = sqlite3.connect(folder / JOURNAL_FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    begun = time.monotonic()
    judged: list[Booked] = []

    def look(booked: Booked) -> Denied:
        judged.append(booked)
        return DENIED

    with pytest.raises(JournalUnavailable, match="nothing was sent"):
        journal.decide(an_intent(), an_intent().size, look)
    assert 0.15 < time.monotonic() - begun < 3
    assert judged == []
    assert journal.booked().live == ()  # reading goes on
    other.execute("ROLLBACK")
    other.close()
    story(journal, [])
    journal.close()


@pytest.mark.parametrize("how", ["removed", "replaced", "folder removed"])
def test_a_file_that_vanishes_under_us_takes_no_more_writes_D8(tmp_path: Path, how: str) -> None:
    folder = tmp_path / "sim"
    journal = a_journal(folder)
    story(journal, [])
    path = folder / JOURNAL_FILE
    if how == "replaced":
        (folder / "other").write_bytes(path.read_bytes())
        os.replace(folder / "other", path)
    else:
        for each in list(folder.iterdir()) if how == "folder removed" else [path]:
            each.unlink()
        if how == "folder removed":
            folder.rmdir()
    for _ in range(2):
        with pytest.raises(JournalUnavailable, match=r"gone|replaced"):
            journal.record_mark(a_mark())
    journal.close()


def test_a_forked_child_cannot_use_its_parents_handle_P9(tmp_path: Path) -> None:
    journal = a_journal(tmp_path / "sim")
    child = os.fork()
    if child == 0:
        try:
            journal.record_mark(a_mark())
        except JournalUnavailable:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    story(journal, [])
    journal.close()


@pytest.mark.parametrize("who", ["writer", "reader"])
def test_views_interrupted_half_way_are_not_judged_by_and_the_rows_are_whole_L4(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    writer, reader = a_journal(tmp_path / "sim"), a_journal(tmp_path / "sim")
    hit = writer if who == "writer" else reader

    def interrupted(self: State, row: Row) -> None:
        if self is hit.log.state:
            raise KeyboardInterrupt
        real(self, row)

    real = State.apply
    monkeypatch.setattr(State, "apply", interrupted)

    def both() -> None:
        writer.record_fills([a_fill()])
        reader.booked()

    with pytest.raises(KeyboardInterrupt):
        both()
    monkeypatch.undo()
    with pytest.raises(JournalUnavailable, match="interrupted"):
        hit.booked()
    again = a_journal(tmp_path / "sim")
    assert len(again.fills()) == 1
    assert again.check(full=True).sound
    for each in (writer, reader, again):
        each.close()


def test_a_closed_journal_says_so(tmp_path: Path) -> None:
    journal = a_journal(tmp_path / "sim")
    journal.close()
    for use in (journal.booked, lambda: journal.record_mark(a_mark())):
        with pytest.raises(JournalUnavailable, match="closed"):
            use()


def test_a_snapshot_that_fails_takes_nothing_back_and_ends_the_handle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perpsctl.journal.log.SNAPSHOT_EVERY", 2)
    count = 0

    def fail_in_the_snapshot(name: str) -> None:
        nonlocal count
        count += name == "begin"
        if count == 3:  # two writes, then the snapshot
            raise OSError(errno.ENOSPC, "No space left on device")

    a_journal(tmp_path / "sim").close()
    journal = a_journal(tmp_path / "sim", step=fail_in_the_snapshot)
    intent = an_intent()
    journal.decide(intent, intent.size, yes(intent))
    journal.record_outcome(intent.id, Unknown(reason="timeout", evidence=""))  # stands, though the snapshot failed
    with pytest.raises(JournalUnavailable):
        journal.booked()
    journal.close()
    again = a_journal(tmp_path / "sim")
    assert [record.outcome is not None for record in again.in_doubt()] == [True]
    again.close()


def test_a_journal_that_could_not_be_made_is_made_by_the_next_D5(tmp_path: Path) -> None:
    for at in range(1, 20):
        folder = tmp_path / str(at)
        disk = FailsAt(at)
        try:
            a_journal(folder, step=disk).close()
        except JournalUnavailable:
            assert disk.where
        journal = a_journal(folder)
        story(journal, [])
        journal.close()
        if not disk.where:
            return
    pytest.fail("never opened")


def test_a_read_only_folder_is_refused_with_words_D8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(JournalUnavailable, match="Read-only file system"):
        a_journal(tmp_path / "sim")


@pytest.fixture
def syscalls(tmp_path: Path) -> Callable[[str], list[str]]:
    """Runs a script under strace and answers the lines of the calls that matter."""
    if not os.access("/usr/bin/strace", os.X_OK):
        pytest.skip("needs strace")

    def run(script: str) -> list[str]:
        out = tmp_path / "strace.txt"
        ran = subprocess.run(
            [
                "/usr/bin/strace",
                "-f",
                "-y",
                "-o",
                str(out),
                "-e",
                "trace=fsync,fdatasync,write,pwrite64",
                sys.executable,
                "-c",
                script,
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if ran.returncode != 0 and "ptrace" in ran.stderr:
            pytest.skip("may not trace here")
        assert ran.returncode == 0, ran.stderr
        return out.read_text(errors="replace").splitlines()

    return run


def test_the_log_is_synced_before_decide_answers_I2(tmp_path: Path, syscalls: Callable[[str], list[str]]) -> None:
    script = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from tests.unit.journal.fakes import *
journal = a_journal(Path({str(tmp_path / "sim")!r}))
intent = an_intent()
os.write(1, b"BEFORE")
journal.decide(intent, intent.size, yes(intent))
os.write(1, b"ANSWERED")
"""
    lines = syscalls(script)
    start = next(number for number, line in enumerate(lines) if '"BEFORE"' in line)
    end = next(number for number, line in enumerate(lines) if '"ANSWERED"' in line)
    between = lines[start:end]
    written = [number for number, line in enumerate(between) if "pwrite64" in line and "-wal>" in line]
    synced = [number for number, line in enumerate(between) if "sync(" in line and "-wal>" in line]
    assert written
    assert synced
    assert synced[-1] > written[-1]


def test_checking_never_makes_a_journal_sound_by_opening_it(tmp_path: Path) -> None:
    journal = a_journal(tmp_path / "sim")
    story(journal, [])
    journal.close()
    found = check_journal(
        tmp_path / "sim", ACCOUNT, clock=FakeClock(), ids=FakeIds(), full=True, busy_timeout=timedelta(seconds=1)
    )
    assert (found.sound, found.rows) == (True, 9)
