"""Asking a real process to stop, and what the exchange and the journal say afterwards."""

import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from tests.crash.judge import Crash, found, judge
from tests.crash.lab import Ended, Lab, Running
from tests.crash.stories import UNITS, Scene

SPACING_S = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """How it ended, how long after the first signal, and how many writes had left by then."""

    ended: Ended
    after_s: float  # of real time, for a bound
    writes_before: int

    @property
    def new_orders(self) -> list[str]:
        """Creates and edits that left after the first signal."""
        return [each["left"] for each in self.ended.lefts[self.writes_before :] if each["left"] in ("create", "edit")]


def ask_to_stop(running: Running, number: signal.Signals, times: int, *, within_s: int = 60) -> Stopped:
    """So many signals, a moment apart, and the end."""
    running.read(time.monotonic_ns() + 1)
    before, began = len(running.ended.lefts), time.monotonic()
    for _ in range(times):
        running.kill(number)
        running.read(time.monotonic_ns() + int(SPACING_S * 1e9))
        time.sleep(SPACING_S)
    ended = running.wait(within_s)
    return Stopped(ended=ended, after_s=time.monotonic() - began, writes_before=before)


def whole_afterwards(lab: Lab, venue: str, kept: Path, *ended: Ended) -> list[str]:
    """What is broken once doubts were resolved and journal and venue reconciled; nothing, where all holds."""
    scene = Scene(lab, venue, random.Random(1), kept)
    empty = kept / "before"
    empty.mkdir()
    before = found(empty, lab.judge())
    for each in ended:
        scene.note(each)
    killed = scene.heard[-1][1]
    last = ended[-1]
    for line in (("order", "resolve", "--wait", "150s"), ("reconcile",), ("reconcile",)):
        last = scene.note(lab.run(venue, *line, virtual=True))
    rows = [len(then.rows) for _, then in scene.heard]
    return judge(
        Crash(
            venue=venue,
            unit=UNITS,
            before=before,
            killed=killed,
            after=scene.look(),
            heard=scene.heard,
            breaks=[str(each) for each in (last.data or {}).get("breaks", ())],
            rows_between=rows[-1] - rows[-2],
        )
    )
