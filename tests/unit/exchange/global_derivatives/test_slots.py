"""Against the simulator's gateway, in process: what stands in isolated slots and in the trigger history is seen (L5)."""

from datetime import timedelta
from decimal import Decimal

from perpsctl.domain.orders import OrderStatus
from perpsctl.wire.global_derivatives import params, trading
from tests.unit.exchange.global_derivatives.test_doubt import BTC, Scene

AMOUNT = Decimal("0.01")


def by_web(scene: Scene, method: str, **terms: object) -> trading.Order:
    """An order this toolkit would not place itself."""
    asked = params.OrderParams(instrument_name=BTC, amount=AMOUNT, **({"type": "market"} | terms))  # type: ignore[arg-type]
    order = scene.venue.link.read(method, asked, trading.OrderAndTrades).body.order
    assert isinstance(order, trading.Order)
    return order


def test_isolated_orders_and_fills_are_seen_also_after_their_slot_was_given_back() -> None:
    scene = Scene()
    start = scene.clock.now()
    opened = by_web(scene, "private/buy", isolated=True)
    assert scene.venue.positions().coin(BTC) == AMOUNT
    closed = by_web(scene, "private/sell", isolated=True, reduce_only=True)
    assert scene.venue.positions().coin(BTC) == 0
    ids = {opened.order_id, closed.order_id}
    listed = scene.venue.orders_since(start - timedelta(minutes=1)).orders
    assert {order.venue_order_id for order in listed} == ids
    assert {order.status for order in listed} == {OrderStatus.FILLED}
    fills = scene.venue.fills(since=start - timedelta(minutes=1))
    assert {fill.venue_order_id for fill in fills} == ids
    assert {fill.venue_order_id for fill in scene.venue.fills(venue_order_id=listed[0].venue_order_id)} == {
        listed[0].venue_order_id
    }


def test_the_money_of_an_isolated_position_counts() -> None:
    scene = Scene()
    before = scene.venue.account()
    by_web(scene, "private/buy", isolated=True, allocated_margin=Decimal(500))
    after = scene.venue.account()
    assert before.equity - after.equity < 5, "fee and spread; the collateral moved, it did not leave"


def test_a_stop_that_was_cancelled_before_it_fired_is_listed_with_its_end() -> None:
    scene = Scene()
    start = scene.clock.now()
    mark = scene.venue.mark(BTC).price
    stop = by_web(
        scene,
        "private/sell",
        type="stop_limit",
        trigger="mark_price",
        trigger_price=(mark * Decimal("0.9")).quantize(Decimal("0.1")),
        price=(mark * Decimal("0.89")).quantize(Decimal("0.1")),
        post_only=False,
    )
    scene.venue.link.read("private/cancel", params.OrderIdParams(order_id=stop.order_id), trading.Order)
    (order,) = scene.venue.orders_since(start - timedelta(minutes=1)).orders
    assert (order.venue_order_id, order.status) == (stop.order_id, OrderStatus.CANCELLED)


def test_a_stop_that_failed_on_triggering_is_listed_as_failed_with_its_reason() -> None:
    scene = Scene()
    start = scene.clock.now()
    mark = scene.venue.mark(BTC).price
    stop = by_web(
        scene,
        "private/sell",
        type="stop_market",
        trigger="mark_price",
        trigger_price=(mark * Decimal("0.9")).quantize(Decimal("0.1")),
        reduce_only=True,
    )
    scene.embedded.exchange.control.set_price(BTC, (mark * Decimal("0.89")).quantize(Decimal("0.1")), hold=True)
    (order,) = scene.venue.orders_since(start - timedelta(minutes=1)).orders
    assert (order.venue_order_id, order.status, order.reason) == (
        stop.order_id,
        OrderStatus.FAILED,
        "reduce_direction",
    )
