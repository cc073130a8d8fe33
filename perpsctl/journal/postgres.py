"""What is particular to PostgreSQL: the address and its secret, the session, the schema and its stamp, what its errors mean.

No password is ever in a message: connections are told by host and database alone. Every wait has an end: connecting, waiting
for another writer, a statement, an open transaction of a process that was stopped (X9).
"""

from collections.abc import Sequence
from datetime import timedelta
from enum import Enum
from typing import Any, cast

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Column as Col
from sqlalchemy import Connection, Integer, MetaData, Table, Text, create_engine, inspect
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from perpsctl.domain.text import shown
from perpsctl.journal.locks import Address, session_name, unusable
from perpsctl.journal.schema import APPLICATION_ID, SCHEMA, metadata

DatabaseTrouble = (SQLAlchemyError, psycopg.Error)
OLDEST = 150_000  # PostgreSQL 15
CONNECT_WITHIN = timedelta(seconds=4)
STATEMENT_WITHIN = timedelta(seconds=1)  # beyond the wait for another writer
ANSWER_WITHIN = timedelta(seconds=8)  # the server's own bounds come first; this one is for a server that says nothing
IDLE_WRITE_ENDS = timedelta(seconds=10)  # a stopped process gives up the journal it was writing (P3)

stamp_metadata = MetaData()
stamp_table = Table(
    "journal_stamp",
    stamp_metadata,
    Col("application", Integer, primary_key=True, autoincrement=False),
    Col("number", Integer, nullable=False),  # the schema's
    Col("audit_key", Text),  # a fingerprint of the key the rows are sealed with; NULL until the first host made one
)

_TABLES = (*metadata.sorted_tables, stamp_table)
_TRIGGERS = (
    "CREATE FUNCTION journal_keep() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'the journal is append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$",
    "CREATE TRIGGER events_keep BEFORE UPDATE OR DELETE ON events FOR EACH ROW EXECUTE FUNCTION journal_keep()",
    "CREATE TRIGGER events_keep_all BEFORE TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION journal_keep()",
)
_TRIGGER_NAMES = {"events_keep", "events_keep_all"}


class Trouble(Enum):
    """What an error of the server means for us."""

    BUSY = "busy"  # somebody else writes, or it took too long: nothing happened
    UNDONE = "undone"  # the transaction was taken back and may be tried again
    CONSTRAINT = "constraint"  # a row that must not be: our bug
    READ_ONLY = "read only"
    FULL = "full"  # no connection or no room left
    CORRUPT = "corrupt"
    OTHER = "other"


class Bounded(psycopg.Connection[Any]):
    """A connection on which no answer is waited for longer than ANSWER_WITHIN, whatever the server does (X9)."""

    def wait(self, gen: Any, interval: Any = None, timeout: Any = None) -> Any:
        """As psycopg's, with an end."""
        within = ANSWER_WITHIN // timedelta(seconds=1)
        try:
            return super().wait(gen, timeout=within if timeout is None else min(timeout, within))
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.pgconn.finish()  # what it still answers would be taken for the next answer
            raise


def connect(address: Address, busy_timeout: timedelta) -> Connection:
    """One connection with our bounds, on a server that can keep a promise; SQLAlchemy opens no transaction on it."""
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: _driver(address),
        poolclass=StaticPool,
        isolation_level="AUTOCOMMIT",
        use_native_hstore=False,
    )
    connection: Connection | None = None
    try:
        connection = engine.connect()
        held = driver(connection)
        held.execute(_settings(busy_timeout), prepare=False)
        _require_fit(held)
    except BaseException:
        if connection is not None:
            connection.close()
        engine.dispose()
        raise
    return connection


def driver(connection: Connection) -> Bounded:
    """The connection below SQLAlchemy's, for BEGIN, COMMIT, ROLLBACK and locks."""
    return cast(Bounded, connection.connection.dbapi_connection)


def trouble_of(error: Exception) -> tuple[Trouble, str]:
    """What `error` means, and the server's own short words for it (its details, which may quote rows, are left out)."""
    inner = error.orig if isinstance(error, DBAPIError) else error
    state, words = "", type(inner).__name__
    if isinstance(inner, psycopg.Error):
        state = inner.sqlstate or ""
        words = inner.diag.message_primary or str(inner) or words
    for meaning, states in _MEANINGS:
        if state.startswith(states):
            return meaning, words
    if isinstance(inner, psycopg.DataError | psycopg.IntegrityError):  # refused before it reached the server
        return Trouble.CONSTRAINT, words
    return Trouble.OTHER, words


_MEANINGS: Sequence[tuple[Trouble, tuple[str, ...]]] = (
    (Trouble.BUSY, ("55P03", "57014")),
    (Trouble.UNDONE, ("40001", "40P01", "40003")),
    (Trouble.READ_ONLY, ("25006",)),
    (Trouble.FULL, ("53",)),
    (Trouble.CORRUPT, ("XX001", "XX002", "58")),
    (Trouble.CONSTRAINT, ("22", "23", "54")),
)


def create_schema(connection: Connection) -> None:
    """Tables, triggers and stamp, inside the caller's transaction."""
    metadata.create_all(connection, checkfirst=False)
    stamp_metadata.create_all(connection, checkfirst=False)
    for each in _TRIGGERS:
        connection.exec_driver_sql(each)
    connection.execute(stamp_table.insert(), {"application": APPLICATION_ID, "number": SCHEMA})


def is_empty(connection: Connection) -> bool:
    """True where nobody has put any table of a journal."""
    there = set(inspect(connection).get_table_names())
    return not there & {table.name for table in _TABLES}


def number_of(connection: Connection) -> int:
    """The schema's number in the stamp; JournalUnavailable when there is no stamp of ours."""
    if stamp_table.name not in inspect(connection).get_table_names():
        raise unusable(
            "its tables bear no stamp: half made by another tool, or not a journal",
            "restore the database from its backup, or give the journal one of its own",
        )
    stamps = connection.execute(stamp_table.select()).fetchall()
    if len(stamps) != 1 or stamps[0].application != APPLICATION_ID:
        raise unusable("its stamp is not perpsctl's", "give the journal a database of its own")
    return int(stamps[0].number)


def set_number(connection: Connection, number: int) -> None:
    """The stamp bears this schema number, with the caller's transaction."""
    connection.execute(stamp_table.update().values(number=number))


def require_our_schema(connection: Connection) -> None:
    """Exactly our schema number and every part of it, else a refusal that says what to do (J6, X10)."""
    found = number_of(connection)
    if found < SCHEMA:
        raise unusable(f"it has schema {found}, this version needs {SCHEMA}", "run `perpsctl journal migrate`")
    if found > SCHEMA:
        raise unusable(
            f"it has schema {found}, this version knows {SCHEMA} only", "use the newer perpsctl that wrote it"
        )
    problem = schema_problem(connection)
    if problem is not None:
        raise unusable(f"its schema is not whole: {problem}", "end the migration that is under way, or restore it")


def schema_problem(connection: Connection) -> str | None:
    """What is missing of the tables, columns, indexes and triggers our schema number stands for; None when nothing."""
    look = inspect(connection)
    there = set(look.get_table_names())
    for table in _TABLES:
        if table.name not in there:
            return f"table {table.name} is missing"
        missing = {column.name for column in table.columns} - {each["name"] for each in look.get_columns(table.name)}
        missing |= {str(index.name) for index in table.indexes} - {str(i["name"]) for i in look.get_indexes(table.name)}
        if missing:
            return f"{table.name} lacks {', '.join(sorted(missing))}"
    query = "SELECT tgname FROM pg_trigger WHERE tgrelid = 'events'::regclass AND NOT tgisinternal AND tgenabled = 'O'"
    armed = {str(row[0]) for row in connection.exec_driver_sql(query)}
    if not armed >= _TRIGGER_NAMES:
        return f"triggers {', '.join(sorted(_TRIGGER_NAMES - armed))} are missing or off"
    return None


def _driver(address: Address) -> Bounded:
    bounds = {
        "connect_timeout": CONNECT_WITHIN // timedelta(seconds=1),
        "application_name": session_name(),
        "keepalives": 1,
        "keepalives_idle": 4,
        "keepalives_interval": 2,
        "keepalives_count": 2,
        "tcp_user_timeout": 8000,
        "client_encoding": "utf8",
    }
    return Bounded.connect(**{**address.parameters, **bounds}, autocommit=True)


def _settings(busy_timeout: timedelta) -> str:
    """The session's bounds. A commit is durable when it is answered; a stronger setting of the server's stays."""
    return (
        f"SET statement_timeout = {_ms(STATEMENT_WITHIN + busy_timeout)}; SET lock_timeout = {_ms(busy_timeout)}; "
        f"SET idle_in_transaction_session_timeout = {_ms(IDLE_WRITE_ENDS)}; "
        "SET tcp_keepalives_idle = 4; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 2; "
        "SET default_transaction_isolation = 'read committed'; SET timezone = 'UTC'; SET client_min_messages = error; "
        "SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit') "
        "WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false)"
    )


def _require_fit(held: Bounded) -> None:
    if held.info.server_version < OLDEST:
        raise unusable("PostgreSQL 15 or newer is needed", "upgrade the server")
    query = (
        "SELECT pg_backend_pid(), pg_is_in_recovery(), current_setting('transaction_read_only'), "
        "current_setting('fsync'), current_setting('full_page_writes'), current_setting('server_encoding')"
    )
    found = held.execute(query).fetchone()
    assert found is not None
    pid, standby, read_only, fsync, full_pages, encoding = found
    if pid != held.info.backend_pid:
        raise unusable("a connection pooler stands before it, and locks held by a session mean nothing there",
                       "name the server itself in `journal`")  # fmt: skip
    if standby or read_only != "off":
        raise unusable("the database takes no writes: a standby, or read-only", "name the primary in `journal`")
    if fsync != "on" or full_pages != "on":
        raise unusable("the server does not keep what it promised (fsync or full_page_writes is off)", "turn both on")
    if encoding != "UTF8":
        raise unusable(f"its encoding is {shown(encoding)}", "make the database with encoding UTF8")


def _ms(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)
