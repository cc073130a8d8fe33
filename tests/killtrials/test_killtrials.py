"""R1, R2: the short form of `make killtrials`, and its counter-trials, which must fail."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.killtrials.hosts import BACK_ENDS, PLACERS, POSTGRESQL, SQLITE, hosts_on
from tests.killtrials.trials import Trials, trials_on

pytestmark = [pytest.mark.scenario, pytest.mark.slow]

TRIALS = 30
BY_COMMAND = 15
UNTIL_LATE = 60


@contextmanager
def trials(back_end: str, *options: str) -> Iterator[Trials]:
    with hosts_on(back_end) as hosts, trials_on(hosts, *options, seed=1) as running:
        yield running


@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_R1_nothing_is_sent_after_engage_returned_whatever_the_placers_are_at(back_end: str) -> None:
    with trials(back_end) as running:
        counted = sum(running.one(number, by_command=number == BY_COMMAND) for number in range(1, TRIALS + 1))
        judge = running.judge
    assert judge.violations == []
    assert counted >= TRIALS - 3
    assert judge.count("create", "accepted") >= TRIALS
    assert judge.count("create", "refused") + judge.count("edit", "refused") >= TRIALS * PLACERS
    assert (len(judge.by_latch), len(judge.by_command)) == (counted - 1, 1)


def test_R1_without_the_gate_the_same_trials_fail_on_one_host() -> None:
    """The counter-test: were it green without the gate, the one above would prove nothing."""
    with trials(SQLITE, "--without-gate") as running:
        for number in range(1, UNTIL_LATE + 1):
            running.one(number, by_command=False)
            if running.judge.late:
                assert "after engage had returned" in running.judge.violations[0]
                return
    pytest.fail("without the gate no order slipped through: the trials prove nothing")


def test_R1_without_the_gate_the_same_trials_fail_across_hosts() -> None:
    """Held up before the first byte, else the first one late on another host takes some fifty trials."""
    with trials(POSTGRESQL, "--without-gate", "--held-up-ms", "30") as running:
        for number in range(1, UNTIL_LATE + 1):
            running.one(number, by_command=False)
            if running.judge.late_elsewhere:
                return
    pytest.fail("without the gate no order of another host slipped through: the trials prove nothing")
