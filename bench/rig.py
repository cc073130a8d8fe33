"""The whole product in this process on the machine's own clock: real client, desk and journal, the embedded exchange.

As the tests' rig, with real time in place of virtual time. The client's pacing is opened wide: what is measured is the
work, not the politeness.
"""

from dataclasses import replace
from datetime import time
from decimal import Decimal
from pathlib import Path

from perpsctl.domain.ids import AccountKey, IntentId, client_order_id
from perpsctl.domain.numbers import Price, Size
from perpsctl.domain.orders import ApprovedOrder, OrderIntent, OrderType, TimeInForce
from perpsctl.domain.products import Environment, Product
from perpsctl.domain.quantize import quantize
from perpsctl.domain.sides import Side
from perpsctl.engine.parts import assemble
from perpsctl.exchange.advanced_trade import AdvancedTradeVenue
from perpsctl.exchange.credentials import Secret, from_values
from perpsctl.exchange.hosts import Endpoint, endpoint_for
from perpsctl.exchange.pacing import Pacer
from perpsctl.exchange.transport import ExchangeRecord
from perpsctl.journal.halts import CombinedHalts
from perpsctl.journal.opening import open_journal
from perpsctl.journal.spool import Spool
from perpsctl.latch import Latch
from perpsctl.risk.limits import RiskLimits
from perpsctl.simulator.clock import SystemClock as ExchangeClock
from perpsctl.simulator.embedded import Embedded
from perpsctl.simulator.inprocess import ORIGIN, InProcessAdapter
from perpsctl.systemports import SystemClock, SystemIds
from tests.rig_keys import key_of

WIDE = 1_000_000
GENEROUS = {"orders_per_minute_max": 100_000, "position_max_share": "0.9"}  # nothing bites while measuring


class Quiet:
    """Says nothing."""

    def note(self, event: str, **facts: object) -> None: ...

    def alarm(self, event: str, **facts: object) -> None: ...


def a_venue(endpoint: Endpoint, key_text: str, embedded: Embedded | None = None) -> AdvancedTradeVenue:
    """A client that waits for no budget, in process where an exchange is given."""
    name, secret = key_of(key_text)
    clock = SystemClock()
    return AdvancedTradeVenue(
        endpoint,
        from_values(name, Secret(secret)),
        clock,
        SystemIds(),
        adapter=None if embedded is None else InProcessAdapter(embedded),
        pacer=Pacer(clock, private_per_second=WIDE, public_per_second=WIDE),
    )


def approved(product: Product, price: str = "50000") -> ApprovedOrder:
    """A resting order far from the market, as the judge would hand it over; a new name each time."""
    intent = an_intent(product, price)
    return ApprovedOrder(
        order=quantize(intent, product), client_order_id=client_order_id(intent.id), judged_at=intent.created_at
    )


def an_intent(product: Product, price: str) -> OrderIntent:
    """A post-only bid of one contract under a new name."""
    return OrderIntent(
        id=IntentId(SystemIds().new()),
        product_id=product.product_id,
        side=Side.BUY,
        size=product.min_size,
        type=OrderType.LIMIT,
        tif=TimeInForce.GTC,
        limit_price=Price(Decimal(price)),
        post_only=True,
        reason="bench",
        again=True,
        created_at=SystemClock().now(),
    )


class Rig:
    """One exchange, one account, one profile, on real time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "state" / "sim"
        self.folder.mkdir(parents=True, mode=0o700)
        self.clock = SystemClock()
        self.embedded = Embedded(ExchangeClock())
        self.embedded.us.budgets.enforced = False
        self.records: list[ExchangeRecord] = []
        self.latch = Latch("sim", self.folder)
        self.venue = a_venue(endpoint_for(Environment.SIM, ORIGIN), self.embedded.key_text("trade"), self.embedded)
        ids = SystemIds()
        account = AccountKey(f"us:sim:{self.embedded.exchange.portfolio_uuid}")
        self.journal = open_journal(self.folder, account, clock=self.clock, ids=ids)
        self.engine = assemble(
            venue=self.venue,
            journal=self.journal,
            halts=CombinedHalts(self.latch, self.journal),
            clock=self.clock,
            ids=ids,
            limits=RiskLimits.from_mapping(GENEROUS),
            diagnostics=Quiet(),
            spool=Spool(self.folder, account, self.clock),
            cash_times=lambda: tuple(time.fromisoformat(t) for t in self.embedded.exchange.control.cash_times()),
        )
        self.product = next(p for p in self.venue.products() if p.alias == "BTC-PERP")

    def far(self, size: str = "0.01") -> OrderIntent:
        """An entry that every rule lets pass and that does not fill."""
        best = self.venue.book(self.product.product_id, 1).best_bid
        assert best is not None
        price = best - 40 * self.product.price_step(best)
        return replace(an_intent(self.product, str(price)), size=Size(Decimal(size)))

    def close(self) -> None:
        """Nothing is left open."""
        self.journal.close()
        self.venue.close()
