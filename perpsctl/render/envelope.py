"""The one JSON document a machine reads: results in one envelope, what could not be answered in another (design 4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from perpsctl.domain.errors import ExitCode
from perpsctl.render.answer import Answer
from perpsctl.render.values import to_json

ERROR_SCHEMA = "perpsctl.error/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an answer came from."""

    command: str
    profile: str | None
    venue: str | None
    environment: str | None
    as_of: datetime


def result(answer: Answer, origin: Origin, *, indent: int | None = 2) -> str:
    """The result document; `denied`, `rejected` and `unknown` are results, told by their exit code."""
    document = {
        "schema": f"perpsctl.{origin.command.replace(' ', '.')}/1",
        "command": origin.command,
        "profile": origin.profile,
        "venue": origin.venue,
        "environment": origin.environment,
        "as_of": origin.as_of,
        "data": answer.data,
        "warnings": list(answer.warnings),
    }
    return to_json(document, indent=indent)


def lines(answer: Answer, origin: Origin) -> str:
    """JSON lines: one line a row of the answer's list (none for an empty one), or the whole document in one line."""
    rows = answer.data.get(answer.rows_key) if answer.rows_key else None
    if not isinstance(rows, list | tuple):
        return result(answer, origin, indent=None) + "\n"
    return "".join(to_json(row) + "\n" for row in rows)


def error(
    *,
    code: str,
    message: str,
    fix: str,
    exit_code: ExitCode,
    retryable: bool,
    details: Mapping[str, object],
    indent: int | None = 2,
) -> str:
    """The document for what could not be answered."""
    body: dict[str, object] = {
        "code": code,
        "message": message,
        "fix": fix,
        "exit_code": int(exit_code),
        "retryable": retryable,
    }
    return to_json({"schema": ERROR_SCHEMA, "error": body | dict(details)}, indent=indent)
