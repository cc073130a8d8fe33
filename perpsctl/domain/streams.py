"""What streams tell and how old it is. A stream is a hint, a read is truth; the age of data decides, never the state of a socket.

Nothing here is an order's proof: news of an order or a fill only says where to look.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from perpsctl.domain.ids import ClientOrderId, ProductId, VenueOrderId
from perpsctl.domain.market import BookView, Mark

__all__ = ["ChannelHealth", "ChannelState", "News", "NewsKind", "StreamFigures", "StreamPart", "Streams"]


class StreamPart(StrEnum):
    """What a channel carries."""

    BOOK = "book"
    TICKER = "ticker"
    TRADES = "trades"
    ORDERS = "orders"  # order states, and whatever the venue tells beside them of positions and balances
    BALANCE = "balance"


class ChannelState(StrEnum):
    """Where one channel stands. Only LIVE data may stand in for a read."""

    STARTING = "starting"  # no complete snapshot yet
    LIVE = "live"
    STALE = "stale"  # older than its bound: reads take over
    BROKEN = "broken"  # a gap or nonsense: thrown away, asked for anew
    DOWN = "down"  # its connection is gone, it comes back by itself
    REFUSED = "refused"  # the venue will not have it: it does not come back by itself (A2, A3, W7)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelHealth:
    """One channel as it stands. `age` is since its last message, None before the first; `bound` is when it turns stale."""

    part: StreamPart
    product_id: ProductId | None
    state: ChannelState
    age: timedelta | None
    bound: timedelta
    since: datetime
    reason: str  # "" when LIVE


class NewsKind(StrEnum):
    """What happened since the last look. All but MARKET are kept, in order."""

    ORDER = "order"  # the state of an order moved: read it
    FILL = "fill"  # something filled: fetch fills, never sum them from messages
    POSITION = "position"
    BALANCE = "balance"
    MARKET = "market"  # a book, mark or trade moved; one a product and look
    GAP = "gap"  # messages are missing: what the channel built was thrown away; of the tape (TRADES): counted only
    UP = "up"  # a connection stands and its channels are confirmed: reconcile
    DOWN = "down"
    OVERFLOW = "overflow"  # order events may be missing: reconcile
    LATE_REPLY = "late_reply"  # the answer to a call that had given up: evidence about its order


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One happening, in our words. Ids are None where the venue named none; `at` is its arrival in our clock."""

    kind: NewsKind
    at: datetime
    part: StreamPart | None = None
    product_id: ProductId | None = None
    venue_order_id: VenueOrderId | None = None
    client_order_id: ClientOrderId | None = None
    detail: str = ""

    @property
    def unsettles(self) -> bool:
        """True when what was known of orders may be incomplete: a reconcile is due."""
        unsure = {NewsKind.UP, NewsKind.OVERFLOW}
        return self.kind in unsure or (self.kind is NewsKind.GAP and self.part is StreamPart.ORDERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFigures:
    """A run's streams in figures (design 10).

    `uptime`: share of the time since the first complete snapshot of every channel (ten seconds after the first of them at
    the latest: a channel that is mute from the start counts as stale) in which each was younger than its bound, read
    confirmations not counted; None before that. `recoveries`: from a fault seen to the proven safe
    state, one each. `ages`: of the market data at each look of the loop. `dropped`: market messages pushed out.
    """

    uptime: Decimal | None
    messages: int
    gaps: int
    reconnects: int
    dropped: int
    confirmed_by_read: int
    recoveries: tuple[timedelta, ...]
    ages: tuple[timedelta, ...]


class Streams(Protocol):
    """Live data of one profile, for the one thread that decides: each method first works off what has arrived.

    Nothing here raises for the wire and nothing waits but `wait`; a channel that is down has no data.
    """

    def start(self, products: Sequence[ProductId]) -> None:
        """Connections are being made; channels of these products and of the account are asked for."""

    def stop(self) -> None:
        """Everything is closed, readers gone."""

    def take(self) -> tuple[News, ...]:
        """What happened since the last call, in order."""

    def wait(self, within: timedelta) -> bool:
        """True as soon as news of orders, or market news, has come; at the latest after `within`."""

    def book(self, product_id: ProductId) -> BookView | None:
        """The live book with the moment of its last message; None unless it is LIVE or merely stale, and sound."""

    def mark(self, product_id: ProductId) -> Mark | None:
        """The venue's streamed mark where it streams one; None elsewhere."""

    def confirm(self, read: BookView) -> bool:
        """A read of a quiet book: True when the live book agrees and is renewed; else it is thrown away and asked for anew."""

    def settled(self) -> None:
        """The engine has reconciled after everything that `take` told: what was unsettled is a proven safe state again."""

    def health(self) -> tuple[ChannelHealth, ...]:
        """Each channel asked for, as it stands."""

    def figures(self) -> StreamFigures:
        """Figures since `start`."""
