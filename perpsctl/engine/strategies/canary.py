"""The canary: the smallest order there is, post-only, on one product; it places, watches, cancels and measures.

Its position never exceeds the product's minimum size: while it holds anything, or has an order out, it opens nothing.
Filled, it rests a reducing order near the touch for a while, then takes its way out at a bounded price. A position larger
than its own could be is somebody else's, and it leaves that alone.
"""

from collections import deque
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Final

from perpsctl.domain.accounts import TradingState
from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import BookView
from perpsctl.domain.numbers import Price, Size, step_down, step_up
from perpsctl.domain.products import Product
from perpsctl.domain.sides import Side
from perpsctl.domain.verdicts import DenialCode
from perpsctl.engine.strategies.protocol import Proposal, StrategyState, Wish, Working

PATIENCE: Final = timedelta(seconds=12)  # how long an unfilled entry rests before it is cancelled
EXIT_PATIENCE: Final = timedelta(seconds=8)  # how long a reducing order rests before the way out is taken
PAUSE: Final = timedelta(seconds=7)  # before an entry
ORDERS_A_ROUND: Final = 3  # in, a resting way back, a taking one: nothing is opened that the budget might not close
EXIT_PAUSE: Final = timedelta(seconds=3)  # between tries of the way back
EXIT_REACH_BPS: Final = Decimal(50)  # how far beyond the touch the taking exit may reach, well inside the exit collar
LOOKS_KEPT: Final = 10  # middles remembered: what the market did lately between two looks
STAND_OFF: Final = 4  # an order stands off the touch by a fourth of the largest such move: it is on its way meanwhile
LEAST_STEPS: Final = 2  # and at least so far, however still it was: a post-only order that meets the touch is rejected,
LEAST_BPS: Final = Decimal(1)  # and acceptance is what the canary is there to show (design 10)


class Canary:
    """Probes one product with its minimum size and works back to flat."""

    def __init__(self, product_id: ProductId) -> None:
        self._product_id = product_id
        self._next_side = Side.BUY
        self._asked_at: datetime | None = None
        self._way_back_rested = False
        self._round = 0
        self._middles: deque[Decimal] = deque(maxlen=LOOKS_KEPT)

    @property
    def name(self) -> str:
        return "canary"

    @property
    def product_id(self) -> ProductId:
        return self._product_id

    def propose(self, state: StrategyState) -> Proposal:
        """At most one order out at a time: an entry when flat, a reduction when not, a cancel when it waited long."""
        book = state.view.market.book
        if book is not None and book.mid is not None:
            self._middles.append(book.mid)
        if state.working:
            return Proposal(cancels=tuple(each.venue_order_id for each in state.working if waited_long(each, state)))
        if state.in_doubt or book is None or not book.sound or abs(state.position) > state.product.min_size:
            return Proposal()
        if state.position:
            return self._way_back(state, book)
        self._way_back_rested = False
        if state.trading is not TradingState.ACTIVE or state.orders_left < ORDERS_A_ROUND:
            return Proposal()
        if not self._paused(state.now, PAUSE):
            return Proposal()
        side, self._next_side = self._next_side, self._next_side.opposite
        self._round += 1
        return self._wish(state, side, state.product.min_size, self._near_touch(book, side, state.product), "canary")

    def _way_back(self, state: StrategyState, book: BookView) -> Proposal:
        """Rest once, then take. Where other orders could close the position too, nothing provably reduces: then it asks
        for a plain order of the same size, which every limit judges."""
        side = Side.SELL if state.position > 0 else Side.BUY
        size = Size(abs(state.position))
        if not self._way_back_rested:
            self._way_back_rested = True
            price = self._near_touch(book, side, state.product)
            return self._wish(state, side, size, price, "canary back", reduce_only=True)
        if not self._paused(state.now, EXIT_PAUSE):
            return Proposal()
        price = beyond_touch(book, side, state.product)
        plain = denied_as_not_reducing(state)
        return self._wish(state, side, size, price, "canary out", take=True, reduce_only=not plain)

    def _wish(
        self,
        state: StrategyState,
        side: Side,
        size: Size,
        price: Price,
        reason: str,
        *,
        take: bool = False,
        reduce_only: bool = False,
    ) -> Proposal:
        self._asked_at = state.now
        wish = Wish(
            side=side,
            size=size,
            price=price,
            reason=f"{reason} {self._round}",  # a new round is no duplicate of the last one (duplicate guard)
            take=take,
            reduce_only=reduce_only,
        )
        return Proposal(wishes=(wish,))

    def _near_touch(self, book: BookView, side: Side, product: Product) -> Price:
        """The touch of our side, stood off by what the market moves while an order is on its way."""
        middles = tuple(self._middles)
        moves = (abs(after - before) for before, after in pairwise(middles))
        best = touch(book, side)
        step = product.price_step(best)
        away = max(max(moves, default=Decimal(0)) / STAND_OFF, LEAST_STEPS * step, best * LEAST_BPS / 10_000)
        return Price(step_down(best - away, step) if side is Side.BUY else step_up(best + away, step))

    def _paused(self, now: datetime, pause: timedelta) -> bool:
        return self._asked_at is None or now - self._asked_at >= pause


def waited_long(working: Working, state: StrategyState) -> bool:
    """True when the order rested as long as it is given to, or when its own side of the position is gone."""
    if working.intent.reduce_only:
        return working.age(state.now) >= EXIT_PATIENCE or state.position * working.intent.side.sign >= 0
    return working.age(state.now) >= PATIENCE


def denied_as_not_reducing(state: StrategyState) -> bool:
    """True when what was asked for last was denied because other orders could close the position too."""
    denials = (denial for report in state.last_reports if report.denied for denial in report.denied.denials)
    return any(denial.code is DenialCode.NOT_REDUCING for denial in denials)


def touch(book: BookView, side: Side) -> Price:
    """The best price of our own side: an order there rests and is next to trade. The book must be sound."""
    return book.bids[0].price if side is Side.BUY else book.asks[0].price


def beyond_touch(book: BookView, side: Side, product: Product) -> Price:
    """A price that takes from the other side, bounded, rounded towards the less aggressive."""
    best = book.asks[0].price if side is Side.BUY else book.bids[0].price
    reach = best * (1 + side.sign * EXIT_REACH_BPS / 10_000)
    step = product.price_step(best)
    return Price(step_down(reach, step) if side is Side.BUY else step_up(reach, step))
