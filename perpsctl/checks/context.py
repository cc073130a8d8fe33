"""What checks look through: small Protocols and dated facts, handed in by `bootstrap_checks`; tests hand in their own.

Nothing in this room opens a socket, a key or a database itself. Every reader below raises an error of `domain.errors`
when it cannot see, and never answers with nothing instead.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path
from typing import Protocol

from perpsctl.domain.ids import AccountKey
from perpsctl.domain.ports import Clock, Halts, Integrity, Journal, Lease, Venue
from perpsctl.domain.products import Environment, VenueId
from perpsctl.domain.reports import KeyPurpose, RequestLimit
from perpsctl.domain.streams import Streams
from perpsctl.latch import LatchFacts
from perpsctl.risk.limits import RiskLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How the profile is set up, as it was read; no secret is in it."""

    profile: str
    venue: VenueId
    environment: Environment
    live: bool
    portfolio: str | None  # the pinned one; None: not pinned
    products: tuple[str, ...]  # ids or aliases this profile means to trade, never empty
    egress: tuple[str, ...]  # networks the operator says requests leave from
    limits: RiskLimits
    config_file: Path
    config_exists: bool
    sources: Mapping[str, int]  # how many values came from where: "file", "default", "variable PERPSCTL_X"
    state_folder: Path
    journal_file: Path | None  # None: the journal is no file of this host


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFile:
    """What can be said of a configured key without telling anything of it."""

    purpose: KeyPurpose
    configured: bool
    source: str  # a path, or the names of variables
    mode: int | None  # permission bits; None where it is no file
    size: int | None  # bytes
    modified: datetime | None
    algorithm: str  # "" when it cannot be read
    fingerprint: str  # "" when it cannot be read
    problem: str  # "" when it can be used
    fix: str


class Keys(Protocol):
    """The keys this profile names."""

    def facts(self, purpose: KeyPurpose) -> KeyFile:
        """Read anew on each call. Never raises: a damaged key is a `problem`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSeen:
    """One request of this process to the venue, as it ended. No token and no body is in it."""

    method: str
    path: str
    signed_as: KeyPurpose | None  # None: without a key
    status: int | None  # None: no answer
    ending: str
    latency_us: int | None
    request_id: str
    rate_headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetiredAnswer:
    """What the venue answered when asked for something it no longer has."""

    asked: str
    served: bool
    said: str


class Venues(Protocol):
    """Doors to the profile's venue, one for each key and one without."""

    def unsigned(self) -> Venue:
        """The venue without a key: time, products and books only."""

    def signed(self, purpose: KeyPurpose) -> Venue:
        """The venue under a key; CredentialsError when that key cannot be used."""

    def retired(self) -> RetiredAnswer:
        """Asks the venue itself for the retired `BTC-PERP-INTX`; no table of ours answers in its place."""

    def request_limits(self) -> Sequence[RequestLimit]:
        """How often the trade key's account may ask, as its own summary tells it now; empty where it tells nothing."""

    def seen(self) -> Sequence[RequestSeen]:
        """Every request made through these doors so far, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What a file system has left for us, in bytes and files."""

    free: int
    total: int
    files_free: int | None  # None: the file system does not count them


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptors:
    """How many files this process has open and may open."""

    open: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """A file of a few bytes was written beside the real ones, synced with its folder, and taken away again."""

    took_us: int


class Host(Protocol):
    """This machine as it stands. OSError where it cannot be asked."""

    def space(self, folder: Path) -> Space: ...

    def descriptors(self) -> Descriptors: ...

    def sync_beside(self, folder: Path) -> Synced: ...

    def mode(self, path: Path) -> int | None:
        """Permission bits without following a link; None when nothing is there."""

    def names(self, folder: Path) -> tuple[str, ...]:
        """What stands in the folder, sorted; none when it is not there."""


class LatchLook(Protocol):
    """The kill switch's latch, to look at."""

    @property
    def folder(self) -> Path: ...

    def state(self) -> LatchFacts: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckContext:
    """Everything a check may look at. The callables open on first use and raise when they cannot."""

    setup: Setup
    clock: Clock
    venues: Venues
    keys: Keys
    host: Host
    latch: LatchLook
    journal: Callable[[], Journal]  # JournalUnavailable, JournalCorrupt, or what keeps the account from being known
    integrity: Callable[[], Integrity]  # of the whole journal, also of one too damaged to open
    account: Callable[[], AccountKey]
    halts: Callable[[], Halts]
    lease: Callable[[], Lease]
    cash_times: Callable[[], tuple[time, ...]]
    streams: Callable[
        [KeyPurpose | None], Streams
    ]  # new ones, not started, under a key or none; whoever asks stops them
