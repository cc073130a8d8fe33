"""Which path is which operation, what right it needs, and who answers it (reference 4 to 8; SDK calls 1.2, 3.2).

Operation names are what faults are armed for. Paths under `/market/` are the public twins of the signed ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import unquote

import msgspec

from perpsctl.simulator.exchange import Exchange
from perpsctl.simulator.faces import us_account, us_market, us_orders, us_v2
from perpsctl.simulator.faces.errors import Forbidden
from perpsctl.simulator.faces.messages import Query, Request
from perpsctl.simulator.faces.strict_json import read_body
from perpsctl.simulator.identity import KeyRecord
from perpsctl.wire.advanced_trade import accounts, futures, orders

V3 = "/api/v3/brokerage"
Answer = msgspec.Struct | dict[str, Any]


class Needs(StrEnum):
    """What a caller must be allowed."""

    NOTHING = "nothing"
    VIEW = "view"
    TRADE = "trade"
    TRANSFER = "transfer"


@dataclass(slots=True, kw_only=True)
class Switches:
    """What sources disagree on or leave open; the defaults are the likelier reading."""

    open_with_other_statuses: bool = False  # docs of earlier years refuse it (reference 6.7)
    close_amount_ignored: bool = False  # ccxt sends `amount` for `size`: 400, or the whole position is closed
    html_429: bool = False  # production has answered so
    portfolio_at_once: bool = True  # the gateway tells `user.portfolio` on subscribe; clients of Deribit rely on it
    allowlist: tuple[str, ...] = ()  # networks a key may be used from; empty: all


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request on its way to an answer."""

    exchange: Exchange
    request: Request
    query: Query
    ids: tuple[str, ...]
    key: KeyRecord | None
    switches: Switches

    def caller(self) -> KeyRecord:
        """The key behind a signed request."""
        if self.key is None:
            raise Forbidden("this path needs a key")
        return self.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method and path. `{}` in the path stands for one id."""

    method: str
    path: str
    operation: str
    needs: Needs
    answer: Callable[[Call], Answer]


def _get(path: str, operation: str, needs: Needs, answer: Callable[[Call], Answer]) -> Route:
    return Route(method="GET", path=path, operation=operation, needs=needs, answer=answer)


def _post(path: str, operation: str, needs: Needs, answer: Callable[[Call], Answer]) -> Route:
    return Route(method="POST", path=path, operation=operation, needs=needs, answer=answer)


def _delete_portfolio(call: Call) -> Answer:
    call.exchange.delete_portfolio(call.ids[0])
    return {}


def _set_margin_setting(call: Call) -> Answer:
    us_account.set_margin_setting(call.exchange, read_body(call.request.body, futures.MarginSetting))
    return {}


def _close(call: Call) -> Answer:
    ignored = frozenset({"amount"}) if call.switches.close_amount_ignored else frozenset[str]()
    return us_orders.close_position(
        call.exchange, read_body(call.request.body, orders.ClosePositionRequest, ignored=ignored)
    )


def _retired(_: Call) -> Answer:
    """INTX ended on 2026-10-01; a portfolio of another kind was always answered so (coinbase-advanced-py#125)."""
    raise Forbidden("User does not have the correct permissions")


def _not_a_futures_matter(_: Call) -> Answer:
    raise Forbidden("converts and payment methods are not offered by this exchange")


def _market_routes(prefix: str, needs: Needs) -> tuple[Route, ...]:
    return (
        _get(f"{prefix}/products", "list_products", needs, lambda c: us_market.products(c.exchange, c.query)),
        _get(
            f"{prefix}/products/{{}}",
            "get_product",
            needs,
            lambda c: us_market.product_body(c.exchange.product(c.ids[0])),
        ),
        _get(
            f"{prefix}/product_book", "get_product_book", needs, lambda c: us_market.product_book(c.exchange, c.query)
        ),
        _get(
            f"{prefix}/products/{{}}/candles",
            "get_candles",
            needs,
            lambda c: us_market.candles(c.exchange, c.ids[0], c.query),
        ),
        _get(
            f"{prefix}/products/{{}}/ticker",
            "get_market_trades",
            needs,
            lambda c: us_market.ticker(c.exchange, c.ids[0], c.query),
        ),
    )


_MARKET = (
    _get(f"{V3}/time", "get_time", Needs.NOTHING, lambda c: us_market.server_time(c.exchange)),
    *_market_routes(V3, Needs.VIEW),
    *_market_routes(f"{V3}/market", Needs.NOTHING),
    _get(f"{V3}/best_bid_ask", "get_best_bid_ask", Needs.VIEW, lambda c: us_market.best_bid_ask(c.exchange, c.query)),
)

_ACCOUNT = (
    _get(
        f"{V3}/key_permissions",
        "get_key_permissions",
        Needs.VIEW,
        lambda c: us_account.key_permissions(c.exchange, c.caller()),
    ),
    _get(f"{V3}/accounts", "list_accounts", Needs.VIEW, lambda c: us_account.list_accounts(c.exchange, c.query)),
    _get(f"{V3}/accounts/{{}}", "get_account", Needs.VIEW, lambda c: us_account.get_account(c.exchange, c.ids[0])),
    _get(f"{V3}/portfolios", "list_portfolios", Needs.VIEW, lambda c: us_account.list_portfolios(c.exchange, c.query)),
    _post(
        f"{V3}/portfolios",
        "create_portfolio",
        Needs.TRADE,
        lambda c: us_account.create_portfolio(c.exchange, read_body(c.request.body, accounts.PortfolioRequest)),
    ),
    _post(
        f"{V3}/portfolios/move_funds",
        "move_funds",
        Needs.TRANSFER,
        lambda c: us_account.move_funds(c.exchange, read_body(c.request.body, accounts.MoveFundsRequest)),
    ),
    _get(
        f"{V3}/portfolios/{{}}",
        "get_portfolio",
        Needs.VIEW,
        lambda c: us_account.portfolio_breakdown(c.exchange, c.ids[0], c.caller()),
    ),
    Route(
        method="PUT",
        path=f"{V3}/portfolios/{{}}",
        operation="edit_portfolio",
        needs=Needs.TRADE,
        answer=lambda c: us_account.rename_portfolio(
            c.exchange, c.ids[0], read_body(c.request.body, accounts.PortfolioRequest)
        ),
    ),
    Route(
        method="DELETE",
        path=f"{V3}/portfolios/{{}}",
        operation="delete_portfolio",
        needs=Needs.TRADE,
        answer=_delete_portfolio,
    ),
    _get(
        f"{V3}/transaction_summary",
        "get_transaction_summary",
        Needs.VIEW,
        lambda c: us_account.transaction_summary(c.exchange, c.query),
    ),
)

_ORDERS = (
    _post(
        f"{V3}/orders",
        "create_order",
        Needs.TRADE,
        lambda c: us_orders.create(c.exchange, read_body(c.request.body, orders.CreateOrderRequest)),
    ),
    _post(
        f"{V3}/orders/preview",
        "preview_order",
        Needs.TRADE,
        lambda c: us_orders.preview(c.exchange, read_body(c.request.body, orders.PreviewOrderRequest)),
    ),
    _post(
        f"{V3}/orders/edit",
        "edit_order",
        Needs.TRADE,
        lambda c: us_orders.edit(c.exchange, read_body(c.request.body, orders.EditOrderRequest)),
    ),
    _post(
        f"{V3}/orders/edit_preview",
        "preview_edit_order",
        Needs.TRADE,
        lambda c: us_orders.edit_preview(c.exchange, read_body(c.request.body, orders.EditOrderRequest)),
    ),
    _post(
        f"{V3}/orders/batch_cancel",
        "cancel_orders",
        Needs.TRADE,
        lambda c: us_orders.cancel(c.exchange, read_body(c.request.body, orders.CancelRequest)),
    ),
    _post(f"{V3}/orders/close_position", "close_position", Needs.TRADE, _close),
    _get(
        f"{V3}/orders/historical/batch",
        "list_orders",
        Needs.VIEW,
        lambda c: us_orders.list_orders(c.exchange, c.query, open_combines=c.switches.open_with_other_statuses),
    ),
    _get(
        f"{V3}/orders/historical/fills", "list_fills", Needs.VIEW, lambda c: us_orders.list_fills(c.exchange, c.query)
    ),
    _get(
        f"{V3}/orders/historical/{{}}",
        "get_order",
        Needs.VIEW,
        lambda c: us_orders.get_order(c.exchange, c.ids[0]),
    ),
)

_FUTURES = (
    _get(
        f"{V3}/cfm/balance_summary",
        "get_balance_summary",
        Needs.VIEW,
        lambda c: us_account.balance_summary(c.exchange),
    ),
    _get(f"{V3}/cfm/positions", "list_positions", Needs.VIEW, lambda c: us_account.list_positions(c.exchange)),
    _get(
        f"{V3}/cfm/positions/{{}}",
        "get_position",
        Needs.VIEW,
        lambda c: us_account.get_position(c.exchange, c.ids[0]),
    ),
    _get(f"{V3}/cfm/sweeps", "list_sweeps", Needs.VIEW, lambda c: us_account.list_sweeps(c.exchange)),
    _post(
        f"{V3}/cfm/sweeps/schedule",
        "schedule_sweep",
        Needs.TRADE,
        lambda c: us_account.schedule_sweep(c.exchange, read_body(c.request.body, futures.ScheduleSweepRequest)),
    ),
    Route(
        method="DELETE",
        path=f"{V3}/cfm/sweeps",
        operation="cancel_sweep",
        needs=Needs.TRADE,
        answer=lambda c: futures.SuccessReply(success=c.exchange.cancel_sweep()),
    ),
    _get(
        f"{V3}/cfm/intraday/margin_setting",
        "get_margin_setting",
        Needs.VIEW,
        lambda c: futures.MarginSetting(setting=c.exchange.margin_setting()),
    ),
    _post(f"{V3}/cfm/intraday/margin_setting", "set_margin_setting", Needs.TRADE, _set_margin_setting),
    _get(
        f"{V3}/cfm/intraday/current_margin_window",
        "get_margin_window",
        Needs.VIEW,
        lambda c: us_account.margin_window(c.exchange, c.query),
    ),
)

_REFUSED = (
    _post(f"{V3}/intx/allocate", "intx", Needs.TRANSFER, _retired),
    _get(f"{V3}/intx/portfolio/{{}}", "intx", Needs.VIEW, _retired),
    _get(f"{V3}/intx/positions/{{}}", "intx", Needs.VIEW, _retired),
    _get(f"{V3}/intx/positions/{{}}/{{}}", "intx", Needs.VIEW, _retired),
    _get(f"{V3}/intx/balances/{{}}", "intx", Needs.VIEW, _retired),
    _post(f"{V3}/intx/multi_asset_collateral", "intx", Needs.TRADE, _retired),
    _post(f"{V3}/convert/quote", "convert", Needs.TRADE, _not_a_futures_matter),
    _get(f"{V3}/convert/trade/{{}}", "convert", Needs.VIEW, _not_a_futures_matter),
    _post(f"{V3}/convert/trade/{{}}", "convert", Needs.TRADE, _not_a_futures_matter),
    _get(f"{V3}/payment_methods", "payment_methods", Needs.VIEW, _not_a_futures_matter),
    _get(f"{V3}/payment_methods/{{}}", "payment_methods", Needs.VIEW, _not_a_futures_matter),
)

_V2 = (
    _get("/v2/time", "get_v2", Needs.NOTHING, lambda c: us_v2.time(c.exchange)),
    _get("/v2/currencies", "get_v2", Needs.NOTHING, lambda _: us_v2.currencies()),
    _get("/v2/currencies/crypto", "get_v2", Needs.NOTHING, lambda c: us_v2.crypto(c.exchange)),
    _get("/v2/exchange-rates", "get_v2", Needs.NOTHING, lambda c: us_v2.rates(c.exchange)),
    _get("/v2/accounts", "get_v2", Needs.VIEW, lambda c: us_v2.accounts(c.exchange)),
)

ROUTES = (*_MARKET, *_ACCOUNT, *_ORDERS, *_FUTURES, *_REFUSED, *_V2)

_EXACT = {(route.method, route.path): route for route in ROUTES if "{}" not in route.path}
_WITH_IDS = tuple((route, tuple(route.path.split("/"))) for route in ROUTES if "{}" in route.path)


def find(method: str, path: str) -> tuple[Route, tuple[str, ...]] | None:
    """The route of a request and the ids in its path; fixed paths win over ids."""
    route = _EXACT.get((method, path))
    if route is not None:
        return route, ()
    parts = path.split("/")
    for candidate, template in _WITH_IDS:
        if candidate.method != method or len(template) != len(parts):
            continue
        pairs = tuple(zip(template, parts, strict=True))
        if all(wanted in ("{}", got) for wanted, got in pairs):
            return candidate, tuple(unquote(got) for wanted, got in pairs if wanted == "{}")
    return None
