"""The hash chain: every row carries an HMAC over itself and the row before, under a key of the profile's own.

It finds change, deletion in the middle, insertion and reordering (J4) by whoever lacks the key. A cut tail leaves a
shorter chain that is whole: only a head kept elsewhere shows it, so integrity and completeness are separate verdicts.
"""

import errno
import hashlib
import hmac
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from perpsctl.domain.errors import JournalCorrupt, JournalUnavailable
from perpsctl.domain.ids import Ids
from perpsctl.journal.codec import Unreadable, moment

KEY_FILE = "audit.key"
NO_KEY = ""  # the fingerprint of having none
GENESIS = "0" * 64  # what the first row follows


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the journal as stored."""

    seq: int
    account: str
    kind: str
    at: str
    intent_id: str | None
    venue_order_id: str | None
    ref: str | None
    occurred: str | None
    payload: str
    prev: str
    hash: str

    @property
    def when(self) -> datetime:
        """When it was recorded; JournalCorrupt when that is no moment."""
        try:
            return moment(self.at)
        except (Unreadable, ValueError):
            raise corrupt(self.seq, "its time cannot be read") from None


class Chain:
    """Seals rows with the audit key and knows a row that was not sealed with it."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def row_hash(
        self,
        *,
        seq: int,
        account: str,
        kind: str,
        at: str,
        intent_id: str | None,
        venue_order_id: str | None,
        ref: str | None,
        occurred: str | None,
        payload: str,
        prev: str,
    ) -> str:
        """HMAC-SHA256 over all columns, each with its length, so that no two rows read the same."""
        told = _told(str(seq), account, kind, at, intent_id, venue_order_id, ref, occurred, payload, prev)
        return hmac.digest(self._key, told, "sha256").hex()

    def state_hash(self, account: str, seq: int, chain: str, state: str) -> str:
        """HMAC-SHA256 of a snapshot and the place in the chain it stands at."""
        told = f"snapshot {len(account)}:{account} {seq} {chain} {state}"
        return hmac.digest(self._key, told.encode("utf-8", "surrogatepass"), "sha256").hex()

    def problem(self, row: Row, after_seq: int, after_hash: str) -> str | None:
        """What is wrong with `row` as the follower of row `after_seq`; None when nothing is."""
        if row.seq != after_seq + 1:
            return f"row {after_seq + 1} is missing"
        if row.prev != after_hash:
            return "it does not follow the row before it"
        return None if self.sealed(row) else "its content was changed"

    def sealed(self, row: Row, *, seq: int | None = None, prev: str | None = None) -> bool:
        """True when `row` is what was sealed: in its own place, or as the row `seq` that follows `prev`."""
        if not _texts(row):
            return False  # a damaged file can hold anything in any column
        told = self.row_hash(
            seq=row.seq if seq is None else seq,
            account=row.account,
            kind=row.kind,
            at=row.at,
            intent_id=row.intent_id,
            venue_order_id=row.venue_order_id,
            ref=row.ref,
            occurred=row.occurred,
            payload=row.payload,
            prev=row.prev if prev is None else prev,
        )
        return hmac.compare_digest(told.encode(), row.hash.encode("utf-8", "surrogatepass"))

    def first_bad(self, rows: Iterable[Row], after_seq: int, after_hash: str) -> tuple[int, str] | tuple[None, str]:
        """(seq, problem) of the first bad row, or (None, hash of the last row)."""
        seq, held = after_seq, after_hash
        for row in rows:
            problem = self.problem(row, seq, held)
            if problem is not None:
                return seq + 1, problem
            seq, held = row.seq, row.hash
        return None, held


def _texts(row: Row) -> bool:
    """Whether every column holds text, or nothing where nothing may stand."""
    always = (row.account, row.kind, row.at, row.payload, row.prev, row.hash)
    perhaps = (row.intent_id, row.venue_order_id, row.ref, row.occurred)
    return {*map(type, always)} == {str} and {*map(type, perhaps)} <= {str, type(None)}


def next_digest(digest: str, row: Row) -> str:
    """The running digest of the rows up to and with `row`: SHA-256, so that whoever holds one can check it without the key.

    It begins at GENESIS; docs/ops/audit.md gives the form to others.
    """
    parts = (row.account, row.kind, row.at, row.intent_id, row.venue_order_id, row.ref, row.occurred, row.payload)
    told = _told(str(row.seq), *parts, row.prev, row.hash)
    return hashlib.sha256(digest.encode("ascii") + told).hexdigest()


def _told(*parts: str | None) -> bytes:
    """Columns as one text that no other columns make."""
    told = "".join("-" if part is None else f"{len(part)}:{part}" for part in parts)
    return told.encode("utf-8", "surrogatepass")


class DamagedAt(JournalCorrupt):
    """The journal is damaged; `row` is the first bad row that was met, where one can be named."""

    row: int | None = None


def corrupt(seq: int | None, problem: str) -> DamagedAt:
    """The journal contradicts itself at row `seq`."""
    where = "" if seq is None else f" at row {seq}"
    found = DamagedAt(
        f"the journal is damaged{where}: {problem}",
        fix="trading stays shut; keep the file, restore a backup, and compare with `perpsctl order list --all`",
    )
    found.row = seq
    return found


def read_key(folder: Path) -> bytes | None:
    """The audit key, None when there is none; JournalUnavailable when it is damaged, a symlink or readable by others."""
    path = folder / KEY_FILE
    try:
        held = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as trouble:
        raise _key_trouble("is not a plain file" if trouble.errno == errno.ELOOP else str(trouble.strerror)) from None
    try:
        facts = os.fstat(held)
        if not stat.S_ISREG(facts.st_mode) or facts.st_mode & 0o077:
            raise _key_trouble("is readable by others")
        told = os.read(held, 200)
    except OSError as trouble:
        raise _key_trouble(str(trouble.strerror)) from None
    finally:
        os.close(held)
    try:
        key = bytes.fromhex(told.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != 32:
        raise _key_trouble("is damaged")
    return key


def fingerprint(key: bytes) -> str:
    """What tells one audit key from another and nothing about it."""
    return hmac.digest(key, b"perpsctl journal", "sha256").hex()


def make_key(folder: Path, ids: Ids) -> bytes:
    """A new audit key, durable before the first row it seals."""
    key = ids.nonce()
    beside = folder / f".{KEY_FILE}.{os.getpid()}"
    try:
        beside.unlink(missing_ok=True)
        held = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.fchmod(held, 0o600)
            os.write(held, key.encode("ascii") + b"\n")
            os.fsync(held)
        finally:
            os.close(held)
        os.rename(beside, folder / KEY_FILE)  # whole or not at all
        sync_folder(folder)
    except OSError as trouble:
        raise _key_trouble(f"cannot be written: {trouble.strerror}") from None
    made = read_key(folder)
    if made is None:
        raise _key_trouble("vanished")
    return made


def sync_folder(folder: Path) -> None:
    """The names in `folder` are durable."""
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(held)
    finally:
        os.close(held)


def _key_trouble(what: str) -> JournalUnavailable:
    return JournalUnavailable(
        f"the journal's audit key {what}", fix=f"restore {KEY_FILE} (mode 0600) from the backup it belongs to"
    )
