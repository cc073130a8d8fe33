"""Reads that may fail, kept honest: a failed read is a named problem, never an empty answer (invariant L5).

Nothing here decides what a missing part means; the caller holds None and the problem, and risk denies on None.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from perpsctl.domain.errors import (
    PerpsctlError,
    RateLimited,
    VenueRefusedRequest,
    VenueRefusedUs,
    VenueSpokeStrangely,
    VenueUnreachable,
)

VENUE_ERRORS = (VenueUnreachable, VenueRefusedUs, VenueRefusedRequest, VenueSpokeStrangely)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that could not be read or written, with the error that says why."""

    part: str
    error: PerpsctlError

    @property
    def note(self) -> str:
        """The problem as one line for an operator."""
        return f"{self.part}: {self.error.message}"

    @property
    def rate_limited(self) -> bool:
        return isinstance(self.error, RateLimited)


class Reads:
    """Collects the problems of a group of reads; each read answers with its value or None."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []

    def attempt(self, part: str, read: Callable[[], T]) -> T | None:
        """The value, or None with a problem noted when the venue did not give it."""
        try:
            return read()
        except VENUE_ERRORS as error:
            self._problems.append(Problem(part=part, error=error))
            return None

    def note(self, part: str, error: PerpsctlError) -> None:
        """Something else went wrong under this name."""
        self._problems.append(Problem(part=part, error=error))

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(self._problems)

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(problem.note for problem in self._problems)

    def refused(self) -> VenueRefusedUs | None:
        """The refusal of our credentials, when one of the reads met it."""
        found = (problem.error for problem in self._problems if isinstance(problem.error, VenueRefusedUs))
        return next(found, None)
