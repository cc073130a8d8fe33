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
    """What happened. Everything but MARKET is an order event: kept, in order."""

    UP = "up"  # a new connection stands, armed and subscribed: reconcile, no snapshot is sent by the venue
    DOWN = "down"  # the connection is over; what was in flight ended as written
    ACCOUNT = "account"  # a message of a private or platform channel
    LATE_REPLY = "late_reply"  # the answer to a call that had given up: evidence about its order
    OVERFLOW = "overflow"  # the mailbox is full of order events: events after this one are missing, reconcile
    MARKET = "market"  # a message of a market data channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One happening. `body` is the whole frame as it came, raw; `detail` is our own words."""

    kind: EventKind
    arrived: datetime
    connection: int  # counts up with every connection
    channel: str = ""
    body: bytes = b""
    request_id: int | None = None
    detail: str = ""


class Mailbox:
    """Filled by one thread, emptied by another."""

    def __init__(self, *, orders_max: int = 10_000, market_max: int = 1_000) -> None:
        self._orders_max = orders_max
        self._market_max = market_max
        self._lock = threading.Lock()
        self._filled = threading.Condition(self._lock)
        self._orders: deque[Event] = deque()
        self._market: deque[Event] = deque()
        self._market_dropped = 0

    def put(self, event: Event) -> bool:
        """Kept; False when no further order event is sure to find room: the connection has to end."""
        with self._lock:
            if event.kind is EventKind.MARKET:
                if len(self._market) >= self._market_max:
                    self._market.popleft()
                    self._market_dropped += 1
                self._market.append(event)
            else:
                self._orders.append(event)  # also past the bound: what came is kept, the caller stops what comes
            self._filled.notify()
            return len(self._orders) < self._orders_max

    def take(self, most: int = 1_000) -> tuple[Event, ...]:
        """Up to `most` events and gone from here: order events first, each kind in order."""
        with self._lock:
            taken = [self._orders.popleft() for _ in range(min(most, len(self._orders)))]
            taken += [self._market.popleft() for _ in range(min(most - len(taken), len(self._market)))]
            return tuple(taken)

    def wait(self, seconds: float) -> bool:
        """True when there is something to take, at the latest after `seconds`."""
        with self._filled:
            return self._filled.wait_for(lambda: bool(self._orders or self._market), seconds)

    @property
    def has_room(self) -> bool:
        """True when at least half of the room for order events is free."""
        with self._lock:
            return 2 * len(self._orders) <= self._orders_max

    @property
    def market_dropped(self) -> int:
        """How many market messages were pushed out so far."""
        with self._lock:
            return self._market_dropped
