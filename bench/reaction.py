"""From a stream's message to an order's bytes on the wire, both venues, over loopback against an exchange in its own process.

Counted from the moment the reader had the message in its hands to the moment the last byte of the order was handed to the
kernel, which is when the sender leaves the kill switch's gate. Woken by the message the thread that decides works it into
the book and then sends: the first row an order that was judged before, the second one through the whole desk, with the
reads that judging needs, the verdict and the durable journal. The exchange shares this machine's processors.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import TracebackType

from bench.against_peers import running
from bench.measuring import Measured, row
from bench.rig import GENEROUS, Quiet, a_venue, an_intent
from perpsctl.domain.ids import AccountKey, client_order_id
from perpsctl.domain.orders import Accepted, ApprovedOrder, OrderIntent, SubmitOutcome
from perpsctl.domain.ports import Clock, Gate, Venue
from perpsctl.domain.products import Environment, VenueId
from perpsctl.domain.quantize import quantize
from perpsctl.domain.streams import NewsKind, Streams
from perpsctl.engine.parts import Engine, assemble
from perpsctl.exchange.credentials import Secret, from_values
from perpsctl.exchange.global_derivatives import GlobalDerivativesVenue
from perpsctl.exchange.global_derivatives.credits import Bucket, Credits, Rate
from perpsctl.exchange.hosts import endpoint_for
from perpsctl.exchange.streams.addresses import streams_address, trading_address, us_market_address, us_user_address
from perpsctl.exchange.streams.factory import global_streams, us_streams
from perpsctl.exchange.streams.order_road import order_socket, over
from perpsctl.journal.halts import CombinedHalts
from perpsctl.journal.opening import open_journal
from perpsctl.latch import Latch
from perpsctl.risk.limits import RiskLimits
from perpsctl.simulator.launcher import SimStatus
from perpsctl.systemports import SystemClock, SystemIds
from tests.rig_keys import key_of

SIM = Environment.SIM
RUNS, WARM_UP = 120, 10
BELOW = Decimal("0.995")
WIDE = Rate(per_second=1_000, burst=1_000)  # what is measured is the work, not the politeness
PATIENCE = timedelta(seconds=10)
BOOK_AGE_MAX, MARK_AGE_MAX = timedelta(seconds=2), timedelta(seconds=10)


class Timed:
    """The gate, and when the sender left it."""

    def __init__(self, gate: Gate, clock: Clock, left: list[datetime]) -> None:
        self._gate = gate
        self._clock = clock
        self._left = left

    def __enter__(self) -> None:
        self._gate.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.append(self._clock.now())
        self._gate.__exit__(kind, error, trace)


class TimedHalts(CombinedHalts):
    """The switch whose gates are timed."""

    left: list[datetime]

    def gate(self, **how: bool) -> Gate:
        return Timed(super().gate(**how), SystemClock(), self.left)


class Unhurried(Credits):
    """Budgets that never bind, whatever figures the account tells."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, rates=dict.fromkeys(Bucket, WIDE))

    def adopt(self, told: Mapping[Bucket, Rate]) -> None: ...


class Side:
    """One venue: its client, its streams with their readers, the engine over both."""

    def __init__(self, folder: Path, venue: Venue, streams: Streams, name: VenueId) -> None:
        folder.mkdir(parents=True, mode=0o700)
        self.clock, ids = SystemClock(), SystemIds()
        self.venue, self.streams = venue, streams
        self.product = next(each for each in venue.products() if each.alias == "BTC-PERP")
        account = AccountKey(f"{name.value}:sim:{venue.key_facts().portfolio_id}")
        self.journal = open_journal(folder, account, clock=self.clock, ids=ids)
        self.halts = TimedHalts(Latch("sim", folder), self.journal)
        self.left: list[datetime] = []
        self.halts.left = self.left
        self.engine: Engine = assemble(
            venue=venue,
            journal=self.journal,
            halts=self.halts,
            clock=self.clock,
            ids=ids,
            limits=RiskLimits.from_mapping(GENEROUS),
            diagnostics=Quiet(),
            streams=streams,
        )
        self.engine.live.start([self.product.product_id])

    def heard(self) -> datetime:
        """When the next message of the market was in the reader's hands; it is in the book now."""
        self.engine.live.take()
        until_ns = self.clock.monotonic_ns() + PATIENCE // timedelta(microseconds=1) * 1000
        while self.clock.monotonic_ns() < until_ns:
            self.streams.wait(PATIENCE)
            moved = [news.at for news in self.engine.live.take() if news.kind is NewsKind.MARKET]
            if moved and self.streams.book(self.product.product_id) is not None:
                return min(moved)
        raise SystemExit(f"bench: no market data: {[str(each) for each in self.streams.health()]}")

    def entry(self) -> OrderIntent:
        """A resting bid half a per cent below the streamed book."""
        book = self.streams.book(self.product.product_id)
        if book is None or book.best_bid is None:
            raise SystemExit("bench: the streamed book was lost")
        step = self.product.price_step(book.best_bid)
        price = book.best_bid * BELOW // step * step
        return replace(an_intent(self.product, str(price)), rest_through=True)  # at any hour of the day

    def close(self) -> None:
        """Nothing is left open."""
        self.engine.live.stop()
        self.journal.close()


def reactions(folder: Path) -> list[Measured]:
    """Two rows a venue."""
    rows: list[Measured] = []
    with running(folder / ".exchange") as exchange:
        for name, opened in ((VenueId.US, _us), (VenueId.GLOBAL, _global)):
            with opened(folder / name.value, exchange) as side:
                judged, whole = _measured(side, partial(_judged, side)), _measured(side, partial(_whole, side))
            carrier = "HTTP" if name is VenueId.US else "the armed socket"
            rows.append(row(f"{name.value}: judged before, over {carrier}", judged, p99=True))
            rows.append(row(f"{name.value}: the whole desk, reads, verdict, journal", whole, p99=True))
    return rows


def _measured(side: Side, send: Callable[[], SubmitOutcome]) -> list[float]:
    took = []
    for _ in range(RUNS + WARM_UP):
        heard = side.heard()
        side.left.clear()
        outcome = send()
        if not isinstance(outcome, Accepted) or not side.left:
            raise SystemExit(f"bench: not accepted: {outcome}")
        took.append((side.left[0] - heard) / timedelta(microseconds=1))
        side.venue.cancel([outcome.venue_order_id])
    return took[WARM_UP:]


def _judged(side: Side) -> SubmitOutcome:
    intent = side.entry()
    order = ApprovedOrder(
        order=quantize(intent, side.product),
        client_order_id=client_order_id(intent.id),
        judged_at=intent.created_at,
    )
    return side.venue.submit(order, side.halts.gate())


def _whole(side: Side) -> SubmitOutcome:
    report = side.engine.desk.place(side.entry())
    if report.outcome is None:
        raise SystemExit(f"bench: denied: {report}")
    return report.outcome


@contextmanager
def _us(folder: Path, exchange: SimStatus) -> Iterator[Side]:
    text = Path(exchange.key_files["trade"]).read_text(encoding="ascii")
    venue = a_venue(endpoint_for(SIM, exchange.http), text)
    name, secret = key_of(text)
    streams = us_streams(
        us_market_address(SIM, exchange.us_sockets["ws"]),
        us_user_address(SIM, exchange.us_sockets["user_ws"]),
        from_values(name, Secret(secret)),
        SystemClock(),
        SystemIds(),
        product_of=venue.product,
        book_age_max=BOOK_AGE_MAX,
        mark_age_max=MARK_AGE_MAX,
    )
    with _closing(Side(folder, venue, streams, VenueId.US)) as side:
        yield side
    venue.close()


@contextmanager
def _global(folder: Path, exchange: SimStatus) -> Iterator[Side]:
    name, secret = key_of(Path(exchange.key_files["trade"]).read_text(encoding="ascii"))
    key, clock, ids = from_values(name, Secret(secret)), SystemClock(), SystemIds()
    socket = order_socket(trading_address(SIM, exchange.global_faces["ws"]), key, clock, ids)
    socket.start()
    socket.wait_ready(PATIENCE)
    endpoint = endpoint_for(SIM, exchange.global_faces["http"], venue=VenueId.GLOBAL)
    venue = GlobalDerivativesVenue(endpoint, key, clock, ids, pacer=Unhurried(clock), road=over(socket, ids))
    streams = global_streams(
        streams_address(SIM, exchange.global_faces["streams_ws"]),
        socket,
        key,
        clock,
        ids,
        product_of=venue.product,
        book_age_max=BOOK_AGE_MAX,
        mark_age_max=MARK_AGE_MAX,
    )
    try:
        with _closing(Side(folder, venue, streams, VenueId.GLOBAL)) as side:
            yield side
    finally:
        socket.stop()
        venue.close()


@contextmanager
def _closing(side: Side) -> Iterator[Side]:
    try:
        yield side
    finally:
        side.close()
