"""What a perpetual's funding was and is: hours as the venue publishes them, and the figures an order is judged by."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Final

from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import FundingTerms
from perpsctl.domain.numbers import Price

SPAN: Final = 8  # hours whose sum is one rate
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingHour:
    """An hour of the venue's history, by its end: fractions of notional for one and for eight hours, positive: longs pay."""

    at: datetime
    rate_1h: Decimal
    rate_8h: Decimal
    index_price: Price | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingReport:
    """Funding of one product as read at `as_of`: what an order is judged by, and the history where the venue publishes one.

    `hours` None: the venue publishes none. `last_full` and `accruing` are the two rates of eight hours of which each
    side's dearer one counts; None where they are not told, or the history has a hole.
    """

    product_id: ProductId
    terms: FundingTerms
    hours: tuple[FundingHour, ...] | None
    sums: tuple[
        Decimal | None, ...
    ]  # to each of `hours`: what the eight that end with it cost; None where one is missing
    last_full: Decimal | None
    accruing: Decimal | None
    as_of: datetime


def sum_of_eight(hours: Sequence[FundingHour]) -> Decimal | None:
    """What the last eight of these hours cost together; None unless they follow one another."""
    last = hours[-SPAN:]
    in_a_row = all(later.at - earlier.at == _HOUR for earlier, later in pairwise(last))
    return sum((hour.rate_1h for hour in last), Decimal(0)) if len(last) == SPAN and in_a_row else None
