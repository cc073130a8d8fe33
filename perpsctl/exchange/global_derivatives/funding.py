"""What funding costs each side: of the last eight full hours and the eight that run, whichever is dearer for that side.

Design 6: the dearer of 3 x the last full 8 h (history) and 3 x `funding_8h`. The two may differ in sign, and then each side
has its own dearer one (reference sections 11 and 12, 2026-11-22).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

from perpsctl.domain.errors import VenueRefusedRequest, VenueSpokeStrangely, VenueUnreachable
from perpsctl.domain.funding import SPAN, FundingHour, FundingReport, sum_of_eight
from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import FundingTerms
from perpsctl.domain.ports import Clock
from perpsctl.domain.text import shown
from perpsctl.exchange.answers import strangeness
from perpsctl.exchange.endings import Got
from perpsctl.exchange.global_derivatives.link import Link
from perpsctl.exchange.global_derivatives.moments import millis
from perpsctl.wire.global_derivatives import convert_market, market, params

__all__ = ["HISTORY_MAX_AGE", "SETTLEMENT_TIMES", "CashTimes", "Funding", "judged_by"]

HISTORY_MAX_AGE = timedelta(minutes=5)  # and never past the full hour, when a new row is due
_HOUR = timedelta(hours=1)
_LATE = 2 * _HOUR  # the last full hour may not be told yet, the one before it must be
SETTLEMENT_TIMES = (time(8),)  # UTC, daily: what funding accrued becomes cash (reference section 11, 2026-11-22)

CashTimes = Callable[[], Sequence[time]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    at: datetime
    rate: Decimal  # of the last eight full hours

    def serves(self, now: datetime) -> bool:
        same_hour = now.replace(minute=0, second=0, microsecond=0) <= self.at
        return same_hour and timedelta(0) <= now - self.at <= HISTORY_MAX_AGE


class Funding:
    """The funding of each product; its hourly history is read anew when it is old or another hour is full."""

    def __init__(self, link: Link, clock: Clock, cash_times: CashTimes | None = None) -> None:
        """`cash_times` tells at which times of day, UTC, funding becomes cash; it is asked as seldom as the history."""
        self._link = link
        self._clock = clock
        self._held: dict[ProductId, _Read] = {}
        self._cash_times = cash_times or (lambda: SETTLEMENT_TIMES)
        self._times: tuple[datetime, Sequence[time]] | None = None

    def terms(self, product_id: ProductId, ticker: Got[market.Ticker]) -> FundingTerms:
        """The terms as of the ticker. Rates are None while one of the two is not known: then entries are denied."""
        told = self._told(product_id, ticker)
        return judged_by(told, self._last_full(product_id), told.rate)

    def report(self, product_id: ProductId, ticker: Got[market.Ticker], hours: int) -> FundingReport:
        """The last so many full hours as the venue tells them now, and what an order is judged by."""
        now, told = self._clock.now(), self._told(product_id, ticker)
        found = self._hours(product_id, now, hours + SPAN - 1)
        last_full = self._kept(product_id, found, now)
        return FundingReport(
            product_id=product_id,
            terms=judged_by(told, last_full, told.rate),
            hours=tuple(found[-hours:]),
            sums=tuple(sum_of_eight(found[: at + 1]) for at in range(len(found)))[-hours:],
            last_full=last_full,
            accruing=told.rate,
            as_of=ticker.answer.asked,
        )

    def _told(self, product_id: ProductId, ticker: Got[market.Ticker]) -> FundingTerms:
        asked = ticker.answer.asked
        with strangeness(f"the funding of {shown(product_id, 80)}"):
            told = convert_market.funding_from(ticker.body, asked)
        return replace(told, next_accrual=next_of(self._cash_times_now(), asked))

    def _cash_times_now(self) -> Sequence[time]:
        """None of them where nobody tells: a way out must not hang on it, and without a time there is no way in."""
        now = self._clock.now()
        if self._times is None or not timedelta(0) <= now - self._times[0] <= HISTORY_MAX_AGE:
            try:
                self._times = (now, self._cash_times())
            except VenueUnreachable:
                return ()
        return self._times[1]

    def _last_full(self, product_id: ProductId) -> Decimal | None:
        """None when the history could not be read or has a hole: that closes the way in and leaves the way out open."""
        now = self._clock.now()
        held = self._held.get(product_id)
        if held is not None and held.serves(now):
            return held.rate
        try:
            return self._kept(product_id, self._hours(product_id, now, SPAN), now)
        except (VenueUnreachable, VenueRefusedRequest, VenueSpokeStrangely):
            return None

    def _kept(self, product_id: ProductId, hours: Sequence[FundingHour], now: datetime) -> Decimal | None:
        """What eight full hours in a row cost, the last of them not long ago; kept for the next order."""
        rate = sum_of_eight(hours)
        if rate is None or now - hours[-1].at > _LATE:
            return None
        self._held[product_id] = _Read(at=now, rate=rate)
        return rate

    def _hours(self, product_id: ProductId, now: datetime, count: int) -> Sequence[FundingHour]:
        asked = params.PeriodParams(
            instrument_name=product_id,
            start_timestamp=millis(now - (max(count, SPAN) + 1) * _HOUR),
            end_timestamp=millis(now),
        )
        rows = self._link.read("public/get_funding_rate_history", asked, tuple[market.FundingRow, ...])
        with strangeness(f"the funding of {shown(product_id, 80)}"):
            return convert_market.funding_hours_from(rows.body)


def judged_by(terms: FundingTerms, last_full: Decimal | None, accruing: Decimal | None) -> FundingTerms:
    """The terms with each side's dearer rate, above zero when longs pay; all None when one of the two is not known."""
    if last_full is None or accruing is None:
        return replace(terms, rate=None, long_rate=None, short_rate=None)
    both = (last_full, accruing)
    return replace(terms, rate=max(both, key=abs), long_rate=max(both), short_rate=min(both))


def next_of(times: Sequence[time], at: datetime) -> datetime | None:
    """The next moment after `at` with one of these times of day, UTC; None without any."""
    today = at.astimezone(UTC).date()
    moments = [datetime.combine(day, each, UTC) for each in times for day in (today, today + timedelta(days=1))]
    return min((moment for moment in moments if moment > at), default=None)
