"""Journal states follow the venue; nothing is assumed gone, fills are fetched and never computed (E2, E8-E16, I5, I8)."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import permutations

import pytest

from perpsctl.domain.errors import JournalUnavailable
from perpsctl.domain.ids import FillId
from perpsctl.domain.orders import FillKind, OrderStatus, VenueOrder
from perpsctl.domain.reports import IntentRecord, IntentStage
from perpsctl.engine.tracking import told
from tests.builders import a_fill, an_intent, an_order
from tests.unit.engine.conftest import House


def placed(house: House, size: str = "0.03") -> VenueOrder:
    report = house.engine.desk.place(an_intent(size=size))
    assert report.order is not None
    return report.order


def record(house: House) -> IntentRecord:
    held = house.journal.intent(an_intent().id)
    assert held is not None
    return held


def test_an_order_that_left_the_listing_is_asked_for_by_id(house: House) -> None:
    order = placed(house)
    house.venue._end(order, OrderStatus.CANCELLED)
    tracked = house.engine.tracker.update()
    assert [each.status for each in tracked.moved] == [OrderStatus.CANCELLED]
    assert record(house).stage is IntentStage.DONE


def test_an_order_that_cannot_be_asked_for_stays_live(house: House) -> None:
    order = placed(house)
    house.venue._end(order, OrderStatus.CANCELLED)
    house.venue.fail("order")
    tracked = house.engine.tracker.update()
    assert record(house).stage is IntentStage.WORKING
    assert len(tracked.problems) == 1


def test_an_order_the_venue_disowns_stays_live_and_is_a_problem(house: House) -> None:
    placed(house)
    house.venue.orders_.clear()
    tracked = house.engine.tracker.update()
    assert record(house).stage is IntentStage.WORKING
    assert "counts as live" in tracked.problems[0].note


def test_L5_a_failed_listing_moves_nothing(house: House) -> None:
    order = placed(house)
    house.venue._end(order, OrderStatus.CANCELLED)
    house.venue.fail("live_orders")
    tracked = house.engine.tracker.update()
    assert tracked.orders is None
    assert record(house).stage is IntentStage.WORKING


def test_fills_are_fetched_for_orders_that_moved(house: House) -> None:
    order = placed(house)
    house.venue.fill(order.venue_order_id, "0.01")
    tracked = house.engine.tracker.update()
    assert [fill.size for fill in tracked.fills] == [Decimal("0.01")]
    assert house.engine.tracker.awaiting_fills == ()


def test_E15_a_fill_listed_after_its_order_is_fetched_later(house: House) -> None:
    order = placed(house)
    fill = house.venue.fill(order.venue_order_id)
    house.venue.hidden_fills.add(fill.fill_id)
    assert house.engine.tracker.update().fills == ()
    assert order.venue_order_id in house.engine.tracker.awaiting_fills
    house.venue.hidden_fills.clear()
    assert len(house.engine.tracker.update().fills) == 1
    assert not house.engine.tracker.awaiting_fills


def test_E13_a_fill_told_twice_is_booked_once(house: House) -> None:
    order = placed(house)
    house.venue.fill(order.venue_order_id)
    house.engine.tracker.update(all_fills=True)
    house.engine.tracker.update(all_fills=True)
    assert len(house.journal.fills()) == 1


def test_E14_a_reversal_takes_back() -> None:
    fills = (a_fill(), a_fill(fill_id="fill-2", kind=FillKind.REVERSAL), a_fill(fill_id="fill-3", size="0.02"))
    assert told(fills) == Decimal("0.02")


def test_the_fills_of_others_show_when_all_are_asked_for(house: House) -> None:
    placed(house)
    foreign = house.venue.rest(limit_price="59000")
    house.venue.fill(foreign.venue_order_id)
    assert house.engine.tracker.update().fills == ()
    assert len(house.engine.tracker.update(all_fills=True).fills) == 1


def test_a_late_fill_within_the_overlap_is_found(house: House) -> None:
    order = placed(house)
    early = house.venue.fill(order.venue_order_id, "0.01")
    house.venue.hidden_fills.add(early.fill_id)
    house.clock.advance(timedelta(minutes=5))
    house.venue.fill(order.venue_order_id, "0.01")
    house.engine.tracker.update(all_fills=True)
    house.venue.hidden_fills.clear()
    house.engine.tracker.update(all_fills=True)
    assert {fill.fill_id for fill in house.journal.fills()} == {FillId("fill-1"), FillId("fill-2")}


def test_a_booked_foreign_order_is_followed_to_its_end(house: House) -> None:
    foreign = house.venue.rest(limit_price="59000")
    house.engine.reconciler.run()
    house.venue._end(foreign, OrderStatus.CANCELLED)
    house.engine.tracker.update(all_fills=True)
    assert house.journal.others[foreign.venue_order_id].status is OrderStatus.CANCELLED


def test_a_journal_that_fails_while_tracking_is_raised(house: House) -> None:
    order = placed(house)
    house.venue._end(order, OrderStatus.CANCELLED)
    house.journal.broken["record_order"] = 0
    with pytest.raises(JournalUnavailable):
        house.engine.tracker.update()


def test_I5_every_order_of_the_same_messages_ends_in_the_same_state(house: House) -> None:
    order = placed(house)
    cancelled = replace(order, status=OrderStatus.CANCELLED, filled=order.filled)
    filled = an_order(venue_order_id=str(order.venue_order_id), size="0.03", filled="0.03", status=OrderStatus.FILLED)
    queued = replace(order, status=OrderStatus.CANCEL_QUEUED)
    for messages in permutations([order, cancelled, filled, queued, filled]):
        held = house.journal.held[an_intent().id]
        held.record = replace(held.record, order=None, stage=IntentStage.WORKING)
        for message in messages:
            house.engine.tracker.book_order(message, an_intent().id)
        final = record(house)
        assert final.stage is IntentStage.DONE
        assert final.order is not None
        assert (final.order.status, final.order.filled) == (OrderStatus.FILLED, Decimal("0.03"))
