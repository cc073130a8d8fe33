"""One socket of the US venue, market data or user host, without any network: frames in, frames out, and when it closes.

Advanced Trade reference sections 10 and 11 (2026-11-22): one channel a message, an acknowledgement that lists everything
subscribed to, one sequence per connection from 0 over every channel, acknowledgements and heartbeats; an error leaves the
socket open. Not on record, and ours: the close codes, and that an update-less socket ends after 60 to 90 s by its number.
Tokens are verified for real, on market channels too where one comes along.
"""

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from perpsctl.simulator.auth import Refusal, verify_login
from perpsctl.simulator.core import Core
from perpsctl.simulator.exchange import Exchange
from perpsctl.simulator.faces.messages import first_of, word
from perpsctl.simulator.faces.spelling import stamp
from perpsctl.simulator.faces.us import UsFace
from perpsctl.simulator.faces.us_channels import (
    Asking,
    Candles,
    Channel,
    Heartbeats,
    Level2,
    MarketTrades,
    Ticker,
    TickerBatch,
    Told,
    User,
    balance_channel,
    status_channel,
)
from perpsctl.simulator.faces.us_feeds import UsFeeds
from perpsctl.simulator.faults import Effect, EffectKind
from perpsctl.simulator.outlet import CUT, Closing, Outlet, SocketName
from perpsctl.simulator.ratelimit import Budgets
from perpsctl.simulator.stream_judge import StreamJudge
from perpsctl.wire.advanced_trade import socket as wire
from perpsctl.wire.guard import WireError, decode

SUBSCRIBE_WITHIN = timedelta(seconds=5)
CONNECTIONS_PER_SECOND = 8
MESSAGES_PER_SECOND = 8
FRAME_BYTES_MAX = 65_536  # of a client's message: ours
PAST_KEPT = 100
REFUSED, ASK_PROPERLY = "authentication failure", "subscribe or unsubscribe required"
PRIVATE = frozenset({"user", "futures_balance_summary"})
WITHOUT_PRODUCTS = PRIVATE | {"heartbeats", "status"}
MARKET = frozenset({"candles", "market_trades", "ticker", "ticker_batch", "level2"})
CHANNELS = WITHOUT_PRODUCTS | MARKET
_POLICY, _TOO_BIG, _GOING_AWAY, _RESTARTED = 1008, 1009, 1001, 1012
_UNSIGNED = frozenset({EffectKind.KEY_EXPIRED, EffectKind.UNAUTHORIZED, EffectKind.IP_NOT_ALLOWED})
_CUTS = frozenset({EffectKind.REFUSE_CONNECTION, EffectKind.DNS_FAILURE, EffectKind.CLOSE_IDLE, EffectKind.RESET})
_MARKET_CHANNELS: dict[str, Callable[[Sequence[str]], Channel]] = {
    "level2": Level2,
    "market_trades": MarketTrades,
    "ticker": Ticker,
    "ticker_batch": TickerBatch,
    "candles": Candles,
}
_ENCODER = msgspec.json.Encoder()


class UsSockets:
    """What the sockets of one exchange share: its feeds, its budgets, its judge."""

    def __init__(self, face: UsFace, judge: StreamJudge) -> None:
        self.face = face
        self.exchange: Exchange = face.exchange
        self.judge = judge
        self.budgets = Budgets()
        self._feeds: UsFeeds | None = None

    def feeds(self, core: Core) -> UsFeeds:
        """The feeds of the account in force, with the exchange's lock held."""
        if self._feeds is None or self._feeds.account != core.state.account:
            self._feeds = UsFeeds(self.exchange, core)
        return self._feeds

    def admits(self, client_ip: str) -> bool:
        """Whether one more connection of an address may be opened now: eight a second."""
        return self._within(f"connect:{client_ip}", CONNECTIONS_PER_SECOND)

    def admits_message(self, client_ip: str) -> bool:
        """Whether one more message without a good token may come: eight a second."""
        return self._within(f"message:{client_ip}", MESSAGES_PER_SECOND)

    def _within(self, caller: str, per_second: int) -> bool:
        self.budgets.enforced = self.face.budgets.enforced
        return self.budgets.take(caller, per_second, self.exchange.now()).allowed

    def open(self, name: SocketName, client_ip: str, *, heard: Callable[[], None] = lambda: None) -> "UsSocket":
        """A new connection."""
        return UsSocket(self, name, client_ip, heard=heard)


class _Refused(Exception):
    """An error message; the socket stays open."""


class UsSocket:
    """One connection from its opening to its end. One thread at a time."""

    def __init__(
        self, shared: UsSockets, name: SocketName, client_ip: str, *, heard: Callable[[], None] = lambda: None
    ) -> None:
        self.closing: Closing | None = None
        self._shared = shared
        self._exchange = shared.exchange
        self._ip = client_ip
        self._told_heard = heard
        with self._exchange.us() as core:
            self._account = core.state.account
            self._opened = core.state.now
        self.record = shared.judge.opened(name, client_ip, self._opened)
        self._outlet = Outlet(self._exchange.faults, name, self.record)
        self._idle_max = timedelta(seconds=60 + self.record.number * 7 % 31)
        self._last = self._opened
        self._sequence = 0
        self._subscribed = False
        self._channels: dict[str, Channel] = {}

    @property
    def flooding(self) -> bool:
        """True while a flood runs (W10)."""
        return self._outlet.flooding

    # --- what happens ----------------------------------------------------------------------------------------

    def receive(self, frame: bytes | str) -> list[bytes]:
        """One message of the client's: what is said to it at once."""
        body = frame.encode("utf-8", "replace") if isinstance(frame, str) else frame
        self._told_heard()
        if self.closing is not None:
            return []
        if len(body) > FRAME_BYTES_MAX:
            return self._close(_TOO_BIG, "message too big")
        try:
            told = self._asked(body)
        except _Refused as refused:
            self.record.refused_subscribes += 1
            told = [_ENCODER.encode(wire.SocketError(type="error", message=str(refused)))]
        return told + self.due()

    def due(self) -> list[bytes]:
        """What time has brought: messages of the channels, and the reasons to close."""
        if self.closing is not None:
            return []
        with self._exchange.us() as core:
            now = core.state.now
            if core.state.account != self._account:
                return self._close(_RESTARTED, "restart")
            if not self._subscribed and now - self._opened >= SUBSCRIBE_WITHIN:
                return self._close(_POLICY, "no subscribe within 5 seconds")
            self._outlet.old_enough(now)
            told = [] if self._over() else self._messages(core, now)
            if not self._over() and not self._outlet.stalled(now) and now - self._last >= self._idle_max:
                self._close(_GOING_AWAY, "no updates")
            return told

    def ended(self) -> int:
        """The connection is over, whoever ended it. Nothing at the venue hangs on it."""
        if self.record.closed_at is None:
            self.record.closed_at = self._exchange.now()
            self.record.close_code = (
                self.closing.code if self.closing is not None and self.closing.code != CUT else None
            )
            self.record.closed_by = self.record.closed_by or ("client" if self.closing is None else "venue")
        return 0

    def _over(self) -> bool:
        if self._outlet.closing is not None and self.closing is None:
            self.closing = self._outlet.closing
        return self.closing is not None

    def _close(self, code: int, reason: str) -> list[bytes]:
        self.closing = Closing(code, reason)
        return []

    # --- out -------------------------------------------------------------------------------------------------

    def _messages(self, core: Core, now: datetime) -> list[bytes]:
        feeds = self._shared.feeds(core)
        told: list[bytes] = []
        for channel in self._channels.values():
            for message in channel.messages(self._asking(core, feeds, now)):
                told += self._leave(message, channel.word, feeds, now)
                if self._over():
                    return told
        return told + self._flood(core, feeds, now)

    def _asking(self, core: Core, feeds: UsFeeds, now: datetime) -> Asking:
        return Asking(core=core, feeds=feeds, now=now, outlet=self._outlet, number=self._sequence)

    def _leave(self, message: Told, word: str, feeds: UsFeeds, now: datetime) -> list[bytes]:
        number = self._next_number()
        self._last = now
        if message.book is not None:
            self.record.mark(message.book[0], number, message.book[1])
        if not message.snapshot and message.dated is None:
            past = feeds.past.setdefault(word, deque(maxlen=PAST_KEPT))
            past.append((message.channel, message.events, now))
        frame = self._frame(message.channel, message.dated or now, number, message.events)
        return self._outlet.leave(frame, channel=word, number=number, now=now, snapshot=message.snapshot)

    def _next_number(self) -> int:
        self._sequence += 1
        return self._sequence - 1

    @staticmethod
    def _frame(channel: str, at: datetime, number: int, events: bytes) -> bytes:
        return b"%s%d%s%s}" % (_envelope(channel, at), number, b',"events":', events)

    def _flood(self, core: Core, feeds: UsFeeds, now: datetime) -> list[bytes]:
        """Frames built beforehand but for their number (W10)."""
        books = next((each for each in self._channels.values() if isinstance(each, Level2)), None)
        if books is None:
            return []
        event = books.flood_event(self._asking(core, feeds, now))
        count = 0 if event is None else self._outlet.flood_due(now)
        if not count or event is None:
            return []
        head, tail = _envelope("l2_data", now), b',"events":' + event + b"}"
        first, self._sequence = self._sequence, self._sequence + count
        self._last = now
        leaving = self._outlet.spared(range(first, self._sequence), "level2", now)
        return [b"%s%d%s" % (head, number, tail) for number in leaving]

    # --- in --------------------------------------------------------------------------------------------------

    def _asked(self, body: bytes) -> list[bytes]:
        """The acknowledgement of a subscribe or unsubscribe; _Refused for an error message."""
        try:
            request = decode(body, wire.SubscribeRequest)
        except WireError:
            request = wire.SubscribeRequest()
        if request.type not in {"subscribe", "unsubscribe"}:
            self._count_message()
            raise _Refused(ASK_PROPERLY)
        channel = request.channel if isinstance(request.channel, str) else ""
        now = self._exchange.now()
        effects = self._exchange.faults.wire_effects("subscribe")
        if self._outlet.cut_at_subscribe(channel, now) or any(effect.kind in _CUTS for effect in effects):
            self.closing = self._outlet.closing or Closing(CUT, "")
            self.record.closed_by = "fault"
            return []
        self._permit(request, channel, effects, now)
        if channel not in CHANNELS:
            raise _Refused(REFUSED)
        ids = [] if not isinstance(request.product_ids, tuple) else list(dict.fromkeys(request.product_ids))
        how = self._outlet.subscribe_fault(channel, now) if request.type == "subscribe" else None
        if how == "refused":
            raise _Refused(REFUSED)
        self._subscribed = True
        if how == "ignored":
            return []
        with self._exchange.us() as core:
            listed = core.state.products
            if how == "wrong_product":
                ids = [next(each for each in reversed(listed) if each not in ids)]
            known = [each for each in ids if each in listed]
            if request.type == "subscribe":
                self._subscribe(channel, known, core)
            else:
                self._unsubscribe(channel, known)
            return [*self._acknowledged(core.state.now), *self._replayed(channel, core)]

    def _permit(self, request: wire.SubscribeRequest, channel: str, effects: tuple[Effect, ...], now: datetime) -> None:
        """_Refused unless the token is good, or none is needed and none came."""
        if not isinstance(request.jwt, str) or not request.jwt:
            self._count_message()
            if channel in PRIVATE or isinstance(request.api_key, str):
                raise _Refused(REFUSED)
            return
        found = verify_login(request.jwt, now=now + self._outlet.token_late_by(now), keys=self._shared.face.keys)
        revoked = first_of(effects, EffectKind.SCOPE_REVOKED)
        lost = revoked is not None and word(revoked, "scope", "trade") == "view"
        if (
            isinstance(found, Refusal)
            or any(effect.kind in _UNSIGNED for effect in effects)
            or not self._shared.face.address_listed(self._ip)
            or (channel in PRIVATE and (lost or not found.key.can_view))
        ):
            self._count_message()
            raise _Refused(REFUSED)

    def _count_message(self) -> None:
        if not self._shared.admits_message(self._ip):
            self._close(_POLICY, "rate limit")

    def _subscribe(self, channel: str, ids: list[str], core: Core) -> None:
        user_id = core.state.user_id
        elsewhere = self._exchange.faults.standing("A6", "subscribe") is not None
        match channel:
            case "heartbeats":
                feeds = self._shared.feeds(core)
                self._channels.setdefault(channel, Heartbeats(feeds.heartbeat_count(core.state.now)))
            case "user":
                self._shared.feeds(core).orders(core)
                self._channels[channel] = User(user_id=user_id, products=tuple(ids), elsewhere=elsewhere)
            case "futures_balance_summary":
                self._channels[channel] = balance_channel(user_id, elsewhere=elsewhere)
            case "status":
                self._channels[channel] = status_channel(ids or list(core.state.products))
            case _:
                known = self._channels.get(channel)
                if known is None:
                    self._channels[channel] = _MARKET_CHANNELS[channel](ids)
                else:
                    known.drop(ids)  # asked for once more: told from its snapshot on
                    known.add(ids)

    def _unsubscribe(self, channel: str, ids: list[str]) -> None:
        known = self._channels.get(channel)
        if known is None:
            return
        if channel in MARKET and ids:
            known.drop(ids)
        if channel not in MARKET or not ids or not known.ids:
            del self._channels[channel]

    def _acknowledged(self, now: datetime) -> list[bytes]:
        """All there is now, whatever was asked for last."""
        listing = {word: tuple(channel.ids) for word, channel in self._channels.items()}
        event = wire.SubscriptionsEvent(subscriptions=listing)
        number = self._next_number()
        if self._outlet.stalled(now):
            return []
        self.record.told("subscriptions", number)
        self._last = now
        return [self._frame("subscriptions", now, number, _ENCODER.encode([event]))]

    def _replayed(self, channel: str, core: Core) -> list[bytes]:
        """Old updates come once more, before the snapshot, under new numbers and their old times (W8)."""
        now, feeds = core.state.now, self._shared.feeds(core)
        wanted = self._outlet.replay(channel, now) if channel in self._channels else 0
        told: list[bytes] = []
        for name, events, at in list(feeds.past.get(channel, ()))[-wanted:] if wanted else ():
            number = self._next_number()
            told.append(self._frame(name, at, number, events))
            self.record.told(channel, number)
            self.record.replayed += 1
        return told


def _envelope(channel: str, at: datetime) -> bytes:
    """Everything before the number; the fields' order is that of the recordings."""
    text = f'{{"channel":"{channel}","client_id":"","timestamp":"{stamp(at)}","sequence_num":'
    return text.encode("ascii")
