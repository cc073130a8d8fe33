"""Run inside ccxt's environment, unmodified `ccxt` 4.5.90, class `coinbaseinternational` and its twin of ccxt.pro: what they saw.

Argument: a JSON object with `rest` (https address of the gateway's face up to /api/v2), `ws` and `streams` (wss addresses),
the `key` file of the trade key and the `ca` file. All addresses are entries of ccxt's own `urls`; trust comes by
REQUESTS_CA_BUNDLE (with ccxt's `requests_trust_env`) and by ccxt's `cafile`.
"""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import ccxt  # type: ignore[import-not-found]  # lives in an environment of its own
import ccxt.pro  # type: ignore[import-not-found]

BTC, ETH = "BTC/USDC:USDC", "ETH/USDC:USDC"
HEARD_WITHIN_S = 15
Facts = dict[str, Any]
facts: Facts = {}


def refused(call: Callable[..., Any], *arguments: Any) -> list[str]:
    try:
        call(*arguments)
    except Exception as error:
        return [type(error).__name__, str(error)]
    raise SystemExit(f"{call.__name__} was not refused")


def asked(exchange: Any) -> float:
    """Public reads; the best bid."""
    markets = exchange.load_markets()
    facts["markets"] = sorted(markets)
    wanted = ("id", "type", "linear", "contractSize", "active", "taker", "maker")
    facts["market"] = {name: markets[BTC][name] for name in wanted}
    facts["precision"] = [markets[BTC]["precision"][name] for name in ("amount", "price")]
    facts["skew_ms"] = abs(exchange.fetch_time() - int(time.time() * 1000))
    facts["currencies"] = sorted(exchange.fetch_currencies())
    book = exchange.fetch_order_book(BTC, 10)
    facts["book"] = [len(book["bids"]), len(book["asks"]), book["bids"][0][0] < book["asks"][0][0]]
    ticker = exchange.fetch_ticker(BTC)
    facts["ticker"] = [ticker["bid"] < ticker["ask"], ticker["markPrice"] > 0, ticker["indexPrice"] > 0]
    facts["tickers"] = sorted(exchange.fetch_tickers([BTC, ETH]))
    candles = exchange.fetch_ohlcv(BTC, "1m", limit=50)
    facts["candles"] = [len(candles), candles == sorted(candles)]
    rates = exchange.fetch_funding_rate_history(BTC)
    steps = {later["timestamp"] - earlier["timestamp"] for earlier, later in itertools.pairwise(rates)}
    facts["funding"] = [len(rates) > 24, sorted(steps), all(rate["fundingRate"] is not None for rate in rates)]
    facts["missing"] = {
        name: refused(getattr(exchange, name), BTC)[0]
        for name in ("fetch_trades", "fetch_funding_rate", "fetch_open_interest")
    }
    return float(book["bids"][0][0])


def unsent(exchange: Any, bid: float) -> None:
    """Private calls as anybody would make them: ccxt stumbles while it writes the login, before a byte leaves."""
    price = round(bid * 0.992)
    facts["unsent"] = {
        "fetch_balance": refused(exchange.fetch_balance),
        "fetch_positions": refused(exchange.fetch_positions),
        "create_order": refused(
            exchange.create_order, BTC, "limit", "buy", 0.01, price, {"clientOrderId": "ccxt-unsent"}
        ),
    }


def log_in(exchange: Any) -> None:
    """The way around from outside: ccxt's own token, sent through ccxt's plain `fetch`; its options keep what came back."""
    url = exchange.urls["api"]["rest"] + "/public/auth"
    token = exchange.create_auth_token(exchange.seconds(), "POST", url)
    params = {"grant_type": "coinbase_cdp", "token": token}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "public/auth", "params": params})
    login = exchange.fetch(url, "POST", {"Content-Type": "application/json"}, body)["result"]
    facts["login"] = [login["token_type"], login["scope"], login["expires_in"]]
    exchange.options["v2AccessToken"] = login["access_token"]
    exchange.options["v2TokenExpires"] = exchange.milliseconds() + int(login["expires_in"] * 800)


def resting(exchange: Any, bid: float) -> None:
    price = round(bid * 0.992)
    placed = exchange.create_order(BTC, "limit", "buy", 0.01, price, {"postOnly": True, "clientOrderId": "ccxt-rest"})
    facts["placed"] = [placed[name] for name in ("id", "status", "amount", "price", "postOnly", "clientOrderId")]
    fetched = exchange.fetch_order(placed["id"], BTC)
    facts["fetched"] = [fetched["id"] == placed["id"], fetched["status"], fetched["remaining"]]
    edited = exchange.edit_order(placed["id"], BTC, "limit", "buy", 0.02, price - 1)
    facts["edited"] = [edited["id"] == placed["id"], edited["amount"], edited["price"] == price - 1]
    facts["open"] = [[each["clientOrderId"], each["amount"]] for each in exchange.fetch_open_orders(BTC)]
    facts["cancelled"] = exchange.cancel_order(placed["id"], BTC)["status"]
    facts["still_open"] = exchange.fetch_open_orders(BTC)
    facts["cancel_again"] = refused(exchange.cancel_order, placed["id"], BTC)
    exchange.create_order(BTC, "limit", "buy", 0.01, price, {"clientOrderId": "ccxt-swept"})
    exchange.cancel_all_orders(BTC)
    facts["swept"] = exchange.fetch_open_orders(BTC)


def fills(exchange: Any, bid: float) -> None:
    bought = exchange.create_order(BTC, "market", "buy", 0.03, None, {"clientOrderId": "ccxt-market"})
    facts["bought"] = [bought["status"], bought["filled"], bought["side"]]
    position = exchange.fetch_position(BTC)
    facts["position"] = [position["side"], float(position["info"]["size_currency"])]
    facts["contracts_are_quote"] = position["contracts"] == float(position["info"]["size"])
    facts["positions"] = [each["symbol"] for each in exchange.fetch_positions()]
    # ccxt's own word for reduce-only is handed on as it stands, and the gateway knows another
    high = round(bid * 1.008)
    camel = exchange.create_order(BTC, "limit", "sell", 0.01, high, {"reduceOnly": True, "clientOrderId": "ccxt-camel"})
    facts["camel_reduce_only"] = camel["info"]["reduce_only"]
    exchange.cancel_order(camel["id"], BTC)
    sold = exchange.create_order(
        BTC, "market", "sell", 0.03, None, {"reduce_only": True, "clientOrderId": "ccxt-reduce"}
    )
    facts["sold"] = [sold["status"], sold["filled"], sold["info"]["reduce_only"]]
    facts["flat"] = exchange.fetch_positions()
    trades = exchange.fetch_my_trades(BTC)
    facts["trades"] = [[each["order"], each["side"], each["amount"], each["price"]] for each in trades]
    facts["fees"] = all(each["fee"]["cost"] > 0 and each["fee"]["currency"] == "USDC" for each in trades)
    facts["wallet"] = exchange.fetch_balance()["USDC"]["total"]
    exchange.set_leverage(7, BTC)
    facts["leverage"] = exchange.fetch_leverage(BTC)["longLeverage"]
    facts["transfers"] = exchange.fetch_transfers("USDC")


async def heard(waiting: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(waiting, HEARD_WITHIN_S)


async def streams(exchange: Any) -> None:
    ticker = await heard(exchange.watch_ticker(ETH))
    facts["watched_ticker"] = [ticker["symbol"], ticker["bid"] < ticker["ask"]]
    first = await heard(exchange.watch_order_book(ETH))
    nonce = first["nonce"]
    second = await heard(exchange.watch_order_book(ETH))
    facts["watched_book"] = [second["bids"][0][0] < second["asks"][0][0], second["nonce"] > nonce]
    facts["watched_trades"] = [each["symbol"] for each in await heard(exchange.watch_trades(ETH))][:1]
    facts["watched_quotes"] = sorted(await heard(exchange.watch_bids_asks([ETH])))
    rate = await heard(exchange.watch_funding_rate(ETH))
    facts["watched_funding"] = [rate["indexPrice"] > 0, rate["info"]["funding_8h"] is not None, rate["fundingRate"]]
    candles = [list(candle) for candle in await heard(exchange.watch_ohlcv(ETH, "1m"))]  # ccxt writes into its own
    again = await heard(exchange.watch_ohlcv(ETH, "1m"))
    facts["watched_candles"] = [[len(candle) for candle in candles], again[-1][0] >= candles[-1][0], again != candles]
    start, first, high, low, close, volume = again[-1]
    facts["watched_candle"] = [start % 60_000, low <= min(first, close), max(first, close) <= high, volume >= 0]


async def socket(exchange: Any, bid: float) -> None:
    price = round(bid * 0.992)
    facts["socket_wallet"] = (await heard(exchange.fetch_balance_ws()))["USDC"]["total"]
    facts["watched_wallet"] = (await heard(exchange.watch_balance()))["USDC"]
    told = asyncio.ensure_future(exchange.watch_orders(BTC))
    facts["socket_positions"] = await heard(exchange.fetch_positions_ws())  # a round trip: the subscription stands
    named = {"postOnly": True, "clientOrderId": "pro-rest"}
    placed = await heard(exchange.create_order_ws(BTC, "limit", "buy", 0.01, price, named))
    facts["socket_placed"] = [placed["id"], placed["status"]]
    facts["told_open"] = [[each["id"], each["status"], each["clientOrderId"]] for each in await heard(told)]
    edited = await heard(exchange.edit_order_ws(placed["id"], BTC, "limit", "buy", 0.02, price - 1))
    facts["socket_edited"] = [edited["id"] == placed["id"], edited["amount"]]
    facts["socket_open"] = [each["clientOrderId"] for each in await heard(exchange.fetch_open_orders_ws(BTC))]
    facts["socket_cancelled"] = (await heard(exchange.cancel_order_ws(placed["id"], BTC)))["status"]
    balance = asyncio.ensure_future(exchange.watch_balance())
    trades = asyncio.ensure_future(exchange.watch_my_trades(BTC))
    positions = asyncio.ensure_future(exchange.watch_positions([BTC]))
    facts["socket_order"] = (await heard(exchange.fetch_order_ws(placed["id"], BTC)))["status"]
    bought = await heard(exchange.create_order_ws(BTC, "market", "buy", 0.01, None, {"clientOrderId": "pro-market"}))
    facts["socket_bought"] = [bought["status"], bought["filled"]]
    facts["told_trades"] = sorted({each["order"] == bought["id"] for each in await heard(trades)})
    told_balance = (await heard(balance))["USDC"]
    facts["told_balance"] = [told_balance["used"] > 0, told_balance["free"] < facts["watched_wallet"]["free"]]
    facts["told_position"] = [[each["symbol"], each["side"]] for each in await heard(positions)]
    named = {"reduce_only": True, "clientOrderId": "pro-reduce"}
    await heard(exchange.create_order_ws(BTC, "market", "sell", 0.01, None, named))
    # the socket's own safety: armed, and the socket closed without a logout
    facts["armed"] = await heard(exchange.set_cancel_on_disconnect(True))
    facts["armed_read"] = (await heard(exchange.get_cancel_on_disconnect()))["enabled"]
    await heard(exchange.create_order_ws(BTC, "limit", "buy", 0.01, price, {"clientOrderId": "pro-left-behind"}))


async def watched(places: dict[str, str], credentials: Facts, bid: float) -> None:
    exchange = ccxt.pro.coinbaseinternational(credentials | {"cafile": places["ca"]})
    exchange.urls["api"] |= {"rest": places["rest"], "ws": places["streams"], "wsPrivate": places["ws"]}
    try:
        await streams(exchange)
        await socket(exchange, bid)
    finally:
        await exchange.close()


def main(places: dict[str, str]) -> None:
    key = json.loads(Path(places["key"]).read_text(encoding="ascii"))
    credentials = {"apiKey": key["name"], "secret": key["privateKey"], "timeout": 10_000}
    exchange = ccxt.coinbaseinternational(credentials | {"requests_trust_env": True})
    exchange.urls["api"]["rest"] = places["rest"]
    facts["version"] = ccxt.__version__
    bid = asked(exchange)
    unsent(exchange, bid)
    log_in(exchange)
    resting(exchange, bid)
    fills(exchange, bid)
    asyncio.run(watched(places, credentials, bid))
    deadline = time.monotonic() + HEARD_WITHIN_S  # the venue notices the socket's end on its own time
    while exchange.fetch_open_orders(BTC) and time.monotonic() < deadline:
        time.sleep(0.05)
    facts["left_open"] = exchange.fetch_open_orders(BTC)
    print(json.dumps(facts))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
