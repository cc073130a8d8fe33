"""One reconnecting JSON-RPC socket: a reader thread that logs in, arms the dead man's switch, answers heartbeats, and
matches answers to requests by id.

After every connect, before anything else may be sent: login on the socket, cancel-on-disconnect armed and read back, the
heartbeat set, the channels subscribed and compared with what was asked. Until all of that holds `call` sends nothing.
A request is written once, inside the kill switch's gate, and never again: when the connection drops, what was in flight
ends as `Written`, and only evidence read from the venue ends that doubt. Answers that come after their caller gave up
are kept as events. What this room believes of the gateway: coinbase-global-derivatives.md sections 3, 10, 13, 2026-11-22.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from perpsctl.domain.errors import PerpsctlError, VenueRefusedUs, VenueUnreachable
from perpsctl.domain.ids import Ids
from perpsctl.domain.ports import Clock, Gate, GateShut
from perpsctl.domain.text import shown
from perpsctl.exchange.streams.calls import Calls, Matched, Waiter
from perpsctl.exchange.streams.line import FRAME_OUT_BYTES_MAX, Line, LineLost
from perpsctl.exchange.streams.mailbox import Event, EventKind, Mailbox
from perpsctl.exchange.streams.states import (
    ChannelsDropped,
    DeadManNotArmed,
    RefusedHere,
    SocketFacts,
    SocketState,
    SocketTiming,
    named,
    result_of,
)
from perpsctl.exchange.transport import SENTENCES, Answered, Ending, GateClosed, NotWritten, Problem, Written
from perpsctl.wire.global_derivatives.common import Body, JsonValue
from perpsctl.wire.global_derivatives.rpc import (
    LooseReply,
    Notification,
    decode_frame,
    encode_request,
)
from perpsctl.wire.guard import WireError

__all__ = [
    "ChannelsDropped",
    "DeadManNotArmed",
    "RpcSocket",
    "SocketFacts",
    "SocketState",
    "SocketTiming",
]

Params = Mapping[str, JsonValue] | Body
_MICROSECOND = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)
_JSON = MappingProxyType({"content-type": "application/json"})
_SLICE = timedelta(milliseconds=100)  # how late a stop or a due duty may be noticed

# Only these may be pushed out of a full mailbox; a channel we do not know is kept (section 12, 2026-11-22).
MARKET_CHANNELS = (
    *("book.", "ticker.", "incremental_ticker.", "quote.", "trades.", "perpetual.", "chart.trades."),
    *("deribit_price_index.", "deribit_price_ranking.", "markprice."),
)
_TOO_MANY_REQUESTS = 10028


class _Connection:
    """What belongs to one connection and dies with it."""

    __slots__ = (
        "armed",
        "last_received_ns",
        "last_sent_ns",
        "line",
        "login_due",
        "login_ns",
        "number",
        "opened_ns",
    )

    def __init__(self, line: Line, number: int, now_ns: int) -> None:
        self.line = line
        self.number = number
        self.opened_ns = now_ns
        self.login_ns = now_ns
        self.last_sent_ns = now_ns
        self.last_received_ns = now_ns
        self.armed = False
        self.login_due = False


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
        mailbox: Mailbox | None = None,
        timing: SocketTiming | None = None,
        name: str = "socket",
    ) -> None:
        """`opener` gives an open `Line` or raises LineLost; `dead_man` arms cancel-on-disconnect and needs a login."""
        if dead_man and login is None:
            raise ValueError("a dead man's switch needs a login")
        self.mailbox = mailbox or Mailbox()
        self.timing = timing or SocketTiming()
        self._opener = opener
        self._clock = clock
        self._ids = ids
        self._login = login
        self._dead_man = dead_man
        self._channels = tuple(channels)
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._state = SocketState.STOPPED
        self._since = clock.now()
        self._reason = "not started"
        self._error: PerpsctlError | None = None
        self._connection: _Connection | None = None
        self._calls = Calls()
        self._numbers = 0
        self._strays = 0
        self._last_message: datetime | None = None
        self._hurry: _Connection | None = None  # told to be busy: 10028 seen on it
        self._stopping = threading.Event()
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    # --- for the thread that decides ---------------------------------------------------------------------

    def start(self) -> None:
        """The reader runs; `wait_ready` tells when something can be sent."""
        self._move(SocketState.CONNECTING, "connecting")
        self._thread.start()

    def stop(self, *, within: timedelta = timedelta(seconds=6)) -> bool:
        """Closed, and the reader gone; armed orders of this connection are cancelled by the venue. False if it hangs."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(within / _SECOND)
        return not self._thread.is_alive()

    def logout(self, *, within: timedelta = timedelta(seconds=3)) -> bool:
        """Left through `private/logout`: resting orders stay, cancel-on-disconnect is not triggered. True when sent.

        The venue sends no answer; it closes with 1000.
        """
        connection = self._usable()
        if connection is None:
            self.stop(within=within)
            return False
        self._leaving.set()
        waiter = self._register(connection)
        try:
            connection.line.send(encode_request("private/logout", {}, waiter.number))
        except LineLost:
            self.stop(within=within)
            return False
        waiter.done.wait(within / _SECOND)  # until the venue has closed
        said_goodbye = waiter.lost is not None and waiter.lost.code == 1000
        self.stop(within=within)
        return said_goodbye

    def wait_ready(self, within: timedelta) -> None:
        """READY now; otherwise the named error of what stands in the way, after `within` at the latest."""
        until_ns = self._until(within)
        with self._changed:
            while self._state is not SocketState.READY:
                left_ns = until_ns - self._clock.monotonic_ns()
                if self._state in {SocketState.REFUSED, SocketState.STOPPED} or left_ns <= 0:
                    raise self._error or VenueUnreachable(f"the venue's socket is not ready: {self._reason}")
                self._changed.wait(min(left_ns / 1_000_000_000, 0.05))

    def renew_login(self) -> None:
        """The venue no longer knows our login: the reader logs in again at once, or gives the connection up."""
        with self._lock:
            if self._connection is not None:
                self._connection.login_due = True

    def facts(self) -> SocketFacts:
        with self._lock:
            return SocketFacts(
                state=self._state,
                since=self._since,
                reason=self._reason,
                error=self._error,
                connections=self._numbers,
                armed=self._connection is not None and self._connection.armed,
                last_message=self._last_message,
                strays=self._strays,
            )

    def call(self, method: str, params: Params, *, gate: Gate | None = None, within: timedelta | None = None) -> Ending:
        """Sent once on the standing connection. Never raises for the wire.

        Answered: the whole reply is `body`, refusals included. GateClosed, NotWritten: proven that not a byte left, also
        while the socket is not READY. Written: the deadline passed or the connection dropped after the first byte.
        """
        asked = self._clock.now()
        until_ns = self._until(self.timing.call if within is None else within)
        connection = self._usable()
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

    def _sent(
        self, connection: _Connection, frame: bytes, gate: Gate | None
    ) -> int | GateClosed | NotWritten | Written:
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

    def _hand_over(self, connection: _Connection, frame: bytes) -> int:
        if self._connection is not connection or self._stopping.is_set() or self._leaving.is_set():
            raise LineLost(Problem.RESET, "the connection was lost before a byte was sent")
        moment_ns = connection.line.send(frame)
        connection.last_sent_ns = moment_ns
        return moment_ns

    def _answer(self, waiter: Waiter, asked: datetime, sent_ns: int, until_ns: int) -> Ending:
        while not waiter.done.is_set():
            left_ns = until_ns - self._clock.monotonic_ns()
            if left_ns <= 0:
                break
            waiter.done.wait(min(left_ns / 1_000_000_000, 1))
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

    def _usable(self) -> _Connection | None:
        with self._lock:
            usable = self._state is SocketState.READY and not self._stopping.is_set() and not self._leaving.is_set()
            return self._connection if usable else None

    def _not_ready(self) -> NotWritten:
        with self._lock:
            told = self._reason if self._error is None else f"{self._error.code}: {self._reason}"
            return NotWritten(problem=Problem.NOT_CONNECTED, detail=f"the socket is not ready ({told})")

    def _register(self, connection: _Connection) -> Waiter:
        return self._calls.register(connection.number, LineLost(Problem.RESET, SENTENCES[Problem.RESET]))

    # --- the reader ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._keep_connected()
        finally:
            if self._state is not SocketState.REFUSED:  # also when a bug ends the reader: nothing is sent any more
                self._move(SocketState.STOPPED, "stopped")

    def _keep_connected(self) -> None:
        failures, refusals = 0, 0
        while not self._stopping.is_set():
            lost, stood_for_ns, refused = self._one_connection()
            if self._stopping.is_set() or self._leaving.is_set():
                break
            refusals = refusals + 1 if refused else 0
            if refusals > 1:  # one node may refuse a good key (A5); two refusals are a fault of the set-up
                self._move(SocketState.REFUSED, self._reason, self._error)
                return
            failures = 1 if stood_for_ns >= self.timing.stable // _MICROSECOND * 1000 else failures + 1
            self._pause(failures, lost)

    def _one_connection(self) -> tuple[LineLost | None, int, bool]:
        """Opened, set up, served until it ends: what ended it, how long it stood, whether the login was refused."""
        # What went wrong last time stays told until something new is known.
        self._move(SocketState.CONNECTING, self._reason, self._error)
        connection: _Connection | None = None
        lost: LineLost | None = None
        refused = False
        try:
            line = self._opener()
            with self._lock:
                self._numbers += 1
                connection = self._connection = _Connection(line, self._numbers, self._clock.monotonic_ns())
            self._set_up(connection)
            self._serve(connection)
        except LineLost as over:
            lost = over
            self._say(over.detail, None if connection is None else self._error)
        except RefusedHere as no:
            error = named(no)
            refused = isinstance(error, VenueRefusedUs)
            lost = LineLost(Problem.OTHER, error.message, code=None)
            self._busy_told(connection, no.error.code)
            self._say(error.message, error)
        except PerpsctlError as error:
            lost = LineLost(Problem.OTHER, error.message, code=None)
            self._say(error.message, error)
        finally:
            stood_for_ns = self._take_down(connection, lost)
        return lost, stood_for_ns, refused

    def _set_up(self, connection: _Connection) -> None:
        until_ns = self._until(self.timing.setting_up)
        if self._login is not None:
            self._log_in(connection, until_ns)
        if self._dead_man:
            self._arm(connection, until_ns)
        heartbeat_s = self.timing.heartbeat // _SECOND
        self._ask(connection, "public/set_heartbeat", {"interval": heartbeat_s}, until_ns)
        if self._channels:
            self._subscribe(connection, until_ns)
        with self._changed:
            self._error = None
            self._state, self._reason, self._since = SocketState.READY, "", self._clock.now()
            self._changed.notify_all()
        self._put(connection, EventKind.UP, detail="logged in, armed, subscribed" if self._dead_man else "subscribed")

    def _log_in(self, connection: _Connection, until_ns: int) -> None:
        assert self._login is not None
        self._ask(connection, "public/auth", self._login(), until_ns)
        connection.login_ns = self._clock.monotonic_ns()
        connection.login_due = False

    def _arm(self, connection: _Connection, until_ns: int) -> None:
        """Armed and read back: an `ok` alone is not believed (section 10)."""
        scope: Params = {"scope": "connection"}
        self._ask(connection, "private/enable_cancel_on_disconnect", scope, until_ns)
        told = self._ask(connection, "private/get_cancel_on_disconnect", scope, until_ns)
        if not isinstance(told, dict) or told.get("enabled") is not True:
            raise DeadManNotArmed(
                "the venue reads cancel-on-disconnect back as off; no order is sent over this socket",
                reason="not_enabled",
                fix="look at `perpsctl probe`; orders of one-shot commands go over HTTP and are not affected",
            )
        with self._lock:
            connection.armed = True

    def _subscribe(self, connection: _Connection, until_ns: int) -> None:
        method = "public/subscribe" if self._login is None else "private/subscribe"
        channels: list[JsonValue] = list(self._channels)
        taken = self._ask(connection, method, {"channels": channels}, until_ns)
        missing = set(self._channels) - set(taken if isinstance(taken, list) else ())
        if missing:
            names = ", ".join(sorted(missing))
            raise ChannelsDropped(f"the venue silently dropped channels: {shown(names)}", reason="dropped")

    def _ask(self, connection: _Connection, method: str, params: Params, until_ns: int) -> Any:
        """The result of a call of our own, frames of others served meanwhile; RefusedHere or LineLost otherwise."""
        waiter = self._register(connection)
        try:
            connection.last_sent_ns = connection.line.send(encode_request(method, params, waiter.number))
            while waiter.reply is None:
                left_ns = until_ns - self._clock.monotonic_ns()
                if left_ns <= 0 or self._stopping.is_set():
                    raise LineLost(Problem.TIMEOUT, f"no answer to {method} in time")
                self._pump(connection, min(_SLICE, timedelta(microseconds=left_ns // 1000)))
        finally:
            self._calls.forget(waiter)
        return result_of(method, waiter.reply)

    def _serve(self, connection: _Connection) -> None:
        """Until the connection ends or has to: reading, and what is due."""
        while not self._stopping.is_set():
            self._pump(connection, _SLICE)
            now_ns = self._clock.monotonic_ns()
            if now_ns - connection.last_received_ns > _ns(self.timing.silence_max):
                raise LineLost(Problem.TIMEOUT, "nothing came for two heartbeats and a half")
            if now_ns - connection.last_sent_ns > _ns(self.timing.keep_alive):
                self._test(connection)
            aged = now_ns - connection.login_ns > _ns(self.timing.renew_login)
            if self._login is not None and (aged or connection.login_due):
                self._log_in(connection, self._until(self.timing.setting_up))

    def _pump(self, connection: _Connection, within: timedelta) -> None:
        """At most one frame is read and given to whom it concerns."""
        body = connection.line.receive(within)
        if body is None:
            return
        connection.last_received_ns = self._clock.monotonic_ns()
        now = self._clock.now()
        try:
            frame = decode_frame(body)
        except WireError as unreadable:
            # Which frame it was cannot be told, perhaps an order's: the connection is not trusted further (W11).
            self._count_stray(now)
            raise LineLost(Problem.BROKEN_HTTP, f"a frame cannot be read: {unreadable}") from None
        with self._lock:
            self._last_message = now
        if isinstance(frame, LooseReply):
            self._match(connection, frame, body, now)
        elif frame.method == "heartbeat":
            if frame.kind == "test_request":
                self._test(connection)  # at once, or the venue closes and cancels
        else:
            self._notify(connection, frame, body, now)

    def _match(self, connection: _Connection, reply: LooseReply, body: bytes, now: datetime) -> None:
        match self._calls.match(connection.number, reply, body, now, self._clock.monotonic_ns()):
            case Matched.LATE:
                number = reply.id if isinstance(reply.id, int) else None
                self._put(connection, EventKind.LATE_REPLY, body=body, request_id=number)
            case Matched.STRAY:
                self._count_stray(now)
            case Matched.AWAITED | Matched.OURS:
                pass
        fault = reply.tree.get("error")
        if isinstance(fault, dict):
            self._busy_told(connection, _int(fault.get("code")))

    def _notify(self, connection: _Connection, message: Notification, body: bytes, now: datetime) -> None:
        kind = EventKind.MARKET if message.channel.startswith(MARKET_CHANNELS) else EventKind.ACCOUNT
        room = self.mailbox.put(
            Event(kind=kind, arrived=now, connection=connection.number, channel=message.channel, body=body)
        )
        if not room:
            self._put(connection, EventKind.OVERFLOW, detail="too many order events wait; the connection is given up")
            raise LineLost(Problem.OTHER, "the mailbox is full of order events")

    def _test(self, connection: _Connection) -> None:
        """Its answer proves life and is nobody's business."""
        number = self._calls.unattended()
        connection.last_sent_ns = connection.line.send(encode_request("public/test", {}, number))

    def _take_down(self, connection: _Connection | None, lost: LineLost | None) -> int:
        """Nobody sends on it any more, everybody who waited knows, and it is closed."""
        over = lost or LineLost(Problem.RESET, "closed here", code=None)
        with self._changed:
            self._connection = None
            if self._state is SocketState.READY:
                self._state, self._since = SocketState.WAITING, self._clock.now()
            self._changed.notify_all()
        if connection is None:
            return 0
        self._calls.ended(connection.number, over)
        connection.line.close()
        self._put(connection, EventKind.DOWN, detail=over.detail)
        return self._clock.monotonic_ns() - connection.opened_ns

    def _pause(self, failures: int, lost: LineLost | None) -> None:
        """Doubling waits with full jitter; a full refill after 10028 or a close without a reason; room in the mailbox."""
        ceiling = min(self.timing.wait_max, self.timing.first_wait * (1 << min(failures - 1, 10)))
        wait = ceiling * self._ids.jitter() // 1_000_000
        with self._lock:
            busy, self._hurry = self._hurry is not None, None
        unexplained = lost is not None and lost.code == 1006
        if busy or unexplained:
            wait = max(wait, self.timing.refill)
        self._move(SocketState.WAITING, self._reason, self._error)
        until_ns = self._until(wait)
        while not self._stopping.is_set():
            left_ns = until_ns - self._clock.monotonic_ns()
            if left_ns <= 0 and self.mailbox.has_room:
                return
            self._clock.sleep(min(_SLICE, max(timedelta(microseconds=left_ns // 1000), _SLICE // 10)))

    # --- small things ------------------------------------------------------------------------------------

    def _put(self, connection: _Connection, kind: EventKind, **more: Any) -> None:
        self.mailbox.put(Event(kind=kind, arrived=self._clock.now(), connection=connection.number, **more))

    def _busy_told(self, connection: _Connection | None, code: int | None) -> None:
        if code == _TOO_MANY_REQUESTS:
            with self._lock:
                self._hurry = connection

    def _count_stray(self, now: datetime) -> None:
        with self._lock:
            self._strays += 1
            self._last_message = now

    def _say(self, reason: str, error: PerpsctlError | None) -> None:
        with self._lock:
            self._reason, self._error = reason, error

    def _move(self, state: SocketState, reason: str, error: PerpsctlError | None = None) -> None:
        with self._changed:
            self._state, self._reason, self._error, self._since = state, reason, error, self._clock.now()
            self._changed.notify_all()

    def _until(self, duration: timedelta) -> int:
        return self._clock.monotonic_ns() + _ns(duration)


def _ns(duration: timedelta) -> int:
    return duration // _MICROSECOND * 1000


def _int(value: object) -> int | None:
    try:
        return int(str(value))
    except ValueError:
        return None
