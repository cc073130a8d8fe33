"""A superuser of the database, who can turn the triggers off, is at the records: each deed is found and named (J4, D9, D10)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from perpsctl.domain.audits import AuditFilter, Completeness, Tampering
from perpsctl.domain.errors import JournalCorrupt
from perpsctl.journal.anchor import AnchorFile
from perpsctl.journal.auditing import Audit
from perpsctl.journal.export import export
from perpsctl.journal.head import HEAD_FILE
from perpsctl.journal.opening import open_journal
from tests.audit.journals import audit_of, filled
from tests.postgres import Server, postgres_server
from tests.unit.journal.fakes import ACCOUNT, FakeClock, FakeIds

__all__ = ["postgres_server"]
pytestmark = [pytest.mark.scenario]

RECORDS = 60
OFF, ON = "ALTER TABLE events DISABLE TRIGGER USER", "ALTER TABLE events ENABLE TRIGGER USER"
COLUMNS = "account, kind, at, intent_id, venue_order_id, ref, occurred, payload, prev, hash"
SWAP = (
    "UPDATE events SET seq = 9999 WHERE seq = {0}; UPDATE events SET seq = {0} WHERE seq = {1}; "
    "UPDATE events SET seq = {1} WHERE seq = 9999"
)
# Room is made at number 20 for a copy of a record that no unique index keeps from being there twice.
SHIFT = "UPDATE events SET seq = seq + 9000 WHERE seq >= 20; UPDATE events SET seq = seq - 8999 WHERE seq >= 9000"
PUT_IN = "{0}; INSERT INTO events (seq, {1}) SELECT 20, {2} FROM events WHERE kind = 'halt' ORDER BY seq LIMIT 1"


@dataclass(frozen=True, slots=True)
class Place:
    """A journal in a database, and whoever owns the server."""

    folder: Path
    url: str
    server: Server
    database: str

    @property
    def audit(self) -> Audit:
        return audit_of(self.folder, url=self.url)

    def as_superuser(self, statements: str) -> None:
        """Past perpsctl, with the triggers off for a moment."""
        self.server.run(self.database, f"{OFF}; {statements}; {ON}")


@pytest.fixture
def place(tmp_path: Path, postgres_server: Server) -> Iterator[Place]:
    database = postgres_server.new_database()
    url = postgres_server.url(database)
    filled(tmp_path / "sim", RECORDS, url=url)
    yield Place(tmp_path / "sim", url, postgres_server, database)
    postgres_server.run("postgres", f"DROP DATABASE {database} WITH (FORCE)")


def test_a_sound_journal_is_verified_anchored_shown_and_exported(place: Place, tmp_path: Path) -> None:
    made = place.audit.anchor(None)
    assert (made.seq, made.account) == (RECORDS, ACCOUNT)
    found = place.audit.verify()
    assert (found.sound, found.completeness.state) == (True, Completeness.ANCHORED)
    page = place.audit.page(AuditFilter(kind="halt", limit=1))
    assert (page.records[0].sealed, page.next_before is not None) == (True, True)
    assert place.audit.page(AuditFilter(id=page.records[0].intent_id or "intent-")).records
    assert export(place.audit, tmp_path / "export.jsonl").rows == RECORDS
    assert json.loads((tmp_path / "export.jsonl").read_text().splitlines()[-1])["seq"] == RECORDS


@pytest.mark.parametrize(
    ("statements", "row", "what"),
    [
        ("UPDATE events SET payload = payload || ' ' WHERE seq = 7", 7, Tampering.CHANGED),
        ("UPDATE events SET at = '2020-01-01T00:00:00.000000Z' WHERE seq = 1", 1, Tampering.CHANGED),
        ("UPDATE events SET hash = reverse(hash) WHERE seq = 59", 59, Tampering.CHANGED),
        ("DELETE FROM events WHERE seq = 7", 7, Tampering.DELETED),
        ("DELETE FROM events WHERE seq < 10", 1, Tampering.DELETED),
        (
            "DELETE FROM events WHERE seq = 7; UPDATE events SET seq = seq + 9000 WHERE seq > 7; "
            "UPDATE events SET seq = seq - 9001 WHERE seq > 9000",
            7,
            Tampering.DELETED,
        ),
        (PUT_IN.format(SHIFT, COLUMNS, COLUMNS), 20, Tampering.INSERTED),
        (PUT_IN.format(SHIFT, COLUMNS, COLUMNS.replace("payload", "'{}'")), 20, Tampering.INSERTED),
        (SWAP.format(12, 40), 12, Tampering.REORDERED),
        (f"DELETE FROM events WHERE seq > {RECORDS - 5}", RECORDS - 4, Tampering.TRUNCATED),
        ("TRUNCATE events", 1, Tampering.TRUNCATED),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_a_superuser_did_is_named_with_the_first_bad_record_J4_D10(
    place: Place, statements: str, row: int, what: Tampering
) -> None:
    place.audit.anchor(None)
    place.as_superuser(statements)
    found = place.audit.verify()
    if what is Tampering.TRUNCATED:
        assert (found.completeness.state, found.completeness.first_missing) == (Completeness.TRUNCATED, row)
    else:
        assert found.damage is not None
        assert (found.damage.row, found.damage.what) == (row, what)
    with pytest.raises(JournalCorrupt):
        place.audit.anchor(None)


def test_a_database_restored_from_an_older_dump_does_not_open_on_any_host_D9_X3(place: Place, tmp_path: Path) -> None:
    """A standby that lagged, or a dump: the note beside this host's journal may be lost too, the anchor is not."""
    place.audit.anchor(None)
    place.as_superuser(f"DELETE FROM events WHERE seq > {RECORDS - 4}; DELETE FROM snapshots")
    (place.folder / HEAD_FILE).unlink()
    anchors = AnchorFile(place.folder.parent / "anchors.jsonl", "sim")
    with pytest.raises(JournalCorrupt, match=f"at row {RECORDS - 3}: record {RECORDS} was anchored"):
        open_journal(place.folder, ACCOUNT, clock=FakeClock(), ids=FakeIds(), url=place.url, anchors=anchors)
    filled(place.folder, RECORDS + 1, seed=2, url=place.url)  # gone on from by a host that knows no anchor
    assert place.audit.verify().completeness.state is Completeness.REPLACED
