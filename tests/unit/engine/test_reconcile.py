"""Both sides agree or each difference is named; evidence is booked, nothing is invented; twice finds nothing (I6)."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from perpsctl.domain.errors import UsageError
from perpsctl.domain.ids import ProductId
from perpsctl.domain.orders import NotSent, OrderStatus, Unknown
from perpsctl.domain.reports import Break, BreakClass, IntentStage, ReconcileReport
from tests.builders import BTC, an_intent, an_order
from tests.unit.engine.conftest import House

PRODUCT = ProductId(BTC)


def reconcile(house: House) -> ReconcileReport:
    return house.engine.reconciler.run()


def placed(house: House) -> str:
    report = house.engine.desk.place(an_intent())
    assert report.order is not None
    return str(report.order.venue_order_id)


def only(report: ReconcileReport) -> Break:
    (found,) = report.breaks
    return found


def test_an_empty_account_matches(house: House) -> None:
    report = reconcile(house)
    assert report.matched
    assert report.unread == ()


def test_a_working_order_matches_and_a_second_pass_writes_nothing(house: House) -> None:
    placed(house)
    assert reconcile(house).matched
    writes = house.journal.writes
    again = reconcile(house)
    assert again.matched
    assert again.orders_compared == 1
    # the working order's own state is booked again as what it was; nothing else is written
    assert house.journal.writes == writes


def test_a_missed_fill_is_found_booked_and_gone_the_second_time(house: House) -> None:
    order_id = placed(house)
    house.venue.fill(house.venue.live()[0].venue_order_id)
    report = reconcile(house)
    assert {(b.kind, b.cls, b.settled) for b in report.breaks} == {
        ("order", BreakClass.MISSED, True),
        ("fill", BreakClass.MISSED, True),
    }
    assert [fill.venue_order_id for fill in house.journal.fills()] == [order_id]
    writes = house.journal.writes
    assert reconcile(house).matched
    assert house.journal.writes == writes


def test_E12_an_order_the_venue_cancelled_is_noticed(house: House) -> None:
    placed(house)
    order = house.venue.live()[0]
    house.venue.orders_[order.venue_order_id] = replace(order, status=OrderStatus.CANCELLED, reason="margin")
    found = only(reconcile(house))
    assert found.settled
    record = house.journal.intent(an_intent().id)
    assert record is not None
    assert record.stage is IntentStage.DONE


def test_a_foreign_order_is_labelled_and_never_ours(house: House) -> None:
    foreign = house.venue.rest(limit_price="59000", placement_source="RETAIL_SIMPLE")
    found = only(reconcile(house))
    assert found.cls is BreakClass.FOREIGN
    assert found.owner == "operator"
    assert house.journal.intent_by_order(foreign.venue_order_id) is None
    assert house.journal.others[foreign.venue_order_id].status is OrderStatus.OPEN
    assert reconcile(house).matched


def test_a_foreign_fill_is_booked_as_foreign_and_the_position_adds_up(house: House) -> None:
    placed(house)
    foreign = house.venue.rest(limit_price="59000")
    house.venue.fill(foreign.venue_order_id)
    report = reconcile(house)
    assert {b.cls for b in report.breaks} == {BreakClass.FOREIGN}
    assert {b.kind for b in report.breaks} == {"order", "fill"}
    assert house.journal.booked_coin() == {PRODUCT: Decimal("0.01")}


def test_E17_a_position_no_fill_explains_stays_a_break(house: House) -> None:
    placed(house)
    house.venue.coin[PRODUCT] = Decimal("0.02")
    found = only(reconcile(house))
    assert (found.kind, found.cls, found.settled) == ("position", BreakClass.UNKNOWN, False)
    assert (found.ours, found.theirs) == ("0", "0.02")
    assert not reconcile(house).matched


def test_a_fill_between_two_reads_is_timing_and_no_break(house: House) -> None:
    placed(house)
    order = house.venue.live()[0]
    fill = house.venue.fill(order.venue_order_id)
    house.venue.hidden_fills.add(fill.fill_id)
    house.clock.at_sleep.append(house.venue.hidden_fills.clear)
    report = reconcile(house)
    assert [b.kind for b in report.breaks] == ["order"]
    assert house.journal.booked_coin() == {PRODUCT: Decimal("0.01")}


def test_a_fill_the_list_never_shows_is_not_invented(house: House) -> None:
    placed(house)
    fill = house.venue.fill(house.venue.live()[0].venue_order_id)
    house.venue.hidden_fills.add(fill.fill_id)
    report = reconcile(house)
    assert house.journal.fills() == ()
    assert {b.kind for b in report.breaks} == {"order", "position"}


def test_E18_a_liquidation_is_recognised_as_foreign(house: House) -> None:
    placed(house)
    order = an_order(
        venue_order_id="liq-1", client_order_id=None, status=OrderStatus.FILLED, filled="0.01", is_liquidation=True
    )
    house.venue.orders_[order.venue_order_id] = order
    house.venue.coin[PRODUCT] = Decimal("-0.01")
    report = reconcile(house)
    assert {b.cls for b in report.breaks if b.kind == "position"} == {BreakClass.FOREIGN}


def test_a_new_journal_takes_over_what_is_held_as_an_opening(house: House) -> None:
    house.venue.coin[PRODUCT] = Decimal("0.03")
    found = only(reconcile(house))
    assert found.settled
    assert house.journal.booked_coin() == {PRODUCT: Decimal("0.03")}
    assert reconcile(house).matched


def test_a_named_decision_adopts_a_position(house: House) -> None:
    placed(house)
    house.venue.coin[PRODUCT] = Decimal("0.02")
    with pytest.raises(UsageError):
        house.engine.reconciler.adopt_position(PRODUCT, by="ann", reason="")
    assert house.engine.reconciler.adopt_position(PRODUCT, by="ann", reason="transferred in") == Decimal("0.02")
    assert reconcile(house).matched
    with pytest.raises(UsageError):
        house.engine.reconciler.adopt_position(PRODUCT, by="ann", reason="again")


def test_an_order_in_doubt_that_exists_is_adopted_by_reconcile(house: House) -> None:
    house.venue.endings = ["hidden"]
    assert isinstance(house.engine.desk.place(an_intent(), wait=timedelta(0)).outcome, Unknown)
    house.clock.advance(timedelta(seconds=13))
    assert reconcile(house).matched
    assert house.journal.in_doubt() == ()


def test_an_order_that_appears_after_proven_absence_is_adopted_and_alarmed(house: House) -> None:
    house.venue.endings = ["lost"]
    report = house.engine.desk.place(an_intent(), wait=timedelta(seconds=60))
    assert isinstance(report.outcome, NotSent)
    late = an_order(venue_order_id="venue-99", created=house.clock.now())
    house.venue.orders_[late.venue_order_id] = late
    found = only(reconcile(house))
    assert (found.cls, found.settled) == (BreakClass.MISSED, True)
    assert "late_order" in house.talk.alarms
    record = house.journal.intent(an_intent().id)
    assert record is not None
    assert record.stage is IntentStage.WORKING
    assert reconcile(house).matched


def test_H10_an_order_under_our_id_with_other_terms_is_shown_and_not_adopted(house: House) -> None:
    house.venue.endings = ["reject"]
    house.engine.desk.place(an_intent())
    other = an_order(venue_order_id="venue-99", size="0.5", created=house.clock.now())
    house.venue.orders_[other.venue_order_id] = other
    found = only(reconcile(house))
    assert (found.cls, found.settled) == (BreakClass.UNKNOWN, False)
    assert "size 0.5 instead of 0.01" in found.detail
    assert house.journal.intent_by_order(other.venue_order_id) is None


def test_an_order_of_ours_the_venue_disowns_is_a_break(house: House) -> None:
    placed(house)
    order = house.venue.live()[0]
    house.venue.orders_.clear()
    found = only(reconcile(house))
    assert (found.cls, found.subject, found.owner) == (BreakClass.UNKNOWN, str(order.venue_order_id), "venue")
    assert [r.stage for r in house.journal.working()] == [IntentStage.WORKING]


@pytest.mark.parametrize("read", ["live_orders", "orders_since", "fills", "positions"])
def test_L5_a_failed_read_is_unread_and_never_matched(house: House, read: str) -> None:
    placed(house)
    house.venue.fail(read)
    report = reconcile(house)
    assert not report.matched
    assert report.unread
    assert report.breaks == ()
    assert report.orders_compared == 0


def test_the_same_open_break_is_not_written_twice(house: House) -> None:
    placed(house)
    house.venue.coin[PRODUCT] = Decimal("0.02")
    reconcile(house)
    writes = house.journal.writes
    reconcile(house)
    assert house.journal.writes == writes
