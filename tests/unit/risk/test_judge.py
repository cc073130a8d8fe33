"""The verdict as a whole: every reason shows, every code can be had, and rules and codes belong together."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perpsctl.domain.accounts import RiskView, TradingState
from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import SessionState
from perpsctl.domain.orders import OrderIntent, Road, TimeInForce
from perpsctl.domain.sides import Side
from perpsctl.domain.verdicts import Approved, DenialCode, Denied
from perpsctl.risk.limits import RiskLimits
from perpsctl.risk.rules import RULES, Binds
from tests.builders import (
    BTC,
    NOW,
    a_book,
    a_booked,
    a_calendar,
    a_funding,
    a_live_order,
    a_margin_window,
    a_position,
    a_recent_intent,
    a_server_time,
    a_session,
    a_status,
    a_view,
    an_account,
    an_intent,
    positions_read,
    some_facts,
)
from tests.unit.risk.judging import reasons, verdict

OLD = NOW - timedelta(hours=1)
SOON = NOW + timedelta(minutes=5)
# The gate, the desk and the checks room deny with these; no rule here looks at the switch or at tokens.
NOT_OURS = {DenialCode.KILL_SWITCH_ENGAGED, DenialCode.LIVE_NOT_ENABLED, DenialCode.PREFLIGHT_TOKEN_MISSING}

C = DenialCode
VIOLATIONS: dict[DenialCode, tuple[OrderIntent | None, RiskView | None, dict[str, object]]] = {
    C.HALTED: (None, a_view(booked=a_booked(halted=True)), {}),
    C.PRODUCT_REDUCING: (None, a_view(booked=a_booked(states={ProductId(BTC): TradingState.REDUCING})), {}),
    C.POSITION_ABOVE_MAX: (an_intent(size="0.17"), None, {}),
    C.GROSS_ABOVE_MAX: (an_intent(size="0.17"), None, {"gross_max_share": "0.01"}),
    C.DAILY_LOSS_ABOVE_MAX: (None, a_view(account=an_account(equity="900000")), {}),
    C.LOSS_BASELINE_MISSING: (None, a_view(booked=a_booked(loss_bases=())), {}),
    C.ORDER_IMPACT_ABOVE_MAX: (None, a_view(market=some_facts(book=a_book(half_spread="200"))), {}),
    C.LIQUIDITY_BELOW_MIN: (None, a_view(market=some_facts(book=a_book(size="0.01"))), {}),
    C.FUNDING_ABOVE_MAX: (None, a_view(market=some_facts(funding=a_funding(rate="0.01"))), {}),
    C.FUNDING_UNKNOWN: (None, a_view(market=some_facts(funding=None)), {}),
    C.QUIET_WINDOW: (None, a_view(calendar=a_calendar(funding_cash_times=(SOON.time(),))), {}),
    C.MARGIN_WINDOW_AHEAD: (
        None,
        a_view(calendar=a_calendar(margin_window=a_margin_window(kind="INTRADAY", ends=SOON, intraday_enrolled=True))),
        {},
    ),
    C.BREAK_AHEAD: (None, a_view(market=some_facts(status=a_status(session=a_session(closes=SOON)))), {}),
    C.ORDER_NOTIONAL_ABOVE_MAX: (None, None, {"order_notional_max": "1"}),
    C.ORDERS_PER_MINUTE_ABOVE_MAX: (None, a_view(booked=a_booked(sent_last_minute=10)), {}),
    C.ORDERS_PER_DAY_ABOVE_MAX: (None, a_view(booked=a_booked(sent_today=5)), {"orders_per_day_max": 5}),
    C.OPEN_ORDERS_ABOVE_MAX: (None, a_view(booked=a_booked(live=(a_live_order(),))), {"open_orders_max": 1}),
    C.LEVERAGE_ABOVE_MAX: (None, None, {"leverage_max": "0.0001"}),
    C.PRICE_OUTSIDE_COLLAR: (an_intent(limit_price="70000"), None, {}),
    C.PRICE_TOO_FAR: (an_intent(limit_price="5"), None, {}),
    C.MARK_MISSING: (None, a_view(market=some_facts(book=None)), {}),
    C.MARK_STALE: (None, a_view(market=some_facts(book=a_book(as_of=OLD))), {}),
    C.MARK_DIVERGES: (None, a_view(market=some_facts(index_price="50000")), {}),
    C.BOOK_MISSING: (None, a_view(market=some_facts(book=None)), {}),
    C.BOOK_STALE: (None, a_view(market=some_facts(book=a_book(as_of=OLD))), {}),
    C.ACCOUNT_MISSING: (None, a_view(account=None), {}),
    C.ACCOUNT_STALE: (None, a_view(account=an_account(as_of=OLD)), {}),
    C.ACCOUNT_LOCKED: (None, a_view(account=replace(an_account(), locked="locked: compliance")), {}),
    C.CLOCK_UNKNOWN: (None, a_view(server_time=None), {}),
    C.CLOCK_SKEW_ABOVE_MAX: (None, a_view(server_time=a_server_time(skew=timedelta(seconds=130))), {}),
    C.LIQUIDATION_TOO_NEAR: (None, a_view(account=an_account(liquidation_threshold="1000000")), {}),
    C.DUPLICATE_INTENT: (None, a_view(booked=a_booked(recent=(a_recent_intent(price="59900"),))), {}),
    C.CROSSES_OWN_ORDER: (
        None,
        a_view(booked=a_booked(live=(a_live_order(side=Side.SELL, price="59000", venue_order_id="order-other"),))),
        {},
    ),
    C.PRODUCT_STATUS: (None, a_view(market=some_facts(status=a_status(disabled=True))), {}),
    C.PRODUCT_STALE: (None, a_view(market=some_facts(product_as_of=None)), {}),
    C.SESSION_CLOSED: (
        None,
        a_view(market=some_facts(status=a_status(session=a_session(state=SessionState.CLOSED)))),
        {},
    ),
    C.NOT_REDUCING: (an_intent(reduce_only=True, tif=TimeInForce.IOC), None, {}),
    C.REDUCE_ONLY_MUST_BE_ONE_SHOT: (an_intent(reduce_only=True), None, {}),
    C.EXIT_PRICE_UNKNOWN: (
        an_intent(side=Side.SELL, road=Road.EXIT, tif=TimeInForce.IOC),
        a_view(
            positions=positions_read(a_position()),
            market=some_facts(book=None, index_price=None, last_price=None),
        ),
        {},
    ),
    C.PRODUCT_NOT_ALLOWED: (None, None, {"products_allowed": ["ETH-PERP"]}),
    C.BOOKED_MISSING: (None, a_view(booked=None), {}),
}


def test_every_code_of_the_contract_has_a_violation_here_or_belongs_to_another_room() -> None:
    assert set(VIOLATIONS) == set(DenialCode) - NOT_OURS


def test_the_rules_name_every_code_that_is_ours_and_each_rule_once() -> None:
    assert {code for rule in RULES for code in rule.codes} == set(DenialCode) - NOT_OURS
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.binds and rule.codes for rule in RULES)


@pytest.mark.parametrize("code", sorted(VIOLATIONS))
def test_each_limit_bites_with_its_own_code_and_both_numbers(code: DenialCode) -> None:
    intent, view, settings = VIOLATIONS[code]
    found = reasons(intent, view, RiskLimits.from_mapping(settings))
    assert code in found
    assert found[code].observed
    assert found[code].limit
    assert found[code].observed != found[code].limit


@pytest.mark.parametrize("code", sorted(VIOLATIONS))
def test_a_rule_denies_only_with_the_codes_it_declares(code: DenialCode) -> None:
    from perpsctl.risk.case import order_case
    from tests.builders import a_quantized

    intent, view, settings = VIOLATIONS[code]
    case = order_case(a_quantized(intent), view or a_view(), RiskLimits.from_mapping(settings))
    for rule in RULES:
        spoken = rule.check(case)
        assert spoken is None or spoken.code in rule.codes, rule.name


def test_all_rules_run_and_every_reason_shows() -> None:
    view = a_view(
        server_time=None,
        account=an_account(as_of=OLD),
        booked=a_booked(sent_last_minute=10, halted=True),
        market=some_facts(funding=None),
    )
    answer = verdict(an_intent(size="1", limit_price="70000"), view)
    assert isinstance(answer, Denied)
    assert [each.code for each in answer.denials] == [
        C.HALTED,
        C.ACCOUNT_STALE,
        C.CLOCK_UNKNOWN,
        C.POSITION_ABOVE_MAX,
        C.GROSS_ABOVE_MAX,
        C.PRICE_OUTSIDE_COLLAR,
        C.FUNDING_UNKNOWN,
        C.ORDERS_PER_MINUTE_ABOVE_MAX,
    ]


def test_an_approval_carries_the_order_its_client_id_and_the_moment_of_judging() -> None:
    answer = verdict(view=a_view(booked=a_booked(as_of=NOW + timedelta(seconds=1))))
    assert isinstance(answer, Approved)
    assert answer.order.client_order_id == "intent-0001"
    assert answer.order.judged_at == NOW + timedelta(seconds=1)
    assert answer.notes == ()


def test_judging_is_pure_the_same_view_gives_the_same_verdict() -> None:
    view = a_view(positions=positions_read(a_position()))
    assert verdict(an_intent(size="1"), view) == verdict(an_intent(size="1"), view)


def test_everything_an_entry_meets_is_in_the_table_and_the_way_out_meets_little() -> None:
    entry = {rule.name for rule in RULES if Binds.ENTRY in rule.binds}
    leaving = {rule.name for rule in RULES if Binds.EXIT in rule.binds}
    assert len(entry) >= 38
    assert leaving == {
        "not_halted",
        "product_status",
        "session_open",
        "product_unchanged",
        "reduces_in_one_shot",
        "live_orders_known",
        "reads_fresh",
        "must_reduce",
        "exit_collar",
    }


numbers_of_any_size = st.sampled_from(["0", "1e-40", "0.00000001", "1", "60000", "1e20", "1e39", "9" * 40])


@given(
    prices=st.lists(numbers_of_any_size, min_size=4, max_size=4),
    equity=numbers_of_any_size,
    coin=numbers_of_any_size,
    rate=numbers_of_any_size,
)
def test_a_market_gone_mad_is_denied_and_never_an_exception_M1(
    prices: list[str], equity: str, coin: str, rate: str
) -> None:
    bid, ask, index, far = prices
    facts = some_facts(
        book=a_book(bids=[(bid, "1")], asks=[(ask, "1"), (far, "1e38")]),
        index_price=index,
        last_price=None,
        funding=a_funding(rate=rate),
    )
    view = a_view(
        market=facts,
        account=an_account(equity=equity),
        positions=positions_read(a_position(coin=coin, contract_size="1")),
    )
    for intent in (an_intent(), an_intent(side=Side.SELL, tif=TimeInForce.IOC, road=Road.EXIT)):
        assert isinstance(verdict(intent, view), Approved | Denied)


def test_with_nothing_of_the_account_read_recent_intents_are_no_exception_but_a_denial_L5() -> None:
    view = a_view(orders=None, positions=None, account=None, booked=a_booked(recent=(a_recent_intent(size="0.02"),)))
    assert set(reasons(view=view)) == {C.ACCOUNT_MISSING}
