"""Latch or journal, either engaged means engaged; what cannot be read means engaged (R2, D7)."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from perpsctl.domain.errors import JournalCorrupt, JournalUnavailable
from perpsctl.domain.ports import GateShut, Halts
from perpsctl.domain.reports import HaltState
from perpsctl.journal.halts import CombinedHalts
from perpsctl.journal.opening import JOURNAL_FILE
from perpsctl.journal.store import SqlJournal
from perpsctl.latch import LATCH_FILE, Latch
from tests.unit.journal.fakes import a_journal

AT = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


@pytest.fixture
def latch(tmp_path: Path) -> Latch:
    return Latch("sim", tmp_path / "sim")


def passes(halts: Halts, *, switch_road: bool = False) -> bool:
    try:
        with halts.gate(switch_road=switch_road):
            return True
    except GateShut:
        return False


@pytest.mark.parametrize(("in_latch", "in_journal"), [(False, False), (True, False), (False, True), (True, True)])
def test_either_place_engages(latch: Latch, tmp_path: Path, in_latch: bool, in_journal: bool) -> None:
    journal: SqlJournal = a_journal(tmp_path / "sim")
    halts: Halts = CombinedHalts(latch, journal)
    if in_latch:
        latch.engage(reason="from the latch", by="ada", at=AT)
    if in_journal:
        journal.record_halt(engaged=True, reason="from the journal", by="sentinel", loss_breach=True)
    facts = halts.facts()
    assert facts.state is (HaltState.ENGAGED if in_latch or in_journal else HaltState.RELEASED)
    assert (facts.latch, facts.journal) == (
        "engaged" if in_latch else "released",
        "engaged" if in_journal else "released",
    )
    assert facts.loss_breach is in_journal
    if in_latch or in_journal:
        assert facts.reason == ("from the latch" if in_latch else "from the journal")
        assert facts.by == ("ada" if in_latch else "sentinel")
    assert passes(halts) is not in_latch
    assert passes(halts, switch_road=True)
    journal.close()


def test_a_journal_that_fails_later_or_never_opened_counts_as_engaged_R2_D7(latch: Latch, tmp_path: Path) -> None:
    journal = a_journal(tmp_path / "sim")
    halts = CombinedHalts(latch, journal)
    assert halts.facts().state is HaltState.RELEASED
    journal.close()
    facts = halts.facts()
    assert facts.state is HaltState.ENGAGED
    assert facts.journal.startswith("unreadable: ")
    assert facts.latch == "released"
    (tmp_path / "sim" / JOURNAL_FILE).write_text("junk" * 500)
    with pytest.raises(JournalCorrupt) as damaged:
        a_journal(tmp_path / "sim")
    halts = CombinedHalts(latch, damaged.value)
    assert halts.facts().state is HaltState.ENGAGED
    latch.engage(reason="drill", by="ada", at=AT)
    assert (halts.facts().reason, halts.facts().by) == ("drill", "ada")
    assert isinstance(damaged.value, JournalUnavailable)


def test_an_unreadable_latch_counts_as_engaged_beside_a_healthy_journal(latch: Latch, tmp_path: Path) -> None:
    journal = a_journal(tmp_path / "sim")
    (tmp_path / "sim" / LATCH_FILE).write_bytes(b"")
    facts = CombinedHalts(latch, journal).facts()
    assert facts.state is HaltState.ENGAGED
    assert facts.latch.startswith("unreadable: ")
    journal.close()
