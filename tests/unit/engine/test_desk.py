"""The road of an order: every ending, every failing write and read, and never a second send (I1, I2, I3, I4, I7, R1)."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from perpsctl.domain.accounts import Booked
from perpsctl.domain.errors import (
    JournalUnavailable,
    OffGrid,
    RateLimited,
    UsageError,
    VenueRefusedUs,
    VenueUnreachable,
)
from perpsctl.domain.numbers import Price, Size
from perpsctl.domain.orders import Accepted, NotSent, OrderStatus, Rejected, Road, TimeInForce, Unknown
from perpsctl.domain.reports import IntentStage, PlaceReport
from perpsctl.domain.sides import Side
from perpsctl.domain.verdicts import Denial, DenialCode
from perpsctl.engine.desk import check_offered
from perpsctl.engine.sending import OutcomeUnrecorded
from tests.builders import NOW, an_intent
from tests.unit.engine.conftest import House
from tests.unit.engine.fakes import DOWN


def codes(report: PlaceReport) -> set[DenialCode]:
    assert report.denied is not None
    return {denial.code for denial in report.denied.denials}


def test_an_accepted_order_is_read_back_and_journaled(house: House) -> None:
    report = house.engine.desk.place(an_intent())
    assert isinstance(report.outcome, Accepted)
    assert report.denied is None
    assert report.order is not None
    assert report.order.status is OrderStatus.OPEN
    record = house.journal.intent(an_intent().id)
    assert record is not None
    assert record.stage is IntentStage.WORKING
    assert record.order is not None


def test_I2_the_intent_is_committed_before_the_venue_is_asked(house: House) -> None:
    seen: list[IntentStage] = []

    def look() -> None:
        record = house.journal.intent(an_intent().id)
        assert record is not None
        seen.append(record.stage)

    house.venue.before_submit = look
    house.engine.desk.place(an_intent())
    assert seen == [IntentStage.COMMITTED]


def test_a_rejection_is_proven_and_nothing_rests(house: House) -> None:
    house.venue.endings = ["reject"]
    report = house.engine.desk.place(an_intent())
    assert isinstance(report.outcome, Rejected)
    assert report.order is None
    assert house.venue.live() == []
    assert house.journal.in_doubt() == ()


def test_a_connection_that_was_refused_is_not_sent(house: House) -> None:
    house.venue.endings = ["not_sent"]
    report = house.engine.desk.place(an_intent())
    assert isinstance(report.outcome, NotSent)
    assert report.denied is None


@pytest.mark.parametrize("ending", ["unanswered", "hidden"])
def test_I1_a_lost_reply_ends_as_exactly_one_order(house: House, ending: str) -> None:
    house.venue.endings = [ending]
    report = house.engine.desk.place(an_intent())
    assert isinstance(report.outcome, Accepted)
    assert "found at the venue" in report.outcome.evidence
    assert len(house.venue.submitted) == 1
    assert len(house.venue.of_intent("intent-0001")) == 1
    assert house.journal.in_doubt() == ()


def test_I4_a_request_that_never_arrived_stays_unknown_until_its_bound_has_passed(house: House) -> None:
    house.venue.endings = ["lost"]
    report = house.engine.desk.place(an_intent())
    assert isinstance(report.outcome, Unknown)
    assert len(house.venue.submitted) == 1
    assert [r.intent.id for r in house.journal.in_doubt()] == [an_intent().id]


def test_I3_absence_is_proven_within_sixty_seconds_by_two_listings_and_nothing_is_resent(house: House) -> None:
    house.venue.endings = ["lost"]
    began = house.clock.now()
    report = house.engine.desk.place(an_intent(), wait=timedelta(seconds=60))
    assert isinstance(report.outcome, NotSent)
    assert "2 complete listings" in report.outcome.evidence
    assert timedelta(seconds=45) <= house.clock.now() - began <= timedelta(seconds=60)
    assert len(house.venue.submitted) == 1


def test_H10_a_reply_that_contradicts_the_request_is_alarmed_and_stays_in_doubt(house: House) -> None:
    house.venue.endings = ["contradicts"]
    report = house.engine.desk.place(an_intent())
    assert isinstance(report.outcome, Unknown)
    assert report.outcome.alarm
    assert "reply_contradicts_request" in house.talk.alarms
    assert "alarm" in house.journal.kinds()


def test_a_known_id_with_equal_terms_sends_nothing(house: House) -> None:
    first = house.engine.desk.place(an_intent())
    again = house.engine.desk.place(replace(an_intent(), created_at=NOW + timedelta(seconds=5), reason="once more"))
    assert again.replayed
    assert again.outcome == first.outcome
    assert len(house.venue.submitted) == 1


def test_a_known_id_with_other_terms_is_refused(house: House) -> None:
    house.engine.desk.place(an_intent())
    with pytest.raises(UsageError, match="other terms"):
        house.engine.desk.place(an_intent(limit_price="59800"))
    assert len(house.venue.submitted) == 1


def test_a_known_id_in_doubt_is_looked_into_and_never_resent(house: House) -> None:
    house.venue.endings = ["hidden"]
    first = house.engine.desk.place(an_intent(), wait=timedelta(seconds=1))
    assert isinstance(first.outcome, Unknown)
    again = house.engine.desk.place(an_intent())
    assert isinstance(again.outcome, Accepted)
    assert len(house.venue.submitted) == 1


def test_I7_operator_input_off_the_grid_is_refused_before_anything_is_sent(house: House) -> None:
    with pytest.raises(OffGrid):
        house.engine.desk.place(an_intent(size="0.015"))
    assert house.venue.submitted == []
    assert house.journal.intents() == ()


def test_a_size_over_the_limit_is_denied_with_both_numbers(house: House) -> None:
    report = house.engine.desk.place(an_intent(size="0.2"))
    assert DenialCode.POSITION_ABOVE_MAX in codes(report)
    assert house.venue.submitted == []
    record = house.journal.intent(an_intent().id)
    assert record is not None
    assert record.stage is IntentStage.DENIED


def test_R5_an_order_in_doubt_counts_at_its_whole_size(house: House) -> None:
    house.venue.endings = ["lost"]
    house.engine.desk.place(an_intent(size="0.16"))
    report = house.engine.desk.place(an_intent(id="intent-0002", size="0.01", limit_price="59905"))
    assert DenialCode.POSITION_ABOVE_MAX in codes(report)


def test_R1_an_engaged_switch_denies_before_anything_is_read(house: House) -> None:
    house.latch.engage(reason="test", by="op", at=NOW)
    report = house.engine.desk.place(an_intent())
    assert codes(report) == {DenialCode.KILL_SWITCH_ENGAGED}
    assert house.venue.calls == []


def test_R1_a_switch_engaged_between_verdict_and_send_is_refused_by_the_gate(house: House) -> None:
    def engage() -> None:
        house.latch.engage(reason="test", by="op", at=NOW)

    house.venue.before_submit = engage
    report = house.engine.desk.place(an_intent())
    assert codes(report) == {DenialCode.KILL_SWITCH_ENGAGED}
    assert house.venue.submitted == []
    record = house.journal.intent(an_intent().id)
    assert record is not None
    assert record.stage is IntentStage.NOT_SENT


def test_R2_an_unreadable_latch_denies(house: House) -> None:
    (house.latch.folder / "killswitch.latch").write_text("not a latch")
    assert codes(house.engine.desk.place(an_intent())) == {DenialCode.KILL_SWITCH_ENGAGED}
    assert house.venue.submitted == []


@pytest.mark.parametrize("write", ["decide", "*"])
def test_D1_nothing_is_sent_when_the_intent_cannot_be_written(house: House, write: str) -> None:
    house.journal.broken[write] = 0
    with pytest.raises(JournalUnavailable):
        house.engine.desk.place(an_intent())
    assert house.venue.submitted == []


def test_an_outcome_that_cannot_be_recorded_is_told_and_the_order_stays_in_doubt(house: House) -> None:
    house.journal.broken["record_outcome"] = 0
    with pytest.raises(OutcomeUnrecorded, match="accepted") as told:
        house.engine.desk.place(an_intent())
    assert isinstance(told.value.outcome, Accepted)
    assert [r.intent.id for r in house.journal.in_doubt()] == [an_intent().id]


def test_an_order_state_that_cannot_be_recorded_is_a_note_and_the_outcome_stands(house: House) -> None:
    house.journal.broken["record_order"] = 0
    report = house.engine.desk.place(an_intent())
    assert isinstance(report.outcome, Accepted)
    assert any("disk is full" in note for note in report.notes)


@pytest.mark.parametrize(
    ("read", "code"),
    [
        ("account", DenialCode.ACCOUNT_MISSING),
        ("positions", DenialCode.ACCOUNT_MISSING),
        ("live_orders", DenialCode.ACCOUNT_MISSING),
        ("book", DenialCode.BOOK_MISSING),
        ("server_time", DenialCode.CLOCK_UNKNOWN),
    ],
)
def test_L5_each_failed_read_denies_an_entry_and_never_looks_flat(house: House, read: str, code: DenialCode) -> None:
    house.venue.fail(read)
    report = house.engine.desk.place(an_intent())
    assert code in codes(report)
    assert house.venue.submitted == []
    assert any("did not answer" in note for note in report.notes)


def test_a_product_that_cannot_be_read_is_an_error_not_a_verdict(house: House) -> None:
    house.venue.fail("product")
    with pytest.raises(VenueUnreachable):
        house.engine.desk.place(an_intent())


def test_A2_refused_credentials_are_said_at_once(house: House) -> None:
    house.venue.fail("account", VenueRefusedUs("401"))
    with pytest.raises(VenueRefusedUs):
        house.engine.desk.place(an_intent())


def test_a_read_back_that_fails_leaves_the_acceptance_standing(house: House) -> None:
    house.venue.before_submit = lambda: house.venue.fail("order", RateLimited("slow down"))
    report = house.engine.desk.place(an_intent())
    assert isinstance(report.outcome, Accepted)
    assert report.order is None
    assert "order: slow down" in report.notes


def test_the_loss_baseline_heals_by_reading(house: House) -> None:
    report = house.engine.desk.place(an_intent())
    assert isinstance(report.outcome, Accepted)
    assert len(house.journal.marks) == 1


def test_the_equity_mark_is_recorded_once_a_minute(house: House) -> None:
    for number in range(3):
        house.engine.desk.place(an_intent(id=f"intent-100{number}", limit_price=str(59800 + 5 * number)))
    assert len(house.journal.marks) == 1
    house.clock.advance(timedelta(seconds=61))
    house.engine.desk.place(an_intent(id="intent-2000", limit_price="59700"))
    assert len(house.journal.marks) == 2


def test_a_verdict_over_positions_read_too_early_is_made_again(house: House) -> None:
    """An order that fills and is booked by another process between our reads and the verdict would be in neither."""
    first = house.engine.desk.place(an_intent(id="intent-rest1", size="0.1"))
    assert first.order is not None
    resting = first.order.venue_order_id
    tries: list[int] = []

    def another_process_books_the_fill() -> None:
        tries.append(1)
        if len(tries) == 1:
            house.venue.fill(resting)
            house.journal.record_order(house.venue.orders_[resting], an_intent(id="intent-rest1").id)

    house.journal.in_decide = another_process_books_the_fill
    report = house.engine.desk.place(an_intent(id="intent-0002", size="0.1", limit_price="59895"))
    assert len(tries) == 2
    assert DenialCode.POSITION_ABOVE_MAX in codes(report)
    assert len(house.venue.submitted) == 1


def test_R7_an_exit_cancels_our_own_order_in_the_way_first(house: House) -> None:
    resting = house.engine.desk.place(an_intent(id="intent-rest1", limit_price="59900"))
    house.venue.coin[an_intent().product_id] = Decimal("0.01")
    assert resting.order is not None
    leave = an_intent(
        id="intent-exit1", side=Side.SELL, limit_price="59000", tif=TimeInForce.IOC, road=Road.EXIT, reduce_only=True
    )
    report = house.engine.desk.place(leave)
    assert isinstance(report.outcome, Accepted)
    assert house.venue.orders_[resting.order.venue_order_id].status is OrderStatus.CANCELLED
    assert house.venue.calls.index("cancel") < house.venue.calls.index("submit", house.venue.calls.index("submit") + 1)


def test_R7_an_exit_larger_than_the_position_is_denied(house: House) -> None:
    house.venue.coin[an_intent().product_id] = Decimal("0.01")
    leave = an_intent(
        id="intent-exit1", side=Side.SELL, size="0.02", limit_price="59000", tif=TimeInForce.IOC, road=Road.EXIT
    )
    assert DenialCode.NOT_REDUCING in codes(house.engine.desk.place(leave))
    assert house.venue.submitted == []


def test_a_process_held_up_between_verdict_and_send_does_not_send(house: House) -> None:
    def stopped(booked: Booked | None = None) -> None:
        house.clock.advance(timedelta(seconds=6))

    house.journal.in_decide = stopped
    limits = replace(house.engine.limits, book_age_max_s=60, mark_age_max_s=60, account_age_max_s=60)
    object.__setattr__(house.engine.desk, "_limits", limits)
    report = house.engine.desk.place(an_intent())
    assert isinstance(report.outcome, NotSent)
    assert report.outcome.reason == "approval_expired"
    assert house.venue.submitted == []


def test_where_entries_are_forbidden_none_is_sent_and_exits_pass(house: House) -> None:
    forbidden = (Denial(code=DenialCode.LIVE_NOT_ENABLED, observed="live=false", limit="both"),)
    house.engine.desk._forbids_entries = lambda: forbidden
    assert codes(house.engine.desk.place(an_intent())) == {DenialCode.LIVE_NOT_ENABLED}
    assert house.venue.calls == []
    record = house.journal.intent(an_intent().id)
    assert record is not None
    assert record.stage is IntentStage.DENIED
    house.venue.coin[an_intent().product_id] = Decimal("0.01")
    leave = an_intent(
        id="intent-exit1", side=Side.SELL, limit_price="59000", tif=TimeInForce.IOC, road=Road.EXIT, reduce_only=True
    )
    assert isinstance(house.engine.desk.place(leave).outcome, Accepted)


def test_a_preview_sends_and_commits_nothing(house: House) -> None:
    report = house.engine.desk.preview(an_intent(size="0.2"))
    assert report.preview is not None
    assert report.denied is not None
    assert house.journal.intents() == ()
    assert house.venue.submitted == []


def test_an_error_at_the_venue_while_resolving_is_no_evidence(house: House) -> None:
    house.venue.endings = ["lost"]
    house.venue.before_submit = lambda: house.venue.fail("search", DOWN)
    report = house.engine.desk.place(an_intent(), wait=timedelta(seconds=120))
    assert isinstance(report.outcome, Unknown)
    assert len(house.journal.in_doubt()) == 1


def test_prices_and_sizes_sent_are_those_meant(house: House) -> None:
    house.engine.desk.place(an_intent(size="0.03", limit_price="59905"))
    sent = house.venue.submitted[0].order
    assert (sent.size, sent.limit_price) == (Size(Decimal("0.03")), Price(Decimal("59905")))


def test_a_gtd_order_is_refused_where_the_venue_has_none(house: House) -> None:
    offered = replace(house.venue.capabilities, native_gtd=False)
    gtd = an_intent(tif=TimeInForce.GTD, expires=NOW + timedelta(hours=1))
    with pytest.raises(UsageError, match="no good-till-date"):
        check_offered(gtd, offered)
    check_offered(gtd, house.venue.capabilities)
    check_offered(an_intent(), offered)
