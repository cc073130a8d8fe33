"""The gateway's money: sessions, continuous funding without a row of its own, the settlement at 08:00 UTC, margin."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from perpsctl.simulator.options import CalendarMode
from perpsctl.simulator.tape import micros
from tests.unit.simulator.global_face.gate import BTC, ETH, Gate

BEFORE_SETTLEMENT = datetime(2026, 11, 22, 7, 59, 50, tzinfo=UTC)
ALWAYS = {"currency": "USDC", "start_timestamp": 0, "end_timestamp": 4_102_444_800_000}


def venue_times(start: datetime = BEFORE_SETTLEMENT) -> Gate:
    return Gate(start=start, calendar=CalendarMode.VENUE)


def test_a_trade_costs_its_fee_at_once_and_its_result_only_at_settlement() -> None:
    gate = Gate()
    fee = sum(trade["fee"] for trade in gate.buy()["trades"])
    gate.control.set_price(BTC, Decimal(69_500), hold=True)
    fee += sum(t["fee"] for t in gate.ask("private/sell", instrument_name=BTC, amount=0.01, type="market")["trades"])
    told = gate.summary()
    assert told["balance"] == 1_000_000 - fee
    assert told["session_rpl"] > 5
    assert told["equity"] == told["balance"] + told["session_rpl"]
    gate.control.settle()
    after = gate.summary()
    assert after["balance"] == after["equity"] == told["equity"]
    assert after["session_rpl"] == 0


def test_fees_follow_the_instruments_rates() -> None:
    (trade, *_) = Gate().buy(0.01)["trades"]
    assert trade["fee"] == (trade["amount"] * trade["price"] * Decimal("0.00035")).quantize(Decimal("0.00000001"))
    assert trade["liquidity"] == "T"


@pytest.mark.parametrize("hourly", ["0.0001", "-0.0001"])
def test_funding_runs_continuously_and_shows_only_in_realized_funding(hourly: str) -> None:
    gate = Gate()
    gate.control.set_price(BTC, Decimal(70_000), hold=True)
    gate.control.set_funding(BTC, Decimal(hourly))
    gate.buy(1)
    gate.later(seconds=1800)
    gate.log_in()
    half = gate.position()["realized_funding"]
    assert half * Decimal(hourly) < 0  # a positive rate: longs pay
    assert abs(half) == pytest.approx(Decimal("3.5"), rel=Decimal("0.01"))
    gate.later(seconds=1800)
    gate.log_in()
    assert gate.position()["realized_funding"] == pytest.approx(2 * half, rel=Decimal("0.01"))
    assert (
        gate.summary()["session_rpl"] == gate.position()["realized_profit_loss"] == gate.position()["realized_funding"]
    )
    assert [row["type"] for row in gate.ask("private/get_transaction_log", **ALWAYS)["logs"]] == ["trade"] * len(
        gate.ask("private/get_user_trades_by_instrument", instrument_name=BTC, count=100)["trades"]
    )


def test_asking_often_does_not_change_what_funding_costs() -> None:
    often, seldom = Gate(), Gate()
    for gate in (often, seldom):
        gate.control.set_funding(BTC, Decimal("0.0001"))
        gate.buy(1)
    for _ in range(20):
        often.later(seconds=60)
        often.log_in()
        often.position()
    seldom.later(seconds=1200)
    seldom.log_in()
    assert often.position()["realized_funding"] == pytest.approx(
        seldom.position()["realized_funding"], abs=Decimal("0.001")
    )


def test_interest_of_trade_and_settlement_rows_sums_to_the_sessions_funding() -> None:
    gate = venue_times(datetime(2026, 11, 22, 4, tzinfo=UTC))
    gate.control.set_funding(BTC, Decimal("0.0001"))
    gate.buy(0.1)
    gate.later(seconds=2 * 3600)
    gate.log_in()
    gate.buy(0.1)
    gate.later(seconds=2 * 3600 + 10)
    gate.log_in()
    rows = gate.ask("private/get_transaction_log", **ALWAYS)["logs"]
    assert [row["user_seq"] for row in rows] == list(range(len(rows), 0, -1))
    settlement = rows[0]
    assert settlement["type"] == "settlement"
    assert settlement["total_interest_pl"] < 0
    assert sum(row["interest_pl"] for row in rows) == settlement["total_interest_pl"]
    assert (
        settlement["change"] == settlement["session_rpl"] + settlement["session_upl"] + settlement["total_interest_pl"]
    )
    assert rows[0]["balance"] == 1_000_000 + sum(row["change"] for row in rows)
    assert gate.position()["settlement_price"] == settlement["price"]


def test_settlement_takes_no_orders_for_some_seconds_and_ends_orders_good_for_the_day() -> None:
    gate = venue_times()
    day = gate.rest(time_in_force="good_til_day")
    stays = gate.rest()
    gate.later(seconds=11)
    assert gate.refused("private/buy", instrument_name=BTC, amount=0.01, type="market") == 10041
    assert gate.refused("private/cancel", order_id=stays["order_id"]) == 10041
    assert gate.ask("public/get_instrument", instrument_name=BTC)["state"] == "settlement"
    gone = gate.ask("private/get_order_state", order_id=day["order_id"])
    assert (gone["order_state"], gone["cancel_reason"]) == ("cancelled", "settlement")
    gate.later(seconds=5)
    assert gate.buy()["order"]["order_state"] == "filled"
    assert gate.ask("private/get_order_state", order_id=stays["order_id"])["order_state"] == "open"


def test_the_open_calendar_keeps_the_settlement_six_hours_away() -> None:
    gate = Gate(start=BEFORE_SETTLEMENT)
    gate.later(seconds=11)
    assert gate.buy()["order"]["order_state"] == "filled"


def test_equity_moves_with_marks_fees_and_funding_and_nothing_else() -> None:
    """I6: what the ledger, the sessions and the marks say is one and the same number."""
    gate = Gate()
    for amount, product in ((0.3, BTC), (2, ETH)):
        gate.buy(amount, product)
    gate.later(seconds=3600)
    gate.log_in()
    told = gate.summary()
    positions = gate.ask("private/get_positions", currency="USDC")
    fees = sum(
        trade["fee"] for trade in gate.ask("private/get_user_trades_by_currency", currency="USDC", count=500)["trades"]
    )
    upl = sum((row["mark_price"] - row["average_price"]) * row["size_currency"] for row in positions)
    funding = sum(row["realized_funding"] for row in positions)
    assert told["equity"] == pytest.approx(1_000_000 - fees + upl + funding, abs=Decimal("0.0001"))


def test_margin_is_two_per_cent_and_a_slope_with_half_of_it_as_maintenance() -> None:
    gate = Gate()
    gate.control.set_price(BTC, Decimal(70_000), hold=True)
    gate.buy(2)
    told = gate.position()
    assert told["initial_margin"] == told["size"] * Decimal("0.0201")
    assert told["maintenance_margin"] * 2 == told["initial_margin"]
    before = gate.ask("private/get_margins", instrument_name=BTC, amount=1, price=70_000)
    assert before["buy"] > before["sell"] == 0  # selling reduces
    assert gate.ask("private/set_leverage", instrument_name=BTC, leverage=10) == 10
    assert gate.position()["initial_margin"] == told["size"] / 10
    assert gate.refused("private/set_leverage", instrument_name=BTC, leverage=51) == -32602


def test_the_largest_order_told_is_taken_and_the_next_larger_is_refused() -> None:
    gate = Gate()
    gate.control.set_balance(usdc=Decimal(100))
    most = gate.ask("private/get_max_order_size", instrument_name=BTC)["max_tradable_amount"]
    terms = {"instrument_name": BTC, "price": gate.below(), "post_only": True}
    assert gate.refused("private/buy", **terms, amount=float(most + Decimal("0.0001"))) == 10009
    assert gate.ask("private/buy", **terms, amount=float(most))["order"]["order_state"] == "open"


def test_an_account_below_maintenance_is_liquidated_and_its_orders_go_first() -> None:
    gate = Gate()
    gate.control.set_balance(usdc=Decimal(1000))
    gate.buy(0.5)
    order = gate.rest(amount=0.001, price=60_000)
    gate.control.set_price(BTC, Decimal(67_500), hold=True)
    assert gate.position()["direction"] == "zero"
    assert gate.ask("private/get_order_state", order_id=order["order_id"])["cancel_reason"] == "autoliquidation"
    trades = gate.ask("private/get_user_trades_by_currency", currency="USDC", count=100)["trades"]
    assert trades[0]["liquidation"] == "T"


def test_numbers_are_json_numbers_without_exponent_or_text() -> None:
    gate = Gate()
    gate.buy(0.0001)
    body = gate.reply("private/get_positions", {"currency": "USDC"}).body.decode()
    assert '"size_currency":0.0001' in body
    assert "E-" not in body.upper().replace("E-PERP", "")


def test_both_venues_walk_the_same_path_and_the_judge_sees_both() -> None:
    gate = Gate()
    us = gate.embedded.exchange.book("BIP-20DEC30-CDE", 1).bids[0].price
    mark = gate.ask("public/ticker", instrument_name=BTC)["mark_price"]
    assert abs(mark - us) <= 10  # two BIP steps
    gate.buy(0.01)
    gate.later(seconds=1)
    judged = gate.embedded.exchange.judge_view()
    assert judged.positions == {BTC: Decimal(100)}
    assert [order.product_id for order in judged.orders] == [BTC]
    assert judged.requests[-1].operation == "create_order"
    assert judged.usdc < 1_000_000
    assert judged.cbi_usd + judged.cfm_usd == 1_000_000  # the US account is untouched


def test_funding_history_is_hourly_and_adds_up() -> None:
    gate = Gate()
    now = micros(gate.clock.now()) // 1000
    rows = gate.ask(
        "public/get_funding_rate_history", instrument_name=BTC, start_timestamp=now - 24 * 3_600_000, end_timestamp=now
    )
    assert len(rows) == 25
    assert [row["timestamp"] % 3_600_000 for row in rows] == [0] * 25
    whole = gate.ask(
        "public/get_funding_rate_value", instrument_name=BTC, start_timestamp=now - 8 * 3_600_000, end_timestamp=now
    )
    assert whole == rows[-1]["interest_8h"]
    assert sum(row["interest_1h"] for row in rows[-8:]) == pytest.approx(whole, abs=Decimal("0.0000001"))


def test_the_same_seed_and_calls_give_the_same_answers() -> None:
    def story() -> list[bytes]:
        gate = Gate()
        gate.buy(0.1, label="a")
        gate.rest()
        gate.later(seconds=600)
        return [
            gate.reply(method, {"currency": "USDC"}).body
            for method in ("private/get_positions", "private/get_account_summary", "private/get_open_orders")
        ]

    assert story() == story()


def test_a_settlement_moves_equity_nowhere_and_the_next_one_counts_from_it() -> None:
    gate = Gate()
    gate.control.set_funding(BTC, Decimal("0.0001"))
    gate.buy(0.1)
    seen = []
    for price in (69_500, 69_200):
        gate.later(seconds=3600)
        gate.log_in()
        gate.control.set_price(BTC, Decimal(price), hold=True)
        before = gate.summary()["equity"]
        gate.control.settle()
        assert gate.summary()["equity"] == gate.summary()["balance"] == before
        seen.append(gate.ask("private/get_transaction_log", **ALWAYS)["logs"][0])
    first, second = seen
    assert first["session_upl"] > 0 > second["session_upl"]
    for row in seen:
        assert row["total_interest_pl"] < 0
    assert second["interest_pl"] == second["total_interest_pl"]  # no trade in between told a part of it
    assert gate.position()["total_profit_loss"] == pytest.approx(first["session_upl"] + second["session_upl"])
