"""Orders, edits and closes: sent once, and the outcome said no stronger than it is known."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import requests
import responses
import urllib3
from requests.adapters import HTTPAdapter

from perpsctl.domain.ids import ClientOrderId
from perpsctl.domain.orders import (
    Accepted,
    ApprovedEdit,
    ApprovedOrder,
    NotSent,
    Rejected,
    SubmitOutcome,
    TimeInForce,
    Unknown,
)
from perpsctl.domain.products import Environment
from perpsctl.domain.sides import Side
from perpsctl.exchange.advanced_trade import AdvancedTradeVenue
from perpsctl.exchange.hosts import endpoint_for
from perpsctl.systemports import SystemClock, SystemIds
from tests.builders import a_quantized, an_edit, an_intent
from tests.unit.exchange.parts import (
    BIP,
    NOW,
    Answer,
    Call,
    Canned,
    FakeClock,
    OpenGate,
    ShutGate,
    a_venue,
    credentials,
    order_body,
    orders_page,
    product_body,
    reply,
)
from tests.unit.exchange.raw_server import RawServer, http, says

CLIENT = "intent-00000001"


def approved(**changes: Any) -> ApprovedOrder:
    intent = an_intent(id=CLIENT, size="0.02", limit_price="59900", **changes)
    return ApprovedOrder(order=a_quantized(intent), client_order_id=ClientOrderId(intent.id), judged_at=NOW)


def approved_edit() -> ApprovedEdit:
    return ApprovedEdit(edit=an_edit(new_size="0.03", new_price="59800"), judged_at=NOW)


def taken(order_id: str = "order-9", **changes: Any) -> dict[str, Any]:
    named = {"order_id": order_id, "product_id": BIP, "side": "BUY", "client_order_id": CLIENT, "attached_order_id": ""}
    terms = {"limit_limit_gtc": {"base_size": "2", "limit_price": "59900", "post_only": False}}
    return {
        "success": True,
        "success_response": named | changes.pop("named", {}),
        "order_configuration": terms,
    } | changes


def placed(answer: Answer, **changes: Any) -> tuple[SubmitOutcome, Canned]:
    canned = Canned()
    canned.on("POST", "/orders", answer)
    return a_venue(canned).submit(approved(**changes), OpenGate()), canned


def test_I7_what_is_sent_is_what_was_approved_once_and_signed_for_20_seconds() -> None:
    outcome, canned = placed(reply(taken()))
    assert isinstance(outcome, Accepted)
    assert outcome.venue_order_id == "order-9"
    assert outcome.latency_us is not None
    (call,) = canned.calls
    assert call.body == {
        "client_order_id": CLIENT,
        "product_id": BIP,
        "side": "BUY",
        "order_configuration": {"limit_limit_gtc": {"base_size": "2", "limit_price": "59900", "post_only": False}},
    }
    claims = json.loads(_decoded(call.headers["Authorization"].split(".")[1]))
    assert claims["exp"] - claims["nbf"] == 20
    assert claims["uri"] == "POST 127.0.0.1:9/api/v3/brokerage/orders"


def _decoded(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def test_R1_a_shut_gate_is_not_sent_by_the_kill_switch() -> None:
    canned = Canned()
    outcome = a_venue(canned).submit(approved(), ShutGate())
    assert outcome == NotSent(reason="kill_switch_engaged", evidence="engaged by a test")
    assert canned.calls == []


def test_R1_with_an_adapter_of_its_own_the_gate_spans_the_whole_send() -> None:
    gate = OpenGate()
    states: list[tuple[int, int]] = []
    canned = Canned()
    canned.on("POST", "/orders", reply(taken()))
    canned.on_send = lambda call: states.append((gate.entered, gate.left))
    a_venue(canned).submit(approved(), gate)
    assert states == [(1, 0)]
    assert gate.left == 1


def failure(**reasons: str) -> dict[str, Any]:
    told = {"error": "UNKNOWN_FAILURE_REASON", "message": "", "error_details": ""} | reasons
    return {"success": False, "failure_reason": "UNKNOWN_FAILURE_REASON", "order_id": "", "error_response": told}


@pytest.mark.parametrize(
    "reasons",
    [
        {"error": "INSUFFICIENT_FUND"},
        {"new_order_failure_reason": "INSUFFICIENT_FUND"},
        {"preview_failure_reason": "INSUFFICIENT_FUND"},
    ],
)
def test_E3_a_refusal_inside_a_200_is_found_in_any_of_the_three_fields(reasons: dict[str, str]) -> None:
    outcome, _ = placed(reply(failure(**reasons)))
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "INSUFFICIENT_FUND"


def test_E4_success_beside_a_failure_reason_is_success() -> None:
    outcome, _ = placed(reply(taken(failure_reason="INSUFFICIENT_FUND")))
    assert isinstance(outcome, Accepted)


PARSED = {"error": "INVALID_ARGUMENT", "error_details": "unknown field", "message": "unknown field"}
LIMITED = {"errors": [{"id": "rate_limit_exceeded", "message": "Too many requests"}]}
HTML = (b"<html>busy</html>", "text/html")
PLAIN = (b"Unauthorized", "text/plain")


def raw(status: int, body: tuple[bytes, str]) -> Answer:
    return status, {"content-type": body[1]}, body[0]


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (reply(PARSED, 400), Rejected, "INVALID_ARGUMENT"),
        (raw(401, PLAIN), Rejected, "unauthorized"),
        (reply({"error": "PERMISSION_DENIED", "message": "m"}, 403), Rejected, "PERMISSION_DENIED"),
        (reply(PARSED, 404), Rejected, "INVALID_ARGUMENT"),
        (reply(LIMITED, 429), NotSent, "rate_limited"),
        (raw(429, HTML), Unknown, "http_429"),
        (raw(400, HTML), Unknown, "http_400"),
        (raw(401, HTML), Unknown, "http_401"),
        (raw(403, HTML), Unknown, "http_403"),
        (reply(PARSED, 408), Unknown, "http_408"),
        (reply(PARSED, 409), Unknown, "http_409"),
        (reply(PARSED, 500), Unknown, "http_500"),
        (reply(PARSED, 502), Unknown, "http_502"),
        (raw(503, HTML), Unknown, "http_503"),
        (raw(504, (b"", "")), Unknown, "http_504"),
        (reply(taken(), 201), Unknown, "http_201"),
        (reply({}, 302), Unknown, "redirect"),
        (raw(200, HTML), Unknown, "the answer is no JSON"),
        (raw(200, (json.dumps(taken()).encode(), "text/plain")), Unknown, "the answer is no JSON"),
        (raw(200, (b"", "application/json")), Unknown, "the answer cannot be read"),
        (raw(200, (json.dumps(taken()).encode()[:-20], "application/json")), Unknown, "the answer cannot be read"),
        (raw(200, (b'{"success":false,"success":true}', "application/json")), Unknown, "the answer cannot be read"),
        (reply({}), Unknown, "the reply does not say whether the order was taken"),
        (reply({"success": False}), Unknown, "the reply says no and not why"),
    ],
)
def test_I4_only_the_venues_own_parsed_words_are_a_refusal(answer: Answer, kind: type, reason: str) -> None:
    outcome, canned = placed(answer)
    assert type(outcome) is kind
    assert outcome.reason == reason  # type: ignore[union-attr]
    assert len(canned.calls) == 1


def test_A1_a_refused_token_names_the_clock_when_the_clock_is_it() -> None:
    late = "Sun, 22 Nov 2026 12:02:10 GMT"
    answer = (401, {"content-type": "text/plain", "date": late}, b"Unauthorized")
    outcome, _ = placed(answer)
    assert isinstance(outcome, Rejected)
    assert "our clock is 130 s behind" in outcome.message


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"named": {"product_id": "ETP-20DEC30-CDE"}}, "product"),
        ({"named": {"side": "SELL"}}, "side"),
        ({"named": {"client_order_id": "intent-00000002"}}, "client order id"),
        ({"named": {"client_order_id": ""}}, "client order id"),
        ({"order_configuration": {"limit_limit_gtc": {"base_size": "3", "limit_price": "59900"}}}, "base size"),
        ({"order_configuration": {"limit_limit_gtc": {"base_size": "2", "limit_price": "59905"}}}, "limit price"),
        ({"order_configuration": {"market_market_ioc": {"base_size": "2"}}}, "configuration"),
    ],
)
def test_H10_N17_an_answer_about_another_order_is_unknown_and_alarmed(changed: dict[str, Any], said: str) -> None:
    outcome, _ = placed(reply(taken(**changed)))
    assert isinstance(outcome, Unknown)
    assert outcome.alarm
    assert said in outcome.reason


@pytest.mark.parametrize(
    "failure",
    [
        requests.exceptions.ReadTimeout("x"),
        requests.exceptions.ConnectionError("reset"),
        requests.exceptions.ChunkedEncodingError("cut"),
        ConnectionResetError(104, "reset"),
        TimeoutError("late"),
    ],
)
def test_N12_a_lost_answer_is_unknown_and_nothing_is_sent_again(failure: BaseException) -> None:
    outcome, canned = placed(failure)
    assert isinstance(outcome, Unknown)
    assert len(canned.calls) == 1


@pytest.mark.parametrize(
    "failure",
    [
        requests.exceptions.ConnectTimeout("x"),
        requests.exceptions.ConnectionError(
            urllib3.exceptions.NewConnectionError(None, "refused")  # type: ignore[arg-type]
        ),
        ConnectionRefusedError(111, "refused"),
    ],
)
def test_N9_what_never_connected_was_never_sent(failure: BaseException) -> None:
    outcome, _ = placed(failure)
    assert isinstance(outcome, NotSent)
    assert "no byte was sent" in outcome.evidence


def test_what_our_own_budget_holds_back_was_never_sent() -> None:
    canned = Canned()
    clock = FakeClock()
    canned.on("POST", "/orders", reply(LIMITED, 429, retry_after="60"))
    venue = a_venue(canned, clock=clock)
    assert isinstance(venue.submit(approved(), OpenGate()), NotSent)
    outcome = venue.submit(approved(), OpenGate())
    assert isinstance(outcome, NotSent)
    assert outcome.reason == "rate_limited_here"
    assert len(canned.calls) == 1


def test_an_order_the_venue_has_no_words_for_is_not_sent() -> None:
    canned = Canned()
    whole = approved()
    intent = replace(whole.order.intent, tif=TimeInForce.UNRECOGNISED)
    outcome = a_venue(canned).submit(replace(whole, order=replace(whole.order, intent=intent)), OpenGate())
    assert isinstance(outcome, NotSent)
    assert canned.calls == []


def test_without_a_key_nothing_is_sent() -> None:
    canned = Canned()
    outcome = a_venue(canned, keyless=True).submit(approved(), OpenGate())
    assert isinstance(outcome, NotSent)
    assert canned.calls == []


def test_N17_after_a_contradicting_answer_the_next_request_has_a_connection_of_its_own() -> None:
    wrong = http(json.dumps(taken(named={"side": "SELL"})).encode())
    with RawServer(says(wrong), says(http(json.dumps({"epochMillis": "1795348800000"}).encode()))) as server:
        venue = AdvancedTradeVenue(
            endpoint_for(Environment.SIM, server.address), credentials(), SystemClock(), SystemIds()
        )
        assert isinstance(venue.submit(approved(), OpenGate()), Unknown)
        venue.server_time()
        venue.close()
        assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        http(b'{"error": "rate_limit_exceeded", "message": "slow down"}', status="429 Too Many Requests"),
        http(json.dumps(failure(error="INSUFFICIENT_FUND")).encode()),
    ],
)
def test_N17_after_a_refusal_which_names_no_order_the_next_request_has_a_connection_of_its_own(answer: bytes) -> None:
    """A second copy of it on that connection would be believed (schedule 17724)."""
    assert connections_of(answer, lambda venue: venue.submit(approved(), OpenGate()), NotSent | Rejected) == 2


def test_N17_after_an_edits_answer_which_names_no_order_the_next_request_has_a_connection_of_its_own() -> None:
    taken_edit = http(b'{"success": true, "errors": []}')
    assert connections_of(taken_edit, lambda venue: venue.submit_edit(approved_edit(), OpenGate()), Accepted) == 2
    assert connections_of(http(json.dumps(taken()).encode()), lambda v: v.submit(approved(), OpenGate()), Accepted) == 1


def connections_of(answer: bytes, write: Callable[[AdvancedTradeVenue], SubmitOutcome], ends: Any) -> int:
    """How many connections a write and a read after it took."""
    with RawServer(says(answer), says(http(b'{"epochMillis": "1795348800000"}'))) as server:
        venue = AdvancedTradeVenue(
            endpoint_for(Environment.SIM, server.address), credentials(), SystemClock(), SystemIds()
        )
        assert isinstance(write(venue), ends)
        venue.server_time()
        venue.close()
        return server.connections


# --- repeats (E5) -----------------------------------------------------------------------------------


def repeated(**first: Any) -> tuple[SubmitOutcome, Canned]:
    """The first send is lost; the second is answered with the first order, as the venue does."""
    canned = Canned()
    canned.on("POST", "/orders", [requests.exceptions.ReadTimeout("lost"), reply(taken("order-1"))])
    canned.on("GET", f"/products/{BIP}", reply(product_body()))
    terms = {"limit_limit_gtc": {"base_size": "2", "limit_price": "59900", "post_only": False}}
    body = order_body("order-1", order_configuration=terms, created_time="2026-11-22T11:00:00Z") | first
    canned.on("GET", "/orders/historical/order-1", reply({"order": body}))
    venue = a_venue(canned)
    assert isinstance(venue.submit(approved(), OpenGate()), Unknown)
    return venue.submit(approved(), OpenGate()), canned


def test_E5_a_repeat_is_fetched_and_when_its_terms_agree_it_is_ours() -> None:
    outcome, canned = repeated()
    assert isinstance(outcome, Accepted)
    assert outcome.order is not None
    assert "known before" in outcome.evidence
    assert len(canned.to("GET", "/orders/historical/order-1")) == 1


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ({"side": "SELL"}, "side"),
        ({"client_order_id": "another-intent-1"}, "client order id"),
        ({"order_configuration": {"limit_limit_gtc": {"base_size": "9", "limit_price": "59900"}}}, "size"),
        ({"order_configuration": {"limit_limit_gtc": {"base_size": "2", "limit_price": "50000"}}}, "price"),
        ({"order_type": "MARKET"}, "type"),
    ],
)
def test_E5_H10_a_repeat_with_other_terms_is_never_adopted(first: dict[str, Any], said: str) -> None:
    outcome, _ = repeated(**first)
    assert isinstance(outcome, Unknown)
    assert outcome.alarm
    assert said in outcome.reason


def test_E5_an_order_that_was_listed_before_the_send_is_not_new() -> None:
    canned = Canned()
    canned.on("GET", f"/products/{BIP}", reply(product_body()))
    canned.on("GET", "/orders/historical/batch", orders_page(order_body("order-1", side="SELL")))
    canned.on("GET", "/orders/historical/order-1", reply({"order": order_body("order-1", side="SELL")}))
    canned.on("POST", "/orders", reply(taken("order-1")))
    venue = a_venue(canned)
    venue.live_orders()
    outcome = venue.submit(approved(), OpenGate())
    assert isinstance(outcome, Unknown)
    assert outcome.alarm


def test_a_first_send_under_a_fresh_id_asks_nothing_more() -> None:
    outcome, canned = placed(reply(taken()))
    assert isinstance(outcome, Accepted)
    assert len(canned.calls) == 1


# --- edits and closes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"success": True, "errors": []}, Accepted),
        ({"success": True, "errors": {"edit_failure_reason": "UNKNOWN_EDIT_ORDER_FAILURE_REASON"}}, Accepted),
        ({"success": False, "errors": [{"edit_failure_reason": "ORDER_NOT_FOUND"}]}, Rejected),
        ({"success": False, "errors": [{"preview_failure_reason": "PREVIEW_INSUFFICIENT_FUND"}]}, Rejected),
        ({"success": False}, Unknown),
        ({"success": True, "success_response": {"order_id": "another"}}, Unknown),
        ({}, Unknown),
    ],
)
def test_an_edit_says_price_and_total_size_and_is_judged_by_its_answer(body: dict[str, Any], kind: type) -> None:
    canned = Canned()
    canned.on("POST", "/orders/edit", reply(body))
    outcome = a_venue(canned).submit_edit(approved_edit(), OpenGate())
    assert type(outcome) is kind
    assert canned.calls[0].body == {"order_id": "venue-0001", "price": "59800", "size": "3"}


def test_E24_a_lost_edit_is_unknown_and_sent_once() -> None:
    canned = Canned()
    canned.on("POST", "/orders/edit", requests.exceptions.ReadTimeout("x"))
    assert isinstance(a_venue(canned).submit_edit(approved_edit(), OpenGate()), Unknown)
    assert len(canned.calls) == 1


def test_R1_a_shut_gate_stops_edits_and_closes_too() -> None:
    canned = Canned()
    venue = a_venue(canned)
    for outcome in (venue.submit_edit(approved_edit(), ShutGate()), venue.close_position(approved(), ShutGate())):
        assert isinstance(outcome, NotSent)
        assert outcome.reason == "kill_switch_engaged"
    assert canned.calls == []


def test_a_close_names_its_contracts_and_its_side_is_checked() -> None:
    canned = Canned()
    canned.on(
        "POST", "/orders/close_position", reply(taken(order_configuration={"market_market_ioc": {"base_size": "2"}}))
    )
    outcome = a_venue(canned).close_position(approved(), OpenGate())
    assert isinstance(outcome, Accepted)
    assert canned.calls[0].body == {"client_order_id": CLIENT, "product_id": BIP, "size": "2"}
    other = a_venue(canned).close_position(approved(side=Side.SELL), OpenGate())
    assert isinstance(other, Unknown)
    assert other.alarm


# --- over `responses`, through the library's own adapter --------------------------------------------


@responses.activate(assert_all_requests_are_fired=True)
def test_through_the_librarys_own_adapter_an_order_is_accepted() -> None:
    responses.post("http://127.0.0.1:9/api/v3/brokerage/orders", json=taken())
    outcome = a_venue(HTTPAdapter()).submit(approved(), OpenGate())
    assert isinstance(outcome, Accepted)


def test_the_latency_counts_from_the_first_byte_to_the_parsed_reply() -> None:
    clock = FakeClock()
    canned = Canned()

    def slow(call: Call) -> Answer:
        clock.advance(timedelta(milliseconds=42))
        return reply(taken())

    canned.on("POST", "/orders", slow)
    outcome = a_venue(canned, clock=clock).submit(approved(), OpenGate())
    assert isinstance(outcome, Accepted)
    assert outcome.latency_us == 42_000


def handled_meanwhile() -> BaseException:
    """A reply lost while a refused connection was being handled: the refusal says nothing about this request."""
    try:
        try:
            raise ConnectionRefusedError(111, "an earlier one")
        except ConnectionRefusedError:
            raise requests.exceptions.ReadTimeout("lost")  # noqa: B904 - the context is the point
    except requests.exceptions.ReadTimeout as lost:
        return lost


def test_N12_a_refusal_that_was_only_being_handled_proves_nothing() -> None:
    outcome, _ = placed(handled_meanwhile())
    assert isinstance(outcome, Unknown)
