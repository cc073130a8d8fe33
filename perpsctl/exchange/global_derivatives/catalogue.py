"""What can be traded, discovered by structure, with its figures of the moment: ticker and funding.

Nothing here is a table: steps, sizes and fees come from the instrument, limits and mark from the ticker, funding from
both and the venue's hourly history (reference sections 7, 11 and 12, 2026-11-22).
"""

from collections.abc import Iterable
from dataclasses import replace

from perpsctl.domain.errors import VenueSpokeStrangely
from perpsctl.domain.funding import FundingReport
from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import Mark, PriceLimits
from perpsctl.domain.numbers import Size
from perpsctl.domain.ports import Clock
from perpsctl.domain.products import Product, refuse_retired
from perpsctl.domain.text import shown
from perpsctl.exchange.answers import strangeness
from perpsctl.exchange.endings import Got
from perpsctl.exchange.global_derivatives.funding import CashTimes, Funding
from perpsctl.exchange.global_derivatives.link import Link
from perpsctl.wire.global_derivatives import convert_market, market, params

__all__ = ["CURRENCY", "Catalogue", "is_perpetual"]

CURRENCY = "USDC"


def is_perpetual(name: object) -> bool:
    """True for a name of this toolkit's scope, and for no name at all: such a row is refused, never left out as foreign."""
    return not isinstance(name, str) or name.endswith("-PERPETUAL")


class Catalogue:
    """Products by id. Every read of a product renews what is remembered of it (M5)."""

    def __init__(self, link: Link, clock: Clock, cash_times: CashTimes | None = None) -> None:
        self._link = link
        self._funding = Funding(link, clock, cash_times)
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
        refuse_retired(product_id)
        got = self._instrument(product_id)
        self._learn(got.body)
        told = self.ticker(product_id)
        with strangeness(f"instrument {shown(product_id, 80)}"):
            product = convert_market.product_from_instrument(got.body, told.body, got.answer.asked)
        product = replace(product, funding=self._funding.terms(product_id, told))
        self._products[product_id] = product
        return product

    def funding(self, product_id: ProductId, hours: int) -> FundingReport:
        """What funding costs now and what it was in the last so many full hours, read now."""
        refuse_retired(product_id)
        return self._funding.report(product_id, self.ticker(product_id), hours)

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
