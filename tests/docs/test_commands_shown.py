"""Commands shown in documents, and those the program recommends, exist with the options they are shown with."""

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.house import imports_of, module
from tests.docs.commands_shown import Shown, mentioned, recommended, told

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = (*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").rglob("*.md")))
# A page about decisions and changes may name what is planned; it is not a manual.
HISTORY = {"CHANGELOG.md", "adr"}


def missing_parts() -> str:
    """The files the command line's root imports and that are not written yet; empty when it is whole."""
    commands = REPOSITORY / "perpsctl/commands"
    if not (commands / "app.py").exists():
        return "app.py"
    root = module("perpsctl.commands.app", (commands / "app.py").read_text(encoding="utf-8"))
    parts = [each.target.split(".") for each in imports_of(root) if each.target.startswith("perpsctl.commands.")]
    return ", ".join(sorted({f"{part[2]}.py" for part in parts if not (commands / f"{part[2]}.py").exists()}))


needs_the_app = pytest.mark.skipif(bool(missing_parts()), reason=f"not written yet in commands: {missing_parts()}")


def run_perpsctl(*arguments: str, timeout_s: int = 60) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", "import sys; from perpsctl.commands.app import main; sys.exit(main())", *arguments],
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )


@functools.cache
def help_of(path: tuple[str, ...]) -> str | None:
    """What `perpsctl … --help` prints, or None where there is no such command."""
    answer = run_perpsctl(*path, "--help")
    return answer.stdout if answer.returncode == 0 else None


def unknown_parts(shown: Shown) -> list[str]:
    text = help_of(shown.path)
    if text is None:
        return [f"{shown.where}: no command `perpsctl {' '.join(shown.path)}`"]
    known = set(re.findall(r"--[a-z][a-z-]*", text)) | {"--version", "--help"}
    return [
        f"{shown.where}: `perpsctl {' '.join(shown.path)}` has no {option}"
        for option in shown.options
        if option not in known
    ]


def manuals() -> list[Path]:
    return [page for page in PAGES if not HISTORY & set(page.relative_to(REPOSITORY).parts)]


@needs_the_app
@pytest.mark.parametrize("page", manuals(), ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_command_on_the_page_exists(page: Path) -> None:
    shown = [*told(page), *mentioned(page)]
    assert [part for each in shown for part in unknown_parts(each)] == []


@needs_the_app
def test_every_command_a_message_recommends_exists() -> None:
    shown = [each for source in sorted((REPOSITORY / "perpsctl").rglob("*.py")) for each in recommended(source)]
    assert [part for each in shown for part in unknown_parts(each)] == []


@needs_the_app
def test_a_command_that_is_not_there_would_be_seen() -> None:
    assert unknown_parts(Shown(where="x", arguments=("order", "vanish"))) == ["x: no command `perpsctl order vanish`"]
    assert unknown_parts(Shown(where="x", arguments=("order", "list", "--sideways"))) == [
        "x: `perpsctl order list` has no --sideways"
    ]


def test_pages_and_messages_are_read(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "Use `perpsctl order list`.\n\n```console\n$ perpsctl run --for 60s  # a while\n"
        "$ perpsctl order place --size 5\n$ echo $?\n3\n```\n",
        encoding="utf-8",
    )
    first, second = told(page)
    assert (first.path, first.options, first.exit_code) == (("run",), ("--for",), 0)
    assert (second.path, second.options, second.exit_code) == (("order", "place"), ("--size",), 3)
    assert [each.path for each in mentioned(page)] == [("order", "list")]
    source = tmp_path / "source.py"
    source.write_text(
        '"""Not `perpsctl docstring text`."""\nfix = f"run `perpsctl order resolve {1}` now"\n', encoding="utf-8"
    )
    assert [each.arguments for each in recommended(source)] == [("order", "resolve", "VALUE")]


# --- the tours, really walked -----------------------------------------------------------------------

SHORTER = {"60s": "5s"}  # the same loop, less of it


def order_to_cancel() -> str:
    import json

    listed = run_perpsctl("order", "list", "--format", "json")
    orders = json.loads(listed.stdout)["data"]["orders"]
    return str(orders[0]["venue_order_id"])


@needs_the_app
@pytest.mark.slow
@pytest.mark.parametrize("name", ["README.md", "docs/quickstart.md"])
def test_the_tour_of_the_page_runs_as_shown(name: str) -> None:
    """Every command of the page, in its order, on an embedded exchange of its own; each ends as the page says."""
    tour = list(told(REPOSITORY / name))
    assert len(tour) >= 10
    try:
        for shown in tour:
            arguments = [SHORTER.get(each, each) for each in shown.arguments]
            if "ID" in arguments:
                arguments[arguments.index("ID")] = order_to_cancel()
            answer = run_perpsctl(*arguments, timeout_s=120)
            story = f"perpsctl {' '.join(arguments)}\n{answer.stdout}\n{answer.stderr}"
            assert answer.returncode == shown.exit_code, story
            assert "Traceback" not in answer.stderr, story
    finally:
        run_perpsctl("sim", "stop")
