"""Isolated slots at the gateway: who is told of them, histories by slot, and the trigger history.

Facts: guide on isolated positions (2026-09-24), Global Derivatives reference sections 5, 8.2, 8.5 and 11.
"""

from decimal import Decimal
from typing import Any

import pytest

from tests.unit.simulator.global_face.gate import BTC, SOL, Gate

HISTORY = "private/get_order_history_by_currency"
TRIGGERS = "private/get_trigger_order_history"
TRADES = "private/get_user_trades_by_currency"


def slots(gate: Gate) -> dict[int, Any]:
    """Every slot by id, with the instrument it is bound to."""
    rows = gate.ask("private/get_subaccounts", include_isolated=True)
    assert [row["type"] for row in rows] == ["main", *["subaccount"] * (len(rows) - 1)]
    return {row["id"]: row["isolated_margin_instrument"] for row in rows if row["isolated"] is True}


def in_and_out(gate: Gate, product_id: str = SOL, amount: float = 10) -> int:
    """An isolated position opened and closed; the slot's id."""
    bought = gate.buy(amount, product_id, isolated=True)
    gate.ask("private/close_position", instrument_name=product_id, type="market", isolated=True)
    return int(bought["order"]["user_id"])


def test_a_slot_is_told_from_its_first_order_and_unbound_when_it_is_flat_again() -> None:
    gate = Gate()
    assert slots(gate) == {}
    assert len(gate.ask("private/get_subaccounts")) == 1
    gate.buy(10, SOL, isolated=True)
    ((slot, bound),) = slots(gate).items()
    assert bound == SOL
    gate.ask("private/close_position", instrument_name=SOL, type="market", isolated=True)
    assert slots(gate) == {slot: None}


def test_a_slot_that_was_given_back_is_used_again_for_another_instrument() -> None:
    gate = Gate()
    first = in_and_out(gate)
    assert in_and_out(gate, BTC, 0.01) == first
    told = gate.ask(TRADES, currency="USDC", subaccount_id=first, count=100)["trades"]
    assert {row["instrument_name"] for row in told} == {SOL, BTC}


def test_no_more_slots_than_the_account_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perpsctl.simulator.gateway.state.SLOTS_MAX", 1)
    gate = Gate()
    gate.buy(10, SOL, isolated=True)
    assert gate.refused("private/buy", instrument_name=BTC, amount=0.01, type="market", isolated=True) == 12001
    gate.buy(10, SOL, isolated=True)


def test_histories_are_the_cross_accounts_or_one_slots_and_no_flag_gathers_both() -> None:
    gate = Gate()
    gate.buy(0.01)
    slot = in_and_out(gate)
    for flags in ({}, {"include_isolated": True}):
        (cross,) = gate.ask(HISTORY, currency="USDC", include_unfilled=True, **flags)
        assert cross["instrument_name"] == BTC
        assert len(gate.ask(TRADES, currency="USDC", **flags)["trades"]) == 1
    own = gate.ask(HISTORY, currency="USDC", subaccount_id=slot)
    assert [(row["instrument_name"], row["isolated"], row["user_id"]) for row in own] == [(SOL, True, slot)] * 2
    assert {row["order_id"] for row in gate.ask(TRADES, currency="USDC", subaccount_id=slot)["trades"]} == {
        row["order_id"] for row in own
    }


def test_the_trades_of_an_isolated_order_are_not_found_without_the_flag() -> None:
    gate = Gate()
    order_id = gate.buy(10, SOL, isolated=True)["order"]["order_id"]
    assert gate.refused("private/get_user_trades_by_order", order_id=order_id) == 10004
    assert len(gate.ask("private/get_user_trades_by_order", order_id=order_id, isolated=True)) == 1


def test_slots_stand_apart_in_the_summaries_and_only_while_bound() -> None:
    gate = Gate()
    gate.buy(10, SOL, isolated=True)
    told = gate.ask("private/get_account_summaries", include_isolated=True)
    assert len(told["summaries"]) == 1
    (slot,) = told["isolated_account_summaries"]
    assert slot["id"] in slots(gate)
    assert [row["currency"] for row in slot["summaries"]] == ["USDC"]
    assert slot["summaries"][0]["equity"] > 0
    assert "isolated_account_summaries" not in gate.ask("private/get_account_summaries")
    gate.ask("private/close_position", instrument_name=SOL, type="market", isolated=True)
    assert gate.ask("private/get_account_summaries", include_isolated=True)["isolated_account_summaries"] == []


def test_one_position_with_the_flag_is_the_slots_also_beside_a_cross_one() -> None:
    gate = Gate()
    gate.buy(0.01)
    gate.buy(0.02, isolated=True)
    told = gate.ask("private/get_position", instrument_name=BTC, include_isolated=True)
    assert (told["isolated"], float(told["size_currency"])) == (True, 0.02)
    assert float(gate.position()["size_currency"]) == 0.01


def test_collateral_that_moves_names_the_other_account_in_the_books() -> None:
    gate = Gate()
    slot = in_and_out(gate)
    uid = gate.ask("private/get_subaccounts")[0]["id"]
    window = {"start_timestamp": 0, "end_timestamp": 4_000_000_000_000, "currency": "USDC", "query": "transfer"}
    cross = gate.ask("private/get_transaction_log", **window)["logs"]
    assert {row["info"]["other_user_id"] for row in cross} == {slot}
    own = gate.ask("private/get_transaction_log", subaccount_id=slot, **window)["logs"]
    assert {row["info"]["other_user_id"] for row in own} == {uid}
    assert sum(row["change"] for row in cross) == -sum(row["change"] for row in own)


def a_stop(gate: Gate, **more: Any) -> dict[str, Any]:
    terms = {"instrument_name": BTC, "amount": 0.01, "type": "stop_market", "trigger": "mark_price", "label": "stop"}
    order = gate.ask("private/sell", **(terms | {"trigger_price": gate.below(share="0.9")} | more))["order"]
    assert isinstance(order, dict)
    return order


def test_waiting_orders_that_are_over_stand_in_the_trigger_history_alone() -> None:
    gate = Gate()
    order = a_stop(gate)
    assert gate.ask(TRIGGERS, currency="USDC")["entries"] == [], "it still waits"
    gate.ask("private/cancel", order_id=order["order_id"])
    (entry,) = gate.ask(TRIGGERS, currency="USDC")["entries"]
    assert (entry["trigger_order_id"], entry["order_state"], entry["request"]) == (
        order["order_id"],
        "cancelled",
        "cancel",
    )
    assert gate.ask(HISTORY, currency="USDC", include_unfilled=True) == []


def test_a_stop_that_has_nothing_to_reduce_when_it_triggers_is_rejected_with_its_reason() -> None:
    gate = Gate()
    order = a_stop(gate, reduce_only=True)
    gate.control.set_price(BTC, Decimal(gate.below(share="0.89")), hold=True)
    (entry,) = gate.ask(TRIGGERS, currency="USDC")["entries"]
    assert (entry["trigger_order_id"], entry["order_state"]) == (order["order_id"], "rejected:reduce_direction")
    assert entry["order_id"] != order["order_id"]
    assert gate.ask(HISTORY, currency="USDC", include_unfilled=True) == []


def test_the_trigger_history_is_paged() -> None:
    gate = Gate()
    for _ in range(3):
        gate.ask("private/cancel", order_id=a_stop(gate)["order_id"])
    first = gate.ask(TRIGGERS, currency="USDC", count=2)
    rest = gate.ask(TRIGGERS, currency="USDC", count=2, continuation=first["continuation"])
    assert (len(first["entries"]), len(rest["entries"]), rest["continuation"]) == (2, 1, None)


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("private/buy", {"amount": 1}, 10020),
        ("private/close_position", {"type": "market"}, 10020),
        ("private/edit_by_label", {"label": "x", "amount": 1}, 10020),
        ("private/cancel_all_by_instrument", {}, 10020),
        ("private/get_position", {}, 13020),
        ("private/get_open_orders_by_instrument", {}, 13020),
        ("public/ticker", {}, 13020),
    ],
)
def test_an_unknown_instrument_is_a_bad_argument_of_an_order_and_not_found_by_a_read(
    method: str, params: dict[str, Any], code: int
) -> None:
    assert Gate().refused(method, instrument_name="NONE_USDC-PERPETUAL", **params) == code


def test_I6_the_judge_is_told_of_a_cancel_that_was_refused() -> None:
    gate = Gate()
    assert gate.refused("private/cancel", order_id="USDC-1") == 10004
    isolated = gate.rest(instrument_name=SOL, amount=10, price=80, isolated=True)
    assert gate.refused("private/cancel", order_id=isolated["order_id"]) == 10004
    asked = [each for each in gate.embedded.exchange.judge_view().requests if each.operation == "cancel_orders"]
    assert [(each.answer, each.order_ids) for each in asked] == [
        ("refused:10004", ("USDC-1",)),
        ("refused:10004", (isolated["order_id"],)),
    ]
