"""`killswitch`: stop everything, prove what is stopped, and open again with a name and a reason.

`engage` writes the latch before it imports anything that could fail: no configuration, network, database or crypto.
"""

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from perpsctl.commands import inputs
from perpsctl.commands.globals import command, globals_of, new_group
from perpsctl.commands.output import finish, talk

if TYPE_CHECKING:
    from perpsctl.domain.reports import EngageReport
    from perpsctl.latch import Engaged, GateClosed

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


ENGAGE_EXAMPLES = """\
perpsctl killswitch engage
perpsctl killswitch engage --flatten --wait 60s --reason "feed is wrong"
exit 0: all proven; 10: read the attestation and repeat"""


@command(app, "engage", epilog=ENGAGE_EXAMPLES)
def engage(
    ctx: typer.Context,
    reason: ReasonOption = "operator",
    by: ByOption = None,
    flatten: FlattenOption = False,
    wait: WaitOption = "30s",
) -> None:
    """Latch, cancel everything, flatten if asked, read back and attest. Without --profile: every known profile."""
    waited, why, by_whom = inputs.a_duration(wait, "--wait"), inputs.a_reason(reason, "--reason"), inputs.who(by)
    held = _latched(ctx, why, by_whom)

    from perpsctl.render import operations

    attested = {}
    for each in held:
        talk(ctx, f"{each.profile}: cancelling{' and closing positions' if flatten else ''}, then reading back")
        attested[each.profile] = _attest(ctx, each, why, by_whom, flatten, waited)
    finish(ctx, operations.engaged(attested))


def _besides() -> tuple[str, ...]:
    """Profiles that are latched although they have no state yet: the built-in one, and the one the environment chooses."""
    from perpsctl import places
    from perpsctl.domain.errors import ConfigError

    chosen = os.environ.get("PERPSCTL_PROFILE", "")
    try:
        return (DEFAULT_PROFILE, places.profile_name(chosen)) if chosen else (DEFAULT_PROFILE,)
    except ConfigError:  # no command takes that name: nothing can be sent under it
        return (DEFAULT_PROFILE,)


def _latched(ctx: typer.Context, reason: str, by: str) -> "tuple[Engaged, ...]":
    """Every wanted profile is latched and its gate has been waited for: from here on R1 counts. Standard library only."""
    from perpsctl import latch, places
    from perpsctl.domain.errors import ConfigError
    from perpsctl.systemports import SystemClock

    at, chosen = SystemClock().now(), globals_of(ctx).profile
    try:
        held = (
            (latch.Latch.of(places.profile_name(chosen)).engage(reason=reason, by=by, at=at),)
            if chosen
            else latch.engage_every(reason=reason, by=by, at=at, besides=_besides())
        )
    except OSError as trouble:
        raise ConfigError(
            f"only {DEFAULT_PROFILE} could be latched, the others cannot be listed: {trouble.strerror}",
            fix="name each profile with --profile and engage again",
        ) from None
    closed = {each.profile: latch.Latch.of(each.profile).close_gate() for each in held}
    for each in held:
        talk(ctx, f"{each.profile}: {_told(each, closed[each.profile])}", tone="" if each.durable else "bold red")
    return held


def _told(held: "Engaged", closed: "GateClosed") -> str:
    """`latched; nothing is being sent any more`, or what is wrong with it."""
    if not held.in_force:
        return "NOT LATCHED: " + "; ".join(held.problems)
    words = ["latched" if held.durable else "latched, NOT DURABLE: " + "; ".join(held.problems)]
    if closed.quiet:
        words.append("nothing is being sent any more")
    elif closed.stuck:
        words.append(f"{len(closed.stuck)} senders still under way: {', '.join(closed.stuck)}")
    else:
        words.append(closed.trouble or "a sender may still be under way")
    return "; ".join(words)


def _attest(
    ctx: typer.Context, held: "Engaged", reason: str, by: str, flatten: bool, wait: timedelta
) -> "EngageReport | str":
    """The attestation of one profile, or why there is none; one profile's trouble never stops another's."""
    from perpsctl.commands.toolkits import open_toolkit, tell_patience
    from perpsctl.domain.errors import PerpsctlError

    try:
        with open_toolkit(ctx, profile=held.profile, way_out=True) as toolkit:
            toolkit.hold_senders()
            tell_patience(ctx, toolkit)
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


@command(app, "release", epilog='perpsctl killswitch release --ack "feed is right again"')
def release(ctx: typer.Context, ack: AckOption, by: ByOption = None, second: SecondOption = None) -> None:
    """Open it again; refused while an order is in doubt or the state cannot be read."""
    from perpsctl.commands.toolkits import confirm, open_toolkit
    from perpsctl.render import operations

    why, by_whom = inputs.a_reason(ack, "--ack"), inputs.who(by)
    if second is not None:
        inputs.a_reason(second, "--second")
    with open_toolkit(ctx) as toolkit:
        confirm(ctx, toolkit, "release the kill switch")
        report = toolkit.killswitch.release(reason=why, by=by_whom, second=second)
        finish(ctx, operations.released(toolkit.profile.name, report))
