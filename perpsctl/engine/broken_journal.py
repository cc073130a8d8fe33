"""A journal that could not be opened, as the way out meets it: every read and write says so, and none pretends.

Cancels, exits and the kill switch work without a journal and report it; entries find JournalUnavailable and stop.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import NoReturn

from perpsctl.domain.accounts import Booked, EquityMark, TradingState, Transfer
from perpsctl.domain.errors import JournalUnavailable
from perpsctl.domain.ids import AccountKey, IntentId, ProductId, VenueOrderId
from perpsctl.domain.numbers import Size
from perpsctl.domain.orders import EditIntent, Fill, OrderIntent, SubmitOutcome, VenueOrder
from perpsctl.domain.ports import EventKind, Integrity, JournalEvent, Known
from perpsctl.domain.reports import ExitPending, HaltFacts, IntentRecord
from perpsctl.domain.verdicts import Approved, ApprovedChange, Denied


class BrokenJournal:
    """Stands where the journal should be; `cause` is why it could not be opened."""

    def __init__(self, account: AccountKey, cause: JournalUnavailable) -> None:
        self._account = account
        self._cause = cause

    @property
    def account(self) -> AccountKey:
        return self._account

    def _broken(self) -> NoReturn:
        raise type(self._cause)(self._cause.message, fix=self._cause.fix)

    def decide(
        self, intent: OrderIntent, sent_size: Size, judge: Callable[[Booked], Approved | Denied]
    ) -> Approved | Denied | Known:
        self._broken()

    def decide_edit(
        self, intent: EditIntent, sent_size: Size, judge: Callable[[Booked], ApprovedChange | Denied]
    ) -> ApprovedChange | Denied | Known:
        self._broken()

    def record_outcome(self, intent_id: IntentId, outcome: SubmitOutcome) -> None:
        self._broken()

    def record_order(self, order: VenueOrder, intent_id: IntentId | None) -> bool:
        self._broken()

    def record_fills(self, fills: Iterable[Fill]) -> tuple[Fill, ...]:
        self._broken()

    def record_transfers(self, transfers: Iterable[Transfer]) -> tuple[Transfer, ...]:
        self._broken()

    def record_mark(self, mark: EquityMark) -> None:
        self._broken()

    def record_halt(self, *, engaged: bool, reason: str, by: str, loss_breach: bool = False) -> None:
        self._broken()

    def record_state(self, product_id: ProductId, state: TradingState, reason: str) -> None:
        self._broken()

    def record_event(self, kind: EventKind, payload: Mapping[str, object], intent_id: IntentId | None = None) -> None:
        self._broken()

    def booked(self) -> Booked:
        self._broken()

    def intent(self, intent_id: IntentId) -> IntentRecord | None:
        self._broken()

    def intent_by_order(self, venue_order_id: VenueOrderId) -> IntentRecord | None:
        self._broken()

    def intents(self, *, since: datetime | None = None, limit: int | None = None) -> tuple[IntentRecord, ...]:
        self._broken()

    def in_doubt(self) -> tuple[IntentRecord, ...]:
        self._broken()

    def working(self) -> tuple[IntentRecord, ...]:
        self._broken()

    def fills(self, *, since: datetime | None = None, limit: int | None = None) -> tuple[Fill, ...]:
        self._broken()

    def booked_coin(self) -> Mapping[ProductId, Decimal]:
        self._broken()

    def halt(self) -> HaltFacts:
        self._broken()

    def exits_pending(self) -> tuple[ExitPending, ...]:
        self._broken()

    def events(self, *, kind: str | None = None, limit: int | None = None) -> tuple[JournalEvent, ...]:
        self._broken()

    def check(self, *, full: bool) -> Integrity:
        self._broken()
