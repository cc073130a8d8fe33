"""Opens the toolkit of the wanted profile for one command and closes it afterwards, whatever happened in between.

What forbids entries here whatever the limits say (production without its keys turned, the sandbox) is asked for before the
venue is: a refusal needs no network.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import typer

from perpsctl.commands.globals import globals_of
from perpsctl.commands.output import Setup, remember_setup, talk

if TYPE_CHECKING:
    from perpsctl.bootstrap import Toolkit
    from perpsctl.domain.ids import IntentId
    from perpsctl.domain.reports import PlaceReport
    from perpsctl.domain.verdicts import Denial


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
    if sys.stdin is None or not sys.stdin.isatty():  # None: it was closed (P10)
        raise UsageError(f"{what} needs a confirmation and there is no terminal", fix="add --yes")
    if not typer.confirm(f"{what} in production. Go on?", err=True):
        raise UsageError("not confirmed; nothing was done")


def refused_here(toolkit: "Toolkit", named: "IntentId | None") -> "PlaceReport | None":
    """The denial of an entry that this environment does not take at all; None where limits are to judge."""
    from perpsctl.domain.ids import IntentId
    from perpsctl.domain.reports import PlaceReport
    from perpsctl.domain.verdicts import Denied

    denials = toolkit.entry_denials()
    if not denials:
        return None
    name = named or IntentId(toolkit.ids.new())
    return PlaceReport(intent_id=name, denied=Denied(denials=denials), outcome=None, order=None)


def loop_refused(toolkit: "Toolkit") -> "tuple[Denial, ...]":
    """Why `run` may not trade here; UsageError for the sandbox, which is no venue."""
    from perpsctl.domain.errors import UsageError
    from perpsctl.domain.products import Environment

    if toolkit.profile.environment is Environment.SANDBOX:
        raise UsageError(
            "the sandbox gives canned answers and is not a venue: `run` refuses it",
            fix="use a sim or production profile",
        )
    return toolkit.entry_denials()


def tell_doubt(ctx: typer.Context, toolkit: "Toolkit", wait: timedelta) -> None:
    """Whoever waits hears on stderr that a write got no answer and is being looked for; once."""
    told = False

    def heard(event: str, facts: dict[str, object]) -> None:
        nonlocal told
        lost = event == "request" and facts.get("method") == "POST" and str(facts.get("ending")).startswith("written:")
        if lost and not told:
            told = True
            talk(
                ctx, f"the venue's answer was lost: looking whether the order exists, up to {wait.total_seconds():g} s"
            )

    toolkit.diagnostics.watch(heard)


def tell_patience(ctx: typer.Context, toolkit: "Toolkit") -> None:
    """Whoever waits for cancels or the switch hears on stderr why it takes longer, each time it does."""
    doing = {"cancels_go_on": "cancelling", "read_back_goes_on": "reading back"}

    def heard(event: str, facts: dict[str, object]) -> None:
        if event in doing:
            talk(ctx, f"{toolkit.profile.name}: {facts['because']}: {doing[event]} for up to {facts['seconds']} s more")

    toolkit.diagnostics.watch(heard)
