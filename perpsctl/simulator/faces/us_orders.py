"""The order side of the US face: bodies to the core's requests (reference 6).

What cannot be read is HTTP 400; a business refusal is HTTP 200 with `success: false` and is the core's to make.
"""

from datetime import datetime
from decimal import Decimal

from msgspec import UNSET, UnsetType

from perpsctl.simulator.exchange import Exchange
from perpsctl.simulator.faces.errors import Malformed
from perpsctl.simulator.faces.messages import Query
from perpsctl.simulator.faces.spelling import instant
from perpsctl.simulator.faces.us_account import exact
from perpsctl.simulator.faces.us_market import count
from perpsctl.simulator.faces.us_order_bodies import (
    create_reply,
    edit_preview_reply,
    edit_reply,
    fill_body,
    order_body,
    preview_reply,
)
from perpsctl.simulator.orders import (
    ConfigKind,
    Configuration,
    EditRequest,
    FillFilter,
    OrderFilter,
    OrderRequest,
    Side,
    StopDirection,
)
from perpsctl.wire.advanced_trade import configurations
from perpsctl.wire.advanced_trade import orders as wire

MAX_CANCELS = 100  # the largest batch is undocumented; others use 100 (reference 6.4)
_NO_CANCEL_FAILURE = "UNKNOWN_CANCEL_FAILURE_REASON"


# --- requests -----------------------------------------------------------------------------------------


def order_request(body: wire.CreateOrderRequest) -> OrderRequest:
    """What POST /orders asks for; Malformed where a required part is missing."""
    client_order_id = body.client_order_id
    if client_order_id is UNSET or not client_order_id:
        raise Malformed("client_order_id is required")
    return _request(body, client_order_id)


def preview_request(body: wire.PreviewOrderRequest) -> OrderRequest:
    """What POST /orders/preview asks for."""
    return _request(body, "")


def _request(body: wire.CreateOrderRequest | wire.PreviewOrderRequest, client_order_id: str) -> OrderRequest:
    if body.product_id is UNSET or not body.product_id:
        raise Malformed("product_id is required")
    if body.side is UNSET or body.side not in Side.__members__:
        raise Malformed("proto: invalid value for enum type side", error="unknown")
    attached = body.attached_order_configuration
    preview_id = body.preview_id if isinstance(body, wire.CreateOrderRequest) else UNSET
    return OrderRequest(
        product_id=body.product_id,
        side=Side(body.side),
        configuration=_configuration(body.order_configuration),
        client_order_id=client_order_id,
        leverage=_or_none(body.leverage),
        margin_type=_or_none(body.margin_type),
        preview_id=_or_none(preview_id),
        attached=None if attached is UNSET else _configuration(attached),
    )


def _or_none(text: str | UnsetType) -> str | None:
    return None if text is UNSET else text


def _configuration(sent: configurations.OrderConfiguration | UnsetType) -> Configuration:
    if sent is UNSET:
        raise Malformed("order_configuration is required")
    variants = tuple(sent.variants())
    if len(variants) > 1:
        raise Malformed(f"proto: oneof order_configuration is already set by {variants[0][0]}", error="unknown")
    if not variants:
        raise Malformed("order_configuration is required")
    name, terms = variants[0]
    direction = terms.stop_direction
    if direction is not UNSET and direction not in set(StopDirection):
        raise Malformed("proto: invalid value for enum type stop_direction", error="unknown")
    end_time = terms.end_time
    return Configuration(
        kind=ConfigKind(name),
        base_size=_amount(terms.base_size, "base_size"),
        quote_size=_amount(terms.quote_size, "quote_size"),
        limit_price=_amount(terms.limit_price, "limit_price"),
        post_only=terms.post_only is True,
        end_time=_time(end_time, "end_time") if isinstance(end_time, str) else None,
        stop_price=_amount(terms.stop_price, "stop_price"),
        stop_direction=None if direction is UNSET else StopDirection(direction),
        stop_trigger_price=_amount(terms.stop_trigger_price, "stop_trigger_price"),
        reduce_only=terms.reduce_only is True,
    )


def _amount(text: str | UnsetType, name: str) -> Decimal | None:
    return None if text is UNSET or text == "" else exact(text, name)


def _time(text: str, name: str) -> datetime:
    try:
        return instant(text)
    except ValueError:
        raise Malformed(f"proto: invalid google.protobuf.Timestamp value for {name}", error="unknown") from None


def edit_request(body: wire.EditOrderRequest) -> EditRequest:
    """What POST /orders/edit asks for."""
    if body.order_id is UNSET or not body.order_id:
        raise Malformed("order_id is required")
    return EditRequest(
        order_id=body.order_id,
        price=_amount(body.price, "price"),
        size=_amount(body.size, "size"),
        stop_price=_amount(body.stop_price, "stop_price"),
    )


def order_filter(query: Query, *, open_combines: bool) -> OrderFilter:
    """The filters of GET /orders/historical/batch."""
    statuses = query.many("order_status")
    if "OPEN" in statuses and len(set(statuses)) > 1 and not open_combines:
        raise Malformed("cannot combine OPEN with other order statuses")
    sources = query.many("order_placement_source")
    return OrderFilter(
        order_ids=query.many("order_ids"),
        product_ids=query.many("product_ids", "product_id"),
        product_type=query.one("product_type"),
        statuses=statuses,
        time_in_forces=query.many("time_in_forces"),
        order_types=query.many("order_types", "order_type"),
        side=query.one("order_side"),
        start=_when(query, "start_date"),
        end=_when(query, "end_date"),
        sources=sources,
        limit=count(query, "limit", 0) or None,
        cursor=query.one("cursor") or "",
        sort_by=query.one("sort_by"),
    )


def fill_filter(query: Query) -> FillFilter:
    """The filters of GET /orders/historical/fills; order ids stand alone (hummingbot/hummingbot#7220)."""
    order_ids = query.many("order_ids", "order_id")
    others = (
        *query.many("product_ids", "product_id", "trade_ids", "order_side", "order_types", "product_types"),
        *query.many("start_sequence_timestamp", "end_sequence_timestamp"),
    )
    if order_ids and others:
        raise Malformed("cannot pass order_ids with other filters")
    return FillFilter(
        order_ids=order_ids,
        trade_ids=query.many("trade_ids"),
        product_ids=query.many("product_ids", "product_id"),
        order_types=query.many("order_types"),
        side=query.one("order_side"),
        start=_when(query, "start_sequence_timestamp"),
        end=_when(query, "end_sequence_timestamp"),
        limit=count(query, "limit", 100) or 100,
        cursor=query.one("cursor") or "",
        sort_by=query.one("sort_by"),
    )


def _when(query: Query, name: str) -> datetime | None:
    text = query.one(name)
    return None if text is None else _time(text.replace(" ", "+"), name)  # a plus sign reads as a space in a query


# --- calls --------------------------------------------------------------------------------------------


def create(exchange: Exchange, body: wire.CreateOrderRequest) -> wire.CreateOrderReply:
    """POST /orders."""
    return create_reply(exchange.create(order_request(body)))


def preview(exchange: Exchange, body: wire.PreviewOrderRequest) -> wire.PreviewReply:
    """POST /orders/preview."""
    request = preview_request(body)
    return preview_reply(exchange.preview(request), request.leverage)


def edit(exchange: Exchange, body: wire.EditOrderRequest) -> wire.EditOrderReply:
    """POST /orders/edit."""
    request = edit_request(body)
    return edit_reply(exchange.edit(request), request.order_id)


def edit_preview(exchange: Exchange, body: wire.EditOrderRequest) -> wire.PreviewReply:
    """POST /orders/edit_preview."""
    answer = exchange.edit_preview(edit_request(body))
    return edit_preview_reply(answer.errors, answer.preview)


def cancel(exchange: Exchange, body: wire.CancelRequest) -> wire.CancelReply:
    """POST /orders/batch_cancel: one row per id, in order; success means queued."""
    ids = () if body.order_ids is UNSET else body.order_ids
    if not ids:
        raise Malformed("order_ids is required")
    if len(ids) > MAX_CANCELS:
        raise Malformed(f"at most {MAX_CANCELS} order_ids")
    return wire.CancelReply(
        results=tuple(
            wire.CancelRow(
                success=row.success,
                failure_reason=row.failure_reason or _NO_CANCEL_FAILURE,
                order_id=row.order_id,
            )
            for row in exchange.cancel(ids)
        )
    )


def close_position(exchange: Exchange, body: wire.ClosePositionRequest) -> wire.CreateOrderReply:
    """POST /orders/close_position: the whole position where no size is given."""
    if body.client_order_id is UNSET or not body.client_order_id:
        raise Malformed("client_order_id is required")
    if body.product_id is UNSET or not body.product_id:
        raise Malformed("product_id is required")
    return create_reply(
        exchange.close_position(
            client_order_id=body.client_order_id,
            product_id=body.product_id,
            size=_amount(body.size, "size"),
        )
    )


def get_order(exchange: Exchange, order_id: str) -> wire.OrderReply:
    """GET /orders/historical/{order_id}."""
    return wire.OrderReply(order=order_body(exchange.order(order_id)))


def list_orders(exchange: Exchange, query: Query, *, open_combines: bool) -> wire.OrdersReply:
    """GET /orders/historical/batch: newest first, RETAIL_ADVANCED only unless another source is named."""
    page = exchange.orders(order_filter(query, open_combines=open_combines))
    return wire.OrdersReply(
        orders=tuple(order_body(each) for each in page.items),
        sequence="0",
        has_next=page.has_next,
        cursor=page.cursor,
    )


def list_fills(exchange: Exchange, query: Query) -> wire.FillsReply:
    """GET /orders/historical/fills."""
    page = exchange.fills(fill_filter(query))
    return wire.FillsReply(fills=tuple(fill_body(each) for each in page.items), cursor=page.cursor)
