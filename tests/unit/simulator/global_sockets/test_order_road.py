"""The gateway's venue with the order socket as its road, against a simulator process: real logins, real TLS, real JWTs."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from perpsctl.domain.ids import ClientOrderId, ProductId, VenueOrderId
from perpsctl.domain.numbers import Price, Size
from perpsctl.domain.orders import Accepted, ApprovedOrder, NotSent, OrderStatus, Rejected, Unknown
from perpsctl.domain.orders import Road as Road_
from perpsctl.domain.products import Environment, VenueId
from perpsctl.domain.quantize import quantize
from perpsctl.exchange.credentials import Credentials, from_key_file
from perpsctl.exchange.global_derivatives import GlobalDerivativesVenue
from perpsctl.exchange.hosts import endpoint_for
from perpsctl.exchange.streams.addresses import trading_address
from perpsctl.exchange.streams.line import LineLost, WebsocketLine
from perpsctl.exchange.streams.mailbox import EventKind
from perpsctl.exchange.streams.order_road import order_socket, over
from perpsctl.exchange.streams.socket import RpcSocket, SocketTiming
from perpsctl.exchange.transport import Problem
from perpsctl.simulator import launcher
from perpsctl.systemports import SystemClock, SystemIds
from tests.builders import an_intent
from tests.unit.exchange.parts import OpenGate, ShutGate

BTC = ProductId("BTC_USDC-PERPETUAL")
SECOND = timedelta(seconds=1)
QUICK = SocketTiming(first_wait=SECOND / 50, wait_max=SECOND / 20, refill=SECOND / 10)


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[launcher.SimStatus]:
    folder = tmp_path_factory.mktemp("home") / "exchange"
    yield launcher.start(folder)
    launcher.stop(folder)


class Road:
    """A venue whose orders go over a socket, and the same venue over HTTP to look at what became of them."""

    def __init__(self, simulator: launcher.SimStatus, url: str, role: str = "trade") -> None:
        self.clock, self.ids = SystemClock(), SystemIds()
        key: Credentials = from_key_file(Path(simulator.key_files[role]))
        endpoint = endpoint_for(Environment.SIM, simulator.global_faces["http"], venue=VenueId.GLOBAL)
        ca_file = Path(simulator.ca_file) if url.startswith("wss") else None
        address = trading_address(Environment.SIM, url, ca_file)
        self.socket: RpcSocket = order_socket(address, key, self.clock, self.ids, timing=QUICK)
        self.venue = GlobalDerivativesVenue(endpoint, key, self.clock, self.ids, road=over(self.socket, self.ids))
        self.socket.start()

    def close(self) -> None:
        assert self.socket.stop()
        self.venue.close()

    def an_order(self, intent_id: str, **changes: object) -> ApprovedOrder:
        product = self.venue.product(BTC)
        wanted = self.venue.mark(BTC).price * Decimal("0.97")
        price = Price(wanted // product.price_step(wanted) * product.price_step(wanted))
        intent = an_intent(
            id=intent_id, product_id=BTC, size=str(Size(product.contract_size * 10)), limit_price=str(price)
        )
        if changes:
            intent = replace(intent, **changes)  # type: ignore[arg-type]
        return ApprovedOrder(
            order=quantize(intent, product), client_order_id=ClientOrderId(intent_id), judged_at=self.clock.now()
        )


@pytest.fixture(params=["ws", "wss"])
def road(simulator: launcher.SimStatus, request: pytest.FixtureRequest) -> Iterator[Road]:
    built = Road(simulator, simulator.global_faces[request.param])
    built.socket.wait_ready(10 * SECOND)
    yield built
    built.close()


def status_soon(road: Road, order_id: VenueOrderId) -> OrderStatus:
    """The order's status once it is final, or after two seconds."""
    pause = threading.Event()
    tries = 100
    while True:
        found = road.venue.order(order_id)
        assert found is not None
        tries -= 1
        if not found.status.live or not tries:
            return found.status
        pause.wait(0.02)


def test_an_order_over_the_socket_is_accepted_heard_of_and_gone_with_the_connection(road: Road) -> None:
    gate = OpenGate()
    intent_id = road.ids.new()
    outcome = road.venue.submit(road.an_order(intent_id), gate)
    assert isinstance(outcome, Accepted), outcome
    assert (gate.entered, gate.left) == (1, 1)
    assert road.socket.mailbox.wait(2)
    events = road.socket.mailbox.take()
    assert events[0].kind is EventKind.UP
    resting = road.venue.order(outcome.venue_order_id)
    assert resting is not None
    assert resting.status.live
    assert road.socket.stop()
    assert status_soon(road, outcome.venue_order_id) is OrderStatus.CANCELLED


def test_a_shut_gate_is_not_sent_and_a_socket_that_is_down_neither(road: Road) -> None:
    refused = road.venue.submit(road.an_order(road.ids.new()), ShutGate())
    assert isinstance(refused, NotSent)
    assert refused.reason == "kill_switch_engaged"
    order = road.an_order(road.ids.new())
    assert road.socket.stop()
    outcome = road.venue.submit(order, OpenGate())
    assert isinstance(outcome, NotSent), outcome


def test_the_way_out_stays_open_while_the_socket_is_down(road: Road) -> None:
    """It reaches the venue over HTTP, which refuses it for want of a position: that it was asked is the point."""
    assert road.socket.stop()
    out = road.venue.submit(road.an_order(road.ids.new(), reduce_only=True, road=Road_.EXIT), OpenGate())
    assert isinstance(out, Rejected), out
    entry = road.venue.submit(road.an_order(road.ids.new()), OpenGate())
    assert isinstance(entry, NotSent), entry


def test_an_answer_lost_after_execution_is_a_doubt_and_one_order(simulator: launcher.SimStatus, road: Road) -> None:
    body = {"name": "N12", "operation": "create_order"}
    launcher.control(Path(simulator.ca_file).parent, "POST", "/faults", body)
    intent_id = road.ids.new()
    outcome = road.venue.submit(road.an_order(intent_id), OpenGate())
    assert isinstance(outcome, Unknown), outcome
    road.socket.wait_ready(10 * SECOND)
    found = road.venue.by_label(ClientOrderId(intent_id))
    assert len(found) == 1  # executed once, and cancelled with its connection
    assert not found[0].status.live


def test_a_key_that_may_not_trade_never_arms(simulator: launcher.SimStatus) -> None:
    built = Road(simulator, simulator.global_faces["ws"], role="monitor")
    outcome = built.venue.submit(built.an_order(built.ids.new()), OpenGate())
    assert isinstance(outcome, NotSent)
    built.close()


def test_a_certificate_of_an_authority_we_do_not_know_is_refused_s2(simulator: launcher.SimStatus) -> None:
    address = trading_address(Environment.SIM, simulator.global_faces["wss"])
    with pytest.raises(LineLost) as refused:
        WebsocketLine(address, SystemClock())
    assert refused.value.problem is Problem.TLS
