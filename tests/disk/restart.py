"""Restart over a long past: from the start of the process to reconciled and ready, with doubts to end and reads that fail meanwhile.

`python -m tests.disk.restart [--orders 100000] [--open 50] [--within SECONDS] [--venue us|global|both] [--keep FOLDER]`. The past is
written by `tests.disk.history`; then OPEN orders rest at the exchange, three processes are killed the moment their order is
sent, and the exchange fails some of the first reads. Measured are real processes: `reconcile`, `run` to the end of its first
tick (it verifies the whole journal first), and what an operator calls one by one. Wall time counts, unless other work keeps
the machine's processors busy (load above twice their number): then the processor time counts, and the last line says so. Exits 1 when a start takes longer than allowed, or anything
is left in doubt, lost or double.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from tests.disk.lab import PROFILES, Lab, lab
from tests.disk.powercut import REST
from tests.disk.shim import Unwatchable
from tests.scenarios.homes import REPOSITORY

LOST = 3
READY = ("reconcile", "run")
RUN = ("run", "--strategy", "canary", "--ticks", "1", "--interval", "200ms")
ASKED: tuple[tuple[str, ...], ...] = (
    ("order", "list"),
    (*REST, "--again"),
    ("positions", "list"),
    ("pnl",),
    ("killswitch", "status"),
    ("journal", "info"),
)
FAILING_READS = {"us": ("list_orders", "list_fills"), "global": ("list_orders", "list_fills")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One process from its start to its end."""

    line: str
    code: int
    wall_s: float
    cpu_s: float
    data: Any
    err: str


def measure(place: Lab, *line: str) -> Measured:
    """Runs the real command line as a process of its own."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = place.home.perpsctl(*line, "--profile", PROFILES[place.venue], timeout=1200)
    wall, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(
        line=" ".join(line[:2]), code=done.code, wall_s=wall, cpu_s=cpu, data=done.data, err=done.stderr[-500:]
    )  # fmt: skip


def build(place: Lab, orders: int, left_open: int) -> dict[str, Any]:
    """A long past, and orders open at the exchange."""
    place.fresh()
    done = subprocess.run(
        [sys.executable, "-m", "tests.disk.history", str(orders), str(left_open)],
        env=place.home.environ | {"PERPSCTL_PROFILE": PROFILES[place.venue]},
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def lose_replies(place: Lab) -> list[str]:
    """Intents whose processes were killed when their orders had just left."""
    lost = []
    for number in range(LOST):
        named = f"22222222-2222-4333-8444-{number:012d}"
        line = (*REST[:-2], str(57000 - 100 * number), REST[-1])
        done = place.run(*line, "--again", "--client-order-id", named, die_on="sent", bytes_kept=False)
        if done.code != -9:
            raise RuntimeError(f"{done.code} {done.out}")
        lost.append(named)
    return lost


def arm_reads(place: Lab) -> None:
    """The first reads of a start fail: an unavailable venue that comes back."""
    for operation in FAILING_READS[place.venue]:
        place.home.control("POST", "/faults", {"name": "N7", "operation": operation, "count": 1})


def busy() -> bool:
    """True when this machine does so much else that wall time tells nothing of us."""
    return os.getloadavg()[0] > 2 * (os.cpu_count() or 1)


def start_over(place: Lab, left_open: int, within: float) -> tuple[list[Measured], list[str]]:
    """Both ways to be reconciled and ready, each with doubts to end; what was wrong."""
    found, wrong = [], []
    for way, line in zip(READY, (("reconcile",), RUN), strict=True):
        lost = lose_replies(place) if way == READY[0] else []
        arm_reads(place)
        took = measure(place, *line)
        place.home.control("DELETE", "/faults")
        found.append(took)
        if (took.cpu_s if busy() else took.wall_s) > within:
            wrong.append(f"{way} took {took.wall_s:.1f} s (processor {took.cpu_s:.1f} s), {within:.0f} s are allowed")
        if took.code not in ((0, 1) if way == READY[0] else (0,)):
            wrong.append(f"{way} ended with {took.code}: {took.data} {took.err}")
        counts = Counter(str(order["client_order_id"]) for order in place.book())
        wrong += [f"I1 {count} orders of {intent}" for intent, count in counts.items() if count > 1]
        wrong += [f"{each} is not at the exchange" for each in lost if each not in counts]
    again = measure(place, "reconcile")
    if again.code != 0 or again.data["breaks"]:
        wrong.append(f"not reconciled: {again.code} {again.data}")
    listed = measure(place, "order", "list")
    if listed.data["in_doubt"] or len(listed.data["orders"]) < left_open + LOST:
        wrong.append(f"doubts or orders missing: {listed.data['in_doubt']}, {len(listed.data['orders'])} open")
    return found, wrong


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.disk.restart", description=__doc__)
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--open", type=int, default=50)
    parser.add_argument("--within", type=float, help="seconds; default 30, and 10 up to 1,000 orders")
    parser.add_argument("--venue", choices=("us", "global", "both"), default="both")
    given = parser.parse_args(arguments)
    within = given.within or (10.0 if given.orders <= 1000 else 30.0)
    wrong: list[str] = []
    for venue in ("us", "global") if given.venue == "both" else (given.venue,):
        folder = Path(mkdtemp(prefix="perpsctl-restart-"))
        try:
            with lab(folder / "home", venue) as place:
                begun = time.monotonic()
                built = build(place, given.orders, given.open)
                size = os.path.getsize(place.folder / "journal.db") / 1e6
                print(
                    f"{venue}: {given.orders} orders, {built['rows']} rows, {size:.0f} MB, {built['open']} open; "
                    f"built in {time.monotonic() - begun:.0f} s"
                )
                took, troubles = start_over(place, given.open, within)
                took += [measure(place, *line) for line in ASKED]
                wrong += [f"{venue}: {each}" for each in troubles]
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        for each in took:
            print(f"{venue}: {each.line:20} exit {each.code}  {each.wall_s:6.1f} s  processor {each.cpu_s:6.1f} s")
    for line in wrong:
        print(line)
    by = "processor time, on a machine busy with other work" if busy() else "wall time"
    print(f"{given.orders} orders, ready within {within:.0f} s ({by}): {len(wrong)} violations", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Unwatchable as why:
        print(f"nothing was tried: {why}", flush=True)
        sys.exit(2)
