"""What the journal stores reads back equal, and what it must not hold cannot be stored (J7)."""

import json
import types
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any, NewType, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perpsctl.domain.accounts import EquityMark
from perpsctl.domain.errors import InvariantBroken
from perpsctl.domain.ids import FillId, IntentId, VenueOrderId
from perpsctl.domain.numbers import Notional
from perpsctl.domain.orders import (
    Accepted,
    EditIntent,
    Fill,
    FillKind,
    NotSent,
    OrderIntent,
    OrderStatus,
    Rejected,
    Unknown,
    VenueOrder,
)
from perpsctl.domain.reports import ExitPending, IntentRecord, IntentStage
from perpsctl.domain.verdicts import Denied
from perpsctl.journal.codec import Unreadable, dumps, encode, loads, moment, number, stamp
from perpsctl.journal.entries import (
    EditTerms,
    FillEntry,
    HaltEntry,
    IntentEntry,
    MarkEntry,
    OrderEntry,
    OrderTerms,
    OutcomeEntry,
    StateEntry,
    Tracked,
)
from tests.unit.journal.fakes import START, a_fill, an_intent, an_order

MOMENTS = st.integers(0, 10**15).map(lambda us: START + timedelta(microseconds=us))
NUMBERS = st.decimals(min_value=-(Decimal(10) ** 15), max_value=Decimal(10) ** 15, places=12, allow_nan=False)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    Decimal: NUMBERS,
    datetime: MOMENTS,
    str: st.text(max_size=30),
    bool: st.booleans(),
    int: st.integers(-(10**9), 10**9),
    type(None): st.none(),
}


def anything(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a type the journal stores, down to its fields."""
    while isinstance(kind, NewType):
        kind = kind.__supertype__
    if kind in PLAIN:
        return PLAIN[kind]
    if get_origin(kind) in (Union, types.UnionType):
        return st.one_of(*(anything(each) for each in get_args(kind)))
    if get_origin(kind) is tuple:
        return st.lists(anything(get_args(kind)[0]), max_size=3).map(tuple)
    if issubclass(kind, Enum):
        return st.sampled_from(kind)
    return st.builds(kind, **{name: anything(hint) for name, hint in get_type_hints(kind).items()})


STORED = (
    *(OrderIntent, EditIntent, Denied, Accepted, Rejected, NotSent, Unknown, VenueOrder, Fill, EquityMark, ExitPending),
    *(IntentEntry, OutcomeEntry, OrderEntry, FillEntry, MarkEntry, HaltEntry, StateEntry, OrderTerms, EditTerms),
    *(IntentRecord, Tracked),
)


@pytest.mark.parametrize("kind", STORED, ids=lambda kind: kind.__name__)
def test_every_stored_value_reads_back_equal_J7(kind: type[Any]) -> None:
    @given(anything(kind))
    def check(value: Any) -> None:
        text = dumps(value)
        assert loads(kind, text) == value
        assert dumps(loads(kind, text)) == text
        assert text.isascii()

    check()


@pytest.mark.parametrize("bad", ["NaN", "sNaN", "Infinity", "-Infinity", "1E+60", "1E-60", "1" * 60])
def test_what_is_no_plain_finite_number_cannot_be_stored_J7(bad: str) -> None:
    with pytest.raises(InvariantBroken):
        number(Decimal(bad))
    with pytest.raises(InvariantBroken):
        dumps(replace(a_fill(), fee=Notional(Decimal(bad))))


def test_a_float_cannot_be_stored_anywhere_J7() -> None:
    with pytest.raises(InvariantBroken, match="float cannot be stored"):
        dumps(replace(a_fill(), fee=0.1))  # type: ignore[arg-type]
    with pytest.raises(InvariantBroken):
        encode({"a": [{"b": 1.5}]})


def test_a_local_time_cannot_be_stored() -> None:
    with pytest.raises(InvariantBroken):
        stamp(START.replace(tzinfo=None))
    shifted = START.astimezone(timezone(timedelta(hours=5)))
    assert stamp(shifted) == stamp(START) == "2026-11-22T10:00:00.000000Z"
    assert moment(stamp(shifted)) == START


@pytest.mark.parametrize(
    "edit",
    [
        lambda told: told.pop("size"),
        lambda told: told.update(size="NaN"),
        lambda told: told.update(size=1),
        lambda told: told.update(size="1_0"),
        lambda told: told.update(side="up"),
        lambda told: told.update(post_only=1),
        lambda told: told.update({"is": "EditIntent"}),
        lambda told: told.pop("is"),
        lambda told: told.update(created_at="yesterday"),
        lambda told: told.update(created_at="2026-11-22T10:00:00.000000+"),
    ],
)
def test_text_of_another_shape_is_unreadable_never_half_a_value(edit: Any) -> None:
    told = json.loads(dumps(an_intent()))
    edit(told)
    with pytest.raises(Unreadable):
        loads(OrderIntent, json.dumps(told))


@pytest.mark.parametrize("text", ["", "[]", "1", '{"a": 1.0}', '{"a": NaN}', "[" * 100_000, '{"a"'])
def test_text_that_is_no_object_of_ours_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable):
        loads(OrderIntent, text)


def test_unions_and_words_keep_their_kind() -> None:
    for outcome in (
        Accepted(venue_order_id=VenueOrderId("o"), order=an_order(status=OrderStatus.FILLED), evidence="e"),
        Rejected(reason="r", message="m\x1b[0m", evidence="e"),
        NotSent(reason="r", evidence="e"),
        Unknown(reason="timeout", evidence="e", alarm=True),
    ):
        entry = OutcomeEntry(outcome=outcome)
        assert loads(OutcomeEntry, dumps(entry)) == entry
        assert type(loads(OutcomeEntry, dumps(entry)).outcome) is type(outcome)
    fill = a_fill(kind=FillKind.REVERSAL)
    assert loads(Fill, dumps(fill)).kind is FillKind.REVERSAL
    assert loads(Fill, dumps(fill)).fill_id == FillId("fill-1")
    record = IntentRecord(
        intent=an_intent(),
        stage=IntentStage.COMMITTED,
        committed_at=START,
        sent_size=None,
        denied=None,
        outcome=None,
        venue_order_id=None,
        order=None,
    )
    assert loads(IntentRecord, dumps(record)).intent.id == IntentId("intent-0001")
