"""What a check is and what it finds. Ids are public and stable: each has its paragraph in docs/checks.md.

Unknown, skipped and crashed never pass: a verdict is `pass` only when every check that can stop passed and nothing was
left unlooked at.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Generic, TypeVar

C = TypeVar("C")


class Status(StrEnum):
    """How one check ended."""

    PASS = "pass"  # noqa: S105 - a word of the report, not a secret
    FAIL = "fail"
    WARN = "warn"
    SKIP = "skip"
    UNKNOWN = "unknown"
    CRASHED = "crashed"


class Grave(StrEnum):
    """What a failure means: STOP fails the verdict, WARN is shown and leaves it."""

    STOP = "stop"
    WARN = "warn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check saw: `evidence` is an observation with its figures, `fix` the next step when it is not good."""

    status: Status
    evidence: str
    fix: str = ""


def passed(evidence: str) -> Finding:
    """Seen and good."""
    return Finding(status=Status.PASS, evidence=evidence)


def failed(evidence: str, *, fix: str) -> Finding:
    """Seen and bad."""
    return Finding(status=Status.FAIL, evidence=evidence, fix=fix)


def warned(evidence: str, *, fix: str) -> Finding:
    """Seen and worth a look; it does not stop."""
    return Finding(status=Status.WARN, evidence=evidence, fix=fix)


def unknown(evidence: str, *, fix: str) -> Finding:
    """Could not be seen; never counted as good."""
    return Finding(status=Status.UNKNOWN, evidence=evidence, fix=fix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Generic[C]):
    """All facts of one check. It runs only when every check it `needs` passed."""

    id: str
    title: str
    run: Callable[[C], Finding]
    needs: tuple[str, ...] = ()
    grave: Grave = Grave.STOP
    deadline: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a report."""

    id: str
    title: str
    status: Status
    grave: Grave
    evidence: str
    fix: str
    took_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything one series of checks found."""

    name: str
    rows: tuple[Row, ...]
    started: datetime
    ended: datetime

    @property
    def verdict(self) -> Status:
        """PASS or FAIL, nothing between."""
        good = all(_acceptable(row) for row in self.rows) and bool(self.rows)
        return Status.PASS if good else Status.FAIL

    def count(self, status: Status) -> int:
        """How many rows ended so."""
        return sum(1 for row in self.rows if row.status is status)


def _acceptable(row: Row) -> bool:
    if row.status is Status.PASS:
        return True
    return row.status is Status.WARN or (row.status is Status.FAIL and row.grave is Grave.WARN)
