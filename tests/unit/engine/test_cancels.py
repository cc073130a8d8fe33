"""A cancel acknowledged is not an order cancelled (I8); cancels reach the venue whatever is broken here (R3)."""

from datetime import timedelta
from decimal import Decimal

import pytest

from perpsctl.domain.errors import RateLimited
from perpsctl.domain.ids import ProductId
from perpsctl.domain.orders import OrderStatus, VenueOrder
from perpsctl.domain.reports import IntentStage
from tests.builders import BTC, ETH, NOW, an_intent, an_order
from tests.unit.engine.conftest import House

WAIT = timedelta(seconds=5)


def resting(house: House, intent_id: str = "intent-0001", price: str = "59900") -> VenueOrder:
    report = house.engine.desk.place(an_intent(id=intent_id, limit_price=price))
    assert report.order is not None
    return report.order


def test_an_order_is_cancelled_by_its_intents_id_and_booked(house: House) -> None:
    order = resting(house)
    report = house.engine.desk.cancel(["intent-0001"])
    assert report.gone == (order.venue_order_id,)
    record = house.journal.intent(an_intent().id)
    assert record is not None
    assert record.stage is IntentStage.DONE
    assert "cancel_requested" in house.journal.kinds()


def test_E8_a_fill_that_beats_the_cancel_is_booked(house: House) -> None:
    order = resting(house)
    house.venue.cancel_mode = "fills"
    report = house.engine.desk.cancel([order.venue_order_id])
    assert report.gone == (order.venue_order_id,)
    assert [fill.venue_order_id for fill in house.journal.fills()] == [order.venue_order_id]
    record = house.journal.intent(an_intent().id)
    assert record is not None
    assert record.order is not None
    assert record.order.status is OrderStatus.FILLED


def test_E9_a_fill_after_the_cancel_is_still_booked(house: House) -> None:
    order = resting(house)
    house.engine.desk.cancel([order.venue_order_id])
    filled = an_order(venue_order_id=str(order.venue_order_id), status=OrderStatus.FILLED, filled="0.01")
    house.engine.tracker.book_order(filled, an_intent().id)
    record = house.journal.intent(an_intent().id)
    assert record is not None
    assert record.order is not None
    assert record.order.filled == Decimal("0.01")


def test_E11_an_order_that_stays_open_after_the_ack_is_not_called_gone(house: House) -> None:
    order = resting(house)
    house.venue.cancel_mode = "never"
    report = house.engine.desk.cancel([order.venue_order_id], wait=WAIT)
    assert report.gone == ()
    assert report.still_live == (order.venue_order_id,)
    assert house.venue.calls.count("cancel") > 1


def test_E11_a_slow_cancel_is_waited_for(house: House) -> None:
    order = resting(house)
    house.venue.cancel_mode = "slow"
    assert house.engine.desk.cancel([order.venue_order_id], wait=WAIT).gone == (order.venue_order_id,)


def test_a_cancel_the_venue_refuses_says_its_word(house: House) -> None:
    order = resting(house)
    house.venue.cancel_mode = "refuse"
    report = house.engine.desk.cancel([order.venue_order_id], wait=WAIT)
    assert report.still_live == (order.venue_order_id,)
    assert any("INVALID_CANCEL_FCM_TRADING_SESSION" in problem for problem in report.problems)


def test_E2_an_order_missing_from_the_listing_and_live_by_id_is_not_gone(house: House) -> None:
    order = resting(house)
    house.venue.cancel_mode = "never"
    house.venue.unlisted[order.venue_order_id] = 1000
    report = house.engine.desk.cancel([order.venue_order_id], wait=WAIT)
    assert report.gone == ()
    assert report.still_live == (order.venue_order_id,)


def test_an_order_the_venue_does_not_know_any_more_stays_unproven(house: House) -> None:
    order = resting(house)
    house.venue.forgets.add(order.venue_order_id)
    house.venue.orders_[order.venue_order_id] = an_order(
        venue_order_id=str(order.venue_order_id), status=OrderStatus.CANCELLED
    )
    report = house.engine.desk.cancel([order.venue_order_id], wait=WAIT)
    assert report.gone == ()
    assert report.unproven == (order.venue_order_id,)


@pytest.mark.parametrize("read", ["live_orders", "order"])
def test_L5_a_failed_read_back_proves_nothing(house: House, read: str) -> None:
    order = resting(house)
    house.venue.fail(read)
    if read == "live_orders":
        house.venue.fail("order")
    report = house.engine.desk.cancel([order.venue_order_id], wait=WAIT)
    assert report.gone == ()
    assert report.unproven == (order.venue_order_id,)
    assert report.problems


def test_R3_a_broken_journal_stops_no_cancel(house: House) -> None:
    order = resting(house)
    house.journal.broken["*"] = 0
    report = house.engine.desk.cancel([order.venue_order_id], wait=WAIT)
    assert report.gone == (order.venue_order_id,)
    assert house.venue.live() == []
    assert any("disk is full" in problem for problem in report.problems)
    assert "cancel_unrecorded" in house.talk.alarms


def test_R3_cancels_work_while_the_switch_is_engaged(house: House) -> None:
    order = resting(house)
    house.latch.engage(reason="test", by="op", at=NOW)
    assert house.engine.desk.cancel([order.venue_order_id]).gone == (order.venue_order_id,)


def test_N5_a_cancel_that_was_rate_limited_is_asked_again(house: House) -> None:
    order = resting(house)
    house.venue.fail("cancel", RateLimited("429"), times=2)
    began = house.clock.now()
    assert house.engine.desk.cancel([order.venue_order_id], wait=WAIT).gone == (order.venue_order_id,)
    assert house.clock.now() - began < timedelta(milliseconds=500)


def test_an_id_that_is_no_derivatives_order_of_ours_is_not_touched(house: House) -> None:
    report = house.engine.desk.cancel(["some-spot-order"])
    assert report.requested == ()
    assert "cancel" not in house.venue.calls
    assert any("not a live derivatives order" in problem for problem in report.problems)


def test_a_foreign_derivatives_order_can_be_cancelled_by_its_id(house: House) -> None:
    foreign = house.venue.rest(limit_price="59000")
    assert house.engine.desk.cancel([foreign.venue_order_id]).gone == (foreign.venue_order_id,)


def test_an_intent_in_doubt_has_nothing_to_cancel_yet(house: House) -> None:
    house.venue.endings = ["lost"]
    house.engine.desk.place(an_intent(), wait=timedelta(0))
    report = house.engine.desk.cancel(["intent-0001"])
    assert report.gone == ()
    assert any("in doubt" in problem for problem in report.problems)


def test_I4_L5_cancel_all_names_an_intent_in_doubt_whose_order_no_list_shows_yet(house: House) -> None:
    """E1 after a lost reply: a complete, empty list does not say that nothing rests (schedule 3405)."""
    house.venue.endings = ["hidden"]
    house.engine.desk.place(an_intent(), wait=timedelta(0))
    report = house.engine.desk.cancel_all()
    assert house.venue.live() != []
    assert report.in_doubt == ("intent-0001",)
    assert house.engine.desk.cancel_all(ProductId(ETH)).in_doubt == ()


def test_cancel_all_names_no_doubt_whose_order_it_proved_gone(house: House) -> None:
    house.venue.endings = ["unanswered"]
    house.engine.desk.place(an_intent(), wait=timedelta(0))
    report = house.engine.desk.cancel_all()
    assert (len(report.gone), report.in_doubt) == (1, ())


def test_cancel_all_takes_every_order_of_every_source(house: House) -> None:
    resting(house)
    house.venue.rest(limit_price="58000", placement_source="UNKNOWN_PLACEMENT_SOURCE")
    house.venue.rest(limit_price="58000", status=OrderStatus.QUEUED, product_id=ETH)
    report = house.engine.desk.cancel_all()
    assert len(report.gone) == 3
    assert house.venue.live() == []


def test_cancel_all_of_one_product_leaves_the_others(house: House) -> None:
    resting(house)
    other = house.venue.rest(limit_price="3000", product_id=ETH)
    house.engine.desk.cancel_all(ProductId(BTC))
    assert [order.venue_order_id for order in house.venue.live()] == [other.venue_order_id]


def test_E23_an_order_that_appears_during_cancel_all_is_cancelled_too(house: House) -> None:
    resting(house)
    house.venue.cancel_mode = "slow"
    late: list[VenueOrder] = []

    def appears() -> None:
        if not late:
            late.append(house.venue.rest(limit_price="59000"))

    house.clock.at_sleep.append(appears)
    report = house.engine.desk.cancel_all()
    assert len(late) == 1
    assert late[0].venue_order_id in report.gone
    assert house.venue.live() == []


def test_L5_R3_cancel_all_without_a_listing_cancels_what_the_journal_knows_and_says_that_the_rest_is_unproven(
    house: House,
) -> None:
    order = resting(house)
    foreign = house.venue.rest(limit_price="59000")
    house.venue.fail("live_orders")
    house.venue.calls.clear()
    report = house.engine.desk.cancel_all(wait=WAIT)
    assert report.gone == (order.venue_order_id,)
    assert house.venue.live() == [foreign]
    assert any("were never read to their end" in problem for problem in report.problems)
    assert any("orders nobody listed are unproven" in problem for problem in report.problems)
    calls = house.venue.calls
    assert calls.index("cancel") < calls.index("order"), "asked to go before anything is looked at"


def test_L5_what_is_neither_listed_nor_told_by_id_is_asked_to_go_and_stays_unproven(house: House) -> None:
    order = resting(house)
    house.venue.fail("live_orders")
    house.venue.fail("order")
    report = house.engine.desk.cancel_all(wait=WAIT)
    assert house.venue.live() == []
    assert (report.gone, report.unproven) == ((), (order.venue_order_id,))


def test_L5_without_a_listing_only_orders_of_the_product_and_those_the_filter_picks_are_cancelled(house: House) -> None:
    resting(house)
    kept = resting(house, "intent-0002", price="59800")
    house.venue.fail("live_orders")
    assert house.engine.desk.cancel_all(ProductId(ETH), wait=WAIT).requested == ()
    house.engine.canceller.cancel_all(wait=WAIT, only=lambda order: order.venue_order_id != kept.venue_order_id)
    assert [order.venue_order_id for order in house.venue.live()] == [kept.venue_order_id]


def test_L5_without_a_listing_and_a_journal_nothing_is_cancelled_and_both_are_named(house: House) -> None:
    resting(house)
    house.venue.fail("live_orders")
    house.journal.broken["*"] = 0
    report = house.engine.desk.cancel_all(wait=WAIT)
    assert report.gone == ()
    assert any(problem.startswith("journal: ") for problem in report.problems)


def test_cancel_all_survives_listings_that_fail_for_a_while(house: House) -> None:
    resting(house)
    house.venue.fail("live_orders", times=3)
    report = house.engine.desk.cancel_all()
    assert len(report.gone) == 1
    assert report.problems == ()


# --- mass cancels ---------------------------------------------------------------------------------------


def crowd(house: House, count: int = 30) -> None:
    house.venue.offers_mass_cancel = True
    for number in range(count):
        house.venue.rest(limit_price=str(50000 + number))


def test_where_the_venue_has_a_mass_cancel_no_order_is_asked_one_by_one(house: House) -> None:
    crowd(house)
    report = house.engine.desk.cancel_all()
    assert (len(report.gone), report.problems) == (30, ())
    assert house.venue.calls.count("cancel_all") == 1
    assert "cancel" not in house.venue.calls
    assert "order" not in house.venue.calls  # their ends stand in one list


def test_I8_what_a_mass_cancel_left_is_asked_for_one_by_one(house: House) -> None:
    crowd(house)
    house.venue.mass_takes = 20
    report = house.engine.desk.cancel_all()
    assert (len(report.gone), house.venue.live()) == (30, [])
    assert "cancel" in house.venue.calls


@pytest.mark.parametrize("takes", [0, None])
def test_a_mass_cancel_that_took_nothing_or_failed_is_followed_by_single_ones_at_once(
    house: House, takes: int | None
) -> None:
    crowd(house)
    house.venue.mass_takes = takes
    if takes is None:
        house.venue.fail("cancel_all")
    began = house.clock.now()
    assert len(house.engine.desk.cancel_all().gone) == 30
    assert house.clock.now() - began < timedelta(milliseconds=200)


def test_I8_a_mass_cancel_that_only_says_so_proves_nothing(house: House) -> None:
    crowd(house, 3)
    house.venue.cancel_mode = "never"
    report = house.engine.desk.cancel_all(wait=WAIT)
    assert (report.gone, len(report.still_live)) == ((), 3)


def test_a_filter_that_picks_orders_never_sends_a_mass_cancel(house: House) -> None:
    crowd(house, 3)
    kept = house.venue.rest(limit_price="59000")
    house.engine.canceller.cancel_all(only=lambda order: order.venue_order_id != kept.venue_order_id)
    assert "cancel_all" not in house.venue.calls
    assert [order.venue_order_id for order in house.venue.live()] == [kept.venue_order_id]


def test_R3_a_mass_cancel_goes_out_although_nothing_can_be_listed_and_our_own_orders_are_proven(house: House) -> None:
    order = resting(house)
    crowd(house, 5)
    house.venue.fail("live_orders")
    report = house.engine.desk.cancel_all(wait=WAIT)
    assert house.venue.live() == []
    assert report.gone == (order.venue_order_id,)
    assert report.problems  # that nothing could be listed is said
    record = house.journal.intent(an_intent().id)
    assert record is not None
    assert record.stage is IntentStage.DONE


def test_a_mass_cancel_of_one_product_names_it(house: House) -> None:
    crowd(house, 3)
    other = house.venue.rest(limit_price="3000", product_id=ETH)
    assert len(house.engine.desk.cancel_all(ProductId(BTC)).gone) == 3
    assert [order.venue_order_id for order in house.venue.live()] == [other.venue_order_id]
