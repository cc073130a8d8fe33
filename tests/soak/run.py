"""`make soak`: both venues for MINUTES on real sockets, in real time and real processes, with faults by seed all along.

Per venue one exchange, one long-living `run` and an operator's one-shot commands; looked at every ten seconds, told once a
minute. When the time is up the faults end, the runs go on for a while and stop by themselves; then the exchange's own book
is held against the journal. The last line says it all; exit 1 on any miss, 130 where it was interrupted.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import FrameType
from typing import Any, Final, TextIO, TypeVar

from tests.scenarios.homes import REPOSITORY
from tests.soak.commands import Operator
from tests.soak.faults import Struck
from tests.soak.held import LEAST_MINUTES, Growth, growth
from tests.soak.venue import Venue
from tests.soak.verdict import Over, open_of, violations

T = TypeVar("T")
SAMPLE_S: Final = 10
HEAL_S: Final = 60  # the runs go on for so long without faults: every doubt ends within (reliability 4)
FIRST_ORDER_S: Final = 60
COMMAND_ENDS_S: Final = 60  # what the operator has begun is waited for
END_S: Final = 150  # a run's own clean end takes a part of it
SWITCH_LEAST_S: Final = 180  # a shorter soak leaves the switch alone
HEAD: Final = "  min venue     rss MB  pss fds thr | orders fills reje deny doubt | journal  sim MB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line asked for."""

    seconds: int
    venues: tuple[str, ...]
    per_cent: Decimal
    seed: int
    strategy: str
    interval: str
    out: Path
    heal_s: int = HEAL_S
    sample_s: int = SAMPLE_S
    pause_s: tuple[int, int] = (8, 16)
    strikes: str = "any"  # which requests the faults of the wire meet: any, reads, writes


@dataclass(slots=True)
class Figures:
    """What a whole soak comes to."""

    requests: int = 0
    faulted: int = 0
    besides: int = 0  # misbehaviour of the exchange with orders, and of its sockets
    orders: int = 0
    violations: list[str] = field(default_factory=list)
    grown: dict[str, Growth | None] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def share(self) -> Decimal:
        return Decimal(100) * self.faulted / max(1, self.requests)


class Soak:
    """One soak from its beginning to its verdict."""

    def __init__(self, asked: Asked, folder: Path, talk: TextIO) -> None:
        self._asked, self._talk = asked, talk
        self.venues = [
            Venue(name, _made(folder / name), per_cent=asked.per_cent, seed=asked.seed + number, strikes=asked.strikes)
            for number, name in enumerate(asked.venues)
        ]
        self._operators = {
            each.name: Operator(
                each,
                seed=asked.seed * 100 + number,
                pause_s=asked.pause_s,
                switch_at_s=_switch_times(asked.seconds, number),
            )
            for number, each in enumerate(self.venues)
        }
        self._told: dict[str, int] = {}
        self.stopping = False

    def run(self) -> Figures:
        """Everything that was started is stopped, however it ends."""
        figures = Figures()
        with ExitStack() as stack, self._asked.out.open("a", encoding="utf-8") as lines:
            for venue in self.venues:
                stack.callback(venue.end)
            _each(self.venues, Venue.begin)
            for operator in self._operators.values():
                stack.callback(operator.finish, 1)
            for venue in self.venues:
                venue.trade(self._asked.seconds + self._asked.heal_s, self._asked.strategy, self._asked.interval)
            for venue in self.venues:
                if not venue.wait_for_orders(FIRST_ORDER_S):
                    figures.violations.append(f"{venue.name}: the run placed no order within {FIRST_ORDER_S} s")
            for venue in self.venues:
                venue.weather.begin()
            for operator in self._operators.values():
                operator.start()
            began = time.monotonic()
            print(HEAD, file=self._talk, flush=True)
            self._watch(began, lines)
            faults_ended_s = int(time.monotonic() - began)
            self._close(figures, faults_ended_s, lines)
        figures.interrupted = self.stopping
        return figures

    def _watch(self, began: float, lines: TextIO) -> None:
        """Until the time is up, somebody asks to stop, or a run is gone before its time."""
        looks = 0
        while not self.stopping:
            gone = time.monotonic() - began
            if gone >= self._asked.seconds or not all(venue.running for venue in self.venues):
                return
            if gone >= looks * self._asked.sample_s:
                looks += 1
                self._look(int(gone), lines)
            time.sleep(0.2)

    def _look(self, at_s: int, lines: TextIO) -> None:
        for venue in self.venues:
            venue.sample(at_s)
            tally = venue.record.follow()
            row = {
                "at_s": at_s,
                "venue": venue.name,
                "run": asdict(venue.held["run"][-1]) if venue.held["run"] else None,
                "exchange": asdict(venue.held["exchange"][-1]) if venue.held["exchange"] else None,
                "decided": tally.decided,
                "accepted": tally.accepted,
                "rejected": tally.rejected,
                "not_sent": tally.not_sent,
                "denied": dict(tally.denied),
                "fills": tally.fills,
                "doubted": len(tally.doubted),
                "in_doubt": len(tally.open),
                "journal_kb": venue.record.size_kb(),
            }
            print(json.dumps(row), file=lines, flush=True)
            if at_s // 60 != self._told.get(venue.name) and venue.held["run"]:
                self._told[venue.name] = at_s // 60
                print(_line(at_s, venue), file=self._talk, flush=True)

    # --- the end ------------------------------------------------------------------------------------------------

    def _close(self, figures: Figures, faults_ended_s: int, lines: TextIO) -> None:
        struck: dict[str, Struck] = {}
        doubts: dict[str, frozenset[str]] = {}
        healed_at: dict[str, datetime] = {}
        certain: dict[str, datetime] = {}
        for operator in self._operators.values():
            operator.finish(COMMAND_ENDS_S)
        for venue in self.venues:
            struck[venue.name] = venue.weather.struck()
            venue.weather.end()
            healed_at[venue.name] = datetime.now(UTC)
            doubts[venue.name] = open_of(venue.record.follow())
        if faults_ended_s + 1 < self._asked.seconds and not self.stopping:
            figures.violations.append(f"a run ended by itself after {faults_ended_s} s")
        patience = time.monotonic() + self._asked.heal_s + END_S
        while time.monotonic() < patience:
            running = [venue for venue in self.venues if venue.running]
            for venue in self.venues:
                if venue.name not in certain and not doubts[venue.name] & open_of(venue.record.follow()):
                    certain[venue.name] = datetime.now(UTC)
            if not running:
                break
            if self.stopping and (len(certain) == len(self.venues) or time.monotonic() > patience - END_S):
                for venue in running:
                    venue.ask_to_stop()
            time.sleep(0.5)
        overs = {
            venue.name: Over(
                *venue.ended(),
                log=self._operators[venue.name].log,
                healed_at=healed_at[venue.name],
                certain_at=certain.get(venue.name),
            )
            for venue in self.venues
        }
        for found in _each(self.venues, lambda venue: violations(venue, overs[venue.name])):
            figures.violations += found
        for venue in self.venues:
            self._add(venue, figures, struck[venue.name], overs[venue.name])
            figures.grown[venue.name] = growth(venue.held["run"], faults_ended_s)
        if not self.stopping:
            figures.violations += _misses(figures, self._asked)
        print(json.dumps({"figures": _told(figures, struck)}), file=lines, flush=True)

    def _add(self, venue: Venue, figures: Figures, struck: Struck, over: Over) -> None:
        figures.requests += struck.requests
        figures.faulted += struck.faulted
        figures.besides += sum(struck.exchange.values()) + sum(struck.streams.values())
        figures.orders += venue.record.tally.accepted
        for line in _account(venue, struck, over, self._asked.seconds + self._asked.heal_s):
            print(line, file=self._talk, flush=True)


def _each(venues: Sequence[Venue], work: Callable[[Venue], T]) -> list[T]:
    """The same for every venue at once."""
    with ThreadPoolExecutor(max_workers=len(venues)) as pool:
        return list(pool.map(work, venues))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _switch_times(seconds: int, number: int) -> tuple[int, ...]:
    """Twice in a soak, not at the same time on both venues."""
    if seconds < SWITCH_LEAST_S:
        return ()
    return tuple(int(seconds * share) + 20 * number for share in (0.3, 0.7))


def _line(at_s: int, venue: Venue) -> str:
    run, exchange, tally = venue.held["run"][-1], venue.held["exchange"][-1], venue.record.tally
    pss = "-" if run.pss_kb is None else f"{run.pss_kb / 1024:.0f}"
    return (
        f"{at_s // 60:5d} {venue.name:7s} {run.rss_kb / 1024:8.1f} {pss:>4s} {run.files:3d} {run.threads:3d} | "
        f"{tally.accepted:6d} {tally.fills:5d} {tally.rejected:4d} {tally.denied.total():4d} {len(tally.doubted):5d} | "
        f"{venue.record.size_kb():5d} kB {exchange.rss_kb / 1024:7.1f}"
    )


def _account(venue: Venue, struck: Struck, over: Over, seconds: int) -> list[str]:
    """What happened on one venue, in lines of at most 80 columns."""
    tally, certain_at = venue.record.tally, over.certain_at
    summary = ((over.told or {}).get("data") or {}).get("summary") or {}
    certain = "never" if certain_at is None else f"{(certain_at - over.healed_at).total_seconds():.1f} s"
    back = summary.get("recovery_s") or {}
    parts = [
        f"{venue.name}: {struck.requests} requests, {struck.faulted} faulted ({struck.share:.2f} %)",
        f"wire {_counts(struck.wire)}",
        f"exchange {_counts(struck.exchange)}; sockets {_counts(struck.streams)}",
        f"orders {tally.accepted} of {tally.decided} decided, {tally.rejected} rejected, {tally.not_sent} not sent; "
        f"{tally.accepted * 60 // seconds} a minute, {tally.fills} fills",
        f"doubts {len(tally.doubted)}, the last ended {certain} after the faults; denied {_counts(tally.denied)}",
        f"sockets back {back.get('samples')} times, p50 {back.get('p50')} s, max {back.get('max')} s",
        f"switch engaged {len(over.log.shut)} times; commands (exit code, count) {_counts(over.log.codes)}",
    ]
    return [f"  {row}" if indent else row for part in parts for indent, row in enumerate(_folded(part))]


def _folded(text: str) -> list[str]:
    rows, row = [], ""
    for word in text.split(" "):
        if row and len(row) + 1 + len(word) > 76:
            rows.append(row)
            row = word
        else:
            row = f"{row} {word}".strip()
    return [*rows, row]


def _counts(of: Any) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(of.items())) or "none"


def _misses(figures: Figures, asked: Asked) -> list[str]:
    """What the whole soak must show besides: memory, descriptors, and that the faults really struck."""
    found = []
    for name, grown in figures.grown.items():
        if grown is not None and not grown.memory_kept:
            found.append(f"{name}: memory of the run grew by {grown.memory:.1f} %")
        if grown is not None and not grown.flat:
            found.append(f"{name}: descriptors are not flat: {grown.files:+d}, swing {grown.swing}")
    if asked.seconds >= LEAST_MINUTES * 60 and abs(figures.share - asked.per_cent) > asked.per_cent / 4:
        found.append(f"{figures.share:.2f} % of the requests were faulted, {asked.per_cent} % were asked for")
    if not figures.orders:
        found.append("not one order was placed: nothing is proven")
    return found


def _told(figures: Figures, struck: dict[str, Struck]) -> Any:
    return {
        "requests": figures.requests,
        "faulted": figures.faulted,
        "orders": figures.orders,
        "violations": figures.violations,
        "struck": {name: asdict(each) for name, each in struck.items()},
        "grown": {
            name: None if each is None else {"memory": str(each.memory), "files": each.files, "swing": each.swing}
            for name, each in figures.grown.items()
        },
    }


def last_line(figures: Figures, asked: Asked) -> str:
    """The one line that is quoted."""
    grown = [(name, each) for name, each in figures.grown.items() if each is not None]
    if grown:
        memory = "memory " + " ".join(f"{name} {each.memory:+.1f} %" for name, each in grown)
        flat = "descriptors flat" if all(each.flat for _, each in grown) else "descriptors not flat"
    else:
        memory, flat = f"memory not judged below {LEAST_MINUTES} min", "descriptors neither"
    venues = "both venues" if len(asked.venues) > 1 else asked.venues[0]
    minutes = f"{Decimal(asked.seconds) / 60:.3g} min" + (" asked for, interrupted" if figures.interrupted else "")
    return (
        f"soak {minutes}, {venues}: {figures.requests} requests, {figures.faulted} faulted "
        f"({figures.share:.1f} %), {figures.orders} orders, {len(figures.violations)} violations, {memory}, {flat}; "
        f"seed {asked.seed}; commit {_commit()}"
    )


def _commit() -> str:
    done = subprocess.run(
        ["git", "-C", str(REPOSITORY), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def soak(asked: Asked, talk: TextIO, *, stops_on_signals: bool = False) -> Figures:
    """One soak in a folder of its own, which is kept where a rule was broken."""
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    try:
        work = Soak(asked, folder, talk)
        if stops_on_signals:
            _stop_on_signals(work)
        figures = work.run()
    except BaseException:
        print(f"what it left is in {folder}", file=talk, flush=True)
        raise
    if figures.violations:
        print(f"what it left is in {folder}", file=talk, flush=True)
    else:
        shutil.rmtree(folder)
    return figures


def _stop_on_signals(work: Soak) -> None:
    """Ctrl-C ends the faults, stops the runs cleanly and judges what there is."""

    def asked_to_stop(number: int, frame: FrameType | None) -> None:
        work.stopping = True

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, asked_to_stop)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of `make soak`."""
    parser = argparse.ArgumentParser(prog="tests.soak.run", description=__doc__)
    parser.add_argument("--minutes", type=Decimal, default=Decimal(30))
    parser.add_argument("--venue", choices=("us", "global", "both"), default="both")
    parser.add_argument("--faults", type=Decimal, default=Decimal(5), help="per cent of the requests")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--strategy", default="brisk", help="brisk (the soak's own) or any installed one")
    parser.add_argument("--interval", default="250ms")
    parser.add_argument("--out", type=Path, help="JSON lines; default: a new file in the temporary folder")
    given = parser.parse_args(arguments)
    out = given.out or Path(tempfile.mkstemp(prefix="soak-", suffix=".jsonl")[1])
    asked = Asked(
        seconds=int(given.minutes * 60),
        venues=("us", "global") if given.venue == "both" else (given.venue,),
        per_cent=given.faults,
        seed=given.seed,
        strategy=given.strategy,
        interval=given.interval,
        out=out,
    )
    print(f"every ten seconds to {out}", flush=True)
    figures = soak(asked, sys.stdout, stops_on_signals=True)
    for each in figures.violations:
        print(f"VIOLATION {each}", flush=True)
    print(last_line(figures, asked), flush=True)
    if figures.violations:
        return 1
    return 130 if figures.interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
