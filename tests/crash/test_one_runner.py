"""P1, P2, P3, P6, J5, T1 with real processes: one `run` at a time, proven by what reached the exchange."""

import json
import os
import signal
import sqlite3
import time
from datetime import timedelta
from pathlib import Path

import pytest

from tests.crash.lab import Lab, Running
from tests.crash.marks import At
from tests.crash.signals import ask_to_stop, whole_afterwards
from tests.crash.stories import CANARY

pytestmark = [pytest.mark.scenario, pytest.mark.slow]

LEASE_HELD = 9
LEASE_LASTS = timedelta(seconds=30)


def placed(lab: Lab) -> set[str]:
    """The intents of every order request the exchange received."""
    return {each["client_order_id"] for each in lab.judge()["requests"] if each["operation"] == "create_order"}


def of(running: Running) -> set[str]:
    """The intents whose requests this process let go."""
    return {each["ident"] for each in running.ended.lefts if each["left"] == "create"}


def paused(running: Running) -> None:
    """Stopped by the kernel, and known to be."""
    running.kill(signal.SIGSTOP)
    until = time.monotonic() + 10
    while "T" not in Path(f"/proc/{running.pid}/stat").read_text().rpartition(")")[2].split()[0]:
        assert time.monotonic() < until, "it does not stop"
        time.sleep(0.01)


def test_P1_of_two_runs_started_together_one_wins_and_the_other_sends_nothing(lab: Lab, tmp_path: Path) -> None:
    both = [lab.start("us", *CANARY) for _ in range(2)]
    until = time.monotonic() + 60
    while not any(each.ended.lefts for each in both) and time.monotonic() < until:
        for each in both:
            each.read(time.monotonic_ns() + 50_000_000)
    winner, loser = sorted(both, key=lambda each: -len(each.ended.lefts))
    refused = loser.wait()
    assert refused.code == LEASE_HELD, refused
    assert refused.data["code"] == "lease_held"
    assert of(loser) == set()
    stopped = ask_to_stop(winner, signal.SIGTERM, 1)
    assert stopped.ended.code == 0, stopped.ended
    assert placed(lab) == of(winner) != set()
    assert whole_afterwards(lab, "us", tmp_path / "kept", refused, stopped.ended) == []


@pytest.mark.parametrize("where", ["after journal.record_outcome", "before gate"])
def test_P3_J5_a_run_that_was_stopped_past_its_lease_writes_and_sends_nothing_more(
    lab: Lab, tmp_path: Path, where: str
) -> None:
    """Between two ticks it is fenced; between a verdict and the first byte its verdict is too old as well."""
    first = lab.start("us", *CANARY, at=At(name=where, hold_s=1))
    assert first.wait_for_step(where), first.wait()
    paused(first)
    sent = of(first)
    lab.clock.pass_by(LEASE_LASTS + timedelta(seconds=5))
    second = lab.start("us", *CANARY, "--ticks", "3")
    assert second.wait_for_step("after lease.acquire"), second.wait()
    first.kill(signal.SIGCONT)
    fenced, over = first.wait(), second.wait()
    assert fenced.code == LEASE_HELD, fenced
    assert over.code in (0, 5), over  # 5: what the first left in doubt, told
    assert of(first) == sent
    assert placed(lab) == sent | of(second)
    assert whole_afterwards(lab, "us", tmp_path / "kept", fenced, over) == []


def test_the_story_of_the_stopped_run_notices_a_lease_that_is_not_looked_at(lab: Lab) -> None:
    """The same story with the fence taken out: the first run goes on as if nothing had happened."""
    lab.plant = "unfenced"
    where = "after journal.record_outcome"
    first = lab.start("us", *CANARY, "--ticks", "3", sabotaged=True, at=At(name=where, hold_s=1))
    assert first.wait_for_step(where), first.wait()
    paused(first)
    lab.clock.pass_by(LEASE_LASTS + timedelta(seconds=5))
    assert lab.run("us", *CANARY, "--ticks", "1").code in (0, 5)
    first.kill(signal.SIGCONT)
    assert first.wait().code != LEASE_HELD


def test_P2_the_lock_of_a_dead_run_is_taken_over_although_its_number_is_anothers_now(lab: Lab) -> None:
    first = lab.start("us", *CANARY)
    assert first.wait_for_step("after lease.acquire"), first.wait()
    first.kill()
    assert first.wait().killed
    _holder(lab, pid=os.getpid())  # this very process: alive, and not the one that took the lease
    second = lab.run("us", *CANARY, "--ticks", "1")
    assert second.code == 0, second


def test_P2_a_lock_whose_holder_cannot_be_proven_dead_is_respected(lab: Lab) -> None:
    first = lab.start("us", *CANARY)
    assert first.wait_for_step("after lease.acquire"), first.wait()
    first.kill()
    assert first.wait().killed
    _holder(lab, boot="another boot")
    refused = lab.run("us", *CANARY, "--ticks", "1")
    assert refused.code == LEASE_HELD, refused
    assert of_ended(refused.lefts) == set()


def _holder(lab: Lab, **changed: object) -> None:
    """The lease's row with other words about its holder."""
    with sqlite3.connect(lab.folder("us") / "journal.db") as file:
        (told,) = file.execute("SELECT holder FROM leases").fetchone()
        file.execute("UPDATE leases SET holder = ?", (json.dumps({**json.loads(told), **changed}, sort_keys=True),))
    file.close()


def of_ended(lefts: list[dict[str, object]]) -> set[object]:
    return {each["ident"] for each in lefts}


def test_P6_two_reconciles_at_once_are_harmless_and_book_everything_once(lab: Lab, tmp_path: Path) -> None:
    place = ("order", "place", "--product", "BTC-PERP", "--side", "buy", "--size", "0.01", "--price", "58000")
    order = lab.run("us", *place)
    lab.control("POST", "/fills", {"order_id": order.data["order"]["venue_order_id"], "contracts": "1"})
    both = [lab.start("us", "reconcile", virtual=True) for _ in range(2)]
    ended = [each.wait() for each in both]
    assert {each.code for each in ended} <= {0, 1}, ended
    assert whole_afterwards(lab, "us", tmp_path / "kept", order, *ended) == []


@pytest.mark.parametrize("hours", [-1, 24])
def test_T1_J8_a_wall_clock_that_is_stepped_under_a_run_loses_no_order_and_no_record(
    lab: Lab, tmp_path: Path, hours: int
) -> None:
    """The venue refuses tokens of another hour: nothing more can be sent, and the loop says so instead of ending."""
    run = lab.start("us", *CANARY)
    try:
        assert run.wait_for_step("after journal.record_outcome"), run.wait()
        sent = of(run)
        lab.clock.step(timedelta(hours=hours))
        run.read(time.monotonic_ns() + 1)
        until = time.monotonic_ns() + 2_000_000_000
        while time.monotonic_ns() < until and run.read(until):
            continue
        assert of(run) == sent
    finally:
        lab.clock.step(timedelta(hours=-hours))
    stopped = ask_to_stop(run, signal.SIGTERM, 1)
    assert stopped.ended.code is not None, stopped.ended
    assert stopped.ended.code not in (1, 70), stopped.ended
    assert placed(lab) == of(run)
    assert whole_afterwards(lab, "us", tmp_path / "kept", stopped.ended) == []
