"""S1: neither the key nor a token is in anything that can be shown, whatever fails."""

import json
from typing import Any, cast

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec

from perpsctl.domain.errors import PerpsctlError
from perpsctl.domain.ids import ProductId, VenueOrderId
from perpsctl.domain.products import Environment
from perpsctl.exchange.advanced_trade import AdvancedTradeVenue
from perpsctl.exchange.credentials import Credentials, Secret, from_values
from perpsctl.exchange.hosts import endpoint_for
from perpsctl.exchange.retrying import RetryPolicy
from perpsctl.exchange.signing import Signer
from perpsctl.exchange.transport import ExchangeRecord
from perpsctl.systemports import SystemClock, SystemIds
from tests.unit.exchange.parts import BIP, KEY_NAME, NOW, Canned, OpenGate, a_venue, ec_pem, reply, told_by
from tests.unit.exchange.raw_server import Act, RawServer, http, says
from tests.unit.exchange.test_sockets import QUICK, bad_chunks, cut_short, not_http, resets, resets_mid_body
from tests.unit.exchange.test_writes import approved

PEM = ec_pem()
CANARY = "".join(PEM.splitlines()[1:-1])[8:48]


def canary() -> Credentials:
    return from_values(KEY_NAME, Secret(PEM))


class Broken:
    """A key whose every use fails, with the secret in reach of the failing frame."""

    def __init__(self, real: ec.EllipticCurvePrivateKey) -> None:
        self._real = real

    def sign(self, *_: Any, **__: Any) -> bytes:
        raise ValueError("the signature failed")

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._real.public_key()


def test_a_failing_signature_shows_no_key() -> None:
    real = ec.generate_private_key(ec.SECP256R1())
    signer = Signer(Credentials(KEY_NAME, cast(ec.EllipticCurvePrivateKey, Broken(real))), "h")
    with pytest.raises(ValueError, match="the signature failed") as caught:
        signer.token("GET", "/p", now=NOW, ttl=QUICK.total, nonce="0")
    number = str(real.private_numbers().private_value)
    assert number not in told_by(caught.value)
    assert "PRIVATE KEY" not in told_by(caught.value)


def calls(venue: AdvancedTradeVenue) -> list[Any]:
    product, order = ProductId(BIP), VenueOrderId("o")
    return [
        venue.products,
        lambda: venue.product(product),
        lambda: venue.book(product, 5),
        venue.key_facts,
        venue.account,
        venue.positions,
        venue.fees,
        venue.live_orders,
        lambda: venue.orders_since(NOW),
        lambda: venue.order(order),
        venue.fills,
        lambda: venue.cancel([order]),
    ]


@pytest.mark.parametrize(
    "answer",
    [
        requests.exceptions.ReadTimeout("x"),
        (401, {"content-type": "text/plain"}, b"Unauthorized"),
        reply({"error": "E", "message": "m"}, 400),
        reply({}, 500),
        (200, {"content-type": "application/json"}, b"{"),
    ],
)
def test_no_error_of_any_call_shows_key_or_token(answer: Any) -> None:
    canned, records = Canned(), list[ExchangeRecord]()
    venue = a_venue(canned, key=canary(), observer=records.append)
    for call in calls(venue):
        for method, path in [("GET", "/products"), ("GET", f"/products/{BIP}"), ("GET", "/key_permissions")]:
            canned.on(method, path, answer)
        for path in ("/cfm/balance_summary", "/cfm/positions", "/transaction_summary", "/orders/historical/batch"):
            canned.on("GET", path, answer)
        for path in ("/orders/historical/o", "/orders/historical/fills"):
            canned.on("GET", path, answer)
        canned.on("POST", "/orders/batch_cancel", answer)
        with pytest.raises(PerpsctlError) as caught:
            call()
        shown = told_by(caught.value) + repr(records) + repr(venue.last_exchange())
        tokens = [call.headers["Authorization"].removeprefix("Bearer ") for call in canned.calls]
        assert tokens
        assert CANARY not in shown
        assert not [token for token in tokens if token in shown or token.rsplit(".", 1)[1] in shown]


@pytest.mark.parametrize("act", [resets, resets_mid_body, cut_short, bad_chunks, not_http, says(http(b"{"))])
def test_no_failure_on_a_real_socket_shows_key_or_token(act: Act) -> None:
    with RawServer(act) as server:
        once = RetryPolicy(attempts=1, total=QUICK.total)
        venue = AdvancedTradeVenue(
            endpoint_for(Environment.SIM, server.address),
            canary(),
            SystemClock(),
            SystemIds(),
            timing=QUICK,
            reads=once,
        )
        with pytest.raises(PerpsctlError) as caught:
            venue.key_facts()
        outcome = venue.submit(approved(), OpenGate())
        venue.close()
        tokens = [part for request in server.requests for part in _tokens(request)]
        shown = told_by(caught.value) + repr(outcome) + repr(venue.last_exchange())
        assert len(tokens) == 2
        assert CANARY not in shown
        assert not [token for token in tokens if token in shown]


def _tokens(request: bytes) -> list[str]:
    return [line[22:].decode() for line in request.split(b"\r\n") if line.startswith(b"Authorization: Bearer ")]


def test_the_canary_is_one_that_would_be_found() -> None:
    assert CANARY in json.dumps({"privateKey": PEM.replace("\n", "")})
    assert len(CANARY) == 40


def test_nothing_that_holds_the_key_shows_it() -> None:
    key = canary()
    venue = a_venue(Canned(), key=key)
    for thing in (key, Signer(key, "h"), venue, venue.link, vars(venue), vars(venue.link)):
        assert CANARY not in repr(thing)
        assert "BEGIN" not in repr(thing)
