"""Not collected by itself: a test that starts an exchange in its home, twice over, and leaves both running."""

import os
from pathlib import Path

from perpsctl import places
from perpsctl.simulator import launcher


def test_leaves_two_exchanges_running(perpsctl_home: Path) -> None:
    with_home = launcher.ensure(places.exchange_folder())
    without = launcher.ensure(places.exchange_folder({"HOME": os.environ["HOME"]}))
    print(f"left running: {with_home.pid} {without.pid}")
