"""A streamed book equals the plainest book there is, update for update: made streams, recorded ones, arbitrary ones."""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perpsctl.domain.market import BookView, Walk
from perpsctl.domain.products import PriceStep, Product
from perpsctl.domain.sides import Side
from perpsctl.exchange.streams.book import BookState, LiveBook
from perpsctl.exchange.streams.global_books import GlobalBooks
from perpsctl.exchange.streams.us_books import UsBooks, us_book
from perpsctl.wire.advanced_trade.socket import LeanBookMessage, read_frame
from perpsctl.wire.global_derivatives.channels import read_book_frame
from tests.builders import a_product
from tests.unit.exchange.streams.book_streams import (
    BEGAN,
    MadeMarket,
    PlainBook,
    Rows,
    Shape,
    at_message,
    global_frame,
    us_frame,
)

SHARED = Path(__file__).resolve().parents[4].parent / "shared" / "data"
UPDATES = 200_000
BANDS = [Decimal(text) for text in ("0", "0.5", "1", "15", "25", "33.33", "500", "100000")]
SIZES = [Decimal(text) for text in ("0", "0.01", "0.5", "3", "1234.56", "99999999", "0.0000000001")]


def assert_same(book: LiveBook, plain: BookView) -> None:
    """Every level, best, band and walk of `book` is `plain`'s own."""
    assert book.view() == plain
    assert book.view(5) == replace(plain, bids=plain.bids[:5], asks=plain.asks[:5])
    assert book.levels == (len(plain.bids), len(plain.asks))
    assert book.sound == plain.sound
    best = book.best
    if best is None:
        assert not plain.sound
    else:
        assert (best.bid, best.bid_size) == (plain.bids[0].price, plain.bids[0].size)
        assert (best.ask, best.ask_size) == (plain.asks[0].price, plain.asks[0].size)
    for side in Side:
        for band in BANDS:
            assert book.depth_within(side, band) == plain.depth_within(side, band)
        for size in SIZES:
            assert book.walk(side, size) == plain.walk(side, size)  # type: ignore[arg-type]


def us_product() -> Product:
    return a_product(contract_size="0.01", price_step="5")


def global_product(price_step: str = "0.1") -> Product:
    return a_product(product_id="BTC_USDC-PERPETUAL", contract_size="0.001", price_step=price_step)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_a_us_book_of_200_000_made_updates_equals_the_plain_book_at_every_checkpoint(seed: int) -> None:
    product = us_product()
    market = MadeMarket(seed, Shape(tick="5", mid=13_800))
    books, plain = UsBooks([product]), PlainBook(product.product_id, "0.01")
    book = books.books[product.product_id]
    snapshot = market.snapshot()
    books.take(lean(us_frame(product.product_id, snapshot, 0, "snapshot")), BEGAN)
    plain.load(snapshot)
    checked = 0
    for number, rows in enumerate(market.messages(UPDATES), start=1):
        books.take(lean(us_frame(product.product_id, rows, number)), at_message(number))
        plain.apply(rows)
        if number % 500 == 0:
            assert_same(book, plain.view(at_message(number), at_message(number)))
            checked += 1
    assert checked > 60
    assert book.sound, f"seed {seed}"


@pytest.mark.slow
def test_a_global_book_of_200_000_made_updates_equals_the_plain_book_while_the_price_walks_off() -> None:
    product = global_product()
    # 0.1 a tick and up to 400 ticks a message: the price ends far from where the first snapshot stood.
    market = MadeMarket(3, Shape(tick="0.1", mid=690_000, spread=600, size_places=3, drift=400, depth=1500))
    books, plain = GlobalBooks([product]), PlainBook(product.product_id, "1")
    book = books.books[product.product_id]
    snapshot, link = market.snapshot(), 1000
    take_global(books, global_frame(product.product_id, snapshot, 0, link, None), 0)
    plain.load(snapshot)
    began, checked, farthest = plain.view(BEGAN, BEGAN).mid, 0, Decimal(0)
    for number, rows in enumerate(market.messages(UPDATES), start=1):
        take_global(books, global_frame(product.product_id, rows, number, link + 3, link), number)
        link += 3
        plain.apply(rows)
        if number % 250 == 0:
            whole = plain.view(at_message(number), at_message(number))
            assert_same(book, whole)
            checked += 1
            assert began is not None
            assert whole.mid is not None
            farthest = max(farthest, abs(whole.mid - began))
    assert checked > 60
    assert farthest > 1000, "the price was to walk off by more than ten thousand ticks"


# --- recorded by others, from the shared data folder ----------------------------------------------------


def recorded(name: str) -> Path:
    found = SHARED / name
    if not found.exists():
        pytest.skip(f"recorded data is not here: {found.name}")
    return found


def recorded_changes(name: str) -> Iterator[tuple[int, int, Rows]]:
    """(last id, the id before, rows) of each recorded message."""
    with recorded(name).open(newline="") as lines:
        for (last, before), rows in groupby(
            csv.DictReader(lines), key=lambda row: (row["last_update_id"], row["prev_last_update_id"])
        ):
            told = [("bid" if row["side"] == "bid" else "offer", row["price"], row["new_qty"]) for row in rows]
            yield int(last), int(before), told


def recorded_snapshot(name: str) -> tuple[int, Rows]:
    body = json.loads(recorded(name).read_text())
    rows = [(side, *level) for side, key in (("bid", "bids"), ("offer", "asks")) for level in body[key]]
    return body["lastUpdateId"], rows


def test_a_recorded_bitcoin_book_rebuilt_over_its_own_chain_of_ids_equals_the_plain_book() -> None:
    name = "btcusdt-perp_2024-08-08T2354"
    last_known, snapshot = recorded_snapshot(f"{name}_l2_snapshot.json")
    changes = [each for each in recorded_changes(f"{name}_l2_updates_20s.csv") if each[0] > last_known]
    product = global_product()
    books, plain = GlobalBooks([product]), PlainBook(product.product_id, "1")
    book = books.books[product.product_id]
    take_global(books, global_frame(product.product_id, snapshot, 0, changes[0][1], None), 0)
    plain.load(snapshot)
    assert_same(book, plain.view(BEGAN, BEGAN))
    for number, (change_id, previous, rows) in enumerate(changes, start=1):
        take_global(books, global_frame(product.product_id, rows, number, change_id, previous), number)
        plain.apply(rows)
        assert book.sound
        if number % 10 == 0:
            assert_same(book, plain.view(at_message(number), at_message(number)))
    assert sum(len(rows) for _, _, rows in changes) > 10_000
    assert_same(book, plain.view(at_message(len(changes)), at_message(len(changes))))


def test_a_recorded_ether_book_in_contracts_equals_the_plain_book() -> None:
    name = "ethusd-coinm-perp_2024-08-08T2354"
    last_known, snapshot = recorded_snapshot(f"{name}_l2_snapshot.json")
    product = a_product(
        product_id="ETP-20DEC30-CDE", alias="ETH-PERP", base="ETH", contract_size="0.1", price_step="0.01"
    )
    books, plain = UsBooks([product]), PlainBook(product.product_id, "0.1")
    book = books.books[product.product_id]
    books.take(lean(us_frame(product.product_id, snapshot, 0, "snapshot")), BEGAN)
    plain.load(snapshot)
    number = 0
    for last, _, rows in recorded_changes(f"{name}_l2_updates_15s.csv"):
        if last <= last_known:
            continue
        number += 1
        books.take(lean(us_frame(product.product_id, rows, number)), at_message(number))
        plain.apply(rows)
        assert book.sound
        if number % 10 == 0:
            assert_same(book, plain.view(at_message(number), at_message(number)))
    assert number > 100
    assert_same(book, plain.view(at_message(number), at_message(number)))


def test_recorded_images_of_a_book_replace_each_other_whole() -> None:
    product = a_product(contract_size="1", price_step="1")
    book, plain, images = us_book(product), PlainBook(product.product_id, "1"), 0
    for line in recorded("btc-hyperliquid-perp_2025-01-26_l2_and_trades.jsonl").read_text().splitlines():
        body = json.loads(line)
        if body["channel"] != "l2Book":
            continue
        sides = zip(("bid", "offer"), body["data"]["levels"], strict=True)
        rows = [(side, level["px"], level["sz"]) for side, levels in sides for level in levels]
        plain.load(rows)
        assert book.load(rows, as_of=BEGAN)
        assert_same(book, plain.view(BEGAN, None))
        images += 1
    assert images > 5


# --- whatever may come -----------------------------------------------------------------------------------

_STEP = Decimal("0.5")
# Around two block borders of the ladder (ticks 64 and 128), with some far away.
_TICKS = st.one_of(st.integers(1, 140), st.integers(60, 68), st.integers(1, 10**9))
_PRICES = _TICKS.map(lambda tick: str(tick * _STEP))
_QUANTITIES = st.one_of(
    st.just("0"), st.integers(1, 9).map(str), st.decimals("0.00000001", "10000", places=8).map(lambda size: f"{size:f}")
)
_ROWS = st.lists(st.tuples(st.sampled_from(["bid", "offer"]), _PRICES, _QUANTITIES), max_size=25)
_STORY = st.lists(st.tuples(st.sampled_from(["snapshot", "update", "update", "update"]), _ROWS), max_size=8)


@settings(max_examples=300, deadline=None)
@given(
    first=_ROWS,
    story=_STORY,
    band=st.decimals("0", "20000", places=4),
    size=st.decimals("0", "20000", places=9),
)
def test_whatever_is_told_the_book_is_the_plain_book_crossed_and_empty_ones_too_W9(
    first: Rows, story: list[tuple[str, Rows]], band: Decimal, size: Decimal
) -> None:
    product = a_product(contract_size="0.01", price_step="0.5")
    book, plain = us_book(product), PlainBook(product.product_id, "0.01")
    assert book.load(first, as_of=BEGAN)
    plain.load(first)
    for number, (kind, rows) in enumerate(story):
        if kind == "snapshot":
            assert book.load(rows, as_of=at_message(number))
            plain.load(rows)
        else:
            assert book.apply(rows, as_of=at_message(number))
            plain.apply(rows)
        whole = plain.view(at_message(number), None)
        assert_same(book, whole)
        for side in Side:
            assert book.depth_within(side, band) == whole.depth_within(side, band)
            assert book.walk(side, size) == whole.walk(side, size)  # type: ignore[arg-type]


@settings(max_examples=100, deadline=None)
@given(rows=_ROWS)
def test_a_books_order_of_telling_does_not_matter_where_no_level_is_told_twice(rows: Rows) -> None:
    once = list({(side, Decimal(price)): (side, price, size) for side, price, size in rows}.values())
    product = a_product(contract_size="0.01", price_step="0.5")
    one, other = us_book(product), us_book(product)
    one.load(once, as_of=BEGAN)
    other.load(once[::-1], as_of=BEGAN)
    assert one.view() == other.view()


def test_a_book_whose_step_widens_with_the_price_is_exact_on_both_steps() -> None:
    steps = (PriceStep(above=Decimal(0), step=Decimal("0.3")), PriceStep(above=Decimal(100), step=Decimal("0.5")))
    product = a_product(contract_size="1", price_steps=steps)
    book, plain = us_book(product), PlainBook(product.product_id, "1")
    rows = [("bid", "99.3", "2"), ("bid", "99.9", "1"), ("offer", "100.5", "3"), ("offer", "101", "4")]
    assert book.load(rows, as_of=BEGAN)
    plain.load(rows)
    assert_same(book, plain.view(BEGAN, None))


def test_an_empty_book_walks_to_nothing() -> None:
    book = us_book(us_product())
    assert book.state is BookState.EMPTY
    assert book.view() is None
    assert book.walk(Side.BUY, Decimal(1)) == Walk(filled=Decimal(0), average=None, worst=None)  # type: ignore[arg-type]
    assert book.depth_within(Side.BUY, Decimal(15)) is None


def lean(body: bytes) -> LeanBookMessage:
    found = read_frame(body)
    assert isinstance(found, LeanBookMessage)
    return found


def take_global(books: GlobalBooks, body: bytes, number: int) -> None:
    found = read_book_frame(body)
    assert found is not None
    books.take(found, at_message(number))
