"""Getting out: cancels, one order or many, repeated on failure because they change nothing the second time.

Every mass cancel says `include_isolated`: without it isolated orders would stay open (reference section 8.4, 2026-11-22).
None is made without naming an instrument or the kind "future": `cancel_all` would take spot orders with it.
"Accepted" is the venue's word; that an order is gone is proven by reading it.
"""

from collections.abc import Sequence

from perpsctl.domain.errors import PerpsctlError, VenueRefusedRequest, VenueSpokeStrangely, VenueUnreachable
from perpsctl.domain.ids import ProductId, VenueOrderId
from perpsctl.domain.orders import CancelResult
from perpsctl.domain.text import shown
from perpsctl.exchange.global_derivatives.catalogue import CURRENCY
from perpsctl.exchange.global_derivatives.link import Link
from perpsctl.exchange.global_derivatives.listings import NOT_FOUND, Lists
from perpsctl.exchange.pacing import Priority
from perpsctl.wire.global_derivatives import params, trading

__all__ = ["Cancels"]

_CANCELLED = "cancelled"
SILENT_MAX = 3  # then the venue is not there, and the rest is asked in the next round


class Cancels:
    """The cancels of one key."""

    def __init__(self, link: Link, lists: Lists) -> None:
        self._link = link
        self._lists = lists

    def each(self, venue_order_ids: Sequence[VenueOrderId]) -> tuple[CancelResult, ...]:
        """One result per order, in the order given; the venue takes one id a call. A failure does not stop the others.

        Raises only when not one call was answered.
        """
        results: dict[VenueOrderId, CancelResult] = {}
        failures: list[PerpsctlError] = []
        silent = 0  # calls in a row without an answer, each repeated for as long as a cancel is
        for order_id in dict.fromkeys(venue_order_ids):
            if silent == SILENT_MAX:
                results[order_id] = _no(order_id, f"not asked: {failures[-1].message}")
                continue
            try:
                results[order_id] = self._one(order_id)
                silent = 0
            except PerpsctlError as failure:
                silent = silent + 1 if isinstance(failure, VenueUnreachable) else 0
                failures.append(failure)
                results[order_id] = _no(order_id, f"no answer: {failure.message}")
        if failures and not any(_answered(result) for result in results.values()):
            raise failures[0]
        return tuple(results.values())

    def of_product(self, product_id: ProductId) -> int:
        """How many orders of one perpetual the venue says it cancelled."""
        asked = params.CancelManyParams(instrument_name=product_id, type="all", include_isolated=True)
        return self._many("private/cancel_all_by_instrument", asked)

    def of_perpetuals(self) -> int:
        """How many orders of USDC derivatives the venue says it cancelled; spot orders are not touched."""
        asked = params.CancelManyParams(currency=CURRENCY, kind="future", type="all", include_isolated=True)
        return self._many("private/cancel_all_by_currency", asked)

    def _one(self, order_id: VenueOrderId) -> CancelResult:
        """Asked as cross and as isolated where the first is not found: not found proves nothing (reference section 5)."""
        first = self._lists.is_isolated(order_id)
        refused = self._asked(order_id, isolated=first)
        if isinstance(refused, str) and refused in NOT_FOUND:
            refused = self._asked(order_id, isolated=not first)
        return refused if isinstance(refused, CancelResult) else _no(order_id, refused)

    def _asked(self, order_id: VenueOrderId, *, isolated: bool) -> CancelResult | str:
        asked = (
            params.OrderIdParams(order_id=order_id, isolated=True)
            if isolated
            else params.OrderIdParams(order_id=order_id)
        )
        try:
            got = self._link.read("private/cancel", asked, trading.Order, priority=Priority.CANCEL)
        except VenueRefusedRequest as refused:
            return refused.reason
        if got.body.order_id != order_id:
            raise VenueSpokeStrangely("the venue answered the cancel with another order")
        state = got.body.order_state if isinstance(got.body.order_state, str) else ""
        if state == _CANCELLED:
            return CancelResult(venue_order_id=order_id, accepted=True, reason="")
        return _no(order_id, shown(state, 60) or "no state was told")

    def _many(self, method: str, asked: params.CancelManyParams) -> int:
        return self._link.read(method, asked, int, priority=Priority.CANCEL).body


def _answered(result: CancelResult) -> bool:
    return not result.reason.startswith(("no answer: ", "not asked: "))


def _no(order_id: VenueOrderId, reason: str) -> CancelResult:
    return CancelResult(venue_order_id=order_id, accepted=False, reason=reason)
