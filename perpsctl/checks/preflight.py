"""`preflight`: may this host trade this profile now. A look at everything an order rests on; nothing is placed."""

from perpsctl.checks import home, keys, readiness, record, venue
from perpsctl.checks.context import CheckContext
from perpsctl.checks.model import Check

PREFLIGHT: tuple[Check[CheckContext], ...] = (
    home.CONFIG,
    home.TOKEN,
    venue.ENVIRONMENT,
    keys.TRADE_FILE,
    keys.MONITOR_FILE,
    keys.ANALYTICS_FILE,
    home.DISK,
    home.DESCRIPTORS,
    record.INTEGRITY,
    home.JOURNAL_DURABLE,
    home.FOLDERS,
    home.LATCH,
    home.RELEASED,
    record.DOUBT,
    record.EXITS,
    record.LEASE,
    venue.REACHABLE,
    venue.SKEW,
    keys.ADDRESS,
    keys.TRADE_AUTH,
    keys.LEAST_PRIVILEGE,
    keys.PORTFOLIO,
    venue.DISCOVERED,
    venue.RESOLVED,
    venue.STATUS,
    readiness.INCREMENTS,
    venue.BOOK,
    readiness.LIQUIDITY,
    readiness.FUNDING,
    readiness.QUIET,
    readiness.MARGIN,
    venue.MARGIN_WINDOW,
    readiness.FEASIBLE,
    record.BOOKED,
    readiness.LOSS,
    readiness.VERDICT,
)
