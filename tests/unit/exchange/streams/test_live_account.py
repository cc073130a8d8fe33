"""What the account's streams tell of orders, fills and positions, and what unsettles; on virtual time, one thread."""

import json
from decimal import Decimal
from functools import partial
from itertools import count
from typing import Any

import pytest

from perpsctl.domain.products import Environment, VenueId
from perpsctl.domain.streams import ChannelState, News, NewsKind, StreamPart
from perpsctl.exchange.streams.addresses import trading_address
from perpsctl.exchange.streams.order_road import order_socket
from perpsctl.exchange.streams.socket import RpcSocket, SocketState
from perpsctl.exchange.transport import Answered
from perpsctl.simulator.orders import ConfigKind, Configuration, OrderRequest, Placed, Side
from perpsctl.simulator.outlet import SocketName
from tests.unit.exchange.streams.world import MS, SECOND, World

_numbers = count(1)


def us_order(world: World, *, price: Decimal | None = None, side: Side = Side.BUY, size: int = 1) -> str:
    """A market order without a price."""
    kind = ConfigKind.MARKET_IOC if price is None else ConfigKind.LIMIT_GTC
    answer = world.embedded.exchange.create(
        OrderRequest(
            product_id=world.product_id,
            side=side,
            configuration=Configuration(kind=kind, base_size=Decimal(size), limit_price=price),
            client_order_id=f"order-{next(_numbers)}",
            leverage=None,
            margin_type=None,
            preview_id=None,
            attached=None,
        )
    )
    assert isinstance(answer, Placed)
    return answer.order_id


def far_below(world: World) -> Decimal:
    bid = world.read().best_bid
    assert bid is not None
    return Decimal(int(bid * Decimal("0.9")) // 5 * 5)


def told(news: list[News], kind: NewsKind) -> list[str | None]:
    return [each.venue_order_id for each in news if each.kind is kind]


# --- US ---------------------------------------------------------------------------------------------------


@pytest.fixture
def us() -> World:
    world = World(VenueId.US).started()
    world.pass_time(SECOND, take=True)
    return world


def test_an_order_and_its_fill_are_hints_with_their_ids(us: World) -> None:
    resting = us_order(us, price=far_below(us))
    news = us.pass_time(SECOND, take=True)
    assert told(news, NewsKind.ORDER) == [resting]
    assert told(news, NewsKind.FILL) == []
    named = next(each for each in news if each.kind is NewsKind.ORDER)
    assert (named.product_id, named.part) == (us.product_id, StreamPart.ORDERS)
    assert named.client_order_id is not None
    taken = us_order(us)
    news = us.pass_time(SECOND, take=True)
    assert taken in told(news, NewsKind.FILL)
    assert told(news, NewsKind.FILL).count(taken) == 1
    assert set(told(news, NewsKind.ORDER)) == {taken}


def test_a_snapshot_of_more_than_fifty_orders_is_complete_with_its_last_batch() -> None:
    world = World(VenueId.US)
    price = far_below(world)
    placed = {us_order(world, price=price - 5 * n) for n in range(120)}
    world.started()
    news = world.pass_time(SECOND, take=True)
    assert set(told(news, NewsKind.ORDER)) == placed
    assert world.health(StreamPart.ORDERS).state is ChannelState.LIVE


def test_old_events_replayed_after_a_reconnect_are_no_news_w8(us: World) -> None:
    order_id = us_order(us, price=far_below(us))
    assert told(us.pass_time(SECOND, take=True), NewsKind.ORDER) == [order_id]
    us.fault("W8", operation=SocketName.US_USER, channel="user", messages=20)
    us.fault("W6", operation=SocketName.US_USER, when="data")
    news = us.pass_time(20 * SECOND, take=True)
    assert us.opened[SocketName.US_USER] == 2
    assert [each.kind for each in news if each.kind in {NewsKind.DOWN, NewsKind.UP}] == [NewsKind.DOWN, NewsKind.UP]
    assert told(news, NewsKind.ORDER) == []


def test_a_gap_in_the_order_stream_unsettles_until_a_snapshot_and_a_reconcile_w1(us: World) -> None:
    us.fault("W1", operation=SocketName.US_USER, channel="user")
    order_id = us_order(us, price=far_below(us))  # its news is lost
    news = us.pass_time(2 * SECOND, take=True)
    gap = next(each for each in news if each.kind is NewsKind.GAP)
    assert gap.part is StreamPart.ORDERS
    assert gap.unsettles
    us.until(lambda: us.health(StreamPart.ORDERS).state is ChannelState.LIVE)
    news += us.streams.take()
    assert order_id in told(news, NewsKind.ORDER)  # the new snapshot has it
    assert us.streams.figures().recoveries == ()
    us.streams.settled()
    assert len(us.streams.figures().recoveries) == 1
    assert us.streams.figures().gaps == 1


def test_news_of_orders_that_overtook_each_other_unsettle_and_no_order_is_lost_w2(us: World) -> None:
    us.fault("W2", operation=SocketName.US_USER, channel="user")
    price = far_below(us)
    placed = [us_order(us, price=price), us_order(us, price=price - 5)]
    news = us.pass_time(3 * SECOND, take=True)
    gap = next(each for each in news if each.kind is NewsKind.GAP)
    assert (gap.part, gap.unsettles) == (StreamPart.ORDERS, True)
    us.until(lambda: us.health(StreamPart.ORDERS).state is ChannelState.LIVE)
    news += us.streams.take()
    assert set(told(news, NewsKind.ORDER)) == set(placed)  # the overtaken one by the new snapshot
    assert all(told(news, NewsKind.ORDER).count(each) == 1 for each in placed)
    us.streams.settled()
    assert us.streams.figures().gaps == 1


def test_a_recovery_of_orders_ends_with_the_reconcile_not_with_the_socket(us: World) -> None:
    us.fault("W6", operation=SocketName.US_USER, when="data")
    us.pass_time(10 * SECOND)
    assert us.opened[SocketName.US_USER] == 2
    assert us.health(StreamPart.ORDERS).state is ChannelState.LIVE
    us.streams.settled()  # of nothing that was told
    assert us.streams.figures().recoveries == ()
    kinds = [each.kind for each in us.streams.take() if each.unsettles]
    assert kinds == [NewsKind.UP]
    us.pass_time(3 * SECOND)
    us.streams.settled()
    (took,) = us.streams.figures().recoveries
    assert took >= 3 * SECOND
    us.streams.settled()
    assert us.streams.figures().recoveries == (took,)


def test_a_silent_user_host_is_stale_by_its_heartbeats_w4(us: World) -> None:
    us.fault("W4", operation=SocketName.US_USER, seconds=600)
    us.until(lambda: us.health(StreamPart.ORDERS).state is ChannelState.STALE, within=4 * SECOND)
    assert us.health(StreamPart.BOOK).state is ChannelState.LIVE
    us.until(lambda: us.health(StreamPart.ORDERS).state is ChannelState.LIVE)


def test_without_a_key_there_is_market_data_and_no_account() -> None:
    world = World(VenueId.US)
    world.streams = world.made(keyless=True)
    world.started()
    assert {each.part for each in world.streams.health()} == {StreamPart.BOOK, StreamPart.TICKER, StreamPart.TRADES}
    assert world.opened[SocketName.US_USER] == 0
    assert NewsKind.UP not in {each.kind for each in world.streams.take()}


# --- Global: the armed order socket handed in ---------------------------------------------------------------


class Armed:
    """The order socket of `run`, owned by the test, and streams that read its mailbox."""

    def __init__(self) -> None:
        self.world = World(VenueId.GLOBAL)
        self.address = trading_address(Environment.SIM, "ws://127.0.0.1:2/ws/api/v2")
        world = self.world
        self.socket: RpcSocket = order_socket(
            self.address, world.credentials, world.clock, world.ids, opener=partial(world.open, self.address)
        )
        self.socket.start(thread=False)
        self.socket.wait_ready(5 * SECOND)
        world.streams = world.made(trading=self.socket)
        world.started()

    def ask(self, method: str, **params: Any) -> Any:
        ending = self.socket.call(method, params)
        assert isinstance(ending, Answered), ending
        answer = json.loads(ending.body, parse_float=Decimal)
        assert "result" in answer, answer
        return answer["result"]

    def buy(self, **terms: Any) -> str:
        result = self.ask("private/buy", instrument_name=self.world.product_id, amount=Decimal("0.01"), **terms)
        return str(result["order"]["order_id"])


@pytest.fixture
def armed() -> Armed:
    return Armed()


def test_one_trading_connection_carries_orders_and_their_news(armed: Armed) -> None:
    world = armed.world
    world.pass_time(SECOND, take=True)
    price = far_below(world)
    resting = armed.buy(type="limit", price=price)
    news = world.pass_time(SECOND, take=True)
    assert told(news, NewsKind.ORDER) == [resting]  # user.orders and user.changes tell the same state once
    taken = armed.buy(type="market")
    news = world.pass_time(SECOND, take=True)
    assert set(told(news, NewsKind.FILL)) == {taken}
    assert NewsKind.POSITION in {each.kind for each in news}
    assert world.opened[SocketName.GLOBAL_TRADING] == 1
    assert armed.socket.facts().armed


def test_what_was_handed_in_is_not_stopped_here(armed: Armed) -> None:
    armed.world.streams.stop()
    assert armed.socket.facts().state is SocketState.READY
    assert armed.socket.stop()


def test_a_lost_trading_connection_unsettles_and_comes_back_armed(armed: Armed) -> None:
    world = armed.world
    world.pass_time(SECOND, take=True)
    order_id = armed.buy(type="limit", price=far_below(world))
    world.pass_time(SECOND, take=True)
    world.fault("W6", operation=SocketName.GLOBAL_TRADING, when="data", channel="any")
    armed.socket.call("private/cancel", {"order_id": order_id}, within=200 * MS)
    news = world.pass_time(20 * SECOND, take=True)
    kinds = [each.kind for each in news if each.kind in {NewsKind.DOWN, NewsKind.UP}]
    assert kinds == [NewsKind.DOWN, NewsKind.UP]
    assert armed.socket.facts().armed
    assert world.health(StreamPart.ORDERS).state is ChannelState.LIVE
    world.streams.settled()
    assert len(world.streams.figures().recoveries) == 1


def test_user_news_that_overtook_each_other_still_name_every_order_w2(armed: Armed) -> None:
    """These channels have no numbers: what came when is no proof, and each order is named for a read."""
    world = armed.world
    world.pass_time(SECOND, take=True)
    world.fault("W2", operation=SocketName.GLOBAL_TRADING, channel="user", count=None)
    price = far_below(world)
    placed = [armed.buy(type="limit", price=price), armed.buy(type="limit", price=price - 5)]
    for order_id in placed:
        armed.ask("private/cancel", order_id=order_id)
    news = world.pass_time(3 * SECOND, take=True)
    assert set(told(news, NewsKind.ORDER)) == set(placed)
    assert world.streams.figures().gaps == 0
    assert world.health(StreamPart.ORDERS).state is ChannelState.LIVE
    named = [told(news, NewsKind.ORDER).count(each) for each in placed]
    assert max(named) <= 2  # once final, what came late of it is no news
    news = world.pass_time(3 * SECOND, take=True)
    assert told(news, NewsKind.ORDER) == []


def test_old_user_events_replayed_after_a_reconnect_are_no_news_w8(armed: Armed) -> None:
    world = armed.world
    world.pass_time(SECOND, take=True)
    armed.ask("private/cancel", order_id=armed.buy(type="limit", price=far_below(world)))
    armed.buy(type="market")
    news = world.pass_time(SECOND, take=True)
    assert len(set(told(news, NewsKind.ORDER))) == 2
    assert told(news, NewsKind.FILL)
    world.fault("W8", operation=SocketName.GLOBAL_TRADING, channel="user", messages=20)
    armed.socket.give_up("the test wants a new connection")
    news = world.pass_time(20 * SECOND, take=True)
    assert world.opened[SocketName.GLOBAL_TRADING] == 2
    assert sum(each.replayed for each in world.embedded.judge.connections()) > 0
    assert NewsKind.UP in {each.kind for each in news}  # reconcile all the same
    assert told(news, NewsKind.ORDER) == told(news, NewsKind.FILL) == []


def test_a_login_refused_while_the_clocks_are_apart_names_the_clock_a1() -> None:
    world = World(VenueId.GLOBAL)
    world.product(world.product_id)
    world.fault("A1", seconds=700)
    world.streams.start([world.product_id])
    world.until(lambda: world.health(StreamPart.ORDERS).state is ChannelState.REFUSED)
    assert "our clock is 700 s behind the venue's" in world.health(StreamPart.ORDERS).reason
    assert world.health(StreamPart.BOOK).state is not ChannelState.REFUSED


@pytest.mark.parametrize("venue", list(VenueId))
@pytest.mark.parametrize("fault", ["A6", "A7"])
def test_what_a_key_may_beside_trading_is_no_stream_s_business_and_hides_nothing_of_it_a6_a7(
    venue: VenueId, fault: str
) -> None:
    """The gates are reads (preflight): the streams go live, tell of orders, and are refused nothing."""
    world = World(venue)
    world.fault(fault)
    world.started()
    world.pass_time(2 * SECOND, take=True)
    assert world.health(StreamPart.ORDERS).state is ChannelState.LIVE
    assert world.agrees()
