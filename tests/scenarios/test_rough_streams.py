"""A rough day on the sockets with real processes over loopback (W1, W5, W6, W10), and a market that stands still (M2).

The judge is the exchange: its list of orders, its account of every socket, and the book it tells whoever reads it.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.homes import Home, exchange_home

pytestmark = [pytest.mark.scenario, pytest.mark.slow]

VENUES = {"us": "sim", "global": "sim-global"}
SECONDS = 25
SETTLED_AFTER = 12  # seconds: imports, journal and the flood are behind it
FAULTS: tuple[dict[str, Any], ...] = (
    {"name": "W6", "params": {"when": "age", "seconds": 7}},
    {"name": "W1", "params": {"every": 5_000}},
    {"name": "W5", "params": {"channel": "ticker"}},
    {"name": "W10", "params": {"after_seconds": 3, "per_second": 20_000, "seconds": 2}},
)
GROWTH_MAX_KB = 4_000
POLLED = re.compile(
    r"reads stood in for the .+ streams? (once|\d+ times), [\d.]+ s( at the longest)?$|polling: .+ since \d\d:\d\d:\d\dZ"
)


@dataclass(slots=True)
class Rough:
    """One run through all of it: what it told, what the exchange saw, what the process held on to."""

    home: Home
    profile: str
    code: int = -1
    summary: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    talk: str = ""
    held: list[tuple[float, int, int, int]] = field(default_factory=list)  # after s: resident kB, threads, descriptors

    def connections(self) -> list[Any]:
        found = self.home.control("GET", "/streams")["connections"]
        assert isinstance(found, list)
        return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Rough]]:
    """Both venues at the same time, each in a home of its own."""
    with ExitStack() as stack:
        found: dict[str, Rough] = {}
        loops: dict[str, subprocess.Popen[str]] = {}
        for name, profile in VENUES.items():
            home = stack.enter_context(exchange_home(tmp_path_factory.mktemp(f"rough-{name}") / "home"))
            home.control("POST", "/scenario", {"faults": list(FAULTS)})
            found[name] = Rough(home, profile)
            loops[name] = home.spawn(
                "perpsctl.commands.app", "--profile", profile, "run", "--strategy", "canary", "--for", f"{SECONDS}s",
                "--format", "json",
            )  # fmt: skip
            stack.callback(loops[name].kill)
        sampled(found, loops)
        for name, loop in loops.items():
            told, talk = loop.communicate(timeout=60)
            data = json.loads(told)["data"]
            rough = found[name]
            rough.code, rough.talk = loop.returncode, talk
            rough.summary, rough.problems = data["summary"], tuple(data["problems"])
            rough.home.control("DELETE", "/faults")
        yield found


def sampled(runs: Mapping[str, Rough], loops: Mapping[str, "subprocess.Popen[str]"]) -> None:
    """Twice a second, until the runs are about to end: what each process holds on to."""
    began = time.monotonic()
    while (gone := time.monotonic() - began) < SECONDS - 1:
        for name, loop in loops.items():
            if sys.platform == "linux" and loop.poll() is None:
                runs[name].held.append((gone, *held_by(loop.pid)))
        time.sleep(0.5)


def held_by(pid: int) -> tuple[int, int, int]:
    """Resident kB, threads, descriptors."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    facts = dict(line.split(":", 1) for line in lines)
    return int(facts["VmRSS"].split()[0]), int(facts["Threads"]), len(os.listdir(f"/proc/{pid}/fd"))


@pytest.fixture(params=VENUES)
def rough(request: pytest.FixtureRequest, runs: Mapping[str, Rough]) -> Rough:
    return runs[request.param]


def test_W1_W6_W10_each_fault_really_struck(rough: Rough) -> None:
    """A rough day that was none would prove nothing."""
    connections = rough.connections()
    assert sum(each["gaps"] for each in connections) >= 1
    assert sum(each["closed_by"] == "fault" for each in connections) >= 3
    floods = [each["flood"] for each in connections if each["flood"]]
    assert len(floods) == 1
    assert floods[0]["sent"] >= 5_000
    assert sum(each["mutes"].get("ticker", 0) for each in connections) > 100


def test_W1_W6_W10_the_run_ends_done_with_its_book_equal_to_the_exchanges(rough: Rough) -> None:
    assert rough.code == 0, (rough.summary, rough.problems, rough.talk)
    proof = rough.summary["book_proof"]
    assert proof["agreed"] is True, (proof, rough.problems)
    assert proof["levels"] >= 20


def test_I1_no_order_is_lost_or_doubled_and_reconcile_finds_nothing(rough: Rough) -> None:
    orders = rough.home.judge()["orders"]
    named = Counter(order["client_order_id"] for order in orders)
    assert [name for name, times in named.items() if times > 1] == []
    told = rough.home.perpsctl("order", "list", "--all", "--profile", rough.profile).data
    assert told["in_doubt"] == told["orders"] == []
    assert {each["intent_id"] for each in told["over"] if each["ours"]} == set(named), "the journal's, each of them"
    assert len(orders) == rough.summary["accepted"]
    assert rough.summary["accepted"] >= 2
    assert rough.summary["unknown"] == 0
    assert rough.home.live() == []
    compared = rough.home.perpsctl("reconcile", "--profile", rough.profile)
    assert (compared.code, compared.data["breaks"], compared.data["unread"]) == (0, [], [])


def test_W6_every_recovery_took_less_than_30_s_and_the_figures_add_up(rough: Rough) -> None:
    summary = rough.summary
    reconnects = sum(each["closed_by"] == "fault" for each in rough.connections())
    assert summary["recovery_s"]["samples"] >= 2
    assert Decimal(summary["recovery_s"]["max"]) < 30
    assert 2 <= summary["reconnects"] <= reconnects
    assert summary["gaps"] >= 1
    assert Decimal(summary["data_age_ms"]["p50"]) < 500


def test_uptime_counts_a_mute_mark_where_the_venue_streams_one_and_no_quiet_tape(rough: Rough) -> None:
    """US derives its mark from the book: a ticker speaks at each match there and may be silent. Global's is the mark (W5)."""
    uptime = Decimal(rough.summary["stream_uptime"])
    if rough.profile == "sim":
        assert Decimal("0.5") < uptime < Decimal("0.999")
    else:
        assert uptime == 0
        assert any("ticker" in problem for problem in rough.problems)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_threads_and_descriptors_are_flat_after_the_flood(rough: Rough) -> None:
    settled = [(kb, threads, files) for gone, kb, threads, files in rough.held if gone >= SETTLED_AFTER]
    assert len(settled) > 10
    first, last = settled[0], settled[-1]
    assert last[0] - first[0] < GROWTH_MAX_KB, rough.held
    assert max(threads for _, threads, _ in settled) <= 4
    assert max(files for _, _, files in settled) - min(files for _, _, files in settled) <= 4


def test_the_run_says_in_plain_words_what_was_polled(rough: Rough) -> None:
    """Outages shorter than a second are counted and not told, so which streams are named depends on the day."""
    told = [problem for problem in rough.problems if problem.startswith(("reads", "polling"))]
    assert all(POLLED.match(problem) for problem in told), rough.problems
    if rough.profile == "sim-global":  # its mark comes from the mute ticker: that one is always told
        assert any("polling: ticker" in problem for problem in rough.problems), rough.problems
    assert "Traceback" not in rough.talk


# --- a market that stands still ---------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", VENUES.values())
def test_M2_a_stale_market_denies_an_entry_with_age_and_bound_and_exits_still_work(
    tmp_path: Path, profile: str
) -> None:
    with exchange_home(tmp_path / "home") as home:
        bought = home.perpsctl(
            "order", "place", "--product", "BTC-PERP", "--side", "buy", "--contracts", "2", "--type", "market",
            "--profile", profile,
        )  # fmt: skip
        assert bought.code == 0, bought
        assert home.perpsctl("sim", "scenario", "stale-market").code == 0
        time.sleep(5.5)  # past the bound of a mark, 5 s
        denied = home.perpsctl(
            "order", "place", "--product", "BTC-PERP", "--side", "buy", "--size", "0.01", "--price", "60000",
            "--post-only", "--profile", profile,
        )  # fmt: skip
        assert denied.code == 3, denied
        told = {each["code"]: each for each in denied.data["denials"]}
        for code, bound in (("book_stale", 2), ("mark_stale", 5)):
            assert told[code]["limit"] == str(bound)
            assert bound < Decimal(told[code]["observed"]) < 60
        assert len(home.judge()["orders"]) == 1, "the entry was never sent"
        flat = home.perpsctl("positions", "flatten", "--yes", "--profile", profile)
        assert flat.code == 0, flat
        assert home.perpsctl("positions", "list", "--profile", profile).data["positions"] == []
        assert home.live() == []


# --- sockets that refuse or say nothing, as the checks see them -----------------------------------------------------


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with exchange_home(tmp_path_factory.mktemp("checked") / "home") as home:
        for profile in VENUES.values():
            assert home.perpsctl("reconcile", "--profile", profile).code == 0  # the journal is there
        yield home


@pytest.mark.parametrize(
    ("profile", "fault", "command", "red", "fix"),
    [
        ("sim", {"name": "W7", "operation": "us_user", "count": 1000}, "preflight", "streams.account", "key"),
        ("sim", {"name": "W5", "params": {"channel": "level2"}}, "probe", "streams.books", "tells nothing"),
        (
            "sim-global",
            {"name": "W7", "operation": "global_streams", "count": 1000},
            "preflight",
            "streams.books",
            "will not stream",
        ),
        (
            "sim-global",
            {"name": "W6", "operation": "global_trading", "count": 1000, "params": {"when": "subscribe"}},
            "probe",
            "streams.account",
            "road",
        ),
    ],
)
def test_W5_W6_W7_a_socket_that_refuses_or_says_nothing_turns_its_own_check_red_and_no_other(
    checked: Home, profile: str, fault: Mapping[str, Any], command: str, red: str, fix: str
) -> None:
    checked.control("DELETE", "/faults")
    checked.control("POST", "/faults", fault)
    report = checked.perpsctl(command, "--profile", profile)
    assert report.code == 1
    failed = {each["id"]: each for each in report.data["checks"] if each["status"] not in ("pass", "warn")}
    assert set(failed) == {red}
    assert failed[red]["status"] == "fail"
    assert fix in failed[red]["fix"]


def test_A2_what_needs_a_key_the_venue_refuses_is_skipped_with_its_reason_and_books_stream_on(checked: Home) -> None:
    checked.control("DELETE", "/faults")
    checked.control("POST", "/faults", {"name": "A2", "count": 1000})
    report = checked.perpsctl("probe", "--profile", "sim")
    assert report.code != 0
    found = {each["id"]: each for each in report.data["checks"]}
    assert found["streams.account"]["status"] == "skip"
    assert "auth.trade" in found["streams.account"]["evidence"]
    assert found["streams.books"]["status"] == "pass"
    checked.control("DELETE", "/faults")
