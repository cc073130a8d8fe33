"""Both venues' streams against the simulator under every fault of sockets, on virtual time, judged by the simulator's book.

One thread, no network: the lines are the exchange's own sockets in process.
"""

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from perpsctl.domain.market import DataSource
from perpsctl.domain.products import VenueId
from perpsctl.domain.streams import ChannelState, NewsKind, StreamPart
from perpsctl.exchange.streams.mailbox import Event, EventKind
from perpsctl.exchange.streams.us_host import REFUSED_MOST
from perpsctl.simulator.outlet import SocketName
from tests.unit.exchange.streams.world import BOOK_AGE, MS, SECOND, World

BOTH = pytest.mark.parametrize("venue", [VenueId.US, VenueId.GLOBAL])
MARKET_SOCKET = {VenueId.US: SocketName.US_MARKET, VenueId.GLOBAL: SocketName.GLOBAL_STREAMS}
ACCOUNT_SOCKET = {VenueId.US: SocketName.US_USER, VenueId.GLOBAL: SocketName.GLOBAL_TRADING}

ASKED = {VenueId.US: "subscribe", VenueId.GLOBAL: "login"}  # what carries a token


def book_is(world: World, *states: ChannelState) -> Callable[[], bool]:
    return lambda: world.health(StreamPart.BOOK).state in states


@BOTH
def test_every_channel_goes_live_and_the_book_is_the_venues(venue: VenueId) -> None:
    world = World(venue).started()
    for _ in range(20):
        world.pass_time(300 * MS)
        assert world.agrees()
    book = world.streams.book(world.product_id)
    assert book is not None
    assert book.source is DataSource.STREAM
    assert world.clock.now() - book.as_of < SECOND
    figures = world.streams.figures()
    assert figures.uptime == 1
    assert (figures.gaps, figures.reconnects) == (0, 0)
    assert figures.messages > 40


@pytest.mark.parametrize(
    ("venue", "fault"),
    # A message of another channel is what overtakes at the gateway, where each book is a chain of its own.
    [(VenueId.US, "W1"), (VenueId.US, "W2"), (VenueId.GLOBAL, "W1")],
)
def test_a_gap_throws_the_book_away_and_a_new_snapshot_is_asked_for_w1_w2(venue: VenueId, fault: str) -> None:
    world = World(venue).started()
    world.pass_time(3 * SECOND, take=True)
    world.fault(fault, operation=MARKET_SOCKET[venue], channel="level2")
    seen = world.pass_time(5 * SECOND, take=True)
    gaps = [each for each in seen if each.kind is NewsKind.GAP]
    assert [(each.part, each.product_id) for each in gaps] == [(StreamPart.BOOK, world.product_id)]
    took = world.until(book_is(world, ChannelState.LIVE))
    assert took < 5 * SECOND
    assert world.agrees()
    figures = world.streams.figures()
    assert figures.gaps == 1
    assert figures.reconnects == 0
    assert len(figures.recoveries) == 1
    assert timedelta(0) < figures.recoveries[0] < 5 * SECOND
    assert figures.uptime is not None
    assert figures.uptime < 1


def test_trades_missing_from_the_tape_are_counted_and_named_and_cost_nothing_w1() -> None:
    world = World(VenueId.GLOBAL).started()
    world.pass_time(3 * SECOND, take=True)
    assert world.streams.figures().gaps == 0  # the tape's numbers have no holes of their own
    world.fault("W1", operation=MARKET_SOCKET[VenueId.GLOBAL], channel="trades")
    news = world.pass_time(10 * SECOND, take=True)
    (gap,) = [each for each in news if each.kind is NewsKind.GAP]
    assert (gap.part, gap.product_id, gap.unsettles) == (StreamPart.TRADES, world.product_id, False)
    first, last = (int(word) for word in gap.detail.split() if word.isdigit())
    assert first <= last
    read = world.embedded.global_.exchange
    with read.gateway() as core:
        known = [each.number for each in core.state.numbered[world.product_id].numbered(core.state.step)]
    assert set(range(first, last + 1)) <= set(known)  # what a refill by start_seq and end_seq would be given
    figures = world.streams.figures()
    assert (figures.gaps, figures.reconnects) == (1, 0)
    assert figures.uptime == 1
    assert world.health(StreamPart.TRADES).state is ChannelState.LIVE
    assert world.agrees()


@BOTH
def test_no_price_leaves_a_book_that_is_broken(venue: VenueId) -> None:
    world = World(venue).started()
    world.pass_time(3 * SECOND)
    world.fault("W1", operation=MARKET_SOCKET[venue], channel="level2")
    world.until(book_is(world, ChannelState.BROKEN))
    world.fault("W5", channel="level2")  # and no snapshot comes either
    world.pass_time(5 * SECOND)
    assert world.streams.book(world.product_id) is None
    assert "missing" in world.health(StreamPart.BOOK).reason


@BOTH
def test_a_duplicate_changes_nothing_w3(venue: VenueId) -> None:
    world = World(venue).started()
    world.fault("W3", operation=MARKET_SOCKET[venue], count=None)
    for _ in range(20):
        world.pass_time(200 * MS)
        assert world.agrees()
    assert world.streams.figures().gaps == 0


@BOTH
def test_a_silent_stall_makes_stale_and_then_the_connection_is_opened_anew_w4(venue: VenueId) -> None:
    world = World(venue).started()
    world.pass_time(2 * SECOND)
    world.fault("W4", operation=MARKET_SOCKET[venue], seconds=600)
    world.until(book_is(world, ChannelState.STALE), within=BOOK_AGE + SECOND)
    health = world.health(StreamPart.BOOK)
    assert health.age is not None
    assert health.age > health.bound
    book = world.streams.book(world.product_id)  # merely stale: it is told with its age
    assert book is not None
    assert world.clock.now() - book.as_of > BOOK_AGE
    world.until(book_is(world, ChannelState.LIVE), within=45 * SECOND)
    assert world.opened[MARKET_SOCKET[venue]] == 2
    assert world.agrees()
    assert world.streams.figures().reconnects == 1


@BOTH
def test_one_mute_channel_is_stale_by_itself_w5(venue: VenueId) -> None:
    world = World(venue).started()
    world.pass_time(2 * SECOND)
    world.fault("W5", channel="level2")
    world.until(book_is(world, ChannelState.STALE), within=BOOK_AGE + SECOND)
    others = [each for each in world.streams.health() if each.part is not StreamPart.BOOK]
    assert {each.state for each in others} <= {ChannelState.LIVE, ChannelState.REFUSED}
    assert world.opened[MARKET_SOCKET[venue]] == 1
    world.heal()
    world.until(book_is(world, ChannelState.LIVE))
    world.pass_time(2 * SECOND)
    assert world.agrees()
    assert len(world.streams.figures().recoveries) >= 1


@BOTH
@pytest.mark.parametrize("when", ["subscribe", "snapshot", "data"])
def test_a_disconnect_at_any_moment_is_come_back_from_w6(venue: VenueId, when: str) -> None:
    world = World(venue)
    world.fault("W6", operation=MARKET_SOCKET[venue], when=when, channel="level2" if when == "snapshot" else "any")
    world.streams.start([world.product_id])
    world.until(world.live_but_refused, within=20 * SECOND)
    world.pass_time(SECOND)
    assert world.live_but_refused()
    assert world.opened[MARKET_SOCKET[venue]] == 2
    assert world.agrees()


@BOTH
def test_disconnects_every_five_seconds_are_not_answered_by_hammering_w6(venue: VenueId) -> None:
    world = World(venue)
    world.fault("W6", operation=MARKET_SOCKET[venue], when="age", seconds=5, count=None)
    world.streams.start([world.product_id])
    news = world.pass_time(120 * SECOND, take=True)
    assert 8 <= world.opened[MARKET_SOCKET[venue]] <= 24
    assert NewsKind.UP in {each.kind for each in news}
    world.heal()
    world.until(world.live_but_refused, within=20 * SECOND)
    assert world.agrees()
    figures = world.streams.figures()
    assert len(figures.recoveries) >= figures.reconnects - 1  # each loss was a fault, the book's age notwithstanding
    assert max(figures.recoveries) < 30 * SECOND
    assert figures.uptime is not None
    assert figures.uptime > Decimal("0.9")


@pytest.mark.parametrize(("how", "state"), [("refused", ChannelState.LIVE), ("ignored", ChannelState.LIVE)])
def test_a_subscribe_refused_or_ignored_once_is_asked_again_w7(how: str, state: ChannelState) -> None:
    world = World(VenueId.US)
    world.fault("W7", operation=SocketName.US_MARKET, how=how, channel="level2")
    world.streams.start([world.product_id])
    world.until(book_is(world, state))
    assert world.agrees()


def test_a_channel_refused_twice_is_refused_by_name_and_the_others_live_on_w7() -> None:
    world = World(VenueId.US)
    world.fault("W7", operation=SocketName.US_MARKET, how="refused", channel="level2", count=None)
    world.streams.start([world.product_id])
    world.until(book_is(world, ChannelState.REFUSED))
    assert "level2" in world.health(StreamPart.BOOK).reason
    assert world.health(StreamPart.TICKER).state is ChannelState.LIVE
    asked = sum(each.refused_subscribes for each in world.embedded.judge.connections())
    world.pass_time(60 * SECOND)
    assert sum(each.refused_subscribes for each in world.embedded.judge.connections()) == asked == 4


def test_a_host_without_its_required_channel_ends_by_name_and_the_other_goes_on_w7() -> None:
    """Reads take over: nothing of the market is told any more, it is said once, and the account's stream lives."""
    world = World(VenueId.US)
    world.fault("W7", operation=SocketName.US_MARKET, how="refused", channel="heartbeats", count=None)
    world.streams.start([world.product_id])
    world.pass_time(180 * SECOND, step=200 * MS)
    health = world.health(StreamPart.BOOK)
    assert health.state is ChannelState.REFUSED
    assert "heartbeats" in health.reason
    assert world.streams.book(world.product_id) is None
    assert world.health(StreamPart.ORDERS).state is ChannelState.LIVE
    assert world.opened[SocketName.US_MARKET] == REFUSED_MOST
    world.pass_time(60 * SECOND, step=500 * MS)
    assert world.opened[SocketName.US_MARKET] == REFUSED_MOST
    assert world.health(StreamPart.BOOK).since == health.since  # one change of state, dated once


def test_a_confirmation_for_another_product_is_not_taken_w7() -> None:
    world = World(VenueId.US)
    world.fault("W7", operation=SocketName.US_MARKET, how="wrong_product", channel="level2")
    world.streams.start([world.product_id])
    world.until(book_is(world, ChannelState.LIVE))
    assert world.opened[SocketName.US_MARKET] == 2
    assert world.agrees()


def test_channels_the_gateway_drops_are_noticed_w7() -> None:
    world = World(VenueId.GLOBAL)
    world.fault("W7", operation=SocketName.GLOBAL_STREAMS, how="refused", channel="level2", count=None)
    world.streams.start([world.product_id])
    world.until(lambda: world.health(StreamPart.TICKER).state is ChannelState.LIVE)
    world.pass_time(2 * SECOND)
    assert world.health(StreamPart.BOOK).state is not ChannelState.LIVE
    assert world.streams.book(world.product_id) is None


@BOTH
@pytest.mark.parametrize("form", ["crossed", "empty", "stale_snapshot"])
def test_no_price_is_taken_from_a_nonsense_book_w9(venue: VenueId, form: str) -> None:
    world = World(venue).started()
    world.pass_time(2 * SECOND)
    world.fault("W9", operation=MARKET_SOCKET[venue], form=form)
    for _ in range(160):
        world.clock.sleep(50 * MS)
        book = world.streams.book(world.product_id)
        assert book is None or book.sound
    world.until(book_is(world, ChannelState.LIVE))
    world.pass_time(SECOND)
    assert world.agrees()


@BOTH
def test_a_flood_is_bounded_and_the_book_is_right_after_it_w10(venue: VenueId) -> None:
    world = World(venue).started()
    world.fault("W10", operation=MARKET_SOCKET[venue], per_second=20_000, seconds=1)
    most = 0
    for _ in range(40):
        world.clock.sleep(50 * MS)
        world.streams.take()
        most = max(most, *(host.source.mailbox.held[0] for host in world.hosts()))
    assert most <= 1_000
    world.until(book_is(world, ChannelState.LIVE))
    world.pass_time(5 * SECOND)
    assert book_is(world, ChannelState.LIVE)()
    assert world.agrees()
    assert world.streams.figures().messages > 1_000


@BOTH
@pytest.mark.parametrize("form", ["oversize", "invalid_utf8", "bomb", "binary", "not_json", "unknown_type"])
def test_a_frame_nobody_can_read_ends_the_connection_and_it_comes_back_w11(venue: VenueId, form: str) -> None:
    world = World(venue).started()
    world.pass_time(SECOND)
    world.fault("W11", operation=MARKET_SOCKET[venue], form=form)
    world.until(lambda: world.opened[MARKET_SOCKET[venue]] == 2)
    world.until(book_is(world, ChannelState.LIVE))
    assert world.agrees()
    assert world.streams.figures().reconnects == 1


@BOTH
def test_a_token_that_ends_on_the_way_is_replaced_by_a_fresh_one_w12(venue: VenueId) -> None:
    world = World(venue)
    world.fault("W12", operation=ACCOUNT_SOCKET[venue])
    world.streams.start([world.product_id])
    world.until(lambda: world.health(StreamPart.ORDERS).state is ChannelState.LIVE)
    assert world.opened[ACCOUNT_SOCKET[venue]] == 2


@BOTH
@pytest.mark.parametrize("fault", ["A2", "A4"])
def test_a_key_that_is_refused_is_tried_twice_and_market_data_goes_on_a2_a4(venue: VenueId, fault: str) -> None:
    world = World(venue).started()
    world.stop_and_make_anew()
    before = world.opened[ACCOUNT_SOCKET[venue]]
    world.fault(fault, operation=ASKED[venue])
    world.streams.start([world.product_id])
    world.until(lambda: world.health(StreamPart.ORDERS).state is ChannelState.REFUSED)
    world.pass_time(60 * SECOND, step=500 * MS)
    assert world.opened[ACCOUNT_SOCKET[venue]] == before + 2
    assert world.health(StreamPart.ORDERS).reason
    assert world.health(StreamPart.BOOK).state is ChannelState.LIVE


@BOTH
def test_one_bad_node_is_gone_past_a5(venue: VenueId) -> None:
    world = World(venue).started()
    world.stop_and_make_anew()
    world.fault("A5", operation=ASKED[venue])
    world.streams.start([world.product_id])
    world.until(lambda: world.health(StreamPart.ORDERS).state is ChannelState.LIVE)


@BOTH
def test_a_view_that_was_revoked_is_said_and_not_asked_for_again_a3(venue: VenueId) -> None:
    world = World(venue).started()
    world.stop_and_make_anew()
    world.fault("A3", scope="view")
    world.streams.start([world.product_id])
    world.until(lambda: world.health(StreamPart.ORDERS).state is ChannelState.REFUSED)
    before = world.opened[ACCOUNT_SOCKET[venue]]
    world.pass_time(60 * SECOND, step=500 * MS)
    assert world.opened[ACCOUNT_SOCKET[venue]] == before


def test_a_numbering_that_goes_back_is_no_sign_of_life_and_ends_the_connection_w2() -> None:
    """One absurd number must not leave a connection whose every later message is passed over as old."""
    world = World(VenueId.US).started()
    world.pass_time(SECOND, take=True)
    host = next(each for each in world.hosts() if each.name == "us_user")
    beat = {"channel": "heartbeats", "timestamp": "", "sequence_num": 10**9, "events": []}
    host.source.mailbox.put(
        Event(
            kind=EventKind.ACCOUNT,
            arrived=world.clock.now(),
            arrived_ns=world.clock.monotonic_ns(),
            connection=host.connection,
            channel="heartbeats",
            body=json.dumps(beat).encode(),
        )
    )
    world.until(lambda: world.health(StreamPart.ORDERS).state is ChannelState.BROKEN)
    world.pass_time(300 * SECOND, step=500 * MS)
    assert world.health(StreamPart.ORDERS).state is ChannelState.LIVE
    assert world.opened[SocketName.US_USER] == 2
