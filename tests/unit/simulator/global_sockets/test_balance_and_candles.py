"""What the gateway's sockets tell of money and of candles: the same figures that reads give, and only when they are others."""

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from perpsctl.simulator.faces.global_session import Transport
from perpsctl.wire.global_derivatives.accounts import AccountSummary
from perpsctl.wire.global_derivatives.channels import data_type
from perpsctl.wire.global_derivatives.market import ChartBar
from tests.unit.simulator.global_sockets.desk import BTC, Desk, a_desk

PORTFOLIO, CHART = "user.portfolio.any", f"chart.trades.{BTC}.1"


@pytest.fixture
def desk() -> Desk:
    made = a_desk()
    made.log_in()
    return made


@pytest.fixture
def streams() -> Desk:
    return a_desk(Transport.STREAMS)


def told(messages: list[dict[str, Any]], channel: str) -> list[dict[str, Any]]:
    return [each["params"]["data"] for each in messages if each.get("params", {}).get("channel") == channel]


def test_the_balance_is_told_on_subscribe_and_is_the_one_that_is_read(desk: Desk) -> None:
    answer, *messages = desk.send("private/subscribe", channels=[PORTFOLIO])
    assert answer["result"] == [PORTFOLIO]
    (row,) = told(messages, PORTFOLIO)
    assert row == desk.ask("private/get_account_summary", currency="USDC")
    assert data_type(PORTFOLIO) is AccountSummary


def test_the_balance_is_told_again_only_when_it_is_another(desk: Desk) -> None:
    desk.send("private/subscribe", channels=[PORTFOLIO])
    assert desk.pass_time(seconds=5) == []  # flat: no price moves anything
    bought = desk.send("private/buy", instrument_name=BTC, amount=0.01, type="market")
    rows = told([*bought, *desk.pass_time(seconds=2)], PORTFOLIO)
    assert rows
    assert Decimal(str(rows[-1]["initial_margin"])) > 0
    assert told(desk.pass_time(seconds=10), PORTFOLIO)  # the mark moves the equity


def test_a_balance_may_also_wait_for_its_first_change(desk: Desk) -> None:
    """On record is neither, so both can be had."""
    desk.face.switches.portfolio_at_once = False
    _, *messages = desk.send("private/subscribe", channels=[PORTFOLIO])
    assert told(messages, PORTFOLIO) == []
    bought = desk.send("private/buy", instrument_name=BTC, amount=0.01, type="market")
    assert told([*bought, *desk.pass_time(seconds=2)], PORTFOLIO)


def test_another_currency_has_no_balance_to_tell_and_isolated_balances_are_not_served(desk: Desk) -> None:
    answer, *messages = desk.send("private/subscribe", channels=["user.portfolio.BTC"])
    assert answer["result"] == ["user.portfolio.BTC"]
    bought = desk.send("private/buy", instrument_name=BTC, amount=0.01, type="market")
    assert told([*messages, *bought, *desk.pass_time(seconds=2)], "user.portfolio.BTC") == []
    assert desk.ask("private/subscribe", channels=["user.isolated.portfolio.any"])["code"] == 10033


def test_candles_begin_with_the_running_one_and_an_ended_one_is_told_as_it_ended(streams: Desk) -> None:
    answer, *messages = streams.send("public/subscribe", channels=[CHART, f"chart.trades.{BTC}.7"])
    assert answer["result"] == [CHART]  # there are no candles of seven minutes
    for _ in range(600):  # a fifth of a second each: two minutes
        streams.send("public/test")
        messages += streams.pass_time(milliseconds=200)
    bars = told(messages, CHART)
    assert data_type(CHART) is ChartBar
    ticks = [bar["tick"] for bar in bars]
    assert ticks == sorted(ticks)
    assert len(set(ticks)) == 3
    assert all(bar != after for bar, after in pairwise(bars))
    last = {bar["tick"]: bar for bar in bars}
    reader = Desk(streams.face, streams.clock, Transport.HTTP, "")
    chart = reader.ask(
        "public/get_tradingview_chart_data",
        instrument_name=BTC,
        resolution="1",
        start_timestamp=ticks[0],
        end_timestamp=ticks[-1],
    )
    for name in ("open", "high", "low", "close", "volume", "cost"):
        assert dict(zip(chart["ticks"], chart[name], strict=True)) == {tick: bar[name] for tick, bar in last.items()}


def test_a_market_that_stands_still_tells_no_candle_twice(streams: Desk) -> None:
    """M2: what is read and told of the product is as it stood."""
    streams.exchange.faults.arm("M2", product=BTC)
    _, *messages = streams.send("public/subscribe", channels=[CHART])
    assert len(told(messages, CHART)) == 1
    assert told(streams.pass_time(seconds=20), CHART) == []
