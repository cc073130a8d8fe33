"""A channel's name from outside never ends the loop that reads it (S4, W7, W11)."""

import json

import pytest

from perpsctl.domain.products import VenueId
from perpsctl.exchange.streams.socket import RpcSocket
from perpsctl.simulator.inprocess_sockets import InProcessLine
from tests.unit.exchange.streams.world import SECOND, World

NAMES = (
    "ticker",
    "ticker.",
    "trades",
    "trades.",
    "book",
    "book.",
    "user.",
    "user.orders",
    "user.isolated.",
    "",
    ".",
    "quote",
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("data", [{}, [], "text", 1, None])
def test_a_channel_that_names_no_product_closes_the_connection_and_raises_nothing(name: str, data: object) -> None:
    """Found by the fuzzer: `ticker` without a product ended the reader with an IndexError."""
    world = World(VenueId.GLOBAL).started()
    said = json.dumps({"jsonrpc": "2.0", "method": "subscription", "params": {"channel": name, "data": data}}).encode()
    for host in world.hosts():
        assert isinstance(host.source, RpcSocket)
        connection = host.source._keeper.usable()
        assert connection is not None
        assert isinstance(connection.line, InProcessLine)
        connection.line._messages.append(said)
    world.pass_time(SECOND, take=True)
    world.until(world.live_but_refused)
    assert world.agrees()
    world.streams.stop()
