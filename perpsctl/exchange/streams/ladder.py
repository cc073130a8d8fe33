"""One side of a book as whole numbers: sizes by key, lowest key first, with sums a band or a walk can use.

Keys are ticks, negated for bids, so that on both sides the best price is the lowest key. Levels stand in blocks of 64
neighbouring keys, made when needed and dropped when empty: the ladder follows the price wherever it walks and never
has to be centred anew. Nothing here rounds, and no Decimal is made.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from itertools import islice
from operator import mul
from typing import Final

__all__ = ["Ladder", "LadderFull", "Taken"]

_BITS: Final = 6
_WIDTH: Final = 1 << _BITS
_MASK: Final = _WIDTH - 1
# Behind a block's sizes stand its figures.
_COUNT: Final = _WIDTH
_UNITS: Final = _WIDTH + 1
_VALUE: Final = _WIDTH + 2
_EMPTY: Final = (0,) * (_WIDTH + 3)

Taken = tuple[int, int, int | None]  # units, sum of units x key, key of the last level touched


class LadderFull(Exception):
    """More blocks would be needed than the ladder may have."""


class Ladder:
    """`best` is the lowest key with a size, None when empty; `levels` counts them. At most `blocks_max` blocks at any time."""

    __slots__ = ("_blocks", "_blocks_max", "_order", "best", "levels")

    def __init__(self, blocks_max: int) -> None:
        self._blocks_max = blocks_max
        self._blocks: dict[int, list[int]] = {}
        self._order: list[int] = []
        self.best: int | None = None
        self.levels = 0

    def put(self, key: int, units: int) -> None:
        """The size at `key` is `units` afterwards, not negative; 0 removes the level. LadderFull, nothing changed, if full."""
        block = self._blocks.get(key >> _BITS)
        if block is None:
            if not units:
                return
            block = self._open(key >> _BITS)
        at = key & _MASK
        more = units - block[at]
        if not more:
            return
        was_empty = not block[at]
        block[at] = units
        block[_UNITS] += more
        block[_VALUE] += more * key
        if was_empty:
            block[_COUNT] += 1
            self.levels += 1
            if self.best is None or key < self.best:
                self.best = key
        elif not units:
            block[_COUNT] -= 1
            self.levels -= 1
            if not block[_COUNT]:
                self._close(key >> _BITS)
            if key == self.best:
                self.best = self._first()

    def units_at(self, key: int) -> int:
        """The size at `key`, 0 where there is none."""
        block = self._blocks.get(key >> _BITS)
        return 0 if block is None else block[key & _MASK]

    def clear(self) -> None:
        """Empty afterwards."""
        self._blocks.clear()
        self._order.clear()
        self.best = None
        self.levels = 0

    def items(self, most: int | None = None) -> Iterator[tuple[int, int]]:
        """The best `most` levels, all without it, as (key, units), best first."""
        return islice(self._items(), most)

    def _items(self) -> Iterator[tuple[int, int]]:
        for number in self._order:
            first = number << _BITS
            for at, units in enumerate(self._blocks[number][:_WIDTH]):
                if units:
                    yield first + at, units

    def within(self, last_key: int) -> tuple[int, int]:
        """Units and units x key of all levels up to `last_key`, itself included."""
        last_block, units, value = last_key >> _BITS, 0, 0
        for number in self._order:
            if number > last_block:
                break
            block = self._blocks[number]
            if number < last_block:
                units += block[_UNITS]
                value += block[_VALUE]
            else:
                reached = block[: (last_key & _MASK) + 1]
                first = number << _BITS
                units += sum(reached)
                value += sum(map(mul, reached, range(first, first + len(reached))))
        return units, value

    def take(self, wanted: int) -> Taken:
        """What taking `wanted` units from the best key on comes to; fewer units where there are not as many."""
        left, value, last = max(wanted, 0), 0, None
        for number in self._order:
            if not left:
                break
            block, first = self._blocks[number], number << _BITS
            if block[_UNITS] < left:
                left -= block[_UNITS]
                value += block[_VALUE]
                last = number
                continue
            for at, units in enumerate(block[:_WIDTH]):
                if units:
                    taken = min(left, units)
                    left -= taken
                    value += taken * (first + at)
                    if not left:
                        return wanted, value, first + at
        return max(wanted, 0) - left, value, None if last is None else self._worst_of(last)

    def _open(self, number: int) -> list[int]:
        if len(self._blocks) >= self._blocks_max:
            raise LadderFull
        block = self._blocks[number] = list(_EMPTY)
        insort(self._order, number)
        return block

    def _close(self, number: int) -> None:
        del self._blocks[number]
        del self._order[bisect_left(self._order, number)]

    def _first(self) -> int | None:
        if not self._order:
            return None
        number = self._order[0]
        block = self._blocks[number]
        return (number << _BITS) + next(at for at, units in enumerate(block) if units)

    def _worst_of(self, number: int) -> int:
        block = self._blocks[number]
        return (number << _BITS) + next(at for at in range(_MASK, -1, -1) if block[at])
