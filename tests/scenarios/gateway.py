"""The second venue's road of orders on virtual time: HTTP, or the order socket, both in this process.

Nothing of the client is replaced but the wire: `RpcSocket` and `GlobalDerivativesVenue` are the product's own, stepped by
the same clock the exchange lives on.
"""

import itertools
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from perpsctl.domain.products import Environment, VenueId
from perpsctl.exchange.credentials import Credentials
from perpsctl.exchange.global_derivatives import GlobalDerivativesVenue
from perpsctl.exchange.global_derivatives.venue import GLOBAL_CAPABILITIES
from perpsctl.exchange.hosts import endpoint_for
from perpsctl.exchange.signing import READ_TTL, Signer
from perpsctl.exchange.streams.line import Line, LineLost
from perpsctl.exchange.streams.order_road import over
from perpsctl.exchange.streams.socket import RpcSocket
from perpsctl.exchange.transport import Problem
from perpsctl.risk.limits import RiskLimits
from perpsctl.simulator.embedded import Embedded
from perpsctl.simulator.faces.global_session import Session, Transport
from perpsctl.simulator.faces.global_ws import GlobalSocket
from perpsctl.simulator.inprocess import GLOBAL_ORIGIN, InProcessAdapter
from perpsctl.simulator.options import Options
from tests.rig import VirtualClock, World

STEP_MS = 100
_NO_CLOSE_CODE = 1006
_names = itertools.count(1)


class GatewayLine:
    """A connection to the embedded gateway's trading socket; time passes on the exchange's own clock."""

    def __init__(self, embedded: Embedded, clock: VirtualClock) -> None:
        self._clock = clock
        session = Session(transport=Transport.SOCKET, connection=f"line-{next(_names)}")
        self._socket = GlobalSocket(embedded.global_, session)
        self._frames: deque[bytes] = deque()
        self._over: LineLost | None = None

    def send(self, text: bytes) -> int:
        self._raise_if_over()
        sent_ns = self._clock.monotonic_ns()
        self._arrived(self._socket.receive(text))
        return sent_ns

    def receive(self, within: timedelta) -> bytes | None:
        if not self._frames and self._over is None:
            if within > timedelta(0):
                self._clock.sleep(within)
            self._arrived(self._socket.due())
        if self._frames:
            return self._frames.popleft()
        self._raise_if_over()
        return None

    def close(self, code: int = 1000) -> None:
        self._over = self._over or LineLost(Problem.RESET, "closed here", code=code)
        self._socket.ended()

    def _arrived(self, frames: list[bytes]) -> None:
        self._frames.extend(frames)
        if self._socket.closing is not None and self._over is None:
            code = self._socket.closing.code or _NO_CLOSE_CODE
            self._over = LineLost(Problem.RESET, f"the venue closed ({code})", code=code)
            self._socket.ended()

    def _raise_if_over(self) -> None:
        if self._over is not None:
            raise LineLost(self._over.problem, self._over.detail, code=self._over.code)


class GatewayWorld(World):
    """The product on the second venue; with `socket` its orders travel over the armed order socket, as those of `run` do."""

    def __init__(
        self,
        folder: Path,
        *,
        socket: bool = False,
        limits: RiskLimits | None = None,
        options: Options | None = None,
    ) -> None:
        self._over_socket = socket
        self._stepping = False
        self.socket: RpcSocket | None = None
        super().__init__(folder, venue=VenueId.GLOBAL, limits=limits, options=options)
        self.clock.on_sleep = self._time_passed

    def adapter(self) -> InProcessAdapter:
        return InProcessAdapter(self.embedded, face=self.embedded.global_, wait_ms=self.waited)

    def line(self) -> Line:
        """A new connection of the order socket."""
        return GatewayLine(self.embedded, self.clock)

    def client(self, key: Credentials) -> GlobalDerivativesVenue:
        if self._over_socket:
            self.socket = self._socket_of(key)
        return GlobalDerivativesVenue(
            endpoint_for(Environment.SIM, GLOBAL_ORIGIN, venue=VenueId.GLOBAL),
            key,
            self.clock,
            self.ids,
            capabilities=replace(GLOBAL_CAPABILITIES, orders_die_with_connection=self._over_socket),
            adapter=self.adapter(),
            observer=self.records.append,
            road=None if self.socket is None else over(self.socket, self.ids),
        )

    def close(self) -> None:
        if self.socket is not None:
            self.socket.stop()
        super().close()

    def _socket_of(self, key: Credentials) -> RpcSocket:
        signer = Signer(key, "127.0.0.1:2")

        def login() -> dict[str, str]:
            token = signer.grant(now=self.clock.now(), ttl=READ_TTL, nonce=self.ids.nonce())
            return {"grant_type": "coinbase_cdp", "token": token}

        made = RpcSocket(self.line, self.clock, self.ids, login=login)
        made.start(thread=False)
        made.wait_ready(timedelta(seconds=10))
        return made

    def waited(self, milliseconds: int) -> None:
        """For an answer: in short steps, so that what the exchange gets to meanwhile has its true moment."""
        whole, rest = divmod(milliseconds, STEP_MS)
        for step in (*[STEP_MS] * whole, rest):
            if step:
                self.clock.sleep(timedelta(milliseconds=step))

    def _time_passed(self) -> None:
        """The exchange goes on, and the socket's reader with it: heartbeats, its end, its next connection."""
        self.embedded.advance()
        if self.socket is not None and not self._stepping:
            self._stepping = True
            try:
                while self.socket.step(timedelta(0)):
                    continue
            finally:
                self._stepping = False


@contextmanager
def gateway(folder: Path, *, socket: bool = False, limits: RiskLimits | None = None) -> Iterator[GatewayWorld]:
    """A world that ends with the block."""
    made = GatewayWorld(folder, socket=socket, limits=limits)
    try:
        yield made
    finally:
        made.close()
