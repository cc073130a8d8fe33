"""Uptime, recoveries and samples: exact where they say so, bounded always."""

from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from perpsctl.exchange.streams.figures import Recoveries, Samples, Uptime
from tests.unit.exchange.parts import CountingIds

S = 1_000_000_000


def test_there_is_no_uptime_before_every_channel_was_complete() -> None:
    uptime = Uptime()
    uptime.watch("a")
    uptime.watch("b")
    uptime.fresh("a", 1 * S, 2 * S)
    assert uptime.share(9 * S) is None
    uptime.fresh("b", 10 * S, 2 * S)
    assert uptime.share(10 * S) == 1


def test_W5_a_channel_mute_from_the_start_counts_as_stale_and_not_as_nothing() -> None:
    uptime = Uptime()
    uptime.watch("book")
    uptime.watch("mute")
    for second in range(1, 31):
        uptime.fresh("book", second * S, 2 * S)
    assert uptime.share(31 * S) == 0
    uptime.fresh("mute", 31 * S, 100 * S)
    uptime.fresh("book", 31 * S, 100 * S)
    assert uptime.share(51 * S) == Decimal("0.5")  # it began ten seconds after the book


def test_a_channel_that_is_late_costs_the_time_beyond_its_bound() -> None:
    uptime = Uptime()
    uptime.watch("a")
    uptime.fresh("a", 0, 2 * S)
    uptime.fresh("a", 5 * S, 2 * S)  # three seconds too late
    assert uptime.share(6 * S) == Decimal("0.5")


def test_what_a_gap_threw_away_is_not_fresh_until_it_is_back() -> None:
    uptime = Uptime()
    uptime.watch("a")
    uptime.fresh("a", 0, 100 * S)
    uptime.gone("a", 4 * S)
    uptime.fresh("a", 6 * S, 100 * S)
    assert uptime.share(10 * S) == Decimal("0.8")


def test_a_channel_the_venue_refuses_is_left_out() -> None:
    uptime = Uptime()
    uptime.watch("a")
    uptime.watch("refused")
    uptime.fresh("a", 0, 100 * S)
    assert uptime.share(1 * S) is None
    uptime.leave_out("refused", 2 * S)
    assert uptime.share(3 * S) == 1


def reference(moments: dict[str, list[int]], bound: int, end: int) -> Decimal | None:
    """Second by second: whole seconds make it exact."""
    firsts = [times[0] for times in moments.values() if times]
    if not firsts:
        return None
    late = min(firsts) + 10
    began = min(late, max(firsts)) if len(firsts) == len(moments) else late
    fresh = 0
    for second in range(began, end):
        fresh += all(any(at <= second < at + bound for at in times) for times in moments.values())
    return Decimal(fresh * 1_000_000 // (end - began)) * Decimal("0.000001")


@given(
    st.dictionaries(st.sampled_from("abc"), st.lists(st.integers(0, 40), max_size=12).map(sorted), min_size=1),
    st.integers(1, 9),
    st.lists(st.integers(0, 60), max_size=3),
)
def test_uptime_is_the_share_of_seconds_in_which_all_were_fresh(
    moments: dict[str, list[int]], bound: int, looks: list[int]
) -> None:
    uptime = Uptime()
    for key in moments:
        uptime.watch(key)
    told = sorted((at, key) for key, times in moments.items() for at in times)
    looks = sorted(looks)
    for at, key in told:
        while looks and looks[0] < at:
            uptime.share(looks.pop(0) * S)
        uptime.fresh(key, at * S, bound * S)
    assert uptime.share(60 * S) == reference(moments, bound, 60)


def test_a_fault_is_counted_once_from_its_first_sight_to_safety() -> None:
    samples = Samples(CountingIds())
    recoveries = Recoveries(samples)
    recoveries.fault("a", 1 * S)
    recoveries.fault("a", 2 * S)
    recoveries.safe("a", 4 * S)
    recoveries.safe("a", 9 * S)
    recoveries.safe("never", 9 * S)
    assert samples.told() == (timedelta(seconds=3),)


@given(st.lists(st.integers(0, 10**12), max_size=60), st.integers(1, 20))
def test_samples_are_bounded_and_always_hold_the_longest(found: list[int], most: int) -> None:
    samples = Samples(CountingIds(), most)
    for ns in found:
        samples.add(ns * 1000)
    told = samples.told()
    assert len(told) == min(most, len(found))
    assert samples.exact == (len(found) <= most)
    if found:
        assert max(told) == timedelta(microseconds=max(found))
    if samples.exact:
        assert [each // timedelta(microseconds=1) for each in told] == found
