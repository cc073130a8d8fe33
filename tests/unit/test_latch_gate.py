"""The gate: nobody passes after engage has returned, from any process (R1); the counter-test shows the test can fail."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from perpsctl import gate as gate_room
from perpsctl.domain.ports import GateShut
from perpsctl.latch import GATE_FILE, Latch

AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


@pytest.fixture
def latch(perpsctl_home: Path) -> Latch:
    made = Latch.of("sim")
    made.folder.mkdir(parents=True)
    return made


# Each sender looks at the switch, hesitates as a send does, and then writes the moment at which it still sent.
SENDER = """
import os, sys, time
from perpsctl.latch import Latch
from perpsctl.domain.ports import GateShut
latch, gated, out = Latch.of("sim"), sys.argv[1] == "gated", os.open(sys.argv[2], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
print("ready", flush=True)
ends = time.monotonic() + 20
def send():
    time.sleep(0.0003)
    os.write(out, b"%d\\n" % time.monotonic_ns())
while time.monotonic() < ends:
    if gated:
        try:
            with latch.gate():
                send()
        except GateShut:
            break
    elif latch.state().engaged:
        break
    else:
        send()
"""


def race(latch: Latch, tmp_path: Path, kind: str) -> tuple[int, int]:
    """(sends before engage returned, sends after it did), of four processes."""
    outs = [tmp_path / f"{kind}-{number}" for number in range(4)]
    senders = [
        subprocess.Popen([sys.executable, "-c", SENDER, kind, str(out)], stdout=subprocess.PIPE, text=True)
        for out in outs
    ]
    try:
        for sender in senders:
            assert sender.stdout is not None
            assert sender.stdout.readline() == "ready\n"
        time.sleep(0.05)
        assert latch.engage(reason="race", by="test", at=AT).durable
        closed = latch.close_gate()
        engaged_at = time.monotonic_ns()
        assert closed.quiet or kind == "ungated"
        for sender in senders:
            assert sender.wait(timeout=30) == 0
    finally:
        for sender in senders:
            sender.kill()
            sender.communicate()
    sends = [int(line) for out in outs for line in out.read_text().split()]
    return sum(sent <= engaged_at for sent in sends), sum(sent > engaged_at for sent in sends)


def test_no_send_starts_or_ends_after_engage_has_returned_R1(latch: Latch, tmp_path: Path) -> None:
    for trial in range(5):
        folder = tmp_path / str(trial)
        folder.mkdir()
        before, after = race(latch, folder, "gated")
        assert before > 20
        assert after == 0
        latch.release(reason="next trial", by="test", at=AT)


def test_without_the_gate_the_same_race_lets_sends_through(latch: Latch, tmp_path: Path) -> None:
    """Looking at the switch is not enough: this shows that the test above can fail."""
    late = 0
    for trial in range(40):
        folder = tmp_path / str(trial)
        folder.mkdir()
        late += race(latch, folder, "ungated")[1]
        latch.release(reason="next trial", by="test", at=AT)
        if late:
            break
    assert late > 0


def test_a_stuck_sender_is_named_and_not_waited_for_longer_than_asked_R1(latch: Latch) -> None:
    script = (
        "import time; from perpsctl.latch import Latch\n"
        "with Latch.of('sim').gate():\n"
        "    print('inside', flush=True); time.sleep(30)\n"
    )
    stuck = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert stuck.stdout is not None
        assert stuck.stdout.readline() == "inside\n"
        latch.engage(reason="r", by="b", at=AT)
        begun = time.monotonic()
        closed = latch.close_gate(wait_ms=100)
        assert time.monotonic() - begun < 2
        assert not closed.quiet
        assert closed.stuck[0].startswith(f"process {stuck.pid} (")
        os.kill(stuck.pid, signal.SIGKILL)
        stuck.wait(timeout=10)
        assert latch.close_gate().quiet  # the lock dies with its holder
    finally:
        stuck.kill()
        stuck.communicate()


def test_threads_hold_the_gate_together_and_engage_waits_for_the_last(latch: Latch) -> None:
    gate = latch.gate()
    inside, leave = threading.Barrier(4), threading.Event()

    def send() -> None:
        with gate:
            inside.wait(timeout=10)
            leave.wait(timeout=10)

    threads = [threading.Thread(target=send) for _ in range(3)]
    for each in threads:
        each.start()
    inside.wait(timeout=10)
    assert latch.close_gate(wait_ms=20).stuck[0].startswith(f"process {os.getpid()}")
    leave.set()
    for each in threads:
        each.join(timeout=10)
    assert latch.close_gate().quiet


def test_leaving_the_gate_frees_it_although_a_child_was_forked_inside_P9(latch: Latch) -> None:
    gate = latch.gate()
    with gate:
        os.set_inheritable(gate._held[0], True)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"], close_fds=False)
    try:
        assert latch.close_gate(wait_ms=50).quiet
    finally:
        child.kill()
        child.wait()


def test_an_error_inside_the_gate_frees_it(latch: Latch) -> None:
    with pytest.raises(ZeroDivisionError), latch.gate():
        raise ZeroDivisionError
    assert latch.close_gate(wait_ms=0).quiet


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS])
def test_a_file_system_without_locks_shuts_the_gate_and_says_so_D12(
    latch: Latch, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(held: int, kind: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(GateShut, match="cannot be used here"):
        latch.gate().__enter__()
    closed = latch.close_gate()
    assert not closed.quiet
    assert "cannot be used" in closed.trouble


def test_a_removed_folder_shuts_the_gate_D8(latch: Latch) -> None:
    latch.folder.rmdir()
    with pytest.raises(GateShut, match="cannot be opened"):
        latch.gate().__enter__()


def test_a_lock_planted_as_a_symlink_shuts_the_gate_S6(latch: Latch, tmp_path: Path) -> None:
    (latch.folder / GATE_FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(GateShut, match="cannot be opened"):
        latch.gate().__enter__()
    assert not (tmp_path / "elsewhere").exists()


def test_a_lock_that_was_replaced_excludes_nobody_and_is_not_trusted(
    latch: Latch, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = latch.folder / GATE_FILE
    real = gate_room._try_lock
    swapped: list[int] = []

    def lock_then_swap(held: int, kind: int) -> bool:
        taken = real(held, kind)
        if not swapped:
            swapped.append(held)
            path.unlink()
            path.touch()
        return taken

    monkeypatch.setattr(gate_room, "_try_lock", lock_then_swap)
    with latch.gate():
        assert not latch.close_gate(wait_ms=5).quiet  # the gate is held on the file that is there now


def test_an_engage_between_the_first_look_and_the_lock_is_seen_R1(
    latch: Latch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look that counts is the one under the lock."""
    real = gate_room._try_lock

    def engage_then_lock(held: int, kind: int) -> bool:
        monkeypatch.setattr(gate_room, "_try_lock", real)
        assert latch.engage(reason="just now", by="test", at=AT).durable
        assert latch.close_gate().quiet
        return real(held, kind)

    monkeypatch.setattr(gate_room, "_try_lock", engage_then_lock)
    with pytest.raises(GateShut):
        latch.gate().__enter__()
    assert latch.close_gate(wait_ms=0).quiet  # and it left no lock behind


def test_a_sender_that_meets_a_closing_gate_is_refused_in_bounded_time(
    latch: Latch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_room, "SENDERS_MAY_TAKE_MS", 30)
    held = os.open(latch.folder / GATE_FILE, os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(GateShut, match="stays locked"):
            latch.gate().__enter__()
    finally:
        os.close(held)


@pytest.fixture(autouse=True)
def no_descriptor_leaks() -> Iterator[None]:
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    yield
    after = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    assert after <= before
