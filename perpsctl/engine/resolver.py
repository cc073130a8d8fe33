"""Ends doubt by evidence: the order is found, or its absence is proven by the venue's own complete listings (I3, I4).

Never resends anything. Time alone proves nothing; a failed listing proves nothing; a contradiction raises an alarm and
stays in doubt. The journal stays in charge: what is concluded here is recorded before anyone acts on it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from perpsctl.domain.accounts import ServerTime
from perpsctl.domain.errors import UsageError
from perpsctl.domain.ids import IntentId, VenueOrderId
from perpsctl.domain.orders import Accepted, NotSent, OrderIntent, SubmitOutcome, Unknown, VenueOrder
from perpsctl.domain.ports import Clock, Diagnostics, EventKind, Journal, Sighting, Sought, Venue
from perpsctl.domain.products import DoubtTerms
from perpsctl.domain.reports import IntentRecord
from perpsctl.domain.sameness import terms_apart
from perpsctl.domain.text import shown
from perpsctl.engine.allowance import steady
from perpsctl.engine.edit_doubt import EditSearch
from perpsctl.engine.reading import VENUE_ERRORS
from perpsctl.engine.tracking import Tracker

# No byte leaves later than sending.APPROVAL_MAX_AGE after the verdict was asked for, and nothing is signed after that; the
# rest is slack for the journal's own moment of commit. Only records whose sender we did not watch need it.
UNWATCHED_SEND_GRACE: Final = timedelta(seconds=10)
CREATED_BEFORE_COMMIT: Final = timedelta(seconds=5)  # venue clock may run behind ours when it stamps `created`
FIRST_PAUSE: Final = timedelta(milliseconds=250)
LONGEST_PAUSE: Final = timedelta(seconds=2)


@dataclass(slots=True, kw_only=True)
class _Doubt:
    """What is known so far of one order in doubt; lives as long as the process."""

    sent_by: datetime | None = None
    absences: list[Sighting] = field(default_factory=list)
    alarmed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at one doubt: its end, or why it goes on. `failed` when a listing could not be read."""

    outcome: SubmitOutcome | None
    why: str
    failed: bool = False


class Resolver:
    """Finds out what became of intents whose outcome is missing or Unknown."""

    def __init__(
        self,
        *,
        venue: Venue,
        journal: Journal,
        clock: Clock,
        tracker: Tracker,
        server_time: Callable[[], ServerTime],
        diagnostics: Diagnostics,
    ) -> None:
        self._venue = venue
        self._journal = journal
        self._clock = clock
        self._tracker = tracker
        self._server_time = server_time
        self._diagnostics = diagnostics
        self._edits = EditSearch(venue=venue, clock=clock)
        self._doubts: dict[IntentId, _Doubt] = {}

    def watched(self, intent_id: IntentId, sent_by: datetime) -> None:
        """The send of this intent ended, one way or another, at `sent_by`: later it cannot have been signed."""
        self._doubts.setdefault(intent_id, _Doubt()).sent_by = sent_by

    def ended(self, intent_id: IntentId) -> None:
        """Nothing is left to look into: a loop of days keeps nothing of what it sent."""
        self._doubts.pop(intent_id, None)

    def resolve(self, record: IntentRecord, wait: timedelta) -> SubmitOutcome:
        """The proven outcome, recorded; or Unknown when `wait` passed without evidence. At least one look."""
        pause, deadline = FIRST_PAUSE, steady(self._clock) + wait
        while True:
            look = self.look(record)
            if look.outcome is not None and not isinstance(look.outcome, Unknown):
                return look.outcome
            now = steady(self._clock)
            if now >= deadline or (isinstance(look.outcome, Unknown) and look.outcome.alarm):
                return look.outcome or Unknown(reason="in_doubt", evidence=look.why)
            self._clock.sleep(min(pause, deadline - now))
            pause = min(pause * 2, LONGEST_PAUSE)

    def resolve_all(self, wait: timedelta) -> tuple[tuple[IntentId, SubmitOutcome], ...]:
        """Every intent in doubt, looked at until proven or `wait` is over; the ones still Unknown are in the answer too."""
        deadline = steady(self._clock) + wait
        open_doubts = {record.intent.id: record for record in self._journal.in_doubt()}
        ended: dict[IntentId, SubmitOutcome] = {}
        pause = FIRST_PAUSE
        while open_doubts:
            for intent_id, record in tuple(open_doubts.items()):
                look = self.look(record)
                ended[intent_id] = look.outcome or Unknown(reason="in_doubt", evidence=look.why)
                if not isinstance(ended[intent_id], Unknown):
                    del open_doubts[intent_id]
            now = steady(self._clock)
            if not open_doubts or now >= deadline:
                break
            self._clock.sleep(min(pause, deadline - now))
            pause = min(pause * 2, LONGEST_PAUSE)
        return tuple(ended.items())

    def look(self, record: IntentRecord) -> Look:
        """One search. A proven end is recorded before it is returned; raises JournalUnavailable if it cannot be."""
        doubt = self._doubts.setdefault(record.intent.id, _Doubt())
        due = self._due(record, doubt)
        try:
            sighting = self._search(record, absent_counts_from=due)
        except VENUE_ERRORS as error:
            return Look(outcome=None, why=f"the venue could not be searched: {error.message}", failed=True)
        if sighting.contradicts:
            return self._alarm_contradiction(record, doubt, sighting)
        if sighting.order is not None:
            return self._found(record, sighting, sighting.order)
        return self._absent(record, doubt, sighting, due)

    # --- the three endings --------------------------------------------------------------------------------

    def _found(self, record: IntentRecord, sighting: Sighting, order: VenueOrder) -> Look:
        outcome = Accepted(
            venue_order_id=order.venue_order_id, order=order, evidence=f"found at the venue: {sighting.evidence}"
        )
        self._journal.record_outcome(record.intent.id, outcome)  # step: resolved_found
        owner = record.intent.id if isinstance(record.intent, OrderIntent) else record.intent.target
        self._tracker.book_order(order, owner)  # step: resolved_order
        self.ended(record.intent.id)
        return Look(outcome=outcome, why=outcome.evidence)

    def _absent(self, record: IntentRecord, doubt: _Doubt, sighting: Sighting, due: datetime | None) -> Look:
        terms = self._venue.capabilities.doubt
        if due is None:
            return Look(outcome=None, why="absent so far; the venue's clock could not be measured", failed=True)
        if sighting.listed_at < due:
            return Look(outcome=None, why=f"absent so far; conclusive from {_moment(due)} on")
        if not doubt.absences or sighting.listed_at - doubt.absences[-1].listed_at >= terms.listings_apart:
            doubt.absences.append(sighting)
        if len(doubt.absences) < terms.listings:
            return Look(outcome=None, why=f"absent from {len(doubt.absences)} of {terms.listings} conclusive listings")
        outcome = NotSent(reason="absent_at_venue", evidence=absence_evidence(doubt.absences, due, terms))
        self._journal.record_outcome(record.intent.id, outcome)  # step: resolved_absent
        self.ended(record.intent.id)
        return Look(outcome=outcome, why=outcome.evidence)

    def _alarm_contradiction(self, record: IntentRecord, doubt: _Doubt, sighting: Sighting) -> Look:
        seen = shown(sighting.contradicts)
        if not doubt.alarmed:
            doubt.alarmed = True
            self._diagnostics.alarm("order_contradicts_intent", intent_id=record.intent.id, seen=seen)
            self._journal.record_event(
                EventKind.ALARM, {"alarm": "order_contradicts_intent", "seen": seen}, record.intent.id
            )
        return Look(outcome=Unknown(reason="order_contradicts_intent", evidence=seen, alarm=True), why=seen)

    # --- bounds ----------------------------------------------------------------------------------------------

    def _due(self, record: IntentRecord, doubt: _Doubt) -> datetime | None:
        """From when on a complete listing without the order proves absence; None while the clocks' skew is unmeasured."""
        try:
            server = self._server_time()
        except VENUE_ERRORS:
            return None
        sent_by = record.committed_at + UNWATCHED_SEND_GRACE if doubt.sent_by is None else doubt.sent_by
        terms = self._venue.capabilities.doubt
        return sent_by + terms.write_ttl + abs(server.skew) + server.uncertainty + terms.visibility

    def _search(self, record: IntentRecord, *, absent_counts_from: datetime | None) -> Sighting:
        if not isinstance(record.intent, OrderIntent):
            return self._edits.search(record, record.intent, self._journal, absent_counts_from)
        return self._venue.search(Sought(record=record, sent_after=record.committed_at - CREATED_BEFORE_COMMIT))

    # --- late orders and people ---------------------------------------------------------------------------------

    def adopt_late(self, record: IntentRecord, order: VenueOrder) -> None:
        """An order whose intent was proven absent appeared all the same: it counts again under its intent, and alarms."""
        outcome = Accepted(
            venue_order_id=order.venue_order_id,
            order=order,
            evidence=f"appeared after {record.stage.value}: late order",
        )
        self._diagnostics.alarm("late_order", intent_id=record.intent.id, venue_order_id=order.venue_order_id)
        self._journal.record_outcome(record.intent.id, outcome)  # step: adopt_late
        self._tracker.book_order(order, record.intent.id)

    def decide_by_operator(
        self, intent_id: IntentId, *, verdict: str, by: str, reason: str, venue_order_id: VenueOrderId | None = None
    ) -> SubmitOutcome:
        """An operator's named decision ends the doubt (I4): `not_sent`, or `accepted` with the order it became.

        UsageError when the intent is not in doubt, a name or reason is missing, or the order is not the one meant.
        """
        if not by.strip() or not reason.strip():
            raise UsageError("a decision needs a name and a reason", fix="give --by and --reason")
        record = self._journal.intent(intent_id)
        if record is None or not record.stage.in_doubt:
            raise UsageError("no intent of this id is in doubt", fix="see `perpsctl order list --all`")
        order = None
        if verdict == "accepted":
            order = self._named_order(record, venue_order_id)
            outcome: SubmitOutcome = Accepted(
                venue_order_id=order.venue_order_id, order=order, evidence=f"operator {shown(by)}: {shown(reason)}"
            )
        elif verdict == "not_sent" and venue_order_id is None:
            outcome = NotSent(reason="operator_decision", evidence=f"operator {shown(by)}: {shown(reason)}")
        else:
            raise UsageError("a decision is not_sent, or accepted with the venue's order id")
        payload = {"verdict": verdict, "by": shown(by), "reason": shown(reason), "order": str(venue_order_id or "")}
        self._journal.record_event(EventKind.OPERATOR_DECISION, payload, intent_id)  # step: operator_decision
        self._journal.record_outcome(intent_id, outcome)  # step: operator_outcome
        if order is not None:
            self._tracker.book_order(order, intent_id)
        self.ended(intent_id)
        return outcome

    def _named_order(self, record: IntentRecord, venue_order_id: VenueOrderId | None) -> VenueOrder:
        if venue_order_id is None:
            raise UsageError("accepted needs the venue's order id", fix="give --order")
        if not isinstance(record.intent, OrderIntent):
            raise UsageError("an edit in doubt is not another order", fix="decide `not_sent`, or wait for evidence")
        order = self._venue.order(venue_order_id)
        if order is None:
            raise UsageError("the venue knows no order of this id")
        owner = self._journal.intent_by_order(venue_order_id)
        if owner is not None and owner.intent.id != record.intent.id:
            raise UsageError(f"that order belongs to intent {owner.intent.id}")
        differs = terms_apart(order, record)
        if differs:
            raise UsageError(f"that order is not what the intent asked for: {', '.join(differs)}")
        return order


def absence_evidence(absences: list[Sighting], due: datetime, terms: DoubtTerms) -> str:
    """The listings that lack the order, named, with the moment from which they count."""
    seen = "; ".join(f"{_moment(each.listed_at)}: {each.evidence}" for each in absences)
    return (
        f"absent from {len(absences)} complete listings at least {terms.listings_apart // timedelta(seconds=1)} s apart, "
        f"all after {_moment(due)} when the request could no longer be accepted or hidden ({seen})"
    )


def _moment(at: datetime) -> str:
    """In UTC to the second, as everywhere an operator reads one."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
