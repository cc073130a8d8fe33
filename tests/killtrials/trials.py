"""The trials: placers that live through all of them, and a driver that engages, waits for refusals, judges and releases.

The driver is a process of its own beside the placers. It engages by the steps that R1 speaks of - latch, gate, halt in the
journal, senders elsewhere - or by the real command; which instants count is the judge's matter, not the driver's.
"""

import json
import os
import random
import selectors
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from perpsctl.domain.errors import JournalUnavailable
from perpsctl.journal.senders import wait_for_senders
from perpsctl.journal.store import SqlJournal
from tests.killtrials.hosts import Hosts
from tests.killtrials.judge import Judge, Window
from tests.scenarios.homes import REPOSITORY

DELAY_MOST_US = 20_000  # drawn, so that engage strikes anywhere in a placer's cycle
PATIENCE_S = 120
TRIED_ANEW_EVERY = 10  # trials
CLOCK_MAY_DRIFT_NS = 5_000_000
LATCHED = b"nothing is being sent any more"  # the command's own words after its latch step


class Stuck(RuntimeError):
    """The trials cannot go on."""


@dataclass(slots=True, kw_only=True)
class Sample:
    """How large and how slow the placers are at one trial, and how busy the machine is."""

    trial: int
    at: float
    kib: tuple[int, ...]
    descriptors: tuple[int, ...]
    load: float


@dataclass(slots=True)
class Placer:
    """One persistent process, whose lines are read as they come."""

    number: int
    process: subprocess.Popen[bytes]
    rest: bytes = b""
    lines: list[dict[str, Any]] = field(default_factory=list)

    def read(self) -> None:
        """What its pipe holds, cut into lines."""
        assert self.process.stdout is not None
        found = os.read(self.process.stdout.fileno(), 1 << 16)
        if not found:
            raise Stuck(f"placer {self.number + 1} ended with {self.process.wait(timeout=30)}")
        *whole, self.rest = (self.rest + found).split(b"\n")
        self.lines += [json.loads(each) for each in whole]

    def size(self) -> tuple[int, int]:
        """Resident KiB and open descriptors."""
        folder = Path(f"/proc/{self.process.pid}")
        pages = int((folder / "statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") // 1024, len(os.listdir(folder / "fd"))


class Trials:
    """A series of trials on one set of hosts."""

    def __init__(self, hosts: Hosts, placers: list[Placer], *, seed: int) -> None:
        self._hosts = hosts
        self._placers = placers
        self._chance = random.Random(seed)
        self._judge = Judge(hosts.of_placer)
        self._closing = ExitStack()
        self._journals = [hosts.journal(number) for number in range(len(hosts.homes))]
        for journal in self._journals:
            self._closing.callback(journal.close)
        self._selector = selectors.DefaultSelector()
        for placer in placers:
            assert placer.process.stdin is not None
            assert placer.process.stdout is not None
            os.set_blocking(placer.process.stdin.fileno(), False)
            self._selector.register(placer.process.stdout, selectors.EVENT_READ, placer)
        self._offset = time.time_ns() - time.monotonic_ns()
        self.samples: list[Sample] = []
        self.repeated: Counter[str] = Counter()  # steps of engage that did not succeed at first, and said so
        self.accepted_by = 0  # placers accepted between a release and the next engage, summed

    @property
    def judge(self) -> Judge:
        """What was seen."""
        return self._judge

    def close(self) -> None:
        """Journals and selector are."""
        self._selector.close()
        self._closing.close()

    def one(self, number: int, *, by_command: bool) -> bool:
        """One trial; False when no placer was at work as engage was called, and it does not count."""
        judge = self._judge
        self._until(lambda: any(judge.accepted_since_release), "an accepted order")
        self._pump_for(self._chance.randrange(DELAY_MOST_US) / 1_000_000)
        self.accepted_by += sum(1 for count in judge.accepted_since_release if count)
        host = self._chance.randrange(len(self._hosts.homes))
        window = self._by_command(number, host) if by_command else self._by_parts(number, host)
        judge.engaged(window)
        self._hear()
        self._until(judge.refused_by_all, "a refusal of every placer")
        if number % TRIED_ANEW_EVERY == 0:  # the attempts refused so far may all have begun before engage returned
            self._tell_placers()
            self._until(judge.refused_anew_by_all, "a refusal of every placer's next attempt")
        asked = self._hosts.homes[0].control("GET", f"/judge/requests?after={judge.sequence}")
        judge.requests(asked["requests"])
        counted = judge.closed(time.time_ns())
        self._release(host)
        self._tell_placers()
        if abs(time.time_ns() - time.monotonic_ns() - self._offset) > CLOCK_MAY_DRIFT_NS * (1 + number // 1000):
            judge.violation(f"trial {number}: this machine's wall clock was set: the instants cannot be compared")
        return counted

    def sample(self, trial: int) -> Sample:
        """The placers' size now."""
        sizes = [each.size() for each in self._placers]
        self.samples.append(
            Sample(
                trial=trial,
                at=time.monotonic(),
                kib=tuple(kib for kib, _ in sizes),
                descriptors=tuple(open_ for _, open_ in sizes),
                load=os.getloadavg()[0],
            )
        )
        return self.samples[-1]

    # --- engage and release ---------------------------------------------------------------------------------------

    def _by_parts(self, number: int, host: int) -> Window:
        """Latch, gate, halt, senders elsewhere: as the command does it, without what follows."""
        latch, journal = self._hosts.latch(host), self._journals[host]
        called = time.time_ns()
        held = latch.engage(reason="trial", by="driver", at=datetime.now(UTC))
        self._again("a sender was named at the gate", lambda: latch.close_gate().quiet)
        latched = time.time_ns()
        self._again("the journal was busy", lambda: self._halted(journal, engaged=True))
        self._again("a sender was named elsewhere", lambda: wait_for_senders(journal) == ())
        returned = time.time_ns()
        if not (held.in_force and held.durable and held.first):
            self._judge.violation(f"trial {number}: the latch was not engaged as it must be: {held}")
        return Window(number=number, host=host, by_command=False, called=called, latched=latched, returned=returned)

    def _again(self, what: str, done: Callable[[], bool]) -> None:
        """A step that says it did not succeed is repeated, as it tells its operator to, and counted: engage ends with it."""
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            self.repeated[what] += 1
            if time.monotonic() > deadline:
                raise Stuck(f"{what}, for {PATIENCE_S} s")

    def _halted(self, journal: SqlJournal, *, engaged: bool) -> bool:
        try:
            journal.record_halt(engaged=engaged, reason="trial", by="driver")
        except JournalUnavailable:
            return False
        return True

    def _by_command(self, number: int, host: int) -> Window:
        """`perpsctl killswitch engage` as an operator types it; its latch step ends when it says so."""
        called = time.time_ns()
        command = subprocess.Popen(
            [sys.executable, "-m", "perpsctl.commands.app", "killswitch", "engage", "--profile", "sim",
             "--reason", "trial", "--format", "json"],
            env=self._hosts.homes[host].environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        said, answered, latched = b"", b"", 0
        with self._listening_to(command) as streams:
            assert command.stderr is not None
            while streams:
                for key, _ in self._selector.select(PATIENCE_S):
                    if isinstance(key.data, Placer):
                        key.data.read()  # judged when the window is known
                        continue
                    found = os.read(key.fd, 1 << 16)
                    now = time.time_ns()
                    if not found:
                        self._selector.unregister(key.fileobj)
                        streams.remove(key.fd)
                    elif key.fd == command.stderr.fileno():
                        said += found
                        latched = latched or (now if LATCHED in said else 0)
                    else:
                        answered += found
        code = command.wait(timeout=PATIENCE_S)
        returned = time.time_ns()
        attested = json.loads(answered)["data"].get("attestation", {}) if code in (0, 10) else {}
        if attested.get("journal_durable") is False or attested.get("stuck_sender"):
            self.repeated["the command said that it was not done"] += 1
            self._again("the journal was busy", lambda: self._halted(self._journals[host], engaged=True))
            self._again("a sender was named elsewhere", lambda: wait_for_senders(self._journals[host]) == ())
            returned = time.time_ns()
        if not latched:
            self.repeated["the command named a sender at the gate"] += 1
        if not attested.get("latch_durable"):
            words = said.decode("utf-8", "replace")[-300:]
            self._judge.violation(f"trial {number}: the command ended with {code}: {words} {answered[-300:]!r}")
        if attested.get("open_orders"):
            self._judge.violation(f"trial {number}: the command attests {attested}")
        return Window(
            number=number, host=host, by_command=True, called=called, latched=latched or returned, returned=returned
        )

    @contextmanager
    def _listening_to(self, command: subprocess.Popen[bytes]) -> Iterator[list[int]]:
        assert command.stdout is not None
        assert command.stderr is not None
        streams = [command.stdout, command.stderr]
        for stream in streams:
            self._selector.register(stream, selectors.EVENT_READ)
        try:
            yield [stream.fileno() for stream in streams]
        finally:
            for stream in streams:
                stream.close()

    def _release(self, host: int) -> None:
        self._again("the journal was busy at the release", lambda: self._halted(self._journals[host], engaged=False))
        self._hosts.latch(host).release(reason="next", by="driver", at=datetime.now(UTC))

    def _tell_placers(self) -> None:
        """Who was refused tries again at once; a pipe that is full has told enough."""
        for placer in self._placers:
            assert placer.process.stdin is not None
            with suppress(BlockingIOError):
                os.write(placer.process.stdin.fileno(), b"\n")

    # --- what the placers tell --------------------------------------------------------------------------------------

    def _pump(self, within_s: float) -> None:
        for key, _ in self._selector.select(within_s):
            key.data.read()
        self._hear()

    def _hear(self) -> None:
        for placer in self._placers:
            lines, placer.lines = placer.lines, []
            for line in lines:
                self._judge.heard(placer.number, line)

    def _pump_for(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._pump(left)

    def _until(self, met: Callable[[], bool], what: str) -> None:
        self._hear()
        deadline = time.monotonic() + PATIENCE_S
        while not met():
            if time.monotonic() > deadline:
                raise Stuck(f"no {what} within {PATIENCE_S} s; {dict(self._judge.others)}")
            self._pump(1)


@contextmanager
def trials_on(hosts: Hosts, *options: str, seed: int) -> Iterator[Trials]:
    """The placers run while the block does; options are theirs."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.killtrials.placer", "--seed", str(seed * len(hosts.of_placer) + number), *options],
            env=hosts.homes[host].environ, stdout=subprocess.PIPE, stdin=subprocess.PIPE, cwd=REPOSITORY,
        )
        for number, host in enumerate(hosts.of_placer)
    ]  # fmt: skip
    trials = Trials(hosts, [Placer(number, process) for number, process in enumerate(processes)], seed=seed)
    try:
        yield trials
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.communicate(timeout=60)
        trials.close()
