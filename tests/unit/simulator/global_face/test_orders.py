"""Orders at the gateway: labels, valid_until, post-only, the silent clamp, triggers with two ids, reduce-only, edits."""

from decimal import Decimal
from typing import Any

import pytest

from perpsctl.simulator.orders import ConfigKind, Configuration, OrderRequest, Placed, Side
from perpsctl.simulator.tape import micros
from tests.unit.simulator.global_face.gate import BTC, SOL, Gate


def ticker(gate: Gate, product_id: str = BTC) -> dict[str, Any]:
    told = gate.ask("public/ticker", instrument_name=product_id)
    assert isinstance(told, dict)
    return told


def test_the_same_label_twice_makes_two_orders() -> None:
    gate = Gate()
    first, second = gate.rest(), gate.rest()
    assert first["order_id"] != second["order_id"]
    found = gate.ask("private/get_order_state_by_label", currency="USDC", label="one")
    assert {row["order_id"] for row in found} == {first["order_id"], second["order_id"]}
    assert [order.client_order_id for order in gate.embedded.exchange.judge_view().orders] == ["one", "one"]


def test_a_request_that_comes_after_its_valid_until_is_timed_out_and_places_nothing() -> None:
    gate = Gate()
    now = micros(gate.clock.now()) // 1000
    told = gate.answer("private/buy", instrument_name=BTC, amount=0.01, type="market", valid_until=now - 1)
    assert told["error"]["message"] == "timed_out"
    assert gate.embedded.exchange.judge_view().orders == ()
    gate.buy(valid_until=now)
    assert len(gate.embedded.exchange.judge_view().orders) == 1


def test_a_delayed_request_is_judged_by_its_valid_until_when_it_arrives() -> None:
    """N14: what waits longer than its validity never becomes an order."""
    gate = Gate()
    now = micros(gate.clock.now()) // 1000
    for valid_until, orders in ((now + 3000, 0), (now + 60_000, 1)):
        gate.embedded.exchange.faults.arm("N14", seconds=5)
        terms = {"instrument_name": BTC, "amount": 0.01, "type": "market", "valid_until": valid_until}
        assert gate.reply("private/buy", terms).status == 0
        gate.later(seconds=6)
        assert len(gate.embedded.exchange.judge_view().orders) == orders


def test_a_lost_reply_leaves_one_order_that_its_label_finds() -> None:
    """N12: the reply is lost after execution."""
    gate = Gate()
    gate.embedded.exchange.faults.arm("N12")
    reply = gate.reply("private/buy", {"instrument_name": BTC, "amount": 0.01, "type": "market", "label": "lost"})
    assert reply.effects[0].fault == "N12"
    found = gate.ask("private/get_order_state_by_label", currency="USDC", label="lost")
    assert [row["order_state"] for row in found] == ["filled"]


def test_post_only_alone_moves_a_crossing_price_and_with_reject_refuses_it() -> None:
    gate = Gate()
    ask = ticker(gate)["best_ask_price"]
    terms = {"instrument_name": BTC, "amount": 0.01, "type": "limit", "price": float(ask)}
    assert gate.refused("private/buy", **terms, post_only=True, reject_post_only=True) == 11054
    told = gate.ask("private/buy", **terms, post_only=True)
    assert told["order"]["price"] == ask - Decimal("0.1")
    assert told["order"]["order_state"] == "open"
    assert told["trades"] == []


def test_post_only_left_out_of_a_resting_limit_order_is_true_and_of_a_market_order_false() -> None:
    gate = Gate()
    assert gate.ask("private/buy", instrument_name=BTC, amount=0.01, price=gate.below())["order"]["post_only"] is True
    assert gate.buy()["order"]["post_only"] is False


def test_prices_beyond_the_band_are_clamped_without_a_word() -> None:
    gate = Gate()
    band = ticker(gate)
    bought = gate.ask(
        "private/buy",
        instrument_name=BTC,
        amount=0.01,
        price=90_000,
        time_in_force="immediate_or_cancel",
        post_only=False,
    )["order"]
    assert bought["price"] == band["max_price"]
    assert bought["order_state"] == "filled"
    low = gate.ask("private/buy", instrument_name=BTC, amount=0.01, price=60_000, post_only=True)["order"]
    assert low["price"] == 60_000  # a buy below the minimum stands where it was put


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"amount": 0.00005}, 10002),
        ({"amount": 0.00015}, -32602),
        ({"contracts": 0, "amount": None}, 10002),
        ({"amount": 0.01, "contracts": 99}, -32602),
        ({"amount": "0.01"}, -32602),
        ({"price": 68_000.05}, 10043),
        ({"price": -1}, 10011),
        ({"price": None}, -32602),
        ({"label": "x" * 65}, -32602),
        ({"instrument_name": "DOGE_USDC-PERPETUAL"}, 10020),
        ({"type": "trailing_stop"}, 10033),
        ({"time_in_force": "good_til_time"}, -32602),
        ({"post_only": True, "time_in_force": "fill_or_kill"}, 11055),
        ({"amount": 900}, 10009),
        ({"type": "stop_limit", "trigger_price": 50_000, "trigger": "mark_price"}, 10035),
        ({"type": "stop_limit", "trigger_price": 80_000}, -32602),
        ({"reduce_only": True}, 11030),
        ({"isolated": True, "allocated_margin": 0.01}, 14033),
    ],
)
def test_bad_orders_are_refused_by_name_and_nothing_is_placed(changed: dict[str, Any], code: int) -> None:
    gate = Gate()
    terms = {"instrument_name": BTC, "amount": 0.01, "price": 68_000, "post_only": False} | changed
    given = {name: value for name, value in terms.items() if value is not None}
    assert gate.refused("private/buy", **given) == code
    judged = gate.embedded.exchange.judge_view()
    assert judged.orders == ()
    assert judged.usdc == 1_000_000


def test_a_stop_has_two_ids_and_its_first_names_none_of_the_second_twice() -> None:
    gate = Gate()
    stop = gate.ask(
        "private/buy",
        instrument_name=BTC,
        amount=0.01,
        type="stop_limit",
        trigger_price=69_300,
        price=69_900,
        trigger="mark_price",
        label="stop",
    )["order"]
    assert stop["order_state"] == "untriggered"
    gate.control.set_price(BTC, Decimal(69_500), hold=True)
    rows = gate.ask("private/get_order_state_by_label", currency="USDC", label="stop")
    by_id = {row["order_id"]: row for row in rows}
    assert by_id.pop(stop["order_id"])["order_state"] == "triggered"
    ((child_id, child),) = by_id.items()
    assert child["trigger_order_id"] == stop["order_id"] != child_id
    assert child["order_state"] == "filled"
    (judged,) = gate.embedded.exchange.judge_view().orders  # one request, one order
    assert judged.order_id == child_id


def test_a_take_market_sell_triggers_upwards_and_reduces() -> None:
    gate = Gate()
    gate.buy()
    gate.ask(
        "private/sell",
        instrument_name=BTC,
        amount=0.01,
        type="take_market",
        trigger_price=69_300,
        trigger="last_price",
        reduce_only=True,
    )
    gate.control.set_price(BTC, Decimal(69_500), hold=True)
    assert gate.position()["direction"] == "zero"


def test_a_reduce_only_order_is_cut_to_the_position_and_shrinks_with_it() -> None:
    gate = Gate()
    gate.buy(0.01)
    high = float(int(ticker(gate)["mark_price"]) + 500)
    terms = {"instrument_name": BTC, "price": high, "reduce_only": True, "post_only": True}
    resting = gate.ask("private/sell", **terms, amount=0.05)["order"]
    assert resting["amount"] == Decimal("0.01")
    gate.ask("private/sell", instrument_name=BTC, amount=0.004, type="market")
    assert gate.ask("private/get_order_state", order_id=resting["order_id"])["amount"] == Decimal("0.006")
    gate.ask("private/close_position", instrument_name=BTC, type="market")
    gone = gate.ask("private/get_order_state", order_id=resting["order_id"])
    assert gone["order_state"] == "cancelled"
    assert gate.position()["size_currency"] == 0


def test_an_edit_keeps_the_id_and_its_amount_is_the_whole() -> None:
    gate = Gate()
    order = gate.rest()
    told = gate.ask("private/edit", order_id=order["order_id"], amount=0.02, price=gate.below(share="0.995"))["order"]
    assert told["order_id"] == order["order_id"]
    assert told["replaced"] is True
    assert told["amount"] == Decimal("0.02")
    assert gate.refused("private/edit", order_id=order["order_id"], price=68_000) == -32602  # amount is mandatory


def test_an_edit_that_would_take_a_rejecting_post_only_order_cancels_it() -> None:
    gate = Gate()
    order = gate.rest()
    crossing = float(ticker(gate)["best_ask_price"])
    assert gate.refused("private/edit", order_id=order["order_id"], amount=0.01, price=crossing) == 11054
    gone = gate.ask("private/get_order_state", order_id=order["order_id"])
    assert (gone["order_state"], gone["cancel_reason"]) == ("cancelled", "edit_post_only_reject")


def test_an_edit_by_label_needs_exactly_one_open_order() -> None:
    gate = Gate()
    gate.rest()
    terms = {"instrument_name": BTC, "label": "one", "amount": 0.02, "price": gate.below()}
    assert gate.ask("private/edit_by_label", **terms)["order"]["amount"] == Decimal("0.02")
    gate.rest()
    assert gate.refused("private/edit_by_label", **terms) == 13032


def test_cancels_name_what_was_cancelled_and_a_second_one_is_refused() -> None:
    gate = Gate()
    order = gate.rest()
    gone = gate.ask("private/cancel", order_id=order["order_id"])
    assert (gone["order_state"], gone["cancel_reason"]) == ("cancelled", "user_request")
    assert gate.refused("private/cancel", order_id=order["order_id"]) == 11044
    assert gate.refused("private/cancel", order_id="USDC-1") == 10004
    gate.rest()
    gate.rest(label="two")
    assert gate.ask("private/cancel_by_label", label="two", currency="USDC") == 1
    detailed = gate.ask("private/cancel_all", detailed=True)
    assert [len(group["result"]) for group in detailed] == [1]
    assert gate.ask("private/cancel_all") == 0


def test_isolated_orders_are_hidden_and_stay_open_without_the_flag() -> None:
    gate = Gate()
    order = gate.rest(instrument_name=SOL, amount=10, price=80, isolated=True)
    assert order["isolated"] is True
    assert gate.ask("private/get_open_orders") == []
    assert len(gate.ask("private/get_open_orders", include_isolated=True)) == 1
    assert gate.refused("private/get_order_state", order_id=order["order_id"]) == 10004
    assert gate.refused("private/cancel", order_id=order["order_id"]) == 10004
    assert gate.ask("private/cancel_all") == 0
    assert gate.summary()["balance"] < 1_000_000  # the collateral stands in the slot
    assert gate.ask("private/cancel_all", include_isolated=True) == 1
    assert gate.summary()["balance"] == 1_000_000  # and comes back when it is flat


def test_cross_and_isolated_positions_of_one_instrument_stand_apart() -> None:
    gate = Gate()
    gate.buy(0.01)
    gate.buy(0.02, isolated=True)
    assert [row["size_currency"] for row in gate.ask("private/get_positions", currency="USDC")] == [Decimal("0.01")]
    both = gate.ask("private/get_positions", currency="USDC", include_isolated=True)
    assert sorted(row["size_currency"] for row in both) == [Decimal("0.01"), Decimal("0.02")]
    gate.ask("private/close_position", instrument_name=BTC, type="market", isolated=True)
    assert len(gate.ask("private/get_positions", currency="USDC", include_isolated=True)) == 1


def test_a_locked_platform_and_a_closed_instrument_refuse_orders_by_name() -> None:
    gate = Gate()
    gate.control.set_locked(True)
    assert gate.refused("private/buy", instrument_name=BTC, amount=0.01, type="market") == 10019
    assert gate.ask("private/get_user_locks")[0]["locked"] is True
    gate.control.set_locked(False)
    gate.control.set_status(BTC, trading_disabled=True)
    assert gate.refused("private/buy", instrument_name=BTC, amount=0.01, type="market") == 10012


def test_a_hidden_order_is_found_neither_by_id_nor_by_label_until_it_shows() -> None:
    """E1 over the same fault registry."""
    gate = Gate()
    gate.embedded.exchange.faults.arm("E1", seconds=10)
    order = gate.rest()
    assert gate.refused("private/get_order_state", order_id=order["order_id"]) == 10004
    assert gate.ask("private/get_order_state_by_label", currency="USDC", label="one") == []
    gate.later(seconds=11)
    assert len(gate.ask("private/get_order_state_by_label", currency="USDC", label="one")) == 1


def test_recent_records_forget_finished_orders_after_half_an_hour() -> None:
    gate = Gate()
    gate.buy(label="old")
    gate.later(seconds=1801)
    gate.log_in()
    assert gate.ask("private/get_order_state_by_label", currency="USDC", label="old") == []
    terms = {"currency": "USDC", "kind": "future"}
    assert gate.ask("private/get_order_history_by_currency", **terms) == []
    assert len(gate.ask("private/get_order_history_by_currency", **terms, historical=True)) == 1


def test_every_method_answers_a_get_with_a_query_string() -> None:
    gate = Gate()
    told = gate.get("private/buy", instrument_name=BTC, amount="0.01", type="market", post_only="false", label="7")
    assert told["result"]["order"]["order_state"] == "filled"
    assert told["result"]["order"]["label"] == "7"
    assert gate.get("public/get_time")["result"] == micros(gate.clock.now()) // 1000
    assert gate.get("private/buy", instrument_name=BTC, amount="much", type="market")["error"]["code"] == -32602


def test_the_method_may_stand_in_the_body_alone_and_must_agree_with_the_path() -> None:
    gate = Gate()
    assert gate.reply("public/test", {}, path="/api/v2").status == 200
    assert b"-32600" in gate.reply("public/test", {}, path="/api/v2/public/hello").body
    assert gate.refused("private/no_such_method") == -32601


def test_valid_until_is_judged_by_the_clock_the_venue_tells() -> None:
    """A1: a venue whose clock is ahead times requests by that clock."""
    gate = Gate()
    gate.embedded.exchange.faults.arm("A1", seconds=60)
    gate.log_in_at(60)
    venue_ms = int(gate.ask("public/get_time"))
    terms = {"instrument_name": BTC, "amount": 0.01, "type": "market"}
    assert gate.refused("private/buy", **terms, valid_until=venue_ms - 1000) == 13888
    assert gate.ask("private/buy", **terms, valid_until=venue_ms + 1000)["order"]["order_state"] == "filled"


def test_an_order_from_outside_is_seen_as_placed_by_the_web() -> None:
    gate = Gate()
    order = OrderRequest(
        product_id=BTC,
        side=Side.SELL,
        client_order_id="theirs",
        configuration=Configuration(kind=ConfigKind.LIMIT_GTC, base_size=Decimal(50), limit_price=Decimal(69_500)),
    )
    assert isinstance(gate.control.inject_order(order), Placed)
    (row,) = gate.ask("private/get_open_orders")
    assert (row["web"], row["label"], row["amount"]) == (True, "theirs", Decimal("0.005"))
    (judged,) = gate.embedded.exchange.judge_view().orders
    assert judged.sequence == 0
