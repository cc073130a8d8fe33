"""A state machine over the real desk: whatever an operator, a venue, a wire and a crash do, in any order, and after every
step the invariants, judged by the exchange's own book and the journal's file.

The world is that of the schedules (`tests.dst`); what happens next is chosen by Hypothesis, which also makes a failure small.
"""

import shutil
import tempfile
from decimal import Decimal
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from perpsctl.domain.ids import IntentId
from perpsctl.domain.orders import Accepted, EditIntent, NotSent, OrderStatus, Rejected, SubmitOutcome
from tests.dst.judge import judge
from tests.dst.schedule import (
    AT_CREATE,
    CREATE_LOST,
    MODES,
    OF_READS,
    PARAMETERS,
    ExchangeFault,
    ProcessFault,
    Schedule,
    Step,
)
from tests.dst.story import ALL_OPEN, STATES, Story
from tests.dst.world import PRODUCTS, site_of

MEMORY = Path("/dev/shm")
NOT_OVER = "L1 the schedule never came to its end"  # of a story that still goes on
CRASH_AT = ("", "wire.write", "journal.decide", "journal.record", "venue.submit", "venue.", "step.")
AT_CANCEL = ("E8", "E9", "E10", "E11", "N5")

lots = st.sampled_from((1, 1, 2, 3, 5, 8))
sides = st.sampled_from(("buy", "buy", "sell"))
which = st.integers(0, 2)
crashes = st.none() | st.tuples(st.sampled_from(CRASH_AT), st.integers(1, 6))


class DeskMachine(RuleBasedStateMachine):
    """One exchange, one profile, one operator; `judge_every` steps the whole judge looks, the cheap rules always."""

    judge_every = 4

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="perpsctl-machine-", dir=MEMORY if MEMORY.is_dir() else None))
        self.story: Story | None = None
        self.steps = 0
        self.doubts: set[str] = set()
        self.filled: dict[str, Decimal] = {}
        self.final: dict[str, OrderStatus] = {}

    @initialize(
        venue=st.sampled_from(("us", "global")),
        socket=st.booleans(),
        mode=st.sampled_from(MODES),
        seed=st.integers(1, 50),
    )
    def begin(self, venue: str, socket: bool, mode: str, seed: int) -> None:
        schedule = Schedule(
            seed=seed,
            venue=venue,
            socket=socket and venue == "global",
            mode=mode,
            latency_ms=5,
            limits={"duplicate_guard_s": "1", "funding_cash_times": "20:00"},
            steps=(),
            exchange=(),
            process=(),
        )
        self.story = Story(site_of(schedule, self.folder))
        self.story.site.watch.look()

    # --- how a step is done --------------------------------------------------------------------------------------

    def _do(self, do: str, crash: tuple[str, int] | None = None, **args: str | int) -> None:
        story = self.story
        assert story is not None
        site = story.site
        story.number = self.steps
        self.steps += 1
        if crash is not None:
            at, nth = crash
            fault = ProcessFault(step=story.number, kind="crash", at=at, nth=nth)
            site.life._faults = (*site.life._faults, fault)
        site.watch.disturbed = False
        site.life.begin(story.number)
        step = Step(do=do, args=args)
        story._guarded(do, lambda: getattr(story, f"_{do}")(step))
        site.life.begin(-1)
        site.watch.look()

    def _arm(
        self, name: str, operation: str | None, *, nth: int = 1, count: int | None = 1, lasts: int | None = None
    ) -> None:
        assert self.story is not None
        told = {key: values[0] for key, values in PARAMETERS.get(name, {}).items()}
        fault = ExchangeFault(
            before=0, name=name, operation=operation, nth=nth, count=count, for_seconds=lasts, params=told
        )
        self.story._arm(fault)

    # --- the operator ----------------------------------------------------------------------------------------------

    @rule(side=sides, lots=lots, below=st.sampled_from((2, 40, 300)), wait=st.sampled_from((0, 20)), crash=crashes)
    def place_resting(self, side: str, lots: int, below: int, wait: int, crash: tuple[str, int] | None) -> None:
        self._do("place", crash, side=side, lots=lots, below=below, tif="gtc", post_only=1, wait=wait)

    @rule(side=sides, lots=lots, below=st.sampled_from((-30, -10)), tif=st.sampled_from(("ioc", "gtc")), crash=crashes)
    def place_taking(self, side: str, lots: int, below: int, tif: str, crash: tuple[str, int] | None) -> None:
        self._do("place", crash, side=side, lots=lots, below=below, tif=tif, post_only=0, wait=1)

    @rule(fault=st.sampled_from(CREATE_LOST), side=sides, lots=lots, wait=st.sampled_from((0, 20)))
    def place_and_lose_the_reply(self, fault: str, side: str, lots: int, wait: int) -> None:
        self._arm(fault, "create_order")
        self._do("place", side=side, lots=lots, below=40, tif="gtc", post_only=1, wait=wait)

    @rule(fault=st.sampled_from(AT_CREATE), side=sides, lots=lots)
    def place_and_the_venue_refuses_or_errs(self, fault: str, side: str, lots: int) -> None:
        self._arm(fault, "create_order")
        self._do("place", side=side, lots=lots, below=40, tif="gtc", post_only=1, wait=5)

    @rule(which=which, crash=crashes)
    def place_under_a_known_id(self, which: int, crash: tuple[str, int] | None) -> None:
        self._do("replay", crash, which=which)

    @rule(which=which, move=st.sampled_from((0, 5, -3)), lots=st.sampled_from((0, 1, 2, 6)), crash=crashes)
    def edit(self, which: int, move: int, lots: int, crash: tuple[str, int] | None) -> None:
        self._do("edit", crash, which=which, move=move, lots=lots)

    @rule(which=which)
    def edit_and_lose_the_reply(self, which: int) -> None:
        self._arm("E24", None)
        self._do("edit", which=which, move=5, lots=0)

    @rule(which=which, move=st.sampled_from((5, 20)), crash=crashes)
    def replace_order(self, which: int, move: int, crash: tuple[str, int] | None) -> None:
        self._do("replace", crash, which=which, move=move)

    @rule(which=which, fault=st.none() | st.sampled_from(AT_CANCEL), crash=crashes)
    def cancel(self, which: int, fault: str | None, crash: tuple[str, int] | None) -> None:
        if fault is not None:
            self._arm(fault, "cancel_orders")
        self._do("cancel", crash, which=which)

    @rule(crash=crashes)
    def cancel_all(self, crash: tuple[str, int] | None) -> None:
        self._do("cancel_all", crash)

    @rule(lots=st.sampled_from((0, 1)))
    def close(self, lots: int) -> None:
        self._do("close", lots=lots)

    @rule(flatten=st.integers(0, 1), crash=crashes)
    def engage(self, flatten: int, crash: tuple[str, int] | None) -> None:
        self._do("engage", crash, flatten=flatten)

    @rule()
    def release(self) -> None:
        self._do("release")

    @rule(crash=crashes)
    def reconcile(self, crash: tuple[str, int] | None) -> None:
        self._do("reconcile", crash)

    @rule(seconds=st.sampled_from((0, 5, 60)))
    def resolve(self, seconds: int) -> None:
        self._do("resolve", seconds=seconds)

    # --- what happens around --------------------------------------------------------------------------------------

    @rule(which=which, part=st.sampled_from((1, 2)))
    def partial_fill(self, which: int, part: int) -> None:
        self._do("fill", which=which, part=part)

    @rule(side=sides, lots=st.sampled_from((1, 3)), below=st.sampled_from((-30, 60)))
    def somebody_else_orders(self, side: str, lots: int, below: int) -> None:
        self._do("outside", side=side, lots=lots, below=below)

    @rule(ms=st.sampled_from((200, 2000, 15000, 61000)))
    def time_passes(self, ms: int) -> None:
        self._do("wait", ms=ms)

    @rule(bps=st.sampled_from((-150, -40, 40, 150)))
    def the_price_moves(self, bps: int) -> None:
        self._do("price", bps=bps)

    @rule(fault=st.sampled_from(OF_READS), nth=st.integers(1, 12), count=st.sampled_from((1, 5)))
    def reads_will_fail(self, fault: str, nth: int, count: int) -> None:
        self._arm(fault, "reads", nth=nth, count=count)

    @rule(state=st.sampled_from(sorted(STATES)))
    def the_venue_closes_a_door(self, state: str) -> None:
        self._arm(state, None)

    @rule()
    def faults_end(self) -> None:
        assert self.story is not None
        site = self.story.site
        site.heal()
        for product in PRODUCTS[self.story.case.venue].values():
            site.embedded.exchange.control.set_status(product, **ALL_OPEN)

    @rule()
    def the_process_is_killed_and_begins_again(self) -> None:
        assert self.story is not None
        self.story._reborn()

    # --- invariants ------------------------------------------------------------------------------------------------

    @invariant()
    def doubt_ends_by_evidence_alone(self) -> None:
        """I4: who was in doubt and is no more has an outcome that says by what."""
        if self.story is None:
            return
        with self.story.site.life.silence():
            journal = self.story.site.journal
            now = {str(record.intent.id) for record in journal.in_doubt()}
            for ident in self.doubts - now:
                record = journal.intent(IntentId(ident))
                assert record is not None, f"I4 {ident} is gone"
                outcome: SubmitOutcome | None = record.outcome
                assert isinstance(outcome, (Accepted, Rejected, NotSent)), f"I4 {ident} left doubt as {outcome}"
                assert outcome.evidence, f"I4 {ident} left doubt without evidence"
            self.doubts = now

    @invariant()
    def states_move_forward(self) -> None:
        """I5, I8: final stays final but that FILLED wins, filled never falls and never exceeds what the order has."""
        if self.story is None:
            return
        with self.story.site.life.silence():
            for record in self.story.site.journal.intents():
                order = record.order
                if order is None or isinstance(record.intent, EditIntent):
                    continue
                ident = str(order.venue_order_id)
                assert order.filled >= self.filled.get(ident, Decimal(0)), f"I5 {ident}: filled fell to {order.filled}"
                assert order.size is None or order.filled <= order.size, (
                    f"I5 {ident}: {order.filled} of {order.size} filled"
                )
                before = self.final.get(ident)
                assert before is None or order.status in (before, OrderStatus.FILLED), (
                    f"I5 {ident}: {before} became {order.status}"
                )
                self.filled[ident] = order.filled
                if order.status.final:
                    self.final[ident] = order.status

    @invariant()
    def the_book_agrees_with_what_was_meant(self) -> None:
        """I1, I2, I3, I7, R1, R5, R8, L3 and the rest of the judge's rules."""
        if self.story is None or (self.steps % self.judge_every and self.steps > 1):
            return
        self._judged()

    def _judged(self) -> None:
        assert self.story is not None
        found = [each for each in dict.fromkeys(judge(self.story.case)) if not each.startswith(NOT_OVER)]
        assert not found, "; ".join(found[:5])

    def teardown(self) -> None:
        """Faults end, the next process finds out what is so (L1), and the whole is judged once more (I6, I8)."""
        story = self.story
        try:
            if story is not None:
                story.site.life.begin(-1)
                story._heal()
                found = tuple(dict.fromkeys(judge(story.case)))
                assert not found, "; ".join(found[:5])
        finally:
            if story is not None:
                story.close()
            shutil.rmtree(self.folder, ignore_errors=True)
