"""One request budget for every process with the same key; a courtesy that never makes a cancel wait."""

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from perpsctl import bootstrap, settings
from perpsctl.domain.errors import RateLimited
from perpsctl.exchange.global_derivatives.credits import DEFAULT_RATES, Bucket, Credits
from perpsctl.exchange.pacing import Budget, Pacer, Priority
from perpsctl.exchange.shelves import FileShelf, Level, MemoryShelf
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


# --- the gateway's budgets ------------------------------------------------------------------------------


class LateClock(FakeClock):
    """Something happens while somebody sleeps."""

    meanwhile: Callable[[], None] = staticmethod(lambda: None)

    def sleep(self, duration: timedelta) -> None:
        super().sleep(duration)
        self.meanwhile()


def credits_in(folder: Path, clock: FakeClock) -> Credits:
    return Credits(clock, shelf=lambda name: FileShelf(folder / f"credits-{name}.budget"))


def let_in_at_once(credits_: Credits, clock: FakeClock, method: str, priority: Priority) -> int:
    for count in range(1000):
        try:
            credits_.take(method, priority, until_ns=clock.monotonic_ns())
        except RateLimited:
            return count
    pytest.fail("the budget has no end")


def test_the_gateways_buckets_are_shared_each_for_itself(tmp_path: Path) -> None:
    clock = FakeClock()
    one, other = credits_in(tmp_path, clock), credits_in(tmp_path, clock)
    burst = DEFAULT_RATES[Bucket.MATCHING].burst
    assert let_in_at_once(one, clock, "private/buy", Priority.WRITE) == burst - burst * 3 // 10 * 2 // 3
    assert let_in_at_once(other, clock, "private/buy", Priority.WRITE) == 0
    assert let_in_at_once(other, clock, "private/cancel", Priority.CANCEL) == burst * 3 // 10 * 2 // 3
    assert let_in_at_once(other, clock, "private/get_positions", Priority.READ) > 0


def test_what_the_venue_refused_one_process_the_others_do_not_ask_for_either(tmp_path: Path) -> None:
    clock = FakeClock()
    one, other = credits_in(tmp_path, clock), credits_in(tmp_path, clock)
    one.exhausted()
    assert let_in_at_once(other, clock, "private/buy", Priority.WRITE) == 0
    assert let_in_at_once(other, clock, "private/get_positions", Priority.READ) == 0
    clock.advance(one.full_refill)
    assert let_in_at_once(other, clock, "private/buy", Priority.WRITE) > 0


def test_L2_a_cancel_goes_within_two_seconds_however_often_others_empty_the_budget(tmp_path: Path) -> None:
    clock = LateClock()
    mine, theirs = credits_in(tmp_path, clock), credits_in(tmp_path, clock)
    theirs.exhausted()
    clock.meanwhile = theirs.exhausted  # as a storm that meets another process does
    began = clock.now()
    mine.take("private/cancel", Priority.CANCEL, until_ns=clock.monotonic_ns() + 20_000_000_000)
    assert clock.now() - began <= timedelta(seconds=2)
    with pytest.raises(RateLimited):
        mine.take("private/buy", Priority.WRITE, until_ns=clock.monotonic_ns() + 20_000_000_000)


def a_folder(path: Path) -> None:
    path.mkdir()


def a_pipe(path: Path) -> None:
    os.mkfifo(path, 0o600)


def a_dangling_link(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere" / "at all")


def a_device(path: Path) -> None:
    path.symlink_to("/dev/full")


def a_level_of_the_far_future(path: Path) -> None:
    path.write_bytes((2**62).to_bytes(8, "big", signed=True) * 3)


def a_level_that_forbids_everything(path: Path) -> None:
    now = FakeClock().monotonic_ns()
    values = (-(2**62), now, now + 60_000_000_000)
    path.write_bytes(b"".join(value.to_bytes(8, "big", signed=True) for value in values))


HOSTILE = (a_folder, a_pipe, a_dangling_link, a_device, a_level_of_the_far_future, a_level_that_forbids_everything)


@pytest.mark.parametrize("made", HOSTILE, ids=lambda made: made.__name__)
def test_L2_no_file_in_its_place_stands_between_a_cancel_and_the_venue_or_lets_everything_through(
    tmp_path: Path, made: Callable[[Path], None]
) -> None:
    clock = FakeClock()
    for bucket in Bucket:
        made(tmp_path / f"credits-{bucket.value}.budget")
    credits_ = credits_in(tmp_path, clock)
    began = clock.now()
    credits_.take("private/cancel", Priority.CANCEL, until_ns=clock.monotonic_ns() + 20_000_000_000)
    assert clock.now() - began <= timedelta(seconds=2)
    assert let_in_at_once(credits_, clock, "private/cancel", Priority.CANCEL) <= DEFAULT_RATES[Bucket.MATCHING].burst
    clock.advance(timedelta(seconds=61))
    assert let_in_at_once(credits_, clock, "private/buy", Priority.WRITE) > 0


def test_a_file_that_keeps_nothing_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object) -> int:
        raise OSError(28, "No space left on device")

    clock = FakeClock()
    monkeypatch.setattr(os, "pwrite", full_disk)
    assert reads_until_full(a_pacer(clock, tmp_path / "b"), clock) == FOR_READS, "its own count bounds it"


def test_a_count_taken_a_moment_later_by_another_wipes_no_refusal() -> None:
    clock = FakeClock()
    level = Level(20_000_000_000, clock.monotonic_ns(), 0)
    budget = Budget(5, clock, MemoryShelf(level), burst=20)
    budget.drain(clock.monotonic_ns() + 1_000_000)  # who looked at the clock later was let in first
    assert budget.wait_ns(clock.monotonic_ns(), Priority.WRITE) > 3_000_000_000


def test_one_thread_at_a_time_is_let_at_a_level() -> None:
    shelf = MemoryShelf(Level(0, 0, 0))
    second_in = threading.Event()

    def second() -> None:
        with shelf.held():
            second_in.set()

    with shelf.held():
        thread = threading.Thread(target=second)
        thread.start()
        assert not second_in.wait(0.05)
    thread.join(5)
    assert second_in.is_set()


DRAINS = """
from perpsctl import bootstrap, settings
bootstrap.Toolkit(settings.load(profile="sim-global", config=None)).credits.exhausted()
"""


def test_two_processes_of_a_profile_share_the_gateways_budget(perpsctl_home: Path) -> None:
    toolkit = bootstrap.Toolkit(settings.load(profile="sim-global", config=None))
    now = toolkit.clock.monotonic_ns
    toolkit.credits.take("private/buy", Priority.WRITE, until_ns=now())
    subprocess.run([sys.executable, "-c", DRAINS], check=True, timeout=60)  # met 10028
    with pytest.raises(RateLimited, match="matching"):
        toolkit.credits.take("private/buy", Priority.WRITE, until_ns=now())
    kept = sorted(path.name for path in (perpsctl_home / "state" / "sim-global").glob("*.budget"))
    assert "credits-matching.budget" in kept


def test_L2_a_state_folder_that_is_none_leaves_each_process_its_own_budget(perpsctl_home: Path) -> None:
    perpsctl_home.mkdir(exist_ok=True)
    (perpsctl_home / "state").write_text("in the way")
    toolkit = bootstrap.Toolkit(settings.load(profile="sim-global", config=None), way_out=True)
    toolkit.credits.take("private/cancel", Priority.CANCEL, until_ns=toolkit.clock.monotonic_ns())
    toolkit.pacer.take(Priority.CANCEL, signed=True, until_ns=toolkit.clock.monotonic_ns())
