"""Who speaks to the gateway, over which transport, and what their login is worth there.

An HTTP login is a bearer token of 15 minutes; a socket is its own credential for 50 minutes and gets no token. Neither
works on the other transport (Global Derivatives reference section 3, 2026-11-22). A token is never logged or echoed.
"""

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from perpsctl.simulator.identity import KeyRecord

HTTP_LIFETIME = timedelta(seconds=900)
SOCKET_LIFETIME = timedelta(seconds=3000)
TOKENS_KEPT = 1000


class Transport(StrEnum):
    """How a call came in."""

    HTTP = "http"  # https://drb.coinbase.com/api/v2
    SOCKET = "socket"  # wss://drb.coinbase.com/ws/api/v2
    STREAMS = "streams"  # wss://streams.drb.coinbase.com/ws/api/v2


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A key that was accepted, until `expires_at`."""

    key: KeyRecord = field(repr=False)
    expires_at: datetime


@dataclass(slots=True, kw_only=True)
class Session:
    """One caller on one connection. A shell makes one for each socket and one for each HTTP request."""

    transport: Transport
    client_ip: str = "127.0.0.1"
    connection: str = ""  # a name no other socket has; empty over HTTP
    login: Login | None = None
    cancel_on_disconnect: bool = False
    logged_out: bool = False  # private/logout was called: close with 1000, cancel nothing, send no reply
    closing: bool = False  # the credits are used up: the shell closes the connection after the answer


class Tokens:
    """The bearer tokens given out over HTTP. Safe to call from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._logins: dict[str, Login] = {}
        self._issued = 0

    def issue(self, key: KeyRecord, proof: str, now: datetime) -> str:
        """A new token; the oldest is forgotten beyond the cap. It follows from the signed `proof`, which nobody can guess."""
        with self._lock:
            self._issued += 1
            token = sha256(f"{self._issued}\x1f{proof}".encode()).hexdigest()
            if len(self._logins) >= TOKENS_KEPT:
                del self._logins[next(iter(self._logins))]
            self._logins[token] = Login(key=key, expires_at=now + HTTP_LIFETIME)
        return token

    def find(self, authorization: str | None) -> Login | None:
        """The login behind an `Authorization` header, expired or not."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        with self._lock:
            return self._logins.get(token)

    def clear(self) -> None:
        """No token is worth anything any more."""
        with self._lock:
            self._logins.clear()
