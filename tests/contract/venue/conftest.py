"""The `Venue` port behind each of its transports; one exchange process for both kinds of socket."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from perpsctl.simulator import launcher
from perpsctl.simulator.launcher import SimOptions
from tests.contract.venue.scene import Scene, in_process, over_sockets


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("venue") / ".exchange"
    launcher.start(folder, SimOptions(idle_minutes=5))
    yield folder
    launcher.stop(folder)


@pytest.fixture(params=["virtual", "http", "https"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    if request.param == "virtual":
        made = in_process()
    else:
        made = over_sockets(request.getfixturevalue("server"), tls=request.param == "https")
    yield made
    made.close()
