"""Credentials, a request and a moment make a token. Pure: no clock, no randomness, no network, and no library's
exception can carry the key out of here.

The token is put together by hand: the header before the nonce never changes and the key was parsed once, which costs
about two thirds of a general JWT library (design 12). PyJWT verifies the result in the tests.
"""

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta

from perpsctl.exchange.credentials import Credentials

__all__ = ["READ_TTL", "WRITE_TTL", "Signer", "claim_uri"]

READ_TTL = timedelta(seconds=120)  # what Coinbase's own clients sign (reference section 2, 2026-11-22)
WRITE_TTL = timedelta(seconds=20)  # bounds the doubt: a create that was held up longer is refused (design 5)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


def claim_uri(method: str, host: str, path: str) -> str:
    """The `uri` claim: method, host (with its port where it is not the default) and path, without query."""
    return f"{method} {host}{path}"


class Signer:
    """Signs requests to one host with one key; the constant parts are laid out once."""

    __slots__ = ("_credentials", "_header_end", "_header_start", "_host", "_subject")

    def __init__(self, credentials: Credentials, host: str) -> None:
        name = json.dumps(credentials.key_name)
        self._credentials = credentials
        self._host = host
        self._header_start = f'{{"alg":"{credentials.algorithm}","kid":{name},"nonce":"'
        self._header_end = '","typ":"JWT"}'
        self._subject = f'{{"sub":{name},"iss":"cdp","nbf":'

    def token(self, method: str, path: str, *, now: datetime, ttl: timedelta, nonce: str) -> str:
        """A JWT for exactly this method and path, valid from `now` for `ttl`; nobody checks how often it is used."""
        uri = json.dumps(claim_uri(method, self._host, path))
        return self._signed(f',"uri":{uri}', now=now, ttl=ttl, nonce=nonce)

    def grant(self, *, now: datetime, ttl: timedelta, nonce: str) -> str:
        """A JWT that names no request, to be exchanged for a session (Global Derivatives reference section 3, 2026-11-22)."""
        return self._signed("", now=now, ttl=ttl, nonce=nonce)

    def _signed(self, more_claims: str, *, now: datetime, ttl: timedelta, nonce: str) -> str:
        start = (now - _EPOCH) // _SECOND
        end = start + ttl // _SECOND
        header = f"{self._header_start}{nonce}{self._header_end}"
        claims = f'{self._subject}{start},"exp":{end}{more_claims}}}'
        message = _segment(header.encode()) + b"." + _segment(claims.encode())
        return (message + b"." + _segment(self._credentials.sign(message))).decode("ascii")

    def __repr__(self) -> str:
        return f"Signer({self._credentials!r})"


def _segment(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")
