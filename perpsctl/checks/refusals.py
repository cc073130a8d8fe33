"""Why the venue would not have us, in the words of the checks: what the exchange room told is passed on, never guessed."""

from enum import StrEnum

from perpsctl.domain.errors import RefusalCause, VenueRefusedUs


class Cause(StrEnum):
    """What a refusal of our credentials was about."""

    CLOCK = "clock"
    ADDRESS = "address"
    PERMISSION = "permission"
    PORTFOLIO = "portfolio"
    TOKEN = "token"  # noqa: S105 - 401 without a hint: wrong, expired or deleted key
    NOT_TOLD = "not told"


_CAUSES = {
    RefusalCause.CLOCK: Cause.CLOCK,
    RefusalCause.ADDRESS: Cause.ADDRESS,
    RefusalCause.PERMISSION: Cause.PERMISSION,
    RefusalCause.PORTFOLIO: Cause.PORTFOLIO,
    RefusalCause.KEY: Cause.TOKEN,
    RefusalCause.UNKNOWN: Cause.NOT_TOLD,
}


def cause_of(refused: VenueRefusedUs) -> Cause:
    """The cause of a refusal."""
    return _CAUSES[refused.cause]
