"""The way out stays open and only leads out: proof of reducing, a bounded price, nothing of the entry rules (R7)."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perpsctl.domain.accounts import RiskView, TradingState
from perpsctl.domain.errors import InvariantBroken
from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import SessionState
from perpsctl.domain.orders import OrderIntent, OrderType, Origin, Road, TimeInForce
from perpsctl.domain.sides import Side
from perpsctl.domain.verdicts import Approved, DenialCode
from perpsctl.risk.judge import approve_exit
from perpsctl.risk.limits import RiskLimits
from tests.builders import (
    BTC,
    NOW,
    a_book,
    a_booked,
    a_live_order,
    a_position,
    a_product,
    a_quantized,
    a_recent_intent,
    a_server_time,
    a_session,
    a_status,
    a_view,
    an_account,
    an_intent,
    an_order,
    orders_read,
    positions_read,
    some_facts,
)
from tests.unit.risk.judging import numbers, reasons, verdict

LONG = positions_read(a_position(coin="0.10"))
SHORT = positions_read(a_position(coin="-0.10"))


def closing(
    size: str = "0.10",
    *,
    side: Side = Side.SELL,
    price: str | None = "59900",
    road: Road = Road.SWITCH,
    tif: TimeInForce = TimeInForce.IOC,
    post_only: bool = False,
    reduce_only: bool = False,
    origin: Origin = Origin.OPERATOR,
) -> OrderIntent:
    return an_intent(
        size=size,
        side=side,
        limit_price=price,
        type=OrderType.MARKET if price is None else OrderType.LIMIT,
        tif=tif,
        post_only=post_only,
        road=road,
        reduce_only=reduce_only,
        origin=origin,
        reason="flatten",
    )


def in_ruins(**more: object) -> RiskView:
    """Everything that would stop an entry at once: stale book, no clock, no baseline, halted, budget used, thin book."""
    old = NOW - timedelta(hours=1)
    parts: dict[str, object] = {
        "market": some_facts(book=a_book(as_of=old, size="0.01"), funding=None, product_as_of=old),
        "positions": LONG,
        "account": an_account(equity="1", as_of=old),
        "server_time": None,
        "booked": a_booked(
            halted=True,
            loss_bases=(),
            sent_last_minute=1000,
            states={ProductId(BTC): TradingState.HALTED},
            recent=(a_recent_intent(side=Side.SELL, size="0.10", price="59900", reason="flatten", at=old),),
        ),
    }
    return a_view(**{**parts, **more})  # type: ignore[arg-type]


def test_an_exit_passes_where_every_entry_rule_would_deny() -> None:
    assert isinstance(verdict(closing(), in_ruins()), Approved)
    entry = reasons(an_intent(size="0.01"), in_ruins())
    assert len(entry) > 10, "the same view stops an entry for many reasons"


def test_while_the_account_is_halted_only_the_switchs_own_road_leads_out_R1() -> None:
    """The gate looks at the latch alone; a halt that stands in the journal alone has to be found by judgement."""
    assert reasons(closing(road=Road.EXIT), in_ruins()).keys() == {DenialCode.HALTED}
    halted_product = a_booked(states={ProductId(BTC): TradingState.HALTED})
    assert isinstance(verdict(closing(road=Road.EXIT), in_ruins(booked=halted_product)), Approved)


@pytest.mark.parametrize(("positions", "side", "price"), [(LONG, Side.SELL, "59900"), (SHORT, Side.BUY, "60100")])
def test_an_exit_is_no_larger_than_the_position_R7(positions: object, side: Side, price: str) -> None:
    view = in_ruins(positions=positions)
    assert reasons(closing(side=side, price=price), view) == {}
    found = reasons(closing("0.11", side=side, price=price), view)
    assert numbers(found, DenialCode.NOT_REDUCING) == ("0.11", "0.1")
    wrong_way = reasons(closing("0.01", side=side.opposite, price="60000"), view)
    assert numbers(wrong_way, DenialCode.NOT_REDUCING) == ("0.01", "0")


def test_other_reducing_orders_leave_less_to_close_R7() -> None:
    working = a_booked(live=(a_live_order(side=Side.SELL, remaining="0.04", price="61000", in_doubt=True),))
    view = in_ruins(booked=working)
    assert reasons(closing("0.06"), view) == {}
    assert numbers(reasons(closing("0.07"), view), DenialCode.NOT_REDUCING) == ("0.07", "0.06")
    foreign = in_ruins(orders=orders_read(an_order(side=Side.SELL, client_order_id=None, size="0.04")))
    assert numbers(reasons(closing("0.07"), foreign), DenialCode.NOT_REDUCING) == ("0.07", "0.06")


def test_a_buy_that_may_still_fill_proves_nothing_for_the_exit_of_a_long_R7() -> None:
    view = in_ruins(booked=a_booked(live=(a_live_order(side=Side.BUY, remaining="1"),)))
    assert numbers(reasons(closing("0.11"), view), DenialCode.NOT_REDUCING) == ("0.11", "0.1")


def test_an_exit_needs_a_position_that_was_read_and_is_young() -> None:
    assert set(reasons(closing(), in_ruins(positions=None))) == {DenialCode.NOT_REDUCING}
    for age, denied in ((10, False), (11, True)):
        as_of = NOW - timedelta(seconds=age)
        view = in_ruins(positions=positions_read(a_position(coin="0.10"), as_of=as_of), orders=orders_read(as_of=as_of))
        assert (set(reasons(closing(), view)) == {DenialCode.ACCOUNT_STALE}) is denied
    before = in_ruins(positions=positions_read(a_position(coin="0.10"), as_of=NOW - timedelta(seconds=1)))
    assert set(reasons(closing(), before)) == {DenialCode.ACCOUNT_STALE}, "read before the open orders"


def test_an_exit_passes_on_the_journal_or_the_listing_alone_and_says_so() -> None:
    journal_only = verdict(closing(), in_ruins(orders=None))
    assert isinstance(journal_only, Approved)
    assert journal_only.notes == ("open orders could not be read: judged against the journal's alone",)
    listing_only = verdict(closing(), in_ruins(booked=None))
    assert isinstance(listing_only, Approved)
    assert "the journal could not be read" in listing_only.notes[0]
    neither = reasons(closing(), in_ruins(booked=None, orders=None))
    assert set(neither) == {DenialCode.ACCOUNT_MISSING}


def test_an_order_of_unknown_size_leaves_nothing_provable() -> None:
    unsized = orders_read(an_order(client_order_id=None, size=None))
    assert reasons(closing("0.01"), in_ruins(orders=unsized))[DenialCode.NOT_REDUCING].limit == "unknown"


@pytest.mark.parametrize(
    ("positions", "side", "inside", "outside"),
    [(LONG, Side.SELL, "57000", "56995"), (SHORT, Side.BUY, "63000", "63005")],
)
def test_an_exits_price_is_within_500_bps_of_the_best_known_one(
    positions: object, side: Side, inside: str, outside: str
) -> None:
    view = in_ruins(positions=positions)
    assert reasons(closing(side=side, price=inside), view) == {}
    found = reasons(closing(side=side, price=outside), view)
    assert numbers(found, DenialCode.PRICE_OUTSIDE_COLLAR) == ("500.83333334", "500")


def test_the_best_known_price_falls_back_from_mark_to_index_to_last_to_last_known() -> None:
    def at(price: str, **facts: str | None) -> dict[DenialCode, object]:
        return dict(reasons(closing(price=price), in_ruins(market=some_facts(book=None, **facts))))  # type: ignore[arg-type]

    assert at("47500", index_price="50000") == {}
    assert set(at("47495", index_price="50000")) == {DenialCode.PRICE_OUTSIDE_COLLAR}
    assert at("38000", index_price=None, last_price="40000") == {}
    assert set(at("37995", index_price=None, last_price="40000")) == {DenialCode.PRICE_OUTSIDE_COLLAR}
    assert at("28500", index_price=None, last_price=None, last_known_price="30000") == {}
    nothing = at("28500", index_price=None, last_price=None)
    assert set(nothing) == {DenialCode.EXIT_PRICE_UNKNOWN}
    zero = at("28500", index_price=None, last_price=None, last_known_price="0")
    assert set(zero) == {DenialCode.EXIT_PRICE_UNKNOWN}


def test_only_the_venues_own_close_needs_no_price() -> None:
    blind = in_ruins(market=some_facts(book=None, index_price=None, last_price=None))
    answer = verdict(closing(price=None), blind)
    assert isinstance(answer, Approved)
    assert answer.notes == ("the venue's own close has no price bound",)
    assert set(reasons(closing("0.11", price=None), blind)) == {DenialCode.NOT_REDUCING}, "and must still reduce"


@pytest.mark.parametrize("flag", ["cancel_only", "disabled", "auction", "view_only", "post_only"])
def test_status_binds_exits_too(flag: str) -> None:
    view = in_ruins(market=some_facts(status=a_status(**{flag: True})))  # type: ignore[arg-type]
    assert set(reasons(closing(), view)) == {DenialCode.PRODUCT_STATUS}


def test_a_closed_session_binds_exits_and_an_unknown_status_does_not() -> None:
    closed = in_ruins(market=some_facts(status=a_status(session=a_session(state=SessionState.CLOSED))))
    assert set(reasons(closing(), closed)) == {DenialCode.SESSION_CLOSED}
    assert reasons(closing(), in_ruins(market=some_facts(status=None))) == {}


def test_an_exit_rests_only_while_the_product_takes_post_only_orders_alone() -> None:
    resting = closing(price="60100", tif=TimeInForce.GTC, post_only=True)
    assert set(reasons(resting, in_ruins())) == {DenialCode.REDUCE_ONLY_MUST_BE_ONE_SHOT}
    assert reasons(resting, in_ruins(market=some_facts(status=a_status(post_only=True)))) == {}
    assert reasons(resting, in_ruins(native_reduce_only=True)) == {}


def test_an_exit_on_a_grid_that_changed_is_denied_M5() -> None:
    view = in_ruins(product=a_product(contract_size="0.02"))
    found = approve_exit(a_quantized(closing(), product=a_product()), view, RiskLimits())
    assert [each.code for each in found.denials] == [DenialCode.PRODUCT_STALE]  # type: ignore[union-attr]


def test_an_entry_never_gets_the_exits_judge() -> None:
    with pytest.raises(InvariantBroken):
        approve_exit(a_quantized(an_intent()), a_view(), RiskLimits())


# --- orders on the entry road that reduce ----------------------------------------------------------------------------

SICK = {
    "account": an_account(equity="1"),  # every share would be broken
    "server_time": a_server_time(skew=timedelta(seconds=9)),
    "positions": LONG,
}


def test_a_one_shot_order_that_provably_reduces_meets_no_entry_rule() -> None:
    view = a_view(**SICK)  # type: ignore[arg-type]
    for flag in (True, False):
        answer = verdict(closing(road=Road.ENTRY, reduce_only=flag), view)
        assert isinstance(answer, Approved)
        assert answer.notes == ("it provably reduces: limits for entries were not asked",)
    too_large = reasons(closing("0.11", road=Road.ENTRY, reduce_only=True), view)
    assert too_large[DenialCode.NOT_REDUCING].observed == "0.11"
    assert DenialCode.POSITION_ABOVE_MAX in too_large, "what does not reduce is an entry"


def test_a_reduce_only_order_of_an_operator_does_not_rest_where_the_venue_has_no_such_flag() -> None:
    resting = closing(price="60100", tif=TimeInForce.GTC, road=Road.ENTRY, reduce_only=True)
    view = a_view(positions=LONG)
    assert numbers(reasons(resting, view), DenialCode.REDUCE_ONLY_MUST_BE_ONE_SHOT) == ("rests", "ioc or fok")
    assert reasons(resting, a_view(positions=LONG, native_reduce_only=True)) == {}
    loops = closing(price="60100", tif=TimeInForce.GTC, road=Road.ENTRY, reduce_only=True, origin=Origin.STRATEGY)
    assert reasons(loops, a_view(**SICK)) == {}  # type: ignore[arg-type]


def test_an_operators_resting_sell_is_judged_as_the_entry_it_may_become() -> None:
    resting = closing(price="60100", tif=TimeInForce.GTC, road=Road.ENTRY)
    assert DenialCode.POSITION_ABOVE_MAX in reasons(resting, a_view(**SICK))  # type: ignore[arg-type]
    assert reasons(resting, a_view(positions=LONG)) == {}


def test_a_halt_and_the_exit_collar_bind_a_reducing_order_of_the_entry_road() -> None:
    halted = a_view(positions=LONG, booked=a_booked(halted=True))
    assert set(reasons(closing(road=Road.ENTRY), halted)) == {DenialCode.HALTED}
    reducing = a_view(positions=LONG, booked=a_booked(states={ProductId(BTC): TradingState.REDUCING}))
    assert reasons(closing(road=Road.ENTRY), reducing) == {}
    far = reasons(closing(price="56995", road=Road.ENTRY), a_view(positions=LONG))
    assert set(far) == {DenialCode.PRICE_OUTSIDE_COLLAR}


def test_a_reducing_market_order_finds_its_worst_fill_inside_the_collar() -> None:
    deep = a_view(positions=LONG)
    market = closing(price=None, road=Road.ENTRY)
    assert reasons(market, deep) == {}
    cliff = a_book(bids=[("59995", "0.01"), ("56995", "5")])
    found = reasons(market, a_view(positions=LONG, market=some_facts(book=cliff)))
    assert set(found) == {DenialCode.PRICE_OUTSIDE_COLLAR}
    thin = a_book(bids=[("59995", "0.01")])
    assert set(reasons(market, a_view(positions=LONG, market=some_facts(book=thin)))) == {DenialCode.EXIT_PRICE_UNKNOWN}


coins = st.integers(-30, 30)
orders = st.lists(st.tuples(st.sampled_from(list(Side)), st.integers(1, 20), st.booleans()), max_size=5)


@given(position=coins, others=orders, side=st.sampled_from(list(Side)), size=st.integers(1, 40), data=st.data())
def test_whatever_else_fills_an_approved_exit_never_opens_or_flips_R7(
    position: int, others: list[tuple[Side, int, bool]], side: Side, size: int, data: st.DataObject
) -> None:
    live = tuple(
        a_live_order(intent_id=f"intent-{n}", side=way, remaining=str(contracts / 100), in_doubt=doubt)
        for n, (way, contracts, doubt) in enumerate(others)
    )
    view = a_view(
        positions=positions_read(a_position(coin=str(position / 100))) if position else positions_read(),
        booked=a_booked(live=live),
    )
    answer = verdict(closing(str(size / 100), side=side, price="60000"), view)
    if not isinstance(answer, Approved):
        return
    # Only what closes too can make this order the one too many; each such order fills some part of itself.
    left = position
    for way, contracts, _ in others:
        if way is side:
            left += way.sign * data.draw(st.integers(0, contracts))
    after = left + side.sign * data.draw(st.integers(0, size))
    assert abs(after) <= abs(left)
    assert after * left >= 0
    assert after == 0 or (after > 0) == (position > 0)


def test_the_last_exit_does_not_stand_in_the_way_of_the_next_once_everything_was_read_again() -> None:
    def after(committed: timedelta) -> set[DenialCode]:
        mine = a_recent_intent(side=Side.SELL, size="0.05", reason="flatten", at=NOW + committed)
        return set(reasons(closing("0.10"), in_ruins(booked=a_booked(recent=(mine,)))))

    assert after(timedelta(0)) == set()
    assert after(timedelta(microseconds=1)) == {DenialCode.NOT_REDUCING}, "another process's, after our reads"
