"""The causes told by the exchange room are read as what they are, from status, headers and body to the check's word."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from perpsctl.checks.refusals import Cause, cause_of
from perpsctl.domain.errors import VenueRefusedUs
from perpsctl.exchange.advanced_trade.link import refusal_of
from perpsctl.exchange.transport import Answered
from perpsctl.wire.advanced_trade.faults import error_facts

ARRIVED = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def refused(status: int, body: str, *, venue_ahead: timedelta = timedelta(0)) -> VenueRefusedUs:
    date = format_datetime(ARRIVED + venue_ahead, usegmt=True)
    answer = Answered(
        status=status,
        headers={"date": date},
        body=body.encode(),
        asked=ARRIVED,
        arrived=ARRIVED,
        sent_ns=0,
        arrived_ns=1,
    )
    return refusal_of(answer, error_facts(answer.body), "GET /key_permissions")


def permission_denied(text: str) -> str:
    return f'{{"error":"PERMISSION_DENIED","error_details":"{text}","message":"{text}"}}'


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (refused(401, "Unauthorized"), Cause.TOKEN),
        (refused(401, "Unauthorized", venue_ahead=timedelta(seconds=130)), Cause.CLOCK),
        (refused(401, "Unauthorized", venue_ahead=timedelta(seconds=-130)), Cause.CLOCK),
        (refused(403, permission_denied("Missing required scopes")), Cause.PERMISSION),
        (refused(403, permission_denied("IP address is not on the allowlist of this API key")), Cause.ADDRESS),
        (refused(403, permission_denied("your portfolio is another one")), Cause.PORTFOLIO),
        (refused(403, permission_denied("no")), Cause.NOT_TOLD),
        (refused(403, "<html>"), Cause.NOT_TOLD),
    ],
)
def test_each_cause_is_told_apart(error: VenueRefusedUs, cause: Cause) -> None:
    assert cause_of(error) is cause
