"""Funding a venue paid, held against the rates it published for the hours in between. Pure but for one read a product.

The published rate of an hour is for a position held all through it. Where a position changed within an hour, only a bound is
known: between nothing and the whole hour's rate. An index that moves within the hour is allowed for.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from perpsctl.domain.cash import EXACT
from perpsctl.domain.errors import VenueUnreachable
from perpsctl.domain.funding import FundingHour
from perpsctl.domain.numbers import plain
from perpsctl.domain.ports import Venue
from perpsctl.domain.reports import Break, BreakClass
from perpsctl.engine.breaks import VENUE, a_break
from perpsctl.engine.cash_rows import PaidFunding

HOUR: Final = timedelta(hours=1)
MOVED: Final = Decimal("0.05")  # the index may be so far from the hour's end within it
ROUNDING: Final = Decimal("0.0000001")  # of the notional, for each hour: published rates are rounded
MOST_HOURS: Final = 720
ZERO: Final = Decimal(0)


def held_against(
    payments: Sequence[PaidFunding], venue: Venue, now: datetime
) -> tuple[Decimal | None, tuple[Break, ...]]:
    """What the payments should have come to, and those that are further off than anybody could explain.

    None where no rate of the time is published. Raises venue errors.
    """
    if not payments:
        return None, ()
    histories: dict[str, dict[datetime, FundingHour]] = {}
    expected = ZERO
    breaks: list[Break] = []
    for each in payments:
        if each.product_id not in histories:
            histories[each.product_id] = _history(payments, each, venue, now)
        bounds = _bounds(each, histories[each.product_id])
        if bounds is None:
            return None, tuple(breaks)
        low, middle, high = bounds
        expected = EXACT.add(expected, middle)
        if not low <= each.amount <= high:
            subject = f"{each.product_id} {each.end.isoformat(timespec='seconds')} rates"
            detail = f"the published rates make {plain(low.quantize(_GRAIN))} to {plain(high.quantize(_GRAIN))}"
            breaks.append(
                a_break(
                    "funding", BreakClass.FUNDING, subject, plain(middle.quantize(_GRAIN)), plain(each.amount), VENUE,
                    each.end, detail,
                )
            )  # fmt: skip
    return expected.quantize(_GRAIN), tuple(breaks)


_GRAIN: Final = Decimal("0.00000001")


def _history(
    payments: Sequence[PaidFunding], paid: PaidFunding, venue: Venue, now: datetime
) -> dict[datetime, FundingHour]:
    first = min(each.begin for each in payments if each.product_id == paid.product_id)
    hours = (now - first) // HOUR + 2
    if hours > MOST_HOURS:
        raise VenueUnreachable("the ledger is older than the funding history the venue publishes")
    report = venue.funding(paid.product_id, max(1, hours))
    return {} if report.hours is None else {each.at: each for each in report.hours}


def _bounds(paid: PaidFunding, hours: dict[datetime, FundingHour]) -> tuple[Decimal, Decimal, Decimal] | None:
    """(least, middle, most) of what the payment should be; None when an hour with a position is not published."""
    low = middle = high = ZERO
    begin = paid.begin.replace(minute=0, second=0, microsecond=0)
    while begin < paid.end:
        end = begin + HOUR
        pieces = _pieces(paid, max(begin, paid.begin), min(end, paid.end))
        begin = end
        if all(coin == 0 for coin, _ in pieces):
            continue
        told = hours.get(end)
        if told is None:
            return None
        price = told.index_price or paid.price
        if price is None:
            return None
        for coin, share in pieces:
            whole = EXACT.multiply(EXACT.multiply(-coin, price), told.rate_1h)
            slack = EXACT.multiply(abs(EXACT.multiply(coin, price)), ROUNDING) + abs(whole) * MOVED
            part = whole * share
            middle += part
            if share == 1:
                low, high = low + part - slack, high + part + slack
            else:
                low, high = low + min(ZERO, whole) - slack, high + max(ZERO, whole) + slack
    return low, middle, high


def _pieces(paid: PaidFunding, begin: datetime, end: datetime) -> list[tuple[Decimal, Decimal]]:
    """(coin, share of an hour) for each stretch in which the position stood still."""
    found = []
    for at, (since, coin) in enumerate(paid.turns):
        until = paid.turns[at + 1][0] if at + 1 < len(paid.turns) else end
        start, stop = max(since, begin), min(until, end)
        if stop > start:
            found.append((coin, Decimal((stop - start) // _MICRO) / Decimal(HOUR // _MICRO)))
    return found


_MICRO: Final = timedelta(microseconds=1)
