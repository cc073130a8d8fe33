"""The loop: evidence first, watch before strategy, a clean stop, and no order left behind by anything but a kill."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from perpsctl.domain.accounts import TradingState
from perpsctl.domain.errors import (
    ExitCode,
    InvariantBroken,
    LeaseHeld,
    RateLimited,
    VenueRefusedUs,
)
from perpsctl.domain.ids import ProductId
from perpsctl.domain.numbers import Price, Size
from perpsctl.domain.orders import OrderStatus, Origin
from perpsctl.domain.reports import HaltState
from perpsctl.domain.sides import Side
from perpsctl.engine.strategies import Proposal, Strategy, StrategyState, Wish
from perpsctl.engine.strategies.canary import Canary
from perpsctl.engine.supervisor import RunOptions, RunResult, Supervisor, TickReport
from perpsctl.risk.limits import RiskLimits
from tests.builders import BTC, a_book, a_product, an_intent
from tests.unit.engine.conftest import House, build
from tests.unit.engine.fakes import DOWN, FakeVenue, ManualClock

PRODUCT = ProductId(BTC)
LIMITS = RiskLimits.from_mapping({"funding_cash_times": ["20:00"], "orders_per_minute_max": "1000"})


class Scripted:
    """Proposes what each tick's script says; remembers the states it saw."""

    def __init__(self, *script: Proposal | Callable[[StrategyState], Proposal]) -> None:
        self.script = list(script)
        self.seen: list[StrategyState] = []

    @property
    def name(self) -> str:
        return "scripted"

    @property
    def product_id(self) -> ProductId:
        return PRODUCT

    def propose(self, state: StrategyState) -> Proposal:
        self.seen.append(state)
        if not self.script:
            return Proposal()
        step = self.script.pop(0)
        return step(state) if callable(step) else step


def buy(price: str = "59900", size: str = "0.01") -> Proposal:
    return Proposal(wishes=(Wish(side=Side.BUY, size=Size(Decimal(size)), price=Price(Decimal(price)), reason="test"),))


def supervisor(house: House, strategy: Strategy, **options: object) -> Supervisor:
    return Supervisor(
        engine=house.engine,
        lease=house.lease,
        switch=house.switch,
        strategy=strategy,
        options=RunOptions(**options),  # type: ignore[arg-type]
    )


def run(house: House, strategy: Strategy, **options: object) -> RunResult:
    return supervisor(house, strategy, **options).run()


@pytest.fixture
def loose(tmp_path: Path) -> House:
    return build(tmp_path, LIMITS)


def test_a_run_places_counts_cancels_and_ends_clean(house: House) -> None:
    result = run(house, Scripted(buy()), ticks=3)
    assert result.exit_code is ExitCode.DONE
    assert (result.summary.ticks, result.summary.intents, result.summary.accepted) == (3, 1, 1)
    assert result.summary.acceptance_rate == 1
    assert result.summary.latency_ms.p50 == Decimal("1.500")
    assert result.summary.open_orders == 0
    assert house.venue.live() == []
    assert house.lease.released
    assert house.journal.kinds()[0] == "run_started"
    assert "run_stopped" in house.journal.kinds()


def test_L3_a_run_that_ends_with_an_order_in_doubt_is_not_done(house: House) -> None:
    house.venue.endings = ["lost"]
    result = run(house, Scripted(buy()), ticks=1)
    assert result.exit_code is ExitCode.UNKNOWN
    assert any("in doubt" in problem for problem in result.problems)
    (record,) = house.journal.in_doubt()
    assert record.intent.id in " ".join(result.problems)


def test_resting_entries_are_native_gtd_of_the_ttl(house: House) -> None:
    run(house, Scripted(buy()), ticks=1)
    (sent,) = house.venue.submitted
    intent = sent.order.intent
    assert intent.expires is not None
    assert intent.expires - intent.created_at == timedelta(seconds=120)
    assert intent.post_only
    assert intent.origin is Origin.STRATEGY


def test_a_dead_loops_entry_expires_at_the_venue_by_itself(house: House) -> None:
    loop = supervisor(house, Scripted(buy()), ticks=2)
    loop._begin()
    loop._tick()
    assert len(house.venue.live()) == 1  # and now the process is gone
    house.clock.advance(timedelta(seconds=121))
    assert house.venue.live_orders().orders == ()


def test_time_is_over_after_its_duration(house: House) -> None:
    began = house.clock.now()
    result = run(house, Scripted(), duration=timedelta(seconds=10))
    assert result.summary.stopped_because == "time is over"
    assert 9 <= result.summary.ticks <= 11
    assert house.clock.now() - began <= timedelta(seconds=11)


def test_a_request_to_stop_is_noticed_within_a_slice(house: House) -> None:
    loop = supervisor(house, Scripted(buy()), interval=timedelta(seconds=60))
    house.clock.at_sleep.append(lambda: loop.request_stop(1, "SIGTERM"))
    began = house.clock.now()
    result = loop.run()
    assert house.clock.now() - began < timedelta(seconds=1)
    assert result.summary.stopped_because == "SIGTERM"
    assert house.venue.live() == []


def test_L4_no_order_is_placed_after_a_signal_in_the_middle_of_a_tick(house: House) -> None:
    loops: list[Supervisor] = []

    def interrupted(state: StrategyState) -> Proposal:
        loops[0].request_stop(1, "SIGTERM")
        return buy()

    loops.append(supervisor(house, Scripted(interrupted), ticks=5))
    assert loops[0].run().summary.stopped_because == "SIGTERM"
    assert house.venue.submitted == []


def test_L4_the_second_signal_ends_at_once_without_cancels(house: House) -> None:
    loop = supervisor(house, Scripted(buy()), interval=timedelta(seconds=60))
    house.clock.at_sleep.append(lambda: loop.request_stop(2, "SIGINT twice"))
    result = loop.run()
    assert "cancel" not in house.venue.calls
    assert result.exit_code is ExitCode.PARTLY_DONE  # L3: an order of its own rests still
    assert any("1 of our orders rest still" in problem for problem in result.problems)
    assert house.lease.released


def test_a_second_run_is_refused_before_anything_is_sent(house: House) -> None:
    house.lease.taken_by_other = True
    with pytest.raises(LeaseHeld):
        run(house, Scripted(buy()), ticks=1)
    assert house.venue.calls == []
    assert house.journal.kinds() == []


def test_J5_a_lease_that_was_taken_over_stops_the_loop_and_touches_nothing(house: House) -> None:
    def lose(state: StrategyState) -> Proposal:
        house.lease.taken_by_other = True
        return buy()

    result = run(house, Scripted(lose, buy("59800")), ticks=5)
    assert result.exit_code is ExitCode.LEASE_HELD
    assert len(house.venue.submitted) == 1
    assert "cancel" not in house.venue.calls


def test_reconcile_comes_before_the_first_wish(house: House) -> None:
    order = house.engine.desk.place(an_intent()).order
    assert order is not None
    house.venue.fill(order.venue_order_id)
    seen: list[int] = []

    def look(state: StrategyState) -> Proposal:
        seen.append(len(house.journal.fills()))
        return Proposal()

    run(house, Scripted(look), ticks=1)
    assert seen == [1]


def test_an_order_in_doubt_from_before_a_crash_is_ended_by_the_loop(house: House) -> None:
    house.venue.endings = ["hidden"]
    house.engine.desk.place(an_intent(), wait=timedelta(0))
    assert house.journal.in_doubt()
    strategy = Scripted()
    run(house, strategy, ticks=20)
    assert strategy.seen[0].in_doubt == 1
    assert strategy.seen[-1].in_doubt == 0
    assert house.journal.in_doubt() == ()


def test_a_lost_reply_within_the_run_is_adopted_counted_and_cancelled_at_the_end(house: House) -> None:
    house.venue.endings = ["hidden"]
    result = run(house, Scripted(buy()), ticks=20)
    assert result.summary.unknown == 1
    assert len(house.venue.submitted) == 1
    assert house.venue.live() == []
    assert house.journal.in_doubt() == ()


def test_an_engaged_switch_stops_entries_and_shows_in_the_exit_code(house: House) -> None:
    def engage(state: StrategyState) -> Proposal:
        house.switch.engage(reason="test", by="op")
        return buy()

    strategy = Scripted(engage, buy("59800"), buy("59700"))
    result = run(house, strategy, ticks=3)
    assert house.venue.submitted == []
    assert result.summary.halted
    assert result.exit_code is ExitCode.DENIED
    assert len(strategy.seen) == 1


def test_a_daily_loss_latches_cancels_and_flattens(house: House) -> None:
    house.venue.coin[PRODUCT] = Decimal("0.01")

    def lose(state: StrategyState) -> Proposal:
        house.venue.equity = "979000"
        return buy("59900")

    result = run(house, Scripted(lose), ticks=4)
    assert house.halts.facts().state is HaltState.ENGAGED
    assert house.journal.halts[-1][3] is True
    assert house.venue.live() == []
    assert house.venue.coin[PRODUCT] == 0
    assert result.summary.halted
    assert "daily_loss_breached" in house.talk.alarms
    assert len([halt for halt in house.journal.halts if halt[0]]) == 1


def test_the_policy_halt_does_not_flatten(tmp_path: Path) -> None:
    house = build(tmp_path, RiskLimits.from_mapping({"funding_cash_times": ["20:00"], "loss_policy": "halt"}))
    house.venue.coin[PRODUCT] = Decimal("0.01")

    def lose(state: StrategyState) -> Proposal:
        house.venue.equity = "979000"
        return Proposal()

    run(house, Scripted(lose), ticks=3)
    assert house.halts.facts().state is HaltState.ENGAGED
    assert house.venue.coin[PRODUCT] == Decimal("0.01")


def test_R5_an_outside_order_over_the_limit_puts_the_product_in_reducing_within_one_tick(house: House) -> None:
    def outside(state: StrategyState) -> Proposal:
        house.venue.rest(size="0.2", limit_price="59000")
        return Proposal()

    strategy = Scripted(outside, buy("59900"), Proposal())
    result = run(house, strategy, ticks=3)
    assert strategy.seen[1].trading is TradingState.REDUCING
    assert house.venue.submitted == []
    assert result.summary.denials_by_code["product_reducing"] == 1


def test_a_product_is_active_again_when_exposure_is_back(house: House) -> None:
    def outside(state: StrategyState) -> Proposal:
        house.venue.rest(size="0.2", limit_price="59000")
        return Proposal()

    def gone(state: StrategyState) -> Proposal:
        for order in house.venue.live():
            house.venue._end(order, OrderStatus.CANCELLED)
        return Proposal()

    strategy = Scripted(outside, gone)
    run(house, strategy, ticks=4)
    assert [state.trading for state in strategy.seen] == ["active", "reducing", "active", "active"]


def test_E17_a_position_no_fill_explains_stops_entries_on_that_product(house: House) -> None:
    house.engine.desk.place(an_intent())
    house.venue.coin[PRODUCT] = Decimal("0.02")
    run(house, Scripted(buy("59800")), ticks=2)
    assert house.journal.states[PRODUCT] is TradingState.REDUCING


def test_N6_a_silent_venue_is_backed_off_from_and_given_up_on(house: House) -> None:
    house.venue.fail("*", RateLimited("429"))
    began = house.clock.now()
    result = run(house, Scripted(buy()), give_up_after=timedelta(minutes=5))
    assert result.exit_code is ExitCode.UNREACHABLE
    assert timedelta(minutes=5) <= house.clock.now() - began <= timedelta(minutes=6)
    assert result.summary.ticks <= 40
    assert result.summary.positions is None
    assert result.summary.open_orders is None


def test_a_venue_that_comes_back_is_traded_on_again(house: House) -> None:
    house.venue.fail("account", DOWN, times=3)
    strategy = Scripted(buy())
    result = run(house, strategy, ticks=8)
    assert result.exit_code is ExitCode.DONE
    assert result.summary.accepted == 1


@pytest.mark.parametrize("read", ["live_orders", "orders_since", "account", "positions", "book", "fills", "product"])
def test_L5_the_strategy_is_not_asked_while_a_read_fails(house: House, read: str) -> None:
    strategy = Scripted(buy())
    house.venue.fail(read)
    run(house, strategy, ticks=3)
    assert strategy.seen == []
    assert house.venue.submitted == []


def test_A2_refused_credentials_stop_the_loop_with_their_own_code(house: House) -> None:
    def revoke(state: StrategyState) -> Proposal:
        house.venue.fail("account", VenueRefusedUs("401"))
        return Proposal()

    result = run(house, Scripted(revoke), ticks=10)
    assert result.exit_code is ExitCode.CREDENTIALS_REFUSED
    assert result.summary.ticks == 2


@pytest.mark.parametrize("writes", range(12))
def test_D1_a_journal_that_breaks_at_any_write_stops_the_loop_and_leaves_no_order(house: House, writes: int) -> None:
    house.journal.broken["*"] = writes
    result = run(house, Scripted(buy(), buy("59800"), buy("59700")), ticks=4)
    assert result.exit_code is ExitCode.JOURNAL
    sent = [str(each.intent_id) for each in house.venue.submitted]
    assert all(each in {str(i) for i in house.journal.held} for each in sent)
    assert house.venue.live() == []


def test_a_bug_in_a_strategy_cancels_our_orders_and_says_so(house: House) -> None:
    def bug(state: StrategyState) -> Proposal:
        raise ZeroDivisionError

    result = run(house, Scripted(buy(), bug), ticks=9)
    assert result.exit_code is ExitCode.BUG
    assert house.venue.live() == []
    assert result.summary.ticks == 2


def test_an_invariant_that_broke_stops_the_loop(house: House) -> None:
    def broke(state: StrategyState) -> Proposal:
        raise InvariantBroken("two and two is five")

    assert run(house, Scripted(broke), ticks=9).exit_code is ExitCode.BUG


def test_orders_that_cannot_be_cancelled_at_the_end_are_told(house: House) -> None:
    house.venue.cancel_mode = "refuse"
    result = run(house, Scripted(buy()), ticks=1)
    assert result.exit_code is ExitCode.PARTLY_DONE
    assert any("not proven gone" in problem for problem in result.problems)


def test_a_dry_run_takes_no_lease_sends_nothing_and_records_no_intent(house: House) -> None:
    result = run(house, Scripted(buy(), buy(size="0.3")), ticks=2, dry_run=True)
    assert (result.summary.intents, result.summary.denied, result.summary.accepted) == (2, 1, 0)
    assert house.venue.submitted == []
    assert house.lease.holder() is None
    assert house.journal.intents() == ()


def test_a_resting_order_is_renewed_by_a_new_intent_before_it_expires(house: House) -> None:
    result = run(house, Scripted(buy()), ticks=100)
    assert len(house.venue.submitted) == 2
    first, second = house.venue.submitted
    assert first.intent_id != second.intent_id
    assert first.order.intent.expires is not None
    assert second.judged_at < first.order.intent.expires
    assert result.summary.accepted == 2


def test_renewal_places_only_what_is_left(loose: House) -> None:
    def fill_some(state: StrategyState) -> Proposal:
        loose.venue.fill(loose.venue.live()[0].venue_order_id, "0.01")
        return Proposal()

    run(loose, Scripted(buy(size="0.03"), fill_some), ticks=100)
    assert [sent.order.size for sent in loose.venue.submitted] == [Decimal("0.03"), Decimal("0.02")]


def test_an_unproven_cancel_is_not_renewed_over(house: House) -> None:
    """The old order stays live until it expires: its renewal comes only after that is proven."""
    house.venue.cancel_mode = "never"
    most: list[int] = []
    house.clock.at_sleep.append(lambda: most.append(len(house.venue.live())))
    run(house, Scripted(buy()), ticks=70, interval=timedelta(seconds=2))
    assert max(most) == 1
    first, second = house.venue.submitted
    assert first.order.intent.expires is not None
    assert second.judged_at >= first.order.intent.expires


def test_entries_are_taken_away_before_a_quiet_window(tmp_path: Path) -> None:
    house = build(tmp_path, RiskLimits.from_mapping({"funding_cash_times": ["12:31"]}))
    strategy = Scripted(buy())
    run(house, strategy, ticks=70)
    assert len(house.venue.submitted) == 1
    assert [len(state.working) for state in strategy.seen][1] == 1
    assert strategy.seen[-1].working == ()  # the loop took it away, long before it ended
    assert "entry_cancelled_ahead" in house.talk.notes


def test_R7_resting_reductions_go_when_the_position_is_gone(loose: House) -> None:
    loose.venue.coin[PRODUCT] = Decimal("0.01")
    wish = Wish(
        side=Side.SELL, size=Size(Decimal("0.01")), price=Price(Decimal(60005)), reason="back", reduce_only=True
    )

    def vanish(state: StrategyState) -> Proposal:
        loose.venue.coin.clear()
        return Proposal()

    strategy = Scripted(Proposal(wishes=(wish,)), vanish, Proposal())
    run(loose, strategy, ticks=3)
    assert [len(state.working) for state in strategy.seen] == [0, 1, 0]


def test_pending_exits_are_retried_by_the_loop(house: House) -> None:
    house.venue.coin[PRODUCT] = Decimal("0.01")
    house.venue.endings = ["session"]
    house.engine.exits.flatten([PRODUCT])
    assert house.journal.exits_pending()
    run(house, Scripted(), duration=timedelta(seconds=70))
    assert house.journal.exits_pending() == ()
    assert house.venue.coin[PRODUCT] == 0


def test_progress_is_told_after_each_tick(house: House) -> None:
    told: list[TickReport] = []
    loop = Supervisor(
        engine=house.engine,
        lease=house.lease,
        switch=house.switch,
        strategy=Scripted(buy()),
        options=RunOptions(ticks=3),
        progress=told.append,
    )
    loop.run()
    assert [report.ticks for report in told] == [1, 2, 3]
    assert told[0].accepted == 1


def test_a_loop_whose_orders_would_outlive_it_does_not_start(house: House) -> None:
    house.venue.native_gtd = False
    with pytest.raises(InvariantBroken, match="dead loop"):
        run(house, Scripted(), ticks=1)


def test_the_watch_goes_on_while_reconcile_cannot_read(house: House) -> None:
    house.venue.fail("orders_since")
    house.engine.views.fresh(PRODUCT)
    house.venue.equity = "979000"
    run(house, Scripted(buy()), ticks=2)
    assert house.halts.facts().state is HaltState.ENGAGED


def test_a_venue_that_fails_now_and_then_is_not_given_up_on(house: House) -> None:
    def fail_again(state: StrategyState) -> Proposal:
        house.venue.fail("account", DOWN, times=2)
        return Proposal()

    result = run(house, Scripted(*[fail_again] * 30), ticks=90, give_up_after=timedelta(seconds=15))
    assert result.exit_code is ExitCode.DONE
    assert result.summary.stopped_because == "all ticks done"


def test_L5_what_could_not_be_told_is_no_all_clear_for_a_product(house: House) -> None:
    house.journal.states[PRODUCT] = TradingState.REDUCING
    house.venue.fail("account")
    run(house, Scripted(), ticks=3)
    assert house.journal.states[PRODUCT] is TradingState.REDUCING
    house.venue.heal()
    run(house, Scripted(), ticks=1)
    assert house.journal.states[PRODUCT] is TradingState.ACTIVE


def test_heartbeats_are_written(house: House) -> None:
    run(house, Scripted(), duration=timedelta(seconds=12))
    assert 2 <= house.journal.kinds().count("heartbeat") <= 4


# --- the canary ------------------------------------------------------------------------------------------


def moving_market(venue: FakeVenue, clock: ManualClock) -> None:
    """The price swings by 60 in 40 seconds; resting orders it reaches are filled."""
    start = clock.now()

    def mid() -> Decimal:
        second = (clock.now() - start) // timedelta(seconds=1) % 40
        return Decimal(60000 + 5 * (second if second < 20 else 40 - second))

    venue.books[PRODUCT] = lambda: a_book(mid=str(mid()))

    def match() -> None:
        book = venue.books[PRODUCT]()
        for order in venue.live():
            if order.limit_price is None or not order.post_only:
                continue
            bought = order.side is Side.BUY and book.asks[0].price <= order.limit_price
            sold = order.side is Side.SELL and book.bids[0].price >= order.limit_price
            if bought or sold:
                venue.fill(order.venue_order_id)

    clock.at_sleep.append(match)


def test_the_canary_gets_fills_and_cancels_and_never_holds_more_than_its_minimum(house: House) -> None:
    moving_market(house.venue, house.clock)
    most: list[Decimal] = []
    house.clock.at_sleep.append(lambda: most.append(abs(house.venue.coin.get(PRODUCT, Decimal(0)))))
    result = run(house, Canary(PRODUCT), duration=timedelta(seconds=120))
    summary = result.summary
    assert result.exit_code is ExitCode.DONE
    assert summary.fills >= 2
    assert any(order.status is OrderStatus.CANCELLED for order in house.venue.orders_.values())
    assert max(most) == Decimal("0.01")
    assert summary.denials_by_code == {}
    assert summary.acceptance_rate is not None
    assert summary.acceptance_rate > Decimal("0.95")
    assert summary.open_orders == 0
    assert summary.realised is not None
    report = house.engine.reconciler.run()
    assert report.matched


def test_the_canary_leaves_a_position_alone_that_it_cannot_have_opened(house: House) -> None:
    house.venue.coin[PRODUCT] = Decimal("0.05")
    run(house, Canary(PRODUCT), duration=timedelta(seconds=30))
    assert house.venue.submitted == []


def test_the_canary_takes_its_way_out_when_resting_was_not_enough(house: House) -> None:
    house.venue.coin[PRODUCT] = Decimal("0.01")
    run(house, Canary(PRODUCT), duration=timedelta(seconds=15))
    assert house.venue.coin[PRODUCT] == 0
    kinds = [(sent.order.intent.reason, sent.order.one_shot) for sent in house.venue.submitted]
    assert kinds[:2] == [("canary back 0", False), ("canary out 0", True)]


def test_the_canary_finds_its_way_back_although_another_order_could_close_it_too(house: House) -> None:
    house.venue.coin[PRODUCT] = Decimal("0.01")
    house.venue.rest(side=Side.SELL, limit_price="62000")
    run(house, Canary(PRODUCT), duration=timedelta(seconds=20))
    assert house.venue.coin[PRODUCT] == 0
    assert [sent.order.intent.reduce_only for sent in house.venue.submitted][:1] == [False]


def test_the_canary_opens_nothing_it_might_not_be_able_to_close_within_the_budget(house: House) -> None:
    moving_market(house.venue, house.clock)
    for number in range(8):
        house.engine.desk.place(an_intent(id=f"intent-80{number}", limit_price=str(59000 + 5 * number)))
    house.engine.desk.cancel_all()
    placed = len(house.venue.submitted)
    run(house, Canary(PRODUCT), duration=timedelta(seconds=50))
    assert len(house.venue.submitted) == placed
    run(house, Canary(PRODUCT), duration=timedelta(seconds=20))
    assert len(house.venue.submitted) > placed


def test_the_canary_stands_off_from_a_market_that_jumps(house: House) -> None:
    middles = iter(["60000", "60400", *["60000"] * 50])
    house.venue.books[PRODUCT] = lambda: a_book(mid=next(middles))
    canary = Canary(PRODUCT)
    state = StrategyState(
        now=house.clock.now(),
        product=house.venue.product(PRODUCT),
        view=house.engine.views.fresh(PRODUCT).view,
        position=Decimal(0),
        working=(),
        in_doubt=1,
        trading=TradingState.ACTIVE,
        orders_left=10,
        last_reports=(),
    )
    assert canary.propose(state) == Proposal()
    (wish,) = canary.propose(replace(state, view=house.engine.views.fresh(PRODUCT).view, in_doubt=0)).wishes
    assert wish.price == Decimal("60395") - 100


def test_J2_after_a_failed_write_the_loop_ends_and_does_not_try_again(house: House) -> None:
    house.journal.broken["record_event"] = 1
    result = run(house, Scripted(), ticks=10)
    assert result.exit_code is ExitCode.JOURNAL
    assert result.summary.ticks == 1


@pytest.mark.parametrize(
    ("bid", "ask", "step", "buy", "sell"),
    [("68930", "68935", "5", "68920", "68945"), ("60000", "60001", "1", "59994", "60008")],
)
def test_the_canary_stands_back_two_steps_and_a_basis_point_from_a_still_market(
    bid: str, ask: str, step: str, buy: str, sell: str
) -> None:
    """A market that moves one step while the order is on its way must not make it a post-only reject (design 10)."""
    canary = Canary(PRODUCT)
    product = a_product(price_step=step)
    book = a_book(bids=((bid, "1"),), asks=((ask, "1"),))
    assert canary._near_touch(book, Side.BUY, product) == Decimal(buy)
    assert canary._near_touch(book, Side.SELL, product) == Decimal(sell)
