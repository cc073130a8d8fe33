"""What the gateway does differently once an order works: fees and rows of its own, two ids for a trigger, isolated slots.

Matching, resting and queues are the core's. Each change carries the instant it happened at.
"""

from dataclasses import fields
from datetime import datetime
from decimal import Decimal

from perpsctl.simulator.book import LiveOrder
from perpsctl.simulator.gateway.state import CROSS, GatewayOrder, GatewayState, Scope, UserTrade
from perpsctl.simulator.ledger import CENT_PARTS
from perpsctl.simulator.lifecycle import LIQUIDATION_ROUNDS, Lifecycle
from perpsctl.simulator.market import Touch
from perpsctl.simulator.orders import (
    ConfigKind,
    Configuration,
    Liquidity,
    OrderStatus,
    OrderType,
    PlacementSource,
    Side,
    StopDirection,
    TriggerStatus,
)
from perpsctl.simulator.seeded import row_key
from perpsctl.simulator.views import MarketTrade

ZERO = Decimal(0)
USER = "cancelled by the user"
SETTLEMENT = "settlement"
DISCONNECTED = "cancel on disconnect"
EDIT_REJECTED = "edit post-only reject"
REASONS = {
    USER: "user_request",
    SETTLEMENT: "settlement",
    DISCONNECTED: "cancel_on_disconnect",
    EDIT_REJECTED: "edit_post_only_reject",
    "cancelled by the exchange: margin": "autoliquidation",
}
OTHERWISE = "risk_mitigation"  # self-trade prevention, a reduce-only order without a position: the guess is ours
NOT_ASKED = "the market had no more at this price"  # the rest of an IOC order carries no reason


class GatewayLifecycle(Lifecycle):
    """Changes orders of the gateway's account."""

    def __init__(self, state: GatewayState) -> None:
        super().__init__(state)
        self._gateway = state

    # -- birth and end -------------------------------------------------------------------------------

    def activate(self, order: LiveOrder, at: datetime) -> None:
        """As in the core; user channels hear of the order as it then stands."""
        super().activate(order, at)
        assert isinstance(order, GatewayOrder)
        if order.live:  # its end has been told already
            self._gateway.tell(order)

    def finish(self, order: LiveOrder, status: OrderStatus, at: datetime, message: str = "") -> None:
        """The order is over; an isolated slot that is flat and idle gives its collateral back."""
        super().finish(order, status, at, message)
        assert isinstance(order, GatewayOrder)
        if status in {OrderStatus.CANCELLED, OrderStatus.EXPIRED} and order.became is None and message != NOT_ASKED:
            order.cancel_reason = REASONS.get(message, OTHERWISE)
        self._gateway.tell(order)
        if order.slot != CROSS and not order.left <= 0:
            self._sweep_back(order.scope)

    def _sweep_back(self, scope: Scope) -> None:
        state = self._gateway
        if state.held(scope) or state.live_in(scope):
            return
        self._realise(scope)
        cash = state.ledger.balance(state.wallet(scope[1]))
        if cash:
            state.move_collateral(scope[1], CROSS, cash, f"slot {scope[1]}")
        state.positions_held.pop(scope, None)
        state.slots.pop(scope[0], None)

    def _realise(self, scope: Scope) -> None:
        """A slot that closes turns its session result into cash at once."""
        state = self._gateway
        position = state.position(scope)
        realised, funding = position.session.realized_today, position.funding
        result, unlogged = realised + funding, funding - position.logged_funding
        position.session.realized_today = position.funding = position.logged_funding = ZERO
        state.ledger.post(
            at=state.now, kind="settlement", wallet=state.wallet(scope[1]), amount=result, product_id=scope[0]
        )
        if result:
            state.log_row(
                kind="settlement",
                slot=scope[1],
                change=result,
                product_id=scope[0],
                position=ZERO,
                interest_pl=unlogged,
                total_interest_pl=funding,
                session_upl=ZERO,
                session_rpl=realised,
            )

    # -- fills ---------------------------------------------------------------------------------------

    def fill(self, order: LiveOrder, contracts: Decimal, price: Decimal, liquidity: Liquidity, at: datetime) -> None:
        """Books a fill: order, position, session, fee, log and tape. The order ends when nothing is left."""
        assert isinstance(order, GatewayOrder)
        contracts = min(contracts, order.left)  # a reduce-only order may have shrunk since the match was found
        if not order.live or contracts <= 0:
            return
        state = self._gateway
        product, terms = state.products[order.product_id], state.contract(order.product_id)
        amount = contracts * product.unit_size
        rate = terms.maker if liquidity is Liquidity.MAKER else terms.taker
        fee = (amount * price * rate).quantize(CENT_PARTS)  # what is told is what is booked
        order.filled += contracts
        order.value += amount * price
        order.fees += fee
        order.fills += 1
        order.last_fill = order.updated = at
        state.total_volume += amount * price
        state.total_fees += fee
        state.fill_count += 1
        position = state.position(order.scope)
        opening = not position.contracts or (position.contracts > 0) == (order.side is Side.BUY)
        position.life.trade(order.side.sign * contracts, price, product.unit_size)
        realized = position.session.trade(order.side.sign * contracts, price, product.unit_size)
        reference = row_key(state.options.seed, "gateway", state.account, state.fill_count)
        state.ledger.post(
            at=at,
            kind="fee",
            wallet=state.wallet(order.slot),
            amount=-fee,
            product_id=order.product_id,
            reference=reference,
        )
        trade = self._record(order, contracts, price, fee, liquidity, realized, at)
        self._log_trade(order, trade, opening=opening)
        state.tell(order, trade)
        if order.left <= 0:
            self.finish(order, OrderStatus.FILLED, at)
        else:
            state.tell(order)
        self._shrink_reduce_only(order.scope, at)
        if order.slot != CROSS:
            self._sweep_back(order.scope)

    def _record(
        self,
        order: GatewayOrder,
        contracts: Decimal,
        price: Decimal,
        fee: Decimal,
        liquidity: Liquidity,
        realized: Decimal,
        at: datetime,
    ) -> UserTrade:
        state = self._gateway
        number = state.account * 10_000_000 + state.fill_count
        sequence = self._printed(order, number, contracts, price, liquidity, at)
        trade = UserTrade(
            number=number,
            sequence=sequence,
            order_id=order.order_id,
            label=order.client_order_id,
            product_id=order.product_id,
            side=order.side,
            price=price,
            contracts=contracts,
            amount=contracts * state.products[order.product_id].unit_size,
            fee=fee,
            liquidity=liquidity,
            order_type=order.kind_word,
            order_state="filled" if order.left <= 0 else "open",
            at=at,
            index_price=state.rates[order.product_id].index(state.host_us),
            mark_price=state.mark(order.product_id),
            profit_loss=realized,
            is_liquidation=order.is_liquidation,
            post_only=order.post_only,
            reduce_only=order.reduce_only,
            slot=order.slot,
        )
        state.trades.append(trade)
        return trade

    def _log_trade(self, order: GatewayOrder, trade: UserTrade, *, opening: bool) -> None:
        state = self._gateway
        position = state.position(order.scope)
        funding = position.funding - position.logged_funding
        position.logged_funding = position.funding
        unit = state.products[order.product_id].unit_size
        state.log_row(
            kind="trade",
            slot=order.slot,
            change=-trade.fee,
            product_id=trade.product_id,
            side=f"{'open' if opening else 'close'} {trade.side.value.lower()}",
            price=trade.price,
            mark_price=trade.mark_price,
            index_price=trade.index_price,
            position=position.contracts * unit,
            amount=trade.amount,
            commission=trade.fee,
            interest_pl=funding,
            order_id=trade.order_id,
            trade=trade.number,
            role="maker" if trade.liquidity is Liquidity.MAKER else "taker",
        )

    def _printed(
        self,
        order: GatewayOrder,
        number: int,
        contracts: Decimal,
        price: Decimal,
        liquidity: Liquidity,
        at: datetime,
    ) -> int:
        """The fill is on the public tape; its `trade_seq` there is the user's, too."""
        maker = order.side if liquidity is Liquidity.MAKER else order.side.other
        return self._gateway.numbered[order.product_id].print_own(
            MarketTrade(
                trade_id=f"USDC-{number}",
                product_id=order.product_id,
                price=price,
                size=contracts,
                time=at,
                side=maker.value,
            )
        )

    def _shrink_reduce_only(self, scope: Scope, at: datetime) -> None:
        """No reduce-only order stays larger than what it may still reduce."""
        held = self._gateway.held(scope)
        for order in self._gateway.live_in(scope):
            if not order.reduce_only or order.is_trigger:
                continue
            room = max(ZERO, -held * order.side.sign)
            if order.left <= room:
                continue
            if not room:
                self.finish(order, OrderStatus.CANCELLED, at, OTHERWISE)
            else:
                order.size = order.filled + room

    # -- triggers ------------------------------------------------------------------------------------

    def _trigger(self, product_id: str, touch: Touch, at: datetime) -> None:
        state = self._gateway
        if not state.stops[product_id]:
            return
        prices = self._references(product_id, touch)
        for order in list(state.stops[product_id]):
            assert isinstance(order, GatewayOrder)
            assert order.trigger_price is not None
            price = prices[order.trigger_by or "mark_price"]
            up = order.configuration.stop_direction is StopDirection.UP
            if (
                price is None
                or not order.live
                or not (price >= order.trigger_price if up else price <= order.trigger_price)
            ):
                continue
            self._fire(order, at)

    def _references(self, product_id: str, touch: Touch) -> dict[str, Decimal | None]:
        state = self._gateway
        step = state.products[product_id].price_increment
        return {
            "mark_price": Decimal(touch.bid + touch.ask) / 2 * step,
            "index_price": state.markets[product_id].index_price(state.step),
            "last_price": state.tapes[product_id].last(state.step),
        }

    def _fire(self, order: GatewayOrder, at: datetime) -> None:
        """The trigger order ends as triggered; a new order with a new id takes its place (reference 8.2)."""
        state = self._gateway
        child_id = state.next_order_id()
        order.became = child_id
        order.trigger = TriggerStatus.STOP_TRIGGERED
        self.finish(order, OrderStatus.CANCELLED, at)
        market = order.kind_word.endswith("market")
        held = state.held(order.scope)
        size = min(order.size, max(ZERO, -held * order.side.sign)) if order.reduce_only else order.size
        copied = {each.name: getattr(order, each.name) for each in fields(order) if each.init}
        lowest, highest = state.limits(order.product_id)
        bound = highest if order.side is Side.BUY else lowest
        wanted = bound if market or order.configuration.limit_price is None else order.configuration.limit_price
        price = min(wanted, highest) if order.side is Side.BUY else max(wanted, lowest)
        child = GatewayOrder(
            **{
                **copied,
                "order_id": child_id,
                "configuration": Configuration(
                    kind=ConfigKind.MARKET_IOC if market else ConfigKind.LIMIT_GTC,
                    base_size=size,
                    limit_price=None if market else price,
                    post_only=order.post_only,
                ),
                "number": state.order_count,
                "created": at,
                "updated": at,
                "size": size,
                "ticks": self.ticks_of(order.product_id, price),
                "stop_ticks": None,
                "order_type": OrderType.MARKET if market else OrderType.LIMIT,
                "status": OrderStatus.PENDING,
                "trigger": TriggerStatus.INVALID_ORDER_TYPE,
                "kind_word": "market" if market else "limit",
                "trigger_price": None,
                "trigger_order_id": order.order_id,
                "became": None,
                "cancel_reason": None,
                "cancel_message": "",
            }
        )
        state.add_order(child)
        if size <= 0:  # `rejected:reduce_direction` in the trigger history
            self.finish(child, OrderStatus.FAILED, at, "reduce_direction")
            return
        self.activate(child, at)

    # -- liquidation ---------------------------------------------------------------------------------

    def check_liquidation(self, at: datetime) -> None:
        """Each slot whose equity has fallen below maintenance: orders go first, then positions, largest first."""
        for slot in sorted({scope[1] for scope, p in self._gateway.positions_held.items() if p.contracts}):
            self._check_slot(slot, at)

    def _check_slot(self, slot: int, at: datetime) -> None:
        state = self._gateway
        if not self._sunk(slot):
            return
        for order in list(state.live.values()):
            if isinstance(order, GatewayOrder) and order.slot == slot:
                self.finish(order, OrderStatus.CANCELLED, at, "cancelled by the exchange: margin")
        for _ in range(LIQUIDATION_ROUNDS):
            held = [s for s, p in state.positions_held.items() if s[1] == slot and p.contracts and state.trading(s[0])]
            if not held or not self._sunk(slot):
                return
            largest = max(held, key=lambda scope: state.scope_maintenance(scope, state.held(scope)))
            if not self.liquidate_scope(largest, at):
                return

    def _sunk(self, slot: int) -> bool:
        money = self._gateway.money(slot)
        return money.maintenance > 0 and money.equity < money.maintenance

    def liquidate(self, product_id: str, at: datetime) -> bool:
        """Closes the cross position of a product at the market; False when nothing of it could be filled."""
        return self.liquidate_scope((product_id, CROSS), at)

    def liquidate_scope(self, scope: Scope, at: datetime) -> bool:
        """Closes one scope's position at the market; False when nothing of it could be filled."""
        state = self._gateway
        held = state.held(scope)
        if not held:
            return False
        order = GatewayOrder(
            order_id=state.next_order_id(),
            client_order_id="",
            product_id=scope[0],
            side=Side.SELL if held > 0 else Side.BUY,
            configuration=Configuration(kind=ConfigKind.MARKET_IOC, base_size=abs(held)),
            attached=None,
            source=PlacementSource.UNKNOWN,
            sequence=0,
            number=state.order_count,
            created=at,
            updated=at,
            size=abs(held),
            ticks=None,
            order_type=OrderType.LIQUIDATION,
            leverage="",
            margin_type="CROSS",
            is_liquidation=True,
            kind_word="market",
            tif_word="immediate_or_cancel",
            slot=scope[1],
        )
        state.add_order(order)
        order.status = OrderStatus.OPEN
        self.meet(order, at)
        return order.filled > 0
