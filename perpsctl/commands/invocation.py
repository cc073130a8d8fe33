"""One command line and the form its answer was asked for in, known before the line is parsed: endings need it first.

Imports nothing of the other commands: help, the shared options and the answers all ask here.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum


class OutputFormat(StrEnum):
    """How results are written to stdout."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    MARKDOWN = "markdown"
    JUNIT = "junit"  # reports of checks only


@dataclass(slots=True)
class Invocation:
    """One command line from its first word to its ending: which form it wants, and whether its answer is out."""

    output: OutputFormat = OutputFormat.TABLE
    answered: bool = False


invocation: ContextVar[Invocation] = ContextVar("perpsctl.invocation")


def begin(arguments: Sequence[str]) -> Invocation:
    """A new invocation; the form is the last --format on the line, also when the line cannot be parsed."""
    wanted = OutputFormat.TABLE
    words = list(arguments)
    for position, word in enumerate(words):
        text = word.partition("=")[2] if word.startswith("--format=") else ""
        if word == "--":
            break
        if word == "--format" and position + 1 < len(words):
            text = words[position + 1]
        if text in set(OutputFormat):
            wanted = OutputFormat(text)
    begun = Invocation(output=wanted)
    invocation.set(begun)
    return begun


def wants_document() -> bool:
    """True when a machine reads the answer: then every ending is a document."""
    found = invocation.get(None)
    return found is not None and found.output in (OutputFormat.JSON, OutputFormat.JSONL)
