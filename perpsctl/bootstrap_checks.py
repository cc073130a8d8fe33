"""Hands the checks what they look through, built from one profile's toolkit, and keeps the run in the journal.

Keys are read anew here, each with a venue of its own, so that what one key may do is never told of another.
"""

import os
import stat
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from perpsctl.bootstrap import Toolkit
from perpsctl.checks import grids
from perpsctl.checks.context import CheckContext, KeyFile, RequestSeen, RetiredAnswer, Setup
from perpsctl.checks.host import ThisHost
from perpsctl.checks.model import Check, Report, Row
from perpsctl.checks.preflight import PREFLIGHT
from perpsctl.checks.probe import PROBE
from perpsctl.checks.runner import run_checks
from perpsctl.domain.errors import CredentialsError, PerpsctlError, UsageError, VenueRefusedRequest
from perpsctl.domain.ids import ProductId
from perpsctl.domain.products import VenueId
from perpsctl.domain.reports import KeyPurpose, RequestLimit
from perpsctl.domain.streams import Streams
from perpsctl.domain.text import shown
from perpsctl.exchange.advanced_trade import AdvancedTradeVenue
from perpsctl.exchange.advanced_trade.link import Ask
from perpsctl.exchange.credentials import Credentials
from perpsctl.exchange.transport import ExchangeRecord
from perpsctl.journal.lease import Holder, RowLease
from perpsctl.journal.opening import JOURNAL_FILE
from perpsctl.wire.advanced_trade.market import ProductBody

if TYPE_CHECKING:
    from perpsctl.bootstrap.venue import AnyVenue

RETIRED_PRODUCT = "BTC-PERP-INTX"  # retired on 1 October 2026 (api/venues.md section 1)

Progress = Callable[[Row], None]
Ran = tuple[Report, tuple[str, ...]]


def probe(toolkit: Toolkit, progress: Progress) -> Ran:
    """The probe's report and what to warn of besides."""
    return _run(toolkit, "probe", PROBE, progress)


def preflight(toolkit: Toolkit, progress: Progress) -> Ran:
    """The preflight's report and what to warn of besides."""
    return _run(toolkit, "preflight", PREFLIGHT, progress)


def _run(toolkit: Toolkit, name: str, checks: Sequence[Check[CheckContext]], progress: Progress) -> Ran:
    venues = ToolkitVenues(toolkit)
    try:
        context = context_of(toolkit, venues)
        report = run_checks(name, checks, context, toolkit.clock, progress)
        return report, _recorded(context, report)
    finally:
        venues.close()


def _recorded(context: CheckContext, report: Report) -> tuple[str, ...]:
    """The run stands in the journal, or a warning says why it does not; a damaged journal is left as it was found."""
    whole = report.row("journal.integrity")
    if whole is not None and not whole.acceptable:
        return ("this run is not in the journal: the journal is not whole",)
    try:
        grids.record(context, report)
    except PerpsctlError as error:
        return (f"this run is not in the journal: {error.message}",)
    return ()


def context_of(toolkit: Toolkit, venues: "ToolkitVenues") -> CheckContext:
    """What the checks of this profile look through."""
    return CheckContext(
        setup=_setup(toolkit),
        clock=toolkit.clock,
        venues=venues,
        keys=ToolkitKeys(toolkit),
        host=ThisHost(toolkit.clock),
        latch=toolkit.latch,
        journal=lambda: toolkit.store,
        integrity=toolkit.journal_check,
        account=lambda: toolkit.account,
        halts=lambda: toolkit.halts,
        lease=lambda: RowLease(toolkit.store, Holder.this_process(toolkit.ids)),
        cash_times=toolkit.cash_times,
        streams=lambda purpose: _streams(toolkit, venues, purpose),
    )


def _streams(toolkit: Toolkit, venues: "ToolkitVenues", purpose: KeyPurpose | None) -> Streams:
    return toolkit.streams(venues.unsigned(), None if purpose is None else toolkit.credentials(purpose))


def _setup(toolkit: Toolkit) -> Setup:
    profile = toolkit.profile
    pinned = profile.portfolio
    if pinned is None and toolkit.exchange is not None and profile.venue is VenueId.US:
        pinned = toolkit.exchange.portfolio
    return Setup(
        profile=profile.name,
        venue=profile.venue,
        environment=profile.environment,
        live=profile.live,
        portfolio=pinned,
        products=profile.products or (profile.run.product,),
        egress=profile.egress,
        limits=profile.limits,
        config_file=profile.config_file,
        config_exists=profile.config_exists,
        sources=Counter(found.source for found in profile.sources),
        state_folder=profile.folder,
        journal_file=profile.folder / JOURNAL_FILE if profile.journal is None else None,
    )


class ToolkitKeys:
    """The profile's keys as files and variables; the secret stays where credentials are read."""

    def __init__(self, toolkit: Toolkit) -> None:
        self._toolkit = toolkit

    def facts(self, purpose: KeyPurpose) -> KeyFile:
        """Read anew; what is wrong with a key is a `problem`."""
        reference = self._toolkit.key_reference(purpose)
        if reference is None:
            return _key_file(purpose, configured=False, source="")
        if reference.startswith("env:"):
            prefix = reference.removeprefix("env:")
            source, found = f"variables {prefix}_NAME and {prefix}_SECRET", None
        else:
            path = Path(reference).expanduser()
            source, found = str(path), _lstat(path)
        try:
            key = self._toolkit.credentials(purpose)
        except CredentialsError as error:
            return _key_file(purpose, source=source, found=found, problem=error.message, fix=error.fix)
        return _key_file(purpose, source=source, found=found, key=key)


def _key_file(
    purpose: KeyPurpose,
    *,
    source: str,
    configured: bool = True,
    found: os.stat_result | None = None,
    key: Credentials | None = None,
    problem: str = "",
    fix: str = "",
) -> KeyFile:
    return KeyFile(
        purpose=purpose,
        configured=configured,
        source=shown(source),
        mode=None if found is None else stat.S_IMODE(found.st_mode),
        size=None if found is None else found.st_size,
        modified=None if found is None else datetime.fromtimestamp(found.st_mtime_ns // 1_000_000_000, UTC),
        algorithm="" if key is None else key.algorithm,
        fingerprint="" if key is None else key.fingerprint(),
        problem=problem,
        fix=fix,
    )


def _lstat(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:
        return None


class ToolkitVenues:
    """One venue for each key and one without, all watched: every request is kept for the checks that count them.

    They share the profile's one request budget: the venue counts per user, whatever the key.
    """

    def __init__(self, toolkit: Toolkit) -> None:
        self._toolkit = toolkit
        self._made: dict[KeyPurpose | None, AnyVenue] = {}
        self._seen: list[RequestSeen] = []

    def unsigned(self) -> "AnyVenue":
        """The venue without a key."""
        return self._venue(None)

    def signed(self, purpose: KeyPurpose) -> "AnyVenue":
        """The venue under a key; CredentialsError when that key cannot be used, ConfigError when there is none."""
        return self._venue(purpose)

    def retired(self) -> RetiredAnswer:
        """Asks for the retired product over the bare link: the client itself would answer from what it knows."""
        venue = self.unsigned()
        if not isinstance(venue, AdvancedTradeVenue):
            return self._retired_elsewhere(venue)
        path = f"/market/products/{RETIRED_PRODUCT}"
        asked = f"GET {path}"
        try:
            body = venue.link.once(Ask(path=path, open_to_all=True), ProductBody).body
        except VenueRefusedRequest as refused:
            return RetiredAnswer(asked=asked, served=False, said=refused.message.removeprefix(f"{asked}: "))
        return RetiredAnswer(asked=asked, served=True, said=f"product {shown(body.product_id, 80)}")

    def _retired_elsewhere(self, venue: "AnyVenue") -> RetiredAnswer:
        asked = f"the book of {RETIRED_PRODUCT}"
        try:
            venue.book(ProductId(RETIRED_PRODUCT), 1)
        except (VenueRefusedRequest, UsageError) as refused:
            return RetiredAnswer(asked=asked, served=False, said=refused.message)
        return RetiredAnswer(asked=asked, served=True, said="a book")

    def request_limits(self) -> Sequence[RequestLimit]:
        """As the venue tells them now under the trade key."""
        return self.signed(KeyPurpose.TRADE).request_limits()

    def seen(self) -> Sequence[RequestSeen]:
        """Every request so far, oldest first."""
        return tuple(self._seen)

    def close(self) -> None:
        """Connections are closed."""
        with ExitStack() as closing:
            for venue in self._made.values():
                closing.callback(venue.close)

    def _venue(self, purpose: KeyPurpose | None) -> "AnyVenue":
        if purpose not in self._made:
            key = None if purpose is None else self._toolkit.credentials(purpose)
            self._made[purpose] = self._toolkit.new_venue(
                key, lambda record: self._seen.append(_seen(record, purpose))
            )  # fmt: skip
        return self._made[purpose]


def _seen(record: ExchangeRecord, purpose: KeyPurpose | None) -> RequestSeen:
    headers: Mapping[str, str] = record.rate_headers
    return RequestSeen(
        method=record.method,
        path=record.path,
        signed_as=purpose,
        status=record.status,
        ending=record.ending,
        latency_us=record.latency_us,
        request_id=record.request_id,
        rate_headers=headers,
    )
