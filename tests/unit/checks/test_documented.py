"""Each id has its place in docs/checks.md with what is looked at and what to do; the page names nothing else."""

import re
from pathlib import Path

import pytest

from perpsctl.checks.preflight import PREFLIGHT
from perpsctl.checks.probe import PROBE

PAGE = Path(__file__).resolve().parents[3] / "docs" / "checks.md"
IDS = sorted({check.id for check in (*PROBE, *PREFLIGHT)})


def sections() -> dict[str, str]:
    """Anchor and heading of a section, alike, with its text."""
    text = PAGE.read_text(encoding="utf-8")
    parts = re.split(r"^<a id=\"([^\"]+)\"></a>\n### (.+)\n", text, flags=re.MULTILINE)
    found = dict(zip(parts[1::3], parts[3::3], strict=True))
    assert parts[1::3] == parts[2::3]
    return found


def test_the_page_and_the_checks_name_the_same_ids() -> None:
    assert sorted(sections()) == IDS


@pytest.mark.parametrize("check_id", IDS)
def test_the_help_page_of_each_id_opens_and_says_what_to_do(check_id: str) -> None:
    section = sections()[check_id].split("\n## ")[0]
    assert len(section.split("*Do:*")[0].split()) >= 5
    assert "*Do:*" in section


@pytest.mark.parametrize("check_id", IDS)
def test_ids_are_words_parted_by_dots(check_id: str) -> None:
    assert re.fullmatch(r"[a-z]+(\.[a-z_]+)+", check_id)
