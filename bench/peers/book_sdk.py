"""The official SDK's own reading of a message, and the book its users are left to keep: dicts of Decimals.

The SDK keeps no book. What is added here is the plainest exact one: best by max and min, the band by a sum.
"""

import json
import sys
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from book_loop import BAND_BPS, serve  # type: ignore[import-not-found]  # beside this file, without the project's packages
from coinbase.websocket import WebsocketResponse  # type: ignore[import-not-found]  # lives in an environment of its own

CONTRACT = Decimal("0.01")
WIDTH = Decimal(BAND_BPS) / 10_000


def main() -> None:
    bids: dict[Decimal, Decimal] = {}
    asks: dict[Decimal, Decimal] = {}

    def take(body: bytes) -> None:
        for event in WebsocketResponse(json.loads(body)).events:
            if event.type == "snapshot":
                bids.clear()
                asks.clear()
            for update in event.updates:
                side, price, size = (
                    bids if update.side == "bid" else asks,
                    Decimal(update.price_level),
                    Decimal(update.new_quantity),
                )
                if size:
                    side[price] = size
                else:
                    side.pop(price, None)

    def look() -> tuple[object, object, object]:
        bid, ask = max(bids), min(asks)
        mid = (bid + ask) / 2
        reach = mid + mid * WIDTH
        return bid, ask, sum(price * size for price, size in asks.items() if price <= reach) * CONTRACT

    serve(take, look)


if __name__ == "__main__":
    main()
