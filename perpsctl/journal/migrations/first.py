"""Schema 1, as it was first created: events, snapshots, leases; on PostgreSQL also the stamp."""

from typing import Any

from alembic.operations import Operations
from sqlalchemy import BigInteger, CheckConstraint, Column, Integer, PrimaryKeyConstraint, Text, text

WHOLE = "length(hash) = 64 AND length(prev) = 64 AND length(payload) > 1 AND seq > 0"
DECIDED = "kind IN ('intent', 'edit')"
INDEXES: tuple[tuple[str, tuple[str, ...], bool, str | None], ...] = (
    ("events_once_decided", ("account", "intent_id"), True, DECIDED),
    ("events_decided", ("account", "seq"), False, DECIDED),
    ("events_once_by_ref", ("account", "kind", "ref"), True, "ref IS NOT NULL"),
    ("events_of_intent", ("intent_id", "seq"), False, "intent_id IS NOT NULL"),
    ("events_of_order", ("venue_order_id", "seq"), False, "venue_order_id IS NOT NULL"),
    ("events_of_account", ("account", "seq"), False, None),
    ("events_of_kind", ("account", "kind", "seq"), False, None),
    ("events_by_time", ("account", "kind", "occurred"), False, "occurred IS NOT NULL"),
)
SQLITE = tuple(
    f"CREATE TRIGGER events_keep_{verb.lower()} BEFORE {verb} ON events "
    "BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"
    for verb in ("UPDATE", "DELETE")
)
POSTGRESQL = (
    "CREATE FUNCTION journal_keep() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'the journal is append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$",
    "CREATE TRIGGER events_keep BEFORE UPDATE OR DELETE ON events FOR EACH ROW EXECUTE FUNCTION journal_keep()",
    "CREATE TRIGGER events_keep_all BEFORE TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION journal_keep()",
)


def upgrade(operations: Operations, dialect: str) -> None:
    """From nothing."""
    words = Text(collation="C") if dialect == "postgresql" else Text()
    number = BigInteger() if dialect == "postgresql" else Integer()

    def must(name: str, kind: Text | BigInteger | Integer = words) -> "Column[Any]":
        return Column(name, kind, nullable=False, autoincrement=False)

    operations.create_table(
        "events",
        *(must("seq", number), must("account"), must("kind"), must("at")),
        *(Column(name, words) for name in ("intent_id", "venue_order_id", "ref", "occurred")),
        *(must("payload"), must("prev"), must("hash")),
        PrimaryKeyConstraint("seq"),
        CheckConstraint(WHOLE, name="whole_row"),
    )
    for name, columns, unique, where in INDEXES:
        only = None if where is None else text(where)
        operations.create_index(name, "events", list(columns), unique=unique, sqlite_where=only, postgresql_where=only)
    operations.create_table(
        "snapshots",
        *(must("account"), must("seq", number), must("chain"), must("state"), must("hash")),
        PrimaryKeyConstraint("account", "seq"),
    )
    operations.create_table(
        "leases",
        *(must("account"), Column("holder", words), must("fence", number), must("expires")),
        PrimaryKeyConstraint("account"),
    )
    if dialect == "postgresql":
        operations.create_table(
            "journal_stamp",
            *(must("application", Integer()), must("number", Integer()), Column("audit_key", Text())),
            PrimaryKeyConstraint("application"),
        )
    for each in POSTGRESQL if dialect == "postgresql" else SQLITE:
        operations.execute(text(each))
