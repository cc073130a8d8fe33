"""Orders, edits and closes on the gateway: sent once, and the outcome said no stronger than it is known."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import requests

from perpsctl.domain.ids import ClientOrderId
from perpsctl.domain.orders import (
    Accepted,
    ApprovedOrder,
    NotSent,
    OrderType,
    Rejected,
    Road,
    SubmitOutcome,
    TimeInForce,
    Unknown,
)
from perpsctl.domain.products import PriceStep
from perpsctl.domain.quantize import quantize
from perpsctl.domain.sides import Side
from perpsctl.wire.global_derivatives.errors import ERRORS, ErrorClass
from tests.builders import an_intent
from tests.unit.exchange.global_derivatives.parts import (
    BTC,
    LABEL,
    NOW_MS,
    TOKEN,
    Call,
    Gateway,
    Raw,
    Refusal,
    a_gateway,
    approved,
    approved_edit,
    btc,
    instrument_body,
    summary_body,
    taken,
    ticker_body,
)
from tests.unit.exchange.parts import NOW, FakeClock, OpenGate, ShutGate


def placed(answer: Any, **changes: Any) -> tuple[SubmitOutcome, Gateway]:
    venue, gateway = a_gateway()
    gateway.on("private/buy", answer)
    gateway.on("private/sell", answer)
    return venue.submit(approved(**changes), OpenGate()), gateway


# --- what is sent -------------------------------------------------------------------------------------


def test_I7_what_is_sent_is_what_was_approved_once_with_its_label_both_post_only_flags_and_an_end() -> None:
    outcome, gateway = placed(taken())
    assert isinstance(outcome, Accepted)
    assert (outcome.venue_order_id, outcome.order is not None, outcome.latency_us) == ("USDC-1", True, 0)
    (call,) = gateway.to("private/buy")
    assert call.params == {
        "instrument_name": BTC,
        "amount": Decimal("0.02"),
        "type": "limit",
        "label": LABEL,
        "price": Decimal("59900.5"),
        "time_in_force": "good_til_cancelled",
        "post_only": False,
        "reject_post_only": False,
        "reduce_only": False,
        "valid_until": NOW_MS + 5000,
    }
    assert call.target.endswith("/api/v2/private/buy")
    assert call.token == f"{TOKEN}-1"


def test_the_end_is_counted_on_the_venues_clock_however_ours_is_off() -> None:
    clock = FakeClock()
    venue, gateway = a_gateway(clock)
    gateway.on("public/get_time", NOW_MS + 40_000)
    gateway.on("private/buy", taken())
    venue.submit(approved(), OpenGate())
    assert gateway.to("private/buy")[0].params["valid_until"] == NOW_MS + 45_000


def test_the_venues_clock_is_measured_again_after_60_seconds_and_our_wall_clock_may_jump_meanwhile() -> None:
    clock = FakeClock()
    venue, gateway = a_gateway(clock)
    gateway.on("private/buy", lambda call: taken(label=call.params["label"]))
    venue.submit(approved(), OpenGate())
    clock.advance(timedelta(seconds=50))
    clock.at += timedelta(hours=1)  # the wall clock alone: the count of the venue's time goes on undisturbed
    venue.submit(approved(id="intent-00000002"), OpenGate())
    assert len(gateway.to("public/get_time")) == 1
    assert gateway.to("private/buy")[1].params["valid_until"] == NOW_MS + 55_000
    clock.advance(timedelta(seconds=11))
    venue.submit(approved(id="intent-00000003"), OpenGate())
    assert len(gateway.to("public/get_time")) == 2


def test_without_the_venues_clock_nothing_is_sent() -> None:
    venue, gateway = a_gateway()
    gateway.on("public/get_time", requests.ConnectionError("refused"))
    outcome = venue.submit(approved(), OpenGate())
    assert isinstance(outcome, NotSent)
    assert gateway.to("private/buy") == []


def test_post_only_is_always_both_flags_so_that_it_means_reject() -> None:
    outcome, gateway = placed(taken(post_only=True, reject_post_only=True), post_only=True)
    assert isinstance(outcome, Accepted)
    params = gateway.to("private/buy")[0].params
    assert (params["post_only"], params["reject_post_only"]) == (True, True)


@pytest.mark.parametrize(("tif", "word"), [(TimeInForce.IOC, "immediate_or_cancel"), (TimeInForce.FOK, "fill_or_kill")])
def test_time_in_force_travels_in_the_venues_words(tif: TimeInForce, word: str) -> None:
    outcome, gateway = placed(taken(time_in_force=word, order_state="cancelled"), tif=tif)
    assert isinstance(outcome, Accepted)
    assert gateway.to("private/buy")[0].params["time_in_force"] == word


def test_a_stop_limit_goes_out_with_its_trigger_and_a_waiting_order_is_accepted() -> None:
    answer = taken(order_type="stop_limit", order_state="untriggered", trigger_price=60100, filled_amount=...)
    outcome, gateway = placed(answer, type=OrderType.STOP_LIMIT, stop_price="60100")
    assert isinstance(outcome, Accepted)
    params = gateway.to("private/buy")[0].params
    assert (params["type"], params["trigger_price"], params["trigger"]) == ("stop_limit", 60100, "mark_price")


def test_a_market_order_is_reported_as_a_limit_and_accepted_all_the_same() -> None:
    answer = taken(
        original_order_type="market",
        price=60900,
        order_state="filled",
        filled_amount=0.02,
        time_in_force="immediate_or_cancel",
    )
    outcome, gateway = placed(answer, type=OrderType.MARKET, limit_price=None)
    assert isinstance(outcome, Accepted)
    assert outcome.order is not None
    assert outcome.order.limit_price is None
    assert "price" not in gateway.to("private/buy")[0].params


def test_numbers_leave_as_plain_digits_never_as_an_exponent_or_text() -> None:
    tiny = btc(price_steps=(PriceStep(above=Decimal(0), step=Decimal("0.0000001")),))
    venue, gateway = a_gateway()
    gateway.on("private/buy", taken(price=1e-7))
    venue.submit(approved(tiny, limit_price="0.0000001"), OpenGate())
    assert '"price":0.0000001' in gateway.to("private/buy")[0].text


def test_R1_a_shut_gate_is_not_sent_by_the_kill_switch() -> None:
    venue, gateway = a_gateway()
    outcome = venue.submit(approved(), ShutGate())
    assert outcome == NotSent(reason="kill_switch_engaged", evidence="engaged by a test")
    assert gateway.to("private/buy") == []


def test_I3_a_label_is_sent_once_because_the_venue_does_not_deduplicate() -> None:
    venue, gateway = a_gateway()
    gateway.on("private/buy", requests.ReadTimeout("late"))
    assert isinstance(venue.submit(approved(), OpenGate()), Unknown)
    again = venue.submit(approved(), OpenGate())
    assert isinstance(again, NotSent)
    assert again.reason == "label_used"
    assert len(gateway.to("private/buy")) == 1


# --- refused here, by name ------------------------------------------------------------------------------


def test_gtd_is_refused_with_the_reason_and_nothing_is_sent() -> None:
    order = approved(tif=TimeInForce.GTD, expires=NOW + timedelta(minutes=5))
    venue, gateway = a_gateway()
    outcome = venue.submit(order, OpenGate())
    assert isinstance(outcome, NotSent)
    assert outcome.reason == "gtd_not_offered"
    assert "good-til-time" in outcome.evidence
    assert gateway.calls == []


def test_a_label_over_64_characters_is_refused_by_name() -> None:
    order = approved()
    long = ApprovedOrder(order=order.order, client_order_id=ClientOrderId("x" * 65), judged_at=NOW)
    venue, gateway = a_gateway()
    outcome = venue.submit(long, OpenGate())
    assert isinstance(outcome, NotSent)
    assert outcome.reason == "label_too_long"
    assert gateway.calls == []


def off_grid(price: str = "100000.5", size: str = "0.02") -> ApprovedOrder:
    """On another grid than the venue's: as when the steps changed after the order was judged (M5)."""
    fine = btc(price_steps=(PriceStep(above=Decimal(0), step=Decimal("0.1")),), contract_size="0.00001")
    order = quantize(an_intent(id=LABEL, product_id=BTC, size=size, limit_price=price), fine)

    return ApprovedOrder(order=replace(order, product=btc()), client_order_id=ClientOrderId(LABEL), judged_at=NOW)


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (off_grid(price="100000.5"), "off_grid"),  # the step is 1 from 100,000 on
        (off_grid(price="59900.5", size="0.00015"), "off_grid"),
        (off_grid(price="59900.5", size="0.00001"), "off_grid"),
    ],
)
def test_off_step_prices_under_tick_size_steps_and_sizes_off_the_grid_are_refused_by_name(
    order: ApprovedOrder, reason: str
) -> None:
    venue, gateway = a_gateway()
    outcome = venue.submit(order, OpenGate())
    assert isinstance(outcome, NotSent)
    assert outcome.reason == reason
    assert gateway.calls == []


def test_a_size_below_the_smallest_order_is_refused_by_name() -> None:

    order = replace(approved(size="0.0001").order, product=btc(min_contracts="2"))
    venue, gateway = a_gateway()
    outcome = venue.submit(ApprovedOrder(order=order, client_order_id=ClientOrderId(LABEL), judged_at=NOW), OpenGate())
    assert isinstance(outcome, NotSent)
    assert outcome.reason == "size_rounds_to_zero"
    assert gateway.calls == []


def test_a_locked_account_stops_entries_by_name_and_no_way_out() -> None:
    venue, gateway = a_gateway()
    gateway.on("private/get_user_locks", [[{"currency": "USDC", "locked": True, "message": "compliance"}]])
    gateway.on("private/buy", taken())
    outcome = venue.submit(approved(), OpenGate())
    assert isinstance(outcome, NotSent)
    assert outcome.reason == "account_locked"
    assert "compliance" in outcome.evidence
    assert gateway.to("private/buy") == []
    gateway.on("private/sell", taken(direction="sell", reduce_only=True, time_in_force="immediate_or_cancel"))

    way_out = approved(side=Side.SELL, reduce_only=True, tif=TimeInForce.IOC, road=Road.EXIT, id="intent-exit-1")
    gateway.on(
        "private/sell",
        taken(direction="sell", reduce_only=True, time_in_force="immediate_or_cancel", label="intent-exit-1"),
    )
    assert isinstance(venue.submit(way_out, OpenGate()), Accepted)


@pytest.mark.parametrize(
    "told",
    [{}, [{}], [{"currency": "USDC"}], [{"locked": False}], {"currency": "USDC", "locked": False}, [{"locked": None}]],
)
def test_L5_locks_that_are_not_told_are_no_open_account(told: Any) -> None:
    """Found by the fuzzer: an object in the list's place was read as one row that says nothing, and that as no lock."""
    venue, gateway = a_gateway()
    gateway.on("private/get_user_locks", [told])
    gateway.on("private/buy", taken())
    outcome = venue.submit(approved(), OpenGate())
    assert isinstance(outcome, NotSent), outcome
    assert gateway.to("private/buy") == []


def test_a_margin_model_nobody_knows_stops_entries_by_name() -> None:
    venue, gateway = a_gateway()
    gateway.on("private/get_account_summaries", {"summaries": [summary_body(margin_model="experimental")]})
    venue.account()
    outcome = venue.submit(approved(), OpenGate())
    assert isinstance(outcome, NotSent)
    assert outcome.reason == "margin_model_unknown"
    assert gateway.to("private/buy") == []


def told_limits(gateway: Gateway) -> None:
    gateway.on("public/get_instrument", instrument_body())
    gateway.on("public/ticker", ticker_body())
    gateway.on("public/get_funding_rate_history", [[]])


def test_a_price_the_venue_would_clamp_is_refused_by_name_when_its_limits_are_known() -> None:
    venue, gateway = a_gateway()
    told_limits(gateway)
    venue.product(approved().order.product_id)
    outcome = venue.submit(approved(limit_price="60900.1"), OpenGate())
    assert isinstance(outcome, NotSent)
    assert outcome.reason == "price_beyond_limits"
    assert gateway.to("private/buy") == []


def test_I7_a_typed_order_that_only_reduces_is_not_moved_by_the_venue_either_and_the_exit_road_goes_on() -> None:
    venue, gateway = a_gateway()
    told_limits(gateway)
    venue.product(approved().order.product_id)
    typed = approved(limit_price="60900.1", reduce_only=True, tif=TimeInForce.IOC)
    outcome = venue.submit(typed, OpenGate())
    assert isinstance(outcome, NotSent)
    assert outcome.reason == "price_beyond_limits"
    assert gateway.to("private/buy") == []
    gateway.on("private/buy", taken(price=60900.1, reduce_only=True, time_in_force="immediate_or_cancel"))
    way_out = approved(limit_price="60900.1", reduce_only=True, tif=TimeInForce.IOC, road=Road.EXIT)
    assert isinstance(venue.submit(way_out, OpenGate()), Accepted)


# --- what the answer proves ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"price": 59900.4}, "price"),
        ({"amount": 0.03}, "size"),
        ({"direction": "sell"}, "side"),
        ({"instrument_name": "ETH_USDC-PERPETUAL"}, "product"),
        ({"label": "somebody-elses"}, "client order id"),
        ({"post_only": True}, "post-only"),
        ({"time_in_force": "good_til_day"}, "time in force"),
        ({"order_type": "stop_limit"}, "type"),
        ({"label": ...}, "client order id"),
    ],
)
def test_H10_an_echo_with_other_terms_is_unknown_and_an_alarm(changes: dict[str, Any], named: str) -> None:
    outcome, _ = placed(taken(**changes))
    assert isinstance(outcome, Unknown)
    assert outcome.alarm
    assert named in outcome.reason


def test_a_way_out_that_lost_its_reduce_only_is_unknown_and_an_alarm() -> None:
    outcome, _ = placed(taken(), reduce_only=True)
    assert isinstance(outcome, Unknown)
    assert "reduce-only" in outcome.reason


def test_a_way_out_whose_price_the_venue_drew_in_is_accepted_and_says_so_one_pushed_out_is_not() -> None:
    common: dict[str, Any] = {"reduce_only": True, "tif": TimeInForce.IOC}
    echo: dict[str, Any] = {"reduce_only": True, "time_in_force": "immediate_or_cancel", "order_state": "cancelled"}
    outcome, _ = placed(taken(price=59500, **echo), **common)
    assert isinstance(outcome, Accepted)
    assert "59500" in outcome.evidence
    pushed, _ = placed(taken(price=59950, **echo), **common)
    assert isinstance(pushed, Unknown)


@pytest.mark.parametrize("missing", ["order_id", "direction", "instrument_name", "amount"])
def test_an_echo_without_what_names_the_order_is_unknown(missing: str) -> None:
    outcome, _ = placed(taken(**{missing: ...}))
    assert isinstance(outcome, Unknown)


def test_an_order_the_venue_answers_as_rejected_is_rejected() -> None:
    outcome, _ = placed(taken(order_state="rejected", cancel_reason="pme_risk_reduction"))
    assert isinstance(outcome, Rejected)


def expected(kind: ErrorClass) -> type:
    return {
        ErrorClass.REPEAT: NotSent,
        ErrorClass.REFUSED: Rejected,
        ErrorClass.UNKNOWN: Unknown,
        ErrorClass.LOGIN: Rejected,
        ErrorClass.STOP: Rejected,
        ErrorClass.FINAL: Unknown,  # no answer to a new order
    }[kind]


@pytest.mark.parametrize("code", sorted(ERRORS))
def test_I4_every_code_ends_as_its_class_proves(code: int) -> None:
    outcome, gateway = placed(Refusal(code=code))
    fact = ERRORS[code]
    assert type(outcome) is expected(fact.for_writes)
    assert not isinstance(outcome, Accepted)
    assert outcome.reason == fact.name
    assert len(gateway.to("private/buy")) == (2 if fact.for_writes is ErrorClass.LOGIN else 1)


@pytest.mark.parametrize("status", [200, 400, 500])
def test_the_body_is_judged_and_not_the_http_status(status: int) -> None:
    outcome, _ = placed(Refusal(code=11054, message="post_only_reject", status=status))
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "post_only_reject"


def test_timed_out_is_known_by_its_word_and_proves_that_nothing_ran() -> None:
    outcome, _ = placed(Refusal(code=13888, message="timed_out"))
    assert isinstance(outcome, NotSent)
    assert outcome.reason == "timed_out"


def test_an_unknown_code_proves_nothing_about_a_write() -> None:
    outcome, _ = placed(Refusal(code=77777, message="order_not_executed"))
    assert isinstance(outcome, Unknown)


@pytest.mark.parametrize(
    "answer",
    [
        Raw(body=b"<html>502</html>", status=502, content_type="text/html"),
        Raw(body=b"<html>429</html>", status=429, content_type="text/html"),
        Raw(body=b"[]"),
        Raw(body=b"{}"),
        Raw(body=b""),
        Raw(body=b'{"jsonrpc":"2.0","id":1,"result":{"order":{}},"error":{"code":10009,"message":"x"}}'),
        Raw(body=b'{"jsonrpc":"2.0","error":{"code":10009,"message":"not_enough_funds"}}'),  # nobody's id
        requests.ReadTimeout("late"),
        requests.ConnectionError("reset"),
    ],
)
def test_N9_to_N23_whatever_is_no_reply_under_our_id_is_unknown(answer: Any) -> None:
    outcome, gateway = placed(answer)
    assert isinstance(outcome, Unknown)
    assert len(gateway.to("private/buy")) == 1


def test_N17_the_refusal_of_another_request_is_no_proof_about_ours() -> None:
    venue, gateway = a_gateway()
    gateway.on("private/buy", Refusal(code=10009, message="not_enough_funds"))
    gateway.ids = lambda call: call.id + (1 if call.method == "private/buy" else 0)
    assert isinstance(venue.submit(approved(), OpenGate()), Unknown)


def test_H8_a_reply_that_names_a_key_twice_is_unknown() -> None:
    def twice(call: Call) -> Raw:
        body = f'{{"jsonrpc":"2.0","id":{call.id},"error":{{"code":10009,"code":10001,"message":"x"}}}}'
        return Raw(body=body.encode())

    outcome, _ = placed(twice)
    assert isinstance(outcome, Unknown)


def connection_refused() -> Exception:
    from urllib3.connection import HTTPConnection
    from urllib3.exceptions import NewConnectionError

    return requests.ConnectionError(NewConnectionError(HTTPConnection("127.0.0.1"), "refused"))


def test_N10_a_connection_that_never_came_about_proves_that_nothing_was_sent() -> None:
    outcome, _ = placed(connection_refused())
    assert isinstance(outcome, NotSent)


# --- sessions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [13004, 13009, 10000])
def test_a_write_refused_for_its_session_is_repeated_once_with_a_new_one(code: int) -> None:
    outcome, gateway = placed([Refusal(code=code), taken()])
    assert isinstance(outcome, Accepted)
    first, second = gateway.to("private/buy")
    assert (first.token, second.token) == (f"{TOKEN}-1", f"{TOKEN}-2")
    assert first.params["label"] == second.params["label"]
    assert first.id != second.id


def test_a_session_refusal_under_another_id_repeats_nothing() -> None:
    venue, gateway = a_gateway()
    gateway.on("private/buy", Refusal(code=13009))
    gateway.ids = lambda call: None if call.method == "private/buy" else call.id
    assert isinstance(venue.submit(approved(), OpenGate()), Unknown)
    assert len(gateway.to("private/buy")) == 1


def test_R1_the_gate_is_asked_again_before_the_repeat() -> None:
    venue, gateway = a_gateway()
    gateway.on("private/buy", [Refusal(code=13009), taken()])
    gate = OpenGate()
    venue.submit(approved(), gate)
    assert (gate.entered, gate.left) == (2, 2)


# --- edits and closes ---------------------------------------------------------------------------------------


def edited(answer: Any) -> tuple[SubmitOutcome, Gateway]:
    venue, gateway = a_gateway()
    gateway.on("private/edit", answer)
    return venue.submit_edit(approved_edit(), OpenGate()), gateway


def test_an_edit_names_the_order_and_all_its_terms_and_ends() -> None:
    outcome, gateway = edited(taken(price=59800, amount=0.03, replaced=True))
    assert isinstance(outcome, Accepted)
    assert gateway.to("private/edit")[0].params == {
        "order_id": "USDC-1",
        "amount": Decimal("0.03"),
        "price": 59800,
        "post_only": False,
        "reject_post_only": False,
        "reduce_only": False,
        "valid_until": NOW_MS + 5000,
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"price": 59801},
        {"amount": 0.02},
        {"order_id": "USDC-2"},
        {"direction": "sell"},
        {"label": "another"},
        {"label": ""},
    ],
)
def test_H10_an_edit_answered_with_other_terms_is_unknown_and_an_alarm(changes: dict[str, Any]) -> None:
    outcome, _ = edited(taken(**({"price": 59800, "amount": 0.03} | changes)))
    assert isinstance(outcome, Unknown)
    assert outcome.alarm


@pytest.mark.parametrize("code", [10010, 11008, 11044])
def test_an_edit_of_a_final_order_is_rejected(code: int) -> None:
    outcome, _ = edited(Refusal(code=code))
    assert isinstance(outcome, Rejected)


@pytest.mark.parametrize("code", [10004, 10029])
def test_an_edit_of_an_order_that_is_not_found_is_in_doubt(code: int) -> None:
    outcome, _ = edited(Refusal(code=code))
    assert isinstance(outcome, Unknown)


def test_a_close_is_a_labelled_market_order_that_only_reduces() -> None:
    venue, gateway = a_gateway()
    gateway.on(
        "private/sell",
        taken(
            direction="sell", reduce_only=True, original_order_type="market", order_state="filled", filled_amount=0.02
        ),
    )
    order = approved(side=Side.SELL, type=OrderType.MARKET, limit_price=None, reduce_only=True)
    assert isinstance(venue.close_position(order, OpenGate()), Accepted)
    params = gateway.to("private/sell")[0].params
    assert (params["type"], params["reduce_only"], params["label"]) == ("market", True, LABEL)


def test_a_close_that_could_open_something_is_not_sent() -> None:
    venue, gateway = a_gateway()
    outcome = venue.close_position(approved(), OpenGate())
    assert isinstance(outcome, NotSent)
    assert gateway.calls == []


def test_H10_an_entry_whose_price_the_venue_drew_in_is_unknown_although_it_asks_for_less() -> None:
    echo = taken(price=59500, time_in_force="immediate_or_cancel", order_state="cancelled")
    outcome, _ = placed(echo, tif=TimeInForce.IOC)
    assert isinstance(outcome, Unknown)
    assert outcome.alarm
