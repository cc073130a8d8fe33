"""ccxt's own upkeep: its Coinbase socket class and its sorted order book, in floats as it keeps them."""

import asyncio
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import ccxt.pro  # type: ignore[import-not-found]  # lives in an environment of its own
from book_loop import BAND_BPS, serve  # type: ignore[import-not-found]  # beside this file, without the project's packages
from ccxt.async_support.base.ws.client import json_parser  # type: ignore[import-not-found]  # as above

CONTRACT = 0.01


class Client:
    """What ccxt's handlers want of a connection: nobody waits for a future here."""

    subscriptions: dict[str, Any] = {}  # noqa: RUF012 - never written

    def resolve(self, result: object, message_hash: str) -> None: ...


async def main() -> None:
    exchange, client = ccxt.pro.coinbase(), Client()

    def take(body: bytes) -> None:
        exchange.handle_message(client, json_parser.loads(body))

    def look() -> tuple[object, object, object]:
        (book,) = exchange.orderbooks.values()
        bid, ask = book["bids"][0][0], book["asks"][0][0]
        reach, value = (bid + ask) / 2 * (1 + BAND_BPS / 10_000), 0.0
        for price, size in book["asks"]:
            if price > reach:
                break
            value += price * size
        return bid, ask, value * CONTRACT

    serve(take, look)
    await exchange.close()


if __name__ == "__main__":
    asyncio.run(main())
