"""One request budget for every process with the same key; a courtesy that never makes a cancel wait."""

import fcntl
import os
from datetime import timedelta
from pathlib import Path

import pytest

from perpsctl.domain.errors import RateLimited
from perpsctl.exchange.pacing import Pacer, Priority
from perpsctl.exchange.shelves import FileShelf
from tests.unit.exchange.parts import FakeClock

PER_SECOND = 30
FOR_READS = PER_SECOND - PER_SECOND * 3 // 10


def a_pacer(clock: FakeClock, path: Path) -> Pacer:
    return Pacer(clock, private_per_second=PER_SECOND, shelf=FileShelf(path))


def reads_until_full(pacer: Pacer, clock: FakeClock) -> int:
    """How many reads go through without waiting."""
    for count in range(1000):
        try:
            pacer.take(Priority.READ, signed=True, until_ns=clock.monotonic_ns())
        except RateLimited:
            return count
    pytest.fail("the budget has no end")


def test_two_processes_share_one_budget(tmp_path: Path) -> None:
    clock = FakeClock()
    one, other = a_pacer(clock, tmp_path / "b"), a_pacer(clock, tmp_path / "b")
    for _ in range(10):
        one.take(Priority.READ, signed=True, until_ns=clock.monotonic_ns())
    assert reads_until_full(other, clock) == FOR_READS - 10
    assert reads_until_full(one, clock) == 0


def test_L2_cancels_keep_their_reserve_of_the_shared_budget(tmp_path: Path) -> None:
    clock = FakeClock()
    one, other = a_pacer(clock, tmp_path / "b"), a_pacer(clock, tmp_path / "b")
    reads_until_full(one, clock)
    for _ in range(PER_SECOND - FOR_READS):
        other.take(Priority.CANCEL, signed=True, until_ns=clock.monotonic_ns())


def test_a_lock_somebody_sits_on_makes_nobody_wait(tmp_path: Path) -> None:
    clock = FakeClock()
    path = tmp_path / "b"
    stuck = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(stuck, fcntl.LOCK_EX)
    try:
        pacer = a_pacer(clock, path)
        pacer.take(Priority.CANCEL, signed=True, until_ns=clock.monotonic_ns())
        assert reads_until_full(pacer, clock) == FOR_READS - 1, "its own count bounds it meanwhile"
    finally:
        os.close(stuck)


def test_what_a_venue_told_one_process_holds_the_others(tmp_path: Path) -> None:
    clock = FakeClock()
    one, other = a_pacer(clock, tmp_path / "b"), a_pacer(clock, tmp_path / "b")
    headers = {"retry-after": "5"}
    one.observe(lambda name: headers.get(name, ""), 429, signed=True)
    assert reads_until_full(other, clock) == 0
    clock.advance(timedelta(seconds=6))
    assert reads_until_full(other, clock) > 0


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 24, b"\x7f" * 24, b"x" * 500])
def test_a_damaged_or_older_level_counts_as_full_and_is_bounded(tmp_path: Path, content: bytes) -> None:
    clock = FakeClock()
    (tmp_path / "b").write_bytes(content)
    assert reads_until_full(a_pacer(clock, tmp_path / "b"), clock) <= FOR_READS
    clock.advance(timedelta(seconds=1))
    assert reads_until_full(a_pacer(clock, tmp_path / "b"), clock) == FOR_READS


def test_S6_the_file_is_ours_alone_and_a_symlink_is_not_followed(tmp_path: Path) -> None:
    clock = FakeClock()
    a_pacer(clock, tmp_path / "b").take(Priority.READ, signed=True, until_ns=clock.monotonic_ns())
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600
    target = tmp_path / "precious"
    target.write_bytes(b"untouched")
    (tmp_path / "link").symlink_to(target)
    a_pacer(clock, tmp_path / "link").take(Priority.READ, signed=True, until_ns=clock.monotonic_ns())
    assert target.read_bytes() == b"untouched"
