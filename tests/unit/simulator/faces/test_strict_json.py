"""Bodies are read as proto-JSON: strict about keys, deaf to their spelling (reference 3 and 9)."""

import json

import pytest

from perpsctl.simulator.faces.errors import Malformed
from perpsctl.simulator.faces.strict_json import read_body
from perpsctl.wire.advanced_trade.orders import ClosePositionRequest, CreateOrderRequest


def test_an_unknown_key_is_named_with_the_column_of_its_quote() -> None:
    body = b'{"client_order_id": "x", "product_id": "B", "side": "BUY", "reduceOnly": true}'
    with pytest.raises(Malformed) as refused:
        read_body(body, CreateOrderRequest)
    column = body.index(b'"reduceOnly"') + 1
    assert refused.value.details == f'proto: (line 1:{column}): unknown field "reduceOnly"'
    assert refused.value.error == "unknown"


def test_the_column_counts_from_the_line_and_skips_what_only_looks_like_the_key() -> None:
    body = (
        '{"side": "\\"bad\\"",\n  "order_configuration": {"limit_limit_gtc": {"base_size": "1", "bad": 1}},\n "é": 2}'
    )
    with pytest.raises(Malformed, match=r'line 2:\d+\): unknown field "bad"') as refused:
        read_body(body.encode(), CreateOrderRequest)
    line = body.splitlines()[1]
    assert f"(line 2:{line.index(chr(34) + 'bad') + 1})" in refused.value.details


def test_camel_case_is_the_same_key_at_every_level() -> None:
    body = {"clientOrderId": "x", "orderConfiguration": {"limitLimitGtc": {"baseSize": "1", "postOnly": True}}}
    read = read_body(json.dumps(body).encode(), CreateOrderRequest)
    chosen = read.order_configuration.chosen()  # type: ignore[union-attr]
    assert chosen is not None
    assert (chosen[0], chosen[1].base_size, chosen[1].post_only) == ("limit_limit_gtc", "1", True)


def test_a_key_given_twice_in_two_spellings_is_refused() -> None:
    with pytest.raises(Malformed, match='duplicate field "clientOrderId"'):
        read_body(b'{"client_order_id": "x", "clientOrderId": "y"}', CreateOrderRequest)


@pytest.mark.parametrize("leverage", [b"2", b'"2"', b"2.5"])
def test_leverage_may_be_a_number_as_ccxt_sends_it(leverage: bytes) -> None:
    assert read_body(b'{"leverage": %s}' % leverage, CreateOrderRequest).leverage == leverage.strip(b'"').decode()


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"nothing",
        b"{",
        b'{"client_order_id": 1}',
        b'{"client_order_id": true}',
        b'{"order_configuration": {"market_market_ioc": {"base_size": 1}}}',
        b'{"order_configuration": {"market_market_ioc": {"base_size": "1", "post_only": true}}}',
        b'{"order_configuration": {"limit_limit_gtc": {"base_size": "1", "post_only": "true"}}}',
        b'{"order_configuration": {"made_up": {}}}',
        b'{"client_order_id": "\xff"}',
        b"[" * 200,
    ],
)
def test_what_the_backend_would_not_read_is_refused_and_nothing_else_happens(body: bytes) -> None:
    with pytest.raises(Malformed):
        read_body(body, CreateOrderRequest)


def test_null_is_absent_and_an_empty_body_is_an_empty_object() -> None:
    assert read_body(b'{"client_order_id": null}', CreateOrderRequest) == read_body(b"", CreateOrderRequest)


def test_ccxts_amount_is_unknown_unless_it_is_switched_to_be_ignored() -> None:
    body = b'{"product_id": "B", "client_order_id": "x", "amount": 1}'
    with pytest.raises(Malformed, match='unknown field "amount"'):
        read_body(body, ClosePositionRequest)
    assert read_body(body, ClosePositionRequest, ignored=frozenset({"amount"})).product_id == "B"
