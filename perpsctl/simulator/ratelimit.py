"""The venue's request budgets: 30 a second for each user, 10 a second for each public address.

The figures are historical (Advanced Trade reference section 10, 2026-11-22; today's are unverified); what a client must
hold is that they exist, are told in headers, and are refilled by the venue's clock. Nothing here waits.
"""

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

PRIVATE_PER_SECOND = 30
PUBLIC_PER_SECOND = 10
_MICROSECONDS = 1_000_000
_FORGOTTEN_AFTER = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What is left after this request. `reset_s`: whole seconds until the budget is full (the unit is unknown: ours)."""

    allowed: bool
    limit: int
    remaining: int
    reset_s: int

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Lower-case names: the SDK looks them up on a plain dict."""
        return (
            ("x-ratelimit-limit", str(self.limit)),
            ("x-ratelimit-remaining", str(self.remaining)),
            ("x-ratelimit-reset", str(self.reset_s)),
        )


class Budgets:
    """One bucket per caller, refilled continuously. Counted in whole millionths of a request: no rounding."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[int, datetime]] = {}
        self.enforced = True

    def take(self, caller: str, per_second: int, now: datetime) -> Allowance:
        """One request of `caller` is counted; not allowed when its bucket is empty.

        Where budgets do not bind they are told to be full: a client that heeds the headers is not slowed either.
        """
        if not self.enforced:
            return Allowance(allowed=True, limit=per_second, remaining=per_second, reset_s=0)
        full = per_second * _MICROSECONDS
        with self._lock:
            self._forget_idle(now)
            level, seen = self._buckets.get(caller, (full, now))
            elapsed = max(now - seen, timedelta(0))  # a clock set back by fault A1 refills nothing
            level = min(full, level + per_second * (elapsed // timedelta(microseconds=1)))
            allowed = level >= _MICROSECONDS
            if allowed:
                level = max(0, level - _MICROSECONDS)
            self._buckets[caller] = (level, now)
        missing = full - level
        return Allowance(
            allowed=allowed,
            limit=per_second,
            remaining=level // _MICROSECONDS,
            reset_s=-(-missing // full),
        )

    def clear(self) -> None:
        """Every budget is full again."""
        with self._lock:
            self._buckets.clear()

    def _forget_idle(self, now: datetime) -> None:
        if len(self._buckets) > 1000:
            self._buckets = {caller: kept for caller, kept in self._buckets.items() if now - kept[1] < _FORGOTTEN_AFTER}
