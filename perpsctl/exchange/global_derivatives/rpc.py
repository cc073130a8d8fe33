"""One JSON-RPC call over HTTP: paced, posted, matched by its id. What the answer means is `link`'s and `writes`'.

Always POST: order data and tokens stay out of addresses, and no layer repeats a POST by itself (reference section 2,
2026-11-22). The answer is judged by its body, whatever the HTTP status says; a body that is no JSON-RPC reply is a
fault of the transport. An answer with another id than was sent is not ours (N17).
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import TypeVar

from perpsctl.domain.errors import PerpsctlError, RateLimited, VenueSpokeStrangely, VenueUnreachable
from perpsctl.domain.ids import Ids
from perpsctl.domain.ports import Gate
from perpsctl.domain.text import shown
from perpsctl.exchange.answers import is_json
from perpsctl.exchange.global_derivatives.credits import Credits
from perpsctl.exchange.global_derivatives.faults import EXHAUSTED
from perpsctl.exchange.pacing import Priority, retry_after_wait
from perpsctl.exchange.retrying import Again
from perpsctl.exchange.transport import Answered, Ending, Problem, Request, Transport, Written
from perpsctl.wire.global_derivatives import rpc
from perpsctl.wire.global_derivatives.common import Body, JsonValue
from perpsctl.wire.guard import WireError

__all__ = ["PREFIX", "Params", "Rpc"]

PREFIX = "/api/v2/"
_HUNG_UP = (Problem.RESET, Problem.CUT_SHORT)
_TOO_MANY = 429  # of the edge in front of the gateway, which speaks HTTP; the gateway itself says 10028

Params = Mapping[str, JsonValue] | Body
T = TypeVar("T")


class Rpc:
    """Posts requests and reads replies; ids start at a random number, so no two processes share them."""

    def __init__(self, transport: Transport, budget: Credits, ids: Ids) -> None:
        self.transport = transport
        self.credits = budget
        self._next_id = int(ids.nonce()[:12], 16)

    def post(self, method: str, params: Params, token: str | None, *, gate: Gate | None = None) -> tuple[int, Ending]:
        """The id it was sent under and how it ended. An unexplained close empties our budget as 10028 does."""
        self._next_id += 1
        request_id = self._next_id
        target = PREFIX + method
        body = rpc.encode_request(method, params, request_id)
        request = Request(method="POST", path=target, target=target, body=body)
        ending = self.transport.exchange(request, token, gate=gate)
        if isinstance(ending, Written) and ending.problem in _HUNG_UP:
            self.credits.exhausted()
        return request_id, ending

    def paced(self, method: str, priority: Priority, *, until_ns: int) -> None:
        """Returns when this method may be asked; RateLimited when that is too late."""
        self.credits.take(method, priority, until_ns=until_ns)

    def minded(self, error: rpc.RpcError) -> timedelta:
        """What a refusal means for whoever asks next: after 10028 the session is closed and every bucket starts empty.

        How long a full refill takes.
        """
        if error.code == EXHAUSTED:
            self.transport.forget_connections()
            self.credits.exhausted()
        return self.credits.full_refill

    def reply(self, answer: Answered, request_id: int, kind: type[T], *, strict: bool = False) -> rpc.Reply[T]:
        """The reply to that request; VenueSpokeStrangely for anything else. `strict` wants the id itself told (writes)."""
        if not is_json(answer):
            raise self._strange(f"no JSON ({shown(answer.header('content-type'), 60)})", answer)
        try:
            reply = rpc.decode_reply(answer.body, kind)
        except WireError as refused:
            problem = str(refused)
        else:
            if reply.id == request_id or (reply.id is None and not strict):
                return reply
            problem = "the answer belongs to another request"
        raise self._strange(problem, answer)

    def unanswered(self, method: str, answer: Answered, strange: VenueSpokeStrangely) -> Again:
        """What an answer without a reply in it says by its status, for whoever may ask again."""
        error: PerpsctlError = VenueSpokeStrangely(f"{method}: {strange.message}")
        wait = None
        if answer.status == _TOO_MANY:
            error = RateLimited(f"{method}: the venue's rate limit is used up (HTTP 429)")
            wait = retry_after_wait(answer.header("retry-after"), answer.arrived)
        elif answer.status >= 500:
            error = VenueUnreachable(f"{method}: the venue answered HTTP {answer.status}")
        return Again(error, asked_wait=wait)

    def _strange(self, problem: str, answer: Answered) -> VenueSpokeStrangely:
        self.transport.forget_connections()  # what else is on that connection may not be ours either
        if answer.status == _TOO_MANY:
            self.credits.exhausted()
        return VenueSpokeStrangely(f"HTTP {answer.status}: {problem}")
