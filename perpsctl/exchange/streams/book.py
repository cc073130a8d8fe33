"""The streamed book of one product: exact, sorted, dated, and silent when it cannot be believed (fault W9).

Whole numbers inside, Decimal at the door. A row that cannot be kept exactly, a gap, too many levels: the book is thrown
away by name and stays so until the next snapshot. Nothing here knows a socket, and no price leaves a book that is
empty, one-sided, crossed or broken. For one thread.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import BookView, DataSource, Level, Walk
from perpsctl.domain.numbers import NO_SIZE, Notional, Price, Size
from perpsctl.domain.products import Product
from perpsctl.domain.sides import Side
from perpsctl.exchange.streams.grid import BookFault, BookRefused, Grid, Token
from perpsctl.exchange.streams.ladder import Ladder, LadderFull

__all__ = ["LEVELS_MAX", "BookState", "Broken", "LiveBook", "PriceDoubt", "Row", "Touch"]

LEVELS_MAX: Final = 20_000  # a side; Bitcoin's perpetual books hold some thousands (recorded 2024-08-08)
_BANDS_MAX: Final = 64

# Which side (`bid`, `offer`, `ask`), price and absolute size, as they stood in the message; size 0 removes.
Row = tuple[str, Token, Token]


class BookState(StrEnum):
    """Where the book stands. LIVE says that it is complete, not that it is fresh, two-sided or uncrossed."""

    EMPTY = "empty"  # no snapshot yet
    LIVE = "live"
    BROKEN = "broken"  # thrown away: `broken` says why


class PriceDoubt(StrEnum):
    """Why no price may be taken from a book (W9)."""

    NO_SNAPSHOT = "no_snapshot"
    BROKEN = "broken"
    ONE_SIDED = "one_sided"
    CROSSED = "crossed"
    STALE = "stale"


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """Why a book was thrown away, for the operator."""

    fault: BookFault
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """The best prices of a sound book with the coin standing there."""

    bid: Price
    bid_size: Size
    ask: Price
    ask_size: Size


class LiveBook:
    """The book of `product` as a stream tells it. The wire counts sizes in `coin_per_wire` coin each.

    `as_of` is the arrival of the last message that was applied, in our clock; `venue_time` what that message said. Both
    are None unless LIVE. `state` and `broken` are for reading only.
    """

    __slots__ = (
        "_asks", "_bands", "_bids", "_grid", "_levels_max", "_sides",
        "as_of", "broken", "product_id", "state", "venue_time",
    )  # fmt: skip

    def __init__(self, product: Product, *, coin_per_wire: Decimal, levels_max: int = LEVELS_MAX) -> None:
        self.product_id: ProductId = product.product_id
        self.state = BookState.EMPTY
        self.broken: Broken | None = None
        self.as_of: datetime | None = None
        self.venue_time: datetime | None = None
        self._levels_max = levels_max
        self._grid = Grid(product, coin_per_wire)
        self._bids, self._asks = Ladder(levels_max), Ladder(levels_max)
        bids, asks = (self._grid.bid_keys, self._bids.put), (self._grid.ask_keys, self._asks.put)
        self._sides = {"bid": bids, "offer": asks, "ask": asks}
        self._bands: dict[Decimal, tuple[int, int]] = {}

    # --- what arrives ----------------------------------------------------------------------------------

    def load(self, rows: Iterable[Row], *, as_of: datetime, venue_time: datetime | None = None) -> bool:
        """A snapshot replaces everything; True when the book is LIVE afterwards, False when it is BROKEN by what it held.

        One dated before the live book it was to replace breaks the book: two stories, and no telling which is true (W9).
        """
        known = self.venue_time
        if known is not None and venue_time is not None and venue_time < known:
            return self.invalidate(BookFault.OLDER_SNAPSHOT, "a snapshot is older than the book it was to replace")
        self.reset()
        return self._put(rows, as_of, venue_time)

    def apply(self, rows: Iterable[Row], *, as_of: datetime, venue_time: datetime | None = None) -> bool:
        """Changes of one message, in its order; True when the book is LIVE afterwards. Nothing happens unless it was."""
        return self.state is BookState.LIVE and self._put(rows, as_of, venue_time)

    def renew(self, as_of: datetime) -> None:
        """A read of the venue agreed with this book at `as_of`: a live book is as young as that, never older than it was."""
        if self.as_of is not None and as_of > self.as_of:
            self.as_of = as_of

    def invalidate(self, fault: BookFault, detail: str) -> bool:
        """BROKEN and empty afterwards; False, for callers that end with it. `detail` holds nothing raw from outside."""
        self.reset()
        self.state = BookState.BROKEN
        self.broken = Broken(fault=fault, detail=detail)
        return False

    def reset(self) -> None:
        """EMPTY afterwards: a new connection or subscription, whose snapshot is awaited."""
        self._bids.clear()
        self._asks.clear()
        self.state, self.broken = BookState.EMPTY, None
        self.as_of = self.venue_time = None

    # --- what it says ----------------------------------------------------------------------------------

    @property
    def sound(self) -> bool:
        """True when both sides are there and do not cross: only then may a price be taken from it (W9)."""
        bid, ask = self._bids.best, self._asks.best
        return bid is not None and ask is not None and -bid < ask

    @property
    def levels(self) -> tuple[int, int]:
        """How many levels bids and asks hold."""
        return self._bids.levels, self._asks.levels

    @property
    def best(self) -> Touch | None:
        """The best prices; None unless sound."""
        bid, ask = self._bids.best, self._asks.best
        if bid is None or ask is None or -bid >= ask:
            return None
        grid = self._grid
        return Touch(
            bid=grid.price(bid),
            bid_size=grid.size(self._bids.units_at(bid)),
            ask=grid.price(ask),
            ask_size=grid.size(self._asks.units_at(ask)),
        )

    def doubt(self, now: datetime, age_max: timedelta) -> PriceDoubt | None:
        """Why no price may be taken from this book now; None when one may."""
        if self.state is not BookState.LIVE or self.as_of is None:
            return PriceDoubt.BROKEN if self.state is BookState.BROKEN else PriceDoubt.NO_SNAPSHOT
        if self._bids.best is None or self._asks.best is None:
            return PriceDoubt.ONE_SIDED
        if not self.sound:
            return PriceDoubt.CROSSED
        return PriceDoubt.STALE if now - self.as_of > age_max else None

    def view(self, depth: int | None = None) -> BookView | None:
        """The best `depth` levels a side, all without one; None unless LIVE. Crossed ones too: `BookView.sound` tells."""
        if self.as_of is None:
            return None
        return BookView(
            product_id=self.product_id,
            bids=self._listed(self._bids, depth),
            asks=self._listed(self._asks, depth),
            as_of=self.as_of,
            venue_time=self.venue_time,
            source=DataSource.STREAM,
        )

    def walk(self, side: Side, size: Size) -> Walk:
        """As `BookView.walk` over every level."""
        if size <= 0:
            return Walk(filled=NO_SIZE, average=None, worst=None)
        wanted = self._grid.whole_units(size)
        if wanted is None:  # finer than anything the book can hold: the exact, slow way
            view = self.view()
            return Walk(filled=NO_SIZE, average=None, worst=None) if view is None else view.walk(side, size)
        filled, value, worst = self._hit_by(side).take(wanted)
        if worst is None:
            return Walk(filled=NO_SIZE, average=None, worst=None)
        coin, paid = self._grid.size(filled), self._grid.notional(value)
        return Walk(filled=coin, average=Price(paid / coin), worst=self._grid.price(worst))

    def depth_within(self, side: Side, band_bps: Decimal) -> Notional | None:
        """As `BookView.depth_within`: quote value within `band_bps` of mid on the side hit; None unless sound."""
        bid, ask = self._bids.best, self._asks.best
        if bid is None or ask is None or -bid >= ask:
            return None
        top, bottom = self._ratio(band_bps)
        twice_mid = ask - bid
        reach = twice_mid * top // (bottom * 10_000)  # in half ticks, rounded down: levels stand on even ones
        if side is Side.BUY:
            return self._grid.notional(self._asks.within((twice_mid + reach) // 2)[1])
        return self._grid.notional(self._bids.within((reach - twice_mid) // 2)[1])

    def agrees_with(self, read: BookView, levels: int = 1) -> bool:
        """True when the best `levels` of each side of both sound books are the same in price and size."""
        mine = self.view(levels)
        if mine is None or not mine.sound or not read.sound:
            return False
        return mine.bids == read.bids[:levels] and mine.asks == read.asks[:levels]

    # --- inside ----------------------------------------------------------------------------------------

    def _put(self, rows: Iterable[Row], as_of: datetime, venue_time: datetime | None) -> bool:
        sides, units = self._sides, self._grid.units
        try:
            for side, price, size in rows:
                keys, put = sides[side]
                put(keys[price], units[size])
        except BookRefused as refused:
            return self.invalidate(refused.fault, refused.detail)
        except KeyError:
            return self.invalidate(BookFault.UNREADABLE, "a level is neither a bid nor an offer")
        except LadderFull:  # far-flung levels would each cost a block, long before the message is at its end
            return self._too_many()
        if self._bids.levels > self._levels_max or self._asks.levels > self._levels_max:
            return self._too_many()
        self.state, self.as_of, self.venue_time = BookState.LIVE, as_of, venue_time
        return True

    def _too_many(self) -> bool:
        return self.invalidate(BookFault.TOO_MANY_LEVELS, f"more than {self._levels_max} levels on a side")

    def _hit_by(self, side: Side) -> Ladder:
        return self._asks if side is Side.BUY else self._bids

    def _listed(self, ladder: Ladder, depth: int | None) -> tuple[Level, ...]:
        price, size = self._grid.price, self._grid.size
        return tuple(Level(price=price(key), size=size(units)) for key, units in ladder.items(depth))

    def _ratio(self, band_bps: Decimal) -> tuple[int, int]:
        found = self._bands.get(band_bps)
        if found is None:
            if len(self._bands) >= _BANDS_MAX:
                self._bands.clear()
            found = self._bands[band_bps] = band_bps.as_integer_ratio()
        return found
