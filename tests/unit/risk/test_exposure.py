"""Worst-case exposure: nothing that could fill is dropped, nothing is netted, nothing is counted twice (R5)."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from perpsctl.domain.accounts import LiveOrder
from perpsctl.domain.ids import ProductId, VenueOrderId
from perpsctl.domain.orders import OrderStatus, VenueOrder
from perpsctl.domain.sides import Side
from perpsctl.risk.exposure import FLAT, Exposure, exposures, merge_live, unseen_orders
from tests.builders import (
    BTC,
    ETH,
    NOW,
    a_live_order,
    a_position,
    a_recent_intent,
    an_order,
    orders_read,
    positions_read,
)

KEY = ProductId(BTC)


def remaining(listed: tuple[VenueOrder, ...], live: tuple[LiveOrder, ...]) -> list[str]:
    return sorted(str(each.remaining) for each in merge_live(orders_read(*listed), live).orders)


def test_an_order_known_to_both_counts_once_at_its_larger_remaining_size() -> None:
    ours = a_live_order(intent_id="intent-a", remaining="0.03")
    by_client = an_order(venue_order_id="v-1", client_order_id="intent-a", size="0.05", filled="0.01")
    assert remaining((by_client,), (ours,)) == ["0.04"]
    less = an_order(venue_order_id="v-1", client_order_id="intent-a", size="0.05", filled="0.04")
    assert remaining((less,), (ours,)) == ["0.03"]
    by_venue_id = a_live_order(intent_id="intent-a", client_order_id=None, venue_order_id="v-1", remaining="0.03")
    assert remaining((less,), (by_venue_id,)) == ["0.03"]


def test_what_only_one_side_knows_counts_in_full() -> None:
    ours = a_live_order(intent_id="intent-a", remaining="0.03", in_doubt=True)
    foreign = an_order(venue_order_id="v-2", client_order_id=None, size="0.05")
    assert remaining((foreign,), (ours,)) == ["0.03", "0.05"]
    assert remaining((), (ours,)) == ["0.03"]


def test_an_order_the_venue_calls_final_still_counts_while_the_journal_holds_it_live() -> None:
    final = an_order(venue_order_id="v-1", client_order_id="intent-a", status=OrderStatus.CANCELLED)
    assert remaining((final,), (a_live_order(intent_id="intent-a", remaining="0.01"),)) == ["0.01"]
    assert remaining((final,), ()) == []


def test_an_order_with_a_word_we_do_not_know_is_live() -> None:
    assert remaining((an_order(status=OrderStatus.UNRECOGNISED, size="0.05"),), ()) == ["0.05"]


def test_two_orders_under_one_client_id_count_twice_I1() -> None:
    listed = tuple(an_order(venue_order_id=each, client_order_id="intent-a", size="0.05") for each in ("v-1", "v-2"))
    assert remaining(listed, (a_live_order(intent_id="intent-a", remaining="0.05"),)) == ["0.05", "0.05"]


def test_an_order_under_our_id_with_another_side_counts_besides_ours_H10() -> None:
    odd = an_order(venue_order_id="v-1", client_order_id="intent-a", side=Side.SELL, size="0.05")
    assert remaining((odd,), (a_live_order(intent_id="intent-a", remaining="0.05"),)) == ["0.05", "0.05"]


def test_an_edit_and_its_order_are_one_order_at_the_larger_size() -> None:
    order = a_live_order(intent_id="intent-a", venue_order_id="v-1", remaining="0.02")
    edit = a_live_order(
        intent_id="intent-e", client_order_id=None, venue_order_id="v-1", remaining="0.05", in_doubt=True
    )
    merged = merge_live(None, (order, edit)).orders
    assert [(each.remaining, each.in_doubt) for each in merged] == [(Decimal("0.05"), True)]


def test_an_edit_in_doubt_may_stand_at_either_price() -> None:
    for side, prices, further in (
        (Side.BUY, ("59000", "59500"), "59500"),
        (Side.BUY, ("59000", "58500"), "59000"),
        (Side.SELL, ("61000", "60500"), "60500"),
        (Side.SELL, ("61000", "61500"), "61000"),
    ):
        order, edit = (
            a_live_order(intent_id=name, client_order_id=None, venue_order_id="v-1", price=price, side=side)
            for name, price in zip(("intent-a", "intent-e"), prices, strict=True)
        )
        for both in ((order, edit), (edit, order)):
            assert [each.price for each in merge_live(None, both).orders] == [Decimal(further)]


def test_an_order_whose_size_nobody_tells_is_named_and_never_counted_as_nothing_R5() -> None:
    """A foreign order the journal holds, sized in quote: listed or not, no verdict may take it for zero."""
    told_by_nobody = a_live_order(intent_id=None, client_order_id=None, venue_order_id="v-1", remaining=None)
    listed = an_order(venue_order_id="v-1", client_order_id=None, size=None)
    sized = an_order(venue_order_id="v-1", client_order_id=None, size="0.05")
    named = ((KEY, "v-1"),)
    assert merge_live(None, (told_by_nobody,)).unsized == named
    assert merge_live(orders_read(listed), (told_by_nobody,)).unsized == named
    assert merge_live(orders_read(listed), ()).unsized == named
    told = merge_live(orders_read(sized), (told_by_nobody,))
    assert (told.unsized, [each.remaining for each in told.orders]) == ((), [Decimal("0.05")])


def test_an_unsized_order_is_named_unless_the_journal_knows_its_size() -> None:
    unsized = an_order(venue_order_id="v-1", client_order_id="intent-a", size=None)
    assert merge_live(orders_read(unsized), ()).unsized == ((KEY, "v-1"),)
    assert merge_live(orders_read(unsized), (a_live_order(intent_id="intent-a"),)).unsized == ()


def test_recent_intents_our_reads_may_miss_are_live_once() -> None:
    def unseen(**recent: object) -> int:
        return len(unseen_orders((a_recent_intent(**recent),), since=NOW, itself="intent-0001"))  # type: ignore[arg-type]

    assert unseen() == 1
    assert unseen(at=NOW - timedelta(microseconds=1)) == 0
    assert unseen(ended_empty=True) == 0
    assert unseen(intent_id="intent-0001") == 0
    recent = a_recent_intent(intent_id="intent-a")
    unknown = unseen_orders((recent,), since=NOW, itself="x")
    assert len(merge_live(None, (a_live_order(intent_id="intent-a"),), unknown).orders) == 1
    assert len(merge_live(orders_read(an_order(client_order_id="intent-a")), (), unknown).orders) == 1
    assert len(merge_live(orders_read(an_order(client_order_id="intent-b")), (), unknown).orders) == 2


def test_the_worse_side_counts_and_the_least_left_is_what_a_reduce_may_take() -> None:
    book = Exposure(position=Decimal("0.10"), buys=Decimal("0.05"), sells=Decimal("0.30"))
    assert (book.long, book.short, book.worst) == (Decimal("0.15"), Decimal("0.20"), Decimal("0.20"))
    assert book.least_left(Side.SELL) == 0
    assert Exposure(position=Decimal("-0.10"), buys=Decimal("0.04"), sells=Decimal(9)).least_left(Side.BUY) == Decimal(
        "0.06"
    )
    assert FLAT.worst == 0


sizes = st.integers(1, 500).map(lambda n: str(Decimal(n) / 100))
sides = st.sampled_from(list(Side))
names = st.sampled_from(["intent-a", "intent-b", "intent-c", "intent-d"])
venue_ids = st.sampled_from(["v-a", "v-b", "v-c"])
lives = st.builds(
    lambda intent, side, size, venue, doubt: a_live_order(
        intent_id=intent, side=side, remaining=size, venue_order_id=venue, in_doubt=doubt
    ),
    names,
    sides,
    sizes,
    st.none() | venue_ids,
    st.booleans(),
)
listed_orders = st.builds(
    lambda venue, client, side, size, status: an_order(
        venue_order_id=venue, client_order_id=client, side=side, size=size, status=status
    ),
    venue_ids,
    st.none() | names,
    sides,
    sizes,
    st.sampled_from([OrderStatus.OPEN, OrderStatus.PENDING, OrderStatus.UNRECOGNISED, OrderStatus.FILLED]),
)
coins = st.integers(-500, 500).map(lambda n: str(Decimal(n) / 100))


def worst(coin: str, listed: list[VenueOrder], live: list[LiveOrder]) -> Exposure:
    merged = merge_live(orders_read(*listed), live)
    return exposures(positions_read(a_position(coin=coin)), merged)[KEY]


@given(coins, st.lists(listed_orders, max_size=4), st.lists(lives, max_size=4), lives)
def test_one_more_live_order_never_lowers_the_worst_case_R5(
    coin: str, listed: list[VenueOrder], live: list[LiveOrder], more: LiveOrder
) -> None:
    before, after = worst(coin, listed, live), worst(coin, listed, [*live, more])
    assert after.worst >= before.worst
    assert after.buys >= before.buys
    assert after.sells >= before.sells
    assert after.least_left(Side.SELL) <= before.least_left(Side.SELL)


@given(coins, st.lists(listed_orders, max_size=4), st.lists(lives, max_size=4), listed_orders)
def test_one_more_listed_order_never_lowers_the_worst_case_R5(
    coin: str, listed: list[VenueOrder], live: list[LiveOrder], more: VenueOrder
) -> None:
    another = replace(more, venue_order_id=VenueOrderId("v-another"))  # the same one told twice is no more exposure
    before, after = worst(coin, listed, live), worst(coin, [*listed, another], live)
    assert after.buys >= before.buys
    assert after.sells >= before.sells


@given(st.lists(listed_orders, max_size=4), st.lists(lives, max_size=4))
def test_merging_what_was_merged_changes_nothing(listed: list[VenueOrder], live: list[LiveOrder]) -> None:
    once = merge_live(orders_read(*listed), live)
    twice = merge_live(orders_read(*listed), once.orders)
    assert sorted(map(repr, twice.orders)) == sorted(map(repr, once.orders))


@given(coins, st.lists(listed_orders, max_size=4), st.lists(lives, max_size=4))
def test_no_order_of_either_source_counts_for_less_than_that_source_says_R5(
    coin: str, listed: list[VenueOrder], live: list[LiveOrder]
) -> None:
    merged = worst(coin, listed, live)
    for side, total in ((Side.BUY, merged.buys), (Side.SELL, merged.sells)):
        by_venue_id = {o.venue_order_id: o for o in listed if o.status.live and o.side is side}
        assert total >= max((o.remaining or 0 for o in by_venue_id.values()), default=0)
        assert total >= max((each.remaining or 0 for each in live if each.side is side), default=0)


def test_products_are_apart_and_flat_ones_with_orders_show() -> None:
    live = (a_live_order(product_id=ETH, side=Side.SELL, remaining="2"),)
    found = exposures(positions_read(a_position(coin="0.1")), merge_live(None, live))
    assert found[KEY].worst == Decimal("0.1")
    assert found[ProductId(ETH)].short == 2
