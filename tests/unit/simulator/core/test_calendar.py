"""Sessions, cash events and margin windows, daylight saving included (M7)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perpsctl.simulator.calendar import Calendar, eastern, eastern_offset
from perpsctl.simulator.options import CalendarMode

SIX_HOURS = timedelta(hours=6)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(lambda d: d.replace(tzinfo=UTC))  # noqa: DTZ001


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def venue() -> Calendar:
    return Calendar(CalendarMode.VENUE, at("2026-01-05T00:00:00Z"))


@pytest.mark.parametrize(
    ("instant", "hours"),
    [
        ("2026-03-08T06:59:59Z", -5),
        ("2026-03-08T07:00:00Z", -4),
        ("2026-11-01T05:59:59Z", -4),
        ("2026-11-01T06:00:00Z", -5),
        ("2027-03-14T07:00:00Z", -4),
        ("2027-11-07T06:00:00Z", -5),
    ],
)
def test_new_york_changes_its_clocks_at_two_in_the_morning(instant: str, hours: int) -> None:
    assert eastern_offset(at(instant)) == timedelta(hours=hours)


def test_a_new_york_wall_clock_hour_moves_with_daylight_saving() -> None:
    assert eastern(at("2026-03-07T12:00:00Z").date(), 17).hour == 22
    assert eastern(at("2026-03-08T12:00:00Z").date(), 17).hour == 21


@pytest.mark.parametrize(
    ("instant", "is_open"),
    [
        ("2026-03-06T21:59:59Z", True),  # Friday 16:59:59 EST
        ("2026-03-06T22:00:00Z", False),
        ("2026-03-06T22:59:59Z", False),
        ("2026-03-06T23:00:00Z", True),
        ("2026-03-13T20:59:59Z", True),  # Friday after the change: an hour earlier in UTC
        ("2026-03-13T21:00:00Z", False),
        ("2026-03-13T22:00:00Z", True),
        ("2026-03-08T12:00:00Z", True),  # Sunday: 24/7
    ],
)
def test_the_weekly_break_is_friday_five_to_six_in_new_york(instant: str, is_open: bool) -> None:
    assert venue().session(at(instant)).is_open is is_open


def test_a_session_tells_when_it_opened_and_closes() -> None:
    monday = venue().session(at("2026-11-23T15:00:00Z"))
    assert (monday.open_time, monday.close_time) == (at("2026-11-22T22:00:00Z"), at("2026-11-23T22:00:00Z"))
    evening = venue().session(at("2026-11-27T23:30:00Z"))  # Friday 18:30 ET, just after the break
    assert (evening.open_time, evening.close_time) == (at("2026-11-27T23:00:00Z"), at("2026-11-28T22:00:00Z"))
    shut = venue().session(at("2026-11-27T22:30:00Z"))
    assert (shut.is_open, shut.open_time) == (False, at("2026-11-27T23:00:00Z"))


@pytest.mark.parametrize(
    ("instant", "intraday", "ends"),
    [
        ("2026-11-23T12:59:59Z", False, "2026-11-23T13:00:00Z"),  # Monday 08:00 ET
        ("2026-11-23T13:00:00Z", True, "2026-11-23T21:00:00Z"),
        ("2026-11-23T21:00:00Z", False, "2026-11-24T13:00:00Z"),
        ("2026-11-27T21:00:00Z", False, "2026-11-30T13:00:00Z"),  # over the weekend
        ("2026-07-06T12:00:00Z", True, "2026-07-06T20:00:00Z"),  # summer time
    ],
)
def test_intraday_margin_runs_eight_to_four_on_weekdays(instant: str, intraday: bool, ends: str) -> None:
    window = venue().window(at(instant))
    assert (window.intraday, window.end_time) == (intraday, at(ends))


@given(start=moments)
def test_an_open_calendar_keeps_every_event_six_hours_away_from_the_start(start: datetime) -> None:
    calendar = Calendar(CalendarMode.OPEN, start)
    cash = calendar.next_cash_event(start)
    assert cash is not None
    for event in (
        cash,
        calendar.next_session_change(start),
        calendar.next_roll(start),
        calendar.window(start).end_time,
    ):
        assert event - start >= SIX_HOURS
    assert calendar.session(start).is_open
    assert len(calendar.cash_times) == 2


@given(start=moments, later=st.integers(0, 30 * 86_400), mode=st.sampled_from(CalendarMode))
def test_every_calendar_moves_on(start: datetime, later: int, mode: CalendarMode) -> None:
    calendar = Calendar(mode, start)
    now = start + timedelta(seconds=later)
    session, window, cash = calendar.session(now), calendar.window(now), calendar.next_cash_event(now)
    assert cash is not None
    assert now < cash <= now + timedelta(days=1)
    assert now < window.end_time <= now + timedelta(hours=66)
    assert calendar.last_roll(now) <= now < calendar.next_roll(now)
    assert calendar.next_roll(now) - calendar.last_roll(now) <= timedelta(hours=25)
    if session.is_open:
        assert session.open_time <= now < session.close_time
        before = session.close_time - timedelta(microseconds=1)
        assert calendar.session(before).is_open
    else:
        assert now < session.open_time <= now + timedelta(hours=1)
        assert calendar.session(session.open_time).is_open
    assert calendar.session(now).is_open is not calendar.session(calendar.next_session_change(now)).is_open


@given(start=moments)
def test_an_open_calendar_breaks_once_a_week_for_an_hour(start: datetime) -> None:
    calendar = Calendar(CalendarMode.OPEN, start)
    begin = calendar.next_session_change(start)
    end = calendar.next_session_change(begin)
    assert end - begin == timedelta(hours=1)
    assert calendar.next_session_change(end) - begin == timedelta(days=7)
