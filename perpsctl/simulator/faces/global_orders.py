"""The gateway's order methods: buy, sell, edit, cancel in all its forms, close, and reading what became of orders."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from decimal import Decimal

from perpsctl.simulator.credits import Pool
from perpsctl.simulator.faces.global_market import instrument_of
from perpsctl.simulator.faces.global_methods import Call, private, table
from perpsctl.simulator.faces.global_rows import Row, order_row, trade_row
from perpsctl.simulator.faces.routes import Needs
from perpsctl.simulator.gateway.admission import Terms
from perpsctl.simulator.gateway.listing import LABEL_MAX
from perpsctl.simulator.gateway.refusal import RpcError, bad
from perpsctl.simulator.gateway.state import CROSS, GatewayOrder, UserTrade
from perpsctl.simulator.gateway.trading import Change, Done
from perpsctl.simulator.orders import Side
from perpsctl.simulator.tape import micros

RECENT_ORDERS = timedelta(minutes=30)  # what `historical: false` covers (reference 8.5)
RECENT_TRADES = timedelta(hours=24)
NOT_OFFERED = (
    "trigger_offset",
    "display_amount",
    "linked_order_type",
    "otoco_config",
    "trigger_fill_condition",
    "advanced",
)
CANCEL_TYPES = frozenset({"all", "limit", "trigger_all", "stop", "take", "trailing_stop"})


# -- writing ---------------------------------------------------------------------------------------------


def _contracts(call: Call, product_id: str) -> Decimal | None:
    """The size in contracts; `amount` and `contracts` must agree where both are given."""
    amount, contracts = call.params.number("amount"), call.params.number("contracts")
    unit = call.state.products[product_id].unit_size
    if amount is not None:
        told = amount / unit
        if told * unit != amount:
            raise bad("amount", f"must be a multiple of contract size {unit}")
        if contracts is not None and contracts != told:
            raise bad("contracts", "does not agree with amount")
        return told
    return contracts


def _label(call: Call) -> str:
    label = call.params.maybe_text("label") or ""
    if len(label) > LABEL_MAX:
        raise bad("label", f"must be at most {LABEL_MAX} characters")
    return label


def _valid_until(call: Call) -> int | None:
    """`valid_until` by the account's clock: clients mean the venue's, which fault A1 may shift."""
    told = call.params.whole("valid_until")
    return None if told is None else told - (micros(call.now) - call.state.host_us) // 1000


def _refuse_unoffered(call: Call) -> None:
    for name in NOT_OFFERED:
        if call.params.has(name):
            raise RpcError(10033, None, {"param": name, "reason": "this exchange does not offer it"})


def _place(call: Call, side: Side) -> object:
    params = call.params
    product_id = params.text("instrument_name")
    if product_id not in call.state.products:
        raise RpcError(10020)
    _refuse_unoffered(call)
    contracts = _contracts(call, product_id)
    if contracts is None:
        raise bad("amount", "amount or contracts required")
    kind, tif = params.maybe_text("type") or "limit", params.maybe_text("time_in_force") or "good_til_cancelled"
    given = params.flag("post_only")
    rests = kind == "limit" and tif in {"good_til_cancelled", "good_til_day"}
    done = call.core.trading.place(
        Terms(
            product_id=product_id,
            side=side,
            contracts=contracts,
            kind=kind,
            price=params.number("price"),
            time_in_force=tif,
            post_only=rests if given is None else given,  # true by default where it can be (reference 8.1)
            reject_post_only=params.is_on("reject_post_only"),
            reduce_only=params.is_on("reduce_only"),
            label=_label(call),
            trigger=params.maybe_text("trigger"),
            trigger_price=params.number("trigger_price"),
            isolated=params.is_on("isolated"),
            allocated_margin=params.number("allocated_margin"),
            valid_until_ms=_valid_until(call),
            connection=call.session.connection,
        )
    )
    return _done(call, done)


def _done(call: Call, done: Done) -> Row:
    return {
        "order": order_row(call.state, done.order),
        "trades": [trade_row(call.state, trade) for trade in done.trades],
    }


def _edit(call: Call) -> object:
    return _changed(call, call.params.order_id())


def _changed(call: Call, order_id: str) -> Row:
    params = call.params
    _refuse_unoffered(call)
    if params.has("time_in_force") or params.has("type"):
        raise RpcError(11047)
    order = call.core.trading.find(order_id, isolated=params.is_on("isolated"))
    contracts = _contracts(call, order.product_id)
    if contracts is None:
        raise bad("amount", "amount or contracts required")
    done = call.core.trading.change(
        Change(
            order_id=order_id,
            contracts=contracts,
            price=params.number("price"),
            post_only=params.flag("post_only"),
            reject_post_only=params.flag("reject_post_only"),
            reduce_only=params.flag("reduce_only"),
            trigger_price=params.number("trigger_price"),
            isolated=params.is_on("isolated"),
            valid_until_ms=_valid_until(call),
        )
    )
    return _done(call, done)


def _edit_by_label(call: Call) -> object:
    label, product_id = call.params.text("label"), instrument_of(call)
    open_ones = [o for o in _seen(call, live=True) if o.client_order_id == label and o.product_id == product_id]
    if len(open_ones) > 1:
        raise RpcError(13032)
    if not open_ones:
        raise RpcError(10004)
    return _changed(call, open_ones[0].order_id)


def _close(call: Call) -> object:
    product_id, kind = instrument_of(call), call.params.text("type")
    if kind not in {"limit", "market"}:
        raise bad("type", "must be limit or market")
    done = call.core.trading.close_all(
        product_id,
        kind=kind,
        price=call.params.number("price"),
        isolated=call.params.is_on("isolated"),
        connection=call.session.connection,
    )
    return _done(call, done)


def _cancel(call: Call) -> object:
    order = call.core.trading.cancel_order(call.params.order_id(), isolated=call.params.is_on("isolated"))
    return order_row(call.state, order)


def _cancel_where(call: Call, chosen: Callable[[GatewayOrder], bool]) -> object:
    """Isolated orders stay open without the flag (reference 8.4). The number cancelled, or lists with `detailed`."""
    if call.state.settling:
        raise RpcError(10041)
    wanted = _of_type(call, [order for order in _seen(call, live=True) if chosen(order)])
    gone = call.core.trading.cancel_many(wanted)
    if not call.params.is_on("detailed"):
        return len(gone)
    groups: dict[tuple[str, str], list[Row]] = {}
    for order in gone:
        kind = "trigger" if order.is_trigger else "limit"
        groups.setdefault((order.product_id, kind), []).append(order_row(call.state, order))
    return [
        {"instrument_name": name, "currency": "USDC", "type": kind, "result": rows}
        for (name, kind), rows in groups.items()
    ]


def _of_type(call: Call, orders: Iterable[GatewayOrder]) -> list[GatewayOrder]:
    word = call.params.maybe_text("type") or "all"
    if word not in CANCEL_TYPES and word not in {"stop_limit", "stop_market", "take_limit", "take_market", "market"}:
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


def _currency_fits(call: Call) -> bool:
    return call.params.currency() in {"USDC", "any"} and (call.params.maybe_text("kind") or "any") in {"any", "future"}


def _cancel_by_label(call: Call) -> object:
    label = call.params.text("label")
    return _cancel_where(call, lambda o: o.client_order_id == label and call.params.currency() in {"USDC", "any"})


def _cancel_by_instrument(call: Call) -> object:
    product_id = instrument_of(call)
    return _cancel_where(call, lambda o: o.product_id == product_id)


def _cancel_fitting(call: Call) -> object:
    fits = _currency_fits(call)
    return _cancel_where(call, lambda _: fits)


def _cancel_by_pair(call: Call) -> object:
    pair = call.params.text("currency_pair")
    return _cancel_where(call, lambda o: call.state.contract(o.product_id).price_index == pair)


# -- reading ---------------------------------------------------------------------------------------------


def _seen(call: Call, *, live: bool | None = None) -> list[GatewayOrder]:
    """Orders lists may show, newest first: none a fault hides, isolated ones only with the flag."""
    isolated = call.params.is_on("include_isolated") or call.params.is_on("isolated")
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
    return _rows(call, (o for o in _seen(call) if o.client_order_id == label and _recent(call, o)))


def _open(call: Call, chosen: Callable[[GatewayOrder], bool]) -> list[Row]:
    return _rows(call, _of_type(call, [order for order in _seen(call, live=True) if chosen(order)]))


def _open_fitting(call: Call) -> object:
    fits = _currency_fits(call)
    return _open(call, lambda _: fits)


def _open_by_instrument(call: Call) -> object:
    product_id = instrument_of(call)
    return _open(call, lambda o: o.product_id == product_id)


def _open_by_label(call: Call) -> object:
    label, fits = call.params.maybe_text("label"), _currency_fits(call)
    return _open(call, lambda o: fits and (label is None or o.client_order_id == label))


def _history(call: Call, product_id: str | None) -> object:
    """`historical` asks for what is older than the recent window, and without it (reference 8.5)."""
    params = call.params
    old = params.is_on("historical")
    every = params.is_on("include_old")
    found = [
        order
        for order in _seen(call, live=False)
        if (product_id is None or order.product_id == product_id)
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


def _trigger_history(call: Call) -> object:
    found = [order for order in _seen(call) if order.is_trigger or order.trigger_order_id is not None]
    name = call.params.maybe_text("instrument_name")
    rows = []
    for order in found:
        if name is not None and order.product_id != name:
            continue
        row = order_row(call.state, order)
        word = f"rejected:{order.reject_message}" if order.reject_message else row["order_state"]
        rows.append(
            row
            | {
                "order_state": word,
                "timestamp": row["creation_timestamp"],
                "request": "trigger:order" if order.trigger_order_id else "trigger:limit",
            }
        )
    count, skip = call.params.count(1000, 20), _continued(call) if call.params.has("continuation") else 0
    more = skip + count < len(rows)
    return {"entries": rows[skip : skip + count], "continuation": str(skip + count) if more else None}


def _trades(call: Call) -> list[UserTrade]:
    params, state = call.params, call.state
    isolated = params.is_on("include_isolated") or params.is_on("isolated") or params.has("subaccount_id")
    subaccount = params.whole("subaccount_id")
    old = params.is_on("historical")
    start, end = params.time("start_timestamp"), params.time("end_timestamp")
    first, last = params.whole("start_seq"), params.whole("end_seq")
    timed = start is not None or end is not None
    return [
        trade
        for trade in state.trades
        if (isolated or trade.slot == CROSS)
        and (subaccount is None or trade.slot == subaccount - state.uid)
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
    order_id = call.params.order_id()
    found = _sorted(call, [trade for trade in _trades(call) if trade.order_id == order_id])
    return [trade_row(call.state, trade) for trade in found]


def _by_currency(call: Call, page: Callable[[Call, str | None], object]) -> object:
    if not _currency_fits(call):
        return [] if page is _history else {"trades": [], "has_more": False}
    return page(call, None)


_TRADE = Needs.TRADE
ORDERS = table(
    private("buy", lambda c: _place(c, Side.BUY), operation="create_order", needs=_TRADE, pool=Pool.ORDERS),
    private("sell", lambda c: _place(c, Side.SELL), operation="create_order", needs=_TRADE, pool=Pool.ORDERS),
    private("edit", _edit, operation="edit_order", needs=_TRADE, pool=Pool.ORDERS),
    private("edit_by_label", _edit_by_label, operation="edit_order", needs=_TRADE, pool=Pool.ORDERS),
    private("close_position", _close, operation="close_position", needs=_TRADE, pool=Pool.ORDERS),
    private("cancel", _cancel, operation="cancel_orders", needs=_TRADE, pool=Pool.ORDERS),
    *(
        private(name, answer, operation="cancel_orders", needs=_TRADE, pool=Pool.MASS_CANCELS)
        for name, answer in (
            ("cancel_all", lambda call: _cancel_where(call, lambda _: True)),
            ("cancel_all_by_instrument", _cancel_by_instrument),
            ("cancel_all_by_currency", _cancel_fitting),
            ("cancel_all_by_currency_pair", _cancel_by_pair),
            ("cancel_all_by_kind_or_type", _cancel_fitting),
            ("cancel_by_label", _cancel_by_label),
        )
    ),
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
