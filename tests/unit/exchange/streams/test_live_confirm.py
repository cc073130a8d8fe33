"""A quiet book and a read of the venue: what renews it, what is only a doubt, and what throws it away."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from perpsctl.domain.market import BookView, Level
from perpsctl.domain.numbers import Price, Size
from perpsctl.domain.products import VenueId
from perpsctl.domain.streams import ChannelState, StreamPart
from tests.unit.exchange.streams.test_live_faults import BOTH, book_is
from tests.unit.exchange.streams.world import BOOK_AGE, MS, SECOND, World


def quiet(venue: VenueId) -> World:
    """The market stands still, so the stream has nothing to tell; the book is live and a second old."""
    world = World(venue).started()
    world.pass_time(2 * SECOND)
    world.fault("M2", product=world.product_id)
    world.pass_time(SECOND)
    assert book_is(world, ChannelState.LIVE)()
    return world


def moved(read: BookView) -> BookView:
    """The same book with its best bid one coin larger."""
    best = replace(read.bids[0], size=Size(read.bids[0].size + 1))
    return replace(read, bids=(best, *read.bids[1:]))


@BOTH
def test_a_quiet_book_that_a_read_agrees_with_stays_live(venue: VenueId) -> None:
    world = quiet(venue)
    for _ in range(10):
        world.pass_time(SECOND)
        read = world.read()
        assert world.streams.confirm(read)
        assert book_is(world, ChannelState.LIVE)()
        book = world.streams.book(world.product_id)
        assert book is not None
        assert book.as_of == read.as_of
    health = world.health(StreamPart.BOOK)
    assert health.age is not None
    assert health.age > 5 * SECOND  # its last message is as old as it is
    figures = world.streams.figures()
    assert figures.confirmed_by_read == 10
    assert figures.uptime is not None
    assert figures.uptime < 1  # and what reads confirmed is not the stream's uptime


@BOTH
def test_without_a_confirmation_it_turns_stale(venue: VenueId) -> None:
    world = quiet(venue)
    world.pass_time(BOOK_AGE + SECOND)
    assert book_is(world, ChannelState.STALE)()


@BOTH
def test_a_read_that_differs_is_a_doubt_and_after_a_second_of_silence_the_book_goes(venue: VenueId) -> None:
    world = quiet(venue)
    assert not world.streams.confirm(moved(world.read()))
    assert world.streams.book(world.product_id) is not None  # the market may have moved, the message may be on its way
    world.clock.sleep(timedelta(milliseconds=1100))
    assert world.streams.book(world.product_id) is None
    world.until(book_is(world, ChannelState.LIVE))  # asked for anew
    assert world.agrees()


@BOTH
def test_a_move_the_stream_tells_by_itself_is_no_disagreement(venue: VenueId) -> None:
    world = World(venue).started()
    world.pass_time(2 * SECOND)
    world.fault("W5", channel="level2")
    world.pass_time(SECOND)
    read = world.read()  # the market moved on, the stream is late
    assert not world.streams.confirm(read)
    world.heal()
    world.pass_time(3 * SECOND)
    assert world.streams.book(world.product_id) is not None
    assert world.streams.figures().recoveries == () or book_is(world, ChannelState.LIVE)()
    assert world.agrees()


@BOTH
def test_a_mute_stream_is_found_out_by_reads(venue: VenueId) -> None:
    world = World(venue).started()
    world.pass_time(2 * SECOND)
    world.fault("W5", channel="level2")
    world.pass_time(1500 * MS)
    assert not world.streams.confirm(world.read())
    world.pass_time(1500 * MS)
    assert book_is(world, ChannelState.BROKEN)()
    assert "read" in world.health(StreamPart.BOOK).reason


@BOTH
def test_a_book_whose_own_message_came_after_the_read_needs_none(venue: VenueId) -> None:
    world = World(venue).started()
    world.pass_time(2 * SECOND)
    read = world.read()
    world.pass_time(SECOND)
    assert world.streams.confirm(moved(read))
    assert world.streams.figures().confirmed_by_read == 0


@BOTH
def test_a_read_older_than_the_stream_by_the_venues_own_clock_proves_nothing(venue: VenueId) -> None:
    world = quiet(venue)
    read = moved(world.read())
    book = world.streams.book(world.product_id)
    assert book is not None
    assert book.venue_time is not None
    assert not world.streams.confirm(replace(read, venue_time=book.venue_time - SECOND))
    world.pass_time(1500 * MS)
    assert world.streams.book(world.product_id) is not None


@pytest.mark.parametrize("state", ["never", "broken"])
def test_a_read_revives_nothing_that_is_not_there(state: str) -> None:
    world = World(VenueId.US)
    read = world.read()
    if state == "never":
        assert not world.streams.confirm(read)
        return
    world.started()
    world.fault("W1", channel="level2")
    world.until(book_is(world, ChannelState.BROKEN))
    world.fault("W5", channel="level2")
    world.pass_time(100 * MS)
    level = Level(price=Price(Decimal(60000)), size=Size(Decimal(1)))
    assert not world.streams.confirm(replace(world.read(), bids=(level,)))
    assert world.streams.book(world.product_id) is None
