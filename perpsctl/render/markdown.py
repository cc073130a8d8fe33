"""Answers as Markdown, for a ticket or a report."""

from collections.abc import Sequence
from datetime import datetime

from perpsctl.domain.text import shown
from perpsctl.render.answer import Ago, Block, Cell, Facts, Table, Word
from perpsctl.render.values import clock_time

_SPECIAL = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]<>|#"})


def document(blocks: Sequence[Block], now: datetime) -> str:
    """The blocks as one Markdown text that ends with the moment it speaks of and a newline.

    Ages are written as moments: a ticket is read later than it is written.
    """
    return "\n\n".join(_block(block) for block in blocks) + f"\n\nas of {clock_time(now)}\n"


def _block(block: Block) -> str:
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Facts):
        return _heading(block.title) + "\n".join(f"- {_text(name)}: {_text(cell)}" for name, cell in block.rows)
    return "\n\n".join(_text(line) for line in block.lines)


def _table(block: Table) -> str:
    if not block.rows:
        return _heading(block.title) + _text(block.empty)
    marks = ["--:" if column in block.right else "---" for column in block.columns]
    rows = [[_text(column) for column in block.columns], marks, *([_text(cell) for cell in row] for row in block.rows)]
    return _heading(block.title) + "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _heading(title: str) -> str:
    return f"### {_text(title)}\n\n" if title else ""


def _text(cell: Cell) -> str:
    if isinstance(cell, Ago):
        return clock_time(cell.at)
    return shown(cell.text if isinstance(cell, Word) else cell, 2000).translate(_SPECIAL)
