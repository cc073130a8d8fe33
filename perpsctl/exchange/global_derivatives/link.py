"""The road to the gateway for one key: reads repeat, writes are sent once, the session is renewed where it must be.

A read ends as a decoded result or one error of the tree in `domain.errors`. A write ends as plain facts for `writes` to
judge. The one repeat of a write is after the venue's own parsed 13004, 13009 or 10000 under our id, which prove that it
was not executed (reference sections 3 and 5, 2026-11-22).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from perpsctl.domain.errors import PerpsctlError, VenueSpokeStrangely
from perpsctl.domain.ids import Ids
from perpsctl.domain.ports import Clock, Gate
from perpsctl.exchange.credentials import Secret
from perpsctl.exchange.endings import Got, answered
from perpsctl.exchange.global_derivatives.faults import failure_of
from perpsctl.exchange.global_derivatives.rpc import Params, Rpc
from perpsctl.exchange.global_derivatives.session import Session
from perpsctl.exchange.pacing import Priority
from perpsctl.exchange.retrying import CANCELS, READS, Again, RetryPolicy, in_time, repeat
from perpsctl.exchange.transport import Answered, GateClosed, NotWritten, Written
from perpsctl.wire.global_derivatives.errors import ErrorClass, error_fact
from perpsctl.wire.global_derivatives.rpc import Reply, RpcError

__all__ = ["Garbled", "Link", "NotReady", "Told", "WriteEnding"]

_MICROSECOND = timedelta(microseconds=1)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class NotReady:
    """The write never left us: no session, no budget, no clock to bound it with."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told(Generic[T]):
    """The venue's reply to a write, parsed and ours by its id."""

    reply: Reply[T]
    answer: Answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbled:
    """An answer from which nothing may be concluded."""

    detail: str


WriteEnding = Told[T] | Garbled | GateClosed | NotWritten | Written | NotReady


class Link:
    """One key at the gateway, or none for public reads."""

    def __init__(
        self,
        rpc: Rpc,
        session: Session,
        clock: Clock,
        ids: Ids,
        *,
        reads: RetryPolicy = READS,
        cancels: RetryPolicy = CANCELS,
    ) -> None:
        self.rpc = rpc
        self.session = session
        self.clock = clock
        self._ids = ids
        self._reads = reads
        self._cancels = cancels

    def read(
        self,
        method: str,
        params: Params,
        kind: type[T],
        *,
        priority: Priority = Priority.READ,
    ) -> Got[T]:
        """The result, asked for again while that can help; one of our errors otherwise, never nothing."""
        policy = self._cancels if priority is Priority.CANCEL else self._reads
        return repeat(
            lambda until_ns: self._attempt(method, params, kind, priority, until_ns), policy, self.clock, self._ids
        )

    def _attempt(self, method: str, params: Params, kind: type[T], priority: Priority, until_ns: int) -> Got[T]:
        token = self.session.token(priority, until_ns=until_ns) if method.startswith("private/") else None
        in_time(self.clock, until_ns)  # a login may have used up what there was
        self.rpc.paced(method, priority, until_ns=until_ns)
        request_id, ending = self.rpc.post(method, params, None if token is None else token.reveal())
        answer = answered(ending, method)
        try:
            reply = self.rpc.reply(answer, request_id, kind)
        except VenueSpokeStrangely as strange:
            raise self.rpc.unanswered(method, answer, strange) from None
        if reply.error is not None:
            raise failure_of(method, reply.error, full_refill=self._minded(reply.error, token))
        assert reply.result is not None  # the reader lets exactly one of the two through
        return Got(body=reply.result, answer=answer)

    def write(self, method: str, params: Callable[[], Params], kind: type[T], gate: Gate) -> WriteEnding[T]:
        """Send a write once. Never raises. `params` is asked when the budget let it through, so its expiry is fresh."""
        ending = self._sent(method, params, kind, gate)
        if isinstance(ending, Told) and ending.reply.error is not None:
            error = ending.reply.error
            if error_fact(error.code, error.message).for_writes is ErrorClass.LOGIN:
                return self._sent(method, params, kind, gate)
        return ending

    def _sent(self, method: str, params: Callable[[], Params], kind: type[T], gate: Gate) -> WriteEnding[T]:
        until_ns = self.clock.monotonic_ns() + self.rpc.transport.timing.total // _MICROSECOND * 1000
        try:
            token = self.session.token(Priority.WRITE, until_ns=until_ns)
            self.rpc.paced(method, Priority.WRITE, until_ns=until_ns)
            ready = params()
        except Again as failed:
            return NotReady(reason=failed.error.code, detail=failed.error.message)
        except PerpsctlError as failed:
            return NotReady(reason=failed.code, detail=failed.message)
        request_id, ending = self.rpc.post(method, ready, token.reveal(), gate=gate)
        if not isinstance(ending, Answered):
            return ending
        try:
            reply = self.rpc.reply(ending, request_id, kind, strict=True)
        except PerpsctlError as strange:
            return Garbled(detail=strange.message)
        if reply.error is not None:
            self._minded(reply.error, token)
        return Told(reply=reply, answer=ending)

    def _minded(self, error: RpcError, token: Secret | None) -> timedelta:
        """What a refusal means for the next request, whoever asks it. How long a full refill of our budget takes."""
        if token is not None and error_fact(error.code, error.message).for_reads is ErrorClass.LOGIN:
            self.session.refused(token)
        return self.rpc.minded(error)
