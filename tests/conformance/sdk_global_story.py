"""Run inside the official SDK's environment, unmodified `coinbase-advanced-py` 2.0.0rc1: its gateway clients, answers printed.

Argument: a JSON object with `host` (host:port of the gateway's TLS face), `ws` and `streams` (wss addresses), and the key
files `trade` and `monitor`. Both clients take an address of their own (`base_url=`, `url=`), so nothing of the SDK is
redirected; trust in the throw-away authority comes from outside: requests reads REQUESTS_CA_BUNDLE, and the socket client's
default TLS context reads SSL_CERT_FILE.
"""

import importlib.metadata
import io
import json
import queue
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from coinbase.deribit import (  # type: ignore[import-not-found]  # lives in an environment of its own
    DeribitAuthError,
    DeribitInvalidParamsError,
    DeribitRetailClient,
    DeribitRetailWSClient,
    DeribitRPCError,
    DeribitSubscriptionError,
)
from coinbase.deribit.auth import build_cdp_jwt  # type: ignore[import-not-found]

BTC, ETH = "BTC_USDC-PERPETUAL", "ETH_USDC-PERPETUAL"
TOLD_WITHIN_S = 20
facts: dict[str, Any] = {}


def said(answer: Any) -> Any:
    """The result of a typed answer as plain values."""
    return answer.to_dict()["result"]


def refused(call: Callable[..., Any], *arguments: Any, **named: Any) -> list[Any]:
    try:
        call(*arguments, **named)
    except DeribitRPCError as error:
        return [error.code, error.message]
    raise SystemExit(f"{call.__name__} was not refused")


def ticker_is_book(public: Any) -> bool:
    """True when the ticker quotes the top of the book; asked between two books that agree, since spreads breathe."""
    for _ in range(10):
        before, ticker, after = (
            said(public.public_get_order_book(BTC, depth=1)),
            said(public.public_ticker(BTC)),
            said(public.public_get_order_book(BTC, depth=1)),
        )
        tops = [[book["bids"][0][0], book["asks"][0][0]] for book in (before, after)]
        if tops[0] == tops[1]:
            return [ticker["best_bid_price"], ticker["best_ask_price"]] == tops[0]
    return False


def market_data(public: Any) -> Decimal:
    """Public reads; the best bid."""
    facts["instruments"] = sorted(each["instrument_name"] for each in said(public.public_get_instruments("USDC")))
    instrument = said(public.public_get_instrument(BTC))
    facts["instrument"] = {name: instrument[name] for name in ("tick_size", "contract_size", "instrument_type")}
    book = said(public.public_get_order_book(BTC, depth=5))
    facts["book"] = [len(book["bids"]), len(book["asks"]), book["bids"][0][0] < book["asks"][0][0]]
    ticker = said(public.public_ticker(BTC))
    facts["ticker"] = [ticker["state"], ticker["min_price"] < ticker["mark_price"] < ticker["max_price"]]
    facts["ticker_is_book"] = ticker_is_book(public)
    facts["unknown_instrument"] = refused(public.public_ticker, "NO_SUCH-PERPETUAL")[0]
    facts["time_off_s"] = abs(said(public.public_get_time()) / 1000 - time.time())
    return Decimal(str(book["bids"][0][0]))


def logins(client: Any, public: Any, host: str, trade: str, monitor: str) -> None:
    with open(trade, encoding="utf-8") as file:
        key = json.load(file)
    login = said(client.public_auth("coinbase_cdp", build_cdp_jwt(key["name"], key["privateKey"])))
    facts["login"] = [login["token_type"], login["scope"], login["expires_in"]]
    facts["no_login"] = refused(public.private_get_positions)[0]  # the SDK's own word; nothing is sent
    facts["no_token"] = refused(public.call, "public/auth", {"grant_type": "coinbase_cdp"})
    stranger = io.StringIO(json.dumps(key | {"name": key["name"][:-4] + "0000"}))
    try:
        DeribitRetailClient(key_file=stranger, base_url=host, timeout=10).private_get_positions()
    except DeribitAuthError as error:
        facts["stranger"] = str(error)
    watcher = DeribitRetailClient(key_file=monitor, base_url=host, timeout=10)
    facts["monitor_reads"] = said(watcher.private_get_open_orders())
    facts["monitor_order"] = refused(watcher.private_buy, BTC, amount=0.01, type="market", label="sdk-monitor")


def resting_orders(client: Any, bid: Decimal) -> None:
    far, high = float(round(bid * Decimal("0.992"))), float(round(bid * Decimal("1.008")))
    placed = client.private_buy(BTC, amount=0.02, price=far, label="sdk-buy")
    buy = said(placed)["order"]
    facts["buy"] = {name: buy[name] for name in ("order_id", "order_state", "contracts", "label", "post_only")}
    sell = said(client.private_sell(BTC, contracts=50, price=high, label="sdk-sell"))["order"]
    facts["sell"] = {name: sell[name] for name in ("order_id", "order_state", "amount", "label")}
    facts["off_grid"] = refused(client.private_buy, BTC, amount=0.00015, price=far, label="sdk-off-grid")
    facts["open"] = sorted(each["label"] for each in said(client.private_get_open_orders()))
    facts["open_by_instrument"] = len(said(client.private_get_open_orders_by_instrument(ETH)))
    edited = said(client.private_edit(buy["order_id"], amount=0.01, price=far - 1))["order"]
    facts["edit"] = [edited["order_id"] == buy["order_id"], edited["amount"], edited["price"] == far - 1]
    by_label = said(client.private_get_order_state_by_label("USDC", "sdk-buy"))
    facts["by_label"] = [[each["order_id"], each["order_state"], each["contracts"]] for each in by_label]
    facts["by_id"] = said(client.private_get_order_state(sell["order_id"]))["label"]
    facts["cancel"] = said(client.private_cancel(buy["order_id"]))["order_state"]
    facts["cancel_again"] = refused(client.private_cancel, buy["order_id"])[0]
    facts["edit_closed"] = refused(client.private_edit, buy["order_id"], amount=0.01, price=far)[0]
    facts["cancel_by_label"] = said(client.private_cancel_by_label("sdk-sell"))
    facts["still_open"] = said(client.private_get_open_orders())
    try:
        client.private_buy(BTC, type="limit", price=far, label="sdk-no-amount")
    except DeribitInvalidParamsError as error:
        facts["no_amount"] = error.code


def fills(client: Any, bid: Decimal, began_ms: int) -> None:
    low = float(round(bid * Decimal("0.995")))
    bought = said(client.private_buy(BTC, amount=0.03, type="market", label="sdk-market"))
    facts["market"] = [bought["order"]["order_state"], bought["order"]["filled_amount"]]
    sold = said(client.private_sell(BTC, amount=0.01, price=low, post_only=False, label="sdk-cross"))
    facts["crossed"] = [sold["order"]["order_state"], sold["order"]["filled_amount"]]
    position = said(client.private_get_position(BTC))
    facts["position"] = [position["direction"], position["size_currency"]]
    facts["positions"] = [each["instrument_name"] for each in said(client.private_get_positions(currency="USDC"))]
    facts["margined"] = said(client.private_get_account_summary("USDC"))["initial_margin"] > 0
    by_order = said(client.private_get_user_trades_by_order(sold["order"]["order_id"]))
    facts["trades_by_order"] = sum(each["contracts"] for each in by_order)
    closed = said(client.private_close_position(BTC, "market"))
    facts["closed"] = [closed["order"]["order_state"], closed["order"]["reduce_only"], closed["order"]["direction"]]
    facts["flat"] = said(client.private_get_position(BTC))["direction"]
    trades = said(client.private_get_user_trades_by_instrument(BTC, count=100))
    facts["trades"] = [[each["trade_id"], each["order_id"], each["contracts"]] for each in trades["trades"]]
    facts["fees"] = all(each["fee"] > 0 and each["fee_currency"] == "USDC" for each in trades["trades"])
    facts["more_trades"] = trades["has_more"]
    log = said(client.private_get_transaction_log("USDC", began_ms, int(time.time() * 1000) + 60_000, count=100))
    rows = [row for row in log["logs"] if row["type"] == "trade"]
    facts["logged_trades"] = sorted(row["trade_id"] for row in rows)
    facts["logged_balance"] = max(log["logs"], key=lambda row: row["id"])["balance"]
    summary = said(client.private_get_account_summary("USDC", extended=True))
    facts["summary"] = {name: summary[name] for name in ("currency", "balance", "initial_margin", "margin_model")}


def until(heard: "queue.Queue[Any]", is_it: Callable[[Any], bool]) -> Any:
    """The first notification that is it; queue.Empty ends the story where none comes."""
    deadline = time.monotonic() + TOLD_WITHIN_S
    while True:
        told = heard.get(timeout=max(0.0, deadline - time.monotonic()))
        if is_it(told):
            return told


def streams(url: str) -> None:
    heard: queue.Queue[Any] = queue.Queue()
    with DeribitRetailWSClient(url=url, timeout=10) as market:
        channel = f"book.{ETH}.100ms"
        answer = market.subscribe([channel], lambda data, name: heard.put((name, data)))
        facts["subscribed"] = answer["public"]["result"] == [channel]
        name, first = until(heard, lambda _: True)
        facts["snapshot"] = [name == channel, first["type"], len(first["bids"]) > 0, len(first["asks"]) > 0]
        _, second = until(heard, lambda _: True)
        facts["change"] = [second["type"], second["prev_change_id"] == first["change_id"]]
        facts["streams_dropped"] = unsubscribed(market, "user.orders.any.any.raw")
        facts["streams_login"] = refused(market.public_auth, "coinbase_cdp", "not.a.token")[0]
        market.unsubscribe_all()


def openings(url: str) -> None:
    """Fifty connections, one after the other, each opened and asked at once; slow is what a lost request looks like."""
    began = time.monotonic()
    answered = 0
    for _ in range(50):
        with DeribitRetailWSClient(url=url, timeout=10) as client:
            answered += client.call("public/test", {})["result"]["version"] != ""
    facts["openings"] = [answered, time.monotonic() - began < TOLD_WITHIN_S]


def unsubscribed(client: Any, channel: str) -> list[str]:
    try:
        client.subscribe([channel])
    except DeribitSubscriptionError as error:
        return list(error.rejected)
    raise SystemExit(f"{channel} was subscribed")


def socket(url: str, key_file: str, bid: Decimal) -> None:
    orders: queue.Queue[Any] = queue.Queue()
    trades: queue.Queue[Any] = queue.Queue()
    far = float(round(bid * Decimal("0.992")))
    with DeribitRetailWSClient(key_file=key_file, url=url, timeout=10) as client:
        client.subscribe([f"user.orders.{BTC}.raw"], lambda data, _: orders.put(data))
        client.subscribe([f"user.trades.{BTC}.raw"], lambda data, _: trades.put(data))
        resting = said(client.private_buy(BTC, amount=0.01, price=far, label="sdk-socket"))["order"]
        facts["socket_order"] = resting["order_id"]
        told = until(orders, lambda order: order["label"] == "sdk-socket")
        facts["told_open"] = [told["order_id"], told["order_state"], told["contracts"]]
        client.private_cancel(resting["order_id"])
        told = until(orders, lambda order: order["label"] == "sdk-socket" and order["order_state"] != "open")
        facts["told_cancelled"] = [told["order_id"], told["order_state"]]
        client.private_buy(BTC, amount=0.01, type="market", label="sdk-socket-market")
        told = until(orders, lambda order: order["label"] == "sdk-socket-market" and order["order_state"] == "filled")
        facts["told_filled"] = told["filled_amount"]
        facts["told_trades"] = [
            [each["label"], each["order_id"] == told["order_id"]] for each in trades.get(timeout=10)
        ]
        facts["trading_host_dropped"] = unsubscribed(client, f"book.{BTC}.100ms")
        client.private_close_position(BTC, "market")
        facts["socket_refusal"] = refused(client.private_cancel, resting["order_id"])[0]
        # the socket's own safety: armed, then closed without a logout
        facts["armed"] = said(client.private_enable_cancel_on_disconnect())
        client.private_buy(BTC, amount=0.01, price=far, label="sdk-left-behind")


def main(places: dict[str, str]) -> None:
    began_ms = int(time.time() * 1000) - 60_000
    facts["version"] = importlib.metadata.version("coinbase-advanced-py")
    client = DeribitRetailClient(key_file=places["trade"], base_url=places["host"], timeout=10)
    public = DeribitRetailClient(base_url=places["host"], timeout=10)
    bid = market_data(public)
    logins(client, public, places["host"], places["trade"], places["monitor"])
    resting_orders(client, bid)
    fills(client, bid, began_ms)
    streams(places["streams"])
    openings(places["streams"])
    socket(places["ws"], places["trade"], bid)
    # what became of the order left behind is read over HTTP: the socket is gone, and
    # the venue notices its end on its own time
    deadline = time.monotonic() + TOLD_WITHIN_S
    while said(client.private_get_open_orders()) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = said(client.private_get_order_state_by_label("USDC", "sdk-left-behind"))
    facts["left_behind"] = [[each["order_state"], each.get("cancel_reason")] for each in left]
    print(json.dumps(facts))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
