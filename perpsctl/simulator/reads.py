"""How the exchange's state looks from outside: products, books, positions, money. Changes nothing."""

from datetime import timedelta
from decimal import Decimal

from perpsctl.simulator.ledger import CBI, CFM
from perpsctl.simulator.margin import MarginState
from perpsctl.simulator.orders import (
    Side,
)
from perpsctl.simulator.products import FUNDING_INTERVAL_S, Product
from perpsctl.simulator.seeded import identifier
from perpsctl.simulator.state import State
from perpsctl.simulator.tape import micros
from perpsctl.simulator.views import (
    AccountView,
    BalanceSummary,
    BookSnapshot,
    FutureView,
    Level,
    PortfolioBreakdown,
    PortfolioView,
    PositionView,
    ProductView,
    SessionView,
    WindowMeasure,
)

ZERO = Decimal(0)
TWO = Decimal("0.01")
SIX = Decimal("0.000001")
CLOSED_UNDEFINED = "FCM_TRADING_SESSION_CLOSED_REASON_UNDEFINED"
CLOSED_MAINTENANCE = "FCM_TRADING_SESSION_CLOSED_REASON_EXCHANGE_MAINTENANCE"


class Reads:
    """Views of one account."""

    def __init__(self, state: State) -> None:
        self._state = state

    # -- market --------------------------------------------------------------------------------------

    def product(self, product: Product) -> ProductView:
        """A product with its prices and gates now."""
        state, step = self._state, self._state.step
        product_id = product.product_id
        status, tape = state.status[product_id], state.tapes[product_id]
        touch = state.touch(product_id)
        mid = None if touch is None else Decimal(touch.bid + touch.ask) / 2 * product.price_increment
        last, volume = tape.last(step), tape.volume_24h(step)
        return ProductView(
            product_id=product_id,
            product_type=product.product_type,
            product_venue="FCM" if product.is_future else "CBE",
            status="" if product.is_future else "online",
            display_name=product.display_name,
            base_name=product.base_name,
            base_currency_id=product.base_currency_id,
            quote_currency_id="USD",
            quote_name="US Dollar",
            base_increment=product.base_increment,
            quote_increment=product.quote_increment,
            price_increment=product.price_increment,
            base_min_size=product.base_min_size,
            base_max_size=product.base_max_size,
            quote_min_size=product.quote_min_size,
            quote_max_size=product.quote_max_size,
            price=last,
            mid_market_price=mid,
            price_percentage_change_24h=tape.change_24h(step, state.host_us),
            volume_24h=volume,
            volume_percentage_change_24h=ZERO,
            approximate_quote_24h_volume=(volume * product.unit_size * last).quantize(TWO),
            is_disabled=status.is_disabled,
            cancel_only=status.cancel_only,
            limit_only=status.limit_only,
            post_only=status.post_only,
            trading_disabled=status.trading_disabled,
            auction_mode=status.auction_mode,
            view_only=status.view_only,
            hidden=status.hidden,
            alias_to=product.alias_to,
            new_at=product.new_at,
            session=self._session(product_id) if product.is_future else None,
            future=self._future(product),
        )

    def _session(self, product_id: str) -> SessionView:
        state = self._state
        session, status = state.session(product_id), state.status[product_id]
        window = status.maintenance_window
        return SessionView(
            is_open=session.is_open,
            open_time=session.open_time,
            close_time=session.close_time,
            state=f"FCM_TRADING_SESSION_STATE_{'OPEN' if session.is_open else 'CLOSED'}",
            after_hours_order_entry_disabled=status.after_hours_order_entry_disabled,
            closed_reason=CLOSED_MAINTENANCE if state.in_maintenance(product_id) else CLOSED_UNDEFINED,
            maintenance_start=None if window is None else window[0],
            maintenance_end=None if window is None else window[1],
        )

    def _future(self, product: Product) -> FutureView | None:
        future, state = product.future, self._state
        if future is None:
            return None
        market = state.markets[product.product_id]
        hour = state.now.replace(minute=0, second=0, microsecond=0)
        rolled = state.timeline.path_us(micros(state.calendar.last_roll(state.now)))
        settlement = market.touch_of(market.price_at(rolled), 0).bid
        left = future.contract_expiry - state.now
        return FutureView(
            contract_code=future.contract_code,
            contract_expiry=future.contract_expiry,
            contract_size=future.contract_size,
            contract_root_unit=future.contract_root_unit,
            group_description=future.group_description,
            group_short_description=future.group_short_description,
            contract_expiry_timezone="Europe/London",
            contract_display_name=future.contract_display_name,
            contract_expiry_name=future.contract_expiry_name,
            display_name=future.display_name,
            twenty_four_by_seven=True,
            time_to_expiry_ms=left // timedelta(milliseconds=1),
            open_interest=future.open_interest,
            funding_interval_s=FUNDING_INTERVAL_S if future.perpetual else None,
            funding_rate=state.funding.rate(market, state.timeline.path_us(micros(hour))) if future.perpetual else None,
            funding_time=hour if future.perpetual else None,
            settlement_price=market.price_of(settlement),
            index_price=market.index_price(state.step),
            intraday=future.intraday,
            overnight=future.overnight,
        )

    def book(self, product: Product, depth: int | None) -> BookSnapshot:
        """Makers' depth and the operator's own resting orders together."""
        state, product_id = self._state, product.product_id
        bids = self._side(product, Side.BUY, depth)
        asks = self._side(product, Side.SELL, depth)
        mid = spread = bps = None
        if bids and asks:
            spread = asks[0].price - bids[0].price
            mid = (asks[0].price + bids[0].price) / 2
            bps = (spread / mid * 10_000).quantize(SIX)
        return BookSnapshot(
            product_id=product_id,
            bids=bids,
            asks=asks,
            time=state.now,
            last=state.tapes[product_id].last(state.step),
            mid_market=mid,
            spread_bps=bps,
            spread_absolute=spread,
        )

    def _side(self, product: Product, side: Side, depth: int | None) -> tuple[Level, ...]:
        state = self._state
        market = state.markets[product.product_id]
        sizes: dict[int, Decimal] = {}
        if market.fixed is not None or state.touch(product.product_id) is not None:
            sizes = {ticks: Decimal(size) for ticks, size in state.depth(product.product_id, side, depth)}
        for order in state.books[product.product_id].side(side):
            assert order.ticks is not None
            sizes[order.ticks] = sizes.get(order.ticks, ZERO) + order.left
        best_first = sorted(sizes, reverse=side is Side.BUY)[:depth]
        return tuple(Level(price=market.price_of(ticks), size=sizes[ticks]) for ticks in best_first)

    # -- account -------------------------------------------------------------------------------------

    def positions(self) -> tuple[PositionView, ...]:
        """Every futures position that is not zero."""
        return tuple(self.position(product_id) for product_id, kept in self._state.positions.items() if kept.contracts)

    def position(self, product_id: str) -> PositionView:
        """One position; the caller made sure that it is not zero."""
        state = self._state
        product, position = state.products[product_id], state.positions[product_id]
        assert product.future is not None
        mark, unit = state.mark(product_id), product.unit_size
        return PositionView(
            product_id=product_id,
            expiration_time=product.future.contract_expiry,
            side="LONG" if position.contracts > 0 else "SHORT",
            number_of_contracts=abs(position.contracts),
            current_price=mark,
            avg_entry_price=position.average_entry(unit),
            unrealized_pnl=position.unrealized(mark, unit),
            daily_realized_pnl=position.realized_today,
            contract_size=unit,
            notional=abs(position.contracts) * unit * mark,
        )

    def balance_summary(self) -> BalanceSummary:
        """Money and margin now; amounts of USD are told to the cent where they are sums of estimates."""
        state = self._state
        now, positions = state.margin(), state.positions.values()
        pending = state.sweep
        return BalanceSummary(
            futures_buying_power=now.buying_power,
            total_usd_balance=state.cash,
            cbi_usd_balance=state.ledger.balance(CBI),
            cfm_usd_balance=state.ledger.balance(CFM),
            total_open_orders_hold_amount=now.hold,
            unrealized_pnl=now.unrealized,
            daily_realized_pnl=sum((position.realized_today for position in positions), ZERO),
            initial_margin=now.initial,
            available_margin=now.available,
            liquidation_threshold=now.threshold,
            liquidation_buffer_amount=now.buffer,
            liquidation_buffer_percentage=now.buffer_percentage,
            funding_pnl=sum((position.funding_today for position in positions), ZERO),
            total_pending_transfers_amount=ZERO if pending is None else pending.requested_amount,
            intraday=_measure(state.margin(intraday=True), "FCM_MARGIN_WINDOW_TYPE_INTRADAY"),
            overnight=_measure(state.margin(intraday=False), "FCM_MARGIN_WINDOW_TYPE_OVERNIGHT"),
        )

    def accounts(self) -> tuple[AccountView, ...]:
        """Wallets: spot USD, an empty USDC and an empty BTC one."""
        state = self._state
        amounts = (("USD", state.ledger.balance(CBI)), ("USDC", ZERO), ("BTC", ZERO))
        return tuple(
            AccountView(
                uuid=identifier(state.portfolio_uuid, currency),
                name=f"{currency} Wallet",
                currency=currency,
                available=amount,
                hold=ZERO,
                type="ACCOUNT_TYPE_FIAT" if currency == "USD" else "ACCOUNT_TYPE_CRYPTO",
                platform="ACCOUNT_PLATFORM_CONSUMER",
                default=True,
                active=True,
                ready=True,
                created_at=state.start,
                updated_at=state.start,
                portfolio_uuid=state.portfolio_uuid,
            )
            for currency, amount in amounts
        )

    def portfolios(self) -> tuple[PortfolioView, ...]:
        """The key's portfolio first, then the others."""
        state = self._state
        own = PortfolioView(uuid=state.portfolio_uuid, name=state.portfolio_name, type="DEFAULT", deleted=False)
        return (own, *state.other_portfolios.values())

    def portfolio(self, view: PortfolioView) -> PortfolioBreakdown:
        """What a portfolio is worth."""
        state = self._state
        if view.uuid != state.portfolio_uuid:
            cash = state.ledger.balance(view.uuid)
            return PortfolioBreakdown(
                portfolio=view, cash=cash, futures_cash=ZERO, futures_unrealized_pnl=ZERO, positions=()
            )
        return PortfolioBreakdown(
            portfolio=view,
            cash=state.ledger.balance(CBI),
            futures_cash=state.ledger.balance(CFM),
            futures_unrealized_pnl=state.margin().unrealized,
            positions=self.positions(),
        )


def _measure(margin: MarginState, window: str) -> WindowMeasure:
    return WindowMeasure(
        margin_window_type=window,
        margin_level=margin.level,
        initial_margin=margin.initial,
        maintenance_margin=margin.threshold,
        liquidation_buffer=margin.buffer,
        liquidation_buffer_percentage=margin.buffer_percentage,
        total_hold=margin.hold,
        futures_buying_power=margin.buying_power,
    )
