"""What is over, page by page as the venue tells it: closed orders, waiting orders that ended, trades.

The venue keeps two windows: 30 minutes of orders and 24 hours of trades at once, older ones with an indexing delay and
without the recent (reference section 8.5, 2026-11-22); and one history an account, so each isolated slot is asked for by
its id. Whatever cannot be read to its last page raises: never a shorter list (E21, L5).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from perpsctl.domain.errors import VenueSpokeStrangely
from perpsctl.domain.ports import Clock
from perpsctl.exchange.endings import Got
from perpsctl.exchange.global_derivatives.catalogue import CURRENCY
from perpsctl.exchange.global_derivatives.link import Link
from perpsctl.exchange.global_derivatives.moments import millis
from perpsctl.exchange.global_derivatives.slots import AGE_FOR_FILLS, Slots
from perpsctl.exchange.pages import Pages
from perpsctl.wire.global_derivatives import params, trading
from perpsctl.wire.global_derivatives.common import said

__all__ = ["ROWS", "Histories"]

ROWS: Final = 1000  # the most one page may hold
_AHEAD: Final = timedelta(minutes=5)  # the venue's clock may be before ours
_CROSS: Final = None
_Orders = tuple[trading.Order, ...]


class Histories:
    """The histories of one key's account and of its isolated slots."""

    def __init__(self, link: Link, clock: Clock) -> None:
        self._link = link
        self._clock = clock
        self._slots = Slots(link)

    def orders(self, start: datetime) -> list[Got[_Orders]]:
        """Closed orders from `start` on, and some before it, of every scope and from both windows."""
        scopes = (_CROSS, *sorted(self._slots.ids()))
        return [page for slot in scopes for old in (False, True) for page in self._orders(start, slot, historical=old)]

    def recent_orders(self, start: datetime) -> list[Got[_Orders]]:
        """The cross account's closed orders that are told at once."""
        return self._orders(start, _CROSS, historical=False)

    def triggers(self, start: datetime) -> list[Got[trading.TriggerHistory]]:
        """Waiting orders that fired, were cancelled or failed on triggering; a slot has none (reference section 8.1)."""
        pages = Pages("waiting orders")
        found: list[Got[trading.TriggerHistory]] = []
        cursor: str | None = None
        while True:
            asked = params.OrdersParams(currency=CURRENCY, count=ROWS, continuation=said(cursor))
            got = self._link.read("private/get_trigger_order_history", asked, trading.TriggerHistory)
            rows, told = got.body.entries, got.body.continuation
            if not isinstance(rows, tuple):
                raise VenueSpokeStrangely("the list of waiting orders has no rows at all, not even none")
            found.append(got)
            cursor = told if isinstance(told, str) and told else None
            ended = _all_older([row.timestamp for row in rows], start)
            if not pages.turn(None if ended else cursor, rows=len(rows)):
                return found

    def trades(self, start: datetime, *, cross_only: bool = False) -> list[trading.UserTrade]:
        """Trades from `start` on, of every scope and from both windows; some come twice."""
        scopes = (_CROSS,) if cross_only else (_CROSS, *sorted(self._slots.ids(max_age=AGE_FOR_FILLS)))
        return [row for slot in scopes for old in (True, False) for row in self._trades(start, slot, historical=old)]

    def _orders(self, start: datetime, slot: int | None, *, historical: bool) -> list[Got[_Orders]]:
        """One window of one scope; it ends early where rows are told newest first and too old."""
        pages = Pages("orders")
        found: list[Got[_Orders]] = []
        while True:
            asked = params.OrdersParams(
                currency=CURRENCY,
                kind="future",
                count=ROWS,
                offset=pages.count * ROWS,
                include_old=True,
                include_unfilled=True,
                historical=historical,
                subaccount_id=said(slot),
            )
            got = self._link.read("private/get_order_history_by_currency", asked, _Orders)
            found.append(got)
            more = len(got.body) >= ROWS and not _all_older([row.creation_timestamp for row in got.body], start)
            if not pages.turn(str(pages.count + 1) if more else None, rows=len(got.body)):
                return found

    def _trades(self, start: datetime, slot: int | None, *, historical: bool) -> list[trading.UserTrade]:
        """One window of one scope. Pages begin at the last moment seen, so none is lost and some come twice."""
        pages = Pages("fills")
        found: list[trading.UserTrade] = []
        at = millis(start)
        end = millis(self._clock.now() + _AHEAD)
        while True:
            asked = params.TradesParams(
                currency=CURRENCY,
                kind="future",
                start_timestamp=at,
                end_timestamp=end,
                count=ROWS,
                sorting="asc",
                historical=historical,
                subaccount_id=said(slot),
            )
            got = self._link.read("private/get_user_trades_by_currency_and_time", asked, trading.UserTrades)
            rows = got.body.trades
            if not isinstance(rows, tuple):
                raise VenueSpokeStrangely("the list of fills has no rows at all, not even none")
            found += rows
            more = got.body.has_more is True or (got.body.has_more is not False and len(rows) >= ROWS)
            if not more:
                return found
            last = _latest(rows)
            pages.turn(str(last), rows=len(rows))
            at = last


def _all_older(made: Sequence[object], start: datetime) -> bool:
    """True when a page runs newest first and ends before `start`: what follows is older still."""
    told = [at for at in made if isinstance(at, int)]
    newest_first = len(told) == len(made) and told == sorted(told, reverse=True)
    return newest_first and bool(told) and told[-1] < millis(start)


def _latest(rows: Sequence[trading.UserTrade]) -> int:
    if not rows:
        raise VenueSpokeStrangely("the list of fills is incomplete: a page without rows promises more")
    last = max((row.timestamp for row in rows if isinstance(row.timestamp, int)), default=None)
    if last is None:
        raise VenueSpokeStrangely("the list of fills is incomplete: its rows tell no time")
    return last
