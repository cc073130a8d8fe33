"""The life of an order as the venue tells it."""

from datetime import timedelta
from typing import Any

import pytest

from perpsctl.simulator.clock import ManualClock
from perpsctl.simulator.exchange import ANY_SOURCE, Exchange, InvalidArgument, NotFound
from perpsctl.simulator.options import CalendarMode, Dedupe, Options
from perpsctl.simulator.orders import (
    ConfigKind,
    Configuration,
    EditRequest,
    FillFilter,
    OrderFilter,
    OrderStatus,
    OrderType,
    PlacementSource,
    Side,
    StopDirection,
    TriggerStatus,
)
from tests.unit.simulator.core.asking import BIP, ETP, START, D, a_request, placed, refused, still_market


def test_a_gtd_order_expires_at_its_end_time_to_the_microsecond(exchange: Exchange, clock: ManualClock) -> None:
    still_market(exchange)
    end = clock.now() + timedelta(seconds=120)
    order_id = placed(exchange.create(a_request(price=59000, kind=ConfigKind.LIMIT_GTD, end_time=end))).order_id
    clock.set(end - timedelta(microseconds=1))
    assert exchange.order(order_id).status is OrderStatus.OPEN
    clock.set(end)
    assert exchange.order(order_id).status is OrderStatus.EXPIRED
    clock.advance(3600)
    assert exchange.order(order_id).last_update_time == end


def test_a_gtd_order_that_expired_while_nobody_looked_was_not_filled_later(
    exchange: Exchange, clock: ManualClock
) -> None:
    exchange.control.set_price(BIP, D(60000), hold=True)
    end = clock.now() + timedelta(seconds=5)
    order_id = placed(exchange.create(a_request(price=59900, kind=ConfigKind.LIMIT_GTD, end_time=end))).order_id
    clock.advance(10)
    exchange.control.set_price(BIP, D(59000), hold=True)
    assert exchange.order(order_id).status is OrderStatus.EXPIRED


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"end_time": None}, "GTD_ORDERS_MUST_HAVE_END_TIME"),
        ({"end_time": START - timedelta(seconds=1)}, "END_TIME_IS_IN_THE_PAST"),
        ({"end_time": START + timedelta(days=3000)}, "END_TIME_AFTER_CONTRACT_EXPIRATION"),
    ],
)
def test_bad_end_times_are_refused(exchange: Exchange, terms: dict[str, Any], reason: str) -> None:
    assert refused(exchange.create(a_request(price=60000, kind=ConfigKind.LIMIT_GTD, **terms))).reason == reason


@pytest.mark.parametrize(
    ("asked", "preview_reason"),
    [
        ({"size": "0"}, "PREVIEW_INVALID_BASE_SIZE_TOO_SMALL"),
        ({"size": "5001"}, "PREVIEW_INVALID_BASE_SIZE_TOO_LARGE"),
        ({"size": "1.5"}, "PREVIEW_INVALID_SIZE_PRECISION"),
        ({"price": 60001}, "PREVIEW_INVALID_PRICE_PRECISION"),
        ({"price": 0}, "PREVIEW_INVALID_LIMIT_PRICE"),
        ({"price": 60000, "reduce_only": True}, "PREVIEW_REDUCE_ONLY_NOT_ALLOWED_ON_VENUE"),
        ({"product": "NOPE"}, "PREVIEW_INVALID_PRODUCT_ID"),
        ({"product": "BTC-USD"}, "PREVIEW_UNTRADABLE_PRODUCT"),
        ({"size": 5000, "side": Side.SELL}, "PREVIEW_INSUFFICIENT_FUNDS_FOR_FUTURES"),
    ],
)
def test_create_and_preview_refuse_for_the_same_reason(
    exchange: Exchange, asked: dict[str, object], preview_reason: str
) -> None:
    request = a_request(**asked)  # type: ignore[arg-type]
    assert refused(exchange.create(request)).preview_reason == preview_reason
    assert exchange.preview(request).errors == (preview_reason,)
    assert exchange.judge_view().orders == ()


@pytest.mark.parametrize("kind", [ConfigKind.TWAP_GTD, ConfigKind.SCALED_GTC])
def test_unsupported_configurations_are_refused_by_name(exchange: Exchange, kind: ConfigKind) -> None:
    assert refused(exchange.create(a_request(price=60000, kind=kind))).reason == "UNSUPPORTED_ORDER_CONFIGURATION"


@pytest.mark.parametrize(
    ("flag", "reason"),
    [
        ("cancel_only", "ORDER_ENTRY_DISABLED"),
        ("limit_only", "ORDER_ENTRY_DISABLED"),
        ("post_only", "ORDER_ENTRY_DISABLED"),
        ("trading_disabled", "TRADING_DISABLED"),
        ("is_disabled", "UNTRADABLE_PRODUCT"),
        ("view_only", "UNTRADABLE_PRODUCT"),
        ("auction_mode", "PRODUCT_TRADING_HALTED"),
        ("maintenance", "INVALID_FCM_TRADING_SESSION"),
        ("session_closed", "FUTURES_AFTER_HOUR_INVALID_ORDER_TYPE"),
    ],
)
def test_each_status_flag_refuses_a_market_order_and_lets_it_pass_when_lifted(
    exchange: Exchange, flag: str, reason: str
) -> None:
    exchange.control.set_status(BIP, **{flag: True})
    assert refused(exchange.create(a_request())).reason == reason
    exchange.control.set_status(BIP, **{flag: False})
    placed(exchange.create(a_request()))


def test_an_order_taken_in_a_closed_session_is_queued_until_it_opens(exchange: Exchange, clock: ManualClock) -> None:
    exchange.control.expire_session(BIP, closed=True)
    order_id = placed(exchange.create(a_request(price=75000))).order_id
    assert exchange.order(order_id).status is OrderStatus.QUEUED
    assert exchange.product(BIP).session is not None
    exchange.control.expire_session(BIP, closed=False)
    assert exchange.order(order_id).status is OrderStatus.FILLED


def test_a_closed_session_refuses_orders_where_after_hours_entry_is_off(exchange: Exchange) -> None:
    exchange.control.set_status(BIP, session_closed=True, after_hours_order_entry_disabled=True)
    assert refused(exchange.create(a_request(price=60000))).reason == "INVALID_FCM_TRADING_SESSION"


def test_a_working_order_cannot_be_cancelled_while_the_session_is_closed_but_a_queued_one_can(
    exchange: Exchange,
) -> None:
    working = placed(exchange.create(a_request(price=50000))).order_id
    exchange.control.set_status(BIP, session_closed=True)
    queued = placed(exchange.create(a_request(price=50000))).order_id
    results = exchange.cancel([working, queued])
    assert [result.failure_reason for result in results] == [
        "INVALID_CANCEL_FCM_TRADING_SESSION",
        "UNKNOWN_CANCEL_FAILURE_REASON",
    ]


def test_the_weekly_break_of_the_venue_queues_and_releases_orders() -> None:
    clock = ManualClock(START.replace(day=27, hour=21, minute=59))  # Friday 16:59 ET
    exchange = Exchange(clock, Options(calendar=CalendarMode.VENUE))
    clock.advance(120)
    order_id = placed(exchange.create(a_request(price=75000))).order_id
    assert exchange.order(order_id).status is OrderStatus.QUEUED
    clock.set(START.replace(day=27, hour=23, minute=0, second=0))  # 18:00 ET
    assert exchange.order(order_id).status is OrderStatus.FILLED
    assert exchange.order(order_id).last_fill_time == clock.now()


@pytest.mark.parametrize(
    ("mode", "seconds", "orders"),
    [
        (Dedupe.FOREVER, 0, 1),
        (Dedupe.FOREVER, 86_400, 1),
        (Dedupe.SIXTY_SECONDS, 59, 1),
        (Dedupe.SIXTY_SECONDS, 60, 2),
        (Dedupe.NEVER, 0, 2),
    ],
)
def test_a_repeated_client_id_places_nothing_for_as_long_as_it_is_remembered(
    mode: Dedupe, seconds: int, orders: int
) -> None:
    clock = ManualClock(START)
    exchange = Exchange(clock, Options(dedupe=mode))
    first = placed(exchange.create(a_request(client_order_id="same", price=50000)))
    clock.advance(seconds)
    repeat = placed(exchange.create(a_request(client_order_id="same", price=50005, side=Side.BUY, size=2)))
    view = exchange.judge_view()
    assert len(view.orders) == orders
    assert repeat.repeated is (orders == 1)
    assert (repeat.order_id == first.order_id) is (orders == 1)
    assert repeat.configuration.base_size == 2, "it echoes the repeat, not the first order"
    assert [request.answer for request in view.requests] == ["placed", "repeated" if orders == 1 else "placed"]


def test_a_refused_order_leaves_its_client_id_free(exchange: Exchange) -> None:
    refused(exchange.create(a_request(client_order_id="again", price=60001)))
    assert not placed(exchange.create(a_request(client_order_id="again", price=60000))).repeated


def test_cancels_answer_one_reason_per_id(exchange: Exchange) -> None:
    still_market(exchange)
    filled = placed(exchange.create(a_request())).order_id
    working = placed(exchange.create(a_request(price=59000))).order_id
    reasons = [r.failure_reason for r in exchange.cancel([filled, working, working, "no-such-order"])]
    assert reasons == [
        "ORDER_IS_FULLY_FILLED",
        "UNKNOWN_CANCEL_FAILURE_REASON",
        "DUPLICATE_CANCEL_REQUEST",
        "UNKNOWN_CANCEL_ORDER",
    ]
    assert exchange.cancel([working])[0].failure_reason == "INVALID_CANCEL_REQUEST"


def test_an_edit_keeps_the_id_counts_the_filled_part_and_is_remembered(exchange: Exchange) -> None:
    still_market(exchange)
    order_id = placed(exchange.create(a_request(price=59000, size=5))).order_id
    exchange.control.external_fill(order_id, D(2))
    assert (
        exchange.edit(EditRequest(order_id=order_id, size=D(2))).edit_failure_reason
        == "CANNOT_EDIT_TO_BELOW_FILLED_SIZE"
    )
    assert exchange.edit(EditRequest(order_id=order_id, price=D(59100), size=D(8))).success
    order = exchange.order(order_id)
    assert (order.size, order.configuration.limit_price, order.filled_size) == (D(8), D(59100), D(2))
    assert [(row.price, row.size) for row in order.edit_history] == [(D(59100), D(8))]
    assert exchange.edit(EditRequest(order_id=order_id)).edit_failure_reason == "EDIT_REQUEST_EQUAL_TO_ORIGINAL_REQUEST"


@pytest.mark.parametrize(
    ("edit", "keeps"),
    [({"size": D(9)}, True), ({"size": D(11)}, False), ({"price": D(59995)}, False)],
)
def test_an_edit_loses_its_place_in_the_queue_unless_the_size_only_falls(
    exchange: Exchange, clock: ManualClock, edit: dict[str, object], keeps: bool
) -> None:
    exchange.control.set_price(BIP, D(60000), hold=True)
    first = placed(exchange.create(a_request(price=60000, size=10))).order_id
    second = placed(exchange.create(a_request(price=60000, size=10))).order_id
    assert exchange.edit(EditRequest(order_id=first, **edit)).success  # type: ignore[arg-type]
    for _ in range(2000):
        clock.advance(milliseconds=250)
        if exchange.order(first).filled_size or exchange.order(second).filled_size:
            break
    assert bool(exchange.order(first).filled_size) is keeps
    assert bool(exchange.order(second).filled_size) is not keeps


def test_an_edit_across_the_spread_takes(exchange: Exchange) -> None:
    still_market(exchange)
    order_id = placed(exchange.create(a_request(price=59000))).order_id
    assert exchange.edit(EditRequest(order_id=order_id, price=D(60005))).success
    assert exchange.order(order_id).status is OrderStatus.FILLED


def test_only_gtc_orders_can_be_edited(exchange: Exchange) -> None:
    end = START + timedelta(hours=1)
    order_id = placed(exchange.create(a_request(price=50000, kind=ConfigKind.LIMIT_GTD, end_time=end))).order_id
    assert (
        exchange.edit(EditRequest(order_id=order_id, size=D(2))).edit_failure_reason
        == "ONLY_LIMIT_ORDER_EDITS_SUPPORTED"
    )


def test_a_stop_limit_waits_for_its_trigger_and_then_trades(exchange: Exchange, clock: ManualClock) -> None:
    exchange.control.set_price(BIP, D(60000), hold=True)
    terms: dict[str, Any] = {
        "kind": ConfigKind.STOP_LIMIT_GTC,
        "stop_price": D(60200),
        "stop_direction": StopDirection.UP,
    }
    order_id = placed(exchange.create(a_request(price=60400, **terms))).order_id
    assert exchange.order(order_id).trigger_status is TriggerStatus.STOP_PENDING
    clock.advance(5)
    assert exchange.order(order_id).status is OrderStatus.OPEN
    exchange.control.set_price(BIP, D(60300), hold=True)
    order = exchange.order(order_id)
    assert (order.status, order.trigger_status) == (OrderStatus.FILLED, TriggerStatus.STOP_TRIGGERED)


def test_a_stop_on_the_wrong_side_is_refused_with_the_recorded_pair_of_reasons(exchange: Exchange) -> None:
    exchange.control.set_price(BIP, D(60000), hold=True)
    terms: dict[str, Any] = {
        "kind": ConfigKind.STOP_LIMIT_GTC,
        "stop_price": D(70000),
        "stop_direction": StopDirection.DOWN,
    }
    answer = refused(exchange.create(a_request(price=69000, side=Side.SELL, **terms)))
    assert (answer.reason, answer.preview_reason) == (
        "UNKNOWN_FAILURE_REASON",
        "PREVIEW_STOP_PRICE_ABOVE_LAST_TRADE_PRICE",
    )


@pytest.mark.parametrize(("price", "exit_price"), [(61100, 61000), (58900, None)])
def test_an_attached_bracket_closes_the_position_on_either_side(
    exchange: Exchange, price: int, exit_price: int | None
) -> None:
    exchange.control.set_price(BIP, D(60000), hold=True)
    bracket = Configuration(kind=ConfigKind.BRACKET_GTC, limit_price=D(61000), stop_trigger_price=D(59000))
    answer = placed(exchange.create(a_request(size=3, attached=bracket)))
    child = exchange.order(answer.attached_order_id)
    assert (child.side, child.size, child.order_type) == (Side.SELL, D(3), OrderType.BRACKET)
    assert child.originating_order_id == answer.order_id
    exchange.control.set_price(BIP, D(price), hold=True)
    done = exchange.order(answer.attached_order_id)
    assert done.status is OrderStatus.FILLED
    assert exchange.positions() == ()
    assert exit_price is None or done.average_filled_price == exit_price


def test_a_bracket_larger_than_the_position_is_refused(exchange: Exchange) -> None:
    exchange.control.set_price(BIP, D(60000), hold=True)
    terms: dict[str, Any] = {"kind": ConfigKind.BRACKET_GTC, "stop_trigger_price": D(59000)}
    answer = refused(exchange.create(a_request(side=Side.SELL, price=61000, **terms)))
    assert answer.preview_reason == "PREVIEW_BRACKET_ORDER_SIZE_EXCEEDS_POSITION"


def test_close_position_closes_all_or_a_part_and_nothing_without_a_position(exchange: Exchange) -> None:
    close = exchange.close_position
    assert refused(close(client_order_id="a", product_id=BIP)).reason == "CANNOT_CLOSE_ZERO_POSITION"
    exchange.control.set_position(BIP, D(-7))
    placed(close(client_order_id="b", product_id=BIP, size=D(3)))
    assert exchange.position(BIP).number_of_contracts == 4
    assert placed(close(client_order_id="b", product_id=BIP, size=D(3))).repeated
    assert refused(close(client_order_id="c", product_id=BIP, size=D(5))).reason == "INVALID_REQUEST"
    placed(close(client_order_id="d", product_id=BIP))
    with pytest.raises(NotFound):
        exchange.position(BIP)


def test_a_list_without_a_source_shows_the_operators_own_only(exchange: Exchange) -> None:
    own = placed(exchange.create(a_request(price=50000))).order_id
    other = placed(exchange.control.inject_order(a_request(price=50000, source=PlacementSource.RETAIL_SIMPLE))).order_id
    assert [order.order_id for order in exchange.orders(OrderFilter()).items] == [own]
    assert [order.order_id for order in exchange.orders(OrderFilter(sources=ANY_SOURCE)).items] == [other, own]
    assert exchange.order(other).source is PlacementSource.RETAIL_SIMPLE
    assert {order.order_id: order.sequence for order in exchange.judge_view().orders} == {own: 1, other: 0}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"statuses": ("OPEN",)}, {"rest", "eth"}),
        ({"statuses": ("FILLED", "OPEN")}, {"rest", "eth", "market"}),
        ({"product_ids": (ETP,)}, {"eth"}),
        ({"product_type": "SPOT"}, set()),
        ({"side": "SELL"}, {"eth"}),
        ({"order_types": ("MARKET",)}, {"market"}),
        ({"time_in_forces": ("IMMEDIATE_OR_CANCEL",)}, {"market"}),
        ({"start": START + timedelta(seconds=10)}, {"market", "eth"}),
        ({"end": START + timedelta(seconds=10)}, {"rest"}),
        ({"order_ids": ("none",)}, set()),
    ],
)
def test_lists_filter_by_what_is_asked(
    exchange: Exchange, clock: ManualClock, filters: dict[str, Any], expected: set[str]
) -> None:
    exchange.create(a_request(client_order_id="rest", price=50000))
    clock.advance(10)
    exchange.create(a_request(client_order_id="market"))
    clock.advance(10)
    exchange.create(a_request(client_order_id="eth", product=ETP, side=Side.SELL, price=9000))
    assert {order.client_order_id for order in exchange.orders(OrderFilter(**filters)).items} == expected


def test_spot_orders_from_outside_are_listed_and_never_fill(exchange: Exchange, clock: ManualClock) -> None:
    order_id = placed(exchange.control.inject_order(a_request(product="BTC-USD", price=90000))).order_id
    clock.advance(60)
    assert exchange.order(order_id).status is OrderStatus.OPEN
    assert exchange.order(order_id).product_type == "SPOT"
    assert exchange.cancel([order_id])[0].success


def test_pages_of_orders_neither_repeat_nor_miss_while_new_ones_arrive(exchange: Exchange) -> None:
    ids = [placed(exchange.create(a_request(price=50000))).order_id for _ in range(7)]
    seen: list[str] = []
    cursor = ""
    while True:
        page = exchange.orders(OrderFilter(limit=3, cursor=cursor))
        seen += [order.order_id for order in page.items]
        exchange.create(a_request(price=50000))
        if not page.has_next:
            break
        cursor = page.cursor
    assert seen == ids[::-1]


def test_pages_of_fills_end_with_an_empty_cursor(exchange: Exchange) -> None:
    still_market(exchange)
    for _ in range(5):
        exchange.create(a_request())
    first = exchange.fills(FillFilter(limit=3))
    rest = exchange.fills(FillFilter(limit=3, cursor=first.cursor))
    assert [len(first.items), len(rest.items), rest.cursor] == [3, 2, ""]
    assert len({fill.entry_id for fill in (*first.items, *rest.items)}) == 5


def test_fills_by_order_take_no_other_filter(exchange: Exchange) -> None:
    with pytest.raises(InvalidArgument, match="cannot pass order_ids with other filters"):
        exchange.fills(FillFilter(order_ids=("x",), product_ids=(BIP,)))


def test_a_preview_tells_price_cost_and_margin_and_changes_nothing(exchange: Exchange) -> None:
    still_market(exchange, size=100)
    preview = exchange.preview(a_request(size=150))
    assert preview.errors == ()
    assert preview.average_filled_price == ((D(60005) * 100 + D(60010) * 50) / 150).quantize(D("1e-8"))
    assert preview.quote_size == preview.average_filled_price * 150 * D("0.01")
    assert preview.commission.total == preview.quote_size * D("0.0003")
    assert preview.order_margin_total == 150 * D("0.01") * D("60002.5") * D("0.245625")
    assert exchange.judge_view().orders == ()
    assert exchange.book(BIP, 1).asks[0].size == 100


def test_more_open_orders_than_allowed_end_failed_with_the_reason() -> None:
    exchange = Exchange(ManualClock(START), Options(max_open_orders=1))
    placed(exchange.create(a_request(price=50000)))
    order = exchange.order(placed(exchange.create(a_request(price=50000))).order_id)
    assert (order.status, order.reject_reason) == (OrderStatus.FAILED, "TOO_MANY_OPEN_ORDERS")
