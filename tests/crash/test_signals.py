"""L4, P4: a real process that is asked to stop, once, twice, thrice, wherever it is: no new order after the first signal,
what is under way is awaited, each further signal ends it sooner, and the journal is whole.
"""

import signal
from pathlib import Path

import pytest

from tests.crash.lab import ENDS_WITHIN_S, Lab
from tests.crash.marks import At
from tests.crash.signals import ask_to_stop, whole_afterwards
from tests.crash.stories import CANARY

pytestmark = [pytest.mark.scenario, pytest.mark.slow]

PARTLY_DONE = 10
TERM, INT, HUP = signal.SIGTERM, signal.SIGINT, signal.SIGHUP
IN_A_SEND = At(name="create: half of the bytes", hold_s=1)
PLACE = (
    "order",
    "place",
    "--product",
    "BTC-PERP",
    "--side",
    "buy",
    "--size",
    "0.01",
    "--price",
    "58000",
    "--post-only",
)


def live(lab: Lab) -> list[str]:
    final = {"FILLED", "CANCELLED", "EXPIRED", "FAILED"}
    return [order["order_id"] for order in lab.judge()["orders"] if order["status"] not in final]


def creates(lab: Lab) -> int:
    return sum(1 for request in lab.judge()["requests"] if request["operation"] == "create_order")


@pytest.mark.parametrize(("venue", "number"), [("us", INT), ("global", HUP), ("global", TERM)])
def test_L4_one_signal_to_a_resting_run_cancels_its_orders_and_ends_with_0(
    lab: Lab, tmp_path: Path, venue: str, number: signal.Signals
) -> None:
    run = lab.start(venue, *CANARY)
    assert run.wait_for_step("after journal.record_outcome"), run.wait()
    stopped = ask_to_stop(run, number, 1)
    assert stopped.ended.code == 0, stopped.ended
    assert stopped.new_orders == []
    assert creates(lab) == 1
    assert live(lab) == []
    assert whole_afterwards(lab, venue, tmp_path / "kept", stopped.ended) == []


@pytest.mark.parametrize(("venue", "number", "times"), [("us", TERM, 1), ("us", HUP, 2), ("global", INT, 2)])
def test_L4_a_send_under_way_is_awaited_and_no_other_begins(
    lab: Lab, tmp_path: Path, venue: str, number: signal.Signals, times: int
) -> None:
    at = IN_A_SEND if venue == "us" else At(name="create: after its frame", hold_s=1)
    run = lab.start(venue, *CANARY, at=at)
    assert run.wait_for_step(at.name), run.wait()
    stopped = ask_to_stop(run, number, times)
    assert stopped.ended.code == (0 if times == 1 else PARTLY_DONE), stopped.ended
    assert [each["left"] for each in stopped.ended.lefts].count("create") == 1
    assert creates(lab) == 1
    steps = [each.name for each in stopped.ended.steps]
    assert "after journal.record_outcome" in steps
    assert bool(live(lab)) is (
        times == 2 and venue == "us"
    )  # twice: without waiting for cancels; its socket's end cancels
    assert whole_afterwards(lab, venue, tmp_path / "kept", stopped.ended) == []


@pytest.mark.parametrize(("number", "times"), [(INT, 1), (TERM, 2), (TERM, 3), (INT, 3)])
def test_L4_a_run_that_waits_for_a_lost_reply_ends_sooner_with_each_signal(
    lab: Lab, tmp_path: Path, number: signal.Signals, times: int
) -> None:
    lab.control("POST", "/faults", {"name": "N15", "operation": "create_order"})
    run = lab.start("us", *CANARY)
    assert run.wait_for_step("create: after the last byte"), run.wait()
    stopped = ask_to_stop(run, number, times)
    assert creates(lab) == 1
    assert stopped.new_orders == []
    if times == 3:
        assert stopped.ended.code == 130, stopped.ended
        assert stopped.after_s < ENDS_WITHIN_S / 4  # the request alone would take eight seconds, and its search twenty
    else:
        assert stopped.ended.code in ((0, 5) if times == 1 else (5, PARTLY_DONE)), (
            stopped.ended
        )  # cancelled, doubtful, left
    assert whole_afterwards(lab, "us", tmp_path / "kept", stopped.ended) == []


@pytest.mark.parametrize(("moment", "number"), [("send", INT), ("send", TERM), ("reply", INT), ("reply", HUP)])
def test_P4_an_interrupted_place_leaves_one_order_at_most_and_a_whole_journal(
    lab: Lab, tmp_path: Path, moment: str, number: signal.Signals
) -> None:
    if moment == "reply":
        lab.control("POST", "/faults", {"name": "N15", "operation": "create_order"})
    running = lab.start("us", *PLACE, "--wait", "20s", at=IN_A_SEND if moment == "send" else None)
    assert running.wait_for_step(IN_A_SEND.name if moment == "send" else "create: after the last byte"), running.wait()
    stopped = ask_to_stop(running, number, 1)
    if number is INT:
        assert stopped.ended.code == 130, stopped.ended
        assert stopped.ended.data["code"] == "interrupted"
        assert "in doubt" in stopped.ended.data["fix"]
    else:
        assert stopped.ended.signal == number, stopped.ended
    assert creates(lab) <= 1
    assert whole_afterwards(lab, "us", tmp_path / "kept", stopped.ended) == []
