"""Faults on real connections: what a client's socket sees, and what the exchange's book says."""

import contextlib
import json
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
import urllib3

from perpsctl.simulator import launcher
from perpsctl.simulator.launcher import SimOptions, SimStatus
from tests.unit.simulator.faces.trader import BIP, V3, private_key

pytestmark = pytest.mark.slow


class Remote:
    """A client of a running simulator, over sockets, and its control face."""

    def __init__(self, folder: Path, running: SimStatus) -> None:
        self.folder = folder
        self.running = running
        self.count = 0

    def token(self, method: str, path: str, base: str, role: str = "trade") -> str:
        text = Path(self.running.key_files[role]).read_text(encoding="ascii")
        name = json.loads(text)["name"]
        now = int(time.time())
        host = base.partition("://")[2]
        claims = {"sub": name, "iss": "cdp", "nbf": now, "exp": now + 20, "uri": f"{method} {host}{path}"}
        return jwt.encode(claims, private_key(text), "ES256", headers={"kid": name})

    def order(self) -> dict[str, Any]:
        self.count += 1
        return {
            "client_order_id": f"order-{self.count}",
            "product_id": BIP,
            "side": "BUY",
            "order_configuration": {"limit_limit_gtc": {"base_size": "1", "limit_price": "10000", "post_only": True}},
        }

    def create(self, *, tls: bool = False, **named: Any) -> requests.Response:
        base = self.running.https if tls else self.running.http
        path = f"{V3}/orders"
        return requests.post(
            base + path,
            data=json.dumps(self.order()),
            headers={"Authorization": f"Bearer {self.token('POST', path, base)}"},
            verify=self.running.ca_file,
            **{"timeout": 3, **named},
        )

    def arm(self, fault: str, **params: Any) -> None:
        self.control("POST", "/faults", {"name": fault, "operation": "create_order", "params": params})

    def control(self, method: str, path: str, body: Any = None) -> Any:
        return launcher.control(self.folder, method, path, body)

    def booked(self) -> bool:
        """Whether the last order asked for stands in the book, exactly once."""
        names = [order["client_order_id"] for order in self.control("GET", "/judge")["orders"]]
        assert len(names) == len(set(names))
        return f"order-{self.count}" in names


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    folder = tmp_path_factory.mktemp("home") / ".exchange"
    running = launcher.start(folder, SimOptions(idle_minutes=5))
    yield Remote(folder, running)
    launcher.stop(folder)


@pytest.fixture
def remote(server: Remote) -> Iterator[Remote]:
    server.control("POST", "/state/switches", {"rate_limits": False})
    yield server
    server.control("DELETE", "/faults")


def test_orders_reach_the_book_over_http_and_tls(remote: Remote) -> None:
    for tls in (False, True):
        assert remote.create(tls=tls).json()["success"] is True
        assert remote.booked()


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(("fault", "booked"), [("N9", False), ("N11", False), ("N12", True), ("N25", False)])
def test_n9_n11_n12_n25_connections_break_for_real(remote: Remote, fault: str, booked: bool, tls: bool) -> None:
    remote.arm(fault)
    with pytest.raises(requests.ConnectionError):
        remote.create(tls=tls)
    assert remote.booked() is booked


def test_n12_is_a_reset_not_an_end(remote: Remote) -> None:
    remote.arm("N12")
    with pytest.raises(requests.ConnectionError) as broken:
        remote.create()
    assert "ConnectionResetError" in repr(broken.value) + repr(broken.value.__context__)


def test_n9_armed_for_anything_closes_the_connection_before_a_byte_is_read(remote: Remote) -> None:
    remote.control("POST", "/faults", {"name": "N9"})
    host, _, port = remote.running.http.removeprefix("http://").partition(":")
    with contextlib.suppress(ConnectionResetError), socket.create_connection((host, int(port)), timeout=3) as sock:
        assert sock.recv(1) == b""
    assert remote.control("GET", "/faults")["faults"][0]["fired"] == 1
    assert remote.create().status_code == 200


def test_n9_counts_once_for_a_connection_and_the_request_on_it(remote: Remote) -> None:
    remote.control("POST", "/faults", {"name": "N9", "nth": 2})
    assert remote.create().status_code == 200
    with pytest.raises(requests.ConnectionError):
        remote.create()
    armed = remote.control("GET", "/faults")["faults"][0]
    assert (armed["seen"], armed["fired"]) == (2, 1)
    assert remote.booked() is False


@pytest.mark.parametrize(
    ("fault", "params"), [("N13", {}), ("N28", {"form": "broken"}), ("N28", {"form": "lying_length"})]
)
def test_n13_n28_bodies_break_in_the_middle(remote: Remote, fault: str, params: dict[str, str]) -> None:
    remote.arm(fault, **params)
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
        remote.create()
    assert remote.booked()


def test_n20_a_cut_body_has_the_right_length_and_is_no_json(remote: Remote) -> None:
    remote.arm("N20")
    response = remote.create()
    assert int(response.headers["content-length"]) == len(response.content)
    with pytest.raises(requests.exceptions.JSONDecodeError):
        response.json()
    assert remote.booked()


def test_n14_the_answer_never_comes_and_the_order_does(remote: Remote) -> None:
    remote.arm("N14", seconds=1)
    with pytest.raises(requests.ReadTimeout):
        remote.create(timeout=0.4)
    assert not remote.booked()
    deadline = time.monotonic() + 5
    while not remote.booked() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert remote.booked()


def test_n15_the_order_is_there_before_the_client_gives_up(remote: Remote) -> None:
    remote.arm("N15")
    with pytest.raises(requests.ReadTimeout):
        remote.create(timeout=0.3)
    assert remote.booked()


def test_n16_a_late_answer_is_late_and_right(remote: Remote) -> None:
    remote.arm("N16", seconds=1)
    began = time.monotonic()
    assert remote.create().json()["success"] is True
    assert time.monotonic() - began >= 1


def test_n18_a_byte_at_a_time_outlives_the_read_time_out_of_a_naive_client(remote: Remote) -> None:
    remote.arm("N18", interval_ms=2)
    began = time.monotonic()
    response = remote.create(timeout=(1, 0.5))
    assert response.json()["success"] is True
    assert time.monotonic() - began > 0.5


def test_n17_a_second_answer_follows_on_the_kept_connection(remote: Remote) -> None:
    remote.arm("N17", form="duplicate")
    base = remote.running.http
    host, _, port = base.removeprefix("http://").partition(":")
    path = f"{V3}/orders"
    body = json.dumps(remote.order()).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(body)}\r\n"
        f"Authorization: Bearer {remote.token('POST', path, base)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=3) as sock:
        sock.sendall(head.encode() + body)
        received = b""
        while received.count(b'"success":true') < 2:
            chunk = sock.recv(65536)
            assert chunk
            received += chunk
    assert received.count(b"HTTP/1.1 200") == 2
    assert remote.booked()


def test_n8_n23_n24_are_answered_like_any_proxy_would(remote: Remote) -> None:
    remote.arm("N8")
    assert remote.create().status_code == 502
    assert remote.booked()
    remote.arm("N23")
    assert remote.create().headers["content-type"].startswith("text/html")
    remote.arm("N24", target="other")
    assert remote.create(allow_redirects=False).status_code == 307
    assert not remote.booked()


def test_n26_a_client_that_does_not_know_the_authority_refuses(remote: Remote) -> None:
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{remote.running.https}{V3}/time", timeout=3)
    context = ssl.create_default_context(cafile=remote.running.ca_file)
    port = int(remote.running.https.rpartition(":")[2])
    for name in ("127.0.0.1", "localhost"):
        with (
            socket.create_connection(("127.0.0.1", port), timeout=3) as sock,
            context.wrap_socket(sock, server_hostname=name),
        ):
            pass
    with socket.create_connection(("127.0.0.1", port), timeout=3) as sock, pytest.raises(ssl.SSLCertVerificationError):
        context.wrap_socket(sock, server_hostname="api.coinbase.com")


def test_tls_sends_nothing_after_its_handshake_but_answers(remote: Remote) -> None:
    """A session ticket that met the first write broke a two-threaded client's socket (2026-11-22): none is sent."""
    context = ssl.create_default_context(cafile=remote.running.ca_file)
    faces = remote.running.global_faces
    for address in (remote.running.https, faces["https"], faces["streams_wss"].removesuffix("/ws/api/v2")):
        port = int(address.rpartition(":")[2])
        with (
            socket.create_connection(("127.0.0.1", port), timeout=3) as sock,
            context.wrap_socket(sock, server_hostname="127.0.0.1") as tls,
        ):
            tls.sendall(b"GET /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert tls.recv(9) == b"HTTP/1.1 "  # a ticket would have come before it
            assert tls.version() == "TLSv1.3"
            assert tls.session is not None
            assert not tls.session.has_ticket


def test_a_token_for_one_address_is_no_good_at_another(remote: Remote) -> None:
    path = f"{V3}/accounts"
    token = remote.token("GET", path, "http://127.0.0.1:9")
    response = requests.get(
        remote.running.http + path, headers={"Authorization": f"Bearer {token}", "Host": "127.0.0.1:9"}, timeout=3
    )
    assert (response.status_code, response.text) == (401, "Unauthorized")


def test_s5_only_loopback_is_bound(remote: Remote) -> None:
    table = Path("/proc/net/tcp")
    if not table.exists():
        pytest.skip("needs /proc/net/tcp")
    ports = {int(url.rpartition(":")[2]) for url in (remote.running.http, remote.running.https, remote.running.control)}
    bound = [line.split()[1].split(":") for line in table.read_text().splitlines()[1:] if line.split()[3] == "0A"]
    hosts = {host for host, port in bound if int(port, 16) in ports}
    assert hosts == {"0100007F"}


def test_s1_the_logs_hold_neither_tokens_nor_keys_nor_bodies(remote: Remote) -> None:
    remote.create()
    logs = "".join((remote.folder / name).read_text(encoding="utf-8") for name in ("access.log", launcher.LOG_FILE))
    assert f"POST {V3}/orders 200" in logs
    assert "Traceback" not in logs
    for secret in ("Bearer", "eyJ", "PRIVATE", remote.running.control_token, "client_order_id"):
        assert secret not in logs


def test_a_body_beyond_reason_is_refused(remote: Remote) -> None:
    path = f"{V3}/orders"
    headers = {"Authorization": f"Bearer {remote.token('POST', path, remote.running.http)}"}
    response = requests.post(remote.running.http + path, data=b" " * 1_100_000, headers=headers, timeout=5)
    assert response.status_code == 413


def test_the_exchange_moves_on_its_own(remote: Remote) -> None:
    pool = urllib3.PoolManager()
    url = f"{remote.running.http}{V3}/market/product_book?product_id={BIP}&limit=5"
    seen: set[bytes] = set()
    deadline = time.monotonic() + 5
    while len(seen) < 2 and time.monotonic() < deadline:
        seen.add(pool.request("GET", url).data)
        time.sleep(0.2)
    pool.clear()
    assert len(seen) == 2


def test_n15_a_delay_before_acceptance_outlives_the_client_and_is_handled_once(remote: Remote) -> None:
    remote.arm("N15", when="before", seconds=1)
    with pytest.raises(requests.ReadTimeout):
        remote.create(timeout=0.3)
    assert not remote.booked()
    deadline = time.monotonic() + 5
    while not remote.booked() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert remote.booked()
