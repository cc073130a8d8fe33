"""Public and market data bodies (reference 4)."""

from typing import ClassVar

from msgspec import UNSET, UnsetType, field

from perpsctl.wire.advanced_trade.common import Body, NullableBody, Number


class ServerTime(Body, frozen=True, kw_only=True):
    """GET /time."""

    iso: str | UnsetType = UNSET
    epoch_seconds: Number | UnsetType = field(default=UNSET, name="epochSeconds")
    epoch_millis: Number | UnsetType = field(default=UNSET, name="epochMillis")


class Maintenance(Body, frozen=True, kw_only=True, gc=False):
    start_time: str | UnsetType = UNSET
    end_time: str | UnsetType = UNSET


class TradingSessionDetails(NullableBody, frozen=True, kw_only=True):
    """`closed_reason` says nothing by itself: the recorded open BIP names exchange maintenance (reference 4.2)."""

    nullable: ClassVar[tuple[str, ...]] = ("open_time", "close_time", "maintenance")
    is_session_open: bool | UnsetType = UNSET
    open_time: str | UnsetType | None = UNSET
    close_time: str | UnsetType | None = UNSET
    session_state: str | UnsetType = UNSET
    after_hours_order_entry_disabled: bool | UnsetType = UNSET
    closed_reason: str | UnsetType = UNSET
    maintenance: Maintenance | UnsetType | None = UNSET


class PerpetualDetails(NullableBody, frozen=True, kw_only=True):
    """Funding of the retired INTX perps; blank but for open interest on US perps."""

    nullable: ClassVar[tuple[str, ...]] = ("funding_time",)
    open_interest: Number | UnsetType = UNSET
    funding_rate: Number | UnsetType = UNSET
    funding_time: str | UnsetType | None = UNSET
    max_leverage: Number | UnsetType = UNSET
    base_asset_uuid: str | UnsetType = UNSET
    underlying_type: str | UnsetType = UNSET


class SideRates(Body, frozen=True, kw_only=True, gc=False):
    long_margin_rate: Number | UnsetType = UNSET
    short_margin_rate: Number | UnsetType = UNSET


class FutureDetails(NullableBody, frozen=True, kw_only=True):
    """What makes a product a future. Funding of a US perp is here, not in `perpetual_details` (reference 0.3)."""

    nullable: ClassVar[tuple[str, ...]] = (
        "contract_expiry",
        "perpetual_details",
        "funding_time",
        "intraday_margin_rate",
        "overnight_margin_rate",
    )
    venue: str | UnsetType = UNSET
    contract_code: str | UnsetType = UNSET
    contract_expiry: str | UnsetType | None = UNSET
    contract_size: Number | UnsetType = UNSET
    contract_root_unit: str | UnsetType = UNSET
    group_description: str | UnsetType = UNSET
    contract_expiry_timezone: str | UnsetType = UNSET
    group_short_description: str | UnsetType = UNSET
    risk_managed_by: str | UnsetType = UNSET
    contract_expiry_type: str | UnsetType = UNSET
    perpetual_details: PerpetualDetails | UnsetType | None = UNSET
    contract_display_name: str | UnsetType = UNSET
    time_to_expiry_ms: Number | UnsetType = UNSET
    non_crypto: bool | UnsetType = UNSET
    contract_expiry_name: str | UnsetType = UNSET
    twenty_four_by_seven: bool | UnsetType = UNSET
    funding_interval: str | UnsetType = UNSET
    open_interest: Number | UnsetType = UNSET
    funding_rate: Number | UnsetType = UNSET
    funding_time: str | UnsetType | None = UNSET
    display_name: str | UnsetType = UNSET
    region_enabled: dict[str, bool] | UnsetType = UNSET
    intraday_margin_rate: SideRates | UnsetType | None = UNSET
    overnight_margin_rate: SideRates | UnsetType | None = UNSET
    settlement_price: Number | UnsetType = UNSET
    futures_asset_type: str | UnsetType = UNSET
    futures_asset_types: tuple[str, ...] | UnsetType = UNSET
    trading_hours_type: str | UnsetType = UNSET
    index_price: Number | UnsetType = UNSET
    contract_code_display_name: str | UnsetType = UNSET
    product_group_cbrn: str | UnsetType = UNSET


class ProductBody(NullableBody, frozen=True, kw_only=True):
    """GET /products/{id}, and an element of a list. Sizes of a future are contracts (reference 4.2)."""

    nullable: ClassVar[tuple[str, ...]] = ("fcm_trading_session_details", "future_product_details", "new_at")
    product_id: str | UnsetType = UNSET
    price: Number | UnsetType = UNSET
    price_percentage_change_24h: Number | UnsetType = UNSET
    volume_24h: Number | UnsetType = UNSET
    volume_percentage_change_24h: Number | UnsetType = UNSET
    base_increment: Number | UnsetType = UNSET
    quote_increment: Number | UnsetType = UNSET
    quote_min_size: Number | UnsetType = UNSET
    quote_max_size: Number | UnsetType = UNSET
    base_min_size: Number | UnsetType = UNSET
    base_max_size: Number | UnsetType = UNSET
    base_name: str | UnsetType = UNSET
    quote_name: str | UnsetType = UNSET
    watched: bool | UnsetType = UNSET
    is_disabled: bool | UnsetType = UNSET
    new: bool | UnsetType = UNSET
    status: str | UnsetType = UNSET
    cancel_only: bool | UnsetType = UNSET
    limit_only: bool | UnsetType = UNSET
    post_only: bool | UnsetType = UNSET
    trading_disabled: bool | UnsetType = UNSET
    auction_mode: bool | UnsetType = UNSET
    product_type: str | UnsetType = UNSET
    quote_currency_id: str | UnsetType = UNSET
    base_currency_id: str | UnsetType = UNSET
    fcm_trading_session_details: TradingSessionDetails | UnsetType | None = UNSET
    mid_market_price: Number | UnsetType = UNSET
    alias: str | UnsetType = UNSET
    alias_to: tuple[str, ...] | UnsetType = UNSET
    base_display_symbol: str | UnsetType = UNSET
    quote_display_symbol: str | UnsetType = UNSET
    view_only: bool | UnsetType = UNSET
    price_increment: Number | UnsetType = UNSET
    display_name: str | UnsetType = UNSET
    product_venue: str | UnsetType = UNSET
    approximate_quote_24h_volume: Number | UnsetType = UNSET
    new_at: str | UnsetType | None = UNSET
    market_cap: Number | UnsetType = UNSET
    base_cbrn: str | UnsetType = UNSET
    quote_cbrn: str | UnsetType = UNSET
    product_cbrn: str | UnsetType = UNSET
    icon_color: str | UnsetType = UNSET
    icon_url: str | UnsetType = UNSET
    display_name_overwrite: str | UnsetType = UNSET
    is_alpha_testing: bool | UnsetType = UNSET
    about_description: str | UnsetType = UNSET
    best_bid_price: Number | UnsetType = UNSET
    best_ask_price: Number | UnsetType = UNSET
    high_24h: Number | UnsetType = UNSET
    low_24h: Number | UnsetType = UNSET
    future_product_details: FutureDetails | UnsetType | None = UNSET


class Pagination(NullableBody, frozen=True, kw_only=True):
    nullable: ClassVar[tuple[str, ...]] = ("prev_cursor", "next_cursor")
    prev_cursor: str | UnsetType | None = UNSET
    next_cursor: str | UnsetType | None = UNSET
    has_next: bool | UnsetType = UNSET
    has_prev: bool | UnsetType = UNSET


class ProductsReply(NullableBody, frozen=True, kw_only=True):
    """GET /products and GET /market/products."""

    nullable: ClassVar[tuple[str, ...]] = ("pagination",)
    products: tuple[ProductBody, ...] | UnsetType = UNSET
    num_products: int | UnsetType = UNSET
    pagination: Pagination | UnsetType | None = UNSET


class PriceLevel(Body, frozen=True, kw_only=True, gc=False):
    price: Number | UnsetType = UNSET
    size: Number | UnsetType = UNSET


class PriceBook(Body, frozen=True, kw_only=True):
    """Bids descending, asks ascending; sizes in contracts for futures."""

    product_id: str | UnsetType = UNSET
    bids: tuple[PriceLevel, ...] | UnsetType = UNSET
    asks: tuple[PriceLevel, ...] | UnsetType = UNSET
    time: str | UnsetType = UNSET


class ProductBookReply(Body, frozen=True, kw_only=True):
    """GET /product_book."""

    pricebook: PriceBook | UnsetType = UNSET
    last: Number | UnsetType = UNSET
    mid_market: Number | UnsetType = UNSET
    spread_bps: Number | UnsetType = UNSET
    spread_absolute: Number | UnsetType = UNSET


class BestBidAskReply(Body, frozen=True, kw_only=True):
    """GET /best_bid_ask: one level a side per product."""

    pricebooks: tuple[PriceBook, ...] | UnsetType = UNSET


class CandleBody(Body, frozen=True, kw_only=True, gc=False):
    """`start` is Unix seconds as text; `product_id` on the socket only."""

    start: Number | UnsetType = UNSET
    low: Number | UnsetType = UNSET
    high: Number | UnsetType = UNSET
    open: Number | UnsetType = UNSET
    close: Number | UnsetType = UNSET
    volume: Number | UnsetType = UNSET
    product_id: str | UnsetType = UNSET


class CandlesReply(Body, frozen=True, kw_only=True):
    """GET /products/{id}/candles, newest first, at most 350."""

    candles: tuple[CandleBody, ...] | UnsetType = UNSET


class TradeBody(Body, frozen=True, kw_only=True, gc=False):
    """A trade of the tape; `side` is read as the maker's (reference 4.7, sources conflict)."""

    trade_id: str | UnsetType = UNSET
    product_id: str | UnsetType = UNSET
    price: Number | UnsetType = UNSET
    size: Number | UnsetType = UNSET
    time: str | UnsetType = UNSET
    side: str | UnsetType = UNSET
    bid: Number | UnsetType = UNSET
    ask: Number | UnsetType = UNSET
    exchange: str | UnsetType = UNSET


class TickerTradesReply(Body, frozen=True, kw_only=True):
    """GET /products/{id}/ticker, newest first."""

    trades: tuple[TradeBody, ...] | UnsetType = UNSET
    best_bid: Number | UnsetType = UNSET
    best_ask: Number | UnsetType = UNSET
