"""What can be asked of the order book and what an order looks like from outside.

Values only: enums carry the venue's own words (Advanced Trade reference, section 6 and appendix A, compiled
2026-11-22). Sizes are whole contracts for futures. Nothing here changes an order; `lifecycle.py` does.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Generic, TypeVar

T = TypeVar("T")


class Side(StrEnum):
    """Direction of an order."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1

    @property
    def other(self) -> "Side":
        """The opposite direction."""
        return Side.SELL if self is Side.BUY else Side.BUY


class ConfigKind(StrEnum):
    """The key of `order_configuration` (reference 6.1); the last two are known words that are refused here."""

    MARKET_IOC = "market_market_ioc"
    MARKET_FOK = "market_market_fok"
    LIMIT_IOC = "sor_limit_ioc"
    LIMIT_GTC = "limit_limit_gtc"
    LIMIT_GTD = "limit_limit_gtd"
    LIMIT_FOK = "limit_limit_fok"
    STOP_LIMIT_GTC = "stop_limit_stop_limit_gtc"
    STOP_LIMIT_GTD = "stop_limit_stop_limit_gtd"
    BRACKET_GTC = "trigger_bracket_gtc"
    BRACKET_GTD = "trigger_bracket_gtd"
    TWAP_GTD = "twap_limit_gtd"
    SCALED_GTC = "scaled_limit_gtc"


class OrderStatus(StrEnum):
    """Lifecycle words of reference 6.10."""

    PENDING = "PENDING"
    OPEN = "OPEN"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    FAILED = "FAILED"
    QUEUED = "QUEUED"
    CANCEL_QUEUED = "CANCEL_QUEUED"
    EDIT_QUEUED = "EDIT_QUEUED"

    @property
    def final(self) -> bool:
        """True when the order can never fill again."""
        return self in FINAL


FINAL = frozenset({OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.EXPIRED, OrderStatus.FAILED})


class TimeInForce(StrEnum):
    """How long an order stands."""

    GTD = "GOOD_UNTIL_DATE_TIME"
    GTC = "GOOD_UNTIL_CANCELLED"
    IOC = "IMMEDIATE_OR_CANCEL"
    FOK = "FILL_OR_KILL"


class OrderType(StrEnum):
    """What kind of order it is, in the venue's list words."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP_LIMIT = "STOP_LIMIT"
    BRACKET = "BRACKET"
    LIQUIDATION = "LIQUIDATION"


class TriggerStatus(StrEnum):
    """State of a stop or bracket."""

    INVALID_ORDER_TYPE = "INVALID_ORDER_TYPE"
    STOP_PENDING = "STOP_PENDING"
    STOP_TRIGGERED = "STOP_TRIGGERED"


class StopDirection(StrEnum):
    """Which way the price must pass the stop."""

    UP = "STOP_DIRECTION_STOP_UP"
    DOWN = "STOP_DIRECTION_STOP_DOWN"


class PlacementSource(StrEnum):
    """Who placed it; a list read without a filter shows RETAIL_ADVANCED only (reference 6.7)."""

    RETAIL_ADVANCED = "RETAIL_ADVANCED"
    RETAIL_SIMPLE = "RETAIL_SIMPLE"
    UNKNOWN = "UNKNOWN_PLACEMENT_SOURCE"


class RejectReason(StrEnum):
    """`reject_reason` of a FAILED order."""

    UNSPECIFIED = "REJECT_REASON_UNSPECIFIED"
    HOLD_FAILURE = "HOLD_FAILURE"
    TOO_MANY_OPEN_ORDERS = "TOO_MANY_OPEN_ORDERS"
    INSUFFICIENT_FUNDS = "REJECT_REASON_INSUFFICIENT_FUNDS"
    RATE_LIMIT_EXCEEDED = "RATE_LIMIT_EXCEEDED"


class Liquidity(StrEnum):
    """`liquidity_indicator` of a fill."""

    MAKER = "MAKER"
    TAKER = "TAKER"


class TradeType(StrEnum):
    """`trade_type` of a fill row."""

    FILL = "FILL"
    REVERSAL = "REVERSAL"
    CORRECTION = "CORRECTION"
    SYNTHETIC = "SYNTHETIC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One order configuration, numbers exact; fields that its kind lacks stay None."""

    kind: ConfigKind
    base_size: Decimal | None = None
    quote_size: Decimal | None = None
    limit_price: Decimal | None = None
    post_only: bool = False
    end_time: datetime | None = None
    stop_price: Decimal | None = None
    stop_direction: StopDirection | None = None
    stop_trigger_price: Decimal | None = None
    reduce_only: bool = False  # refused on this venue: REDUCE_ONLY_NOT_ALLOWED_ON_VENUE (reference 6.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """A create or preview as it arrived. `client_order_id` is empty for previews."""

    product_id: str
    side: Side
    configuration: Configuration
    client_order_id: str = ""
    leverage: str | None = None
    margin_type: str | None = None
    preview_id: str | None = None
    attached: Configuration | None = None  # attached_order_configuration: trigger_bracket_gtc without size
    source: PlacementSource = PlacementSource.RETAIL_ADVANCED


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Accepted, or recognised as a repeat: then `order_id` is the first order's and the rest echoes the repeat (6.9)."""

    order_id: str
    product_id: str
    side: Side
    client_order_id: str
    configuration: Configuration
    attached_order_id: str = ""
    repeated: bool = False  # never on the wire: the judge's knowledge
    failure_reason: str | None = None  # fault E4: a failure reason beside success


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A business refusal: HTTP 200 with `success: false` on the wire. Nothing was placed.

    `reason` is a new_order_failure_reason, `preview_reason` its PREVIEW_ form (or UNKNOWN_PREVIEW_FAILURE_REASON).
    """

    reason: str
    preview_reason: str
    message: str
    details: str = ""
    configuration: Configuration | None = None


CreateAnswer = Placed | Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelResult:
    """One row of batch_cancel; `failure_reason` is UNKNOWN_CANCEL_FAILURE_REASON on success."""

    order_id: str
    success: bool
    failure_reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EditRequest:
    """New total size (filled part included) and or price; None keeps the old value."""

    order_id: str
    price: Decimal | None = None
    size: Decimal | None = None
    stop_price: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EditAnswer:
    """`edit_failure_reason` and `preview_failure_reason` are empty on success."""

    success: bool
    edit_failure_reason: str = ""
    preview_failure_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditPreview:
    """What edit_preview answers; a refused edit has `errors` and zeros."""

    errors: tuple[EditAnswer, ...]
    preview: "Preview | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommissionDetail:
    """Parts of a commission, USD; what each part means is inferred from its name (reference 6.3)."""

    total: Decimal
    client: Decimal
    venue: Decimal
    regulatory: Decimal
    clearing: Decimal
    gst: Decimal = Decimal(0)
    withholding: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What an order would do now; `errors` holds PREVIEW_ words and the numbers stay as far as they could be had."""

    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    preview_id: str
    base_size: Decimal
    quote_size: Decimal
    order_total: Decimal  # notional plus commission
    commission: CommissionDetail
    best_bid: Decimal | None
    best_ask: Decimal | None
    average_filled_price: Decimal | None  # of the part that would fill at once
    slippage: Decimal  # share against mid, of the part that would fill at once
    order_margin_total: Decimal
    current_liquidation_buffer: Decimal
    projected_liquidation_buffer: Decimal
    current_margin_ratio: Decimal | None  # None without a position: nothing to divide by
    projected_margin_ratio: Decimal | None
    predicted_liquidation_price: Decimal | None
    available_buying_power: Decimal
    long_leverage: Decimal
    short_leverage: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class EditRecord:
    """One row of `edit_history` (at most the last five)."""

    price: Decimal | None
    size: Decimal
    accepted_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderView:
    """An order as the venue would list it, at one instant. `average_filled_price` is None without a fill."""

    order_id: str
    client_order_id: str
    product_id: str
    product_type: str
    user_id: str
    portfolio_uuid: str
    side: Side
    configuration: Configuration  # as it stands now, after edits
    attached: Configuration | None
    attached_order_id: str
    originating_order_id: str
    status: OrderStatus
    order_type: OrderType
    time_in_force: TimeInForce
    size: Decimal  # total, contracts
    filled_size: Decimal
    average_filled_price: Decimal | None
    filled_value: Decimal  # USD notional
    total_fees: Decimal
    commission: CommissionDetail
    number_of_fills: int
    completion_percentage: Decimal
    outstanding_hold_amount: Decimal
    total_value_after_fees: Decimal
    created_time: datetime
    last_update_time: datetime
    last_fill_time: datetime | None
    trigger_status: TriggerStatus
    reject_reason: RejectReason
    reject_message: str
    cancel_message: str
    pending_cancel: bool
    settled: bool
    source: PlacementSource
    is_liquidation: bool
    edit_history: tuple[EditRecord, ...]
    leverage: str
    margin_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FillView:
    """One row of the fills list; `size` in contracts, `commission` in USD."""

    entry_id: str
    trade_id: str
    order_id: str
    client_order_id: str  # not on the wire
    product_id: str
    product_type: str
    user_id: str
    portfolio_uuid: str
    side: Side
    trade_time: datetime
    sequence_timestamp: datetime
    trade_type: TradeType
    price: Decimal
    size: Decimal
    commission: Decimal
    commission_detail: CommissionDetail
    liquidity: Liquidity


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilter:
    """Filters of GET /orders/historical/batch. Empty tuples and None do not filter.

    `sources` empty means RETAIL_ADVANCED only, as the venue's default; `ANY_SOURCE` shows all.
    """

    order_ids: tuple[str, ...] = ()
    product_ids: tuple[str, ...] = ()
    product_type: str | None = None
    statuses: tuple[str, ...] = ()
    time_in_forces: tuple[str, ...] = ()
    order_types: tuple[str, ...] = ()
    side: str | None = None
    start: datetime | None = None  # inclusive, on created_time
    end: datetime | None = None  # exclusive
    sources: tuple[str, ...] = ()
    limit: int | None = None
    cursor: str = ""
    sort_by: str | None = None  # LIMIT_PRICE, LAST_FILL_TIME, LAST_UPDATE_TIME; else created_time


@dataclass(frozen=True, slots=True, kw_only=True)
class FillFilter:
    """Filters of GET /orders/historical/fills."""

    order_ids: tuple[str, ...] = ()
    trade_ids: tuple[str, ...] = ()
    product_ids: tuple[str, ...] = ()
    order_types: tuple[str, ...] = ()
    side: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    limit: int = 100
    cursor: str = ""
    sort_by: str | None = None  # PRICE or TRADE_TIME


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """One page of a list; `cursor` is empty when nothing follows."""

    items: tuple[T, ...]
    cursor: str
    has_next: bool
