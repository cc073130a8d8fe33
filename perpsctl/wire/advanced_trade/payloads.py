"""Which payload is which struct: by the name of the file it is kept in.

A name is a known prefix and a variant (`create-failure-insufficient-fund` is a `create`); the longest known prefix wins.
Names of the global venue begin with `http_`, `rpc_`, `ws_` or `req_`. What has no struct (retired INTX, converts, payment
methods, unknown names) is read as plain values only.
"""

from typing import Final

import msgspec

from perpsctl.wire.advanced_trade import accounts, faults, futures, market, orders, socket
from perpsctl.wire.guard import WireError, check, decode, decoder
from perpsctl.wire.venues import of_global_venue

__all__ = ["PAYLOADS", "known_prefix", "of_global_venue", "payload_type", "read_payload"]

PAYLOADS: Final[dict[str, type[msgspec.Struct]]] = {
    # market
    "server-time": market.ServerTime,
    "time": market.ServerTime,
    "product": market.ProductBody,
    "products": market.ProductsReply,
    "products-list": market.ProductsReply,
    "product-list": market.ProductsReply,
    "product-book": market.ProductBookReply,
    "best-bid-ask": market.BestBidAskReply,
    "candles": market.CandlesReply,
    "ticker": market.TickerTradesReply,
    "ticker-trades": market.TickerTradesReply,
    "market-trades": market.TickerTradesReply,
    # accounts
    "key-permissions": accounts.KeyPermissions,
    "account": accounts.AccountBody,
    "account-get": accounts.AccountReply,
    "accounts": accounts.AccountsReply,
    "accounts-list": accounts.AccountsReply,
    "portfolios": accounts.PortfoliosReply,
    "portfolios-list": accounts.PortfoliosReply,
    "portfolio": accounts.PortfolioReply,
    "portfolio-edit": accounts.PortfolioReply,
    "portfolio-create": accounts.PortfolioReply,
    "portfolio-breakdown": accounts.PortfolioBreakdownReply,
    "move-funds": accounts.MoveFundsReply,
    "move-funds-request": accounts.MoveFundsRequest,
    "transaction-summary": accounts.TransactionSummary,
    # orders
    "create": orders.CreateOrderReply,
    "create-request": orders.CreateOrderRequest,
    "close-position": orders.CreateOrderReply,
    "close-position-request": orders.ClosePositionRequest,
    "preview": orders.PreviewReply,
    "preview-request": orders.PreviewOrderRequest,
    "cancel": orders.CancelReply,
    "cancel-request": orders.CancelRequest,
    "batch-cancel": orders.CancelReply,
    "edit": orders.EditOrderReply,
    "edit-request": orders.EditOrderRequest,
    "edit-preview": orders.PreviewReply,
    "order-get": orders.OrderReply,
    "order": orders.OrderReply,
    "orders": orders.OrdersReply,
    "orders-list": orders.OrdersReply,
    "fills": orders.FillsReply,
    # futures account
    "cfm-balance-summary": futures.BalanceSummaryReply,
    "cfm-positions": futures.FuturesPositionsReply,
    "cfm-position": futures.FuturesPositionReply,
    "cfm-sweeps": futures.SweepsReply,
    "cfm-sweep": futures.SuccessReply,
    "cfm-sweeps-schedule": futures.SuccessReply,
    "cfm-sweeps-cancel": futures.SuccessReply,
    "cfm-margin-setting": futures.MarginSetting,
    "cfm-intraday-margin-setting": futures.MarginSetting,
    "cfm-current-margin-window": futures.MarginWindowReply,
    "cfm-intraday-current-margin-window": futures.MarginWindowReply,
    # errors
    "error": faults.RecordedError,
    # socket
    "ws-subscribe": socket.SubscribeRequest,
    "ws-unsubscribe": socket.SubscribeRequest,
    "ws-subscriptions": socket.SubscriptionsMessage,
    "ws-heartbeats": socket.HeartbeatsMessage,
    "ws-ticker": socket.TickerMessage,
    "ws-l2": socket.BookMessage,
    "ws-level2": socket.BookMessage,
    "ws-market-trades": socket.TradesMessage,
    "ws-candles": socket.CandlesMessage,
    "ws-status": socket.StatusMessage,
    "ws-user": socket.UserMessage,
    "ws-futures-balance-summary": socket.BalanceMessage,
    "ws-error": socket.SocketError,
}

# The same payload bare and in its envelope; samples hold either (a list's element against the reply of a read by id).
_OTHER_FORM: Final[dict[type[msgspec.Struct], tuple[str, type[msgspec.Struct]]]] = {
    market.ProductBody: ("products", market.ProductsReply),
    accounts.AccountBody: ("account", accounts.AccountReply),
}
_BARE_FORM: Final[dict[type[msgspec.Struct], tuple[str, type[msgspec.Struct]]]] = {
    accounts.AccountReply: ("account", accounts.AccountBody),
    accounts.PortfolioReply: ("portfolio", accounts.PortfolioBody),
    accounts.PortfolioBreakdownReply: ("breakdown", accounts.Breakdown),
    orders.OrderReply: ("order", orders.OrderBody),
    futures.FuturesPositionReply: ("position", futures.FuturesPositionBody),
    futures.BalanceSummaryReply: ("balance_summary", futures.BalanceSummary),
}


def known_prefix(stem: str) -> str | None:
    """The longest known prefix of a payload's name, whole words between dashes; None when there is none."""
    words = stem.split("-")
    names = ("-".join(words[:length]) for length in range(len(words), 0, -1))
    return next((name for name in names if name in PAYLOADS), None)


def payload_type(stem: str, body: bytes) -> type[msgspec.Struct] | None:
    """The struct of the payload of this name, None when there is none; WireError when the body may not be looked at."""
    prefix = known_prefix(stem)
    if prefix is None:
        return None
    named = PAYLOADS[prefix]
    if named not in _OTHER_FORM and named not in _BARE_FORM:
        return named
    check(body)
    try:
        keys = decoder(dict[str, msgspec.Raw]).decode(body).keys()
    except msgspec.DecodeError as refused:
        raise WireError(f"not a JSON object: {refused}") from None
    if named in _OTHER_FORM and _OTHER_FORM[named][0] in keys:
        return _OTHER_FORM[named][1]
    if named in _BARE_FORM and keys and _BARE_FORM[named][0] not in keys:
        return _BARE_FORM[named][1]
    return named


def read_payload(stem: str, body: bytes) -> msgspec.Struct | None:
    """The payload of this name; None when it has no struct and is to be read by `guard.plain_values`."""
    found = payload_type(stem, body)
    return None if found is None else decode(body, found)
