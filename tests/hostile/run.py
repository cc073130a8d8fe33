"""`make fuzz`: spoiled replies by seed, at the readers of the wire and at the client, judged by an oracle of their own.

Cases go by number: case I of seed S is the same on every machine and `--case I` plays it alone. Progress goes to stderr;
the last line says how many cases ran and how many rules were broken; exit code 1 where any was.
"""

import argparse
import multiprocessing
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tests.dst.run import _commit, worker
from tests.hostile import frames
from tests.hostile.cases import BATCH, Done, batch, calls, cpu_of, honest

TOOK_MAX_S = 1.0  # of one case: a request's deadline is the clock's, what is left is ours
RSS_MAX_MB = 300
SHOWN = 10
TOLD_EVERY_S = 15
# Under so many cases some call may not have been struck in both ways by chance.
ENOUGH = 5_000


@dataclass(slots=True)
class Sums:
    """What many cases come to."""

    cases: int = 0
    worst_s: float = 0.0
    worst: str = ""
    rss_mb: int = 0
    ended: Counter[tuple[str, str]] = field(default_factory=Counter)
    broken: list[Done] = field(default_factory=list)

    def add(self, done: Done) -> None:
        self.cases += done.count
        self.ended[done.what.removeprefix("client "), done.ended] += done.count
        if done.took > self.worst_s:
            self.worst_s, self.worst = done.took, f"case {done.number} {done.what} {done.how}"
        if done.broken:
            self.broken.append(done)


def _batches(asked: tuple[int, int, int, str]) -> tuple[list[Done], int]:
    """Some batches in a worker; its memory beside them."""
    seed, first, last, level = asked
    done = [each for number in range(first, last) for each in batch(seed, number, level=level)]
    done = [_slow(each, seed, level) if each.took > TOOK_MAX_S * each.count else each for each in done]
    return _thinned(done), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _slow(done: Done, seed: int, level: str) -> Done:
    """The case with its processor time; broken where that is too long."""
    took = cpu_of(seed, done.number, level)
    told = (f"took {took:.1f} s",) if took > TOOK_MAX_S else ()
    return replace(done, took=took, broken=(*done.broken, *told))


def _thinned(done: list[Done]) -> list[Done]:
    """What travels back: every broken or slow case, and the rest summed by how it ended."""
    kept = [each for each in done if each.broken]
    sums: dict[tuple[str, str], list[Done]] = {}
    for each in done:
        if not each.broken:
            sums.setdefault((each.what, each.ended), []).append(each)
    for (what, ended), group in sums.items():
        slowest = max(group, key=lambda each: each.took)
        count = sum(each.count for each in group)
        kept.append(
            Done(
                number=slowest.number,
                what=what,
                ended=ended,
                took=slowest.took,
                broken=(),
                how=slowest.how,
                count=count,
            )
        )
    return kept


CHUNK = 8


def played(seed: int, cases: int, *, level: str = "both", jobs: int = 1) -> Iterator[Sums]:
    """The sums after each step; the last ones are the result."""
    sums = Sums()
    whole = -(-cases // BATCH)
    asked = [(seed, first, min(first + CHUNK, whole), level) for first in range(0, whole, CHUNK)]
    for call in calls():
        honest(call.told)
    for venue in ("us", "global"):
        frames.recorded(venue)
    if jobs == 1:
        for each in asked:
            _added(sums, *_batches(each))
            yield sums
        return
    with multiprocessing.get_context("fork").Pool(jobs, initializer=worker) as pool:
        for done, rss in pool.imap(_batches, asked):
            _added(sums, done, rss)
            yield sums


def _added(sums: Sums, done: list[Done], rss: int) -> None:
    for each in done:
        sums.add(each)
    sums.rss_mb = max(sums.rss_mb, rss)


def vacuous(sums: Sums) -> list[str]:
    """Calls that only ever ended in one way: then nothing was tried there."""
    if sums.cases < ENOUGH:
        return []
    found = []
    for call in calls():
        ends = {ended for (what, ended) in sums.ended if what == call.told}
        if len(ends) < 2:
            found.append(f"{call.told} always ended as {sorted(ends)}")
    return found


def main(arguments: list[str] | None = None) -> int:
    """The command; answers its exit code."""
    asked = _parsed(arguments)
    if asked.case is not None:
        return _replay(asked.seed, asked.case, asked.level)
    began = told = time.monotonic()
    sums = Sums()
    known = 0
    for sums in played(asked.seed, asked.cases, level=asked.level, jobs=asked.jobs):
        for done in sums.broken[known:]:
            print(f"case {done.number} {done.what}: {done.broken[0]}", file=sys.stderr, flush=True)
        known = len(sums.broken)
        if time.monotonic() - told > TOLD_EVERY_S:
            told = time.monotonic()
            print(f"{sums.cases} cases, {len(sums.broken)} broken, {sums.rss_mb} MB", file=sys.stderr, flush=True)
    took = time.monotonic() - began
    for done in sums.broken[:SHOWN]:
        print(f"case {done.number} {done.what} {done.how}: {'; '.join(done.broken)}")
        print(f"  python -m tests.hostile.run --seed {asked.seed} --level {asked.level} --case {done.number}")
    empty = vacuous(sums)
    for each in empty:
        print(each)
    if sums.rss_mb > RSS_MAX_MB:
        print(f"{sums.rss_mb} MB of memory, {RSS_MAX_MB} are allowed")
    kinds = Counter(
        "error" if ended in _ERRORS else "value" for (_, ended), many in sums.ended.items() for _ in range(many)
    )
    print(
        f"seed {asked.seed}, level {asked.level}, commit {_commit()}, {took:.0f} s; {len(calls())} calls of both venues; "
        f"{kinds['error']} ended as a typed error, {kinds['value']} as a value; slowest case {sums.worst_s * 1000:.0f} ms "
        f"({sums.worst}); peak RSS {sums.rss_mb} MB"
    )
    count = len(sums.broken) + len(empty) + (sums.rss_mb > RSS_MAX_MB)
    print(f"{sums.cases} hostile responses, {count} violations")
    return 1 if count else 0


_ERRORS = frozenset(
    {
        "VenueSpokeStrangely",
        "VenueUnreachable",
        "VenueRefusedRequest",
        "VenueRefusedUs",
        "RateLimited",
        "Unknown",
        "NotSent",
    }
)


def _replay(seed: int, case: int, level: str) -> int:
    """The case alone, told in full."""
    for done in batch(seed, case // BATCH, level=level):
        if done.number == case:
            print(f"{done.what} {done.how}: ended as {done.ended} in {done.took * 1000:.1f} ms")
            for each in done.broken:
                print(f"  {each}")
            print(f"1 hostile responses, {len(done.broken)} violations")
            return 1 if done.broken else 0
    print("no such case", file=sys.stderr)
    return 2


def _parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000, help="how many")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--level", choices=("both", "wire"), default="both")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--case", type=int, default=None, help="one case alone, by its number")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
