"""The kill switch's gate over hosts that share a journal: looked at and held in the database (R1, R2)."""

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from perpsctl.domain.ports import Gate, GateShut, Halts
from perpsctl.journal import locks, schema
from perpsctl.journal.halts import CombinedHalts
from perpsctl.journal.locks import SendersHeld
from perpsctl.journal.senders import SharedGate, shared_database, wait_for_senders
from perpsctl.journal.shared import SharedDatabase
from perpsctl.journal.store import SqlJournal
from perpsctl.latch import Latch
from perpsctl.systemports import SystemClock
from tests.postgres import Server
from tests.unit.journal.fakes import a_journal

AT = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


class Host:
    """One host: its latch, its handle on the journal, and its switch."""

    def __init__(self, folder: Path, url: str) -> None:
        self.latch = Latch("sim", folder)
        self.journal: SqlJournal = a_journal(folder, clock=SystemClock(), url=url)
        database = shared_database(self.journal)
        assert database is not None
        self.database: SharedDatabase = database
        self.halts: Halts = CombinedHalts(self.latch, self.journal, self._shared)

    def _shared(self, local: Gate) -> Gate:
        return SharedGate(local, self.journal, self.database)

    def why_shut(self, *, switch_road: bool = False, spooled: bool = False) -> str:
        """Empty when a send passes."""
        try:
            with self.halts.gate(switch_road=switch_road, spooled=spooled):
                return ""
        except GateShut as shut:
            return shut.reason


@pytest.fixture
def hosts(tmp_path: Path, postgres_server: Server) -> Iterator[tuple[Host, Host]]:
    url = postgres_server.url(postgres_server.new_database())
    first = Host(tmp_path / "a", url)
    (tmp_path / "b").mkdir(mode=0o700)
    (tmp_path / "b" / "audit.key").touch(mode=0o600)
    (tmp_path / "b" / "audit.key").write_bytes((tmp_path / "a" / "audit.key").read_bytes())
    second = Host(tmp_path / "b", url)
    yield first, second
    first.journal.close()
    second.journal.close()


def test_a_halt_recorded_by_one_host_shuts_the_gate_of_the_other_whose_latch_is_released_R1(
    hosts: tuple[Host, Host],
) -> None:
    here, there = hosts
    assert there.why_shut() == ""
    here.journal.record_halt(engaged=True, reason="r", by="ada")
    assert "engaged (in the shared journal)" in there.why_shut()
    assert there.why_shut(switch_road=True) == ""
    here.journal.record_halt(engaged=False, reason="over", by="ada")
    assert there.why_shut() == ""
    there.latch.engage(reason="local", by="ada", at=AT)
    assert there.why_shut() == "the kill switch is engaged"  # its own latch counts as well
    assert here.why_shut() == ""


def test_engage_waits_for_a_sender_of_another_host_and_names_one_that_is_stuck_R1(hosts: tuple[Host, Host]) -> None:
    here, there = hosts
    assert wait_for_senders(here.journal) == ()
    gate = there.halts.gate()
    gate.__enter__()
    (stuck,) = wait_for_senders(here.journal)
    assert stuck.startswith("perpsctl ")
    assert stuck.endswith(f" {os.getpid()}")
    ending = threading.Timer(0.2, gate.__exit__, (None, None, None))
    ending.start()
    assert wait_for_senders(here.journal) == ()
    ending.join()


def test_a_sender_that_passed_before_the_halt_may_finish_and_the_next_may_not_begin_R1(
    hosts: tuple[Host, Host],
) -> None:
    here, there = hosts
    with there.halts.gate():
        here.journal.record_halt(engaged=True, reason="r", by="ada")
        assert here.why_shut() != ""
    assert there.why_shut() != ""


def test_every_pass_and_every_refusal_gives_its_hold_back_R1(hosts: tuple[Host, Host]) -> None:
    here, there = hosts
    for _ in range(3):
        assert there.why_shut() == ""
    here.journal.record_halt(engaged=True, reason="r", by="ada")
    for _ in range(3):
        assert there.why_shut() != ""
    assert wait_for_senders(here.journal) == ()
    assert there.latch.close_gate().quiet  # the local gate is free too


def test_without_the_database_no_entry_passes_and_a_spooled_exit_and_the_switch_do_R2(
    hosts: tuple[Host, Host], postgres_server: Server
) -> None:
    here, _ = hosts
    postgres_server.stop()
    try:
        assert "cannot be asked" in here.why_shut()
        assert here.why_shut(spooled=True) == ""
        assert here.why_shut(switch_road=True) == ""
        here.latch.engage(reason="local", by="ada", at=AT)
        assert here.why_shut(spooled=True) == "the kill switch is engaged"
    finally:
        postgres_server.start()


def test_a_server_lost_during_a_send_does_not_hinder_its_end(hosts: tuple[Host, Host], postgres_server: Server) -> None:
    here, there = hosts
    with here.halts.gate():
        postgres_server.restart()
    assert here.why_shut() == ""
    assert wait_for_senders(there.journal) == ()


def test_a_journal_that_is_closed_shuts_the_gate_R2(hosts: tuple[Host, Host]) -> None:
    here, _ = hosts
    here.journal.close()
    assert "cannot be asked" in here.why_shut()


def test_a_journal_of_one_host_has_no_shared_gate(tmp_path: Path) -> None:
    journal = a_journal(tmp_path / "sim")
    assert shared_database(journal) is None
    assert wait_for_senders(journal) == ()
    journal.close()


def test_senders_of_every_host_stand_still_while_an_engage_holds_them_and_see_what_it_recorded_R1(
    hosts: tuple[Host, Host], postgres_server: Server
) -> None:
    here, there = hosts
    url = postgres_server.url(str(there.database.address.parameters["dbname"]))
    held = SendersHeld(url)
    assert held.holds
    assert "cannot be asked" in there.why_shut()  # it waited as long as a sender may
    here.journal.record_halt(engaged=True, reason="r", by="ada")
    held.let_go()
    assert wait_for_senders(here.journal) == ()
    assert "engaged (in the shared journal)" in there.why_shut()
    postgres_server.stop()
    try:
        assert not SendersHeld(url).holds  # and does not raise
    finally:
        postgres_server.start()


def test_the_locks_number_is_the_journals_own() -> None:
    assert locks.APPLICATION_ID == schema.APPLICATION_ID
