"""What a check is and what it finds. Ids are public and stable: each has its paragraph in docs/checks.md.

Unknown, skipped and crashed never pass: a verdict is `pass` only when every check that can stop passed and nothing was
left unlooked at.
"""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
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

    def __post_init__(self) -> None:
        if not self.evidence.strip():  # a verdict without an observation is our bug, and the runner calls it one
            raise ValueError("a finding without evidence")


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


def skipped(reason: str) -> Finding:
    """Not looked at, for a reason another check tells: where only looking shows that the need is not met."""
    return Finding(status=Status.SKIP, evidence=reason)


@dataclass(frozen=True, slots=True)
class Check(Generic[C]):
    """All facts of one check. It runs only when every check it `needs` passed."""

    id: str
    title: str
    _: KW_ONLY
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

    @property
    def acceptable(self) -> bool:
        """True when this row leaves the verdict alone: passed, or seen to be no reason to stop."""
        if self.status is Status.FAIL:
            return self.grave is Grave.WARN
        return self.status in (Status.PASS, Status.WARN)


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
        good = all(row.acceptable for row in self.rows) and bool(self.rows)
        return Status.PASS if good else Status.FAIL

    def row(self, check_id: str) -> Row | None:
        """The row of a check, None when it was not in the series."""
        return next((row for row in self.rows if row.id == check_id), None)

    def count(self, status: Status) -> int:
        """How many rows ended so."""
        return sum(1 for row in self.rows if row.status is status)
