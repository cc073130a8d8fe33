"""What can be traded, on which grid, and what a venue is able to do.

Sizes are in coin here; contracts exist at the venue's edge only and through `Product` (api/venues.md section 5).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from perpsctl.domain.errors import InvariantBroken, UsageError
from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import FundingTerms, PriceLimits, TradingStatus
from perpsctl.domain.numbers import WIDE, Price, Size, multiple_of


class VenueId(StrEnum):
    """The two venues perpetuals trade on since 1 October 2026."""

    US = "us"
    GLOBAL = "global"


class Environment(StrEnum):
    """Which hosts a profile talks to."""

    SIM = "sim"
    SANDBOX = "sandbox"
    PRODUCTION = "production"


FEWEST_LEVELS = 100
MOST_LEVELS = 3000  # 25 bps of BTC at 69,000 USD are 1,725 steps of 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceStep:
    """From `above` on, prices are multiples of `step`."""

    above: Decimal
    step: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginRates:
    """Initial margin as a fraction of notional, by side."""

    long: Decimal
    short: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A perpetual as read from the venue at `as_of`. `alias` is the common name, e.g. `BTC-PERP`."""

    product_id: ProductId
    alias: str
    base: str
    quote: str
    contract_size: Size  # coin per contract
    size_step: Size  # coin
    min_size: Size  # coin
    max_size: Size | None  # coin
    price_steps: tuple[PriceStep, ...]  # ascending by `above`, never empty
    status: TradingStatus
    funding: FundingTerms | None
    index_price: Price | None
    last_price: Price | None
    intraday_margin: MarginRates | None
    overnight_margin: MarginRates | None
    expiry: datetime | None
    display_name: str
    as_of: datetime
    mark_price: Price | None = None  # the venue's own, where it publishes one
    mark_time: datetime | None = None  # the venue's time of that mark, in its clock
    price_limits: PriceLimits | None = None  # of the moment; None where the venue has none (US) or they were not read

    def price_step(self, price: Decimal) -> Decimal:
        """The step that applies at `price`."""
        step = self.price_steps[0].step
        for rung in self.price_steps:
            if price >= rung.above:
                step = rung.step
        return step

    def levels_within(self, reach_bps: Decimal) -> int:
        """How many levels a side of its book reach so far from the middle if every step holds one; bounded both ways."""
        price = self.mark_price or self.index_price or self.last_price
        if price is None:
            return FEWEST_LEVELS
        steps = price * reach_bps / 10_000 / self.price_step(price)
        return min(max(int(steps) + 10, FEWEST_LEVELS), MOST_LEVELS)

    def contracts(self, size: Size) -> Decimal:
        """`size` in whole contracts; InvariantBroken when it is not on the grid, which quantize rules out."""
        if not multiple_of(size, self.contract_size):
            raise InvariantBroken(f"size {size} is not whole contracts of {self.product_id}")
        return WIDE.divide_int(size, self.contract_size)

    def coin(self, contracts: Decimal) -> Size:
        """`contracts` in coin."""
        return Size(WIDE.multiply(contracts, self.contract_size))


RETIRED_SUFFIX = "-PERP-INTX"  # INTX on Advanced Trade ended on 1 October 2026 (api/venues.md section 1)


def refuse_retired(wanted: str) -> None:
    """UsageError names the successor of a retired id; any other passes."""
    key = wanted.upper()
    if key.endswith(RETIRED_SUFFIX):
        base = key.removesuffix(RETIRED_SUFFIX)
        raise UsageError(
            f"{base}-PERP-INTX was retired on 1 October 2026",
            fix=f"use {base}-PERP; on the global venue it is {base}_USDC-PERPETUAL",
        )


def find_product(products: Sequence[Product], wanted: str) -> Product:
    """The product with this id or alias; UsageError names what there is, and a retired id's successor."""
    key = wanted.upper()
    refuse_retired(wanted)
    for product in products:
        if key in (product.product_id.upper(), product.alias.upper()):
            return product
    known = ", ".join(sorted(product.alias for product in products)) or "none"
    raise UsageError("no such perpetual at this venue", fix=f"known: {known}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtTerms:
    """When an order we never see at the venue may be called not sent (design 5, row "bound on doubt")."""

    write_ttl: timedelta  # after this the venue refuses the request's signature
    visibility: timedelta  # an accepted order is listed at the latest after this
    listings: int  # complete listings that must lack it
    listings_apart: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueCapabilities:
    """What a venue can do, as data: no `if venue ==` above the exchange room."""

    venue: VenueId
    dedupes_client_id: bool
    has_preview: bool
    has_cancel_on_disconnect: bool
    has_server_expiry: bool
    native_reduce_only: bool
    native_gtd: bool
    publishes_mark: bool
    ws_order_snapshot: bool
    leverage_settable: bool
    requests_per_second_private: int
    requests_per_second_public: int
    cancel_batch: int
    doubt: DoubtTerms
    margin_windows: bool = True  # False: one set of margin rates holds at all times
    limits_in_headers: bool = True  # False: what may be asked is told with the account, not with each answer
    currency: str = "USD"  # what the account's cash is told in
    orders_die_with_connection: bool = (
        False  # this client's orders go over a line whose end cancels them, armed and read back
    )
