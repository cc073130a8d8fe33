"""The documents are held to the code: links resolve, and every public code has its place on a page."""

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6}\s+(.*)$", re.MULTILINE)


def pages() -> list[Path]:
    return [*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").rglob("*.md"))]


def anchors_of(text: str) -> set[str]:
    """Heading anchors as code hosts make them, and explicit `<a id="...">`."""
    prose = FENCE.sub("", text)
    headings = {
        re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in HEADING.findall(prose)
    }
    return headings | set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", prose))


def broken_links(page: Path) -> list[str]:
    broken = []
    for target in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        aim = (page.parent / path).resolve() if path else page
        if not aim.exists():
            broken.append(f"{page.name}: {target} leads nowhere")
        elif anchor and anchor not in anchors_of(aim.read_text(encoding="utf-8")):
            broken.append(f"{page.name}: {target} names no heading")
    return broken


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# A heading: one\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](there.md) [b](there.md#a-heading-one) [c](gone.md) [d](there.md#gone) [e](https://example.test/)\n",
        encoding="utf-8",
    )
    assert broken_links(page) == ["page.md: gone.md leads nowhere", "page.md: there.md#gone names no heading"]


def test_every_exit_code_stands_on_its_page_L3() -> None:
    errors = pytest.importorskip("perpsctl.domain.errors")
    rows = re.findall(
        r"^\| (\d+) \| ([A-Z_]+) \|", (REPOSITORY / "docs/exit-codes.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert {(int(code), name) for code, name in rows} == {(int(each), each.name) for each in errors.ExitCode}


def test_every_denial_code_stands_on_its_page() -> None:
    verdicts = pytest.importorskip("perpsctl.domain.verdicts")
    page = (REPOSITORY / "docs/risk.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`([a-z_]+)`", page[page.index("## Denial codes") :]))
    assert sorted({str(code) for code in verdicts.DenialCode} - listed) == []


def test_every_limit_stands_on_its_page_with_its_default() -> None:
    limits = pytest.importorskip("perpsctl.risk.limits", reason="the limits are not built yet")
    page = (REPOSITORY / "docs/risk.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| ([^|]+?) \|", page, re.MULTILINE))
    defaults = limits.RiskLimits()
    wrong = []
    for name in (field.name for field in dataclasses.fields(limits.RiskLimits)):
        value = getattr(defaults, name)
        told = "not set" if value is None else "empty" if value == () else str(value)
        if name == "loss_policy":  # told in a sentence, not in a row
            assert f"`loss_policy` (default `{value}`)" in page
        elif rows.get(name, "").strip("`") != told:
            wrong.append(f"{name}: the page says {rows.get(name)!r}, the code {told!r}")
    assert wrong == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_configuration_shown_on_the_page_loads(page: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```\s*$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    if not blocks:
        return
    settings = pytest.importorskip("perpsctl.settings", reason="configuration is not built yet")
    for block in blocks:
        file = tmp_path / "perpsctl.toml"
        file.write_text(block, encoding="utf-8")
        names = list(tomllib.loads(block)["profile"])
        assert names
        for name in names:
            assert settings.load(profile=name, config=str(file), environ={}).name == name


def test_the_readme_shows_the_two_commands() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    first_block = FENCE.search(readme)
    assert first_block is not None
    assert re.findall(r"^make \w+", first_block.group(0), re.MULTILINE) == ["make demo", "make test"]
