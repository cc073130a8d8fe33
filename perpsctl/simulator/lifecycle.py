"""What happens to an order: it meets the market, rests, fills, is triggered, expires, is cancelled, is liquidated.

The only room that changes an order, a position or (by trading) the ledger. Each change carries the instant it happened
at, which may lie before now while a stretch of time is being worked off.
"""

from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from perpsctl.simulator.book import BRACKET_KINDS, LiveOrder, commission_parts
from perpsctl.simulator.ledger import CBI, CFM, Position
from perpsctl.simulator.margin import CENT, MarginState
from perpsctl.simulator.market import Flow, Touch
from perpsctl.simulator.matching import Walk, crossed, hit, walk
from perpsctl.simulator.orders import (
    ConfigKind,
    Configuration,
    FillView,
    Liquidity,
    OrderStatus,
    OrderType,
    PlacementSource,
    RejectReason,
    Side,
    StopDirection,
    TimeInForce,
    TradeType,
    TriggerStatus,
)
from perpsctl.simulator.seeded import row_key
from perpsctl.simulator.state import State
from perpsctl.simulator.views import MarketTrade

ZERO = Decimal(0)
NEAR_LEVELS = 24
STOP_LEG_BEYOND = Decimal("0.05")  # a bracket's stop leg rests 5 % beyond its trigger (reference 6.1)
LIQUIDATION_ROUNDS = 8


class Lifecycle:
    """Changes orders of one account."""

    def __init__(self, state: State) -> None:
        self._state = state

    # -- birth and end -------------------------------------------------------------------------------

    def activate(self, order: LiveOrder, at: datetime) -> None:
        """The order starts to work: it waits for its trigger, or meets the market and rests with what is left."""
        order.status = OrderStatus.OPEN
        order.updated = at
        if order.order_type is OrderType.STOP_LIMIT:
            order.trigger = TriggerStatus.STOP_PENDING
            self._state.stops[order.product_id].append(order)
            return
        if order.order_type is OrderType.BRACKET:
            order.trigger = TriggerStatus.STOP_PENDING
            self._state.stops[order.product_id].append(order)
        self.meet(order, at)

    def finish(self, order: LiveOrder, status: OrderStatus, at: datetime, message: str = "") -> None:
        """The order is over. A filled parent gives birth to its attached bracket."""
        state = self._state
        order.status = status
        order.updated = at
        if status in {OrderStatus.CANCELLED, OrderStatus.EXPIRED}:
            order.cancel_message = message
        elif status is OrderStatus.FAILED:
            order.reject_message = message
        state.books[order.product_id].remove(order)
        if order in state.stops[order.product_id]:
            state.stops[order.product_id].remove(order)
        state.live.pop(order.order_id, None)
        if order.attached is not None and order.filled > 0:
            self._open_attached(order, at)

    def fail(self, order: LiveOrder, reason: RejectReason, message: str, at: datetime) -> None:
        """The venue rejects an order it had taken (status FAILED)."""
        order.reject_reason = reason
        self.finish(order, OrderStatus.FAILED, at, message)

    def _open_attached(self, parent: LiveOrder, at: datetime) -> None:
        assert parent.attached is not None
        state = self._state
        terms = parent.attached
        state.order_count += 1
        child = LiveOrder(
            order_id=parent.attached_order_id,
            client_order_id=state.new_id("attached", parent.order_id),
            product_id=parent.product_id,
            side=parent.side.other,
            configuration=Configuration(
                kind=ConfigKind.BRACKET_GTC,
                base_size=parent.filled,
                limit_price=terms.limit_price,
                stop_trigger_price=terms.stop_trigger_price,
            ),
            attached=None,
            source=parent.source,
            sequence=parent.sequence,
            number=state.order_count,
            created=at,
            updated=at,
            size=parent.filled,
            ticks=self.ticks_of(parent.product_id, terms.limit_price),
            stop_ticks=self.ticks_of(parent.product_id, terms.stop_trigger_price),
            order_type=OrderType.BRACKET,
            leverage=parent.leverage,
            margin_type=parent.margin_type,
            originating_order_id=parent.order_id,
        )
        state.add_order(child)
        self.activate(child, at)

    def ticks_of(self, product_id: str, price: Decimal | None) -> int | None:
        """A price as whole ticks; None stays None."""
        if price is None:
            return None
        return int(price / self._state.products[product_id].price_increment)

    # -- meeting the market --------------------------------------------------------------------------

    def prospect(self, product_id: str, side: Side, contracts: int, ticks: int | None) -> Walk:
        """What a taker order would get now."""
        state = self._state
        if state.touch(product_id) is None and not any(state.markets[product_id].fixed or ()):
            return Walk((), contracts)
        near = state.depth(product_id, side.other, NEAR_LEVELS)
        found = walk(near, side, contracts, ticks)
        if found.left and len(near) == NEAR_LEVELS and found.filled == sum(size for _, size in near):
            found = walk(state.depth(product_id, side.other), side, contracts, ticks)
        return found

    def meet(self, order: LiveOrder, at: datetime) -> None:
        """The order takes what it may from the makers; the rest rests, or ends by its time in force."""
        state = self._state
        if state.trading(order.product_id):
            self._prevent_self_trade(order, at)
            found = self.prospect(order.product_id, order.side, int(order.left), order.ticks)
            whole = order.time_in_force is TimeInForce.FOK
            if not (whole and found.left):
                self._take(order, found, at)
        if not order.live:
            return
        if order.time_in_force in {TimeInForce.IOC, TimeInForce.FOK}:
            self.finish(order, OrderStatus.CANCELLED, at, "the market had no more at this price")
            return
        self.rest(order)

    def _take(self, order: LiveOrder, found: Walk, at: datetime) -> None:
        state = self._state
        market = state.markets[order.product_id]
        for ticks, contracts in found.steps:
            market.take(order.side.other, ticks, contracts, state.host_us)
            self.fill(order, Decimal(contracts), market.price_of(ticks), Liquidity.TAKER, at)

    def _prevent_self_trade(self, order: LiveOrder, at: datetime) -> None:
        for resting in self._state.books[order.product_id].side(order.side.other):
            assert resting.ticks is not None
            if order.ticks is not None and (resting.ticks - order.ticks) * order.side.sign > 0:
                break
            if order.ticks is None and not self._reached(order, resting.ticks):
                break
            self.finish(resting, OrderStatus.CANCELLED, at, "self-trade prevention: the resting order is cancelled")

    def _reached(self, order: LiveOrder, ticks: int) -> bool:
        """True when a market order would walk as far as a price."""
        found = self.prospect(order.product_id, order.side, int(order.left), None)
        return bool(found.left) or not found.steps or (found.steps[-1][0] - ticks) * order.side.sign >= 0

    def rest(self, order: LiveOrder) -> None:
        """The order takes its place behind the makers' contracts and ours at its price."""
        state = self._state
        assert order.ticks is not None
        state.rank += 1
        order.rank = state.rank
        order.queue_ahead = self._makers_at(order)
        state.books[order.product_id].add(order)

    def _makers_at(self, order: LiveOrder) -> int:
        state = self._state
        assert order.ticks is not None
        if state.touch(order.product_id) is None:
            return 0
        return state.markets[order.product_id].maker_size(order.side, order.ticks, state.step, state.host_us)

    # -- fills ---------------------------------------------------------------------------------------

    def fill(self, order: LiveOrder, contracts: Decimal, price: Decimal, liquidity: Liquidity, at: datetime) -> None:
        """Books a fill: order, position, PnL, fee, tape. The order ends when nothing is left."""
        state = self._state
        product = state.products[order.product_id]
        notional = contracts * product.unit_size * price
        fee = notional * (state.maker_fee_rate if liquidity is Liquidity.MAKER else state.taker_fee_rate)
        order.filled += contracts
        order.value += notional
        order.fees += fee
        order.fills += 1
        order.last_fill = order.updated = at
        state.total_volume += notional
        state.total_fees += fee
        state.fill_count += 1
        record = self._record_fill(order, contracts, price, fee, liquidity, at)
        position = state.positions.setdefault(order.product_id, Position())
        realized = position.trade(order.side.sign * contracts, price, product.unit_size)
        for kind, amount in (("trade_pnl", realized), ("fee", -fee)):
            state.ledger.post(
                at=at, kind=kind, wallet=CFM, amount=amount, product_id=order.product_id, reference=record.entry_id
            )
        self._print(order, record, liquidity)
        if order.left <= 0:
            self.finish(order, OrderStatus.FILLED, at)
        self._bring_cash(at)

    def _record_fill(
        self, order: LiveOrder, contracts: Decimal, price: Decimal, fee: Decimal, liquidity: Liquidity, at: datetime
    ) -> FillView:
        state = self._state
        record = FillView(
            entry_id=row_key(state.options.seed, state.account, "entry", state.fill_count),
            trade_id=state.new_id("trade", state.fill_count),
            order_id=order.order_id,
            client_order_id=order.client_order_id,
            product_id=order.product_id,
            product_type=state.products[order.product_id].product_type,
            user_id=state.user_id,
            portfolio_uuid=state.portfolio_uuid,
            side=order.side,
            trade_time=at,
            sequence_timestamp=at,
            trade_type=TradeType.FILL,
            price=price,
            size=contracts,
            commission=fee,
            commission_detail=commission_parts(fee),
            liquidity=liquidity,
        )
        state.fills.append(record)
        return record

    def _print(self, order: LiveOrder, record: FillView, liquidity: Liquidity) -> None:
        maker_side = order.side if liquidity is Liquidity.MAKER else order.side.other
        self._state.tapes[order.product_id].print_own(
            MarketTrade(
                trade_id=record.trade_id,
                product_id=record.product_id,
                price=record.price,
                size=record.size,
                time=record.trade_time,
                side=maker_side.value,
            )
        )

    def _bring_cash(self, at: datetime) -> None:
        """Spot USD follows automatically where the futures wallet does not cover initial margin (reference 7)."""
        state = self._state
        margin = state.margin()
        short = margin.initial - (state.ledger.balance(CFM) + margin.unrealized)
        amount = min(short.quantize(CENT, rounding=ROUND_CEILING), state.ledger.balance(CBI))
        if short > 0 and amount > 0:
            reference = state.new_id("transfer", state.fill_count)
            state.ledger.move(at=at, source=CBI, target=CFM, amount=amount, reference=reference)

    # -- the market moves ----------------------------------------------------------------------------

    def face(self, product_id: str, touch: Touch, flows: tuple[Flow, ...], at: datetime, times: int = 1) -> None:
        """The product's stops and resting orders meet one moment of the market."""
        state = self._state
        self._trigger(product_id, touch, at)
        book = state.books[product_id]
        if not book:
            return
        for side in Side:
            for filled in crossed(book.side(side), touch):
                self._maker_fill(filled.order, filled.contracts, at)
        for flow in flows:
            for filled in hit(book.side(flow.taker.other), touch, flow, times):
                self._maker_fill(filled.order, filled.contracts, at)
        self._shorten_queues(product_id, touch)

    def _maker_fill(self, order: LiveOrder, contracts: int, at: datetime) -> None:
        assert order.ticks is not None
        price = self._state.markets[order.product_id].price_of(order.ticks)
        self.fill(order, Decimal(contracts), price, Liquidity.MAKER, at)

    def _shorten_queues(self, product_id: str, touch: Touch) -> None:
        """Makers leave too: nobody stands before an order that is the best, nor more than quote at its price."""
        for side in Side:
            best = touch.bid if side is Side.BUY else touch.ask
            for order in self._state.books[product_id].side(side):
                assert order.ticks is not None
                if (order.ticks - best) * side.sign < 0:
                    break
                order.queue_ahead = 0 if order.ticks != best else min(order.queue_ahead, self._makers_at(order))

    def _trigger(self, product_id: str, touch: Touch, at: datetime) -> None:
        state = self._state
        if not state.stops[product_id]:
            return
        for order in list(state.stops[product_id]):
            assert order.stop_ticks is not None
            upwards = self._fires_upwards(order)
            reached = touch.ask >= order.stop_ticks if upwards else touch.bid <= order.stop_ticks
            if not reached or not order.live:
                continue
            state.stops[product_id].remove(order)
            order.trigger = TriggerStatus.STOP_TRIGGERED
            order.updated = at
            if order.configuration.kind in BRACKET_KINDS:
                state.books[product_id].remove(order)
                order.stopped_out = True
                order.ticks = self._stop_leg(order)
            self.meet(order, at)

    @staticmethod
    def _fires_upwards(order: LiveOrder) -> bool:
        if order.configuration.stop_direction is not None:
            return order.configuration.stop_direction is StopDirection.UP
        return order.side is Side.BUY  # a bracket that closes a short stops out upwards

    @staticmethod
    def _stop_leg(order: LiveOrder) -> int:
        assert order.stop_ticks is not None
        share = 1 + STOP_LEG_BEYOND if order.side is Side.BUY else 1 - STOP_LEG_BEYOND
        rounding = ROUND_CEILING if order.side is Side.BUY else ROUND_FLOOR
        return max(1, int((order.stop_ticks * share).to_integral_value(rounding=rounding)))

    # -- liquidation ---------------------------------------------------------------------------------

    def check_liquidation(self, at: datetime) -> None:
        """Below the threshold working orders go first; if that is not enough, positions are closed, largest first."""
        state = self._state
        if not self._below(state.margin()):
            return
        for order in list(state.live.values()):
            if state.products[order.product_id].is_future:
                self.finish(order, OrderStatus.CANCELLED, at, "cancelled by the exchange: margin")
        for _ in range(LIQUIDATION_ROUNDS):
            margin = state.margin()
            if not self._below(margin):
                return
            exposures = [e for e in state.exposures() if state.trading(e.product.product_id)]
            if not exposures:
                return
            largest = max(exposures, key=lambda e: e.margin(e.contracts, intraday=state.intraday))
            if not self.liquidate(largest.product.product_id, at):
                return

    @staticmethod
    def _below(margin: MarginState) -> bool:
        return margin.threshold > 0 and margin.available < margin.threshold

    def liquidate(self, product_id: str, at: datetime) -> bool:
        """Closes a product's position at the market; False when nothing of it could be filled."""
        state = self._state
        held = state.contracts(product_id)
        if not held:
            return False
        state.order_count += 1
        order = LiveOrder(
            order_id=state.new_id("order", state.order_count),
            client_order_id=state.new_id("liquidation", state.order_count),
            product_id=product_id,
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
        )
        state.add_order(order)
        order.status = OrderStatus.OPEN
        self.meet(order, at)
        return order.filled > 0
