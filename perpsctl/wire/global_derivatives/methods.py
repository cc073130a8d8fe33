"""The methods an operator of perps needs, the official SDK's client and ccxt call for them: what each takes and answers.

Sources: reference 8 to 14; coinbase-advanced-py 2.0.0rc1 (`coinbase.deribit`); ccxt 4.5.90 `coinbaseinternational`.
Methods of the allow-list that concern options, combos, volatility, wallets and moves between subaccounts are not here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from perpsctl.wire.global_derivatives import accounts, market, params, trading
from perpsctl.wire.global_derivatives.common import Body


class Purse(StrEnum):
    """Which of the account's budgets a call is paid from (reference 6)."""

    PLAIN = "plain"
    MATCHING = "matching"
    CANCEL_ALL = "cancel_all"


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodFact:
    """One method. `write` decides how a refusal is read; `result` is a type for `rpc.decode_reply`."""

    name: str
    params: type[Body]
    result: Any
    write: bool
    purse: Purse

    @property
    def private(self) -> bool:
        return self.name.startswith("private/")


_Orders = tuple[trading.Order, ...]

_READS: Final[dict[str, tuple[type[Body], Any]]] = {
    # connection
    "public/auth": (params.AuthParams, accounts.Login),
    "public/test": (params.HelloParams, market.Version),
    "public/hello": (params.HelloParams, market.Version),
    "public/get_time": (params.NoParams, int),
    "public/status": (params.NoParams, market.PlatformStatus),
    "public/set_heartbeat": (params.HeartbeatParams, str),
    "public/disable_heartbeat": (params.NoParams, str),
    "public/subscribe": (params.ChannelsParams, tuple[str, ...]),
    "public/unsubscribe": (params.ChannelsParams, tuple[str, ...]),
    "public/unsubscribe_all": (params.NoParams, str),
    "private/subscribe": (params.ChannelsParams, tuple[str, ...]),
    "private/unsubscribe": (params.ChannelsParams, tuple[str, ...]),
    "private/unsubscribe_all": (params.NoParams, str),
    "private/logout": (params.LogoutParams, str),
    "private/enable_cancel_on_disconnect": (params.ScopeParams, str),
    "private/disable_cancel_on_disconnect": (params.ScopeParams, str),
    "private/get_cancel_on_disconnect": (params.ScopeParams, accounts.CancelOnDisconnect),
    # market
    "public/get_instruments": (params.InstrumentsParams, tuple[market.Instrument, ...]),
    "public/get_instrument": (params.InstrumentParams, market.Instrument),
    "public/get_contract_size": (params.InstrumentParams, market.ContractSize),
    "public/get_currencies": (params.NoParams, tuple[market.Currency, ...]),
    "public/ticker": (params.InstrumentParams, market.Ticker),
    "public/tickers_by_currency": (params.InstrumentsParams, tuple[market.OrderBook, ...]),
    "public/get_order_book": (params.InstrumentParams, market.OrderBook),
    "public/get_book_summary_by_currency": (params.InstrumentsParams, tuple[market.BookSummary, ...]),
    "public/get_book_summary_by_instrument": (params.InstrumentParams, tuple[market.BookSummary, ...]),
    "public/get_last_trades_by_instrument": (params.TradesParams, market.TapeTrades),
    "public/get_last_trades_by_instrument_and_time": (params.TradesParams, market.TapeTrades),
    "public/get_last_trades_by_currency": (params.TradesParams, market.TapeTrades),
    "public/get_last_trades_by_currency_and_time": (params.TradesParams, market.TapeTrades),
    "public/get_tradingview_chart_data": (params.PeriodParams, market.ChartData),
    "public/get_funding_rate_history": (params.PeriodParams, tuple[market.FundingRow, ...]),
    "public/get_funding_rate_value": (params.PeriodParams, Decimal),
    "public/get_funding_chart_data": (params.PeriodParams, market.FundingChart),
    "public/get_mark_price_history": (params.PeriodParams, tuple[tuple[int, Decimal], ...]),
    "public/get_index_price": (params.IndexParams, market.IndexPrice),
    # account
    "private/get_account_summary": (params.SummaryParams, accounts.AccountSummary),
    "private/get_account_summaries": (params.SummaryParams, accounts.AccountSummaries),
    "private/get_subaccounts": (params.SubaccountsParams, tuple[accounts.Subaccount, ...]),
    "private/get_positions": (params.PositionsParams, tuple[accounts.Position, ...]),
    "private/get_position": (params.PositionsParams, accounts.Position),
    "private/get_leverage": (params.LeverageParams, accounts.Leverage),
    "private/get_user_locks": (params.NoParams, tuple[accounts.UserLock, ...]),
    "private/get_transaction_log": (params.LogParams, accounts.TransactionLog),
    "private/get_settlement_history_by_instrument": (params.LogParams, accounts.Settlements),
    "private/get_settlement_history_by_currency": (params.LogParams, accounts.Settlements),
    # orders
    "private/get_margins": (params.MarginsParams, trading.Margins),
    "private/get_max_order_size": (params.MarginsParams, trading.MaxOrderSize),
    "private/get_order_state": (params.OrderIdParams, trading.Order),
    "private/get_order_state_by_label": (params.OrdersParams, _Orders),
    "private/get_open_orders": (params.OrdersParams, _Orders),
    "private/get_open_orders_by_currency": (params.OrdersParams, _Orders),
    "private/get_open_orders_by_instrument": (params.OrdersParams, _Orders),
    "private/get_open_orders_by_label": (params.OrdersParams, _Orders),
    "private/get_order_history_by_instrument": (params.OrdersParams, _Orders),
    "private/get_order_history_by_currency": (params.OrdersParams, _Orders),
    "private/get_trigger_order_history": (params.OrdersParams, trading.TriggerHistory),
    "private/get_user_trades_by_order": (params.OrderIdParams, tuple[trading.UserTrade, ...]),
    "private/get_user_trades_by_instrument": (params.TradesParams, trading.UserTrades),
    "private/get_user_trades_by_instrument_and_time": (params.TradesParams, trading.UserTrades),
    "private/get_user_trades_by_currency": (params.TradesParams, trading.UserTrades),
    "private/get_user_trades_by_currency_and_time": (params.TradesParams, trading.UserTrades),
}
_WRITES: Final[dict[str, tuple[type[Body], Any, Purse]]] = {
    "private/buy": (params.OrderParams, trading.OrderAndTrades, Purse.MATCHING),
    "private/sell": (params.OrderParams, trading.OrderAndTrades, Purse.MATCHING),
    "private/edit": (params.EditParams, trading.OrderAndTrades, Purse.MATCHING),
    "private/edit_by_label": (params.EditParams, trading.OrderAndTrades, Purse.MATCHING),
    "private/close_position": (params.ClosePositionParams, trading.OrderAndTrades, Purse.MATCHING),
    "private/cancel": (params.OrderIdParams, trading.Order, Purse.MATCHING),
    "private/cancel_by_label": (params.CancelManyParams, int, Purse.CANCEL_ALL),
    "private/cancel_all": (params.CancelManyParams, int, Purse.CANCEL_ALL),
    "private/cancel_all_by_instrument": (params.CancelManyParams, int, Purse.CANCEL_ALL),
    "private/cancel_all_by_currency": (params.CancelManyParams, int, Purse.CANCEL_ALL),
    "private/cancel_all_by_currency_pair": (params.CancelManyParams, int, Purse.CANCEL_ALL),
    "private/cancel_all_by_kind_or_type": (params.CancelManyParams, int, Purse.CANCEL_ALL),
    "private/set_leverage": (params.LeverageParams, Decimal, Purse.PLAIN),
    "private/change_margin_model": (params.MarginModelParams, tuple[accounts.MarginModelChange, ...], Purse.PLAIN),
}


def _facts() -> Iterator[MethodFact]:
    for name, (taken, answered) in _READS.items():
        yield MethodFact(name=name, params=taken, result=answered, write=False, purse=Purse.PLAIN)
    for name, (taken, answered, purse) in _WRITES.items():
        yield MethodFact(name=name, params=taken, result=answered, write=True, purse=purse)


METHODS: Final[dict[str, MethodFact]] = {fact.name: fact for fact in _facts()}
"""Every method this toolkit knows, by name."""
