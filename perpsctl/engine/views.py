"""Builds the dated view a verdict rests on. A failed read leaves None and a problem; it never looks like zero or flat (L5).

Order of reads matters: live orders come before positions, so that a fill in between is counted twice rather than not at
all, and the book comes last because its age is bound tightest. A live streamed book stands in for the read of it
(`live.py`). Nothing here judges.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Final

from perpsctl.domain.accounts import (
    AccountView,
    Calendar,
    EquityMark,
    HeldMark,
    MarginWindow,
    OrdersRead,
    PositionsRead,
    RiskView,
    ServerTime,
)
from perpsctl.domain.errors import JournalUnavailable, UsageError, VenueUnreachable
from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import BookView, Mark, MarketFacts, true_age
from perpsctl.domain.numbers import Price
from perpsctl.domain.ports import Clock, Journal, Venue
from perpsctl.domain.products import Product
from perpsctl.engine.live import LiveData
from perpsctl.engine.reading import Problem, Reads

HELD_BOOK_DEPTH: Final = 5  # another product's book is read for its middle only
SERVER_TIME_MAX_AGE: Final = timedelta(seconds=45)  # below the limit on its age, with room for the judging
MARGIN_WINDOW_MAX_AGE: Final = timedelta(seconds=60)
PRODUCT_MAX_AGE: Final = timedelta(seconds=2)  # with room below the limit on its age
MARK_RECORD_INTERVAL: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A view and what could not be read for it."""

    view: RiskView
    problems: tuple[Problem, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(problem.note for problem in self.problems)


def no_cash_times() -> tuple[time, ...]:
    """Nothing configured: risk falls back to the hourly accrual, which is stricter (design 6, `quiet_minutes`)."""
    return ()


class Views:
    """Reads venue and market for one verdict at a time; remembers the last price and specification of each product."""

    def __init__(
        self,
        *,
        venue: Venue,
        journal: Journal,
        clock: Clock,
        cash_times: Callable[[], tuple[time, ...]] = no_cash_times,
        reach_bps: Decimal = Decimal(25),
        live: LiveData | None = None,
    ) -> None:
        """`reach_bps`: how far from its middle a book has to be read for the rules that walk it.

        `live` is the market data that streams tell; None: everything is read.
        """
        self._venue = venue
        self._journal = journal
        self._clock = clock
        self._cash_times = cash_times
        self._reach_bps = reach_bps
        self._live = live
        self._products: dict[ProductId, Product] = {}
        self._last_prices: dict[ProductId, Price] = {}
        self._server_time: ServerTime | None = None
        self._margin: tuple[datetime, MarginWindow] | None = None
        self._marked_at: datetime | None = None

    # --- whole views -----------------------------------------------------------------------------------

    def fresh(
        self,
        product_id: ProductId,
        *,
        product: Product | None = None,
        orders: OrdersRead | None = None,
        account: AccountView | None = None,
        positions: PositionsRead | None = None,
        streamed: bool = True,
    ) -> Seen:
        """The view an entry is judged by. Raises when the product cannot be read or the venue refuses our key.

        What is handed in is not read again: parts the caller has just read, or holds with their age. `orders` must be
        older than any position. Without `streamed` nothing streamed is in it: proof for what a stream only hinted at.
        """
        reads = Reads()
        product = self.product(product_id) if product is None else product
        seen = self._build(product, reads, orders, account, positions, live=self._live if streamed else None)
        refused = reads.refused()
        if refused is not None:
            raise refused
        return seen

    def for_exit(self, product_id: ProductId) -> Seen:
        """Whatever can be read, for the way out: an older specification serves where the product cannot be read.

        Raises only when this product was never read at all, for nothing can be put on an unknown grid.
        """
        reads = Reads()
        product = reads.attempt("product", lambda: self.product(product_id)) or self._products.get(product_id)
        if product is None:
            raise VenueUnreachable(
                f"the specification of {product_id} could not be read",
                fix="repeat; the position stands as it was, and cancels work without it",
            )
        return self._build(product, reads, live=self._live)

    def _build(
        self,
        product: Product,
        reads: Reads,
        orders: OrdersRead | None = None,
        account: AccountView | None = None,
        positions: PositionsRead | None = None,
        *,
        live: LiveData | None,
    ) -> Seen:
        read_now = account is None and positions is None
        server_time = reads.attempt("server time", self.server_time)
        window = reads.attempt("margin window", self.margin_window)
        if orders is None:
            orders = reads.attempt("live orders", self._venue.live_orders)
        if account is None:
            account = reads.attempt("account", self._venue.account)
        if positions is None:
            positions = reads.attempt("positions", self._venue.positions)
        marks = self._other_marks(product.product_id, positions, orders, reads, live)
        product = self._not_old(product, reads)
        book = self._book(product.product_id, product.levels_within(self._reach_bps), reads, "book", live)
        market = self._market(product, book, None if live is None else live.mark(product.product_id))
        mark = market.mark()
        if mark is not None:
            marks[product.product_id] = mark
        view = RiskView(
            now=self._clock.now(),
            product=product,
            market=market,
            marks=marks,
            account=account,
            positions=positions,
            orders=orders,
            server_time=server_time,
            calendar=Calendar(funding_cash_times=self._cash_times(), margin_window=window),
            native_reduce_only=self._venue.capabilities.native_reduce_only,
        )
        if read_now:  # equity is recorded with prices of its own moment, never with those of a later one
            self._heal_baseline(account, positions, self.young(marks), reads)
        return Seen(view=view, problems=reads.problems)

    # --- parts -------------------------------------------------------------------------------------------

    def product(self, product_id: ProductId) -> Product:
        """The specification as the venue tells it now; remembered for exits."""
        product = self._venue.product(product_id)
        self._products[product_id] = product
        price = product.index_price if product.last_price is None else product.last_price
        if price is not None and product_id not in self._last_prices:
            self._last_prices[product_id] = price
        return product

    def server_time(self) -> ServerTime:
        """The venue's clock against ours, measured at most a minute ago."""
        held, now = self._server_time, self._clock.now()
        if held is None or not timedelta(0) <= now - held.as_of <= SERVER_TIME_MAX_AGE:
            held = self._server_time = self._venue.server_time()
        return held

    def margin_window(self) -> MarginWindow:
        """Which margin rates hold now, read at most a minute ago and never kept past its end."""
        now = self._clock.now()
        if self._margin is not None:
            read_at, window = self._margin
            ended = window.ends is not None and now >= window.ends
            if timedelta(0) <= now - read_at <= MARGIN_WINDOW_MAX_AGE and not ended:
                return window
        window = self._venue.margin_window()
        self._margin = (now, window)
        return window

    def last_price(self, product_id: ProductId) -> Price | None:
        """The last price seen for the product by this process."""
        return self._last_prices.get(product_id)

    def _skew(self) -> timedelta | None:
        return None if self._server_time is None else self._server_time.skew

    def _market(self, product: Product, book: BookView | None, streamed: Mark | None) -> MarketFacts:
        held = self._last_prices.get(product.product_id)
        market = MarketFacts(
            product_id=product.product_id,
            book=book,
            index_price=product.index_price,
            last_price=product.last_price,
            funding=product.funding,
            status=product.status,
            product_as_of=product.as_of,
            last_known_price=held,
            mark_price=product.mark_price,
            mark_as_of=true_age(product.as_of, product.mark_time, self._skew()),
            streamed_mark=streamed,
        )
        mark = market.mark()
        if mark is not None:
            self._last_prices[product.product_id] = mark.price
        return market

    def _not_old(self, product: Product, reads: Reads) -> Product:
        """The product read again where the other reads took long; UsageError when its grid moved meanwhile (M5)."""
        if timedelta(0) <= self._clock.now() - product.as_of <= PRODUCT_MAX_AGE:
            return product
        newer = reads.attempt("product", lambda: self.product(product.product_id))
        if newer is None:
            return product
        if grid_of(newer) != grid_of(product):
            raise UsageError("the product's contract or steps changed just now; nothing was sent", fix="repeat")
        return newer

    def _other_marks(
        self,
        judged: ProductId,
        positions: PositionsRead | None,
        orders: OrdersRead | None,
        reads: Reads,
        live: LiveData | None,
    ) -> dict[ProductId, Mark]:
        """A mark for every other product held or ordered; one that cannot be had is left out, and rules that need it deny."""
        marks: dict[ProductId, Mark] = {}
        counted = {p.product_id for p in positions.positions} if positions is not None else set()
        counted |= {o.product_id for o in orders.orders} if orders is not None else set()
        try:
            counted |= {each.product_id for each in self._journal.booked().live}
        except JournalUnavailable as error:
            reads.note("orders in the journal", error)
        for product_id in sorted(counted - {judged}):
            mark = self._mark(product_id, reads, live)
            if mark is not None:
                marks[product_id] = mark
        return marks

    def mark(self, product_id: ProductId, reads: Reads) -> Mark | None:
        """The middle of this product's book, live or read now; None with a problem noted when there is none."""
        return self._mark(product_id, reads, self._live)

    def _mark(self, product_id: ProductId, reads: Reads, live: LiveData | None) -> Mark | None:
        book = self._book(product_id, HELD_BOOK_DEPTH, reads, f"book of {product_id}", live)
        mark = None if book is None else book.middle_mark()
        if mark is not None:
            self._last_prices[product_id] = mark.price
        return mark

    def young(self, marks: Mapping[ProductId, Mark]) -> dict[ProductId, Mark]:
        """Those of the marks a loss or an exposure may be told by: an old one tells nothing (L5, M2)."""
        if self._live is None:
            return dict(marks)
        return {product_id: mark for product_id, mark in marks.items() if self._live.within_bound(mark)}

    def _book(
        self, product_id: ProductId, depth: int, reads: Reads, part: str, live: LiveData | None
    ) -> BookView | None:
        def read() -> BookView:
            return dated(self._venue.book(product_id, depth), self._server_time)

        return reads.attempt(part, read) if live is None else live.book(product_id, read, reads, part)

    # --- baseline -----------------------------------------------------------------------------------------

    def _heal_baseline(
        self,
        account: AccountView | None,
        positions: PositionsRead | None,
        marks: Mapping[ProductId, Mark],
        reads: Reads,
    ) -> None:
        """Record equity when none was recorded in the last minute, so that a missing loss baseline heals by reading."""
        now = self._clock.now()
        if self._marked_at is not None and timedelta(0) <= now - self._marked_at < MARK_RECORD_INTERVAL:
            return
        mark = equity_mark(account, positions, marks)
        if mark is None:
            return
        try:
            self._journal.record_mark(mark)  # step: record_mark
        except JournalUnavailable as error:
            reads.note("equity mark", error)
            return
        self._marked_at = now


def dated(book: BookView, time_: ServerTime | None) -> BookView:
    """The book with its age by the venue's own time, where that lies clearly apart from the moment we asked (M2)."""
    return replace(book, as_of=true_age(book.as_of, book.venue_time, None if time_ is None else time_.skew))


def grid_of(product: Product) -> tuple[object, ...]:
    """What an order was put on the grid of."""
    return (product.contract_size, product.size_step, product.min_size, product.max_size, product.price_steps)


def equity_mark(
    account: AccountView | None, positions: PositionsRead | None, marks: Mapping[ProductId, Mark]
) -> EquityMark | None:
    """Equity with the positions and prices it rests on; None unless every part is there."""
    if account is None or positions is None:
        return None
    held = []
    for position in positions.positions:
        mark = marks.get(position.product_id)
        if mark is None:
            return None
        held.append(HeldMark(product_id=position.product_id, coin=position.coin, price=mark.price))
    return EquityMark(at=account.as_of, equity=account.equity, held=tuple(held))
