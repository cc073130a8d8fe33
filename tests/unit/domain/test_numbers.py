"""Text becomes a number without losing a digit, or is refused before Decimal sees it (J7; faults H1, H2, H3)."""

from decimal import Decimal, InvalidOperation

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perpsctl.domain.numbers import (
    NotANumber,
    Price,
    Size,
    bps_between,
    exact,
    exact_or_none,
    multiple_of,
    notional_of,
    plain,
    price,
    size,
    step_down,
    step_up,
)

HOSTILE = [
    *("", " ", "1 ", " 1", "+1", ".5", "5.", "1_000", "1,000", "0x10", "1e", "e5", "--1", "1.2.3", "one"),
    *("NaN", "nan", "sNaN", "Infinity", "-Infinity", "inf", "∞", "٣", "１２", "1\n", "\x001", "1\u200b"),
    *("1e999999999", "1e-999999999", "1e1000", "1e41", "1e-41", "9" * 41, "0." + "9" * 41, "9" * 5000, "1e9999"),
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_no_plain_number_is_refused_H1_H2(text: str) -> None:
    with pytest.raises(NotANumber):
        exact(text)


@pytest.mark.parametrize("raw", [1, 1.5, True, None, b"1", Decimal(1), ["1"]])
def test_only_text_comes_in_H3(raw: object) -> None:
    with pytest.raises(TypeError):
        exact(raw)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", "0"), ("-0", "0"), ("-0.00", "0"), ("007", "7"), ("1.50", "1.5"), ("1e3", "1000"), ("-1E-7", "-0.0000001")],
)
def test_plain_numbers_are_read_exactly_and_written_plainly(text: str, value: str) -> None:
    assert plain(exact(text)) == value
    assert not exact(text).is_signed() or exact(text) < 0, "no negative zero"


decimals = st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-(10**15), max_value=10**15)
above_zero = st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value="0.00000001", max_value=10**9)


@given(decimals)
def test_writing_and_reading_gives_the_same_number_J7(value: Decimal) -> None:
    text = plain(value)
    assert exact(text) == value
    assert plain(exact(text)) == text
    assert "E" not in text.upper()


@given(st.text(alphabet="0123456789.-+eE_ Nan", max_size=60))
def test_exact_reads_what_decimal_would_or_refuses(text: str) -> None:
    try:
        value = exact(text)
    except NotANumber:
        return
    assert value == Decimal(text)
    assert value.is_finite()


def test_the_venues_empty_text_is_no_value_and_zero_is_zero() -> None:
    assert exact_or_none("") is None
    assert exact_or_none("0") == 0


@pytest.mark.parametrize("text", ["0", "-1", "-0"])
def test_a_price_is_above_zero_and_a_size_not_below(text: str) -> None:
    with pytest.raises(NotANumber):
        price(text)
    if text == "-1":
        with pytest.raises(NotANumber):
            size(text)
    else:
        assert size(text) == 0


def test_what_is_not_finite_is_not_written() -> None:
    for value in ("NaN", "Infinity"):
        with pytest.raises(NotANumber):
            plain(Decimal(value))


@given(value=above_zero, step=st.sampled_from(["0.01", "0.1", "5", "0.0001", "500"]).map(Decimal))
def test_steps_bracket_the_value_on_the_grid(value: Decimal, step: Decimal) -> None:
    down, up = step_down(value, step), step_up(value, step)
    assert down <= value <= up
    assert up - down in (0, step)
    assert multiple_of(down, step)
    assert multiple_of(up, step)
    assert (down == value) == multiple_of(value, step)


def test_bps_are_signed_and_a_reference_is_above_zero() -> None:
    assert bps_between(Decimal("60060"), Decimal("60000")) == 10
    assert bps_between(Decimal("59940"), Decimal("60000")) == -10
    assert bps_between(Decimal(2), Decimal(3)) == Decimal("-3333.3333333333")
    for reference in ("0", "-1"):
        with pytest.raises(InvalidOperation):
            bps_between(Decimal(1), Decimal(reference))


def test_notional_is_price_times_size() -> None:
    assert notional_of(Price(Decimal("60000.5")), Size(Decimal("0.01"))) == Decimal("600.005")
