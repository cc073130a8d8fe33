"""What is said on a socket of the gateway before it may be used, and what has to be said again while it stands.

Login, cancel-on-disconnect armed and read back, the heartbeat, the channels compared with what was asked (section 10 and
12 of coinbase-global-derivatives.md, 2026-11-22). Written as conversations on the thread that steps; no caller's request
passes through here, and an `ok` alone is never believed.
"""

import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from perpsctl.domain.errors import RefusalCause, VenueRefusedUs
from perpsctl.domain.ports import Clock
from perpsctl.domain.text import shown
from perpsctl.exchange.answers import apart_hint, skew_hint
from perpsctl.exchange.streams.calls import Calls
from perpsctl.exchange.streams.keeper import Connection, Talk, nanoseconds
from perpsctl.exchange.streams.line import Dated, LineLost
from perpsctl.exchange.streams.states import (
    ChannelsDropped,
    DeadManNotArmed,
    RefusedHere,
    SocketTiming,
    named,
    result_of,
)
from perpsctl.exchange.transport import SENTENCES, Problem
from perpsctl.wire.global_derivatives.common import Body, JsonValue
from perpsctl.wire.global_derivatives.rpc import encode_request

__all__ = ["TOO_MANY_REQUESTS", "Introduction", "Params"]

Params = Mapping[str, JsonValue] | Body
TOO_MANY_REQUESTS = 10028
_SECOND = timedelta(seconds=1)


class Introduction:
    """The set-up of one socket's connections. `armed`, `taken` and the rest are of the newest one and die with it."""

    def __init__(
        self,
        clock: Clock,
        calls: Calls,
        *,
        timing: SocketTiming,
        login: Callable[[], Params] | None,
        dead_man: bool,
        channels: Sequence[str],
        wanted: Sequence[str],
        busy: Callable[[], None],
    ) -> None:
        """`busy` is told when the venue says that it is asked too much."""
        self._clock = clock
        self._calls = calls
        self._timing = timing
        self._login = login
        self._dead_man = dead_man
        self._channels = tuple(channels)
        self._wanted = tuple(wanted)
        self._busy = busy
        self._lock = threading.Lock()
        self._renewals: dict[str, None] = {}
        self._login_ns = 0
        self._login_due = False
        self._talk: Talk | None = None  # a conversation that is going on while the connection serves
        self.armed = False  # cancel-on-disconnect, read back as on
        self.taken: tuple[str, ...] = ()  # the channels the venue has confirmed

    # --- from any thread ----------------------------------------------------------------------------------

    def login_is_due(self) -> None:
        """The venue no longer knows our login."""
        self._login_due = True

    def renew(self, channel: str) -> None:
        """The channel is to be left and asked for anew."""
        with self._lock:
            self._renewals[channel] = None

    # --- on the thread that steps -------------------------------------------------------------------------

    def set_up(self, connection: Connection) -> Talk:
        """The conversation of a new connection; nothing of the one before counts."""
        self._login_ns, self._login_due, self._talk = self._clock.monotonic_ns(), False, None
        self.armed, self.taken = False, ()
        with self._lock:
            self._renewals.clear()
        return self._naming(self._introduced(connection, self._until()))

    def go_on(self, connection: Connection, now_ns: int) -> None:
        """What is due on a connection that stands, one answer at a time: a new login, channels begun anew."""
        if self._talk is None:
            self._talk = self._next_talk(connection, now_ns)
        if self._talk is not None and next(self._talk, self) is self:
            self._talk = None

    def _introduced(self, connection: Connection, until_ns: int) -> Talk:
        if self._login is not None:
            yield from self._log_in(connection, until_ns)
        if self._dead_man:
            yield from self._arm(connection, until_ns)
        heartbeat_s = self._timing.heartbeat // _SECOND
        yield from self._ask(connection, "public/set_heartbeat", {"interval": heartbeat_s}, until_ns)
        if self._channels:
            yield from self._subscribe(connection, until_ns)
        if self._wanted:
            yield from self._try_for(connection, until_ns)

    def _next_talk(self, connection: Connection, now_ns: int) -> Talk | None:
        aged = now_ns - self._login_ns > nanoseconds(self._timing.renew_login)
        if self._login is not None and (aged or self._login_due):
            return self._naming(self._log_in(connection, self._until()))
        with self._lock:
            names, self._renewals = tuple(self._renewals), {}
        return self._naming(self._begun_anew(connection, names)) if names else None

    def _naming(self, talk: Talk) -> Talk:
        """The same conversation; what the venue refused in it is raised as an operator should hear it."""
        try:
            yield from talk
        except RefusedHere as no:
            if no.error.code == TOO_MANY_REQUESTS:
                self._busy()
            raise named(no) from None

    def _log_in(self, connection: Connection, until_ns: int) -> Talk:
        assert self._login is not None
        try:
            yield from self._ask(connection, "public/auth", self._login(), until_ns)
        except RefusedHere as no:
            raise self._clock_named(connection, no) or no from None
        self._login_ns = self._clock.monotonic_ns()
        self._login_due = False

    def _clock_named(self, connection: Connection, no: RefusedHere) -> VenueRefusedUs | None:
        """A login refused while the clocks are apart, by the answer's own time or the `Date` of the upgrade (A1, T4)."""
        error = named(no)
        if not isinstance(error, VenueRefusedUs) or error.cause is not RefusalCause.KEY:
            return None
        line = connection.line
        hint = apart_hint(no.venue_time, self._clock.now())
        if not hint and isinstance(line, Dated):
            hint = skew_hint(line.date, line.opened)
        if not hint:
            return None
        return VenueRefusedUs(
            f"{no.method}: {hint}", cause=RefusalCause.CLOCK, fix="start the host's time service, then restart"
        )

    def _arm(self, connection: Connection, until_ns: int) -> Talk:
        """Armed and read back: an `ok` alone is not believed (section 10)."""
        scope: Params = {"scope": "connection"}
        yield from self._ask(connection, "private/enable_cancel_on_disconnect", scope, until_ns)
        told = yield from self._ask(connection, "private/get_cancel_on_disconnect", scope, until_ns)
        if not isinstance(told, dict) or told.get("enabled") is not True:
            raise DeadManNotArmed(
                "the venue reads cancel-on-disconnect back as off; no order is sent over this socket",
                reason="not_enabled",
                fix="look at `perpsctl probe`; orders of one-shot commands go over HTTP and are not affected",
            )
        self.armed = True

    def _subscribe(self, connection: Connection, until_ns: int) -> Talk:
        taken = yield from self._taken_of(connection, self._channels, until_ns)
        missing = set(self._channels) - set(taken)
        if missing:
            names = ", ".join(sorted(missing))
            raise ChannelsDropped(f"the venue silently dropped channels: {shown(names)}", reason="dropped")
        self.taken += self._channels

    def _try_for(self, connection: Connection, until_ns: int) -> Talk:
        """What is wanted, at once; one by one where the venue refuses all of it for one of them."""
        groups: list[tuple[str, ...]] = [self._wanted]
        while groups:
            names = groups.pop(0)
            try:
                taken = yield from self._taken_of(connection, names, until_ns)
            except RefusedHere as no:
                if isinstance(named(no), VenueRefusedUs) or no.error.code == TOO_MANY_REQUESTS:
                    raise
                groups += [] if len(names) == 1 else [(name,) for name in names]
                continue
            self.taken += tuple(name for name in names if name in taken)

    def _taken_of(
        self, connection: Connection, names: Sequence[str], until_ns: int
    ) -> Generator[None, None, frozenset[str]]:
        method = "public/subscribe" if self._login is None else "private/subscribe"
        asked: list[JsonValue] = list(names)
        taken = yield from self._ask(connection, method, {"channels": asked}, until_ns)
        return frozenset(name for name in taken if isinstance(name, str)) if isinstance(taken, list) else frozenset()

    def _begun_anew(self, connection: Connection, names: Sequence[str]) -> Talk:
        until_ns = self._until()
        method = "public/unsubscribe" if self._login is None else "private/unsubscribe"
        asked: list[JsonValue] = list(names)
        yield from self._ask(connection, method, {"channels": asked}, until_ns)
        taken = yield from self._taken_of(connection, names, until_ns)
        if set(names) - taken:
            raise LineLost(Problem.OTHER, "the venue did not take a channel a second time", code=None)

    def _ask(self, connection: Connection, method: str, params: Params, until_ns: int) -> Generator[None, None, Any]:
        """The result of a call of our own, frames of others served meanwhile; RefusedHere or LineLost otherwise."""
        waiter = self._calls.register(connection.number, LineLost(Problem.RESET, SENTENCES[Problem.RESET]))
        try:
            connection.send(encode_request(method, params, waiter.number))
            while waiter.reply is None:
                if self._clock.monotonic_ns() >= until_ns:
                    raise LineLost(Problem.TIMEOUT, f"no answer to {method} in time")
                yield
        finally:
            self._calls.forget(waiter)
        return result_of(method, waiter.reply)

    def _until(self) -> int:
        return self._clock.monotonic_ns() + nanoseconds(self._timing.setting_up)
