"""Who sent a request: the venue's side of the signed token, verified for real and by code of its own.

Shares no line with the client's signing, nor a library's idea of a token: signature, key id, subject, issuer, request
line and times are checked here (Advanced Trade reference section 2; official SDK calls 3.3; both 2026-11-22). The older
HMAC headers are not offered. A token never appears in an error or a log.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from perpsctl.simulator.identity import KeyRecord, KeyRing, PublicKey

PUBLIC_HOST = "api.coinbase.com"  # tokens made with the SDK's own helper carry it whatever the address
ISSUERS = frozenset({"cdp", "coinbase-cloud"})
NOT_BEFORE_LEEWAY_S = 5  # below the 30 s of fault A1: a clock that far ahead must be refused
# No leeway at the other end: whoever waits for a token to expire must be able to rely on it (design: bound on doubt).
LOGIN_LIFE_MAX_S = 120  # of a token for `public/auth`
_MAX_TOKEN = 4096
_SECP256R1 = ec.ECDSA(hashes.SHA256())


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A verified caller and when its token ends."""

    key: KeyRecord
    expires_at: int  # Unix seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a token is not accepted: for the simulator's own log and tests; the venue answers 401 without a reason."""

    reason: str


def verify(
    authorization: str | None, *, method: str, path: str, connected_host: str, now: datetime, keys: KeyRing
) -> Principal | Refusal:
    """The caller behind an `Authorization` header, or why there is none."""
    if authorization is None:
        return Refusal(reason="no token")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token or len(token) > _MAX_TOKEN:
        return Refusal(reason="no bearer token")
    return _caller(token, now=now, keys=keys, request=((method, path), connected_host))


def verify_login(token: str, *, now: datetime, keys: KeyRing) -> Principal | Refusal:
    """The caller behind a token handed to the gateway's `public/auth`: no request line is signed there.

    The official SDK signs none; other clients do, and the gateway seems to accept all (Global Derivatives reference
    section 3, 2026-11-22): whatever is named is not looked at. A token lives 120 s at most.
    """
    if len(token) > _MAX_TOKEN:
        return Refusal(reason="not a token")
    return _caller(token, now=now, keys=keys, request=None)


def _caller(
    token: str, *, now: datetime, keys: KeyRing, request: tuple[tuple[str, str], str] | None
) -> Principal | Refusal:
    parts = token.split(".")
    if len(parts) != 3:
        return Refusal(reason="not a token")
    try:
        header = _object(parts[0])
        claims = _object(parts[1])
        signature = _decoded(parts[2])
    except ValueError:
        return Refusal(reason="not a token")
    kid = header.get("kid")
    key = keys.find(kid) if isinstance(kid, str) else None
    if key is None or not key.active:
        return Refusal(reason="unknown key" if key is None else "key is deleted")
    if not _signed_by(key.public_key, header.get("alg"), signature, f"{parts[0]}.{parts[1]}".encode("ascii")):
        return Refusal(reason="signature")
    complaint = _claims_complaint(claims, key=key, request=request, now=now)
    if complaint:
        return Refusal(reason=complaint)
    return Principal(key=key, expires_at=int(str(claims["exp"])))


def _claims_complaint(
    claims: dict[str, object], *, key: KeyRecord, request: tuple[tuple[str, str], str] | None, now: datetime
) -> str:
    if claims.get("sub") not in (key.name, key.key_id):
        return "subject"
    if claims.get("iss") not in ISSUERS:
        return "issuer"
    if request is not None and not _names_request(claims, *request):
        return "uri"
    begins, ends = claims.get("nbf"), claims.get("exp")
    if isinstance(begins, bool) or isinstance(ends, bool) or not isinstance(begins, int) or not isinstance(ends, int):
        return "times"
    seconds = int(now.timestamp())
    if begins > seconds + NOT_BEFORE_LEEWAY_S:
        return "not valid yet"
    if ends <= seconds:
        return "expired"
    if request is None and ends - begins > LOGIN_LIFE_MAX_S:
        return "lives too long"
    return ""


def _names_request(claims: dict[str, object], request_line: tuple[str, str], host: str) -> bool:
    """`uri`, or ccxt's list `uris`; with or without a scheme (ccxt signs `http://host/path` over plain HTTP)."""
    method, path = request_line
    listed = claims.get("uris")
    uris = listed if isinstance(listed, list) else [claims.get("uri")]
    wanted = {f"{host}{path}", f"{PUBLIC_HOST}{path}"}
    for uri in uris:
        if not isinstance(uri, str):
            continue
        signed_method, _, target = uri.partition(" ")
        if signed_method == method and target.removeprefix("https://").removeprefix("http://") in wanted:
            return True
    return False


def _signed_by(public: PublicKey, algorithm: object, signature: bytes, signed: bytes) -> bool:
    try:
        if isinstance(public, ed25519.Ed25519PublicKey):
            if algorithm != "EdDSA":
                return False
            public.verify(signature, signed)
            return True
        if algorithm != "ES256" or len(signature) != 64:
            return False
        halves = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        public.verify(encode_dss_signature(*halves), signed, _SECP256R1)
    except InvalidSignature:
        return False
    return True


def _object(part: str) -> dict[str, object]:
    try:
        value = json.loads(_decoded(part))
    except (UnicodeDecodeError, RecursionError) as refused:
        raise ValueError("not JSON") from refused
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _decoded(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except binascii.Error as refused:
        raise ValueError("not base64url") from refused
