"""Channels: which struct the data of a notification is, by the channel's name (reference 12, 14).

`user.orders` carries one order object when raw and a list at an interval; `user.trades` always a list. Nothing is
replayed on subscribe and private channels have no sequence: after every connect, reads are the truth.
"""

import re
from typing import Any, Final, get_args, get_origin

from msgspec import UNSET, Raw, UnsetType

from perpsctl.wire.global_derivatives import accounts, market, trading
from perpsctl.wire.global_derivatives.common import Body, Text, Whole
from perpsctl.wire.global_derivatives.rpc import Notification
from perpsctl.wire.guard import WireError, decode


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
    if isinstance(message.data, dict) and get_origin(found) is tuple:
        return (message.data_as(get_args(found)[0]),)
    return message.data_as(found)


# --- books, read for upkeep: numbers stay the digits they were ------------------------------------------


class LeanBook(Body, frozen=True, kw_only=True):
    """The data of `book.{i}.{interval}`, numbers unread: (new|change|delete, price, absolute amount)."""

    type: Text = UNSET
    instrument_name: Text = UNSET
    timestamp: Whole = UNSET
    change_id: Whole = UNSET
    prev_change_id: int | UnsetType | None = UNSET
    bids: tuple[tuple[str, Raw, Raw], ...] | UnsetType = UNSET
    asks: tuple[tuple[str, Raw, Raw], ...] | UnsetType = UNSET


class LeanImage(Body, frozen=True, kw_only=True):
    """The data of `book.{i}.{group}.{depth}.{interval}`, numbers unread: (price, amount), the whole top each time."""

    instrument_name: Text = UNSET
    timestamp: Whole = UNSET
    change_id: Whole = UNSET
    bids: tuple[tuple[Raw, Raw], ...] | UnsetType = UNSET
    asks: tuple[tuple[Raw, Raw], ...] | UnsetType = UNSET


class _BookParams(Body, frozen=True, kw_only=True):
    channel: str
    data: LeanBook


class _ImageParams(Body, frozen=True, kw_only=True):
    channel: str
    data: LeanImage


class BookNotification(Body, frozen=True, kw_only=True):
    """A subscription message of a book channel."""

    method: str
    params: _BookParams


class ImageNotification(Body, frozen=True, kw_only=True):
    """A subscription message of a channel of book images."""

    method: str
    params: _ImageParams


_CHANNEL: Final = re.compile(rb'"channel"\s*:\s*"book\.([^"\\]*)"')
_CHANNEL_WITHIN: Final = 200  # bytes; the live venue and the simulator write it before the data


def read_book_frame(body: bytes) -> BookNotification | ImageNotification | None:
    """A book's message in one pass; None for every other frame, which `rpc.decode_frame` reads.

    None too where the channel does not stand near the beginning. WireError for a book nobody can read. An object that
    names a key twice is not looked for here: nothing but a book hangs on it, and its chain of ids would break.
    """
    found = _CHANNEL.search(body, 0, _CHANNEL_WITHIN)
    if found is None:
        return None
    image = found[1].count(b".") > 1
    message = decode(body, ImageNotification) if image else decode(body, BookNotification)
    if message.method != "subscription" or not message.params.channel.startswith("book."):
        raise WireError("a book's message is no subscription's")
    return message
