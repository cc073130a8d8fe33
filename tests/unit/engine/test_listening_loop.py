"""The loop on streams: hints say what to read, gaps make it reconcile, news wakes it, a flood does not spin it."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from perpsctl.domain.accounts import TradingState
from perpsctl.domain.errors import ExitCode, RateLimited
from perpsctl.domain.ids import ProductId, VenueOrderId
from perpsctl.domain.ports import EventKind
from perpsctl.domain.reports import HaltState
from perpsctl.domain.streams import ChannelState, NewsKind, StreamPart
from perpsctl.engine.strategies import Proposal, Strategy, StrategyState
from perpsctl.engine.supervisor import RunOptions, RunResult, Supervisor, TickReport
from perpsctl.risk.limits import RiskLimits
from tests.builders import BTC, a_book, an_intent
from tests.unit.engine.conftest import House, build
from tests.unit.engine.fake_streams import FIGURES, FakeStreams
from tests.unit.engine.fakes import DOWN, ManualClock
from tests.unit.engine.test_supervisor import Scripted, buy

PRODUCT = ProductId(BTC)
LIMITS = RiskLimits.from_mapping({"funding_cash_times": ["20:00"], "orders_per_minute_max": "1000"})
SECOND = timedelta(seconds=1)
ACCOUNT_READS = ("live_orders", "account", "positions")


@dataclass(frozen=True, slots=True)
class Scene:
    """A loop over streams that are live and tell a book message each time somebody waits for one."""

    house: House
    streams: FakeStreams
    reports: list[TickReport] = field(default_factory=list)
    quiet: list[bool] = field(default_factory=list)

    def loop(self, strategy: Strategy, **options: object) -> Supervisor:
        return Supervisor(
            engine=self.house.engine,
            lease=self.house.lease,
            switch=self.house.switch,
            strategy=strategy,
            options=RunOptions(**options),  # type: ignore[arg-type]
            progress=self.reports.append,
        )

    def run(self, strategy: Strategy | None = None, **options: object) -> RunResult:
        return self.loop(strategy or Scripted(), **options).run()

    def reads(self) -> Counter[str]:
        return Counter(call for call in self.house.venue.calls if call in ACCOUNT_READS)

    def each_tick(self, *actions: Callable[[], object]) -> "Acting":
        return Acting(*actions)


class Acting:
    """A strategy that wants nothing; each of its ticks does one more thing to the scene."""

    def __init__(self, *actions: Callable[[], object]) -> None:
        self.actions = list(actions)
        self.seen: list[StrategyState] = []
        self.name = "acting"
        self.product_id = PRODUCT

    def propose(self, state: StrategyState) -> Proposal:
        self.seen.append(state)
        if self.actions:
            self.actions.pop(0)()
        return Proposal()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    made: list[FakeStreams] = []

    def streams(clock: ManualClock) -> FakeStreams:
        made.append(FakeStreams(clock))
        return made[0]

    house = build(tmp_path, LIMITS, streams=streams)
    told = Scene(house, made[0])
    told.streams.live()
    told.streams.tell_book()

    def keep_telling() -> None:
        if house.clock.now() - told.streams.books[PRODUCT].as_of >= timedelta(milliseconds=900) and not told.quiet:
            told.streams.tell_book()

    house.clock.at_sleep.append(keep_telling)
    return told


def rest(scene: Scene) -> VenueOrderId:
    order = scene.house.engine.desk.place(an_intent()).order
    assert order is not None
    return order.venue_order_id


# --- what is read, and when ---------------------------------------------------------------------------------


def test_while_the_order_stream_is_live_the_account_is_polled_every_five_seconds(scene: Scene) -> None:
    result = scene.run(duration=20 * SECOND)
    assert result.summary.ticks >= 18
    for name in ACCOUNT_READS:
        assert 3 <= scene.reads()[name] <= 8, (name, scene.reads())  # the first, its reconcile, the end, and each 5 s


@pytest.mark.parametrize("state", [ChannelState.STALE, ChannelState.DOWN, ChannelState.BROKEN, ChannelState.STARTING])
def test_W4_without_a_live_order_stream_every_tick_reads_everything(scene: Scene, state: ChannelState) -> None:
    scene.streams.fail(state)
    result = scene.run(duration=10 * SECOND)
    for name in ACCOUNT_READS:
        assert scene.reads()[name] >= result.summary.ticks


def test_the_figures_held_between_full_reads_are_never_older_than_the_limit_on_their_age(scene: Scene) -> None:
    strategy = Acting()
    scene.run(strategy, duration=20 * SECOND)
    for state in strategy.seen:
        assert state.view.account is not None
        assert state.view.positions is not None
        assert state.view.orders is not None
        assert state.now - state.view.account.as_of <= 6 * SECOND
        assert state.view.positions.as_of >= state.view.orders.as_of


def test_I8_a_told_fill_is_fetched_and_read_never_summed_from_messages(scene: Scene) -> None:
    order = rest(scene)

    def fills() -> None:
        scene.house.venue.fill(order)
        for _ in range(3):  # the same news three times is one fill
            scene.streams.news(NewsKind.FILL, order=order)
        scene.house.venue.calls.clear()

    strategy = Acting(lambda: None, fills)
    scene.run(strategy, ticks=3)
    assert len(scene.house.journal.fills()) == 1
    assert strategy.seen[2].position == Decimal("0.01")
    assert strategy.seen[2].working == ()
    tick = scene.house.venue.calls[: scene.house.venue.calls.index("positions") + 1]
    assert tick == ["order", "fills", "product", "account", "positions"], "exactly the named order, and what it moved"


def test_news_of_a_fill_that_did_not_happen_books_nothing(scene: Scene) -> None:
    order = rest(scene)
    strategy = Acting(lambda: None, lambda: scene.streams.news(NewsKind.FILL, order=order))
    scene.run(strategy, ticks=3)
    assert scene.house.journal.fills() == ()
    assert strategy.seen[2].position == 0


def test_a_told_order_that_ended_leaves_the_listing_that_is_kept(scene: Scene) -> None:
    order = rest(scene)

    def ends() -> None:
        scene.house.venue.cancel((order,))
        scene.streams.news(NewsKind.ORDER, order=order)

    strategy = Acting(lambda: None, ends)
    scene.run(strategy, ticks=3)
    listings = [state.view.orders for state in strategy.seen]
    assert [len(each.orders) for each in listings if each is not None] == [1, 1, 0]


def test_news_of_an_order_that_is_none_of_ours_is_looked_up_in_the_listing(scene: Scene) -> None:
    def foreign() -> None:
        order = scene.house.venue.rest(size="0.01")
        scene.streams.news(NewsKind.ORDER, order=order.venue_order_id)

    strategy = Acting(lambda: None, foreign)
    scene.run(strategy, ticks=3)
    listing = strategy.seen[2].view.orders
    assert listing is not None
    assert len(listing.orders) == 1


@pytest.mark.parametrize("kind", [NewsKind.POSITION, NewsKind.BALANCE])
def test_news_of_money_reads_account_and_positions(scene: Scene, kind: NewsKind) -> None:
    def moved() -> None:
        scene.house.venue.coin[PRODUCT] = Decimal("0.01")
        scene.streams.news(kind)

    strategy = Acting(lambda: None, moved)
    scene.run(strategy, ticks=3)
    assert [state.position for state in strategy.seen] == [0, 0, Decimal("0.01")]


@pytest.mark.parametrize("read", ACCOUNT_READS)
def test_L5_a_read_that_fails_is_never_taken_for_what_was_held(scene: Scene, read: str) -> None:
    scene.house.venue.coin[PRODUCT] = Decimal("0.01")

    def fails() -> None:
        scene.house.venue.fail(read, times=1)
        scene.streams.news(NewsKind.UP)

    strategy = Acting(lambda: None, fails)
    scene.run(strategy, ticks=4)
    assert [state.position for state in strategy.seen] == [Decimal("0.01")] * 3, "the tick that failed asked nobody"


def test_L5_a_named_order_that_could_not_be_read_is_looked_for_again_by_a_full_read(scene: Scene) -> None:
    order = rest(scene)

    def fills_unread() -> None:
        scene.house.venue.fill(order)
        scene.house.venue.fail("order", times=1)
        scene.streams.news(NewsKind.FILL, order=order)

    strategy = Acting(lambda: None, fills_unread)
    scene.run(strategy, ticks=4)
    assert len(strategy.seen) == 3
    assert strategy.seen[2].position == Decimal("0.01")
    assert strategy.seen[2].working == ()
    assert len(scene.house.journal.fills()) == 1


def test_L5_an_old_mark_is_no_all_clear_for_a_product_over_its_limit(scene: Scene) -> None:
    held_at(scene, "0.2")  # 12,000 of a million at 60,000: over one per cent
    scene.house.engine.reconciler.run()

    def blind() -> None:
        scene.quiet.append(True)
        scene.house.venue.fail("book")
        scene.streams.fail(ChannelState.STALE, StreamPart.BOOK, PRODUCT)
        book = scene.streams.books[PRODUCT]
        scene.streams.books[PRODUCT] = replace(
            book, bids=book.bids[-1:], asks=book.asks[:1], as_of=book.as_of - 60 * SECOND
        )
        scene.house.venue.coin[PRODUCT] = Decimal("0.1")

    scene.run(Acting(lambda: None, blind), ticks=6)
    assert scene.house.journal.states[PRODUCT] is TradingState.REDUCING


# --- what unsettles -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "part"), [(NewsKind.UP, None), (NewsKind.OVERFLOW, None), (NewsKind.GAP, StreamPart.ORDERS)]
)
def test_W1_what_unsettles_is_reconciled_at_once_and_told_to_be_settled(
    scene: Scene, kind: NewsKind, part: StreamPart | None
) -> None:
    strategy = Acting(lambda: None, lambda: scene.streams.news(kind, part=part))
    scene.run(strategy, ticks=3)
    assert scene.house.venue.calls.count("orders_since") >= 2, "the run's first reconcile, and this one"
    assert scene.streams.settlements == 1


def test_W1_a_gap_in_the_book_alone_is_no_reason_to_reconcile(scene: Scene) -> None:
    scene.run(Acting(lambda: None, lambda: scene.streams.news(NewsKind.GAP, part=StreamPart.BOOK)), ticks=3)
    assert scene.streams.settlements == 0


def test_L5_a_reconcile_that_could_not_read_everything_settles_nothing_and_is_tried_again(scene: Scene) -> None:
    def unsettle() -> None:
        scene.streams.news(NewsKind.UP)
        scene.house.venue.fail("orders_since", times=1)

    strategy = Acting(lambda: None, unsettle)
    result = scene.run(strategy, ticks=4)
    assert scene.streams.settlements == 1
    assert len(strategy.seen) == 3, "the tick without a whole reconcile asked nobody"
    assert any("reconcile could not read everything" in problem for problem in result.problems)


def test_an_order_that_was_lost_with_a_connection_is_found_by_the_reconcile(scene: Scene) -> None:
    order = rest(scene)

    def fills_unheard() -> None:
        scene.house.venue.fill(order)
        scene.streams.news(NewsKind.UP)

    strategy = Acting(lambda: None, fills_unheard)
    scene.run(strategy, ticks=3)
    assert len(scene.house.journal.fills()) == 1
    assert strategy.seen[2].position == Decimal("0.01")


# --- waking ---------------------------------------------------------------------------------------------------


def test_news_of_an_order_wakes_the_loop_at_once(scene: Scene) -> None:
    order = rest(scene)
    moments: list[timedelta] = []
    began = scene.house.clock.now()

    def fills() -> None:
        if scene.house.clock.now() - began >= 7 * SECOND and not moments:
            moments.append(scene.house.clock.now() - began)
            scene.house.venue.fill(order)
            scene.streams.news(NewsKind.FILL, order=order)

    scene.house.clock.at_sleep.append(fills)
    strategy = Acting()
    scene.run(strategy, interval=60 * SECOND, ticks=2)
    assert strategy.seen[1].now - began - moments[0] <= timedelta(milliseconds=200)


def test_a_market_move_wakes_the_loop_only_while_something_is_held(scene: Scene) -> None:
    scene.run(Acting(), interval=60 * SECOND, duration=10 * SECOND)
    assert len(scene.reports) == 1
    scene.house.venue.coin[PRODUCT] = Decimal("0.01")
    scene.run(Acting(), interval=60 * SECOND, duration=10 * SECOND)
    assert 8 <= len(scene.reports) - 1 <= 12, "one a message, and a message comes each 0.9 s"


def test_W10_a_flood_of_order_news_does_not_spin_the_loop_and_heartbeats_go_on(scene: Scene) -> None:
    renewals: list[None] = []
    scene.house.lease.renew = lambda: renewals.append(None)  # type: ignore[method-assign]
    order = rest(scene)

    def flood() -> None:
        scene.house.clock.advance(timedelta(milliseconds=1))
        for _ in range(50):
            scene.streams.news(NewsKind.ORDER, order=order)

    scene.streams.at_wait.append(flood)
    result = scene.run(duration=20 * SECOND)
    assert 60 <= result.summary.ticks <= 84, "one each 250 ms at the most"
    assert scene.streams.waits <= 3 * result.summary.ticks, "what comes meanwhile is left for the next tick"
    assert len(renewals) == result.summary.ticks
    assert 4 <= scene.house.journal.kinds().count(EventKind.HEARTBEAT) <= 5


def test_W10_a_flood_of_market_news_costs_a_bounded_number_of_looks(scene: Scene) -> None:
    scene.streams.at_wait.append(scene.streams.tell_book)
    result = scene.run(duration=10 * SECOND)
    assert result.summary.ticks <= 11
    assert scene.streams.waits <= 10 * 50 + 20


def test_L4_a_request_to_stop_is_noticed_in_the_middle_of_a_flood(scene: Scene) -> None:
    loop = scene.loop(Acting(), interval=60 * SECOND)
    asked: list[timedelta] = []
    began = scene.house.clock.now()

    def flood() -> None:
        scene.streams.tell_book()
        if scene.house.clock.now() - began > 3 * SECOND and not asked:
            asked.append(scene.house.clock.now() - began)
            loop.request_stop(1, "SIGTERM")

    scene.streams.at_wait.append(flood)
    result = loop.run()
    assert result.summary.stopped_because == "SIGTERM"
    assert result.summary.ended - began - asked[0] <= timedelta(milliseconds=200)


def test_news_does_not_cut_short_the_time_the_venue_is_left_alone(scene: Scene) -> None:
    order = rest(scene)
    scene.house.venue.fail("*", RateLimited("429"))
    scene.streams.at_wait.append(lambda: scene.streams.news(NewsKind.ORDER, order=order))
    result = scene.run(duration=20 * SECOND)
    assert result.summary.ticks <= 8, "1, 2, 4, 8 s and their jitter"


# --- losses -------------------------------------------------------------------------------------------------


def held_at(scene: Scene, coin: str) -> None:
    scene.house.venue.coin[PRODUCT] = Decimal(coin)


def test_R1_a_loss_seen_by_a_streamed_mark_is_confirmed_by_reads_and_then_engages(scene: Scene) -> None:
    held_at(scene, "10")
    began = scene.house.clock.now()
    fell: list[timedelta] = []

    def fall() -> None:
        if scene.house.clock.now() - began >= 2 * SECOND and not fell:
            fell.append(scene.house.clock.now() - began)
            scene.quiet.append(True)
            scene.house.venue.equity = "970000"
            scene.streams.tell_book("57000")
            scene.house.venue.calls.clear()

    scene.house.clock.at_sleep.append(fall)
    strategy = Acting()
    result = scene.run(strategy, interval=60 * SECOND, duration=30 * SECOND)
    assert scene.house.halts.facts().state is HaltState.ENGAGED
    assert scene.house.halts.facts().loss_breach
    assert result.exit_code is ExitCode.DENIED
    engaged = scene.house.talk.alarms.index("daily_loss_breached")
    assert engaged >= 0
    calls = scene.house.venue.calls
    assert calls.index("account") < calls.index("cancel" if "cancel" in calls else "submit")


def test_a_loss_is_looked_into_at_once_although_a_tick_has_just_been(scene: Scene) -> None:
    held_at(scene, "10")
    fell: list[datetime] = []

    def fall() -> None:
        if scene.reports and not fell:
            scene.house.clock.advance(timedelta(milliseconds=50))
            fell.append(scene.house.clock.now())
            scene.quiet.append(True)
            scene.house.venue.equity = "970000"
            scene.streams.tell_book("57000")

    engaged: list[datetime] = []
    engage = scene.house.switch.engage

    def noted(**terms: object) -> object:
        engaged.append(scene.house.clock.now())
        return engage(**terms)  # type: ignore[arg-type]

    scene.house.switch.engage = noted  # type: ignore[assignment,method-assign]
    scene.streams.at_wait.append(fall)
    scene.run(Acting(), interval=60 * SECOND, ticks=4)
    assert engaged
    assert engaged[0] - fell[0] < timedelta(milliseconds=100)


def test_a_streamed_mark_that_reads_do_not_confirm_engages_nothing_and_spins_nothing(scene: Scene) -> None:
    held_at(scene, "10")

    def lie() -> None:
        scene.quiet.append(True)
        scene.streams.tell_book("50000")
        scene.streams.tell_mark("50000")

    def truth() -> None:  # what the venue says when it is asked
        book = scene.streams.books[PRODUCT]
        scene.streams.books[PRODUCT] = replace(book, as_of=scene.house.clock.now())

    scene.streams.at_wait.append(truth)
    scene.house.venue.equity = "1000000"
    result = scene.run(Acting(lambda: None, lie), duration=10 * SECOND, interval=SECOND)
    assert scene.house.halts.facts().state is HaltState.RELEASED
    assert result.summary.ticks <= 24


# --- the end ------------------------------------------------------------------------------------------------


def test_the_summary_and_the_journal_tell_how_the_streams_served(scene: Scene) -> None:
    result = scene.run(duration=130 * SECOND)
    summary = result.summary
    assert (summary.stream_uptime, summary.gaps, summary.reconnects) == (Decimal("0.9995"), 1, 2)
    assert (summary.recovery_s.max, summary.recovery_s.samples) == (Decimal("0.800"), 1)
    assert (summary.data_age_ms.p50, summary.data_age_ms.p99) == (Decimal("40.000"), Decimal("60.000"))
    rows = [json.loads(event.payload) for event in reversed(scene.house.journal.events(kind=EventKind.STREAMS))]
    assert [row["what"] for row in rows] == ["started", "minute", "minute", "ended"]
    assert rows[-1]["added"]["messages"] == "0", "each row adds only what came since the last"
    assert scene.streams.stopped


def test_the_run_tells_whether_the_book_it_kept_is_the_book_a_read_tells(scene: Scene) -> None:
    equal = scene.run(ticks=2)
    assert equal.summary.book_proof is not None
    assert equal.summary.book_proof.agreed is True
    assert equal.problems == ()


def test_W1_a_book_that_is_not_what_reads_tell_is_a_problem_of_the_run(scene: Scene) -> None:
    scene.house.venue.books[PRODUCT] = lambda: a_book(mid="60100")
    differs = scene.run(ticks=2)
    assert differs.summary.book_proof is not None
    assert differs.summary.book_proof.agreed is False
    assert any("the streamed book was not what" in problem for problem in differs.problems), differs.problems


def test_a_run_without_streams_says_so_and_writes_no_figures(house: House) -> None:
    loop = Supervisor(
        engine=house.engine, lease=house.lease, switch=house.switch, strategy=Scripted(buy()),
        options=RunOptions(ticks=2),
    )  # fmt: skip
    summary = loop.run().summary
    assert (summary.stream_uptime, summary.gaps, summary.reconnects, summary.book_proof) == (None, None, None, None)
    assert EventKind.STREAMS not in house.journal.kinds()


def test_that_polling_took_over_is_in_the_progress_once_and_among_the_problems(scene: Scene) -> None:
    strategy = Acting(lambda: None, lambda: scene.streams.fail(ChannelState.DOWN, reason="connection lost"))
    result = scene.run(strategy, ticks=6)
    said = [text for report in scene.reports for text in report.said]
    assert said == ["polling: orders stream down since 12:00:01Z: connection lost"]
    assert any(problem.startswith("polling: orders stream down") for problem in result.problems)
    assert result.exit_code is ExitCode.DONE


def test_streams_are_stopped_whatever_ended_the_run(scene: Scene) -> None:
    def bug(state: StrategyState) -> Proposal:
        raise RuntimeError("a bug")

    assert scene.run(Scripted(bug), ticks=3).exit_code is ExitCode.BUG
    assert scene.streams.stopped


def test_a_journal_that_breaks_at_the_end_does_not_keep_the_figures_from_the_summary(scene: Scene) -> None:
    loop = scene.loop(Acting(lambda: scene.house.journal.broken.update({"record_event": 0})), ticks=2)
    result = loop.run()
    assert result.summary.gaps == FIGURES.gaps
    assert scene.streams.stopped


def test_the_account_that_did_not_answer_while_covered_is_a_problem_of_its_tick(scene: Scene) -> None:
    def money() -> None:
        scene.house.venue.fail("account", DOWN, times=1)
        scene.streams.news(NewsKind.BALANCE)

    strategy = Acting(lambda: None, money)
    result = scene.run(strategy, ticks=4)
    assert len(strategy.seen) == 3
    assert any("did not answer" in problem for problem in result.problems)
