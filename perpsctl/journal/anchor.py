"""Anchors: heads of the chain kept outside the state folder, so that a journal that lost its end is told from a short one.

A file of JSON lines that is only ever added to, each line sealed with the audit key and durable before it is reported. An
anchored row that the journal lacks, or holds otherwise, means that it was cut, restored from an older copy, or replaced
(D9, D10). A line nobody could have written but us and that is not as we wrote it counts as tampering, never as absence.
"""

import fcntl
import json
import os
import re
import stat
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from perpsctl.domain.errors import JournalUnavailable, UsageError
from perpsctl.domain.text import shown
from perpsctl.journal.audit import Chain, corrupt, sync_folder
from perpsctl.journal.codec import Json, Unreadable, moment, parse, stamp
from perpsctl.journal.head import Head

SCHEMA = "perpsctl.anchor/1"
LARGEST = 64 * 1024 * 1024  # far beyond an anchor a minute for years: what is larger is no file of anchors
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)
_TEXTS = ("at", "hash", "digest", "profile", "account", "key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A head as it was proven at a moment: whole chain up to `seq`, verified then."""

    seq: int
    hash: str  # of the record `seq`; 64 zeros for an empty journal
    digest: str  # SHA-256 over all records up to it, which needs no key to check
    at: datetime
    profile: str
    account: str  # of the record `seq`; empty for an empty journal
    key: str  # fingerprint of the audit key

    @property
    def head(self) -> Head:
        """The row it names."""
        return Head(seq=self.seq, hash=self.hash)

    def told(self) -> dict[str, Json]:
        """As it is written, without its seal."""
        return {
            "schema": SCHEMA,
            "seq": self.seq,
            "hash": self.hash,
            "digest": self.digest,
            "at": stamp(self.at),
            "profile": self.profile,
            "account": self.account,
            "key": self.key,
        }

    def sealed(self, chain: Chain) -> dict[str, Json]:
        """As it is written, with its seal."""
        return {**self.told(), "seal": _seal(chain, self)}


class NotAnchored(Exception):
    """A line of an anchors file proves nothing: `why` says what is wrong with it."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchored:
    """What an anchors file says of one profile, in the order of its lines; `problem` is why not all of it can be believed."""

    place: str
    anchors: tuple[Anchor, ...] = ()
    problem: str = ""

    @property
    def furthest(self) -> Anchor | None:
        """The anchor that reaches furthest."""
        return max(self.anchors, key=lambda each: each.seq, default=None)


class AnchorFile:
    """One file of anchors, which several profiles may share."""

    def __init__(self, path: Path, profile: str) -> None:
        self.path = path
        self._profile = profile

    def exists(self) -> bool:
        """Whether there is anything to read."""
        return os.path.lexists(self.path)

    def read(self, chain: Chain, fingerprint: str) -> Anchored:
        """What it says of our profile; nothing where there is no file. JournalUnavailable when it cannot be read."""
        place = shown(self.path)
        found: list[Anchor] = []
        for number, line in enumerate(self._lines(), start=1):
            try:
                anchor = read_line(line, chain, fingerprint, self._profile)
            except NotAnchored as trouble:
                return Anchored(place=place, anchors=tuple(found), problem=f"line {number} of {place}: {trouble.why}")
            if anchor is not None:
                found.append(anchor)
        return Anchored(place=place, anchors=tuple(found))

    def believed(self, chain: Chain, fingerprint: str) -> Anchor | None:
        """The anchor that reaches furthest, None without any; JournalCorrupt when the file cannot be believed (D10)."""
        found = self.read(chain, fingerprint)
        if found.problem:
            raise corrupt(None, f"its anchors cannot be believed: {found.problem}")
        return found.furthest

    def add(self, anchor: Anchor, chain: Chain) -> None:
        """The anchor stands at the end of the file and is durable, 0600 where the file is new; else JournalUnavailable."""
        line = json.dumps(anchor.sealed(chain), sort_keys=True, separators=(",", ":")).encode("ascii") + b"\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            flags = os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            held = os.open(self.path, flags, 0o600)
            try:
                fcntl.flock(held, fcntl.LOCK_EX)
                _require_plain(held, self.path)
                size = os.fstat(held).st_size
                if size and os.pread(held, 1, size - 1) != b"\n":
                    os.ftruncate(held, _last_line_end(held, size))  # a line that was never reported as written
                _write_all(held, line)
                os.fsync(held)
            finally:
                os.close(held)
            sync_folder(self.path.parent)
        except OSError as trouble:
            raise JournalUnavailable(
                f"the anchor cannot be written to {shown(self.path)}: {trouble.strerror}",
                fix="look at that disk or name another file with --out; the journal itself is untouched",
            ) from None

    def _lines(self) -> list[str]:
        """Whole lines; what follows the last line's end was never reported as written."""
        try:
            held = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return []
        except OSError as trouble:
            raise _unreadable(self.path, str(trouble.strerror)) from None
        try:
            _require_plain(held, self.path)
            with os.fdopen(held, "rb", closefd=False) as file:
                text = file.read(LARGEST + 1)
        except OSError as trouble:
            raise _unreadable(self.path, str(trouble.strerror)) from None
        finally:
            os.close(held)
        if len(text) > LARGEST:
            raise _unreadable(self.path, "it is too large for a file of anchors")
        return text.decode("utf-8", "replace").split("\n")[:-1]


def read_line(line: str, chain: Chain, fingerprint: str, profile: str) -> Anchor | None:
    """The anchor of one line, None when it is of another profile; NotAnchored when it is not as we wrote it."""
    try:
        told = parse(line)
    except Unreadable:
        raise NotAnchored("it is no anchor") from None
    if told.get("schema") != SCHEMA:
        raise NotAnchored("it is no anchor of a form this version knows")
    if told.get("profile") != profile:
        return None
    anchor = _anchor(told)
    if anchor.key != fingerprint:
        raise NotAnchored("its anchor was made with another audit key: this is not the journal it was made of")
    if told != anchor.sealed(chain):
        raise NotAnchored("the anchor was changed")
    return anchor


def _anchor(told: dict[str, Json]) -> Anchor:
    seq = told.get("seq")
    texts = {name: told.get(name) for name in _TEXTS}
    hashes = (texts["hash"], texts["digest"], texts["key"])
    if type(seq) is not int or seq < 0 or not all(isinstance(each, str) for each in texts.values()):
        raise NotAnchored("the anchor was changed")
    if not all(_HEX.fullmatch(str(each)) for each in hashes):
        raise NotAnchored("the anchor was changed")
    try:
        at = moment(texts["at"])
    except (Unreadable, ValueError):
        raise NotAnchored("the anchor was changed") from None
    return Anchor(
        seq=seq,
        hash=str(texts["hash"]),
        digest=str(texts["digest"]),
        at=at,
        profile=str(texts["profile"]),
        account=str(texts["account"]),
        key=str(texts["key"]),
    )


def _seal(chain: Chain, anchor: Anchor) -> str:
    told = json.dumps(anchor.told(), sort_keys=True, separators=(",", ":"))
    return chain.state_hash("anchor", anchor.seq, anchor.hash, told)


def require_outside(path: Path, folder: Path) -> None:
    """UsageError for a file in the folder it is to vouch for: it would be lost, or restored, together with the journal."""
    if path.resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            f"{shown(path)} lies in the profile's state folder, and would be lost or restored together with the journal",
            fix="name a file elsewhere, best on another disk or host",
        )


def _require_plain(held: int, path: Path) -> None:
    if not stat.S_ISREG(os.fstat(held).st_mode):
        raise UsageError(f"{shown(path)} is not a plain file", fix="name another file")


def _last_line_end(held: int, size: int) -> int:
    """Where the last whole line of the file ends."""
    while size > 0:
        start = max(size - 65536, 0)
        at = os.pread(held, size - start, start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        size = start
    return 0


def _write_all(held: int, text: bytes) -> None:
    while text:
        text = text[os.write(held, text) :]


def _unreadable(path: Path, why: str) -> JournalUnavailable:
    return JournalUnavailable(
        f"the journal's anchors in {shown(path)} cannot be read: {why}",
        fix="make the file readable: without it nobody can tell whether the journal is complete",
    )
