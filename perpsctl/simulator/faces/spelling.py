"""How the venue spells values: plain decimals as text, RFC 3339 in UTC, money with its currency."""

from datetime import UTC, datetime
from decimal import Decimal

from perpsctl.wire.advanced_trade.common import Amount


def plain(value: Decimal) -> str:
    """A decimal without exponent and without trailing zeros; zero is "0"."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def maybe(value: Decimal | None, absent: str = "") -> str:
    """A decimal, or the venue's empty text for "no value"."""
    return absent if value is None else plain(value)


def usd(value: Decimal) -> Amount:
    """An amount of dollars."""
    return Amount(value=plain(value), currency="USD")


def stamp(instant: datetime) -> str:
    """RFC 3339 in UTC with as many fraction digits as there are, `Z` at the end."""
    utc = instant.astimezone(UTC).replace(tzinfo=None)
    text = utc.isoformat(timespec="microseconds" if utc.microsecond else "seconds")
    return f"{text}Z"


def instant(text: str) -> datetime:
    """RFC 3339 with 0 to 9 fraction digits, `Z` or an offset; ValueError otherwise, and for a time without a zone."""
    cut = text
    if "." in text:
        whole, _, rest = text.partition(".")
        digits = len(rest) - len(rest.lstrip("0123456789"))
        cut = f"{whole}.{rest[:digits][:6].ljust(6, '0')}{rest[digits:]}"
    parsed = datetime.fromisoformat(cut)
    if parsed.tzinfo is None:
        raise ValueError("a time needs a zone")
    return parsed.astimezone(UTC)
