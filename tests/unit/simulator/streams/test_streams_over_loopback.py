"""The sockets on a real loop: pace of a flood, a client that reads nothing, many subscribers beside HTTP, TLS, the judge."""

import json
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from perpsctl.domain.errors import UsageError
from perpsctl.simulator import launcher
from perpsctl.simulator.launcher import SimOptions, SimStatus
from tests.unit.simulator.streams.watcher import BTC, GLOBAL_BTC

pytestmark = pytest.mark.slow
MAX = 10 * 1024 * 1024  # the official SDK's cap
BOOK = f"book.{GLOBAL_BTC}.100ms"


class Remote:
    """A running simulator, its sockets and its control face."""

    def __init__(self, folder: Path, running: SimStatus) -> None:
        self.folder = folder
        self.running = running

    def control(self, method: str, path: str, body: Any = None) -> Any:
        return launcher.control(self.folder, method, path, body)

    @contextmanager
    def us(self, *channels: str, url: str = "ws") -> Iterator[ClientConnection]:
        context = ssl.create_default_context(cafile=self.running.ca_file) if url.endswith("wss") else None
        time.sleep(0.15)  # eight connections a second, and no more
        opened = connect(self.running.us_sockets[url], ssl=context, compression=None, max_size=MAX, close_timeout=0.1)
        with opened as line:
            for channel in channels:
                line.send(json.dumps({"type": "subscribe", "product_ids": [BTC], "channel": channel}))
            yield line

    @contextmanager
    def gateway(self) -> Iterator[ClientConnection]:
        asked = {"jsonrpc": "2.0", "id": 1, "method": "public/subscribe", "params": {"channels": [BOOK]}}
        url = self.running.global_faces["streams_ws"]
        with connect(url, compression=None, max_size=MAX, close_timeout=0.1) as line:
            line.send(json.dumps(asked))
            yield line

    def connections(self) -> list[dict[str, Any]]:
        found = self.control("GET", "/streams")["connections"]
        assert isinstance(found, list)
        return found

    def arm(self, fault: str, **params: Any) -> None:
        self.control("POST", "/faults", {"name": fault, "params": params})


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    folder = tmp_path_factory.mktemp("home") / ".exchange"
    status = launcher.start(folder, SimOptions(idle_minutes=5))
    yield Remote(folder, status)
    launcher.stop(folder)


@pytest.fixture
def remote(running: Remote) -> Iterator[Remote]:
    yield running
    running.control("DELETE", "/faults")


def heard(line: ClientConnection, seconds: int) -> list[str]:
    """What comes within some seconds, or until the end."""
    end = time.monotonic() + seconds
    found: list[str] = []
    while (left := end - time.monotonic()) > 0:
        try:
            message = line.recv(timeout=left)
        except (TimeoutError, ConnectionClosed):
            break
        found.append(message if isinstance(message, str) else message.decode())
    return found


def test_both_us_hosts_answer_in_the_clear_and_over_tls(remote: Remote) -> None:
    for url in ("ws", "wss", "user_ws", "user_wss"):
        with remote.us("level2", url=url) as line:
            told = [json.loads(line.recv(timeout=3)) for _ in range(2)]
        assert [message["channel"] for message in told] == ["subscriptions", "l2_data"]
    assert {each["socket"] for each in remote.connections()} >= {"us_market", "us_user"}


def test_the_status_keeps_its_old_addresses_and_tells_the_new_ones(remote: Remote) -> None:
    faces = remote.running.as_data(remote.folder)["faces"]
    assert set(faces["us"]) == {"http", "https", "ws", "wss", "user_ws", "user_wss"}
    assert set(faces["global"]) == {"http", "https", "ws", "wss", "streams_ws", "streams_wss"}
    assert all(url.startswith(("ws://127.0.0.1:", "wss://127.0.0.1:")) for url in remote.running.us_sockets.values())


def test_a_path_the_venue_does_not_have_is_refused(remote: Remote) -> None:
    with pytest.raises(InvalidStatus):
        connect(remote.running.us_sockets["ws"] + "/elsewhere")


@pytest.mark.parametrize("venue", ["us", "global"])
def test_w10_a_flood_really_comes_at_a_pace_that_the_judge_tells_truly(remote: Remote, venue: str) -> None:
    remote.arm("W10", per_second=50_000, seconds=2)
    with remote.us("level2") if venue == "us" else remote.gateway() as line:
        told = heard(line, 5)
    flood = next(each["flood"] for each in reversed(remote.connections()) if each["flood"])
    assert flood["asked_per_second"] == 50_000
    assert flood["sent"] + flood["skipped"] == 100_000
    assert len(told) >= flood["sent"] > 10_000  # every one that was counted came
    assert flood["reached_per_second"] == flood["sent"] * 1_000_000 // flood["took_us"]
    if venue == "us":
        numbers = [json.loads(text)["sequence_num"] for text in told]
        assert numbers == list(range(len(numbers)))


def test_w6_a_cut_in_the_middle_of_a_snapshot_is_a_reset(remote: Remote) -> None:
    remote.arm("W6", when="snapshot")
    with remote.us("level2") as line:
        told = heard(line, 3)
        assert [json.loads(text)["channel"] for text in told] == ["subscriptions"]
        with pytest.raises(ConnectionClosed):
            line.recv(timeout=1)
    assert remote.connections()[-1]["closed_by"] == "fault"


@pytest.mark.parametrize("form", ["bomb", "invalid_utf8", "binary", "oversize"])
def test_w11_a_bad_frame_leaves_as_it_is_and_the_simulator_lives_on(remote: Remote, form: str) -> None:
    remote.arm("W11", form=form)
    with remote.us("level2") as line:
        told: list[object] = []
        with suppress(ConnectionClosed, UnicodeDecodeError):
            told += iter(lambda: line.recv(timeout=3), b"\x00\x01\x02\x03")
        assert all(isinstance(each, str) for each in told)  # what came before it
        assert line.protocol.parser_exc is not None or form in {"binary", "invalid_utf8"}
    assert remote.connections()[-1]["bad_frames"] == 1
    with remote.us("level2") as again:
        assert heard(again, 1)


def test_a_client_that_reads_nothing_is_dropped_and_nobody_else_waits_for_it(remote: Remote) -> None:
    """Backpressure: what it does not take is bounded, and HTTP answers meanwhile."""
    address = remote.running.us_sockets["ws"].rpartition("/")[2].split(":")
    silent = socket.create_connection((address[0], int(address[1])))
    silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    silent.sendall(
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
    )
    remote.arm("W10", per_second=50_000, seconds=60)
    text = json.dumps({"type": "subscribe", "product_ids": [BTC], "channel": "level2"}).encode()
    silent.sendall(struct.pack("!BB4x", 0x81, 0x80 | len(text)) + text)
    slowest, began, closed_by = 0.0, time.monotonic(), ""
    while not closed_by and time.monotonic() - began < 15:
        asked = time.monotonic()
        assert requests.get(remote.running.http + "/api/v3/brokerage/time", timeout=3).status_code in {200, 429}
        slowest = max(slowest, time.monotonic() - asked)
        closed_by = next(each for each in reversed(remote.connections()) if each["flood"])["closed_by"]
        time.sleep(0.1)
    silent.close()
    assert closed_by == "too slow"
    assert slowest < 1


def test_sixty_subscribers_do_not_keep_http_waiting(remote: Remote) -> None:
    with ExitStack() as open_lines:
        lines = [open_lines.enter_context(remote.gateway()) for _ in range(40)]
        lines += [open_lines.enter_context(remote.us("level2")) for _ in range(20)]
        took = []
        for _ in range(60):
            asked = time.monotonic()
            assert requests.get(remote.running.http + "/api/v3/brokerage/time", timeout=3).status_code in {200, 429}
            took.append(time.monotonic() - asked)
            time.sleep(0.02)
        assert sorted(took)[len(took) // 2] < 0.1
        assert all(heard(line, 1) for line in lines[::10])


def test_the_judge_s_book_at_a_number_is_the_one_a_client_holds_there(remote: Remote) -> None:
    with remote.us("level2") as line:
        told = [json.loads(text) for text in heard(line, 6)]
    number = next(each for each in reversed(remote.connections()) if each["socket"] == "us_market")["number"]
    books: dict[str, dict[Decimal, Decimal]] = {"bid": {}, "offer": {}}
    compared = 0
    for message in told:
        if message["channel"] != "l2_data":
            continue
        for row in message["events"][0]["updates"]:
            size = Decimal(row["new_quantity"])
            books[row["side"]][Decimal(row["price_level"])] = size
            if not size:
                del books[row["side"]][Decimal(row["price_level"])]
        query = f"connection={number}&product_id={BTC}&number={message['sequence_num']}"
        truth = remote.control("GET", f"/streams/book?{query}")
        assert books["bid"] == {Decimal(price): Decimal(size) for price, size in truth["bids"]}
        assert books["offer"] == {Decimal(price): Decimal(size) for price, size in truth["asks"]}
        compared += 1
    assert compared >= 3
    with pytest.raises(UsageError):
        remote.control("GET", "/streams/book?connection=999999&product_id=x")


def test_a_scenario_arms_all_its_faults_or_none(remote: Remote) -> None:
    wanted = [
        {"name": "W6", "params": {"when": "age", "seconds": 20}},
        {"name": "W1", "params": {"every": 5000}},
        {"name": "W5", "params": {"channel": "ticker"}},
        {"name": "W10"},
    ]
    assert len(remote.control("POST", "/scenario", {"faults": wanted})["handles"]) == 4
    assert [each["fault"] for each in remote.control("GET", "/faults")["faults"]] == ["W6", "W1", "W5", "W10"]
    remote.control("DELETE", "/faults")
    with pytest.raises(UsageError):
        remote.control("POST", "/scenario", {"faults": [*wanted, {"name": "W99"}]})
    assert remote.control("GET", "/faults")["faults"] == []


def test_every_scenario_is_known_by_name_and_can_be_armed(remote: Remote) -> None:
    for name in remote.control("GET", "/scenarios")["scenarios"]:
        armed = remote.control("POST", "/scenario", {"name": name})
        assert [each["fault"] for each in remote.control("GET", "/faults")["faults"]] == armed["faults"]
        remote.control("DELETE", "/faults")
    with pytest.raises(UsageError):
        remote.control("POST", "/scenario", {"name": "doomsday"})
