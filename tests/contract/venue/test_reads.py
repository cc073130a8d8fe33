"""What a venue tells: the same answers whatever carries the question, whole or an error, never nothing instead."""

from collections.abc import Iterable
from datetime import UTC, timedelta
from decimal import Decimal

import pytest

from perpsctl.domain.accounts import MarginLevel
from perpsctl.domain.errors import PerpsctlError, UsageError
from perpsctl.domain.ids import ProductId, VenueOrderId
from perpsctl.domain.market import Level
from perpsctl.domain.numbers import plain
from perpsctl.domain.orders import (
    Accepted,
    Fill,
    FillKind,
    Liquidity,
    OrderStatus,
    OrderType,
    TimeInForce,
    Unknown,
)
from perpsctl.domain.sides import Side
from tests.contract.venue.scene import Scene

MINUTE = timedelta(minutes=1)
SOURCES = ("RETAIL_ADVANCED", "RETAIL_SIMPLE", "UNKNOWN_PLACEMENT_SOURCE")


def pairs(rows: Iterable[Level | Fill]) -> list[tuple[str, str]]:
    """Price and size as plain text."""
    return [(plain(row.price), plain(row.size)) for row in rows]


# --- market -------------------------------------------------------------------------------------------


def test_the_perpetuals_are_found_by_structure_and_each_reads_alone_as_in_the_list(scene: Scene) -> None:
    listed = {product.alias: product for product in scene.venue.products()}
    assert set(listed) == {"BTC-PERP", "ETH-PERP", "SOL-PERP", "XRP-PERP"}
    btc = listed["BTC-PERP"]
    assert (btc.product_id, btc.contract_size, btc.size_step, btc.min_size) == (
        scene.ground.product_id,
        *(Decimal(scene.ground.contract),) * 3,
    )
    assert btc.status.takes_orders
    alone = scene.venue.product(btc.product_id)
    assert alone.funding is not None
    assert (alone.alias, alone.contract_size, alone.price_steps) == (btc.alias, btc.contract_size, btc.price_steps)


def test_a_product_nobody_lists_is_an_error(scene: Scene) -> None:
    with pytest.raises(PerpsctlError):
        scene.venue.product(ProductId(scene.ground.nowhere_id))


def test_a_closed_product_says_so(scene: Scene) -> None:
    scene.set("status", product_id=scene.product.product_id, cancel_only=True)
    scene.set("session", product_id=scene.ground.other_id)
    status = scene.venue.product(scene.product.product_id).status
    assert (status.cancel_only, status.takes_orders) == (True, False)
    assert scene.venue.product(ProductId(scene.ground.other_id)).status.takes_orders is False


def test_the_book_is_best_first_in_coin_dated_and_no_deeper_than_asked(scene: Scene) -> None:
    book = scene.venue.book(scene.product.product_id, 7)
    assert book.sound
    assert (len(book.bids), len(book.asks)) == (7, 7)
    assert [level.price for level in book.bids] == sorted((level.price for level in book.bids), reverse=True)
    assert [level.price for level in book.asks] == sorted(level.price for level in book.asks)
    assert all(
        level.size > 0 and level.size % Decimal(scene.ground.contract) == 0 for level in (*book.bids, *book.asks)
    )
    assert book.mid is not None
    assert abs(book.mid - 60_000) <= 10
    assert timedelta(0) <= scene.clock.now() - book.as_of < timedelta(seconds=8)
    assert book.venue_time is not None
    assert abs(book.venue_time - book.as_of) < timedelta(seconds=8)


def test_the_book_is_the_one_that_was_set(scene: Scene) -> None:
    scene.set_book(bids=[("59990", "0.03"), ("59980", "0.05")], asks=[("60010", "0.02")])
    book = scene.venue.book(scene.product.product_id, 50)
    assert pairs(book.bids) == [("59990", "0.03"), ("59980", "0.05")]
    assert pairs(book.asks) == [("60010", "0.02")]
    scene.set_book(bids=[("59990", "0.03")], asks=[])
    assert scene.venue.book(scene.product.product_id, 50).sound is False


def test_more_than_350_bars_come_whole_without_a_gap_oldest_first(scene: Scene) -> None:
    end = scene.clock.now().astimezone(UTC).replace(second=0, microsecond=0)
    start = end - 800 * MINUTE
    bars = scene.venue.candles(scene.product.product_id, start=start, end=end, granularity=MINUTE)
    assert [bar.start for bar in bars] == [start + n * MINUTE for n in range(800)]
    assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in bars)
    assert all(bar.volume >= 0 for bar in bars)
    hourly = scene.venue.candles(scene.product.product_id, start=start, end=end, granularity=timedelta(hours=1))
    whole = [bar for bar in hourly if bar.start >= start and bar.start + timedelta(hours=1) <= end]
    assert len(whole) >= 12
    for hour in whole:
        inside = [bar for bar in bars if hour.start <= bar.start < hour.start + timedelta(hours=1)]
        assert (hour.high, hour.low) == (max(bar.high for bar in inside), min(bar.low for bar in inside))
        assert (hour.open, hour.close) == (inside[0].open, inside[-1].close)


def test_bars_of_a_length_the_venue_does_not_have_are_a_usage_error(scene: Scene) -> None:
    with pytest.raises(UsageError):
        scene.venue.candles(
            scene.product.product_id,
            start=scene.clock.now() - MINUTE,
            end=scene.clock.now(),
            granularity=timedelta(seconds=7),
        )


def test_trades_come_newest_first_and_no_more_than_asked(scene: Scene) -> None:
    trades = scene.venue.trades(scene.product.product_id, 20)
    assert len(trades) == 20
    assert [trade.time for trade in trades] == sorted((trade.time for trade in trades), reverse=True)
    assert len({trade.trade_id for trade in trades}) == 20
    assert all(trade.price > 0 and trade.size > 0 for trade in trades)


def test_our_own_trade_joins_the_tape_with_the_makers_side(scene: Scene) -> None:
    scene.set_book(bids=[("59990", "1")], asks=[("60010", "1")])
    order = scene.placed(kind=OrderType.MARKET, tif=TimeInForce.IOC, price=None, size="0.02")
    newest = [trade for trade in scene.venue.trades(scene.product.product_id, 20) if trade.price == order.average_price]
    assert sum(trade.size for trade in newest if trade.maker_side is Side.SELL) >= Decimal("0.02")


def test_the_venues_clock_agrees_within_its_uncertainty(scene: Scene) -> None:
    told = scene.venue.server_time()
    assert abs(told.skew) <= told.uncertainty + timedelta(milliseconds=500)
    scene.set("clock", offset_s=40)
    off = scene.venue.server_time()
    assert abs(off.skew - timedelta(seconds=40)) <= off.uncertainty + timedelta(milliseconds=500)


# --- account ------------------------------------------------------------------------------------------


def test_a_fresh_account_holds_a_million_and_nothing_else(scene: Scene) -> None:
    account = scene.venue.account()
    assert (plain(account.equity), plain(account.unrealised)) == ("1000000", "0")
    assert account.margin_level is MarginLevel.BASE
    assert scene.venue.positions().positions == ()
    assert scene.venue.live_orders().orders == ()
    assert scene.venue.fills() == ()


def test_the_key_says_what_it_may_and_whose_it_is(scene: Scene) -> None:
    facts = scene.venue.key_facts()
    assert (facts.can_view, facts.can_trade, facts.can_transfer) == (True, True, False)
    assert facts.portfolio_id
    assert facts == scene.another_venue().key_facts()
    assert (facts.portfolio_id == scene.judge()["portfolio_uuid"]) is scene.ground.judged_portfolio


@pytest.mark.parametrize("coin", ["0.07", "-0.07"])
def test_a_position_is_signed_coin_and_moves_equity_with_the_price(scene: Scene, coin: str) -> None:
    scene.set_position(coin)
    scene.set("price", product_id=scene.product.product_id, price="60500", hold=True)
    (position,) = scene.venue.positions().positions
    assert (position.coin, position.contracts) == (Decimal(coin), Decimal(coin) / Decimal(scene.ground.contract))
    assert position.average_entry == 60_000
    assert position.unrealised is not None
    assert abs(position.unrealised - Decimal(coin) * 500) <= 1
    account = scene.venue.account()
    assert abs(account.equity - (1_000_000 + Decimal(coin) * 500)) <= 1


def test_fees_are_the_accounts_own(scene: Scene) -> None:
    scene.set("fees", maker="0.0001", taker="0.0007")
    fees = scene.venue.fees()
    assert (plain(fees.maker), plain(fees.taker)) == scene.ground.fees


def test_the_margin_window_has_a_kind_and_an_end_ahead(scene: Scene) -> None:
    window = scene.venue.margin_window()
    assert window.kind
    assert (window.ends is not None) is scene.ground.margin_windows
    assert window.ends is None or window.ends > scene.clock.now()
    assert window.intraday_enrolled is False


# --- orders -------------------------------------------------------------------------------------------


def test_live_orders_are_of_every_source_and_every_status_that_could_still_fill(scene: Scene) -> None:
    by_source = {source: scene.inject(f"somebody-{n}", source) for n, source in enumerate(SOURCES)}
    ours = scene.placed(price="58000")
    scene.arm("E11", {"seconds": 60}, operation="cancel_orders")
    leaving = scene.placed(price="58005")
    assert scene.venue.cancel([leaving.venue_order_id])[0].accepted is scene.ground.order_words
    scene.arm("E24", {"seconds": 60}, operation="edit_order")
    moving = scene.placed(price="58010")
    assert isinstance(scene.edit(moving, price="58015"), Accepted if scene.ground.order_words else Unknown)
    gone = scene.placed(price="58020")
    scene.venue.cancel([gone.venue_order_id])
    filled = scene.placed(kind=OrderType.MARKET, tif=TimeInForce.IOC, price=None)
    waiting = None
    if scene.ground.order_words:
        scene.set("session", product_id=scene.product.product_id)
        waiting = scene.placed(price="58025")

    live = {order.venue_order_id: order for order in scene.venue.live_orders().orders}

    truly = {each["order_id"] for each in scene.judge()["orders"] if each["status"] not in ("FILLED", "CANCELLED")}
    assert set(live) == truly
    assert set(by_source.values()) <= set(live)
    assert live[ours.venue_order_id].status is OrderStatus.OPEN
    assert {leaving.venue_order_id, moving.venue_order_id} <= set(live)
    if waiting is not None:
        assert {live[VenueOrderId(by_source[s])].placement_source for s in SOURCES} == set(SOURCES)
        assert live[leaving.venue_order_id].status is OrderStatus.CANCEL_QUEUED
        assert live[moving.venue_order_id].status is OrderStatus.EDIT_QUEUED
        assert live[waiting.venue_order_id].status in (OrderStatus.QUEUED, OrderStatus.PENDING)
    assert not {gone.venue_order_id, filled.venue_order_id} & set(live)


def test_orders_since_are_of_every_source_final_ones_too_and_none_older(scene: Scene) -> None:
    old = scene.placed(price="58000")
    assert scene.until(lambda: scene.clock.now() > (old.created or scene.clock.now()) + timedelta(milliseconds=20), 2)
    start = scene.clock.now()
    names = [scene.inject(f"somebody-{n}", source) for n, source in enumerate(SOURCES)]
    gone = scene.placed(price="58020")
    scene.venue.cancel([gone.venue_order_id])
    found = {order.venue_order_id: order for order in scene.venue.orders_since(start).orders}
    assert set(found) == {*names, gone.venue_order_id}
    assert found[gone.venue_order_id].status is OrderStatus.CANCELLED
    everything = scene.venue.orders_since(start - timedelta(minutes=1)).orders
    assert {order.venue_order_id for order in everything} == {*found, old.venue_order_id}


def test_an_order_nobody_knows_is_none(scene: Scene) -> None:
    assert scene.venue.order(VenueOrderId("11111111-2222-3333-4444-555555555555")) is None


def test_fills_add_up_to_the_order_and_to_the_position(scene: Scene) -> None:
    scene.set("fees", maker="0", taker="0.0003")
    scene.set_book(bids=[("59990", "0.09")], asks=[("60010", "0.02"), ("60020", "0.03"), ("60030", "0.09")])
    before = scene.clock.now() - timedelta(seconds=1)
    order = scene.placed(price="60030", size="0.07")
    fills = scene.venue.fills(venue_order_id=order.venue_order_id)
    # Fills of one moment have no order among themselves.
    assert sorted(pairs(fills)) == [("60010", "0.02"), ("60020", "0.03"), ("60030", "0.02")]
    assert order.filled == sum(fill.size for fill in fills) == Decimal("0.07")
    assert {(fill.side, fill.kind, fill.liquidity) for fill in fills} == {(Side.BUY, FillKind.FILL, Liquidity.TAKER)}
    assert all(fill.fee == fill.price * fill.size * scene.venue.fees().taker for fill in fills)
    assert len({fill.fill_id for fill in fills}) == 3
    assert scene.venue.positions().coin(order.product_id) == Decimal("0.07")
    assert scene.venue.fills(since=before) == fills
    assert scene.venue.fills(since=scene.clock.now() + timedelta(minutes=1)) == ()


def test_fills_of_two_orders_come_oldest_first_and_apart_by_order(scene: Scene) -> None:
    first = scene.placed(kind=OrderType.MARKET, tif=TimeInForce.IOC, price=None)
    second = scene.placed(kind=OrderType.MARKET, tif=TimeInForce.IOC, price=None, side=Side.SELL)
    fills = scene.venue.fills()
    assert [fill.time for fill in fills] == sorted(fill.time for fill in fills)
    assert {fill.venue_order_id for fill in fills} == {first.venue_order_id, second.venue_order_id}
    for order in (first, second):
        alone = scene.venue.fills(venue_order_id=order.venue_order_id)
        assert {fill.venue_order_id for fill in alone} == {order.venue_order_id}
    assert scene.venue.positions().coin(first.product_id) == 0


def test_money_that_left_without_a_trade_is_told_once_or_the_venue_keeps_no_books_of_it(scene: Scene) -> None:
    began = scene.clock.now() - timedelta(minutes=1)
    before = scene.venue.transfers(began)
    if before is None:
        return
    equity = scene.venue.account().equity
    scene.set("transfer", usdc="-250.50")
    scene.set("transfer", usdc="100")
    scene.set("position", product_id=scene.product.product_id, contracts="10")  # no row of it: no money moved
    told = scene.venue.transfers(began)
    assert told is not None
    assert before == ()
    assert [(each.kind, each.amount) for each in told] == [
        ("withdrawal", Decimal("-250.5")),
        ("deposit", Decimal(100)),
    ]
    assert scene.venue.account().equity == equity + sum(each.amount for each in told)
    assert scene.venue.transfers(began) == told
