"""What an order would ask of the account, from the figures the venue has instead of a preview (reference section 8.1).

An estimate: nothing here says that the order would be taken.
"""

from decimal import Decimal

from perpsctl.domain.market import PriceLimits
from perpsctl.domain.numbers import Notional, Price, notional_of, plain
from perpsctl.domain.orders import Preview, QuantizedOrder
from perpsctl.domain.sides import Side
from perpsctl.exchange.answers import strangeness
from perpsctl.exchange.global_derivatives.catalogue import Catalogue
from perpsctl.exchange.global_derivatives.link import Link
from perpsctl.wire.global_derivatives import convert_market, market, params, reading, trading

__all__ = ["estimate"]


def estimate(link: Link, catalogue: Catalogue, order: QuantizedOrder) -> Preview:
    """Margin and room for this order by `get_margins` and `get_max_order_size`, prices by the ticker."""
    name = order.product_id
    told = catalogue.ticker(name)
    with strangeness(f"the ticker of {name}"):
        bid = reading.price_or_none(told.body.best_bid_price, "best_bid_price")
        ask = reading.price_or_none(told.body.best_ask_price, "best_ask_price")
        price = order.limit_price or _touch(order, bid, ask, told.body)
    margins = link.read(
        "private/get_margins",
        params.MarginsParams(instrument_name=name, amount=order.size, price=price),
        trading.Margins,
    )
    room = link.read(
        "private/get_max_order_size", params.MarginsParams(instrument_name=name, price=price), trading.MaxOrderSize
    )
    buys = order.side is Side.BUY
    with strangeness(f"the margins of {name}"):
        margin = reading.figure(margins.body.buy if buys else margins.body.sell, "margin")
        largest = reading.not_below_zero(
            room.body.max_tradable_amount_reduce_only if order.intent.reduce_only else room.body.max_tradable_amount,
            "max_tradable_amount",
        )
        limits = convert_market.price_limits_from(told.body)
    return Preview(
        problems=_problems(order, largest),
        warnings=_warnings(order, limits),
        order_total=notional_of(price, order.size),
        commission=None,  # whether the venue's fee figures are rates or amounts is on no record
        margin=Notional(margin),
        average_price=None,
        best_bid=bid,
        best_ask=ask,
        slippage=None,
        estimate=True,
    )


def _touch(order: QuantizedOrder, bid: Price | None, ask: Price | None, ticker: market.Ticker) -> Price:
    touch = ask if order.side is Side.BUY else bid
    return touch if touch is not None else reading.price(ticker.mark_price, "mark_price")


def _problems(order: QuantizedOrder, largest: Decimal) -> tuple[str, ...]:
    if order.size <= largest:
        return ()
    return (f"size {plain(order.size)} is above the {plain(largest)} the account has room for",)


def _warnings(order: QuantizedOrder, limits: PriceLimits) -> tuple[str, ...]:
    price = order.limit_price
    drawn = None if price is None else limits.drawn_in(order.side, price)
    if drawn is None or drawn == price:
        return ()
    return (f"the venue would move the price to its limit of {plain(drawn)} without a word",)
