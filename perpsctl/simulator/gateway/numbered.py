"""A tape whose trades are numbered: `trade_seq`, one more with each trade of an instrument (reference section 12, 2026-11-22).

What happened is counted once, in order of time, and never again: a trade keeps its number whoever looks at it and when.
Trades nobody looked at for long are counted without being made, so that a jump over days costs little.
"""

from collections import deque
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


class NumberedTape(Tape):
    """The tape of one instrument, the newest trades kept with their numbers. `last` is the number before the first."""

    def __init__(self, market: Market, timeline: Timeline, *, last: int) -> None:
        super().__init__(market, timeline)
        self._number = last
        self._counted = -LOOK_BACK_STEPS  # up to this step
        self._numbered: deque[Numbered] = deque(maxlen=TRADES_KEPT)

    def print_own(self, trade: MarketTrade) -> int:
        """A trade with the operator joins the public tape; its number."""
        super().print_own(trade)
        self._count(self._timeline.step(micros(trade.time)))
        return self._keep(trade)

    def numbered(self, step: int, after: int = 0) -> list[Numbered]:
        """The trades kept up to the step in force, oldest first; with `after` those of higher numbers."""
        self._count(step)
        found: list[Numbered] = []
        for each in reversed(self._numbered):
            if each.number <= after:
                break
            found.append(each)
        found.reverse()
        return found

    def _count(self, step: int) -> None:
        behind = step - LOOK_BACK_STEPS
        if behind > self._counted:
            self._number += self._market.flow_count(self._counted + 1, behind)
            self._counted = behind
        for each in range(self._counted + 1, step + 1):
            for trade in self.step_trades(each):
                self._keep(trade)
        self._counted = max(self._counted, step)

    def _keep(self, trade: MarketTrade) -> int:
        self._number += 1
        self._numbered.append(Numbered(self._number, trade))
        return self._number
