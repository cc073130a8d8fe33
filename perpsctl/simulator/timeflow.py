"""How an exchange gets from one instant to the next: market steps, expiries, funding, rolls, things due later.

Lazy: nothing runs between two questions. A stretch is worked off event by event in order of time, and between events
in path steps; a stretch with very many steps is walked in strides that still see the path's extremes.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from heapq import heappop, heappush

from perpsctl.simulator.calendar import HOUR, hour_after
from perpsctl.simulator.faults import Faults
from perpsctl.simulator.funding import accrual
from perpsctl.simulator.ledger import CBI, CFM, ZERO
from perpsctl.simulator.lifecycle import Lifecycle
from perpsctl.simulator.market import STEP_US, Touch
from perpsctl.simulator.orders import OrderStatus
from perpsctl.simulator.payments import payment
from perpsctl.simulator.state import State
from perpsctl.simulator.tape import instant, micros

STEPS_IN_FULL = 240  # a minute of path
STRIDE_STEPS = 60  # fifteen seconds of path
STRIDES_MAX = 60

Action = Callable[[datetime], None]


class Timeflow:
    """Moves one account through time. `now` never goes back, whatever the host's clock does."""

    def __init__(self, state: State, lifecycle: Lifecycle) -> None:
        self._state = state
        self._lifecycle = lifecycle
        self._events: list[tuple[datetime, int, Action]] = []
        self._counted = 0
        self._walked = state.step
        self._cash_plan = 0
        self.faults: Faults | None = None  # E19 strikes when funding becomes cash
        self._plan()

    def _plan(self) -> None:
        state, start = self._state, self._state.now
        self.due(hour_after(start), self._accrue)
        self.due(state.calendar.next_roll(start), self._roll)
        self.due(state.calendar.next_session_change(start), self._session_changed)
        self.plan_cash()

    def due(self, at: datetime, action: Action) -> None:
        """Runs `action` when time reaches `at`, after the market moved there; ties run in order of planning."""
        self._counted += 1
        heappush(self._events, (at, self._counted, action))

    def after(self, seconds: int, action: Action) -> None:
        """Runs `action` some seconds from now."""
        self.due(self._state.now + timedelta(seconds=seconds), action)

    def advance(self, to: datetime) -> None:
        """Brings the account to an instant; an earlier one than now changes nothing."""
        state = self._state
        while self._events and self._events[0][0] <= to:
            at, _, action = heappop(self._events)
            self._walk(max(at, state.now))
            action(max(at, state.now))
        if to > state.now:
            self._walk(to)

    # -- the market ----------------------------------------------------------------------------------

    def _walk(self, to: datetime) -> None:
        state = self._state
        last = state.timeline.step(micros(to))
        first = self._walked + 1
        if last < first:  # the same step of the path: nothing in the market moved
            state.now = max(state.now, to)
            return
        products = [p for p in state.products if state.books[p] or state.stops[p] or state.exposed(p)]
        if products:
            if last - first < STEPS_IN_FULL:
                for step in range(first, last + 1):
                    self._step(products, step)
            else:
                self._stride(products, first, last)
        self._walked = last
        state.now = max(state.now, to)

    def _step(self, products: list[str], step: int) -> None:
        state = self._state
        at = self._reach(step)
        held = False
        for product_id in products:
            held = held or state.exposed(product_id)
            if (state.books[product_id] or state.stops[product_id]) and state.trading(product_id):
                market = state.markets[product_id]
                touch = market.touch(step)
                if touch is not None:
                    self._lifecycle.face(product_id, touch, market.flow(step), at)
        if held:
            self._lifecycle.check_liquidation(at)

    def _stride(self, products: list[str], first: int, last: int) -> None:
        steps = last + 1 - first
        strides = min(STRIDES_MAX, steps // STRIDE_STEPS)
        for part in range(strides):
            begin = first + steps * part // strides
            end = first + steps * (part + 1) // strides - 1
            at = self._reach(end)
            for product_id in products:
                self._face_extremes(product_id, begin, end, at)
            if any(self._state.exposed(product_id) for product_id in products):
                self._lifecycle.check_liquidation(at)

    def _face_extremes(self, product_id: str, begin: int, end: int, at: datetime) -> None:
        state = self._state
        market = state.markets[product_id]
        if not (state.books[product_id] or state.stops[product_id]) or not state.trading(product_id):
            return
        now = market.touch(end)
        if now is None:
            return
        touches: list[Touch] = [now]
        if market.fixed is None:
            prices = market.knots((begin - 1) * STEP_US, end * STEP_US)
            touches = [market.touch_of(min(prices), end), market.touch_of(max(prices), end), now]
        for touch in touches[:-1]:
            self._lifecycle.face(product_id, touch, (), at)
        self._lifecycle.face(product_id, now, market.flow(end), at, times=end - begin + 1)

    def _reach(self, step: int) -> datetime:
        """The instant of a path step becomes now."""
        state = self._state
        at = max(state.now, instant(state.timeline.host_us(step * STEP_US)))
        state.now = at
        return at

    # -- the calendar --------------------------------------------------------------------------------

    def _accrue(self, at: datetime) -> None:
        """An hour of funding accrues on every perp position at its index."""
        state = self._state
        for product_id, position in state.positions.items():
            future = state.products[product_id].future
            if not position.contracts or future is None or not future.perpetual:
                continue
            market = state.markets[product_id]
            rate = state.funding.rate(market, state.timeline.path_us(micros(at)))
            price = market.index_price(state.step) or state.mark(product_id)
            amount = accrual(position.contracts, future.contract_size, price, rate)
            position.funding_pending += amount
            position.funding_today += amount
        self.due(at + HOUR, self._accrue)

    def plan_cash(self) -> None:
        """Plans the next cash event; called again when control moves them."""
        self._cash_plan += 1
        plan = self._cash_plan
        event = self._state.calendar.next_cash_event(self._state.now)
        if event is not None:
            self.due(event, lambda at: self._pay(at, plan))

    def _pay(self, at: datetime, plan: int) -> None:
        """What has accrued becomes cash."""
        if plan != self._cash_plan:
            return
        self.settle_funding(at)
        self.plan_cash()

    def settle_funding(self, at: datetime) -> None:
        """Accrued funding of every position is paid into (or out of) the futures wallet."""
        state = self._state
        due = any(position.funding_pending for position in state.positions.values())
        how = payment(self.faults if due else None)
        for product_id, position in state.positions.items():
            amount, position.funding_pending = position.funding_pending, ZERO
            self._paid(product_id, amount * how.share, at)
            if how.late_s is not None and amount:
                self.due(at + timedelta(seconds=how.late_s), partial(self._paid, product_id, amount))

    def _paid(self, product_id: str, amount: Decimal, at: datetime) -> None:
        reference = f"funding {at.isoformat()}"
        self._state.ledger.post(
            at=at, kind="funding", wallet=CFM, amount=amount, product_id=product_id, reference=reference
        )

    def _roll(self, at: datetime) -> None:
        """A new session day: daily figures start from zero and a pending sweep is carried out."""
        state = self._state
        for position in state.positions.values():
            position.realized_today = ZERO
            position.funding_today = ZERO
        state.positions = {p: kept for p, kept in state.positions.items() if kept.contracts or kept.funding_pending}
        self._sweep(at)
        self.due(state.calendar.next_roll(at), self._roll)

    def _sweep(self, at: datetime) -> None:
        state = self._state
        sweep, state.sweep = state.sweep, None
        if sweep is None:
            return
        margin = state.margin()
        free = state.ledger.balance(CFM) + min(margin.unrealized, ZERO) - margin.initial
        amount = free if sweep.should_sweep_all else min(free, sweep.requested_amount)
        if amount > 0:
            state.ledger.move(at=at, source=CFM, target=CBI, amount=amount, reference=sweep.sweep_id)

    def _session_changed(self, at: datetime) -> None:
        self.release_queued(at)
        self.due(self._state.calendar.next_session_change(at), self._session_changed)

    def release_queued(self, at: datetime) -> None:
        """Orders taken while a session was closed start to work where it is open."""
        for order in list(self._state.live.values()):
            if order.status is OrderStatus.QUEUED and self._state.session(order.product_id).is_open:
                self._lifecycle.activate(order, at)
