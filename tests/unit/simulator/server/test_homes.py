"""A home and its one exchange, as commands meet it: first use, two homes, resets and deaths in the middle of a command."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from perpsctl import places, settings
from perpsctl.bootstrap import Toolkit
from perpsctl.commands.app import invoke
from perpsctl.domain.errors import ConfigError, JournalUnavailable, PerpsctlError, VenueRefusedUs, VenueUnreachable
from perpsctl.domain.ports import EventKind
from perpsctl.domain.products import Environment
from perpsctl.domain.reports import HaltState, KeyPurpose
from perpsctl.engine.broken_journal import BrokenJournal
from perpsctl.simulator import launcher

REPOSITORY = Path(__file__).resolve().parents[4]
LIST = (sys.executable, "-m", "perpsctl.commands.app", "products", "list", "--format", "json")


@contextmanager
def toolkit(*, way_out: bool = False) -> Iterator[Toolkit]:
    made = Toolkit(settings.load(profile=None, config=None), way_out=way_out)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def exchange(perpsctl_home: Path) -> Iterator[Path]:
    """The exchange of this test's home runs."""
    folder = places.exchange_folder()
    launcher.start(folder)
    yield folder
    launcher.stop(folder)


def environment(**named: str) -> dict[str, str]:
    kept = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "PYTHONPATH": str(REPOSITORY)}
    return kept | named


@pytest.mark.slow
def test_ten_first_uses_at_once_start_one_exchange_and_all_succeed(perpsctl_home: Path) -> None:
    with ExitStack() as ending:
        ending.callback(launcher.stop, places.exchange_folder())
        running = [
            subprocess.Popen(
                LIST, env=environment(PERPSCTL_HOME=str(perpsctl_home)), stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
            for _ in range(10)
        ]  # fmt: skip
        said = [process.communicate(timeout=60) for process in running]
        assert [process.returncode for process in running] == [0] * 10, said
        assert {len(json.loads(out)["data"]["products"]) for out, _ in said} == {4}
        found = launcher.status(places.exchange_folder())
        assert found is not None
        assert found.account == 1  # a second start would have counted on
        assert servers_of(places.exchange_folder()) == [found.pid]


def servers_of(folder: Path) -> list[int]:
    """Every process that serves from this folder, by the kernel's list."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = each.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"perpsctl.simulator.server" in words and str(folder).encode() in words:
            found.append(int(each.parent.name))
    return found


def test_two_homes_have_two_exchanges_and_no_order_of_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    homes = [tmp_path / "one", tmp_path / "two"]

    def ask(home: Path, *words: str) -> Any:
        monkeypatch.setenv("PERPSCTL_HOME", str(home))
        capsys.readouterr()
        assert invoke((*words, "--format", "json")) == 0
        return json.loads(capsys.readouterr().out)["data"]

    with ExitStack() as ending:
        for home in homes:
            ending.callback(launcher.stop, places.exchange_folder({"PERPSCTL_HOME": str(home)}))
        states = [ask(home, "sim", "start") for home in homes]
        assert len({state["pid"] for state in states}) == 2
        line = ("order", "place", "--product", "BTC-PERP", "--side", "buy", "--size", "0.01")
        ask(homes[0], *line, "--type", "limit", "--price", "60000", "--post-only")
        assert [len(ask(home, "order", "list")["orders"]) for home in homes] == [1, 0]


def test_without_perpsctl_home_the_exchange_lives_below_the_users_state_folder(tmp_path: Path) -> None:
    for variables, where in (
        ({"XDG_STATE_HOME": str(tmp_path / "xdg")}, tmp_path / "xdg" / "perpsctl"),
        ({}, Path(os.environ["HOME"]) / ".local" / "state" / "perpsctl"),
    ):
        with ExitStack() as ending:
            ending.callback(launcher.stop, where / places.EXCHANGE_FOLDER)
            done = subprocess.run(
                LIST, env=environment(**variables), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                timeout=60, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            assert launcher.status(where / places.EXCHANGE_FOLDER) is not None
            assert {path.stat().st_mode & 0o077 for path in where.rglob("*")} == {0}


@pytest.mark.slow
def test_the_tests_themselves_leave_no_exchange_behind() -> None:
    leaver = Path(__file__).with_name("leaver.py")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "-p", "no:xdist", str(leaver)],
        cwd=REPOSITORY, env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout
    pids = [int(word) for word in ended.stdout.partition("left running: ")[2].split()[:2]]
    assert len(pids) == 2
    assert [launcher.process_start(pid) for pid in pids] == [None, None]


# --- in the middle of a command -----------------------------------------------------------------------


def test_an_exchange_that_dies_between_finding_and_using_it_is_an_unreachable_venue(exchange: Path) -> None:
    with toolkit() as parts:
        found = parts.exchange
        assert found is not None
        assert parts.key_reference(KeyPurpose.TRADE) is not None
        parts.venue.server_time()
        os.kill(found.pid, signal.SIGKILL)
        os.waitpid(found.pid, 0)
        for use in (parts.venue.server_time, parts.cash_times, lambda: parts.venue_for(KeyPurpose.MONITOR)):
            with pytest.raises(VenueUnreachable) as said:
                use()
            assert said.value.exit_code == 6


def test_a_command_that_began_before_a_reset_never_gets_the_new_accounts_key(exchange: Path) -> None:
    with toolkit() as parts:
        before = parts.account
        launcher.reset(exchange)
        with pytest.raises(VenueUnreachable, match="reset"):
            _ = parts.venue
        assert parts.account == before
    with toolkit() as parts:
        assert parts.account != before
        assert parts.venue.key_facts().can_trade is True


def test_a_command_that_had_its_key_before_a_reset_is_refused_by_the_venue(exchange: Path) -> None:
    with toolkit() as parts:
        parts.venue.account()
        launcher.reset(exchange)
        with pytest.raises(VenueRefusedUs):
            parts.venue.account()


def test_a_reset_tells_its_account_before_a_new_key_can_be_read(
    exchange: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is read while the reset has written keys and, in a wrong order, not yet its state."""
    with toolkit() as parts:
        told = parts.exchange
        assert told is not None
        key_file = Path(told.key_files["trade"])
        old_key = key_file.read_bytes()
        state_file = exchange / launcher.STATE_FILE
        old_state = state_file.stat().st_mtime_ns
        launcher.reset(exchange)
        assert key_file.read_bytes() != old_key
        assert state_file.stat().st_mtime_ns > old_state
        assert state_file.stat().st_mtime_ns < key_file.stat().st_mtime_ns


# --- what is missing stands in nobody's way out ---------------------------------------------------------


def test_a_home_that_cannot_be_made_is_a_configuration_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PERPSCTL_HOME", "/proc/no-such-folder/home")
    with toolkit() as parts, pytest.raises(ConfigError, match="cannot be used"):
        _ = parts.exchange
    assert invoke(("products", "list")) == 7
    assert "bug" not in capsys.readouterr().err


def test_a_profile_folder_that_cannot_be_made_costs_entries_their_journal_and_not_the_way_out_its_venue(
    exchange: Path,
) -> None:
    profile = places.profile_folder("sim")
    profile.write_text("a file where the folder should be")
    with toolkit() as parts:
        assert len(parts.venue.products()) == 4
        with pytest.raises(JournalUnavailable):
            _ = parts.journal
    with toolkit(way_out=True) as parts:
        assert isinstance(parts.journal, BrokenJournal)
        facts = parts.halts.facts()
        assert (facts.state, facts.journal.partition(":")[0]) == (HaltState.ENGAGED, "unreadable")
        assert parts.venue.live_orders().orders == ()


def test_a_shared_journal_that_cannot_be_reached_stops_entries_and_not_the_way_out_R2(exchange: Path) -> None:
    config = places.config_file()
    config.write_text('[profile.sim]\njournal = "postgresql://127.0.0.1:1/none"\n', encoding="utf-8")
    with toolkit() as parts, pytest.raises(PerpsctlError, match="cannot be reached"):
        _ = parts.journal
    with toolkit(way_out=True) as parts:
        assert isinstance(parts.journal, BrokenJournal)
        assert parts.venue.positions().positions == ()


def test_everything_is_closed_although_one_part_does_not_close(exchange: Path) -> None:
    parts = Toolkit(settings.load(profile=None, config=None))
    closed: list[str] = []
    trade, monitor, store = parts.venue, parts.venue_for(KeyPurpose.MONITOR), parts.store
    for name, part in (("trade", trade), ("monitor", monitor), ("store", store)):
        real = part.close

        def close(name: str = name, real: Any = real) -> None:
            real()
            closed.append(name)
            if name == "trade":
                raise OSError("the connection is in pieces")

        part.close = close  # type: ignore[method-assign]
    with pytest.raises(OSError, match="in pieces"):
        parts.close()
    assert set(closed) == {"trade", "monitor", "store"}
    with pytest.raises(JournalUnavailable):
        store.record_event(EventKind.HEARTBEAT, {})


def test_nothing_is_built_before_it_is_asked_for(perpsctl_home: Path) -> None:
    with toolkit() as parts:
        assert parts.latch.state().engaged is False
        assert parts.entry_denials() == ()
        assert parts.profile.environment is Environment.SIM
    assert not places.exchange_folder().exists()
    assert not (places.profile_folder("sim") / "journal.db").exists()
