"""What the venue's replies to writes mean: accepted, refused in its own words, or nothing that can be concluded.

Rejected needs an explicit `success: false` with a reason; acceptance needs `success: true`, an order id and an echo that
contradicts nothing. Everything else is Unknown (I4): never a failure, never a reason to resend.
"""

from collections.abc import Sequence
from typing import Final

from perpsctl.domain.ids import VenueOrderId
from perpsctl.domain.orders import Accepted, CancelResult, Rejected, Unknown
from perpsctl.domain.text import shown
from perpsctl.wire.advanced_trade import configurations, orders, reading
from perpsctl.wire.advanced_trade.common import is_absent
from perpsctl.wire.guard import WireError, number

DUPLICATE_ID: Final = "DUPLICATE_CLIENT_ORDER_ID"
NO_ROW: Final = "the venue's answer has no row for it"
_UNTOLD: Final = (
    "",
    "UNKNOWN_FAILURE_REASON",
    "UNKNOWN_PREVIEW_FAILURE_REASON",
    "UNKNOWN_EDIT_ORDER_FAILURE_REASON",
)
_COMPARED_NUMBERS: Final = ("base_size", "quote_size", "limit_price", "stop_price", "stop_trigger_price")


def create_outcome(
    reply: orders.CreateOrderReply,
    request: orders.CreateOrderRequest | orders.ClosePositionRequest,
    *,
    side: str,
    evidence: str,
    latency_us: int | None = None,
) -> Accepted | Rejected | Unknown:
    """What became of a create or a close, from its HTTP 200 body. `side` is BUY or SELL, as sent or as it must be.

    The echo is compared with the request (H10); a mismatch, or an echo without our client order id, is Unknown with an
    alarm: it may be the answer to somebody else's request (N17). A refusal for a duplicate id proves
    that an order under our id exists, so it is Unknown too. On this venue an accepted reply does not tell a new order
    from a known one (reference 6.9): whoever had a doubt before fetches the order.
    """
    if reply.success is True:
        return _accepted(reply, request, side, evidence, latency_us)
    if reply.success is not False:
        return Unknown(reason="the reply does not say whether the order was taken", evidence=evidence)
    reason, message = failure_of(reply)
    if reason == DUPLICATE_ID:
        return Unknown(reason="the venue holds an order under this id already", evidence=evidence)
    if not reason and not message:
        return Unknown(reason="the reply says no and not why", evidence=evidence)
    if not is_absent(reply.order_id) or isinstance(reply.success_response, orders.OrderSuccess):
        return Unknown(reason="the reply refuses the order and names it", evidence=evidence, alarm=True)
    against = _refuses_another(reply, request)
    if against:
        return Unknown(reason=f"the reply refuses another order: {'; '.join(against)}", evidence=evidence, alarm=True)
    return Rejected(reason=reason or "UNKNOWN_FAILURE_REASON", message=message, evidence=evidence)


def _accepted(
    reply: orders.CreateOrderReply,
    request: orders.CreateOrderRequest | orders.ClosePositionRequest,
    side: str,
    evidence: str,
    latency_us: int | None,
) -> Accepted | Unknown:
    try:
        taken = reading.required(reply.success_response, "success_response")
        found = reading.order_id(taken.order_id)
    except WireError as missing:
        return Unknown(reason=f"the reply takes the order and {missing}", evidence=evidence)
    if is_absent(taken.client_order_id):
        return Unknown(reason="the reply does not carry our client order id", evidence=evidence, alarm=True)
    against = contradictions(reply, request, side)
    if against:
        return Unknown(reason=f"the reply contradicts the request: {'; '.join(against)}", evidence=evidence, alarm=True)
    return Accepted(venue_order_id=found, order=None, evidence=evidence, latency_us=latency_us)


def _refuses_another(
    reply: orders.CreateOrderReply, request: orders.CreateOrderRequest | orders.ClosePositionRequest
) -> list[str]:
    """Where a refusal echoes terms that were not sent (N17): its only echo, as no refusal carries an id (reference 6.1)."""
    echo = reply.order_configuration
    if not isinstance(request, orders.CreateOrderRequest) or not isinstance(echo, configurations.OrderConfiguration):
        return []
    return _terms_apart(echo, request.order_configuration)


def failure_of(reply: orders.CreateOrderReply) -> tuple[str, str]:
    """The telling reason and message of a refusal, escaped; "" for what it does not tell. Any field may tell it."""
    failure = reply.error_response if isinstance(reply.error_response, orders.OrderFailure) else orders.OrderFailure()
    told = (failure.new_order_failure_reason, failure.preview_failure_reason, failure.error, reply.failure_reason)
    details = (failure.error_details, failure.message)
    return _first(told), shown(": ".join(text for text in map(reading.text, reversed(details)) if text))


def _first(words: Sequence[reading.Text]) -> str:
    return next((shown(reading.text(word), 120) for word in words if reading.text(word) not in _UNTOLD), "")


def contradictions(
    reply: orders.CreateOrderReply,
    request: orders.CreateOrderRequest | orders.ClosePositionRequest,
    side: str,
) -> tuple[str, ...]:
    """Where an accepting reply echoes something other than what was sent; parts it does not echo are not compared."""
    taken = reply.success_response
    if not isinstance(taken, orders.OrderSuccess):
        return ("it echoes no order",)
    pairs = (
        ("product", taken.product_id, request.product_id),
        ("side", taken.side, side),
        ("client order id", taken.client_order_id, request.client_order_id),
    )
    found = [
        f"{name} {shown(echoed, 80)} for {shown(sent, 80)}"
        for name, echoed, sent in pairs
        if not is_absent(echoed) and echoed != sent
    ]
    if not isinstance(reply.order_configuration, configurations.OrderConfiguration):
        return tuple(found)
    if isinstance(request, orders.CreateOrderRequest):
        found += _terms_apart(reply.order_configuration, request.order_configuration)
    return tuple(found)


def _terms_apart(echo: configurations.OrderConfiguration, sent: object) -> list[str]:
    if not isinstance(sent, configurations.OrderConfiguration) or not any(echo.variants()):
        return []
    echoed, meant = echo.chosen(), sent.chosen()
    if echoed is None or meant is None or echoed[0] != meant[0]:
        return ["another order configuration"]
    return [
        name.replace("_", " ")
        for name in _COMPARED_NUMBERS
        if not _same_number(getattr(echoed[1], name), getattr(meant[1], name))
    ] + [
        name.replace("_", " ")
        for name in ("post_only", "stop_direction")
        if not is_absent(getattr(echoed[1], name)) and getattr(echoed[1], name) != getattr(meant[1], name)
    ]


def _same_number(echoed: object, sent: object) -> bool:
    """True when nothing is echoed or the same value is, however it is written."""
    if is_absent(echoed):
        return True
    try:
        return not is_absent(sent) and number(echoed) == number(sent)
    except WireError:
        return False


def edit_outcome(
    reply: orders.EditOrderReply, request: orders.EditOrderRequest, *, evidence: str, latency_us: int | None = None
) -> Accepted | Rejected | Unknown:
    """What became of an edit. `success: true` is accepted even beside a list of untold errors (documented example)."""
    reason = edit_failure_of(reply)
    if reply.success is True:
        taken = reply.success_response
        if isinstance(taken, orders.EditSuccess) and taken.order_id not in ("", request.order_id):
            return Unknown(reason="the reply edits another order", evidence=evidence, alarm=True)
        try:
            edited = reading.order_id(request.order_id)
        except WireError as refused:
            return Unknown(reason=str(refused), evidence=evidence)
        return Accepted(venue_order_id=edited, order=None, evidence=evidence, latency_us=latency_us)
    if reply.success is False and reason:
        return Rejected(reason=reason, message="", evidence=evidence)
    return Unknown(reason="the reply does not say whether the edit was taken", evidence=evidence)


def edit_failure_of(reply: orders.EditOrderReply) -> str:
    """The telling reason of a refused edit or edit preview, "" when none is told."""
    failure = reply.error_response if isinstance(reply.error_response, orders.OrderFailure) else orders.OrderFailure()
    told: list[reading.Text] = [failure.edit_failure_reason, failure.preview_failure_reason, failure.error]
    for row in reply.errors or ():
        told += [row.edit_failure_reason, row.preview_failure_reason]
    return _first(told)


def cancel_results(reply: orders.CancelReply, asked: Sequence[VenueOrderId]) -> tuple[CancelResult, ...]:
    """One result per order asked for, in that order. Accepted means queued, not gone (I8).

    WireError for a row of an order nobody asked about or two rows for one: the answer is not to our request.
    """
    rows = reading.required(reply.results, "results")
    reading.no_two_alike((reading.text(row.order_id) for row in rows), "cancel result")
    by_id = {reading.text(row.order_id): row for row in rows}
    if not by_id.keys() <= set(asked):
        raise WireError("the answer cancels an order that was not asked about")
    return tuple(_cancel_result(order, by_id.get(order)) for order in asked)


def _cancel_result(order: VenueOrderId, row: orders.CancelRow | None) -> CancelResult:
    if row is None:
        return CancelResult(venue_order_id=order, accepted=False, reason=NO_ROW)
    accepted = row.success is True
    reason = "" if accepted else shown(reading.text(row.failure_reason), 120)
    return CancelResult(venue_order_id=order, accepted=accepted, reason=reason)
