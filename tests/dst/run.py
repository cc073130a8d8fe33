"""`make dst`: schedules by seed over several processes, the first failure shrunk, a self-check that traces repeat.

Progress goes to stderr. The last line says how many schedules ran and how many violations were found; exit code 1 where any
was, or where a trace did not repeat.
"""

import argparse
import ctypes
import gc
import multiprocessing
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.dst.schedule import MODES, VENUES, Schedule, draw, of_json
from tests.dst.shrink import shrunk
from tests.dst.story import Ran, run

HERE = Path(__file__).resolve().parent
PR_SET_PDEATHSIG = 1  # linux/prctl.h
TOLD_EVERY_S = 10
SHOWN = 5  # failing seeds that are told in full
CHUNK = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What one worker says of one seed."""

    seed: int
    violations: tuple[str, ...]
    digest: str
    struck: int
    sends: int


def worker() -> None:
    """What was imported is never garbage; the rest is looked through rarely: a twelfth of a schedule's time.

    A worker ends with whoever started it: nobody may be left behind by a run that was stopped.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)


def one(asked: tuple[int, str | None, str | None]) -> Done:
    """Runs one seed in a worker."""
    seed, venue, mode = asked
    ran = run(draw(seed, venue=venue, mode=mode))
    return Done(seed=seed, violations=ran.violations, digest=ran.digest, struck=ran.struck, sends=ran.sends)


def all_of(seeds: range, venue: str | None, mode: str | None, jobs: int) -> Iterator[Done]:
    """Every seed, in the order in which they were asked for."""
    asked = ((seed, venue, mode) for seed in seeds)
    if jobs == 1:
        yield from map(one, asked)
        return
    with multiprocessing.get_context("fork").Pool(jobs, initializer=worker) as pool:
        yield from pool.imap(one, asked, chunksize=CHUNK)


def main(arguments: list[str] | None = None) -> int:
    """The command; answers its exit code."""
    asked = _parsed(arguments)
    if asked.schedule:
        told = asked.schedule if asked.schedule.startswith("{") else Path(asked.schedule).read_text()
        return _replay(of_json(told))
    venue = None if asked.venue == "both" else asked.venue
    seeds = range(asked.seed, asked.seed + asked.seeds)
    if asked.trace:
        ran = run(draw(asked.seed, venue=venue, mode=asked.mode))
        print("\n".join(ran.trace))
        return _verdict(ran)
    began, told = time.monotonic(), time.monotonic()
    failing: list[Done] = []
    digests: dict[int, str] = {}
    count = struck = sends = 0
    for done in all_of(seeds, venue, asked.mode, asked.jobs):
        count, struck, sends = count + 1, struck + done.struck, sends + done.sends
        if len(digests) < asked.repeat:
            digests[done.seed] = done.digest
        if done.violations:
            failing.append(done)
            print(f"seed {done.seed} breaks {done.violations[0]}", file=sys.stderr, flush=True)
        if time.monotonic() - told > TOLD_EVERY_S:
            told = time.monotonic()
            print(f"{count}/{len(seeds)} schedules, {len(failing)} failing", file=sys.stderr, flush=True)
    different = [seed for seed, digest in digests.items() if one((seed, venue, asked.mode)).digest != digest]
    took = time.monotonic() - began
    for done in failing[:SHOWN]:
        print(f"seed {done.seed}:")
        print("".join(f"  {each}\n" for each in done.violations), end="")
    if failing:
        kinds = Counter(each.split()[0] for done in failing for each in done.violations)
        print("by invariant: " + ", ".join(f"{kind} {many}" for kind, many in sorted(kinds.items())))
        print("failing seeds: " + " ".join(str(done.seed) for done in failing[:50]))
        _tell_shrunk(failing[0].seed, venue, asked.mode)
    print(f"traces: {len(digests)} seeds run twice, {len(different)} differ" + _named(different))
    print(
        f"seeds {seeds.start} to {seeds.stop - 1}, venue {asked.venue}, de-duplication {asked.mode or 'all three'}, "
        f"commit {_commit()}, {took:.0f} s, {struck} process faults struck, {sends} writes left"
    )
    print(f"{count} schedules, {sum(len(done.violations) for done in failing)} violations")
    return 1 if failing or different else 0


def _tell_shrunk(seed: int, venue: str | None, mode: str | None) -> None:
    smallest = shrunk(draw(seed, venue=venue, mode=mode))
    print(f"minimal schedule of seed {seed} ({', '.join(smallest.violations)}):")
    print(f"  python -m tests.dst.run --schedule '{smallest.schedule.as_json()}'")


def _replay(schedule: Schedule) -> int:
    ran = run(schedule)
    print("\n".join(ran.trace))
    return _verdict(ran)


def _verdict(ran: Ran) -> int:
    print("".join(f"{each}\n" for each in ran.violations), end="")
    print(f"trace {ran.digest}")
    print(f"1 schedules, {len(ran.violations)} violations")
    return 1 if ran.violations else 0


def _named(seeds: list[int]) -> str:
    return ": " + " ".join(map(str, seeds)) if seeds else ""


def _commit() -> str:
    """The commit the tree stands at, `+` where it was changed since."""
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--abbrev=12"],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    return told.stdout.strip() or "unknown"


def _parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make dst", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3000, help="how many seeds")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--mode", choices=MODES, default=None, help="de-duplication of the exchange; default: by seed")
    parser.add_argument("--venue", choices=(*VENUES, "both"), default="both")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=5, help="so many seeds run twice, their traces compared")
    parser.add_argument("--schedule", default="", help="a schedule as printed, or a file that holds one")
    parser.add_argument("--trace", action="store_true", help="print the whole trace of the first seed")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
