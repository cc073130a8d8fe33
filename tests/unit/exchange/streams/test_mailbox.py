"""What a reader leaves is bounded in messages and in bytes, and an order event is never the price of it (W10)."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from perpsctl.exchange.streams.mailbox import Event, EventKind, Mailbox
from tests.unit.exchange.parts import NOW

KINDS = st.sampled_from([EventKind.MARKET, EventKind.ACCOUNT, EventKind.BEAT, EventKind.UP])


def an_event(kind: EventKind, body: bytes = b"", number: int = 0) -> Event:
    return Event(kind=kind, arrived=NOW, connection=1, body=body, request_id=number)


def test_market_messages_are_bounded_in_bytes_and_the_newest_stays() -> None:
    mailbox = Mailbox(market_max=1_000, market_bytes_max=10_000)
    for n in range(50):
        mailbox.put(an_event(EventKind.MARKET, b"x" * 1_000, n))
        assert mailbox.held[1] <= 10_000
    assert [each.request_id for each in mailbox.take()] == list(range(40, 50))
    assert mailbox.market_dropped == 40
    assert mailbox.held == (0, 0)


def test_one_message_larger_than_the_bound_is_kept_until_the_next_comes() -> None:
    mailbox = Mailbox(market_bytes_max=100)
    mailbox.put(an_event(EventKind.MARKET, b"x" * 5_000, 1))
    assert mailbox.held == (1, 5_000)
    mailbox.put(an_event(EventKind.MARKET, b"y", 2))
    assert [each.request_id for each in mailbox.take()] == [2]


def test_order_events_past_their_bytes_are_kept_and_the_reader_is_told() -> None:
    mailbox = Mailbox(orders_bytes_max=2_000)
    assert mailbox.put(an_event(EventKind.ACCOUNT, b"x" * 900))
    assert mailbox.has_room
    assert mailbox.put(an_event(EventKind.ACCOUNT, b"x" * 900))
    assert not mailbox.put(an_event(EventKind.ACCOUNT, b"x" * 900))
    assert not mailbox.has_room
    assert len(mailbox.take()) == 3
    assert mailbox.has_room


def test_a_pushed_out_heartbeat_is_no_dropped_market_message() -> None:
    mailbox = Mailbox(market_max=2)
    for kind in (EventKind.BEAT, EventKind.BEAT, EventKind.MARKET, EventKind.MARKET, EventKind.MARKET):
        mailbox.put(an_event(kind))
    assert mailbox.market_dropped == 1


def test_one_bell_rings_for_several_mailboxes() -> None:
    bell = threading.Event()
    boxes = [Mailbox(), Mailbox()]
    for box in boxes:
        box.ring(bell)
        bell.clear()
        box.put(an_event(EventKind.MARKET))
        assert bell.is_set()


@given(st.lists(st.tuples(KINDS, st.integers(0, 50)), max_size=80), st.integers(1, 5), st.integers(0, 100))
def test_order_events_all_come_out_in_order_whatever_the_market_does(
    events: list[tuple[EventKind, int]], market_max: int, bytes_max: int
) -> None:
    mailbox = Mailbox(market_max=market_max, market_bytes_max=bytes_max, orders_max=20, orders_bytes_max=500)
    put = [an_event(kind, b"x" * size, n) for n, (kind, size) in enumerate(events)]
    for each in put:
        mailbox.put(each)
    taken = mailbox.take(1_000)
    kept = {EventKind.ACCOUNT, EventKind.UP}
    assert [each for each in taken if each.kind in kept] == [each for each in put if each.kind in kept]
    market = [each for each in put if each.kind not in kept]
    survived = [each for each in taken if each.kind not in kept]
    assert survived == market[len(market) - len(survived) :]
    assert len(survived) <= market_max
    assert mailbox.held == (0, 0)
