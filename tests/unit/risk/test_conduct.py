"""Status, halts, budgets, doubles and crossings."""

from datetime import timedelta

import pytest

from perpsctl.domain.accounts import TradingState
from perpsctl.domain.ids import ProductId
from perpsctl.domain.orders import OrderType, TimeInForce
from perpsctl.domain.sides import Side
from perpsctl.domain.verdicts import DenialCode
from perpsctl.risk.limits import RiskLimits
from tests.builders import (
    BTC,
    NOW,
    a_booked,
    a_live_order,
    a_recent_intent,
    a_status,
    a_view,
    an_intent,
    an_order,
    orders_read,
    some_facts,
)
from tests.unit.risk.judging import numbers, reasons

RESTING = an_intent(post_only=True)
TAKING = an_intent(tif=TimeInForce.IOC)
MARKET = an_intent(type=OrderType.MARKET)


@pytest.mark.parametrize(
    ("flag", "denied"),
    [
        ("disabled", (True, True, True)),
        ("cancel_only", (True, True, True)),
        ("auction", (True, True, True)),
        ("view_only", (True, True, True)),
        ("limit_only", (False, False, True)),
        ("post_only", (False, True, True)),
    ],
)
def test_each_status_flag_stops_the_orders_it_means_M4(flag: str, denied: tuple[bool, bool, bool]) -> None:
    view = a_view(market=some_facts(status=a_status(**{flag: True})))  # type: ignore[arg-type]
    for intent, stopped in zip((RESTING, TAKING, MARKET), denied, strict=True):
        found = reasons(intent, view)
        if stopped:
            assert numbers(found, DenialCode.PRODUCT_STATUS) == (flag, "takes this order")
        else:
            assert found == {}


def test_an_unknown_status_denies_an_entry() -> None:
    found = reasons(view=a_view(market=some_facts(status=None)))
    assert numbers(found, DenialCode.PRODUCT_STATUS) == ("unknown", "a known status")


def test_a_halt_of_the_account_or_the_product_denies() -> None:
    halted = reasons(view=a_view(booked=a_booked(halted=True)))
    assert numbers(halted, DenialCode.HALTED) == ("account halted", "active")
    states = {ProductId(BTC): TradingState.HALTED}
    assert set(reasons(view=a_view(booked=a_booked(states=states)))) == {DenialCode.HALTED}


def test_a_product_in_reducing_takes_no_entry() -> None:
    states = {ProductId(BTC): TradingState.REDUCING}
    found = reasons(view=a_view(booked=a_booked(states=states)))
    assert numbers(found, DenialCode.PRODUCT_REDUCING) == ("reducing", "active")


def test_only_products_the_profile_names_are_entered() -> None:
    for allowed in ("BTC-PERP", "btc-perp", BTC):
        assert reasons(limits=RiskLimits.from_mapping({"products_allowed": [allowed]})) == {}
    found = reasons(limits=RiskLimits.from_mapping({"products_allowed": ["ETH-PERP"]}))
    assert numbers(found, DenialCode.PRODUCT_NOT_ALLOWED) == (BTC, "ETH-PERP")


def test_sends_are_counted_per_minute_and_per_day_R8() -> None:
    limits = RiskLimits.from_mapping({"orders_per_day_max": 50})
    assert reasons(view=a_view(booked=a_booked(sent_last_minute=9, sent_today=49)), limits=limits) == {}
    minute = reasons(view=a_view(booked=a_booked(sent_last_minute=10)), limits=limits)
    assert numbers(minute, DenialCode.ORDERS_PER_MINUTE_ABOVE_MAX) == ("11", "10")
    day = reasons(view=a_view(booked=a_booked(sent_today=50)), limits=limits)
    assert numbers(day, DenialCode.ORDERS_PER_DAY_ABOVE_MAX) == ("51", "50")
    assert reasons(view=a_view(booked=a_booked(sent_today=1_000_000))) == {}, "the profile sets no daily budget"


def test_open_orders_count_foreign_and_in_doubt_ones_once_each() -> None:
    view = a_view(
        booked=a_booked(live=(a_live_order(intent_id="intent-a", in_doubt=True), a_live_order(intent_id="intent-b"))),
        orders=orders_read(
            an_order(venue_order_id="v-b", client_order_id="intent-b"),
            an_order(venue_order_id="v-f", client_order_id=None),
        ),
    )
    assert reasons(view=view, limits=RiskLimits.from_mapping({"open_orders_max": 4})) == {}
    found = reasons(view=view, limits=RiskLimits.from_mapping({"open_orders_max": 3}))
    assert numbers(found, DenialCode.OPEN_ORDERS_ABOVE_MAX) == ("4", "3")


@pytest.mark.parametrize(("age", "denied"), [(0, True), (30, True), (31, False), (-5, True)])
def test_the_same_order_again_within_thirty_seconds_is_denied(age: int, denied: bool) -> None:
    recent = a_recent_intent(price="59900", at=NOW - timedelta(seconds=age))
    found = reasons(view=a_view(booked=a_booked(recent=(recent,))))
    assert (DenialCode.DUPLICATE_INTENT in found) is denied
    if denied:
        assert numbers(found, DenialCode.DUPLICATE_INTENT) == (str(age), "more than 30")


def test_a_different_order_an_empty_ending_or_again_is_no_duplicate() -> None:
    def after(**recent: object) -> set[DenialCode]:
        recents = (a_recent_intent(**{"price": "59900", "at": NOW - timedelta(seconds=20), **recent}),)  # type: ignore[arg-type]
        return set(reasons(view=a_view(booked=a_booked(recent=recents))))

    assert after() == {DenialCode.DUPLICATE_INTENT}
    assert after(size="0.02") == set()
    assert after(price="59895") == set()
    assert after(price=None) == set()
    assert after(side=Side.SELL, price="59900") == set()
    assert after(product_id="ETP-20DEC30-CDE") == set()
    assert after(reason="canary") == set()
    assert after(ended_empty=True) == set()
    assert after(intent_id="intent-0001") == set(), "the intent itself"
    again = an_intent(again=True)
    assert reasons(again, a_view(booked=a_booked(recent=(a_recent_intent(price="59900"),)))) == {}


@pytest.mark.parametrize(
    ("side", "ours", "other", "denied"),
    [
        (Side.BUY, "60005", "60005", True),
        (Side.BUY, "60000", "60005", False),
        (Side.SELL, "59995", "59995", True),
        (Side.SELL, "60000", "59995", False),
        (Side.BUY, "60000", None, True),
    ],
)
def test_an_entry_that_could_trade_with_our_own_order_is_denied(
    side: Side, ours: str, other: str | None, denied: bool
) -> None:
    live = a_live_order(side=side.opposite, price=other, intent_id="intent-other", venue_order_id="order-other")
    found = reasons(an_intent(side=side, limit_price=ours), a_view(booked=a_booked(live=(live,))))
    assert (DenialCode.CROSSES_OWN_ORDER in found) is denied
    if denied and other is not None:
        word = "below" if side is Side.BUY else "above"
        assert numbers(found, DenialCode.CROSSES_OWN_ORDER) == (ours, f"{word} {other}")


def test_a_market_order_crosses_what_stands_within_the_book_it_walks() -> None:
    near = an_order(side=Side.SELL, client_order_id=None, limit_price="60000")
    found = reasons(MARKET, a_view(orders=orders_read(near)))
    assert DenialCode.CROSSES_OWN_ORDER in found
    far = an_order(side=Side.SELL, client_order_id=None, limit_price="70000")
    assert reasons(MARKET, a_view(orders=orders_read(far))) == {}
    same_side = an_order(side=Side.BUY, client_order_id=None, limit_price="50000")
    assert reasons(MARKET, a_view(orders=orders_read(same_side))) == {}


def test_a_market_order_the_book_cannot_fill_crosses_any_order_on_the_other_side() -> None:
    far = an_order(side=Side.SELL, client_order_id=None, limit_price="70000")
    found = reasons(MARKET, a_view(orders=orders_read(far), market=some_facts(book=None)))
    crossing = found[DenialCode.CROSSES_OWN_ORDER]
    assert (crossing.observed, crossing.limit) == ("any price", "below 70000")


def test_nothing_crosses_an_order_that_never_rests_or_has_ended() -> None:
    taking = a_live_order(side=Side.SELL, price=None, intent_id="intent-other", in_doubt=True, one_shot=True)
    assert DenialCode.CROSSES_OWN_ORDER not in reasons(an_intent(), a_view(booked=a_booked(live=(taking,))))
    ended = a_recent_intent(side=Side.SELL, price=None, intent_id="intent-other", at=NOW)
    assert DenialCode.CROSSES_OWN_ORDER not in reasons(an_intent(), a_view(booked=a_booked(recent=(ended,))))
