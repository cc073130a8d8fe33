"""What a socket's reader leaves for the thread that decides: bounded, and never at the cost of an order event (W10).

Market data beyond its bound pushes out the oldest market data, counted. Order events are never dropped: when their bound
is reached `put` says so, and the reader gives the connection up rather than lose one. Nothing here blocks for long.
"""

import threading
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

__all__ = ["Event", "EventKind", "Mailbox"]


class EventKind(StrEnum):
    """What happened. Everything but MARKET and BEAT is an order event: kept, in order."""

    UP = "up"  # a new connection stands, armed and subscribed: reconcile, no snapshot is sent by the venue
    DOWN = "down"  # the connection is over; what was in flight ended as written
    ACCOUNT = "account"  # a message of a private or platform channel
    LATE_REPLY = "late_reply"  # the answer to a call that had given up: evidence about its order
    OVERFLOW = "overflow"  # the mailbox is full of order events: events after this one are missing, reconcile
    MARKET = "market"  # a message of a market data channel
    BEAT = "beat"  # a heartbeat: its connection lives


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One happening. `body` is the whole frame as it came, raw; `detail` is our own words."""

    kind: EventKind
    arrived: datetime
    connection: int  # counts up with every connection
    arrived_ns: int = 0  # the same moment in the monotonic count
    channel: str = ""
    body: bytes = b""
    request_id: int | None = None
    detail: str = ""
    channels: tuple[str, ...] = ()  # of UP: those the venue took


class Mailbox:
    """Filled by one thread, emptied by another. Bounded in messages and in bytes (a US snapshot may have 5 MB)."""

    def __init__(
        self,
        *,
        orders_max: int = 10_000,
        market_max: int = 1_000,
        orders_bytes_max: int = 64_000_000,
        market_bytes_max: int = 32_000_000,
    ) -> None:
        self._orders_max = orders_max
        self._market_max = market_max
        self._orders_bytes_max = orders_bytes_max
        self._market_bytes_max = market_bytes_max
        self._lock = threading.Lock()
        self._filled = threading.Condition(self._lock)
        self._orders: deque[Event] = deque()
        self._market: deque[Event] = deque()
        self._orders_bytes = 0
        self._market_bytes = 0
        self._market_dropped = 0
        self._bell: threading.Event | None = None

    def ring(self, bell: threading.Event) -> None:
        """From now on the bell is set whenever something is put here: one listener, several mailboxes."""
        self._bell = bell

    def put(self, event: Event) -> bool:
        """Kept; False when no further order event is sure to find room: the connection has to end."""
        with self._lock:
            if event.kind in _DROPPABLE:
                self._market.append(event)
                self._market_bytes += len(event.body)
                # The newest is kept, whatever its size: the line's own cap bounds it.
                while len(self._market) > max(1, self._market_max) or (
                    self._market_bytes > self._market_bytes_max and len(self._market) > 1
                ):
                    oldest = self._market.popleft()
                    self._market_bytes -= len(oldest.body)
                    self._market_dropped += oldest.kind is EventKind.MARKET
            else:
                self._orders.append(event)  # also past the bound: what came is kept, the caller stops what comes
                self._orders_bytes += len(event.body)
            self._filled.notify()
            room = len(self._orders) < self._orders_max and self._orders_bytes < self._orders_bytes_max
        if self._bell is not None:
            self._bell.set()
        return room

    def take(self, most: int = 1_000) -> tuple[Event, ...]:
        """Up to `most` events and gone from here: order events first, each kind in order."""
        with self._lock:
            taken = [self._orders.popleft() for _ in range(min(most, len(self._orders)))]
            self._orders_bytes -= sum(len(event.body) for event in taken)
            market = [self._market.popleft() for _ in range(min(most - len(taken), len(self._market)))]
            self._market_bytes -= sum(len(event.body) for event in market)
            return tuple(taken + market)

    def wait(self, seconds: float) -> bool:
        """True when there is something to take, at the latest after `seconds`."""
        with self._filled:
            return self._filled.wait_for(lambda: bool(self._orders or self._market), seconds)

    @property
    def has_room(self) -> bool:
        """True when at least half of the room for order events is free."""
        with self._lock:
            few = 2 * len(self._orders) <= self._orders_max
            return few and 2 * self._orders_bytes <= self._orders_bytes_max

    @property
    def held(self) -> tuple[int, int]:
        """How many messages and how many bytes are in it now."""
        with self._lock:
            return len(self._orders) + len(self._market), self._orders_bytes + self._market_bytes

    @property
    def market_dropped(self) -> int:
        """How many market messages were pushed out so far."""
        with self._lock:
            return self._market_dropped


_DROPPABLE = frozenset({EventKind.MARKET, EventKind.BEAT})
