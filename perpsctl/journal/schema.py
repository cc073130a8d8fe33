"""The journal's tables, as they are created and stamped. A change here is a new number and a migration.

`events` is the journal; triggers forbid changing or deleting its rows. `snapshots` are folded states that can be thrown
away, `leases` the one row per account that changes.
"""

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, MetaData, Table, Text, text
from sqlalchemy.sql.elements import TextClause

SCHEMA = 1
APPLICATION_ID = 0x50455250  # "PERP": what `file` and a curious operator see in the header

metadata = MetaData()

# Text compares byte by byte on both back ends (times are compared as text), and a row's number never runs out.
_Words = Text().with_variant(Text(collation="C"), "postgresql")
_Number = Integer().with_variant(BigInteger(), "postgresql")

events = Table(
    "events",
    metadata,
    Column("seq", _Number, primary_key=True, autoincrement=False),
    Column("account", _Words, nullable=False),
    Column("kind", _Words, nullable=False),
    Column("at", _Words, nullable=False),  # when it was recorded, by our clock: order is told by seq alone (J8)
    Column("intent_id", _Words),
    Column("venue_order_id", _Words),
    Column("ref", _Words),  # what makes the row unique in its kind: a fill's id
    Column("occurred", _Words),  # when it happened, by the venue's clock: fills and marks
    Column("payload", _Words, nullable=False),
    Column("prev", _Words, nullable=False),
    Column("hash", _Words, nullable=False),
    CheckConstraint("length(hash) = 64 AND length(prev) = 64 AND length(payload) > 1 AND seq > 0", name="whole_row"),
)
DECIDED = text("kind IN ('intent', 'edit')")  # written out: a bound value would keep SQLite from the partial indexes
_BY_REF = text("ref IS NOT NULL")


def _index(name: str, *columns: "Column[Any]", where: TextClause | None = None, unique: bool = False) -> None:
    Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


_index("events_once_decided", events.c.account, events.c.intent_id, where=DECIDED, unique=True)
_index("events_decided", events.c.account, events.c.seq, where=DECIDED)
_index("events_once_by_ref", events.c.account, events.c.kind, events.c.ref, where=_BY_REF, unique=True)
_index("events_of_intent", events.c.intent_id, events.c.seq, where=text("intent_id IS NOT NULL"))
_index("events_of_order", events.c.venue_order_id, events.c.seq, where=text("venue_order_id IS NOT NULL"))
_index("events_of_account", events.c.account, events.c.seq)
_index("events_of_kind", events.c.account, events.c.kind, events.c.seq)
_index("events_by_time", events.c.account, events.c.kind, events.c.occurred, where=text("occurred IS NOT NULL"))

snapshots = Table(
    "snapshots",
    metadata,
    Column("account", _Words, primary_key=True),
    Column("seq", _Number, primary_key=True, autoincrement=False),
    Column("chain", _Words, nullable=False),  # hash of the row `seq`, where verifying goes on
    Column("state", _Words, nullable=False),
    Column("hash", _Words, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("account", _Words, primary_key=True),
    Column("holder", _Words),  # NULL when released; the row stays, so that its number only grows
    Column("fence", _Number, nullable=False),
    Column("expires", _Words, nullable=False),
)
