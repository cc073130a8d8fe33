"""`run` on the real streams of both venues, in one process on virtual time, with faults on the sockets (W1 to W12, M2).

The judge is the exchange's own book: what it holds, and how many orders each intent became.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from perpsctl.domain.errors import ExitCode
from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import DataSource
from perpsctl.domain.orders import OrderIntent
from perpsctl.domain.ports import EventKind, Journal, Venue
from perpsctl.domain.products import Environment, VenueId
from perpsctl.domain.reports import HaltState
from perpsctl.domain.streams import ChannelState, StreamPart, Streams
from perpsctl.domain.verdicts import DenialCode
from perpsctl.engine.parts import assemble
from perpsctl.engine.strategies import Proposal, StrategyState
from perpsctl.engine.strategies.canary import Canary
from perpsctl.engine.supervisor import RunOptions, RunResult, Supervisor
from perpsctl.exchange.advanced_trade import AdvancedTradeVenue
from perpsctl.exchange.credentials import Credentials
from perpsctl.exchange.global_derivatives import GlobalDerivativesVenue
from perpsctl.exchange.streams.addresses import (
    SocketAddress,
    streams_address,
    trading_address,
    us_market_address,
    us_user_address,
)
from perpsctl.exchange.streams.factory import US_MESSAGE_BYTES_MAX, global_streams, us_streams
from perpsctl.exchange.streams.line import LineLost
from perpsctl.exchange.transport import Problem
from perpsctl.journal.lease import Holder, RowLease
from perpsctl.journal.spool import Spool
from perpsctl.risk.limits import RiskLimits
from perpsctl.simulator.inprocess_sockets import End, Ending, InProcessLine
from perpsctl.simulator.outlet import SocketName
from tests.rig import World

pytestmark = [pytest.mark.scenario, pytest.mark.slow]

SECOND = timedelta(seconds=1)
VENUES = pytest.mark.parametrize("world", [VenueId.US, VenueId.GLOBAL], indirect=True)
LIMITS = RiskLimits.from_mapping({"orders_per_minute_max": "1000"})
TOP = 5  # levels compared: a read and a stream agree on these to the last digit, or they do not agree


class Streamed(World):
    """The whole product in one process, its loop on real streams over lines in memory."""

    def client(self, key: Credentials) -> AdvancedTradeVenue | GlobalDerivativesVenue:
        made = super().client(key)
        if isinstance(made, GlobalDerivativesVenue):  # as the loop's own client says it once its line is armed
            made._capabilities = replace(made.capabilities, orders_die_with_connection=True)
        self.key = key
        return made

    def assemble(self, venue: Venue, journal: Journal) -> None:
        self.streams = self.made()
        self.engine = assemble(
            venue=venue,
            journal=journal,
            halts=self.halts,
            clock=self.clock,
            ids=self.ids,
            limits=self.limits,
            diagnostics=self.talk,
            spool=Spool(self.folder, self.account, self.clock),
            cash_times=self.cash_times,
            streams=self.streams,
        )

    def made(self) -> Streams:
        bounds = {
            "book_age_max": timedelta(seconds=self.limits.book_age_max_s),
            "mark_age_max": timedelta(seconds=self.limits.mark_age_max_s),
        }
        if self.venue_id is VenueId.US:
            market = us_market_address(Environment.SIM, "ws://127.0.0.1:1")
            user = us_user_address(Environment.SIM, "ws://127.0.0.1:2")
            self.names = {market.port: SocketName.US_MARKET, user.port: SocketName.US_USER}
            return us_streams(
                market, user, self.key, self.clock, self.ids,
                product_of=self.venue.product, opener=self.line, threads=False, **bounds,
            )  # fmt: skip
        public = streams_address(Environment.SIM, "ws://127.0.0.1:1/ws/api/v2")
        private = trading_address(Environment.SIM, "ws://127.0.0.1:2/ws/api/v2")
        self.names = {public.port: SocketName.GLOBAL_STREAMS, private.port: SocketName.GLOBAL_TRADING}
        return global_streams(
            public, private, self.key, self.clock, self.ids,
            product_of=self.venue.product, opener=self.line, threads=False, **bounds,
        )  # fmt: skip

    def line(self, address: SocketAddress) -> InProcessLine:
        return InProcessLine(
            self.embedded,
            self.names[address.port],
            lost=lost,
            monotonic_ns=self.clock.monotonic_ns,
            message_max=US_MESSAGE_BYTES_MAX,
        )

    def strike(self, fault: str, **params: object) -> int:
        return self.embedded.exchange.faults.arm(fault, **params)  # type: ignore[arg-type]

    def run(self, strategy: "Checked", **options: object) -> RunResult:
        return Supervisor(
            engine=self.engine,
            lease=RowLease(self.journal, Holder.this_process(self.ids)),
            switch=self.switch,
            strategy=strategy,
            options=RunOptions(**options),  # type: ignore[arg-type]
        ).run()

    def started(self) -> None:
        """Streams without a loop: live, for what the desk does with them."""
        self.engine.live.start((self.product().product_id,))
        for _ in range(400):
            self.clock.sleep(timedelta(milliseconds=50))
            self.engine.live.take()
            if all(each.state is ChannelState.LIVE for each in self.streams.health() if each.part is StreamPart.BOOK):
                return
        pytest.fail(f"no live book: {self.streams.health()}")

    def held(self) -> Decimal:
        return self.venue.positions().coin(self.product().product_id)


PROBLEMS = {
    End.NOT_CONNECTED: Problem.NOT_CONNECTED,
    End.RESET: Problem.RESET,
    End.CLOSED: Problem.RESET,
    End.TOO_LARGE: Problem.TOO_LARGE,
    End.BROKEN: Problem.BROKEN_HTTP,
}


def lost(ending: Ending) -> LineLost:
    return LineLost(PROBLEMS[ending.end], ending.detail, code=1006 if ending.code is None else ending.code)


class Checked:
    """The canary, with a look at each tick whether the live book is what a read says at the same instant."""

    def __init__(self, world: Streamed) -> None:
        self._world = world
        self._canary = Canary(world.product().product_id)
        self.name = "canary"
        self.product_id: ProductId = self._canary.product_id
        self.agreed = 0
        self.differed: list[str] = []  # twice in a row: a lost message shows with the next one, a second later at most
        self._doubt, self._doubted_at = "", world.clock.now()
        self.sources: Counter[DataSource] = Counter()

    def propose(self, state: StrategyState) -> Proposal:
        book = state.view.market.book
        if book is not None:
            self.sources[book.source] += 1
        self._compare()
        return self._canary.propose(state)

    def _compare(self) -> None:
        state = next(each.state for each in self._world.streams.health() if each.part is StreamPart.BOOK)
        live = self._world.streams.book(self.product_id)
        if state is not ChannelState.LIVE or live is None:
            self._doubt = ""
            return
        read = self._world.venue.book(self.product_id, TOP)
        if (live.bids[:TOP], live.asks[:TOP]) == (read.bids[:TOP], read.asks[:TOP]):
            self.agreed, self._doubt = self.agreed + 1, ""
            return
        if self._doubt and self._world.clock.now() - self._doubted_at > 2 * SECOND:
            self.differed.append(self._doubt)
        elif not self._doubt:
            self._doubt = f"{live.best_bid}/{live.best_ask} against {read.best_bid}/{read.best_ask}"
            self._doubted_at = self._world.clock.now()


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Streamed]:
    made = Streamed(tmp_path, venue=getattr(request, "param", VenueId.US), limits=LIMITS)
    yield made
    made.engine.live.stop()
    made.close()


def no_order_lost_or_doubled(world: Streamed) -> None:
    """Every order of the exchange is one of the journal's, once; a reconcile finds nothing to say."""
    orders = world.embedded.exchange.judge_view().orders
    ours = {str(record.intent.id) for record in world.journal.intents() if isinstance(record.intent, OrderIntent)}
    named = Counter(order.client_order_id.split(":")[0] for order in orders if order.client_order_id)
    assert set(named) <= ours
    assert [name for name, count in named.items() if count > 1] == []
    assert not [order for order in orders if order.status in ("OPEN", "PENDING", "QUEUED")]
    world.engine.reconciler.run()
    assert world.engine.reconciler.run().breaks == ()
    assert world.journal.in_doubt() == ()


@VENUES
def test_a_quiet_run_lives_on_its_streams(world: Streamed) -> None:
    strategy = Checked(world)
    result = world.run(strategy, duration=30 * SECOND)
    assert result.exit_code is ExitCode.DONE, result
    assert strategy.differed == []
    assert strategy.agreed > 20
    assert strategy.sources[DataSource.STREAM] > 0.8 * strategy.sources.total(), "the rest confirmed a quiet book"
    assert (result.summary.gaps, result.summary.reconnects) == (0, 0)
    assert result.summary.stream_uptime is not None
    assert result.summary.stream_uptime > Decimal("0.95"), (
        "the market stands still now and then, and reads count for nothing"
    )
    assert result.summary.accepted >= 2
    no_order_lost_or_doubled(world)


@VENUES
def test_W1_W6_W10_a_rough_run_ends_with_its_book_equal_and_no_order_lost_or_doubled(world: Streamed) -> None:
    world.strike("W6", when="age", seconds=20, count=None)
    world.strike("W1", every=200, count=None)
    world.strike("W10", after_seconds=7, per_second=2_000, seconds=1)
    strategy = Checked(world)
    result = world.run(strategy, duration=70 * SECOND)
    summary = result.summary
    assert result.exit_code is ExitCode.DONE, result
    assert strategy.differed == []
    assert strategy.agreed > 35
    assert summary.gaps is not None
    assert summary.gaps >= 1
    assert summary.reconnects is not None
    assert summary.reconnects >= 3
    assert summary.recovery_s.samples >= 3
    assert summary.recovery_s.max is not None
    assert summary.recovery_s.max < 30
    assert summary.accepted >= 2
    assert world.journal.events(kind=EventKind.STREAMS.value)
    no_order_lost_or_doubled(world)


@VENUES
def test_W5_a_mute_book_is_read_instead_and_the_run_says_so(world: Streamed) -> None:
    strategy = Checked(world)
    began = world.clock.now()
    muted: list[int] = []

    def mute_after_a_while() -> None:
        world.embedded.advance()
        if not muted and world.clock.now() - began > 10 * SECOND:
            muted.append(world.strike("W5", channel="level2"))

    world.clock.on_sleep = mute_after_a_while
    result = world.run(strategy, duration=40 * SECOND)
    assert result.exit_code is ExitCode.DONE
    assert strategy.sources[DataSource.READ] > 15
    assert strategy.sources[DataSource.STREAM] > 5
    assert any("book" in problem for problem in result.problems), result.problems
    assert result.summary.accepted >= 2, "polling carries the loop"
    no_order_lost_or_doubled(world)


@VENUES
def test_M2_a_mute_stream_over_frozen_reads_denies_an_entry_with_age_and_bound_and_exits_work(world: Streamed) -> None:
    world.started()
    bought = world.engine.desk.place(replace(world.intent(below=-100, post_only=False), reason="hold"))
    assert bought.denied is None, bought
    world.engine.tracker.update(all_fills=True)
    assert world.held() > 0
    world.strike("W5", channel="level2")
    world.strike("M2", product="any")
    for _ in range(80):
        world.clock.sleep(timedelta(milliseconds=100))
        world.engine.live.take()
    denied = world.engine.desk.place(world.intent()).denied
    assert denied is not None
    told = {each.code: each for each in denied.denials}
    assert told[DenialCode.BOOK_STALE].limit == "2"
    assert 7 < Decimal(told[DenialCode.BOOK_STALE].observed) < 10
    report = world.engine.exits.flatten(None, unbounded=False, wait=5 * SECOND)
    assert report.flat, report
    assert world.held() == 0


@VENUES
def test_the_daily_loss_is_seen_between_two_ticks_by_streamed_prices(world: Streamed) -> None:
    strategy = Checked(world)
    product = world.product()
    world.engine.reconciler.run()
    mid = world.venue.book(product.product_id, 1).mid
    assert mid is not None
    price = (mid * Decimal("0.9")).quantize(Decimal(1))
    world.embedded.exchange.control.set_position(str(product.product_id), 5 / product.contract_size, mid)
    began = world.clock.now()
    fell: list[timedelta] = []

    def fall() -> None:
        world.embedded.advance()
        if not fell and world.clock.now() - began > 5 * SECOND:
            fell.append(world.clock.now() - began)
            world.embedded.exchange.control.set_price(str(product.product_id), price, hold=True)

    world.clock.on_sleep = fall
    result = world.run(strategy, interval=60 * SECOND, duration=50 * SECOND)
    assert fell
    assert world.halts.facts().state is HaltState.ENGAGED, result
    assert world.halts.facts().loss_breach
    engaged = next(event.at for event in world.journal.events() if event.kind == "halt")
    assert engaged - began - fell[0] < 5 * SECOND, "long before the next tick was due"
