"""How the exchange's state looks from outside: products, books, orders, fills, positions, money. Changes nothing."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal

from perpsctl.simulator.book import LiveOrder
from perpsctl.simulator.ledger import CBI, CFM
from perpsctl.simulator.margin import Exposure, MarginState
from perpsctl.simulator.orders import (
    FillFilter,
    FillView,
    OrderFilter,
    OrderStatus,
    OrderView,
    Page,
    PlacementSource,
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

ANY_SOURCE = tuple(source.value for source in PlacementSource)
ZERO = Decimal(0)
TWO = Decimal("0.01")
SIX = Decimal("0.000001")
CLOSED_UNDEFINED = "FCM_TRADING_SESSION_CLOSED_REASON_UNDEFINED"
CLOSED_MAINTENANCE = "FCM_TRADING_SESSION_CLOSED_REASON_EXCHANGE_MAINTENANCE"


class InvalidArgument(ValueError):
    """The question itself is malformed: HTTP 400 INVALID_ARGUMENT on the wire."""


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

    # -- orders --------------------------------------------------------------------------------------

    def order(self, order: LiveOrder) -> OrderView:
        """An order as listed now."""
        state = self._state
        product = state.products[order.product_id]
        average = order.value / (order.filled * product.unit_size) if order.filled else None
        hold = ZERO
        if order.live and product.is_future:
            mark = state.mark(order.product_id)
            exposure = Exposure(product=product, contracts=ZERO, buys=ZERO, sells=ZERO, mark=mark, unrealized=ZERO)
            hold = exposure.margin(order.side.sign * order.left, intraday=state.intraday)
        return OrderView(
            order_id=order.order_id,
            client_order_id=order.client_order_id,
            product_id=order.product_id,
            product_type=product.product_type,
            user_id=state.user_id,
            portfolio_uuid=state.portfolio_uuid,
            side=order.side,
            configuration=order.configuration,
            attached=order.attached,
            attached_order_id=order.attached_order_id,
            originating_order_id=order.originating_order_id,
            status=order.status,
            order_type=order.order_type,
            time_in_force=order.time_in_force,
            size=order.size,
            filled_size=order.filled,
            average_filled_price=None
            if average is None
            else average.quantize(Decimal("0.00000001")).normalize() + ZERO,
            filled_value=order.value,
            total_fees=order.fees,
            commission=order.commission,
            number_of_fills=order.fills,
            completion_percentage=(order.filled / order.size * 100).quantize(TWO) if order.size else ZERO,
            outstanding_hold_amount=hold,
            total_value_after_fees=order.value + order.fees * order.side.sign,
            created_time=order.created,
            last_update_time=order.updated,
            last_fill_time=order.last_fill,
            trigger_status=order.trigger,
            reject_reason=order.reject_reason,
            reject_message=order.reject_message,
            cancel_message=order.cancel_message,
            pending_cancel=order.status is OrderStatus.CANCEL_QUEUED,
            settled=order.status.final,
            source=order.source,
            is_liquidation=order.is_liquidation,
            edit_history=tuple(order.edit_history),
            leverage=order.leverage,
            margin_type=order.margin_type,
        )

    def orders(self, filters: OrderFilter) -> Page[OrderView]:
        """Orders that pass the filters, newest first by creation unless sorted otherwise."""
        found = [order for order in reversed(self._state.orders.values()) if self._passes(order, filters)]
        if filters.sort_by is not None:
            found.sort(key=_sort_key(filters.sort_by), reverse=True)
        return self._page(found, filters)

    def _page(self, found: Sequence[LiveOrder], filters: OrderFilter) -> Page[OrderView]:
        if filters.limit is not None and filters.limit < 1:
            raise InvalidArgument("limit is at least 1")
        if filters.sort_by is None and filters.cursor:  # by number: new orders do not shift the pages
            before = _cursor(filters.cursor)
            found = [order for order in found if order.number < before]
        elif filters.cursor:
            found = found[_cursor(filters.cursor) :]
        shown = found if filters.limit is None else found[: filters.limit]
        more = len(shown) < len(found)
        cursor = ""
        if more:
            place = _cursor(filters.cursor) if filters.cursor else 0
            cursor = str(shown[-1].number if filters.sort_by is None else place + len(shown))
        return Page(items=tuple(self.order(order) for order in shown), cursor=cursor, has_next=more)

    def _passes(self, order: LiveOrder, filters: OrderFilter) -> bool:
        if order.hidden_in_list_until is not None and self._state.now < order.hidden_in_list_until:
            return False
        sources = filters.sources or (PlacementSource.RETAIL_ADVANCED.value,)
        product = self._state.products[order.product_id]
        return (
            order.source in sources
            and (not filters.order_ids or order.order_id in filters.order_ids)
            and (not filters.product_ids or order.product_id in filters.product_ids)
            and (filters.product_type is None or product.product_type == filters.product_type)
            and (not filters.statuses or order.status in filters.statuses)
            and (not filters.time_in_forces or order.time_in_force in filters.time_in_forces)
            and (not filters.order_types or order.order_type in filters.order_types)
            and (filters.side is None or order.side == filters.side)
            and (filters.start is None or order.created >= filters.start)
            and (filters.end is None or order.created < filters.end)
        )

    def fills(self, filters: FillFilter) -> Page[FillView]:
        """Fills that pass the filters, newest first."""
        if filters.order_ids and (filters.product_ids or filters.trade_ids or filters.start or filters.end):
            raise InvalidArgument("cannot pass order_ids with other filters")
        if filters.limit < 1:
            raise InvalidArgument("limit is at least 1")
        state = self._state
        newest = state.fill_count
        begin = newest if not filters.cursor else _cursor(filters.cursor) - 1
        shown: list[FillView] = []
        last = begin
        for place, fill in enumerate(reversed(state.fills)):
            number = newest - place
            if number > begin or not self._fill_passes(fill, filters):
                continue
            if len(shown) == filters.limit:
                return Page(items=tuple(shown), cursor=str(last), has_next=True)
            shown.append(fill)
            last = number
        if filters.sort_by == "PRICE":
            shown.sort(key=lambda fill: fill.price, reverse=True)
        return Page(items=tuple(shown), cursor="", has_next=False)

    def _fill_passes(self, fill: FillView, filters: FillFilter) -> bool:
        order = self._state.orders.get(fill.order_id)
        return (
            (not filters.order_ids or fill.order_id in filters.order_ids)
            and (not filters.trade_ids or fill.trade_id in filters.trade_ids)
            and (not filters.product_ids or fill.product_id in filters.product_ids)
            and (not filters.order_types or (order is not None and order.order_type in filters.order_types))
            and (filters.side is None or fill.side == filters.side)
            and (filters.start is None or fill.sequence_timestamp >= filters.start)
            and (filters.end is None or fill.sequence_timestamp < filters.end)
        )

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


def _cursor(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise InvalidArgument("invalid cursor")
    return int(text)


def _sort_key(sort_by: str) -> Callable[[LiveOrder], tuple[bool, int, int]]:
    """Orders without the value asked for come last when sorted downwards."""
    match sort_by:
        case "LIMIT_PRICE":
            return lambda order: (order.ticks is not None, order.ticks or 0, order.number)
        case "LAST_FILL_TIME":
            return lambda order: (order.last_fill is not None, micros(order.last_fill or order.created), order.number)
        case "LAST_UPDATE_TIME":
            return lambda order: (True, micros(order.updated), order.number)
        case _:
            raise InvalidArgument("unknown sort_by")
