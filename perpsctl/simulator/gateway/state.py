"""Everything the gateway's account consists of: USDC, positions, slots, trades and the transaction log.

It shares the core's paths and time with the US account and nothing else: own books, own orders, own money. A position's
session begins at the daily settlement, which turns its result into cash.
"""

from collections import deque
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from perpsctl.simulator.book import LiveOrder
from perpsctl.simulator.calendar import Session
from perpsctl.simulator.gateway.funding import HOUR_US, ContinuousFunding
from perpsctl.simulator.gateway.listing import CONTRACTS, GLOBAL_LISTED, PRICE_BAND, SETTLEMENT_S, Contract
from perpsctl.simulator.gateway.numbered import NumberedTape
from perpsctl.simulator.ledger import Position
from perpsctl.simulator.market import Market
from perpsctl.simulator.options import Options
from perpsctl.simulator.orders import Liquidity, OrderStatus, Side
from perpsctl.simulator.products import PERP_OF_COIN, Product
from perpsctl.simulator.seeded import seed_of
from perpsctl.simulator.state import State

ZERO = Decimal(0)
USDC = "usdc"
CROSS = 0  # the slot number of cross margin
SLOTS_MAX = 20  # isolated slots an account may have (12001)
TRADES_KEPT = 50_000
LOG_KEPT = 50_000
EVENTS_KEPT = 10_000
HOURS_KEPT = 1000
FIRST_TRADE = 1_000_000  # an instrument is some million trades old
MARGIN_MODEL = "segregated_sm"
LOCK_MESSAGE = "locked by the exchange"
Scope = tuple[str, int]  # product id, slot


@dataclass(slots=True, kw_only=True)
class GatewayOrder(LiveOrder):
    """An order with what only the gateway knows of it. `client_order_id` is its label, which need not be unique."""

    kind_word: str  # limit, market, market_limit, stop_limit, stop_market, take_limit, take_market
    tif_word: str
    post_only: bool = False
    reject_post_only: bool = False
    reduce_only: bool = False
    slot: int = CROSS
    trigger_by: str | None = None  # mark_price, index_price, last_price
    trigger_price: Decimal | None = None
    trigger_order_id: str | None = None  # on the order a trigger made: the id of the trigger order
    became: str | None = None  # on a triggered order: the id of the order it made
    replaced: bool = False
    cancel_reason: str | None = None
    connection: str = ""  # the socket it came over; empty for HTTP
    web: bool = False

    @property
    def scope(self) -> Scope:
        """Whose position it changes."""
        return self.product_id, self.slot

    @property
    def is_trigger(self) -> bool:
        """True for an order that waits for its trigger."""
        return self.trigger_price is not None

    @property
    def state_word(self) -> str:
        """The gateway's word for where it stands."""
        if self.became is not None:
            return "triggered"
        if self.is_trigger and self.live:
            return "untriggered"
        if self.status is OrderStatus.FILLED:
            return "filled"
        if self.status is OrderStatus.FAILED:
            return "rejected"
        return "cancelled" if self.status.final else "open"


@dataclass(slots=True, kw_only=True)
class GatewayPosition:
    """One instrument's position in one margin scope. `life` counts from its first trade, `session` from settlement."""

    life: Position = field(default_factory=Position)
    session: Position = field(default_factory=Position)
    funding: Decimal = ZERO  # of the session, booked up to `accrued_us`
    accrued_us: int = 0
    logged_funding: Decimal = ZERO  # what rows of the transaction log have told of the session's funding

    @property
    def contracts(self) -> Decimal:
        """Signed contracts held."""
        return self.life.contracts


@dataclass(frozen=True, slots=True, kw_only=True)
class UserTrade:
    """A fill as the gateway tells it."""

    number: int  # trade_id
    sequence: int  # per instrument
    order_id: str
    label: str
    product_id: str
    side: Side
    price: Decimal
    contracts: Decimal
    amount: Decimal  # coins
    fee: Decimal  # USDC, positive is paid
    liquidity: Liquidity
    order_type: str
    order_state: str
    at: datetime
    index_price: Decimal
    mark_price: Decimal
    profit_loss: Decimal
    is_liquidation: bool
    post_only: bool
    reduce_only: bool
    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRow:
    """One row of the transaction log. What a kind of row has no word for is None."""

    row: int  # of all slots
    number: int  # user_seq: counts the rows of its slot
    kind: str
    at: datetime
    slot: int
    change: Decimal
    balance: Decimal
    equity: Decimal
    product_id: str | None = None
    side: str = "-"
    price: Decimal | None = None
    mark_price: Decimal | None = None
    index_price: Decimal | None = None
    position: Decimal | None = None
    amount: Decimal | None = None
    commission: Decimal | None = None
    interest_pl: Decimal | None = None
    total_interest_pl: Decimal | None = None
    other_slot: int | None = None  # of a transfer: where the money came from or went
    session_upl: Decimal | None = None
    session_rpl: Decimal | None = None
    order_id: str | None = None
    trade: int | None = None
    role: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayEvent:
    """What user channels tell: an order as it stood, or a trade. Numbered from 1 within one account."""

    number: int
    order: GatewayOrder | None = None
    trade: UserTrade | None = None
    scope: Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeMargin:
    """The money of one margin scope at one instant, USDC."""

    balance: Decimal
    session_rpl: Decimal  # trades and funding of the session
    session_upl: Decimal
    total_pl: Decimal
    initial: Decimal  # with open orders
    position_initial: Decimal
    maintenance: Decimal

    @property
    def equity(self) -> Decimal:
        """Cash and session result."""
        return self.balance + self.session_rpl + self.session_upl

    @property
    def available(self) -> Decimal:
        """What new orders may still tie up."""
        return max(ZERO, self.equity - self.initial)


class GatewayState(State):
    """The gateway's account, beside the US account `us` whose paths it shares."""

    LISTED: ClassVar[tuple[Product, ...]] = GLOBAL_LISTED

    def __init__(self, options: Options, start: datetime, account: int, us: State) -> None:
        self._us = us
        super().__init__(options, start, account)
        self.positions_held: dict[Scope, GatewayPosition] = {}
        self.leverage: dict[Scope, Decimal] = {}
        self.slots: dict[str, int] = {}  # product -> its slot while it has one
        self.slots_made = 0
        self.trades: deque[UserTrade] = deque(maxlen=TRADES_KEPT)
        self.rows: deque[LogRow] = deque(maxlen=LOG_KEPT)
        self.row_counts: dict[int, int] = {}
        self.events: deque[GatewayEvent] = deque(maxlen=EVENTS_KEPT)
        self.event_count = 0
        self.numbered = {
            product_id: NumberedTape(
                market, self.timeline, last=FIRST_TRADE + seed_of(options.seed, product_id, "trade_seq") % FIRST_TRADE
            )
            for product_id, market in self.markets.items()
        }
        self.tapes.update(self.numbered)
        self.settled_at: datetime | None = None
        self.settles_at: datetime | None = None  # the next one
        self.settlement_prices: dict[str, Decimal] = {}
        self.locked = False
        self.lock_message = LOCK_MESSAGE
        self.margin_model = MARGIN_MODEL
        self.uid = 90_000 + seed_of(options.seed, "uid") % 10_000
        self._hours: dict[tuple[str, int], tuple[float, float]] = {}  # lowest and highest of whole hours of the path
        self.rates = {p: ContinuousFunding(market, self.timeline) for p, market in self.markets.items()}

    def _open_wallets(self) -> None:
        self.ledger.post(at=self.start, kind="opening", wallet=USDC, amount=self.options.usdc)

    def _open_markets(self) -> dict[str, Market]:
        return {
            product.product_id: Market(
                product,
                self._us.markets[PERP_OF_COIN[product.coin.lower()]].path,
                seed=self.options.seed,
                depth_usd=self.options.depth_usd,
            )
            for product in self.LISTED
        }

    # -- time and gates ------------------------------------------------------------------------------

    def session(self, product_id: str) -> Session:
        """Trading never pauses but for the settlement, maintenance and what control shuts."""
        is_open = not (self._shut(product_id) or self.settling)
        return Session(is_open=is_open, open_time=self.start, close_time=self.start)

    @property
    def settling(self) -> bool:
        """True in the seconds after the daily settlement in which no order is taken (10041)."""
        return self.settled_at is not None and (self.now - self.settled_at).total_seconds() < SETTLEMENT_S

    def limits(self, product_id: str) -> tuple[Decimal, Decimal]:
        """The lowest and highest price a limit order may have now; others are moved there without a word."""
        step, mark = self.products[product_id].price_increment, self.mark(product_id)
        return (mark * (1 - PRICE_BAND) // step + 1) * step, mark * (1 + PRICE_BAND) // step * step

    def day_range(self, product_id: str) -> tuple[Decimal, Decimal]:
        """The lowest and highest quotes of the last 24 hours, as the path's samples tell them."""
        now, ranges = self.host_us, []
        first = now // HOUR_US - 23
        for hour in range(first, now // HOUR_US + 1):
            known = self._hours.get((product_id, hour))
            if known is None:
                end = min((hour + 1) * HOUR_US, now)
                path_us = self.timeline.path_us
                seen = self.markets[product_id].knots(path_us(hour * HOUR_US), path_us(end))
                known = (min(seen), max(seen))
                if end < now:
                    self._hours[product_id, hour] = known
            ranges.append(known)
        if len(self._hours) > HOURS_KEPT:
            self._hours.clear()
        market = self.markets[product_id]
        low = market.touch_of(min(low for low, _ in ranges), self.step)
        high = market.touch_of(max(high for _, high in ranges), self.step)
        return market.price_of(low.bid), market.price_of(high.ask)

    @staticmethod
    def contract(product_id: str) -> Contract:
        """The gateway's terms of a product."""
        return CONTRACTS[product_id]

    # -- orders and events ---------------------------------------------------------------------------

    def own(self, order_id: str) -> GatewayOrder | None:
        """An order by id."""
        order = self.orders.get(order_id)
        assert order is None or isinstance(order, GatewayOrder)
        return order

    def own_orders(self) -> list[GatewayOrder]:
        """Every order kept, oldest first."""
        return [order for order in self.orders.values() if isinstance(order, GatewayOrder)]

    def live_in(self, scope: Scope) -> list[GatewayOrder]:
        """Working orders of a scope, oldest first."""
        return [order for order in self.live.values() if isinstance(order, GatewayOrder) and order.scope == scope]

    def tell(self, order: GatewayOrder, trade: UserTrade | None = None) -> None:
        """An order changed, or traded: user channels hear of it."""
        self.event_count += 1
        told = copy(order) if trade is None else None
        self.events.append(GatewayEvent(number=self.event_count, order=told, trade=trade, scope=order.scope))

    def next_order_id(self, *, trigger: bool = False) -> str:
        """A number no other order of this seed and account has, with the gateway's prefix."""
        self.order_count += 1
        number = 100_000_000_000 + self.account % 1000 * 1_000_000_000 + self.order_count
        return f"USDC-SLTS-{self.order_count + self.account % 1000 * 10_000_000}" if trigger else f"USDC-{number}"

    # -- positions and money -------------------------------------------------------------------------

    def position(self, scope: Scope) -> GatewayPosition:
        """A scope's position, made on first use; its funding is booked up to now."""
        position = self.positions_held.get(scope)
        if position is None:
            position = self.positions_held[scope] = GatewayPosition(accrued_us=self.host_us)
        position.funding += self._unbooked(scope, position)
        position.accrued_us = max(position.accrued_us, self.host_us)
        return position

    def _unbooked(self, scope: Scope, position: GatewayPosition) -> Decimal:
        coins = position.contracts * self.products[scope[0]].unit_size
        return self.rates[scope[0]].paid(coins, position.accrued_us, self.host_us)

    def contracts(self, product_id: str) -> Decimal:
        """Signed contracts held in all scopes of a product."""
        return sum((p.contracts for (known, _), p in self.positions_held.items() if known == product_id), ZERO)

    def exposed(self, product_id: str) -> bool:
        """True while any scope holds something."""
        return any(p.contracts for (known, _), p in self.positions_held.items() if known == product_id)

    def held(self, scope: Scope) -> Decimal:
        """Signed contracts of one scope."""
        position = self.positions_held.get(scope)
        return ZERO if position is None else position.contracts

    def free_slot(self) -> int | None:
        """The slot a new isolated position gets: one that was given back, else another; None when all are bound.

        Ids are kept and used again, for whatever instrument comes (reference 11, isolated margin).
        """
        bound = set(self.slots.values())
        return next((slot for slot in range(1, SLOTS_MAX + 1) if slot not in bound), None)

    def bind_slot(self, product_id: str, slot: int) -> None:
        """The slot belongs to this instrument until it is flat and idle."""
        self.slots[product_id] = slot
        self.slots_made = max(self.slots_made, slot)

    @staticmethod
    def wallet(slot: int) -> str:
        """The ledger's name for a slot's cash."""
        return USDC if slot == CROSS else f"slot:{slot}"

    def scope_initial(self, scope: Scope, contracts: Decimal) -> Decimal:
        """Initial margin of signed contracts: the standard rate, or what the leverage set asks for, the dearer."""
        coins = abs(contracts) * self.products[scope[0]].unit_size
        rate = self.contract(scope[0]).initial_rate(coins)
        leverage = self.leverage.get(scope)
        if leverage is not None:
            rate = max(rate, (1 / leverage).quantize(Decimal("0.00000001")))
        return coins * self.mark(scope[0]) * rate

    def scope_maintenance(self, scope: Scope, contracts: Decimal) -> Decimal:
        """Half of the standard initial margin."""
        coins = abs(contracts) * self.products[scope[0]].unit_size
        return coins * self.mark(scope[0]) * self.contract(scope[0]).initial_rate(coins) / 2

    def scope_required(self, scope: Scope, extra: tuple[Side, Decimal] | None = None, without: str = "") -> Decimal:
        """Initial margin of the worse side with its orders filled, `extra` counted as one more, `without` left out."""
        sums = {Side.BUY: ZERO, Side.SELL: ZERO}
        for order in self.live_in(scope):
            if order.order_id != without and not order.reduce_only:
                sums[order.side] += order.left
        if extra is not None:
            sums[extra[0]] += extra[1]
        held = self.held(scope)
        return max(
            self.scope_initial(scope, held),
            self.scope_initial(scope, max(held + sums[Side.BUY], ZERO)),
            self.scope_initial(scope, min(held - sums[Side.SELL], ZERO)),
        )

    def scopes(self, slot: int) -> list[Scope]:
        """Every product with a position or a working order in a slot."""
        held = [scope for scope, position in self.positions_held.items() if scope[1] == slot and position.contracts]
        orders = [order.scope for order in self.live.values() if isinstance(order, GatewayOrder) and order.slot == slot]
        return list(dict.fromkeys((*held, *orders)))

    def money(
        self, slot: int = CROSS, extra: tuple[Scope, Side, Decimal] | None = None, without: str = ""
    ) -> ScopeMargin:
        """The margin of a slot now, `extra` counted as a working order."""
        rpl = upl = total = initial = own = maintenance = ZERO
        for scope, position in self.positions_held.items():
            if scope[1] != slot:
                continue
            unit, mark = self.products[scope[0]].unit_size, self.mark(scope[0])
            funding = position.funding + self._unbooked(scope, position)
            rpl += position.session.realized_today + funding
            upl += position.session.unrealized(mark, unit)
            total += position.life.unrealized(mark, unit)
            own += self.scope_initial(scope, position.contracts)
            maintenance += self.scope_maintenance(scope, position.contracts)
        wanted = self.scopes(slot) if extra is None else list(dict.fromkeys((*self.scopes(slot), extra[0])))
        for scope in wanted:
            more = (extra[1], extra[2]) if extra is not None and extra[0] == scope else None
            initial += self.scope_required(scope, more, without)
        return ScopeMargin(
            balance=self.ledger.balance(self.wallet(slot)),
            session_rpl=rpl,
            session_upl=upl,
            total_pl=total,
            initial=initial,
            position_initial=own,
            maintenance=maintenance,
        )

    def move_collateral(self, source: int, target: int, amount: Decimal, reference: str) -> None:
        """Cash goes from one slot to another, with a row in the log on either side."""
        self.ledger.move(
            at=self.now, source=self.wallet(source), target=self.wallet(target), amount=amount, reference=reference
        )
        for slot, other, change in ((source, target, -amount), (target, source, amount)):
            self.log_row(kind="transfer", slot=slot, change=change, other_slot=other)

    def log_row(self, *, kind: str, slot: int, change: Decimal, **told: object) -> None:
        """Writes a row; balance and equity are those after it."""
        self.row_counts[slot] = self.row_counts.get(slot, 0) + 1
        money = self.money(slot)
        self.rows.append(
            LogRow(
                row=sum(self.row_counts.values()),
                number=self.row_counts[slot],
                kind=kind,
                at=self.now,
                slot=slot,
                change=change,
                balance=money.balance,
                equity=money.equity,
                **told,  # type: ignore[arg-type]  # the fields of LogRow by name
            )
        )
