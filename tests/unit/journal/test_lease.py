"""One run per portfolio: taken over only when it ended or its holder is proven dead, and fenced afterwards (J5, P1-P3)."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from perpsctl.domain.errors import LeaseHeld
from perpsctl.domain.ids import AccountKey
from perpsctl.domain.orders import Road
from perpsctl.domain.ports import Known, Lease
from perpsctl.domain.verdicts import Approved
from perpsctl.journal.lease import LEASE_TTL, Holder, RowLease
from perpsctl.journal.store import SqlJournal
from tests.unit.journal.fakes import (
    ACCOUNT,
    FakeClock,
    FakeIds,
    a_journal,
    accepted,
    an_edit,
    an_intent,
    edit_yes,
    yes,
)

Opener = Callable[..., tuple[SqlJournal, RowLease]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def here() -> Holder:
    return Holder.this_process(FakeIds("here-"))


@pytest.fixture
def run(tmp_path: Path, clock: FakeClock, here: Holder) -> Iterator[Opener]:
    """Each call is another run: a handle and a lease of its own, by default of a living process on this boot."""
    made: list[SqlJournal] = []

    def another(holder: Holder | None = None, account: AccountKey = ACCOUNT) -> tuple[SqlJournal, RowLease]:
        journal = a_journal(tmp_path / "sim", clock=clock, account=account)
        made.append(journal)
        return journal, RowLease(journal, holder or replace(here, instance=f"run-{len(made)}"))

    yield another
    for each in made:
        each.close()


def enters(journal: SqlJournal, id_: str) -> None:
    intent = an_intent(id_)
    assert isinstance(journal.decide(intent, intent.size, yes(intent)), Approved)


def test_the_second_run_is_refused_and_told_who_holds_it_P1(run: Opener, here: Holder) -> None:
    _, first = run()
    _, second = run()
    port: Lease = first
    port.acquire()
    assert first.holder() == second.holder() == f"process {os.getpid()} on {here.host}"
    with pytest.raises(LeaseHeld, match=f"process {os.getpid()}"):
        second.acquire()
    first.release()
    assert second.holder() is None
    second.acquire()
    assert second.fence == 2


def test_a_lease_ends_unless_renewed_and_its_number_only_grows_J5(run: Opener, clock: FakeClock) -> None:
    _, first = run()
    _, second = run()
    first.acquire()
    clock.time += LEASE_TTL * 2 / 3
    first.renew()
    clock.time += LEASE_TTL * 2 / 3
    with pytest.raises(LeaseHeld):
        second.acquire()
    clock.time += LEASE_TTL
    assert second.holder() is None
    second.acquire()
    assert (first.fence, second.fence) == (1, 2)
    with pytest.raises(LeaseHeld):
        first.renew()
    first.release()  # takes nothing from the new holder
    assert second.holder() is not None


def test_a_run_that_slept_through_a_takeover_commits_nothing_P3_J5(run: Opener, clock: FakeClock) -> None:
    mine, lease = run()
    theirs, other = run()
    lease.acquire()
    enters(mine, "intent-0001")
    mine.record_outcome(an_intent("intent-0001").id, accepted())
    clock.time += LEASE_TTL * 2
    other.acquire()
    enters(theirs, "intent-0002")
    with pytest.raises(LeaseHeld):
        enters(mine, "intent-0003")
    edit = an_edit(size="0.2")
    with pytest.raises(LeaseHeld):
        mine.decide_edit(edit, an_intent().size, edit_yes(edit))
    assert sorted(record.intent.id for record in mine.intents()) == ["intent-0001", "intent-0002"]
    assert isinstance(mine.decide(an_intent("intent-0002"), an_intent().size, yes(an_intent())), Known)


@pytest.mark.parametrize("road", [Road.EXIT, Road.SWITCH])
def test_the_way_out_needs_no_lease(run: Opener, road: Road) -> None:
    journal, _ = run()  # never acquired
    with pytest.raises(LeaseHeld):
        enters(journal, "intent-0001")
    way_out = an_intent("intent-0002", road=road)
    assert isinstance(journal.decide(way_out, way_out.size, yes(way_out)), Approved)


def test_a_handle_without_a_lease_decides_beside_the_run(run: Opener, tmp_path: Path, clock: FakeClock) -> None:
    _, lease = run()
    lease.acquire()
    one_shot = a_journal(tmp_path / "sim", clock=clock)
    enters(one_shot, "intent-0001")
    one_shot.close()


def a_dead_process(here: Holder) -> Holder:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(timeout=30)
    return replace(here, pid=ended.pid, instance="dead")


def test_the_lease_of_a_process_proven_dead_is_taken_over_at_once_P2(run: Opener, here: Holder) -> None:
    _, dead = run(a_dead_process(here))
    dead.acquire()
    _, mine = run()
    assert mine.holder() is None
    mine.acquire()
    assert mine.fence == 2


def test_a_reused_process_number_is_told_by_its_start_time_P2(run: Opener, here: Holder) -> None:
    _, before = run(replace(here, started="1", instance="before"))  # our number, an older process
    before.acquire()
    _, mine = run()
    mine.acquire()


@pytest.mark.parametrize("change", ["boot", "namespace", "started"])
def test_what_cannot_be_compared_proves_nothing_and_the_lease_must_end_P2(
    run: Opener, here: Holder, clock: FakeClock, change: str
) -> None:
    gone = a_dead_process(here)
    unlike = {
        "boot": replace(gone, boot="another boot"),
        "namespace": replace(gone, namespace="pid:[1]"),
        "started": replace(gone, started=""),
    }
    _, other = run(unlike[change])
    other.acquire()
    _, mine = run()
    with pytest.raises(LeaseHeld):
        mine.acquire()
    clock.time += LEASE_TTL * 2
    mine.acquire()


def test_each_account_has_a_lease_of_its_own(run: Opener) -> None:
    run()[1].acquire()
    run(account=AccountKey("us:sim:other"))[1].acquire()


def test_taking_and_giving_back_is_on_record_and_renewing_is_not(run: Opener) -> None:
    journal, lease = run()
    lease.acquire()
    for _ in range(3):
        lease.renew()
    lease.release()
    assert [each.kind for each in journal.events()] == ["lease", "lease"]
    assert journal.check(full=True).sound


def test_two_runs_started_in_the_same_moment_get_one_lease_P1(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[3]
    a_journal(tmp_path / "sim").close()
    script = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from datetime import timedelta
from perpsctl.domain.errors import LeaseHeld
from perpsctl.journal.lease import Holder, RowLease
from perpsctl.journal.opening import open_journal
from tests.unit.journal.fakes import *
journal = open_journal(Path(sys.argv[2]), ACCOUNT, clock=FakeClock(), ids=FakeIds(), busy_timeout=timedelta(seconds=20))
lease = RowLease(journal, Holder.this_process(FakeIds(sys.argv[3])))
print("ready", flush=True)
sys.stdin.readline()
try:
    lease.acquire()
    print("mine", flush=True)
except LeaseHeld:
    print("held", flush=True)
sys.stdin.readline()
"""
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(root), str(tmp_path / "sim"), f"run-{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    try:
        answers = []
        for line in ("ready", None):
            for each in runs:
                assert each.stdout is not None
                assert each.stdin is not None
                said = each.stdout.readline().strip()
                if line is None:
                    answers.append(said)
                else:
                    assert said == line
            for each in runs:
                assert each.stdin is not None
                each.stdin.write("\n")
                each.stdin.flush()
    finally:
        for each in runs:
            each.kill()
            each.communicate()
    assert sorted(answers) == ["held", "held", "mine"]
