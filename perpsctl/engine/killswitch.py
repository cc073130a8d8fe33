"""Halt, cancel, flatten, read back, attest: the short road out. No step's failure stops the next one.

What could not be done or read stands in the attestation; nothing unread is ever called zero (R2, L5). Works with the loop
dead, the journal broken and the venue down. Nothing here may raise before the last step is done. A venue that only asks
us to slow down is asked on for a minute; one that does not answer is given up soon.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from perpsctl.domain.accounts import OrdersRead
from perpsctl.domain.errors import JournalUnavailable, RateLimited
from perpsctl.domain.orders import Accepted, OrderIntent
from perpsctl.domain.ports import Clock, Diagnostics, Halts, Journal, Venue
from perpsctl.domain.reports import (
    Attestation,
    CancelReport,
    EngageReport,
    FlattenReport,
    HaltFacts,
    HaltState,
    IntentRecord,
    ReleaseReport,
    SwitchStatus,
)
from perpsctl.domain.text import shown
from perpsctl.engine.allowance import Allowance, steady
from perpsctl.engine.cancels import PATIENCE, Canceller
from perpsctl.engine.exits import Exits
from perpsctl.engine.reading import VENUE_ERRORS
from perpsctl.engine.resolver import Resolver
from perpsctl.latch import Engaged, Latch, LatchTrouble

CANCEL_WAIT: Final = timedelta(seconds=10)
READ_BACK_WAIT: Final = timedelta(seconds=5)
READ_BACK_PAUSE: Final = timedelta(milliseconds=250)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueSide:
    """The parts that reach the venue; missing as a whole when no client could be built, and `why` then says it."""

    venue: Venue
    canceller: Canceller
    exits: Exits
    resolver: Resolver


class KillSwitch:
    """Engages, releases and tells the state of one profile's switch."""

    def __init__(
        self,
        *,
        latch: Latch,
        journal: Journal,
        halts: Halts,
        clock: Clock,
        diagnostics: Diagnostics,
        outside: VenueSide | None,
        why_no_venue: str = "",
        breach_stands: Callable[[], bool | None] = lambda: None,
        senders_elsewhere: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        self._latch = latch
        self._journal = journal
        self._halts = halts
        self._clock = clock
        self._diagnostics = diagnostics
        self._outside = outside
        self._why_no_venue = why_no_venue
        self._breach_stands = breach_stands
        self._senders_elsewhere = senders_elsewhere

    # --- engage ----------------------------------------------------------------------------------------------

    def engage(
        self,
        *,
        reason: str,
        by: str,
        flatten: bool = False,
        unbounded: bool = False,
        loss_breach: bool = False,
        wait: timedelta = timedelta(seconds=30),
        latched: Engaged | None = None,
    ) -> EngageReport:
        """No order starts from now on; orders are cancelled, positions closed if asked, and what is left is read back.

        Never raises for what fails outside: it stands in the attestation. `latched` is the latch the command engaged
        before it imported this room; without it the latch is engaged here. Engaging twice is fine.
        """
        problems: list[str] = []
        began = steady(self._clock)
        held = latched or self._latch.engage(reason=reason, by=by, at=self._clock.now())  # step: latch
        problems += held.problems
        stuck = self._close_gate(problems)  # step: close_gate
        journal_durable = self._record(reason, by, loss_breach, problems)
        if journal_durable:
            stuck = self._wait_elsewhere(problems) or stuck  # step: senders_elsewhere
        cancels: list[CancelReport] = []
        flattened: FlattenReport | None = None
        if self._outside is not None:
            cancels += self._cancel_everything(self._outside, began + PATIENCE, problems)
            if flatten:
                flattened = self._flatten(self._outside, unbounded, steady(self._clock) + wait)  # step: switch_flatten
                problems += [p for each in flattened.exits for p in each.problems]
        attestation = self._attest(held, stuck, journal_durable, flatten, flattened, began + PATIENCE, problems)
        return EngageReport(
            attestation=attestation,
            first=held.first,
            cancels=tuple(cancels),
            flattened=flattened,
            problems=tuple(dict.fromkeys(problems)),
        )

    def _close_gate(self, problems: list[str]) -> str | None:
        """Who passed the gate before the latch and still sends; None when every send is over."""
        closed = self._latch.close_gate()
        if closed.quiet:
            return None
        told = ", ".join(map(shown, closed.stuck)) or closed.trouble or "a sender"
        problems.append(f"a send that began before the latch may still be under way: {told}")
        return told

    def _wait_elsewhere(self, problems: list[str]) -> str | None:
        """Who on another host passed the gate before the halt was recorded and still sends; None when every send is over."""
        try:
            told = ", ".join(map(shown, self._senders_elsewhere()))
        except JournalUnavailable as error:
            told = f"senders of other hosts: {error.message}"
        if not told:
            return None
        problems.append(f"a send that began before the halt may still be under way: {told}")
        return told

    def _record(self, reason: str, by: str, loss_breach: bool, problems: list[str]) -> bool:
        try:
            self._journal.record_halt(engaged=True, reason=reason, by=by, loss_breach=loss_breach)  # step: halt
        except JournalUnavailable as error:
            problems.append(f"journal: {error.message}")
            self._diagnostics.alarm("halt_unrecorded", problem=error.message)
            return False
        return True

    def _cancel_everything(self, outside: VenueSide, until: datetime, problems: list[str]) -> list[CancelReport]:
        """Everything is cancelled; orders in doubt that turn up are adopted and cancelled as well (E23)."""
        reports = [self._cancel_all(outside, until)]  # step: cancel_all
        try:
            with outside.venue.within(CANCEL_WAIT):
                found = [self._turned_up(outside, intent) for intent in self._journal.in_doubt()]
        except JournalUnavailable as error:
            problems.append(f"journal: {error.message}")
            found = []
        if any(found):
            reports.append(self._cancel_all(outside, until))
        problems += [problem for report in reports for problem in report.problems]
        return reports

    def _cancel_all(self, outside: VenueSide, until: datetime) -> CancelReport:
        return outside.canceller.cancel_all(wait=CANCEL_WAIT, patience=until - steady(self._clock))

    def _flatten(self, outside: VenueSide, unbounded: bool, deadline: datetime) -> FlattenReport:
        """Flat, or as far as it goes until `deadline`: what the venue will not take now is tried again when its time comes."""
        while True:
            left = max(deadline - steady(self._clock), timedelta(0))
            report = outside.exits.flatten(unbounded=unbounded, wait=left)
            due = [each.pending.retry_at for each in report.exits if each.pending is not None and each.pending.retry_at]
            if report.flat or not due:
                return report
            pause = max(min(due) - self._clock.now(), timedelta(0))  # the venue's time, by the wall clock
            if steady(self._clock) + pause >= deadline:
                return report
            self._clock.sleep(pause)

    def _turned_up(self, outside: VenueSide, record: IntentRecord) -> bool:
        return isinstance(outside.resolver.look(record).outcome, Accepted)

    # --- read back ------------------------------------------------------------------------------------------

    def _attest(
        self,
        held: Engaged,
        stuck: str | None,
        journal_durable: bool,
        flatten: bool,
        flattened: FlattenReport | None,
        until: datetime,
        problems: list[str],
    ) -> Attestation:
        unread: list[str] = []
        orders = self._read("open orders", lambda side: side.venue.live_orders(), until, unread, problems)
        positions = self._read("positions", lambda side: side.venue.positions().positions, until, unread, problems)
        if orders is not None and self._outside is not None:
            problems += self._booked(self._outside, orders)
            unread += self._kept("our working orders", lambda: self._hidden(orders), unread) or ()
        in_doubt = self._kept("in doubt", lambda: tuple(r.intent.id for r in self._journal.in_doubt()), unread)
        pending = self._kept("exits pending", self._journal.exits_pending, unread)
        if pending is None and flattened is not None:
            pending = tuple(each.pending for each in flattened.exits if each.pending is not None)
        return Attestation(
            at=self._clock.now(),
            latch_durable=held.durable and held.in_force,
            journal_durable=journal_durable,
            open_orders=None if orders is None else orders.orders,
            positions=None if positions is None else tuple(p for p in positions if p.coin != 0),
            in_doubt=in_doubt,
            unread=tuple(unread),
            exit_pending=pending or (),
            stuck_sender=stuck,
            flatten_asked=flatten,
        )

    def _booked(self, outside: VenueSide, orders: OrdersRead) -> tuple[str, ...]:
        """What was read back is in the journal: cancels proven so late are no news to the next reconcile. The problems."""
        with outside.venue.within(READ_BACK_WAIT):
            return outside.canceller.book_listed(orders)  # step: book_read_back

    def _hidden(self, listed: OrdersRead) -> tuple[str, ...]:
        """Orders of ours that the venue took and now neither lists nor tells the end of: nobody may call them gone (E1, L5)."""
        shown_ids = {order.venue_order_id for order in listed.orders}
        return tuple(
            f"order {record.venue_order_id}"
            for record in self._journal.working()
            if isinstance(record.intent, OrderIntent) and not shown_ids & set(record.venue_ids)
        )

    def _read(
        self,
        what: str,
        read: Callable[[VenueSide], T],
        until: datetime,
        unread: list[str],
        problems: list[str],
    ) -> T | None:
        """Read until it answers, for as long as a read-back may take; while it answers with its rate limit, `until` then."""
        if self._outside is None:
            unread.append(what)
            problems.append(f"{what}: {self._why_no_venue or 'the venue cannot be reached'}")
            return None
        time = Allowance(self._clock, READ_BACK_WAIT, most=until - steady(self._clock), longer=self._told_longer)
        while True:
            try:
                with self._outside.venue.within(time.asking):
                    return read(self._outside)
            except VENUE_ERRORS as error:
                if isinstance(error, RateLimited):
                    time.rate_limited()
                if time.spent():
                    unread.append(what)
                    problems.append(f"{what}: {error.message}")
                    return None
            time.pause(READ_BACK_PAUSE)

    def _told_longer(self, more: timedelta) -> None:
        self._diagnostics.note(
            "read_back_goes_on", because="the venue answers with its rate limit", seconds=more.seconds
        )

    def _kept(self, what: str, read: Callable[[], T], unread: list[str]) -> T | None:
        try:
            return read()
        except JournalUnavailable:
            unread.append(what)
            return None

    # --- release and status -----------------------------------------------------------------------------------

    def release(self, *, reason: str, by: str, second: str | None = None) -> ReleaseReport:
        """Entries are possible again, or every reason why not. Nothing changes when one refusal stands (R4)."""
        facts = self._halts.facts()
        refusals = self._refusals(facts, reason, by, second)
        if refusals:
            return ReleaseReport(released=False, refusals=tuple(refusals), facts=facts)
        told = shown(reason) if second is None else f"{shown(reason)} (second: {shown(second)})"
        try:
            self._journal.record_halt(engaged=False, reason=told, by=by)  # step: release_journal
            self._latch.release(reason=told, by=by, at=self._clock.now())  # step: release_latch
        except (JournalUnavailable, LatchTrouble) as error:
            refusals.append(error.message)
        facts = self._halts.facts()
        if facts.state is not HaltState.RELEASED and not refusals:
            refusals.append("the switch still reads as engaged")
        return ReleaseReport(released=not refusals, refusals=tuple(refusals), facts=facts)

    def _refusals(self, facts: HaltFacts, reason: str, by: str, second: str | None) -> list[str]:
        refusals = []
        if not reason.strip() or not by.strip():
            refusals.append("a release needs a reason and a name")
        if facts.latch.startswith("unreadable") or facts.journal.startswith("unreadable"):
            refusals.append(f"the state cannot be read: latch {facts.latch}, journal {facts.journal}")
        try:
            doubts = self._journal.in_doubt()
            if doubts:
                refusals.append(f"{len(doubts)} orders are in doubt: resolve them first")
        except JournalUnavailable as error:
            refusals.append(f"orders in doubt cannot be read: {error.message}")
        if facts.loss_breach and self._breach_stands() is not False and not _another(by, second):
            refusals.append("the daily loss breach still stands: a second named person has to agree")
        return refusals

    def status(self) -> SwitchStatus:
        """The switch as it stands; never raises."""
        unread: list[str] = []
        in_doubt = self._kept("in doubt", lambda: tuple(r.intent.id for r in self._journal.in_doubt()), unread)
        pending = self._kept("exits pending", self._journal.exits_pending, unread)
        return SwitchStatus(
            facts=self._halts.facts(),
            in_doubt=in_doubt,
            exit_pending=pending,
            problems=tuple(f"{what} could not be read" for what in unread),
        )


def _another(by: str, second: str | None) -> bool:
    """True when a second person is named and is not the first."""
    return second is not None and bool(second.strip()) and second.strip().casefold() != by.strip().casefold()
