"""Domain values to canonical JSON text and back, exactly.

Numbers travel as plain text through `numbers.exact`, so NaN, infinities and floats cannot be stored (J7); times as UTC
RFC 3339 with microseconds; keys sorted, ASCII only, so the same value is the same bytes. What this room wrote, it reads;
text it cannot read raises Unreadable, never a half-filled value.
"""

import json
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, NewType, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from perpsctl.domain.errors import InvariantBroken
from perpsctl.domain.numbers import NotANumber, exact, plain

T = TypeVar("T")
Json = None | bool | int | str | list["Json"] | dict[str, "Json"]
Decoder = Callable[[Any], Any]

TAG = "is"


class Unreadable(ValueError):
    """Stored text that is not what this version writes."""


def dumps(value: object) -> str:
    """`value` as canonical JSON text; InvariantBroken for what the journal must not hold (floats, NaN, local times)."""
    return json.dumps(encode(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def loads(kind: type[T], text: str) -> T:
    """The value of class `kind` that `dumps` wrote; Unreadable otherwise."""
    return decode(kind, parse(text))


def parse(text: str) -> dict[str, Json]:
    """The JSON object in `text`."""
    try:
        told = json.loads(text, parse_float=_no_float, parse_constant=_no_float)
    except (ValueError, RecursionError) as trouble:
        raise Unreadable(f"not JSON of ours: {type(trouble).__name__}") from None
    if not isinstance(told, dict):
        raise Unreadable("not a JSON object")
    return cast(dict[str, Json], told)


def decode(kind: type[T], told: object) -> T:
    """The value of class `kind` that `encode` turned into `told`; Unreadable otherwise."""
    try:
        return cast(T, _decoder(cast(Any, kind))(told))
    except (KeyError, TypeError, ValueError) as trouble:
        raise Unreadable(f"not a stored {kind.__name__}: {type(trouble).__name__}") from None


def encode(value: object) -> Json:
    """`value` as JSON's own types."""
    if value is None or value is True or value is False:
        return cast(Json, value)
    return _encoder(cast(Any, type(value)))(value)


def stamp(at: datetime) -> str:
    """A moment as UTC RFC 3339 text with microseconds; such texts sort as the moments do."""
    if at.tzinfo is None:
        raise InvariantBroken("a time without a zone reached the journal")
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    text = utc.isoformat(timespec="microseconds")
    return text[:-6] + "Z"


def moment(text: object) -> datetime:
    """The moment `stamp` wrote."""
    if not isinstance(text, str) or len(text) != 27 or text[-1] != "Z":
        raise Unreadable("not a moment")
    return datetime.fromisoformat(text)


def number(value: Decimal) -> str:
    """A decimal as text that reads back to an equal one; InvariantBroken for what no venue may say (J7)."""
    try:
        text = plain(value)
        exact(text)
    except NotANumber:
        raise InvariantBroken("a number that is not finite, or too long, reached the journal") from None
    return text


def _no_float(text: str) -> Json:
    raise ValueError("a number that is not text")


# --- writing ----------------------------------------------------------------------------------------


@cache
def _encoder(kind: type[Any]) -> Callable[[Any], Json]:
    if kind is Decimal:
        return number
    if kind is datetime:
        return stamp
    if issubclass(kind, Enum):
        return lambda value: cast(Json, value.value)
    if kind in (str, int):
        return lambda value: cast(Json, value)
    if kind in (tuple, list):
        return lambda value: [encode(each) for each in value]
    if issubclass(kind, Mapping):
        return _encode_mapping
    if is_dataclass(kind):
        return _dataclass_encoder(kind)
    raise InvariantBroken(f"a {kind.__name__} cannot be stored in the journal")


def _encode_mapping(value: Mapping[Any, Any]) -> Json:
    if not all(isinstance(key, str) for key in value):
        raise InvariantBroken("a key that is not text reached the journal")
    return {str(key): encode(each) for key, each in value.items()}


def _dataclass_encoder(kind: type[Any]) -> Callable[[Any], Json]:
    names = tuple(each.name for each in fields(kind))
    tag = kind.__name__

    def encode_fields(value: Any) -> Json:
        told: dict[str, Json] = {TAG: tag}
        for name in names:
            told[name] = encode(getattr(value, name))
        return told

    return encode_fields


# --- reading ----------------------------------------------------------------------------------------


@cache
def _decoder(kind: Any) -> Decoder:
    while isinstance(kind, NewType):
        kind = kind.__supertype__
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _union_decoder(get_args(kind))
    if origin is tuple:
        return _tuple_decoder(get_args(kind)[0])
    if kind is Decimal:
        return exact
    if kind is datetime:
        return moment
    if kind in (str, int, bool):
        return _plain_decoder(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind
    if is_dataclass(kind):
        return _dataclass_decoder(cast(type[Any], kind))
    raise InvariantBroken(f"{kind!r} cannot be read from the journal")


def _plain_decoder(kind: type[Any]) -> Decoder:
    def read(told: Any) -> Any:
        if type(told) is not kind:
            raise Unreadable(f"not a {kind.__name__}")
        return told

    return read


def _tuple_decoder(of: Any) -> Decoder:
    one = _decoder(of)

    def read(told: Any) -> Any:
        if not isinstance(told, list):
            raise Unreadable("not a list")
        return tuple(one(each) for each in told)

    return read


def _union_decoder(members: tuple[Any, ...]) -> Decoder:
    optional = type(None) in members
    kinds = [member for member in members if member is not type(None)]
    by_tag = {kind.__name__: _decoder(kind) for kind in kinds} if len(kinds) > 1 else {}
    only = _decoder(kinds[0]) if len(kinds) == 1 else None

    def read(told: Any) -> Any:
        if told is None and optional:
            return None
        return only(told) if only is not None else by_tag[told[TAG]](told)

    return read


def _dataclass_decoder(kind: type[Any]) -> Decoder:
    hints = get_type_hints(kind)
    plan = tuple(
        (each.name, _decoder(hints[each.name]), each.default is MISSING and each.default_factory is MISSING)
        for each in fields(kind)
    )
    tag = kind.__name__

    def read(told: Any) -> Any:
        if told[TAG] != tag:
            raise Unreadable(f"not a {tag}")
        return kind(**{name: one(told[name]) for name, one, needed in plan if needed or name in told})

    return read
