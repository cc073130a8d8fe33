"""Rate budgets: how fast we may ask, who goes first, and what the venue's own counters say.

Two buckets (signed and unsigned requests), filled continuously. Cancels may use all of it, orders leave a reserve for
cancels, reads leave more: an operator polling hard never stands in the way of getting out (L2, N5, N6). Time is the
Clock port's, so the budgets run on virtual time as well. No number here is a price or a size.

Figures: 30 requests a second per user signed, 10 per address unsigned (coinbase-advanced-trade.md section 10,
2026-11-22: historical, today's are unverified). The meaning of `x-ratelimit-reset` is not documented: read defensively.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum

from perpsctl.domain.errors import RateLimited
from perpsctl.domain.ports import Clock
from perpsctl.exchange.shelves import Level, MemoryShelf, Shelf

__all__ = ["Budget", "Pacer", "Priority", "http_date", "reset_wait", "retry_after_wait"]

WAIT_MAX = timedelta(seconds=60)  # whatever a header says (N2)
CANCEL_WAIT_MAX = timedelta(seconds=2)  # a cancel asks again soon: being let in late is worse than one more 429
_SECOND_NS = 1_000_000_000
_SECOND = timedelta(seconds=1)
_MICROSECOND = timedelta(microseconds=1)
_NOTHING = timedelta(0)
_WHOLE = re.compile(r"[+-]?[0-9]{1,15}", re.ASCII)
_EPOCH_SECONDS_MIN = 1_000_000_000  # above this a number of seconds is a moment, not a length
_EPOCH_MILLIS_MIN = 1_000_000_000_000


class Priority(Enum):
    """Who goes first. The value is how many thirds of the reserve stay untouched by this class."""

    CANCEL = 0
    WRITE = 2
    READ = 3


class Budget:
    """One bucket of tokens, counted in billionths so that nothing is ever rounded away.

    Where its level stands is the shelf's: in this process, or in a file that every process with the same key shares.
    """

    def __init__(self, per_second: int, clock: Clock, shelf: Shelf | None = None, *, burst: int | None = None) -> None:
        """`burst` is how much a full bucket holds, one second's worth when not said."""
        if per_second < 1 or (burst is not None and burst < 1):
            raise ValueError("a budget lets something through")
        self.per_second = per_second
        self._clock = clock
        self._full = (per_second if burst is None else burst) * _SECOND_NS
        self._reserve = self._full * 3 // 10  # three tenths: two for orders to leave, one more for reads
        self._shelf: Shelf = shelf or MemoryShelf(Level(self._full, clock.monotonic_ns(), 0))

    def take(self, priority: Priority, *, until_ns: int, called: str = "our request budget") -> None:
        """Returns when the request may go. RateLimited at once when that would be after `until_ns` (monotonic).

        A cancel goes after two seconds at the latest: who shares the level may empty it faster than it fills up.
        """
        patience_ns = self._clock.monotonic_ns() + _ns(CANCEL_WAIT_MAX)
        while True:
            now_ns = self._clock.monotonic_ns()
            wait_ns = self.wait_ns(now_ns, priority)
            if priority is Priority.CANCEL:
                wait_ns = min(wait_ns, max(0, patience_ns - now_ns))
            if wait_ns == 0:
                return
            if now_ns + wait_ns > until_ns:
                raise RateLimited(
                    f"{called} is used up for another {wait_ns // 1_000_000} ms",
                    fix="wait, then repeat; cancels keep a budget of their own",
                )
            self._clock.sleep(timedelta(microseconds=-(-wait_ns // 1000)))

    def wait_ns(self, now_ns: int, priority: Priority) -> int:
        """Nanoseconds until a request of this class may go; takes its token when that is zero."""
        with self._shelf.held() as level:
            self._refill(level, now_ns)
            blocked = max(0, level.blocked_until_ns - now_ns)
            if priority is Priority.CANCEL:
                blocked = min(blocked, _ns(CANCEL_WAIT_MAX)) if level.tokens < _SECOND_NS else 0
            missing = _SECOND_NS + self._reserve * priority.value // 3 - level.tokens
            wait = max(blocked, -(-missing // self.per_second) if missing > 0 else 0)
            if wait == 0:
                level.tokens -= _SECOND_NS
            return wait

    def block(self, until_ns: int, now_ns: int) -> None:
        """No order and no read before then; cancels are only slowed."""
        with self._shelf.held() as level:
            self._refill(level, now_ns)
            level.blocked_until_ns = max(level.blocked_until_ns, until_ns)

    def drain(self, now_ns: int) -> None:
        """The venue said that it is used up: empty, and no order and no read before it is full again (10028 there)."""
        with self._shelf.held() as level:
            self._refill(level, now_ns)
            level.tokens = 0
            level.blocked_until_ns = max(level.blocked_until_ns, now_ns + min(self.refill_ns, _ns(WAIT_MAX)))

    @property
    def refill_ns(self) -> int:
        """How long an empty bucket takes to be full."""
        return -(-self._full // self.per_second)

    def _refill(self, level: Level, now_ns: int) -> None:
        """A level from before a reboot, when the count began again, is as good as full; so is one never written.

        One that was counted a moment after `now_ns` is another's who looked at the clock later and was let in first.
        """
        if not 0 < level.filled_ns <= now_ns + _SECOND_NS or level.blocked_until_ns > now_ns + _ns(WAIT_MAX + _SECOND):
            level.tokens, level.blocked_until_ns, level.filled_ns = self._full, 0, now_ns
        gained = max(0, now_ns - level.filled_ns) * self.per_second
        level.filled_ns = max(level.filled_ns, now_ns)
        level.tokens = min(self._full, max(0, level.tokens) + gained)


class Pacer:
    """The budgets of one key. Safe to share between threads: the shelf lets one at a level, never while waiting."""

    def __init__(
        self, clock: Clock, *, private_per_second: int = 30, public_per_second: int = 10, shelf: Shelf | None = None
    ) -> None:
        """`shelf` holds the signed budget's level where several processes share it."""
        self._clock = clock
        self._private = Budget(private_per_second, clock, shelf)
        self._public = Budget(public_per_second, clock)

    def take(self, priority: Priority, *, signed: bool, until_ns: int) -> None:
        """Returns when the request may go. RateLimited at once when that would be after `until_ns` (monotonic)."""
        (self._private if signed else self._public).take(priority, until_ns=until_ns)

    def observe(self, header: Callable[[str], str], status: int, *, signed: bool) -> None:
        """Takes the venue's own counters in: none remaining, or a 429, stops orders and reads until the reset."""
        remaining = header("x-ratelimit-remaining").strip()
        if status != 429 and remaining != "0":
            return
        now = self._clock.now()
        wait = retry_after_wait(header("retry-after"), now) if status == 429 else None
        if wait is None:
            wait = reset_wait(header("x-ratelimit-reset"), now)
        if wait is None:
            return  # nothing told: the retry policy backs off by itself (N3)
        budget = self._private if signed else self._public
        now_ns = self._clock.monotonic_ns()
        budget.block(now_ns + _ns(wait), now_ns)


def retry_after_wait(text: str, now: datetime) -> timedelta | None:
    """What `Retry-After` asks for, seconds or a date, clamped to 0..60 s (N1, N2); None when it says nothing readable."""
    text = text.strip()
    if _WHOLE.fullmatch(text):
        return _clamped(int(text))
    moment = http_date(text)
    return None if moment is None else _within(moment - now)


def reset_wait(text: str, now: datetime) -> timedelta | None:
    """What `x-ratelimit-reset` asks for, clamped to 0..60 s: a length, Unix seconds or Unix milliseconds, by its size."""
    text = text.strip()
    if _WHOLE.fullmatch(text) is None:
        return None
    value = int(text)
    if value < _EPOCH_SECONDS_MIN:
        return _clamped(value)
    micros = value * (1000 if value >= _EPOCH_MILLIS_MIN else 1_000_000)
    elapsed = (now - datetime(1970, 1, 1, tzinfo=UTC)) // _MICROSECOND
    return _within(timedelta(microseconds=max(0, min(micros - elapsed, WAIT_MAX // _MICROSECOND))))


def http_date(text: str) -> datetime | None:
    """An HTTP date as UTC; None for anything else. The zone is GMT whatever is written, as RFC 9110 has it."""
    if not text or len(text) > 64:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _clamped(seconds: int) -> timedelta:
    return timedelta(seconds=max(0, min(seconds, WAIT_MAX // timedelta(seconds=1))))


def _within(wait: timedelta) -> timedelta:
    return max(_NOTHING, min(wait, WAIT_MAX))


def _ns(length: timedelta) -> int:
    return length // _MICROSECOND * 1000
