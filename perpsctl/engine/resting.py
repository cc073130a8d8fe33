"""Cares for the loop's own resting orders: renews them in time, takes them away before it gets unwise to rest.

A renewal is a new intent after a proven cancel, never a silent repeat. Nothing here opens anything that did not rest.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from perpsctl.domain.accounts import Booked, RiskView
from perpsctl.domain.errors import OffGrid, UsageError
from perpsctl.domain.ids import IntentId, ProductId, VenueOrderId
from perpsctl.domain.numbers import Size
from perpsctl.domain.orders import OrderIntent, Origin, TimeInForce
from perpsctl.domain.ports import Journal
from perpsctl.domain.products import VenueCapabilities
from perpsctl.domain.quantize import quantize
from perpsctl.domain.verdicts import DenialCode, Denied
from perpsctl.engine.strategies import Working
from perpsctl.risk.judge import evaluate
from perpsctl.risk.limits import RiskLimits

AHEAD_CODES: Final = frozenset({DenialCode.QUIET_WINDOW, DenialCode.MARGIN_WINDOW_AHEAD, DenialCode.BREAK_AHEAD})
RENEWAL_REASON: Final = "resting-ttl renewal"


def working_orders(journal: Journal, product_id: ProductId) -> tuple[Working, ...]:
    """The strategy orders of this product that could still fill, of this run and of any before it."""
    found = []
    for record in journal.working():
        intent = record.intent
        if not isinstance(intent, OrderIntent) or intent.origin is not Origin.STRATEGY:
            continue
        if intent.product_id == product_id and record.venue_order_id is not None:
            found.append(
                Working(
                    intent=intent,
                    venue_order_id=record.venue_order_id,
                    order=record.order,
                    placed_at=record.committed_at,
                )
            )
    return tuple(found)


def unwise(
    working: Sequence[Working], view: RiskView, booked: Booked, limits: RiskLimits
) -> tuple[tuple[Working, str], ...]:
    """Resting entries that would be denied now for what is ahead: a quiet window, dearer margin, a break (design 6)."""
    found = []
    for each in working:
        if each.intent.reduce_only:
            continue
        try:
            verdict = evaluate(quantize(each.intent, view.product), view.booked(booked), limits)
        except (UsageError, OffGrid):  # the grid moved (M5) or its expiry passed: it is not judged by this rule
            continue
        if isinstance(verdict, Denied):
            codes = sorted(d.code.value for d in verdict.denials if d.code in AHEAD_CODES)
            if codes:
                found.append((each, ", ".join(codes)))
    return tuple(found)


def excess(working: Sequence[Working], position: Decimal) -> tuple[VenueOrderId, ...]:
    """Resting reducing orders that together could do more than close the position: all of them go (R7)."""
    reducing = [each for each in working if each.intent.reduce_only]
    closing = [each for each in reducing if each.intent.side.sign * position < 0]
    wrong = [each.venue_order_id for each in reducing if each not in closing]
    total = sum((left(each) for each in closing), Decimal(0))
    return tuple(wrong) if total <= abs(position) else tuple(each.venue_order_id for each in reducing)


def due_for_renewal(working: Sequence[Working], view: RiskView, limits: RiskLimits) -> tuple[Working, ...]:
    """Own orders with less than a quarter of their life left: the venue's count of it, or ours where it keeps none."""
    life = timedelta(seconds=limits.resting_ttl_s)
    return tuple(each for each in working if (each.intent.expires or each.placed_at + life) - view.now <= life / 4)


def resting_life(offered: VenueCapabilities, now: datetime, limits: RiskLimits) -> tuple[TimeInForce, datetime | None]:
    """How the loop's resting orders end by themselves: a date the venue keeps, or, where it keeps none, our own count.

    Our own count dies with us: there the line the orders went over has to be armed to cancel them (`Supervisor.run`).
    """
    if offered.native_gtd:
        return TimeInForce.GTD, now + timedelta(seconds=limits.resting_ttl_s)
    return TimeInForce.GTC, None


def renewal(
    working: Working, filled: Decimal, mint: Callable[[], IntentId], view: RiskView, limits: RiskLimits
) -> OrderIntent | None:
    """The same order for what is left of it, with a new id and a new life; None when nothing is left."""
    rest = working.intent.size - filled
    if rest <= 0:
        return None
    return replace(
        working.intent,
        id=mint(),
        size=Size(rest),
        expires=None if working.intent.expires is None else view.now + timedelta(seconds=limits.resting_ttl_s),
        reason=RENEWAL_REASON,
        again=True,  # the order it renews is proven gone and must not count as its duplicate
        created_at=view.now,
    )


def left(working: Working) -> Decimal:
    """What an order could still fill, at most."""
    if working.order is None or working.order.remaining is None:
        return working.intent.size
    return working.order.remaining
