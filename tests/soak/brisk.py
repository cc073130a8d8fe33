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
NEAR_EVERY: Final = 3  # every third entry rests at the touch, where it may fill; the others stand off
OFF_STEPS: Final = 40  # of the price grid


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
        """One order out at a time; whatever is held goes before anything is opened, late fills of cancelled ones too."""
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
        side = Side.BUY if self._round % 2 else Side.SELL
        return self._wish(state, side, state.product.min_size, self._price(book, side, state.product))

    def _way_back(self, state: StrategyState, book: BookView) -> Proposal:
        side = Side.SELL if state.position > 0 else Side.BUY
        price = beyond_touch(book, side, state.product)
        reduces = not denied_as_not_reducing(state)
        return self._wish(state, side, Size(abs(state.position)), price, take=True, reduce_only=reduces)

    def _wish(
        self,
        state: StrategyState,
        side: Side,
        size: Size,
        price: Price,
        *,
        take: bool = False,
        reduce_only: bool = False,
    ) -> Proposal:
        self._asked_at = state.now
        self._round += 1
        reason = f"brisk {self._round}"  # each is another order to the duplicate guard
        return Proposal(
            wishes=(Wish(side=side, size=size, price=price, reason=reason, take=take, reduce_only=reduce_only),)
        )

    def _price(self, book: BookView, side: Side, product: Product) -> Price:
        best = touch(book, side)
        step = product.price_step(best)
        away = step * (2 if self._round % NEAR_EVERY == 0 else OFF_STEPS)
        return Price(step_down(best - away, step) if side is Side.BUY else step_up(best + away, step))

    def _paused(self, now: datetime) -> bool:
        return self._asked_at is None or now - self._asked_at >= PAUSE
