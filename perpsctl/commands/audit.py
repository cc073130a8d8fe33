"""`audit`: the record itself, whether it is whole, its head kept elsewhere, and the document for an outsider."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from perpsctl.commands import inputs
from perpsctl.commands.globals import command, new_group
from perpsctl.commands.output import finish
from perpsctl.commands.toolkits import open_toolkit

LIMIT_MAX = 10_000

app = new_group("The tamper-evident record: read it, verify it, anchor its head elsewhere, hand it to an outsider.")

SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="ISO|DURATION", help="Recorded then or later; 2h: the last two hours.", show_default=False),
]  # fmt: skip
UntilOption = Annotated[
    str | None,
    typer.Option("--until", metavar="ISO|DURATION", help="Recorded before then; 2h: until two hours ago.", show_default=False),
]  # fmt: skip
KindOption = Annotated[
    str | None, typer.Option("--kind", metavar="KIND", help="Only this kind, e.g. intent, outcome, fill.", show_default=False)
]  # fmt: skip
IdOption = Annotated[
    str | None,
    typer.Option("--id", metavar="ID", help="Only of the intent or order whose id begins so.", show_default=False),
]
BeforeOption = Annotated[
    int | None, typer.Option("--before", metavar="N", min=1, help="Only records below this number.", show_default=False)
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=LIMIT_MAX, help="How many at most.")]
AnchorOption = Annotated[
    Path | None,
    typer.Option("--anchor", metavar="FILE", help="Anchors to hold it against, instead of the profile's.", show_default=False),
]  # fmt: skip
OutOption = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="The file to add it to, instead of the profile's.", show_default=False),
]
FileArgument = Annotated[Path, typer.Argument(help="A new file; one that is there is never overwritten.")]


SHOW_EXAMPLES = """\
perpsctl audit show --since 2h --kind outcome
perpsctl audit show --id INTENT_OR_ORDER --format json"""


@command(app, "show", epilog=SHOW_EXAMPLES)
def show(
    ctx: typer.Context,
    since: SinceOption = None,
    until: UntilOption = None,
    kind: KindOption = None,
    id_: IdOption = None,
    before: BeforeOption = None,
    limit: LimitOption = 20,
) -> None:
    """Show records, newest first, each held against its seal; exit 8 when one shown was changed."""
    from perpsctl.domain.audits import AuditFilter
    from perpsctl.render import audit

    with open_toolkit(ctx) as toolkit:
        wanted = AuditFilter(
            since=_moment(since, "--since", toolkit.clock.now()),
            until=_moment(until, "--until", toolkit.clock.now()),
            kind=kind,
            id=None if id_ is None else inputs.an_order_id(id_),
            before=before,
            limit=limit,
        )
        finish(ctx, audit.records(toolkit.audit.page(wanted)))


@command(app, "verify")
def verify(ctx: typer.Context, anchor: AnchorOption = None) -> None:
    """Verify every record and the end of the journal; exit 8 names the first bad record and what was done to it."""
    from perpsctl.render import audit

    with open_toolkit(ctx) as toolkit:
        finish(ctx, audit.verdict(toolkit.audit.verify(anchor)))


@command(app, "anchor")
def anchor(ctx: typer.Context, out: OutOption = None) -> None:
    """Verify the journal and add its head to a file outside the state folder, durably."""
    from perpsctl.render import audit

    with open_toolkit(ctx) as toolkit:
        finish(ctx, audit.anchored(toolkit.audit.anchor(out)))


@command(app, "export")
def export(ctx: typer.Context, file: FileArgument) -> None:
    """Write every record, the verdict and the anchored head to one new file for an outsider."""
    from perpsctl.render import audit

    with open_toolkit(ctx) as toolkit:
        finish(ctx, audit.exported(toolkit.audit_export(file)))


def _moment(text: str | None, what: str, now: datetime) -> datetime | None:
    """A moment as typed: a time, or how long ago."""
    if text is not None and text[-1:] in "smhd" and text[:1].isdigit():
        return now - inputs.a_duration(text, what)
    return inputs.a_moment(text, what)
