"""One venue's streams and reads over real sockets, against a simulator in a process of its own."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from perpsctl.domain.ids import ProductId
from perpsctl.domain.ports import Venue
from perpsctl.domain.products import Environment, VenueId
from perpsctl.domain.streams import ChannelState, NewsKind, StreamPart, Streams
from perpsctl.exchange.advanced_trade import AdvancedTradeVenue
from perpsctl.exchange.credentials import Credentials, Secret, from_values
from perpsctl.exchange.global_derivatives import GlobalDerivativesVenue
from perpsctl.exchange.hosts import endpoint_for
from perpsctl.exchange.streams.addresses import streams_address, trading_address, us_market_address, us_user_address
from perpsctl.exchange.streams.factory import global_streams, us_streams
from perpsctl.simulator import launcher
from perpsctl.simulator.launcher import SimStatus
from perpsctl.systemports import SystemClock, SystemIds
from tests.rig_keys import key_of
from tests.unit.exchange.streams.world import BIP, BOOK_AGE, BTC, MARK_AGE, MS, SECOND

SIM = Environment.SIM


class Side:
    """One venue's streams and reads."""

    def __init__(self, folder: Path, running: SimStatus, venue: VenueId) -> None:
        self.folder = folder
        self.clock = SystemClock()
        self.product_id: ProductId = BIP if venue is VenueId.US else BTC
        name, secret = key_of(Path(running.key_files["trade"]).read_text())
        self.key = key = from_values(name, Secret(secret))
        self.market = "us_market" if venue is VenueId.US else "global_streams"
        self.venue: Venue
        if venue is VenueId.US:
            self.venue, self.streams = self._us(running, key)
        else:
            self.venue, self.streams = self._global(running, key)

    def _us(self, running: SimStatus, key: Credentials) -> tuple[Venue, Streams]:
        venue = AdvancedTradeVenue(endpoint_for(SIM, running.http), key, self.clock, SystemIds())
        market, user = (
            us_market_address(SIM, running.us_sockets["ws"]),
            us_user_address(SIM, running.us_sockets["user_ws"]),
        )
        return venue, us_streams(
            market,
            user,
            key,
            self.clock,
            SystemIds(),
            product_of=venue.product,
            book_age_max=BOOK_AGE,
            mark_age_max=MARK_AGE,
        )

    def _global(self, running: SimStatus, key: Credentials) -> tuple[Venue, Streams]:
        endpoint = endpoint_for(SIM, running.global_faces["http"], venue=VenueId.GLOBAL)
        venue = GlobalDerivativesVenue(endpoint, key, self.clock, SystemIds())
        public = streams_address(SIM, running.global_faces["streams_ws"])
        trading = trading_address(SIM, running.global_faces["ws"])
        return venue, global_streams(
            public,
            trading,
            key,
            self.clock,
            SystemIds(),
            product_of=venue.product,
            book_age_max=BOOK_AGE,
            mark_age_max=MARK_AGE,
        )

    def arm(self, fault: str, **params: Any) -> None:
        body = {"name": fault, "operation": self.market, "params": params}
        launcher.control(self.folder, "POST", "/faults", body)

    def state(self, part: StreamPart) -> ChannelState:
        return next(each.state for each in self.streams.health() if each.part is part)

    def until_live(self, within: timedelta = 20 * SECOND) -> None:
        until_ns = self.clock.monotonic_ns() + within // timedelta(microseconds=1) * 1000
        wanted = {ChannelState.LIVE, ChannelState.REFUSED}
        while not all(each.state in wanted for each in self.streams.health()):
            assert self.clock.monotonic_ns() < until_ns, self.streams.health()
            self.streams.wait(200 * MS)
            self.streams.take()

    def follow(self, duration: timedelta) -> list[NewsKind]:
        """As a loop does: wait, take, look."""
        told: list[NewsKind] = []
        until_ns = self.clock.monotonic_ns() + duration // timedelta(microseconds=1) * 1000
        while self.clock.monotonic_ns() < until_ns:
            self.streams.wait(200 * MS)
            told += [each.kind for each in self.streams.take()]
            self.streams.book(self.product_id)
        return told

    def agrees(self) -> bool:
        """A read between two equal looks at the stream says the same."""
        for _ in range(40):
            before = self.streams.book(self.product_id)
            read = self.venue.book(self.product_id, 20)
            self.streams.wait(100 * MS)
            self.streams.take()
            after = self.streams.book(self.product_id)
            for live in (before, after):
                if live is not None and live.bids[:20] == read.bids and live.asks[:20] == read.asks:
                    return True
        return False
