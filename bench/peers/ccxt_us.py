"""ccxt, unmodified, in its own environment."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import ccxt  # type: ignore[import-not-found]  # lives in an environment of its own
from loop import serve  # type: ignore[import-not-found]  # beside this file, without the project's packages


def main(address: str, key_file: str) -> None:
    key = json.loads(Path(key_file).read_text(encoding="ascii"))
    exchange = ccxt.coinbase(
        {"apiKey": key["name"], "secret": key["privateKey"], "timeout": 10_000, "enableRateLimit": False}
    )
    exchange.urls["api"]["rest"] = address
    exchange.session.trust_env = False
    exchange.load_markets()

    def create(name: str) -> None:
        order = exchange.create_order(
            "BTC/USD:USD", "limit", "buy", 1, 50000, {"postOnly": True, "client_order_id": name}
        )
        if not order["id"]:
            raise SystemExit("not accepted")

    serve(create)


if __name__ == "__main__":
    main(*sys.argv[1:])
