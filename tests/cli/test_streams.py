"""The process and its streams: pipes that close, terminals of any width, signals, colours, and what may be imported."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.cli.conftest import COMMAND, Ask, bid_below, place, process, surroundings

pytestmark = pytest.mark.slow
HEAVY = (
    "requests",
    "urllib3",
    "cryptography",
    "jwt",
    "pydantic_settings",
    "sqlalchemy",
    "alembic",
    "msgspec",
)
OURS = re.compile(r"\x1b\[[0-9;]*m|\r\x1b\[2K|\r")  # colours, and the line that renews itself


def shell(line: str, home: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A line of bash in which `perpsctl` is the command; `pipefail` is off, PIPESTATUS is the line's to use."""
    body = f'perpsctl() {{ "{sys.executable}" -c "import sys; from perpsctl.commands.app import main; sys.exit(main())" "$@"; }}\n'
    return subprocess.run(
        ["bash", "-c", body + line],
        env=surroundings(home) | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def at_terminal(*words: str, home: Path, columns: str = "80", **environment: str) -> tuple[int, str]:
    """Exit code and everything a terminal of so many columns was sent."""
    pid, master = pty.fork()
    if pid == 0:  # pragma: no cover - the child
        import fcntl
        import struct
        import termios

        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(columns), 0, 0))
        kept = surroundings(home) | {"TERM": "xterm-256color"}
        os.execve(COMMAND[0], [*COMMAND, *words], kept | environment)
    seen = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not select.select([master], [], [], 1)[0]:
            continue
        try:
            piece = os.read(master, 65_536)
        except OSError:  # the child closed it
            break
        if not piece:
            break
        seen += piece
    os.close(master)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode("utf-8").replace("\r\n", "\n")


# --- imports --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [("--help",), ("--version",), (), ("order", "place", "--help"), ("killswitch", "--help")]
)
def test_help_imports_nothing_heavy(words: tuple[str, ...], perpsctl_home: Path) -> None:
    code = textwrap.dedent(f"""
        import sys
        from perpsctl.commands.app import invoke
        code = invoke({list(words)!r})
        heavy = sorted(name for name in {HEAVY!r} if name in sys.modules)
        assert code == 0 and heavy == [], (code, heavy)
    """)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=surroundings(perpsctl_home),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert not perpsctl_home.exists()


def test_engage_has_its_latch_durable_and_its_gate_closed_before_anything_heavy_is_imported(home: Path) -> None:
    """R1, design 12: an import hook writes down what was there when each heavy package was first asked for."""
    code = textwrap.dedent(f"""
        import json, os, sys
        from pathlib import Path
        latch = Path({str(home)!r}) / "state/sim/killswitch.latch"
        events = []
        def heard(event, arguments):
            if event == "import" and arguments[0].partition(".")[0] in {HEAVY!r}:
                events.append((arguments[0].partition(".")[0], latch.exists() and latch.stat().st_size > 0))
            elif event == "os.fsync" or (event == "open" and str(arguments[0]).endswith("gate.lock")):
                events.append(("gate", latch.exists()))
        sys.addaudithook(heard)
        from perpsctl.commands.app import invoke
        code = invoke(["killswitch", "engage", "--format", "json"])
        print(json.dumps({{"code": code, "events": events}}), file=sys.stderr)
    """)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=surroundings(home),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    told, report = done.stderr.strip().splitlines()[0], json.loads(done.stderr.strip().splitlines()[-1])
    names = [name for name, _ in report["events"]]
    assert told == "sim: latched; nothing is being sent any more"
    assert report["code"] == 0
    assert {"requests", "sqlalchemy", "cryptography", "pydantic_settings"} <= set(names)
    assert all(there for _, there in report["events"])
    assert names[0] == "gate"  # the gate was closed, with the latch there, before the first of them
    assert process("killswitch", "release", "--ack", "the test is over", home=home).returncode == 0


# --- pipes ----------------------------------------------------------------------------------------------


def test_a_reader_that_goes_away_changes_no_exit_code(exchange: Path) -> None:
    """P5: `| head`."""
    for line, code in (
        ("limits show --verbose", "0"),
        ("sim fault catalogue --format json", "0"),
        ("order place --product BTC-PERP --side buy --size 5 --type market", "3"),
        ("order vanish --format json", "2"),
    ):
        done = shell(f"perpsctl {line} | head -c 1 >/dev/null; echo ${{PIPESTATUS[0]}}", exchange)
        assert (done.stdout.strip(), "Traceback" in done.stderr, "Broken" in done.stderr) == (code, False, False), line


def test_a_closed_or_full_stdout_changes_no_exit_code_and_is_told(exchange: Path) -> None:
    """P10, D13."""
    for redirection in (">&-", "2>&-", ">&- 2>&-", "<&-", "<&- >&- 2>&-"):
        done = shell(f"perpsctl order list {redirection}; echo $?", exchange)
        assert done.stdout.strip().splitlines()[-1] == "0", redirection
        assert "Traceback" not in done.stderr
    assert shell("perpsctl order vanish >&- 2>&-; echo $?", exchange).stdout.strip() == "2"
    full = shell("perpsctl order list --format json >/dev/full; echo $?", exchange)
    assert (full.stdout.strip(), "could not be written" in full.stderr) == ("0", True)
    assert shell("perpsctl order list 2>/dev/full; echo $?", exchange).stdout.strip().splitlines()[-1] == "0"


def test_a_confirmation_without_a_terminal_is_refused_also_with_stdin_closed(home: Path) -> None:
    """P10."""
    (home).mkdir(exist_ok=True)
    (home / "perpsctl.toml").write_text("[profile.p]\nenvironment = 'production'\nportfolio = 'x'\nlive = true\n")
    try:
        done = shell("perpsctl --profile p order cancel-all --format json <&-; echo $?", home)
        assert done.stdout.strip().endswith("2")
        assert "add --yes" in done.stdout
    finally:
        (home / "perpsctl.toml").unlink()


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"},
        {"TERM": ""},
        {"TERM": "dumb"},
        {"COLUMNS": "0"},
        {"COLUMNS": "1"},
        {"COLUMNS": "x"},
        {"NO_COLOR": "1"},
    ],
    ids=lambda each: " ".join(f"{key}={value}" for key, value in each.items()),
)
def test_odd_environments_change_nothing_that_matters(exchange: Path, environment: dict[str, str]) -> None:
    """P10: C locale, no TERM, no width."""
    for words in (("products", "list"), ("order", "place", "--help")):
        done = process(*words, home=exchange, **environment)
        assert (done.returncode, done.stderr) == (0, "")
        assert "\x1b" not in done.stdout
        if environment.get("PYTHONIOENCODING") == "ascii":
            assert done.stdout.isascii()


# --- terminals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 40])
def test_nothing_is_wider_than_the_terminal_and_ids_stay_whole(
    exchange: Path, ask: Ask, run: Ask, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    placed = place(ask)
    order_id, intent_id = placed["order"]["venue_order_id"], placed["intent_id"]
    monkeypatch.setenv("COLUMNS", str(columns))
    for words in (
        ("order", "list", "--all"), ("order", "show", order_id), ("positions", "list"), ("products", "list"),
        ("products", "show", "BTC-PERP"), ("products", "book", "BTC-PERP"), ("fills", "list"), ("pnl",), ("limits", "show"),
        ("limits", "show", "--verbose"), ("config", "show"), ("journal", "info"), ("killswitch", "status"), ("reconcile",),
        ("sim", "book"), ("sim", "status"), ("order", "place", "--product", "BTC-PERP", "--side", "buy", "--size", "5", "--type", "market"), ("order", "vanish"),
        ("sim", "fault", "catalogue"), ("order", "list", "--format", "junit"),
    ):  # fmt: skip
        said = run(*words)
        assert said.code in {0, 2, 3}
        assert [line for line in said.out.splitlines() if len(line) > columns or line != line.rstrip()] == [], words
        if words[:2] == ("order", "list") and "junit" not in words:
            assert order_id in said.out
            assert intent_id in said.out


def test_a_terminal_is_measured(exchange: Path, ask: Ask) -> None:
    for columns in (80, 40):
        seen = OURS.sub("", at_terminal("products", "list", home=exchange, columns=str(columns))[1])
        assert max(len(line) for line in seen.splitlines()) <= columns
        assert ("\n  alias" in seen) == (columns == 40)


def test_colour_is_only_where_there_is_a_terminal_that_wants_it(exchange: Path) -> None:
    assert "\x1b[" in at_terminal("products", "list", home=exchange)[1]
    for words, environment in (
        (("products", "list"), {"NO_COLOR": "1"}),
        (("products", "list", "--no-color"), {}),
        (("--no-color", "products", "list"), {}),
        (("products", "list"), {"TERM": "dumb"}),
    ):
        seen = at_terminal(*words, home=exchange, **environment)[1]
        assert re.search(r"\x1b\[[0-9;]*3[0-7]", seen) is None, (words, environment)


def test_a_run_renews_one_line_on_a_terminal_and_is_silent_with_quiet(exchange: Path) -> None:
    code, seen = at_terminal("run", "--ticks", "3", "--interval", "50ms", home=exchange)
    assert code == 0
    assert seen.count("\r\x1b[2Ktick ") == 3
    assert "\x1b" not in OURS.sub("", seen)
    assert process("run", "--ticks", "1", "--quiet", home=exchange).stderr == ""


HOSTILE = "\x1b]52;c;cm0gLXJm\x07\x1b]0;title\x07\x1b[2J\u202eevil\u200b\nsecond line\r"


@pytest.mark.parametrize(
    "words",
    [
        ("order", "show", HOSTILE), ("order", "cancel", HOSTILE), ("products", "show", HOSTILE), (HOSTILE,), ("order", HOSTILE),
        ("order", "list", f"--{HOSTILE}"), ("order", "list", "--format", HOSTILE), ("config", "show", "--profile", HOSTILE),
        ("config", "show", "--config", HOSTILE), ("run", "--strategy", HOSTILE), ("sim", "set", HOSTILE), ("sim", "set", "price", HOSTILE),
        ("sim", "fault", "arm", HOSTILE), ("sim", "start", "--replay", HOSTILE), ("order", "place", "--product", "BTC-PERP", "--side",
        "buy", "--price", "60000", "--size", HOSTILE), ("fills", "list", "--limit", HOSTILE), ("run", "--for", HOSTILE),
        ("products", "candles", "BTC-PERP", "--granularity", HOSTILE), ("killswitch", "release", "--ack", "x", "--wait", HOSTILE),
    ],
    ids=lambda words: " ".join(words)[:40].encode("unicode_escape").decode(),
)  # fmt: skip
def test_what_was_typed_comes_back_escaped(home: Path, run: Ask, ask: Ask, words: tuple[str, ...]) -> None:
    """S3: in a document, a table or an error, whatever was typed."""
    assert ask("sim", "start").code == 0
    for said in (run(*words), run(*words, "--verbose"), run("--format", "json", *words)):
        assert said.code in {2, 7}
        assert not set(said.out + said.err) & set("\x1b\x07\u202e\u200b\r\x00")
        assert "\nsecond line" not in said.out + said.err


def test_under_a_terminal_only_our_own_sequences_appear(home: Path) -> None:
    """S3."""
    for words in (("order", "show", HOSTILE), (HOSTILE,), ("config", "show", "--config", HOSTILE)):
        code, seen = at_terminal(*words, home=home)
        assert code in {2, 7}
        assert not set(OURS.sub("", seen)) & set("\x1b\x07\u202e\u200b\r\x00")


# --- signals --------------------------------------------------------------------------------------------


def test_an_interrupt_while_waiting_is_130_with_one_document(exchange: Path, ask: Ask) -> None:
    """P4: Ctrl-C while a doubt is looked into; the order stays in doubt and is shown first."""
    price = bid_below(ask)
    ask("sim", "fault", "arm", "timeout_after_accept", "--operation", "create_order", "--count", "1")
    words = (
        "order",
        "place",
        "--product",
        "BTC-PERP",
        "--side",
        "buy",
        "--size",
        "0.01",
        "--price",
        price,
        "--post-only",
    )
    started = subprocess.Popen(
        [*COMMAND, *words, "--again", "--format", "json"],
        env=surroundings(exchange),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if any(order["live"] for order in ask("sim", "book").data["orders"]):
            break
        time.sleep(0.05)
    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=30)
    document = json.loads(out)
    assert (started.returncode, document["error"]["code"], document["error"]["exit_code"]) == (130, "interrupted", 130)
    assert "Traceback" not in err
    listed = ask("order", "list").data
    assert len(listed["in_doubt"]) == 1
    assert [(order["intent_id"], order["ours"]) for order in listed["orders"]] == [(listed["in_doubt"][0], True)]
    assert ask("order", "resolve", "--wait", "30s").data["in_doubt"] == []


def test_serve_ends_with_a_document_when_it_is_interrupted(tmp_path: Path) -> None:
    started = subprocess.Popen(
        [*COMMAND, "sim", "serve", "--format", "json"],
        env=surroundings(tmp_path / "serve"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stderr is not None
    assert started.stderr.readline().startswith("serving on http://127.0.0.1:")
    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=30)
    assert json.loads(out)
    assert started.returncode in {0, 130}
    assert "Traceback" not in err
