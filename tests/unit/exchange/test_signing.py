from collections.abc import Callable
from datetime import timedelta

import jwt
import pytest

from perpsctl.exchange.credentials import Credentials, Secret, from_values
from perpsctl.exchange.signing import READ_TTL, WRITE_TTL, Signer
from tests.unit.exchange.parts import KEY_NAME, NOW, ec_pem, ed_pem

PATH = "/api/v3/brokerage/orders"


def made(pem: str) -> Credentials:
    return from_values(KEY_NAME, Secret(pem))


@pytest.mark.parametrize(("pem", "algorithm"), [(ec_pem, "ES256"), (ed_pem, "EdDSA")])
def test_a_token_says_what_the_venue_wants_and_another_library_verifies_it(
    pem: Callable[[], str], algorithm: str
) -> None:
    key = made(pem())
    token = Signer(key, "127.0.0.1:8443").token("POST", PATH, now=NOW, ttl=WRITE_TTL, nonce="ab" * 32)
    claims = jwt.decode(
        token, key.public_pem(), algorithms=[algorithm], options={"verify_exp": False, "verify_nbf": False}
    )
    start = int(NOW.timestamp())
    assert claims == {
        "sub": KEY_NAME,
        "iss": "cdp",
        "nbf": start,
        "exp": start + 20,
        "uri": f"POST 127.0.0.1:8443{PATH}",
    }
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "typ": "JWT", "kid": KEY_NAME, "nonce": "ab" * 32}


def test_reads_are_valid_for_120_seconds_and_writes_for_20() -> None:
    assert timedelta(seconds=120) == READ_TTL
    assert timedelta(seconds=20) == WRITE_TTL


def test_a_fraction_of_a_second_never_makes_a_token_start_in_the_future() -> None:
    key = made(ed_pem())
    token = Signer(key, "h").token("GET", "/p", now=NOW + timedelta(microseconds=999_999), ttl=READ_TTL, nonce="0")
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["nbf"] == int(NOW.timestamp())


def test_a_key_name_with_quotes_stays_one_claim() -> None:
    key = from_values('a"b\\c', Secret(ed_pem()))
    token = Signer(key, "h").token("GET", "/p", now=NOW, ttl=READ_TTL, nonce="0")
    assert jwt.decode(token, options={"verify_signature": False})["sub"] == 'a"b\\c'


def test_every_es256_signature_has_64_bytes_whatever_its_numbers() -> None:
    key = made(ec_pem())
    assert {len(key.sign(bytes([n]))) for n in range(200)} == {64}
