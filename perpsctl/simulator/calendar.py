"""When sessions break, funding is paid in cash, margin windows step and the session day rolls.

`venue` mode keeps the venue's times (venues.md section 3; Advanced Trade reference section 7, both 2026): weekly break
Friday 17:00-18:00 ET, session day from 17:00 ET, intraday margin 08:00-16:00 ET on weekdays. The clock times of the
two cash adjustments are unknown; 13:00 and 21:00 UTC are ours. `open` mode puts every one of these events at least six
hours after the start, so that a demo works at any minute of any day. Pure: the caller brings the time.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from perpsctl.simulator.options import CalendarMode

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WEEK = timedelta(days=7)
KEPT_AWAY = timedelta(hours=6)
FRIDAY = 4
VENUE_CASH_TIMES = ("13:00", "21:00")


def _nth_sunday(year: int, month: int, nth: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(6 - first.weekday()) % 7 + 7 * (nth - 1))


def eastern_offset(instant: datetime) -> timedelta:
    """New York's offset from UTC at an instant: the rule in force since 2007 (no time-zone database is needed)."""
    year = instant.year
    begins = datetime.combine(_nth_sunday(year, 3, 2), time(7), UTC)  # 02:00 EST
    ends = datetime.combine(_nth_sunday(year, 11, 1), time(6), UTC)  # 02:00 EDT
    return timedelta(hours=-4 if begins <= instant < ends else -5)


def eastern(day: date, hour: int) -> datetime:
    """The UTC instant of a full hour on a New York wall clock; 08:00 to 18:00 exist once on every day."""
    noon = datetime.combine(day, time(17), UTC)
    return datetime.combine(day, time(hour), UTC) - eastern_offset(noon)


def hour_after(instant: datetime) -> datetime:
    """The next full hour, strictly later."""
    return instant.replace(minute=0, second=0, microsecond=0) + HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The trading session around an instant: the current one, or the next where it is closed."""

    is_open: bool
    open_time: datetime
    close_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A margin window; `intraday` rates apply only to accounts that opted in."""

    intraday: bool
    end_time: datetime


class Calendar:
    """The calendar of one exchange from its start on."""

    def __init__(self, mode: CalendarMode, start: datetime, cash_times: tuple[str, ...] | None = None) -> None:
        self.mode = mode
        whole = start.replace(second=0, microsecond=0)
        self._anchor = whole if whole == start else whole + timedelta(minutes=1)
        self._cash_times = self._default_cash_times() if cash_times is None else _checked(cash_times)

    def _default_cash_times(self) -> tuple[str, ...]:
        if self.mode is CalendarMode.VENUE:
            return VENUE_CASH_TIMES
        return tuple(sorted((self._anchor + hours).strftime("%H:%M") for hours in (KEPT_AWAY, KEPT_AWAY + 12 * HOUR)))

    @property
    def cash_times(self) -> tuple[str, ...]:
        """Times of day, UTC, at which accrued funding becomes cash."""
        return self._cash_times

    def set_cash_times(self, times: tuple[str, ...]) -> None:
        """Moves the cash events; ValueError for anything but `HH:MM`."""
        self._cash_times = _checked(times)

    def next_cash_event(self, after: datetime) -> datetime | None:
        """The first cash event strictly later; None when there are none."""
        today = after.date()
        events = [
            datetime.combine(day, time.fromisoformat(text), UTC)
            for day in (today, today + DAY)
            for text in self._cash_times
        ]
        return min((event for event in events if event > after), default=None)

    def next_roll(self, after: datetime) -> datetime:
        """When the session day next ends, strictly later: daily figures start from zero there."""
        if self.mode is CalendarMode.OPEN:
            first = self._anchor + 12 * HOUR
            return first + ((after - first) // DAY + 1) * DAY
        return next(roll for days in range(-1, 3) if (roll := eastern(after.date() + days * DAY, 17)) > after)

    def last_roll(self, at: datetime) -> datetime:
        """When the session day of `at` began (not later than `at`)."""
        if self.mode is CalendarMode.OPEN:
            return self.next_roll(at) - DAY
        return next(roll for days in range(1, -3, -1) if (roll := eastern(at.date() + days * DAY, 17)) <= at)

    def _next_break(self, at: datetime) -> tuple[datetime, datetime]:
        """The weekly break that `at` is in, or the next one."""
        if self.mode is CalendarMode.OPEN:
            first = self._anchor + WEEK / 2
            begin = first + ((at - first - HOUR) // WEEK + 1) * WEEK
            return begin, begin + HOUR
        for days in range(-1, 9):
            day = at.date() + days * DAY
            if day.weekday() == FRIDAY and at < eastern(day, 18):
                return eastern(day, 17), eastern(day, 18)
        raise AssertionError("every nine days hold a Friday")

    def session(self, at: datetime) -> Session:
        """The session `at` falls in; in the weekly break, the next one."""
        begin, end = self._next_break(at)
        if begin <= at:
            return Session(is_open=False, open_time=end, close_time=self.next_roll(end))
        return Session(is_open=True, open_time=self._opened(at, end), close_time=min(self.next_roll(at), begin))

    def _opened(self, at: datetime, next_break_end: datetime) -> datetime:
        """The later of the last roll and the end of the last break."""
        rolled = self.last_roll(at)
        if self.mode is CalendarMode.OPEN:
            return max(rolled, next_break_end - WEEK)
        day = (rolled + eastern_offset(rolled)).date()
        return eastern(day, 18) if day.weekday() == FRIDAY else rolled

    def next_session_change(self, after: datetime) -> datetime:
        """When the weekly break next begins or ends, strictly later."""
        begin, end = self._next_break(after)
        return begin if begin > after else end

    def window(self, at: datetime) -> Window:
        """The margin window of `at`."""
        if self.mode is CalendarMode.OPEN:
            whole, rest = divmod(at - (self._anchor - KEPT_AWAY), 12 * HOUR)
            return Window(intraday=whole % 2 == 0, end_time=at + (12 * HOUR - rest))
        for days in range(-1, 8):
            day = at.date() + days * DAY
            if day.weekday() > FRIDAY:
                continue
            begin, end = eastern(day, 8), eastern(day, 16)
            if at < begin:
                return Window(intraday=False, end_time=begin)
            if at < end:
                return Window(intraday=True, end_time=end)
        raise AssertionError("every eight days hold a weekday")


def _checked(times: tuple[str, ...]) -> tuple[str, ...]:
    for text in times:
        if len(text) != 5 or time.fromisoformat(text).tzinfo is not None:
            raise ValueError(f"{text!r} is not a time of day as HH:MM")
    return tuple(sorted(times))
