"""The latch: engaging holds whatever the disk does, says what it could not do, and never opens by mistake (R1-R4, S6)."""

import json
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from perpsctl.domain.errors import ConfigError
from perpsctl.domain.ports import GateShut
from perpsctl.latch import HISTORY_FILE, LATCH_FILE, Latch, LatchState, LatchTrouble, engage_every

AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
LATER = datetime(2026, 11, 22, 11, 0, tzinfo=UTC)


@pytest.fixture
def latch(perpsctl_home: Path) -> Iterator[Latch]:
    made = Latch.of("sim")
    yield made
    made._last_resort.unlink(missing_ok=True)


def entered(latch: Latch, *, switch_road: bool = False) -> bool:
    try:
        with latch.gate(switch_road=switch_road):
            return True
    except GateShut:
        return False


def test_without_a_latch_it_is_released_and_the_gate_is_open(latch: Latch) -> None:
    latch.folder.mkdir(parents=True)
    assert latch.state().state is LatchState.RELEASED
    assert entered(latch)


def test_engaging_creates_what_is_missing_privately_and_shuts_the_gate_R1_S6(latch: Latch) -> None:
    before = os.umask(0)
    try:
        done = latch.engage(reason="drill", by="ops", at=AT)
    finally:
        os.umask(before)
    assert (done.in_force, done.durable, done.first, done.problems) == (True, True, True, ())
    assert (done.facts.reason, done.facts.by, done.facts.since, done.facts.times) == ("drill", "ops", AT, 1)
    assert stat.S_IMODE((latch.folder / LATCH_FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(latch.folder.stat().st_mode) == 0o700
    assert sorted(each.name for each in latch.folder.iterdir()) == ["killswitch.latch", "killswitch.lock"]
    with pytest.raises(GateShut, match="engaged"):
        latch.gate().__enter__()


def test_the_switchs_own_road_passes_although_engaged(latch: Latch) -> None:
    latch.engage(reason="drill", by="ops", at=AT)
    assert entered(latch, switch_road=True)
    assert not entered(latch)


def test_engaging_twice_keeps_the_first_reason_and_counts_R2(latch: Latch) -> None:
    latch.engage(reason="first", by="a", at=AT)
    done = latch.engage(reason="second", by="b", at=LATER)
    assert (done.first, done.durable, done.facts.reason, done.facts.since, done.facts.times) == (
        False,
        True,
        "first",
        AT,
        2,
    )
    told = json.loads((latch.folder / LATCH_FILE).read_text())
    assert told["later"] == [{"at": LATER.isoformat(), "by": "b", "reason": "second"}]
    for _ in range(40):
        latch.engage(reason="x" * 4000, by="b", at=LATER)
    assert latch.state().times == 42
    assert latch.state().state is LatchState.ENGAGED


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 100,
        b"{}",
        b'{"reason": 1}',
        b"[" * 60_000,
        b'{"reason":"a","by":"b","at":"never","times":1}',
        b"\xff",
    ],
)
def test_a_latch_that_cannot_be_read_counts_as_engaged_R1(latch: Latch, content: bytes) -> None:
    latch.folder.mkdir(parents=True)
    (latch.folder / LATCH_FILE).write_bytes(content)
    facts = latch.state()
    assert facts.engaged
    assert facts.told.startswith("unreadable: ")
    assert not entered(latch)
    done = latch.engage(reason="again", by="a", at=AT)
    assert done.in_force
    assert done.durable
    assert any("cannot be read" in each for each in done.problems)
    with pytest.raises(LatchTrouble, match="cannot be read"):
        latch.release(reason="ok", by="ops", at=LATER)
    assert not entered(latch)
    latch.release(reason="looked at it", by="ops", at=LATER, even_unreadable=True)
    assert entered(latch)


@pytest.mark.parametrize("planted", ["symlink", "dangling", "folder", "fifo"])
def test_what_is_planted_at_the_latchs_name_is_not_followed_and_shuts_S6(
    latch: Latch, tmp_path: Path, planted: str
) -> None:
    latch.folder.mkdir(parents=True)
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    path = latch.folder / LATCH_FILE
    if planted == "folder":
        path.mkdir()
    elif planted == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(victim if planted == "symlink" else tmp_path / "nowhere")
    assert latch.state().state is LatchState.UNREADABLE
    assert not entered(latch)
    assert latch.engage(reason="r", by="b", at=AT).in_force
    assert victim.read_text() == "untouched"
    assert not (tmp_path / "nowhere").exists()


def test_a_state_folder_that_is_a_symlink_is_refused_and_the_switch_is_engaged_in_memory(
    latch: Latch, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    latch.folder.parent.mkdir(parents=True)
    latch.folder.symlink_to(elsewhere)
    done = latch.engage(reason="r", by="b", at=AT)
    assert done.in_force
    assert not done.durable
    assert list(elsewhere.iterdir()) == []
    assert "in memory only" in done.problems[-1]
    assert not entered(latch)


def test_a_release_needs_words_and_keeps_a_record_R4(latch: Latch) -> None:
    latch.engage(reason="drill", by="ops", at=AT)
    for reason, by in (("", "ops"), ("fine", " ")):
        with pytest.raises(LatchTrouble, match="needs a reason"):
            latch.release(reason=reason, by=by, at=LATER)
    assert not entered(latch)
    released = latch.release(reason="all flat", by="ada", at=LATER)
    assert released.reason == "drill"
    assert entered(latch)
    (line,) = (latch.folder / HISTORY_FILE).read_text().splitlines()
    told = json.loads(line)
    assert (told["released_by"], told["release_reason"], told["engage_reason"]) == ("ada", "all flat", "drill")
    assert latch.release(reason="again", by="ada", at=LATER).state is LatchState.RELEASED
    assert len((latch.folder / HISTORY_FILE).read_text().splitlines()) == 1


def test_a_release_whose_record_cannot_be_kept_leaves_the_switch_engaged_R4(latch: Latch) -> None:
    latch.engage(reason="drill", by="ops", at=AT)
    (latch.folder / HISTORY_FILE).mkdir()
    with pytest.raises(LatchTrouble, match="could not be removed"):
        latch.release(reason="fine", by="ops", at=LATER)
    assert not entered(latch)


def test_a_full_disk_still_takes_the_latch_and_says_what_is_missing_R2_D1(latch: Latch) -> None:
    """No byte can be written to any file; an empty name is engaged all the same, and durable."""
    script = (
        "import resource; from datetime import UTC, datetime\n"
        "from perpsctl.latch import Latch\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))\n"
        "done = Latch.of('sim').engage(reason='r', by='b', at=datetime(2026, 11, 22, tzinfo=UTC))\n"
        "assert done.in_force and done.durable and done.first, done\n"
        "assert 'reason could not be written' in done.problems[0], done\n"
    )
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)
    assert latch.state().state is LatchState.UNREADABLE
    assert not entered(latch)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not write here")
def test_a_folder_that_takes_no_file_leaves_a_latch_in_memory_and_says_so_R2(tmp_path: Path) -> None:
    open_folder = tmp_path
    while open_folder != open_folder.parent:
        open_folder.chmod(open_folder.stat().st_mode | 0o755)
        open_folder = open_folder.parent
    home = tmp_path / "read-only"
    (home / "state" / "sim").mkdir(parents=True)
    source = Path(__file__).resolve().parents[2] / "perpsctl"
    script = (
        f"import os, sys; sys.path.insert(0, {str(source.parent)!r}); from datetime import UTC, datetime\n"
        "from perpsctl.latch import Latch\n"
        "import perpsctl.domain.ports\n"
        f"latch = Latch.of('sim', {{'PERPSCTL_HOME': {str(home)!r}}})\n"
        "os.setresuid(65534, 65534, 65534)\n"
        "done = latch.engage(reason='r', by='b', at=datetime(2026, 11, 22, tzinfo=UTC))\n"
        "assert done.in_force and not done.durable, done\n"
        "assert 'takes no latch' in done.problems[0] and 'in memory only' in done.problems[-1], done\n"
        "assert latch.state().reason == 'r'\n"
        "try:\n"
        "    latch.gate().__enter__()\n"
        "except perpsctl.domain.ports.GateShut: pass\n"
        "else: raise SystemExit('the gate is open')\n"
        "os.unlink(latch._last_resort)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30, cwd="/")


def test_an_engagement_that_takes_hold_nowhere_says_so(latch: Latch) -> None:
    latch.folder.parent.mkdir(parents=True)
    latch.folder.write_text("a file where the folder should be")
    nowhere = Latch("sim", latch.folder)
    nowhere._last_resort = latch.folder / "below-a-file"
    done = nowhere.engage(reason="r", by="b", at=AT)
    assert not done.durable
    assert any("takes no latch" in each for each in done.problems)
    assert any("the switch is NOT engaged" in each for each in done.problems)
    with pytest.raises(GateShut):  # and yet no sender passes: it cannot open its lock
        nowhere.gate().__enter__()


def test_every_known_profile_is_latched_when_none_is_named(perpsctl_home: Path) -> None:
    for name in ("one", "two"):
        Latch.of(name).folder.mkdir(parents=True)
    answers = engage_every(reason="all", by="ops", at=AT, besides=("three",))
    assert [(each.profile, each.durable) for each in answers] == [("one", True), ("three", True), ("two", True)]
    assert all(Latch.of(name).state().engaged for name in ("one", "two", "three"))
    assert not Latch.of("four").state().engaged


def test_an_unlistable_home_is_told_after_the_named_profiles_are_latched(perpsctl_home: Path) -> None:
    perpsctl_home.mkdir()
    (perpsctl_home / "state").write_text("not a folder")
    with pytest.raises(NotADirectoryError):
        engage_every(reason="all", by="ops", at=AT)


def test_a_profiles_name_cannot_leave_its_folder_H11(perpsctl_home: Path) -> None:
    with pytest.raises(ConfigError):
        Latch.of("../elsewhere")


HEAVY = (
    "requests",
    "urllib3",
    "cryptography",
    "pydantic",
    "pydantic_settings",
    "sqlalchemy",
    "sqlite3",
    "perpsctl.domain.ports",
)


def test_the_latch_is_durable_before_anything_heavy_is_imported(perpsctl_home: Path) -> None:
    script = (
        "import sys; from datetime import UTC, datetime\n"
        "from perpsctl.latch import Latch\n"
        "latch = Latch.of('sim')\n"
        "done = latch.engage(reason='r', by='b', at=datetime(2026, 11, 22, tzinfo=UTC))\n"
        "closed = latch.close_gate()\n"
        "assert done.durable and closed.quiet, (done, closed)\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)
