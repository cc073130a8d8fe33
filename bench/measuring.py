"""Timing calls and showing the rows: medians, what they are compared with, and whether the goal is met."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One row, in microseconds. `floor` is what it is compared with; `goal` bounds the ratio to it, else the median."""

    name: str
    median_us: float
    p95_us: float
    p99_us: float | None = None
    floor: "Measured | None" = None
    goal: float | None = None

    @property
    def ratio(self) -> float | None:
        """How many times its floor."""
        return None if self.floor is None else self.median_us / self.floor.median_us

    def told(self) -> str:
        """The row as text."""
        said = f"  {self.name:<52} {self.median_us:>11,.1f} us   p95 {self.p95_us:>11,.1f}"
        if self.p99_us is not None:
            said += f"   p99 {self.p99_us:>11,.1f}"
        if self.floor is not None:
            said += f"   {self.ratio:.2f} x {self.floor.name}"
        if self.goal is not None:
            reached = self.ratio if self.ratio is not None else self.median_us
            bound = f"{self.goal:g} x" if self.ratio is not None else f"{self.goal:,.0f} us"
            said += f"   goal {bound}: {'met' if reached <= self.goal else 'MISSED'}"
        return said


def row(
    name: str,
    took_us: Sequence[float],
    *,
    floor: Measured | None = None,
    goal: float | None = None,
    p99: bool = False,
) -> Measured:
    """Median and 95th percentile of single times, the 99th where it is wanted."""
    if not took_us:
        raise SystemExit(f"bench: nothing was measured for {name!r}")
    ordered = sorted(took_us)
    return Measured(
        name=name,
        median_us=statistics.median(ordered),
        p95_us=_share(ordered, 95),
        p99_us=_share(ordered, 99) if p99 else None,
        floor=floor,
        goal=goal,
    )


def _share(ordered: Sequence[float], percent: int) -> float:
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def timed(
    name: str, work: Callable[[], object], *, runs: int, floor: Measured | None = None, goal: float | None = None
) -> Measured:
    """`runs` timed calls after a warm-up."""
    for _ in range(max(2, runs // 20)):
        work()
    took = []
    for _ in range(runs):
        began = time.perf_counter_ns()
        work()
        took.append((time.perf_counter_ns() - began) / 1000)
    return row(name, took, floor=floor, goal=goal)


def show(title: str, rows: Sequence[Measured]) -> None:
    """One block of the table."""
    print(f"\n{title}")
    for each in rows:
        print(each.told())
