"""Products, books, candles, trades and the venue's clock become domain values: the recorded figures, absence, order."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET

from perpsctl.domain.market import SessionState
from perpsctl.domain.products import PriceStep
from perpsctl.domain.sides import Side
from perpsctl.wire import guard
from perpsctl.wire.advanced_trade import convert_market as public
from perpsctl.wire.advanced_trade import convert_orders as trading
from perpsctl.wire.advanced_trade import market
from perpsctl.wire.guard import WireError
from tests.unit.wire import bodies
from tests.unit.wire.bodies import BIP, NOW, SIZES, a_future, a_limit_order, a_product, changed

SAMPLES = Path(__file__).parents[3] / ".." / "shared" / "api" / "samples"
recorded = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"no payload samples in {SAMPLES}")


def sample(name: str, type_: Any) -> Any:
    return guard.decode((SAMPLES / f"{name}.json").read_bytes(), type_)


PRODUCT = public.product_from(a_product(), NOW)


# --- products ---------------------------------------------------------------------------------------


@recorded
def test_the_recorded_bip_is_a_perpetual_with_these_figures() -> None:
    body = sample("product-cde-perp-bip-20dec30", market.ProductBody)
    asked = datetime(2026, 4, 7, 0, 29, tzinfo=UTC)
    product = public.product_from(body, asked)
    assert (product.product_id, product.alias, product.base, product.quote) == (BIP, "BTC-PERP", "BTC", "USD")
    assert product.contract_size == Decimal("0.01")
    assert (product.size_step, product.min_size, product.max_size) == (Decimal("0.01"), Decimal("0.01"), Decimal(50))
    assert product.price_steps == (PriceStep(above=Decimal(0), step=Decimal(5)),)
    assert (product.index_price, product.last_price) == (Decimal("68899.882564"), Decimal(68930))
    assert product.overnight_margin is not None
    assert (product.overnight_margin.long, product.overnight_margin.short) == (
        Decimal("0.245625"),
        Decimal("0.306375"),
    )
    assert product.funding is not None
    assert product.funding.daily_rate() == Decimal("0.000312")
    assert product.funding.next_accrual == datetime(2026, 4, 7, 1, tzinfo=UTC)
    assert product.expiry == datetime(2030, 12, 20, 16, tzinfo=UTC)
    assert product.status.takes_orders
    assert product.status.session is not None
    assert product.status.session.maintenance == (
        datetime(2026, 4, 18, 14, tzinfo=UTC),
        datetime(2026, 4, 18, 17, tzinfo=UTC),
    )


@recorded
@pytest.mark.parametrize(
    ("name", "perp"),
    [
        ("product-cde-perp-bip-20dec30", True),
        ("product-cde-dated-bit-26apr24", False),
        ("product-spot-btc-usd", False),
        ("product-intx-perp-eth", False),
    ],
)
def test_a_perpetual_is_recognised_by_structure(name: str, perp: bool) -> None:
    body = sample(name, market.ProductBody)
    assert public.is_perp(body) is perp
    if not perp:
        with pytest.raises(WireError, match="no perpetual"):
            public.product_from(body, NOW)


@recorded
def test_contract_sizes_are_known_for_dated_futures_too() -> None:
    names = ("product-cde-perp-bip-20dec30", "product-cde-dated-bit-26apr24", "product-spot-btc-usd")
    reply = market.ProductsReply(products=tuple(sample(name, market.ProductBody) for name in names))
    assert public.contract_sizes_from(reply) == {BIP: Decimal("0.01"), "BIT-26APR24-CDE": Decimal("0.01")}
    assert [product.product_id for product in public.perps_from(reply, NOW)] == [BIP]


def test_a_perpetual_may_show_by_name_or_by_either_funding_field() -> None:
    bare = {"funding_interval": "", "funding_rate": UNSET}
    assert public.is_perp(changed(a_future(**bare), display_name="ETH PERP"))
    assert not public.is_perp(changed(a_future(**bare, contract_display_name="ETH"), display_name="ETH 26 APR 24"))
    assert public.is_perp(changed(a_future(funding_interval="", contract_display_name="X"), display_name="X"))
    assert public.is_perp(changed(a_future(funding_rate="", contract_display_name="X"), display_name="X"))
    assert not public.is_perp(changed(a_product(), product_id="BTC-PERP-INTX"))
    assert not public.is_perp(changed(a_product(), product_venue="INTX"))


def test_two_products_of_one_id_are_refused_H12() -> None:
    with pytest.raises(WireError, match="listed twice"):
        public.perps_from(market.ProductsReply(products=(a_product(), a_product())), NOW)


def test_a_list_of_too_many_products_is_refused_H12() -> None:
    crowd = tuple(market.ProductBody(product_id=f"X-{n}") for n in range(public.MAX_PRODUCTS + 1))
    with pytest.raises(WireError, match="more than the cap"):
        public.perps_from(market.ProductsReply(products=crowd), NOW)


@pytest.mark.parametrize("gate", ["is_disabled", "trading_disabled", "cancel_only", "auction_mode"])
def test_each_gate_shuts_the_product_M4(gate: str) -> None:
    assert PRODUCT.status.takes_orders
    assert not public.product_from(a_product(**{gate: True}), NOW).status.takes_orders


@pytest.mark.parametrize(
    "gate", ["is_disabled", "trading_disabled", "cancel_only", "limit_only", "post_only", "auction_mode"]
)
def test_a_gate_that_is_not_told_is_an_error_and_not_open_L5(gate: str) -> None:
    with pytest.raises(WireError, match=f"{gate} is missing"):
        public.product_from(a_product(**{gate: UNSET}), NOW)


@pytest.mark.parametrize(
    ("told", "state"),
    [(True, SessionState.OPEN), (False, SessionState.CLOSED), (UNSET, SessionState.UNRECOGNISED)],
)
def test_only_is_session_open_says_whether_the_session_is_open(told: Any, state: SessionState) -> None:
    details = market.TradingSessionDetails(is_session_open=told, session_state="FCM_TRADING_SESSION_STATE_OPEN")
    product = public.product_from(a_product(fcm_trading_session_details=details), NOW)
    assert product.status.session is not None
    assert product.status.session.state is state
    assert product.status.takes_orders is (told is True)


def test_a_future_without_a_session_takes_no_orders() -> None:
    assert not public.product_from(a_product(fcm_trading_session_details=UNSET), NOW).status.takes_orders


@pytest.mark.parametrize(
    "field", ["contract_size", "contract_root_unit", "price_increment", "base_increment", "base_min_size", "product_id"]
)
def test_a_product_without_a_needed_field_is_an_error(field: str) -> None:
    on_details = field.startswith("contract_")
    for absent in (UNSET, ""):
        body = a_future(**{field: absent}) if on_details else a_product(**{field: absent})
        with pytest.raises(WireError, match="missing"):
            public.product_from(body, NOW)


@pytest.mark.parametrize("field", ["contract_size", "price_increment", "base_increment"])
@pytest.mark.parametrize("value", ["0", "-1"])
def test_a_step_that_is_not_above_zero_is_an_error(field: str, value: str) -> None:
    body = a_future(contract_size=value) if field == "contract_size" else a_product(**{field: value})
    with pytest.raises(WireError, match="not above zero"):
        public.product_from(body, NOW)


@pytest.mark.parametrize("value", ["", "0", UNSET])
def test_a_price_that_is_not_told_is_none_and_not_zero_E16_M1(value: Any) -> None:
    product = public.product_from(changed(a_future(index_price=value), price=value), NOW)
    assert product.index_price is None
    assert product.last_price is None


@pytest.mark.parametrize("spelling", ["1h", "3600", "PT1H", "", "3600.5s", "0s"])
def test_a_funding_interval_in_another_spelling_computes_nothing(spelling: str) -> None:
    funding = public.product_from(a_future(funding_interval=spelling), NOW).funding
    assert funding is not None
    assert funding.interval is None
    assert funding.daily_rate() is None
    assert funding.next_accrual is None


def test_the_next_accrual_is_whole_intervals_after_the_last() -> None:
    def next_after(last: str) -> datetime | None:
        funding = public.product_from(a_future(funding_time=last), NOW).funding
        assert funding is not None
        return funding.next_accrual

    one = datetime(2026, 11, 22, 13, tzinfo=UTC)
    assert next_after("2026-11-22T12:00:00Z") == one
    assert next_after("2026-11-20T07:00:00Z") == one
    assert next_after("2026-11-22T13:00:00Z") == one
    assert next_after("2026-11-22T12:34:56Z") == NOW + timedelta(hours=1)


@pytest.mark.parametrize("evil", ["BIP/../x", "BIP?x=1", "BIP 20", "B\x1b[2J", "BIP%2f", "", "é"])
def test_an_id_that_could_leave_its_path_is_refused_H11(evil: str) -> None:
    with pytest.raises(WireError):
        public.product_from(a_product(product_id=evil), NOW)
    with pytest.raises(WireError):
        trading.order_from(a_limit_order(order_id=evil), SIZES, NOW)


# --- book, candles, trades, time --------------------------------------------------------------------


def test_a_book_is_in_coin_best_first_with_the_venues_time() -> None:
    book = public.book_from(bodies.a_book(), PRODUCT, NOW)
    assert book.best_bid == Decimal(68920)
    assert book.best_ask == Decimal(68925)
    assert [level.size for level in book.bids] == [Decimal("0.03"), Decimal("0.40")]
    assert book.sound
    assert book.last == Decimal(68920)
    assert book.venue_time == datetime(2026, 11, 22, 12, 34, 55, 123456, tzinfo=UTC)
    assert book.as_of == NOW


@recorded
def test_the_recorded_book_reads_against_its_own_product() -> None:
    spot = changed_product(product_id="BTC-USD", contract_size="1")
    book = public.book_from(sample("product-book", market.ProductBookReply), spot, NOW)
    assert (book.best_bid, book.best_ask, book.last) == (
        Decimal("68923.66"),
        Decimal("68923.67"),
        Decimal("68923.665"),
    )
    assert len(book.bids) == len(book.asks) == 5


def changed_product(*, product_id: str, contract_size: str) -> Any:
    return public.product_from(changed(a_future(contract_size=contract_size), product_id=product_id), NOW)


def test_the_book_of_another_product_is_refused_H10() -> None:
    with pytest.raises(WireError, match="was sent for"):
        public.book_from(bodies.a_book(product_id="ETP-20DEC30-CDE"), PRODUCT, NOW)


def test_a_book_out_of_order_is_refused_and_a_crossed_one_is_unsound_W9() -> None:
    low, high = market.PriceLevel(price="68900", size="1"), market.PriceLevel(price="68930", size="1")
    for sides in ({"bids": (low, high)}, {"asks": (high, low)}, {"bids": (low, low)}, {"asks": (high, high)}):
        with pytest.raises(WireError, match="order"):
            public.book_from(bodies.a_book(**sides), PRODUCT, NOW)
    crossed = public.book_from(bodies.a_book(bids=(high,), asks=(low,)), PRODUCT, NOW)
    assert not crossed.sound
    assert crossed.mid is None
    empty = public.book_from(bodies.a_book(bids=()), PRODUCT, NOW)
    assert not empty.sound


def test_a_book_without_a_side_is_an_error_and_not_an_empty_side_L5() -> None:
    with pytest.raises(WireError, match="asks is missing"):
        public.book_from(bodies.a_book(asks=UNSET), PRODUCT, NOW)
    with pytest.raises(WireError, match="pricebook is missing"):
        public.book_from(market.ProductBookReply(), PRODUCT, NOW)


def test_the_best_bid_and_ask_of_a_product_that_is_not_listed_is_none() -> None:
    assert public.best_bid_ask_from(market.BestBidAskReply(pricebooks=()), PRODUCT, NOW) is None
    with pytest.raises(WireError):
        public.best_bid_ask_from(market.BestBidAskReply(), PRODUCT, NOW)


@recorded
def test_the_recorded_candles_come_oldest_first() -> None:
    candles = public.candles_from(sample("candles", market.CandlesReply), PRODUCT)
    assert [candle.start for candle in candles] == [
        datetime(2024, 4, 4, 0, tzinfo=UTC),
        datetime(2024, 4, 4, 1, tzinfo=UTC),
    ]
    assert (candles[1].open, candles[1].close) == (Decimal("66312.4"), Decimal("66181.6"))
    assert candles[1].volume == Decimal("3.5582896243")


def test_an_impossible_candle_is_refused() -> None:
    for broken in (bodies.a_candle(low="68550"), bodies.a_candle(high="68550"), bodies.a_candle(open="0")):
        with pytest.raises(WireError):
            public.candles_from(market.CandlesReply(candles=(broken,)), PRODUCT)


def test_trades_keep_the_makers_side_and_refuse_another_products_or_an_unknown_side() -> None:
    reply = market.TickerTradesReply(trades=(bodies.a_trade(side="BUY"), bodies.a_trade(trade_id="2")))
    trades = public.trades_from(reply, PRODUCT)
    assert [trade.maker_side for trade in trades] == [Side.BUY, Side.SELL]
    assert trades[0].size == Decimal("0.04")
    for broken in (bodies.a_trade(product_id="BTC-USD"), bodies.a_trade(side="BOTH"), bodies.a_trade(side=UNSET)):
        with pytest.raises(WireError):
            public.trades_from(market.TickerTradesReply(trades=(broken,)), PRODUCT)


@recorded
def test_the_recorded_server_time_is_read_to_the_millisecond() -> None:
    body = sample("server-time", market.ServerTime)
    assert public.server_time_from(body) == datetime(2024, 2, 27, 3, 37, 14, 333000, tzinfo=UTC)
    assert public.server_time_from(changed(body, epoch_millis=UNSET)) == datetime(2024, 2, 27, 3, 37, 14, tzinfo=UTC)
    only_iso = changed(body, epoch_millis=UNSET, epoch_seconds="")
    assert public.server_time_from(only_iso) == datetime(2024, 2, 27, 3, 37, 14, tzinfo=UTC)
    with pytest.raises(WireError):
        public.server_time_from(market.ServerTime())
    with pytest.raises(WireError):
        public.server_time_from(market.ServerTime(epoch_millis="9" * 30))
