"""Statements of every decision, rendered once: Core writes the SQL, the driver runs it.

What Core does anew at each execution (keys of its cache, a context, a result with named columns) costs more than the
statement itself, inside the transaction that every other process waits for.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import Dialect
from sqlalchemy.sql.expression import ClauseElement

__all__ = ["Rendered"]


class Cursor(Protocol):
    """What a driver's answer can do."""

    @property
    def description(self) -> object: ...

    def fetchall(self) -> list[Any]: ...


class Driver(Protocol):
    """A driver's connection: sqlite3's or psycopg's."""

    def execute(self, text: Any, values: Any) -> Cursor: ...


class Rendered:
    """One statement as text with its parameters in order; columns must be of types that need no conversion (schema.py)."""

    def __init__(self, statement: ClauseElement, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        self._text = str(compiled)
        self._names: Sequence[str] | None = getattr(
            compiled, "positiontup", None
        )  # None: the driver takes them by name
        self._given: Mapping[str, object] = dict(compiled.params)  # what the statement itself fixes, such as a limit

    def run(self, driver: Driver, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """Every row it answers with; what `values` does not name is what the statement itself says, or NULL."""
        if self._names is None:
            answer = driver.execute(self._text, {**self._given, **values})
        else:
            held = [values[name] if name in values else self._given[name] for name in self._names]
            answer = driver.execute(self._text, held)
        return [] if answer.description is None else answer.fetchall()
