"""Whether a stream told everything: one rule per kind of numbering, all behind `GapRule` (faults W1, W2, W3).

A rule only counts. What a gap costs (books thrown away, a refill, a new connection) is the feed's to decide, and a gap
is never repaired here: after one, nothing built from the stream before it may be believed.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

__all__ = ["ChangeChain", "ConnectionSequence", "Continuity", "GapRule", "Step", "TradeSequence"]


class Continuity(StrEnum):
    """What a message's number says about the ones before it."""

    APPLY = "apply"  # the next one: nothing is missing
    IGNORE = "ignore"  # known already (W3), or of no use before a snapshot
    GAP = "gap"  # something is missing, or came out of order (W1, W2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A rule's answer. The numbers belong to a gap only: what had to come, what came, and the missing ones if countable."""

    kind: Continuity
    expected: int | None = None
    got: int | None = None
    missing: tuple[int, int] | None = None  # first and last, both missing

    def told(self) -> str:
        """The gap in words; "" without one."""
        return "" if self.kind is not Continuity.GAP else f"expected {self.expected}, got {self.got}"


_APPLY: Final = Step(kind=Continuity.APPLY)
_IGNORE: Final = Step(kind=Continuity.IGNORE)


class GapRule(Protocol):
    """Judges each message of one numbering, in the order of arrival. Not for two threads at once."""

    def take(self, number: int, previous: int | None = None) -> Step:
        """What to do with the message of this number; `previous` is the one it says it follows, where the venue says so."""

    def restart(self) -> None:
        """As new: a new connection, or a subscription made anew."""


class ConnectionSequence:
    """US: `sequence_num`, one counter for everything on a connection, acknowledgements and heartbeats included.

    It starts at 0 and grows by one (coinbase-advanced-trade.md 11.1, recordings of Oct 2024): a jump is a loss, a lower
    number is to be ignored. A message that overtook another is seen as a jump, and the overtaken one is ignored then.
    `first` None takes whatever number comes first as the beginning.
    """

    __slots__ = ("_first", "_next")

    def __init__(self, first: int | None = 0) -> None:
        self._first = first
        self._next = first

    @property
    def expected(self) -> int | None:
        """What has to come next; None while anything may."""
        return self._next

    def take(self, number: int, previous: int | None = None) -> Step:
        """GAP names the numbers missing and is told once: counting goes on behind it."""
        expected = self._next
        if number == expected or expected is None:
            self._next = number + 1
            return _APPLY
        if number < expected:
            return _IGNORE
        self._next = number + 1
        return Step(kind=Continuity.GAP, expected=expected, got=number, missing=(expected, number - 1))

    def restart(self) -> None:
        self._next = self._first


class ChangeChain:
    """Global: the chain of one book channel. Ids jump; only the link counts, and a snapshot has none

    (coinbase-global-derivatives.md 12). Changes before the first snapshot, and after a gap until the next one, are
    ignored: whoever subscribes bounds the wait for the snapshot. A snapshot not newer than what was applied is a replay.
    """

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: int | None = None

    def take(self, number: int, previous: int | None = None) -> Step:
        """`number` is `change_id`, `previous` is `prev_change_id`, None for a snapshot. A gap is told once."""
        last = self._last
        if previous is None:
            if last is not None and number <= last:
                return _IGNORE
        elif last is None:
            return _IGNORE
        elif previous != last:
            if number <= last:
                return _IGNORE
            self._last = None
            return Step(kind=Continuity.GAP, expected=last, got=previous)
        self._last = number
        return _APPLY

    def restart(self) -> None:
        self._last = None


class TradeSequence:
    """Global: `trade_seq` of one instrument grows by one (coinbase-global-derivatives.md 12).

    The trade that reveals a gap is itself good; `missing` is the range to fetch with `start_seq` and `end_seq`. A trade
    that comes late, its gap told already, is ignored: the refill has it.
    """

    __slots__ = ("_last",)

    def __init__(self, last: int | None = None) -> None:
        self._last = last

    def take(self, number: int, previous: int | None = None) -> Step:
        """Without an earlier trade, the first one is the beginning."""
        last = self._last
        if last is not None and number <= last:
            return _IGNORE
        self._last = number
        if last is None or number == last + 1:
            return _APPLY
        return Step(kind=Continuity.GAP, expected=last + 1, got=number, missing=(last + 1, number - 1))

    def restart(self) -> None:
        """The last trade stays known: what was missed while away is a gap to be refilled."""
