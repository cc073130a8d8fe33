"""Orders, fills and previews as the venue tells them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from perpsctl.domain.ids import ClientOrderId, FillId, ProductId
from perpsctl.domain.numbers import NO_SIZE, Price, Size
from perpsctl.domain.orders import (
    Fill,
    FillKind,
    Liquidity,
    OrderStatus,
    OrderType,
    Preview,
    TimeInForce,
    VenueOrder,
)
from perpsctl.domain.text import shown
from perpsctl.wire.advanced_trade import configurations, orders, reading
from perpsctl.wire.advanced_trade.common import is_absent
from perpsctl.wire.guard import WireError

STATUSES: Final = {
    "PENDING": OrderStatus.PENDING,
    "QUEUED": OrderStatus.QUEUED,
    "OPEN": OrderStatus.OPEN,
    "CANCEL_QUEUED": OrderStatus.CANCEL_QUEUED,
    "EDIT_QUEUED": OrderStatus.EDIT_QUEUED,
    "FILLED": OrderStatus.FILLED,
    "CANCELLED": OrderStatus.CANCELLED,
    "EXPIRED": OrderStatus.EXPIRED,
    "FAILED": OrderStatus.FAILED,
}
_TYPES: Final = {"MARKET": OrderType.MARKET, "LIMIT": OrderType.LIMIT, "STOP_LIMIT": OrderType.STOP_LIMIT}
_TIFS: Final = {
    "GOOD_UNTIL_CANCELLED": TimeInForce.GTC,
    "GOOD_UNTIL_DATE_TIME": TimeInForce.GTD,
    "IMMEDIATE_OR_CANCEL": TimeInForce.IOC,
    "FILL_OR_KILL": TimeInForce.FOK,
}
VARIANTS: Final = {
    "market_market_ioc": (OrderType.MARKET, TimeInForce.IOC),
    "market_market_fok": (OrderType.MARKET, TimeInForce.FOK),
    "sor_limit_ioc": (OrderType.LIMIT, TimeInForce.IOC),
    "limit_limit_gtc": (OrderType.LIMIT, TimeInForce.GTC),
    "limit_limit_gtd": (OrderType.LIMIT, TimeInForce.GTD),
    "limit_limit_fok": (OrderType.LIMIT, TimeInForce.FOK),
    "stop_limit_stop_limit_gtc": (OrderType.STOP_LIMIT, TimeInForce.GTC),
    "stop_limit_stop_limit_gtd": (OrderType.STOP_LIMIT, TimeInForce.GTD),
}
"""The configurations of the orders this toolkit places, by wire name."""

_MAY_POST = ("limit_limit_gtc", "limit_limit_gtd")
_SAYS_NOTHING = ("", "REJECT_REASON_UNSPECIFIED")
_SPOT = "SPOT"
_KINDS: Final = {
    "FILL": FillKind.FILL,
    "REVERSAL": FillKind.REVERSAL,
    "CORRECTION": FillKind.CORRECTION,
    "SYNTHETIC": FillKind.SYNTHETIC,
}
_LIQUIDITY: Final = {"MAKER": Liquidity.MAKER, "TAKER": Liquidity.TAKER}


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedTerms:
    """What an order's configuration says, sizes in coin; all None when it names no variant or several."""

    variant: str
    size: Size | None
    limit_price: Price | None
    stop_price: Price | None
    post_only: bool | None
    expires: datetime | None


NOTHING_STATED = StatedTerms(variant="", size=None, limit_price=None, stop_price=None, post_only=None, expires=None)


def terms_from(configuration: object, unit: Size) -> StatedTerms:
    """Read a configuration with `unit` coin per unit of `base_size`. An order sized in quote has no size in coin."""
    chosen = configuration.chosen() if isinstance(configuration, configurations.OrderConfiguration) else None
    if chosen is None:
        return NOTHING_STATED
    variant, terms = chosen
    units = reading.figure_or_none(terms.base_size, "base_size")
    if units is not None and units < 0:
        raise WireError("base_size is below zero")
    stop = terms.stop_trigger_price if is_absent(terms.stop_price) else terms.stop_price
    return StatedTerms(
        variant=variant,
        size=None if units is None else reading.coin(units, unit),
        limit_price=reading.price_or_none(terms.limit_price, "limit_price"),
        stop_price=reading.price_or_none(stop, "stop_price"),
        post_only=_told_flag(terms.post_only) if variant in _MAY_POST else False,
        expires=reading.moment_or_none(terms.end_time, "end_time"),
    )


def _told_flag(value: object) -> bool | None:
    return None if is_absent(value) else value is True


def unit_of(product: ProductId, product_type: object, contract_sizes: Mapping[ProductId, Size]) -> Size:
    """Coin per unit of an order's size: the contract of a future, 1 for spot; WireError for an unknown future."""
    if product in contract_sizes:
        return contract_sizes[product]
    if product_type == _SPOT:
        return Size(Decimal(1))
    raise WireError(f"the contract size of {product} is unknown")


def order_from(body: orders.OrderBody, contract_sizes: Mapping[ProductId, Size], read_at: datetime) -> VenueOrder:
    """One order. Words we do not know are UNRECOGNISED with their raw text; an unreadable number is a WireError.

    Size and prices are those of the configuration, which is taken to show the terms after edits (no source says so).
    """
    product = reading.product_id(body.product_id)
    unit = unit_of(product, body.product_type, contract_sizes)
    stated = terms_from(body.order_configuration, unit)
    by_variant = VARIANTS.get(stated.variant, (OrderType.UNRECOGNISED, TimeInForce.UNRECOGNISED))
    fees = body.fee if is_absent(body.total_fees) else body.total_fees
    return VenueOrder(
        venue_order_id=reading.order_id(body.order_id),
        client_order_id=ClientOrderId(body.client_order_id) if body.client_order_id else None,
        product_id=product,
        side=reading.side(body.side),
        size=stated.size,
        filled=_filled(body, unit),
        status=reading.word(body.status, STATUSES, OrderStatus.UNRECOGNISED),
        raw_status=shown(reading.text(body.status), 80),
        type=reading.word(body.order_type, _TYPES, by_variant[0]),
        raw_type=shown(reading.text(body.order_type), 80),
        tif=reading.word(body.time_in_force, _TIFS, by_variant[1]),
        limit_price=stated.limit_price,
        stop_price=stated.stop_price,
        post_only=stated.post_only,
        average_price=reading.price_or_none(body.average_filled_price, "average_filled_price"),
        fees=reading.notional_or_none(fees, "total_fees"),
        created=reading.moment_or_none(body.created_time, "created_time"),
        expires=stated.expires,
        placement_source=shown(reading.text(body.order_placement_source), 80),
        reason=_reason(body),
        is_liquidation=body.is_liquidation is True,
        read_at=read_at,
    )


def _filled(body: orders.OrderBody, unit: Size) -> Size:
    """The filled size; without one only an order that counts no fill is known to have filled nothing."""
    if not is_absent(body.filled_size):
        return reading.coin(reading.not_below_zero(body.filled_size, "filled_size"), unit)
    if reading.figure_or_none(body.number_of_fills, "number_of_fills") == 0:
        return NO_SIZE
    raise WireError("filled_size is missing")


def _reason(body: orders.OrderBody) -> str:
    told = (body.reject_message, body.cancel_message, body.reject_reason)
    return next((shown(reading.text(word)) for word in told if reading.text(word) not in _SAYS_NOTHING), "")


def orders_from(
    reply: orders.OrdersReply, contract_sizes: Mapping[ProductId, Size], read_at: datetime
) -> tuple[VenueOrder, ...]:
    """The derivatives orders of one page; spot orders are left out. WireError without the list (L5)."""
    bodies = reading.required(reply.orders, "orders")
    return tuple(order_from(body, contract_sizes, read_at) for body in bodies if body.product_type != _SPOT)


def more_orders(reply: orders.OrdersReply) -> str | None:
    """The cursor of the next page, None at the end; WireError when there is more and no cursor (E21)."""
    if not reading.flag(reply.has_next, "has_next"):
        return None
    return reading.required(reply.cursor, "cursor")


def single_order_from(
    reply: orders.OrderReply, contract_sizes: Mapping[ProductId, Size], read_at: datetime
) -> VenueOrder:
    """The order of a read by id; WireError when the reply holds none."""
    return order_from(reading.required(reply.order, "order"), contract_sizes, read_at)


def fill_from(body: orders.FillBody, contract_sizes: Mapping[ProductId, Size]) -> Fill:
    """One fill of a future. WireError for a size in quote currency: contracts are never sized so."""
    product = reading.product_id(body.product_id)
    if product not in contract_sizes:
        raise WireError(f"the contract size of {product} is unknown")
    if body.size_in_quote is True:
        raise WireError(f"a fill of {product} is sized in quote currency")
    units = reading.not_below_zero(body.size, "size")
    return Fill(
        fill_id=FillId(reading.venue_id(body.entry_id, "entry_id")),
        trade_id=shown(reading.text(body.trade_id), 128),
        venue_order_id=reading.order_id(body.order_id),
        product_id=product,
        side=reading.side(body.side),
        price=reading.price(body.price, "price"),
        size=reading.coin(units, contract_sizes[product]),
        fee=reading.notional_or_none(body.commission, "commission"),
        kind=reading.word(body.trade_type, _KINDS, FillKind.UNRECOGNISED),
        liquidity=reading.word(body.liquidity_indicator, _LIQUIDITY, Liquidity.UNKNOWN),
        time=reading.moment(body.trade_time, "trade_time"),
    )


def fills_from(reply: orders.FillsReply, contract_sizes: Mapping[ProductId, Size]) -> tuple[Fill, ...]:
    """The fills of one page as the venue orders them; every row must be of a known future (ask by product)."""
    return reading.each(reply.fills, "fills", lambda row: fill_from(row, contract_sizes))


def more_fills(reply: orders.FillsReply) -> str | None:
    """The cursor of the next page; None at the end, which the venue marks with an empty one."""
    return reading.text(reply.cursor) or None


def preview_from(reply: orders.PreviewReply) -> Preview:
    """What the venue says an order or an edit would do; its reasons are its own words, escaped."""
    problems = tuple(reply.errs or ()) + tuple(
        reading.text(failure.edit_failure_reason) or reading.text(failure.preview_failure_reason)
        for failure in reply.errors or ()
    )
    average = (
        reply.average_filled_price if is_absent(reply.est_average_filled_price) else reply.est_average_filled_price
    )
    return Preview(
        problems=tuple(shown(problem) for problem in problems),
        warnings=tuple(shown(warning) for warning in reply.warning or ()),
        order_total=reading.notional_or_none(reply.order_total, "order_total"),
        commission=reading.notional_or_none(reply.commission_total, "commission_total"),
        margin=reading.notional_or_none(reply.order_margin_total, "order_margin_total"),
        average_price=reading.price_or_none(average, "est_average_filled_price"),
        best_bid=reading.price_or_none(reply.best_bid, "best_bid"),
        best_ask=reading.price_or_none(reply.best_ask, "best_ask"),
        slippage=reading.figure_or_none(reply.slippage, "slippage"),
        estimate=False,
    )
