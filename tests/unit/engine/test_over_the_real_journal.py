"""The engine over the SQLite journal, the real spool and the combined halts: what the fakes could be wrong about."""

from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from itertools import permutations
from pathlib import Path

import pytest

from perpsctl.domain.errors import ExitCode
from perpsctl.domain.ids import AccountKey, ClientOrderId, IntentId, ProductId, VenueOrderId
from perpsctl.domain.market import BookView
from perpsctl.domain.numbers import Price, Size
from perpsctl.domain.orders import Accepted, EditIntent, NotSent, OrderStatus, Unknown, VenueOrder
from perpsctl.domain.reports import IntentStage
from perpsctl.engine.broken_journal import BrokenJournal
from perpsctl.engine.killswitch import KillSwitch
from perpsctl.engine.parts import Engine, assemble
from perpsctl.engine.strategies.canary import Canary
from perpsctl.engine.supervisor import RunOptions, Supervisor
from perpsctl.journal.halts import CombinedHalts
from perpsctl.journal.lease import Holder, RowLease
from perpsctl.journal.opening import open_journal
from perpsctl.journal.spool import Spool
from perpsctl.journal.store import SqlJournal
from perpsctl.latch import Latch
from perpsctl.risk.limits import RiskLimits
from tests.builders import BTC, an_intent, an_order
from tests.unit.engine.fakes import DISK_FULL, CountingIds, FakeVenue, ManualClock, Talk
from tests.unit.journal.fakes import yes

PRODUCT = ProductId(BTC)
ACCOUNT = AccountKey("us:sim:real")
LIMITS = RiskLimits.from_mapping({"funding_cash_times": ["20:00"]})


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    clock: ManualClock
    venue: FakeVenue
    journal: SqlJournal
    latch: Latch
    engine: Engine
    switch: KillSwitch
    folder: Path


@pytest.fixture
def real(tmp_path: Path) -> Desk:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    clock = ManualClock()
    venue, talk, latch = FakeVenue(clock), Talk(), Latch("test", folder)
    journal = open_journal(folder, ACCOUNT, clock=clock, ids=CountingIds())
    halts = CombinedHalts(latch, journal)
    engine = assemble(
        venue=venue,
        journal=journal,
        halts=halts,
        clock=clock,
        ids=CountingIds(),
        limits=LIMITS,
        diagnostics=talk,
        spool=Spool(folder, ACCOUNT, clock),
    )
    switch = KillSwitch(
        latch=latch, journal=journal, halts=halts, clock=clock, diagnostics=talk, outside=engine.venue_side
    )
    return Desk(clock=clock, venue=venue, journal=journal, latch=latch, engine=engine, switch=switch, folder=folder)


def test_I1_a_lost_reply_ends_as_one_order_and_reconcile_agrees(real: Desk) -> None:
    real.venue.endings = ["hidden"]
    report = real.engine.desk.place(an_intent())
    assert isinstance(report.outcome, Accepted)
    assert len(real.venue.of_intent("intent-0001")) == 1
    assert real.engine.reconciler.run().matched


def test_I3_a_lost_request_is_proven_absent_and_its_late_order_adopted(real: Desk) -> None:
    real.venue.endings = ["lost"]
    assert isinstance(real.engine.desk.place(an_intent()).outcome, Unknown)
    ended = dict(real.engine.resolver.resolve_all(timedelta(seconds=60)))
    assert isinstance(ended[an_intent().id], NotSent)
    real.venue._submit(real.venue.submitted[0])
    (found,) = real.engine.reconciler.run().breaks
    assert found.settled
    record = real.journal.intent(an_intent().id)
    assert record is not None
    assert record.stage is IntentStage.WORKING
    assert real.engine.reconciler.run().matched


def test_a_cancel_by_intent_takes_every_order_the_venue_made_of_it(real: Desk) -> None:
    """I1 is the venue's to break: a second order under one intent is counted, and goes with the first."""
    real.engine.desk.place(an_intent())
    real.venue._submit(real.venue.submitted[0])
    assert len(real.venue.live()) == 2
    real.engine.reconciler.run()
    report = real.engine.desk.cancel(["intent-0001"])
    assert len(report.gone) == 2, report
    assert real.venue.live() == []


def test_I6_a_second_reconcile_writes_nothing(real: Desk) -> None:
    real.engine.desk.place(an_intent())
    real.venue.fill(real.venue.live()[0].venue_order_id)
    real.venue.rest(limit_price="59000")
    assert len(real.engine.reconciler.run().breaks) == 3
    rows = real.journal.check(full=True).rows
    assert real.engine.reconciler.run().matched
    assert real.journal.check(full=True).rows == rows


def test_a_pending_exit_is_kept_retried_and_settled(real: Desk) -> None:
    real.venue.coin[PRODUCT] = Decimal("0.05")
    real.venue.endings = ["session"]
    report = real.switch.engage(reason="test", by="op", flatten=True)
    assert not report.attestation.clean
    assert [each.size for each in real.journal.exits_pending()] == [Decimal("0.05")]
    real.clock.advance(timedelta(seconds=61))
    assert all(each.done for each in real.engine.exits.retry_pending())
    assert real.journal.exits_pending() == ()
    assert real.switch.release(reason="over", by="op").released


def test_an_exit_through_the_spool_is_in_the_journal_at_its_next_opening(real: Desk) -> None:
    real.venue.coin[PRODUCT] = Decimal("0.05")
    spool = Spool(real.folder, ACCOUNT, real.clock)
    journal = BrokenJournal(ACCOUNT, DISK_FULL)
    engine = assemble(
        venue=real.venue,
        journal=journal,
        halts=CombinedHalts(real.latch, DISK_FULL),
        clock=real.clock,
        ids=CountingIds(),
        limits=LIMITS,
        diagnostics=Talk(),
        spool=spool,
    )
    assert engine.exits.flatten([PRODUCT]).flat
    assert spool.waiting() == 2
    real.journal.close()
    again = open_journal(real.folder, ACCOUNT, clock=real.clock, ids=CountingIds())
    (sent,) = real.venue.submitted
    record = again.intent(sent.intent_id)
    assert record is not None
    assert isinstance(record.outcome, Accepted)
    assert spool.waiting() == 0


def test_a_verdict_made_again_leaves_one_intent(real: Desk) -> None:
    """Judging may raise inside the transaction: nothing of that try is kept."""
    first = real.engine.desk.place(an_intent(id="intent-rest1", size="0.1"))
    assert first.order is not None
    order_id = first.order.venue_order_id
    fills: list[int] = []

    def books_the_fill() -> None:
        if not fills:
            fills.append(1)
            real.venue.fill(order_id)
            real.journal.record_order(real.venue.orders_[order_id], an_intent(id="intent-rest1").id)

    read = real.venue.book

    def book_then_fill(product_id: ProductId, depth: int) -> BookView:
        told = read(product_id, depth)
        books_the_fill()
        return told

    real.venue.book = book_then_fill  # type: ignore[method-assign]
    report = real.engine.desk.place(an_intent(id="intent-0002", size="0.1", limit_price="59895"))
    assert report.denied is not None
    assert len(real.journal.intents()) == 2
    assert real.journal.check(full=True).sound


def test_a_run_of_the_canary_holds_the_lease_trades_and_reconciles(real: Desk) -> None:
    def match() -> None:
        for order in real.venue.live():
            if (
                order.post_only
                and order.created is not None
                and real.clock.now() - order.created > timedelta(seconds=3)
            ):
                real.venue.fill(order.venue_order_id)

    real.clock.at_sleep.append(match)
    loop = Supervisor(
        engine=real.engine,
        lease=RowLease(real.journal, Holder.this_process(CountingIds())),
        switch=real.switch,
        strategy=Canary(PRODUCT),
        options=RunOptions(duration=timedelta(seconds=60)),
    )
    result = loop.run()
    assert result.exit_code is ExitCode.DONE
    assert result.summary.fills >= 2
    assert result.summary.denials_by_code == {}
    assert real.engine.reconciler.run().matched
    assert real.journal.check(full=True).sound


def test_edits_settle_in_the_journal(real: Desk) -> None:
    placed = real.engine.desk.place(an_intent())
    assert placed.order is not None
    edit = EditIntent(
        id=IntentId("edit-0001"),
        target=an_intent().id,
        venue_order_id=placed.order.venue_order_id,
        new_price=Price(Decimal("59800")),
        new_size=Size(Decimal("0.02")),
        created_at=real.clock.now(),
    )
    assert isinstance(real.engine.edits.edit(edit).outcome, Accepted)
    record = real.journal.intent(an_intent().id)
    assert record is not None
    assert record.order is not None
    assert (record.order.size, record.order.limit_price) == (Decimal("0.02"), Decimal("59800"))
    assert [record.intent.id for record in real.journal.working()] == [an_intent().id]
    real.engine.desk.cancel(["intent-0001"])
    assert real.venue.orders_[placed.order.venue_order_id].status is OrderStatus.CANCELLED
    assert real.journal.working() == ()


# --- one intent, two ids ------------------------------------------------------------------------------------


def test_I5_a_waiting_order_and_what_it_became_are_one_order_in_whatever_order_they_are_read(real: Desk) -> None:
    """Every order of the reads ends in the same record, from memory and from the rows; the same on a second journal."""
    first = an_order(venue_order_id="stop-1")
    became = replace(an_order(venue_order_id="order-2", filled="0.004"), succeeds=first.venue_order_id)
    done = replace(became, status=OrderStatus.CANCELLED, read_at=became.read_at + timedelta(seconds=1))
    ends = set()
    for number, reads in enumerate(permutations([first, became, done, first])):
        intent = an_intent(id=f"intent-{number:04d}", again=True)
        names = {name: VenueOrderId(f"{name}/{number}") for name in ("stop-1", "order-2")}
        real.journal.decide(intent, intent.size, yes(intent))
        own = [renamed(read, names, intent.id) for read in reads]
        accepted = own[0]
        outcome = Accepted(venue_order_id=accepted.venue_order_id, order=accepted, evidence="test")
        real.journal.record_outcome(intent.id, outcome)
        for read in own[1:]:
            real.journal.record_order(read, None)
        record = real.journal.intent(intent.id)
        assert record is not None
        assert record.order is not None
        assert set(record.venue_ids) == set(names.values())
        ends.add((record.stage, record.venue_order_id == names["order-2"], record.order.status, record.order.filled))
        assert real.journal.intents(limit=1)[0].order == record.order
        assert {real.journal.intent_by_order(name) for name in names.values()} == {record}
    assert ends == {(IntentStage.DONE, True, OrderStatus.CANCELLED, Decimal("0.004"))}
    assert real.journal.booked().live == ()
    assert not [row for row in real.journal.events(kind="alarm") if "second_order" in row.payload]
    assert real.journal.check(full=True).sound


def renamed(order: VenueOrder, names: dict[str, VenueOrderId], intent_id: str) -> VenueOrder:
    """The same read of this intent's own order."""
    succeeds = None if order.succeeds is None else names[order.succeeds]
    label = ClientOrderId(intent_id)
    return replace(order, venue_order_id=names[order.venue_order_id], succeeds=succeeds, client_order_id=label)
