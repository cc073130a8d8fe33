"""The user channels of the gateway's trading host: which there are, and what each has to tell since it was last asked.

No snapshot of orders is sent on subscribe and no message carries a sequence number (Global Derivatives reference section
12, 2026-11-22): who was away has to read. A `raw` order message is one order, an interval's a list; trades are always a
list. Isolated orders are told on the `user.isolated` twins only. Whether a balance is told on subscribe is not on record.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from perpsctl.simulator.faces.global_rows import Row, money_row, order_row, position_row, trade_row
from perpsctl.simulator.gateway.state import CROSS, GatewayEvent, GatewayState

_USER = re.compile(
    r"user\.(?P<isolated>isolated\.)?(?P<what>orders|trades|changes)\."
    r"(?:(?P<product>[A-Z0-9]+_[A-Z0-9]+-[A-Z0-9]+)|(?P<kind>any|future|option|spot|future_combo|option_combo)"
    r"\.(?P<currency>any|[A-Z]{3,5}))\.(?P<interval>raw|100ms|agg2)",
    re.ASCII,
)
# Channels the gateway has and this exchange does not serve: a named error, never a silent gap that is ours.
_NOT_SERVED = re.compile(
    r"user\.(?:isolated\.portfolio|(?:isolated\.)?(?:lock|position_lock|access_log|liquidation|trailing_orders))(?:\..*)?",
    re.ASCII,
)
_PORTFOLIO = re.compile(r"user\.portfolio\.(?P<currency>any|[A-Z]{3,5})", re.ASCII)
PORTFOLIO_PACE = timedelta(seconds=1)  # ours: every move of a mark moves the equity
_INTERVALS = {"raw": timedelta(0), "100ms": timedelta(milliseconds=100), "agg2": timedelta(seconds=1)}


@dataclass(slots=True)
class UserChannel:
    """One subscription: what it asks for, and up to which event it was told."""

    name: str
    what: str
    isolated: bool
    product_id: str | None
    matches: bool  # False: a kind or currency of which there is nothing here
    interval: timedelta
    told: int
    due: datetime
    kind: str = "user"

    def messages(self, state: GatewayState, now: datetime) -> list[object]:
        """The `data` of each message that is due, in order."""
        if now < self.due:
            return []
        fresh = [event for event in state.events if event.number > self.told and self._wants(event)]
        self.told = state.event_count
        if not fresh:
            return []
        self.due = now + self.interval
        return list(self._told(state, fresh))

    def _wants(self, event: GatewayEvent) -> bool:
        product_id, slot = event.scope
        return self.matches and self.isolated == (slot != CROSS) and self.product_id in {None, product_id}

    def _told(self, state: GatewayState, events: Sequence[GatewayEvent]) -> Iterator[object]:
        orders = [event for event in events if event.order is not None]
        trades = [event for event in events if event.trade is not None]
        match self.what:
            case "orders" if not self.interval:
                yield from (order_row(state, event.order) for event in orders if event.order is not None)
            case "orders":
                if orders:
                    yield _orders(state, orders)
            case "trades":
                if trades:
                    yield _trades(state, trades)
            case _:
                yield from _changes(state, events)


@dataclass(slots=True)
class PortfolioChannel:
    """The cross account's money, whenever it is another; one summary a message."""

    name: str
    matches: bool  # False: a currency of which there is nothing here
    due: datetime
    told: Row | None  # None: what there is now is news
    kind: str = "user"
    product_id: str = ""

    def messages(self, state: GatewayState, now: datetime) -> list[object]:
        """The summary, if one is due."""
        if not self.matches or now < self.due:
            return []
        row = money_row(state, state.money())
        if row == self.told:
            return []
        self.told, self.due = row, now + PORTFOLIO_PACE
        return [row]


def _orders(state: GatewayState, events: Sequence[GatewayEvent]) -> list[Row]:
    return [order_row(state, event.order) for event in events if event.order is not None]


def _trades(state: GatewayState, events: Sequence[GatewayEvent]) -> list[Row]:
    return [trade_row(state, event.trade) for event in events if event.trade is not None]


def _changes(state: GatewayState, events: Sequence[GatewayEvent]) -> Iterator[Row]:
    for product_id in dict.fromkeys(event.scope[0] for event in events):
        own = [event for event in events if event.scope[0] == product_id]
        yield {
            "instrument_name": product_id,
            "trades": _trades(state, own),
            "positions": [position_row(state, scope) for scope in dict.fromkeys(event.scope for event in own)],
            "orders": _orders(state, own),
        }


def is_not_served(name: str) -> bool:
    """True for a channel of the gateway that this exchange does not have."""
    return _NOT_SERVED.fullmatch(name) is not None


def user_channel(
    name: str, state: GatewayState, now: datetime, *, portfolio_at_once: bool = True
) -> UserChannel | PortfolioChannel | None:
    """The subscription behind a name, from now on; None for what the gateway silently drops."""
    portfolio = _PORTFOLIO.fullmatch(name)
    if portfolio is not None:
        return PortfolioChannel(
            name=name,
            matches=portfolio["currency"] in {"any", "USDC"},
            due=now,
            told=None if portfolio_at_once else money_row(state, state.money()),
        )
    found = _USER.fullmatch(name)
    if found is None:
        return None
    product_id = found["product"]
    if product_id is not None and product_id not in state.products:
        return None
    return UserChannel(
        name=name,
        what=found["what"],
        isolated=found["isolated"] is not None,
        product_id=product_id,
        matches=product_id is not None or (found["kind"] in {"any", "future"} and found["currency"] in {"any", "USDC"}),
        interval=_INTERVALS[found["interval"]],
        told=state.event_count,
        due=now,
    )
