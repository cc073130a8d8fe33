"""One socket of the gateway, trading or streams host, without any network: frames in, frames out, and when it closes.

Behaviour: Global Derivatives reference sections 3, 10, 12 and 13 (2026-11-22). The socket is its own credential;
cancel-on-disconnect acts on whatever end but `private/logout`; a client silent for 30 s is closed with 1011, protocol
pings not counting; a missed `test_request` closes as well; channels that do not exist are dropped without a word.
Which close codes follow 10028 and a missed heartbeat is not on record: ours are 1008 and 1011.

Faults of requests strike frames as well: a connection cut before or after the request ran, answers late, lost or unreadable,
and 13028 where HTTP would say 5xx. What has no meaning on a socket (slow or sliced bodies, content types) does nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from ipaddress import ip_address, ip_network
from typing import Protocol

from perpsctl.simulator.exchange import Exchange
from perpsctl.simulator.faces.global_channels import UserChannel, is_not_served, user_channel
from perpsctl.simulator.faces.global_session import Session, Transport
from perpsctl.simulator.faces.global_streams import NUMBER_HERE, PREVIOUS_HERE, BookChannel, BookFeeds
from perpsctl.simulator.faces.messages import first_of, whole, word
from perpsctl.simulator.faces.routes import Switches
from perpsctl.simulator.faults import Effect, EffectKind
from perpsctl.simulator.gateway.refusal import RpcError
from perpsctl.simulator.gateway.state import GatewayState
from perpsctl.simulator.outlet import CUT, Closing, Outlet, SocketName
from perpsctl.simulator.stream_judge import StreamJudge
from perpsctl.simulator.tape import micros
from perpsctl.wire.global_derivatives import rpc
from perpsctl.wire.guard import PlainJson, WireError

IDLE_MAX = timedelta(seconds=30)
HEARTBEAT_MIN_S = 10
FRAME_BYTES_MAX = rpc.MAX_FRAME_BYTES
_LOGGED_OUT, _RESTARTED, _POLICY, _TOO_BIG, _IDLE = 1000, 1012, 1008, 1009, 1011
NOT_ALLOWED = "method not in allowlist"
_NEVER_ARRIVES = frozenset(
    {EffectKind.REFUSE_CONNECTION, EffectKind.DNS_FAILURE, EffectKind.CLOSE_IDLE, EffectKind.REDIRECT}
)
_UNSIGNED = frozenset({EffectKind.KEY_EXPIRED, EffectKind.UNAUTHORIZED})
_PAGE = b"<html><body>Service temporarily unavailable</body></html>"


class Channel(Protocol):
    """A subscription that knows what it has to tell."""

    name: str
    kind: str
    product_id: str

    def messages(self, state: GatewayState, now: datetime) -> list[object]:
        """The `data` of each message that is due, in order."""
        ...


class Dispatcher(Protocol):
    """The gateway's methods, whatever the transport."""

    exchange: Exchange
    switches: Switches

    def call(
        self, method: str, params: Mapping[str, PlainJson], session: Session, *, effects: tuple[Effect, ...] = ()
    ) -> object:
        """The result; raises RpcError for a refusal."""
        ...

    def operation_of(self, method: str) -> str:
        """The word faults of a method are armed for."""
        ...

    def ended(self, session: Session) -> int:
        """The connection is gone: how many orders that cancelled."""
        ...


class Market(Protocol):
    """The public channels of the streams host."""

    feeds: BookFeeds

    def channel(self, name: str, state: GatewayState, now: datetime, outlet: Outlet) -> Channel | None:
        """The subscription behind a name; None for what is silently dropped. RpcError 10033 for what is not served."""
        ...


@dataclass(frozen=True, slots=True)
class _Later:
    """A request that waits at the door until `due`; `silent`: its client will have given up."""

    due: datetime
    request: rpc.Request
    effects: tuple[Effect, ...]
    silent: bool


class GlobalSocket:
    """One connection from its opening to its end. One thread at a time."""

    def __init__(
        self,
        face: Dispatcher,
        session: Session,
        *,
        market: Market | None = None,
        heard: Callable[[], None] = lambda: None,
        judge: StreamJudge | None = None,
    ) -> None:
        self.session = session
        self.closing: Closing | None = None
        self._face = face
        self._exchange = face.exchange
        self._now = face.exchange.now
        self._market = market
        self._told_heard = heard
        self._channels: dict[str, UserChannel | Channel] = {}
        self._heard = self._now()
        self._beat: timedelta | None = None
        self._next_beat = self._heard
        self._tested = False  # a test_request waits for its answer
        self._over = False
        self._later: list[_Later] = []
        self._held: list[tuple[datetime, bytes]] = []
        self._previous = b"{}"
        self._again: list[bytes] = []  # old updates that come once more (W8)
        with self._exchange.gateway() as core:
            self._account = core.state.account
            name = SocketName.GLOBAL_STREAMS if session.transport is Transport.STREAMS else SocketName.GLOBAL_TRADING
            self._judge = StreamJudge() if judge is None else judge
            self.record = self._judge.opened(name, session.client_ip, core.state.now)
        self._outlet = Outlet(self._exchange.faults, name, self.record)

    @property
    def flooding(self) -> bool:
        """True while a flood runs (W10)."""
        return self._outlet.flooding

    # --- what happens ------------------------------------------------------------------------------------

    def receive(self, frame: bytes | str) -> list[bytes]:
        """One frame of the client's: the answer, and what its channels have to tell after it."""
        body = frame.encode("utf-8", "replace") if isinstance(frame, str) else frame
        self._told_heard()
        now = self._heard = self._now()
        if len(body) > FRAME_BYTES_MAX:
            self.closing = Closing(_TOO_BIG, "frame too large")
            return []
        try:
            request = rpc.decode_request(body)
        except WireError:
            code = -32600 if body.lstrip()[:1] == b"[" else -32700
            return [self._refusal(RpcError(code), None, micros(now))]
        if request.method == "public/test":
            self._tested = False
        effects = self._exchange.faults.wire_effects(self._operation(request.method))
        if self._kept_out(request, effects, now):
            return []
        answer = self._answered(request, effects)
        if self._outlet.closing is not None and self._cut():
            return []
        return [*([] if self._outlet.stalled(now) else answer), *self.due()]

    def _operation(self, method: str) -> str:
        """What faults of a frame are armed for."""
        verb = method.rpartition("/")[2]
        return verb if verb in {"subscribe", "unsubscribe"} else self._face.operation_of(method)

    def due(self) -> list[bytes]:
        """What time has brought: late answers, heartbeats, channel messages, and the reasons to close."""
        if self.closing is not None:
            return []
        now = self._now()
        if now - self._heard >= IDLE_MAX:
            self.closing = Closing(_IDLE, "idle")
            return []
        told = self._belated(now)
        told, self._again = [*told, *self._again], []
        with self._exchange.gateway() as core:
            if core.state.account != self._account:
                self.closing = Closing(_RESTARTED, "restart")
                return []
            self._outlet.old_enough(now)
            if self._market is not None:
                self._market.feeds.enter(core.state, now)
            for channel in tuple(self._channels.values()):
                if not self._cut():
                    told += self._messages(channel, core.state, now)
            if not self._cut():
                told += self._flood(core.state, now)
        return told if self._cut() else told + self._beats(now)

    def _cut(self) -> bool:
        """True once a fault ended the connection."""
        if self._outlet.closing is not None and self.closing is None:
            self.closing = self._outlet.closing
        return self.closing is not None

    def _messages(self, channel: UserChannel | Channel, state: GatewayState, now: datetime) -> list[bytes]:
        """What a channel has to tell, as it leaves."""
        product_id = channel.product_id or ""
        if self._outlet.mute(channel.kind, product_id):
            return []
        frozen = None if channel.kind == "user" else self._exchange.faults.frozen(product_id)
        with state.as_of(frozen):
            rows = channel.messages(state, now)
        told: list[bytes] = []
        for row in rows:
            number, snapshot = _number_of(row)
            market = self._market
            frame = (
                rpc.encode_notification(channel.name, row) if market is None else market.feeds.frame(channel.name, row)
            )
            if not snapshot:
                self._judge.remember(self._outlet.name, channel.name, frame)
            told += self._outlet.leave(frame, channel=channel.kind, number=number, now=now, snapshot=snapshot)
        return told

    def _flood(self, state: GatewayState, now: datetime) -> list[bytes]:
        """Frames built beforehand but for their numbers (W10)."""
        books = (each for each in self._channels.values() if isinstance(each, BookChannel))
        row, book = next(((row, each) for each in books if (row := each.flood_row(state)) is not None), (None, None))
        count = 0 if row is None else self._outlet.flood_due(now)
        if not count or book is None:
            return []
        frame = rpc.encode_notification(book.name, row)
        head, rest = frame.split(b"%d" % NUMBER_HERE)
        middle, tail = rest.split(b"%d" % PREVIOUS_HERE)
        leaving = self._outlet.spared(book.number(count), book.kind, now)
        return [b"%s%d%s%d%s" % (head, number, middle, number - 1, tail) for number in leaving]

    def ended(self) -> int:
        """The connection is over, whoever ended it; how many orders that cancelled. Safe to repeat."""
        if self._over:
            return 0
        self._over = True
        self.record.closed_at = self._now()
        self.record.close_code = None if self.closing is None or self.closing.code == CUT else self.closing.code
        self.record.closed_by = self.record.closed_by or ("client" if self.closing is None else "venue")
        with self._exchange.gateway() as core:
            if core.state.account != self._account:
                return 0
            return self._face.ended(self.session)

    # --- faults ------------------------------------------------------------------------------------------

    def _kept_out(self, request: rpc.Request, effects: tuple[Effect, ...], now: datetime) -> bool:
        """True when the request does not run now: it waits at the door, or the connection is cut before it."""
        waits = 0
        for effect in effects:
            if effect.kind in _NEVER_ARRIVES or (effect.kind is EffectKind.RESET and not effect.after):
                self.closing = Closing(CUT, "")
                return True
            if effect.kind is EffectKind.DEFER:
                due = now + timedelta(seconds=whole(effect, "seconds", 5))
                self._later.append(_Later(due, request, (), silent=True))
                return True
            if effect.kind is EffectKind.DELAY and not effect.after:
                waits += whole(effect, "seconds", 0)
        if waits:
            self._later.append(_Later(now + timedelta(seconds=waits), request, effects, silent=False))
        return waits > 0

    def _belated(self, now: datetime) -> list[bytes]:
        told = [frame for due, frame in self._held if due <= now]
        self._held = [held for held in self._held if held[0] > now]
        ripe = [later for later in self._later if later.due <= now]
        self._later = [later for later in self._later if later.due > now]
        for later in ripe:
            answer = self._answered(later.request, later.effects)
            told += [] if later.silent else answer
        return told

    def _disturbed(self, answer: bytes, effects: tuple[Effect, ...], request: rpc.Request) -> list[bytes]:
        """What leaves of an answer to a request that ran."""
        told, previous, self._previous = [answer], self._previous, answer
        for effect in effects:
            match effect.kind:
                case EffectKind.RESET | EffectKind.BAD_CHUNKS:
                    self.closing = Closing(CUT, "")
                    return []
                case EffectKind.HTTP_STATUS if effect.after:
                    told = [self._refusal(RpcError(13028, "temporarily_unavailable"), request.id, micros(self._now()))]
                case EffectKind.EMPTY_BODY:
                    told = [b""]
                case EffectKind.HTML_200:
                    told = [_PAGE]
                case EffectKind.TRUNCATED_BODY:
                    told = [answer[: len(answer) // 2]]
                case EffectKind.OTHER_RESPONSE:
                    told = [previous] if word(effect, "form", "other") == "other" else [answer, answer]
                case EffectKind.DELAY if effect.after:
                    due = self._now() + timedelta(seconds=whole(effect, "seconds", 0))
                    self._held += [(due, frame) for frame in told]
                    return []
                case _:
                    pass
        return told

    # --- one request -------------------------------------------------------------------------------------

    def _answered(self, request: rpc.Request, effects: tuple[Effect, ...]) -> list[bytes]:
        """The request has run, or was refused; what leaves of its answer."""
        arrived = micros(self._now())
        try:
            self._admit(effects)
            result = self._do(request.method, request.params, effects)
        except RpcError as refused:
            answer = self._refusal(refused, request.id, arrived)
        else:
            if self.session.logged_out:
                self.closing = Closing(_LOGGED_OUT, "")
                return []
            answer = rpc.encode_result(result, request.id, us_in=arrived, us_out=micros(self._now()))
        told = self._disturbed(answer, effects, request)
        if self.session.closing and self.closing is None:
            self.closing = Closing(_POLICY, "too_many_requests")
        return told

    def _admit(self, effects: tuple[Effect, ...]) -> None:
        """RpcError for what the venue's edge refuses before a method is looked at."""
        if first_of(effects, EffectKind.HTTP_429) is not None:
            self.session.closing = True
            raise RpcError(10028)
        for effect in effects:
            if effect.kind is EffectKind.HTTP_STATUS and not effect.after:
                raise RpcError(13028, "temporarily_unavailable")
        allowed = self._face.switches.allowlist
        here = ip_address(self.session.client_ip)
        listed = not allowed or any(here in ip_network(each) for each in allowed)
        if not listed or first_of(effects, EffectKind.IP_NOT_ALLOWED) is not None:
            raise RpcError(13021)

    # --- methods that belong to the socket ---------------------------------------------------------------

    def _do(self, method: str, params: Mapping[str, PlainJson], effects: tuple[Effect, ...]) -> object:
        streams = self.session.transport is Transport.STREAMS
        match method:
            case "public/set_heartbeat":
                return self._set_heartbeat(params.get("interval"))
            case "public/disable_heartbeat":
                self._beat, self._tested = None, False
                return "ok"
            case "public/subscribe" | "public/unsubscribe" | "public/unsubscribe_all" if streams:
                return self._subscription(method, params)
            case "private/subscribe" | "private/unsubscribe" | "private/unsubscribe_all" if not streams:
                self._logged_in(effects)
                return self._subscription(method, params)
            case "public/auth" if late := self._outlet.token_late_by(self._now()):
                reading = Effect(
                    fault="W12", kind=EffectKind.LATE_READING, params={"seconds": late // timedelta(seconds=1)}
                )
                return self._face.call(method, params, self.session, effects=(*effects, reading))
            case "public/subscribe" | "public/unsubscribe" | "public/unsubscribe_all":
                raise RpcError(-32601, NOT_ALLOWED)  # observed live on the trading host, 2026-09-05
            case "private/subscribe" | "private/unsubscribe" | "private/unsubscribe_all":
                raise RpcError(-32601, NOT_ALLOWED)
            case _:
                return self._face.call(method, params, self.session, effects=effects)

    def _set_heartbeat(self, seconds: PlainJson) -> str:
        if not isinstance(seconds, Decimal) or seconds != seconds.to_integral_value() or seconds < HEARTBEAT_MIN_S:
            raise RpcError(-32602, None, {"param": "interval", "reason": f"must be at least {HEARTBEAT_MIN_S}"})
        self._beat = timedelta(seconds=int(seconds))
        self._next_beat = self._now() + self._beat
        self._tested = False
        return "ok"

    def _logged_in(self, effects: tuple[Effect, ...]) -> None:
        """RpcError unless a login is in force that may read (faults A2, A3, A5 among the effects)."""
        if any(effect.kind in _UNSIGNED for effect in effects):
            raise RpcError(13009)
        for effect in effects:
            if effect.kind is EffectKind.SCOPE_REVOKED and word(effect, "scope", "trade") == "view":
                raise RpcError(13403)
        login = self.session.login
        if login is None or login.expires_at <= self._now():
            raise RpcError(13009, None, {"reason": "not logged in on this transport, or the login has expired"})

    def _subscription(self, method: str, params: Mapping[str, PlainJson]) -> list[str]:
        verb = method.rpartition("/")[2]
        if verb == "unsubscribe_all":
            self._channels.clear()
            return []
        names = params.get("channels")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise RpcError(-32602, None, {"param": "channels", "reason": "must be an array of strings"})
        wanted = [str(name) for name in names]
        if verb == "unsubscribe":
            return [name for name in wanted if self._channels.pop(name, None) is not None]
        return self._subscribe(wanted)

    def _subscribe(self, names: Sequence[str]) -> list[str]:
        """Those that exist; the rest is dropped without a word, as the gateway does."""
        taken: list[str] = []
        now = self._now()
        with self._exchange.gateway() as core:
            for name in names:
                channel = self._channel(name, core.state, now)
                if channel is None or self._outlet.cut_at_subscribe(channel.kind, now):
                    continue
                how = self._outlet.subscribe_fault(channel.kind, now)
                if how == "refused":
                    raise RpcError(13028, "temporarily_unavailable")
                if how == "wrong_product":
                    channel = self._elsewhere(channel, core.state, now)
                if how != "ignored" and channel is not None:
                    self._channels[channel.name] = channel
                    taken.append(channel.name)
                    self._replay(channel, now)
        return taken

    def _elsewhere(
        self, channel: UserChannel | Channel, state: GatewayState, now: datetime
    ) -> UserChannel | Channel | None:
        """The same channel of another product (W7)."""
        asked = channel.product_id or "any.any"
        other = next(each for each in reversed(state.products) if each != asked)
        return self._channel(channel.name.replace(asked, other), state, now)

    def _replay(self, channel: UserChannel | Channel, now: datetime) -> None:
        past = self._judge.past(self._outlet.name, channel.name, self._outlet.replay(channel.kind, now))
        self._again += past
        self.record.replayed += len(past)

    def _channel(self, name: str, state: GatewayState, now: datetime) -> UserChannel | Channel | None:
        if self.session.transport is Transport.STREAMS:
            if self._market is None:
                return None
            self._market.feeds.enter(state, now)
            return self._market.channel(name, state, now, self._outlet)
        if is_not_served(name):
            raise RpcError(10033, None, {"reason": "this exchange does not serve the channel"})
        return user_channel(name, state, now, portfolio_at_once=self._face.switches.portfolio_at_once)

    # --- small things ------------------------------------------------------------------------------------

    def _beats(self, now: datetime) -> list[bytes]:
        """A heartbeat while the client talks; else a test_request, and the end when that is not answered in time."""
        if self._beat is None or now < self._next_beat:
            return []
        if self._tested:
            self.closing = Closing(_IDLE, "heartbeat")
            return []
        self._tested = now - self._heard >= self._beat
        self._next_beat = now + self._beat
        frame = rpc.encode_heartbeat("test_request" if self._tested else "heartbeat")
        return self._outlet.leave(frame, channel="heartbeats", number=None, now=now)

    def _refusal(self, error: RpcError, request_id: rpc.RequestId | None, arrived: int) -> bytes:
        told = rpc.RpcError(code=error.code, message=error.message, data=error.data)  # type: ignore[arg-type]  # plain
        return rpc.encode_error(told, request_id, us_in=arrived, us_out=micros(self._now()))


def _number_of(row: object) -> tuple[int | None, bool]:
    """The venue's own number in a message (a book's change id, the last trade's sequence), and whether it is a snapshot."""
    if isinstance(row, dict):
        number = row.get("change_id")
        return number if isinstance(number, int) else None, row.get("type") == "snapshot"
    last = row[-1] if isinstance(row, list) and row else None
    number = last.get("trade_seq") if isinstance(last, dict) else None
    return number if isinstance(number, int) else None, False
