"""What can be traded, discovered by structure, with its figures of the moment: ticker and funding.

Nothing here is a table: steps, sizes and fees come from the instrument, limits and mark from the ticker, funding from the
venue's own hourly history (reference sections 7, 11 and 12, 2026-11-22).
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from perpsctl.domain.errors import VenueSpokeStrangely
from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import FundingTerms, Mark, PriceLimits
from perpsctl.domain.numbers import Size
from perpsctl.domain.ports import Clock
from perpsctl.domain.products import RETIRED_SUFFIX, Product, find_product
from perpsctl.domain.text import shown
from perpsctl.exchange.answers import strangeness
from perpsctl.exchange.global_derivatives.link import Got, Link
from perpsctl.exchange.global_derivatives.moments import millis
from perpsctl.wire.global_derivatives import convert_market, market, params

__all__ = ["Catalogue", "dearer", "is_perpetual"]

CURRENCY = "USDC"
FUNDING_HOURS = 8
_HOUR = timedelta(hours=1)
_EIGHT_HOURS = timedelta(hours=FUNDING_HOURS)
_SETTLEMENT_HOUR = 8  # UTC, daily: what funding accrued becomes cash (reference section 11)


def is_perpetual(name: object) -> bool:
    """True for a name of this toolkit's scope, and for no name at all: such a row is refused, never left out as foreign."""
    return not isinstance(name, str) or name.endswith("-PERPETUAL")


class Catalogue:
    """Products by id. Every read of a product renews what is remembered of it (M5)."""

    def __init__(self, link: Link, clock: Clock) -> None:
        self._link = link
        self._clock = clock
        self._products: dict[ProductId, Product] = {}
        self._sizes: dict[ProductId, Size] = {}
        self._limits: dict[ProductId, PriceLimits] = {}
        self.instruments: tuple[market.Instrument, ...] = ()  # as last listed

    def products(self) -> tuple[Product, ...]:
        """Every USDC perpetual the venue offers; without ticker and funding, which are read one product at a time."""
        asked = params.InstrumentsParams(currency=CURRENCY, kind="future", expired=False)
        got = self._link.read("public/get_instruments", asked, tuple[market.Instrument, ...])
        with strangeness("the list of instruments"):
            found = convert_market.perps_from(got.body, got.answer.asked)
            self._sizes.update(convert_market.contract_sizes_from(got.body))
        self.instruments = got.body
        self._products.update((product.product_id, product) for product in found)
        return found

    def sizes_with(self, names: Iterable[object]) -> dict[ProductId, Size]:
        """Contract sizes of every perpetual met so far; the venue is asked about names that are none of them yet."""
        unknown = {name for name in names if isinstance(name, str) and is_perpetual(name)} - self._sizes.keys()
        if unknown and not self.instruments:
            self.products()
        for name in unknown - self._sizes.keys():
            self._learn(self._instrument(ProductId(name)).body)
        return self._sizes

    def product(self, product_id: ProductId) -> Product:
        """One perpetual with its ticker and funding, read now. UsageError names the successor of a retired id."""
        if product_id.upper().endswith(RETIRED_SUFFIX):
            find_product((), product_id)  # raises
        got = self._instrument(product_id)
        self._learn(got.body)
        told = self.ticker(product_id)
        with strangeness(f"instrument {shown(product_id, 80)}"):
            product = convert_market.product_from_instrument(got.body, told.body, got.answer.asked)
        product = replace(product, funding=self._funding(product_id, told))
        self._products[product_id] = product
        return product

    def limits(self, product_id: ProductId) -> PriceLimits | None:
        """Between which prices the venue took orders when its ticker was read last; None when it never was."""
        return self._limits.get(product_id)

    def _instrument(self, product_id: ProductId) -> Got[market.Instrument]:
        asked = params.InstrumentParams(instrument_name=product_id)
        got = self._link.read("public/get_instrument", asked, market.Instrument)
        if got.body.instrument_name != product_id:
            raise VenueSpokeStrangely("the venue answered with another instrument than was asked for")
        return got

    def _learn(self, body: market.Instrument) -> None:
        with strangeness("an instrument"):
            self._sizes.update(convert_market.contract_sizes_from((body,)))

    def known(self, product_id: ProductId) -> Product:
        """The product as last read, read now when it never was: for what does not change."""
        return self._products.get(product_id) or self.product(product_id)

    def ticker(self, product_id: ProductId) -> Got[market.Ticker]:
        """The venue's figures of one instrument now."""
        got = self._link.read("public/ticker", params.InstrumentParams(instrument_name=product_id), market.Ticker)
        if got.body.instrument_name != product_id:
            raise VenueSpokeStrangely("the venue answered with another instrument's ticker than was asked for")
        with strangeness(f"the ticker of {shown(product_id, 80)}"):
            self._limits[product_id] = convert_market.price_limits_from(got.body)
        return got

    def mark(self, product_id: ProductId) -> Mark:
        """The venue's own mark price. VenueSpokeStrangely when the ticker has none."""
        got = self.ticker(product_id)
        with strangeness(f"the mark of {shown(product_id, 80)}"):
            return convert_market.mark_from(got.body, product_id, got.answer.asked)

    def _funding(self, product_id: ProductId, told: Got[market.Ticker]) -> FundingTerms:
        now = self._clock.now()
        asked = params.PeriodParams(
            instrument_name=product_id, start_timestamp=millis(now - _EIGHT_HOURS - _HOUR), end_timestamp=millis(now)
        )
        rows = self._link.read("public/get_funding_rate_history", asked, tuple[market.FundingRow, ...])
        with strangeness(f"the funding of {shown(product_id, 80)}"):
            hours = convert_market.funding_hours_from(rows.body)[-FUNDING_HOURS:]
            terms = convert_market.funding_from(told.body, told.answer.asked)
        last_full = sum((hour.rate_1h for hour in hours), Decimal(0)) if len(hours) == FUNDING_HOURS else None
        return replace(terms, rate=dearer(last_full, terms.rate), next_accrual=_next_settlement(told.answer.asked))


def dearer(last_full: Decimal | None, accruing: Decimal | None) -> Decimal | None:
    """Of two 8-hour rates the one that costs somebody more; None when one of them is not known.

    The rate has one sign for both sides of the market: where the two disagree in sign, the larger in amount is taken.
    """
    if last_full is None or accruing is None:
        return None
    return max(last_full, accruing, key=abs)


def _next_settlement(at: datetime) -> datetime:
    today = at.astimezone(UTC).replace(hour=_SETTLEMENT_HOUR, minute=0, second=0, microsecond=0)
    return today if today > at else today + timedelta(days=1)
