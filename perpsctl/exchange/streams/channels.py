"""One channel as the deciding thread follows it: complete or not, how old, and why it is not live.

A book and a mark are as old as their own last message (W5). What is quiet by nature (trades, orders, balances, a ticker
that speaks at each match) is as old as the last sign of life of its connection, whose numbering shows what is missing.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from perpsctl.domain.ids import ProductId
from perpsctl.domain.streams import ChannelHealth, ChannelState, StreamPart
from perpsctl.exchange.streams.keeper import nanoseconds

__all__ = ["Channel", "Key"]

Key = tuple[StreamPart, ProductId | None]
_MICROSECOND_NS = 1_000
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(slots=True, kw_only=True, eq=False)
class Channel:
    """`names` are the venue's channels it consists of; `by_life`: every message of the connection renews it; `begins`: it is

    complete with its first message or snapshot, not with its confirmation.
    """

    part: StreamPart
    product_id: ProductId | None
    names: tuple[str, ...]
    bound: timedelta
    by_life: bool
    begins: bool
    since: datetime
    standing: bool = False  # its connection stands and the venue confirmed it
    complete: bool = False  # it has all there is to have: a snapshot, where the venue sends one
    refused: str = ""
    broken: str = ""
    down: str = ""  # why its connection is gone; "" when it was never there
    last_ns: int | None = None  # its last message
    renewed_ns: int | None = None  # that, a sign of life, or a read that agreed
    asked_ns: int | None = None  # when a new snapshot was last asked for
    asks: int = 0
    bound_ns: int = field(init=False)
    _told: ChannelState = ChannelState.STARTING

    def __post_init__(self) -> None:
        self.bound_ns = nanoseconds(self.bound)

    @property
    def key(self) -> Key:
        return self.part, self.product_id

    def state(self, now_ns: int) -> ChannelState:
        """Where it stands."""
        if self.refused:
            return ChannelState.REFUSED
        if not self.standing:
            return ChannelState.DOWN if self.down else ChannelState.STARTING
        if self.broken:
            return ChannelState.BROKEN
        if not self.complete or self.renewed_ns is None:
            return ChannelState.STARTING
        return ChannelState.STALE if now_ns - self.renewed_ns > self.bound_ns else ChannelState.LIVE

    def overdue_since(self, at_ns: int) -> int | None:
        """Since when it had been stale at `at_ns`; None when it was not."""
        if not self.complete or self.broken or self.renewed_ns is None or at_ns - self.renewed_ns <= self.bound_ns:
            return None
        return self.renewed_ns + self.bound_ns

    def look(self, now: datetime, now_ns: int, starting: str) -> ChannelHealth:
        """As it stands; a change of state is dated by when it was noticed, turning stale by when it did."""
        state = self.state(now_ns)
        if state is not self._told:
            stale_ns = self.overdue_since(now_ns) if state is ChannelState.STALE else None
            past_ns = 0 if stale_ns is None else now_ns - stale_ns
            self._told, self.since = state, now - timedelta(microseconds=past_ns // _MICROSECOND_NS)
        last_ns = self.last_ns
        return ChannelHealth(
            part=self.part,
            product_id=self.product_id,
            state=state,
            age=None if last_ns is None else timedelta(microseconds=max(0, now_ns - last_ns) // _MICROSECOND_NS),
            bound=self.bound,
            since=self.since,
            reason=self._reason(state, starting),
        )

    def _reason(self, state: ChannelState, starting: str) -> str:
        match state:
            case ChannelState.LIVE:
                return ""
            case ChannelState.STARTING:
                return "no complete snapshot yet" if self.standing else starting
            case ChannelState.STALE:
                whose = "its connection" if self.by_life else "it"
                return f"{whose} said nothing for longer than {self.bound // _MILLISECOND} ms"
            case ChannelState.BROKEN:
                return self.broken
            case ChannelState.DOWN:
                return self.down
            case ChannelState.REFUSED:
                return self.refused
