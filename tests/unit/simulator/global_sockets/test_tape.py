"""The gateway's public tape: every trade of an instrument has the number after the one before, wherever it is told."""

import itertools
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from perpsctl.simulator.faces.global_session import Transport
from perpsctl.simulator.faces.global_streams import TradesChannel
from tests.unit.simulator.global_face.gate import BTC, ETH, Gate
from tests.unit.simulator.global_sockets.desk import Desk, a_desk

READ = "public/get_last_trades_by_instrument"
CHANNEL = f"trades.{BTC}.100ms"


def numbers(rows: list[dict[str, Any]]) -> list[int]:
    return [row["trade_seq"] for row in rows]


def consecutive(found: list[int]) -> bool:
    return all(later == earlier + 1 for earlier, later in itertools.pairwise(found))


@pytest.fixture
def streams() -> Desk:
    return a_desk(Transport.STREAMS)


def told(desk: Desk, **step: int) -> list[dict[str, Any]]:
    frames = desk.pass_time(**step)
    return [row for frame in frames if frame.get("method") == "subscription" for row in frame["params"]["data"]]


def test_the_channel_tells_every_trade_once_and_without_a_hole(streams: Desk) -> None:
    streams.ask("public/subscribe", channels=[CHANNEL])
    rows = [row for _ in range(200) for row in told(streams, milliseconds=300)]
    assert len(rows) > 50
    assert consecutive(numbers(rows))
    assert len({row["trade_id"] for row in rows}) == len(rows)


def test_many_trades_are_told_in_several_messages_without_a_hole(streams: Desk) -> None:
    with streams.exchange.gateway() as core:
        now = core.state.now
        since = now - timedelta(seconds=400)
        channel = TradesChannel(name=CHANNEL, product_id=BTC, interval=timedelta(seconds=1), due=now, seen=since)
        lots = [numbers(lot) for lot in channel.messages(core.state, now)]  # type: ignore[arg-type]
    assert len(lots) > 2
    assert {len(lot) for lot in lots[:-1]} == {200}
    assert consecutive([number for lot in lots for number in lot])


def test_reads_and_the_channel_tell_the_same_numbers_and_a_gap_is_refilled_by_them() -> None:
    gate = Gate()
    gate.clock.advance(seconds=60)
    newest = numbers(gate.ask(READ, instrument_name=BTC, count=1000)["trades"])
    assert newest == sorted(newest, reverse=True)
    assert consecutive(newest[::-1])
    first, last = newest[40], newest[20]
    refill = gate.ask(READ, instrument_name=BTC, start_seq=first, end_seq=last, count=100, sorting="asc")
    assert numbers(refill["trades"]) == list(range(first, last + 1))
    assert refill["has_more"] is False
    part = gate.ask(READ, instrument_name=BTC, start_seq=first, end_seq=last, count=5, sorting="asc")
    assert numbers(part["trades"]) == list(range(first, first + 5))
    assert part["has_more"] is True


def test_a_fill_has_the_same_number_on_both_tapes_and_none_is_left_out() -> None:
    gate = Gate()
    before = gate.ask(READ, instrument_name=BTC, count=1)["trades"][0]["trade_seq"]
    gate.clock.advance(seconds=10)
    fills = gate.buy(0.01)["trades"]
    gate.clock.advance(seconds=10)
    public = gate.ask(READ, instrument_name=BTC, start_seq=before, count=1000, sorting="asc")["trades"]
    assert numbers(public) == list(range(before, before + len(public)))
    by_number = {row["trade_seq"]: row for row in public}
    for fill in fills:
        assert by_number[fill["trade_seq"]]["trade_id"] == fill["trade_id"]
        assert by_number[fill["trade_seq"]]["price"] == fill["price"]


def test_numbers_do_not_depend_on_who_looks_and_when() -> None:
    watched, unwatched = Gate(), Gate()
    for _ in range(60):
        watched.clock.advance(seconds=120)
        watched.ask(READ, instrument_name=ETH, count=1)
    unwatched.clock.advance(seconds=7200)
    rows = [gate.ask(READ, instrument_name=ETH, count=500)["trades"] for gate in (watched, unwatched)]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 500


def test_trades_that_control_made_are_numbered_too() -> None:
    gate = Gate()
    before = gate.ask(READ, instrument_name=BTC, count=1)["trades"][0]["trade_seq"]
    gate.control.set_price(BTC, Decimal("50000"))
    gate.clock.advance(seconds=5)
    found = numbers(gate.ask(READ, instrument_name=BTC, start_seq=before, count=1000, sorting="asc")["trades"])
    assert found == list(range(before, before + len(found)))
    assert len(found) > 1
