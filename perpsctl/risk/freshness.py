"""Rules that ask whether what we judge by is there and young enough: unknown, stale or future-dated denies.

A read dated ahead of our clock by more than the allowed clock difference is as good as none (fault M2).
"""

from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache

from perpsctl.domain.numbers import plain
from perpsctl.domain.verdicts import Denial, DenialCode
from perpsctl.risk.case import Case
from perpsctl.risk.figures import UNKNOWN, denial, milliseconds, names, over, seconds

_BPS = Decimal(10_000)


@cache
def _bound(seconds_: int, milliseconds_: int) -> timedelta:
    return timedelta(seconds=seconds_, milliseconds=milliseconds_)


def too_old(case: Case, as_of: datetime, max_age_s: int) -> bool:
    """True when a read is older than that, or dated ahead by more than the allowed clock difference."""
    age = case.now - as_of
    return age > _bound(max_age_s, 0) or age < _bound(0, -case.limits.clock_skew_max_ms)


def age_text(case: Case, as_of: datetime) -> str:
    """The age in seconds, for a denial."""
    age = case.now - as_of
    return seconds(age) if age >= timedelta(0) else f"dated {seconds(-age)} s ahead"


def journal_known(case: Case) -> Denial | None:
    """What is in doubt, working and counted was read inside the judging transaction."""
    if case.booked is not None:
        return None
    return denial(DenialCode.BOOKED_MISSING, "no journal read", "read inside the judging transaction")


def account_known(case: Case) -> Denial | None:
    """Balances, positions and live orders were all read."""
    view = case.view
    if view.account is not None and view.positions is not None and view.orders is not None:
        return None
    parts = {"balances": view.account, "positions": view.positions, "open orders": view.orders}
    missing = [name for name, part in parts.items() if part is None]
    return denial(DenialCode.ACCOUNT_MISSING, f"not read: {names(missing)}", "all read")


def account_fresh(case: Case) -> Denial | None:
    """Balances, positions and live orders are young, and positions were read after the orders."""
    view, max_age = case.view, case.limits.account_age_max_s
    for name, read in (("balances", view.account), ("positions", view.positions), ("open orders", view.orders)):
        if read is not None and too_old(case, read.as_of, max_age):
            return denial(DenialCode.ACCOUNT_STALE, age_text(case, read.as_of), str(max_age), f"age of {name} in s")
    return read_in_order(case)


def read_in_order(case: Case) -> Denial | None:
    """Positions were not read before the live orders: an order that fills between the reads must show in the position.

    The other way round it would show in neither, and exposure would be lost (R5).
    """
    positions, orders = case.view.positions, case.view.orders
    if positions is None or orders is None or positions.as_of >= orders.as_of:
        return None
    early = seconds(orders.as_of - positions.as_of)
    return denial(
        DenialCode.ACCOUNT_STALE, early, "0", "s by which positions were read before the open orders, not after them"
    )


def clock_known(case: Case) -> Denial | None:
    """The difference to the venue's clock was measured not long ago."""
    measured, max_age = case.view.server_time, case.limits.clock_age_max_s
    if measured is None:
        return denial(DenialCode.CLOCK_UNKNOWN, UNKNOWN, str(max_age), "the venue's clock was not read")
    if too_old(case, measured.as_of, max_age):
        return denial(
            DenialCode.CLOCK_UNKNOWN, age_text(case, measured.as_of), str(max_age), "age of the measurement in s"
        )
    return None


def clock_close(case: Case) -> Denial | None:
    """Our clock and the venue's differ by no more than allowed, the measurement's own uncertainty included."""
    measured = case.view.server_time
    if measured is None:
        return None
    apart = abs(measured.skew) + measured.uncertainty
    if apart <= timedelta(milliseconds=case.limits.clock_skew_max_ms):
        return None
    return denial(
        DenialCode.CLOCK_SKEW_ABOVE_MAX,
        milliseconds(apart),
        str(case.limits.clock_skew_max_ms),
        "ms, uncertainty included",
    )


def book_known(case: Case) -> Denial | None:
    """There is a book with two sides that do not cross (fault W9)."""
    book = case.view.market.book
    if book is None:
        return denial(DenialCode.BOOK_MISSING, "no book", "a book with both sides, not crossed")
    if not book.sound:
        return denial(
            DenialCode.BOOK_MISSING,
            f"bid {UNKNOWN if book.best_bid is None else plain(book.best_bid)}, "
            f"ask {UNKNOWN if book.best_ask is None else plain(book.best_ask)}",
            "a book with both sides, not crossed",
        )
    return None


def book_fresh(case: Case) -> Denial | None:
    """The book is young."""
    book, max_age = case.view.market.book, case.limits.book_age_max_s
    if book is None or not too_old(case, book.as_of, max_age):
        return None
    return denial(DenialCode.BOOK_STALE, age_text(case, book.as_of), str(max_age), "age of the book in s")


def mark_known(case: Case) -> Denial | None:
    """Every product that is held or could be has a mark above zero; a last known price is none."""
    without_mark = [each for each in case.exposed if (mark := case.mark_of(each)) is None or mark.price <= 0]
    if not without_mark:
        return None
    return denial(DenialCode.MARK_MISSING, f"no mark: {names(without_mark)}", "a mark of every product exposed")


def mark_fresh(case: Case) -> Denial | None:
    """Every such mark is young."""
    max_age = case.limits.mark_age_max_s
    for product_id in case.exposed:
        mark = case.mark_of(product_id)
        if mark is not None and too_old(case, mark.as_of, max_age):
            return denial(DenialCode.MARK_STALE, age_text(case, mark.as_of), str(max_age), f"age of {product_id} in s")
    return None


def mark_agrees(case: Case) -> Denial | None:
    """The mark lies within the allowed divergence of the index and of the last price, as far as each was told.

    At least one of the two must be there: a mark nothing can confirm is no mark to size an order by (fault M9).
    """
    if case.mark is None:
        return None
    market, bound = case.view.market, case.limits.mark_divergence_max_bps
    if market.index_price is None and market.last_price is None:
        return denial(DenialCode.MARK_DIVERGES, "neither index nor last price", plain(bound), "bps")
    for name, reference in (("index", market.index_price), ("last", market.last_price)):
        if reference is None:
            continue
        if reference <= 0:
            return denial(DenialCode.MARK_DIVERGES, f"{name} {plain(reference)}", plain(bound), "not a price")
        apart = abs(case.mark.price - reference)
        if apart * _BPS > bound * reference:
            detail = f"bps between mark {plain(case.mark.price)} and {name} {plain(reference)}"
            return denial(DenialCode.MARK_DIVERGES, over(apart * _BPS / reference), plain(bound), detail)
    return None


def product_fresh(case: Case) -> Denial | None:
    """Index, last price, funding and status of the product were read not long ago."""
    as_of, max_age = case.view.market.product_as_of, case.limits.mark_age_max_s
    if as_of is None:
        return denial(DenialCode.PRODUCT_STALE, "not read", str(max_age), "age of the product's data in s")
    if too_old(case, as_of, max_age):
        return denial(DenialCode.PRODUCT_STALE, age_text(case, as_of), str(max_age), "age of the product's data in s")
    return None


def product_unchanged(case: Case) -> Denial | None:
    """The order stands on the grid the product has now: contract size, steps and smallest order (fault M5)."""
    ours, now = case.product, case.view.product
    if ours is now:
        return None
    changed = [
        name
        for name in ("product_id", "contract_size", "size_step", "min_size", "max_size", "price_steps")
        if getattr(ours, name) != getattr(now, name)
    ]
    if not changed:
        return None
    return denial(
        DenialCode.PRODUCT_STALE,
        f"changed: {names(changed)}",
        "unchanged since the order was put on the grid",
        "ask again: the order has to be put on the new grid",
    )
