"""The guards of tests/conftest.py hold: no test reaches the outside, none sees the caller's environment."""

import os
import socket
import warnings
from pathlib import Path

import pytest


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"])
def test_a_socket_beyond_loopback_is_refused_S5(host: str, no_way_out: list[str]) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as outgoing, pytest.raises(AssertionError, match="loopback"):
        outgoing.connect((host, 9))
    assert len(no_way_out) == 1
    no_way_out.clear()


def test_a_name_beyond_loopback_is_not_looked_up(no_way_out: list[str]) -> None:
    with pytest.raises(AssertionError, match="loopback"):
        socket.getaddrinfo("venue.example", 443)
    no_way_out.clear()


def test_listening_on_every_address_is_refused_S5(no_way_out: list[str]) -> None:
    with socket.socket() as listening, pytest.raises(AssertionError, match="loopback"):
        listening.bind(("0.0.0.0", 0))
    no_way_out.clear()


def test_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()):
        pass


def test_home_and_configuration_are_the_tests_own(perpsctl_home: Path, tmp_path: Path) -> None:
    assert os.environ["PERPSCTL_HOME"] == str(perpsctl_home)
    assert perpsctl_home.is_relative_to(tmp_path)
    assert Path.home().is_relative_to(tmp_path)


def test_a_warning_is_an_error() -> None:
    with pytest.raises(UserWarning):
        warnings.warn("anything", UserWarning, stacklevel=1)


def test_variables_of_the_caller_are_not_seen(seen_by_a_child: dict[str, str]) -> None:
    assert seen_by_a_child == {"PERPSCTL_SAMPLES": "kept"}


@pytest.fixture
def seen_by_a_child(tmp_path: Path) -> dict[str, str]:
    """What a test sees of an environment full of the caller's variables: run in a process of its own."""
    import json
    import subprocess
    import sys

    probe = tmp_path / "tests" / "test_probe.py"
    probe.parent.mkdir()
    conftest = Path(__file__).parents[1] / "conftest.py"
    (probe.parent / "conftest.py").write_text(conftest.read_text(encoding="utf-8"), encoding="utf-8")
    seen = tmp_path / "seen.json"
    probe.write_text(
        "import json, os, pathlib\n"
        "def test_probe():\n"
        "    names = ('PERPSCTL_PROFILE', 'COINBASE_API_KEY', 'HTTPS_PROXY', 'NO_COLOR', 'PERPSCTL_SAMPLES')\n"
        "    found = {name: os.environ[name] for name in names if name in os.environ}\n"
        f"    pathlib.Path({str(seen)!r}).write_text(json.dumps(found))\n",
        encoding="utf-8",
    )
    planted = {
        "PERPSCTL_PROFILE": "live",
        "COINBASE_API_KEY": "planted",
        "HTTPS_PROXY": "http://192.0.2.1:1",
        "NO_COLOR": "1",
        "PERPSCTL_SAMPLES": "kept",
    }
    child = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(probe)],
        env={**os.environ, **planted},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert child.returncode == 0, child.stdout + child.stderr
    found: dict[str, str] = json.loads(seen.read_text(encoding="utf-8"))
    return found
