"""What funding costs each side: of the last eight full hours and the eight that run, whichever is dearer for that side.

Design 6: the dearer of 3 x the last full 8 h (history) and 3 x `funding_8h`. The two may differ in sign, and then each side
has its own dearer one (reference sections 11 and 12, 2026-11-22).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from perpsctl.domain.errors import VenueRefusedRequest, VenueSpokeStrangely, VenueUnreachable
from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import FundingTerms
from perpsctl.domain.ports import Clock
from perpsctl.domain.text import shown
from perpsctl.exchange.answers import strangeness
from perpsctl.exchange.endings import Got
from perpsctl.exchange.global_derivatives.link import Link
from perpsctl.exchange.global_derivatives.moments import millis
from perpsctl.wire.global_derivatives import convert_market, market, params

__all__ = ["HISTORY_MAX_AGE", "Funding", "judged_by"]

HOURS = 8
HISTORY_MAX_AGE = timedelta(minutes=5)  # and never past the full hour, when a new row is due
_HOUR = timedelta(hours=1)
_SPAN = HOURS * _HOUR
_LATE = 2 * _HOUR  # the last full hour may not be told yet, the one before it must be
_SETTLEMENT_HOUR = 8  # UTC, daily: what funding accrued becomes cash (reference section 11)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    at: datetime
    rate: Decimal  # of the last eight full hours

    def serves(self, now: datetime) -> bool:
        same_hour = now.replace(minute=0, second=0, microsecond=0) <= self.at
        return same_hour and timedelta(0) <= now - self.at <= HISTORY_MAX_AGE


class Funding:
    """The funding of each product; its hourly history is read anew when it is old or another hour is full."""

    def __init__(self, link: Link, clock: Clock) -> None:
        self._link = link
        self._clock = clock
        self._held: dict[ProductId, _Read] = {}

    def terms(self, product_id: ProductId, ticker: Got[market.Ticker]) -> FundingTerms:
        """The terms as of the ticker. Rates are None while one of the two is not known: then entries are denied."""
        with strangeness(f"the funding of {shown(product_id, 80)}"):
            told = convert_market.funding_from(ticker.body, ticker.answer.asked)
        return judged_by(
            replace(told, next_accrual=_next_settlement(ticker.answer.asked)), self._last_full(product_id), told.rate
        )

    def _last_full(self, product_id: ProductId) -> Decimal | None:
        """None when the history could not be read or has a hole: that closes the way in and leaves the way out open."""
        now = self._clock.now()
        held = self._held.get(product_id)
        if held is not None and held.serves(now):
            return held.rate
        try:
            hours = self._hours(product_id, now)
        except (VenueUnreachable, VenueRefusedRequest, VenueSpokeStrangely):
            return None
        if not _whole(hours, now):
            return None
        rate = sum((hour.rate_1h for hour in hours), Decimal(0))
        self._held[product_id] = _Read(at=now, rate=rate)
        return rate

    def _hours(self, product_id: ProductId, now: datetime) -> Sequence[convert_market.FundingHour]:
        asked = params.PeriodParams(
            instrument_name=product_id, start_timestamp=millis(now - _SPAN - _HOUR), end_timestamp=millis(now)
        )
        rows = self._link.read("public/get_funding_rate_history", asked, tuple[market.FundingRow, ...])
        with strangeness(f"the funding of {shown(product_id, 80)}"):
            return convert_market.funding_hours_from(rows.body)[-HOURS:]


def judged_by(terms: FundingTerms, last_full: Decimal | None, accruing: Decimal | None) -> FundingTerms:
    """The terms with each side's dearer rate, above zero when longs pay; all None when one of the two is not known."""
    if last_full is None or accruing is None:
        return replace(terms, rate=None, long_rate=None, short_rate=None)
    both = (last_full, accruing)
    return replace(terms, rate=max(both, key=abs), long_rate=max(both), short_rate=min(both))


def _whole(hours: Sequence[convert_market.FundingHour], now: datetime) -> bool:
    """Eight hours in a row, the last of them not long ago."""
    in_a_row = all(later.at - earlier.at == _HOUR for earlier, later in pairwise(hours))
    return len(hours) == HOURS and in_a_row and now - hours[-1].at <= _LATE


def _next_settlement(at: datetime) -> datetime:
    today = at.astimezone(UTC).replace(hour=_SETTLEMENT_HOUR, minute=0, second=0, microsecond=0)
    return today if today > at else today + timedelta(days=1)
