"""The fault catalogue as data: what can go wrong, when it fires, and how often it has.

Wire-level faults are `Effect`s that the faces interpret; exchange-level faults are asked for inside the core. This
room decides only *whether* a fault fires; it never touches an order or a socket. Ids are those of the project's fault
catalogue (N, E, A rows).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class EffectKind(StrEnum):
    """What a face does to a request or its answer."""

    HTTP_429 = "http_429"  # retry_after: seconds|date|past|negative|day_ahead|none, seconds: N, body: json|html
    HTTP_STATUS = "http_status"  # status: 500|502|503|504, when: before|after the core handled it
    REFUSE_CONNECTION = "refuse_connection"  # nothing is read
    DNS_FAILURE = "dns_failure"  # in process only
    RESET = "reset"  # when: during_request|before|after|mid_body
    DELAY = "delay"  # when: before|after, seconds: N; the request is handled exactly once
    DEFER = "defer"  # no answer; the core handles the request `seconds` later (delayed acceptance)
    OTHER_RESPONSE = "other_response"  # the previous answer is sent again in place of this one
    DUPLICATE_RESPONSE = "duplicate_response"  # this answer is written twice on the connection
    SLOW_BODY = "slow_body"  # one byte every interval_ms
    SLOW_READ = "slow_read"  # the request is read at bytes_per_second
    TRUNCATED_BODY = "truncated_body"  # Content-Length is right for the cut body
    EMPTY_BODY = "empty_body"
    WRONG_CONTENT_TYPE = "wrong_content_type"
    HTML_200 = "html_200"
    REDIRECT = "redirect"  # status: 301|302|307|308, target: same|other|loop
    CLOSE_IDLE = "close_idle"  # the kept connection is closed as the next request starts
    BAD_CHUNKS = "bad_chunks"  # form: broken|lying_length
    SLICED = "sliced"  # segments of `bytes` every interval_ms
    CLOCK_OFFSET = "clock_offset"  # seconds: N; the venue's clock differs (A1)
    KEY_EXPIRED = "key_expired"  # 401
    SCOPE_REVOKED = "scope_revoked"  # scope: trade|view; 403
    IP_NOT_ALLOWED = "ip_not_allowed"
    UNAUTHORIZED = "unauthorized"  # 401 now and then
    OTHER_PORTFOLIO = "other_portfolio"
    TRANSFER_RIGHT = "transfer_right"


Value = str | int


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One thing to do to this request. `after` is true when the core handles the request first."""

    fault: str  # catalogue id
    kind: EffectKind
    params: dict[str, Value]

    @property
    def after(self) -> bool:
        """True when the request takes effect at the exchange although the client may never learn it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultState:
    """An armed fault and what became of it."""

    handle: int
    fault: str  # catalogue id
    name: str
    operation: str
    nth: int
    count: int | None
    probability: Decimal | None
    seen: int
    fired: int
    until: datetime | None
    params: dict[str, Value]
    spent: bool


class Faults:
    """Armed faults. One seeded draw per probable fault keeps a run repeatable."""

    def __init__(self, now: Callable[[], datetime]) -> None: ...
    def arm(
        self,
        name: str,  # catalogue id or name
        *,
        operation: str | None = None,  # default: the fault's own; "any", "reads", "writes" or an operation
        nth: int = 1,  # fires from the nth matching request on
        count: int | None = 1,  # how often; None: until disarmed
        probability: Decimal | None = None,
        seed: int = 0,
        for_seconds: int | None = None,
        **params: Value,
    ) -> int: ...
    def disarm(self, handle: int | None = None, name: str | None = None) -> int: ...  # how many; neither given: all
    def armed(self) -> tuple[FaultState, ...]: ...
    def wire_effects(self, operation: str) -> tuple[Effect, ...]: ...  # once per request; counts it
    def exchange_fault(self, fault: str, operation: str) -> dict[str, Value] | None: ...  # core only
    def clock_offset_s(self) -> int: ...  # A1, without counting a request
    def catalogue(self) -> tuple[tuple[str, str, str], ...]: ...  # id, name, what it does
