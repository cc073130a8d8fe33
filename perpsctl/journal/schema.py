"""The journal's tables, as they are created and stamped. A change here is a new number and a migration.

`events` is the journal; triggers forbid changing or deleting its rows. `snapshots` are folded states that can be thrown
away, `leases` the one row per account that changes.
"""

from sqlalchemy import CheckConstraint, Column, Index, Integer, MetaData, Table, Text, text

SCHEMA = 1
APPLICATION_ID = 0x50455250  # "PERP": what `file` and a curious operator see in the header

metadata = MetaData()

events = Table(
    "events",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("account", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("at", Text, nullable=False),  # when it was recorded, by our clock: order is told by seq alone (J8)
    Column("intent_id", Text),
    Column("venue_order_id", Text),
    Column("ref", Text),  # what makes the row unique in its kind: a fill's id
    Column("occurred", Text),  # when it happened, by the venue's clock: fills and marks
    Column("payload", Text, nullable=False),
    Column("prev", Text, nullable=False),
    Column("hash", Text, nullable=False),
    CheckConstraint("length(hash) = 64 AND length(prev) = 64 AND length(payload) > 1 AND seq > 0", name="whole_row"),
)
DECIDED = text("kind IN ('intent', 'edit')")  # written out: a bound value would keep SQLite from the partial indexes
Index("events_once_decided", events.c.account, events.c.intent_id, unique=True, sqlite_where=DECIDED)
Index("events_decided", events.c.account, events.c.seq, sqlite_where=DECIDED)
Index(
    "events_once_by_ref",
    events.c.account,
    events.c.kind,
    events.c.ref,
    unique=True,
    sqlite_where=text("ref IS NOT NULL"),
)
Index("events_of_intent", events.c.intent_id, events.c.seq, sqlite_where=text("intent_id IS NOT NULL"))
Index("events_of_order", events.c.venue_order_id, events.c.seq, sqlite_where=text("venue_order_id IS NOT NULL"))
Index("events_of_account", events.c.account, events.c.seq)
Index("events_of_kind", events.c.account, events.c.kind, events.c.seq)
Index("events_by_time", events.c.account, events.c.kind, events.c.occurred, sqlite_where=text("occurred IS NOT NULL"))

snapshots = Table(
    "snapshots",
    metadata,
    Column("account", Text, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("chain", Text, nullable=False),  # hash of the row `seq`, where verifying goes on
    Column("state", Text, nullable=False),
    Column("hash", Text, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("account", Text, primary_key=True),
    Column("holder", Text),  # NULL when released; the row stays, so that its number only grows
    Column("fence", Integer, nullable=False),
    Column("expires", Text, nullable=False),
)
