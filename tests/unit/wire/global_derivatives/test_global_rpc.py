"""The envelope: exact numbers both ways, replies judged by their body, frames told apart (reference 4)."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perpsctl.wire.global_derivatives import accounts, market, params, rpc, trading
from perpsctl.wire.global_derivatives.common import OrderPrice, decode, encode
from perpsctl.wire.guard import WireError

TEN_PLACES = st.decimals(min_value=-(10**12), max_value=10**12, places=10, allow_nan=False, allow_infinity=False)


def test_a_request_carries_plain_literals_and_no_quotes_round_them() -> None:
    body = rpc.encode_request(
        "private/buy",
        params.OrderParams(instrument_name="BTC_USDC-PERPETUAL", amount=Decimal("1E-8"), price=Decimal("6.50005E+4")),
        7,
    )
    assert body == (
        b'{"jsonrpc":"2.0","id":7,"method":"private/buy","params":'
        b'{"instrument_name":"BTC_USDC-PERPETUAL","amount":0.00000001,"price":65000.5}}'
    )


@given(number=TEN_PLACES)
def test_every_number_comes_back_digit_by_digit(number: Decimal) -> None:
    read = rpc.decode_request(rpc.encode_request("private/edit", {"amount": number, "deep": [{"n": number}]}))
    assert read.params["amount"] == number
    assert read.params["deep"] == [{"n": number}]


@pytest.mark.parametrize("value", [0.1, {"x": [1.5]}, (2.0,)])
def test_a_float_is_never_sent_J7(value: object) -> None:
    with pytest.raises(TypeError):
        rpc.encode_request("private/buy", {"amount": value})  # type: ignore[dict-item]


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity")])
def test_a_number_that_is_none_is_never_sent(value: Decimal) -> None:
    with pytest.raises(ValueError, match="finite"):
        rpc.encode_request("private/buy", {"amount": value})


def test_exponents_are_read_exactly() -> None:
    body = decode(b'{"taker_commission": 3.5e-4, "strike": 5.5e3}', market.Instrument)
    assert (body.taker_commission, body.strike) == (Decimal("0.00035"), Decimal(5500))
    assert encode(body) == b'{"taker_commission":0.00035,"strike":5500}'


def test_a_number_of_forty_digits_is_kept_to_the_last_one() -> None:
    digits = "1234567890123456789012345678901234567890"
    assert decode(f'{{"tick_size":{digits}}}'.encode(), market.Instrument).tick_size == Decimal(digits)


def test_a_request_without_id_or_params_is_read_as_the_official_sdk_sends_it() -> None:
    request = rpc.decode_request(b'{"jsonrpc":"2.0","method":"public/get_time","params":{}}')
    assert (request.method, request.id, request.params) == ("public/get_time", None, {})
    assert rpc.decode_request(b'{"method":"public/test","id":"a-1"}').id == "a-1"


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'[{"jsonrpc":"2.0","id":1,"method":"public/test"}]',
        b'"public/test"',
        b"{}",
        b'{"jsonrpc":"2.0","id":1,"method":""}',
        b'{"jsonrpc":"2.0","id":1,"method":"public/test","params":[1]}',
        b'{"jsonrpc":"2.0","id":1,"method":"public/test","method":"private/buy"}',
        b"not json",
        b"\xff",
        b"[" * 100 + b"]" * 100,
    ],
)
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        rpc.decode_request(body)


def test_parameters_are_read_from_a_body_and_from_a_query_alike() -> None:
    body = rpc.decode_request(
        b'{"method":"private/buy","params":{"instrument_name":"X","amount":0.001,"price":1e2,"post_only":false,'
        b'"valid_until":1788645577021}}'
    )
    query = {
        "instrument_name": "X",
        "amount": "0.001",
        "price": "100",
        "post_only": "false",
        "valid_until": "1788645577021",
    }
    read = rpc.read_params(body.params, params.OrderParams)
    assert read == rpc.read_params(query, params.OrderParams)
    assert read == params.OrderParams(
        instrument_name="X", amount=Decimal("0.001"), price=Decimal(100), post_only=False, valid_until=1788645577021
    )


@pytest.mark.parametrize("amount", ["NaN", "1_0", "-0", "0x1", "9" * 5_000, "١", " 1"])
def test_a_query_smuggles_no_hostile_number_H1(amount: str) -> None:
    with pytest.raises(WireError):
        rpc.read_params({"amount": amount}, params.OrderParams)


def test_a_reply_is_a_result_or_a_refusal() -> None:
    good = rpc.decode_reply(
        b'{"jsonrpc":"2.0","id":3,"result":1788865676744,"usIn":1,"usOut":4,"usDiff":3,"testnet":false}', int
    )
    assert (good.id, good.result, good.error, good.us_in, good.us_out, good.us_diff) == (
        3,
        1788865676744,
        None,
        1,
        4,
        3,
    )
    bad = rpc.decode_reply(
        b'{"id":1,"error":{"code":10028,"message":"too_many_requests","data":{"retry_after":2}}}', int
    )
    assert bad.error is not None
    assert (bad.result, bad.error.code, bad.error.retry_after_ms) == (None, 10028, 2000)
    assert bad.outcome() == bad.error


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"id":1,"result":null}',
        b'{"id":1,"result":1,"error":{"code":1,"message":"x"}}',
        b'{"id":1,"error":{"message":"x"}}',
        b'{"id":1,"error":"x"}',
        b'{"id":1,"result":true}',
        b'{"id":1,"result":1.5}',
        b'{"id":1,"result":"soon"}',
        b'{"id":1,"result":1,"result":2}',
        b"<html>502</html>",
        b"",
    ],
)
def test_a_reply_nobody_can_read_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        rpc.decode_reply(body, int)


def test_what_the_exchange_writes_the_client_reads() -> None:
    order = trading.Order(order_id="USDC-1", price=OrderPrice(Decimal("1E+2")), amount=Decimal("0.0010"))
    body = rpc.encode_result(trading.OrderAndTrades(order=order, trades=()), 9, us_in=5, us_out=8)
    reply = rpc.decode_reply(body, trading.OrderAndTrades)
    assert reply.result == trading.OrderAndTrades(order=order, trades=())
    assert json.loads(body)["usDiff"] == 3
    fault = rpc.RpcError(code=13009, message="invalid_token", data={"reason": "token has expired", "n": Decimal("1.5")})
    assert rpc.decode_reply(rpc.encode_error(fault, 9, us_in=5, us_out=8), int).error == fault
    assert fault.reason == "token has expired"


def test_frames_of_a_socket_are_told_apart() -> None:
    note = rpc.decode_frame(b'{"method":"subscription","params":{"channel":"quote.X","data":{"best_bid_price":1.50}}}')
    assert isinstance(note, rpc.Notification)
    assert note.channel == "quote.X"
    assert note.data_as(market.Ticker) == market.Ticker(best_bid_price=Decimal("1.5"))
    beat = rpc.decode_frame(rpc.encode_heartbeat("test_request"))
    assert isinstance(beat, rpc.Notification)
    assert (beat.method, beat.kind) == ("heartbeat", "test_request")
    reply = rpc.decode_frame(b'{"id":41,"result":["quote.X"]}')
    assert isinstance(reply, rpc.LooseReply)
    assert reply.id == 41
    assert reply.read(tuple[str, ...]).result == ("quote.X",)
    with pytest.raises(WireError):
        rpc.decode_frame(b'{"method":"subscription","params":{"data":{}}}')


def test_a_market_price_is_a_word_and_not_a_number() -> None:
    told = decode(b'{"order_id":"USDC-2","price":"market_price"}', trading.Order)
    assert told.price == OrderPrice(None)
    assert encode(told) == b'{"order_id":"USDC-2","price":"market_price"}'
    for other in ("mark_price", "NaN", "-0", ""):
        if other:
            with pytest.raises(WireError):
                decode(json.dumps({"price": other}).encode(), trading.Order)
    for token in ("true", "{}", "[1]", "-0", "NaN"):
        with pytest.raises(WireError):
            decode(f'{{"price":{token}}}'.encode(), trading.Order)


@pytest.mark.parametrize("token", ["true", "false", "[1]", "{}", '"NaN"', '"Infinity"', '"-0"', '"1_0"', '"one"'])
def test_no_other_value_passes_for_a_number_H1_H3(token: str) -> None:
    with pytest.raises(WireError):
        decode(f'{{"amount":{token}}}'.encode(), trading.Order)


@pytest.mark.parametrize("token", ["1.5", "1e3", "true", '"soon"', "9" * 5_000, "-0", "NaN"])
def test_a_counter_is_a_whole_number(token: str) -> None:
    with pytest.raises(WireError):
        decode(f'{{"creation_timestamp":{token}}}'.encode(), trading.Order)


def test_secrets_are_not_in_what_a_struct_shows_S1() -> None:
    assert "abc" not in repr(accounts.Login(access_token="abc", refresh_token="abc", expires_in=899))
    assert "abc" not in repr(params.AuthParams(grant_type="coinbase_cdp", token="abc"))
