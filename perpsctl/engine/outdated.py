"""Says when a view was overtaken: an order that could fill ended after the view's reads began, so positions may lack its fill.

Reads come before the journal's transaction; what ends in between is neither a live order any more nor, surely, in the
positions read. Such a view is read again, and at the last attempt it holds no positions at all, which denies (R5, R7).
"""

from dataclasses import replace
from datetime import datetime
from typing import Final

from perpsctl.domain.accounts import Booked, RiskView

JUDGE_ATTEMPTS: Final = 3


class ViewOutdated(Exception):
    """Positions were read too early; nothing was judged and nothing committed: read again."""


def outdated(before: Booked, now: Booked) -> bool:
    """True when an order that could fill ended after `before` was read: positions read since may lack its fill.

    An order that is still live is counted whole, one proven to have ended empty changed nothing, and one committed since
    is counted whole by risk itself (`risk.exposure.unseen_orders`).
    """
    live_now = {order.intent_id for order in now.live}
    empty = {recent.intent_id for recent in now.recent if recent.ended_empty}
    was_live = {order.intent_id for order in before.live if order.intent_id is not None}
    return bool(was_live - live_now - empty)


def current(view: RiskView, before: Booked | None, booked: Booked, now: datetime, *, last: bool) -> RiskView:
    """The view to judge by with what the journal holds; `before` is what it held when the view's reads began.

    Raises ViewOutdated when the view was overtaken, unless this is the `last` attempt. None for `before`: not known.
    """
    view = replace(view, now=now).booked(booked)
    if before is None or not outdated(before, booked):
        return view
    if not last:
        raise ViewOutdated
    return replace(view, positions=None)
