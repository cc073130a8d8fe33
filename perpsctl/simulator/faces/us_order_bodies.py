"""The core's answers about orders as bodies (reference 6).

A success never carries `error_response` (ccxt raises on it) nor a null configuration (the SDK raises on it).
"""

from decimal import Decimal

from msgspec import UNSET, UnsetType

from perpsctl.simulator.faces.spelling import maybe, plain, stamp
from perpsctl.simulator.orders import (
    CommissionDetail,
    Configuration,
    CreateAnswer,
    EditAnswer,
    FillView,
    OrderView,
    Placed,
    Preview,
)
from perpsctl.wire.advanced_trade import configurations
from perpsctl.wire.advanced_trade import orders as wire


def create_reply(answer: CreateAnswer) -> wire.CreateOrderReply:
    """The short form sent since 2024-09-03 for acceptance; the recorded long one for refusal."""
    if isinstance(answer, Placed):
        return wire.CreateOrderReply(
            success=True,
            failure_reason=UNSET if answer.failure_reason is None else answer.failure_reason,
            success_response=wire.OrderSuccess(
                order_id=answer.order_id,
                product_id=answer.product_id,
                side=answer.side.value,
                client_order_id=answer.client_order_id,
                attached_order_id=answer.attached_order_id,
            ),
            order_configuration=configuration_body(answer.configuration),
        )
    return wire.CreateOrderReply(
        success=False,
        failure_reason="UNKNOWN_FAILURE_REASON",
        order_id="",
        error_response=wire.OrderFailure(
            error=answer.reason,
            message=answer.message,
            error_details=answer.details,
            preview_failure_reason=answer.preview_reason,
            new_order_failure_reason=answer.reason,
        ),
        order_configuration=UNSET if answer.configuration is None else configuration_body(answer.configuration),
    )


def configuration_body(view: Configuration) -> configurations.OrderConfiguration:
    """A configuration as the venue echoes it."""
    allowed = configurations.TERMS_OF[view.kind.value]
    terms = configurations.Terms(
        base_size=_or_unset(view.base_size),
        quote_size=_or_unset(view.quote_size),
        limit_price=_or_unset(view.limit_price),
        stop_price=_or_unset(view.stop_price),
        stop_trigger_price=_or_unset(view.stop_trigger_price),
        stop_direction=UNSET if view.stop_direction is None else view.stop_direction.value,
        end_time=UNSET if view.end_time is None else stamp(view.end_time),
        post_only=view.post_only if "post_only" in allowed else UNSET,
        reduce_only=True if view.reduce_only else UNSET,
    )
    return configurations.configuration(view.kind.value, terms)


def _or_unset(value: Decimal | None) -> str | UnsetType:
    return UNSET if value is None else plain(value)


def edit_reply(answer: EditAnswer, order_id: str) -> wire.EditOrderReply:
    """`errors` is a list always: the SDK parses nothing else."""
    if answer.success:
        return wire.EditOrderReply(success=True, errors=(), success_response=wire.EditSuccess(order_id=order_id))
    return wire.EditOrderReply(success=False, errors=(_edit_failure(answer),))


def _edit_failure(answer: EditAnswer) -> wire.EditFailure:
    return wire.EditFailure(
        edit_failure_reason=answer.edit_failure_reason or "UNKNOWN_EDIT_ORDER_FAILURE_REASON",
        preview_failure_reason=answer.preview_failure_reason or "UNKNOWN_PREVIEW_FAILURE_REASON",
    )


def edit_preview_reply(errors: tuple[EditAnswer, ...], preview: Preview | None) -> wire.PreviewReply:
    """POST /orders/edit_preview."""
    failures = tuple(_edit_failure(each) for each in errors)
    if preview is None:
        return wire.PreviewReply(errors=failures)
    return wire.PreviewReply(
        errors=failures,
        slippage=plain(preview.slippage),
        order_total=plain(preview.order_total),
        commission_total=plain(preview.commission.total),
        quote_size=plain(preview.quote_size),
        base_size=plain(preview.base_size),
        best_bid=maybe(preview.best_bid),
        best_ask=maybe(preview.best_ask),
        average_filled_price=maybe(preview.average_filled_price),
        order_margin_total=plain(preview.order_margin_total),
        commission_detail_total=_commission(preview.commission),
    )


def preview_reply(view: Preview, leverage: str | None) -> wire.PreviewReply:
    """POST /orders/preview: a bad order is HTTP 200 with `errs` filled."""
    return wire.PreviewReply(
        order_total=plain(view.order_total),
        commission_total=plain(view.commission.total),
        errs=view.errors,
        warning=view.warnings,
        quote_size=plain(view.quote_size),
        base_size=plain(view.base_size),
        best_bid=maybe(view.best_bid),
        best_ask=maybe(view.best_ask),
        is_max=False,
        order_margin_total=plain(view.order_margin_total),
        leverage=leverage or "1.0",
        long_leverage=plain(view.long_leverage),
        short_leverage=plain(view.short_leverage),
        slippage=plain(view.slippage),
        preview_id=view.preview_id,
        current_liquidation_buffer=plain(view.current_liquidation_buffer),
        projected_liquidation_buffer=plain(view.projected_liquidation_buffer),
        max_leverage="",
        margin_ratio_data=wire.MarginRatios(
            current_margin_ratio=maybe(view.current_margin_ratio),
            projected_margin_ratio=maybe(view.projected_margin_ratio),
        ),
        commission_detail_total=_commission(view.commission),
        est_average_filled_price=maybe(view.average_filled_price),
        predicted_liquidation_price=maybe(view.predicted_liquidation_price),
        available_buying_power=plain(view.available_buying_power),
    )


def _commission(view: CommissionDetail) -> wire.CommissionDetail:
    return wire.CommissionDetail(
        total_commission=plain(view.total),
        gst_commission=plain(view.gst),
        withholding_commission=plain(view.withholding),
        client_commission=plain(view.client),
        venue_commission=plain(view.venue),
        regulatory_commission=plain(view.regulatory),
        clearing_commission=plain(view.clearing),
    )


def order_body(view: OrderView) -> wire.OrderBody:
    """An order; `order_configuration` is never null (SDK), an unfilled one has average price "0"."""
    return wire.OrderBody(
        order_id=view.order_id,
        product_id=view.product_id,
        user_id=view.user_id,
        order_configuration=configuration_body(view.configuration),
        side=view.side.value,
        client_order_id=view.client_order_id,
        status=view.status.value,
        time_in_force=view.time_in_force.value,
        created_time=stamp(view.created_time),
        completion_percentage=plain(view.completion_percentage),
        filled_size=plain(view.filled_size),
        average_filled_price=maybe(view.average_filled_price, "0"),
        fee="",
        number_of_fills=str(view.number_of_fills),
        filled_value=plain(view.filled_value),
        pending_cancel=view.pending_cancel,
        size_in_quote=view.configuration.quote_size is not None,
        total_fees=plain(view.total_fees),
        size_inclusive_of_fees=False,
        total_value_after_fees=plain(view.total_value_after_fees),
        trigger_status=view.trigger_status.value,
        order_type=view.order_type.value,
        reject_reason=view.reject_reason.value,
        settled=view.settled,
        product_type=view.product_type,
        reject_message=view.reject_message,
        cancel_message=view.cancel_message,
        order_placement_source=view.source.value,
        outstanding_hold_amount=plain(view.outstanding_hold_amount),
        is_liquidation=view.is_liquidation,
        last_fill_time=UNSET if view.last_fill_time is None else stamp(view.last_fill_time),
        edit_history=tuple(
            wire.EditHistoryRow(
                price=maybe(each.price), size=plain(each.size), replace_accept_timestamp=stamp(each.accepted_at)
            )
            for each in view.edit_history
        ),
        leverage=view.leverage,
        margin_type=view.margin_type,
        retail_portfolio_id=view.portfolio_uuid,
        originating_order_id=view.originating_order_id,
        attached_order_id=view.attached_order_id,
        attached_order_configuration=UNSET if view.attached is None else configuration_body(view.attached),
        commission_detail_total=_commission(view.commission),
        last_update_time=stamp(view.last_update_time),
    )


def fill_body(view: FillView) -> wire.FillBody:
    """One row of the fills list."""
    return wire.FillBody(
        entry_id=view.entry_id,
        trade_id=view.trade_id,
        order_id=view.order_id,
        trade_time=stamp(view.trade_time),
        trade_type=view.trade_type.value,
        price=plain(view.price),
        size=plain(view.size),
        commission=plain(view.commission),
        product_id=view.product_id,
        sequence_timestamp=stamp(view.sequence_timestamp),
        liquidity_indicator=view.liquidity.value,
        size_in_quote=False,
        user_id=view.user_id,
        side=view.side.value,
        retail_portfolio_id=view.portfolio_uuid,
        fill_source="FILL_SOURCE_CLOB",
        commission_detail_total=_commission(view.commission_detail),
    )
