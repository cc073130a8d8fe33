"""A virtual clock and an exchange on it."""

import pytest

from perpsctl.simulator.clock import ManualClock
from perpsctl.simulator.exchange import Exchange
from tests.unit.simulator.core.asking import START


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def exchange(clock: ManualClock) -> Exchange:
    return Exchange(clock)
