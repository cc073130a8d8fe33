"""Dated views with honest gaps (L5), and the watch over what nobody ordered (R5, L5)."""

from dataclasses import replace
from datetime import time, timedelta
from decimal import Decimal

import pytest

from perpsctl.domain.accounts import EquityMark, LossBasis
from perpsctl.domain.errors import VenueRefusedUs, VenueUnreachable
from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import BookView
from perpsctl.domain.numbers import Notional, Price
from perpsctl.domain.verdicts import DenialCode
from perpsctl.engine.views import Views
from perpsctl.engine.watch import Watched, watch
from perpsctl.risk.limits import RiskLimits
from tests.builders import (
    BTC,
    ETH,
    NOW,
    a_book,
    a_booked,
    a_flow,
    a_live_order,
    a_mark,
    a_position,
    a_product,
    an_account,
    an_intent,
    an_order,
    orders_read,
    positions_read,
)
from tests.unit.engine.conftest import House

PRODUCT, OTHER = ProductId(BTC), ProductId(ETH)
PARTS = {"account": "account", "positions": "positions", "live_orders": "orders", "server_time": "server_time"}


def views(house: House) -> Views:
    return house.engine.views


@pytest.mark.parametrize("read", PARTS)
def test_L5_a_failed_read_leaves_none_and_a_note_and_no_other_part_suffers(house: House, read: str) -> None:
    house.venue.fail(read)
    seen = views(house).fresh(PRODUCT)
    assert getattr(seen.view, PARTS[read]) is None
    assert len(seen.notes) == 1
    assert "did not answer" in seen.notes[0]
    for other in set(PARTS.values()) - {PARTS[read]}:
        assert getattr(seen.view, other) is not None


def test_orders_are_read_before_positions_and_the_book_last(house: House) -> None:
    views(house).fresh(PRODUCT)
    calls = house.venue.calls
    assert calls.index("live_orders") < calls.index("positions") < calls.index("book")
    assert calls[-1] == "book"


def test_orders_read_by_the_caller_are_not_read_again(house: House) -> None:
    given = orders_read(an_order())
    seen = views(house).fresh(PRODUCT, orders=given)
    assert seen.view.orders is given
    assert "live_orders" not in house.venue.calls


def test_server_time_is_measured_once_a_minute(house: House) -> None:
    for _ in range(3):
        views(house).fresh(PRODUCT)
    assert house.venue.calls.count("server_time") == 1
    house.clock.advance(timedelta(seconds=61))
    views(house).fresh(PRODUCT)
    assert house.venue.calls.count("server_time") == 2


def test_a_clock_that_jumped_back_measures_again(house: House) -> None:
    views(house).fresh(PRODUCT)
    house.clock._now -= timedelta(hours=1)
    views(house).fresh(PRODUCT)
    assert house.venue.calls.count("server_time") == 2


def test_every_product_held_has_a_mark(house: House) -> None:
    house.venue.specs[OTHER] = a_product(product_id=ETH)
    house.venue.coin = {PRODUCT: Decimal("0.01"), OTHER: Decimal(1)}
    seen = views(house).fresh(PRODUCT)
    assert set(seen.view.marks) == {PRODUCT, OTHER}
    house.venue.fail("book")
    seen = views(house).fresh(PRODUCT)
    assert seen.view.marks == {}
    assert len(seen.notes) == 2


@pytest.mark.parametrize(("late", "age"), [(1, 0), (30, 30), (600, 600), (-30, -30)])
def test_M2_a_read_is_as_old_as_the_venue_says_it_is(house: House, late: int, age: int) -> None:
    def frozen() -> BookView:
        return replace(a_book(), venue_time=house.clock.now() - timedelta(seconds=late))

    house.venue.books[PRODUCT] = frozen
    view = views(house).fresh(PRODUCT).view
    assert view.market.book is not None
    assert abs(view.now - view.market.book.as_of - timedelta(seconds=age)) < timedelta(milliseconds=1)


def test_M2_a_read_the_venue_dates_back_denies_an_entry_with_age_and_bound(house: House) -> None:
    house.venue.books[PRODUCT] = lambda: replace(a_book(), venue_time=NOW - timedelta(seconds=30))
    denied = house.engine.desk.place(an_intent()).denied
    assert denied is not None
    told = {each.code: (each.observed, each.limit) for each in denied.denials}
    assert told[DenialCode.BOOK_STALE][0].startswith("30")
    assert told[DenialCode.BOOK_STALE][1] == "2"
    assert told[DenialCode.MARK_STALE][1] == "5"


def test_M2_a_mark_the_venue_dates_back_denies_an_entry_with_age_and_bound(house: House) -> None:
    frozen = replace(a_product(), mark_price=Price(Decimal("60000")), mark_time=NOW - timedelta(seconds=30))
    house.venue.specs[PRODUCT] = frozen
    denied = house.engine.desk.place(an_intent()).denied
    assert denied is not None
    told = {each.code: (each.observed, each.limit) for each in denied.denials}
    assert DenialCode.BOOK_STALE not in told
    assert told[DenialCode.MARK_STALE][0].startswith("30")
    assert told[DenialCode.MARK_STALE][1] == "5"


def test_no_equity_mark_is_made_of_half_a_picture(house: House) -> None:
    house.venue.coin = {PRODUCT: Decimal("0.01")}
    house.venue.fail("book")
    views(house).fresh(PRODUCT)
    assert house.journal.marks == []
    house.venue.heal()
    views(house).fresh(PRODUCT)
    assert [mark.held[0].coin for mark in house.journal.marks] == [Decimal("0.01")]


def test_no_equity_is_recorded_with_prices_of_a_later_moment(house: House) -> None:
    held = views(house).fresh(PRODUCT).view
    house.journal.marks.clear()
    house.clock.advance(timedelta(seconds=120))
    views(house).fresh(PRODUCT, orders=held.orders, account=held.account, positions=held.positions)
    assert house.journal.marks == []
    views(house).fresh(PRODUCT)
    assert len(house.journal.marks) == 1


def test_a_journal_that_takes_no_mark_is_a_note(house: House) -> None:
    house.journal.broken["record_mark"] = 0
    seen = views(house).fresh(PRODUCT)
    assert any("equity mark" in note for note in seen.notes)


def test_refused_credentials_are_raised_for_an_entry_and_borne_for_an_exit(house: House) -> None:
    house.venue.fail("account", VenueRefusedUs("401"))
    with pytest.raises(VenueRefusedUs):
        views(house).fresh(PRODUCT)
    assert views(house).for_exit(PRODUCT).view.account is None


def test_an_exit_view_remembers_specification_and_last_price(house: House) -> None:
    house.venue.fail("product")
    with pytest.raises(VenueUnreachable):
        views(house).for_exit(PRODUCT)
    house.venue.heal()
    views(house).fresh(PRODUCT)
    house.venue.fail("*")
    seen = views(house).for_exit(PRODUCT)
    assert seen.view.market.last_known_price == Decimal(60000)
    assert seen.view.positions is None


def test_cash_times_come_from_their_source(house: House) -> None:
    given = Views(venue=house.venue, journal=house.journal, clock=house.clock, cash_times=lambda: (time(8, 0),))
    assert given.fresh(PRODUCT).view.calendar.funding_cash_times == (time(8, 0),)


# --- the watch -----------------------------------------------------------------------------------------


def basis(equity: str, flows: tuple[tuple[str, str], ...] = ()) -> tuple[LossBasis, ...]:
    mark = EquityMark(at=NOW, equity=Notional(Decimal(equity)), held=())
    told = tuple(a_flow(coin=coin, cash=cash) for coin, cash in flows)
    return tuple(
        LossBasis(window=w, start=NOW, baseline=mark, flows=told, transfers=Notional(Decimal(0)))
        for w in ("utc_day", "rolling_24h")
    )


def look(**parts: object) -> Watched:
    given: dict[str, object] = {
        "now": NOW,
        "account": an_account(),
        "positions": positions_read(),
        "orders": orders_read(),
        "marks": {PRODUCT: a_mark()},
        "booked": a_booked(),
        "limits": RiskLimits(),
    }
    return watch(**(given | parts))  # type: ignore[arg-type]


def test_a_quiet_account_finds_nothing() -> None:
    found = look()
    assert not found.loss_breached
    assert found.over == {}
    assert found.unknown == ()


def test_L5_an_order_of_untold_size_is_no_all_clear_R5() -> None:
    found = look(orders=orders_read(an_order(venue_order_id="v-odd", client_order_id=None, size=None)))
    assert found.over == {}
    assert any("v-odd" in what for what in found.unknown)


def test_a_loss_is_breached_above_and_not_at_its_bound() -> None:
    at = look(account=an_account(equity="980000"), booked=a_booked(loss_bases=basis("1000000")))
    above = look(account=an_account(equity="979999"), booked=a_booked(loss_bases=basis("1000000")))
    assert not at.loss_breached
    assert above.loss_breached
    assert "daily loss (utc_day) 20001.00" in above.loss_text


def test_a_loss_by_fills_counts_although_the_balance_rose() -> None:
    flows = (("1", "-85000"),)
    found = look(account=an_account(equity="1100000"), booked=a_booked(loss_bases=basis("1000000", flows)))
    assert found.loss_breached


def test_drift_and_outside_orders_count_at_their_worst_and_never_net() -> None:
    position = positions_read(a_position(coin="0.1"))
    assert look(positions=position).over == {}
    outside = orders_read(an_order(size="0.1", client_order_id=None))
    assert set(look(positions=position, orders=outside).over) == {PRODUCT}
    drifted = {PRODUCT: a_mark(price="100001")}
    assert set(look(positions=position, marks=drifted).over) == {PRODUCT}


def test_an_order_in_doubt_counts_in_the_watch_too() -> None:
    doubt = a_booked(live=(a_live_order(remaining="0.2", in_doubt=True),))
    assert set(look(booked=doubt).over) == {PRODUCT}


def test_the_gross_bound_is_watched() -> None:
    positions = [a_position(coin="0.16", product_id=f"P{n}-20DEC30-CDE") for n in range(6)]
    marks = {position.product_id: a_mark() for position in positions}
    found = look(positions=positions_read(*positions), marks=marks)
    assert found.over == {}
    assert found.gross_over


@pytest.mark.parametrize("part", ["account", "positions", "orders"])
def test_L5_an_unread_part_is_unknown_and_no_all_clear(part: str) -> None:
    found = look(**{part: None})
    assert found.unknown == (part,)


def test_L5_a_product_without_a_mark_is_unknown() -> None:
    found = look(positions=positions_read(a_position(coin="5")), marks={})
    assert found.over == {}
    assert any("no mark" in text for text in found.unknown)


def test_a_missing_baseline_is_unknown() -> None:
    bases = tuple(
        LossBasis(window=w, start=NOW, baseline=None, flows=(), transfers=Notional(Decimal(0)))
        for w in ("utc_day", "rolling_24h")
    )
    found = look(booked=a_booked(loss_bases=bases), account=an_account(equity="1"))
    assert len(found.unknown) == 2


def test_a_price_is_exact() -> None:
    assert look(marks={PRODUCT: a_mark(price=str(Price(Decimal("60000"))))}).over == {}
