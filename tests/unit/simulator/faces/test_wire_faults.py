"""Faults as the face sees them: whether the exchange handled the request, and what is left of the answer."""

import json

import pytest

from perpsctl.simulator.faces.us import NOT_ANSWERED
from tests.unit.simulator.faces.trader import V3, Trader


@pytest.fixture
def trader() -> Trader:
    return Trader()


@pytest.mark.parametrize("fault", ["N4", "N7", "N9", "N10", "N11", "N24", "N25"])
def test_faults_before_acceptance_keep_the_order_out_of_the_book(trader: Trader, fault: str) -> None:
    trader.embedded.exchange.faults.arm(fault, operation="create_order")
    reply = trader.ask("POST", "/orders", body=trader.limit("a"))
    assert reply.status != 200
    assert trader.booked() == ()
    assert trader.ask("POST", "/orders", body=trader.limit("a")).status == 200  # once armed, once fired
    assert trader.booked() == ("a",)


@pytest.mark.parametrize("fault", ["N8", "N12", "N13", "N15", "N16", "N17", "N18", "N20", "N21", "N22", "N23", "N28"])
def test_faults_after_acceptance_leave_exactly_one_order(trader: Trader, fault: str) -> None:
    trader.embedded.exchange.faults.arm(fault, operation="create_order")
    trader.ask("POST", "/orders", body=trader.limit("a"))
    assert trader.booked() == ("a",)


def test_n8_the_answer_is_5xx_after_and_n7_before(trader: Trader) -> None:
    trader.embedded.exchange.faults.arm("N7", status=500)
    assert trader.ask("POST", "/orders", body=trader.limit("a")).status == 500
    trader.embedded.exchange.faults.arm("N8", status=504)
    assert trader.ask("POST", "/orders", body=trader.limit("b")).status == 504
    assert trader.booked() == ("b",)


@pytest.mark.parametrize(
    ("form", "value"), [("seconds", "2"), ("negative", "-5"), ("day_ahead", "86400"), ("date", "GMT"), ("past", "GMT")]
)
def test_n2_retry_after_comes_in_every_form(trader: Trader, form: str, value: str) -> None:
    trader.embedded.exchange.faults.arm("N2", retry_after=form)
    headers = dict(trader.ask("GET", "/accounts").headers)
    assert headers["retry-after"].endswith(value)


def test_n3_a_429_without_retry_after_is_an_html_page(trader: Trader) -> None:
    trader.embedded.exchange.faults.arm("N3")
    reply = trader.ask("GET", "/accounts")
    assert (reply.status, "retry-after" in dict(reply.headers)) == (429, False)
    assert b"<html" in reply.body


def test_n14_a_late_order_is_accepted_while_its_token_lives(trader: Trader) -> None:
    trader.embedded.exchange.faults.arm("N14", seconds=5)
    assert trader.ask("POST", "/orders", body=trader.limit("a")).status == NOT_ANSWERED
    assert trader.booked() == ()
    trader.pass_time(6)
    assert trader.booked() == ("a",)


@pytest.mark.parametrize(("seconds", "booked"), [(19, ("a",)), (20, ()), (25, ())])
def test_n14_a_late_order_whose_token_has_ended_is_never_accepted(
    trader: Trader, seconds: int, booked: tuple[str, ...]
) -> None:
    trader.embedded.exchange.faults.arm("N14", seconds=seconds)
    claims = trader.claims("POST", f"{V3}/orders")
    token = trader.sign({**claims, "exp": claims["nbf"] + 20})
    trader.ask("POST", "/orders", body=trader.limit("a"), token=token)
    trader.pass_time(60)
    assert trader.booked() == booked


def test_n14_a_late_cancel_reaches_the_exchange_at_its_time(trader: Trader) -> None:
    order_id = trader.post("/orders", trader.limit("a"))["success_response"]["order_id"]
    trader.embedded.exchange.faults.arm("N14", operation="cancel_orders", seconds=5)
    trader.ask("POST", "/orders/batch_cancel", body={"order_ids": [order_id]})
    assert trader.get(f"/orders/historical/{order_id}")["order"]["status"] == "OPEN"
    trader.pass_time(6)
    trader.embedded.advance()
    trader.pass_time(2)
    assert trader.get(f"/orders/historical/{order_id}")["order"]["status"] == "CANCELLED"


def test_n17_another_requests_answer_comes_in_place_of_this_one(trader: Trader) -> None:
    before = trader.ask("GET", "/accounts").body
    trader.embedded.exchange.faults.arm("N17")
    assert trader.ask("POST", "/orders", body=trader.limit("a")).body == before


def test_n20_to_n23_bodies_are_cut_empty_misnamed_or_html(trader: Trader) -> None:
    whole = trader.ask("GET", "/portfolios").body
    answers = {}
    for fault in ("N20", "N21", "N22", "N23"):
        trader.embedded.exchange.faults.arm(fault)
        answers[fault] = trader.ask("GET", "/portfolios")
    assert answers["N20"].body == whole[: len(whole) // 2]
    assert answers["N21"].body == b""
    assert (answers["N22"].body, answers["N22"].content_type) == (whole, "text/plain")
    assert (answers["N23"].status, answers["N23"].content_type[:9]) == (200, "text/html")


@pytest.mark.parametrize("target", ["same", "other", "loop"])
def test_n24_redirects_never_leave_this_machine(trader: Trader, target: str) -> None:
    trader.embedded.exchange.faults.arm("N24", target=target, status=302)
    reply = trader.ask("GET", "/accounts")
    place = dict(reply.headers)["location"]
    assert reply.status == 302
    assert place.startswith(("/", "http://127.0.0.2:"))


def test_a2_a3_a4_a5_refuse_as_the_venue_would(trader: Trader) -> None:
    faults = trader.embedded.exchange.faults
    faults.arm("A5")
    assert [trader.ask("GET", "/accounts").status for _ in range(2)] == [401, 200]
    for fault, status in (("A2", 401), ("A4", 403)):
        handle = faults.arm(fault)
        assert trader.ask("GET", "/accounts").status == status
        faults.disarm(handle)
    faults.arm("A3", scope="trade")
    assert trader.ask("GET", "/accounts").status == 200
    refused = trader.ask("POST", "/orders", body=trader.limit("a"))
    assert (refused.status, json.loads(refused.body)["error_details"]) == (403, "Missing required scopes")
    assert trader.booked() == ()


def test_public_paths_know_nothing_of_keys(trader: Trader) -> None:
    for fault in ("A2", "A4", "A5"):
        trader.embedded.exchange.faults.arm(fault)
    assert trader.ask("GET", "/time", token="").status == 200
