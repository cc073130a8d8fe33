"""Time is prolonged by a rate limit alone, never past its end, and a last look always fits in (L2, N6)."""

from datetime import timedelta

import pytest

from perpsctl.engine.allowance import AT_LEAST, LAST_LOOK, Allowance
from tests.unit.engine.fakes import ManualClock

TEN, MINUTE = timedelta(seconds=10), timedelta(seconds=60)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_without_a_rate_limit_it_ends_when_it_was_to_end(clock: ManualClock) -> None:
    time = Allowance(clock, TEN, most=MINUTE)
    clock.advance(TEN - LAST_LOOK - timedelta(milliseconds=1))
    assert not time.spent()
    clock.advance(timedelta(milliseconds=1))
    assert time.spent()


def test_N6_while_rate_limits_are_answered_it_goes_on_to_the_most_and_says_so(clock: ManualClock) -> None:
    more: list[timedelta] = []
    time, began = Allowance(clock, TEN, most=MINUTE, longer=more.append), clock.now()
    while not time.spent():
        time.rate_limited()
        clock.advance(timedelta(seconds=1))
    assert MINUTE - LAST_LOOK <= clock.now() - began <= MINUTE
    assert len(more) >= 5
    assert all(each <= TEN for each in more)


def test_the_last_rate_limit_is_followed_by_one_whole_length_and_no_more(clock: ManualClock) -> None:
    time, began = Allowance(clock, TEN, most=MINUTE), clock.now()
    clock.advance(timedelta(seconds=9))
    time.rate_limited()
    while not time.spent():
        clock.advance(timedelta(seconds=1))
    assert timedelta(seconds=19) <= clock.now() - began <= timedelta(seconds=9) + 3 * TEN


@pytest.mark.parametrize("hours", [-1, 24])
def test_T1_a_wall_clock_that_is_stepped_makes_it_neither_longer_nor_shorter(clock: ManualClock, hours: int) -> None:
    time = Allowance(clock, TEN, most=MINUTE)
    clock.step(timedelta(hours=hours))
    assert time.left == TEN
    time.rate_limited()
    clock.advance(TEN)
    assert not time.spent()
    clock.advance(MINUTE)
    assert time.spent()


def test_without_most_nothing_prolongs_it(clock: ManualClock) -> None:
    time = Allowance(clock, TEN)
    time.rate_limited()
    clock.advance(TEN)
    assert time.spent()


def test_however_short_something_may_be_asked(clock: ManualClock) -> None:
    time = Allowance(clock, timedelta(0))
    assert time.asking == AT_LEAST
    assert time.spent()
    clock.advance(AT_LEAST)
    assert time.asking == timedelta(0)


def test_a_pause_leaves_the_last_look_its_time(clock: ManualClock) -> None:
    time = Allowance(clock, TEN)
    time.pause(MINUTE)
    assert time.left == LAST_LOOK
    assert time.spent()
