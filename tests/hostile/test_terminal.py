"""S3, H4, H5, H14 at the operator's terminal: whatever the venue says, only sequences of our own reach it, none where colour
is off or where nobody looks.
"""

import os
import pty
import re
import subprocess
import sys
import threading
import tty
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from perpsctl.places import exchange_folder
from perpsctl.simulator import launcher
from tests.hostile.evil_commands import COMMANDS, MARK, PROFILES

REPOSITORY = Path(__file__).resolve().parents[2]
SGR = re.compile(r"\x1b\[[0-9;]*m")  # how rich sets a style: colours, bold, dim
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
SEED, ROUNDS = 3, 2


@pytest.fixture(scope="module")
def evil_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose exchange runs for the module."""
    home = tmp_path_factory.mktemp("evil") / "home"
    home.mkdir(mode=0o700)
    folder = exchange_folder({"PERPSCTL_HOME": str(home)})
    launcher.start(folder)
    yield home
    launcher.stop(folder)


def told(home: Path, *, terminal: bool, environment: dict[str, str]) -> str:
    """Everything the commands wrote, to a terminal of 100 columns or to a pipe."""
    line = [sys.executable, "-m", "tests.hostile.evil_commands", str(SEED), str(ROUNDS)]
    around = {"PATH": os.environ["PATH"], "PERPSCTL_HOME": str(home), "PYTHONPATH": str(REPOSITORY), "PYTHONUTF8": "1"}
    around |= {
        "PERPSCTL_LIMITS__ORDERS_PER_MINUTE_MAX": "1000",
        "TERM": "xterm-256color",
        "COLUMNS": "100",
    } | environment
    if not terminal:
        done = subprocess.run(
            line, env=around, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=240, check=False,
        )  # fmt: skip
        return done.stdout.decode("utf-8", "surrogateescape")
    ours, theirs = pty.openpty()
    tty.setraw(theirs)  # what is written comes as it was written
    heard: list[bytes] = []

    def listen() -> None:
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other side is gone
                return
            if not piece:
                return
            heard.append(piece)

    process = subprocess.Popen(line, env=around, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
    os.close(theirs)
    listening = threading.Thread(target=listen, daemon=True)
    listening.start()
    try:
        process.wait(240)
        listening.join(10)
    finally:
        process.kill()
        os.close(ours)
    return b"".join(heard).decode("utf-8", "surrogateescape")


def foreign(text: str) -> list[str]:
    """What of a text could move a cursor, hide, or set a terminal; line ends apart."""
    return [
        f"{each!r} after {text[max(0, at - 40) : at]!r}"
        for at, each in enumerate(text)
        if each != "\n" and (unicodedata.category(each) in HIDDEN)
    ]


def lines_begin_with_our_words(text: str) -> None:
    """H5: no line begins with what the venue wrote after a line end of its own."""
    assert "\nerror: forged line" not in text
    assert "INFO forged" not in re.sub(r".*\\n.*", "", text).splitlines()


@pytest.mark.parametrize(
    ("terminal", "environment", "styles"),
    [
        pytest.param(True, {}, True, id="a terminal with colours"),
        pytest.param(True, {"NO_COLOR": "1"}, False, id="a terminal with NO_COLOR"),
        pytest.param(False, {}, False, id="a pipe"),
    ],
)
def test_S3_only_our_own_sequences_reach_the_operator(
    evil_home: Path, terminal: bool, environment: dict[str, str], styles: bool
) -> None:
    said = told(evil_home, terminal=terminal, environment=environment)
    assert "Traceback" not in said
    assert said.count(MARK) == ROUNDS * len(PROFILES) * len(COMMANDS) + 1, said[-2000:]
    struck = int(re.findall(rf"{MARK}(\d+) struck", said)[0])
    assert struck > 100  # the venue did say evil things
    assert " 70\n" not in "".join(each for each in said.splitlines(keepends=True) if each.startswith(MARK)), "our bug"
    assert "\\x1b" in said or "\\u202e" in said  # ... and what was shown of them is written out
    if styles:
        assert SGR.search(said)
        said = SGR.sub("", said)
    assert foreign(said) == []
    lines_begin_with_our_words(said)
