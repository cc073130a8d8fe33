"""Market data: products, book, candles, trades, time. Contracts on the wire, coin in the domain."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import (
    BookView,
    Candle,
    FundingTerms,
    Level,
    PublicTrade,
    SessionState,
    TradingSession,
    TradingStatus,
)
from perpsctl.domain.numbers import Price, Size
from perpsctl.domain.products import RETIRED_SUFFIX, MarginRates, PriceStep, Product
from perpsctl.domain.text import shown
from perpsctl.wire.advanced_trade import market, reading
from perpsctl.wire.advanced_trade.common import is_absent
from perpsctl.wire.guard import WireError

MAX_PRODUCTS: Final = 20_000  # the venue lists about a thousand (2026-11-22); fault H12
_FUTURE = "FUTURE"


def is_perp(body: market.ProductBody) -> bool:
    """True for a US perpetual, by structure: a future with funding of its own, or PERP in its name.

    `contract_expiry_type` cannot tell: it says EXPIRING for US perps (recorded BIP, 2026-04-06). Dated futures have
    neither sign; the retired INTX family has both and is excluded by its venue and id.
    """
    details = body.future_product_details
    if body.product_type != _FUTURE or not isinstance(details, market.FutureDetails):
        return False
    if body.product_venue == "INTX" or reading.text(body.product_id).endswith(RETIRED_SUFFIX):
        return False
    funded = not (is_absent(details.funding_interval) and is_absent(details.funding_rate))
    return funded or any("PERP" in reading.text(name) for name in (body.display_name, details.contract_display_name))


def perps_from(reply: market.ProductsReply, as_of: datetime) -> tuple[Product, ...]:
    """Every US perpetual of a product list; WireError for a list without products, too long, or naming one id twice."""
    bodies = _listed(reply)
    return tuple(product_from(body, as_of) for body in bodies if is_perp(body))


def contract_sizes_from(reply: market.ProductsReply) -> dict[ProductId, Size]:
    """Coin per contract of every future of a product list, dated ones too: what orders and positions are read with."""
    return {
        reading.product_id(body.product_id): contract_size_from(body)
        for body in _listed(reply)
        if isinstance(body.future_product_details, market.FutureDetails) and body.product_type == _FUTURE
    }


def _listed(reply: market.ProductsReply) -> tuple[market.ProductBody, ...]:
    bodies = reading.required(reply.products, "products")
    if len(bodies) > MAX_PRODUCTS:
        raise WireError(f"{len(bodies)} products are more than the cap of {MAX_PRODUCTS}")
    reading.no_two_alike((reading.text(body.product_id) for body in bodies), "product")
    return bodies


def contract_size_from(body: market.ProductBody) -> Size:
    """Coin per contract of a future; WireError for a product without one."""
    details = reading.required(body.future_product_details, "future_product_details")
    return Size(reading.above_zero(details.contract_size, "contract_size"))


def product_from(body: market.ProductBody, as_of: datetime) -> Product:
    """A US perpetual. `as_of` is when it was asked for. WireError when it is no perpetual or a needed field is missing.

    The price step is `price_increment`; `quote_increment` is finer and not the tick (BIP: 5 against 0.01).
    """
    if not is_perp(body):
        raise WireError(f"{reading.text(body.product_id)} is no perpetual of this venue")
    details = reading.required(body.future_product_details, "future_product_details")
    contract = contract_size_from(body)
    root = reading.venue_id(details.contract_root_unit, "contract_root_unit")
    most = reading.figure_or_none(body.base_max_size, "base_max_size")
    step = reading.above_zero(body.price_increment, "price_increment")
    name = body.display_name if body.display_name else details.contract_display_name
    return Product(
        product_id=reading.product_id(body.product_id),
        alias=f"{root}-PERP",
        base=root,
        quote=reading.venue_id(body.quote_currency_id, "quote_currency_id"),
        contract_size=contract,
        size_step=reading.coin(reading.above_zero(body.base_increment, "base_increment"), contract),
        min_size=reading.coin(reading.not_below_zero(body.base_min_size, "base_min_size"), contract),
        max_size=reading.coin(most, contract) if most is not None and most > 0 else None,
        price_steps=(PriceStep(above=Decimal(0), step=step),),
        status=_status_from(body),
        funding=_funding_from(details, as_of),
        index_price=reading.price_or_none(details.index_price, "index_price"),
        last_price=reading.price_or_none(body.price, "price"),
        intraday_margin=_rates_from(details.intraday_margin_rate, "intraday_margin_rate"),
        overnight_margin=_rates_from(details.overnight_margin_rate, "overnight_margin_rate"),
        expiry=reading.moment_or_none(details.contract_expiry, "contract_expiry"),
        display_name=shown(reading.text(name), 80),
        as_of=as_of,
    )


def _status_from(body: market.ProductBody) -> TradingStatus:
    """A missing gate is an error, not an open gate; `view_only` alone is filled only where it was asked for."""
    return TradingStatus(
        disabled=reading.flag(body.is_disabled, "is_disabled")
        or reading.flag(body.trading_disabled, "trading_disabled"),
        cancel_only=reading.flag(body.cancel_only, "cancel_only"),
        limit_only=reading.flag(body.limit_only, "limit_only"),
        post_only=reading.flag(body.post_only, "post_only"),
        auction=reading.flag(body.auction_mode, "auction_mode"),
        view_only=body.view_only is True,
        session=_session_from(body),
    )


def _session_from(body: market.ProductBody) -> TradingSession:
    """The session; a product that tells none has an unknown one, in which nothing is placed.

    Only `is_session_open` is believed: the word for a closed session is on no record, and `closed_reason` names
    maintenance while BIP is open (reference 4.2).
    """
    details = body.fcm_trading_session_details
    if not isinstance(details, market.TradingSessionDetails):
        return TradingSession(state=SessionState.UNRECOGNISED, opens=None, closes=None, maintenance=None)
    state = {True: SessionState.OPEN, False: SessionState.CLOSED}
    return TradingSession(
        state=state[details.is_session_open]
        if isinstance(details.is_session_open, bool)
        else SessionState.UNRECOGNISED,
        opens=reading.moment_or_none(details.open_time, "open_time"),
        closes=reading.moment_or_none(details.close_time, "close_time"),
        maintenance=_maintenance_from(details),
        after_hours_entry_disabled=details.after_hours_order_entry_disabled is True,
    )


def _maintenance_from(details: market.TradingSessionDetails) -> tuple[datetime, datetime] | None:
    if not isinstance(details.maintenance, market.Maintenance):
        return None
    start = reading.moment_or_none(details.maintenance.start_time, "maintenance.start_time")
    end = reading.moment_or_none(details.maintenance.end_time, "maintenance.end_time")
    return None if start is None or end is None else (start, end)


def _funding_from(details: market.FutureDetails, as_of: datetime) -> FundingTerms:
    """`funding_time` is the hour the rate applies to (reference 12); the next accrual is whole intervals later."""
    interval = reading.interval_or_none(details.funding_interval)
    last = reading.moment_or_none(details.funding_time, "funding_time")
    return FundingTerms(
        rate=reading.figure_or_none(details.funding_rate, "funding_rate"),
        interval=interval,
        next_accrual=_after(last, interval, as_of),
        as_of=as_of,
        rate_time=last,
    )


def _after(last: datetime | None, interval: timedelta | None, as_of: datetime) -> datetime | None:
    if last is None or last > as_of:
        return last
    if interval is None:
        return None
    return last + ((as_of - last) // interval + 1) * interval


def _rates_from(rates: object, field: str) -> MarginRates | None:
    if not isinstance(rates, market.SideRates):
        return None
    long = reading.figure_or_none(rates.long_margin_rate, f"{field}.long_margin_rate")
    short = reading.figure_or_none(rates.short_margin_rate, f"{field}.short_margin_rate")
    if long is None or short is None:
        return None
    if long <= 0 or short <= 0:
        raise WireError(f"{field} is not above zero")
    return MarginRates(long=long, short=short)


def server_time_from(body: market.ServerTime) -> datetime:
    """The venue's clock, to the millisecond where it says so, else to the second."""
    if not is_absent(body.epoch_millis):
        return reading.unix_millis(body.epoch_millis, "epochMillis")
    if not is_absent(body.epoch_seconds):
        return reading.unix_seconds(body.epoch_seconds, "epochSeconds")
    return reading.moment(body.iso, "iso")


def book_from(reply: market.ProductBookReply, product: Product, as_of: datetime) -> BookView:
    """One product's book in coin, best first. WireError for another product's book (H10) or levels out of order.

    A crossed or one-sided book is passed on: `BookView.sound` says so, and nobody takes a price from it (W9).
    """
    book = reading.required(reply.pricebook, "pricebook")
    return _book(book, product, as_of, last=reading.price_or_none(reply.last, "last"))


def best_bid_ask_from(reply: market.BestBidAskReply, product: Product, as_of: datetime) -> BookView | None:
    """The best level a side of one product as a book; None when the reply does not list it."""
    books = reading.required(reply.pricebooks, "pricebooks")
    reading.no_two_alike((reading.text(book.product_id) for book in books), "price book")
    found = next((book for book in books if book.product_id == product.product_id), None)
    return None if found is None else _book(found, product, as_of, last=None)


def _book(book: market.PriceBook, product: Product, as_of: datetime, *, last: Price | None) -> BookView:
    if book.product_id != product.product_id:
        raise WireError(f"a book of {reading.text(book.product_id)} was sent for {product.product_id}")
    bids = reading.each(book.bids, "bids", lambda row: _level(row, product))
    asks = reading.each(book.asks, "asks", lambda row: _level(row, product))
    reading.in_order(bids, asks)
    return BookView(
        product_id=product.product_id,
        bids=bids,
        asks=asks,
        as_of=as_of,
        venue_time=reading.moment_or_none(book.time, "time"),
        last=last,
    )


def _level(row: market.PriceLevel, product: Product) -> Level:
    contracts = reading.not_below_zero(row.size, "size")
    return Level(price=reading.price(row.price, "price"), size=reading.coin(contracts, product.contract_size))


def candles_from(reply: market.CandlesReply, product: Product) -> tuple[Candle, ...]:
    """Candles, oldest first (the wire has the newest first). Volume is taken to be contracts, as `volume_24h` is

    (BIP 2026-04-06: 678476 x 0.01 x 68930 is its quote volume); for candles no source says it.
    """
    found = reading.each(reply.candles, "candles", lambda row: _candle(row, product))
    return tuple(sorted(found, key=lambda candle: candle.start))


def _candle(row: market.CandleBody, product: Product) -> Candle:
    candle = Candle(
        start=reading.unix_seconds(row.start, "start"),
        open=reading.price(row.open, "open"),
        high=reading.price(row.high, "high"),
        low=reading.price(row.low, "low"),
        close=reading.price(row.close, "close"),
        volume=reading.coin(reading.not_below_zero(row.volume, "volume"), product.contract_size),
    )
    if not candle.low <= min(candle.open, candle.close) <= max(candle.open, candle.close) <= candle.high:
        raise WireError("a candle's low and high do not hold its open and close")
    return candle


def trades_from(reply: market.TickerTradesReply, product: Product) -> tuple[PublicTrade, ...]:
    """The tape, newest first as on the wire, sizes in coin. WireError for another product's trades."""
    return reading.each(reply.trades, "trades", lambda row: _trade(row, product))


def _trade(row: market.TradeBody, product: Product) -> PublicTrade:
    if row.product_id != product.product_id:
        raise WireError(f"a trade of {reading.text(row.product_id)} was sent for {product.product_id}")
    return PublicTrade(
        trade_id=reading.venue_id(row.trade_id, "trade_id"),
        price=reading.price(row.price, "price"),
        size=reading.coin(reading.not_below_zero(row.size, "size"), product.contract_size),
        time=reading.moment(row.time, "time"),
        maker_side=reading.side(row.side),
    )
