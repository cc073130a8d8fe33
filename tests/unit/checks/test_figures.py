"""Figures as evidence: percentiles by nearest rank, lengths and amounts as they are read."""

from datetime import timedelta
from decimal import Decimal

import pytest

from perpsctl.checks import figures


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([7], 50, 7),
        ([7], 99, 7),
        ([1, 2, 3], 50, 2),
        ([1, 2, 3, 4], 50, 2),
        (list(range(1, 31)), 95, 29),
        (list(range(1, 31)), 99, 30),
        (list(range(1, 101)), 99, 99),
        ([1, 2], 1, 1),
    ],
)
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(
    values: list[int], percent: int, expected: int
) -> None:
    assert figures.percentile(values, percent) == expected


def test_lengths_of_time() -> None:
    assert figures.ms(12_345) == "12.3 ms"
    assert figures.ms(950) == "0.9 ms"
    assert figures.ms_of(timedelta(microseconds=-1500)) == "-1 ms"
    assert [figures.age(timedelta(seconds=each)) for each in (8, 119, 720, 18_000, 259_200)] == [
        "8 s",
        "119 s",
        "12 min",
        "5 h",
        "3 d",
    ]


def test_amounts() -> None:
    assert figures.usd(Decimal("-1234567.891")) == "-1,234,567.89 USD"
    assert figures.percent(Decimal("0.000312")) == "0.0312 %"
    assert [figures.size_of(each) for each in (12, 2048, 3 << 20, 5 << 30)] == ["12 bytes", "2 KiB", "3 MiB", "5 GiB"]
    assert [figures.plural(each, "row") for each in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]
