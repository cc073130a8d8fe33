"""Cancels: the venue first, the record after. An acknowledged cancel is not a cancelled order (I8).

A broken journal is reported and stops nothing (R3). An order is gone only by the venue's own final word on it; one that
merely left a listing is asked for by id, many at once in the list of every state, and what cannot be read stays unproven.
A mass cancel is asked for where the venue has one and everything is to go; its answer is a hint, the lists are the truth.
Nothing is asked after the time that was given (L2): what is not proven by then is named.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from perpsctl.domain.accounts import OrdersRead
from perpsctl.domain.errors import InvariantBroken, JournalUnavailable, PerpsctlError, RateLimited
from perpsctl.domain.ids import IntentId, ProductId, VenueOrderId
from perpsctl.domain.orders import CancelResult, OrderIntent, VenueOrder
from perpsctl.domain.ports import Clock, Diagnostics, EventKind, Journal, Venue
from perpsctl.domain.reports import CancelReport, IntentRecord
from perpsctl.domain.text import shown
from perpsctl.engine.allowance import Allowance
from perpsctl.engine.owners import record_behind
from perpsctl.engine.reading import VENUE_ERRORS, Reads
from perpsctl.engine.tracking import Tracker, owner_of

DEFAULT_WAIT: Final = timedelta(seconds=10)
PATIENCE: Final = timedelta(seconds=60)  # in all, while the venue answers with its rate limit
FIRST_PAUSE: Final = timedelta(milliseconds=100)
LONGEST_PAUSE: Final = timedelta(seconds=1)
REPEAT_CANCEL_AFTER: Final = 4  # looks at an order still live before it is asked to go again (E11)
MANY: Final = 10  # orders to ask for one by one; the ends of more are sought in a list first
LISTED_FOR: Final = timedelta(hours=24)  # of older orders that list would be too long


@dataclass(slots=True)
class _Chase:
    """Orders on their way out: what was asked, what is proven, what went wrong."""

    time: Allowance
    requested: dict[VenueOrderId, None] = field(default_factory=dict)
    final: dict[VenueOrderId, VenueOrder] = field(default_factory=dict)
    live: dict[VenueOrderId, VenueOrder] = field(default_factory=dict)
    answers: dict[VenueOrderId, CancelResult] = field(default_factory=dict)
    swept: set[VenueOrderId] = field(default_factory=set)  # live when a mass cancel was answered
    problems: dict[str, None] = field(default_factory=dict)

    @property
    def open(self) -> tuple[VenueOrderId, ...]:
        return tuple(order_id for order_id in self.requested if order_id not in self.final)

    def failed(self, what: str, error: PerpsctlError) -> None:
        self.problems[f"{what}: {error.message}"] = None
        if isinstance(error, RateLimited):
            self.time.rate_limited()


class Canceller:
    """Cancels orders of the portfolio and proves that they are gone."""

    def __init__(
        self, *, venue: Venue, journal: Journal, clock: Clock, tracker: Tracker, diagnostics: Diagnostics
    ) -> None:
        self._venue = venue
        self._journal = journal
        self._clock = clock
        self._tracker = tracker
        self._diagnostics = diagnostics

    def cancel(self, ids: Sequence[str], *, wait: timedelta = DEFAULT_WAIT) -> CancelReport:
        """Each id, an intent's or the venue's, is proven gone or named as live or unproven when `wait` is over."""
        chase = _Chase(time=Allowance(self._clock, wait))
        unknown = [each for each in ids if not self._target(each, chase)]
        self._drop_strangers(chase)
        if chase.requested:
            with self._in_time(chase):
                self._ask(chase, chase.open)
            self._follow(chase)
        self._book(chase)
        return _report(chase, missing=len(unknown))

    def cancel_all(
        self,
        product_id: ProductId | None = None,
        *,
        wait: timedelta = DEFAULT_WAIT,
        patience: timedelta | None = None,
        only: Callable[[VenueOrder], bool] | None = None,
    ) -> CancelReport:
        """No derivatives order that passes `only` rests (on `product_id`), or the report says which may.

        Orders that appear while we cancel are cancelled too (E23): done when a complete listing read after the last
        proof is empty. Without `only` the venue is asked for all of them at once, in the first round also for those no
        list shows; then for each that still stands. Where no list can be read and the venue has no such call, at least
        our own working orders are asked to go, as the journal knows them. As long as the venue answers with its rate
        limit `wait` begins again, up to `patience` in all. A list that is complete may still lack what was accepted a
        moment ago (E1, E2): what the journal says works is proven gone by its id, or named as unproven; an intent in doubt
        has no id to ask for, so it is named.
        """
        chase, pause = _Chase(time=Allowance(self._clock, wait, most=patience, longer=self._told_longer)), FIRST_PAUSE
        sweeps, first, blind, done = only is None, True, False, None
        while True:
            listed = self._list(chase)
            wanted = [
                order
                for order in (() if listed is None else listed.orders)
                if (product_id is None or order.product_id == product_id) and (only is None or only(order))
            ]
            with self._in_time(chase):
                if sweeps and (wanted or first):
                    sweeps = self._sweep(chase, product_id, None if listed is None else wanted)
                    first = sweeps and not chase.swept  # it never was the answer: ask even where no list shows anything
                if listed is None and not sweeps and not blind:
                    blind = True
                    self._ask_ours(chase, product_id, only)
                if wanted:
                    self._start(chase, wanted)
            if listed is not None and not wanted and not chase.open:
                chase.problems.clear()  # an earlier failed read was overtaken by this complete one
                hidden = [
                    order_id for order_id in self._ours(chase, product_id, only) if order_id not in chase.requested
                ]
                if not hidden:
                    done = listed
                    break
                chase.requested.update(dict.fromkeys(hidden))
            if chase.open:
                self._follow(chase)
            if chase.time.spent():
                if listed is None:
                    chase.problems["live orders were never read to their end: orders nobody listed are unproven"] = None
                break
            if listed is None:
                chase.time.pause(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
        self._book(chase)
        if done is not None and only is None:
            with self._in_time(chase):
                chase.problems.update(dict.fromkeys(self.book_listed(done)))
        return replace(_report(chase, missing=0), in_doubt=self._doubts(chase, product_id))

    def _doubts(self, chase: _Chase, product_id: ProductId | None) -> tuple[IntentId, ...]:
        """The intents whose order may rest and cannot be asked for: nobody may call those gone (I4, L5)."""
        try:
            doubts = self._journal.in_doubt()
        except JournalUnavailable as error:
            chase.problems[f"journal: {error.message}"] = None
            return ()
        ended = {str(order.client_order_id) for order in chase.final.values()}
        return tuple(
            record.intent.id
            for record in doubts
            if isinstance(record.intent, OrderIntent)  # an edit's order has an id, and is asked for by it
            and product_id in (None, record.intent.product_id)
            and record.intent.id not in ended
        )

    def book_listed(self, listed: OrdersRead) -> tuple[str, ...]:
        """What a complete listing tells of our orders is in the journal; those it lacks are asked for by id. The problems."""
        try:
            return tuple(problem.note for problem in self._tracker.update(listed).problems)
        except (JournalUnavailable, InvariantBroken) as error:
            return (f"journal: {error.message}",)

    # --- targets ------------------------------------------------------------------------------------------

    def _target(self, text: str, chase: _Chase) -> bool:
        """Every order of the venue that what was typed names is wanted gone; an intent may own several (I1 broken).

        An intent without one cannot be cancelled, and that is a problem named.
        """
        try:
            record = self._journal.intent(IntentId(text))
        except JournalUnavailable as error:
            chase.problems[f"journal: {error.message}"] = None
            record = None
        if record is None:
            chase.requested[self._now_called(VenueOrderId(text))] = None
            return True
        if record.venue_order_id is None:
            what = "in doubt: resolve it first" if record.stage.in_doubt else f"{record.stage.value}: nothing rests"
            chase.problems[f"intent {text} has no order at the venue ({what})"] = None
            return False
        chase.requested.update(dict.fromkeys(_names(record)))
        return True

    def _now_called(self, order_id: VenueOrderId) -> VenueOrderId:
        """The id an order goes by now: of a waiting order that fired, as far as the journal knows, that of what it became."""
        try:
            record = self._journal.intent_by_order(order_id)
        except JournalUnavailable:
            return order_id
        became = None if record is None or record.order is None else record.order
        return became.venue_order_id if became is not None and became.succeeds == order_id else order_id

    def _drop_strangers(self, chase: _Chase) -> None:
        """An id that is neither ours nor a listed derivatives order is not touched: it could be a spot order (design 5)."""
        try:
            foreign = [order_id for order_id in chase.requested if self._journal.intent_by_order(order_id) is None]
        except JournalUnavailable as error:
            chase.problems[f"journal: {error.message}"] = None
            foreign = list(chase.requested)
        listed = self._list(chase) if foreign else None
        if listed is None:
            return
        derivatives = {order.venue_order_id for order in listed.orders}
        for order_id in foreign:
            if order_id not in derivatives:
                del chase.requested[order_id]
                chase.problems[f"{shown(order_id)} is not a live derivatives order of this portfolio"] = None

    # --- asking and following ---------------------------------------------------------------------------

    def _in_time(self, chase: _Chase) -> AbstractContextManager[None]:
        return self._venue.within(chase.time.asking)

    def _told_longer(self, more: timedelta) -> None:
        self._diagnostics.note("cancels_go_on", because="the venue answers with its rate limit", seconds=more.seconds)

    def _sweep(self, chase: _Chase, product_id: ProductId | None, orders: Iterable[VenueOrder] | None) -> bool:
        """One mass cancel; False when the venue has none, took none, or did not answer: then each is asked.

        Held off by a rate limit it is worth asking again.
        """
        try:
            count = self._venue.cancel_all(product_id)  # step: mass_cancel
        except VENUE_ERRORS as error:
            chase.failed("mass cancel", error)
            return isinstance(error, RateLimited)
        if not count:
            return False
        if orders is None:
            self._expect_ours(chase, product_id)
        else:
            chase.swept.update(order.venue_order_id for order in orders)
        return True

    def _expect_ours(self, chase: _Chase, product_id: ProductId | None) -> None:
        """Nobody could list what was swept: at least our own orders are asked for by id, and their ends booked."""
        ours = self._ours(chase, product_id, None)
        chase.requested.update(dict.fromkeys(ours))
        chase.swept.update(ours)

    def _ask_ours(self, chase: _Chase, product_id: ProductId | None, only: Callable[[VenueOrder], bool] | None) -> None:
        """Nobody lists anything and nothing was swept: our own orders are asked to go by id, a cancel too many harms nobody."""
        ours = [order_id for order_id in self._ours(chase, product_id, only) if order_id not in chase.requested]
        chase.requested.update(dict.fromkeys(ours))
        if ours:
            self._ask(chase, ours)

    def _ours(
        self, chase: _Chase, product_id: ProductId | None, only: Callable[[VenueOrder], bool] | None
    ) -> tuple[VenueOrderId, ...]:
        """What the journal says works at the venue; under a filter, as the venue last told of it."""
        try:
            working = self._journal.working()
        except JournalUnavailable as error:
            chase.problems[f"journal: {error.message}"] = None
            return ()
        return tuple(
            order_id
            for record in working
            if isinstance(record.intent, OrderIntent)
            and product_id in (None, record.intent.product_id)
            and (only is None or (record.order is not None and only(record.order)))
            for order_id in _names(record)
        )

    def _start(self, chase: _Chase, orders: Iterable[VenueOrder]) -> None:
        fresh = []
        for order in orders:
            chase.final.pop(order.venue_order_id, None)  # listed as live: whatever was proven before is not so
            chase.live[order.venue_order_id] = order
            if order.venue_order_id not in chase.requested:
                chase.requested[order.venue_order_id] = None
                if order.venue_order_id not in chase.swept:
                    fresh.append(order.venue_order_id)
        if fresh:
            self._ask(chase, fresh)

    def _ask(self, chase: _Chase, order_ids: Sequence[VenueOrderId]) -> None:
        try:
            for answer in self._venue.cancel(order_ids):  # step: cancel
                chase.answers[answer.venue_order_id] = answer
        except VENUE_ERRORS as error:
            chase.failed("cancel", error)

    def _follow(self, chase: _Chase) -> None:
        """Look until every requested order is proven final or the time is over; at least one look."""
        pause, looks = FIRST_PAUSE, 0
        while True:
            self._look(chase)
            looks += 1
            if not chase.open or chase.time.spent():
                return
            if looks % REPEAT_CANCEL_AFTER == 0 or self._refused_softly(chase):
                with self._in_time(chase):
                    self._ask(chase, chase.open)
            chase.time.pause(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _look(self, chase: _Chase) -> None:
        listed = self._list(chase)
        live = {} if listed is None else {order.venue_order_id: order for order in listed.orders}
        missing = [order_id for order_id in chase.open if order_id not in live]
        with self._in_time(chase):
            ended = self._ended(missing, chase)
            for order_id in chase.open:
                if order_id in live:
                    chase.live[order_id] = live[order_id]
                elif order_id in ended:
                    self._saw(order_id, ended[order_id], chase)
                else:
                    self._look_at(order_id, chase)

    def _look_at(self, order_id: VenueOrderId, chase: _Chase) -> None:
        try:
            order = self._venue.order(order_id)
        except VENUE_ERRORS as error:
            chase.failed(f"order {shown(order_id)}", error)
            return
        if order is None:
            chase.problems[f"the venue says it knows no order {shown(order_id)}; unproven"] = None
        else:
            self._saw(order_id, order, chase)

    def _saw(self, order_id: VenueOrderId, order: VenueOrder, chase: _Chase) -> None:
        """What an order is now. A waiting order that fired is chased under the id of what it became."""
        if order.venue_order_id != order_id:
            del chase.requested[order_id]
            chase.live.pop(order_id, None)
            order_id = order.venue_order_id
            chase.requested[order_id] = None
        if order.status.final:
            chase.final[order_id] = order
            chase.live.pop(order_id, None)
        else:
            chase.live[order_id] = order

    def _ended(self, missing: Sequence[VenueOrderId], chase: _Chase) -> Mapping[VenueOrderId, VenueOrder]:
        """The ends of many orders, as the list of every state tells them; whatever it lacks is asked for by id."""
        oldest = self._clock.now() - LISTED_FOR
        made = [chase.live[order_id].created for order_id in missing if order_id in chase.live]
        recent = [at for at in made if at is not None and at >= oldest]
        if len(recent) <= MANY:
            return {}
        told = Reads().attempt("orders", lambda: self._venue.orders_since(min(recent)))
        return {} if told is None else {o.venue_order_id: o for o in told.orders if o.status.final}

    def _refused_softly(self, chase: _Chase) -> bool:
        """True when no answer came at all for an open order: the request itself failed, so it is made again."""
        return any(order_id not in chase.answers and order_id not in chase.swept for order_id in chase.open)

    def _list(self, chase: _Chase) -> OrdersRead | None:
        """Half of the time left is kept back: whatever becomes of the list, there is something else to ask for."""
        reads = Reads()
        with self._venue.within(chase.time.asking / 2):
            listed = reads.attempt("live orders", self._venue.live_orders)
        for problem in reads.problems:
            chase.failed(problem.part, problem.error)
        return listed

    # --- the record, afterwards -----------------------------------------------------------------------------

    def _book(self, chase: _Chase) -> None:
        seen: Mapping[VenueOrderId, VenueOrder] = {**chase.live, **chase.final}
        try:
            if chase.requested:
                payload = {"requested": list(map(str, chase.requested)), "gone": list(map(str, chase.final))}
                self._journal.record_event(EventKind.CANCEL_REQUESTED, payload)  # step: cancel_recorded
                refused = {str(i): shown(a.reason) for i, a in chase.answers.items() if not a.accepted}
                self._journal.record_event(EventKind.CANCEL_ANSWERED, {"refused": refused})
            owned = [(order, self._owner(order)) for order in seen.values()]
        except JournalUnavailable as error:
            self._diagnostics.alarm("cancel_unrecorded", problem=error.message)
            chase.problems[f"journal: {error.message}; the cancels reached the venue all the same"] = None
            return
        with self._in_time(chase):
            for problem in self._tracker.settle(owned):
                chase.problems[problem.note] = None

    def _owner(self, order: VenueOrder) -> IntentId | None:
        record = record_behind(self._journal, order.venue_order_id, order.succeeds)
        return None if record is None else owner_of(record)


def _names(record: IntentRecord) -> tuple[VenueOrderId, ...]:
    """Every order of an intent that could stand at the venue; a waiting order that fired does no more."""
    fired = None if record.order is None else record.order.succeeds
    first = () if record.venue_order_id is None else (record.venue_order_id,)
    return tuple(order_id for order_id in (*first, *record.venue_ids) if order_id != fired)


def _report(chase: _Chase, *, missing: int) -> CancelReport:
    gone = tuple(chase.final)
    still = tuple(order_id for order_id in chase.requested if order_id in chase.live and order_id not in chase.final)
    unproven = tuple(order_id for order_id in chase.open if order_id not in chase.live)
    problems = list(chase.problems)
    for order_id in still:
        answer = chase.answers.get(order_id)
        if answer is not None and not answer.accepted:
            problems.append(f"cancel of {shown(order_id)} refused: {shown(answer.reason)}")
    if missing:
        problems.append(f"{missing} of the ids name no order at the venue")
    return CancelReport(
        requested=tuple(chase.requested), gone=gone, still_live=still, unproven=unproven, problems=tuple(problems)
    )
