from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perpsctl.domain.errors import RateLimited
from perpsctl.exchange.pacing import Budget, Pacer, Priority, reset_wait, retry_after_wait
from tests.unit.exchange.parts import NOW, FakeClock

HOUR_NS = 3600 * 1_000_000_000


def take_until_full(pacer: Pacer, clock: FakeClock, priority: Priority, *, signed: bool = True) -> int:
    taken = 0
    while taken < 10_000:
        try:
            pacer.take(priority, signed=signed, until_ns=clock.ns)
        except RateLimited:
            return taken
        taken += 1
    return taken


def test_L2_reads_leave_a_reserve_to_orders_and_orders_leave_one_to_cancels() -> None:
    clock = FakeClock()
    pacer = Pacer(clock, private_per_second=30)
    assert take_until_full(pacer, clock, Priority.READ) == 21
    assert take_until_full(pacer, clock, Priority.WRITE) == 3
    assert take_until_full(pacer, clock, Priority.CANCEL) == 6


def test_signed_and_unsigned_requests_have_budgets_of_their_own() -> None:
    clock = FakeClock()
    pacer = Pacer(clock, private_per_second=30, public_per_second=10)
    assert take_until_full(pacer, clock, Priority.READ, signed=False) == 7
    assert take_until_full(pacer, clock, Priority.READ) == 21


def test_a_request_over_the_budget_waits_on_the_clock_as_long_as_needed_and_no_longer() -> None:
    clock = FakeClock()
    pacer = Pacer(clock, private_per_second=10)
    for _ in range(107):  # 7 at once, then one every tenth of a second
        pacer.take(Priority.READ, signed=True, until_ns=HOUR_NS * 1000)
    assert clock.at - NOW == timedelta(seconds=10)


def test_a_wait_beyond_the_deadline_is_refused_at_once_without_sleeping() -> None:
    clock = FakeClock()
    pacer = Pacer(clock, private_per_second=1)
    take_until_full(pacer, clock, Priority.CANCEL)
    with pytest.raises(RateLimited, match="budget is used up"):
        pacer.take(Priority.READ, signed=True, until_ns=clock.ns + 1_000_000)
    assert clock.slept == []


def test_none_remaining_stops_orders_and_reads_until_the_reset_and_only_slows_cancels() -> None:
    clock = FakeClock()
    pacer = Pacer(clock)
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "30"}
    pacer.observe(lambda name: headers.get(name, ""), 200, signed=True)
    pacer.take(Priority.CANCEL, signed=True, until_ns=clock.ns)
    assert clock.slept == []
    pacer.take(Priority.WRITE, signed=True, until_ns=clock.ns + HOUR_NS)
    assert clock.at - NOW == timedelta(seconds=30)


def test_N6_in_a_storm_of_429_cancels_still_go_out_again_and_again() -> None:
    clock = FakeClock()
    pacer = Pacer(clock, private_per_second=30)
    sent = 0
    while clock.at - NOW < timedelta(minutes=5):
        pacer.take(Priority.CANCEL, signed=True, until_ns=clock.ns + 3_000_000_000)
        pacer.observe(lambda name: "60" if name == "retry-after" else "", 429, signed=True)
        sent += 1
        clock.advance(timedelta(milliseconds=500))
        with pytest.raises(RateLimited):
            pacer.take(Priority.READ, signed=True, until_ns=clock.ns + 1_000_000_000)
    assert sent > 290


def test_headers_without_trouble_change_nothing() -> None:
    clock = FakeClock()
    pacer = Pacer(clock)
    headers = {"x-ratelimit-remaining": "12", "x-ratelimit-reset": "30"}
    pacer.observe(lambda name: headers.get(name, ""), 200, signed=True)
    assert take_until_full(pacer, clock, Priority.READ) == 21


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        (" 7 ", 7),
        ("-5", 0),
        ("86400", 60),
        ("Sun, 22 Nov 2026 12:00:09 GMT", 9),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0),
        ("Mon, 23 Nov 2026 12:00:00 GMT", 60),
        ("Sunday, 22-Nov-26 12:00:09 GMT", 9),
        ("", None),
        ("soon", None),
        ("1e3", None),
        ("٧", None),
        ("7.5", None),
        ("9" * 400, None),
        ("Sun, 99 Nov 2026 99:00:09 GMT", None),
    ],
)
def test_N1_N2_retry_after_is_read_as_seconds_or_date_and_clamped(text: str, seconds: int | None) -> None:
    wait = retry_after_wait(text, NOW)
    assert wait == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5),
        ("0", 0),
        ("-1", 0),
        ("999", 60),
        (str(int(NOW.timestamp()) + 8), 8),
        (str(int(NOW.timestamp()) - 8), 0),
        (str((int(NOW.timestamp()) + 8) * 1000), 8),
        ("999999999999999", 60),
        ("", None),
        ("later", None),
    ],
)
def test_a_reset_is_a_length_or_a_moment_by_its_size(text: str, seconds: int | None) -> None:
    wait = reset_wait(text, NOW)
    assert wait == (None if seconds is None else timedelta(seconds=seconds))


@given(st.text(max_size=80))
def test_S4_no_header_makes_anything_but_a_wait_of_0_to_60_seconds(text: str) -> None:
    for read in (retry_after_wait, reset_wait):
        wait = read(text, NOW)
        assert wait is None or timedelta(0) <= wait <= timedelta(seconds=60)


@given(st.lists(st.tuples(st.sampled_from(list(Priority)), st.integers(0, 2_000_000_000)), max_size=200))
def test_never_more_requests_in_a_span_than_the_budget_allows(steps: list[tuple[Priority, int]]) -> None:
    clock = FakeClock()
    budget = Budget(5, clock)
    passed = []
    for priority, gap in steps:
        clock.ns += gap
        if budget.wait_ns(clock.ns, priority) == 0:
            passed.append(clock.ns)
    for start, first in enumerate(passed):
        for count, last in enumerate(passed[start:], 1):
            assert (count - 5) * 1_000_000_000 <= 5 * (last - first)
