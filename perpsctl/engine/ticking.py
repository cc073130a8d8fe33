"""One tick of the loop: hear, reconcile when due, end doubt, read, watch, care for what rests, then ask the strategy.

The strategy is asked only with reads that are whole; an order it wants passes the desk like any other. A tick never waits
long: doubt is looked at once and again in the next tick.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from perpsctl.domain.accounts import AccountView, Booked, PositionsRead, TradingState
from perpsctl.domain.errors import UsageError, VenueUnreachable
from perpsctl.domain.ids import IntentId, ProductId, VenueOrderId, client_order_id
from perpsctl.domain.market import Mark
from perpsctl.domain.orders import Accepted, OrderIntent, OrderType, Origin, Road, TimeInForce
from perpsctl.domain.reports import HaltState, PlaceReport
from perpsctl.engine.following import Follower
from perpsctl.engine.killswitch import KillSwitch
from perpsctl.engine.parts import Engine
from perpsctl.engine.reading import Problem, Reads
from perpsctl.engine.reconcile import ORDERS_WINDOW
from perpsctl.engine.resting import due_for_renewal, excess, renewal, resting_life, unwise, working_orders
from perpsctl.engine.run_book import RunBook
from perpsctl.engine.strategies import Strategy, StrategyState, Wish, Working
from perpsctl.engine.tracking import Tracked
from perpsctl.engine.views import Seen
from perpsctl.engine.watch import Watched, loss_suspected, watch
from perpsctl.risk.limits import LossPolicy

RECONCILE_EVERY: Final = timedelta(seconds=60)
# The orders of a day are read once; then those since the last whole comparison, and a while more: lists lag by seconds and
# clocks differ by less. A run that places thousands would otherwise read, hold and look up each of them every minute.
READ_AGAIN: Final = timedelta(minutes=5)
TICK_CANCEL_WAIT: Final = timedelta(seconds=2)
NO_WAIT: Final = timedelta(0)
EXIT_WAIT: Final = timedelta(seconds=5)
LOOP: Final = "run"


class Ticker:
    """What one run does in each tick."""

    def __init__(
        self,
        *,
        engine: Engine,
        switch: KillSwitch,
        strategy: Strategy,
        book: RunBook,
        dry_run: bool,
        stopping: Callable[[], bool],
    ) -> None:
        self._engine = engine
        self._switch = switch
        self._strategy = strategy
        self._book = book
        self._dry_run = dry_run
        self._stopping = stopping
        self._follower = Follower(
            live=engine.live,
            views=engine.views,
            tracker=engine.tracker,
            journal=engine.journal,
            clock=engine.clock,
            limits=engine.limits,
            product_id=strategy.product_id,
        )
        self._last: _Last | None = None
        self._reconciled_at: int | None = None
        self._reconciled_by_wall = engine.clock.now()
        self._desynced: frozenset[ProductId] = frozenset()
        self._last_reports: tuple[PlaceReport, ...] = ()

    def tick(self, *, whole: bool = False) -> None:
        """One bounded round. Raises what the loop has to know: venue errors, JournalUnavailable, our own bugs.

        `whole` reads everything, whatever the streams would stand in for.
        """
        self._follower.hear()
        unread = self._reconcile_when_due()  # step: tick_reconcile
        self._end_doubts()  # step: tick_doubts
        tracked, seen, booked = self._read(whole=whole)  # step: tick_read
        if not whole and self._loss_looks_broken(seen, tracked, booked):
            tracked, seen, booked = self._read(whole=True)  # step: tick_confirm
        halted = self._watch(seen, tracked, booked)  # step: tick_watch
        if halted:
            self._stand_down()
            self._retry_exits()
            return
        if unread is not None:
            raise unread
        _raise_first(tracked.problems + seen.problems)
        self._retry_exits()
        if not self._dry_run:
            self._care(seen, booked)  # step: tick_care
        self._ask(seen)  # step: tick_ask

    def hear(self) -> bool:
        """Take what the streams told; True when it is a reason for a tick now."""
        return self._follower.hear()

    @property
    def holding(self) -> bool:
        """True when the last read showed a position: then a move of the market matters at once."""
        return self._last is not None and bool(self._last.held)

    def suspects_loss(self) -> bool:
        """True when the last reads, valued at streamed marks, break the loss limit and nothing has been done about it."""
        return self._last is not None and not self._book.halted and self._suspected(self._last)

    # --- evidence first -----------------------------------------------------------------------------------------

    def _reconcile_when_due(self) -> VenueUnreachable | None:
        """What kept it from being whole: nothing is proposed until it was, but the watch goes on."""
        now = self._engine.clock.monotonic_ns()
        due = RECONCILE_EVERY // timedelta(microseconds=1) * 1000
        if self._reconciled_at is not None and now - self._reconciled_at < due and not self._follower.unsettled:
            return None
        by_wall = self._engine.clock.now()
        report = self._engine.reconciler.run(window=self._window(now, by_wall))
        if report.unread:
            return VenueUnreachable(f"reconcile could not read everything: {report.unread[0]}")
        self._desynced = frozenset(
            ProductId(each.subject) for each in report.breaks if each.kind == "position" and not each.settled
        )
        self._reconciled_at, self._reconciled_by_wall = now, by_wall
        self._follower.settled()
        return None

    def _window(self, now: int, by_wall: datetime) -> timedelta:
        """How far back orders are read; by the clock that went further, for one of them stands still in a suspended host."""
        if self._reconciled_at is None:
            return ORDERS_WINDOW
        since = max(timedelta(microseconds=(now - self._reconciled_at) // 1000), by_wall - self._reconciled_by_wall)
        return min(since + READ_AGAIN, ORDERS_WINDOW)

    def _end_doubts(self) -> None:
        for record in self._engine.journal.in_doubt():
            self._follower.touched()
            look = self._engine.resolver.look(record)
            intent = self._book.doubts.get(record.intent.id)
            if intent is not None and isinstance(look.outcome, Accepted):
                self._book.orders[look.outcome.venue_order_id] = intent.id

    def _read(self, *, whole: bool) -> tuple[Tracked, Seen, Booked]:
        tracked, seen = self._follower.look(whole=whole)
        booked = self._engine.journal.booked()
        self._remember(seen, booked)
        return tracked, seen, booked

    def _remember(self, seen: Seen, booked: Booked) -> None:
        """What streamed marks are held against until the next tick."""
        view, before = seen.view, self._last
        self._last = None
        if view.account is not None and view.positions is not None:
            same = before is not None and before.account is view.account
            marks = before.marks if before is not None and same else self._engine.views.young(view.marks)
            self._last = _Last(account=view.account, positions=view.positions, marks=marks, booked=booked)

    def _suspected(self, last: "_Last") -> bool:
        told = {product_id: self._engine.live.price(product_id) for product_id in last.held}
        return loss_suspected(
            account=last.account,
            positions=last.positions,
            marks_then=last.marks,
            marks_now={product_id: mark for product_id, mark in told.items() if mark is not None},
            bases=last.booked.loss_bases,
            limits=self._engine.limits,
        )

    # --- the watch ------------------------------------------------------------------------------------------------

    def _watch(self, seen: Seen, tracked: Tracked, booked: Booked) -> bool:
        """True when nothing may be entered: the switch is engaged, by whomever, or has just been by us."""
        found = self._found(seen, tracked, booked)
        if found.loss_breached and self._explained(seen):  # a withdrawal is not a loss
            booked = self._engine.journal.booked()
            found = self._found(seen, tracked, booked)
        facts = self._engine.halts.facts()
        if found.loss_breached and not facts.loss_breach and not self._dry_run:
            self._engine.diagnostics.alarm("daily_loss_breached", loss=found.loss_text)
            flatten = self._engine.limits.loss_policy is LossPolicy.FLATTEN
            self._switch.engage(reason=found.loss_text, by=LOOP, flatten=flatten, loss_breach=True)
            self._book.halted = True
            return True
        if not self._dry_run:
            self._limit_states(found, booked)
        self._book.halted = facts.state is not HaltState.RELEASED
        return self._book.halted

    def _loss_looks_broken(self, seen: Seen, tracked: Tracked, booked: Booked) -> bool:
        """True when streamed prices or held figures speak of a breach nobody has acted on: reads have the last word."""
        if not self._engine.live.streamed or self._engine.halts.facts().loss_breach:
            return False
        suspected = self._last is not None and self._suspected(self._last)
        return suspected or self._found(seen, tracked, booked).loss_breached

    def _found(self, seen: Seen, tracked: Tracked, booked: Booked) -> Watched:
        view = seen.view
        return watch(
            now=view.now,
            account=view.account,
            positions=view.positions,
            orders=tracked.orders,
            marks=self._engine.views.young(view.marks),
            booked=booked,
            limits=self._engine.limits,
        )

    def _explained(self, seen: Seen) -> bool:
        reads = Reads()
        found = self._engine.reconciler.transfers.explain(seen.view, self._engine.limits, reads)
        for problem in reads.notes:
            self._engine.diagnostics.note("loss_not_explained", problem=problem)
        return found

    def _limit_states(self, found: Watched, booked: Booked) -> None:
        """A product over a limit by drift or by others may only reduce, until it is back within (R5, E17)."""
        wanted = dict(found.over)
        wanted.update(dict.fromkeys(self._desynced, "position differs from the booked fills"))
        if found.gross_over:
            wanted.setdefault(self._strategy.product_id, found.gross_over)
        for product, why in wanted.items():
            if booked.states.get(product, TradingState.ACTIVE) is TradingState.ACTIVE:
                self._engine.diagnostics.alarm("product_reducing", product_id=product, why=why)
                self._engine.journal.record_state(product, TradingState.REDUCING, why)  # step: state_reducing
        if found.unknown:
            return  # what could not be told is no all-clear
        for product, state in booked.states.items():
            if state is TradingState.REDUCING and product not in wanted:
                self._engine.journal.record_state(product, TradingState.ACTIVE, "within limits again")

    def _stand_down(self) -> None:
        """Engaged: our own orders go. The switch cancels them itself; this catches what came after it (E23)."""
        working = working_orders(self._engine.journal, self._strategy.product_id)
        if working and not self._dry_run:
            self._cancel([each.venue_order_id for each in working])

    def _retry_exits(self) -> None:
        if not self._dry_run and self._engine.journal.exits_pending():
            self._follower.touched()
            self._engine.exits.retry_pending(wait=EXIT_WAIT)  # step: tick_exits

    # --- what rests -----------------------------------------------------------------------------------------------

    def _care(self, seen: Seen, booked: Booked) -> None:
        view, limits = seen.view, self._engine.limits
        working = working_orders(self._engine.journal, self._strategy.product_id)
        if not working or view.positions is None:
            return
        gone = set(excess(working, view.positions.coin(self._strategy.product_id)))
        ahead = unwise(working, view, booked, limits)
        for each, why in ahead:
            self._engine.diagnostics.note("entry_cancelled_ahead", intent_id=each.intent.id, why=why)
        gone |= {each.venue_order_id for each, _ in ahead}
        if gone:
            self._cancel(sorted(gone))
        for each in due_for_renewal(working, view, limits):
            if each.venue_order_id not in gone:
                self._renew(each, seen)

    def _renew(self, working: Working, seen: Seen) -> None:
        self._follower.touched()
        report = self._engine.canceller.cancel([str(working.venue_order_id)], wait=TICK_CANCEL_WAIT)
        if working.venue_order_id not in report.gone:
            return  # it expires by itself; two at once would double the exposure
        final = self._engine.venue.order(working.venue_order_id)
        if final is None or not final.status.final:
            return
        intent = renewal(working, final.filled, self._mint, seen.view, self._engine.limits)
        if intent is not None:
            self._place(intent)

    def _cancel(self, ids: Sequence[VenueOrderId]) -> None:
        self._follower.touched()
        self._engine.canceller.cancel([str(each) for each in ids], wait=TICK_CANCEL_WAIT)

    # --- the strategy -----------------------------------------------------------------------------------------------

    def _ask(self, seen: Seen) -> None:
        view, product_id = seen.view, self._strategy.product_id
        if view.positions is None:
            return
        booked = self._engine.journal.booked()
        working = () if self._dry_run else working_orders(self._engine.journal, product_id)
        proposal = self._strategy.propose(
            StrategyState(
                now=view.now,
                product=view.product,
                view=view,
                position=view.positions.coin(product_id),
                working=working,
                in_doubt=len(booked.in_doubt),
                trading=booked.states.get(product_id, TradingState.ACTIVE),
                orders_left=self._engine.limits.orders_per_minute_max - booked.sent_last_minute,
                last_reports=self._last_reports,
            )
        )
        if proposal.cancels:
            self._cancel(proposal.cancels)
        if proposal.wishes:
            self._last_reports = tuple(
                report for wish in proposal.wishes if (report := self._place(self._intent(wish, seen))) is not None
            )

    def _intent(self, wish: Wish, seen: Seen) -> OrderIntent:
        now = seen.view.now
        tif, expires = resting_life(self._engine.venue.capabilities, now, self._engine.limits)
        return OrderIntent(
            id=self._mint(),
            product_id=seen.view.product.product_id,
            side=wish.side,
            size=wish.size,
            type=OrderType.LIMIT,
            tif=TimeInForce.IOC if wish.take else tif,
            limit_price=wish.price,
            post_only=not wish.take,
            reduce_only=wish.reduce_only,
            expires=None if wish.take else expires,
            origin=Origin.STRATEGY,
            road=Road.EXIT if wish.take and wish.reduce_only else Road.ENTRY,
            reason=wish.reason,
            created_at=now,
        )

    def _place(self, intent: OrderIntent) -> PlaceReport | None:
        if self._stopping():  # a signal may come in the middle of a tick: no new order from that moment on (L4)
            return None
        try:
            if self._dry_run:
                return self._rehearse(intent)
            self._follower.touched()
            self._book.asked.add(client_order_id(intent.id))  # found again by it, whatever becomes of the record
            report = self._engine.desk.place(intent, wait=NO_WAIT)
        except UsageError as error:  # a strategy's wish that is no order on this grid: said, not sent, not fatal
            self._engine.diagnostics.note("wish_not_an_order", reason=intent.reason, problem=error.message)
            return None
        self._book.take(intent, report)
        return report

    def _rehearse(self, intent: OrderIntent) -> PlaceReport:
        denied = self._engine.desk.preview(intent).denied
        self._book.intents += 1
        if denied is not None:
            self._book.deny(denied)
        return PlaceReport(intent_id=intent.id, denied=denied, outcome=None, order=None, notes=("dry run",))

    def _mint(self) -> IntentId:
        return IntentId(self._engine.ids.new())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Last:
    """What the last tick read of the account, and the marks of the moment it was read."""

    account: AccountView
    positions: PositionsRead
    marks: Mapping[ProductId, Mark]
    booked: Booked

    @property
    def held(self) -> tuple[ProductId, ...]:
        return tuple(position.product_id for position in self.positions.positions if position.coin)


def _raise_first(problems: tuple[Problem, ...]) -> None:
    """A part that could not be read ends the tick with its error, rate limits first: the loop backs off by it."""
    if problems:
        raise min(problems, key=lambda problem: not problem.rate_limited).error
