"""Journals made through the real interface, for tests that damage them or open them again and again."""

import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from perpsctl.domain.accounts import TradingState, Transfer
from perpsctl.domain.ids import AccountKey, IntentId
from perpsctl.domain.numbers import Notional
from perpsctl.domain.orders import NotSent, OrderStatus, Rejected, Unknown
from perpsctl.domain.ports import EventKind
from perpsctl.journal.auditing import Audit
from perpsctl.journal.lease import Holder, RowLease
from perpsctl.journal.store import SqlJournal
from tests.unit.journal.fakes import (
    BTC,
    ETH,
    FakeClock,
    a_fill,
    a_journal,
    a_mark,
    accepted,
    an_edit,
    an_intent,
    an_order,
    edit_yes,
    no,
    yes,
)

RECORDS = 200
OTHER = AccountKey("us:sim:portfolio-2")
HOLDER = Holder(host="desk", pid=41, boot="boot", namespace="pid:[1]", started="7", instance="a1")  # the same each time


def audit_of(folder: Path, *, anchors: Path | None = None, url: str | None = None) -> Audit:
    """The audit of a journal of these tests."""
    kept = anchors if anchors is not None else folder.parent / "anchors.jsonl"
    return Audit(profile="sim", folder=folder, url=url, anchors=kept, clock=FakeClock())


def filled(
    folder: Path, records: int = RECORDS, *, seed: int = 1, snapshot: bool = True, url: str | None = None
) -> None:
    """A journal of exactly so many records, of every kind there is, with a lease and a snapshot."""
    journal = a_journal(folder, url=url)
    try:
        if records:
            journal.record_mark(a_mark())
        story = _Story(journal, seed)
        while journal.log.head().seq < records:
            story.next(records - journal.log.head().seq)
            if snapshot and story.number == 8:
                journal.log.snapshot()
    finally:
        journal.close()


class _Story:
    """One step after the other; each adds one to four records."""

    def __init__(self, journal: SqlJournal, seed: int) -> None:
        self.number = 0
        self._journal = journal
        self._seed, self._chance = seed, random.Random(seed)
        self._steps: tuple[Callable[[str], None], ...] = (
            *(self._worked, self._filled, self._denied, self._rejected, self._unknown, self._edited, self._halted),
            *(self._marked, self._odd, self._leased, self._said, self._moved, self._foreign),
        )

    def next(self, room: int) -> None:
        """One more step; single records where there is no room for a story."""
        self.number += 1
        name = f"{self._seed}-{self.number:04d}"
        if room < 5:
            self._journal.record_event(EventKind.HEARTBEAT, {"tick": self.number})
        elif self.number <= len(self._steps):  # each kind once, then as chance has it
            self._steps[self.number - 1](name)
        else:
            self._chance.choice(self._steps)(name)

    def _worked(self, name: str) -> None:
        intent = an_intent(f"intent-{name}")
        self._journal.decide(intent, intent.size, yes(intent))
        self._journal.record_outcome(intent.id, accepted(f"order-{name}", an_order(f"order-{name}", intent=intent.id)))

    def _filled(self, name: str) -> None:
        self._worked(name)
        self._journal.record_fills([a_fill(f"fill-{name}", order=f"order-{name}", size="0.04")])
        done = an_order(f"order-{name}", intent=f"intent-{name}", filled="0.04", status=OrderStatus.CANCELLED)
        self._journal.record_order(done, IntentId(f"intent-{name}"))

    def _denied(self, name: str) -> None:
        intent = an_intent(f"intent-{name}", product_id=ETH)
        self._journal.decide(intent, intent.size, no)

    def _rejected(self, name: str) -> None:
        intent = an_intent(f"intent-{name}", reason="a reason with \u202e bidi, \x1b]0;x\x07 and ünïcode")
        self._journal.decide(intent, intent.size, yes(intent))
        self._journal.record_outcome(intent.id, Rejected(reason="INSUFFICIENT_FUND", message="no", evidence="http 200"))

    def _unknown(self, name: str) -> None:
        intent = an_intent(f"intent-{name}")
        self._journal.decide(intent, intent.size, yes(intent))
        self._journal.record_outcome(intent.id, Unknown(reason="timeout", evidence="no reply"))
        self._journal.record_outcome(intent.id, NotSent(reason="refused", evidence="connection refused"))

    def _edited(self, name: str) -> None:
        self._worked(name)
        edit = an_edit(f"edit-{name}", target=f"intent-{name}", order=f"order-{name}", price="60010")
        self._journal.decide_edit(edit, an_intent().size, edit_yes(edit))
        self._journal.record_outcome(edit.id, accepted(f"order-{name}"))

    def _halted(self, name: str) -> None:
        self._journal.record_halt(engaged=True, reason=f"drill {name}", by="ada")
        self._journal.record_halt(engaged=False, reason="over", by="ada")

    def _marked(self, name: str) -> None:
        self._journal.record_mark(a_mark(str(1_000_000 + self.number)))

    def _odd(self, name: str) -> None:
        self._journal.record_transfers(
            [
                Transfer(
                    id=f"transfer-{name}", kind="deposit", amount=Notional(Decimal("12.5")), at=self._journal.log.now()
                )
            ]
        )

    def _leased(self, name: str) -> None:
        RowLease(self._journal, HOLDER).acquire()  # and kept: who released it decides nothing more

    def _said(self, name: str) -> None:
        self._journal.record_event(EventKind.RECONCILED, {"found": [], "pass": self.number})

    def _moved(self, name: str) -> None:
        state = TradingState.REDUCING if self.number % 2 else TradingState.ACTIVE
        self._journal.record_state(BTC, state, f"drift {name}")

    def _foreign(self, name: str) -> None:
        self._journal.record_order(an_order(f"foreign-{name}", intent=None), None)


def of_two_accounts(folder: Path) -> None:
    """A journal that two accounts wrote to, as after a reset of the simulator."""
    filled(folder, 40)
    journal = a_journal(folder, account=OTHER)
    journal.record_mark(a_mark("50000"))
    journal.close()
