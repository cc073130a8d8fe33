"""Edits: exposure is the larger of old and new; what only takes back meets validity and status alone (design 5, E24)."""

from perpsctl.domain.accounts import RiskView
from perpsctl.domain.verdicts import ApprovedChange, Denial, DenialCode
from perpsctl.risk.judge import evaluate_edit
from perpsctl.risk.limits import RiskLimits
from tests.builders import (
    NOW,
    a_booked,
    a_live_order,
    a_position,
    a_product,
    a_server_time,
    a_status,
    a_view,
    an_edit,
    an_order,
    orders_read,
    positions_read,
    some_facts,
)
from tests.unit.risk.judging import edit_reasons, numbers


def working(size: str = "0.01") -> RiskView:
    """The order under edit, known to journal and venue."""
    return a_view(
        booked=a_booked(live=(a_live_order(intent_id="intent-0001", venue_order_id="venue-0001", remaining=size),)),
        orders=orders_read(an_order(size=size)),
    )


def test_an_edit_is_approved_with_the_moment_it_was_judged() -> None:
    edit = an_edit(new_price="59910")
    answer = evaluate_edit(edit, working(), RiskLimits())
    assert isinstance(answer, ApprovedChange)
    assert answer.edit.edit is edit
    assert answer.edit.judged_at == NOW


def test_the_order_under_edit_is_not_counted_twice() -> None:
    assert edit_reasons(an_edit(old_size="0.16", new_size="0.16", new_price="59910"), working("0.16")) == {}


def test_a_larger_size_is_judged_at_its_new_size() -> None:
    found = edit_reasons(an_edit(new_size="0.17", new_price="59900", post_only=True), working())
    assert numbers(found, DenialCode.POSITION_ABOVE_MAX) == ("0.0102", "0.01")


def test_a_smaller_size_at_a_better_price_still_counts_at_its_old_size_E24() -> None:
    found = edit_reasons(an_edit(old_size="0.17", new_size="0.01", new_price="59910"), working("0.17"))
    assert numbers(found, DenialCode.POSITION_ABOVE_MAX) == ("0.0102", "0.01")


def test_what_the_venue_lists_counts_where_it_is_more_than_we_think() -> None:
    found = edit_reasons(an_edit(new_size="0.02", new_price="59900"), working("0.17"))
    assert set(found) == {DenialCode.POSITION_ABOVE_MAX}


def test_a_price_beyond_the_collar_is_denied() -> None:
    found = edit_reasons(an_edit(new_price="60605"), working())
    assert numbers(found, DenialCode.PRICE_OUTSIDE_COLLAR) == ("100.83333334", "100")


def test_an_edit_that_only_takes_back_meets_no_entry_rule_but_validity_and_status() -> None:
    sick = a_view(server_time=a_server_time(skew=NOW - NOW.replace(hour=0)), account=None)
    less = an_edit(old_size="0.02", new_size="0.01", new_price="59900")
    lower = an_edit(new_price="59895")
    higher = an_edit(new_price="59905")
    assert edit_reasons(less, sick) == {}
    assert edit_reasons(lower, sick) == {}
    assert set(edit_reasons(higher, sick)) >= {DenialCode.CLOCK_SKEW_ABOVE_MAX, DenialCode.ACCOUNT_MISSING}
    shut = a_view(market=some_facts(status=a_status(cancel_only=True)))
    assert set(edit_reasons(less, shut)) == {DenialCode.PRODUCT_STATUS}
    assert set(edit_reasons(less, a_view(booked=a_booked(halted=True)))) == {DenialCode.HALTED}
    assert set(edit_reasons(less, a_view(booked=None))) == {DenialCode.BOOKED_MISSING}
    assert set(edit_reasons(less, a_view(product=a_product(price_step="10")))) == {DenialCode.PRODUCT_STALE}


def test_edits_use_the_message_budget_and_add_no_open_order() -> None:
    limits = RiskLimits.from_mapping({"open_orders_max": 1, "orders_per_minute_max": 1})
    assert edit_reasons(an_edit(new_price="59910"), working(), limits) == {}
    used = a_view(booked=a_booked(sent_last_minute=1))
    assert set(edit_reasons(an_edit(new_price="59910"), used, limits)) == {DenialCode.ORDERS_PER_MINUTE_ABOVE_MAX}


def test_a_reduce_only_order_stays_one_after_the_edit_R7() -> None:
    view = a_view(positions=positions_read(a_position(coin="-0.02")), native_reduce_only=True)
    within = an_edit(old_size="0.01", new_size="0.02", reduce_only=True)
    assert edit_reasons(within, view) == {}
    beyond = an_edit(old_size="0.01", new_size="0.03", reduce_only=True)
    assert numbers(edit_reasons(beyond, view), DenialCode.NOT_REDUCING) == ("0.03", "0.02")


def test_what_has_filled_is_in_the_position_and_no_longer_in_the_order() -> None:
    # 0.10 of 0.16 filled: 0.10 held and 0.06 to come are 0.16, one contract below the bound.
    view = a_view(
        positions=positions_read(a_position(coin="0.10")),
        booked=a_booked(live=(a_live_order(intent_id="intent-0001", venue_order_id="venue-0001", remaining="0.06"),)),
        orders=orders_read(an_order(size="0.16", filled="0.10")),
    )

    def after(new_size: str) -> dict[DenialCode, Denial]:
        return edit_reasons(an_edit(old_size="0.16", filled="0.10", new_size=new_size, new_price="59905"), view)

    assert after("0.16") == {}
    found = after("0.17")
    assert numbers(found, DenialCode.POSITION_ABOVE_MAX) == ("0.0102", "0.01")


def test_of_two_sources_that_differ_about_the_order_under_edit_the_larger_counts() -> None:
    odd = a_view(
        booked=a_booked(live=(a_live_order(intent_id="intent-0001", remaining="0.01"),)),
        orders=orders_read(an_order(client_order_id=None, size="0.17")),
    )
    assert set(edit_reasons(an_edit(new_size="0.02", new_price="59900"), odd)) == {DenialCode.POSITION_ABOVE_MAX}
