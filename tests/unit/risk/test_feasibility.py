"""What the limits mean: figures an operator can check by hand."""

from collections.abc import Iterable
from datetime import time
from decimal import Decimal

from perpsctl.domain.ids import ProductId
from perpsctl.domain.numbers import Notional, Price
from perpsctl.domain.products import Product
from perpsctl.domain.verdicts import DenialCode
from perpsctl.risk.feasibility import Feasibility, feasibility
from perpsctl.risk.limits import RiskLimits
from tests.builders import (
    BTC,
    ETH,
    a_booked,
    a_funding,
    a_product,
    a_view,
    an_account,
    an_equity_mark,
    an_intent,
    both_loss_bases,
)
from tests.unit.risk.judging import reasons

PRODUCTS = (a_product(), a_product(product_id=ETH, alias="ETH-PERP", base="ETH", contract_size="0.1"))
PRICES = {ProductId(BTC): Price(Decimal(60000)), ProductId(ETH): Price(Decimal(3000))}


def at(
    equity: str,
    settings: dict[str, object] | None = None,
    *,
    products: tuple[Product, ...] = PRODUCTS,
    cash_times: Iterable[time] = (time(20),),
    prices: dict[ProductId, Price] = PRICES,
) -> Feasibility:
    limits = RiskLimits.from_mapping(settings or {})
    return feasibility(
        limits, equity=Notional(Decimal(equity)), products=products, prices=prices, cash_times=cash_times
    )


def test_one_per_cent_of_fifty_thousand_admits_no_contract_of_bitcoin() -> None:
    found = at("50000")
    bitcoin, ether = found.products
    assert bitcoin.admits_one is False
    assert (str(bitcoin.largest_size), bitcoin.cap) == ("0", Decimal(500))
    assert (ether.admits_one, ether.largest_size) == (True, Decimal("0.1"))
    assert found.warnings == (
        "BTC-PERP: position_max_share admits 500, the smallest order is 600: nothing can be entered",
    )


def test_the_largest_size_is_what_the_rules_admit_and_a_contract_more_is_denied() -> None:
    room = at("1000000").products[0]
    assert room.largest_size == Decimal("0.16")
    assert reasons(an_intent(size="0.16", post_only=True)) == {}
    assert set(reasons(an_intent(size="0.17", post_only=True))) == {DenialCode.POSITION_ABOVE_MAX}
    small = a_view(
        account=an_account(equity="60000"),
        booked=a_booked(loss_bases=both_loss_bases(baseline=an_equity_mark(equity="60000"))),
    )
    assert at("60000").products[0].largest_size == Decimal("0.01")
    assert reasons(an_intent(size="0.01"), small) == {}


def test_the_smallest_cap_names_itself() -> None:
    assert at("1000000", {"order_notional_max": "700"}).products[0].bound_by == "order_notional_max"
    assert at("1000000", {"order_notional_max": "700"}).products[0].largest_size == Decimal("0.01")
    assert at("1000000", {"leverage_max": "0.001"}).products[0].bound_by == "leverage_max"


def test_a_product_without_a_price_is_unknown_not_admitted() -> None:
    found = at("1000000", prices={})
    assert found.products[0].admits_one is None
    assert "no price is known" in found.warnings[0]


def test_minutes_open_a_day_count_overlapping_windows_once() -> None:
    assert at("1000000").minutes_open_per_day == 1410
    assert at("1000000", cash_times=(time(20), time(20, 10))).minutes_open_per_day == 1400
    assert at("1000000", cash_times=(time(0, 10),)).minutes_open_per_day == 1410
    hourly = at("1000000", cash_times=())
    assert (hourly.minutes_open_per_day, hourly.quiet_by) == (720, "accrual")
    assert "720 of 1440" in hourly.warnings[0]
    assert at("1000000", {"quiet_basis": "accrual"}).minutes_open_per_day == 720
    never = at("1000000", {"quiet_minutes": 60}, cash_times=())
    assert never.minutes_open_per_day == 0
    assert "no minute of the day" in never.warnings[-1]


def test_funding_figures() -> None:
    dear = a_product(funding=a_funding(rate="0.0001"))
    found = at("1000000", products=(dear,))
    assert found.funding_cap_per_hour * 24 - Decimal("0.001") < Decimal("1e-20")
    room = found.products[0]
    assert (room.long_pays_too_much, room.short_pays_too_much) == (True, False)
    unknown = at("1000000", products=(a_product(funding=None),)).products[0]
    assert unknown.long_pays_too_much is None


def shadows(settings: dict[str, object]) -> dict[str, str]:
    return {each.setting: each.shadowed_by for each in at("1000000", settings).shadows}


def test_a_limit_that_cannot_bind_is_named_with_the_one_that_binds_first() -> None:
    assert shadows({}) == {
        "gross_max_share": "position_max_share",  # two products of 1 % never make 5 %
        "liquidation_distance_min_share": "gross_max_share",
    }
    assert shadows({"gross_max_share": "0.019"}).get("gross_max_share") is None
    assert shadows({"gross_max_share": "0.005"})["position_max_share"] == "gross_max_share"
    assert shadows({"order_notional_max": "10000"})["order_notional_max"] == "position_max_share"
    assert "order_notional_max" not in shadows({"order_notional_max": "9999"})
    assert shadows({"leverage_max": "3"})["leverage_max"] == "gross_max_share"
    assert shadows({"orders_per_day_max": 14400})["orders_per_day_max"] == "orders_per_minute_max"
    assert "orders_per_day_max" not in shadows({"orders_per_day_max": 14399})
    assert "liquidation_distance_min_share" not in shadows(
        {"gross_max_share": "1", "liquidation_distance_min_share": "0.7"}
    )
