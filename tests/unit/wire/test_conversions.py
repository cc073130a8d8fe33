"""Payloads become domain values and intents become requests: the recorded figures, absence, words, times, units."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from perpsctl.domain.accounts import MarginLevel
from perpsctl.domain.errors import UsageError
from perpsctl.domain.ids import ClientOrderId, IntentId, ProductId, VenueOrderId
from perpsctl.domain.market import SessionState
from perpsctl.domain.numbers import Size
from perpsctl.domain.orders import (
    EditIntent,
    FillKind,
    Liquidity,
    OrderIntent,
    OrderStatus,
    OrderType,
    QuantizedEdit,
    QuantizedOrder,
    TimeInForce,
)
from perpsctl.domain.products import PriceStep
from perpsctl.domain.sides import Side
from perpsctl.wire import guard
from perpsctl.wire.advanced_trade import accounts, futures, market, orders, reading, requests
from perpsctl.wire.advanced_trade import convert_accounts as money
from perpsctl.wire.advanced_trade import convert_market as public
from perpsctl.wire.advanced_trade import convert_orders as trading
from perpsctl.wire.advanced_trade.common import Amount
from perpsctl.wire.guard import WireError
from tests.unit.wire import bodies
from tests.unit.wire.bodies import BIP, NOW, SIZES, a_fill, a_future, a_limit_order, a_product, a_summary, changed

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


# --- times ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-11-22T12:34:56Z", datetime(2026, 11, 22, 12, 34, 56, tzinfo=UTC)),
        ("2026-11-22T12:34:56.1Z", datetime(2026, 11, 22, 12, 34, 56, 100_000, tzinfo=UTC)),
        ("2026-11-22T12:34:56.123456Z", datetime(2026, 11, 22, 12, 34, 56, 123_456, tzinfo=UTC)),
        ("2026-11-22T12:34:56.999999999Z", datetime(2026, 11, 22, 12, 34, 56, 999_999, tzinfo=UTC)),
        ("2026-11-22T12:34:56.000000001z", datetime(2026, 11, 22, 12, 34, 56, tzinfo=UTC)),
        ("2026-11-22T07:34:56-05:00", datetime(2026, 11, 22, 12, 34, 56, tzinfo=UTC)),
        ("2026-11-22T18:04:56.5+05:30", datetime(2026, 11, 22, 12, 34, 56, 500_000, tzinfo=UTC)),
        ("2028-02-29T23:59:59Z", datetime(2028, 2, 29, 23, 59, 59, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2016, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
        ("2026-12-31T23:30:00-01:00", datetime(2027, 1, 1, 0, 30, tzinfo=UTC)),
    ],
)
def test_times_are_read_in_every_legal_spelling_T3_T5(written: str, meant: datetime) -> None:
    assert reading.moment(written, "time") == meant
    assert reading.moment(written, "time").tzinfo is UTC


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-22T12:34:56",
        "2026-11-22",
        "2026-02-29T00:00:00Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T12:34:56.1234567890Z",
        "2026-11-22T12:34:56.Z",
        "2026-11-22T12:34:61Z",
        "0001-01-01T00:00:00+10:00",
        "2026-11-22T12:34:56+99:99",
        "٢٠٢٦-11-22T12:34:56Z",
        "2026-11-22T12:34:56Z\n",
        "1795350896",
        "now",
    ],
)
def test_what_is_no_time_is_refused(written: str) -> None:
    with pytest.raises(WireError):
        reading.moment(written, "time")


@pytest.mark.parametrize("absent", [UNSET, None, "", "0001-01-01T00:00:00Z"])
def test_an_absent_time_is_none(absent: Any) -> None:
    assert reading.moment_or_none(absent, "time") is None


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_written_is_the_time_read(at: datetime) -> None:
    assert reading.moment(reading.rfc3339(at), "time") == at


@given(st.integers(0, 10**9 - 1), st.integers(0, 10**9 - 1))
def test_cutting_nanoseconds_never_reverses_order(one: int, other: int) -> None:
    first, second = sorted((one, other))
    earlier = reading.moment(f"2026-11-22T12:34:56.{first:09d}Z", "time")
    assert earlier <= reading.moment(f"2026-11-22T12:34:56.{second:09d}Z", "time")


# --- account ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("flat", [False, True])
def test_the_account_reads_the_same_flat_and_in_amounts(flat: bool) -> None:
    view = money.account_view(a_summary(flat=flat), NOW)
    assert (view.balance, view.unrealised, view.equity) == (Decimal(1_000_000), Decimal("12.5"), Decimal("1000012.5"))
    assert (view.daily_realised, view.funding_pnl) == (Decimal(-3), Decimal("-0.4"))
    assert view.available_margin == Decimal(999_900)
    assert view.margin_level is MarginLevel.BASE
    assert view.as_of == NOW


@pytest.mark.parametrize(
    ("spot", "future", "total", "pnl", "equity"),
    [
        ("400", "600", "1000", "-50", "950"),  # the parts hold no PnL: add it
        ("400", "600", "1000", "50", "1050"),
        ("400", "600", "950", "-50", "950"),  # the total holds it already
        ("400", "600", "1050", "50", "1050"),
        ("400", "600", "2000", "50", "2000"),  # the parts do not tell: only a loss counts
        ("400", "600", "2000", "-50", "1950"),
        ("", "", "1000", "50", "1000"),
        ("", "", "1000", "-50", "950"),
    ],
)
def test_equity_counts_unrealised_pnl_once_and_never_too_high(
    spot: str, future: str, total: str, pnl: str, equity: str
) -> None:
    summary = a_summary(cbi_usd_balance=spot, cfm_usd_balance=future, total_usd_balance=total, unrealized_pnl=pnl)
    assert money.account_view(summary, NOW).equity == Decimal(equity)


def test_an_account_that_is_not_told_is_never_zero_L5() -> None:
    with pytest.raises(money.NoFuturesWallet):
        money.account_from(guard.decode(b'{"balance_summary":null}', futures.BalanceSummaryReply), NOW)
    for field in ("total_usd_balance", "unrealized_pnl"):
        for absent in (UNSET, "", Amount(), Amount(value="", currency="USD")):
            with pytest.raises(WireError, match=f"{field} is missing"):
                money.account_view(changed(a_summary(), **{field: absent}), NOW)
    assert money.account_view(a_summary(funding_pnl=UNSET), NOW).funding_pnl is None
    assert money.account_view(a_summary(funding_pnl="0"), NOW).funding_pnl == 0


@pytest.mark.parametrize(
    ("words", "level"),
    [
        (("BASE", "BASE"), MarginLevel.BASE),
        (("BASE", "DANGER"), MarginLevel.DANGER),
        (("WARNING", "UNSPECIFIED"), MarginLevel.WARNING),
        (("LIQUIDATION", "NEW_WORD"), MarginLevel.LIQUIDATION),
        (("DANGER", "NEW_WORD"), MarginLevel.UNRECOGNISED),
        (("UNSPECIFIED", "UNSPECIFIED"), MarginLevel.UNRECOGNISED),
    ],
)
def test_the_graver_margin_level_counts_and_an_unknown_word_is_no_calm(
    words: tuple[str, str], level: MarginLevel
) -> None:
    intraday, overnight = (futures.MarginWindowMeasure(margin_level=f"MARGIN_LEVEL_TYPE_{word}") for word in words)
    summary = a_summary(intraday_margin_window_measure=intraday, overnight_margin_window_measure=overnight)
    assert money.account_view(summary, NOW).margin_level is level


@pytest.mark.parametrize(
    ("word", "coin"),
    [("LONG", "0.07"), ("SHORT", "-0.07"), ("Long", "0.07"), ("FUTURES_POSITION_SIDE_SHORT", "-0.07")],
)
def test_a_position_is_signed_coin(word: str, coin: str) -> None:
    position = money.position_from(bodies.a_position(side=word), SIZES)
    assert position.coin == Decimal(coin)
    assert position.contracts == Decimal(coin) * 100
    assert position.average_entry == Decimal(69_000)


@recorded
def test_the_published_position_reads_with_its_contract_size() -> None:
    reply = sample("cfm-positions", futures.FuturesPositionsReply)
    read = money.positions_from(reply, {ProductId("BIT-26APR24-CDE"): Size(Decimal("0.01"))}, NOW)
    assert [(p.coin, p.average_entry, p.unrealised) for p in read.positions] == [
        (Decimal("0.02"), Decimal(70980), Decimal(33))
    ]


def test_positions_that_cannot_be_read_are_never_flat_L5() -> None:
    def read(*rows: futures.FuturesPositionBody) -> Any:
        return money.positions_from(futures.FuturesPositionsReply(positions=rows), SIZES, NOW)

    assert read().positions == ()
    assert read(bodies.a_position(number_of_contracts="0", side="UNKNOWN")).positions == ()
    for broken in (
        bodies.a_position(side="UNKNOWN"),
        bodies.a_position(side=UNSET),
        bodies.a_position(number_of_contracts=""),
        bodies.a_position(number_of_contracts="-1"),
        bodies.a_position(product_id="NEW-20DEC30-CDE"),
    ):
        with pytest.raises(WireError):
            read(broken)
    with pytest.raises(WireError, match="listed twice"):
        read(bodies.a_position(), bodies.a_position())
    with pytest.raises(WireError, match="positions is missing"):
        money.positions_from(futures.FuturesPositionsReply(), SIZES, NOW)


@recorded
def test_the_recorded_fees_and_permissions_read() -> None:
    fees = money.fees_from(sample("transaction-summary", accounts.TransactionSummary))
    assert (fees.maker, fees.taker, fees.tier) == (Decimal("0.006"), Decimal("0.012"), "Intro 1")
    older = money.fees_from(sample("transaction-summary-futures", accounts.TransactionSummary))
    assert (older.maker, older.taker) == (Decimal("0.006"), Decimal("0.008"))
    facts = money.key_facts_from(sample("key-permissions", accounts.KeyPermissions))
    assert (facts.can_view, facts.can_trade, facts.can_transfer) == (True, True, True)


@pytest.mark.parametrize("field", ["can_view", "can_trade", "can_transfer", "portfolio_uuid"])
def test_a_permission_that_is_not_told_is_no_answer_A7(field: str) -> None:
    body = accounts.KeyPermissions(can_view=True, can_trade=True, can_transfer=False, portfolio_uuid="p-1")
    assert money.key_facts_from(body).can_transfer is False
    with pytest.raises(WireError):
        money.key_facts_from(changed(body, **{field: UNSET}))


def test_the_margin_window_says_which_rates_hold_and_until_when() -> None:
    reply = futures.MarginWindowReply(
        margin_window=futures.MarginWindow(
            margin_window_type="FCM_MARGIN_WINDOW_TYPE_OVERNIGHT", end_time="2026-11-23T13:00:00Z"
        )
    )
    window = money.margin_window_from(reply, futures.MarginSetting(setting="INTRADAY_MARGIN_SETTING_INTRADAY"))
    assert (window.kind, window.ends, window.intraday_enrolled) == (
        "OVERNIGHT",
        datetime(2026, 11, 23, 13, tzinfo=UTC),
        True,
    )
    assert money.margin_window_from(reply, None).intraday_enrolled is None
    with pytest.raises(WireError):
        money.margin_window_from(futures.MarginWindowReply(), None)


# --- orders and fills -------------------------------------------------------------------------------


def test_an_order_reads_in_coin_with_its_terms() -> None:
    order = trading.order_from(a_limit_order(), SIZES, NOW)
    assert (order.size, order.filled, order.remaining) == (Decimal("0.05"), Decimal("0.02"), Decimal("0.03"))
    assert (order.type, order.tif, order.side) == (OrderType.LIMIT, TimeInForce.GTD, Side.BUY)
    assert (order.limit_price, order.stop_price, order.post_only) == (Decimal(60000), None, True)
    assert (order.average_price, order.fees) == (Decimal(59995), Decimal("0.36"))
    assert order.expires == datetime(2026, 11, 22, 12, 36, 56, tzinfo=UTC)
    assert order.created == datetime(2026, 11, 22, 12, 34, 56, 1, tzinfo=UTC)
    assert (order.status, order.raw_status, order.reason) == (OrderStatus.OPEN, "OPEN", "")
    assert order.placement_source == "RETAIL_ADVANCED"
    stop = trading.order_from(bodies.a_stop_order(), SIZES, NOW)
    assert (stop.type, stop.limit_price, stop.stop_price, stop.post_only) == (
        OrderType.STOP_LIMIT,
        Decimal(71000),
        Decimal(70900),
        False,
    )


@pytest.mark.parametrize("absent", [UNSET, None, ""])
def test_a_missing_average_price_or_fee_is_unknown_and_not_zero_E16(absent: Any) -> None:
    body = json.loads(guard.encode(a_limit_order()))
    for field in ("average_filled_price", "total_fees", "fee"):
        body[field] = None if absent is UNSET else absent
        if absent is UNSET:
            del body[field]
    order = trading.order_from(guard.decode(json.dumps(body).encode(), orders.OrderBody), SIZES, NOW)
    assert order.average_price is None
    assert order.fees is None
    fill = trading.fill_from(a_fill(commission=UNSET if absent is None else absent), SIZES)
    assert fill.fee is None
    assert trading.fill_from(a_fill(commission="0"), SIZES).fee == 0


def test_a_missing_filled_size_is_an_error_unless_no_fill_is_counted_E16_L5() -> None:
    assert trading.order_from(a_limit_order(filled_size="", number_of_fills="0"), SIZES, NOW).filled == 0
    for count in ("2", "", UNSET):
        with pytest.raises(WireError, match="filled_size is missing"):
            trading.order_from(a_limit_order(filled_size=UNSET, number_of_fills=count), SIZES, NOW)


def test_words_we_do_not_know_keep_their_raw_text_and_crash_no_read() -> None:
    strange = a_limit_order(
        status="TELEPORTED",
        order_type="ICEBERG",
        time_in_force="GOOD_UNTIL_MOON",
        order_configuration=UNSET,
        side="SELL",
    )
    order = trading.order_from(strange, SIZES, NOW)
    assert (order.status, order.raw_status) == (OrderStatus.UNRECOGNISED, "TELEPORTED")
    assert order.status.live
    assert (order.type, order.raw_type, order.tif) == (OrderType.UNRECOGNISED, "ICEBERG", TimeInForce.UNRECOGNISED)
    assert order.size is None
    assert order.post_only is None
    fill = trading.fill_from(a_fill(trade_type="MAGIC", liquidity_indicator="UNKNOWN_LIQUIDITY_INDICATOR"), SIZES)
    assert (fill.kind, fill.liquidity) == (FillKind.UNRECOGNISED, Liquidity.UNKNOWN)


@pytest.mark.parametrize("word", trading.STATUSES)
def test_every_documented_status_is_known(word: str) -> None:
    order = trading.order_from(a_limit_order(status=word), SIZES, NOW)
    assert order.status.value.upper() == word


def test_a_configuration_of_several_variants_states_no_terms() -> None:
    both = orders.OrderConfiguration(
        limit_limit_gtc=orders.Terms(base_size="1", limit_price="2"), market_market_ioc=orders.Terms(base_size="1")
    )
    assert trading.terms_from(both, Size(Decimal(1))) == trading.NOTHING_STATED


@recorded
def test_the_recorded_spot_order_reads_and_is_left_out_of_derivatives() -> None:
    reply = sample("orders-list", orders.OrdersReply)
    assert trading.orders_from(reply, SIZES, NOW) == ()
    order = trading.order_from(reply.orders[0], SIZES, NOW)
    assert (order.size, order.filled) == (None, Decimal("0.000297920684505"))
    assert (order.type, order.tif, order.status) == (OrderType.MARKET, TimeInForce.IOC, OrderStatus.FILLED)
    assert (order.fees, order.reason) == (Decimal("0.0379324055666004"), "Internal error")
    assert trading.more_orders(reply) is None


def test_an_order_of_an_unknown_future_is_an_error_and_not_read_in_contracts() -> None:
    with pytest.raises(WireError, match="contract size"):
        trading.order_from(a_limit_order(product_id="NEW-20DEC30-CDE"), SIZES, NOW)


def test_a_listing_without_its_list_or_its_end_is_an_error_L5_E21() -> None:
    with pytest.raises(WireError, match="orders is missing"):
        trading.orders_from(orders.OrdersReply(), SIZES, NOW)
    with pytest.raises(WireError, match="has_next is missing"):
        trading.more_orders(orders.OrdersReply(orders=()))
    with pytest.raises(WireError, match="cursor is missing"):
        trading.more_orders(orders.OrdersReply(orders=(), has_next=True, cursor=""))
    assert trading.more_orders(orders.OrdersReply(orders=(), has_next=True, cursor="c")) == "c"
    with pytest.raises(WireError, match="fills is missing"):
        trading.fills_from(orders.FillsReply(), SIZES)
    assert trading.more_fills(orders.FillsReply(fills=(), cursor="")) is None
    assert trading.more_fills(orders.FillsReply(fills=(), cursor="c")) == "c"


def test_a_fill_reads_in_coin_with_its_key() -> None:
    fill = trading.fill_from(a_fill(), SIZES)
    assert (fill.fill_id, fill.size, fill.price, fill.fee) == (
        "b88b82cc89e326a2778874795102cbaf",
        Decimal("0.02"),
        Decimal(59995),
        Decimal("0.36"),
    )
    assert (fill.kind, fill.liquidity, fill.side) == (FillKind.FILL, Liquidity.MAKER, Side.BUY)
    assert fill.time == datetime(2026, 11, 22, 12, 34, 57, 91377, tzinfo=UTC)


@recorded
def test_a_fill_sized_in_quote_currency_is_refused() -> None:
    body = sample("fills", orders.FillsReply).fills[0]
    with pytest.raises(WireError, match="sized in quote"):
        trading.fill_from(body, {ProductId("BTC-USDT"): Size(Decimal(1))})


def test_a_preview_lists_the_venues_objections_escaped() -> None:
    preview = trading.preview_from(bodies.a_preview(errs=("PREVIEW_INSUFFICIENT_FUND", "\x1b[2J"), warning=("BIG",)))
    assert preview.problems == ("PREVIEW_INSUFFICIENT_FUND", "\\x1b[2J")
    assert preview.warnings == ("BIG",)
    assert (preview.margin, preview.commission, preview.average_price) == (
        Decimal(60),
        Decimal("0.18"),
        Decimal(68925),
    )
    edit = orders.PreviewReply(errors=(orders.EditFailure(edit_failure_reason="ORDER_NOT_FOUND"),))
    assert trading.preview_from(edit).problems == ("ORDER_NOT_FOUND",)
    assert trading.preview_from(edit).order_total is None


# --- requests ---------------------------------------------------------------------------------------


def an_order(
    *,
    type: OrderType = OrderType.LIMIT,  # noqa: A002
    tif: TimeInForce = TimeInForce.GTC,
    side: Side = Side.BUY,
    size: str = "0.05",
    price: str | None = "60000",
    stop: str | None = None,
    post_only: bool = False,
    expires: datetime | None = None,
) -> QuantizedOrder:
    limit = None if price is None else reading.price(price, "price")
    trigger = None if stop is None else reading.price(stop, "stop")
    intent = OrderIntent(
        id=IntentId("intent-0001"),
        product_id=BIP,
        side=side,
        size=Size(Decimal(size)),
        type=type,
        tif=tif,
        limit_price=limit,
        stop_price=trigger,
        post_only=post_only,
        expires=expires,
        created_at=NOW,
    )
    return QuantizedOrder(intent=intent, product=PRODUCT, size=intent.size, limit_price=limit, stop_price=trigger)


ID = ClientOrderId("intent-0001")
GTD = NOW + timedelta(minutes=2)
CONFIGURATIONS: list[tuple[QuantizedOrder, dict[str, dict[str, object]]]] = [
    (an_order(type=OrderType.MARKET, tif=TimeInForce.IOC, price=None), {"market_market_ioc": {"base_size": "5"}}),
    (an_order(type=OrderType.MARKET, tif=TimeInForce.FOK, price=None), {"market_market_fok": {"base_size": "5"}}),
    (an_order(tif=TimeInForce.IOC), {"sor_limit_ioc": {"base_size": "5", "limit_price": "60000"}}),
    (an_order(tif=TimeInForce.FOK), {"limit_limit_fok": {"base_size": "5", "limit_price": "60000"}}),
    (
        an_order(post_only=True),
        {"limit_limit_gtc": {"base_size": "5", "limit_price": "60000", "post_only": True}},
    ),
    (
        an_order(tif=TimeInForce.GTD, expires=GTD),
        {
            "limit_limit_gtd": {
                "base_size": "5",
                "limit_price": "60000",
                "post_only": False,
                "end_time": "2026-11-22T12:36:56Z",
            }
        },
    ),
    (
        an_order(type=OrderType.STOP_LIMIT, stop="59995"),
        {
            "stop_limit_stop_limit_gtc": {
                "base_size": "5",
                "limit_price": "60000",
                "stop_price": "59995",
                "stop_direction": "STOP_DIRECTION_STOP_UP",
            }
        },
    ),
    (
        an_order(type=OrderType.STOP_LIMIT, tif=TimeInForce.GTD, side=Side.SELL, stop="60005", expires=GTD),
        {
            "stop_limit_stop_limit_gtd": {
                "base_size": "5",
                "limit_price": "60000",
                "stop_price": "60005",
                "stop_direction": "STOP_DIRECTION_STOP_DOWN",
                "end_time": "2026-11-22T12:36:56Z",
            }
        },
    ),
]


@pytest.mark.parametrize(("order", "expected"), CONFIGURATIONS)
def test_an_order_becomes_the_one_configuration_that_says_it_I7(
    order: QuantizedOrder, expected: dict[str, dict[str, object]]
) -> None:
    request = requests.create_request(order, ID)
    assert json.loads(guard.encode(request)) == {
        "client_order_id": "intent-0001",
        "product_id": BIP,
        "side": order.side.value.upper(),
        "order_configuration": expected,
    }
    preview = json.loads(guard.encode(requests.preview_request(order)))
    assert preview["order_configuration"] == expected
    assert "client_order_id" not in preview
    configuration = request.order_configuration
    assert isinstance(configuration, orders.OrderConfiguration)
    chosen = configuration.chosen()
    assert chosen is not None
    assert orders.stray_terms(*chosen) == ()


@pytest.mark.parametrize(("order", "_"), CONFIGURATIONS)
def test_an_order_sent_reads_back_as_it_was_meant_I7(order: QuantizedOrder, _: object) -> None:
    request = guard.decode(guard.encode(requests.create_request(order, ID)), orders.CreateOrderRequest)
    stated = trading.terms_from(request.order_configuration, PRODUCT.contract_size)
    assert (stated.size, stated.limit_price, stated.stop_price) == (order.size, order.limit_price, order.stop_price)
    assert stated.post_only is order.intent.post_only
    assert stated.expires == order.intent.expires
    assert trading.VARIANTS[stated.variant] == (order.intent.type, order.intent.tif)


def test_an_order_the_venue_has_no_shape_for_is_refused() -> None:
    for impossible in (
        an_order(type=OrderType.MARKET, tif=TimeInForce.GTC, price=None),
        an_order(type=OrderType.STOP_LIMIT, tif=TimeInForce.IOC, stop="59995"),
        an_order(tif=TimeInForce.IOC, post_only=True),
        an_order(type=OrderType.STOP_LIMIT, stop="59995", post_only=True),
    ):
        with pytest.raises(UsageError, match="the venue has no"):
            requests.create_request(impossible, ID)


def test_edits_cancels_and_closes_name_their_order_and_their_size() -> None:
    edit = QuantizedEdit(
        intent=EditIntent(
            id=IntentId("intent-0002"),
            target=IntentId("intent-0001"),
            venue_order_id=VenueOrderId("v-1"),
            new_price=reading.price("60005", "price"),
            new_size=None,
            created_at=NOW,
        ),
        product=PRODUCT,
        side=Side.BUY,
        old_size=Size(Decimal("0.05")),
        old_price=reading.price("60000", "price"),
        filled=Size(Decimal(0)),
        new_size=Size(Decimal("0.05")),
        new_price=reading.price("60005", "price"),
        post_only=False,
        reduce_only=False,
    )
    assert json.loads(guard.encode(requests.edit_request(edit))) == {"order_id": "v-1", "price": "60005", "size": "5"}
    cancel = requests.cancel_request([VenueOrderId("v-1"), VenueOrderId("v-2")])
    assert json.loads(guard.encode(cancel)) == {"order_ids": ["v-1", "v-2"]}
    close = requests.close_request(an_order(type=OrderType.MARKET, tif=TimeInForce.IOC, price=None), ID)
    assert json.loads(guard.encode(close)) == {"client_order_id": "intent-0001", "product_id": BIP, "size": "5"}


def test_terms_that_do_not_belong_to_a_variant_are_named() -> None:
    terms = orders.Terms(base_size="1", limit_price="2", post_only=True, reduce_only=True)
    assert orders.stray_terms("limit_limit_gtc", terms) == ("reduce_only",)
    assert orders.stray_terms("sor_limit_ioc", terms) == ("post_only", "reduce_only")
    assert set(orders.TERMS_OF) == set(orders.OrderConfiguration.nullable)


@given(st.integers(1, 5000), st.integers(1, 10**7))
def test_sizes_and_prices_survive_the_wire_to_the_last_digit_I7(contracts: int, steps: int) -> None:
    order = an_order(size=str(Decimal(contracts) / 100), price=str(steps * 5))
    body = guard.encode(requests.create_request(order, ID))
    read = guard.decode(body, orders.CreateOrderRequest)
    stated = trading.terms_from(read.order_configuration, PRODUCT.contract_size)
    assert (stated.size, stated.limit_price) == (order.size, order.limit_price)
    assert json.loads(body)["order_configuration"]["limit_limit_gtc"]["base_size"] == str(contracts)
