"""Streams against the simulator in one process: virtual time, one thread, lines that are function calls."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import BookView
from perpsctl.domain.products import Environment, Product, VenueId
from perpsctl.domain.streams import ChannelHealth, ChannelState, News, StreamPart, Streams
from perpsctl.exchange.advanced_trade import AdvancedTradeVenue
from perpsctl.exchange.credentials import Secret, from_values
from perpsctl.exchange.global_derivatives import GlobalDerivativesVenue
from perpsctl.exchange.hosts import endpoint_for
from perpsctl.exchange.streams.addresses import (
    SocketAddress,
    streams_address,
    trading_address,
    us_market_address,
    us_user_address,
)
from perpsctl.exchange.streams.factory import US_MESSAGE_BYTES_MAX, global_streams, us_streams
from perpsctl.exchange.streams.hosts import Host
from perpsctl.exchange.streams.line import LineLost
from perpsctl.exchange.streams.live import LiveStreams
from perpsctl.exchange.streams.socket import RpcSocket
from perpsctl.exchange.transport import Problem
from perpsctl.simulator.embedded import Embedded
from perpsctl.simulator.inprocess import GLOBAL_ORIGIN, ORIGIN, InProcessAdapter
from perpsctl.simulator.inprocess_sockets import End, Ending, InProcessLine
from perpsctl.simulator.options import Options
from perpsctl.simulator.outlet import SocketName
from tests.rig import SeededIds, VirtualClock
from tests.rig_keys import key_of

MS = timedelta(milliseconds=1)
SECOND = timedelta(seconds=1)
BIP = ProductId("BIP-20DEC30-CDE")
BTC = ProductId("BTC_USDC-PERPETUAL")
BOOK_AGE, MARK_AGE = 2 * SECOND, 10 * SECOND


_PROBLEMS = {
    End.NOT_CONNECTED: Problem.NOT_CONNECTED,
    End.RESET: Problem.RESET,
    End.CLOSED: Problem.RESET,
    End.TOO_LARGE: Problem.TOO_LARGE,
    End.BROKEN: Problem.BROKEN_HTTP,
}


def lost(ending: Ending) -> LineLost:
    """As the real line says it: without a close frame the code is 1006."""
    return LineLost(_PROBLEMS[ending.end], ending.detail, code=1006 if ending.code is None else ending.code)


class World:
    """One exchange, one clock, one profile's streams; `opened` counts the connections of each socket."""

    def __init__(self, venue: VenueId, *, options: Options | None = None, key: str = "trade") -> None:
        self.venue_id = venue
        self.clock = VirtualClock()
        self.ids = SeededIds()
        self.embedded = Embedded(self.clock, options)
        self.clock.on_sleep = self.embedded.advance
        self.opened: dict[SocketName, int] = dict.fromkeys(SocketName, 0)
        self.unreachable = False
        self._products: dict[ProductId, Product] = {}
        name, secret = key_of(self.embedded.key_text(key))
        self.credentials = from_values(name, Secret(secret))
        self.product_id = BIP if venue is VenueId.US else BTC
        self.venue = self._venue()
        self.streams: Streams = self.made()

    def _venue(self) -> AdvancedTradeVenue | GlobalDerivativesVenue:
        if self.venue_id is VenueId.US:
            endpoint = endpoint_for(Environment.SIM, ORIGIN)
            adapter = InProcessAdapter(self.embedded)
            return AdvancedTradeVenue(endpoint, self.credentials, self.clock, self.ids, adapter=adapter)
        endpoint = endpoint_for(Environment.SIM, GLOBAL_ORIGIN, venue=VenueId.GLOBAL)
        adapter = InProcessAdapter(self.embedded, face=self.embedded.global_)
        return GlobalDerivativesVenue(endpoint, self.credentials, self.clock, self.ids, adapter=adapter)

    def product(self, product_id: ProductId) -> Product:
        """As first read: what strikes the key later does not strike the product."""
        if product_id not in self._products:
            self._products[product_id] = self.venue.product(product_id)
        return self._products[product_id]

    def made(self, *, keyless: bool = False, trading: RpcSocket | None = None) -> Streams:
        """Streams of this world, not started; a trading connection may be handed in."""
        common = {"product_of": self.product, "book_age_max": BOOK_AGE, "mark_age_max": MARK_AGE, "threads": False}
        key = None if keyless else self.credentials
        if self.venue_id is VenueId.US:
            market = us_market_address(Environment.SIM, "ws://127.0.0.1:1")
            user = us_user_address(Environment.SIM, "ws://127.0.0.1:2")
            self._names = {market.port: SocketName.US_MARKET, user.port: SocketName.US_USER}
            return us_streams(market, user, key, self.clock, self.ids, opener=self.open, **common)  # type: ignore[arg-type]
        streams = streams_address(Environment.SIM, "ws://127.0.0.1:1/ws/api/v2")
        own = trading_address(Environment.SIM, "ws://127.0.0.1:2/ws/api/v2")
        self._names = {streams.port: SocketName.GLOBAL_STREAMS, own.port: SocketName.GLOBAL_TRADING}
        return global_streams(streams, trading or own, key, self.clock, self.ids, opener=self.open, **common)  # type: ignore[arg-type]

    def open(self, address: SocketAddress) -> InProcessLine:
        name = self._names[address.port]
        if self.unreachable:
            raise LineLost(Problem.NOT_CONNECTED, "refused by the test")
        line = InProcessLine(
            self.embedded, name, lost=lost, monotonic_ns=self.clock.monotonic_ns, message_max=US_MESSAGE_BYTES_MAX
        )
        self.opened[name] += 1
        return line

    # --- time -------------------------------------------------------------------------------------------

    def pass_time(self, duration: timedelta, *, step: timedelta = 50 * MS, take: bool = False) -> list[News]:
        """Time passes in steps and the streams are looked at after each; what `take` told."""
        told: list[News] = []
        until_ns = self.clock.monotonic_ns() + duration // timedelta(microseconds=1) * 1000
        while self.clock.monotonic_ns() < until_ns:
            self.clock.sleep(step)
            if take:
                told += self.streams.take()
            else:
                self.streams.health()
        return told

    def until(self, condition: Callable[[], bool], within: timedelta = 20 * SECOND) -> timedelta:
        """How long it took until the condition held."""
        began_ns = self.clock.monotonic_ns()
        self.streams.health()
        while not condition():
            passed = timedelta(microseconds=(self.clock.monotonic_ns() - began_ns) // 1000)
            assert passed < within, [str(each) for each in self.streams.health()]
            self.clock.sleep(50 * MS)
            self.streams.health()
        return timedelta(microseconds=(self.clock.monotonic_ns() - began_ns) // 1000)

    def live(self) -> bool:
        return all(each.state is ChannelState.LIVE for each in self.streams.health())

    def live_but_refused(self) -> bool:
        """Every channel the venue gives is live."""
        return all(each.state in {ChannelState.LIVE, ChannelState.REFUSED} for each in self.streams.health())

    def hosts(self) -> list[Host]:
        assert isinstance(self.streams, LiveStreams)
        return self.streams.hosts

    def stop_and_make_anew(self) -> None:
        self.streams.stop()
        self.streams = self.made()

    def health(self, part: StreamPart) -> ChannelHealth:
        return next(each for each in self.streams.health() if each.part is part)

    def started(self) -> "World":
        self.streams.start([self.product_id])
        self.until(lambda: self.health(StreamPart.BOOK).state is ChannelState.LIVE)
        return self

    def fault(self, fault: str, **params: Any) -> int:
        """Arms a fault; its handle."""
        return self.embedded.exchange.faults.arm(fault, **params)

    def heal(self) -> None:
        self.embedded.exchange.faults.disarm()

    # --- truth ------------------------------------------------------------------------------------------

    def read(self, depth: int = 50) -> BookView:
        return self.venue.book(self.product_id, depth)

    def agrees(self, depth: int = 20) -> bool:
        """True when the streamed book is what a read says at the same instant."""
        self.streams.health()
        read, live = self.read(depth), self.streams.book(self.product_id)
        return live is not None and live.bids[:depth] == read.bids[:depth] and live.asks[:depth] == read.asks[:depth]
