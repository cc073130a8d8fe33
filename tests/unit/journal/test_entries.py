"""Outcomes and order states move an intent along the legal graph only, in whatever order they arrive (I4, I5)."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perpsctl.domain.numbers import Size
from perpsctl.domain.orders import NotSent, OrderStatus, Rejected, SubmitOutcome, Unknown, VenueOrder
from perpsctl.domain.reports import IntentStage
from perpsctl.journal.entries import (
    IntentEntry,
    OrderTerms,
    Ruling,
    Tracked,
    after_order,
    after_outcome,
    begun,
    ended_empty,
    merge_orders,
    moved,
    ruling,
    same_terms,
    terms_of,
    unfilled,
)
from tests.unit.journal.fakes import START, accepted, an_edit, an_intent, an_order, approved

REJECTED = Rejected(reason="INSUFFICIENT_FUND", message="no", evidence="http 200")
NOT_SENT = NotSent(reason="refused", evidence="connection refused")
UNKNOWN = Unknown(reason="timeout", evidence="no reply")


def committed() -> Tracked:
    intent = an_intent()
    return begun(
        IntentEntry(intent=intent, sent_size=intent.size, terms=terms_of(approved(intent)), denied=None), START
    )


def after(*outcomes: SubmitOutcome) -> Tracked:
    held = committed()
    for outcome in outcomes:
        held = after_outcome(held, outcome, START)
    return held


def test_the_terms_that_would_be_sent_are_kept_I7() -> None:
    terms = committed().terms
    assert isinstance(terms, OrderTerms)
    assert (terms.size, terms.limit_price, terms.client_order_id) == (Decimal("0.1"), Decimal(60000), "intent-0001")
    assert terms.notes == ("a note",)


@pytest.mark.parametrize(
    ("before", "outcome", "expected"),
    [
        ((), UNKNOWN, Ruling.TAKE),
        ((), accepted(), Ruling.TAKE),
        ((UNKNOWN,), UNKNOWN, Ruling.NOTHING_NEW),
        ((UNKNOWN,), REJECTED, Ruling.TAKE),
        ((UNKNOWN,), NOT_SENT, Ruling.TAKE),
        ((accepted(),), UNKNOWN, Ruling.NOTHING_NEW),
        ((accepted(),), accepted(), Ruling.NOTHING_NEW),
        ((accepted(),), accepted(seen=an_order()), Ruling.TAKE),
        ((accepted(),), accepted("order-2"), Ruling.SECOND_ORDER),
        ((accepted(),), REJECTED, Ruling.CONTRADICTS),
        ((accepted(),), NOT_SENT, Ruling.CONTRADICTS),
        ((NOT_SENT,), accepted(), Ruling.ADOPT),
        ((REJECTED,), accepted(), Ruling.ADOPT),
        ((REJECTED,), REJECTED, Ruling.NOTHING_NEW),
        ((REJECTED,), NOT_SENT, Ruling.CONTRADICTS),
        ((NOT_SENT,), UNKNOWN, Ruling.NOTHING_NEW),
    ],
)
def test_proof_is_never_undone_and_doubt_ends_by_proof_only_I4(
    before: tuple[SubmitOutcome, ...], outcome: SubmitOutcome, expected: Ruling
) -> None:
    assert ruling(after(*before), outcome) is expected


def test_doubt_counts_whole_and_proof_counts_what_remains() -> None:
    assert unfilled(committed()) == Decimal("0.1")
    assert unfilled(after(UNKNOWN)) == Decimal("0.1")
    seen_in_doubt = after_order(after(UNKNOWN), an_order(filled="0.04"))
    assert seen_in_doubt.record.stage is IntentStage.UNKNOWN  # an order seen is attached; only an outcome ends doubt
    assert unfilled(seen_in_doubt) == Decimal("0.1")
    working = after_order(after(accepted()), an_order(filled="0.04"))
    assert unfilled(working) == Decimal("0.06")
    done = after_order(working, an_order(filled="0.1", status=OrderStatus.FILLED))
    assert done.record.stage is IntentStage.DONE
    assert unfilled(done) == 0


def test_an_order_of_untold_size_counts_as_it_was_sent() -> None:
    assert unfilled(after_order(after(accepted()), an_order(size=None, filled="0.03"))) == Decimal("0.07")


@pytest.mark.parametrize(
    ("held", "empty"),
    [
        (after(REJECTED), True),
        (after(NOT_SENT), True),
        (after(UNKNOWN), False),
        (after(accepted()), False),
        (after_order(after(accepted()), an_order(status=OrderStatus.CANCELLED)), True),
        (after_order(after(accepted()), an_order(status=OrderStatus.CANCELLED, filled="0.01")), False),
    ],
)
def test_only_proof_of_no_fill_frees_the_duplicate_guard(held: Tracked, empty: bool) -> None:
    assert ended_empty(held.record) is empty


def test_a_fill_beats_a_cancel_in_every_order_of_arrival_I5_I8() -> None:
    history = [
        an_order(status=OrderStatus.OPEN, read_at=START),
        an_order(status=OrderStatus.OPEN, filled="0.04", average="60000", read_at=START + timedelta(seconds=1)),
        an_order(status=OrderStatus.CANCEL_QUEUED, filled="0.04", read_at=START + timedelta(seconds=2)),
        an_order(status=OrderStatus.FILLED, filled="0.1", average="60001", read_at=START + timedelta(seconds=3)),
        an_order(status=OrderStatus.CANCELLED, filled="0.04", reason="user", read_at=START + timedelta(seconds=4)),
    ]
    ends = set()
    for order in permutations([*history, history[1]]):
        held = order[0]
        for seen in order[1:]:
            merged = merge_orders(held, seen)
            assert merged.filled >= held.filled
            held = merged
        ends.add(held)
    (end,) = ends
    assert (end.status, end.filled, end.average_price) == (OrderStatus.FILLED, Decimal("0.1"), Decimal(60001))


@st.composite
def reads(draw: st.DrawFn) -> VenueOrder:
    return replace(
        an_order(),
        status=draw(st.sampled_from(OrderStatus)),
        filled=Size(Decimal(draw(st.integers(0, 10))) / 100),
        read_at=START + timedelta(seconds=draw(st.integers(0, 5))),
    )


@given(st.lists(reads(), min_size=1, max_size=6))
def test_filled_never_falls_and_final_states_stay_final_I5(history: list[VenueOrder]) -> None:
    held = history[0]
    for seen in history[1:]:
        merged = merge_orders(held, seen)
        assert merged.filled == max(held.filled, seen.filled)
        assert not held.status.final or merged.status.final
        assert merge_orders(merged, seen) == merged or moved(held, merged)
        held = merged


def test_reading_the_same_state_again_is_nothing_new() -> None:
    later = an_order(read_at=START + timedelta(seconds=9))
    assert not moved(an_order(), merge_orders(an_order(), later))
    assert moved(None, an_order())
    assert moved(an_order(), merge_orders(an_order(), an_order(filled="0.01")))


def test_equal_terms_are_told_from_others_and_who_asked_does_not_matter() -> None:
    asked = an_intent()
    assert same_terms(asked, replace(asked, reason="again", created_at=START + timedelta(days=1), again=True))
    for other in (an_intent(size="0.2"), an_intent(price="59995"), an_intent(price=None)):
        assert not same_terms(asked, other)
    assert not same_terms(asked, an_edit())
    assert same_terms(an_edit(price="1"), an_edit(price="1"))
    assert not same_terms(an_edit(price="1"), an_edit(price="2"))
