"""The in-process adapter: the same faults as over sockets, as the exceptions `requests` would raise."""

import json
import statistics
import time
from typing import Any

import pytest
import requests
import urllib3

from perpsctl.simulator.inprocess import HOST, ORIGIN, InProcessAdapter
from tests.unit.simulator.faces import trader
from tests.unit.simulator.faces.trader import START, V3, Trader

assert HOST == trader.HOST


class Client:
    """A requests session whose network is the exchange itself."""

    def __init__(self) -> None:
        self.trader = Trader()
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.mount(ORIGIN, InProcessAdapter(self.trader.embedded))
        self.faults = self.trader.embedded.exchange.faults

    def send(
        self, method: str, path: str, body: Any = None, *, timeout: Any = (1, 8), **named: Any
    ) -> requests.Response:
        token = self.trader.sign(self.trader.claims(method, V3 + path))
        return self.session.request(
            method,
            f"{ORIGIN}{V3}{path}",
            data=None if body is None else json.dumps(body),
            headers={"Authorization": f"Bearer {token}"},
            timeout=timeout,
            **named,
        )

    def create(self, name: str = "a", **named: Any) -> requests.Response:
        return self.send("POST", "/orders", self.trader.limit(name), **named)

    def seconds(self) -> float:
        return (self.trader.clock.now() - START).total_seconds()


@pytest.fixture
def client() -> Client:
    return Client()


def test_a_reply_is_an_ordinary_response(client: Client) -> None:
    response = client.create()
    assert response.json()["success"] is True
    assert response.headers["X-RateLimit-Limit"] == "30"
    assert int(response.headers["content-length"]) == len(response.content)
    assert client.send("GET", "/orders/historical/nothing").status_code == 404


@pytest.mark.parametrize(
    ("fault", "proof"), [("N9", urllib3.exceptions.NewConnectionError), ("N10", urllib3.exceptions.NameResolutionError)]
)
def test_n9_n10_no_connection_proves_that_nothing_was_sent(client: Client, fault: str, proof: type[Exception]) -> None:
    client.faults.arm(fault)
    with pytest.raises(requests.ConnectionError) as refused:
        client.create()
    assert isinstance(refused.value.args[0], proof)
    assert client.trader.booked() == ()


@pytest.mark.parametrize(("fault", "booked"), [("N11", ()), ("N25", ()), ("N12", ("a",))])
def test_n11_n12_n25_a_reset_looks_alike_before_and_after(client: Client, fault: str, booked: tuple[str, ...]) -> None:
    client.faults.arm(fault, operation="create_order")
    with pytest.raises(requests.ConnectionError) as broken:
        client.create()
    assert isinstance(broken.value.args[0], urllib3.exceptions.ProtocolError)
    assert client.trader.booked() == booked


@pytest.mark.parametrize(
    ("fault", "params"), [("N13", {}), ("N28", {"form": "broken"}), ("N28", {"form": "lying_length"})]
)
def test_n13_n28_a_body_breaks_off_while_it_is_read(client: Client, fault: str, params: dict[str, str]) -> None:
    client.faults.arm(fault, operation="create_order", **params)  # type: ignore[arg-type]
    response = client.create(stream=True)
    assert response.status_code == 200
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
        response.content  # noqa: B018
    assert client.trader.booked() == ("a",)


@pytest.mark.parametrize("fault", ["N13", "N28"])
def test_without_streaming_the_broken_body_raises_at_once(client: Client, fault: str) -> None:
    client.faults.arm(fault, operation="create_order")
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
        client.create()


def test_n14_the_caller_gives_up_and_the_order_comes_later(client: Client) -> None:
    client.faults.arm("N14", seconds=12)
    with pytest.raises(requests.ReadTimeout):
        client.create()
    assert client.seconds() == 8
    assert client.trader.booked() == ()
    client.trader.pass_time(5)
    assert client.trader.booked() == ("a",)


def test_n15_the_order_is_there_although_the_answer_never_comes(client: Client) -> None:
    client.faults.arm("N15")
    with pytest.raises(requests.ReadTimeout):
        client.create()
    assert (client.seconds(), client.trader.booked()) == (8, ("a",))


def test_n16_a_late_answer_takes_venue_time_not_ours(client: Client) -> None:
    client.faults.arm("N16", seconds=12)
    began = time.monotonic()
    assert client.create(timeout=30).json()["success"] is True
    assert client.seconds() == 12
    assert time.monotonic() - began < 5


def test_n18_a_byte_a_second_ends_in_a_time_out_of_the_whole_request(client: Client) -> None:
    client.faults.arm("N18", operation="create_order")
    with pytest.raises(requests.exceptions.ConnectionError):
        client.create()
    assert client.seconds() == 8
    assert client.trader.booked() == ("a",)


def test_n19_a_slow_upload_is_handled_after_the_caller_left(client: Client) -> None:
    client.faults.arm("N19", operation="create_order", bytes_per_second=20)
    with pytest.raises(requests.ReadTimeout):
        client.create()
    assert client.trader.booked() == ()
    client.trader.pass_time(30)
    assert client.trader.booked() == ("a",)


def test_a_caller_without_a_time_out_is_told_instead_of_hanging(client: Client) -> None:
    client.faults.arm("N14")
    with pytest.raises(RuntimeError, match="wait for ever"):
        client.create(timeout=None)


def test_a_signed_verified_call_costs_little(client: Client) -> None:
    """Measured 0.13 ms on an idle 2-core machine, 2026-11-22; the bound leaves room for a busy one."""
    adapter = InProcessAdapter(client.trader.embedded)
    client.trader.embedded.us.budgets.enforced = False
    token = client.trader.sign(client.trader.claims("GET", f"{V3}/key_permissions"))
    prepared = requests.Request(
        "GET", f"{ORIGIN}{V3}/key_permissions", headers={"Authorization": f"Bearer {token}"}
    ).prepare()
    took: list[int] = []
    for _ in range(300):
        began = time.perf_counter_ns()
        assert adapter.send(prepared, timeout=(1, 8)).status_code == 200
        took.append(time.perf_counter_ns() - began)
    assert statistics.median(took) < 1_500_000


@pytest.mark.parametrize(("seconds", "exp_s", "booked"), [(12, 120, ("a",)), (12, 20, ("a",)), (25, 20, ())])
def test_n14_n15_a_delay_before_acceptance_is_handled_once_and_only_while_the_token_lives(
    client: Client, seconds: int, exp_s: int, booked: tuple[str, ...]
) -> None:
    client.faults.arm("N15", when="before", seconds=seconds)
    claims = client.trader.claims("POST", f"{V3}/orders")
    token = client.trader.sign({**claims, "exp": claims["nbf"] + exp_s})
    with pytest.raises(requests.ReadTimeout):
        client.session.post(
            f"{ORIGIN}{V3}/orders",
            data=json.dumps(client.trader.limit("a")),
            headers={"Authorization": f"Bearer {token}"},
            timeout=(1, 8),
        )
    assert client.trader.booked() == ()
    client.trader.pass_time(60)
    assert client.trader.booked() == booked


def test_a_delay_before_acceptance_within_the_callers_patience_is_only_slow(client: Client) -> None:
    client.faults.arm("N15", when="before", seconds=5)
    assert client.create().json()["success"] is True
    assert (client.seconds(), client.trader.booked()) == (5, ("a",))
