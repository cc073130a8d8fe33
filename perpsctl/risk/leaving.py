"""Rules of the way out: an exit needs no fresh book, only proof that it reduces and a bounded price."""

from perpsctl.domain.numbers import Price, plain
from perpsctl.domain.orders import Road
from perpsctl.domain.verdicts import Denial, DenialCode
from perpsctl.risk.case import Case
from perpsctl.risk.figures import UNKNOWN, denial
from perpsctl.risk.freshness import age_text, read_in_order, too_old
from perpsctl.risk.pricing import reach_denial


def reads_fresh(case: Case) -> Denial | None:
    """The position and the live orders an exit is judged by were read not long ago, the orders first (R7).

    An old position proves nothing about reducing; an order that filled between the reads must show in the position.
    """
    positions, orders, max_age = case.view.positions, case.view.orders, case.limits.account_age_max_s
    for name, read in (("position", positions), ("open orders", orders)):
        if read is not None and too_old(case, read.as_of, max_age):
            detail = f"age of the {name} in s; read again"
            return denial(DenialCode.ACCOUNT_STALE, age_text(case, read.as_of), str(max_age), detail)
    return read_in_order(case)


def live_orders_known(case: Case) -> Denial | None:
    """The venue's listing or the journal tells which other orders could still fill."""
    if case.view.orders is not None or case.booked is not None:
        return None
    return denial(
        DenialCode.ACCOUNT_MISSING,
        "neither the venue's open orders nor the journal",
        "one of the two",
        "which other orders could reduce the position is not known",
    )


def exit_collar(case: Case) -> Denial | None:
    """The price is within `exit_collar_bps` of the best known one: mark, index, last, last known, however old.

    Only the venue's own close (a market order on the exit road) has no price bound, and nobody gets that without asking
    for it. A market order that reduces on the entry road must find its worst fill inside the collar in the book.
    A stop-limit is measured from its trigger.
    """
    price = case.limit_price
    if price is None:
        if case.road is not Road.ENTRY:
            return None
        price = _worst_fill(case)
    reference = _best_known(case) if case.stop_price is None else case.stop_price
    if price is None or reference is None:
        return denial(
            DenialCode.EXIT_PRICE_UNKNOWN,
            UNKNOWN,
            f"a price to bound the exit by {plain(case.limits.exit_collar_bps)} bps from",
            "no mark, index, last or last known price; `--unbounded` uses the venue's own close",
        )
    return reach_denial(case, price, reference, case.limits.exit_collar_bps, "the best known price")


def _worst_fill(case: Case) -> Price | None:
    book = case.view.market.book
    if book is None or not book.sound:
        return None
    walked = book.walk(case.side, case.size)
    return walked.worst if walked.filled == case.size else None


def _best_known(case: Case) -> Price | None:
    price = case.view.market.best_known_price() if case.mark is None else case.mark.price
    if price is None:
        known = case.view.marks.get(case.product_id)
        price = None if known is None else known.price
    return price if price is not None and price > 0 else None
