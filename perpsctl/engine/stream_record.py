"""Writes a run's stream figures into the journal: at its start, once a minute, at its end. Each row stands on its own.

A row holds the run's sums so far besides what its minute added, so that a run that dies loses a minute and a fold needs no
other row. Gaps and reconnects are counted, never listed: a flood of them makes no flood of rows.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

from perpsctl.domain.numbers import plain
from perpsctl.domain.ports import Clock
from perpsctl.domain.streams import ChannelHealth, StreamFigures
from perpsctl.engine.live import LiveData
from perpsctl.engine.run_book import data_age, recovery

__all__ = ["StreamRecord"]

EVERY: Final = timedelta(minutes=1)
_MICROSECOND: Final = timedelta(microseconds=1)


class StreamRecord:
    """One run's rows of `EventKind.STREAMS`; `write` puts a payload into the journal."""

    def __init__(self, *, live: LiveData, clock: Clock, write: Callable[[Mapping[str, object]], None]) -> None:
        self._live = live
        self._clock = clock
        self._write = write
        self._began_ns = clock.monotonic_ns()
        self._written_ns = self._began_ns
        self._before: StreamFigures | None = None

    def start(self) -> None:
        """The channels asked for stand in the journal, where there are streams."""
        if self._live.streamed:
            self._row("started", self._live.figures())

    def each_minute(self) -> None:
        """A row when the last one is a minute old."""
        if self._live.streamed and self._clock.monotonic_ns() - self._written_ns >= _ns(EVERY):
            self._row("minute", self._live.figures())

    def end(self) -> StreamFigures | None:
        """The final figures, written; None without streams. Raises what the journal raises."""
        figures = self._live.figures()
        if figures is not None:
            self._row("ended", figures)
        return figures

    def _row(self, what: str, figures: StreamFigures | None) -> None:
        if figures is None:
            return
        now_ns = self._clock.monotonic_ns()
        channels = [_told(each) for each in self._live.health()]
        before, self._before, self._written_ns = self._before, figures, now_ns
        payload = {"what": what, "after_s": str((now_ns - self._began_ns) // 1_000_000_000), "channels": channels}
        self._write(payload | _sums(figures) | {"added": _added(before, figures)})


def _sums(figures: StreamFigures) -> dict[str, object]:
    recovered, ages = recovery(figures.recoveries), data_age(figures.ages)
    return {
        "uptime": None if figures.uptime is None else plain(figures.uptime),
        "messages": str(figures.messages),
        "gaps": str(figures.gaps),
        "reconnects": str(figures.reconnects),
        "dropped": str(figures.dropped),
        "confirmed_by_read": str(figures.confirmed_by_read),
        "recoveries": str(recovered.samples),
        "recovery_s_p50": None if recovered.p50 is None else plain(recovered.p50),
        "recovery_s_max": None if recovered.max is None else plain(recovered.max),
        "data_age_ms_p50": None if ages.p50 is None else plain(ages.p50),
        "data_age_ms_p99": None if ages.p99 is None else plain(ages.p99),
    }


def _added(before: StreamFigures | None, now: StreamFigures) -> dict[str, object]:
    """What came since the last row: sums over the rows of a run are its totals."""
    counted = ("messages", "gaps", "reconnects", "dropped", "confirmed_by_read")
    added: dict[str, object] = {
        name: str(getattr(now, name) - (0 if before is None else getattr(before, name))) for name in counted
    }
    fresh: Sequence[timedelta] = now.recoveries[0 if before is None else len(before.recoveries) :]
    longest = recovery(fresh).max
    added["recoveries"] = str(len(fresh))
    added["recovery_s_max"] = None if longest is None else plain(longest)
    return added


def _told(health: ChannelHealth) -> dict[str, object]:
    return {"part": health.part.value, "product_id": health.product_id, "state": health.state.value}


def _ns(duration: timedelta) -> int:
    return duration // _MICROSECOND * 1000
