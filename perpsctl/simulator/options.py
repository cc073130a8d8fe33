"""What can be chosen when an exchange starts; everything has a default that a demo can live with."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path


class Dedupe(StrEnum):
    """How long a client order id is remembered (reference 6.9 leaves it open: question 1 of section 15)."""

    FOREVER = "forever"
    SIXTY_SECONDS = "60s"
    NEVER = "never"


class CalendarMode(StrEnum):
    """`open` keeps breaks, cash events and margin steps at least 6 h away from the start; `venue` gives true times."""

    OPEN = "open"
    VENUE = "venue"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySpec:
    """A recorded file that drives one product's price, from `start` on (default: its first row)."""

    path: Path
    start: datetime | None = None
    product_id: str | None = None  # default: by the file's name (btc, eth, sol, xrp)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Choices of one exchange.

    Fee rates: the venue's are per account and must be read; 0 and 0.03 % is one account on record (venues.md
    section 3, 2026). `speed` accelerates the price path only.
    """

    seed: int = 1
    speed: Decimal = Decimal(1)
    calendar: CalendarMode = CalendarMode.OPEN
    dedupe: Dedupe = Dedupe.FOREVER
    maker_fee_rate: Decimal = Decimal("0")
    taker_fee_rate: Decimal = Decimal("0.0003")
    cbi_usd: Decimal = Decimal("900000")
    cfm_usd: Decimal = Decimal("100000")
    usdc: Decimal = Decimal("1000000")  # the Global account's cash
    replay: ReplaySpec | None = None
    depth_usd: Decimal = Decimal("1600000")  # resting within 25 bps of mid, per side, about
    max_open_orders: int = 500
    first_account: int = 1  # the number of this start: whoever starts an exchange anew on one home counts it on
