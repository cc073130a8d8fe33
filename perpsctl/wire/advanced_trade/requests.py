"""Domain values as request bodies. What is sent is what was meant: the same numbers, in contracts (invariant I7)."""

from collections.abc import Sequence
from typing import Final

from msgspec import UNSET

from perpsctl.domain.errors import UsageError
from perpsctl.domain.ids import ClientOrderId, VenueOrderId
from perpsctl.domain.numbers import plain
from perpsctl.domain.orders import OrderType, QuantizedEdit, QuantizedOrder, TimeInForce
from perpsctl.domain.sides import Side
from perpsctl.wire.advanced_trade import configurations, orders
from perpsctl.wire.advanced_trade.convert_orders import VARIANTS
from perpsctl.wire.advanced_trade.reading import rfc3339

_VARIANT_OF: Final = {shape: variant for variant, shape in VARIANTS.items()}


def configuration_of(order: QuantizedOrder) -> configurations.OrderConfiguration:
    """The one configuration that says this order; UsageError for a shape the venue has none for.

    A stop buys when the price rises to it and sells when it falls to it; that direction is implied by the side.
    """
    intent = order.intent
    variant = _VARIANT_OF.get((intent.type, intent.tif))
    if variant is None:
        raise UsageError(f"the venue has no {intent.type.value} order with time in force {intent.tif.value}")
    limit = None if intent.type is OrderType.MARKET else order.limit_price
    posts = variant in ("limit_limit_gtc", "limit_limit_gtd")
    if intent.post_only and not posts:
        raise UsageError(f"the venue has no post-only {intent.type.value} {intent.tif.value} order")
    stop = order.stop_price if intent.type is OrderType.STOP_LIMIT else None
    expires = intent.expires if intent.tif is TimeInForce.GTD else None
    direction = "STOP_DIRECTION_STOP_UP" if order.side is Side.BUY else "STOP_DIRECTION_STOP_DOWN"
    return configurations.configuration(
        variant,
        configurations.Terms(
            base_size=plain(order.product.contracts(order.size)),
            limit_price=UNSET if limit is None else plain(limit),
            post_only=intent.post_only if posts else UNSET,
            stop_price=UNSET if stop is None else plain(stop),
            stop_direction=UNSET if stop is None else direction,
            end_time=UNSET if expires is None else rfc3339(expires),
        ),
    )


def create_request(order: QuantizedOrder, client_order_id: ClientOrderId) -> orders.CreateOrderRequest:
    """POST /orders. Reduce-only is never sent: this venue has no field for it (reference 6.2); risk judges it."""
    return orders.CreateOrderRequest(
        client_order_id=client_order_id,
        product_id=order.product_id,
        side=order.side.value.upper(),
        order_configuration=configuration_of(order),
    )


def preview_request(order: QuantizedOrder) -> orders.PreviewOrderRequest:
    """POST /orders/preview: the create body without its id."""
    return orders.PreviewOrderRequest(
        product_id=order.product_id,
        side=order.side.value.upper(),
        order_configuration=configuration_of(order),
    )


def edit_request(edit: QuantizedEdit) -> orders.EditOrderRequest:
    """POST /orders/edit: price and new total size together, so that neither is left to the venue's memory."""
    return orders.EditOrderRequest(
        order_id=edit.intent.venue_order_id,
        price=UNSET if edit.new_price is None else plain(edit.new_price),
        size=plain(edit.product.contracts(edit.new_size)),
    )


def cancel_request(venue_order_ids: Sequence[VenueOrderId]) -> orders.CancelRequest:
    """POST /orders/batch_cancel."""
    return orders.CancelRequest(order_ids=tuple(venue_order_ids))


def close_request(order: QuantizedOrder, client_order_id: ClientOrderId) -> orders.ClosePositionRequest:
    """POST /orders/close_position for this many contracts, never "the whole position": the size was judged."""
    return orders.ClosePositionRequest(
        client_order_id=client_order_id,
        product_id=order.product_id,
        size=plain(order.product.contracts(order.size)),
    )
