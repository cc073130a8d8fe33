"""The whole product in one process on virtual time: real client, real desk, real journal, the embedded exchange.

Nothing is faked but time and chance: sleeping moves the clock, and the exchange lives on the same clock.
"""

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

from perpsctl.domain.ids import AccountKey, IntentId
from perpsctl.domain.numbers import Price, Size
from perpsctl.domain.orders import OrderIntent, OrderType, TimeInForce
from perpsctl.domain.ports import Journal, Venue
from perpsctl.domain.products import Environment, Product, VenueId
from perpsctl.domain.sides import Side
from perpsctl.engine.killswitch import KillSwitch
from perpsctl.engine.parts import Engine, assemble
from perpsctl.exchange.advanced_trade import AdvancedTradeVenue
from perpsctl.exchange.credentials import Credentials, Secret, from_values
from perpsctl.exchange.global_derivatives import GlobalDerivativesVenue
from perpsctl.exchange.hosts import endpoint_for
from perpsctl.exchange.transport import ExchangeRecord
from perpsctl.journal.halts import CombinedHalts
from perpsctl.journal.opening import open_journal
from perpsctl.journal.spool import Spool
from perpsctl.journal.store import SqlJournal
from perpsctl.latch import Latch
from perpsctl.risk.limits import RiskLimits
from perpsctl.simulator.clock import ManualClock
from perpsctl.simulator.embedded import Embedded
from perpsctl.simulator.inprocess import GLOBAL_ORIGIN, ORIGIN, InProcessAdapter
from perpsctl.simulator.options import Options
from perpsctl.simulator.views import JudgedOrder
from tests.rig_keys import key_of

START = datetime(2026, 11, 22, 10, tzinfo=UTC)


class VirtualClock(ManualClock):
    """Serves client and exchange: sleeping moves it, and stepping the wall clock leaves the monotonic count alone."""

    def __init__(self, start: datetime = START) -> None:
        super().__init__(start)
        self._passed = timedelta(0)
        self.on_sleep: Callable[[], None] = lambda: None

    def advance(self, seconds: int = 0, *, milliseconds: int = 0) -> datetime:
        self._passed += timedelta(seconds=seconds, milliseconds=milliseconds)
        return super().advance(seconds, milliseconds=milliseconds)

    def monotonic_ns(self) -> int:
        return 1_000_000_000 + self._passed // timedelta(microseconds=1) * 1000

    def sleep(self, duration: timedelta) -> None:
        self.advance(milliseconds=max(1, -(-duration // timedelta(milliseconds=1))))
        self.on_sleep()


class SeededIds:
    """Names in order, so that the same story has the same names."""

    def __init__(self, seed: int = 1) -> None:
        self._seed = seed
        self._count = itertools.count(1)

    def new(self) -> str:
        return f"{self._seed:08x}-0000-4000-8000-{next(self._count):012x}"

    def nonce(self) -> str:
        return f"{next(self._count):064x}"

    def jitter(self) -> int:
        return next(self._count) * 7919 % 1_000_000


class Talk:
    """Keeps what was said."""

    def __init__(self) -> None:
        self.alarms: list[str] = []

    def note(self, event: str, **facts: object) -> None: ...

    def alarm(self, event: str, **facts: object) -> None:
        self.alarms.append(event)


class World:
    """One exchange, one account, one profile of one of its two venues."""

    def __init__(
        self,
        folder: Path,
        *,
        options: Options | None = None,
        limits: RiskLimits | None = None,
        venue: VenueId = VenueId.US,
    ) -> None:
        self.venue_id = venue
        self.folder = folder / "state" / "sim"
        self.clock = VirtualClock()
        self.embedded = Embedded(self.clock, options)
        self.clock.on_sleep = self.embedded.advance
        self.ids = SeededIds()
        self.talk = Talk()
        self.limits = limits or RiskLimits()
        self.records: list[ExchangeRecord] = []
        self.latch = Latch("sim", self.folder)
        self.folder.mkdir(parents=True, mode=0o700)
        self.prepared()
        self.start()

    def prepared(self) -> None:
        """What a harness puts in place before the first process begins."""

    def start(self) -> None:
        """A process begins: client, journal and engine are built anew over what is on disk."""
        name, secret = key_of(self.embedded.key_text("trade"))
        self.venue = self.client(from_values(name, Secret(secret)))
        portfolio = self.embedded.exchange.judge_view().portfolio_uuid
        self.account = AccountKey(f"{self.venue_id.value}:sim:{portfolio}")
        self.journal: SqlJournal = self.opened_journal()
        self.halts = CombinedHalts(self.latch, self.journal)
        self.assemble(self.venue, self.journal)
        self.switch = KillSwitch(
            latch=self.latch,
            journal=self.journal,
            halts=self.halts,
            clock=self.clock,
            diagnostics=self.talk,
            outside=self.engine.venue_side,
        )

    def opened_journal(self) -> SqlJournal:
        """The profile's journal, as a process opens it."""
        return open_journal(self.folder, self.account, clock=self.clock, ids=self.ids)

    def adapter(self) -> InProcessAdapter:
        """What carries the client's requests to the exchange."""
        if self.venue_id is VenueId.GLOBAL:
            return InProcessAdapter(self.embedded, face=self.embedded.global_)
        return InProcessAdapter(self.embedded)

    def client(self, key: Credentials) -> AdvancedTradeVenue | GlobalDerivativesVenue:
        """The profile's venue, in process."""
        if self.venue_id is VenueId.GLOBAL:
            return GlobalDerivativesVenue(
                endpoint_for(Environment.SIM, GLOBAL_ORIGIN, venue=VenueId.GLOBAL),
                key,
                self.clock,
                self.ids,
                adapter=self.adapter(),
                observer=self.records.append,
            )
        return AdvancedTradeVenue(
            endpoint_for(Environment.SIM, ORIGIN),
            key,
            self.clock,
            self.ids,
            adapter=self.adapter(),
            observer=self.records.append,
        )

    def assemble(self, venue: Venue, journal: Journal) -> None:
        """The engine over this venue and journal: the real ones, or what a test puts around them."""
        self.engine: Engine = assemble(
            venue=venue,
            journal=journal,
            halts=self.halts,
            clock=self.clock,
            ids=self.ids,
            limits=self.limits,
            diagnostics=self.talk,
            spool=Spool(self.folder, self.account, self.clock),
            cash_times=self.cash_times,
        )

    def cash_times(self) -> tuple[time, ...]:
        """When funding becomes cash: at the gateway with the daily settlement."""
        if self.venue_id is VenueId.GLOBAL:
            return (time(8),)
        return tuple(time.fromisoformat(text) for text in self.embedded.exchange.control.cash_times())

    def restart(self) -> None:
        """The process died and another begins; the exchange went on."""
        self.close()
        self.start()

    def close(self) -> None:
        self.journal.close()
        self.venue.close()

    # --- what a test asks --------------------------------------------------------------------------------------

    def product(self) -> Product:
        return next(p for p in self.venue.products() if p.alias == "BTC-PERP")

    def intent(
        self,
        *,
        side: Side = Side.BUY,
        size: str = "0.01",
        price: str | None = None,
        below: int = 40,
        tif: TimeInForce = TimeInForce.GTC,
        post_only: bool = True,
        named: str | None = None,
    ) -> OrderIntent:
        """A limit order; without a price it stands `below` steps away from its own best price."""
        product = self.product()
        if price is None:
            book = self.venue.book(product.product_id, 1)
            best = book.best_bid if side is Side.BUY else book.best_ask
            assert best is not None
            limit = Price(best - side.sign * below * product.price_step(best))
        else:
            limit = Price(Decimal(price))
        return OrderIntent(
            id=IntentId(named or self.ids.new()),
            product_id=product.product_id,
            side=side,
            size=Size(Decimal(size)),
            type=OrderType.LIMIT,
            tif=tif,
            limit_price=limit,
            post_only=post_only,
            reason="test",
            created_at=self.clock.now(),
        )

    def arm(
        self, fault: str, *, operation: str = "create_order", count: int | None = 1, **parameters: str | int
    ) -> None:
        """A fault of the exchange, by catalogue id or name."""
        self.embedded.exchange.faults.arm(fault, operation=operation, count=count, **parameters)  # type: ignore[arg-type]

    def heal(self) -> None:
        self.embedded.exchange.faults.disarm()

    def orders_of(self, intent: OrderIntent) -> tuple[JudgedOrder, ...]:
        """Every order the exchange truly holds for this intent: the judge's word."""
        return tuple(o for o in self.embedded.exchange.judge_view().orders if o.client_order_id == intent.id)

    def creates(self) -> int:
        """How many create requests the exchange received."""
        return sum(1 for r in self.embedded.exchange.judge_view().requests if r.operation == "create_order")
