"""`journal`: where the record is, and whether it is whole."""

from dataclasses import asdict

import typer

from perpsctl.commands.globals import command, new_group
from perpsctl.commands.output import finish
from perpsctl.commands.toolkits import open_toolkit
from perpsctl.domain.errors import NotBuiltYet

app = new_group("The durable record: where it is and whether it is whole.")


@command(app, "info")
def info(ctx: typer.Context) -> None:
    """Show path, size, rows, schema and head of the journal."""
    from perpsctl.render import operations

    with open_toolkit(ctx) as toolkit:
        finish(ctx, operations.journal_info(asdict(toolkit.journal_info())))


@command(app, "check")
def check(ctx: typer.Context) -> None:
    """Verify every row's hash and the chain; exit 8 names the first bad row."""
    from perpsctl.render import operations

    with open_toolkit(ctx) as toolkit:
        finish(ctx, operations.journal_checked(toolkit.journal_check()))


@command(app, "migrate")
def migrate(ctx: typer.Context) -> None:
    """Bring a journal of an older version up to date (planned: there is one version so far)."""
    raise NotBuiltYet(
        "`journal migrate` is not built yet: every journal so far is of this version",
        fix="open an older or newer journal with the version of perpsctl that wrote it",
    )
