"""Socket messages, both ways (reference 11).

A message's kind is its `channel` (errors have `type` instead); `read_message` looks at that first and then reads the
whole. Sequence numbers are one counter per connection, acknowledgements and heartbeats included.
"""

from typing import ClassVar, Final

from msgspec import UNSET, UnsetType

from perpsctl.wire.advanced_trade.common import Body, NullableBody, Number, RequestBody
from perpsctl.wire.advanced_trade.futures import BalanceSummary
from perpsctl.wire.advanced_trade.market import CandleBody, TradeBody
from perpsctl.wire.guard import WireError, decode, encode


class SubscribeRequest(RequestBody, frozen=True, kw_only=True):
    """subscribe and unsubscribe, one channel each; the SDK always sends `product_ids`, `[]` where there are none."""

    type: str | UnsetType = UNSET
    product_ids: tuple[str, ...] | UnsetType = UNSET
    channel: str | UnsetType = UNSET
    jwt: str | UnsetType = UNSET
    # Legacy signing of ccxt.pro; recognised so that it can be refused by name.
    api_key: str | UnsetType = UNSET
    timestamp: str | UnsetType = UNSET
    signature: str | UnsetType = UNSET
    user_id: str | UnsetType = UNSET

    def __repr__(self) -> str:
        """Without token, key and signature (S1)."""
        return f"SubscribeRequest(type={self.type!r}, channel={self.channel!r}, product_ids={self.product_ids!r})"


class SocketError(Body, frozen=True, kw_only=True):
    """`{"type":"error","message":…}`: no channel, no sequence number; the connection's fate is not on record."""

    type: str | UnsetType = UNSET
    message: str | UnsetType = UNSET


class Envelope(Body, frozen=True, kw_only=True):
    """What every data message has. Writers send `client_id` "": the SDK raises KeyError without it."""

    channel: str | UnsetType = UNSET
    client_id: str | UnsetType = UNSET
    timestamp: str | UnsetType = UNSET
    sequence_num: int | UnsetType = UNSET


class Head(Body, frozen=True, kw_only=True, gc=False):
    """What tells a message's kind and place: a channel, or the type `error` without one."""

    channel: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    sequence_num: int | UnsetType = UNSET


class TickerRow(Body, frozen=True, kw_only=True, gc=False):
    type: str | UnsetType = UNSET
    product_id: str | UnsetType = UNSET
    price: Number | UnsetType = UNSET
    volume_24_h: Number | UnsetType = UNSET
    low_24_h: Number | UnsetType = UNSET
    high_24_h: Number | UnsetType = UNSET
    low_52_w: Number | UnsetType = UNSET
    high_52_w: Number | UnsetType = UNSET
    price_percent_chg_24_h: Number | UnsetType = UNSET
    best_bid: Number | UnsetType = UNSET
    best_bid_quantity: Number | UnsetType = UNSET
    best_ask: Number | UnsetType = UNSET
    best_ask_quantity: Number | UnsetType = UNSET


class TickerEvent(Body, frozen=True, kw_only=True):
    type: str | UnsetType = UNSET
    tickers: tuple[TickerRow, ...] | UnsetType = UNSET


class TickerMessage(Envelope, frozen=True, kw_only=True):
    """Channels `ticker` and `ticker_batch` (without best bid and ask)."""

    events: tuple[TickerEvent, ...] | UnsetType = UNSET


class BookUpdate(Body, frozen=True, kw_only=True, gc=False):
    """One level. `new_quantity` is absolute, "0" removes; `side` is bid or offer; snapshots carry the Unix epoch."""

    side: str | UnsetType = UNSET
    event_time: str | UnsetType = UNSET
    price_level: Number | UnsetType = UNSET
    new_quantity: Number | UnsetType = UNSET


class BookEvent(Body, frozen=True, kw_only=True):
    type: str | UnsetType = UNSET
    product_id: str | UnsetType = UNSET
    updates: tuple[BookUpdate, ...] | UnsetType = UNSET


class BookMessage(Envelope, frozen=True, kw_only=True):
    """Channel `l2_data`, subscribed to as `level2`."""

    events: tuple[BookEvent, ...] | UnsetType = UNSET


class LeanLevel(Body, frozen=True, kw_only=True, gc=False):
    """A level without its `event_time`: nothing is decided by it, and reading it costs as much as the price."""

    side: str | UnsetType = UNSET
    price_level: Number | UnsetType = UNSET
    new_quantity: Number | UnsetType = UNSET


class LeanBookEvent(Body, frozen=True, kw_only=True):
    type: str | UnsetType = UNSET
    product_id: str | UnsetType = UNSET
    updates: tuple[LeanLevel, ...] | UnsetType = UNSET


class LeanBookMessage(Envelope, frozen=True, kw_only=True):
    """`BookMessage` as the book's upkeep reads it."""

    events: tuple[LeanBookEvent, ...] | UnsetType = UNSET


class TradesEvent(Body, frozen=True, kw_only=True):
    type: str | UnsetType = UNSET
    trades: tuple[TradeBody, ...] | UnsetType = UNSET


class TradesMessage(Envelope, frozen=True, kw_only=True):
    """Channel `market_trades`; `side` is the maker's."""

    events: tuple[TradesEvent, ...] | UnsetType = UNSET


class CandlesEvent(Body, frozen=True, kw_only=True):
    type: str | UnsetType = UNSET
    candles: tuple[CandleBody, ...] | UnsetType = UNSET


class CandlesMessage(Envelope, frozen=True, kw_only=True):
    """Channel `candles`: five-minute buckets only."""

    events: tuple[CandlesEvent, ...] | UnsetType = UNSET


class HeartbeatEvent(Body, frozen=True, kw_only=True):
    """`current_time` is in Go's format; the counter is a number live and text in the documentation."""

    current_time: str | UnsetType = UNSET
    heartbeat_counter: int | UnsetType = UNSET


class HeartbeatsMessage(Envelope, frozen=True, kw_only=True):
    events: tuple[HeartbeatEvent, ...] | UnsetType = UNSET


class SubscriptionsEvent(Body, frozen=True, kw_only=True):
    """All current subscriptions of the connection, by channel (`level2`, not `l2_data`)."""

    subscriptions: dict[str, tuple[str, ...]] | UnsetType = UNSET


class SubscriptionsMessage(Envelope, frozen=True, kw_only=True):
    events: tuple[SubscriptionsEvent, ...] | UnsetType = UNSET


class StatusRow(Body, frozen=True, kw_only=True):
    product_type: str | UnsetType = UNSET
    id: str | UnsetType = UNSET
    base_currency: str | UnsetType = UNSET
    quote_currency: str | UnsetType = UNSET
    base_increment: Number | UnsetType = UNSET
    quote_increment: Number | UnsetType = UNSET
    display_name: str | UnsetType = UNSET
    status: str | UnsetType = UNSET
    status_message: str | UnsetType = UNSET
    min_market_funds: Number | UnsetType = UNSET


class StatusEvent(Body, frozen=True, kw_only=True):
    type: str | UnsetType = UNSET
    products: tuple[StatusRow, ...] | UnsetType = UNSET


class StatusMessage(Envelope, frozen=True, kw_only=True):
    events: tuple[StatusEvent, ...] | UnsetType = UNSET


class UserOrder(Body, frozen=True, kw_only=True):
    """The cumulative state of an order, not a fill. `order_type` is in title case, `post_only` is text (reference 11.3)."""

    avg_price: Number | UnsetType = UNSET
    cancel_reason: str | UnsetType = UNSET
    client_order_id: str | UnsetType = UNSET
    completion_percentage: Number | UnsetType = UNSET
    contract_expiry_type: str | UnsetType = UNSET
    cumulative_quantity: Number | UnsetType = UNSET
    filled_value: Number | UnsetType = UNSET
    leaves_quantity: Number | UnsetType = UNSET
    limit_price: Number | UnsetType = UNSET
    number_of_fills: Number | UnsetType = UNSET
    order_id: str | UnsetType = UNSET
    order_side: str | UnsetType = UNSET
    order_type: str | UnsetType = UNSET
    outstanding_hold_amount: Number | UnsetType = UNSET
    post_only: str | bool | UnsetType = UNSET
    product_id: str | UnsetType = UNSET
    product_type: str | UnsetType = UNSET
    reject_reason: str | UnsetType = UNSET
    retail_portfolio_id: str | UnsetType = UNSET
    risk_managed_by: str | UnsetType = UNSET
    status: str | UnsetType = UNSET
    stop_price: Number | UnsetType = UNSET
    time_in_force: str | UnsetType = UNSET
    total_fees: Number | UnsetType = UNSET
    total_value_after_fees: Number | UnsetType = UNSET
    trigger_status: str | UnsetType = UNSET
    creation_time: str | UnsetType = UNSET
    end_time: str | UnsetType = UNSET
    start_time: str | UnsetType = UNSET


class UserIntxPosition(Body, frozen=True, kw_only=True):
    product_id: str | UnsetType = UNSET
    portfolio_uuid: str | UnsetType = UNSET
    vwap: Number | UnsetType = UNSET
    entry_vwap: Number | UnsetType = UNSET
    position_side: str | UnsetType = UNSET
    margin_type: str | UnsetType = UNSET
    net_size: Number | UnsetType = UNSET
    buy_order_size: Number | UnsetType = UNSET
    sell_order_size: Number | UnsetType = UNSET
    leverage: Number | UnsetType = UNSET
    mark_price: Number | UnsetType = UNSET
    liquidation_price: Number | UnsetType = UNSET
    im_notional: Number | UnsetType = UNSET
    mm_notional: Number | UnsetType = UNSET
    position_notional: Number | UnsetType = UNSET
    unrealized_pnl: Number | UnsetType = UNSET
    aggregated_pnl: Number | UnsetType = UNSET


class UserFuturesPosition(Body, frozen=True, kw_only=True):
    product_id: str | UnsetType = UNSET
    side: str | UnsetType = UNSET
    number_of_contracts: Number | UnsetType = UNSET
    realized_pnl: Number | UnsetType = UNSET
    unrealized_pnl: Number | UnsetType = UNSET
    entry_price: Number | UnsetType = UNSET


class UserPositions(NullableBody, frozen=True, kw_only=True):
    """Marked beta and empty for many users: a hint, never the truth (reference 11.3)."""

    nullable: ClassVar[tuple[str, ...]] = ("perpetual_futures_positions", "expiring_futures_positions")
    perpetual_futures_positions: tuple[UserIntxPosition, ...] | UnsetType | None = UNSET
    expiring_futures_positions: tuple[UserFuturesPosition, ...] | UnsetType | None = UNSET


class UserEvent(NullableBody, frozen=True, kw_only=True):
    nullable: ClassVar[tuple[str, ...]] = ("positions",)
    type: str | UnsetType = UNSET
    orders: tuple[UserOrder, ...] | UnsetType = UNSET
    positions: UserPositions | UnsetType | None = UNSET


class UserMessage(Envelope, frozen=True, kw_only=True):
    """Channel `user`; a snapshot comes in batches of 50 and a shorter batch ends it."""

    events: tuple[UserEvent, ...] | UnsetType = UNSET


class BalanceEvent(NullableBody, frozen=True, kw_only=True):
    nullable: ClassVar[tuple[str, ...]] = ("fcm_balance_summary",)
    type: str | UnsetType = UNSET
    fcm_balance_summary: BalanceSummary | UnsetType | None = UNSET


class BalanceMessage(Envelope, frozen=True, kw_only=True):
    """Channel `futures_balance_summary`: the fields of the REST summary as flat text."""

    events: tuple[BalanceEvent, ...] | UnsetType = UNSET


SocketMessage = Envelope | SocketError
CHANNELS: Final[dict[str, type[Envelope]]] = {
    "heartbeats": HeartbeatsMessage,
    "subscriptions": SubscriptionsMessage,
    "ticker": TickerMessage,
    "ticker_batch": TickerMessage,
    "l2_data": BookMessage,
    "market_trades": TradesMessage,
    "candles": CandlesMessage,
    "status": StatusMessage,
    "user": UserMessage,
    "futures_balance_summary": BalanceMessage,
}


def encode_asking(kind: str, channel: str, product_ids: tuple[str, ...], jwt: str | None) -> bytes:
    """A subscribe or unsubscribe, as `kind` says; without a token where None."""
    request = SubscribeRequest(type=kind, channel=channel, product_ids=product_ids, jwt=UNSET if jwt is None else jwt)
    return encode(request)


def read_head(body: bytes) -> Head:
    """The head alone, the body checked; WireError for a channel nobody knows, and for neither channel nor error (W11)."""
    head = decode(body, Head)
    if head.channel is UNSET and head.type != "error":
        raise WireError("a socket message without a channel")
    if head.channel is not UNSET and head.channel not in CHANNELS:
        raise WireError(f"a socket message of the unknown channel {head.channel}")
    return head


def read_message(body: bytes) -> SocketMessage:
    """One message from the venue as its channel's struct; WireError for a channel nobody subscribed to (W11)."""
    kind = decode(body, Head)
    if kind.channel is UNSET:
        if kind.type == "error":
            return decode(body, SocketError)
        raise WireError("a socket message without a channel")
    message = CHANNELS.get(kind.channel)
    if message is None:
        raise WireError(f"a socket message of the unknown channel {kind.channel}")
    return decode(body, message)


_BOOK_FIRST: Final = (b'{"channel":"l2_data"', b'{"channel": "l2_data"')


def read_frame(body: bytes) -> SocketMessage:
    """As `read_message`, a book as `LeanBookMessage` and in one pass where its channel stands first, as it does live."""
    if body.startswith(_BOOK_FIRST):
        message = decode(body, LeanBookMessage)
        if message.channel == "l2_data":  # a second `channel` further on would have won
            return message
    read = read_message(body)
    return decode(body, LeanBookMessage) if isinstance(read, BookMessage) else read
