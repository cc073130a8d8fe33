"""What kind of order it is and its terms, as the venue spells it: the same in requests, replies and history (reference 6.1)."""

from collections.abc import Iterator
from typing import ClassVar, Final

import msgspec
from msgspec import UNSET, UnsetType

from perpsctl.wire.advanced_trade.common import Body, NullableBody, Number


class LadderStep(Body, frozen=True, kw_only=True):
    """One order of a scaled order."""

    base_size: Number | UnsetType = UNSET
    limit_price: Number | UnsetType = UNSET


class Terms(NullableBody, frozen=True, kw_only=True):
    """What one configuration says. Which fields belong to which variant: `TERMS_OF`."""

    nullable: ClassVar[tuple[str, ...]] = ("end_time",)
    base_size: Number | UnsetType = UNSET
    quote_size: Number | UnsetType = UNSET
    limit_price: Number | UnsetType = UNSET
    stop_price: Number | UnsetType = UNSET
    stop_trigger_price: Number | UnsetType = UNSET
    stop_direction: str | UnsetType = UNSET
    start_time: str | UnsetType = UNSET
    end_time: str | UnsetType | None = UNSET
    post_only: bool | UnsetType = UNSET
    reduce_only: bool | UnsetType = UNSET  # echoed; refused or unknown in requests (reference 6.2)
    rfq_enabled: bool | UnsetType = UNSET
    rfq_disabled: bool | UnsetType = UNSET
    number_buckets: Number | UnsetType = UNSET
    bucket_size: Number | UnsetType = UNSET
    bucket_duration: str | UnsetType = UNSET
    orders: tuple[LadderStep, ...] | UnsetType = UNSET
    num_orders: Number | UnsetType = UNSET
    min_price: Number | UnsetType = UNSET
    max_price: Number | UnsetType = UNSET
    price_distribution: str | UnsetType = UNSET
    size_distribution: str | UnsetType = UNSET
    size_diff: Number | UnsetType = UNSET
    size_ratio: Number | UnsetType = UNSET


class OrderConfiguration(NullableBody, frozen=True, kw_only=True):
    """Exactly one variant is set in a request; `chosen` tells. The market variants of perps are sized in contracts."""

    nullable: ClassVar[tuple[str, ...]] = (
        "market_market_ioc",
        "market_market_fok",
        "sor_limit_ioc",
        "limit_limit_gtc",
        "limit_limit_gtd",
        "limit_limit_fok",
        "twap_limit_gtd",
        "stop_limit_stop_limit_gtc",
        "stop_limit_stop_limit_gtd",
        "trigger_bracket_gtc",
        "trigger_bracket_gtd",
        "scaled_limit_gtc",
    )
    market_market_ioc: Terms | UnsetType | None = UNSET
    market_market_fok: Terms | UnsetType | None = UNSET
    sor_limit_ioc: Terms | UnsetType | None = UNSET
    limit_limit_gtc: Terms | UnsetType | None = UNSET
    limit_limit_gtd: Terms | UnsetType | None = UNSET
    limit_limit_fok: Terms | UnsetType | None = UNSET
    twap_limit_gtd: Terms | UnsetType | None = UNSET
    stop_limit_stop_limit_gtc: Terms | UnsetType | None = UNSET
    stop_limit_stop_limit_gtd: Terms | UnsetType | None = UNSET
    trigger_bracket_gtc: Terms | UnsetType | None = UNSET
    trigger_bracket_gtd: Terms | UnsetType | None = UNSET
    scaled_limit_gtc: Terms | UnsetType | None = UNSET

    def variants(self) -> Iterator[tuple[str, Terms]]:
        """Every variant that is set, by its wire name."""
        for name in self.nullable:
            terms = getattr(self, name)
            if isinstance(terms, Terms):
                yield name, terms

    def chosen(self) -> tuple[str, Terms] | None:
        """The one variant that is set; None when there is none or more than one."""
        found = tuple(self.variants())
        return found[0] if len(found) == 1 else None


def configuration(variant: str, terms: Terms) -> OrderConfiguration:
    """A configuration with this one variant; TypeError for a name that is none."""
    return OrderConfiguration(**{variant: terms})


_SIZES = frozenset({"base_size", "quote_size"})
_LIMIT = _SIZES | {"limit_price", "rfq_disabled", "rfq_enabled"}
_STOP = frozenset({"base_size", "limit_price", "stop_price", "stop_direction"})
_BRACKET = frozenset({"base_size", "limit_price", "stop_trigger_price"})
TERMS_OF: Final[dict[str, frozenset[str]]] = {
    "market_market_ioc": _SIZES | {"rfq_disabled", "rfq_enabled"},
    "market_market_fok": _SIZES | {"rfq_disabled", "rfq_enabled"},
    "sor_limit_ioc": _LIMIT,
    "limit_limit_gtc": _LIMIT | {"post_only"},
    "limit_limit_gtd": _LIMIT | {"post_only", "end_time"},
    "limit_limit_fok": _LIMIT,
    "twap_limit_gtd": _SIZES
    | {"start_time", "end_time", "limit_price", "number_buckets", "bucket_size", "bucket_duration"},
    "stop_limit_stop_limit_gtc": _STOP,
    "stop_limit_stop_limit_gtd": _STOP | {"end_time"},
    "trigger_bracket_gtc": _BRACKET,
    "trigger_bracket_gtd": _BRACKET | {"end_time"},
    "scaled_limit_gtc": _SIZES
    | {"orders", "num_orders", "min_price", "max_price", "price_distribution", "size_distribution"}
    | {"size_diff", "size_ratio"},
}
"""The documented fields of each configuration in a request (reference 6.1); `reduce_only` is in none."""


def stray_terms(variant: str, terms: Terms) -> tuple[str, ...]:
    """The fields set in `terms` that the variant does not have, by name."""
    allowed = TERMS_OF[variant]
    return tuple(
        name.encode_name
        for name in msgspec.structs.fields(Terms)
        if name.encode_name not in allowed and getattr(terms, name.name) is not UNSET
    )
