"""Edits: an intent of their own, old and new terms counted until known (E24); a replacement waits for proof."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from perpsctl.domain.errors import ExitCode, UsageError, VenueUnreachable
from perpsctl.domain.ids import IntentId, VenueOrderId
from perpsctl.domain.numbers import Price, Size
from perpsctl.domain.orders import Accepted, CancelResult, EditIntent, NotSent, OrderStatus, Rejected, Unknown
from perpsctl.domain.verdicts import DenialCode
from perpsctl.engine.edits import HalfReplaced
from tests.builders import NOW, an_intent
from tests.unit.engine.conftest import House


def an_edit(
    house: House, *, price: str | None = "59800", size: str | None = None, id_: str = "edit-0001"
) -> EditIntent:
    if house.journal.intent(an_intent().id) is None:
        house.engine.desk.place(an_intent())
    (order,) = house.venue.of_intent("intent-0001")
    return EditIntent(
        id=IntentId(id_),
        target=an_intent().id,
        venue_order_id=order.venue_order_id,
        new_price=None if price is None else Price(Decimal(price)),
        new_size=None if size is None else Size(Decimal(size)),
        created_at=house.clock.now(),
    )


def test_an_edit_changes_the_order_and_nothing_is_created(house: House) -> None:
    report = house.engine.edits.edit(an_edit(house))
    assert isinstance(report.outcome, Accepted)
    assert report.order is not None
    assert report.order.limit_price == Decimal("59800")
    assert len(house.venue.orders_) == 1


def test_an_edit_above_the_limit_is_denied(house: House) -> None:
    report = house.engine.edits.edit(an_edit(house, price=None, size="0.3"))
    assert report.denied is not None
    assert DenialCode.POSITION_ABOVE_MAX in {d.code for d in report.denied.denials}
    assert house.venue.edits == []


def test_R1_an_edit_is_refused_by_an_engaged_switch(house: House) -> None:
    edit = an_edit(house)
    house.latch.engage(reason="test", by="op", at=NOW)
    report = house.engine.edits.edit(edit)
    assert report.denied is not None
    assert house.venue.edits == []


def test_R1_the_gate_refuses_an_edit_when_the_switch_comes_late(house: House) -> None:
    edit = an_edit(house)

    def engage() -> None:
        house.latch.engage(reason="test", by="op", at=NOW)

    house.venue.before_submit = engage
    report = house.engine.edits.edit(edit)
    assert report.denied is not None
    assert report.outcome is None
    assert house.venue.edits == []


def test_a_rejected_edit_leaves_the_old_terms(house: House) -> None:
    edit = an_edit(house)
    house.venue.endings = ["reject"]
    report = house.engine.edits.edit(edit)
    assert isinstance(report.outcome, Rejected)
    assert report.order is not None
    assert report.order.limit_price == Decimal("59900")


def test_E24_an_unanswered_edit_that_took_is_found(house: House) -> None:
    edit = an_edit(house)
    house.venue.endings = ["unanswered"]
    report = house.engine.edits.edit(edit)
    assert isinstance(report.outcome, Accepted)
    assert "new terms" in report.outcome.evidence
    assert len(house.venue.edits) == 1


def test_E24_an_edit_that_was_lost_is_not_sent_only_after_its_bound(house: House) -> None:
    edit = an_edit(house)
    house.venue.endings = ["lost"]
    report = house.engine.edits.edit(edit)
    assert isinstance(report.outcome, Unknown)
    again = house.engine.edits.edit(edit, wait=timedelta(seconds=60))
    assert again.replayed
    assert isinstance(again.outcome, NotSent)
    assert "old terms" in again.outcome.evidence
    assert len(house.venue.edits) == 1


def test_E24_an_order_still_being_edited_proves_neither_terms(house: House) -> None:
    edit = an_edit(house)
    house.venue.endings = ["lost"]
    house.engine.edits.edit(edit, wait=timedelta(0))
    order = house.venue.orders_[edit.venue_order_id]
    house.venue.orders_[edit.venue_order_id] = replace(order, status=OrderStatus.EDIT_QUEUED)
    assert isinstance(house.engine.edits.edit(edit, wait=timedelta(minutes=3)).outcome, Unknown)


def test_a_known_edit_with_other_terms_is_refused(house: House) -> None:
    house.engine.edits.edit(an_edit(house))
    with pytest.raises(UsageError, match="other terms"):
        house.engine.edits.edit(an_edit(house, price="59700"))


def test_only_a_working_order_of_ours_can_be_edited(house: House) -> None:
    edit = an_edit(house)
    house.engine.desk.cancel(["intent-0001"])
    with pytest.raises(UsageError, match="only a working order"):
        house.engine.edits.edit(edit)


def test_an_edit_names_its_own_intents_order(house: House) -> None:
    edit = an_edit(house)
    other = house.venue.rest()
    wrong = EditIntent(
        id=edit.id, target=edit.target, venue_order_id=other.venue_order_id, new_price=edit.new_price, new_size=None,
        created_at=edit.created_at,
    )  # fmt: skip
    with pytest.raises(UsageError, match="not this intent's"):
        house.engine.edits.edit(wrong)


def test_replace_places_the_remainder_after_a_proven_cancel(house: House) -> None:
    house.engine.desk.place(an_intent(size="0.05"))
    edit = an_edit(house)
    house.venue.fill(edit.venue_order_id, "0.02")
    report = house.engine.edits.replace(edit)
    assert report.old_filled == Decimal("0.02")
    assert report.placed is not None
    assert isinstance(report.placed.outcome, Accepted)
    (new,) = house.venue.of_intent("edit-0001")
    assert new.size == Decimal("0.03")
    assert new.limit_price == Decimal("59800")
    assert house.venue.orders_[edit.venue_order_id].status is OrderStatus.CANCELLED


@pytest.mark.parametrize("mode", ["never", "refuse"])
def test_replace_places_nothing_while_the_old_order_may_fill(house: House, mode: str) -> None:
    edit = an_edit(house)
    house.venue.cancel_mode = mode
    report = house.engine.edits.replace(edit, wait=timedelta(seconds=3))
    assert report.placed is None
    assert "nothing was placed" in report.notes[0]
    assert len(house.venue.orders_) == 1


def test_replace_places_nothing_when_the_old_order_filled(house: House) -> None:
    edit = an_edit(house)
    house.venue.cancel_mode = "fills"
    report = house.engine.edits.replace(edit)
    assert report.placed is None
    assert report.old_filled == Decimal("0.01")
    assert len(house.venue.orders_) == 1


def require_untouched(house: House) -> None:
    """No cancel went out, and the old order is the only one."""
    assert "cancel" not in house.venue.calls
    (old,) = house.venue.orders_.values()
    assert old.status is OrderStatus.OPEN


def test_a_replacement_that_would_be_denied_cancels_nothing_and_its_denial_is_on_record(house: House) -> None:
    edit = an_edit(house, price=None, size="0.3")
    report = house.engine.edits.replace(edit)
    assert report.placed is not None
    assert report.placed.denied is not None
    assert DenialCode.POSITION_ABOVE_MAX in {d.code for d in report.placed.denied.denials}
    assert "old order stands" in report.notes[0]
    require_untouched(house)
    record = house.journal.intent(edit.id)
    assert record is not None
    assert record.denied == report.placed.denied


def test_a_denied_replacement_asked_for_again_under_its_id_is_answered_and_cancels_nothing(house: House) -> None:
    edit = an_edit(house, price=None, size="0.3")
    first = house.engine.edits.replace(edit)
    again = house.engine.edits.replace(edit)
    assert again.placed is not None
    assert again.placed.replayed
    assert first.placed is not None
    assert again.placed.denied == first.placed.denied
    require_untouched(house)


def test_I1_a_replacement_asked_for_again_under_its_id_sends_nothing(house: House) -> None:
    edit = an_edit(house)
    house.engine.edits.replace(edit)
    sent = len(house.venue.submitted)
    again = house.engine.edits.replace(edit)
    assert again.placed is not None
    assert again.placed.replayed
    assert isinstance(again.placed.outcome, Accepted)
    assert len(house.venue.submitted) == sent


def test_an_id_that_was_used_for_something_else_cancels_nothing(house: House) -> None:
    edit = an_edit(house, id_="intent-0001")
    with pytest.raises(UsageError, match="other terms"):
        house.engine.edits.replace(edit)
    require_untouched(house)


def test_R1_a_replacement_under_an_engaged_switch_cancels_nothing(house: House) -> None:
    edit = an_edit(house)
    house.latch.engage(reason="test", by="op", at=NOW)
    report = house.engine.edits.replace(edit)
    assert report.placed is not None
    assert report.placed.denied is not None
    require_untouched(house)


@pytest.mark.parametrize(("price", "size"), [("59800.001", None), (None, "0.0001"), (None, "0.02"), ("59900", None)])
def test_a_replacement_that_is_no_order_or_no_change_cancels_nothing(
    house: House, price: str | None, size: str | None
) -> None:
    house.engine.desk.place(an_intent(size="0.05"))
    edit = an_edit(house, price=price, size=size)
    house.venue.fill(edit.venue_order_id, "0.02")
    with pytest.raises(UsageError):
        house.engine.edits.replace(edit)
    assert "cancel" not in house.venue.calls


def test_R5_the_old_orders_room_is_the_replacements_and_nobody_elses(house: House) -> None:
    """Two of 0.1 are above one per cent of a million; one and its replacement are not, one and a third are."""
    house.engine.desk.place(an_intent(size="0.1"))
    edit = an_edit(house)
    assert house.engine.desk.place(an_intent(id="intent-0002", size="0.1", again=True)).denied is not None
    report = house.engine.edits.replace(edit)
    assert report.placed is not None
    assert isinstance(report.placed.outcome, Accepted)


def test_L5_a_read_that_fails_after_the_cancel_says_that_the_old_order_is_gone(house: House) -> None:
    edit = an_edit(house)
    cancel = house.venue.cancel

    def then_silent(ids: Sequence[VenueOrderId]) -> tuple[CancelResult, ...]:
        house.venue.failing["product"] = VenueUnreachable("no answer")
        return cancel(ids)

    house.venue.__dict__["cancel"] = then_silent
    with pytest.raises(HalfReplaced, match=r"gone and what it left was not placed: no answer") as told:
        house.engine.edits.replace(edit)
    assert told.value.exit_code is ExitCode.PARTLY_DONE
    assert house.venue.orders_[edit.venue_order_id].status is OrderStatus.CANCELLED
    assert house.journal.intent(edit.id) is None


def test_an_edit_of_an_order_nobody_knows_is_refused(house: House) -> None:
    edit = EditIntent(
        id=IntentId("edit-0001"), target=IntentId("intent-none"), venue_order_id=VenueOrderId("v"),
        new_price=Price(Decimal(1)), new_size=None, created_at=NOW,
    )  # fmt: skip
    with pytest.raises(UsageError, match="only an order of ours"):
        house.engine.edits.edit(edit)
