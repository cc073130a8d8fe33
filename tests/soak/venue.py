"""One venue of a soak: its exchange, its long-living `run`, and what is known of both."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from perpsctl import places
from perpsctl.simulator import launcher
from tests.scenarios.homes import REPOSITORY, Home
from tests.soak.faults import Weather, plan
from tests.soak.held import Held, look
from tests.soak.record import Record

PROFILES: Final = {"us": "sim", "global": "sim-global"}
ALIAS: Final = "BTC-PERP"
ENDS_WITHIN_S: Final = 120  # a run cancels its orders, proves its book and says what it did
# Raised so that nothing but the kill switch keeps an order from being sent for half an hour.
LIMITS: Final = """
[profile.{profile}.limits]
orders_per_minute_max = 100000
position_max_share = "0.9"
gross_max_share = "0.9"
daily_loss_max_share = "0.9"
leverage_max = 9
quiet_minutes = 1
"""
ENTRY_POINTS: Final = "[perpsctl.strategies]\nbrisk = tests.soak.brisk:Brisk\n"


class Venue:
    """Everything of one venue; `begin` starts it, `end` leaves nothing of it running."""

    def __init__(self, name: str, folder: Path, *, per_cent: Decimal, seed: int, strikes: str) -> None:
        self.name, self.profile = name, PROFILES[name]
        self._folder = folder
        self.home = Home(folder / "home", LIMITS.format(profile=self.profile))
        installed = folder / "installed" / "soak-1.dist-info"
        installed.mkdir(parents=True)
        (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: soak\nVersion: 1\n", encoding="ascii")
        (installed / "entry_points.txt").write_text(ENTRY_POINTS, encoding="ascii")
        self.home.environ["PYTHONPATH"] = os.pathsep.join((str(REPOSITORY), str(installed.parent)))
        self.record = Record(places.profile_folder(self.profile, self.home.environ))
        self.weather = Weather(self.home, plan(per_cent, seed, strikes))
        self.held: dict[str, list[Held]] = {"run": [], "exchange": []}
        self.unit: dict[str, Decimal] = {}  # coin of one contract
        self._seed = seed
        self._loop: subprocess.Popen[bytes] | None = None
        self._exchange = 0
        self._asked = False

    def begin(self) -> None:
        """The exchange listens, and what it lists is known."""
        launcher.start(self.home.folder, launcher.SimOptions(seed=self._seed, idle_minutes=5))
        self._exchange = int(self.home.control("GET", "/status")["pid"])
        for each in self.home.perpsctl("products", "list", "--profile", self.profile).data["products"]:
            self.unit[each["product_id"]] = Decimal(each["contract_size"])

    def trade(self, seconds: int, strategy: str, interval: str) -> None:
        """The run that this is about: it goes on for so long by itself."""
        with (self._folder / "run.json").open("wb") as told, (self._folder / "run.log").open("wb") as talk:
            self._loop = subprocess.Popen(
                [
                    sys.executable, "-m", "perpsctl.commands.app", "--profile", self.profile, "run", "--strategy",
                    strategy, "--product", ALIAS, "--for", f"{seconds}s", "--interval", interval, "--format", "json",
                ],
                env=self.home.environ, stdout=told, stderr=talk, stdin=subprocess.DEVNULL, cwd=REPOSITORY,
                start_new_session=True,  # Ctrl-C is the driver's: it asks the run to stop itself
            )  # fmt: skip

    @property
    def running(self) -> bool:
        """True while the run lives."""
        return self._loop is not None and self._loop.poll() is None

    def sample(self, at_s: int) -> None:
        """One look at both processes."""
        if self._loop is not None and self._loop.poll() is None:
            self._keep("run", look(self._loop.pid, at_s))
        self._keep("exchange", look(self._exchange, at_s))

    def _keep(self, whose: str, seen: Held | None) -> None:
        if seen is not None:
            self.held[whose].append(seen)

    def ended(self) -> tuple[int, Any]:
        """How the run ended and what it told; a run that does not end in time is killed, and -9 is told."""
        assert self._loop is not None
        try:
            code = self._loop.wait(timeout=ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._loop.kill()
            code = self._loop.wait()
        try:
            return code, json.loads((self._folder / "run.json").read_text(encoding="utf-8"))
        except ValueError:
            return code, {}

    def ask_to_stop(self) -> None:
        """The run stops cleanly, sooner than it was told to; asked once, for a second signal means now."""
        if self._loop is not None and self._loop.poll() is None and not self._asked:
            self._asked = True
            self._loop.terminate()

    def end(self) -> None:
        """Nothing of this venue runs any more."""
        if self._loop is not None and self._loop.poll() is None:
            self._loop.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._loop.wait(timeout=30)
            if self._loop.poll() is None:
                self._loop.kill()
                self._loop.wait()
        launcher.stop(self.home.folder)

    def tracebacks(self) -> list[str]:
        """Logs of either process in which a traceback stands."""
        logs = (self._folder / "run.log", self._folder / "run.json", self.home.folder / launcher.LOG_FILE)
        return [each.name for each in logs if each.exists() and "Traceback" in each.read_text("utf-8", "replace")]

    def wait_for_orders(self, within_s: int) -> bool:
        """True once the run has placed its first order."""
        until = time.monotonic() + within_s
        while time.monotonic() < until and self.running:
            if self.record.follow().accepted:
                return True
            time.sleep(0.2)
        return False
