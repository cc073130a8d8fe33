"""The gateway's request budgets: credits per login (or address), one pool for reads, one for orders, one for mass cancels.

Numbers are native ones and may differ on the gateway (Global Derivatives reference section 6, 2026-11-22); the account's
own are told in the extended summary. Empty means 10028, and the connection it came on is closed. Nothing here waits.
"""

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

_PARTS = 1_000_000  # millionths of a request: whole numbers only
_FORGOTTEN_AFTER = timedelta(minutes=1)


class Pool(StrEnum):
    """Which budget a method draws on."""

    READS = "non_matching_engine"
    ORDERS = "matching_engine"
    MASS_CANCELS = "cancel_all"
    INSTRUMENTS = "get_instruments"
    LOG = "get_transaction_log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Requests a second, and how many may come at once."""

    rate: int
    burst: int


RATES = {
    Pool.READS: Rate(rate=20, burst=100),
    Pool.ORDERS: Rate(rate=5, burst=20),
    Pool.MASS_CANCELS: Rate(rate=5, burst=20),
    Pool.INSTRUMENTS: Rate(rate=1, burst=50),
    Pool.LOG: Rate(rate=1, burst=50),
}


class Credits:
    """One bucket per caller and pool, refilled continuously by the venue's clock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._levels: dict[tuple[str, Pool], tuple[int, datetime]] = {}
        self.enforced = True

    def take(self, caller: str, pool: Pool, now: datetime) -> bool:
        """One request is counted; False when the pool is empty: it must not run."""
        rate = RATES[pool]
        full = rate.burst * _PARTS
        with self._lock:
            if len(self._levels) > 1000:
                self._levels = {key: kept for key, kept in self._levels.items() if now - kept[1] < _FORGOTTEN_AFTER}
            level, seen = self._levels.get((caller, pool), (full, now))
            elapsed = max(now - seen, timedelta(0)) // timedelta(microseconds=1)
            level = min(full, level + rate.rate * elapsed)
            allowed = level >= _PARTS or not self.enforced
            self._levels[caller, pool] = (max(0, level - _PARTS) if allowed else level, now)
        return allowed

    def clear(self) -> None:
        """Every budget is full again."""
        with self._lock:
            self._levels.clear()
