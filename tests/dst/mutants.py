"""`make mutants`: planted bugs of the order, risk, journal and kill paths, each run until the schedules catch it.

A mutant is a small change made in a process of its own, after everything is imported and before the first schedule. It is
caught by the first seed whose schedule breaks an invariant; a green suite that cannot fail would prove nothing. The last
line is `caught/total`.
"""

import argparse
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from perpsctl.domain.accounts import Booked, OrdersRead, PositionsRead
from perpsctl.domain.errors import PerpsctlError
from perpsctl.domain.ids import ClientOrderId
from perpsctl.domain.orders import Accepted, ApprovedOrder, NotSent, OrderStatus, Rejected, Unknown, VenueOrder
from perpsctl.domain.ports import EventKind, Known
from perpsctl.domain.quantize import quantize
from perpsctl.domain.reports import Attestation, IntentStage
from perpsctl.domain.verdicts import Approved, Denied
from perpsctl.engine import breaks, cancels, desk, killswitch, reconcile, resolver, sending, supervisor
from perpsctl.exchange.advanced_trade import link as us_link
from perpsctl.exchange.advanced_trade import live_lists
from perpsctl.exchange.advanced_trade import venue as us_venue
from perpsctl.exchange.advanced_trade import writes as us_writes
from perpsctl.exchange.global_derivatives import venue as global_venue
from perpsctl.exchange.global_derivatives import venue_clock
from perpsctl.exchange.global_derivatives import writes as global_writes
from perpsctl.exchange.transport import Answered, GateClosed, NotWritten, Written
from perpsctl.gate import FileGate
from perpsctl.journal import audit, bookings, fold, spool, store
from perpsctl.journal.entries import Tracked, after_outcome, merge_orders
from perpsctl.journal.store import SqlJournal
from perpsctl.risk import case, exposure, judge
from perpsctl.wire.advanced_trade import outcomes
from perpsctl.wire.advanced_trade import requests as us_requests
from tests.dst.run import worker
from tests.dst.schedule import draw
from tests.dst.story import run

Plant = Callable[[], None]
MUTANTS: dict[str, Plant] = {}
SLOW = frozenset(  # needed more than 150 schedules when they were last hunted (2026-11-22)
    {
        "valid_until_ignored",
        "released_over_a_doubt",
        "unknown_becomes_rejected_by_time",
        "write_token_without_end",
        "in_flight_exposure_forgotten",
        "foreign_orders_not_counted",
        "failed_positions_taken_as_flat",
    }
)


def mutant(plant: Plant) -> Plant:
    """Known by its own name."""
    MUTANTS[plant.__name__] = plant
    return plant


def put(owner: Any, name: str, new: Any) -> Any:
    """`owner.name` is `new`; what it was."""
    old = getattr(owner, name)
    setattr(owner, name, new)
    return old


# --- the order's road ----------------------------------------------------------------------------------------


@mutant
def sent_before_the_journal() -> None:
    def send(self: Any, order: Any, judged: Any, *, unbounded: bool = False) -> Any:
        verdict = judged(self._journal.booked())
        if self._journal.intent(order.intent.id) is not None or not isinstance(verdict, Approved):
            return self._journal.decide(order.intent, order.size, judged)
        outcome = self._submit(verdict.order, sending._Judged(self._clock), unbounded=unbounded)
        told = self._journal.decide(order.intent, order.size, lambda booked: verdict)
        if isinstance(told, Known):
            return told
        self._record(order.intent.id, outcome)
        return sending.Sent(outcome=outcome, notes=verdict.notes)

    put(sending.Sender, "send", send)


@mutant
def create_resent_on_a_lost_reply() -> None:
    old = sending.Sender._submit

    def submit(self: Any, approved: Any, judged: Any, *, unbounded: bool) -> Any:
        outcome = old(self, approved, judged, unbounded=unbounded)
        if isinstance(outcome, Unknown):
            outcome = old(self, approved, judged, unbounded=unbounded)
        return outcome

    put(sending.Sender, "_submit", submit)


@mutant
def create_resent_under_a_new_id() -> None:
    old = sending.Sender._submit

    def submit(self: Any, approved: Any, judged: Any, *, unbounded: bool) -> Any:
        outcome = old(self, approved, judged, unbounded=unbounded)
        if isinstance(outcome, Unknown):
            again = replace(approved, client_order_id=ClientOrderId(f"{approved.client_order_id}-2"))
            outcome = old(self, again, judged, unbounded=unbounded)
        return outcome

    put(sending.Sender, "_submit", submit)


@mutant
def label_reused() -> None:
    put(judge, "client_order_id", lambda intent: ClientOrderId("dst-label-0001"))


@mutant
def known_id_placed_again() -> None:
    old = SqlJournal._decide

    def decide(self: Any, kind: Any, intent: Any, size: Any, judged: Any, *, fenced: bool) -> Any:
        told = old(self, kind, intent, size, judged, fenced=fenced)
        return judged(self.booked()) if isinstance(told, Known) else told

    put(SqlJournal, "_decide", decide)
    put(desk.OrderDesk, "_replay", lambda self, known, intent, wait: self._anew(intent, wait))

    def anew(self: Any, intent: Any, wait: timedelta) -> Any:
        order = quantize(intent, self._views.product(intent.product_id))
        ended, notes = self._enter(order, self._sender.send)
        return self._finish(order, ended, notes, wait)

    desk.OrderDesk._anew = anew  # type: ignore[attr-defined]


@mutant
def stale_verdict_sent() -> None:
    put(sending._Judged, "too_long_ago", property(lambda self: False))


@mutant
def verdict_outside_the_transaction() -> None:
    def send(self: Any, order: Any, judged: Any, *, unbounded: bool = False) -> Any:
        moment = sending._Judged(self._clock)
        verdict = judged(self._journal.booked())
        told = self._journal.decide(order.intent, order.size, lambda booked: verdict)
        if not isinstance(told, Approved):
            return told
        outcome = self._submit(told.order, moment, unbounded=unbounded)
        self._record(order.intent.id, outcome)
        return sending.Sent(outcome=outcome, notes=told.notes)

    put(sending.Sender, "send", send)


@mutant
def denied_order_sent() -> None:
    """A denial for a second reason is overlooked: the order leaves although the journal says no."""
    old = sending.Sender.send

    def send(self: Any, order: Any, judged: Any, *, unbounded: bool = False) -> Any:
        told = old(self, order, judged, unbounded=unbounded)
        if isinstance(told, Denied) and any("position" in each.code.value for each in told.denials):
            approved = sending_approval(order, self._clock.now())
            outcome = self._submit(approved, sending._Judged(self._clock), unbounded=unbounded)
            return sending.Sent(outcome=outcome, notes=())
        return told

    put(sending.Sender, "send", send)


def sending_approval(order: Any, at: datetime) -> Any:
    """An approval nobody gave."""
    return ApprovedOrder(order=order, client_order_id=ClientOrderId(order.intent.id), judged_at=at)


# --- what an answer proves -------------------------------------------------------------------------------------


@mutant
def timeout_means_not_sent() -> None:
    def ending(told: GateClosed | NotWritten | Written) -> NotSent | Unknown:
        reason = told.code if isinstance(told, GateClosed) else told.problem.value
        return NotSent(reason=reason, evidence="no answer came")

    put(us_writes, "without_reply", ending)
    put(global_writes, "without_reply", ending)


@mutant
def server_error_means_rejected() -> None:
    old = us_writes.Writes._judged

    def judged(self: Any, answer: Answered, judging: Any, *, named: bool) -> Any:
        if answer.status >= 500:
            return Rejected(reason="server_error", message="", evidence=f"HTTP {answer.status}")
        return old(self, answer, judging, named=named)

    put(us_writes.Writes, "_judged", judged)


@mutant
def echo_unchecked() -> None:
    def accepted(reply: Any, request: Any, side: str, evidence: str, latency_us: int | None) -> Any:
        return Accepted(
            venue_order_id=reply.success_response.order_id, order=None, evidence=evidence, latency_us=latency_us
        )

    put(outcomes, "_accepted", accepted)
    put(us_writes, "terms_apart", lambda *terms, **how: ())


@mutant
def unknown_becomes_rejected_by_time() -> None:
    old = resolver.Resolver.resolve

    def resolve(self: Any, record: Any, wait: timedelta) -> Any:
        found = old(self, record, wait)
        if isinstance(found, Unknown) and not found.alarm:
            found = Rejected(reason="timed_out", message="", evidence="no answer in time")
            self._journal.record_outcome(record.intent.id, found)
        return found

    put(resolver.Resolver, "resolve", resolve)


@mutant
def absent_after_one_look() -> None:
    def absent(self: Any, record: Any, doubt: Any, sighting: Any, due: Any) -> Any:
        outcome = NotSent(reason="absent_at_venue", evidence=sighting.evidence)
        self._journal.record_outcome(record.intent.id, outcome)
        return resolver.Look(outcome=outcome, why=outcome.evidence)

    put(resolver.Resolver, "_absent", absent)


@mutant
def valid_until_ignored() -> None:
    old = venue_clock.VenueClock.valid_until_ms
    put(venue_clock.VenueClock, "valid_until_ms", lambda self: old(self) + 3_600_000)


@mutant
def write_token_without_end() -> None:
    put(us_link, "WRITE_TTL", timedelta(seconds=119))


@mutant
def unknown_forgotten() -> None:
    """A doubt is folded as though nothing had been sent."""
    old = after_outcome

    def after(held: Tracked, outcome: Any, at: datetime) -> Tracked:
        told = old(held, outcome, at)
        if isinstance(outcome, Unknown):
            return replace(told, record=replace(told.record, stage=IntentStage.NOT_SENT))
        return told

    put(fold, "after_outcome", after)


# --- exposure --------------------------------------------------------------------------------------------------


@mutant
def in_flight_exposure_forgotten() -> None:
    old = fold.State.booked

    def booked(self: Any, now: datetime) -> Booked:
        told = old(self, now)
        return replace(told, live=tuple(e for e in told.live if not e.in_doubt), recent=())

    put(fold.State, "booked", booked)


@mutant
def working_orders_not_counted() -> None:
    put(case, "exposures", lambda positions, live: exposure.exposures(positions, exposure.NOTHING_LIVE))


@mutant
def exposure_netted() -> None:
    put(exposure.Exposure, "worst", property(lambda self: abs(self.position + self.buys - self.sells)))


@mutant
def order_itself_not_counted() -> None:
    old = case.order_case

    def without_itself(order: Any, view: Any, limits: Any) -> Any:
        told = old(order, view, limits)
        return replace(told, exposure=told.before)

    put(judge, "order_case", without_itself)


@mutant
def foreign_orders_not_counted() -> None:
    old = exposure.merge_live

    def ours_alone(listed: OrdersRead | None, live: Iterable[Any], unseen: Iterable[Any] = ()) -> Any:
        if listed is not None:
            kept = tuple(each for each in listed.orders if str(each.client_order_id or "").startswith("dst-"))
            listed = replace(listed, orders=kept)
        return old(listed, live, unseen)

    put(case, "merge_live", ours_alone)


@mutant
def edit_counted_at_the_smaller_size() -> None:
    old = case.edit_case

    def smaller(edit: Any, view: Any, limits: Any) -> Any:
        return old(replace(edit, new_size=min(edit.old_size, edit.new_size)), view, limits)

    put(judge, "edit_case", smaller)


@mutant
def overtaken_view_judged() -> None:
    def current(view: Any, before: Any, booked: Booked, now: datetime, *, last: bool) -> Any:
        return replace(view, now=now).booked(replace(booked, live=(), recent=()))

    put(desk, "current", current)


@mutant
def budget_of_the_minute_ignored() -> None:
    old = fold.State.booked
    put(fold.State, "booked", lambda self, now: replace(old(self, now), sent_last_minute=0))


@mutant
def reduce_only_taken_on_trust() -> None:
    put(case, "_reduces", lambda before, live, product_id, side, size: True)


# --- reads -------------------------------------------------------------------------------------------------------


def _on_failure(owner: Any, name: str, made: Callable[[datetime], Any]) -> None:
    old = getattr(owner, name)

    def read(self: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return old(self, *arguments, **named)
        except PerpsctlError:
            return made(self._clock.now())

    setattr(owner, name, read)


@mutant
def failed_positions_taken_as_flat() -> None:
    for owner in (us_venue.AdvancedTradeVenue, global_venue.GlobalDerivativesVenue):
        _on_failure(owner, "positions", lambda at: PositionsRead(positions=(), as_of=at))


@mutant
def failed_order_list_taken_as_empty() -> None:
    for owner in (us_venue.AdvancedTradeVenue, global_venue.GlobalDerivativesVenue):
        _on_failure(owner, "live_orders", lambda at: OrdersRead(orders=(), as_of=at, pages=1))


@mutant
def failed_read_attested_as_nothing() -> None:
    put(
        Attestation,
        "clean",
        property(lambda self: not self.open_orders and not (self.flatten_asked and self.positions)),
    )


@mutant
def only_open_orders_listed() -> None:
    old = live_lists.LiveLists.read

    def read(self: Any) -> Any:
        told = old(self)
        kept = tuple(each for each in told.listing.orders if each.status is OrderStatus.OPEN)
        return replace(told, listing=replace(told.listing, orders=kept))

    put(live_lists.LiveLists, "read", read)
    for owner in (us_venue.AdvancedTradeVenue, global_venue.GlobalDerivativesVenue):
        owner._still_live = lambda self, orders, *rest, **named: orders  # type: ignore[method-assign]


@mutant
def one_placement_source_listed() -> None:
    put(live_lists, "SOURCES", ("RETAIL_ADVANCED",))
    put(us_venue, "SOURCES", ("RETAIL_ADVANCED",))


@mutant
def acknowledged_cancel_taken_as_gone() -> None:
    old = cancels.Canceller._ask

    def ask(self: Any, chase: Any, order_ids: Any) -> None:
        old(self, chase, order_ids)
        for order_id in order_ids:
            answer = chase.answers.get(order_id)
            if answer is None or not answer.accepted:
                continue
            order = chase.live.get(order_id) or self._venue.order(order_id)
            if order is not None:
                chase.final[order_id] = replace(order, status=OrderStatus.CANCELLED)

    put(cancels.Canceller, "_ask", ask)


# --- the record --------------------------------------------------------------------------------------------------


@mutant
def fill_beside_the_cancel_ignored() -> None:
    def merge(held: VenueOrder, seen: VenueOrder) -> VenueOrder:
        told = merge_orders(held, seen)
        return replace(told, filled=held.filled) if told.status is OrderStatus.CANCELLED else told

    put(bookings, "merge_orders", merge)


@mutant
def duplicate_fills_counted() -> None:
    old = bookings.book_fills

    def book(log: Any, fills: Iterable[Any]) -> Any:
        told = list(fills)
        again = [replace(each, fill_id=f"{each.fill_id}-{log.state.seq}") for each in told]
        return old(log, again)

    put(store, "book_fills", book)


@mutant
def seal_leaves_out_the_payload() -> None:
    old = audit.Chain.row_hash
    put(audit.Chain, "row_hash", lambda self, **row: old(self, **{**row, "payload": ""}))


@mutant
def foreign_orders_passed_over() -> None:
    old = breaks._order_breaks
    put(breaks, "_order_breaks", lambda ours, theirs, now: [e for e in old(ours, theirs, now) if e.cls != "foreign"])


@mutant
def each_reconcile_writes() -> None:
    old = reconcile.Reconciler.run

    def run_and_tell(self: Any, **how: Any) -> Any:
        report = old(self, **how)
        self._journal.record_event(EventKind.RECONCILED, {"breaks": []})
        return report

    put(reconcile.Reconciler, "run", run_and_tell)


@mutant
def size_enlarged_on_the_wire() -> None:
    old = us_requests.create_request

    def larger(order: Any, client_id: Any) -> Any:
        step = order.product.contract_size or Decimal(1)
        return old(replace(order, size=order.size + step), client_id)

    put(us_requests, "create_request", larger)


@mutant
def price_made_more_aggressive() -> None:
    old = us_requests.create_request

    def keener(order: Any, client_id: Any) -> Any:
        step = order.product.price_step(order.limit_price)
        return old(replace(order, limit_price=order.limit_price + order.side.sign * step), client_id)

    put(us_requests, "create_request", keener)


@mutant
def outcome_never_recorded() -> None:
    def record(self: Any, intent_id: Any, outcome: Any) -> None:
        if not isinstance(outcome, Unknown):
            self._journal.record_outcome(intent_id, outcome)
        else:
            self._journal.record_outcome(intent_id, NotSent(reason="lost", evidence=outcome.evidence))

    put(sending.Sender, "_record", record)


@mutant
def late_order_not_adopted() -> None:
    put(resolver.Resolver, "look", lambda self, record: resolver.Look(outcome=None, why="not looked"))


@mutant
def spooled_exits_not_taken_in() -> None:
    put(spool.Spool, "import_into", lambda self, journal: None)


# --- the switch ----------------------------------------------------------------------------------------------------


@mutant
def gate_without_a_look() -> None:
    put(FileGate, "_look", lambda self: None)

    def enter(self: Any) -> None:
        self._held.append(self._lock())

    put(FileGate, "__enter__", enter)


@mutant
def gate_looked_at_once_only() -> None:
    old = FileGate.__enter__
    passed: set[str] = set()

    def enter(self: Any) -> None:
        if self._path in passed:
            self._held.append(self._lock_blind())
            return
        old(self)
        passed.add(self._path)

    def blind(self: Any) -> int:
        self._switch_road = True
        held: int = self._lock()
        return held

    FileGate._lock_blind = blind  # type: ignore[attr-defined]
    put(FileGate, "__enter__", enter)


@mutant
def switch_dropped_everywhere() -> None:
    gate_without_a_look()
    put(desk.OrderDesk, "_refused_at_the_door", lambda self, intent: None)
    old = fold.State.booked
    put(fold.State, "booked", lambda self, now: replace(old(self, now), halted=False))


@mutant
def engaging_leaves_no_latch() -> None:
    old = killswitch.KillSwitch.engage

    def engage(self: Any, **how: Any) -> Any:
        report = old(self, **how)
        self._latch.release(reason="mutant", by="mutant", at=self._clock.now())
        self._journal.record_halt(engaged=False, reason="mutant", by="mutant")
        return report

    put(killswitch.KillSwitch, "engage", engage)


@mutant
def released_over_a_doubt() -> None:
    put(killswitch.KillSwitch, "_refusals", lambda self, facts, reason, by, second: [])


@mutant
def run_forgets_its_doubts() -> None:
    put(supervisor.Supervisor, "_tell_doubts", lambda self: None)


# --- running them --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Caught:
    """What became of one mutant; `after` schedules it was seen, None where it never was."""

    name: str
    after: int | None
    seed: int
    by: str
    took: float


def hunt(asked: tuple[str, int, int]) -> Caught:
    """Plants one mutant in this process and runs seeds until an invariant breaks."""
    name, first, most = asked
    began = time.monotonic()
    MUTANTS[name]()
    for number, seed in enumerate(range(first, first + most), 1):
        violations = run(draw(seed)).violations
        if violations:
            return Caught(name=name, after=number, seed=seed, by=violations[0], took=time.monotonic() - began)
    return Caught(name=name, after=None, seed=first, by="", took=time.monotonic() - began)


def main(arguments: list[str] | None = None) -> int:
    """The command; exit code 1 where a mutant lived."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3000, help="schedules at most for each")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="names of mutants, with commas between")
    asked = parser.parse_args(arguments)
    names = [name for name in asked.only.split(",") if name] or sorted(
        MUTANTS, key=lambda name: name not in SLOW
    )  # the longest hunts first: no core idles at the end
    work = [(name, asked.seed, asked.seeds) for name in names]
    found: list[Caught] = []
    with multiprocessing.get_context("fork").Pool(asked.jobs, worker, maxtasksperchild=1) as pool:
        for each in pool.imap_unordered(hunt, work, chunksize=1):
            found.append(each)
            told = f"caught after {each.after} by {each.by[:90]}" if each.after is not None else "LIVED"
            print(f"{each.name}: {told} ({each.took:.0f} s)", flush=True)
        caught = [each.after for each in found if each.after is not None]
        if caught:
            print(f"median schedules to catch: {statistics.median(caught):g}, most {max(caught)}")
        print(f"{len(caught)}/{len(found)}", flush=True)
        pool.close()  # every worker has ended by itself: ending them by force was seen to hang (2026-11-22)
        pool.join()
    return 0 if len(caught) == len(found) else 1


if __name__ == "__main__":
    sys.exit(main())
