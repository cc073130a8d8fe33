"""The Global venue's streams: what its messages mean. Public channels on the streams host, the account's on the trading host.

Each book is a chain of change ids, each tape a sequence; the account's channels have no numbers and no snapshot, so
every new connection means: reconcile (coinbase-global-derivatives.md sections 12 and 13, 2026-11-22). The trading
connection may be the armed order socket of `run`: then it is handed in, and only its mailbox is read here.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from perpsctl.domain.ids import ClientOrderId, Ids, ProductId, VenueOrderId
from perpsctl.domain.market import Mark
from perpsctl.domain.ports import Clock
from perpsctl.domain.products import Product
from perpsctl.domain.streams import News, NewsKind, StreamPart
from perpsctl.exchange.streams.book import LiveBook
from perpsctl.exchange.streams.channels import Channel
from perpsctl.exchange.streams.gaps import TradeSequence
from perpsctl.exchange.streams.global_books import GlobalBooks
from perpsctl.exchange.streams.hosts import Host
from perpsctl.exchange.streams.live import LiveStreams
from perpsctl.exchange.streams.mailbox import Event
from perpsctl.exchange.streams.memory import Orders, Seen
from perpsctl.exchange.streams.order_road import USER_CHANNELS, USER_HINTS
from perpsctl.exchange.streams.socket import RpcSocket
from perpsctl.wire.global_derivatives import reading
from perpsctl.wire.global_derivatives.channels import BookNotification, UserChanges, read_book_frame, read_data
from perpsctl.wire.global_derivatives.convert_market import mark_from
from perpsctl.wire.global_derivatives.market import TapeTrade, Ticker
from perpsctl.wire.global_derivatives.rpc import Notification, decode_frame
from perpsctl.wire.global_derivatives.trading import Order, UserTrade
from perpsctl.wire.guard import WireError, decode

__all__ = ["GlobalStreams"]

HEARTBEAT = timedelta(seconds=10)  # the venue's minimum
LIFE = 2 * HEARTBEAT + HEARTBEAT / 4  # stale after two heartbeats that did not come (W4), with some of one for the way
_STREAMS, _TRADING = "global_streams", "global_trading"
_PORTFOLIO = "user.portfolio.any"
_FINAL = frozenset({"filled", "cancelled", "rejected"})
_NONE = Decimal(0)


class GlobalStreams(LiveStreams):
    """Live data of the Global venue. `public` makes the socket of these channels; `trading` is the account's, None: none."""

    def __init__(
        self,
        public: Callable[[tuple[str, ...]], RpcSocket],
        trading: RpcSocket | None,
        clock: Clock,
        ids: Ids,
        *,
        owns_trading: bool,
        product_of: Callable[[ProductId], Product],
        book_age_max: timedelta,
        mark_age_max: timedelta,
        threads: bool,
    ) -> None:
        super().__init__(clock, ids, product_of=product_of, book_age_max=book_age_max, threads=threads)
        self._public = public
        self._trading = trading
        self._owns_trading = owns_trading
        self._mark_age_max = mark_age_max
        self._marks: dict[ProductId, Mark] = {}
        self._tapes: dict[ProductId, TradeSequence] = {}
        self._orders = Orders()
        self._fills = Seen()
        self._positions: dict[ProductId, object] = {}

    def mark(self, product_id: ProductId) -> Mark | None:
        """The venue's own mark with the moment it arrived; None while its channel is down, broken or refused."""
        self._work()
        channel = self._channels.get((StreamPart.TICKER, product_id))
        standing = channel is not None and channel.standing and channel.complete and not channel.broken
        return self._marks.get(product_id) if standing else None

    # --- what there is --------------------------------------------------------------------------------------

    def _connections(self, products: Sequence[Product]) -> tuple[list[Host], Mapping[ProductId, LiveBook]]:
        channels = [channel for product in products for channel in self._market_channels(product.product_id)]
        source = self._public(tuple(name for channel in channels for name in channel.names))
        hosts = [
            Host(
                name=_STREAMS,
                source=source,
                owned=True,
                stepped=not self._threads,
                carries_orders=False,
                channels=channels,
            )
        ]
        if self._trading is not None:
            hosts.append(self._trading_host(self._trading))
        self._door = GlobalBooks(products)
        return hosts, self._door.books

    def _market_channels(self, product_id: ProductId) -> list[Channel]:
        return [
            self._channel(
                StreamPart.BOOK, product_id, (f"book.{product_id}.100ms",), self._book_age_max, by_life=False
            ),
            self._channel(
                StreamPart.TICKER, product_id, (f"ticker.{product_id}.100ms",), self._mark_age_max, by_life=False
            ),
            self._channel(StreamPart.TRADES, product_id, (f"trades.{product_id}.100ms",), LIFE, by_life=True),
        ]

    def _trading_host(self, trading: RpcSocket) -> Host:
        return Host(
            name=_TRADING,
            source=trading,
            owned=self._owns_trading,
            stepped=not self._threads if self._owns_trading else trading.stepped,
            carries_orders=True,
            channels=[
                self._channel(StreamPart.ORDERS, None, USER_CHANNELS, LIFE, by_life=True),
                self._channel(StreamPart.BALANCE, None, (_PORTFOLIO,), LIFE, by_life=True),
            ],
        )

    def _channel(
        self, part: StreamPart, product_id: ProductId | None, names: tuple[str, ...], bound: timedelta, *, by_life: bool
    ) -> Channel:
        return Channel(
            part=part,
            product_id=product_id,
            names=names,
            bound=bound,
            by_life=by_life,
            begins=not by_life,
            since=self._clock.now(),
        )

    def _renew(self, channel: Channel) -> None:
        source = self._carriers[channel.key].source
        assert isinstance(source, RpcSocket)
        for name in channel.names:
            source.renew(name)

    def _begun(self, host: Host) -> None:
        if host.name == _STREAMS:
            self._tapes.clear()
            self._marks.clear()
            for product_id in self._books:
                self._door.restart(product_id)

    # --- messages -------------------------------------------------------------------------------------------

    def _message(self, host: Host, event: Event) -> bool:
        if event.channel.startswith("book."):
            message = read_book_frame(event.body) or decode(event.body, BookNotification)
            self._touched(self._door.take(message, event.arrived), event)
            return True
        frame = decode_frame(event.body)
        if not isinstance(frame, Notification):
            raise WireError("an answer came where a channel's message was kept")
        data = read_data(frame)
        what = event.channel.removeprefix("user.").removeprefix("isolated.").partition(".")[0]
        match what:
            case "ticker":
                self._ticker_told(self._market(StreamPart.TICKER, event), data, event)
            case "trades" if not event.channel.startswith("user."):
                self._tape_told(self._market(StreamPart.TRADES, event), data, event)
            case "orders" | "trades" | "changes" | "portfolio":
                self._account_told(what, data, event)
            case _:
                raise WireError("a message of a channel nobody asked for")  # W7
        return True

    def _market(self, part: StreamPart, event: Event) -> Channel:
        named = event.channel.partition(".")[2].partition(".")[0]  # "" where it names none, and nobody asked for that
        channel = self._channels.get((part, ProductId(named)))
        if channel is None or channel.names[0] != event.channel:
            raise WireError("a message of a channel nobody asked for")  # W7
        return channel

    def _ticker_told(self, channel: Channel, ticker: Ticker, event: Event) -> None:
        product_id = channel.product_id
        assert product_id is not None
        self._marks[product_id] = mark_from(ticker, product_id, event.arrived)
        self._heard(channel, event)
        self._faults.complete(channel, event.arrived_ns)

    def _tape_told(self, channel: Channel, trades: tuple[TapeTrade, ...], event: Event) -> None:
        """Trades missing from the tape are named, not fetched: nothing is built from it, so nothing has to be thrown away.

        The range is what `public/get_last_trades_by_instrument` takes as `start_seq` and `end_seq`.
        """
        assert channel.product_id is not None
        tape = self._tapes.setdefault(channel.product_id, TradeSequence())
        for trade in trades:
            if not isinstance(trade.trade_seq, int):
                raise WireError("a trade without its number")
            step = tape.take(trade.trade_seq)
            if step.missing is not None:
                first, last = step.missing
                self._missed(channel, event, f"trades {first} to {last} of the tape; nothing is built from them")
        self._heard(channel, event)

    def _account_told(self, what: str, data: Any, event: Event) -> None:
        channel = self._channels[StreamPart.BALANCE if what == "portfolio" else StreamPart.ORDERS, None]
        channel.last_ns = event.arrived_ns
        match data:
            case UserChanges():
                for order in data.orders or ():
                    self._order_told(order, event)
                for trade in data.trades or ():
                    self._fill_told(trade, event)
                for position in data.positions or ():
                    self._position_told(position, event)
            case tuple() if what == "orders":
                for order in data:
                    self._order_told(order, event)
            case tuple():
                for trade in data:
                    self._fill_told(trade, event)
            case _:
                self._news.add(News(kind=NewsKind.BALANCE, at=event.arrived, part=StreamPart.BALANCE))

    def _order_told(self, order: Order, event: Event) -> None:
        if not isinstance(order.order_id, str):
            raise WireError("an order without its id")
        filled = reading.figure_or_none(order.filled_amount) or _NONE
        state = (order.order_state, order.amount, str(order.price), order.trigger_price, order.triggered)
        moved = self._orders.told(order.order_id, filled=filled, final=order.order_state in _FINAL, state=state)
        if moved.order:
            self._hint(NewsKind.ORDER, order, event)

    def _fill_told(self, trade: UserTrade, event: Event) -> None:
        if not isinstance(trade.trade_id, str) or not isinstance(trade.order_id, str):
            raise WireError("a fill without its ids")
        if self._fills.is_new((trade.fee_currency, trade.trade_id)):  # unique per currency
            self._hint(NewsKind.FILL, trade, event)

    def _position_told(self, position: Any, event: Event) -> None:
        if not isinstance(position.instrument_name, str):
            raise WireError("a position without its instrument")
        product_id = ProductId(position.instrument_name)
        held = (position.direction, position.size_currency, position.size)
        known = len(self._positions) < _POSITIONS_MAX or product_id in self._positions
        if known and self._positions.get(product_id) != held:
            self._positions[product_id] = held
            self._news.add(
                News(kind=NewsKind.POSITION, at=event.arrived, part=StreamPart.ORDERS, product_id=product_id)
            )

    def _hint(self, kind: NewsKind, row: Order | UserTrade, event: Event) -> None:
        self._news.add(
            News(
                kind=kind,
                at=event.arrived,
                part=StreamPart.ORDERS,
                product_id=ProductId(row.instrument_name) if row.instrument_name else None,
                venue_order_id=VenueOrderId(row.order_id) if row.order_id else None,
                client_order_id=ClientOrderId(row.label) if row.label else None,
            )
        )


_POSITIONS_MAX = 1_000
assert _PORTFOLIO in USER_HINTS
