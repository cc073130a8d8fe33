"""What the gateway's write methods do: place, edit, cancel, close; refusals are `RpcError`, raised before anything is done.

Labels are user text and never looked at for duplicates (reference section 9). Every request is written down for the
judge as it truly went. Faults E1 to E12 and E24 are the core's own.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from perpsctl.simulator.admission import Admission
from perpsctl.simulator.entries import ACCEPTED, Entries
from perpsctl.simulator.faults import Faults
from perpsctl.simulator.gateway.admission import LIMIT_KINDS, TRIGGER_KINDS, GatewayAdmission, Terms, direction
from perpsctl.simulator.gateway.lifecycle import DISCONNECTED, EDIT_REJECTED, GatewayLifecycle
from perpsctl.simulator.gateway.refusal import RpcError
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
)

ZERO = Decimal(0)
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
        self._rules = GatewayAdmission(state, lifecycle)

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
        self._rules.open_for(terms.product_id, terms.valid_until_ms, entry=True)
        fault = self._faults.exchange_fault("E3", operation)
        if fault is not None:
            raise RpcError(11030, f"other_reject {fault['reason']}")
        self._rules.size(terms.product_id, terms.contracts)
        self._rules.words(terms)
        terms_price = self._rules.price(terms)
        contracts = self._rules.reducing(terms)
        scope = self._rules.scope(terms)
        if terms.post_only:
            terms_price = self._rules.outside(terms.product_id, terms.side, terms_price, reject=terms.reject_post_only)
        if len(state.live) >= state.options.max_open_orders:
            raise RpcError(11030, "other_reject too_many_open_orders")
        if not terms.reduce_only:
            self._rules.fund(terms, scope, contracts)
        order = self._make(terms, scope, contracts, terms_price)
        state.add_order(order)
        state.judge_worst(order)
        self._start(order, operation)
        return order

    def _slot_of(self, terms: Terms, scope: Scope, contracts: Decimal) -> int:
        """The order's slot, made and funded where it is a new isolated one."""
        state = self._gateway
        if not terms.isolated:
            return CROSS
        slot = scope[1]
        if slot < 0:
            free = state.free_slot()
            assert free is not None  # admission refused the order else
            state.bind_slot(terms.product_id, free)
            slot = free
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
                stop_direction=direction(terms) if trigger else None,
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
        self._rules.open_for(order.product_id, wanted.valid_until_ms, entry=False)
        if not order.live or order.status is OrderStatus.CANCEL_QUEUED:
            raise RpcError(11044)
        size = order.size if wanted.contracts is None else wanted.contracts
        self._rules.size(order.product_id, size)
        if size <= order.filled:
            raise RpcError(10021)
        price = order.configuration.limit_price
        if wanted.price is not None and price is not None:
            price = (
                self._rules.on_grid(order.product_id, wanted.price)
                if order.is_trigger
                else self._rules.clamped(order.product_id, order.side, wanted.price)
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
            moved = self._rules.outside(order.product_id, order.side, price, reject=rejects)
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
        try:
            order = self.find(order_id, isolated=isolated)
        except RpcError as refused:  # the judge's list holds it too
            self._gateway.request_count += 1
            self._gateway.log("cancel_orders", "", "", f"refused:{refused.code}", (order_id,))
            raise
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
