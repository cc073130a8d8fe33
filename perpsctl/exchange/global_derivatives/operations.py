"""Beyond the `Venue` port: the books, leverage, the account's lock. Nothing here places an order.

Collateral is moved and read through Advanced Trade portfolios (reference section 2): see that venue's operations.
"""

from datetime import datetime
from decimal import Decimal

from perpsctl.domain.errors import UsageError, VenueSpokeStrangely
from perpsctl.domain.ids import ProductId
from perpsctl.domain.numbers import plain
from perpsctl.exchange.answers import strangeness
from perpsctl.exchange.global_derivatives.venue import GlobalDerivativesVenue
from perpsctl.wire.global_derivatives import accounts, convert_accounts, params, reading

__all__ = ["Operations"]


class Operations:
    """The rest of the venue, over the same key, budget and session."""

    def __init__(self, venue: GlobalDerivativesVenue) -> None:
        self._venue = venue
        self._link = venue.link

    def transaction_log(self, start: datetime) -> tuple[convert_accounts.Booking, ...]:
        """The USDC books from `start` on, oldest first, whole."""
        return self._venue.books.rows(start)

    def leverage(self, product_id: ProductId) -> Decimal:
        """The leverage set for one perpetual, cross margin."""
        got = self._link.read(
            "private/get_leverage", params.LeverageParams(instrument_name=product_id), accounts.Leverage
        )
        with strangeness(f"the leverage of {product_id}"):
            return reading.above_zero(got.body.leverage, "leverage")

    def set_leverage(self, product_id: ProductId, leverage: Decimal) -> Decimal:
        """The leverage stands as asked afterwards, read back to be sure; asked again it changes nothing."""
        if leverage <= 0:
            raise UsageError("leverage is above zero")
        asked = params.LeverageParams(instrument_name=product_id, leverage=leverage)
        self._link.read("private/set_leverage", asked, Decimal)
        stands = self.leverage(product_id)
        if stands != leverage:
            raise VenueSpokeStrangely(f"the leverage reads back as {plain(stands)}")
        return stands
