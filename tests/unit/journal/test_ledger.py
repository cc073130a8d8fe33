"""From which mark a loss counts, and what happened since: the same as adding everything up by hand."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perpsctl.domain.accounts import Flow
from perpsctl.domain.orders import Fill, FillKind
from perpsctl.domain.sides import Side
from perpsctl.journal.ledger import Happened, Ledger, flow_of
from tests.unit.journal.fakes import BTC, ETH, a_fill, a_mark

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)


def marked(*times: datetime) -> Ledger:
    ledger = Ledger()
    for number, at in enumerate(times):
        ledger.mark(a_mark(str(1000 + number), at=at))
    return ledger


def baselines(ledger: Ledger, now: datetime = NOON) -> tuple[str | None, str | None]:
    day, rolling, *_ = ledger.bases(now)
    assert (day.window, rolling.window) == ("utc_day", "rolling_24h")
    assert (day.start, rolling.start) == (MIDNIGHT, now - timedelta(hours=24))
    return (
        None if day.baseline is None else str(day.baseline.equity),
        None if rolling.baseline is None else str(rolling.baseline.equity),
    )


def test_without_a_mark_there_is_no_baseline() -> None:
    assert baselines(Ledger()) == (None, None)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([MIDNIGHT], ("1000", "1000")),  # at the day's start exactly; inside the rolling window
        ([MIDNIGHT - timedelta(hours=1), MIDNIGHT + timedelta(hours=1)], ("1000", "1000")),
        ([MIDNIGHT + timedelta(hours=3), MIDNIGHT + timedelta(hours=5)], ("1000", "1000")),
        ([NOON - timedelta(hours=25), MIDNIGHT - timedelta(hours=2)], ("1001", "1000")),
        ([MIDNIGHT - timedelta(hours=24), NOON], ("1000", "1000")),  # a day older at most
        ([MIDNIGHT - timedelta(hours=25), NOON], ("1001", "1000")),
        ([NOON - timedelta(hours=49), NOON], ("1001", "1001")),
        ([NOON - timedelta(hours=49)], (None, None)),
        ([NOON - timedelta(hours=26), NOON - timedelta(hours=25), NOON], ("1001", "1001")),
    ],
)
def test_the_baseline_is_the_last_mark_before_the_window_or_the_first_in_it(
    times: list[datetime], expected: tuple[str | None, str | None]
) -> None:
    assert baselines(marked(*times)) == expected


def test_a_baseline_older_than_its_window_is_joined_by_the_first_mark_inside() -> None:
    """What was gained between an old mark and the window's start must not hide what was lost since."""
    ledger = marked(MIDNIGHT - timedelta(hours=20), MIDNIGHT + timedelta(minutes=5), NOON)
    told = [(b.window, str(b.baseline.equity)) for b in ledger.bases(NOON) if b.baseline is not None]
    assert told == [("utc_day", "1000"), ("rolling_24h", "1000"), ("utc_day", "1001"), ("rolling_24h", "1001")]
    exact = marked(MIDNIGHT - timedelta(hours=12), MIDNIGHT, NOON)
    assert len(exact.bases(NOON)) == 2  # both begin with their windows: nothing to add


def test_a_sell_and_its_fee_and_its_reversal_leave_nothing_E14() -> None:
    sell = flow_of(a_fill(side=Side.SELL, size="0.1", price="60000", fee="1.5"))
    assert (sell.coin, sell.cash) == (Decimal("-0.1"), Decimal("5998.5"))
    back = flow_of(a_fill(side=Side.SELL, size="0.1", price="60000", fee="1.5", kind=FillKind.REVERSAL))
    assert (sell.coin + back.coin, sell.cash + back.cash) == (Decimal(0), Decimal(0))


def test_a_fee_that_was_not_told_is_no_cost_here_E16() -> None:
    assert flow_of(a_fill(fee=None)).cash == Decimal(-6000)


seconds = st.integers(0, 40 * 3600)
fills = st.builds(
    lambda at, side, size, price, product: a_fill(
        at=NOON - timedelta(hours=40) + timedelta(seconds=at),
        side=side,
        size=str(Decimal(size) / 100),
        price=str(price),
        product_id=product,
    ),
    seconds,
    st.sampled_from(Side),
    st.integers(1, 500),
    st.integers(1, 99_999),
    st.sampled_from([BTC, ETH]),
)


@settings(max_examples=200)
@given(st.lists(fills, max_size=20), st.lists(seconds, min_size=1, max_size=15), st.randoms())
def test_flows_since_the_baseline_are_what_adding_up_by_hand_gives(
    booked: list[Fill], marks: list[int], chance: object
) -> None:
    """Fills are booked in the order of their marks' moments here and there late: the sums do not depend on it."""
    ledger = Ledger()
    times = sorted(NOON - timedelta(hours=40) + timedelta(seconds=each) for each in marks)
    waiting = sorted(booked, key=lambda fill: fill.time)
    for at in times:
        while waiting and waiting[0].time < at - timedelta(minutes=1):  # the last minute's fills are booked late
            fill = waiting.pop(0)
            ledger.book(flow_of(fill), booked_at=max(fill.time, at - timedelta(minutes=1)))
        ledger.mark(a_mark(at=at))
    for fill in waiting:
        ledger.book(flow_of(fill), booked_at=max(fill.time, NOON))
    for basis in ledger.bases(NOON):
        if basis.baseline is None:
            continue
        since = [flow_of(fill) for fill in booked if fill.time > basis.baseline.at]
        expected = {
            product: (
                sum((each.coin for each in since if each.product_id == product), Decimal(0)),
                sum((each.cash for each in since if each.product_id == product), Decimal(0)),
            )
            for product in (BTC, ETH)
        }
        flows = dict.fromkeys(expected, (Decimal(0), Decimal(0)))
        flows |= {flow.product_id: (flow.coin, flow.cash) for flow in basis.flows}
        assert flows == expected


def test_a_mark_booked_after_a_younger_fill_does_not_hold_it() -> None:
    ledger = Ledger()
    ledger.book(flow_of(a_fill(at=NOON)), booked_at=NOON)
    ledger.mark(a_mark(at=NOON - timedelta(seconds=2)))
    day, *_ = ledger.bases(NOON + timedelta(seconds=1))
    assert day.flows == (Flow(product_id=BTC, coin=Decimal("0.1"), cash=Decimal("-6001.5")),)


def test_transfers_since_the_baseline_are_told_apart_from_flows() -> None:
    ledger = marked(MIDNIGHT)
    for at, cash in ((MIDNIGHT - timedelta(hours=1), 5), (MIDNIGHT + timedelta(hours=1), 100), (NOON, -30)):
        ledger.book(Happened(at=at, product_id=None, coin=Decimal(0), cash=Decimal(cash)), booked_at=NOON)
    day, *_ = ledger.bases(NOON)
    assert (day.transfers, day.flows) == (Decimal(70), ())


def test_marks_every_second_keep_memory_bounded_and_the_day_exact() -> None:
    ledger = Ledger()
    start = MIDNIGHT - timedelta(hours=3)
    for second in range(5 * 3600):
        ledger.mark(a_mark(str(second), at=start + timedelta(seconds=second)))
    assert len(ledger.marks) <= 2 * 5 * 60 + 2
    day, *_ = ledger.bases(MIDNIGHT + timedelta(hours=2))
    assert day.baseline is not None
    assert day.baseline.at == MIDNIGHT
    ledger.mark(a_mark(at=NOON + timedelta(days=30)))
    assert len(ledger.marks) <= 2
