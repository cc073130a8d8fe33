"""The gateway's day: no session break, one settlement at 08:00 UTC that turns the session's result into cash.

With the open calendar the first settlement lies at least six hours after the start, as every other event does.
"""

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

from perpsctl.simulator.calendar import DAY, KEPT_AWAY
from perpsctl.simulator.gateway.lifecycle import SETTLEMENT, GatewayLifecycle
from perpsctl.simulator.gateway.listing import SETTLEMENT_HOUR
from perpsctl.simulator.gateway.state import GatewayPosition, GatewayState, Scope
from perpsctl.simulator.options import CalendarMode
from perpsctl.simulator.orders import OrderStatus
from perpsctl.simulator.timeflow import Timeflow

ZERO = Decimal(0)


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
        kept_away = KEPT_AWAY if self._gateway.options.calendar is CalendarMode.OPEN else timedelta(0)
        self.due(next_settlement(start + kept_away), self._settle_daily)

    def _settle_daily(self, at: datetime) -> None:
        self.settle(at)
        self.due(at + DAY, self._settle_daily)

    def settle(self, at: datetime) -> None:
        """Session PnL and funding of every position become cash; good-til-day orders end; a pause of seconds begins."""
        state = self._gateway
        for order in state.own_orders():
            if order.live and order.tif_word == "good_til_day":
                self._closing.finish(order, OrderStatus.CANCELLED, at, SETTLEMENT)
        for scope in list(state.positions_held):
            self._settle_position(scope, state.position(scope))
        state.positions_held = {scope: kept for scope, kept in state.positions_held.items() if kept.contracts}
        state.settled_at = at

    def _settle_position(self, scope: Scope, position: GatewayPosition) -> None:
        state = self._gateway
        unit, mark = state.products[scope[0]].unit_size, state.mark(scope[0])
        rpl, upl = position.session.realized_today, position.session.unrealized(mark, unit)
        funding = position.funding
        change = rpl + upl + funding
        if not (position.contracts or change):
            return
        told, position.logged_funding = funding - position.logged_funding, ZERO
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
