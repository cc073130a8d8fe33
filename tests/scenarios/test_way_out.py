"""The kill switch, cancels and exits against the exchange's own book, with the faults that would hide what is left."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from perpsctl.domain.errors import JournalUnavailable
from perpsctl.domain.numbers import Size
from perpsctl.domain.orders import Accepted, NotSent, OrderIntent, OrderStatus, TimeInForce
from perpsctl.domain.reports import HaltState
from perpsctl.domain.sides import Side
from perpsctl.domain.verdicts import DenialCode
from perpsctl.engine.broken_journal import BrokenJournal
from perpsctl.engine.killswitch import KillSwitch
from perpsctl.engine.parts import assemble
from perpsctl.journal.halts import CombinedHalts
from perpsctl.journal.opening import open_journal
from tests.rig import World
from tests.scenarios.outside import an_outside_order

pytestmark = pytest.mark.scenario

BIP = "BIP-20DEC30-CDE"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    built = World(tmp_path)
    yield built
    built.close()


def resting(world: World, **terms: object) -> OrderIntent:
    intent = world.intent(**terms)  # type: ignore[arg-type]
    report = world.engine.desk.place(intent)
    assert isinstance(report.outcome, Accepted), report
    return intent


def holding(world: World, size: str = "0.03") -> None:
    resting(world, size=size, below=-20, tif=TimeInForce.IOC, post_only=False)
    assert held(world) == world.product().contracts(Size(Decimal(size)))


def live(world: World) -> list[str]:
    final = {"FILLED", "CANCELLED", "EXPIRED", "FAILED"}
    return [o.order_id for o in world.embedded.exchange.judge_view().orders if o.status not in final]


def held(world: World) -> object:
    return world.embedded.exchange.judge_view().positions.get(BIP, 0)


def test_engage_with_flatten_leaves_nothing_and_says_so_truly(world: World) -> None:
    holding(world)
    resting(world)
    report = world.switch.engage(reason="test", by="test", flatten=True)
    assert report.attestation.clean, report
    assert live(world) == []
    assert held(world) == 0
    assert world.journal.booked_coin().get(world.product().product_id, 0) == 0


def test_R1_R3_while_engaged_entries_are_denied_and_cancels_and_exits_work(world: World) -> None:
    holding(world)
    intent = resting(world)
    world.latch.engage(reason="test", by="test", at=world.clock.now())
    before = world.creates()
    report = world.engine.desk.place(world.intent(below=50))
    assert report.denied is not None
    assert [d.code for d in report.denied.denials] == [DenialCode.KILL_SWITCH_ENGAGED]
    assert world.creates() == before
    cancelled = world.engine.canceller.cancel([str(intent.id)])
    assert len(cancelled.gone) == 1
    assert world.engine.exits.flatten().flat
    assert live(world) == []
    assert held(world) == 0


def test_R2_engaging_twice_is_fine_and_a_new_process_is_still_halted(world: World) -> None:
    for _ in range(2):
        assert world.switch.engage(reason="test", by="test").attestation.clean
    world.restart()
    assert world.halts.facts().state is HaltState.ENGAGED
    assert world.engine.desk.place(world.intent()).denied is not None


def test_L5_with_the_venue_away_nothing_is_called_zero(world: World) -> None:
    resting(world)
    world.arm("N9", operation="any", count=None)
    report = world.switch.engage(reason="test", by="test", flatten=True)
    attestation = report.attestation
    assert attestation.open_orders is None
    assert attestation.positions is None
    assert not attestation.clean
    assert {"open orders", "positions"} <= set(attestation.unread)
    assert attestation.latch_durable
    world.heal()
    again = world.switch.engage(reason="test", by="test", flatten=True)
    assert again.attestation.clean, again
    assert live(world) == []


def test_a_corrupt_journal_stops_no_cancel_and_counts_as_engaged(world: World) -> None:
    resting(world)
    world.close()
    path = world.folder / "journal.db"
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"\xff" * 3000 + whole[3100:])
    with pytest.raises(JournalUnavailable) as broken:
        open_journal(world.folder, world.account, clock=world.clock, ids=world.ids)
    journal = BrokenJournal(world.account, broken.value)
    halts = CombinedHalts(world.latch, broken.value)
    assert halts.facts().state is HaltState.ENGAGED
    engine = assemble(
        venue=world.venue, journal=journal, halts=halts, clock=world.clock, ids=world.ids, limits=world.limits,
        diagnostics=world.talk,
    )  # fmt: skip
    switch = KillSwitch(
        latch=world.latch, journal=journal, halts=halts, clock=world.clock, diagnostics=world.talk,
        outside=engine.venue_side,
    )  # fmt: skip
    report = switch.engage(reason="test", by="test")
    assert report.attestation.open_orders == ()
    assert report.attestation.in_doubt is None
    assert not report.attestation.clean
    assert live(world) == []


def test_an_exit_the_session_refuses_is_pending_with_a_reason_and_retried(world: World) -> None:
    holding(world)
    world.embedded.exchange.control.expire_session(BIP, True)
    report = world.engine.exits.flatten()
    assert not report.flat
    assert held(world) != 0
    assert world.journal.exits_pending()
    world.embedded.exchange.control.expire_session(BIP, False)
    world.clock.advance(120)
    world.engine.exits.retry_pending()
    assert held(world) == 0
    assert world.journal.exits_pending() == ()


@pytest.mark.parametrize(
    ("fault", "parameters"), [("E8", {}), ("E9", {"seconds": 2}), ("E10", {}), ("E11", {"seconds": 5}), ("N5", {})]
)
def test_I8_a_cancel_race_ends_with_journal_and_exchange_agreeing(
    world: World, fault: str, parameters: dict[str, int]
) -> None:
    intent = resting(world, below=3, size="0.04")
    world.arm(fault, operation="cancel_orders", **parameters)
    world.engine.canceller.cancel([str(intent.id)], wait=timedelta(seconds=20))
    world.clock.sleep(timedelta(seconds=5))
    world.engine.tracker.update()
    found = world.engine.reconciler.run()
    again = world.engine.reconciler.run()
    assert again.matched, (found, again)
    order = world.orders_of(intent)[0]
    record = world.journal.intent(intent.id)
    assert record is not None
    assert record.order is not None
    assert record.order.filled == world.product().coin(order.filled_size)
    assert record.order.status is OrderStatus(order.status.lower())
    assert world.journal.booked_coin().get(intent.product_id, 0) == world.product().coin(order.filled_size)


def test_E23_an_order_in_flight_at_cancel_all_is_seen_and_cancelled_too(world: World) -> None:
    world.arm("N14", seconds=15)  # longer than we wait for an answer, shorter than the token lives
    intent = world.intent()
    report = world.engine.desk.place(intent, wait=timedelta(0))
    assert not isinstance(report.outcome, (Accepted, NotSent))
    world.switch.engage(reason="test", by="test")
    world.clock.sleep(timedelta(seconds=10))
    report2 = world.switch.engage(reason="test", by="test")
    assert report2.attestation.open_orders == ()
    assert live(world) == []
    assert report2.attestation.in_doubt == ()


def test_R7_a_flatten_never_flips_a_position_that_shrinks_meanwhile(world: World) -> None:
    holding(world, "0.05")
    submit = world.venue.submit

    def shrink_then_submit(*arguments: object) -> object:
        world.embedded.exchange.control.set_position(BIP, Decimal(2))
        world.venue.submit = submit  # type: ignore[method-assign]
        return submit(*arguments)  # type: ignore[arg-type]

    world.venue.submit = shrink_then_submit  # type: ignore[method-assign,assignment]
    world.engine.exits.flatten()
    assert held(world) == 0, "the remaining race must be corrected by the next read"


def test_I6_a_foreign_order_is_named_and_never_adopted(world: World) -> None:
    resting(world)
    an_outside_order(world)
    found = world.engine.reconciler.run()
    assert [b.cls.value for b in found.breaks if b.kind == "order"] == ["foreign"]
    assert len(world.journal.working()) == 1


def test_a_sell_side_flatten_buys_back(world: World) -> None:
    resting(world, side=Side.SELL, size="0.03", below=-20, tif=TimeInForce.IOC, post_only=False)
    assert held(world) == -3
    assert world.engine.exits.flatten().flat
    assert held(world) == 0


@pytest.mark.parametrize("seconds", [8, 60])
def test_E1_L5_an_order_the_venue_does_not_show_yet_is_never_attested_as_gone(world: World, seconds: int) -> None:
    world.arm("E1", seconds=seconds)
    resting(world)
    report = world.switch.engage(reason="test", by="test")
    assert report.attestation.clean is (live(world) == []), report
    assert report.attestation.clean is (seconds == 8)
    world.clock.advance(60)
    again = world.switch.engage(reason="test", by="test")
    assert again.attestation.clean, again
    assert live(world) == []


def test_E1_cancel_all_proves_each_working_order_gone_by_its_id(world: World) -> None:
    world.arm("E1", seconds=60)
    intent = resting(world)
    (order,) = world.orders_of(intent)
    report = world.engine.canceller.cancel_all()
    assert report.unproven == (order.order_id,)
    assert report.gone == ()
    world.clock.advance(60)
    assert world.engine.canceller.cancel_all().gone == (order.order_id,)
