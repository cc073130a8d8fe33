"""Several processes decide on one journal: one after the other, each seeing what the others committed (R5, R8, I1)."""

import subprocess
import sys
from pathlib import Path

from perpsctl.domain.reports import IntentStage
from tests.unit.journal.fakes import a_journal

ROOT = Path(__file__).resolve().parents[3]

# Each process wants far more than the budget allows; the judge allows while the journal shows room. `stale` judges by a
# view taken before the transaction: the bug that `decide` rules out.
PLACER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from datetime import timedelta
from decimal import Decimal
from tests.unit.journal.fakes import *
from perpsctl.journal.opening import open_journal
who, stale, budget, room = sys.argv[3], sys.argv[4] == "stale", int(sys.argv[5]), Decimal(sys.argv[6])
journal = open_journal(Path(sys.argv[2]), ACCOUNT, clock=FakeClock(), ids=FakeIds(), busy_timeout=timedelta(seconds=20))
print("ready", flush=True)
sys.stdin.readline()
for number in range(25):
    intent = an_intent(f"intent-{who}-{number:04d}", size="0.1")
    view = journal.booked()
    def judge(booked):
        seen = view if stale else booked
        exposed = sum((order.remaining for order in seen.live), Decimal(0))
        time.sleep(0.0005)
        return approved(intent) if seen.sent_today < budget and exposed + intent.size <= room else DENIED
    if stale:
        time.sleep(0.002)
    journal.decide(intent, intent.size, judge)
    shared = an_intent(f"shared-{number:04d}", size="0.1")
    journal.decide(shared, shared.size, lambda booked: DENIED)
print("done", flush=True)
"""


def run(folder: Path, *, kind: str, budget: int, room: str) -> tuple[int, int]:
    """(approved, denied) of four processes started together."""
    a_journal(folder).close()
    placers = [
        subprocess.Popen(
            [sys.executable, "-c", PLACER, str(ROOT), str(folder), f"{who}", kind, f"{budget}", room],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for who in range(4)
    ]
    try:
        for placer in placers:
            assert placer.stdout is not None
            assert placer.stdout.readline() == "ready\n"
        for placer in placers:
            assert placer.stdin is not None
            placer.stdin.write("go\n")
            placer.stdin.flush()
        for placer in placers:
            assert placer.communicate(timeout=60)[0] == "done\n"
            assert placer.returncode == 0
    finally:
        for placer in placers:
            placer.kill()
            placer.wait()
    journal = a_journal(folder)
    records = journal.intents()
    assert journal.check(full=True).sound
    assert (
        len([each for each in records if each.intent.id.startswith("shared-")]) == 25
    )  # once each, not once a process
    mine = [each for each in records if each.intent.id.startswith("intent-")]
    journal.close()
    assert len(mine) == 100
    done = sum(each.stage is IntentStage.COMMITTED for each in mine)
    return done, len(mine) - done


def test_four_processes_together_never_pass_the_message_budget_R8(tmp_path: Path) -> None:
    assert run(tmp_path / "sim", kind="exclusive", budget=30, room="1000") == (30, 70)


def test_four_processes_together_never_pass_the_exposure_R5(tmp_path: Path) -> None:
    assert run(tmp_path / "sim", kind="exclusive", budget=1000, room="1.25") == (12, 88)


def test_judging_by_a_view_from_outside_the_transaction_does_pass_them(tmp_path: Path) -> None:
    """The counter-test: the two above can fail."""
    worst = 0
    for trial in range(5):
        worst = max(worst, run(tmp_path / str(trial), kind="stale", budget=30, room="1000")[0])
        if worst > 30:
            break
    assert worst > 30


def test_processes_that_make_the_journal_in_the_same_moment_make_one_P1(tmp_path: Path) -> None:
    script = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from datetime import timedelta
from tests.unit.journal.fakes import *
from perpsctl.journal.opening import open_journal
import time
class RealWait(FakeClock):
    def sleep(self, duration):
        time.sleep(0.005)
print("ready", flush=True)
sys.stdin.readline()
journal = open_journal(Path(sys.argv[2]), ACCOUNT, clock=RealWait(), ids=FakeIds(), busy_timeout=timedelta(seconds=20))
journal.record_mark(a_mark())
print("done", flush=True)
"""
    for trial in range(3):
        folder = tmp_path / str(trial)
        makers = [
            subprocess.Popen(
                [sys.executable, "-c", script, str(ROOT), str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(4)
        ]
        try:
            for maker in makers:
                assert maker.stdout is not None
                assert maker.stdout.readline() == "ready\n"
            for maker in makers:
                assert maker.stdin is not None
                maker.stdin.write("go\n")
                maker.stdin.flush()
            for maker in makers:
                assert maker.communicate(timeout=60)[0] == "done\n"
        finally:
            for maker in makers:
                maker.kill()
                maker.wait()
        journal = a_journal(folder)
        assert journal.check(full=True).rows == 4
        journal.close()
