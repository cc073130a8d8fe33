"""The soak's strategy: what the canary does, without its patience, so that half an hour holds a thousand orders a venue.

Installed by the soak as an entry point of a folder of its own; nothing of it is in the product.
"""

from datetime import datetime, timedelta
from typing import Final

from perpsctl.domain.accounts import TradingState
from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import BookView
from perpsctl.domain.numbers import Price, Size, step_down, step_up
from perpsctl.domain.products import Product
from perpsctl.domain.sides import Side
from perpsctl.engine.strategies.canary import beyond_touch, denied_as_not_reducing, touch
from perpsctl.engine.strategies.protocol import Proposal, StrategyState, Wish

REST: Final = timedelta(milliseconds=600)  # how long an order rests before it is cancelled
PAUSE: Final = timedelta(milliseconds=100)  # before the next
AROUND: Final = ((Side.BUY, 60), (Side.SELL, 60))  # entries that stand off the touch by so many steps of the grid
# And one more, every other time so near that it may fill.
NEAR: Final = ((Side.BUY, 2), (Side.SELL, 40), (Side.SELL, 2), (Side.BUY, 40))
ORDERS: Final = len(AROUND) + 1  # of a round


class Brisk:
    """Minimum size on one product: in, cancelled soon or filled, and back to flat at a bounded price."""

    def __init__(self, product_id: ProductId) -> None:
        self._product_id = product_id
        self._asked_at: datetime | None = None
        self._round = 0

    @property
    def name(self) -> str:
        return "brisk"

    @property
    def product_id(self) -> ProductId:
        return self._product_id

    def propose(self, state: StrategyState) -> Proposal:
        """Three orders a round, cancelled together; whatever is held goes before anything is opened, late fills too."""
        book = state.view.market.book
        mine = tuple(each for each in state.working if each.intent.reason.startswith("brisk"))
        if mine:
            old = tuple(each.venue_order_id for each in mine if each.age(state.now) >= REST)
            return Proposal(cancels=old)
        if state.in_doubt or book is None or not book.sound or not self._paused(state.now):
            return Proposal()
        if state.position:
            return self._way_back(state, book)
        if state.trading is not TradingState.ACTIVE:
            return Proposal()
        self._asked_at = state.now
        smallest = state.product.min_size
        return Proposal(
            wishes=tuple(
                self._wish(side, smallest, self._price(book, side, state.product, steps=steps))
                for side, steps in (*AROUND, NEAR[self._round // ORDERS % len(NEAR)])
            )
        )

    def _way_back(self, state: StrategyState, book: BookView) -> Proposal:
        side = Side.SELL if state.position > 0 else Side.BUY
        price = beyond_touch(book, side, state.product)
        self._asked_at = state.now
        reduces = not denied_as_not_reducing(state)
        return Proposal(wishes=(self._wish(side, Size(abs(state.position)), price, take=True, reduce_only=reduces),))

    def _wish(self, side: Side, size: Size, price: Price, *, take: bool = False, reduce_only: bool = False) -> Wish:
        self._round += 1
        reason = f"brisk {self._round}"  # each is another order to the duplicate guard
        return Wish(side=side, size=size, price=price, reason=reason, take=take, reduce_only=reduce_only)

    def _price(self, book: BookView, side: Side, product: Product, *, steps: int) -> Price:
        best = touch(book, side)
        step = product.price_step(best)
        away = step * steps
        return Price(step_down(best - away, step) if side is Side.BUY else step_up(best + away, step))

    def _paused(self, now: datetime) -> bool:
        return self._asked_at is None or now - self._asked_at >= PAUSE
