"""What every test may rely on: a clean environment, a home of its own, and no way out of this machine.

Warnings are errors (pyproject.toml). Nothing here may reach for a real key, a real host or the user's own
configuration.
"""

import ipaddress
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from perpsctl import places
from perpsctl.simulator import launcher

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared"

hypothesis.settings.register_profile(
    "house",
    deadline=None,  # two shared cores: a slow example is no failure
    print_blob=True,  # a failure prints what replays it
)
hypothesis.settings.load_profile("house")


# --- no way out -------------------------------------------------------------------------------------


class OutsideWorldTouched(AssertionError):
    """The test tried to reach beyond loopback."""


_attempts: list[str] = []
_GUARDED = frozenset(
    {"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname"}
)


def _is_loopback(host: object) -> bool:
    if host is None:
        return True
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    if text.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(text.split("%", 1)[0]).is_loopback
    except ValueError:
        return False


def _guard(event: str, arguments: tuple[object, ...]) -> None:
    if event not in _GUARDED:
        return
    if event in {"socket.getaddrinfo", "socket.gethostbyname"}:
        host = arguments[0]
    else:
        connection, address = arguments
        if not isinstance(connection, socket.socket):
            return
        if connection.family not in {socket.AF_INET, socket.AF_INET6} or not isinstance(address, tuple):
            return
        host = address[0]
    if not _is_loopback(host):
        attempt = f"{event} to {host!r}: tests stay on loopback"
        _attempts.append(attempt)
        raise OutsideWorldTouched(attempt)


# An audit hook sees every socket of this process, whatever library opened it, and cannot be patched away.
sys.addaudithook(_guard)


@pytest.fixture(autouse=True)
def no_way_out() -> Iterator[list[str]]:
    """Fails a test that reached beyond loopback, even where the code under test swallowed the refusal."""
    _attempts.clear()
    yield _attempts
    attempts = list(_attempts)
    _attempts.clear()
    if attempts:
        pytest.fail("; ".join(attempts))


# --- a clean environment ----------------------------------------------------------------------------

_CLEARED = frozenset(
    {
        *("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES", "TTY_COMPATIBLE", "TERM"),
        *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
        *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
        *("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"),
    }
)
_CLEARED_PREFIXES = ("PERPSCTL_", "COINBASE_", "CDP_")
# What the person at the keyboard says to the tests, not to perpsctl.
_KEPT = frozenset({"PERPSCTL_SAMPLES", "PERPSCTL_UPDATE_GOLDEN"})


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """No variable of the caller's is seen; configuration and state go below the test's own folder.

    Gives PERPSCTL_HOME, which does not exist yet: creating it 0700 is the product's work. An embedded exchange that was
    started there, and left, ends with the test.
    """
    for name in list(os.environ):
        if name in _KEPT:
            continue
        if name in _CLEARED or name.startswith(_CLEARED_PREFIXES):
            monkeypatch.delenv(name)
    home = tmp_path / "perpsctl-home"
    monkeypatch.setenv("PERPSCTL_HOME", str(home))
    # Without PERPSCTL_HOME the product falls back on the user's folders: those are the test's own as well.
    user_home = tmp_path / "user-home"
    monkeypatch.setenv("HOME", str(user_home))
    yield home
    for state in (home / "state", user_home / ".local" / "state" / places.APP):
        folder = state / places.EXCHANGE_FOLDER
        if (folder / launcher.STATE_FILE).is_file():
            launcher.stop(folder)


@pytest.fixture
def perpsctl_home(clean_environment: Path) -> Path:
    """The folder PERPSCTL_HOME names in this test; it does not exist yet."""
    return clean_environment


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded payloads and market data beside the repository; skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("needs the recorded payloads and market data in ../shared, which are not part of the repository")
    return SHARED
