"""`probe`: what the venue is to us today. Every line is an observation; nothing is placed, nothing is changed."""

from perpsctl.checks import keys, streams, venue
from perpsctl.checks.context import CheckContext
from perpsctl.checks.model import Check

PROBE: tuple[Check[CheckContext], ...] = (
    venue.ENVIRONMENT,
    keys.TRADE_FILE,
    keys.MONITOR_FILE,
    keys.ANALYTICS_FILE,
    venue.REACHABLE,
    venue.SKEW,
    keys.ADDRESS,
    keys.TRADE_AUTH,
    keys.MONITOR_AUTH,
    keys.ANALYTICS_AUTH,
    keys.PERMISSIONS,
    keys.LEAST_PRIVILEGE,
    keys.PORTFOLIO,
    venue.DISCOVERED,
    venue.RESOLVED,
    venue.BOOK,
    venue.ACCOUNT,
    venue.POSITIONS,
    venue.ORDERS,
    venue.PREVIEW,
    venue.FEES,
    venue.MARGIN_WINDOW,
    streams.ACCOUNT_EVENTS,
    streams.BOOKS,
    venue.RATE,
    venue.LATENCY,
    venue.RETIRED,
)
