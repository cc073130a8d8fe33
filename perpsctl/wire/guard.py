"""The guarded door for every body that comes from outside: size, nesting, encoding, numbers, duplicate keys.

No body reaches a decoder unchecked, no failure leaves as anything but `WireError`, and no error message carries the raw
body. Binary floats never appear: a JSON number is its own text until `domain.exact` reads it.

Learned by trying (msgspec 0.22, 2026-11): msgspec skips unknown fields at any depth until RecursionError, takes duplicate
keys silently, and refuses numbers where text is due; so depth is counted first, duplicates are looked for in a second
pass where it matters, and a body of the right shape with the wrong scalar types gets a second, patient reading.
"""

import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import accumulate
from typing import Any, TypeVar, cast

import msgspec

from perpsctl.domain.numbers import exact
from perpsctl.domain.text import shown
from perpsctl.wire.leniency import NumberText, loosened

MAX_BODY_BYTES = 10_000_000
MAX_NESTING = 64
_MESSAGE_LENGTH = 160
_NEGATIVE_ZERO = re.compile(r"-0+(?:\.0+)?(?:[eE].*)?", re.ASCII)

_ALL_BUT_BRACKETS_AND_QUOTES = bytes(set(range(256)) - set(b'{}[]"'))
_ONE_KIND_OF_BRACKET = bytes.maketrans(b"{}", b"[]")
_STEP = {ord("["): 1, ord("]"): -1}
_COLLAPSES = 8  # real payloads nest at most seven deep

T = TypeVar("T")
Payload = msgspec.Struct  # any of the room's structs, for rooms that name none of them
PlainJson = None | bool | str | Decimal | list["PlainJson"] | dict[str, "PlainJson"]


class WireError(ValueError):
    """The body cannot be read as what was asked for; the message is short, escaped and never holds the body."""

    def __init__(self, message: str) -> None:
        safe = shown(message, _MESSAGE_LENGTH)
        super().__init__(safe if len(safe) <= _MESSAGE_LENGTH else f"{safe[:_MESSAGE_LENGTH]}…")


class DuplicateKey(WireError):
    """An object names one key twice: two readers could see two different answers (fault H8)."""


def number(text: object) -> Decimal:
    """Read a venue's number exactly; WireError for whatever `domain.exact` refuses and for a negative zero (H1, H2)."""
    try:
        value = exact(cast(str, text))
    except (TypeError, ValueError) as refused:
        raise WireError(f"number refused: {refused}") from None
    if not value and _NEGATIVE_ZERO.fullmatch(cast(str, text)):
        raise WireError("number refused: a negative zero")
    return value


def check(body: bytes) -> None:
    """True afterwards: at most 10 MB of valid UTF-8 without a byte order mark, nested at most 64 deep (S4, H6, H8, H9).

    One linear scan in C, about 1 ms for 300 products; it does not tell whether the body is JSON.
    """
    if len(body) > MAX_BODY_BYTES:
        raise WireError(f"body of {len(body)} bytes is over the cap of {MAX_BODY_BYTES}")
    if not body.isascii():
        if body.startswith(b"\xef\xbb\xbf"):
            raise WireError("body begins with a byte order mark")
        try:
            body.decode("utf-8")
        except UnicodeDecodeError:
            raise WireError("body is not UTF-8") from None
    if nested_too_deep(body):
        raise WireError(f"body nests deeper than {MAX_NESTING} levels")


def nested_too_deep(body: bytes, limit: int = MAX_NESTING) -> bool:
    """True when brackets outside strings open more than `limit` levels; malformed bodies may be called too deep early."""
    if body.count(b"{") + body.count(b"[") <= limit:
        return False
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    rest = body.translate(_ONE_KIND_OF_BRACKET, _ALL_BUT_BRACKETS_AND_QUOTES)
    # Two quotes side by side: an empty string, or one string's end and the next one's start. Without them every
    # bracket stays inside or outside a string as it was.
    rest = rest.replace(b'""', b"")
    if b'"' in rest:
        rest = b"".join(rest.split(b'"')[::2])
    for collapsed in range(_COLLAPSES):
        if len(rest) <= limit - collapsed:
            return False
        rest = rest.replace(b"[]", b"")  # every innermost pair at once: one level less
    depth = accumulate(map(_STEP.__getitem__, rest))
    return any(level > limit - _COLLAPSES for level in depth)


def decode(body: bytes, type_: type[T], *, unique_keys: bool = False) -> T:
    """The body as `type_`, checked; amounts stay text until a conversion reads them. WireError for everything else.

    `unique_keys` (for replies to writes) refuses an object that names a key twice. Where the body has the right shape
    but numbers for text, text for counters or flags, or null for absent (fault H3), it is read patiently instead of
    refused; booleans never become numbers.
    """
    check(body)
    if unique_keys:
        refuse_duplicate_keys(body)
    try:
        return decoder(type_).decode(body)
    except msgspec.ValidationError:
        pass
    except msgspec.DecodeError as refused:
        raise WireError(f"not JSON: {refused}") from None
    except UnicodeError:
        raise WireError("not JSON: invalid text") from None
    return fitted(_tree(body, _number_text), type_)


def tree(body: bytes) -> object:
    """Any JSON body, checked, for `fitted`: every number exact and still as it stood; an object naming one key twice

    is refused (fault H8). WireError otherwise.
    """
    check(body)
    return _tree(body, _number_text, unique_keys=True)


def fitted(value: object, type_: type[T], *, custom: Callable[[type, Any], object] | None = None) -> T:
    """A part of a `tree` as `type_`, read patiently; numbers go to Decimal fields exactly and floats nowhere.

    `custom` makes values of types msgspec does not know; its ValueError is a refusal. WireError for what does not fit.
    """
    try:
        return msgspec.convert(loosened(value, type_), type_, builtin_types=(Decimal,), dec_hook=custom)
    except msgspec.ValidationError as refused:
        raise WireError(f"not a {getattr(type_, '__name__', type_)}: {refused}") from None


def decoder(type_: type[T]) -> msgspec.json.Decoder[T]:
    """The one decoder of a type, made once."""
    found = _DECODERS.get(type_)
    if found is None:
        found = _DECODERS[type_] = msgspec.json.Decoder(type_)
    return found


_DECODERS: dict[type[Any], msgspec.json.Decoder[Any]] = {}
_ENCODER = msgspec.json.Encoder()


def encode(payload: msgspec.Struct) -> bytes:
    """The payload as compact JSON; fields that are UNSET are left out, so nothing absent is ever written as null."""
    return _ENCODER.encode(payload)


def plain_values(body: bytes, *, unique_keys: bool = False) -> PlainJson:
    """Any JSON body as plain values, checked: numbers as exact Decimals, never floats; WireError otherwise."""
    check(body)
    return cast(PlainJson, _tree(body, number, unique_keys=unique_keys))


def refuse_duplicate_keys(body: bytes) -> None:
    """Raises DuplicateKey when some object of the body names a key twice; `check` comes first."""
    _tree(body, NumberText, unique_keys=True)


def _tree(body: bytes, read: Callable[[str], object], *, unique_keys: bool = False) -> object:
    try:
        tree = json.loads(
            body.decode("utf-8"),
            parse_int=read,
            parse_float=read,
            parse_constant=_refuse_constant,
            object_pairs_hook=_unique if unique_keys else dict,
        )
    except WireError:
        raise
    except ValueError as refused:  # JSONDecodeError carries the whole document: only its sentence is used
        sentence = refused.msg if isinstance(refused, json.JSONDecodeError) else "invalid text"
        raise WireError(f"not JSON: {sentence}") from None
    if rb"\ud" in body.lower() and any(map(_has_lone_surrogate, _texts(tree))):
        raise WireError("not JSON: half a surrogate pair")
    return tree


def _number_text(token: str) -> NumberText:
    number(token)
    return NumberText(token)


def _refuse_constant(_: str) -> object:
    raise WireError("number refused: not a plain number")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise DuplicateKey("an object names one key twice")
    return found


def _texts(tree: object) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield key
            yield from _texts(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _texts(value)


def _has_lone_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)
