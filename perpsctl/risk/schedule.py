"""Rules about moments ahead: funding cash events, dearer margin, breaks.

Before each such moment lies a shut window: `quiet_minutes` before a funding event, `margin_window_lead_minutes` before a
dearer margin window or a break. Three readings, all on purpose:

* Inside a shut window no entry is made. `rest_through` lifts that for an order that can only rest (post-only).
* An order that rests past the start of a shut window needs `rest_through`. A good-till-cancelled order rests for ever,
  so that alone would bind every such order at all times; it binds an operator's order when the shut window starts
  within the next `margin_window_lead_minutes`. The loop's own orders expire and are cancelled by the loop.
* Without known cash times the hourly accrual counts: that is stricter, and shuts half of each hour for taking entries.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from functools import lru_cache

from perpsctl.domain.market import SessionState
from perpsctl.domain.orders import Origin
from perpsctl.domain.sides import Side
from perpsctl.domain.verdicts import Denial, DenialCode
from perpsctl.risk.case import Case
from perpsctl.risk.figures import UNKNOWN, denial, moment
from perpsctl.risk.limits import QuietBasis

_DAY = timedelta(days=1)


@lru_cache(maxsize=16)
def _minutes(number: int) -> timedelta:
    return timedelta(minutes=number)


@dataclass(frozen=True, slots=True)
class Ahead:
    """A moment entries keep away from: what it is and when it comes."""

    what: str
    at: datetime


def _shut(case: Case, code: DenialCode, ahead: Ahead, lead_minutes: int) -> Denial | None:
    starts = ahead.at - _minutes(lead_minutes)
    if case.now >= starts:
        if case.rest_through and not case.takes:
            return None
        return denial(code, moment(case.now), f"before {moment(starts)}", f"{ahead.what} at {moment(ahead.at)}")
    if not _rests_past(case, starts):
        return None
    return denial(
        code,
        f"rests past {moment(starts)}",
        "ends before, or rests through on request",
        f"{ahead.what} at {moment(ahead.at)}; `--rest-through` allows it, or wait, or use ioc",
    )


def _rests_past(case: Case, starts: datetime) -> bool:
    if case.one_shot or case.rest_through or case.origin is not Origin.OPERATOR:
        return False
    outlook = _minutes(case.limits.margin_window_lead_minutes)
    return starts - case.now <= outlook and (case.expires is None or case.expires > starts)


def quiet_window(case: Case) -> Denial | None:
    """No entry within `quiet_minutes` of the next funding event."""
    ahead = next_funding_event(case)
    if ahead is None:
        return denial(
            DenialCode.QUIET_WINDOW,
            UNKNOWN,
            "the time of the next funding event",
            "no cash times are known and the venue told no accrual; set funding_cash_times",
        )
    return _shut(case, DenialCode.QUIET_WINDOW, ahead, case.limits.quiet_minutes)


def next_funding_event(case: Case) -> Ahead | None:
    """The next cash event, or the next accrual where cash times are not known or not asked for; None: unknown."""
    times = case.view.calendar.funding_cash_times
    if times and case.limits.quiet_basis is QuietBasis.CASH:
        for at in _cash_events(times, case.now.date(), case.now.tzinfo):
            if at > case.now:
                return Ahead("funding moves cash", at)
    funding = case.view.market.funding
    if funding is None or funding.next_accrual is None:
        return None
    at = funding.next_accrual
    if at <= case.now:
        if funding.interval is None or funding.interval <= timedelta(0):
            return None
        at += funding.interval * ((case.now - at) // funding.interval + 1)
    return Ahead("funding accrues", at)


@lru_cache(maxsize=16)
def _cash_events(times: tuple[time, ...], day: date, zone: tzinfo | None) -> tuple[datetime, ...]:
    """The moments money moves that day and the day after, in order."""
    today = sorted(datetime.combine(day, each, zone) for each in times)
    return (*today, *(at + _DAY for at in today))


def margin_window(case: Case) -> Denial | None:
    """No entry within `margin_window_lead_minutes` of a dearer margin window.

    Intraday rates end in dearer ones for an account that is enrolled, or may be (None). Where the product tells that its
    overnight rate is no higher, or the account is known not to be enrolled, there is no step.
    """
    if not _overnight_is_dearer(case):
        return None
    window = case.view.calendar.margin_window
    if window is None:
        return denial(DenialCode.MARGIN_WINDOW_AHEAD, UNKNOWN, "the current margin window", "it could not be read")
    kind = window.kind.upper()
    if window.intraday_enrolled is False or "OVERNIGHT" in kind or "WEEKEND" in kind:
        return None
    if window.ends is None:
        if "INTRADAY" not in kind:
            return None  # no window is told at all: nothing says that rates change
        return denial(DenialCode.MARGIN_WINDOW_AHEAD, UNKNOWN, "the end of the intraday window", "it was not told")
    ahead = Ahead("margin gets dearer", window.ends)
    return _shut(case, DenialCode.MARGIN_WINDOW_AHEAD, ahead, case.limits.margin_window_lead_minutes)


def _overnight_is_dearer(case: Case) -> bool:
    day, night = case.view.product.intraday_margin, case.view.product.overnight_margin
    if day is None or night is None:
        return True
    return night.long > day.long if case.side is Side.BUY else night.short > day.short


def break_ahead(case: Case) -> Denial | None:
    """No entry within `margin_window_lead_minutes` of a session's close or a maintenance: there is no way out in one."""
    ahead = min(_breaks(case), key=lambda each: each.at, default=None)
    if ahead is None:
        return None
    return _shut(case, DenialCode.BREAK_AHEAD, ahead, case.limits.margin_window_lead_minutes)


def _breaks(case: Case) -> Iterator[Ahead]:
    status = case.view.market.status
    session = None if status is None else status.session
    if session is None or session.state is not SessionState.OPEN:
        return
    if session.closes is not None and session.closes > case.now:
        yield Ahead("the session closes", session.closes)
    if session.maintenance is not None and session.maintenance[0] > case.now:
        yield Ahead("maintenance starts", session.maintenance[0])
