"""A tape whose trades are numbered: `trade_seq`, one more with each trade of an instrument (reference section 12, 2026-11-22).

What happened is counted once, in order of time, and never again: a trade keeps its number whoever looks at it and when.
Trades nobody looked at for long are counted without being made, so that a jump over days costs little.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from perpsctl.simulator.market import Market
from perpsctl.simulator.tape import LOOK_BACK_STEPS, Tape, Timeline, micros
from perpsctl.simulator.views import MarketTrade

TRADES_KEPT = LOOK_BACK_STEPS


@dataclass(frozen=True, slots=True)
class Numbered:
    """A public trade and its `trade_seq`."""

    number: int
    trade: MarketTrade


@dataclass(frozen=True, slots=True)
class Stretch:
    """Steps whose trades are counted and not made yet; the first has the number after `before`."""

    before: int
    first: int
    last: int


class NumberedTape(Tape):
    """The tape of one instrument, the newest trades kept with their numbers. `last` is the number before the first.

    A trade with the operator needs its number only, so the steps before it are counted at once and their trades made
    when somebody asks for them: half of a schedule's time went into prints that nobody read (measured 2026-11-22).
    """

    def __init__(self, market: Market, timeline: Timeline, *, last: int) -> None:
        super().__init__(market, timeline)
        self._number = last
        self._counted = -LOOK_BACK_STEPS  # up to this step
        self._numbered: deque[Numbered | Stretch] = deque(maxlen=TRADES_KEPT)
        self._unmade = 0

    def print_own(self, trade: MarketTrade) -> int:
        """A trade with the operator joins the public tape; its number."""
        super().print_own(trade)
        self._count(self._timeline.step(micros(trade.time)))
        self._number += 1
        self._numbered.append(Numbered(self._number, trade))
        return self._number

    def numbered(self, step: int, after: int = 0) -> list[Numbered]:
        """The trades kept up to the step in force, oldest first; with `after` those of higher numbers."""
        self._count(step)
        self.keep()
        found: list[Numbered] = []
        for each in reversed(self._numbered):
            assert isinstance(each, Numbered)
            if each.number <= after:
                break
            found.append(each)
        found.reverse()
        return found

    def keep(self) -> None:
        """Trades that were counted only are made, of the market as it stands: control calls this before it changes that."""
        if not self._unmade:
            return
        made: deque[Numbered | Stretch] = deque(maxlen=TRADES_KEPT)
        for each in self._numbered:
            if isinstance(each, Stretch):
                made.extend(self._made(each))
            else:
                made.append(each)
        self._numbered, self._unmade = made, 0

    def _made(self, stretch: Stretch) -> Iterator[Numbered]:
        number = stretch.before
        for step in range(stretch.first, stretch.last + 1):
            for trade in self.step_trades(step):
                number += 1
                yield Numbered(number, trade)

    def _count(self, step: int) -> None:
        behind = step - LOOK_BACK_STEPS
        if behind > self._counted:
            self._number += self._market.flow_count(self._counted + 1, behind)
            self._counted = behind
        if step > self._counted:
            self._numbered.append(Stretch(self._number, self._counted + 1, step))
            self._unmade += 1
            self._number += self._market.flow_count(self._counted + 1, step)
            self._counted = step
