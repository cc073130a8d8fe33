"""Run inside ccxt's environment, unmodified `ccxt` 4.5.90, class `coinbase` of ccxt.pro: what it heard on the US sockets, printed.

Argument: a JSON object with, of the simulator, `http` and `https`, the addresses `ws` and `wss`, the `key` file of the trade key
and the `ca` file. All addresses are entries of ccxt's own `urls`; trust comes by ccxt's `cafile`.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import ccxt  # type: ignore[import-not-found]  # lives in an environment of its own
import ccxt.pro  # type: ignore[import-not-found]
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

BIP, ETP = "BTC/USD:USD", "ETH/USD:USD"
HEARD_WITHIN_S = 20
UNHEARD_FOR_S = 2
UPDATES = 20
Facts = dict[str, Any]
facts: Facts = {}


def opened(places: Facts, *, tls: bool, **changed: Any) -> Any:
    key = json.loads(Path(places["key"]).read_text(encoding="ascii"))
    given = {"apiKey": key["name"], "secret": key["privateKey"], "timeout": 10_000, "cafile": places["ca"]} | changed
    exchange = ccxt.pro.coinbase(given)
    exchange.urls["api"] |= {"rest": places["https" if tls else "http"], "ws": places["wss" if tls else "ws"]}
    return exchange


async def heard(waiting: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(waiting, HEARD_WITHIN_S)


async def markets(exchange: Any) -> Facts:
    told: Facts = {}
    ticker = await heard(exchange.watch_ticker(ETP))
    told["ticker"] = [
        ticker["symbol"],
        ticker["bid"] < ticker["ask"],
        ticker["low"] <= ticker["last"] <= ticker["high"],
    ]
    batch = await heard(exchange.watch_tickers([BIP, ETP]))
    told["tickers"] = [sorted(batch), {each["bid"] for each in batch.values()} == {None}]
    trades = await heard(exchange.watch_trades(ETP))
    times = [each["timestamp"] for each in trades]
    told["trades"] = [len(trades) > 10, {each["symbol"] for each in trades} == {ETP}, times == sorted(times)]
    told["sides"] = sorted({each["side"] for each in trades})
    more = await heard(exchange.watch_trades(ETP))
    told["more_trades"] = [len(more) > 0, not {each["id"] for each in more} & {each["id"] for each in trades}]
    book = await heard(exchange.watch_order_book_for_symbols([BIP, ETP]))
    told["either_book"] = book["symbol"] in {BIP, ETP} and book["bids"][0][0] < book["asks"][0][0]
    return told


async def rebuilt(exchange: Any) -> Facts:
    """The book ccxt keeps, once it was told for a while and nothing of it can come any more."""
    for _ in range(UPDATES):
        await heard(exchange.watch_order_book(ETP))
    kept = exchange.orderbooks[ETP]  # ccxt writes into this one until its unsubscribe is acknowledged
    await heard(exchange.un_watch_order_book(ETP))
    return {side: [[f"{price}", f"{size}"] for price, size in kept[side]] for side in ("bids", "asks")}


async def orders(exchange: Any, word: str) -> Facts:
    told: Facts = {}
    book = await heard(exchange.fetch_order_book(BIP))
    far, high = (int(book["bids"][0][0] * share) // 5 * 5 for share in (0.99, 1.01))
    resting, taken = f"{word}-resting", f"{word}-taken"

    async def made(named: str, call: Callable[[], Awaitable[Any]], status: str) -> Facts:
        """What was told of an order when it had come to `status`."""
        waiting = asyncio.ensure_future(exchange.watch_orders(BIP))
        await asyncio.sleep(0)
        await heard(call())
        while True:
            for each in await heard(waiting):
                if each["clientOrderId"] == named and each["status"] == status:
                    return dict(each)
            waiting = asyncio.ensure_future(exchange.watch_orders(BIP))

    async def limit(named: str, price: int) -> Any:
        return await exchange.create_order(BIP, "limit", "buy", 3, price, {"client_order_id": named})

    first = await made(resting, lambda: limit(resting, far), "open")
    told["open"] = [first["side"], first["type"], first["price"] == far, first["filled"], first["remaining"]]
    ended = await made(resting, lambda: exchange.cancel_order(first["id"]), "canceled")
    told["canceled"] = [ended["id"] == first["id"], ended["filled"], ended["remaining"]]
    filled = await made(taken, lambda: limit(taken, high), "closed")
    told["filled"] = [filled["filled"], filled["remaining"], filled["average"] > 0, filled["info"]["status"]]
    sold = await heard(exchange.create_order(BIP, "market", "sell", 3, None, {"client_order_id": f"{word}-sold"}))
    told["ids"] = [first["id"], filled["id"], sold["id"]]
    return told


async def forged(places: Facts) -> Facts:
    """A key that is not what it says it is: what the caller was told, and what the event loop was told instead."""
    secret = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    dropped: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: dropped.append(repr(context.get("exception"))))
    true = opened(places, tls=True)
    exchange = opened(places, tls=True, secret=secret.decode("ascii"))
    told = "heard"
    try:
        exchange.set_markets(await heard(true.load_markets()))  # with keys, the markets are asked for with a token
        await asyncio.wait_for(exchange.watch_orders(BIP), UNHEARD_FOR_S)
    except (ccxt.BaseError, TimeoutError) as refused:
        told = type(refused).__name__
    finally:
        await true.close()
        await exchange.close()
    return {"caller": told, "dropped": dropped}


async def run(places: Facts) -> None:
    facts["version"] = ccxt.__version__
    facts["classes"] = [name for name in ("coinbase", "coinbaseadvanced") if hasattr(ccxt.pro, name)]
    for tls in (False, True):
        told: Facts = {}
        stories: tuple[tuple[str, Callable[[Any], Awaitable[Facts]]], ...] = (
            ("markets", markets),
            ("book", rebuilt),
            ("orders", lambda exchange, word="wss" if tls else "ws": orders(exchange, word)),  # type: ignore[misc]
        )
        for name, story in stories:  # a connection each
            exchange = opened(places, tls=tls)
            try:
                told[name] = await story(exchange)
            finally:
                await exchange.close()
        facts["wss" if tls else "ws"] = told
    facts["forged"] = await forged(places)
    print(json.dumps(facts))


if __name__ == "__main__":
    asyncio.run(run(json.loads(sys.argv[1])))
