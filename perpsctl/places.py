"""Where things live on disk, from `PERPSCTL_HOME` and the profile's name alone. Standard library only.

The kill switch must find its latch before anything heavy is imported, so this room repeats the few rules of platformdirs
that matter (a test holds the two equal) and reads nothing else from the environment. Folders are 0700, files 0600 (S6).

    $PERPSCTL_HOME/perpsctl.toml            configuration
    $PERPSCTL_HOME/anchors/<profile>.jsonl  heads of the journal, kept apart from it
    $PERPSCTL_HOME/state/<profile>/         journal, latch, gate lock, audit key, exit spool of one profile
    $PERPSCTL_HOME/state/.exchange/         the embedded exchange: state file, start lock, CA, its throw-away keys
"""

import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from perpsctl.domain.errors import ConfigError

APP = "perpsctl"
EXCHANGE_FOLDER = ".exchange"  # no profile can have this name
_PROFILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", re.ASCII)


def profile_name(text: str) -> str:
    """A legal profile name: 1 to 40 letters, digits, `-` or `_`, else ConfigError. It becomes a folder's name."""
    if _PROFILE.fullmatch(text) is None:
        raise ConfigError("a profile's name is 1 to 40 letters, digits, - or _", fix="rename the profile")
    return text


def config_file(environ: Mapping[str, str] = os.environ) -> Path:
    """The configuration file's path; never the working directory. It need not exist."""
    home = _home(environ)
    return (home or _user_folder(environ, "XDG_CONFIG_HOME", ".config")) / "perpsctl.toml"


def anchors_file(profile: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Where heads of a profile's journal are kept unless the profile says otherwise: beside the configuration, not the state."""
    return config_file(environ).parent / "anchors" / f"{profile_name(profile)}.jsonl"


def state_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder all state lives under. It need not exist."""
    home = _home(environ)
    return home / "state" if home is not None else _user_folder(environ, "XDG_STATE_HOME", ".local/state")


def profile_folder(profile: str, environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of one profile's state."""
    return state_folder(environ) / profile_name(profile)


def exchange_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of the embedded exchange: one per home, serving both venues."""
    return state_folder(environ) / EXCHANGE_FOLDER


def known_profiles(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Names of the profiles that have state on this host, sorted; none when the folder is not there."""
    try:
        with os.scandir(state_folder(environ)) as found:
            entries = sorted(entry.name for entry in found if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return ()
    return tuple(name for name in entries if _PROFILE.fullmatch(name) is not None)


def private_folder(path: Path) -> Path:
    """`path` exists as a folder of ours alone (0700); ConfigError when it is a symlink or another's.

    A folder made here has its name synced too, as far as we may touch the folders above: what is synced inside it would be
    lost with its name in a power cut (J1).
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if path.is_symlink() or not path.is_dir():
            raise ConfigError(f"{path.name} is not a plain folder", fix="move it away") from None
        path.chmod(0o700)
    else:
        _sync_upwards(path)
    return path


def _sync_upwards(path: Path) -> None:
    for above in list(path.parents)[:3]:  # the folder of profiles and the home may be as new as the profile's own
        with suppress(OSError):
            held = os.open(above, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(held)
            finally:
                os.close(held)


def _home(environ: Mapping[str, str]) -> Path | None:
    home = environ.get("PERPSCTL_HOME", "")
    return Path(home).expanduser().absolute() if home else None


def _user_folder(environ: Mapping[str, str], variable: str, below_home: str) -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / APP
    chosen = environ.get(variable, "").strip()
    return (Path(chosen) if chosen else Path.home() / below_home) / APP
