"""A connection as the deciding thread sees it, and the channels it carries. Values and protocols only: nothing is sent here."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from perpsctl.exchange.streams.channels import Channel
from perpsctl.exchange.streams.mailbox import Mailbox
from perpsctl.exchange.streams.states import SocketState

__all__ = ["Host", "Source", "SourceFacts"]


class SourceFacts(Protocol):
    """What a connection says of itself."""

    @property
    def state(self) -> SocketState: ...

    @property
    def reason(self) -> str: ...


class Source(Protocol):
    """A connection that comes back by itself and fills a mailbox."""

    mailbox: Mailbox

    def start(self, *, thread: bool = True) -> None: ...

    def step(self, within: timedelta) -> bool: ...

    def stop(self) -> bool: ...

    def facts(self) -> SourceFacts: ...

    def give_up(self, reason: str) -> None: ...


@dataclass(slots=True, kw_only=True, eq=False)
class Host:
    """One connection and the channels it carries. `owned`: started and stopped here; `stepped`: it has no reader."""

    name: str
    source: Source
    owned: bool
    stepped: bool
    carries_orders: bool
    channels: list[Channel] = field(default_factory=list)
    connection: int = 0
    ended: int = 0
    reconnects: int = 0
    standing: bool = False
    told_refused: bool = False
