"""Order states move one way, whatever the order of the messages, and what could fill is never understated (I5)."""

from decimal import Decimal
from functools import reduce
from itertools import combinations_with_replacement, permutations

import pytest

from perpsctl.domain.errors import UsageError
from perpsctl.domain.ids import IntentId, client_order_id, intent_id, product_id
from perpsctl.domain.orders import OrderStatus, OrderType, TimeInForce, later_status
from perpsctl.domain.sides import Side
from tests.builders import BTC, ETH, a_position, a_quantized, an_intent, an_order, positions_read

FINAL = {OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.EXPIRED, OrderStatus.FAILED}


def ends(history: tuple[OrderStatus, ...]) -> OrderStatus:
    return reduce(later_status, history, OrderStatus.UNRECOGNISED)


@pytest.mark.parametrize("length", [2, 3, 4])
def test_every_permutation_and_repetition_of_one_history_ends_in_the_same_state_I5(length: int) -> None:
    for history in combinations_with_replacement(list(OrderStatus), length):
        assert len({ends(each) for each in permutations(history)}) == 1, history
        assert ends(history + history) == ends(history)


@pytest.mark.parametrize("final", sorted(FINAL))
def test_a_final_state_stays_final_and_a_fill_beats_everything_I5(final: OrderStatus) -> None:
    for seen in OrderStatus:
        later = later_status(final, seen)
        assert later.final
        if seen is OrderStatus.FILLED or final is OrderStatus.FILLED:
            assert later is OrderStatus.FILLED
        elif not seen.final:
            assert later is final


def test_an_unknown_word_moves_nothing_and_counts_as_live() -> None:
    for held in OrderStatus:
        assert later_status(held, OrderStatus.UNRECOGNISED) is held
    assert OrderStatus.UNRECOGNISED.live
    assert {each for each in OrderStatus if not each.live} == FINAL


def test_an_edit_that_is_done_is_open_again() -> None:
    assert later_status(OrderStatus.EDIT_QUEUED, OrderStatus.OPEN) is OrderStatus.OPEN
    assert later_status(OrderStatus.CANCEL_QUEUED, OrderStatus.OPEN) is OrderStatus.CANCEL_QUEUED


def test_what_remains_is_unknown_without_a_size_and_nothing_when_final() -> None:
    assert an_order(size="0.05", filled="0.02").remaining == Decimal("0.03")
    assert an_order(size="0.05", filled="0.06").remaining == 0
    assert an_order(size=None).remaining is None
    assert an_order(size=None, status=OrderStatus.CANCELLED).remaining == 0


def test_one_shot_and_taking_follow_from_the_terms() -> None:
    for tif, one_shot in ((TimeInForce.IOC, True), (TimeInForce.FOK, True), (TimeInForce.GTC, False)):
        assert a_quantized(an_intent(tif=tif)).one_shot is one_shot
    assert a_quantized(an_intent()).takes
    assert not a_quantized(an_intent(post_only=True)).takes
    assert a_quantized(an_intent(type=OrderType.MARKET)).takes


def test_sides_and_positions_are_signed_consistently() -> None:
    assert (Side.BUY.sign, Side.SELL.sign) == (1, -1)
    assert all(side.opposite.opposite is side and side.opposite is not side for side in Side)
    long, short = a_position(coin="0.1"), a_position(coin="-0.2", product_id=ETH)
    assert (long.size, long.closing_side) == (Decimal("0.1"), Side.SELL)
    assert (short.size, short.closing_side) == (Decimal("0.2"), Side.BUY)
    read = positions_read(long, short, a_position(coin="0.05"))
    assert read.coin(long.product_id) == Decimal("0.15")
    assert read.coin(product_id("SLP-20DEC30-CDE")) == 0


@pytest.mark.parametrize(
    "text", ["", "short", "a" * 65, "../../etc/passwd", "id with blank", "-leading", "ïd-with-accent", "id\n12345678"]
)
def test_an_id_that_could_mean_something_else_is_refused_H11(text: str) -> None:
    with pytest.raises(UsageError):
        intent_id(text)


@pytest.mark.parametrize("text", ["", "B", "../products", "BTC PERP", "BTC/PERP", "BTC\x00PERP", "B" * 65])
def test_a_product_id_that_could_mean_something_else_is_refused_H11(text: str) -> None:
    with pytest.raises(UsageError):
        product_id(text)


def test_ids_the_venue_sees_derive_from_the_intent_and_from_nothing_else_I2() -> None:
    assert intent_id("cc8f7d3e-6a1f-4b8e-9a63-0b7f5a8f1c11") == "cc8f7d3e-6a1f-4b8e-9a63-0b7f5a8f1c11"
    assert client_order_id(IntentId("intent-0001")) == client_order_id(IntentId("intent-0001")) == "intent-0001"
    assert product_id(BTC) == BTC
