"""The session behind private calls: a key signs a JWT, the JWT buys a bearer token, the token is renewed in time.

A fresh JWT for every exchange, a new token at 80 % of the old one's life, and one renewal when the venue says that the
token is no good (reference section 3, 2026-11-22). There is no refresh token in practice. The token is never shown.
"""

import re
import threading
from contextlib import suppress

from perpsctl.domain.errors import (
    CredentialsError,
    RefusalCause,
    VenueRefusedUs,
    VenueSpokeStrangely,
    VenueUnreachable,
)
from perpsctl.domain.ids import Ids
from perpsctl.domain.ports import Clock
from perpsctl.domain.text import shown
from perpsctl.exchange.answers import clock_hint
from perpsctl.exchange.credentials import Secret
from perpsctl.exchange.global_derivatives.faults import failure_of, words_of
from perpsctl.exchange.global_derivatives.rpc import Rpc
from perpsctl.exchange.pacing import Priority
from perpsctl.exchange.retrying import Again
from perpsctl.exchange.signing import READ_TTL, Signer
from perpsctl.exchange.transport import Answered, Ending, GateClosed, NotWritten, Written
from perpsctl.wire.global_derivatives import accounts
from perpsctl.wire.global_derivatives.errors import ErrorClass, error_fact
from perpsctl.wire.global_derivatives.rpc import RpcError

__all__ = ["GRANT", "Session"]

GRANT = "coinbase_cdp"
AUTH = "public/auth"
RENEW_AT_PERCENT = 80
LIFE_MAX_S = 3600  # whatever the venue prints
_SCOPES_MAX = 100
_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}", re.ASCII)  # what may stand in a header
_SECOND_NS = 1_000_000_000


class Session:
    """The bearer token of one key. Made on first use; safe to share between threads."""

    def __init__(self, rpc: Rpc, signer: Signer | None, clock: Clock, ids: Ids) -> None:
        self._rpc = rpc
        self._signer = signer
        self._clock = clock
        self._ids = ids
        self._lock = threading.Lock()
        self._token: Secret | None = None
        self._renew_ns = 0
        self.scope: tuple[str, ...] = ()  # what the last exchange granted, the venue's words

    @property
    def has_key(self) -> bool:
        return self._signer is not None

    def token(self, priority: Priority, *, until_ns: int) -> Secret:
        """A token that is good for now. `Again` when the exchange may be repeated, else one of our errors."""
        with self._lock:
            held = self._token
            if held is not None and self._clock.monotonic_ns() < self._renew_ns:
                return held
            return self._exchanged(priority, until_ns)

    def refused(self, token: Secret) -> None:
        """The venue would not take this token: the next call buys another. A newer one, bought meanwhile, stays."""
        with self._lock:
            if self._token is token:
                self._token = None

    def _exchanged(self, priority: Priority, until_ns: int) -> Secret:
        if self._signer is None:
            raise CredentialsError(
                "this needs an API key and the profile has none", fix="name a key file in the profile"
            )
        self._token = None
        with suppress(
            _RefusedOnce
        ):  # by a bad node, perhaps (A5): once more with a fresh grant, and then it is the key
            return self._login(self._signer, priority, until_ns)
        return self._login(self._signer, priority, until_ns, last=True)

    def _login(self, signer: Signer, priority: Priority, until_ns: int, *, last: bool = False) -> Secret:
        self._rpc.paced(AUTH, Priority.CANCEL if priority is Priority.CANCEL else Priority.WRITE, until_ns=until_ns)
        asked_ns = self._clock.monotonic_ns()
        request_id, ending = self._asked(signer)
        match ending:
            case Answered():
                pass
            case NotWritten() | Written():
                raise Again(VenueUnreachable(f"{AUTH}: {ending.detail}"))
            case GateClosed():
                raise AssertionError("no gate was given")
        try:
            reply = self._rpc.reply(ending, request_id, accounts.Login)
        except VenueSpokeStrangely as strange:
            raise self._rpc.unanswered(AUTH, ending, strange) from None
        if reply.error is not None:
            refusal = self._refusal(ending, reply.error)
            raise refusal if last or not _of_the_key(refusal) else _RefusedOnce
        return self._kept(reply.result, asked_ns)

    def _asked(self, signer: Signer) -> tuple[int, Ending]:
        """Posts a fresh JWT. It lives in this frame only, which raises nothing."""
        grant = signer.grant(now=self._clock.now(), ttl=READ_TTL, nonce=self._ids.nonce())
        return self._rpc.post(AUTH, {"grant_type": GRANT, "token": grant}, None)

    def _kept(self, result: accounts.Login | None, asked_ns: int) -> Secret:
        """Keeps the token, judged before it is: a session of no length, or without a token, is no session."""
        if result is None or not isinstance(result.access_token, str) or not _TOKEN.fullmatch(result.access_token):
            raise Again(VenueSpokeStrangely(f"{AUTH}: the answer holds no token"))
        if not isinstance(result.expires_in, int) or result.expires_in <= 0:
            raise Again(VenueSpokeStrangely(f"{AUTH}: the answer does not say how long the token lives"))
        life = min(result.expires_in, LIFE_MAX_S)
        self._renew_ns = asked_ns + life * _SECOND_NS * RENEW_AT_PERCENT // 100
        self.scope = _scope_of(result.scope)
        self._token = Secret(result.access_token)
        return self._token

    def _refusal(self, answer: Answered, error: RpcError) -> Exception:
        """Why there is no session. A login refused here is about the key or the clock."""
        if error_fact(error.code, error.message).for_reads is not ErrorClass.LOGIN:
            return failure_of(AUTH, error, full_refill=self._rpc.minded(error))
        hint = clock_hint(answer)
        if hint:
            return VenueRefusedUs(
                f"{AUTH}: {hint}", cause=RefusalCause.CLOCK, fix="start the host's time service, then repeat"
            )
        return VenueRefusedUs(f"{AUTH}: the key was refused ({words_of(error)})", cause=RefusalCause.KEY)


class _RefusedOnce(Exception):
    """A first login was refused for its key."""


def _of_the_key(refusal: Exception) -> bool:
    return isinstance(refusal, VenueRefusedUs) and refusal.cause is RefusalCause.KEY


def _scope_of(text: object) -> tuple[str, ...]:
    return tuple(shown(word, 80) for word in text.split()[:_SCOPES_MAX]) if isinstance(text, str) else ()
