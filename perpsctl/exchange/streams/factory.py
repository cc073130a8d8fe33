"""How the streams of a profile are put together: addresses that passed the allow-list, a key, a clock, and bounds.

`opener` replaces the network (the simulator's line in memory). With `threads=False` nothing runs by itself: each method of
the streams steps the connections on the caller's thread, which is how scenarios run on virtual time.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

from perpsctl.domain.ids import Ids, ProductId
from perpsctl.domain.ports import Clock
from perpsctl.domain.products import Product
from perpsctl.domain.streams import Streams
from perpsctl.exchange.credentials import Credentials
from perpsctl.exchange.signing import READ_TTL, Signer
from perpsctl.exchange.streams.addresses import SocketAddress
from perpsctl.exchange.streams.global_feed import GlobalStreams
from perpsctl.exchange.streams.line import Line, WebsocketLine
from perpsctl.exchange.streams.order_road import order_socket, public_socket
from perpsctl.exchange.streams.socket import RpcSocket
from perpsctl.exchange.streams.us_feed import UsStreams

__all__ = ["Opener", "global_streams", "us_streams"]

Opener = Callable[[SocketAddress], Line]
US_MESSAGE_BYTES_MAX = 10_000_000  # a snapshot of BTC-USD has about 5 MB; the official SDK allows as much


def us_streams(
    market: SocketAddress,
    user: SocketAddress,
    credentials: Credentials | None,
    clock: Clock,
    ids: Ids,
    *,
    product_of: Callable[[ProductId], Product],
    book_age_max: timedelta,
    mark_age_max: timedelta,
    opener: Opener | None = None,
    threads: bool = True,
) -> Streams:
    """Streams of the US venue, not started; without credentials the account's channels are not asked for.

    `product_of` is asked once a product by `start`, for its price grid and contract size; what it raises, `start` raises.
    The venue streams no mark: `mark_age_max` binds nothing here and is taken so that both venues are made alike.
    """
    opened = opener or (lambda address: WebsocketLine(address, clock, message_bytes_max=US_MESSAGE_BYTES_MAX))
    signer = None if credentials is None else Signer(credentials, user.host)

    def token() -> str:
        assert signer is not None
        return signer.grant(now=clock.now(), ttl=READ_TTL, nonce=ids.nonce())

    return UsStreams(
        partial(opened, market),
        partial(opened, user),
        clock,
        ids,
        token=None if signer is None else token,
        product_of=product_of,
        book_age_max=book_age_max,
        threads=threads,
    )


def global_streams(
    streams: SocketAddress,
    trading: SocketAddress | RpcSocket | None,
    credentials: Credentials | None,
    clock: Clock,
    ids: Ids,
    *,
    product_of: Callable[[ProductId], Product],
    book_age_max: timedelta,
    mark_age_max: timedelta,
    opener: Opener | None = None,
    threads: bool = True,
) -> Streams:
    """Streams of the Global venue, not started. No `trading`, or an address without credentials: no account's channels.

    An `RpcSocket` (of `order_road.order_socket`) is handed in by its owner, who starts and stops it: only its mailbox is
    read here. For an address a socket of our own is made: logged in, never armed, and nothing is ordered over it.
    """
    opened = opener or (lambda address: WebsocketLine(address, clock))
    account: RpcSocket | None = None
    if isinstance(trading, RpcSocket):
        account = trading
    elif trading is not None and credentials is not None:
        account = order_socket(trading, credentials, clock, ids, dead_man=False, opener=partial(opened, trading))
    return GlobalStreams(
        lambda channels: public_socket(streams, clock, ids, channels=channels, opener=partial(opened, streams)),
        account,
        clock,
        ids,
        owns_trading=account is not trading,
        product_of=product_of,
        book_age_max=book_age_max,
        mark_age_max=mark_age_max,
        threads=threads,
    )
