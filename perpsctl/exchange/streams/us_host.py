"""One of the two hosts of the US venue's streams: channels asked for one by one, each confirmation compared with the request.

What this room believes of the venue: coinbase-advanced-trade.md section 11, 2026-11-22. The first subscribe has to arrive
within 5 s of connecting; each token is made right before it is sent (W12); an error names no channel, so one channel is
asked for at a time and the answer is its own. What is refused is tried once more with a new token and then never again
(A2, A3, A5); a required channel that is refused for another reason ends the trying after a minute or so (W7). Nothing
here reads data: every message goes to the mailbox, in order, for whoever decides.
"""

import threading
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from perpsctl.domain.errors import PerpsctlError, RefusalCause, VenueRefusedRequest, VenueRefusedUs
from perpsctl.domain.ids import Ids
from perpsctl.domain.ports import Clock
from perpsctl.domain.text import shown
from perpsctl.exchange.answers import skew_hint
from perpsctl.exchange.streams.keeper import Connection, Keeper, KeeperFacts, Talk, nanoseconds
from perpsctl.exchange.streams.line import Dated, Line, LineLost
from perpsctl.exchange.streams.mailbox import Event, EventKind, Mailbox
from perpsctl.exchange.streams.states import ChannelsDropped, SocketTiming
from perpsctl.exchange.transport import Problem
from perpsctl.wire.advanced_trade.socket import SocketError, SubscriptionsMessage, encode_asking, read_head
from perpsctl.wire.guard import WireError, decode

__all__ = ["US_TIMING", "Asked", "UsHost", "name_of"]

HEARTBEAT = timedelta(seconds=1)
REFUSED_MOST = 20  # tries, a minute or so of the venue's own trouble: a required channel is not asked for for ever (W7)
# Heartbeats come every second: a connection that says nothing for five of them is opened anew (W4).
US_TIMING = SocketTiming(
    setting_up=timedelta(seconds=20), heartbeat=HEARTBEAT, silence_max=5 * HEARTBEAT, wait_max=timedelta(seconds=5),
    refill=timedelta(0), refused_most=REFUSED_MOST,
)  # fmt: skip
CONFIRMED_WITHIN = timedelta(seconds=5)
MESSAGES_A_SECOND = 6  # the venue allows eight without a token, from one address (section 10)
_SECOND_NS = 1_000_000_000
_TRIES = 2
_WORDS_KEPT = 10

Asking = Generator[None, None, PerpsctlError | None]


def name_of(channel: str, product_id: str = "") -> str:
    """How a channel of one product, or of the account, is called in UP events."""
    return f"{channel}:{product_id}" if product_id else channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One channel to be subscribed to. Without a `required` one the connection is of no use."""

    channel: str
    product_ids: tuple[str, ...] = ()
    required: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name_of(self.channel, each) for each in self.product_ids) or (self.channel,)


class UsHost:
    """A host that comes back by itself. `token` makes a fresh JWT each time; None: a host that needs none."""

    def __init__(
        self,
        opener: Callable[[], Line],
        clock: Clock,
        ids: Ids,
        *,
        channels: Sequence[Asked],
        token: Callable[[], str] | None,
        kind: EventKind,
        mailbox: Mailbox | None = None,
        timing: SocketTiming = US_TIMING,
        name: str = "us-streams",
    ) -> None:
        """`kind` is what every message is to the mailbox: MARKET may be pushed out of it, ACCOUNT never."""
        self.mailbox = mailbox or Mailbox()
        self._clock = clock
        self._channels = tuple(channels)
        self._token = token
        self._kind = kind
        self._lock = threading.Lock()
        self._refused: dict[str, str] = {}
        self._taken: tuple[str, ...] = ()
        self._confirmed: Mapping[str, tuple[str, ...]] = {}
        self._confirmations = 0
        self._errors: deque[str] = deque(maxlen=_WORDS_KEPT)
        self._strays = 0
        self._renewals: dict[str, dict[str, None]] = {}  # channel -> products
        self._sent_ns: deque[int] = deque(maxlen=MESSAGES_A_SECOND)  # over all connections: the venue counts by address
        self._talk: Talk | None = None
        self._keeper = Keeper(
            opener, self, clock, ids, timing=timing, has_room=lambda: self.mailbox.has_room, name=name
        )

    # --- for the thread that decides ----------------------------------------------------------------------

    def start(self, *, thread: bool = True) -> None:
        """Connecting, with a reader of its own or stepped by the caller."""
        self._keeper.start(thread=thread)

    def step(self, within: timedelta) -> bool:
        """One thing is read or done; only where `start` began no reader. True when something happened."""
        return self._keeper.step(within)

    def stop(self, *, within: timedelta = timedelta(seconds=6)) -> bool:
        """Closed, and the reader gone; False if it hangs."""
        return self._keeper.stop(within=within)

    def facts(self) -> KeeperFacts:
        """The connection as it stands."""
        return self._keeper.facts()

    def refused(self) -> Mapping[str, str]:
        """What the venue will not give, and why; it is not asked for again."""
        with self._lock:
            return dict(self._refused)

    @property
    def strays(self) -> int:
        """How many messages could not be read or belonged to nothing."""
        return self._strays

    def renew(self, channel: str, product_id: str) -> None:
        """The channel is left and subscribed to anew, by the reader, so that the venue begins it with a snapshot."""
        with self._lock:
            self._renewals.setdefault(channel, {}).update({product_id: None} if product_id else {})

    def give_up(self, reason: str) -> None:
        """What came over this connection cannot be used: it is closed and opened anew (W11)."""
        self._strays += 1
        self._keeper.give_up(reason)

    # --- what is said, on the thread that steps -------------------------------------------------------------

    def set_up(self, connection: Connection) -> Talk:
        self._confirmed, self._confirmations, self._taken, self._talk = {}, 0, (), None
        self._errors.clear()
        with self._lock:
            self._renewals.clear()
        return self._introduced(connection)

    def _introduced(self, connection: Connection) -> Talk:
        for asked in self._channels:
            yield from self._try_for(connection, asked)

    def stands(self, connection: Connection) -> None:
        self._put(connection, EventKind.UP, detail="subscribed", channels=self._taken)

    def _try_for(self, connection: Connection, asked: Asked) -> Talk:
        """Taken, or known as refused; product by product where the venue will not have several at once."""
        kept = tuple(each for each in asked.product_ids if name_of(asked.channel, each) not in self._refused)
        if asked.channel in self._refused or (asked.product_ids and not kept):
            return
        parts = [replace(asked, product_ids=kept)]
        while parts:
            part = parts.pop(0)
            problem = yield from self._refused_again(connection, part)
            if problem is None:
                self._taken += part.names
            elif len(part.names) > 1:
                parts += [replace(part, product_ids=(each,)) for each in part.product_ids]
            else:
                with self._lock:
                    self._refused[part.names[0]] = problem.message

    def _refused_again(self, connection: Connection, asked: Asked) -> Asking:
        """None once the venue confirmed all of it; its second no otherwise. One that is required raises its first."""
        problem: PerpsctlError | None = None
        for _ in range(_TRIES):
            problem = yield from self._problem_with(connection, asked)
            if problem is None:
                break
            if asked.required:
                raise problem
        return problem

    def _problem_with(self, connection: Connection, asked: Asked) -> Asking:
        yield from self._say(connection, "subscribe", asked)
        if self._errors:
            return self._refusal(connection, asked, self._errors.popleft())
        told = self._confirmed.get(asked.channel)
        wrong = set(told or ()) - self._known(asked.channel) if asked.product_ids else set()
        if wrong:
            names = shown(", ".join(sorted(wrong)))
            raise ChannelsDropped(
                f"the venue confirmed {asked.channel} for {names}, which nobody asked for", reason="wrong_product"
            )
        if told is not None and not set(asked.product_ids) - set(told):
            return None
        return ChannelsDropped(f"the venue left {asked.channel} out of what it confirmed", reason="dropped")

    def _known(self, channel: str) -> set[str]:
        return {each for asked in self._channels if asked.channel == channel for each in asked.product_ids}

    def _say(self, connection: Connection, kind: str, asked: Asked) -> Talk:
        """Sent with a fresh token, and answered: by the next list of subscriptions, or by an error."""
        while len(self._sent_ns) == MESSAGES_A_SECOND and self._clock.monotonic_ns() - self._sent_ns[0] < _SECOND_NS:
            yield
        before = self._confirmations
        self._errors.clear()
        until_ns = self._clock.monotonic_ns() + nanoseconds(CONFIRMED_WITHIN)
        token = None if self._token is None else self._token()
        self._sent_ns.append(connection.send(encode_asking(kind, asked.channel, asked.product_ids, token)))
        while self._confirmations == before and not self._errors:
            yield
            if self._clock.monotonic_ns() >= until_ns:
                raise LineLost(Problem.TIMEOUT, f"the venue did not confirm {kind} of {asked.channel}")

    def _refusal(self, connection: Connection, asked: Asked, words: str) -> PerpsctlError:
        """The venue's no, as an operator should hear it. It calls unknown channels by the name of a bad token, too."""
        if self._token is None or "auth" not in words.lower():
            return VenueRefusedRequest(f"the venue refused {asked.channel}: {shown(words, 80)}", reason="refused")
        line = connection.line
        hint = skew_hint(line.date, line.opened) if isinstance(line, Dated) else ""
        if hint:
            return VenueRefusedUs(
                f"{asked.channel}: {hint}", cause=RefusalCause.CLOCK, fix="start the host's time service, then restart"
            )
        return VenueRefusedUs(f"the venue refused the key for {asked.channel}", cause=RefusalCause.KEY)

    def tend(self, connection: Connection) -> None:
        if self._talk is None:
            with self._lock:
                channel = next(iter(self._renewals), None)
                ids = () if channel is None else tuple(self._renewals.pop(channel))
            self._talk = (
                None if channel is None else self._begun_anew(connection, Asked(channel=channel, product_ids=ids))
            )
        if self._talk is not None and next(self._talk, self) is self:
            self._talk = None

    def _begun_anew(self, connection: Connection, asked: Asked) -> Talk:
        yield from self._say(connection, "unsubscribe", asked)
        yield from self._say(connection, "subscribe", asked)
        told = self._confirmed.get(asked.channel)
        if self._errors or told is None or set(asked.product_ids) - set(told):
            raise LineLost(Problem.OTHER, f"the venue did not take {asked.channel} a second time", code=None)

    # --- what is heard --------------------------------------------------------------------------------------

    def heard(self, connection: Connection, body: bytes, now: datetime) -> None:
        try:
            head = read_head(body)
            if not isinstance(head.channel, str):
                self._errors.append(decode(body, SocketError).message or "")
                if self._talk is None and connection is self._keeper.usable():
                    self._strays += 1  # an error nobody asked for; the connection stays (reference 11.1)
                return
            if not isinstance(head.sequence_num, int):
                raise WireError(f"a message of {head.channel} without a sequence number")
            if head.channel == "subscriptions":
                self._confirm(decode(body, SubscriptionsMessage))
        except WireError as unreadable:
            self._strays += 1
            raise LineLost(Problem.BROKEN_HTTP, f"a message cannot be read: {unreadable}") from None
        room = self.mailbox.put(
            Event(
                kind=self._kind,
                arrived=now,
                arrived_ns=connection.last_received_ns,
                connection=connection.number,
                channel=head.channel,
                body=body,
            )
        )
        if not room:
            self._put(connection, EventKind.OVERFLOW, detail="too many order events wait; the connection is given up")
            raise LineLost(Problem.OTHER, "the mailbox is full of order events")

    def _confirm(self, message: SubscriptionsMessage) -> None:
        found: dict[str, tuple[str, ...]] = {}
        for event in message.events or ():
            found |= event.subscriptions or {}
        self._confirmed = found
        self._confirmations += 1

    def lost(self, connection: Connection, how: LineLost) -> None:
        self._talk = None
        self._put(connection, EventKind.DOWN, detail=how.detail)

    def _put(self, connection: Connection, kind: EventKind, **more: Any) -> None:
        now, now_ns = self._clock.now(), self._clock.monotonic_ns()
        self.mailbox.put(Event(kind=kind, arrived=now, arrived_ns=now_ns, connection=connection.number, **more))
