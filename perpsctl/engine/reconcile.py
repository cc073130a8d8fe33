"""Compares the journal with the venue and books what the evidence supports; it never invents a fill (design 9).

`compare` (breaks) is pure: two sides in, differences out. `settle` writes states and fills the venue itself showed; a
foreign order is labelled, never adopted silently; a second pass finds nothing and writes nothing (I6). A failed read is
never "matched".
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Final

from perpsctl.domain.cash import CashLedger
from perpsctl.domain.errors import UsageError, VenueUnreachable
from perpsctl.domain.ids import IntentId, ProductId, VenueOrderId
from perpsctl.domain.numbers import plain
from perpsctl.domain.orders import VenueOrder
from perpsctl.domain.ports import Clock, Diagnostics, EventKind, Journal, Venue
from perpsctl.domain.reports import Break, BreakClass, IntentRecord, ReconcileReport
from perpsctl.domain.text import shown
from perpsctl.engine.breaks import (
    JournalSide,
    VenueSide,
    compare,
    opening,
    position_breaks,
    standing_since,
    transfer_breaks,
)
from perpsctl.engine.cash import CashBooks
from perpsctl.engine.owners import record_behind
from perpsctl.engine.reading import Reads
from perpsctl.engine.resolver import Resolver
from perpsctl.engine.tracking import FILL_OVERLAP, Tracker, owner_of
from perpsctl.engine.transfers import TransferBook

ORDERS_WINDOW: Final = timedelta(hours=24)
POSITION_LOOKS: Final = 3  # a fill between two reads explains a difference; the same one three times is real
POSITION_PAUSE: Final = timedelta(milliseconds=500)
ADOPTED: Final = "held before this journal began: taken over as an opening"


class Reconciler:
    """Reads both sides, compares them and books what is proven."""

    def __init__(
        self,
        *,
        venue: Venue,
        journal: Journal,
        clock: Clock,
        tracker: Tracker,
        resolver: Resolver,
        diagnostics: Diagnostics,
        cash: CashBooks,
    ) -> None:
        self._venue = venue
        self._journal = journal
        self._clock = clock
        self._tracker = tracker
        self._resolver = resolver
        self._diagnostics = diagnostics
        self.transfers = TransferBook(venue=venue, journal=journal)
        self.cash = cash

    def run(self, *, window: timedelta = ORDERS_WINDOW, ledger: bool = False) -> ReconcileReport:
        """Both sides agree, or each difference is named; what evidence supports is booked. Raises JournalUnavailable.

        With `ledger` the balance is explained too, when all else could be read. A journal that never held anything takes
        over the positions it finds, as openings without fills, and says so.
        """
        reads = Reads()
        fresh = self._never_used()
        for record in self._journal.in_doubt():  # first: what is found becomes an ordinary order of ours
            look = self._resolver.look(record)
            if look.failed:
                reads.note(f"intent {record.intent.id}", VenueUnreachable(look.why))
        moved = reads.attempt("transfers", self.transfers.update)
        sides = self._sides(window, reads)
        if sides is None:
            if ledger:
                reads.note("ledger", VenueUnreachable("not looked at: orders, fills and positions come first"))
            return self._report(transfer_breaks(moved or ()), reads, None)
        ours, theirs = sides
        breaks = (*transfer_breaks(moved or ()), *self.settle(compare(ours, theirs, self._clock.now()), theirs))
        breaks = self._look_again_at_positions(breaks, theirs, reads)
        adopted: tuple[Break, ...] = ()
        if fresh and not reads.problems:
            adopted = tuple(found for found in breaks if found.kind == "position")
            breaks = tuple(
                replace(f, settled=True, detail=ADOPTED, next_step="none: it counts as ours from here on")
                if f in adopted
                else f
                for f in breaks
            )
        told: CashLedger | None = None
        if ledger:
            told, more = self.cash.look(reads, theirs.orders)
            breaks = (*breaks, *more)
        breaks = standing_since(breaks, self._last_event())
        if breaks:
            self._record(breaks, adopted)
        return self._report(breaks, reads, theirs, told)

    def adopt_position(self, product_id: ProductId, *, by: str, reason: str) -> Decimal:
        """The venue's position is taken over by a named decision where fills cannot explain it; answers the coin adopted.

        UsageError without a name and a reason, or when nothing differs; venue errors when it cannot be read.
        """
        if not by.strip() or not reason.strip():
            raise UsageError("a decision needs a name and a reason", fix="give --by and --reason")
        self._journal.record_fills(self._venue.fills(since=self._fills_from()))
        told = self._venue.positions().coin(product_id)
        coin = told - self._journal.booked_coin().get(product_id, Decimal(0))
        if coin == 0:
            raise UsageError("the position agrees with the journal: nothing to adopt")
        payload = {
            "adopted": [{"product_id": str(product_id), "coin": plain(coin)}],
            "by": shown(by),
            "reason": shown(reason),
        }
        self._journal.record_event(EventKind.OPERATOR_DECISION, payload)  # step: adopt_position
        return coin

    def accept_cash(self, *, by: str, reason: str) -> Decimal:
        """What the ledger cannot explain is accepted by a named decision; answers how much it was.

        UsageError without a name and a reason, or when all is explained; venue errors when it cannot be read. Every fill the
        venue tells is booked first.
        """
        self._journal.record_fills(self._venue.fills(since=self._fills_from()))
        return self.cash.accept(by=by, reason=reason)

    def _never_used(self) -> bool:
        return (
            not self._journal.fills(limit=1)
            and not self._journal.intents(limit=1)
            and not self._journal.events(kind=EventKind.RECONCILED, limit=1)
            and not self._journal.booked_coin()
        )

    # --- reading both sides --------------------------------------------------------------------------------

    def _sides(self, window: timedelta, reads: Reads) -> tuple[JournalSide, VenueSide] | None:
        now = self._clock.now()
        live = reads.attempt("live orders", self._venue.live_orders)
        recent = reads.attempt("orders", lambda: self._venue.orders_since(now - window))
        working = self._journal.working()
        orders = {} if recent is None else {order.venue_order_id: order for order in recent.orders}
        orders.update({} if live is None else {order.venue_order_id: order for order in live.orders})
        disowned = self._ask_for_missing(working, orders, reads)
        fills = reads.attempt("fills", lambda: self._venue.fills(since=self._fills_from()))
        positions = reads.attempt("positions", self._venue.positions)
        if live is None or recent is None or fills is None or positions is None:
            return None
        theirs = VenueSide(orders=tuple(orders.values()), disowned=disowned, fills=tuple(fills), positions=positions)
        return self._our_side(working, theirs), theirs

    def _ask_for_missing(
        self, working: Sequence[IntentRecord], orders: dict[VenueOrderId, VenueOrder], reads: Reads
    ) -> tuple[VenueOrderId, ...]:
        disowned = []
        became = {order.succeeds for order in orders.values()}
        for record in working:
            order_id = record.venue_order_id
            if order_id is None or order_id in orders or order_id in became:
                continue
            before = len(reads.problems)
            order = reads.attempt(f"order {order_id}", partial(self._venue.order, order_id))
            if order is not None:
                orders[order.venue_order_id] = order
            elif len(reads.problems) == before:
                disowned.append(order_id)
        return tuple(disowned)

    def _fills_from(self) -> datetime:
        """From the newest booked fill, with an overlap; with none booked, from our first intent or a day ago."""
        newest = self._journal.fills(limit=1)
        if newest:
            return newest[0].time - FILL_OVERLAP
        intents = self._journal.intents()
        first = intents[-1].committed_at if intents else self._clock.now()
        return min(first, self._clock.now() - ORDERS_WINDOW) - FILL_OVERLAP

    def _our_side(self, working: tuple[IntentRecord, ...], theirs: VenueSide) -> JournalSide:
        by_order, by_client = {}, {}
        wanted = {o.venue_order_id for o in theirs.orders} | {f.venue_order_id for f in theirs.fills}
        before = {order.venue_order_id: order.succeeds for order in theirs.orders}
        for order_id in wanted:
            record = record_behind(self._journal, order_id, before.get(order_id))
            if record is not None:
                by_order[order_id] = record
        for order in theirs.orders:
            if order.client_order_id is not None and order.venue_order_id not in by_order:
                record = self._journal.intent(IntentId(order.client_order_id))
                if record is not None:
                    by_client[str(order.client_order_id)] = record
        since = min((f.time for f in theirs.fills), default=self._clock.now()) - FILL_OVERLAP
        booked = self._journal.fills(since=since)
        return JournalSide(
            by_order=by_order,
            by_client_id=by_client,
            working=working,
            fill_ids=frozenset(fill.fill_id for fill in booked),
            coin=self._journal.booked_coin(),
        )

    # --- settling --------------------------------------------------------------------------------------------

    def settle(self, breaks: Iterable[Break], theirs: VenueSide) -> tuple[Break, ...]:
        """The breaks that stay, each marked settled when the venue's own evidence is now booked."""
        orders = {str(order.venue_order_id): order for order in theirs.orders}
        booked = {str(fill.fill_id) for fill in self._journal.record_fills(theirs.fills)}  # step: reconcile_fills
        kept = []
        for found in breaks:
            if found.kind == "fill":
                kept.append(replace(found, settled=found.subject in booked))
            elif found.kind == "order" and found.subject in orders:
                settled = self._settle_order(found, orders[found.subject])
                if settled is not None:
                    kept.append(settled)
            else:
                kept.append(found)
        return tuple(kept)

    def _settle_order(self, found: Break, order: VenueOrder) -> Break | None:
        """None: the journal holds it already, as a foreign order known before."""
        owner = record_behind(self._journal, order.venue_order_id, order.succeeds)
        if owner is not None:
            self._tracker.book_order(order, owner_of(owner))  # step: reconcile_order
            return replace(found, settled=True)
        by_client = None if order.client_order_id is None else self._journal.intent(IntentId(order.client_order_id))
        if by_client is None:
            if not self._journal.record_order(order, None):  # step: reconcile_foreign
                return None
            return replace(found, settled=True)
        if found.cls is BreakClass.UNKNOWN:  # under our id with other terms (H10): shown, never adopted
            return found
        if by_client.stage.in_doubt:
            look = self._resolver.look(by_client)
            return replace(found, settled=look.outcome is not None, detail=look.why)
        self._resolver.adopt_late(by_client, order)
        return replace(found, settled=True)

    def _look_again_at_positions(self, breaks: tuple[Break, ...], theirs: VenueSide, reads: Reads) -> tuple[Break, ...]:
        """A position break stays only when it is still there after the fills in between were read too."""
        if not any(found.kind == "position" for found in breaks):
            return breaks
        others = tuple(found for found in breaks if found.kind != "position")
        again: tuple[Break, ...] = ()
        for turn in range(POSITION_LOOKS):
            if turn:
                self._clock.sleep(POSITION_PAUSE)
            fills = reads.attempt("fills", lambda: self._venue.fills(since=self._fills_from()))
            positions = reads.attempt("positions", self._venue.positions)
            if fills is None or positions is None:
                return breaks
            self._journal.record_fills(fills)
            again = position_breaks(
                self._journal.booked_coin(), replace(theirs, positions=positions), self._clock.now()
            )
            if not again:
                return others
        return others + again

    def _last_event(self) -> tuple[datetime, str] | None:
        last = self._journal.events(kind=EventKind.RECONCILED, limit=1)
        return (last[0].at, last[0].payload) if last else None

    def _record(self, breaks: tuple[Break, ...], adopted: tuple[Break, ...]) -> None:
        """New findings are in the journal; the same unsettled ones again are not written twice (I6).

        With each stands since when, so that a later process tells the same age.
        """
        told = [f"{b.kind} {b.cls.value} {b.subject}: {b.ours} / {b.theirs}" for b in breaks]
        payload: dict[str, object] = {
            "breaks": told,
            "since": {b.key: b.since.isoformat() for b in breaks if not b.settled},
        }
        if adopted:
            payload["adopted"] = [{"product_id": f.subject, "coin": opening(f)} for f in adopted]
        last = self._last_event()
        if (
            not any(found.settled for found in breaks)
            and last is not None
            and all(json.dumps(t)[1:-1] in last[1] for t in told)
        ):
            return
        self._journal.record_event(EventKind.RECONCILED, payload)  # step: reconciled
        for found in breaks:
            if found.cls not in (BreakClass.TIMING, BreakClass.MISSED):
                self._diagnostics.alarm("reconcile_break", kind=found.kind, cls=found.cls.value, subject=found.subject)

    def _report(
        self, breaks: tuple[Break, ...], reads: Reads, theirs: VenueSide | None, ledger: CashLedger | None = None
    ) -> ReconcileReport:
        return ReconcileReport(
            at=self._clock.now(),
            breaks=breaks,
            unread=reads.notes,
            orders_compared=0 if theirs is None else len(theirs.orders),
            fills_compared=0 if theirs is None else len(theirs.fills),
            positions_compared=0 if theirs is None else len(theirs.positions.positions),
            ledger=ledger,
        )
