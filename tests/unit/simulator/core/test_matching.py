"""Who trades with whom, at which price, in which order."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perpsctl.simulator.clock import ManualClock
from perpsctl.simulator.exchange import Exchange
from perpsctl.simulator.market import Flow, Touch
from perpsctl.simulator.matching import hit, walk
from perpsctl.simulator.options import Options, ReplaySpec
from perpsctl.simulator.orders import ConfigKind, FillFilter, Liquidity, OrderStatus, Side
from tests.unit.simulator.core.asking import BIP, START, D, a_request, placed, refused, still_market


@given(
    depth=st.lists(st.integers(1, 50), max_size=8),
    contracts=st.integers(1, 200),
    reach=st.integers(0, 10),
    side=st.sampled_from(Side),
)
def test_a_walk_takes_the_best_first_never_beyond_its_limit_and_never_more_than_asked(
    depth: list[int], contracts: int, reach: int, side: Side
) -> None:
    rows = [(1000 + side.sign * n, size) for n, size in enumerate(depth)]
    limit = 1000 + side.sign * (reach - 1)
    found = walk(rows, side, contracts, limit)
    within = sum(size for ticks, size in rows if (ticks - limit) * side.sign <= 0)
    assert found.filled == min(contracts, within)
    assert found.left == contracts - found.filled
    assert [ticks for ticks, _ in found.steps] == [ticks for ticks, _ in rows][: len(found.steps)]


def test_a_market_order_walks_the_depth_and_pays_the_average(exchange: Exchange) -> None:
    still_market(exchange, bid=60000, size=100)
    order = exchange.order(placed(exchange.create(a_request(size=150))).order_id)
    assert order.status is OrderStatus.FILLED
    assert order.number_of_fills == 2
    assert order.average_filled_price == D("60006.66666667"), "to eight digits"
    assert [(f.price, f.size, f.liquidity) for f in exchange.fills(FillFilter()).items] == [
        (D(60010), D(50), Liquidity.TAKER),
        (D(60005), D(100), Liquidity.TAKER),
    ]
    assert exchange.book(BIP, 1).asks[0].price == 60010


def test_an_ioc_limit_takes_what_is_within_its_price_and_cancels_the_rest(exchange: Exchange) -> None:
    still_market(exchange, size=100)
    order = exchange.order(
        placed(exchange.create(a_request(size=150, price=60005, kind=ConfigKind.LIMIT_IOC))).order_id
    )
    assert (order.status, order.filled_size) == (OrderStatus.CANCELLED, D(100))


@pytest.mark.parametrize("kind", [ConfigKind.LIMIT_FOK, ConfigKind.MARKET_FOK])
def test_fill_or_kill_fills_whole_or_not_at_all(exchange: Exchange, kind: ConfigKind) -> None:
    still_market(exchange, size=100, levels=2)
    price = 60010 if kind is ConfigKind.LIMIT_FOK else None
    too_much = exchange.order(placed(exchange.create(a_request(size=201, price=price, kind=kind))).order_id)
    assert (too_much.status, too_much.filled_size) == (OrderStatus.CANCELLED, D(0))
    whole = exchange.order(placed(exchange.create(a_request(size=200, price=price, kind=kind))).order_id)
    assert whole.status is OrderStatus.FILLED


def test_a_post_only_order_that_would_take_is_refused_and_one_that_rests_is_not(exchange: Exchange) -> None:
    still_market(exchange)
    answer = refused(exchange.create(a_request(price=60005, post_only=True)))
    assert answer.reason == "INVALID_LIMIT_PRICE_POST_ONLY"
    resting = exchange.order(placed(exchange.create(a_request(price=60000, post_only=True))).order_id)
    assert resting.status is OrderStatus.OPEN


def test_the_operators_resting_order_shows_in_the_book(exchange: Exchange) -> None:
    still_market(exchange, size=100)
    exchange.create(a_request(size=7, price=60000))
    assert exchange.book(BIP).bids[0].size == 107


def test_an_order_never_trades_with_the_operators_own_which_is_cancelled(exchange: Exchange) -> None:
    still_market(exchange)
    first = placed(exchange.create(a_request(side=Side.SELL, price=60005))).order_id
    second = placed(exchange.create(a_request(price=60005))).order_id
    assert exchange.order(first).status is OrderStatus.CANCELLED
    assert "self-trade" in exchange.order(first).cancel_message
    assert exchange.order(second).status is OrderStatus.FILLED


def test_a_market_order_cancels_only_own_orders_that_it_would_reach(exchange: Exchange) -> None:
    still_market(exchange, size=100)
    near = placed(exchange.create(a_request(side=Side.SELL, price=60005))).order_id
    far = placed(exchange.create(a_request(side=Side.SELL, price=60020))).order_id
    exchange.create(a_request(size=150))
    assert exchange.order(near).status is OrderStatus.CANCELLED
    assert exchange.order(far).status is OrderStatus.OPEN


def test_what_a_taker_took_comes_back_within_five_seconds(exchange: Exchange, clock: ManualClock) -> None:
    exchange.control.set_price(BIP, D(60000), hold=True)
    before = exchange.book(BIP, 1).asks[0]
    exchange.create(a_request(size=int(before.size)))
    assert exchange.book(BIP, 1).asks[0].price > before.price
    clock.advance(milliseconds=2500)
    assert 0 < exchange.book(BIP, 1).asks[0].size < before.size
    assert exchange.book(BIP, 1).asks[0].price == before.price
    clock.advance(milliseconds=2500)
    assert exchange.book(BIP, 1).asks[0].size > before.size / 2


def test_the_price_trading_through_a_resting_order_fills_it_whole_at_its_own_price(
    exchange: Exchange, clock: ManualClock
) -> None:
    exchange.control.set_price(BIP, D(60000), hold=True)
    order_id = placed(exchange.create(a_request(size=40, price=59800, post_only=True))).order_id
    clock.advance(1)
    exchange.control.set_price(BIP, D(59700), hold=True)
    order = exchange.order(order_id)
    assert (order.status, order.average_filled_price, order.last_fill_time) == (
        OrderStatus.FILLED,
        D(59800),
        clock.now(),
    )
    assert exchange.fills(FillFilter()).items[0].liquidity is Liquidity.MAKER


def test_taker_flow_consumes_the_queue_before_it_fills_us_in_parts(exchange: Exchange, clock: ManualClock) -> None:
    exchange.control.set_price(BIP, D(60000), hold=True)
    bid = exchange.book(BIP, 1).bids[0].price
    order_id = placed(exchange.create(a_request(size=400, price=bid, post_only=True))).order_id
    exchange.advance()
    assert exchange.order(order_id).filled_size == 0
    seen: list[Decimal] = []
    for _ in range(600):
        clock.advance(milliseconds=250)
        seen.append(exchange.order(order_id).filled_size)
        if exchange.order(order_id).status is OrderStatus.FILLED:
            break
    assert seen[0] == 0, "makers stood before us"
    assert len({size for size in seen if 0 < size < 400}) > 3, "it fills in several parts"
    assert seen[-1] == 400
    assert seen == sorted(seen)


def test_a_queue_shortens_by_what_traded_and_two_of_ours_share_what_stood_before_both(exchange: Exchange) -> None:
    still_market(exchange, size=5)
    for _ in range(2):
        exchange.create(a_request(size=4, price=60000))
    touch = Touch(bid=12000, ask=12001)
    orders = exchange._core.state.books[BIP].side(Side.BUY)
    assert [order.queue_ahead for order in orders] == [5, 5]

    def sell(contracts: int) -> list[tuple[int, int]]:
        fills = hit(orders, touch, Flow(0, Side.SELL, contracts, None, 0))
        for fill in fills:
            fill.order.filled += fill.contracts
        return [(orders.index(fill.order), fill.contracts) for fill in fills]

    assert [sell(3), sell(3), sell(4), sell(9)] == [[], [(0, 1)], [(0, 3), (1, 1)], [(1, 3)]]


def test_a_trade_recorded_through_our_price_fills_us_whatever_stood_before(exchange: Exchange) -> None:
    still_market(exchange, size=50)
    exchange.create(a_request(size=4, price=60000))
    orders = exchange._core.state.books[BIP].side(Side.BUY)
    touch = Touch(bid=12000, ask=12001)
    assert hit(orders, touch, Flow(0, Side.SELL, 9, 12000, 0)) == []
    assert [fill.contracts for fill in hit(orders, touch, Flow(0, Side.SELL, 9, 11999, 0))] == [4]
    assert hit(orders, touch, Flow(0, Side.SELL, 9, 12001, 0)) == [], "it traded above us"


def test_own_orders_fill_in_price_then_time_priority(exchange: Exchange, clock: ManualClock) -> None:
    exchange.control.set_price(BIP, D(60000), hold=True)
    bid = exchange.book(BIP, 1).bids[0].price
    worse = placed(exchange.create(a_request(size=30, price=bid - 5))).order_id
    first = placed(exchange.create(a_request(size=30, price=bid))).order_id
    second = placed(exchange.create(a_request(size=30, price=bid))).order_id
    filled: list[Decimal] = []
    for _ in range(400):
        clock.advance(milliseconds=250)
        exchange.advance()
        filled = [exchange.order(order_id).filled_size for order_id in (first, second, worse)]
        assert filled[0] == 30 or filled[1] == 0
        assert filled[1] == 30 or filled[2] == 0
    assert filled[0] == filled[1] == 30


def test_nothing_matches_while_a_product_is_halted(exchange: Exchange, clock: ManualClock) -> None:
    exchange.control.set_price(BIP, D(60000), hold=True)
    order_id = placed(exchange.create(a_request(price=59900))).order_id
    exchange.control.set_status(BIP, cancel_only=True)
    exchange.control.set_price(BIP, D(59000), hold=True)
    clock.advance(5)
    assert exchange.order(order_id).status is OrderStatus.OPEN
    exchange.control.set_status(BIP, cancel_only=False)
    clock.advance(1)
    assert exchange.order(order_id).status is OrderStatus.FILLED


def test_a_long_absence_still_sees_the_extremes_of_the_path(tmp_path: Path) -> None:
    spike = tmp_path / "btc_spike.csv"
    rows = [f"2022-01-01T00:{n:02}:00Z,60000,60000,{58_000 if n == 31 else 59_990},60000" for n in range(60)]
    spike.write_text("\n".join(["timestamp,open,high,low,close", *rows]) + "\n")
    clock = ManualClock(START)
    exchange = Exchange(clock, Options(replay=ReplaySpec(path=spike)))
    caught = placed(exchange.create(a_request(price=58050, post_only=True))).order_id
    missed = placed(exchange.create(a_request(price=57900, post_only=True))).order_id
    clock.advance(5 * 3600)
    order = exchange.order(caught)
    assert (order.status, order.average_filled_price) == (OrderStatus.FILLED, D(58050))
    assert order.last_fill_time is not None
    assert timedelta(minutes=30) < order.last_fill_time - START < timedelta(minutes=40)
    assert exchange.order(missed).status is OrderStatus.OPEN
