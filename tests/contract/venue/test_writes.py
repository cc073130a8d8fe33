"""What a venue does: every order configuration, edits, cancels, closes and the search, judged by the exchange's own book."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from types import TracebackType
from typing import Any

import pytest

from perpsctl.domain.ids import ProductId, VenueOrderId
from perpsctl.domain.orders import (
    Accepted,
    NotSent,
    OrderStatus,
    OrderType,
    Rejected,
    TimeInForce,
    Unknown,
)
from perpsctl.domain.ports import GateShut
from perpsctl.domain.sides import Side
from tests.contract.venue.scene import Rows, Scene

LIMIT, MARKET, STOP = OrderType.LIMIT, OrderType.MARKET, OrderType.STOP_LIMIT
GTC, GTD, IOC, FOK = TimeInForce.GTC, TimeInForce.GTD, TimeInForce.IOC, TimeInForce.FOK
NOBODY = VenueOrderId("11111111-2222-3333-4444-555555555555")
THIN: dict[str, Rows] = {
    "bids": [("59990", "0.02"), ("59980", "0.09")],
    "asks": [("60010", "0.02"), ("60020", "0.09")],
}


@dataclass(frozen=True)
class Story:
    """Terms of an order on the thin book, and how it must stand at once."""

    name: str
    terms: dict[str, Any]
    status: OrderStatus
    filled: str
    more: dict[str, Any] = field(default_factory=dict)  # further facts read back


STORIES = (
    Story("limit gtc rests", {"price": "59000"}, OrderStatus.OPEN, "0"),
    Story("limit gtc crosses", {"price": "60010", "size": "0.02"}, OrderStatus.FILLED, "0.02"),
    Story("limit gtc fills in part", {"price": "60010", "size": "0.05"}, OrderStatus.OPEN, "0.02"),
    Story("sell rests", {"price": "61000", "side": Side.SELL}, OrderStatus.OPEN, "0"),
    Story("sell crosses", {"price": "59980", "side": Side.SELL, "size": "0.05"}, OrderStatus.FILLED, "0.05"),
    Story("post-only rests", {"price": "59000", "post_only": True}, OrderStatus.OPEN, "0", {"post_only": True}),
    Story("gtd rests", {"tif": GTD, "expires_in": timedelta(minutes=2)}, OrderStatus.OPEN, "0"),
    Story("gtd post-only", {"tif": GTD, "expires_in": timedelta(minutes=2), "post_only": True}, OrderStatus.OPEN, "0"),
    Story("ioc fills whole", {"tif": IOC, "price": "60020", "size": "0.03"}, OrderStatus.FILLED, "0.03"),
    Story("ioc fills in part", {"tif": IOC, "price": "60010", "size": "0.05"}, OrderStatus.CANCELLED, "0.02"),
    Story("ioc fills nothing", {"tif": IOC, "price": "60000"}, OrderStatus.CANCELLED, "0"),
    Story("fok fills whole", {"tif": FOK, "price": "60020", "size": "0.11"}, OrderStatus.FILLED, "0.11"),
    Story("fok fills nothing", {"tif": FOK, "price": "60020", "size": "0.12"}, OrderStatus.CANCELLED, "0"),
    Story("market", {"kind": MARKET, "tif": IOC, "price": None, "size": "0.05"}, OrderStatus.FILLED, "0.05"),
    Story("stop-limit waits", {"kind": STOP, "price": "60800", "stop": "60700"}, OrderStatus.OPEN, "0"),
    Story(
        "stop-limit sell waits",
        {"kind": STOP, "price": "59000", "stop": "59100", "side": Side.SELL},
        OrderStatus.OPEN,
        "0",
    ),
    Story(
        "stop-limit gtd waits",
        {"kind": STOP, "price": "60800", "stop": "60700", "tif": GTD, "expires_in": timedelta(minutes=2)},
        OrderStatus.OPEN,
        "0",
    ),
)  # fmt: skip


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name.replace(" ", "-"))
def test_every_configuration_is_taken_once_and_reads_back_as_it_was_meant(scene: Scene, story: Story) -> None:
    if story.terms.get("tif") is GTD:
        scene.needs("native_gtd")
    scene.set_book(**THIN)
    approved = scene.order(**story.terms)
    outcome = scene.submit(approved)
    assert isinstance(outcome, Accepted), outcome
    assert outcome.latency_us is not None
    assert (scene.gate.entered, scene.creates(), scene.booked(approved)) == (1, 1, 1)

    order = scene.venue.order(outcome.venue_order_id)
    assert order is not None
    meant = approved.order.intent
    assert (order.client_order_id, order.product_id, order.side) == (
        approved.client_order_id,
        scene.product.product_id,
        meant.side,
    )
    assert (order.type, order.tif, order.size) == (meant.type, meant.tif, meant.size)
    assert (order.limit_price, order.stop_price, order.expires) == (meant.limit_price, meant.stop_price, meant.expires)
    assert (order.status, order.filled) == (story.status, Decimal(story.filled))
    for name, value in story.more.items():
        assert getattr(order, name) == value

    assert (order.venue_order_id in {o.venue_order_id for o in scene.venue.live_orders().orders}) is order.status.live
    sighting = scene.search(approved)
    assert sighting.contradicts == ""
    assert sighting.order is not None
    assert sighting.order.venue_order_id == order.venue_order_id


def test_a_stop_limit_wakes_at_its_stop(scene: Scene) -> None:
    approved = scene.order(kind=STOP, price="60600", stop="60400")
    assert isinstance(scene.submit(approved), Accepted)
    scene.set("price", product_id=scene.product.product_id, price="60500", hold=True)
    assert scene.until(lambda: scene.judge()["orders"][-1]["status"] == "FILLED", 3)
    found = scene.search(approved).order  # under another id where a stop becomes another order
    assert found is not None
    assert (found.status, found.filled) == (OrderStatus.FILLED, Decimal("0.01"))


def test_a_stop_limit_that_fired_answers_to_its_first_id_as_what_it_is_now(scene: Scene) -> None:
    order = scene.placed(kind=STOP, price="60060", stop="60050")
    scene.set("price", product_id=scene.product.product_id, price="60300", hold=True)
    now = scene.venue.order(order.venue_order_id)
    assert now is not None
    assert order.venue_order_id in (now.venue_order_id, now.succeeds)
    assert (now.client_order_id, now.type, now.status) == (order.client_order_id, STOP, OrderStatus.OPEN)
    assert {each.venue_order_id for each in scene.venue.live_orders().orders} == {now.venue_order_id}
    assert [result.accepted for result in scene.venue.cancel([now.venue_order_id])] == [True]
    after = scene.venue.order(order.venue_order_id)
    assert after is not None
    assert after.status is OrderStatus.CANCELLED


def test_a_gtd_order_expires_at_the_venue(scene: Scene) -> None:
    scene.needs("native_gtd")
    order = scene.placed(tif=GTD, expires_in=timedelta(seconds=2))
    assert scene.until(lambda: scene.judge()["orders"][0]["status"] == "EXPIRED", 4)
    found = scene.venue.order(order.venue_order_id)
    assert found is not None
    assert found.status is OrderStatus.EXPIRED
    assert scene.venue.live_orders().orders == ()


REFUSALS: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
    ("post-only that would take", {"post_only": True, "price": "60500"}, {}),
    ("more than the account can carry", {"size": "50"}, {}),
    ("cancel-only product", {}, {"cancel_only": True}),
    ("disabled product", {}, {"is_disabled": True}),
    ("plain limit on a post-only product", {}, {"post_only": True}),
    ("market on a limit-only product", {"kind": MARKET, "tif": IOC, "price": None}, {"limit_only": True}),
)


@pytest.mark.parametrize(("terms", "status"), [r[1:] for r in REFUSALS], ids=[r[0].replace(" ", "-") for r in REFUSALS])
def test_e3_what_the_venue_refuses_is_rejected_in_its_own_words_and_nothing_rests(
    scene: Scene, terms: dict[str, Any], status: dict[str, Any]
) -> None:
    if not status.keys() <= scene.ground.modes:
        pytest.skip("a product of this venue has no such mode")
    scene.set("balance", **{"cbi_usd": "0", scene.ground.wallet: "5000"})
    if status:
        scene.set("status", product_id=scene.product.product_id, **status)
    approved = scene.order(**terms)
    outcome = scene.submit(approved)
    assert isinstance(outcome, Rejected), outcome
    assert outcome.reason
    assert (scene.creates(), scene.booked(approved)) == (1, 0)
    assert scene.search(approved).order is None


def test_R1_behind_a_shut_gate_not_a_byte_is_sent(scene: Scene) -> None:
    class Shut:
        def __enter__(self) -> None:
            raise GateShut("engaged by a test")

        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
        ) -> None: ...

    approved = scene.order()
    outcome = scene.submit(approved, gate=Shut())
    assert isinstance(outcome, NotSent)
    assert outcome.reason == "kill_switch_engaged"
    assert (scene.creates(), scene.booked(approved)) == (0, 0)


# --- the same id again ----------------------------------------------------------------------------------


def test_I1_the_same_order_again_is_the_first_order_and_none_besides(scene: Scene) -> None:
    approved = scene.order()
    first = scene.submit(approved)
    again = scene.submit(approved)
    assert isinstance(first, Accepted)
    assert scene.booked(approved) == 1
    if scene.venue.capabilities.dedupes_client_id:
        assert isinstance(again, Accepted)
        assert again.venue_order_id == first.venue_order_id
        assert again.order is not None  # fetched and compared
    else:
        assert isinstance(again, NotSent)
        assert scene.creates() == 1


def test_I1_H10_other_terms_under_a_known_id_are_unknown_and_alarmed_or_never_leave(scene: Scene) -> None:
    approved = scene.order()
    scene.submit(approved)
    other = replace(scene.order(price="58000", size="0.05"), client_order_id=approved.client_order_id)
    outcome = scene.submit(other)
    assert scene.booked(approved) == 1
    if scene.venue.capabilities.dedupes_client_id:
        assert isinstance(outcome, Unknown)
        assert outcome.alarm
    else:
        assert isinstance(outcome, NotSent)
        assert scene.creates() == 1


def test_I1_another_process_that_repeats_an_id_places_nothing(scene: Scene) -> None:
    scene.needs("dedupes_client_id")  # elsewhere only the journal stands in the way
    approved = scene.order()
    scene.submit(approved)
    outcome = scene.another_venue().submit(approved, scene.gate)
    assert not isinstance(outcome, Rejected | NotSent)
    assert scene.booked(approved) == 1


def test_e5_a_repeat_the_venue_refuses_as_duplicate_places_nothing(scene: Scene) -> None:
    approved = scene.order()
    scene.submit(approved)
    scene.arm("E5")
    outcome = scene.submit(approved)
    assert not isinstance(outcome, Accepted)
    assert scene.booked(approved) == 1


# --- edits ----------------------------------------------------------------------------------------------


def test_an_edit_changes_price_and_size_under_the_same_id(scene: Scene) -> None:
    order = scene.placed()
    outcome = scene.edit(order, price="58500", size="0.03")
    assert isinstance(outcome, Accepted), outcome
    assert outcome.venue_order_id == order.venue_order_id
    found = scene.venue.order(order.venue_order_id)
    assert found is not None
    assert (found.limit_price, found.size, found.status) == (Decimal(58500), Decimal("0.03"), OrderStatus.OPEN)
    assert len(scene.judge()["orders"]) == 1


def test_an_edit_of_an_order_that_is_gone_is_rejected_and_brings_nothing_back(scene: Scene) -> None:
    order = scene.placed()
    scene.venue.cancel([order.venue_order_id])
    outcome = scene.edit(order, price="58500")
    assert isinstance(outcome, Rejected), outcome
    assert [each["status"] for each in scene.judge()["orders"]] == ["CANCELLED"]


# --- cancels --------------------------------------------------------------------------------------------


def test_a_cancel_names_each_order_in_the_order_asked_and_what_is_gone_reads_as_gone(scene: Scene) -> None:
    orders = [scene.placed(price=price) for price in ("59000", "58000", "57000")]
    asked = [orders[2].venue_order_id, NOBODY, orders[0].venue_order_id]
    results = scene.venue.cancel(asked)
    assert [result.venue_order_id for result in results] == asked
    assert [result.accepted for result in results] == [True, False, True]
    assert results[1].reason
    statuses = {each["order_id"]: each["status"] for each in scene.judge()["orders"]}
    assert [statuses[order.venue_order_id] for order in orders] == ["CANCELLED", "OPEN", "CANCELLED"]
    assert {order.venue_order_id for order in scene.venue.live_orders().orders} == {orders[1].venue_order_id}


def test_more_cancels_than_a_batch_holds_are_asked_in_batches(scene: Scene) -> None:
    order = scene.placed()
    asked = [VenueOrderId(f"11111111-2222-3333-4444-{n:012d}") for n in range(120)]
    asked.insert(110, order.venue_order_id)
    results = scene.venue.cancel(asked)
    assert [result.venue_order_id for result in results] == asked
    assert [result.venue_order_id for result in results if result.accepted] == [order.venue_order_id]
    batch = scene.venue.capabilities.cancel_batch
    if batch > 1:  # one by one, an id nobody knows is refused before the exchange notes it
        heard = [each for each in scene.judge()["requests"] if each["operation"] == "cancel_orders"]
        assert len(heard) == -(-len(asked) // batch)


def test_a_second_cancel_of_the_same_order_does_no_harm(scene: Scene) -> None:
    order = scene.placed()
    scene.venue.cancel([order.venue_order_id])
    scene.venue.cancel([order.venue_order_id])
    assert [each["status"] for each in scene.judge()["orders"]] == ["CANCELLED"]


def test_one_call_cancels_every_order_of_every_source_or_says_that_the_venue_has_none(scene: Scene) -> None:
    ours = scene.placed(price="58000")
    theirs = scene.inject("somebody", "UNKNOWN_PLACEMENT_SOURCE")
    count = scene.venue.cancel_all(None)
    live = {each["order_id"] for each in scene.judge()["orders"] if each["status"] == "OPEN"}
    assert (count, live) == ((2, set()) if count is not None else (None, {ours.venue_order_id, theirs}))
    assert {order.venue_order_id for order in scene.venue.live_orders().orders} == live


def test_one_call_for_one_product_leaves_the_others(scene: Scene) -> None:
    order = scene.placed(price="58000")
    count = scene.venue.cancel_all(ProductId(scene.ground.other_id))
    assert count in (0, None)
    assert [each["status"] for each in scene.judge()["orders"]] == ["OPEN"]
    if count is not None:
        assert scene.venue.cancel_all(order.product_id) == 1
        assert [each["status"] for each in scene.judge()["orders"]] == ["CANCELLED"]


# --- close, preview, search -------------------------------------------------------------------------------


@pytest.mark.parametrize(("coin", "side"), [("0.03", Side.SELL), ("-0.03", Side.BUY)])
def test_the_venues_own_close_brings_a_position_to_zero(scene: Scene, coin: str, side: Side) -> None:
    scene.set_position(coin)
    approved = scene.order(
        kind=MARKET,
        tif=IOC,
        price=None,
        side=side,
        size="0.03",
        reduce_only=scene.venue.capabilities.native_reduce_only,
    )
    outcome = scene.venue.close_position(approved, scene.gate)
    assert isinstance(outcome, Accepted), outcome
    assert scene.judge()["positions"].get(scene.product.product_id, "0") in ("0", 0)
    assert scene.venue.positions().coin(scene.product.product_id) == 0


def test_a_close_without_a_position_opens_none(scene: Scene) -> None:
    approved = scene.order(
        kind=MARKET, tif=IOC, price=None, side=Side.SELL, reduce_only=scene.venue.capabilities.native_reduce_only
    )
    assert not isinstance(scene.venue.close_position(approved, scene.gate), Accepted)
    assert scene.venue.positions().positions == ()


def test_a_preview_tells_the_cost_and_places_nothing(scene: Scene) -> None:
    scene.set("balance", **{"cbi_usd": "0", scene.ground.wallet: "5000"})
    taken = scene.venue.preview(scene.order(price="60500", size="0.02").order)
    assert (taken.problems, taken.estimate) == ((), not scene.venue.capabilities.has_preview)
    assert taken.margin is not None
    assert taken.margin > 0
    assert (taken.commission is None) is taken.estimate
    assert taken.best_bid is not None
    assert taken.best_ask is not None
    refused = scene.venue.preview(scene.order(price="60500", size="50").order)
    assert refused.problems
    assert (scene.creates(), scene.judge()["orders"]) == (0, [])


def test_the_search_finds_what_rests_and_says_absent_of_what_never_came(scene: Scene) -> None:
    there, absent = scene.order(), scene.order(price="58000")
    scene.submit(there)
    found = scene.search(there, scene.another_venue())
    assert found.order is not None
    assert found.order.client_order_id == there.client_order_id
    missing = scene.search(absent, scene.another_venue())
    assert (missing.order, missing.contradicts) == (None, "")
    assert missing.listed_at <= scene.clock.now()


def test_H10_the_search_adopts_no_order_with_other_terms_under_our_id(scene: Scene) -> None:
    meant = scene.order(price="58000")
    scene.inject(meant.client_order_id, "RETAIL_SIMPLE", coin="0.05", price="59000")
    sighting = scene.search(meant)
    assert sighting.order is None
    assert sighting.contradicts
