"""Orders, fills and what is asked before trading (reference 8)."""

from msgspec import UNSET, UnsetType

from perpsctl.wire.global_derivatives.common import Body, Flag, NullableNum, Num, OrderPrice, Text, Whole


class Order(Body, frozen=True, kw_only=True):
    """An order. `filled_amount` may be missing; a market order is a `limit` with `original_order_type` market."""

    order_id: Text = UNSET
    instrument_name: Text = UNSET
    direction: Text = UNSET
    order_type: Text = UNSET
    original_order_type: Text = UNSET
    order_state: Text = UNSET
    time_in_force: Text = UNSET
    price: OrderPrice | UnsetType = UNSET
    amount: Num = UNSET
    contracts: Num = UNSET
    filled_amount: Num = UNSET
    average_price: Num = UNSET
    label: Text = UNSET
    post_only: Flag = UNSET
    reject_post_only: Flag = UNSET
    reduce_only: Flag = UNSET
    display_amount: Num = UNSET
    refresh_amount: Num = UNSET
    max_show: Num = UNSET
    trigger: Text = UNSET
    trigger_price: Num = UNSET
    trigger_offset: Num = UNSET
    trigger_reference_price: Num = UNSET
    triggered: Flag = UNSET
    trigger_order_id: Text = UNSET
    trigger_fill_condition: Text = UNSET
    primary_order_id: Text = UNSET
    oto_order_ids: tuple[str, ...] | UnsetType = UNSET
    oco_ref: Text = UNSET
    is_primary_otoco: Flag = UNSET
    is_secondary_oto: Flag = UNSET
    cancel_reason: Text = UNSET
    replaced: Flag = UNSET
    creation_timestamp: Whole = UNSET
    last_update_timestamp: Whole = UNSET
    api: Flag = UNSET
    web: Flag = UNSET
    mobile: Flag = UNSET
    app_name: Text = UNSET
    is_liquidation: Flag = UNSET
    is_rebalance: Flag = UNSET
    risk_reducing: Flag = UNSET
    mmp: Flag = UNSET
    user_id: Whole = UNSET
    main_uid: Whole = UNSET
    isolated: Flag = UNSET
    profit_loss: Num = UNSET
    commission: Num = UNSET
    starbase_order_id: Text = UNSET
    starbase_last_update_timestamp: Text = UNSET


class UserTrade(Body, frozen=True, kw_only=True):
    """One of our fills. `trade_id` is unique per `fee_currency`; `fee` is above zero when paid."""

    trade_id: Text = UNSET
    trade_seq: Whole = UNSET
    order_id: Text = UNSET
    instrument_name: Text = UNSET
    direction: Text = UNSET
    price: Num = UNSET
    amount: Num = UNSET
    contracts: Num = UNSET
    fee: Num = UNSET
    fee_currency: Text = UNSET
    liquidity: Text = UNSET  # M, T
    order_type: Text = UNSET
    state: Text = UNSET
    label: Text = UNSET
    timestamp: Whole = UNSET
    index_price: Num = UNSET
    mark_price: Num = UNSET
    profit_loss: NullableNum = UNSET
    liquidation: Text = UNSET  # M, T, MT
    post_only: Flag = UNSET
    reduce_only: Flag = UNSET
    risk_reducing: Flag = UNSET
    mmp: Flag = UNSET
    api: Flag = UNSET
    tick_direction: Whole = UNSET
    matching_id: str | UnsetType | None = UNSET
    user_id: Whole = UNSET
    main_uid: Whole = UNSET
    isolated: Flag = UNSET
    starbase_match_id: Text = UNSET
    starbase_timestamp: Text = UNSET


class OrderAndTrades(Body, frozen=True, kw_only=True):
    """What buy, sell, edit and close answer: the order and its immediate fills."""

    order: Order | UnsetType = UNSET
    trades: tuple[UserTrade, ...] | UnsetType = UNSET


class UserTrades(Body, frozen=True, kw_only=True):
    """`private/get_user_trades_by_instrument|currency[_and_time]`."""

    trades: tuple[UserTrade, ...] | UnsetType = UNSET
    has_more: Flag = UNSET


class Margins(Body, frozen=True, kw_only=True):
    """`private/get_margins`: margin of a buy and of a sell, the price limits, the fees."""

    buy: Num = UNSET
    sell: Num = UNSET
    min_price: Num = UNSET
    max_price: Num = UNSET
    buy_maker_fee: Num = UNSET
    buy_taker_fee: Num = UNSET
    sell_maker_fee: Num = UNSET
    sell_taker_fee: Num = UNSET


class MaxOrderSize(Body, frozen=True, kw_only=True):
    """`private/get_max_order_size`."""

    max_tradable_amount: Num = UNSET
    max_tradable_amount_reduce_only: Num = UNSET


class OrderHistoryPage(Body, frozen=True, kw_only=True):
    """`private/get_order_history_by_*` with continuation."""

    data: tuple[Order, ...] | UnsetType = UNSET
    continuation: Text = UNSET


class TriggerEntry(Body, frozen=True, kw_only=True):
    """A row of the trigger order history; `order_state` may be "rejected:<reason>"."""

    timestamp: Whole = UNSET
    last_update_timestamp: Whole = UNSET
    trigger: Text = UNSET
    trigger_price: Num = UNSET
    trigger_offset: Num = UNSET
    trigger_order_id: Text = UNSET
    order_id: Text = UNSET
    order_state: Text = UNSET
    order_type: Text = UNSET
    request: Text = UNSET
    post_only: Flag = UNSET
    reduce_only: Flag = UNSET
    price: OrderPrice | UnsetType = UNSET
    amount: Num = UNSET
    direction: Text = UNSET
    instrument_name: Text = UNSET
    label: Text = UNSET
    is_secondary_oto: Flag = UNSET


class TriggerHistory(Body, frozen=True, kw_only=True):
    """`private/get_trigger_order_history`."""

    entries: tuple[TriggerEntry, ...] | UnsetType = UNSET
    continuation: Text = UNSET


class CancelledGroup(Body, frozen=True, kw_only=True):
    """An element of a mass cancel's answer with `detailed: true` (native shape)."""

    instrument_name: Text = UNSET
    currency: Text = UNSET
    type: Text = UNSET
    result: tuple[Order, ...] | UnsetType = UNSET
