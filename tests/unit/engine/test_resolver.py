"""Doubt ends by evidence only (I3, I4); a contradiction or a failed listing ends nothing (H10)."""

from datetime import timedelta

import pytest

from perpsctl.domain.errors import JournalUnavailable, UsageError
from perpsctl.domain.ids import IntentId, VenueOrderId
from perpsctl.domain.orders import Accepted, NotSent, SubmitOutcome, Unknown
from perpsctl.domain.ports import Sighting
from perpsctl.domain.products import DoubtTerms
from perpsctl.domain.reports import IntentRecord, IntentStage
from perpsctl.engine.resolver import absence_evidence
from tests.builders import NOW, an_intent, an_order
from tests.unit.engine.conftest import House
from tests.unit.engine.fakes import DOWN

ID = an_intent().id
NONE = timedelta(0)


def in_doubt(house: House, ending: str = "lost") -> IntentRecord:
    house.venue.endings = [ending]
    report = house.engine.desk.place(an_intent(), wait=NONE)
    assert isinstance(report.outcome, Unknown)
    record = house.journal.intent(ID)
    assert record is not None
    return record


def resolve(house: House, record: IntentRecord, seconds: int = 0) -> SubmitOutcome:
    return house.engine.resolver.resolve(record, timedelta(seconds=seconds))


def test_E1_an_order_that_shows_late_is_found(house: House) -> None:
    record = in_doubt(house, "hidden")
    assert isinstance(resolve(house, record), Unknown)
    house.clock.advance(timedelta(seconds=13))
    outcome = resolve(house, record)
    assert isinstance(outcome, Accepted)
    held = house.journal.intent(ID)
    assert held is not None
    assert held.stage is IntentStage.WORKING


def test_I4_time_alone_proves_nothing(house: House) -> None:
    record = in_doubt(house)
    house.venue.fail("search", DOWN)
    house.clock.advance(timedelta(days=2))
    assert isinstance(resolve(house, record, 60), Unknown)
    assert house.journal.in_doubt()


def test_a_loop_of_days_keeps_nothing_of_orders_that_were_answered(house: House) -> None:
    house.engine.desk.place(an_intent())
    assert house.engine.resolver._doubts == {}
    house.venue.endings = ["lost"]
    house.engine.desk.place(an_intent(id="intent-0002", limit_price="59800"), wait=NONE)
    assert list(house.engine.resolver._doubts) == ["intent-0002"]


@pytest.mark.parametrize("hours", [-1, 24])
def test_T1_looking_takes_as_long_as_was_asked_although_the_wall_clock_is_stepped(house: House, hours: int) -> None:
    record, began = in_doubt(house), house.clock.monotonic_ns()
    house.venue.fail("search", DOWN)
    stepped = iter([timedelta(hours=hours)])
    house.clock.at_sleep.append(lambda: house.clock.step(next(stepped, NONE)))
    assert isinstance(resolve(house, record, 60), Unknown)
    passed = timedelta(microseconds=(house.clock.monotonic_ns() - began) // 1000)
    assert timedelta(seconds=60) <= passed < timedelta(seconds=61)


def test_a_listing_before_the_bound_counts_for_nothing(house: House) -> None:
    record = in_doubt(house)
    house.clock.advance(timedelta(seconds=39))
    look = house.engine.resolver.look(record)
    assert look.outcome is None
    assert "conclusive from" in look.why


def test_absence_needs_two_listings_five_seconds_apart(house: House) -> None:
    record = in_doubt(house)
    house.clock.advance(timedelta(seconds=41))
    assert house.engine.resolver.look(record).outcome is None
    house.clock.advance(timedelta(seconds=4))
    assert house.engine.resolver.look(record).outcome is None
    house.clock.advance(timedelta(seconds=1))
    assert isinstance(house.engine.resolver.look(record).outcome, NotSent)


def test_a_failed_listing_between_two_is_no_third_one(house: House) -> None:
    record = in_doubt(house)
    house.clock.advance(timedelta(seconds=41))
    assert house.engine.resolver.look(record).outcome is None
    house.venue.fail("search", times=1)
    house.clock.advance(timedelta(seconds=10))
    look = house.engine.resolver.look(record)
    assert look.failed
    assert look.outcome is None
    assert isinstance(house.engine.resolver.look(record).outcome, NotSent)


@pytest.mark.parametrize("skew", [timedelta(seconds=5), timedelta(seconds=-5)])
def test_the_measured_skew_joins_the_bound(house: House, skew: timedelta) -> None:
    record = in_doubt(house)
    house.venue.skew = skew
    house.clock.advance(timedelta(seconds=43))
    house.engine.views._server_time = None
    assert "conclusive from" in house.engine.resolver.look(record).why
    house.clock.advance(timedelta(seconds=3))
    assert "1 of 2" in house.engine.resolver.look(record).why


def test_without_a_measured_clock_absence_is_never_concluded(house: House) -> None:
    record = in_doubt(house)
    house.venue.fail("server_time")
    house.clock.advance(timedelta(minutes=10))
    outcome = resolve(house, record, 60)
    assert isinstance(outcome, Unknown)
    assert "clock could not be measured" in outcome.evidence


def test_a_record_whose_sender_nobody_watched_gets_a_longer_bound(house: House) -> None:
    """A crash between commit and outcome: the sender may have signed some seconds after the commit."""
    record = in_doubt(house)
    house.engine.resolver.ended(ID)
    house.clock.advance(timedelta(seconds=45))
    assert "conclusive from" in house.engine.resolver.look(record).why
    house.clock.advance(timedelta(seconds=6))
    assert "1 of 2" in house.engine.resolver.look(record).why


def test_H10_another_order_under_our_id_is_alarmed_once_and_never_adopted(house: House) -> None:
    record = in_doubt(house)
    house.venue.contradiction = "an order under our id sells"
    for _ in range(3):
        assert isinstance(resolve(house, record, 60), Unknown)
    assert house.talk.alarms.count("order_contradicts_intent") == 1
    assert house.journal.kinds().count("alarm") == 1
    assert house.journal.in_doubt()


def test_a_found_order_that_cannot_be_recorded_stays_in_doubt(house: House) -> None:
    record = in_doubt(house, "hidden")
    house.clock.advance(timedelta(seconds=13))
    house.journal.broken["record_outcome"] = 0
    with pytest.raises(JournalUnavailable):
        resolve(house, record)
    assert house.journal.in_doubt()


def test_resolve_all_ends_each_by_its_own_evidence(house: House) -> None:
    house.venue.endings = ["hidden", "lost"]
    house.engine.desk.place(an_intent(), wait=NONE)
    house.engine.desk.place(an_intent(id="intent-0002", limit_price="59800"), wait=NONE)
    ended = dict(house.engine.resolver.resolve_all(timedelta(seconds=60)))
    assert isinstance(ended[ID], Accepted)
    assert isinstance(ended[IntentId("intent-0002")], NotSent)
    assert house.journal.in_doubt() == ()


def test_resolve_all_says_what_is_still_unknown(house: House) -> None:
    in_doubt(house)
    ended = dict(house.engine.resolver.resolve_all(timedelta(0)))
    assert isinstance(ended[ID], Unknown)


def test_I4_an_operators_decision_needs_name_and_reason_and_is_recorded(house: House) -> None:
    in_doubt(house)
    with pytest.raises(UsageError):
        house.engine.resolver.decide_by_operator(ID, verdict="not_sent", by="", reason="seen in the venue's app")
    outcome = house.engine.resolver.decide_by_operator(
        ID, verdict="not_sent", by="ann", reason="venue confirmed by mail"
    )
    assert isinstance(outcome, NotSent)
    assert "operator_decision" in house.journal.kinds()
    assert house.journal.in_doubt() == ()


def test_an_operator_names_the_order_an_intent_became(house: House) -> None:
    in_doubt(house)
    order = an_order(venue_order_id="venue-77", client_order_id=None)
    house.venue.orders_[order.venue_order_id] = order
    outcome = house.engine.resolver.decide_by_operator(
        ID, verdict="accepted", by="ann", reason="seen", venue_order_id=VenueOrderId("venue-77")
    )
    assert isinstance(outcome, Accepted)
    owner = house.journal.intent_by_order(VenueOrderId("venue-77"))
    assert owner is not None
    assert owner.intent.id == ID


def test_H10_an_operator_cannot_adopt_an_order_of_other_terms(house: House) -> None:
    in_doubt(house)
    order = an_order(venue_order_id="venue-77", client_order_id=None, size="0.05")
    house.venue.orders_[order.venue_order_id] = order
    with pytest.raises(UsageError, match=r"size 0\.05 instead of 0\.01"):
        house.engine.resolver.decide_by_operator(
            ID, verdict="accepted", by="ann", reason="seen", venue_order_id=VenueOrderId("venue-77")
        )
    assert house.journal.in_doubt()


def test_a_settled_intent_is_not_an_operators_to_decide(house: House) -> None:
    house.engine.desk.place(an_intent())
    with pytest.raises(UsageError, match="in doubt"):
        house.engine.resolver.decide_by_operator(ID, verdict="not_sent", by="ann", reason="because")


def test_moments_in_the_evidence_of_an_absence_are_told_as_everywhere() -> None:
    listed = [
        Sighting(
            order=None, contradicts="", listed_at=NOW + timedelta(seconds=at, milliseconds=27), evidence="not listed"
        )
        for at in (40, 50)
    ]
    terms = DoubtTerms(
        write_ttl=timedelta(seconds=10),
        visibility=timedelta(seconds=20),
        listings=2,
        listings_apart=timedelta(seconds=10),
    )
    told = absence_evidence(listed, NOW + timedelta(seconds=30), terms)
    assert "2026-11-22T12:00:40Z: not listed; 2026-11-22T12:00:50Z: not listed" in told
    assert "all after 2026-11-22T12:00:30Z when" in told
    assert "+00:00" not in told
