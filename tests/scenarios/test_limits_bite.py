"""Every limit bites through the whole product: state is set at the exchange, never the limit, and the rule's code is required.

Limits stand at their defaults; those that have none are set to what an ordinary order would break. A code that no state of
the exchange can bring about is named in `NOT_REACHED_HERE` with its reason, so that a new code cannot be forgotten.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from perpsctl.domain.numbers import Price
from perpsctl.domain.orders import Accepted, OrderIntent, Road, TimeInForce
from perpsctl.domain.reports import PlaceReport
from perpsctl.domain.sides import Side
from perpsctl.domain.verdicts import DenialCode
from perpsctl.engine.strategies import Proposal, StrategyState
from perpsctl.engine.supervisor import RunOptions, Supervisor
from perpsctl.journal.lease import Holder, RowLease
from perpsctl.risk.limits import SETTINGS, RiskLimits
from perpsctl.simulator.control import Control
from perpsctl.simulator.options import CalendarMode, Options
from tests.rig import World

pytestmark = pytest.mark.scenario

BTC, ETH = "BIP-20DEC30-CDE", "ETP-20DEC30-CDE"
MID: Final = Decimal(68000)

Act = Callable[[World], PlaceReport]

NOT_REACHED_HERE: Final = {
    DenialCode.FUNDING_UNKNOWN: "the exchange always tells a rate; tests/unit/risk holds the rule",
    DenialCode.EXIT_PRICE_UNKNOWN: "a product that was read once has a last known price; tests/unit/risk holds the rule",
    DenialCode.BOOKED_MISSING: "the desk judges inside the journal's transaction only; tests/unit/risk holds the rule",
    DenialCode.LIVE_NOT_ENABLED: "production only: tests/cli holds it",
    DenialCode.ACCOUNT_LOCKED: "only the second venue tells a lock: tests/cli/test_second_venue.py walks it",
    DenialCode.PREFLIGHT_TOKEN_MISSING: "production only: tests/cli holds it",
}
NOT_RULES: Final = {
    "funding_cash_times": "a calendar for quiet_minutes: read from the exchange here, from the setting in tests/unit/risk",
    "loss_policy": "what a breach does: tests/unit/engine/test_supervisor.py",
    "resting_ttl_s": "how long the loop's orders live: tests/scenarios/test_runs.py",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bite:
    """One state that a code must answer, and the settings whose bound it breaks."""

    code: DenialCode
    act: Act
    settings: tuple[str, ...] = ()
    limits: tuple[tuple[str, object], ...] = ()
    calendar: CalendarMode = CalendarMode.OPEN


def control(world: World) -> Control:
    return world.embedded.exchange.control


def still(world: World) -> None:
    """The market stands at MID, so that prices in a story mean what they say."""
    control(world).set_price(BTC, MID, hold=True)


def place(world: World, **terms: Any) -> PlaceReport:
    return world.engine.desk.place(world.intent(**terms), wait=timedelta(0))


def taking(world: World, **terms: Any) -> OrderIntent:
    """A buy that takes: 20 steps through its own best price."""
    return world.intent(**{"below": -20, "post_only": False, "tif": TimeInForce.IOC, **terms})


def ladder(bid: str, ask: str, contracts: str) -> tuple[tuple[tuple[Decimal, Decimal], ...], ...]:
    return ((Decimal(bid), Decimal(contracts)),), ((Decimal(ask), Decimal(contracts)),)


@contextmanager
def slow(world: World, *reads: str, seconds: int) -> Iterator[None]:
    """These reads take so long: whatever was read before them ages meanwhile."""
    for name in reads:
        world.venue.__dict__[name] = _late(world, getattr(world.venue, name), seconds)
    try:
        yield
    finally:
        for name in reads:
            del world.venue.__dict__[name]


def _late(world: World, read: Callable[..., Any], seconds: int) -> Callable[..., Any]:
    def late(*arguments: Any) -> Any:
        told = read(*arguments)
        world.clock.advance(seconds)
        return told

    return late


# --- the states, each with the order that must be denied -----------------------------------------------------


def held_too_much(world: World) -> PlaceReport:
    still(world)
    control(world).set_position(BTC, Decimal(14))  # 9,520 of a million; one more contract is over 10,000
    return place(world)


def held_short_too_much(world: World) -> PlaceReport:
    """The larger side counts: a buy does not help while a resting sell could make the short larger."""
    still(world)
    control(world).set_position(BTC, Decimal(-14))
    return place(world, side=Side.SELL)


def held_too_much_elsewhere(world: World) -> PlaceReport:
    control(world).set_position(ETH, Decimal(240))
    return place(world)


def lost_three_percent(world: World) -> PlaceReport:
    assert place(world, below=400).denied is None  # the day has a mark to count from
    control(world).set_balance(cbi_usd=Decimal(870_000))
    return place(world)


def lost_by_marks_hidden_by_a_deposit(world: World) -> PlaceReport:
    """1.4 BTC held from 68,000 down to 50,000, and somebody paid in: an unexplained rise offsets nothing."""
    still(world)
    control(world).set_position(BTC, Decimal(140))
    assert place(world).denied is not None  # the day has a mark to count from
    control(world).set_price(BTC, Decimal(50000), hold=True)
    control(world).set_balance(cbi_usd=Decimal(990_000))
    return place(world)


def no_mark_for_what_is_held(world: World) -> PlaceReport:
    control(world).set_position(ETH, Decimal(1))
    control(world).set_book(ETH, (), ())
    return place(world)


def wide_book(world: World) -> PlaceReport:
    control(world).set_book(BTC, *ladder("67850", "68150", "500"))
    return world.engine.desk.place(taking(world, price="68150"))


def thin_book(world: World) -> PlaceReport:
    control(world).set_book(BTC, *ladder("67995", "68005", "1"))
    return world.engine.desk.place(taking(world, price="68005"))


def deep_book_outside_the_band(world: World) -> PlaceReport:
    """A hundred contracts 30 bps away are no liquidity; those within 25 bps are too few."""
    bids, asks = ladder("67995", "68005", "1")
    control(world).set_book(BTC, (*bids, (Decimal(67790), Decimal(500))), (*asks, (Decimal(68210), Decimal(500))))
    return world.engine.desk.place(taking(world, price="68005"))


def dear_funding(world: World) -> PlaceReport:
    control(world).set_funding(BTC, Decimal("0.00005"))  # 0.12 % a day
    return place(world)


def dear_funding_for_the_short(world: World) -> PlaceReport:
    control(world).set_funding(BTC, Decimal("-0.00005"))
    return place(world, side=Side.SELL)


def cash_moves_soon(world: World) -> PlaceReport:
    soon = world.clock.now() + timedelta(minutes=29)
    control(world).set_cash_times((f"{soon:%H:%M}",))
    return world.engine.desk.place(taking(world))


def accrual_is_soon(world: World) -> PlaceReport:
    world.clock.advance(45 * 60)
    return world.engine.desk.place(taking(world))


def dearer_margin_soon(world: World) -> PlaceReport:
    world.embedded.exchange.set_margin_setting("INTRADAY_MARGIN_SETTING_INTRADAY")
    world.clock.advance(34 * 3600 + 40 * 60)  # Monday 20:40 UTC: intraday rates end at 16:00 New York
    world.embedded.advance()
    return world.engine.desk.place(taking(world))


def maintenance_soon(world: World) -> PlaceReport:
    now = world.clock.now()
    control(world).set_maintenance(BTC, now + timedelta(minutes=20), now + timedelta(minutes=50))
    return world.engine.desk.place(taking(world))


def closed_session(world: World) -> PlaceReport:
    intent = world.intent()
    control(world).expire_session(BTC)
    return world.engine.desk.place(intent)


def status(**flags: bool) -> Act:
    def act(world: World) -> PlaceReport:
        intent = taking(world)
        control(world).set_status(BTC, **flags)
        return world.engine.desk.place(intent)

    return act


def twice(world: World) -> PlaceReport:
    still(world)
    assert place(world).denied is None
    return place(world)


def many(count: int) -> Act:
    def act(world: World) -> PlaceReport:
        still(world)
        for each in range(count):
            assert place(world, below=40 + each).denied is None
        return place(world, below=200)

    return act


def through_the_mark(world: World) -> PlaceReport:
    still(world)
    return world.engine.desk.place(taking(world, price="68705"))


def far_away(world: World) -> PlaceReport:
    still(world)
    return place(world, price="33000")


def empty_book(world: World) -> PlaceReport:
    intent = world.intent()
    control(world).set_book(BTC, (), ())
    return world.engine.desk.place(intent)


def index_elsewhere(world: World) -> PlaceReport:
    still(world)
    control(world).set_index(BTC, Decimal(68800))
    return place(world)


def slow_book(world: World) -> PlaceReport:
    intent = world.intent()
    with slow(world, "book", seconds=6):
        return world.engine.desk.place(intent)


def slow_reads(world: World) -> PlaceReport:
    intent = world.intent()
    with slow(world, "positions", "book", seconds=6):
        return world.engine.desk.place(intent)


def unread(operation: str) -> Act:
    def act(world: World) -> PlaceReport:
        intent = world.intent()
        world.arm("N7", operation=operation, count=None)
        return world.engine.desk.place(intent)

    return act


def clock_off(world: World) -> PlaceReport:
    world.arm("A1", operation="any", count=None, seconds=5)
    return place(world)


def old_clock_measurement(world: World) -> PlaceReport:
    """Measured, and the reads after it take more than a minute: the measurement is too old by then."""
    intent = world.intent()
    with slow(world, "server_time", seconds=61):
        return world.engine.desk.place(intent)


def near_liquidation(world: World) -> PlaceReport:
    still(world)
    control(world).set_balance(cbi_usd=Decimal(0), cfm_usd=Decimal(22_000))
    control(world).set_position(BTC, Decimal(100))
    return place(world)


def meets_our_own(world: World) -> PlaceReport:
    still(world)
    sell = world.intent(side=Side.SELL, below=3)
    assert world.engine.desk.place(sell).denied is None
    return world.engine.desk.place(taking(world, price=str(sell.limit_price), tif=TimeInForce.GTC))


class Idle:
    """A strategy that wants nothing: the loop's watch is what the story is about."""

    name = "idle"

    def __init__(self, world: World) -> None:
        self.product_id = world.product().product_id

    def propose(self, state: StrategyState) -> Proposal:
        return Proposal()


def drifted_over(world: World) -> PlaceReport:
    still(world)
    intent = world.intent()
    world.engine.reconciler.run()
    control(world).set_position(BTC, Decimal(20))
    lease = RowLease(world.journal, Holder.this_process(world.ids))
    options = RunOptions(ticks=1)
    Supervisor(engine=world.engine, lease=lease, switch=world.switch, strategy=Idle(world), options=options).run()
    world.restart()  # an order placed by hand, beside the loop
    return world.engine.desk.place(intent)


def halted_while_reading(world: World) -> PlaceReport:
    """A halt that another host wrote in the journal, after the door and before the verdict."""
    intent = world.intent()
    read = world.venue.book

    def halted(*arguments: Any) -> Any:
        world.journal.record_halt(engaged=True, reason="elsewhere", by="op")
        return read(*arguments)

    world.venue.__dict__["book"] = halted
    return world.engine.desk.place(intent)


def engaged(world: World) -> PlaceReport:
    intent = world.intent()
    world.switch.engage(reason="test", by="op")
    return world.engine.desk.place(intent)


def reduces_nothing(world: World) -> PlaceReport:
    return world.engine.desk.place(replace(taking(world), reduce_only=True))


def rests_reducing(world: World) -> PlaceReport:
    control(world).set_position(BTC, Decimal(-1))
    return world.engine.desk.place(replace(world.intent(), reduce_only=True))


def exit_through_the_collar(world: World) -> PlaceReport:
    still(world)
    control(world).set_position(BTC, Decimal(-1))
    intent = replace(taking(world), reduce_only=True, road=Road.EXIT, limit_price=Price(Decimal(71450)))
    return world.engine.desk.place(intent)


def an_ordinary_order(world: World) -> PlaceReport:
    still(world)
    return place(world)


BITES: Final = (
    Bite(code=DenialCode.POSITION_ABOVE_MAX, act=held_too_much, settings=("position_max_share",)),
    Bite(code=DenialCode.POSITION_ABOVE_MAX, act=held_short_too_much),
    Bite(code=DenialCode.GROSS_ABOVE_MAX, act=held_too_much_elsewhere, settings=("gross_max_share",)),
    Bite(code=DenialCode.DAILY_LOSS_ABOVE_MAX, act=lost_three_percent, settings=("daily_loss_max_share",)),
    Bite(code=DenialCode.DAILY_LOSS_ABOVE_MAX, act=lost_by_marks_hidden_by_a_deposit),
    Bite(code=DenialCode.LOSS_BASELINE_MISSING, act=no_mark_for_what_is_held),
    Bite(code=DenialCode.MARK_MISSING, act=no_mark_for_what_is_held),
    Bite(code=DenialCode.ORDER_IMPACT_ABOVE_MAX, act=wide_book, settings=("order_impact_max_bps",)),
    Bite(code=DenialCode.LIQUIDITY_BELOW_MIN, act=thin_book, settings=("liquidity_min_usd",)),
    Bite(code=DenialCode.LIQUIDITY_BELOW_MIN, act=deep_book_outside_the_band, settings=("liquidity_band_bps",)),
    Bite(code=DenialCode.FUNDING_ABOVE_MAX, act=dear_funding, settings=("funding_max_share_per_day",)),
    Bite(code=DenialCode.FUNDING_ABOVE_MAX, act=dear_funding_for_the_short),
    Bite(code=DenialCode.QUIET_WINDOW, act=cash_moves_soon, settings=("quiet_minutes",)),
    Bite(
        code=DenialCode.QUIET_WINDOW,
        act=accrual_is_soon,
        settings=("quiet_basis",),
        limits=(("quiet_basis", "accrual"),),
    ),
    Bite(
        code=DenialCode.MARGIN_WINDOW_AHEAD,
        act=dearer_margin_soon,
        settings=("margin_window_lead_minutes",),
        calendar=CalendarMode.VENUE,
    ),
    Bite(code=DenialCode.BREAK_AHEAD, act=maintenance_soon),
    Bite(code=DenialCode.SESSION_CLOSED, act=closed_session),
    Bite(code=DenialCode.PRODUCT_STATUS, act=status(cancel_only=True)),
    Bite(code=DenialCode.PRODUCT_STATUS, act=status(post_only=True)),
    Bite(code=DenialCode.PRODUCT_STATUS, act=status(auction_mode=True)),
    Bite(code=DenialCode.PRODUCT_STATUS, act=status(trading_disabled=True)),
    Bite(
        code=DenialCode.ORDER_NOTIONAL_ABOVE_MAX,
        act=an_ordinary_order,
        settings=("order_notional_max",),
        limits=(("order_notional_max", 670),),
    ),
    Bite(code=DenialCode.ORDERS_PER_MINUTE_ABOVE_MAX, act=many(10), settings=("orders_per_minute_max",)),
    Bite(
        code=DenialCode.ORDERS_PER_DAY_ABOVE_MAX,
        act=many(2),
        settings=("orders_per_day_max",),
        limits=(("orders_per_day_max", 2),),
    ),
    Bite(
        code=DenialCode.OPEN_ORDERS_ABOVE_MAX,
        act=many(2),
        settings=("open_orders_max",),
        limits=(("open_orders_max", 2),),
    ),
    Bite(
        code=DenialCode.LEVERAGE_ABOVE_MAX,
        act=held_too_much,
        settings=("leverage_max",),
        limits=(("leverage_max", "0.009"),),
    ),
    Bite(code=DenialCode.PRICE_OUTSIDE_COLLAR, act=through_the_mark, settings=("price_collar_bps",)),
    Bite(code=DenialCode.PRICE_OUTSIDE_COLLAR, act=exit_through_the_collar, settings=("exit_collar_bps",)),
    Bite(code=DenialCode.PRICE_TOO_FAR, act=far_away, settings=("far_price_max_share",)),
    Bite(code=DenialCode.BOOK_MISSING, act=empty_book),
    Bite(code=DenialCode.MARK_DIVERGES, act=index_elsewhere, settings=("mark_divergence_max_bps",)),
    Bite(code=DenialCode.BOOK_STALE, act=slow_book, settings=("book_age_max_s",)),
    Bite(code=DenialCode.MARK_STALE, act=slow_book, settings=("mark_age_max_s",)),
    Bite(code=DenialCode.PRODUCT_STALE, act=slow_book),
    Bite(code=DenialCode.ACCOUNT_STALE, act=slow_reads, settings=("account_age_max_s",)),
    Bite(code=DenialCode.ACCOUNT_MISSING, act=unread("get_balance_summary")),
    Bite(code=DenialCode.ACCOUNT_MISSING, act=unread("list_positions")),
    Bite(code=DenialCode.ACCOUNT_MISSING, act=unread("list_orders")),
    Bite(code=DenialCode.CLOCK_UNKNOWN, act=unread("get_time")),
    Bite(code=DenialCode.CLOCK_UNKNOWN, act=old_clock_measurement, settings=("clock_age_max_s",)),
    Bite(code=DenialCode.CLOCK_SKEW_ABOVE_MAX, act=clock_off, settings=("clock_skew_max_ms",)),
    Bite(
        code=DenialCode.LIQUIDATION_TOO_NEAR, act=near_liquidation, settings=("liquidation_distance_min_share",)
    ),
    Bite(code=DenialCode.DUPLICATE_INTENT, act=twice, settings=("duplicate_guard_s",)),
    Bite(code=DenialCode.CROSSES_OWN_ORDER, act=meets_our_own),
    Bite(code=DenialCode.PRODUCT_REDUCING, act=drifted_over),
    Bite(code=DenialCode.HALTED, act=halted_while_reading),
    Bite(code=DenialCode.KILL_SWITCH_ENGAGED, act=engaged),
    Bite(code=DenialCode.NOT_REDUCING, act=reduces_nothing),
    Bite(code=DenialCode.REDUCE_ONLY_MUST_BE_ONE_SHOT, act=rests_reducing),
    Bite(
        code=DenialCode.PRODUCT_NOT_ALLOWED,
        act=an_ordinary_order,
        settings=("products_allowed",),
        limits=(("products_allowed", ["ETH-PERP"]),),
    ),
)  # fmt: skip


def built(folder: Path, bite: Bite | None = None) -> World:
    limits = RiskLimits.from_mapping(dict(bite.limits)) if bite is not None else None
    return World(folder, options=Options(calendar=bite.calendar if bite else CalendarMode.OPEN), limits=limits)


def test_an_ordinary_order_passes_every_rule(tmp_path: Path) -> None:
    world = built(tmp_path)
    assert isinstance(an_ordinary_order(world).outcome, Accepted)
    world.close()


@pytest.mark.parametrize("bite", BITES, ids=lambda bite: f"{bite.code.value}-{bite.act.__name__}")
def test_the_rule_bites_and_nothing_is_sent(bite: Bite, tmp_path: Path) -> None:
    world = built(tmp_path, bite)
    before = 0

    def counted(read: Callable[..., Any]) -> Callable[..., Any]:
        def place_counted(*arguments: Any, **terms: Any) -> Any:
            nonlocal before
            before = world.creates()
            return read(*arguments, **terms)

        return place_counted

    world.engine.desk.place = counted(world.engine.desk.place)  # type: ignore[method-assign]
    report = bite.act(world)
    assert report.denied is not None, report
    assert bite.code in {denial.code for denial in report.denied.denials}, report.denied
    assert world.creates() == before
    world.close()


def test_every_code_is_reached_or_named() -> None:
    reached = {bite.code for bite in BITES}
    assert reached | NOT_REACHED_HERE.keys() == set(DenialCode)
    assert not reached & NOT_REACHED_HERE.keys()


def test_every_limit_is_consulted_by_a_rule_that_bites() -> None:
    bitten = {name for bite in BITES for name in bite.settings}
    assert bitten | NOT_RULES.keys() == set(SETTINGS)
    assert not bitten & NOT_RULES.keys()
