"""One socket of the gateway, trading or streams host, without any network: frames in, frames out, and when it closes.

Behaviour: Global Derivatives reference sections 3, 10, 12 and 13 (2026-11-22). The socket is its own credential;
cancel-on-disconnect acts on whatever end but `private/logout`; a client silent for 30 s is closed with 1011, protocol
pings not counting; a missed `test_request` closes as well; channels that do not exist are dropped without a word.
Which close codes follow 10028 and a missed heartbeat is not on record: ours are 1008 and 1011.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from perpsctl.simulator.faces.global_channels import UserChannel, is_not_served, user_channel
from perpsctl.simulator.faces.global_session import Session, Transport
from perpsctl.simulator.gateway.core import GatewayCore
from perpsctl.simulator.gateway.refusal import RpcError
from perpsctl.simulator.gateway.state import GatewayState
from perpsctl.simulator.tape import micros
from perpsctl.wire.global_derivatives import rpc
from perpsctl.wire.guard import PlainJson, WireError

IDLE_MAX = timedelta(seconds=30)
HEARTBEAT_MIN_S = 10
FRAME_BYTES_MAX = rpc.MAX_FRAME_BYTES
_LOGGED_OUT, _RESTARTED, _POLICY, _TOO_BIG, _IDLE = 1000, 1012, 1008, 1009, 1011
NOT_ALLOWED = "method not in allowlist"


class Channel(Protocol):
    """A subscription that knows what it has to tell."""

    name: str

    def messages(self, state: GatewayState, now: datetime) -> list[object]:
        """The `data` of each message that is due, in order."""
        ...


class Dispatcher(Protocol):
    """The gateway's methods, whatever the transport."""

    def call(self, method: str, params: Mapping[str, PlainJson], session: Session) -> object:
        """The result; RpcError, raised or returned, is a refusal."""
        ...


class Market(Protocol):
    """The public channels of the streams host."""

    def channel(self, name: str, state: GatewayState, now: datetime) -> Channel | None:
        """The subscription behind a name; None for what is silently dropped. RpcError 10033 for what is not served."""
        ...


@dataclass(frozen=True, slots=True)
class Closing:
    """How the socket is to be closed."""

    code: int
    reason: str


class GlobalSocket:
    """One connection from its opening to its end. One thread at a time."""

    def __init__(
        self,
        face: Dispatcher,
        gateway: Callable[[], AbstractContextManager[GatewayCore]],
        session: Session,
        now: Callable[[], datetime],
        *,
        market: Market | None = None,
    ) -> None:
        self.session = session
        self.closing: Closing | None = None
        self._face = face
        self._gateway = gateway
        self._now = now
        self._market = market
        self._channels: dict[str, UserChannel | Channel] = {}
        self._heard = now()
        self._beat: timedelta | None = None
        self._next_beat = self._heard
        self._tested = False  # a test_request waits for its answer
        self._over = False
        with gateway() as core:
            self._account = core.state.account
            self.session.cancel_on_disconnect = self._armed_from_the_start(core)

    # --- what happens ------------------------------------------------------------------------------------

    def receive(self, frame: bytes | str) -> list[bytes]:
        """One frame of the client's: the answer, and what its channels have to tell after it."""
        body = frame.encode("utf-8", "replace") if isinstance(frame, str) else frame
        now = self._heard = self._now()
        if len(body) > FRAME_BYTES_MAX:
            self.closing = Closing(_TOO_BIG, "frame too large")
            return []
        arrived = micros(now)
        try:
            request = rpc.decode_request(body)
        except WireError:
            code = -32600 if body.lstrip()[:1] == b"[" else -32700
            return [self._refusal(RpcError(code), None, arrived)]
        if request.method == "public/test":
            self._tested = False
        try:
            result = self._do(request.method, request.params)
        except RpcError as refused:
            return [*self._refused(refused, request.id, arrived), *self.due()]
        if isinstance(result, RpcError):
            return [*self._refused(result, request.id, arrived), *self.due()]
        if self.session.logged_out:
            self.closing = Closing(_LOGGED_OUT, "")
            return []
        answer = rpc.encode_result(result, request.id, us_in=arrived, us_out=micros(self._now()))
        if self.session.closing:
            self.closing = Closing(_POLICY, "too_many_requests")
        return [answer, *self.due()]

    def due(self) -> list[bytes]:
        """What time has brought: heartbeats, channel messages, and the reasons to close."""
        if self.closing is not None:
            return []
        now = self._now()
        if now - self._heard >= IDLE_MAX:
            self.closing = Closing(_IDLE, "idle")
            return []
        told: list[bytes] = []
        with self._gateway() as core:
            if core.state.account != self._account:
                self.closing = Closing(_RESTARTED, "restart")
                return []
            for channel in self._channels.values():
                told += [rpc.encode_notification(channel.name, data) for data in channel.messages(core.state, now)]
        return told + self._beats(now)

    def ended(self) -> int:
        """The connection is over, whoever ended it; how many orders that cancelled. Safe to repeat."""
        if self._over:
            return 0
        self._over = True
        if self.session.logged_out or not self.session.cancel_on_disconnect:
            return 0
        with self._gateway() as core:
            if core.state.account != self._account:
                return 0
            return core.trading.disconnected(self.session.connection)

    # --- methods that belong to the socket ---------------------------------------------------------------

    def _do(self, method: str, params: Mapping[str, PlainJson]) -> object:
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
                self._logged_in()
                return self._subscription(method, params)
            case "public/subscribe" | "public/unsubscribe" | "public/unsubscribe_all":
                raise RpcError(-32601, NOT_ALLOWED)  # observed live on the trading host, 2026-09-05
            case "private/subscribe" | "private/unsubscribe" | "private/unsubscribe_all":
                raise RpcError(-32601, NOT_ALLOWED)
            case _:
                return self._face.call(method, params, self.session)

    def _set_heartbeat(self, seconds: PlainJson) -> str:
        if not isinstance(seconds, Decimal) or seconds != seconds.to_integral_value() or seconds < HEARTBEAT_MIN_S:
            raise RpcError(-32602, None, {"param": "interval", "reason": f"must be at least {HEARTBEAT_MIN_S}"})
        self._beat = timedelta(seconds=int(seconds))
        self._next_beat = self._now() + self._beat
        self._tested = False
        return "ok"

    def _logged_in(self) -> None:
        login = self.session.login
        if login is None:
            raise RpcError(10000, "authorization_required")
        if login.expires_at <= self._now():
            raise RpcError(13009)

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
        with self._gateway() as core:
            for name in names:
                channel = self._channel(name, core.state, now)
                if channel is not None:
                    self._channels[name] = channel
                    taken.append(name)
        return taken

    def _channel(self, name: str, state: GatewayState, now: datetime) -> UserChannel | Channel | None:
        if self.session.transport is Transport.STREAMS:
            return None if self._market is None else self._market.channel(name, state, now)
        if is_not_served(name):
            raise RpcError(10033, None, {"reason": "this exchange does not serve the channel"})
        return user_channel(name, state, now)

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
        return [rpc.encode_heartbeat("test_request" if self._tested else "heartbeat")]

    @staticmethod
    def _armed_from_the_start(core: GatewayCore) -> bool:
        """`account` scope arms every new connection."""
        return bool(getattr(core.state, "cancel_on_disconnect", False))

    def _refused(self, error: RpcError, request_id: rpc.RequestId | None, arrived: int) -> list[bytes]:
        if self.session.closing:
            self.closing = Closing(_POLICY, error.message)
        return [self._refusal(error, request_id, arrived)]

    def _refusal(self, error: RpcError, request_id: rpc.RequestId | None, arrived: int) -> bytes:
        told = rpc.RpcError(code=error.code, message=error.message, data=error.data)  # type: ignore[arg-type]  # plain
        return rpc.encode_error(told, request_id, us_in=arrived, us_out=micros(self._now()))
