"""docs/simulator.md names every fault that can be armed and everything the control face sets."""

from pathlib import Path

from perpsctl.simulator.faces.control_state import SETTERS
from perpsctl.simulator.fault_catalogue import CATALOGUE

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "simulator.md").read_text(encoding="utf-8")


def test_every_fault_is_on_the_page_with_its_name_and_deed() -> None:
    for entry in CATALOGUE:
        row = next((line for line in PAGE.splitlines() if line.startswith(f"| {entry.fault} |")), "")
        assert f"`{entry.name}`" in row, entry.fault
        assert entry.does in row, entry.fault
        assert all(f"`{key}={value}`" in row for key, value in entry.defaults), entry.fault


def test_the_page_names_no_fault_that_cannot_be_armed() -> None:
    listed = {
        line.split("|")[1].strip() for line in PAGE.splitlines() if line.startswith(("| N", "| E", "| A", "| W", "| M"))
    }
    assert listed == {entry.fault for entry in CATALOGUE}


def test_everything_the_control_face_sets_is_on_the_page() -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith("| `POST /state/NAME`"))
    assert {name for name in row.split("`") if name in SETTERS} == set(SETTERS)
