"""One host of the US venue on a line made of lists: what is said when, and what each answer leads to. Virtual time."""

import base64
import json
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from perpsctl.domain.errors import RefusalCause, VenueRefusedRequest, VenueRefusedUs
from perpsctl.domain.products import Environment
from perpsctl.exchange.signing import Signer
from perpsctl.exchange.streams.addresses import us_user_address
from perpsctl.exchange.streams.line import LineLost
from perpsctl.exchange.streams.mailbox import EventKind, Mailbox
from perpsctl.exchange.streams.states import SocketState
from perpsctl.exchange.streams.us_host import MESSAGES_A_SECOND, REFUSED_MOST, Asked, UsHost
from perpsctl.exchange.transport import Problem
from perpsctl.wire.advanced_trade.socket import read_message
from tests.unit.exchange.parts import BIP, CountingIds, FakeClock, credentials

SAMPLES = Path(__file__).parents[4] / "../shared/api/samples"
MS = timedelta(milliseconds=1)
SECOND = timedelta(seconds=1)
HEARTBEATS = Asked(channel="heartbeats", required=True)
LEVEL2 = Asked(channel="level2", product_ids=(BIP,))
USER = Asked(channel="user", required=True)
Answer = Callable[["Script", dict[str, Any]], None]


class Script:
    """A line whose venue confirms everything at once unless a test says otherwise of a channel."""

    def __init__(self, rig: "Rig") -> None:
        self.rig = rig
        self.date = rig.date
        self.opened = rig.clock.now()
        self.sent: list[dict[str, Any]] = []
        self.waiting: deque[bytes] = deque()
        self.current: dict[str, list[str]] = {}
        self.sequence = 0
        self.closed = False
        self.beat_ns = rig.clock.ns
        self.broken: LineLost | None = None

    def send(self, text: bytes) -> int:
        request = json.loads(text)
        self.sent.append(request)
        self.rig.at.append(self.rig.clock.ns)
        self.rig.answers.get(request["channel"], confirm)(self, request)
        return self.rig.clock.ns

    def receive(self, within: timedelta) -> bytes | None:
        if self.waiting:
            return self.waiting.popleft()
        if self.broken is not None:
            raise self.broken
        now_ns = self.rig.clock.ns
        if self.rig.beats and self.current and now_ns - self.beat_ns >= 1_000_000_000:
            self.beat_ns = now_ns
            self.say("heartbeats", {"current_time": "", "heartbeat_counter": 1})
            return self.waiting.popleft()
        return None

    def close(self, code: int = 1000) -> None:
        self.closed = True

    def say(self, channel: str, *events: Any) -> None:
        body = {"channel": channel, "client_id": "", "timestamp": "", "sequence_num": self.sequence, "events": events}
        self.sequence += 1
        self.waiting.append(json.dumps(body).encode())

    def error(self, words: str) -> None:
        self.waiting.append(json.dumps({"type": "error", "message": words}).encode())

    def acknowledge(self) -> None:
        self.say("subscriptions", {"subscriptions": self.current})


def confirm(line: Script, request: dict[str, Any]) -> None:
    channel, ids = request["channel"], request["product_ids"] or [request["channel"]]
    known = [each for each in line.current.pop(channel, []) if each not in ids]
    line.current[channel] = known + (ids if request["type"] == "subscribe" else [])
    line.current = {name: found for name, found in line.current.items() if found}
    line.acknowledge()


def refuse(words: str = "authentication failure") -> Answer:
    return lambda line, request: line.error(words)


def once(answer: Answer) -> Answer:
    left = [answer]

    def answered(line: Script, request: dict[str, Any]) -> None:
        (left.pop() if left else confirm)(line, request)

    return answered


class Rig:
    def __init__(self, *channels: Asked, signed: bool = False, kind: EventKind = EventKind.MARKET) -> None:
        self.clock = FakeClock()
        self.date = ""
        self.answers: dict[str, Answer] = {}
        self.lines: list[Script] = []
        self.at: list[int] = []
        self.beats = True
        signer = Signer(credentials(), us_user_address(Environment.PRODUCTION).host)
        ids = CountingIds()

        def token() -> str:
            return signer.grant(now=self.clock.now(), ttl=120 * SECOND, nonce=ids.nonce())

        self.host = UsHost(
            self._open,
            self.clock,
            ids,
            channels=channels,
            token=token if signed else None,
            kind=kind,
            mailbox=Mailbox(),
        )
        self.host.start(thread=False)

    def _open(self) -> Script:
        self.lines.append(Script(self))
        return self.lines[-1]

    def pass_time(self, duration: timedelta, step: timedelta = 100 * MS) -> None:
        until = self.clock.ns + duration // timedelta(microseconds=1) * 1000
        while True:
            while self.host.step(timedelta(0)):
                pass
            if self.clock.ns >= until:
                return
            self.clock.advance(step)

    @property
    def state(self) -> SocketState:
        return self.host.facts().state

    def up(self) -> tuple[str, ...]:
        return next(each.channels for each in self.host.mailbox.take() if each.kind is EventKind.UP)


def claims(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    found = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    assert isinstance(found, dict)
    return found


def test_channels_are_asked_for_one_by_one_and_the_first_at_once() -> None:
    rig = Rig(HEARTBEATS, LEVEL2)
    rig.pass_time(0 * MS)
    assert rig.at[0] == rig.clock.ns  # long before the venue's five seconds
    sent = rig.lines[0].sent
    assert [(each["channel"], each["product_ids"]) for each in sent] == [("heartbeats", []), ("level2", [BIP])]
    assert all("jwt" not in each for each in sent)
    assert rig.state is SocketState.READY
    assert rig.up() == ("heartbeats", f"level2:{BIP}")


def test_each_subscribe_carries_its_own_fresh_token_without_uri_w12() -> None:
    rig = Rig(HEARTBEATS, USER, signed=True)
    rig.answers["heartbeats"] = lambda line, request: None  # the answer is slow: the next token is made after it
    rig.pass_time(3 * SECOND)
    confirm(rig.lines[0], rig.lines[0].sent[0])
    rig.pass_time(0 * MS)
    first, second = (claims(each["jwt"]) for each in rig.lines[0].sent)
    assert "uri" not in first
    assert second["nbf"] - first["nbf"] == 3
    tokens = [each["jwt"] for each in rig.lines[0].sent]
    assert len(set(tokens)) == 2


def test_a_key_refused_is_tried_once_more_with_a_new_token_and_then_never_a2_a5() -> None:
    rig = Rig(HEARTBEATS, USER, signed=True, kind=EventKind.ACCOUNT)
    rig.answers["user"] = refuse()
    rig.pass_time(300 * SECOND, step=SECOND)
    assert len(rig.lines) == 2
    assert rig.state is SocketState.REFUSED
    error = rig.host.facts().error
    assert isinstance(error, VenueRefusedUs)
    assert error.cause is RefusalCause.KEY
    tokens = [each["jwt"] for line in rig.lines for each in line.sent if each["channel"] == "user"]
    assert len(set(tokens)) == 2


def test_a_clock_that_is_off_is_named_by_the_date_of_the_upgrade_a1() -> None:
    rig = Rig(HEARTBEATS, USER, signed=True)
    rig.date = http_date(rig.clock.now() + 130 * SECOND)
    rig.answers["user"] = refuse()
    rig.pass_time(60 * SECOND, step=SECOND)
    error = rig.host.facts().error
    assert isinstance(error, VenueRefusedUs)
    assert error.cause is RefusalCause.CLOCK
    assert "129 s behind" in error.message  # the second try came a moment later


def test_a_bad_node_costs_one_connection_a5() -> None:
    rig = Rig(HEARTBEATS, USER, signed=True)
    rig.answers["user"] = once(refuse())
    rig.pass_time(20 * SECOND)
    assert (len(rig.lines), rig.state) == (2, SocketState.READY)


def test_a_channel_that_is_no_must_is_refused_by_itself_after_two_tries_w7() -> None:
    rig = Rig(HEARTBEATS, USER, Asked(channel="futures_balance_summary"), signed=True)
    rig.answers["futures_balance_summary"] = refuse()
    rig.pass_time(5 * SECOND)
    assert rig.state is SocketState.READY
    assert rig.up() == ("heartbeats", "user")
    assert "futures_balance_summary" in rig.host.refused()["futures_balance_summary"]
    assert [each["channel"] for each in rig.lines[0].sent].count("futures_balance_summary") == 2
    rig.lines[0].broken = LineLost(Problem.RESET, "gone")
    rig.pass_time(5 * SECOND)
    assert [each["channel"] for each in rig.lines[1].sent] == ["heartbeats", "user"]


def test_a_required_channel_refused_for_no_fault_of_the_key_is_not_asked_for_for_ever_w7() -> None:
    rig = Rig(HEARTBEATS, USER, signed=True, kind=EventKind.ACCOUNT)
    rig.answers["user"] = refuse("user \x1b[2J is\nclosed")
    rig.pass_time(600 * SECOND, step=200 * MS)
    assert len(rig.lines) == REFUSED_MOST
    assert rig.state is SocketState.REFUSED
    error = rig.host.facts().error
    assert isinstance(error, VenueRefusedRequest)
    assert "is\\nclosed" in error.message  # the venue's words, escaped
    assert error.message.isprintable()


def test_a_venue_that_gives_the_channel_in_time_is_not_held_to_its_earlier_refusals_w7() -> None:
    rig = Rig(HEARTBEATS, USER, signed=True)
    for _ in range(3):
        rig.answers["user"] = refuse("not now")
        while len(rig.lines) % REFUSED_MOST != REFUSED_MOST - 1:
            rig.pass_time(100 * MS)
        rig.answers["user"] = confirm
        rig.pass_time(6 * SECOND)
        assert rig.state is SocketState.READY
        rig.lines[-1].broken = LineLost(Problem.RESET, "gone")


def test_of_several_products_the_refused_one_is_found_w7() -> None:
    rig = Rig(HEARTBEATS, Asked(channel="level2", product_ids=(BIP, "NONE-CDE")))

    def by_product(line: Script, request: dict[str, Any]) -> None:
        (refuse("no such product") if "NONE-CDE" in request["product_ids"] else confirm)(line, request)

    rig.answers["level2"] = by_product
    rig.pass_time(5 * SECOND)
    assert rig.up() == ("heartbeats", f"level2:{BIP}")
    assert set(rig.host.refused()) == {"level2:NONE-CDE"}


def test_an_ignored_subscribe_is_a_named_reason_and_tried_on_a_new_connection_w7() -> None:
    rig = Rig(HEARTBEATS, LEVEL2)
    rig.answers["level2"] = lambda line, request: None
    rig.pass_time(5100 * MS)
    assert "did not confirm subscribe of level2" in rig.host.facts().reason
    del rig.answers["level2"]
    rig.pass_time(5 * SECOND)
    assert rig.state is SocketState.READY


def test_another_product_in_the_confirmation_ends_the_connection_w7() -> None:
    rig = Rig(HEARTBEATS, LEVEL2)

    def wrong(line: Script, request: dict[str, Any]) -> None:
        line.current["level2"] = ["ETP-20DEC30-CDE"]
        line.acknowledge()

    rig.answers["level2"] = once(wrong)
    rig.pass_time(0 * MS)
    assert "nobody asked for" in rig.host.facts().reason
    rig.pass_time(5 * SECOND)
    assert (len(rig.lines), rig.state) == (2, SocketState.READY)


def test_one_channel_left_out_of_the_confirmation_is_asked_again_then_refused_w7() -> None:
    rig = Rig(HEARTBEATS, LEVEL2)
    rig.answers["level2"] = lambda line, request: line.acknowledge()
    rig.pass_time(2 * SECOND)
    assert rig.state is SocketState.READY
    assert f"level2:{BIP}" in rig.host.refused()


def test_a_renewal_leaves_and_asks_again_and_books_go_together() -> None:
    rig = Rig(HEARTBEATS, Asked(channel="level2", product_ids=(BIP, "ETP-20DEC30-CDE")))
    rig.pass_time(2 * SECOND)
    rig.host.renew("level2", BIP)
    rig.host.renew("level2", "ETP-20DEC30-CDE")
    rig.pass_time(2 * SECOND)
    said = [(each["type"], each["product_ids"]) for each in rig.lines[0].sent[2:]]
    assert said == [("unsubscribe", [BIP, "ETP-20DEC30-CDE"]), ("subscribe", [BIP, "ETP-20DEC30-CDE"])]
    assert len(rig.lines) == 1


def test_the_venues_rate_of_messages_is_kept_over_connections() -> None:
    rig = Rig(HEARTBEATS, LEVEL2, Asked(channel="ticker", product_ids=(BIP,)))
    rig.answers["heartbeats"] = confirm
    for _ in range(6):
        rig.pass_time(400 * MS)
        rig.lines[-1].broken = LineLost(Problem.RESET, "gone")
    for n in range(len(rig.at) - MESSAGES_A_SECOND):
        assert rig.at[n + MESSAGES_A_SECOND] - rig.at[n] >= 1_000_000_000


def test_silence_of_five_heartbeats_ends_the_connection_w4() -> None:
    rig = Rig(HEARTBEATS)
    rig.pass_time(SECOND)
    rig.beats = False
    rig.pass_time(4 * SECOND)
    assert len(rig.lines) == 1
    rig.pass_time(10 * SECOND)
    assert len(rig.lines) >= 2
    assert rig.lines[0].closed


def test_waits_double_and_start_over_only_after_a_stable_minute_w6() -> None:
    rig = Rig(HEARTBEATS)
    opened: list[int] = []
    for _ in range(6):
        rig.pass_time(100 * MS)
        opened.append(rig.clock.ns)
        count = len(rig.lines)
        rig.lines[-1].broken = LineLost(Problem.RESET, "gone", code=1001)
        while len(rig.lines) == count:
            rig.pass_time(10 * MS, step=10 * MS)
    waits = [(later - earlier) // 1_000_000 - 100 for earlier, later in pairwise(opened)]
    assert waits == sorted(waits)
    assert waits[-1] >= 4 * max(1, waits[0])
    for _ in range(70):  # a stable minute, heartbeats and all
        rig.pass_time(SECOND, step=SECOND)
    count, began = len(rig.lines), rig.clock.ns
    rig.lines[-1].broken = LineLost(Problem.RESET, "gone", code=1001)
    while len(rig.lines) == count:
        rig.pass_time(10 * MS, step=10 * MS)
    assert (rig.clock.ns - began) // 1_000_000 <= 260


@pytest.mark.parametrize(
    "frame",
    [b"\xff\xfe", b"not json", b"[]", b"{}", b'{"channel":"moonbeams","sequence_num":1}', b'{"channel":"ticker"}'],
    ids=repr,
)
def test_what_cannot_be_read_ends_the_connection_and_is_counted_w11(frame: bytes) -> None:
    rig = Rig(HEARTBEATS)
    rig.pass_time(0 * MS)
    rig.lines[0].waiting.append(frame)
    rig.pass_time(2 * SECOND)
    assert (len(rig.lines), rig.host.strays) == (2, 1)


def test_an_error_nobody_asked_for_is_counted_and_the_connection_stays() -> None:
    rig = Rig(HEARTBEATS)
    rig.pass_time(0 * MS)
    rig.lines[0].error("subscribe or unsubscribe required")
    rig.pass_time(SECOND)
    assert (len(rig.lines), rig.host.strays) == (1, 1)


def test_order_events_nobody_takes_end_the_connection_instead_of_being_lost_w10() -> None:
    rig = Rig(HEARTBEATS, USER, signed=True, kind=EventKind.ACCOUNT)
    rig.host.mailbox._orders_max = 20
    rig.pass_time(0 * MS)
    for _ in range(40):
        rig.lines[0].say("user", {"type": "update", "orders": []})
    rig.pass_time(20 * SECOND)
    assert len(rig.lines) == 1  # and none is opened while there is no room
    kinds = [each.kind for each in rig.host.mailbox.take()]
    assert kinds[-2:] == [EventKind.OVERFLOW, EventKind.DOWN]
    rig.pass_time(20 * SECOND)
    assert len(rig.lines) == 2


def test_a_stop_closes_the_line_and_nothing_is_opened_again() -> None:
    rig = Rig(HEARTBEATS)
    rig.pass_time(SECOND)
    assert rig.host.stop()
    rig.pass_time(60 * SECOND, step=SECOND)
    assert (len(rig.lines), rig.lines[0].closed, rig.state) == (1, True, SocketState.STOPPED)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the recorded payloads are not on this machine")
def test_every_recorded_message_reaches_the_mailbox_and_parses() -> None:
    found = sorted(SAMPLES.glob("ws-*.json"))
    assert len(found) >= 10
    for path in found:
        body = json.dumps(json.loads(path.read_text())).encode()
        read_message(body)
        if "error" in path.name:
            continue
        rig = Rig(HEARTBEATS)
        rig.pass_time(0 * MS)
        rig.host.mailbox.take()
        rig.lines[0].waiting.append(body)
        rig.pass_time(0 * MS)
        assert [each.body for each in rig.host.mailbox.take()] == [body], path.name
        assert rig.host.strays == 0


def http_date(at: datetime) -> str:
    return format_datetime(at, usegmt=True)
