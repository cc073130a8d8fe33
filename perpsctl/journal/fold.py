"""The state an account's rows add up to: what may still fill, what is in doubt, what was sent, what was lost, what is halted.

`State.apply` is the only way it changes, and depends on the row alone: a replay from the first row gives the same state
bit for bit (J3). Intents that ended leave memory after a few minutes; the rows keep them. Halts bind the whole profile,
so those of other accounts of the same journal count too.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from perpsctl.domain.accounts import Booked, LiveOrder, RecentIntent, TradingState
from perpsctl.domain.errors import InvariantBroken
from perpsctl.domain.ids import AccountKey, ClientOrderId, IntentId, ProductId, VenueOrderId
from perpsctl.domain.numbers import NO_SIZE, NotANumber, Notional, Size, exact
from perpsctl.domain.orders import Accepted, EditIntent, OrderIntent, OrderStatus, OrderType, TimeInForce, VenueOrder
from perpsctl.domain.ports import EventKind
from perpsctl.domain.reports import ExitPending
from perpsctl.journal.audit import Row, corrupt
from perpsctl.journal.codec import Json, Unreadable, loads, moment, parse
from perpsctl.journal.entries import (
    EditTerms,
    FillEntry,
    HaltEntry,
    IntentEntry,
    Kind,
    MarkEntry,
    OrderEntry,
    OrderTerms,
    OutcomeEntry,
    Ruling,
    StateEntry,
    Tracked,
    after_order,
    after_outcome,
    begun,
    edit_after_order,
    ended_empty,
    merge_orders,
    one_shot,
    order_ids,
    ruling,
    unfilled,
)
from perpsctl.journal.ledger import Happened, Ledger, flow_of

ENDED_KEPT = timedelta(minutes=5)  # what the views below need, and slack for a clock that steps
RECENT = timedelta(minutes=2)  # the duplicate guard looks back 30 s
MINUTE = timedelta(minutes=1)
SENT_KEPT = timedelta(minutes=10)


@dataclass(slots=True, kw_only=True)
class Halted:
    """The kill switch as the journal knows it."""

    engaged: bool = False
    reason: str = ""
    by: str = ""
    since: datetime | None = None
    loss_breach: bool = False


class State:
    """What the rows up to `seq` say about one account."""

    def __init__(self, account: AccountKey, *, seq: int, head: str) -> None:
        self.account = account
        self.seq = seq
        self.head = head
        self.tracked: dict[IntentId, Tracked] = {}
        self.owner: dict[VenueOrderId, IntentId] = {}
        self.ended: deque[tuple[datetime, IntentId]] = deque()
        self.others: dict[VenueOrderId, VenueOrder] = {}  # live orders beside our intents': foreign, or a second one
        self.sent: deque[datetime] = deque()
        self.sent_by_day: dict[str, int] = {}
        self.ledger = Ledger()
        self.openings: dict[ProductId, Decimal] = {}
        self.halted = Halted()
        self.states: dict[ProductId, tuple[TradingState, str]] = {}
        self.exits: dict[ProductId, ExitPending] = {}

    # --- folding ------------------------------------------------------------------------------------

    def apply(self, row: Row) -> None:
        """Take one more row, the next in order; JournalCorrupt when it cannot be understood."""
        if row.seq != self.seq + 1:
            raise InvariantBroken(f"row {row.seq} was folded after row {self.seq}")
        try:
            self._take(row)
        except (Unreadable, NotANumber) as trouble:
            raise corrupt(row.seq, f"a {row.kind} row cannot be understood ({trouble})") from None
        self.seq, self.head = row.seq, row.hash

    def _take(self, row: Row) -> None:
        if row.kind == Kind.HALT:
            self._halt(loads(HaltEntry, row.payload), row.when)
        if row.account != self.account:
            return
        match row.kind:
            case Kind.INTENT | Kind.EDIT:
                self._decided(loads(IntentEntry, row.payload), row.when)
            case Kind.OUTCOME:
                self._outcome(row, loads(OutcomeEntry, row.payload))
            case Kind.ORDER:
                self._order(row, loads(OrderEntry, row.payload).order)
            case Kind.FILL:
                self.ledger.book(flow_of(loads(FillEntry, row.payload).fill), booked_at=row.when)
            case Kind.MARK:
                self.ledger.mark(loads(MarkEntry, row.payload).mark)
            case Kind.HALT | Kind.LEASE:
                pass
            case EventKind.STATE_CHANGED:
                state = loads(StateEntry, row.payload)
                self.states[state.product_id] = (state.state, state.reason)
            case EventKind.EXIT_PENDING:
                pending = exit_pending(parse(row.payload))
                self.exits[pending.product_id] = pending
            case EventKind.EXIT_SETTLED:
                self.exits.pop(ProductId(text_of(parse(row.payload), "product_id")), None)
            case EventKind.TRANSFER:
                self.ledger.book(transfer(parse(row.payload), row.when), booked_at=row.when)
            case EventKind.RECONCILED | EventKind.OPERATOR_DECISION:
                for product_id, coin in adopted_openings(parse(row.payload)):
                    self.openings[product_id] = self.openings.get(product_id, Decimal(0)) + coin
            case _:
                _require_known(row.kind)
        self._forget(row.when)

    def _decided(self, entry: IntentEntry, at: datetime) -> None:
        held = begun(entry, at)
        self.tracked[entry.intent.id] = held
        if entry.denied is not None:
            self._note_end(entry.intent.id, at)
            return
        self.sent.append(at)
        day = at.date().isoformat()
        self.sent_by_day[day] = self.sent_by_day.get(day, 0) + 1

    def _outcome(self, row: Row, entry: OutcomeEntry) -> None:
        intent_id = IntentId(row.intent_id or "")
        held = self.tracked.get(intent_id) or entry.adopted
        if held is None:
            return  # it ended long ago: the rows hold it, nothing here counts it
        rules = ruling(held, entry.outcome)
        if rules is Ruling.SECOND_ORDER and isinstance(entry.outcome, Accepted):
            second = entry.outcome.order or _unseen(held, entry.outcome.venue_order_id, row.when)
            self.others[second.venue_order_id] = second
            ids = (*held.record.venue_ids, second.venue_order_id)
            self._put(replace(held, record=replace(held.record, venue_ids=ids)), row.when)
            return
        self._put(after_outcome(held, entry.outcome, row.when), row.when)

    def _order(self, row: Row, order: VenueOrder) -> None:
        names = (order.venue_order_id, order.succeeds)
        for each in [each for each in self.tracked.values() if each.is_edit]:
            if isinstance(each.record.intent, EditIntent) and each.record.intent.venue_order_id in names:
                self._put(edit_after_order(each, order), row.when)
        other = self.others.get(order.venue_order_id)
        held = self.tracked.get(IntentId(row.intent_id)) if row.intent_id is not None else None
        if other is not None or row.intent_id is None:
            merged = order if other is None else merge_orders(other, order)
            if merged.status.final:
                self.others.pop(order.venue_order_id, None)
            else:
                self.others[order.venue_order_id] = merged
        elif held is not None:
            self._put(after_order(held, order), row.when)

    def _put(self, held: Tracked, at: datetime) -> None:
        intent_id = held.record.intent.id
        before = self.tracked.get(intent_id)
        self.tracked[intent_id] = held
        for venue_order_id in order_ids(held):
            self.owner[venue_order_id] = intent_id
        if held.record.stage.final and (before is None or not before.record.stage.final):
            self._note_end(intent_id, at)

    def _note_end(self, intent_id: IntentId, at: datetime) -> None:
        self.ended.append((at, intent_id))

    def _halt(self, entry: HaltEntry, at: datetime) -> None:
        held = self.halted
        if not entry.engaged:
            self.halted = Halted(engaged=False, reason=entry.reason, by=entry.by, since=at)
        elif held.engaged:
            held.loss_breach = held.loss_breach or entry.loss_breach  # the first reason stands
        else:
            self.halted = Halted(
                engaged=True, reason=entry.reason, by=entry.by, since=at, loss_breach=entry.loss_breach
            )

    def _forget(self, now: datetime) -> None:
        """What no view needs any more leaves memory. Only rows move this, so a replay forgets the same."""
        while self.ended and self.ended[0][0] < now - ENDED_KEPT:
            _, intent_id = self.ended.popleft()
            held = self.tracked.get(intent_id)
            if held is not None and held.record.stage.final and not self._ended_again(intent_id):
                del self.tracked[intent_id]
                for venue_order_id in order_ids(held):
                    self.owner.pop(venue_order_id, None)
        while self.sent and self.sent[0] < now - SENT_KEPT:
            self.sent.popleft()
        if len(self.sent_by_day) > 3:
            for day in sorted(self.sent_by_day)[:-3]:
                del self.sent_by_day[day]

    def _ended_again(self, intent_id: IntentId) -> bool:
        return any(each == intent_id for _, each in self.ended)

    # --- views --------------------------------------------------------------------------------------

    def booked(self, now: datetime) -> Booked:
        """Everything judgement needs of the journal, at `now`."""
        midnight = now.date().isoformat()
        return Booked(
            as_of=now,
            live=tuple(self._live()),
            in_doubt=tuple(held.record.intent.id for held in self.tracked.values() if held.record.stage.in_doubt),
            recent=tuple(self._recent(now)),
            sent_last_minute=sum(at > now - MINUTE for at in self.sent),
            sent_today=sum(sent for day, sent in self.sent_by_day.items() if day >= midnight),
            loss_bases=self.ledger.bases(now),
            halted=self.halted.engaged,
            states={product_id: state for product_id, (state, _) in self.states.items()},
        )

    def coin(self) -> dict[ProductId, Decimal]:
        """Signed coin by product: booked fills and adopted openings."""
        coins = dict(self.openings)
        for product_id, (coin, _) in self.ledger.sums.items():
            coins[product_id] = coins.get(product_id, Decimal(0)) + coin
        return coins

    def open_records(self) -> Iterable[Tracked]:
        """Intents that have not ended, oldest first."""
        return (held for held in self.tracked.values() if not held.record.stage.final)

    def _live(self) -> Iterable[LiveOrder]:
        for held in self.tracked.values():
            if held.record.stage.final:
                continue
            if held.is_edit:
                yield from self._edit_at_worst(held)
            else:
                yield _order_at_worst(held)
        for order in self.others.values():
            yield LiveOrder(
                intent_id=self.owner.get(order.venue_order_id),
                client_order_id=order.client_order_id,
                venue_order_id=order.venue_order_id,
                product_id=order.product_id,
                side=order.side,
                remaining=order.remaining,
                price=order.limit_price,
                in_doubt=False,
                one_shot=order.tif in (TimeInForce.IOC, TimeInForce.FOK),
                reduce_only=False,
            )

    def _edit_at_worst(self, held: Tracked) -> Iterable[LiveOrder]:
        """The order an unsettled edit may make of its target: its whole new size at the new price.

        It carries its target's venue order id: whoever merges by id counts the larger of the two, which is max(old, new)
        (E24). A difference alone would be lost there beside the order it belongs to.
        """
        terms, intent = held.terms, held.record.intent
        if not isinstance(terms, EditTerms) or not isinstance(intent, EditIntent):
            return
        target = self.tracked.get(intent.target)
        if target is None or target.record.stage.final:
            return  # an order that is over cannot be edited back to life
        filled = target.record.order.filled if target.record.order is not None else terms.filled
        yield LiveOrder(
            intent_id=intent.id,
            client_order_id=None,
            venue_order_id=intent.venue_order_id,
            product_id=terms.product_id,
            side=terms.side,
            remaining=Size(max(terms.new_size - filled, Decimal(0))),
            price=terms.new_price,
            in_doubt=held.record.stage.in_doubt,
            one_shot=False,
            reduce_only=terms.reduce_only,
        )

    def _recent(self, now: datetime) -> Iterable[RecentIntent]:
        for held in self.tracked.values():
            intent, terms, record = held.record.intent, held.terms, held.record
            if not isinstance(intent, OrderIntent) or not isinstance(terms, OrderTerms):
                continue
            if record.committed_at < now - RECENT:
                continue
            yield RecentIntent(
                intent_id=intent.id,
                product_id=intent.product_id,
                side=intent.side,
                size=terms.size,
                price=terms.limit_price,
                reason=intent.reason,
                at=record.committed_at,
                ended_empty=ended_empty(record),
            )


def _order_at_worst(held: Tracked) -> LiveOrder:
    intent, terms, order = held.record.intent, held.terms, held.record.order
    if not isinstance(intent, OrderIntent):
        raise InvariantBroken("an edit was counted as an order")
    price = terms.limit_price if isinstance(terms, OrderTerms) else intent.limit_price
    if order is not None and order.limit_price is not None:
        price = order.limit_price
    return LiveOrder(
        intent_id=intent.id,
        client_order_id=terms.client_order_id if isinstance(terms, OrderTerms) else None,
        venue_order_id=held.record.venue_order_id,
        product_id=intent.product_id,
        side=intent.side,
        remaining=unfilled(held),
        price=price,
        in_doubt=held.record.stage.in_doubt,
        one_shot=one_shot(held),
        reduce_only=intent.reduce_only,
    )


def _unseen(held: Tracked, venue_order_id: VenueOrderId, at: datetime) -> VenueOrder:
    """An order nobody has read yet, at the size it was sent with."""
    intent = held.record.intent
    if not isinstance(intent, OrderIntent):
        raise Unreadable("a second order of an edit")
    return VenueOrder(
        venue_order_id=venue_order_id,
        client_order_id=ClientOrderId(intent.id),
        product_id=intent.product_id,
        side=intent.side,
        size=held.record.sent_size,
        filled=NO_SIZE,
        status=OrderStatus.UNRECOGNISED,
        raw_status="",
        type=OrderType.UNRECOGNISED,
        raw_type="",
        tif=intent.tif,
        limit_price=intent.limit_price,
        stop_price=intent.stop_price,
        post_only=None,
        average_price=None,
        fees=None,
        created=None,
        expires=None,
        placement_source="",
        reason="",
        is_liquidation=False,
        read_at=at,
    )


def _require_known(kind: str) -> None:
    """A kind this version does not know may mean anything, so it is not skipped."""
    try:
        EventKind(kind)
    except ValueError:
        raise Unreadable("unknown kind") from None


# --- payloads of EventKind rows that views depend on --------------------------------------------------


def text_of(payload: dict[str, Json], key: str) -> str:
    """A text that must be there; Unreadable otherwise."""
    value = payload.get(key)
    if not isinstance(value, str):
        raise Unreadable(f"no {key}")
    return value


def transfer(payload: dict[str, Json], booked_at: datetime) -> Happened:
    """A deposit (above zero) or withdrawal: `amount`, and `at` where it is known."""
    told = payload.get("at")
    at = booked_at if told is None else moment(told)
    return Happened(at=at, product_id=None, coin=Decimal(0), cash=Notional(exact(text_of(payload, "amount"))))


def exit_pending(payload: dict[str, Json]) -> ExitPending:
    """A reduction the venue would not take yet: `product_id`, `size`, `reason`, `retry_at` or null, `part` where it is one."""
    retry_at = payload.get("retry_at")
    return ExitPending(
        product_id=ProductId(text_of(payload, "product_id")),
        size=Size(exact(text_of(payload, "size"))),
        reason=text_of(payload, "reason"),
        retry_at=None if retry_at is None else moment(retry_at),
        part=payload.get("part") is True,
    )


def adopted_openings(payload: dict[str, Json]) -> tuple[tuple[ProductId, Decimal], ...]:
    """Coin that is taken over without fills of its own: `adopted`, a list of `{product_id, coin}`; usually absent."""
    adopted = payload.get("adopted")
    if adopted is None:
        return ()
    if not isinstance(adopted, list):
        raise Unreadable("adopted is not a list")
    found = []
    for each in adopted:
        if not isinstance(each, dict):
            raise Unreadable("adopted holds something else")
        found.append((ProductId(text_of(each, "product_id")), exact(text_of(each, "coin"))))
    return tuple(found)
