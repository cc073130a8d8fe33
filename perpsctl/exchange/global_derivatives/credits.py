"""Rate budgets of the gateway: one bucket per class of request, cancels first, and what to do when it says "enough".

Running out does not mean a polite 429 here: the venue answers 10028 and closes the connection (reference sections 5 and
6, 2026-11-22). So we stay below what is known and, once refused or cut off without a word, let the bucket fill up whole
before anything but a cancel goes out. Figures until the account's own are read: native Deribit's lowest tier.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType

from perpsctl.domain.ports import Clock
from perpsctl.exchange.pacing import Budget, Priority
from perpsctl.exchange.shelves import Level, MemoryShelf, Shelf
from perpsctl.wire.global_derivatives.methods import METHODS, Purse

__all__ = ["DEFAULT_RATES", "Bucket", "Credits", "Rate", "bucket_of"]

_SECOND_NS = 1_000_000_000


class Bucket(StrEnum):
    """What is counted together at the venue."""

    MATCHING = "matching"
    GENERAL = "general"
    PUBLIC = "public"  # without a session: counted per address
    INSTRUMENTS = "instruments"
    LOG = "log"
    CANCEL_ALL = "cancel_all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Requests a second, and how many at once after a pause."""

    per_second: int
    burst: int


DEFAULT_RATES: Mapping[Bucket, Rate] = MappingProxyType(
    {
        Bucket.MATCHING: Rate(per_second=5, burst=20),
        Bucket.GENERAL: Rate(per_second=20, burst=100),  # 500 credits each of 50,000, refilled at 10,000 a second
        Bucket.PUBLIC: Rate(per_second=20, burst=100),
        Bucket.INSTRUMENTS: Rate(per_second=1, burst=50),
        Bucket.LOG: Rate(per_second=1, burst=2),
        Bucket.CANCEL_ALL: Rate(per_second=5, burst=20),
    }
)
_RATE_MAX = 1_000  # whatever the venue says
_BURST_MIN = 2  # below it a read, which leaves a reserve untouched, would never go

_OWN = {
    "public/get_instruments": Bucket.INSTRUMENTS,
    "private/get_transaction_log": Bucket.LOG,
    "public/auth": Bucket.MATCHING,  # everything depends on it
}
_BY_PURSE = {Purse.MATCHING: Bucket.MATCHING, Purse.CANCEL_ALL: Bucket.CANCEL_ALL}


def bucket_of(method: str) -> Bucket:
    """Where a method is counted (reference section 6). KeyError for a method that is not in the wire's list."""
    own = _OWN.get(method)
    if own is not None:
        return own
    fact = METHODS[method]
    return _BY_PURSE.get(fact.purse, Bucket.GENERAL if fact.private else Bucket.PUBLIC)


class Credits:
    """The budgets of one key. Safe to share between threads: the shelf lets one at a level, never while waiting."""

    def __init__(
        self,
        clock: Clock,
        *,
        rates: Mapping[Bucket, Rate] = DEFAULT_RATES,
        shelf: Callable[[str], Shelf] | None = None,
    ) -> None:
        """`shelf` makes the place where a bucket's level stands, by name, where several processes share it."""
        self._clock = clock
        self._lock = threading.Lock()
        self._rates = dict(rates)
        now_ns = clock.monotonic_ns()
        self._shelves: dict[Bucket, Shelf] = {
            bucket: shelf(bucket.value) if shelf is not None else MemoryShelf(Level(_full(rate), now_ns, 0))
            for bucket, rate in self._rates.items()
        }
        self._budgets = {bucket: self._made(bucket) for bucket in self._rates}

    @property
    def rates(self) -> Mapping[Bucket, Rate]:
        """What is kept to now."""
        return dict(self._rates)

    def adopt(self, told: Mapping[Bucket, Rate]) -> None:
        """Keeps to the account's own figures from now on, where they are usable; the levels stay as they are."""
        with self._lock:
            for bucket, rate in told.items():
                usable = Rate(
                    per_second=max(1, min(rate.per_second, _RATE_MAX)),
                    burst=max(_BURST_MIN, min(rate.burst, _RATE_MAX)),
                )
                if rate.per_second >= 1 and usable != self._rates.get(bucket):
                    self._rates[bucket] = usable
                    self._budgets[bucket] = self._made(bucket)

    def take(self, method: str, priority: Priority, *, until_ns: int) -> None:
        """Returns when the request may go. RateLimited at once when that would be after `until_ns` (monotonic)."""
        bucket = bucket_of(method)
        self._budgets[bucket].take(priority, until_ns=until_ns, called=f"our request budget ({bucket})")

    def exhausted(self) -> None:
        """The venue refused with 10028, or hung up without a word: every bucket starts empty and fills up first."""
        now_ns = self._clock.monotonic_ns()
        for bucket in (Bucket.MATCHING, Bucket.GENERAL, Bucket.PUBLIC):
            self._budgets[bucket].drain(now_ns)

    @property
    def full_refill(self) -> timedelta:
        """How long the general bucket takes to be full."""
        return timedelta(microseconds=self._budgets[Bucket.GENERAL].refill_ns // 1000)

    def _made(self, bucket: Bucket) -> Budget:
        rate = self._rates[bucket]
        return Budget(rate.per_second, self._clock, self._shelves[bucket], burst=rate.burst)


def _full(rate: Rate) -> int:
    return rate.burst * _SECOND_NS
