"""The head of the chain, noted in a small file beside the journal after each commit: how a cut or lost tail is seen.

The note is sealed with the audit key and not synced: after a power cut it may be older than the journal, never newer, so a
journal that lacks the noted row has lost its tail or was replaced by an older copy (D7, D9, D10). A note that is missing
or unreadable proves nothing and accuses nobody: completeness is then unknown.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from perpsctl.journal.audit import Chain

HEAD_FILE = "journal.head"
_LENGTH = 20 + 1 + 64 + 1 + 64 + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A row of the chain: its number and its hash."""

    seq: int
    hash: str


class HeadNote:
    """The file that holds the last head we saw committed."""

    def __init__(self, folder: Path, chain: Chain) -> None:
        self._path = folder / HEAD_FILE
        self._chain = chain
        self._held = -1

    def read(self) -> Head | None:
        """The noted head, None when there is no note that our key sealed."""
        try:
            held = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            words = os.read(held, _LENGTH).decode("ascii", "replace").split()
        except OSError:
            return None
        finally:
            os.close(held)
        if len(words) != 3 or not words[0].isdecimal():
            return None
        head = Head(seq=int(words[0]), hash=words[1])
        return head if words[2] == self._seal(head) else None

    def write(self, head: Head) -> None:
        """The note says `head`; a failure is harmless, an older note stands."""
        with suppress(OSError):
            if self._held < 0:
                self._held = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            os.pwrite(self._held, f"{head.seq:020d} {head.hash} {self._seal(head)}\n".encode("ascii"), 0)

    def close(self) -> None:
        """The file is closed."""
        if self._held >= 0:
            with suppress(OSError):
                os.close(self._held)
            self._held = -1

    def _seal(self, head: Head) -> str:
        return self._chain.state_hash("head", head.seq, head.hash, "")
