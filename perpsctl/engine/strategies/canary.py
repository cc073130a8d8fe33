"""The canary: the smallest order there is, post-only, on one product; it places, watches, cancels and measures.

Its position never exceeds the product's minimum size: while it holds anything, or has an order out, it opens nothing.
Filled, it rests a reducing order at the touch for a while, then takes its way out at a bounded price. A position larger
than its own could be is somebody else's, and it leaves that alone.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from perpsctl.domain.accounts import TradingState
from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import BookView
from perpsctl.domain.numbers import Price, Size, step_down, step_up
from perpsctl.domain.products import Product
from perpsctl.domain.sides import Side
from perpsctl.engine.strategies.protocol import Proposal, StrategyState, Wish, Working

PATIENCE: Final = timedelta(seconds=12)  # how long an unfilled entry rests before it is cancelled
EXIT_PATIENCE: Final = timedelta(seconds=8)  # how long a reducing order rests before the way out is taken
PAUSE: Final = timedelta(seconds=7)  # between orders: below the default budget of ten a minute
EXIT_REACH_BPS: Final = Decimal(50)  # how far beyond the touch the taking exit may reach, well inside the exit collar


class Canary:
    """Probes one product with its minimum size and works back to flat."""

    def __init__(self, product_id: ProductId) -> None:
        self._product_id = product_id
        self._next_side = Side.BUY
        self._asked_at: datetime | None = None
        self._way_back_rested = False

    @property
    def name(self) -> str:
        return "canary"

    @property
    def product_id(self) -> ProductId:
        return self._product_id

    def propose(self, state: StrategyState) -> Proposal:
        """At most one order out at a time: an entry when flat, a reduction when not, a cancel when it waited long."""
        if state.working:
            return Proposal(cancels=tuple(each.venue_order_id for each in state.working if waited_long(each, state)))
        book = state.view.market.book
        if state.in_doubt or book is None or not book.sound:
            return Proposal()
        if abs(state.position) > state.product.min_size:
            return Proposal()
        if state.position:
            return self._way_back(state, book)
        self._way_back_rested = False
        if state.trading is not TradingState.ACTIVE or not self._paused(state.now):
            return Proposal()
        wish = Wish(
            side=self._next_side, size=state.product.min_size, price=touch(book, self._next_side), reason="canary"
        )
        self._next_side = self._next_side.opposite
        self._asked_at = state.now
        return Proposal(wishes=(wish,))

    def _way_back(self, state: StrategyState, book: BookView) -> Proposal:
        side = Side.SELL if state.position > 0 else Side.BUY
        size = Size(abs(state.position))
        if not self._way_back_rested:
            self._way_back_rested = True
            price = touch(book, side)
            wish = Wish(side=side, size=size, price=price, reason="canary back", reduce_only=True)
        else:
            price = beyond_touch(book, side, state.product)
            wish = Wish(side=side, size=size, price=price, reason="canary out", take=True, reduce_only=True)
        self._asked_at = state.now
        return Proposal(wishes=(wish,))

    def _paused(self, now: datetime) -> bool:
        return self._asked_at is None or now - self._asked_at >= PAUSE


def waited_long(working: Working, state: StrategyState) -> bool:
    """True when the order rested as long as it is given to, or when its own side of the position is gone."""
    if working.intent.reduce_only:
        return working.age(state.now) >= EXIT_PATIENCE or state.position * working.intent.side.sign >= 0
    return working.age(state.now) >= PATIENCE


def touch(book: BookView, side: Side) -> Price:
    """The best price of our own side: an order there rests and is next to trade. The book must be sound."""
    return book.bids[0].price if side is Side.BUY else book.asks[0].price


def beyond_touch(book: BookView, side: Side, product: Product) -> Price:
    """A price that takes from the other side, bounded, rounded towards the less aggressive."""
    best = book.asks[0].price if side is Side.BUY else book.bids[0].price
    reach = best * (1 + side.sign * EXIT_REACH_BPS / 10_000)
    step = product.price_step(best)
    return Price(step_down(reach, step) if side is Side.BUY else step_up(reach, step))
