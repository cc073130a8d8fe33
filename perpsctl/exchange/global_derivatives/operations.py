"""Beyond the `Venue` port: the books, leverage, the account's lock. Nothing here places an order.

Collateral is moved and read through Advanced Trade portfolios (reference section 2): see that venue's operations.
"""

from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from perpsctl.domain.errors import UsageError, VenueSpokeStrangely
from perpsctl.domain.ids import ProductId
from perpsctl.domain.numbers import plain
from perpsctl.exchange.answers import strangeness
from perpsctl.exchange.global_derivatives.catalogue import CURRENCY
from perpsctl.exchange.global_derivatives.moments import millis
from perpsctl.exchange.global_derivatives.venue import GlobalDerivativesVenue
from perpsctl.exchange.pages import Pages
from perpsctl.wire.global_derivatives import accounts, convert_accounts, params, reading
from perpsctl.wire.global_derivatives.common import JsonValue

__all__ = ["Operations"]

LOG_ROWS = 250  # the most one page may hold (reference section 11, 2026-11-22)


class Operations:
    """The rest of the venue, over the same key, budget and session."""

    def __init__(self, venue: GlobalDerivativesVenue) -> None:
        self._venue = venue
        self._link = venue.link

    def transaction_log(self, start: datetime) -> tuple[convert_accounts.Booking, ...]:
        """The USDC books from `start` on, oldest first, whole: rows are numbered, and a jump is an error (E21).

        Funding stands in the rows of trades and settlements; there is no row of its own (reference section 11).
        """
        pages = Pages("bookings")
        found: dict[int, convert_accounts.Booking] = {}
        end = self._link.clock.now()
        cursor: int | str | None = None
        while True:
            asked: dict[str, JsonValue] = {
                "currency": CURRENCY,
                "start_timestamp": millis(start),
                "end_timestamp": millis(end),
                "count": LOG_ROWS,
            }
            if cursor is not None:
                asked["continuation"] = cursor
            got = self._link.read("private/get_transaction_log", asked, accounts.TransactionLog)
            with strangeness("the books"):
                rows = convert_accounts.bookings_from(got.body)
            found.update((row.seq, row) for row in rows)
            told = got.body.continuation
            cursor = told if isinstance(told, int | str) and told != "" else None
            if not pages.turn(None if cursor is None else str(cursor), rows=len(rows)):
                return _whole(found)

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


def _whole(found: dict[int, convert_accounts.Booking]) -> tuple[convert_accounts.Booking, ...]:
    """The rows by number. Numbers run over all the account's rows of the currency, one by one."""
    rows = tuple(found[seq] for seq in sorted(found))
    for earlier, later in pairwise(rows):
        if later.seq != earlier.seq + 1:
            raise VenueSpokeStrangely(f"the books are incomplete: row {earlier.seq + 1} is missing")
    return rows
