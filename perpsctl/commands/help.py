"""How help is laid out: plain text that fits any width, the options of every command apart from a command's own."""

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from perpsctl.commands.invocation import wants_document

SHARED_TITLE = "Options of every command"
TRADE, LOOK, PROVE, SET_UP = PANELS = ("Trade", "Look", "Stop and prove", "Set up")  # the root's headings, in order


def _sections(command: TyperCommand | TyperGroup, ctx: Any, formatter: Any, shared: frozenset[str]) -> None:
    arguments, own, common = [], [], []
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is None:
            continue
        if parameter.param_type_name == "argument":
            arguments.append(record)
        elif parameter.name in shared:
            common.append(record)
        else:
            own.append(record)
    for title, records in (("Arguments", arguments), ("Options", own)):
        if records:
            with formatter.section(title):
                formatter.write_dl(records)
    if isinstance(command, TyperGroup):
        _commands(command, ctx, formatter)
    if common:
        with formatter.section(SHARED_TITLE):
            formatter.write_dl(common)


def _commands(group: TyperGroup, ctx: Any, formatter: Any) -> None:
    panels: dict[str, list[tuple[str, str]]] = {}
    for name in group.list_commands(ctx):
        found = group.get_command(ctx, name)
        if found is not None and not found.hidden:
            panel = getattr(found, "rich_help_panel", None)
            panels.setdefault(panel if isinstance(panel, str) else "Commands", []).append(
                (name, found.get_short_help_str(200))
            )
    for panel, rows in sorted(panels.items(), key=lambda each: PANELS.index(each[0]) if each[0] in PANELS else -1):
        with formatter.section(panel):
            formatter.write_dl(rows)


def _epilog(command: TyperCommand | TyperGroup, formatter: Any) -> None:
    """Examples, line for line as they stand: a command that is wrapped cannot be copied."""
    if command.epilog:
        formatter.write("\nExamples:\n" + "".join(f"  {line}\n" for line in command.epilog.splitlines()))


class Command(TyperCommand):
    """A command whose help tells its own options first."""

    shared: frozenset[str] = frozenset()

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments, own options, shared options."""
        _sections(self, ctx, formatter, self.shared)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The examples."""
        _epilog(self, formatter)


class Group(TyperGroup):
    """A group whose help lists its commands in the order they were given, under their headings."""

    shared: frozenset[str] = frozenset()

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Own options, commands, shared options."""
        _sections(self, ctx, formatter, self.shared)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The examples."""
        _epilog(self, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Without anything typed: help. At the root that is an answer (0), below it a subcommand is missing (2)."""
        if args or ctx.resilient_parsing or wants_document():
            return super().parse_args(ctx, args)
        root = ctx.parent is None
        typer.echo(ctx.get_help(), err=not root)
        raise typer.Exit(0 if root else 2)
