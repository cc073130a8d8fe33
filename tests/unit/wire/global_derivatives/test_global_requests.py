"""Intents become parameters that say exactly what was meant (I7), and nothing is left to the venue's defaults."""

import json
from decimal import Decimal

import pytest

from perpsctl.domain.errors import UsageError
from perpsctl.domain.ids import ClientOrderId, IntentId, VenueOrderId
from perpsctl.domain.numbers import Price, Size
from perpsctl.domain.orders import EditIntent, OrderIntent, OrderType, QuantizedEdit, QuantizedOrder, TimeInForce
from perpsctl.domain.sides import Side
from perpsctl.wire.global_derivatives import convert_market, requests, rpc
from tests.unit.wire.global_derivatives.payload_bodies import BTC, NOW, an_instrument, d

PRODUCT = convert_market.product_from_instrument(an_instrument(), None, NOW)
ID = ClientOrderId("pc-01J0EXAMPLE")
UNTIL = 1788645582021


def an_intent(
    *,
    type: OrderType = OrderType.LIMIT,  # noqa: A002
    tif: TimeInForce = TimeInForce.GTC,
    side: Side = Side.BUY,
    price: str | None = "65000.5",
    stop: str | None = None,
    post_only: bool = False,
    reduce_only: bool = False,
) -> QuantizedOrder:
    limit = None if price is None else Price(d(price))
    trigger = None if stop is None else Price(d(stop))
    intent = OrderIntent(
        id=IntentId("intent-0001"),
        product_id=BTC,
        side=side,
        size=Size(d("0.001")),
        type=type,
        tif=tif,
        limit_price=limit,
        stop_price=trigger,
        post_only=post_only,
        reduce_only=reduce_only,
        created_at=NOW,
    )
    return QuantizedOrder(intent=intent, product=PRODUCT, size=intent.size, limit_price=limit, stop_price=trigger)


def sent(order: QuantizedOrder) -> dict[str, object]:
    params = requests.order_params(order, ID, valid_until=UNTIL)
    body = rpc.encode_request(requests.method_of(order.side), params)
    found = json.loads(body, parse_float=Decimal, parse_int=Decimal)
    return dict(found["params"])


def test_a_limit_order_writes_every_flag_out() -> None:
    assert sent(an_intent()) == {
        "instrument_name": BTC,
        "amount": d("0.001"),
        "type": "limit",
        "label": ID,
        "price": d("65000.5"),
        "time_in_force": "good_til_cancelled",
        "post_only": False,
        "reject_post_only": False,
        "reduce_only": False,
        "valid_until": UNTIL,
    }


def test_post_only_always_means_reject() -> None:
    found = sent(an_intent(post_only=True))
    assert (found["post_only"], found["reject_post_only"]) == (True, True)


def test_the_side_is_the_method_and_reduce_only_is_native() -> None:
    assert requests.method_of(Side.BUY) == "private/buy"
    assert requests.method_of(Side.SELL) == "private/sell"
    assert sent(an_intent(side=Side.SELL, reduce_only=True))["reduce_only"] is True


def test_a_market_order_has_no_price_and_never_rests() -> None:
    found = sent(an_intent(type=OrderType.MARKET, tif=TimeInForce.IOC))
    assert ("price" in found, found["type"], found["time_in_force"]) == (False, "market", "immediate_or_cancel")
    with pytest.raises(UsageError):
        sent(an_intent(type=OrderType.MARKET))


def test_a_stop_limit_names_its_trigger() -> None:
    found = sent(an_intent(type=OrderType.STOP_LIMIT, stop="66000"))
    assert (found["trigger_price"], found["trigger"], found["price"]) == (d("66000"), "mark_price", d("65000.5"))
    with pytest.raises(UsageError):
        sent(an_intent(type=OrderType.STOP_LIMIT))


@pytest.mark.parametrize(
    "order",
    [
        an_intent(tif=TimeInForce.GTD),
        an_intent(tif=TimeInForce.UNRECOGNISED),
        an_intent(type=OrderType.UNRECOGNISED),
        an_intent(post_only=True, tif=TimeInForce.IOC),
        an_intent(type=OrderType.STOP_LIMIT, stop="66000", post_only=True),
        an_intent(price=None),
    ],
)
def test_what_the_venue_cannot_say_is_refused_before_sending(order: QuantizedOrder) -> None:
    with pytest.raises(UsageError):
        sent(order)


@pytest.mark.parametrize("label", ["", "x" * 65])
def test_a_label_is_one_to_sixty_four_characters(label: str) -> None:
    with pytest.raises(UsageError):
        requests.order_params(an_intent(), ClientOrderId(label), valid_until=UNTIL)
    assert requests.label_of(ClientOrderId("x" * 64)) == "x" * 64


def test_an_edit_sends_price_total_and_flags_together() -> None:
    intent = EditIntent(
        id=IntentId("intent-0002"),
        target=IntentId("intent-0001"),
        venue_order_id=VenueOrderId("USDC-1"),
        new_price=Price(d("65001")),
        new_size=None,
        created_at=NOW,
    )
    edit = QuantizedEdit(
        intent=intent,
        product=PRODUCT,
        side=Side.BUY,
        old_size=Size(d("0.001")),
        old_price=Price(d("65000")),
        filled=Size(d("0.0004")),
        new_size=Size(d("0.002")),
        new_price=Price(d("65001")),
        post_only=True,
        reduce_only=False,
    )
    body = rpc.encode_request("private/edit", requests.edit_params(edit, valid_until=UNTIL))
    assert json.loads(body, parse_float=Decimal, parse_int=Decimal)["params"] == {
        "order_id": "USDC-1",
        "amount": d("0.002"),
        "price": d("65001"),
        "post_only": True,
        "reject_post_only": True,
        "reduce_only": False,
        "valid_until": UNTIL,
    }


def test_the_other_writes_say_what_they_mean() -> None:
    assert requests.cancel_params(VenueOrderId("USDC-1")).order_id == "USDC-1"
    assert requests.cancel_all_params().include_isolated is True
    close = requests.market_close_params(an_intent(side=Side.SELL), ID, valid_until=UNTIL)
    assert (close.reduce_only, close.label, close.type, close.amount) == (True, ID, "market", d("0.001"))
    assert requests.close_params(an_intent()).instrument_name == BTC
