"""The US venue's streams: what its messages mean. Market data on one host without a key, the account on the other with one.

One counter numbers everything on a connection, so a jump there may have cost any channel of it: books and the order
stream are then thrown away and asked for anew (coinbase-advanced-trade.md section 11, 2026-11-22). Orders are told as
cumulative states; an update says where to look, never what was filled. Positions there are beta and a hint at most.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal

from perpsctl.domain.ids import ClientOrderId, Ids, ProductId, VenueOrderId
from perpsctl.domain.ports import Clock
from perpsctl.domain.products import Product
from perpsctl.domain.streams import News, NewsKind, StreamPart
from perpsctl.exchange.streams.book import LiveBook
from perpsctl.exchange.streams.channels import Channel
from perpsctl.exchange.streams.gaps import ConnectionSequence, Continuity
from perpsctl.exchange.streams.hosts import Host
from perpsctl.exchange.streams.line import Line
from perpsctl.exchange.streams.live import LiveStreams
from perpsctl.exchange.streams.mailbox import Event, EventKind
from perpsctl.exchange.streams.memory import Orders
from perpsctl.exchange.streams.us_books import UsBooks
from perpsctl.exchange.streams.us_host import HEARTBEAT, Asked, UsHost, name_of
from perpsctl.wire.advanced_trade import reading
from perpsctl.wire.advanced_trade.socket import (
    BalanceMessage,
    Envelope,
    LeanBookMessage,
    TickerMessage,
    TradesMessage,
    UserEvent,
    UserMessage,
    UserOrder,
    read_frame,
)
from perpsctl.wire.guard import WireError

__all__ = ["UsStreams"]

LIFE = 2 * HEARTBEAT + HEARTBEAT / 2  # stale after two heartbeats that did not come (W4), with half of one for the way
BEHIND_MAX = 200  # messages in a row with a number that was passed: more than any replay, so the numbering is off
SNAPSHOT_BATCH = 50  # of orders; a shorter one ends the snapshot
_MARKET, _USER = "us_market", "us_user"
_LEVEL2, _USER_CHANNEL, _BALANCE = "level2", "user", "futures_balance_summary"
_MARKET_CHANNELS = (("ticker", StreamPart.TICKER), ("market_trades", StreamPart.TRADES))
_FINAL = frozenset({"FILLED", "CANCELLED", "EXPIRED", "FAILED"})
_NONE = Decimal(0)
_BUILT = frozenset({StreamPart.BOOK, StreamPart.ORDERS})  # what missing messages make worthless


class UsStreams(LiveStreams):
    """Live data of the US venue. The openers reach the two hosts; `token` makes a fresh JWT, None: no account."""

    def __init__(
        self,
        market: Callable[[], Line],
        user: Callable[[], Line],
        clock: Clock,
        ids: Ids,
        *,
        token: Callable[[], str] | None,
        product_of: Callable[[ProductId], Product],
        book_age_max: timedelta,
        threads: bool,
    ) -> None:
        super().__init__(clock, ids, product_of=product_of, book_age_max=book_age_max, threads=threads)
        self._market_opener = market
        self._user_opener = user
        self._token = token
        self._sequences: dict[str, ConnectionSequence] = {}
        self._behind: dict[str, int] = {}
        self._orders = Orders()
        self._positions: dict[str, Hashable] = {}
        self._balance: Hashable = None

    # --- what there is --------------------------------------------------------------------------------------

    def _connections(self, products: Sequence[Product]) -> tuple[list[Host], Mapping[ProductId, LiveBook]]:
        hosts = [self._market_host([product.product_id for product in products])]
        if self._token is not None:
            hosts.append(self._user_host())
        self._sequences = {host.name: ConnectionSequence() for host in hosts}
        self._behind = {host.name: 0 for host in hosts}
        self._door = UsBooks(products)
        return hosts, self._door.books

    def _market_host(self, products: Sequence[ProductId]) -> Host:
        wanted = [_LEVEL2, *(name for name, _ in _MARKET_CHANNELS)]
        source = UsHost(
            self._market_opener,
            self._clock,
            self._ids,
            channels=[
                Asked(channel="heartbeats", required=True),
                *(Asked(channel=name, product_ids=tuple(products)) for name in wanted),
            ],
            token=None,  # market data needs no key, so it outlives one that is revoked (A2)
            kind=EventKind.MARKET,
            name="us-market-streams",
        )
        channels = [
            self._channel(StreamPart.BOOK, each, _LEVEL2, self._book_age_max, by_life=False) for each in products
        ]
        for name, part in _MARKET_CHANNELS:
            channels += [self._channel(part, each, name, LIFE, begins=False) for each in products]
        return self._host(_MARKET, source, channels, carries_orders=False)

    def _user_host(self) -> Host:
        source = UsHost(
            self._user_opener,
            self._clock,
            self._ids,
            channels=[
                Asked(channel="heartbeats", required=True),
                Asked(channel=_USER_CHANNEL, required=True),
                Asked(channel=_BALANCE),
            ],
            token=self._token,
            kind=EventKind.ACCOUNT,
            name="us-user-streams",
        )
        channels = [
            self._channel(StreamPart.ORDERS, None, _USER_CHANNEL, LIFE),
            self._channel(StreamPart.BALANCE, None, _BALANCE, LIFE, begins=False),
        ]
        return self._host(_USER, source, channels, carries_orders=True)

    def _channel(
        self,
        part: StreamPart,
        product_id: ProductId | None,
        name: str,
        bound: timedelta,
        *,
        by_life: bool = True,
        begins: bool = True,
    ) -> Channel:
        names = (name_of(name, product_id or ""),)
        since = self._clock.now()
        return Channel(
            part=part, product_id=product_id, names=names, bound=bound, by_life=by_life, begins=begins, since=since
        )

    def _host(self, name: str, source: UsHost, channels: list[Channel], *, carries_orders: bool) -> Host:
        return Host(
            name=name,
            source=source,
            owned=True,
            stepped=not self._threads,
            carries_orders=carries_orders,
            channels=channels,
        )

    def _renew(self, channel: Channel) -> None:
        name, _, product_id = channel.names[0].partition(":")
        source = self._carriers[channel.key].source
        assert isinstance(source, UsHost)
        source.renew(name, product_id)

    def _why_refused(self, host: Host, channel: Channel) -> str:
        assert isinstance(host.source, UsHost)
        return host.source.refused().get(channel.names[0]) or super()._why_refused(host, channel)

    def _begun(self, host: Host) -> None:
        self._sequences[host.name].restart()
        self._behind[host.name] = 0
        if host.name == _MARKET:
            for book in self._books.values():
                book.reset()

    # --- messages -------------------------------------------------------------------------------------------

    def expected(self, host: str) -> int | None:
        """The sequence number that has to come next on `us_market` or `us_user`."""
        return self._sequences[host].expected

    def _message(self, host: Host, event: Event) -> bool:
        message = read_frame(event.body)
        if not isinstance(message, Envelope) or not isinstance(message.sequence_num, int):
            raise WireError("a message without a sequence number")
        step = self._sequences[host.name].take(message.sequence_num)
        if step.kind is Continuity.GAP:
            self._gap([each for each in host.channels if each.part in _BUILT], event, f"sequence_num: {step.told()}")
        if step.kind is Continuity.IGNORE:
            self._behind[host.name] += 1
            if self._behind[host.name] > BEHIND_MAX:
                raise WireError("the sequence numbers of the connection went back")
            return False
        self._behind[host.name] = 0
        match message:
            case LeanBookMessage():
                self._touched(self._door.take(message, event.arrived), event)
            case UserMessage():
                for each in message.events or ():
                    self._account_told(event, each)
            case BalanceMessage():
                self._channels[StreamPart.BALANCE, None].last_ns = event.arrived_ns
                self._news.add(News(kind=NewsKind.BALANCE, at=event.arrived, part=StreamPart.BALANCE))
            case TickerMessage():
                for ticked in message.events or ():
                    self._market_told(StreamPart.TICKER, (row.product_id for row in ticked.tickers or ()), event)
            case TradesMessage():
                for traded in message.events or ():
                    self._market_told(StreamPart.TRADES, (row.product_id for row in traded.trades or ()), event)
            case _:
                pass  # confirmations and heartbeats: their number is what counts
        return True

    def _market_told(self, part: StreamPart, products: Iterable[object], event: Event) -> None:
        for product_id in dict.fromkeys(products):
            channel = self._channels.get((part, ProductId(str(product_id))))
            if channel is None:
                raise WireError(f"a {part.value} message of a product nobody asked for")  # W7
            self._heard(channel, event)

    def _account_told(self, event: Event, told: UserEvent) -> None:
        channel = self._channels[StreamPart.ORDERS, None]
        orders = told.orders or ()
        for order in orders:
            self._order_told(event, order)
        self._positions_told(event, told)
        channel.last_ns = event.arrived_ns
        ends_snapshot = told.type == "snapshot" and len(orders) < SNAPSHOT_BATCH
        if ends_snapshot or (told.type == "update" and not channel.broken):
            self._faults.complete(channel, event.arrived_ns)

    def _order_told(self, event: Event, order: UserOrder) -> None:
        order_id = reading.required(order.order_id, "order_id")
        filled = reading.figure_or_none(order.cumulative_quantity, "cumulative_quantity") or _NONE
        state = (order.status, order.leaves_quantity, order.limit_price, order.stop_price, order.trigger_status)
        moved = self._orders.told(order_id, filled=filled, final=order.status in _FINAL, state=state)
        kinds = [NewsKind.ORDER] * moved.order + [NewsKind.FILL] * moved.filled
        for kind in kinds:
            self._news.add(
                News(
                    kind=kind,
                    at=event.arrived,
                    part=StreamPart.ORDERS,
                    product_id=ProductId(order.product_id) if order.product_id else None,
                    venue_order_id=VenueOrderId(order_id),
                    client_order_id=ClientOrderId(order.client_order_id) if order.client_order_id else None,
                )
            )

    def _positions_told(self, event: Event, told: UserEvent) -> None:
        rows = None if not told.positions else told.positions.expiring_futures_positions
        for row in rows or ():
            product_id = reading.required(row.product_id, "product_id")
            held = (row.side, row.number_of_contracts)
            if self._positions.get(product_id) != held and (
                product_id in self._positions or len(self._positions) < 1000
            ):
                self._positions[product_id] = held
                self._news.add(
                    News(
                        kind=NewsKind.POSITION,
                        at=event.arrived,
                        part=StreamPart.ORDERS,
                        product_id=ProductId(product_id),
                    )
                )
