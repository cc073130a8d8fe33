"""Request bodies read as the venue's backend reads them: proto-JSON, strict about keys, deaf to their spelling.

An unknown or repeated key is a 400 that names it and its column (recorded for the top level: ccxt/ccxt#27772). snake_case
and camelCase are the same key. Text is text: of the text fields only `leverage` may come as a number, as ccxt sends it.
"""

import json
import re
from collections.abc import Iterator
from typing import TypeVar

import msgspec

from perpsctl.simulator.faces.errors import Malformed
from perpsctl.wire.advanced_trade.configurations import TERMS_OF, OrderConfiguration
from perpsctl.wire.guard import WireError, check

T = TypeVar("T", bound=msgspec.Struct)

_UPPER = re.compile(r"(?<!^)([A-Z])")
_BLANK = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SCALAR = re.compile(r"[^,\]}\s]+")
_NUMBERS_FOR_TEXT = frozenset({"leverage"})
_IN_CONFIGURATION = frozenset({"reduce_only"})  # known, and refused on this venue (reference 6.2)
_Path = tuple[str | int, ...]


class _Number(str):
    """A JSON number as it stood in the body."""

    __slots__ = ()


class _Pairs(list[tuple[str, object]]):
    """An object as its pairs, repeats included."""


def read_body(body: bytes, type_: type[T], *, ignored: frozenset[str] = frozenset()) -> T:
    """The body as a request struct; Malformed for anything else. Keys in `ignored` are dropped at the top level."""
    try:
        check(body)
        tree = json.loads(body or b"{}", parse_int=_Number, parse_float=_Number, object_pairs_hook=_Pairs)
    except (WireError, ValueError) as refused:
        raise Malformed(f"proto: syntax error: {_sentence(refused)}", error="unknown") from None
    if not isinstance(tree, _Pairs):
        raise Malformed("proto: syntax error (line 1:1): unexpected token", error="unknown")
    known = {field.encode_name for field in msgspec.structs.fields(type_)}
    top = _Pairs((key, value) for key, value in tree if key not in ignored or _snake(key) in known)
    plain = _object(top, frozenset(known), (), body)
    try:
        return msgspec.convert(plain, type_)
    except msgspec.ValidationError as refused:
        raise Malformed(f"proto: {refused}", error="unknown") from None


def _object(pairs: _Pairs, known: frozenset[str] | None, path: _Path, body: bytes) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        name = _snake(key)
        if known is not None and name not in known:
            raise Malformed(f'proto: {_at(body, (*path, key))}: unknown field "{key}"', error="unknown")
        if name in found:
            raise Malformed(f'proto: {_at(body, (*path, key))}: duplicate field "{key}"', error="unknown")
        found[name] = _value(value, name, (*path, key), body)
    return {name: value for name, value in found.items() if value is not None}


def _value(value: object, name: str, path: _Path, body: bytes) -> object:
    if isinstance(value, _Pairs):
        return _object(value, _known_below(name), path, body)
    if isinstance(value, list):
        return [_value(item, name, (*path, index), body) for index, item in enumerate(value)]
    if isinstance(value, _Number):
        if name not in _NUMBERS_FOR_TEXT:
            raise Malformed(f"proto: {_at(body, path)}: invalid value for string type: {value}", error="unknown")
        return str(value)
    return value


def _known_below(name: str) -> frozenset[str] | None:
    """The keys an inner object may have; None where the venue's own shape is not followed."""
    if name in ("order_configuration", "attached_order_configuration"):
        return frozenset(OrderConfiguration.__struct_fields__)
    if name in TERMS_OF:
        return TERMS_OF[name] | _IN_CONFIGURATION
    return None


def _snake(key: str) -> str:
    return _UPPER.sub(r"_\1", key).lower() if not key.islower() else key


def _sentence(refused: ValueError) -> str:
    if isinstance(refused, json.JSONDecodeError):
        return f"(line {refused.lineno}:{refused.colno}): {refused.msg}"
    return str(refused)


def _at(body: bytes, path: _Path) -> str:
    """`(line L:C)` of a key: only worked out for a refusal."""
    text = body.decode("utf-8")
    start = next((position for where, position in _keys(text) if where == path), 0)
    line = text.count("\n", 0, start) + 1
    return f"(line {line}:{start - text.rfind(chr(10), 0, start)})"


def _keys(text: str) -> Iterator[tuple[_Path, int]]:
    """Every key of a valid document with its path and where its quote stands."""
    positions: list[tuple[_Path, int]] = []
    _walk(text, _skip(text, 0), (), positions)
    return iter(positions)


def _skip(text: str, position: int) -> int:
    match = _BLANK.match(text, position)
    return match.end() if match is not None else position


def _string_end(text: str, position: int) -> int:
    match = _STRING.match(text, position)
    return match.end() if match is not None else len(text)


def _walk(text: str, position: int, path: _Path, found: list[tuple[_Path, int]]) -> int:
    """The position behind the value that begins at `position`."""
    opening = text[position]
    if opening == '"':
        return _string_end(text, position)
    if opening not in "{[":
        scalar = _SCALAR.match(text, position)
        return scalar.end() if scalar is not None else position + 1
    position = _skip(text, position + 1)
    index = 0
    while text[position] not in "}]":
        step: str | int = index
        if opening == "{":
            start = position
            position = _string_end(text, start)
            step = str(json.loads(text[start:position]))
            found.append(((*path, step), start))
            position = _skip(text, _skip(text, position) + 1)
        position = _skip(text, _walk(text, position, (*path, step), found))
        if text[position] == ",":
            position = _skip(text, position + 1)
        index += 1
    return position + 1
