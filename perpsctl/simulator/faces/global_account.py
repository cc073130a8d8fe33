"""The gateway's account methods: money, positions, margin, leverage, locks, the transaction log (reference section 11)."""

from decimal import Decimal

from perpsctl.simulator.credits import RATES, Pool
from perpsctl.simulator.faces.global_market import instrument_of
from perpsctl.simulator.faces.global_methods import Call, private, table
from perpsctl.simulator.faces.global_rows import (
    Row,
    fine,
    leverage_of,
    log_row,
    money_row,
    position_row,
)
from perpsctl.simulator.faces.global_session import Transport
from perpsctl.simulator.faces.routes import Needs
from perpsctl.simulator.gateway.refusal import RpcError, bad
from perpsctl.simulator.gateway.state import CROSS, GatewayState, LogRow, Scope
from perpsctl.simulator.orders import Side
from perpsctl.simulator.tape import micros

ZERO = Decimal(0)
LOG_MAX = 250
MARGIN_MODELS = frozenset({"cross_pm", "cross_sm", "segregated_pm", "segregated_sm"})


# -- money ---------------------------------------------------------------------------------------------


def _limits() -> Row:
    def told(pool: Pool) -> Row:
        return {"rate": RATES[pool].rate, "burst": RATES[pool].burst}

    return {
        "limits_per_currency": False,
        "non_matching_engine": told(Pool.READS),
        "matching_engine": {
            "trading": {"total": told(Pool.ORDERS)},
            "spot": told(Pool.ORDERS),
            "cancel_all": told(Pool.MASS_CANCELS),
        },
    }


def _fees(state: GatewayState) -> Row:
    return {
        contract.price_index: {
            kind: {"default": {"type": "fixed", "maker": contract.maker, "taker": contract.taker}}
            for kind in ("perpetual", "future")
        }
        for contract in (state.contract(product_id) for product_id in state.products)
    }


def _owner(state: GatewayState, slot: int = CROSS) -> Row:
    return {
        "id": state.uid + slot,
        "type": "main" if slot == CROSS else "subaccount",
        "username": "operator",
        "system_name": "operator",
        "email": "operator@example.com",
        "creation_timestamp": micros(state.start) // 1000,
        "login_enabled": False,
        "mmp_enabled": False,
        "security_keys_enabled": False,
        "interuser_transfers_enabled": False,
        "self_trading_extended_to_subaccounts": False,
        "self_trading_reject_mode": "cancel_maker",
    }


def _summary(call: Call) -> object:
    currency = call.params.text("currency")
    if currency != "USDC":
        raise bad("currency", "this exchange keeps USDC only")
    slot = _slot(call)
    row = money_row(call.state, call.state.money(slot), slot)
    if not call.params.is_on("extended"):
        return row
    return row | _owner(call.state, slot) | {"limits": _limits(), "fees": _fees(call.state)}


def _slot(call: Call) -> int:
    """The slot `subaccount_id` names, given back or not; the cross account without it."""
    subaccount = call.params.whole("subaccount_id")
    slot = CROSS if subaccount is None else subaccount - call.state.uid
    if not CROSS <= slot <= call.state.slots_made:
        raise RpcError(13020, None, {"param": "subaccount_id", "reason": "no such subaccount"})
    return slot


def _slots(call: Call) -> list[int]:
    """Cross, and the isolated slots where they are asked for."""
    return [CROSS, *sorted(call.state.slots.values())] if call.params.is_on("include_isolated") else [CROSS]


def _summaries(call: Call) -> object:
    """Isolated slots are told apart from the account's own rows, and only while they are bound (guide, 2026-09-24)."""
    slots = [slot for slot in _slots(call) if slot != CROSS]
    told = _owner(call.state) | {"summaries": _money_rows(call, CROSS)}
    if not call.params.is_on("include_isolated"):
        return told
    isolated = [{"id": call.state.uid + slot, "summaries": _money_rows(call, slot)} for slot in slots]
    return told | {"isolated_account_summaries": isolated}


def _money_rows(call: Call, slot: int) -> list[Row]:
    row = money_row(call.state, call.state.money(slot), slot)
    return [row | {"limits": _limits(), "fees": _fees(call.state)} if call.params.is_on("extended") else row]


# -- positions -----------------------------------------------------------------------------------------


def _position(call: Call) -> object:
    """With the flag a bound slot's position, whatever is held in the cross account beside it (guide, 2026-09-24)."""
    product_id = instrument_of(call)
    slot = call.state.slots.get(product_id) if call.params.is_on("include_isolated") else None
    return position_row(call.state, (product_id, CROSS if slot is None else slot))


def _positions(call: Call) -> object:
    if call.params.currency() not in {"USDC", "any"} or (call.params.maybe_text("kind") or "any") not in {
        "any",
        "future",
    }:
        return []
    wanted = _slots(call) if not call.params.has("subaccount_id") else [_slot(call)]
    scopes: list[Scope] = [s for s, p in call.state.positions_held.items() if s[1] in wanted and p.contracts]
    return [position_row(call.state, scope) for scope in scopes]


# -- margin --------------------------------------------------------------------------------------------


def _scope(call: Call) -> Scope:
    """The cross scope, or the isolated one the flag asks for; `subaccount_id` is refused (reference 11)."""
    if call.params.has("subaccount_id"):
        raise RpcError(14020)
    product_id = instrument_of(call)
    return product_id, call.state.slots.get(product_id, -1) if call.params.is_on("isolated") else CROSS


def _get_leverage(call: Call) -> object:
    scope = _scope(call)
    return {
        "instrument_name": scope[0],
        "leverage": leverage_of(call.state, scope),
        "max_leverage": call.state.contract(scope[0]).max_leverage,
    }


def _set_leverage(call: Call) -> object:
    scope, wanted = _scope(call), call.params.number("leverage")
    most = call.state.contract(scope[0]).max_leverage
    if wanted is None or not 1 <= wanted <= most:
        raise bad("leverage", f"must be between 1 and {most}")
    before = call.state.leverage.get(scope)
    call.state.leverage[scope] = wanted
    money = call.state.money(max(CROSS, scope[1]))
    if money.initial > money.equity:  # what is held would not be covered: nothing changes
        call.state.leverage.pop(scope)
        if before is not None:
            call.state.leverage[scope] = before
        raise RpcError(10009)
    return wanted


def _margins(call: Call) -> object:
    scope, amount, price = _scope(call), call.params.number("amount"), call.params.number("price")
    if amount is None or price is None or amount <= 0 or price <= 0:
        raise bad("amount" if amount is None or amount <= 0 else "price", "must be a positive number")
    state = call.state
    lowest, highest = state.limits(scope[0])
    contract, contracts = state.contract(scope[0]), amount / state.products[scope[0]].unit_size
    before = state.scope_required(scope)
    margins = {side: state.scope_required(scope, (side, contracts)) - before for side in Side}
    fees = {"maker_fee": fine(amount * price * contract.maker), "taker_fee": fine(amount * price * contract.taker)}
    return {
        "buy": fine(margins[Side.BUY]),
        "sell": fine(margins[Side.SELL]),
        "min_price": lowest,
        "max_price": highest,
        **{f"{side.value.lower()}_{name}": fee for side in Side for name, fee in fees.items()},
    }


def _max_order_size(call: Call) -> object:
    """The largest order either side could still be margined: found by halving, in whole contracts."""
    scope, state = _scope(call), call.state
    money = state.money(max(CROSS, scope[1]))
    before = state.scope_required(scope)
    low, high = 0, int(state.products[scope[0]].base_max_size)
    while low < high:
        middle = (low + high + 1) // 2
        need = max(state.scope_required(scope, (side, Decimal(middle))) for side in Side) - before
        if need <= money.available:
            low = middle
        else:
            high = middle - 1
    unit = state.products[scope[0]].unit_size
    return {
        "max_tradable_amount": fine(low * unit),
        "max_tradable_amount_reduce_only": fine(abs(state.held(scope)) * unit),
    }


def _margin_by_ids(call: Call) -> object:
    wanted = call.params.maybe_texts("ids")
    found = [order for order in call.state.own_orders() if order.order_id in wanted and order.live]
    return [
        {
            "order_id": order.order_id,
            "initial_margin": fine(call.state.scope_initial(order.scope, order.left)),
            "initial_margin_currency": "USDC",
        }
        for order in found
    ]


def _change_model(call: Call) -> object:
    model = call.params.text("margin_model")
    if model not in MARGIN_MODELS:
        raise bad("margin_model", f"must be one of {', '.join(sorted(MARGIN_MODELS))}")
    if model != call.state.margin_model and not call.params.is_on("dry_run"):
        raise RpcError(
            10033, None, {"param": "margin_model", "reason": f"this exchange keeps {call.state.margin_model}"}
        )
    money = call.state.money()
    told = {
        "initial_margin_rate": fine(money.initial / money.equity) if money.equity > 0 else ZERO,
        "maintenance_margin_rate": fine(money.maintenance / money.equity) if money.equity > 0 else ZERO,
        "available_balance": fine(money.available),
    }
    return [
        {
            "currency": "USDC",
            "old_state": told | {"margin_model": call.state.margin_model},
            "new_state": told | {"margin_model": model},
        }
    ]


# -- books ---------------------------------------------------------------------------------------------


def _log(call: Call) -> object:
    """Rows of a stretch of time, newest first, at most 250; `continuation` is the next row's id."""
    params = call.params
    start, end = params.needed_time("start_timestamp"), params.needed_time("end_timestamp")
    if params.text("currency") not in {"USDC", "any"}:
        return {"logs": [], "continuation": None}
    query = params.maybe_text("query")
    found = [row for row in reversed(call.state.rows) if _in_log(call, row, query) and start <= row.at <= end]
    before = params.whole("continuation")
    if before is not None:
        found = [row for row in found if row.number <= before]
    count = params.count(LOG_MAX, 100)
    rest = found[count:]
    return {
        "logs": [log_row(call.state, row) for row in found[:count]],
        "continuation": rest[0].number if rest else None,
    }


def _in_log(call: Call, row: LogRow, query: str | None) -> bool:
    if row.slot != _slot(call):
        return False
    name = call.params.maybe_text("instrument_name")
    return (query is None or query in row.kind or query in row.side) and (name is None or row.product_id == name)


def _settlements(call: Call, product_id: str | None) -> object:
    """Of the cross account; a slot's only where `subaccount_id` names it."""
    slot = _slot(call) if product_id is None else CROSS
    rows = [
        row
        for row in reversed(call.state.rows)
        if row.kind == "settlement" and (product_id is None or row.product_id == product_id) and row.slot == slot
    ]
    count = call.params.count(1000, 20)
    return {
        "settlements": [
            {
                "type": "settlement",
                "timestamp": micros(row.at) // 1000,
                "instrument_name": row.product_id,
                "mark_price": row.price,
                "index_price": row.price,
                "position": row.position,
                "profit_loss": fine(row.change),
                "session_profit_loss": fine((row.session_rpl or ZERO) + (row.session_upl or ZERO)),
                "funding": fine(row.total_interest_pl or ZERO),
            }
            for row in rows[:count]
        ],
        "continuation": None,
    }


def _locks(call: Call) -> object:
    locked = call.state.locked
    return [{"currency": "USDC", "locked": locked} | ({"message": call.state.lock_message} if locked else {})]


def _subaccounts(call: Call) -> object:
    """The account itself; with the flag every slot ever made, also one that was given back and is bound to nothing."""
    state = call.state
    rows = [_owner(state) | {"portfolio": {"usdc": money_row(state, state.money())}}]
    if not call.params.is_on("include_isolated"):
        return rows
    bound = {slot: product_id for product_id, slot in state.slots.items()}
    slots = [
        _owner(state, slot) | {"isolated": True, "isolated_margin_instrument": bound.get(slot)}
        for slot in range(1, state.slots_made + 1)
    ]
    return [rows[0] | {"isolated": None, "isolated_margin_instrument": None}, *slots]


def _trading_limits(_: Call) -> object:
    return _limits()


# -- cancel on disconnect ------------------------------------------------------------------------------


def _armed(call: Call) -> object:
    return {"enabled": call.session.cancel_on_disconnect, "scope": "connection"}


def _set_armed(call: Call, armed: bool) -> object:
    scope = call.params.maybe_text("scope") or "connection"
    if scope == "account":
        raise RpcError(10033, None, {"param": "scope", "reason": "this exchange arms connections only"})
    if scope != "connection":
        raise bad("scope", "must be connection or account")
    call.session.cancel_on_disconnect = armed
    return "ok"


def _logout(call: Call) -> object:
    """Ends the session; its orders stay (reference 10). The shell closes with 1000 and sends no reply."""
    call.session.logged_out = True
    call.session.login = None
    return "ok"


_SOCKET = frozenset({Transport.SOCKET})
ACCOUNT = table(
    private("get_account_summary", _summary, operation="get_balance_summary"),
    private("get_account_summaries", _summaries, operation="get_balance_summary"),
    private("get_position", _position, operation="get_position"),
    private("get_positions", _positions, operation="list_positions"),
    private("get_leverage", _get_leverage),
    private("set_leverage", _set_leverage, needs=Needs.TRADE),
    private("get_margins", _margins, operation="preview_order"),
    private("get_max_order_size", _max_order_size, operation="preview_order"),
    private("get_order_margin_by_ids", _margin_by_ids),
    private("change_margin_model", _change_model, needs=Needs.TRADE),
    private("get_transaction_log", _log, operation="get_transaction_log", pool=Pool.LOG),
    private("get_settlement_history_by_instrument", lambda c: _settlements(c, instrument_of(c))),
    private("get_settlement_history_by_currency", lambda c: _settlements(c, None)),
    private("get_user_locks", _locks),
    private("get_subaccounts", _subaccounts),
    private("get_trading_limits", _trading_limits),
    private("get_access_log", lambda _: {"data": [], "continuation": None}),
    private("get_cancel_on_disconnect", _armed, served=_SOCKET),
    private("enable_cancel_on_disconnect", lambda c: _set_armed(c, True), needs=Needs.TRADE, served=_SOCKET),
    private("disable_cancel_on_disconnect", lambda c: _set_armed(c, False), needs=Needs.TRADE, served=_SOCKET),
    private("logout", _logout, served=_SOCKET),
)
