"""This host, asked for real: figures come from the machine, and nothing is left behind."""

import os
import resource
from pathlib import Path

import pytest

from perpsctl.checks.host import ThisHost
from tests.unit.checks.scene import FakeClock


@pytest.fixture
def host() -> ThisHost:
    return ThisHost(FakeClock())


def test_space_is_what_the_file_system_says_also_below_a_folder_that_is_not_there(
    host: ThisHost, tmp_path: Path
) -> None:
    told = os.statvfs(tmp_path)
    space = host.space(tmp_path / "not" / "there")
    assert space.total == told.f_blocks * told.f_frsize
    assert 0 < space.free <= space.total


def test_descriptors_count_what_is_open_now(host: ThisHost, tmp_path: Path) -> None:
    before = host.descriptors()
    with open(tmp_path / "a", "wb"), open(tmp_path / "b", "wb"):
        assert host.descriptors().open == before.open + 2
    assert before.limit == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_a_sync_leaves_nothing_behind(host: ThisHost, tmp_path: Path) -> None:
    assert host.sync_beside(tmp_path).took_us > 0
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_no_file_is_an_error(host: ThisHost, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        host.sync_beside(tmp_path / "gone")


def test_a_planted_symlink_is_not_followed_S6(host: ThisHost, tmp_path: Path) -> None:
    aim = tmp_path / "precious"
    aim.write_text("keep", encoding="utf-8")
    (tmp_path / f".perpsctl-check-{os.getpid()}").symlink_to(aim)
    host.sync_beside(tmp_path)
    assert aim.read_text(encoding="utf-8") == "keep"


def test_modes_are_of_the_thing_itself(host: ThisHost, tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.touch()
    file.chmod(0o640)
    assert host.mode(file) == 0o640
    assert host.mode(tmp_path / "none") is None
    link = tmp_path / "link"
    link.symlink_to(file)
    assert host.mode(link) == 0o777  # a link where a private file belongs is not private (S6)
    link.unlink()
    assert host.names(tmp_path) == ("f",)
    assert host.names(tmp_path / "none") == ()
