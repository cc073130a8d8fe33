"""Damage between two processes: a write-ahead log that is gone or cut, shared memory that is stale, logs nobody can write."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from perpsctl.domain.errors import JournalCorrupt
from perpsctl.domain.ids import AccountKey
from perpsctl.domain.ports import EventKind
from perpsctl.journal.opening import open_journal
from perpsctl.systemports import SystemClock, SystemIds

ACCOUNT = AccountKey("us:sim:damage")


def reopened(folder: Path) -> int:
    """How many rows a fresh handle finds."""
    journal = open_journal(folder, ACCOUNT, clock=SystemClock(), ids=SystemIds())
    try:
        found = journal.check(full=True)
        assert found.sound, found
        return found.rows
    finally:
        journal.close()


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    """The folder of a process that was killed: six rows, the newest of them in the write-ahead log alone."""
    live, left = tmp_path / "live", tmp_path / "left"
    journal = open_journal(live, ACCOUNT, clock=SystemClock(), ids=SystemIds())
    try:
        for number in range(6):
            journal.record_event(EventKind.ALARM, {"what": f"row {number}"})
        shutil.copytree(live, left)
    finally:
        journal.close()
    assert (left / "journal.db-wal").stat().st_size > 0
    left.chmod(0o700)
    return left


def test_D7_a_killed_process_leaves_a_log_that_is_taken_in_whole(cut: Path) -> None:
    assert reopened(cut) == 6


@pytest.mark.parametrize("content", [None, b"", b"\xff" * 32768])
def test_D7_shared_memory_that_is_gone_or_garbage_costs_nothing(cut: Path, content: bytes | None) -> None:
    (cut / "journal.db-shm").unlink()
    if content is not None:
        (cut / "journal.db-shm").write_bytes(content)
    assert reopened(cut) == 6


def test_D7_D10_a_write_ahead_log_that_is_gone_takes_its_rows_along_and_is_noticed(cut: Path) -> None:
    (cut / "journal.db-wal").unlink()
    (cut / "journal.db-shm").unlink()
    with pytest.raises(JournalCorrupt):
        reopened(cut)


@pytest.mark.parametrize("keep", [0, 40, 4096, -1, -4200])
def test_D7_D10_a_write_ahead_log_that_was_cut_is_noticed_by_the_noted_head(cut: Path, keep: int) -> None:
    log = cut / "journal.db-wal"
    log.write_bytes(log.read_bytes()[:keep])
    with pytest.raises(JournalCorrupt):
        reopened(cut)


def test_D7_every_flipped_page_of_the_log_is_noticed(cut: Path) -> None:
    log = cut / "journal.db-wal"
    whole = log.read_bytes()
    for at in range(32 + 24, len(whole), 4096 + 24):
        log.write_bytes(whole[: at + 100] + bytes([whole[at + 100] ^ 0x10]) + whole[at + 101 :])
        for name in ("journal.db-shm",):
            (cut / name).unlink(missing_ok=True)
        fresh = cut.with_name("fresh")
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(cut, fresh)
        fresh.chmod(0o700)
        with pytest.raises(JournalCorrupt):
            reopened(fresh)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_D13_a_log_that_takes_nothing_stops_no_command(perpsctl_home: Path) -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        done = subprocess.run(
            [sys.executable, "-m", "perpsctl.commands.app", "killswitch", "engage", "--format", "json"],
            stdout=subprocess.PIPE, stderr=full, timeout=90, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done
    assert (perpsctl_home / "state" / "sim" / "killswitch.latch").exists()
