"""The audit's commands on a living exchange: documents, exit codes, and what refuses to start on a journal that was cut."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from perpsctl.journal.sqlite import TRIGGERS
from perpsctl.places import anchors_file, profile_folder
from tests.cli.conftest import Ask, bid_below

pytestmark = pytest.mark.slow


@pytest.fixture
def recorded(exchange: Path, ask: Ask) -> Iterator[Path]:
    """The journal with an order in it; what the test does to it is undone."""
    ask(
        "order",
        "place",
        "--product",
        "BTC-PERP",
        "--side",
        "buy",
        "--size",
        "0.01",
        "--price",
        bid_below(ask),
        "--again",
    )
    ask("order", "cancel-all")
    folder = profile_folder("sim")
    kept = folder.with_name("kept")
    shutil.copytree(folder, kept)
    yield folder
    shutil.rmtree(folder)
    kept.rename(folder)
    anchors_file("sim").unlink(missing_ok=True)


def sql(folder: Path, *statements: str) -> None:
    with sqlite3.connect(folder / "journal.db") as database:
        for name in ("update", "delete"):
            database.execute(f"DROP TRIGGER events_keep_{name}")
        for each in (*statements, *TRIGGERS):
            database.execute(each)
    database.close()


def test_each_command_answers_one_document_of_its_schema(recorded: Path, ask: Ask, run: Ask, tmp_path: Path) -> None:
    shown = ask("audit", "show", "--limit", "2")
    assert (shown.code, len(shown.data["records"])) == (0, 2)
    assert {each["sealed"] for each in shown.data["records"]} == {True}
    below = ask("audit", "show", "--before", str(shown.data["next_before"]), "--since", "1d", "--limit", "1")
    assert below.data["records"][0]["seq"] == shown.data["next_before"] - 1
    intent = ask("audit", "show", "--kind", "intent", "--limit", "1").data["records"][0]
    assert intent["payload"]["intent"]["product_id"].endswith("-CDE")
    mine = ask("audit", "show", "--id", intent["intent_id"][:8]).data["records"]
    assert {each["intent_id"] for each in mine} == {intent["intent_id"]}
    lines = run("audit", "show", "--limit", "3", "--format", "jsonl").out.splitlines()
    assert [set(json.loads(line)) for line in lines] == [set(intent)] * 3

    before = ask("audit", "verify")
    assert (before.code, before.data["completeness"]["state"]) == (0, "noted")
    made = ask("audit", "anchor").data["anchor"]
    assert made["file"] == str(anchors_file("sim"))
    assert (ask("audit", "verify").data["completeness"]["up_to"], made["profile"]) == (made["seq"], "sim")
    away = tmp_path / "away.jsonl"
    assert ask("audit", "anchor", "--out", str(away)).code == 0
    assert ask("audit", "verify", "--anchor", str(away)).data["completeness"]["anchors"] == 1
    document = tmp_path / "export.jsonl"
    written = ask("audit", "export", str(document))
    assert (written.code, written.data["rows"], written.data["size_bytes"]) == (0, made["seq"], document.stat().st_size)
    assert ask("audit", "export", str(document)).code == 2


@pytest.mark.parametrize(
    "words",
    [
        ("show", "--limit", "0"), ("show", "--since", "tuesday"), ("show", "--id", "../x"), ("show", "--before", "0"),
        ("verify", "--anchor", "nowhere"), ("export",), ("anchor", "--out", "/dev/null"),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_exit_2(recorded: Path, ask: Ask, words: tuple[str, ...]) -> None:
    assert ask("audit", *words).code == 2


def test_a_changed_record_is_exit_8_and_named_J4(recorded: Path, ask: Ask, run: Ask) -> None:
    sql(recorded, "UPDATE events SET payload = replace(payload, 'buy', 'bux') WHERE seq = 2")
    found = ask("audit", "verify")
    assert found.code == 8
    assert found.data["integrity"]["first_bad"] == {"row": 2, "what": "changed", "detail": "it is not what was sealed"}
    assert "record 2, changed" in run("audit", "verify").out
    shown = ask("audit", "show", "--limit", "10000")
    assert (shown.code, [each["seq"] for each in shown.data["records"] if not each["sealed"]]) == (8, [2])
    assert ask("audit", "anchor").code == 8


def test_nothing_from_outside_reaches_the_terminal_raw_S3(recorded: Path, ask: Ask, run: Ask) -> None:
    hostile = json.dumps({"said": "\x1b]52;c;x\x07 \u202e \x9b31m\n2", "\x1b[2J": 1}, ensure_ascii=False)
    sql(recorded, f"UPDATE events SET payload = '{hostile}', kind = 'alarm\x1b[1m', intent_id = '\x07' WHERE seq = 2")
    for form in ("table", "markdown", "json", "jsonl"):
        out = run("audit", "show", "--limit", "10000", "--format", form).out
        assert not set(out) & set("\x1b\x07\u202e\x9b\r")


def test_neither_run_nor_reconcile_starts_on_a_journal_that_lacks_an_anchored_record_D9_D10(
    recorded: Path, ask: Ask
) -> None:
    last = ask("audit", "anchor").data["anchor"]["seq"]
    sql(recorded, f"DELETE FROM events WHERE seq > {last - 2}", "DELETE FROM snapshots")
    (recorded / "journal.head").unlink()
    assert ask("audit", "verify").data["completeness"]["first_missing"] == last - 1
    for words in (("run", "--ticks", "1"), ("reconcile",), ("order", "list", "--all"), ("audit", "anchor")):
        said = ask(*words)
        assert (said.code, said.error["code"]) == (8, "journal_corrupt" if words[0] != "x" else "")
        assert f"record {last}" in said.error["message"] or f"records {last - 1} to {last}" in said.error["message"]
    checked = ask("journal", "check")
    assert (checked.code, checked.data["integrity"]["first_bad"]) == (8, last - 1)
    assert ask("order", "cancel-all").code in (0, 10)  # the way out stays open
