"""What stands and what does not: the faults of a run's streams from the moment they were seen to the proven safe state.

Kept here is when each channel was fresh, broken, gone or refused, which faults are open, and what the engine still has to
settle. Nothing here reads a message, holds a price or asks a venue for anything.

- uptime: exact. A channel has fresh data from a message until its bound later, also when its connection was lost
  meanwhile (age decides, not the state of a socket); a gap throws the data away at once. Refused channels are left out.
- recoveries: a lost connection is one fault, safe when each of its channels is live again and, where it carries orders,
  the engine has settled after that. A gap is one, safe when what it cost is live again (orders: and settled). A channel
  that was stale is one, from its bound to its next message or confirmation. Every one up to 4,096, then a fair sample
  that always holds the longest.
"""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from enum import Enum

from perpsctl.domain.ids import Ids
from perpsctl.domain.streams import ChannelState, StreamPart
from perpsctl.exchange.streams.channels import Channel, Key
from perpsctl.exchange.streams.figures import Recoveries, Samples, Uptime
from perpsctl.exchange.streams.hosts import Host
from perpsctl.exchange.streams.keeper import nanoseconds

__all__ = ["Faults"]

CALM_AFTER = timedelta(seconds=10)  # a book that stayed live so long had nothing to do with the last gap


class _Settling(Enum):
    """How far a fault of orders has come."""

    UNTOLD = "untold"
    TOLD = "told"  # by `take`
    SETTLED = "settled"  # the engine reconciled since; the channels may not all be live yet


class Faults:
    """The faults of these connections. Every moment is a monotonic count in nanoseconds, told in order of time."""

    def __init__(self, ids: Ids) -> None:
        self._hosts: Sequence[Host] = ()
        self._carriers: dict[Key, Host] = {}
        self._uptime = Uptime()
        self._samples = Samples(ids)
        self._recoveries = Recoveries(self._samples)
        self._unsettled: dict[object, _Settling] = {}  # faults of orders

    def follow(self, hosts: Sequence[Host]) -> None:
        """These connections and all their channels count from now on."""
        self._hosts = hosts
        self._carriers = {channel.key: host for host in hosts for channel in host.channels}
        for key in self._carriers:
            self._uptime.watch(key)

    # --- what happened ------------------------------------------------------------------------------------

    def stands(self, host: Host) -> None:
        """Set up; its orders are unsettled until the engine has reconciled."""
        if host.carries_orders:
            self._unsettled[host.name] = _Settling.UNTOLD

    def lost(self, host: Host, at_ns: int, why: str) -> bool:
        """The connection is gone, its channels down; True when it had stood."""
        was_standing, host.standing = host.standing, False
        overdue = [channel.overdue_since(at_ns) for channel in host.channels if channel.by_life]
        seen_ns = min((since for since in overdue if since is not None), default=at_ns)
        for channel in host.channels:
            channel.standing = channel.complete = False
            channel.broken, channel.down = "", why
            channel.renewed_ns = None
            self._goes_on_as_the_hosts(channel)
        if was_standing or self._recoveries.is_open(host.name):
            self._recoveries.fault(host.name, seen_ns)  # a silence was seen before the connection was given up
        if host.carries_orders and was_standing:
            self._unsettled[host.name] = _Settling.UNTOLD
        return was_standing

    def _goes_on_as_the_hosts(self, channel: Channel) -> None:
        """A fault of one channel goes on as its connection's: the earlier of the two moments counts."""
        since_ns = self._recoveries.dropped(channel.key)
        self._unsettled.pop(channel.key, None)
        if since_ns is not None:
            self._recoveries.fault(self._carriers[channel.key].name, since_ns)

    def lives(self, host: Host, at_ns: int) -> None:
        """A sign of life of the connection: what is quiet by nature is as young as that."""
        overdue = [self._renewed(channel, at_ns) for channel in host.channels if channel.by_life and channel.standing]
        stale_ns = min((since for since in overdue if since is not None), default=None)
        if stale_ns is not None:  # one silence, however many channels it made stale
            self._recoveries.lasted(at_ns - stale_ns)

    def heard(self, channel: Channel, at_ns: int) -> None:
        """A message of this channel itself."""
        channel.last_ns = at_ns
        stale_ns = self._renewed(channel, at_ns)
        if stale_ns is not None and not channel.by_life:
            self._recoveries.lasted(at_ns - stale_ns)

    def _renewed(self, channel: Channel, at_ns: int) -> int | None:
        """As young as this moment; since when it had been stale, None when it had not."""
        stale_ns = channel.overdue_since(at_ns)
        channel.renewed_ns = at_ns
        if channel.complete and not channel.broken:
            self._uptime.fresh(channel.key, at_ns, channel.bound_ns)
        return stale_ns

    def confirmed(self, channel: Channel, now_ns: int, past_ns: int) -> None:
        """As young as a read that agreed, asked for so long ago; uptime does not count it."""
        stale_ns = channel.overdue_since(now_ns)
        channel.renewed_ns = max(channel.renewed_ns or 0, now_ns - past_ns)
        if stale_ns is not None:
            self._recoveries.lasted(now_ns - stale_ns)

    def complete(self, channel: Channel, at_ns: int) -> None:
        """It has all there is to have: live from now on."""
        if not channel.complete or channel.broken:
            channel.complete, channel.broken = True, ""
            channel.renewed_ns = at_ns
            self.perhaps_live(channel, at_ns)

    def perhaps_live(self, channel: Channel, at_ns: int) -> None:
        """Live, if its connection stands: counted as fresh, and what faults that ends is safe again."""
        if not channel.complete or channel.broken or not channel.standing:
            return
        if channel.renewed_ns is None:
            channel.renewed_ns = at_ns
        self._uptime.fresh(channel.key, channel.renewed_ns, channel.bound_ns)
        self._end_if_safe(channel.key, at_ns)
        self._end_if_safe(self._carriers[channel.key].name, at_ns)

    def broken(self, channel: Channel, at_ns: int, reason: str) -> None:
        """What it had built is thrown away."""
        if not channel.broken and channel.renewed_ns is not None and channel.asked_ns is not None:
            calm = at_ns - channel.asked_ns > nanoseconds(CALM_AFTER)
            channel.asks = 0 if calm else channel.asks
        channel.broken, channel.complete = reason, False
        self._uptime.gone(channel.key, at_ns)
        if not self._recoveries.is_open(self._carriers[channel.key].name):
            self._recoveries.fault(channel.key, at_ns)
        if channel.part is StreamPart.ORDERS:
            self._unsettled[channel.key] = _Settling.UNTOLD

    def refused(self, channel: Channel, at_ns: int, reason: str) -> None:
        """The venue will not have it: no fault, and left out of uptime."""
        channel.refused = reason
        self._uptime.leave_out(channel.key, at_ns)

    # --- what the engine knows ----------------------------------------------------------------------------

    def told(self) -> None:
        """The engine was told of everything so far."""
        for fault, settling in self._unsettled.items():
            if settling is _Settling.UNTOLD:
                self._unsettled[fault] = _Settling.TOLD

    def settled(self, now_ns: int) -> None:
        """It has reconciled after all it was told."""
        for fault, settling in list(self._unsettled.items()):
            if settling is _Settling.TOLD:
                self._unsettled[fault] = _Settling.SETTLED
                self._end_if_safe(fault, now_ns)

    def _end_if_safe(self, fault: object, at_ns: int) -> None:
        """Over, when all it touched is live and, of orders, the engine has settled."""
        if self._unsettled.get(fault, _Settling.SETTLED) is _Settling.SETTLED and self._all_live(fault, at_ns):
            self._unsettled.pop(fault, None)
            self._recoveries.safe(fault, at_ns)

    def _all_live(self, fault: object, now_ns: int) -> bool:
        """True when each channel a fault touched is live, those the venue refuses left out: of a connection, or the one."""
        states = [
            channel.state(now_ns)
            for host in self._hosts
            for channel in host.channels
            if fault in (host.name, channel.key)
        ]
        asked = [state for state in states if state is not ChannelState.REFUSED]
        return bool(asked) and all(state is ChannelState.LIVE for state in asked)

    # --- in figures ---------------------------------------------------------------------------------------

    def uptime(self, now_ns: int) -> Decimal | None:
        """The share so far; None before it begins."""
        return self._uptime.share(now_ns)

    def recoveries(self) -> tuple[timedelta, ...]:
        """How long each took, or a fair sample that holds the longest."""
        return self._samples.told()
