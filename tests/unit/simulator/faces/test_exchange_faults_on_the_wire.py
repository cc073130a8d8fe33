"""Faults of the exchange's meaning (E1 to E8) as a client reads them, and the same answers for the same questions (L6)."""

import pytest

from tests.unit.simulator.faces.trader import BIP, Trader


@pytest.fixture
def trader() -> Trader:
    return Trader()


def listed(trader: Trader) -> list[str]:
    return [order["client_order_id"] for order in trader.get("/orders/historical/batch")["orders"]]


def order_id(trader: Trader, name: str = "a") -> str:
    found: str = trader.post("/orders", trader.limit(name, size="4"))["success_response"]["order_id"]
    return found


def test_e1_an_order_is_neither_listed_nor_found_at_first(trader: Trader) -> None:
    trader.embedded.exchange.faults.arm("E1", seconds=10)
    placed = order_id(trader)
    assert listed(trader) == []
    assert trader.ask("GET", f"/orders/historical/{placed}").status == 404
    assert trader.booked() == ("a",)
    trader.pass_time(11)
    assert listed(trader) == ["a"]
    assert trader.ask("GET", f"/orders/historical/{placed}").status == 200


@pytest.mark.parametrize(("missing", "in_list", "by_id"), [("list", [], 200), ("id", ["a"], 404)])
def test_e2_an_order_is_missing_from_one_view_only(
    trader: Trader, missing: str, in_list: list[str], by_id: int
) -> None:
    trader.embedded.exchange.faults.arm("E2", missing=missing)
    placed = order_id(trader)
    assert listed(trader) == in_list
    assert trader.ask("GET", f"/orders/historical/{placed}").status == by_id


def test_e3_a_refusal_in_a_200_places_nothing(trader: Trader) -> None:
    trader.embedded.exchange.faults.arm("E3", reason="INSUFFICIENT_FUND")
    reply = trader.post("/orders", trader.limit("a"))
    assert reply["error_response"]["error"] == "INSUFFICIENT_FUND"
    assert trader.booked() == ()


def test_e4_success_may_carry_a_failure_reason_and_is_success(trader: Trader) -> None:
    trader.embedded.exchange.faults.arm("E4")
    reply = trader.post("/orders", trader.limit("a"))
    assert (reply["success"], reply["failure_reason"]) == (True, "UNKNOWN_FAILURE_REASON")
    assert "error_response" not in reply
    assert trader.booked() == ("a",)


def test_e6_a_venue_that_forgets_client_ids_places_a_repeat_twice(trader: Trader) -> None:
    trader.embedded.exchange.faults.arm("E6", seconds=0)
    first = order_id(trader)
    trader.pass_time(1)
    assert order_id(trader) != first
    assert trader.booked() == ("a", "a")


def test_e7_an_accepted_order_fails_later_with_its_reason(trader: Trader) -> None:
    trader.embedded.exchange.faults.arm("E7", seconds=2)
    placed = order_id(trader)
    trader.pass_time(3)
    order = trader.get(f"/orders/historical/{placed}")["order"]
    assert (order["status"], order["reject_reason"]) == ("FAILED", "HOLD_FAILURE")


def test_e8_a_cancel_races_a_partial_fill_and_both_are_booked(trader: Trader) -> None:
    trader.embedded.exchange.faults.arm("E8")
    placed = order_id(trader)
    assert trader.post("/orders/batch_cancel", {"order_ids": [placed]})["results"][0]["success"] is True
    trader.pass_time(5)
    order = trader.get(f"/orders/historical/{placed}")["order"]
    filled = int(order["filled_size"])
    assert order["status"] == "CANCELLED"
    assert 0 < filled < 4
    fills = trader.get("/orders/historical/fills", f"order_ids={placed}")["fills"]
    assert sum(int(fill["size"]) for fill in fills) == filled
    assert trader.get("/cfm/positions")["positions"][0]["number_of_contracts"] == str(filled)


def test_l6_the_same_questions_at_the_same_times_get_the_same_bytes() -> None:
    def told() -> list[bytes]:
        trader = Trader()
        market = {**trader.limit("m"), "order_configuration": {"market_market_ioc": {"base_size": "3"}}}
        answers = []
        for method, path, query, body in (
            ("GET", "/products", "", None),
            ("POST", "/orders", "", trader.limit("a")),
            ("POST", "/orders", "", market),
            ("GET", "/product_book", f"product_id={BIP}", None),
            ("GET", "/orders/historical/batch", "", None),
            ("GET", "/orders/historical/fills", "", None),
            ("GET", "/cfm/balance_summary", "", None),
            ("GET", "/made/up", "", None),
        ):
            reply = trader.ask(method, path, query, body)
            answers.append(repr(reply.headers).encode() + reply.body)
            trader.pass_time(3)
        return answers

    assert told() == told()
