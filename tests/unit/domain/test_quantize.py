"""What is sent is what was meant: never larger, never more aggressive, and an operator is asked, not rounded (I7)."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perpsctl.domain.errors import InvariantBroken, OffGrid, SizeRoundsToZero, UsageError
from perpsctl.domain.numbers import Size, multiple_of
from perpsctl.domain.orders import OrderIntent, OrderStatus, OrderType, Origin, TimeInForce
from perpsctl.domain.products import PriceStep, find_product
from perpsctl.domain.quantize import check_shape, quantize, quantize_edit
from perpsctl.domain.sides import Side
from tests.builders import ETH, NOW, a_product, an_edit_intent, an_intent, an_order

STRATEGY = Origin.STRATEGY
steps = st.sampled_from(["0.01", "0.1", "5", "500"])
sizes = st.decimals(min_value="0.0001", max_value="5000", places=6)
prices = st.decimals(min_value="0.01", max_value="200000", places=6)


@given(size=sizes, limit=prices, side=st.sampled_from(list(Side)), contract=steps, step=steps)
def test_rounding_never_enlarges_and_never_gets_more_aggressive_I7(
    size: Decimal, limit: Decimal, side: Side, contract: str, step: str
) -> None:
    product = a_product(contract_size=contract, price_step=step, max_contracts=None)
    intent = an_intent(size=str(size), limit_price=str(limit), side=side, origin=STRATEGY)
    try:
        order = quantize(intent, product)
    except UsageError:
        assert size < product.min_size or (side is Side.BUY and limit < Decimal(step))
        return
    assert order.limit_price is not None
    assert product.min_size <= order.size <= size
    assert multiple_of(order.size, product.size_step)
    assert size - order.size < product.size_step
    assert multiple_of(order.limit_price, Decimal(step))
    assert abs(order.limit_price - limit) < Decimal(step)
    assert (limit - order.limit_price) * side.sign >= 0
    assert order.intent is intent
    assert (order.side, order.product_id) == (side, product.product_id)


@given(size=sizes, limit=prices, side=st.sampled_from(list(Side)))
def test_an_operators_order_is_sent_as_typed_or_refused_I7(size: Decimal, limit: Decimal, side: Side) -> None:
    intent = an_intent(size=str(size), limit_price=str(limit), side=side)
    try:
        order = quantize(intent, a_product())
    except UsageError:
        assert not multiple_of(size, Decimal("0.01")) or not multiple_of(limit, Decimal(5)) or size > 50
        return
    assert (order.size, order.limit_price) == (size, limit)


@pytest.mark.parametrize(
    ("intent", "field", "nearest"),
    [
        (an_intent(size="0.015"), "size", ("0.01", "0.02")),
        (an_intent(size="0.004"), "size", ("0.01",)),
        (an_intent(limit_price="59901"), "price", ("59900", "59905")),
        (an_intent(limit_price="3"), "price", ("5",)),
        (
            an_intent(type=OrderType.STOP_LIMIT, stop_price="60001", limit_price="60010"),
            "stop price",
            ("60000", "60005"),
        ),
    ],
)
def test_off_the_grid_names_the_nearest_legal_values(intent: OrderIntent, field: str, nearest: tuple[str, ...]) -> None:
    with pytest.raises(OffGrid) as refused:
        quantize(intent, a_product())
    assert refused.value.field == field
    assert refused.value.nearest == nearest
    assert all(each in refused.value.fix for each in nearest)


def test_a_size_that_rounds_to_nothing_and_one_beyond_the_largest_have_errors_of_their_own() -> None:
    with pytest.raises(SizeRoundsToZero):
        quantize(an_intent(size="0.009", origin=STRATEGY), a_product())
    with pytest.raises(SizeRoundsToZero):
        quantize(an_intent(size="0.01"), a_product(min_contracts="2"))
    with pytest.raises(UsageError, match="largest"):
        quantize(an_intent(size="50.01"), a_product())
    assert quantize(an_intent(size="50"), a_product()).size == 50


def test_the_step_of_the_prices_own_rung_applies() -> None:
    product = a_product(
        price_steps=(PriceStep(above=Decimal(0), step=Decimal(1)), PriceStep(above=Decimal(100), step=Decimal(5)))
    )
    assert product.price_step(Decimal(99)) == 1
    assert product.price_step(Decimal(100)) == 5
    assert quantize(an_intent(limit_price="99"), product).limit_price == 99
    with pytest.raises(OffGrid):
        quantize(an_intent(limit_price="101"), product)


GTD, IOC, FOK, GTC = TimeInForce.GTD, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTC
LATER = NOW + timedelta(minutes=1)


@pytest.mark.parametrize(
    "intent",
    [
        an_intent(size="0"),
        an_intent(type=OrderType.MARKET, limit_price="60000"),
        an_intent(type=OrderType.MARKET, post_only=True),
        an_intent(type=OrderType.MARKET, tif=GTC),
        an_intent(limit_price=None),
        an_intent(stop_price="60000"),
        an_intent(type=OrderType.STOP_LIMIT),
        an_intent(type=OrderType.STOP_LIMIT, limit_price=None, stop_price="60000"),
        an_intent(type=OrderType.STOP_LIMIT, stop_price="60000", tif=IOC),
        an_intent(type=OrderType.STOP_LIMIT, stop_price="60000", post_only=True),
        an_intent(type=OrderType.UNRECOGNISED),
        an_intent(post_only=True, tif=IOC),
        an_intent(post_only=True, tif=FOK),
        an_intent(tif=GTD),
        an_intent(expires=LATER),
        an_intent(tif=GTD, expires=NOW),
    ],
)
def test_options_that_do_not_make_one_legal_order_are_refused_before_anything_is_sent(intent: OrderIntent) -> None:
    with pytest.raises(UsageError):
        check_shape(intent)


@pytest.mark.parametrize(
    "intent",
    [
        an_intent(),
        an_intent(tif=GTD, expires=LATER, post_only=True),
        an_intent(tif=FOK),
        an_intent(type=OrderType.MARKET),
        an_intent(type=OrderType.MARKET, tif=FOK),
        an_intent(type=OrderType.STOP_LIMIT, stop_price="60000"),
    ],
)
def test_every_legal_shape_passes(intent: OrderIntent) -> None:
    check_shape(intent)


def test_an_edit_keeps_what_it_does_not_change() -> None:
    order = an_order(size="0.05", filled="0.02", limit_price="59900")
    edit = quantize_edit(an_edit_intent(new_price="59895"), order, a_product(), post_only=True, reduce_only=False)
    assert (edit.new_size, edit.new_price) == (Decimal("0.05"), Decimal("59895"))
    assert (edit.old_size, edit.old_price, edit.filled) == (Decimal("0.05"), Decimal("59900"), Decimal("0.02"))
    assert (edit.post_only, edit.reduce_only, edit.side) == (True, False, Side.BUY)


@pytest.mark.parametrize(
    ("intent", "order"),
    [
        (an_edit_intent(), an_order(status=OrderStatus.CANCELLED)),
        (an_edit_intent(), an_order(size=None)),
        (an_edit_intent(new_price=None, new_size="0.01"), an_order(size="0.03", filled="0.02")),
        (an_edit_intent(new_price="59900"), an_order()),
        (an_edit_intent(new_price=None, new_size="0.01"), an_order()),
        (an_edit_intent(new_price="59901"), an_order()),
    ],
)
def test_an_edit_that_cannot_be_meant_is_refused(intent: object, order: object) -> None:
    with pytest.raises(UsageError):
        quantize_edit(intent, order, a_product(), post_only=False, reduce_only=False)  # type: ignore[arg-type]


def test_contracts_and_coin_convert_exactly_or_name_our_bug() -> None:
    product = a_product()
    assert product.contracts(Size(Decimal("0.03"))) == 3
    assert product.coin(Decimal(3)) == Decimal("0.03")
    with pytest.raises(InvariantBroken):
        product.contracts(Size(Decimal("0.015")))


def test_a_product_is_found_by_id_or_alias_and_a_retired_one_names_its_successor() -> None:
    products = (a_product(), a_product(product_id=ETH, alias="ETH-PERP", base="ETH"))
    assert find_product(products, "eth-perp").product_id == ETH
    assert find_product(products, "BIP-20DEC30-CDE").alias == "BTC-PERP"
    with pytest.raises(UsageError) as retired:
        find_product(products, "BTC-PERP-INTX")
    assert "BTC-PERP" in retired.value.fix
    with pytest.raises(UsageError) as unknown:
        find_product(products, "DOGE-PERP")
    assert unknown.value.fix == "known: BTC-PERP, ETH-PERP"


def test_a_size_of_forty_digits_is_not_rounded_up_I7() -> None:
    size = "0." + "9" * 39
    assert quantize(an_intent(size=size, origin=STRATEGY), a_product()).size == Decimal("0.99")


def test_a_huge_size_is_a_usage_error_and_no_traceback_H1() -> None:
    with pytest.raises(UsageError):
        quantize(an_intent(size="1e39"), a_product())


def test_a_huge_price_on_the_grid_keeps_every_digit_for_risk_to_deny_H1() -> None:
    assert quantize(an_intent(limit_price="1e39"), a_product()).limit_price == Decimal("1e39")
