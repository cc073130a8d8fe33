"""A daily loss past its limit halts the loop, cancels everything, flattens, and needs a second person to open again."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from perpsctl.domain.orders import Accepted, TimeInForce
from perpsctl.domain.reports import HaltState
from perpsctl.engine.killswitch import KillSwitch
from perpsctl.engine.losses import losses_now
from perpsctl.engine.strategies import load
from perpsctl.engine.supervisor import RunOptions, Supervisor
from perpsctl.journal.lease import Holder, RowLease
from perpsctl.risk.limits import RiskLimits
from perpsctl.risk.loss import exceeds
from tests.rig import World

pytestmark = pytest.mark.scenario

BIP = "BIP-20DEC30-CDE"
ROOMY = RiskLimits.from_mapping({"position_max_share": "0.9", "gross_max_share": "0.9"})


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    built = World(tmp_path, limits=ROOMY)
    yield built
    built.close()


def breach_stands(world: World) -> bool:
    engine = world.engine
    reading = losses_now(world.venue.account, world.journal, engine.views, engine.reconciler.transfers)
    return any(exceeds(window, world.limits.daily_loss_max_share) for window in reading.windows)


def a_switch(world: World) -> KillSwitch:
    return KillSwitch(
        latch=world.latch, journal=world.journal, halts=world.halts, clock=world.clock, diagnostics=world.talk,
        outside=world.engine.venue_side, breach_stands=lambda: breach_stands(world),
    )  # fmt: skip


def a_run(world: World, switch: KillSwitch, ticks: int) -> Supervisor:
    return Supervisor(
        engine=world.engine,
        lease=RowLease(world.journal, Holder.this_process(world.ids)),
        switch=switch,
        strategy=load("canary", world.product().product_id),
        options=RunOptions(ticks=ticks, interval=timedelta(seconds=1)),
    )


def test_a_daily_loss_breach_halts_cancels_flattens_and_asks_for_two_people(world: World) -> None:
    bought = world.intent(size="3", below=-40, tif=TimeInForce.IOC, post_only=False)
    assert isinstance(world.engine.desk.place(bought).outcome, Accepted)
    price = world.product().last_price
    assert price is not None
    world.engine.desk.place(world.intent())
    world.embedded.exchange.control.set_price(BIP, Decimal(int(price * Decimal("0.88") / 5) * 5), hold=True)
    switch = a_switch(world)
    result = a_run(world, switch, ticks=5).run()
    world.restart()  # a handle that ran is fenced by its lease for good; the operator's command is another process
    switch = a_switch(world)
    assert result.summary.halted
    facts = world.halts.facts()
    assert facts.state is HaltState.ENGAGED
    assert facts.loss_breach
    assert "daily loss" in facts.reason
    judged = world.embedded.exchange.judge_view()
    assert judged.positions.get(BIP, 0) == 0
    assert not [o for o in judged.orders if o.status in ("OPEN", "PENDING", "QUEUED")]
    alone = switch.release(reason="looked at", by="first")
    assert not alone.released
    assert any("second" in refusal for refusal in alone.refusals)
    same = switch.release(reason="looked at", by="first", second=" First ")
    assert not same.released
    both = switch.release(reason="looked at", by="first", second="other")
    assert both.released, both
    denied = world.engine.desk.place(world.intent())
    assert denied.denied is not None
    assert "daily_loss_above_max" in [d.code.value for d in denied.denied.denials]


def test_R5_drift_over_a_limit_puts_the_product_in_reducing_within_one_tick(world: World) -> None:
    small = RiskLimits.from_mapping({"position_max_share": "0.01"})
    bought = world.intent(size="0.1", below=-40, tif=TimeInForce.IOC, post_only=False)
    assert isinstance(world.engine.desk.place(bought).outcome, Accepted)
    world.embedded.exchange.control.set_position(BIP, Decimal(40))
    world.limits = small
    world.restart()
    a_run(world, a_switch(world), ticks=1).run()
    world.restart()
    report = world.engine.desk.place(world.intent())
    assert report.denied is not None
    codes = {d.code.value for d in report.denied.denials}
    assert "product_reducing" in codes
    assert world.engine.exits.flatten().flat
