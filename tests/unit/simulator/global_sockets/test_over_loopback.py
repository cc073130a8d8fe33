"""The client's order socket against the simulator's over loopback: two rooms that share no line but `wire`."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from perpsctl.domain.products import Environment
from perpsctl.exchange.streams.addresses import streams_address, trading_address
from perpsctl.exchange.streams.line import LineLost, WebsocketLine
from perpsctl.exchange.streams.mailbox import Event, EventKind
from perpsctl.exchange.streams.socket import RpcSocket, SocketState, SocketTiming
from perpsctl.exchange.transport import Answered, NotWritten
from perpsctl.simulator import ws
from perpsctl.simulator.clock import SystemClock as VenueClock
from perpsctl.simulator.exchange import Exchange
from perpsctl.simulator.faces.global_session import Transport
from perpsctl.simulator.sockets import Connection
from perpsctl.systemports import SystemClock, SystemIds
from perpsctl.wire.global_derivatives.common import JsonValue
from tests.unit.simulator.global_sockets.desk import BTC, TrustingFace

SECOND = timedelta(seconds=1)
QUICK = SocketTiming(first_wait=SECOND / 50, wait_max=SECOND / 20, refill=SECOND / 10)
LOGIN: dict[str, JsonValue] = {"grant_type": "coinbase_cdp", "token": "taken at its word"}


class Hosts:
    """Both hosts of the gateway on loopback, in a thread that ends with the test."""

    def __init__(self) -> None:
        self.exchange = Exchange(VenueClock())
        self.face = TrustingFace(self.exchange)
        self.servers: list[uvicorn.Server] = []
        self.urls = [self._serve(transport) for transport in (Transport.SOCKET, Transport.STREAMS)]

    def _serve(self, transport: Transport) -> str:
        make = ws.sockets_of(self.face, transport)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await ws.serve_socket(scope, receive, send, make)

        config = uvicorn.Config(
            app,
            http=Connection,
            interface="asgi3",
            lifespan="off",
            log_config=None,
            timeout_graceful_shutdown=1,
            **ws.UVICORN,
        )
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        server = uvicorn.Server(config)
        self.servers.append(server)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
        thread.start()
        self.threads = [*getattr(self, "threads", []), thread]
        return f"ws://127.0.0.1:{listening.getsockname()[1]}{ws.PATH}"

    def stop(self) -> None:
        for server in self.servers:
            server.should_exit = True
        for thread in self.threads:
            thread.join(5)
            assert not thread.is_alive()

    def state(self, order_id: str) -> tuple[str, str | None]:
        with self.exchange.gateway() as core:
            order = core.state.own(order_id)
            assert order is not None
            return order.state_word, order.cancel_reason

    def below_market(self) -> Decimal:
        with self.exchange.gateway() as core:
            return Decimal(int(core.state.mark(BTC) * Decimal("0.97")))


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    running = Hosts()
    yield running
    running.stop()


@pytest.fixture
def order_socket(hosts: Hosts) -> Iterator[RpcSocket]:
    made = an_order_socket(hosts.urls[0])
    made.wait_ready(5 * SECOND)
    yield made
    assert made.stop()


def an_order_socket(url: str, channels: tuple[str, ...] = ()) -> RpcSocket:
    clock = SystemClock()
    address = trading_address(Environment.SIM, url)
    made = RpcSocket(
        lambda: WebsocketLine(address, clock),
        clock,
        SystemIds(),
        login=lambda: LOGIN,
        timing=QUICK,
        channels=channels,
    )
    made.start()
    return made


def collect(made: RpcSocket, kept: list[Event]) -> list[Event]:
    """What came so far, MARKET and ACCOUNT events only."""
    kept += [each for each in made.mailbox.take() if each.kind in {EventKind.ACCOUNT, EventKind.MARKET}]
    return kept


def rest(made: RpcSocket, price: Decimal) -> str:
    ending = made.call(
        "private/buy", {"instrument_name": BTC, "amount": Decimal("0.01"), "type": "limit", "price": price}
    )
    assert isinstance(ending, Answered), ending
    return str(json.loads(ending.body)["result"]["order"]["order_id"])


def soon(condition: Callable[[], bool], seconds: int = 5) -> bool:
    pause, clock = threading.Event(), SystemClock()
    until_ns = clock.monotonic_ns() + seconds * 1_000_000_000
    while not condition():
        if clock.monotonic_ns() > until_ns:
            return False
        pause.wait(0.01)
    return True


def test_the_client_arms_reads_back_and_trades(hosts: Hosts, order_socket: RpcSocket) -> None:
    assert order_socket.facts().armed
    order_id = rest(order_socket, hosts.below_market())
    assert hosts.state(order_id) == ("open", None)


@pytest.mark.parametrize(("leave", "expected"), [(RpcSocket.stop, "cancelled"), (RpcSocket.logout, "open")])
def test_a_stop_cancels_what_rests_and_a_logout_does_not(
    hosts: Hosts, leave: Callable[[RpcSocket], bool], expected: str
) -> None:
    made = an_order_socket(hosts.urls[0])
    made.wait_ready(5 * SECOND)
    order_id = rest(made, hosts.below_market())
    assert leave(made)
    if expected == "cancelled":
        assert soon(lambda: hosts.state(order_id)[0] == expected)
    threading.Event().wait(0.1)  # for a cancel that must not come
    assert hosts.state(order_id)[0] == expected
    assert made.facts().state is SocketState.STOPPED


def test_fills_and_orders_arrive_as_events(hosts: Hosts) -> None:
    made = an_order_socket(hosts.urls[0], channels=("user.orders.any.any.raw", "user.trades.any.any.raw"))
    made.wait_ready(5 * SECOND)
    order_id = rest(made, hosts.below_market())
    found: list[Event] = []
    assert soon(lambda: bool(collect(made, found)))
    assert json.loads(found[0].body)["params"]["data"]["order_id"] == order_id
    assert made.stop()


def test_used_up_credits_answer_and_close_and_the_socket_comes_back_armed(
    hosts: Hosts, order_socket: RpcSocket
) -> None:
    hosts.face.exhausted = True
    ending = order_socket.call("private/buy", {"instrument_name": BTC})
    assert isinstance(ending, Answered)
    assert json.loads(ending.body)["error"]["code"] == 10028
    assert soon(lambda: order_socket.facts().connections == 2)
    hosts.face.exhausted = False
    order_socket.wait_ready(5 * SECOND)
    assert order_socket.facts().armed


def test_public_streams_arrive_without_a_login(hosts: Hosts) -> None:
    clock = SystemClock()
    address = streams_address(Environment.SIM, hosts.urls[1])
    made = RpcSocket(
        lambda: WebsocketLine(address, clock),
        clock,
        SystemIds(),
        login=None,
        dead_man=False,
        channels=(f"ticker.{BTC}.100ms", f"book.{BTC}.100ms"),
    )
    made.start()
    made.wait_ready(5 * SECOND)
    found: list[Event] = []
    assert soon(lambda: len({event.channel for event in collect(made, found)}) == 2)
    assert isinstance(made.call("private/buy", {}), Answered)  # refused by the venue, as an answer
    assert made.stop()


def test_another_path_is_refused_before_the_upgrade(hosts: Hosts) -> None:
    address = trading_address(Environment.SIM, hosts.urls[0])
    wrong = type(address)(
        url=address.url.replace(ws.PATH, "/elsewhere"),
        host=address.host,
        port=address.port,
        secure=False,
        verify=True,
    )
    with pytest.raises(LineLost, match="403"):
        WebsocketLine(wrong, SystemClock())


def test_a_venue_that_stops_is_noticed_and_nothing_is_sent(hosts: Hosts, order_socket: RpcSocket) -> None:
    hosts.stop()
    assert soon(lambda: order_socket.facts().state is not SocketState.READY)
    assert isinstance(order_socket.call("private/buy", {}), NotWritten)


_CHILD = """
import sys, time
from decimal import Decimal
from tests.unit.simulator.global_sockets.test_over_loopback import SECOND, an_order_socket, rest
made = an_order_socket(sys.argv[1])
made.wait_ready(10 * SECOND)
print(rest(made, Decimal(sys.argv[2])), flush=True)
time.sleep(60)
"""


@pytest.mark.slow
def test_a_killed_process_leaves_no_resting_order(hosts: Hosts) -> None:
    """SIGKILL: no handler runs, nothing is said; the venue sees the socket end and cancels."""
    command = [sys.executable, "-c", _CHILD, hosts.urls[0], str(hosts.below_market())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            order_id = child.stdout.readline().strip()
            assert hosts.state(order_id) == ("open", None)
            os.kill(child.pid, signal.SIGKILL)
            assert soon(lambda: hosts.state(order_id) == ("cancelled", "cancel_on_disconnect"))
        finally:
            child.kill()
