"""The parts of one account's exchange, put together. A reset throws all of it away and makes another."""

from datetime import datetime

from perpsctl.simulator.admission import Admission
from perpsctl.simulator.edits import Edits
from perpsctl.simulator.entries import Entries
from perpsctl.simulator.faults import Faults
from perpsctl.simulator.gateway.core import GatewayCore
from perpsctl.simulator.gateway.state import USDC
from perpsctl.simulator.ledger import CBI, CFM
from perpsctl.simulator.lifecycle import Lifecycle
from perpsctl.simulator.listings import Listings
from perpsctl.simulator.options import Options
from perpsctl.simulator.previews import Previews
from perpsctl.simulator.reads import Reads
from perpsctl.simulator.state import State
from perpsctl.simulator.timeflow import Timeflow
from perpsctl.simulator.views import JudgeView


class Core:
    """One account from its start to the next reset."""

    def __init__(self, options: Options, start: datetime, account: int, faults: Faults) -> None:
        self.state = State(options, start, account)
        self.lifecycle = Lifecycle(self.state)
        self.admission = Admission(self.state, self.lifecycle)
        self.timeflow = Timeflow(self.state, self.lifecycle)
        self.timeflow.faults = faults
        self.entries = Entries(self.state, self.lifecycle, self.admission, self.timeflow, faults)
        self.edits = Edits(self.state, self.lifecycle, self.admission, self.timeflow, faults)
        self.previews = Previews(self.state, self.lifecycle, self.admission, self.edits)
        self.reads = Reads(self.state)
        self.listings = Listings(self.state)
        self.gateway = GatewayCore(options, start, account, faults, self.state)
        self.jumps = 0  # how often control set a price or a book

    def advance(self, to: datetime) -> None:
        """Brings both accounts to an instant."""
        self.timeflow.advance(to)
        self.gateway.timeflow.advance(to)

    def meet_market(self) -> None:
        """Resting orders, stops and margin of both accounts meet the market as control has just left it."""
        for state, lifecycle in ((self.state, self.lifecycle), (self.gateway.state, self.gateway.lifecycle)):
            for product_id in state.products:
                touch = state.touch(product_id)
                if touch is not None and state.trading(product_id):
                    lifecycle.face(product_id, touch, (), state.now)
            lifecycle.check_liquidation(state.now)

    def judge_view(self) -> JudgeView:
        """The whole truth, whatever faults show to clients."""
        state = self.state
        return JudgeView(
            at=state.now,
            account=state.account,
            portfolio_uuid=state.portfolio_uuid,
            orders=tuple(order.judged() for order in state.orders.values()) + self.gateway.judged_orders(),
            requests=tuple(state.requests) + tuple(self.gateway.state.requests),
            positions={p: position.contracts for p, position in state.positions.items() if position.contracts}
            | self.gateway.positions(),
            fills=state.fill_count + self.gateway.state.fill_count,
            cbi_usd=state.ledger.balance(CBI),
            cfm_usd=state.ledger.balance(CFM),
            ledger=state.ledger.rows(),
            usdc=self.gateway.state.ledger.balance(USDC),
            usdc_ledger=self.gateway.state.ledger.rows(),
        )
