"""How the streams of a profile are put together: addresses that passed the allow-list, a key, a clock, and bounds.

`opener` replaces the network (the simulator's line in memory). With `threads=False` nothing runs by itself: each method of
the streams steps the connections on the caller's thread, which is how scenarios run on virtual time.
"""

from collections.abc import Callable
from datetime import timedelta

from perpsctl.domain.errors import NotBuiltYet
from perpsctl.domain.ids import Ids, ProductId
from perpsctl.domain.ports import Clock
from perpsctl.domain.products import Product
from perpsctl.domain.streams import Streams
from perpsctl.exchange.credentials import Credentials
from perpsctl.exchange.streams.addresses import SocketAddress
from perpsctl.exchange.streams.line import Line
from perpsctl.exchange.streams.socket import RpcSocket

__all__ = ["Opener", "global_streams", "us_streams"]

Opener = Callable[[SocketAddress], Line]


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
    """
    raise NotBuiltYet("US streams are being built")


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
    """Streams of the Global venue, not started. `trading` None: the account's channels are not asked for.

    An `RpcSocket` (of `order_road.order_socket`) is handed in by its owner, who starts and stops it: only its mailbox is
    read here. For an address a socket of our own is made: logged in, never armed, and nothing is ordered over it.
    """
    raise NotBuiltYet("Global streams are being built")
