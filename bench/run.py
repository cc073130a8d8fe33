"""Measures perpsctl on this machine: `make bench`. Medians with the building blocks beside them, as ratios where one exists.

Figures of one run on a shared machine are not promises; the ratios hold better than the microseconds. Goals are those of
the design. What cannot be measured ends the run with an error: a number of a broken command is worse than none.
"""

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file: the tests' builders are beside

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench import against_peers, books, reaction
from bench.measuring import Measured, row, show, timed
from bench.rig import Rig, approved
from perpsctl.domain.orders import Accepted
from perpsctl.domain.ports import EventKind
from perpsctl.exchange.credentials import Secret, from_values
from perpsctl.exchange.signing import Signer
from perpsctl.risk.judge import evaluate
from perpsctl.risk.limits import RiskLimits
from tests.builders import a_quantized, a_view

PROCESS_RUNS = 9
ORDERS = "/api/v3/brokerage/orders"
TTL = timedelta(seconds=20)
CLI = (sys.executable, "-m", "perpsctl.commands.app")


def signing() -> list[Measured]:
    """A token by hand, by PyJWT and by perpsctl, with the same claims."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    name, now = "organizations/o/apiKeys/k", datetime.now(UTC)
    start = int(now.timestamp())
    claims = {"sub": name, "iss": "cdp", "nbf": start, "exp": start + 20, "uri": f"POST 127.0.0.1:1{ORDERS}"}
    header = {"alg": "ES256", "kid": name, "nonce": "0" * 64, "typ": "JWT"}
    fixed = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims))

    def by_hand() -> bytes:
        r, s = decode_dss_signature(key.sign(fixed, ec.ECDSA(SHA256())))
        return fixed + b"." + base64.urlsafe_b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).rstrip(b"=")

    floor = timed("a constant text signed by hand", by_hand, runs=1000)
    signer = Signer(from_values(name, Secret(pem)), "127.0.0.1:1")
    return [
        floor,
        timed("PyJWT, key parsed once", lambda: jwt.encode(claims, key, "ES256", headers=header), runs=1000, floor=floor),
        timed(
            "perpsctl", lambda: signer.token("POST", ORDERS, now=now, ttl=TTL, nonce="0" * 64), runs=1000,
            floor=floor, goal=1.5,
        ),
    ]  # fmt: skip


def verdict() -> list[Measured]:
    """Every rule on one order."""
    order, view, limits = a_quantized(), a_view(), RiskLimits()
    return [timed("every rule on one entry", lambda: evaluate(order, view, limits), runs=3000, goal=25)]


def in_process(rig: Rig) -> list[Measured]:
    """One order against the exchange in the same process: the client alone, and the whole road."""
    sends = []
    for _ in range(220):
        order = approved(rig.product)
        began = time.perf_counter_ns()
        outcome = rig.venue.submit(order, rig.latch.gate())
        sends.append((time.perf_counter_ns() - began) / 1000)
        if not isinstance(outcome, Accepted):
            raise SystemExit(f"bench: not accepted: {outcome}")
        rig.venue.cancel([outcome.venue_order_id])
    rows = [row("venue.submit: signed, sent, verified, matched, parsed", sends[20:], goal=3000)]

    decisions: list[float] = []
    decide = rig.journal.decide

    def watched(*arguments: object) -> object:
        began = time.perf_counter_ns()
        try:
            return decide(*arguments)  # type: ignore[arg-type]
        finally:
            decisions.append((time.perf_counter_ns() - began) / 1000)

    rig.journal.decide = watched  # type: ignore[assignment, method-assign]
    roads = []
    for _ in range(60):
        intent = rig.far()
        began = time.perf_counter_ns()
        report = rig.engine.desk.place(intent)
        roads.append((time.perf_counter_ns() - began) / 1000)
        if not isinstance(report.outcome, Accepted):
            raise SystemExit(f"bench: not accepted: {report}")
        rig.engine.canceller.cancel([str(intent.id)])
    rig.journal.decide = decide  # type: ignore[method-assign]
    rows.append(row("place, the whole road: reads, verdict, journal, send", roads[10:]))
    rows.append(row("  of which decide: judge and commit, synced", decisions[10:]))
    rows.append(timed("a signed read", rig.venue.key_facts, runs=200))
    rows.append(timed("a book of 100 levels", lambda: rig.venue.book(rig.product.product_id, 100), runs=100))
    return rows


def record(rig: Rig, folder: Path) -> list[Measured]:
    """Durable appends against a bare synced write of about the same size."""
    handle = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def bare() -> None:
        os.write(handle, b"x" * 512)
        os.fdatasync(handle)

    floor = timed("bare append and fdatasync", bare, runs=400)
    ours = timed(
        "journal append, hash-chained", lambda: rig.journal.record_event(EventKind.HEARTBEAT, {"n": "1"}), runs=400,
        floor=floor, goal=1.7,
    )  # fmt: skip
    os.close(handle)
    return [floor, ours]


def gate(rig: Rig) -> list[Measured]:
    """Passing the kill switch's gate."""

    def through() -> None:
        with rig.latch.gate():
            pass

    return [timed("in and out, latch looked at under the lock", through, runs=3000)]


# --- processes ----------------------------------------------------------------------------------------


def starts(home: Path) -> list[Measured]:
    """Whole processes, from nothing to their end; the latch's time is when its file is there."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PERPSCTL_")} | {"PERPSCTL_HOME": str(home)}
    _must(env, *CLI, "--version")  # what a first run compiles is not measured
    rows = [timed("python -c pass", _ended(env, sys.executable, "-c", "pass"), runs=PROCESS_RUNS)]
    for line in (["--help"], ["--version"]):
        rows.append(timed(f"perpsctl {line[0]}", _ended(env, *CLI, *line), runs=PROCESS_RUNS, goal=200_000))
    _must(env, *CLI, "sim", "start")
    try:
        for name, line, goal in (
            ("products list (no journal)", ["products", "list"], 450_000),
            ("positions list (with the journal)", ["positions", "list"], 650_000),
        ):
            rows.append(timed(f"perpsctl {name}", _ended(env, *CLI, *line), runs=PROCESS_RUNS, goal=goal))
        rows.append(_latch_time(env, home))
    finally:
        _must(env, *CLI, "sim", "stop")
    return rows


def _ended(env: dict[str, str], *line: str) -> Callable[[], object]:
    return lambda: _must(env, *line)


def _must(env: dict[str, str], *line: str) -> None:
    """The command ended with 0; the run ends where it did not."""
    done = subprocess.run(line, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise SystemExit(f"bench: {' '.join(line)} ended with {done.returncode}:\n{done.stderr[-2000:]}")


def _latch_time(env: dict[str, str], home: Path) -> Measured:
    """From process start until the latch file of `killswitch engage` exists."""
    latch = home / "state" / "sim" / "killswitch.latch"
    took = []
    for _ in range(PROCESS_RUNS):
        latch.unlink(missing_ok=True)
        began = time.perf_counter_ns()
        process = subprocess.Popen(
            [*CLI, "killswitch", "engage", "--profile", "sim"], env=env,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        while not latch.exists():
            if process.poll() is not None and not latch.exists():
                raise SystemExit(f"bench: engage ended with {process.returncode} and left no latch")
            time.sleep(0.0005)
        took.append((time.perf_counter_ns() - began) / 1000)
        _, said = process.communicate(timeout=60)
        if process.returncode != 0:
            raise SystemExit(f"bench: engage ended with {process.returncode}:\n{said.decode()[-2000:]}")
    return row("perpsctl killswitch engage: latch on disk", took, goal=200_000)


# --- all of it ----------------------------------------------------------------------------------------


def main(wanted: Sequence[str]) -> None:
    """Every block, or those named."""
    blocks = ("signing", "risk", "order", "journal", "gate", "books", "peers", "reaction", "processes")
    unknown = set(wanted) - set(blocks)
    if unknown:
        raise SystemExit(f"bench: no block {', '.join(sorted(unknown))}; there are {', '.join(blocks)}")
    chosen = wanted or blocks
    python, at = sys.version.split()[0], datetime.now(UTC)
    print(f"perpsctl bench, {os.cpu_count()} cores, Python {python}, {at:%Y-%m-%d %H:%M} UTC")
    with tempfile.TemporaryDirectory(prefix="perpsctl-bench-") as scratch:
        folder = Path(scratch)
        if "signing" in chosen:
            show("a signed token (ES256)", signing())
        if "risk" in chosen:
            show("the verdict", verdict())
        rig = Rig(folder / "rig")
        if "order" in chosen:
            show("one order, in process on the real clock, exchange included", in_process(rig))
        if "journal" in chosen:
            show("the record", record(rig, folder))
        if "gate" in chosen:
            show("the kill switch's gate", gate(rig))
        rig.close()
        if "books" in chosen:
            for name, rows, told in books.upkeep(folder / "books"):
                show(f"a book's upkeep, read, apply, best, value within 15 bps, in turns: {name}", rows)
                print(*(f"  {line}" for line in told), sep="\n")
        if "peers" in chosen:
            rows, told = against_peers.creates(folder / "peers")
            show("a signed limit order over loopback HTTP, in turns against one exchange", rows)
            print(*(f"  {line}" for line in told), sep="\n")
        if "reaction" in chosen:
            show("a stream's message to an order's bytes on the wire", reaction.reactions(folder / "reaction"))
        if "processes" in chosen:
            show("whole processes", starts(folder / "home"))


if __name__ == "__main__":
    main(sys.argv[1:])
