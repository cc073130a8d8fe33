"""Domain values as JSON and as words: decimals as text, times in RFC 3339 UTC, enums by their value, text escaped."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from decimal import Decimal
from enum import Enum
from pathlib import Path

from perpsctl.domain.numbers import plain
from perpsctl.domain.text import shown

NOTHING = "-"
MAX_TEXT = 4000


def jsonable(value: object) -> object:
    """`value` as what JSON can hold; TypeError names a kind that has no rule, so that nothing is written by accident."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        return shown(value, MAX_TEXT)
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, timedelta):
        return plain(Decimal(value // timedelta(milliseconds=1)) / 1000)
    if isinstance(value, time_of_day):
        return value.isoformat("minutes")
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: jsonable(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(jsonable(key)): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    raise TypeError(f"no JSON form for {type(value).__name__}")


def to_json(value: object, *, indent: int | None = None) -> str:
    """`value` as one JSON document in ASCII, so that no terminal can be moved by it."""
    return json.dumps(jsonable(value), indent=indent, ensure_ascii=True, allow_nan=False)


def instant(value: datetime) -> str:
    """A moment as RFC 3339 in UTC, to the microsecond where it has one."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def clock_time(value: datetime | None) -> str:
    """A moment for a person: `2026-11-22 10:05:07Z`."""
    return NOTHING if value is None else value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def age(since: datetime, now: datetime) -> str:
    """How long ago a moment was: `3 s ago`, `12 min ago`, `5 h ago`, `40 d ago`; `in 3 s` for one ahead."""
    gone = now - since
    ahead, gone = gone < timedelta(0), abs(gone)
    for unit, length in (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("min", timedelta(minutes=1))):
        if gone >= 2 * length:
            text = f"{gone // length} {unit}"
            break
    else:
        text = f"{gone // timedelta(seconds=1)} s"
    return f"in {text}" if ahead else f"{text} ago"


def number(value: Decimal | None, places: int | None = None) -> str:
    """A number for a person, thousands parted; `-` for "not told"."""
    if value is None:
        return NOTHING
    shaped = value if places is None else value.quantize(Decimal(1).scaleb(-places))
    text = plain(shaped) if places is None else f"{shaped if shaped else abs(shaped):f}"  # never a negative zero
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    whole, _, rest = digits.partition(".")
    grouped = f"{int(whole):,}"
    return sign + grouped + (f".{rest}" if rest else "")


def money(value: Decimal | None) -> str:
    """An amount of quote currency, to the cent."""
    return number(value, 2)


def share(value: Decimal | None) -> str:
    """A fraction as a percentage."""
    return NOTHING if value is None else f"{number(value * 100, 2)} %"


def word(value: object) -> str:
    """Anything else for a person: `-` for nothing, escaped and cut."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, Decimal):
        return number(value)
    if isinstance(value, datetime):
        return clock_time(value)
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return shown(value)
