"""The steps from one schema number to the next, written with Alembic's operations. A step is never changed once released.

The number in the journal itself (PRAGMA user_version; the stamp on PostgreSQL) is the only record of how far it is: a step
and its number are committed together, so there is no half. Imported by `journal migrate` alone; nothing here judges rows.
"""

from collections.abc import Callable, Mapping

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from perpsctl.journal.migrations import first

Step = Callable[[Operations, str], None]

STEPS: Mapping[int, Step] = {1: first.upgrade}  # the number a step leads to, from the one before


def upgrade(connection: Connection, found: int, wanted: int, steps: Mapping[int, Step] = STEPS) -> None:
    """The tables are those of `wanted`, inside the caller's transaction; KeyError for a number nobody wrote a step to."""
    operations = Operations(MigrationContext.configure(connection))
    for number in range(found + 1, wanted + 1):
        steps[number](operations, connection.dialect.name)
