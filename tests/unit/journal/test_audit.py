"""The audit of a journal: both verdicts, anchors kept elsewhere, pages of records, the document for an outsider."""

import hashlib
import json
import os
import shutil
import sqlite3
import stat
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from perpsctl.domain.audits import AuditFilter, Completeness, Tampering
from perpsctl.domain.errors import JournalCorrupt, JournalUnavailable, UsageError
from perpsctl.journal.anchor import AnchorFile
from perpsctl.journal.audit import KEY_FILE
from perpsctl.journal.auditing import Audit
from perpsctl.journal.export import export
from perpsctl.journal.head import HEAD_FILE
from perpsctl.journal.opening import JOURNAL_FILE, open_journal
from perpsctl.journal.sqlite import TRIGGERS
from tests.audit.journals import audit_of, filled
from tests.unit.journal.fakes import ACCOUNT, START, FakeClock, FakeIds, a_journal, a_mark

RECORDS = 40


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template") / "sim"
    filled(folder, RECORDS)
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "sim"))


@pytest.fixture
def audit(folder: Path) -> Audit:
    return audit_of(folder)


@pytest.fixture
def anchors(folder: Path) -> Path:
    return folder.parent / "anchors.jsonl"


def sql(folder: Path, *statements: str) -> None:
    """What somebody with the file and without the key can do, triggers put back."""
    with sqlite3.connect(folder / JOURNAL_FILE) as database:
        for name in ("update", "delete"):
            database.execute(f"DROP TRIGGER events_keep_{name}")
        for each in (*statements, *TRIGGERS):
            database.execute(each)
    database.close()


def opened(folder: Path, anchors: Path) -> None:
    open_journal(
        folder, ACCOUNT, clock=FakeClock(), ids=FakeIds(), anchors=AnchorFile(anchors, "sim"), busy_timeout=timedelta(0)
    ).close()


def cut(folder: Path, after: int) -> None:
    """The records behind `after` are gone, with snapshots and the note that would tell."""
    sql(folder, f"DELETE FROM events WHERE seq > {after}", "DELETE FROM snapshots")
    (folder / HEAD_FILE).unlink(missing_ok=True)


# --- the verdicts -----------------------------------------------------------------------------------


def test_a_sound_journal_is_complete_as_far_as_was_kept_elsewhere(audit: Audit, folder: Path) -> None:
    assert (audit.verify().sound, audit.verify().completeness.state) == (True, Completeness.NOTED)
    audit.anchor(None)
    found = audit.verify().completeness
    assert (found.state, found.up_to, found.anchors, found.sound) == (Completeness.ANCHORED, RECORDS, 1, True)
    (folder / HEAD_FILE).unlink()
    (folder.parent / "anchors.jsonl").unlink()
    assert audit.verify().completeness.state is Completeness.NOT_ANCHORED


@pytest.mark.parametrize(
    ("statement", "row", "what"),
    [
        ("UPDATE events SET payload = payload || ' ' WHERE seq = 7", 7, Tampering.CHANGED),
        ("UPDATE events SET intent_id = x'ff' WHERE seq = 7", 7, Tampering.CHANGED),
        ("UPDATE events SET ref = 1 WHERE seq = 9", 9, Tampering.CHANGED),
        ("UPDATE events SET prev = hash WHERE seq = 7", 7, Tampering.CHANGED),
        ("UPDATE events SET seq = 900 WHERE seq = 7", 7, Tampering.CHANGED),
        ("DELETE FROM events WHERE seq IN (7, 8)", 7, Tampering.DELETED),
        (f"DELETE FROM events WHERE seq > {RECORDS - 2}", RECORDS - 1, Tampering.TRUNCATED),
    ],
)
def test_the_first_bad_record_and_the_deed_are_named_J4_D10(
    audit: Audit, folder: Path, statement: str, row: int, what: Tampering
) -> None:
    sql(folder, statement)
    found = audit.verify()
    if what is Tampering.TRUNCATED:
        assert (found.completeness.state, found.completeness.first_missing) == (Completeness.TRUNCATED, row)
    else:
        assert found.damage is not None
        assert (found.damage.row, found.damage.what, found.sound) == (row, what, False)
    with pytest.raises(JournalCorrupt):
        audit.anchor(None)


def test_a_changed_record_says_nothing_against_the_end_of_the_journal(audit: Audit, folder: Path) -> None:
    audit.anchor(None)
    sql(folder, "UPDATE events SET payload = payload || ' ' WHERE seq = 7")
    found = audit.verify()
    assert (found.sound, found.completeness.state, found.completeness.up_to) == (False, Completeness.ANCHORED, RECORDS)


def test_a_text_that_is_no_text_names_its_record_and_is_no_crash_D7(audit: Audit, folder: Path) -> None:
    sql(folder, "UPDATE events SET payload = CAST(x'c3287b7d' AS TEXT) WHERE seq = 35")
    found = audit.verify()
    assert found.damage is not None
    assert (found.damage.row, found.damage.what) == (35, Tampering.CHANGED)
    with pytest.raises(JournalCorrupt):
        a_journal(folder)


def test_a_trigger_that_is_gone_and_a_changed_snapshot_are_found(audit: Audit, folder: Path) -> None:
    with sqlite3.connect(folder / JOURNAL_FILE) as database:
        database.execute("DROP TRIGGER events_keep_update")
    database.close()
    found = audit.verify()
    assert (found.sound, found.damage) == (False, None)
    assert "events_keep_update" in found.problem
    sql_again = sqlite3.connect(folder / JOURNAL_FILE)
    sql_again.execute(TRIGGERS[0])
    sql_again.execute("UPDATE snapshots SET state = state || ' '")
    sql_again.commit()
    sql_again.close()
    assert "snapshot" in audit.verify().problem


def test_a_journal_that_is_no_database_any_more_is_a_verdict_or_an_error_D7(audit: Audit, folder: Path) -> None:
    os.truncate(folder / JOURNAL_FILE, 20_000)
    with suppress(JournalUnavailable):
        assert not audit.verify().sound


def test_without_a_key_nothing_is_judged_and_before_a_journal_there_is_nothing_to(tmp_path: Path, folder: Path) -> None:
    (folder / KEY_FILE).unlink()
    with pytest.raises(JournalCorrupt, match="is missing"):
        audit_of(folder).verify()
    assert {each.sealed for each in audit_of(folder).page(AuditFilter()).records} == {None}
    with pytest.raises(JournalUnavailable, match="no journal yet"):
        audit_of(tmp_path / "none").verify()
    assert not (tmp_path / "none").exists()


def test_another_key_is_named_at_record_one(audit: Audit, folder: Path) -> None:
    (folder / KEY_FILE).write_text("ab" * 32)
    found = audit.verify()
    assert found.damage is not None
    assert found.damage.row == 1


# --- anchors ----------------------------------------------------------------------------------------


def test_a_cut_tail_without_any_note_is_told_by_the_anchor_and_nothing_opens_D9_D10(
    audit: Audit, folder: Path, anchors: Path
) -> None:
    audit.anchor(None)
    cut(folder, RECORDS - 3)
    a_journal(folder).close()  # integrity alone has nothing against it
    found = audit.verify()
    assert (found.sound, found.completeness.state) == (True, Completeness.TRUNCATED)
    assert found.completeness.first_missing == RECORDS - 2
    with pytest.raises(JournalCorrupt, match=f"at row {RECORDS - 2}: record {RECORDS} was anchored on 2026-11-22"):
        opened(folder, anchors)


def test_an_older_copy_that_was_gone_on_from_is_told_by_the_anchor_D9(
    audit: Audit, folder: Path, anchors: Path, tmp_path: Path
) -> None:
    audit.anchor(None)
    older = Path(shutil.copytree(folder, tmp_path / "older"))
    filled(folder, RECORDS + 5, seed=2)
    audit.anchor(None)
    shutil.rmtree(folder)
    shutil.copytree(older, folder)
    filled(folder, RECORDS + 9, seed=3)
    found = audit.verify().completeness
    assert (found.state, found.up_to, found.first_missing) == (Completeness.REPLACED, RECORDS, RECORDS + 1)
    with pytest.raises(JournalCorrupt, match="gone on"):
        opened(folder, anchors)


def test_a_journal_removed_with_its_key_and_begun_anew_does_not_open_D9(
    audit: Audit, folder: Path, anchors: Path
) -> None:
    audit.anchor(None)
    shutil.rmtree(folder)
    with pytest.raises(JournalCorrupt, match=r"audit\.key is missing"):
        audit.verify()
    open_journal(folder, ACCOUNT, clock=FakeClock(), ids=FakeIds("other")).close()
    (folder / KEY_FILE).write_text("cd" * 32)
    with pytest.raises(JournalCorrupt, match="another audit key"):
        opened(folder, anchors)
    assert audit.verify().completeness.state is Completeness.UNPROVEN


def test_a_journal_removed_beside_its_key_is_a_verdict(audit: Audit, folder: Path) -> None:
    (folder / JOURNAL_FILE).unlink()
    found = audit.verify()
    assert (found.rows, found.completeness.state, found.completeness.first_missing) == (0, Completeness.TRUNCATED, 1)
    assert not (folder / JOURNAL_FILE).exists()


@pytest.mark.parametrize("column", ["seq", "hash", "digest", "at", "profile", "account", "key", "seal", "schema"])
def test_a_changed_anchor_is_no_absent_one(audit: Audit, folder: Path, anchors: Path, column: str) -> None:
    audit.anchor(None)
    told = json.loads(anchors.read_text())
    told[column] = (
        told[column] - 1 if column == "seq" else told[column][:-1] + ("0" if told[column][-1] != "0" else "1")
    )
    anchors.write_text(json.dumps(told) + "\n")
    state = audit.verify().completeness.state
    if column == "profile":  # another profile's: as if the line were not there
        assert state is Completeness.NOTED
        return
    assert state is Completeness.UNPROVEN
    with pytest.raises(JournalCorrupt, match="line 1"):
        opened(folder, anchors)


@pytest.mark.parametrize("line", ["", "{", "[]", "null", '{"schema":"perpsctl.anchor/1","profile":"sim"}', "\udcff"])
def test_a_line_that_is_no_anchor_is_told_by_its_number(audit: Audit, anchors: Path, line: str) -> None:
    audit.anchor(None)
    with anchors.open("a", encoding="utf-8", errors="surrogateescape") as file:
        file.write(line + "\n")
    found = audit.verify().completeness
    assert found.state is Completeness.UNPROVEN
    assert "line 2 of" in found.problem


def test_a_line_that_a_power_cut_left_half_written_is_passed_over_and_gone_with_the_next(
    audit: Audit, anchors: Path
) -> None:
    audit.anchor(None)
    whole = anchors.read_bytes()
    anchors.write_bytes(whole + whole[:100])
    assert audit.verify().completeness.state is Completeness.ANCHORED
    audit.anchor(None)
    assert audit.verify().completeness.anchors == 2
    assert anchors.read_bytes().count(b"\n") == 2


def test_profiles_may_share_a_file_of_anchors(audit: Audit, anchors: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "desk"
    filled(other, 10)
    (other / KEY_FILE).chmod(0o600)
    Audit(profile="desk", folder=other, url=None, anchors=anchors, clock=FakeClock()).anchor(None)
    assert audit.verify().completeness.state is Completeness.NOTED
    with pytest.raises(UsageError, match="no anchor of profile sim"):
        audit.verify(anchors)
    audit.anchor(None)
    assert audit.verify(anchors).completeness.anchors == 1


def test_an_anchors_file_is_private_plain_outside_the_state_folder_and_no_symlink_S6(
    audit: Audit, folder: Path, anchors: Path, tmp_path: Path
) -> None:
    before = os.umask(0)
    try:
        audit.anchor(tmp_path / "far" / "anchors")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "far" / "anchors").stat().st_mode) == 0o600
    for inside in (folder / "anchors", folder / ".." / folder.name / "anchors"):
        with pytest.raises(UsageError, match="state folder"):
            audit.anchor(inside)
    anchors.symlink_to(tmp_path / "victim")
    with pytest.raises(JournalUnavailable):
        audit.anchor(None)
    assert not (tmp_path / "victim").exists()
    with pytest.raises(JournalUnavailable, match="cannot be read"):
        opened(folder, anchors)
    with pytest.raises(UsageError, match="no anchor"):
        audit.verify(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="plain file"):
        audit.verify(Path("/dev/null"))


def test_an_empty_journal_can_be_anchored(tmp_path: Path) -> None:
    filled(tmp_path / "sim", 0)
    made = audit_of(tmp_path / "sim").anchor(None)
    assert (made.seq, made.hash, made.account) == (0, "0" * 64, "")
    assert audit_of(tmp_path / "sim").verify().completeness.state is Completeness.ANCHORED
    filled(tmp_path / "sim", 20)
    assert audit_of(tmp_path / "sim").verify().completeness.sound


# --- records ----------------------------------------------------------------------------------------


def test_pages_hold_every_record_once_newest_first(audit: Audit) -> None:
    seen: list[int] = []
    before: int | None = None
    while True:
        page = audit.page(AuditFilter(limit=7, before=before))
        seen += [each.seq for each in page.records]
        before = page.next_before
        if before is None:
            break
    assert seen == list(range(RECORDS, 0, -1))


def test_records_are_found_by_kind_id_and_time(audit: Audit) -> None:
    everything = audit.page(AuditFilter(limit=100)).records
    halts = audit.page(AuditFilter(kind="halt")).records
    assert [each.seq for each in halts] == [each.seq for each in everything if each.kind == "halt"] != []
    first = next(each for each in everything if each.intent_id)
    found = audit.page(AuditFilter(id=first.intent_id)).records
    assert {each.intent_id for each in found} == {first.intent_id}
    assert audit.page(AuditFilter(id="%")).records == ()
    middle = everything[20]
    at = START.fromisoformat(middle.at.replace("Z", "+00:00"))
    assert audit.page(AuditFilter(since=at, limit=100)).records == everything[:21]
    assert audit.page(AuditFilter(until=at, limit=100)).records == everything[21:]


def test_a_changed_record_is_shown_as_not_sealed(audit: Audit, folder: Path) -> None:
    sql(folder, "UPDATE events SET payload = 'no json' WHERE seq = 12")
    found = {each.seq: each for each in audit.page(AuditFilter(limit=100)).records}
    assert [seq for seq, each in found.items() if not each.sealed] == [12]
    assert found[12].payload is None


# --- the document for an outsider -------------------------------------------------------------------


def lines_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="ascii").splitlines()]


def test_an_outsider_holds_an_export_against_an_anchor_made_before_without_the_key(
    audit: Audit, folder: Path, anchors: Path, tmp_path: Path
) -> None:
    audit.anchor(None)
    anchor = json.loads(anchors.read_text())
    filled(folder, RECORDS + 6, seed=2)
    made = export(audit, tmp_path / "export.jsonl")
    head, *records, foot = lines_of(tmp_path / "export.jsonl")
    assert (head["schema"], head["records"], head["integrity"]["sound"]) == (
        "perpsctl.audit.export/1",
        RECORDS + 6,
        True,
    )
    assert (made.rows, len(records), foot["seq"]) == (RECORDS + 6, RECORDS + 6, RECORDS + 6)
    digest, before = "0" * 64, "0" * 64
    digests = {}
    for number, record in enumerate(records, start=1):  # written anew from docs/ops/audit.md, on purpose
        assert (record["seq"], record["prev"]) == (number, before)
        parts = [str(record["seq"])] + [record[name] for name in (
            "account", "kind", "at", "intent_id", "venue_order_id", "ref", "occurred", "payload", "prev", "hash")]  # fmt: skip
        text = "".join("-" if part is None else f"{len(part)}:{part}" for part in parts)
        digest, before = hashlib.sha256((digest + text).encode()).hexdigest(), record["hash"]
        digests[number] = digest
    assert (digests[anchor["seq"]], records[anchor["seq"] - 1]["hash"]) == (anchor["digest"], anchor["hash"])
    assert (foot["digest"], foot["hash"]) == (digest, before)
    assert stat.S_IMODE((tmp_path / "export.jsonl").stat().st_mode) == 0o600


def test_an_export_is_never_written_over_a_file_and_leaves_nothing_half_done(audit: Audit, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("precious")
    with pytest.raises(UsageError, match="there already"):
        export(audit, tmp_path / "there")
    assert (tmp_path / "there").read_text() == "precious"
    with pytest.raises(JournalUnavailable, match="cannot be written"):
        export(audit, tmp_path / "no such folder" / "x")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["sim", "there"]


def test_a_damaged_journal_is_exported_with_the_verdict_and_without_a_head(
    audit: Audit, folder: Path, tmp_path: Path
) -> None:
    sql(folder, "UPDATE events SET payload = x'0000' WHERE seq = 12")
    made = export(audit, tmp_path / "export.jsonl")
    head, *records, foot = lines_of(tmp_path / "export.jsonl")
    assert head["integrity"] == {
        "first_bad": 12, "problem": "record 12 changed: it is not what was sealed", "sound": False}  # fmt: skip
    assert (len(records), "seal" in foot, made.found.sound) == (RECORDS, False, False)


def test_the_journal_is_not_written_to_by_an_audit(audit: Audit, folder: Path, tmp_path: Path) -> None:
    before = (folder / JOURNAL_FILE).read_bytes()
    audit.verify()
    audit.page(AuditFilter())
    audit.anchor(None)
    export(audit, tmp_path / "export.jsonl")
    assert (folder / JOURNAL_FILE).read_bytes() == before


def test_an_audit_goes_on_beside_a_running_writer(audit: Audit, folder: Path) -> None:
    journal = a_journal(folder)
    try:
        for number in range(5):
            journal.record_mark(a_mark(str(1_000_000 + number)))
            assert audit.verify().rows == RECORDS + number + 1
    finally:
        journal.close()
