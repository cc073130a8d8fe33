"""Progress of long work, on stderr only: one line that renews itself on a terminal, sparse lines elsewhere."""

from typing import TYPE_CHECKING

from perpsctl.commands.globals import Globals
from perpsctl.commands.output import errors
from perpsctl.domain.text import shown

if TYPE_CHECKING:
    from perpsctl.engine.supervisor import TickReport

LINES_APART = 10  # ticks between two lines where nobody watches a terminal


class TickLine:
    """What `run` has done so far."""

    def __init__(self, wanted: Globals) -> None:
        self._quiet = wanted.quiet
        self._console = errors(no_color=wanted.no_color)
        self._open = False
        self._told = ""

    def tick(self, tick: "TickReport") -> None:
        """Tell one tick; on a terminal each, elsewhere each tenth and whatever went wrong."""
        if self._quiet:
            return
        text = f"tick {tick.ticks}: {tick.accepted} accepted of {tick.intents}, {tick.denied} denied"
        text += f", {tick.unknown} unknown" if tick.unknown else ""
        text += ", HALTED" if tick.halted else ""
        for said in tick.said:
            self.end()
            self._write(f"{shown(said, 300)}\n")
        news = tick.problem if tick.problem != self._told else ""  # once, not with every tick from then on
        self._told = tick.problem
        if self._console.is_terminal and not news:
            self._write("\r\x1b[2K" + text[: max(self._console.width - 1, 1)])
            self._open = True
        elif news or tick.ticks % LINES_APART == 0:
            self.end()
            self._write(text + (f"; {shown(news, 300)}" if news else "") + "\n")

    def end(self) -> None:
        """The line that renews itself is left standing, and what follows begins on a new one."""
        if self._open:
            self._write("\n")
            self._open = False

    def _write(self, text: str) -> None:
        try:
            self._console.file.write(text)
            self._console.file.flush()
        except (OSError, ValueError):  # stderr is gone or closed: talk is lost and nothing else
            self._quiet = True
