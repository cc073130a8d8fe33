"""One JSON-RPC socket of the gateway on a `Keeper`: it logs in, arms the dead man's switch, answers heartbeats, and
matches answers to requests by id.

After every connect, before anything else may be sent: login on the socket, cancel-on-disconnect armed and read back, the
heartbeat set, the channels subscribed and compared with what was asked. Until all of that holds `call` sends nothing.
A request is written once, inside the kill switch's gate, and never again: when the connection drops, what was in flight
ends as `Written`, and only evidence read from the venue ends that doubt. Answers that come after their caller gave up
are kept as events. What this room believes of the gateway: coinbase-global-derivatives.md sections 3, 10, 13, 2026-11-22.
"""

import re
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from perpsctl.domain.ids import Ids
from perpsctl.domain.ports import Clock, Gate, GateShut
from perpsctl.exchange.streams.calls import Calls, Matched, Waiter
from perpsctl.exchange.streams.introduction import TOO_MANY_REQUESTS, Introduction, Params
from perpsctl.exchange.streams.keeper import NOTHING, SLICE, Connection, Keeper, Talk, nanoseconds
from perpsctl.exchange.streams.line import FRAME_OUT_BYTES_MAX, Line, LineLost
from perpsctl.exchange.streams.mailbox import Event, EventKind, Mailbox
from perpsctl.exchange.streams.states import (
    ChannelsDropped,
    DeadManNotArmed,
    SocketFacts,
    SocketState,
    SocketTiming,
)
from perpsctl.exchange.transport import SENTENCES, Answered, Ending, GateClosed, NotWritten, Problem, Written
from perpsctl.wire.global_derivatives.rpc import (
    LooseReply,
    Notification,
    decode_frame,
    encode_request,
)
from perpsctl.wire.guard import WireError, check

__all__ = [
    "ChannelsDropped",
    "DeadManNotArmed",
    "RpcSocket",
    "SocketFacts",
    "SocketState",
    "SocketTiming",
]

_JSON = MappingProxyType({"content-type": "application/json"})

# Only these may be pushed out of a full mailbox; a channel we do not know is kept (section 12, 2026-11-22).
MARKET_CHANNELS = (
    *("book.", "ticker.", "incremental_ticker.", "quote.", "trades.", "perpetual.", "chart.trades."),
    *("deribit_price_index.", "deribit_price_ranking.", "markprice."),
)
_MARKET_MESSAGE = re.compile(
    rb'\{\s*"jsonrpc"\s*:\s*"2\.0"\s*,\s*"method"\s*:\s*"subscription"\s*,\s*"params"\s*:\s*\{\s*"channel"\s*:\s*"'
    rb"((?:" + "|".join(re.escape(each) for each in MARKET_CHANNELS).encode() + rb')[A-Za-z0-9_.\-]*)"\s*,\s*"data"'
)


class RpcSocket:
    """A socket that comes back by itself. `login` makes fresh parameters for `public/auth` each time; None: public only."""

    def __init__(
        self,
        opener: Callable[[], Line],
        clock: Clock,
        ids: Ids,
        *,
        login: Callable[[], Params] | None,
        dead_man: bool = True,
        channels: Sequence[str] = (),
        wanted: Sequence[str] = (),
        beats: bool = False,
        mailbox: Mailbox | None = None,
        timing: SocketTiming | None = None,
        name: str = "socket",
    ) -> None:
        """`opener` gives an open `Line` or raises LineLost; `dead_man` arms cancel-on-disconnect and needs a login.

        Without one of `channels` the connection is not used; of `wanted` the UP event names those that were taken.
        `beats` leaves the venue's heartbeats in the mailbox as proofs of life.
        """
        if dead_man and login is None:
            raise ValueError("a dead man's switch needs a login")
        self.mailbox = mailbox or Mailbox()
        self.timing = timing or SocketTiming()
        self._clock = clock
        self._dead_man = dead_man
        self._beats = beats
        self._lock = threading.Lock()
        self._calls = Calls()
        self._strays = 0
        self._keeper = Keeper(
            opener, self, clock, ids, timing=self.timing, has_room=lambda: self.mailbox.has_room, name=name
        )
        self._introduction = Introduction(
            clock,
            self._calls,
            timing=self.timing,
            login=login,
            dead_man=dead_man,
            channels=channels,
            wanted=wanted,
            busy=self._keeper.busy,
        )
        self._threaded = True

    # --- for the thread that decides ---------------------------------------------------------------------

    def start(self, *, thread: bool = True) -> None:
        """The reader runs; `wait_ready` tells when something can be sent. Without a thread the caller has to `step`."""
        self._threaded = thread
        self._keeper.start(thread=thread)

    def step(self, within: timedelta) -> bool:
        """One thing is read or done; only where `start` began no reader. True when something happened."""
        return self._keeper.step(within)

    def stop(self, *, within: timedelta = timedelta(seconds=6)) -> bool:
        """Closed, and the reader gone; armed orders of this connection are cancelled by the venue. False if it hangs."""
        return self._keeper.stop(within=within)

    def logout(self, *, within: timedelta = timedelta(seconds=3)) -> bool:
        """Left through `private/logout`: resting orders stay, cancel-on-disconnect is not triggered. True when sent.

        The venue sends no answer; it closes with 1000.
        """
        connection = self._keeper.usable()
        if connection is None:
            self.stop(within=within)
            return False
        self._keeper.leave()
        waiter = self._register(connection)
        try:
            connection.line.send(encode_request("private/logout", {}, waiter.number))
        except LineLost:
            self.stop(within=within)
            return False
        self._await(waiter, self._until(within))  # until the venue has closed
        said_goodbye = waiter.lost is not None and waiter.lost.code == 1000
        self.stop(within=within)
        return said_goodbye

    def wait_ready(self, within: timedelta) -> None:
        """READY now; otherwise the named error of what stands in the way, after `within` at the latest."""
        self._keeper.wait_ready(within)

    def renew_login(self) -> None:
        """The venue no longer knows our login: the reader logs in again at once, or gives the connection up."""
        self._introduction.login_is_due()

    @property
    def stepped(self) -> bool:
        """True when the caller has to `step`."""
        return not self._threaded

    def renew(self, channel: str) -> None:
        """The channel is left and subscribed to anew, by the reader, so that the venue begins it with a snapshot."""
        self._introduction.renew(channel)

    def give_up(self, reason: str) -> None:
        """What came over this connection cannot be used: it is closed and opened anew (W11)."""
        with self._lock:
            self._strays += 1
        self._keeper.give_up(reason)

    def facts(self) -> SocketFacts:
        kept = self._keeper.facts()
        with self._lock:
            return SocketFacts(
                state=kept.state,
                since=kept.since,
                reason=kept.reason,
                error=kept.error,
                connections=kept.connections,
                armed=self._introduction.armed,
                last_message=kept.last_message,
                strays=self._strays,
            )

    def call(self, method: str, params: Params, *, gate: Gate | None = None, within: timedelta | None = None) -> Ending:
        """Sent once on the standing connection. Never raises for the wire.

        Answered: the whole reply is `body`, refusals included. GateClosed, NotWritten: proven that not a byte left, also
        while the socket is not READY. Written: the deadline passed or the connection dropped after the first byte.
        """
        asked = self._clock.now()
        until_ns = self._until(self.timing.call if within is None else within)
        connection = self._keeper.usable()
        if connection is None:
            return self._not_ready()
        waiter = self._register(connection)
        frame = encode_request(method, params, waiter.number)
        if len(frame) > FRAME_OUT_BYTES_MAX:
            self._calls.forget(waiter)
            return NotWritten(problem=Problem.BAD_REQUEST, detail=f"a frame of {len(frame)} bytes is over the cap")
        sent = self._sent(connection, frame, gate)
        if not isinstance(sent, int):
            self._calls.forget(waiter)
            return sent
        return self._answer(waiter, asked, sent, until_ns)

    def _sent(self, connection: Connection, frame: bytes, gate: Gate | None) -> int | GateClosed | NotWritten | Written:
        """The monotonic moment of the first byte. The gate spans the handing over of this one frame and nothing else."""
        try:
            if gate is None:
                return self._hand_over(connection, frame)
            with gate:
                return self._hand_over(connection, frame)
        except GateShut as shut:
            return GateClosed(reason=shut.reason, code=shut.code)
        except LineLost as lost:
            if lost.touched:
                return Written(problem=lost.problem, detail=lost.detail)
            return NotWritten(problem=lost.problem, detail=lost.detail)

    def _hand_over(self, connection: Connection, frame: bytes) -> int:
        if not self._keeper.is_current(connection):
            raise LineLost(Problem.RESET, "the connection was lost before a byte was sent")
        return connection.send(frame)

    def _answer(self, waiter: Waiter, asked: datetime, sent_ns: int, until_ns: int) -> Ending:
        self._await(waiter, until_ns)
        self._calls.give_up(waiter)
        if waiter.reply is not None and waiter.arrived is not None:
            return Answered(
                status=200,
                headers=_JSON,  # what a socket carries is JSON by contract
                body=waiter.body,
                asked=asked,
                arrived=waiter.arrived,
                sent_ns=sent_ns,
                arrived_ns=waiter.arrived_ns,
            )
        if waiter.lost is not None:
            return Written(problem=waiter.lost.problem, detail=waiter.lost.detail)
        return Written(problem=Problem.TIMEOUT, detail=SENTENCES[Problem.TIMEOUT])

    def _await(self, waiter: Waiter, until_ns: int) -> None:
        """Until it is answered, its connection lost, or the time is up; reading itself where there is no reader."""
        while not waiter.done.is_set():
            left_ns = until_ns - self._clock.monotonic_ns()
            if left_ns <= 0:
                return
            if self._threaded:
                waiter.done.wait(min(left_ns / 1_000_000_000, 1))
            elif not self.step(NOTHING):
                self._clock.sleep(min(SLICE, timedelta(microseconds=max(1, left_ns // 1000))))

    def _not_ready(self) -> NotWritten:
        kept = self._keeper.facts()
        told = kept.reason if kept.error is None else f"{kept.error.code}: {kept.reason}"
        return NotWritten(problem=Problem.NOT_CONNECTED, detail=f"the socket is not ready ({told})")

    def _register(self, connection: Connection) -> Waiter:
        return self._calls.register(connection.number, LineLost(Problem.RESET, SENTENCES[Problem.RESET]))

    # --- what is said, on the thread that steps -------------------------------------------------------------

    def set_up(self, connection: Connection) -> Talk:
        return self._introduction.set_up(connection)

    def stands(self, connection: Connection) -> None:
        detail = "logged in, armed, subscribed" if self._dead_man else "subscribed"
        self._put(connection, EventKind.UP, detail=detail, channels=self._introduction.taken)

    def tend(self, connection: Connection) -> None:
        now_ns = self._clock.monotonic_ns()
        if now_ns - connection.last_sent_ns > nanoseconds(self.timing.keep_alive):
            self._test(connection)
        self._introduction.go_on(connection, now_ns)

    # --- what is heard ----------------------------------------------------------------------------------

    def heard(self, connection: Connection, body: bytes, now: datetime) -> None:
        market = _MARKET_MESSAGE.match(body)
        try:
            if market is not None:  # read by whoever takes it; a flood must not be read twice (W10)
                check(body)
                self._keep(connection, EventKind.MARKET, market[1].decode("ascii"), body, now)
                return
            frame = _known(decode_frame(body))
        except WireError as unreadable:
            # Which frame it was cannot be told, perhaps an order's: the connection is not trusted further (W11).
            self._count_stray()
            raise LineLost(Problem.BROKEN_HTTP, f"a frame cannot be read: {unreadable}") from None
        if isinstance(frame, LooseReply):
            self._match(connection, frame, body, now)
        elif frame.method == "heartbeat":
            if frame.kind == "test_request":
                self._test(connection)  # at once, or the venue closes and cancels
            if self._beats:
                self._put(connection, EventKind.BEAT)
        else:
            self._notify(connection, frame, body, now)

    def _match(self, connection: Connection, reply: LooseReply, body: bytes, now: datetime) -> None:
        match self._calls.match(connection.number, reply, body, now, self._clock.monotonic_ns()):
            case Matched.LATE:
                number = reply.id if isinstance(reply.id, int) else None
                self._put(connection, EventKind.LATE_REPLY, body=body, request_id=number)
            case Matched.STRAY:
                self._count_stray()
            case Matched.AWAITED | Matched.OURS:
                pass
        fault = reply.tree.get("error")
        if isinstance(fault, dict) and _int(fault.get("code")) == TOO_MANY_REQUESTS:
            self._keeper.busy()

    def _notify(self, connection: Connection, message: Notification, body: bytes, now: datetime) -> None:
        kind = EventKind.MARKET if message.channel.startswith(MARKET_CHANNELS) else EventKind.ACCOUNT
        self._keep(connection, kind, message.channel, body, now)

    def _keep(self, connection: Connection, kind: EventKind, channel: str, body: bytes, now: datetime) -> None:
        room = self.mailbox.put(
            Event(
                kind=kind,
                arrived=now,
                arrived_ns=connection.last_received_ns,
                connection=connection.number,
                channel=channel,
                body=body,
            )
        )
        if not room:
            self._put(connection, EventKind.OVERFLOW, detail="too many order events wait; the connection is given up")
            raise LineLost(Problem.OTHER, "the mailbox is full of order events")

    def _test(self, connection: Connection) -> None:
        """Its answer proves life and is nobody's business."""
        connection.send(encode_request("public/test", {}, self._calls.unattended()))

    def lost(self, connection: Connection, how: LineLost) -> None:
        self._introduction.armed = False
        self._calls.ended(connection.number, how)
        self._put(connection, EventKind.DOWN, detail=how.detail)

    # --- small things ------------------------------------------------------------------------------------

    def _put(self, connection: Connection, kind: EventKind, **more: Any) -> None:
        now, now_ns = self._clock.now(), self._clock.monotonic_ns()
        self.mailbox.put(Event(kind=kind, arrived=now, arrived_ns=now_ns, connection=connection.number, **more))

    def _count_stray(self) -> None:
        with self._lock:
            self._strays += 1

    def _until(self, duration: timedelta) -> int:
        return self._clock.monotonic_ns() + nanoseconds(duration)


def _known(frame: LooseReply | Notification) -> LooseReply | Notification:
    """The frame, if it is of a kind the gateway has; WireError otherwise (W11)."""
    if isinstance(frame, LooseReply):
        if not frame.tree.keys() & {"result", "error"}:
            raise WireError("neither an answer nor a message")
    elif frame.method not in {"subscription", "heartbeat"}:
        raise WireError("a message of an unknown kind")
    return frame


def _int(value: object) -> int | None:
    try:
        return int(str(value))
    except ValueError:
        return None
