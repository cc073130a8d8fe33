"""What the payloads of the international venue have in common: the base of all structs and how numbers travel.

Amounts are JSON numbers on this wire (reference 4). Here they are exact Decimals: read through the guarded door of
`perpsctl.wire.guard`, written as plain digits without exponent. Null on the way in is "absent".
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from perpsctl.domain.numbers import plain
from perpsctl.wire import guard

Num = Decimal | UnsetType
NullableNum = Decimal | UnsetType | None  # written as null where the venue does; read as absent
Text = str | UnsetType
Flag = bool | UnsetType
Whole = int | UnsetType
JsonValue = None | bool | int | str | Decimal | list["JsonValue"] | tuple["JsonValue", ...] | Mapping[str, "JsonValue"]

T = TypeVar("T")

MARKET_PRICE: Final = "market_price"


class Body(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """A payload or a part of one. Every field may be absent; unknown fields are tolerated and not kept."""


class OrderPrice:
    """An order's price: a number, or the word "market_price" on open trigger market orders (reference 4)."""

    __slots__ = ("value",)

    def __init__(self, value: Decimal | None) -> None:
        self.value: Final = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OrderPrice) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return f"OrderPrice({MARKET_PRICE if self.value is None else plain(self.value)})"


def said(value: T | None) -> T | UnsetType:
    """A parameter: left out where there is nothing to say."""
    return UNSET if value is None else value


def read_custom(wanted: type, value: Any) -> object:
    """What `guard.fitted` cannot make by itself; ValueError for whatever is no such value."""
    if wanted is not OrderPrice:
        raise ValueError(f"no reader for {wanted.__name__}")
    return OrderPrice(None if value == MARKET_PRICE else guard.number(value))


def fitted(value: object, type_: type[T]) -> T:
    """A part of a tree as `type_`, with this venue's own types; WireError for what does not fit."""
    return guard.fitted(value, type_, custom=read_custom)


def decode(body: bytes, type_: type[T]) -> T:
    """A whole body as `type_`; WireError for everything else."""
    return fitted(guard.tree(body), type_)


def encode(payload: object) -> bytes:
    """Any payload as compact JSON: plain digits for Decimals, absent fields left out. TypeError for a float."""
    return _ENCODER.encode(_written(msgspec.to_builtins(payload, builtin_types=(Decimal,), enc_hook=_plain_value)))


def _plain_value(value: object) -> object:
    if isinstance(value, OrderPrice):
        return MARKET_PRICE if value.value is None else value.value
    raise TypeError(f"a {type(value).__name__} cannot be sent")


def _written(value: object) -> object:
    """The same tree with every number as its own digits."""
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if isinstance(value, Decimal):
        return msgspec.Raw(plain(value).encode())
    if isinstance(value, dict):
        return {key: _written(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_written(item) for item in value]
    if isinstance(value, float):
        raise TypeError("a float cannot be sent: it already lost digits")
    return value


_ENCODER = msgspec.json.Encoder()
