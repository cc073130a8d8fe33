"""At its end a run holds the book it kept against reads (W1, W9): equal means every level, and never by default."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from perpsctl.domain.ids import ProductId
from perpsctl.domain.numbers import Size
from perpsctl.domain.reports import BookProof
from perpsctl.domain.streams import ChannelState, StreamPart
from perpsctl.engine.book_proof import READS_MAX, prove_book
from tests.builders import BTC, a_book
from tests.unit.engine.conftest import House, build
from tests.unit.engine.fake_streams import FakeStreams
from tests.unit.engine.fakes import ManualClock

PRODUCT = ProductId(BTC)
SECOND = timedelta(seconds=1)
Scene = tuple[House, FakeStreams]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    made: list[FakeStreams] = []

    def streams(clock: ManualClock) -> FakeStreams:
        made.append(FakeStreams(clock))
        return made[0]

    house = build(tmp_path, streams=streams)
    house.engine.live.start((PRODUCT,))
    made[0].live()
    made[0].tell_book()
    return house, made[0]


def proven(scene: Scene, *, within: timedelta = 5 * SECOND, stopping: Callable[[], bool] = lambda: False) -> BookProof:
    house, _ = scene
    live, venue = house.engine.live, house.engine.venue
    proof = prove_book(live, venue, house.clock, PRODUCT, within=within, stopping=stopping)
    assert proof is not None
    return proof


def reads(scene: Scene) -> int:
    return scene[0].venue.calls.count("book")


def test_a_book_equal_to_the_read_in_every_level_is_told_so_after_one_read(scene: Scene) -> None:
    assert proven(scene) == BookProof(agreed=True, levels=40, reads=1, detail="")
    assert reads(scene) == 1


def test_a_difference_in_the_deepest_level_alone_is_a_difference_once_ten_reads_say_so(scene: Scene) -> None:
    house, _ = scene
    true = a_book()
    last = replace(true.asks[-1], size=Size(true.asks[-1].size + Decimal("0.0001")))
    house.venue.books[PRODUCT] = lambda: replace(true, asks=(*true.asks[:-1], last))
    proof = proven(scene, within=60 * SECOND)
    assert (proof.agreed, proof.levels, proof.reads) == (False, 0, READS_MAX)
    assert "59995 / 60005 streamed" in proof.detail


def test_a_stream_that_lacks_the_readers_deepest_level_is_not_equal_to_it(scene: Scene) -> None:
    _, streams = scene
    streams.books[PRODUCT] = replace(streams.books[PRODUCT], bids=streams.books[PRODUCT].bids[:-1])
    assert proven(scene, within=SECOND).agreed is False


def test_a_message_that_was_under_way_while_the_read_was_made_is_waited_for(scene: Scene) -> None:
    house, streams = scene
    house.venue.books[PRODUCT] = lambda: a_book(mid="60010")
    house.clock.at_sleep.append(lambda: streams.tell_book("60010"))
    assert proven(scene) == BookProof(agreed=True, levels=40, reads=1, detail="")


def test_W6_a_lost_connection_is_waited_for_and_then_compared(scene: Scene) -> None:
    house, streams = scene
    streams.fail(ChannelState.DOWN, StreamPart.BOOK, PRODUCT)
    began = house.clock.now()

    def back() -> None:
        if house.clock.now() - began > 3 * SECOND:
            streams.tell_book()

    house.clock.at_sleep.append(back)
    assert proven(scene).agreed is True


def test_W6_a_stream_that_stays_away_was_not_compared_and_is_never_called_equal(scene: Scene) -> None:
    house, streams = scene
    streams.fail(ChannelState.DOWN, StreamPart.BOOK, PRODUCT)
    began = house.clock.now()
    proof = proven(scene)
    assert (proof.agreed, proof.reads, reads(scene)) == (None, 0, 0)
    assert "no live book" in proof.detail
    assert 5 * SECOND <= house.clock.now() - began < 6 * SECOND


def test_a_read_that_fails_proves_nothing(scene: Scene) -> None:
    scene[0].venue.fail("book")
    proof = proven(scene)
    assert proof.agreed is None
    assert "book" in proof.detail


def test_whoever_ends_the_run_at_once_does_not_wait_for_it(scene: Scene) -> None:
    began = scene[0].clock.now()
    assert proven(scene, stopping=lambda: True).agreed is None
    assert scene[0].clock.now() == began


def test_without_streams_there_is_nothing_to_prove(house: House) -> None:
    live, venue = house.engine.live, house.engine.venue
    assert prove_book(live, venue, house.clock, PRODUCT, within=SECOND, stopping=lambda: False) is None
