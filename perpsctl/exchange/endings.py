"""How an exchange with a venue ended where it ended the same at both: a read without an answer, a write without a reply.

Nothing here knows of a venue. An ending says no more than it proves: what may have left is never "not sent".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, assert_never

from perpsctl.domain.errors import PerpsctlError, VenueUnreachable
from perpsctl.domain.orders import NotSent, Unknown
from perpsctl.domain.text import shown
from perpsctl.exchange.retrying import Again
from perpsctl.exchange.transport import Answered, Ending, GateClosed, NotWritten, Written

__all__ = ["Got", "another_order", "answered", "impossible", "without_reply"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Got(Generic[T]):
    """A decoded answer with the exchange it came in, for its age."""

    body: T
    answer: Answered


def answered(ending: Ending, what: str) -> Answered:
    """The answer to a read, whatever its status; Again where there was none."""
    match ending:
        case Answered():
            return ending
        case NotWritten() | Written():
            raise Again(VenueUnreachable(f"{what}: {ending.detail}"))
        case GateClosed():
            raise AssertionError("no gate was given")
        case _:
            assert_never(ending)


def without_reply(ending: GateClosed | NotWritten | Written) -> NotSent | Unknown:
    """What is known of a write that no reply came to."""
    match ending:
        case GateClosed():
            return NotSent(reason=ending.code, evidence=shown(ending.reason))
        case NotWritten():
            return NotSent(reason=ending.problem.value, evidence=f"no byte was sent: {ending.detail}")
        case Written():
            return Unknown(reason=ending.problem.value, evidence=ending.detail)
        case _:
            assert_never(ending)


def impossible(error: PerpsctlError) -> NotSent:
    """A write that was refused here: it cannot be said in the venue's words, or not now."""
    evidence = f"{error.message}; {error.fix}" if error.fix else error.message
    return NotSent(reason=error.code, evidence=evidence, exit_code=error.exit_code)


def another_order(against: Sequence[str], evidence: str) -> Unknown:
    """The venue answered with an order that differs in this from the one that was sent: never adopted, alarmed (H10)."""
    reason = f"the venue answered with another order: {', '.join(against)}"
    return Unknown(reason=reason, evidence=evidence, alarm=True)
