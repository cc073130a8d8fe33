"""The US venue's sockets as the reference and the recordings have them (section 11, samples ws-*.json)."""

import json
import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from perpsctl.simulator.clock import ManualClock
from perpsctl.simulator.inprocess_sockets import End, NeverOpened
from perpsctl.simulator.orders import Side
from perpsctl.simulator.outlet import SocketName
from perpsctl.wire.advanced_trade.socket import read_message
from tests.unit.simulator.streams.watcher import BTC, ETH, Watcher, a_token, a_us_watcher, an_exchange, an_order, placed

SAMPLES = Path(__file__).resolve().parents[4] / "../shared/api/samples"
EVERY_MARKET_CHANNEL = ("level2", "ticker", "ticker_batch", "market_trades", "candles", "status")


def everything(seed: int = 1) -> Watcher:
    """Every channel there is, for some seconds, with an order placed and filled meanwhile."""
    embedded = an_exchange(seed)
    watcher = a_us_watcher(embedded, *EVERY_MARKET_CHANNEL)
    watcher.subscribe("user", jwt=a_token(embedded))
    watcher.subscribe("futures_balance_summary", jwt=a_token(embedded))
    watcher.hear(seconds=1)
    embedded.exchange.create(an_order(None))
    watcher.hear(seconds=5)
    return watcher


def shape(value: Any) -> Any:
    """Field names and kinds of values, lists by their first element."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def fields_of(value: Any) -> set[str]:
    """Every dotted field in a message."""
    if isinstance(value, dict):
        return set(value) | {f"{key}.{below}" for key, each in value.items() for below in fields_of(each)}
    return fields_of(value[0]) if isinstance(value, list) and value else set()


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the recorded samples are not here")
@pytest.mark.parametrize(
    ("sample", "channel"),
    [
        ("ws-candles", "candles"),
        ("ws-futures-balance-summary", "futures_balance_summary"),
        ("ws-heartbeats", "heartbeats"),
        ("ws-l2-snapshot", "l2_data"),
        ("ws-market-trades-derived", "market_trades"),
        ("ws-subscriptions-ack-heartbeats", "subscriptions"),
        ("ws-ticker", "ticker"),
        ("ws-user-snapshot", "user"),
    ],
)
def test_every_field_of_the_recorded_messages_is_there_in_its_spelling(sample: str, channel: str) -> None:
    recorded = json.loads((SAMPLES / f"{sample}.json").read_text())
    own = [message for message in everything().messages if message.get("channel") == channel]
    with_rows = max(own, key=lambda message: len(fields_of(message)))
    wanted = fields_of(recorded)
    if channel == "user":  # INTX positions are retired, this exchange has none of them
        wanted = {name for name in wanted if "perpetual_futures_positions." not in name}
    assert wanted <= fields_of(with_rows)
    assert list(with_rows)[:5] == ["channel", "client_id", "timestamp", "sequence_num", "events"]


def test_every_message_is_read_by_the_wire_room() -> None:
    channels = {message.get("channel") for message in everything().messages}
    assert channels == {
        *("subscriptions", "heartbeats", "l2_data", "ticker", "ticker_batch", "market_trades", "candles"),
        *("status", "user", "futures_balance_summary"),
    }
    for message in everything().messages:
        read_message(json.dumps(message).encode())


def test_one_sequence_from_zero_counts_acknowledgements_heartbeats_and_data() -> None:
    numbers = [message["sequence_num"] for message in everything().messages]
    assert numbers == list(range(len(numbers)))


def test_the_same_seed_tells_the_same_bytes_on_virtual_time() -> None:
    first, second = everything(7).messages, everything(7).messages
    hide = re.compile(r"order-\d+")
    assert hide.sub("", json.dumps(first)) == hide.sub("", json.dumps(second))
    assert json.dumps(first) != json.dumps(everything(8).messages)


def test_an_acknowledgement_lists_everything_subscribed_to_so_far() -> None:
    embedded = an_exchange()
    watcher = Watcher(embedded, SocketName.US_USER)
    watcher.subscribe("level2", BTC)
    watcher.subscribe("user", jwt=a_token(embedded))
    watcher.subscribe("heartbeats")
    watcher.hear()
    listed = [event["subscriptions"] for event in watcher.events("subscriptions")]
    assert listed[-1] == {
        "level2": [BTC],
        "user": [embedded.exchange.user_id],
        "heartbeats": ["heartbeats"],
    }
    watcher.subscribe("level2", BTC, type_="unsubscribe")
    watcher.hear()
    assert list(list(watcher.events("subscriptions"))[-1]["subscriptions"]) == ["user", "heartbeats"]
    heard = len(list(watcher.events("l2_data")))
    watcher.hear(seconds=2)
    assert len(list(watcher.events("l2_data"))) == heard


def test_level2_kept_by_absolute_quantities_equals_the_exchange_s_own_book_at_every_number() -> None:
    embedded = an_exchange()
    watcher = a_us_watcher(embedded, "level2")
    mark = embedded.exchange.book(BTC, 1).bids[0].price
    for turn in range(20):
        embedded.exchange.create(an_order(mark - 100 - 5 * turn, size=3))
        watcher.hear(milliseconds=700)
        assert (watcher.bids, watcher.asks) == watcher.truth(number=watcher.sequence)
    listed = embedded.exchange.book(BTC)
    assert watcher.bids == {row.price: row.size for row in listed.bids}
    assert watcher.asks == {row.price: row.size for row in listed.asks}
    assert watcher.snapshots == 1
    first = next(watcher.events("l2_data"))
    assert {row["event_time"] for row in first["updates"]} == {"1970-01-01T00:00:00Z"}


def test_level2_goes_on_from_a_new_snapshot_when_the_price_grid_changes() -> None:
    embedded = an_exchange()
    watcher = a_us_watcher(embedded, "level2")
    embedded.exchange.control.set_increments(BTC, price_increment=Decimal(10))
    watcher.hear(seconds=1)
    assert watcher.snapshots == 2
    assert (watcher.bids, watcher.asks) == watcher.truth()


def test_heartbeats_come_each_second_with_go_s_time_and_a_counter_that_counts() -> None:
    watcher = a_us_watcher(an_exchange())
    watcher.hear(seconds=10)
    beats = list(watcher.events("heartbeats"))
    assert len(beats) == 11
    counters = [beat["heartbeat_counter"] for beat in beats]
    assert counters == list(range(counters[0], counters[0] + 11))
    assert re.fullmatch(r"2026-11-22 12:00:\d\d\.\d{9} \+0000 UTC m=\+\d+\.\d{9}", beats[-1]["current_time"])


def test_trades_come_in_batches_at_most_every_quarter_of_a_second_and_none_twice() -> None:
    watcher = a_us_watcher(an_exchange(), "market_trades")
    watcher.hear(seconds=20)
    batches = [message for message in watcher.messages if message.get("channel") == "market_trades"]
    assert [batches[0]["events"][0]["type"], batches[1]["events"][0]["type"]] == ["snapshot", "update"]
    ids = [trade["trade_id"] for message in batches for trade in message["events"][0]["trades"]]
    assert len(ids) == len(set(ids)) > 110
    assert {trade["side"] for message in batches for trade in message["events"][0]["trades"]} == {"BUY", "SELL"}


def test_ticker_batch_comes_every_five_seconds_without_best_prices() -> None:
    watcher = a_us_watcher(an_exchange(), "ticker_batch", "ticker")
    watcher.hear(seconds=16)
    batches = list(watcher.events("ticker_batch"))
    assert len(batches) == 4
    assert "best_bid" not in batches[0]["tickers"][0]
    assert Decimal(next(watcher.events("ticker"))["tickers"][0]["best_bid"]) > 0


def test_status_tells_a_change_and_nothing_while_there_is_none() -> None:
    embedded = an_exchange()
    watcher = a_us_watcher(embedded, "status")
    watcher.hear(seconds=5)
    assert len(list(watcher.events("status"))) == 1
    embedded.exchange.control.set_status(BTC, trading_disabled=True)
    watcher.hear(seconds=2)
    rows = list(watcher.events("status"))[-1]["products"]
    assert next(row for row in rows if row["id"] == BTC)["status"] == "offline"


# --- the account ------------------------------------------------------------------------------------------


def a_user_watcher(embedded: Any) -> Watcher:
    watcher = Watcher(embedded, SocketName.US_USER)
    watcher.subscribe("user", jwt=a_token(embedded))
    watcher.hear()
    return watcher


@pytest.mark.parametrize(("orders", "batches"), [(0, [0]), (49, [49]), (50, [50, 0]), (120, [50, 50, 20])])
def test_a_user_snapshot_comes_in_batches_of_fifty_and_a_shorter_one_ends_it(orders: int, batches: list[int]) -> None:
    embedded = an_exchange()
    far = embedded.exchange.book(BTC, 1).bids[0].price - 500
    for _ in range(orders):
        embedded.exchange.create(an_order(far))
    watcher = a_user_watcher(embedded)
    assert [len(event["orders"]) for event in watcher.events("user")] == batches
    assert {event["type"] for event in watcher.events("user")} == {"snapshot"}


def test_an_order_is_told_in_its_cumulative_states_and_agrees_with_the_rest_reads() -> None:
    embedded = an_exchange()
    watcher = a_user_watcher(embedded)
    touch = embedded.exchange.book(BTC, 1)
    order_id = placed(embedded, an_order(touch.bids[0].price, size=40))
    watcher.hear(milliseconds=20)
    embedded.exchange.control.external_fill(order_id, Decimal(15))
    watcher.hear(milliseconds=20)
    embedded.exchange.cancel([order_id])
    watcher.hear(seconds=1)
    states = [row for event in watcher.events("user") if event["type"] == "update" for row in event["orders"]]
    assert {row["order_id"] for row in states} == {order_id}
    filled = [Decimal(row["cumulative_quantity"]) for row in states]
    assert filled == sorted(filled)
    last, listed = states[-1], embedded.exchange.order(order_id)
    assert (last["status"], Decimal(last["cumulative_quantity"])) == (listed.status.value, listed.filled_size)
    assert last["status"] == "CANCELLED"
    assert (last["order_type"], last["post_only"], last["order_side"]) == ("Limit", "false", "BUY")
    assert last["contract_expiry_type"] == "EXPIRING"


def test_an_order_that_fills_between_two_looks_is_told_all_the_same_with_its_position() -> None:
    embedded = an_exchange()
    watcher = a_user_watcher(embedded)
    embedded.exchange.create(an_order(None, size=2))
    watcher.hear(milliseconds=50)
    event = list(watcher.events("user"))[-1]
    assert [(row["status"], row["order_type"]) for row in event["orders"]] == [("FILLED", "Market")]
    held = event["positions"]["expiring_futures_positions"]
    assert [(row["product_id"], row["side"], row["number_of_contracts"]) for row in held] == [(BTC, "Long", "2")]


def test_a_user_subscription_of_one_product_hears_of_no_other() -> None:
    embedded = an_exchange()
    watcher = Watcher(embedded, SocketName.US_USER)
    watcher.subscribe("user", ETH, jwt=a_token(embedded))
    embedded.exchange.create(an_order(None))
    embedded.exchange.create(an_order(None, product_id=ETH))
    watcher.hear(milliseconds=100)
    told = {row["product_id"] for event in watcher.events("user") for row in event["orders"]}
    assert told == {ETH}


def test_the_balance_is_told_when_it_changes_and_only_then() -> None:
    embedded = an_exchange()
    watcher = Watcher(embedded, SocketName.US_USER)
    watcher.subscribe("futures_balance_summary", jwt=a_token(embedded))
    watcher.hear(seconds=4)
    assert len(list(watcher.events("futures_balance_summary"))) == 1
    embedded.exchange.control.set_balance(cfm_usd=Decimal(5))
    watcher.hear(seconds=2)
    told = list(watcher.events("futures_balance_summary"))
    assert [event["type"] for event in told] == ["snapshot", "update"]
    assert told[-1]["fcm_balance_summary"]["cfm_usd_balance"] == "5"


# --- who may, and who is sent away -------------------------------------------------------------------------


@pytest.mark.parametrize("channel", ["user", "futures_balance_summary"])
def test_private_channels_need_a_good_token_and_the_socket_stays_open_without(channel: str) -> None:
    embedded = an_exchange()
    watcher = Watcher(embedded, SocketName.US_USER)
    watcher.subscribe(channel)
    watcher.subscribe(channel, jwt="a.b.c")
    watcher.subscribe(channel, jwt=a_token(embedded, shift_s=-121))
    watcher.subscribe(channel, jwt=a_token(an_exchange()))  # of another exchange's key
    watcher.hear()
    assert watcher.errors() == ["authentication failure"] * 4
    watcher.subscribe(channel, jwt=a_token(embedded))
    watcher.hear()
    assert len(list(watcher.events(channel))) == 1


def test_a_bad_token_is_refused_on_a_market_channel_and_so_is_an_unknown_channel() -> None:
    embedded = an_exchange()
    watcher = Watcher(embedded, SocketName.US_MARKET)
    watcher.subscribe("ticker", BTC, jwt="nonsense")
    watcher.subscribe("moonbeams", BTC)
    watcher.line.send(b'{"type":"hello"}')
    watcher.line.send(b"not json")
    watcher.hear()
    assert watcher.errors() == ["authentication failure"] * 2 + ["subscribe or unsubscribe required"] * 2
    watcher.subscribe("ticker", BTC, jwt=a_token(embedded))
    watcher.hear()
    assert watcher.sequence == 1  # errors have no number


def lost(watcher: Watcher, seconds: int) -> tuple[End, int | None]:
    with pytest.raises(NeverOpened) as over:
        watcher.hear(seconds=seconds)
    return over.value.ending.end, over.value.ending.code


def test_a_socket_without_a_subscribe_is_closed_after_five_seconds() -> None:
    watcher = Watcher(an_exchange(), SocketName.US_MARKET)
    assert watcher.hear(milliseconds=4980) == []
    assert lost(watcher, 1) == (End.CLOSED, 1008)
    assert watcher.judged.closed_by == "venue"


def test_a_socket_without_updates_is_closed_within_sixty_to_ninety_seconds_and_heartbeats_keep_it() -> None:
    embedded = an_exchange()
    quiet = a_user_watcher(embedded)
    began = embedded.clock.now()
    assert lost(quiet, 100) == (End.CLOSED, 1001)
    assert timedelta(seconds=60) <= embedded.clock.now() - began <= timedelta(seconds=91)
    beating = a_us_watcher(embedded)
    assert len(beating.hear(seconds=100)) == 100


def test_eight_connections_a_second_from_one_address_and_no_more() -> None:
    embedded = an_exchange()
    for _ in range(8):
        Watcher(embedded, SocketName.US_MARKET)
    with pytest.raises(NeverOpened):
        Watcher(embedded, SocketName.US_USER)
    assert isinstance(embedded.clock, ManualClock)
    embedded.clock.advance(1)
    Watcher(embedded, SocketName.US_USER)


def test_more_than_eight_messages_without_a_token_in_a_second_close_the_socket_and_signed_ones_do_not() -> None:
    embedded = an_exchange()
    watcher = Watcher(embedded, SocketName.US_MARKET)
    for _ in range(20):
        watcher.subscribe("ticker", BTC, jwt=a_token(embedded))
    for _ in range(9):
        watcher.subscribe("ticker", BTC)
    assert lost(watcher, 2) == (End.CLOSED, 1008)


def test_a_reset_ends_the_sockets_of_the_account_before() -> None:
    embedded = an_exchange()
    watcher = a_us_watcher(embedded, "level2")
    embedded.reset()
    assert lost(watcher, 1) == (End.CLOSED, 1012)


def test_selling_and_buying_are_told_apart() -> None:
    embedded = an_exchange()
    watcher = a_user_watcher(embedded)
    embedded.exchange.create(an_order(None, side=Side.SELL))
    watcher.hear(milliseconds=50)
    assert list(watcher.events("user"))[-1]["orders"][0]["order_side"] == "SELL"
