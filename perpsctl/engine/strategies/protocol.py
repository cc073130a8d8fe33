"""What a strategy is: a plain class that looks at the state and says what it wants. It sends nothing and knows no venue."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from perpsctl.domain.accounts import RiskView, TradingState
from perpsctl.domain.ids import ProductId, VenueOrderId
from perpsctl.domain.numbers import Price, Size
from perpsctl.domain.orders import OrderIntent, VenueOrder
from perpsctl.domain.products import Product
from perpsctl.domain.reports import PlaceReport
from perpsctl.domain.sides import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Working:
    """An order of this run that could still fill, as last seen."""

    intent: OrderIntent
    venue_order_id: VenueOrderId
    order: VenueOrder | None
    placed_at: datetime

    def age(self, now: datetime) -> timedelta:
        return now - self.placed_at


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyState:
    """Everything a strategy may look at; `position` is signed coin as read this tick.

    `last_reports` is what became of its last wishes, however many ticks ago they were.
    """

    now: datetime
    product: Product
    view: RiskView
    position: Decimal
    working: tuple[Working, ...]
    in_doubt: int
    trading: TradingState
    orders_left: int  # of this minute's budget, all processes counted (R8)
    last_reports: tuple[PlaceReport, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """An order a strategy wants. The loop gives it its id, its expiry and its road; risk has the last word.

    `take` asks for an immediate order at `price` (IOC); otherwise it rests post-only and expires by itself.
    """

    side: Side
    size: Size
    price: Price
    reason: str
    take: bool = False
    reduce_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a strategy wants done now: cancels first, then orders."""

    cancels: tuple[VenueOrderId, ...] = ()
    wishes: tuple[Wish, ...] = ()


class Strategy(Protocol):
    """Proposes; the desk disposes. One instance serves one run."""

    @property
    def name(self) -> str: ...

    @property
    def product_id(self) -> ProductId: ...

    def propose(self, state: StrategyState) -> Proposal:
        """Called once a tick, with reads that are whole; not called when something needed could not be read."""
