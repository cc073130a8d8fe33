"""The calls under way on a socket: which answer belongs to which question, over all its connections.

Ids count up and are never used twice, so an answer cannot meet another connection's question. A call that gave up is
remembered: its late answer is evidence about an order. Safe to use from several threads.
"""

import threading
from datetime import datetime
from enum import StrEnum

from perpsctl.exchange.streams.line import LineLost
from perpsctl.wire.global_derivatives.rpc import LooseReply

__all__ = ["Calls", "Matched", "Waiter"]

GIVEN_UP_MAX = 10_000


class Matched(StrEnum):
    """What an answer turned out to be."""

    AWAITED = "awaited"
    LATE = "late"
    OURS = "ours"  # to a test of life that nobody waits for
    STRAY = "stray"  # to a question nobody asked on this connection


class Waiter:
    """One request under way, and what came of it."""

    __slots__ = ("arrived", "arrived_ns", "body", "connection", "done", "lost", "number", "reply")

    def __init__(self, number: int, connection: int) -> None:
        self.number = number
        self.connection = connection
        self.done = threading.Event()
        self.reply: LooseReply | None = None
        self.body = b""
        self.lost: LineLost | None = None
        self.arrived: datetime | None = None
        self.arrived_ns = 0


class Calls:
    """The table of one socket."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[int, Waiter] = {}
        self._given_up: dict[int, None] = {}  # the oldest go first
        self._unattended: set[int] = set()
        self._last = 0
        self._over = 0  # connections up to this number have ended

    def register(self, connection: int, dead: LineLost) -> Waiter:
        """A new question on a connection; if that has ended already, it is lost as `dead` says."""
        with self._lock:
            self._last += 1
            waiter = self._waiting[self._last] = Waiter(self._last, connection)
            if connection <= self._over:  # else nobody would ever wake it
                waiter.lost = dead
                waiter.done.set()
            return waiter

    def unattended(self) -> int:
        """The id of a question whose answer is nobody's business."""
        with self._lock:
            self._last += 1
            self._unattended.add(self._last)
            return self._last

    def forget(self, waiter: Waiter) -> None:
        """It was never asked, or is answered."""
        with self._lock:
            self._waiting.pop(waiter.number, None)

    def give_up(self, waiter: Waiter) -> None:
        """Nobody waits any more; an answer that comes now is late."""
        with self._lock:
            self._waiting.pop(waiter.number, None)
            if not waiter.done.is_set():
                self._given_up[waiter.number] = None
                while len(self._given_up) > GIVEN_UP_MAX:
                    del self._given_up[next(iter(self._given_up))]

    def match(self, connection: int, reply: LooseReply, body: bytes, arrived: datetime, arrived_ns: int) -> Matched:
        """Whose answer it is; who waits for it has it."""
        number = reply.id if isinstance(reply.id, int) else 0
        with self._lock:
            waiter = self._waiting.get(number)
            if waiter is not None and waiter.connection == connection:
                waiter.reply, waiter.body, waiter.arrived, waiter.arrived_ns = reply, body, arrived, arrived_ns
                waiter.done.set()
                return Matched.AWAITED
            if number in self._given_up:
                del self._given_up[number]
                return Matched.LATE
            if number in self._unattended:
                self._unattended.discard(number)
                return Matched.OURS
            return Matched.STRAY

    def ended(self, connection: int, how: LineLost) -> None:
        """A connection is over: what was under way on it is lost, written as it was."""
        with self._lock:
            self._over = max(self._over, connection)
            self._unattended.clear()
            for waiter in self._waiting.values():
                if not waiter.done.is_set():
                    waiter.lost = how
                    waiter.done.set()
