"""`run` and `reconcile`: the loop, and the comparison of journal and venue."""

import signal
from datetime import timedelta
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from perpsctl.commands import asking, inputs, progress
from perpsctl.commands.globals import command, globals_of
from perpsctl.commands.invocation import OutputFormat
from perpsctl.commands.output import finish
from perpsctl.commands.toolkits import loop_refused, open_toolkit
from perpsctl.domain.ids import ProductId

if TYPE_CHECKING:
    from perpsctl.engine.supervisor import Supervisor

StrategyOption = Annotated[
    str | None, typer.Option("--strategy", metavar="NAME", help="An installed strategy.", show_default=False)
]
ProductOption = Annotated[
    str | None, typer.Option("--product", metavar="ID", help="The product it trades.", show_default=False)
]
ForOption = Annotated[
    str | None, typer.Option("--for", metavar="DURATION", help="Stop after this long.", show_default=False)
]
TicksOption = Annotated[
    int | None, typer.Option("--ticks", min=1, help="Stop after so many ticks.", show_default=False)
]
IntervalOption = Annotated[
    str | None, typer.Option("--interval", metavar="DURATION", help="Pace of the loop.", show_default=False)
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Judge and report, send nothing.")]


RUN_EXAMPLES = """\
perpsctl run --strategy canary --product BTC-PERP --for 60s
perpsctl run --ticks 10 --interval 500ms --dry-run
Ctrl-C once: a clean stop; twice: now"""


AcceptOption = Annotated[
    str | None,
    typer.Option(
        "--accept-cash",
        metavar="REASON",
        help="Count cash on from here: what the ledger cannot explain is accepted, with a reason.",
        show_default=False,
    ),
]
ByOption = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who accepts it (you).", show_default=False)]
READ_BY_PEOPLE = (OutputFormat.TABLE, OutputFormat.MARKDOWN)  # a document for a machine is always one document

RECONCILE_EXAMPLES = """\
perpsctl reconcile
perpsctl reconcile --quiet   (cron: says nothing when all agrees)
perpsctl reconcile --accept-cash "deposit of 3 November" --by ann"""


def add_to(root: typer.Typer, trade: str, prove: str) -> None:
    """Both stand at the root, each under its heading."""
    command(root, "run", epilog=RUN_EXAMPLES, rich_help_panel=trade)(run)
    command(root, "reconcile", epilog=RECONCILE_EXAMPLES, rich_help_panel=prove)(reconcile)


def run(
    ctx: typer.Context,
    strategy: StrategyOption = None,
    product: ProductOption = None,
    for_: ForOption = None,
    ticks: TicksOption = None,
    interval: IntervalOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Run a strategy on a synchronous loop until told to stop; reconcile comes first."""
    from perpsctl.engine.strategies import load
    from perpsctl.engine.supervisor import RunOptions
    from perpsctl.render import operations

    length = None if for_ is None else inputs.a_duration(for_, "--for")
    pace = None if interval is None else inputs.a_duration(interval, "--interval")

    wanted = None if product is None else inputs.a_product(product)
    with open_toolkit(ctx) as toolkit:
        defaults = toolkit.profile.run
        load(strategy or defaults.strategy, ProductId("BTC-PERP"))  # an unknown name is told before anything starts
        refused = loop_refused(toolkit)
        if refused:
            finish(ctx, operations.run_refused(refused))
        options = RunOptions(
            duration=length, ticks=ticks, interval=pace or timedelta(milliseconds=defaults.interval_ms), dry_run=dry_run
        )  # fmt: skip
        traded = asking.product_of(toolkit, wanted or inputs.a_product(defaults.product))
        line = progress.TickLine(globals_of(ctx))
        supervisor = toolkit.supervisor(strategy or defaults.strategy, traded, options, line.tick)
        _stop_on_signals(supervisor)
        try:
            result = supervisor.run()
        finally:
            line.end()
        finish(ctx, operations.ran(result.summary, result.exit_code, result.problems))


def _stop_on_signals(supervisor: "Supervisor") -> None:
    """First signal: a clean stop. Second: now, without waiting for cancels. Third: at once (L4)."""
    seen = 0

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal seen
        seen += 1
        if seen > 2:
            raise KeyboardInterrupt
        supervisor.request_stop(seen)

    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        signal.signal(getattr(signal, name), on_signal)


def reconcile(ctx: typer.Context, accept_cash: AcceptOption = None, by: ByOption = None) -> None:
    """Compare journal and venue: orders, fills, positions, cash; book what evidence supports, list the rest."""
    from perpsctl.domain.errors import ExitCode, UsageError
    from perpsctl.render import reconciled

    if by is not None and accept_cash is None:
        raise UsageError("--by names who accepts a difference", fix="give --accept-cash REASON with it")
    wanted = globals_of(ctx)
    with open_toolkit(ctx) as toolkit:
        reconciler = toolkit.engine.reconciler
        if accept_cash is not None:
            name, why = inputs.who(by), inputs.a_reason(accept_cash, "--accept-cash")
            gone = reconciler.accept_cash(by=name, reason=why)
            currency = toolkit.engine.venue.capabilities.currency
            finish(ctx, reconciled.accepted(gone, currency, name, why))
        answer = reconciled.reconciled(reconciler.run(ledger=True))
        if wanted.quiet and answer.exit_code is ExitCode.DONE and wanted.format in READ_BY_PEOPLE:
            raise typer.Exit(0)
        finish(ctx, answer)
