"""The operator's own orders: their state, and the queue in which they rest (price, then time).

An order is changed by `lifecycle.py` only. Makers' depth is not in here; a resting order only knows how many of the
makers' contracts stand before it.
"""

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from perpsctl.simulator.orders import (
    CommissionDetail,
    ConfigKind,
    Configuration,
    EditRecord,
    OrderStatus,
    OrderType,
    PlacementSource,
    RejectReason,
    Side,
    TimeInForce,
    TriggerStatus,
)
from perpsctl.simulator.views import JudgedOrder

ZERO = Decimal(0)
RESTING = frozenset({OrderStatus.OPEN, OrderStatus.CANCEL_QUEUED, OrderStatus.EDIT_QUEUED})
TIME_IN_FORCE = {
    ConfigKind.MARKET_IOC: TimeInForce.IOC,
    ConfigKind.MARKET_FOK: TimeInForce.FOK,
    ConfigKind.LIMIT_IOC: TimeInForce.IOC,
    ConfigKind.LIMIT_GTC: TimeInForce.GTC,
    ConfigKind.LIMIT_GTD: TimeInForce.GTD,
    ConfigKind.LIMIT_FOK: TimeInForce.FOK,
    ConfigKind.STOP_LIMIT_GTC: TimeInForce.GTC,
    ConfigKind.STOP_LIMIT_GTD: TimeInForce.GTD,
    ConfigKind.BRACKET_GTC: TimeInForce.GTC,
    ConfigKind.BRACKET_GTD: TimeInForce.GTD,
}
MARKET_KINDS = frozenset({ConfigKind.MARKET_IOC, ConfigKind.MARKET_FOK})
STOP_KINDS = frozenset({ConfigKind.STOP_LIMIT_GTC, ConfigKind.STOP_LIMIT_GTD})
BRACKET_KINDS = frozenset({ConfigKind.BRACKET_GTC, ConfigKind.BRACKET_GTD})


def order_type_of(kind: ConfigKind) -> OrderType:
    """The list word of a configuration."""
    if kind in MARKET_KINDS:
        return OrderType.MARKET
    if kind in STOP_KINDS:
        return OrderType.STOP_LIMIT
    return OrderType.BRACKET if kind in BRACKET_KINDS else OrderType.LIMIT


@dataclass(slots=True, kw_only=True)
class LiveOrder:
    """An order and all that became of it."""

    order_id: str
    client_order_id: str
    product_id: str
    side: Side
    configuration: Configuration
    attached: Configuration | None
    source: PlacementSource
    sequence: int  # of the request that made it; 0 from outside
    number: int  # order of creation
    created: datetime
    size: Decimal
    ticks: int | None  # limit price; None for market orders
    order_type: OrderType
    leverage: str
    margin_type: str
    status: OrderStatus = OrderStatus.PENDING
    filled: Decimal = ZERO
    value: Decimal = ZERO
    fees: Decimal = ZERO
    fills: int = 0
    updated: datetime
    last_fill: datetime | None = None
    trigger: TriggerStatus = TriggerStatus.INVALID_ORDER_TYPE
    stop_ticks: int | None = None
    stopped_out: bool = False  # a bracket whose stop leg is the working one
    reject_reason: RejectReason = RejectReason.UNSPECIFIED
    reject_message: str = ""
    cancel_message: str = ""
    attached_order_id: str = ""
    originating_order_id: str = ""
    edit_history: list[EditRecord] = field(default_factory=list)
    is_liquidation: bool = False
    rank: int = 0  # place in time among orders of one price
    queue_ahead: int = 0  # makers' contracts before it at its price
    hidden_by_id_until: datetime | None = None  # faults E1, E2
    hidden_in_list_until: datetime | None = None
    worst_long: Decimal = ZERO
    worst_short: Decimal = ZERO

    @property
    def left(self) -> Decimal:
        """Contracts still to fill."""
        return self.size - self.filled

    @property
    def live(self) -> bool:
        """True while it may still fill."""
        return not self.status.final

    @property
    def resting(self) -> bool:
        """True while it stands in the book and takes part in matching."""
        waits = self.trigger is TriggerStatus.STOP_PENDING and self.order_type is OrderType.STOP_LIMIT
        return self.status in RESTING and self.ticks is not None and not waits

    @property
    def time_in_force(self) -> TimeInForce:
        """From its configuration."""
        return TIME_IN_FORCE[self.configuration.kind]

    def hidden_by_id(self, now: datetime) -> bool:
        """True while a fault hides it from whoever asks by id."""
        return self.hidden_by_id_until is not None and now < self.hidden_by_id_until

    def judged(self) -> JudgedOrder:
        """As the judge sees it."""
        return JudgedOrder(
            sequence=self.sequence,
            accepted_at=self.created,
            order_id=self.order_id,
            client_order_id=self.client_order_id,
            product_id=self.product_id,
            side=self.side.value,
            kind=self.configuration.kind.value,
            status=self.status.value,
            size=self.size,
            filled_size=self.filled,
            limit_price=self.configuration.limit_price,
            source=self.source.value,
            is_liquidation=self.is_liquidation,
            worst_long_after=self.worst_long,
            worst_short_after=self.worst_short,
        )

    @property
    def commission(self) -> CommissionDetail:
        """All commission so far, in parts."""
        return commission_parts(self.fees)


def commission_parts(total: Decimal) -> CommissionDetail:
    """Splits a commission: 70 % client, 20 % venue, 5 % regulatory, the rest clearing (the shares are ours)."""
    client, venue, regulatory = total * Decimal("0.7"), total * Decimal("0.2"), total * Decimal("0.05")
    return CommissionDetail(
        total=total, client=client, venue=venue, regulatory=regulatory, clearing=total - client - venue - regulatory
    )


def _place(order: LiveOrder) -> tuple[int, int]:
    assert order.ticks is not None
    return -order.side.sign * order.ticks, order.rank


class RestingBook:
    """One product's resting own orders, best price first and first come first within a price."""

    def __init__(self) -> None:
        self._sides: dict[Side, list[LiveOrder]] = {Side.BUY: [], Side.SELL: []}

    def add(self, order: LiveOrder) -> None:
        """Puts an order in its place in the queue."""
        insort(self._sides[order.side], order, key=_place)

    def remove(self, order: LiveOrder) -> None:
        """Takes an order out; it is no error if it is not there."""
        self._sides[order.side] = [kept for kept in self._sides[order.side] if kept is not order]

    def side(self, side: Side) -> list[LiveOrder]:
        """Orders of a side, best first; a copy, so fills may remove from the book."""
        return list(self._sides[side])

    def best(self, side: Side) -> LiveOrder | None:
        """The first order of a side."""
        orders = self._sides[side]
        return orders[0] if orders else None

    def __iter__(self) -> Iterator[LiveOrder]:
        yield from self._sides[Side.BUY]
        yield from self._sides[Side.SELL]

    def __bool__(self) -> bool:
        return bool(self._sides[Side.BUY] or self._sides[Side.SELL])
