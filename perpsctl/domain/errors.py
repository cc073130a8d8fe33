"""Exceptions mean that we cannot answer; expected answers (denied, rejected, unknown) are values, never exceptions.

The tree, split by what the reader should do:

    PerpsctlError                      code, exit code, one-line fix
    |-- UsageError             (2)     say it differently
    |   |-- OffGrid                    use one of the nearest legal values
    |   `-- SizeRoundsToZero           ask for more
    |-- ConfigError            (7)     fix the set-up
    |   `-- CredentialsError           fix the key
    |-- VenueUnreachable       (6)     repeat the read
    |   `-- RateLimited                wait, then repeat
    |-- VenueRefusedUs         (11)    look at the key
    |-- VenueRefusedRequest    (4)     the venue understood us and said no to a read or a cancel
    |-- VenueSpokeStrangely    (6)     report a bug; nothing may be concluded from the answer
    |-- JournalUnavailable     (8)     look at the disk and the journal
    |   `-- JournalCorrupt             restore it; trading stays shut
    |-- LeaseHeld              (9)     another run owns the portfolio
    |-- NotBuiltYet            (2)     named, so nobody mistakes it for done
    `-- InvariantBroken        (70)    our bug
"""

from enum import IntEnum, StrEnum


class ExitCode(IntEnum):
    """What the process says when it ends: a documented, stable promise (docs/exit-codes.md)."""

    DONE = 0
    CHECKS_FAILED = 1
    USAGE = 2
    DENIED = 3
    REJECTED = 4
    UNKNOWN = 5
    UNREACHABLE = 6
    CONFIG = 7
    JOURNAL = 8
    LEASE_HELD = 9
    PARTLY_DONE = 10
    CREDENTIALS_REFUSED = 11
    BUG = 70
    INTERRUPTED = 130


class PerpsctlError(Exception):
    """We cannot answer. `message` says what happened, `fix` what to do; neither holds a secret or raw venue text."""

    code = "error"
    exit_code = ExitCode.BUG
    retryable = False
    default_fix = ""

    def __init__(self, message: str, *, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = self.default_fix if fix is None else fix


class UsageError(PerpsctlError):
    """The request cannot be understood or is not legal; nothing was sent."""

    code = "usage"
    exit_code = ExitCode.USAGE


class OffGrid(UsageError):
    """A size or price typed off the venue's grid; `nearest` holds the legal values around it, as plain text."""

    code = "off_grid"

    def __init__(self, message: str, *, field: str, nearest: tuple[str, ...], fix: str | None = None) -> None:
        super().__init__(message, fix=fix or f"nearest legal {field}: {' or '.join(nearest)}")
        self.field = field
        self.nearest = nearest


class SizeRoundsToZero(UsageError):
    """The size is less than one step of the venue's grid: nothing would be left to order."""

    code = "size_rounds_to_zero"


class ConfigError(PerpsctlError):
    """The configuration is missing, unreadable or not legal."""

    code = "config"
    exit_code = ExitCode.CONFIG


class CredentialsError(ConfigError):
    """The local key cannot be used: missing, damaged, or readable by others."""

    code = "credentials"


class VenueUnreachable(PerpsctlError):
    """The venue did not answer in time. For reads: nothing is known; never zero, never flat."""

    code = "venue_unreachable"
    exit_code = ExitCode.UNREACHABLE
    retryable = True
    default_fix = "repeat the command; open orders and positions are as they were"


class RateLimited(VenueUnreachable):
    """The venue's rate limit, or our own budget below it, is used up."""

    code = "rate_limited"


class RefusalCause(StrEnum):
    """What a refusal of our credentials was about, as far as the venue told it; UNKNOWN is never guessed away."""

    KEY = "key"  # the token was not taken and nothing tells more: a wrong, expired or deleted key
    PERMISSION = "permission"
    CLOCK = "clock"
    ADDRESS = "address"
    PORTFOLIO = "portfolio"
    UNKNOWN = "unknown"


class VenueRefusedUs(PerpsctlError):
    """The venue refused the credentials (401/403); `cause` says which part of them, as far as it was told."""

    code = "credentials_refused"
    exit_code = ExitCode.CREDENTIALS_REFUSED
    default_fix = "run `perpsctl probe` to see which of key, permission, clock and address is wrong"

    def __init__(self, message: str, *, cause: RefusalCause = RefusalCause.UNKNOWN, fix: str | None = None) -> None:
        super().__init__(message, fix=fix)
        self.cause = cause


class VenueRefusedRequest(PerpsctlError):
    """The venue understood the request and refused it; `reason` is its own word."""

    code = "venue_refused"
    exit_code = ExitCode.REJECTED

    def __init__(self, message: str, *, reason: str, fix: str | None = None) -> None:
        super().__init__(message, fix=fix)
        self.reason = reason


class VenueSpokeStrangely(PerpsctlError):
    """The answer cannot be read as what was asked for; nothing may be concluded from it."""

    code = "venue_spoke_strangely"
    exit_code = ExitCode.UNREACHABLE
    retryable = True
    default_fix = "repeat the command; if it stays, report it with `--verbose` output"


class JournalUnavailable(PerpsctlError):
    """The journal cannot be read or written; no new order is possible, the way out stays open."""

    code = "journal_unavailable"
    exit_code = ExitCode.JOURNAL


class JournalCorrupt(JournalUnavailable):
    """The journal's content contradicts itself: damaged, tampered with, or of another version."""

    code = "journal_corrupt"


class LeaseHeld(PerpsctlError):
    """Another run holds the lease on this portfolio, or took it over from us."""

    code = "lease_held"
    exit_code = ExitCode.LEASE_HELD


class NotBuiltYet(UsageError):
    """The operation is planned and not there; nothing was done."""

    code = "not_built_yet"


class InvariantBroken(PerpsctlError):
    """Something only a bug can cause was seen; trading stops."""

    code = "bug"
    exit_code = ExitCode.BUG
    default_fix = "stop trading, keep the journal, report it"
