"""The tree of commands: a part of it answers as the whole would."""

import subprocess
import sys

import pytest
import typer

from perpsctl.commands.globals import TAKE_VALUES
from perpsctl.commands.tree import PARTS, tree, tree_for


def names_of(root: typer.Typer) -> tuple[str, ...]:
    return tuple(getattr(typer.main.get_command(root), "commands", {}))


def test_each_part_brings_the_commands_it_is_listed_with() -> None:
    for names, part in PARTS:
        assert set(names_of(tree([part]))) == set(names)
    assert set(names_of(tree())) == {name for names, _ in PARTS for name in names}


@pytest.mark.parametrize("names", [names for names, _ in PARTS], ids="-".join)
def test_a_command_line_builds_the_part_it_names_alone(names: tuple[str, ...]) -> None:
    for name in names:
        for before in ([], ["--profile", "run"], ["--profile=sim", "-q", "--format", "json", "--live"]):
            assert set(names_of(tree_for([*before, name, "list", "--help"]))) == set(names)


@pytest.mark.parametrize(
    "line",
    [[], ["--help"], ["-h", "order"], ["--profile", "order"], ["--profile", "order", "--help"], ["ordr"], ["--"]],
)
def test_where_the_command_is_not_plain_everything_is_built(line: list[str]) -> None:
    assert names_of(tree_for(line)) == names_of(tree())


def test_options_that_take_a_value_are_known_by_their_default() -> None:
    assert {"--profile", "--config", "--format"} == TAKE_VALUES


def test_the_version_and_the_switch_import_nothing_they_do_not_need() -> None:
    look = "import sys; from perpsctl.commands.app import invoke; invoke({}); print(*sys.modules, sep='\\n')"
    for line, unwanted in (
        (["--version"], {"perpsctl.commands.order", "perpsctl.domain.orders", "perpsctl.settings"}),
        (["killswitch", "--help"], {"perpsctl.commands.order", "perpsctl.engine.views", "perpsctl.domain.ports"}),
    ):
        done = subprocess.run(
            [sys.executable, "-c", look.format(line)], capture_output=True, text=True, check=True, timeout=60
        )
        assert not unwanted & set(done.stdout.splitlines()), line
