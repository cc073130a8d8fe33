"""What the sockets of the US venue tell, made once for all of them: books, trades, tickers, candles, orders, money.

Spelling after Advanced Trade reference section 11 and its samples (2026-11-22). Everything is read from the exchange's own
state with its lock held; a product that fault M2 froze is read as it stood.
"""

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from perpsctl.simulator.book import LiveOrder
from perpsctl.simulator.bookfeed import BookFeed
from perpsctl.simulator.core import Core
from perpsctl.simulator.exchange import Exchange
from perpsctl.simulator.faces.spelling import maybe, plain, stamp
from perpsctl.simulator.orders import OrderView, RejectReason
from perpsctl.simulator.seeded import seed_of
from perpsctl.simulator.state import State
from perpsctl.simulator.tape import micros
from perpsctl.simulator.views import MarketTrade, WindowMeasure
from perpsctl.wire.advanced_trade import socket as wire
from perpsctl.wire.advanced_trade.futures import BalanceSummary, MarginWindowMeasure
from perpsctl.wire.advanced_trade.market import CandleBody, TradeBody

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZERO_TIME = "0001-01-01T00:00:00Z"
TRADES_TOLD = 100
CANDLES_TOLD = 20
BUCKET_MINUTES = 5
DAY_SAMPLES = 96  # quarters of an hour whose prices make the day's range
ORDERS_LOGGED = 5000
SPELLED_KEPT = 400
_YEAR_LOW, _YEAR_HIGH = Decimal("0.45"), Decimal("1.75")  # of the start price: the exchange has no year behind it


class OrderLog:
    """Every change of an order as it was seen, numbered from 1."""

    def __init__(self) -> None:
        self.count = 0
        self._rows: deque[tuple[int, wire.UserOrder]] = deque(maxlen=ORDERS_LOGGED)
        self._newest = 0
        self._signs: dict[str, tuple[Hashable, ...]] = {}

    def look(self, core: Core) -> None:
        """What changed since the last look is told, in the order in which orders were created."""
        state = core.state
        born: list[LiveOrder] = []
        for order in reversed(state.orders.values()):
            if order.number <= self._newest:
                break
            born.append(order)
        known = [state.orders[order_id] for order_id in self._signs if order_id in state.orders]
        for order in [*known, *reversed(born)]:
            sign = _sign(order)
            if self._signs.get(order.order_id) != sign:
                self.count += 1
                self._rows.append((self.count, order_row(core.listings.order(order))))
                self._signs[order.order_id] = sign
        if born:
            self._newest = max(self._newest, born[0].number)
        self._signs = {order_id: sign for order_id, sign in self._signs.items() if order_id in state.live}

    def skip(self, core: Core) -> None:
        """What is there already is nobody's news."""
        state = core.state
        self._newest = max((order.number for order in state.orders.values()), default=0)
        self._signs = {order.order_id: _sign(order) for order in state.live.values()}

    def since(self, number: int) -> list[wire.UserOrder]:
        """The changes after a number, oldest first."""
        return [row for counted, row in self._rows if counted > number]


def _sign(order: LiveOrder) -> tuple[Hashable, ...]:
    return order.status, order.filled, order.fills, order.size, order.ticks, order.trigger, order.updated


class UsFeeds:
    """One account's sources. A reset makes others. Guarded by the exchange's lock."""

    def __init__(self, exchange: Exchange, core: Core) -> None:
        self._exchange = exchange
        self.account = core.state.account
        self._began = core.state.start
        self._uptime_s = 66_000 + seed_of(exchange.options.seed, "uptime") % 10_000
        self._books: dict[str, tuple[Decimal, BookFeed]] = {}
        self._spelled: dict[tuple[int, int, str], bytes] = {}
        self._made: dict[tuple[str, str], tuple[Hashable, Any]] = {}
        self._log: OrderLog | None = None
        self.past: dict[str, deque[tuple[str, bytes, datetime]]] = {}  # updates told, by channel, for W8

    # --- spelling ------------------------------------------------------------------------------------------

    @staticmethod
    def stamp(at: datetime) -> str:
        """An instant of an event."""
        return stamp(at)

    def go_time(self, at: datetime) -> str:
        """As Go prints a time with its monotonic part."""
        up = at - self._began + timedelta(seconds=self._uptime_s)
        whole = up // timedelta(seconds=1)
        rest = (up - timedelta(seconds=whole)) // timedelta(microseconds=1)
        return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond:06d}045 +0000 UTC m=+{whole}.{rest:06d}162"

    def heartbeat_count(self, at: datetime) -> int:
        """Where a new connection's counter begins: seconds the venue is up."""
        return (at - self._began) // timedelta(seconds=1) + self._uptime_s

    def spelled(self, feed: BookFeed, number: int, kind: str, make: Callable[[], bytes]) -> bytes:
        """The events of one version, spelled once for all subscribers."""
        key = (id(feed), number, kind)
        found = self._spelled.get(key)
        if found is None:
            if len(self._spelled) >= SPELLED_KEPT:
                self._spelled.clear()
            found = self._spelled[key] = make()
        return found

    def _once(self, what: str, product_id: str, key: Hashable, make: Callable[[], Any]) -> Any:
        """Made again only when `key` is another."""
        known = self._made.get((what, product_id))
        if known is None or known[0] != key:
            known = self._made[what, product_id] = (key, make())
        return known[1]

    # --- markets -------------------------------------------------------------------------------------------

    def book(self, core: Core, product_id: str) -> BookFeed:
        """The book's versions up to now; another feed after the price grid changed."""
        state = core.state
        step = state.products[product_id].price_increment
        known = self._books.get(product_id)
        if known is None or known[0] != step:
            known = self._books[product_id] = (step, BookFeed(product_id, None, lambda _: 0))
        with state.as_of(self._exchange.faults.frozen(product_id)):
            known[1].refresh(state)
        return known[1]

    def trades(self, core: Core, product_id: str) -> tuple[MarketTrade, ...]:
        """Recent trades, newest first."""
        state = core.state
        with state.as_of(self._exchange.faults.frozen(product_id)):
            key = (state.step, state.fill_count, core.jumps)
            rows: tuple[MarketTrade, ...] = self._once(
                "trades", product_id, key, lambda: state.tapes[product_id].trades(TRADES_TOLD, state.step)
            )
        return rows

    @staticmethod
    def trade_row(trade: MarketTrade) -> TradeBody:
        """One public trade."""
        return TradeBody(
            trade_id=trade.trade_id,
            product_id=trade.product_id,
            price=plain(trade.price),
            size=plain(trade.size),
            side=trade.side,
            time=stamp(trade.time),
        )

    def ticker(self, core: Core, product_id: str, *, best: bool = True) -> wire.TickerRow:
        """The ticker; `ticker_batch` leaves the best prices out."""
        state = core.state
        with state.as_of(self._exchange.faults.frozen(product_id)):
            key = (state.step, state.fill_count, core.jumps, state.request_count)
            row: wire.TickerRow = self._once(
                f"ticker {best}", product_id, key, lambda: self._ticker(core, product_id, best=best)
            )
        return row

    def _ticker(self, core: Core, product_id: str, *, best: bool) -> wire.TickerRow:
        state = core.state
        tape, product = state.tapes[product_id], state.products[product_id]
        last = tape.last(state.step)
        low, high = self._day_range(state, product_id, last)
        quotes: dict[str, str] = {}
        if best:
            view = core.reads.book(product, 1)
            bid, ask = (side[0] if side else None for side in (view.bids, view.asks))
            quotes = {
                "best_bid": "" if bid is None else plain(bid.price),
                "best_bid_quantity": "" if bid is None else plain(bid.size),
                "best_ask": "" if ask is None else plain(ask.price),
                "best_ask_quantity": "" if ask is None else plain(ask.size),
            }
        return wire.TickerRow(
            type="ticker",
            product_id=product_id,
            price=plain(last),
            volume_24_h=plain(tape.volume_24h(state.step)),
            low_24_h=plain(low),
            high_24_h=plain(high),
            low_52_w=plain(min(low, product.start_price * _YEAR_LOW)),
            high_52_w=plain(max(high, product.start_price * _YEAR_HIGH)),
            price_percent_chg_24_h=plain(tape.change_24h(state.step, state.host_us)),
            **quotes,
        )

    def _day_range(self, state: State, product_id: str, last: Decimal) -> tuple[Decimal, Decimal]:
        """The day's range by a price each quarter of an hour, and what was seen since."""
        quarter = state.host_us // 900_000_000

        def sampled() -> list[Decimal]:
            market, path_us = state.markets[product_id], state.timeline.path_us
            prices = [market.price_at(path_us((quarter - back) * 900_000_000)) for back in range(DAY_SAMPLES)]
            ends = [market.touch_of(price, state.step) for price in (min(prices), max(prices))]
            return [market.price_of(ends[0].bid), market.price_of(ends[1].ask)]

        seen: list[Decimal] = self._once("range", product_id, (quarter, state.markets[product_id].shifts[-1:]), sampled)
        seen[:] = [min(seen[0], last), max(seen[1], last)]
        return seen[0], seen[1]

    def candles(self, core: Core, product_id: str) -> tuple[CandleBody, ...]:
        """Five-minute buckets, newest first."""
        state = core.state
        with state.as_of(self._exchange.faults.frozen(product_id)):
            rows: tuple[CandleBody, ...] = self._once(
                "candles", product_id, (state.step, core.jumps), lambda: _candles(state, product_id)
            )
        return rows

    def status_rows(self, core: Core, ids: Sequence[str]) -> list[wire.StatusRow]:
        """What is listed, of `ids` or at all."""
        state = core.state
        rows = []
        for product_id, product in state.products.items():
            status = state.status[product_id]
            if status.hidden or (ids and product_id not in ids):
                continue
            closed = status.is_disabled or status.trading_disabled or status.view_only
            word = "offline" if closed else "limit_only" if status.limit_only else "online"
            rows.append(
                wire.StatusRow(
                    product_type=product.product_type,
                    id=product_id,
                    base_currency=product.base_currency_id or product.coin,
                    quote_currency="USD",
                    base_increment=plain(product.base_increment),
                    quote_increment=plain(product.quote_increment),
                    display_name=product.display_name,
                    status=word,
                    status_message="",
                    min_market_funds=plain(product.quote_min_size),
                )
            )
        return rows

    # --- the account -----------------------------------------------------------------------------------------

    def orders(self, core: Core) -> OrderLog:
        """Every change of an order up to now, from the first subscription on."""
        if self._log is None:
            self._log = OrderLog()
            self._log.skip(core)
        self._log.look(core)
        return self._log

    @staticmethod
    def live_orders(core: Core) -> list[wire.UserOrder]:
        """Every order that may still fill."""
        return [order_row(core.listings.order(order)) for order in core.state.live.values()]

    @staticmethod
    def positions(core: Core) -> tuple[wire.UserFuturesPosition, ...]:
        """Every futures position: CDE perps expire in name, so they stand here (inferred, reference 11.3)."""
        return tuple(
            wire.UserFuturesPosition(
                product_id=view.product_id,
                side=view.side.title(),
                number_of_contracts=plain(view.number_of_contracts),
                realized_pnl=plain(view.daily_realized_pnl),
                unrealized_pnl=plain(view.unrealized_pnl),
                entry_price=plain(view.avg_entry_price),
            )
            for view in core.reads.positions()
        )

    def balance(self, core: Core) -> BalanceSummary:
        """The futures account: the REST summary's fields as flat text."""
        key = core.state.now
        found: BalanceSummary = self._once("balance", "", key, lambda: _balance(core))
        return found


def _candles(state: State, product_id: str) -> tuple[CandleBody, ...]:
    now = state.now
    rows = state.tapes[product_id].buckets(
        start=now - timedelta(minutes=BUCKET_MINUTES * CANDLES_TOLD),
        end=now,
        minutes=BUCKET_MINUTES,
        now=now,
        limit=CANDLES_TOLD,
    )
    return tuple(
        CandleBody(
            start=str(micros(row.start) // 1_000_000),
            high=plain(row.high),
            low=plain(row.low),
            open=plain(row.open),
            close=plain(row.close),
            volume=plain(row.volume),
            product_id=product_id,
        )
        for row in rows
    )


def _balance(core: Core) -> BalanceSummary:
    view = core.reads.balance_summary()
    return BalanceSummary(
        futures_buying_power=plain(view.futures_buying_power),
        total_usd_balance=plain(view.total_usd_balance),
        cbi_usd_balance=plain(view.cbi_usd_balance),
        cfm_usd_balance=plain(view.cfm_usd_balance),
        total_open_orders_hold_amount=plain(view.total_open_orders_hold_amount),
        unrealized_pnl=plain(view.unrealized_pnl),
        daily_realized_pnl=plain(view.daily_realized_pnl),
        initial_margin=plain(view.initial_margin),
        available_margin=plain(view.available_margin),
        liquidation_threshold=plain(view.liquidation_threshold),
        liquidation_buffer_amount=plain(view.liquidation_buffer_amount),
        liquidation_buffer_percentage=plain(view.liquidation_buffer_percentage),
        intraday_margin_window_measure=_measure(view.intraday),
        overnight_margin_window_measure=_measure(view.overnight),
    )


def _measure(view: WindowMeasure) -> MarginWindowMeasure:
    return MarginWindowMeasure(
        margin_window_type=view.margin_window_type,
        margin_level=view.margin_level,
        initial_margin=plain(view.initial_margin),
        maintenance_margin=plain(view.maintenance_margin),
        liquidation_buffer_percentage=plain(view.liquidation_buffer_percentage),
        total_hold=plain(view.total_hold),
        futures_buying_power=plain(view.futures_buying_power),
    )


def order_row(view: OrderView) -> wire.UserOrder:
    """The cumulative state of an order, in the socket's spelling: order type in title case, post_only as text."""
    terms = view.configuration
    future = view.product_type == "FUTURE"
    rejected = view.reject_reason is not RejectReason.UNSPECIFIED
    return wire.UserOrder(
        avg_price=maybe(view.average_filled_price, "0"),
        cancel_reason=view.cancel_message,
        client_order_id=view.client_order_id,
        completion_percentage=plain(view.completion_percentage),
        contract_expiry_type="EXPIRING" if future else "UNKNOWN_CONTRACT_EXPIRY_TYPE",
        cumulative_quantity=plain(view.filled_size),
        filled_value=plain(view.filled_value),
        leaves_quantity=plain(view.size - view.filled_size),
        limit_price=maybe(terms.limit_price, "0"),
        number_of_fills=str(view.number_of_fills),
        order_id=view.order_id,
        order_side=view.side.value,
        order_type=view.order_type.value.replace("_", " ").title(),
        outstanding_hold_amount=plain(view.outstanding_hold_amount),
        post_only="true" if terms.post_only else "false",
        product_id=view.product_id,
        product_type=view.product_type,
        reject_reason=view.reject_reason.value if rejected else "",
        retail_portfolio_id=view.portfolio_uuid,
        risk_managed_by="MANAGED_BY_FCM" if future else "UNKNOWN_RISK_MANAGEMENT_TYPE",
        status=view.status.value,
        stop_price=maybe(terms.stop_price),
        time_in_force=view.time_in_force.value,
        total_fees=plain(view.total_fees),
        total_value_after_fees=plain(view.total_value_after_fees),
        trigger_status=view.trigger_status.value,
        creation_time=stamp(view.created_time),
        end_time=ZERO_TIME if terms.end_time is None else stamp(terms.end_time),
        start_time=ZERO_TIME,
    )
