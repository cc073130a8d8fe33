"""What the engine needs from outside, as Protocols; `bootstrap` introduces the real parts, tests their own.

Reads raise VenueUnreachable, RateLimited, VenueRefusedUs, VenueRefusedRequest or VenueSpokeStrangely; they never answer
with nothing instead. `submit` and `submit_edit` never raise: they end as one of the four outcomes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from types import TracebackType
from typing import Protocol

from perpsctl.domain.accounts import (
    AccountView,
    Booked,
    EquityMark,
    Fees,
    MarginWindow,
    OrdersRead,
    PositionsRead,
    ServerTime,
    TradingState,
    Transfer,
)
from perpsctl.domain.cash import CashRow
from perpsctl.domain.funding import FundingReport
from perpsctl.domain.ids import AccountKey, Ids, IntentId, ProductId, VenueOrderId
from perpsctl.domain.market import BookView, Candle, PublicTrade
from perpsctl.domain.numbers import Size
from perpsctl.domain.orders import (
    ApprovedEdit,
    ApprovedOrder,
    CancelResult,
    EditIntent,
    Fill,
    OrderIntent,
    Preview,
    QuantizedOrder,
    SubmitOutcome,
    VenueOrder,
)
from perpsctl.domain.products import Product, VenueCapabilities
from perpsctl.domain.reports import ExitPending, HaltFacts, IntentRecord, KeyFacts
from perpsctl.domain.verdicts import Approved, ApprovedChange, Denied

__all__ = [
    "KILL_SWITCH_ENGAGED",
    "AccountFeed",
    "Clock",
    "Diagnostics",
    "EventKind",
    "Gate",
    "GateShut",
    "Halts",
    "Ids",
    "Integrity",
    "Journal",
    "JournalEvent",
    "Known",
    "Lease",
    "MarketFeed",
    "Sighting",
    "Sought",
    "Venue",
]


class Clock(Protocol):
    """Wall time in UTC, a monotonic count and a way to wait."""

    def now(self) -> datetime: ...

    def monotonic_ns(self) -> int: ...

    def sleep(self, duration: timedelta) -> None: ...


KILL_SWITCH_ENGAGED = "kill_switch_engaged"


class GateShut(Exception):
    """Not one byte was sent: the kill switch is engaged or cannot be read, or whatever else `code` says."""

    def __init__(self, reason: str, *, code: str = KILL_SWITCH_ENGAGED) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class Gate(Protocol):
    """Held shared by a sender from the look at the switch to the last request byte (R1).

    Entering raises GateShut when the switch is engaged or unreadable; the transport enters it after signing and
    connecting, just before the first byte, and leaves it when the last request byte is handed to the socket.
    """

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """An order in doubt, as it would stand at the venue if it ever got there."""

    record: IntentRecord
    sent_after: datetime  # not earlier than this could it have been created


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What one search saw: the order itself, or its absence from listings read to the end."""

    order: VenueOrder | None
    contradicts: str  # not empty: an order under our id with other terms (H10); never adopted
    listed_at: datetime
    evidence: str


class MarketFeed(Protocol):
    """Market reads. Each answer carries its age; `as_of` is when we asked."""

    def products(self) -> tuple[Product, ...]:
        """Every perpetual the venue offers, discovered by structure."""

    def product(self, product_id: ProductId) -> Product: ...

    def book(self, product_id: ProductId, depth: int) -> BookView: ...

    def candles(
        self, product_id: ProductId, *, start: datetime, end: datetime, granularity: timedelta
    ) -> tuple[Candle, ...]:
        """Oldest first."""

    def trades(self, product_id: ProductId, limit: int) -> tuple[PublicTrade, ...]:
        """Newest first."""

    def funding(self, product_id: ProductId, hours: int) -> FundingReport:
        """Funding now, and of the last so many full hours where the venue publishes them."""


class AccountFeed(Protocol):
    """Reads of the pinned portfolio, to the last page, derivatives only."""

    def account(self) -> AccountView: ...

    def positions(self) -> PositionsRead: ...

    def live_orders(self) -> OrdersRead:
        """Every order that could still fill, of every placement source; not only OPEN ones (PENDING, QUEUED live too)."""

    def orders_since(self, start: datetime) -> OrdersRead:
        """Every order created at or after `start`, whatever its state or source."""

    def order(self, venue_order_id: VenueOrderId) -> VenueOrder | None:
        """The order of this id, or what it became (`VenueOrder.succeeds` tells this id then); None: the venue knows none."""

    def fills(self, *, since: datetime | None = None, venue_order_id: VenueOrderId | None = None) -> tuple[Fill, ...]:
        """Oldest first, to the last page."""

    def fees(self) -> Fees: ...

    def margin_window(self) -> MarginWindow: ...

    def transfers(self, since: datetime) -> tuple[Transfer, ...] | None:
        """What came and went from `since` on besides trading, oldest first; None where the venue keeps no such books."""

    def cash_rows(self, since: datetime) -> tuple[CashRow, ...] | None:
        """Every row of the account's books from `since` on, by scope and number; None where the venue keeps no such books."""


class Venue(MarketFeed, AccountFeed, Protocol):
    """One venue behind one interface. Nothing here resends a write."""

    @property
    def capabilities(self) -> VenueCapabilities: ...

    def within(self, length: timedelta) -> AbstractContextManager[None]:
        """In the block no read and no cancel begins later than `length` from now: it raises VenueUnreachable instead (L2).

        A request that began keeps its own deadline, and so does every write. Of nested bounds the nearest holds.
        """

    def server_time(self) -> ServerTime: ...

    def key_facts(self) -> KeyFacts: ...

    def preview(self, order: QuantizedOrder) -> Preview: ...

    def submit(self, order: ApprovedOrder, gate: Gate) -> SubmitOutcome:
        """Send it once. Never raises; GateShut inside ends as NotSent with its code as the reason."""

    def submit_edit(self, edit: ApprovedEdit, gate: Gate) -> SubmitOutcome:
        """Send the edit once. Never raises."""

    def close_position(self, order: ApprovedOrder, gate: Gate) -> SubmitOutcome:
        """The venue's own close call, without a price bound; only for `--unbounded`. Never raises."""

    def cancel(self, venue_order_ids: Sequence[VenueOrderId]) -> tuple[CancelResult, ...]:
        """Ask for the cancels, in the venue's batches; repeated on transport failure (a cancel is idempotent)."""

    def cancel_all(self, product_id: ProductId | None) -> int | None:
        """How many derivatives orders the venue says it cancelled in one call, of one product or of all; spot is not touched.

        A hint: the listings are the truth. None where the venue has no such call, and then nothing was asked.
        """

    def search(self, sought: Sought) -> Sighting:
        """Look once for an order in doubt, by every means there is; raises when a listing could not be read whole."""


class EventKind(StrEnum):
    """Rows of the journal that are not intents, outcomes, orders or fills."""

    RUN_STARTED = "run_started"
    RUN_STOPPED = "run_stopped"
    HEARTBEAT = "heartbeat"
    CANCEL_REQUESTED = "cancel_requested"
    CANCEL_ANSWERED = "cancel_answered"
    CHECKS_RUN = "checks_run"
    ALARM = "alarm"
    EXIT_PENDING = "exit_pending"
    EXIT_SETTLED = "exit_settled"
    STATE_CHANGED = "state_changed"
    RECONCILED = "reconciled"
    OPERATOR_DECISION = "operator_decision"
    TRANSFER = "transfer"
    LEDGER = "ledger"  # from where cash is counted, and funding seen since (design 9)
    STREAMS = "streams"  # figures of a run's streams: at its start, once a minute, at its end


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEvent:
    """One row as read back; `payload` is JSON text, verified against its chain on a full check."""

    seq: int
    kind: str
    at: datetime
    intent_id: IntentId | None
    payload: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The intent was decided before: its record as it stands; `same_terms` tells whether it asks for the same."""

    record: IntentRecord
    same_terms: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Integrity:
    """What a check of the journal found; `first_bad` is the sequence number of the first bad row."""

    rows: int
    verified_from: int
    sound: bool
    first_bad: int | None
    problem: str
    head: str  # hash of the last row


class Journal(Protocol):
    """The durable record. What a method wrote is durable (synced) when it returns, or it raises JournalUnavailable."""

    @property
    def account(self) -> AccountKey: ...

    def decide(
        self, intent: OrderIntent, sent_size: Size, judge: Callable[[Booked], Approved | Denied]
    ) -> Approved | Denied | Known:
        """One exclusive write transaction: read what is in doubt, working, counted; judge; commit intent and verdict."""

    def decide_edit(
        self, intent: EditIntent, sent_size: Size, judge: Callable[[Booked], ApprovedChange | Denied]
    ) -> ApprovedChange | Denied | Known: ...

    def record_outcome(self, intent_id: IntentId, outcome: SubmitOutcome) -> None:
        """The outcome stands; Unknown may be followed by evidence, a proven outcome by nothing that contradicts it."""

    def record_order(self, order: VenueOrder, intent_id: IntentId | None) -> bool:
        """The order's state is booked if it moved (I5); True when it did. None: an order that is not ours."""

    def record_fills(self, fills: Iterable[Fill]) -> tuple[Fill, ...]:
        """Fills not booked before, now booked, in order."""

    def record_transfers(self, transfers: Iterable[Transfer]) -> tuple[Transfer, ...]:
        """Transfers not booked before, now booked, each once by its id whoever else books it too."""

    def record_mark(self, mark: EquityMark) -> None: ...

    def record_halt(self, *, engaged: bool, reason: str, by: str, loss_breach: bool = False) -> None: ...

    def record_state(self, product_id: ProductId, state: TradingState, reason: str) -> None: ...

    def record_event(self, kind: EventKind, payload: Mapping[str, object], intent_id: IntentId | None = None) -> None:
        """`payload` holds text, numbers as text, booleans, lists and objects of these."""

    def booked(self) -> Booked: ...

    def intent(self, intent_id: IntentId) -> IntentRecord | None: ...

    def intent_by_order(self, venue_order_id: VenueOrderId) -> IntentRecord | None: ...

    def intents(self, *, since: datetime | None = None, limit: int | None = None) -> tuple[IntentRecord, ...]:
        """Newest first, denied ones included."""

    def in_doubt(self) -> tuple[IntentRecord, ...]: ...

    def working(self) -> tuple[IntentRecord, ...]: ...

    def fills(self, *, since: datetime | None = None, limit: int | None = None) -> tuple[Fill, ...]:
        """Newest first."""

    def booked_coin(self) -> Mapping[ProductId, Decimal]:
        """Signed coin by product as the booked fills and adopted openings add up to."""

    def halt(self) -> HaltFacts: ...

    def exits_pending(self) -> tuple[ExitPending, ...]: ...

    def events(self, *, kind: str | None = None, limit: int | None = None) -> tuple[JournalEvent, ...]:
        """Newest first."""

    def check(self, *, full: bool) -> Integrity: ...


class Halts(Protocol):
    """The kill switch as the desk sees it: latch and journal, either engaged means engaged."""

    def facts(self) -> HaltFacts: ...

    def gate(self, *, switch_road: bool = False, spooled: bool = False) -> Gate:
        """The gate for one send. With `switch_road`, the switch's own exits pass although it is engaged.

        With `spooled`, an exit whose intent stands in the spool because there is no journal: the latch alone is asked.
        """


class Lease(Protocol):
    """One `run` per portfolio (J5). The fencing number is checked inside each `decide` of the holder."""

    def acquire(self) -> None:
        """Ours from now on; LeaseHeld names the holder otherwise."""

    def renew(self) -> None:
        """Still ours; LeaseHeld when another took it."""

    def release(self) -> None: ...

    def holder(self) -> str | None:
        """Who holds it, None when nobody does."""


class Diagnostics(Protocol):
    """Structured talk for logs; never a secret, never raw text from outside."""

    def note(self, event: str, **facts: object) -> None: ...

    def alarm(self, event: str, **facts: object) -> None: ...
