"""Margin arithmetic, pure: what positions and orders tie up, and how far the account is from liquidation.

Definitions (field meanings of the CFM summary, Advanced Trade reference section 7; exact formulas are unknown there,
section 15, so these are ours):

- initial margin of a position = |contracts| x contract size x mark x rate of its side;
- maintenance margin = 0.9 of it; the liquidation threshold is the maintenance margin at the rates in force;
- a product's orders hold what its worse side (all buys or all sells filled, never netted) needs beyond the position;
- equity = spot USD + futures USD + unrealised PnL; available margin = equity - order holds;
- buying power = available margin - initial margin, not below zero;
- liquidation buffer = available margin - threshold, as a percentage of the threshold, at most 1000.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from perpsctl.simulator.products import Product

MAINTENANCE_SHARE = Decimal("0.9")
CENT = Decimal("0.01")
ZERO = Decimal(0)
FULL_PERCENTAGE = Decimal(1000)
WARNING_BELOW = Decimal(50)
DANGER_BELOW = Decimal(20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """One product's position and working orders; buys and sells are contracts still to fill."""

    product: Product
    contracts: Decimal
    buys: Decimal
    sells: Decimal
    mark: Decimal
    unrealized: Decimal

    def margin(self, contracts: Decimal, *, intraday: bool) -> Decimal:
        """Initial margin of a signed number of contracts."""
        future = self.product.future
        if future is None or not contracts:
            return ZERO
        rates = future.intraday if intraday else future.overnight
        rate = rates.long if contracts > 0 else rates.short
        return abs(contracts) * future.contract_size * self.mark * rate

    def required(self, *, intraday: bool) -> Decimal:
        """Initial margin of the worse side with its orders filled."""
        return max(
            self.margin(self.contracts, intraday=intraday),
            self.margin(max(self.contracts + self.buys, ZERO), intraday=intraday),
            self.margin(min(self.contracts - self.sells, ZERO), intraday=intraday),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginState:
    """The account's margin at one instant with one window's rates."""

    equity: Decimal
    unrealized: Decimal
    initial: Decimal
    hold: Decimal

    @property
    def available(self) -> Decimal:
        """What can back positions."""
        return self.equity - self.hold

    @property
    def threshold(self) -> Decimal:
        """Below this available margin positions are liquidated."""
        return self.initial * MAINTENANCE_SHARE

    @property
    def buffer(self) -> Decimal:
        """What may still be lost."""
        return self.available - self.threshold

    @property
    def buffer_percentage(self) -> Decimal:
        """The buffer as a percentage of the threshold; 1000 where nothing is at risk."""
        if not self.threshold:
            return FULL_PERCENTAGE
        return min(FULL_PERCENTAGE, (self.buffer / self.threshold * 100).quantize(CENT))

    @property
    def buying_power(self) -> Decimal:
        """What new positions may still tie up."""
        return max(ZERO, self.available - self.initial)

    @property
    def level(self) -> str:
        """The margin level's word; the bounds between them are ours."""
        percentage = self.buffer_percentage
        if percentage <= 0:
            return "MARGIN_LEVEL_TYPE_LIQUIDATION"
        if percentage < DANGER_BELOW:
            return "MARGIN_LEVEL_TYPE_DANGER"
        if percentage < WARNING_BELOW:
            return "MARGIN_LEVEL_TYPE_WARNING"
        return "MARGIN_LEVEL_TYPE_BASE"


def measure(cash: Decimal, exposures: Iterable[Exposure], *, intraday: bool) -> MarginState:
    """Margin of the whole account; `cash` is spot plus futures USD."""
    initial = hold = unrealized = ZERO
    for exposure in exposures:
        tied = exposure.margin(exposure.contracts, intraday=intraday)
        initial += tied
        hold += exposure.required(intraday=intraday) - tied
        unrealized += exposure.unrealized
    return MarginState(equity=cash + unrealized, unrealized=unrealized, initial=initial, hold=hold)


def liquidation_price(
    cash: Decimal, exposures: Iterable[Exposure], product_id: str, *, intraday: bool
) -> Decimal | None:
    """The mark of one product at which equity meets the threshold, all else equal; None where no price does."""
    others = cash
    own: Exposure | None = None
    for exposure in exposures:
        if exposure.product.product_id == product_id:
            own = exposure
        else:
            others += exposure.unrealized - exposure.margin(exposure.contracts, intraday=intraday) * MAINTENANCE_SHARE
    if own is None or not own.contracts or not own.mark:
        return None
    unit = own.product.unit_size
    slope = own.contracts * unit - own.margin(own.contracts, intraday=intraday) / own.mark * MAINTENANCE_SHARE
    fixed = others + own.unrealized - own.contracts * unit * own.mark
    if not slope:
        return None
    price = -fixed / slope
    return price.quantize(CENT) if price > 0 else None
