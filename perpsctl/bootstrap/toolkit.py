"""The engine of one profile over its venue and its record, and what a command asks of it."""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from perpsctl.bootstrap.record import RecordParts
from perpsctl.domain.errors import ConfigError, PerpsctlError, UsageError
from perpsctl.domain.products import Environment, Product, find_product
from perpsctl.domain.reports import KeyPurpose
from perpsctl.domain.verdicts import Denial, DenialCode
from perpsctl.settings import Profile

if TYPE_CHECKING:  # a command loads what it uses, and most need no engine
    from perpsctl.bootstrap.venue import AnyVenue
    from perpsctl.domain.streams import Streams
    from perpsctl.engine.killswitch import KillSwitch
    from perpsctl.engine.lookout import Lookout
    from perpsctl.engine.parts import Engine
    from perpsctl.engine.supervisor import RunOptions, Supervisor, TickReport


class Toolkit(RecordParts):
    """The parts of one profile. `way_out` lets cancels, exits and the switch go on without a journal."""

    def __init__(self, profile: Profile, *, live: bool = False, verbose: bool = False, way_out: bool = False) -> None:
        super().__init__(profile, verbose=verbose, way_out=way_out)
        self._live = live

    @cached_property
    def engine(self) -> "Engine":
        """Every part of the engine, over the real ports."""
        return self._assembled(self.venue)

    def engine_of_the_loop(self) -> "Engine":
        """The engine on streams, whose resting orders end without us: by a date at the venue, or with a line of their own.

        Raises the named error of a line that does not get ready or armed: then the loop does not start.
        """
        from perpsctl.exchange.global_derivatives import GlobalDerivativesVenue

        venue, key = self.venue, self.credentials(KeyPurpose.TRADE)
        if venue.capabilities.native_gtd or not isinstance(venue, GlobalDerivativesVenue):
            return self._assembled(venue, self.streams(venue, key))
        if key is None:
            raise ConfigError("orders need a trade key")
        armed, line = self.armed_venue(venue, key)
        return self._assembled(armed, self.streams(armed, key, line))

    def lookout(self, product: str) -> "Lookout":
        """The view from outside the loop, with the key that may do least; nothing it does is written anywhere."""
        from perpsctl.engine.live import LiveData
        from perpsctl.engine.lookout import Lookout

        purpose = KeyPurpose.TRADE if self.key_reference(KeyPurpose.MONITOR) is None else KeyPurpose.MONITOR
        venue, key = self.venue_for(purpose), self.credentials(purpose)
        return Lookout(
            venue=venue,
            journal=self.journal,
            halts=self.halts,
            lease=self.lease,
            clock=self.clock,
            limits=self.profile.limits,
            live=LiveData(
                streams=self.streams(venue, key),
                clock=self.clock,
                diagnostics=self.diagnostics,
                limits=self.profile.limits,
            ),
            find=lambda: find_product(venue.products(), product),
        )

    def _assembled(self, venue: "AnyVenue", streams: "Streams | None" = None) -> "Engine":
        from perpsctl.engine.parts import assemble

        return assemble(
            venue=venue,
            journal=self.journal,
            halts=self.halts,
            clock=self.clock,
            ids=self.ids,
            limits=self.profile.limits,
            diagnostics=self.diagnostics,
            spool=self.spool,
            cash_times=self.cash_times,
            forbids_entries=self.entry_denials,
            streams=streams,
        )

    @cached_property
    def killswitch(self) -> "KillSwitch":
        """The switch; without a venue it still latches, and says why it cannot do more."""
        from perpsctl.engine.killswitch import KillSwitch

        try:
            outside, why = self.engine.venue_side, ""
        except PerpsctlError as error:
            outside, why = None, error.message
        return KillSwitch(
            latch=self.latch,
            journal=self.journal,
            halts=self.halts,
            clock=self.clock,
            diagnostics=self.diagnostics,
            outside=outside,
            why_no_venue=why,
            breach_stands=self.breach_stands,
            senders_elsewhere=self._senders_elsewhere,
        )

    def breach_stands(self) -> bool | None:
        """Whether the daily loss limit is broken now; None when that cannot be read."""
        from perpsctl.engine.losses import losses_now
        from perpsctl.risk.loss import exceeds

        engine = self.engine
        try:
            reading = losses_now(engine.venue.account, engine.journal, engine.views, engine.reconciler.transfers)
        except PerpsctlError:
            return None
        if reading.missing or reading.unmarked:
            return None
        return any(exceeds(window, self.profile.limits.daily_loss_max_share) for window in reading.windows)

    def supervisor(
        self, strategy: str, product: Product, options: "RunOptions", progress: "Callable[[TickReport], None]"
    ) -> "Supervisor":
        """The loop over the engine, with the lease of this portfolio."""
        if self.profile.environment is Environment.SANDBOX:
            raise UsageError("the sandbox gives canned answers and is not a venue: `run` refuses it")
        from perpsctl.engine.strategies import load
        from perpsctl.engine.supervisor import Supervisor

        return Supervisor(
            engine=self.engine_of_the_loop(),
            lease=self.lease(),
            switch=self.killswitch,
            strategy=load(strategy, product.product_id),
            options=options,
            progress=progress,
        )

    def entry_denials(self) -> tuple[Denial, ...]:
        """What forbids entries here whatever the limits say: production needs `live` twice and a preflight token."""
        if self.profile.environment is Environment.SIM:
            return ()
        found = []
        if self.profile.environment is Environment.SANDBOX:
            found.append(
                Denial(code=DenialCode.LIVE_NOT_ENABLED, observed="sandbox", limit="a venue",
                       detail="the sandbox gives canned answers and holds no orders")
            )  # fmt: skip
            return tuple(found)
        if not (self.profile.live and self._live):
            said = f"profile live={str(self.profile.live).lower()}, --live={str(self._live).lower()}"
            found.append(Denial(code=DenialCode.LIVE_NOT_ENABLED, observed=said, limit="both"))
        found.append(
            Denial(code=DenialCode.PREFLIGHT_TOKEN_MISSING, observed="none", limit="a valid token",
                   detail="preflight tokens are not built yet: no entry is possible in production")
        )  # fmt: skip
        return tuple(found)
