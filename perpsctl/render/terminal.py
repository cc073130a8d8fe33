"""Answers for a person: rich tables that fit 80 columns, calm, colour never the only carrier."""

from collections.abc import Sequence
from typing import TextIO

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from perpsctl.domain.text import shown
from perpsctl.render.answer import Block, Cell, Facts, Lines, Table, Tone, Word

_STYLE = {Tone.PLAIN: "", Tone.GOOD: "green", Tone.BAD: "bold red", Tone.WARN: "yellow", Tone.QUIET: "dim"}
_CELL_LENGTH = 2000


def console(stream: TextIO, *, no_color: bool) -> Console:
    """A console on `stream`; without a terminal it writes no escape sequence and at least 80 columns."""
    made = Console(file=stream, no_color=no_color or None, highlight=False, markup=False, emoji=False, soft_wrap=False)
    if not made.is_terminal and made.width < 80:
        made.width = 80
    return made


def show(blocks: Sequence[Block], on: Console) -> None:
    """Print the blocks, an empty line between two."""
    for position, block in enumerate(blocks):
        if position:
            on.print()
        on.print(_renderable(block))


def _renderable(block: Block) -> RenderableType:
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Facts):
        return _facts(block)
    return _lines(block)


def _table(block: Table) -> RenderableType:
    if not block.rows:
        return Text.assemble((block.title, "bold"), ("  " if block.title else ""), (block.empty, "dim"))
    drawn = RichTable(box=box.SIMPLE_HEAD, title=block.title or None, title_justify="left", pad_edge=False)
    drawn.title_style = "bold"
    for column in block.columns:
        if column in block.right:
            drawn.add_column(column, justify="right", overflow="fold", no_wrap=False)
        else:
            drawn.add_column(column, overflow="fold")
    for row in block.rows:
        drawn.add_row(*(_cell(cell) for cell in row))
    return drawn


def _facts(block: Facts) -> RenderableType:
    drawn = RichTable(box=None, show_header=False, title=block.title or None, title_justify="left", pad_edge=False)
    drawn.title_style = "bold"
    drawn.add_column(style="dim", no_wrap=True)
    drawn.add_column(overflow="fold")
    for name, cell in block.rows:
        drawn.add_row(name, _cell(cell))
    return drawn


def _lines(block: Lines) -> RenderableType:
    return Text("\n").join(_cell(line) for line in block.lines)


def _cell(cell: Cell) -> Text:
    said = Word(cell) if isinstance(cell, str) else cell
    return Text(shown(said.text, _CELL_LENGTH), style=_STYLE[said.tone])
