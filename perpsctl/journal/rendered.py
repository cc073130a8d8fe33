"""Statements of every decision, rendered once: Core writes the SQL, the driver runs it.

What Core does anew at each execution (keys of its cache, a context, a result with named columns) costs more than the
statement itself, inside the transaction that every other process waits for.
"""

import sqlite3
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.sql.expression import ClauseElement

__all__ = ["Rendered"]


class Rendered:
    """One statement as text with its parameters in order; columns must be of types that need no conversion (schema.py)."""

    def __init__(self, statement: ClauseElement, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        self._text = str(compiled)
        self._names: tuple[str, ...] = tuple(getattr(compiled, "positiontup", None) or ())
        self._given: Mapping[str, object] = dict(compiled.params)  # what the statement itself fixes, such as a limit

    def run(self, driver: sqlite3.Connection, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """Every row it answers with; what `values` does not name is what the statement itself says, or NULL."""
        held = [values[name] if name in values else self._given[name] for name in self._names]
        return driver.execute(self._text, held).fetchall()
