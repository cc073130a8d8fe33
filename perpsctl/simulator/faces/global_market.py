"""The gateway's public methods: instruments, tickers, books, trades, charts, funding (reference sections 7 and 12)."""

from datetime import datetime, timedelta
from decimal import Decimal

from perpsctl.simulator.calendar import HOUR, hour_after
from perpsctl.simulator.credits import Pool
from perpsctl.simulator.faces.global_methods import EVERYWHERE, Call, public, table
from perpsctl.simulator.faces.global_params import Params
from perpsctl.simulator.faces.global_rows import Row, direction_of, fine
from perpsctl.simulator.gateway.funding import EIGHT_HOURS_US, HOUR_US
from perpsctl.simulator.gateway.listing import LISTED_AT, NEVER, Contract
from perpsctl.simulator.gateway.numbered import Numbered
from perpsctl.simulator.gateway.refusal import RpcError, bad
from perpsctl.simulator.gateway.state import GatewayState
from perpsctl.simulator.orders import Side
from perpsctl.simulator.tape import micros

ZERO = Decimal(0)
BOOK_MAX = 10_000
TRADES_MAX = 1000
PUBLIC_IDS, PLACES = 10**12, 64  # far from the ids of fills; room for every instrument
CHART_MAX = 5000
FUNDING_ROWS_MAX = 744
RESOLUTIONS = {"1D": 1440} | {str(minutes): minutes for minutes in (1, 3, 5, 10, 15, 30, 60, 120, 180, 360, 720)}


def instrument_of(call: Call) -> str:
    """`instrument_name` of a read, which must be listed: nothing is found else (13020)."""
    name = call.params.text("instrument_name")
    if name not in call.state.products:
        raise RpcError(13020, None, {"param": "instrument_name", "reason": "instrument not found"})
    return name


def traded_of(call: Call) -> str:
    """`instrument_name` of an order method: an unknown one is an argument no order can have (10020)."""
    name = call.params.text("instrument_name")
    if name not in call.state.products:
        raise RpcError(10020)
    return name


def state_word(state: GatewayState, product_id: str) -> str:
    """The instrument's state."""
    status = state.status[product_id]
    if state.settling:
        return "settlement"
    if status.is_disabled or status.view_only:
        return "inactive"
    if state.locked or status.cancel_only:
        return "locked"
    return "halted" if status.trading_disabled or status.session_closed or state.in_maintenance(product_id) else "open"


def instrument_row(state: GatewayState, product_id: str) -> Row:
    """One instrument as it is listed."""
    product, contract = state.products[product_id], state.contract(product_id)
    word = state_word(state, product_id)
    return {
        "instrument_name": product_id,
        "instrument_id": contract.instrument_id,
        "kind": "future",
        "instrument_type": "linear",
        "future_type": "linear",
        "underlying_type": "crypto",
        "product_group": contract.product_group,
        "settlement_period": "perpetual",
        "settlement_currency": "USDC",
        "base_currency": product.coin,
        "quote_currency": "USDC",
        "counter_currency": "USDC",
        "price_index": contract.price_index,
        "index_id": contract.index_id,
        "state": word,
        "is_active": word != "inactive",
        "tick_size": product.price_increment,
        "tick_size_steps": [],
        "contract_size": product.unit_size,
        "min_trade_amount": product.base_min_size * product.unit_size,
        "qty_tick_size": product.base_increment * product.unit_size,
        "lot_size": 1,
        "max_leverage": contract.max_leverage,
        "maker_commission": contract.maker,
        "taker_commission": contract.taker,
        "max_liquidation_commission": Decimal("0.01"),
        "creation_timestamp": micros(LISTED_AT) // 1000,
        "expiration_timestamp": micros(NEVER) // 1000,
    }


def listed(state: GatewayState, params: Params) -> list[str]:
    """The instruments a filter of currency and kind lets through."""
    currency, kind = params.currency(), params.maybe_text("kind") or "any"
    if currency not in {"USDC", "any"} or kind not in {"future", "any"} or params.is_on("expired"):
        return []
    return [product_id for product_id in state.products if not state.status[product_id].hidden]


def _depth(state: GatewayState, product_id: str, side: Side, levels: int) -> list[list[Decimal]]:
    market = state.markets[product_id]
    if market.fixed is None and state.touch(product_id) is None:
        return []
    unit = state.products[product_id].unit_size
    own: dict[int, int] = {}
    for order in state.books[product_id].side(side):
        assert order.ticks is not None
        own[order.ticks] = own.get(order.ticks, 0) + int(order.left)
    whole = dict(state.depth(product_id, side, levels))
    for ticks, contracts in own.items():
        whole[ticks] = whole.get(ticks, 0) + contracts
    best = sorted(whole, reverse=side is Side.BUY)[:levels]
    return [[market.price_of(ticks), whole[ticks] * unit] for ticks in best]


def ticker_row(state: GatewayState, product_id: str) -> Row:
    """The ticker now; best prices are null on an empty side."""
    bids, asks = (_depth(state, product_id, side, 1) for side in Side)
    rate, index = state.rates[product_id], state.rates[product_id].index(state.host_us)
    mark, (lowest, highest) = state.mark(product_id), state.limits(product_id)
    now = state.host_us
    return {
        "instrument_name": product_id,
        "timestamp": now // 1000,
        "state": state_word(state, product_id),
        "stats": stats_row(state, product_id),
        "best_bid_price": bids[0][0] if bids else None,
        "best_bid_amount": bids[0][1] if bids else ZERO,
        "best_ask_price": asks[0][0] if asks else None,
        "best_ask_amount": asks[0][1] if asks else ZERO,
        "last_price": state.tapes[product_id].last(state.step),
        "mark_price": mark,
        "index_price": index,
        "estimated_delivery_price": index,
        "settlement_price": state.settlement_prices.get(product_id, mark),
        "open_interest": fine(_open_interest(state, product_id)),
        "min_price": lowest,
        "max_price": highest,
        "current_funding": fine(rate.rate(now)),
        "funding_8h": fine(rate.interest(now - EIGHT_HOURS_US, now)),
        "interest_value": fine(rate.rate(now)),
    }


def _open_interest(state: GatewayState, product_id: str) -> Decimal:
    future = state.products[product_id].future
    assert future is not None
    return future.open_interest * future.contract_size


def stats_row(state: GatewayState, product_id: str) -> Row:
    """The last 24 hours: volume in coins, money in USDC."""
    tape, unit = state.tapes[product_id], state.products[product_id].unit_size
    low, high = state.day_range(product_id)
    coins = tape.volume_24h(state.step) * unit
    value = fine((coins * state.mark(product_id)).quantize(Decimal("0.01")))
    return {
        "high": high,
        "low": low,
        "price_change": tape.change_24h(state.step, state.host_us).quantize(Decimal("0.0001")),
        "volume": fine(coins),
        "volume_usd": value,
        "volume_notional": value,
    }


def book_row(state: GatewayState, product_id: str, depth: int) -> Row:
    """The book with at most `depth` levels a side, and the ticker's figures. `change_id` rises with the path."""
    return ticker_row(state, product_id) | {
        "bids": _depth(state, product_id, Side.BUY, depth),
        "asks": _depth(state, product_id, Side.SELL, depth),
        "change_id": change_id(state),
    }


def change_id(state: GatewayState) -> int:
    """A number that rises whenever a book can have changed."""
    return max(0, state.step) * 1000 + (state.fill_count + state.rank + state.event_count) % 1000


def tape_row(state: GatewayState, numbered: Numbered) -> Row:
    """One public trade. Its id is unique per currency: another numbering than the instrument's own."""
    trade = numbered.trade
    unit = state.products[trade.product_id].unit_size
    place = list(state.products).index(trade.product_id)
    own = trade.trade_id.startswith("USDC-")
    return {
        "trade_id": trade.trade_id if own else f"USDC-{PUBLIC_IDS + numbered.number * PLACES + place}",
        "trade_seq": numbered.number,
        "instrument_name": trade.product_id,
        "timestamp": micros(trade.time) // 1000,
        "direction": direction_of(trade.side),
        "price": trade.price,
        "amount": trade.size * unit,
        "contracts": trade.size,
        "index_price": state.rates[trade.product_id].index(micros(trade.time)),
        "mark_price": trade.price,
        "tick_direction": 0,
    }


def _instruments(call: Call) -> object:
    return [instrument_row(call.state, product_id) for product_id in listed(call.state, call.params)]


def _book(call: Call) -> object:
    depth = call.params.whole("depth", 5)
    assert depth is not None
    if not 1 <= depth <= BOOK_MAX:
        raise bad("depth", f"must be between 1 and {BOOK_MAX}")
    return book_row(call.state, instrument_of(call), depth)


def _book_by_id(call: Call) -> object:
    wanted = call.params.whole("instrument_id")
    for product_id in call.state.products:
        if call.state.contract(product_id).instrument_id == wanted:
            depth = call.params.whole("depth", 5) or 5
            return book_row(call.state, product_id, min(depth, BOOK_MAX))
    raise RpcError(13020, None, {"param": "instrument_id", "reason": "instrument not found"})


def _trades(call: Call, product_ids: list[str]) -> object:
    params, state = call.params, call.state
    count = params.count(TRADES_MAX, 10)
    start, end = params.time("start_timestamp"), params.time("end_timestamp")
    first, last = params.whole("start_seq"), params.whole("end_seq")
    found = [
        each
        for product_id in product_ids
        for each in state.numbered[product_id].numbered(state.step, after=0 if first is None else first - 1)
        if (last is None or each.number <= last) and _within(each.trade.time, start, end)
    ]
    newest_first = params.maybe_text("sorting") != "asc"
    found.sort(key=lambda each: (each.trade.time, each.number), reverse=newest_first)
    return {"trades": [tape_row(state, each) for each in found[:count]], "has_more": len(found) > count}


def _within(at: datetime, start: datetime | None, end: datetime | None) -> bool:
    return (start is None or at >= start) and (end is None or at <= end)


def _chart(call: Call) -> object:
    product_id, resolution = instrument_of(call), call.params.text("resolution")
    if resolution not in RESOLUTIONS:
        raise bad("resolution", f"must be one of {', '.join(RESOLUTIONS)}")
    start, end = call.params.needed_time("start_timestamp"), call.params.needed_time("end_timestamp")
    if end < start:
        raise bad("end_timestamp", "must not be before start_timestamp")
    unit = call.state.products[product_id].unit_size
    candles = call.state.tapes[product_id].buckets(
        start=start, end=end, minutes=RESOLUTIONS[resolution], now=call.state.now, limit=CHART_MAX
    )[::-1]
    return {
        "status": "ok" if candles else "no_data",
        "ticks": [micros(candle.start) // 1000 for candle in candles],
        "open": [candle.open for candle in candles],
        "high": [candle.high for candle in candles],
        "low": [candle.low for candle in candles],
        "close": [candle.close for candle in candles],
        "volume": [fine(candle.volume * unit) for candle in candles],
        "cost": [fine(candle.volume * unit * candle.close) for candle in candles],
    }


def _funding_history(call: Call) -> object:
    product_id, state = instrument_of(call), call.state
    start, end = call.params.needed_time("start_timestamp"), call.params.needed_time("end_timestamp")
    rate = state.rates[product_id]
    rows: list[Row] = []
    at = hour_after(max(start, end - FUNDING_ROWS_MAX * HOUR, LISTED_AT) - timedelta(microseconds=1))
    while at <= min(end, state.now):
        now = micros(at)
        rows.append(
            {
                "timestamp": now // 1000,
                "index_price": rate.index(now),
                "prev_index_price": rate.index(now - HOUR_US),
                "interest_1h": fine(rate.interest(now - HOUR_US, now)),
                "interest_8h": fine(rate.interest(now - EIGHT_HOURS_US, now)),
            }
        )
        at += HOUR
    return rows


def _funding_value(call: Call) -> object:
    product_id = instrument_of(call)
    start, end = call.params.needed_time("start_timestamp"), call.params.needed_time("end_timestamp")
    if end < start or end - start > FUNDING_ROWS_MAX * HOUR:
        raise bad("end_timestamp", "must be after start_timestamp by at most 31 days")
    return fine(call.state.rates[product_id].interest(micros(start), micros(min(end, call.state.now))))


def _funding_chart(call: Call) -> object:
    product_id, state = instrument_of(call), call.state
    hours = {"8h": 8, "24h": 24, "1m": FUNDING_ROWS_MAX}.get(call.params.maybe_text("length") or "8h")
    if hours is None:
        raise bad("length", "must be one of 8h, 24h, 1m")
    rate, now = state.rates[product_id], state.host_us
    ends = [now - hour * HOUR_US for hour in range(hours, -1, -1)]
    data = [
        {
            "timestamp": at // 1000,
            "index_price": rate.index(at),
            "interest_8h": fine(rate.interest(at - EIGHT_HOURS_US, at)),
        }
        for at in ends
    ]
    highest = max(rate.rate(at) for at in ends)
    return {
        "current_interest": fine(rate.rate(now)),
        "interest_8h": fine(rate.interest(now - EIGHT_HOURS_US, now)),
        "max": fine(highest),
        "data": data,
    }


def _summary_row(state: GatewayState, product_id: str) -> Row:
    ticker, stats = ticker_row(state, product_id), stats_row(state, product_id)
    bid, ask = ticker["best_bid_price"], ticker["best_ask_price"]
    mid = (bid + ask) / 2 if isinstance(bid, Decimal) and isinstance(ask, Decimal) else None
    copied = ("mark_price", "open_interest", "current_funding", "funding_8h", "estimated_delivery_price")
    return {
        "instrument_name": product_id,
        "base_currency": state.products[product_id].coin,
        "quote_currency": "USDC",
        "bid_price": bid,
        "ask_price": ask,
        "mid_price": mid,
        "last": ticker["last_price"],
        "creation_timestamp": ticker["timestamp"],
        **{name: ticker[name] for name in copied},
        **stats,
    }


def _contract_by_index(call: Call) -> Contract:
    name = call.params.text("index_name")
    for product_id in call.state.products:
        if call.state.contract(product_id).price_index == name:
            return call.state.contract(product_id)
    raise RpcError(13020, None, {"param": "index_name", "reason": "index not found"})


def _index_price(call: Call) -> object:
    price = call.state.rates[_contract_by_index(call).product_id].index(call.state.host_us)
    return {"index_price": price, "estimated_delivery_price": price}


def _index_names(call: Call) -> object:
    return [call.state.contract(product_id).price_index for product_id in call.state.products]


def _mark_history(call: Call) -> object:
    product_id = instrument_of(call)
    start, end = call.params.needed_time("start_timestamp"), call.params.needed_time("end_timestamp")
    candles = call.state.tapes[product_id].buckets(start=start, end=end, minutes=1, now=call.state.now, limit=1000)
    return [[micros(candle.start) // 1000, candle.close] for candle in candles[::-1]]


def _status(call: Call) -> object:
    return {"locked": "true" if call.state.locked else "false", "locked_indices": []}


def _currencies(_: Call) -> object:
    return [
        {
            "currency": "USDC",
            "currency_long": "USD Coin",
            "coin_type": "USDC",
            "decimals": 6,
            "fee_precision": 6,
            "min_confirmations": 1,
            "min_withdrawal_fee": ZERO,
            "withdrawal_fee": ZERO,
            "in_cross_collateral_pool": True,
        }
    ]


def _hello(_: Call) -> object:
    return {"version": "1.2.26"}


def _by_currency(call: Call) -> list[str]:
    return listed(call.state, call.params)


PUBLIC = table(
    public("get_time", lambda call: micros(call.now) // 1000, operation="get_time", served=EVERYWHERE),
    public("test", _hello, served=EVERYWHERE),
    public("hello", _hello, served=EVERYWHERE),
    public("status", _status),
    public("get_currencies", _currencies),
    public("get_announcements", lambda _: []),
    public("get_instruments", _instruments, operation="list_products", pool=Pool.INSTRUMENTS),
    public("get_instrument", lambda c: instrument_row(c.state, instrument_of(c)), operation="get_product"),
    public("get_contract_size", lambda c: {"contract_size": c.state.products[instrument_of(c)].unit_size}),
    public("ticker", lambda c: ticker_row(c.state, instrument_of(c)), operation="get_ticker"),
    public("tickers_by_currency", lambda c: [ticker_row(c.state, each) for each in _by_currency(c)]),
    public("get_order_book", _book, operation="get_product_book"),
    public("get_order_book_by_instrument_id", _book_by_id, operation="get_product_book"),
    public("get_last_trades_by_instrument", lambda c: _trades(c, [instrument_of(c)]), operation="get_market_trades"),
    public(
        "get_last_trades_by_instrument_and_time",
        lambda c: _trades(c, [instrument_of(c)]),
        operation="get_market_trades",
    ),
    public("get_last_trades_by_currency", lambda c: _trades(c, _by_currency(c)), operation="get_market_trades"),
    public(
        "get_last_trades_by_currency_and_time", lambda c: _trades(c, _by_currency(c)), operation="get_market_trades"
    ),
    public("get_tradingview_chart_data", _chart, operation="get_candles"),
    public("get_mark_price_history", _mark_history),
    public("get_funding_rate_history", _funding_history, operation="get_funding"),
    public("get_funding_rate_value", _funding_value, operation="get_funding"),
    public("get_funding_chart_data", _funding_chart, operation="get_funding"),
    public("get_book_summary_by_instrument", lambda c: [_summary_row(c.state, instrument_of(c))]),
    public("get_book_summary_by_currency", lambda c: [_summary_row(c.state, each) for each in _by_currency(c)]),
    public("get_index_price", _index_price),
    public("get_index_price_names", _index_names),
    public("get_supported_index_names", _index_names),
)
