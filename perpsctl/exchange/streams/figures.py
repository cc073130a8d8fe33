"""A run's streams in figures: uptime, recoveries and ages, exact where it says so and bounded always. No clock, no wire."""

from datetime import timedelta
from decimal import Decimal

from perpsctl.domain.ids import Ids

__all__ = ["COMPLETE_WITHIN", "SAMPLES_MAX", "Recoveries", "Samples", "Uptime"]

SAMPLES_MAX = 4_096
_MICROSECOND_NS = 1_000
_SHARE_PLACES = Decimal("0.000001")
COMPLETE_WITHIN = timedelta(seconds=10)  # as long as a loop may take to be set up on every socket
_COMPLETE_WITHIN_NS = COMPLETE_WITHIN // timedelta(microseconds=1) * _MICROSECOND_NS


class Samples:
    """Durations: every one up to a bound, then a uniform choice of them (reservoir); the longest is always among them."""

    def __init__(self, ids: Ids, most: int = SAMPLES_MAX) -> None:
        self._ids = ids
        self._most = most
        self._kept: list[int] = []  # nanoseconds
        self._longest: int | None = None
        self.count = 0

    def add(self, ns: int) -> None:
        """One more, in nanoseconds."""
        self.count += 1
        self._longest = ns if self._longest is None else max(self._longest, ns)
        if len(self._kept) < self._most:
            self._kept.append(ns)
            return
        # A place among all so far, from two draws of a million: fine enough for a billion samples.
        place = (self._ids.jitter() * 1_000_000 + self._ids.jitter()) * self.count // 1_000_000_000_000
        if place < self._most:
            self._kept[place] = ns

    @property
    def exact(self) -> bool:
        """True while every sample is kept."""
        return self.count <= self._most

    def told(self) -> tuple[timedelta, ...]:
        """The kept ones, in microseconds' precision; the longest first when it is not among them any more."""
        kept = self._kept
        if self._longest is not None and not self.exact and self._longest not in kept:
            kept = [self._longest, *kept[1:]]
        return tuple(timedelta(microseconds=ns // _MICROSECOND_NS) for ns in kept)


class Recoveries:
    """From a fault seen to the proven safe state, one each."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._open: dict[object, int] = {}

    def fault(self, key: object, at_ns: int) -> None:
        """Seen; once it is open, it is the same fault."""
        self._open.setdefault(key, at_ns)

    def is_open(self, key: object) -> bool:
        return key in self._open

    def safe(self, key: object, at_ns: int) -> None:
        """Over, if it was open."""
        since_ns = self._open.pop(key, None)
        if since_ns is not None:
            self._samples.add(max(0, at_ns - since_ns))

    def lasted(self, ns: int) -> None:
        """One that was seen only when it was over."""
        self._samples.add(max(0, ns))

    def dropped(self, key: object) -> int | None:
        """Since when it was open; it is part of another fault from now on."""
        return self._open.pop(key, None)


class Uptime:
    """In which share of the time every channel had data younger than its bound. Exact, told in order of time.

    It begins with the first complete snapshot of every channel, or `COMPLETE_WITHIN` after the first of them: a channel
    that has told nothing by then has no fresh data, and a mute one is no reason to count nothing at all. What a gap threw
    away is no data, whatever its age; what a lost connection told last is as old as it is. A channel the venue refuses is
    left out.
    """

    def __init__(self) -> None:
        self._until: dict[object, int] = {}  # until when each channel's data is fresh
        self._missing: set[object] = set()
        self._first_ns: int | None = None  # the first complete snapshot of any channel
        self._began_ns: int | None = None
        self._settled_ns = 0
        self._fresh_ns = 0
        self._lowest = 0  # never above the lowest of `_until`

    def watch(self, key: object) -> None:
        """This channel counts; before the first snapshot of all."""
        self._until[key] = 0
        self._missing.add(key)

    def leave_out(self, key: object, at_ns: int) -> None:
        """The venue will not have it."""
        if key in self._until:
            self._settle(at_ns)
            del self._until[key]
            self._missing.discard(key)
            self._lowest = min(self._until.values(), default=0)
            self._begin_if_complete(at_ns)

    def fresh(self, key: object, at_ns: int, bound_ns: int) -> None:
        """Data of a complete channel came."""
        if key not in self._until:
            return
        if self._first_ns is None:
            self._first_ns = at_ns
        self._begin_if_late(at_ns)
        if self._began_ns is not None and at_ns > self._lowest:
            self._lowest = min(self._until.values())
            if at_ns > self._lowest:
                self._settle(at_ns)
        self._until[key] = max(self._until[key], at_ns + bound_ns)
        if key in self._missing:
            self._missing.discard(key)
            self._begin_if_complete(at_ns)

    def gone(self, key: object, at_ns: int) -> None:
        """What the channel had built was thrown away."""
        if key in self._until:
            self._settle(at_ns)
            self._until[key] = min(self._until[key], at_ns)
            self._lowest = min(self._lowest, at_ns)

    def share(self, now_ns: int) -> Decimal | None:
        """Millionths, rounded down; None before it begins."""
        self._begin_if_late(now_ns)
        if self._began_ns is None:
            return None
        self._settle(now_ns)
        whole = self._settled_ns - self._began_ns
        if whole <= 0:
            return Decimal(1)
        return Decimal(self._fresh_ns * 1_000_000 // whole) * _SHARE_PLACES

    def _begin_if_complete(self, at_ns: int) -> None:
        if self._began_ns is None and not self._missing and self._until:
            self._begin(at_ns)

    def _begin_if_late(self, at_ns: int) -> None:
        if self._began_ns is not None or self._first_ns is None or not self._until:
            return
        if at_ns - self._first_ns >= _COMPLETE_WITHIN_NS:
            self._missing.clear()
            self._begin(self._first_ns + _COMPLETE_WITHIN_NS)

    def _begin(self, at_ns: int) -> None:
        self._began_ns = self._settled_ns = at_ns
        self._lowest = min(self._until.values())

    def _settle(self, at_ns: int) -> None:
        if self._began_ns is None or at_ns <= self._settled_ns:
            return
        fresh_until = min(self._until.values(), default=at_ns)
        self._fresh_ns += max(0, min(at_ns, fresh_until) - self._settled_ns)
        self._settled_ns = at_ns
