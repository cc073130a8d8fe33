"""The unmodified ccxt against the simulator's plain HTTP face; the judge is the simulator's own book."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from perpsctl.simulator import launcher
from tests.conformance.environments import HERE, python_of, run_story

pytestmark = [pytest.mark.conformance, pytest.mark.slow]

Facts = dict[str, Any]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Facts, Facts]]:
    """What ccxt saw, and the book afterwards."""
    python = python_of("ccxt.lock")
    folder = tmp_path_factory.mktemp("home") / ".exchange"
    running = launcher.start(folder, launcher.SimOptions(idle_minutes=5))
    try:
        launcher.control(folder, "POST", "/state/switches", {"rate_limits": False})
        launcher.control(
            folder, "POST", "/state/price", {"product_id": "BIP-20DEC30-CDE", "price": "70000", "hold": True}
        )
        printed = run_story(python, HERE / "ccxt_story.py", {}, running.http, running.key_files["trade"])
        yield json.loads(printed), launcher.control(folder, "GET", "/judge")
    finally:
        launcher.stop(folder)


def test_markets_load_and_the_us_perp_is_a_swap(story: tuple[Facts, Facts]) -> None:
    facts, _ = story
    assert facts["swap"] == {"id": "BIP-20DEC30-CDE", "type": "swap", "contractSize": 0.01, "active": True}
    assert facts["precision"] == [1, 5]
    assert facts["skew_ms"] < 5000


def test_market_and_account_reads_parse(story: tuple[Facts, Facts]) -> None:
    facts, _ = story
    assert facts["candles"] == [True, True]
    assert all(facts[name] for name in ("book", "trades", "ticker", "best", "fees"))
    assert facts["wallet"] == 900_000
    assert facts["v2_wallet"] >= 900_000
    assert (facts["portfolios"], facts["futures"]) == (1, "USD")


def test_orders_agree_with_the_book(story: tuple[Facts, Facts]) -> None:
    facts, judge = story
    assert facts["open"] == [[facts["resting"], "ccxt-mine", 2]]
    assert (facts["order"], facts["edited"], facts["cancel"], facts["left_open"]) == ("open", 1, facts["resting"], 0)
    assert (facts["filled"], facts["my_trades"], facts["position"]) == (3, 3, ["long", 3])
    booked = {order["client_order_id"]: order for order in judge["orders"]}
    assert booked["ccxt-mine"]["status"] == "CANCELLED"
    assert booked["ccxt-market"]["filled_size"] == "3"
    assert booked["ccxt-close"]["order_id"] == facts["closed"]
    assert set(booked) == {"ccxt-mine", "ccxt-market", "ccxt-close"}


def test_refusals_reach_the_caller(story: tuple[Facts, Facts]) -> None:
    facts, _ = story
    assert 'unknown field \\"amount\\"' in facts["reduce_only"] or 'unknown field "amount"' in facts["reduce_only"]
    assert facts["refused"]
