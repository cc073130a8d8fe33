"""Compares the journal with the venue and books what the evidence supports; it never invents a fill (design 9).

`compare` is pure: two sides in, differences out. `settle` writes states and fills the venue itself showed; a foreign order
is labelled, never adopted silently; a second pass finds nothing and writes nothing (I6). A failed read is never "matched".
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Final

from perpsctl.domain.accounts import PositionsRead, Transfer
from perpsctl.domain.errors import UsageError, VenueUnreachable
from perpsctl.domain.ids import FillId, IntentId, ProductId, VenueOrderId
from perpsctl.domain.numbers import exact, plain
from perpsctl.domain.orders import Fill, FillKind, VenueOrder, later_status
from perpsctl.domain.ports import Clock, Diagnostics, EventKind, Journal, Venue
from perpsctl.domain.reports import Break, BreakClass, IntentRecord, ReconcileReport
from perpsctl.domain.sameness import terms_apart
from perpsctl.domain.text import shown
from perpsctl.engine.owners import record_behind
from perpsctl.engine.reading import Reads
from perpsctl.engine.resolver import Resolver
from perpsctl.engine.tracking import FILL_OVERLAP, Tracker, owner_of
from perpsctl.engine.transfers import TransferBook

ORDERS_WINDOW: Final = timedelta(hours=24)
POSITION_LOOKS: Final = 3  # a fill between two reads explains a difference; the same one three times is real
POSITION_PAUSE: Final = timedelta(milliseconds=500)
OURS, OPERATOR, VENUE = "perpsctl", "operator", "venue"
ADOPTED: Final = "held before this journal began: taken over as an opening"


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSide:
    """What we hold to be true."""

    by_order: Mapping[VenueOrderId, IntentRecord]  # of every order the venue told of, as far as it is ours
    by_client_id: Mapping[str, IntentRecord]
    working: tuple[IntentRecord, ...]
    fill_ids: frozenset[FillId]
    coin: Mapping[ProductId, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueSide:
    """What the venue told, each part read to its end; `disowned` are orders of ours it says it does not know."""

    orders: tuple[VenueOrder, ...]
    disowned: tuple[VenueOrderId, ...]
    fills: tuple[Fill, ...]
    positions: PositionsRead


def compare(ours: JournalSide, theirs: VenueSide, now: datetime) -> tuple[Break, ...]:
    """Every difference, none of them settled yet. Pure."""
    return (
        *_order_breaks(ours, theirs, now),
        *_fill_breaks(ours, theirs),
        *_position_breaks(with_unbooked(ours, theirs.fills), theirs, now),
    )


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
    ) -> None:
        self._venue = venue
        self._journal = journal
        self._clock = clock
        self._tracker = tracker
        self._resolver = resolver
        self._diagnostics = diagnostics
        self.transfers = TransferBook(venue=venue, journal=journal)

    def run(self, *, window: timedelta = ORDERS_WINDOW) -> ReconcileReport:
        """Both sides agree, or each difference is named; what evidence supports is booked. Raises JournalUnavailable.

        A journal that never held anything takes over the positions it finds, as openings without fills, and says so.
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
            return self._report(_transfer_breaks(moved or ()), reads, None)
        ours, theirs = sides
        breaks = (*_transfer_breaks(moved or ()), *self.settle(compare(ours, theirs, self._clock.now()), theirs))
        breaks = self._look_again_at_positions(breaks, theirs, reads)
        adopted: tuple[Break, ...] = ()
        if fresh and not reads.problems:
            adopted = tuple(found for found in breaks if found.kind == "position")
            breaks = tuple(replace(f, settled=True, detail=ADOPTED) if f in adopted else f for f in breaks)
        if breaks:
            self._record(breaks, adopted)
        return self._report(breaks, reads, theirs)

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
            again = _position_breaks(
                self._journal.booked_coin(), replace(theirs, positions=positions), self._clock.now()
            )
            if not again:
                return others
        return others + again

    def _record(self, breaks: tuple[Break, ...], adopted: tuple[Break, ...]) -> None:
        """New findings are in the journal; the same unsettled ones again are not written twice (I6)."""
        told = [f"{b.kind} {b.cls.value} {b.subject}: {b.ours} / {b.theirs}" for b in breaks]
        payload: dict[str, object] = {"breaks": told}
        if adopted:
            payload["adopted"] = [{"product_id": f.subject, "coin": opening(f)} for f in adopted]
        last = self._journal.events(kind=EventKind.RECONCILED, limit=1)
        if (
            not any(found.settled for found in breaks)
            and last
            and all(json.dumps(t)[1:-1] in last[0].payload for t in told)
        ):
            return
        self._journal.record_event(EventKind.RECONCILED, payload)  # step: reconciled
        for found in breaks:
            if found.cls in (BreakClass.FOREIGN, BreakClass.UNKNOWN):
                self._diagnostics.alarm("reconcile_break", kind=found.kind, cls=found.cls.value, subject=found.subject)

    def _report(self, breaks: tuple[Break, ...], reads: Reads, theirs: VenueSide | None) -> ReconcileReport:
        return ReconcileReport(
            at=self._clock.now(),
            breaks=breaks,
            unread=reads.notes,
            orders_compared=0 if theirs is None else len(theirs.orders),
            fills_compared=0 if theirs is None else len(theirs.fills),
            positions_compared=0 if theirs is None else len(theirs.positions.positions),
        )


# --- differences, pure -----------------------------------------------------------------------------------


def _order_breaks(ours: JournalSide, theirs: VenueSide, now: datetime) -> list[Break]:
    found = []
    for order in theirs.orders:
        record = ours.by_order.get(order.venue_order_id)
        if record is None:
            found.append(_unknown_order(ours, order, now))
        elif _moved(record, order):
            found.append(_state_break(record, order, now))
    for order_id in theirs.disowned:
        found.append(
            _break("order", BreakClass.UNKNOWN, str(order_id), "working", "the venue knows no such order", VENUE, now)
        )
    return found


def _unknown_order(ours: JournalSide, order: VenueOrder, now: datetime) -> Break:
    subject, since, theirs = str(order.venue_order_id), order.created or now, _order_text(order)
    record = None if order.client_order_id is None else ours.by_client_id.get(str(order.client_order_id))
    if record is None:
        cls, text = BreakClass.FOREIGN, f"placed by {shown(order.placement_source) or 'somebody else'}"
        return _break("order", cls, subject, "not in the journal", theirs, OPERATOR, since, text)
    differs = ", ".join(terms_apart(order, record))
    if differs:
        return _break(
            "order", BreakClass.UNKNOWN, subject, f"intent {record.intent.id}", theirs, OPERATOR, since, differs
        )
    return _break(
        "order", BreakClass.MISSED, subject, record.stage.value, theirs, OURS, since, f"intent {record.intent.id}"
    )


def _moved(record: IntentRecord, order: VenueOrder) -> bool:
    held = record.order
    if held is None or held.venue_order_id == order.succeeds:
        return True
    return later_status(held.status, order.status) is not held.status or order.filled > held.filled


def _state_break(record: IntentRecord, order: VenueOrder, now: datetime) -> Break:
    ours = record.stage.value if record.order is None else _order_text(record.order)
    cls = BreakClass.MISSED if order.status.final or order.filled > 0 else BreakClass.TIMING
    return _break(
        "order", cls, str(order.venue_order_id), ours, _order_text(order), OURS, order.created or now,
        f"intent {record.intent.id}",
    )  # fmt: skip


def _fill_breaks(ours: JournalSide, theirs: VenueSide) -> list[Break]:
    found = []
    for fill in theirs.fills:
        if fill.fill_id in ours.fill_ids:
            continue
        mine = fill.venue_order_id in ours.by_order
        cls, owner = (BreakClass.MISSED, OURS) if mine else (BreakClass.FOREIGN, OPERATOR)
        told = f"{fill.side.value} {plain(fill.size)} at {plain(fill.price)}"
        found.append(
            _break("fill", cls, str(fill.fill_id), "not booked", told, owner, fill.time, f"order {fill.venue_order_id}")
        )
    return found


def _position_breaks(coin: Mapping[ProductId, Decimal], theirs: VenueSide, now: datetime) -> tuple[Break, ...]:
    held = {position.product_id for position in theirs.positions.positions}
    liquidated = {order.product_id for order in theirs.orders if order.is_liquidation}
    found = []
    for product_id in sorted(held | set(coin)):
        mine, told = coin.get(product_id, Decimal(0)), theirs.positions.coin(product_id)
        if mine == told:
            continue
        cls = BreakClass.FOREIGN if product_id in liquidated else BreakClass.UNKNOWN
        found.append(
            _break(
                "position", cls, str(product_id), plain(mine), plain(told), OPERATOR, now, "fills do not add up to it"
            )
        )
    return tuple(found)


def _transfer_breaks(moved: Iterable[Transfer]) -> tuple[Break, ...]:
    """Money that moved without a trade, named once: it is booked already."""
    return tuple(
        replace(
            _break(
                "transfer", BreakClass.MISSED, each.id, "not booked", f"{shown(each.kind)} {plain(each.amount)}",
                OPERATOR, each.at,
            ),
            settled=True,
        )
        for each in moved
    )  # fmt: skip


def with_unbooked(ours: JournalSide, fills: Iterable[Fill]) -> dict[ProductId, Decimal]:
    """What our position would be with every fill the venue told of: a missed fill is one break, not two."""
    coin = dict(ours.coin)
    for fill in fills:
        if fill.fill_id not in ours.fill_ids:
            coin[fill.product_id] = coin.get(fill.product_id, Decimal(0)) + signed_coin(fill)
    return coin


def opening(found: Break) -> str:
    """The coin a position break would take over: theirs less ours, as plain text."""
    return plain(exact(found.theirs) - exact(found.ours))


def signed_coin(fill: Fill) -> Decimal:
    """What a row of the fill list did to the position; a reversal takes back (E14)."""
    sign = -fill.side.sign if fill.kind is FillKind.REVERSAL else fill.side.sign
    return sign * fill.size


def _order_text(order: VenueOrder) -> str:
    size = "?" if order.size is None else plain(order.size)
    return f"{order.status.value} {order.side.value} {plain(order.filled)}/{size} {shown(order.product_id)}"


def _break(
    kind: str, cls: BreakClass, subject: str, ours: str, theirs: str, owner: str, since: datetime, detail: str = ""
) -> Break:
    return Break(
        kind=kind, cls=cls, subject=shown(subject), ours=ours, theirs=theirs, owner=owner, since=since,
        settled=False, detail=detail,
    )  # fmt: skip
