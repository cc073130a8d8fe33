"""A real `perpsctl` process with marked steps: `python -m tests.crash.entry JSON`, or the same in a forked child.

The command line that runs is the product's own `main`, with its own arguments, home and standard streams. What is added
here is the telling of steps, the shared clock, and, where a test of the harness asks for one, a planted bug.
"""

import io
import json
import os
import sys
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from perpsctl import systemports
from perpsctl.commands import app
from perpsctl.domain.verdicts import Denied
from perpsctl.engine import sending
from perpsctl.journal.lease import RowLease
from perpsctl.journal.store import SqlJournal
from tests.crash.clock import MICROSECOND, SharedClock
from tests.crash.marks import At, Marks, Printed, install
from tests.crash.parent import end_with_parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One process: its command line, where it lives, where it tells its steps and where it dies."""

    argv: tuple[str, ...]
    home: str
    folder: str  # the profile's state
    clock: str
    pipe: int
    at: At | None = None
    virtual: bool = False  # sleeps pass shared time instead of real time
    plant: str = ""

    def text(self) -> str:
        """For the command line of a process of its own."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> "Spec":
        """As `text` wrote it."""
        return cls.of(json.loads(text))

    @classmethod
    def of(cls, told: dict[str, Any]) -> "Spec":
        """From its fields as plain values."""
        at = told["at"]
        return cls(**{**told, "argv": tuple(told["argv"]), "at": None if at is None else At(**at)})


def main(spec: Spec) -> int:
    """Runs the command line of this process; its exit code."""
    for name in [name for name in os.environ if name.startswith("PERPSCTL_")]:
        del os.environ[name]
    os.environ.update(PERPSCTL_HOME=spec.home, NO_COLOR="1")
    clock = SharedClock(Path(spec.clock))
    marks = Marks(spec.pipe, spec.at, clock, Path(spec.folder))
    _use(clock, virtual=spec.virtual)
    install(marks)
    if spec.plant:
        PLANTED[spec.plant]()
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(Printed(1, marks, "stdout")), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(io.BufferedWriter(Printed(2, marks, "stderr")), encoding="utf-8", line_buffering=True)
    sys.argv = ["perpsctl", *spec.argv]
    marks.reach("begin")
    code = 70
    try:
        app.main()
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else 1
    sys.stdout.flush()
    sys.stderr.flush()
    marks.reach("exit")
    marks.tell(loaded=sorted(name for name in sys.modules if name.partition(".")[0] not in ("tests", "__main__")))
    return code


def _use(clock: SharedClock, *, virtual: bool) -> None:
    """This process's clock is the shared one. Virtual: who sleeps lets that time pass for everybody at once."""
    real_sleep = systemports.SystemClock.sleep

    def now(self: systemports.SystemClock) -> datetime:
        return clock.our_now()

    def monotonic_ns(self: systemports.SystemClock) -> int:
        return clock.monotonic_ns()

    def sleep(self: systemports.SystemClock, duration: timedelta) -> None:
        if virtual and duration > timedelta(0):
            clock.pass_by(duration)
            duration = MICROSECOND
        real_sleep(self, duration)

    systemports.SystemClock.now = now  # type: ignore[method-assign]
    systemports.SystemClock.monotonic_ns = monotonic_ns  # type: ignore[method-assign]
    systemports.SystemClock.sleep = sleep  # type: ignore[method-assign]


# --- planted bugs: what the harness must report ------------------------------------------------------------------


def _intent_after_send() -> None:
    """The order is sent first and its intent is written down afterwards."""

    def send(self: Any, order: Any, judge: Any, *, unbounded: bool = False) -> Any:
        judged = sending._Judged(self._clock)
        verdict = judge(self._journal.booked())
        if isinstance(verdict, Denied):
            return verdict
        outcome = self._submit(verdict.order, judged, unbounded=unbounded)
        self._journal.decide(order.intent, order.size, lambda booked: verdict)
        self._record(order.intent.id, outcome)
        return sending.Sent(outcome=outcome, notes=verdict.notes)

    sending.Sender.send = send  # type: ignore[method-assign]


def _told_before_recorded() -> None:
    """Outcomes are kept in memory and written when the journal is closed, after they were told."""
    waiting: list[tuple[Any, ...]] = []
    record, close = SqlJournal.record_outcome, SqlJournal.close

    def later(self: SqlJournal, *given: Any) -> None:
        waiting.append(given)

    def at_last(self: SqlJournal) -> None:
        for given in waiting:
            record(self, *given)
        close(self)

    SqlJournal.record_outcome = later  # type: ignore[assignment, method-assign]
    SqlJournal.close = at_last  # type: ignore[method-assign]


def _unfenced() -> None:
    """A lease that somebody else took meanwhile is never noticed."""

    def never(self: RowLease) -> None:
        return

    RowLease.require = RowLease.renew = never  # type: ignore[method-assign]


PLANTED = {
    "intent_after_send": _intent_after_send,
    "told_before_recorded": _told_before_recorded,
    "unfenced": _unfenced,
}


if __name__ == "__main__":
    end_with_parent()
    sys.exit(main(Spec.read(sys.argv[1])))
