"""Market data in domain values: products, book, tape, candles, funding, time. Amounts are coin on this wire already."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from itertools import pairwise
from typing import Final

from perpsctl.domain.funding import FundingHour
from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import (
    BookView,
    Candle,
    FundingTerms,
    Level,
    Mark,
    MarkSource,
    PriceLimits,
    PublicTrade,
    SessionState,
    TradingSession,
    TradingStatus,
)
from perpsctl.domain.numbers import WIDE, Size
from perpsctl.domain.products import MarginRates, PriceStep, Product
from perpsctl.wire.global_derivatives import market, reading
from perpsctl.wire.guard import WireError
from perpsctl.wire.reading import (
    each,
    flag,
    in_order,
    is_absent,
    no_two_alike,
    product_id,
    required,
    side,
    text,
    venue_id,
)

MAX_INSTRUMENTS: Final = 20_000  # the venue lists about a hundred and twenty-five perps, and options (2026-11-22)
QUOTE: Final = "USDC"
NEVER: Final = 32_503_708_800_000  # expiration of a perpetual: the year 3000
_FUNDING_SPAN: Final = timedelta(hours=8)  # what `funding_8h` is a rate for
_RATE_PLACES: Final = Decimal("0.0000000001")

_OPEN: Final = "open"
_SETTLING: Final = "settlement"  # some seconds at 08:00 UTC: no orders, edits or cancels
_LOCKED: Final = "locked"  # cancels only
_SHUT: Final = ("inactive", "halted", "delivered", "archivized")


def is_perp(body: market.Instrument) -> bool:
    """True for a linear USDC perpetual, by structure and not by its name (reference 7)."""
    linear = "linear" in (body.instrument_type, body.future_type)
    perpetual = body.kind == "future" and body.settlement_period == "perpetual"
    return perpetual and linear and body.settlement_currency == QUOTE and body.quote_currency == QUOTE


def perps_from(instruments: Sequence[market.Instrument], as_of: datetime) -> tuple[Product, ...]:
    """Every USDC perpetual of a list; WireError for one too long or naming an instrument twice.

    Without tickers: funding, index and last price are None until `product_from_instrument` gets one.
    """
    if len(instruments) > MAX_INSTRUMENTS:
        raise WireError(f"{len(instruments)} instruments are more than the cap of {MAX_INSTRUMENTS}")
    no_two_alike((text(body.instrument_name) for body in instruments), "instrument")
    return tuple(product_from_instrument(body, None, as_of) for body in instruments if is_perp(body))


def contract_sizes_from(instruments: Sequence[market.Instrument]) -> dict[ProductId, Size]:
    """Coin per contract of every USDC perpetual of a list: the instruments whose orders and positions are readable."""
    return {
        product_id(body.instrument_name, "instrument_name"): Size(
            reading.above_zero(body.contract_size, "contract_size")
        )
        for body in instruments
        if is_perp(body)
    }


def product_from_instrument(body: market.Instrument, ticker: market.Ticker | None, as_of: datetime) -> Product:
    """A USDC perpetual. `as_of` is when the older of the two was asked for. WireError when it is no perpetual, a needed

    field is missing, or the ticker is another instrument's (H10). The alias is the common name, e.g. `BTC-PERP`. A step
    of the amount that is not told is taken to be the contract (reference 7). Initial margin is one over the highest
    leverage, rounded up, the rate of small positions: it grows with size by an amount the venue does not publish here.
    """
    if not is_perp(body):
        raise WireError(f"{text(body.instrument_name)} is no USDC perpetual")
    name = product_id(body.instrument_name, "instrument_name")
    if ticker is not None and ticker.instrument_name != name:
        raise WireError(f"a ticker of {text(ticker.instrument_name)} was sent for {name}")
    base = venue_id(body.base_currency, "base_currency")
    contract = Size(reading.above_zero(body.contract_size, "contract_size"))
    step = contract if is_absent(body.qty_tick_size) else reading.above_zero(body.qty_tick_size, "qty_tick_size")
    return Product(
        product_id=name,
        alias=f"{base}-PERP",
        base=base,
        quote=QUOTE,
        contract_size=contract,
        size_step=Size(step),
        min_size=Size(reading.above_zero(body.min_trade_amount, "min_trade_amount")),
        max_size=None,
        price_steps=price_steps_from(body),
        status=status_from(body, ticker),
        funding=None if ticker is None else funding_from(ticker, as_of),
        index_price=None if ticker is None else reading.price_or_none(ticker.index_price, "index_price"),
        last_price=None if ticker is None else reading.price_or_none(ticker.last_price, "last_price"),
        intraday_margin=_margin_from(body),
        overnight_margin=None,
        expiry=_expiry_from(body),
        display_name=name,
        as_of=as_of,
        mark_price=None if ticker is None else reading.price_or_none(ticker.mark_price, "mark_price"),
        mark_time=None if ticker is None else reading.unix_millis_or_none(ticker.timestamp, "timestamp"),
        price_limits=None if ticker is None else price_limits_from(ticker),
    )


def price_steps_from(body: market.Instrument) -> tuple[PriceStep, ...]:
    """`tick_size` from zero on, then the steps of `tick_size_steps`, ascending; WireError for two steps from one price."""
    steps = [PriceStep(above=Decimal(0), step=reading.above_zero(body.tick_size, "tick_size"))]
    rows = body.tick_size_steps if isinstance(body.tick_size_steps, tuple) else ()
    for row in rows:
        above = reading.above_zero(row.above_price, "above_price")
        steps.append(PriceStep(above=above, step=reading.above_zero(row.tick_size, "tick_size")))
    steps.sort(key=lambda rung: rung.above)
    if any(lower.above == upper.above for lower, upper in pairwise(steps)):
        raise WireError("two price steps begin at one price")
    return tuple(steps)


def _margin_from(body: market.Instrument) -> MarginRates | None:
    most = reading.figure_or_none(body.max_leverage)
    if most is None:
        return None
    if most <= 0:
        raise WireError("max_leverage is not above zero")
    rate = WIDE.divide(Decimal(1), most).quantize(_RATE_PLACES, rounding=ROUND_CEILING, context=WIDE)
    return MarginRates(long=rate, short=rate)


def _expiry_from(body: market.Instrument) -> datetime | None:
    stamp = body.expiration_timestamp
    if is_absent(stamp) or (isinstance(stamp, int) and stamp >= NEVER):
        return None
    return reading.unix_millis(stamp, "expiration_timestamp")


def status_from(body: market.Instrument, ticker: market.Ticker | None = None) -> TradingStatus:
    """What may be traded, from the instrument's state and the ticker's, which is the fresher; the stricter word rules.

    A word nobody knows, and no word at all, are a session in which nothing is placed. `is_active` false is disabled;
    missing it is an error, not an open gate.
    """
    active = flag(body.is_active, "is_active")
    words = [text(body.state), text(ticker.state) if ticker is not None else ""]
    told = [word for word in words if word]
    known = (_OPEN, _SETTLING, _LOCKED, *_SHUT)
    if not told or any(word not in known for word in told):
        session = SessionState.UNRECOGNISED
    else:
        session = SessionState.CLOSED if _SETTLING in told else SessionState.OPEN
    return TradingStatus(
        disabled=not active or any(word in _SHUT for word in told),
        cancel_only=_LOCKED in told,
        limit_only=False,
        post_only=False,
        auction=False,
        view_only=False,
        session=TradingSession(state=session, opens=None, closes=None, maintenance=None),
    )


def funding_from(ticker: market.Ticker, as_of: datetime) -> FundingTerms:
    """Funding is paid continuously (reference 11): the rate is that of eight hours and there is no next accrual."""
    rate = reading.figure_or_none(ticker.funding_8h)
    return FundingTerms(rate=rate, interval=_FUNDING_SPAN, next_accrual=None, as_of=as_of)


def mark_from(ticker: market.Ticker, product: ProductId, as_of: datetime) -> Mark:
    """The venue's own mark; WireError without one or for another instrument's ticker (H10)."""
    if ticker.instrument_name != product:
        raise WireError(f"a ticker of {text(ticker.instrument_name)} was sent for {product}")
    return Mark(price=reading.price(ticker.mark_price, "mark_price"), as_of=as_of, source=MarkSource.VENUE)


def price_limits_from(body: market.Ticker) -> PriceLimits:
    """`min_price` and `max_price` of a ticker or a book; None for one that is not told."""
    return PriceLimits(
        lowest=reading.price_or_none(body.min_price, "min_price"),
        highest=reading.price_or_none(body.max_price, "max_price"),
    )


def server_time_from(millis: int) -> datetime:
    """`public/get_time`."""
    return reading.unix_millis(millis, "the server's time")


def book_from(body: market.OrderBook, product: Product, as_of: datetime) -> BookView:
    """One instrument's book in coin, best first. WireError for another's book (H10) or levels out of order.

    A crossed or one-sided book is passed on: `BookView.sound` says so, and nobody takes a price from it (W9).
    """
    if body.instrument_name != product.product_id:
        raise WireError(f"a book of {text(body.instrument_name)} was sent for {product.product_id}")
    bids, asks = each(body.bids, "bids", _level), each(body.asks, "asks", _level)
    in_order(bids, asks)
    return BookView(
        product_id=product.product_id,
        bids=bids,
        asks=asks,
        as_of=as_of,
        venue_time=reading.unix_millis_or_none(body.timestamp, "timestamp"),
        last=reading.price_or_none(body.last_price, "last_price"),
    )


def _level(row: market.Level) -> Level:
    return Level(price=reading.price(row[0], "price"), size=reading.size(row[1], "amount"))


def candles_from(body: market.ChartData, product: Product) -> tuple[Candle, ...]:
    """Candles, oldest first; `volume` is coin, `cost` is quote (native captures agree). WireError for lists that do not

    pair up; a chart that says "no_data" is empty.
    """
    if body.status == "no_data" and not body.ticks:
        return ()
    columns = (body.open, body.high, body.low, body.close, body.volume)
    ticks = required(body.ticks, "ticks")
    rows = [required(column, "a column of the chart") for column in columns]
    if any(len(row) != len(ticks) for row in rows):
        raise WireError(f"the chart of {product.product_id} has columns of different length")
    found = (_candle(tick, *figures) for tick, *figures in zip(ticks, *rows, strict=True))
    return tuple(sorted(found, key=lambda candle: candle.start))


def _candle(tick: int, opened: Decimal, high: Decimal, low: Decimal, close: Decimal, volume: Decimal) -> Candle:
    candle = Candle(
        start=reading.unix_millis(tick, "ticks"),
        open=reading.price(opened, "open"),
        high=reading.price(high, "high"),
        low=reading.price(low, "low"),
        close=reading.price(close, "close"),
        volume=reading.size(volume, "volume"),
    )
    if not candle.low <= min(candle.open, candle.close) <= max(candle.open, candle.close) <= candle.high:
        raise WireError("a candle's low and high do not hold its open and close")
    return candle


def trades_from(body: market.TapeTrades, product: Product) -> tuple[PublicTrade, ...]:
    """The tape in the order sent. `direction` is the taker's here; the domain keeps the maker's side."""
    return each(body.trades, "trades", lambda row: _trade(row, product))


def _trade(row: market.TapeTrade, product: Product) -> PublicTrade:
    if row.instrument_name != product.product_id:
        raise WireError(f"a trade of {text(row.instrument_name)} was sent for {product.product_id}")
    return PublicTrade(
        trade_id=venue_id(row.trade_id, "trade_id"),
        price=reading.price(row.price, "price"),
        size=reading.size(row.amount, "amount"),
        time=reading.unix_millis(row.timestamp, "timestamp"),
        maker_side=side(row.direction, "direction").opposite,
    )


def funding_hours_from(rows: Sequence[market.FundingRow]) -> tuple[FundingHour, ...]:
    """The history, oldest first."""
    found = (
        FundingHour(
            at=reading.unix_millis(row.timestamp, "timestamp"),
            rate_1h=reading.figure(row.interest_1h, "interest_1h"),
            rate_8h=reading.figure(row.interest_8h, "interest_8h"),
            index_price=reading.price_or_none(row.index_price, "index_price"),
        )
        for row in rows
    )
    return tuple(sorted(found, key=lambda hour: hour.at))
