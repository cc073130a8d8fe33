"""Faults on the wire, byte by byte, over real sockets on loopback."""

import datetime as dt
import gzip
import ipaddress
import os
import socket
import ssl
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from perpsctl.domain.products import Environment
from perpsctl.exchange import sockets
from perpsctl.exchange.hosts import endpoint_for
from perpsctl.exchange.transport import (
    Answered,
    Ending,
    GateClosed,
    NotWritten,
    Problem,
    Request,
    Timing,
    Transport,
    Written,
)
from perpsctl.systemports import SystemClock
from tests.unit.exchange.parts import OpenGate, ShutGate
from tests.unit.exchange.raw_server import Act, Peer, RawServer, http, says

QUICK = Timing(connect=timedelta(milliseconds=500), total=timedelta(milliseconds=700))
ORDER = Request(method="POST", path="/orders", target="/orders", body=b'{"client_order_id":"intent-00000001"}')
READ = Request(method="GET", path="/time", target="/time?x=1", body=None)
TOKEN = "canary.jwt.token"


def a_transport(server: RawServer, *, timing: Timing = QUICK, ca: Path | None = None) -> Transport:
    return Transport(endpoint_for(Environment.SIM, server.address, ca), SystemClock(), timing=timing)


def one(act: Act, *, request: Request = ORDER, timing: Timing = QUICK, gate: OpenGate | None = None) -> Ending:
    with RawServer(act) as server:
        transport = a_transport(server, timing=timing)
        try:
            return transport.exchange(request, TOKEN, gate=gate)
        finally:
            transport.close()


def test_a_whole_answer_is_an_answer_and_the_request_is_what_was_meant() -> None:
    with RawServer(says(http(b'{"ok":true}', extra="X-Request-Id: abc\r\n"))) as server:
        transport = a_transport(server)
        ending = transport.exchange(ORDER, TOKEN)
        assert isinstance(ending, Answered)
        assert (ending.status, ending.body, ending.request_id) == (200, b'{"ok":true}', "abc")
        head = server.requests[0].decode()
        assert head.startswith("POST /orders HTTP/1.1\r\n")
        for line in (
            f"Host: 127.0.0.1:{server.port}",
            "Authorization: Bearer canary.jwt.token",
            "Accept-Encoding: identity",
            "Content-Type: application/json",
            "Content-Length: 37",
        ):
            assert f"\r\n{line}\r\n" in head
        assert head.endswith('\r\n\r\n{"client_order_id":"intent-00000001"}')
        transport.close()


def test_the_connection_is_kept_for_the_next_request() -> None:
    with RawServer(says(http())) as server:
        transport = a_transport(server)
        for _ in range(3):
            assert isinstance(transport.exchange(READ, None), Answered)
        assert (server.connections, len(server.requests)) == (1, 3)
        transport.close()


# --- the gate ---------------------------------------------------------------------------------------


def test_R1_the_gate_is_entered_connected_before_the_first_byte_and_left_before_the_answer() -> None:
    seen: dict[str, float] = {}
    with RawServer() as server:

        def answer_late(peer: Peer) -> None:
            time.sleep(0.2)
            seen["answered"] = time.monotonic()
            peer.say(http())

        server._acts.append(answer_late)

        def entering() -> None:
            seen["entered"] = time.monotonic()
            time.sleep(0.1)  # whoever sends before the gate is seen by the server meanwhile
            seen["connections"] = server.connections
            seen["bytes"] = server.bytes_seen

        gate = OpenGate(entering, lambda: seen.setdefault("left", time.monotonic()))
        transport = a_transport(server)
        assert isinstance(transport.exchange(ORDER, TOKEN, gate=gate), Answered)
        transport.close()
        assert (gate.entered, gate.left) == (1, 1)
        assert (seen["connections"], seen["bytes"]) == (1, 0)
        assert server.first_byte_at is not None
        assert seen["entered"] + 0.1 <= server.first_byte_at
        assert seen["left"] < seen["answered"]


def test_R1_a_shut_gate_lets_no_byte_out() -> None:
    with RawServer(says(http())) as server:
        transport = a_transport(server)
        ending = transport.exchange(ORDER, TOKEN, gate=ShutGate())
        time.sleep(0.1)
        transport.close()
        assert ending == GateClosed(reason="engaged by a test")
        assert (server.connections, server.bytes_seen) == (1, 0)


def test_R1_the_gate_is_not_held_while_connecting_nor_entered_without_a_connection() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    gate = OpenGate()
    transport = Transport(endpoint_for(Environment.SIM, f"http://127.0.0.1:{port}"), SystemClock(), timing=QUICK)
    ending = transport.exchange(ORDER, TOKEN, gate=gate)
    assert isinstance(ending, NotWritten)
    assert gate.entered == 0


def test_R1_the_gate_is_left_when_the_send_fails() -> None:
    gate = OpenGate()
    big = Request(method="POST", path="/orders", target="/orders", body=b"x" * 30_000_000)
    with RawServer(says(http()), on_accept=lambda peer: peer.hang_up(reset=True)) as server:
        transport = a_transport(server)
        ending = transport.exchange(big, TOKEN, gate=gate)
        transport.close()
    assert isinstance(ending, Written | NotWritten)
    assert gate.entered == gate.left


# --- before a byte ----------------------------------------------------------------------------------


def test_N9_a_refused_connection_proves_that_nothing_was_sent() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    transport = Transport(endpoint_for(Environment.SIM, f"http://127.0.0.1:{port}"), SystemClock(), timing=QUICK)
    ending = transport.exchange(ORDER, TOKEN, gate=OpenGate())
    assert isinstance(ending, NotWritten)
    assert ending.problem is Problem.NOT_CONNECTED
    assert "refused" in ending.detail.lower()


def test_N10_a_name_without_an_address_ends_in_time_and_proves_that_nothing_was_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_: object, **__: object) -> list[object]:
        time.sleep(0.6)
        raise socket.gaierror(socket.EAI_AGAIN, "later")

    monkeypatch.setattr(socket, "getaddrinfo", never)
    timing = Timing(connect=timedelta(milliseconds=200), total=timedelta(seconds=5))
    transport = Transport(endpoint_for(Environment.PRODUCTION), SystemClock(), timing=timing)
    started = time.monotonic()
    ending = transport.exchange(ORDER, TOKEN)
    assert isinstance(ending, NotWritten)
    assert ending.problem is Problem.CONNECT_TIMEOUT
    assert time.monotonic() - started < 0.55
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: (_ for _ in ()).throw(socket.gaierror(-2, "no")))
    ending = transport.exchange(ORDER, TOKEN)
    assert isinstance(ending, NotWritten)
    assert ending.problem is Problem.NO_ADDRESS


def test_N30_a_listener_that_never_accepts_ends_at_the_deadline() -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    for _ in range(4):  # the queue is full: further connections hang
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    transport = Transport(endpoint_for(Environment.SIM, address), SystemClock(), timing=QUICK)
    started = time.monotonic()
    ending = transport.exchange(ORDER, TOKEN, gate=OpenGate())
    assert time.monotonic() - started < 1.7
    assert isinstance(ending, NotWritten | Written)
    for filler in fillers:
        filler.close()
    listener.close()


# --- after a byte -----------------------------------------------------------------------------------


def resets(peer: Peer) -> None:
    peer.hang_up(reset=True)


def resets_mid_body(peer: Peer) -> None:
    peer.say(http(b'{"success": tr', length=400))
    time.sleep(0.05)
    peer.hang_up(reset=True)


def hangs_up_silently(peer: Peer) -> None:
    peer.hang_up()


def cut_short(peer: Peer) -> None:
    peer.say(http(b'{"success": true}', length=400))
    peer.hang_up()


def says_nothing(peer: Peer) -> None:
    peer.server.stopping.wait(3)


def lies_longer(peer: Peer) -> None:
    peer.say(http(b"{}", length=4000))
    peer.server.stopping.wait(3)


def bad_chunks(peer: Peer) -> None:
    peer.say(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n"
    )
    peer.hang_up()


def chunks_without_end(peer: Peer) -> None:
    peer.say(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
    peer.hang_up()


def endless_chunks(peer: Peer) -> None:
    peer.say(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    while not peer.server.stopping.is_set():
        peer.say(chunk)


def not_http(peer: Peer) -> None:
    peer.say(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
    peer.hang_up()


def huge_header(peer: Peer) -> None:
    peer.say(b"HTTP/1.1 200 OK\r\nX-Flood: " + b"a" * 1_000_000 + b"\r\n\r\n{}")
    peer.hang_up()


def many_headers(peer: Peer) -> None:
    peer.say(b"HTTP/1.1 200 OK\r\n" + b"X-Flood: aaaa\r\n" * 50_000 + b"Content-Length: 2\r\n\r\n{}")
    peer.hang_up()


def endless_continues(peer: Peer) -> None:
    while not peer.server.stopping.is_set():
        peer.say(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


def big_body(peer: Peer) -> None:
    peer.say(http(b" " * 10_000_001))


def bomb(peer: Peer) -> None:
    peer.say(http(gzip.compress(b" " * 50_000_000), extra="Content-Encoding: gzip\r\n"))


def nested_bomb(peer: Peer) -> None:
    peer.say(http(gzip.compress(gzip.compress(b" " * 1_000_000)), extra="Content-Encoding: gzip, gzip\r\n"))


@pytest.mark.parametrize(
    ("act", "problems"),
    [
        pytest.param(resets, {Problem.RESET}, id="N12 reset before the answer"),
        pytest.param(resets_mid_body, {Problem.RESET, Problem.CUT_SHORT}, id="N13 reset mid-body"),
        pytest.param(hangs_up_silently, {Problem.RESET}, id="N25 closed without a word"),
        pytest.param(cut_short, {Problem.CUT_SHORT}, id="N28 body shorter than said"),
        pytest.param(says_nothing, {Problem.TIMEOUT}, id="N14 no answer"),
        pytest.param(lies_longer, {Problem.TIMEOUT}, id="N28 body longer than sent"),
        pytest.param(bad_chunks, {Problem.CUT_SHORT, Problem.BROKEN_HTTP}, id="N28 bad chunking"),
        pytest.param(chunks_without_end, {Problem.CUT_SHORT}, id="N28 chunks without an end"),
        pytest.param(endless_chunks, {Problem.TOO_LARGE}, id="H6 endless chunks"),
        pytest.param(not_http, {Problem.BROKEN_HTTP}, id="not HTTP"),
        pytest.param(huge_header, {Problem.TOO_LARGE}, id="H13 header of a megabyte"),
        pytest.param(many_headers, {Problem.TOO_LARGE, Problem.BROKEN_HTTP}, id="H13 header flood"),
        pytest.param(endless_continues, {Problem.TOO_LARGE}, id="endless 100 Continue"),
        pytest.param(big_body, {Problem.TOO_LARGE}, id="H6 body over the cap"),
        pytest.param(bomb, {Problem.ENCODED}, id="H7 gzip bomb"),
        pytest.param(nested_bomb, {Problem.ENCODED}, id="H7 nested encodings"),
    ],
)
def test_a_fault_after_the_first_byte_is_never_taken_for_nothing_sent(act: Act, problems: set[Problem]) -> None:
    timing = Timing(connect=timedelta(seconds=1), total=timedelta(seconds=4)) if act is endless_chunks else QUICK
    started = time.monotonic()
    ending = one(act, timing=timing, gate=OpenGate())
    assert isinstance(ending, Written)
    assert ending.problem in problems, ending
    assert time.monotonic() - started < timing.total / timedelta(seconds=1) + 1
    assert TOKEN not in ending.detail


@pytest.mark.parametrize("gap", [0.02, 0.2])
def test_N18_a_byte_a_second_ends_at_the_total_deadline(gap: float) -> None:
    started = time.monotonic()
    ending = one(lambda peer: peer.trickle(http(b"{}" + b" " * 5000), gap))
    took = time.monotonic() - started
    assert isinstance(ending, Written)
    assert ending.problem is Problem.TIMEOUT
    assert 0.6 < took < 1.7


def test_N18_a_slow_header_ends_at_the_total_deadline_too() -> None:
    started = time.monotonic()
    ending = one(lambda peer: peer.trickle(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 5000, 0.05))
    assert isinstance(ending, Written)
    assert time.monotonic() - started < 1.7


def test_N19_a_slow_upload_ends_at_the_total_deadline() -> None:
    ready = threading.Event()

    def read_nothing(peer: Peer) -> None:
        ready.set()
        peer.server.stopping.wait(3)
        peer.hang_up()

    big = Request(method="POST", path="/orders", target="/orders", body=b"x" * 30_000_000)
    started = time.monotonic()
    with RawServer(says(http()), on_accept=read_nothing) as server:
        transport = a_transport(server)
        ending = transport.exchange(big, TOKEN, gate=OpenGate())
        took = time.monotonic() - started
        transport.close()
    assert ready.is_set()
    assert isinstance(ending, Written)
    assert ending.problem is Problem.TIMEOUT
    assert took < 1.7


def test_N29_one_byte_segments_work() -> None:
    def slices(peer: Peer) -> None:
        for byte in http(b'{"a":1}'):
            peer.say(bytes([byte]))

    assert isinstance(one(slices, timing=Timing(total=timedelta(seconds=5))), Answered)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_N24_a_redirect_is_an_answer_and_is_not_followed(status: str) -> None:
    with RawServer(says(http(status=status, extra="Location: /elsewhere\r\n"))) as server:
        transport = a_transport(server)
        ending = transport.exchange(ORDER, TOKEN)
        transport.close()
        assert isinstance(ending, Answered)
        assert len(server.requests) == 1


def test_N25_a_connection_closed_just_as_we_send_is_not_sent_again() -> None:
    with RawServer(says(http()), resets) as server:
        transport = a_transport(server)
        assert isinstance(transport.exchange(READ, None), Answered)
        ending = transport.exchange(ORDER, TOKEN, gate=OpenGate())
        transport.close()
        assert isinstance(ending, Written)
        assert len(server.requests) == 2


def test_N25_a_connection_the_server_closed_meanwhile_is_replaced_before_a_byte_is_written() -> None:
    def answer_and_close(peer: Peer) -> None:
        peer.say(http())
        peer.hang_up()

    with RawServer(answer_and_close) as server:
        transport = a_transport(server)
        for _ in range(3):
            assert isinstance(transport.exchange(ORDER, TOKEN, gate=OpenGate()), Answered)
            time.sleep(0.05)
        transport.close()
        assert server.connections == 3


def test_N25_a_connection_idle_for_long_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "IDLE_MAX_NS", 50_000_000)
    with RawServer(says(http())) as server:
        transport = a_transport(server)
        assert isinstance(transport.exchange(READ, None), Answered)
        time.sleep(0.1)
        assert isinstance(transport.exchange(READ, None), Answered)
        transport.close()
        assert server.connections == 2


def test_N17_bytes_nobody_asked_for_are_not_the_next_answer() -> None:
    with RawServer(says(http(b'{"n":1}') + http(b'{"n":"stray"}')), says(http(b'{"n":2}'))) as server:
        transport = a_transport(server)
        first = transport.exchange(READ, None)
        time.sleep(0.05)
        second = transport.exchange(READ, None)
        transport.close()
        assert isinstance(first, Answered)
        assert isinstance(second, Answered)
        assert (first.body, second.body) == (b'{"n":1}', b'{"n":2}')


def test_S2_no_proxy_and_no_ca_variable_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    assert isinstance(one(says(http())), Answered)


# --- TLS --------------------------------------------------------------------------------------------


def certificate(folder: Path, *, host: str = "127.0.0.1", expired: bool = False) -> tuple[ssl.SSLContext, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = dt.datetime.now(dt.UTC)
    ends = now - timedelta(days=1) if expired else now + timedelta(days=1)
    alt = x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(ends)
        .add_extension(x509.SubjectAlternativeName([alt]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / f"cert-{os.urandom(4).hex()}.pem", folder / f"key-{os.urandom(4).hex()}.pem"
    public.write_bytes(made.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, public


def test_S2_a_certificate_of_the_given_ca_is_trusted_and_the_gate_is_inside_tls(tmp_path: Path) -> None:
    context, ca = certificate(tmp_path)
    gate = OpenGate()
    with RawServer(says(http()), tls=context) as server:
        transport = a_transport(server, ca=ca)
        for _ in range(2):
            assert isinstance(transport.exchange(ORDER, TOKEN, gate=gate), Answered)
        transport.close()
        assert (server.connections, gate.entered, gate.left) == (1, 2, 2)


@pytest.mark.parametrize("fault", ["expired", "wrong host", "self-signed", "reset in handshake"])
def test_N26_a_wrong_certificate_is_refused_before_a_byte_of_the_request(tmp_path: Path, fault: str) -> None:
    host = "example.test" if fault == "wrong host" else "127.0.0.1"
    context, ca = certificate(tmp_path, host=host, expired=fault == "expired")
    trusted = None if fault == "self-signed" else ca

    def reset_at_hello(peer: Peer) -> None:
        peer.connection.recv(1)
        peer.hang_up(reset=True)

    on_accept = reset_at_hello if fault == "reset in handshake" else None
    with RawServer(says(http()), tls=context, on_accept=on_accept) as server:
        transport = a_transport(server, ca=trusted)
        ending = transport.exchange(ORDER, TOKEN, gate=OpenGate())
        transport.close()
        assert isinstance(ending, NotWritten)
        assert ending.problem in ({Problem.TLS} if fault != "reset in handshake" else {Problem.RESET, Problem.TLS})
        assert server.requests == []


def test_N18_slow_bytes_inside_tls_end_at_the_total_deadline(tmp_path: Path) -> None:
    context, ca = certificate(tmp_path)
    with RawServer(lambda peer: peer.trickle(http(b" " * 5000), 0.05), tls=context) as server:
        transport = a_transport(server, ca=ca)
        started = time.monotonic()
        ending = transport.exchange(ORDER, TOKEN, gate=OpenGate())
        assert time.monotonic() - started < 1.7
        assert isinstance(ending, Written)
        transport.close()


def test_N17_after_an_answer_that_was_not_ours_the_connection_is_dropped() -> None:
    with RawServer(says(http())) as server:
        transport = a_transport(server)
        for _ in range(2):
            assert isinstance(transport.exchange(READ, None), Answered)
            transport.forget_connections()
        transport.close()
        assert server.connections == 2
