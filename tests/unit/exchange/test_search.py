"""Looking for an order in doubt: every means, complete listings, and nothing adopted that contradicts."""

from datetime import UTC, datetime
from typing import Any

import pytest

from perpsctl.domain.errors import VenueSpokeStrangely, VenueUnreachable
from perpsctl.domain.ids import VenueOrderId
from perpsctl.domain.orders import EditIntent, OrderIntent, OrderType, Origin, TimeInForce
from perpsctl.domain.ports import Sighting, Sought
from perpsctl.domain.reports import IntentRecord, IntentStage
from perpsctl.exchange.advanced_trade.listings import SOURCES
from tests.builders import a_quantized, an_edit_intent, an_intent
from tests.unit.exchange.parts import (
    BIP,
    NOW,
    Answer,
    Canned,
    FakeClock,
    a_venue,
    fill_body,
    order_body,
    product_body,
    reply,
)
from tests.unit.exchange.test_reads import LIST, Shelf

CLIENT = "intent-00000001"


def sought(intent: OrderIntent | EditIntent | None = None, *, known: str | None = None) -> Sought:
    intent = intent or an_intent(id=CLIENT, limit_price="59000")
    order = a_quantized(intent) if isinstance(intent, OrderIntent) else None
    record = IntentRecord(
        intent=intent,
        stage=IntentStage.UNKNOWN,
        committed_at=NOW,
        sent_size=None if order is None else order.size,
        sent_price=None if order is None else order.limit_price,
        sent_stop=None if order is None else order.stop_price,
        denied=None,
        outcome=None,
        venue_order_id=None if known is None else VenueOrderId(known),
        order=None,
    )
    return Sought(record=record, sent_after=NOW)


def looked(
    *bodies: dict[str, Any], fills: tuple[dict[str, Any], ...] = (), what: Sought | None = None, **by_id: Answer
) -> tuple[Sighting, Canned]:
    canned = Canned()
    canned.on("GET", f"/products/{BIP}", reply(product_body()))
    canned.on("GET", LIST, Shelf(*bodies))
    canned.on("GET", "/orders/historical/fills", reply({"fills": list(fills), "cursor": ""}))
    for order_id, told in by_id.items():
        canned.on("GET", f"/orders/historical/{order_id}", told)
    return a_venue(canned, clock=FakeClock()).search(what or sought()), canned


def test_an_order_under_our_id_with_our_terms_is_found() -> None:
    sighting, canned = looked(order_body("found"), order_body("other", client_order_id="x"))
    assert sighting.order is not None
    assert sighting.order.venue_order_id == "found"
    assert sighting.contradicts == ""
    asked = [call.asks("order_placement_source")[0] for call in canned.to("GET", LIST)]
    assert sorted(asked) == sorted(SOURCES)
    assert all(not call.asks("order_status") for call in canned.to("GET", LIST))


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("status", ["PENDING", "QUEUED", "OPEN", "FILLED", "CANCELLED", "FAILED", "NEW_WORD"])
def test_it_is_found_whatever_its_source_and_state(source: str, status: str) -> None:
    sighting, _ = looked(order_body("found", order_placement_source=source, status=status))
    assert sighting.order is not None


def test_absence_is_told_with_what_was_read() -> None:
    sighting, _ = looked(order_body("other", client_order_id="someone-elses"))
    assert (sighting.order, sighting.contradicts) == (None, "")
    assert sighting.listed_at == NOW
    assert "1 orders on 3 pages" in sighting.evidence


def test_the_skew_of_clocks_is_allowed_for_when_listing() -> None:
    sighting, _ = looked(order_body("found", created_time="2026-11-22T11:59:10Z"))
    assert sighting.order is not None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"side": "SELL"}, "side"),
        ({"product_id": "ETP-20DEC30-CDE"}, "product"),
        ({"order_configuration": {"limit_limit_gtc": {"base_size": "2", "limit_price": "59000"}}}, "size"),
        ({"order_configuration": {"limit_limit_gtc": {"base_size": "1", "limit_price": "59005"}}}, "price"),
        ({"order_configuration": {"limit_limit_gtc": {"base_size": "1", "limit_price": "58995"}}}, "price"),
        ({"order_configuration": {"market_market_ioc": {"base_size": "1"}}}, "price"),
        ({"product_id": "BTC-USD", "product_type": "SPOT"}, "carries our id"),
        ({"time_in_force": "IMMEDIATE_OR_CANCEL"}, "time in force ioc instead of gtc"),
        (
            {"order_configuration": {"limit_limit_gtc": {"base_size": "1", "limit_price": "59000", "post_only": True}}},
            "post-only True instead of False",
        ),
        ({"order_type": "STOP_LIMIT"}, "type stop-limit instead of limit"),
    ],
)
def test_H10_an_order_under_our_id_with_other_terms_is_reported_and_not_adopted(
    changes: dict[str, Any], said: str
) -> None:
    canned = Canned()
    canned.on("GET", f"/products/{BIP}", reply(product_body()))
    canned.on("GET", "/products/ETP-20DEC30-CDE", reply(product_body("ETP-20DEC30-CDE")))
    canned.on("GET", LIST, Shelf(order_body("odd", **changes)))
    canned.on("GET", "/orders/historical/fills", reply({"fills": [], "cursor": ""}))
    sighting = a_venue(canned).search(sought())
    assert sighting.order is None
    assert said in sighting.contradicts


def test_H10_an_older_order_under_our_id_is_not_the_one_we_sent() -> None:
    body = order_body("old", created_time="2026-11-22T11:00:00Z")
    sighting, _ = looked(what=sought(known="old"), old=reply({"order": body}))
    assert sighting.order is None
    assert "time of creation" in sighting.contradicts


def test_I1_two_orders_under_one_id_are_reported() -> None:
    sighting, _ = looked(order_body("a"), order_body("b", order_placement_source="RETAIL_SIMPLE"))
    assert sighting.order is None
    assert "more than one order carries our id: a, b" in sighting.contradicts


def test_a_strategys_price_may_stand_on_the_grid_on_our_safe_side() -> None:
    intent = an_intent(id=CLIENT, limit_price="59003", origin=Origin.STRATEGY)
    sighting, _ = looked(order_body("found"), what=sought(intent))  # 59000: a buy goes down to the step of 5
    assert sighting.order is not None
    intent = an_intent(id=CLIENT, limit_price="59008", origin=Origin.STRATEGY)
    sighting, _ = looked(order_body("found"), what=sought(intent))  # 59005 was sent: the next step is another order
    assert sighting.order is None
    assert "price 59000 instead of 59005" in sighting.contradicts


def test_H10_a_stop_with_another_trigger_or_another_expiry_is_not_ours() -> None:
    terms = {"base_size": "1", "limit_price": "59100", "stop_price": "59000", "end_time": "2026-11-22T13:00:00Z"}
    intent = an_intent(
        id=CLIENT, type=OrderType.STOP_LIMIT, tif=TimeInForce.GTD, limit_price="59100", stop_price="59000",
        expires=datetime(2026, 11, 22, 13, 0, 0, 400_000, tzinfo=UTC),
    )  # fmt: skip

    def seen(**changed: str) -> Sighting:
        body = order_body(
            order_type="STOP_LIMIT", time_in_force="GOOD_UNTIL_DATE_TIME",
            order_configuration={"stop_limit_stop_limit_gtd": {**terms, **changed}},
        )  # fmt: skip
        return looked(body, what=sought(intent))[0]

    assert seen().contradicts == ""
    assert "stop price 58000 instead of 59000" in seen(stop_price="58000").contradicts
    assert "expiry" in seen(end_time="2026-11-22T14:00:00Z").contradicts


def test_a_part_the_venue_does_not_tell_contradicts_nothing() -> None:
    intent = an_intent(id=CLIENT, limit_price="59000", post_only=True)
    untold = {"order_configuration": {"limit_limit_gtc": {"base_size": "1", "limit_price": "59000"}}}
    sighting, _ = looked(order_body("found", time_in_force="", order_type="", **untold), what=sought(intent))
    assert sighting.order is not None, sighting


def test_E2_an_order_missing_from_the_lists_is_found_by_its_id() -> None:
    sighting, _ = looked(what=sought(known="found"), found=reply({"order": order_body("found")}))
    assert sighting.order is not None


def test_E2_an_order_known_by_id_that_the_venue_denies_is_looked_for_in_the_lists() -> None:
    gone = reply({"error": "NOT_FOUND", "message": "m"}, 404)
    sighting, _ = looked(order_body("renamed"), what=sought(known="gone"), gone=gone)
    assert sighting.order is not None
    assert sighting.order.venue_order_id == "renamed"


def test_E2_an_order_only_its_fills_tell_of_is_found() -> None:
    sighting, _ = looked(
        fills=(fill_body(order_id="hidden"),), hidden=reply({"order": order_body("hidden", status="FILLED")})
    )
    assert sighting.order is not None
    assert sighting.order.venue_order_id == "hidden"


def test_fills_of_others_prove_nothing() -> None:
    sighting, _ = looked(fills=(fill_body(order_id="x"),), x=reply({"order": order_body("x", client_order_id="y")}))
    assert sighting.order is None


@pytest.mark.parametrize("broken", ["orders", "fills", "hidden order"])
def test_L5_a_search_that_could_not_read_everything_raises(broken: str) -> None:
    canned = Canned()
    canned.on("GET", f"/products/{BIP}", reply(product_body()))
    canned.on("GET", LIST, reply({}, 500) if broken == "orders" else Shelf())
    fills: Answer = reply({"fills": [fill_body(order_id="h")], "cursor": ""})
    canned.on("GET", "/orders/historical/fills", reply({}) if broken == "fills" else fills)
    canned.on("GET", "/orders/historical/h", reply({}, 503))
    with pytest.raises((VenueUnreachable, VenueSpokeStrangely)):
        a_venue(canned).search(sought())


def test_an_edit_in_doubt_is_answered_with_its_order_as_it_stands() -> None:
    edit = an_edit_intent(venue_order_id="target")
    sighting, _ = looked(what=sought(edit), target=reply({"order": order_body("target")}))
    assert sighting.order is not None
    assert sighting.order.venue_order_id == "target"


def test_orders_older_than_the_send_and_the_margin_are_not_even_asked_for() -> None:
    _, canned = looked()
    starts = {call.asks("start_date")[0] for call in canned.to("GET", LIST)}
    assert starts == {"2026-11-22T11:59:00Z"}
