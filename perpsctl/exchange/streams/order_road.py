"""The order socket as the road of writes: the same session key, budget and judgement as over HTTP, another carrier.

Orders sent here die with the connection (cancel-on-disconnect, armed and read back): the dead man's switch of `run`.
A one-shot command whose order is to rest after it uses HTTP, or leaves through `RpcSocket.logout`. Nothing is sent twice,
not even after a refused login: the refusal proves that it did not run, and the next intent finds a renewed session.
Entries never leave by another road than the armed one.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from perpsctl.domain.errors import PerpsctlError
from perpsctl.domain.ids import Ids
from perpsctl.domain.ports import Clock, Gate
from perpsctl.exchange.credentials import Credentials
from perpsctl.exchange.global_derivatives.link import Garbled, Link, NotReady, Told, WriteEnding
from perpsctl.exchange.global_derivatives.rpc import Params
from perpsctl.exchange.global_derivatives.session import GRANT
from perpsctl.exchange.pacing import Priority
from perpsctl.exchange.retrying import Again
from perpsctl.exchange.signing import READ_TTL, Signer
from perpsctl.exchange.streams.addresses import SocketAddress
from perpsctl.exchange.streams.line import Line, LineTiming, WebsocketLine
from perpsctl.exchange.streams.mailbox import Mailbox
from perpsctl.exchange.streams.socket import RpcSocket, SocketTiming
from perpsctl.exchange.transport import Answered, NotWritten, Problem, Written
from perpsctl.wire.global_derivatives.errors import ErrorClass, error_fact
from perpsctl.wire.global_derivatives.rpc import decode_reply
from perpsctl.wire.guard import WireError

__all__ = ["USER_CHANNELS", "USER_HINTS", "SocketLink", "order_socket", "over", "public_socket"]

USER_CHANNELS = (
    "user.orders.any.any.raw",
    "user.trades.any.any.raw",
    "user.isolated.orders.any.any.raw",
    "user.isolated.trades.any.any.raw",
)
# Beside them, where the venue has them: positions and balances as hints (coinbase-global-derivatives.md 12, 2026-11-22).
USER_HINTS = (
    "user.changes.any.any.raw",
    "user.isolated.changes.any.any.raw",
    "user.portfolio.any",
)
# The streams host takes a handful of calls a connection: a close there is no sign of used-up credits, and data is missing.
PUBLIC_TIMING = SocketTiming(wait_max=timedelta(seconds=5), unexplained=timedelta(0))
_MICROSECOND = timedelta(microseconds=1)

T = TypeVar("T")


def order_socket(
    address: SocketAddress,
    credentials: Credentials,
    clock: Clock,
    ids: Ids,
    *,
    channels: tuple[str, ...] = USER_CHANNELS,
    wanted: tuple[str, ...] = USER_HINTS,
    dead_man: bool = True,
    timing: SocketTiming | None = None,
    line: LineTiming | None = None,
    mailbox: Mailbox | None = None,
    opener: Callable[[], Line] | None = None,
) -> RpcSocket:
    """The private socket of one key, not started. A fresh JWT signs each login (section 3, 2026-11-22).

    It carries what the account's streams tell as well: hand it to `factory.global_streams`, which then reads its mailbox.
    """
    signer = Signer(credentials, address.host)

    def login() -> dict[str, str]:
        return {"grant_type": GRANT, "token": signer.grant(now=clock.now(), ttl=READ_TTL, nonce=ids.nonce())}

    return RpcSocket(
        opener or (lambda: WebsocketLine(address, clock, line)),
        clock,
        ids,
        login=login,
        dead_man=dead_man,
        channels=channels,
        wanted=wanted,
        beats=True,
        timing=timing,
        mailbox=mailbox,
        name="order-socket",
    )


def public_socket(
    address: SocketAddress,
    clock: Clock,
    ids: Ids,
    *,
    channels: tuple[str, ...],
    timing: SocketTiming | None = None,
    mailbox: Mailbox | None = None,
    opener: Callable[[], Line] | None = None,
) -> RpcSocket:
    """The socket of public streams, without a key, not started. A channel the venue does not take is missed in UP."""
    return RpcSocket(
        opener or (lambda: WebsocketLine(address, clock)),
        clock,
        ids,
        login=None,
        dead_man=False,
        wanted=channels,
        beats=True,
        timing=timing or PUBLIC_TIMING,
        mailbox=mailbox,
        name="stream-socket",
    )


def over(socket: RpcSocket, ids: Ids) -> Callable[[Link], Link]:
    """For `GlobalDerivativesVenue(road=...)`: its orders and edits go over this socket, which the caller starts and stops."""
    return lambda link: SocketLink(link, socket, ids)


class SocketLink(Link):
    """Writes go over the order socket; reads stay with the link they came from."""

    def __init__(self, http: Link, socket: RpcSocket, ids: Ids) -> None:
        super().__init__(http.rpc, http.session, http.clock, ids)
        self._socket = socket

    def write(self, method: str, params: Callable[[], Params], kind: type[T], gate: Gate) -> WriteEnding[T]:
        """Send a write once. Never raises. A socket that is not READY, and so not armed, ends it as NotWritten.

        The way out stays open: what the venue itself holds to reducing goes over HTTP when the socket has provably
        written nothing of it.
        """
        total = self.rpc.transport.timing.total
        try:
            until_ns = self.clock.monotonic_ns() + total // _MICROSECOND * 1000
            self.rpc.paced(method, Priority.WRITE, until_ns=until_ns)
            ready = params()
        except Again as failed:
            return NotReady(reason=failed.error.code, detail=failed.error.message)
        except PerpsctlError as failed:
            return NotReady(reason=failed.code, detail=failed.message)
        ending = self._socket.call(method, ready, gate=gate, within=total)
        if isinstance(ending, NotWritten) and getattr(ready, "reduce_only", None) is True:
            return super().write(method, params, kind, gate)
        if not isinstance(ending, Answered):
            if isinstance(ending, Written) and ending.problem is Problem.RESET:
                self.rpc.credits.exhausted()  # an unexplained close may be what 10028 does
            return ending
        try:
            reply = decode_reply(ending.body, kind)  # ours by its id: the socket matched it
        except WireError as strange:
            return Garbled(detail=str(strange))
        if reply.error is not None:
            self.rpc.minded(reply.error)
            if error_fact(reply.error.code, reply.error.message).for_writes is ErrorClass.LOGIN:
                self._socket.renew_login()
        return Told(reply=reply, answer=ending)
