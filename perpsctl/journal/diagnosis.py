"""Names the first bad row of a chain and what was done to it: changed, deleted, inserted, reordered, truncated (J4).

Finding is `Chain.problem` and certain. Naming the deed reads the rows once more and is the plainest story they allow:
whoever lacks the key can leave nothing but rows that are not sealed, or sealed rows in the wrong place.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain as chain_of

from perpsctl.domain.audits import Damage, Tampering
from perpsctl.journal.audit import GENESIS, Chain, Row
from perpsctl.journal.head import Head

FURTHEST = 1_000_000  # numbers a row that is out of place is tried under, beyond those its neighbours suggest


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """The first bad row, what it should have followed, and what else there is."""

    after: Head
    bad: Row
    last: bool  # nothing comes after it
    true: Row | None  # the row that belongs here, wherever it stands now
    own: int | None  # the number under which the bad row was sealed
    twin: bool  # the same sealed row stands at another place too
    reached: int  # how far a noted or anchored head says the journal went


def first_damage(chain: Chain, rows: Callable[[], Iterable[Row]], *, reached: int = 0) -> Damage | None:
    """The first bad row of all `rows` (read twice if there is one); None when every row stands as it was sealed."""
    held = Head(seq=0, hash=GENESIS)
    for row in rows():
        if chain.problem(row, held.seq, held.hash) is not None:
            return named(chain, held, row, rows(), reached=reached)
        held = Head(seq=row.seq, hash=row.hash)
    return None


def named(chain: Chain, after: Head, bad: Row, everything: Iterable[Row], *, reached: int = 0) -> Damage:
    """What was done at the place after `after`, where `bad` stands now; `everything` is all rows as they stand."""
    seq, true, twin, highest, behind = after.seq + 1, None, False, max(bad.seq, reached), False
    met, likely = False, [bad.seq, seq]
    for row in everything:
        if row.hash == bad.prev:
            likely.append(row.seq + 1)
        behind = behind or met
        met = met or row == bad
        highest = max(highest, row.seq)
        if row.prev == after.hash and true is None and chain.sealed(row, seq=seq):
            true = row
        twin = twin or (row.hash == bad.hash and row != bad)
    numbers = chain_of(likely, range(1, min(highest + 2, FURTHEST)))
    own = next((each for each in numbers if chain.sealed(bad, seq=each)), None)
    scene = _Scene(after=after, bad=bad, last=not behind, true=true, own=own, twin=twin, reached=reached)
    what, detail = _told(chain, scene)
    return Damage(row=seq, what=what, detail=detail)


def _told(chain: Chain, scene: _Scene) -> tuple[Tampering, str]:
    seq, bad = scene.after.seq + 1, scene.bad
    if scene.true == bad:
        return Tampering.CHANGED, f"its number was changed to {bad.seq}"
    if scene.true is not None:
        return _out_of_place(scene, scene.true)
    if bad.seq == seq and chain.sealed(bad, prev=scene.after.hash):
        return Tampering.CHANGED, "its link to the record before it was changed"
    if scene.own == bad.seq == seq:
        return Tampering.INSERTED, "it follows a record this journal does not hold: it belongs to another copy of it"
    if scene.own is not None and scene.own > seq:
        return Tampering.DELETED, f"{_rows(seq, scene.own - 1)} gone; record {scene.own} comes next"
    if scene.own is not None:
        if scene.last and scene.reached < seq:
            return Tampering.INSERTED, f"a copy of record {scene.own} was put in at the end"
        return Tampering.CHANGED, f"a copy of record {scene.own} stands in its place"
    if bad.seq > seq:
        return Tampering.DELETED, f"{_rows(seq, bad.seq - 1)} gone; record {bad.seq}, which comes next, is changed too"
    if scene.last and scene.reached < seq:
        return Tampering.CHANGED, "it is not what was sealed: changed, or put in at the end without the key"
    return Tampering.CHANGED, "it is not what was sealed"


def _out_of_place(scene: _Scene, true: Row) -> tuple[Tampering, str]:
    """The record that belongs here is still there, at another number."""
    seq = scene.after.seq + 1
    if scene.own is None:
        return Tampering.INSERTED, f"it was put in without the key: the record that belongs here stands at {true.seq}"
    if scene.own < seq or scene.twin:
        return Tampering.INSERTED, f"a copy of record {scene.own} was put in; what belongs here stands at {true.seq}"
    if scene.bad.seq > seq:
        return Tampering.CHANGED, f"its number was changed to {true.seq}"
    return Tampering.REORDERED, f"record {scene.own} stands here, and record {seq} at {true.seq}"


def _rows(first: int, last: int) -> str:
    return f"record {first} is" if first == last else f"records {first} to {last} are"
