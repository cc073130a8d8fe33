"""Domain values as parameters. What is sent is what was meant: the same numbers, in coin (invariant I7)."""

from typing import Final

from msgspec import UNSET

from perpsctl.domain.errors import UsageError
from perpsctl.domain.ids import ClientOrderId, VenueOrderId
from perpsctl.domain.orders import OrderType, QuantizedEdit, QuantizedOrder, TimeInForce
from perpsctl.domain.sides import Side
from perpsctl.wire.global_derivatives.common import OrderPrice
from perpsctl.wire.global_derivatives.params import (
    CancelManyParams,
    ClosePositionParams,
    EditParams,
    OrderIdParams,
    OrderParams,
)

LABEL_MAX: Final = 64  # characters of a label (reference section 8.1, 2026-11-22)
STOP_TRIGGER: Final = (
    "mark_price"  # of index, mark and last: the one positions are liquidated by, and no wick of a trade
)

_TYPES: Final = {OrderType.MARKET: "market", OrderType.LIMIT: "limit", OrderType.STOP_LIMIT: "stop_limit"}
_TIFS: Final = {
    TimeInForce.GTC: "good_til_cancelled",
    TimeInForce.IOC: "immediate_or_cancel",
    TimeInForce.FOK: "fill_or_kill",
}
_METHODS: Final = {Side.BUY: "private/buy", Side.SELL: "private/sell"}


def method_of(side: Side) -> str:
    """The side of an order is its method."""
    return _METHODS[side]


def label_of(client_order_id: ClientOrderId) -> str:
    """The label of an attempt: the client order id; UsageError over 64 characters (reference 8.1)."""
    if not 1 <= len(client_order_id) <= LABEL_MAX:
        raise UsageError(
            f"a label is 1 to {LABEL_MAX} characters on this venue", fix="choose a shorter client order id"
        )
    return client_order_id


def order_params(order: QuantizedOrder, client_order_id: ClientOrderId, *, valid_until: int) -> OrderParams:
    """Buy or sell. `valid_until` is the venue's clock in milliseconds: later than that the order cannot start.

    Post-only always means "reject", so both flags travel; `post_only` is always written, for the venue's default is
    documented as true. UsageError for what the venue has no way to say, such as an end time (reference 8.1).
    """
    intent = order.intent
    type_, tif = _TYPES.get(intent.type), _TIFS.get(intent.tif)
    if tif is None and intent.tif is TimeInForce.GTD:
        raise UsageError(
            "this venue has no orders with an end time", fix="use gtc and cancel it, or let `run` expire it"
        )
    if type_ is None or tif is None:
        raise UsageError(f"the venue has no {intent.type.value} order with time in force {intent.tif.value}")
    if intent.post_only and (intent.type is not OrderType.LIMIT or intent.tif is not TimeInForce.GTC):
        raise UsageError(f"the venue has no post-only {intent.type.value} {intent.tif.value} order")
    if intent.type is OrderType.MARKET and intent.tif is TimeInForce.GTC:
        raise UsageError("a market order that rests is not placed", fix="use ioc or fok")
    limit = None if intent.type is OrderType.MARKET else order.limit_price
    stop = order.stop_price if intent.type is OrderType.STOP_LIMIT else None
    if (limit is None and intent.type is not OrderType.MARKET) or (
        stop is None and intent.type is OrderType.STOP_LIMIT
    ):
        raise UsageError(f"a {intent.type.value} order needs its price")
    return OrderParams(
        instrument_name=order.product_id,
        amount=order.size,
        type=type_,
        label=label_of(client_order_id),
        price=UNSET if limit is None else limit,
        time_in_force=tif,
        post_only=intent.post_only,
        reject_post_only=intent.post_only,
        reduce_only=intent.reduce_only,
        trigger_price=UNSET if stop is None else stop,
        trigger=UNSET if stop is None else STOP_TRIGGER,
        valid_until=valid_until,
    )


def edit_params(edit: QuantizedEdit, *, valid_until: int) -> EditParams:
    """Price, new total amount and all flags together, so that nothing is left to the venue's memory or defaults.

    Whether `amount` is the total with fills is not on record for this gateway; it is taken to be (reference 8.4).
    """
    return EditParams(
        order_id=edit.intent.venue_order_id,
        amount=edit.new_size,
        price=UNSET if edit.new_price is None else OrderPrice(edit.new_price),
        post_only=edit.post_only,
        reject_post_only=edit.post_only,
        reduce_only=edit.reduce_only,
        valid_until=valid_until,
    )


def cancel_params(venue_order_id: VenueOrderId) -> OrderIdParams:
    """`private/cancel`, one order: this venue has no list of ids."""
    return OrderIdParams(order_id=venue_order_id)


def cancel_all_params() -> CancelManyParams:
    """`private/cancel_all`, isolated orders too: without the flag they would stay open (reference 8.4)."""
    return CancelManyParams(include_isolated=True)


def close_params(order: QuantizedOrder) -> ClosePositionParams:
    """`private/close_position` at market: the whole position, without a label and so not to be found by one."""
    return ClosePositionParams(instrument_name=order.product_id, type="market")


def market_close_params(order: QuantizedOrder, client_order_id: ClientOrderId, *, valid_until: int) -> OrderParams:
    """A labelled reduce-only market order of this size: what serves for a close that must be findable (reference 8.1)."""
    return OrderParams(
        instrument_name=order.product_id,
        amount=order.size,
        type="market",
        label=label_of(client_order_id),
        time_in_force="immediate_or_cancel",
        post_only=False,
        reject_post_only=False,
        reduce_only=True,
        valid_until=valid_until,
    )
