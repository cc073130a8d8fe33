"""Candles on the gateway's streams host: the running one whenever it changes, and an ended one's last state.

Global Derivatives reference section 12 and its sample `ws_chart_linear.json` (2026-11-22): one bar a message, `tick` its
first millisecond. A period without a trade has a bar all the same. Nothing says that a bar is the last of its period.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from perpsctl.simulator.faces.global_rows import Row, fine
from perpsctl.simulator.gateway.state import GatewayState
from perpsctl.simulator.tape import micros
from perpsctl.simulator.views import Candle

PACE = timedelta(milliseconds=100)  # ours; the venue's pace is not on record


@dataclass(slots=True)
class CandleChannel:
    """One product's bars of one length."""

    name: str
    product_id: str
    minutes: int
    due: datetime
    kind: str = "candles"
    _told: Row = field(default_factory=dict)

    def messages(self, state: GatewayState, now: datetime) -> list[object]:
        """The bar that ended since, as it ended, then the running one; nothing where neither is another."""
        if now < self.due:
            return []
        self.due = now + PACE
        length = timedelta(minutes=self.minutes)
        bars = [
            _row(state, self.product_id, candle)
            for candle in reversed(
                state.tapes[self.product_id].buckets(
                    start=state.now - 2 * length, end=state.now, minutes=self.minutes, now=state.now, limit=2
                )
            )
        ]
        known = self._told.get("tick")
        told = [bar for bar in bars if bar == bars[-1] or bar["tick"] == known]
        fresh: list[object] = [bar for bar in told if bar != self._told]
        self._told = bars[-1] if bars else self._told
        return fresh


def _row(state: GatewayState, product_id: str, candle: Candle) -> Row:
    volume = candle.volume * state.products[product_id].unit_size
    return {
        "tick": micros(candle.start) // 1000,
        "open": candle.open,
        "high": candle.high,
        "low": candle.low,
        "close": candle.close,
        "volume": fine(volume),
        "cost": fine(volume * candle.close),
    }
