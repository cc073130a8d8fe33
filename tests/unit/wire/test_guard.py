"""Hostile bodies end as one typed, short, escaped error; honest ones are read exactly (S4, H3-H9)."""

import json
import sys
import time
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perpsctl.wire import guard
from perpsctl.wire.advanced_trade import accounts, market, orders, socket
from perpsctl.wire.advanced_trade.common import Amount
from perpsctl.wire.advanced_trade.futures import BalanceSummaryReply
from perpsctl.wire.guard import MAX_BODY_BYTES, DuplicateKey, WireError

SCALARS = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(max_size=8)
JSON_VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
)


def depth_of(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


# --- size, nesting, encoding ------------------------------------------------------------------------


def test_a_body_over_ten_megabytes_is_refused_H6() -> None:
    with pytest.raises(WireError, match="over the cap"):
        guard.check(b'"' + b"x" * MAX_BODY_BYTES + b'"')
    guard.check(b'"' + b"x" * (MAX_BODY_BYTES - 2) + b'"')


@pytest.mark.parametrize("unit", ["[]", '{"a":}'])
def test_nesting_is_allowed_to_64_and_refused_at_65_H8(unit: str) -> None:
    opening, closing = unit[:-1], unit[-1]
    for filler in ("", "[1,[2],{}]," * 40):  # with and without enough brackets to need the count
        allowed = "[" + filler + opening * 63 + "1" + closing * 63 + "]"
        refused = "[" + filler + opening * 64 + "1" + closing * 64 + "]"
        guard.plain_values(allowed.encode())
        with pytest.raises(WireError, match="nests deeper"):
            guard.plain_values(refused.encode())


def test_alternating_brackets_count_every_level_H8() -> None:
    body = b'[{"a":' * 33 + b"1" + b"}]" * 33
    assert guard.nested_too_deep(body)
    assert not guard.nested_too_deep(b'[{"a":' * 32 + b"1" + b"}]" * 32)


@pytest.mark.parametrize("bracket", ["[", '{"a":', '[{"a":'])
def test_a_body_nested_a_hundred_thousand_deep_is_a_typed_error_not_a_recursion_H8(bracket: str) -> None:
    for body in (bracket * 100_000, bracket * 50_000 + "]" * 50_000, '{"products":' + bracket * 100_000):
        with pytest.raises(WireError):
            guard.decode(body.encode(), market.ProductsReply)


def test_brackets_inside_text_do_not_count() -> None:
    texts = ["[" * 100, "]" * 100, '"[[', "\\", '\\"[', "[\\\\", "{" * 200, "", '\\\\"', "]" * 70]
    body = json.dumps([texts, {"[": "]" * 5, "{": "[" * 80}, texts]).encode()
    assert guard.plain_values(body) == [texts, {"[": "]" * 5, "{": "[" * 80}, texts]


@given(JSON_VALUES, st.integers(1, 6), st.booleans())
def test_nesting_is_counted_exactly(value: object, limit: int, ascii_only: bool) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    # Padding beside it makes the count necessary without making it deeper.
    padded = b"[" + b"[]," * 70 + body + b"]"
    for text, depth in ((body, depth_of(value)), (padded, 1 + max(1, depth_of(value)))):
        if guard.nested_too_deep(text, limit + 10):
            assert depth > limit + 10
        assert guard.nested_too_deep(text, max(8, depth)) is False
        if depth > 9:
            assert guard.nested_too_deep(text, depth - 1)


def test_the_nesting_scan_is_linear_in_hostile_bodies_S4() -> None:
    started = time.monotonic()
    for hostile in (b"[" * 9_000_000, b"[]" * 4_500_000, b'"[' * 4_500_000, b"\\" * 9_000_000, b"]" * 9_000_000):
        with pytest.raises(WireError):
            guard.decode(hostile, market.ProductsReply)
    assert time.monotonic() - started < 20  # seconds for five bodies at the cap; quadratic would be minutes


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf{}",
        '{"product_id":"x"}'.encode("utf-16"),
        '{"product_id":"x"}'.encode("utf-16-le"),
        '{"product_id":"x"}'.encode("utf-32"),
        b'{"product_id":"\xff"}',
        b'{"unknown":"\xc3\x28"}',
        b'{"unknown":"\xed\xa0\x80"}',
        b'{"product_id":"\\ud800"}',
        b'{"product_id":"\\udfff\\ud800"}',
    ],
    ids=range(9),
)
def test_what_is_not_utf8_is_refused_H9(body: bytes) -> None:
    with pytest.raises(WireError):
        guard.decode(body, market.ProductBody)
    with pytest.raises(WireError):
        guard.plain_values(body)


@pytest.mark.parametrize(
    "body", [b"", b" ", b"{", b'{"products":[', b"{}x", b"{'a':1}", b"<html></html>", b"[1,]", b'{"a":1,}', b"\x00"]
)
def test_truncated_and_foreign_bodies_are_refused_N20_N21_N23(body: bytes) -> None:
    with pytest.raises(WireError):
        guard.decode(body, market.ProductsReply)
    with pytest.raises(WireError):
        guard.plain_values(body)


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"1", b"null", b"true"])
def test_json_of_another_shape_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        guard.decode(body, market.ProductsReply)


# --- duplicate keys ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b'{"success":false,"success":true}',
        b'{"success":true,"success_response":{"order_id":"a","order_id":"b"}}',
        b'{"success":true,"x":[{"y":1,"y":1}]}',
        b'{"success":true,"succ\\u0065ss":false}',
    ],
)
def test_duplicate_keys_are_refused_where_it_is_asked_for_H8(body: bytes) -> None:
    with pytest.raises(DuplicateKey):
        guard.decode(body, orders.CreateOrderReply, unique_keys=True)
    with pytest.raises(DuplicateKey):
        guard.plain_values(body, unique_keys=True)
    guard.decode(body, orders.CreateOrderReply)


def test_equal_keys_of_different_objects_are_no_duplicates() -> None:
    body = b'{"success":true,"success_response":{"success":"x"},"order_configuration":{}}'
    assert guard.decode(body, orders.CreateOrderReply, unique_keys=True).success is True


# --- errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "evil",
    ["\x1b]52;c;AAAA\x07", "\x1b[2J", "\u202eabc", "\u200b", "\r\nforged: line", "\x9b31m", "\u2066x"],
)
def test_no_error_carries_raw_text_from_outside_S3_H4_H5(evil: str) -> None:
    messages = []
    for body, type_ in (
        (json.dumps({"side": {evil: 1}}), orders.OrderBody),
        (json.dumps({evil: 1}), orders.CancelRequest),
        (json.dumps({"subscriptions": {evil: 5}}), socket.SubscriptionsEvent),
    ):
        with pytest.raises(WireError) as caught:
            guard.decode(body.encode(), type_)
        messages.append(str(caught.value))
    with pytest.raises(WireError) as caught:
        socket.read_message(json.dumps({"channel": evil * 500}).encode())
    messages.append(str(caught.value))
    for message in messages:
        assert all(character.isprintable() for character in message), message
        assert len(message) <= 161
        assert evil not in message


def test_an_error_never_holds_the_body() -> None:
    secret = "canary-7f1d"
    for body in (f'{{"product_id":["{secret}"]}}', f'{{"product_id":"{secret}"', f'"{secret}', f"{secret}"):
        with pytest.raises(WireError) as caught:
            guard.decode(body.encode(), market.ProductBody)
        assert secret not in str(caught.value)
        assert secret not in repr(caught.value)
        assert caught.value.__cause__ is None


def test_a_subscription_does_not_show_its_token_S1() -> None:
    request = socket.SubscribeRequest(type="subscribe", channel="user", jwt="canary.jwt", signature="canary-sig")
    assert "canary" not in repr(request)
    assert b"canary.jwt" in guard.encode(request)


# --- the patient reading ----------------------------------------------------------------------------


def test_numbers_where_text_is_due_keep_every_digit_H3() -> None:
    body = b'{"price":68930.10,"base_increment":1e-8,"volume_24h":123456789012345678901234567890.12}'
    read = guard.decode(body, market.ProductBody)
    assert (read.price, read.base_increment, read.volume_24h) == (
        "68930.10",
        "1e-8",
        "123456789012345678901234567890.12",
    )


def test_counters_and_flags_may_come_as_text_H3() -> None:
    assert guard.decode(b'{"accounts":[],"size":"9"}', accounts.AccountsReply).size == 9
    assert guard.decode(b'{"deleted":"true","name":"x"}', accounts.PortfolioBody).deleted is True
    assert guard.decode(b'{"heartbeat_counter":"3049"}', socket.HeartbeatEvent).heartbeat_counter == 3049
    assert guard.decode(b'{"watched":null,"price":null,"alias_to":null}', market.ProductBody) == market.ProductBody()


def test_an_amount_may_be_flat_or_an_object_H3() -> None:
    flat = guard.decode(b'{"balance_summary":{"total_usd_balance":12.50}}', BalanceSummaryReply)
    full = guard.decode(
        b'{"balance_summary":{"total_usd_balance":{"value":12.5,"currency":"USD"}}}', BalanceSummaryReply
    )
    assert flat.balance_summary.total_usd_balance == "12.50"  # type: ignore[union-attr]
    assert full.balance_summary.total_usd_balance == Amount(value="12.5", currency="USD")  # type: ignore[union-attr]


def test_an_object_for_a_list_of_one_is_read_as_the_list() -> None:
    read = guard.decode(b'{"success":false,"errors":{"edit_failure_reason":"X"}}', orders.EditOrderReply)
    assert read.errors == (orders.EditFailure(edit_failure_reason="X"),)
    assert b'"errors":[{' in guard.encode(read)


@pytest.mark.parametrize(
    "body",
    [
        b'{"price":true}',
        b'{"product_id":false}',
        b'{"watched":1}',
        b'{"watched":"yes"}',
        b'{"alias_to":"x"}',
        b'{"price":["1"]}',
        b'{"price":{"value":"1"}}',
        b'{"alias_to":[true]}',
        b'{"future_product_details":"x"}',
        b'{"future_product_details":[]}',
    ],
)
def test_true_nonsense_is_a_typed_error_H3(body: bytes) -> None:
    with pytest.raises(WireError, match="not a ProductBody"):
        guard.decode(body, market.ProductBody)


def test_unknown_fields_are_tolerated_in_replies_and_refused_in_requests() -> None:
    assert guard.decode(b'{"price":"1","brand_new":{"x":[1]}}', market.ProductBody) == market.ProductBody(price="1")
    with pytest.raises(WireError, match="reduceOnly"):
        guard.decode(b'{"client_order_id":"a","reduceOnly":true}', orders.CreateOrderRequest)


# --- plain values and round trips -------------------------------------------------------------------


def test_plain_values_hold_exact_decimals_and_no_float_J7() -> None:
    read = guard.plain_values(b'{"a":[0.1,1e-7,12345678901234567890.12345678901234567890,7],"b":null,"c":true}')
    assert read == {
        "a": [
            Decimal("0.1"),
            Decimal("1e-7"),
            Decimal("12345678901234567890.12345678901234567890"),
            Decimal(7),
        ],
        "b": None,
        "c": True,
    }


@given(JSON_VALUES)
def test_any_json_is_read_or_refused_and_never_anything_else_S4(value: object) -> None:
    body = json.dumps(value).encode()
    for type_ in (market.ProductsReply, orders.CreateOrderReply, orders.OrdersReply, socket.UserMessage):
        try:
            read = guard.decode(body, type_)
        except WireError:
            continue
        assert guard.decode(guard.encode(read), type_) == read


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_and_never_anything_else_S4(body: bytes) -> None:
    for type_ in (market.ProductBody, orders.CreateOrderReply):
        try:
            guard.decode(body, type_)
        except WireError:
            continue


NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=0, max_value=10**12).map(str)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@st.composite
def payloads(draw: st.DrawFn, struct: type[msgspec.Struct]) -> msgspec.Struct:
    """Any value of a payload, fields set or absent at will."""
    described = msgspec.inspect.type_info(struct)
    assert isinstance(described, msgspec.inspect.StructType)
    fields = {}
    for field in described.fields:
        kinds = field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,)
        kinds = tuple(k for k in kinds if not isinstance(k, msgspec.inspect.NoneType))
        if draw(st.booleans()):
            fields[field.name] = draw(values(draw(st.sampled_from(kinds))))
    return struct(**fields)


def values(kind: msgspec.inspect.Type) -> st.SearchStrategy[object]:
    match kind:
        case msgspec.inspect.Metadata():
            return NUMBERS
        case msgspec.inspect.StrType():
            return WORDS
        case msgspec.inspect.BoolType():
            return st.booleans()
        case msgspec.inspect.IntType():
            return st.integers(-(2**53), 2**53)
        case msgspec.inspect.StructType(cls=cls):
            return payloads(cls)
        case msgspec.inspect.VarTupleType(item_type=item):
            return st.lists(values(item), max_size=2).map(tuple)
        case msgspec.inspect.DictType(value_type=inner):
            return st.dictionaries(WORDS, values(inner), max_size=2)
    raise AssertionError(f"no strategy for {kind}")


ROUND_TRIPS: tuple[Any, ...] = (
    market.ProductsReply,
    market.ProductBookReply,
    orders.CreateOrderRequest,
    orders.CreateOrderReply,
    orders.OrdersReply,
    orders.FillsReply,
    orders.EditOrderReply,
    accounts.PortfolioBreakdownReply,
    accounts.TransactionSummary,
    socket.UserMessage,
    socket.BalanceMessage,
    socket.BookMessage,
    socket.SubscriptionsMessage,
)


@given(st.sampled_from(ROUND_TRIPS).flatmap(payloads))
def test_every_payload_survives_encode_and_decode(payload: msgspec.Struct) -> None:
    written = guard.encode(payload)
    assert guard.decode(written, type(payload)) == payload
    assert guard.decode(written, type(payload), unique_keys=True) == payload
    assert isinstance(guard.plain_values(written), dict)


def test_decoding_leaves_the_recursion_limit_alone() -> None:
    before = sys.getrecursionlimit()
    guard.plain_values(b"[" * 64 + b"]" * 64)
    assert sys.getrecursionlimit() == before


def test_an_object_in_a_lists_place_is_no_list_L5_H3() -> None:
    """Found by the fuzzer: `{}` was read as one row that says nothing, and such a list of products as an empty one."""
    for body, kind in ((b'{"orders":{}}', orders.OrdersReply), (b'{"products":{"a":{}}}', market.ProductsReply)):
        with pytest.raises(WireError):
            guard.decode(body, kind)
    edited = guard.decode(b'{"success":false,"errors":{"edit_failure_reason":"X"}}', orders.EditOrderReply)
    assert isinstance(edited.errors, tuple)
    assert edited.errors[0].edit_failure_reason == "X"


def test_a_negative_zero_in_text_is_no_counter_either_H2() -> None:
    """Found by the fuzzer: `"-0"` was read as 0 where a count is due."""
    with pytest.raises(WireError):
        guard.decode(b'{"products":[],"num_products":"-0"}', market.ProductsReply)
