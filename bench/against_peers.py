"""Creates over loopback HTTP, perpsctl against the official SDK, ccxt and a bare socket, in turns against one exchange."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.measuring import Measured, row
from perpsctl.simulator import launcher
from tests.conformance.environments import python_of

PEERS = Path(__file__).resolve().parent / "peers"
ROUNDS = 12
CREATES = 25
OURS, RAW = "perpsctl: venue.submit through the gate", "bare socket, request laid out"
BOUNDS = {"official SDK 1.8.4": 0.45, "ccxt 4.5.90": 0.40}  # of their overhead above the floor (design 12)


class Peer:
    """One running client."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self.took: list[float] = []
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={k: v for k, v in os.environ.items() if not k.startswith(("PERPSCTL_", "COINBASE_", "CDP_"))},
        )  # fmt: skip
        if self._said() != "ready":
            raise SystemExit(f"bench: {name} did not start")

    def create(self, count: int) -> list[float]:
        """So many orders, in microseconds each."""
        took: list[float] = self.ask(str(count))
        return took

    def ask(self, line: str) -> Any:
        """Its answer to a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return json.loads(self._said())

    def _said(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"bench: {self.name} ended with {self._process.wait(timeout=10)}")
        return line.strip()

    def close(self) -> None:
        """It has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)
        self._process.stdout.close()


@contextmanager
def running(folder: Path) -> Iterator[launcher.SimStatus]:
    """An exchange in a process of its own, without rate limits."""
    found = launcher.start(folder, launcher.SimOptions(idle_minutes=5))
    try:
        launcher.control(folder, "POST", "/state/switches", {"rate_limits": False})
        yield found
    finally:
        launcher.stop(folder)


def creates(folder: Path) -> tuple[list[Measured], list[str]]:
    """The rows, and what they say of each other."""
    with ExitStack() as ending:
        commands = _commands(folder)
        if commands is None:
            return [], ["the peers' environments cannot be built here (no package registry): not compared"]
        found = ending.enter_context(running(folder / ".exchange"))
        peers = []
        for name, (python, script, *more) in commands.items():
            command = [str(python), str(PEERS / str(script)), found.http, found.key_files["trade"], *map(str, more)]
            peers.append(Peer(name, command))
            ending.callback(peers[-1].close)
        _in_turns(folder / ".exchange", peers)
    rows = {peer.name: row(peer.name, peer.took) for peer in peers}
    return list(rows.values()), _ratios(rows)


def _commands(folder: Path) -> dict[str, list[str | Path]] | None:
    latch = folder / "latch"
    latch.mkdir(parents=True, mode=0o700)
    try:
        sdk, ccxt = python_of("sdk-us.lock"), python_of("ccxt.lock")
    except pytest.skip.Exception:
        return None
    return {
        RAW: [sys.executable, "raw.py"],
        OURS: [sys.executable, "ours.py", str(latch)],
        "official SDK 1.8.4": [sdk, "sdk_us.py"],
        "ccxt 4.5.90": [ccxt, "ccxt_us.py"],
    }


def _in_turns(exchange: Path, peers: Sequence[Peer]) -> None:
    """A round is a few creates of each peer in turn; the orders are cancelled between rounds."""
    for peer in peers:
        peer.create(CREATES)  # warm
    for _ in range(ROUNDS):
        _cancel_all(exchange)
        for peer in peers:
            peer.took += peer.create(CREATES)


def _cancel_all(exchange: Path) -> None:
    """A reset would take the keys away: the price falls through every bid instead, and comes back."""
    product = {"product_id": "BIP-20DEC30-CDE"}
    launcher.control(exchange, "POST", "/state/price", {**product, "price": "40000", "hold": True})
    launcher.control(exchange, "POST", "/state/price", {**product, "price": "69000", "hold": True})
    launcher.control(exchange, "POST", "/state/position", {**product, "contracts": "0"})
    judge = launcher.control(exchange, "GET", "/judge")
    left = sum(1 for order in judge["orders"] if order["status"] == "OPEN")
    if left:
        raise SystemExit(f"bench: {left} orders rest that should have gone")


def _ratios(rows: dict[str, Measured]) -> list[str]:
    floor, ours = rows[RAW].median_us, rows[OURS].median_us
    told = []
    for name, bound in BOUNDS.items():
        theirs = rows[name].median_us
        share = (ours - floor) / (theirs - floor)
        told.append(
            f"perpsctl / {name}: {ours / theirs:.2f} of its time, {share:.2f} of its overhead above the bare socket"
            f"   goal {bound:.2f}: {'met' if share <= bound else 'MISSED'}"
        )
    return told
