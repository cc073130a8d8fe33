"""Reads answer whole or raise: to the last page, dated, derivatives only."""

from datetime import timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
import requests

from perpsctl.domain.errors import (
    CredentialsError,
    PerpsctlError,
    RateLimited,
    UsageError,
    VenueRefusedRequest,
    VenueRefusedUs,
    VenueSpokeStrangely,
    VenueUnreachable,
)
from perpsctl.domain.ids import ProductId, VenueOrderId
from perpsctl.domain.orders import OrderStatus
from perpsctl.exchange.advanced_trade.listings import SOURCES, TRANSITIONAL
from perpsctl.exchange.advanced_trade.live_lists import NEWEST_ROWS
from perpsctl.exchange.transport import ExchangeRecord
from tests.builders import a_quantized
from tests.unit.exchange.parts import (
    BIP,
    NOW,
    Answer,
    Call,
    Canned,
    FakeClock,
    a_venue,
    fill_body,
    order_body,
    orders_page,
    product_body,
    reply,
)

BTC = ProductId(BIP)
LIST = "/orders/historical/batch"


def canned_venue(**more: Any) -> tuple[Any, Canned, FakeClock]:
    canned, clock = Canned(), FakeClock()
    canned.on("GET", f"/products/{BIP}", reply(product_body()))
    return a_venue(canned, clock=clock, **more), canned, clock


# --- errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "error", "calls"),
    [
        (requests.exceptions.ReadTimeout("x"), VenueUnreachable, 4),
        (requests.exceptions.ConnectTimeout("x"), VenueUnreachable, 4),
        (reply({}, 500), VenueUnreachable, 4),
        (reply({}, 503), VenueUnreachable, 4),
        ((503, {"content-type": "text/html"}, b"<html>"), VenueUnreachable, 4),
        ((429, {"content-type": "text/html"}, b"<html>"), RateLimited, 4),
        (reply({}, 429, retry_after="86400"), RateLimited, 1),
        ((401, {"content-type": "text/plain"}, b"Unauthorized"), VenueRefusedUs, 2),
        (reply({"error": "PERMISSION_DENIED", "message": "m"}, 403), VenueRefusedUs, 1),
        (reply({"error": "INVALID_ARGUMENT", "message": "m"}, 400), VenueRefusedRequest, 1),
        (reply({}, 302), VenueSpokeStrangely, 1),
        ((404, {"content-type": "text/html"}, b"<html>"), VenueSpokeStrangely, 4),
        ((200, {"content-type": "text/html"}, b"<html>"), VenueSpokeStrangely, 4),
        ((200, {"content-type": "application/json"}, b'{"can_vi'), VenueSpokeStrangely, 4),
        ((200, {"content-type": "application/json"}, b""), VenueSpokeStrangely, 4),
    ],
)
def test_L5_a_read_that_fails_raises_what_the_reader_should_do_about_it(
    answer: Answer, error: type[PerpsctlError], calls: int
) -> None:
    venue, canned, _ = canned_venue()
    canned.on("GET", "/key_permissions", answer)
    with pytest.raises(error) as caught:
        venue.key_facts()
    assert type(caught.value) is error
    assert len(canned.calls) == calls


PERMISSIONS = {
    "can_view": True,
    "can_trade": True,
    "can_transfer": False,
    "portfolio_uuid": "p-1",
    "portfolio_type": "DEFAULT",
}


def test_N20_N21_a_read_is_repeated_until_it_can_be_read() -> None:
    venue, canned, _ = canned_venue()
    torn = (200, {"content-type": "application/json"}, b'{"can_view": tr')
    canned.on("GET", "/key_permissions", [reply({}, 502), torn, reply(PERMISSIONS)])
    assert venue.key_facts().portfolio_id == "p-1"


def test_A5_a_refused_token_is_tried_once_more_with_a_new_one() -> None:
    venue, canned, _ = canned_venue()
    canned.on("GET", "/key_permissions", [(401, {"content-type": "text/plain"}, b"Unauthorized"), reply(PERMISSIONS)])
    venue.key_facts()
    first, second = (call.headers["Authorization"] for call in canned.calls)
    assert first != second


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((401, {"date": "Sun, 22 Nov 2026 11:57:50 GMT"}, b"Unauthorized"), "our clock is 130 s ahead of the venue's"),
        ((401, {"date": "Sun, 22 Nov 2026 12:00:31 GMT"}, b"Unauthorized"), "s behind the venue's"),
        ((401, {"date": "Sun, 22 Nov 2026 12:00:05 GMT"}, b"Unauthorized"), "the key was refused"),
        (reply({"error": "PERMISSION_DENIED", "error_details": "Missing required scopes"}, 403), "lacks a permission"),
        (reply({"error": "PERMISSION_DENIED", "message": "User does not have access to portfolio"}, 403), "portfolio"),
        (reply({"error": "PERMISSION_DENIED", "message": "IP not allowed"}, 403), "allowlist"),
    ],
)
def test_A1_A3_A4_T4_a_refusal_names_its_likely_cause(answer: Answer, said: str) -> None:
    venue, canned, _ = canned_venue()
    canned.on("GET", "/key_permissions", answer)
    with pytest.raises(VenueRefusedUs) as caught:
        venue.key_facts()
    assert said in caught.value.message
    assert caught.value.fix


def test_S3_nothing_from_outside_is_raw_in_an_error() -> None:
    venue, canned, _ = canned_venue()
    canned.on("GET", "/key_permissions", reply({"error": "E\x1b[31m", "message": "\x1b]52;c;x\x07\n\u202eevil"}, 400))
    with pytest.raises(VenueRefusedRequest) as caught:
        venue.key_facts()
    assert all(character.isprintable() for character in caught.value.message + caught.value.reason)


def test_private_reads_without_a_key_say_so_and_public_ones_use_their_twin() -> None:
    venue, canned, _ = canned_venue(keyless=True)
    with pytest.raises(CredentialsError):
        venue.account()
    canned.on("GET", f"/market/products/{BIP}", reply(product_body()))
    venue.product(BTC)
    (call,) = canned.calls
    assert call.path == f"/market/products/{BIP}"
    assert "Authorization" not in call.headers
    assert call.headers["Cache-Control"] == "no-cache"
    assert call.query == []


# --- market -----------------------------------------------------------------------------------------


def test_products_are_discovered_by_structure_to_the_last_page() -> None:
    venue, canned, _ = canned_venue()
    dated = product_body("BIT-24APR27-CDE", display_name="BIT APR")
    dated["future_product_details"] = {"contract_size": "0.01", "contract_root_unit": "BTC"}
    second = product_body("ETP-20DEC30-CDE", display_name="ETH PERP")
    more = {"has_next": True, "next_cursor": "c2"}
    canned.on(
        "GET",
        "/products",
        [reply({"products": [product_body(), dated], "pagination": more}), reply({"products": [second]})],
    )
    found = venue.products()
    assert [product.product_id for product in found] == [BIP, "ETP-20DEC30-CDE"]
    assert [call.asks("cursor") for call in canned.calls] == [[], ["c2"]]
    assert found[0].as_of == NOW


def test_a_product_of_another_id_is_not_the_one_asked_for() -> None:
    venue, canned, _ = canned_venue()
    canned.on("GET", f"/products/{BIP}", reply(product_body("ETP-20DEC30-CDE")))
    with pytest.raises(VenueSpokeStrangely):
        venue.product(BTC)


def test_a_retired_id_is_answered_with_its_successor_without_asking() -> None:
    venue, canned, _ = canned_venue()
    with pytest.raises(UsageError, match="retired"):
        venue.product(ProductId("BTC-PERP-INTX"))
    assert canned.calls == []


def test_H11_an_id_with_path_characters_stays_one_part_of_the_path() -> None:
    venue, canned, _ = canned_venue()
    canned.on("GET", "/products/..%2F..%2Forders", reply({"error": "NOT_FOUND", "message": "m"}, 404))
    with pytest.raises(VenueRefusedRequest):
        venue.product(ProductId("../../orders"))


def test_a_book_is_in_coin_and_dated_by_when_it_was_asked_for() -> None:
    venue, canned, clock = canned_venue()
    venue.product(BTC)

    def slow(call: Call) -> Answer:
        clock.advance(timedelta(seconds=1))
        book = {"product_id": BIP, "bids": [{"price": "59995", "size": "7"}], "asks": [{"price": "60005", "size": "3"}]}
        return reply({"pricebook": book})

    canned.on("GET", "/product_book", slow)
    book = venue.book(BTC, 50)
    assert (book.as_of, book.bids[0].size) == (NOW, Decimal("0.07"))
    assert canned.calls[-1].query == [("product_id", BIP), ("limit", "50")]


def test_long_ranges_of_candles_are_read_in_pieces_the_venue_answers_whole() -> None:
    venue, canned, _ = canned_venue()
    asked: list[tuple[int, int]] = []

    def bars(call: Call) -> Answer:
        first, last = int(call.asks("start")[0]), int(call.asks("end")[0])
        asked.append((first, last))
        starts = [at for at in range(first - first % 60, last + 1, 60) if at >= first]
        rows = [{"start": str(at), "low": "1", "high": "3", "open": "2", "close": "2", "volume": "1"} for at in starts]
        return reply({"candles": rows[::-1][:350]})  # newest first, the newest 350 only

    canned.on("GET", f"/products/{BIP}/candles", bars)
    start = NOW - timedelta(minutes=1000)
    found = venue.candles(BTC, start=start, end=NOW, granularity=timedelta(minutes=1))
    assert [bar.start for bar in found] == [start + timedelta(minutes=n) for n in range(1000)]
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("minutes", "length", "said"),
    [
        (-1, timedelta(minutes=1), "backwards"),
        (10, timedelta(minutes=7), "no bars"),
        (10**8, timedelta(minutes=1), "too many"),
    ],
)
def test_a_range_of_candles_that_cannot_be_is_refused_before_asking(minutes: int, length: timedelta, said: str) -> None:
    venue, canned, _ = canned_venue()
    with pytest.raises(UsageError, match=said):
        venue.candles(BTC, start=NOW - timedelta(minutes=minutes), end=NOW, granularity=length)
    assert not canned.to("GET", f"/products/{BIP}/candles")


def test_server_time_is_compared_at_mid_flight_with_half_the_round_trip_as_doubt() -> None:
    venue, canned, clock = canned_venue()
    theirs = NOW + timedelta(milliseconds=700)

    def slow(call: Call) -> Answer:
        clock.advance(timedelta(milliseconds=200))
        millis = str(int(theirs.timestamp() * 1000))
        return reply({"iso": "2026-11-22T12:00:00Z", "epochSeconds": "1795348800", "epochMillis": millis})

    canned.on("GET", "/time", slow)
    found = venue.server_time()
    assert found.venue_time == theirs
    assert found.skew == timedelta(milliseconds=600, microseconds=500)
    assert found.uncertainty == timedelta(milliseconds=100, microseconds=500)
    assert "Authorization" not in canned.calls[0].headers


# --- account ----------------------------------------------------------------------------------------


def test_an_account_without_a_futures_wallet_is_said_and_never_read_as_zero() -> None:
    venue, canned, _ = canned_venue()
    canned.on("GET", "/cfm/balance_summary", reply({"balance_summary": None}))
    with pytest.raises(VenueRefusedRequest) as caught:
        venue.account()
    assert caught.value.reason == "no_futures_wallet"


def test_L5_a_balance_that_cannot_be_read_is_not_a_missing_wallet() -> None:
    venue, canned, _ = canned_venue()
    canned.on("GET", "/cfm/balance_summary", reply({"balance_summary": {"total_usd_balance": {"value": "NaN"}}}))
    with pytest.raises(VenueSpokeStrangely):
        venue.account()


def test_positions_are_signed_coin_with_contract_sizes_the_venue_was_asked_for() -> None:
    venue, canned, _ = canned_venue()
    row = {"product_id": BIP, "side": "SHORT", "number_of_contracts": "3", "avg_entry_price": "60000"}
    canned.on("GET", "/cfm/positions", reply({"positions": [row]}))
    assert venue.positions().coin(BTC) == Decimal("-0.03")
    assert len(canned.to("GET", f"/products/{BIP}")) == 1
    venue.positions()
    assert len(canned.to("GET", f"/products/{BIP}")) == 1


def test_L5_positions_without_a_list_are_not_flat() -> None:
    venue, canned, _ = canned_venue()
    canned.on("GET", "/cfm/positions", reply({}))
    with pytest.raises(VenueSpokeStrangely):
        venue.positions()


def test_fees_are_those_of_futures() -> None:
    venue, canned, _ = canned_venue()
    canned.on("GET", "/transaction_summary", reply({"fee_tier": {"maker_fee_rate": "0", "taker_fee_rate": "0.0003"}}))
    assert venue.fees().taker == Decimal("0.0003")
    assert canned.calls[0].query == [("product_type", "FUTURE")]


@pytest.mark.parametrize(
    ("setting", "profile", "enrolled"),
    [
        ("INTRADAY_MARGIN_SETTING_INTRADAY", "MARGIN_PROFILE_TYPE_RETAIL_INTRADAY_MARGIN_1", True),
        ("INTRADAY_MARGIN_SETTING_STANDARD", "MARGIN_PROFILE_TYPE_RETAIL_REGULAR", False),
        (None, "MARGIN_PROFILE_TYPE_RETAIL_REGULAR", None),
    ],
)
def test_the_margin_window_is_that_of_the_accounts_own_setting(
    setting: str | None, profile: str, enrolled: bool | None
) -> None:
    venue, canned, _ = canned_venue()
    told = reply({"error": "NOT_FOUND", "message": "m"}, 404) if setting is None else reply({"setting": setting})
    canned.on("GET", "/cfm/intraday/margin_setting", told)
    window = {"margin_window_type": "MARGIN_WINDOW_TYPE_OVERNIGHT", "end_time": "2026-11-23T13:00:00Z"}
    canned.on("GET", "/cfm/intraday/current_margin_window", reply({"margin_window": window}))
    assert venue.margin_window().intraday_enrolled is enrolled
    assert canned.calls[-1].query == [("margin_profile_type", profile)]


# --- orders -----------------------------------------------------------------------------------------


class Shelf:
    """A list of orders as the venue keeps it: default source RETAIL_ADVANCED, OPEN alone or not at all, newest first, paged."""

    def __init__(self, *bodies: dict[str, Any], rows: int = 250) -> None:
        self.bodies = list(bodies)
        self.rows = rows

    def __call__(self, call: Call) -> Answer:
        statuses = call.asks("order_status")
        if "OPEN" in statuses and len(statuses) > 1:
            return reply({"error": "INVALID_ARGUMENT", "message": "OPEN cannot be combined"}, 400)
        source = (call.asks("order_placement_source") or ["RETAIL_ADVANCED"])[0]
        since = (call.asks("start_date") or [""])[0]
        rows = [
            body
            for body in self.bodies
            if body["order_placement_source"] == source
            and (not statuses or body["status"] in statuses)
            and body["created_time"] >= since
        ]
        rows.sort(key=lambda body: str(body["created_time"]), reverse=True)
        at = int((call.asks("cursor") or ["0"])[0])
        end = at + min(self.rows, int(call.asks("limit")[0]))
        more = end < len(rows)
        return orders_page(*rows[at:end], has_next=more, cursor=str(end) if more else "")


def test_live_orders_are_of_every_source_and_every_state_that_could_still_fill() -> None:
    venue, canned, _ = canned_venue()
    old = "2026-01-01T00:00:00Z"
    bodies = [
        order_body(f"{source}-{status}", status=status, order_placement_source=source, created_time=old)
        for source in SOURCES
        for status in ("OPEN", *TRANSITIONAL, "FILLED", "CANCELLED", "EXPIRED", "FAILED")
    ]
    canned.on("GET", LIST, Shelf(*bodies))
    read = venue.live_orders()
    assert {order.venue_order_id for order in read.orders} == {
        f"{source}-{status}" for source in SOURCES for status in ("OPEN", *TRANSITIONAL)
    }


def test_a_fresh_order_in_a_state_we_have_no_word_for_is_live() -> None:
    venue, canned, _ = canned_venue()
    canned.on("GET", LIST, Shelf(order_body("odd", status="HALTED_BY_MARS")))
    (order,) = venue.live_orders().orders
    assert order.status is OrderStatus.UNRECOGNISED


def test_an_order_opening_between_two_listings_is_seen() -> None:
    venue, canned, _ = canned_venue()
    shelf = Shelf(order_body("o", status="PENDING", created_time="2026-01-01T00:00:00Z"))

    def opening(call: Call) -> Answer:
        answer = shelf(call)
        shelf.bodies[0]["status"] = "OPEN"
        return answer

    canned.on("GET", LIST, opening)
    assert len(venue.live_orders().orders) == 1


def test_E2_an_order_that_was_live_and_is_listed_no_more_is_asked_for_by_id() -> None:
    venue, canned, _ = canned_venue()
    shelf = Shelf(order_body("o", created_time="2026-01-01T00:00:00Z"))
    canned.on("GET", LIST, shelf)
    venue.live_orders()
    shelf.bodies.clear()
    canned.on("GET", "/orders/historical/o", reply({"order": order_body("o", status="EDIT_QUEUED")}))
    assert [order.venue_order_id for order in venue.live_orders().orders] == ["o"]
    canned.on("GET", "/orders/historical/o", reply({"order": order_body("o", status="CANCELLED")}))
    assert venue.live_orders().orders == ()
    asked = len(canned.to("GET", "/orders/historical/o"))
    venue.live_orders()
    assert len(canned.to("GET", "/orders/historical/o")) == asked


OLD = "2026-01-01T00:00:00Z"
HISTORY = [order_body(f"over-{n}", status="FILLED", created_time=OLD) for n in range(NEWEST_ROWS)]
MOVES = [
    ("PENDING", "OPEN"),
    ("QUEUED", "OPEN"),
    ("OPEN", "CANCEL_QUEUED"),
    ("OPEN", "EDIT_QUEUED"),
    ("EDIT_QUEUED", "OPEN"),
]


def test_sources_with_a_short_history_are_each_told_by_one_request() -> None:
    venue, canned, _ = canned_venue()
    canned.on("GET", LIST, Shelf(*HISTORY[1:], order_body("o", created_time=OLD)))
    assert [order.venue_order_id for order in venue.live_orders().orders] == ["o"]
    assert [call.asks("order_placement_source") for call in canned.to("GET", LIST)] == [[source] for source in SOURCES]


@pytest.mark.parametrize("history", [[], HISTORY], ids=["short", "long"])
@pytest.mark.parametrize("move", MOVES, ids="-".join)
@pytest.mark.parametrize("after", range(6))
def test_an_old_order_that_changes_its_state_between_two_lists_is_seen_by_a_client_that_never_looked_before(
    history: list[dict[str, Any]], move: tuple[str, str], after: int
) -> None:
    venue, canned, _ = canned_venue()
    shelf = Shelf(*history, order_body("o", status=move[0], created_time=OLD))
    asked = count()

    def moving(call: Call) -> Answer:
        answer = shelf(call)
        if next(asked) == after:
            shelf.bodies[-1]["status"] = move[1]
        return answer

    canned.on("GET", LIST, moving)
    for looks in range(2):  # a history found long is asked for otherwise the second time
        assert [order.venue_order_id for order in venue.live_orders().orders] == ["o"], looks


@pytest.mark.parametrize(
    ("newest", "first", "then"), [("2026-11-22T11:59:00Z", 7, 6), ("2026-11-22T11:40:00Z", 6, 6)], ids=["busy", "calm"]
)
def test_a_long_history_is_read_a_quarter_of_an_hour_back_and_never_asked_for_whole_again(
    newest: str, first: int, then: int
) -> None:
    venue, canned, _ = canned_venue()
    over = [order_body(f"over-{n}", status="FILLED", created_time=newest) for n in range(NEWEST_ROWS)]
    canned.on(
        "GET", LIST, Shelf(*over, order_body("odd", status="HALTED_BY_MARS", created_time="2026-11-22T11:50:00Z"))
    )
    for number in (first, then):
        before = len(canned.to("GET", LIST))
        assert [order.venue_order_id for order in venue.live_orders().orders] == ["odd"]
        assert len(canned.to("GET", LIST)) - before == number


@pytest.mark.parametrize(("created", "live"), [("2026-11-20T00:00:00Z", True), ("2026-11-01T00:00:00Z", False)])
def test_a_word_nobody_knows_counts_while_the_order_could_be_on_its_way(created: str, live: bool) -> None:
    venue, canned, _ = canned_venue()
    canned.on("GET", LIST, Shelf(order_body("odd", status="HALTED_BY_MARS", created_time=created)))
    assert bool(venue.live_orders().orders) is live


def test_orders_that_are_over_need_not_be_readable_for_the_live_ones_to_be() -> None:
    venue, canned, _ = canned_venue()
    canned.on("GET", "/products/GONE-1JAN20-CDE", reply({"error": "NOT_FOUND", "message": "m"}, 404))
    over = order_body("over", status="FILLED", product_id="GONE-1JAN20-CDE", filled_size="?")
    canned.on("GET", LIST, Shelf(over, order_body("o")))
    assert [order.venue_order_id for order in venue.live_orders().orders] == ["o"]


def test_I5_what_one_list_tells_as_ended_is_not_live_and_not_asked_for() -> None:
    venue, canned, _ = canned_venue()
    shelf = Shelf(*HISTORY, order_body("o", created_time=OLD))
    canned.on("GET", LIST, shelf)
    assert len(venue.live_orders().orders) == 1
    shelf.bodies = shelf.bodies[1:]
    shelf.bodies[-1] |= {"status": "CANCELLED", "created_time": "2026-11-22T11:59:00Z"}
    assert venue.live_orders().orders == ()
    assert canned.to("GET", "/orders/historical/o") == []


def test_where_transitional_states_may_not_be_asked_for_everything_recent_is_read() -> None:
    venue, canned, _ = canned_venue()
    shelf = Shelf(order_body("q", status="QUEUED", created_time="2026-11-20T00:00:00Z"))

    def strict(call: Call) -> Answer:
        if "QUEUED" in call.asks("order_status"):
            return reply({"error": "INVALID_ARGUMENT", "message": "bad status"}, 400)
        return shelf(call)

    canned.on("GET", LIST, strict)
    assert [order.venue_order_id for order in venue.live_orders().orders] == ["q"]


def test_lists_are_read_to_the_last_page_each_order_once() -> None:
    venue, canned, _ = canned_venue()
    bodies = [order_body(f"o-{n}") for n in range(7)]
    canned.on("GET", LIST, Shelf(*bodies, bodies[0], rows=3))
    assert len(venue.orders_since(NOW - timedelta(hours=1)).orders) == 7


@pytest.mark.parametrize(
    "pages",
    [
        [orders_page(order_body(), has_next=True, cursor="a"), orders_page(order_body(), has_next=True, cursor="a")],
        [
            orders_page(has_next=True, cursor="a"),
            orders_page(has_next=True, cursor="b"),
            orders_page(has_next=True, cursor="c"),
        ],
        [orders_page(order_body(), has_next=True, cursor="")],
        [reply({"orders": [order_body()], "cursor": ""})],
        [reply({"has_next": False})],
        [orders_page(order_body(), has_next=True, cursor="a"), reply({"error": "e", "message": "m"}, 400)],
    ],
)
def test_E21_L5_a_list_that_cannot_be_read_whole_is_an_error(pages: list[Answer]) -> None:
    venue, canned, _ = canned_venue()
    canned.on("GET", LIST, pages)
    with pytest.raises((VenueSpokeStrangely, VenueRefusedRequest)):
        venue.orders_since(NOW)


def test_a_list_without_an_end_is_an_error() -> None:
    venue, canned, _ = canned_venue()
    number = count()
    canned.on(
        "GET",
        LIST,
        lambda call: orders_page(order_body(f"o-{next(number)}"), has_next=True, cursor=f"c-{next(number)}"),
    )
    with pytest.raises(VenueSpokeStrangely, match="incomplete"):
        venue.orders_since(NOW)


def test_spot_orders_are_listed_apart_and_never_counted() -> None:
    venue, canned, _ = canned_venue()
    spot = order_body("s", product_id="BTC-USD", product_type="SPOT")
    canned.on("GET", LIST, Shelf(spot, order_body("o")))
    assert [order.venue_order_id for order in venue.live_orders().orders] == ["o"]
    assert [order.venue_order_id for order in venue.foreign_orders()] == ["s"]


def test_an_order_that_does_not_say_its_type_is_judged_by_its_product() -> None:
    venue, canned, _ = canned_venue()
    canned.on("GET", "/products/BTC-USD", reply({"product_id": "BTC-USD", "product_type": "SPOT"}))
    canned.on(
        "GET", LIST, Shelf(order_body("s", product_id="BTC-USD", product_type=""), order_body("o", product_type=""))
    )
    assert [order.venue_order_id for order in venue.live_orders().orders] == ["o"]


def test_an_order_of_a_product_gone_from_view_is_read_with_the_full_list() -> None:
    venue, canned, _ = canned_venue()
    gone = product_body("BIT-24APR26-CDE")
    canned.on("GET", "/products/BIT-24APR26-CDE", reply({"error": "NOT_FOUND", "message": "m"}, 404))
    canned.on("GET", "/products", reply({"products": [gone]}))
    canned.on("GET", LIST, Shelf(order_body("o", product_id="BIT-24APR26-CDE")))
    assert len(venue.live_orders().orders) == 1
    assert ("expiring_contract_status", "STATUS_ALL") in canned.to("GET", "/products")[0].query


@pytest.mark.parametrize(
    "answer",
    [
        reply({"error": "NOT_FOUND", "message": "order with this orderID was not found"}, 404),
        reply({"error": "INVALID_ARGUMENT", "message": "order with this orderID was not found"}, 400),
    ],
)
def test_an_order_the_venue_does_not_know_is_none(answer: Answer) -> None:
    venue, canned, _ = canned_venue()
    canned.on("GET", "/orders/historical/o", answer)
    assert venue.order(VenueOrderId("o")) is None


@pytest.mark.parametrize(
    "answer",
    [
        (404, {"content-type": "text/html"}, b"<html>not found</html>"),
        reply({"order": order_body("another")}),
        reply({}),
        reply({"error": "INTERNAL", "message": "m"}, 500),
    ],
)
def test_L5_N17_what_is_not_the_order_is_not_its_absence(answer: Answer) -> None:
    venue, canned, _ = canned_venue()
    canned.on("GET", "/orders/historical/o", answer)
    with pytest.raises((VenueSpokeStrangely, VenueUnreachable)):
        venue.order(VenueOrderId("o"))


def test_E13_fills_are_oldest_first_each_once_to_the_last_page() -> None:
    venue, canned, _ = canned_venue()
    late = fill_body("e-2", trade_time="2026-11-22T12:00:09Z")
    canned.on(
        "GET",
        "/orders/historical/fills",
        [reply({"fills": [late, fill_body("e-1")], "cursor": "c"}), reply({"fills": [fill_body("e-1")], "cursor": ""})],
    )
    assert [fill.fill_id for fill in venue.fills(since=NOW)] == ["e-1", "e-2"]
    assert canned.to("GET", "/orders/historical/fills")[0].asks("start_sequence_timestamp") == ["2026-11-22T12:00:00Z"]


def test_fills_of_an_order_are_asked_for_with_no_other_filter() -> None:
    venue, canned, _ = canned_venue()
    canned.on("GET", "/orders/historical/fills", reply({"fills": [fill_body()], "cursor": ""}))
    assert len(venue.fills(venue_order_id=VenueOrderId("order-1"), since=NOW - timedelta(days=1))) == 1
    assert canned.to("GET", "/orders/historical/fills")[0].query == [("order_ids", "order-1"), ("limit", "100")]


@pytest.mark.parametrize(
    "fills",
    [[fill_body(), fill_body(size="2")], [fill_body(order_id="another")], [fill_body(size_in_quote=True)]],
)
def test_fills_that_contradict_what_was_asked_are_an_error(fills: list[dict[str, Any]]) -> None:
    venue, canned, _ = canned_venue()
    canned.on("GET", "/orders/historical/fills", reply({"fills": fills, "cursor": ""}))
    with pytest.raises(VenueSpokeStrangely):
        venue.fills(venue_order_id=VenueOrderId("order-1"))


def test_a_preview_is_a_read_and_repeats() -> None:
    venue, canned, _ = canned_venue()
    told = {"errs": ["PREVIEW_INSUFFICIENT_FUND"], "warning": [], "order_total": "1", "commission_total": "0.1"}
    canned.on("POST", "/orders/preview", [reply({}, 502), reply(told)])
    assert venue.preview(a_quantized()).problems == ("PREVIEW_INSUFFICIENT_FUND",)
    assert "client_order_id" not in canned.calls[-1].body


# --- cancels ----------------------------------------------------------------------------------------


def cancelled(call: Call) -> Answer:
    return reply(
        {"results": [{"success": True, "order_id": each, "failure_reason": ""} for each in call.body["order_ids"]]}
    )


def ids(count: int) -> list[VenueOrderId]:
    return [VenueOrderId(f"o-{n}") for n in range(count)]


def test_cancels_go_in_batches_and_each_id_has_its_result() -> None:
    venue, canned, _ = canned_venue()
    canned.on("POST", "/orders/batch_cancel", cancelled)
    results = venue.cancel(ids(250))
    assert [result.venue_order_id for result in results] == ids(250)
    assert [len(call.body["order_ids"]) for call in canned.calls] == [100, 100, 50]
    assert venue.cancel([]) == ()


def test_N5_a_cancel_is_repeated_through_429_and_lost_answers() -> None:
    venue, canned, clock = canned_venue()
    ok = reply({"results": [{"success": True, "order_id": "o-0"}]})
    storm = [reply({}, 429, retry_after="60"), requests.exceptions.ReadTimeout("x"), reply({}, 503), ok]
    canned.on("POST", "/orders/batch_cancel", storm)
    (result,) = venue.cancel(ids(1))
    assert result.accepted
    assert clock.at - NOW < timedelta(seconds=8)


def test_a_batch_without_an_answer_does_not_stop_the_others() -> None:
    venue, canned, _ = canned_venue()

    def first_batch_lost(call: Call) -> Answer:
        return reply({}, 500) if "o-0" in call.body["order_ids"] else cancelled(call)

    canned.on("POST", "/orders/batch_cancel", first_batch_lost)
    results = venue.cancel(ids(150))
    assert [result.accepted for result in results] == [False] * 100 + [True] * 50
    assert "no answer" in results[0].reason


def test_a_cancel_nobody_answers_raises() -> None:
    venue, canned, _ = canned_venue()
    canned.on("POST", "/orders/batch_cancel", reply({}, 500))
    with pytest.raises(VenueUnreachable):
        venue.cancel(ids(1))


def test_N17_a_cancel_answered_for_other_orders_is_no_answer() -> None:
    venue, canned, _ = canned_venue()
    canned.on("POST", "/orders/batch_cancel", reply({"results": [{"success": True, "order_id": "x"}]}))
    with pytest.raises(VenueSpokeStrangely):
        venue.cancel(ids(1))


def test_each_request_leaves_a_record_for_probe_with_nothing_secret_in_it() -> None:
    records: list[ExchangeRecord] = []
    venue, canned, _ = canned_venue(observer=records.append)
    headers = {"x_ratelimit_remaining": "29", "x_ratelimit_limit": "30", "x_request_id": "r-1", "set_cookie": "s"}
    canned.on("GET", "/key_permissions", reply(PERMISSIONS, date="Sun, 22 Nov 2026 12:00:00 GMT", **headers))
    venue.key_facts()
    (record,) = records
    assert record == venue.last_exchange()
    assert (record.status, record.request_id, record.ending) == (200, "r-1", "answered")
    assert record.rate_headers == {"x-ratelimit-limit": "30", "x-ratelimit-remaining": "29"}
    assert "Bearer" not in repr(record)
