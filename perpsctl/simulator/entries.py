"""What a client's write requests do: create, cancel, close - with the exchange's own misbehaviour on request.

Every request is written down for the judge as it truly went, whatever the client is told. Faults E1 to E12 are asked
for here and nowhere else.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from perpsctl.simulator.admission import UNKNOWN_PREVIEW, Admission, refuse
from perpsctl.simulator.book import BRACKET_KINDS, STOP_KINDS, LiveOrder, order_type_of
from perpsctl.simulator.faults import Faults, Value
from perpsctl.simulator.lifecycle import Lifecycle
from perpsctl.simulator.options import Dedupe
from perpsctl.simulator.orders import (
    CancelResult,
    ConfigKind,
    Configuration,
    CreateAnswer,
    Liquidity,
    OrderRequest,
    OrderStatus,
    Placed,
    Refused,
    RejectReason,
    Side,
)
from perpsctl.simulator.state import State
from perpsctl.simulator.timeflow import Timeflow

ACCEPTED = "UNKNOWN_CANCEL_FAILURE_REASON"
EDITS_KEPT = 5
EDITABLE = frozenset({ConfigKind.LIMIT_GTC, ConfigKind.STOP_LIMIT_GTC, ConfigKind.BRACKET_GTC})
SHORT_MEMORY = timedelta(seconds=60)


class Entries:
    """Carries out the write requests of one account."""

    def __init__(
        self, state: State, lifecycle: Lifecycle, admission: Admission, timeflow: Timeflow, faults: Faults
    ) -> None:
        self._state = state
        self._lifecycle = lifecycle
        self._admission = admission
        self._timeflow = timeflow
        self._faults = faults

    # -- create --------------------------------------------------------------------------------------

    def create(self, request: OrderRequest, operation: str = "create_order") -> CreateAnswer:
        """Places an order once per client id, as long as the id is remembered."""
        self._state.request_count += 1
        answer = self._create(request, operation)
        if isinstance(answer, Placed):
            word = "repeated" if answer.repeated else "placed"
            self._state.log(operation, request.client_order_id, request.product_id, word, (answer.order_id,))
        else:
            self._state.log(operation, request.client_order_id, request.product_id, f"refused:{answer.reason}", ())
        return answer

    def create_unheard(self, request: OrderRequest) -> None:
        """Places an order whose client has stopped listening (fault N14)."""
        self.create(request)

    def _create(self, request: OrderRequest, operation: str) -> CreateAnswer:
        if not request.client_order_id:
            return self._refused(
                request, refuse("INVALID_REQUEST", "PREVIEW_INVALID_ORDER_CONFIG", "client_order_id is required")
            )
        first = self._remembered(request.client_order_id, operation)
        if first is not None:
            if self._faults.exchange_fault("E5", operation) is not None:
                return self._refused(
                    request, refuse("DUPLICATE_CLIENT_ORDER_ID", UNKNOWN_PREVIEW, "the client order id was used before")
                )
            return self._placed(request, first, repeated=True)
        fault = self._faults.exchange_fault("E3", operation)
        if fault is not None:
            return self._refused(request, refuse(str(fault["reason"]), UNKNOWN_PREVIEW, "refused by the exchange"))
        refusal = self._admission.judge(request)
        if refusal is not None:
            return self._refused(request, refusal)
        order = self._born(request, self._state.request_count)
        self._state.client_ids[request.client_order_id] = (order.order_id, self._state.now)
        self._start(order, operation)
        fault = self._faults.exchange_fault("E4", operation)
        reason = None if fault is None else str(fault["reason"])
        return self._placed(request, order, repeated=False, failure_reason=reason)

    @staticmethod
    def _refused(request: OrderRequest, refusal: Refused) -> Refused:
        return Refused(
            reason=refusal.reason,
            preview_reason=refusal.preview_reason,
            message=refusal.message,
            details=refusal.details,
            configuration=request.configuration,
        )

    @staticmethod
    def _placed(
        request: OrderRequest, order: LiveOrder, *, repeated: bool, failure_reason: str | None = None
    ) -> Placed:
        return Placed(
            order_id=order.order_id,
            product_id=request.product_id,
            side=request.side,
            client_order_id=request.client_order_id,
            configuration=request.configuration,
            attached_order_id=order.attached_order_id,
            repeated=repeated,
            failure_reason=failure_reason,
        )

    def _remembered(self, client_order_id: str, operation: str) -> LiveOrder | None:
        state = self._state
        known = state.client_ids.get(client_order_id)
        if known is None or state.dedupe is Dedupe.NEVER:
            return None
        order_id, at = known
        if state.dedupe is Dedupe.SIXTY_SECONDS and state.now - at >= SHORT_MEMORY:
            return None
        fault = self._faults.exchange_fault("E6", operation)
        if fault is not None and state.now - at >= timedelta(seconds=int(fault["seconds"])):
            return None
        return state.orders.get(order_id)

    def _born(self, request: OrderRequest, sequence: int) -> LiveOrder:
        state, terms = self._state, request.configuration
        state.order_count += 1
        ticks_of = self._lifecycle.ticks_of
        stop = terms.stop_price if terms.kind in STOP_KINDS else terms.stop_trigger_price
        order = LiveOrder(
            order_id=state.new_id("order", state.order_count),
            client_order_id=request.client_order_id,
            product_id=request.product_id,
            side=request.side,
            configuration=terms,
            attached=request.attached,
            attached_order_id="" if request.attached is None else state.new_id("bracket", state.order_count),
            source=request.source,
            sequence=sequence,
            number=state.order_count,
            created=state.now,
            updated=state.now,
            size=terms.base_size or Decimal(0),
            ticks=ticks_of(request.product_id, terms.limit_price),
            stop_ticks=ticks_of(request.product_id, stop) if terms.kind in STOP_KINDS | BRACKET_KINDS else None,
            order_type=order_type_of(terms.kind),
            leverage=request.leverage or "",
            margin_type=request.margin_type or "CROSS",
        )
        state.add_order(order)
        self._state.judge_worst(order)
        return order

    def _start(self, order: LiveOrder, operation: str) -> None:
        state = self._state
        if order.configuration.end_time is not None:
            self._timeflow.due(order.configuration.end_time, lambda at: self._expire(order, at))
        self._hide(order, operation)
        later = self._faults.exchange_fault("E7", operation)
        if later is not None:
            self._timeflow.after(int(later["seconds"]), lambda at: self._reject_later(order, later, at))
            return  # it stays PENDING and never meets the market
        if len(state.live) > state.options.max_open_orders:
            self._lifecycle.fail(order, RejectReason.TOO_MANY_OPEN_ORDERS, "too many open orders", state.now)
            return
        if not state.session(order.product_id).is_open:
            order.status = OrderStatus.QUEUED
        else:
            self._lifecycle.activate(order, state.now)
        fault = self._faults.exchange_fault("E12", operation)
        if fault is not None:
            message = str(fault["message"])
            self._timeflow.after(int(fault["seconds"]), lambda at: self._end(order, OrderStatus.CANCELLED, at, message))

    def _hide(self, order: LiveOrder, operation: str) -> None:
        now = self._state.now
        fault = self._faults.exchange_fault("E1", operation)
        if fault is not None:
            order.hidden_by_id_until = order.hidden_in_list_until = now + timedelta(seconds=int(fault["seconds"]))
        fault = self._faults.exchange_fault("E2", operation)
        if fault is not None:
            until = now + timedelta(seconds=int(fault["seconds"]))
            if fault["missing"] == "id":
                order.hidden_by_id_until = until
            else:
                order.hidden_in_list_until = until

    def _reject_later(self, order: LiveOrder, fault: dict[str, Value], at: datetime) -> None:
        if order.live:
            known = {reason.value: reason for reason in RejectReason}
            reason = known.get(str(fault["reason"]), RejectReason.UNSPECIFIED)
            self._lifecycle.fail(order, reason, "rejected after acceptance", at)

    def _expire(self, order: LiveOrder, at: datetime) -> None:
        self._end(order, OrderStatus.EXPIRED, at, "")

    def _end(self, order: LiveOrder, status: OrderStatus, at: datetime, message: str) -> None:
        if order.live:
            self._lifecycle.finish(order, status, at, message)

    def inject(self, request: OrderRequest) -> CreateAnswer:
        """An order from outside: no client id is remembered, no fault strikes, spot may rest."""
        product = self._state.products.get(request.product_id)
        if product is None or product.is_future:
            refusal = self._admission.judge(request)
            if refusal is not None:
                return self._refused(request, refusal)
        order = self._born(request, 0)
        if product is not None and not product.is_future:
            order.status = OrderStatus.OPEN  # it stands in the list; spot never trades here
        elif not self._state.session(order.product_id).is_open:
            order.status = OrderStatus.QUEUED
        else:
            self._lifecycle.activate(order, self._state.now)
        if order.live and order.configuration.end_time is not None:
            self._timeflow.due(order.configuration.end_time, lambda at: self._expire(order, at))
        return self._placed(request, order, repeated=False)

    # -- close ---------------------------------------------------------------------------------------

    def close(self, client_order_id: str, product_id: str, size: Decimal | None) -> CreateAnswer:
        """A market IOC order against the position, for `size` contracts or all of it."""
        held = self._state.contracts(product_id) if product_id in self._state.products else Decimal(0)
        side = Side.SELL if held > 0 else Side.BUY
        request = OrderRequest(
            product_id=product_id,
            side=side,
            client_order_id=client_order_id,
            configuration=Configuration(kind=ConfigKind.MARKET_IOC, base_size=abs(held) if size is None else size),
        )
        repeat = client_order_id in self._state.client_ids
        if product_id in self._state.products and not repeat:
            refusal: Refused | None = None
            if not held:
                refusal = refuse("CANNOT_CLOSE_ZERO_POSITION", UNKNOWN_PREVIEW, "there is no position to close")
            elif size is not None and size > abs(held):
                refusal = refuse("INVALID_REQUEST", "PREVIEW_INVALID_BASE_SIZE_TOO_LARGE", "more than the position")
            if refusal is not None:
                self._state.request_count += 1
                self._state.log("close_position", client_order_id, product_id, f"refused:{refusal.reason}", ())
                return self._refused(request, refusal)
        return self.create(request, "close_position")

    # -- cancel --------------------------------------------------------------------------------------

    def cancel(self, order_ids: Iterable[str]) -> tuple[CancelResult, ...]:
        """One result per id; an accepted cancel is over at once unless a fault delays it."""
        self._state.request_count += 1
        results: list[CancelResult] = []
        seen: set[str] = set()
        for order_id in order_ids:
            reason = "DUPLICATE_CANCEL_REQUEST" if order_id in seen else self._cancel_one(order_id)
            seen.add(order_id)
            results.append(CancelResult(order_id=order_id, success=reason == ACCEPTED, failure_reason=reason))
        words = ",".join("cancelled" if result.success else result.failure_reason for result in results)
        self._state.log("cancel_orders", "", "", words, tuple(result.order_id for result in results))
        return tuple(results)

    def _cancel_one(self, order_id: str) -> str:
        state = self._state
        order = state.orders.get(order_id)
        if order is None or order.hidden_by_id(state.now):
            return "UNKNOWN_CANCEL_ORDER"
        refusal = self._uncancellable(order)
        if refusal is not None:
            return refusal
        if self._faults.exchange_fault("E10", "cancel_orders") is not None:
            self._force_fill(order, order.left, state.now)
            return "ORDER_IS_FULLY_FILLED"
        if self._faults.exchange_fault("E8", "cancel_orders") is not None and order.left > 1:
            self._force_fill(order, (order.left / 2).to_integral_value(), state.now)
        late = self._faults.exchange_fault("E9", "cancel_orders")
        if late is not None:
            order.status = OrderStatus.CANCEL_QUEUED
            self._timeflow.after(int(late["seconds"]), lambda at: self._fill_late(order, int(late["per_cent"]), at))
            return ACCEPTED
        slow = self._faults.exchange_fault("E11", "cancel_orders")
        if slow is not None:
            order.status = OrderStatus.CANCEL_QUEUED
            order.updated = state.now
            self._timeflow.after(
                int(slow["seconds"]), lambda at: self._end(order, OrderStatus.CANCELLED, at, "cancelled by the user")
            )
            return ACCEPTED
        self._end(order, OrderStatus.CANCELLED, state.now, "cancelled by the user")
        return ACCEPTED

    def _uncancellable(self, order: LiveOrder) -> str | None:
        if order.status is OrderStatus.FILLED:
            return "ORDER_IS_FULLY_FILLED"
        if not order.live:
            return "INVALID_CANCEL_REQUEST"
        if order.status is OrderStatus.CANCEL_QUEUED:
            return "DUPLICATE_CANCEL_REQUEST"
        if order.status is OrderStatus.EDIT_QUEUED:
            return "ORDER_IS_BEING_REPLACED"
        product = self._state.products[order.product_id]
        closed = product.is_future and not self._state.session(order.product_id).is_open
        if closed and order.status is not OrderStatus.QUEUED:
            return "INVALID_CANCEL_FCM_TRADING_SESSION"
        return None

    def _force_fill(self, order: LiveOrder, contracts: Decimal, at: datetime) -> None:
        """Fills an order whatever the market says, at its price (the mark for one without)."""
        market = self._state.markets[order.product_id]
        price = market.price_of(order.ticks) if order.ticks is not None else self._state.mark(order.product_id)
        if contracts > 0:
            self._lifecycle.fill(order, contracts, price, Liquidity.MAKER, at)

    def _fill_late(self, order: LiveOrder, per_cent: int, at: datetime) -> None:
        if not order.live:
            return
        contracts = (order.left * per_cent / 100).to_integral_value()
        self._force_fill(order, min(order.left, max(Decimal(1), contracts)), at)
        self._end(order, OrderStatus.CANCELLED, at, "cancelled by the user")

    def external_fill(self, order_id: str, contracts: Decimal, price: Decimal | None) -> None:
        """Control fills a live order; ValueError for more than is left or an order that is not live."""
        order = self._state.orders.get(order_id)
        if order is None or not order.live or not 0 < contracts <= order.left:
            raise ValueError("only a live order can be filled, by no more than is left of it")
        if price is None:
            self._force_fill(order, contracts, self._state.now)
        else:
            self._lifecycle.fill(order, contracts, price, Liquidity.MAKER, self._state.now)
