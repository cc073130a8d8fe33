"""Orders: create, preview, edit, cancel, read, fills, close (reference 6)."""

from typing import ClassVar

from msgspec import UNSET, UnsetType, field

from perpsctl.wire.advanced_trade.common import Body, NullableBody, Number, RequestBody
from perpsctl.wire.advanced_trade.configurations import OrderConfiguration


class CreateOrderRequest(RequestBody, frozen=True, kw_only=True):
    """POST /orders."""

    client_order_id: str | UnsetType = UNSET
    product_id: str | UnsetType = UNSET
    side: str | UnsetType = UNSET
    order_configuration: OrderConfiguration | UnsetType = UNSET
    leverage: Number | UnsetType = UNSET
    margin_type: str | UnsetType = UNSET
    retail_portfolio_id: str | UnsetType = UNSET
    preview_id: str | UnsetType = UNSET
    self_trade_prevention_id: str | UnsetType = UNSET  # in the SDK, not in the documentation of 2026-07-20
    attached_order_configuration: OrderConfiguration | UnsetType = UNSET
    sor_preference: str | UnsetType = UNSET
    cost_basis_method: str | UnsetType = UNSET


class OrderSuccess(Body, frozen=True, kw_only=True):
    order_id: str | UnsetType = UNSET
    product_id: str | UnsetType = UNSET
    side: str | UnsetType = UNSET
    client_order_id: str | UnsetType = UNSET
    attached_order_id: str | UnsetType = UNSET


class OrderFailure(Body, frozen=True, kw_only=True):
    """Any of the reasons may be the telling one; recordings show all three ways (reference 6.1)."""

    error: str | UnsetType = UNSET
    message: str | UnsetType = UNSET
    error_details: str | UnsetType = UNSET
    preview_failure_reason: str | UnsetType = UNSET
    new_order_failure_reason: str | UnsetType = UNSET
    edit_failure_reason: str | UnsetType = UNSET


class CreateOrderReply(NullableBody, frozen=True, kw_only=True):
    """POST /orders and POST /orders/close_position, HTTP 200 for acceptance and refusal alike.

    When writing: no `error_response` on success (ccxt takes it for a failure), no null configuration (the SDK raises).
    """

    nullable: ClassVar[tuple[str, ...]] = (
        "failure_reason",
        "order_id",
        "success_response",
        "error_response",
        "order_configuration",
    )
    success: bool | UnsetType = UNSET
    failure_reason: str | UnsetType | None = UNSET  # before 2024-09-03
    order_id: str | UnsetType | None = UNSET  # before 2024-09-03
    success_response: OrderSuccess | UnsetType | None = UNSET
    error_response: OrderFailure | UnsetType | None = UNSET
    order_configuration: OrderConfiguration | UnsetType | None = UNSET


class ClosePositionRequest(RequestBody, frozen=True, kw_only=True):
    """POST /orders/close_position; `size` in contracts, the whole position when absent."""

    client_order_id: str | UnsetType = UNSET
    product_id: str | UnsetType = UNSET
    size: Number | UnsetType = UNSET


class PreviewOrderRequest(RequestBody, frozen=True, kw_only=True):
    """POST /orders/preview."""

    product_id: str | UnsetType = UNSET
    side: str | UnsetType = UNSET
    order_configuration: OrderConfiguration | UnsetType = UNSET
    leverage: Number | UnsetType = UNSET
    margin_type: str | UnsetType = UNSET
    retail_portfolio_id: str | UnsetType = UNSET
    attached_order_configuration: OrderConfiguration | UnsetType = UNSET
    sor_preference: str | UnsetType = UNSET
    cost_basis_method: str | UnsetType = UNSET
    # What callers who reuse a create body also send here; the venue's answer to it is not on record.
    client_order_id: str | UnsetType = UNSET
    self_trade_prevention_id: str | UnsetType = UNSET


class CommissionDetail(Body, frozen=True, kw_only=True):
    """A commission in its parts; a part that does not apply is absent or ""."""

    total_commission: Number | UnsetType = UNSET
    gst_commission: Number | UnsetType = UNSET
    withholding_commission: Number | UnsetType = UNSET
    client_commission: Number | UnsetType = UNSET
    venue_commission: Number | UnsetType = UNSET
    regulatory_commission: Number | UnsetType = UNSET
    clearing_commission: Number | UnsetType = UNSET


class MarginRatios(Body, frozen=True, kw_only=True):
    current_margin_ratio: Number | UnsetType = UNSET
    projected_margin_ratio: Number | UnsetType = UNSET


class PreviewReply(NullableBody, frozen=True, kw_only=True):
    """POST /orders/preview and POST /orders/edit_preview; a bad order is HTTP 200 with `errs` or `errors` filled."""

    nullable: ClassVar[tuple[str, ...]] = (
        "margin_ratio_data",
        "commission_detail_total",
    )
    order_total: Number | UnsetType = UNSET
    commission_total: Number | UnsetType = UNSET
    errs: tuple[str, ...] | UnsetType = UNSET
    warning: tuple[str, ...] | UnsetType = UNSET
    quote_size: Number | UnsetType = UNSET
    base_size: Number | UnsetType = UNSET
    best_bid: Number | UnsetType = UNSET
    best_ask: Number | UnsetType = UNSET
    is_max: bool | UnsetType = UNSET
    order_margin_total: Number | UnsetType = UNSET
    leverage: Number | UnsetType = UNSET
    long_leverage: Number | UnsetType = UNSET
    short_leverage: Number | UnsetType = UNSET
    slippage: Number | UnsetType = UNSET
    preview_id: str | UnsetType = UNSET
    current_liquidation_buffer: Number | UnsetType = UNSET
    projected_liquidation_buffer: Number | UnsetType = UNSET
    max_leverage: Number | UnsetType = UNSET
    position_notional_limit: Number | UnsetType = UNSET
    max_notional_at_requested_leverage: Number | UnsetType = UNSET
    margin_ratio_data: MarginRatios | UnsetType | None = UNSET
    commission_detail_total: CommissionDetail | UnsetType | None = UNSET
    est_average_filled_price: Number | UnsetType = UNSET
    predicted_liquidation_price: Number | UnsetType = UNSET
    available_buying_power: Number | UnsetType = UNSET
    max_loss: Number | UnsetType = UNSET
    errors: tuple["EditFailure", ...] | UnsetType = UNSET  # edit preview
    average_filled_price: Number | UnsetType = UNSET  # edit preview


class CancelRequest(RequestBody, frozen=True, kw_only=True):
    """POST /orders/batch_cancel. The largest batch is not on record; others use 100."""

    order_ids: tuple[str, ...] | UnsetType = UNSET


class CancelRow(Body, frozen=True, kw_only=True):
    """`success` means queued, not gone (I8); success rows carry UNKNOWN_CANCEL_FAILURE_REASON."""

    success: bool | UnsetType = UNSET
    failure_reason: str | UnsetType = UNSET
    order_id: str | UnsetType = UNSET


class CancelReply(Body, frozen=True, kw_only=True):
    results: tuple[CancelRow, ...] | UnsetType = UNSET


class EditOrderRequest(RequestBody, frozen=True, kw_only=True):
    """POST /orders/edit and POST /orders/edit_preview; `size` is the new total in contracts."""

    order_id: str | UnsetType = UNSET
    price: Number | UnsetType = UNSET
    size: Number | UnsetType = UNSET
    stop_price: Number | UnsetType = UNSET
    attached_order_configuration: OrderConfiguration | UnsetType = UNSET
    cancel_attached_order: bool | UnsetType = UNSET
    average_entry_price: Number | UnsetType = UNSET


class EditFailure(Body, frozen=True, kw_only=True):
    """A row of an edit's `errors`, or all there is of them (documented example of POST /orders/edit)."""

    may_stand_alone: ClassVar[bool] = True  # an object for a list of one
    edit_failure_reason: str | UnsetType = UNSET
    preview_failure_reason: str | UnsetType = UNSET


class EditSuccess(Body, frozen=True, kw_only=True):
    order_id: str | UnsetType = UNSET


class EditOrderReply(NullableBody, frozen=True, kw_only=True):
    """POST /orders/edit. `errors` is a list live and an object in the documentation; written as a list always."""

    nullable: ClassVar[tuple[str, ...]] = ("errors", "success_response", "error_response")
    success: bool | UnsetType = UNSET
    errors: tuple[EditFailure, ...] | UnsetType | None = UNSET
    success_response: EditSuccess | UnsetType | None = UNSET
    error_response: OrderFailure | UnsetType | None = UNSET


class EditHistoryRow(Body, frozen=True, kw_only=True):
    price: Number | UnsetType = UNSET
    size: Number | UnsetType = UNSET
    replace_accept_timestamp: str | UnsetType = UNSET


class OrderBody(NullableBody, frozen=True, kw_only=True):
    """An order as history tells it; sizes of a future are contracts. Times as text, "" or absent where there is none."""

    nullable: ClassVar[tuple[str, ...]] = (
        "order_configuration",
        "average_filled_price",
        "fee",
        "total_fees",
        "last_fill_time",
        "edit_history",
        "attached_order_configuration",
        "commission_detail_total",
    )
    order_id: str | UnsetType = UNSET
    product_id: str | UnsetType = UNSET
    user_id: str | UnsetType = UNSET
    order_configuration: OrderConfiguration | UnsetType | None = UNSET
    side: str | UnsetType = UNSET
    client_order_id: str | UnsetType = UNSET
    status: str | UnsetType = UNSET
    time_in_force: str | UnsetType = UNSET
    created_time: str | UnsetType = UNSET
    completion_percentage: Number | UnsetType = UNSET
    filled_size: Number | UnsetType = UNSET
    average_filled_price: Number | UnsetType | None = UNSET
    fee: Number | UnsetType | None = UNSET  # deprecated
    number_of_fills: Number | UnsetType = UNSET
    filled_value: Number | UnsetType = UNSET
    pending_cancel: bool | UnsetType = UNSET
    size_in_quote: bool | UnsetType = UNSET
    total_fees: Number | UnsetType | None = UNSET
    size_inclusive_of_fees: bool | UnsetType = UNSET
    total_value_after_fees: Number | UnsetType = UNSET
    trigger_status: str | UnsetType = UNSET
    order_type: str | UnsetType = UNSET
    reject_reason: str | UnsetType = UNSET
    settled: bool | UnsetType = UNSET
    product_type: str | UnsetType = UNSET
    reject_message: str | UnsetType = UNSET
    cancel_message: str | UnsetType = UNSET
    order_placement_source: str | UnsetType = UNSET
    outstanding_hold_amount: Number | UnsetType = UNSET
    is_liquidation: bool | UnsetType = UNSET
    last_fill_time: str | UnsetType | None = UNSET
    edit_history: tuple[EditHistoryRow, ...] | UnsetType | None = UNSET
    leverage: Number | UnsetType = UNSET
    margin_type: str | UnsetType = UNSET
    retail_portfolio_id: str | UnsetType = UNSET
    originating_order_id: str | UnsetType = UNSET
    attached_order_id: str | UnsetType = UNSET
    attached_order_configuration: OrderConfiguration | UnsetType | None = UNSET
    commission_detail_total: CommissionDetail | UnsetType | None = UNSET
    workable_size: Number | UnsetType = UNSET
    workable_size_completion_pct: Number | UnsetType = UNSET
    last_update_time: str | UnsetType = UNSET


class OrderReply(Body, frozen=True, kw_only=True):
    """GET /orders/historical/{order_id}."""

    order: OrderBody | UnsetType = UNSET


class OrdersReply(Body, frozen=True, kw_only=True):
    """GET /orders/historical/batch."""

    orders: tuple[OrderBody, ...] | UnsetType = UNSET
    sequence: Number | UnsetType = UNSET  # deprecated
    has_next: bool | UnsetType = UNSET
    cursor: str | UnsetType = UNSET


class FillBody(NullableBody, frozen=True, kw_only=True):
    """One fill; `entry_id` is its unique key. With `size_in_quote`, `size` is quote currency (reference 6.8)."""

    nullable: ClassVar[tuple[str, ...]] = ("commission", "commission_detail_total")
    entry_id: str | UnsetType = UNSET
    trade_id: str | UnsetType = UNSET
    order_id: str | UnsetType = UNSET
    trade_time: str | UnsetType = UNSET
    trade_type: str | UnsetType = UNSET
    price: Number | UnsetType = UNSET
    size: Number | UnsetType = UNSET
    commission: Number | UnsetType | None = UNSET
    product_id: str | UnsetType = UNSET
    sequence_timestamp: str | UnsetType = UNSET
    liquidity_indicator: str | UnsetType = UNSET
    size_in_quote: bool | UnsetType = UNSET
    user_id: str | UnsetType = UNSET
    side: str | UnsetType = UNSET
    retail_portfolio_id: str | UnsetType = UNSET
    fill_source: str | UnsetType = field(default=UNSET, name="fillSource")
    commission_detail_total: CommissionDetail | UnsetType | None = UNSET


class FillsReply(Body, frozen=True, kw_only=True):
    """GET /orders/historical/fills; an empty cursor ends the pages."""

    fills: tuple[FillBody, ...] | UnsetType = UNSET
    cursor: str | UnsetType = UNSET
