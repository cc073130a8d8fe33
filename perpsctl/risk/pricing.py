"""Rules about the order against its market: what it costs to take, how far it reaches, what holding it costs.

The price collar is one-sided: it bounds how far an order reaches through the mark towards us paying more; how far away a
passive price stands has a wide bound of its own. Stop-limits are measured from their trigger.
"""

from decimal import Decimal

from perpsctl.domain.market import BookView
from perpsctl.domain.numbers import ZERO, Price, notional_of, plain
from perpsctl.domain.sides import Side
from perpsctl.domain.verdicts import Denial, DenialCode
from perpsctl.risk.case import Case
from perpsctl.risk.figures import UNKNOWN, denial, over, share, under

_BPS = Decimal(10_000)


def order_impact(case: Case) -> Denial | None:
    """Walking the book for the whole size costs at most the allowed distance from mid; post-only orders take nothing.

    A limit order that may take is judged as if it took everything now, at whatever the book asks: its own price limits
    it further, the rule does not rely on that.
    """
    if not case.takes or case.view.market.book is None:
        return None
    bound, book = case.limits.order_impact_max_bps, case.view.market.book
    mid = case.mid
    if mid is None:
        return None
    walked = book.walk(case.side, case.size)
    if walked.average is not None and walked.filled == case.size:
        cost = (walked.average - mid) * case.side.sign
        if cost * _BPS <= bound * mid:
            return None
        return denial(DenialCode.ORDER_IMPACT_ABOVE_MAX, over(cost * _BPS / mid), plain(bound), "bps from mid")
    return denial(
        DenialCode.ORDER_IMPACT_ABOVE_MAX,
        UNKNOWN,
        plain(bound),
        f"the book holds {plain(walked.filled)} of {plain(case.size)} {case.product.base}",
    )


def liquidity(case: Case) -> Denial | None:
    """Enough notional stands near mid on the side to be hit; post-only orders hit nothing."""
    book = case.view.market.book
    if not case.takes or book is None:
        return None
    mid = case.mid
    if mid is None:
        return None
    depth = _depth(case, book, mid)
    if depth >= case.limits.liquidity_min_usd:
        return None
    return denial(
        DenialCode.LIQUIDITY_BELOW_MIN,
        under(depth),
        plain(case.limits.liquidity_min_usd),
        f"USD within {plain(case.limits.liquidity_band_bps)} bps of mid",
    )


def _depth(case: Case, book: BookView, mid: Price) -> Decimal:
    """Notional within the band on the side to be hit; counting stops at the minimum, which most books hold at once."""
    reach, least, depth = case.limits.liquidity_band_bps * mid, case.limits.liquidity_min_usd, ZERO
    for level in book.hit_by(case.side):
        if depth >= least or abs(level.price - mid) * _BPS > reach:
            break
        depth += level.price * level.size
    return depth


def funding_cost(case: Case) -> Denial | None:
    """Holding what results from the order costs at most the allowed share a day; received funding passes.

    The direction is that of the position with every live order of this side and this order filled: a long pays when the
    rate is above zero. Which rate is carried on for 24 hours is the venue's (`FundingTerms`): the last hourly one, or for
    each side the dearer of the last full period and the one that accrues.
    """
    if case.exposure is None:
        return None
    result = case.exposure.long if case.side is Side.BUY else -case.exposure.short
    if result == 0:
        return None
    funding, bound = case.view.market.funding, case.limits.funding_max_share_per_day
    cost = None if funding is None else funding.daily_cost(long=result > 0)
    if cost is None:
        return denial(DenialCode.FUNDING_UNKNOWN, UNKNOWN, plain(bound), "the venue told no rate or no interval")
    if cost <= bound:
        return None
    way = "long" if result > 0 else "short"
    return denial(DenialCode.FUNDING_ABOVE_MAX, over(cost), plain(bound), f"share of notional a day, paid by the {way}")


def order_notional(case: Case) -> Denial | None:
    """The order's size at mark is within the profile's maximum, where it sets one."""
    bound = case.limits.order_notional_max
    if bound is None or case.mark is None:
        return None
    notional = notional_of(case.mark.price, case.size)
    if notional <= bound:
        return None
    return denial(DenialCode.ORDER_NOTIONAL_ABOVE_MAX, over(notional), plain(bound), case.product.quote)


def price_collar(case: Case) -> Denial | None:
    """The limit price reaches at most the collar through the mark, or through the trigger of a stop-limit."""
    reference = case.stop_price if case.stop_price is not None else None if case.mark is None else case.mark.price
    if case.limit_price is None or reference is None:
        return None
    name = "mark" if case.stop_price is None else "trigger"
    return reach_denial(case, case.limit_price, reference, case.limits.price_collar_bps, name)


def reach_denial(case: Case, price: Price, reference: Price, bound: Decimal, name: str) -> Denial | None:
    """A denial when `price` is worse for us than `reference` by more than `bound` basis points."""
    reach = (price - reference) * case.side.sign
    if reach * _BPS <= bound * reference:
        return None
    observed = over(reach * _BPS / reference) if reference > 0 else UNKNOWN
    detail = f"bps from {name} {plain(reference)} to {plain(price)}"
    return denial(DenialCode.PRICE_OUTSIDE_COLLAR, observed, plain(bound), detail)


def price_near(case: Case) -> Denial | None:
    """A passive limit price, and a trigger on either side, stands at most the allowed share away from the mark."""
    if case.mark is None:
        return None
    mark, bound = case.mark.price, case.limits.far_price_max_share
    away = ZERO
    if case.stop_price is not None:
        away = abs(case.stop_price - mark)
    if case.limit_price is not None:
        away = max(away, (mark - case.limit_price) * case.side.sign)
    if away <= bound * mark:
        return None
    return denial(DenialCode.PRICE_TOO_FAR, share(away, mark), plain(bound), f"share of the mark {plain(mark)}")
