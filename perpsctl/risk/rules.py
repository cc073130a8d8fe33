"""Every rule, once: the function, the codes it can deny with, and what it binds. All that bind run; every reason shows.

Entry rules bind what can add exposure. What provably reduces passes all but validity, collar and status (design 6).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from perpsctl.domain.verdicts import Denial, DenialCode
from perpsctl.risk import ceilings, conduct, freshness, leaving, pricing, schedule
from perpsctl.risk.case import Case

Check = Callable[[Case], Denial | None]


class Binds(StrEnum):
    """What is judged."""

    ENTRY = "entry"  # a new order or an edit that can add exposure
    REDUCTION = "reduction"  # an order on the entry road that provably reduces and leaves nothing behind
    TRIM = "trim"  # an edit that only takes back: no larger, no more aggressive
    EXIT = "exit"  # the exit road and the switch's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule with its codes and what it binds."""

    check: Check
    codes: frozenset[DenialCode]
    binds: frozenset[Binds]

    @property
    def name(self) -> str:
        return self.check.__name__


def _rule(check: Check, *codes: DenialCode, binds: tuple[Binds, ...] = (Binds.ENTRY,)) -> Rule:
    return Rule(check=check, codes=frozenset(codes), binds=frozenset(binds))


_ALL = tuple(Binds)
_JOURNALED = (Binds.ENTRY, Binds.REDUCTION, Binds.TRIM)
_LEAVING = (Binds.REDUCTION, Binds.EXIT)

RULES: tuple[Rule, ...] = (
    _rule(freshness.journal_known, DenialCode.BOOKED_MISSING, binds=_JOURNALED),
    _rule(conduct.not_halted, DenialCode.HALTED, binds=_ALL),
    _rule(conduct.not_reducing, DenialCode.PRODUCT_REDUCING),
    _rule(conduct.product_allowed, DenialCode.PRODUCT_NOT_ALLOWED),
    _rule(conduct.account_open, DenialCode.ACCOUNT_LOCKED),
    _rule(conduct.product_status, DenialCode.PRODUCT_STATUS, binds=_ALL),
    _rule(conduct.session_open, DenialCode.SESSION_CLOSED, binds=_ALL),
    _rule(freshness.product_unchanged, DenialCode.PRODUCT_STALE, binds=_ALL),
    _rule(freshness.product_fresh, DenialCode.PRODUCT_STALE),
    _rule(freshness.account_known, DenialCode.ACCOUNT_MISSING),
    _rule(freshness.account_fresh, DenialCode.ACCOUNT_STALE),
    _rule(freshness.clock_known, DenialCode.CLOCK_UNKNOWN),
    _rule(freshness.clock_close, DenialCode.CLOCK_SKEW_ABOVE_MAX),
    _rule(freshness.book_known, DenialCode.BOOK_MISSING),
    _rule(freshness.book_fresh, DenialCode.BOOK_STALE),
    _rule(freshness.mark_known, DenialCode.MARK_MISSING),
    _rule(freshness.mark_fresh, DenialCode.MARK_STALE),
    _rule(freshness.mark_agrees, DenialCode.MARK_DIVERGES),
    _rule(ceilings.position_share, DenialCode.POSITION_ABOVE_MAX),
    _rule(ceilings.gross_share, DenialCode.GROSS_ABOVE_MAX),
    _rule(ceilings.leverage, DenialCode.LEVERAGE_ABOVE_MAX),
    _rule(ceilings.liquidation_distance, DenialCode.LIQUIDATION_TOO_NEAR),
    _rule(ceilings.loss_baseline, DenialCode.LOSS_BASELINE_MISSING),
    _rule(ceilings.daily_loss, DenialCode.DAILY_LOSS_ABOVE_MAX),
    _rule(pricing.order_notional, DenialCode.ORDER_NOTIONAL_ABOVE_MAX),
    _rule(pricing.price_collar, DenialCode.PRICE_OUTSIDE_COLLAR),
    _rule(pricing.price_near, DenialCode.PRICE_TOO_FAR),
    _rule(pricing.order_impact, DenialCode.ORDER_IMPACT_ABOVE_MAX),
    _rule(pricing.liquidity, DenialCode.LIQUIDITY_BELOW_MIN),
    _rule(pricing.funding_cost, DenialCode.FUNDING_ABOVE_MAX, DenialCode.FUNDING_UNKNOWN),
    _rule(schedule.quiet_window, DenialCode.QUIET_WINDOW),
    _rule(schedule.margin_window, DenialCode.MARGIN_WINDOW_AHEAD),
    _rule(schedule.break_ahead, DenialCode.BREAK_AHEAD),
    _rule(conduct.orders_per_minute, DenialCode.ORDERS_PER_MINUTE_ABOVE_MAX),
    _rule(conduct.orders_per_day, DenialCode.ORDERS_PER_DAY_ABOVE_MAX),
    _rule(conduct.open_orders, DenialCode.OPEN_ORDERS_ABOVE_MAX),
    _rule(conduct.no_duplicate, DenialCode.DUPLICATE_INTENT),
    _rule(conduct.no_crossing, DenialCode.CROSSES_OWN_ORDER),
    _rule(conduct.reduces_if_asked, DenialCode.NOT_REDUCING),
    _rule(
        conduct.reduces_in_one_shot,
        DenialCode.REDUCE_ONLY_MUST_BE_ONE_SHOT,
        binds=(Binds.ENTRY, Binds.REDUCTION, Binds.EXIT),
    ),
    _rule(leaving.live_orders_known, DenialCode.ACCOUNT_MISSING, binds=(Binds.EXIT,)),
    _rule(leaving.reads_fresh, DenialCode.ACCOUNT_STALE, binds=_LEAVING),
    _rule(conduct.must_reduce, DenialCode.NOT_REDUCING, binds=_LEAVING),
    _rule(leaving.exit_collar, DenialCode.PRICE_OUTSIDE_COLLAR, DenialCode.EXIT_PRICE_UNKNOWN, binds=_LEAVING),
)

_CHECKS = {each: tuple(rule.check for rule in RULES if each in rule.binds) for each in Binds}


def denials(case: Case, binds: Binds) -> tuple[Denial, ...]:
    """Every reason against the case, in the order of RULES; empty when every rule that binds passed."""
    return tuple(found for check in _CHECKS[binds] if (found := check(case)) is not None)
