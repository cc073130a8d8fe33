"""The engine put together from its ports: one object graph per profile, built in one place and in one order.

`bootstrap` hands in the real ports, tests their fakes; nothing here chooses an implementation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import time

from perpsctl.domain.ids import Ids
from perpsctl.domain.ports import Clock, Diagnostics, Halts, Journal, Venue
from perpsctl.domain.streams import Streams
from perpsctl.domain.verdicts import Denial
from perpsctl.engine.cancels import Canceller
from perpsctl.engine.cash import CashBooks
from perpsctl.engine.desk import OrderDesk
from perpsctl.engine.edits import EditDesk
from perpsctl.engine.exits import Exits
from perpsctl.engine.killswitch import VenueSide
from perpsctl.engine.live import LiveData
from perpsctl.engine.reconcile import Reconciler
from perpsctl.engine.resolver import Resolver
from perpsctl.engine.sending import ExitSpool, Sender
from perpsctl.engine.tracking import Tracker
from perpsctl.engine.views import Views
from perpsctl.risk.limits import RiskLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """Every part of the engine for one profile, sharing one tracker, one resolver and one set of views."""

    venue: Venue
    journal: Journal
    halts: Halts
    clock: Clock
    ids: Ids
    limits: RiskLimits
    diagnostics: Diagnostics
    live: LiveData
    views: Views
    tracker: Tracker
    resolver: Resolver
    sender: Sender
    canceller: Canceller
    desk: OrderDesk
    edits: EditDesk
    exits: Exits
    reconciler: Reconciler

    @property
    def venue_side(self) -> VenueSide:
        """What the kill switch needs of it."""
        return VenueSide(venue=self.venue, canceller=self.canceller, exits=self.exits, resolver=self.resolver)


def assemble(
    *,
    venue: Venue,
    journal: Journal,
    halts: Halts,
    clock: Clock,
    ids: Ids,
    limits: RiskLimits,
    diagnostics: Diagnostics,
    spool: ExitSpool | None = None,
    cash_times: Callable[[], tuple[time, ...]] | None = None,
    forbids_entries: Callable[[], tuple[Denial, ...]] = lambda: (),
    streams: Streams | None = None,
) -> Engine:
    """The engine over these ports. Funding cash times come from the limits unless `cash_times` tells them (simulator).

    `streams` stand in for reads of market data where they are young; without them everything is read.
    `forbids_entries` says what shuts entries and edits here whatever the limits say: production without `live` or token.
    """
    live = LiveData(streams=streams, clock=clock, diagnostics=diagnostics, limits=limits)
    views = Views(
        venue=venue,
        journal=journal,
        clock=clock,
        cash_times=cash_times or (lambda: limits.funding_cash_times),
        reach_bps=max(limits.liquidity_band_bps, limits.order_impact_max_bps),
        live=live,
    )
    tracker = Tracker(venue=venue, journal=journal, clock=clock)
    resolver = Resolver(
        venue=venue,
        journal=journal,
        clock=clock,
        tracker=tracker,
        server_time=views.server_time,
        diagnostics=diagnostics,
    )
    sender = Sender(
        venue=venue,
        journal=journal,
        halts=halts,
        clock=clock,
        resolver=resolver,
        diagnostics=diagnostics,
        spool=spool,
    )
    canceller = Canceller(venue=venue, journal=journal, clock=clock, tracker=tracker, diagnostics=diagnostics)
    desk = OrderDesk(
        venue=venue,
        journal=journal,
        halts=halts,
        clock=clock,
        limits=limits,
        views=views,
        tracker=tracker,
        resolver=resolver,
        sender=sender,
        canceller=canceller,
        diagnostics=diagnostics,
        forbids_entries=forbids_entries,
    )
    edits = EditDesk(
        venue=venue,
        journal=journal,
        halts=halts,
        clock=clock,
        limits=limits,
        views=views,
        tracker=tracker,
        sender=sender,
        canceller=canceller,
        desk=desk,
        forbids_entries=forbids_entries,
    )
    exits = Exits(
        venue=venue,
        journal=journal,
        clock=clock,
        ids=ids,
        limits=limits,
        views=views,
        desk=desk,
        sender=sender,
        canceller=canceller,
        diagnostics=diagnostics,
    )
    reconciler = Reconciler(
        venue=venue,
        journal=journal,
        clock=clock,
        tracker=tracker,
        resolver=resolver,
        diagnostics=diagnostics,
        cash=CashBooks(
            venue=venue,
            journal=journal,
            clock=clock,
            cash_times=cash_times or (lambda: limits.funding_cash_times),
        ),
    )
    return Engine(
        venue=venue,
        journal=journal,
        halts=halts,
        clock=clock,
        ids=ids,
        limits=limits,
        diagnostics=diagnostics,
        live=live,
        views=views,
        tracker=tracker,
        resolver=resolver,
        sender=sender,
        canceller=canceller,
        desk=desk,
        edits=edits,
        exits=exits,
        reconciler=reconciler,
    )
