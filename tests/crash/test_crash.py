"""Real processes killed with SIGKILL, in small: a dozen kills with fixed seeds, and a judge that is seen to bite."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash import judge as judging
from tests.crash.lab import REPOSITORY, Instant
from tests.crash.marks import At
from tests.crash.stories import STORIES, Kill

CASES = (
    "us/place/1/journal.decide: insert#1",
    "us/place/2/journal.decide: committed#1",
    "us/place/3/create: half of the bytes#1",
    "us/place/4/create: after the last byte#1",
    "us/place/5/create: whole reply read#1",
    "us/flatten/6/before journal.record_outcome#1",
    "us/engage/7/before latch.sync_folder#1",
    "global/place/8/create: after the last byte#1",
    "global/edit/9/edit: after the last byte#1",
    "global/cancel/10/cancel: half of the bytes#1",
    "global/engage/11/journal.record_halt: commit#1",
    "global/take/12/2000us@1",
)


def crash(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The harness as `make crash` starts it."""
    return subprocess.run(
        [sys.executable, "-m", "tests.crash.run", *arguments],
        capture_output=True, text=True, cwd=REPOSITORY, check=False, timeout=280,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.scenario
@pytest.mark.parametrize("venue", ["us", "global"])
def test_J1_I1_I2_hold_through_a_dozen_kills_of_the_real_process(venue: str) -> None:
    cases = [case for case in CASES if case.startswith(venue)]
    done = crash("--replay", *cases)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == f"{len(cases)} kills of {len(cases)}, 0 violations", done.stdout


@pytest.mark.slow
@pytest.mark.scenario
@pytest.mark.parametrize(
    ("plant", "case", "found"),
    [
        ("intent_after_send", "us/place/4/create: after the last byte#1", "I2 create"),
        ("told_before_recorded", "us/place/4/after stdout#1", "J1 `order place`"),
    ],
)
def test_a_planted_bug_is_reported(plant: str, case: str, found: str) -> None:
    done = crash("--plant", plant, "--replay", case)
    assert done.returncode == 1, done.stdout + done.stderr
    assert any(line.startswith(found) for line in done.stdout.splitlines()), done.stdout


def test_a_case_is_told_so_that_it_can_be_replayed() -> None:
    for moment in (At(name="journal.decide: commit", nth=3), Instant(us=1700), Instant(us=0, after_write=2), None):
        for cold in (False, True):
            kill = Kill(venue="us", story="place", moment=moment, seed=7, cold=cold)
            assert Kill.read(kill.told) == kill
    assert {Kill.read(case).story for case in CASES} <= STORIES.keys()


def test_the_judge_shares_no_code_with_the_product() -> None:
    tree = ast.parse(Path(judging.__file__).read_text())
    modules = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert modules <= {"collections.abc", "dataclasses", "decimal", "pathlib", "typing", "tests.dst", "tests.dst.judge"}
