"""Tampering and damage are found and the first bad row named (J4); what cannot be trusted is not opened (D7-D10, J6, S6)."""

import json
import os
import random
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from perpsctl.domain.errors import JournalCorrupt, JournalUnavailable
from perpsctl.domain.ids import IntentId
from perpsctl.domain.orders import OrderStatus, Unknown
from perpsctl.domain.ports import EventKind, Integrity
from perpsctl.journal import info
from perpsctl.journal import sqlite as room
from perpsctl.journal.audit import KEY_FILE, Chain, Row, read_key
from perpsctl.journal.head import HEAD_FILE
from perpsctl.journal.opening import JOURNAL_FILE
from perpsctl.journal.schema import SCHEMA
from perpsctl.journal.sqlite import TRIGGERS
from tests.unit.journal.fakes import (
    ACCOUNT,
    FakeClock,
    FakeIds,
    a_fill,
    a_journal,
    a_mark,
    accepted,
    an_intent,
    an_order,
    yes,
)

ROWS = 60


def fill(folder: Path, rows: int = ROWS) -> None:
    journal = a_journal(folder)
    try:
        journal.record_mark(a_mark())
        number = 0
        while journal.log.head().seq < rows:
            intent = an_intent(f"intent-{number:04d}")
            journal.decide(intent, intent.size, yes(intent))
            journal.record_outcome(intent.id, accepted(f"order-{number}", an_order(f"order-{number}")))
            journal.record_fills([a_fill(f"fill-{number}", order=f"order-{number}", size="0.01")])
            number += 1
    finally:
        journal.close()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template") / "sim"
    fill(folder)
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    copied = tmp_path / "sim"
    shutil.copytree(template, copied)
    return copied


def forge(folder: Path, *statements: str) -> None:
    """What somebody with the file and without the key can do."""
    database = sqlite3.connect(folder / JOURNAL_FILE)
    try:
        for name in ("update", "delete"):
            database.execute(f"DROP TRIGGER events_keep_{name}")
        for each in statements:
            database.execute(each)
        for each in TRIGGERS:  # whoever does that puts them back
            database.execute(each)
        database.commit()
    finally:
        database.close()


def verdict(folder: Path) -> Integrity:
    return info.check_journal(folder, ACCOUNT, clock=FakeClock(), ids=FakeIds(), full=True)


def rows_of(folder: Path) -> list[Row]:
    database = sqlite3.connect(folder / JOURNAL_FILE)
    try:
        database.row_factory = sqlite3.Row
        return [Row(**dict(each)) for each in database.execute("SELECT * FROM events ORDER BY seq")]
    finally:
        database.close()


def test_an_untouched_journal_is_sound(folder: Path) -> None:
    found = verdict(folder)
    assert (found.sound, found.first_bad, found.problem) == (True, None, "")
    assert (found.verified_from, found.rows) == (1, rows_of(folder)[-1].seq)


def test_nulls_and_moved_text_between_columns_are_found_J4(template: Path) -> None:
    rows = rows_of(template)
    key = read_key(template)
    assert key is not None
    row = next(each for each in rows if each.venue_order_id is not None and each.intent_id is not None)
    before = rows[row.seq - 2]
    values = {name: getattr(row, name) for name in Row.__slots__}
    for changed in (
        {"intent_id": None},
        {"ref": ""},
        {"intent_id": row.venue_order_id, "venue_order_id": row.intent_id},
        {"kind": row.kind + row.at[0], "at": row.at[1:]},
    ):
        assert Chain(key).problem(Row(**{**values, **changed}), before.seq, before.hash) is not None


@pytest.mark.parametrize("seq", [1, 2, 30, ROWS - 1])
@pytest.mark.parametrize(
    ("what", "first_bad"),
    [
        ("UPDATE events SET payload = replace(payload, '0.1', '0.2') || ' ' WHERE seq = {seq}", 0),
        ("UPDATE events SET account = 'us:sim:other' WHERE seq = {seq}", 0),
        ("DELETE FROM events WHERE seq = {seq}", 0),
        ("UPDATE events SET at = '2020-01-01T00:00:00.000000Z' WHERE seq = {seq}", 0),
    ],
)
def test_a_changed_or_deleted_row_is_named_and_the_journal_does_not_open_J4_D10(
    folder: Path, what: str, first_bad: int, seq: int
) -> None:
    forge(folder, what.format(seq=seq))
    found = verdict(folder)
    assert (found.sound, found.first_bad) == (False, seq + first_bad)
    with pytest.raises(JournalCorrupt):
        a_journal(folder)


def test_two_rows_that_changed_places_are_found_J4(folder: Path) -> None:
    forge(
        folder,
        "UPDATE events SET seq = 9999 WHERE seq = 20",
        "UPDATE events SET seq = 20 WHERE seq = 21",
        "UPDATE events SET seq = 21 WHERE seq = 9999",
    )
    assert (verdict(folder).sound, verdict(folder).first_bad) == (False, 20)


def test_an_inserted_row_is_found_J4(folder: Path) -> None:
    columns = "account, kind, at, intent_id, venue_order_id, ref, occurred, payload, prev, hash"
    last = rows_of(folder)[-1].seq
    forge(
        folder,
        f"INSERT INTO events SELECT {last + 1}, {columns.replace('ref,', 'NULL,')} FROM events WHERE seq = {last - 1}",
    )
    assert (verdict(folder).sound, verdict(folder).first_bad) == (False, last + 1)


def test_a_cut_tail_is_told_by_the_head_noted_beside_the_journal_D9_D10(folder: Path) -> None:
    last = rows_of(folder)[-1].seq
    forge(folder, f"DELETE FROM events WHERE seq > {last - 3}")
    with pytest.raises(JournalCorrupt, match="tail was lost"):
        a_journal(folder)
    (folder / HEAD_FILE).unlink()  # without the note the shorter chain is whole: integrity, not completeness
    found = verdict(folder)
    assert (found.sound, found.rows) == (True, last - 3)


def test_an_older_copy_put_back_is_told_by_the_noted_head_D9(folder: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    shutil.copy(folder / JOURNAL_FILE, backup)
    journal = a_journal(folder)
    journal.record_mark(a_mark())
    journal.close()
    shutil.copy(backup, folder / JOURNAL_FILE)
    with pytest.raises(JournalCorrupt, match="older copy"):
        a_journal(folder)


def test_a_removed_journal_is_not_taken_for_a_new_one(folder: Path) -> None:
    (folder / JOURNAL_FILE).unlink()
    with pytest.raises(JournalCorrupt, match="tail was lost"):
        a_journal(folder)


@pytest.mark.parametrize("content", [b"", b"junk", b"9" * 20 + b" " + b"0" * 64 + b" " + b"0" * 64 + b"\n"])
def test_a_note_our_key_did_not_seal_accuses_nobody(folder: Path, content: bytes) -> None:
    (folder / HEAD_FILE).write_bytes(content)
    assert verdict(folder).sound


def test_rows_cannot_be_changed_or_deleted_through_sql_by_accident(folder: Path) -> None:
    database = sqlite3.connect(folder / JOURNAL_FILE)
    try:
        for statement in ("UPDATE events SET kind = 'x'", "DELETE FROM events"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                database.execute(statement)
    finally:
        database.close()


def test_a_row_changed_under_a_running_process_shuts_it(folder: Path) -> None:
    journal = a_journal(folder)
    try:
        last = journal.log.head().seq
        forge(folder, f"DELETE FROM events WHERE seq = {last}")
        with pytest.raises(JournalCorrupt, match="gone or changed"):
            journal.booked()
        with pytest.raises(JournalUnavailable):
            journal.record_mark(a_mark())
    finally:
        journal.close()


# --- damage -----------------------------------------------------------------------------------------


def test_damaged_pages_are_refused_or_every_view_is_as_it_was_D7(template: Path, tmp_path: Path) -> None:
    """A byte may also hit free space: then everything must still verify. Never something in between."""
    chance = random.Random(20261122)
    size = (template / JOURNAL_FILE).stat().st_size
    refused = 0
    for trial in range(60):
        folder = tmp_path / str(trial)
        shutil.copytree(template, folder)
        with (folder / JOURNAL_FILE).open("r+b") as held:
            held.seek(chance.randrange(size))
            held.write(bytes([chance.randrange(256) for _ in range(64)]))
        found = None
        try:
            found = verdict(folder)
        except JournalUnavailable:
            refused += 1
        if found is not None and not found.sound:
            refused += 1
        elif found is not None:
            assert found.rows == rows_of(template)[-1].seq
        shutil.rmtree(folder)
    assert refused > 15  # the rest hit free space


@pytest.mark.parametrize("keep", [0, 1, 50, 4096, 20_000])
def test_a_truncated_file_is_refused_D7(folder: Path, keep: int) -> None:
    os.truncate(folder / JOURNAL_FILE, keep)
    with pytest.raises(JournalUnavailable):
        a_journal(folder)


def test_a_file_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "sim"
    folder.mkdir()
    database = sqlite3.connect(folder / JOURNAL_FILE)
    database.execute("CREATE TABLE theirs (a)")
    database.commit()
    database.close()
    with pytest.raises(JournalCorrupt, match="not a perpsctl journal"):
        a_journal(folder)
    (folder / JOURNAL_FILE).write_text("a diary, not a database " * 100)
    with pytest.raises(JournalCorrupt):
        a_journal(folder)


@pytest.mark.parametrize(("number", "says"), [(SCHEMA - 1, "journal migrate"), (SCHEMA + 1, "newer perpsctl")])
def test_another_schema_number_is_refused_with_the_way_on_J6(folder: Path, number: int, says: str) -> None:
    database = sqlite3.connect(folder / JOURNAL_FILE)
    database.execute(f"PRAGMA user_version={number}")
    database.close()
    with pytest.raises(JournalUnavailable) as told:
        a_journal(folder)
    assert says in told.value.fix
    assert not isinstance(told.value, JournalCorrupt)


def test_a_row_of_an_unknown_kind_is_not_skipped(folder: Path) -> None:
    journal = a_journal(folder)
    with pytest.raises(JournalCorrupt, match="unknown kind"), journal.log.transaction() as batch:
        batch.add("teleport", json.dumps({"is": "new"}))
    journal.close()


# --- key, modes, links ------------------------------------------------------------------------------


def test_a_missing_key_with_rows_is_damage_and_no_new_key_is_made(folder: Path) -> None:
    (folder / KEY_FILE).unlink()
    with pytest.raises(JournalCorrupt, match="is missing"):
        a_journal(folder)
    assert not (folder / KEY_FILE).exists()


@pytest.mark.parametrize("content", ["", "00", "zz" * 32, "0" * 66])
def test_a_damaged_key_is_refused(folder: Path, content: str) -> None:
    (folder / KEY_FILE).write_text(content)
    with pytest.raises(JournalUnavailable, match="damaged"):
        a_journal(folder)


def test_another_key_proves_nothing_and_says_so_at_row_one(folder: Path) -> None:
    (folder / KEY_FILE).write_text("ab" * 32)
    assert (verdict(folder).sound, verdict(folder).first_bad) == (False, 1)


def test_a_key_others_can_read_is_refused_S6(folder: Path) -> None:
    (folder / KEY_FILE).chmod(0o644)
    with pytest.raises(JournalUnavailable, match="readable by others"):
        a_journal(folder)


def test_files_are_private_whatever_the_umask_S6(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        journal = a_journal(tmp_path / "sim")
        journal.record_mark(a_mark())
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in (tmp_path / "sim").iterdir()}
        journal.close()
    finally:
        os.umask(before)
    assert {name: mode for name, mode in modes.items() if mode != 0o600} == {}
    assert {JOURNAL_FILE, KEY_FILE, HEAD_FILE} <= set(modes)
    assert stat.S_IMODE((tmp_path / "sim").stat().st_mode) == 0o700


@pytest.mark.parametrize("name", [JOURNAL_FILE, f"{JOURNAL_FILE}-wal", f"{JOURNAL_FILE}-shm", KEY_FILE])
def test_a_planted_symlink_is_not_followed_S6(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "sim"
    folder.mkdir()
    (folder / name).symlink_to(tmp_path / "victim")
    with pytest.raises(JournalUnavailable):
        a_journal(folder)
    assert not (tmp_path / "victim").exists()


def test_a_folder_that_is_a_symlink_is_refused_S6(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "sim").symlink_to(tmp_path / "real")
    with pytest.raises(JournalUnavailable, match="symlink"):
        a_journal(tmp_path / "sim")


def test_a_network_file_system_is_refused_D12(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.read_text

    def mounts(path: Path, *arguments: str, **options: str) -> str:
        if str(path) == "/proc/self/mountinfo":
            return f"1 0 0:1 / / rw - ext4 /dev/x rw\n2 1 0:2 / {tmp_path} rw - nfs4 host:/x rw\n"
        return real(path, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", mounts)
    with pytest.raises(JournalUnavailable, match="nfs4"):
        a_journal(tmp_path / "sim")


# --- snapshots and info -----------------------------------------------------------------------------


def test_opening_verifies_from_the_last_snapshot_and_a_full_check_everything(folder: Path) -> None:
    journal = a_journal(folder)
    journal.log.snapshot()
    journal.record_event(EventKind.HEARTBEAT, {"tick": 1})
    last = journal.log.head().seq
    journal.close()
    journal = a_journal(folder)
    try:
        assert journal.check(full=False).verified_from == last
        assert journal.log.snapshot_facts() == (last - 1, 1)
        facts = info.journal_info(journal, folder, FakeClock())
        assert (facts.rows, facts.schema, facts.account, facts.snapshot_seq) == (last, SCHEMA, ACCOUNT, last - 1)
        assert facts.noted == journal.log.head()
        assert facts.size_bytes > 10_000
        assert facts.spooled == 0
    finally:
        journal.close()
    forge(folder, "UPDATE events SET payload = payload || ' ' WHERE seq = 5")
    journal = a_journal(folder)  # before the snapshot: opens, and the full check finds it
    found = journal.check(full=True)
    assert (found.sound, found.first_bad) == (False, 5)
    journal.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE snapshots SET state = replace(state, '\"engaged\":false', '\"engaged\":true')",
        "UPDATE snapshots SET seq = seq - 1",
        "UPDATE snapshots SET chain = hash",
        "UPDATE snapshots SET hash = chain",
    ],
)
def test_a_changed_snapshot_is_refused_J4(folder: Path, statement: str) -> None:
    journal = a_journal(folder)
    journal.log.snapshot()
    journal.close()
    forge(folder, statement)
    with pytest.raises(JournalCorrupt, match="snapshot"):
        a_journal(folder)


def test_snapshots_are_taken_by_themselves_and_few_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perpsctl.journal.log.SNAPSHOT_EVERY", 10)
    fill(tmp_path / "sim")
    database = sqlite3.connect(tmp_path / "sim" / JOURNAL_FILE)
    (kept,) = database.execute("SELECT count(*) FROM snapshots").fetchone()
    database.close()
    assert kept == 2
    assert verdict(tmp_path / "sim").sound


def test_there_is_nothing_to_check_before_there_is_a_journal(tmp_path: Path) -> None:
    with pytest.raises(JournalUnavailable, match="no journal yet"):
        verdict(tmp_path / "sim")
    assert not (tmp_path / "sim").exists()


def test_finished_orders_leave_memory_and_stay_on_record(tmp_path: Path) -> None:
    clock = FakeClock()
    journal = a_journal(tmp_path / "sim", clock=clock)
    try:
        for number in range(120):
            clock.pass_(seconds=30)
            intent = an_intent(f"intent-{number:04d}", at=clock.time)
            order = an_order(f"order-{number}", status=OrderStatus.FILLED, filled="0.1")
            journal.decide(intent, intent.size, yes(intent))
            journal.record_outcome(intent.id, accepted(f"order-{number}", order))
        doubt = an_intent("doubt-0001")
        journal.decide(doubt, doubt.size, yes(doubt))
        journal.record_outcome(doubt.id, Unknown(reason="timeout", evidence=""))
        assert len(journal.log.state.tracked) < 20
        assert len(journal.log.state.owner) < 20
        assert len(journal.intents()) == 121
        record = journal.intent(IntentId("intent-0000"))
        assert record is not None
        assert record.order is not None
        assert record.order.status is OrderStatus.FILLED
        clock.pass_(days=2)
        journal.record_event(EventKind.HEARTBEAT, {})
        assert [each.intent.id for each in journal.in_doubt()] == ["doubt-0001"]
    finally:
        journal.close()


@pytest.fixture(autouse=True)
def no_open_files_left() -> Iterator[None]:
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
    yield
    after = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
    assert len(after) <= len(before) + 1


def test_pages_of_a_large_file_are_left_to_the_full_check(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    real: Callable[..., str | None] = room.check_pages

    def watch(connection: object, *, thorough: bool) -> str | None:
        asked.append(thorough)
        return real(connection, thorough=thorough)

    monkeypatch.setattr(room, "check_pages", watch)
    a_journal(folder).close()
    monkeypatch.setattr(room, "CHECK_PAGES_UP_TO", 1000)
    journal = a_journal(folder)
    journal.check(full=True)
    journal.close()
    assert asked == [False, True]


def test_waiting_for_the_write_ahead_log_is_bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "sim"
    folder.mkdir()
    database = sqlite3.connect(folder / JOURNAL_FILE, isolation_level=None)
    database.execute("CREATE TABLE something (a)")
    database.execute("BEGIN")
    database.execute("SELECT * FROM something")  # a reader keeps the mode from changing
    monkeypatch.setattr(room, "WAL_TRIES", 3)
    clock = FakeClock()
    try:
        with pytest.raises(JournalUnavailable, match="keeps it locked"):
            a_journal(folder, clock=clock)
    finally:
        database.close()
    assert clock.slept == timedelta(milliseconds=15)
