"""`probe` and `preflight` on the embedded exchange: green when all is well, and each real fault turns its own check red."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from perpsctl.checks.preflight import PREFLIGHT
from perpsctl.checks.probe import PROBE

REPOSITORY = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-c", "import sys; from perpsctl.commands.app import main; sys.exit(main())")
pytestmark = pytest.mark.slow

SIGNED_PROBE = {
    "auth.trade",
    "key.trade.permissions",
    "keys.least_privilege",
    "portfolio.pinned",
    "account.readable",
    "positions.readable",
    "orders.readable",
    "order.preview",
    "fees.known",
    "margin.window",
    "streams.account",
    "rate.headers",
    "latency.reads",
}
SIGNED_PREFLIGHT = {
    "auth.trade",
    "keys.least_privilege",
    "portfolio.pinned",
    "products.status",
    "products.increments",
    "book.liquidity",
    "funding.known",
    "quiet.window",
    "margin.level",
    "margin.window",
    "streams.account",
    "limits.feasible",
    "positions.booked",
    "loss.headroom",
    "risk.verdict",
}
FROM_JOURNAL = {
    "orders.in_doubt",
    "exits.pending",
    "lease.free",
    "products.increments",
    "positions.booked",
    "loss.headroom",
    "risk.verdict",
}


@dataclass(frozen=True)
class Home:
    """A home of its own with its exchange; commands run as an operator's would."""

    path: Path

    def run(self, *arguments: str, script: str = "") -> "subprocess.CompletedProcess[str]":
        start = (sys.executable, script) if script else COMMAND
        return subprocess.run(
            [*start, *arguments],
            env={
                "PATH": os.environ["PATH"],
                "PERPSCTL_HOME": str(self.path),
                "PYTHONPATH": str(REPOSITORY),
                "COLUMNS": "160",
            },
            cwd=self.path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def report(self, command: str, *, code: int) -> Mapping[str, Any]:
        """The report's data; what is not `pass` is under `bad`, by id."""
        ended = self.run(command, "--format", "json")
        assert (ended.returncode, ended.stderr) == (code, ""), ended.stdout + ended.stderr
        document = json.loads(ended.stdout)
        checks = document["data"]["checks"]
        bad = {row["id"]: row["status"] for row in checks if row["status"] != "pass"}
        told = {row["id"]: row["evidence"] for row in checks}
        return {**document["data"], "bad": bad, "told": told, "warnings": document["warnings"]}

    def journal_file(self) -> Path:
        return self.path / "state/sim/journal.db"

    def use_trade_key(self, key: Path) -> None:
        (self.path / "perpsctl.toml").write_text(f'[profile.sim.keys]\ntrade = "{key}"\n', encoding="utf-8")
        (self.path / "perpsctl.toml").chmod(0o600)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("home"))
    begun = home.run("sim", "start", "--idle-minutes", "10")
    assert begun.returncode == 0, begun.stderr
    yield home
    home.run("sim", "stop")


@pytest.fixture
def home(started: Home) -> Iterator[Home]:
    """The same exchange, without the last test's faults and keys."""
    yield started
    started.run("sim", "fault", "disarm")
    (started.path / "perpsctl.toml").unlink(missing_ok=True)


def arm(home: Home, fault: str, *options: str) -> None:
    armed = home.run("sim", "fault", "arm", fault, *options)
    assert armed.returncode == 0, armed.stderr


# --- all is well ------------------------------------------------------------------------------------


def test_probe_passes_with_evidence_in_every_row(home: Home) -> None:
    report = home.report("probe", code=0)
    assert report["verdict"] == "pass"
    assert [row["id"] for row in report["checks"]] == [check.id for check in PROBE]
    assert len(report["checks"]) >= 16
    assert report["bad"] == {}
    assert all(row["evidence"] for row in report["checks"])
    assert all(isinstance(row["took_ms"], int) and "fix" in row for row in report["checks"])
    assert report["told"]["auth.trade"].startswith("5 of 5 accepted, p50 ")
    assert "deferred to the canary" in report["told"]["order.preview"]
    assert "HTTP 404" in report["told"]["retired.refused"]
    assert report["warnings"] == []


def test_preflight_passes_and_junit_says_the_same(home: Home) -> None:
    home.run("probe", "--quiet", "--format", "json")  # the first run ever has no grids to compare with
    report = home.report("preflight", code=0)
    assert report["verdict"] == "pass"
    assert set(report["bad"]) <= {"loss.headroom"}  # no baseline before the first order
    assert len(report["checks"]) >= 16
    ended = home.run("preflight", "--format", "junit")
    assert ended.returncode == 0
    suite = ET.fromstring(ended.stdout)
    assert [case.get("name") for case in suite] == [check.id for check in PREFLIGHT]
    assert (suite.get("failures"), suite.get("errors"), suite.get("skipped")) == ("0", "0", "0")
    assert all(case.findtext("system-out") for case in suite)


def test_a_person_sees_rows_on_stderr_while_they_run_and_the_table_on_stdout(home: Home) -> None:
    ended = home.run("probe", "--no-color")
    assert ended.returncode == 0
    assert [line.split()[1] for line in ended.stderr.splitlines()] == [check.id for check in PROBE]
    assert "verdict" in ended.stdout
    quiet = home.run("probe", "--quiet")
    assert quiet.stderr == ""
    assert "PASS" in quiet.stdout


def test_the_run_stands_in_the_journal(home: Home) -> None:
    before = json.loads(home.run("journal", "check", "--format", "json").stdout)["data"]["integrity"]
    home.report("preflight", code=0)
    after = json.loads(home.run("journal", "check", "--format", "json").stdout)["data"]["integrity"]
    assert after["rows"] == before["rows"] + 1
    assert after["sound"] is True


@pytest.mark.parametrize(("script", "command"), [("capability_probe", "probe"), ("preflight_check", "preflight")])
def test_the_scripts_are_thin_doors_to_the_commands(home: Home, script: str, command: str) -> None:
    ended = home.run("--format", "json", "--quiet", script=str(REPOSITORY / f"scripts/{script}.py"))
    assert ended.returncode == 0
    assert json.loads(ended.stdout)["command"] == command
    refused = home.run("--format", "nonsense", script=str(REPOSITORY / f"scripts/{script}.py"))
    assert refused.returncode == 2


# --- each fault its own check -----------------------------------------------------------------------


def test_an_address_off_the_list_A4(home: Home) -> None:
    arm(home, "A4")
    probe, preflight = home.report("probe", code=1), home.report("preflight", code=1)
    for report, signed in ((probe, SIGNED_PROBE), (preflight, SIGNED_PREFLIGHT)):
        assert report["verdict"] == "fail"
        assert report["bad"]["address.allowed"] == "fail"
        assert report["bad"]["auth.trade"] == "unknown"
        assert set(report["bad"]) == signed | {"address.allowed", "auth.monitor", "auth.analytics"}
    assert "allowlist" in probe["told"]["address.allowed"]


def test_a_clock_130_s_off_A1(home: Home) -> None:
    arm(home, "A1", "--param", "seconds=130")
    for command, signed in (("probe", SIGNED_PROBE), ("preflight", SIGNED_PREFLIGHT)):
        report = home.report(command, code=1)
        assert report["bad"]["clock.skew"] == "fail"
        assert report["told"]["clock.skew"].startswith(("our clock is 129", "our clock is 130"))
        assert set(report["bad"]) == signed | {"clock.skew", "address.allowed", "auth.monitor", "auth.analytics"}
        assert {status for check_id, status in report["bad"].items() if check_id != "clock.skew"} == {"skip"}


def test_a_key_file_of_30_bytes(home: Home, tmp_path: Path) -> None:
    key = tmp_path / "short.json"
    key.write_bytes(b"x" * 30)
    key.chmod(0o600)
    home.use_trade_key(key)
    for command, signed in (("probe", SIGNED_PROBE), ("preflight", SIGNED_PREFLIGHT)):
        report = home.report(command, code=1)
        assert report["bad"]["key.trade.file"] == "fail"
        assert "30 bytes" in report["told"]["key.trade.file"]
        assert set(report["bad"]) == signed | {"key.trade.file", "address.allowed"}
        assert {status for check_id, status in report["bad"].items() if check_id != "key.trade.file"} == {"skip"}


def test_a_key_others_can_read(home: Home, tmp_path: Path) -> None:
    key = tmp_path / "open.json"
    key.write_bytes((home.path / "state/.exchange/keys/trade.json").read_bytes())
    key.chmod(0o644)
    home.use_trade_key(key)
    report = home.report("probe", code=1)
    assert report["bad"]["key.trade.file"] == "fail"
    assert "mode 0644" in report["told"]["key.trade.file"]


def test_a_wrong_key_is_told_from_a_bad_address_and_shows_no_secret_S1(home: Home, tmp_path: Path) -> None:
    pem = (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        .decode("ascii")
    )
    key = tmp_path / "wrong.json"
    key.write_text(json.dumps({"name": "organizations/o/apiKeys/k", "privateKey": pem}), encoding="utf-8")
    key.chmod(0o600)
    home.use_trade_key(key)
    for command, signed in (("probe", SIGNED_PROBE), ("preflight", SIGNED_PREFLIGHT)):
        report = home.report(command, code=1)
        assert report["bad"]["auth.trade"] == "fail"
        assert report["bad"]["address.allowed"] == "unknown"
        assert set(report["bad"]) == signed | {"address.allowed"}
        assert "HTTP 401" in report["told"]["auth.trade"]
    shown = home.run("probe", "--verbose")
    assert not any(line in shown.stdout + shown.stderr for line in pem.splitlines()[1:-1])


def test_a_corrupt_journal_stops_neither_command_and_the_first_bad_row_is_named_D7(home: Home) -> None:
    home.report("probe", code=0)
    file = home.journal_file()
    sound = {each: each.read_bytes() for each in file.parent.iterdir() if each.name.startswith("journal")}
    try:
        content = file.read_bytes()
        at = content.index(b'"verdict":"pass"')
        file.write_bytes(content[:at] + b'"verdict":"PASS"' + content[at + 16 :])
        report = home.report("preflight", code=1)
        assert report["bad"]["journal.integrity"] == "fail"
        assert "first bad row " in report["told"]["journal.integrity"]
        expected = FROM_JOURNAL | {"journal.integrity", "killswitch.released"}
        assert set(report["bad"]) == expected
        assert "unreadable" in report["told"]["killswitch.released"]  # what cannot be read counts as engaged (R2)
        assert {report["bad"][each] for each in FROM_JOURNAL} == {"skip"}
        assert len(report["warnings"]) == 1
        assert "not in the journal" in report["warnings"][0]
        probe = home.report("probe", code=0)  # the venue is well, and the record's trouble is said
        assert "not in the journal" in probe["warnings"][0]
        suite = ET.fromstring(home.run("preflight", "--format", "junit").stdout)
        assert suite.find("testcase[@name='journal.integrity']/failure") is not None
    finally:
        for path, content in sound.items():
            path.write_bytes(content)


@pytest.mark.parametrize(
    ("fault", "options", "check_id"),
    [
        ("A3", (), "key.trade.permissions"),
        ("A6", (), "portfolio.pinned"),
        ("A7", (), "keys.least_privilege"),
        ("N9", ("--operation", "get_time"), "venue.reachable"),
    ],
)
def test_other_faults_turn_their_check_red(home: Home, fault: str, options: tuple[str, ...], check_id: str) -> None:
    arm(home, fault, *options, "--count", "1000")
    report = home.report("probe", code=1)
    assert report["bad"][check_id] == "fail"


def test_a_good_token_refused_now_and_then_is_told_and_stops_nothing_A5(home: Home) -> None:
    arm(home, "A5", "--operation", "get_key_permissions", "--nth", "3", "--count", "1")
    report = home.report("probe", code=0)
    assert report["bad"] == {"auth.trade": "warn"}
    assert "1 refusal (HTTP 401)" in report["told"]["auth.trade"]


def test_a_key_in_variables_that_are_not_set_is_named(home: Home) -> None:
    (home.path / "perpsctl.toml").write_text('[profile.sim.keys]\nmonitor = "env:NOBODYS"\n', encoding="utf-8")
    report = home.report("probe", code=1)
    assert report["bad"] == {
        "key.monitor.file": "fail",
        "auth.monitor": "skip",
        "keys.least_privilege": "unknown",
    }
    assert "NOBODYS_NAME" in report["told"]["key.monitor.file"]


def test_an_engaged_switch_is_told_with_its_reason(home: Home) -> None:
    assert home.run("killswitch", "engage", "--reason", "test of checks").returncode == 0
    try:
        report = home.report("preflight", code=1)
        assert report["bad"]["killswitch.released"] == "fail"
        assert "test of checks" in report["told"]["killswitch.released"]
    finally:
        released = home.run("killswitch", "release", "--ack", "test is over")
        assert released.returncode == 0, released.stderr


def test_the_sandbox_is_recognised_as_no_venue_and_nothing_is_sent(home: Home) -> None:
    (home.path / "perpsctl.toml").write_text('[profile.box]\nenvironment = "sandbox"\n', encoding="utf-8")
    ended = home.run("probe", "--profile", "box", "--format", "json")
    assert ended.returncode == 1
    rows = {row["id"]: row for row in json.loads(ended.stdout)["data"]["checks"]}
    assert "canned answers, not a venue" in rows["profile.environment"]["evidence"]
    assert rows["venue.reachable"]["status"] == "skip"
