"""The operator's limits: every ceiling with its unit, its bounds and its one definition, immutable and fingerprinted.

A limit is never loaded half: an unknown key, a number that is not finite or out of bounds, or a word outside its set is
a ConfigError that names the key (invariant R6). What is not configured has the default written here (design 6).
"""
# ruff: noqa: RUF009 - the calls make dataclass fields: one line holds a limit's default, unit, bounds and definition

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import time
from decimal import Decimal
from enum import StrEnum
from typing import Any

from perpsctl.domain.errors import ConfigError, UsageError
from perpsctl.domain.ids import product_id as read_product_id
from perpsctl.domain.numbers import NotANumber, exact, plain
from perpsctl.domain.text import shown


class LossPolicy(StrEnum):
    """What a breach of the daily loss does besides latching the halt and cancelling everything."""

    FLATTEN = "flatten"
    HALT = "halt"


class QuietBasis(StrEnum):
    """Which funding events are quiet: the moments cash moves, or every accrual."""

    CASH = "cash"
    ACCRUAL = "accrual"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What one limit is: how it is read and checked, its unit, and the sentence that defines it."""

    unit: str
    definition: str
    legal: str
    read: Callable[[object], object]  # raises NotLegal
    optional: bool = False
    empty: str = "none"  # how an empty list is shown


class NotLegal(ValueError):
    """The value is not legal for its setting; the setting's `legal` says what is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRow:
    """One limit as it is shown: the value as plain text, `not set` for a limit the profile leaves out."""

    name: str
    value: str
    unit: str
    definition: str
    is_default: bool


def _number(raw: object) -> Decimal:
    if isinstance(raw, bool):
        raise NotLegal("true and false are not numbers")
    if isinstance(raw, int):
        raw = str(raw) if abs(raw) < 10**40 else ""
    elif isinstance(raw, Decimal):
        raw = str(raw) if raw.is_finite() else ""
    if not isinstance(raw, str):
        raise NotLegal("write it as text or a whole number")
    try:
        return exact(raw)
    except NotANumber:
        raise NotLegal("not a plain number") from None


def _decimal(
    default: str | None, *, unit: str, above: str = "0", most: str, definition: str, optional: bool = False
) -> Any:
    low, high = Decimal(above), Decimal(most)

    def read(raw: object) -> Decimal:
        value = _number(raw)
        if not low < value <= high:
            raise NotLegal("out of bounds")
        return value

    setting = Setting(
        unit=unit,
        definition=definition,
        legal=f"a number above {plain(low)} and at most {plain(high)}",
        read=read,
        optional=optional,
    )
    return field(default=None if default is None else Decimal(default), metadata={"setting": setting})


def _whole(
    default: int | None, *, unit: str, least: int = 1, most: int, definition: str, optional: bool = False
) -> Any:
    def read(raw: object) -> int:
        value = _number(raw)
        if value != value.to_integral_value() or not least <= value <= most:
            raise NotLegal("not a whole number within bounds")
        return int(value)

    setting = Setting(
        unit=unit, definition=definition, legal=f"a whole number from {least} to {most}", read=read, optional=optional
    )
    return field(default=default, metadata={"setting": setting})


def _word(default: StrEnum, *, definition: str) -> Any:
    words = type(default)

    def read(raw: object) -> StrEnum:
        if not isinstance(raw, str) or raw not in {str(word) for word in words}:
            raise NotLegal("not one of the words")
        return words(raw)

    setting = Setting(unit="", definition=definition, legal=" or ".join(words), read=read)
    return field(default=default, metadata={"setting": setting})


def _read_list(raw: object) -> tuple[object, ...]:
    if isinstance(raw, str) and raw:  # an environment variable has no lists
        return tuple(part.strip() for part in raw.split(","))
    if isinstance(raw, str) or not isinstance(raw, Sequence):
        raise NotLegal("not a list")
    return tuple(raw)


def _read_times(raw: object) -> tuple[time, ...]:
    times = tuple(_read_time(each) for each in _read_list(raw))
    if len(set(times)) != len(times) or len(times) > 24:
        raise NotLegal("a time twice, or more than 24")
    return tuple(sorted(times))


def _read_time(raw: object) -> time:
    if isinstance(raw, time):
        if raw.tzinfo is not None or raw.second or raw.microsecond:
            raise NotLegal("a time of day in UTC, to the minute")
        return raw
    text = raw if isinstance(raw, str) else ""
    hours, _, minutes = text.partition(":")
    if not (text.isascii() and len(text) == 5 and hours.isdigit() and minutes.isdigit() and len(hours) == 2):
        raise NotLegal("not HH:MM")
    if int(hours) > 23 or int(minutes) > 59:
        raise NotLegal("not a time of day")
    return time(int(hours), int(minutes))


def _read_products(raw: object) -> tuple[str, ...]:
    names = []
    for each in _read_list(raw):
        if not isinstance(each, str):
            raise NotLegal("not text")
        try:
            names.append(read_product_id(each).upper())
        except UsageError as error:
            raise NotLegal("not a product id") from error
    return tuple(sorted(set(names)))


def _times(*, definition: str) -> Any:
    setting = Setting(unit="UTC", definition=definition, legal='a list of times like "08:00"', read=_read_times)
    return field(default=(), metadata={"setting": setting})


def _products(*, definition: str) -> Any:
    setting = Setting(
        unit="",
        definition=definition,
        legal="a list of product ids or aliases",
        read=_read_products,
        empty="all perpetuals",
    )
    return field(default=(), metadata={"setting": setting})


def _share(default: str, definition: str) -> Any:
    return _decimal(default, unit="share", most="1", definition=definition)


def _bps(default: str, definition: str, *, most: str = "5000") -> Any:
    return _decimal(default, unit="bps", most=most, definition=definition)


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLimits:
    """Every limit by its setting name. An illegal value cannot be constructed: ConfigError names it."""

    position_max_share: Decimal = _share(
        "0.01",
        "worst-case absolute position (larger of the long and the short side, working and in-doubt orders filled, "
        "never netted) x mark / equity, per product",
    )
    gross_max_share: Decimal = _share("0.05", "sum of the worst-case positions over all products / equity")
    daily_loss_max_share: Decimal = _share(
        "0.02",
        "loss / transfer-adjusted equity at the window's start, for the UTC day and a rolling 24 h; by balances and by "
        "fills, fees, funding and marks; the worst of all counts",
    )
    loss_policy: LossPolicy = _word(
        LossPolicy.FLATTEN, definition="what a loss breach does besides latching the halt and cancelling"
    )
    order_impact_max_bps: Decimal = _bps(
        "15", "average price of walking the live book for the size against mid, signed against us; 0 for post-only"
    )
    liquidity_min_usd: Decimal = _decimal(
        "100000",
        unit="USD",
        most="1000000000000",
        definition="notional on the side to be hit within liquidity_band_bps of mid; not asked of post-only orders",
    )
    liquidity_band_bps: Decimal = _bps("25", "distance from mid within which liquidity is counted")
    funding_max_share_per_day: Decimal = _share(
        "0.001",
        "projected 24 h funding cost / position notional, from the last hourly rate x 24; received funding passes",
    )
    quiet_minutes: int = _whole(30, unit="min", most=720, definition="before each funding event no entry is made")
    quiet_basis: QuietBasis = _word(
        QuietBasis.CASH,
        definition="cash: the configured cash times, or the hourly accrual where none are known; accrual: every accrual",
    )
    funding_cash_times: tuple[time, ...] = _times(
        definition="times of day at which funding moves cash; empty: not known, the hourly accrual counts"
    )
    margin_window_lead_minutes: int = _whole(
        30,
        unit="min",
        most=720,
        definition="before a dearer margin window or a break no entry is made; also the outlook for resting orders",
    )
    order_notional_max: Decimal | None = _decimal(
        None, unit="USD", most="1000000000000", definition="size x mark of one order", optional=True
    )
    orders_per_minute_max: int = _whole(
        10, unit="orders", most=100_000, definition="creates and edits sent within a minute, all processes together"
    )
    orders_per_day_max: int | None = _whole(
        None, unit="orders", most=10_000_000, definition="creates and edits sent within the UTC day", optional=True
    )
    open_orders_max: int | None = _whole(
        None, unit="orders", most=100_000, definition="live orders of the portfolio, in-doubt ones too", optional=True
    )
    leverage_max: Decimal | None = _decimal(
        None, unit="x", most="100", definition="worst-case gross notional / equity", optional=True
    )
    price_collar_bps: Decimal = _bps(
        "100", "how far a buy may reach above the mark, or a sell below; stop-limits count from their trigger"
    )
    far_price_max_share: Decimal = _share("0.5", "how far from the mark a passive price or a trigger may stand")
    mark_age_max_s: int = _whole(
        5, unit="s", most=60, definition="age of each mark, and of the index, last, funding and status read"
    )
    book_age_max_s: int = _whole(2, unit="s", most=60, definition="age of the book an entry is judged by")
    account_age_max_s: int = _whole(10, unit="s", most=300, definition="age of the balances, positions and open orders")
    clock_age_max_s: int = _whole(60, unit="s", most=600, definition="age of the measured clock difference")
    clock_skew_max_ms: int = _whole(
        1000,
        unit="ms",
        most=10_000,
        definition="clock difference to the venue with its uncertainty; also how far "
        "ahead of our clock a read may be dated",
    )
    mark_divergence_max_bps: Decimal = _bps("100", "distance of the mark from the index and from the last price")
    liquidation_distance_min_share: Decimal = _share(
        "0.10", "estimated distance from mark to liquidation with every working order filled"
    )
    duplicate_guard_s: int = _whole(
        30,
        unit="s",
        most=60,  # the journal hands over the intents of its last two minutes: a longer guard would not see them all
        definition="no second intent of the same product, side, size, price and reason, unless the first ended empty",
    )
    resting_ttl_s: int = _whole(
        120, unit="s", least=5, most=3600, definition="how long the loop's resting entries live at the venue unrenewed"
    )
    exit_collar_bps: Decimal = _bps("500", "how far from the best known price an exit may reach")
    products_allowed: tuple[str, ...] = _products(
        definition="products that may be entered, by id or alias; empty: every perpetual of the venue"
    )

    def __post_init__(self) -> None:
        for name, setting in SETTINGS.items():
            object.__setattr__(self, name, _checked(name, setting, getattr(self, name)))

    @classmethod
    def from_mapping(cls, raw: Mapping[str, object]) -> "RiskLimits":
        """The limits a configuration says, defaults for what it leaves out. ConfigError names the first bad key."""
        for key in raw:
            if key not in SETTINGS:
                raise ConfigError(
                    f"unknown limit {shown(key)}; no limit was loaded", fix=f"known limits: {', '.join(SETTINGS)}"
                )
        for key, value in raw.items():
            if value is None:
                raise ConfigError(f"{key} has no value; no limit was loaded", fix=f"{key} is {SETTINGS[key].legal}")
        return cls(**dict(raw))  # type: ignore[arg-type]  # each value is read and checked by __post_init__

    def fingerprint(self) -> str:
        """64 hex digits that are equal exactly when every limit is equal, however its number was written."""
        content = "\n".join(f"{row.name}={row.value}" for row in self.as_rows())
        return hashlib.sha256(content.encode()).hexdigest()

    def as_rows(self) -> tuple[LimitRow, ...]:
        """Every limit as shown by `limits show`, in the order of this class."""
        return tuple(
            LimitRow(
                name=name,
                value=_as_text(getattr(self, name), setting.empty),
                unit=setting.unit,
                definition=setting.definition,
                is_default=getattr(self, name) == _DEFAULTS[name],
            )
            for name, setting in SETTINGS.items()
        )


SETTINGS: Mapping[str, Setting] = {each.name: each.metadata["setting"] for each in fields(RiskLimits)}
_DEFAULTS: Mapping[str, object] = {each.name: each.default for each in fields(RiskLimits)}


def _checked(name: str, setting: Setting, value: object) -> object:
    if value is None and setting.optional:
        return None
    try:
        return setting.read(value)
    except NotLegal as problem:
        raise ConfigError(
            f"{name} is not legal ({problem}): {shown(value, 60)}; no limit was loaded",
            fix=f"{name} is {setting.legal}",
        ) from None


def _as_text(value: object, empty: str) -> str:
    if value is None:
        return "not set"
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, tuple):
        return ", ".join(f"{each:%H:%M}" if isinstance(each, time) else str(each) for each in value) or empty
    return str(value)
