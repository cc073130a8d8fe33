"""The journal as one document for an outsider: a heading, every record with its place in the chain, and the anchored head.

JSON lines, ASCII, keys sorted. The hashes are made with the audit key, which is not in it; the digest needs none, so whoever
holds an anchor of ours from before can tell by themselves that nothing up to it was changed since (docs/ops/audit.md). A file
that is there is never written over, and one that could not be finished leaves nothing behind.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from perpsctl.domain.audits import Audited, AuditExported
from perpsctl.domain.errors import JournalUnavailable, UsageError
from perpsctl.domain.text import shown
from perpsctl.journal.audit import GENESIS, Row, corrupt, next_digest, sync_folder
from perpsctl.journal.auditing import Audit

EXPORT = "perpsctl.audit.export/1"
RECORD = "record"
COLUMNS = Row.__slots__


def export(audit: Audit, target: Path) -> AuditExported:
    """`target` is the whole journal as of now with the verdict on it, durable, 0600, also of a damaged journal.

    UsageError when something is there already; JournalUnavailable when it cannot be read or written.
    """
    if os.path.lexists(target):
        raise _there(target)
    found = audit.verify()
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        held = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(held, "w", encoding="ascii", newline="\n") as file:
                rows = 0
                for line in _lines(audit, found):
                    file.write(line + "\n")
                    rows += 1
                file.flush()
                os.fsync(file.fileno())
            os.link(beside, target)
        finally:
            beside.unlink(missing_ok=True)
        sync_folder(target.parent)
        size = target.stat().st_size
    except FileExistsError:
        raise _there(target) from None
    except OSError as trouble:
        raise JournalUnavailable(
            f"the export cannot be written: {trouble.strerror}", fix="look at the disk; the journal itself is untouched"
        ) from None
    return AuditExported(file=str(target), rows=rows - 2, size_bytes=size, found=found)


def _lines(audit: Audit, found: Audited) -> Iterator[str]:
    whole = found.sound and found.completeness.sound
    yield _json(
        {
            "schema": EXPORT,
            "profile": audit.profile,
            "at": audit.now(),
            "records": found.rows,
            "key": audit.key,
            "integrity": {
                "sound": found.sound,
                "first_bad": None if found.damage is None else found.damage.row,
                "problem": found.problem,
            },
            "completeness": asdict(found.completeness),
        }
    )
    digest = GENESIS
    for row in audit.records(found.rows):
        digest = next_digest(digest, row) if found.sound else digest
        yield _json({"is": RECORD, **{name: getattr(row, name) for name in COLUMNS}})
    if found.sound and digest != found.digest:
        raise corrupt(None, "its records changed while they were exported")
    yield _json(audit.head_line(found)) if whole else _json({"is": "no head", "why": "the verdict is against it"})


def _json(told: object) -> str:
    return json.dumps(told, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_bytes)


def _bytes(value: object) -> str:
    """What a damaged column can hold instead of text."""
    return repr(value)


def _there(target: Path) -> UsageError:
    return UsageError(f"{shown(target)} is there already", fix="name a new file: an export is never overwritten")
