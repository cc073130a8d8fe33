"""Makes a failing schedule small: faults go one at a time, then steps, as long as an invariant of the same kind breaks."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

from tests.dst.schedule import ExchangeFault, ProcessFault, Schedule
from tests.dst.story import Ran, run

T = TypeVar("T")
ROUNDS = 400  # runs at most


def shrunk(schedule: Schedule) -> Ran:
    """The smallest schedule found that still breaks one of the invariants the whole one broke."""
    best = run(schedule)
    wanted = _kinds(best)
    left = ROUNDS
    going = bool(wanted)
    while going:
        going = False
        for smaller in _smaller(best.schedule):
            left -= 1
            if left < 0:
                return best
            tried = run(smaller)
            if _kinds(tried) & wanted:
                best, going = tried, True
                break
    return best


def _kinds(ran: Ran) -> set[str]:
    return {each.split()[0] for each in ran.violations}


def _smaller(schedule: Schedule) -> Iterator[Schedule]:
    """Each schedule with one thing less, the likeliest to be needless first."""
    for at in range(len(schedule.process)):
        yield replace(schedule, process=_without(schedule.process, at))
    for at in range(len(schedule.exchange)):
        yield replace(schedule, exchange=_without(schedule.exchange, at))
    for at in reversed(range(len(schedule.steps))):
        if len(schedule.steps) > 1:
            yield _without_step(schedule, at)
    if schedule.latency_ms:
        yield replace(schedule, latency_ms=0)


def _without(many: tuple[T, ...], at: int) -> tuple[T, ...]:
    return many[:at] + many[at + 1 :]


def _without_step(schedule: Schedule, at: int) -> Schedule:
    """Faults of the step that goes move to the one that takes its place; names follow the steps' numbers."""

    def moved_exchange(fault: ExchangeFault) -> ExchangeFault:
        return replace(fault, before=min(fault.before - (fault.before > at), len(schedule.steps) - 2))

    def moved_process(fault: ProcessFault) -> ProcessFault:
        return replace(fault, step=fault.step - (fault.step > at))

    return replace(
        schedule,
        steps=_without(schedule.steps, at),
        exchange=tuple(moved_exchange(each) for each in schedule.exchange),
        process=tuple(moved_process(each) for each in schedule.process if each.step != at),
    )
