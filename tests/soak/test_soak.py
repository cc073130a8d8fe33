"""The soak in small, and the rules it judges by, which are seen to bite."""

import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.soak.commands import Shut
from tests.soak.faults import COUNTER, WIRE, plan
from tests.soak.held import Held, growth
from tests.soak.run import Asked, last_line, soak
from tests.soak.verdict import switch_passed

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.scenario
@pytest.mark.slow
def test_I1_I6_L3_both_venues_trade_through_faults_and_end_equal_to_the_exchange(tmp_path: Path) -> None:
    """Seconds instead of half an hour, so memory is not judged and faults meet reads only: a doubt may take a minute."""
    asked = Asked(
        seconds=7,
        venues=("us", "global"),
        per_cent=Decimal(8),
        seed=1,
        strategy="brisk",
        interval="250ms",
        out=tmp_path / "soak.jsonl",
        heal_s=2,
        sample_s=1,
        pause_s=(1, 2),
        strikes="reads",
    )
    talk = io.StringIO()
    figures = soak(asked, talk)
    assert figures.violations == [], talk.getvalue()
    assert figures.orders >= 4, talk.getvalue()
    assert figures.faulted >= 1, talk.getvalue()
    assert "0 violations, memory not judged below 11 min" in last_line(figures, asked)
    assert len(asked.out.read_text().splitlines()) >= 10


def half_an_hour(*, kb_a_minute: int = 0, files: int = 10) -> list[Held]:
    """What a run holds that grows by so much, and opens files from minute 15 on."""
    return [
        Held(
            at_s=at,
            rss_kb=80_000 + kb_a_minute * at // 60,
            pss_kb=None,
            files=10 if at < 900 else files,
            threads=3,
        )
        for at in range(0, 1800, 10)
    ]


@pytest.mark.parametrize(("kb_a_minute", "kept"), [(0, True), (150, True), (200, False), (2000, False)])
def test_memory_that_grows_by_more_than_5_per_cent_after_minute_5_is_found(kb_a_minute: int, kept: bool) -> None:
    grown = growth(half_an_hour(kb_a_minute=kb_a_minute), 1800)
    assert grown is not None
    assert grown.memory_kept is kept
    assert bool(grown.memory) is bool(kb_a_minute)


@pytest.mark.parametrize(("files", "flat"), [(10, True), (11, True), (12, False), (30, False)])
def test_descriptors_that_stay_open_are_found(files: int, flat: bool) -> None:
    grown = growth(half_an_hour(files=files), 1800)
    assert grown is not None
    assert grown.flat is flat


def test_a_soak_too_short_for_two_windows_is_not_judged_by_them() -> None:
    assert growth([each for each in half_an_hour(kb_a_minute=900) if each.at_s < 600], 600) is None


@pytest.mark.parametrize("strikes", ["any", "reads"])
@pytest.mark.parametrize("per_cent", ["5", "0.5", "20"])
def test_the_chances_of_all_faults_of_the_wire_add_up_to_what_was_asked_for(per_cent: str, strikes: str) -> None:
    names = {name for name, _, _ in WIRE}
    armed = [step for step in plan(Decimal(per_cent), 1, strikes) if step["name"] in names]
    assert sum(Decimal(step["probability"]) for step in armed) == pytest.approx(
        Decimal(per_cent) / 100, abs=Decimal("1e-7")
    )
    assert COUNTER not in names


def test_without_faults_only_the_counter_is_armed() -> None:
    assert [step["name"] for step in plan(Decimal(0), 1)] == [COUNTER]


@pytest.mark.parametrize(
    ("after_s", "road", "operation", "found"),
    [
        (1, "entry", "create_order", 1),
        (1, "switch", "create_order", 0),
        (1, "entry", "cancel_orders", 0),
        (6, "entry", "create_order", 0),
        (-1, "entry", "create_order", 0),
    ],
)
def test_R1_an_order_that_arrives_while_the_switch_is_engaged_is_found(
    after_s: int, road: str, operation: str, found: int
) -> None:
    shut = [Shut(since=NOON, until=NOON + timedelta(seconds=5))]
    came = {
        "received_at": (NOON + timedelta(seconds=after_s)).isoformat(),
        "operation": operation,
        "client_order_id": "one",
    }
    assert len(list(switch_passed([came], shut, {"one": road}))) == found
