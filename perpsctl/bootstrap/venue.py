"""The venue of one profile: where it is, the keys for it, its request budgets, its streams, and whose account it is."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from perpsctl import places
from perpsctl.diagnostics import StderrDiagnostics
from perpsctl.domain.errors import ConfigError, CredentialsError, UsageError, VenueUnreachable
from perpsctl.domain.ids import AccountKey
from perpsctl.domain.products import Environment, VenueId
from perpsctl.domain.reports import KeyPurpose
from perpsctl.exchange import credentials as keys
from perpsctl.exchange.hosts import Endpoint, endpoint_for
from perpsctl.exchange.pacing import Pacer
from perpsctl.exchange.shelves import FileShelf, Shelf
from perpsctl.exchange.transport import ExchangeRecord, Observer
from perpsctl.settings import Profile
from perpsctl.simulator import launcher
from perpsctl.systemports import SystemClock, SystemIds

if TYPE_CHECKING:  # a command loads what it uses: a market read needs no venue but its own
    from perpsctl.domain.streams import Streams
    from perpsctl.exchange.advanced_trade import AdvancedTradeVenue
    from perpsctl.exchange.global_derivatives import GlobalDerivativesVenue
    from perpsctl.exchange.global_derivatives.credits import Credits
    from perpsctl.exchange.streams.socket import RpcSocket

    AnyVenue = AdvancedTradeVenue | GlobalDerivativesVenue

KEPT_RECORDS = 500
LINE_READY_WITHIN = timedelta(seconds=15)


class VenueParts:
    """What reaches the venue, and the ports every part shares."""

    def __init__(self, profile: Profile, *, verbose: bool) -> None:
        self.profile = profile
        self.clock = SystemClock()
        self.ids = SystemIds()
        self.diagnostics = StderrDiagnostics(verbose=verbose)
        self.records: list[ExchangeRecord] = []
        self._venues: dict[KeyPurpose, AnyVenue] = {}
        self._closing = ExitStack()

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

    def armed_venue(
        self, venue: "GlobalDerivativesVenue", key: keys.Credentials
    ) -> "tuple[GlobalDerivativesVenue, RpcSocket]":
        """The venue over an order socket of its own, and that line: what rests ends with it.

        Raises the named error of a line that does not get ready or armed.
        """
        from perpsctl.exchange.global_derivatives import GlobalDerivativesVenue
        from perpsctl.exchange.streams.addresses import trading_address
        from perpsctl.exchange.streams.order_road import order_socket, over

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
        return armed, line

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

    def close(self) -> None:
        """Lines and connections are closed, each whatever becomes of the others."""
        with ExitStack() as closing:
            for venue in self._venues.values():
                closing.callback(venue.close)
            closing.callback(self._closing.close)
