"""What long streams cost: memory flat under a flood, mailboxes within their bounds, nothing left behind by reconnects."""

import os
import resource
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from perpsctl.domain.products import Environment, VenueId
from perpsctl.exchange.streams.addresses import streams_address, trading_address, us_market_address
from perpsctl.exchange.streams.line import WebsocketLine
from perpsctl.exchange.streams.live import LiveStreams
from perpsctl.exchange.streams.mailbox import EventKind
from perpsctl.exchange.streams.order_road import PUBLIC_TIMING, order_socket, public_socket
from perpsctl.exchange.streams.socket import RpcSocket, SocketState, SocketTiming
from perpsctl.exchange.streams.us_host import US_TIMING, Asked, UsHost
from perpsctl.simulator.launcher import SimStatus
from perpsctl.systemports import SystemIds
from tests.unit.exchange.streams.loopback import Side
from tests.unit.exchange.streams.world import BTC, MS, SECOND

pytestmark = pytest.mark.slow
BOTH = pytest.mark.parametrize("venue", [VenueId.US, VenueId.GLOBAL])
RECONNECTS = 30
WARM_UP, WATCHED = 8 * SECOND, 20 * SECOND
GROWTH_MAX = 16_000_000  # bytes over the whole watch: a leak of every message would be ten times that
MARKET_BYTES_MAX = 32_000_000
STATM, FDS = Path("/proc/self/statm"), Path("/proc/self/fd")


def resident() -> int:
    """Bytes this process holds now."""
    return int(STATM.read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(not STATM.exists(), reason="the resident size of a process is read from /proc")
@BOTH
def test_memory_is_flat_and_mailboxes_are_bounded_while_a_flood_goes_on_w10(side: Side, venue: VenueId) -> None:
    side.until_live()
    assert isinstance(side.streams, LiveStreams)
    mailboxes = [host.source.mailbox for host in side.streams.hosts]
    whole = WARM_UP + WATCHED
    side.arm("W10", per_second=10_000, seconds=whole // SECOND + 5, after_seconds=0)
    began_ns, sizes, most_messages, most_bytes = side.clock.monotonic_ns(), [], 0, 0
    heard = side.streams.figures().messages
    while (passed := timedelta(microseconds=(side.clock.monotonic_ns() - began_ns) // 1000)) < whole:
        side.streams.wait(50 * MS)
        side.streams.take()
        side.streams.book(side.product_id)
        held = [mailbox.held for mailbox in mailboxes]
        most_messages = max(most_messages, *(count for count, _ in held))
        most_bytes = max(most_bytes, *(size for _, size in held))
        if passed > WARM_UP:
            sizes.append(resident())
    figures = side.streams.figures()
    assert figures.messages - heard > 20_000  # it was a flood
    assert max(sizes) - sizes[0] < GROWTH_MAX
    assert most_messages <= 1_000
    assert most_bytes <= MARKET_BYTES_MAX


def sockets(side: Side, running: SimStatus, venue: VenueId) -> list[UsHost | RpcSocket]:
    """As the feeds have them, but that they wait for next to nothing between two connections."""
    ids, quick = SystemIds(), {"first_wait": 10 * MS, "wait_max": 20 * MS, "refill": 0 * MS, "unexplained": 0 * MS}
    if venue is VenueId.US:
        address = us_market_address(Environment.SIM, running.us_sockets["ws"])
        asked = [Asked(channel="heartbeats", required=True), Asked(channel="level2", product_ids=(side.product_id,))]
        return [
            UsHost(
                lambda: WebsocketLine(address, side.clock),
                side.clock,
                ids,
                channels=asked,
                token=None,
                kind=EventKind.MARKET,
                timing=replace(US_TIMING, **quick),  # type: ignore[arg-type]  # of durations only
            )
        ]
    public = streams_address(Environment.SIM, running.global_faces["streams_ws"])
    trading = trading_address(Environment.SIM, running.global_faces["ws"])
    timings = [replace(each, **quick) for each in (PUBLIC_TIMING, SocketTiming())]  # type: ignore[arg-type]
    return [
        public_socket(public, side.clock, ids, channels=(f"book.{BTC}.100ms",), timing=timings[0]),
        order_socket(trading, side.key, side.clock, ids, timing=timings[1]),
    ]


@pytest.mark.skipif(not FDS.exists(), reason="the open descriptors of a process are listed in /proc")
@BOTH
def test_thirty_reconnects_leave_no_thread_and_no_descriptor_behind(
    running: tuple[Path, SimStatus], venue: VenueId
) -> None:
    side = Side(*running, venue)
    began = (threading.active_count(), len(os.listdir(FDS)))
    made = sockets(side, running[1], venue)
    for socket in made:
        socket.start()
    seen: list[tuple[int, int]] = []
    for number in range(1, RECONNECTS + 2):
        for socket in made:
            reached(side, socket, number)
            socket.mailbox.take(20_000)
        seen.append((threading.active_count(), len(os.listdir(FDS))))
        if number <= RECONNECTS:
            for socket in made:
                socket.give_up("the test wants a new connection")
    assert seen[-1] == seen[0], seen
    assert seen[0] == (began[0] + len(made), began[1] + len(made))
    assert all(socket.stop() for socket in made)
    assert (threading.active_count(), len(os.listdir(FDS))) == began


def reached(side: Side, socket: UsHost | RpcSocket, number: int) -> None:
    """The socket stands with its connection of this number."""
    until_ns = side.clock.monotonic_ns() + 20_000_000_000
    while not (socket.facts().state is SocketState.READY and socket.facts().connections >= number):
        assert side.clock.monotonic_ns() < until_ns, socket.facts()
        side.clock.sleep(5 * MS)
    assert socket.facts().connections == number
