"""Unknown, stale or future-dated input denies, each with a reason of its own (R6; faults M1, M2, M5, M9, W9, A1)."""

from datetime import timedelta

import pytest

from perpsctl.domain.market import MarkSource
from perpsctl.domain.verdicts import DenialCode, Denied
from perpsctl.risk.judge import evaluate
from perpsctl.risk.limits import RiskLimits
from tests.builders import (
    ETH,
    NOW,
    a_book,
    a_booked,
    a_mark,
    a_position,
    a_product,
    a_quantized,
    a_server_time,
    a_view,
    an_account,
    an_intent,
    orders_read,
    positions_read,
    some_facts,
)
from tests.unit.risk.judging import numbers, reasons


def seconds(count: int) -> timedelta:
    return timedelta(seconds=count)


def test_the_default_scene_is_approved() -> None:
    assert reasons() == {}


def test_without_the_journals_part_no_entry_is_judged() -> None:
    assert numbers(reasons(view=a_view(booked=None)), DenialCode.BOOKED_MISSING) == (
        "no journal read",
        "read inside the judging transaction",
    )


@pytest.mark.parametrize(
    ("part", "name"), [("account", "balances"), ("positions", "positions"), ("orders", "open orders")]
)
def test_a_part_of_the_account_that_could_not_be_read_denies_L5(part: str, name: str) -> None:
    found = reasons(view=a_view(**{part: None}))  # type: ignore[arg-type]
    assert numbers(found, DenialCode.ACCOUNT_MISSING) == (f"not read: {name}", "all read")


@pytest.mark.parametrize("part", ["balances", "positions", "open orders"])
@pytest.mark.parametrize(("age", "denied"), [(10, False), (11, True), (-1, False), (-2, True)])
def test_account_data_is_at_most_ten_seconds_old_and_not_dated_ahead(part: str, age: int, denied: bool) -> None:
    as_of = NOW - seconds(age)
    other = NOW if age < 0 else as_of  # positions never before orders
    view = a_view(
        account=an_account(as_of=as_of if part == "balances" else NOW),
        positions=positions_read(as_of=as_of if part == "positions" else max(NOW, as_of)),
        orders=orders_read(as_of=as_of if part == "open orders" else min(NOW, other)),
    )
    found = reasons(view=view)
    if part == "positions" and age == -2:
        assert found[DenialCode.ACCOUNT_STALE].observed == "dated 2 s ahead"
    assert (DenialCode.ACCOUNT_STALE in found) is denied
    if denied:
        assert numbers(found, DenialCode.ACCOUNT_STALE)[1] == "10"
        assert found[DenialCode.ACCOUNT_STALE].observed in {"11", "dated 2 s ahead"}


def test_positions_read_before_the_orders_deny_because_a_fill_between_would_show_in_neither_R5() -> None:
    view = a_view(positions=positions_read(as_of=NOW - seconds(1)), orders=orders_read(as_of=NOW))
    assert numbers(reasons(view=view), DenialCode.ACCOUNT_STALE) == ("1", "0")


def test_waiting_for_the_journal_ages_the_view() -> None:
    found = reasons(view=a_view(booked=a_booked(as_of=NOW + seconds(3))))
    assert numbers(found, DenialCode.BOOK_STALE) == ("3", "2")


@pytest.mark.parametrize(("age", "denied"), [(60, False), (61, True), (-2, True)])
def test_the_clock_was_measured_within_a_minute(age: int, denied: bool) -> None:
    found = reasons(view=a_view(server_time=a_server_time(as_of=NOW - seconds(age))))
    assert (set(found) == {DenialCode.CLOCK_UNKNOWN}) is denied
    assert set(reasons(view=a_view(server_time=None))) == {DenialCode.CLOCK_UNKNOWN}


@pytest.mark.parametrize(("skew_ms", "denied"), [(995, False), (-995, False), (996, True), (-996, True)])
def test_clock_difference_counts_its_own_uncertainty(skew_ms: int, denied: bool) -> None:
    found = reasons(view=a_view(server_time=a_server_time(skew=timedelta(milliseconds=skew_ms))))
    if denied:
        assert numbers(found, DenialCode.CLOCK_SKEW_ABOVE_MAX) == ("1001", "1000")
    else:
        assert found == {}


def test_no_book_and_a_crossed_or_one_sided_book_deny_W9() -> None:
    assert set(reasons(view=a_view(market=some_facts(book=None)))) == {
        DenialCode.BOOK_MISSING,
        DenialCode.MARK_MISSING,
    }
    crossed = some_facts(book=a_book(bids=[("60005", "5")], asks=[("60005", "5")]))
    found = reasons(view=a_view(market=crossed))
    assert found[DenialCode.BOOK_MISSING].observed == "bid 60005, ask 60005"
    one_sided = reasons(view=a_view(market=some_facts(book=a_book(asks=[]))))
    assert one_sided[DenialCode.BOOK_MISSING].observed == "bid 59995, ask unknown"


@pytest.mark.parametrize(
    ("age", "codes"),
    [
        (2, set()),
        (3, {DenialCode.BOOK_STALE}),
        (6, {DenialCode.BOOK_STALE, DenialCode.MARK_STALE}),
        (-1, set()),
        (-2, {DenialCode.BOOK_STALE, DenialCode.MARK_STALE}),
    ],
)
def test_the_book_is_at_most_two_seconds_old_and_its_mark_five(age: int, codes: set[DenialCode]) -> None:
    assert set(reasons(view=a_view(market=some_facts(book=a_book(as_of=NOW - seconds(age)))))) == codes


def test_another_product_that_is_held_needs_a_fresh_mark_too() -> None:
    held = positions_read(a_position(product_id=ETH, coin="0.1", contract_size="0.1"))
    btc = a_product().product_id
    assert set(reasons(view=a_view(positions=held))) == {DenialCode.MARK_MISSING}
    known = a_position(product_id=ETH).product_id
    last = a_view(positions=held, marks={btc: a_mark(), known: a_mark(price="3000", source=MarkSource.LAST_KNOWN)})
    assert reasons(view=last)[DenialCode.MARK_MISSING].observed == f"no mark: {ETH}"
    old = a_view(positions=held, marks={btc: a_mark(), known: a_mark(price="3000", as_of=NOW - seconds(6))})
    assert numbers(reasons(view=old), DenialCode.MARK_STALE) == ("6", "5")
    fresh = a_view(positions=held, marks={btc: a_mark(), known: a_mark(price="3000")})
    assert reasons(view=fresh) == {}


@pytest.mark.parametrize("name", ["index", "last"])
@pytest.mark.parametrize(
    ("reference", "denied"), [("59400", True), ("60610", True), ("59410", False), ("60600", False)]
)
def test_the_mark_lies_within_100_bps_of_index_and_of_last_M9(name: str, reference: str, denied: bool) -> None:
    facts = some_facts(index_price=reference) if name == "index" else some_facts(last_price=reference)
    found = reasons(view=a_view(market=facts))
    assert (DenialCode.MARK_DIVERGES in found) is denied
    if denied:
        observed, limit = numbers(found, DenialCode.MARK_DIVERGES)
        assert limit == "100"
        assert observed in {"101.01010102", "100.64345818"}


def test_one_of_index_and_last_is_enough_and_none_denies() -> None:
    assert reasons(view=a_view(market=some_facts(index_price=None))) == {}
    assert reasons(view=a_view(market=some_facts(last_price=None))) == {}
    neither = reasons(view=a_view(market=some_facts(index_price=None, last_price=None)))
    assert numbers(neither, DenialCode.MARK_DIVERGES) == ("neither index nor last price", "100")
    zero = reasons(view=a_view(market=some_facts(index_price="0")))
    assert numbers(zero, DenialCode.MARK_DIVERGES) == ("index 0", "100")


@pytest.mark.parametrize(("age", "denied"), [(5, False), (6, True), (-2, True)])
def test_the_products_own_data_is_at_most_five_seconds_old(age: int, denied: bool) -> None:
    found = reasons(view=a_view(market=some_facts(product_as_of=NOW - seconds(age))))
    assert (set(found) == {DenialCode.PRODUCT_STALE}) is denied
    assert reasons(view=a_view(market=some_facts(product_as_of=None)))[DenialCode.PRODUCT_STALE].observed == "not read"


def test_a_grid_that_changed_since_quantising_denies_M5() -> None:
    coarser = a_view(product=a_product(price_step="10"))
    answer = evaluate(a_quantized(an_intent(), product=a_product()), coarser, RiskLimits())
    assert isinstance(answer, Denied)
    assert [(each.code, each.observed) for each in answer.denials] == [
        (DenialCode.PRODUCT_STALE, "changed: price_steps")
    ]
