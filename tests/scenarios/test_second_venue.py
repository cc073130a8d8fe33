"""The same commands on the second venue, over loopback: the road of an order, a lost reply, the loop's dead man's switch."""

import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.scenarios.homes import Home, exchange_home

pytestmark = [pytest.mark.scenario, pytest.mark.slow]

PROFILE = ("--profile", "sim-global")
BTC = "BTC_USDC-PERPETUAL"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with exchange_home(tmp_path_factory.mktemp("global") / "home") as running:
        yield running


def live(home: Home) -> list[str]:
    return [order["order_id"] for order in home.live() if order["product_id"] == BTC]


def test_a_resting_order_outlives_its_command_and_a_cancel_is_proven(home: Home) -> None:
    placed = home.perpsctl(
        "order", "place", "--product", "BTC-PERP", "--side", "buy", "--size", "0.01", "--price", "60000",
        "--post-only", *PROFILE,
    )  # fmt: skip
    assert placed.code == 0, placed
    assert placed.data["outcome"] == "accepted"
    assert live(home) == [placed.data["order"]["venue_order_id"]]
    gone = home.perpsctl("order", "cancel", placed.data["intent_id"], *PROFILE)
    assert gone.code == 0, gone
    assert live(home) == []


def test_I1_a_reply_lost_after_execution_ends_accepted_with_one_order(home: Home) -> None:
    for fault in ("N8", "N12", "N15"):
        home.control("POST", "/faults", {"name": fault, "operation": "create_order", "count": 1})
        placed = home.perpsctl(
            "order", "place", "--product", "BTC-PERP", "--side", "buy", "--size", "0.01", "--price", "60000",
            "--post-only", "--again", *PROFILE,
        )  # fmt: skip
        assert placed.data["outcome"] == "accepted", (fault, placed)
        mine = [o for o in home.judge()["orders"] if o["client_order_id"] == placed.data["intent_id"]]
        assert len(mine) == 1, fault
    assert home.perpsctl("order", "cancel-all", *PROFILE).code == 0


def test_fills_positions_and_the_way_out_agree_with_the_exchange(home: Home) -> None:
    bought = home.perpsctl(
        "order", "place", "--product", "BTC-PERP", "--side", "buy", "--contracts", "200", "--type", "market", *PROFILE
    )  # fmt: skip
    assert bought.data["order"]["status"] == "filled", bought
    held = home.perpsctl("positions", "list", *PROFILE).data["positions"]
    assert [(p["product_id"], p["coin"], p["agrees"]) for p in held] == [(BTC, "0.02", True)]
    closed = home.perpsctl("positions", "close", "--product", "BTC-PERP", *PROFILE)
    assert closed.data["flat"], closed
    assert home.perpsctl("reconcile", *PROFILE).data["breaks"] == []


def test_a_product_is_shown_with_its_figures_of_the_moment_and_a_retired_id_with_its_successor(home: Home) -> None:
    shown = home.perpsctl("products", "show", "BTC-PERP", *PROFILE).data["product"]
    for figure in ("last_price", "index_price", "mark_price"):
        assert shown[figure] is not None, figure
    assert shown["funding"]["rate"] is not None
    assert shown["price_limits"]["highest"] is not None
    retired = home.perpsctl("products", "show", "BTC-PERP-INTX", *PROFILE)
    assert retired.code == 2
    assert "BTC_USDC-PERPETUAL" in retired.data["fix"]


def test_a_price_beyond_the_venues_limits_is_refused_here_and_not_as_if_the_venue_were_silent(home: Home) -> None:
    before = home.judge()["orders"]
    refused = home.perpsctl(
        "order", "place", "--product", "BTC-PERP", "--side", "buy", "--size", "0.01", "--type", "stop-limit",
        "--stop-price", "75000", "--price", "75010", *PROFILE,
    )  # fmt: skip
    assert (refused.code, refused.data["outcome"], refused.data["reason"]) == (2, "not_sent", "price_beyond_limits"), (
        refused
    )
    assert "or a price behind it" in refused.data["evidence"]
    assert home.judge()["orders"] == before


def test_gtd_is_refused_in_a_single_command_with_the_reason(home: Home) -> None:
    refused = home.perpsctl(
        "order", "place", "--product", "BTC-PERP", "--side", "buy", "--size", "0.01", "--price", "60000",
        "--expires", "2030-01-01T00:00:00Z", *PROFILE,
    )  # fmt: skip
    assert refused.code == 2
    assert "good-till-date" in refused.data["message"]


def test_a_killed_run_takes_its_resting_orders_with_it(home: Home) -> None:
    run = home.spawn(
        "perpsctl.commands.app", "run", "--strategy", "canary", "--interval", "200ms", "--format", "json", *PROFILE
    )  # fmt: skip
    try:
        assert seen(lambda: bool(live(home)), 40), "the canary rests no order"
        run.send_signal(signal.SIGKILL)
    finally:
        run.kill()
        run.communicate()
    assert seen(lambda: not live(home), 10), "an order of the dead run still rests"
    home.perpsctl("reconcile", *PROFILE)
    assert home.perpsctl("reconcile", *PROFILE).data["breaks"] == []


def seen(holds: Callable[[], bool], seconds: int) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if holds():
            return True
        time.sleep(0.05)
    return False


def test_the_switch_attests_on_the_second_venue_too(home: Home) -> None:
    home.perpsctl(
        "order", "place", "--product", "BTC-PERP", "--side", "buy", "--size", "0.01", "--price", "60000",
        "--post-only", "--again", *PROFILE,
    )  # fmt: skip
    engaged = home.perpsctl("killswitch", "engage", "--flatten", *PROFILE)
    assert engaged.data["attestation"]["clean"], engaged
    assert live(home) == []
