"""The journal on PostgreSQL when the server, the line or another host does not behave (X1-X10), on a real server."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import insert

from perpsctl.domain.accounts import Booked
from perpsctl.domain.errors import InvariantBroken, JournalCorrupt, JournalUnavailable, LeaseHeld
from perpsctl.domain.orders import OrderIntent, Rejected
from perpsctl.domain.ports import EventKind
from perpsctl.domain.verdicts import Approved, Denied
from perpsctl.journal import postgres
from perpsctl.journal.audit import KEY_FILE
from perpsctl.journal.backend import Step, Undone, no_step
from perpsctl.journal.lease import Holder, RowLease
from perpsctl.journal.locks import WRITERS, Address
from perpsctl.journal.log import TRANSACTION_TRIES
from perpsctl.journal.schema import APPLICATION_ID, leases
from perpsctl.journal.shared import SharedDatabase
from perpsctl.journal.store import SqlJournal
from perpsctl.systemports import SystemClock
from tests.postgres import PASSWORD, Server, Wire
from tests.unit.journal.fakes import DENIED, FakeClock, FakeIds, a_journal, an_intent, approved


class Place:
    """One database, as several hosts see it: each host has a folder and a clock of its own."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.database = server.new_database()
        self.folder = folder
        self._open: list[SqlJournal] = []

    def host(
        self, name: str = "a", *, step: Step = no_step, clock: FakeClock | None = None, url: str | None = None
    ) -> SqlJournal:
        """The journal as host `name` opens it, with the audit key of host `a`."""
        folder, first = self.folder / name, self.folder / "a"
        if name != "a" and (first / KEY_FILE).exists():
            folder.mkdir(mode=0o700, exist_ok=True)
            key = folder / KEY_FILE
            key.touch(mode=0o600)
            key.write_bytes((first / KEY_FILE).read_bytes())
        made = a_journal(folder, clock=clock or SystemClock(), step=step, url=url or self.server.url(self.database))
        self._open.append(made)
        return made

    def ask(self, statement: str) -> list[tuple[object, ...]]:
        return self.server.run(self.database, statement)

    def intents(self) -> list[object]:
        return [row[0] for row in self.ask("SELECT intent_id FROM events WHERE kind = 'intent' ORDER BY seq")]

    def close(self) -> None:
        for each in self._open:
            each.close()


@pytest.fixture
def place(tmp_path: Path, postgres_server: Server) -> Iterator[Place]:
    made = Place(postgres_server, tmp_path)
    yield made
    made.close()


@pytest.fixture
def wire(postgres_server: Server) -> Iterator[Wire]:
    with closing(Wire(postgres_server)) as made:
        yield made


class Judge:
    """Approves, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def decide(self, journal: SqlJournal, id_: str = "intent-0001") -> object:
        intent = an_intent(id_)

        def judge(_: Booked) -> Approved | Denied:
            self.asked += 1
            return approved(intent)

        return journal.decide(intent, intent.size, judge)


class Once:
    """Something that happens at the first time a named step is reached, after it was armed."""

    def __init__(self, name: str, happens: Callable[[], object]) -> None:
        self._name, self._happens = name, happens
        self.armed = False

    def __call__(self, name: str) -> None:
        if self.armed and name == self._name:
            self.armed = False
            self._happens()


# --- the server goes and comes ------------------------------------------------------------------------


@pytest.mark.parametrize("at", ["begin", "insert", "commit"])
def test_a_server_that_restarts_inside_a_decision_leaves_it_done_once_X1(place: Place, at: str) -> None:
    once = Once(at, place.server.restart)
    journal, judge = place.host(step=once), Judge()
    once.armed = True
    assert isinstance(judge.decide(journal), Approved)
    assert place.intents() == ["intent-0001"]
    assert judge.asked == (1 if at == "begin" else 2)  # what was judged in a transaction that is gone is judged anew
    assert [each.intent.id for each in journal.in_doubt()] == ["intent-0001"]
    assert journal.check(full=True).sound


def test_a_server_that_is_gone_refuses_and_is_found_again_X1_X7(place: Place) -> None:
    journal, judge = place.host(), Judge()
    place.server.stop()
    try:
        with pytest.raises(JournalUnavailable, match=r"cannot be reached.*nothing was sent"):
            judge.decide(journal)
        with pytest.raises(JournalUnavailable, match="cannot be reached"):
            journal.halt()
    finally:
        place.server.start()
    assert judge.asked == 0
    assert isinstance(judge.decide(journal), Approved)
    assert place.intents() == ["intent-0001"]


# --- a commit nobody acknowledged -----------------------------------------------------------------------


def test_a_commit_that_arrived_and_was_not_acknowledged_is_looked_up_and_stands_once_X2(
    place: Place, wire: Wire
) -> None:
    def cut() -> None:
        wire.cut_at_answer = True

    once = Once("commit", cut)
    journal, judge = place.host(step=once, url=wire.url(place.database)), Judge()
    once.armed = True
    assert isinstance(judge.decide(journal), Approved)
    assert judge.asked == 1  # it stood: nothing was judged or written a second time
    assert place.intents() == ["intent-0001"]
    assert journal.check(full=True).sound


def test_a_commit_that_never_arrived_is_found_missing_and_judged_anew_X2(place: Place, wire: Wire) -> None:
    once = Once("commit", wire.cut)
    journal, judge = place.host(step=once, url=wire.url(place.database)), Judge()
    once.armed = True
    assert isinstance(judge.decide(journal), Approved)
    assert judge.asked == 2
    assert place.intents() == ["intent-0001"]


def test_a_commit_that_cannot_be_looked_up_says_so_and_nothing_is_sent_X2(
    place: Place, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perpsctl.journal.shared.LOOK_UP_WITHIN", timedelta(milliseconds=300))

    def cut_and_gone() -> None:
        wire.cut_at_answer = True
        wire.hear_nobody()

    once = Once("commit", cut_and_gone)
    journal, judge = place.host(step=once, url=wire.url(place.database)), Judge()
    once.armed = True
    with pytest.raises(JournalUnavailable, match=r"cannot be reached.*nothing was sent"):
        judge.decide(journal)
    other = place.host("b")
    assert [each.intent.id for each in other.in_doubt()] in ([], ["intent-0001"])  # in doubt if it stands, never lost


def test_rows_lost_in_a_failover_are_noticed_by_who_saw_them_X3(place: Place) -> None:
    journal, judge = place.host(), Judge()
    judge.decide(journal)
    place.ask("ALTER TABLE events DISABLE TRIGGER USER; DELETE FROM events; ALTER TABLE events ENABLE TRIGGER USER")
    with pytest.raises(JournalCorrupt, match="gone or changed"):
        judge.decide(journal, "intent-0002")
    with pytest.raises(JournalCorrupt, match="tail was lost"):
        place.host()
    assert place.intents() == []


# --- a transaction the server takes back ----------------------------------------------------------------

TAKES_BACK = """
CREATE SEQUENCE tries;
CREATE FUNCTION take_back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('tries') <= {times} THEN RAISE EXCEPTION 'try again' USING ERRCODE = '{state}'; END IF;
    RETURN NEW; END $$;
CREATE {constraint} TRIGGER take_back AFTER INSERT ON events {deferred} FOR EACH ROW EXECUTE FUNCTION take_back();
"""


@pytest.mark.parametrize("state", ["40001", "40P01"])
@pytest.mark.parametrize(("constraint", "deferred"), [("", ""), ("CONSTRAINT", "DEFERRABLE INITIALLY DEFERRED")])
def test_a_transaction_taken_back_is_tried_again_whole_and_stands_once_X4(
    place: Place, state: str, constraint: str, deferred: str
) -> None:
    """At a statement, or at the commit itself."""
    journal, judge = place.host(), Judge()
    place.ask(TAKES_BACK.format(times=2, state=state, constraint=constraint, deferred=deferred))
    assert isinstance(judge.decide(journal), Approved)
    assert judge.asked == TRANSACTION_TRIES == 3
    assert place.intents() == ["intent-0001"]


def test_a_transaction_taken_back_again_and_again_is_given_up_and_nothing_stands_X4(place: Place) -> None:
    journal, judge = place.host(), Judge()
    place.ask(TAKES_BACK.format(times=1000, state="40001", constraint="", deferred=""))
    with pytest.raises(Undone, match="nothing was sent"):
        judge.decide(journal)
    assert judge.asked == TRANSACTION_TRIES
    assert place.intents() == []
    place.ask("DROP TRIGGER take_back ON events")
    assert isinstance(judge.decide(journal), Approved)  # the handle is well


# --- a server that has no room, takes no writes, or does not answer ----------------------------------------


def test_a_server_without_a_free_connection_refuses_before_anything_is_sent_X5(place: Place) -> None:
    place.host().close()
    held = []
    try:
        while True:
            try:
                held.append(psycopg.connect(place.server.url("postgres")))
            except psycopg.OperationalError:
                break
        with pytest.raises(
            JournalUnavailable, match=r"no connection left.*nothing was sent|cannot be reached.*too many"
        ):
            place.host()
    finally:
        for each in held:
            each.close()
    place.host()


def test_a_standby_and_a_read_only_database_are_refused_X6(place: Place) -> None:
    journal, judge = place.host(), Judge()
    standby = place.server.data / "standby.signal"
    place.server.stop()
    standby.touch()
    place.server.start()
    try:
        with pytest.raises(JournalUnavailable, match="takes no writes"):
            judge.decide(journal)
    finally:
        place.server.stop()
        standby.unlink()
        place.server.start()
    place.ask(f"ALTER DATABASE {place.database} SET default_transaction_read_only = on")
    with pytest.raises(JournalUnavailable, match="takes no writes"):
        place.host()
    assert judge.asked == 0


def test_a_line_that_swallows_everything_ends_within_bounds_X7_X9(
    place: Place, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "ANSWER_WITHIN", timedelta(seconds=1))
    monkeypatch.setattr(postgres, "CONNECT_WITHIN", timedelta(seconds=2))
    monkeypatch.setattr("perpsctl.journal.shared.LEFT_ALONE", timedelta(milliseconds=100))
    journal, judge, clock = place.host(url=wire.url(place.database)), Judge(), SystemClock()
    wire.swallow_requests = True
    began = clock.monotonic_ns()
    with pytest.raises(JournalUnavailable, match="nothing was sent"):
        judge.decide(journal)
    assert clock.monotonic_ns() - began < 8_000_000_000
    assert judge.asked == 0
    wire.swallow_requests = False
    clock.sleep(timedelta(milliseconds=100))
    assert isinstance(judge.decide(journal), Approved)


def test_a_server_that_says_nothing_is_waited_for_once_and_then_left_alone_a_while_X7(
    place: Place, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way out reads the journal several times: each read must not cost the whole bound again."""
    monkeypatch.setattr(postgres, "ANSWER_WITHIN", timedelta(seconds=1))
    monkeypatch.setattr(postgres, "CONNECT_WITHIN", timedelta(seconds=2))
    monkeypatch.setattr("perpsctl.journal.shared.LEFT_ALONE", timedelta(seconds=1))
    journal, clock = place.host(url=wire.url(place.database)), SystemClock()
    wire.swallow_requests = True
    with pytest.raises(JournalUnavailable, match="cannot be reached"):
        journal.halt()
    began = clock.monotonic_ns()
    for _ in range(10):
        with pytest.raises(JournalUnavailable, match="cannot be reached"):
            journal.halt()
    assert clock.monotonic_ns() - began < 500_000_000
    wire.swallow_requests = False
    clock.sleep(timedelta(seconds=1))
    assert journal.halt().journal == "released"


def test_a_transaction_in_which_a_statement_failed_never_passes_for_committed_X4(place: Place) -> None:
    """The server answers such a COMMIT without an error; only its word for what it did tells."""
    database = place.host().log.database
    with (
        pytest.raises(Undone, match="a statement in it had failed"),
        database.writing(),
        pytest.raises(InvariantBroken),
    ):
        database.execute(insert(leases), {"account": "x", "fence": None, "expires": "y"})
    with database.writing():
        database.execute(insert(leases), {"account": "x", "fence": 1, "expires": "y"})
    assert place.ask("SELECT fence FROM leases") == [(1,)]


def test_a_transaction_whose_session_is_gone_is_over_even_for_who_goes_on_in_it_X1(place: Place) -> None:
    """Else what follows would be written in a new session, without the lock and without the rest."""
    database = place.host().log.database

    def goes_on() -> None:
        with database.writing():
            place.server.restart()
            for _ in range(2):
                with pytest.raises(Undone, match="the connection was lost"):
                    database.execute(insert(leases), {"account": "x", "fence": 1, "expires": "y"})

    with pytest.raises(Undone):
        goes_on()
    assert place.ask("SELECT * FROM leases") == []


def test_another_writer_that_does_not_end_is_waited_for_within_bounds_X9(place: Place) -> None:
    journal, judge = place.host(), Judge()
    with psycopg.connect(place.server.url(place.database)) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s, %s)", (APPLICATION_ID, WRITERS))
        with pytest.raises(JournalUnavailable, match="did not answer in time; nothing was sent"):
            judge.decide(journal)
    assert judge.asked == 0
    assert isinstance(judge.decide(journal), Approved)


def test_a_host_that_stops_in_the_middle_of_a_decision_gives_up_the_journal_to_the_others_P3_X9(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "IDLE_WRITE_ENDS", timedelta(milliseconds=100))
    clock, intent = SystemClock(), an_intent("intent-slow")
    stopped, other, judge = place.host(), place.host("b"), Judge()

    def sleeps(booked: Booked) -> Approved | Denied:
        if not booked.live:
            clock.sleep(timedelta(milliseconds=400))
            assert isinstance(judge.decide(other, "intent-fast"), Approved)
        return approved(intent) if not booked.live else DENIED

    assert stopped.decide(intent, intent.size, sleeps) == DENIED  # judged anew, on what the other did meanwhile
    assert place.ask("SELECT intent_id FROM events WHERE kind = 'intent' ORDER BY seq") == [
        ("intent-fast",),
        ("intent-slow",),
    ]


# --- the schema -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        ("DROP INDEX events_once_decided", "lacks events_once_decided"),
        ("ALTER TABLE events DISABLE TRIGGER events_keep", "events_keep are missing or off"),
        ("ALTER TABLE leases DROP COLUMN fence", "leases lacks fence"),
        ("DROP TABLE snapshots", "table snapshots is missing"),
        ("DROP TABLE journal_stamp", "bear no stamp"),
        ("UPDATE journal_stamp SET number = 0", "has schema 0, this version needs"),
        ("UPDATE journal_stamp SET number = 99", "has schema 99, this version knows"),
        ("UPDATE journal_stamp SET application = 1", "stamp is not perpsctl's"),
    ],
)
def test_a_schema_that_is_half_migrated_older_or_newer_is_refused_J6_X10(place: Place, harm: str, told: str) -> None:
    place.host().close()
    place.ask(harm)
    with pytest.raises(JournalUnavailable, match=told) as refused:
        place.host()
    if "schema 0" in told:
        assert "perpsctl journal migrate" in refused.value.fix


def test_rows_are_never_changed_or_deleted_and_a_forged_one_is_named_J4(place: Place) -> None:
    journal, judge = place.host(), Judge()
    judge.decide(journal)
    journal.close()
    for statement in ("UPDATE events SET payload = '{}'", "DELETE FROM events", "TRUNCATE events"):
        with pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="append-only"):
            place.ask(statement)
    place.ask(
        "ALTER TABLE events DISABLE TRIGGER USER; UPDATE events SET payload = payload || ' ' WHERE seq = 1; "
        "ALTER TABLE events ENABLE TRIGGER USER"
    )
    with pytest.raises(JournalCorrupt, match="row 1"):
        place.host()


def test_a_host_without_the_audit_key_or_with_another_is_told_to_copy_it_J4(place: Place) -> None:
    place.host().close()
    for folder in ("b", "c"):
        if folder == "c":
            other = place.folder / folder
            other.mkdir(mode=0o700)
            (other / KEY_FILE).touch(mode=0o600)
            (other / KEY_FILE).write_text("ab" * 32)
        with pytest.raises(JournalUnavailable) as refused:
            a_journal(place.folder / folder, url=place.server.url(place.database))
        assert "copy audit.key" in refused.value.fix
    assert not (place.folder / "b" / KEY_FILE).exists()


def test_a_row_twice_is_a_bug_of_ours_and_the_handle_stays_well(place: Place) -> None:
    journal, judge = place.host(), Judge()
    judge.decide(journal)
    row = place.ask("SELECT payload FROM events WHERE kind = 'intent'")[0][0]
    with pytest.raises(InvariantBroken, match="must not hold"), journal.log.transaction() as batch:
        batch.add("intent", str(row), intent_id=an_intent("intent-0001").id)
    assert isinstance(judge.decide(journal, "intent-0002"), Approved)


def only_one(intent: OrderIntent) -> Callable[[Booked], Approved | Denied]:
    return lambda booked: DENIED if booked.live else approved(intent)


# --- several hosts ------------------------------------------------------------------------------------------


def test_two_hosts_never_both_use_the_same_room_under_a_limit_R5_R8(place: Place) -> None:
    place.host().close()
    hosts = [place.host(f"host-{number}") for number in range(4)]
    approvals: list[object] = []

    def try_it(number: int, journal: SqlJournal) -> None:
        for again in range(5):
            intent = an_intent(f"intent-{number}-{again}")
            answer = journal.decide(intent, intent.size, only_one(intent))
            approvals.extend([answer] if isinstance(answer, Approved) else [])

    for journal in hosts:
        journal.log.database._busy_timeout = timedelta(seconds=10)  # type: ignore[attr-defined]
    threads = [threading.Thread(target=try_it, args=each) for each in enumerate(hosts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(approvals) == 1
    assert len(place.intents()) == 20
    assert hosts[0].check(full=True).sound


def test_the_lease_ends_by_the_databases_time_whatever_a_hosts_clock_says_J5_X8(place: Place) -> None:
    early, late = FakeClock(), FakeClock()
    late.pass_(days=400)
    first = RowLease(place.host("a", clock=early), Holder.this_process(FakeIds("a")))
    second = RowLease(place.host("b", clock=late), Holder.this_process(FakeIds("b")))
    first.acquire()
    with pytest.raises(LeaseHeld):
        second.acquire()
    assert second.holder() is not None
    first.renew()
    place.ask("UPDATE leases SET expires = '2000-01-01T00:00:00.000000Z'")
    assert second.holder() is None
    second.acquire()
    assert second.fence == 2


def test_a_host_that_slept_past_its_lease_commits_nothing_more_J5_P3(place: Place) -> None:
    journal, judge = place.host("a"), Judge()
    first = RowLease(journal, Holder.this_process(FakeIds("a")))
    first.acquire()
    assert isinstance(judge.decide(journal), Approved)
    place.ask("UPDATE leases SET expires = '2000-01-01T00:00:00.000000Z'")
    other = place.host("b")
    RowLease(other, Holder.this_process(FakeIds("b"))).acquire()
    with pytest.raises(LeaseHeld):
        judge.decide(journal, "intent-0002")
    assert judge.asked == 1
    assert place.intents() == ["intent-0001"]
    journal.record_outcome(an_intent("intent-0001").id, Rejected(reason="X", message="no", evidence="e"))  # no lease


def test_what_one_host_writes_the_other_sees_at_once(place: Place) -> None:
    one, other = place.host("a"), place.host("b")
    one.record_halt(engaged=True, reason="seen everywhere", by="ada")
    assert other.halt().reason == "seen everywhere"
    other.record_event(EventKind.HEARTBEAT, {"tick": 1})
    assert [each.kind for each in one.events(limit=1)] == ["heartbeat"]


# --- secrets --------------------------------------------------------------------------------------------------


def test_the_password_is_in_no_error_and_no_repr_S1(place: Place) -> None:
    journal = place.host(url=place.server.url_over_tcp(place.database))
    database = journal.log.database
    assert isinstance(database, SharedDatabase)
    assert PASSWORD not in repr(database.address) + database.place
    told = []
    for url in (
        place.server.url_over_tcp(place.database, "not-the-password"),
        place.server.url_over_tcp("no_such_database"),
        f"postgresql://ada:{PASSWORD}@127.0.0.1:1/x",
        f"postgresql://ada:{PASSWORD}@[/x",
    ):
        with pytest.raises(JournalUnavailable) as refused:
            place.host(url=url)
        told.append(f"{refused.value.message} {refused.value.fix} {refused.value!r}")
        assert refused.value.__cause__ is None
    assert PASSWORD not in "".join(told)
    assert "not-the-password" not in "".join(told)


def test_a_remote_host_is_reached_with_its_certificate_verified_unless_told_otherwise_S2() -> None:
    assert Address.read("postgresql://ada@db.example/x").parameters["sslmode"] == "verify-full"
    assert Address.read("postgresql://ada@db.example/x?sslmode=require").parameters["sslmode"] == "require"
    assert "sslmode" not in Address.read("postgresql://ada@127.0.0.1/x").parameters
    assert "sslmode" not in Address.read("postgresql:///x?host=/run/postgresql").parameters
