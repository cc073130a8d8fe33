"""What the control face may do to an exchange: set its state, never anybody's limits.

Each call takes the exchange's lock and first brings the exchange to now, so a change holds from now on and never
reaches back. Bad values are ValueError with a plain reason; unknown products are LookupError.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from perpsctl.domain.numbers import multiple_of
from perpsctl.simulator.core import Core
from perpsctl.simulator.gateway.state import CROSS, LOCK_MESSAGE, USDC, GatewayState
from perpsctl.simulator.ledger import CBI, CENT_PARTS, CFM, Position
from perpsctl.simulator.lifecycle import Lifecycle
from perpsctl.simulator.margin import CENT
from perpsctl.simulator.market import Market
from perpsctl.simulator.options import Dedupe
from perpsctl.simulator.orders import CreateAnswer, OrderRequest
from perpsctl.simulator.products import STATUS_FLAGS
from perpsctl.simulator.state import State
from perpsctl.simulator.views import MarketTrade

BALANCE_MAX = Decimal(10**12)
WORD_MAX = 60
Rows = tuple[tuple[Decimal, Decimal], ...]
Enter = Callable[[], AbstractContextManager[Core]]


class Control:
    """Sets state. Made by the exchange, reached as `exchange.control`."""

    def __init__(self, enter: Enter) -> None:
        self._enter = enter

    # -- market --------------------------------------------------------------------------------------

    def set_price(self, product_id: str, price: Decimal, *, hold: bool = False) -> None:
        """The product's path passes through `price` now; with `hold` it stays there until released."""
        with self._enter() as core:
            market = _market(core, product_id)
            if not price.is_finite() or price < 2 * market.product.price_increment:
                raise ValueError("a price is at least two steps")
            market.shift_to(_state(core, product_id).step, price, hold=hold)
            _print(core, product_id)
            core.meet_market()

    def release_price(self, product_id: str) -> None:
        """A held price moves on from where it stands."""
        with self._enter() as core:
            _market(core, product_id).release(core.state.step)

    def set_index(self, product_id: str, price: Decimal | None) -> None:
        """The index says `price` (None: it is missing) until `clear_index`."""
        with self._enter() as core:
            _market(core, product_id).index_set[:] = [price]

    def clear_index(self, product_id: str) -> None:
        """The index follows the path again."""
        with self._enter() as core:
            _market(core, product_id).index_set.clear()

    def set_book(self, product_id: str, bids: Rows, asks: Rows) -> None:
        """The makers' whole book is these (price, contracts) until `clear_book`; a side may be empty, not crossed."""
        with self._enter() as core:
            market = _market(core, product_id)
            sides = [_ticks(market, rows) for rows in (bids, asks)]
            if sides[0] and sides[1] and max(sides[0]) >= min(sides[1]):
                raise ValueError("the bids lie below the asks")
            _state(core, product_id).mark(product_id)
            _state(core, product_id).tapes[product_id].keep()
            market.fixed = (sides[0], sides[1])
            _print(core, product_id)
            core.meet_market()

    def clear_book(self, product_id: str) -> None:
        """The makers quote around the path again."""
        with self._enter() as core:
            _state(core, product_id).tapes[product_id].keep()
            _market(core, product_id).fixed = None

    def set_status(self, product_id: str, **flags: bool) -> None:
        """Sets trading gates by name (`products.Status`); reopening a session releases queued orders."""
        with self._enter() as core:
            _market(core, product_id)
            unknown = flags.keys() - STATUS_FLAGS
            if unknown:
                raise ValueError(f"no status flag is called {', '.join(sorted(unknown))}")
            for name, value in flags.items():
                setattr(_state(core, product_id).status[product_id], name, bool(value))
            core.timeflow.release_queued(core.state.now)

    def expire_session(self, product_id: str, closed: bool = True) -> None:
        """Closes (or reopens) the product's trading session now."""
        self.set_status(product_id, session_closed=closed)

    def set_maintenance(self, product_id: str, start: datetime, end: datetime) -> None:
        """Announces a maintenance window; inside it the session is closed and orders are refused."""
        with self._enter() as core:
            _market(core, product_id)
            if start.tzinfo is None or end.tzinfo is None or start >= end:
                raise ValueError("a window has a start before its end, both with a time zone")
            _state(core, product_id).status[product_id].maintenance_window = (
                start.astimezone(UTC),
                end.astimezone(UTC),
            )
            core.timeflow.due(max(end.astimezone(UTC), core.state.now), core.timeflow.release_queued)

    def set_increments(
        self,
        product_id: str,
        *,
        price_increment: Decimal | None = None,
        base_increment: Decimal | None = None,
        base_min_size: Decimal | None = None,
        contract_size: Decimal | None = None,
    ) -> None:
        """Changes the listing mid-run (fault M5). ValueError while orders work, or a position is held on the old size."""
        with self._enter() as core:
            market, state = _market(core, product_id), _state(core, product_id)
            given = [
                value for value in (price_increment, base_increment, base_min_size, contract_size) if value is not None
            ]
            if any(not value.is_finite() or value <= 0 for value in given):
                raise ValueError("increments are above zero")
            product = market.product
            if price_increment is not None and any(o.product_id == product_id for o in state.live.values()):
                raise ValueError("working orders stand on the old price grid; cancel them first")
            if contract_size is not None:
                if product.future is None or state.contracts(product_id):
                    raise ValueError("the contract size changes only for a future without a position")
                product = replace(product, future=replace(product.future, contract_size=contract_size))
            product = replace(
                product,
                price_increment=price_increment or product.price_increment,
                base_increment=base_increment or product.base_increment,
                base_min_size=base_min_size or product.base_min_size,
            )
            state.tapes[product_id].keep()
            state.products[product_id] = product
            market.replace_product(product)
            state.tapes[product_id].forget()

    # -- account -------------------------------------------------------------------------------------

    def set_position(self, product_id: str, contracts: Decimal, average_entry: Decimal | None = None) -> None:
        """Holds signed `contracts` from now on, entered at `average_entry` (default: the mark). No cash moves."""
        with self._enter() as core:
            product, state = _market(core, product_id).product, _state(core, product_id)
            if not product.is_future or not contracts.is_finite() or not multiple_of(contracts, product.base_increment):
                raise ValueError("a position is a whole number of contracts of a future")
            entry = state.mark(product_id) if average_entry is None else average_entry
            if not entry.is_finite() or entry <= 0 or entry != entry.quantize(CENT_PARTS):
                raise ValueError("an entry price is above zero, of at most eight decimals")
            if isinstance(state, GatewayState):
                held = state.position((product_id, CROSS))
                told: tuple[Position, ...] = (held.life, held.session)
            else:
                told = (state.positions.setdefault(product_id, Position()),)
            for position in told:
                position.contracts, position.cost = contracts, contracts * product.unit_size * entry
            _lifecycle(core, product_id).check_liquidation(state.now)

    def set_balance(
        self, *, cbi_usd: Decimal | None = None, cfm_usd: Decimal | None = None, usdc: Decimal | None = None
    ) -> None:
        """Sets wallets; the difference is a ledger row of its own kind."""
        with self._enter() as core:
            now, us, gateway = core.state.now, core.state.ledger, core.gateway.state.ledger
            for ledger, wallet, amount in ((us, CBI, cbi_usd), (us, CFM, cfm_usd), (gateway, USDC, usdc)):
                if amount is not None:
                    if not amount.is_finite() or abs(amount) >= BALANCE_MAX or amount != amount.quantize(CENT):
                        raise ValueError("a balance is an amount of whole cents below 10**12")
                    ledger.post(at=now, kind="set_balance", wallet=wallet, amount=amount - ledger.balance(wallet))
            core.lifecycle.check_liquidation(now)
            core.gateway.lifecycle.check_liquidation(now)

    def move_money(self, usdc: Decimal) -> None:
        """USDC arrives at the gateway (above zero) or leaves it: cash moves, and the transaction log tells a row of it."""
        with self._enter() as core:
            state = core.gateway.state
            if not usdc.is_finite() or usdc == 0 or abs(usdc) >= BALANCE_MAX or usdc != usdc.quantize(CENT):
                raise ValueError("an amount is whole cents below 10**12, and not zero")
            if -usdc > state.money().available:
                raise ValueError("no more leaves than margin leaves free")
            state.ledger.post(at=state.now, kind="transfer", wallet=USDC, amount=usdc)
            state.log_row(kind="deposit" if usdc > 0 else "withdrawal", slot=CROSS, change=usdc)

    def set_fees(self, *, maker: Decimal, taker: Decimal) -> None:
        """Fee rates from now on, as shares of notional (a maker rate may be a rebate)."""
        with self._enter() as core:
            if not (_is_share(maker) and _is_share(taker)):
                raise ValueError("fee rates are shares below one, of at most eight decimals")
            core.state.maker_fee_rate, core.state.taker_fee_rate = maker, taker

    def set_dedupe(self, mode: str) -> None:
        """How long client order ids are remembered: forever, 60s, never."""
        with self._enter() as core:
            core.state.dedupe = Dedupe(mode)

    def set_funding(self, product_id: str, rate: Decimal | None) -> None:
        """The hourly rate, or None to follow the premium again; the gateway's eight-hour rate is eight times that."""
        with self._enter() as core:
            _market(core, product_id)
            if rate is not None and not _is_share(rate):
                raise ValueError("an hourly rate is a share below one, of at most eight decimals")
            gateway = core.gateway.state
            if product_id in gateway.rates:
                gateway.rates[product_id].fix(gateway.host_us, None if rate is None else rate * 8)
            else:
                core.state.funding.set(product_id, rate)

    def set_cash_times(self, times: tuple[str, ...]) -> None:
        """Times of day (`HH:MM` UTC) at which funding becomes cash; none: never."""
        with self._enter() as core:
            core.state.calendar.set_cash_times(times)
            core.timeflow.plan_cash()

    def cash_times(self) -> tuple[str, ...]:
        """The times of day of the cash events, UTC."""
        with self._enter() as core:
            return core.state.calendar.cash_times

    def next_cash_event(self) -> datetime | None:
        """The next cash event; None when there are none."""
        with self._enter() as core:
            return core.state.calendar.next_cash_event(core.state.now)

    # -- others --------------------------------------------------------------------------------------

    def inject_order(self, request: OrderRequest) -> CreateAnswer:
        """An order placed by somebody else on this portfolio (`request.source`)."""
        with self._enter() as core:
            entries = core.gateway.trading if request.product_id in core.gateway.state.products else core.entries
            return entries.inject(request)

    def external_fill(self, order_id: str, contracts: Decimal, price: Decimal | None = None) -> None:
        """Somebody fills a live order, wherever the market stands."""
        with self._enter() as core:
            entries = core.gateway.trading if order_id in core.gateway.state.orders else core.entries
            entries.external_fill(order_id, contracts, price)

    def liquidate(self, product_id: str) -> bool:
        """The exchange closes the position; False when there was none or nobody to trade with."""
        with self._enter() as core:
            _market(core, product_id)
            return _lifecycle(core, product_id).liquidate(product_id, core.state.now)

    def set_locked(self, locked: bool, message: str = LOCK_MESSAGE) -> None:
        """The gateway's platform is locked: no order is taken (10019), user locks tell of it in these words."""
        with self._enter() as core:
            core.gateway.state.locked, core.gateway.state.lock_message = locked, message

    def set_margin_model(self, model: str) -> None:
        """What the gateway's account summary calls the margin model; what margin costs stays as it is."""
        if not model.isidentifier() or len(model) > WORD_MAX:
            raise ValueError(f"a margin model is one word of at most {WORD_MAX} letters")
        with self._enter() as core:
            core.gateway.state.margin_model = model

    def settle(self) -> None:
        """The gateway's daily settlement happens now; the next one stays where it was planned."""
        with self._enter() as core:
            core.gateway.timeflow.settle(core.gateway.state.now)


def _state(core: Core, product_id: str) -> State:
    """The account whose product it is."""
    return core.gateway.state if product_id in core.gateway.state.products else core.state


def _lifecycle(core: Core, product_id: str) -> Lifecycle:
    return core.gateway.lifecycle if product_id in core.gateway.state.products else core.lifecycle


def _market(core: Core, product_id: str) -> Market:
    market = _state(core, product_id).markets.get(product_id)
    if market is None:
        raise LookupError("no such product")
    return market


def _print(core: Core, product_id: str) -> None:
    """One public trade at the new bid, so that the last price agrees with the book that was set."""
    state = _state(core, product_id)
    touch = state.touch(product_id)
    if touch is not None:
        core.jumps += 1
        state.tapes[product_id].print_own(
            MarketTrade(
                trade_id=state.new_id("jump", core.jumps),
                product_id=product_id,
                price=state.markets[product_id].price_of(touch.bid),
                size=Decimal(1),
                time=state.now,
                side="BUY",
            )
        )


def _is_share(value: Decimal) -> bool:
    """Few decimals keep every later sum exact within the 28 digits of a Decimal."""
    return value.is_finite() and abs(value) < 1 and value == value.quantize(CENT_PARTS)


def _ticks(market: Market, rows: Rows) -> dict[int, int]:
    step = market.product.price_increment
    found: dict[int, int] = {}
    for price, contracts in rows:
        if price <= 0 or contracts <= 0 or not multiple_of(price, step) or not multiple_of(contracts, Decimal(1)):
            raise ValueError("book rows are prices on the grid and whole contracts above zero")
        found[int(price / step)] = found.get(int(price / step), 0) + int(contracts)
    return found
