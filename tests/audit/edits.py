"""Every deletion, insertion, swap of two and cut of a journal of 200 records, each judged by the real walk and verdict."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from perpsctl.domain.audits import Completeness, Tampering
from perpsctl.journal.anchor import Anchored
from perpsctl.journal.audit import Chain, Row
from perpsctl.journal.auditing import walk, wholeness
from perpsctl.journal.backend import Backend
from perpsctl.journal.head import Head


class Listed:
    """Rows as a back end answers with them."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = sorted(rows, key=lambda row: row.seq)

    def often(self, statement: object, values: Mapping[str, Any]) -> list[tuple[object, ...]]:
        """What the one statement of the walk answers."""
        first = values["seq"]
        return [tuple(getattr(row, name) for name in Row.__slots__) for row in self._rows if row.seq >= first]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Rows after somebody without the key was at them; what the verdict has to say."""

    told: str
    rows: tuple[Row, ...]
    first_bad: int
    what: frozenset[Tampering]


def misjudged(chain: Chain, edit: Edit, noted: Head) -> str | None:
    """None when the verdict names the first bad record and the deed; else what it says instead."""
    found = walk(cast(Backend, Listed(edit.rows)), chain, (noted,), reached=noted.seq)
    if found.damage is not None:
        said, row = found.damage.what, found.damage.row
    else:
        whole = wholeness(found, noted, Anchored(place=""))
        if whole.sound or whole.state is not Completeness.TRUNCATED:
            return f"{edit.told}: NOT FOUND"
        said, row = Tampering.TRUNCATED, whole.first_missing or 0
    return None if (row, said in edit.what) == (edit.first_bad, True) else f"{edit.told}: {said} at {row}"


def deletions(rows: tuple[Row, ...], *, every: int = 1) -> Iterator[Edit]:
    """Each record taken out: with its number, and with the later ones moved up."""
    for place in range(0, len(rows), every):
        rest = (*rows[:place], *rows[place + 1 :])
        last = place == len(rows) - 1
        what = frozenset({Tampering.TRUNCATED if last else Tampering.DELETED})
        yield Edit(told=f"record {place + 1} deleted", rows=rest, first_bad=place + 1, what=what)
        if not last:
            yield Edit(
                told=f"record {place + 1} deleted, renumbered", rows=numbered(rest), first_bad=place + 1, what=what
            )


def cuts(rows: tuple[Row, ...], *, every: int = 1) -> Iterator[Edit]:
    """Each tail cut off, down to nothing."""
    for kept in range(0, len(rows), every):
        what = frozenset({Tampering.TRUNCATED})
        yield Edit(told=f"cut after {kept}", rows=rows[:kept], first_bad=kept + 1, what=what)


def swaps(rows: tuple[Row, ...], *, every: int = 1) -> Iterator[Edit]:
    """Each pair of two that changed places."""
    count = 0
    for first in range(len(rows)):
        for second in range(first + 1, len(rows)):
            count += 1
            if count % every:
                continue
            changed = list(rows)
            changed[first], changed[second] = (
                replace(rows[second], seq=first + 1),
                replace(rows[first], seq=second + 1),
            )
            what = frozenset({Tampering.REORDERED})
            yield Edit(
                told=f"{first + 1} and {second + 1} swapped", rows=tuple(changed), first_bad=first + 1, what=what
            )


def insertions(rows: tuple[Row, ...], *, every: int = 19) -> Iterator[Edit]:
    """A copy of one record in `every` put in at each place, and a record of somebody without the key at each place.

    One behind the last, made without the key, cannot be told from a last record that was changed: it is called changed.
    """
    count = 0
    for place in range(len(rows) + 1):
        for source in rows:
            count += 1
            if count % every == 0:
                yield _put_in(rows, place, source, f"copy of {source.seq} put in at {place + 1}")
        if every > len(rows) and place % 20:
            continue
        yield _put_in(
            rows, place, replace(rows[0], payload='{"amount":"1000000"}', ref="forged"), f"forged at {place + 1}"
        )


def _put_in(rows: tuple[Row, ...], place: int, row: Row, told: str) -> Edit:
    """As a database can hold it: every number once, what followed moved on."""
    changed = numbered((*rows[:place], row, *rows[place:]))
    forged_at_the_end = row.ref == "forged" and place == len(rows)
    what = {Tampering.CHANGED} if forged_at_the_end else {Tampering.INSERTED}
    first_bad = place + 1
    if place < len(rows) and row == rows[place]:
        first_bad += 1  # the copy before or the original behind: there is no difference
    return Edit(told=told, rows=changed, first_bad=first_bad, what=frozenset(what))


def numbered(rows: Iterable[Row]) -> tuple[Row, ...]:
    """With numbers from 1 on, as somebody without the key would write them."""
    return tuple(row if row.seq == at else replace(row, seq=at) for at, row in enumerate(rows, start=1))


ALL: Mapping[str, Callable[[tuple[Row, ...]], Iterator[Edit]]] = {
    "deletions": deletions,
    "insertions": insertions,
    "swaps": swaps,
    "cuts": cuts,
}
