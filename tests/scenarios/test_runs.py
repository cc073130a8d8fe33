"""`run` as a process: killed, it leaves nothing resting for long; over a recorded crash, it trades and reconciles."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from perpsctl.simulator import launcher
from tests.scenarios.homes import Home, exchange_home

pytestmark = [pytest.mark.scenario, pytest.mark.slow]

SHORT_LIFE = """
[profile.sim.limits]
resting_ttl_s = 10
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with exchange_home(tmp_path / "home", SHORT_LIFE) as running:
        yield running


def wait_for(what: str, seconds: int, home: Home, live: bool) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if bool(home.live()) is live:
            return
        time.sleep(0.1)
    pytest.fail(f"{what}: {home.live()}")


def test_a_killed_run_leaves_no_entry_resting_after_its_ttl(home: Home) -> None:
    # The canary's order must rest: the market stands still, so nothing fills it.
    home.control("POST", "/state/price", {"product_id": "BIP-20DEC30-CDE", "price": "60000", "hold": True})
    run = home.spawn("perpsctl.commands.app", "run", "--strategy", "canary", "--interval", "200ms", "--format", "json")
    try:
        wait_for("the canary rests no order", 60, home, live=True)
        run.send_signal(signal.SIGKILL)
    finally:
        run.kill()
        run.communicate()
    assert home.live(), "it was gone before the ttl could show"
    assert {order["kind"] for order in home.live()} == {"limit_limit_gtd"}
    wait_for("an entry of the dead run still rests", 15, home, live=False)
    found = home.perpsctl("reconcile")
    again = home.perpsctl("reconcile")
    assert again.data["breaks"] == [], (found.data, again.data)


def test_a_run_after_a_killed_run_reconciles_first_and_ends_flat(home: Home) -> None:
    run = home.spawn("perpsctl.commands.app", "run", "--strategy", "canary", "--interval", "200ms", "--format", "json")
    try:
        wait_for("the canary rests no order", 60, home, live=True)
        run.kill()
    finally:
        run.communicate()
    second = home.perpsctl("run", "--strategy", "canary", "--for", "5s", "--interval", "200ms")
    assert second.code == 0, second
    assert second.data["summary"]["unknown"] == 0
    assert home.live() == []
    assert home.perpsctl("reconcile").data["breaks"] == []


def test_L4_sigterm_stops_a_run_cleanly_and_cancels_its_orders(home: Home) -> None:
    run = home.spawn("perpsctl.commands.app", "run", "--strategy", "canary", "--interval", "200ms", "--format", "json")
    try:
        wait_for("the canary rests no order", 60, home, live=True)
        run.send_signal(signal.SIGTERM)
        out, err = run.communicate(timeout=30)
    finally:
        run.kill()
    assert run.returncode == 0, err
    assert '"stopped_because"' in out
    assert home.live() == []


def test_J5_a_second_run_on_the_portfolio_is_refused(home: Home) -> None:
    run = home.spawn("perpsctl.commands.app", "run", "--strategy", "canary", "--interval", "200ms", "--format", "json")
    try:
        wait_for("the canary rests no order", 60, home, live=True)
        second = home.perpsctl("run", "--strategy", "canary", "--for", "2s")
        assert second.code == 9, second
        assert second.data["code"] == "lease_held"
    finally:
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=30)


def test_the_canary_trades_through_a_recorded_crash_and_reconcile_finds_no_break(tmp_path: Path, shared: Path) -> None:
    options = launcher.SimOptions(
        replay=str(shared / "data" / "btc-perp_1m_2022-01-12_2022-01-26.csv"),
        start="2022-01-21T21:30:00Z",
        speed="60",
    )
    with exchange_home(tmp_path / "home", options=options) as home:
        done = home.perpsctl(
            "run", "--strategy", "canary", "--product", "BTC-PERP", "--for", "40s", "--interval", "500ms"
        )  # fmt: skip
        assert done.code == 0, done
        summary = done.data["summary"]
        assert summary["accepted"] >= 3  # on a machine that does other things as well
        assert summary["unknown"] == 0
        assert summary["latency_ms"]["p50"] is not None
        assert summary["acceptance_rate"] is not None
        assert summary["positions"] is not None
        found = home.perpsctl("reconcile")
        assert found.code == 0, found
        assert found.data["breaks"] == []


def test_E10_a_cancel_of_an_order_that_filled_says_so(home: Home) -> None:
    home.control("POST", "/state/price", {"product_id": "BIP-20DEC30-CDE", "price": "60000", "hold": True})
    placed = home.perpsctl(
        "order", "place", "--product", "BTC-PERP", "--side", "buy", "--size", "0.01", "--price", "59000", "--post-only"
    )  # fmt: skip
    order_id = placed.data["order"]["venue_order_id"]
    home.control("POST", "/fills", {"order_id": order_id, "contracts": "1"})
    done = home.perpsctl("order", "cancel", order_id)
    assert done.data["gone"] == [order_id]
    assert "filled: 0.01 had filled" in done.warnings[0]
