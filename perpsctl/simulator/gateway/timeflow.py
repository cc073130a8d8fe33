"""The gateway's day: no session break, one settlement at 08:00 UTC that turns the session's result into cash.

With the open calendar the settlement is at another time of day, twelve hours after the start: no rehearsal meets it by
accident, and a client that keeps away from its time of day is never kept away for nothing.
"""

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from functools import partial

from perpsctl.simulator.calendar import DAY
from perpsctl.simulator.gateway.lifecycle import SETTLEMENT, GatewayLifecycle
from perpsctl.simulator.gateway.listing import SETTLEMENT_HOUR
from perpsctl.simulator.gateway.state import GatewayPosition, GatewayState, Scope
from perpsctl.simulator.options import CalendarMode
from perpsctl.simulator.orders import OrderStatus
from perpsctl.simulator.payments import Payment, payment
from perpsctl.simulator.timeflow import Timeflow

ZERO = Decimal(0)
OPEN_SETTLEMENT = timedelta(hours=12)


def next_settlement(after: datetime) -> datetime:
    """The next 08:00 UTC, strictly later."""
    today = datetime.combine(after.date(), time(SETTLEMENT_HOUR), UTC)
    return today if today > after else today + DAY


class GatewayTimeflow(Timeflow):
    """Moves the gateway's account through time."""

    def __init__(self, state: GatewayState, lifecycle: GatewayLifecycle) -> None:
        self._gateway = state
        self._closing = lifecycle
        super().__init__(state, lifecycle)

    def _plan(self) -> None:
        start = self._gateway.now
        if self._gateway.options.calendar is CalendarMode.OPEN:
            self._settle_at((start + OPEN_SETTLEMENT).replace(second=0, microsecond=0))
        else:
            self._settle_at(next_settlement(start))

    def _settle_at(self, at: datetime) -> None:
        self._gateway.settles_at = at
        self.due(at, self._settle_daily)

    def _settle_daily(self, at: datetime) -> None:
        self.settle(at)
        self._settle_at(at + DAY)

    def _settle_late(self, scope: Scope, funding: Decimal, at: datetime) -> None:
        """Funding that should have been in the settlement becomes cash by itself (fault E19)."""
        state = self._gateway
        position = state.position(scope)
        unit, mark = state.products[scope[0]].unit_size, state.mark(scope[0])
        rpl, upl = position.session.realized_today, position.session.unrealized(mark, unit)
        change = rpl + upl + funding
        state.ledger.post(at=at, kind="settlement", wallet=state.wallet(scope[1]), amount=change, product_id=scope[0])
        position.session.realized_today = ZERO
        position.session.cost = position.contracts * unit * mark
        state.log_row(
            kind="settlement",
            slot=scope[1],
            change=change,
            product_id=scope[0],
            price=mark,
            position=position.contracts * unit,
            amount=abs(position.contracts) * unit,
            interest_pl=ZERO,
            total_interest_pl=funding,
            session_upl=upl,
            session_rpl=rpl,
        )

    def settle(self, at: datetime) -> None:
        """Session PnL and funding of every position become cash; good-til-day orders end; a pause of seconds begins."""
        state = self._gateway
        for order in state.own_orders():
            if order.live and order.tif_word == "good_til_day":
                self._closing.finish(order, OrderStatus.CANCELLED, at, SETTLEMENT)
        due = any(state.position(scope).funding for scope in state.positions_held)
        how = payment(self.faults if due else None)
        for scope in list(state.positions_held):
            self._settle_position(scope, state.position(scope), how, at)
        state.positions_held = {scope: kept for scope, kept in state.positions_held.items() if kept.contracts}
        state.settled_at = at

    def _settle_position(self, scope: Scope, position: GatewayPosition, how: Payment, at: datetime) -> None:
        state = self._gateway
        unit, mark = state.products[scope[0]].unit_size, state.mark(scope[0])
        rpl, upl = position.session.realized_today, position.session.unrealized(mark, unit)
        funding = position.funding * how.share
        change = rpl + upl + funding
        if not (position.contracts or change):
            return
        told, position.logged_funding = position.funding - position.logged_funding, ZERO
        if how.late_s is not None and position.funding:
            late = partial(self._settle_late, scope, position.funding)
            self.due(at + timedelta(seconds=how.late_s), late)
        position.session.realized_today = position.funding = ZERO
        position.session.cost = position.contracts * unit * mark
        state.settlement_prices[scope[0]] = mark
        state.ledger.post(
            at=state.now, kind="settlement", wallet=state.wallet(scope[1]), amount=change, product_id=scope[0]
        )
        state.log_row(
            kind="settlement",
            slot=scope[1],
            change=change,
            product_id=scope[0],
            side="long" if position.contracts > 0 else "short" if position.contracts else "-",
            price=mark,
            position=position.contracts * unit,
            amount=abs(position.contracts) * unit,
            interest_pl=told,
            total_interest_pl=funding,
            session_upl=upl,
            session_rpl=rpl,
        )
