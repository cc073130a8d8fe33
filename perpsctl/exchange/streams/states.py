"""Where a socket stands, how long things may take, and what a refusal while it is set up is called.

Values and names only; nothing here opens or sends.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from perpsctl.domain.errors import PerpsctlError, RefusalCause, VenueRefusedRequest, VenueRefusedUs, VenueUnreachable
from perpsctl.exchange.streams.line import LineLost
from perpsctl.exchange.transport import Problem
from perpsctl.wire.global_derivatives.rpc import LooseReply, RpcError, plain_tree
from perpsctl.wire.guard import WireError

__all__ = [
    "ChannelsDropped",
    "DeadManNotArmed",
    "RefusedHere",
    "SocketFacts",
    "SocketState",
    "SocketTiming",
    "named",
    "result_of",
]

_LOGIN_REFUSED = frozenset({13004, 13009, 10000})
_PERMISSION = frozenset({11042, 13021, 13403})


class DeadManNotArmed(VenueRefusedRequest):
    """Cancel-on-disconnect is not armed on this connection (10049, 13042, or it reads back as off): nothing is traded."""

    code = "dead_man_not_armed"


class ChannelsDropped(VenueRefusedRequest):
    """The venue accepted fewer channels than were asked for, without saying so; the connection is not used."""

    code = "channels_dropped"


class SocketState(StrEnum):
    """Where the socket stands. Only READY sends."""

    CONNECTING = "connecting"
    READY = "ready"
    WAITING = "waiting"  # between two tries
    REFUSED = "refused"  # the login twice (A2), or what must be had too often (W7): it does not try again by itself
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketTiming:
    """How long anything may take, and how often what is due is done."""

    call: timedelta = timedelta(seconds=8)  # one request, from the look at the connection to its answer
    setting_up: timedelta = timedelta(seconds=10)  # login, arming, heartbeat, channels: all together
    heartbeat: timedelta = timedelta(seconds=10)  # the venue's minimum
    # Without a message of ours for about 30 s the venue closes with 1011; protocol pings do not count.
    keep_alive: timedelta = timedelta(seconds=15)
    # Nothing at all for two heartbeats and a half: a silent stall (W4).
    silence_max: timedelta = timedelta(seconds=25)
    renew_login: timedelta = timedelta(minutes=45)  # the session ends at about 50
    first_wait: timedelta = timedelta(milliseconds=250)
    wait_max: timedelta = timedelta(seconds=15)
    refill: timedelta = timedelta(seconds=5)  # after 10028 or a close without a reason: a full refill of the credits
    # After a close without a reason, where that is not what 10028 does; None: `refill`.
    unexplained: timedelta | None = None
    stable: timedelta = timedelta(seconds=60)  # the waits start over only after this long (W6)
    # So many tries without one that stood whose set-up the venue refused, not for the key: the last. None: no bound.
    refused_most: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketFacts:
    """The socket as it stands, for probe, preflight and the loop."""

    state: SocketState
    since: datetime
    reason: str  # why it is not READY, "" when it is
    error: PerpsctlError | None  # the named error behind it, if it has a name
    connections: int  # how many were opened so far
    armed: bool  # cancel-on-disconnect read back as on, on this connection
    last_message: datetime | None
    strays: int  # answers with an id nobody sent, and frames that could not be read


class RefusedHere(Exception):
    """A call of the set-up was refused by the venue."""

    def __init__(self, method: str, error: RpcError, venue_time: datetime | None = None) -> None:
        """`venue_time` is what the venue's clock said as it answered, None where it said nothing."""
        super().__init__(method)
        self.method = method
        self.error = error
        self.venue_time = venue_time


def result_of(method: str, reply: LooseReply) -> Any:
    """The result as plain values; RefusedHere for the venue's refusal."""
    try:
        if reply.tree.get("error") is None:
            return plain_tree(reply.tree.get("result"))
        refusal = reply.read(bool)
    except WireError as unreadable:
        raise LineLost(Problem.BROKEN_HTTP, f"the answer to {method} cannot be read: {unreadable}") from None
    assert refusal.error is not None
    raise RefusedHere(method, refusal.error, _moment(refusal.us_out))


def _moment(us: int | None) -> datetime | None:
    """Microseconds since 1970; None for what no clock says."""
    try:
        return None if us is None else datetime.fromtimestamp(0, UTC) + timedelta(microseconds=us)
    except OverflowError:
        return None


def named(refused: RefusedHere) -> PerpsctlError:
    """The venue's refusal of a call of the set-up, as an operator should hear it. Its text may echo a token: cut to code."""
    code = refused.error.code
    if code in _PERMISSION:
        return VenueRefusedUs(f"the key may not call {refused.method} ({code})", cause=RefusalCause.PERMISSION)
    if refused.method == "public/auth" or code in _LOGIN_REFUSED:
        if code in _LOGIN_REFUSED:
            return VenueRefusedUs(f"the venue refused the login on the socket ({code})", cause=RefusalCause.KEY)
    elif refused.method.endswith("cancel_on_disconnect"):
        return DeadManNotArmed(
            f"cancel-on-disconnect could not be armed ({code}); no order is sent over this socket",
            reason=str(code),
            fix="the loop does not trade without it; one-shot commands use HTTP and are not affected",
        )
    return VenueUnreachable(f"the venue refused {refused.method} ({code})")
