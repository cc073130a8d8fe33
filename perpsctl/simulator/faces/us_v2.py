"""The few Coinbase App (v2) reads that ccxt needs on the same port: time, currencies, rates, wallets (SDK calls 3.2, 3.3)."""

from typing import Any

from perpsctl.simulator.exchange import Exchange
from perpsctl.simulator.faces.spelling import plain, stamp

Body = dict[str, Any]


def time(exchange: Exchange) -> Body:
    """GET /v2/time."""
    now = exchange.now()
    return {"data": {"iso": stamp(now), "epoch": int(now.timestamp())}}


def currencies() -> Body:
    """GET /v2/currencies: fiat."""
    return {"data": [{"id": "USD", "name": "US Dollar", "min_size": "0.01"}]}


def crypto(exchange: Exchange) -> Body:
    """GET /v2/currencies/crypto: every coin some product is about."""
    codes = sorted({each.base_currency_id for each in exchange.products() if each.base_currency_id})
    return {
        "data": [
            {"code": code, "name": code, "type": "crypto", "exponent": 8, "asset_id": code.lower(), "sort_index": index}
            for index, code in enumerate(codes)
        ]
    }


def rates(exchange: Exchange) -> Body:
    """GET /v2/exchange-rates: one dollar in each coin with a spot price."""
    spot = exchange.products(product_type="SPOT")
    listed = {each.base_currency_id: plain(1 / each.price) for each in spot if each.price > 0}
    return {"data": {"currency": "USD", "rates": {"USD": "1", **listed}}}


def accounts(exchange: Exchange) -> Body:
    """GET /v2/accounts: the wallets in the older shape."""
    return {
        "pagination": {"ending_before": None, "starting_after": None, "limit": 250, "order": "desc", "next_uri": None},
        "data": [
            {
                "id": each.uuid,
                "name": each.name,
                "primary": each.default,
                "type": "fiat" if each.currency == "USD" else "wallet",
                "currency": {"code": each.currency, "name": each.currency},
                "balance": {"amount": plain(each.available + each.hold), "currency": each.currency},
                "created_at": stamp(each.created_at),
                "updated_at": stamp(each.updated_at),
            }
            for each in exchange.accounts()
        ],
    }
