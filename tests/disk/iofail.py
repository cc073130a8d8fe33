"""Every n-th write, sync, open, rename and read of every command fails: nothing is sent on it, and the next process is whole.

`python -m tests.disk.iofail [--all] [--limit N] [--stride K] [--venue us|global] [--command NAME …] [--seconds S]`. For each command
and each kind of operation the first trial fails the first one, the next the second, until the command no longer gets that far
(`--all`; else up to the 50th). Disk full, I/O error, read-only and out of descriptors take turns; every other round the failure
lasts. The judge is the exchange's own book, the trace of the process, and the journal's file read by the standard library.
Exits 1 on any violation, 2 where this machine cannot be watched.
"""

import argparse
import errno
import shutil
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from perpsctl.latch import last_resort
from tests.disk.lab import PROFILES, Ended, Lab, lab
from tests.disk.powercut import ANOTHER, ENGAGE, FILE, ID, REST, TAKE, _rows_of_copy, _sound
from tests.disk.shim import KINDS, Failure, Unwatchable
from tests.dst import judge

CI_LIMIT = 50
DOCUMENTED = frozenset({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})
ERRNOS = {
    "write": (errno.ENOSPC, errno.EIO, errno.EROFS),
    "sync": (errno.EIO, errno.ENOSPC),
    "open": (errno.EMFILE, errno.EROFS, errno.EACCES),
    "name": (errno.ENOSPC, errno.EROFS, errno.EIO),
    "read": (errno.EIO,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """A command whose disk fails, and what makes the ground for it."""

    name: str
    before: tuple[tuple[str, ...], ...] = ()
    line: tuple[str, ...]
    in_doubt: bool = False  # the last command before dies the moment its order is sent
    way_out: bool = False  # goes on without a journal; its exits are spooled


ACTS = (
    Act(name="place", line=(*REST, "--client-order-id", ANOTHER)),
    Act(name="take", before=(REST,), line=(*TAKE, "--client-order-id", ANOTHER)),
    Act(name="edit", before=(REST,), line=("order", "edit", ID, "--price", "58900")),
    Act(name="cancel", before=(REST,), line=("order", "cancel", ID), way_out=True),
    Act(name="cancel-all", before=(REST,), line=("order", "cancel-all", "--yes"), way_out=True),
    Act(name="close", before=(TAKE,), line=("order", "close", "--product", "BTC-PERP"), way_out=True),
    Act(name="engage", before=(REST,), line=(*ENGAGE, "--wait", "5s"), way_out=True),
    Act(name="flatten", before=(TAKE,), line=(*ENGAGE, "--flatten", "--wait", "5s"), way_out=True),
    Act(name="release", before=(ENGAGE,), line=("killswitch", "release", "--ack", "over", "--yes")),
    Act(name="run", line=("run", "--strategy", "canary", "--ticks", "2", "--interval", "200ms")),
    Act(name="reconcile", before=(REST,), line=("reconcile",), in_doubt=True),
    Act(name="backup", before=(REST,), line=("journal", "backup", FILE)),
    Act(name="migrate", before=(REST,), line=("journal", "migrate")),
    Act(name="check", before=(REST,), line=("journal", "check")),
)


@dataclass(slots=True, kw_only=True)
class Tally:
    """What the trials came to."""

    trials: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    cut_short: bool = False


class Trial:
    """One command, one failing operation."""

    def __init__(self, place: Lab, act: Act, fail: Failure, tally: Tally) -> None:
        self._lab = place
        self._act = act
        self._fail = fail
        self._tally = tally

    def run(self) -> bool:
        """False when the command ends before the operation that was to fail."""
        place, act = self._lab, self._act
        place.fresh()
        memory = last_resort(PROFILES[place.venue], place.folder)
        memory.unlink(missing_ok=True)
        known = self._prepare()
        words = [word.replace(ID, known).replace(FILE, str(place.folder / "copy.db")) for word in act.line]
        ended = place.run(*words, fail=self._fail, bytes_kept=False)
        events = place.events()
        failed = next((n for n, event in enumerate(events) if event["op"] == "failed"), None)
        if failed is None:
            return False
        self._tally.trials[act.name] += 1
        self._tally.codes[ended.code] += 1
        self._told(ended)
        self._on_that_handle(events, failed)
        self._kept_its_word(ended, memory)
        self._next_process(ended)
        memory.unlink(missing_ok=True)
        return True

    def _prepare(self) -> str:
        known = ""
        for number, line in enumerate(self._act.before):
            dies = self._act.in_doubt and number == len(self._act.before) - 1
            plan: dict[str, Any] = {"die_on": "sent"} if dies else {"watched": False}
            done = self._lab.run(*line, **plan)
            if done.code != (-9 if dies else 0):
                raise RuntimeError(f"{line}: {done.code} {done.out} {done.err}")
            known = known or str((done.data or {}).get("intent_id", ""))
        self._lab.trace.unlink(missing_ok=True)
        return known

    def _told(self, ended: Ended) -> None:
        """A documented code, one document, no traceback."""
        if ended.code not in DOCUMENTED:
            self._say(f"L3 exit {ended.code}: {ended.out[:200]} {ended.err[-300:]}")
        if ended.document is None:
            self._say(f"L3 stdout is not one document: {ended.out[:200]!r}")
        if "Traceback" in ended.err or "Exception ignored" in ended.err:
            self._say(f"D3 a traceback: {ended.err[-400:]}")

    def _on_that_handle(self, events: Sequence[dict[str, Any]], failed: int) -> None:
        """After a failed write or sync of the journal nothing is sent on it, and its log is not written again."""
        broken = events[failed]
        if broken["kind"] not in ("write", "sync") or "journal.db" not in broken["path"] or "copy.db" in broken["path"]:
            return
        sent = [event["what"] for event in events[failed:] if event["op"] == "send"]
        adding = [what for what in sent if what in ("create", "edit", "close")]
        if adding and not self._act.way_out:
            self._say(f"D1 {adding} left after the journal's {broken['kind']} had failed")
        if broken["path"].endswith("-wal"):
            again = sum(1 for e in events[failed + 1 :] if e["op"] == "write" and e["path"] == broken["path"])
            if again:
                self._say(f"J2 the journal's log was written {again} times after its {broken['kind']} had failed")

    def _kept_its_word(self, ended: Ended, memory: Path) -> None:
        """What exit code 0 claims is so; the switch is in force or says that it is not."""
        place, act = self._lab, self._act
        latched = (place.folder / "killswitch.latch").exists() or memory.exists()
        live = place.home.live()
        if act.name in ("engage", "flatten"):
            if not latched and "NOT engaged" not in ended.err + ended.out:
                self._say(f"R2 the switch is not in force and does not say so: {ended.out[:300]}")
            if not latched and ended.code == 0:
                self._say("R2 told as engaged without a latch")
            if ended.code == 0 and live:
                self._say("L3 told as done with orders resting")
        if ended.code != 0:
            return
        data = ended.data or {}
        if act.name in ("place", "take") and not any(o["client_order_id"] == ANOTHER for o in place.book()):
            self._say("L3 told as placed and not at the exchange")
        if act.name in ("cancel", "cancel-all") and live:
            self._say("L3 told as gone and still resting")
        if act.name == "release" and latched:
            self._say("L3 told as released and still latched")
        if act.name == "backup" and not _sound(place.folder / "copy.db"):
            self._say(f"J1 a backup told as done is not whole: {data}")

    def _next_process(self, ended: Ended) -> None:
        """A fresh process recovers: the journal is whole, one order per intent, each booked as it is at the exchange."""
        place = self._lab
        again = place.run("reconcile", watched=False)
        if again.code not in (0, 1, 5, 10) or again.document is None:
            self._say(f"L1 the next process ended with {again.code}: {again.out[:300]} {again.err[-300:]}")
        try:
            rows = _rows_of_copy(place.folder, place.home.path / "images")
        except sqlite3.Error as trouble:
            self._say(f"J2 the journal cannot be read afterwards: {trouble}")
            return
        for line in judge._chain(rows, place.folder) if rows else ():
            self._say(line)
        decided = {row.intent_id for row in rows if row.kind in ("intent", "edit")}
        booked = {row.venue_order_id for row in rows if row.kind in ("order", "outcome")}
        ours = [order for order in place.book() if order["client_order_id"]]
        for intent, count in Counter(str(order["client_order_id"]) for order in ours).items():
            if count > 1:
                self._say(f"I1 {count} orders of intent {intent}")
        for order in ours:
            if str(order["client_order_id"]) not in decided:
                if self._act.way_out and ended.code not in (0,):
                    continue  # sent on the way out with neither journal nor spool: it said so by its code
                self._say(f"I2 order {order['order_id']} has no intent in the journal")
            elif order["order_id"] not in booked:
                self._say(f"I6 order {order['order_id']} is not booked after reconcile")

    def _say(self, what: str) -> None:
        fail = self._fail
        how = f"{fail.kind} {fail.nth} {errno.errorcode[fail.errno]}{' lasting' if fail.lasting else ''}"
        line = f"{self._lab.venue} {self._act.name}, {how}: {what}"
        self._tally.violations.append(line)
        print(line, flush=True)


def failures(kind: str, limit: int | None, stride: int) -> Sequence[Failure]:
    """The failures of one kind, first operation first."""
    kinds = ERRNOS[kind]
    return [
        Failure(kind=kind, nth=n, errno=kinds[n % len(kinds)], lasting=(n // len(kinds)) % 2 == 0)
        for n in range(1, (limit or 100_000) + 1, stride)
    ]


def trials(
    venue: str, acts: Sequence[Act], kinds: Sequence[str], limit: int | None, stride: int, until: float | None = None
) -> Tally:
    """Every failure of these commands, one after the other in one home, up to the monotonic moment `until`."""
    tally = Tally()
    folder = Path(mkdtemp(prefix="perpsctl-iofail-"))
    try:
        with lab(folder / "home", venue) as place:
            for act in acts:
                for kind in kinds:
                    for fail in failures(kind, limit, stride):
                        if until is not None and time.monotonic() > until:
                            tally.cut_short = True
                            return tally
                        if not Trial(place, act, fail, tally).run():
                            break
    finally:
        with suppress(OSError):
            shutil.rmtree(folder)
    return tally


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.disk.iofail", description=__doc__)
    parser.add_argument("--all", action="store_true", help="no limit to n")
    parser.add_argument("--limit", type=int, default=CI_LIMIT)
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--venue", choices=("us", "global"), default="us")
    parser.add_argument("--command", action="append", choices=[act.name for act in ACTS])
    parser.add_argument("--kind", action="append", choices=KINDS)
    parser.add_argument("--seconds", type=int, help="stop after so long, and say so")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args(arguments)
    begun = time.monotonic()
    acts = [act for act in ACTS if not given.command or act.name in given.command]
    jobs = max(1, min(given.jobs, len(acts)))
    kinds, limit = given.kind or KINDS, None if given.all else given.limit
    total = Tally()
    until = None if given.seconds is None else begun + given.seconds
    with ThreadPoolExecutor(jobs) as pool:
        work = [acts[start::jobs] for start in range(jobs)]
        for tally in pool.map(lambda mine: trials(given.venue, mine, kinds, limit, given.stride, until), work):
            total.trials += tally.trials
            total.codes += tally.codes
            total.violations += tally.violations
            total.cut_short = total.cut_short or tally.cut_short
    reach = "every n" if given.all else f"n <= {limit}"
    print(f"trials by command: {dict(sorted(total.trials.items()))}; exit codes {dict(sorted(total.codes.items()))}")
    print(
        f"{total.trials.total()} failed operations ({', '.join(kinds)}; {reach}, every {given.stride}.; {given.venue}), "
        f"{time.monotonic() - begun:.0f} s"
    )
    if total.cut_short:
        print(f"stopped after {given.seconds} s: not every operation was reached")
    print(f"{len(total.violations)} violations", flush=True)
    return 1 if total.violations or not total.trials else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Unwatchable as why:
        print(f"nothing was tried: {why}", flush=True)
        sys.exit(2)
