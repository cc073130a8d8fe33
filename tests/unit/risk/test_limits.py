"""Limits load whole or not at all: unknown keys, hostile numbers and absurd bounds are refused by name (R6)."""

import string
from dataclasses import FrozenInstanceError, fields, replace
from datetime import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perpsctl.domain.errors import ConfigError
from perpsctl.domain.numbers import NUMBER
from perpsctl.risk.limits import SETTINGS, LossPolicy, QuietBasis, RiskLimits

# The table of design section 6, written once more by hand: a default that moves is noticed.
DEFAULTS = {
    "position_max_share": "0.01",
    "gross_max_share": "0.05",
    "daily_loss_max_share": "0.02",
    "loss_policy": "flatten",
    "order_impact_max_bps": "15",
    "liquidity_min_usd": "100000",
    "liquidity_band_bps": "25",
    "funding_max_share_per_day": "0.001",
    "quiet_minutes": "30",
    "quiet_basis": "cash",
    "funding_cash_times": "none",
    "margin_window_lead_minutes": "30",
    "order_notional_max": "not set",
    "orders_per_minute_max": "10",
    "orders_per_day_max": "not set",
    "open_orders_max": "not set",
    "leverage_max": "not set",
    "price_collar_bps": "100",
    "far_price_max_share": "0.5",
    "mark_age_max_s": "5",
    "book_age_max_s": "2",
    "account_age_max_s": "10",
    "clock_age_max_s": "60",
    "clock_skew_max_ms": "1000",
    "mark_divergence_max_bps": "100",
    "liquidation_distance_min_share": "0.1",
    "duplicate_guard_s": "30",
    "resting_ttl_s": "120",
    "exit_collar_bps": "500",
    "products_allowed": "all perpetuals",
}

VALID: dict[str, object] = {
    "position_max_share": "0.02",
    "gross_max_share": "0.06",
    "daily_loss_max_share": "0.03",
    "loss_policy": "halt",
    "order_impact_max_bps": "20",
    "liquidity_min_usd": "50000",
    "quiet_minutes": 20,
    "quiet_basis": "accrual",
    "funding_cash_times": ["20:00", "08:00"],
    "order_notional_max": "25000",
    "orders_per_minute_max": 30,
    "leverage_max": "3",
    "products_allowed": ["BTC-PERP", "ETH-PERP"],
}


def test_what_is_not_configured_has_the_default_of_the_table() -> None:
    rows = RiskLimits.from_mapping({}).as_rows()
    assert {row.name: row.value for row in rows} == DEFAULTS
    assert all(row.is_default and row.definition and row.name == row.name.strip() for row in rows)
    assert RiskLimits.from_mapping({}) == RiskLimits()


def test_configured_limits_are_read_exactly() -> None:
    limits = RiskLimits.from_mapping(VALID)
    assert limits.position_max_share == Decimal("0.02")
    assert limits.loss_policy is LossPolicy.HALT
    assert limits.quiet_basis is QuietBasis.ACCRUAL
    assert limits.funding_cash_times == (time(8), time(20))
    assert limits.orders_per_minute_max == 30
    assert limits.leverage_max == 3
    assert limits.products_allowed == ("BTC-PERP", "ETH-PERP")
    changed = {row.name for row in limits.as_rows() if not row.is_default}
    assert changed == set(VALID)


def test_an_environment_variable_may_write_a_list_with_commas() -> None:
    assert RiskLimits.from_mapping({"funding_cash_times": "08:00, 20:00"}).funding_cash_times == (time(8), time(20))


@pytest.mark.parametrize("key", ["position_max", "POSITION_MAX_SHARE", "", "position_max_share ", "\x1b[31m"])
def test_an_unknown_key_is_refused_and_shown_escaped(key: str) -> None:
    with pytest.raises(ConfigError, match="unknown limit") as refused:
        RiskLimits.from_mapping({key: "1"})
    assert "\x1b" not in refused.value.message
    assert "position_max_share" in refused.value.fix


HOSTILE = ["NaN", "Infinity", "-Infinity", "1e999999999", "1_000", "٠.٠١", "", " 1", "0x1", "9" * 5000, "-1", "0", "-0"]


@pytest.mark.parametrize("name", [name for name, row in SETTINGS.items() if "number" in row.legal])
@pytest.mark.parametrize("value", [*HOSTILE, True, False, 0, -1, 10**50, 0.5, None, [], {}, Decimal("NaN"), b"1"])
def test_a_number_that_is_hostile_or_absurd_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name) as refused:
        RiskLimits.from_mapping({name: value})
    assert refused.value.fix == f"{name} is {SETTINGS[name].legal}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("position_max_share", "1.0000001"),
        ("order_impact_max_bps", "5001"),
        ("quiet_minutes", "721"),
        ("quiet_minutes", "1.5"),
        ("mark_age_max_s", "61"),
        ("clock_skew_max_ms", "10001"),
        ("resting_ttl_s", "4"),
        ("duplicate_guard_s", "61"),
        ("leverage_max", "101"),
        ("loss_policy", "ignore"),
        ("loss_policy", "FLATTEN"),
        ("quiet_basis", 1),
        ("funding_cash_times", ["24:00"]),
        ("funding_cash_times", ["8:00"]),
        ("funding_cash_times", ["08:00", "08:00"]),
        ("funding_cash_times", ["٠٨:00"]),
        ("funding_cash_times", 8),
        ("funding_cash_times", ""),
        ("products_allowed", ["../etc"]),
        ("products_allowed", [1]),
    ],
)
def test_what_is_out_of_bounds_or_no_legal_word_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name):
        RiskLimits.from_mapping({name: value})


@pytest.mark.parametrize(
    ("name", "value"), [("position_max_share", "1"), ("quiet_minutes", "720"), ("leverage_max", "100")]
)
def test_the_bound_itself_is_legal(name: str, value: str) -> None:
    assert getattr(RiskLimits.from_mapping({name: value}), name) == Decimal(value)


def test_a_limit_cannot_be_built_illegal_or_changed_by_the_back_door() -> None:
    with pytest.raises(ConfigError):
        RiskLimits(position_max_share=Decimal("NaN"))
    with pytest.raises(ConfigError):
        replace(RiskLimits(), leverage_max=Decimal(0))
    with pytest.raises(FrozenInstanceError):
        RiskLimits().position_max_share = Decimal(1)  # type: ignore[misc]


def test_the_fingerprint_follows_content_not_notation() -> None:
    base = RiskLimits.from_mapping(VALID)
    assert base.fingerprint() == RiskLimits.from_mapping({**VALID, "position_max_share": "2e-2"}).fingerprint()
    assert base.fingerprint() == RiskLimits.from_mapping(dict(reversed(VALID.items()))).fingerprint()
    assert base.fingerprint() != RiskLimits().fingerprint()
    seen = {RiskLimits().fingerprint()}
    for name, value in VALID.items():
        seen.add(RiskLimits.from_mapping({name: value}).fingerprint())
    assert len(seen) == len(VALID) + 1, "every limit is part of it"


def test_every_field_is_a_setting() -> None:
    assert [each.name for each in fields(RiskLimits)] == list(SETTINGS)


def expected(name: str, raw: object) -> object:
    """What a legal raw value means, read by other means than the code under test."""
    if isinstance(raw, str) and NUMBER.fullmatch(raw):
        return Decimal(raw)
    return raw


keys = st.sampled_from(sorted(SETTINGS))
characters = st.sampled_from(string.digits + ".-+eE_ Naif,:" + string.ascii_lowercase + "\x00\x1b٣")


@given(key=st.sampled_from(sorted(VALID)), data=st.data())
def test_any_mutation_loads_what_it_says_or_is_refused_never_with_a_limit_gone_R6(
    key: str, data: st.DataObject
) -> None:
    mutated = dict(VALID)
    kind = data.draw(st.sampled_from(["drop", "rename", "text", "type", "swap"]))
    if kind == "drop":
        del mutated[key]
    elif kind == "rename":
        value = mutated.pop(key)
        at = data.draw(st.integers(0, len(key)))
        mutated[key[:at] + data.draw(characters) + key[at + data.draw(st.integers(0, 1)) :]] = value
    elif kind == "text":
        text = str(mutated[key])
        at = data.draw(st.integers(0, len(text)))
        mutated[key] = text[:at] + data.draw(characters) + text[at + data.draw(st.integers(0, 1)) :]
    elif kind == "type":
        mutated[key] = data.draw(st.none() | st.booleans() | st.floats() | st.integers() | st.lists(st.none()))
    else:
        mutated[key] = VALID[data.draw(st.sampled_from(sorted(VALID)))]
    try:
        limits = RiskLimits.from_mapping(mutated)
    except ConfigError:
        return
    assert set(mutated) <= set(SETTINGS)
    for name in SETTINGS:
        held = getattr(limits, name)
        if name not in mutated:
            assert held == getattr(RiskLimits(), name)
        elif isinstance(held, Decimal | int):
            assert held == expected(name, mutated[name])
            assert held > 0
        else:
            assert held or mutated[name] == [], "only a list said to be empty is empty"
