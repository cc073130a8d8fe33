"""Three hosts, each with a state folder and a latch of its own, share one journal on PostgreSQL (R1, R2, J5, X7, P12).

A host is a home of its own with processes of its own; what they share is the database and the exchange, whose record of
requests is the judge.
"""

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from perpsctl import places
from perpsctl.domain.ids import AccountKey
from perpsctl.journal.audit import KEY_FILE
from perpsctl.journal.opening import open_journal
from perpsctl.journal.senders import wait_for_senders
from perpsctl.latch import Latch
from perpsctl.simulator import launcher
from perpsctl.systemports import SystemClock, SystemIds
from tests.postgres import PASSWORD, Server, postgres_server
from tests.scenarios.homes import GENEROUS, Home, exchange_home

__all__ = ["postgres_server"]
pytestmark = [pytest.mark.scenario, pytest.mark.slow]

EACH = 30
ENOUGH = 6  # accepted orders of every host before the switch is engaged
TRIALS_WITHOUT_GATE = 3


@dataclass(frozen=True, slots=True)
class Hosts:
    """One exchange, one database, three homes."""

    homes: tuple[Home, ...]
    server: Server
    database: str

    @property
    def url(self) -> str:
        """With its password."""
        return self.server.url_over_tcp(self.database)

    @property
    def account(self) -> AccountKey:
        """The one they all trade."""
        running = launcher.status(self.homes[0].folder)
        assert running is not None
        return AccountKey(f"us:sim:{running.portfolio}")


def state_folder(home: Home) -> Path:
    """Where a host's latch, key and spool are."""
    return places.profile_folder("sim", home.environ)


@pytest.fixture
def hosts(tmp_path: Path, postgres_server: Server) -> Iterator[Hosts]:
    database = postgres_server.new_database()
    config = f"[profile.sim]\njournal = 'env:JOURNAL_URL'\n{GENEROUS}"
    with exchange_home(tmp_path / "host-a", config) as first:
        first.control("POST", "/state/switches", {"rate_limits": False})
        homes = [first, *(Home(tmp_path / name, config) for name in ("host-b", "host-c"))]
        for home in homes:
            home.environ["JOURNAL_URL"] = postgres_server.url_over_tcp(database)
        made = first.perpsctl("journal", "info")
        assert made.code == 0, made
        for home in homes[1:]:
            home.folder.parent.mkdir(parents=True, mode=0o700)
            home.folder.symlink_to(first.folder)  # the venue is one for all
            state_folder(home).mkdir(mode=0o700)
            shutil.copy(state_folder(first) / KEY_FILE, state_folder(home) / KEY_FILE)
        yield Hosts(tuple(homes), postgres_server, database)


@dataclass(frozen=True, slots=True)
class Race:
    """What one race showed."""

    accepted: tuple[int, ...]  # by host
    refused: int
    other: tuple[str, ...]
    late: int  # creates the exchange received after engage had returned
    last_after: timedelta  # the last create, counted from the beginning of engage


def engage_by_command(hosts: Hosts) -> tuple[datetime, datetime]:
    began = datetime.now(UTC)
    done = hosts.homes[0].perpsctl("killswitch", "engage", "--profile", "sim", "--reason", "race")
    assert done.data["state"] == "engaged"
    assert done.data["attestation"]["open_orders"] == []
    latched = Latch.of("sim", hosts.homes[0].environ).state().since
    assert latched is not None
    assert began <= latched
    return latched, datetime.now(UTC)


def engage_by_parts(hosts: Hosts) -> tuple[datetime, datetime]:
    """Latch, halt, wait: as the command does it, without what follows, so that the acknowledgement comes at once."""
    home = hosts.homes[0]
    journal = open_journal(state_folder(home), hosts.account, clock=SystemClock(), ids=SystemIds(), url=hosts.url)
    try:
        began = datetime.now(UTC)
        held = Latch.of("sim", home.environ).engage(reason="race", by="test", at=began)
        assert held.in_force
        assert Latch.of("sim", home.environ).close_gate().quiet
        journal.record_halt(engaged=True, reason="race", by="test")
        assert wait_for_senders(journal) == ()
        return began, datetime.now(UTC)
    finally:
        journal.close()


def release(hosts: Hosts) -> None:
    home = hosts.homes[0]
    journal = open_journal(state_folder(home), hosts.account, clock=SystemClock(), ids=SystemIds(), url=hosts.url)
    journal.record_halt(engaged=False, reason="again", by="test")
    journal.close()
    Latch.of("sim", home.environ).release(reason="again", by="test", at=datetime.now(UTC))


def race(hosts: Hosts, engage: Callable[[Hosts], tuple[datetime, datetime]], *extra: str) -> Race:
    placers = [home.spawn("tests.scenarios.placer", str(EACH), *extra) for home in hosts.homes]
    lines: list[list[dict[str, object]]] = [[] for _ in placers]
    enough = threading.Event()

    def accepted() -> tuple[int, ...]:
        return tuple(sum(1 for told in each if told["outcome"] == "accepted") for each in lines)

    def listen(placer: subprocess.Popen[str], mine: list[dict[str, object]]) -> None:
        assert placer.stdout is not None
        for line in placer.stdout:
            mine.append(json.loads(line))
            if min(accepted()) >= ENOUGH:
                enough.set()

    listeners = [threading.Thread(target=listen, args=pair) for pair in zip(placers, lines, strict=True)]
    for listener in listeners:
        listener.start()
    try:
        assert enough.wait(timeout=90), f"the placers placed too little: {[each[-2:] for each in lines]}"
        began, engaged = engage(hosts)
        for listener in listeners:
            listener.join(timeout=90)
    finally:
        for placer in placers:
            placer.kill()
            placer.communicate()
    requests = hosts.homes[0].judge()["requests"]
    creates = [datetime.fromisoformat(r["received_at"]) for r in requests if r["operation"] == "create_order"]
    told = [each for host in lines for each in host]
    refused = [each for each in told if each["why"] in (["kill_switch_engaged"], ["halted"])]
    return Race(
        accepted=accepted(),
        refused=len(refused),
        other=tuple(str(each) for each in told if each["outcome"] != "accepted" and each not in refused),
        late=sum(1 for at in creates if at > engaged),
        last_after=max(creates) - began,
    )


@pytest.mark.parametrize("engage", [engage_by_parts, engage_by_command])
def test_R1_engaged_on_one_host_no_order_leaves_any_other_after_it_returned(
    hosts: Hosts, engage: Callable[[Hosts], tuple[datetime, datetime]]
) -> None:
    found = race(hosts, engage)
    assert found.late == 0, found
    assert found.last_after <= timedelta(seconds=2), found
    assert min(found.accepted) >= ENOUGH, found
    assert found.refused >= len(hosts.homes), found
    # A starved machine may let a read grow old: denied for its age is no failure of the switch, anything else is.
    assert all("_stale" in told for told in found.other), found
    for other in hosts.homes[1:]:
        status = other.perpsctl("killswitch", "status")
        assert (status.data["state"], status.data["latch"], status.data["journal"]) == (
            "engaged",
            "released",
            "engaged",
        )


def test_R1_without_the_shared_gate_orders_of_other_hosts_slip_through(hosts: Hosts) -> None:
    """The counter-test: were it green without the gate, the one above would prove nothing."""
    for _ in range(TRIALS_WITHOUT_GATE):
        found = race(hosts, engage_by_parts, "--without-gate", "--held-up")
        if found.late:
            return
        release(hosts)
    pytest.fail("without the gate no order slipped through: the race proves nothing")


def test_R1_engage_waits_for_a_send_of_another_host_that_passed_the_gate_before_it(hosts: Hosts) -> None:
    """The same placers as in the counter-test, with their gate."""
    found = race(hosts, engage_by_parts, "--held-up")
    assert found.late == 0, found
    assert min(found.accepted) >= ENOUGH, found


PLACE = ("order", "place", "--product", "BTC-PERP", "--side", "buy", "--size", "0.01", "--type", "limit",
         "--price", "50000", "--post-only", "--again")  # fmt: skip


def test_R2_X7_without_the_database_no_entry_leaves_and_cancels_and_the_latch_still_work(hosts: Hosts) -> None:
    home, other = hosts.homes[0], hosts.homes[1]
    placed = home.perpsctl(*PLACE)
    assert placed.code == 0, placed
    hosts.server.stop()
    try:
        refused = other.perpsctl(*PLACE)
        assert (refused.code, refused.data["code"]) == (8, "journal_unavailable"), refused
        assert "cannot be reached" in refused.data["message"]
        assert PASSWORD not in json.dumps(refused.data) + refused.stderr
        creates = [each for each in home.judge()["requests"] if each["operation"] == "create_order"]
        assert len(creates) == 1
        engaged = other.perpsctl("killswitch", "engage", "--profile", "sim", "--reason", "database gone")
        assert engaged.code == 10, engaged  # the halt is in no journal, and says so
        assert engaged.data["attestation"]["latch_durable"] is True
        assert engaged.data["attestation"]["journal_durable"] is False
        assert engaged.data["attestation"]["open_orders"] == []
        assert home.live() == []
    finally:
        hosts.server.start()
    status = other.perpsctl("killswitch", "status")
    assert (status.data["latch"], status.data["journal"]) == ("engaged", "released")


def test_R2_without_the_database_a_position_is_closed_all_the_same_and_the_spool_keeps_it(hosts: Hosts) -> None:
    home, other = hosts.homes[0], hosts.homes[1]
    taken = home.perpsctl(
        "order", "place", "--product", "BTC-PERP", "--side", "buy", "--size", "0.01", "--type", "market"
    )
    assert taken.code == 0, taken
    hosts.server.stop()
    try:
        closed = other.perpsctl("positions", "flatten")
        held = other.perpsctl("positions", "list")
    finally:
        hosts.server.start()
    assert closed.code == 0, closed
    assert held.data["positions"] == [], held
    info = other.perpsctl("journal", "info")  # opening takes the spool in
    assert (info.code, info.data["spooled"]) == (0, 0), info
    roads = hosts.server.run(hosts.database, "SELECT payload FROM events WHERE kind = 'intent' ORDER BY seq")
    assert ['"spooled":true' in str(row[0]) for row in roads] == [False, True], roads


def test_P12_J5_one_host_runs_and_another_takes_over_when_it_died(hosts: Hosts) -> None:
    first, second = hosts.homes[:2]
    running = first.spawn("perpsctl.commands.app", "run", "--for", "60s", "--interval", "500ms", "--format", "json")
    try:
        for _ in range(200):
            if hosts.server.run(hosts.database, "SELECT 1 FROM leases WHERE holder IS NOT NULL"):
                break
            assert running.poll() is None
            time.sleep(0.05)
        held = second.perpsctl("run", "--ticks", "1")
        assert held.code == 9, held
        assert held.data["code"] == "lease_held"
        assert f"process {running.pid} on" in held.data["message"]
    finally:
        running.kill()
        running.communicate(timeout=60)
    taken = second.perpsctl("run", "--ticks", "1")
    assert taken.code == 0, taken
    fences = hosts.server.run(hosts.database, "SELECT fence FROM leases")
    assert fences == [(2,)]
