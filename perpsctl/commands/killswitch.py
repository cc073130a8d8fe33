"""`killswitch`: stop everything, prove what is stopped, and open again with a name and a reason.

`engage` writes the latch before it imports anything that could fail: no configuration, network, database or crypto.
"""

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from perpsctl.commands import inputs
from perpsctl.commands.globals import command, globals_of, new_group
from perpsctl.commands.output import finish, talk

if TYPE_CHECKING:
    from perpsctl.domain.reports import Attestation

app = new_group("Stop all trading, prove it, and release it again.")

ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")]
ByOption = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="Who [default: the OS user].", show_default=False)
]
FlattenOption = Annotated[bool, typer.Option("--flatten", help="Also close every position.")]
AckOption = Annotated[str, typer.Option("--ack", metavar="REASON", help="Why it is safe again.")]
SecondOption = Annotated[
    str | None,
    typer.Option("--second", metavar="NAME", help="A second person, where a loss limit stands.", show_default=False),
]
WaitOption = Annotated[str, typer.Option("--wait", metavar="DURATION", help="How long to work on cancels and exits.")]


@command(app, "engage")
def engage(
    ctx: typer.Context,
    reason: ReasonOption = "operator",
    by: ByOption = None,
    flatten: FlattenOption = False,
    wait: WaitOption = "30s",
) -> None:
    """Latch, cancel everything, flatten if asked, read back and attest. Without --profile: every known profile."""
    from perpsctl import latch, places

    who = by or os_user()
    chosen = globals_of(ctx).profile
    names = [places.profile_name(chosen)] if chosen else list(places.known_profiles()) or ["sim"]
    latched = {name: latch.engage_now(name, reason=reason, by=who) for name in names}
    for name, facts in latched.items():
        talk(ctx, f"{name}: latch {'durable' if facts.durable else 'NOT DURABLE: ' + facts.problem}", tone="bold red")
    waited = inputs.a_duration(wait, "--wait")

    from perpsctl.render import operations

    finish(ctx, operations.engaged({
        name: _attest(ctx, name, reason=reason, by=who, flatten=flatten, wait=waited) for name in names
    }))  # fmt: skip


def _attest(ctx: typer.Context, name: str, **asked: object) -> "Attestation | str":
    """The attestation of one profile, or why there is none; one profile's trouble never stops another's."""
    from perpsctl.commands.toolkits import open_toolkit
    from perpsctl.domain.errors import PerpsctlError

    try:
        with open_toolkit(ctx, profile=name) as toolkit:
            return toolkit.engage_switch(**asked)  # type: ignore[arg-type]
    except PerpsctlError as error:
        return f"{error.message}; {error.fix}" if error.fix else error.message


@command(app, "status")
def status(ctx: typer.Context) -> None:
    """Show latch and journal of the switch; either engaged means engaged."""
    from perpsctl.commands.toolkits import open_toolkit
    from perpsctl.render import operations

    with open_toolkit(ctx) as toolkit:
        finish(ctx, operations.switch_state({toolkit.profile.name: toolkit.halts.facts()}))


@command(app, "release")
def release(ctx: typer.Context, ack: AckOption, by: ByOption = None, second: SecondOption = None) -> None:
    """Open it again; refused while an order is in doubt or the state cannot be read."""
    from perpsctl.commands.toolkits import confirm, open_toolkit
    from perpsctl.render import operations

    with open_toolkit(ctx) as toolkit:
        confirm(ctx, toolkit, "release the kill switch")
        finish(
            ctx,
            operations.released(
                toolkit.profile.name, toolkit.killswitch.release(ack=ack, by=by or os_user(), second=second)
            ),
        )


def os_user() -> str:
    """The user this process runs as, for the record."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
