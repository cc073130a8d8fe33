"""Answers for a person: calm columns that fit the width, colour never the only carrier.

An identifier is never broken where it can stand whole: prose gives way first, and where even that does not fit, each row
becomes a card of one line a value. Nothing is printed that did not pass `shown`.
"""

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TextIO

from rich.console import Console
from rich.text import Text

from perpsctl.domain.text import shown
from perpsctl.render.answer import Ago, Block, Cell, Facts, Lines, Table, Tone, Word
from perpsctl.render.values import age

_STYLE = {Tone.PLAIN: "", Tone.GOOD: "green", Tone.BAD: "bold red", Tone.WARN: "yellow", Tone.QUIET: "dim"}
_CELL_LENGTH = 2000
_GAP = "  "
_SHORT = 24  # a cell up to this length is never broken
_WORD = 40  # a word up to this length (an id) neither
_NARROWEST = 20
_LEAST_PROSE = 22


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """A reader that went away is for the caller to judge; rich would end the process with 1 (P5)."""
        raise BrokenPipeError


def console(stream: TextIO | None, *, no_color: bool) -> Console:
    """A console on `stream` (nowhere when it was closed); without a terminal no escape sequence and 80 columns.

    Without colour no style either: bold and dim are sequences too (S3).
    """
    plain = no_color or bool(os.environ.get("NO_COLOR"))
    target = stream if stream is not None else open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - ends with us
    made = _Console(
        file=target,
        no_color=plain or None,
        color_system=None if plain else "auto",
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=True,
    )
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = 80
    made.width = max(made.width, _NARROWEST)  # a terminal of no width at all (P10)
    return made


def show(blocks: Sequence[Block], on: Console, now: datetime) -> None:
    """Print the blocks, an empty line between two; ages are counted up to `now`."""
    for line in lines(blocks, on, now):
        on.print(line)


def lines(blocks: Sequence[Block], on: Console, now: datetime) -> Iterator[Text]:
    """The blocks as lines that fit the console's width, an empty one between two blocks."""
    page = _Page(on, now)
    for position, block in enumerate(blocks):
        if position:
            yield Text()
        for line in page.lines(block):
            line.rstrip()
            yield line


class _Page:
    def __init__(self, on: Console, now: datetime) -> None:
        self._on = on
        self._now = now
        self._width = on.width
        self._rule = "-" if on.options.ascii_only else "─"

    def lines(self, block: Block) -> Iterator[Text]:
        match block:
            case Table():
                yield from self._table(block)
            case Facts():
                yield from self._facts(block)
            case Lines():
                for line in block.lines:
                    yield from self._wrapped(self._cell(line), self._width)

    def _table(self, block: Table) -> Iterator[Text]:
        if not block.rows:
            gap = _GAP if block.title else ""
            yield from self._wrapped(
                Text.assemble((shown(block.title), "bold"), gap, (shown(block.empty), "dim")), self._width
            )
            return
        yield from self._title(block.title)
        rows = [[self._cell(cell) for cell in row] for row in block.rows]
        widths = _fitted(block.columns, rows, self._width)
        if widths is None:
            yield from self._cards(block.columns, rows)
            return
        right = [column in block.right for column in block.columns]
        heads = [Text(column, style="dim") for column in block.columns]
        yield _joined(heads, widths, right)
        yield Text(self._rule * (sum(widths) + len(_GAP) * (len(widths) - 1)), style="dim")
        for row in rows:
            yield from self._row(row, widths, right)

    def _row(self, row: Sequence[Text], widths: Sequence[int], right: Sequence[bool]) -> Iterator[Text]:
        cells = [self._wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
        for line in range(max(len(cell) for cell in cells)):
            parts = [cell[line] if line < len(cell) else Text() for cell in cells]
            yield _joined(parts, widths, right)

    def _cards(self, columns: Sequence[str], rows: Sequence[Sequence[Text]]) -> Iterator[Text]:
        """One row after the other, its first value alone on its line: what an operator copies stays whole."""
        for position, row in enumerate(rows):
            if position:
                yield Text()
            yield from self._wrapped(row[0], self._width)
            yield from self._named([(f"  {name}", cell) for name, cell in zip(columns[1:], row[1:], strict=True)])

    def _facts(self, block: Facts) -> Iterator[Text]:
        yield from self._title(block.title)
        yield from self._named([(shown(name), self._cell(cell)) for name, cell in block.rows])

    def _named(self, rows: Sequence[tuple[str, Text]]) -> Iterator[Text]:
        if not rows:
            return
        wanted = max(len(name) for name, _ in rows)
        room = self._width - wanted - len(_GAP)
        if room < _LEAST_PROSE:  # too narrow for two columns: the value goes below its name
            for name, cell in rows:
                yield from self._wrapped(Text(name, style="dim"), self._width)
                indent = " " * (len(name) - len(name.lstrip()) + 2)
                for line in self._wrapped(cell, max(self._width - len(indent), 8)):
                    yield Text.assemble(indent, line)
            return
        for name, cell in rows:
            if room < _longest_word(cell) <= self._width - len(_GAP):  # an id stands whole on the next line
                yield Text(name, style="dim")
                for line in self._wrapped(cell, self._width - len(_GAP)):
                    yield Text.assemble(_GAP, line)
                continue
            for number, line in enumerate(self._wrapped(cell, room)):
                head = name if number == 0 else ""
                yield Text.assemble((head.ljust(wanted) + _GAP, "dim"), line)

    def _title(self, title: str) -> Iterator[Text]:
        if title:
            yield from self._wrapped(Text(shown(title), style="bold"), self._width)

    def _cell(self, cell: Cell) -> Text:
        if isinstance(cell, Ago):
            return Text(age(cell.at, self._now))
        said = Word(cell) if isinstance(cell, str) else cell
        return Text(shown(said.text, _CELL_LENGTH), style=_STYLE[said.tone])

    def _wrapped(self, text: Text, width: int) -> list[Text]:
        if text.cell_len <= width:
            return [text]
        lines = list(text.wrap(self._on, width, overflow="fold"))
        for line in lines:
            line.rstrip()
        return lines


def _joined(parts: Sequence[Text], widths: Sequence[int], right: Sequence[bool]) -> Text:
    line = Text()
    for position, (part, width) in enumerate(zip(parts, widths, strict=True)):
        if position:
            line.append(_GAP)
        blank = " " * max(width - part.cell_len, 0)
        line.append_text(Text.assemble(blank, part) if right[position] else Text.assemble(part, blank))
    return line


def _fitted(columns: Sequence[str], rows: Sequence[Sequence[Text]], width: int) -> list[int] | None:
    """The columns' widths, prose narrowed as far as needed; None when the table cannot stand without breaking ids."""
    across = [[row[position] for row in rows] for position in range(len(columns))]
    natural = [max(len(name), *(cell.cell_len for cell in cells)) for name, cells in zip(columns, across, strict=True)]
    least = [max(len(name), _least(cells)) for name, cells in zip(columns, across, strict=True)]
    room = width - len(_GAP) * (len(columns) - 1)
    if sum(least) > room:
        return None
    widths = list(natural)
    while sum(widths) > room:
        slack = [have - need for have, need in zip(widths, least, strict=True)]
        widths[slack.index(max(slack))] -= 1
    return widths


def _least(cells: Sequence[Text]) -> int:
    longest = max(cell.cell_len for cell in cells)
    if longest <= _SHORT:
        return longest
    word = max(_longest_word(cell) for cell in cells)
    return min(max(min(word, _WORD), _LEAST_PROSE), longest)


def _longest_word(cell: Text) -> int:
    return max(len(word) for word in (cell.plain.split() or [""]))
