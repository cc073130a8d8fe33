"""Where state lives: the same folders platformdirs names, private, and never reached through a name or a link."""

import os
import stat
from pathlib import Path

import platformdirs
import pytest

from perpsctl import places
from perpsctl.domain.errors import ConfigError


def test_everything_is_below_perpsctl_home(tmp_path: Path) -> None:
    environ = {"PERPSCTL_HOME": str(tmp_path / "h")}
    assert places.config_file(environ) == tmp_path / "h" / "perpsctl.toml"
    assert places.profile_folder("sim", environ) == tmp_path / "h" / "state" / "sim"
    assert places.exchange_folder(environ) == tmp_path / "h" / "state" / ".exchange"


def test_without_it_the_folders_are_those_of_platformdirs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PERPSCTL_HOME", raising=False)
    for xdg in (None, str(tmp_path / "xdg")):
        for variable in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
            monkeypatch.delenv(variable, raising=False)
            if xdg is not None:
                monkeypatch.setenv(variable, xdg)
        assert places.state_folder() == Path(platformdirs.user_state_dir("perpsctl", appauthor=False))
        assert places.config_file().parent == Path(platformdirs.user_config_dir("perpsctl", appauthor=False))


@pytest.mark.parametrize("name", ["", "..", "a/b", ".exchange", "a" * 41, "-a", "a\n", "é", "a b"])
def test_what_could_leave_the_folder_is_no_profiles_name_H11(name: str) -> None:
    with pytest.raises(ConfigError):
        places.profile_name(name)


def test_known_profiles_are_folders_with_legal_names(tmp_path: Path) -> None:
    environ = {"PERPSCTL_HOME": str(tmp_path)}
    assert places.known_profiles(environ) == ()
    for name in ("b", "a", ".exchange", "not a name"):
        (tmp_path / "state" / name).mkdir(parents=True)
    (tmp_path / "state" / "file").write_text("")
    (tmp_path / "state" / "link").symlink_to(tmp_path / "state" / "a")
    assert places.known_profiles(environ) == ("a", "b")


def test_a_private_folder_is_ours_alone_whatever_the_umask_S6(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = places.private_folder(tmp_path / "deep" / "down")
        folder.chmod(0o777)
        places.private_folder(folder)
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "file").write_text("")
    for other in ("link", "file"):
        with pytest.raises(ConfigError, match="not a plain folder"):
            places.private_folder(tmp_path / other)
