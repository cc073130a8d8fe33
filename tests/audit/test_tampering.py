"""What `make auditflips` does in full, in small: every bit of 200 records, a sample of the file's, of every edit and of opens."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from perpsctl.journal.audit import Row
from tests.audit import edits, opens
from tests.audit.flips import HEADER, Found, Held, flip_file, flip_header, flip_records
from tests.audit.journals import RECORDS, filled


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Held:
    folder = tmp_path_factory.mktemp("audit") / "sim"
    filled(folder, RECORDS)
    return Held(folder)


@pytest.mark.parametrize("share", range(4))
def test_every_flipped_bit_of_200_records_is_found_and_its_record_named_J4(held: Held, share: int) -> None:
    tally = flip_records(held, range(share, RECORDS, 4), explain_each=5000)
    assert (tally.missed, set(tally.counts)) == ([], {Found.NAMED})
    assert tally.flips > 150_000


def test_a_flipped_bit_of_the_file_is_found_or_changes_nothing_that_can_be_read_J4_D7(held: Held) -> None:
    tally = flip_file(held, random.Random(20261122).sample(range(HEADER, len(held.whole)), 80))
    assert tally.missed == []
    assert {Found.NAMED, Found.PAGES, Found.UNSEEN} <= set(tally.counts)


def test_a_flipped_bit_of_the_files_header_is_refused_or_changes_nothing_J4_D7(held: Held, tmp_path: Path) -> None:
    tally = flip_header(held, (0, 18, 63, 68), tmp_path)
    assert tally.missed == []
    assert tally.counts[Found.REFUSED] > 10


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(lambda rows: edits.deletions(rows, every=4), id="deletions"),
        pytest.param(lambda rows: edits.cuts(rows, every=4), id="cuts"),
        pytest.param(lambda rows: edits.swaps(rows, every=399), id="swaps"),
        pytest.param(lambda rows: edits.insertions(rows, every=799), id="insertions"),
    ],
)
def test_the_first_bad_record_and_the_deed_are_named_J4_D10(
    held: Held, made: Callable[[tuple[Row, ...]], Iterator[edits.Edit]]
) -> None:
    rows = tuple(held.rows)
    judged = [edits.misjudged(held.chain, edit, held.head) for edit in made(rows)]
    assert [each for each in judged if each is not None] == []
    assert len(judged) >= 40


def test_an_untouched_journal_is_no_edit(held: Held) -> None:
    """The judge of edits can find nothing, too."""
    untouched = edits.Edit(told="nothing", rows=tuple(held.rows), first_bad=1, what=frozenset())
    assert edits.misjudged(held.chain, untouched, held.head) == "nothing: NOT FOUND"


def test_clean_journals_of_every_kind_but_the_longest_open_without_an_alarm(tmp_path: Path) -> None:
    usual = [kind for kind in opens.KINDS if kind is not opens.long]
    result = opens.opened(tmp_path, 2 * len(usual), kinds=usual)
    assert result.alarms == []
    assert set(result.counts.values()) == {2}
