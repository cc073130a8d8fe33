"""`order edit --replace` on both venues: what would be denied costs the operator nothing, and two never rest at once.

The judge is the exchange's own book: which orders it holds, what they filled, and which requests reached it.
"""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from perpsctl.domain.errors import OffGrid
from perpsctl.domain.ids import IntentId
from perpsctl.domain.numbers import Price, Size
from perpsctl.domain.orders import Accepted, EditIntent, OrderIntent
from perpsctl.domain.products import VenueId
from perpsctl.domain.reports import ReplaceReport
from perpsctl.domain.verdicts import DenialCode
from perpsctl.simulator.views import JudgedOrder
from tests.rig import World

pytestmark = pytest.mark.scenario

LIVE = ("OPEN", "PENDING", "QUEUED", "CANCEL_QUEUED")
NAME = "a-replacement"


class Story:
    """One order of ours rests; the market stands still."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.product = world.product()
        world.embedded.exchange.control.set_price(self.product.product_id, Decimal(68000), hold=True)
        self.old: OrderIntent = world.intent(size="0.1", below=3)  # 6,800 of the 10,000 that one per cent allows
        report = world.engine.desk.place(self.old)
        assert isinstance(report.outcome, Accepted), report
        world.clock.sleep(timedelta(seconds=5))

    def replace(self, *, price: str | None = None, size: str | None = None) -> ReplaceReport:
        record = self.world.journal.intent(self.old.id)
        assert record is not None
        assert record.venue_order_id is not None
        edit = EditIntent(
            id=IntentId(NAME),
            target=self.old.id,
            venue_order_id=record.venue_order_id,
            new_price=None if price is None else Price(Decimal(price)),
            new_size=None if size is None else Size(Decimal(size)),
            created_at=self.world.clock.now(),
        )
        return self.world.engine.edits.replace(edit, wait=timedelta(seconds=20))

    def held(self, named: str) -> tuple[JudgedOrder, ...]:
        return tuple(o for o in self.world.embedded.exchange.judge_view().orders if o.client_order_id == named)

    def requests(self, operation: str) -> int:
        return sum(r.operation == operation for r in self.world.embedded.exchange.judge_view().requests)

    def require_untouched(self) -> None:
        """The exchange saw no cancel and no second create, and the old order rests whole."""
        (old,) = self.held(self.old.id)
        assert (old.status, old.filled_size) == ("OPEN", Decimal(0))
        assert self.requests("cancel_orders") == 0
        assert self.requests("create_order") == 1


@pytest.fixture(params=list(VenueId))
def story(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Story]:
    world = World(tmp_path, venue=request.param)
    yield Story(world)
    world.close()


def test_a_replacement_the_limits_deny_leaves_the_old_order_where_it_rests(story: Story) -> None:
    report = story.replace(size="0.2")
    assert report.placed is not None
    assert report.placed.denied is not None
    assert DenialCode.POSITION_ABOVE_MAX in {each.code for each in report.placed.denied.denials}
    assert report.cancelled.requested == ()
    story.require_untouched()
    record = story.world.journal.intent(IntentId(NAME))
    assert record is not None
    assert record.denied == report.placed.denied


def test_R1_a_replacement_under_an_engaged_switch_cancels_nothing(story: Story) -> None:
    story.world.latch.engage(reason="test", by="op", at=story.world.clock.now())
    report = story.replace(price="67000")
    assert report.placed is not None
    assert report.placed.denied is not None
    assert [each.code for each in report.placed.denied.denials] == [DenialCode.KILL_SWITCH_ENGAGED]
    story.require_untouched()


def test_a_replacement_off_the_grid_cancels_nothing(story: Story) -> None:
    with pytest.raises(OffGrid):
        story.replace(price="67000.0001")
    story.require_untouched()


def test_R5_the_old_order_does_not_stand_in_its_own_replacements_way(story: Story) -> None:
    """0.1 and 0.1 are above the limit together; they never rest together, and each alone is below it."""
    report = story.replace(price="67000")
    assert report.placed is not None
    assert isinstance(report.placed.outcome, Accepted), report
    (old,), (new,) = story.held(story.old.id), story.held(NAME)
    assert (old.status, old.filled_size) == ("CANCELLED", Decimal(0))
    assert (new.status, new.limit_price, new.size) == ("OPEN", Decimal(67000), old.size)
    assert new.worst_long_after == new.size, "the exchange once had both orders"


def test_what_filled_while_the_cancel_was_under_way_is_not_placed_again(story: Story) -> None:
    story.world.arm("E8", operation="cancel_orders")
    report = story.replace(price="67000")
    (old,) = story.held(story.old.id)
    assert 0 < old.filled_size < old.size
    assert report.old_filled == story.product.coin(old.filled_size)
    (new,) = story.held(NAME)
    assert new.size == old.size - old.filled_size
    assert new.worst_long_after == old.size


def test_the_replacement_is_judged_again_by_what_stands_after_the_cancel(story: Story) -> None:
    """Another order takes the room while the cancel is under way: the verdict that counts is the one at the send."""
    story.world.arm("E11", operation="cancel_orders", seconds=5)
    world, venue = story.world, story.world.venue
    cancel = venue.cancel

    def meanwhile(*arguments: object) -> object:
        world.embedded.exchange.control.set_position(
            story.product.product_id, story.product.contracts(Size(Decimal("0.1")))
        )
        return cancel(*arguments)  # type: ignore[arg-type]

    venue.__dict__["cancel"] = meanwhile
    report = story.replace(price="67000")
    del venue.__dict__["cancel"]
    assert report.placed is not None
    assert report.placed.denied is not None
    assert story.held(NAME) == ()
    assert story.requests("create_order") == 1


def test_a_cancel_that_is_not_proven_places_nothing(story: Story) -> None:
    story.world.arm("E11", operation="cancel_orders", seconds=600)
    report = story.replace(price="67000")
    assert report.placed is None
    assert story.requests("create_order") == 1
    (old,) = story.held(story.old.id)
    assert old.status in LIVE
