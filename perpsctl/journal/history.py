"""Reads of the rows themselves: intents that left memory, lists, and what is known of one order. Indexes carry each read."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, TypeVar, cast

from sqlalchemy import Select, bindparam, select

from perpsctl.domain.ids import AccountKey, FillId, IntentId, VenueOrderId
from perpsctl.domain.orders import EditIntent, Fill, VenueOrder
from perpsctl.journal.audit import Row, corrupt
from perpsctl.journal.backend import Backend
from perpsctl.journal.codec import Unreadable, loads, stamp
from perpsctl.journal.entries import (
    FillEntry,
    IntentEntry,
    Kind,
    OrderEntry,
    OutcomeEntry,
    Ruling,
    Tracked,
    after_order,
    after_outcome,
    begun,
    edit_after_order,
    one_order,
    ruling,
)
from perpsctl.journal.schema import DECIDED, events

T = TypeVar("T")
CHUNK = 500
PAGE = 5000

_ALL = select(events)
SINCE = _ALL.where(events.c.seq >= bindparam("seq")).order_by(events.c.seq).limit(PAGE)
_MINE = _ALL.where(events.c.account == bindparam("account"))
_OF_INTENTS = _MINE.where(events.c.intent_id.in_(bindparam("ids", expanding=True))).order_by(events.c.seq)
_OF_ORDERS = _MINE.where(events.c.venue_order_id.in_(bindparam("ids", expanding=True))).order_by(events.c.seq)
_KNOWN_REFS = select(events.c.ref).where(
    events.c.account == bindparam("account"),
    events.c.kind == bindparam("kind"),
    events.c.ref.in_(bindparam("ids", expanding=True)),
)
_KNOWN = (
    select(events.c.seq)
    .where(events.c.account == bindparam("account"), events.c.intent_id == bindparam("id"), DECIDED)
    .limit(1)
)
_OWNER = (
    select(events.c.intent_id)
    .where(
        events.c.account == bindparam("account"),
        events.c.venue_order_id == bindparam("order"),
        events.c.intent_id.is_not(None),
        events.c.kind.in_((Kind.OUTCOME.value, Kind.ORDER.value)),
    )
    .order_by(events.c.seq.desc())
    .limit(1)
)


def as_row(found: Sequence[Any]) -> Row:
    """A row as the chain and the fold know it."""
    seq, account, kind, at, intent_id, venue_order_id, ref, occurred, payload, prev, hash_ = found
    return Row(
        seq=seq,
        account=account,
        kind=kind,
        at=at,
        intent_id=intent_id,
        venue_order_id=venue_order_id,
        ref=ref,
        occurred=occurred,
        payload=payload,
        prev=prev,
        hash=hash_,
    )


def rows_since(database: Backend, seq: int) -> Iterator[Row]:
    """Every row from `seq` on, read in pages."""
    while True:
        page = database.often(SINCE, {"seq": seq})
        for found in page:
            yield as_row(found)
        if len(page) < PAGE:
            return
        seq = page[-1][0] + 1


class History:
    """What the rows of one account say, whatever is in memory."""

    def __init__(self, database: Backend, account: AccountKey) -> None:
        self._database = database
        self._account = account

    def tracked(self, intent_id: IntentId) -> Tracked | None:
        """One intent, folded from its rows; None when it was never decided."""
        if not self._database.rows(_KNOWN, {"account": self._account, "id": intent_id}):
            return None
        return self._fold([intent_id]).get(intent_id)

    def intents(self, *, since: datetime | None, limit: int | None) -> tuple[Tracked, ...]:
        """Decided intents, newest first."""
        wanted = select(events.c.intent_id).where(events.c.account == self._account, DECIDED)
        if since is not None:
            wanted = wanted.where(events.c.at >= stamp(since))
        wanted = wanted.order_by(events.c.seq.desc())
        found = self._database.rows(wanted if limit is None else wanted.limit(limit))
        ids = [IntentId(cast(str, each.intent_id)) for each in found]
        folded = self._fold(ids)
        return tuple(folded[each] for each in ids)

    def owner(self, venue_order_id: VenueOrderId) -> IntentId | None:
        """The intent an order belongs to, None for a foreign one."""
        found = self._database.rows(_OWNER, {"account": self._account, "order": venue_order_id})
        return IntentId(cast(str, found[0].intent_id)) if found else None

    def last_order(self, venue_order_id: VenueOrderId) -> VenueOrder | None:
        """The last booked state of an order, whoever owns it."""
        query = _MINE.where(events.c.venue_order_id == venue_order_id, events.c.kind == Kind.ORDER.value)
        found = self._rows(query.order_by(events.c.seq.desc()).limit(1))
        return _read(OrderEntry, found[0]).order if found else None

    def known_fills(self, fill_ids: Sequence[FillId]) -> set[FillId]:
        """Which of these fills are booked."""
        return {FillId(ref) for ref in self.known_refs(Kind.FILL, fill_ids)}

    def known_refs(self, kind: str, refs: Sequence[str]) -> set[str]:
        """Which of these keys stand on a row of this kind."""
        known: set[str] = set()
        for start in range(0, len(refs), CHUNK):
            values = {"account": self._account, "kind": str(kind), "ids": list(refs[start : start + CHUNK])}
            known.update(each.ref for each in self._database.rows(_KNOWN_REFS, values))
        return known

    def fills_of_order(self, venue_order_id: VenueOrderId) -> tuple[Fill, ...]:
        """Booked fills of one order, in the order of booking."""
        query = _MINE.where(events.c.venue_order_id == venue_order_id, events.c.kind == Kind.FILL.value)
        return tuple(_read(FillEntry, row).fill for row in self._rows(query.order_by(events.c.seq)))

    def fills(self, *, since: datetime | None, limit: int | None) -> tuple[Fill, ...]:
        """Booked fills by the venue's time, newest first."""
        query = _MINE.where(events.c.kind == Kind.FILL.value, events.c.occurred.is_not(None))
        if since is not None:
            query = query.where(events.c.occurred >= stamp(since))
        query = query.order_by(events.c.occurred.desc(), events.c.seq.desc())
        found = self._rows(query if limit is None else query.limit(limit))
        return tuple(_read(FillEntry, row).fill for row in found)

    def rows(self, *, kind: str | None, limit: int | None) -> list[Row]:
        """Rows as stored, newest first."""
        query = _MINE if kind is None else _MINE.where(events.c.kind == kind)
        query = query.order_by(events.c.seq.desc())
        return self._rows(query if limit is None else query.limit(limit))

    def _rows(self, query: Select[Any], **values: object) -> list[Row]:
        return [as_row(found) for found in self._database.rows(query, {"account": self._account, **values})]

    def _fold(self, ids: Sequence[IntentId]) -> dict[IntentId, Tracked]:
        held: dict[IntentId, Tracked] = {}
        for start in range(0, len(ids), CHUNK):
            chunk = list(ids[start : start + CHUNK])
            for row in self._rows(_OF_INTENTS, ids=chunk):
                _fold_row(held, row)
        edits = [each for each in held.values() if each.is_edit]
        if edits:
            self._settle_edits(held, edits)
        return held

    def _settle_edits(self, held: dict[IntentId, Tracked], edits: Iterable[Tracked]) -> None:
        """An edit's end is told by rows of the order it changes, or of what that order became."""
        by_order: dict[str, list[IntentId]] = {}
        targets: dict[str, None] = {}
        for each in edits:
            if isinstance(each.record.intent, EditIntent):
                by_order.setdefault(each.record.intent.venue_order_id, []).append(each.record.intent.id)
                targets[each.record.intent.target] = None
        found = (*self._rows(_OF_ORDERS, ids=list(by_order)), *self._rows(_OF_INTENTS, ids=list(targets)))
        rows = {row.seq: row for row in found if row.kind == Kind.ORDER}
        for seq in sorted(rows):
            order = _read(OrderEntry, rows[seq]).order
            for intent_id in (*by_order.get(order.venue_order_id, ()), *by_order.get(order.succeeds or "", ())):
                if rows[seq].when >= (held[intent_id].outcome_at or rows[seq].when):
                    held[intent_id] = edit_after_order(held[intent_id], order)


def _fold_row(held: dict[IntentId, Tracked], row: Row) -> None:
    intent_id = IntentId(row.intent_id or "")
    if row.kind in (Kind.INTENT, Kind.EDIT):
        held[intent_id] = begun(_read(IntentEntry, row), row.when)
        return
    known = held.get(intent_id)
    if known is None:
        return
    if row.kind == Kind.OUTCOME:
        outcome = _read(OutcomeEntry, row).outcome
        if ruling(known, outcome) is not Ruling.SECOND_ORDER:
            held[intent_id] = after_outcome(known, outcome, row.when)
    elif row.kind == Kind.ORDER:
        order = _read(OrderEntry, row).order
        if one_order(known.record.order, order):
            held[intent_id] = after_order(known, order)


def _read(kind: type[T], row: Row) -> T:
    try:
        return loads(kind, row.payload)
    except Unreadable as trouble:
        raise corrupt(row.seq, f"a {row.kind} row cannot be understood ({trouble})") from None
