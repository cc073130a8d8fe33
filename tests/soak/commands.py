"""The operator beside a run: one command line after another, each a process of its own, and now and then the switch."""

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from tests.scenarios.homes import REPOSITORY
from tests.soak.venue import ALIAS, Venue

FAR: Final = Decimal("0.9")  # of the best bid: nothing fills there
LATE_IS_OVER_S: Final = 6  # what was sent before late arrivals were switched off has arrived
SHUT_S: Final = 5  # how long the switch stays engaged at least
RELEASE_TRIES: Final = 12
COMMAND_WITHIN_S: Final = 180
# What a command may say on such a day: done, found something, denied here, rejected, unknown, unreachable, partly done,
# and credentials refused: a login that meets a sporadic 401 (A5) is not asked for twice on the second venue.
EXPECTED: Final = frozenset({0, 1, 3, 4, 5, 6, 10, 11})


@dataclass(frozen=True, slots=True, kw_only=True)
class Shut:
    """The switch was engaged for this long: from the end of the command that engaged it to the first that releases it."""

    since: datetime
    until: datetime


@dataclass(slots=True)
class Log:
    """What the operator did and met."""

    codes: Counter[str] = field(default_factory=Counter)  # "reconcile 0" and so on
    wrong: list[str] = field(default_factory=list)
    shut: list[Shut] = field(default_factory=list)


class Operator(threading.Thread):
    """Works until told to stop, at a pace of its own."""

    def __init__(self, venue: Venue, *, seed: int, pause_s: tuple[int, int], switch_at_s: tuple[int, ...]) -> None:
        super().__init__(name=f"operator-{venue.name}", daemon=True)
        self.log = Log()
        self._venue = venue
        self._draw = random.Random(seed)
        self._pause_s = pause_s
        self._switch_at = list(switch_at_s)
        self._over = threading.Event()
        self._began = time.monotonic()

    def run(self) -> None:
        calls: tuple[tuple[Callable[[], None], int], ...] = (
            (self._far_order, 8),
            (lambda: self._say("positions", "list"), 3),
            (lambda: self._say("order", "list"), 3),
            (lambda: self._say("fills", "list"), 1),
            (lambda: self._say("reconcile"), 4),
            (lambda: self._say("preflight"), 1),
        )
        try:
            while not self._over.wait(self._draw.uniform(*self._pause_s)):
                if self._switch_at and time.monotonic() - self._began >= self._switch_at[0]:
                    self._switch_at.pop(0)
                    self._engage_and_release()
                    continue
                (call,) = self._draw.choices([each for each, _ in calls], [weight for _, weight in calls])
                call()
        except Exception as error:  # the soak fails by it; nothing of it may vanish with a thread
            self.log.wrong.append(f"operator of {self._venue.name}: {type(error).__name__}: {error}")

    def finish(self, within_s: int) -> None:
        """The command under way is the last one."""
        self._over.set()
        if self.is_alive():
            self.join(within_s)
            if self.is_alive():
                self.log.wrong.append(f"a command of {self._venue.name} is still running after {within_s} s")

    # --- what it does -------------------------------------------------------------------------------------------

    def _far_order(self) -> None:
        """Placed where nothing fills, and cancelled; an order that was left behind goes with the next one."""
        book = self._say("products", "book", ALIAS, "--depth", "1")
        bids = (book or {}).get("bids") or []
        if not bids:
            return
        price = (Decimal(bids[0]["price"]) * FAR).quantize(Decimal("1E+2"))
        smallest = "0.01" if self._venue.name == "us" else "0.0001"
        self._say(
            "order", "place", "--product", ALIAS, "--side", "buy", "--size", smallest, "--price", f"{price:f}",
            "--post-only", "--again",
        )  # fmt: skip
        told = self._say("order", "list") or {}
        far = [
            each["venue_order_id"]
            for each in told.get("orders") or ()
            if each["limit_price"] is not None and Decimal(each["limit_price"]) <= price * Decimal("1.05")
        ]
        if far:
            self._say("order", "cancel", *far)

    def _engage_and_release(self) -> None:
        """The exchange's book tells afterwards whether an order came in between (R1)."""
        weather = self._venue.weather
        weather.without_late()
        time.sleep(LATE_IS_OVER_S)
        self._say("killswitch", "engage", "--reason", "soak", "--by", "soak")
        since = datetime.now(UTC)
        time.sleep(SHUT_S)
        weather.late_again()
        self.log.shut.append(Shut(since=since, until=datetime.now(UTC)))
        for _ in range(RELEASE_TRIES):  # refused while an order is in doubt: the run ends the doubt meanwhile
            told = self._say("killswitch", "release", "--ack", "soak", "--by", "soak") or {}
            if told.get("released"):
                return
            time.sleep(5)
        self.log.wrong.append(f"{self._venue.name}: the switch could not be released in {RELEASE_TRIES} tries")

    def _say(self, *line: str) -> Any:
        return say(self._venue, self.log, *line)


def say(venue: Venue, log: Log, *line: str) -> Any:
    """One command line; its data, or None where it has none. What no command may ever say is written down."""
    what = " ".join(line[:2] if line[0] in {"order", "products", "positions", "fills", "killswitch"} else line[:1])
    try:
        done = subprocess.run(
            [sys.executable, "-m", "perpsctl.commands.app", "--profile", venue.profile, *line, "--format", "json"],
            env=venue.home.environ, capture_output=True, text=True, timeout=COMMAND_WITHIN_S, check=False,
            stdin=subprocess.DEVNULL, cwd=REPOSITORY, start_new_session=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        log.wrong.append(f"{venue.name}: {what} did not end within {COMMAND_WITHIN_S} s")
        return None
    log.codes[f"{what} {done.returncode}"] += 1
    if done.returncode not in EXPECTED:
        log.wrong.append(f"{venue.name}: {what} ended with {done.returncode}: {(done.stdout + done.stderr)[:600]}")
    if "Traceback" in done.stdout + done.stderr:
        log.wrong.append(f"{venue.name}: {what} showed a traceback: {done.stderr[-600:]}")
    try:
        return json.loads(done.stdout).get("data")
    except ValueError:
        log.wrong.append(f"{venue.name}: {what} told no JSON document: {done.stdout[:200]!r}")
        return None
