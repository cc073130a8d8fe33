"""Edits of working orders: what is allowed, and what it does to the order and its place in the queue.

Fault E24 is asked for here and nowhere else.
"""

from datetime import datetime
from decimal import Decimal

from perpsctl.domain.numbers import multiple_of
from perpsctl.simulator.admission import UNKNOWN_PREVIEW, Admission
from perpsctl.simulator.book import LiveOrder
from perpsctl.simulator.faults import Faults
from perpsctl.simulator.lifecycle import Lifecycle
from perpsctl.simulator.orders import (
    ConfigKind,
    Configuration,
    EditAnswer,
    EditRecord,
    EditRequest,
    OrderStatus,
    OrderType,
    Side,
    TriggerStatus,
)
from perpsctl.simulator.state import State
from perpsctl.simulator.timeflow import Timeflow

EDITS_KEPT = 5
EDITABLE = frozenset({ConfigKind.LIMIT_GTC, ConfigKind.STOP_LIMIT_GTC, ConfigKind.BRACKET_GTC})


class Edits:
    """Carries out the edits of one account."""

    def __init__(
        self, state: State, lifecycle: Lifecycle, admission: Admission, timeflow: Timeflow, faults: Faults
    ) -> None:
        self._state = state
        self._lifecycle = lifecycle
        self._admission = admission
        self._timeflow = timeflow
        self._faults = faults

    def judge(self, request: EditRequest) -> EditAnswer:
        """What would be said to an edit; nothing changes."""
        order = self._state.orders.get(request.order_id)
        if order is None or order.hidden_by_id(self._state.now):
            return _no("ORDER_NOT_FOUND")
        if order.status in {OrderStatus.CANCEL_QUEUED, OrderStatus.EDIT_QUEUED}:
            return _no(
                "CANNOT_EDIT_ORDER_PENDING_CANCEL"
                if order.status is OrderStatus.CANCEL_QUEUED
                else "ORDER_IS_ALREADY_BEING_REPLACED"
            )
        if order.status is not OrderStatus.OPEN:
            return _no("ONLY_OPEN_ORDERS_CAN_BE_EDITED")
        if order.configuration.kind not in EDITABLE:
            return _no("ONLY_LIMIT_ORDER_EDITS_SUPPORTED")
        return self._judge_terms(order, request)

    def _judge_terms(self, order: LiveOrder, request: EditRequest) -> EditAnswer:
        product = self._state.products[order.product_id]
        price, size, stop = self._edited(order, request)
        old = order.configuration
        if request.stop_price is not None and order.order_type is not OrderType.STOP_LIMIT:
            return _no("FIELD_STOPPRICE_NOT_SUPPORTED")
        if request.stop_price is not None and order.trigger is TriggerStatus.STOP_TRIGGERED:
            return _no("CANNOT_EDIT_STOP_PRICE_FOR_TRIGGERED_ORDER")
        if (price, size, stop) == (old.limit_price, order.size, old.stop_price):
            return _no("EDIT_REQUEST_EQUAL_TO_ORIGINAL_REQUEST")
        if size <= order.filled:
            return _no("CANNOT_EDIT_TO_BELOW_FILLED_SIZE")
        if not product.base_min_size <= size <= product.base_max_size or not multiple_of(size, product.base_increment):
            return _no("INVALID_EDITED_SIZE", "PREVIEW_INVALID_SIZE_PRECISION")
        if price is None or price <= 0 or not multiple_of(price, product.price_increment):
            return _no("INVALID_EDITED_PRICE", "PREVIEW_INVALID_PRICE_PRECISION")
        if stop is not None and (stop <= 0 or not multiple_of(stop, product.price_increment)):
            return _no("INVALID_EDITED_STOP_PRICE", "PREVIEW_INVALID_STOP_PRICE_PRECISION")
        if old.post_only and self._would_take(order, price):
            return _no("INVALID_EDITED_PRICE", "PREVIEW_INVALID_LIMIT_PRICE_POST_ONLY")
        if not self._admission.affordable(order.product_id, order.side, size - order.filled, without=order.order_id):
            return _no("COMMANDER_REJECTED_EDIT_ORDER", "PREVIEW_INSUFFICIENT_FUNDS_FOR_FUTURES")
        return EditAnswer(success=True)

    def _would_take(self, order: LiveOrder, price: Decimal) -> bool:
        touch = self._state.touch(order.product_id)
        if touch is None:
            return False
        ticks = self._lifecycle.ticks_of(order.product_id, price)
        opposite = touch.ask if order.side is Side.BUY else touch.bid
        return ticks is not None and (ticks - opposite) * order.side.sign >= 0

    @staticmethod
    def _edited(order: LiveOrder, request: EditRequest) -> tuple[Decimal | None, Decimal, Decimal | None]:
        old = order.configuration
        price = old.limit_price if request.price is None else request.price
        size = order.size if request.size is None else request.size
        return price, size, old.stop_price if request.stop_price is None else request.stop_price

    def edit(self, request: EditRequest) -> EditAnswer:
        """Changes size or price of an open order; its place in the queue is lost unless the size only falls."""
        state = self._state
        state.request_count += 1
        answer = self.judge(request)
        order = state.orders.get(request.order_id)
        word = "edited" if answer.success else f"refused:{answer.edit_failure_reason}"
        self._state.log(
            "edit_order",
            order.client_order_id if order else "",
            order.product_id if order else "",
            word,
            (request.order_id,),
        )
        if not answer.success or order is None:
            return answer
        slow = self._faults.exchange_fault("E24", "edit_order")
        if slow is not None:
            order.status = OrderStatus.EDIT_QUEUED
            order.updated = state.now
            self._timeflow.after(int(slow["seconds"]), lambda at: self._apply_late(order, request, at))
        else:
            self._apply(order, request, state.now)
        return answer

    def _apply_late(self, order: LiveOrder, request: EditRequest, at: datetime) -> None:
        if order.live:
            order.status = OrderStatus.OPEN
            if self.judge(request).success:
                self._apply(order, request, at)

    def _apply(self, order: LiveOrder, request: EditRequest, at: datetime) -> None:
        price, size, stop = self._edited(order, request)
        old = order.configuration
        keeps_place = price == old.limit_price and size <= order.size and stop == old.stop_price
        order.edit_history = [*order.edit_history, EditRecord(price=price, size=size, accepted_at=at)][-EDITS_KEPT:]
        order.size = size
        order.configuration = Configuration(
            kind=old.kind,
            base_size=size,
            limit_price=price,
            post_only=old.post_only,
            end_time=old.end_time,
            stop_price=stop,
            stop_direction=old.stop_direction,
            stop_trigger_price=old.stop_trigger_price,
        )
        order.updated = at
        self._state.judge_worst(order)
        if keeps_place:
            return
        ticks_of = self._lifecycle.ticks_of
        self._state.books[order.product_id].remove(order)
        order.ticks = ticks_of(order.product_id, price)
        if order.order_type is OrderType.STOP_LIMIT:
            order.stop_ticks = ticks_of(order.product_id, stop)
        if order.resting:
            self._lifecycle.meet(order, at)


def _no(reason: str, preview: str = UNKNOWN_PREVIEW) -> EditAnswer:
    return EditAnswer(success=False, edit_failure_reason=reason, preview_failure_reason=preview)
