"""I5, I8: one order's messages, in every order they could arrive and each of them twice, end in the same state.

The messages are the venues' own bodies, read by the real readers at the moment they arrive, so that an old one that comes
late looks young; they are folded as the journal folds them. Exhaustive for histories of up to six messages.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest

from perpsctl.domain.ids import ProductId
from perpsctl.domain.numbers import Size
from perpsctl.domain.orders import Accepted, OrderStatus, VenueOrder
from perpsctl.domain.reports import IntentStage
from perpsctl.exchange.streams.memory import Orders
from perpsctl.journal.entries import IntentEntry, Tracked, after_order, after_outcome, begun
from perpsctl.journal.opening import open_journal
from perpsctl.wire.advanced_trade import convert_orders as us_orders
from perpsctl.wire.advanced_trade.configurations import Terms, configuration
from perpsctl.wire.global_derivatives import convert_orders as global_orders
from perpsctl.wire.global_derivatives.common import decode
from perpsctl.wire.global_derivatives.trading import Order
from tests.builders import an_intent
from tests.rig import START, SeededIds, VirtualClock
from tests.scenarios.gateway import gateway
from tests.unit.exchange.global_derivatives import parts
from tests.unit.wire import bodies

SECOND = timedelta(seconds=1)
# What one message says: the state, contracts of five that are filled, contracts of the order, the price.
History = tuple[tuple[str, int, int, int], ...]

FILLS_THEN_CANCEL_THEN_FILL: History = (
    ("open", 0, 5, 60000),
    ("open", 1, 5, 60000),
    ("cancel_queued", 1, 5, 60000),
    ("open", 2, 5, 60000),
    ("cancelled", 2, 5, 60000),
    ("filled", 5, 5, 60000),
)
EDITED_THEN_FILLED: History = (
    ("pending", 0, 4, 60000),
    ("open", 0, 4, 60000),
    ("edit_queued", 1, 4, 60000),
    ("open", 1, 5, 59990),
    ("open", 3, 5, 59990),
    ("filled", 5, 5, 59990),
)
CANCELLED_WITH_A_PART: History = (
    ("pending", 0, 5, 60000),
    ("open", 0, 5, 60000),
    ("open", 2, 5, 60000),
    ("cancel_queued", 3, 5, 60000),
    ("cancelled", 3, 5, 60000),
)
EXPIRED_UNFILLED: History = (
    ("pending", 0, 5, 60000),
    ("queued", 0, 5, 60000),
    ("open", 0, 5, 60000),
    ("expired", 0, 5, 60000),
)
TWO_ENDS: History = (("open", 0, 5, 60000), ("open", 1, 5, 60000), ("cancelled", 1, 5, 60000), ("expired", 1, 5, 60000))
HISTORIES = {
    "a fill after the cancel": (FILLS_THEN_CANCEL_THEN_FILL, OrderStatus.FILLED, 5),
    "an edit, then filled": (EDITED_THEN_FILLED, OrderStatus.FILLED, 5),
    "cancelled with a part": (CANCELLED_WITH_A_PART, OrderStatus.CANCELLED, 3),
    "expired unfilled": (EXPIRED_UNFILLED, OrderStatus.EXPIRED, 0),
    "two ends": (TWO_ENDS, OrderStatus.CANCELLED, 1),
}
# The second venue's words: it has none for a cancel or an edit under way, and an order is never pending.
GLOBAL_WORDS = {
    "pending": "open",
    "queued": "open",
    "cancel_queued": "open",
    "edit_queued": "open",
    "expired": "cancelled",
}


def us_message(state: str, filled: int, size: int, price: int, arrived: int) -> VenueOrder:
    terms = Terms(base_size=str(size), limit_price=str(price), post_only=True)
    body = bodies.a_limit_order(
        order_configuration=configuration("limit_limit_gtc", terms),
        time_in_force="GOOD_UNTIL_CANCELLED",
        status=state.upper(),
        filled_size=str(filled),
        number_of_fills=str(filled),
    )
    return us_orders.order_from(body, bodies.SIZES, START + arrived * SECOND)


def global_message(state: str, filled: int, size: int, price: int, arrived: int) -> VenueOrder:
    told = parts.order_body(
        order_state=GLOBAL_WORDS.get(state, state),
        price=price,
        amount=size / 100,
        filled_amount=filled / 100,
        average_price=price if filled else 0,
    )
    sizes = {ProductId(parts.BTC): Size(Decimal("0.0001"))}
    return global_orders.order_from(decode(json.dumps(told).encode(), Order), sizes, START + arrived * SECOND)


READ = {"us": us_message, "global": global_message}


def working(first: VenueOrder) -> Tracked:
    """The intent right after its acceptance, its order not read yet."""
    intent = an_intent(id="intent-of-many-messages", product_id=str(first.product_id), size="0.05")
    entry = IntentEntry(intent=intent, sent_size=Size(Decimal("0.05")), denied=None, terms=None)
    taken = Accepted(venue_order_id=first.venue_order_id, order=None, evidence="test")
    return after_outcome(begun(entry, START), taken, START)


def arrivals(count: int) -> Iterator[tuple[int, ...]]:
    """Every order of so many messages, alone and with each once more at the end, and the last one right after itself.

    Of six messages only the one that came first comes again: that is the oldest news there is.
    """
    for order in permutations(range(count)):
        yield order
        for again in range(count) if count < 6 else order[:1]:
            yield (*order, again)
        place = order.index(count - 1)
        yield (*order[: place + 1], *order[place:])


@pytest.mark.parametrize("venue", READ)
@pytest.mark.parametrize("name", HISTORIES)
def test_I5_every_order_and_repetition_of_one_history_ends_in_the_same_state(venue: str, name: str) -> None:
    history, status, filled = HISTORIES[name]
    if venue == "global" and status is OrderStatus.EXPIRED:
        status = OrderStatus.CANCELLED  # the venue's own word for it
    read = READ[venue]
    messages = [[read(*each, arrived) for arrived in range(len(history) + 1)] for each in history]
    begin = working(messages[0][0])
    for order in arrivals(len(history)):
        held, before = begin, Decimal(0)
        for arrived, number in enumerate(order):
            seen = messages[number][arrived]
            held = after_order(held, seen)
            stands = held.record.order
            assert stands is not None
            assert stands.filled >= before, f"I5 {order}: filled fell"
            assert stands.size is None or stands.filled <= max(stands.size, Decimal("0.05")), (
                f"I5 {order}: more than all"
            )
            before = stands.filled
        stands = held.record.order
        assert stands is not None
        told: tuple[object, ...] = (stands.status, stands.filled, stands.remaining, held.record.stage)
        assert told == (status, Decimal(filled) / 100, 0, IntentStage.DONE), order


@pytest.mark.parametrize("name", HISTORIES)
def test_W8_news_of_an_order_ends_in_the_same_state_and_says_each_fill_once(name: str) -> None:
    """The streams' memory: in every order of arrival the last news leaves the same filled, and a replay is no news."""
    history, status, filled = HISTORIES[name]
    for order in arrivals(len(history)):
        known, most = Orders(), 0
        for number in order:
            state, part, *rest = history[number]
            moved = known.told("order-1", filled=Decimal(part), final=OrderStatus(state).final, state=(state, *rest))
            assert not (moved.filled and part <= most), f"{order}: a fill told twice"
            most = max(most, part if moved.order else 0)
        ended = [history[number] for number in order if OrderStatus(history[number][0]).final]
        assert most == max(part for _, part, *_ in history) or ended[0][1] < filled, order
        replayed = [
            known.told("order-1", filled=Decimal(p), final=OrderStatus(s).final, state=(s, *r))
            for s, p, *r in history[:2]
        ]
        assert not any(each.filled for each in replayed)
    assert status.final


def rows_of_a_story(folder: Any) -> tuple[Sequence[Any], Any]:
    """Real fill rows of the second venue: an order that took several levels."""
    with gateway(folder) as world:
        intent = world.intent(size="0.05", price="69200", post_only=False, named="i5-fills-0001")
        assert isinstance(world.engine.desk.place(intent).outcome, Accepted)
        return world.venue.fills(since=START), world.account


def test_I5_I8_fills_in_every_order_and_twice_add_up_to_the_same_position(tmp_path: Any) -> None:
    fills, account = rows_of_a_story(tmp_path / "story")
    four = [*fills[:4]]
    assert len(four) >= 3
    ends = set()
    for number, order in enumerate(permutations(range(len(four)))):
        folder = tmp_path / f"journal-{number}"
        folder.mkdir(mode=0o700)
        journal = open_journal(folder, account, clock=VirtualClock(), ids=SeededIds())
        try:
            for each in order:
                journal.record_fills([four[each]])
            journal.record_fills(four)
            journal.record_fills([four[order[0]], four[order[0]]])
            ends.add(tuple(sorted(journal.booked_coin().items())))
            assert len(journal.fills()) == len(four)
        finally:
            journal.close()
    assert ends == {((fills[0].product_id, sum(each.size for each in four)),)}


def test_I5_the_histories_cover_what_they_claim() -> None:
    longest = max(len(history) for history, _, _ in HISTORIES.values())
    assert longest == 6
    assert sum(1 for _ in arrivals(6)) == 720 * 3
    assert sum(1 for _ in arrivals(5)) == 120 * 7
