"""The unmodified ccxt 4.5.90, `coinbaseinternational` and its ccxt.pro twin, against the simulated gateway over TLS.

Redirected from outside only: ccxt's own `urls` name the hosts; REQUESTS_CA_BUNDLE with `requests_trust_env`, and `cafile` for
ccxt.pro, name what is trusted. ccxt asks for everything but the login by GET with a query string, which the gateway allows.
The judge is the simulator's own book.

What does not work, and why (all of it ccxt's, 2026-11-22):
- Every private call of the plain class ends in `TypeError: 'NoneType' object is not a mapping` before a byte of it leaves:
  `sign` writes the login's headers with `extend({...}, None)`, and `extend` has taken mappings only since its fast path for
  two dicts. The way around from outside is to send ccxt's own token (`create_auth_token`) through its plain `fetch` and to
  put the bearer into the options it looks at first, `v2AccessToken` and `v2TokenExpires`. ccxt.pro logs in on the socket
  with words of its own and needs no help.
- `reduceOnly`, ccxt's own word, is handed on as it stands; the gateway knows `reduce_only`, so the order is none.
- A position's `contracts` is the gateway's `size`, which is money of the quote currency.
- The funding rate of `watch_funding_rate` is empty: it is looked for under a name the ticker does not have.
- Public trades, the present funding rate and open interest are not offered over HTTP at all.
- A refused subscription reaches nobody: the caller waits for ever.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from perpsctl.simulator import launcher
from tests.conformance.environments import HERE, python_of, run_story

pytestmark = [pytest.mark.conformance, pytest.mark.slow]

BTC, ETH = "BTC/USDC:USDC", "ETH/USDC:USDC"
PRODUCT = "BTC_USDC-PERPETUAL"
Facts = dict[str, Any]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Facts, Facts, str]]:
    """What ccxt saw, the book afterwards, and which requests came."""
    python = python_of("ccxt.lock")
    folder = tmp_path_factory.mktemp("home") / ".exchange"
    running = launcher.start(folder, launcher.SimOptions(idle_minutes=5))
    try:
        launcher.control(folder, "POST", "/state/switches", {"rate_limits": False})  # ccxt's pace is not the gateway's
        # one market stands still for the orders; what is streamed is another's, which moves
        launcher.control(folder, "POST", "/state/price", {"product_id": PRODUCT, "price": "68930", "hold": True})
        faces = running.global_faces
        places = {
            "rest": f"{faces['https']}/api/v2",
            "ws": faces["wss"],
            "streams": faces["streams_wss"],
            "key": running.key_files["trade"],
            "ca": running.ca_file,
        }
        printed = run_story(
            python, HERE / "ccxt_global_story.py", {"REQUESTS_CA_BUNDLE": running.ca_file}, json.dumps(places)
        )
        judge = launcher.control(folder, "GET", "/judge")
        yield json.loads(printed), judge, (folder / "access.log").read_text(encoding="utf-8")
    finally:
        launcher.stop(folder)


def booked(judge: Facts) -> dict[str, Facts]:
    """The book's orders by label."""
    found = {order["client_order_id"]: order for order in judge["orders"]}
    assert len(found) == len(judge["orders"])  # I1: no label stands for two orders
    return found


def test_markets_and_prices_parse(story: tuple[Facts, Facts, str]) -> None:
    facts, _, _ = story
    assert facts["version"] == "4.5.90"
    assert facts["markets"] == [f"{coin}/USDC:USDC" for coin in ("BTC", "ETH", "SOL", "XRP")]
    market = facts["market"]
    assert (market["id"], market["type"], market["linear"], market["active"]) == (PRODUCT, "swap", True, True)
    assert (market["contractSize"], market["taker"], market["maker"]) == (0.0001, 0.00035, 0.00015)
    assert facts["precision"] == [0.0001, 0.1]
    assert facts["skew_ms"] < 5000
    assert facts["currencies"] == ["USDC"]
    assert facts["book"] == [10, 10, True]
    assert facts["ticker"] == [True, True, True]
    assert facts["tickers"] == [BTC, ETH]
    assert facts["candles"] == [50, True]
    assert facts["funding"] == [True, [3_600_000], True]
    assert set(facts["missing"].values()) == {"NotSupported"}


def test_private_calls_end_inside_ccxt_before_a_byte_leaves(story: tuple[Facts, Facts, str]) -> None:
    facts, judge, requests = story
    assert set(facts["unsent"]) == {"fetch_balance", "fetch_positions", "create_order"}
    assert all(told == ["TypeError", "'NoneType' object is not a mapping"] for told in facts["unsent"].values())
    assert "ccxt-unsent" not in booked(judge)
    assert requests.count("/api/v2/public/auth ") == 1  # the one sent by hand, afterwards
    before_login = requests.partition("/api/v2/public/auth ")[0]
    assert "/api/v2/public/get_instruments " in before_login
    assert "/api/v2/private/" not in before_login


def test_the_token_ccxt_makes_is_good_for_a_login(story: tuple[Facts, Facts, str]) -> None:
    facts, _, requests = story
    assert facts["login"] == ["bearer", "rat#view rat#trade", 899]
    assert not [word for word in ("BEGIN", "eyJ", "Bearer", "token") if word in requests]  # S1


def test_orders_rest_edit_list_and_cancel_as_the_book_says(story: tuple[Facts, Facts, str]) -> None:
    facts, judge, _ = story
    orders = booked(judge)
    order_id, *placed = facts["placed"]
    assert placed == ["open", 0.01, float(orders["ccxt-swept"]["limit_price"]), True, "ccxt-rest"]
    assert facts["fetched"] == [True, "open", 0.01]
    assert facts["edited"] == [True, 0.02, True]
    assert facts["open"] == [["ccxt-rest", 0.02]]
    assert (facts["cancelled"], facts["still_open"], facts["swept"]) == ("canceled", [], [])
    assert facts["cancel_again"][0] == "ExchangeError"
    assert "not_open_order" in facts["cancel_again"][1]
    assert (orders["ccxt-rest"]["order_id"], orders["ccxt-rest"]["status"]) == (order_id, "CANCELLED")
    assert [Decimal(orders["ccxt-rest"]["size"]), Decimal(orders["ccxt-rest"]["filled_size"])] == [200, 0]
    assert orders["ccxt-swept"]["status"] == "CANCELLED"


def test_fills_positions_and_money_agree_with_the_book(story: tuple[Facts, Facts, str]) -> None:
    facts, judge, _ = story
    orders = booked(judge)
    assert facts["bought"] == ["closed", 0.03, "buy"]
    assert facts["position"] == ["long", 0.03]
    assert facts["contracts_are_quote"]
    assert facts["positions"] == [BTC]
    assert facts["camel_reduce_only"] is False
    assert facts["sold"] == ["closed", 0.03, True]
    assert facts["flat"] == []
    filled: dict[str, Decimal] = {}
    earned = Decimal(0)
    for order_id, side, told_amount, told_price in facts["trades"]:
        amount, price = Decimal(str(told_amount)), Decimal(str(told_price))
        filled[order_id] = filled.get(order_id, Decimal(0)) + amount
        earned += amount * price * (1 if side == "sell" else -1)
    assert filled == {orders[label]["order_id"]: Decimal("0.03") for label in ("ccxt-market", "ccxt-reduce")}
    assert facts["fees"]
    # flat again: the equity is the opening balance less the fees, and what the round trip earned
    cash = [Decimal(row["amount"]) for row in judge["usdc_ledger"]][: 1 + len(facts["trades"])]
    assert Decimal(str(facts["wallet"])) == sum(cash) + earned
    assert facts["socket_wallet"] == facts["wallet"]
    assert facts["watched_wallet"] == {"free": facts["wallet"], "used": 0, "total": facts["wallet"]}
    assert (facts["leverage"], facts["transfers"]) == (7, [])


def test_public_streams_are_heard(story: tuple[Facts, Facts, str]) -> None:
    facts, _, _ = story
    assert facts["watched_ticker"] == [ETH, True]
    assert facts["watched_book"] == [True, True]
    assert facts["watched_trades"] == [ETH]
    assert facts["watched_quotes"] == [ETH]
    assert facts["watched_funding"] == [True, True, None]
    assert facts["watched_candles"] == [[6], True, True]
    assert facts["watched_candle"] == [0, True, True, True]


def test_the_trading_socket_carries_orders_and_what_becomes_of_them(story: tuple[Facts, Facts, str]) -> None:
    facts, judge, _ = story
    orders = booked(judge)
    order_id = orders["pro-rest"]["order_id"]
    assert facts["socket_positions"] == []
    assert facts["socket_placed"] == [order_id, "open"]
    assert facts["told_open"] == [[order_id, "open", "pro-rest"]]
    assert facts["socket_edited"] == [True, 0.02]
    assert facts["socket_open"] == ["pro-rest"]
    assert (facts["socket_cancelled"], facts["socket_order"]) == ("canceled", "canceled")
    assert [orders["pro-rest"]["status"], Decimal(orders["pro-rest"]["size"])] == ["CANCELLED", 200]
    assert facts["socket_bought"] == ["closed", 0.01]
    assert facts["told_trades"] == [True]
    assert facts["told_balance"] == [True, True]
    assert facts["told_position"] == [[BTC, "long"]]
    assert [orders[label]["status"] for label in ("pro-market", "pro-reduce")] == ["FILLED", "FILLED"]
    assert all(Decimal(size) == 0 for size in judge["positions"].values())


def test_a_socket_that_closes_with_the_cancel_armed_leaves_no_order(story: tuple[Facts, Facts, str]) -> None:
    facts, judge, _ = story
    assert (facts["armed"], facts["armed_read"], facts["left_open"]) == ("ok", True, [])
    assert booked(judge)["pro-left-behind"]["status"] == "CANCELLED"
    assert not [order for order in judge["orders"] if order["status"] in ("OPEN", "PENDING")]
