"""Rules that compare exposure and loss with the account's equity. All use the worst case, never the likely one."""

from decimal import Decimal

from perpsctl.domain.accounts import MarginLevel
from perpsctl.domain.numbers import ZERO, plain
from perpsctl.domain.verdicts import Denial, DenialCode
from perpsctl.risk.case import Case
from perpsctl.risk.figures import UNKNOWN, denial, names, over, share, under
from perpsctl.risk.loss import exceeds


def position_share(case: Case) -> Denial | None:
    """The product's worst-case position at mark is within its share of equity."""
    bound = case.limits.position_max_share
    unsized = [str(order) for product, order in case.live.unsized if product == case.product_id]
    if unsized:
        return denial(
            DenialCode.POSITION_ABOVE_MAX, UNKNOWN, plain(bound), f"orders of unknown size rest: {names(unsized)}"
        )
    if case.exposure is None or case.mark is None or case.equity is None:
        return None
    worst = case.exposure.worst * case.mark.price
    if worst <= bound * case.equity:
        return None
    return denial(
        DenialCode.POSITION_ABOVE_MAX,
        share(worst, case.equity),
        plain(bound),
        f"worst case {plain(case.exposure.worst)} {case.product.base} at {plain(case.mark.price)} is {over(worst)} "
        f"of equity {over(case.equity)}",
    )


def gross_share(case: Case) -> Denial | None:
    """The sum of the worst-case positions is within its share of equity."""
    bound = case.limits.gross_max_share
    if case.live.unsized:
        unsized = names(str(order) for _, order in case.live.unsized)
        return denial(DenialCode.GROSS_ABOVE_MAX, UNKNOWN, plain(bound), f"orders of unknown size rest: {unsized}")
    gross = case.gross
    if gross is None or case.equity is None or gross <= bound * case.equity:
        return None
    return denial(
        DenialCode.GROSS_ABOVE_MAX,
        share(gross, case.equity),
        plain(bound),
        f"worst cases of all products add up to {over(gross)} of equity {over(case.equity)}",
    )


def leverage(case: Case) -> Denial | None:
    """Gross worst-case notional over equity is within the profile's maximum, where it sets one."""
    bound, gross = case.limits.leverage_max, case.gross
    if bound is None or gross is None or case.equity is None or gross <= bound * case.equity:
        return None
    return denial(DenialCode.LEVERAGE_ABOVE_MAX, share(gross, case.equity), plain(bound), "x of equity")


def liquidation_distance(case: Case) -> Denial | None:
    """With every working order filled, the mark could still move by the minimum share before liquidation.

    An estimate, labelled as such: the venue publishes no liquidation price and no formula (Advanced Trade reference 12,
    read 2026-11-22). Liquidation is taken to come when equity falls to the dearer of the product's margin rates on the
    gross notional, or to the venue's own liquidation threshold for what is held, whichever is nearer. An account that
    holds something must also be at the venue's base margin level.
    """
    bound, account = case.limits.liquidation_distance_min_share, case.view.account
    if account is None or case.exposure is None:
        return None
    holds = case.view.positions is not None and any(each.coin for each in case.view.positions.positions)
    if holds and account.margin_level is not MarginLevel.BASE:
        return denial(
            DenialCode.LIQUIDATION_TOO_NEAR, account.margin_level.value, MarginLevel.BASE.value, "margin level"
        )
    gross = case.gross
    if not gross:
        return None
    rate = _dearer_rate(case)
    if rate is None:
        return denial(DenialCode.LIQUIDATION_TOO_NEAR, UNKNOWN, plain(bound), "the product's margin rates are not told")
    needed = max(rate * gross, account.liquidation_threshold or ZERO)
    if account.equity - needed >= bound * gross:
        return None
    distance = (account.equity - needed) / gross
    return denial(
        DenialCode.LIQUIDATION_TOO_NEAR, under(distance), plain(bound), "share of the mark, estimated from margin rates"
    )


def _dearer_rate(case: Case) -> Decimal | None:
    product, exposure, dearer = case.view.product, case.exposure, None
    assert exposure is not None
    long, short = exposure.long > 0, exposure.short > 0
    for rates in (product.intraday_margin, product.overnight_margin):
        if rates is None:
            continue
        if long and (dearer is None or rates.long > dearer):
            dearer = rates.long
        if short and (dearer is None or rates.short > dearer):
            dearer = rates.short
    return dearer


def loss_baseline(case: Case) -> Denial | None:
    """Both windows have a mark to count a loss from, and each product they booked has a mark now."""
    reading = case.loss
    if reading is None:
        return None
    if reading.missing:
        return denial(
            DenialCode.LOSS_BASELINE_MISSING,
            f"no baseline: {names(reading.missing)}",
            "an equity mark for each window",
            "a mark is recorded by the next run or reconcile; the first one starts the count",
        )
    if reading.unmarked:
        return denial(
            DenialCode.LOSS_BASELINE_MISSING,
            f"no mark: {names(reading.unmarked)}",
            "a mark of every product booked",
            "the loss by fills cannot be counted without it",
        )
    return None


def daily_loss(case: Case) -> Denial | None:
    """The worse of the two losses, in the worse of the two windows, is within its share of the window's equity."""
    reading, bound = case.loss, case.limits.daily_loss_max_share
    if reading is None:
        return None
    breached = [each for each in reading.windows if exceeds(each, bound)]
    if not breached:
        return None
    worst = max(breached, key=lambda each: each.loss)
    return denial(
        DenialCode.DAILY_LOSS_ABOVE_MAX,
        share(worst.loss, worst.start_equity),
        plain(bound),
        f"{worst.window}: lost {over(worst.loss)} of {over(worst.start_equity)} (by balances {over(worst.by_balances)}, "
        f"by fills {UNKNOWN if worst.by_flows is None else over(worst.by_flows)})",
    )
