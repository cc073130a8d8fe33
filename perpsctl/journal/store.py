"""The journal: one handle that decides, records and answers, over rows that are only ever added.

`decide` is the one place where an order is committed to be sent: reading what could fill, judging and committing happen in
one exclusive transaction, so two processes cannot both use the same room under a limit (R5, R8). The rows and the views
folded from them are `log`'s; what the venue told is put into rows by `bookings`.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Protocol, TypeVar

from perpsctl.domain.accounts import Booked, EquityMark, TradingState, Transfer
from perpsctl.domain.errors import InvariantBroken
from perpsctl.domain.ids import AccountKey, IntentId, ProductId, VenueOrderId
from perpsctl.domain.numbers import NotANumber, Size
from perpsctl.domain.orders import EditIntent, Fill, OrderIntent, Road, SubmitOutcome, VenueOrder
from perpsctl.domain.ports import EventKind, Integrity, JournalEvent, Known
from perpsctl.domain.reports import ExitPending, HaltFacts, HaltState, IntentRecord
from perpsctl.domain.verdicts import Approved, ApprovedChange, Denied
from perpsctl.journal.bookings import book_fills, book_order, book_outcome, book_transfers
from perpsctl.journal.codec import Unreadable, dumps, parse
from perpsctl.journal.entries import HaltEntry, IntentEntry, Kind, MarkEntry, StateEntry, same_terms, terms_of
from perpsctl.journal.fold import adopted_openings, exit_pending, text_of, transfer
from perpsctl.journal.log import Log

V = TypeVar("V", Approved, ApprovedChange)


class Fence(Protocol):
    """What a held lease tells a decision: still ours, or LeaseHeld. Called inside the deciding transaction."""

    def require(self) -> None: ...


class SqlJournal:
    """The Journal port over one open database file. Made by `opening.open_journal`."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self._fence: Fence | None = None

    # --- the port: writing --------------------------------------------------------------------------

    @property
    def account(self) -> AccountKey:
        """The account whose rows these views are of."""
        return self.log.account

    def decide(
        self, intent: OrderIntent, sent_size: Size, judge: Callable[[Booked], Approved | Denied]
    ) -> Approved | Denied | Known:
        """The verdict, committed with the intent before it is answered; Known, and nothing judged, for a known id.

        An entry also needs the lease where this handle has one: LeaseHeld, and nothing committed, when it was lost.
        """
        fenced = intent.road is Road.ENTRY
        return self.log.retried(lambda: self._decide(Kind.INTENT, intent, sent_size, judge, fenced=fenced))

    def decide_edit(
        self, intent: EditIntent, sent_size: Size, judge: Callable[[Booked], ApprovedChange | Denied]
    ) -> ApprovedChange | Denied | Known:
        """The same for new terms of an order of ours."""
        return self.log.retried(lambda: self._decide(Kind.EDIT, intent, sent_size, judge, fenced=True))

    def record_outcome(self, intent_id: IntentId, outcome: SubmitOutcome) -> None:
        """The outcome stands, or an alarm does where it contradicts a proven one; InvariantBroken if nothing was decided."""
        self.log.retried(lambda: book_outcome(self.log, intent_id, outcome))

    def record_order(self, order: VenueOrder, intent_id: IntentId | None) -> bool:
        """The order's state is booked if it says anything new; an order of an intent of ours stays that intent's."""
        return self.log.retried(lambda: book_order(self.log, order, intent_id))

    def record_fills(self, fills: Iterable[Fill]) -> tuple[Fill, ...]:
        """Fills whose row key was not booked before, oldest first, now booked; oddities among them are alarmed."""
        told = tuple(fills)
        return self.log.retried(lambda: book_fills(self.log, told))

    def record_transfers(self, transfers: Iterable[Transfer]) -> tuple[Transfer, ...]:
        """Transfers not booked before, now booked: looked up and added in one transaction, for one told twice hides a loss."""
        told = tuple(transfers)
        return self.log.retried(lambda: book_transfers(self.log, told))

    def record_mark(self, mark: EquityMark) -> None:
        """The mark stands: losses can be counted from it."""
        self._add(Kind.MARK, dumps(MarkEntry(mark=mark)), occurred=mark.at)
        self.log.snapshot_if_due()

    def record_halt(self, *, engaged: bool, reason: str, by: str, loss_breach: bool = False) -> None:
        """The kill switch stands so in the journal; engaging again keeps the first reason, a loss breach sticks."""
        entry = HaltEntry(engaged=engaged, reason=reason, by=by, loss_breach=loss_breach)
        self._add(Kind.HALT, dumps(entry))

    def record_state(self, product_id: ProductId, state: TradingState, reason: str) -> None:
        """The product may do this much from now on; nothing is written when it already stood so."""

        def record() -> None:
            with self.log.transaction() as batch:
                if self.log.state.states.get(product_id) != (state, reason):
                    entry = StateEntry(product_id=product_id, state=state, reason=reason)
                    batch.add(EventKind.STATE_CHANGED, dumps(entry))

        self.log.retried(record)

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
            _require_readable(kind, text, self.log.now())
        except (Unreadable, NotANumber, ValueError) as trouble:
            raise InvariantBroken(f"a {kind} event without what its views need: {trouble}") from None
        self._add(kind, text, intent_id=intent_id)
        self.log.snapshot_if_due()

    # --- the port: reading --------------------------------------------------------------------------

    def booked(self) -> Booked:
        """What a decision would be judged on now; it may be out of date as soon as it is answered."""
        return self.log.fresh().booked(self.log.now())

    def intent(self, intent_id: IntentId) -> IntentRecord | None:
        """Everything known of one intent, however old."""
        self.log.fresh()
        with self.log.database.reading():
            held = self.log.find(intent_id)
        return None if held is None else held.record

    def intent_by_order(self, venue_order_id: VenueOrderId) -> IntentRecord | None:
        """The intent behind a venue order, None for a foreign one."""
        self.log.fresh()
        with self.log.database.reading():
            owner = self.log.owner(venue_order_id)
            held = None if owner is None else self.log.find(owner)
        return None if held is None else held.record

    def intents(self, *, since: datetime | None = None, limit: int | None = None) -> tuple[IntentRecord, ...]:
        """Newest first, denied ones included."""
        with self.log.database.reading():
            return tuple(held.record for held in self.log.history.intents(since=since, limit=limit))

    def in_doubt(self) -> tuple[IntentRecord, ...]:
        """Intents whose outcome is missing or unknown, oldest first (I4)."""
        return tuple(held.record for held in self.log.fresh().open_records() if held.record.stage.in_doubt)

    def working(self) -> tuple[IntentRecord, ...]:
        """Intents the venue accepted that have not ended, oldest first; accepted edits that do not show yet included."""
        return tuple(held.record for held in self.log.fresh().open_records() if not held.record.stage.in_doubt)

    def fills(self, *, since: datetime | None = None, limit: int | None = None) -> tuple[Fill, ...]:
        """Newest first, by the venue's time."""
        with self.log.database.reading():
            return self.log.history.fills(since=since, limit=limit)

    def booked_coin(self) -> Mapping[ProductId, Decimal]:
        """Signed coin by product: booked fills and adopted openings."""
        return self.log.fresh().coin()

    def halt(self) -> HaltFacts:
        """The kill switch as the journal alone knows it."""
        halted = self.log.fresh().halted
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
        return tuple(self.log.fresh().exits.values())

    def events(self, *, kind: str | None = None, limit: int | None = None) -> tuple[JournalEvent, ...]:
        """Rows of this account as stored, newest first."""
        with self.log.database.reading():
            found = self.log.history.rows(kind=kind, limit=limit)
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
        return self.log.check(full=full)

    # --- the handle ---------------------------------------------------------------------------------

    def fence_with(self, fence: Fence) -> None:
        """From now on entries and edits need this lease (J5)."""
        self._fence = fence

    def close(self) -> None:
        """The file is closed."""
        self.log.close()

    # --- inside -------------------------------------------------------------------------------------

    def _add(
        self, kind: str, payload: str, *, intent_id: IntentId | None = None, occurred: datetime | None = None
    ) -> None:
        """One row in a transaction of its own."""

        def add() -> None:
            with self.log.transaction() as batch:
                batch.add(kind, payload, intent_id=intent_id, occurred=occurred)

        self.log.retried(add)

    def _decide(
        self,
        kind: Kind,
        intent: OrderIntent | EditIntent,
        sent_size: Size,
        judge: Callable[[Booked], V | Denied],
        *,
        fenced: bool,
    ) -> V | Denied | Known:
        with self.log.transaction() as batch:
            held = self.log.find(intent.id)
            if held is not None:
                return Known(record=held.record, same_terms=same_terms(held.record.intent, intent))
            if fenced and self._fence is not None:
                self._fence.require()
            verdict = judge(self.log.state.booked(self.log.now()))
            denied = verdict if isinstance(verdict, Denied) else None
            entry = IntentEntry(intent=intent, sent_size=sent_size, terms=terms_of(verdict), denied=denied)
            batch.add(kind, dumps(entry), intent_id=intent.id)
        return verdict


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
