"""The model of a power cut itself: what was synced stays, what was not may be anything between nothing and all."""

from base64 import b64encode
from pathlib import Path
from random import Random
from typing import Any

from tests.disk.images import Disk


def wrote(ino: int, off: int, data: bytes) -> dict[str, Any]:
    return {"op": "write", "path": "", "ino": ino, "off": off, "data": b64encode(data).decode()}


def images(events: list[dict[str, Any]], folder: Path, *, syncs: bool = True) -> list[dict[str, bytes]]:
    found = []
    for seed in range(60):
        Disk(events, syncs=syncs).image(Random(seed), folder)
        found.append({each.name: each.read_bytes() for each in folder.rglob("*") if each.is_file()})
    return found


MADE = [
    {"op": "create", "path": "a", "ino": 1},
    wrote(1, 0, b"x" * 2048),
    {"op": "sync", "path": "a", "ino": 1},
    {"op": "sync", "path": ".", "ino": 0},
]


def test_synced_bytes_under_a_synced_name_are_in_every_image(tmp_path: Path) -> None:
    later = [*MADE, wrote(1, 2048, b"y" * 2048)]
    seen = images(later, tmp_path / "disk")
    assert all(each["a"][:2048] == b"x" * 2048 for each in seen)
    tails = {each["a"][2048:] for each in seen}
    assert b"" in tails
    assert b"y" * 2048 in tails
    assert any(0 < tail.count(b"y") < 2048 for tail in tails), "no write was ever torn"


def test_a_synced_file_whose_folder_was_not_synced_may_be_gone(tmp_path: Path) -> None:
    seen = images(MADE[:3], tmp_path / "disk")
    assert {"a" in each for each in seen} == {True, False}


def test_a_rename_that_was_not_synced_leaves_the_old_file_or_the_new_one_whole(tmp_path: Path) -> None:
    events = [
        *MADE,
        {"op": "create", "path": "b", "ino": 2},
        wrote(2, 0, b"new"),
        {"op": "sync", "path": "b", "ino": 2},
        {"op": "rename", "path": "b", "to": "a"},
    ]
    assert {each["a"] for each in images(events, tmp_path / "disk")} == {b"x" * 2048, b"new"}


def test_two_files_fare_independently(tmp_path: Path) -> None:
    names = [{"op": "create", "path": "a", "ino": 1}, {"op": "create", "path": "b", "ino": 2}]
    events = [*names, {"op": "sync", "path": ".", "ino": 0}, wrote(1, 0, b"first"), wrote(2, 0, b"second")]
    seen = {(each["a"] == b"first", each["b"] == b"second") for each in images(events, tmp_path / "disk")}
    assert (False, True) in seen, "the later write never overtook the earlier one"


def test_a_disk_that_lies_about_its_syncs_keeps_nothing_for_sure(tmp_path: Path) -> None:
    assert {"a" in each for each in images(MADE, tmp_path / "disk", syncs=False)} == {True, False}
