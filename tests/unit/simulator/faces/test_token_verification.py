"""Signatures and claims are verified for real (Advanced Trade reference section 2; official SDK calls 3.3)."""

from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from perpsctl.simulator.identity import Role
from tests.unit.simulator.faces.trader import HOST, V3, Trader, later

PATH = f"{V3}/key_permissions"


def status(trader: Trader, token: str) -> int:
    return trader.embedded.us.handle(trader.request("GET", PATH, token=token)).status


@pytest.mark.parametrize("role", ["trade", "monitor", "analytics"])
def test_each_throw_away_key_is_accepted_whatever_its_kind(role: str) -> None:
    trader = Trader(role)
    assert status(trader, trader.sign(trader.claims("GET", PATH))) == 200


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"iss": "coinbase-cloud", "aud": ["retail_rest_api_proxy"], "iat": 1}, id="ccxt-ec"),
        pytest.param({"uri": None, "uris": [f"GET {HOST}{PATH}"], "aud": ["cdp_service"]}, id="ccxt-ed25519"),
        pytest.param({"uri": f"GET http://{HOST}{PATH}"}, id="ccxt-scheme-inside"),
        pytest.param({"uri": f"GET api.coinbase.com{PATH}"}, id="sdk-helper-host"),
    ],
)
def test_the_variants_of_ccxt_and_the_sdk_are_tolerated(change: dict[str, Any]) -> None:
    trader = Trader()
    claims = {**trader.claims("GET", PATH), **change}
    assert status(trader, trader.sign({name: value for name, value in claims.items() if value is not None})) == 200


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"uri": f"POST {HOST}{PATH}"}, "uri"),
        ({"uri": f"GET {HOST}{V3}/accounts"}, "uri"),
        ({"uri": f"GET elsewhere.example{PATH}"}, "uri"),
        ({"uri": f"GET {HOST}{PATH}?limit=1"}, "uri"),
        ({"uri": None}, "uri"),
        ({"sub": "somebody"}, "subject"),
        ({"iss": "me"}, "issuer"),
        ({"exp": "soon"}, "times"),
        ({"exp": True}, "times"),
        ({"nbf": None}, "times"),
    ],
)
def test_a_claim_that_does_not_fit_the_request_is_401_in_plain_text(change: dict[str, Any], reason: str) -> None:
    trader = Trader()
    reply = trader.embedded.us.handle(
        trader.request("GET", PATH, token=trader.sign({**trader.claims("GET", PATH), **change}))
    )
    assert (reply.status, reply.body, reply.content_type) == (401, b"Unauthorized", "text/plain")
    assert trader.embedded.us.refusals[-1].reason == reason


def test_the_older_hmac_headers_and_no_token_at_all_are_refused() -> None:
    trader = Trader()
    bare = trader.request("GET", PATH, token="")
    assert trader.embedded.us.handle(bare).status == 401


@pytest.mark.parametrize(
    ("shift", "accepted"), [(0, True), (4, True), (30, False), (-119, True), (-120, False), (-130, False)]
)
def test_times_are_judged_by_the_exchanges_clock(shift: int, accepted: bool) -> None:
    trader = Trader()
    token = trader.sign(later(trader.claims("GET", PATH), shift))
    assert (status(trader, token) == 200) is accepted


@pytest.mark.parametrize("offset", [-30, 130])
def test_a1_a_venue_clock_that_is_off_refuses_good_tokens_and_says_its_time(offset: int) -> None:
    trader = Trader()
    trader.embedded.exchange.faults.arm("A1", seconds=offset)
    token = trader.sign(trader.claims("GET", PATH))
    reply = trader.embedded.us.handle(trader.request("GET", PATH, token=token))
    assert reply.status == 401
    trader.embedded.exchange.faults.disarm(name="A1")
    honest = trader.embedded.us.handle(trader.request("GET", PATH, token=token))
    assert dict(reply.headers)["date"] != dict(honest.headers)["date"]


def test_a_forged_signature_another_algorithm_and_none_are_refused() -> None:
    trader = Trader()
    claims = trader.claims("GET", PATH)
    stranger = ec.generate_private_key(ec.SECP256R1())
    forged = jwt.encode(claims, stranger, "ES256", headers={"kid": trader.name})
    unsigned = jwt.encode(claims, "", "none", headers={"kid": trader.name})
    good = trader.sign(claims)
    tampered = good[:-8] + ("A" * 8 if not good.endswith("A" * 8) else "B" * 8)
    for token in (forged, unsigned, tampered, "a.b.c", "a.b", "", "é.é.é", ".." * 3000):
        assert status(trader, token) == 401
    assert status(trader, good) == 200


def test_an_hmac_made_with_the_public_key_is_refused() -> None:
    trader = Trader()
    forged = jwt.encode(trader.claims("GET", PATH), "public " * 8, "HS256", headers={"kid": trader.name})
    assert status(trader, forged) == 401


def test_a2_a_deleted_key_and_the_keys_of_before_a_reset_are_worth_nothing() -> None:
    trader = Trader()
    old = trader.sign(trader.claims("GET", PATH))
    trader.embedded.keys.change(Role.TRADE, active=False)
    assert status(trader, old) == 401
    trader.embedded.reset()
    assert status(trader, old) == 401
    trader.use("trade")
    assert status(trader, trader.sign(trader.claims("GET", PATH))) == 200


def test_s1_no_token_and_no_key_shows_in_a_repr_or_the_refusal_log() -> None:
    trader = Trader()
    token = trader.sign({**trader.claims("GET", PATH), "iss": "me"})
    status(trader, token)
    shown = repr(trader.embedded.us.refusals) + repr(trader.embedded.keys.of(Role.TRADE))
    assert token not in shown
    assert "PRIVATE" not in shown
