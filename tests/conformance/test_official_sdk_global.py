"""The unmodified official SDK's gateway clients against the simulator's TLS face; the judge is the simulator's own book.

How host and scheme are redirected, from outside: both are arguments of the SDK 2.0.0rc1 itself. Its REST client takes
host:port by `base_url=` and always speaks https (it logs in there too); its socket client takes the whole wss address by
`url=`. No resolver is needed, since the certificate names 127.0.0.1. What it trusts is set by two variables:
REQUESTS_CA_BUNDLE for requests, SSL_CERT_FILE for the default TLS context that the socket client (websockets 13.1) opens.
Nothing of the SDK or of what it stands on is patched, and no step is tried twice.

The simulator's TLS sends no session tickets. With them, about one opening in fifty hung until the SDK's fixed ten seconds
were over, on an idle machine too and against a bare TLS server as well: websockets' threaded client reads in one thread
while it writes the upgrade in another, and the ticket that the reader takes in meanwhile loses the request (2026-11-22,
CPython 3.11.7, OpenSSL 3.0.19). Whoever uses this SDK against a server that sends tickets can meet it there.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from perpsctl.simulator import launcher
from tests.conformance.environments import HERE, python_of, run_story

pytestmark = [pytest.mark.conformance, pytest.mark.slow]

BTC = "BTC_USDC-PERPETUAL"
Facts = dict[str, Any]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Facts, Facts]]:
    """What the SDK saw, and the book afterwards."""
    python = python_of("sdk-global.lock")
    folder = tmp_path_factory.mktemp("home") / ".exchange"
    running = launcher.start(folder, launcher.SimOptions(idle_minutes=5))
    try:
        launcher.control(folder, "POST", "/state/switches", {"rate_limits": False})  # the SDK paces nothing
        # one market stands still for the orders; the book that is streamed is another's, which moves
        launcher.control(folder, "POST", "/state/price", {"product_id": BTC, "price": "68930", "hold": True})
        faces = running.global_faces
        places = {
            "host": faces["https"].removeprefix("https://"),
            "ws": faces["wss"],
            "streams": faces["streams_wss"],
            "trade": running.key_files["trade"],
            "monitor": running.key_files["monitor"],
        }
        printed = run_story(
            python,
            HERE / "sdk_global_story.py",
            {"REQUESTS_CA_BUNDLE": running.ca_file, "SSL_CERT_FILE": running.ca_file},
            json.dumps(places),
        )
        yield json.loads(printed), launcher.control(folder, "GET", "/judge")
    finally:
        launcher.stop(folder)
    logged = (folder / "access.log").read_text(encoding="utf-8")
    assert "/api/v2/private/buy" in logged
    assert not [word for word in ("BEGIN", "eyJ", "Bearer", "token") if word in logged]


def booked(judge: Facts) -> dict[str, Facts]:
    """The book's orders by label, those with one."""
    labelled = [order for order in judge["orders"] if order["client_order_id"]]
    found = {order["client_order_id"]: order for order in labelled}
    assert len(found) == len(labelled)  # I1: no label stands for two orders
    return found


def test_market_data_parses(story: tuple[Facts, Facts]) -> None:
    facts, _ = story
    assert facts["version"] == "2.0.0rc1"
    assert facts["instruments"] == [f"{coin}_USDC-PERPETUAL" for coin in ("BTC", "ETH", "SOL", "XRP")]
    assert facts["instrument"] == {"tick_size": 0.1, "contract_size": 0.0001, "instrument_type": "linear"}
    assert facts["book"] == [5, 5, True]
    assert facts["ticker"] == ["open", True]
    assert facts["ticker_is_book"]
    assert facts["unknown_instrument"] == 13020
    assert facts["time_off_s"] < 30


def test_a_key_logs_in_for_its_own_rights_only(story: tuple[Facts, Facts]) -> None:
    facts, judge = story
    assert facts["login"] == ["bearer", "rat#view rat#trade", 899]
    assert facts["no_login"] == 13009
    assert facts["no_token"][0] == -32602
    assert "[13004] invalid_credentials" in facts["stranger"]
    assert facts["monitor_reads"] == []
    assert facts["monitor_order"] == [13403, "scope_exceeded"]
    assert "sdk-monitor" not in booked(judge)
    assert not [each for each in judge["requests"] if each["client_order_id"] == "sdk-monitor"]


def test_orders_rest_edit_list_and_cancel_as_the_book_says(story: tuple[Facts, Facts]) -> None:
    facts, judge = story
    buy, sell, orders = facts["buy"], facts["sell"], booked(judge)
    assert (buy["order_state"], buy["contracts"], buy["label"], buy["post_only"]) == ("open", 200, "sdk-buy", True)
    assert (sell["order_state"], sell["amount"], sell["label"]) == ("open", 0.005, "sdk-sell")
    assert facts["open"] == ["sdk-buy", "sdk-sell"]
    assert facts["open_by_instrument"] == 0
    assert facts["edit"] == [True, 0.01, True]
    assert facts["by_label"] == [[buy["order_id"], "open", 100]]
    assert facts["by_id"] == "sdk-sell"
    assert facts["cancel"] == "cancelled"
    assert facts["cancel_by_label"] == 1
    assert facts["still_open"] == []
    for told, contracts in ((buy, 100), (sell, 50)):
        order = orders[told["label"]]
        assert (order["order_id"], order["status"]) == (told["order_id"], "CANCELLED")
        assert [Decimal(order["size"]), Decimal(order["filled_size"])] == [contracts, 0]
    answers = [each["answer"] for each in judge["requests"] if each["client_order_id"] == "sdk-buy"]
    assert answers == ["placed", "edited", "refused:11044"]


def test_refusals_are_the_ones_the_sdk_knows_and_place_nothing(story: tuple[Facts, Facts]) -> None:
    facts, judge = story
    assert facts["off_grid"][0] == -32602
    assert facts["no_amount"] == -32602  # raised as the SDK's own class for wrong parameters
    assert (facts["cancel_again"], facts["edit_closed"], facts["socket_refusal"]) == (11044, 11044, 11044)
    assert not booked(judge).keys() & {"sdk-off-grid", "sdk-no-amount"}


def test_fills_position_trades_and_money_agree_with_the_book(story: tuple[Facts, Facts]) -> None:
    facts, judge = story
    orders = booked(judge)
    assert facts["market"] == ["filled", 0.03]
    assert facts["crossed"] == ["filled", 0.01]
    assert facts["position"] == ["buy", 0.02]
    assert facts["positions"] == [BTC]
    assert facts["margined"]
    assert facts["trades_by_order"] == 100
    assert facts["closed"] == ["filled", True, "sell"]
    assert facts["flat"] == "zero"
    assert (facts["fees"], facts["more_trades"]) == (True, False)
    filled: dict[str, int] = {}
    for _, order_id, contracts in facts["trades"]:
        filled[order_id] = filled.get(order_id, 0) + contracts
    truly = {order["order_id"]: Decimal(order["filled_size"]) for order in judge["orders"]}
    assert filled == {order_id: truly[order_id] for order_id in filled}
    assert sum(filled.values()) == 300 + 100 + 200
    assert {orders["sdk-market"]["order_id"], orders["sdk-cross"]["order_id"]} < filled.keys()
    assert facts["logged_trades"] == sorted(trade_id for trade_id, _, _ in facts["trades"])
    assert facts["logged_balance"] == facts["summary"]["balance"]
    assert facts["summary"]["currency"] == "USDC"
    assert facts["summary"]["initial_margin"] == 0
    # cash moved by the opening balance and one fee for each of these fills; profit waits for settlement
    cash = [Decimal(row["amount"]) for row in judge["usdc_ledger"]][: 1 + len(facts["trades"])]
    assert Decimal(str(facts["summary"]["balance"])) == sum(cash)
    assert all(Decimal(size) == 0 for size in judge["positions"].values())


def test_the_streams_host_tells_a_book_whose_changes_name_their_predecessor(story: tuple[Facts, Facts]) -> None:
    facts, _ = story
    assert facts["subscribed"]
    assert facts["snapshot"] == [True, "snapshot", True, True]
    assert facts["change"] == ["change", True]
    assert facts["streams_dropped"] == ["user.orders.any.any.raw"]
    assert facts["streams_login"] == -32601


def test_a_socket_opens_every_time(story: tuple[Facts, Facts]) -> None:
    facts, _ = story
    assert facts["openings"] == [50, True]


def test_the_trading_socket_tells_every_step_of_an_order(story: tuple[Facts, Facts]) -> None:
    facts, judge = story
    orders = booked(judge)
    order_id = orders["sdk-socket"]["order_id"]
    assert facts["socket_order"] == order_id
    assert facts["told_open"] == [order_id, "open", 100]
    assert facts["told_cancelled"] == [order_id, "cancelled"]
    assert orders["sdk-socket"]["status"] == "CANCELLED"
    assert Decimal(orders["sdk-socket"]["filled_size"]) == 0
    assert facts["told_filled"] == 0.01
    assert facts["told_trades"]
    assert all(told == ["sdk-socket-market", True] for told in facts["told_trades"])
    assert orders["sdk-socket-market"]["status"] == "FILLED"
    assert Decimal(orders["sdk-socket-market"]["filled_size"]) == 100
    assert facts["trading_host_dropped"] == [f"book.{BTC}.100ms"]


def test_a_socket_that_closes_with_the_cancel_armed_leaves_no_order(story: tuple[Facts, Facts]) -> None:
    facts, judge = story
    assert facts["armed"] == "ok"
    assert facts["left_behind"] == [["cancelled", "cancel_on_disconnect"]]
    assert booked(judge)["sdk-left-behind"]["status"] == "CANCELLED"
    assert not [order for order in judge["orders"] if order["status"] in ("OPEN", "PENDING")]


def test_the_lock_names_no_index() -> None:
    lines = (HERE / "sdk-global.lock").read_text(encoding="ascii").splitlines()
    assert not [
        line for line in lines if line.lstrip().startswith(("--index", "-i ", "--extra-index", "--find", "http"))
    ]
    assert "coinbase-advanced-py==2.0.0rc1 \\" in lines
