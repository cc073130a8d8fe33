"""Everything that could fill is counted (R5): edits in doubt, orders of untold size, fills between two reads."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from perpsctl.domain.ids import IntentId, VenueOrderId
from perpsctl.domain.numbers import Size
from perpsctl.domain.orders import Accepted, ApprovedEdit, EditIntent, NotSent, SubmitOutcome, Unknown
from perpsctl.domain.ports import Gate
from perpsctl.domain.reports import PlaceReport
from perpsctl.domain.verdicts import DenialCode
from tests.rig import World

pytestmark = pytest.mark.scenario


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    built = World(tmp_path)
    yield built
    built.close()


def codes(report: PlaceReport) -> set[DenialCode]:
    return set() if report.denied is None else {denial.code for denial in report.denied.denials}


def working(world: World, size: str) -> tuple[IntentId, VenueOrderId]:
    intent = world.intent(size=size, below=400)
    report = world.engine.desk.place(intent)
    assert isinstance(report.outcome, Accepted), report
    return intent.id, report.outcome.venue_order_id


def an_edit(world: World, target: IntentId, order: VenueOrderId, *, size: str) -> EditIntent:
    return EditIntent(
        id=IntentId(world.ids.new()),
        target=target,
        venue_order_id=order,
        new_price=None,
        new_size=Size(Decimal(size)),
        created_at=world.clock.now(),
    )


def test_R5_E24_an_edit_in_doubt_counts_at_its_whole_new_size(world: World) -> None:
    """1 % of a million is some 0.145 BTC: 0.10 (asked for, still under way) and 0.06 are over it, 0.05 and 0.06 are not."""
    target, order = working(world, "0.05")

    def lost(edit: ApprovedEdit, gate: Gate) -> SubmitOutcome:
        return Unknown(reason="timed_out", evidence="sent, and no answer came")

    world.venue.submit_edit = lost  # type: ignore[method-assign]
    report = world.engine.edits.edit(an_edit(world, target, order, size="0.1"), wait=timedelta(0))
    assert isinstance(report.outcome, Unknown), report
    denied = world.engine.desk.place(world.intent(size="0.06", below=300))
    assert codes(denied) == {DenialCode.POSITION_ABOVE_MAX}, denied


def test_P3_an_approval_held_up_before_the_first_byte_is_not_sent(world: World) -> None:
    """Absence is proven from when an approval can no longer leave: a process stopped after the look at its age sends nothing."""
    product = world.product()
    intent = world.intent()
    signed = world.ids.nonce

    def held_up() -> str:
        if world.journal.intent(intent.id) is not None:  # decided, and about to be signed
            world.clock.advance(6)
        return signed()

    world.ids.nonce = held_up  # type: ignore[method-assign]
    report = world.engine.desk.place(intent, wait=timedelta(0))
    assert isinstance(report.outcome, NotSent), report
    assert report.outcome.reason == "approval_expired"
    assert world.orders_of(intent) == ()
    assert product.product_id == intent.product_id


def test_P11_an_approval_that_slept_through_a_suspended_host_is_not_sent(world: World) -> None:
    """The monotonic count may stand still while a host sleeps; the wall clock does not."""
    intent = world.intent()
    signed = world.ids.nonce

    def suspended() -> str:
        if world.journal.intent(intent.id) is not None:
            world.clock.set(world.clock.now() + timedelta(hours=8))
        return signed()

    world.ids.nonce = suspended  # type: ignore[method-assign]
    report = world.engine.desk.place(intent, wait=timedelta(0))
    assert isinstance(report.outcome, NotSent), report
    assert report.outcome.reason == "approval_expired"
    assert world.orders_of(intent) == ()
