"""A full check replays the rows: views that came out otherwise are called unsound (J3)."""

from decimal import Decimal
from pathlib import Path

from tests.unit.journal.fakes import ETH, a_fill, a_journal


def test_views_that_differ_from_a_replay_are_called_unsound_J3(tmp_path: Path) -> None:
    journal = a_journal(tmp_path / "sim")
    journal.record_fills([a_fill()])
    assert journal.check(full=True).sound
    journal.log.state.openings[ETH] = Decimal(1)
    found = journal.check(full=True)
    assert (found.sound, found.first_bad) == (False, None)
    assert "replay" in found.problem
    journal.close()
