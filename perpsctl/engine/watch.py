"""Watches what nobody ordered: losses, drift, other people's orders. Says what is over its bound; acts on nothing itself.

A part that could not be read gives no finding and no all-clear: `unknown` says so (L5).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from perpsctl.domain.accounts import AccountView, Booked, LossBasis, OrdersRead, PositionsRead
from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import Mark
from perpsctl.domain.numbers import ZERO, Notional
from perpsctl.risk.exposure import Exposure, exposures, merge_live
from perpsctl.risk.limits import RiskLimits
from perpsctl.risk.loss import WindowLoss, exceeds, read_loss


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What one look found: windows whose loss is over its bound, products over theirs, and what could not be told."""

    at: datetime
    losses: tuple[WindowLoss, ...]
    over: Mapping[ProductId, str]
    gross_over: str
    unknown: tuple[str, ...]

    @property
    def loss_breached(self) -> bool:
        return bool(self.losses)

    @property
    def loss_text(self) -> str:
        """The breach with its numbers, for the halt's reason."""
        return "; ".join(
            f"daily loss ({each.window}) {each.loss:.2f} of {each.start_equity:.2f} at the start"
            for each in self.losses
        )


def watch(
    *,
    now: datetime,
    account: AccountView | None,
    positions: PositionsRead | None,
    orders: OrdersRead | None,
    marks: Mapping[ProductId, Mark],
    booked: Booked,
    limits: RiskLimits,
) -> Watched:
    """Compare losses and exposures with their limits, as far as they can be told. Pure."""
    unknown: list[str] = []
    losses: tuple[WindowLoss, ...] = ()
    over: dict[ProductId, str] = {}
    gross = ""
    if account is None:
        unknown.append("account")
    else:
        reading = read_loss(booked.loss_bases, account.equity, marks)
        losses = tuple(each for each in reading.windows if exceeds(each, limits.daily_loss_max_share))
        unknown += [f"loss of {window}: no baseline" for window in reading.missing]
        unknown += [f"loss by fills: {product} has no mark" for product in reading.unmarked]
    if positions is None or orders is None:
        unknown.append("positions" if positions is None else "orders")
    elif account is not None:
        live = merge_live(orders, booked.live)
        unknown += [f"exposure of {product}: order {order} has no told size" for product, order in live.unsized]
        exposed = exposures(positions, live)
        over, gross = _over(exposed, marks, account, limits, unknown)
    return Watched(at=now, losses=losses, over=over, gross_over=gross, unknown=tuple(unknown))


def loss_suspected(
    *,
    account: AccountView,
    positions: PositionsRead,
    marks_then: Mapping[ProductId, Mark],
    marks_now: Mapping[ProductId, Mark],
    bases: Iterable[LossBasis],
    limits: RiskLimits,
) -> bool:
    """True when what was last read, valued at newer marks, breaks the loss limit: a reason to read, never to act. Pure.

    `marks_then` are those of the moment `account` was read.
    """
    moved = ZERO
    for position in positions.positions:
        then, now = marks_then.get(position.product_id), marks_now.get(position.product_id)
        if then is not None and now is not None:
            moved += position.coin * (now.price - then.price)
    marks = {**marks_then, **marks_now}
    reading = read_loss(bases, Notional(account.equity + moved), marks)
    return any(exceeds(each, limits.daily_loss_max_share) for each in reading.windows)


def _over(
    exposed: Mapping[ProductId, Exposure],
    marks: Mapping[ProductId, Mark],
    account: AccountView,
    limits: RiskLimits,
    unknown: list[str],
) -> tuple[dict[ProductId, str], str]:
    over: dict[ProductId, str] = {}
    gross = Decimal(0)
    for product_id, exposure in exposed.items():
        if exposure.worst <= 0:
            continue
        mark = marks.get(product_id)
        if mark is None:
            unknown.append(f"exposure of {product_id}: no mark")
            continue
        notional = exposure.worst * mark.price
        gross += notional
        if notional > limits.position_max_share * account.equity:
            over[product_id] = f"worst case {notional:.2f} is above {limits.position_max_share} of {account.equity:.2f}"
    bound = limits.gross_max_share * account.equity
    return over, f"gross worst case {gross:.2f} is above {bound:.2f}" if gross > bound else ""
