"""A few trials of each disk proof, so that the proofs themselves cannot rot. The whole: `make powercut`, `iofail`, `restart`."""

import subprocess
import sys

import pytest

from tests.disk import iofail, powercut, restart
from tests.disk.shim import Failure
from tests.scenarios.homes import REPOSITORY


@pytest.fixture(scope="module", autouse=True)
def watchable(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips, saying so, where this interpreter's SQLite cannot be watched from inside."""
    folder = tmp_path_factory.mktemp("watched")
    plan = f"shim.Plan(root={str(folder)!r}, trace={str(folder) + '.trace'!r})"
    tried = subprocess.run(
        [sys.executable, "-c", f"from tests.disk import shim; shim.install({plan})"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "Unwatchable" in tried.stderr:
        pytest.skip(tried.stderr.strip().splitlines()[-1])
    assert tried.returncode == 0, tried.stderr


pytestmark = [pytest.mark.scenario, pytest.mark.slow]


def test_J1_D6_power_cuts_lose_nothing_acknowledged_and_a_lying_disk_is_noticed() -> None:
    told: list[str] = []
    tally = powercut.trials("us", [5, 15], told.append)
    assert told == []
    assert tally.trials == 2
    assert tally.images == 2 * (powercut.READ_IMAGES + 1)
    assert tally.without_sync > 0, "without syncs something must be missing, or nothing was tested"


def test_J2_D1_D3_failing_operations_send_nothing_and_leave_a_journal_that_is_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import errno

    drawn = {
        "write": Failure(kind="write", nth=45, errno=errno.ENOSPC, lasting=True),
        "sync": Failure(kind="sync", nth=10, errno=errno.EIO, lasting=False),
        "open": Failure(kind="open", nth=2, errno=errno.EMFILE, lasting=False),
    }
    monkeypatch.setattr(iofail, "failures", lambda kind, limit, stride: [drawn[kind]])
    acts = [act for act in iofail.ACTS if act.name in ("place", "engage")]
    tally = iofail.trials("us", acts, tuple(drawn), 50, 1)
    assert tally.violations == []
    assert tally.trials["place"] == 3
    assert tally.trials["engage"] >= 2


def test_restart_over_a_short_past_is_reconciled_with_its_doubts_ended(capsys: pytest.CaptureFixture[str]) -> None:
    assert restart.main(["--orders", "60", "--open", "2", "--venue", "us", "--within", "120"]) == 0, capsys.readouterr()
