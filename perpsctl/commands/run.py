"""`run` and `reconcile`: the loop, and the comparison of journal and venue."""

import signal
from datetime import timedelta
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from perpsctl.commands import asking, inputs
from perpsctl.commands.globals import command
from perpsctl.commands.output import finish, talk
from perpsctl.commands.toolkits import open_toolkit

if TYPE_CHECKING:
    from perpsctl.engine.supervisor import Supervisor, TickReport

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
    from perpsctl.engine.supervisor import RunOptions, TickReport
    from perpsctl.render import operations

    length = None if for_ is None else inputs.a_duration(for_, "--for")
    pace = None if interval is None else inputs.a_duration(interval, "--interval")

    def progress(tick: TickReport) -> None:
        talk_progress(ctx, tick)

    with open_toolkit(ctx) as toolkit:
        defaults = toolkit.profile.run
        options = RunOptions(
            duration=length, ticks=ticks, interval=pace or timedelta(milliseconds=defaults.interval_ms), dry_run=dry_run
        )  # fmt: skip
        traded = asking.product_of(toolkit, product or defaults.product)
        supervisor = toolkit.supervisor(strategy or defaults.strategy, traded, options, progress)
        _stop_on_signals(supervisor)
        result = supervisor.run()
        finish(ctx, operations.ran(result.summary, result.exit_code, result.problems))


def talk_progress(ctx: typer.Context, tick: "TickReport") -> None:
    """One line a tick on stderr for a person who watches; a line every tenth tick elsewhere."""
    if tick.ticks % 10 and not tick.problem:
        return
    text = (
        f"tick {tick.ticks}: {tick.accepted} accepted of {tick.intents}, {tick.denied} denied, {tick.unknown} unknown"
    )
    talk(ctx, f"{text}; {tick.problem}" if tick.problem else text)


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
        finish(ctx, operations.reconciled(toolkit.engine.reconciler.run()))
