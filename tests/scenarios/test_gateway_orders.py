"""The gateway's own ways with orders and money: mass cancels, a stop with two ids, withdrawals told apart from losses.

Client, engine and journal are the real ones on virtual time, each request takes its moment, the judge is the exchange.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from perpsctl.domain.errors import VenueUnreachable
from perpsctl.domain.ids import VenueOrderId
from perpsctl.domain.numbers import Price, Size
from perpsctl.domain.orders import (
    Accepted,
    ApprovedOrder,
    OrderIntent,
    OrderStatus,
    OrderType,
    SubmitOutcome,
    TimeInForce,
    Unknown,
    VenueOrder,
)
from perpsctl.domain.ports import EventKind, Gate, Sighting, Sought, Venue
from perpsctl.domain.products import Environment, VenueId
from perpsctl.domain.reports import BreakClass, HaltState, IntentRecord, IntentStage
from perpsctl.domain.sides import Side
from perpsctl.engine.losses import losses_now
from perpsctl.engine.strategies import load
from perpsctl.engine.supervisor import RunOptions, Supervisor
from perpsctl.exchange.credentials import Credentials
from perpsctl.exchange.global_derivatives import GLOBAL_CAPABILITIES, GlobalDerivativesVenue
from perpsctl.exchange.hosts import endpoint_for
from perpsctl.exchange.transport import ExchangeRecord
from perpsctl.journal.lease import Holder, RowLease
from perpsctl.risk.limits import RiskLimits
from perpsctl.risk.loss import exceeds
from perpsctl.simulator.inprocess import GLOBAL_ORIGIN, InProcessAdapter
from perpsctl.simulator.orders import ConfigKind, Configuration, OrderRequest, PlacementSource
from perpsctl.simulator.orders import Side as TheirSide
from tests.rig import VirtualClock, World

pytestmark = pytest.mark.scenario

BTC, ETH = "BTC_USDC-PERPETUAL", "ETH_USDC-PERPETUAL"
ROOMY = RiskLimits.from_mapping({"position_max_share": "0.9", "gross_max_share": "0.9"})
REQUEST_MS = 100
LABELS_FORGOTTEN = timedelta(minutes=25)


class Slow(list[ExchangeRecord]):
    """Every request takes its moment."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock
        self.after: Callable[[], None] = lambda: None

    def append(self, record: ExchangeRecord) -> None:
        super().append(record)
        self._clock.advance(milliseconds=REQUEST_MS)
        self.after()

    def to(self, method: str) -> int:
        """How many requests asked for this method."""
        return sum(1 for record in self if method in record.path)


class Gateway(World):
    """A profile of the second venue."""

    def __init__(self, folder: Path, *, limits: RiskLimits = ROOMY) -> None:
        super().__init__(folder, limits=limits, venue=VenueId.GLOBAL)
        self.price = Decimal(68000)
        self.set_price(self.price)
        self.asked = Slow(self.clock)
        self.records = self.asked
        self.restart()

    def client(self, key: Credentials) -> GlobalDerivativesVenue:
        """Over HTTP, said to be armed: a loop may run on it, and nothing here is about how its orders end with it."""
        return GlobalDerivativesVenue(
            endpoint_for(Environment.SIM, GLOBAL_ORIGIN, venue=VenueId.GLOBAL),
            key,
            self.clock,
            self.ids,
            capabilities=replace(GLOBAL_CAPABILITIES, orders_die_with_connection=True),
            adapter=InProcessAdapter(self.embedded, face=self.embedded.global_),
            observer=self.records.append,
        )

    def set_price(self, price: Decimal) -> None:
        self.embedded.exchange.control.set_price(BTC, price, hold=True)

    def inject(self, name: str, *, price: str, product: str = BTC, contracts: str = "10") -> None:
        """An order that somebody else placed."""
        told = Configuration(kind=ConfigKind.LIMIT_GTC, base_size=Decimal(contracts), limit_price=Decimal(price))
        self.embedded.exchange.control.inject_order(
            OrderRequest(
                product_id=product,
                side=TheirSide.BUY,
                configuration=told,
                client_order_id=name,
                source=PlacementSource.UNKNOWN,
            )
        )

    def live(self, product: str | None = None) -> list[str]:
        """What truly rests: the judge's word."""
        orders = self.embedded.exchange.judge_view().orders
        return [
            o.order_id for o in orders if o.status in ("OPEN", "PENDING", "QUEUED") and product in (None, o.product_id)
        ]

    def stop(self, *, trigger: str, limit: str, side: Side = Side.BUY, size: str = "0.01") -> OrderIntent:
        product = self.product()
        assert product.product_id == BTC
        return OrderIntent(
            id=self.intent().id,
            product_id=product.product_id,
            side=side,
            size=Size(Decimal(size)),
            type=OrderType.STOP_LIMIT,
            tif=TimeInForce.GTC,
            limit_price=Price(Decimal(limit)),
            stop_price=Price(Decimal(trigger)),
            reason="test",
            created_at=self.clock.now(),
        )

    def run(self, ticks: int) -> Supervisor:
        loop = Supervisor(
            engine=self.engine,
            lease=RowLease(self.journal, Holder.this_process(self.ids)),
            switch=self.switch,
            strategy=load("canary", self.product().product_id),
            options=RunOptions(ticks=ticks, interval=timedelta(seconds=1)),
        )
        loop.run()
        return loop

    def record(self, intent: OrderIntent) -> IntentRecord:
        found = self.journal.intent(intent.id)
        assert found is not None
        return found


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    built = Gateway(tmp_path)
    yield built
    built.close()


# --- mass cancels -----------------------------------------------------------------------------------------------


def a_hundred(gateway: Gateway) -> OrderIntent:
    """Ninety-nine orders of others, some of another product, and one of ours."""
    for number in range(99):
        if number % 4:
            gateway.inject(f"other-{number}", price=str(60000 + number))
        else:
            gateway.inject(f"other-{number}", price="2000", product=ETH)
    ours = gateway.intent(price="66000")
    assert isinstance(gateway.engine.desk.place(ours).outcome, Accepted)
    assert len(gateway.live()) == 100
    gateway.asked.clear()
    return ours


def test_cancel_all_of_a_hundred_orders_takes_less_than_five_seconds(gateway: Gateway) -> None:
    ours = a_hundred(gateway)
    began = gateway.clock.now()
    report = gateway.engine.canceller.cancel_all()
    took = gateway.clock.now() - began
    assert (len(report.gone), report.still_live, report.unproven, report.problems) == (100, (), (), ())
    assert gateway.live() == []
    assert took <= timedelta(seconds=5), took
    assert gateway.asked.to("private/cancel_all_by_currency") >= 1
    assert gateway.asked.to("private/cancel") == gateway.asked.to("private/cancel_all_by_currency")
    assert gateway.record(ours).stage is IntentStage.DONE


def test_the_switch_cancels_a_hundred_orders_and_attests_within_its_bound(gateway: Gateway) -> None:
    a_hundred(gateway)
    began = gateway.clock.now()
    report = gateway.switch.engage(reason="test", by="operator")
    assert gateway.live() == []
    assert report.attestation.clean, report
    assert gateway.clock.now() - began <= timedelta(seconds=5)


def test_L2_the_switch_engaged_in_a_storm_leaves_no_order_standing(gateway: Gateway) -> None:
    a_hundred(gateway)
    gateway.embedded.exchange.faults.arm("N1", operation="any", count=None, for_seconds=20, seconds=2)
    began = gateway.clock.now()
    report = gateway.switch.engage(reason="test", by="operator")
    assert gateway.live() == []
    assert gateway.clock.now() - began <= timedelta(seconds=60)
    assert report.attestation.clean, report


def test_where_no_mass_cancel_is_offered_a_hundred_orders_go_by_batches_within_the_same_bound(tmp_path: Path) -> None:
    world = World(tmp_path, limits=ROOMY)
    world.records = Slow(world.clock)
    world.restart()
    for number in range(100):
        told = Configuration(kind=ConfigKind.LIMIT_GTC, base_size=Decimal(1), limit_price=Decimal(50000 + 5 * number))
        world.embedded.exchange.control.inject_order(
            OrderRequest(
                product_id="BIP-20DEC30-CDE",
                side=TheirSide.BUY,
                configuration=told,
                client_order_id=f"other-{number}",
                source=PlacementSource.UNKNOWN,
            )
        )
    began = world.clock.now()
    report = world.engine.canceller.cancel_all()
    assert (len(report.gone), report.problems) == (100, ())
    assert world.clock.now() - began <= timedelta(seconds=5)
    world.close()


def test_cancel_all_of_one_product_leaves_the_others(gateway: Gateway) -> None:
    a_hundred(gateway)
    others = gateway.live(ETH)
    report = gateway.engine.canceller.cancel_all(gateway.product().product_id)
    assert len(report.gone) == 75
    assert gateway.live() == others


@pytest.mark.parametrize("struck", ["any", "cancel_all"])
def test_L2_in_a_storm_of_10028_a_hundred_orders_are_gone_within_a_minute(gateway: Gateway, struck: str) -> None:
    ours = a_hundred(gateway)
    gateway.embedded.exchange.faults.arm("N1", operation=struck, count=None, for_seconds=20, seconds=2)
    began = gateway.clock.now()
    report = gateway.engine.canceller.cancel_all(wait=timedelta(seconds=60))
    assert gateway.live() == []
    assert gateway.record(ours).venue_order_id in report.gone
    assert (report.still_live, report.unproven) == ((), ())
    assert gateway.record(ours).stage is IntentStage.DONE
    assert gateway.clock.now() - began <= timedelta(seconds=60)


def test_a_mass_cancel_that_is_refused_falls_back_to_one_cancel_for_each(gateway: Gateway) -> None:
    ours = a_hundred(gateway)
    gateway.arm("N7", operation="cancel_all", count=None)
    report = gateway.engine.canceller.cancel_all(wait=timedelta(seconds=60))
    assert gateway.live() == []
    assert len(report.gone) == 100
    assert gateway.record(ours).stage is IntentStage.DONE


def test_a_mass_cancel_takes_waiting_stops_with_it(gateway: Gateway) -> None:
    waiting = gateway.stop(trigger="68500", limit="68400")
    assert isinstance(gateway.engine.desk.place(waiting).outcome, Accepted)
    report = gateway.engine.canceller.cancel_all()
    assert gateway.live() == []
    assert gateway.record(waiting).stage is IntentStage.DONE
    assert report.problems == ()


# --- a stop that fired ------------------------------------------------------------------------------------------


def fired(gateway: Gateway) -> tuple[OrderIntent, VenueOrderId, str]:
    """A stop-limit that fired and rests: its intent, its first id, and what it is called at the venue now."""
    intent = gateway.stop(trigger="68500", limit="68400")
    placed = gateway.engine.desk.place(intent).outcome
    assert isinstance(placed, Accepted)
    gateway.set_price(Decimal(69000))
    (now,) = gateway.live()
    assert now != placed.venue_order_id
    return intent, placed.venue_order_id, now


def part_filled(gateway: Gateway, order_id: str) -> None:
    gateway.embedded.exchange.control.external_fill(order_id, Decimal(40), Decimal(68400))


def test_a_stop_that_fired_moves_its_intent_to_the_order_it_became(gateway: Gateway) -> None:
    intent, first, now = fired(gateway)
    part_filled(gateway, now)
    tracked = gateway.engine.tracker.update(all_fills=True)
    assert tracked.problems == ()
    record = gateway.record(intent)
    assert (record.venue_order_id, record.stage) == (now, IntentStage.WORKING)
    assert record.venue_ids == (first, now)
    assert record.order is not None
    assert (record.order.status, record.order.filled) == (OrderStatus.OPEN, Decimal("0.004"))
    for name in (first, VenueOrderId(now)):
        found = gateway.journal.intent_by_order(name)
        assert found is not None
        assert found.intent.id == intent.id
    assert [(fill.venue_order_id, fill.size) for fill in gateway.journal.fills()] == [(now, Decimal("0.004"))]
    assert gateway.journal.booked_coin() == {BTC: Decimal("0.004")}


def test_R5_a_stop_that_fired_counts_once(gateway: Gateway) -> None:
    intent, _, now = fired(gateway)
    part_filled(gateway, now)
    gateway.engine.tracker.update()
    (counted,) = gateway.journal.booked().live
    assert (counted.intent_id, counted.venue_order_id, counted.remaining) == (intent.id, now, Decimal("0.006"))


def test_cancel_by_the_first_id_cancels_what_the_stop_became(gateway: Gateway) -> None:
    intent, first, now = fired(gateway)
    part_filled(gateway, now)
    report = gateway.engine.canceller.cancel([first])
    assert gateway.live() == []
    assert report.gone == (now,)
    assert (report.still_live, report.unproven) == ((), ())
    record = gateway.record(intent)
    assert record.order is not None
    assert (record.stage, record.order.status) == (IntentStage.DONE, OrderStatus.CANCELLED)
    assert record.order.filled == Decimal("0.004")
    assert gateway.journal.booked_coin() == {BTC: Decimal("0.004")}
    assert gateway.venue.live_orders().orders == ()


@pytest.mark.parametrize("known", [False, True])
def test_cancel_by_the_intents_id_after_it_fired(gateway: Gateway, known: bool) -> None:
    intent, _, now = fired(gateway)
    if known:
        gateway.engine.tracker.update()
    report = gateway.engine.canceller.cancel([intent.id])
    assert gateway.live() == []
    assert report.gone == (now,)


def test_I5_I6_after_it_fired_one_reconcile_settles_it_and_the_next_finds_nothing(gateway: Gateway) -> None:
    intent, _, now = fired(gateway)
    part_filled(gateway, now)
    first = gateway.engine.reconciler.run()
    assert first.unread == ()
    assert {(found.kind, found.cls, found.settled) for found in first.breaks} == {
        ("order", BreakClass.MISSED, True),
        ("fill", BreakClass.MISSED, True),
    }
    assert gateway.record(intent).venue_order_id == now
    rows = len(gateway.journal.events())
    second = gateway.engine.reconciler.run()
    assert (second.breaks, second.unread) == ((), ())
    assert len(gateway.journal.events()) == rows
    assert gateway.journal.events(kind=EventKind.ALARM) == ()
    assert "late_order" not in gateway.talk.alarms


def test_a_stop_that_fired_and_filled_while_nobody_looked_is_booked_by_its_first_id(gateway: Gateway) -> None:
    intent, _, now = fired(gateway)
    gateway.embedded.exchange.control.external_fill(now, Decimal(100), Decimal(68400))
    gateway.clock.sleep(LABELS_FORGOTTEN)
    gateway.restart()
    gateway.engine.tracker.update()
    record = gateway.record(intent)
    assert record.order is not None
    assert (record.stage, record.order.status, record.venue_order_id) == (IntentStage.DONE, OrderStatus.FILLED, now)
    assert gateway.journal.booked_coin() == {BTC: Decimal("0.01")}
    assert gateway.journal.check(full=True).sound
    assert gateway.journal.intents(limit=1) == (record,)  # from the rows, as from memory


class Forgetful:
    """The venue, whose reply to an order is lost and whose lists cannot be read until it is healed."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self.healed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._venue, name)

    def submit(self, order: ApprovedOrder, gate: Gate) -> SubmitOutcome:
        assert isinstance(self._venue.submit(order, gate), Accepted)
        return Unknown(reason="timeout", evidence="no answer in 5 s")

    def search(self, sought: Sought) -> Sighting:
        if not self.healed:
            raise VenueUnreachable("the lists cannot be read")
        return self._venue.search(sought)


@pytest.mark.parametrize("later", [timedelta(seconds=10), LABELS_FORGOTTEN])
def test_I1_a_stop_that_fired_while_it_was_in_doubt_is_one_order_and_no_duplicate(
    gateway: Gateway, later: timedelta
) -> None:
    venue = Forgetful(gateway.venue)
    gateway.assemble(cast(Venue, venue), gateway.journal)
    intent = gateway.stop(trigger="68500", limit="68400")
    assert isinstance(gateway.engine.desk.place(intent, wait=timedelta(0)).outcome, Unknown)
    gateway.set_price(Decimal(69000))
    gateway.clock.sleep(later)
    (now,) = gateway.live()
    venue.healed = True
    ((_, outcome),) = gateway.engine.resolver.resolve_all(timedelta(seconds=20))
    assert isinstance(outcome, Accepted), outcome
    record = gateway.record(intent)
    assert (record.venue_order_id, record.stage) == (now, IntentStage.WORKING)
    assert len(gateway.journal.booked().live) == 1
    for _ in range(2):
        again = gateway.engine.reconciler.run()
        assert (again.breaks, again.unread) == ((), ())
    assert gateway.talk.alarms == []


def test_a_fired_stop_seen_in_any_order_ends_in_the_same_state(gateway: Gateway) -> None:
    """I5: a late read of the first id, told as waiting, does not bring the order back."""
    intent, first, now = fired(gateway)
    gateway.engine.tracker.update()
    gateway.engine.canceller.cancel([first])
    done = gateway.record(intent)
    stale = an_old_read(gateway.venue.order(first), first)
    gateway.journal.record_order(stale, intent.id)
    after = gateway.record(intent)
    assert (after.stage, after.order, after.venue_order_id) == (IntentStage.DONE, done.order, now)
    assert gateway.journal.booked().live == ()
    assert gateway.journal.check(full=True).sound


def an_old_read(order: VenueOrder | None, first: VenueOrderId) -> VenueOrder:
    assert order is not None
    return replace(order, venue_order_id=first, succeeds=None, status=OrderStatus.OPEN, raw_status="untriggered")


# --- money that leaves ------------------------------------------------------------------------------------------


def baseline(gateway: Gateway) -> datetime:
    """A first mark, from which losses count."""
    gateway.run(ticks=2)
    gateway.restart()
    gateway.clock.sleep(timedelta(minutes=2))
    return gateway.clock.now()


def test_a_withdrawal_is_no_loss_and_halts_nothing(gateway: Gateway) -> None:
    baseline(gateway)
    gateway.embedded.exchange.control.move_money(Decimal(-100_000))
    gateway.run(ticks=3)
    gateway.restart()
    assert gateway.halts.facts().state is HaltState.RELEASED
    (row,) = gateway.journal.events(kind=EventKind.TRANSFER)
    assert '"amount":"-100000"' in row.payload
    assert gateway.journal.check(full=True).sound


def test_a_withdrawal_between_reconciles_is_looked_up_before_the_loop_judges_it(gateway: Gateway) -> None:
    baseline(gateway)
    gateway.asked.clear()
    gateway.asked.after = lambda: leave_once_reconciled(gateway)
    gateway.run(ticks=6)
    assert gateway.asked.to("get_transaction_log") == 2
    gateway.restart()
    assert gateway.halts.facts().state is HaltState.RELEASED
    assert len(gateway.journal.events(kind=EventKind.TRANSFER)) == 1


def leave_once_reconciled(gateway: Gateway) -> None:
    """The books were read, and some requests later money goes."""
    if gateway.asked.to("get_transaction_log") and len(gateway.asked) > 40:
        gateway.asked.after = lambda: None
        gateway.embedded.exchange.control.move_money(Decimal(-100_000))


def breach_now(gateway: Gateway) -> bool:
    """As `pnl` and a release after a breach work it out, with no loop running."""
    engine = gateway.engine
    reading = losses_now(gateway.venue.account, gateway.journal, engine.views, engine.reconciler.transfers)
    assert (reading.missing, reading.unmarked) == ((), ())
    return any(exceeds(window, gateway.limits.daily_loss_max_share) for window in reading.windows)


def test_a_withdrawal_with_no_loop_running_is_no_standing_breach(gateway: Gateway) -> None:
    baseline(gateway)
    assert not breach_now(gateway)
    gateway.embedded.exchange.control.move_money(Decimal(-100_000))
    assert not breach_now(gateway)
    assert len(gateway.journal.events(kind=EventKind.TRANSFER)) == 1
    gateway.embedded.exchange.control.set_balance(usdc=Decimal(800_000))
    assert breach_now(gateway), "a loss beside it still is one"


def test_L5_a_breach_whose_books_cannot_be_read_is_not_worked_out(gateway: Gateway) -> None:
    baseline(gateway)
    gateway.arm("N7", operation="get_transaction_log", count=None)
    with pytest.raises(VenueUnreachable):
        breach_now(gateway)


def test_a_real_loss_of_the_same_size_halts(gateway: Gateway) -> None:
    baseline(gateway)
    gateway.embedded.exchange.control.set_balance(usdc=Decimal(900_000))
    gateway.run(ticks=3)
    gateway.restart()
    facts = gateway.halts.facts()
    assert facts.state is HaltState.ENGAGED
    assert facts.loss_breach


def test_a_withdrawal_does_not_hide_a_loss_that_came_with_it(gateway: Gateway) -> None:
    baseline(gateway)
    gateway.embedded.exchange.control.move_money(Decimal(-100_000))
    gateway.embedded.exchange.control.set_balance(usdc=Decimal(870_000))
    gateway.run(ticks=3)
    gateway.restart()
    assert gateway.halts.facts().loss_breach


def test_a_single_command_after_a_withdrawal_is_not_denied_for_a_loss(gateway: Gateway) -> None:
    baseline(gateway)
    gateway.embedded.exchange.control.move_money(Decimal(-100_000))
    report = gateway.engine.desk.place(gateway.intent(price="66000"))
    assert isinstance(report.outcome, Accepted), report


def test_two_that_read_the_books_at_once_book_a_withdrawal_once(gateway: Gateway) -> None:
    baseline(gateway)
    gateway.embedded.exchange.control.move_money(Decimal(-100_000))
    told = gateway.venue.transfers(gateway.clock.now() - timedelta(minutes=1))
    assert told is not None
    assert len(told) == 1
    assert len(gateway.journal.record_transfers(told)) == 1
    assert gateway.journal.record_transfers(told) == ()
    assert gateway.engine.reconciler.run().breaks == ()


def test_books_that_cannot_be_read_explain_no_loss(gateway: Gateway) -> None:
    """L5: it fails closed."""
    baseline(gateway)
    gateway.arm("N7", operation="get_transaction_log", count=None)
    gateway.embedded.exchange.control.move_money(Decimal(-100_000))
    report = gateway.engine.desk.place(gateway.intent(price="66000"))
    assert report.denied is not None
    assert "daily_loss_above_max" in [denial.code.value for denial in report.denied.denials]
    assert any("transfers" in note for note in report.notes)


def test_this_venue_forgets_labels_later_than_these_tests_wait() -> None:
    assert LABELS_FORGOTTEN > timedelta(minutes=20) > GLOBAL_CAPABILITIES.doubt.write_ttl
