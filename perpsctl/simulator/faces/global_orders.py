"""The gateway's order methods that write: buy, sell, edit, cancel in all its forms, close (reference sections 8.1 and 8.4)."""

from collections.abc import Callable
from decimal import Decimal

from perpsctl.simulator.credits import Pool
from perpsctl.simulator.faces.global_market import traded_of
from perpsctl.simulator.faces.global_methods import Call, private, table
from perpsctl.simulator.faces.global_order_reads import currency_fits, of_type, seen
from perpsctl.simulator.faces.global_rows import Row, order_row, trade_row
from perpsctl.simulator.faces.routes import Needs
from perpsctl.simulator.gateway.admission import Terms
from perpsctl.simulator.gateway.listing import LABEL_MAX
from perpsctl.simulator.gateway.refusal import RpcError, bad
from perpsctl.simulator.gateway.state import GatewayOrder
from perpsctl.simulator.gateway.trading import Change, Done
from perpsctl.simulator.orders import Side
from perpsctl.simulator.tape import micros

NOT_OFFERED = (
    "trigger_offset",
    "display_amount",
    "linked_order_type",
    "otoco_config",
    "trigger_fill_condition",
    "advanced",
)


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
    product_id = traded_of(call)
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
    label, product_id = call.params.text("label"), traded_of(call)
    open_ones = [o for o in seen(call, live=True) if o.client_order_id == label and o.product_id == product_id]
    if len(open_ones) > 1:
        raise RpcError(13032)
    if not open_ones:
        raise RpcError(10004)
    return _changed(call, open_ones[0].order_id)


def _close(call: Call) -> object:
    product_id, kind = traded_of(call), call.params.text("type")
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
    wanted = of_type(call, [order for order in seen(call, live=True) if chosen(order)])
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


def _cancel_by_label(call: Call) -> object:
    label = call.params.text("label")
    return _cancel_where(call, lambda o: o.client_order_id == label and call.params.currency() in {"USDC", "any"})


def _cancel_by_instrument(call: Call) -> object:
    product_id = traded_of(call)
    return _cancel_where(call, lambda o: o.product_id == product_id)


def _cancel_fitting(call: Call) -> object:
    fits = currency_fits(call)
    return _cancel_where(call, lambda _: fits)


def _cancel_by_pair(call: Call) -> object:
    pair = call.params.text("currency_pair")
    return _cancel_where(call, lambda o: call.state.contract(o.product_id).price_index == pair)


_TRADE = Needs.TRADE
ORDER_WRITES = table(
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
)
