"""The `Venue` port: each of the two venues in process, over HTTP and over HTTPS."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from perpsctl.simulator import launcher
from perpsctl.simulator.launcher import SimOptions
from tests.contract.venue.scene import GLOBAL, US, Ground, Scene, in_process, over_sockets


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("venue") / ".exchange"
    launcher.start(folder, SimOptions(idle_minutes=5))
    yield folder
    launcher.stop(folder)


WAYS = {
    "us-virtual": (US, "virtual"),
    "us-http": (US, "http"),
    "us-https": (US, "https"),
    "global-virtual": (GLOBAL, "virtual"),
    "global-http": (GLOBAL, "http"),
    "global-https": (GLOBAL, "https"),
}


@pytest.fixture(params=WAYS.values(), ids=list(WAYS))
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    ground: Ground
    ground, carrier = request.param
    if carrier == "virtual":
        made = in_process(ground)
    else:
        made = over_sockets(ground, request.getfixturevalue("server"), tls=carrier == "https")
    yield made
    made.close()
