"""`watch`: a live view of a profile. It needs no lease, sends nothing and writes nothing."""

import signal
from datetime import timedelta
from types import FrameType
from typing import TYPE_CHECKING

import typer

from perpsctl.commands import inputs, viewing
from perpsctl.commands.globals import command, globals_of
from perpsctl.commands.invocation import OutputFormat
from perpsctl.commands.output import finish
from perpsctl.commands.run import ForOption, IntervalOption, ProductOption
from perpsctl.commands.toolkits import open_toolkit
from perpsctl.commands.viewing import LooksOption

if TYPE_CHECKING:
    from perpsctl.engine.lookout import Lookout

EXAMPLES = """\
perpsctl watch
perpsctl watch --product ETH-PERP --interval 500ms
perpsctl watch --for 60s --format jsonl
perpsctl watch --format json
Ctrl-C ends it"""
ONE_DOCUMENT = frozenset({OutputFormat.JSON, OutputFormat.MARKDOWN})


def add_to(root: typer.Typer, panel: str) -> None:
    """It stands at the root, under `panel` of its help."""
    command(root, "watch", epilog=EXAMPLES, rich_help_panel=panel)(watch)


def watch(
    ctx: typer.Context,
    product: ProductOption = None,
    for_: ForOption = None,
    ticks: LooksOption = None,
    interval: IntervalOption = None,
) -> None:
    """Look on: switch, positions, limits used, book, streams and their ages, last events. Read-only.

    With --format json or markdown it prints one document at its end: after one look unless told otherwise.
    """
    from perpsctl.engine.lookout import WatchOptions
    from perpsctl.render import watching

    wanted = globals_of(ctx)
    length = None if for_ is None else inputs.a_duration(for_, "--for")
    pace = timedelta(seconds=1) if interval is None else inputs.a_duration(interval, "--interval")
    asked = None if product is None else inputs.a_product(product)
    if wanted.format in ONE_DOCUMENT and length is None and ticks is None:
        ticks = 1
    options = WatchOptions(duration=length, looks=ticks, interval=pace)
    with open_toolkit(ctx, way_out=True) as toolkit:
        lookout = toolkit.lookout(asked or inputs.a_product(toolkit.profile.run.product))
        signals = _Signals(lookout)
        with viewing.viewer(wanted) as viewer:
            lookout.run(options, viewer.show)
        look = viewer.last
        if look is None or wanted.format not in ONE_DOCUMENT:
            raise typer.Exit(viewing.exit_code(look, stopped=signals.seen > 0))
        finish(ctx, watching.answer(look))


class _Signals:
    """The first signal ends the view after the look under way, the second at once."""

    def __init__(self, lookout: "Lookout") -> None:
        self.seen = 0
        self._lookout = lookout
        for name in ("SIGTERM", "SIGINT", "SIGHUP"):
            signal.signal(getattr(signal, name), self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.seen += 1
        if self.seen > 1:
            raise KeyboardInterrupt
        self._lookout.request_stop()
