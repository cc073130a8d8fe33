"""Recorded and documented payloads of the US venue go through the wire room and come back equal.

`PERPSCTL_SAMPLES=DIR` puts another folder of one venue's payloads in the place of the shared samples.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from perpsctl.wire import guard
from perpsctl.wire.advanced_trade import payloads

SHARED = Path(__file__).parents[3] / ".." / "shared" / "api" / "samples"
SAMPLES = Path(os.environ.get("PERPSCTL_SAMPLES") or SHARED)
FILES = [path for path in sorted(SAMPLES.glob("*.json")) if not payloads.of_global_venue(path.stem)]

# Payloads without a struct in the shared samples, by reference 5.5 and 8: nothing an operator of perps needs.
GENERIC_ONLY = ["convert-quote", "intx-multi-asset-collateral", "intx-position", "payment-methods"]

# Keys the structs leave out on purpose, over the shared samples.
NOT_KEPT: set[str] = set()

if not FILES:
    pytestmark = pytest.mark.skip(reason=f"no payload samples of the US venue in {SAMPLES}")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_sample_decodes_encodes_and_decodes_equal(path: Path) -> None:
    body = path.read_bytes()
    payload = payloads.read_payload(path.stem, body)
    if payload is None:
        first = guard.plain_values(body)
        again = guard.plain_values(json.dumps(first, default=str).encode())
        assert _texts(again) == _texts(first)
        return
    written = guard.encode(payload)
    assert guard.decode(written, type(payload)) == payload
    assert b"null" not in written.replace(b'"null"', b"")
    assert written != b"{}" or json.loads(body) in ({}, [])
    # A second round changes nothing: what was written is the canonical form.
    assert guard.encode(guard.decode(written, type(payload))) == written


def _texts(value: object) -> object:
    if isinstance(value, dict):
        return {key: _texts(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_texts(item) for item in value]
    return value if value is None or isinstance(value, bool) else str(value)


@pytest.mark.skipif("PERPSCTL_SAMPLES" in os.environ, reason="the list is that of the shared samples")
def test_sample_names_without_a_struct_are_exactly_the_listed_ones() -> None:
    assert [path.stem for path in FILES if payloads.known_prefix(path.stem) is None] == GENERIC_ONLY


@pytest.mark.skipif("PERPSCTL_SAMPLES" in os.environ, reason="the list is that of the shared samples")
def test_sample_fields_that_are_not_kept_are_exactly_the_listed_ones() -> None:
    lost: set[str] = set()
    for path in FILES:
        payload = payloads.read_payload(path.stem, path.read_bytes())
        if payload is not None:
            lost |= _lost(path.stem, json.loads(path.read_bytes()), json.loads(guard.encode(payload)))
    assert lost == NOT_KEPT


def _lost(where: str, before: object, after: object) -> set[str]:
    """Paths present with a value before and not after; null and "one object for a list of one" are not losses."""
    if isinstance(before, dict) and isinstance(after, list):
        return _lost(where, [before], after)
    if isinstance(before, dict) and isinstance(after, dict):
        missing = {f"{where}.{key}" for key, item in before.items() if item is not None and key not in after}
        return missing.union(*(_lost(f"{where}.{key}", before[key], after[key]) for key in before if key in after))
    if isinstance(before, list) and isinstance(after, list):
        return set().union(*(_lost(where, one, other) for one, other in zip(before, after, strict=True)))
    return set()


def test_sample_name_takes_the_longest_known_prefix() -> None:
    assert payloads.known_prefix("create-failure-insufficient-fund") == "create"
    assert payloads.known_prefix("products-list-documented") == "products-list"
    assert payloads.known_prefix("product-book-public") == "product-book"
    assert payloads.known_prefix("product-cde-perp-bip-20dec30") == "product"
    assert payloads.known_prefix("edit-preview-failure") == "edit-preview"
    assert payloads.known_prefix("cfm-positions") == "cfm-positions"
    assert payloads.known_prefix("cfm-position-bip") == "cfm-position"
    assert payloads.known_prefix("intx-position") is None
    assert payloads.known_prefix("created") is None


@pytest.mark.parametrize("stem", ["http_order", "rpc_buy", "ws_book", "req_auth"])
def test_sample_name_of_the_global_venue_is_recognised(stem: str) -> None:
    assert payloads.of_global_venue(stem)
    assert not payloads.of_global_venue(stem.replace("_", "-"))


@pytest.mark.parametrize("name", sorted(payloads.PAYLOADS))
def test_sample_structs_know_their_nullable_fields_exactly(name: str) -> None:
    for struct in _structs(payloads.PAYLOADS[name], set()):
        declared = {field.name for field in _fields(struct) if _takes_null(field.type)}
        assert set(getattr(struct, "nullable", ())) == declared, struct


def _fields(struct: type) -> tuple[msgspec.inspect.Field, ...]:
    described = msgspec.inspect.type_info(struct)
    assert isinstance(described, msgspec.inspect.StructType)
    return described.fields


def _takes_null(kind: msgspec.inspect.Type) -> bool:
    return isinstance(kind, msgspec.inspect.UnionType) and kind.includes_none


def _structs(struct: type, seen: set[type]) -> set[type]:
    if struct not in seen:
        seen.add(struct)
        for field in _fields(struct):
            for kind in field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,):
                kind = getattr(kind, "item_type", kind)
                if isinstance(kind, msgspec.inspect.StructType):
                    _structs(kind.cls, seen)
    return seen


# --- variants of the samples, as other recordings may have them -------------------------------------


def _variants(value: object, path: str = "$") -> Iterator[tuple[str, object]]:
    """The same payload with one part absent, null, a number for text, text for a number, or an unknown field added."""
    if isinstance(value, dict):
        if not path.endswith(MAPS):
            yield f"{path} with an unknown field", {**value, "brand_new": {"x": [1, None, "y"]}}
        for key, item in value.items():
            yield f"{path} without {key}", {name: kept for name, kept in value.items() if name != key}
            yield f"{path}.{key} null", {**value, key: None}
            for what, changed in _variants(item, f"{path}.{key}"):
                yield what, {**value, key: changed}
    elif isinstance(value, list):
        yield f"{path} empty", []
        for index, item in enumerate(value[:1]):
            for what, changed in _variants(item, f"{path}[{index}]"):
                yield what, [changed, *value[1:]]
    elif isinstance(value, str) and PLAIN_NUMBER.fullmatch(value):
        yield f"{path} as a number", _Literal(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield f"{path} as text", str(value)


class _Literal:
    """A number written digit by digit as in the sample."""

    def __init__(self, text: str) -> None:
        self.text = text


MAPS = (".region_enabled", ".subscriptions")  # objects whose keys are data, not fields
PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?", re.ASCII)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_sample_variants_read_and_come_back_equal_H3(path: Path) -> None:
    for what, variant in _variants(json.loads(path.read_bytes())):
        body = _dumps(variant)
        payload = payloads.read_payload(path.stem, body)
        if payload is None:
            guard.plain_values(body)
            continue
        written = guard.encode(payload)
        assert guard.decode(written, type(payload)) == payload, what
        assert _nulls(json.loads(written)) == 0, what


def _dumps(value: object) -> bytes:
    """JSON with the samples' own digits, which a float would not keep."""
    if isinstance(value, _Literal):
        return value.text.encode()
    if isinstance(value, dict):
        return b"{" + b",".join(json.dumps(key).encode() + b":" + _dumps(item) for key, item in value.items()) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(_dumps, value)) + b"]"
    return json.dumps(value).encode()


def _nulls(value: object) -> int:
    if isinstance(value, dict):
        return sum(map(_nulls, value.values()))
    if isinstance(value, list):
        return sum(map(_nulls, value))
    return value is None


@pytest.mark.parametrize("name", sorted(payloads.PAYLOADS))
def test_sample_structs_have_no_field_a_float_could_come_in_through_J7(name: str) -> None:
    for struct in _structs(payloads.PAYLOADS[name], set()):
        for field in _fields(struct):
            kinds = field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,)
            for kind in kinds:
                inner = getattr(kind, "item_type", getattr(kind, "value_type", kind))
                assert not isinstance(inner, msgspec.inspect.AnyType | msgspec.inspect.FloatType), (struct, field.name)
