"""The gateway's sockets: who is closed and why, what an end cancels, and what is dropped without a word."""

import json
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from perpsctl.simulator.faces.global_session import Transport
from perpsctl.simulator.outlet import CUT
from tests.unit.simulator.global_sockets.desk import BTC, Desk, a_desk

USER_RAW = ["user.orders.any.any.raw", "user.trades.any.any.raw", "user.changes.any.any.raw"]


@pytest.fixture
def desk() -> Desk:
    made = a_desk()
    made.log_in()
    return made


@pytest.fixture
def streams() -> Desk:
    return a_desk(Transport.STREAMS)


# --- envelope ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "code"),
    [("nonsense", -32700), ("[]", -32600), ('[{"method":"public/test"}]', -32600), ('{"id":1}', -32700)],
)
def test_what_is_no_request_is_refused_and_the_socket_stays(desk: Desk, frame: str, code: int) -> None:
    assert json.loads(desk.line.receive(frame)[0])["error"]["code"] == code
    assert desk.line.closing is None


def test_a_frame_over_32_kb_closes_with_1009(desk: Desk) -> None:
    desk.line.receive(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "public/test", "params": {"x": "y" * 40_000}}))
    assert desk.line.closing is not None
    assert desk.line.closing.code == 1009


def test_public_streams_are_not_on_the_trading_host(desk: Desk) -> None:
    error = desk.ask("public/subscribe", channels=[f"ticker.{BTC}.100ms"])
    assert error == {"code": -32601, "message": "method not in allowlist"}


@pytest.mark.parametrize("method", ["private/subscribe", "private/buy", "public/ticker", "public/get_order_book"])
def test_the_streams_host_serves_subscriptions_only(streams: Desk, method: str) -> None:
    assert streams.ask(method, channels=[], instrument_name=BTC)["code"] == -32601


def test_user_channels_need_a_login() -> None:
    assert a_desk().ask("private/subscribe", channels=USER_RAW)["code"] == 13009


def test_a_session_of_50_minutes_ends_for_subscriptions_too(desk: Desk) -> None:
    for _ in range(151):
        desk.pass_time(seconds=20)
        desk.send("public/test")
    assert desk.ask("private/subscribe", channels=USER_RAW)["code"] == 13009


# --- cancel on disconnect ---------------------------------------------------------------------------


def test_an_end_cancels_what_came_over_this_socket_and_nothing_else(desk: Desk) -> None:
    other = Desk(desk.face, desk.clock, Transport.SOCKET, "socket-2")
    over_http = Desk(desk.face, desk.clock, Transport.HTTP, "")
    other.log_in()
    over_http.session.login = desk.session.login
    before = desk.rest()
    desk.ask("private/enable_cancel_on_disconnect", scope="connection")
    own, others, https = desk.rest(), other.rest(), over_http.rest()
    assert desk.line.ended() == 2
    for cancelled in (before, own):
        assert desk.order(cancelled) == {"state": "cancelled", "reason": "cancel_on_disconnect"}
    assert desk.order(others)["state"] == desk.order(https)["state"] == "open"
    assert desk.line.ended() == 0


def test_an_unarmed_end_cancels_nothing(desk: Desk) -> None:
    order_id = desk.rest()
    assert desk.line.ended() == 0
    assert desk.order(order_id)["state"] == "open"


def test_a_logout_closes_with_1000_says_nothing_and_cancels_nothing(desk: Desk) -> None:
    desk.ask("private/enable_cancel_on_disconnect", scope="connection")
    order_id = desk.rest()
    assert desk.send("private/logout") == []
    assert desk.line.closing is not None
    assert desk.line.closing.code == 1000
    assert desk.line.ended() == 0
    assert desk.order(order_id)["state"] == "open"


def test_an_idle_close_is_an_end_like_any_other(desk: Desk) -> None:
    desk.ask("private/enable_cancel_on_disconnect", scope="connection")
    order_id = desk.rest()
    desk.pass_time(seconds=29)
    assert desk.line.closing is None
    desk.pass_time(seconds=1)
    assert desk.line.closing is not None
    assert desk.line.closing.code == 1011
    assert desk.line.ended() == 1
    assert desk.order(order_id)["reason"] == "cancel_on_disconnect"


def test_a_socket_of_an_earlier_account_is_closed_and_cancels_nothing(desk: Desk) -> None:
    desk.ask("private/enable_cancel_on_disconnect", scope="connection")
    desk.rest()
    desk.exchange.reset()
    desk.line.due()
    assert desk.line.closing is not None
    assert desk.line.closing.code == 1012
    assert desk.line.ended() == 0


# --- heartbeats -------------------------------------------------------------------------------------


@pytest.mark.parametrize("interval", [9, 0, -1, 10.5, "10", None, True])
def test_a_heartbeat_below_ten_seconds_or_of_another_type_is_refused(desk: Desk, interval: object) -> None:
    assert desk.ask("public/set_heartbeat", interval=interval)["code"] == -32602


def test_a_talking_client_gets_heartbeats_and_a_silent_one_is_tested(desk: Desk) -> None:
    assert desk.ask("public/set_heartbeat", interval=10) == "ok"
    desk.pass_time(seconds=5)
    desk.send("public/test")
    assert desk.pass_time(seconds=5)[0]["params"]["type"] == "heartbeat"
    assert desk.pass_time(seconds=10)[0]["params"]["type"] == "test_request"


def test_a_test_request_that_is_not_answered_closes_and_cancels(desk: Desk) -> None:
    desk.ask("private/enable_cancel_on_disconnect", scope="connection")
    order_id = desk.rest()
    desk.ask("public/set_heartbeat", interval=10)
    assert desk.pass_time(seconds=10)[0]["params"]["type"] == "test_request"
    assert desk.pass_time(seconds=9) == []
    desk.pass_time(seconds=1)
    assert desk.line.closing is not None
    assert desk.line.ended() == 1
    assert desk.order(order_id)["reason"] == "cancel_on_disconnect"


def test_an_answered_test_request_keeps_the_socket(desk: Desk) -> None:
    desk.ask("public/set_heartbeat", interval=10)
    for _ in range(20):
        for message in desk.pass_time(seconds=10):
            if message["params"]["type"] == "test_request":
                assert desk.ask("public/test") == {"version": "1.2.26"}
    assert desk.line.closing is None


def test_used_up_credits_are_told_and_then_close(desk: Desk) -> None:
    desk.face.exhausted = True
    assert desk.ask("public/ticker", instrument_name=BTC)["code"] == 10028
    assert desk.line.closing is not None


# --- faults -----------------------------------------------------------------------------------------


def buys(desk: Desk) -> int:
    with desk.exchange.gateway() as core:
        return len(core.judged_orders())


def place(desk: Desk) -> list[dict[str, Any]]:
    price = int(Decimal(str(desk.ticker()["mark_price"])) * Decimal("0.97"))
    return desk.send("private/buy", instrument_name=BTC, amount=0.01, type="limit", price=price)


@pytest.mark.parametrize(("when", "orders"), [("before", 0), ("after", 1)])
def test_a_connection_cut_around_a_request_says_nothing_of_it(desk: Desk, when: str, orders: int) -> None:
    desk.exchange.faults.arm("N12", operation="create_order", when=when)
    assert place(desk) == []
    assert desk.line.closing is not None
    assert desk.line.closing.code == CUT
    assert buys(desk) == orders


def test_an_answer_that_comes_late_is_the_true_one(desk: Desk) -> None:
    desk.exchange.faults.arm("N15", operation="create_order", seconds=5)
    assert place(desk) == []
    late = [frame for _ in range(8) for frame in desk.pass_time(seconds=1)]
    assert len(late) <= 1
    assert buys(desk) == 1


def test_an_answer_that_cannot_be_read_hides_an_order(desk: Desk) -> None:
    desk.exchange.faults.arm("N21", operation="create_order")
    desk.log_in()
    price = int(Decimal(str(desk.ticker()["mark_price"])) * Decimal("0.97"))
    request = {"instrument_name": BTC, "amount": 0.01, "type": "limit", "price": price}
    text = json.dumps({"jsonrpc": "2.0", "id": 77, "method": "private/buy", "params": request})
    assert desk.line.receive(text) == [b""]
    assert buys(desk) == 1


def test_faults_of_other_methods_leave_this_one_alone(desk: Desk) -> None:
    desk.exchange.faults.arm("N12", operation="cancel_orders", when="before")
    desk.rest()
    assert desk.line.closing is None


# --- user channels ----------------------------------------------------------------------------------


def test_channels_that_do_not_exist_are_dropped_without_a_word(desk: Desk) -> None:
    wanted = [USER_RAW[0], "user.nonsense", "user.orders.DOGE_USDC-PERPETUAL.raw", f"ticker.{BTC}.raw", "user.orders"]
    assert desk.ask("private/subscribe", channels=wanted) == USER_RAW[:1]


def test_a_channel_this_exchange_does_not_serve_is_named(desk: Desk) -> None:
    error = desk.ask("private/subscribe", channels=["user.lock"])
    assert (error["code"], error["message"]) == (10033, "not_implemented")


def test_no_snapshot_is_sent_on_subscribe(desk: Desk) -> None:
    desk.rest()
    assert len(desk.send("private/subscribe", channels=USER_RAW)) == 1
    assert desk.pass_time(milliseconds=200) == []


def test_raw_orders_are_told_one_by_one_and_trades_as_lists(desk: Desk) -> None:
    desk.ask("private/subscribe", channels=USER_RAW)
    answer, *told = desk.send("private/buy", instrument_name=BTC, amount=0.01, type="market", label="x")
    order_id = answer["result"]["order"]["order_id"]
    data = {name: [m["params"]["data"] for m in told if m["params"]["channel"] == name] for name in USER_RAW}
    assert all(isinstance(order, dict) and order["order_id"] == order_id for order in data[USER_RAW[0]])
    assert data[USER_RAW[0]][-1]["order_state"] == "filled"
    trades = [trade for group in data[USER_RAW[1]] for trade in group]
    assert sum(Decimal(str(trade["amount"])) for trade in trades) == Decimal("0.01")
    changes = data[USER_RAW[2]][0]
    assert {"instrument_name", "trades", "positions", "orders"} == set(changes)
    assert changes["positions"][0]["size_currency"] == 0.01


def test_a_cancel_by_another_connection_is_told(desk: Desk) -> None:
    order_id = desk.rest()
    desk.ask("private/subscribe", channels=USER_RAW[:1])
    over_http = Desk(desk.face, desk.clock, Transport.HTTP, "")
    over_http.session.login = desk.session.login
    over_http.ask("private/cancel", order_id=order_id)
    told = desk.pass_time(milliseconds=20)
    assert [m["params"]["data"]["order_state"] for m in told] == ["cancelled"]


def test_an_interval_channel_gathers_a_list(desk: Desk) -> None:
    name = f"user.orders.{BTC}.100ms"
    desk.ask("private/subscribe", channels=[name])
    first = desk.send("private/buy", instrument_name=BTC, amount=0.01, type="limit", price=1000)
    assert isinstance(first[1]["params"]["data"], list)
    desk.rest()
    assert desk.pass_time(milliseconds=50) == []
    assert len(desk.pass_time(milliseconds=60)) == 1


def test_an_unsubscribed_channel_is_silent(desk: Desk) -> None:
    desk.ask("private/subscribe", channels=USER_RAW)
    assert desk.ask("private/unsubscribe", channels=USER_RAW[:2]) == USER_RAW[:2]
    assert desk.ask("private/unsubscribe_all") == []
    desk.rest()
    assert desk.pass_time(milliseconds=200) == []


def test_isolated_orders_are_told_on_the_isolated_twin_only(desk: Desk) -> None:
    twins = ["user.orders.any.any.raw", "user.isolated.orders.any.USDC.raw"]
    assert desk.ask("private/subscribe", channels=twins) == twins
    price = int(Decimal(str(desk.ticker()["mark_price"])) * Decimal("0.97"))
    _, *told = desk.send("private/buy", instrument_name=BTC, amount=0.01, type="limit", price=price, isolated=True)
    assert {message["params"]["channel"] for message in told} == {twins[1]}


# --- public channels --------------------------------------------------------------------------------


def test_a_book_begins_with_a_snapshot_and_its_changes_form_a_chain(streams: Desk) -> None:
    name = f"book.{BTC}.100ms"
    assert streams.ask("public/subscribe", channels=[name]) == [name]
    book = streams.pass_time(milliseconds=20) or streams.pass_time(milliseconds=200)
    messages = [message["params"]["data"] for message in book]
    for _ in range(100):
        streams.send("public/test")
        messages += [m["params"]["data"] for m in streams.pass_time(milliseconds=500) if "params" in m]
    assert len(messages) > 3
    assert sum(message["type"] == "snapshot" for message in messages) <= 1
    chain = [message for message in messages if message["type"] == "change"]
    assert all(later["prev_change_id"] == earlier["change_id"] for earlier, later in pairwise(chain))
    assert all(message["change_id"] > message["prev_change_id"] for message in chain)


def test_a_followed_book_equals_the_book_read(streams: Desk) -> None:
    name = f"book.{BTC}.100ms"
    sides: dict[str, dict[float, float]] = {"bids": {}, "asks": {}}

    def follow(messages: list[dict[str, dict[str, dict[str, list[list[float]]]]]]) -> None:
        for message in messages:
            if "params" not in message:
                continue
            for side, kept in sides.items():
                for action, price, amount in message["params"]["data"][side]:
                    if str(action) == "delete":
                        del kept[price]
                    else:
                        kept[price] = amount

    follow(streams.send("public/subscribe", channels=[name]))
    for _ in range(20):
        follow(streams.pass_time(milliseconds=700))
    ticker = streams.ticker()
    assert (max(sides["bids"]), min(sides["asks"])) == (
        float(ticker["best_bid_price"]),
        float(ticker["best_ask_price"]),
    )


def test_raw_public_channels_and_unknown_ones_are_dropped(streams: Desk) -> None:
    wanted = [f"book.{BTC}.raw", f"ticker.{BTC}.100ms", "ticker.BTC-PERPETUAL.100ms", "nonsense", f"quote.{BTC}"]
    assert streams.ask("public/subscribe", channels=wanted) == [wanted[1], wanted[4]]


def test_a_public_channel_not_served_here_is_named(streams: Desk) -> None:
    assert streams.ask("public/subscribe", channels=["platform_state"])["code"] == 10033


@pytest.mark.parametrize(
    ("name", "field"),
    [
        (f"ticker.{BTC}.100ms", "mark_price"),
        (f"quote.{BTC}", "best_bid_price"),
        (f"perpetual.{BTC}.agg2", "index_price"),
        (f"book.{BTC}.none.10.100ms", "bids"),
    ],
)
def test_each_image_channel_tells_what_it_is_about(streams: Desk, name: str, field: str) -> None:
    _, told = streams.send("public/subscribe", channels=[name])
    assert told["params"]["channel"] == name
    assert told["params"]["data"][field]


def test_public_trades_come_oldest_first_and_once(streams: Desk) -> None:
    streams.ask("public/subscribe", channels=[f"trades.{BTC}.100ms"])
    seen: list[int] = []
    for _ in range(60):
        streams.send("public/test")
        for message in streams.pass_time(seconds=1):
            seen += [trade["timestamp"] for trade in message["params"]["data"]]
    assert seen
    assert seen == sorted(seen)


def test_the_streams_host_closes_an_idle_socket_too(streams: Desk) -> None:
    streams.pass_time(seconds=30)
    assert streams.line.closing is not None
    assert streams.line.closing.code == 1011
