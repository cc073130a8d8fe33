"""News of orders is idempotent by cumulative state, whatever comes twice, late or out of order (W3, W8, I5)."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from perpsctl.exchange.streams.memory import Orders, Seen

HISTORY = [
    (Decimal(0), False, "OPEN"),
    (Decimal(1), False, "OPEN"),
    (Decimal(3), False, "OPEN"),
    (Decimal(3), True, "FILLED"),
]


def test_each_new_state_is_news_once() -> None:
    orders = Orders()
    told = [orders.told("a", filled=filled, final=final, state=state) for filled, final, state in HISTORY]
    assert [(each.order, each.filled) for each in told] == [(True, False), (True, True), (True, True), (True, False)]
    again = [orders.told("a", filled=filled, final=final, state=state) for filled, final, state in HISTORY]
    assert not any(each.order or each.filled for each in again)


def test_an_order_first_seen_filled_is_news_of_a_fill_too() -> None:
    moved = Orders().told("a", filled=Decimal(2), final=True, state="FILLED")
    assert (moved.order, moved.filled) == (True, True)


@given(st.permutations(HISTORY), st.lists(st.sampled_from(HISTORY), max_size=6))
def test_after_any_order_of_the_same_messages_the_last_state_is_known(
    messages: list[tuple[Decimal, bool, str]], repeated: list[tuple[Decimal, bool, str]]
) -> None:
    orders = Orders()
    news = 0
    for filled, final, state in [*messages, *repeated]:
        news += orders.told("a", filled=filled, final=final, state=state).order
    final_again = orders.told("a", filled=Decimal(3), final=True, state="FILLED")
    assert not final_again.order
    assert 1 <= news <= len(HISTORY)


def test_what_is_remembered_is_bounded() -> None:
    orders, fills = Orders(10), Seen(10)
    for n in range(1000):
        orders.told(str(n), filled=Decimal(0), final=False, state="OPEN")
        assert fills.is_new(n)
    assert not fills.is_new(999)
    assert fills.is_new(0)  # forgotten: told once too often, never once too little
    assert orders.told("0", filled=Decimal(0), final=False, state="OPEN").order
