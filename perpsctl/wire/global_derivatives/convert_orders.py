"""Orders and fills in domain values. Amounts are coin; an order of an unknown instrument is an error, not "none"."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from perpsctl.domain.ids import ClientOrderId, FillId, ProductId, VenueOrderId
from perpsctl.domain.numbers import NO_SIZE, Notional, Price, Size
from perpsctl.domain.orders import Fill, FillKind, Liquidity, OrderStatus, OrderType, TimeInForce, VenueOrder
from perpsctl.domain.text import shown
from perpsctl.wire.global_derivatives import reading, trading
from perpsctl.wire.global_derivatives.common import OrderPrice
from perpsctl.wire.global_derivatives.convert_market import QUOTE
from perpsctl.wire.guard import WireError
from perpsctl.wire.reading import (
    coin,
    fills_once,
    is_absent,
    order_id,
    product_id,
    required,
    side,
    text,
    venue_id,
    word,
)

# `triggered` is no end: the order lives on under a new id whose `trigger_order_id` names this one (reference 8.2).
STATES: Final = {
    "OPEN": OrderStatus.OPEN,
    "UNTRIGGERED": OrderStatus.OPEN,
    "TRIGGERED": OrderStatus.OPEN,
    "FILLED": OrderStatus.FILLED,
    "CANCELLED": OrderStatus.CANCELLED,
    "REJECTED": OrderStatus.FAILED,
}
TYPES: Final = {"LIMIT": OrderType.LIMIT, "MARKET": OrderType.MARKET, "STOP_LIMIT": OrderType.STOP_LIMIT}
TIFS: Final = {
    "GOOD_TIL_CANCELLED": TimeInForce.GTC,
    "GOOD_TIL_DAY": TimeInForce.GTD,
    "IMMEDIATE_OR_CANCEL": TimeInForce.IOC,
    "FILL_OR_KILL": TimeInForce.FOK,
}
_LIQUIDITY: Final = {"M": Liquidity.MAKER, "T": Liquidity.TAKER}
_WAITING: Final = ("untriggered", "triggered", "rejected")
_TRIGGER_TYPES: Final = ("stop_", "take_", "trailing_stop")


def order_from(body: trading.Order, contract_sizes: Mapping[ProductId, Size], read_at: datetime) -> VenueOrder:
    """One order. Words we do not know are UNRECOGNISED with their raw text; WireError for an unknown instrument.

    A market order is told as a limit with `original_order_type`; its price is none of ours, nor is "market_price".
    """
    product = _known(body.instrument_name, contract_sizes)
    told_type = text(body.original_order_type) or text(body.order_type)
    type_ = word(told_type, TYPES, OrderType.UNRECOGNISED)
    state = text(body.order_state)
    return VenueOrder(
        venue_order_id=order_id(body.order_id),
        client_order_id=ClientOrderId(body.label) if body.label else None,
        product_id=product,
        side=side(body.direction, "direction"),
        size=size_of(body, contract_sizes[product]),
        filled=_filled(body, contract_sizes[product]),
        status=word(state.partition(":")[0], STATES, OrderStatus.UNRECOGNISED),
        raw_status=shown(state, 80),
        type=type_,
        raw_type=shown(told_type, 80),
        tif=word(body.time_in_force, TIFS, TimeInForce.UNRECOGNISED),
        limit_price=None if type_ is OrderType.MARKET else _limit(body),
        stop_price=reading.price_or_none(body.trigger_price, "trigger_price"),
        post_only=body.post_only if isinstance(body.post_only, bool) else None,
        average_price=reading.price_or_none(body.average_price, "average_price"),
        fees=reading.notional_or_none(body.commission),
        created=reading.unix_millis_or_none(body.creation_timestamp, "creation_timestamp"),
        expires=None,
        placement_source=_source(body),
        reason=shown(text(body.cancel_reason) or state.partition(":")[2]),
        is_liquidation=body.is_liquidation is True,
        read_at=read_at,
        succeeds=waited_as(body),
    )


def _known(name: object, contract_sizes: Mapping[ProductId, Size]) -> ProductId:
    found = product_id(name if isinstance(name, str) else None, "instrument_name")
    if found not in contract_sizes:
        raise WireError(f"{found} is no USDC perpetual that is known")
    return found


def size_of(body: trading.Order | trading.UserTrade, contract_size: Size) -> Size | None:
    """The amount in coin, from contracts where only these are told; None when neither is."""
    if not is_absent(body.amount):
        return reading.size(body.amount, "amount")
    if not is_absent(body.contracts):
        return coin(reading.not_below_zero(body.contracts, "contracts"), contract_size)
    return None


def _filled(body: trading.Order, contract_size: Size) -> Size:
    """The filled amount. It may be missing on trigger orders (reference 8.2): those that wait have filled nothing."""
    if not is_absent(body.filled_amount):
        return reading.size(body.filled_amount, "filled_amount")
    state = text(body.order_state)
    if state == "filled":
        return required(size_of(body, contract_size), "amount")
    if state.partition(":")[0] in _WAITING or text(body.order_type).startswith(_TRIGGER_TYPES):
        return NO_SIZE
    raise WireError("filled_amount is missing")


def _limit(body: trading.Order) -> Price | None:
    value = body.price.value if isinstance(body.price, OrderPrice) else None
    return reading.price_or_none(value, "price")


def _source(body: trading.Order) -> str:
    told = text(body.app_name)
    if told:
        return shown(told, 80)
    flags = (("api", body.api), ("web", body.web), ("mobile", body.mobile))
    return next((name for name, on in flags if on is True), "")


def order_of_trigger(entry: trading.TriggerEntry) -> trading.Order:
    """A row of the trigger history as the waiting order it tells of: its own id is `trigger_order_id`, where there is one.

    `order_id` is then what it made, an order by itself. What waited has filled nothing (reference 8.2, 2026-11-22).
    """
    own = entry.order_id if is_absent(entry.trigger_order_id) else entry.trigger_order_id
    terms = ("instrument_name", "direction", "amount", "price", "label", "order_type", "post_only", "reduce_only")
    of_trigger = ("order_state", "trigger", "trigger_price", "trigger_offset", "is_secondary_oto")
    return trading.Order(
        order_id=own,
        filled_amount=NO_SIZE,
        creation_timestamp=entry.timestamp,
        last_update_timestamp=entry.last_update_timestamp,
        **{name: getattr(entry, name) for name in (*terms, *of_trigger)},
    )


def waited_as(body: trading.Order) -> VenueOrderId | None:
    """The id of the waiting order this one came from, None when it came from none: one intent, two ids."""
    return None if is_absent(body.trigger_order_id) else order_id(body.trigger_order_id, "trigger_order_id")


def orders_from(
    bodies: Iterable[trading.Order], contract_sizes: Mapping[ProductId, Size], read_at: datetime
) -> tuple[VenueOrder, ...]:
    """The derivatives orders of a list; spot orders are left out. WireError for any other instrument we do not know."""
    return tuple(order_from(body, contract_sizes, read_at) for body in bodies if not _is_spot(body.instrument_name))


def _is_spot(name: object) -> bool:
    """Spot is named like BTC_USDC; every derivative has a dash (reference 7)."""
    return isinstance(name, str) and "_" in name and "-" not in name


def fill_from(body: trading.UserTrade, contract_sizes: Mapping[ProductId, Size]) -> Fill:
    """One fill. Its key is (fee currency, trade id), for trade ids are unique per currency only (reference 8.3).

    A fee in another currency than the quote is not told in quote and so None.
    """
    product = _known(body.instrument_name, contract_sizes)
    currency = venue_id(body.fee_currency, "fee_currency")
    trade = venue_id(body.trade_id, "trade_id")
    fee = reading.figure(body.fee, "fee") if currency == QUOTE else None
    return Fill(
        fill_id=FillId(f"{currency}:{trade}"),
        trade_id=trade,
        venue_order_id=order_id(body.order_id),
        product_id=product,
        side=side(body.direction, "direction"),
        price=reading.price(body.price, "price"),
        size=required(size_of(body, contract_sizes[product]), "amount"),
        fee=None if fee is None else Notional(fee),
        kind=FillKind.FILL,
        liquidity=word(body.liquidity, _LIQUIDITY, Liquidity.UNKNOWN),
        time=reading.unix_millis(body.timestamp, "timestamp"),
    )


def fills_from(bodies: Iterable[trading.UserTrade], contract_sizes: Mapping[ProductId, Size]) -> tuple[Fill, ...]:
    """The fills of several reads joined, oldest first, each once; spot is left out.

    Recent and historical records overlap (reference 8.5); one key with two contents is a WireError.
    """
    return fills_once(fill_from(body, contract_sizes) for body in bodies if not _is_spot(body.instrument_name))
