"""How far back a run reads orders to compare: a day at first, then since its last whole comparison, and a while more."""

from datetime import datetime, timedelta

import pytest

from perpsctl.domain.accounts import OrdersRead
from perpsctl.engine.strategies import Proposal, StrategyState
from perpsctl.engine.supervisor import RunOptions, Supervisor
from perpsctl.engine.ticking import READ_AGAIN
from tests.unit.engine.conftest import House
from tests.unit.engine.fakes import ManualClock
from tests.unit.engine.test_supervisor import Scripted

DAY = timedelta(hours=24)


@pytest.fixture
def windows(house: House, monkeypatch: pytest.MonkeyPatch) -> list[timedelta]:
    """How far back each listing of the venue's orders reached."""
    found: list[timedelta] = []
    read = house.venue.orders_since

    def noted(start: datetime) -> OrdersRead:
        found.append(house.clock.now() - start)
        return read(start)

    monkeypatch.setattr(house.venue, "orders_since", noted)
    return found


def run(house: House, *scripts: object, ticks: int) -> None:
    Supervisor(
        engine=house.engine,
        lease=house.lease,
        switch=house.switch,
        strategy=Scripted(*scripts),  # type: ignore[arg-type]
        options=RunOptions(ticks=ticks, interval=timedelta(seconds=61)),
    ).run()


def test_I6_a_run_reads_a_day_first_and_then_from_before_its_last_comparison(
    house: House, windows: list[timedelta]
) -> None:
    run(house, ticks=4)
    assert DAY <= windows[0] < DAY + timedelta(seconds=1)
    assert len(windows) >= 3
    assert all(timedelta(seconds=60) + READ_AGAIN <= each <= timedelta(seconds=90) + READ_AGAIN for each in windows[1:])


def test_I6_a_comparison_that_was_not_whole_is_made_up_for_by_the_next(house: House, windows: list[timedelta]) -> None:
    def unread(state: StrategyState) -> Proposal:
        house.venue.fail("fills", times=3)
        return Proposal()

    run(house, unread, ticks=7)
    failed, again, whole, later = windows[1:5]
    assert failed < again < whole, "each reaches back to the last whole comparison"
    assert later < whole


def test_P11_time_a_suspended_host_did_not_count_is_read_as_well(house: House, windows: list[timedelta]) -> None:
    def suspended(state: StrategyState) -> Proposal:
        clock = house.clock
        assert isinstance(clock, ManualClock)
        clock._now += timedelta(hours=8)  # the wall clock alone goes on
        return Proposal()

    run(house, suspended, ticks=3)
    assert max(windows[1:]) >= timedelta(hours=8) + READ_AGAIN, windows
