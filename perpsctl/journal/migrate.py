"""Brings a journal of an older version up to date: in one transaction, kept aside before, verified after (J6).

A step and its number are committed together: what is killed on the way leaves the old journal whole, and is run again. Every
open handle of another version refuses the new number at its next start.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from perpsctl.domain.errors import JournalUnavailable
from perpsctl.domain.ids import AccountKey, Ids
from perpsctl.domain.ports import Clock
from perpsctl.journal.audit import corrupt
from perpsctl.journal.backend import Backend
from perpsctl.journal.migrations.steps import STEPS, Step, upgrade
from perpsctl.journal.opening import JOURNAL_FILE, open_journal, unchecked_backend
from perpsctl.journal.schema import SCHEMA


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrated:
    """From which number to which; `kept` is the copy of the old file, None where nothing was done or a server keeps it."""

    path: str
    found: int
    schema: int
    kept: str | None


def migrate(folder: Path, account: AccountKey, *, clock: Clock, ids: Ids, url: str | None = None) -> Migrated:
    """The journal has this version's schema, opens, and verifies whole. Nothing changes where it had it before."""
    if url is None and not (folder / JOURNAL_FILE).exists():
        raise JournalUnavailable("there is no journal yet", fix="it is made by the first command that needs it")
    database = unchecked_backend(folder, url, clock=clock)
    try:
        done = bring_to(database, SCHEMA, STEPS)
    finally:
        database.close()
    journal = open_journal(folder, account, clock=clock, ids=ids, url=url)
    try:
        found = journal.check(full=True)
    finally:
        journal.close()
    if not found.sound:
        raise corrupt(found.first_bad, found.problem)
    return done


def bring_to(database: Backend, wanted: int, steps: Mapping[int, Step]) -> Migrated:
    """The tables and the number are those of `wanted`; JournalUnavailable, and nothing changed, where no step leads there."""
    found = database.schema_number()
    if found > wanted:
        raise JournalUnavailable(
            f"the journal has schema {found}, this version knows {wanted} only",
            fix="use the newer perpsctl that wrote it",
        )
    missing = [number for number in range(found + 1, wanted + 1) if number not in steps]
    if missing or (found == 0 and wanted > 0):
        raise JournalUnavailable(
            f"the journal has schema {found}, and no step leads from it to {wanted}",
            fix="restore a backup, or use the version of perpsctl that wrote it",
        )
    if found == wanted:
        return Migrated(path=database.place, found=found, schema=wanted, kept=None)
    kept = database.keep_aside(found)
    with database.writing():
        if database.schema_number() == found:  # nobody was faster
            database.take_schema(wanted, lambda connection: upgrade(connection, found, wanted, steps))
    return Migrated(path=database.place, found=found, schema=wanted, kept=kept)
