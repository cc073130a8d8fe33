"""The bundled price generator: a bounded, seeded random path that can be asked for any moment in any order.

The logarithm of the price is a sum of octaves of value noise, each twice as slow and sqrt(2) as high as the one
before, which moves like a market from seconds to days, returns within about a week and never reaches zero.
Floats live here and in the files of recordings only; a price leaves this room as whole steps of a grid (`market.py`).
"""

import math
from typing import Protocol

from perpsctl.simulator.seeded import seed_of, unit

SECONDS_PER_YEAR = 31_557_600.0
OCTAVES = 20  # periods of 1 s to 2**19 s, about six days
ROUGHNESS = 0.85  # measured: makes the one-minute deviation agree with the yearly volatility asked for
MICRO = 1_000_000


class Path(Protocol):
    """A price over time. `at` counts microseconds from the start, negative before it."""

    def price(self, at: int) -> float:
        """The price at a moment; above zero, the same whenever asked."""
        ...

    def knots(self, begin: int, end: int) -> tuple[float, ...]:
        """Prices within (begin, end] that a bucket's high and low must see; at most a few hundred."""
        ...


class GeneratedPath:
    """A seeded path around `base` with about `volatility` a year (0.6 is 60 %)."""

    def __init__(self, *, seed: int, name: str, base: float, volatility: float) -> None:
        self._base = base
        sigma = ROUGHNESS * volatility / math.sqrt(SECONDS_PER_YEAR)
        self._octaves = [
            (1 << level, sigma * math.sqrt(1 << level), seed_of(seed, name, level)) for level in range(OCTAVES)
        ]
        # The lattice values around the last moment asked: consecutive questions rarely leave their cell.
        self._cells: list[tuple[int, float, float]] = [(0, *self._corner(level, 0)) for level in range(OCTAVES)]
        self._level = 0.0
        self._level = self._log(0)  # the path starts at its base

    def _corner(self, level: int, cell: int) -> tuple[float, float]:
        seed = self._octaves[level][2]
        return 2.0 * unit(seed, cell) - 1.0, 2.0 * unit(seed, cell + 1) - 1.0

    def _log(self, at: int) -> float:
        total = 0.0
        cells = self._cells
        for level, (period, height, _) in enumerate(self._octaves):
            cell, rest = divmod(at, period * MICRO)
            known = cells[level]
            if known[0] != cell:
                known = (cell, *self._corner(level, cell))
                cells[level] = known
            total += height * (known[1] + (known[2] - known[1]) * (rest / (period * MICRO)))
        return total

    def price(self, at: int) -> float:
        """The price at a moment."""
        return self._base * math.exp(self._log(at) - self._level)

    def knots(self, begin: int, end: int) -> tuple[float, ...]:
        """Eight even samples: enough for a bucket's extremes to lie outside its ends."""
        return tuple(self.price(begin + (end - begin) * part // 8) for part in range(1, 9))


class Wobble:
    """A slow bounded number in [-1, 1]: premiums and the like."""

    def __init__(self, *, seed: int, name: str, period_s: int) -> None:
        self._seed = seed_of(seed, name)
        self._period = period_s * MICRO

    def at(self, moment: int) -> float:
        """The value at a moment, continuous in time."""
        cell, rest = divmod(moment, self._period)
        low, high = unit(self._seed, cell), unit(self._seed, cell + 1)
        return 2.0 * (low + (high - low) * (rest / self._period)) - 1.0
