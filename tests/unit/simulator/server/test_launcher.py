"""One simulator per home: started once, found by all, gone when stopped, never believed when dead."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from perpsctl.domain.errors import UsageError, VenueUnreachable
from perpsctl.simulator import launcher
from perpsctl.simulator.launcher import SimOptions

pytestmark = pytest.mark.slow
REPOSITORY = Path(__file__).resolve().parents[4]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "home" / ".exchange"
    yield place
    launcher.stop(place)


def gone(pid: int) -> bool:
    return launcher.process_start(pid) is None


def test_first_use_starts_it_and_every_later_use_finds_the_same_one(folder: Path) -> None:
    first = launcher.ensure(folder)
    again = launcher.ensure(folder, SimOptions())
    assert (again.pid, again.account, again.already_running) == (first.pid, 1, True)
    assert first.already_running is False
    data = first.as_data(folder)
    assert requests.get(f"{data['faces']['us']['http']}/api/v3/brokerage/time", timeout=5).status_code == 200
    url = f"{data['faces']['us']['https']}/api/v3/brokerage/time"
    assert requests.get(url, timeout=5, verify=data["ca_file"]).status_code == 200
    assert set(data["key_files"]) == {"trade", "monitor", "analytics"}
    assert data["pid"] == first.pid
    assert first.control_token not in json.dumps(data) + repr(first)


def test_many_simultaneous_first_uses_start_one(folder: Path) -> None:
    pids: list[int] = []
    starters = [threading.Thread(target=lambda: pids.append(launcher.ensure(folder).pid)) for _ in range(6)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert len(pids) == 6
    assert len(set(pids)) == 1


def test_other_options_while_running_are_a_usage_error_and_change_nothing(folder: Path) -> None:
    running = launcher.start(folder, SimOptions(seed=7))
    with pytest.raises(UsageError, match="seed"):
        launcher.start(folder, SimOptions(seed=8))
    assert launcher.start(folder, SimOptions(seed=7)).pid == running.pid
    assert launcher.ensure(folder).pid == running.pid


def test_s6_its_files_are_ours_alone(folder: Path) -> None:
    launcher.ensure(folder)
    for path in [folder, *folder.rglob("*")]:
        assert stat.S_IMODE(path.lstat().st_mode) & 0o077 == 0, path


def test_stop_waits_until_it_is_gone_and_stopping_again_is_nothing(folder: Path) -> None:
    running = launcher.ensure(folder)
    assert launcher.stop(folder) is True
    assert gone(running.pid)
    assert (launcher.status(folder), launcher.stop(folder)) == (None, False)
    with pytest.raises(requests.ConnectionError):
        requests.get(running.http, timeout=2)


def test_every_start_and_reset_is_a_new_account_with_new_keys(folder: Path) -> None:
    first = launcher.ensure(folder)
    old_key = Path(first.key_files["trade"]).read_text(encoding="ascii")
    second = launcher.reset(folder)
    launcher.stop(folder)
    third = launcher.ensure(folder)
    assert [first.account, second.account, third.account] == [1, 2, 3]
    assert len({first.portfolio, second.portfolio, third.portfolio}) == 3
    assert second.pid == first.pid
    assert Path(third.key_files["trade"]).read_text(encoding="ascii") != old_key


def test_p2_a_killed_server_is_not_believed_and_a_new_one_takes_its_place(folder: Path) -> None:
    first = launcher.ensure(folder)
    os.kill(first.pid, signal.SIGKILL)
    os.waitpid(first.pid, 0)
    assert (folder / launcher.STATE_FILE).exists()
    assert launcher.status(folder) is None
    assert launcher.ensure(folder).pid != first.pid


def test_p2_a_state_file_that_names_another_programs_pid_is_not_believed(folder: Path) -> None:
    running = launcher.ensure(folder)
    path = folder / launcher.STATE_FILE
    state = json.loads(path.read_text(encoding="utf-8"))
    state["pid"] = os.getpid()
    path.write_text(json.dumps(state), encoding="utf-8")
    assert launcher.status(folder) is None
    with pytest.raises(VenueUnreachable):
        launcher.stop(folder)  # and above all: this process is not ended
    state["pid"] = running.pid
    path.write_text(json.dumps(state), encoding="utf-8")


def test_a_failure_to_start_says_why_in_the_servers_own_words(folder: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match="port"):
            launcher.start(folder, SimOptions(http_port=taken.getsockname()[1]))
    nonsense = tmp_path / "btc-perp_1m_nonsense.csv"
    nonsense.write_text("this,is,not\na,recording,\n", encoding="ascii")
    with pytest.raises(UsageError, match="replayed"):
        launcher.start(folder, SimOptions(replay=str(nonsense)))
    assert launcher.status(folder) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"speed": "0"},
        {"speed": "NaN"},
        {"speed": "1_0"},
        {"calendar": "lunar"},
        {"dedupe": "maybe"},
        {"http_port": 70_000},
        {"start": "2022-01-21T21:30:00Z"},
        {"replay": "/nowhere/file.csv"},
        {"seed": -1},
        {"maker_fee": "x"},
    ],
)
def test_wrong_options_are_refused_before_anything_starts(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        SimOptions(**wrong)  # type: ignore[arg-type]


def test_a_from_without_a_zone_is_refused(tmp_path: Path) -> None:
    recording = tmp_path / "x.csv"
    recording.touch()
    with pytest.raises(UsageError, match="zone"):
        SimOptions(replay=str(recording), start="2022-01-21T21:30:00")


def test_a_command_substitution_around_the_first_use_does_not_hang(folder: Path) -> None:
    code = f"from pathlib import Path; from perpsctl.simulator import launcher; print(launcher.ensure(Path({str(folder)!r})).pid)"
    began = time.monotonic()
    ended = subprocess.run(
        ["sh", "-c", 'echo "[$("$0" -c "$1")]"', sys.executable, code],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=REPOSITORY,
        check=True,
    )
    running = launcher.status(folder)
    assert running is not None
    assert ended.stdout.strip() == f"[{running.pid}]"
    assert time.monotonic() - began < 20
    assert os.getsid(running.pid) == running.pid  # a session of its own: the terminal's signals do not reach it


def test_the_launcher_imports_the_standard_library_only() -> None:
    code = (
        "import sys; import perpsctl.simulator.launcher; "
        "print(sorted({m.split('.')[0] for m in sys.modules} - set(sys.stdlib_module_names) - {'perpsctl', '__main__'}))"
        "; print(sorted(m for m in sys.modules if m.startswith('perpsctl.simulator')))"
    )
    ended = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
        env={"PYTHONPATH": str(REPOSITORY)},
    )
    foreign, ours = ended.stdout.splitlines()
    assert foreign == "[]"
    assert ours == "['perpsctl.simulator', 'perpsctl.simulator.launcher']"


def test_p9_the_server_inherits_no_secret_and_no_terminal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COINBASE_API_SECRET", "canary-secret")
    monkeypatch.setenv("PERPSCTL_JOURNAL_URL", "canary-password")
    running = launcher.ensure(folder)
    process = Path(f"/proc/{running.pid}")
    if not process.is_dir():
        pytest.skip("needs /proc")
    assert b"canary" not in (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
    streams = [os.readlink(process / "fd" / number) for number in "012"]
    assert streams == ["/dev/null", "/dev/null", str(folder / launcher.LOG_FILE)]


def test_it_ends_itself_when_idle_and_leaves_no_state(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from perpsctl.simulator import server\n"
        "from perpsctl.simulator.launcher import SimOptions\n"
        "options = SimOptions()\n"
        "object.__setattr__(options, 'idle_minutes', 0.005)\n"
        f"server.serve(Path({str(folder)!r}), options)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, cwd=REPOSITORY, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert not (folder / launcher.STATE_FILE).exists()


def test_it_ends_itself_when_its_home_is_removed(folder: Path) -> None:
    running = launcher.ensure(folder)
    shutil.rmtree(folder)
    deadline = time.monotonic() + 10
    while not gone(running.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert gone(running.pid)


def test_two_servers_never_share_a_folder(folder: Path) -> None:
    launcher.ensure(folder)
    ended = subprocess.run(
        [sys.executable, "-m", "perpsctl.simulator.server", "--folder", str(folder)],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=REPOSITORY,
        check=False,
    )
    assert ended.returncode == 2
    assert "already running" in ended.stderr
    assert launcher.status(folder) is not None


@pytest.mark.parametrize(
    ("start", "reason"), [("2022-01-12T00:00:00Z", "begins after"), ("2027-01-01T00:00:00Z", "ends before")]
)
def test_a_from_outside_the_file_is_a_usage_error(folder: Path, tmp_path: Path, start: str, reason: str) -> None:
    rows = [f"2022-01-21T21:{minute}:00Z,60000,60010,59990,60000,5" for minute in range(30, 40)]
    recording = tmp_path / "btc.csv"
    recording.write_text("\n".join(["timestamp,open,high,low,close,volume", *rows]) + "\n", encoding="ascii")
    with pytest.raises(UsageError, match=f"btc.csv: {reason} the start asked for"):
        launcher.start(folder, SimOptions(replay=str(recording), start=start))
    assert launcher.status(folder) is None


def test_a_replay_of_real_candles_is_served_rebased_to_now(folder: Path, shared: Path) -> None:
    recording = shared / "data" / "btc-perp_1m_2022-01-12_2022-01-26.csv"
    if not recording.exists():
        pytest.skip("needs the recorded candles in ../shared/data")
    options = SimOptions(replay=str(recording), start="2022-01-21T21:30:00Z", speed="60")
    running = launcher.start(folder, options)
    url = f"{running.http}/api/v3/brokerage/market/products/BIP-20DEC30-CDE"
    price = float(requests.get(url, timeout=5).json()["price"])
    assert 30_000 < price < 45_000  # what BTC cost on that evening, not what the generator would say
    assert requests.get(f"{running.http}/api/v3/brokerage/time", timeout=5).json()["iso"] >= running.started_at[:10]
