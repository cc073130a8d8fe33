"""Every single-bit flip of a journal of 200 records: of each record's columns, and of each byte of the file.

A flip of the file is read back through the journal's own statement and chain. Where the records differ, the first one that
differs must be the one that is named. Where they do not, SQLite's check of pages and indexes, our check of tables, indexes
and triggers, and the seals of the snapshots must find it, or else it is shown that nothing a reader can see has changed.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from perpsctl.domain.audits import Tampering
from perpsctl.domain.errors import JournalUnavailable
from perpsctl.journal.audit import GENESIS, Chain, Row, read_key
from perpsctl.journal.diagnosis import named
from perpsctl.journal.head import Head
from perpsctl.journal.history import SINCE, as_row
from perpsctl.journal.opening import JOURNAL_FILE
from perpsctl.journal.rendered import Rendered
from tests.audit.journals import audit_of

HEADER = 100  # bytes of the file's own header, on its first page
_BESIDES = (
    "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema ORDER BY name",
    "SELECT account, seq, chain, state, hash FROM snapshots ORDER BY account, seq",
    "SELECT account, holder, fence, expires FROM leases ORDER BY account",
)
_SCHEMA, _SNAPSHOTS, _LEASES = range(3)


class Found(StrEnum):
    """What became of one flip."""

    NAMED = "a record differs: the first one is named"
    LOST = "the last records are out of reach: the noted head tells"
    UNREADABLE = "the database cannot be read"
    PAGES = "pages or indexes contradict one another: the check of pages tells"
    FORM = "a table, index or trigger is not ours: the check of the form tells"
    SNAPSHOT = "a snapshot is not as it was sealed"
    REFUSED = "the file's header: opening refuses or the verdict is against it"
    UNSEEN = "nothing that can be read has changed"
    LEASE = "the lease's row: state, no record, and not sealed"
    MISSED = "MISSED"


class Held:
    """A journal as its bytes, its rows and what else can be read of it."""

    def __init__(self, folder: Path) -> None:
        key = read_key(folder)
        assert key is not None
        self.folder = folder
        self.chain = Chain(key)
        self.image = (folder / JOURNAL_FILE).read_bytes()
        self._statement = Rendered(SINCE, SQLiteDialect_pysqlite())
        self.connection = sqlite3.connect(":memory:")
        whole = bytearray(self.image)
        whole[18] = whole[19] = 1  # a database in memory cannot be in write-ahead mode; these two are tried on a file
        self.whole = bytes(whole)
        self.load(self.whole)
        self.told = self.read()
        self.besides = self.read_besides()
        self.rows = [as_row(each) for each in self.told]
        assert self.chain.first_bad(self.rows, 0, GENESIS)[0] is None
        self.head = Head(seq=self.rows[-1].seq, hash=self.rows[-1].hash)

    def load(self, image: bytes | bytearray) -> None:
        """The connection shows this image."""
        self.connection.deserialize(image)

    def read(self) -> list[tuple[object, ...]]:
        """Every row, by the journal's own statement."""
        return self._statement.run(self.connection, {"seq": 1})

    def read_besides(self) -> list[list[tuple[object, ...]]]:
        """What else there is: the form, the snapshots, the leases."""
        return [self.connection.execute(each).fetchall() for each in _BESIDES]

    def sound_pages(self) -> bool:
        """SQLite's own check of pages and indexes, as `journal check`, `audit verify` and the start of `run` ask for it."""
        return bool(self.connection.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok")


@dataclass(slots=True)
class Tally:
    """How many flips ended how, and the places of those that must not be."""

    counts: Counter[Found] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)

    def add(self, found: Found, where: str) -> None:
        """One more flip."""
        self.counts[found] += 1
        if found is Found.MISSED and len(self.missed) < 20:
            self.missed.append(where)

    def join(self, other: "Tally") -> None:
        """Another worker's."""
        self.counts += other.counts
        self.missed.extend(other.missed)

    @property
    def flips(self) -> int:
        return sum(self.counts.values())


# --- the file -----------------------------------------------------------------------------------------


def flip_file(held: Held, offsets: Iterable[int]) -> Tally:
    """Each bit of the file's bytes at `offsets`, behind its header."""
    tally, image = Tally(), bytearray(held.whole)
    for offset in offsets:
        for bit in range(8):
            image[offset] ^= 1 << bit
            held.load(image)
            tally.add(_judged(held), f"byte {offset} bit {bit}")
            image[offset] ^= 1 << bit
    return tally


def _judged(held: Held) -> Found:
    try:
        told = held.read()
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return Found.UNREADABLE
    if told != held.told:
        return _told_apart(held, told)
    try:
        besides = held.read_besides()
        sound = held.sound_pages()
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return Found.UNREADABLE
    if not sound:
        return Found.PAGES
    if besides[_SCHEMA] != held.besides[_SCHEMA]:
        return Found.FORM  # `form_problem` compares exactly this with what we make
    if besides[_SNAPSHOTS] != held.besides[_SNAPSHOTS]:
        return Found.SNAPSHOT if not all(_sealed(held.chain, each) for each in besides[_SNAPSHOTS]) else Found.MISSED
    return Found.LEASE if besides[_LEASES] != held.besides[_LEASES] else Found.UNSEEN


def _told_apart(held: Held, told: list[tuple[object, ...]]) -> Found:
    """The rows differ: the chain, followed from the last row that is as it was, must stop at the first that is not."""
    first = next((at for at, pair in enumerate(zip(told, held.told, strict=False)) if pair[0] != pair[1]), None)
    first = min(len(told), len(held.told)) if first is None else first
    after = (
        Head(seq=0, hash=GENESIS) if first == 0 else Head(seq=held.rows[first - 1].seq, hash=held.rows[first - 1].hash)
    )
    if first == len(told):
        return Found.LOST if held.head.seq > after.seq else Found.MISSED
    bad, _ = held.chain.first_bad((as_row(each) for each in told[first:]), after.seq, after.hash)
    return Found.NAMED if bad == first + 1 else Found.MISSED


def _sealed(chain: Chain, kept: tuple[object, ...]) -> bool:
    account, seq, head, state, hash_ = kept
    return chain.state_hash(str(account), seq, str(head), str(state)) == hash_  # type: ignore[arg-type]


def flip_header(held: Held, offsets: Iterable[int], folder: Path) -> Tally:
    """Each bit of the file's header, each on a real file that is opened and verified as an operator would."""
    tally = Tally()
    file = folder / JOURNAL_FILE
    for offset in offsets:
        for bit in range(8):
            image = bytearray(held.image)
            image[offset] ^= 1 << bit
            _lay_out(held, folder, bytes(image))
            try:
                verdict = audit_of(folder).verify()
            except JournalUnavailable:
                tally.add(Found.REFUSED, "")
                continue
            if not verdict.sound or not verdict.completeness.sound:
                tally.add(Found.REFUSED, "")
                continue
            held.load(_in_memory(file.read_bytes()))
            same = held.read() == held.told and held.read_besides() == held.besides
            tally.add(Found.UNSEEN if same else Found.MISSED, f"header byte {offset} bit {bit}")
    return tally


def _lay_out(held: Held, folder: Path, image: bytes) -> None:
    for each in folder.iterdir():
        each.unlink()
    for each in held.folder.iterdir():
        if each.name != JOURNAL_FILE:
            (folder / each.name).write_bytes(each.read_bytes())
            (folder / each.name).chmod(0o600)
    (folder / JOURNAL_FILE).write_bytes(image)


def _in_memory(image: bytes) -> bytes:
    whole = bytearray(image)
    whole[18] = whole[19] = 1
    return bytes(whole)


# --- the records --------------------------------------------------------------------------------------


def flipped(row: Row) -> Iterator[tuple[str, Row]]:
    """`row` with each bit of each of its columns flipped: texts by character, the number by its 63 bits."""
    values = {name: getattr(row, name) for name in Row.__slots__}
    for bit in range(63):
        yield f"seq bit {bit}", Row(**{**values, "seq": row.seq ^ (1 << bit)})
    for column, text in values.items():
        if not isinstance(text, str):
            continue
        for at, character in enumerate(text):
            before, after = text[:at], text[at + 1 :]
            for bit in range(8):
                yield (
                    f"{column}[{at}] bit {bit}",
                    Row(**{**values, column: before + chr(ord(character) ^ (1 << bit)) + after}),
                )


def flip_records(held: Held, places: Iterable[int], *, explain_each: int = 0) -> Tally:
    """Each bit of the records at `places`; the deed is named for one flip in `explain_each`, and it is "changed"."""
    tally, count = Tally(), 0
    for place in places:
        before = held.rows[place - 1] if place else None
        after = Head(seq=0, hash=GENESIS) if before is None else Head(seq=before.seq, hash=before.hash)
        for where, row in flipped(held.rows[place]):
            count += 1
            problem = held.chain.problem(row, after.seq, after.hash)
            found = Found.NAMED if problem is not None else Found.MISSED
            if explain_each and count % explain_each == 0:
                rows = [*held.rows[:place], row, *held.rows[place + 1 :]]
                told = named(held.chain, after, row, rows, reached=held.head.seq)
                found = Found.NAMED if (told.row, told.what) == (place + 1, Tampering.CHANGED) else Found.MISSED
            tally.add(found, f"record {place + 1} {where}")
    return tally
