"""Exposure and loss against equity: the worst case counts, at the boundary it passes, one step over it denies (R5)."""

from dataclasses import replace

import pytest

from perpsctl.domain.accounts import MarginLevel, RiskView
from perpsctl.domain.ids import ProductId
from perpsctl.domain.orders import OrderIntent
from perpsctl.domain.sides import Side
from perpsctl.domain.verdicts import DenialCode
from perpsctl.risk.limits import RiskLimits
from tests.builders import (
    BTC,
    ETH,
    NOW,
    a_booked,
    a_flow,
    a_live_order,
    a_mark,
    a_position,
    a_product,
    a_recent_intent,
    a_view,
    an_account,
    an_equity_mark,
    an_intent,
    an_order,
    both_loss_bases,
    held,
    orders_read,
    positions_read,
)
from tests.unit.risk.judging import numbers, reasons

# 1 % of 1,000,000 at 60,000 is 0.1666 BTC: sixteen contracts pass, seventeen do not.


def resting(size: str, *, side: Side = Side.BUY) -> OrderIntent:
    return an_intent(size=size, side=side, post_only=True)


def test_a_position_over_one_per_cent_of_equity_is_denied_with_both_numbers_R5() -> None:
    assert reasons(resting("0.16")) == {}
    assert numbers(reasons(resting("0.17")), DenialCode.POSITION_ABOVE_MAX) == ("0.0102", "0.01")


def test_exactly_the_share_passes() -> None:
    view = a_view(
        account=an_account(equity="960000"),
        booked=a_booked(loss_bases=both_loss_bases(baseline=an_equity_mark(equity="960000"))),
    )
    assert reasons(resting("0.16"), view) == {}


@pytest.mark.parametrize("in_doubt", [True, False])
def test_working_and_in_doubt_orders_count_in_full_R5(in_doubt: bool) -> None:
    view = a_view(booked=a_booked(live=(a_live_order(remaining="0.16", in_doubt=in_doubt),)))
    assert numbers(reasons(resting("0.01"), view), DenialCode.POSITION_ABOVE_MAX) == ("0.0102", "0.01")


def test_a_foreign_order_of_the_portfolio_counts_R5() -> None:
    view = a_view(orders=orders_read(an_order(client_order_id=None, size="0.16", limit_price="59000")))
    assert set(reasons(resting("0.01"), view)) == {DenialCode.POSITION_ABOVE_MAX}


def test_buys_and_sells_never_net_R5() -> None:
    sells = a_live_order(side=Side.SELL, remaining="0.16", price="61000")
    view = a_view(booked=a_booked(live=(sells,)))
    assert reasons(resting("0.16"), view) == {}
    assert set(reasons(resting("0.17"), view)) == {DenialCode.POSITION_ABOVE_MAX}
    assert set(reasons(resting("0.01", side=Side.SELL), view)) == {DenialCode.POSITION_ABOVE_MAX}


def test_an_order_of_unknown_size_denies_for_its_product_and_for_the_sum() -> None:
    view = a_view(orders=orders_read(an_order(client_order_id=None, size=None, limit_price="59000")))
    found = reasons(resting("0.01"), view)
    assert set(found) == {DenialCode.POSITION_ABOVE_MAX, DenialCode.GROSS_ABOVE_MAX}
    assert found[DenialCode.POSITION_ABOVE_MAX].observed == "unknown"
    assert "venue-0001" in found[DenialCode.POSITION_ABOVE_MAX].detail


def test_an_intent_committed_while_we_read_counts_although_nothing_shows_it_R5() -> None:
    recent = a_recent_intent(size="0.16", price="58000", at=NOW)
    view = a_view(booked=a_booked(recent=(recent,)))
    assert set(reasons(resting("0.01"), view)) == {DenialCode.POSITION_ABOVE_MAX}
    empty = a_recent_intent(size="0.16", price="58000", at=NOW, ended_empty=True)
    assert reasons(resting("0.01"), a_view(booked=a_booked(recent=(empty,)))) == {}


def holding_eth(coin: str) -> RiskView:
    eth = a_position(product_id=ETH, coin=coin, contract_size="0.1")
    marks = {ProductId(BTC): a_mark(), ProductId(ETH): a_mark(price="3000")}
    return a_view(positions=positions_read(eth), marks=marks)


def test_the_worst_cases_of_all_products_add_up_to_at_most_five_per_cent() -> None:
    # 0.16 BTC is 9,600; 13.4 ETH is 40,200: together 49,800 of 1,000,000.
    assert reasons(resting("0.16"), holding_eth("13.4")) == {}
    assert reasons(resting("0.16"), holding_eth("-13.4")) == {}
    found = reasons(resting("0.16"), holding_eth("-13.5"))
    assert numbers(found, DenialCode.GROSS_ABOVE_MAX) == ("0.0501", "0.05")


def test_leverage_is_bounded_where_the_profile_sets_it() -> None:
    limits = RiskLimits.from_mapping({"leverage_max": "0.0096"})
    assert reasons(resting("0.16"), limits=limits) == {}
    tighter = RiskLimits.from_mapping({"leverage_max": "0.0095"})
    assert numbers(reasons(resting("0.16"), limits=tighter), DenialCode.LEVERAGE_ABOVE_MAX) == ("0.0096", "0.0095")


def wide(**more: str) -> RiskLimits:
    return RiskLimits.from_mapping({"position_max_share": "1", "gross_max_share": "1", **more})


def test_liquidation_stays_a_tenth_of_the_mark_away_by_the_dearer_margin_rate() -> None:
    # 4 BTC short are 240,000 and need 31 %: with 98,400 of equity exactly a tenth is left above that.
    for equity, expected in (("98400", None), ("98399", "0.09999583")):
        view = a_view(
            account=an_account(equity=equity),
            booked=a_booked(loss_bases=both_loss_bases(baseline=an_equity_mark(equity=equity))),
        )
        found = reasons(resting("4", side=Side.SELL), view, wide())
        found.pop(DenialCode.POSITION_ABOVE_MAX)  # 240,000 of 98,400: another rule's business
        found.pop(DenialCode.GROSS_ABOVE_MAX)
        if expected is None:
            assert found == {}
        else:
            assert numbers(found, DenialCode.LIQUIDATION_TOO_NEAR) == (expected, "0.1")


def test_the_venues_own_liquidation_threshold_counts_where_it_is_nearer() -> None:
    # 0.01 BTC is 600: a threshold of 999,940 leaves 60, a tenth; a dollar more leaves less.
    assert reasons(resting("0.01"), a_view(account=an_account(liquidation_threshold="999940"))) == {}
    nearer = a_view(account=an_account(liquidation_threshold="999941"))
    assert numbers(reasons(resting("0.01"), nearer), DenialCode.LIQUIDATION_TOO_NEAR) == ("0.09833333", "0.1")


def test_an_account_that_holds_something_must_be_at_the_base_margin_level() -> None:
    for level in (MarginLevel.WARNING, MarginLevel.DANGER, MarginLevel.UNRECOGNISED):
        account = an_account(margin_level=level)
        flat = a_view(account=account)
        assert reasons(resting("0.01"), flat) == {}
        holding = a_view(account=account, positions=positions_read(a_position(coin="0.01")))
        assert numbers(reasons(resting("0.01"), holding), DenialCode.LIQUIDATION_TOO_NEAR) == (level.value, "base")


def test_unknown_margin_rates_deny() -> None:
    view = a_view(product=a_product(intraday_margin=None, overnight_margin=None))
    found = reasons(resting("0.01"), view)
    assert found[DenialCode.LIQUIDATION_TOO_NEAR].observed == "unknown"


# --- loss ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("equity", "denied"), [("980000", False), ("979999", True)])
def test_a_daily_loss_over_two_per_cent_by_balances_denies(equity: str, denied: bool) -> None:
    found = reasons(view=a_view(account=an_account(equity=equity)))
    if denied:
        assert numbers(found, DenialCode.DAILY_LOSS_ABOVE_MAX) == ("0.020001", "0.02")
    else:
        assert found == {}


@pytest.mark.parametrize(("price", "denied"), [("62000", False), ("62005", True)])
def test_an_unexplained_rise_of_the_balance_never_offsets_a_loss_by_fills(price: str, denied: bool) -> None:
    # Ten coin bought at `price` and marked at 60,000; the balance shows a gain all the same.
    bases = both_loss_bases(flows=(a_flow(coin="10", cash=str(-10 * int(price))),))
    view = a_view(account=an_account(equity="1100000"), booked=a_booked(loss_bases=bases))
    found = reasons(view=view)
    if denied:
        assert numbers(found, DenialCode.DAILY_LOSS_ABOVE_MAX) == ("0.02005", "0.02")
    else:
        assert found == {}


def test_a_position_held_since_the_windows_start_loses_by_its_mark() -> None:
    baseline = an_equity_mark(held=(held(coin="10", price="62005"),))
    found = reasons(view=a_view(booked=a_booked(loss_bases=both_loss_bases(baseline=baseline))))
    assert numbers(found, DenialCode.DAILY_LOSS_ABOVE_MAX) == ("0.02005", "0.02")


def test_of_two_baselines_of_one_window_the_one_that_shows_the_larger_loss_counts() -> None:
    day, rolling = both_loss_bases(baseline=an_equity_mark(equity="1000000"))
    inside = tuple(replace(each, baseline=an_equity_mark(equity="1050000")) for each in (day, rolling))
    for bases in ((day, rolling, *inside), (*inside, day, rolling)):
        view = a_view(account=an_account(equity="1020000"), booked=a_booked(loss_bases=bases))
        found = reasons(view=view)
        assert found.keys() == {DenialCode.DAILY_LOSS_ABOVE_MAX}
        assert found[DenialCode.DAILY_LOSS_ABOVE_MAX].observed == "0.02857143"


def test_transfers_are_no_gain_and_no_loss() -> None:
    deposited = both_loss_bases(transfers="100000")
    assert reasons(view=a_view(account=an_account(equity="1100000"), booked=a_booked(loss_bases=deposited))) == {}
    lost = reasons(view=a_view(account=an_account(equity="1077000"), booked=a_booked(loss_bases=deposited)))
    assert numbers(lost, DenialCode.DAILY_LOSS_ABOVE_MAX) == ("0.0209091", "0.02")


def test_each_of_both_windows_needs_a_baseline_and_the_worse_one_counts() -> None:
    day, rolling = both_loss_bases()
    for bases in ((), (day,), (rolling,), both_loss_bases(baseline=None)):
        found = reasons(view=a_view(booked=a_booked(loss_bases=bases)))
        assert set(found) == {DenialCode.LOSS_BASELINE_MISSING}
    worse = both_loss_bases(baseline=an_equity_mark(equity="1030000"))[1]
    found = reasons(view=a_view(booked=a_booked(loss_bases=(day, worse))))
    assert numbers(found, DenialCode.DAILY_LOSS_ABOVE_MAX) == ("0.02912622", "0.02")
    assert found[DenialCode.DAILY_LOSS_ABOVE_MAX].detail.startswith("rolling_24h")


def test_a_product_that_was_booked_and_has_no_mark_leaves_the_loss_unknown() -> None:
    bases = both_loss_bases(flows=(a_flow(product_id=ETH, coin="1", cash="-3000"),))
    found = reasons(view=a_view(booked=a_booked(loss_bases=bases)))
    assert found[DenialCode.LOSS_BASELINE_MISSING].observed == f"no mark: {ETH}"


def test_when_both_windows_are_breached_the_worse_one_is_told() -> None:
    day = both_loss_bases(baseline=an_equity_mark(equity="1030000"))[0]
    rolling = both_loss_bases(baseline=an_equity_mark(equity="1050000"))[1]
    found = reasons(view=a_view(booked=a_booked(loss_bases=(day, rolling))))
    assert numbers(found, DenialCode.DAILY_LOSS_ABOVE_MAX) == ("0.04761905", "0.02")
    assert found[DenialCode.DAILY_LOSS_ABOVE_MAX].detail.startswith("rolling_24h: lost 50000 of 1050000")
