"""`watch` on a living exchange in each form: one document, a line a look, a screen; Ctrl-C ends it well."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Ask, surroundings
from tests.cli.schemas import problems, schema

pytestmark = pytest.mark.slow
WATCH = [sys.executable, "-m", "perpsctl.commands.app", "watch", "--interval", "300ms"]


def test_one_look_is_one_document_and_changes_nothing(exchange: Path, ask: Ask) -> None:
    rows = ask("journal", "info").data["rows"]
    seen = ask("watch")
    assert seen.code == 0
    assert seen.data["switch"]["state"] == "released"
    assert seen.data["account"]["equity"]
    assert {each["part"] for each in seen.data["streams"]["channels"]} >= {"book", "orders"}
    assert {each["limit"] for each in seen.data["limits"]} >= {"position_max_share", "daily_loss_max_share"}
    assert ask("journal", "info").data["rows"] == rows


@pytest.mark.parametrize("profile", ["sim", "sim-global"])
def test_json_lines_are_a_look_each(exchange: Path, run: Ask, profile: str) -> None:
    said = run("watch", "--ticks", "3", "--interval", "200ms", "--format", "jsonl", "--profile", profile)
    looks = [json.loads(line) for line in said.out.splitlines()]
    assert len(looks) == 3
    home = schema("watch")
    for look in looks:
        assert problems(look, home["properties"]["data"], home) == []
    assert looks[-1]["book"]["source"] == "stream"


def test_without_a_terminal_a_look_is_a_line_without_escapes(exchange: Path, run: Ask) -> None:
    said = run("watch", "--ticks", "2", "--interval", "200ms")
    assert said.code == 0
    assert len(said.out.splitlines()) == 2
    assert all("switch released" in line and line.isprintable() for line in said.out.splitlines())


def test_a_product_nobody_offers_is_a_usage_error(exchange: Path, ask: Ask) -> None:
    assert ask("watch", "--product", "DOGE-PERP").code == 2


def test_ctrl_c_ends_the_view_with_0(exchange: Path) -> None:
    view = subprocess.Popen(
        WATCH, env=surroundings(exchange), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert view.stdout is not None
        assert "switch released" in view.stdout.readline()
        view.send_signal(signal.SIGINT)
        _, err = view.communicate(timeout=20)
    finally:
        view.kill()
    assert view.returncode == 0, err
    assert err == ""


def test_P10_on_a_terminal_of_untold_size_it_renews_in_place_and_leaves_the_cursor_as_it_was(exchange: Path) -> None:
    ours, theirs = pty.openpty()
    view = subprocess.Popen(
        WATCH,
        env=surroundings(exchange) | {"TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
    )
    os.close(theirs)
    try:
        seen = read_until(ours, b"daily loss")
        view.send_signal(signal.SIGINT)
        seen += read_until(ours, b"\x1b[?25h")
        view.communicate(timeout=20)
    finally:
        view.kill()
        os.close(ours)
    assert view.returncode == 0
    assert b"switch" in seen
    assert b"\x1b[?25l" in seen, "the cursor is hidden while it renews"
    assert b"\x1b[?25h" in seen, "and back at the end"


def read_until(terminal: int, wanted: bytes, seconds: int = 20) -> bytes:
    seen, until = b"", time.monotonic() + seconds
    while wanted not in seen and time.monotonic() < until:
        ready, _, _ = select.select([terminal], [], [], 0.2)
        if ready:
            try:
                seen += os.read(terminal, 65536)
            except OSError:  # the other end is closed
                break
    assert wanted in seen, seen[-2000:]
    return seen
