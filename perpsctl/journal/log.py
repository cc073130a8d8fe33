"""The rows in the order they were added, and the views folded from them: everything the journal does happens over one Log.

A row is sealed onto the one before, durable before it is folded, and never changed. What other processes added is verified
and folded at the start of each read and each transaction, so no view is judged by while it lags behind or stands half moved.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import delete, insert, select

from perpsctl.domain.errors import JournalCorrupt, JournalUnavailable
from perpsctl.domain.ids import AccountKey, IntentId, VenueOrderId
from perpsctl.domain.numbers import NotANumber
from perpsctl.domain.ports import Clock, EventKind, Integrity
from perpsctl.journal.audit import GENESIS, Chain, Row, corrupt
from perpsctl.journal.backend import Backend, CommitUnknown, Undone
from perpsctl.journal.codec import Unreadable, dumps, stamp
from perpsctl.journal.entries import Tracked
from perpsctl.journal.fold import State
from perpsctl.journal.head import Head, HeadNote
from perpsctl.journal.history import History, rows_since
from perpsctl.journal.schema import events, snapshots
from perpsctl.journal.snapshots import of_this_form, state_of, state_text

SNAPSHOT_EVERY = 1000
SNAPSHOTS_KEPT = 2
TRANSACTION_TRIES = 3
RETRY_PAUSE = timedelta(milliseconds=20)
HALF_FOLDED = (
    "taking in its rows was interrupted"  # a view that is half moved must not be judged by; the rows are whole
)


_INSERT = insert(events)
T = TypeVar("T")


class Batch:
    """Rows being added in one transaction, each sealed onto the one before."""

    def __init__(self, chain: Chain, account: AccountKey, at: datetime, head: Head) -> None:
        self.rows: list[Row] = []
        self.at = at
        self._chain = chain
        self._account = account
        self._head = head

    def add(
        self,
        kind: str,
        payload: str,
        *,
        intent_id: IntentId | None = None,
        venue_order_id: VenueOrderId | None = None,
        ref: str | None = None,
        occurred: datetime | None = None,
    ) -> None:
        """One more row; it is durable when the transaction is left."""
        seq, at = self._head.seq + 1, stamp(self.at)
        when = None if occurred is None else stamp(occurred)
        sealed = self._chain.row_hash(
            seq=seq,
            account=self._account,
            kind=kind,
            at=at,
            intent_id=intent_id,
            venue_order_id=venue_order_id,
            ref=ref,
            occurred=when,
            payload=payload,
            prev=self._head.hash,
        )
        row = Row(
            seq=seq,
            account=self._account,
            kind=kind,
            at=at,
            intent_id=intent_id,
            venue_order_id=venue_order_id,
            ref=ref,
            occurred=when,
            payload=payload,
            prev=self._head.hash,
            hash=sealed,
        )
        self.rows.append(row)
        self._head = Head(seq=seq, hash=sealed)

    def alarm(self, what: str, intent_id: IntentId | None = None, **facts: object) -> None:
        """An alarm row: something happened that must not, kept for whoever looks."""
        self.add(EventKind.ALARM, dumps({"what": what, **facts}), intent_id=intent_id)


class Log:
    """The rows of one open database file and one account's views of them."""

    def __init__(self, database: Backend, chain: Chain, note: HeadNote, account: AccountKey, clock: Clock) -> None:
        self.database = database
        self.account = account
        self.history = History(database, account)
        self._chain = chain
        self._note = note
        self._clock = clock
        noted = note.read()  # before the rows: the journal may only have grown since
        with database.reading():
            self.state, self._snapshot_seq = self._last_snapshot()  # the views; as of the last read or transaction
            self._verified_from = self.state.seq + 1
            self.catch_up()
            self._require_noted(noted)

    @contextmanager
    def transaction(self) -> Iterator[Batch]:
        """One exclusive transaction with the views caught up; rows added to the batch are durable when it is left."""
        batch: Batch | None = None
        try:
            with self.database.writing():
                self.catch_up()
                batch = Batch(self._chain, self.account, self._clock.now(), self.head())
                yield batch
                if batch.rows:
                    self.database.step("insert")
                    for row in batch.rows:
                        self.database.often(_INSERT, values_of(row), verb="written")
        except CommitUnknown:
            self._require_there(batch)
        assert batch is not None
        try:
            for row in batch.rows:
                self.state.apply(row)
        except BaseException:
            self.database.condemn(HALF_FOLDED)
            raise
        if batch.rows:
            self._note.write(self.head())

    def retried(self, work: Callable[[], T]) -> T:
        """`work`, one whole transaction from its first read to its commit, again while the database took it back (X4).

        A bounded number of times; what was judged in a transaction that does not stand is judged anew. Undone at the end.
        """
        for left in reversed(range(TRANSACTION_TRIES)):
            try:
                return work()
            except Undone:
                if not left:
                    raise
                self._clock.sleep(RETRY_PAUSE)
        raise AssertionError("a number of tries is above zero")

    def lease_time(self) -> datetime:
        """The clock leases end by: the database's where several hosts share one, else this host's (X8)."""
        return self.database.time() or self._clock.now()

    def head(self) -> Head:
        """The last row taken in, for anchoring elsewhere."""
        return Head(seq=self.state.seq, hash=self.state.head)

    def now(self) -> datetime:
        """The journal host's clock, by which leases end."""
        return self._clock.now()

    def fresh(self) -> State:
        """The views with everything taken in that is committed now."""
        with self.database.reading():
            self.catch_up()
        return self.state

    def catch_up(self) -> None:
        """Rows of other processes are verified and folded; the row we stood at must still be there unchanged."""
        state = self.state
        rows = rows_since(self.database, max(state.seq, 1))
        try:
            if state.seq > 0:
                here = next(rows, None)
                if here is None or here.seq != state.seq or here.hash != state.head:
                    raise corrupt(state.seq, "a row that was read before is gone or changed")
            for row in rows:
                problem = self._chain.problem(row, state.seq, state.head)
                if problem is not None:
                    raise corrupt(state.seq + 1, problem)
                state.apply(row)
        except JournalCorrupt as found:
            self.database.condemn(found.message)
            raise
        except JournalUnavailable:
            raise  # a read that failed folds nothing: the views stand at the row before it
        except BaseException:
            self.database.condemn(HALF_FOLDED)
            raise

    def find(self, intent_id: IntentId) -> Tracked | None:
        """What is known of a decided intent, however old; inside a transaction or a read."""
        held = self.state.tracked.get(intent_id)
        return held if held is not None else self.history.tracked(intent_id)

    def owner(self, venue_order_id: VenueOrderId) -> IntentId | None:
        """The intent of ours behind a venue order, None for a foreign one; inside a transaction or a read."""
        owner = self.state.owner.get(venue_order_id)
        return owner if owner is not None else self.history.owner(venue_order_id)

    def check(self, *, full: bool) -> Integrity:
        """What verifying finds: from the last snapshot, or with `full` every page, row and view."""
        with self.database.reading():
            try:
                self.catch_up()
            except JournalCorrupt as found:
                return self._integrity(1, None, found.message)
            if not full:
                return self._integrity(self._verified_from, None, "")
            problem = self.database.storage_problem()
            if problem is not None:
                return self._integrity(1, None, problem)
            return self._verify_all()

    def proven(self, copy: Backend) -> Head | None:
        """The head of a copy in which every row is sealed and whose views, where ours stand, are ours; None otherwise (J3)."""
        replayed = State(self.account, seq=0, head=GENESIS)
        alike = self.state.seq == 0
        for row in rows_since(copy, 1):
            if self._chain.problem(row, replayed.seq, replayed.head) is not None:
                return None
            replayed.apply(row)
            if replayed.seq == self.state.seq:
                alike = state_text(replayed) == state_text(self.state)
        return Head(seq=replayed.seq, hash=replayed.head) if alike else None

    def snapshot(self) -> None:
        """The folded state is kept, so that the next process starts from here."""
        with self.database.writing():
            self.catch_up()
            state = self.state
            text = state_text(state)
            sealed = self._chain.state_hash(self.account, state.seq, state.head, text)
            mine = snapshots.c.account == self.account
            self.database.execute(delete(snapshots).where(mine, snapshots.c.seq == state.seq))
            values = {"account": self.account, "seq": state.seq, "chain": state.head, "state": text, "hash": sealed}
            self.database.execute(insert(snapshots), values)
            keep = select(snapshots.c.seq).where(mine).order_by(snapshots.c.seq.desc()).limit(SNAPSHOTS_KEPT)
            self.database.execute(delete(snapshots).where(mine, snapshots.c.seq.not_in(keep)))
        self._snapshot_seq = state.seq

    def snapshot_if_due(self) -> None:
        """The write before it is durable and stands, so a snapshot that fails only ends the handle, at its next use."""
        if self.state.seq - self._snapshot_seq >= SNAPSHOT_EVERY:
            with suppress(JournalUnavailable):
                self.snapshot()

    def snapshot_facts(self) -> tuple[int, int]:
        """(sequence number of the last snapshot of this account or 0, rows since it)."""
        return self._snapshot_seq, self.state.seq - self._snapshot_seq

    def close(self) -> None:
        """The file is closed."""
        self._note.close()
        self.database.close()

    def _require_there(self, batch: Batch | None) -> None:
        """The rows of a commit nobody acknowledged stand; Undone when they do not (X2).

        The journal is ours alone while we look, so the transaction in question is over. The first row's hash is that of its
        content and place: another row there is not ours, and a transaction's rows stand together or not at all.
        """
        if batch is None or not batch.rows:
            raise Undone("the database lost the connection while it committed", fix="repeat the command")
        first = batch.rows[0]
        with self.database.writing():
            found = self.database.rows(select(events.c.hash).where(events.c.seq == first.seq))
        if not found or found[0].hash != first.hash:
            raise Undone(
                "the database lost the connection and did not keep what was written; nothing was sent",
                fix="repeat the command",
            )

    def _last_snapshot(self) -> tuple[State, int]:
        query = select(snapshots).where(snapshots.c.account == self.account).order_by(snapshots.c.seq.desc()).limit(1)
        found = self.database.rows(query)
        if not found:
            return State(self.account, seq=0, head=GENESIS), 0
        kept = found[0]
        sealed = self._chain.state_hash(self.account, kept.seq, kept.chain, kept.state)
        if sealed != kept.hash:
            raise corrupt(kept.seq, "its snapshot was changed")
        if not of_this_form(kept.state):
            return State(self.account, seq=0, head=GENESIS), 0
        try:
            state = state_of(kept.state)
        except (Unreadable, NotANumber) as trouble:
            raise corrupt(kept.seq, f"its snapshot cannot be understood ({trouble})") from None
        if (state.seq, state.head) != (kept.seq, kept.chain):
            raise corrupt(kept.seq, "its snapshot belongs elsewhere")
        return state, kept.seq

    def require_anchored(self, head: Head, at: datetime) -> None:
        """The record that was anchored elsewhere at `at` is there; JournalCorrupt names the first that is missing (D9, D10)."""
        if head.seq > self.state.seq:
            raise corrupt(
                self.state.seq + 1,
                f"record {head.seq} was anchored on {at:%Y-%m-%d %H:%M:%S} UTC and is gone: the end was lost or cut, or an "
                "older copy was restored",
            )
        if head.seq > 0 and not self._holds(head):
            raise corrupt(
                head.seq,
                f"another record was anchored here on {at:%Y-%m-%d %H:%M:%S} UTC: an older copy was restored and gone on "
                "from",
            )

    def _require_noted(self, noted: Head | None) -> None:
        if noted is not None and not self._holds(noted):
            raise corrupt(
                noted.seq, "the journal once held this row: its tail was lost, cut, or an older copy was restored"
            )

    def _holds(self, head: Head) -> bool:
        found = self.database.rows(select(events.c.hash).where(events.c.seq == head.seq))
        return bool(found) and found[0].hash == head.hash

    def _verify_all(self) -> Integrity:
        """One pass over every row: the chain, and a replay whose end must be the views we hold (J3, J4)."""
        replayed = State(self.account, seq=0, head=GENESIS)
        for row in rows_since(self.database, 1):
            if row.seq > self.state.seq:
                break  # written meanwhile by another process; taken in and verified with the next call
            problem = self._chain.problem(row, replayed.seq, replayed.head)
            if problem is not None:
                return self._integrity(1, replayed.seq + 1, problem)
            try:
                replayed.apply(row)
            except JournalCorrupt as found:
                return self._integrity(1, row.seq, found.message)
        same = state_text(replayed) == state_text(self.state)
        if not same:
            return self._integrity(1, None, "the views differ from a replay of the rows")
        return self._integrity(1, None, self.database.form_problem() or "")

    def _integrity(self, verified_from: int, first_bad: int | None, problem: str) -> Integrity:
        return Integrity(
            rows=self.state.seq,
            verified_from=verified_from,
            sound=not problem,
            first_bad=first_bad,
            problem=problem,
            head=self.state.head,
        )


def values_of(row: Row) -> dict[str, object]:
    """A row as its columns take it."""
    return {name: getattr(row, name) for name in Row.__slots__}
