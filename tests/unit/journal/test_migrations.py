"""`journal migrate`: create equals upgrade, older is brought up to date whole or not at all, unknown is refused (J6, X10)."""

import re
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from alembic.operations import Operations
from sqlalchemy import Column, Text, column, select, table

from perpsctl.domain.errors import JournalUnavailable
from perpsctl.journal import postgres, sqlite
from perpsctl.journal.database import Database
from perpsctl.journal.locks import Address
from perpsctl.journal.migrate import bring_to, migrate
from perpsctl.journal.migrations.steps import STEPS, Step, upgrade
from perpsctl.journal.opening import JOURNAL_FILE, unchecked_backend
from perpsctl.journal.schema import SCHEMA
from perpsctl.journal.shared import SharedDatabase
from tests.postgres import Server
from tests.unit.journal.fakes import ACCOUNT, FakeClock, FakeIds, a_journal, an_intent, yes

NEXT = SCHEMA + 1


def add_a_column(operations: Operations, _: str) -> None:
    operations.add_column("leases", Column("note", Text()))


def fail_half_way(operations: Operations, dialect: str) -> None:
    add_a_column(operations, dialect)
    raise RuntimeError("killed here")


def in_file(path: Path) -> set[tuple[str, str, str]]:
    with sqlite3.connect(path) as looked:
        rows = looked.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_schema").fetchall()
    looked.close()
    return {(kind, name, re.sub(r"\s+", " ", sql)) for kind, name, sql in rows}


def in_database(server: Server, database: str) -> set[tuple[object, ...]]:
    tables = "('events', 'snapshots', 'leases', 'journal_stamp')"
    queries = (
        "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, "
        "coalesce((SELECT collname FROM pg_collation WHERE oid = a.attcollation), ''), "
        "coalesce((SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = c.oid AND adnum = a.attnum), '') "
        f"FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relname IN {tables} AND a.attnum > 0",
        f"SELECT tablename, indexname, indexdef FROM pg_indexes WHERE tablename IN {tables}",
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid <> 0",
        "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
        "SELECT proname, prosrc FROM pg_proc WHERE proname = 'journal_keep'",
    )
    return {row for query in queries for row in server.run(database, query)}


def test_what_is_created_is_what_upgrading_from_nothing_makes_J6(tmp_path: Path, postgres_server: Server) -> None:
    """SQLite: the very text of each table, index and trigger. PostgreSQL: what its catalogue says of them."""
    a_journal(tmp_path / "created").close()
    file = tmp_path / "upgraded.db"
    connection = sqlite.connect(file, timedelta(seconds=1))
    upgrade(connection, 0, SCHEMA)
    connection.close()
    connection.engine.dispose()
    assert in_file(file) == in_file(tmp_path / "created" / JOURNAL_FILE)
    assert len(in_file(file)) > 14

    created, upgraded = postgres_server.new_database(), postgres_server.new_database()
    a_journal(tmp_path / "shared", url=postgres_server.url(created)).close()
    address = Address.read(postgres_server.url(upgraded))
    connection = postgres.connect(address, timedelta(seconds=1))
    upgrade(connection, 0, SCHEMA)
    connection.close()
    connection.engine.dispose()
    assert in_database(postgres_server, upgraded) == in_database(postgres_server, created)
    assert len(in_database(postgres_server, upgraded)) > 35


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str | None:
    if request.param == "sqlite":
        return None
    server: Server = request.getfixturevalue("postgres_server")
    return server.url(server.new_database())


@pytest.fixture
def folder(tmp_path: Path, url: str | None) -> Path:
    journal = a_journal(tmp_path / "sim", url=url)
    intent = an_intent()
    journal.decide(intent, intent.size, yes(intent))
    journal.close()
    return tmp_path / "sim"


def unchecked(folder: Path, url: str | None) -> Database | SharedDatabase:
    found = unchecked_backend(folder, url, clock=FakeClock())
    assert isinstance(found, Database | SharedDatabase)
    return found


def test_a_journal_of_this_version_is_verified_and_left_alone_J6(folder: Path, url: str | None) -> None:
    done = migrate(folder, ACCOUNT, clock=FakeClock(), ids=FakeIds(), url=url)
    assert (done.found, done.schema, done.kept) == (SCHEMA, SCHEMA, None)
    assert not list(folder.glob("*.schema-*"))


def test_an_older_journal_gets_each_step_and_its_number_at_once_and_is_kept_aside_J6(
    folder: Path, url: str | None
) -> None:
    database = unchecked(folder, url)
    done = bring_to(database, NEXT, {NEXT: add_a_column})
    assert (done.found, done.schema, database.schema_number()) == (SCHEMA, NEXT, NEXT)
    assert database.rows(select(column("note")).select_from(table("leases"))) == []
    database.close()
    if url is None:
        assert done.kept == str(folder / f"{JOURNAL_FILE}.schema-{SCHEMA}")
        kept = Database.unchecked(Path(done.kept), clock=FakeClock(), busy_timeout=timedelta(seconds=1))
        assert kept.schema_number() == SCHEMA
        assert len(kept.rows(select(column("seq")).select_from(table("events")))) == 1
        kept.close()
    with pytest.raises(JournalUnavailable, match=r"newer perpsctl|knows 1 only"):
        a_journal(folder, url=url)


def test_a_step_that_is_killed_leaves_the_old_journal_whole_and_is_run_again_J6(folder: Path, url: str | None) -> None:
    database = unchecked(folder, url)
    with pytest.raises(RuntimeError, match="killed here"):
        bring_to(database, NEXT, {NEXT: fail_half_way})
    assert database.schema_number() == SCHEMA
    database.close()
    journal = a_journal(folder, url=url)
    assert journal.check(full=True).sound
    journal.close()
    database = unchecked(folder, url)
    assert bring_to(database, NEXT, {NEXT: add_a_column}).schema == NEXT
    database.close()


@pytest.mark.parametrize(("wanted", "steps"), [(SCHEMA - 1, STEPS), (NEXT, STEPS), (NEXT + 1, {NEXT: add_a_column})])
def test_a_number_no_step_leads_to_is_refused_and_nothing_changes_J6(
    folder: Path, url: str | None, wanted: int, steps: dict[int, Step]
) -> None:
    database = unchecked(folder, url)
    with pytest.raises(JournalUnavailable, match=r"no step leads|knows"):
        bring_to(database, wanted, steps)
    assert database.schema_number() == SCHEMA
    database.close()
    a_journal(folder, url=url).close()


def test_there_must_be_a_journal(tmp_path: Path) -> None:
    with pytest.raises(JournalUnavailable, match="no journal yet"):
        migrate(tmp_path, ACCOUNT, clock=FakeClock(), ids=FakeIds())


def test_alembic_and_the_driver_of_postgresql_are_loaded_by_those_who_need_them_only() -> None:
    look = "import perpsctl.journal.opening, perpsctl.journal.info, sys; print('alembic' in sys.modules, 'psycopg' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_every_step_up_to_this_version_is_there() -> None:
    assert sorted(STEPS) == list(range(1, SCHEMA + 1))
