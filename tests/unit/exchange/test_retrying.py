import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from perpsctl.domain.errors import RateLimited, VenueRefusedUs, VenueUnreachable
from perpsctl.exchange.retrying import CANCELS, READS, Again, RetryPolicy, repeat, within
from tests.unit.exchange.parts import CountingIds, FakeClock


def failing(times: int, make: Callable[[], Again]) -> tuple[Callable[[int], str], list[int]]:
    seen: list[int] = []

    def call(until_ns: int) -> str:
        seen.append(until_ns)
        if len(seen) <= times:
            raise make()
        return "answer"

    return call, seen


def lost() -> Again:
    return Again(VenueUnreachable("lost"))


def test_a_read_is_repeated_until_it_answers() -> None:
    clock = FakeClock()
    call, seen = failing(3, lost)
    assert repeat(call, READS, clock, CountingIds()) == "answer"
    assert len(seen) == 4
    assert len(clock.slept) == 3


def test_L2_attempts_are_bounded_and_the_last_error_is_the_one_seen() -> None:
    call, seen = failing(99, lost)
    with pytest.raises(VenueUnreachable, match="lost") as caught:
        repeat(call, READS, FakeClock(), CountingIds())
    assert len(seen) == READS.attempts
    assert caught.value.__context__ is None


def test_L2_total_time_is_bounded_whatever_the_attempts() -> None:
    clock = FakeClock()
    policy = RetryPolicy(attempts=10_000, total=timedelta(seconds=10))
    call, _ = failing(99_999, lost)
    with pytest.raises(VenueUnreachable):
        repeat(call, policy, clock, CountingIds(999_999))
    assert sum(clock.slept, timedelta(0)) <= timedelta(seconds=10)


@pytest.mark.parametrize(("jitter", "waits"), [(0, [0, 0, 0]), (500_000, [100, 200, 400]), (999_999, [199, 399, 799])])
def test_L2_waits_grow_under_full_jitter(jitter: int, waits: list[int]) -> None:
    clock = FakeClock()
    call, _ = failing(3, lost)
    repeat(call, READS, clock, CountingIds(jitter))
    assert [slept // timedelta(milliseconds=1) for slept in clock.slept] == waits


def test_N1_what_the_venue_asks_for_is_waited_out_plus_jitter() -> None:
    clock = FakeClock()
    call, _ = failing(1, lambda: Again(RateLimited("429"), asked_wait=timedelta(seconds=7)))
    repeat(call, READS, clock, CountingIds(500_000))
    assert clock.slept == [timedelta(seconds=7.1)]


def test_N2_what_is_asked_for_beyond_our_time_is_not_waited_for() -> None:
    clock = FakeClock()
    call, seen = failing(9, lambda: Again(RateLimited("429"), asked_wait=timedelta(seconds=60)))
    with pytest.raises(RateLimited):
        repeat(call, READS, clock, CountingIds())
    assert (len(seen), clock.slept) == (1, [])


@pytest.mark.parametrize("jitter", [0, 999_999])
def test_N5_a_cancel_asks_again_within_two_seconds_whatever_is_asked_for(jitter: int) -> None:
    clock = FakeClock()
    call, _ = failing(5, lambda: Again(RateLimited("429"), asked_wait=timedelta(seconds=60)))
    assert repeat(call, CANCELS, clock, CountingIds(jitter)) == "answer"
    assert max(clock.slept) <= timedelta(seconds=2)


def test_A5_what_is_worth_one_more_try_gets_one() -> None:
    call, seen = failing(9, lambda: Again(VenueRefusedUs("401"), once=True))
    with pytest.raises(VenueRefusedUs):
        repeat(call, READS, FakeClock(), CountingIds())
    assert len(seen) == 2


def test_tests_can_switch_waiting_off() -> None:
    clock = FakeClock()
    call, _ = failing(3, lost)
    repeat(call, RetryPolicy(attempts=5, total=timedelta(seconds=1), waits=False), clock, CountingIds())
    assert sum(clock.slept, timedelta(0)) == timedelta(0)


def test_a_bug_is_not_retried() -> None:
    calls = []

    def broken(_: int) -> str:
        calls.append(1)
        raise KeyError("bug")

    with pytest.raises(KeyError):
        repeat(broken, READS, FakeClock(), CountingIds())
    assert len(calls) == 1


def test_L2_inside_a_bound_nothing_is_asked_again_after_it() -> None:
    clock = FakeClock()
    call, seen = failing(99, lost)
    began = clock.monotonic_ns()
    with within(timedelta(seconds=1), clock), pytest.raises(VenueUnreachable, match="lost"):
        repeat(call, READS, clock, CountingIds(999_999))
    assert 1 < len(seen) < READS.attempts
    assert clock.monotonic_ns() - began <= 1_000_000_000
    assert all(until_ns == began + 1_000_000_000 for until_ns in seen)


def test_L2_when_the_bound_is_over_nothing_is_asked_at_all() -> None:
    clock = FakeClock()
    call, seen = failing(0, lost)
    with within(timedelta(seconds=1), clock):
        clock.sleep(timedelta(seconds=1))
        with pytest.raises(VenueUnreachable, match="not asked"):
            repeat(call, READS, clock, CountingIds())
    assert seen == []
    assert repeat(call, READS, clock, CountingIds()) == "answer"


def test_L2_of_nested_bounds_the_nearest_holds() -> None:
    clock = FakeClock()
    call, seen = failing(0, lost)
    began = clock.monotonic_ns()
    with within(timedelta(seconds=2), clock):
        with within(timedelta(seconds=9), clock):
            repeat(call, READS, clock, CountingIds())
        with within(timedelta(seconds=1), clock):
            repeat(call, READS, clock, CountingIds())
    assert seen == [began + 2_000_000_000, began + 1_000_000_000]


def test_another_thread_keeps_its_own_time() -> None:
    clock = FakeClock()
    call, seen = failing(0, lost)
    with within(timedelta(0), clock):
        beside = threading.Thread(target=lambda: repeat(call, READS, clock, CountingIds()))
        beside.start()
        beside.join(5)
    assert len(seen) == 1
