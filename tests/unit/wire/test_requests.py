"""Intents become request bodies that say exactly what was meant (I7)."""

import json
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perpsctl.domain.errors import UsageError
from perpsctl.domain.ids import ClientOrderId, IntentId, VenueOrderId
from perpsctl.domain.numbers import Size
from perpsctl.domain.orders import (
    EditIntent,
    OrderIntent,
    OrderType,
    QuantizedEdit,
    QuantizedOrder,
    TimeInForce,
)
from perpsctl.domain.sides import Side
from perpsctl.wire import guard
from perpsctl.wire.advanced_trade import configurations, orders, reading, requests
from perpsctl.wire.advanced_trade import convert_market as public
from perpsctl.wire.advanced_trade import convert_orders as trading
from tests.unit.wire.bodies import BIP, NOW, a_product

PRODUCT = public.product_from(a_product(), NOW)


def an_order(
    *,
    type: OrderType = OrderType.LIMIT,  # noqa: A002
    tif: TimeInForce = TimeInForce.GTC,
    side: Side = Side.BUY,
    size: str = "0.05",
    price: str | None = "60000",
    stop: str | None = None,
    post_only: bool = False,
    expires: datetime | None = None,
) -> QuantizedOrder:
    limit = None if price is None else reading.price(price, "price")
    trigger = None if stop is None else reading.price(stop, "stop")
    intent = OrderIntent(
        id=IntentId("intent-0001"),
        product_id=BIP,
        side=side,
        size=Size(Decimal(size)),
        type=type,
        tif=tif,
        limit_price=limit,
        stop_price=trigger,
        post_only=post_only,
        expires=expires,
        created_at=NOW,
    )
    return QuantizedOrder(intent=intent, product=PRODUCT, size=intent.size, limit_price=limit, stop_price=trigger)


ID = ClientOrderId("intent-0001")
GTD = NOW + timedelta(minutes=2)
CONFIGURATIONS: list[tuple[QuantizedOrder, dict[str, dict[str, object]]]] = [
    (an_order(type=OrderType.MARKET, tif=TimeInForce.IOC, price=None), {"market_market_ioc": {"base_size": "5"}}),
    (an_order(type=OrderType.MARKET, tif=TimeInForce.FOK, price=None), {"market_market_fok": {"base_size": "5"}}),
    (an_order(tif=TimeInForce.IOC), {"sor_limit_ioc": {"base_size": "5", "limit_price": "60000"}}),
    (an_order(tif=TimeInForce.FOK), {"limit_limit_fok": {"base_size": "5", "limit_price": "60000"}}),
    (
        an_order(post_only=True),
        {"limit_limit_gtc": {"base_size": "5", "limit_price": "60000", "post_only": True}},
    ),
    (
        an_order(tif=TimeInForce.GTD, expires=GTD),
        {
            "limit_limit_gtd": {
                "base_size": "5",
                "limit_price": "60000",
                "post_only": False,
                "end_time": "2026-11-22T12:36:56Z",
            }
        },
    ),
    (
        an_order(type=OrderType.STOP_LIMIT, stop="59995"),
        {
            "stop_limit_stop_limit_gtc": {
                "base_size": "5",
                "limit_price": "60000",
                "stop_price": "59995",
                "stop_direction": "STOP_DIRECTION_STOP_UP",
            }
        },
    ),
    (
        an_order(type=OrderType.STOP_LIMIT, tif=TimeInForce.GTD, side=Side.SELL, stop="60005", expires=GTD),
        {
            "stop_limit_stop_limit_gtd": {
                "base_size": "5",
                "limit_price": "60000",
                "stop_price": "60005",
                "stop_direction": "STOP_DIRECTION_STOP_DOWN",
                "end_time": "2026-11-22T12:36:56Z",
            }
        },
    ),
]


@pytest.mark.parametrize(("order", "expected"), CONFIGURATIONS)
def test_an_order_becomes_the_one_configuration_that_says_it_I7(
    order: QuantizedOrder, expected: dict[str, dict[str, object]]
) -> None:
    request = requests.create_request(order, ID)
    assert json.loads(guard.encode(request)) == {
        "client_order_id": "intent-0001",
        "product_id": BIP,
        "side": order.side.value.upper(),
        "order_configuration": expected,
    }
    preview = json.loads(guard.encode(requests.preview_request(order)))
    assert preview["order_configuration"] == expected
    assert "client_order_id" not in preview
    configuration = request.order_configuration
    assert isinstance(configuration, configurations.OrderConfiguration)
    chosen = configuration.chosen()
    assert chosen is not None
    assert configurations.stray_terms(*chosen) == ()


@pytest.mark.parametrize(("order", "_"), CONFIGURATIONS)
def test_an_order_sent_reads_back_as_it_was_meant_I7(order: QuantizedOrder, _: object) -> None:
    request = guard.decode(guard.encode(requests.create_request(order, ID)), orders.CreateOrderRequest)
    stated = trading.terms_from(request.order_configuration, PRODUCT.contract_size)
    assert (stated.size, stated.limit_price, stated.stop_price) == (order.size, order.limit_price, order.stop_price)
    assert stated.post_only is order.intent.post_only
    assert stated.expires == order.intent.expires
    assert trading.VARIANTS[stated.variant] == (order.intent.type, order.intent.tif)


def test_an_order_the_venue_has_no_shape_for_is_refused() -> None:
    for impossible in (
        an_order(type=OrderType.MARKET, tif=TimeInForce.GTC, price=None),
        an_order(type=OrderType.STOP_LIMIT, tif=TimeInForce.IOC, stop="59995"),
        an_order(tif=TimeInForce.IOC, post_only=True),
        an_order(type=OrderType.STOP_LIMIT, stop="59995", post_only=True),
    ):
        with pytest.raises(UsageError, match="the venue has no"):
            requests.create_request(impossible, ID)


def test_edits_cancels_and_closes_name_their_order_and_their_size() -> None:
    edit = QuantizedEdit(
        intent=EditIntent(
            id=IntentId("intent-0002"),
            target=IntentId("intent-0001"),
            venue_order_id=VenueOrderId("v-1"),
            new_price=reading.price("60005", "price"),
            new_size=None,
            created_at=NOW,
        ),
        product=PRODUCT,
        side=Side.BUY,
        old_size=Size(Decimal("0.05")),
        old_price=reading.price("60000", "price"),
        filled=Size(Decimal(0)),
        new_size=Size(Decimal("0.05")),
        new_price=reading.price("60005", "price"),
        post_only=False,
        reduce_only=False,
    )
    assert json.loads(guard.encode(requests.edit_request(edit))) == {"order_id": "v-1", "price": "60005", "size": "5"}
    cancel = requests.cancel_request([VenueOrderId("v-1"), VenueOrderId("v-2")])
    assert json.loads(guard.encode(cancel)) == {"order_ids": ["v-1", "v-2"]}
    close = requests.close_request(an_order(type=OrderType.MARKET, tif=TimeInForce.IOC, price=None), ID)
    assert json.loads(guard.encode(close)) == {"client_order_id": "intent-0001", "product_id": BIP, "size": "5"}


def test_terms_that_do_not_belong_to_a_variant_are_named() -> None:
    terms = configurations.Terms(base_size="1", limit_price="2", post_only=True, reduce_only=True)
    assert configurations.stray_terms("limit_limit_gtc", terms) == ("reduce_only",)
    assert configurations.stray_terms("sor_limit_ioc", terms) == ("post_only", "reduce_only")
    assert set(configurations.TERMS_OF) == set(configurations.OrderConfiguration.nullable)


@given(st.integers(1, 5000), st.integers(1, 10**7))
def test_sizes_and_prices_survive_the_wire_to_the_last_digit_I7(contracts: int, steps: int) -> None:
    order = an_order(size=str(Decimal(contracts) / 100), price=str(steps * 5))
    body = guard.encode(requests.create_request(order, ID))
    read = guard.decode(body, orders.CreateOrderRequest)
    stated = trading.terms_from(read.order_configuration, PRODUCT.contract_size)
    assert (stated.size, stated.limit_price) == (order.size, order.limit_price)
    assert json.loads(body)["order_configuration"]["limit_limit_gtc"]["base_size"] == str(contracts)
