"""`killswitch`: stop everything, prove what is stopped, and open again with a name and a reason.

`engage` writes the latch before it imports anything that could fail: no configuration, network, database or crypto.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from perpsctl.commands import inputs
from perpsctl.commands.globals import command, globals_of, new_group
from perpsctl.commands.output import finish, talk

if TYPE_CHECKING:
    from perpsctl.domain.reports import EngageReport
    from perpsctl.latch import Engaged

DEFAULT_PROFILE = "sim"  # built in: it may have orders although it has no state folder yet

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
    from datetime import UTC, datetime

    from perpsctl import latch, places

    who, at, chosen = by or inputs.os_user(), datetime.now(UTC), globals_of(ctx).profile
    if chosen:
        held: tuple[Engaged, ...] = (latch.Latch.of(places.profile_name(chosen)).engage(reason=reason, by=who, at=at),)
    else:
        held = latch.engage_every(reason=reason, by=who, at=at, besides=(DEFAULT_PROFILE,))
    for each in held:
        talk(ctx, f"{each.profile}: latch {'durable' if each.durable else 'NOT DURABLE: ' + '; '.join(each.problems)}")

    from perpsctl.render import operations

    waited = inputs.a_duration(wait, "--wait")
    attested = {each.profile: _attest(ctx, each, reason, who, flatten, waited) for each in held}
    finish(ctx, operations.engaged(attested))


def _attest(
    ctx: typer.Context, held: "Engaged", reason: str, by: str, flatten: bool, wait: timedelta
) -> "EngageReport | str":
    """The attestation of one profile, or why there is none; one profile's trouble never stops another's."""
    from perpsctl.commands.toolkits import open_toolkit
    from perpsctl.domain.errors import PerpsctlError

    try:
        with open_toolkit(ctx, profile=held.profile, way_out=True) as toolkit:
            return toolkit.killswitch.engage(reason=reason, by=by, flatten=flatten, wait=wait, latched=held)
    except PerpsctlError as error:
        return f"{error.message}; {error.fix}" if error.fix else error.message


@command(app, "status")
def status(ctx: typer.Context) -> None:
    """Show latch and journal of the switch; either engaged means engaged."""
    from perpsctl.commands.toolkits import open_toolkit
    from perpsctl.render import operations

    with open_toolkit(ctx, way_out=True) as toolkit:
        finish(ctx, operations.switch_state(toolkit.profile.name, toolkit.killswitch.status()))


@command(app, "release")
def release(ctx: typer.Context, ack: AckOption, by: ByOption = None, second: SecondOption = None) -> None:
    """Open it again; refused while an order is in doubt or the state cannot be read."""
    from perpsctl.commands.toolkits import confirm, open_toolkit
    from perpsctl.render import operations

    with open_toolkit(ctx) as toolkit:
        confirm(ctx, toolkit, "release the kill switch")
        report = toolkit.killswitch.release(reason=ack, by=by or inputs.os_user(), second=second)
        finish(ctx, operations.released(toolkit.profile.name, report))
