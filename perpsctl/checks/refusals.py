"""Why the venue would not have us: clock, address, permission, portfolio or the key itself, as far as it was told.

The exchange room words each cause in one sentence of its own (`exchange/advanced_trade/link.py`); this room reads those
sentences, and a test holds the two together. What fits none of them stays "not told": it is never guessed.
"""

from enum import StrEnum

from perpsctl.domain.errors import VenueRefusedUs


class Cause(StrEnum):
    """What a refusal of our credentials was about."""

    CLOCK = "clock"
    ADDRESS = "address"
    PERMISSION = "permission"
    PORTFOLIO = "portfolio"
    TOKEN = "token"  # noqa: S105 - 401 without a hint: wrong, expired or deleted key
    NOT_TOLD = "not told"


def cause_of(refused: VenueRefusedUs) -> Cause:
    """The cause of a refusal."""
    words = refused.message.lower()
    if "our clock is" in words:
        return Cause.CLOCK
    if "allowlist" in words:
        return Cause.ADDRESS
    if "lacks a permission" in words:
        return Cause.PERMISSION
    if "another portfolio" in words:
        return Cause.PORTFOLIO
    return Cause.TOKEN if "http 401" in words else Cause.NOT_TOLD
