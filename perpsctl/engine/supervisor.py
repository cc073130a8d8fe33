"""The `run` loop: one bounded tick at our own pace, a heartbeat, a clean stop. One thread decides.

Reconcile comes first, doubt before anything new, the watch before the strategy. A dead loop's resting entries expire at
the venue by themselves. Between two ticks the loop listens: news of an order wakes it, and streamed marks are held against
the loss limit. Signals are wired elsewhere; `request_stop` is all they do.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from perpsctl.domain.accounts import OrdersRead
from perpsctl.domain.errors import (
    ExitCode,
    InvariantBroken,
    JournalCorrupt,
    JournalUnavailable,
    LeaseHeld,
    PerpsctlError,
    VenueRefusedRequest,
    VenueSpokeStrangely,
    VenueUnreachable,
)
from perpsctl.domain.ids import IntentId
from perpsctl.domain.orders import EditIntent, Fill, VenueOrder
from perpsctl.domain.ports import EventKind, Lease
from perpsctl.domain.reports import BookProof, HaltState, RunSummary
from perpsctl.domain.streams import StreamFigures
from perpsctl.engine.book_proof import prove_book
from perpsctl.engine.killswitch import KillSwitch
from perpsctl.engine.parts import Engine
from perpsctl.engine.reading import Reads
from perpsctl.engine.resting import working_orders
from perpsctl.engine.run_book import RunBook
from perpsctl.engine.strategies import Strategy
from perpsctl.engine.stream_record import StreamRecord
from perpsctl.engine.ticking import Ticker

HEARTBEAT_EVERY: Final = timedelta(seconds=5)
SLICE: Final = timedelta(milliseconds=200)  # the longest sleep before a request to stop is noticed
WAKE_SPACING: Final = timedelta(milliseconds=250)  # from one tick's beginning to the next that news asked for
MARKET_WAKE_SPACING: Final = timedelta(milliseconds=500)  # the same for a move of the market while a position is held
GLANCE_SPACING: Final = timedelta(milliseconds=20)  # between two looks at market news: a flood of it spins nothing
SUSPICION_SPACING: Final = timedelta(seconds=1)  # between two ticks that a suspected loss asked for
FIRST_DELAY: Final = timedelta(seconds=1)
LONGEST_DELAY: Final = timedelta(seconds=30)
WIND_DOWN: Final = timedelta(seconds=10)
PROOF_WITHIN: Final = timedelta(seconds=10)  # a lost connection is back by then
PROOF_HURRIED: Final = timedelta(seconds=1)  # somebody waits for the end
DEFAULT_GIVE_UP: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How long, how fast, and whether orders are really placed."""

    duration: timedelta | None = None
    ticks: int | None = None
    interval: timedelta = timedelta(seconds=1)
    dry_run: bool = False
    give_up_after: timedelta = DEFAULT_GIVE_UP


@dataclass(frozen=True, slots=True, kw_only=True)
class TickReport:
    """What a progress line shows after each tick."""

    at: datetime
    ticks: int
    intents: int
    accepted: int
    denied: int
    unknown: int
    halted: bool
    problem: str
    said: tuple[str, ...] = ()  # what happened to the streams since the last report


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """The summary, the exit code, and what was left undone or went wrong."""

    summary: RunSummary
    exit_code: ExitCode
    problems: tuple[str, ...]


class Supervisor:
    """Runs one strategy on one product until it is told, or has, to stop."""

    def __init__(
        self,
        *,
        engine: Engine,
        lease: Lease,
        switch: KillSwitch,
        strategy: Strategy,
        options: RunOptions,
        progress: Callable[[TickReport], None] | None = None,
    ) -> None:
        self._engine = engine
        self._lease = lease
        self._strategy = strategy
        self._options = options
        self._progress = progress
        self._clock = engine.clock
        self._live = engine.live
        self._streams = StreamRecord(
            live=engine.live, clock=engine.clock, write=lambda row: self._event(EventKind.STREAMS, row)
        )
        self._book = RunBook(started=self._clock.now())
        self._ticker = Ticker(
            engine=engine,
            switch=switch,
            strategy=strategy,
            book=self._book,
            dry_run=options.dry_run,
            stopping=lambda: self._stop_level > 0,
        )
        self._stop_level = 0
        self._stopped_because = ""
        self._exit = ExitCode.DONE
        self._problems: dict[str, None] = {}
        self._failing_since: int | None = None
        self._failures = 0
        self._beat_at: int | None = None
        self._tick_began = 0
        self._suspected_at: int | None = None
        self._whole = False  # the next tick reads everything

    def request_stop(self, level: int = 1, because: str = "asked to stop") -> None:
        """No new orders from now on; level 1 cancels our orders first, level 2 ends at once. Safe from a signal handler."""
        self._stop_level = max(self._stop_level, level)
        self._stopped_because = self._stopped_because or because

    def run(self) -> RunResult:
        """Ticks until told to stop, time or ticks are over, or it cannot go on. LeaseHeld when another run owns it."""
        offered = self._engine.venue.capabilities
        if not (offered.native_gtd or offered.orders_die_with_connection):
            raise InvariantBroken("a dead loop's orders would rest for ever here: neither expiry nor dead man's switch")
        if not self._options.dry_run:
            self._lease.acquire()  # step: lease
        began = self._clock.monotonic_ns()
        try:
            self._begin()
            while not self._over(began):
                self._tick_began = self._clock.monotonic_ns()
                pause = self._guarded(self._tick)
                self._tell()
                left = self._options.interval - self._since(self._tick_began)
                self._wait(left if pause is None else pause, began, listening=pause is None)
        finally:
            result = self._end()
        return result

    # --- ticking ----------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """The whole record is verified before the first order rests on it (design 9). JournalCorrupt when it is not sound."""
        found = self._engine.journal.check(full=True)
        if not found.sound:
            raise JournalCorrupt(
                f"the journal is not sound: {found.problem}", fix="`perpsctl journal check` tells more"
            )
        self._guarded(lambda: self._event(EventKind.RUN_STARTED, {"strategy": self._strategy.name}))
        self._live.start((self._strategy.product_id,))
        self._guarded(self._streams.start)

    def _tick(self) -> None:
        if not self._options.dry_run:
            self._lease.renew()  # step: renew
        self._book.ticks += 1
        whole, self._whole = self._whole, False
        self._ticker.tick(whole=whole)
        self._heartbeat()
        self._streams.each_minute()

    def _guarded(self, step: Callable[[], None]) -> timedelta | None:
        """Run a step; how long to stay away from the venue when it did not answer. What cannot go on stops the loop."""
        try:
            step()
        except LeaseHeld as error:
            self._stop(error.message, error.exit_code, level=2)  # somebody else's portfolio now: touch nothing
        except (VenueUnreachable, VenueSpokeStrangely, VenueRefusedRequest) as error:
            return self._back_off(error)
        except PerpsctlError as error:
            self._engine.diagnostics.alarm("run_stops", problem=error.message)
            self._stop(error.message, error.exit_code)
        except Exception as error:  # a bug must not leave orders behind: cancel them, then say so
            self._engine.diagnostics.alarm("run_bug", kind=type(error).__name__)
            self._stop(f"a bug: {type(error).__name__}", ExitCode.BUG)
        else:
            self._failing_since, self._failures = None, 0
        return None

    def _back_off(self, error: PerpsctlError) -> timedelta:
        """Bounded exponential delay with jitter; the loop stops when the venue stays silent for `give_up_after`."""
        now = self._clock.monotonic_ns()
        self._failing_since = now if self._failing_since is None else self._failing_since
        self._failures += 1
        self._problems[error.message] = None
        if self._since(self._failing_since) >= self._options.give_up_after:
            self._stop(f"the venue did not answer: {error.message}", error.exit_code)
            return timedelta(0)
        doubled: int = 1 << min(self._failures - 1, 10)
        ceiling = min(FIRST_DELAY * doubled, LONGEST_DELAY)
        return ceiling / 2 + ceiling / 2 * self._engine.ids.jitter() // 1_000_000

    def _stop(self, because: str, exit_code: ExitCode, *, level: int = 1) -> None:
        self._problems[because] = None
        self._exit = exit_code
        self.request_stop(level, because)

    def _over(self, began: int) -> bool:
        if self._stop_level:
            return True
        if self._options.ticks is not None and self._book.ticks >= self._options.ticks:
            self._stopped_because = "all ticks done"
            return True
        if self._options.duration is not None and self._since(began) >= self._options.duration:
            self._stopped_because = "time is over"
            return True
        return False

    def _wait(self, pause: timedelta, began: int, *, listening: bool) -> None:
        """Until the pause is over or news wakes the loop; while the venue is to be left alone, news is only kept."""
        until = self._clock.monotonic_ns() + max(pause, timedelta(0)) // timedelta(microseconds=1) * 1000
        spacing: timedelta | None = None
        while not self._over(began):
            left = timedelta(microseconds=(until - self._clock.monotonic_ns()) // 1000)
            if spacing is not None:
                left = min(left, spacing - self._since(self._tick_began))
            if left <= timedelta(0):
                return
            if spacing == WAKE_SPACING:
                self._clock.sleep(min(left, SLICE))
            elif self._live.wait(min(left, SLICE)):
                asked = self._heard(listening=listening)
                spacing = spacing if asked is None else asked

    def _heard(self, *, listening: bool) -> timedelta | None:
        """How long after the last tick's beginning the news that came wants the next; None when it wants none."""
        if self._ticker.hear() and listening:
            return WAKE_SPACING
        if not listening:
            self._clock.sleep(GLANCE_SPACING)
            return None
        rested = self._suspected_at is None or self._since(self._suspected_at) >= SUSPICION_SPACING
        if rested and self._ticker.suspects_loss():
            self._suspected_at, self._whole = self._clock.monotonic_ns(), True
            return timedelta(0)
        self._clock.sleep(GLANCE_SPACING)
        return MARKET_WAKE_SPACING if self._ticker.holding else None

    def _since(self, began: int) -> timedelta:
        return timedelta(microseconds=(self._clock.monotonic_ns() - began) // 1000)

    def _heartbeat(self) -> None:
        if self._beat_at is None or self._since(self._beat_at) >= HEARTBEAT_EVERY:
            self._event(EventKind.HEARTBEAT, {"ticks": str(self._book.ticks)})
            self._beat_at = self._clock.monotonic_ns()

    def _event(self, kind: EventKind, payload: Mapping[str, object]) -> None:
        if not self._options.dry_run:
            self._engine.journal.record_event(kind, payload)

    def _tell(self) -> None:
        if self._progress is None:
            return
        self._progress(
            TickReport(
                at=self._clock.now(),
                ticks=self._book.ticks,
                intents=self._book.intents,
                accepted=self._book.accepted,
                denied=self._book.denied,
                unknown=self._book.unknown,
                halted=self._book.halted,
                problem=next(reversed(self._problems), ""),
                said=self._live.said(),
            )
        )

    # --- the end ----------------------------------------------------------------------------------------------

    def _end(self) -> RunResult:
        """Our orders are proven gone or named, the record says that the run ended, and the lease is free."""
        if self._stop_level < 2 and not self._options.dry_run:
            self._cancel_own()
        self._tell_doubts()
        proof = self._prove_book()
        figures = self._end_streams()
        fills = self._last_fills()
        reads = Reads()
        positions = reads.attempt("positions", self._engine.venue.positions)
        orders = reads.attempt("live orders", self._engine.venue.live_orders)
        self._problems.update(dict.fromkeys(reads.notes))
        self._tell_left_resting(orders)
        halted = self._engine.halts.facts().state is HaltState.ENGAGED
        self._book.halted = self._book.halted or halted
        if halted and self._exit is ExitCode.DONE:
            self._exit = ExitCode.DENIED
        summary = self._book.summary(
            ended=self._clock.now(),
            stopped_because=self._stopped_because or "interrupted",
            fills=fills,
            positions=None if positions is None else tuple(p for p in positions.positions if p.coin != 0),
            open_orders=None if orders is None else len(orders.orders),
            streams=figures,
            book_proof=proof,
        )
        self._close(summary)
        return RunResult(summary=summary, exit_code=self._exit, problems=tuple(self._problems))

    def _prove_book(self) -> BookProof | None:
        """The book we kept, held against the venue's; what differed is told."""
        proof = prove_book(
            self._live,
            self._engine.venue,
            self._clock,
            self._strategy.product_id,
            within=PROOF_HURRIED if self._stop_level else PROOF_WITHIN,
            stopping=lambda: self._stop_level > 1,
        )
        if proof is not None and proof.agreed is False:
            self._problems[f"at the end the streamed book was not what {proof.reads} reads told: {proof.detail}"] = None
        return proof

    def _end_streams(self) -> StreamFigures | None:
        """Closed, their figures in the journal, and what they were missing told."""
        figures = self._live.figures()
        try:
            self._streams.end()
        except JournalUnavailable as error:
            self._problems[error.message] = None
        self._problems.update(dict.fromkeys(self._live.outages()))
        self._live.stop()
        return figures

    def _cancel_own(self) -> None:
        """This loop's orders go; the journal names them, or what this run remembers when the journal is broken."""
        ids = set(self._book.orders)
        try:
            for record in self._engine.journal.in_doubt():
                self._engine.resolver.look(record)
            ids |= {each.venue_order_id for each in working_orders(self._engine.journal, self._strategy.product_id)}
        except JournalUnavailable as error:
            self._problems[error.message] = None

        def ours(order: VenueOrder) -> bool:
            return order.venue_order_id in ids or order.client_order_id in self._book.asked

        if not ids and not self._book.asked:
            return
        report = self._engine.canceller.cancel_all(
            self._strategy.product_id, wait=WIND_DOWN, only=ours
        )  # step: stop_cancel
        self._problems.update(dict.fromkeys(report.problems))
        if report.still_live or report.unproven:
            self._problems[f"{len(report.still_live) + len(report.unproven)} of our orders are not proven gone"] = None
            self._exit = ExitCode.PARTLY_DONE if self._exit is ExitCode.DONE else self._exit

    def _tell_left_resting(self, orders: OrdersRead | None) -> None:
        """A run that did not wait for its cancels is not done while an order of its own may rest (L3, L4)."""
        if self._stop_level < 2 or self._options.dry_run or not self._book.asked:
            return
        ours = () if orders is None else tuple(each for each in orders.orders if self._asked_for(each))
        if orders is not None and not ours:
            return
        which = (
            "whether orders of ours rest is not known" if orders is None else f"{len(ours)} of our orders rest still"
        )
        self._problems[f"ended at once, without cancelling: {which}; `perpsctl order list` shows them"] = None
        self._exit = ExitCode.PARTLY_DONE if self._exit is ExitCode.DONE else self._exit

    def _asked_for(self, order: VenueOrder) -> bool:
        return order.venue_order_id in self._book.orders or order.client_order_id in self._book.asked

    def _tell_doubts(self) -> None:
        """A run that leaves an order in doubt behind is not done, however well the rest went (L3, I4)."""
        if self._options.dry_run:
            return
        try:
            doubts = [str(record.intent.id) for record in self._engine.journal.in_doubt()]
        except JournalUnavailable as error:
            self._problems[error.message] = None
            return
        if doubts:
            self._problems[f"in doubt at the end: {', '.join(doubts)}; `perpsctl order resolve` looks again"] = None
            self._exit = ExitCode.UNKNOWN if self._exit is ExitCode.DONE else self._exit

    def _last_fills(self) -> tuple[Fill, ...]:
        """The booked fills of the orders this run placed."""
        try:
            tracked = self._engine.tracker.update(all_fills=True)
            self._problems.update(dict.fromkeys(problem.note for problem in tracked.problems))
            booked = self._engine.journal.fills(since=self._book.started - timedelta(minutes=1))
            mine = set(self._book.orders.values()) | set(self._book.doubts)
            return tuple(fill for fill in booked if self._mine(fill, mine))
        except JournalUnavailable as error:
            self._problems[error.message] = None
            return ()

    def _mine(self, fill: Fill, intents: set[IntentId]) -> bool:
        if fill.venue_order_id in self._book.orders:
            return True
        owner = self._engine.journal.intent_by_order(fill.venue_order_id)
        if owner is None:
            return False
        intent = owner.intent
        return (intent.target if isinstance(intent, EditIntent) else intent.id) in intents

    def _close(self, summary: RunSummary) -> None:
        if self._options.dry_run:
            return
        try:
            self._event(EventKind.RUN_STOPPED, {"because": summary.stopped_because, "ticks": str(summary.ticks)})
        except JournalUnavailable as error:
            self._problems[error.message] = None
        try:
            self._lease.release()
        except (JournalUnavailable, LeaseHeld) as error:
            self._problems[error.message] = None
