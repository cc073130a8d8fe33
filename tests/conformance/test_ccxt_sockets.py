"""The unmodified ccxt 4.5.90, `coinbase` of ccxt.pro, against the simulator's US sockets; the judge is the simulator's book.

Redirected from outside only: ccxt's own `urls` name the hosts, for everything the market host, as ccxt has it; `cafile` names
what is trusted over https and wss. There is no class `coinbaseadvanced` any more: `coinbase` speaks Advanced Trade.

What does not work, and why (all of it ccxt's, 2026-11-22):
- A refused subscription reaches nobody: `handle_message` raises inside a callback of the event loop, the loop drops the error,
  and the caller of `watch_orders` waits for ever.
- It looks at no sequence number, so a lost message of a book is never noticed.
- An order's `amount` on the socket is what was filled of it, since `cumulative_quantity` stands there for both.
- There is no `watch_balance`, `watch_my_trades` or `watch_ohlcv` for this venue.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from perpsctl.simulator import launcher
from tests.conformance.environments import HERE, python_of, run_story

pytestmark = [pytest.mark.conformance, pytest.mark.slow]

BIP, ETP = "BIP-20DEC30-CDE", "ETP-20DEC30-CDE"
ROADS = ("ws", "wss")
BOOKS = {"ws": 2, "wss": 5}  # three connections each way, the second tells the book
Facts = dict[str, Any]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Facts, Facts]]:
    """What ccxt heard; and the judge: the book afterwards, the connections, the true book where ccxt kept one."""
    python = python_of("ccxt.lock")
    folder = tmp_path_factory.mktemp("home") / ".exchange"
    # a quick path, so that a few seconds of a book are many changes
    running = launcher.start(folder, launcher.SimOptions(idle_minutes=5, speed="8"))
    try:
        launcher.control(folder, "POST", "/state/switches", {"rate_limits": False})
        # one market stands still for the orders; the book that is kept is another's, which moves
        launcher.control(folder, "POST", "/state/price", {"product_id": BIP, "price": "70000", "hold": True})
        places = {
            "http": running.http,
            "https": running.https,
            **{road: running.us_sockets[road] for road in ROADS},
            "key": running.key_files["trade"],
            "ca": running.ca_file,
        }
        facts = json.loads(run_story(python, HERE / "ccxt_sockets_story.py", {}, json.dumps(places)))
        judge = launcher.control(folder, "GET", "/judge")
        judge |= launcher.control(folder, "GET", "/streams")
        judge["books"] = {
            road: launcher.control(folder, "GET", f"/streams/book?connection={number}&product_id={ETP}")
            for road, number in BOOKS.items()
        }
        yield facts, judge
    finally:
        launcher.stop(folder)


def test_tickers_trades_and_books_are_heard(story: tuple[Facts, Facts]) -> None:
    facts, _ = story
    assert facts["version"] == "4.5.90"
    assert facts["classes"] == ["coinbase"]
    for road in ROADS:
        told = facts[road]["markets"]
        assert told["ticker"] == ["ETH/USD:USD", True, True]
        assert told["tickers"][0]
        assert set(told["tickers"][0]) <= {"BTC/USD:USD", "ETH/USD:USD"}
        assert told["tickers"][1]  # ticker_batch has no best prices
        assert told["trades"] == [True, True, True]
        assert set(told["sides"]) <= {"buy", "sell"}
        assert told["more_trades"] == [True, True]
        assert told["either_book"]


def test_the_book_ccxt_keeps_is_the_exchanges_book(story: tuple[Facts, Facts]) -> None:
    facts, judge = story
    for road, number in BOOKS.items():
        kept, true = facts[road]["book"], judge["books"][road]
        for side in ("bids", "asks"):
            assert len(kept[side]) > 20
            assert [[Decimal(each) for each in row] for row in kept[side]] == [
                [Decimal(each) for each in row] for row in true[side]
            ]
        assert judge["connections"][number - 1]["messages"]["level2"] >= 20  # a snapshot alone proves little


def test_orders_are_told_from_their_placing_to_their_end(story: tuple[Facts, Facts]) -> None:
    facts, judge = story
    booked = {order["client_order_id"]: order for order in judge["orders"]}
    assert len(booked) == len(judge["orders"])  # I1
    for road in ROADS:
        told = facts[road]["orders"]
        assert told["open"] == ["buy", "Limit", True, 0, 3]
        assert told["canceled"] == [True, 0, 3]
        assert told["filled"] == [3, 0, True, "FILLED"]
        own = [booked[f"{road}-{name}"] for name in ("resting", "taken", "sold")]
        assert told["ids"] == [order["order_id"] for order in own]
        assert [order["status"] for order in own] == ["CANCELLED", "FILLED", "FILLED"]
    assert all(Decimal(size) == 0 for size in judge["positions"].values())


def test_a_forged_key_hears_nothing_and_its_caller_is_not_told(story: tuple[Facts, Facts]) -> None:
    facts, judge = story
    assert facts["forged"] == {"caller": "TimeoutError", "dropped": ["ExchangeError('authentication failure')"]}
    assert [judge["connections"][-1][name] for name in ("refused_subscribes", "messages")] == [1, {}]
