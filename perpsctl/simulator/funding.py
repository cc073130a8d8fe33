"""The funding rate of an hour: a bounded function of the premium, unless control set it.

Facts: hourly accrual, cash twice a day, positive means longs pay (Advanced Trade reference section 12; recorded BIP
rate 0.000013 for an hour, 2026-04). The function of the premium is ours and stays within 0.00004 an hour, below the
operator's default cap of 0.1 % a day.
"""

from decimal import Decimal

from perpsctl.simulator.market import Market

BASE_RATE = Decimal("0.000008")
PREMIUM_WEIGHT = Decimal("0.08")
RATE_MAX = Decimal("0.00004")
RATE_STEP = Decimal("0.000001")
HOUR_US = 3_600_000_000


class FundingRates:
    """Hourly rates of all perps; `set` overrides one until it is cleared."""

    def __init__(self) -> None:
        self._set: dict[str, Decimal] = {}

    def set(self, product_id: str, rate: Decimal | None) -> None:
        """Fixes a product's hourly rate, or gives it back to the premium."""
        if rate is None:
            self._set.pop(product_id, None)
        else:
            self._set[product_id] = rate

    def rate(self, market: Market, path_us: int) -> Decimal:
        """The rate for the hour that ends at this moment of the path."""
        fixed = self._set.get(market.product.product_id)
        if fixed is not None:
            return fixed
        rate = BASE_RATE + market.premium(path_us) * PREMIUM_WEIGHT
        return max(-RATE_MAX, min(RATE_MAX, rate)).quantize(RATE_STEP)


def accrual(contracts: Decimal, unit: Decimal, price: Decimal, rate: Decimal) -> Decimal:
    """USD accrued by a signed position over one hour: negative when the position pays."""
    return -(contracts * unit * price * rate)
