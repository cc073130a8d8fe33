"""Orders and fills as the account lists them: one as it stands now, and pages of those that pass a filter. Changes nothing."""

from collections.abc import Callable, Sequence
from decimal import Decimal

from perpsctl.simulator.book import LiveOrder
from perpsctl.simulator.margin import Exposure
from perpsctl.simulator.orders import (
    FillFilter,
    FillView,
    OrderFilter,
    OrderStatus,
    OrderView,
    Page,
    PlacementSource,
)
from perpsctl.simulator.state import State
from perpsctl.simulator.tape import micros

ANY_SOURCE = tuple(source.value for source in PlacementSource)
ZERO = Decimal(0)
TWO = Decimal("0.01")


class InvalidArgument(ValueError):
    """The question itself is malformed: HTTP 400 INVALID_ARGUMENT on the wire."""


class Listings:
    """Orders and fills of one account."""

    def __init__(self, state: State) -> None:
        self._state = state

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
