"""`probe` and `preflight`: what the venue is to us, and whether this host may trade now. Both only look."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from perpsctl.commands.globals import command, globals_of
from perpsctl.commands.invocation import OutputFormat
from perpsctl.commands.output import finish, talk
from perpsctl.commands.toolkits import open_toolkit

if TYPE_CHECKING:
    from perpsctl.checks.model import Row


def add_to(root: typer.Typer, panel: str | None = None) -> None:
    """Both stand at the root, under `panel` of its help."""
    command(root, "probe", rich_help_panel=panel)(probe)
    command(root, "preflight", rich_help_panel=panel)(preflight)


def probe(ctx: typer.Context) -> None:
    """Look at the venue: keys, rights, clock, address, products, a preview, latency. Exit 1 unless all is well."""
    from perpsctl import bootstrap_checks
    from perpsctl.render import checked

    with open_toolkit(ctx) as toolkit:
        finish(ctx, checked.report(*bootstrap_checks.probe(toolkit, _progress(ctx))))


def preflight(ctx: typer.Context) -> None:
    """Look at everything an order rests on: host, keys, journal, switch, limits, market. Exit 1 unless all is well."""
    from perpsctl import bootstrap_checks
    from perpsctl.render import checked

    with open_toolkit(ctx) as toolkit:
        finish(ctx, checked.report(*bootstrap_checks.preflight(toolkit, _progress(ctx))))


def _progress(ctx: typer.Context) -> "Callable[[Row], None]":
    """A line for each check while it runs, for a person; a machine reads the report alone."""
    from perpsctl.render import checked

    if globals_of(ctx).format is not OutputFormat.TABLE:
        return lambda row: None
    return lambda row: talk(ctx, checked.line(row), tone=checked.tone(row))
