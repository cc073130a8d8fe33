"""The control face: state from outside, behind a token; a wrong question changes nothing."""

import json
from typing import Any

import pytest

from perpsctl.simulator.faces.control import ControlFace, Hooks
from perpsctl.simulator.faces.control_state import SETTERS
from perpsctl.simulator.faces.messages import Reply, Request
from tests.unit.simulator.faces.trader import BIP, START, Trader

TOKEN = "control-token-of-a-test"


class Operator:
    """Whoever holds the control token."""

    def __init__(self) -> None:
        self.trader = Trader()
        self.resets = 0
        self.old_key_known_at_reset = True
        self.stopped = False
        hooks = Hooks(
            status=lambda: {"account": self.trader.embedded.account}, new_account=self._reset, stop=self._stop
        )
        self.face = ControlFace(self.trader.embedded, TOKEN, hooks)

    def _reset(self) -> None:
        self.resets += 1
        self.old_key_known_at_reset = self.trader.embedded.keys.find(self.trader.name) is not None

    def _stop(self) -> None:
        self.stopped = True

    def ask(self, method: str, path: str, body: Any = None, *, query: str = "", token: str = TOKEN) -> Reply:
        return self.face.handle(
            Request(
                method=method,
                path=path,
                query=query,
                headers={"authorization": f"Bearer {token}"},
                body=b"" if body is None else json.dumps(body).encode(),
                received_at=START,
                connected_host="127.0.0.1:1",
            )
        )

    def do(self, method: str, path: str, body: Any = None, *, query: str = "") -> Any:
        reply = self.ask(method, path, body, query=query)
        assert reply.status == 200, reply.body
        return json.loads(reply.body)


@pytest.fixture
def operator() -> Operator:
    return Operator()


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], "é"])
def test_nothing_is_answered_without_the_token(operator: Operator, token: str) -> None:
    for method, path in (("GET", "/judge"), ("POST", "/reset"), ("POST", "/stop"), ("GET", "/made-up")):
        assert operator.ask(method, path, token=token).status == 401
    assert (operator.resets, operator.stopped) == (0, False)


def test_positions_prices_and_books_are_set_and_seen_by_the_us_face(operator: Operator) -> None:
    operator.do("POST", "/state/price", {"product_id": BIP, "price": "50000", "hold": True})
    operator.do("POST", "/state/position", {"product_id": BIP, "contracts": "-7", "average_entry": "51000"})
    position = operator.trader.get("/cfm/positions")["positions"][0]
    assert (position["side"], position["number_of_contracts"], position["avg_entry_price"]) == ("SHORT", "7", "51000")
    levels = {"product_id": BIP, "bids": [["49990", "4"]], "asks": [["50010", "5"]]}
    operator.do("POST", "/state/book", levels)
    book = operator.trader.get("/product_book", f"product_id={BIP}")["pricebook"]
    assert (book["bids"], book["asks"]) == (
        [{"price": "49990", "size": "4"}],
        [{"price": "50010", "size": "5"}],
    )


def test_balance_status_funding_and_increments_are_set(operator: Operator) -> None:
    operator.do("POST", "/state/balance", {"cbi_usd": "5", "cfm_usd": "6.5"})
    assert operator.trader.get("/cfm/balance_summary")["balance_summary"]["total_usd_balance"]["value"] == "11.5"
    operator.do("POST", "/state/status", {"product_id": BIP, "cancel_only": True})
    operator.do("POST", "/state/funding", {"product_id": BIP, "rate": "0.001"})
    operator.do("POST", "/state/increments", {"product_id": BIP, "price_increment": "10"})
    product = operator.trader.get(f"/products/{BIP}")
    assert (product["cancel_only"], product["price_increment"]) == (True, "10")


def test_faults_are_armed_listed_and_disarmed(operator: Operator) -> None:
    handle = operator.do("POST", "/faults", {"name": "N8", "params": {"status": 504}})["handle"]
    listed = operator.do("GET", "/faults")["faults"]
    assert [(fault["handle"], fault["fault"], fault["params"]["status"]) for fault in listed] == [(handle, "N8", 504)]
    assert operator.do("DELETE", "/faults", query=f"handle={handle}") == {"disarmed": 1}
    assert operator.do("GET", "/faults") == {"faults": []}
    names = {row["fault"] for row in operator.do("GET", "/faults/catalogue")["catalogue"]}
    assert {*(f"N{n}" for n in range(1, 19)), *(f"E{n}" for n in range(1, 9)), *(f"A{n}" for n in range(1, 8))} <= names


def test_the_judge_sees_every_write_with_its_time_and_place_in_the_sequence(operator: Operator) -> None:
    operator.trader.post("/orders", operator.trader.limit("a"))
    operator.trader.post("/orders", operator.trader.limit("b", size="9999999"))
    judge = operator.do("GET", "/judge")
    assert [order["client_order_id"] for order in judge["orders"]] == ["a"]
    assert [request["client_order_id"] for request in judge["requests"]] == ["a", "b"]
    assert judge["requests"][0]["sequence"] < judge["requests"][1]["sequence"]
    assert judge["requests"][1]["answer"].startswith("refused")


def test_an_outside_order_and_its_fill_are_injected(operator: Operator) -> None:
    body = {**operator.trader.limit("theirs", size="3"), "source": "RETAIL_SIMPLE"}
    order_id = operator.do("POST", "/orders", body)["order_id"]
    operator.do("POST", "/fills", {"order_id": order_id, "contracts": "2"})
    assert operator.trader.get("/cfm/positions")["positions"][0]["number_of_contracts"] == "2"


def test_cash_times_are_read_and_set(operator: Operator) -> None:
    operator.do("POST", "/state/cash_times", {"times": ["03:00", "15:30"]})
    calendar = operator.do("GET", "/calendar")
    assert calendar["cash_times"] == ["03:00", "15:30"]
    assert calendar["next_cash_event"] == "2026-11-22T15:30:00Z"


def test_a1_the_clock_is_offset_until_set_back(operator: Operator) -> None:
    operator.do("POST", "/state/clock", {"offset_s": 130})
    assert operator.trader.ask("GET", "/accounts").status == 401
    operator.do("POST", "/state/clock", {"offset_s": 0})
    assert operator.trader.ask("GET", "/accounts").status == 200


def test_keys_switches_and_the_allowlist_are_set(operator: Operator) -> None:
    operator.do("POST", "/state/key", {"role": "trade", "can_transfer": True})
    assert operator.trader.get("/key_permissions")["can_transfer"] is True
    operator.do("POST", "/state/allowlist", {"networks": ["10.0.0.0/8"]})
    assert operator.trader.ask("GET", "/accounts").status == 403
    operator.do("POST", "/state/allowlist", {"networks": []})
    operator.do("POST", "/state/switches", {"rate_limits": False, "html_429": True})
    replies = [operator.trader.ask("GET", "/accounts") for _ in range(40)]
    assert [reply.status for reply in replies] == [200] * 40
    # Nor does a client that heeds the headers wait.
    assert {dict(reply.headers)["x-ratelimit-remaining"] for reply in replies} == {"30"}


def test_a_reset_tells_its_account_when_the_old_keys_are_worth_nothing_and_no_new_one_is_written(
    operator: Operator,
) -> None:
    operator.ask("POST", "/reset")
    assert (operator.resets, operator.old_key_known_at_reset) == (1, False)


def test_a_reset_is_a_new_account_with_new_keys_and_nothing_armed(operator: Operator) -> None:
    old = operator.trader.embedded.exchange.portfolio_uuid
    key = operator.trader.embedded.key_text("trade")
    operator.trader.post("/orders", operator.trader.limit("a"))
    operator.do("POST", "/faults", {"name": "N6"})
    operator.do("POST", "/state/allowlist", {"networks": ["10.0.0.0/8"]})
    assert operator.do("POST", "/reset") == {"account": 2}
    assert operator.resets == 1
    assert operator.trader.embedded.exchange.portfolio_uuid != old
    assert operator.trader.embedded.key_text("trade") != key
    assert operator.trader.ask("GET", "/accounts").status == 401
    operator.trader.use("trade")
    assert operator.trader.get("/orders/historical/batch")["orders"] == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/state/price", {"product_id": BIP, "price": "NaN"}),
        ("/state/price", {"product_id": BIP}),
        ("/state/price", {"product_id": BIP, "price": True}),
        ("/state/price", {"product_id": BIP, "price": "50000", "hold": True, "limit": "9"}),
        ("/faults", {"name": "N8", "whenever": True}),
        ("/state/switches", {"made_up": True}),
        ("/state/key", {"role": "owner"}),
        ("/state/key", {"role": "trade", "can_fly": True}),
        ("/state/allowlist", {"networks": ["here"]}),
        ("/state/dedupe", {"mode": "sometimes"}),
        ("/faults", {"name": "N999"}),
        ("/faults", {"name": "N8", "params": {"status": [1]}}),
        ("/faults", {"name": "N8", "nth": 0}),
        ("/orders", {"product_id": BIP}),
        ("/state/book", {"product_id": BIP, "bids": [["1"]]}),
    ],
)
def test_a_wrong_question_is_400_with_a_sentence_and_changes_nothing(operator: Operator, path: str, body: Any) -> None:
    before = operator.do("GET", "/judge"), operator.trader.get(f"/products/{BIP}")["price"]
    reply = operator.ask("POST", path, body)
    assert reply.status == 400
    assert json.loads(reply.body)["error"]
    assert (operator.do("GET", "/judge"), operator.trader.get(f"/products/{BIP}")["price"]) == before
    assert operator.do("GET", "/faults") == {"faults": []}


def test_what_cannot_be_set_is_404_and_limits_are_among_it(operator: Operator) -> None:
    assert operator.ask("POST", "/state/limits", {}).status == 404
    assert operator.ask("GET", "/state/price").status == 404
    assert not {name for name in SETTERS if "limit" in name}


def test_stop_is_passed_on(operator: Operator) -> None:
    operator.do("POST", "/stop")
    assert operator.stopped
