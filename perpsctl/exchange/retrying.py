"""The only retry policy of the room: reads and cancels repeat, writes never come here.

Bounded in attempts and in total time, with full jitter over our own clock and chance (L2). What the venue asked for by
`Retry-After` is waited out where the time allows, else the error goes up at once. A refused token is tried once more
with a fresh one, because single nodes refuse good ones (A5), and then never again.

Whoever asks may have less time than a policy allows: `within` bounds everything a block asks, on every venue's road.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type

from perpsctl.domain.errors import PerpsctlError, VenueUnreachable
from perpsctl.domain.ids import Ids
from perpsctl.domain.ports import Clock

__all__ = ["CANCELS", "READS", "Again", "RetryPolicy", "in_time", "repeat", "within"]

T = TypeVar("T")
_NOTHING = timedelta(0)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how long. With `waits` False nothing is slept: for tests."""

    attempts: int
    total: timedelta
    first_wait: timedelta = timedelta(milliseconds=200)
    wait_max: timedelta = timedelta(seconds=3)
    asked_wait_max: timedelta = timedelta(seconds=60)
    waits: bool = True


READS = RetryPolicy(attempts=4, total=timedelta(seconds=15))
# Getting out matters more than politeness: more tries, and never more than two seconds apart.
CANCELS = RetryPolicy(
    attempts=10,
    total=timedelta(seconds=20),
    first_wait=timedelta(milliseconds=100),
    wait_max=timedelta(seconds=2),
    asked_wait_max=timedelta(seconds=2),
)


class Again(Exception):
    """One attempt failed in a way worth repeating; `error` is what the reader sees when it was the last one."""

    def __init__(self, error: PerpsctlError, *, asked_wait: timedelta | None = None, once: bool = False) -> None:
        super().__init__(error.message)
        self.error = error
        self.asked_wait = asked_wait
        self.once = once  # worth one more attempt only


# Monotonic; of the thread that asks, so that what other threads read beside it keeps its own time.
_bound_ns: ContextVar[int | None] = ContextVar("bound_ns", default=None)


@contextmanager
def within(length: timedelta, clock: Clock) -> Iterator[None]:
    """No read and no cancel that is asked in the block begins after `length` from now; of nested bounds the nearest holds.

    A request that has begun keeps its own deadline, so the block can outlast `length` by that and no more.
    """
    mine = clock.monotonic_ns() + length // _MICROSECOND * 1000
    before = _bound_ns.get()
    mark = _bound_ns.set(mine if before is None else min(mine, before))
    try:
        yield
    finally:
        _bound_ns.reset(mark)


def in_time(clock: Clock, until_ns: int) -> None:
    """VenueUnreachable when it is too late to begin a request."""
    if clock.monotonic_ns() >= until_ns:
        raise VenueUnreachable("not asked: the time given for it was over")


def repeat(call: Callable[[int], T], policy: RetryPolicy, clock: Clock, ids: Ids) -> T:
    """The call's answer, or the error of its last attempt. `call` gets the monotonic deadline it has to keep.

    Inside `within` the nearer of the two deadlines counts; when that is over nothing is asked at all.
    """
    until_ns, bound_ns = clock.monotonic_ns() + policy.total // _MICROSECOND * 1000, _bound_ns.get()
    if bound_ns is not None:
        in_time(clock, bound_ns)
        until_ns = min(until_ns, bound_ns)
    tired: list[bool] = []  # filled by the first failure that may be repeated only once

    def wait(state: RetryCallState) -> float:
        if not policy.waits:
            return 0.0
        ceiling = min(policy.wait_max, policy.first_wait * (1 << min(state.attempt_number - 1, 10)))
        jittered = ceiling * ids.jitter() // 1_000_000
        asked = min(_failure(state).asked_wait or _NOTHING, policy.asked_wait_max)
        return min(asked + jittered, max(policy.wait_max, policy.asked_wait_max)) / timedelta(seconds=1)

    def stop(state: RetryCallState) -> bool:
        if _failure(state).once:
            if tired:
                return True
            tired.append(True)
        due_ns = clock.monotonic_ns() + int(state.upcoming_sleep * 1_000_000_000)
        return state.attempt_number >= policy.attempts or due_ns >= until_ns

    def pause(seconds: float) -> None:
        clock.sleep(timedelta(seconds=seconds))

    ended = Retrying(
        retry=retry_if_exception_type(Again),
        wait=wait,
        stop=stop,
        sleep=pause,
        retry_error_callback=lambda state: _failure(state).error,
    )(call, until_ns)
    if isinstance(ended, PerpsctlError):
        raise ended
    return ended


def _failure(state: RetryCallState) -> Again:
    failure = state.outcome.exception() if state.outcome is not None else None
    assert isinstance(failure, Again)
    return failure
