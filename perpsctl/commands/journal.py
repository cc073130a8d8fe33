"""`journal`: where the record is, whether it is whole, a copy of it, and the step to a newer version."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from perpsctl.commands.globals import command, new_group
from perpsctl.commands.output import finish
from perpsctl.commands.toolkits import open_toolkit

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


@command(app, "backup")
def backup(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="A new file; one that is there is never overwritten.")],
) -> None:
    """Write a proven copy of the whole journal to one file."""
    from perpsctl.render import operations

    with open_toolkit(ctx) as toolkit:
        done = toolkit.journal_backup(file)
        told = f"{done.rows} rows in {done.file}, proven; keep the profile's audit.key with it, in another place"
        finish(ctx, operations.said(told, asdict(done)))


@command(app, "migrate")
def migrate(ctx: typer.Context) -> None:
    """Bring a journal of an older version up to date: kept aside before, verified after."""
    from perpsctl.render import operations

    with open_toolkit(ctx) as toolkit:
        done = toolkit.journal_migrate()
        nothing = f"the journal has schema {done.schema} already, and is whole"
        told = nothing if done.found == done.schema else f"schema {done.found} is schema {done.schema} now"
        finish(ctx, operations.said(told, asdict(done)))
