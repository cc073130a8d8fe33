"""Payloads of the global venue become domain values with the figures they carry, or are refused by name."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from perpsctl.domain.accounts import MarginLevel
from perpsctl.domain.ids import ProductId, VenueOrderId
from perpsctl.domain.market import MarkSource, SessionState
from perpsctl.domain.numbers import Size
from perpsctl.domain.orders import Liquidity, OrderStatus, OrderType, TimeInForce
from perpsctl.domain.products import find_product
from perpsctl.domain.sides import Side
from perpsctl.wire.global_derivatives import accounts, market, payloads, trading
from perpsctl.wire.global_derivatives import convert_accounts as money
from perpsctl.wire.global_derivatives import convert_market as public
from perpsctl.wire.global_derivatives import convert_orders as orders
from perpsctl.wire.global_derivatives.common import OrderPrice
from perpsctl.wire.guard import WireError
from tests.unit.wire.global_derivatives.payload_bodies import (
    BTC,
    NOW,
    SIZES,
    a_book,
    a_position,
    a_summary,
    a_ticker,
    a_trade,
    an_instrument,
    an_order,
    changed,
    d,
)

SAMPLES = Path(__file__).parents[4] / ".." / "shared" / "api" / "samples-global"
PRODUCT = public.product_from_instrument(an_instrument(), a_ticker(), NOW)


def sample(name: str) -> Any:
    """The result or data of a shared sample."""
    path = SAMPLES / f"{name}.json"
    if not path.exists():
        pytest.skip("the shared samples are not beside the repository")
    payload = payloads.read_payload(name, path.read_bytes())
    return payload.data if isinstance(payload, payloads.Message) else payload.result  # type: ignore[union-attr]


# --- products ----------------------------------------------------------------------------------------


def test_a_perpetual_is_read_with_coin_as_its_unit() -> None:
    assert (PRODUCT.product_id, PRODUCT.alias, PRODUCT.base, PRODUCT.quote) == (BTC, "BTC-PERP", "BTC", "USDC")
    assert (PRODUCT.contract_size, PRODUCT.size_step, PRODUCT.min_size) == (d("0.0001"), d("0.0001"), d("0.0001"))
    assert PRODUCT.price_step(d("79912.2")) == d("0.1")
    assert (PRODUCT.index_price, PRODUCT.last_price, PRODUCT.expiry) == (d("79910.55"), d("79912.2"), None)
    assert PRODUCT.intraday_margin is not None
    assert PRODUCT.intraday_margin.long == d("0.02")
    assert PRODUCT.status.takes_orders
    assert PRODUCT.funding is not None
    assert PRODUCT.funding.daily_rate() == d("0.00005226")
    assert find_product((PRODUCT,), "btc-perp") is PRODUCT


def test_the_captured_list_holds_one_perpetual_with_its_figures_from_exponents() -> None:
    (aave,) = public.perps_from(sample("http_get_instruments_mixed"), NOW)
    assert (aave.product_id, aave.alias) == ("AAVE_USDC-PERPETUAL", "AAVE-PERP")
    assert (aave.contract_size, aave.min_size, aave.price_step(d("100"))) == (d("0.01"), d("0.01"), d("0.01"))
    assert public.contract_sizes_from(sample("http_get_instruments_mixed")) == {"AAVE_USDC-PERPETUAL": d("0.01")}
    fees = money.fees_from(None, sample("http_get_instruments_mixed"))
    assert (fees.maker, fees.taker, fees.tier) == (d("0.00015"), d("0.00035"), "listed")


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "option"},
        {"kind": "spot"},
        {"settlement_period": "month"},
        {"instrument_type": "reversed"},
        {"settlement_currency": "BTC"},
        {"quote_currency": "USD"},
    ],
)
def test_what_is_built_otherwise_is_no_perpetual_whatever_its_name(fields: dict[str, str]) -> None:
    body = an_instrument(**fields)
    assert not public.is_perp(body)
    assert public.perps_from((body,), NOW) == ()
    with pytest.raises(WireError):
        public.product_from_instrument(body, None, NOW)


def test_price_steps_grow_with_the_price() -> None:
    steps = (
        market.TickSizeStep(above_price=d("100000"), tick_size=d("1")),
        market.TickSizeStep(above_price=d("50000"), tick_size=d("0.5")),
    )
    product = public.product_from_instrument(an_instrument(tick_size_steps=steps), None, NOW)
    prices = ("49999.9", "50000", "99999", "100000")
    assert [product.price_step(d(price)) for price in prices] == [d("0.1"), d("0.5"), d("0.5"), d("1")]
    with pytest.raises(WireError):
        public.price_steps_from(an_instrument(tick_size_steps=(steps[0], steps[0])))


@pytest.mark.parametrize(
    ("instrument", "ticker", "takes", "session", "cancel_only", "disabled"),
    [
        ("open", "open", True, SessionState.OPEN, False, False),
        ("open", "settlement", False, SessionState.CLOSED, False, False),
        ("settlement", "open", False, SessionState.CLOSED, False, False),
        ("locked", "open", False, SessionState.OPEN, True, False),
        ("open", "halted", False, SessionState.OPEN, False, True),
        ("inactive", "open", False, SessionState.OPEN, False, True),
        ("delivered", "", False, SessionState.OPEN, False, True),
        ("archivized", "", False, SessionState.OPEN, False, True),
        ("brand_new_word", "open", False, SessionState.UNRECOGNISED, False, False),
        ("", "", False, SessionState.UNRECOGNISED, False, False),
    ],
)
def test_a_state_is_a_trading_status_and_the_stricter_word_rules(
    instrument: str, ticker: str, takes: bool, session: SessionState, cancel_only: bool, disabled: bool
) -> None:
    status = public.status_from(an_instrument(state=instrument), a_ticker(state=ticker))
    assert status.takes_orders is takes
    assert status.session is not None
    assert (status.session.state, status.cancel_only, status.disabled) == (session, cancel_only, disabled)


def test_an_instrument_that_is_not_active_is_disabled() -> None:
    assert public.status_from(an_instrument(is_active=False)).disabled


def test_a_ticker_of_another_instrument_is_refused_H10() -> None:
    with pytest.raises(WireError):
        public.product_from_instrument(an_instrument(), a_ticker(instrument_name="ETH_USDC-PERPETUAL"), NOW)
    with pytest.raises(WireError):
        public.mark_from(a_ticker(), ProductId("ETH_USDC-PERPETUAL"), NOW)


def test_the_venues_mark_and_its_price_limits() -> None:
    mark = public.mark_from(a_ticker(), BTC, NOW)
    assert (mark.price, mark.source) == (d("79911.9"), MarkSource.VENUE)
    limits = public.price_limits_from(a_ticker())
    assert (limits.lowest, limits.highest) == (d("78300"), d("81500"))


def test_a_list_that_names_an_instrument_twice_is_refused_H12() -> None:
    with pytest.raises(WireError):
        public.perps_from((an_instrument(), an_instrument()), NOW)


# --- book, candles, tape, funding --------------------------------------------------------------------


def test_a_book_is_read_in_coin_best_first() -> None:
    book = public.book_from(a_book(), PRODUCT, NOW)
    assert (book.best_bid, book.best_ask, book.mid) == (d("79912.2"), d("79912.3"), d("79912.25"))
    assert book.asks[0].size == d("0.0136")
    assert book.venue_time == datetime(2026, 9, 5, 21, 59, 37, 21000, tzinfo=UTC)
    with pytest.raises(WireError):
        public.book_from(a_book(instrument_name="ETH_USDC-PERPETUAL"), PRODUCT, NOW)
    with pytest.raises(WireError):
        public.book_from(a_book(bids=((d("1"), d("1")), (d("2"), d("1")))), PRODUCT, NOW)
    with pytest.raises(WireError):
        public.book_from(a_book(asks=((d("2"), d("1")), (d("2"), d("1")))), PRODUCT, NOW)


def test_the_live_quote_keeps_its_digits() -> None:
    quote = sample("ws_quote_linear_live")
    assert (quote.best_ask_price, quote.best_bid_amount) == (d("79912.3"), d("0.0407"))


def test_candles_pair_their_columns() -> None:
    chart = sample("http_get_tradingview_chart_data_inverse")
    candles = public.candles_from(chart, PRODUCT)
    assert len(candles) == 5
    assert candles[0].start == datetime(2025, 12, 23, 9, 51, tzinfo=UTC)
    assert (candles[0].open, candles[0].volume) == (d("87451"), d("2.94375216"))
    with pytest.raises(WireError):
        public.candles_from(changed(chart, open=chart.open[:4]), PRODUCT)
    assert public.candles_from(market.ChartData(status="no_data", ticks=()), PRODUCT) == ()


def test_the_tape_tells_the_makers_side() -> None:
    row = market.TapeTrade(
        trade_id="USDC-1", instrument_name=BTC, timestamp=1788645577021, direction="buy", price=d("10"), amount=d("0.5")
    )
    (trade,) = public.trades_from(market.TapeTrades(trades=(row,), has_more=False), PRODUCT)
    assert (trade.maker_side, trade.size) == (Side.SELL, d("0.5"))
    with pytest.raises(WireError):
        public.trades_from(market.TapeTrades(), PRODUCT)


def test_the_funding_history_is_hourly_and_oldest_first() -> None:
    (hour,) = public.funding_hours_from(sample("http_get_funding_rate_history"))
    assert (hour.at, hour.rate_8h, hour.index_price) == (datetime(2026, 8, 9, 10, tzinfo=UTC), d("0"), d("64832.34"))
    rows = tuple(
        market.FundingRow(timestamp=stamp, interest_1h=d("0.1"), interest_8h=d("0.8")) for stamp in (7200000, 3600000)
    )
    first, second = public.funding_hours_from(rows)
    assert second.at - first.at == timedelta(hours=1)


# --- orders and fills --------------------------------------------------------------------------------


def test_an_order_is_read_in_coin() -> None:
    order = orders.order_from(an_order(), SIZES, NOW)
    assert (order.size, order.filled, order.remaining) == (d("0.001"), d("0.0004"), d("0.0006"))
    assert (order.status, order.type, order.tif) == (OrderStatus.OPEN, OrderType.LIMIT, TimeInForce.GTC)
    assert (order.limit_price, order.average_price, order.client_order_id) == (
        d("79912.3"),
        d("79912.3"),
        "pc-01J0EXAMPLE",
    )
    assert (order.placement_source, order.post_only, order.stop_price) == ("api", False, None)


def test_the_captured_order_has_its_figures() -> None:
    answer = sample("rpc_buy_limit_linear")
    order = orders.order_from(answer.order, SIZES, NOW)
    assert (order.size, order.limit_price, order.average_price) == (d("0.001"), d("2973.55"), None)
    assert (order.post_only, answer.trades) == (True, ())
    gone = orders.order_from(sample("rpc_cancel_linear"), SIZES, NOW)
    assert (gone.status, gone.reason, gone.remaining) == (OrderStatus.CANCELLED, "user_request", d("0"))


@pytest.mark.parametrize(
    ("state", "status", "final"),
    [
        ("open", OrderStatus.OPEN, False),
        ("untriggered", OrderStatus.OPEN, False),
        ("triggered", OrderStatus.OPEN, False),
        ("filled", OrderStatus.FILLED, True),
        ("cancelled", OrderStatus.CANCELLED, True),
        ("rejected", OrderStatus.FAILED, True),
        ("rejected:reduce_direction", OrderStatus.FAILED, True),
        ("brand_new", OrderStatus.UNRECOGNISED, False),
    ],
)
def test_states_are_read_and_an_unknown_one_counts_as_live(state: str, status: OrderStatus, final: bool) -> None:
    order = orders.order_from(an_order(order_state=state), SIZES, NOW)
    assert (order.status, order.status.final, order.raw_status) == (status, final, state)


def test_a_market_order_told_as_a_limit_is_a_market_order() -> None:
    order = orders.order_from(an_order(original_order_type="market"), SIZES, NOW)
    assert (order.type, order.limit_price) == (OrderType.MARKET, None)
    waiting = an_order(order_type="stop_market", order_state="untriggered", price=OrderPrice(None))
    assert orders.order_from(waiting, SIZES, NOW).limit_price is None


def test_a_waiting_order_without_a_filled_amount_has_filled_nothing() -> None:
    absent = changed(an_order(), filled_amount=trading.Order().filled_amount)
    stop = changed(absent, order_type="stop_limit", order_state="untriggered", trigger_price=d("81000"))
    order = orders.order_from(stop, SIZES, NOW)
    assert (order.filled, order.stop_price, order.type) == (d("0"), d("81000"), OrderType.STOP_LIMIT)
    assert orders.order_from(changed(absent, order_state="filled"), SIZES, NOW).filled == d("0.001")
    refused = changed(absent, order_state="rejected:reduce_direction")
    assert orders.order_from(refused, SIZES, NOW).filled == d("0")
    with pytest.raises(WireError):
        orders.order_from(absent, SIZES, NOW)


def test_a_triggered_order_names_the_one_it_came_from() -> None:
    assert orders.waited_as(an_order(trigger_order_id="USDC-SLTS-1")) == VenueOrderId("USDC-SLTS-1")
    assert orders.waited_as(an_order()) is None


def test_an_amount_in_contracts_alone_is_coin() -> None:
    body = changed(an_order(), amount=trading.Order().amount)
    assert orders.order_from(body, SIZES, NOW).size == d("0.001")


def test_spot_orders_are_left_out_and_unknown_derivatives_are_not() -> None:
    spot = an_order(instrument_name="BTC_USDC")
    assert len(orders.orders_from((spot, an_order()), SIZES, NOW)) == 1
    with pytest.raises(WireError):
        orders.orders_from((an_order(instrument_name="BTC-PERPETUAL"),), SIZES, NOW)


def test_a_fill_is_keyed_by_currency_and_trade() -> None:
    fill = orders.fill_from(a_trade(), SIZES)
    assert (fill.fill_id, fill.trade_id) == ("USDC:USDC-9000001", "USDC-9000001")
    assert (fill.size, fill.price, fill.fee, fill.liquidity) == (
        d("0.0004"),
        d("79912.3"),
        d("0.011187722"),
        Liquidity.TAKER,
    )
    assert orders.fill_from(a_trade(fee=d("-0.01")), SIZES).fee == d("-0.01")
    assert orders.fill_from(a_trade(fee_currency="BTC"), SIZES).fee is None


def test_recent_and_historical_fills_join_to_each_once_oldest_first() -> None:
    later = a_trade(trade_id="USDC-9000002", timestamp=1788645577200)
    found = orders.fills_from((later, a_trade(), a_trade(), later), SIZES)
    assert [fill.trade_id for fill in found] == ["USDC-9000001", "USDC-9000002"]
    with pytest.raises(WireError):
        orders.fills_from((a_trade(), a_trade(price=d("1"))), SIZES)


# --- money -------------------------------------------------------------------------------------------


def test_positions_are_signed_coin_from_size_currency() -> None:
    (held,) = sample("ws_user_changes_constructed").positions
    assert money.position_from(held, SIZES).coin == d("0.0004")
    short = a_position(direction="sell", size=d("-31.9"), size_currency=d("-0.0004"))
    unsigned = a_position(direction="sell")
    for body in (short, unsigned):
        position = money.position_from(body, SIZES)
        assert (position.coin, position.contracts, position.average_entry) == (d("-0.0004"), d("-4"), d("79912.3"))


def test_flat_rows_are_left_out_whatever_their_direction() -> None:
    zero = sample("rpc_get_position_zero")
    other = changed(zero, direction="zero", instrument_name="SOL_USDC-PERPETUAL")
    assert money.positions_from((zero, other), SIZES, NOW).positions == ()


def test_a_held_position_nobody_knows_or_nobody_can_read_is_an_error_L5() -> None:
    for body in (
        a_position(instrument_name="BTC-PERPETUAL"),
        a_position(direction="zero"),
        a_position(size=d("0")),
        a_position(size_currency=accounts.Position().size_currency),
        a_position(size_currency=d("-0.0004"), size=d("-30")),
    ):
        with pytest.raises(WireError):
            money.positions_from((body,), SIZES, NOW)


def test_cross_and_isolated_of_one_instrument_are_one_exposure() -> None:
    isolated = a_position(isolated=True, size_currency=d("0.0012"), average_price=d("79908.3"))
    (both,) = money.positions_from((a_position(), isolated), SIZES, NOW).positions
    assert (both.coin, both.contracts, both.average_entry) == (d("0.0016"), d("16"), d("79909.3"))
    against = changed(isolated, direction="sell", size_currency=d("0.0004"))
    assert money.positions_from((a_position(), against), SIZES, NOW).positions == ()
    with pytest.raises(WireError):
        money.positions_from((a_position(), a_position()), SIZES, NOW)


def test_the_account_is_read_in_usdc() -> None:
    view = money.account_from(a_summary(), NOW)
    assert (view.equity, view.balance, view.unrealised, view.daily_realised) == (
        d("1010.5"),
        d("1000"),
        d("12"),
        d("-1.5"),
    )
    assert (view.initial_margin, view.available_margin, view.buying_power) == (d("110"), d("900.5"), d("900.5"))
    assert (view.liquidation_threshold, view.liquidation_buffer) == (d("55"), d("955.5"))
    assert view.margin_level is MarginLevel.BASE
    with pytest.raises(WireError):
        money.account_from(sample("rpc_get_account_summary_extended"), NOW)  # it is in BTC


@pytest.mark.parametrize(
    ("margin", "level"), [("111", MarginLevel.BASE), ("110", MarginLevel.DANGER), ("55", MarginLevel.LIQUIDATION)]
)
def test_the_margin_level_follows_the_venues_own_rule(margin: str, level: MarginLevel) -> None:
    assert money.account_from(a_summary(margin_balance=d(margin)), NOW).margin_level is level


def test_without_margin_figures_no_level_is_concluded() -> None:
    view = money.account_from(a_summary(maintenance_margin=accounts.AccountSummary().maintenance_margin), NOW)
    assert (view.margin_level, view.liquidation_buffer) == (MarginLevel.UNRECOGNISED, None)


def test_the_accounts_own_limits_and_fees_are_read() -> None:
    budgets = money.budgets_from(a_summary())
    assert budgets.matching == money.Budget(rate=d("200"), burst=d("250"))
    assert budgets.plain == money.Budget(rate=d("1000"), burst=d("1500"))
    assert money.budgets_from(sample("rpc_get_account_summary_extended")) == budgets
    assert money.budgets_from(accounts.AccountSummary()) == money.Budgets(matching=None, cancel_all=None, plain=None)
    fees = money.fees_from(a_summary(), (an_instrument(),))
    assert (fees.maker, fees.taker, fees.tier) == (d("-0.0001"), d("0.00035"), "account")
    relative = accounts.KindFees(default=accounts.FeeRates(type="relative", maker=d("0.5"), taker=d("2")))
    summary = a_summary(fees={"btc_usdc": accounts.IndexFees(perpetual=relative)})
    fees = money.fees_from(summary, (an_instrument(),))
    assert (fees.maker, fees.taker) == (d("0.000075"), d("0.0007"))


def test_the_books_tell_funding_inside_the_change() -> None:
    rows = money.bookings_from(sample("rpc_get_transaction_log"))
    assert [row.seq for row in rows] == sorted(row.seq for row in rows)
    settlement = next(row for row in rows if row.kind == "settlement")
    assert (settlement.funding, settlement.change) == (d("0.00000993"), d("0.00215706"))
    transfer = next(row for row in rows if row.kind == "transfer")
    assert (transfer.product_id, transfer.funding, transfer.change) == (None, None, d("-2.5"))


def test_locks_are_told_with_the_venues_words() -> None:
    assert money.locks_from(sample("rpc_get_user_locks")) == ("BTC: locked in one currency",)
    with pytest.raises(WireError):
        money.locks_from((accounts.UserLock(currency="USDC"),))


# --- no hostile value passes a conversion ------------------------------------------------------------

CONVERSIONS: dict[str, tuple[Any, Any, dict[str, str]]] = {
    # field by field: what each must refuse: "neg" below zero, "zero" nothing, "gone" absent
    "instrument": (
        an_instrument(),
        lambda body: public.product_from_instrument(body, None, NOW),
        {"tick_size": "neg zero gone", "contract_size": "neg zero gone", "min_trade_amount": "neg zero gone", "max_leverage": "neg zero", "is_active": "gone"},
    ),
    "ticker": (
        a_ticker(),
        lambda body: public.product_from_instrument(an_instrument(), body, NOW),
        {"index_price": "neg", "last_price": "neg", "instrument_name": "gone"},
    ),
    "mark": (a_ticker(), lambda body: public.mark_from(body, BTC, NOW), {"mark_price": "neg zero gone"}),
    "book": (a_book(), lambda body: public.book_from(body, PRODUCT, NOW), {"bids": "gone", "asks": "gone", "last_price": "neg"}),
    "order": (
        an_order(),
        lambda body: orders.order_from(body, SIZES, NOW),
        {"amount": "neg", "filled_amount": "neg gone", "average_price": "neg", "order_id": "gone", "direction": "gone", "trigger_price": "neg"},
    ),
    "fill": (
        a_trade(),
        lambda body: orders.fill_from(body, SIZES),
        {"amount": "neg", "price": "neg zero gone", "fee": "gone", "trade_id": "gone", "timestamp": "neg gone", "fee_currency": "gone"},
    ),
    "position": (
        a_position(),
        lambda body: money.positions_from((body,), SIZES, NOW),
        {"size_currency": "neg zero gone", "average_price": "neg", "mark_price": "neg"},
    ),
    "account": (
        a_summary(),
        lambda body: money.account_from(body, NOW),
        {"equity": "gone", "balance": "gone", "session_upl": "gone", "currency": "gone"},
    ),
}  # fmt: skip
CASES = [
    (name, field, what)
    for name, (_, _, fields) in CONVERSIONS.items()
    for field, kinds in fields.items()
    for what in kinds.split()
]


@pytest.mark.parametrize(("name", "field", "what"), CASES)
def test_a_value_that_means_nothing_is_refused_by_name_M1_E16(name: str, field: str, what: str) -> None:
    body, convert, _ = CONVERSIONS[name]
    convert(body)
    told = getattr(body, field)
    nothing = type(body)().__getattribute__(field)
    bad = {"neg": -1 if isinstance(told, int) else Decimal(-1), "zero": Decimal(0), "gone": nothing}[what]
    with pytest.raises(WireError):
        convert(changed(body, **{field: bad}))


def test_multiplying_by_the_contract_size_loses_no_digit() -> None:
    thirty = d("123456789012345678901234567890")
    body = changed(an_order(), amount=trading.Order().amount, contracts=thirty, filled_amount=d("0"))
    assert orders.order_from(body, {BTC: Size(d("0.0001"))}, NOW).size == d("12345678901234567890123456.7890")
    position = money.position_from(a_position(direction="sell", size_currency=thirty), SIZES)
    assert f"{position.coin:f}" == "-123456789012345678901234567890"
