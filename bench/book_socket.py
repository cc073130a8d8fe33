"""A book kept off a socket: our line over loopback, every message received, judged, read and applied, then looked at.

A message's time is the whole pour's divided by its messages: what is waiting in the socket costs no waiting. The goal is
held by the reader's own processor time, the kernel's part for it included; by the wall clock the pouring process and the
rest of the machine are in it too.
"""

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from bench.measuring import Measured, row
from bench.peers.book_loop import BAND_BPS
from perpsctl.domain.sides import Side
from perpsctl.exchange.streams.addresses import SocketAddress
from perpsctl.exchange.streams.gaps import ConnectionSequence, Continuity
from perpsctl.exchange.streams.line import WebsocketLine
from perpsctl.exchange.streams.us_books import UsBooks
from perpsctl.systemports import SystemClock
from perpsctl.wire.advanced_trade.socket import LeanBookMessage, read_frame
from tests.builders import a_product

ROUNDS = 15
GOAL_US = 22  # design 12
BAND = Decimal(BAND_BPS)
SCRIPT = Path(__file__).resolve().parent / "peers" / "pour.py"
PATIENCE = timedelta(seconds=10)


def off_a_socket(stream: Path, tick: str) -> list[Measured]:
    """The stream, a file of messages, poured through a socket of its own each round."""
    messages = len(stream.read_bytes().splitlines())
    server = subprocess.Popen([sys.executable, str(SCRIPT), str(stream)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        took = [_round(port, tick, messages) for _ in range(ROUNDS + 1)]
        own, wall = zip(*took[1:], strict=True)
        return [
            row("perpsctl: off a socket, the reader's own time", own, goal=GOAL_US),
            row("perpsctl: off a socket, by the wall clock", wall),
        ]
    finally:
        server.terminate()
        server.wait(timeout=10)
        if server.stdout is not None:
            server.stdout.close()


def _round(port: int, tick: str, messages: int) -> tuple[float, float]:
    """Microseconds a message, of processor and of wall clock."""
    address = SocketAddress(url=f"ws://127.0.0.1:{port}/", host="127.0.0.1", port=port, secure=False, verify=True)
    line = WebsocketLine(address, SystemClock())
    try:
        books, sequence = UsBooks([a_product(price_step=tick)]), ConnectionSequence()
        (book,) = books.books.values()
        line.send(b"pour")
        began = began_wall = 0
        for number in range(messages):
            body = line.receive(PATIENCE)
            if body is None:
                raise SystemExit("bench: the pour stopped")
            message = read_frame(body)
            if not isinstance(message, LeanBookMessage) or not isinstance(message.sequence_num, int):
                raise SystemExit("bench: not a book's message")
            if sequence.take(message.sequence_num).kind is not Continuity.APPLY:
                raise SystemExit("bench: a gap")
            books.take(message, datetime.now(UTC))
            if book.best is None or book.depth_within(Side.BUY, BAND) is None:
                raise SystemExit(f"bench: no price: {book.broken}")
            if number == 0:
                began, began_wall = time.thread_time_ns(), time.perf_counter_ns()  # the snapshot is not a change
        took, took_wall = time.thread_time_ns() - began, time.perf_counter_ns() - began_wall
        line.send(b"done")
        return took / 1000 / (messages - 1), took_wall / 1000 / (messages - 1)
    finally:
        line.close()
