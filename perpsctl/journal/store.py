"""The journal: one handle that decides, records and answers, over rows that are only ever added.

`decide` is the one place where an order is committed to be sent: reading what could fill, judging and committing happen in
one exclusive transaction, so two processes cannot both use the same room under a limit (R5, R8). Every process folds the
rows itself and takes in what others wrote at the start of each transaction.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from decimal import Decimal
from typing import Protocol, TypeVar

from sqlalchemy import delete, insert, select

from perpsctl.domain.accounts import Booked, EquityMark, TradingState, Transfer
from perpsctl.domain.errors import InvariantBroken, JournalCorrupt, JournalUnavailable
from perpsctl.domain.ids import AccountKey, IntentId, ProductId, VenueOrderId
from perpsctl.domain.numbers import NotANumber, Size
from perpsctl.domain.orders import (
    Accepted,
    EditIntent,
    Fill,
    FillKind,
    OrderIntent,
    OrderStatus,
    Road,
    SubmitOutcome,
    VenueOrder,
)
from perpsctl.domain.ports import Clock, EventKind, Integrity, JournalEvent, Known
from perpsctl.domain.reports import ExitPending, HaltFacts, HaltState, IntentRecord
from perpsctl.domain.verdicts import Approved, ApprovedChange, Denied
from perpsctl.journal.audit import GENESIS, Chain, Row, corrupt
from perpsctl.journal.codec import Unreadable, dumps, encode, parse, stamp
from perpsctl.journal.database import Database
from perpsctl.journal.entries import (
    FillEntry,
    HaltEntry,
    IntentEntry,
    Kind,
    MarkEntry,
    OrderEntry,
    OutcomeEntry,
    Ruling,
    StateEntry,
    Tracked,
    merge_orders,
    moved,
    ruling,
    same_terms,
    terms_of,
)
from perpsctl.journal.fold import State, adopted_openings, exit_pending, text_of, transfer
from perpsctl.journal.head import Head, HeadNote
from perpsctl.journal.history import History, rows_since
from perpsctl.journal.ledger import flow_of
from perpsctl.journal.schema import events, snapshots
from perpsctl.journal.snapshots import of_this_form, state_of, state_text

SNAPSHOT_EVERY = 1000
SNAPSHOTS_KEPT = 2
HALF_FOLDED = (
    "taking in its rows was interrupted"  # a view that is half moved must not be judged by; the rows are whole
)

V = TypeVar("V", Approved, ApprovedChange)


class Fence(Protocol):
    """What a held lease tells a decision: still ours, or LeaseHeld. Called inside the deciding transaction."""

    def require(self) -> None: ...


class Batch:
    """Rows being added in one transaction, each sealed onto the one before."""

    def __init__(self, chain: Chain, account: AccountKey, at: datetime, head: Head) -> None:
        self.rows: list[Row] = []
        self.at = at
        self._chain = chain
        self._account = account
        self._head = head

    def add(
        self,
        kind: str,
        payload: str,
        *,
        intent_id: IntentId | None = None,
        venue_order_id: VenueOrderId | None = None,
        ref: str | None = None,
        occurred: datetime | None = None,
    ) -> None:
        """One more row; it is durable when the transaction is left."""
        seq, at = self._head.seq + 1, stamp(self.at)
        when = None if occurred is None else stamp(occurred)
        sealed = self._chain.row_hash(
            seq=seq,
            account=self._account,
            kind=kind,
            at=at,
            intent_id=intent_id,
            venue_order_id=venue_order_id,
            ref=ref,
            occurred=when,
            payload=payload,
            prev=self._head.hash,
        )
        row = Row(
            seq=seq,
            account=self._account,
            kind=kind,
            at=at,
            intent_id=intent_id,
            venue_order_id=venue_order_id,
            ref=ref,
            occurred=when,
            payload=payload,
            prev=self._head.hash,
            hash=sealed,
        )
        self.rows.append(row)
        self._head = Head(seq=seq, hash=sealed)

    def alarm(self, what: str, intent_id: IntentId | None = None, **facts: object) -> None:
        """An alarm row: something happened that must not, kept for whoever looks."""
        self.add(EventKind.ALARM, dumps({"what": what, **facts}), intent_id=intent_id)


class SqlJournal:
    """The Journal port over one open database file. Made by `opening.open_journal`."""

    def __init__(self, database: Database, chain: Chain, note: HeadNote, account: AccountKey, clock: Clock) -> None:
        self.database = database
        self._chain = chain
        self._note = note
        self._account = account
        self._clock = clock
        self._history = History(database, account)
        self._fence: Fence | None = None
        noted = note.read()  # before the rows: the journal may only have grown since
        with database.reading():
            self._state, self._snapshot_seq = self._last_snapshot()
            self._verified_from = self._state.seq + 1
            self._catch_up()
            self._require_noted(noted)

    # --- the port: writing --------------------------------------------------------------------------

    @property
    def account(self) -> AccountKey:
        """The account whose rows these views are of."""
        return self._account

    def decide(
        self, intent: OrderIntent, sent_size: Size, judge: Callable[[Booked], Approved | Denied]
    ) -> Approved | Denied | Known:
        """The verdict, committed with the intent before it is answered; Known, and nothing judged, for a known id.

        An entry also needs the lease where this handle has one: LeaseHeld, and nothing committed, when it was lost.
        """
        return self._decide(Kind.INTENT, intent, sent_size, judge, fenced=intent.road is Road.ENTRY)

    def decide_edit(
        self, intent: EditIntent, sent_size: Size, judge: Callable[[Booked], ApprovedChange | Denied]
    ) -> ApprovedChange | Denied | Known:
        """The same for new terms of an order of ours."""
        return self._decide(Kind.EDIT, intent, sent_size, judge, fenced=True)

    def record_outcome(self, intent_id: IntentId, outcome: SubmitOutcome) -> None:
        """The outcome stands. What contradicts a proven one is not booked; an alarm row is.

        An order that shows up after NotSent or Rejected is adopted under its intent, counts again, and is alarmed; so is a
        second order under one intent. InvariantBroken for an intent that was denied, or never decided.
        """
        denied = False
        with self.transaction() as batch:
            held = self._find(intent_id)
            if held is None:
                raise InvariantBroken("an outcome was reported for an intent the journal does not know")
            if held.record.denied is not None:
                denied = True
                batch.alarm("outcome_of_denied", intent_id, outcome=encode(outcome))
            else:
                self._book_outcome(batch, held, outcome)
        if denied:
            raise InvariantBroken("an intent that was denied was sent")
        self._snapshot_if_due()

    def record_order(self, order: VenueOrder, intent_id: IntentId | None) -> bool:
        """The order's state is booked if it says anything new; an order of an intent of ours stays that intent's."""
        with self.database.reading():
            self._catch_up()
            if not self._order_moves(order, intent_id)[0]:
                return False
        with self.transaction() as batch:
            moves, merged, owner = self._order_moves(order, intent_id)
            if not moves:
                return False
            if owner is not None and self._find(owner) is None:
                raise InvariantBroken("an order was booked under an intent the journal does not know")
            batch.add(
                Kind.ORDER, dumps(OrderEntry(order=merged)), intent_id=owner, venue_order_id=merged.venue_order_id
            )
            if merged.size is not None and merged.filled > merged.size:
                batch.alarm(
                    "filled_above_size", owner, order=merged.venue_order_id, filled=merged.filled, size=merged.size
                )
        self._snapshot_if_due()
        return True

    def record_fills(self, fills: Iterable[Fill]) -> tuple[Fill, ...]:
        """Fills whose row key was not booked before, oldest first, now booked; oddities among them are alarmed."""
        offered = {fill.fill_id: fill for fill in sorted(fills, key=lambda fill: (fill.time, fill.fill_id))}
        with self.database.reading():
            known = self._history.known_fills(list(offered))
        if len(known) == len(offered):
            return ()
        with self.transaction() as batch:
            known = self._history.known_fills(list(offered))
            new = tuple(fill for fill in offered.values() if fill.fill_id not in known)
            for fill in new:
                batch.add(
                    Kind.FILL,
                    dumps(FillEntry(fill=fill)),
                    intent_id=self._owner(fill.venue_order_id),
                    venue_order_id=fill.venue_order_id,
                    ref=fill.fill_id,
                    occurred=fill.time,
                )
            for venue_order_id in dict.fromkeys(fill.venue_order_id for fill in new):
                of_order = [fill for fill in new if fill.venue_order_id == venue_order_id]
                self._alarm_odd_fills(batch, venue_order_id, of_order)
        self._snapshot_if_due()
        return new

    def record_transfers(self, transfers: Iterable[Transfer]) -> tuple[Transfer, ...]:
        """Transfers not booked before, now booked: looked up and added in one transaction, for one told twice hides a loss."""
        offered = {each.id: each for each in sorted(transfers, key=lambda each: (each.at, each.id))}
        if not offered:
            return ()
        with self.transaction() as batch:
            known = self._history.known_refs(EventKind.TRANSFER, list(offered))
            new = tuple(each for each in offered.values() if each.id not in known)
            for each in new:
                payload = {"amount": each.amount, "at": each.at, "kind": each.kind}
                batch.add(EventKind.TRANSFER, dumps(payload), ref=each.id, occurred=each.at)
        self._snapshot_if_due()
        return new

    def record_mark(self, mark: EquityMark) -> None:
        """The mark stands: losses can be counted from it."""
        with self.transaction() as batch:
            batch.add(Kind.MARK, dumps(MarkEntry(mark=mark)), occurred=mark.at)
        self._snapshot_if_due()

    def record_halt(self, *, engaged: bool, reason: str, by: str, loss_breach: bool = False) -> None:
        """The kill switch stands so in the journal; engaging again keeps the first reason, a loss breach sticks."""
        entry = HaltEntry(engaged=engaged, reason=reason, by=by, loss_breach=loss_breach)
        with self.transaction() as batch:
            batch.add(Kind.HALT, dumps(entry))

    def record_state(self, product_id: ProductId, state: TradingState, reason: str) -> None:
        """The product may do this much from now on; nothing is written when it already stood so."""
        with self.transaction() as batch:
            if self._state.states.get(product_id) != (state, reason):
                entry = StateEntry(product_id=product_id, state=state, reason=reason)
                batch.add(EventKind.STATE_CHANGED, dumps(entry))

    def record_event(self, kind: EventKind, payload: Mapping[str, object], intent_id: IntentId | None = None) -> None:
        """The event stands. InvariantBroken when the payload lacks what the views need of its kind:

        TRANSFER `amount` (and `at`); EXIT_PENDING `product_id`, `size`, `reason`, `retry_at`; EXIT_SETTLED `product_id`;
        STATE_CHANGED `product_id`, `state`, `reason`; RECONCILED and OPERATOR_DECISION may carry `adopted`, a list of
        `{product_id, coin}`: coin taken over without fills.
        """
        text = dumps(dict(payload))
        try:
            told = parse(text)
            if kind is EventKind.STATE_CHANGED:
                product_id, state = ProductId(text_of(told, "product_id")), TradingState(text_of(told, "state"))
                self.record_state(product_id, state, text_of(told, "reason"))
                return
            _require_readable(kind, text, self._clock.now())
        except (Unreadable, NotANumber, ValueError) as trouble:
            raise InvariantBroken(f"a {kind} event without what its views need: {trouble}") from None
        with self.transaction() as batch:
            batch.add(kind, text, intent_id=intent_id)
        self._snapshot_if_due()

    # --- the port: reading --------------------------------------------------------------------------

    def booked(self) -> Booked:
        """What a decision would be judged on now; it may be out of date as soon as it is answered."""
        return self._fresh().booked(self._clock.now())

    def intent(self, intent_id: IntentId) -> IntentRecord | None:
        """Everything known of one intent, however old."""
        self._fresh()
        with self.database.reading():
            held = self._find(intent_id)
        return None if held is None else held.record

    def intent_by_order(self, venue_order_id: VenueOrderId) -> IntentRecord | None:
        """The intent behind a venue order, None for a foreign one."""
        self._fresh()
        with self.database.reading():
            owner = self._owner(venue_order_id)
            held = None if owner is None else self._find(owner)
        return None if held is None else held.record

    def intents(self, *, since: datetime | None = None, limit: int | None = None) -> tuple[IntentRecord, ...]:
        """Newest first, denied ones included."""
        with self.database.reading():
            return tuple(held.record for held in self._history.intents(since=since, limit=limit))

    def in_doubt(self) -> tuple[IntentRecord, ...]:
        """Intents whose outcome is missing or unknown, oldest first (I4)."""
        return tuple(held.record for held in self._fresh().open_records() if held.record.stage.in_doubt)

    def working(self) -> tuple[IntentRecord, ...]:
        """Intents the venue accepted that have not ended, oldest first; accepted edits that do not show yet included."""
        return tuple(held.record for held in self._fresh().open_records() if not held.record.stage.in_doubt)

    def fills(self, *, since: datetime | None = None, limit: int | None = None) -> tuple[Fill, ...]:
        """Newest first, by the venue's time."""
        with self.database.reading():
            return self._history.fills(since=since, limit=limit)

    def booked_coin(self) -> Mapping[ProductId, Decimal]:
        """Signed coin by product: booked fills and adopted openings."""
        return self._fresh().coin()

    def halt(self) -> HaltFacts:
        """The kill switch as the journal alone knows it."""
        halted = self._fresh().halted
        state = HaltState.ENGAGED if halted.engaged else HaltState.RELEASED
        return HaltFacts(
            state=state,
            latch="",
            journal=state.value,
            reason=halted.reason,
            by=halted.by,
            since=halted.since,
            loss_breach=halted.loss_breach,
        )

    def exits_pending(self) -> tuple[ExitPending, ...]:
        """Reductions the venue would not take yet."""
        return tuple(self._fresh().exits.values())

    def events(self, *, kind: str | None = None, limit: int | None = None) -> tuple[JournalEvent, ...]:
        """Rows of this account as stored, newest first."""
        with self.database.reading():
            found = self._history.rows(kind=kind, limit=limit)
        return tuple(
            JournalEvent(
                seq=row.seq,
                kind=row.kind,
                at=row.when,
                intent_id=None if row.intent_id is None else IntentId(row.intent_id),
                payload=row.payload,
            )
            for row in found
        )

    def check(self, *, full: bool) -> Integrity:
        """What verifying finds: from the last snapshot, or with `full` every page, row and view."""
        with self.database.reading():
            try:
                self._catch_up()
            except JournalCorrupt as found:
                return self._integrity(1, None, found.message)
            if not full:
                return self._integrity(self._verified_from, None, "")
            problem = self.database.pages_problem()
            if problem is not None:
                return self._integrity(1, None, problem)
            return self._verify_all()

    # --- transactions -------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[Batch]:
        """One exclusive transaction with the views caught up; rows added to the batch are durable when it is left."""
        with self.database.writing():
            self._catch_up()
            batch = Batch(self._chain, self._account, self._clock.now(), self.head())
            yield batch
            if batch.rows:
                self.database.step("insert")
                self.database.execute(insert(events), [_values(row) for row in batch.rows])
        try:
            for row in batch.rows:
                self._state.apply(row)
        except BaseException:
            self.database.condemn(HALF_FOLDED)
            raise
        if batch.rows:
            self._note.write(self.head())

    def head(self) -> Head:
        """The last row taken in, for anchoring elsewhere."""
        return Head(seq=self._state.seq, hash=self._state.head)

    def knows(self, intent_id: IntentId) -> bool:
        """True when the intent was decided; inside a transaction or a read."""
        return self._find(intent_id) is not None

    def now(self) -> datetime:
        """The journal host's clock, by which leases end."""
        return self._clock.now()

    def fence_with(self, fence: Fence) -> None:
        """From now on entries and edits need this lease (J5)."""
        self._fence = fence

    def snapshot(self) -> None:
        """The folded state is kept, so that the next process starts from here."""
        with self.database.writing():
            self._catch_up()
            state = self._state
            text = state_text(state)
            sealed = self._chain.state_hash(self._account, state.seq, state.head, text)
            mine = snapshots.c.account == self._account
            self.database.execute(delete(snapshots).where(mine, snapshots.c.seq == state.seq))
            values = {"account": self._account, "seq": state.seq, "chain": state.head, "state": text, "hash": sealed}
            self.database.execute(insert(snapshots), values)
            keep = select(snapshots.c.seq).where(mine).order_by(snapshots.c.seq.desc()).limit(SNAPSHOTS_KEPT)
            self.database.execute(delete(snapshots).where(mine, snapshots.c.seq.not_in(keep)))
        self._snapshot_seq = state.seq

    def snapshot_facts(self) -> tuple[int, int]:
        """(sequence number of the last snapshot of this account or 0, rows since it)."""
        return self._snapshot_seq, self._state.seq - self._snapshot_seq

    def close(self) -> None:
        """The file is closed."""
        self._note.close()
        self.database.close()

    # --- inside -------------------------------------------------------------------------------------

    def _decide(
        self,
        kind: Kind,
        intent: OrderIntent | EditIntent,
        sent_size: Size,
        judge: Callable[[Booked], V | Denied],
        *,
        fenced: bool,
    ) -> V | Denied | Known:
        with self.transaction() as batch:
            held = self._find(intent.id)
            if held is not None:
                return Known(record=held.record, same_terms=same_terms(held.record.intent, intent))
            if fenced and self._fence is not None:
                self._fence.require()
            verdict = judge(self._state.booked(self._clock.now()))
            denied = verdict if isinstance(verdict, Denied) else None
            entry = IntentEntry(intent=intent, sent_size=sent_size, terms=terms_of(verdict), denied=denied)
            batch.add(kind, dumps(entry), intent_id=intent.id)
        return verdict

    def _book_outcome(self, batch: Batch, held: Tracked, outcome: SubmitOutcome) -> None:
        intent_id = held.record.intent.id
        rules = ruling(held, outcome)
        if rules is Ruling.NOTHING_NEW:
            return
        if rules is Ruling.CONTRADICTS:
            batch.alarm("outcome_contradicts", intent_id, held=held.record.stage.value, outcome=encode(outcome))
            return
        adopted = held if rules in (Ruling.ADOPT, Ruling.SECOND_ORDER) else None
        accepted = outcome.venue_order_id if isinstance(outcome, Accepted) and not held.is_edit else None
        batch.add(
            Kind.OUTCOME,
            dumps(OutcomeEntry(outcome=outcome, adopted=adopted)),
            intent_id=intent_id,
            venue_order_id=accepted,
        )
        if rules is Ruling.ADOPT:
            batch.alarm("order_appeared_after_all", intent_id, held=held.record.stage.value, order=accepted)
        if rules is Ruling.SECOND_ORDER:
            batch.alarm("second_order_of_intent", intent_id, first=held.record.venue_order_id, order=accepted)

    def _order_moves(self, order: VenueOrder, intent_id: IntentId | None) -> tuple[bool, VenueOrder, IntentId | None]:
        """(anything new, the merged state, whose it is)."""
        owner = intent_id if intent_id is not None else self._owner(order.venue_order_id)
        if owner is None and order.succeeds is not None:  # what our waiting order became is ours too
            owner = self._owner(order.succeeds)
        held = self._state.others.get(order.venue_order_id)
        if held is None and owner is not None:
            known = self._find(owner)
            if known is not None and known.record.order is not None:
                if known.record.order.venue_order_id == order.venue_order_id:
                    held = known.record.order
        if held is None:
            held = self._history.last_order(order.venue_order_id)
        merged = order if held is None else merge_orders(held, order)
        return moved(held, merged), merged, owner

    def _alarm_odd_fills(self, batch: Batch, venue_order_id: VenueOrderId, new: list[Fill]) -> None:
        before = self._history.fills_of_order(venue_order_id)
        owner = self._owner(venue_order_id)
        trades = {fill.trade_id: fill.fill_id for fill in before if fill.kind is FillKind.FILL}
        for fill in new:
            if fill.kind is not FillKind.FILL:
                batch.alarm("fill_is_no_plain_fill", owner, fill=fill.fill_id, is_a=fill.kind)
                continue
            if trades.setdefault(fill.trade_id, fill.fill_id) != fill.fill_id:
                batch.alarm("trade_filled_twice", owner, trade=fill.trade_id, fill=fill.fill_id)
        self._alarm_overfill(batch, venue_order_id, owner, [*before, *new])

    def _alarm_overfill(
        self, batch: Batch, venue_order_id: VenueOrderId, owner: IntentId | None, fills: list[Fill]
    ) -> None:
        held = None if owner is None else self._find(owner)
        order = self._state.others.get(venue_order_id)
        if order is None and held is not None:
            order = held.record.order
        size = None if held is None else held.record.sent_size
        if order is not None and order.size is not None:
            size = order.size
        filled = abs(sum((flow_of(fill).coin for fill in fills), Decimal(0)))
        if size is not None and filled > size:
            batch.alarm("fills_above_size", owner, order=venue_order_id, filled=filled, size=size)
        ended = order is not None and order.status.final and order.status is not OrderStatus.FILLED
        if ended and order is not None and filled > order.filled:
            batch.alarm("fill_after_end", owner, order=venue_order_id, status=order.status, filled=filled)

    def _find(self, intent_id: IntentId) -> Tracked | None:
        held = self._state.tracked.get(intent_id)
        return held if held is not None else self._history.tracked(intent_id)

    def _owner(self, venue_order_id: VenueOrderId) -> IntentId | None:
        owner = self._state.owner.get(venue_order_id)
        return owner if owner is not None else self._history.owner(venue_order_id)

    def _fresh(self) -> State:
        with self.database.reading():
            self._catch_up()
        return self._state

    def _catch_up(self) -> None:
        """Rows of other processes are verified and folded; the row we stood at must still be there unchanged."""
        state = self._state
        rows = rows_since(self.database, max(state.seq, 1))
        try:
            if state.seq > 0:
                here = next(rows, None)
                if here is None or here.seq != state.seq or here.hash != state.head:
                    raise corrupt(state.seq, "a row that was read before is gone or changed")
            for row in rows:
                problem = self._chain.problem(row, state.seq, state.head)
                if problem is not None:
                    raise corrupt(state.seq + 1, problem)
                state.apply(row)
        except JournalCorrupt as found:
            self.database.condemn(found.message)
            raise
        except BaseException:
            self.database.condemn(HALF_FOLDED)
            raise

    def _last_snapshot(self) -> tuple[State, int]:
        query = select(snapshots).where(snapshots.c.account == self._account).order_by(snapshots.c.seq.desc()).limit(1)
        found = self.database.rows(query)
        if not found:
            return State(self._account, seq=0, head=GENESIS), 0
        kept = found[0]
        sealed = self._chain.state_hash(self._account, kept.seq, kept.chain, kept.state)
        if sealed != kept.hash:
            raise corrupt(kept.seq, "its snapshot was changed")
        if not of_this_form(kept.state):
            return State(self._account, seq=0, head=GENESIS), 0
        try:
            state = state_of(kept.state)
        except (Unreadable, NotANumber) as trouble:
            raise corrupt(kept.seq, f"its snapshot cannot be understood ({trouble})") from None
        if (state.seq, state.head) != (kept.seq, kept.chain):
            raise corrupt(kept.seq, "its snapshot belongs elsewhere")
        return state, kept.seq

    def _require_noted(self, noted: Head | None) -> None:
        if noted is None:
            return
        found = self.database.rows(select(events.c.hash).where(events.c.seq == noted.seq))
        if not found or found[0].hash != noted.hash:
            raise corrupt(
                noted.seq, "the journal once held this row: its tail was lost, cut, or an older copy was restored"
            )

    def _verify_all(self) -> Integrity:
        """One pass over every row: the chain, and a replay whose end must be the views we hold (J3, J4)."""
        replayed = State(self._account, seq=0, head=GENESIS)
        for row in rows_since(self.database, 1):
            if row.seq > self._state.seq:
                break  # written meanwhile by another process; taken in and verified with the next call
            problem = self._chain.problem(row, replayed.seq, replayed.head)
            if problem is not None:
                return self._integrity(1, replayed.seq + 1, problem)
            try:
                replayed.apply(row)
            except JournalCorrupt as found:
                return self._integrity(1, row.seq, found.message)
        same = state_text(replayed) == state_text(self._state)
        return self._integrity(1, None, "" if same else "the views differ from a replay of the rows")

    def _integrity(self, verified_from: int, first_bad: int | None, problem: str) -> Integrity:
        return Integrity(
            rows=self._state.seq,
            verified_from=verified_from,
            sound=not problem,
            first_bad=first_bad,
            problem=problem,
            head=self._state.head,
        )

    def _snapshot_if_due(self) -> None:
        """The write before it is durable and stands, so a snapshot that fails only ends the handle, at its next use."""
        if self._state.seq - self._snapshot_seq >= SNAPSHOT_EVERY:
            with suppress(JournalUnavailable):
                self.snapshot()


def _values(row: Row) -> dict[str, object]:
    return {name: getattr(row, name) for name in Row.__slots__}


def _require_readable(kind: EventKind, text: str, now: datetime) -> None:
    """What the fold will have to read from this event can be read."""
    told = parse(text)
    if kind is EventKind.TRANSFER:
        transfer(told, now)
    elif kind is EventKind.EXIT_PENDING:
        exit_pending(told)
    elif kind is EventKind.EXIT_SETTLED:
        text_of(told, "product_id")
    elif kind in (EventKind.RECONCILED, EventKind.OPERATOR_DECISION):
        adopted_openings(told)
