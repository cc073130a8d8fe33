"""The gateway's face over real sockets and in process: addresses told, TLS, faults on the connection, one registry."""

import http.client
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
import requests

from perpsctl.simulator import launcher
from perpsctl.simulator.inprocess import GLOBAL_ORIGIN, InProcessAdapter
from tests.unit.simulator.faces.trader import private_key
from tests.unit.simulator.global_face.gate import BTC, Gate

TIMEOUT_S = 5


class Wire:
    """A caller over HTTP, whatever carries it."""

    def __init__(self, origin: str, session: requests.Session, key_text: str, now: datetime) -> None:
        self.origin, self.session = origin, session
        seconds, name = int(now.timestamp()), json.loads(key_text)["name"]
        claims = {"sub": name, "iss": "cdp", "nbf": seconds, "exp": seconds + 120}
        token = jwt.encode(claims, private_key(key_text), "ES256", headers={"kid": name, "nonce": "00"})
        told = self.call("public/auth", grant_type="coinbase_cdp", token=token)
        session.headers["authorization"] = f"Bearer {told['result']['access_token']}"

    def call(self, method: str, /, **params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return self.session.post(f"{self.origin}/api/v2/{method}", json=body, timeout=TIMEOUT_S).json()

    def buy(self, label: str) -> Any:
        return self.call("private/buy", instrument_name=BTC, amount=0.01, type="market", label=label)

    def labelled(self, label: str) -> Any:
        return self.call("private/get_order_state_by_label", currency="USDC", label=label)["result"]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "home" / ".exchange"
    yield place
    launcher.stop(place)


@pytest.mark.slow
def test_status_tells_the_gateways_addresses_and_both_serve_orders(folder: Path) -> None:
    running = launcher.ensure(folder)
    faces = running.as_data(folder)["faces"]["global"]
    key_text = Path(running.key_files["trade"]).read_text("utf-8")
    for scheme in ("http", "https"):
        with requests.Session() as session:
            session.verify = running.ca_file
            wire = Wire(faces[scheme], session, key_text, datetime.now(UTC))
            assert wire.buy(scheme)["result"]["order"]["order_state"] == "filled"
            (found,) = wire.labelled(scheme)
            assert found["label"] == scheme


@pytest.mark.slow
def test_n12_over_a_socket_resets_the_connection_and_leaves_one_order(folder: Path) -> None:
    running = launcher.ensure(folder)
    key_text = Path(running.key_files["trade"]).read_text("utf-8")
    with requests.Session() as session:
        wire = Wire(running.as_data(folder)["faces"]["global"]["http"], session, key_text, datetime.now(UTC))
        headers = {"authorization": f"Bearer {running.control_token}"}
        armed = requests.post(f"{running.control}/faults", json={"name": "N12"}, headers=headers, timeout=TIMEOUT_S)
        assert armed.status_code == 200
        with pytest.raises(requests.ConnectionError):
            wire.buy("lost")
        assert len(wire.labelled("lost")) == 1


@pytest.mark.slow
def test_used_up_credits_close_the_connection_after_the_answer(folder: Path) -> None:
    running = launcher.ensure(folder)
    address = urlsplit(running.as_data(folder)["faces"]["global"]["http"])
    assert address.hostname is not None
    line = http.client.HTTPConnection(address.hostname, address.port, timeout=TIMEOUT_S)
    try:
        answered = 0
        body: dict[str, Any] = {}
        while "error" not in body and answered < 150:
            line.request("GET", "/api/v2/public/test")
            body = json.loads(line.getresponse().read())
            answered += 1
        assert body["error"]["code"] == 10028
        assert answered > 100  # the pool's burst, and what came back meanwhile
        assert line.sock is None  # the server said that it closes, and did
    finally:
        line.close()


def in_process() -> tuple[Gate, Wire]:
    gate = Gate()
    session = requests.Session()
    session.mount(GLOBAL_ORIGIN, InProcessAdapter(gate.embedded, face=gate.face))
    return gate, Wire(GLOBAL_ORIGIN, session, gate.embedded.key_text(), gate.clock.now())


@pytest.mark.parametrize(
    ("fault", "raised", "orders"),
    [
        ("N9", requests.ConnectionError, 0),
        ("N11", requests.ConnectionError, 0),
        ("N12", requests.ConnectionError, 1),
        ("N13", requests.ConnectionError, 1),
        ("N15", requests.ReadTimeout, 1),
        ("N20", requests.exceptions.JSONDecodeError, 1),
        ("N21", requests.exceptions.JSONDecodeError, 1),
    ],
)
def test_faults_strike_the_gateway_as_they_strike_the_other_venue(
    fault: str, raised: type[Exception], orders: int
) -> None:
    gate, wire = in_process()
    gate.embedded.exchange.faults.arm(fault, operation="create_order")
    with pytest.raises((raised, requests.exceptions.ChunkedEncodingError)):
        wire.buy("struck")
    assert len(gate.embedded.exchange.judge_view().orders) == orders
    assert len(wire.labelled("struck")) == orders


def test_rate_limit_faults_speak_the_gateways_words_and_let_nothing_through() -> None:
    gate, wire = in_process()
    gate.embedded.exchange.faults.arm("N4")
    assert wire.buy("limited")["error"] == {"code": 10028, "message": "too_many_requests"}
    assert gate.embedded.exchange.judge_view().orders == ()
    assert wire.buy("again")["result"]["order"]["order_state"] == "filled"


def test_a_fault_armed_for_orders_passes_reads_and_the_us_face_shares_the_count() -> None:
    gate, wire = in_process()
    handle = gate.embedded.exchange.faults.arm("N12")
    wire.labelled("none")
    (armed,) = [row for row in gate.embedded.exchange.faults.armed() if row.handle == handle]
    assert (armed.seen, armed.fired) == (0, 0)
    with pytest.raises(requests.ConnectionError):
        wire.buy("one")
    (armed,) = [row for row in gate.embedded.exchange.faults.armed() if row.handle == handle]
    assert (armed.seen, armed.fired) == (1, 1)


def test_revoked_scopes_expired_keys_and_foreign_addresses_are_refused() -> None:
    gate, wire = in_process()
    faults = gate.embedded.exchange.faults
    for fault, code in (("A2", 13009), ("A3", 13403), ("A4", 13021), ("A5", 13009)):
        faults.arm(fault)
        assert wire.buy("no")["error"]["code"] == code, fault
        faults.disarm()
    assert gate.embedded.exchange.judge_view().orders == ()
