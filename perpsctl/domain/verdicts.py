"""What judgement says: approved, or denied with every reason and both numbers. We deny; the venue rejects."""

from dataclasses import dataclass
from enum import StrEnum

from perpsctl.domain.orders import ApprovedEdit, ApprovedOrder


class DenialCode(StrEnum):
    """Stable, public codes (docs/risk.md)."""

    KILL_SWITCH_ENGAGED = "kill_switch_engaged"
    HALTED = "halted"
    PRODUCT_REDUCING = "product_reducing"
    POSITION_ABOVE_MAX = "position_above_max"
    GROSS_ABOVE_MAX = "gross_above_max"
    DAILY_LOSS_ABOVE_MAX = "daily_loss_above_max"
    LOSS_BASELINE_MISSING = "loss_baseline_missing"
    ORDER_IMPACT_ABOVE_MAX = "order_impact_above_max"
    LIQUIDITY_BELOW_MIN = "liquidity_below_min"
    FUNDING_ABOVE_MAX = "funding_above_max"
    FUNDING_UNKNOWN = "funding_unknown"
    QUIET_WINDOW = "quiet_window"
    MARGIN_WINDOW_AHEAD = "margin_window_ahead"
    BREAK_AHEAD = "break_ahead"
    ORDER_NOTIONAL_ABOVE_MAX = "order_notional_above_max"
    ORDERS_PER_MINUTE_ABOVE_MAX = "orders_per_minute_above_max"
    ORDERS_PER_DAY_ABOVE_MAX = "orders_per_day_above_max"
    OPEN_ORDERS_ABOVE_MAX = "open_orders_above_max"
    LEVERAGE_ABOVE_MAX = "leverage_above_max"
    PRICE_OUTSIDE_COLLAR = "price_outside_collar"
    PRICE_TOO_FAR = "price_too_far"
    MARK_MISSING = "mark_missing"
    MARK_STALE = "mark_stale"
    MARK_DIVERGES = "mark_diverges"
    BOOK_MISSING = "book_missing"
    BOOK_STALE = "book_stale"
    ACCOUNT_MISSING = "account_missing"
    ACCOUNT_STALE = "account_stale"
    ACCOUNT_LOCKED = "account_locked"
    CLOCK_UNKNOWN = "clock_unknown"
    CLOCK_SKEW_ABOVE_MAX = "clock_skew_above_max"
    LIQUIDATION_TOO_NEAR = "liquidation_too_near"
    DUPLICATE_INTENT = "duplicate_intent"
    CROSSES_OWN_ORDER = "crosses_own_order"
    PRODUCT_STATUS = "product_status"
    PRODUCT_STALE = "product_stale"
    SESSION_CLOSED = "session_closed"
    NOT_REDUCING = "not_reducing"
    REDUCE_ONLY_MUST_BE_ONE_SHOT = "reduce_only_must_be_one_shot"
    EXIT_PRICE_UNKNOWN = "exit_price_unknown"
    PRODUCT_NOT_ALLOWED = "product_not_allowed"
    LIVE_NOT_ENABLED = "live_not_enabled"
    PREFLIGHT_TOKEN_MISSING = "preflight_token_missing"  # noqa: S105 - a code, not a secret
    BOOKED_MISSING = "booked_missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """One reason with what was seen and the bound it broke, both as plain text with the unit in the code's page."""

    code: DenialCode
    observed: str
    limit: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """Nothing was sent and nothing will be; every rule that spoke is here."""

    denials: tuple[Denial, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """Every rule passed at the moment of judging; `notes` are warnings worth showing."""

    order: ApprovedOrder
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovedChange:
    """The same for an edit."""

    edit: ApprovedEdit
    notes: tuple[str, ...] = ()


Verdict = Approved | Denied
EditVerdict = ApprovedChange | Denied
