"""A create whose reply is lost: one order at the exchange, one end in the journal, nothing ever sent twice (I1, I3, I4)."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from perpsctl.domain.accounts import OrdersRead
from perpsctl.domain.errors import UsageError
from perpsctl.domain.numbers import Price
from perpsctl.domain.orders import Accepted, ApprovedOrder, NotSent, SubmitOutcome, TimeInForce, Unknown
from perpsctl.domain.ports import Gate
from perpsctl.domain.reports import IntentStage
from perpsctl.simulator.options import Dedupe, Options
from tests.rig import World

pytestmark = pytest.mark.scenario

ACCEPTED_THEN_LOST = ("N8", "N12", "N13", "N15", "N16", "N20", "N21", "N22", "N23", "N28")
LOST_BEFORE = ("N7",)


@pytest.fixture(params=list(Dedupe), ids=lambda mode: mode.value)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    built = World(tmp_path, options=Options(dedupe=request.param))
    yield built
    built.close()


@pytest.mark.parametrize("fault", ACCEPTED_THEN_LOST)
def test_I1_reply_lost_after_acceptance_ends_accepted_with_one_order(world: World, fault: str) -> None:
    world.arm(fault)
    intent = world.intent()
    report = world.engine.desk.place(intent)
    assert isinstance(report.outcome, Accepted), report
    assert len(world.orders_of(intent)) == 1
    assert world.creates() == 1
    assert report.outcome.venue_order_id == world.orders_of(intent)[0].order_id
    assert world.journal.in_doubt() == ()


@pytest.mark.parametrize("fault", LOST_BEFORE)
def test_I3_reply_lost_before_acceptance_ends_not_sent_with_evidence_within_a_minute(world: World, fault: str) -> None:
    world.arm(fault)
    intent = world.intent()
    began = world.clock.now()
    report = world.engine.desk.place(intent, wait=timedelta(seconds=60))
    assert isinstance(report.outcome, NotSent), report
    assert "listing" in report.outcome.evidence
    assert world.clock.now() - began <= timedelta(seconds=60)
    assert world.orders_of(intent) == ()
    assert world.creates() == 0


def test_N9_a_refused_connection_is_proven_not_sent_at_once(world: World) -> None:
    world.product()
    intent = world.intent()
    world.arm("N9")
    began = world.clock.now()
    report = world.engine.desk.place(intent)
    assert isinstance(report.outcome, NotSent), report
    assert world.clock.now() - began < timedelta(seconds=5)
    assert world.creates() == 0


def test_I4_time_alone_never_ends_a_doubt(world: World) -> None:
    """The venue cannot be read at all: an hour later the order is still in doubt and still counted."""
    world.arm("N12")
    intent = world.intent(below=2000)  # nothing fills there within the hour
    submit = world.venue.submit

    def submit_then_storm(order: ApprovedOrder, gate: Gate) -> SubmitOutcome:
        outcome = submit(order, gate)
        world.arm("N6", operation="any", count=None)
        return outcome

    world.venue.submit = submit_then_storm  # type: ignore[method-assign]
    report = world.engine.desk.place(intent)
    assert isinstance(report.outcome, Unknown), report
    world.clock.advance(3600)
    record = world.journal.intent(intent.id)
    assert record is not None
    assert record.stage is IntentStage.UNKNOWN
    live = world.journal.booked().live
    assert [each.remaining for each in live] == [intent.size]
    world.heal()
    world.engine.resolver.resolve_all(timedelta(seconds=60))
    record = world.journal.intent(intent.id)
    assert record is not None
    assert record.stage is IntentStage.WORKING
    assert world.creates() == 1


def test_N14_delayed_acceptance_is_found_and_never_doubled(world: World) -> None:
    world.arm("N14", seconds=12)
    intent = world.intent()
    report = world.engine.desk.place(intent, wait=timedelta(seconds=60))
    assert isinstance(report.outcome, Accepted), report
    assert len(world.orders_of(intent)) == 1


def test_E1_an_order_that_is_invisible_for_a_while_is_not_called_absent(world: World) -> None:
    world.arm("N12")
    world.arm("E1", seconds=15)
    intent = world.intent()
    report = world.engine.desk.place(intent, wait=timedelta(seconds=60))
    assert isinstance(report.outcome, Accepted), report
    assert len(world.orders_of(intent)) == 1
    assert world.creates() == 1


@pytest.mark.parametrize("missing", ["list", "id"])
def test_E2_an_order_missing_from_one_view_is_found_by_the_other(world: World, missing: str) -> None:
    world.arm("E2", missing=missing, seconds=300)
    intent = world.intent()
    report = world.engine.desk.place(intent)
    assert isinstance(report.outcome, Accepted), report
    world.engine.tracker.update()
    record = world.journal.intent(intent.id)
    assert record is not None
    assert record.stage is IntentStage.WORKING


def test_I2_a_crash_between_send_and_record_leaves_a_doubt_that_the_next_process_resolves(world: World) -> None:
    intent = world.intent()

    class Crash(BaseException): ...

    def die(*_: object) -> None:
        raise Crash

    world.journal.record_outcome = die  # type: ignore[method-assign,assignment]
    with pytest.raises(Crash):
        world.engine.desk.place(intent)
    world.restart()
    assert [record.intent.id for record in world.journal.in_doubt()] == [intent.id]
    world.engine.resolver.resolve_all(timedelta(seconds=60))
    record = world.journal.intent(intent.id)
    assert record is not None
    assert record.stage is IntentStage.WORKING
    assert len(world.orders_of(intent)) == 1
    assert world.creates() == 1


def test_R5_a_resting_order_in_another_product_is_counted_and_stops_no_entry(world: World) -> None:
    other = next(p for p in world.venue.products() if p.alias == "ETH-PERP")
    book = world.venue.book(other.product_id, 1)
    assert book.best_bid is not None
    first = replace(
        world.intent(),
        product_id=other.product_id,
        size=other.min_size,
        limit_price=Price(book.best_bid - 200 * other.price_step(book.best_bid)),
    )
    assert isinstance(world.engine.desk.place(first).outcome, Accepted)
    report = world.engine.desk.place(world.intent())
    assert isinstance(report.outcome, Accepted), report


def test_M5_a_grid_that_moves_between_the_reads_sends_nothing(world: World) -> None:
    intent = world.intent()
    live_orders = world.venue.live_orders

    def slow() -> OrdersRead:
        world.clock.advance(3)
        world.embedded.exchange.control.set_increments("BIP-20DEC30-CDE", price_increment=Decimal(10))
        return live_orders()

    world.venue.live_orders = slow  # type: ignore[method-assign]
    with pytest.raises(UsageError, match="changed just now"):
        world.engine.desk.place(intent)
    assert world.creates() == 0
    assert world.journal.intent(intent.id) is None


@pytest.mark.parametrize("fault", [None, "N12", "N15"])
def test_E15_fills_are_booked_with_the_order_also_where_its_end_came_with_the_outcome(
    world: World, fault: str | None
) -> None:
    if fault is not None:
        world.arm(fault)
    intent = world.intent(below=-20, tif=TimeInForce.IOC, post_only=False, size="0.02")
    report = world.engine.desk.place(intent)
    assert isinstance(report.outcome, Accepted), report
    assert world.journal.booked_coin() == {intent.product_id: Decimal("0.02")}
