"""The order socket against a scripted venue: what is proven unsent, what stays in doubt, and what never comes twice."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection

from perpsctl.domain.errors import VenueRefusedUs, VenueUnreachable
from perpsctl.domain.products import Environment
from perpsctl.exchange.streams.addresses import trading_address
from perpsctl.exchange.streams.line import FRAME_OUT_BYTES_MAX, LineTiming, WebsocketLine
from perpsctl.exchange.streams.mailbox import Event, EventKind, Mailbox
from perpsctl.exchange.streams.socket import (
    ChannelsDropped,
    DeadManNotArmed,
    RpcSocket,
    SocketState,
    SocketTiming,
)
from perpsctl.exchange.transport import Answered, GateClosed, NotWritten, Problem, Written
from perpsctl.systemports import SystemClock
from tests.unit.exchange.parts import CountingIds, OpenGate, ShutGate
from tests.unit.exchange.streams.venue import HangUp, ScriptedVenue, cut, refuse, refusing

MS = timedelta(milliseconds=1)
QUICK = SocketTiming(
    call=1500 * MS,
    setting_up=1500 * MS,
    first_wait=20 * MS,
    wait_max=60 * MS,
    refill=40 * MS,
)
SETUP = [
    "public/auth",
    "private/enable_cancel_on_disconnect",
    "private/get_cancel_on_disconnect",
    "public/set_heartbeat",
]


@pytest.fixture
def venue() -> Iterator[ScriptedVenue]:
    scripted = ScriptedVenue()
    yield scripted
    scripted.stop()


class Rig:
    def __init__(self, venue: ScriptedVenue) -> None:
        self.venue = venue
        self.logins = 0
        self.sockets: list[RpcSocket] = []
        self.clock = SystemClock()

    def login(self) -> dict[str, str]:
        self.logins += 1
        return {"grant_type": "coinbase_cdp", "token": f"fresh-{self.logins}"}

    def socket(self, **options: Any) -> RpcSocket:
        address = trading_address(Environment.SIM, self.venue.url)
        options.setdefault("timing", QUICK)
        options.setdefault("login", self.login)
        made = RpcSocket(
            lambda: WebsocketLine(address, self.clock, LineTiming(send=400 * MS)),
            self.clock,
            CountingIds(),
            **options,
        )
        self.sockets.append(made)
        made.start()
        return made

    def ready(self, **options: Any) -> RpcSocket:
        made = self.socket(**options)
        made.wait_ready(5000 * MS)
        return made


@pytest.fixture
def rig(venue: ScriptedVenue) -> Iterator[Rig]:
    built = Rig(venue)
    yield built
    assert all(made.stop() for made in built.sockets), "a reader did not end"


def events_until(socket: RpcSocket, wanted: Callable[[Event], bool], seconds: float = 5) -> list[Event]:
    found: list[Event] = []
    clock = SystemClock()
    until_ns = clock.monotonic_ns() + int(seconds * 1_000_000_000)
    while clock.monotonic_ns() < until_ns:
        socket.mailbox.wait(0.05)
        found += socket.mailbox.take()
        if any(wanted(each) for each in found):
            return found
    raise AssertionError(f"not seen among {[each.kind for each in found]}")


def soon(condition: Callable[[], bool], seconds: float = 5) -> bool:
    """True as soon as the condition holds, within the time."""
    pause = threading.Event()
    clock = SystemClock()
    until_ns = clock.monotonic_ns() + int(seconds * 1_000_000_000)
    while not condition():
        if clock.monotonic_ns() > until_ns:
            return False
        pause.wait(0.01)
    return True


# --- setting up -------------------------------------------------------------------------------------


def test_a_connection_is_used_only_after_login_armed_and_read_back_and_heartbeat(
    rig: Rig, venue: ScriptedVenue
) -> None:
    socket = rig.ready(channels=("user.orders.any.any.raw",))
    assert venue.methods() == [*SETUP, "private/subscribe"]
    facts = socket.facts()
    assert (facts.state, facts.armed, facts.connections) == (SocketState.READY, True, 1)
    assert socket.mailbox.take()[0].kind is EventKind.UP


def test_nothing_is_sent_before_the_socket_is_ready(rig: Rig, venue: ScriptedVenue) -> None:
    held = threading.Event()
    venue.on["private/get_cancel_on_disconnect"] = lambda *_: held.wait(5) and {"enabled": True}
    socket = rig.socket()
    assert venue.wait_seen("private/get_cancel_on_disconnect")
    gate = OpenGate()
    ending = socket.call("private/buy", {}, gate=gate)
    assert isinstance(ending, NotWritten)
    assert gate.entered == 0
    held.set()
    socket.wait_ready(5000 * MS)
    assert "private/buy" not in venue.methods()


@pytest.mark.parametrize("code", [10049, 13042])
def test_a_switch_that_cannot_be_armed_is_a_named_error_and_nothing_trades(
    rig: Rig, venue: ScriptedVenue, code: int
) -> None:
    venue.on["private/enable_cancel_on_disconnect"] = refusing(code)
    socket = rig.socket()
    with pytest.raises(DeadManNotArmed) as refused:
        socket.wait_ready(400 * MS)
    assert str(code) in refused.value.message
    ending = socket.call("private/buy", {})
    assert isinstance(ending, NotWritten)
    assert "dead_man_not_armed" in ending.detail
    assert not socket.facts().armed


def test_an_ok_that_reads_back_as_off_is_not_believed(rig: Rig, venue: ScriptedVenue) -> None:
    venue.on["private/get_cancel_on_disconnect"] = lambda *_: {"enabled": False, "scope": "connection"}
    with pytest.raises(DeadManNotArmed):
        rig.socket().wait_ready(400 * MS)


def test_a_switch_that_can_be_armed_later_makes_the_socket_ready_later(rig: Rig, venue: ScriptedVenue) -> None:
    venue.on["private/enable_cancel_on_disconnect"] = refusing(10049)
    socket = rig.socket()
    assert venue.wait_seen("private/enable_cancel_on_disconnect", 2)
    del venue.on["private/enable_cancel_on_disconnect"]
    socket.wait_ready(5000 * MS)
    assert socket.facts().error is None


def test_a_login_refused_twice_is_not_tried_a_third_time_a2_a5(rig: Rig, venue: ScriptedVenue) -> None:
    venue.on["public/auth"] = refusing(13004)
    socket = rig.socket()
    with pytest.raises(VenueRefusedUs):
        socket.wait_ready(5000 * MS)
    until = SystemClock().monotonic_ns() + 300_000_000
    while SystemClock().monotonic_ns() < until:
        assert len(venue.methods()) <= 2
    assert socket.facts().state is SocketState.REFUSED
    assert rig.logins == 2


def test_every_login_uses_a_fresh_token_w12(rig: Rig, venue: ScriptedVenue) -> None:
    socket = rig.ready()
    cut(venue.connections[0])
    assert venue.wait_seen("public/set_heartbeat", 2)
    socket.wait_ready(5000 * MS)
    tokens = [request["params"]["token"] for _, method, request in venue.seen if method == "public/auth"]
    assert tokens == ["fresh-1", "fresh-2"]


def test_channels_that_are_silently_dropped_are_named_w7(rig: Rig, venue: ScriptedVenue) -> None:
    venue.on["private/subscribe"] = lambda _, request: request["params"]["channels"][:1]
    with pytest.raises(ChannelsDropped) as dropped:
        rig.socket(channels=("user.orders.any.any.raw", "user.trades.any.any.raw")).wait_ready(400 * MS)
    assert "user.trades.any.any.raw" in dropped.value.message


def test_of_what_is_only_wanted_the_event_names_what_was_taken_w7(rig: Rig, venue: ScriptedVenue) -> None:
    venue.on["private/subscribe"] = lambda _, request: request["params"]["channels"][:1]
    socket = rig.ready(wanted=("user.changes.any.any.raw", "user.portfolio.any"))
    assert socket.mailbox.take()[0].channels == ("user.changes.any.any.raw",)


def test_one_wanted_channel_the_venue_refuses_does_not_cost_the_others_w7(rig: Rig, venue: ScriptedVenue) -> None:
    def without_portfolio(connection: ServerConnection, request: dict[str, Any]) -> object:
        if "user.portfolio.any" in request["params"]["channels"]:
            refuse(connection, request, 10033)
            return None
        return request["params"]["channels"]

    venue.on["private/subscribe"] = without_portfolio
    socket = rig.ready(wanted=("user.changes.any.any.raw", "user.portfolio.any"))
    assert socket.mailbox.take()[0].channels == ("user.changes.any.any.raw",)
    assert venue.methods().count("private/subscribe") == 3  # all, then one by one


def test_a_renewed_channel_is_left_and_subscribed_to_again_while_calls_go_on(rig: Rig, venue: ScriptedVenue) -> None:
    socket = rig.ready(login=None, dead_man=False, wanted=("book.BTC_USDC-PERPETUAL.100ms",))
    socket.renew("book.BTC_USDC-PERPETUAL.100ms")
    assert isinstance(socket.call("public/x", {}), Answered)
    assert venue.wait_seen("public/subscribe", 2)
    said = [method for method in venue.methods() if method.endswith("subscribe")]
    assert said == ["public/subscribe", "public/unsubscribe", "public/subscribe"]
    assert len(venue.connections) == 1


def test_what_nobody_can_use_is_given_up_and_counted_w11(rig: Rig, venue: ScriptedVenue) -> None:
    socket = rig.ready()
    socket.give_up("a message cannot be read")
    assert venue.wait_for(lambda: len(venue.connections) == 2)
    assert socket.facts().strays == 1


def test_a_frame_that_is_neither_answer_nor_message_ends_the_connection_w11(rig: Rig, venue: ScriptedVenue) -> None:
    rig.ready()
    venue.say({"jsonrpc": "2.0", "method": "moonbeams", "params": {"type": "x"}})
    assert venue.wait_for(lambda: len(venue.connections) == 2)


def test_heartbeats_are_left_as_proofs_of_life_where_they_are_asked_for(rig: Rig, venue: ScriptedVenue) -> None:
    socket = rig.ready(beats=True)
    venue.say({"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "heartbeat"}})
    found = events_until(socket, lambda event: event.kind is EventKind.BEAT)
    assert found[-1].arrived_ns > 0


def test_a_redirect_is_not_followed() -> None:
    elsewhere = ScriptedVenue()

    def redirect(connection: ServerConnection, _: Any) -> Any:
        response = connection.respond(302, "")
        response.headers["Location"] = elsewhere.url
        return response

    venue = ScriptedVenue(process_request=redirect)
    rig = Rig(venue)
    socket = rig.socket()
    with pytest.raises(VenueUnreachable, match="302"):
        socket.wait_ready(300 * MS)
    assert socket.stop()
    assert elsewhere.connections == []
    venue.stop()
    elsewhere.stop()


def test_compression_is_neither_offered_nor_used(rig: Rig, venue: ScriptedVenue) -> None:
    rig.ready()
    request = venue.connections[0].request
    assert request is not None
    assert "Sec-WebSocket-Extensions" not in request.headers


# --- calls ------------------------------------------------------------------------------------------


def test_answers_meet_their_own_questions_whatever_their_order(rig: Rig, venue: ScriptedVenue) -> None:
    held: list[dict[str, Any]] = []

    def later(connection: ServerConnection, request: dict[str, Any]) -> None:
        held.append(request)
        if len(held) == 2:
            for each in reversed(held):
                connection.send(json.dumps({"jsonrpc": "2.0", "id": each["id"], "result": each["params"]["n"]}))

    venue.on["private/x"] = later
    socket = rig.ready()
    found: dict[int, object] = {}

    def ask(n: int) -> None:
        ending = socket.call("private/x", {"n": n})
        assert isinstance(ending, Answered)
        found[n] = json.loads(ending.body)["result"]

    threads = [threading.Thread(target=ask, args=(n,)) for n in (1, 2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(5)
    assert found == {1: 1, 2: 2}


def test_a_refusal_is_an_answer_and_the_caller_judges_it(rig: Rig, venue: ScriptedVenue) -> None:
    venue.on["private/buy"] = refusing(10009)
    ending = rig.ready().call("private/buy", {})
    assert isinstance(ending, Answered)
    assert json.loads(ending.body)["error"]["code"] == 10009
    assert ending.arrived_ns >= ending.sent_ns


def test_a_drop_with_a_request_in_flight_is_a_doubt_and_never_resent_n12(rig: Rig, venue: ScriptedVenue) -> None:
    def drop(*_: Any) -> object:
        raise HangUp

    venue.on["private/buy"] = drop
    socket = rig.ready()
    ending = socket.call("private/buy", {"label": "a"})
    assert isinstance(ending, Written)
    socket.wait_ready(5000 * MS)
    assert venue.methods().count("private/buy") == 1
    assert venue.methods(2) == SETUP
    kinds = [each.kind for each in socket.mailbox.take()]
    assert kinds == [EventKind.UP, EventKind.DOWN, EventKind.UP]


def test_a_close_with_a_request_in_flight_is_a_doubt_too(rig: Rig, venue: ScriptedVenue) -> None:
    venue.on["private/buy"] = lambda connection, _: connection.close(1011)
    ending = rig.ready().call("private/buy", {})
    assert isinstance(ending, Written)
    assert "1011" in ending.detail


def test_a_missing_answer_ends_at_the_deadline_and_a_late_one_is_evidence(rig: Rig, venue: ScriptedVenue) -> None:
    asked: list[dict[str, Any]] = []
    venue.on["private/buy"] = lambda _, request: asked.append(request)
    socket = rig.ready()
    clock = SystemClock()
    began_ns = clock.monotonic_ns()
    ending = socket.call("private/buy", {}, within=200 * MS)
    took_ns = clock.monotonic_ns() - began_ns
    assert isinstance(ending, Written)
    assert ending.problem is Problem.TIMEOUT
    assert 200_000_000 <= took_ns < 1_000_000_000
    venue.say({"jsonrpc": "2.0", "id": asked[0]["id"], "result": {"order": {}}})
    late = events_until(socket, lambda event: event.kind is EventKind.LATE_REPLY)[-1]
    assert late.request_id == asked[0]["id"]
    assert json.loads(late.body)["result"] == {"order": {}}
    assert socket.facts().strays == 0


def test_an_answer_to_a_question_nobody_asked_matches_nothing(rig: Rig, venue: ScriptedVenue) -> None:
    def wrong(connection: ServerConnection, request: dict[str, Any]) -> None:
        for stray in (999_999, "other", None, request["id"] + 0.5):
            connection.send(json.dumps({"jsonrpc": "2.0", "id": stray, "result": "ok"}))

    venue.on["private/buy"] = wrong
    socket = rig.ready()
    ending = socket.call("private/buy", {}, within=300 * MS)
    assert isinstance(ending, Written)
    assert socket.facts().strays >= 1


def test_the_answer_of_an_earlier_connection_is_no_answer(rig: Rig, venue: ScriptedVenue) -> None:
    """Ids count on over connections, so a replayed answer cannot meet a new question."""
    numbers: list[int] = []

    def remember(connection: ServerConnection, request: dict[str, Any]) -> object:
        numbers.append(request["id"])
        if len(numbers) == 1:
            raise HangUp
        connection.send(json.dumps({"jsonrpc": "2.0", "id": numbers[0], "result": "old"}))
        return "new"

    venue.on["private/x"] = remember
    socket = rig.ready()
    assert isinstance(socket.call("private/x", {}), Written)
    socket.wait_ready(5000 * MS)
    ending = socket.call("private/x", {})
    assert isinstance(ending, Answered)
    assert json.loads(ending.body)["result"] == "new"
    assert numbers[1] > numbers[0]


def test_a_frame_over_the_venues_cap_is_not_begun(rig: Rig, venue: ScriptedVenue) -> None:
    gate = OpenGate()
    ending = rig.ready().call("private/x", {"long": "x" * FRAME_OUT_BYTES_MAX}, gate=gate)
    assert isinstance(ending, NotWritten)
    assert gate.entered == 0
    assert "private/x" not in venue.methods()


# --- the gate ---------------------------------------------------------------------------------------


def test_a_shut_gate_lets_no_byte_out_r1(rig: Rig, venue: ScriptedVenue) -> None:
    socket = rig.ready()
    assert isinstance(socket.call("private/buy", {}, gate=ShutGate()), GateClosed)
    assert isinstance(socket.call("private/x", {}), Answered)
    assert "private/buy" not in venue.methods()


def test_the_gate_is_left_before_the_answer_is_waited_for_r1(rig: Rig, venue: ScriptedVenue) -> None:
    held = threading.Event()
    left = threading.Event()
    venue.on["private/buy"] = lambda *_: "ok" if held.wait(5) else None
    socket = rig.ready()
    gate = OpenGate(on_exit=left.set)
    caller = threading.Thread(target=lambda: socket.call("private/buy", {}, gate=gate))
    caller.start()
    assert left.wait(2), "the gate is held while waiting for the venue"
    held.set()
    caller.join(5)
    assert (gate.entered, gate.left) == (1, 1)


def test_a_connection_lost_while_waiting_at_the_gate_sends_nothing_r1(rig: Rig, venue: ScriptedVenue) -> None:
    socket = rig.ready()

    def lose() -> None:
        cut(venue.connections[0])
        assert venue.wait_for(lambda: len(venue.connections) > 1)

    ending = socket.call("private/buy", {}, gate=OpenGate(on_enter=lose))
    assert isinstance(ending, NotWritten)
    assert "private/buy" not in venue.methods()


def test_a_venue_that_reads_nothing_holds_the_gate_no_longer_than_the_send_bound_r1() -> None:
    venue = ScriptedVenue()
    rig = Rig(venue)
    socket = rig.ready()
    stuck = threading.Event()
    venue.on["private/x"] = lambda *_: stuck.wait(20) and None
    clock = SystemClock()
    longest_ns, ending = 0, None
    for _ in range(2000):
        began_ns = clock.monotonic_ns()
        marks: list[int] = []

        def mark(seen: list[int] = marks) -> None:
            seen.append(clock.monotonic_ns())

        gate = OpenGate(on_exit=mark)
        ending = socket.call("private/x", {"fill": "x" * 30_000}, gate=gate, within=1 * MS)
        if marks:
            longest_ns = max(longest_ns, marks[0] - began_ns)
        if longest_ns >= 400_000_000:  # the send bound: the frame may have left in part
            break
    assert longest_ns >= 400_000_000, "the venue was never stuck"
    assert isinstance(ending, Written), "a frame that left in part may have been understood"
    assert longest_ns < 950_000_000
    stuck.set()
    socket.stop()
    venue.stop()


# --- heartbeats and silence --------------------------------------------------------------------------


def test_a_test_request_is_answered_at_once(rig: Rig, venue: ScriptedVenue) -> None:
    rig.ready()
    assert "public/test" not in venue.methods()
    venue.say({"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "test_request"}})
    assert venue.wait_seen("public/test", 1, 0.5)


def test_a_test_request_is_answered_while_a_caller_waits(rig: Rig, venue: ScriptedVenue) -> None:
    def slow(connection: ServerConnection, request: dict[str, Any]) -> None:
        connection.send(json.dumps({"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "test_request"}}))
        waiting.append((connection, request))

    def tested(*_: Any) -> object:
        for connection, request in waiting:
            connection.send(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": "after the test"}))
        return {"version": "1"}

    waiting: list[tuple[ServerConnection, dict[str, Any]]] = []
    venue.on["private/buy"] = slow
    venue.on["public/test"] = tested
    assert isinstance(rig.ready().call("private/buy", {}), Answered)


def test_our_own_silence_is_broken_before_the_venue_closes(rig: Rig, venue: ScriptedVenue) -> None:
    rig.ready(timing=SocketTiming(setting_up=1500 * MS, keep_alive=150 * MS))
    assert venue.wait_seen("public/test", 3, 3)
    assert len(venue.connections) == 1


def test_a_silent_stall_ends_the_connection_w4(rig: Rig, venue: ScriptedVenue) -> None:
    venue.on["public/test"] = lambda *_: None
    timing = SocketTiming(
        setting_up=1500 * MS,
        keep_alive=50 * MS,
        silence_max=250 * MS,
        first_wait=10 * MS,
        wait_max=20 * MS,
        refill=0 * MS,
    )
    socket = rig.ready(timing=timing)
    assert venue.wait_seen("public/auth", 2)
    assert any(each.kind is EventKind.DOWN for each in events_until(socket, lambda e: e.kind is EventKind.DOWN))


def test_the_session_is_renewed_on_the_same_socket_before_it_ends(rig: Rig, venue: ScriptedVenue) -> None:
    socket = rig.ready(timing=SocketTiming(setting_up=1500 * MS, renew_login=200 * MS))
    assert venue.wait_seen("public/auth", 3)
    assert len(venue.connections) == 1
    assert isinstance(socket.call("private/x", {}), Answered)


def test_a_renewal_that_fails_gives_the_connection_up(rig: Rig, venue: ScriptedVenue) -> None:
    def once(connection: ServerConnection, request: dict[str, Any]) -> object:
        if rig.logins == 2:
            refuse(connection, request, 13009)
            return None
        return {"expires_in": 3000}

    venue.on["public/auth"] = once
    rig.ready(timing=SocketTiming(setting_up=1500 * MS, renew_login=300 * MS, first_wait=10 * MS, refill=0 * MS))
    assert venue.wait_for(lambda: len(venue.connections) >= 2)


# --- coming back ------------------------------------------------------------------------------------


def test_after_too_many_requests_a_full_refill_is_waited_for(rig: Rig, venue: ScriptedVenue) -> None:
    def enough(connection: ServerConnection, request: dict[str, Any]) -> None:
        refuse(connection, request, 10028, "too_many_requests")
        connection.close(1000)

    venue.on["private/x"] = enough
    timing = SocketTiming(setting_up=1500 * MS, first_wait=1 * MS, wait_max=1 * MS, refill=600 * MS)
    socket = rig.ready(timing=timing)
    clock = SystemClock()
    ending = socket.call("private/x", {})
    began_ns = clock.monotonic_ns()
    assert isinstance(ending, Answered)
    assert venue.wait_for(lambda: len(venue.connections) == 2)
    assert clock.monotonic_ns() - began_ns >= 550_000_000


def test_waits_grow_with_each_failure_and_are_jittered_w6() -> None:
    """A venue that refuses every connection is not hammered."""
    venue = ScriptedVenue()
    url = venue.url
    venue.stop()
    clock = SystemClock()
    tries: list[int] = []

    def opener() -> WebsocketLine:
        tries.append(clock.monotonic_ns())
        return WebsocketLine(trading_address(Environment.SIM, url), clock)

    timing = SocketTiming(first_wait=100 * MS, wait_max=400 * MS, refill=0 * MS)
    socket = RpcSocket(opener, clock, CountingIds(999_999), login=dict, timing=timing)
    socket.start()
    with pytest.raises(VenueUnreachable):
        socket.wait_ready(1300 * MS)
    assert socket.stop()
    gaps_ms = [(later - earlier) // 1_000_000 for earlier, later in pairwise(tries)]
    assert 90 <= gaps_ms[0] < gaps_ms[1] < gaps_ms[2]
    assert len(tries) <= 6


# --- what arrives -----------------------------------------------------------------------------------


def message(channel: str, data: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": channel, "data": data}}


def test_a_flood_pushes_out_market_data_and_never_an_order_event_w10(rig: Rig, venue: ScriptedVenue) -> None:
    socket = rig.ready(mailbox=Mailbox(orders_max=1000, market_max=50))
    for n in range(500):
        venue.say(message("ticker.BTC_USDC-PERPETUAL.100ms", {"n": n}))
        if n % 10 == 0:
            venue.say(message("user.orders.any.any.raw", {"n": n}))
    assert isinstance(socket.call("private/x", {}), Answered)
    found = socket.mailbox.take(2000)
    orders = [json.loads(each.body)["params"]["data"]["n"] for each in found if each.kind is EventKind.ACCOUNT]
    market = [json.loads(each.body)["params"]["data"]["n"] for each in found if each.kind is EventKind.MARKET]
    assert orders == list(range(0, 500, 10))
    assert market == list(range(450, 500))
    assert socket.mailbox.market_dropped == 450


def test_order_events_nobody_takes_end_the_connection_instead_of_being_lost_w10(rig: Rig, venue: ScriptedVenue) -> None:
    socket = rig.ready(mailbox=Mailbox(orders_max=20))
    for n in range(19):
        venue.say(message("user.trades.any.any.raw", [{"n": n}]))
    assert soon(lambda: socket.facts().state is SocketState.WAITING), "a full mailbox goes on filling"
    found = events_until(socket, lambda event: event.kind is EventKind.DOWN)
    seen = [json.loads(each.body)["params"]["data"][0]["n"] for each in found if each.kind is EventKind.ACCOUNT]
    assert seen == list(range(19))
    assert EventKind.OVERFLOW in [each.kind for each in found]
    socket.wait_ready(5000 * MS)  # emptied: it comes back, and says so


def test_a_channel_of_unknown_kind_is_kept_like_an_order_event(rig: Rig, venue: ScriptedVenue) -> None:
    socket = rig.ready()
    venue.say(message("platform_state", {"maintenance": True}))
    found = events_until(socket, lambda event: event.channel == "platform_state")
    assert found[-1].kind is EventKind.ACCOUNT


@pytest.mark.parametrize(
    "frame", [b"\x00\x01", "not json", "[]", '{"a":1,"a":2}', "[" * 200, '{"method":"subscription"}'], ids=repr
)
def test_a_frame_that_cannot_be_read_ends_the_connection_and_is_counted_w11(
    rig: Rig, venue: ScriptedVenue, frame: str | bytes
) -> None:
    rig.ready()
    venue.connections[0].send(frame)
    assert venue.wait_for(lambda: len(venue.connections) == 2)


def test_a_message_over_the_cap_ends_the_connection_w11(rig: Rig, venue: ScriptedVenue) -> None:
    rig.ready()
    with suppress(ConnectionClosed):  # refused while it is still leaving
        venue.connections[0].send("x" * 5_000_000)
    assert venue.wait_for(lambda: len(venue.connections) == 2)


def test_a_message_in_fragments_arrives_whole(rig: Rig, venue: ScriptedVenue) -> None:
    socket = rig.ready()
    text = json.dumps(message("user.trades.any.any.raw", [{"n": 7}]))
    venue.connections[0].send([text[:20], text[20:40], text[40:]])
    found = events_until(socket, lambda event: event.kind is EventKind.ACCOUNT)
    assert found[-1].body == text.encode()


# --- leaving ----------------------------------------------------------------------------------------


def test_a_stop_is_clean_and_nothing_is_sent_after_it(rig: Rig, venue: ScriptedVenue) -> None:
    socket = rig.ready()
    assert socket.stop()
    assert socket.facts().state is SocketState.STOPPED
    assert isinstance(socket.call("private/buy", {}), NotWritten)
    assert len(venue.connections) == 1


def test_a_stop_while_the_venue_is_unreachable_is_prompt() -> None:
    venue = ScriptedVenue()
    rig = Rig(venue)
    venue.stop()
    socket = rig.socket(timing=SocketTiming(first_wait=timedelta(seconds=30), wait_max=timedelta(seconds=30)))
    with pytest.raises(VenueUnreachable):
        socket.wait_ready(200 * MS)
    assert socket.stop(within=timedelta(seconds=1))


def test_a_logout_leaves_without_a_reconnect(rig: Rig, venue: ScriptedVenue) -> None:
    venue.on["private/logout"] = lambda connection, _: connection.close(1000)
    socket = rig.ready()
    assert socket.logout()
    assert socket.facts().state is SocketState.STOPPED
    assert venue.methods() == [*SETUP, "private/logout"]
    assert len(venue.connections) == 1


def test_a_logout_that_cannot_be_sent_says_so(rig: Rig, venue: ScriptedVenue) -> None:
    venue.on["public/auth"] = refusing(13004)
    assert not rig.socket().logout()
