"""A recorded file as a price path, rebased so that its first row is the exchange's start.

After the last row the last price holds. Before the first row a generated path, scaled to join it, supplies history.
"""

from bisect import bisect_left, bisect_right
from datetime import UTC, datetime

from perpsctl.simulator.generator import Path as PricePath
from perpsctl.simulator.options import ReplaySpec
from perpsctl.simulator.recordings import (
    EPOCH,
    MICRO,
    BadRecording,
    Print,
    RecordedBook,
    Recording,
    coin_of,
    read_recording,
)

KNOTS_MAX = 256


class ReplayedPath:
    """Prices of a recording; candle rows are joined by lines, events hold until the next one."""

    def __init__(self, recording: Recording, start: datetime | None, before: PricePath) -> None:
        self._moments, self._prices, self._smooth = recording.moments, recording.prices, recording.smooth
        begin = self._moments[0]
        if start is not None:
            begin = self._first_from(recording, start)
        self._origin = begin
        self._before = before
        self._scale = self._prices[0] / before.price(self._moments[0] - begin)
        self._prints = recording.prints
        self._print_moments = [row.at for row in recording.prints]
        self._books = recording.books
        self._book_moments = [book.at for book in recording.books]

    @staticmethod
    def _first_from(recording: Recording, start: datetime) -> int:
        wanted = (start.astimezone(UTC) - EPOCH) // MICRO
        if wanted < recording.moments[0]:
            raise BadRecording(recording.path, "begins after the start asked for")
        place = bisect_left(recording.moments, wanted)
        if place == len(recording.moments):
            raise BadRecording(recording.path, "ends before the start asked for")
        return recording.moments[place]

    @property
    def seconds_left(self) -> int:
        """Whole seconds of recording after its start, at speed 1."""
        return (self._moments[-1] - self._origin) // 1_000_000

    def price(self, at: int) -> float:
        """The price at a moment after (or before) the start."""
        moment = at + self._origin
        place = bisect_right(self._moments, moment) - 1
        if place < 0:
            return self._before.price(at) * self._scale
        if place == len(self._moments) - 1 or not self._smooth:
            return self._prices[place]
        left, right = self._moments[place], self._moments[place + 1]
        low, high = self._prices[place], self._prices[place + 1]
        return low + (high - low) * ((moment - left) / (right - left))

    def knots(self, begin: int, end: int) -> tuple[float, ...]:
        """Every recorded price within (begin, end], or its extremes and last where there are very many."""
        if end + self._origin < self._moments[0]:
            return tuple(price * self._scale for price in self._before.knots(begin, end))
        first, last = (bisect_right(self._moments, moment + self._origin) for moment in (begin, end))
        inside = self._prices[first:last]
        if len(inside) > KNOTS_MAX:
            return min(inside), max(inside), self.price(end)
        return (*inside, self.price(end))

    def prints(self, begin: int, end: int) -> list[Print] | None:
        """Recorded trades within (begin, end], or None where the recording has none at all."""
        if not self._prints:
            return None
        first, last = (bisect_right(self._print_moments, moment + self._origin) for moment in (begin, end))
        return self._prints[first:last]

    def moment_of(self, row: Print) -> int:
        """When a recorded trade happens, counted from the start."""
        return row.at - self._origin

    def book(self, at: int) -> RecordedBook | None:
        """The recorded book in force at a moment, or None where the recording has none."""
        place = bisect_right(self._book_moments, at + self._origin) - 1
        return self._books[place] if place >= 0 else None


def open_replay(spec: ReplaySpec, coin: str | None, before: PricePath) -> ReplayedPath:
    """The path of a file. Raises BadRecording with file, line and reason."""
    return ReplayedPath(read_recording(spec.path, coin or coin_of(spec.path)), spec.start, before)
