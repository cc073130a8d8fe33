"""Opens the toolkit of the wanted profile for one command and closes it afterwards, whatever happened in between."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from perpsctl.commands.globals import globals_of
from perpsctl.commands.output import Setup, remember_setup

if TYPE_CHECKING:
    from perpsctl.bootstrap import Toolkit


@contextmanager
def open_toolkit(ctx: typer.Context, *, profile: str | None = None, way_out: bool = False) -> Iterator["Toolkit"]:
    """The parts of the wanted profile, built on first use; answers of this command name it."""
    from perpsctl import bootstrap, settings

    wanted = globals_of(ctx)
    found = settings.load(profile=profile or wanted.profile, config=wanted.config)
    remember_setup(ctx, Setup(profile=found.name, venue=found.venue.value, environment=found.environment.value))
    toolkit = bootstrap.Toolkit(found, live=wanted.live, verbose=wanted.verbose, way_out=way_out)
    try:
        yield toolkit
    finally:
        toolkit.close()


def confirm(ctx: typer.Context, toolkit: "Toolkit", what: str) -> None:
    """In production, ask before something destructive; without a terminal and without --yes that is a usage error."""
    import sys

    from perpsctl.domain.errors import UsageError
    from perpsctl.domain.products import Environment

    if toolkit.profile.environment is not Environment.PRODUCTION or globals_of(ctx).yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{what} needs a confirmation and there is no terminal", fix="add --yes")
    if not typer.confirm(f"{what} in production. Go on?", err=True):
        raise UsageError("not confirmed; nothing was done")
