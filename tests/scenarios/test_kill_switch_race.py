"""R1: no create starts after engage's latch step has returned. The exchange's own record of requests is the judge."""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from perpsctl.latch import Latch
from tests.scenarios.homes import GENEROUS, Home, exchange_home

pytestmark = [pytest.mark.scenario, pytest.mark.slow]

PLACERS = 4
EACH = 50
ENOUGH = 24
TRIALS_WITHOUT_GATE = 5


@dataclass(frozen=True, slots=True)
class Race:
    """What one race showed."""

    accepted: int
    refused: int
    other: tuple[str, ...]
    late: int  # creates the exchange received after engage had returned


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with exchange_home(tmp_path / "home", GENEROUS) as running:
        running.control("POST", "/state/switches", {"rate_limits": False})
        yield running


def engage_by_latch(home: Home) -> datetime:
    latch = Latch.of("sim", home.environ)
    held = latch.engage(reason="race", by="test", at=datetime.now(UTC))
    assert held.in_force
    assert held.durable
    assert latch.close_gate().quiet
    return datetime.now(UTC)


def engage_by_command(home: Home) -> datetime:
    done = home.perpsctl("killswitch", "engage", "--profile", "sim", "--reason", "race")
    now = datetime.now(UTC)
    assert done.data["state"] == "engaged"
    assert done.data["attestation"]["open_orders"] == []
    return now


def race(home: Home, engage: Callable[[Home], datetime], *extra: str) -> Race:
    placers = [home.spawn("tests.scenarios.placer", str(EACH), *extra) for _ in range(PLACERS)]
    lines: list[dict[str, object]] = []
    enough = threading.Event()

    def listen(placer: subprocess.Popen[str]) -> None:
        assert placer.stdout is not None
        for line in placer.stdout:
            lines.append(json.loads(line))
            if sum(1 for told in lines if told["outcome"] == "accepted") >= ENOUGH:
                enough.set()

    listeners = [threading.Thread(target=listen, args=(placer,)) for placer in placers]
    for listener in listeners:
        listener.start()
    try:
        assert enough.wait(timeout=90), f"the placers placed too little: {lines[-3:]}"
        engaged_at = engage(home)
        for listener in listeners:
            listener.join(timeout=90)
    finally:
        for placer in placers:
            placer.kill()
            placer.communicate()
    requests = [r for r in home.judge()["requests"] if r["operation"] == "create_order"]
    late = sum(1 for r in requests if datetime.fromisoformat(r["received_at"]) > engaged_at)
    # `halted` is the same switch met in the journal, inside the verdict's transaction.
    refused = [told for told in lines if told["why"] in (["kill_switch_engaged"], ["halted"])]
    return Race(
        accepted=sum(1 for told in lines if told["outcome"] == "accepted"),
        refused=len(refused),
        other=tuple(str(told) for told in lines if told["outcome"] != "accepted" and told not in refused),
        late=late,
    )


@pytest.mark.parametrize("engage", [engage_by_latch, engage_by_command])
def test_R1_no_order_is_sent_after_engage_returned(home: Home, engage: Callable[[Home], datetime]) -> None:
    found = race(home, engage)
    assert found.late == 0, found
    assert found.accepted >= 20, found
    assert found.refused >= 20, found
    # A starved machine may let a read grow old: denied for its age is no failure of the switch, anything else is.
    assert all("_stale" in told for told in found.other), found
    assert found.accepted + found.refused + len(found.other) == PLACERS * EACH


def test_R1_the_same_race_without_the_gate_lets_orders_through(home: Home) -> None:
    """The counter-test: were it green without the gate, the one above would prove nothing."""
    for _ in range(TRIALS_WITHOUT_GATE):
        found = race(home, engage_by_latch, "--without-gate")
        if found.late:
            return
        Latch.of("sim", home.environ).release(reason="again", by="test", at=datetime.now(UTC))
    pytest.fail("without the gate no order slipped through: the race proves nothing")
