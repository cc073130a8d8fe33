"""What became of orders: states, open lists, histories by margin scope, trigger history, trades (reference section 8.5)."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

from perpsctl.simulator.faces.global_market import instrument_of
from perpsctl.simulator.faces.global_methods import Call, Method, private, table
from perpsctl.simulator.faces.global_rows import Row, order_row, trade_row
from perpsctl.simulator.gateway.refusal import RpcError, bad
from perpsctl.simulator.gateway.state import CROSS, GatewayOrder, UserTrade
from perpsctl.simulator.orders import OrderStatus
from perpsctl.simulator.tape import micros

RECENT_ORDERS = timedelta(minutes=30)  # what `historical: false` covers (reference 8.5)
RECENT_TRADES = timedelta(hours=24)
TYPE_WORDS = frozenset({"all", "limit", "trigger_all", "stop", "take", "trailing_stop"})


def of_type(call: Call, orders: Iterable[GatewayOrder]) -> list[GatewayOrder]:
    """Those of the orders that `type` means; all without it."""
    word = call.params.maybe_text("type") or "all"
    if word not in TYPE_WORDS and word not in {"stop_limit", "stop_market", "take_limit", "take_market", "market"}:
        raise bad("type", "unknown value")
    return [order for order in orders if _is_of_type(order, word)]


def _is_of_type(order: GatewayOrder, word: str) -> bool:
    match word:
        case "all":
            return True
        case "limit":
            return not order.is_trigger
        case "trigger_all":
            return order.is_trigger
        case "stop" | "take":
            return order.is_trigger and order.kind_word.startswith(word)
        case _:
            return order.kind_word == word


def currency_fits(call: Call) -> bool:
    """True when currency and kind let perpetuals through."""
    return call.params.currency() in {"USDC", "any"} and (call.params.maybe_text("kind") or "any") in {"any", "future"}


def seen(call: Call, *, live: bool | None = None, gathers: bool = True) -> list[GatewayOrder]:
    """Orders lists may show, newest first: none a fault hides, isolated ones only with the flag.

    `subaccount_id` names one slot; histories gather none by the flag (guide on isolated positions, 2026-09-24).
    """
    isolated = gathers and (call.params.is_on("include_isolated") or call.params.is_on("isolated"))
    subaccount = call.params.whole("subaccount_id")
    slot = None if subaccount is None else subaccount - call.state.uid
    now = call.state.now
    return [
        order
        for order in reversed(call.state.own_orders())
        if (live is None or order.live is live)
        and (order.slot == slot if slot is not None else isolated or order.slot == CROSS)
        and not (order.hidden_in_list_until is not None and now < order.hidden_in_list_until)
    ]


def _recent(call: Call, order: GatewayOrder) -> bool:
    return order.live or call.state.now - order.updated < RECENT_ORDERS


def _rows(call: Call, orders: Iterable[GatewayOrder]) -> list[Row]:
    return [order_row(call.state, order) for order in orders]


def _state_by_id(call: Call) -> object:
    order = call.core.trading.find(call.params.order_id(), isolated=call.params.is_on("isolated"))
    return order_row(call.state, order)


def _state_by_label(call: Call) -> object:
    label = call.params.text("label")
    if call.params.text("currency") not in {"USDC", "any"}:
        return []
    return _rows(call, (o for o in seen(call) if o.client_order_id == label and _recent(call, o)))


def _open(call: Call, chosen: Callable[[GatewayOrder], bool]) -> list[Row]:
    return _rows(call, of_type(call, [order for order in seen(call, live=True) if chosen(order)]))


def _open_fitting(call: Call) -> object:
    fits = currency_fits(call)
    return _open(call, lambda _: fits)


def _open_by_instrument(call: Call) -> object:
    product_id = instrument_of(call)
    return _open(call, lambda o: o.product_id == product_id)


def _open_by_label(call: Call) -> object:
    label, fits = call.params.maybe_text("label"), currency_fits(call)
    return _open(call, lambda o: fits and (label is None or o.client_order_id == label))


def _history(call: Call, product_id: str | None) -> object:
    """`historical` asks for what is older than the recent window, and without it (reference 8.5).

    Waiting orders and what failed on triggering stand in the trigger history alone.
    """
    params = call.params
    old = params.is_on("historical")
    every = params.is_on("include_old")
    found = [
        order
        for order in seen(call, live=False, gathers=False)
        if not (order.is_trigger or _failed_on_trigger(order))
        and (product_id is None or order.product_id == product_id)
        and (every or _recent(call, order) is not old)
        and (order.filled or params.is_on("include_unfilled"))
    ]
    skip = params.whole("offset", 0) or 0
    if params.has("continuation"):
        skip = _continued(call)
    count = params.count(1000, 20)
    page = _rows(call, found[skip : skip + count])
    if not params.is_on("with_continuation"):
        return page
    more = skip + count < len(found)
    return {"data": page, "continuation": str(skip + count) if more else None}


def _continued(call: Call) -> int:
    text = call.params.text("continuation")
    if text == "none":
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise bad("continuation", "invalid")
    return int(text)


def _failed_on_trigger(order: GatewayOrder) -> bool:
    return order.trigger_order_id is not None and order.status is OrderStatus.FAILED


def _trigger_history(call: Call) -> object:
    """Waiting orders that are over, newest first, with the order each one made where it made one (reference 8.2)."""
    name = call.params.maybe_text("instrument_name")
    if not currency_fits(call):
        return {"entries": [], "continuation": None}
    rows = [
        _trigger_row(call, order)
        for order in seen(call, live=False, gathers=False)
        if order.is_trigger and (name is None or order.product_id == name)
    ]
    count, skip = call.params.count(1000, 20), _continued(call) if call.params.has("continuation") else 0
    more = skip + count < len(rows)
    return {"entries": rows[skip : skip + count], "continuation": str(skip + count) if more else None}


def _trigger_row(call: Call, order: GatewayOrder) -> Row:
    row = order_row(call.state, order)
    made = None if order.became is None else call.state.own(order.became)
    failed = made is not None and _failed_on_trigger(made)
    taken = ("instrument_name", "direction", "amount", "price", "label", "order_type", "post_only", "reduce_only")
    return {name: row[name] for name in (*taken, "trigger", "trigger_price", "last_update_timestamp")} | {
        "trigger_order_id": order.order_id,
        "order_id": order.order_id if made is None else made.order_id,
        "order_state": f"rejected:{made.reject_message}" if made is not None and failed else row["order_state"],
        "request": "cancel" if made is None else "trigger:order",
        "timestamp": row["creation_timestamp"],
        "is_secondary_oto": False,
    }


def _trades(call: Call) -> list[UserTrade]:
    """The trades of the cross account, or of the slot `subaccount_id` names; no flag gathers more."""
    params, state = call.params, call.state
    subaccount = params.whole("subaccount_id")
    slot = CROSS if subaccount is None else subaccount - state.uid
    old = params.is_on("historical")
    start, end = params.time("start_timestamp"), params.time("end_timestamp")
    first, last = params.whole("start_seq"), params.whole("end_seq")
    timed = start is not None or end is not None
    return [
        trade
        for trade in state.trades
        if trade.slot == slot
        and (timed or (state.now - trade.at >= RECENT_TRADES) is old)
        and (start is None or micros(trade.at) // 1000 >= micros(start) // 1000)
        and (end is None or micros(trade.at) // 1000 <= micros(end) // 1000)
        and (first is None or trade.sequence >= first)
        and (last is None or trade.sequence <= last)
    ]


def _sorted(call: Call, trades: list[UserTrade]) -> list[UserTrade]:
    """Newest first unless asked otherwise, or a start was given (native: then oldest first)."""
    word = call.params.maybe_text("sorting") or "default"
    started = call.params.has("start_seq") or call.params.has("start_timestamp")
    upwards = word == "asc" or (word == "default" and started)
    return sorted(trades, key=lambda trade: trade.number, reverse=not upwards)


def _trades_page(call: Call, product_id: str | None) -> object:
    found = _sorted(call, [t for t in _trades(call) if product_id is None or t.product_id == product_id])
    count = call.params.count(1000, 10)
    return {"trades": [trade_row(call.state, each) for each in found[:count]], "has_more": len(found) > count}


def _trades_by_order(call: Call) -> object:
    """An isolated order's trades are not found without the flag (guide on isolated positions, 2026-09-24)."""
    order_id, isolated = call.params.order_id(), call.params.is_on("isolated")
    order = call.state.own(order_id)
    if order is not None and order.slot != CROSS and not isolated:
        raise RpcError(10004)
    old = call.params.is_on("historical")
    found = [
        trade
        for trade in call.state.trades
        if trade.order_id == order_id and (call.state.now - trade.at >= RECENT_TRADES) is old
    ]
    return [trade_row(call.state, trade) for trade in _sorted(call, found)]


def _by_currency(call: Call, page: Callable[[Call, str | None], object]) -> object:
    if not currency_fits(call):
        return [] if page is _history else {"trades": [], "has_more": False}
    return page(call, None)


ORDER_READS: Mapping[str, Method] = table(
    private("get_order_state", _state_by_id, operation="get_order"),
    private("get_order_state_by_label", _state_by_label, operation="list_orders"),
    private("get_open_orders", _open_fitting, operation="list_orders"),
    private("get_open_orders_by_currency", _open_fitting, operation="list_orders"),
    private("get_open_orders_by_instrument", _open_by_instrument, operation="list_orders"),
    private("get_open_orders_by_label", _open_by_label, operation="list_orders"),
    private("get_order_history_by_instrument", lambda c: _history(c, instrument_of(c)), operation="list_orders"),
    private("get_order_history_by_currency", lambda c: _by_currency(c, _history), operation="list_orders"),
    private("get_trigger_order_history", _trigger_history, operation="list_orders"),
    private("get_user_trades_by_order", _trades_by_order, operation="list_fills"),
    private("get_user_trades_by_instrument", lambda c: _trades_page(c, instrument_of(c)), operation="list_fills"),
    private(
        "get_user_trades_by_instrument_and_time", lambda c: _trades_page(c, instrument_of(c)), operation="list_fills"
    ),
    private("get_user_trades_by_currency", lambda c: _by_currency(c, _trades_page), operation="list_fills"),
    private("get_user_trades_by_currency_and_time", lambda c: _by_currency(c, _trades_page), operation="list_fills"),
)
