"""From messages as the venues write them to live books: both words for a side, several events, several products, every sample."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from perpsctl.domain.ids import ProductId
from perpsctl.exchange.streams.book import BookState, LiveBook
from perpsctl.exchange.streams.gaps import ConnectionSequence
from perpsctl.exchange.streams.global_books import GlobalBooks
from perpsctl.exchange.streams.grid import BookFault
from perpsctl.exchange.streams.us_books import UsBooks
from perpsctl.wire.advanced_trade.socket import (
    BookMessage,
    HeartbeatsMessage,
    LeanBookMessage,
    SocketError,
    read_frame,
    read_message,
)
from perpsctl.wire.global_derivatives.channels import BookNotification, ImageNotification, read_book_frame
from perpsctl.wire.guard import WireError
from tests.builders import a_product
from tests.unit.exchange.streams.book_streams import BEGAN, Rows, at_message, global_frame, us_frame

API = Path(__file__).resolve().parents[4].parent / "shared" / "api"
BTC, ETH = "BIP-20DEC30-CDE", "ETP-20DEC30-CDE"
ROWS: Rows = [("bid", "59995", "7"), ("offer", "60005", "2")]
GLOBAL = "BTC_USDC-PERPETUAL"


def lean(body: bytes) -> LeanBookMessage:
    found = read_frame(body)
    assert isinstance(found, LeanBookMessage)
    return found


def sample(name: str) -> dict[str, Any]:
    path = API / name
    if not path.exists():
        pytest.skip(f"the samples are not here: {path.name}")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def us_books() -> UsBooks:
    return UsBooks([a_product(), a_product(product_id=ETH, alias="ETH-PERP", base="ETH", contract_size="0.1")])


def global_books() -> GlobalBooks:
    return GlobalBooks([a_product(product_id=GLOBAL, contract_size="0.001", price_step="0.5")])


def the(books: UsBooks | GlobalBooks, product_id: str) -> LiveBook:
    return books.books[ProductId(product_id)]


def mids(book: LiveBook) -> Decimal | None:
    view = book.view(1)
    return None if view is None else view.mid


# --- US ---------------------------------------------------------------------------------------------------


def test_several_events_for_several_products_land_in_their_books() -> None:
    books = us_books()
    one, other = (
        us_frame(BTC, ROWS, 0, "snapshot"),
        us_frame(ETH, [("bid", "3000", "5"), ("offer", "3010", "4")], 0, "snapshot"),
    )
    change = us_frame(BTC, [("bid", "60000", "1")], 0)
    body = json.loads(one)
    body["events"] += (
        json.loads(other)["events"] + json.loads(change)["events"] + json.loads(us_frame("XPP", ROWS, 0))["events"]
    )
    assert books.take(lean(json.dumps(body).encode()), BEGAN) == (BTC, ETH, BTC)
    assert mids(the(books, BTC)) == Decimal("60002.5")
    assert mids(the(books, ETH)) == Decimal(3005)
    assert books.unasked == 1
    assert the(books, BTC).venue_time == at_message(0)


def test_the_full_and_the_lean_reading_of_a_message_make_the_same_book() -> None:
    body = us_frame(BTC, [*ROWS, ("bid", "59990", "0.5")], 0, "snapshot")
    full, quick = us_books(), us_books()
    read = read_message(body)
    assert isinstance(read, BookMessage)
    full.take(read, BEGAN)
    quick.take(lean(body), BEGAN)
    assert the(full, BTC).view() == the(quick, BTC).view() is not None


def test_a_gap_of_the_connection_throws_every_book_away_with_its_numbers_W1() -> None:
    books, rule = us_books(), ConnectionSequence()
    for number, product in ((0, BTC), (1, ETH)):
        message = lean(us_frame(product, ROWS, number, "snapshot"))
        assert isinstance(message.sequence_num, int)
        rule.take(message.sequence_num)
        books.take(message, BEGAN)
    assert books.invalidate(BookFault.GAP, f"sequence_num: {rule.take(7).told()}") == (BTC, ETH)
    for book in books.books.values():
        assert book.broken is not None
        assert (book.broken.fault, book.broken.detail) == (BookFault.GAP, "sequence_num: expected 2, got 7")


@pytest.mark.parametrize(
    ("spoil", "broken"),
    [
        (lambda body: body["events"][0].pop("updates"), [BTC]),
        (lambda body: body["events"][0].update(type="delta"), [BTC]),
        (lambda body: body["events"][0]["updates"][0].update(side="sell"), [BTC]),
        (lambda body: body["events"][0]["updates"][0].pop("price_level"), [BTC]),
        (lambda body: body["events"][0]["updates"][0].pop("new_quantity"), [BTC]),
        (lambda body: body["events"][0].pop("product_id"), [BTC, ETH]),
        (lambda body: body.pop("events"), [BTC, ETH]),
    ],
)
def test_what_cannot_be_read_breaks_the_book_it_names_and_every_book_where_it_names_none(
    spoil: Any, broken: list[str]
) -> None:
    books = us_books()
    for product in (BTC, ETH):
        books.take(lean(us_frame(product, ROWS, 0, "snapshot")), BEGAN)
    body = json.loads(us_frame(BTC, ROWS, 1))
    spoil(body)
    books.take(lean(json.dumps(body).encode()), BEGAN)
    assert [book.product_id for book in books.books.values() if book.state is BookState.BROKEN] == broken


def test_numbers_where_text_is_due_are_read_patiently_and_exactly_H3() -> None:
    books = us_books()
    body = us_frame(BTC, ROWS, 0, "snapshot").replace(b'"59995"', b"59995.0").replace(b'"7"', b"7")
    books.take(lean(body), BEGAN)
    best = the(books, BTC).best
    assert best is not None
    assert (best.bid, best.bid_size) == (Decimal(59995), Decimal("0.07"))


def test_a_frame_is_read_by_its_channel_wherever_that_stands() -> None:
    late = json.loads(us_frame(BTC, ROWS, 3))
    late["channel"] = late.pop("channel")  # last now
    assert lean(json.dumps(late).encode()).sequence_num == 3
    assert isinstance(read_frame(b'{"channel":"heartbeats","sequence_num":1,"events":[]}'), HeartbeatsMessage)
    assert isinstance(read_frame(b'{"type":"error","message":"authentication failure"}'), SocketError)
    two_names = b'{"channel":"l2_data","sequence_num":1,"events":[],"channel":"heartbeats"}'
    assert isinstance(read_frame(two_names), HeartbeatsMessage)
    for bad in (b'{"channel":"l2_data"', b'{"channel":"unheard"}', b'{"channel":"l2_data","events":[[' + b"[" * 100):
        with pytest.raises(WireError):
            read_frame(bad)


@pytest.mark.parametrize(
    "told", ["", "yesterday", "2026-11-22T12:00:00Z", "2026-11-22T12:00:00.123456789Z", "2026-13-22T12:00:00.000000Z"]
)
def test_a_time_that_cannot_be_read_takes_no_book_away(told: str) -> None:
    books = us_books()
    body = json.loads(us_frame(BTC, ROWS, 0, "snapshot")) | {"timestamp": told}
    books.take(lean(json.dumps(body).encode()), BEGAN)
    book = the(books, BTC)
    assert book.state is BookState.LIVE
    assert (book.venue_time is not None) == told.startswith("2026-11")


def test_the_us_sample_of_a_book_becomes_a_book() -> None:
    body = sample("samples/ws-l2-snapshot.json")
    books = UsBooks([a_product(product_id="BTC-USD", contract_size="1", price_step="0.01")])
    assert books.take(lean(json.dumps(body).encode()), BEGAN) == ("BTC-USD",)
    best = the(books, "BTC-USD").best
    assert best is not None
    assert (best.bid, best.bid_size, best.ask, best.ask_size) == tuple(map(Decimal, ("68900", "1.5", "68901", "0.5")))
    assert the(books, "BTC-USD").levels == (3, 3)


def test_every_us_socket_sample_is_read_as_a_frame() -> None:
    sample("samples/ws-l2-snapshot.json")
    found = sorted((API / "samples").glob("ws-*.json"))
    assert len(found) >= 9
    for path in found:
        body = json.loads(path.read_text())
        for message in body if isinstance(body, list) else [body]:
            text = json.dumps(message).encode()
            assert isinstance(read_frame(text), LeanBookMessage) == isinstance(read_message(text), BookMessage)


# --- Global -----------------------------------------------------------------------------------------------


def take(books: GlobalBooks, body: bytes) -> tuple[ProductId, ...]:
    found = read_book_frame(body)
    assert found is not None
    return books.take(found, BEGAN)


def a_global_book() -> GlobalBooks:
    books = global_books()
    assert take(books, global_frame(GLOBAL, ROWS, 0, 100, None)) == (GLOBAL,)
    return books


def test_a_change_that_follows_is_applied_and_one_that_does_not_throws_the_book_away_W1() -> None:
    books = a_global_book()
    take(books, global_frame(GLOBAL, [("bid", "59996.5", "1")], 1, 104, 100))
    assert mids(the(books, GLOBAL)) == Decimal("60000.75")
    take(books, global_frame(GLOBAL, [("bid", "59996.5", "0")], 2, 120, 110))
    book = the(books, GLOBAL)
    assert book.broken is not None
    assert (book.broken.fault, book.broken.detail) == (BookFault.GAP, "prev_change_id: expected 104, got 110")
    take(books, global_frame(GLOBAL, [("bid", "59996.5", "1")], 3, 121, 120))
    assert not book.sound, "no change mends a book"
    take(books, global_frame(GLOBAL, ROWS, 4, 121, None))
    assert book.state is BookState.LIVE


def test_a_deleted_level_goes_whatever_amount_its_deletion_names() -> None:
    books = a_global_book()
    body = json.loads(global_frame(GLOBAL, [("bid", "59990", "3")], 1, 104, 100))
    body["params"]["data"]["bids"].append(["delete", 59995, 7])
    take(books, json.dumps(body).encode())
    best = the(books, GLOBAL).best
    assert best is not None
    assert (best.bid, best.bid_size) == (Decimal(59990), Decimal(3))
    assert the(books, GLOBAL).levels == (1, 1)


def test_a_message_told_twice_changes_nothing_W3() -> None:
    books = a_global_book()
    body = global_frame(GLOBAL, [("bid", "59996.5", "1")], 1, 104, 100)
    take(books, body)
    before = the(books, GLOBAL).view()
    take(books, global_frame(GLOBAL, [("bid", "59996.5", "9")], 1, 104, 100))
    take(books, global_frame(GLOBAL, [("bid", "59996.5", "9")], 0, 100, None))
    assert the(books, GLOBAL).view() == before


def test_the_snapshot_of_a_quiet_book_mends_it_though_its_id_is_the_old_one() -> None:
    books = a_global_book()
    the(books, GLOBAL).invalidate(BookFault.OFF_GRID, "for the test")
    take(books, global_frame(GLOBAL, ROWS, 1, 100, None))
    assert the(books, GLOBAL).state is BookState.LIVE
    books.restart(ProductId(GLOBAL))
    assert the(books, GLOBAL).state is BookState.EMPTY
    take(books, global_frame(GLOBAL, ROWS, 1, 100, None))
    assert the(books, GLOBAL).state is BookState.LIVE


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data.update(type="delta"),
        lambda data: data.pop("change_id"),
        lambda data: data.pop("prev_change_id"),
        lambda data: data.pop("bids"),
        lambda data: data.update(instrument_name="ETH_USDC-PERPETUAL"),
        lambda data: data.update(bids=[["moved", 59995, 1]]),
        lambda data: data.update(asks=[["new", "NaN", 1]]),
        lambda data: data.update(asks=[["new", [60005], 1]]),
        lambda data: data.update(asks=[["new", None, 1]]),
        lambda data: data.update(asks=[["delete", 60005.1, 0]]),
    ],
)
def test_a_message_that_cannot_be_read_breaks_its_book(spoil: Any) -> None:
    books = a_global_book()
    body = json.loads(global_frame(GLOBAL, [("bid", "59996.5", "1")], 1, 104, 100))
    spoil(body["params"]["data"])
    take(books, json.dumps(body).encode())
    assert the(books, GLOBAL).state is BookState.BROKEN


def test_amounts_spelled_as_text_are_read_exactly_H3() -> None:
    books = global_books()
    take(books, global_frame(GLOBAL, ROWS, 0, 100, None).replace(b"59995", b'"59995.0"'))
    assert mids(the(books, GLOBAL)) == Decimal(60000)


def test_images_of_the_top_replace_each_other_and_an_older_one_is_ignored() -> None:
    books = global_books()

    def image(change_id: int, bid: str) -> bytes:
        return json.dumps({
            "jsonrpc": "2.0", "method": "subscription",
            "params": {"channel": f"book.{GLOBAL}.none.10.100ms", "data": {
                "timestamp": 1788645577021 + change_id, "instrument_name": GLOBAL, "change_id": change_id,
                "bids": [[float(bid), 1.5]], "asks": [[60005.0, 2.0]]}},
        }).encode()  # fmt: skip

    assert isinstance(read_book_frame(image(7, "59990")), ImageNotification)
    for change_id, bid in ((7, "59990"), (9, "59995"), (8, "59000")):
        take(books, image(change_id, bid))
    book = the(books, GLOBAL)
    assert book.levels == (1, 1)
    assert mids(book) == Decimal(60000)
    body = json.loads(image(11, "59990"))
    del body["params"]["data"]["change_id"]
    take(books, json.dumps(body).encode())
    assert book.state is BookState.BROKEN


def test_other_frames_are_left_to_the_ordinary_reading() -> None:
    for body in (
        b'{"jsonrpc":"2.0","id":7,"result":["book.BTC_USDC-PERPETUAL.100ms"]}',
        b'{"jsonrpc":"2.0","method":"subscription","params":{"channel":"ticker.BTC_USDC-PERPETUAL.100ms","data":{}}}',
        b'{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}',
    ):
        assert read_book_frame(body) is None
    for bad in (
        b'{"method":"subscription","params":{"channel":"book.X.100ms","data":7}}',
        b'{"method":"heartbeat","params":{"channel":"book.X.100ms","data":{}}}',
        b'{"method":"subscription","params":{"channel":"book.X.100ms","data":{}',
        b'{"method":"subscription","params":{"channel":"book.X.100ms","data":{},"channel":"ticker.X"}}',
    ):
        with pytest.raises(WireError):
            read_book_frame(bad)


def test_messages_of_products_nobody_asked_for_are_counted_and_touch_nothing_W7() -> None:
    books = a_global_book()
    assert take(books, global_frame("ETH_USDC-PERPETUAL", ROWS, 0, 100, None)) == ()
    assert books.unasked == 1


@pytest.mark.parametrize(
    ("name", "product_id", "best"),
    [
        ("ws_book_raw_snapshot", GLOBAL, ("20987", "0.487", "20999", "0.092")),
        ("ws_book_100ms_snapshot_inverse", "BTC-PERPETUAL", ("42500", "1000", "42501", "800")),
    ],
)
def test_the_global_samples_of_books_become_books(name: str, product_id: str, best: tuple[str, ...]) -> None:
    body = sample(f"samples-global/{name}.json")
    books = GlobalBooks([a_product(product_id=product_id, contract_size="0.001", price_step="0.5")])
    assert isinstance(read_book_frame(json.dumps(body).encode()), BookNotification)
    assert take(books, json.dumps(body).encode()) == (product_id,)
    touch = the(books, product_id).best
    assert touch is not None
    assert (touch.bid, touch.bid_size, touch.ask, touch.ask_size) == tuple(map(Decimal, best))


def test_every_global_sample_that_is_a_book_and_no_other_is_read_as_one() -> None:
    sample("samples-global/ws_book_raw_snapshot.json")
    for path in sorted((API / "samples-global").glob("ws_*.json")):
        body = json.loads(path.read_text())
        for message in body if isinstance(body, list) else [body]:
            params = message.get("params", {}) if isinstance(message, dict) else {}
            is_book = str(params.get("channel", "")).startswith("book.")
            assert (read_book_frame(json.dumps(message).encode()) is not None) == is_book
