"""Streams stand in for reads where they are young, and only there: W4, W5, W9, M2, L5."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from perpsctl.domain.errors import VenueUnreachable
from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import DataSource, MarkSource
from perpsctl.domain.streams import ChannelState, NewsKind, StreamPart
from perpsctl.domain.verdicts import DenialCode, Denied
from tests.builders import BTC, a_book, an_intent
from tests.unit.engine.conftest import House, build
from tests.unit.engine.fake_streams import FakeStreams
from tests.unit.engine.fakes import ManualClock

PRODUCT = ProductId(BTC)
BOOK = StreamPart.BOOK


@dataclass(frozen=True, slots=True)
class Streamed:
    house: House
    streams: FakeStreams


@pytest.fixture
def streamed(tmp_path: Path) -> Streamed:
    made: list[FakeStreams] = []

    def streams(clock: ManualClock) -> FakeStreams:
        made.append(FakeStreams(clock))
        return made[0]

    house = build(tmp_path, streams=streams)
    house.engine.live.start((PRODUCT,))
    made[0].live()
    made[0].tell_book()
    return Streamed(house, made[0])


def wait(streamed: Streamed, seconds: str) -> None:
    streamed.house.clock.advance(timedelta(milliseconds=int(Decimal(seconds) * 1000)))


def test_a_young_live_book_stands_in_for_the_read_with_its_true_age(streamed: Streamed) -> None:
    told_at = streamed.house.clock.now()
    wait(streamed, "0.9")
    book = streamed.house.engine.views.fresh(PRODUCT).view.market.book
    assert book is not None
    assert (book.source, book.as_of) == (DataSource.STREAM, told_at)
    assert "book" not in streamed.house.venue.calls


def test_a_quiet_book_is_confirmed_by_a_read_before_it_turns_stale_and_the_read_is_judged(streamed: Streamed) -> None:
    wait(streamed, "1.5")
    seen = streamed.house.engine.views.fresh(PRODUCT)
    assert seen.view.market.book is not None
    assert seen.view.market.book.source is DataSource.READ
    assert streamed.streams.confirmed == [seen.view.market.book]
    assert streamed.streams.channels[BOOK, PRODUCT].state is None, "agreement keeps the channel"
    again = streamed.house.engine.views.fresh(PRODUCT).view.market.book
    assert again is not None
    assert again.source is DataSource.STREAM
    assert streamed.house.venue.calls.count("book") == 1


def test_W9_a_read_that_disagrees_throws_the_live_book_away_and_is_judged_itself(streamed: Streamed) -> None:
    streamed.house.venue.books[PRODUCT] = lambda: a_book(mid="61000")
    wait(streamed, "1.5")
    for _ in range(2):
        book = streamed.house.engine.views.fresh(PRODUCT).view.market.book
        assert book is not None
        assert (book.source, book.mid) == (DataSource.READ, Decimal(61000))


@pytest.mark.parametrize("state", [ChannelState.BROKEN, ChannelState.DOWN, ChannelState.REFUSED, ChannelState.STARTING])
def test_a_book_without_a_sound_channel_is_read(streamed: Streamed, state: ChannelState) -> None:
    streamed.streams.fail(state, BOOK, PRODUCT)
    book = streamed.house.engine.views.fresh(PRODUCT).view.market.book
    assert book is not None
    assert book.source is DataSource.READ


def test_W5_that_reads_took_over_is_said_once_and_that_the_stream_is_back_once(streamed: Streamed) -> None:
    live = streamed.house.engine.live
    live.take()
    assert live.said() == ()
    wait(streamed, "5")
    for _ in range(3):
        live.take()
    (said,) = live.said()
    assert said == f"polling: book ({BTC}) stream stale since 12:00:02Z: no message"
    assert live.outages() == (f"polling: book ({BTC}) stream stale (no message) since 12:00:02Z",)
    streamed.streams.tell_book()
    live.take()
    live.take()
    assert live.said() == (f"book ({BTC}) stream live again after 3.0 s",)
    assert live.outages() == (f"reads stood in for the book ({BTC}) stream once, 3.0 s",)
    assert streamed.house.talk.notes.count("stream_polling") == 1


def test_an_outage_of_less_than_a_second_is_not_talked_about_and_counts_once_one_is(streamed: Streamed) -> None:
    live = streamed.house.engine.live
    for _ in range(3):
        streamed.streams.fail(ChannelState.DOWN, reason="connection lost")
        live.take()
        wait(streamed, "0.4")
        streamed.streams.live()
        live.take()
    assert live.said() == ()
    assert live.outages() == (), "the figures count it"
    streamed.streams.fail(ChannelState.DOWN, reason="connection lost")
    live.take()
    wait(streamed, "1.2")
    streamed.streams.tell_book()
    live.take()
    streamed.streams.live()
    live.take()
    assert live.outages() == ("reads stood in for the orders stream 4 times, 1.2 s at the longest",)


def test_W6_what_one_connection_carried_is_told_in_one_line(streamed: Streamed) -> None:
    live = streamed.house.engine.live
    streamed.streams.live(StreamPart.BALANCE)
    wait(streamed, "1")
    for part in (StreamPart.ORDERS, StreamPart.BALANCE):
        streamed.streams.fail(ChannelState.DOWN, part, reason="connection lost")
    streamed.streams.tell_book()
    wait(streamed, "1.5")
    live.take()
    assert live.said() == ("polling: orders and balance streams down since 12:00:01Z: connection lost",)
    assert live.outages() == ("polling: orders and balance streams down (connection lost) since 12:00:01Z",)
    for part in (StreamPart.ORDERS, StreamPart.BALANCE):
        streamed.streams.live(part)
    live.take()
    assert live.said() == ("orders and balance streams live again after 1.5 s",)
    assert live.outages() == ("reads stood in for the orders and balance streams once, 1.5 s",)


def test_a_channel_that_is_still_starting_is_not_told_before_its_time(streamed: Streamed) -> None:
    live = streamed.house.engine.live
    streamed.streams.live(StreamPart.BALANCE)
    streamed.streams.fail(ChannelState.STARTING, StreamPart.BALANCE)
    streamed.streams.tell_book()
    live.take()
    assert live.said() == ()
    wait(streamed, "11")
    streamed.streams.tell_book()
    live.take()
    assert [text for text in live.said() if "balance" in text]


def test_a_refused_channel_is_an_alarm_because_it_does_not_come_back(streamed: Streamed) -> None:
    streamed.streams.fail(ChannelState.REFUSED, reason="the key may not")
    streamed.house.engine.live.take()
    assert streamed.house.talk.alarms == ["stream_polling"]


def test_M2_a_mute_stream_over_failing_reads_denies_an_entry_with_age_and_bound(streamed: Streamed) -> None:
    streamed.house.venue.fail("book")
    wait(streamed, "7.5")
    report = streamed.house.engine.desk.place(an_intent())
    assert isinstance(report.denied, Denied)
    told = {denial.code: (denial.observed, denial.limit) for denial in report.denied.denials}
    for code, bound in ((DenialCode.BOOK_STALE, "2"), (DenialCode.MARK_STALE, "5")):
        assert told[code][0].startswith("7.5")
        assert told[code][1] == bound
    assert any("book" in note for note in report.notes)
    assert streamed.house.venue.submitted == []


def test_the_way_out_stays_open_over_a_mute_stream_and_failing_reads_of_the_book(streamed: Streamed) -> None:
    streamed.house.venue.coin[PRODUCT] = Decimal("0.02")
    streamed.house.engine.reconciler.run()
    streamed.house.venue.fail("book")
    wait(streamed, "30")
    report = streamed.house.engine.exits.flatten([PRODUCT], unbounded=False, wait=timedelta(seconds=5))
    assert report.flat, report
    assert streamed.house.venue.coin[PRODUCT] == 0


def test_a_book_still_within_its_bound_serves_although_the_confirming_read_failed(streamed: Streamed) -> None:
    streamed.house.venue.fail("book")
    wait(streamed, "1.5")
    seen = streamed.house.engine.views.fresh(PRODUCT)
    assert seen.problems == ()
    assert seen.view.market.book is not None
    assert seen.view.market.book.source is DataSource.STREAM


def test_M2_a_book_dated_ahead_is_no_young_book(streamed: Streamed) -> None:
    streamed.house.clock._now -= timedelta(minutes=5)
    book = streamed.house.engine.views.fresh(PRODUCT).view.market.book
    assert book is not None
    assert book.source is DataSource.READ


def test_the_venues_streamed_mark_is_taken_while_it_is_young_and_the_read_one_afterwards(streamed: Streamed) -> None:
    streamed.streams.tell_mark("60123")
    told_at = streamed.house.clock.now()
    wait(streamed, "4")
    mark = streamed.house.engine.views.fresh(PRODUCT).view.marks[PRODUCT]
    assert (mark.price, mark.as_of, mark.source) == (Decimal(60123), told_at, MarkSource.VENUE)
    wait(streamed, "2")
    mark = streamed.house.engine.views.fresh(PRODUCT).view.marks[PRODUCT]
    assert (mark.price, mark.source) == (Decimal(60000), MarkSource.BOOK_MID)


def test_where_no_mark_is_published_the_middle_of_the_live_book_is_it_with_the_books_age(streamed: Streamed) -> None:
    told_at = streamed.house.clock.now()
    wait(streamed, "0.5")
    mark = streamed.house.engine.views.fresh(PRODUCT).view.marks[PRODUCT]
    assert (mark.price, mark.as_of, mark.source) == (Decimal(60000), told_at, MarkSource.BOOK_MID)


def test_L5_no_equity_is_recorded_by_an_old_mark(streamed: Streamed) -> None:
    streamed.house.venue.coin[PRODUCT] = Decimal("0.02")
    streamed.house.venue.fail("book")
    wait(streamed, "30")
    streamed.house.engine.views.fresh(PRODUCT)
    assert streamed.house.journal.marks == []


def test_streams_that_could_not_start_are_tried_again_and_everything_is_read_meanwhile(tmp_path: Path) -> None:
    made: list[FakeStreams] = []

    def streams(clock: ManualClock) -> FakeStreams:
        made.append(FakeStreams(clock, refuses_start=VenueUnreachable("no answer")))
        return made[0]

    house = build(tmp_path, streams=streams)
    live = house.engine.live
    live.start((PRODUCT,))
    assert not live.streamed
    assert live.said() == ("polling: streams not started: no answer",)
    made[0].refuses_start = None
    live.take()
    assert not live.streamed, "not at once: the venue is given time"
    house.clock.advance(timedelta(seconds=5))
    made[0].news(NewsKind.UP)
    assert [news.kind for news in live.take()] == [NewsKind.UP]
    assert made[0].products == (PRODUCT,)


def test_without_streams_everything_is_read(house: House) -> None:
    live = house.engine.live
    live.start((PRODUCT,))
    assert (live.take(), live.health(), live.figures(), live.covers_orders) == ((), (), None, False)
    house.engine.views.fresh(PRODUCT)
    assert house.venue.calls.count("book") == 1
