"""Orders, edits and closes: sent once, and what became of them said no stronger than it is known.

Which answer proves what (coinbase-advanced-trade.md sections 6 and 9, 2026-11-22; reliability N4 to N28):

    nothing written, gate shut               NotSent   proven here
    200 success:true, echo agrees            Accepted  also with a failure reason beside it (E4)
    200 success:false with a reason          Rejected  any of the three reason fields may tell it (E3)
    400, 403, 404 with a parsed refusal      Rejected  the venue's own words
    401 `Unauthorized`, plain or parsed      Rejected  tokens are checked before anything is executed
    429 in the venue's own shape             NotSent   refused at the door; any other 429 (HTML) is the edge's word: Unknown
    everything else                          Unknown   5xx, redirects, HTML, unreadable or contradicting bodies, resets

A repeat of a client order id places nothing and answers success with the *first* order (section 6.9), and the answer does
not show it. Doubt exists when this process sent that id before, or knew the answered order before it sent: then, and only
then, the order is fetched and compared. A first send under a fresh id has no such doubt.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import assert_never

from perpsctl.domain.errors import PerpsctlError
from perpsctl.domain.ids import VenueOrderId
from perpsctl.domain.orders import (
    Accepted,
    ApprovedEdit,
    ApprovedOrder,
    NotSent,
    Rejected,
    SubmitOutcome,
    Unknown,
    VenueOrder,
)
from perpsctl.domain.ports import Gate
from perpsctl.exchange.advanced_trade.link import Link, clock_hint, is_json
from perpsctl.exchange.echo import terms_apart
from perpsctl.exchange.endings import another_order, impossible, without_reply
from perpsctl.exchange.transport import Answered, GateClosed, NotWritten, Written
from perpsctl.wire.advanced_trade import orders, outcomes, requests
from perpsctl.wire.advanced_trade.faults import ErrorFacts, error_facts
from perpsctl.wire.guard import WireError, decode, encode

__all__ = ["Writes"]

KNOWN_MAX = 20_000  # order and client ids remembered; the oldest go first
UNAUTHORIZED = "Unauthorized"  # the whole body of a 401 (ccxt/ccxt#26300)
# The documented word, and how the backend's own error model spells it.
RATE_LIMIT_CODES = ("rate_limit_exceeded", "RATE_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED")

Judge = Callable[[Answered, str], SubmitOutcome]


@dataclass(frozen=True, slots=True)
class _Doubted:
    """Accepted, but perhaps an order that was there before."""

    accepted: Accepted


class Writes:
    """The write endpoints of one key."""

    def __init__(self, link: Link, fetch: Callable[[VenueOrderId], VenueOrder | None]) -> None:
        self._link = link
        self._fetch = fetch
        self._known: OrderedDict[str, None] = OrderedDict()  # order ids seen and client ids sent

    def note(self, *ids: str) -> None:
        """Remember that these ids existed before whatever is sent next."""
        for each in ids:
            self._known[each] = None
            self._known.move_to_end(each)
        while len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)

    def submit(self, approved: ApprovedOrder, gate: Gate) -> SubmitOutcome:
        try:
            request = requests.create_request(approved.order, approved.client_order_id)
        except PerpsctlError as refused_here:
            return impossible(refused_here)
        outcome = self._create("/orders", request, approved, gate)
        return self._compared(outcome, approved, priced=True)

    def close_position(self, approved: ApprovedOrder, gate: Gate) -> SubmitOutcome:
        try:
            request = requests.close_request(approved.order, approved.client_order_id)
        except PerpsctlError as refused_here:
            return impossible(refused_here)
        outcome = self._create("/orders/close_position", request, approved, gate)
        return self._compared(outcome, approved, priced=False)

    def submit_edit(self, approved: ApprovedEdit, gate: Gate) -> SubmitOutcome:
        try:
            request = requests.edit_request(approved.edit)
        except PerpsctlError as refused_here:
            return impossible(refused_here)

        def judge(answer: Answered, evidence: str) -> SubmitOutcome:
            reply = decode(answer.body, orders.EditOrderReply, unique_keys=True)
            latency = self._latency_us(answer)
            return outcomes.edit_outcome(reply, request, evidence=evidence, latency_us=latency)

        return self._send("/orders/edit", encode(request), gate, judge, named=False)

    def _create(
        self,
        path: str,
        request: orders.CreateOrderRequest | orders.ClosePositionRequest,
        approved: ApprovedOrder,
        gate: Gate,
    ) -> SubmitOutcome | _Doubted:
        """The outcome; wrapped when the acceptance may be of an older order and has to be compared."""

        def judge(answer: Answered, evidence: str) -> SubmitOutcome:
            reply = decode(answer.body, orders.CreateOrderReply, unique_keys=True)
            latency = self._latency_us(answer)
            side = approved.order.side.value.upper()
            return outcomes.create_outcome(reply, request, side=side, evidence=evidence, latency_us=latency)

        sent_before = approved.client_order_id in self._known
        self.note(approved.client_order_id)
        outcome = self._send(path, encode(request), gate, judge)
        if not isinstance(outcome, Accepted):
            return outcome
        known_before = outcome.venue_order_id in self._known
        self.note(outcome.venue_order_id)
        return _Doubted(outcome) if sent_before or known_before else outcome

    def _compared(self, outcome: SubmitOutcome | _Doubted, approved: ApprovedOrder, *, priced: bool) -> SubmitOutcome:
        """Settles an acceptance that may be of an older order by fetching that order (E5)."""
        if not isinstance(outcome, _Doubted):
            return outcome
        accepted = outcome.accepted
        try:
            found = self._fetch(accepted.venue_order_id)
        except PerpsctlError as unread:
            return Unknown(
                reason="the venue may have answered with an older order, which could not be read",
                evidence=f"{accepted.evidence}; {unread.message}",
            )
        if found is None:
            return Unknown(reason="the venue names an order and does not know it", evidence=accepted.evidence)
        against = terms_apart(found, approved.order, approved.client_order_id, priced=priced)
        if against:
            return another_order(against, accepted.evidence)
        evidence = f"{accepted.evidence}; fetched and compared: it was known before this send"
        return replace(accepted, order=found, evidence=evidence)

    def _send(self, path: str, body: bytes, gate: Gate, judge: Judge, *, named: bool = True) -> SubmitOutcome:
        """What became of one write. `named`: an acceptance says whose it is; that of an edit need not."""
        ending = self._link.write(path, body, gate)
        match ending:
            case GateClosed() | NotWritten() | Written():
                return without_reply(ending)
            case Answered():
                return self._judged(ending, judge, named=named)
            case _:
                assert_never(ending)

    def _judged(self, answer: Answered, judge: Judge, *, named: bool) -> SubmitOutcome:
        evidence = f"HTTP {answer.status}" + (f", request {answer.request_id}" if answer.request_id else "")
        if answer.status != 200:
            outcome = _refused(answer, error_facts(answer.body), evidence)
        elif not is_json(answer):
            outcome = Unknown(reason="the answer is no JSON", evidence=evidence)
        else:
            try:
                outcome = judge(answer, evidence)
            except WireError as unreadable:
                outcome = Unknown(reason="the answer cannot be read", evidence=f"{evidence}: {unreadable}")
        if not isinstance(outcome, Accepted) or not named:
            # N17: a refusal names no order. Nothing that follows it on its connection may be taken for the next one's answer;
            # and what follows an answer that was not ours is not ours either.
            self._link.transport.forget_connections()
        return outcome

    def _latency_us(self, answer: Answered) -> int:
        """First byte of the request to its parsed reply (design 10)."""
        return (self._link.clock.monotonic_ns() - answer.sent_ns) // 1000


def _refused(answer: Answered, facts: ErrorFacts, evidence: str) -> SubmitOutcome:
    """What a status other than 200 proves; the table stands at the top of the file."""
    if answer.status == 401 and (facts.parsed or facts.message == UNAUTHORIZED):
        return Rejected(reason="unauthorized", message=clock_hint(answer) or facts.message, evidence=evidence)
    if answer.status == 429 and _rate_limited(facts):
        return NotSent(reason="rate_limited", evidence=f"{evidence}: {facts.code}")
    if answer.status in (400, 403, 404) and facts.parsed:
        return Rejected(reason=facts.code or f"http_{answer.status}", message=facts.message, evidence=evidence)
    reason = "redirect" if 300 <= answer.status < 400 else f"http_{answer.status}"
    return Unknown(reason=reason, evidence=f"{evidence}: nothing can be concluded from it")


def _rate_limited(facts: ErrorFacts) -> bool:
    return facts.parsed and facts.code in RATE_LIMIT_CODES
