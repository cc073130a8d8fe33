"""Recorded and documented payloads of the global venue go through the wire room and come back equal.

`PERPSCTL_SAMPLES=DIR` puts another folder of payloads in the place of the shared samples.
"""

import json
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from perpsctl.wire import guard
from perpsctl.wire.global_derivatives import payloads
from perpsctl.wire.guard import WireError

SHARED = Path(__file__).parents[3] / ".." / "shared" / "api" / "samples-global"
SAMPLES = Path(os.environ.get("PERPSCTL_SAMPLES") or SHARED)
FILES = [path for path in sorted(SAMPLES.glob("*.json")) if payloads.of_global_venue(path.stem)]
ELSEWHERE = "PERPSCTL_SAMPLES" in os.environ

if not FILES:
    pytestmark = pytest.mark.skip(reason=f"no payload samples of the global venue in {SAMPLES}")


def exact(body: bytes) -> Any:
    """The body as Python reads it, with exact numbers and nothing of the room's own."""
    return json.loads(body, parse_float=Decimal, parse_int=Decimal)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_sample_decodes_encodes_and_decodes_equal(path: Path) -> None:
    body = path.read_bytes()
    payload = payloads.read_payload(path.stem, body)
    if payload is None:
        assert guard.plain_values(body) == exact(body)
        return
    written = payloads.write_payload(payload)
    assert payloads.read_payload(path.stem, written) == payload
    again = payloads.read_payload(path.stem, written)
    assert again is not None
    assert payloads.write_payload(again) == written
    assert not any("e" in token.lower() for token in number_tokens(written)), "an exponent went out"


def number_tokens(body: bytes) -> list[str]:
    """Every number of the body as it stands there."""
    found: list[str] = []
    json.loads(body, parse_float=found.append, parse_int=found.append)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_sample_comes_back_with_every_value_it_had(path: Path) -> None:
    body = path.read_bytes()
    payload = payloads.read_payload(path.stem, body)
    if payload is None or ELSEWHERE:
        pytest.skip("read as plain values, or another folder's payload with fields of its own")
    assert lost("$", exact(body), exact(payloads.write_payload(payload))) == []


@pytest.mark.skipif(ELSEWHERE, reason="the list is that of the shared samples")
def test_every_shared_sample_has_a_struct() -> None:
    assert [path.stem for path in FILES if payloads.read_payload(path.stem, path.read_bytes()) is None] == []
    assert len(FILES) >= 57


def lost(where: str, before: Any, after: Any) -> list[str]:
    """What had a value before and has not the same one after; null, and one object for a list of one, are no losses."""
    if isinstance(before, dict) and isinstance(after, list):
        return lost(where, [before], after)
    if isinstance(before, dict) and isinstance(after, dict):
        found = [f"{where}.{key}" for key, item in before.items() if item is not None and key not in after]
        return found + [
            each for key in before if key in after for each in lost(f"{where}.{key}", before[key], after[key])
        ]
    if isinstance(before, list) and isinstance(after, list):
        pairs = zip(before, after, strict=True)
        return [each for index, (one, other) in enumerate(pairs) for each in lost(f"{where}[{index}]", one, other)]
    return [] if before is None or before == after else [f"{where}: {before!r} became {after!r}"]


@pytest.mark.parametrize(
    ("stem", "method"),
    [
        ("rpc_buy_limit_linear", "buy"),
        ("rpc_cancel_all_count", "cancel_all"),
        ("rpc_cancel_all_by_instrument", "cancel_all_by_instrument"),
        ("rpc_cancel_linear", "cancel"),
        ("http_get_instrument_inverse", "get_instrument"),
        ("http_get_instruments_mixed", "get_instruments"),
        ("http_public_auth_response", "auth"),
        ("rpc_private_subscribe_isolated_ack", "subscribe"),
        ("rpc_open_orders", "get_open_orders"),
        ("rpc_get_order_state_by_label", "get_order_state_by_label"),
        ("http_error_invalid_credentials", None),
        ("rpc_buys", None),
    ],
)
def test_sample_name_takes_the_longest_known_method(stem: str, method: str | None) -> None:
    assert payloads.known_prefix(stem) == method


@pytest.mark.parametrize("stem", ["http_order", "rpc_buy", "ws_book", "req_auth"])
def test_sample_name_of_the_global_venue_is_recognised(stem: str) -> None:
    assert payloads.of_global_venue(stem)
    assert not payloads.of_global_venue(stem.replace("_", "-"))


@pytest.mark.parametrize(
    ("stem", "result"),
    [
        ("rpc_cancel_all", '[{"instrument_name":"X","type":"limit","result":[{"order_id":"USDC-1"}]}]'),
        ("rpc_get_position_list", '[{"size_currency":0.5}]'),
        ("rpc_get_user_trades_by_order", '{"trades":[{"trade_id":"USDC-1"}],"has_more":false}'),
        ("rpc_get_user_trades_by_instrument", '[{"trade_id":"USDC-1"}]'),
        ("rpc_get_order_history_by_currency", '{"data":[{"order_id":"USDC-1"}],"continuation":"x"}'),
    ],
)
def test_a_result_in_its_other_shape_comes_back_whole(stem: str, result: str) -> None:
    body = f'{{"id":1,"result":{result}}}'.encode()
    payload = payloads.read_payload(stem, body)
    assert payload is not None
    assert exact(payloads.write_payload(payload))["result"] == exact(body)["result"]


# --- variants of the samples, as other recordings may have them -------------------------------------


def variants(value: Any) -> Iterator[tuple[str, Any]]:
    """The same with one field absent, null, a number as text, or an unknown field added, anywhere inside."""
    if isinstance(value, dict):
        if not any("_usd" in key or "_usdc" in key for key in value):  # objects whose keys are data, not fields
            yield "with an unknown field", {**value, "brand_new": {"x": [1, None, "y"]}}
        for key, item in value.items():
            yield f"without {key}", {name: kept for name, kept in value.items() if name != key}
            yield f"{key} null", {**value, key: None}
            if isinstance(item, int | float | Decimal) and not isinstance(item, bool):
                yield f"{key} as text", {**value, key: f"{item:f}" if isinstance(item, Decimal) else str(item)}
            for what, changed in variants(item):
                yield f"{key}.{what}", {**value, key: changed}
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        yield "empty", []
        for what, changed in variants(value[0]):
            yield f"[0].{what}", [changed, *value[1:]]


def changed_bodies(tree: Any) -> Iterator[tuple[str, Any]]:
    """Variants of what the envelope holds; the envelope itself is not optional."""
    where = "result" if "result" in tree else "params" if "params" in tree else "error"
    inner = tree[where]
    if where == "params" and "channel" in inner:
        for what, changed in variants(inner["data"]):
            yield what, {**tree, where: {**inner, "data": changed}}
    elif where != "error":
        for what, changed in variants(inner):
            yield what, {**tree, where: changed}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_sample_variants_read_and_come_back_equal_H3(path: Path) -> None:
    tree = exact(path.read_bytes())
    if not isinstance(tree, dict) or not tree.keys() & {"result", "params", "error"}:
        pytest.skip("a payload without an envelope")
    for what, variant in changed_bodies(tree):
        payload = payloads.read_payload(path.stem, dumped(variant))
        if payload is None:
            continue
        assert payloads.read_payload(path.stem, payloads.write_payload(payload)) == payload, what


def dumped(value: Any) -> bytes:
    """JSON with the sample's own digits."""
    if isinstance(value, Decimal):
        return str(value).encode()
    if isinstance(value, dict):
        return b"{" + b",".join(json.dumps(key).encode() + b":" + dumped(item) for key, item in value.items()) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(dumped, value)) + b"]"
    return json.dumps(value).encode()


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity", "-0", "-0.0", "9" * 5_000, "1e999", "1e-99"])
@pytest.mark.parametrize("path", FILES[:60:6], ids=lambda path: path.stem)
def test_a_hostile_number_anywhere_in_a_sample_is_refused_H1_H2(path: Path, token: str) -> None:
    body = path.read_bytes().rstrip()
    assert body.endswith(b"}")
    with pytest.raises(WireError):
        payloads.read_payload(path.stem, body[:-1] + b',"brand_new":[' + token.encode() + b"]}")


@pytest.mark.parametrize("path", FILES[:60:6], ids=lambda path: path.stem)
def test_a_sample_that_names_a_key_twice_is_refused_H8(path: Path) -> None:
    body = path.read_bytes().rstrip()
    with pytest.raises(WireError):
        payloads.read_payload(path.stem, body[:-1] + b',"brand_new":{"x":1,"x":1}}')
