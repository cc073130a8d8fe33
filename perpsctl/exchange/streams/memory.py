"""What was told of orders last, so that the same state told twice is no news and an older one is none either (W3, W8).

Bounded: the oldest are forgotten, and news of a forgotten order is told once too often, which costs a read.
"""

from collections import OrderedDict
from collections.abc import Hashable
from decimal import Decimal

__all__ = ["Moved", "Orders", "Seen"]

KEPT_MAX = 10_000


class Moved:
    """What a state said that was not known."""

    __slots__ = ("filled", "order")

    def __init__(self, *, order: bool, filled: bool) -> None:
        self.order = order
        self.filled = filled


NOTHING_NEW = Moved(order=False, filled=False)


class Orders:
    """The last cumulative state of each order."""

    def __init__(self, most: int = KEPT_MAX) -> None:
        self._most = most
        self._known: OrderedDict[str, tuple[Decimal, bool, Hashable]] = OrderedDict()

    def told(self, order_id: str, *, filled: Decimal, final: bool, state: Hashable) -> Moved:
        """What is new. Less filled than before is an old message; so is a state that is not final after one that was."""
        known = self._known.get(order_id)
        if known is None:
            self._keep(order_id, filled, final, state)
            return Moved(order=True, filled=filled > 0)
        before, was_final, last = known
        if filled < before or (was_final and not final) or (filled == before and state == last):
            return NOTHING_NEW
        self._keep(order_id, filled, final, state)
        return Moved(order=True, filled=filled > before)

    def _keep(self, order_id: str, filled: Decimal, final: bool, state: Hashable) -> None:
        self._known[order_id] = (filled, final, state)
        self._known.move_to_end(order_id)
        if len(self._known) > self._most:
            self._known.popitem(last=False)


class Seen:
    """What was told already."""

    def __init__(self, most: int = KEPT_MAX) -> None:
        self._most = most
        self._known: OrderedDict[Hashable, None] = OrderedDict()

    def is_new(self, what: Hashable) -> bool:
        """True the first time, and again once it is forgotten."""
        if what in self._known:
            return False
        self._known[what] = None
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        return True
