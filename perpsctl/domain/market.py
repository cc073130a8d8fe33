"""What the market says, dated: book, quote, funding, trading status. Nothing here exists without an age."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from perpsctl.domain.ids import ProductId
from perpsctl.domain.numbers import Notional, Price, Size, bps_between, notional_of
from perpsctl.domain.sides import Side

VENUE_LAG_MAX: Final = timedelta(seconds=2)  # time on the road and the clocks' difference; older counts as that old


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One price of a book with the coin offered there."""

    price: Price
    size: Size


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """What taking `filled` coin from a book costs on average; `filled` may be less than was asked."""

    filled: Size
    average: Price | None
    worst: Price | None


class DataSource(StrEnum):
    """How data reached us: asked for, or told on a stream. Streams are hints, reads are truth."""

    READ = "read"
    STREAM = "stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class BookView:
    """A book as of a moment, best first on both sides, sizes in coin.

    `as_of`, in our clock: of a read, when we asked; of a stream, when the last message of its channel arrived.
    """

    product_id: ProductId
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    as_of: datetime
    venue_time: datetime | None = None
    last: Price | None = None
    source: DataSource = DataSource.READ

    @property
    def best_bid(self) -> Price | None:
        return self.bids[0].price if self.bids else None

    @property
    def best_ask(self) -> Price | None:
        return self.asks[0].price if self.asks else None

    @property
    def sound(self) -> bool:
        """True when both sides are there and do not cross: only then may a price be taken from it (fault W9)."""
        return bool(self.bids) and bool(self.asks) and self.bids[0].price < self.asks[0].price

    @property
    def mid(self) -> Price | None:
        if not self.sound:
            return None
        return Price((self.bids[0].price + self.asks[0].price) / 2)

    def middle_mark(self) -> "Mark | None":
        """The middle as a mark with this book's age; None of a book that is not sound."""
        mid = self.mid
        return None if mid is None else Mark(price=mid, as_of=self.as_of, source=MarkSource.BOOK_MID)

    def hit_by(self, side: Side) -> tuple[Level, ...]:
        """The levels an order of this side takes from: a buy takes the asks."""
        return self.asks if side is Side.BUY else self.bids

    def walk(self, side: Side, size: Size) -> Walk:
        """Take `size` coin from the side an order of `side` hits, best price first."""
        left, paid, worst = size, Decimal(0), None
        for level in self.hit_by(side):
            if left <= 0:
                break
            taken = min(left, level.size)
            paid += taken * level.price
            left = Size(left - taken)
            worst = level.price
        filled = Size(size - left)
        average = Price(paid / filled) if filled > 0 else None
        return Walk(filled=filled, average=average, worst=worst)

    def impact_bps(self, side: Side, size: Size) -> Decimal | None:
        """How far the average price of taking `size` is from mid, against us positive; None when the book cannot tell."""
        mid, walked = self.mid, self.walk(side, size)
        if mid is None or walked.average is None or walked.filled < size:
            return None
        return bps_between(walked.average, mid) * side.sign

    def depth_within(self, side: Side, band_bps: Decimal) -> Notional | None:
        """Quote value standing within `band_bps` of mid on the side an order of `side` hits; None without a mid."""
        mid = self.mid
        if mid is None:
            return None
        return _within(self.hit_by(side), mid, band_bps)


def _within(levels: Iterable[Level], mid: Price, band_bps: Decimal) -> Notional:
    reach = mid * band_bps / 10_000
    total = Decimal(0)
    for level in levels:
        if abs(level.price - mid) > reach:
            break
        total += notional_of(level.price, level.size)
    return Notional(total)


class MarkSource(StrEnum):
    """Where a mark came from: US v3 publishes none, so the middle of a fresh book serves (design 6)."""

    BOOK_MID = "book_mid"
    VENUE = "venue"
    LAST_KNOWN = "last_known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A price positions are valued at."""

    price: Price
    as_of: datetime
    source: MarkSource


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingTerms:
    """Funding of a perp. Rates are fractions for one `interval`; above zero longs pay shorts.

    A venue may be judged by two rates, one of a past period and one that accrues, which can differ in sign: `long_rate`
    is then the dearer of them for a long, `short_rate` for a short, and `rate` the larger in amount.
    """

    rate: Decimal | None
    interval: timedelta | None
    next_accrual: datetime | None
    as_of: datetime
    long_rate: Decimal | None = None
    short_rate: Decimal | None = None
    rate_time: datetime | None = None  # the hour `rate` is of, where the venue tells it

    def daily_rate(self) -> Decimal | None:
        """The last rate carried on for 24 hours; None when the venue did not say."""
        return self._a_day(self.rate)

    def daily_cost(self, *, long: bool) -> Decimal | None:
        """What a day costs that side, as a share of notional: below zero it receives. None when the venue did not say."""
        told = self.long_rate if long else self.short_rate
        daily = self._a_day(self.rate if told is None else told)
        return daily if daily is None or long else -daily

    def _a_day(self, rate: Decimal | None) -> Decimal | None:
        if rate is None or self.interval is None or self.interval <= timedelta(0):
            return None
        return rate * (timedelta(days=1) // self.interval)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceLimits:
    """Between which prices a venue takes limit orders; None where it tells none.

    A buy above the highest and a sell below the lowest are moved there without a word (Global reference 7, 2026-11-22).
    """

    lowest: Price | None
    highest: Price | None

    def drawn_in(self, side: Side, price: Price) -> Price:
        """What the venue would make of this price: never further from the market for us, never on the other side."""
        edge = self.highest if side is Side.BUY else self.lowest
        return edge if edge is not None and (price - edge) * side.sign > 0 else price


class SessionState(StrEnum):
    """Whether the venue's session takes orders; a word we do not know is not open."""

    OPEN = "open"
    CLOSED = "closed"
    UNRECOGNISED = "unrecognised"


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingSession:
    """A venue's own word on when it trades; `maintenance` is (start, end)."""

    state: SessionState
    opens: datetime | None
    closes: datetime | None
    maintenance: tuple[datetime, datetime] | None
    after_hours_entry_disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingStatus:
    """Which kinds of order a product takes now. All flags false and the session open: everything."""

    disabled: bool
    cancel_only: bool
    limit_only: bool
    post_only: bool
    auction: bool
    view_only: bool
    session: TradingSession | None

    @property
    def takes_orders(self) -> bool:
        """True when any new order could be accepted at all."""
        session_open = self.session is None or self.session.state is SessionState.OPEN
        return session_open and not (self.disabled or self.cancel_only or self.auction or self.view_only)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candle:
    """One bar; `start` is its first moment, volume in coin."""

    start: datetime
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Size


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicTrade:
    """A trade of the tape. `maker_side` is the resting order's side (Advanced Trade reference 4.7)."""

    trade_id: str
    price: Price
    size: Size
    time: datetime
    maker_side: Side


def true_age(asked: datetime, venue_time: datetime | None, skew: timedelta | None) -> datetime:
    """As of when figures are, in our clock: when we asked, unless the venue dates them clearly apart from that (M2).

    A venue that serves old figures answers as fast as ever: the moment we asked says nothing of them. `skew` is how far
    its clock is ahead of ours; without it, or without a date, nothing better than the asking is known.
    """
    if venue_time is None or skew is None:
        return asked
    theirs = venue_time - skew
    return asked if -VENUE_LAG_MAX <= asked - theirs <= VENUE_LAG_MAX else theirs


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketFacts:
    """Everything judged about one product's market, each part with its own age; None is "could not be read"."""

    product_id: ProductId
    book: BookView | None
    index_price: Price | None
    last_price: Price | None
    funding: FundingTerms | None
    status: TradingStatus | None
    product_as_of: datetime | None  # when index, last, funding and status were read
    last_known_price: Price | None = None  # for exits when nothing fresh is there
    mark_price: Price | None = None  # the venue's own, read with the product
    mark_as_of: datetime | None = None  # where the venue dates it clearly apart from `product_as_of`
    streamed_mark: Mark | None = None  # the venue's own, as a stream last told it

    def mark(self) -> Mark | None:
        """The venue's own mark where it publishes one, streamed or read, else the middle of a sound book; with its age."""
        if self.streamed_mark is not None:
            return self.streamed_mark
        if self.mark_price is not None and self.product_as_of is not None:
            return Mark(price=self.mark_price, as_of=self.mark_as_of or self.product_as_of, source=MarkSource.VENUE)
        return None if self.book is None else self.book.middle_mark()

    def best_known_price(self) -> Price | None:
        """Some price to bound an exit with: mark, else index, else last, else last known; never for an entry."""
        mark = self.mark()
        if mark is not None:
            return mark.price
        return self.index_price or self.last_price or self.last_known_price
