"""Results that the engine makes and render shows; plain data, no behaviour beyond summing up."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from perpsctl.domain.accounts import Position
from perpsctl.domain.cash import CashLedger
from perpsctl.domain.ids import IntentId, ProductId, VenueOrderId
from perpsctl.domain.numbers import Notional, Price, Size
from perpsctl.domain.orders import EditIntent, OrderIntent, Preview, QuantizedOrder, SubmitOutcome, VenueOrder
from perpsctl.domain.verdicts import Denied


class KeyPurpose(StrEnum):
    """What a key is for; each purpose has a key of its own."""

    TRADE = "trade"
    MONITOR = "monitor"
    ANALYTICS = "analytics"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFacts:
    """What the venue says of a key: nothing of the key itself."""

    can_view: bool
    can_trade: bool
    can_transfer: bool
    portfolio_id: str
    portfolio_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLimit:
    """How often a kind of request may be made, as the venue told the account: each second, and at once after a pause."""

    name: str
    per_second: Decimal
    burst: Decimal


class IntentStage(StrEnum):
    """Where an intent stands in the journal."""

    DENIED = "denied"
    COMMITTED = "committed"  # durable, outcome missing: in doubt
    UNKNOWN = "unknown"  # outcome Unknown: in doubt
    WORKING = "working"  # accepted, not final
    DONE = "done"  # accepted, final at the venue
    REJECTED = "rejected"
    NOT_SENT = "not_sent"

    @property
    def in_doubt(self) -> bool:
        return self in (IntentStage.COMMITTED, IntentStage.UNKNOWN)

    @property
    def final(self) -> bool:
        return self in (IntentStage.DENIED, IntentStage.DONE, IntentStage.REJECTED, IntentStage.NOT_SENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentRecord:
    """Everything the journal knows of one intent."""

    intent: OrderIntent | EditIntent
    stage: IntentStage
    committed_at: datetime
    sent_size: Size | None  # on the grid, as it would be sent
    denied: Denied | None
    outcome: SubmitOutcome | None
    venue_order_id: VenueOrderId | None
    order: VenueOrder | None  # the last state seen
    venue_ids: tuple[VenueOrderId, ...] = ()  # an order may own several
    sent_price: Price | None = None  # the limit as it was put on the grid and sent; None: none, or denied
    sent_stop: Price | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceReport:
    """What became of one intent: denied here, or one of four outcomes; `replayed` when nothing was sent this time."""

    intent_id: IntentId
    denied: Denied | None
    outcome: SubmitOutcome | None
    order: VenueOrder | None
    notes: tuple[str, ...] = ()
    replayed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelReport:
    """What became of cancels: gone (proven), still there, and what could not be read."""

    requested: tuple[VenueOrderId, ...]
    gone: tuple[VenueOrderId, ...]
    still_live: tuple[VenueOrderId, ...]
    unproven: tuple[VenueOrderId, ...]
    problems: tuple[str, ...]
    in_doubt: tuple[IntentId, ...] = ()  # asked for everything: what may have an order that no list shows yet (E1)


class HaltState(StrEnum):
    """The kill switch has two states; what cannot be read counts as engaged."""

    ENGAGED = "engaged"
    RELEASED = "released"


@dataclass(frozen=True, slots=True, kw_only=True)
class HaltFacts:
    """The kill switch as it stands: either place engaged means engaged; unreadable means engaged."""

    state: HaltState
    latch: str  # "engaged" | "released" | "unreadable: ..."
    journal: str
    reason: str
    by: str
    since: datetime | None
    loss_breach: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitPending:
    """A reduction the venue would not take yet: why, and when it is tried again."""

    product_id: ProductId
    size: Size
    reason: str
    retry_at: datetime | None
    part: bool = False  # True: only `size` was asked for; False: the whole position, however large it is by then


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """What was read back after engaging. None is "could not be read" and stands in `unread`, never "zero"."""

    at: datetime
    latch_durable: bool
    journal_durable: bool
    open_orders: tuple[VenueOrder, ...] | None
    positions: tuple[Position, ...] | None
    in_doubt: tuple[IntentId, ...] | None
    unread: tuple[str, ...]
    exit_pending: tuple[ExitPending, ...]
    stuck_sender: str | None
    flatten_asked: bool

    @property
    def clean(self) -> bool:
        """True only when everything asked for is proven (design 7)."""
        flat = self.positions is not None and (not self.flatten_asked or not self.positions)
        return (
            self.latch_durable
            and self.journal_durable
            and self.open_orders == ()
            and flat
            and self.in_doubt == ()
            and not self.unread
            and self.stuck_sender is None
            and not (self.flatten_asked and self.exit_pending)
        )


class BreakClass(StrEnum):
    """Why journal and venue differ (design 9)."""

    TIMING = "timing"
    MISSED = "missed"
    FOREIGN = "foreign"
    FEE = "fee"
    FUNDING = "funding"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """One difference between journal and venue. `settled` when reconcile could book it from evidence."""

    kind: str  # "order" | "fill" | "position" | "transfer" | "cash" | "funding" | "fee"
    cls: BreakClass
    subject: str
    ours: str
    theirs: str
    owner: str  # who has to act: "perpsctl" | "operator" | "venue"
    since: datetime  # the venue's moment of what differs, else when it was first seen
    settled: bool
    detail: str = ""
    next_step: str = ""  # what the owner does about it

    @property
    def key(self) -> str:
        """The same for the same difference in every pass, however its figures move."""
        return f"{self.kind} {self.cls.value} {self.subject}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileReport:
    """What one reconcile found; `unread` names what could not be read, and then nothing is called matched.

    `ledger` None: it was not asked for, or could not be read, and then `unread` says so.
    """

    at: datetime
    breaks: tuple[Break, ...]
    unread: tuple[str, ...]
    orders_compared: int
    fills_compared: int
    positions_compared: int
    ledger: CashLedger | None = None

    @property
    def matched(self) -> bool:
        return not self.breaks and not self.unread


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyMs:
    """Percentiles in milliseconds; None without a sample."""

    p50: Decimal | None
    p95: Decimal | None
    p99: Decimal | None
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryS:
    """Seconds from a fault of the streams to the proven safe state (design 10); None without a recovery."""

    p50: Decimal | None
    max: Decimal | None
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DataAgeMs:
    """How old streamed market data was when the loop looked, in milliseconds; None without a look."""

    p50: Decimal | None
    p99: Decimal | None
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BookProof:
    """The live book of a run held against reads when it ended. `agreed` None: nothing could be compared, `detail` says why.

    `levels` of both sides were compared to the last digit when they agreed; else 0.
    """

    agreed: bool | None
    levels: int
    reads: int
    detail: str


NO_RECOVERY = RecoveryS(p50=None, max=None, samples=0)
NO_DATA_AGE = DataAgeMs(p50=None, p99=None, samples=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What one `run` did. Acceptance is venue-accepted over submitted; local denials are apart (design 10).

    `gaps`, `reconnects` and `book_proof` are None where the run had no streams; `stream_uptime` besides where none was ever
    complete.
    """

    ticks: int
    intents: int
    accepted: int
    rejected: int
    denied: int
    unknown: int
    not_sent: int
    fills: int
    acceptance_rate: Decimal | None
    latency_ms: LatencyMs
    halted: bool
    stopped_because: str
    denials_by_code: Mapping[str, int]
    positions: tuple[Position, ...] | None
    open_orders: int | None
    realised: Notional | None
    started: datetime
    ended: datetime
    stream_uptime: Decimal | None = None
    gaps: int | None = None
    reconnects: int | None = None
    recovery_s: RecoveryS = NO_RECOVERY
    data_age_ms: DataAgeMs = NO_DATA_AGE
    book_proof: BookProof | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewReport:
    """What the venue and our own limits say of an order that was not placed; `preview` None: the venue did not answer."""

    order: QuantizedOrder
    preview: Preview | None
    denied: Denied | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceReport:
    """Cancel and place: `placed` is None while the old order is not proven gone, or when nothing was left to place.

    A replacement that was denied, or whose id was used before, asked for no cancel.
    """

    cancelled: CancelReport
    old_filled: Size | None
    placed: PlaceReport | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitReport:
    """What became of one product's position; None for a position that could not be read, never zero."""

    product_id: ProductId
    before: Decimal | None
    after: Decimal | None
    wanted: Size | None  # None: all of it
    orders: tuple[PlaceReport, ...]
    cancels: tuple[CancelReport, ...]
    pending: ExitPending | None
    denied: Denied | None
    problems: tuple[str, ...]

    @property
    def done(self) -> bool:
        """True when what was asked for is proven: flat, or reduced by the size wanted."""
        if self.after is None:
            return False
        if self.wanted is None or self.before is None:
            return self.after == 0
        return abs(self.after) <= max(abs(self.before) - self.wanted, Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class FlattenReport:
    """All products that were to be closed; `unread` says what could not be known."""

    exits: tuple[ExitReport, ...]
    unread: tuple[str, ...]

    @property
    def flat(self) -> bool:
        """True when everything asked for is proven."""
        return not self.unread and all(report.done for report in self.exits)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngageReport:
    """What engaging did, with the attestation that was read back."""

    attestation: Attestation
    first: bool
    cancels: tuple[CancelReport, ...]
    flattened: FlattenReport | None
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseReport:
    """Released, or every reason why not (R4)."""

    released: bool
    refusals: tuple[str, ...]
    facts: HaltFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchStatus:
    """The switch as it stands with what would hinder a release; None: could not be read."""

    facts: HaltFacts
    in_doubt: tuple[IntentId, ...] | None
    exit_pending: tuple[ExitPending, ...] | None
    problems: tuple[str, ...]
