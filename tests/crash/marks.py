"""Named steps of a real command: wrapped round the product's own seams in a process that is to die, nowhere else.

Each step is told through a pipe as it is reached, so whoever reads knows what was reached, what was durable and which
bytes may have left at the instant of death. At the chosen step the process kills itself with SIGKILL, or holds still.
Nothing of the product is replaced; no part of it knows of this module.
"""

import functools
import io
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perpsctl import gate, latch
from perpsctl.exchange import sockets
from perpsctl.exchange.advanced_trade import AdvancedTradeVenue
from perpsctl.exchange.global_derivatives import GlobalDerivativesVenue
from perpsctl.exchange.streams.line import WebsocketLine
from perpsctl.exchange.transport import Transport
from perpsctl.journal.backend import Backend
from perpsctl.journal.head import HeadNote
from perpsctl.journal.lease import RowLease
from perpsctl.journal.log import Batch, Log
from perpsctl.journal.store import SqlJournal
from tests.crash.clock import SharedClock
from tests.crash.wire import Write, of_http, of_rpc
from tests.dst.judge import JournalEye

JOURNAL_WRITES = (
    *("decide", "decide_edit", "record_outcome", "record_order", "record_fills", "record_transfers", "record_mark"),
    *("record_halt", "record_state", "record_event", "check"),
)
VENUE_WRITES = ("submit", "submit_edit", "close_position", "cancel", "cancel_all")


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """The `nth` time a step of this name is reached. With `hold_s` the process stands still there instead of dying."""

    name: str
    nth: int = 1
    hold_s: int = 0

    @property
    def told(self) -> str:
        return f"{self.name}#{self.nth}"

    @classmethod
    def read(cls, text: str) -> "At":
        """`name#nth`, as `told` writes it."""
        name, _, nth = text.rpartition("#")
        return cls(name=name, nth=int(nth))


class Marks:
    """Tells each step, and strikes at the chosen one."""

    def __init__(self, pipe: int, at: At | None, clock: SharedClock, folder: Path) -> None:
        self._pipe = pipe
        self._at = at
        self._clock = clock
        self._folder = folder
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._inside = threading.local()

    def tell(self, **facts: object) -> None:
        """One line to whoever reads; in one piece, also between threads."""
        line = json.dumps({**facts, "ns": time.monotonic_ns()}) + "\n"
        with self._lock:
            os.write(self._pipe, line.encode())

    def reach(self, name: str) -> None:
        """The process is at this step."""
        with self._lock:
            self._counts[name] += 1
            nth = self._counts[name]
        self.tell(step=name, nth=nth)
        if self._at is None or (self._at.name, self._at.nth) != (name, nth):
            return
        if self._at.hold_s:
            until = time.monotonic() + self._at.hold_s
            while time.monotonic() < until:  # a signal handled meanwhile does not end the hold
                time.sleep(0.02)
            return
        os.kill(os.getpid(), signal.SIGKILL)

    def journal_step(self, name: str) -> None:
        """A step of a write of the journal, named after the call it belongs to."""
        self.reach(f"{'/'.join(self._calls()) or 'open'}: {name}")

    @contextmanager
    def within(self, name: str) -> Iterator[None]:
        """Steps of the journal in here belong to this call."""
        self._calls().append(name)
        try:
            yield
        finally:
            self._calls().pop()

    def leaves(self, write: Write) -> None:
        """A write is handed to the wire now: what is on disk at this moment, looked at through a connection of our own."""
        eye = JournalEye(self._folder)
        try:
            committed = eye.edit_of(write.ident) if write.op == "edit" else eye.committed(write.ident)
            self.tell(
                left=write.op, ident=write.ident, body=dict(write.body), committed=committed, latched=eye.latched(),
                seq=eye.last(), at=self._clock.our_now().isoformat(),
            )  # fmt: skip
        finally:
            eye.close()

    def _calls(self) -> list[str]:
        if not hasattr(self._inside, "calls"):
            self._inside.calls = []
        found: list[str] = self._inside.calls
        return found


# --- the seams -------------------------------------------------------------------------------------------------


def install(marks: Marks) -> None:
    """Every seam of this process tells its steps from now on."""
    _journal(marks)
    _wire(marks)
    _switch(marks)
    for venue in (AdvancedTradeVenue, GlobalDerivativesVenue):
        for name in VENUE_WRITES:
            _around(venue, name, marks, f"venue.{name}")
    for name in ("acquire", "renew", "release"):
        _around(RowLease, name, marks, f"lease.{name}")


def _around(owner: Any, name: str, marks: Marks, told: str) -> None:
    """A step before and after each call; the journal's steps within are named after it."""
    real = getattr(owner, name)

    @functools.wraps(real)
    def call(*arguments: Any, **named: Any) -> Any:
        marks.reach(f"before {told}")
        with marks.within(told):
            answer = real(*arguments, **named)
        marks.reach(f"after {told}")
        return answer

    setattr(owner, name, call)


def _journal(marks: Marks) -> None:
    for name in JOURNAL_WRITES:
        _around(SqlJournal, name, marks, f"journal.{name}")
    _around(Log, "snapshot", marks, "journal.snapshot")
    _around(HeadNote, "write", marks, "head note")
    step, transaction = Backend.step, Log.transaction

    def stepped(self: Backend, name: str) -> None:
        step(self, name)
        marks.journal_step(name)

    @contextmanager
    def kept(self: Log) -> Iterator[Batch]:
        with transaction(self) as batch:
            yield batch
        if batch.rows:
            marks.tell(kept=[[row.seq, row.hash] for row in batch.rows])

    Backend.step = stepped  # type: ignore[method-assign]
    Log.transaction = kept  # type: ignore[method-assign]


def _wire(marks: Marks) -> None:
    connection: Any = sockets._GatedMixin
    hand_over, getresponse, exchange, send = (
        connection._hand_over,
        connection.getresponse,
        Transport.exchange,
        WebsocketLine.send,
    )
    under_way = threading.local()

    def handed_over(self: Any, call: Any, whole: bytes) -> None:
        write = of_http(whole)
        under_way.write = write
        if write is None:
            marks.reach("read leaves")
            hand_over(self, call, whole)
            return
        marks.reach(f"{write.op}: before the first byte")
        marks.leaves(write)
        real, self.sock = self.sock, _Halved(self.sock, marks, write.op)
        try:
            hand_over(self, call, whole)
        finally:
            self.sock = real
        marks.reach(f"{write.op}: after the last byte")

    def answered(self: Any) -> Any:
        write = under_way.write
        response = getresponse(self)
        if write is not None:
            marks.reach(f"{write.op}: first bytes of the reply")
        return response

    def exchanged(self: Transport, *arguments: Any, **named: Any) -> Any:
        ending = exchange(self, *arguments, **named)
        write, under_way.write = getattr(under_way, "write", None), None
        if write is not None:
            marks.reach(f"{write.op}: whole reply read")
        return ending

    def framed(self: WebsocketLine, text: bytes) -> int:
        write = of_rpc(text)
        if write is None:
            return send(self, text)
        marks.reach(f"{write.op}: before its frame")
        marks.leaves(write)
        sent = send(self, text)
        marks.reach(f"{write.op}: after its frame")
        return sent

    connection._hand_over, connection.getresponse = handed_over, answered
    Transport.exchange = exchanged  # type: ignore[method-assign]
    WebsocketLine.send = framed  # type: ignore[method-assign]


class _Halved:
    """A socket that hands over a request in two pieces, with a step between them."""

    def __init__(self, real: Any, marks: Marks, op: str) -> None:
        self._real = real
        self._marks = marks
        self._op = op

    def sendall(self, data: bytes) -> None:
        half = len(data) // 2
        self._real.sendall(data[:half])
        self._marks.reach(f"{self._op}: half of the bytes")
        self._real.sendall(data[half:])


def _switch(marks: Marks) -> None:
    for name in ("_beside", "_create", "_replace", "_sync_folder"):
        _around(latch, name, marks, f"latch.{name.strip('_')}")
    for name in ("engage", "release", "close_gate"):
        _around(latch.Latch, name, marks, f"latch.{name}")
    _around(gate.FileGate, "__enter__", marks, "gate")
    _around(gate.FileGate, "__exit__", marks, "gate left")


class Printed(io.FileIO):
    """A standard stream whose writes are steps."""

    def __init__(self, descriptor: int, marks: Marks, name: str) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._marks = marks
        self._told = name

    def write(self, data: Any) -> int:
        self._marks.reach(f"before {self._told}")
        count = super().write(data)
        self._marks.reach(f"after {self._told}")
        return count
