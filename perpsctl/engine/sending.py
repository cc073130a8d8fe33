"""The one place that hands an approved order to the venue: decide, send once, record. Nothing is ever sent twice.

The intent is durable before the first byte (I2); the gate is looked at by the transport after signing (R1). With a broken
journal only the exit road goes on, and only when its intent is durable in the spool beside the latch (design 5, exits).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Final, Protocol

from perpsctl.domain.accounts import Booked
from perpsctl.domain.errors import JournalUnavailable
from perpsctl.domain.ids import IntentId
from perpsctl.domain.numbers import Size
from perpsctl.domain.orders import (
    Accepted,
    ApprovedOrder,
    EditIntent,
    NotSent,
    OrderIntent,
    QuantizedEdit,
    QuantizedOrder,
    Rejected,
    Road,
    SubmitOutcome,
    Unknown,
)
from perpsctl.domain.ports import (
    KILL_SWITCH_ENGAGED,
    Clock,
    Diagnostics,
    EventKind,
    Gate,
    GateShut,
    Halts,
    Journal,
    Known,
    Venue,
)
from perpsctl.domain.verdicts import Approved, ApprovedChange, Denial, DenialCode, Denied
from perpsctl.engine.resolver import Resolver

APPROVAL_MAX_AGE: Final = timedelta(
    seconds=5
)  # a process held up longer between verdict and first byte starts over (P3, P11)
APPROVAL_EXPIRED: Final = "approval_expired"

Judge = Callable[[Booked], Approved | Denied]
EditJudge = Callable[[Booked], ApprovedChange | Denied]


class ExitSpool(Protocol):
    """Where exit intents go when the journal is broken; durable when a method returns, JournalUnavailable otherwise."""

    def keep_decision(
        self, intent: OrderIntent | EditIntent, sent_size: Size, verdict: Approved | ApprovedChange
    ) -> None: ...

    def keep_outcome(self, intent_id: IntentId, outcome: SubmitOutcome) -> None: ...


class OutcomeUnrecorded(JournalUnavailable):
    """The send ended and the journal did not take its outcome: told here, and the order stays in doubt."""

    code = "outcome_unrecorded"

    def __init__(self, intent_id: IntentId, outcome: SubmitOutcome, cause: JournalUnavailable) -> None:
        super().__init__(
            f"intent {intent_id} ended as {outcome_text(outcome)}, and the journal did not record it: {cause.message}",
            fix="repair the journal, then run `perpsctl reconcile`: until then the order counts as in doubt",
        )
        self.intent_id = intent_id
        self.outcome = outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The send ended with this outcome, recorded; `notes` are the verdict's and what went wrong beside it."""

    outcome: SubmitOutcome
    notes: tuple[str, ...] = ()


class Sender:
    """Takes quantized orders through verdict, journal and venue, each exactly once."""

    def __init__(
        self,
        *,
        venue: Venue,
        journal: Journal,
        halts: Halts,
        clock: Clock,
        resolver: Resolver,
        diagnostics: Diagnostics,
        spool: ExitSpool | None = None,
    ) -> None:
        self._venue = venue
        self._journal = journal
        self._halts = halts
        self._clock = clock
        self._resolver = resolver
        self._diagnostics = diagnostics
        self._spool = spool

    def send(self, order: QuantizedOrder, judge: Judge, *, unbounded: bool = False) -> Denied | Known | Sent:
        """Judge, commit, send once, record. Raises JournalUnavailable before the send, OutcomeUnrecorded after it."""
        judged = _Judged(self._clock)
        verdict = self._journal.decide(order.intent, order.size, judge)  # step: decide
        if not isinstance(verdict, Approved):
            return verdict
        outcome = self._submit(verdict.order, judged, unbounded=unbounded)  # step: submit
        self._record(order.intent.id, outcome)
        return Sent(outcome=outcome, notes=verdict.notes)

    def send_edit(self, edit: QuantizedEdit, judge: EditJudge) -> Denied | Known | Sent:
        """The same for an edit."""
        judged = _Judged(self._clock)
        verdict = self._journal.decide_edit(edit.intent, edit.new_size, judge)  # step: decide_edit
        if not isinstance(verdict, ApprovedChange):
            return verdict
        outcome = self._venue.submit_edit(verdict.edit, _TimelyGate(self._halts.gate(), judged))  # step: submit_edit
        self._record(edit.intent.id, outcome)
        return Sent(outcome=outcome, notes=verdict.notes)

    def send_spooled(
        self,
        order: QuantizedOrder,
        judge: Callable[[], Approved | Denied],
        *,
        broken: JournalUnavailable,
        unbounded: bool = False,
    ) -> Denied | Sent:
        """An exit with a broken journal: its intent is durable in the spool before the send. `broken` is why."""
        if self._spool is None or order.intent.road is Road.ENTRY:
            raise broken
        judged = _Judged(self._clock)
        verdict = judge()
        if isinstance(verdict, Denied):
            return verdict
        self._spool.keep_decision(order.intent, order.size, verdict)  # step: spool_intent
        outcome = self._submit(verdict.order, judged, unbounded=unbounded, spooled=True)  # step: submit_spooled
        self._resolver.watched(order.intent.id, self._clock.now())
        notes = (f"the journal is broken ({broken.message}); this exit is in the spool", *verdict.notes)
        try:
            self._spool.keep_outcome(order.intent.id, outcome)  # step: spool_outcome
        except JournalUnavailable as error:
            notes += (f"its outcome could not be spooled: {error.message}",)
        return Sent(outcome=outcome, notes=notes)

    def _submit(
        self, approved: ApprovedOrder, judged: "_Judged", *, unbounded: bool, spooled: bool = False
    ) -> SubmitOutcome:
        on_switch_road = approved.order.intent.road is Road.SWITCH
        gate = _TimelyGate(self._halts.gate(switch_road=on_switch_road, spooled=spooled), judged)
        if unbounded:
            return self._venue.close_position(approved, gate)
        return self._venue.submit(approved, gate)

    def _record(self, intent_id: IntentId, outcome: SubmitOutcome) -> None:
        self._resolver.watched(intent_id, self._clock.now())
        try:
            self._journal.record_outcome(intent_id, outcome)  # step: record_outcome
            if isinstance(outcome, Unknown) and outcome.alarm:
                self._diagnostics.alarm("reply_contradicts_request", intent_id=intent_id, reason=outcome.reason)
                payload = {"alarm": "reply_contradicts_request", "reason": outcome.reason}
                self._journal.record_event(EventKind.ALARM, payload, intent_id)
            if not isinstance(outcome, Unknown):
                self._resolver.ended(intent_id)
        except JournalUnavailable as error:
            self._diagnostics.alarm("outcome_unrecorded", intent_id=intent_id, outcome=outcome_text(outcome))
            raise OutcomeUnrecorded(intent_id, outcome, error) from error


class _Judged:
    """The moment a verdict was asked for, by both clocks: the monotonic one may stand still while a host sleeps (P11)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ns = clock.monotonic_ns()
        self._at = clock.now()

    @property
    def too_long_ago(self) -> bool:
        counted = timedelta(microseconds=(self._clock.monotonic_ns() - self._ns) // 1000)
        return max(counted, self._clock.now() - self._at) > APPROVAL_MAX_AGE


class _TimelyGate:
    """The switch's gate, which an approval passes only while it is young.

    Waiting for the request budget, signing and connecting lie between the verdict and the first byte, and a process may be
    stopped anywhere there (P3). The resolver proves absence from the moment after which no approval can leave any more: that
    moment is kept here, at the last look before the first byte, and nowhere earlier.
    """

    def __init__(self, gate: Gate, judged: _Judged) -> None:
        self._gate = gate
        self._judged = judged

    def __enter__(self) -> None:
        self._gate.__enter__()
        if self._judged.too_long_ago:
            self._gate.__exit__(None, None, None)
            held_up = f"held up more than {APPROVAL_MAX_AGE // timedelta(seconds=1)} s after the verdict"
            raise GateShut(f"{held_up}; not one byte was sent", code=APPROVAL_EXPIRED)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gate.__exit__(kind, error, trace)


def gate_refused(outcome: SubmitOutcome) -> Denied | None:
    """The denial an outcome amounts to when the gate was shut; None for every other outcome."""
    if isinstance(outcome, NotSent) and outcome.reason == KILL_SWITCH_ENGAGED:
        return switch_denial(outcome.evidence)
    return None


def switch_denial(detail: str) -> Denied:
    """Denied because the kill switch is engaged, or because nobody can tell."""
    return Denied(
        denials=(Denial(code=DenialCode.KILL_SWITCH_ENGAGED, observed="engaged", limit="released", detail=detail),)
    )


def outcome_text(outcome: SubmitOutcome) -> str:
    """One outcome in a few words for an error or a log."""
    match outcome:
        case Accepted():
            return f"accepted (order {outcome.venue_order_id})"
        case Rejected():
            return f"rejected ({outcome.reason})"
        case NotSent():
            return f"not sent ({outcome.reason})"
        case Unknown():
            return f"unknown ({outcome.reason})"
