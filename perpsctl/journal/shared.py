"""The journal on PostgreSQL, shared by several hosts: one writer at a time, a connection that may be lost, locks of senders.

A lost connection is no failed disk: what was not committed is undone, what may have been committed is looked up before
anything goes on (X1, X2), and the next use connects again. A server that says its data is damaged ends the handle.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, select, text, update
from sqlalchemy.sql import Executable
from sqlalchemy.sql.expression import ClauseElement

from perpsctl.domain.errors import InvariantBroken, JournalUnavailable
from perpsctl.domain.ports import Clock
from perpsctl.journal import postgres
from perpsctl.journal.audit import KEY_FILE, corrupt
from perpsctl.journal.backend import Backend, CommitUnknown, Step, Undone, close_quietly
from perpsctl.journal.locks import SENDERS, WRITERS, Address, unusable
from perpsctl.journal.postgres import Bounded, DatabaseTrouble, Trouble, stamp_table, trouble_of
from perpsctl.journal.rendered import Rendered
from perpsctl.journal.schema import APPLICATION_ID

T = TypeVar("T")
LOOK_UP_WITHIN = timedelta(seconds=10)  # a server that restarts is back by then
PAUSE = timedelta(milliseconds=100)
# A server that says nothing costs each attempt its whole bound: the way out must not pay that at every read.
SLOW_REFUSAL = timedelta(seconds=1)
LEFT_ALONE = timedelta(seconds=10)


class BusyDatabase(JournalUnavailable):
    """A bound on waiting was reached; nothing happened."""


class SharedDatabase(Backend):
    """An open journal in a database of its own."""

    def __init__(self, address: Address, *, clock: Clock, busy_timeout: timedelta, step: Step) -> None:
        super().__init__(step)
        self.address = address
        self._clock = clock
        self._busy_timeout = busy_timeout
        self._held: Connection | None = None
        self._driver: Bounded | None = None  # the driver's own connection below it
        self._writing = False
        self._silent: tuple[int, JournalUnavailable] | None = None  # until when it is left alone, and what it cost us
        self._in_doubt = False  # whether the last commit stands is not known yet
        self._rendered: dict[ClauseElement, Rendered] = {}
        self._connect()

    @classmethod
    def open(cls, address: Address, *, clock: Clock, busy_timeout: timedelta, step: Step) -> "SharedDatabase":
        """The journal, created and stamped where there was none; JournalUnavailable or JournalCorrupt otherwise."""
        database = cls(address, clock=clock, busy_timeout=busy_timeout, step=step)
        try:
            if database._asked(postgres.is_empty, "opened"):
                with database.writing():
                    if database._asked(postgres.is_empty, "opened"):  # nobody was faster
                        database._asked(postgres.create_schema, "written")
            database._asked(postgres.require_our_schema, "opened")
        except BaseException:
            database.close()
            raise
        return database

    @property
    def place(self) -> str:
        """Host and database."""
        return self.address.told

    def execute(
        self, statement: Executable, values: Mapping[str, object] | Sequence[Mapping[str, object]] | None = None
    ) -> None:
        """Run one writing statement inside `writing`."""
        self._asked(lambda connection: connection.execute(statement, values), "written")

    def rows(self, statement: Executable, values: Mapping[str, object] | None = None) -> list[Row[Any]]:
        """All rows of a select."""
        return self._asked(lambda connection: list(connection.execute(statement, values).fetchall()), "read")

    def often(
        self, statement: ClauseElement, values: Mapping[str, object], *, verb: str = "read"
    ) -> list[tuple[Any, ...]]:
        """As `rows`, for the few statements that every write runs."""

        def ask(connection: Connection) -> list[tuple[Any, ...]]:
            rendered = self._rendered.get(statement)
            if rendered is None:
                rendered = self._rendered[statement] = Rendered(statement, connection.dialect)
            assert self._driver is not None
            return rendered.run(self._driver, values)

        return self._asked(ask, verb)

    def schema_number(self) -> int:
        """As the stamp bears it."""
        return self._asked(postgres.number_of, "read")

    def take_schema(self, number: int, work: Callable[[Connection], None]) -> None:
        """The tables `work` makes and their number."""
        self._asked(work, "migrated")
        self._asked(lambda connection: postgres.set_number(connection, number), "migrated")

    def keep_aside(self, number: int) -> str | None:
        """Nothing: the server keeps backups of its own, and the change is one transaction."""
        return None

    def storage_problem(self) -> str | None:
        """What is missing of the schema; the pages are the server's to check."""
        return self._asked(postgres.schema_problem, "read")

    def size_bytes(self) -> int:
        """The journal's tables with their indexes."""
        query = "SELECT sum(pg_total_relation_size(t::regclass)) FROM unnest(ARRAY['events', 'snapshots', 'leases']) t"
        return int(self._asked(lambda connection: connection.exec_driver_sql(query).scalar_one(), "read"))

    def knows_key(self, fingerprint: str) -> bool:
        """True when the stamp bears this key's fingerprint, False when none yet; JournalUnavailable for another's."""
        held = self.rows(select(stamp_table.c.audit_key))[0][0]
        if held is not None and held != fingerprint:
            raise unusable(
                f"another host sealed it with an audit key that is not this host's {KEY_FILE}",
                f"copy {KEY_FILE} (mode 0600) from the profile's folder on that host",
            )
        return held is not None

    def keep_key(self, fingerprint: str) -> None:
        """The stamp bears the fingerprint of the key that seals the rows."""
        if not self.knows_key(fingerprint):
            self.execute(update(stamp_table).values(audit_key=fingerprint))

    def time(self) -> datetime:
        """The database's clock, which every host sees alike."""
        query = "SELECT clock_timestamp()"
        told: datetime = self._asked(lambda connection: connection.exec_driver_sql(query).scalar_one(), "read")
        return told.astimezone(UTC)

    # --- senders: the gate of the kill switch over several hosts --------------------------------------------

    def begin_sending(self, wait: timedelta) -> None:
        """This session holds the senders' lock with others; JournalUnavailable when it cannot."""
        with self.reading():
            lock = self._bounded(f"SELECT pg_advisory_lock_shared({APPLICATION_ID}, {SENDERS})", wait)
            self._asked(lambda _: self._do(lock), "read")

    def end_sending(self) -> None:
        """One hold less. Never raises: a session that was lost holds nothing."""
        with self._lock:
            if self._driver is None or self._broken:
                return
            try:
                self._do(f"SELECT pg_advisory_unlock_shared({APPLICATION_ID}, {SENDERS})")
            except DatabaseTrouble:
                self._drop()  # the server gives up what an ended session held

    def wait_for_senders(self, wait: timedelta) -> tuple[str, ...]:
        """Empty when at one moment nobody held the senders' lock; else who still holds it after `wait`."""
        key = f"({APPLICATION_ID}, {SENDERS})"
        lock = self._bounded(f"SELECT pg_advisory_lock{key}; SELECT pg_advisory_unlock{key}", wait)
        with self.reading():
            try:
                self._asked(lambda _: self._do(lock), "read")
            except BusyDatabase:
                return self._asked(_senders, "read") or ("a sender",)
        return ()

    def _bounded(self, words: str, wait: timedelta) -> str:
        """`words` in one round trip under a lock timeout of its own; where it fails, the server takes the setting back."""
        usual = self._busy_timeout // timedelta(milliseconds=1)
        return f"SET lock_timeout = {wait // timedelta(milliseconds=1)}; {words}; SET lock_timeout = {usual}"

    # --- one transaction --------------------------------------------------------------------------------------

    def _in_transaction(self) -> bool:
        return self._writing

    def _begin(self) -> None:
        """The journal is ours alone from here to the commit: everybody's transaction takes this lock first."""
        lock = f"SELECT pg_advisory_xact_lock({APPLICATION_ID}, {WRITERS})"
        wait = self._busy_timeout // timedelta(milliseconds=1)
        try:
            self._asked(lambda _: self._do(f"BEGIN; SET LOCAL lock_timeout = {wait}; {lock}"), "written")
        except BaseException:
            self._writing = True  # a server that refused the lock may have begun all the same
            self._roll_back()
            raise
        self._writing = True
        self._in_doubt = False

    def _commit(self) -> None:
        self._require_session()
        try:
            answer = self._do("COMMIT")
        except DatabaseTrouble as trouble:
            if self._lost():
                self._writing = False
                self._in_doubt = True
                raise CommitUnknown(
                    f"the connection to {self.address.told} ended at a commit, and whether it stands is not known; "
                    "nothing was sent",
                    fix="when the database is back, see `perpsctl order list`: what is in doubt there was never sent",
                ) from None
            raise self._failed(trouble, "written") from None
        self._writing = False
        if answer != "COMMIT":  # a transaction in which a statement had failed is taken back without an error
            raise _undone("a statement in it had failed")

    def _roll_back(self) -> None:
        if self._writing and not self._lost():
            try:
                self._do("ROLLBACK")
            except DatabaseTrouble:
                self._drop()
        self._writing = False

    def _require_same_place(self) -> None:
        """The rows themselves tell: the one we stood at is compared in each transaction."""

    def _disconnect(self) -> None:
        self._drop()

    # --- the connection -----------------------------------------------------------------------------------------

    def _asked(self, ask: Callable[[Connection], T], verb: str) -> T:
        """What `ask` answers. Outside a transaction a connection that was lost is made again once: nothing was done yet."""
        for again in (True, False):
            self._require_session()
            assert self._held is not None
            try:
                return ask(self._held)
            except DatabaseTrouble as trouble:
                if not self._lost():
                    raise self._failed(trouble, verb) from None
                if self._writing:
                    raise _undone("the connection was lost") from None
                if not again:
                    raise self._unreachable(trouble) from None
        raise AssertionError("the second try answers or raises")

    def _require_session(self) -> None:
        """There is a session; never a new one in the middle of a transaction, which ended with its own."""
        if self._held is not None:
            return
        if self._writing:
            raise _undone("the connection was lost")
        self._connect()

    def _connect(self) -> None:
        """Connected; after a commit in doubt a server that restarts is waited for."""
        if self._silent is not None and self._clock.monotonic_ns() < self._silent[0]:
            raise self._silent[1]
        waited = timedelta(0)
        while True:
            began = self._clock.monotonic_ns()
            try:
                self._held = postgres.connect(self.address, self._busy_timeout)
                self._driver = postgres.driver(self._held)
                return
            except DatabaseTrouble as trouble:
                now = self._clock.monotonic_ns()
                if not self._in_doubt or waited >= LOOK_UP_WITHIN:
                    refused = self._unreachable(trouble)
                    if now - began > _ns(SLOW_REFUSAL):
                        self._silent = (now + _ns(LEFT_ALONE), refused)
                    raise refused from None
            self._clock.sleep(PAUSE)
            waited += PAUSE + timedelta(microseconds=(now - began) // 1000)

    def _do(self, words: str) -> str | None:
        """Run plain text, several statements at once too; the last one's command word."""
        assert self._driver is not None
        return self._driver.execute(words.encode("ascii"), prepare=False).statusmessage

    def _lost(self) -> bool:
        """True when the session is over; it is let go of."""
        if self._driver is not None and not self._driver.closed:
            return False
        self._drop()
        return True

    def _drop(self) -> None:
        """Let go of the session: another is made at the next use."""
        held, self._held, self._driver = self._held, None, None
        close_quietly(held, DatabaseTrouble)

    def _failed(self, error: Exception, verb: str) -> Exception:
        kind, words = trouble_of(error)
        told = self.address.without_secret(words)
        match kind:
            case Trouble.BUSY:
                return BusyDatabase(
                    "the journal is being written by another process, or its database is slow, and did not answer in "
                    "time; nothing was sent",
                    fix="repeat the command",
                )
            case Trouble.UNDONE:
                return _undone(told)
            case Trouble.CONSTRAINT:
                return InvariantBroken(f"a row the journal must not hold: {told}")
            case Trouble.READ_ONLY:
                self._drop()  # the next use asks again who takes writes
                return unusable("the database takes no writes: a standby, or read-only", "name the primary")
            case Trouble.CORRUPT:
                self.condemn(told)
                return corrupt(None, told)
            case Trouble.FULL | Trouble.OTHER:
                return JournalUnavailable(
                    f"the journal could not be {verb}: {told}; nothing was sent",
                    fix="look at the database; no new order is possible until it works",
                )

    def _unreachable(self, error: Exception) -> JournalUnavailable:
        kind, words = trouble_of(error)
        fix = "no new order is possible until it answers; cancels, closes and the kill switch work without it"
        if kind is Trouble.FULL:
            return JournalUnavailable(f"{self.address.told} has no connection left; nothing was sent", fix=fix)
        told = self.address.without_secret(words)
        return JournalUnavailable(f"{self.address.told} cannot be reached: {told}; nothing was sent", fix=fix)


def _senders(connection: Connection) -> tuple[str, ...]:
    query = text(
        "SELECT DISTINCT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
        "WHERE l.locktype = 'advisory' AND l.classid = :application AND l.objid = :senders "
        "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
        "AND l.granted AND l.mode = 'ShareLock' AND a.pid <> pg_backend_pid() ORDER BY 1"
    )
    return tuple(str(row[0]) for row in connection.execute(query, {"application": APPLICATION_ID, "senders": SENDERS}))


def _ns(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1) * 1000


def _undone(why: str) -> Undone:
    return Undone(
        f"the database took the transaction back ({why}); nothing was written and nothing was sent",
        fix="repeat the command",
    )
