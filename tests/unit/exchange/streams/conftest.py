"""The simulator as a process, and one venue's streams on it; started by the tests that ask for them."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from perpsctl.domain.products import VenueId
from perpsctl.simulator import launcher
from perpsctl.simulator.launcher import SimOptions, SimStatus
from tests.unit.exchange.streams.loopback import Side


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, SimStatus]]:
    folder = tmp_path_factory.mktemp("home") / ".exchange"
    yield folder, launcher.start(folder, SimOptions(idle_minutes=5))
    launcher.stop(folder)


@pytest.fixture
def side(running: tuple[Path, SimStatus], venue: VenueId) -> Iterator[Side]:
    made = Side(*running, venue)
    before = threading.active_count()
    made.streams.start([made.product_id])
    yield made
    made.streams.stop()
    launcher.control(running[0], "DELETE", "/faults")
    assert threading.active_count() == before, "a reader did not end"
