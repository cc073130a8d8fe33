"""What funding costs, side by side with what the rule allows, and the hours behind it where the venue publishes them."""

from collections.abc import Iterator, Sequence
from datetime import time, timedelta
from decimal import Decimal

from perpsctl.domain.funding import SPAN, FundingReport
from perpsctl.render.answer import Ago, Answer, Cell, Facts, Table, bad, good, warn
from perpsctl.render.values import NOTHING, clock_time, number

NO_HISTORY = "this venue publishes no history of funding rates"
_BOUND = "funding_max_share_per_day"


def funding(found: FundingReport, *, bound: Decimal, cash_times: Sequence[time]) -> Answer:
    """One product's funding: each side's cost a day against `bound`, then the hours, oldest first."""
    short_of = None if found.hours is None else _short_of(found)
    facts = Facts(title=found.product_id, rows=tuple(_facts(found, bound, cash_times)))
    hours = None if found.hours is None else [_hour(found, index) for index in range(len(found.hours))]
    table = Table(
        title="Full hours, positive: longs pay",
        columns=("hour ending", "rate 1 h", "sum 8 h", "venue's 8 h", "index"),
        rows=tuple(
            (
                clock_time(each.at),
                number(each.rate_1h),
                number(found.sums[index]),
                number(each.rate_8h),
                number(each.index_price),
            )
            for index, each in enumerate(found.hours or ())
        ),
        right=frozenset({"rate 1 h", "sum 8 h", "venue's 8 h", "index"}),
        empty="the venue told no full hour",
    )
    data = {
        "product_id": found.product_id,
        "terms": found.terms,
        "cost_per_day": {
            "long": found.terms.daily_cost(long=True),
            "short": found.terms.daily_cost(long=False),
            "bound": bound,
        },
        "last_full_8h": found.last_full,
        "running_8h": found.accruing,
        "cash_times": list(cash_times),
        "publishes_history": found.hours is not None,
        "hours": hours,
        "as_of": found.as_of,
    }
    warnings = () if short_of is None else (short_of,)
    return Answer(
        data=data,
        blocks=[facts] if hours is None else [facts, table],
        rows_key="" if hours is None else "hours",
        warnings=warnings,
    )


def _hour(found: FundingReport, index: int) -> dict[str, object]:
    hours = found.hours or ()
    each = hours[index]
    return {
        "at": each.at,
        "rate_1h": each.rate_1h,
        "sum_8h": found.sums[index],
        "rate_8h": each.rate_8h,
        "index_price": each.index_price,
    }


def _short_of(found: FundingReport) -> str | None:
    """Why no order can be judged by the history, where that is so."""
    return None if found.last_full is not None else f"the last {SPAN} full hours are not whole: entries are denied"


def _facts(found: FundingReport, bound: Decimal, cash_times: Sequence[time]) -> Iterator[tuple[str, Cell]]:
    terms = found.terms
    if found.hours is None:
        span = NOTHING if terms.interval is None else f"{number(_hours(terms.interval))} h"
        yield "rate", NOTHING if terms.rate is None else f"{_percent(terms.rate)} for {span}"
        yield "of the hour", clock_time(terms.rate_time)
    else:
        yield "last full 8 h", _percent(found.last_full)
        yield "running 8 h", _percent(found.accruing)
    yield "a long pays a day", _cost(found, bound, long=True)
    yield "a short pays a day", _cost(found, bound, long=False)
    yield "allowed a day", f"{_percent(bound)} of notional ({_BOUND}); received funding passes"
    yield "next funding", clock_time(terms.next_accrual)
    yield "becomes cash at", " ".join(f"{each:%H:%M}Z" for each in cash_times) or "times not known"
    if found.hours is None:
        yield "history", NO_HISTORY
    yield "read", Ago(found.as_of)


def _cost(found: FundingReport, bound: Decimal, *, long: bool) -> Cell:
    """What a day costs that side and how it comes about; below zero it receives."""
    cost = found.terms.daily_cost(long=long)
    if cost is None:
        return warn("not known: an entry is denied")
    text = f"{_percent(cost)}{_dearer(found, long=long)}"
    return bad(f"{text}: above what is allowed") if cost > bound else good(text)


def _dearer(found: FundingReport, *, long: bool) -> str:
    """Which of the two rates was the dearer for that side, and how often a day it counts."""
    interval = found.terms.interval
    times = "" if not interval else f"{timedelta(days=1) // interval} x "
    if found.last_full is None or found.accruing is None:
        return f", {times}the last rate"
    sign = 1 if long else -1
    last_is = found.last_full * sign > found.accruing * sign
    return f", {times}the {'last full' if last_is else 'running'} 8 h"


def _hours(length: timedelta) -> Decimal:
    return Decimal(length // timedelta(minutes=1)) / 60


def _percent(rate: Decimal | None) -> str:
    """A rate with every digit it has: two decimals would hide all of a usual one."""
    return NOTHING if rate is None else f"{number((rate * 100).normalize())} %"
