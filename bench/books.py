"""Book upkeep: one stream of messages, perpsctl against the official SDK and ccxt, in turns.

The streams are made from a seed, with one to ten levels a message; a deep book with a fine tick is where a band costs.
All peers must say the same best prices and the same value within the band at its end, or nothing is shown.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest

from bench.against_peers import Peer
from bench.book_socket import off_a_socket
from bench.measuring import Measured, row
from tests.conformance.environments import python_of
from tests.unit.exchange.streams.book_streams import MadeMarket, Rows, Shape, global_frame, us_frame

PEERS = Path(__file__).resolve().parent / "peers"
MESSAGES = 3000
ROUNDS = 7
GOAL_US = 14  # design 12, of an l2_data message: parse, apply, best, size within 15 bps
SDK, CCXT = "official SDK 1.8.4, dicts of Decimals", "ccxt 4.5.90 (floats)"
_FLOATS_ALLOW = Decimal("1e-9")


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One made stream; peers read the US venue's messages only."""

    name: str
    venue: str
    shape: Shape


STREAMS = (
    Stream(name="l2_data, 400 levels a side, tick 5", venue="us", shape=Shape(tick="5", mid=13_800)),
    Stream(
        name="l2_data, 3,000 levels a side, tick 0.1",
        venue="us",
        shape=Shape(tick="0.1", mid=690_000, spread=300, depth=3000),
    ),
    Stream(
        name="book channel, 3,000 levels a side, tick 0.1",
        venue="global",
        shape=Shape(tick="0.1", mid=690_000, spread=300, depth=3000, size_places=3),
    ),
)


class BookPeer(Peer):
    """A peer that keeps a book."""

    def __init__(self, name: str, command: list[str], updates: int) -> None:
        super().__init__(name, command)
        self.updates = updates
        self.told: list[Decimal] = []

    def round(self) -> list[float]:
        """The whole stream once, in microseconds a message."""
        answer = self.ask("1")
        self.told = [Decimal(each) for each in answer["told"]]
        took: list[float] = answer["took"]
        return took

    def figures(self) -> str:
        """Rates and tail of all rounds."""
        ordered, whole_s = sorted(self.took), sum(self.took) / 1e6
        rounds = len(ordered) / MESSAGES
        return (
            f"{self.name}: {len(ordered) / whole_s:,.0f} messages/s, {self.updates * rounds / whole_s:,.0f} updates/s, "
            f"p99 {ordered[int(len(ordered) * 0.99)]:,.1f} us"
        )


def upkeep(folder: Path) -> Iterator[tuple[str, list[Measured], list[str]]]:
    """For each stream its name, the rows, and what they say."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, stream in enumerate(STREAMS):
        path = folder / str(number)
        updates = _write(path, stream)
        with ExitStack() as ending:
            peers, told = _peers(path, stream, updates)
            for peer in peers:
                ending.callback(peer.close)
                peer.round()  # warm
            for _ in range(ROUNDS):
                for peer in peers:
                    peer.took += peer.round()
            ours, *others = peers
            for peer in others:
                _must_agree(ours, peer)
        own = row(ours.name, ours.took, goal=GOAL_US if stream.venue == "us" else None)
        if stream.venue == "us":
            rows = [own, *off_a_socket(path, stream.shape.tick)]
        else:
            rows = [own]
        rows += [row(peer.name, peer.took, floor=own) for peer in others]
        said = [f"{updates / MESSAGES:.1f} levels a message", *told, *(peer.figures() for peer in peers)]
        yield stream.name, rows, said


def _peers(path: Path, stream: Stream, updates: int) -> tuple[list[BookPeer], list[str]]:
    """Whoever can run here, perpsctl first, and who cannot."""
    own = [sys.executable, str(PEERS / "book_ours.py"), str(path), stream.venue, stream.shape.tick]
    peers = [BookPeer("perpsctl", own, updates)]
    told: list[str] = []
    if stream.venue != "us":
        return peers, told
    for name, lock, script in ((SDK, "sdk-us.lock", "book_sdk.py"), (CCXT, "ccxt.lock", "book_ccxt.py")):
        try:
            peers.append(BookPeer(name, [str(python_of(lock)), str(PEERS / script), str(path)], updates))
        except pytest.skip.Exception:
            told.append(f"{name}: not installed and no package registry in reach: not compared")
    return peers, told


def _write(path: Path, stream: Stream) -> int:
    """The stream is there as messages, one a line; how many levels its changes tell."""
    market = MadeMarket(1, stream.shape)
    snapshot = market.snapshot()
    changes = list(islice(market.messages(sys.maxsize), MESSAGES))
    path.write_bytes(b"\n".join(_frames(snapshot, changes, us=stream.venue == "us")))
    return sum(map(len, changes))


def _frames(snapshot: Rows, changes: list[Rows], *, us: bool) -> list[bytes]:
    if us:
        product = "BIP-20DEC30-CDE"
        first = us_frame(product, snapshot, 0, "snapshot")
        return [first, *(us_frame(product, rows, number) for number, rows in enumerate(changes, start=1))]
    product = "BTC_USDC-PERPETUAL"
    first = global_frame(product, snapshot, 0, 0, None)
    return [first, *(global_frame(product, rows, at, at, at - 1) for at, rows in enumerate(changes, start=1))]


def _must_agree(ours: BookPeer, peer: BookPeer) -> None:
    for mine, theirs in zip(ours.told, peer.told, strict=True):
        if abs(mine - theirs) > mine * _FLOATS_ALLOW:
            raise SystemExit(f"bench: {peer.name} says {json.dumps(list(map(str, peer.told)))}, perpsctl {ours.told}")
