"""Everything that could fill is counted (R5): edits in doubt, orders of untold size, fills between two reads."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from perpsctl.domain.ids import IntentId, ProductId, VenueOrderId
from perpsctl.domain.market import BookView
from perpsctl.domain.numbers import Size
from perpsctl.domain.orders import (
    Accepted,
    ApprovedEdit,
    EditIntent,
    NotSent,
    OrderStatus,
    Origin,
    Road,
    SubmitOutcome,
    TimeInForce,
    Unknown,
)
from perpsctl.domain.ports import Gate
from perpsctl.domain.reports import PlaceReport
from perpsctl.domain.sides import Side
from perpsctl.domain.verdicts import DenialCode
from tests.builders import an_order
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


class Late:
    """An order in doubt that arrives, fills and is booked by another process right after our positions were read."""

    def __init__(self, world: World, *, side: Side, size: str, then_contracts: int) -> None:
        self.world = world
        self._then = then_contracts
        intent = world.intent(side=side, size=size, below=400)
        real = world.venue.submit
        world.venue.submit = lambda order, gate: Unknown(reason="timed_out", evidence="sent")  # type: ignore[method-assign]
        report = world.engine.desk.place(intent, wait=timedelta(0))
        assert isinstance(report.outcome, Unknown), report
        world.venue.submit = real  # type: ignore[method-assign]
        world.clock.advance(5)
        self._order = an_order(
            venue_order_id="v-late", client_order_id=intent.id, side=side, size=size, filled=size,
            status=OrderStatus.FILLED,
        )  # fmt: skip
        self._read = world.venue.book
        self.arrived = False
        world.venue.book = self.book  # type: ignore[method-assign]

    def book(self, product_id: ProductId, depth: int) -> BookView:
        told = self._read(product_id, depth)
        if not self.arrived:
            self.arrived = True
            self.world.embedded.exchange.control.set_position(product_id, Decimal(self._then))
            outcome = Accepted(venue_order_id=VenueOrderId("v-late"), order=self._order, evidence="another process")
            self.world.journal.record_outcome(IntentId(str(self._order.client_order_id)), outcome)
        return told


def test_R5_an_edit_is_not_judged_by_positions_older_than_a_fill_that_was_booked(world: World) -> None:
    """0.06 in doubt and an order edited to 0.10 are too much, also when the doubt ends as a fill between read and verdict."""
    target, order = working(world, "0.05")
    late = Late(world, side=Side.BUY, size="0.06", then_contracts=6)
    report = world.engine.edits.edit(an_edit(world, target, order, size="0.1"), wait=timedelta(0))
    assert late.arrived
    assert DenialCode.POSITION_ABOVE_MAX in codes(report), report


def test_R7_an_exit_is_not_judged_by_a_position_that_another_order_closed_meanwhile(world: World) -> None:
    product_id = world.product().product_id
    world.embedded.exchange.control.set_position(product_id, Decimal(5))
    late = Late(world, side=Side.SELL, size="0.05", then_contracts=0)
    sent = world.creates()
    report = world.engine.exits.close(product_id)
    assert late.arrived
    assert world.creates() == sent, report
    assert report.after == 0


def test_R7_a_strategys_way_out_is_not_judged_by_such_a_position_either(world: World) -> None:
    product_id = world.product().product_id
    world.embedded.exchange.control.set_position(product_id, Decimal(5))
    way_out = replace(
        world.intent(side=Side.SELL, size="0.05", below=-20, tif=TimeInForce.IOC, post_only=False),
        reduce_only=True,
        road=Road.EXIT,
    )
    late = Late(world, side=Side.SELL, size="0.05", then_contracts=0)
    sent = world.creates()
    report = world.engine.desk.place(way_out)
    assert late.arrived
    assert world.creates() == sent, report
    assert codes(report) == {DenialCode.NOT_REDUCING}


def test_R7_a_strategys_plain_order_that_would_reduce_now_meets_every_limit_before_it_rests(world: World) -> None:
    """Nobody takes it away when the position goes: the loop watches what is reduce-only, and only that."""
    product_id = world.product().product_id
    world.embedded.exchange.control.set_position(product_id, Decimal(20))  # over every limit
    resting = replace(world.intent(side=Side.SELL, size="0.2"), origin=Origin.STRATEGY)
    assert DenialCode.POSITION_ABOVE_MAX in codes(world.engine.desk.place(resting))
    watched = replace(resting, id=IntentId(world.ids.new()), reduce_only=True)
    assert isinstance(world.engine.desk.place(watched).outcome, Accepted)


def test_R1_a_halt_that_stands_in_the_journal_alone_stops_a_strategys_way_out_too(world: World) -> None:
    """The gate looks at the latch alone; while engaged only the switch's own road sends."""
    product_id = world.product().product_id
    world.embedded.exchange.control.set_position(product_id, Decimal(1))
    way_out = replace(
        world.intent(side=Side.SELL, size="0.01", below=-20, tif=TimeInForce.IOC, post_only=False),
        reduce_only=True,
        road=Road.EXIT,
    )
    read = world.venue.book

    def halted_elsewhere(product: ProductId, depth: int) -> BookView:
        world.journal.record_halt(engaged=True, reason="another host", by="op")
        return read(product, depth)

    world.venue.__dict__["book"] = halted_elsewhere
    assert codes(world.engine.desk.place(way_out)) == {DenialCode.HALTED}
    assert world.engine.exits.close(product_id).after == 0  # the switch's road passes


def test_a_part_of_a_position_that_had_to_wait_is_closed_later_and_not_the_whole(world: World) -> None:
    product_id = world.product().product_id
    control = world.embedded.exchange.control
    control.set_position(product_id, Decimal(5))
    world.engine.views.product(product_id)
    control.expire_session(product_id)
    report = world.engine.exits.close(product_id, Size(Decimal("0.02")))
    assert report.pending is not None, report
    control.expire_session(product_id, closed=False)
    world.clock.advance(61)
    (later,) = world.engine.exits.retry_pending()
    assert later.after == Decimal("0.03"), later
    assert world.journal.exits_pending() == ()
    assert world.engine.exits.retry_pending() == ()


def test_a_whole_position_that_had_to_wait_is_closed_whole_although_it_grew(world: World) -> None:
    product_id = world.product().product_id
    control = world.embedded.exchange.control
    control.set_position(product_id, Decimal(5))
    world.engine.views.product(product_id)
    control.expire_session(product_id)
    assert not world.engine.exits.flatten([product_id]).flat
    control.expire_session(product_id, closed=False)
    control.set_position(product_id, Decimal(7))
    world.clock.advance(61)
    (later,) = world.engine.exits.retry_pending()
    assert later.after == 0, later
    assert world.journal.exits_pending() == ()
