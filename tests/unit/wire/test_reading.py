"""Times are read in every legal spelling, to the microsecond, and written as the venue writes them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from perpsctl.wire.advanced_trade import reading
from perpsctl.wire.guard import WireError


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-11-22T12:34:56Z", datetime(2026, 11, 22, 12, 34, 56, tzinfo=UTC)),
        ("2026-11-22T12:34:56.1Z", datetime(2026, 11, 22, 12, 34, 56, 100_000, tzinfo=UTC)),
        ("2026-11-22T12:34:56.123456Z", datetime(2026, 11, 22, 12, 34, 56, 123_456, tzinfo=UTC)),
        ("2026-11-22T12:34:56.999999999Z", datetime(2026, 11, 22, 12, 34, 56, 999_999, tzinfo=UTC)),
        ("2026-11-22T12:34:56.000000001z", datetime(2026, 11, 22, 12, 34, 56, tzinfo=UTC)),
        ("2026-11-22T07:34:56-05:00", datetime(2026, 11, 22, 12, 34, 56, tzinfo=UTC)),
        ("2026-11-22T18:04:56.5+05:30", datetime(2026, 11, 22, 12, 34, 56, 500_000, tzinfo=UTC)),
        ("2028-02-29T23:59:59Z", datetime(2028, 2, 29, 23, 59, 59, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2016, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
        ("2026-12-31T23:30:00-01:00", datetime(2027, 1, 1, 0, 30, tzinfo=UTC)),
    ],
)
def test_times_are_read_in_every_legal_spelling_T3_T5(written: str, meant: datetime) -> None:
    assert reading.moment(written, "time") == meant
    assert reading.moment(written, "time").tzinfo is UTC


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-22T12:34:56",
        "2026-11-22",
        "2026-02-29T00:00:00Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T12:34:56.1234567890Z",
        "2026-11-22T12:34:56.Z",
        "2026-11-22T12:34:61Z",
        "0001-01-01T00:00:00+10:00",
        "2026-11-22T12:34:56+99:99",
        "٢٠٢٦-11-22T12:34:56Z",
        "2026-11-22T12:34:56Z\n",
        "1795350896",
        "now",
    ],
)
def test_what_is_no_time_is_refused(written: str) -> None:
    with pytest.raises(WireError):
        reading.moment(written, "time")


@pytest.mark.parametrize("absent", [UNSET, None, "", "0001-01-01T00:00:00Z"])
def test_an_absent_time_is_none(absent: Any) -> None:
    assert reading.moment_or_none(absent, "time") is None


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_written_is_the_time_read(at: datetime) -> None:
    assert reading.moment(reading.rfc3339(at), "time") == at


@given(st.integers(0, 10**9 - 1), st.integers(0, 10**9 - 1))
def test_cutting_nanoseconds_never_reverses_order(one: int, other: int) -> None:
    first, second = sorted((one, other))
    earlier = reading.moment(f"2026-11-22T12:34:56.{first:09d}Z", "time")
    assert earlier <= reading.moment(f"2026-11-22T12:34:56.{second:09d}Z", "time")
