"""Run inside ccxt's environment, unmodified `ccxt` 4.5.90, class `coinbase`: what it saw, printed.

Arguments: the simulator's plain HTTP face and a key file of the trade key.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import ccxt  # type: ignore[import-not-found]  # lives in an environment of its own

SYMBOL = "BTC/USD:USD"
facts: dict[str, Any] = {}


def main(base_url: str, key_file: str) -> None:
    key = json.loads(Path(key_file).read_text(encoding="ascii"))
    exchange = ccxt.coinbase({"apiKey": key["name"], "secret": key["privateKey"], "timeout": 10_000})
    exchange.urls["api"]["rest"] = base_url
    exchange.session.trust_env = False

    markets = exchange.load_markets()
    # Every contract of the base is a market of its own; the perpetual one is the one without an expiry.
    facts["swap"] = {name: markets[SYMBOL][name] for name in ("id", "type", "contractSize", "active")}
    facts["precision"] = [float(markets[SYMBOL]["precision"]["amount"]), float(markets[SYMBOL]["precision"]["price"])]
    facts["skew_ms"] = abs(exchange.fetch_time() - int(time.time() * 1000))
    candles = exchange.fetch_ohlcv(SYMBOL, "1m", limit=50)
    facts["candles"] = [len(candles) > 10, candles == sorted(candles)]
    book = exchange.fetch_order_book(SYMBOL)
    facts["book"] = book["bids"][0][0] < book["asks"][0][0]
    facts["trades"] = len(exchange.fetch_trades(SYMBOL)) > 0
    facts["ticker"] = exchange.fetch_ticker(SYMBOL)["last"] > 0
    facts["best"] = exchange.fetch_bids_asks([SYMBOL])[SYMBOL]["bid"] > 0
    facts["wallet"] = exchange.fetch_balance({"v3": True})["USD"]["free"]
    facts["v2_wallet"] = exchange.fetch_balance()["USD"]["total"]
    facts["fees"] = exchange.fetch_trading_fees()["BTC/USD"]["taker"] > 0
    facts["portfolios"] = len(exchange.fetch_portfolios())

    price = int(book["bids"][0][0] * 0.9) // 5 * 5
    resting = exchange.create_order(
        SYMBOL, "limit", "buy", 2, price, {"postOnly": True, "leverage": 2, "client_order_id": "ccxt-mine"}
    )
    facts["resting"] = resting["id"]
    facts["open"] = [
        [each["id"], each["clientOrderId"], each["remaining"]] for each in exchange.fetch_open_orders(SYMBOL)
    ]
    facts["order"] = exchange.fetch_order(resting["id"])["status"]
    exchange.edit_order(resting["id"], SYMBOL, "limit", "buy", 1, price)
    facts["edited"] = exchange.fetch_order(resting["id"])["amount"]
    facts["cancel"] = exchange.cancel_order(resting["id"])["id"]
    facts["left_open"] = len(exchange.fetch_open_orders(SYMBOL))

    market = exchange.create_order(SYMBOL, "market", "buy", 3, None, {"client_order_id": "ccxt-market"})
    facts["filled"] = exchange.fetch_order(market["id"])["filled"]
    facts["my_trades"] = sum(each["amount"] for each in exchange.fetch_my_trades(SYMBOL))
    position = exchange.fetch_positions([SYMBOL])[0]
    facts["position"] = [position["side"], position["contracts"]]
    facts["futures"] = exchange.fetch_balance({"type": "swap"})["info"]["balance_summary"]["total_usd_balance"][
        "currency"
    ]
    try:
        exchange.create_order(SYMBOL, "market", "sell", 1, None, {"reduceOnly": True, "clientOrderId": "ccxt-reduce"})
    except ccxt.BaseError as refused:
        facts["reduce_only"] = str(refused)
    facts["closed"] = exchange.close_position(SYMBOL, "sell", {"clientOrderId": "ccxt-close", "size": "3"})["id"]
    try:
        exchange.create_order(SYMBOL, "limit", "buy", 999_999, price)
    except ccxt.BaseError as refused:
        facts["refused"] = type(refused).__name__
    print(json.dumps(facts))


if __name__ == "__main__":
    main(*sys.argv[1:])
