"""The unmodified official SDK against the simulator's TLS face; the judge is the simulator's own book."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from perpsctl.simulator import launcher
from tests.conformance.environments import HERE, python_of, run_story

pytestmark = [pytest.mark.conformance, pytest.mark.slow]

Facts = dict[str, Any]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Facts, Facts]]:
    """What the SDK saw, and the book afterwards."""
    python = python_of("sdk-us.lock")
    folder = tmp_path_factory.mktemp("home") / ".exchange"
    running = launcher.start(folder, launcher.SimOptions(idle_minutes=5))
    try:
        launcher.control(folder, "POST", "/state/switches", {"rate_limits": False})  # the SDK paces nothing
        launcher.control(
            folder, "POST", "/state/price", {"product_id": "BIP-20DEC30-CDE", "price": "70000", "hold": True}
        )
        printed = run_story(
            python,
            HERE / "sdk_us_story.py",
            {"REQUESTS_CA_BUNDLE": running.ca_file},
            running.https.removeprefix("https://"),
            running.key_files["trade"],
            running.key_files["monitor"],
        )
        yield json.loads(printed), launcher.control(folder, "GET", "/judge")
    finally:
        launcher.stop(folder)
    assert "BEGIN" not in (folder / "access.log").read_text(encoding="utf-8")


def test_market_data_parses(story: tuple[Facts, Facts]) -> None:
    facts, _ = story
    assert {"BIP-20DEC30-CDE", "ETP-20DEC30-CDE"} <= set(facts["futures"])
    assert set(facts["futures"]) < set(facts["public_products"])
    assert facts["product"] == {"price_increment": "5", "contract_size": "0.01", "funding_interval": "3600s"}
    assert facts["public_product"] == "BIP-20DEC30-CDE"
    assert facts["book"] == [5, 5]
    assert facts["public_book"] == 2
    assert facts["best"] == ["BIP-20DEC30-CDE", "ETP-20DEC30-CDE"]
    assert facts["candles"] == {"many": True, "newest_first": True}
    assert facts["long_candles"] == 350
    assert (facts["trades"], facts["public_trades"]) == (3, 3)


def test_the_account_parses_and_is_the_books(story: tuple[Facts, Facts]) -> None:
    facts, judge = story
    assert facts["rights"] == [True, True, False]
    assert facts["rate_headers"] == ["rate_limit_limit", "rate_limit_remaining", "rate_limit_reset"]
    assert facts["portfolio_uuid"] == judge["portfolio_uuid"] == facts["breakdown"]
    assert facts["portfolios"] == [judge["portfolio_uuid"]]
    assert facts["accounts"][0] == "USD"
    assert facts["account"]
    assert Decimal(facts["fees"]) == Decimal("0.0003")
    assert facts["margin_window"].startswith("MARGIN_WINDOW_TYPE_")
    assert facts["margin_setting"] == "INTRADAY_MARGIN_SETTING_STANDARD"
    assert facts["margin_setting_after"] == "INTRADAY_MARGIN_SETTING_INTRADAY"


def test_orders_rest_edit_list_and_cancel_as_the_book_says(story: tuple[Facts, Facts]) -> None:
    facts, judge = story
    assert facts["preview"] == {"errs": [], "margin": True}
    assert facts["bad_preview"]
    assert facts["preview_market"] == []
    assert facts["order"] == ["OPEN", "sdk-buy", "3"]
    assert facts["open"] == ["sdk-buy", "sdk-sell", "sdk-stop"]
    assert facts["again"] == facts["buy"]["order_id"]
    assert facts["off_grid"]
    assert facts["page"] == [1, True]
    assert facts["second_page"]
    assert (facts["edit_preview"], facts["edit"]) == ([], True)
    assert facts["bad_edit"] == "ORDER_NOT_FOUND"
    assert facts["cancel"] == [True, True, True]
    assert facts["bad_cancel"] == "UNKNOWN_CANCEL_ORDER"
    assert facts["still_open"] == 0
    booked = {order["client_order_id"]: order for order in judge["orders"]}
    assert len(booked) == len(judge["orders"])  # I1: a repeated id placed nothing
    assert booked["sdk-buy"]["order_id"] == facts["buy"]["order_id"]
    assert (booked["sdk-buy"]["status"], booked["sdk-buy"]["size"]) == ("CANCELLED", "2")


def test_fills_position_and_close_agree_with_the_book(story: tuple[Facts, Facts]) -> None:
    facts, judge = story
    assert facts["position"] == ["LONG", "6"]
    assert facts["positions"] == ["BIP-20DEC30-CDE"]
    assert facts["filled"] == "6"
    assert facts["initial_margin"]
    assert facts["window_measure"].startswith("FCM_MARGIN_WINDOW_TYPE_")
    assert facts["partly_closed"]
    assert facts["closed"]
    assert facts["nothing_to_close"] == "CANNOT_CLOSE_ZERO_POSITION"
    assert facts["flat"] is False  # absent, not null: the SDK raises on null
    assert (facts["sweep"], facts["sweeps"], facts["sweep_cancelled"]) == (True, 1, True)
    assert all(Decimal(size) == 0 for size in judge["positions"].values())
    sequences = [request["sequence"] for request in judge["requests"]]
    assert sequences == sorted(sequences)
    assert len(set(sequences)) == len(sequences)


def test_refusals_are_the_ones_the_sdk_knows(story: tuple[Facts, Facts]) -> None:
    facts, judge = story
    assert facts["monitor_view"] is False
    assert facts["monitor_order"]["status"] == 403
    assert "Missing Required Scopes" in facts["monitor_order"]["text"]  # the SDK's own words for the literal text
    assert facts["unknown_order"] == 404
    assert (facts["intx"], facts["payments"]) == (403, 403)
    assert "unknown field" in facts["unknown_key"]
    assert not [order for order in judge["orders"] if order["client_order_id"] in ("sdk-monitor", "sdk-bad")]


def test_the_lock_names_no_index() -> None:
    lines = (HERE / "sdk-us.lock").read_text(encoding="ascii").splitlines()
    assert not [
        line for line in lines if line.lstrip().startswith(("--index", "-i ", "--extra-index", "--find", "http"))
    ]
    assert "coinbase-advanced-py==1.8.4 \\" in lines
