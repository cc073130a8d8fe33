"""Bodies of the global venue for tests, with figures of the shared samples or of the reference."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from perpsctl.domain.ids import ProductId
from perpsctl.domain.numbers import Size
from perpsctl.wire.global_derivatives import accounts, market, trading
from perpsctl.wire.global_derivatives.common import OrderPrice

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BTC = ProductId("BTC_USDC-PERPETUAL")
ETH = ProductId("ETH_USDC-PERPETUAL")
SIZES = {BTC: Size(Decimal("0.0001")), ETH: Size(Decimal("0.001"))}

S = TypeVar("S", bound=msgspec.Struct)


def changed(body: S, **fields: Any) -> S:
    return msgspec.structs.replace(body, **fields)


def d(text: str) -> Decimal:
    return Decimal(text)


def an_instrument(**fields: Any) -> market.Instrument:
    """BTC as the reference describes it: contract 0.0001, step 0.1."""
    body = market.Instrument(
        instrument_name=BTC,
        kind="future",
        instrument_type="linear",
        settlement_period="perpetual",
        settlement_currency="USDC",
        base_currency="BTC",
        quote_currency="USDC",
        price_index="btc_usdc",
        state="open",
        is_active=True,
        tick_size=d("0.1"),
        tick_size_steps=(),
        contract_size=d("0.0001"),
        min_trade_amount=d("0.0001"),
        max_leverage=d("50"),
        maker_commission=d("0.00015"),
        taker_commission=d("0.00035"),
        expiration_timestamp=32503708800000,
    )
    return changed(body, **fields)


def a_ticker(**fields: Any) -> market.Ticker:
    body = market.Ticker(
        instrument_name=BTC,
        timestamp=1788645577021,
        state="open",
        best_bid_price=d("79912.2"),
        best_bid_amount=d("0.0407"),
        best_ask_price=d("79912.3"),
        best_ask_amount=d("0.0136"),
        last_price=d("79912.2"),
        mark_price=d("79911.9"),
        index_price=d("79910.55"),
        min_price=d("78300"),
        max_price=d("81500"),
        current_funding=d("0"),
        funding_8h=d("0.00001742"),
    )
    return changed(body, **fields)


def a_book(**fields: Any) -> market.OrderBook:
    body = market.OrderBook(
        instrument_name=BTC,
        timestamp=1788645577021,
        change_id=100,
        last_price=d("79912.2"),
        bids=((d("79912.2"), d("0.0407")), (d("79912.1"), d("1.5"))),
        asks=((d("79912.3"), d("0.0136")), (d("79913"), d("2"))),
    )
    return changed(body, **fields)


def an_order(**fields: Any) -> trading.Order:
    """The order of `ws_user_changes_constructed`."""
    body = trading.Order(
        order_id="USDC-104819330001",
        instrument_name=BTC,
        direction="buy",
        order_type="limit",
        order_state="open",
        time_in_force="good_til_cancelled",
        price=OrderPrice(d("79912.3")),
        amount=d("0.001"),
        contracts=d("10"),
        filled_amount=d("0.0004"),
        average_price=d("79912.3"),
        label="pc-01J0EXAMPLE",
        post_only=False,
        reduce_only=False,
        api=True,
        is_liquidation=False,
        creation_timestamp=1788645577098,
        last_update_timestamp=1788645577100,
    )
    return changed(body, **fields)


def a_trade(**fields: Any) -> trading.UserTrade:
    """The trade of `ws_user_changes_constructed`."""
    body = trading.UserTrade(
        trade_id="USDC-9000001",
        trade_seq=700001,
        timestamp=1788645577100,
        instrument_name=BTC,
        order_id="USDC-104819330001",
        direction="buy",
        amount=d("0.0004"),
        contracts=d("4"),
        price=d("79912.3"),
        fee=d("0.011187722"),
        fee_currency="USDC",
        liquidity="T",
        state="open",
        label="pc-01J0EXAMPLE",
    )
    return changed(body, **fields)


def a_position(**fields: Any) -> accounts.Position:
    """The position of `ws_user_changes_constructed`."""
    body = accounts.Position(
        instrument_name=BTC,
        kind="future",
        direction="buy",
        size=d("31.96492"),
        size_currency=d("0.0004"),
        average_price=d("79912.3"),
        mark_price=d("79911.9"),
        floating_profit_loss=d("-0.00016"),
        realized_profit_loss=d("0"),
        realized_funding=d("0"),
        user_id=1000,
    )
    return changed(body, **fields)


def a_summary(**fields: Any) -> accounts.AccountSummary:
    body = accounts.AccountSummary(
        currency="USDC",
        equity=d("1010.5"),
        balance=d("1000"),
        margin_balance=d("1010.5"),
        available_funds=d("900.5"),
        initial_margin=d("110"),
        maintenance_margin=d("55"),
        session_upl=d("12"),
        session_rpl=d("-1.5"),
        limits=accounts.Limits(
            non_matching_engine=accounts.RateLimit(rate=d("1000"), burst=d("1500")),
            matching_engine=accounts.MatchingLimits(
                trading=accounts.TradingLimits(total=accounts.RateLimit(rate=d("200"), burst=d("250"))),
                cancel_all=accounts.RateLimit(rate=d("200"), burst=d("250")),
            ),
        ),
        fees={
            "btc_usdc": accounts.IndexFees(
                perpetual=accounts.KindFees(
                    default=accounts.FeeRates(type="fixed", maker=d("-0.0001"), taker=d("0.00035"))
                )
            )
        },
    )
    return changed(body, **fields)
