"""`make crash`: real `perpsctl` processes killed with SIGKILL, at every named step and at random instants, and judged each.

The steps of a command are discovered by letting it live once; that pass is judged as well. Progress goes to stderr. The last
line says how many were killed and what was found; exit code 1 where anything was, or where too few could be killed.
"""

import argparse
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.util import Finalize
from pathlib import Path

from tests.crash.entry import PLANTED
from tests.crash.lab import Instant, Lab
from tests.crash.marks import At
from tests.crash.parent import end_with_parent
from tests.crash.stories import STORIES, Kill, Outcome, Unprepared, carried_out

HERE = Path(__file__).resolve().parent
NAMED_SHARE = 0.6
NEAR_A_WRITE = 0.65  # of the random instants
AFTER_WRITE_US = 40_000
COLD_EVERY = 8  # of the random instants: an interpreter of its own
COLD_START_US = 1_500_000
ATTEMPTS_A_KILL = 3  # instants after the end, and steps that a loop did not come to this time, are drawn again
TOLD_EVERY_S = 15
SHOWN = 8
TRIES_A_CASE = 3  # its preparation is real commands on a busy machine
MEMORY = "/dev/shm"  # a kill takes nothing from the kernel's cache: what a disk would add here is only its slowness
LOST, DOUBLE = ("J1 ", "I2 "), ("I1 ", "I3 ")


@dataclass(slots=True)
class Tally:
    """What was found so far."""

    named: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # venue, story, step
    random: int = 0
    venues: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    unprepared: list[str] = field(default_factory=list)
    failing: list[tuple[Kill, tuple[str, ...]]] = field(default_factory=list)

    @property
    def killed(self) -> int:
        return self.named.total() + self.random

    @property
    def violations(self) -> list[str]:
        return [each for _, lines in self.failing for each in lines]

    def take(self, outcome: Outcome) -> None:
        """One case is counted."""
        kill = outcome.kill
        if outcome.unprepared:
            self.unprepared.append(f"{kill.told}: {outcome.unprepared}")
        if outcome.violations:
            self.failing.append((kill, outcome.violations))
            print(f"{kill.told} breaks {outcome.violations[0]}", file=sys.stderr, flush=True)
        if kill.moment is None or not outcome.struck:
            return
        self.venues[kill.venue] += 1
        if isinstance(kill.moment, At):
            self.named[kill.venue, kill.story, kill.moment.name] += 1
        else:
            self.random += 1


# --- workers -----------------------------------------------------------------------------------------------------

_lab: Lab | None = None
_kept = Path()
_keep: Path | None = None


def worker(plant: str, keep: Path | None) -> None:
    """A lab for this worker, closed with it."""
    global _lab, _kept, _keep
    end_with_parent()
    folder = Path(tempfile.mkdtemp(prefix="perpsctl-crash-", dir=MEMORY if os.path.isdir(MEMORY) else None))
    _lab, _kept, _keep = Lab(folder, plant=plant), folder / "kept", keep

    def end() -> None:
        if _lab is not None:
            _lab.close()
        shutil.rmtree(folder, ignore_errors=True)

    Finalize(None, end, exitpriority=10)


def one(kill: Kill) -> Outcome:
    """One case in this worker."""
    assert _lab is not None
    missing = ""
    for _ in range(TRIES_A_CASE):
        try:
            outcome = carried_out(_lab, kill, _kept)
        except Unprepared as nothing:  # nothing was killed and nothing is counted: too few kills fail the whole
            missing = str(nothing)
            continue
        except Exception as broken:  # a case that cannot be judged is told, and never counted as well
            return _nothing(kill, f"HARNESS {type(broken).__name__}: {broken}")
        if outcome.violations and _keep is not None:
            shutil.copytree(_kept, _keep / kill.told.replace("/", "-").replace(" ", "_"), dirs_exist_ok=True)
        return outcome
    return _nothing(kill, unprepared=missing)


def _nothing(kill: Kill, *why: str, unprepared: str = "") -> Outcome:
    return Outcome(
        kill=kill, struck=False, violations=why, steps=(), writes_at_us=(), took_us=0, unprepared=unprepared
    )  # fmt: skip


# --- the plan ----------------------------------------------------------------------------------------------------


class Plan:
    """Draws kills: steps not yet hit first, then any; instants near a write rather than elsewhere."""

    def __init__(self, seed: int, lived: Sequence[Outcome]) -> None:
        self._chance = random.Random(seed)
        self._lived = {(each.kill.venue, each.kill.story): each for each in lived if each.steps}
        self._left: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._count = 0
        self._randoms = 0
        self._drawn: set[str] = set()  # by any command: the first kills go to steps nobody died at yet
        self.steps = {where: {at.name for at in each.steps} for where, each in self._lived.items()}

    def kills(self, count: int) -> Iterator[Kill]:
        """So many more, venues in turn."""
        for _ in range(count if self._lived else 0):
            venues = sorted({venue for venue, _ in self._lived})
            venue = venues[self._count % len(venues)]
            self._count += 1
            stories = sorted(story for at, story in self._lived if at == venue)
            story = self._chance.choices(stories, [STORIES[name].weight for name in stories])[0]
            lived = self._lived[venue, story]
            named = self._chance.random() < NAMED_SHARE
            seed = self._chance.randrange(1 << 32)
            if named:
                yield Kill(venue=venue, story=story, moment=self._step(venue, story, lived), seed=seed)
            else:
                self._randoms += 1
                cold = self._randoms % COLD_EVERY == 0
                yield Kill(venue=venue, story=story, moment=self._instant(lived, cold), seed=seed, cold=cold)

    def _step(self, venue: str, story: str, lived: Outcome) -> At:
        left = self._left[venue, story]
        if not left:
            left += sorted({at.name for at in lived.steps})
            self._chance.shuffle(left)
        name = next((each for each in left if each not in self._drawn), left[-1])
        left.remove(name)
        self._drawn.add(name)
        return self._chance.choice([at for at in lived.steps if at.name == name])

    def _instant(self, lived: Outcome, cold: bool) -> Instant:
        if lived.writes_at_us and self._chance.random() < NEAR_A_WRITE:
            near = self._chance.random() ** 2  # most of them soon after
            write = self._chance.randint(1, len(lived.writes_at_us))
            return Instant(us=int(near * AFTER_WRITE_US), after_write=write)
        longest = lived.took_us + (COLD_START_US if cold else 0)
        return Instant(us=self._chance.randrange(max(1, longest)))


# --- the command --------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """The command; answers its exit code."""
    asked = _parsed(arguments)
    if asked.replay:
        return _replay([Kill.read(each) for each in asked.replay], asked)
    began = time.monotonic()
    venues = ("us", "global") if asked.venue == "both" else (asked.venue,)
    stories = asked.stories.split(",") if asked.stories else list(STORIES)
    first = [
        Kill(venue=venue, story=story, moment=None, seed=asked.seed + number)
        for number, story in enumerate(stories)
        for venue in venues
    ]
    tally, told = Tally(), time.monotonic()
    with multiprocessing.get_context("fork").Pool(asked.jobs, worker, (asked.plant, asked.keep)) as pool:
        lived = list(pool.imap_unordered(one, first))
        for outcome in lived:
            tally.take(outcome)
        lived.sort(key=lambda each: each.kill.told)
        plan = Plan(asked.seed, lived)
        print(f"{len(lived)} commands lived; {_count(plan)} named steps", file=sys.stderr, flush=True)
        while tally.killed < asked.n and tally.attempts < asked.n * ATTEMPTS_A_KILL:
            batch = list(plan.kills(asked.n - tally.killed))
            if not batch:
                break
            tally.attempts += len(batch)
            for outcome in pool.imap_unordered(one, batch):
                tally.take(outcome)
                if time.monotonic() - told > TOLD_EVERY_S:
                    told = time.monotonic()
                    print(f"{tally.killed}/{asked.n} kills, {len(tally.failing)} failing", file=sys.stderr, flush=True)
        pool.close()
        pool.join()
    return _report(tally, plan, asked, time.monotonic() - began)


def _count(plan: Plan) -> int:
    return len(set().union(*plan.steps.values())) if plan.steps else 0


def _report(tally: Tally, plan: Plan, asked: argparse.Namespace, took: float) -> int:
    for kill, lines in tally.failing[:SHOWN]:
        print(f"{kill.told}:")
        print("".join(f"  {each}\n" for each in dict.fromkeys(lines)), end="")
        print(
            f"  replay: python -m tests.crash.run --replay '{kill.told}'"
            + (f" --plant {asked.plant}" if asked.plant else "")
        )
    print("named steps hit, of those there are (us, global):")
    for story in STORIES:
        parts = []
        for venue in ("us", "global"):
            there = plan.steps.get((venue, story))
            if there is not None:
                hit = {step for at, name, step in tally.named if (at, name) == (venue, story)}
                parts.append(f"{len(hit)}/{len(there | hit)}")
        if parts:
            print(f"  {story}: {', '.join(parts)}")
    for each in tally.unprepared[:SHOWN]:
        print(f"not prepared: {each[:300]}")
    violations, steps = tally.violations, {step for _, _, step in tally.named}
    print(f"{tally.attempts} tried, {len(tally.unprepared)} not prepared, {took:.0f} s, {asked.jobs} at a time")
    print(
        f"{tally.killed} kills ({', '.join(f'{venue} {many}' for venue, many in sorted(tally.venues.items(), reverse=True))}; "
        f"{tally.named.total()} at {len(steps)} named steps, {tally.random} at random instants), "
        f"{_having(violations, LOST)} lost acknowledged records, {_having(violations, DOUBLE)} double orders, "
        f"{len(violations)} violations, seed {asked.seed}, commit {_commit()}"
    )
    return 1 if violations or tally.killed < asked.n else 0


def _having(violations: Sequence[str], kinds: tuple[str, ...]) -> int:
    return sum(1 for each in violations if each.startswith(kinds))


def _replay(kills: Sequence[Kill], asked: argparse.Namespace) -> int:
    """These cases, one after the other; each is told."""
    worker(asked.plant, asked.keep)
    tally = Tally()
    for kill in kills:
        outcome = one(kill)
        tally.take(outcome)
        print("".join(f"{each}\n" for each in outcome.violations), end="")
        print(f"{kill.told}: {'killed' if outcome.struck else 'not killed'}, {len(outcome.violations)} violations")
    print(f"{tally.killed} kills of {len(kills)}, {len(tally.violations)} violations")
    return 1 if tally.violations else 0


def _commit() -> str:
    found = subprocess.run(
        ["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "unknown"


def _parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.run", description="Kill real processes and judge.")
    parser.add_argument("--n", type=int, default=150, help="how many processes are killed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--venue", choices=("us", "global", "both"), default="both")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--stories", help="only these commands, by name, with commas")
    parser.add_argument("--replay", metavar="CASE", nargs="+", help="these cases, as failures told them")
    parser.add_argument(
        "--plant", choices=("", *PLANTED), default="", help="with a bug planted in the command that dies"
    )
    parser.add_argument("--keep", type=Path, help="copies of what failing cases left behind go here")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
