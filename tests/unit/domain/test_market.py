"""A book tells what taking costs, or that it cannot tell; nothing is priced from a crossed or one-sided one (W9)."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perpsctl.domain.market import BookView, MarkSource, SessionState
from perpsctl.domain.numbers import Price, Size
from perpsctl.domain.sides import Side
from tests.builders import NOW, a_book, a_funding, a_session, a_status, some_facts

BOOK = a_book(
    bids=[("59990", "1"), ("59980", "2"), ("59000", "9")], asks=[("60010", "1"), ("60020", "2"), ("61000", "9")]
)


def coin(text: str) -> Size:
    return Size(Decimal(text))


def test_walking_takes_the_best_price_first_on_the_side_it_hits() -> None:
    bought = BOOK.walk(Side.BUY, coin("2"))
    assert (bought.filled, bought.average, bought.worst) == (coin("2"), Decimal("60015"), Decimal("60020"))
    sold = BOOK.walk(Side.SELL, coin("2"))
    assert (sold.average, sold.worst) == (Decimal("59985"), Decimal("59980"))


def test_a_walk_says_how_much_the_book_could_not_fill() -> None:
    walked = BOOK.walk(Side.BUY, coin("100"))
    assert walked.filled == 12
    nothing = a_book(asks=[]).walk(Side.BUY, coin("1"))
    assert (nothing.filled, nothing.average, nothing.worst) == (coin("0"), None, None)


def test_impact_is_against_us_positive_on_both_sides_and_unknown_when_the_book_is_too_thin() -> None:
    assert BOOK.impact_bps(Side.BUY, coin("2")) == Decimal("2.5")
    assert BOOK.impact_bps(Side.SELL, coin("2")) == Decimal("2.5")
    assert BOOK.impact_bps(Side.BUY, coin("100")) is None


def test_depth_counts_quote_value_within_the_band_its_edge_included() -> None:
    edge = a_book(bids=[("59850", "1")], asks=[("60150", "2"), ("60151", "5")])
    assert edge.depth_within(Side.BUY, Decimal(25)) == 120300
    assert edge.depth_within(Side.SELL, Decimal(25)) == 59850
    assert edge.depth_within(Side.BUY, Decimal(24)) == 0


@pytest.mark.parametrize(
    "book",
    [
        a_book(bids=[]),
        a_book(asks=[]),
        a_book(bids=[("60000", "1")], asks=[("60000", "1")]),
        a_book(bids=[("60005", "1")], asks=[("60000", "1")]),
    ],
)
def test_no_price_comes_from_a_one_sided_locked_or_crossed_book_W9(book: BookView) -> None:
    assert not book.sound
    assert book.mid is None
    assert book.impact_bps(Side.BUY, coin("0.01")) is None
    assert book.depth_within(Side.BUY, Decimal(25)) is None
    assert some_facts(book=book).mark() is None


rungs = st.lists(st.integers(1, 400), min_size=1, max_size=8, unique=True)
amounts = st.integers(1, 500)


@given(rungs, st.lists(amounts, min_size=8, max_size=8), amounts, st.sampled_from(list(Side)))
def test_a_walk_costs_between_best_and_worst_and_no_more_than_was_asked(
    offsets: list[int], amount: list[int], asked: int, side: Side
) -> None:
    ladder = [
        (str(60000 + side.sign * 5 * n), str(Decimal(q) / 100)) for n, q in zip(sorted(offsets), amount, strict=False)
    ]
    book = a_book(asks=ladder, bids=[("1", "1")]) if side is Side.BUY else a_book(bids=ladder, asks=[("99999", "1")])
    size = coin(str(Decimal(asked) / 100))
    walked = book.walk(side, size)
    offered = sum((level.size for level in book.hit_by(side)), Decimal(0))
    assert walked.filled == min(size, offered)
    assert walked.average is not None
    assert walked.worst is not None
    best = book.hit_by(side)[0].price
    assert (walked.average - best) * side.sign >= -Decimal("1e-20")
    assert (walked.worst - walked.average) * side.sign >= -Decimal("1e-20")


def test_the_mark_is_the_middle_of_a_sound_book_with_its_age() -> None:
    mark = some_facts(book=a_book(as_of=NOW - timedelta(seconds=1))).mark()
    assert mark is not None
    assert mark.price == 60000
    assert (mark.as_of, mark.source) == (NOW - timedelta(seconds=1), MarkSource.BOOK_MID)


def test_the_best_known_price_falls_back_in_order() -> None:
    assert some_facts().best_known_price() == 60000
    bare = some_facts(book=None, index_price="1", last_price="2", last_known_price="3")
    assert bare.best_known_price() == 1
    assert some_facts(book=None, index_price=None, last_price="2", last_known_price="3").best_known_price() == 2
    assert some_facts(book=None, index_price=None, last_price=None, last_known_price="3").best_known_price() == 3
    assert some_facts(book=None, index_price=None, last_price=None).best_known_price() is None


def test_a_days_funding_is_the_last_rate_carried_on_or_unknown() -> None:
    assert a_funding(rate="0.00001").daily_rate() == Decimal("0.00024")
    assert a_funding(rate="0", interval=timedelta(hours=8)).daily_rate() == 0
    for unknown in (a_funding(rate=None), a_funding(interval=None), a_funding(interval=timedelta(0))):
        assert unknown.daily_rate() is None


@pytest.mark.parametrize("flag", ["disabled", "cancel_only", "auction", "view_only"])
def test_a_product_takes_orders_only_when_nothing_forbids_it(flag: str) -> None:
    assert a_status().takes_orders
    assert not a_status(**{flag: True}).takes_orders  # type: ignore[arg-type]
    assert a_status(session=a_session()).takes_orders
    for state in (SessionState.CLOSED, SessionState.UNRECOGNISED):
        assert not a_status(session=a_session(state=state)).takes_orders


def test_a_venues_own_mark_counts_before_the_middle_of_the_book_and_has_its_own_age() -> None:
    facts = replace(some_facts(product_as_of=NOW - timedelta(seconds=3)), mark_price=Price(Decimal("59990")))
    mark = facts.mark()
    assert mark is not None
    assert (mark.price, mark.source) == (Decimal("59990"), MarkSource.VENUE)
    assert mark.as_of == NOW - timedelta(seconds=3)
    bookless = replace(facts, book=None).mark()
    assert bookless is not None
    assert bookless.price == Decimal("59990")
