"""Faults of sockets by name, on both venues: each does what the catalogue says, and the judge knows (W1 to W12, A1 to A7, M2)."""

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from perpsctl.simulator.clock import ManualClock
from perpsctl.simulator.embedded import Embedded
from perpsctl.simulator.faults import UnknownFault
from perpsctl.simulator.inprocess_sockets import End, NeverOpened
from perpsctl.simulator.outlet import SocketName
from tests.unit.simulator.streams.watcher import (
    BTC,
    ETH,
    GLOBAL_BTC,
    Watcher,
    a_gateway_watcher,
    a_token,
    a_us_watcher,
    an_exchange,
    an_order,
    placed,
)

BOOK = f"book.{GLOBAL_BTC}.100ms"


def a_us_book(embedded: Embedded) -> Watcher:
    return a_us_watcher(embedded, "level2")


def a_gateway_book(embedded: Embedded) -> Watcher:
    return a_gateway_watcher(embedded, BOOK)


Open = Callable[[Embedded], Watcher]
BOTH = pytest.mark.parametrize(("opened", "product_id"), [(a_us_book, BTC), (a_gateway_book, GLOBAL_BTC)])
EACH = pytest.mark.parametrize("opened", [a_us_book, a_gateway_book])


def arm(embedded: Embedded, fault: str, *, operation: str | None = None, count: int | None = 1, **params: Any) -> int:
    return embedded.exchange.faults.arm(fault, operation=operation, count=count, **params)


def ending(watcher: Watcher, seconds: int = 5) -> tuple[End, int | None]:
    with pytest.raises(NeverOpened) as over:
        watcher.hear(seconds=seconds)
    return over.value.ending.end, over.value.ending.code


def is_true(watcher: Watcher, product_id: str) -> bool:
    return (watcher.bids, watcher.asks) == watcher.truth(product_id)


@BOTH
def test_nothing_armed_the_book_told_is_the_exchange_s_own_and_nothing_is_missed(opened: Open, product_id: str) -> None:
    watcher = opened(an_exchange())
    watcher.hear(seconds=28)
    assert watcher.gaps == 0
    assert watcher.snapshots == 1
    assert is_true(watcher, product_id)
    assert not watcher.judged.struck


@BOTH
def test_w1_a_gap_shows_in_the_venue_s_numbers_and_a_new_snapshot_heals_the_book(opened: Open, product_id: str) -> None:
    embedded = an_exchange()
    watcher = opened(embedded)
    arm(embedded, "W1", channel="level2")
    watcher.hear(seconds=20)
    assert (watcher.gaps, watcher.judged.gaps) == (1, 1)
    again = opened(embedded)
    again.hear(seconds=2)
    assert again.gaps == 0
    assert is_true(again, product_id)


@EACH
def test_w1_a_message_lost_every_so_many_is_lost_every_so_many_until_disarmed(opened: Open) -> None:
    embedded = an_exchange()
    arm(embedded, "stream_gap", every=5)
    watcher = opened(embedded)
    watcher.hear(seconds=14)
    sent = sum(watcher.judged.messages.values()) - watcher.judged.messages.get("subscriptions", 0)
    assert watcher.judged.gaps >= 2
    assert (sent + watcher.judged.gaps) // 5 == watcher.judged.gaps
    before = watcher.gaps
    embedded.exchange.faults.disarm(name="W1")
    watcher.hear(seconds=14)
    assert watcher.gaps == before


@EACH
def test_w2_a_message_comes_after_its_successor(opened: Open) -> None:
    embedded = an_exchange()
    watcher = opened(embedded)
    arm(embedded, "W2")
    watcher.hear(seconds=5)
    assert watcher.judged.reorders == 1
    assert watcher.gaps >= 2


@EACH
def test_w3_a_message_comes_twice_the_same(opened: Open) -> None:
    embedded = an_exchange()
    watcher = opened(embedded)
    before = len(watcher.messages)
    arm(embedded, "W3", channel="level2")
    watcher.hear(seconds=5)
    texts = [json.dumps(message) for message in watcher.messages[before:]]
    assert watcher.judged.duplicates == 1
    assert len(texts) == len(set(texts)) + 1


@EACH
def test_w4_a_stalled_socket_stays_open_and_says_nothing_not_even_heartbeats(opened: Open) -> None:
    embedded = an_exchange()
    watcher = opened(embedded)
    arm(embedded, "W4", seconds=10)
    assert watcher.hear(seconds=9) == []
    assert watcher.hear(seconds=5)
    assert watcher.gaps >= 1
    assert watcher.judged.stalls == 1


def test_w5_one_channel_is_mute_while_heartbeats_and_trades_go_on_without_a_gap() -> None:
    embedded = an_exchange()
    watcher = a_us_watcher(embedded, "level2", "market_trades")
    arm(embedded, "W5", channel="level2")
    heard = watcher.hear(seconds=10)
    assert {message["channel"] for message in heard} == {"heartbeats", "market_trades"}
    assert watcher.gaps == 0
    assert watcher.judged.mutes["level2"] > 0
    embedded.exchange.faults.disarm()
    watcher.hear(seconds=1)
    assert is_true(watcher, BTC)


def test_w5_a_mute_user_channel_sends_its_snapshot_neither_until_it_may_speak() -> None:
    embedded = an_exchange()
    watcher = a_us_watcher(embedded)
    arm(embedded, "W5", channel="user")
    watcher.subscribe("user", jwt=a_token(embedded))
    watcher.hear(seconds=3)
    assert list(watcher.events("user")) == []
    embedded.exchange.faults.disarm()
    watcher.hear(seconds=1)
    assert [event["type"] for event in watcher.events("user")] == ["snapshot"]


def test_w5_mutes_the_gateway_s_book_under_the_same_word_and_one_product_alone_if_asked() -> None:
    embedded = an_exchange()
    watcher = a_gateway_watcher(embedded, BOOK, "book.ETH_USDC-PERPETUAL.100ms", f"trades.{GLOBAL_BTC}.100ms")
    arm(embedded, "channel_mute", channel="level2", product=GLOBAL_BTC)
    told = {message["params"]["channel"] for message in watcher.hear(seconds=5)}
    assert told == {"book.ETH_USDC-PERPETUAL.100ms", f"trades.{GLOBAL_BTC}.100ms"}


@EACH
def test_w6_a_connection_is_cut_at_its_age_and_so_is_every_next_one(opened: Open) -> None:
    embedded = an_exchange()
    arm(embedded, "W6", when="age", seconds=20)
    for _ in range(3):
        began = embedded.clock.now()
        watcher = opened(embedded)
        assert ending(watcher, 30) == (End.RESET, None)
        assert timedelta(seconds=20) <= embedded.clock.now() - began < timedelta(seconds=21)
        assert watcher.judged.closed_by == "fault"


@EACH
def test_w6_a_connection_is_cut_in_the_middle_of_its_snapshot_and_as_it_subscribes(opened: Open) -> None:
    embedded = an_exchange()
    arm(embedded, "W6", when="snapshot")
    with pytest.raises(NeverOpened):
        opened(embedded).hear(seconds=1)
    assert embedded.judge.connections()[-1].messages.get("level2", 0) == 0
    arm(embedded, "W6", when="subscribe", code=1012)
    with pytest.raises(NeverOpened) as over:
        opened(embedded).hear(seconds=1)
    assert over.value.ending.code == 1012
    opened(embedded).hear(seconds=1)


def test_w6_of_a_snapshot_that_was_cut_nothing_can_be_read() -> None:
    embedded = an_exchange()
    arm(embedded, "W6", when="snapshot")
    watcher = Watcher(embedded, SocketName.US_MARKET)
    watcher.subscribe("level2", BTC)
    assert ending(watcher) == (End.RESET, None)
    assert [message["channel"] for message in watcher.messages] == ["subscriptions"]


def test_w7_a_us_subscribe_is_refused_ignored_or_of_another_product() -> None:
    embedded = an_exchange()
    for how in ("refused", "ignored", "wrong_product"):
        arm(embedded, "W7", how=how, channel="level2")
    watcher = Watcher(embedded, SocketName.US_MARKET)
    watcher.subscribe("level2", BTC)
    watcher.hear(seconds=1)
    assert watcher.errors() == ["authentication failure"]
    watcher.subscribe("level2", BTC)
    assert watcher.hear(seconds=1) == []
    watcher.subscribe("level2", BTC)
    watcher.hear(seconds=1)
    acknowledged = list(watcher.events("subscriptions"))[-1]["subscriptions"]["level2"]
    assert acknowledged != [BTC]
    assert {event["product_id"] for event in watcher.events("l2_data")} == set(acknowledged)
    assert watcher.judged.refused_subscribes == 4  # the error message counts as well


def test_w7_a_gateway_subscribe_is_refused_ignored_or_of_another_product() -> None:
    embedded = an_exchange()
    for how in ("refused", "ignored", "wrong_product"):
        arm(embedded, "W7", how=how)
    watcher = Watcher(embedded, SocketName.GLOBAL_STREAMS)
    assert watcher.call("public/subscribe", channels=[BOOK])["code"] == 13028
    assert watcher.call("public/subscribe", channels=[BOOK]) == []
    (taken,) = watcher.call("public/subscribe", channels=[BOOK])
    assert taken.startswith("book.")
    assert taken != BOOK
    watcher.hear(seconds=1)
    assert watcher.told(taken)


def test_w8_old_order_events_come_again_under_new_numbers_before_the_snapshot() -> None:
    embedded = an_exchange()
    first = Watcher(embedded, SocketName.US_USER)
    first.subscribe("user", jwt=a_token(embedded))
    embedded.exchange.create(an_order(None))
    first.hear(seconds=1)
    first.line.close()
    arm(embedded, "W8")
    second = Watcher(embedded, SocketName.US_USER)
    second.subscribe("user", jwt=a_token(embedded))
    second.hear(seconds=1)
    told = [event["type"] for event in second.events("user")]
    assert told == ["update", "snapshot"]
    assert second.gaps == 0
    old = next(second.events("user"))["orders"]
    assert old == next(event["orders"] for event in first.events("user") if event["orders"])
    assert second.judged.replayed == 1


def test_w8_at_the_gateway_old_order_messages_come_again() -> None:
    embedded = an_exchange()
    channel = "user.orders.any.any.raw"
    told: list[list[Any]] = []
    for _ in range(2):
        watcher = Watcher(embedded, SocketName.GLOBAL_TRADING)
        watcher.log_in()
        assert watcher.call("private/subscribe", channels=[channel]) == [channel]
        if not told:
            watcher.call("private/buy", instrument_name=GLOBAL_BTC, amount=0.01, type="market")
            arm(embedded, "W8")
        watcher.hear(seconds=1)
        told.append(watcher.told(channel))
    assert told[0] == told[1] != []


@BOTH
@pytest.mark.parametrize("form", ["crossed", "empty", "stale_snapshot"])
def test_w9_a_book_is_told_wrong_and_a_true_snapshot_follows(opened: Open, product_id: str, form: str) -> None:
    embedded = an_exchange()
    watcher = opened(embedded)
    watcher.hear(seconds=15)
    arm(embedded, "W9", form=form, seconds=5)
    watcher.hear(seconds=3)
    assert not is_true(watcher, product_id)
    match form:
        case "crossed":
            assert max(watcher.bids) >= min(watcher.asks)
        case "empty":
            assert (watcher.bids, watcher.asks) == ({}, {})
        case _:
            assert watcher.snapshots == 2
    watcher.hear(seconds=6)
    assert is_true(watcher, product_id)
    assert watcher.judged.bad_books == 1


@BOTH
def test_w10_a_flood_comes_at_its_pace_in_true_and_unbroken_messages(opened: Open, product_id: str) -> None:
    embedded = an_exchange()
    watcher = opened(embedded)
    arm(embedded, "W10", per_second=50_000, seconds=2)
    told = watcher.hear(seconds=3)
    flood = watcher.judged.flood
    assert flood is not None
    assert (flood.sent, flood.skipped, flood.reached_per_second) == (100_000, 0, 50_000)
    assert len(told) > 100_000
    assert watcher.gaps == 0
    assert is_true(watcher, product_id)
    watcher.hear(seconds=2)
    assert watcher.gaps == 0
    assert is_true(watcher, product_id)


@BOTH
def test_w1_each_5000th_message_of_a_flood_is_lost_too_and_its_number_is_used_up(opened: Open, product_id: str) -> None:
    embedded = an_exchange()
    watcher = opened(embedded)
    arm(embedded, "W1", every=5_000)
    arm(embedded, "W10", per_second=10_000, seconds=2)
    told = watcher.hear(seconds=3)
    assert watcher.judged.gaps == 4
    assert 19_996 <= len(told) < 20_100
    assert watcher.gaps == 4
    struck = [each.number for each in watcher.judged.struck if each.fault == "W1"]
    assert len(struck) == 4
    assert struck[1] - struck[0] >= 4_900, "mixed with true changes"


@EACH
@pytest.mark.parametrize(
    ("form", "end"),
    [("oversize", End.TOO_LARGE), ("bomb", End.BROKEN), ("binary", End.BROKEN)],
)
def test_w11_a_frame_no_client_takes_ends_the_connection(opened: Open, form: str, end: End) -> None:
    embedded = an_exchange()
    watcher = opened(embedded)
    arm(embedded, "W11", form=form)
    assert ending(watcher)[0] is end
    assert watcher.judged.bad_frames == 1


@EACH
@pytest.mark.parametrize("form", ["invalid_utf8", "unknown_type", "not_json"])
def test_w11_a_message_no_client_reads_arrives_as_it_is(opened: Open, form: str) -> None:
    embedded = an_exchange()
    watcher = opened(embedded)
    arm(embedded, "W11", form=form)
    found: bytes | None = b"{}"
    while found is not None and found[:1] == b"{" and b"moonbeams" not in found and b"\xff" not in found:
        found = watcher.line.receive(timedelta(seconds=5))
    assert found is not None


def test_w12_a_token_that_ends_before_it_is_read_is_refused_once_and_a_fresh_one_is_good() -> None:
    embedded = an_exchange()
    arm(embedded, "W12")
    watcher = Watcher(embedded, SocketName.US_USER)
    watcher.subscribe("user", jwt=a_token(embedded))
    watcher.hear()
    assert watcher.errors() == ["authentication failure"]
    watcher.subscribe("user", jwt=a_token(embedded))
    watcher.hear()
    assert list(watcher.events("user"))
    arm(embedded, "W12")
    desk = Watcher(embedded, SocketName.GLOBAL_TRADING)
    assert desk.log_in()["code"] == 13004
    assert "scope" in desk.log_in()


@pytest.mark.parametrize("fault", ["A1", "A2", "A4", "A5"])
def test_a1_to_a5_a_subscribe_to_the_user_channel_is_refused_and_told_as_such(fault: str) -> None:
    embedded = an_exchange()
    arm(embedded, fault)
    watcher = Watcher(embedded, SocketName.US_USER)
    watcher.subscribe("user", jwt=a_token(embedded))
    watcher.hear()
    assert watcher.errors() == ["authentication failure"]
    embedded.exchange.faults.disarm()
    watcher.subscribe("user", jwt=a_token(embedded))
    watcher.hear()
    assert list(watcher.events("user"))


def test_a3_a_key_that_lost_its_view_right_is_refused_and_one_that_lost_trading_is_not() -> None:
    embedded = an_exchange()
    for scope, errors in (("trade", 0), ("view", 1)):
        arm(embedded, "A3", scope=scope)
        watcher = Watcher(embedded, SocketName.US_USER)
        watcher.subscribe("user", jwt=a_token(embedded))
        watcher.hear()
        assert len(watcher.errors()) == errors
        embedded.exchange.faults.disarm()


def test_a6_a_key_of_another_portfolio_hears_of_none_of_our_orders() -> None:
    embedded = an_exchange()
    arm(embedded, "A6")
    watcher = Watcher(embedded, SocketName.US_USER)
    watcher.subscribe("user", jwt=a_token(embedded))
    watcher.hear()
    embedded.exchange.create(an_order(None))
    watcher.hear(seconds=1)
    assert [event["orders"] for event in watcher.events("user")] == [[]]


@pytest.mark.parametrize(("fault", "code"), [("A2", 13009), ("A5", 13009), ("A3", 13403), ("A4", 13021)])
def test_a2_to_a5_at_the_gateway_refuse_a_private_subscribe(fault: str, code: int) -> None:
    embedded = an_exchange()
    watcher = Watcher(embedded, SocketName.GLOBAL_TRADING)
    watcher.log_in()
    params: dict[str, Any] = {"scope": "view"} if fault == "A3" else {}
    arm(embedded, fault, **params)
    assert watcher.call("private/subscribe", channels=["user.orders.any.any.raw"])["code"] == code


# --- stale markets ------------------------------------------------------------------------------------------


def test_m2_a_frozen_market_stands_still_in_reads_and_streams_while_the_exchange_goes_on() -> None:
    embedded = an_exchange()
    watcher = a_us_watcher(embedded, "level2", "ticker", "market_trades")
    watcher.hear(seconds=5)
    frozen, mid = embedded.exchange.book(BTC), embedded.exchange.product(BTC).mid_market_price
    arm(embedded, "M2", product=BTC)
    told = watcher.hear(seconds=30)
    assert {message["channel"] for message in told} == {"heartbeats"}
    later = embedded.exchange.book(BTC)
    assert (later.time, later.bids, later.asks) == (frozen.time, frozen.bids, frozen.asks)
    assert embedded.exchange.product(BTC).mid_market_price == mid
    assert embedded.exchange.book(ETH).time == embedded.clock.now()
    embedded.exchange.faults.disarm()
    watcher.hear(seconds=1)
    assert embedded.exchange.book(BTC).time == embedded.clock.now()
    assert is_true(watcher, BTC)
    assert watcher.gaps == 0


def test_m2_at_the_gateway_tickers_and_books_show_their_old_time() -> None:
    embedded = an_exchange()
    watcher = a_gateway_watcher(embedded, BOOK, f"ticker.{GLOBAL_BTC}.100ms")
    watcher.hear(seconds=2)
    arm(embedded, "market_stale", product=GLOBAL_BTC, age_seconds=600)
    watcher.hear(seconds=1)  # how it stood ten minutes ago is told, and nothing after that
    assert watcher.hear(seconds=20) == []
    desk = Watcher(embedded, SocketName.GLOBAL_TRADING)
    now_ms = int(embedded.clock.now().timestamp() * 1000)
    old = desk.call("public/get_order_book", instrument_name=GLOBAL_BTC)
    assert now_ms - old["timestamp"] == 621_000
    assert now_ms - desk.call("public/ticker", instrument_name="ETH_USDC-PERPETUAL")["timestamp"] == 0


def test_m2_orders_still_meet_the_market_as_it_is() -> None:
    embedded = an_exchange()
    arm(embedded, "M2", product=BTC)
    before = embedded.exchange.book(BTC, 1).bids[0].price
    assert isinstance(embedded.clock, ManualClock)
    embedded.clock.advance(1)
    embedded.exchange.control.set_price(BTC, before + Decimal(500), hold=True)
    assert embedded.exchange.book(BTC, 1).bids[0].price == before
    filled = embedded.exchange.order(placed(embedded, an_order(None))).average_filled_price
    assert filled is not None
    assert filled > before + 400


# --- arming ---------------------------------------------------------------------------------------------------


def test_a_fault_of_sockets_strikes_no_request_and_a_socket_named_alone_is_struck_alone() -> None:
    embedded = an_exchange()
    arm(embedded, "W1", operation="any")
    assert embedded.exchange.faults.wire_effects("create_order") == ()
    embedded.exchange.faults.disarm()
    arm(embedded, "W1", operation="global_streams", count=None)
    us, gateway = a_us_book(embedded), a_gateway_book(embedded)
    us.hear(seconds=5)
    gateway.hear(seconds=5)
    assert us.judged.gaps == 0 < gateway.judged.gaps


@pytest.mark.parametrize(
    ("fault", "params"),
    [
        ("W1", {"every": 0}),
        ("W6", {"when": "never"}),
        ("W7", {"how": "politely"}),
        ("W9", {"form": "round"}),
        ("W11", {"form": "nice"}),
        ("W10", {"per_second": 0}),
    ],
)
def test_a_fault_of_sockets_that_means_nothing_is_not_armed(fault: str, params: dict[str, Any]) -> None:
    with pytest.raises(UnknownFault):
        arm(an_exchange(), fault, **params)


def test_the_faults_of_a_rough_day_are_armed_together_and_each_strikes() -> None:
    """Disconnect every 20 s, a gap every 50 messages, one mute channel, one flood; the book is true after each snapshot."""
    embedded = an_exchange()
    arm(embedded, "W6", when="age", seconds=20)
    arm(embedded, "W1", every=50)
    arm(embedded, "W5", channel="market_trades")
    arm(embedded, "W10", per_second=5_000, seconds=1, after_seconds=5)
    records = []
    for _ in range(3):
        watcher = a_us_watcher(embedded, "level2", "market_trades", "ticker")
        records.append(watcher.judged)
        assert ending(watcher, 30)[0] is End.RESET
    assert sum(record.gaps for record in records) >= 3
    assert all(record.closed_by == "fault" for record in records)
    assert [record.flood is not None for record in records] == [True, False, False]
    assert all(record.mutes["market_trades"] for record in records)
