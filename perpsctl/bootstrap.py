"""Builds the real parts and introduces them to one another; no other room does. Each part is made on first use.

What is missing is told where it is needed: a broken journal stops entries and never the way out, a key that cannot be read
stops the venue and never the latch.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import datetime, time, timedelta
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from perpsctl import places
from perpsctl.diagnostics import StderrDiagnostics
from perpsctl.domain.errors import (
    ConfigError,
    CredentialsError,
    JournalUnavailable,
    PerpsctlError,
    UsageError,
    VenueUnreachable,
)
from perpsctl.domain.ids import AccountKey
from perpsctl.domain.ports import Gate, Halts, Integrity, Journal
from perpsctl.domain.products import Environment, Product, VenueId, find_product
from perpsctl.domain.reports import KeyPurpose
from perpsctl.domain.verdicts import Denial, DenialCode
from perpsctl.exchange import credentials as keys
from perpsctl.exchange.hosts import Endpoint, endpoint_for
from perpsctl.exchange.pacing import Pacer
from perpsctl.exchange.shelves import FileShelf, Shelf
from perpsctl.exchange.transport import ExchangeRecord, Observer
from perpsctl.latch import Latch
from perpsctl.settings import Profile
from perpsctl.simulator import launcher
from perpsctl.systemports import SystemClock, SystemIds

if TYPE_CHECKING:  # a command loads what it uses: the journal's library is the slowest, and market reads need no engine
    from perpsctl.domain.streams import Streams
    from perpsctl.engine.killswitch import KillSwitch
    from perpsctl.engine.lookout import Lookout
    from perpsctl.engine.parts import Engine
    from perpsctl.engine.supervisor import RunOptions, Supervisor, TickReport
    from perpsctl.exchange.advanced_trade import AdvancedTradeVenue
    from perpsctl.exchange.global_derivatives import GlobalDerivativesVenue
    from perpsctl.exchange.global_derivatives.credits import Credits
    from perpsctl.exchange.streams.socket import RpcSocket
    from perpsctl.journal.backup import BackedUp
    from perpsctl.journal.info import JournalInfo
    from perpsctl.journal.lease import RowLease
    from perpsctl.journal.locks import SendersHeld
    from perpsctl.journal.migrate import Migrated
    from perpsctl.journal.spool import Spool
    from perpsctl.journal.store import SqlJournal

    AnyVenue = AdvancedTradeVenue | GlobalDerivativesVenue

KEPT_RECORDS = 500
LINE_READY_WITHIN = timedelta(seconds=15)


class Toolkit:
    """The parts of one profile. `way_out` lets cancels, exits and the switch go on without a journal."""

    def __init__(self, profile: Profile, *, live: bool = False, verbose: bool = False, way_out: bool = False) -> None:
        self.profile = profile
        self.clock = SystemClock()
        self.ids = SystemIds()
        self.diagnostics = StderrDiagnostics(verbose=verbose)
        self.records: list[ExchangeRecord] = []
        self._live = live
        self._way_out = way_out
        self._venues: dict[KeyPurpose, AnyVenue] = {}
        self._store: SqlJournal | None = None
        self._no_store: JournalUnavailable | None = None
        self._senders_held: SendersHeld | None = None
        self._closing = ExitStack()

    # --- the venue ----------------------------------------------------------------------------------------

    @cached_property
    def exchange(self) -> launcher.SimStatus | None:
        """The embedded exchange of a `sim` profile, started where it does not run; None in other environments."""
        if self.profile.environment is not Environment.SIM:
            return None
        return launcher.ensure(places.exchange_folder())

    @cached_property
    def endpoint(self) -> Endpoint:
        """Where requests go."""
        venue = self.profile.venue
        if self.exchange is None:
            return endpoint_for(self.profile.environment, venue=venue)
        address = self.exchange.http if venue is VenueId.US else self.exchange.global_faces["http"]
        return endpoint_for(Environment.SIM, address, venue=venue)

    @property
    def venue(self) -> "AnyVenue":
        """The venue with the trade key."""
        return self.venue_for(KeyPurpose.TRADE)

    def venue_for(self, purpose: KeyPurpose) -> "AnyVenue":
        """The venue with the key of a purpose. ConfigError or CredentialsError when there is no usable one."""
        if purpose not in self._venues:
            self._venues[purpose] = self.new_venue(self.credentials(purpose), self._observe)
        return self._venues[purpose]

    def new_venue(self, key: keys.Credentials | None, observer: Observer) -> "AnyVenue":
        """A client of the profile's venue under this key; the caller closes it."""
        if self.profile.venue is VenueId.GLOBAL:
            from perpsctl.exchange.global_derivatives import GlobalDerivativesVenue

            return GlobalDerivativesVenue(
                self.endpoint,
                key,
                self.clock,
                self.ids,
                observer=observer,
                pacer=self.credits,
                cash_times=self.cash_times,
            )
        from perpsctl.exchange.advanced_trade import AdvancedTradeVenue

        return AdvancedTradeVenue(self.endpoint, key, self.clock, self.ids, observer=observer, pacer=self.pacer)

    @cached_property
    def credits(self) -> "Credits":
        """The gateway's request budgets, shared by every process of this profile."""
        from perpsctl.exchange.global_derivatives.credits import Credits

        shelves = self._shelves
        return Credits(self.clock, shelf=None if shelves is None else lambda bucket: shelves(f"credits-{bucket}"))

    @cached_property
    def pacer(self) -> Pacer:
        """The request budget of Advanced Trade, shared by every process of this profile."""
        shelf = None if self._shelves is None else self._shelves("requests")
        return Pacer(self.clock, private_per_second=30, public_per_second=10, shelf=shelf)

    @cached_property
    def _shelves(self) -> Callable[[str], Shelf] | None:
        """Where budgets are shared, by name; None where the folder is unusable, and each process then counts alone.

        Sharing is a courtesy: a state folder that cannot be written must not stand between a cancel and the venue.
        """
        try:
            folder = places.private_folder(self.profile.folder)
        except (ConfigError, OSError) as unusable:
            self.diagnostics.note("request_budget_not_shared", problem=type(unusable).__name__)
            return None
        return lambda name: FileShelf(folder / f"{name}.budget")

    def key_reference(self, purpose: KeyPurpose) -> str | None:
        """Where the key of a purpose is kept; in `sim` the exchange's throw-away one, unless the profile names another."""
        named: str | None = getattr(self.profile.keys, purpose.value)
        if named is None and self.exchange is not None:
            return str(self.exchange.key_files[purpose.value])
        return named

    def credentials(self, purpose: KeyPurpose) -> keys.Credentials | None:
        """The key of a purpose; None only where the venue takes none (the static sandbox)."""
        if not self.endpoint.signs:
            return None
        reference = self.key_reference(purpose)
        if reference is None:
            raise ConfigError(
                f"profile {self.profile.name} has no {purpose.value} key",
                fix=f"name its file under [profile.{self.profile.name}.keys]",
            )
        if self.exchange is not None and getattr(self.profile.keys, purpose.value) is None:
            return self._throw_away_key(Path(reference), self.exchange)
        if reference.startswith("env:"):
            prefix = reference.removeprefix("env:")
            return keys.from_environment(os.environ, name=f"{prefix}_NAME", secret=f"{prefix}_SECRET")
        return keys.from_key_file(Path(reference).expanduser())

    def _throw_away_key(self, path: Path, exchange: launcher.SimStatus) -> keys.Credentials:
        """The embedded exchange's key, of the account this command began with.

        A reset announces its account before it writes the new keys: a key read while the account stands is that account's,
        and no order of one account is ever recorded in the journal of another.
        """
        try:
            key = keys.from_key_file(path)
        except CredentialsError:
            self._require_same(exchange)
            raise
        self._require_same(exchange)
        return key

    def _require_same(self, exchange: launcher.SimStatus) -> None:
        now = launcher.status(places.exchange_folder())
        if now is None or now.portfolio != exchange.portfolio:
            raise VenueUnreachable(
                "the embedded exchange was reset or ended while this command began; nothing was sent",
                fix="repeat the command: a reset is a new account without orders and positions",
            )

    def _observe(self, record: ExchangeRecord) -> None:
        self.records.append(record)
        del self.records[:-KEPT_RECORDS]
        self.diagnostics.note(
            "request", method=record.method, path=record.path, ending=record.ending, latency_us=record.latency_us
        )

    # --- the record ---------------------------------------------------------------------------------------

    @cached_property
    def account(self) -> AccountKey:
        """Whose journal it is: venue, environment and portfolio."""
        if self.exchange is not None:
            portfolio = self.exchange.portfolio
        elif self.profile.portfolio is not None:
            portfolio = self.profile.portfolio
        else:
            raise ConfigError(
                f"profile {self.profile.name} pins no portfolio",
                fix="set `portfolio`; `perpsctl probe` shows the key's",
            )
        return AccountKey(f"{self.profile.venue}:{self.profile.environment}:{portfolio}")

    @cached_property
    def journal(self) -> Journal:
        """The durable record. On the way out a journal that cannot be opened is replaced by one that says so."""
        try:
            return self.store
        except JournalUnavailable as broken:
            if not self._way_out:
                raise
            from perpsctl.engine.broken_journal import BrokenJournal

            self.diagnostics.alarm("journal_broken", problem=broken.message)
            return BrokenJournal(self.account, broken)

    @property
    def store(self) -> "SqlJournal":
        """The journal itself; JournalUnavailable when it cannot be opened."""
        if self._store is None and self._no_store is not None:
            raise self._no_store
        if self._store is None:
            _own_folder(self.profile.folder)
            from perpsctl.journal.opening import open_journal

            try:
                self._store = open_journal(
                    self.profile.folder, self.account, clock=self.clock, ids=self.ids, url=self._journal_url()
                )
            except JournalUnavailable as refused:
                if self._way_out:  # a database that says nothing is waited for once, not at every part of the way out
                    self._no_store = refused
                raise
        return self._store

    @cached_property
    def latch(self) -> Latch:
        """The kill switch's latch of this profile."""
        return Latch.of(self.profile.name)

    @cached_property
    def halts(self) -> Halts:
        """The switch as the desk sees it; needs no healthy journal."""
        from perpsctl.journal.halts import CombinedHalts

        try:
            return CombinedHalts(self.latch, self.store, self._shared_gate())
        except JournalUnavailable as broken:
            return CombinedHalts(self.latch, broken)

    def _shared_gate(self) -> Callable[[Gate], Gate] | None:
        """The gate that senders of several hosts share; None for a journal of this host's own."""
        if self.profile.journal is None:
            return None
        from perpsctl.journal.senders import SharedGate, shared_database

        store = self.store
        database = shared_database(store)
        return None if database is None else lambda local: SharedGate(local, store, database)

    def _senders_elsewhere(self) -> tuple[str, ...]:
        """Who may still be sending on another host after the halt was recorded."""
        if self.profile.journal is None:
            return ()
        from perpsctl.journal.senders import wait_for_senders

        self._let_senders_go()  # the halt stands now: whoever was held looks again, and sees it
        return wait_for_senders(self.store)

    def hold_senders(self) -> None:
        """Senders of every host that shares the journal stand still from here until the halt is recorded.

        The first thing an engage does after its latch: what it has to load to record the halt takes longer. Never raises.
        """
        if self.profile.journal is None or find_spec("psycopg") is None:
            return
        from perpsctl.journal.locks import SendersHeld

        with suppress(JournalUnavailable):
            self._senders_held = SendersHeld(self._journal_url() or "")
            self._closing.callback(self._let_senders_go)

    def _let_senders_go(self) -> None:
        if self._senders_held is not None:
            self._senders_held.let_go()

    def _journal_url(self) -> str | None:
        """The shared journal's address with its secret; JournalUnavailable where it is not to be had."""
        if self.profile.journal is None:
            return None
        try:
            return self.profile.journal.address(os.environ)
        except ConfigError as wrong:
            raise JournalUnavailable(wrong.message, fix=wrong.fix) from None

    def journal_info(self) -> "JournalInfo":
        """What `journal info` shows."""
        from perpsctl.journal.info import journal_info

        return journal_info(self.store, self.profile.folder, self.clock)

    def journal_check(self) -> Integrity:
        """The verdict on the whole journal, also when it is too damaged to open."""
        from perpsctl.journal.info import check_journal

        return check_journal(
            self.profile.folder, self.account, clock=self.clock, ids=self.ids, full=True, url=self._journal_url()
        )

    def journal_backup(self, file: Path) -> "BackedUp":
        """A proven copy of the journal in `file`."""
        from perpsctl.journal.backup import back_up

        return back_up(self.store.log, file)

    def journal_migrate(self) -> "Migrated":
        """The journal has this version's schema; an older one was kept aside."""
        from perpsctl.journal.migrate import migrate

        return migrate(self.profile.folder, self.account, clock=self.clock, ids=self.ids, url=self._journal_url())

    # --- the engine ---------------------------------------------------------------------------------------

    @cached_property
    def engine(self) -> "Engine":
        """Every part of the engine, over the real ports."""
        return self._assembled(self.venue)

    def engine_of_the_loop(self) -> "Engine":
        """The engine on streams, whose resting orders end without us: by a date at the venue, or with a line of their own.

        Raises the named error of a line that does not get ready or armed: then the loop does not start.
        """
        from perpsctl.exchange.global_derivatives import GlobalDerivativesVenue
        from perpsctl.exchange.streams.addresses import trading_address
        from perpsctl.exchange.streams.order_road import order_socket, over

        venue, key = self.venue, self.credentials(KeyPurpose.TRADE)
        if venue.capabilities.native_gtd or not isinstance(venue, GlobalDerivativesVenue):
            return self._assembled(venue, self.streams(venue, key))
        if key is None:
            raise ConfigError("orders need a trade key")
        url = None if self.exchange is None else self.exchange.global_faces["ws"]
        line = order_socket(trading_address(self.profile.environment, url), key, self.clock, self.ids)
        self._closing.callback(line.stop)
        line.start()
        line.wait_ready(LINE_READY_WITHIN)
        armed = GlobalDerivativesVenue(
            self.endpoint,
            key,
            self.clock,
            self.ids,
            capabilities=replace(venue.capabilities, orders_die_with_connection=True),
            observer=self._observe,
            pacer=self.credits,
            road=over(line, self.ids),
            cash_times=self.cash_times,
        )
        self._closing.callback(armed.close)
        return self._assembled(armed, self.streams(armed, key, line))

    def streams(self, venue: "AnyVenue", key: keys.Credentials | None, line: "RpcSocket | None" = None) -> "Streams":
        """Live data under this key, not started; without a key the market's alone. `line`: an order socket to read along."""
        from perpsctl.exchange.streams import addresses
        from perpsctl.exchange.streams.factory import global_streams, us_streams

        sim, environment, limits = self.exchange, self.profile.environment, self.profile.limits
        book_age, mark_age = timedelta(seconds=limits.book_age_max_s), timedelta(seconds=limits.mark_age_max_s)
        if self.profile.venue is VenueId.GLOBAL:
            public = addresses.streams_address(environment, None if sim is None else sim.global_faces["streams_ws"])
            private = addresses.trading_address(environment, None if sim is None else sim.global_faces["ws"])
            return global_streams(
                public, line or (None if key is None else private), key, self.clock, self.ids,
                product_of=venue.product, book_age_max=book_age, mark_age_max=mark_age,
            )  # fmt: skip
        market = addresses.us_market_address(environment, None if sim is None else sim.us_sockets["ws"])
        user = addresses.us_user_address(environment, None if sim is None else sim.us_sockets["user_ws"])
        return us_streams(
            market, user, key, self.clock, self.ids,
            product_of=venue.product, book_age_max=book_age, mark_age_max=mark_age,
        )  # fmt: skip

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

    def lease(self) -> "RowLease":
        """The lease of this portfolio, as this process would hold it."""
        from perpsctl.journal.lease import Holder, RowLease

        return RowLease(self.store, Holder.this_process(self.ids))

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
    def spool(self) -> "Spool":
        """Where exits are kept while the journal is broken."""
        from perpsctl.journal.spool import Spool

        return Spool(self.profile.folder, self.account, self.clock)

    def cash_times(self) -> tuple[time, ...]:
        """Funding cash times: configured, else read from the embedded exchange, else none (the hourly accrual counts)."""
        configured = self.profile.limits.funding_cash_times
        if configured:
            return configured
        if self.exchange is None:
            if self.profile.venue is not VenueId.GLOBAL:
                return ()
            from perpsctl.exchange.global_derivatives.funding import SETTLEMENT_TIMES

            return SETTLEMENT_TIMES
        try:
            answer = launcher.control(places.exchange_folder(), "GET", "/calendar")
        except UsageError as gone:  # to this command it is a venue that went away, not a word mistyped
            raise VenueUnreachable(f"the embedded exchange tells no calendar: {gone.message}") from None
        if self.profile.venue is VenueId.GLOBAL:
            return (datetime.fromisoformat(answer["settlement"]).time(),)
        return tuple(time.fromisoformat(text) for text in answer["cash_times"])

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

    def close(self) -> None:
        """Connections and the journal are closed, each whatever becomes of the others."""
        with ExitStack() as closing:
            if self._store is not None:
                closing.callback(self._store.close)
            for venue in self._venues.values():
                closing.callback(venue.close)
            closing.callback(self._closing.close)


def _own_folder(folder: Path) -> None:
    """The profile's folder stands, ours alone; JournalUnavailable where it cannot: the way out goes on without it."""
    try:
        places.private_folder(folder)
    except ConfigError as wrong:
        raise JournalUnavailable(wrong.message, fix=wrong.fix) from None
    except OSError as refused:
        raise JournalUnavailable(
            f"the profile's state folder cannot be made: {refused.strerror}",
            fix="make PERPSCTL_HOME a folder you can write to",
        ) from None
