"""Continuous funding of the gateway's perps: a rate for every moment, and what a position has paid or received.

Facts: paid continuously, booked to the session, cash at 08:00 UTC, positive means longs pay; the premium's dead band is
from memory there (Global Derivatives reference section 11, 2026-11-22). Ours: the rate holds for ten minutes of host
time, so that the sum over any stretch is the same whoever asks, and however often.
"""

from decimal import Decimal

from perpsctl.simulator.ledger import CENT_PARTS
from perpsctl.simulator.market import Market
from perpsctl.simulator.tape import Timeline

PIECE_US = 600_000_000
PIECES_KEPT = 1000  # a week
HOUR_US = 3_600_000_000
EIGHT_HOURS_US = 8 * HOUR_US
DEAD_BAND = Decimal("0.00025")
ZERO = Decimal(0)


def banded(premium: Decimal) -> Decimal:
    """The eight-hour rate of a premium: nothing within the dead band, what lies beyond it outside."""
    return max(DEAD_BAND, premium) + min(-DEAD_BAND, premium)


class ContinuousFunding:
    """The rates of one market and sums over time; `fix` sets the eight-hour rate from a moment on."""

    def __init__(self, market: Market, timeline: Timeline) -> None:
        self._market = market
        self._timeline = timeline
        self._fixed: list[tuple[int, Decimal | None]] = []  # (from host microsecond, rate or None: the premium's)
        self._banded: dict[int, Decimal] = {}  # the premium's rates, by the piece they hold for

    def fix(self, host_us: int, rate_8h: Decimal | None) -> None:
        """From this moment on the rate is fixed, or follows the premium again; the past stays."""
        self._fixed.append((host_us, rate_8h))

    def rate(self, host_us: int) -> Decimal:
        """The eight-hour rate in force."""
        for since, fixed in reversed(self._fixed):
            if since <= host_us:
                if fixed is not None:
                    return fixed
                break
        piece = host_us // PIECE_US
        known = self._banded.get(piece)
        if known is None:
            if len(self._banded) >= PIECES_KEPT:
                self._banded.clear()
            known = self._banded[piece] = banded(self._market.premium(self._timeline.path_us(piece * PIECE_US)))
        return known

    def interest(self, begin_us: int, end_us: int) -> Decimal:
        """The sum of the rates over a stretch, as a share of notional."""
        return sum(
            (rate * Decimal(length) / EIGHT_HOURS_US for rate, length, _ in self._pieces(begin_us, end_us)), ZERO
        )

    def paid(self, coins: Decimal, begin_us: int, end_us: int) -> Decimal:
        """USDC a signed position received over a stretch (negative: paid), to eight digits for each piece."""
        total = ZERO
        if coins:
            for rate, length, at in self._pieces(begin_us, end_us):
                if rate:
                    total -= (coins * self.index(at) * rate * length / EIGHT_HOURS_US).quantize(CENT_PARTS)
        return total

    def index(self, host_us: int) -> Decimal:
        """The index as it stood; the path's price where control took it away."""
        step = self._timeline.step(host_us)
        found = self._market.index_price(step)
        if found is not None:
            return found
        touch = self._market.touch(step)
        return self._market.product.start_price if touch is None else self._market.price_of(touch.bid)

    def _pieces(self, begin_us: int, end_us: int) -> list[tuple[Decimal, int, int]]:
        rows: list[tuple[Decimal, int, int]] = []
        turns = sorted(since for since, _ in self._fixed if begin_us < since < end_us)
        at = begin_us
        while at < end_us:
            stop = min(end_us, (at // PIECE_US + 1) * PIECE_US, *(turn for turn in turns if turn > at))
            rows.append((self.rate(at), stop - at, at))
            at = stop
        return rows
