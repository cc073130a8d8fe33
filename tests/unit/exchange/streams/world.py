"""Streams against the simulator in one process: virtual time, one thread, lines that are function calls."""

from collections import deque
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import BookView
from perpsctl.domain.products import Environment, Product, VenueId
from perpsctl.domain.streams import ChannelHealth, ChannelState, News, StreamPart, Streams
from perpsctl.exchange.advanced_trade import AdvancedTradeVenue
from perpsctl.exchange.credentials import Credentials, Secret, from_values
from perpsctl.exchange.global_derivatives import GlobalDerivativesVenue
from perpsctl.exchange.hosts import endpoint_for
from perpsctl.exchange.streams.addresses import (
    SocketAddress,
    streams_address,
    trading_address,
    us_market_address,
    us_user_address,
)
from perpsctl.exchange.streams.factory import global_streams, us_streams
from perpsctl.exchange.streams.line import LineLost
from perpsctl.exchange.transport import Problem
from perpsctl.simulator.embedded import Embedded
from perpsctl.simulator.faces.global_ws import GlobalSocket
from perpsctl.simulator.faces.us_ws import UsSocket
from perpsctl.simulator.inprocess import GLOBAL_ORIGIN, ORIGIN, InProcessAdapter
from perpsctl.simulator.options import Options
from perpsctl.simulator.outlet import SocketName, WireFrame
from tests.rig import SeededIds, VirtualClock
from tests.rig_keys import key_of

MS = timedelta(milliseconds=1)
SECOND = timedelta(seconds=1)
BIP = ProductId("BIP-20DEC30-CDE")
BTC = ProductId("BTC_USDC-PERPETUAL")
BOOK_AGE, MARK_AGE = 2 * SECOND, 10 * SECOND


class MemoryLine:
    """A line to the simulator without a network; what no websocket library would send ends it, as it would a real one."""

    def __init__(self, socket: UsSocket | GlobalSocket, clock: VirtualClock) -> None:
        self._socket = socket
        self._clock = clock
        self._waiting: deque[bytes] = deque()
        self._closed = False

    def send(self, text: bytes) -> int:
        self._standing()
        self._waiting += self._socket.receive(text)
        return self._clock.monotonic_ns()

    def receive(self, within: timedelta) -> bytes | None:
        if not self._waiting:
            self._standing()
            self._waiting += self._socket.due()
        if not self._waiting:
            if self._socket.closing is not None:
                self._standing()
            if within:
                self._clock.sleep(within)
            return None
        frame = self._waiting.popleft()
        if isinstance(frame, WireFrame):
            self._closed = True
            self._socket.ended()
            raise LineLost(Problem.BROKEN_HTTP, f"what arrived was refused ({frame.form})")
        return frame

    def close(self, code: int = 1000) -> None:
        if not self._closed:
            self._closed = True
            self._socket.ended()

    def _standing(self) -> None:
        if self._closed or self._socket.closing is not None:
            closing = self._socket.closing
            self.close()
            code = 0 if closing is None else closing.code
            raise LineLost(Problem.RESET, f"the venue closed the socket ({code})", code=code or 1006)


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
        return self.venue.product(product_id)

    def made(self, credentials: Credentials | None = None) -> Streams:
        common = {"product_of": self.product, "book_age_max": BOOK_AGE, "mark_age_max": MARK_AGE, "threads": False}
        key = credentials or self.credentials
        if self.venue_id is VenueId.US:
            market = us_market_address(Environment.SIM, "ws://127.0.0.1:1")
            user = us_user_address(Environment.SIM, "ws://127.0.0.1:2")
            self._names = {market.port: SocketName.US_MARKET, user.port: SocketName.US_USER}
            return us_streams(market, user, key, self.clock, self.ids, opener=self._open, **common)  # type: ignore[arg-type]
        streams = streams_address(Environment.SIM, "ws://127.0.0.1:1/ws/api/v2")
        trading = trading_address(Environment.SIM, "ws://127.0.0.1:2/ws/api/v2")
        self._names = {streams.port: SocketName.GLOBAL_STREAMS, trading.port: SocketName.GLOBAL_TRADING}
        return global_streams(streams, trading, key, self.clock, self.ids, opener=self._open, **common)  # type: ignore[arg-type]

    def _open(self, address: SocketAddress) -> MemoryLine:
        name = self._names[address.port]
        if self.unreachable or not self.embedded.admits_socket(name, "127.0.0.1"):
            raise LineLost(Problem.NOT_CONNECTED, "refused")
        self.opened[name] += 1
        return MemoryLine(self.embedded.open_socket(name), self.clock)

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
        while not condition():
            passed = timedelta(microseconds=(self.clock.monotonic_ns() - began_ns) // 1000)
            assert passed < within, [str(each) for each in self.streams.health()]
            self.clock.sleep(50 * MS)
        return timedelta(microseconds=(self.clock.monotonic_ns() - began_ns) // 1000)

    def live(self) -> bool:
        return all(each.state is ChannelState.LIVE for each in self.streams.health())

    def health(self, part: StreamPart) -> ChannelHealth:
        return next(each for each in self.streams.health() if each.part is part)

    def started(self) -> "World":
        self.streams.start([self.product_id])
        self.until(lambda: self.health(StreamPart.BOOK).state is ChannelState.LIVE)
        return self

    def fault(self, fault: str, **params: object) -> None:
        self.embedded.exchange.faults.arm(fault, **params)  # type: ignore[arg-type]

    # --- truth ------------------------------------------------------------------------------------------

    def read(self, depth: int = 50) -> BookView:
        return self.venue.book(self.product_id, depth)

    def agrees(self, depth: int = 20) -> bool:
        """True when the streamed book is what a read says at the same instant."""
        self.streams.health()
        read, live = self.read(depth), self.streams.book(self.product_id)
        return live is not None and live.bids[:depth] == read.bids[:depth] and live.asks[:depth] == read.asks[:depth]


def plain(price: Decimal) -> str:
    return f"{price:f}"
