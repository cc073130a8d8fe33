"""The order against its market: impact, depth, funding, reach."""

import pytest

from perpsctl.domain.accounts import RiskView
from perpsctl.domain.orders import OrderIntent, OrderType, TimeInForce
from perpsctl.domain.sides import Side
from perpsctl.domain.verdicts import DenialCode
from perpsctl.risk.limits import RiskLimits
from tests.builders import (
    a_book,
    a_booked,
    a_funding,
    a_live_order,
    a_position,
    a_view,
    an_intent,
    positions_read,
    some_facts,
)
from tests.unit.risk.judging import numbers, reasons

MARKET = OrderType.MARKET


def market(side: Side = Side.BUY, size: str = "0.02") -> OrderIntent:
    return an_intent(side=side, size=size, type=MARKET)


@pytest.mark.parametrize("side", list(Side))
def test_impact_is_the_average_price_of_the_walk_against_mid(side: Side) -> None:
    # One contract at the touch, the second a rung further: the average is (near + far) / 2 from mid.
    def facts(far: int) -> RiskView:
        rungs = {
            Side.BUY: [("60010", "0.01"), (str(60000 + far), "5")],
            Side.SELL: [("59990", "0.01"), (str(60000 - far), "5")],
        }
        asks = rungs[Side.BUY] if side is Side.BUY else [("60010", "5")]
        bids = rungs[Side.SELL] if side is Side.SELL else [("59990", "5")]
        return a_view(market=some_facts(book=a_book(bids=bids, asks=asks)))

    limits = RiskLimits.from_mapping({"liquidity_band_bps": "100"})
    assert reasons(market(side), facts(170), limits) == {}
    found = reasons(market(side), facts(180), limits)
    assert numbers(found, DenialCode.ORDER_IMPACT_ABOVE_MAX) == ("15.83333334", "15")


def test_a_book_that_cannot_fill_the_order_denies_and_says_how_much_it_holds() -> None:
    limits = RiskLimits.from_mapping({"liquidity_min_usd": "1"})
    view = a_view(market=some_facts(book=a_book(asks=[("60005", "0.01")])))
    found = reasons(market(), view, limits)
    assert numbers(found, DenialCode.ORDER_IMPACT_ABOVE_MAX) == ("unknown", "15")
    assert "0.01 of 0.02" in found[DenialCode.ORDER_IMPACT_ABOVE_MAX].detail


@pytest.mark.parametrize(("size", "denied"), [("1.6666666667", False), ("1.66", True)])
def test_depth_within_25_bps_on_the_side_to_be_hit_is_at_least_100_000(size: str, denied: bool) -> None:
    # 60,150 is exactly 25 bps from mid and counts; 60,155 does not.
    asks = [("60150", size), ("60155", "100")]
    book = a_book(bids=[("59850", "100")], asks=asks)
    found = reasons(
        market(size="0.01"),
        a_view(market=some_facts(book=book)),
        RiskLimits.from_mapping({"order_impact_max_bps": "30"}),
    )
    if denied:
        assert numbers(found, DenialCode.LIQUIDITY_BELOW_MIN) == ("99849", "100000")
    else:
        assert found == {}


def test_a_post_only_order_needs_neither_depth_nor_impact() -> None:
    view = a_view(market=some_facts(book=a_book(size="0.01", levels=1)))
    assert reasons(an_intent(size="0.1", post_only=True), view) == {}
    assert set(reasons(an_intent(size="0.1"), view)) == {
        DenialCode.ORDER_IMPACT_ABOVE_MAX,
        DenialCode.LIQUIDITY_BELOW_MIN,
    }


# 0.001 a day is 0.0000416666... an hour.
@pytest.mark.parametrize(
    ("side", "rate", "denied"),
    [
        (Side.BUY, "0.0000416", False),
        (Side.BUY, "0.0000417", True),
        (Side.BUY, "-0.01", False),
        (Side.SELL, "-0.0000416", False),
        (Side.SELL, "-0.0000417", True),
        (Side.SELL, "0.01", False),
    ],
)
def test_funding_denies_only_the_side_that_pays_more_than_a_tenth_of_a_per_cent_a_day(
    side: Side, rate: str, denied: bool
) -> None:
    found = reasons(an_intent(side=side), a_view(market=some_facts(funding=a_funding(rate=rate))))
    if denied:
        assert numbers(found, DenialCode.FUNDING_ABOVE_MAX) == ("0.0010008", "0.001")
    else:
        assert found == {}


def test_exactly_the_share_of_funding_passes() -> None:
    limits = RiskLimits.from_mapping({"funding_max_share_per_day": "0.0024"})
    view = a_view(market=some_facts(funding=a_funding(rate="0.0001")))
    assert reasons(view=view, limits=limits) == {}


def test_funding_is_judged_by_the_direction_that_results() -> None:
    dear = some_facts(funding=a_funding(rate="0.001"))
    short = a_view(market=dear, positions=positions_read(a_position(coin="-0.05")))
    assert reasons(an_intent(size="0.01"), short) == {}, "still short afterwards: it receives"
    assert set(reasons(an_intent(size="0.06"), short)) == {DenialCode.FUNDING_ABOVE_MAX}
    others = a_view(
        market=dear,
        positions=positions_read(a_position(coin="-0.05")),
        booked=a_booked(live=(a_live_order(remaining="0.05"),)),
    )
    assert set(reasons(an_intent(size="0.01"), others)) == {DenialCode.FUNDING_ABOVE_MAX}


@pytest.mark.parametrize("funding", [None, a_funding(rate=None), a_funding(interval=None)])
def test_unknown_funding_denies(funding: object) -> None:
    found = reasons(view=a_view(market=some_facts(funding=funding)))  # type: ignore[arg-type]
    assert numbers(found, DenialCode.FUNDING_UNKNOWN) == ("unknown", "0.001")


def test_one_orders_notional_is_bounded_where_the_profile_sets_it() -> None:
    assert reasons(an_intent(size="0.02"), limits=RiskLimits.from_mapping({"order_notional_max": "1200"})) == {}
    found = reasons(an_intent(size="0.02"), limits=RiskLimits.from_mapping({"order_notional_max": "1199"}))
    assert numbers(found, DenialCode.ORDER_NOTIONAL_ABOVE_MAX) == ("1200", "1199")


@pytest.mark.parametrize(
    ("side", "price", "denied"),
    [
        (Side.BUY, "60600", False),
        (Side.BUY, "60605", True),
        (Side.SELL, "59400", False),
        (Side.SELL, "59395", True),
        (Side.BUY, "50000", False),
        (Side.SELL, "70000", False),
    ],
)
def test_the_price_collar_is_one_sided(side: Side, price: str, denied: bool) -> None:
    found = reasons(an_intent(side=side, limit_price=price))
    if denied:
        assert numbers(found, DenialCode.PRICE_OUTSIDE_COLLAR) == ("100.83333334", "100")
    else:
        assert found == {}


@pytest.mark.parametrize(
    ("side", "price", "denied"),
    [(Side.BUY, "30000", False), (Side.BUY, "29995", True), (Side.SELL, "90000", False), (Side.SELL, "90005", True)],
)
def test_a_passive_price_stands_at_most_half_the_mark_away(side: Side, price: str, denied: bool) -> None:
    found = reasons(an_intent(side=side, limit_price=price))
    if denied:
        assert numbers(found, DenialCode.PRICE_TOO_FAR) == ("0.50008334", "0.5")
    else:
        assert found == {}


def stop(stop_price: str, price: str) -> OrderIntent:
    return an_intent(type=OrderType.STOP_LIMIT, tif=TimeInForce.GTC, stop_price=stop_price, limit_price=price)


def test_a_stop_limit_is_measured_from_its_trigger() -> None:
    assert reasons(stop("66000", "66660")) == {}, "ten per cent above the mark, one above its trigger"
    found = reasons(stop("66000", "66665"))
    assert numbers(found, DenialCode.PRICE_OUTSIDE_COLLAR) == ("100.75757576", "100")
    assert set(reasons(stop("90005", "90005"))) == {DenialCode.PRICE_TOO_FAR}


def test_exactly_the_minimum_of_depth_passes() -> None:
    book = a_book(bids=[("59850", "100")], asks=[("60150", "1"), ("70000", "9")])
    view = a_view(market=some_facts(book=book))
    settings = {"order_impact_max_bps": "30", "liquidity_min_usd": "60150"}
    assert reasons(market(size="0.01"), view, RiskLimits.from_mapping(settings)) == {}
    more = RiskLimits.from_mapping({**settings, "liquidity_min_usd": "60150.01"})
    assert numbers(reasons(market(size="0.01"), view, more), DenialCode.LIQUIDITY_BELOW_MIN) == ("60150", "60150.01")
