"""Channels: which struct the data of a notification is, by the channel's name (reference 12, 14).

`user.orders` carries one order object when raw and a list at an interval; `user.trades` always a list. Nothing is
replayed on subscribe and private channels have no sequence: after every connect, reads are the truth.
"""

from typing import Any, Final

from msgspec import UNSET, UnsetType

from perpsctl.wire.global_derivatives import accounts, market, trading
from perpsctl.wire.global_derivatives.common import Body, Text
from perpsctl.wire.global_derivatives.rpc import Notification
from perpsctl.wire.guard import WireError


class UserChanges(Body, frozen=True, kw_only=True):
    """Channel `user.changes`: what one event did to trades, positions and orders of an instrument."""

    instrument_name: Text = UNSET
    trades: tuple[trading.UserTrade, ...] | UnsetType = UNSET
    positions: tuple[accounts.Position, ...] | UnsetType = UNSET
    orders: tuple[trading.Order, ...] | UnsetType = UNSET


_BY_PREFIX: Final[dict[str, Any]] = {
    "ticker": market.Ticker,
    "incremental_ticker": market.Ticker,
    "quote": market.Ticker,
    "trades": tuple[market.TapeTrade, ...],
    "perpetual": market.FundingPoint,
    "chart.trades": market.ChartBar,
    "instrument.state": market.InstrumentState,
    "instrument.creation": market.InstrumentState,
    "platform_state": market.PlatformState,
    "deribit_price_index": market.IndexPoint,
    "user.orders": tuple[trading.Order, ...],
    "user.trades": tuple[trading.UserTrade, ...],
    "user.changes": UserChanges,
    "user.portfolio": accounts.AccountSummary,
    "user.lock": accounts.UserLock,
    "user.position_lock": accounts.UserLock,
}
_ISOLATED: Final = "user.isolated."


def data_type(channel: str) -> Any:
    """The type of a channel's data; None for a channel this toolkit does not read.

    `book` has two shapes: `book.{i}.{interval}` and, with group and depth, an image of the top.
    """
    name = "user." + channel.removeprefix(_ISOLATED) if channel.startswith(_ISOLATED) else channel
    parts = name.split(".")
    if parts[0] == "book":
        return market.BookImage if len(parts) > 3 else market.BookChange
    for length in range(min(len(parts), 2), 0, -1):
        found = _BY_PREFIX.get(".".join(parts[:length]))
        if found is not None:
            return found
    return None


def read_data(message: Notification) -> Any:
    """The data of a channel's message, one order as a list of one; WireError for a channel nobody reads (W11)."""
    found = data_type(message.channel)
    if found is None:
        raise WireError(f"a message of the unknown channel {message.channel}")
    if message.data is None:
        raise WireError(f"a message of {message.channel} without data")
    return message.data_as(found)
