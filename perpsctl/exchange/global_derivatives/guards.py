"""What is refused here before a byte is sent, by name: what this venue cannot do, and what it would quietly change.

Pure. Each refusal is one of the tree in `domain.errors`, so that a one-shot call tells what to do instead.
"""

from perpsctl.domain.errors import OffGrid, SizeRoundsToZero, UsageError
from perpsctl.domain.market import PriceLimits
from perpsctl.domain.numbers import Price, multiple_of, plain, step_down, step_up
from perpsctl.domain.orders import ApprovedOrder, OrderType, QuantizedOrder, Road, TimeInForce
from perpsctl.domain.products import Product
from perpsctl.domain.sides import Side
from perpsctl.wire.global_derivatives.requests import LABEL_MAX

__all__ = [
    "GtdNotOffered",
    "LabelTooLong",
    "OrderNotOffered",
    "PriceBeyondLimits",
    "check_edit",
    "check_order",
]


class LabelTooLong(UsageError):
    """The id of the intent does not fit into the venue's label."""

    code = "label_too_long"


class GtdNotOffered(UsageError):
    """The venue has no good-til-time: its good_til_day ends at the daily settlement, whatever was asked."""

    code = "gtd_not_offered"


class OrderNotOffered(UsageError):
    """A kind of order or time in force that this venue does not take."""

    code = "order_not_offered"


class PriceBeyondLimits(UsageError):
    """The venue would move the price to its own limit without a word: another price than the one that was judged."""

    code = "price_beyond_limits"


def check_order(approved: ApprovedOrder, limits: PriceLimits | None) -> None:
    """Nothing in the order would be refused for its shape or changed without a word; else one of the named errors.

    `limits` are the venue's own as last read; the exit road is not stopped by them: it has drawn its price in already, and
    what an operator typed beyond them would be another order than the one that was judged (I7).
    """
    order = approved.order
    label = approved.client_order_id
    if not label or len(label) > LABEL_MAX or not label.isascii():
        raise LabelTooLong(f"the label has {len(label)} characters, the venue takes 1 to {LABEL_MAX}")
    if order.intent.tif is TimeInForce.GTD or order.intent.expires is not None:
        raise GtdNotOffered(
            "the global venue has no good-til-time orders",
            fix="use gtc and cancel it yourself, or `perpsctl run`, which keeps the expiry for you",
        )
    if order.intent.type is OrderType.UNRECOGNISED or order.intent.tif is TimeInForce.UNRECOGNISED:
        raise OrderNotOffered("the order's type or time in force is none we know")
    if order.intent.post_only and order.intent.tif is not TimeInForce.GTC:
        raise OrderNotOffered("post-only goes with gtc only at the global venue")
    check_size(order)
    for name, price in (("price", order.limit_price), ("stop price", order.stop_price)):
        check_price(name, price, order.product)
    if limits is not None and order.intent.road is Road.ENTRY:
        check_limits(order, limits)


def check_limits(order: QuantizedOrder, limits: PriceLimits) -> None:
    """A buy is not above the highest price the venue takes, a sell not below the lowest (reference section 7)."""
    price, edge = order.limit_price, limits.highest if order.side is Side.BUY else limits.lowest
    if price is not None and edge is not None and (price - edge) * order.side.sign > 0:
        raise PriceBeyondLimits(
            f"price {plain(price)} is beyond the venue's limit of {plain(edge)} and would be moved there",
            fix=f"use {plain(edge)} or a price behind it",
        )


def check_edit(product: Product, price: Price | None) -> None:
    """The new price of an edit stands on the grid."""
    check_price("price", price, product)


def check_size(order: QuantizedOrder) -> None:
    """The size is whole steps and at least the smallest order."""
    product = order.product
    if not multiple_of(order.size, product.size_step):
        nearest = (plain(step_down(order.size, product.size_step)), plain(step_up(order.size, product.size_step)))
        raise OffGrid(f"size {plain(order.size)} is off the grid", field="size", nearest=nearest)
    if order.size < product.min_size:
        raise SizeRoundsToZero(
            f"size {plain(order.size)} is below the smallest order of {plain(product.min_size)} {product.base}",
            fix=f"use at least {plain(product.min_size)}",
        )


def check_price(name: str, price: Price | None, product: Product) -> None:
    """The price is whole steps of the rung that applies there (`tick_size_steps`)."""
    if price is None:
        return
    step = product.price_step(price)
    if not multiple_of(price, step):
        nearest = (plain(step_down(price, step)), plain(step_up(price, step)))
        raise OffGrid(
            f"{name} {plain(price)} is off the grid of {plain(step)} {product.quote}", field=name, nearest=nearest
        )
