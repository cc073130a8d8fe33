"""The gateway's words for orders, trades, positions and money: plain values for the wire, numbers exact.

Field meanings: Global Derivatives reference sections 8.2, 8.3 and 11, and the recorded payloads beside it (2026-11-22).
"""

from decimal import Decimal

from perpsctl.simulator.gateway.state import (
    CROSS,
    GatewayOrder,
    GatewayState,
    LogRow,
    Scope,
    ScopeMargin,
    UserTrade,
)
from perpsctl.simulator.orders import Liquidity, Side
from perpsctl.simulator.tape import micros

Row = dict[str, object]
ZERO = Decimal(0)
EIGHT = Decimal("0.00000001")


def fine(value: Decimal) -> Decimal:
    """At most eight decimals, no trailing zeros."""
    rounded = value.quantize(EIGHT) if value.as_tuple().exponent < -8 else value  # type: ignore[operator]  # finite
    return rounded.normalize() + ZERO


def order_row(state: GatewayState, order: GatewayOrder) -> Row:
    """One order as it stands."""
    unit = state.products[order.product_id].unit_size
    is_market = order.kind_word == "market" and not order.is_trigger
    row: Row = {
        "order_id": order.order_id,
        "instrument_name": order.product_id,
        "direction": order.side.value.lower(),
        "order_type": "limit" if is_market or order.kind_word == "market_limit" else order.kind_word,
        "order_state": order.state_word,
        "time_in_force": order.tif_word,
        "price": _price(state, order),
        "amount": fine(order.size * unit),
        "contracts": order.size,
        "filled_amount": fine(order.filled * unit),
        "average_price": fine(order.value / (order.filled * unit)) if order.filled else ZERO,
        "label": order.client_order_id,
        "post_only": order.post_only,
        "reject_post_only": order.reject_post_only,
        "reduce_only": order.reduce_only,
        "replaced": order.replaced,
        "creation_timestamp": micros(order.created) // 1000,
        "last_update_timestamp": micros(order.updated) // 1000,
        "api": not order.web,
        "web": order.web,
        "mmp": False,
        "is_liquidation": order.is_liquidation,
        "risk_reducing": False,
        "user_id": state.uid + order.slot,
    }
    if is_market or order.kind_word == "market_limit":
        row["original_order_type"] = order.kind_word
    if order.cancel_reason is not None:
        row["cancel_reason"] = order.cancel_reason
    if order.slot != CROSS:
        row |= {"isolated": True, "main_uid": state.uid}
    if order.is_trigger:
        row |= {
            "trigger": order.trigger_by,
            "trigger_price": order.trigger_price,
            "triggered": order.became is not None,
        }
        del row["filled_amount"], row["average_price"]  # missing on trigger orders (reference 8.2)
    if order.trigger_order_id is not None:
        row |= {"trigger_order_id": order.trigger_order_id, "trigger": order.trigger_by, "triggered": True}
    return row


def _price(state: GatewayState, order: GatewayOrder) -> Decimal | str:
    """The limit price; the word `market_price` on a trigger order that becomes a market order."""
    if order.configuration.limit_price is not None:
        return order.configuration.limit_price
    if order.is_trigger:
        return "market_price"
    return ZERO if order.ticks is None else state.markets[order.product_id].price_of(order.ticks)


def trade_row(state: GatewayState, trade: UserTrade) -> Row:
    """One fill."""
    row: Row = {
        "trade_id": f"USDC-{trade.number}",
        "trade_seq": trade.sequence,
        "order_id": trade.order_id,
        "instrument_name": trade.product_id,
        "direction": trade.side.value.lower(),
        "price": trade.price,
        "amount": fine(trade.amount),
        "contracts": trade.contracts,
        "fee": fine(trade.fee),
        "fee_currency": "USDC",
        "liquidity": "M" if trade.liquidity is Liquidity.MAKER else "T",
        "order_type": "limit" if trade.order_type == "market_limit" else trade.order_type,
        "state": trade.order_state,
        "timestamp": micros(trade.at) // 1000,
        "tick_direction": 0,
        "index_price": trade.index_price,
        "mark_price": trade.mark_price,
        "profit_loss": fine(trade.profit_loss),
        "post_only": trade.post_only,
        "reduce_only": trade.reduce_only,
        "matching_id": None,
        "mmp": False,
        "risk_reducing": False,
        "api": True,
        "user_id": state.uid + trade.slot,
    }
    if trade.label:
        row["label"] = trade.label
    if trade.is_liquidation:
        row["liquidation"] = "T"
    if trade.slot != CROSS:
        row |= {"isolated": True, "main_uid": state.uid}
    return row


def position_row(state: GatewayState, scope: Scope) -> Row:
    """One position; a flat one has direction `zero`."""
    product_id, slot = scope
    position = state.position(scope)
    unit, mark = state.products[product_id].unit_size, state.mark(product_id)
    coins = position.contracts * unit
    upl = position.session.unrealized(mark, unit)
    initial = state.scope_initial(scope, position.contracts)
    row: Row = {
        "instrument_name": product_id,
        "kind": "future",
        "direction": "zero" if not coins else "buy" if coins > 0 else "sell",
        "size": fine(coins * mark),
        "size_currency": fine(coins),
        "average_price": position.life.average_entry(unit),
        "mark_price": mark,
        "index_price": state.rates[product_id].index(state.host_us),
        "settlement_price": state.settlement_prices.get(product_id, mark),
        "floating_profit_loss": fine(upl),
        "realized_profit_loss": fine(position.session.realized_today + position.funding),
        "total_profit_loss": fine(position.life.unrealized(mark, unit)),
        "realized_funding": fine(position.funding),
        "interest_value": fine(state.rates[product_id].rate(state.host_us)),
        "initial_margin": fine(initial),
        "maintenance_margin": fine(state.scope_maintenance(scope, position.contracts)),
        "open_orders_margin": fine(state.scope_required(scope) - initial),
        "estimated_liquidation_price": None,  # deprecated, always null
        "leverage": leverage_of(state, scope),
        "delta": fine(coins),
        "user_id": state.uid + slot,
    }
    return row if slot == CROSS else row | {"isolated": True, "main_uid": state.uid}


def leverage_of(state: GatewayState, scope: Scope) -> Decimal:
    """The leverage set; the highest where none was."""
    return state.leverage.get(scope, Decimal(state.contract(scope[0]).max_leverage))


def money_row(state: GatewayState, money: ScopeMargin, slot: int = CROSS) -> Row:
    """The account's figures in USDC. In a currency of its own, collateral is balance and session result (recorded summary)."""
    delta = sum(
        (
            p.contracts * state.products[scope[0]].unit_size
            for scope, p in state.positions_held.items()
            if scope[1] == slot
        ),
        ZERO,
    )
    pl = money.session_rpl + money.session_upl
    row: Row = {
        "currency": "USDC",
        "equity": fine(money.equity),
        "balance": fine(money.balance),
        "margin_balance": fine(money.equity),
        "available_funds": fine(money.available),
        "available_withdrawal_funds": fine(max(ZERO, min(money.available, money.balance))),
        "initial_margin": fine(money.initial),
        "maintenance_margin": fine(money.maintenance),
        "projected_initial_margin": fine(money.position_initial),
        "projected_maintenance_margin": fine(money.maintenance),
        "session_upl": fine(money.session_upl),
        "session_rpl": fine(money.session_rpl),
        "futures_session_upl": fine(money.session_upl),
        "futures_session_rpl": fine(money.session_rpl),
        "futures_pl": fine(pl),
        "total_pl": fine(money.total_pl),
        "options_pl": ZERO,
        "options_session_upl": ZERO,
        "options_session_rpl": ZERO,
        "options_value": ZERO,
        "delta_total": fine(delta),
        "margin_model": state.margin_model,
        "cross_collateral_enabled": False,
        "portfolio_margining_enabled": False,
        "fee_balance": ZERO,
        "locked_balance": ZERO,
        "spot_reserve": ZERO,
    }
    return row


def log_row(state: GatewayState, row: LogRow) -> Row:
    """One row of the transaction log; there is no separate funding entry (reference 11)."""
    unit = Decimal(1) if row.product_id is None else state.products[row.product_id].unit_size
    told: Row = {
        "id": state.account * 1_000_000 + row.row,
        "user_seq": row.number,
        "user_id": state.uid + row.slot,
        "username": "operator",
        "type": row.kind,
        "timestamp": micros(row.at) // 1000,
        "currency": "USDC",
        "instrument_name": row.product_id,
        "side": row.side,
        "price": row.price,
        "position": row.position,
        "order_id": row.order_id,
        "trade_id": None if row.trade is None else f"USDC-{row.trade}",
        "commission": ZERO if row.kind in ("transfer", "deposit", "withdrawal") else row.commission,
        "interest_pl": row.interest_pl,
        "change": fine(row.change),
        "cashflow": fine(row.change),
        "balance": fine(row.balance),
        "equity": fine(row.equity),
    }
    if row.amount is not None:
        told |= {"amount": fine(row.amount), "contracts": row.amount / unit}
    if row.kind == "trade":
        told |= {"user_role": row.role, "mark_price": row.mark_price, "index_price": row.index_price}
        told |= {"price_currency": "USDC", "profit_as_cashflow": False}
    if row.other_slot is not None:
        told["info"] = {
            "transfer_type": "subaccount",
            "other_user": "operator",
            "other_user_id": state.uid + row.other_slot,
        }
    if row.kind == "settlement":
        told |= {"session_upl": row.session_upl, "session_rpl": row.session_rpl, "price_currency": "USDC"}
        told |= {"total_interest_pl": row.total_interest_pl}
        told["info"] = {"settlement_price": row.price, "floating_pl": row.session_upl}
    return told


def direction_of(maker_side: str) -> str:
    """The taker's direction of a public trade."""
    return Side(maker_side).other.value.lower()
