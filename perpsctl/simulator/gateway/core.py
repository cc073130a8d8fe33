"""The parts of the gateway's account, put together, and what the judge may see of it."""

from datetime import datetime
from decimal import Decimal

from perpsctl.simulator.faults import Faults
from perpsctl.simulator.gateway.lifecycle import GatewayLifecycle
from perpsctl.simulator.gateway.state import GatewayState
from perpsctl.simulator.gateway.timeflow import GatewayTimeflow
from perpsctl.simulator.gateway.trading import Trading
from perpsctl.simulator.options import Options
from perpsctl.simulator.state import State
from perpsctl.simulator.views import JudgedOrder


class GatewayCore:
    """One account of the gateway from its start to the next reset, beside the US account `us`."""

    def __init__(self, options: Options, start: datetime, account: int, faults: Faults, us: State) -> None:
        self.state = GatewayState(options, start, account, us)
        self.lifecycle = GatewayLifecycle(self.state)
        self.timeflow = GatewayTimeflow(self.state, self.lifecycle)
        self.timeflow.faults = faults
        self.trading = Trading(self.state, self.lifecycle, self.timeflow, faults)

    def judged_orders(self) -> tuple[JudgedOrder, ...]:
        """Every order; a triggered one is told by the order it became, so that one request is one order."""
        return tuple(order.judged() for order in self.state.own_orders() if order.became is None)

    def positions(self) -> dict[str, Decimal]:
        """Signed contracts of every product, all scopes together."""
        held = {product_id: self.state.contracts(product_id) for product_id in self.state.products}
        return {product_id: contracts for product_id, contracts in held.items() if contracts}
