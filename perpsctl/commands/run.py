"""`run` and `reconcile`: the loop, and the comparison of journal and venue."""

import signal
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from perpsctl.commands import inputs
from perpsctl.commands.globals import command, globals_of
from perpsctl.commands.output import finish, talk
from perpsctl.commands.toolkits import open_toolkit

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


def add_to(root: typer.Typer) -> None:
    """Both stand at the root."""
    command(root, "run")(run)
    command(root, "reconcile")(reconcile)


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
    from perpsctl.render import operations

    length = None if for_ is None else inputs.a_duration(for_, "--for")
    pace = None if interval is None else inputs.a_duration(interval, "--interval")
    with open_toolkit(ctx) as toolkit:
        supervisor = toolkit.supervisor(
            strategy=strategy, product=product, length=length, ticks=ticks, interval=pace, dry_run=dry_run,
            progress=lambda line: talk(ctx, line) if not globals_of(ctx).quiet else None,
        )  # fmt: skip
        _stop_on_signals(supervisor)
        finish(ctx, operations.ran(supervisor.run()))


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


def reconcile(ctx: typer.Context) -> None:
    """Compare journal and venue: orders, fills, positions; book what evidence supports, list the rest."""
    from perpsctl.render import operations

    with open_toolkit(ctx) as toolkit:
        finish(ctx, operations.reconciled(toolkit.reconcile()))
