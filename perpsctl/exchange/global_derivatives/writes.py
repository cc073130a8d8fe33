"""Orders, edits and closes: sent once, and what became of them said no stronger than it is known.

Which answer proves what (coinbase-global-derivatives.md sections 5, 8 and 9, 2026-11-22; reliability N4 to N28). The body
is judged, not the HTTP status:

    nothing written, gate shut, no session or clock      NotSent   proven here
    result under our id, echo agrees                     Accepted  also when it is cancelled or filled already
    result whose order is `rejected`                     Rejected  final at the venue
    result that differs from what was sent               Unknown   and an alarm: a clamped price is another price (H10)
    error of class A, incl. `timed_out`, 10028, 10041    NotSent   the engine never started it
    error of class B                                     Rejected  the venue's own word
    error of class D after one renewal, or E             Rejected  with the cause named
    error of class F                                     Rejected  of an edit: the order is final; else Unknown
    error of class C, unknown code, 10004 and 10029      Unknown
    no JSON-RPC reply under our id, everything else      Unknown   HTML, 5xx, resets, timeouts, another's answer

Nothing is sent again by itself but a write the venue refused with 13004, 13009 or 10000 under our id, once, with a new
session (`link`). A label is used once: the venue does not deduplicate.
"""

from collections import OrderedDict
from collections.abc import Callable
from decimal import Decimal
from typing import assert_never

from perpsctl.domain.errors import PerpsctlError
from perpsctl.domain.ids import ProductId, client_order_id
from perpsctl.domain.market import PriceLimits
from perpsctl.domain.numbers import plain
from perpsctl.domain.orders import (
    Accepted,
    ApprovedEdit,
    ApprovedOrder,
    NotSent,
    OrderType,
    Rejected,
    Road,
    SubmitOutcome,
    Unknown,
    VenueOrder,
)
from perpsctl.domain.ports import Gate
from perpsctl.domain.sameness import drawn_in
from perpsctl.exchange.echo import terms_apart
from perpsctl.exchange.endings import another_order, impossible, without_reply
from perpsctl.exchange.global_derivatives.faults import stop_of, words_of
from perpsctl.exchange.global_derivatives.guards import check_edit, check_order
from perpsctl.exchange.global_derivatives.link import Garbled, Link, NotReady, Told
from perpsctl.exchange.global_derivatives.readiness import Readiness
from perpsctl.exchange.global_derivatives.rpc import Params
from perpsctl.exchange.transport import Answered, GateClosed, NotWritten, Written
from perpsctl.wire.global_derivatives import convert_orders, requests, trading
from perpsctl.wire.global_derivatives.errors import ErrorClass, error_fact
from perpsctl.wire.global_derivatives.rpc import RpcError
from perpsctl.wire.guard import WireError

__all__ = ["Writes"]

LABELS_MAX = 20_000

Judge = Callable[[trading.OrderAndTrades, Answered, str], SubmitOutcome]


class Writes:
    """The write methods of one key."""

    def __init__(self, link: Link, ready: Readiness, limits: Callable[[ProductId], PriceLimits | None]) -> None:
        self._link = link
        self._limits = limits
        self._ready = ready
        self._labels: OrderedDict[str, None] = OrderedDict()  # sent by this process; the oldest go first

    def submit(self, approved: ApprovedOrder, gate: Gate) -> SubmitOutcome:
        try:
            check_order(approved, self._limits(approved.order.product_id))
            self._ready.for_order(entry=approved.order.intent.road is Road.ENTRY)
        except PerpsctlError as refused_here:
            return impossible(refused_here)
        if approved.client_order_id in self._labels:
            return NotSent(
                reason="label_used", evidence="this label was sent before, and the venue does not deduplicate"
            )
        self._labels[approved.client_order_id] = None
        if len(self._labels) > LABELS_MAX:
            self._labels.popitem(last=False)

        def judge(result: trading.OrderAndTrades, answer: Answered, evidence: str) -> SubmitOutcome:
            return self._placed(result, approved, answer, evidence)

        def params() -> Params:
            return requests.order_params(
                approved.order, approved.client_order_id, valid_until=self._ready.valid_until_ms()
            )

        return self._send(requests.method_of(approved.order.side), params, gate, judge)

    def submit_edit(self, approved: ApprovedEdit, gate: Gate) -> SubmitOutcome:
        try:
            check_edit(approved.edit.product, approved.edit.new_price)
            self._ready.for_order(entry=False)
        except PerpsctlError as refused_here:
            return impossible(refused_here)

        def judge(result: trading.OrderAndTrades, answer: Answered, evidence: str) -> SubmitOutcome:
            return self._edited(result, approved, answer, evidence)

        return self._send(
            "private/edit",
            lambda: requests.edit_params(approved.edit, valid_until=self._ready.valid_until_ms()),
            gate,
            judge,
            edit=True,
        )

    def close_position(self, approved: ApprovedOrder, gate: Gate) -> SubmitOutcome:
        """A close without a price bound: a market order that can only reduce, under its label and with its end.

        The venue's own `private/close_position` takes neither, so what became of it could not be found out (reference
        section 8.1, 2026-11-22).
        """
        intent = approved.order.intent
        if intent.type is not OrderType.MARKET or not intent.reduce_only:
            return NotSent(reason="not_a_close", evidence="a close without a bound is a market order that only reduces")
        return self.submit(approved, gate)

    # --- what the answer says -----------------------------------------------------------------------------

    def _placed(
        self, result: trading.OrderAndTrades, approved: ApprovedOrder, answer: Answered, evidence: str
    ) -> SubmitOutcome:
        order = approved.order
        body = _body_of(result)
        if body.instrument_name != order.product_id:
            return another_order(["product"], evidence)
        found = convert_orders.order_from(body, {order.product_id: order.product.contract_size}, answer.asked)
        priced = order.intent.type is not OrderType.MARKET
        against = list(terms_apart(found, order, approved.client_order_id, priced=priced))
        if order.intent.reduce_only and body.reduce_only is not True:
            against.append("reduce-only")
        if against == ["price"] and drawn_in(order.intent, found.limit_price, order.limit_price):
            evidence = f"{evidence}; the venue's price limits made it {plain(found.limit_price or Decimal(0))}"
        elif against:
            return another_order(against, evidence)
        return self._stands(body, found, answer, evidence)

    def _edited(
        self, result: trading.OrderAndTrades, approved: ApprovedEdit, answer: Answered, evidence: str
    ) -> SubmitOutcome:
        edit = approved.edit
        body = _body_of(result)
        if body.instrument_name != edit.product_id:
            return another_order(["product"], evidence)
        found = convert_orders.order_from(body, {edit.product_id: edit.product.contract_size}, answer.asked)
        apart = {
            "order id": found.venue_order_id != edit.intent.venue_order_id,
            "label": found.client_order_id != client_order_id(edit.intent.target),
            "side": found.side is not edit.side,
            "size": found.size != edit.new_size,
            "price": found.limit_price != edit.new_price,
            "post-only": found.post_only is not None and found.post_only is not edit.post_only,
            "reduce-only": body.reduce_only is not True and edit.reduce_only,
        }
        against = [name for name, differs in apart.items() if differs]
        return another_order(against, evidence) if against else self._stands(body, found, answer, evidence)

    def _stands(self, body: trading.Order, found: VenueOrder, answer: Answered, evidence: str) -> SubmitOutcome:
        if body.order_state == "rejected":
            return Rejected(
                reason=found.reason or "rejected", message="the venue rejected the order", evidence=evidence
            )
        latency_us = (self._link.clock.monotonic_ns() - answer.sent_ns) // 1000
        return Accepted(venue_order_id=found.venue_order_id, order=found, evidence=evidence, latency_us=latency_us)

    # --- sending -------------------------------------------------------------------------------------------

    def _send(
        self, method: str, params: Callable[[], Params], gate: Gate, judge: Judge, *, edit: bool = False
    ) -> SubmitOutcome:
        ending = self._link.write(method, params, trading.OrderAndTrades, gate)
        match ending:
            case NotReady():
                return NotSent(reason=ending.reason, evidence=f"no byte was sent: {ending.detail}")
            case GateClosed() | NotWritten() | Written():
                return without_reply(ending)
            case Garbled():
                return Unknown(reason="no_reply_to_it", evidence=ending.detail)
            case Told():
                return self._judged(ending, judge, edit=edit)
            case _:
                assert_never(ending)

    def _judged(self, told: Told[trading.OrderAndTrades], judge: Judge, *, edit: bool) -> SubmitOutcome:
        reply, answer = told.reply, told.answer
        evidence = f"reply {reply.id}" + (f", request {answer.request_id}" if answer.request_id else "")
        if reply.error is not None:
            return refused(reply.error, evidence, edit=edit)
        assert reply.result is not None  # the reader lets exactly one of the two through
        try:
            outcome = judge(reply.result, answer, evidence)
        except WireError as unreadable:
            outcome = Unknown(reason="the answer cannot be read", evidence=f"{evidence}: {unreadable}")
        if isinstance(outcome, Unknown):
            self._link.rpc.transport.forget_connections()  # N17: what else is on that connection is not ours either
        return outcome


def refused(error: RpcError, evidence: str, *, edit: bool) -> SubmitOutcome:
    """What a refusal proves about a write; the table stands at the top of the file."""
    fact = error_fact(error.code, error.message)
    words = words_of(error)
    match fact.for_writes:
        case ErrorClass.REPEAT:
            return NotSent(reason=fact.name, evidence=f"{evidence}: {words}: the venue did not execute it")
        case ErrorClass.REFUSED:
            return Rejected(reason=fact.name, message=words, evidence=evidence)
        case ErrorClass.LOGIN:
            message = f"{words}: refused again with a new session; look at the key"
            return Rejected(reason=fact.name, message=message, evidence=evidence)
        case ErrorClass.STOP:
            stop = stop_of(error)
            message = words if stop is None else f"{words}: {stop.what}; {stop.fix}"
            return Rejected(reason=fact.name, message=message, evidence=evidence)
        case ErrorClass.FINAL:
            if edit:
                return Rejected(reason=fact.name, message=f"{words}: the order is final", evidence=evidence)
            return Unknown(reason=fact.name, evidence=f"{evidence}: {words}: no answer to a new order")
        case ErrorClass.UNKNOWN:
            return Unknown(reason=fact.name, evidence=f"{evidence}: {words}: it may have run")
        case _:
            assert_never(fact.for_writes)


def _body_of(result: trading.OrderAndTrades) -> trading.Order:
    if not isinstance(result.order, trading.Order):
        raise WireError("no order in the answer")
    return result.order
