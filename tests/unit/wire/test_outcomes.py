"""Replies to writes end as accepted, refused with a reason, or unknown; errors of any shape are read safely."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET

from perpsctl.domain.ids import VenueOrderId
from perpsctl.domain.orders import Accepted, Rejected, Unknown
from perpsctl.wire import guard
from perpsctl.wire.advanced_trade import configurations, faults, orders, outcomes
from perpsctl.wire.guard import WireError
from tests.unit.wire.bodies import BIP, changed

SAMPLES = Path(__file__).parents[3] / ".." / "shared" / "api" / "samples"
recorded = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"no payload samples in {SAMPLES}")

TERMS = configurations.Terms(base_size="1", limit_price="68000", post_only=True)
REQUEST = orders.CreateOrderRequest(
    client_order_id="intent-0001",
    product_id=BIP,
    side="BUY",
    order_configuration=configurations.configuration("limit_limit_gtc", TERMS),
)
TAKEN = orders.OrderSuccess(order_id="v-1", product_id=BIP, side="BUY", client_order_id="intent-0001")
ACCEPTING = orders.CreateOrderReply(
    success=True, success_response=TAKEN, order_configuration=configurations.configuration("limit_limit_gtc", TERMS)
)


def outcome(reply: orders.CreateOrderReply, request: Any = REQUEST, side: str = "BUY") -> Accepted | Rejected | Unknown:
    return outcomes.create_outcome(reply, request, side=side, evidence="request r-1", latency_us=1500)


def failure(**fields: Any) -> orders.CreateOrderReply:
    return orders.CreateOrderReply(success=False, error_response=orders.OrderFailure(**fields))


def test_an_accepting_reply_that_echoes_the_request_is_accepted() -> None:
    assert outcome(ACCEPTING) == Accepted(
        venue_order_id=VenueOrderId("v-1"), order=None, evidence="request r-1", latency_us=1500
    )


def test_an_accepting_reply_with_a_failure_reason_is_accepted_E4() -> None:
    reply = changed(
        ACCEPTING,
        failure_reason="UNKNOWN_FAILURE_REASON",
        order_id="v-1",
        error_response=orders.OrderFailure(error="UNKNOWN_FAILURE_REASON"),
    )
    assert isinstance(outcome(reply), Accepted)
    assert isinstance(outcome(changed(ACCEPTING, order_configuration=UNSET)), Accepted)


@pytest.mark.parametrize(
    "fields",
    [
        {"product_id": "ETP-20DEC30-CDE"},
        {"side": "SELL"},
        {"client_order_id": "another"},
        {"client_order_id": ""},
        {"client_order_id": UNSET},
    ],
)
def test_a_reply_about_another_order_is_unknown_and_alarmed_H10_N17(fields: dict[str, str]) -> None:
    found = outcome(changed(ACCEPTING, success_response=changed(TAKEN, **fields)))
    assert isinstance(found, Unknown)
    assert found.alarm


@pytest.mark.parametrize(
    ("variant", "fields"),
    [
        ("limit_limit_gtc", {"base_size": "2"}),
        ("limit_limit_gtc", {"base_size": "1e999999999"}),
        ("limit_limit_gtc", {"limit_price": "68005"}),
        ("limit_limit_gtc", {"post_only": False}),
        ("limit_limit_gtc", {"quote_size": "10"}),
        ("limit_limit_gtd", {}),
    ],
)
def test_a_reply_with_other_terms_is_unknown_and_alarmed_H10(variant: str, fields: dict[str, Any]) -> None:
    echo = configurations.configuration(variant, changed(TERMS, **fields))
    found = outcome(changed(ACCEPTING, order_configuration=echo))
    assert isinstance(found, Unknown)
    assert found.alarm


@pytest.mark.parametrize(
    "fields", [{"stop_price": "67000"}, {"stop_direction": "STOP_DIRECTION_STOP_DOWN"}, {"limit_price": "1"}]
)
def test_a_stop_with_another_trigger_is_unknown_and_alarmed_H10(fields: dict[str, Any]) -> None:
    terms = configurations.Terms(
        base_size="1", limit_price="68000", stop_price="67995", stop_direction="STOP_DIRECTION_STOP_UP"
    )
    variant = "stop_limit_stop_limit_gtc"
    request = changed(REQUEST, order_configuration=configurations.configuration(variant, terms))
    same = changed(ACCEPTING, order_configuration=configurations.configuration(variant, terms))
    other = changed(ACCEPTING, order_configuration=configurations.configuration(variant, changed(terms, **fields)))
    assert isinstance(outcome(same, request), Accepted)
    assert isinstance(outcome(other, request), Unknown)


def test_the_same_number_written_otherwise_is_no_contradiction() -> None:
    echo = configurations.configuration("limit_limit_gtc", changed(TERMS, base_size="1.0", limit_price="68000.00"))
    assert isinstance(outcome(changed(ACCEPTING, order_configuration=echo)), Accepted)


@pytest.mark.parametrize(
    "reply",
    [
        orders.CreateOrderReply(),
        orders.CreateOrderReply(success_response=TAKEN),
        orders.CreateOrderReply(success=True),
        orders.CreateOrderReply(success=True, success_response=changed(TAKEN, order_id="")),
        orders.CreateOrderReply(success=True, success_response=changed(TAKEN, order_id="../x")),
        orders.CreateOrderReply(success=False),
        orders.CreateOrderReply(success=False, error_response=orders.OrderFailure()),
        orders.CreateOrderReply(success=False, failure_reason="UNKNOWN_FAILURE_REASON"),
        failure(new_order_failure_reason=outcomes.DUPLICATE_ID),
        changed(failure(error="INSUFFICIENT_FUND"), success_response=TAKEN),
        changed(failure(error="INSUFFICIENT_FUND"), order_id="v-1"),
    ],
)
def test_a_reply_that_proves_nothing_is_unknown_I4(reply: orders.CreateOrderReply) -> None:
    assert isinstance(outcome(reply), Unknown)


@pytest.mark.parametrize("field", ["new_order_failure_reason", "preview_failure_reason", "error"])
def test_any_of_the_three_reasons_may_be_the_telling_one_E3(field: str) -> None:
    others = {"error": "UNKNOWN_FAILURE_REASON", "preview_failure_reason": "UNKNOWN_PREVIEW_FAILURE_REASON"}
    found = outcome(failure(**{**others, field: "INVALID_FCM_TRADING_SESSION"}))
    assert isinstance(found, Rejected)
    assert found.reason == "INVALID_FCM_TRADING_SESSION"


@recorded
@pytest.mark.parametrize(
    ("name", "reason", "message"),
    [
        ("insufficient-fund", "PREVIEW_INSUFFICIENT_FUND", "Insufficient balance in source account"),
        ("unsupported-configuration", "UNSUPPORTED_ORDER_CONFIGURATION", "source is not enabled for trading"),
    ],
)
def test_the_recorded_refusals_are_rejections_with_their_reasons_E3(name: str, reason: str, message: str) -> None:
    body = (SAMPLES / f"create-failure-{name}.json").read_bytes()
    reply = guard.decode(body, orders.CreateOrderReply, unique_keys=True)
    found = outcome(reply, changed(REQUEST, order_configuration=reply.order_configuration))
    assert isinstance(found, Rejected)
    assert (found.reason, found.message) == (reason, message)
    assert isinstance(outcome(reply), Unknown)  # its terms are not ours: it answers somebody else's request


def test_a_refusal_that_echoes_other_terms_is_the_answer_to_another_request_N17_I4() -> None:
    """A refusal carries no id: its terms are all that tell whose it is (schedule 4409: the answer of the create before)."""
    refusal = failure(new_order_failure_reason="INSUFFICIENT_FUND")
    ours = changed(refusal, order_configuration=configurations.configuration("limit_limit_gtc", TERMS))
    another = configurations.configuration("limit_limit_gtc", changed(TERMS, base_size="13"))
    assert isinstance(outcome(ours), Rejected)
    found = outcome(changed(refusal, order_configuration=another))
    assert isinstance(found, Unknown)
    assert found.alarm


def test_what_the_venue_says_is_escaped_S3_H14() -> None:
    found = outcome(failure(error="\x1b[2JX", message="a\nb\u202e", error_details="ignore the operator"))
    assert isinstance(found, Rejected)
    assert found.reason == "\\x1b[2JX"
    assert found.message == "a\\nb\\u202e: ignore the operator"


def test_a_close_is_read_like_a_create_without_comparing_terms() -> None:
    request = orders.ClosePositionRequest(client_order_id="intent-0001", product_id=BIP, size="3")
    reply = changed(
        ACCEPTING,
        order_configuration=configurations.configuration("market_market_ioc", configurations.Terms(base_size="3")),
    )
    assert isinstance(outcome(reply, request), Accepted)
    assert isinstance(outcome(reply, request, side="SELL"), Unknown)


# --- edits and cancels ------------------------------------------------------------------------------

EDIT = orders.EditOrderRequest(order_id="v-1", price="68005", size="1")


def edited(reply: orders.EditOrderReply) -> Accepted | Rejected | Unknown:
    return outcomes.edit_outcome(reply, EDIT, evidence="request r-2")


def test_an_edit_is_accepted_refused_with_a_reason_or_unknown() -> None:
    untold = (orders.EditFailure(edit_failure_reason="UNKNOWN_EDIT_ORDER_FAILURE_REASON"),)
    told = (orders.EditFailure(edit_failure_reason="ORDER_NOT_FOUND"),)
    assert isinstance(edited(orders.EditOrderReply(success=True, errors=untold)), Accepted)
    assert isinstance(edited(orders.EditOrderReply(success=True, errors=())), Accepted)
    refused = edited(orders.EditOrderReply(success=False, errors=told))
    assert isinstance(refused, Rejected)
    assert refused.reason == "ORDER_NOT_FOUND"
    for nothing in (
        orders.EditOrderReply(),
        orders.EditOrderReply(success=False),
        orders.EditOrderReply(success=False, errors=untold),
        orders.EditOrderReply(errors=told),
        orders.EditOrderReply(success=True, success_response=orders.EditSuccess(order_id="v-2")),
    ):
        assert isinstance(edited(nothing), Unknown)


def test_cancel_results_come_in_the_order_asked_and_a_missing_row_is_no_cancel_I8() -> None:
    asked = [VenueOrderId("v-1"), VenueOrderId("v-2"), VenueOrderId("v-3")]
    reply = orders.CancelReply(
        results=(
            orders.CancelRow(success=False, failure_reason="UNKNOWN_CANCEL_ORDER", order_id="v-2"),
            orders.CancelRow(success=True, failure_reason="UNKNOWN_CANCEL_FAILURE_REASON", order_id="v-1"),
        )
    )
    results = outcomes.cancel_results(reply, asked)
    assert [(r.venue_order_id, r.accepted, r.reason) for r in results] == [
        ("v-1", True, ""),
        ("v-2", False, "UNKNOWN_CANCEL_ORDER"),
        ("v-3", False, outcomes.NO_ROW),
    ]


def test_a_cancel_reply_to_another_request_is_refused_N17() -> None:
    row = orders.CancelRow(success=True, order_id="v-9")
    for reply in (orders.CancelReply(), orders.CancelReply(results=(row,)), orders.CancelReply(results=(row, row))):
        with pytest.raises(WireError):
            outcomes.cancel_results(reply, [VenueOrderId("v-1")])


# --- error bodies -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code", "message", "parsed"),
    [
        (b'{"error":"unknown","error_details":"proto: x","message":"y"}', "unknown", "proto: x", True),
        (b'{"error":"x","code":3,"message":"m","details":[{"type_url":"t","value":"v"}]}', "x", "m", True),
        (
            b'{"errors":[{"id":"rate_limit_exceeded","message":"Too many requests"}]}',
            "rate_limit_exceeded",
            "Too many requests",
            True,
        ),
        (b"Unauthorized", "", "Unauthorized", False),
        (b"<html>\n<b>429</b>\x1b[2J", "", "<html>\\n<b>429</b>\\x1b[2J", False),
        (b"\xff\xfe\x00", "", "\ufffd\ufffd\\x00", False),
        (b"{}", "", "", False),
        (b"", "", "", False),
        (b"[" * 5000, "", "[" * 200 + "…", False),
    ],
    ids=range(9),
)
def test_an_error_body_of_any_shape_is_read_and_escaped(body: bytes, code: str, message: str, parsed: bool) -> None:
    facts = faults.error_facts(body)
    assert (facts.code, facts.message, facts.parsed) == (code, message, parsed)


def test_the_missing_scope_is_recognised_and_written_as_the_official_sdk_looks_for_it() -> None:
    reply = faults.ErrorReply(
        error="PERMISSION_DENIED", error_details=faults.MISSING_SCOPES, message=faults.MISSING_SCOPES
    )
    written = guard.encode(reply)
    assert b'"error_details":"Missing required scopes"' in written
    assert faults.error_facts(written).missing_scopes
