"""The ledger explains the balance to the last decimal on both venues, and names what it cannot explain.

The judge is the simulator's own account: its wallets and its rows, never what perpsctl says of itself.
"""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from perpsctl.domain.cash import CashLedger
from perpsctl.domain.errors import UsageError
from perpsctl.domain.orders import TimeInForce
from perpsctl.domain.products import VenueId
from perpsctl.domain.reports import Break, BreakClass, ReconcileReport
from perpsctl.domain.sides import Side
from perpsctl.simulator.gateway.admission import Terms
from perpsctl.simulator.options import CalendarMode, Options
from perpsctl.simulator.orders import ConfigKind, Configuration, OrderRequest, PlacementSource
from perpsctl.simulator.orders import Side as VenueSide
from perpsctl.simulator.views import JudgeView
from tests.rig import World

BOTH = (VenueId.US, VenueId.GLOBAL)
HOURLY = Decimal("0.00003")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def world_of(folder: Path, venue: VenueId, seed: int = 1) -> World:
    made = World(folder / f"{venue.value}-{seed}", venue=venue, options=Options(seed=seed, calendar=CalendarMode.VENUE))
    open_ledger = reconcile(made).ledger
    assert open_ledger is not None
    assert open_ledger.difference == 0
    return made


def reconcile(world: World) -> ReconcileReport:
    report = world.engine.reconciler.run(ledger=True)
    assert report.unread == ()
    return report


def ledger(world: World) -> CashLedger:
    found = reconcile(world).ledger
    assert found is not None
    return found


def cash(view: JudgeView, venue: VenueId) -> Decimal:
    """What the account truly holds in cash: every row of every wallet, isolated slots included."""
    return sum((row.amount for row in (view.ledger if venue is VenueId.US else view.usdc_ledger)), Decimal(0))


def trade(world: World, side: Side, size: str = "0.02") -> None:
    report = world.engine.desk.place(
        world.intent(side=side, size=size, below=-50, tif=TimeInForce.IOC, post_only=False)
    )
    assert report.denied is None, report.denied
    world.clock.advance(40)


def by_hand(world: World, side: VenueSide, contracts: int) -> None:
    """Somebody else trades on the account, through the venue's own face."""
    world.embedded.exchange.control.inject_order(
        OrderRequest(
            client_order_id="",
            product_id=str(world.product().product_id),
            side=side,
            configuration=Configuration(kind=ConfigKind.MARKET_IOC, base_size=Decimal(contracts)),
            source=PlacementSource.RETAIL_SIMPLE,
        )
    )


def pass_hours(world: World, hours: int, *, looking: bool = True) -> None:
    for _ in range(hours):
        world.clock.advance(3600)
        world.embedded.advance()
        if looking:
            reconcile(world)


def fixed_funding(world: World, rate: Decimal = HOURLY) -> None:
    world.embedded.exchange.control.set_funding(str(world.product().product_id), rate)


def of_kind(report: ReconcileReport, kind: str) -> list[Break]:
    return [each for each in report.breaks if each.kind == kind]


def events(world: World) -> int:
    return world.journal.check(full=False).rows


@pytest.mark.parametrize("venue", BOTH)
@pytest.mark.parametrize("seed", range(2))
def test_random_histories_are_explained_to_the_last_decimal(folder: Path, venue: VenueId, seed: int) -> None:
    world = world_of(folder, venue, seed)
    chance = Random(seed)
    moved = Decimal(0)
    for _ in range(16):
        match chance.randrange(6):
            case 0:
                trade(world, Side.BUY, chance.choice(("0.01", "0.02")))
            case 1:
                trade(world, Side.SELL, "0.01")
            case 2:
                fixed_funding(world, Decimal(chance.randrange(-30, 30)) / 1_000_000)
            case 3:
                by_hand(world, chance.choice(list(VenueSide)), 3)
            case 4 if venue is VenueId.GLOBAL:
                amount = Decimal(chance.randrange(-90_000, 90_000) or 1) / 100
                world.embedded.exchange.control.move_money(amount)
                moved += amount
            case _:
                pass_hours(world, chance.randrange(1, 7))
        found = ledger(world)
        assert found.difference == 0
        assert found.balance == cash(world.embedded.exchange.judge_view(), venue)
    pass_hours(world, 14)  # over a cash event or a settlement
    report = reconcile(world)
    assert [each for each in report.breaks if each.kind in ("cash", "funding", "fee")] == []
    assert report.ledger is not None
    assert report.ledger.difference == 0
    assert report.ledger.balance == cash(world.embedded.exchange.judge_view(), venue)
    world.close()


@pytest.mark.parametrize("venue", BOTH)
def test_each_figure_is_the_simulators_own(folder: Path, venue: VenueId) -> None:
    world = world_of(folder, venue)
    fixed_funding(world)
    trade(world, Side.BUY)
    for _ in range(23):
        pass_hours(world, 1)
    found = ledger(world)
    view = world.embedded.exchange.judge_view()
    rows = view.ledger if venue is VenueId.US else view.usdc_ledger

    def told(*kinds: str) -> Decimal:
        return sum((row.amount for row in rows if row.kind in kinds), Decimal(0))

    assert found.fees == told("fee") != 0
    assert found.funding != 0
    assert found.realised + found.funding == told("trade_pnl", "funding", "settlement")
    assert found.opening == told("opening")
    assert found.funding_expected is not None
    assert abs(found.funding_expected - found.funding) <= abs(found.funding) / 20
    world.close()


@pytest.mark.parametrize("venue", BOTH)
@pytest.mark.parametrize("how", ["twice", "missed", "wrong_sign", "hourly", "wrong_time"])
def test_E19_funding_gone_wrong_is_named_as_funding(folder: Path, venue: VenueId, how: str) -> None:
    world = world_of(folder, venue)
    fixed_funding(world)
    trade(world, Side.BUY)
    world.arm("E19", operation="settle_funding", how=how, seconds=7200)
    first: ReconcileReport | None = None
    for _ in range(24):
        world.clock.advance(3600)
        world.embedded.advance()
        report = reconcile(world)
        wrong = [each for each in report.breaks if each.cls is BreakClass.FUNDING]
        if wrong and first is None:
            first = report
            assert all(each.owner == "venue" and each.next_step for each in wrong)
    assert first is not None, how
    assert {each.cls for each in first.breaks} == {BreakClass.FUNDING}
    world.close()


@pytest.mark.parametrize("venue", BOTH)
def test_I6_a_second_pass_without_change_writes_nothing_whatever_stands_open(folder: Path, venue: VenueId) -> None:
    world = world_of(folder, venue)
    trade(world, Side.BUY)
    by_hand(world, VenueSide.BUY, 1)
    world.embedded.exchange.control.set_balance(cfm_usd=Decimal(500_000), usdc=Decimal(900_000))
    reconcile(world)
    rows = events(world)
    first = reconcile(world)
    assert of_kind(first, "cash")
    assert events(world) == rows
    world.clock.advance(61)
    second = reconcile(world)
    assert events(world) == rows
    assert [each.since for each in second.breaks] == [each.since for each in first.breaks]
    world.restart()
    world.clock.advance(61)
    assert [each.since for each in reconcile(world).breaks] == [each.since for each in first.breaks]
    world.close()


def test_a_us_withdrawal_is_an_unexplained_difference_with_its_reason_until_it_is_accepted(folder: Path) -> None:
    world = world_of(folder, VenueId.US)
    trade(world, Side.BUY)
    before = world.embedded.exchange.judge_view().cfm_usd
    world.embedded.exchange.control.set_balance(cbi_usd=Decimal("899999.99"))
    lost = Decimal("899999.99") + before - cash(world.embedded.exchange.judge_view(), VenueId.US)
    assert lost == 0  # the simulator took the rest away and told nobody
    (found,) = of_kind(reconcile(world), "cash")
    assert (found.cls, found.owner, found.settled) == (BreakClass.UNKNOWN, "operator", False)
    assert "tells no deposits, withdrawals" in found.detail
    assert "--accept-cash" in found.next_step
    with pytest.raises(UsageError):
        world.engine.reconciler.accept_cash(by="ann", reason=" ")
    gone = world.engine.reconciler.accept_cash(by="ann", reason="moved to the bank")
    assert gone == Decimal(found.theirs) - Decimal(found.ours)
    assert of_kind(reconcile(world), "cash") == []
    with pytest.raises(UsageError):
        world.engine.reconciler.accept_cash(by="ann", reason="again")
    world.close()


def test_money_moved_at_the_gateway_stands_in_the_ledger_as_a_transfer(folder: Path) -> None:
    world = world_of(folder, VenueId.GLOBAL)
    world.embedded.exchange.control.move_money(Decimal("-1234.56"))
    world.embedded.exchange.control.move_money(Decimal("100.01"))
    found = ledger(world)
    assert (found.transfers, found.difference) == (Decimal("-1134.55"), Decimal(0))
    world.close()


@pytest.mark.parametrize("venue", BOTH)
def test_a_position_from_before_the_ledger_is_counted_from_where_it_stands(folder: Path, venue: VenueId) -> None:
    world = World(folder / "late", venue=venue, options=Options(calendar=CalendarMode.VENUE))
    by_hand(world, VenueSide.BUY, 5)
    fixed_funding(world)
    for _ in range(25):
        world.clock.advance(3600)
        world.embedded.advance()
    assert ledger(world).difference == 0
    trade(world, Side.SELL, "0.01")
    pass_hours(world, 25)
    assert ledger(world).difference == 0
    world.close()


@pytest.mark.parametrize("venue", BOTH)
def test_a_proven_ledger_counts_on_from_a_new_day_and_stays_exact(folder: Path, venue: VenueId) -> None:
    world = world_of(folder, venue)
    first = ledger(world).opened_at
    trade(world, Side.BUY)
    pass_hours(world, 60)
    trade(world, Side.SELL)
    found = ledger(world)
    assert found.opened_at >= first + timedelta(hours=24)
    assert found.difference == 0
    world.close()


@pytest.mark.parametrize("venue", BOTH)
def test_L5_a_ledger_that_cannot_be_read_is_unread_and_not_explained(folder: Path, venue: VenueId) -> None:
    world = world_of(folder, venue)
    operation = "get_futures_balance_summary" if venue is VenueId.US else "get_transaction_log"
    world.arm("N7", operation=OPERATION_OF.get(operation, operation), count=None, status=503)
    report = world.engine.reconciler.run(ledger=True)
    assert report.ledger is None
    assert any(note.startswith("ledger") for note in report.unread)
    assert not report.matched
    world.close()


OPERATION_OF = {"get_futures_balance_summary": "get_balance_summary"}


@pytest.mark.parametrize("venue", BOTH)
def test_E18_a_liquidation_is_foreign_and_its_money_is_explained(folder: Path, venue: VenueId) -> None:
    world = world_of(folder, venue)
    trade(world, Side.BUY)
    assert world.embedded.exchange.control.liquidate(str(world.product().product_id))
    report = reconcile(world)
    assert {each.cls for each in report.breaks} == {BreakClass.FOREIGN}
    assert any("a liquidation" in each.detail for each in report.breaks)
    assert "reconcile_break" in world.talk.alarms
    assert report.ledger is not None
    assert report.ledger.difference == 0
    world.close()


def test_collateral_and_result_of_an_isolated_slot_are_in_the_ledger(folder: Path) -> None:
    """The slot keeps books of its own; its money counts with the account's, whoever traded in it."""
    world = world_of(folder, VenueId.GLOBAL)
    fixed_funding(world)
    isolated(world, VenueSide.BUY, 60)
    report = reconcile(world)
    assert report.ledger is not None
    assert (report.ledger.difference, report.ledger.transfers) == (Decimal(0), Decimal(0))
    pass_hours(world, 23)
    isolated(world, VenueSide.SELL, 20)
    assert ledger(world).difference == 0
    isolated(world, VenueSide.SELL, 40)
    found = ledger(world)
    assert found.difference == 0
    view = world.embedded.exchange.judge_view()
    assert view.positions == {}
    assert found.balance == cash(view, VenueId.GLOBAL) == view.usdc, "the slot gave its cash back"
    assert found.funding != 0
    assert found.realised != 0
    world.close()


def isolated(world: World, side: VenueSide, contracts: int) -> None:
    """Somebody trades on isolated margin, on the gateway's own road."""
    product = str(world.product().product_id)
    world.clock.advance(60)
    with world.embedded.exchange.control._enter() as core:
        core.gateway.trading.place(
            Terms(
                product_id=product, side=side, contracts=Decimal(contracts), kind="market", price=None,
                time_in_force="immediate_or_cancel", isolated=True,
                allocated_margin=Decimal(3000) if side is VenueSide.BUY else None,
            ),
            "injected",
        )  # fmt: skip
