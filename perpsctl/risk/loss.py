"""What was lost since a window began: by balances, and by fills, fees, funding and marks; the worse counts.

The two ways check each other: an unexplained rise of the balance never offsets a loss that the fills show, and a fall
that no fill explains counts all the same (design 6).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from perpsctl.domain.accounts import EquityMark, LossBasis
from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import Mark
from perpsctl.domain.numbers import ZERO, Notional

WINDOWS = ("utc_day", "rolling_24h")


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowLoss:
    """One window: both losses (negative: a gain), and what the window started with, transfers since then included.

    `by_flows` is None when a product that is still held, as booked, has no mark: `unmarked` names it.
    """

    window: str
    start_equity: Notional
    by_balances: Notional
    by_flows: Notional | None
    unmarked: tuple[ProductId, ...]

    @property
    def loss(self) -> Notional:
        """The worse of the two, never below zero."""
        return Notional(max(self.by_balances, self.by_balances if self.by_flows is None else self.by_flows, ZERO))


@dataclass(frozen=True, slots=True, kw_only=True)
class LossReading:
    """All windows; `missing` names those without a baseline, and a missing baseline denies entries."""

    windows: tuple[WindowLoss, ...]
    missing: tuple[str, ...]

    @property
    def unmarked(self) -> tuple[ProductId, ...]:
        return tuple(dict.fromkeys(product for each in self.windows for product in each.unmarked))


def read_loss(bases: Iterable[LossBasis], equity: Notional, marks: Mapping[ProductId, Mark]) -> LossReading:
    """The loss of each window at this equity and these marks; of several baselines of one window the worst counts."""
    found: dict[str, WindowLoss] = {}
    for basis in bases:
        if basis.baseline is not None:
            loss, held = _window_loss(basis, basis.baseline, equity, marks), found.get(basis.window)
            found[basis.window] = loss if held is None else _worse(held, loss)
    return LossReading(
        windows=tuple([found[window] for window in WINDOWS if window in found]),
        missing=tuple([window for window in WINDOWS if window not in found]),
    )


def _worse(one: WindowLoss, other: WindowLoss) -> WindowLoss:
    """The one whose loss is the larger share of its start; one that cannot be told, or started with nothing, is worse."""

    def badness(each: WindowLoss) -> tuple[bool, Decimal]:
        untold = bool(each.unmarked) or each.start_equity <= 0
        return untold, ZERO if each.start_equity <= 0 else each.loss / each.start_equity

    return max(one, other, key=badness)


def _window_loss(
    basis: LossBasis, baseline: EquityMark, equity: Notional, marks: Mapping[ProductId, Mark]
) -> WindowLoss:
    start = Notional(baseline.equity + basis.transfers)
    gain, unmarked = _gain_by_flows(basis, baseline, marks)
    return WindowLoss(
        window=basis.window,
        start_equity=start,
        by_balances=Notional(start - equity),
        by_flows=None if unmarked else Notional(-gain),
        unmarked=unmarked,
    )


def _gain_by_flows(
    basis: LossBasis, baseline: EquityMark, marks: Mapping[ProductId, Mark]
) -> tuple[Decimal, tuple[ProductId, ...]]:
    """Cash that flowed plus what the coin is worth now, less what the coin held at the start was worth then."""
    gain = ZERO
    coin: dict[ProductId, Decimal] = {}
    for mark in baseline.held:
        coin[mark.product_id] = coin.get(mark.product_id, ZERO) + mark.coin
        gain -= mark.coin * mark.price
    for flow in basis.flows:
        coin[flow.product_id] = coin.get(flow.product_id, ZERO) + flow.coin
        gain += flow.cash
    unmarked = []
    for product, amount in coin.items():
        if amount:
            now = marks.get(product)
            if now is None:
                unmarked.append(product)
            else:
                gain += amount * now.price
    return gain, tuple(unmarked)


def exceeds(loss: WindowLoss, max_share: Decimal) -> bool:
    """True when the loss is more than `max_share` of what the window started with; a start of nothing is exceeded."""
    return loss.start_equity <= 0 or loss.loss > max_share * loss.start_equity
