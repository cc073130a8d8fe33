"""The stages of an order as types, so that a skipped stage does not type-check.

    OrderIntent -> quantize -> QuantizedOrder -> (risk only) -> ApprovedOrder -> Venue.submit -> SubmitOutcome

`ApprovedOrder` and `ApprovedEdit` are made in `perpsctl.risk.judge` and nowhere else (a test holds it).
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from perpsctl.domain.errors import ExitCode
from perpsctl.domain.ids import ClientOrderId, FillId, IntentId, ProductId, VenueOrderId
from perpsctl.domain.numbers import NO_SIZE, Notional, Price, Size
from perpsctl.domain.products import Product
from perpsctl.domain.sides import Side


class OrderType(StrEnum):
    """How an order trades."""

    MARKET = "market"
    LIMIT = "limit"
    STOP_LIMIT = "stop-limit"
    UNRECOGNISED = "unrecognised"  # the venue's own word stays in VenueOrder.raw_type


class TimeInForce(StrEnum):
    """How long an order lives."""

    GTC = "gtc"
    GTD = "gtd"
    IOC = "ioc"
    FOK = "fok"
    UNRECOGNISED = "unrecognised"


class Origin(StrEnum):
    """Who wants the order: rounding to the grid is allowed to a strategy's intents only."""

    OPERATOR = "operator"
    STRATEGY = "strategy"


class Road(StrEnum):
    """Which road the order takes: an entry is judged by every rule; an exit must provably reduce and passes most.

    SWITCH is the exit road under an engaged kill switch: the switch's own flatten and `positions close|flatten`.
    """

    ENTRY = "entry"
    EXIT = "exit"
    SWITCH = "switch"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderIntent:
    """What somebody wants, with its id; sizes in coin, as text was typed or a strategy computed."""

    id: IntentId
    product_id: ProductId
    side: Side
    size: Size
    type: OrderType
    tif: TimeInForce
    limit_price: Price | None = None
    stop_price: Price | None = None
    post_only: bool = False
    reduce_only: bool = False
    expires: datetime | None = None  # GTD only
    origin: Origin = Origin.OPERATOR
    road: Road = Road.ENTRY
    reason: str = ""  # why, in the record: "place", "canary", "flatten", "resting-ttl renewal"...
    again: bool = False  # overrides the duplicate guard
    rest_through: bool = False  # may rest through a quiet window, margin step or break
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizedOrder:
    """An intent on the venue's grid; `product` is the specification it was put on the grid of."""

    intent: OrderIntent
    product: Product
    size: Size
    limit_price: Price | None
    stop_price: Price | None

    @property
    def product_id(self) -> ProductId:
        return self.product.product_id

    @property
    def side(self) -> Side:
        return self.intent.side

    @property
    def takes(self) -> bool:
        """True unless it can only rest: a market or plain limit order may take."""
        return not self.intent.post_only

    @property
    def one_shot(self) -> bool:
        """True when it never rests: IOC and FOK."""
        return self.intent.tif in (TimeInForce.IOC, TimeInForce.FOK)


@dataclass(frozen=True, slots=True, kw_only=True)
class EditIntent:
    """New terms for an order of ours; its own id, its own row in the journal."""

    id: IntentId
    target: IntentId
    venue_order_id: VenueOrderId
    new_price: Price | None
    new_size: Size | None  # the new total, filled part included
    origin: Origin = Origin.OPERATOR
    reason: str = "edit"
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizedEdit:
    """An edit on the grid with the order it changes."""

    intent: EditIntent
    product: Product
    side: Side
    old_size: Size
    old_price: Price | None
    filled: Size
    new_size: Size
    new_price: Price | None
    post_only: bool
    reduce_only: bool

    @property
    def product_id(self) -> ProductId:
        return self.product.product_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovedOrder:
    """An order the risk room approved at `judged_at`. Only risk/judge.py makes one."""

    order: QuantizedOrder
    client_order_id: ClientOrderId
    judged_at: datetime
    leverage_note: str = ""

    @property
    def intent_id(self) -> IntentId:
        return self.order.intent.id


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovedEdit:
    """An edit the risk room approved at `judged_at`. Only risk/judge.py makes one."""

    edit: QuantizedEdit
    judged_at: datetime

    @property
    def intent_id(self) -> IntentId:
        return self.edit.intent.id


class OrderStatus(StrEnum):
    """The venue's word on an order, in ours."""

    PENDING = "pending"
    QUEUED = "queued"
    OPEN = "open"
    CANCEL_QUEUED = "cancel_queued"
    EDIT_QUEUED = "edit_queued"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FAILED = "failed"
    UNRECOGNISED = "unrecognised"

    @property
    def final(self) -> bool:
        return self in _FINAL

    @property
    def live(self) -> bool:
        """True when it could still fill; an unknown word is live until proven otherwise."""
        return self not in _FINAL


_FINAL = frozenset({OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.EXPIRED, OrderStatus.FAILED})
_RANK = {
    OrderStatus.UNRECOGNISED: 0,
    OrderStatus.PENDING: 1,
    OrderStatus.QUEUED: 2,
    OrderStatus.OPEN: 3,
    OrderStatus.EDIT_QUEUED: 3,
    OrderStatus.CANCEL_QUEUED: 4,
    OrderStatus.FAILED: 5,
    OrderStatus.EXPIRED: 5,
    OrderStatus.CANCELLED: 5,
    OrderStatus.FILLED: 6,  # a fill beats a cancel when both arrive (I5)
}


def later_status(held: OrderStatus, seen: OrderStatus) -> OrderStatus:
    """The state after seeing `seen` while holding `held`: states move forward only, final ones stay, FILLED wins (I5).

    The result does not depend on the order in which the same messages arrive.
    """
    if seen is OrderStatus.UNRECOGNISED:
        return held
    if held is OrderStatus.EDIT_QUEUED and seen is OrderStatus.OPEN:
        return seen
    if held.final and seen.final and held is not seen and OrderStatus.FILLED not in (held, seen):
        return min(held, seen)  # contradicting finals: one fixed winner; reconcile reports it
    return seen if _RANK[seen] > _RANK[held] else held


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOrder:
    """An order as the venue tells it. Sizes in coin; None is "the venue did not say"."""

    venue_order_id: VenueOrderId
    client_order_id: ClientOrderId | None
    product_id: ProductId
    side: Side
    size: Size | None
    filled: Size
    status: OrderStatus
    raw_status: str
    type: OrderType
    raw_type: str
    tif: TimeInForce
    limit_price: Price | None
    stop_price: Price | None
    post_only: bool | None
    average_price: Price | None
    fees: Notional | None
    created: datetime | None
    expires: datetime | None
    placement_source: str
    reason: str  # reject or cancel reason, the venue's word
    is_liquidation: bool
    read_at: datetime
    succeeds: VenueOrderId | None = None  # the waiting order that became this one: one intent, two ids over its life

    @property
    def remaining(self) -> Size | None:
        """What could still fill: None when the size is not told, zero when final."""
        if self.status.final:
            return NO_SIZE
        return None if self.size is None else Size(max(self.size - self.filled, Decimal(0)))


class Liquidity(StrEnum):
    """Which side of the trade we were on."""

    MAKER = "maker"
    TAKER = "taker"
    UNKNOWN = "unknown"


class FillKind(StrEnum):
    """What a row of the fill list means; a correction is a new row, never an edit."""

    FILL = "fill"
    REVERSAL = "reversal"
    CORRECTION = "correction"
    SYNTHETIC = "synthetic"
    UNRECOGNISED = "unrecognised"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One row of the venue's fill list; `fill_id` is its unique row key. Sizes in coin, fee in quote."""

    fill_id: FillId
    trade_id: str
    venue_order_id: VenueOrderId
    product_id: ProductId
    side: Side
    price: Price
    size: Size
    fee: Notional | None
    kind: FillKind
    liquidity: Liquidity
    time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The venue took the order (or says it knows it); `order` where it was read back."""

    venue_order_id: VenueOrderId
    order: VenueOrder | None
    evidence: str
    latency_us: int | None = None  # first byte of the create to its parsed reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The venue refused it in its own parsed words: proven, nothing rests."""

    reason: str
    message: str
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """Proven never to have reached the venue, or proven absent there after it could still arrive."""

    reason: str
    evidence: str
    exit_code: ExitCode = ExitCode.UNREACHABLE  # another one where saying the same again would end the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Nobody knows yet: it counts as live until evidence ends the doubt (I4)."""

    reason: str
    evidence: str
    alarm: bool = False  # the reply contradicted the request (H10)


SubmitOutcome = Accepted | Rejected | NotSent | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelResult:
    """The venue's word on one cancel; `accepted` means queued, not gone (I8)."""

    venue_order_id: VenueOrderId
    accepted: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What the venue says an order would do; `problems` are its own words, empty when it would be taken."""

    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    order_total: Notional | None
    commission: Notional | None
    margin: Notional | None
    average_price: Price | None
    best_bid: Price | None
    best_ask: Price | None
    slippage: Decimal | None
    estimate: bool  # True when the venue has no preview and this was computed from margins
