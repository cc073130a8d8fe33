"""The live book: what it refuses, what it says of itself, and that no price leaves it when it cannot be believed (W9)."""

from collections.abc import Callable, Iterator, Sized
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perpsctl.domain.market import DataSource
from perpsctl.domain.products import PriceStep
from perpsctl.domain.sides import Side
from perpsctl.exchange.streams import grid
from perpsctl.exchange.streams.book import BookState, Broken, LiveBook, PriceDoubt, Row
from perpsctl.exchange.streams.global_books import global_book
from perpsctl.exchange.streams.grid import BookFault, BookRefused, Token
from perpsctl.exchange.streams.ladder import Ladder
from perpsctl.exchange.streams.us_books import us_book
from tests.builders import a_product
from tests.unit.exchange.streams.book_streams import BEGAN, PlainBook

LATER = BEGAN + timedelta(seconds=1)
HALF_A_SECOND = timedelta(milliseconds=500)
BOOK: list[Row] = [("bid", "59995", "7"), ("bid", "59990", "3"), ("offer", "60005", "2"), ("offer", "60010", "9")]


def a_live_book() -> LiveBook:
    """A contract is 0.01 coin, a price step 5 dollars."""
    book = us_book(a_product())
    assert book.load(BOOK, as_of=BEGAN, venue_time=BEGAN)
    return book


def stands(book: LiveBook) -> bool:
    return book.state is BookState.LIVE and book.broken is None


def gives_no_price(book: LiveBook) -> bool:
    walked = book.walk(Side.BUY, Decimal(1)) if book.state is not BookState.LIVE else None  # type: ignore[arg-type]
    return (
        book.best is None
        and not book.sound
        and book.depth_within(Side.BUY, Decimal(100)) is None
        and (walked is None or (walked.average is None and walked.filled == 0))
    )


# --- what it says ----------------------------------------------------------------------------------------


def test_best_and_levels_are_in_coin_and_dated_by_their_arrival() -> None:
    view = a_live_book().view(1)
    assert view is not None
    assert [(level.price, level.size) for level in view.bids + view.asks] == [
        (Decimal(59995), Decimal("0.07")),
        (Decimal(60005), Decimal("0.02")),
    ]
    assert (view.as_of, view.venue_time, view.source) == (BEGAN, BEGAN, DataSource.STREAM)


def test_a_size_is_absolute_and_zero_removes_the_level() -> None:
    book = a_live_book()
    assert book.apply([("bid", "59995", "0"), ("offer", "60005", "4")], as_of=LATER, venue_time=LATER)
    best = book.best
    assert best is not None
    assert (best.bid, best.bid_size) == (Decimal(59990), Decimal("0.03"))
    assert (best.ask, best.ask_size) == (Decimal(60005), Decimal("0.04"))
    assert (book.as_of, book.venue_time) == (LATER, LATER)


def test_removing_a_level_that_is_not_there_changes_nothing() -> None:
    book = a_live_book()
    before = book.view()
    assert book.apply([("bid", "50000", "0"), ("offer", "70000", "0")], as_of=BEGAN, venue_time=BEGAN)
    assert book.view() == before


def test_a_snapshot_replaces_everything() -> None:
    book = a_live_book()
    assert book.load([("bid", "100", "1"), ("ask", "105", "1")], as_of=LATER)
    assert book.levels == (1, 1)


def test_a_size_finer_than_the_size_step_is_kept_without_loss() -> None:
    book = us_book(a_product())
    book.load([("bid", "59995", "1.50000001"), ("offer", "60005", "0.1")], as_of=BEGAN)
    best = book.best
    assert best is not None
    assert best.bid_size == Decimal("0.0150000001")


# --- what it refuses -------------------------------------------------------------------------------------

REFUSED = [
    (("bid", "59997", "1"), BookFault.OFF_GRID),
    (("offer", "60000.01", "1"), BookFault.OFF_GRID),
    (("bid", "0", "1"), BookFault.BAD_PRICE),
    (("bid", "-5", "1"), BookFault.BAD_PRICE),
    (("bid", "NaN", "1"), BookFault.BAD_PRICE),
    (("bid", "Infinity", "1"), BookFault.BAD_PRICE),
    (("bid", "6_0000", "1"), BookFault.BAD_PRICE),
    (("bid", "٦٠٠٠٠", "1"), BookFault.BAD_PRICE),
    (("bid", "", "1"), BookFault.BAD_PRICE),
    (("bid", "1" * 5000, "1"), BookFault.BAD_PRICE),
    (("bid", b"\xff60000", b"1"), BookFault.BAD_PRICE),
    (("bid", "60000", "-1"), BookFault.BAD_SIZE),
    (("bid", "60000", "-0"), BookFault.BAD_SIZE),
    (("bid", "60000", "NaN"), BookFault.BAD_SIZE),
    (("bid", "60000", ""), BookFault.BAD_SIZE),
    (("bid", "60000", "0.000000001"), BookFault.BAD_SIZE),
    (("buy", "60000", "1"), BookFault.UNREADABLE),
]


@pytest.mark.parametrize(("row", "fault"), REFUSED)
def test_a_row_that_cannot_be_kept_exactly_breaks_the_book_by_name_H1_H2(row: Row, fault: BookFault) -> None:
    for change in (True, False):
        book = a_live_book()
        rows = [("offer", "60005", "3"), row, ("offer", "60010", "1")]
        done = book.apply(rows, as_of=LATER) if change else book.load(rows, as_of=LATER)
        assert done is False
        assert book.state is BookState.BROKEN
        assert book.broken is not None
        assert book.broken.fault is fault
        assert gives_no_price(book)
        assert book.view() is None
        assert book.as_of is None


def test_a_refused_price_is_refused_again_and_never_remembered_as_good() -> None:
    book = a_live_book()
    for _ in range(2):
        assert book.apply([("bid", "59997", "1")], as_of=LATER) is False
        assert book.load(BOOK, as_of=LATER)


def test_a_broken_book_takes_no_change_until_a_snapshot_mends_it() -> None:
    book = a_live_book()
    book.invalidate(BookFault.GAP, "expected 4, got 9")
    assert book.broken == Broken(fault=BookFault.GAP, detail="expected 4, got 9")
    assert book.apply(BOOK, as_of=LATER) is False
    assert book.levels == (0, 0)
    assert book.load(BOOK, as_of=LATER)
    assert stands(book)
    assert book.levels == (2, 2)


def test_an_empty_book_takes_no_change_before_its_snapshot() -> None:
    book = us_book(a_product())
    assert book.apply(BOOK, as_of=LATER) is False
    assert book.state is BookState.EMPTY
    assert gives_no_price(book)


def test_more_levels_than_the_cap_break_the_book_and_leave_nothing_behind() -> None:
    book = LiveBook(a_product(), coin_per_wire=Decimal(1), levels_max=3)
    assert book.load([("bid", str(5 * at), "1") for at in range(1, 4)], as_of=BEGAN)
    assert book.apply([("bid", "20", "1"), ("bid", "5", "0")], as_of=BEGAN), "three at the end of the message"
    assert book.apply([("bid", "25", "1")], as_of=BEGAN) is False
    assert book.broken is not None
    assert book.broken.fault is BookFault.TOO_MANY_LEVELS
    assert book.levels == (0, 0)


def test_far_flung_levels_break_the_book_before_they_fill_the_memory() -> None:
    book = LiveBook(a_product(), coin_per_wire=Decimal(1), levels_max=3)
    seen = 0

    def endless() -> Iterator[Row]:
        nonlocal seen
        while True:
            seen += 1
            yield "bid", str(5 * 1000 * seen), "1"

    assert book.load(endless(), as_of=BEGAN) is False
    assert book.broken is not None
    assert book.broken.fault is BookFault.TOO_MANY_LEVELS
    assert seen == 4


def test_a_snapshot_older_than_the_book_it_would_replace_breaks_it_W9() -> None:
    book = a_live_book()
    book.apply([("bid", "59995", "8")], as_of=LATER, venue_time=LATER)
    assert book.load(BOOK, as_of=LATER, venue_time=BEGAN) is False
    assert book.broken is not None
    assert book.broken.fault is BookFault.OLDER_SNAPSHOT
    assert book.load(BOOK, as_of=LATER, venue_time=BEGAN), "a book thrown away has no age to be compared with"


def test_prices_on_the_finer_step_are_refused_where_the_wider_one_holds() -> None:
    steps = (PriceStep(above=Decimal(0), step=Decimal("0.1")), PriceStep(above=Decimal(100), step=Decimal("0.5")))
    book = global_book(a_product(contract_size="1", price_steps=steps))
    assert book.load([("bid", b"99.9", b"1"), ("offer", b"100.5", b"1")], as_of=BEGAN)
    assert book.apply([("offer", b"100.1", b"1")], as_of=BEGAN) is False
    assert book.broken is not None
    assert book.broken.fault is BookFault.OFF_GRID


# --- no price from what cannot be believed ----------------------------------------------------------------


def test_a_crossed_book_is_recognised_and_gives_no_price_W9() -> None:
    for price in ("60005", "60010"):  # touching is crossed too
        book = a_live_book()
        assert book.apply([("bid", price, "1")], as_of=LATER), "complete, and yet not to be believed"
        assert gives_no_price(book)
        assert book.doubt(LATER, HALF_A_SECOND) is PriceDoubt.CROSSED
        view = book.view()
        assert view is not None
        assert view.mid is None


def test_a_one_sided_book_is_recognised_and_gives_no_price_W9() -> None:
    book = a_live_book()
    assert book.apply([("bid", "59995", "0"), ("bid", "59990", "0")], as_of=LATER)
    assert gives_no_price(book)
    assert book.doubt(LATER, HALF_A_SECOND) is PriceDoubt.ONE_SIDED


def test_a_stale_book_is_recognised_until_a_read_agrees_W9() -> None:
    book = a_live_book()
    assert book.doubt(BEGAN + HALF_A_SECOND, HALF_A_SECOND) is None
    assert book.doubt(LATER, HALF_A_SECOND) is PriceDoubt.STALE
    book.renew(LATER)
    assert book.doubt(LATER, HALF_A_SECOND) is None
    book.renew(BEGAN)
    assert book.as_of == LATER, "a read of long ago makes nothing older"


def test_an_empty_and_a_broken_book_say_which_they_are_W9() -> None:
    book = us_book(a_product())
    assert book.doubt(BEGAN, HALF_A_SECOND) is PriceDoubt.NO_SNAPSHOT
    book.renew(BEGAN)
    assert book.as_of is None, "a read renews nothing that is not there"
    book.invalidate(BookFault.LOST, "its connection is over")
    assert book.doubt(BEGAN, HALF_A_SECOND) is PriceDoubt.BROKEN
    book.reset()
    assert (book.state, book.broken) == (BookState.EMPTY, None)


def test_a_read_agrees_only_when_the_best_levels_are_the_same() -> None:
    book, plain = a_live_book(), PlainBook(a_product().product_id, "0.01")
    plain.load([(str(side), str(price), str(size)) for side, price, size in BOOK])
    assert book.agrees_with(plain.view(LATER, None), 2)
    plain.apply([("offer", "60010", "8")])
    assert book.agrees_with(plain.view(LATER, None), 1)
    assert not book.agrees_with(plain.view(LATER, None), 2)
    assert not book.agrees_with(replace(plain.view(LATER, None), bids=()), 1)
    book.apply([("bid", "60005", "1")], as_of=LATER)
    assert not book.agrees_with(plain.view(LATER, None), 1), "a crossed book agrees with nothing"


# --- quick and careful reading ----------------------------------------------------------------------------

_TEXTS = st.one_of(
    st.from_regex(r"-?[0-9]{1,3}(\.[0-9]{0,10})?([eE][+-]?[0-9]{1,2})?", fullmatch=True),
    st.text(alphabet="0123456789.-+eE_ ٣²\x00n", max_size=12),
    st.from_regex(r"0{0,40}[0-9]{0,40}\.[0-9]{0,40}", fullmatch=True),
)


@settings(max_examples=500, deadline=None)
@given(text=_TEXTS)
def test_the_quick_reading_of_a_number_never_says_anything_but_the_careful_one(text: str) -> None:
    found = grid.Grid(a_product(contract_size="1", price_step="0.25"), Decimal(1))
    memos: tuple[grid._Memo, ...] = (found.ask_keys, found.bid_keys, found.units)
    for memo in memos:
        for token in (text, text.encode()):
            assert told(memo.__getitem__, token) == told(memo.careful, token)


def told(read: Callable[[Token], int], token: Token) -> int | BookFault:
    try:
        return read(token)
    except BookRefused as refused:
        return refused.fault


# --- bounded memory ---------------------------------------------------------------------------------------


def test_what_is_remembered_of_numbers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "MEMO_MAX", 50)
    found = grid.Grid(a_product(), Decimal(1))
    for tick in range(1, 500):
        assert found.bid_keys[str(5 * tick)] == -tick
        assert found.ask_keys[str(5 * tick)] == tick
        assert found.units[str(tick)] == tick * 10**8
        assert found.price(-tick) == 5 * tick
        assert found.size(tick) == Decimal(tick).scaleb(-8)
    memories: tuple[Sized, ...] = (found.bid_keys, found.ask_keys, found.units, found._prices, found._sizes)
    assert max(len(memory) for memory in memories) <= 50


def test_a_ladder_that_the_price_walked_through_keeps_nothing_of_the_way() -> None:
    ladder = Ladder(blocks_max=3)
    for tick in range(100_000):
        ladder.put(tick, 1)
        if tick >= 10:
            ladder.put(tick - 10, 0)
    assert (ladder.levels, ladder.best) == (10, 99_990)
    assert len(ladder._blocks) <= 2
    assert len(ladder._order) == len(ladder._blocks)
