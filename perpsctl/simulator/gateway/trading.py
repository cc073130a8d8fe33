"""What the gateway's write methods do: place, edit, cancel, close; refusals are `RpcError`, raised before anything is done.

Labels are user text and never looked at for duplicates (reference section 9). Every request is written down for the
judge as it truly went. Faults E1 to E12 and E24 are the core's own.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from perpsctl.domain.numbers import multiple_of
from perpsctl.simulator.admission import Admission
from perpsctl.simulator.entries import ACCEPTED, Entries
from perpsctl.simulator.faults import Faults
from perpsctl.simulator.gateway.lifecycle import DISCONNECTED, EDIT_REJECTED, GatewayLifecycle
from perpsctl.simulator.gateway.refusal import RpcError, bad
from perpsctl.simulator.gateway.state import CROSS, GatewayOrder, GatewayState, Scope, UserTrade
from perpsctl.simulator.gateway.timeflow import GatewayTimeflow
from perpsctl.simulator.margin import CENT
from perpsctl.simulator.orders import (
    ConfigKind,
    Configuration,
    CreateAnswer,
    OrderRequest,
    OrderStatus,
    OrderType,
    PlacementSource,
    Refused,
    Side,
    StopDirection,
)
from perpsctl.simulator.tape import micros

ZERO = Decimal(0)
TRIGGERS_MAX = 100  # ours: the gateway's number is not on record
PLAIN_KINDS = frozenset({"limit", "market", "market_limit"})
TRIGGER_KINDS = frozenset({"stop_limit", "stop_market", "take_limit", "take_market"})
DAY_AND_CANCELLED = frozenset({"good_til_cancelled", "good_til_day"})
LIMIT_KINDS = {
    "good_til_cancelled": ConfigKind.LIMIT_GTC,
    "good_til_day": ConfigKind.LIMIT_GTC,
    "immediate_or_cancel": ConfigKind.LIMIT_IOC,
    "fill_or_kill": ConfigKind.LIMIT_FOK,
}
_KIND_WORDS = {
    ConfigKind.LIMIT_GTC: ("limit", "good_til_cancelled"),
    ConfigKind.LIMIT_IOC: ("limit", "immediate_or_cancel"),
    ConfigKind.LIMIT_FOK: ("limit", "fill_or_kill"),
    ConfigKind.MARKET_IOC: ("market", "immediate_or_cancel"),
    ConfigKind.MARKET_FOK: ("market", "fill_or_kill"),
    ConfigKind.STOP_LIMIT_GTC: ("stop_limit", "good_til_cancelled"),
}
_CANCEL_CODES = {
    "UNKNOWN_CANCEL_ORDER": 10004,
    "ORDER_IS_FULLY_FILLED": 11044,
    "INVALID_CANCEL_REQUEST": 11044,
    "ORDER_IS_BEING_REPLACED": 11044,
    "INVALID_CANCEL_FCM_TRADING_SESSION": 10041,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a client asks for in buy or sell."""

    product_id: str
    side: Side
    contracts: Decimal
    kind: str = "limit"
    price: Decimal | None = None
    time_in_force: str = "good_til_cancelled"
    post_only: bool = False
    reject_post_only: bool = False
    reduce_only: bool = False
    label: str = ""
    trigger: str | None = None
    trigger_price: Decimal | None = None
    isolated: bool = False
    allocated_margin: Decimal | None = None
    valid_until_ms: int | None = None
    connection: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a client asks for in edit; None stays."""

    order_id: str
    contracts: Decimal | None = None
    price: Decimal | None = None
    post_only: bool | None = None
    reject_post_only: bool | None = None
    reduce_only: bool | None = None
    trigger_price: Decimal | None = None
    isolated: bool = False
    valid_until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """An order as it stands after a request, and the trades the request made."""

    order: GatewayOrder
    trades: tuple[UserTrade, ...]


class Trading(Entries):
    """Carries out the write requests of the gateway's account."""

    def __init__(
        self, state: GatewayState, lifecycle: GatewayLifecycle, timeflow: GatewayTimeflow, faults: Faults
    ) -> None:
        super().__init__(state, lifecycle, Admission(state, lifecycle), timeflow, faults)
        self._gateway = state

    # -- place ---------------------------------------------------------------------------------------

    def place(self, terms: Terms, operation: str = "create_order") -> Done:
        """An order is placed, once for each call, whatever its label. Raises RpcError when none was."""
        state = self._gateway
        state.request_count += 1
        before = state.fill_count
        try:
            order = self._place(terms, operation)
        except RpcError as refused:
            state.log(operation, terms.label, terms.product_id, f"refused:{refused.code}", ())
            raise
        state.log(operation, terms.label, terms.product_id, "placed", (order.order_id,))
        return Done(order=order, trades=self._trades_since(before, order.order_id))

    def _trades_since(self, before: int, order_id: str) -> tuple[UserTrade, ...]:
        state = self._gateway
        fresh = state.fill_count - before
        return tuple(trade for trade in list(state.trades)[-fresh:] if trade.order_id == order_id) if fresh else ()

    def _place(self, terms: Terms, operation: str) -> GatewayOrder:
        state = self._gateway
        self._open(terms.product_id, terms.valid_until_ms, entry=True)
        fault = self._faults.exchange_fault("E3", operation)
        if fault is not None:
            raise RpcError(11030, f"other_reject {fault['reason']}")
        self._size(terms.product_id, terms.contracts)
        self._words(terms)
        terms_price = self._price(terms)
        contracts = self._reducing(terms)
        scope = self._scope(terms)
        if terms.post_only:
            terms_price = self._outside(terms.product_id, terms.side, terms_price, reject=terms.reject_post_only)
        if len(state.live) >= state.options.max_open_orders:
            raise RpcError(11030, "other_reject too_many_open_orders")
        if not terms.reduce_only:
            self._fund(terms, scope, contracts)
        order = self._make(terms, scope, contracts, terms_price)
        state.add_order(order)
        state.judge_worst(order)
        self._start(order, operation)
        return order

    def _open(self, product_id: str, valid_until_ms: int | None, *, entry: bool) -> None:
        """The request is in time and the instrument takes orders (`entry`) or edits."""
        state = self._gateway
        if product_id not in state.products:
            raise RpcError(10020)
        if valid_until_ms is not None and micros(state.now) > valid_until_ms * 1000:
            raise RpcError(13888)
        status = state.status[product_id]
        if state.locked:
            raise RpcError(10019)
        if state.in_maintenance(product_id):
            raise RpcError(11051)
        if state.settling:
            raise RpcError(10041)
        if status.is_disabled or status.view_only or status.trading_disabled or status.session_closed:
            raise RpcError(10012)
        if entry and (status.cancel_only or status.auction_mode):
            raise RpcError(10012)

    def _size(self, product_id: str, contracts: Decimal) -> None:
        product = self._gateway.products[product_id]
        if contracts < product.base_min_size:
            raise RpcError(10002)
        if not multiple_of(contracts, product.base_increment):
            raise bad("amount", f"must be a multiple of contract size {product.unit_size}")
        if contracts > product.base_max_size:
            raise RpcError(10021)

    @staticmethod
    def _words(terms: Terms) -> None:
        if terms.kind not in PLAIN_KINDS | TRIGGER_KINDS:
            raise RpcError(10033, None, {"reason": f"this exchange does not offer type {terms.kind}"})
        if terms.time_in_force not in LIMIT_KINDS:
            raise bad("time_in_force", "unknown value")
        if terms.post_only and (
            terms.kind in {"market", "market_limit"} or terms.time_in_force not in DAY_AND_CANCELLED
        ):
            raise RpcError(11055)
        if terms.reject_post_only and not terms.post_only:
            raise bad("reject_post_only", "needs post_only")
        if terms.kind in TRIGGER_KINDS:
            if terms.trigger_price is None:
                raise bad("trigger_price", "required")
            if terms.trigger not in {"mark_price", "index_price", "last_price"}:
                raise bad("trigger", "must be one of index_price, mark_price, last_price")
        elif terms.trigger_price is not None or terms.trigger is not None:
            raise RpcError(11047)

    def _price(self, terms: Terms) -> Decimal | None:
        """The price the order stands at: moved to the allowed band without a word; None waits for a trigger's market."""
        state = self._gateway
        step = state.products[terms.product_id].price_increment
        lowest, highest = state.limits(terms.product_id)
        bound = highest if terms.side is Side.BUY else lowest
        self._trigger_price(terms, step)
        if terms.kind in {"market", "stop_market", "take_market"}:
            if terms.kind == "market" and not self._lifecycle.prospect(terms.product_id, terms.side, 1, None).steps:
                raise RpcError(11030, "other_reject no_liquidity")
            return bound if terms.kind == "market" else None
        if terms.kind == "market_limit":
            best = self._lifecycle.prospect(terms.product_id, terms.side, 1, None).steps
            if not best:
                raise RpcError(11030, "other_reject no_liquidity")
            return best[0][0] * step
        if terms.price is None:
            raise bad("price", "required")
        if terms.kind in TRIGGER_KINDS:  # the band of the moment it triggers applies
            return self._on_grid(terms.product_id, terms.price)
        return self._clamped(terms.product_id, terms.side, terms.price)

    def _on_grid(self, product_id: str, price: Decimal) -> Decimal:
        if price <= 0:
            raise RpcError(10011)
        if not multiple_of(price, self._gateway.products[product_id].price_increment):
            raise RpcError(10043)
        return price

    def _clamped(self, product_id: str, side: Side, price: Decimal) -> Decimal:
        """Buys above the maximum and sells below the minimum are moved there without a word (reference section 7)."""
        self._on_grid(product_id, price)
        lowest, highest = self._gateway.limits(product_id)
        return min(price, highest) if side is Side.BUY else max(price, lowest)

    def _trigger_price(self, terms: Terms, step: Decimal) -> None:
        if terms.trigger_price is None:
            return
        if terms.trigger_price <= 0 or not multiple_of(terms.trigger_price, step):
            raise RpcError(10043)
        mark = self._gateway.mark(terms.product_id)
        if _direction(terms) is StopDirection.UP and terms.trigger_price <= mark:
            raise RpcError(10035)
        if _direction(terms) is StopDirection.DOWN and terms.trigger_price >= mark:
            raise RpcError(10034)
        waiting = sum(1 for order in self._gateway.own_orders() if order.live and order.is_trigger)
        if waiting >= TRIGGERS_MAX:
            raise RpcError(11035, f"no_more_triggers {TRIGGERS_MAX}")

    def _reducing(self, terms: Terms) -> Decimal:
        """The size an order may have: a reduce-only one is cut to what it can reduce."""
        if not terms.reduce_only:
            return terms.contracts
        slot = self._gateway.slots.get(terms.product_id, -1) if terms.isolated else CROSS
        room = -self._gateway.held((terms.product_id, slot)) * terms.side.sign
        if room <= 0:
            if terms.kind in TRIGGER_KINDS:
                return terms.contracts  # judged when it triggers
            raise RpcError(11030, "other_reject reduce_direction")
        return min(terms.contracts, room)

    def _scope(self, terms: Terms) -> Scope:
        if not terms.isolated:
            if terms.allocated_margin is not None:
                raise bad("allocated_margin", "needs isolated")
            return terms.product_id, CROSS
        if terms.kind in TRIGGER_KINDS:
            raise RpcError(11047)
        known = self._gateway.slots.get(terms.product_id)
        return terms.product_id, -1 if known is None else known

    def _outside(self, product_id: str, side: Side, price: Decimal | None, *, reject: bool) -> Decimal | None:
        """The price of a post-only order: refused where it would take, or moved to just outside the spread."""
        if price is None:
            return None
        state = self._gateway
        step = state.products[product_id].price_increment
        own = state.books[product_id].best(side.other)
        best = self._lifecycle.prospect(product_id, side, 1, None).steps
        opposite = [ticks for ticks, _ in best] + ([own.ticks] if own is not None and own.ticks is not None else [])
        if not opposite:
            return price
        nearest = min(opposite) if side is Side.BUY else max(opposite)
        if (price - nearest * step) * side.sign < 0:
            return price
        if reject:
            raise RpcError(11054)
        return (nearest - side.sign) * step

    def _fund(self, terms: Terms, scope: Scope, contracts: Decimal) -> None:
        """Margin for the order: from the cross account, or moved to the isolated slot."""
        state = self._gateway
        if not terms.isolated:
            after = state.money(CROSS, (scope, terms.side, contracts))
            if after.initial > after.equity and after.initial > state.money(CROSS).initial:
                raise RpcError(10009)
            return
        slot = scope[1]
        required = state.scope_initial(scope, contracts)
        if slot >= 0:
            after = state.money(slot, (scope, terms.side, contracts))
            required = max(ZERO, after.initial - after.equity)
        required = required.quantize(CENT) + CENT if required else ZERO
        given = terms.allocated_margin
        if given is not None and given < required:
            raise RpcError(14033, None, {"required_minimum": required, "suggested_amount": required * 2})
        wanted = required if given is None else given
        if wanted > state.money(CROSS).available:
            raise RpcError(14034, None, {"required_minimum": required, "suggested_amount": required})

    def _slot_of(self, terms: Terms, scope: Scope, contracts: Decimal) -> int:
        """The order's slot, made and funded where it is a new isolated one."""
        state = self._gateway
        if not terms.isolated:
            return CROSS
        slot = scope[1]
        if slot < 0:
            state.slots_made += 1
            slot = state.slots[terms.product_id] = state.slots_made
        if terms.reduce_only:
            return slot
        after = state.money(slot, ((terms.product_id, slot), terms.side, contracts))
        short = max(ZERO, after.initial - after.equity)
        needed = short.quantize(CENT) + CENT if short else ZERO
        amount = needed if terms.allocated_margin is None else max(needed, terms.allocated_margin)
        if amount:
            state.move_collateral(CROSS, slot, amount, f"slot {slot}")
        return slot

    def _make(self, terms: Terms, scope: Scope, contracts: Decimal, price: Decimal | None) -> GatewayOrder:
        state = self._gateway
        slot = self._slot_of(terms, scope, contracts)
        trigger = terms.kind in TRIGGER_KINDS
        kind = LIMIT_KINDS[terms.time_in_force]
        if terms.kind == "market":
            kind = ConfigKind.MARKET_FOK if kind is ConfigKind.LIMIT_FOK else ConfigKind.MARKET_IOC
        order_id = state.next_order_id(trigger=trigger)
        ticks_of = self._lifecycle.ticks_of
        return GatewayOrder(
            order_id=order_id,
            client_order_id=terms.label,
            product_id=terms.product_id,
            side=terms.side,
            configuration=Configuration(
                kind=ConfigKind.STOP_LIMIT_GTC if trigger else kind,
                base_size=contracts,
                limit_price=price,
                post_only=terms.post_only,
                reduce_only=terms.reduce_only,
                stop_price=terms.trigger_price,
                stop_direction=_direction(terms) if trigger else None,
            ),
            attached=None,
            source=PlacementSource.RETAIL_ADVANCED,
            sequence=state.request_count,
            number=state.order_count,
            created=state.now,
            updated=state.now,
            size=contracts,
            ticks=ticks_of(terms.product_id, price),
            stop_ticks=ticks_of(terms.product_id, terms.trigger_price),
            order_type=OrderType.STOP_LIMIT
            if trigger
            else OrderType.MARKET
            if terms.kind == "market"
            else OrderType.LIMIT,
            leverage="",
            margin_type="ISOLATED" if terms.isolated else "CROSS",
            kind_word=terms.kind,
            tif_word=terms.time_in_force,
            post_only=terms.post_only,
            reject_post_only=terms.reject_post_only,
            reduce_only=terms.reduce_only,
            slot=slot,
            trigger_by=terms.trigger,
            trigger_price=terms.trigger_price,
            connection=terms.connection,
        )

    def inject(self, request: OrderRequest) -> CreateAnswer:
        """An order somebody else placed on this account, by the web: no request of ours, no fault of creates strikes."""
        terms = request.configuration
        kind = _KIND_WORDS.get(terms.kind)
        if kind is None or terms.base_size is None:
            raise ValueError(f"the gateway has no order of kind {terms.kind}")
        wanted = Terms(
            product_id=request.product_id,
            side=request.side,
            contracts=terms.base_size,
            kind=kind[0],
            price=terms.limit_price,
            time_in_force=kind[1],
            post_only=terms.post_only,
            reject_post_only=terms.post_only,
            reduce_only=terms.reduce_only,
            label=request.client_order_id,
            trigger=None if terms.stop_price is None else "mark_price",
            trigger_price=terms.stop_price,
        )
        try:
            order = self._place(wanted, "injected")
        except RpcError as refused:
            return self._refused(request, Refused(reason=str(refused.code), preview_reason="", message=refused.message))
        order.sequence, order.web, order.source = 0, True, request.source
        return self._placed(request, order, repeated=False)

    def close_all(self, product_id: str, *, kind: str, price: Decimal | None, isolated: bool, connection: str) -> Done:
        """A reduce-only order for the whole position. Raises RpcError."""
        state = self._gateway
        slot = state.slots.get(product_id, -1) if isolated else CROSS
        held = state.held((product_id, slot))
        if not held:
            raise RpcError(11030, "other_reject already_closed")
        return self.place(
            Terms(
                product_id=product_id,
                side=Side.SELL if held > 0 else Side.BUY,
                contracts=abs(held),
                kind=kind,
                price=price,
                reduce_only=True,
                isolated=isolated,
                connection=connection,
            ),
            "close_position",
        )

    # -- edit ----------------------------------------------------------------------------------------

    def change(self, wanted: Change, operation: str = "edit_order") -> Done:
        """The order keeps its id and has new terms; `contracts` is the whole size, fills included. Raises RpcError."""
        state = self._gateway
        state.request_count += 1
        before = state.fill_count
        known = state.own(wanted.order_id)
        label, product_id = ("", "") if known is None else (known.client_order_id, known.product_id)
        try:
            order = self._change(wanted, operation)
        except RpcError as refused:
            state.log(operation, label, product_id, f"refused:{refused.code}", ())
            raise
        state.log(operation, label, product_id, "edited", (order.order_id,))
        return Done(order=order, trades=self._trades_since(before, order.order_id))

    def _change(self, wanted: Change, operation: str) -> GatewayOrder:
        state = self._gateway
        order = self.find(wanted.order_id, isolated=wanted.isolated)
        self._open(order.product_id, wanted.valid_until_ms, entry=False)
        if not order.live or order.status is OrderStatus.CANCEL_QUEUED:
            raise RpcError(11044)
        size = order.size if wanted.contracts is None else wanted.contracts
        self._size(order.product_id, size)
        if size <= order.filled:
            raise RpcError(10021)
        price = order.configuration.limit_price
        if wanted.price is not None and price is not None:
            price = (
                self._on_grid(order.product_id, wanted.price)
                if order.is_trigger
                else self._clamped(order.product_id, order.side, wanted.price)
            )
        post_only = order.post_only if wanted.post_only is None else wanted.post_only
        rejects = order.reject_post_only if wanted.reject_post_only is None else wanted.reject_post_only
        if post_only and not order.is_trigger and price is not None:
            price = self._outside_edit(order, price, rejects=rejects)
        self._fund_edit(order, size)
        slow = self._faults.exchange_fault("E24", operation)
        if slow is not None:
            order.status = OrderStatus.EDIT_QUEUED
            self._timeflow.after(
                int(slow["seconds"]), lambda at: self._apply(order, wanted, size, price, (post_only, rejects), at)
            )
        else:
            self._apply(order, wanted, size, price, (post_only, rejects), state.now)
        return order

    def _outside_edit(self, order: GatewayOrder, price: Decimal, *, rejects: bool) -> Decimal:
        try:
            moved = self._outside(order.product_id, order.side, price, reject=rejects)
        except RpcError:
            self._lifecycle.finish(order, OrderStatus.CANCELLED, self._gateway.now, EDIT_REJECTED)
            raise
        return price if moved is None else moved

    def _fund_edit(self, order: GatewayOrder, size: Decimal) -> None:
        more = size - order.size
        if more <= 0 or order.reduce_only:
            return
        after = self._gateway.money(order.slot, (order.scope, order.side, more))
        if after.initial > after.equity:
            raise RpcError(10009)

    def _apply(
        self,
        order: GatewayOrder,
        wanted: Change,
        size: Decimal,
        price: Decimal | None,
        flags: tuple[bool, bool],
        at: datetime,
    ) -> None:
        if not order.live or size <= order.filled:
            return
        state, old = self._gateway, order.configuration
        keeps_place = price == old.limit_price and size <= order.size
        order.status = OrderStatus.OPEN
        order.size, order.updated, order.replaced = size, at, True
        order.post_only, order.reject_post_only = flags
        order.reduce_only = order.reduce_only if wanted.reduce_only is None else wanted.reduce_only
        if wanted.trigger_price is not None and order.is_trigger:
            order.trigger_price = wanted.trigger_price
            order.stop_ticks = self._lifecycle.ticks_of(order.product_id, wanted.trigger_price)
        order.configuration = Configuration(
            kind=old.kind,
            base_size=size,
            limit_price=price,
            post_only=order.post_only,
            reduce_only=order.reduce_only,
            stop_price=order.trigger_price,
            stop_direction=old.stop_direction,
        )
        state.judge_worst(order)
        order.ticks = self._lifecycle.ticks_of(order.product_id, price)
        if order.resting and not keeps_place:
            state.books[order.product_id].remove(order)
            self._lifecycle.meet(order, at)
        if order.live:
            state.tell(order)

    # -- cancel --------------------------------------------------------------------------------------

    def find(self, order_id: str, *, isolated: bool) -> GatewayOrder:
        """An order of the account; an isolated one is found only with the flag (10004). Raises RpcError."""
        order = self._gateway.own(order_id)
        if order is None or order.hidden_by_id(self._gateway.now) or (order.slot != CROSS and not isolated):
            raise RpcError(10004)
        return order

    def cancel_order(self, order_id: str, *, isolated: bool = False) -> GatewayOrder:
        """The order is cancelled, or its cancel is on its way (faults E9, E11). Raises RpcError."""
        order = self.find(order_id, isolated=isolated)
        result = self.cancel((order_id,))[0]
        if result.failure_reason not in {ACCEPTED, "DUPLICATE_CANCEL_REQUEST"}:
            raise RpcError(_CANCEL_CODES[result.failure_reason])
        return order

    def cancel_many(self, orders: Iterable[GatewayOrder]) -> tuple[GatewayOrder, ...]:
        """Those of the orders whose cancel was accepted."""
        wanted = {order.order_id: order for order in orders}
        return tuple(wanted[each.order_id] for each in self.cancel(wanted) if each.success)

    def disconnected(self, connection: str) -> int:
        """Cancels what came over a socket that has ended; how many there were."""
        state = self._gateway
        orders = [order for order in state.own_orders() if order.live and order.connection == connection]
        for order in orders:
            self._lifecycle.finish(order, OrderStatus.CANCELLED, state.now, DISCONNECTED)
        return len(orders)


def _direction(terms: Terms) -> StopDirection:
    """Which way the trigger lies: a stop buy above, a take buy below."""
    up = (terms.side is Side.BUY) == terms.kind.startswith("stop")
    return StopDirection.UP if up else StopDirection.DOWN
