"""What `watch` sees in one look: every part dated or absent, and why it is absent. Nothing here is a verdict."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from perpsctl.domain.accounts import AccountView, Position, TradingState
from perpsctl.domain.ids import IntentId, ProductId
from perpsctl.domain.market import DataSource, Mark
from perpsctl.domain.numbers import Notional, Price, Size
from perpsctl.domain.reports import HaltFacts
from perpsctl.domain.streams import ChannelHealth, StreamFigures

__all__ = ["BookTop", "Happening", "LimitUse", "Outlook"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitUse:
    """One limit and how much of it is used, in the limit's own unit; `used` None: it could not be told."""

    limit: str  # the setting's name
    subject: str  # the product or window it was found at, "" where there is only one
    used: Decimal | None
    bound: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class BookTop:
    """The best of both sides, and whether it was read or streamed."""

    product_id: ProductId
    bid: Price | None
    bid_size: Size | None
    ask: Price | None
    ask_size: Size | None
    sound: bool
    as_of: datetime
    source: DataSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One row of the journal in a few words."""

    at: datetime
    kind: str
    intent_id: IntentId | None
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """One look. None is "could not be read", and `problems` says why; it is never zero, flat or empty (L5)."""

    at: datetime
    product_id: ProductId | None  # None: the venue has not told its products yet
    takes_orders: bool | None
    switch: HaltFacts
    states: Mapping[ProductId, TradingState] | None
    run_holder: str | None  # who holds the lease; None: nobody, or unreadable
    heartbeat: datetime | None
    in_doubt: int | None
    working: int | None
    exits_pending: int | None
    open_orders: int | None
    account: AccountView | None
    positions: tuple[Position, ...] | None
    marks: Mapping[ProductId, Mark]
    day_change: Notional | None  # equity since the UTC day began, transfers taken out
    limits: tuple[LimitUse, ...]
    book: BookTop | None
    channels: tuple[ChannelHealth, ...]
    figures: StreamFigures | None
    events: tuple[Happening, ...] | None
    problems: tuple[str, ...]
