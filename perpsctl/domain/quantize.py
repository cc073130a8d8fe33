"""Putting an intent on the venue's grid: never a larger size, never a more aggressive price (invariant I7).

A strategy's intent is rounded towards less risk; what an operator typed off the grid is refused with the nearest legal
values. A size that rounds to zero is an error with a name.
"""

from decimal import Decimal

from perpsctl.domain.errors import OffGrid, SizeRoundsToZero, UsageError
from perpsctl.domain.numbers import Price, Size, multiple_of, plain, step_down, step_up
from perpsctl.domain.orders import (
    EditIntent,
    OrderIntent,
    OrderType,
    Origin,
    QuantizedEdit,
    QuantizedOrder,
    TimeInForce,
    VenueOrder,
)
from perpsctl.domain.products import Product
from perpsctl.domain.sides import Side


def quantize(intent: OrderIntent, product: Product) -> QuantizedOrder:
    """The intent on the product's grid. Raises OffGrid, SizeRoundsToZero or UsageError; nothing was sent then."""
    check_shape(intent)
    rounding = intent.origin is Origin.STRATEGY
    return QuantizedOrder(
        intent=intent,
        product=product,
        size=_size_on_grid(intent.size, product, rounding=rounding),
        limit_price=_maybe_price(intent.limit_price, intent.side, product, rounding=rounding, field="price"),
        stop_price=_maybe_price(intent.stop_price, intent.side, product, rounding=rounding, field="stop price"),
    )


def quantize_edit(
    intent: EditIntent, order: VenueOrder, product: Product, *, post_only: bool, reduce_only: bool
) -> QuantizedEdit:
    """The edit on the grid, with the terms it changes. Raises as `quantize`, and UsageError when the order is final."""
    if order.size is None or order.status.final:
        raise UsageError(f"order is {order.status.value}: only an open order can be edited")
    rounding = intent.origin is Origin.STRATEGY
    new_size = order.size if intent.new_size is None else _size_on_grid(intent.new_size, product, rounding=rounding)
    new_price = _maybe_price(intent.new_price, order.side, product, rounding=rounding, field="price")
    if new_size < order.filled:
        raise UsageError(f"the order has filled {plain(order.filled)} already; the new total size cannot be less")
    if new_size == order.size and (new_price is None or new_price == order.limit_price):
        raise UsageError("the edit changes nothing")
    return QuantizedEdit(
        intent=intent,
        product=product,
        side=order.side,
        old_size=order.size,
        old_price=order.limit_price,
        filled=order.filled,
        new_size=new_size,
        new_price=order.limit_price if new_price is None else new_price,
        post_only=post_only,
        reduce_only=reduce_only,
    )


def check_shape(intent: OrderIntent) -> None:
    """The options make one legal order, else UsageError saying which do not fit together."""
    if intent.size <= 0:
        raise UsageError("size must be above zero")
    _check_prices(intent, limit=intent.limit_price is not None, stop=intent.stop_price is not None)
    if intent.post_only and intent.tif in (TimeInForce.IOC, TimeInForce.FOK):
        raise UsageError("a post-only order rests: it cannot be ioc or fok")
    if (intent.tif is TimeInForce.GTD) != (intent.expires is not None):
        raise UsageError("gtd goes with an expiry, and an expiry with gtd")
    if intent.expires is not None and intent.expires <= intent.created_at:
        raise UsageError("the expiry is in the past")


def _check_prices(intent: OrderIntent, *, limit: bool, stop: bool) -> None:
    if intent.type is OrderType.MARKET:
        if limit or stop or intent.post_only:
            raise UsageError("a market order takes no price, no stop price and cannot be post-only")
        if intent.tif not in (TimeInForce.IOC, TimeInForce.FOK):
            raise UsageError("a market order is ioc or fok")
    elif intent.type is OrderType.LIMIT:
        if not limit or stop:
            raise UsageError("a limit order takes a price and no stop price")
    elif intent.type is OrderType.STOP_LIMIT:
        if not (limit and stop):
            raise UsageError("a stop-limit order takes a price and a stop price")
        if intent.post_only or intent.tif not in (TimeInForce.GTC, TimeInForce.GTD):
            raise UsageError("a stop-limit order is gtc or gtd and cannot be post-only")
    else:
        raise UsageError("type is market, limit or stop-limit")


def _size_on_grid(size: Size, product: Product, *, rounding: bool) -> Size:
    down = step_down(size, product.size_step)
    if not rounding and not multiple_of(size, product.size_step):
        raise OffGrid(
            f"size {plain(size)} is off the grid of {plain(product.size_step)} {product.base}",
            field="size",
            nearest=_around(size, product.size_step, lowest=product.min_size),
        )
    if down < product.min_size:
        raise SizeRoundsToZero(
            f"size {plain(size)} is below the smallest order of {plain(product.min_size)} {product.base}",
            fix=f"use at least {plain(product.min_size)}",
        )
    if product.max_size is not None and down > product.max_size:
        raise UsageError(f"size {plain(size)} is above the largest order of {plain(product.max_size)} {product.base}")
    return Size(down)


def _maybe_price(price: Price | None, side: Side, product: Product, *, rounding: bool, field: str) -> Price | None:
    if price is None:
        return None
    step = product.price_step(price)
    if multiple_of(price, step):
        return price
    if not rounding:
        raise OffGrid(
            f"{field} {plain(price)} is off the grid of {plain(step)} {product.quote}",
            field=field,
            nearest=_around(price, step, lowest=step),
        )
    rounded = step_down(price, step) if side is Side.BUY else step_up(price, step)
    if rounded <= 0:
        raise UsageError(f"{field} rounds to zero")
    return Price(rounded)


def _around(value: Decimal, step: Decimal, *, lowest: Decimal) -> tuple[str, ...]:
    down, up = step_down(value, step), step_up(value, step)
    return tuple(plain(max(candidate, lowest)) for candidate in ((down, up) if down >= lowest else (up,)))
