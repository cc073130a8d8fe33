"""Who trades with whom: the operator's order against makers' depth, and takers against the operator's resting orders.

Pure rules: they say what would fill and change nothing. An order of the operator never trades with another of the
operator: the resting one is cancelled (self-trade prevention "cancel resting"; the venue's own rule is unknown).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from perpsctl.simulator.book import LiveOrder
from perpsctl.simulator.market import Flow, Touch
from perpsctl.simulator.orders import Side


@dataclass(frozen=True, slots=True)
class Walk:
    """What a taker would get: (ticks, contracts) from the best price on, and what is left over."""

    steps: tuple[tuple[int, int], ...]
    left: int

    @property
    def filled(self) -> int:
        """Contracts that would fill."""
        return sum(contracts for _, contracts in self.steps)

    def average(self, step: Decimal) -> Decimal | None:
        """Volume-weighted price; None when nothing would fill."""
        if not self.steps:
            return None
        return sum((Decimal(ticks * contracts) for ticks, contracts in self.steps), Decimal(0)) / self.filled * step


def walk(depth: Iterable[tuple[int, int]], side: Side, contracts: int, limit: int | None) -> Walk:
    """Walks the opposite side's (ticks, contracts), best first, as far as size and limit allow."""
    steps: list[tuple[int, int]] = []
    left = contracts
    for ticks, available in depth:
        if left <= 0 or (limit is not None and (ticks - limit) * side.sign > 0):
            break
        part = min(left, available)
        steps.append((ticks, part))
        left -= part
    return Walk(tuple(steps), left)


@dataclass(frozen=True, slots=True)
class MakerFill:
    """A resting order of the operator that trades; at its own price."""

    order: LiveOrder
    contracts: int


def crossed(orders: Sequence[LiveOrder], touch: Touch) -> list[MakerFill]:
    """Orders of one side that the makers' opposite quote has reached or passed: they fill whole."""
    fills: list[MakerFill] = []
    for order in orders:
        assert order.ticks is not None
        opposite = touch.ask if order.side is Side.BUY else touch.bid
        if (order.ticks - opposite) * order.side.sign < 0:
            break  # best first: none behind it is reached either
        fills.append(MakerFill(order, int(order.left)))
    return fills


def hit(orders: Sequence[LiveOrder], touch: Touch, flow: Flow, times: int = 1) -> list[MakerFill]:
    """What one taker order does to the orders of one side: the queue ahead first, then each in its turn.

    An order is reached when it stands at or before the makers' best price (or before where the trade was recorded).
    A trade recorded through an order's price fills it whatever stood before it. `times` repeats the flow, for
    stretches of path that are walked in one stride.
    """
    fills: list[MakerFill] = []
    left = flow.contracts * times
    for order in orders:
        assert order.ticks is not None
        sign = order.side.sign
        best = touch.bid if order.side is Side.BUY else touch.ask
        reach = best if flow.ticks is None else flow.ticks
        if left <= 0 or (order.ticks - reach) * sign < 0:
            break
        if order.ticks == best and reach == best:
            before = min(left, order.queue_ahead)
            order.queue_ahead -= before
            left_for_us = left - before
        else:
            left_for_us = left
        part = min(left_for_us, int(order.left))
        if part > 0:
            fills.append(MakerFill(order, part))
            left -= part
    return fills
