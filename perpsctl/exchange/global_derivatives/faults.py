"""A refusal of the gateway as one of our errors, for reads and cancels. Writes are judged in `writes`. Pure.

What the venue says is shown escaped, cut, and without anything that could be a token: it may echo credentials in the text
of an error (reference section 3, 2026-11-22).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from perpsctl.domain.errors import (
    RateLimited,
    RefusalCause,
    VenueRefusedRequest,
    VenueRefusedUs,
    VenueUnreachable,
)
from perpsctl.domain.text import shown
from perpsctl.exchange.retrying import Again
from perpsctl.wire.global_derivatives.errors import ErrorClass, error_fact
from perpsctl.wire.global_derivatives.rpc import RpcError

__all__ = ["EXHAUSTED", "STOPS", "Stop", "failure_of", "refusal_of", "said", "stop_of"]

EXHAUSTED = 10028
_WAIT_MAX = timedelta(seconds=60)
_SECRET_LIKE = re.compile(r"[A-Za-z0-9_+/=.\-]{32,}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """What a refusal of class E is about, and what somebody has to do."""

    cause: RefusalCause
    what: str
    fix: str


_ASK = "open orders and positions stay as they are; ask the venue, then run `perpsctl probe`"
_GRANT = "give the key that permission, or use another key"
_LIST = "put this host's outgoing address on the key's list at the venue"
_FORBIDDEN = 13021  # a missing right and an address off the key's list alike (reference section 5 and A4, 2026-11-22)
_ADDRESS_WORDS = re.compile(r"\b(ip|address|allow ?list|white ?list)", re.IGNORECASE)
_RIGHT_WORDS = re.compile(r"\b(scope|permission|right)", re.IGNORECASE)
STOPS: Mapping[int, Stop] = MappingProxyType(
    {
        9999: Stop(
            cause=RefusalCause.PERMISSION,
            what="the account is not enabled for Global Derivatives",
            fix="have it enabled",
        ),
        10019: Stop(cause=RefusalCause.UNKNOWN, what="trading is locked by the venue", fix=_ASK),
        10049: Stop(
            cause=RefusalCause.UNKNOWN, what="cancel on disconnect is not armed", fix="do not trade as if it were"
        ),
        13042: Stop(
            cause=RefusalCause.UNKNOWN, what="cancel on disconnect is not armed", fix="do not trade as if it were"
        ),
        11042: Stop(cause=RefusalCause.PERMISSION, what="the key lacks a permission this needs", fix=_GRANT),
        11098: Stop(cause=RefusalCause.UNKNOWN, what="the account is locked", fix=_ASK),
        13002: Stop(cause=RefusalCause.UNKNOWN, what="the account is blocked", fix=_ASK),
        _FORBIDDEN: Stop(
            cause=RefusalCause.UNKNOWN,
            what="this key may not do this, or not from this address; the venue does not tell which",
            fix=f"{_LIST}, and {_GRANT}",
        ),
        13025: Stop(cause=RefusalCause.UNKNOWN, what="the venue has switched this method off", fix=_ASK),
        13403: Stop(cause=RefusalCause.PERMISSION, what="the key's scope does not cover this", fix=_GRANT),
    }
)


def said(text: str) -> str:
    """The venue's words, safe to show: escaped, cut, and long unbroken runs (tokens, key names) left out."""
    return shown(_SECRET_LIKE.sub("(left out)", text[:400]), 120)


def words_of(error: RpcError) -> str:
    """Code, message and reason of a refusal in one phrase."""
    more = f" ({said(error.reason)})" if error.reason else ""
    return f"{error.code} {said(error.message)}{more}"


def stop_of(error: RpcError) -> Stop | None:
    """What a refusal is about; of one that may mean two things, which of them where its text tells. None: of no class E."""
    stop = STOPS.get(error.code)
    told = f"{error.message} {error.reason}"
    address, right = _ADDRESS_WORDS.search(told), _RIGHT_WORDS.search(told)
    if error.code != _FORBIDDEN or bool(address) == bool(right):
        return stop
    if address:
        return Stop(cause=RefusalCause.ADDRESS, what="the key may not be used from this address", fix=_LIST)
    return Stop(cause=RefusalCause.PERMISSION, what="the key may not do this", fix=_GRANT)


def refusal_of(method: str, error: RpcError) -> VenueRefusedUs:
    """A refusal of class E or D as an error that names its cause."""
    stop = stop_of(error)
    words = f"{method}: {words_of(error)}"
    if stop is None:
        return VenueRefusedUs(f"{words}: the session was refused", cause=RefusalCause.KEY)
    return VenueRefusedUs(f"{words}: {stop.what}", cause=stop.cause, fix=stop.fix)


def failure_of(method: str, error: RpcError, *, full_refill: timedelta) -> Exception:
    """What to raise for this refusal of a read: `Again` around the error where another try can help."""
    words = f"{method}: {words_of(error)}"
    fact = error_fact(error.code, error.message)
    if error.code == EXHAUSTED:
        asked = error.retry_after_ms
        wait = full_refill if asked is None else min(timedelta(milliseconds=asked), _WAIT_MAX)
        return Again(RateLimited(f"{method}: the venue's request budget is used up (10028)"), asked_wait=wait)
    match fact.for_reads:
        case ErrorClass.REPEAT | ErrorClass.UNKNOWN:
            return Again(VenueUnreachable(words))
        case ErrorClass.LOGIN:
            return Again(refusal_of(method, error), once=True)
        case ErrorClass.STOP:
            return refusal_of(method, error)
        case ErrorClass.REFUSED | ErrorClass.FINAL:
            return VenueRefusedRequest(words, reason=fact.name)
