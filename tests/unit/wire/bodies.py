"""Complete, healthy payloads of the US venue for tests, typed by hand after the reference; name what the test changes."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from perpsctl.domain.ids import ProductId
from perpsctl.domain.numbers import Size
from perpsctl.wire.advanced_trade import accounts, configurations, futures, market, orders
from perpsctl.wire.advanced_trade.common import Amount

NOW = datetime(2026, 11, 22, 12, 34, 56, tzinfo=UTC)
BIP = ProductId("BIP-20DEC30-CDE")
SIZES = {BIP: Size(Decimal("0.01"))}

S = TypeVar("S", bound=msgspec.Struct)


def changed(body: S, **fields: Any) -> S:
    return msgspec.structs.replace(body, **fields)


def a_product(**fields: Any) -> market.ProductBody:
    details = market.FutureDetails(
        venue="cde",
        contract_code="BIP",
        contract_expiry="2030-12-20T16:00:00Z",
        contract_size="0.01",
        contract_root_unit="BTC",
        contract_expiry_type="EXPIRING",
        perpetual_details=market.PerpetualDetails(open_interest="183283", funding_rate="", max_leverage=""),
        contract_display_name="BTC PERP",
        time_to_expiry_ms="148491060811",
        funding_interval="3600s",
        open_interest="183283",
        funding_rate="0.000013",
        funding_time="2026-11-22T12:00:00Z",
        intraday_margin_rate=market.SideRates(long_margin_rate="0.1000185", short_margin_rate="0.1000008"),
        overnight_margin_rate=market.SideRates(long_margin_rate="0.245625", short_margin_rate="0.306375"),
        settlement_price="69735",
        index_price="68899.882564",
    )
    body = market.ProductBody(
        product_id=BIP,
        price="68930",
        volume_24h="678476",
        base_increment="1",
        quote_increment="0.01",
        quote_min_size="0",
        quote_max_size="100000000",
        base_min_size="1",
        base_max_size="5000",
        is_disabled=False,
        cancel_only=False,
        limit_only=False,
        post_only=False,
        trading_disabled=False,
        auction_mode=False,
        product_type="FUTURE",
        quote_currency_id="USD",
        fcm_trading_session_details=market.TradingSessionDetails(
            is_session_open=True,
            open_time="2026-11-21T22:00:00Z",
            close_time="2026-11-22T22:00:00Z",
            session_state="FCM_TRADING_SESSION_STATE_OPEN",
            after_hours_order_entry_disabled=False,
            maintenance=market.Maintenance(start_time="2026-11-27T22:00:00Z", end_time="2026-11-27T23:00:00Z"),
        ),
        mid_market_price="68925",
        price_increment="5",
        display_name="BTC PERP",
        product_venue="FCM",
        future_product_details=details,
    )
    return changed(body, **fields)


def a_future(**fields: Any) -> market.ProductBody:
    """The product with these fields of its future details changed."""
    details = a_product().future_product_details
    assert isinstance(details, market.FutureDetails)
    return a_product(future_product_details=changed(details, **fields))


def a_book(**fields: Any) -> market.ProductBookReply:
    book = market.PriceBook(
        product_id=BIP,
        bids=(market.PriceLevel(price="68920", size="3"), market.PriceLevel(price="68915", size="40")),
        asks=(market.PriceLevel(price="68925", size="2"), market.PriceLevel(price="68930", size="50")),
        time="2026-11-22T12:34:55.123456789Z",
    )
    return market.ProductBookReply(
        pricebook=changed(book, **fields), last="68920", mid_market="68922.5", spread_bps="0.72", spread_absolute="5"
    )


def a_candle(**fields: Any) -> market.CandleBody:
    body = market.CandleBody(start="1795350000", low="68000", high="69000", open="68500", close="68600", volume="120")
    return changed(body, **fields)


def a_trade(**fields: Any) -> market.TradeBody:
    body = market.TradeBody(
        trade_id="995098663", product_id=BIP, price="68920", size="4", time="2026-11-22T12:34:50Z", side="SELL"
    )
    return changed(body, **fields)


def a_summary(*, flat: bool = False, **fields: Any) -> futures.BalanceSummary:
    def money(value: str) -> Any:
        return value if flat else Amount(value=value, currency="USD")

    measure = futures.MarginWindowMeasure(
        margin_window_type="FCM_MARGIN_WINDOW_TYPE_INTRADAY",
        margin_level="MARGIN_LEVEL_TYPE_BASE",
        initial_margin="100",
        maintenance_margin="80",
        liquidation_buffer="999900",
        total_hold="0",
        futures_buying_power="999000",
    )
    body = futures.BalanceSummary(
        futures_buying_power=money("999000"),
        total_usd_balance=money("1000000"),
        cbi_usd_balance=money("400000"),
        cfm_usd_balance=money("600000"),
        total_open_orders_hold_amount=money("0"),
        unrealized_pnl=money("12.5"),
        daily_realized_pnl=money("-3"),
        initial_margin=money("100"),
        available_margin=money("999900"),
        liquidation_threshold=money("50"),
        liquidation_buffer_amount=money("999850"),
        liquidation_buffer_percentage="1000",
        intraday_margin_window_measure=measure,
        overnight_margin_window_measure=measure,
        funding_pnl=money("-0.4"),
        total_pending_transfers_amount=money("0"),
    )
    return changed(body, **fields)


def a_position(**fields: Any) -> futures.FuturesPositionBody:
    body = futures.FuturesPositionBody(
        product_id=BIP,
        expiration_time="2030-12-20T16:00:00Z",
        side="SHORT",
        number_of_contracts="7",
        current_price="68920",
        avg_entry_price="69000",
        unrealized_pnl="5.6",
        daily_realized_pnl="0",
    )
    return changed(body, **fields)


def fees(**fields: Any) -> accounts.TransactionSummary:
    tier = accounts.FeeTier(pricing_tier="Advanced 1", taker_fee_rate="0.0003", maker_fee_rate="0")
    return accounts.TransactionSummary(total_volume="10", total_fees="1", fee_tier=changed(tier, **fields))


def a_limit_order(**fields: Any) -> orders.OrderBody:
    body = orders.OrderBody(
        order_id="813a53c5-3e39-47bb-863d-2faf685d22d8",
        product_id=BIP,
        order_configuration=configurations.configuration(
            "limit_limit_gtd",
            configurations.Terms(base_size="5", limit_price="60000", post_only=True, end_time="2026-11-22T12:36:56Z"),
        ),
        side="BUY",
        client_order_id="18eb9947-db49-4874-8e7b-39b8fe5f4317",
        status="OPEN",
        time_in_force="GOOD_UNTIL_DATE_TIME",
        created_time="2026-11-22T12:34:56.000001Z",
        completion_percentage="40",
        filled_size="2",
        average_filled_price="59995",
        fee="",
        number_of_fills="2",
        filled_value="1199.9",
        total_fees="0.36",
        total_value_after_fees="1200.26",
        order_type="LIMIT",
        reject_reason="REJECT_REASON_UNSPECIFIED",
        product_type="FUTURE",
        reject_message="",
        cancel_message="",
        order_placement_source="RETAIL_ADVANCED",
        outstanding_hold_amount="180",
        is_liquidation=False,
        leverage="1",
        workable_size="3",
    )
    return changed(body, **fields)


def a_stop_order() -> orders.OrderBody:
    return a_limit_order(
        order_configuration=configurations.configuration(
            "stop_limit_stop_limit_gtc",
            configurations.Terms(
                base_size="5", limit_price="71000", stop_price="70900", stop_direction="STOP_DIRECTION_STOP_UP"
            ),
        ),
        order_type="STOP_LIMIT",
        time_in_force="GOOD_UNTIL_CANCELLED",
    )


def a_fill(**fields: Any) -> orders.FillBody:
    body = orders.FillBody(
        entry_id="b88b82cc89e326a2778874795102cbaf",
        trade_id="cdc39e45-bbd3-44ec-bf02-61742dfb16a1",
        order_id="813a53c5-3e39-47bb-863d-2faf685d22d8",
        trade_time="2026-11-22T12:34:57.091377090Z",
        trade_type="FILL",
        price="59995",
        size="2",
        commission="0.36",
        product_id=BIP,
        sequence_timestamp="2026-11-22T12:34:57.092520Z",
        liquidity_indicator="MAKER",
        size_in_quote=False,
        side="BUY",
    )
    return changed(body, **fields)


def a_preview(**fields: Any) -> orders.PreviewReply:
    body = orders.PreviewReply(
        order_total="600",
        commission_total="0.18",
        errs=(),
        warning=(),
        base_size="1",
        quote_size="600",
        best_bid="68920",
        best_ask="68925",
        order_margin_total="60",
        leverage="1",
        slippage="0.0001",
        preview_id="b40bbff9-17ce-4726-8b64-9de7ae57ad26",
        est_average_filled_price="68925",
        margin_ratio_data=orders.MarginRatios(current_margin_ratio="0.1", projected_margin_ratio="0.2"),
        commission_detail_total=orders.CommissionDetail(total_commission="0.18", venue_commission="0.1"),
    )
    return changed(body, **fields)
