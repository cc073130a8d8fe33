"""The market side of the US face: time, products, books, candles, trades (reference 4)."""

from datetime import UTC, datetime

from msgspec import UNSET, UnsetType

from perpsctl.simulator.exchange import Exchange
from perpsctl.simulator.faces.errors import Malformed
from perpsctl.simulator.faces.messages import Query
from perpsctl.simulator.faces.spelling import maybe, plain, stamp
from perpsctl.simulator.views import BookSnapshot, FutureView, Granularity, MarginRates, ProductView, SessionView
from perpsctl.wire.advanced_trade import market as wire

MAX_CANDLES = 350
_MAX_TRADES = 1000
_DEFAULT_TRADES = 100  # what an omitted limit gives; the documentation demands one, ccxt sends none (2026-11-22)
_EXPIRY_TYPE = "EXPIRING"  # US perps say so too (reference 0.3)
_LATEST = 4_102_444_800  # 2100-01-01: later seconds are a caller's mistake


def server_time(exchange: Exchange) -> wire.ServerTime:
    """GET /time."""
    now = exchange.now()
    millis = int(now.timestamp() * 1000)
    return wire.ServerTime(iso=stamp(now), epoch_seconds=str(millis // 1000), epoch_millis=str(millis))


def products(exchange: Exchange, query: Query) -> wire.ProductsReply:
    """GET /products: filtered, by 24 h volume, cut by limit and offset."""
    found = exchange.products(
        product_type=_real(query.one("product_type"), "UNKNOWN_PRODUCT_TYPE"),
        product_ids=query.many("product_ids", "product_id"),
        all_products=query.flag("get_all_products"),
    )
    expiry_type = _real(query.one("contract_expiry_type"), "UNKNOWN_CONTRACT_EXPIRY_TYPE")
    if expiry_type is not None:
        found = tuple(each for each in found if each.future is not None and expiry_type == _EXPIRY_TYPE)
    if query.one("expiring_contract_status") == "STATUS_EXPIRED":
        now = exchange.now()
        found = tuple(each for each in found if each.future is not None and each.future.contract_expiry <= now)
    ordered = sorted(found, key=lambda each: each.approximate_quote_24h_volume, reverse=True)
    offset = count(query, "offset", 0)
    limit = count(query, "limit", 0)
    shown = ordered[offset : offset + limit] if limit else ordered[offset:]
    more = offset + len(shown) < len(ordered)
    return wire.ProductsReply(
        products=tuple(product_body(each) for each in shown),
        num_products=len(shown),
        pagination=wire.Pagination(prev_cursor="", next_cursor="", has_next=more, has_prev=offset > 0),
    )


def product_body(view: ProductView) -> wire.ProductBody:
    """A product; what is empty at the venue is empty here."""
    spot = view.product_type == "SPOT"
    return wire.ProductBody(
        product_id=view.product_id,
        price=plain(view.price),
        price_percentage_change_24h=plain(view.price_percentage_change_24h),
        volume_24h=plain(view.volume_24h),
        volume_percentage_change_24h=plain(view.volume_percentage_change_24h),
        base_increment=plain(view.base_increment),
        quote_increment=plain(view.quote_increment),
        quote_min_size=plain(view.quote_min_size),
        quote_max_size=plain(view.quote_max_size),
        base_min_size=plain(view.base_min_size),
        base_max_size=plain(view.base_max_size),
        base_name=view.base_name,
        quote_name=view.quote_name,
        watched=False,
        is_disabled=view.is_disabled,
        new=False,
        status=view.status,
        cancel_only=view.cancel_only,
        limit_only=view.limit_only,
        post_only=view.post_only,
        trading_disabled=view.trading_disabled,
        auction_mode=view.auction_mode,
        product_type=view.product_type,
        quote_currency_id=view.quote_currency_id,
        base_currency_id=view.base_currency_id,
        fcm_trading_session_details=UNSET if view.session is None else _session(view.session),
        mid_market_price=maybe(view.mid_market_price),
        alias="",
        alias_to=view.alias_to,
        base_display_symbol=view.base_currency_id if spot else "",
        quote_display_symbol=view.quote_currency_id,
        view_only=view.view_only,
        price_increment=plain(view.price_increment),
        display_name=view.display_name,
        product_venue=view.product_venue,
        approximate_quote_24h_volume=plain(view.approximate_quote_24h_volume),
        new_at=UNSET if view.new_at is None else stamp(view.new_at),
        market_cap="",
        base_cbrn="",
        quote_cbrn="",
        product_cbrn="",
        icon_color="",
        icon_url="",
        display_name_overwrite="",
        is_alpha_testing=False,
        about_description="",
        best_bid_price="",
        best_ask_price="",
        future_product_details=UNSET if view.future is None else _future(view.future),
    )


def _session(view: SessionView) -> wire.TradingSessionDetails:
    maintenance: wire.Maintenance | UnsetType = UNSET
    if view.maintenance_start is not None and view.maintenance_end is not None:
        maintenance = wire.Maintenance(start_time=stamp(view.maintenance_start), end_time=stamp(view.maintenance_end))
    return wire.TradingSessionDetails(
        is_session_open=view.is_open,
        open_time=stamp(view.open_time),
        close_time=stamp(view.close_time),
        session_state=view.state,
        after_hours_order_entry_disabled=view.after_hours_order_entry_disabled,
        closed_reason=view.closed_reason,
        maintenance=maintenance,
    )


def _future(view: FutureView) -> wire.FutureDetails:
    """Funding stands here, `perpetual_details` is blank but for open interest: recorded BIP, Apr 2026."""
    interest = plain(view.open_interest)
    return wire.FutureDetails(
        venue="cde",
        contract_code=view.contract_code,
        contract_expiry=stamp(view.contract_expiry),
        contract_size=plain(view.contract_size),
        contract_root_unit=view.contract_root_unit,
        group_description=view.group_description,
        contract_expiry_timezone=view.contract_expiry_timezone,
        group_short_description=view.group_short_description,
        risk_managed_by="MANAGED_BY_FCM",
        contract_expiry_type=_EXPIRY_TYPE,
        perpetual_details=wire.PerpetualDetails(
            open_interest=interest, funding_rate="", max_leverage="", base_asset_uuid="", underlying_type=""
        ),
        contract_display_name=view.contract_display_name,
        time_to_expiry_ms=str(view.time_to_expiry_ms),
        non_crypto=False,
        contract_expiry_name=view.contract_expiry_name,
        twenty_four_by_seven=view.twenty_four_by_seven,
        funding_interval="" if view.funding_interval_s is None else f"{view.funding_interval_s}s",
        open_interest=interest,
        funding_rate=maybe(view.funding_rate),
        funding_time=UNSET if view.funding_time is None else stamp(view.funding_time),
        display_name=view.display_name,
        region_enabled={},
        intraday_margin_rate=_rates(view.intraday),
        overnight_margin_rate=_rates(view.overnight),
        settlement_price=plain(view.settlement_price),
        futures_asset_type="FUTURES_ASSET_TYPE_CRYPTO",
        index_price=maybe(view.index_price),
        contract_code_display_name="",
        product_group_cbrn="",
    )


def _rates(rates: MarginRates) -> wire.SideRates:
    return wire.SideRates(long_margin_rate=plain(rates.long), short_margin_rate=plain(rates.short))


def product_book(exchange: Exchange, query: Query) -> wire.ProductBookReply:
    """GET /product_book."""
    product_id = query.one("product_id")
    if product_id is None:
        raise Malformed("product_id is required")
    depth = count(query, "limit", 0)
    book = exchange.book(product_id, depth or None)
    return wire.ProductBookReply(
        pricebook=_pricebook(book),
        last=plain(book.last),
        mid_market=maybe(book.mid_market),
        spread_bps=maybe(book.spread_bps),
        spread_absolute=maybe(book.spread_absolute),
    )


def best_bid_ask(exchange: Exchange, query: Query) -> wire.BestBidAskReply:
    """GET /best_bid_ask: one level a side of the products asked for, or of all."""
    asked = query.many("product_ids", "product_id")
    ids = asked or tuple(each.product_id for each in exchange.products())
    return wire.BestBidAskReply(pricebooks=tuple(_pricebook(exchange.book(each, 1)) for each in ids))


def _pricebook(book: BookSnapshot) -> wire.PriceBook:
    return wire.PriceBook(
        product_id=book.product_id,
        bids=tuple(wire.PriceLevel(price=plain(level.price), size=plain(level.size)) for level in book.bids),
        asks=tuple(wire.PriceLevel(price=plain(level.price), size=plain(level.size)) for level in book.asks),
        time=stamp(book.time),
    )


def candles(exchange: Exchange, product_id: str, query: Query) -> wire.CandlesReply:
    """GET /products/{id}/candles: newest first; of a range over 350 buckets the newest 350."""
    start, end = _seconds(query, "start"), _seconds(query, "end")
    word = query.one("granularity") or ""
    if word not in Granularity.__members__:
        raise Malformed(f'granularity "{word[:40]}" is not one of the known ones')
    limit = min(count(query, "limit", MAX_CANDLES) or MAX_CANDLES, MAX_CANDLES)
    found = exchange.candles(product_id, start=start, end=end, granularity=Granularity(word), limit=limit)
    newest_first = sorted(found, key=lambda candle: candle.start, reverse=True)[:limit]
    return wire.CandlesReply(
        candles=tuple(
            wire.CandleBody(
                start=str(int(candle.start.timestamp())),
                low=plain(candle.low),
                high=plain(candle.high),
                open=plain(candle.open),
                close=plain(candle.close),
                volume=plain(candle.volume),
            )
            for candle in newest_first
        )
    )


def ticker(exchange: Exchange, product_id: str, query: Query) -> wire.TickerTradesReply:
    """GET /products/{id}/ticker: recent trades, newest first."""
    limit = min(count(query, "limit", _DEFAULT_TRADES) or _DEFAULT_TRADES, _MAX_TRADES)
    view = exchange.trades(product_id, limit)
    begins = None if query.one("start") is None else _seconds(query, "start")
    ends = None if query.one("end") is None else _seconds(query, "end")
    kept = (
        trade
        for trade in view.trades
        if (begins is None or trade.time >= begins) and (ends is None or trade.time < ends)
    )
    return wire.TickerTradesReply(
        trades=tuple(
            wire.TradeBody(
                trade_id=trade.trade_id,
                product_id=trade.product_id,
                price=plain(trade.price),
                size=plain(trade.size),
                time=stamp(trade.time),
                side=trade.side,
                bid="",
                ask="",
                exchange="",
            )
            for trade in kept
        ),
        best_bid=maybe(view.best_bid),
        best_ask=maybe(view.best_ask),
    )


def _real(word: str | None, unknown: str) -> str | None:
    return None if word == unknown else word


def count(query: Query, name: str, default: int) -> int:
    """A whole number from the query; Malformed otherwise."""
    text = query.one(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise Malformed(f"{name} is not a number of entries")
    return int(text)


def _seconds(query: Query, name: str) -> datetime:
    text = query.one(name)
    if text is None:
        raise Malformed(f"{name} is required")
    if not (text.isascii() and text.isdigit()) or int(text[:12]) > _LATEST:
        raise Malformed(f"{name} is not a Unix time in seconds")
    return datetime.fromtimestamp(int(text), UTC)
