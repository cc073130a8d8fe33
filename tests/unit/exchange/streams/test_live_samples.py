"""Every recorded or documented message of both venues goes through its feed: understood, or known as nobody's business."""

import json
from pathlib import Path
from typing import Any

import pytest

from perpsctl.domain.products import VenueId
from perpsctl.domain.streams import NewsKind, StreamPart
from perpsctl.exchange.streams.mailbox import Event, EventKind
from perpsctl.exchange.streams.socket import MARKET_CHANNELS
from perpsctl.exchange.streams.us_feed import UsStreams
from tests.unit.exchange.streams.world import BIP, BTC, SECOND, World

API = Path(__file__).parents[4] / "../shared/api"
pytestmark = pytest.mark.skipif(not API.is_dir(), reason="the recorded payloads are not on this machine")
US = sorted(path.name for path in API.glob("samples/ws-*.json") if "error" not in path.name)
GLOBAL = sorted(path.name for path in API.glob("samples-global/ws_*.json") if "ack" not in path.name)
NOT_OURS = {"chart", "perpetual", "platform", "quote"}  # channels nobody asks for
NEWS = {
    "ws-ticker.json": NewsKind.MARKET,
    "ws-market-trades-derived.json": NewsKind.MARKET,
    "ws-user-snapshot.json": NewsKind.ORDER,
    "ws-futures-balance-summary.json": NewsKind.BALANCE,
    "ws_ticker_linear.json": NewsKind.MARKET,
    "ws_user_changes_constructed.json": NewsKind.FILL,
    "ws_user_orders_raw.json": NewsKind.ORDER,
}


def ready(venue: VenueId) -> World:
    world = World(venue).started()
    world.pass_time(SECOND, take=True)
    return world


def deliver(world: World, name: str, channel: str, body: bytes, kind: EventKind) -> set[NewsKind]:
    """The message as if it had just come over the host of that name; the kinds of news it made."""
    host = next(each for each in world.hosts() if each.name == name)
    event = Event(
        kind=kind,
        arrived=world.clock.now(),
        arrived_ns=world.clock.monotonic_ns(),
        connection=host.connection,
        channel=channel,
        body=body,
    )
    host.source.mailbox.put(event)
    return {each.kind for each in world.streams.take()}


@pytest.mark.parametrize("name", US)
def test_each_message_of_the_us_venue_is_understood(name: str) -> None:
    world = ready(VenueId.US)
    tree = json.loads((API / "samples" / name).read_text().replace("BTC-USD", BIP).replace("ETH-USDT", BIP))
    user = tree["channel"] in {"user", "futures_balance_summary"}
    kind, host = (EventKind.ACCOUNT, "us_user") if user else (EventKind.MARKET, "us_market")
    assert isinstance(world.streams, UsStreams)
    tree["sequence_num"] = world.streams.expected(host)
    news = deliver(world, host, tree["channel"], json.dumps(tree).encode(), kind)
    assert NEWS.get(name) in {None, *news}
    world.pass_time(5 * SECOND)  # a price off the grid costs a snapshot; nothing costs the connection
    assert world.streams.figures().reconnects == 0
    assert world.live()


@pytest.mark.parametrize("name", GLOBAL)
def test_each_message_of_the_global_venue_is_understood(name: str) -> None:
    world = ready(VenueId.GLOBAL)
    text = (API / "samples-global" / name).read_text().replace("BTC-PERPETUAL", BTC)
    tree: dict[str, Any] = json.loads(text, parse_float=str)
    if tree["method"] == "heartbeat":
        return  # the socket's own business
    channel: str = tree["params"]["channel"]
    body = text.replace(f"{BTC}.raw", f"{BTC}.100ms").encode() if not channel.startswith("user.") else text.encode()
    channel = channel.replace(".raw", ".100ms") if not channel.startswith("user.") else channel
    user = not channel.startswith(MARKET_CHANNELS)
    kind, host = (EventKind.ACCOUNT, "global_trading") if user else (EventKind.MARKET, "global_streams")
    news = deliver(world, host, channel, body, kind)
    assert NEWS.get(name) in {None, *news}
    world.pass_time(10 * SECOND)
    foreign = channel.split(".")[0].split("_")[0] in NOT_OURS
    assert world.streams.figures().reconnects == int(foreign)  # what nobody asked for ends the connection (W7, W11)
    assert world.live_but_refused()
    assert world.health(StreamPart.BOOK).reason == ""
