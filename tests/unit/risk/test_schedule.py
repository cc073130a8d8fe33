"""Funding events, dearer margin, breaks: no entry before them, nothing left resting into them unasked."""

from datetime import datetime, time, timedelta

import pytest

from perpsctl.domain.accounts import RiskView
from perpsctl.domain.market import SessionState, TradingSession
from perpsctl.domain.orders import OrderIntent, Origin, TimeInForce
from perpsctl.domain.sides import Side
from perpsctl.domain.verdicts import DenialCode
from perpsctl.risk.limits import RiskLimits
from tests.builders import (
    NOW,
    a_calendar,
    a_funding,
    a_margin_window,
    a_product,
    a_session,
    a_status,
    a_view,
    an_intent,
    some_facts,
)
from tests.unit.risk.judging import numbers, reasons

IOC = an_intent(tif=TimeInForce.IOC)
ACCRUAL = RiskLimits.from_mapping({"quiet_basis": "accrual"})


def minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


def cash_in(count: int, *, now: datetime = NOW) -> time:
    return (now + minutes(count)).time()


@pytest.mark.parametrize(("ahead", "denied"), [(31, False), (30, True), (1, True), (0, False), (-1, False)])
def test_no_entry_within_thirty_minutes_before_a_cash_event(ahead: int, denied: bool) -> None:
    found = reasons(IOC, a_view(calendar=a_calendar(funding_cash_times=(cash_in(ahead),))))
    if denied:
        observed, limit = numbers(found, DenialCode.QUIET_WINDOW)
        assert observed == "2026-11-22T12:00:00Z"
        assert limit == f"before {NOW + minutes(ahead - 30):%Y-%m-%dT%H:%M:%SZ}"
    else:
        assert found == {}


def test_the_nearest_of_several_cash_events_counts_also_past_midnight() -> None:
    late = datetime.combine(NOW.date(), time(23, 45), NOW.tzinfo)
    view = a_view(now=late, calendar=a_calendar(funding_cash_times=(time(0, 5), time(12, 0))))
    found = reasons(IOC, view)
    assert "2026-11-23T00:05:00Z" in found[DenialCode.QUIET_WINDOW].detail


@pytest.mark.parametrize(("ahead", "denied"), [(31, False), (30, True)])
@pytest.mark.parametrize("by_setting", [True, False])
def test_without_cash_times_or_by_setting_the_hourly_accrual_counts(ahead: int, denied: bool, by_setting: bool) -> None:
    times = (time(20, 0),) if by_setting else ()
    view = a_view(
        calendar=a_calendar(funding_cash_times=times),
        market=some_facts(funding=a_funding(next_accrual=NOW + minutes(ahead))),
    )
    limits = ACCRUAL if by_setting else RiskLimits()
    assert (set(reasons(IOC, view, limits)) == {DenialCode.QUIET_WINDOW}) is denied


def test_an_accrual_in_the_past_is_carried_on_and_an_unknown_one_denies() -> None:
    def accruing(at: datetime | None) -> set[DenialCode]:
        view = a_view(calendar=a_calendar(funding_cash_times=()), market=some_facts(funding=a_funding(next_accrual=at)))
        return set(reasons(IOC, view))

    assert accruing(NOW - minutes(20)) == set()  # next in 40
    assert accruing(NOW - minutes(40)) == {DenialCode.QUIET_WINDOW}  # next in 20
    assert accruing(NOW) == set()
    assert accruing(None) == {DenialCode.QUIET_WINDOW}


@pytest.mark.parametrize(("ahead", "denied"), [(61, False), (60, True), (31, True)])
def test_an_operators_resting_order_needs_rest_through_when_a_quiet_window_comes_soon(ahead: int, denied: bool) -> None:
    view = a_view(calendar=a_calendar(funding_cash_times=(cash_in(ahead),)))
    found = reasons(an_intent(), view)
    assert (set(found) == {DenialCode.QUIET_WINDOW}) is denied
    assert reasons(an_intent(rest_through=True), view) == {}
    assert reasons(an_intent(origin=Origin.STRATEGY), view) == {}
    assert reasons(IOC, view) == {}


def test_an_order_that_ends_before_the_quiet_window_does_not_rest_past_it() -> None:
    view = a_view(calendar=a_calendar(funding_cash_times=(cash_in(45),)))
    assert reasons(gtd(NOW + minutes(15)), view) == {}
    assert set(reasons(gtd(NOW + minutes(16)), view)) == {DenialCode.QUIET_WINDOW}


def gtd(expires: datetime) -> OrderIntent:
    return an_intent(tif=TimeInForce.GTD, expires=expires)


def test_inside_a_quiet_window_rest_through_lifts_it_for_an_order_that_can_only_rest() -> None:
    view = a_view(calendar=a_calendar(funding_cash_times=(cash_in(10),)))
    assert reasons(an_intent(rest_through=True, post_only=True), view) == {}
    assert set(reasons(an_intent(rest_through=True), view)) == {DenialCode.QUIET_WINDOW}


@pytest.mark.parametrize(("ahead", "denied"), [(31, False), (30, True), (-1, True)])
def test_no_entry_within_the_lead_of_a_dearer_margin_window_M8(ahead: int, denied: bool) -> None:
    window = a_margin_window(kind="INTRADAY", ends=NOW + minutes(ahead), intraday_enrolled=True)
    found = reasons(IOC, a_view(calendar=a_calendar(margin_window=window)))
    assert (set(found) == {DenialCode.MARGIN_WINDOW_AHEAD}) is denied
    if denied:
        assert numbers(found, DenialCode.MARGIN_WINDOW_AHEAD) == (
            "2026-11-22T12:00:00Z",
            f"before {NOW + minutes(ahead - 30):%Y-%m-%dT%H:%M:%SZ}",
        )


def test_a_margin_step_that_is_unknown_denies_and_one_that_cannot_come_does_not() -> None:
    soon = NOW + minutes(10)

    def with_window(**window: object) -> set[DenialCode]:
        calendar = a_calendar(margin_window=a_margin_window(**window))  # type: ignore[arg-type]
        return set(reasons(IOC, a_view(calendar=calendar)))

    shut = {DenialCode.MARGIN_WINDOW_AHEAD}
    assert set(reasons(IOC, a_view(calendar=a_calendar(margin_window=None)))) == shut
    assert with_window(kind="INTRADAY", ends=None, intraday_enrolled=True) == shut
    assert with_window(kind="INTRADAY", ends=soon, intraday_enrolled=None) == shut
    assert with_window(kind="NEW_WORD", ends=soon, intraday_enrolled=True) == shut
    assert with_window(kind="INTRADAY", ends=soon, intraday_enrolled=False) == set()
    assert with_window(kind="OVERNIGHT", ends=soon, intraday_enrolled=True) == set()
    assert with_window(kind="UNSPECIFIED", ends=None, intraday_enrolled=True) == set()
    same = a_product(intraday_margin=("0.1", "0.1"), overnight_margin=("0.1", "0.1"))
    dear = a_calendar(margin_window=a_margin_window(kind="INTRADAY", ends=soon, intraday_enrolled=True))
    assert reasons(IOC, a_view(product=same, calendar=dear)) == {}


def in_session(session: TradingSession) -> RiskView:
    return a_view(market=some_facts(status=a_status(session=session)))


@pytest.mark.parametrize(("ahead", "denied"), [(31, False), (30, True)])
def test_no_entry_within_the_lead_of_a_close_or_a_maintenance_M7(ahead: int, denied: bool) -> None:
    at = NOW + minutes(ahead)
    for session in (a_session(closes=at), a_session(maintenance=(at, at + minutes(50)))):
        found = reasons(IOC, in_session(session))
        assert (set(found) == {DenialCode.BREAK_AHEAD}) is denied
        resting = reasons(an_intent(), in_session(session))
        assert set(resting) == {DenialCode.BREAK_AHEAD}, "it would rest into the break"


def test_a_close_or_maintenance_in_the_past_is_no_break_ahead() -> None:
    past = a_session(closes=NOW - minutes(1), maintenance=(NOW - minutes(60), NOW))
    assert reasons(IOC, in_session(past)) == {}


def test_a_closed_session_and_a_running_maintenance_deny_M7() -> None:
    for state in (SessionState.CLOSED, SessionState.UNRECOGNISED):
        found = reasons(IOC, in_session(a_session(state=state, opens=NOW + minutes(5))))
        assert numbers(found, DenialCode.SESSION_CLOSED) == (state.value, "open")
    running = a_session(maintenance=(NOW, NOW + minutes(1)))
    assert numbers(reasons(IOC, in_session(running)), DenialCode.SESSION_CLOSED) == (
        "maintenance",
        "no maintenance",
    )


def test_the_nearer_of_close_and_maintenance_counts() -> None:
    soon, late = NOW + minutes(10), NOW + minutes(600)
    for session in (
        a_session(closes=late, maintenance=(soon, late)),
        a_session(closes=soon, maintenance=(late, late + minutes(50))),
    ):
        assert set(reasons(IOC, in_session(session))) == {DenialCode.BREAK_AHEAD}


@pytest.mark.parametrize(("side", "denied"), [(Side.BUY, False), (Side.SELL, True)])
def test_only_the_side_whose_margin_gets_dearer_waits_for_the_step(side: Side, denied: bool) -> None:
    product = a_product(intraday_margin=("0.1", "0.1"), overnight_margin=("0.1", "0.3"))
    window = a_margin_window(kind="INTRADAY", ends=NOW + minutes(10), intraday_enrolled=True)
    view = a_view(product=product, calendar=a_calendar(margin_window=window))
    found = reasons(an_intent(tif=TimeInForce.IOC, side=side), view)
    assert (set(found) == {DenialCode.MARGIN_WINDOW_AHEAD}) is denied
