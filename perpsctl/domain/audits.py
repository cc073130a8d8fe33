"""What an audit of the journal finds and hands out: records, verdicts, anchors. Values only; the journal room makes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

__all__ = [
    "AnchorMade",
    "AuditExported",
    "AuditFilter",
    "AuditPage",
    "AuditRecord",
    "Audited",
    "Completeness",
    "Damage",
    "Tampering",
    "Wholeness",
]


class Tampering(StrEnum):
    """What was done to a journal."""

    CHANGED = "changed"
    DELETED = "deleted"
    INSERTED = "inserted"
    REORDERED = "reordered"
    TRUNCATED = "truncated"


class Completeness(StrEnum):
    """Whether the last records are still there."""

    ANCHORED = "anchored"  # every anchored record is there, and the noted one
    NOTED = "noted"  # the record noted beside the journal is there; nothing further away was kept
    NOT_ANCHORED = "not_anchored"  # nothing was kept that could tell
    TRUNCATED = "truncated"
    REPLACED = "replaced"  # another record stands where an anchored one did: an older copy that was gone on from
    UNPROVEN = "unproven"  # what was kept elsewhere cannot be believed


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """The first bad record by number, what was done to it, and how that shows."""

    row: int
    what: Tampering
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wholeness:
    """The verdict on the end of the journal: proven up to record `up_to` by `anchors` anchors and the note beside it."""

    state: Completeness
    up_to: int
    anchors: int
    first_missing: int | None = None
    problem: str = ""

    @property
    def sound(self) -> bool:
        """False when records are known to be missing, or what would tell was tampered with."""
        return self.state in (Completeness.ANCHORED, Completeness.NOTED, Completeness.NOT_ANCHORED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """Both verdicts. `damage` names the first bad record where one can be named; `problem` says it in words."""

    rows: int
    head: str  # hash of the last record
    digest: str  # SHA-256 over the records up to the last good one, which needs no key to check
    damage: Damage | None
    problem: str
    completeness: Wholeness

    @property
    def sound(self) -> bool:
        """Every record stands as it was sealed."""
        return not self.problem


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One record as it stands, whatever it holds; `sealed` is None where there is no key to tell."""

    seq: int
    account: str
    kind: str
    at: str
    intent_id: str | None
    venue_order_id: str | None
    ref: str | None
    occurred: str | None
    payload: Mapping[str, object] | None  # None when it is not what we write
    hash: str
    sealed: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which records to show: the newest `limit` of those that fit, below the number `before`."""

    since: datetime | None = None
    until: datetime | None = None
    kind: str | None = None
    id: str | None = None  # how the id of its intent or its order begins
    before: int | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage:
    """Records, newest first; `next_before` asks for the next page, None on the last."""

    records: tuple[AuditRecord, ...]
    next_before: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorMade:
    """A head that is durable in `file`, outside the state folder."""

    file: str
    seq: int
    hash: str
    digest: str
    at: datetime
    profile: str
    account: str
    key: str  # fingerprint of the audit key


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditExported:
    """A document that was written, and the verdict it carries."""

    file: str
    rows: int
    size_bytes: int
    found: Audited
