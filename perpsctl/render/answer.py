"""What a command answers, before it has a shape: data for machines, blocks for people, an exit code for both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from perpsctl.domain.errors import ExitCode


class Tone(StrEnum):
    """How a word is meant; shown as colour where there is colour, never only as colour."""

    PLAIN = "plain"
    GOOD = "good"
    BAD = "bad"
    WARN = "warn"
    QUIET = "quiet"


@dataclass(frozen=True, slots=True)
class Word:
    """One cell of text with its tone. Cells given as plain text have the plain tone."""

    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True)
class Ago:
    """A moment told by its age ("3 s ago") to a person; written out where the text outlives the moment."""

    at: datetime


Cell = Word | Ago | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under headings; `right` names the columns of numbers. `empty` is said when there is no row."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    right: frozenset[str] = frozenset()
    empty: str = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Names with values, one a line."""

    title: str
    rows: tuple[tuple[str, Cell], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Sentences."""

    lines: tuple[Cell, ...]


Block = Table | Facts | Lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The result of one command. `data` is made of domain values, mappings and sequences; `jsonable` writes it."""

    data: Mapping[str, object]
    blocks: Sequence[Block]
    exit_code: ExitCode = ExitCode.DONE
    warnings: tuple[str, ...] = ()
    rows_key: str = ""  # the list in `data` that jsonl writes a line each of; empty: the whole document in one line
    junit: str = field(default="", repr=False)  # the same report as JUnit XML, for reports of checks


def good(text: str) -> Word:
    """`text` as good news."""
    return Word(text, Tone.GOOD)


def bad(text: str) -> Word:
    """`text` as bad news."""
    return Word(text, Tone.BAD)


def warn(text: str) -> Word:
    """`text` as something to look at."""
    return Word(text, Tone.WARN)


def quiet(text: str) -> Word:
    """`text` as background."""
    return Word(text, Tone.QUIET)
