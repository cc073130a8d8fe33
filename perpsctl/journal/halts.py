"""The kill switch as the desk sees it: the latch and the journal, either engaged means engaged, unreadable means engaged.

Needs no healthy journal: a journal that cannot be opened or read counts as engaged and the answer says why.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from perpsctl.domain.errors import JournalUnavailable
from perpsctl.domain.ports import Gate
from perpsctl.domain.reports import HaltFacts, HaltState


class LatchFacts(Protocol):
    """What the latch says of itself."""

    @property
    def engaged(self) -> bool: ...

    @property
    def told(self) -> str: ...

    @property
    def reason(self) -> str: ...

    @property
    def by(self) -> str: ...

    @property
    def since(self) -> datetime | None: ...


class Latch(Protocol):
    """The latch file and its gate (`perpsctl.latch.Latch`), which this room does not import."""

    def state(self) -> LatchFacts: ...

    def gate(self, *, switch_road: bool = False) -> Gate: ...


class JournalHalt(Protocol):
    """The part of the journal that knows of halts."""

    def halt(self) -> HaltFacts: ...


class CombinedHalts:
    """The Halts port over a latch and a journal, or over a latch and the reason there is no journal.

    `shared` adds the gate of a journal that hosts share to the latch's.
    """

    def __init__(
        self,
        latch: Latch,
        journal: JournalHalt | JournalUnavailable,
        shared: Callable[[Gate], Gate] | None = None,
    ) -> None:
        self._latch = latch
        self._journal = journal
        self._shared = shared

    def facts(self) -> HaltFacts:
        """The switch as it stands; never raises for a journal that is ill."""
        latch = self._latch.state()
        journal = self._journal_facts()
        if isinstance(journal, JournalUnavailable):
            told = f"unreadable: {journal.message}"
            spoken = latch if latch.engaged else None
            return HaltFacts(
                state=HaltState.ENGAGED,
                latch=latch.told,
                journal=told,
                reason=spoken.reason if spoken is not None else "the journal cannot be read",
                by=spoken.by if spoken is not None else "",
                since=spoken.since if spoken is not None else None,
            )
        in_journal = journal.state is HaltState.ENGAGED
        first_in_latch = latch.engaged and (bool(latch.reason) or not in_journal)
        return HaltFacts(
            state=HaltState.ENGAGED if latch.engaged or in_journal else HaltState.RELEASED,
            latch=latch.told,
            journal=journal.journal,
            reason=latch.reason if first_in_latch else journal.reason,
            by=latch.by if first_in_latch else journal.by,
            since=latch.since if first_in_latch else journal.since,
            loss_breach=journal.loss_breach,
        )

    def gate(self, *, switch_road: bool = False, spooled: bool = False) -> Gate:
        """The gate for one send; only the switch's own road passes while engaged.

        On one host it looks at the latch alone: a halt that stands in the journal only denies inside `decide`. Where hosts
        share the journal it looks there too, since their latches are their own; a spooled exit does not wait for it.
        """
        local = self._latch.gate(switch_road=switch_road)
        return local if self._shared is None or switch_road or spooled else self._shared(local)

    def _journal_facts(self) -> HaltFacts | JournalUnavailable:
        if isinstance(self._journal, JournalUnavailable):
            return self._journal
        try:
            return self._journal.halt()
        except JournalUnavailable as ill:
            return ill
