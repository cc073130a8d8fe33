"""The gateway's login: a CDP token without request line, 15 minutes, one transport, rights by scope."""

import json

import pytest

from perpsctl.simulator.faces.global_session import Session, Transport
from perpsctl.simulator.gateway.refusal import RpcError
from tests.unit.simulator.global_face.gate import BTC, Gate


def test_a_signed_token_without_uri_buys_a_bearer_of_fifteen_minutes() -> None:
    gate = Gate()
    told = gate.ask("public/auth", grant_type="coinbase_cdp", token=gate.jwt())
    assert told["token_type"] == "bearer"
    assert told["expires_in"] == 899
    assert told["scope"].split() == ["rat#view", "rat#trade"]
    assert gate.summary()["currency"] == "USDC"


@pytest.mark.parametrize(
    "changed",
    [{"sub": "organizations/x/apiKeys/y"}, {"iss": "me"}, {"exp": 1}, {"nbf": 99_999_999_999}, {"exp": 9_999_999_999}],
)
def test_a_token_with_other_claims_is_refused_at_the_door(changed: dict[str, object]) -> None:
    gate = Gate()
    assert gate.refused("public/auth", grant_type="coinbase_cdp", token=gate.jwt(**changed)) == 13004


def test_a_token_signed_by_another_key_is_refused() -> None:
    gate, other = Gate(), Gate()
    gate.secret = other.secret
    assert gate.refused("public/auth", grant_type="coinbase_cdp", token=gate.jwt()) == 13004


def test_a_bearer_ends_after_its_lifetime() -> None:
    gate = Gate()
    gate.later(seconds=899)
    assert "result" in gate.answer("private/get_positions", currency="USDC")
    gate.later(seconds=1)
    assert gate.refused("private/get_positions", currency="USDC") == 13009
    gate.log_in()
    assert gate.ask("private/get_positions", currency="USDC") == []


def test_a_private_method_without_login_is_13009_and_a_cdp_token_is_no_bearer() -> None:
    gate = Gate()
    for token in ("", "wrong", gate.jwt()):
        reply = gate.reply("private/get_positions", {"currency": "USDC"}, token=token)
        assert json.loads(reply.body)["error"]["code"] == 13009


def test_a_login_of_one_transport_is_worth_nothing_on_the_other() -> None:
    gate = Gate()
    line = Session(transport=Transport.SOCKET, connection="s1")
    with pytest.raises(RpcError) as refused:
        gate.face.call("private/get_positions", {"access_token": gate.token}, line)
    assert refused.value.code == 13009
    told = gate.face.call("public/auth", {"grant_type": "coinbase_cdp", "token": gate.jwt()}, line)
    assert isinstance(told, dict)
    assert "access_token" not in told  # the socket itself is the credential
    assert told["expires_in"] == 3000
    assert gate.face.call("private/get_positions", {}, line) == []
    reply = gate.reply("private/get_positions", {}, token=str(told["sid"]))
    assert json.loads(reply.body)["error"]["code"] == 13009


def test_a_key_that_may_only_view_reads_and_places_nothing() -> None:
    gate = Gate("monitor")
    assert gate.summary()["equity"] == 1_000_000
    assert gate.refused("private/buy", instrument_name=BTC, amount=0.01, type="market") == 13403
    assert gate.embedded.exchange.judge_view().orders == ()


def test_a_deleted_key_loses_its_bearer_too() -> None:
    gate = Gate()
    record = gate.embedded.keys.find(gate.name)
    assert record is not None
    gate.embedded.keys.change(record.role, active=False)
    assert gate.refused("private/get_positions", currency="USDC") == 13004


def test_a_reset_makes_every_bearer_worthless() -> None:
    gate = Gate()
    gate.embedded.reset()
    assert gate.refused("private/get_positions", currency="USDC") == 13009


def test_no_token_stands_in_an_answer_or_in_the_log_of_refusals() -> None:
    gate = Gate()
    token = gate.jwt(iss="me")
    reply = gate.reply("public/auth", {"grant_type": "coinbase_cdp", "token": token})
    assert token.encode() not in reply.body
    assert all(token not in row.reason for row in gate.face.refusals)
    assert any(row.reason == "issuer" for row in gate.face.refusals)


def test_wrong_hosts_answer_that_the_method_is_not_in_the_allowlist() -> None:
    gate = Gate()
    streams = Session(transport=Transport.STREAMS, connection="s2")
    for method in ("private/buy", "public/auth", "public/ticker"):
        with pytest.raises(RpcError) as refused:
            gate.face.call(method, {}, streams)
        assert (refused.value.code, refused.value.message) == (-32601, "method not in allowlist")
    assert gate.face.call("public/test", {}, streams) == {"version": "1.2.26"}
    assert gate.refused("private/enable_cancel_on_disconnect") == 10030


def test_exhausted_credits_answer_10028_and_close_the_connection_and_come_back() -> None:
    gate = Gate()
    gate.face.credits.enforced = True
    replies = [gate.reply("private/cancel", {"order_id": "USDC-1"}) for _ in range(21)]
    assert [json.loads(reply.body)["error"]["code"] for reply in replies] == [10004] * 20 + [10028]
    assert ("connection", "close") in replies[-1].headers
    assert gate.refused("private/cancel", order_id="USDC-1") == 10028
    gate.later(seconds=1)
    assert gate.refused("private/cancel", order_id="USDC-1") == 10004
    assert gate.ask("private/get_positions", currency="USDC") == []  # reads have a pool of their own


def test_the_credits_told_in_the_summary_are_the_ones_enforced() -> None:
    told = Gate().ask("private/get_account_summary", currency="USDC", extended=True)["limits"]
    assert told["matching_engine"]["trading"]["total"] == {"rate": 5, "burst": 20}
    assert told["non_matching_engine"] == {"rate": 20, "burst": 100}
