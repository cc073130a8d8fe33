"""L6: the same seed and the same calls at the same times leave the same trace, byte for byte."""

import random
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from perpsctl.simulator.clock import ManualClock, SystemClock
from perpsctl.simulator.control import Control
from perpsctl.simulator.exchange import Exchange
from perpsctl.simulator.listings import ANY_SOURCE
from perpsctl.simulator.options import Options
from perpsctl.simulator.orders import EditRequest, FillFilter, OrderFilter, Placed, Side
from perpsctl.simulator.views import Granularity
from tests.unit.simulator.core.asking import BIP, START, D, a_request


def trace(seed: int) -> str:
    """Two hundred seeded acts and everything that can be seen afterwards."""
    dice = random.Random(seed)
    clock = ManualClock(START)
    exchange = Exchange(clock, Options(seed=seed))
    exchange.faults.arm("E1", probability=D("0.2"), count=None, seed=seed)
    exchange.faults.arm("E9", probability=D("0.2"), count=None, seed=seed)
    seen: list[object] = []
    ids: list[str] = []
    for n in range(200):
        clock.advance(milliseconds=dice.randrange(2000))
        book = exchange.book(BIP, 3)
        seen.append(book)
        side = dice.choice(list(Side))
        away = dice.randrange(-2, 6) * 5
        price = book.bids[0].price - away if side is Side.BUY else book.asks[0].price + away
        match dice.randrange(4):
            case 0:
                seen.append(exchange.cancel(ids[-2:]))
            case 1 if ids:
                seen.append(exchange.edit(EditRequest(order_id=ids[-1], price=price)))
            case _:
                answer = exchange.create(
                    a_request(client_order_id=f"{seed}-{n}", side=side, size=dice.randrange(1, 30), price=price)
                )
                if isinstance(answer, Placed):
                    ids.append(answer.order_id)
                seen.append(answer)
    seen += [
        exchange.judge_view(),
        exchange.balance_summary(),
        exchange.products(all_products=True),
        exchange.orders(OrderFilter(sources=ANY_SOURCE)),
        exchange.fills(FillFilter(limit=1000)),
        exchange.trades(BIP, 200),
        exchange.candles(BIP, start=START - timedelta(hours=1), end=clock.now(), granularity=Granularity.FIVE_MINUTE),
    ]
    return repr(seen)


def test_the_same_seed_and_calls_leave_the_same_trace_L6() -> None:
    assert trace(11) == trace(11)


def test_another_seed_leaves_another_trace() -> None:
    assert trace(11) != trace(12)


def test_a_reset_is_a_new_account_on_the_same_path(exchange: Exchange, clock: ManualClock) -> None:
    first = (exchange.portfolio_uuid, exchange.judge_view().account)
    begun = exchange.book(BIP, 3)
    answer = exchange.create(a_request(price=50000))
    assert isinstance(answer, Placed)
    exchange.faults.arm("E1")
    clock.advance(12_345)
    exchange.reset()
    again = exchange.book(BIP, 3)
    assert exchange.portfolio_uuid != first[0]
    assert (first[1], exchange.judge_view().account) == (1, 2)
    assert (again.bids, again.asks) == (begun.bids, begun.asks)
    assert exchange.judge_view().orders == ()
    assert exchange.faults.armed() == ()
    fresh = exchange.create(a_request(price=50000))
    assert isinstance(fresh, Placed)
    assert fresh.order_id != answer.order_id


def test_a_start_that_counts_on_is_another_account_with_other_order_ids() -> None:
    first, second = (Exchange(ManualClock(START), Options(first_account=number)) for number in (1, 2))
    assert first.portfolio_uuid != second.portfolio_uuid
    orders = [exchange.create(a_request(price=50000, client_order_id="same")) for exchange in (first, second)]
    assert len({order.order_id for order in orders if isinstance(order, Placed)}) == 2


def test_a_clock_that_steps_back_moves_nothing_back_J8(exchange: Exchange, clock: ManualClock) -> None:
    clock.advance(100)
    order = exchange.create(a_request(price=50000))
    assert isinstance(order, Placed)
    clock.set(START - timedelta(hours=1))
    assert exchange.order(order.order_id).created_time == START + timedelta(seconds=100)
    later = exchange.create(a_request(price=50000))
    assert isinstance(later, Placed)
    assert exchange.order(later.order_id).created_time == START + timedelta(seconds=100)


def test_the_judge_numbers_requests_in_order_of_arrival_and_sees_worst_exposure_R5(exchange: Exchange) -> None:
    exchange.control.set_position(BIP, D(3))
    exchange.create(a_request(price=50000, size=2, client_order_id="a"))
    exchange.create(a_request(price=90000, size=4, side=Side.SELL, client_order_id="b"))
    exchange.create(a_request(price=50001, client_order_id="c"))
    view = exchange.judge_view()
    assert [(r.sequence, r.client_order_id, r.answer) for r in view.requests] == [
        (1, "a", "placed"),
        (2, "b", "placed"),
        (3, "c", "refused:INVALID_PRICE_PRECISION"),
    ]
    assert [(o.worst_long_after, o.worst_short_after) for o in view.orders] == [(D(5), D(3)), (D(5), D(-1))]


def test_many_threads_share_one_exchange_without_losing_an_order() -> None:
    exchange = Exchange(SystemClock())

    def place(name: int) -> None:
        for n in range(40):
            exchange.create(a_request(price=50000, client_order_id=f"{name}-{n}"))

    threads = [threading.Thread(target=place, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    view = exchange.judge_view()
    assert len({order.order_id for order in view.orders}) == 240
    assert [request.sequence for request in view.requests] == list(range(1, 241))


def test_creating_cancelling_and_advancing_are_quick(exchange: Exchange, clock: ManualClock) -> None:
    """Bounds are ten times what is measured on two cores, so that a busy machine does not fail them."""
    created, cancelled, advanced = [], [], []
    for n in range(60):
        begin = time.perf_counter()
        answer = exchange.create(a_request(price=60000 - 5 * n))
        created.append(time.perf_counter() - begin)
        assert isinstance(answer, Placed)
        clock.advance(1)
        begin = time.perf_counter()
        exchange.advance()
        advanced.append(time.perf_counter() - begin)
        if n % 2:
            begin = time.perf_counter()
            exchange.cancel([answer.order_id])
            cancelled.append(time.perf_counter() - begin)
    for samples, bound_ms in ((created, 2.5), (cancelled, 1.0), (advanced, 10.0)):
        assert sorted(samples)[len(samples) // 2] * 1000 < bound_ms


def test_memory_stays_bounded_over_many_orders(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perpsctl.simulator.state.ORDERS_KEPT", 50)
    kept = exchange.create(a_request(price=50000, client_order_id="kept"))
    assert isinstance(kept, Placed)
    for n in range(200):
        answer = exchange.create(a_request(price=50000, client_order_id=f"n{n}"))
        assert isinstance(answer, Placed)
        exchange.cancel([answer.order_id])
    orders = exchange.judge_view().orders
    assert len(orders) <= 51
    assert orders[0].order_id == kept.order_id, "a live order is never forgotten"


def test_control_refuses_what_makes_no_sense(exchange: Exchange) -> None:
    control: Control = exchange.control
    calls: tuple[Callable[[], object], ...] = (
        lambda: control.set_price(BIP, D(-1)),
        lambda: control.set_book(BIP, ((D(60005), D(1)),), ((D(60000), D(1)),)),
        lambda: control.set_book(BIP, ((D("60000.5"), D(1)),), ()),
        lambda: control.set_status(BIP, frozen=True),
        lambda: control.set_position(BIP, D("0.5")),
        lambda: control.set_position("BTC-USD", D(1)),
        lambda: control.set_balance(cbi_usd=D("NaN")),
        lambda: control.set_fees(maker=D(0), taker=D(2)),
        lambda: control.set_funding(BIP, D("0.1234567891")),
        lambda: control.set_dedupe("sometimes"),
        lambda: control.set_increments(BIP, price_increment=D(0)),
        lambda: control.external_fill("nothing", D(1)),
    )
    for call in calls:
        with pytest.raises(ValueError):  # noqa: PT011  # each has its own words; none may pass
            call()
    with pytest.raises(LookupError):
        control.set_price("NOPE", D(1))


def test_increments_change_mid_run_M5(exchange: Exchange) -> None:
    exchange.control.set_increments(BIP, price_increment=D(10), base_min_size=D(2))
    view = exchange.product(BIP)
    assert (view.price_increment, view.base_min_size) == (D(10), D(2))
    book = exchange.book(BIP, 5)
    assert all(row.price % 10 == 0 for row in (*book.bids, *book.asks))
    assert not isinstance(exchange.create(a_request(price=50005, size=2)), Placed)
    assert isinstance(exchange.create(a_request(price=50010, size=2)), Placed)
    with pytest.raises(ValueError, match="cancel them first"):
        exchange.control.set_increments(BIP, price_increment=D(5))


def test_an_empty_side_leaves_no_touch_and_refuses_market_orders(exchange: Exchange) -> None:
    exchange.control.set_book(BIP, ((D(60000), D(5)),), ())
    book = exchange.book(BIP)
    assert (book.asks, book.mid_market, exchange.product(BIP).mid_market_price) == ((), None, None)
    answer = exchange.create(a_request(size=1))
    assert not isinstance(answer, Placed)
    assert answer.reason == "INVALID_NO_LIQUIDITY"
    sold = exchange.create(a_request(size=1, side=Side.SELL))
    assert isinstance(sold, Placed)
    exchange.control.clear_book(BIP)
    assert exchange.product(BIP).mid_market_price is not None
