"""`limits`: the ceilings in force."""

import typer

from perpsctl.commands.globals import command, globals_of, new_group
from perpsctl.commands.output import Setup, finish, remember_setup

app = new_group("The ceilings every entry is judged by.")


@command(app, "show")
def show(ctx: typer.Context) -> None:
    """Show each limit with its value, unit and source; --verbose adds what it means."""
    from perpsctl import settings
    from perpsctl.render import operations

    profile = settings.load(profile=globals_of(ctx).profile, config=globals_of(ctx).config)
    remember_setup(ctx, Setup(profile=profile.name, venue=profile.venue.value, environment=profile.environment.value))
    sources = {found.key: found.source for found in profile.sources}
    rows = [
        (row.name, row.value, row.unit, row.definition, sources.get(f"limits.{row.name}", "default"))
        for row in profile.limits.as_rows()
    ]
    columns = ("limit", "value", "unit", "meaning", "source")
    left_out = frozenset() if globals_of(ctx).verbose else frozenset({"meaning"})
    title = f"Limits {profile.limits.fingerprint()[:12]}"
    finish(ctx, operations.named_rows(title, "limits", rows, columns, left_out=left_out))
