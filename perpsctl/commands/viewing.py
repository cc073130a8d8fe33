"""How `watch` shows its looks: renewed in place on a terminal, a line each elsewhere, a JSON line each for a machine.

A reader that went away ends the view and is no error (P5). Whatever ends it, the terminal is left as it was found.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from perpsctl.commands.globals import Globals
from perpsctl.commands.invocation import OutputFormat, invocation
from perpsctl.commands.output import told_line
from perpsctl.domain.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

    from perpsctl.domain.outlook import Outlook

LooksOption = Annotated[
    int | None, typer.Option("--ticks", min=1, help="Stop after so many looks.", show_default=False)
]
USUAL_COLUMNS, USUAL_LINES = 80, 24
NARROWEST = 20
LEAST_LINES = 5


class Viewer(Protocol):
    """Shows one look after the other."""

    last: "Outlook | None"

    def show(self, look: "Outlook") -> bool:
        """Shown; False when nobody reads any more."""


@contextmanager
def viewer(wanted: Globals) -> Iterator[Viewer]:
    """The viewer that suits the wanted form and stdout; the terminal is as it was before when the block ends."""
    if wanted.format is OutputFormat.JSONL:
        yield _Lines(_as_json)
    elif wanted.format is not OutputFormat.TABLE:
        yield _Keeper()
    elif sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        with _live(wanted) as (live, console):
            yield _Screen(live, console)
    else:
        yield _Lines(_as_text)


def exit_code(look: "Outlook | None", *, stopped: bool) -> int:
    """Done; partly done when the last look of a view that ended by itself could not read everything."""
    if look is None or stopped or not look.problems:
        return int(ExitCode.DONE)
    return int(ExitCode.PARTLY_DONE)


class _Keeper:
    """Shows nothing: the last look becomes the one document."""

    def __init__(self) -> None:
        self.last: Outlook | None = None

    def show(self, look: "Outlook") -> bool:
        self.last = look
        return True


class _Lines:
    """A line a look."""

    def __init__(self, form: "_Form") -> None:
        self.last: Outlook | None = None
        self._form = form

    def show(self, look: "Outlook") -> bool:
        self.last = look
        begun = invocation.get(None)
        if begun is not None:
            begun.answered = True
        return told_line(self._form(look))


class _Form(Protocol):
    def __call__(self, look: "Outlook") -> str: ...


def _as_json(look: "Outlook") -> str:
    from perpsctl.render import watching
    from perpsctl.render.values import to_json

    return to_json(watching.data(look))


def _as_text(look: "Outlook") -> str:
    from perpsctl.render import watching

    return watching.line(look)


class _Screen:
    """The look in place of the one before, cut to the terminal's height: events go first."""

    def __init__(self, live: "Live", console: "Console") -> None:
        self.last: Outlook | None = None
        self._live = live
        self._console = console

    def show(self, look: "Outlook") -> bool:
        from rich.console import Group

        from perpsctl.render import terminal, watching

        self.last = look
        size = os.get_terminal_size(sys.stdout.fileno())
        self._console.width = max(size.columns or USUAL_COLUMNS, NARROWEST)  # none told: a terminal of no size (P10)
        room = max((size.lines or USUAL_LINES) - 1, LEAST_LINES)
        lines = list(terminal.lines(watching.blocks(look), self._console, look.at))
        if (over := len(lines) - room) > 0:
            blocks = watching.blocks(look, events=max(len(look.events or ()) - over, 0))
            lines = list(terminal.lines(blocks, self._console, look.at))[:room]
        try:
            self._live.update(Group(*lines), refresh=True)
        except BrokenPipeError:
            return False
        return True


@contextmanager
def _live(wanted: Globals) -> "Iterator[tuple[Live, Console]]":
    from rich.live import Live

    from perpsctl.render import terminal

    console = terminal.console(sys.stdout, no_color=wanted.no_color)
    with Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        yield live, console
