"""Runs checks: the only place that knows their order, deadlines and needs. One of the three homes of `except Exception`.

Each check runs in one worker thread with its deadline; one that does not come back in time is UNKNOWN, and the next check
gets a fresh worker, so that nothing a venue or a disk does can hold the report.
"""

import os
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from perpsctl.checks.model import Check, Finding, Report, Row, Status
from perpsctl.domain.errors import PerpsctlError
from perpsctl.domain.ports import Clock
from perpsctl.domain.text import shown

C = TypeVar("C")
MAX_EVIDENCE = 400


def run_checks(
    name: str,
    checks: Sequence[Check[C]],
    context: C,
    clock: Clock,
    progress: Callable[[Row], None] = lambda row: None,
) -> Report:
    """Every check of `checks`, in order, as one report. Raises only for a list that contradicts itself."""
    _validate(checks)
    started, rows, met = clock.now(), [], set[str]()
    worker: _Worker[C] = _Worker(context)
    for check in checks:
        missing = [need for need in check.needs if need not in met]
        if missing:
            row = _row(
                check, Finding(status=Status.SKIP, evidence=f"needs {', '.join(missing)}, which did not pass"), 0
            )
        else:
            began = clock.monotonic_ns()
            finding = worker.run(check)
            if finding is None:
                seconds = check.deadline.total_seconds()
                finding = Finding(
                    status=Status.UNKNOWN, evidence=f"no answer within {seconds:g} s", fix="look at host and network"
                )
                worker = _Worker(context)
            row = _row(check, finding, (clock.monotonic_ns() - began) // 1_000_000)
        if row.status in (Status.PASS, Status.WARN):  # a warning was seen and does not stop; nothing else is built upon
            met.add(check.id)
        rows.append(row)
        progress(row)
    worker.end()
    return Report(name=name, rows=tuple(rows), started=started, ended=clock.now())


class _Worker(Generic[C]):
    """One daemon thread that runs checks one after another."""

    def __init__(self, context: C) -> None:
        self._context = context
        self._asked: queue.SimpleQueue[Check[C] | None] = queue.SimpleQueue()
        self._found: queue.SimpleQueue[Finding] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="perpsctl-checks", daemon=True)
        self._thread.start()

    def run(self, check: Check[C]) -> Finding | None:
        """The finding, or None when the deadline passed; the worker is then to be left alone."""
        self._asked.put(check)
        try:
            return self._found.get(timeout=check.deadline.total_seconds())
        except queue.Empty:
            self._asked.put(None)  # ends when it ever comes back
            return None

    def end(self) -> None:
        """The thread ends."""
        self._asked.put(None)
        self._thread.join(timeout=1)

    def _serve(self) -> None:
        while (check := self._asked.get()) is not None:
            self._found.put(_finding(check, self._context))


def _finding(check: Check[C], context: C) -> Finding:
    try:
        return check.run(context)
    except PerpsctlError as error:
        status = Status.UNKNOWN if error.retryable else Status.FAIL
        return Finding(status=status, evidence=error.message, fix=error.fix)
    except Exception as error:
        return Finding(
            status=Status.CRASHED,
            evidence=f"{type(error).__name__} at {_place(error)}, in the check itself",
            fix="a bug in perpsctl: report this line",
        )


def _place(error: Exception) -> str:
    """File and line where it was raised; never the text, which may hold what must not be shown (S1)."""
    trace, place = error.__traceback__, "?"
    while trace is not None:
        place = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _row(check: Check[C], finding: Finding, took_ms: int) -> Row:
    return Row(
        id=check.id,
        title=check.title,
        status=finding.status,
        grave=check.grave,
        evidence=shown(finding.evidence, MAX_EVIDENCE),
        fix=shown(finding.fix or _page(check, finding), MAX_EVIDENCE),
        took_ms=took_ms,
    )


def _page(check: Check[C], finding: Finding) -> str:
    """Where to read on, for an ending that stops and brought no advice of its own."""
    return "" if finding.status in (Status.PASS, Status.SKIP) else f"see docs/checks.md#{check.id}"


def _validate(checks: Sequence[Check[C]]) -> None:
    """Each id once, each need declared before it is needed; ValueError is our bug."""
    seen: set[str] = set()
    for check in checks:
        if check.id in seen:
            raise ValueError(f"check {check.id} is declared twice")
        if unmet := [need for need in check.needs if need not in seen]:
            raise ValueError(f"check {check.id} needs {unmet[0]}, which is not declared before it")
        seen.add(check.id)
