"""What we hold and what could still be filled, dated: positions, balances, and the view that risk judges."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum

from perpsctl.domain.ids import ClientOrderId, IntentId, ProductId, VenueOrderId
from perpsctl.domain.market import Mark, MarketFacts
from perpsctl.domain.numbers import Notional, Price, Size
from perpsctl.domain.orders import VenueOrder
from perpsctl.domain.products import Product
from perpsctl.domain.sides import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A position in signed coin: above zero long, below zero short."""

    product_id: ProductId
    coin: Decimal
    contracts: Decimal
    average_entry: Price | None
    current_price: Price | None
    unrealised: Notional | None
    daily_realised: Notional | None

    @property
    def size(self) -> Size:
        return Size(abs(self.coin))

    @property
    def closing_side(self) -> Side:
        """The side of an order that reduces it."""
        return Side.SELL if self.coin > 0 else Side.BUY


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionsRead:
    """All derivatives positions of the portfolio, read to the end. A failed read has no value of this type (L5)."""

    positions: tuple[Position, ...]
    as_of: datetime

    def coin(self, product_id: ProductId) -> Decimal:
        """Signed coin held; a product that is not listed is flat."""
        return sum((p.coin for p in self.positions if p.product_id == product_id), Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersRead:
    """A listing of orders read to its last page. `as_of` is when the first page was asked for."""

    orders: tuple[VenueOrder, ...]
    as_of: datetime
    pages: int


class MarginLevel(StrEnum):
    """How near the account is to liquidation, the venue's word (reference section 7)."""

    BASE = "base"
    WARNING = "warning"
    DANGER = "danger"
    LIQUIDATION = "liquidation"
    UNRECOGNISED = "unrecognised"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginWindow:
    """Which margin rates hold now and until when."""

    kind: str  # the venue's word: INTRADAY, OVERNIGHT, ...
    ends: datetime | None
    intraday_enrolled: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """Money, dated. `equity` is USD balances plus unrealised PnL, spot crypto excluded (design 6)."""

    equity: Notional
    balance: Notional
    unrealised: Notional
    daily_realised: Notional | None
    funding_pnl: Notional | None
    buying_power: Notional | None
    initial_margin: Notional | None
    available_margin: Notional | None
    liquidation_threshold: Notional | None
    liquidation_buffer: Notional | None
    margin_level: MarginLevel
    as_of: datetime
    locked: str | None = None  # what the venue says of a lock on the account; None: it tells of none


@dataclass(frozen=True, slots=True, kw_only=True)
class Fees:
    """What the account pays, as fractions of notional."""

    maker: Decimal
    taker: Decimal
    tier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTime:
    """The venue's clock against ours: `skew` is venue minus ours at mid-flight, `uncertainty` half the round trip."""

    venue_time: datetime
    skew: timedelta
    uncertainty: timedelta
    as_of: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Money that came (above zero) or went without a trade: a row of the venue's own books. `id` is its unique key."""

    id: str
    kind: str  # the venue's word: deposit, withdrawal, transfer, correction
    amount: Notional
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldMark:
    """A position with the price it was marked at."""

    product_id: ProductId
    coin: Decimal
    price: Price


@dataclass(frozen=True, slots=True, kw_only=True)
class EquityMark:
    """Equity as recorded at a moment, with the positions and prices it rested on."""

    at: datetime
    equity: Notional
    held: tuple[HeldMark, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """What fills since a mark did to one product: signed coin, and cash (negative when paid) with fees inside."""

    product_id: ProductId
    coin: Decimal
    cash: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class LossBasis:
    """From where a loss is counted: the mark a window starts with and the booked flows since that mark."""

    window: str  # "utc_day" | "rolling_24h"
    start: datetime
    baseline: EquityMark | None
    flows: tuple[Flow, ...]
    transfers: Notional  # net deposits since the baseline, as far as known


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOrder:
    """An order that could still fill, counted at its worst: whole remaining size, in doubt or not."""

    intent_id: IntentId | None  # None: not ours
    client_order_id: ClientOrderId | None
    venue_order_id: VenueOrderId | None
    product_id: ProductId
    side: Side
    remaining: Size | None  # None: not told, so it may be anything
    price: Price | None  # None: takes any price
    in_doubt: bool
    one_shot: bool
    reduce_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentIntent:
    """A recent intent, for the duplicate guard; `ended_empty` when it is proven to have ended without a fill."""

    intent_id: IntentId
    product_id: ProductId
    side: Side
    size: Size
    price: Price | None
    reason: str
    at: datetime
    ended_empty: bool


class TradingState(StrEnum):
    """What a product, or the account, may do: everything, only reduce, nothing."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """What the journal holds, read inside the transaction that judges: nothing can slip between read and commit."""

    as_of: datetime
    live: tuple[LiveOrder, ...]
    in_doubt: tuple[IntentId, ...]
    recent: tuple[RecentIntent, ...]
    sent_last_minute: int
    sent_today: int
    loss_bases: tuple[LossBasis, ...]
    halted: bool
    states: Mapping[ProductId, TradingState]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Moments at which entries become unwise, as read or configured. All UTC."""

    funding_cash_times: tuple[time, ...]  # configured or read from the simulator; empty: the hourly accrual counts
    margin_window: MarginWindow | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskView:
    """Everything one verdict rests on. Parts that could not be read are None, and a rule that needs them denies."""

    now: datetime
    product: Product
    market: MarketFacts
    marks: Mapping[ProductId, Mark]  # of every product held or ordered
    account: AccountView | None
    positions: PositionsRead | None
    orders: OrdersRead | None  # every live order of the portfolio
    server_time: ServerTime | None
    calendar: Calendar
    native_reduce_only: bool
    booked_part: Booked | None = None

    def booked(self, booked: Booked) -> "RiskView":
        """The same view with what the journal holds."""
        return replace(self, booked_part=booked)
