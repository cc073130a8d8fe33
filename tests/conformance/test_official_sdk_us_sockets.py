"""The unmodified official SDK's `WSClient` and `WSUserClient` against the simulator's sockets; the judge is the simulator's book.

How they are redirected, from outside: both take the whole address by `base_url=`, ws:// or wss:// as it stands, and the REST
client beside them takes host:port by `base_url=` and always speaks https. REQUESTS_CA_BUNDLE names the throw-away authority
to the REST client. Over wss:// the SDK 1.8.4 trusts whoever answers: it opens with a bare `ssl.SSLContext()`, which verifies
nothing, so no CA can be given to it and none is missed. Nothing of the SDK or of what it stands on is patched.

What is the SDK's own way (2026-11-22), and seen here:
- It parses nothing by itself: the callback gets text, and `WebsocketResponse` raises KeyError for an error message.
- After a cut it comes back at once and asks again for the channels that have products; heartbeats are not asked for again.
- After a close in order (1001) it neither comes back nor says anything: its user hears nothing more.
- `unsubscribe_all` passes the channels without products over as well.
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
Facts = dict[str, Any]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Facts, Facts]]:
    """What the SDK heard; and the judge: the book afterwards, the connections, the true book where the SDK rebuilt one."""
    python = python_of("sdk-us.lock")
    folder = tmp_path_factory.mktemp("home") / ".exchange"
    # a quick path, so that a few seconds of a book are many changes
    running = launcher.start(folder, launcher.SimOptions(idle_minutes=5, speed="8"))
    try:
        launcher.control(folder, "POST", "/state/switches", {"rate_limits": False})  # the SDK paces nothing
        # one market stands still for the orders; the book that is rebuilt is another's, which moves
        launcher.control(folder, "POST", "/state/price", {"product_id": BIP, "price": "70000", "hold": True})
        places = {
            **running.us_sockets,
            "host": running.https.removeprefix("https://"),
            "trade": running.key_files["trade"],
            "monitor": running.key_files["monitor"],
            "control": running.control,
            "token": running.control_token,
        }
        printed = run_story(
            python, HERE / "sdk_us_sockets_story.py", {"REQUESTS_CA_BUNDLE": running.ca_file}, json.dumps(places)
        )
        facts = json.loads(printed)
        judge = launcher.control(folder, "GET", "/judge")
        judge |= launcher.control(folder, "GET", "/streams")
        judge["books"] = [
            launcher.control(
                folder,
                "GET",
                f"/streams/book?connection={number}&product_id={told['product_id']}&number={told['number']}",
            )
            for number, told in rebuilt_books(facts)
        ]
        yield facts, judge
    finally:
        launcher.stop(folder)


def rebuilt_books(facts: Facts) -> list[tuple[int, Facts]]:
    """The number of each connection on which the SDK's messages were made into a book, and that book."""
    books = [*(each["book"] for each in facts["market"]), facts["without_key"]["book"], facts["cut"]["book"]]
    return list(zip((1, 2, 3, 5), books, strict=True))  # the fourth is the one that was cut


def test_every_channel_of_the_client_is_told_and_parses(story: tuple[Facts, Facts]) -> None:
    facts, _ = story
    assert facts["version"] == "1.8.4"
    assert len(facts["market"]) == 2  # ws:// and wss://
    for told in facts["market"]:
        user = told["subscribed"]["user"]
        assert len(user) == 1
        assert told["subscribed"] == {
            "heartbeats": ["heartbeats"],
            "ticker": [BIP, ETP],
            "ticker_batch": [BIP],
            "market_trades": [ETP],
            "status": [BIP, ETP],
            "level2": [ETP],
            "candles": [BIP],
            "user": user,
            "futures_balance_summary": user,
        }
        assert told["misread"] == []
        assert told["heartbeats"] == ["int", True]
        assert set(told["firsts"].values()) == {"snapshot"}
        assert told["tickers"] == [BIP, ETP]
        assert told["batch_has_best"] is False
        assert told["status"] == [[BIP, "online"], [ETP, "online"]]
        assert told["candle_seconds"] == [300]
        assert Decimal(told["summary"][0]) == Decimal(facts["cfm_usd_balance"]) > 0
        assert told["summary"][1].startswith("FCM_MARGIN_WINDOW_TYPE_")


def test_one_sequence_runs_over_everything_a_connection_hears(story: tuple[Facts, Facts]) -> None:
    facts, judge = story
    assert all(told["numbers"] for told in (*facts["market"], *facts["orders"]))
    assert facts["cut"]["numbers"] == [True, True]
    assert not any(each["gaps"] or each["duplicates"] or each["reorders"] for each in judge["connections"])


def test_a_book_rebuilt_from_what_was_heard_is_the_exchanges_book(story: tuple[Facts, Facts]) -> None:
    facts, judge = story
    assert len(judge["books"]) == 4
    for (_, told), true in zip(rebuilt_books(facts), judge["books"], strict=True):
        assert true["product_id"] == told["product_id"]
        for side in ("bids", "asks"):
            assert len(told[side]) > 20
            assert levels(told[side]) == levels(true[side])
    moved = [each["messages"]["level2"] for each in judge["connections"][:2]]
    assert min(moved) > 20  # a snapshot alone proves little


def levels(rows: list[list[str]]) -> list[tuple[Decimal, Decimal]]:
    """Prices and sizes, in order."""
    return [(Decimal(price), Decimal(size)) for price, size in rows]


def test_an_unsubscribe_ends_what_it_names_and_the_acknowledgement_lists_the_rest(story: tuple[Facts, Facts]) -> None:
    facts, _ = story
    for told in facts["market"]:
        assert told["one_less"] == [BIP]
        assert told["left"] == ["futures_balance_summary", "heartbeats"]
        assert set(told["still_told"]) <= {"futures_balance_summary", "heartbeats"}
        assert told["nothing_left"] == {}
    for told in facts["orders"]:
        assert told["left"] == ["futures_balance_summary", "heartbeats"]
        assert told["deaf"]  # an order ended meanwhile


def test_market_channels_need_no_key_and_the_client_asks_for_no_other_without_one(story: tuple[Facts, Facts]) -> None:
    facts, _ = story
    told = facts["without_key"]
    assert told["subscribed"] == {"level2": [BIP, ETP], "market_trades": [BIP, ETP]}
    assert told["user"] == "Unauthenticated request to private channel."


def test_an_order_is_told_from_its_placing_to_its_end(story: tuple[Facts, Facts]) -> None:
    facts, judge = story
    booked = {order["client_order_id"]: order for order in judge["orders"]}
    assert len(booked) == len(judge["orders"])  # I1
    assert len(facts["orders"]) == 2  # ws:// and wss://
    for word, told in zip(("user_ws", "user_wss"), facts["orders"], strict=True):
        assert sorted(told["subscribed"]) == ["futures_balance_summary", "heartbeats", "user"]
        assert told["misread"] == []
        assert told["snapshot"] == ["snapshot", [f"{word}-there"]]
        assert told["row"] == [True, "BUY", "Limit", True, "false"]
        assert told["filled"] == [True, True, "100"]
        assert told["states"] == {
            f"{word}-resting": [["OPEN", "0", "3"], ["OPEN", "1", "2"], ["CANCELLED", "1", "2"]],
            f"{word}-taken": [["FILLED", "3", "0"]],
            f"{word}-asked": [["FILLED", "4", "0"]],
            f"{word}-missed": [["CANCELLED", "0", "1"]],
        }
        for name, steps in told["states"].items():
            status, filled, _ = steps[-1]
            assert told["orders"][name] == [status, filled]
            assert [booked[name]["status"], Decimal(booked[name]["filled_size"])] == [status, Decimal(filled)]
        assert told["positions"] == [["Long", "1"], ["Long", "4"]]
        assert told["flat"] == [0, 0]
    assert all(Decimal(size) == 0 for size in judge["positions"].values())
    assert not [order for order in judge["orders"] if order["status"] in ("OPEN", "PENDING")]


def test_a_forged_key_is_told_so_and_hears_nothing(story: tuple[Facts, Facts]) -> None:
    facts, judge = story
    assert facts["strangers"]["forged"] == [["authentication failure", "authentication failure"], 0]
    assert facts["strangers"]["monitor"] == [["user"], []]
    forged = [each for each in judge["connections"] if each["refused_subscribes"]]
    assert [[each["socket"], each["refused_subscribes"], each["messages"]] for each in forged] == [["us_user", 2, {}]]
    assert forged[0]["closed_by"] == "client"


def test_the_sdk_comes_back_after_a_cut_and_its_books_begin_anew(story: tuple[Facts, Facts]) -> None:
    facts, judge = story
    told = facts["cut"]
    assert {word: sorted(ids) for word, ids in told["again"].items()} == {"level2": [BIP, ETP]}
    assert told["snapshots"] == [BIP, ETP]
    assert told["heartbeats"] == [True, False]
    broken, after = judge["connections"][3:5]
    assert (broken["closed_by"], [each["fault"] for each in broken["struck"]]) == ("fault", ["W6"])
    assert (after["closed_by"], after["struck"]) == ("client", [])


def test_the_sdk_stays_away_after_a_close_in_order_and_tells_nobody(story: tuple[Facts, Facts]) -> None:
    facts, _ = story
    assert facts["sent_away"] == {"open": False, "opened": 1, "code": 1001}


def test_an_order_whose_news_was_lost_in_a_cut_is_in_the_snapshot_that_follows(story: tuple[Facts, Facts]) -> None:
    facts, judge = story
    assert facts["cut_off"] == {"before": [], "snapshot": ["snapshot", [[True, "OPEN"]]], "again": True}
    broken = [each for each in judge["connections"] if each["socket"] == "us_user" and each["closed_by"] == "fault"]
    assert [[struck["fault"], struck["channel"]] for each in broken for struck in each["struck"]] == [["W6", "user"]]
