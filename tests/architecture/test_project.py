"""The project's own papers agree with one another: metadata, locks, targets."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import perpsctl
from tests.architecture.house import REPOSITORY

LOCKS = ("requirements/runtime.lock", "requirements/dev.lock")
DIRECT_MAX = 16


def project() -> dict[str, Any]:
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


def locked(lock: str) -> dict[str, str]:
    text = (REPOSITORY / lock).read_text(encoding="utf-8")
    return {canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)}


def test_the_direct_dependencies_stay_within_their_number() -> None:
    assert len(project()["project"]["dependencies"]) <= DIRECT_MAX


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_and_hashes_everything_and_names_no_index(lock: str) -> None:
    text = (REPOSITORY / lock).read_text(encoding="utf-8")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    requirements = [line for line in lines if not line.startswith("--hash=sha256:")]
    assert requirements
    assert [line for line in requirements if not re.fullmatch(r"[\w.-]+==\S+( ; .*)? \\", line)] == []
    assert not re.search(r"https?:|file:|--(extra-)?index-url|--find-links|--trusted-host|(^|\s)/\w", text)


@pytest.mark.parametrize(("lock", "extras"), [("requirements/runtime.lock", ()), ("requirements/dev.lock", ("dev",))])
def test_a_lock_satisfies_what_the_project_asks_for(lock: str, extras: tuple[str, ...]) -> None:
    metadata = project()["project"]
    wanted = [
        *metadata["dependencies"],
        *(each for extra in extras for each in metadata["optional-dependencies"][extra]),
    ]
    versions = locked(lock)
    requirements = [Requirement(each) for each in wanted]
    missing = [
        str(each)
        for each in requirements
        if not each.specifier.contains(versions.get(canonicalize_name(each.name), "0"), prereleases=True)
    ]
    assert missing == [], "run `make lock`"


def test_both_locks_agree() -> None:
    runtime, dev = (locked(lock) for lock in LOCKS)
    assert {name: version for name, version in runtime.items() if dev.get(name) != version} == {}


def test_the_build_backend_is_locked_too() -> None:
    names = {canonicalize_name(Requirement(each).name) for each in project()["build-system"]["requires"]}
    assert names <= locked("requirements/dev.lock").keys()


def test_the_version_is_one() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", perpsctl.__version__)
    assert f"## {perpsctl.__version__}" in (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_package_says_that_it_is_typed() -> None:
    assert (REPOSITORY / "perpsctl/py.typed").exists()


def test_every_lint_exception_carries_its_reason() -> None:
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    lint = text[text.index("[tool.ruff.lint]") : text.index("# --- types")]
    ignored = (
        lint[lint.index("\nignore") : lint.index("]", lint.index("\nignore"))] + lint[lint.index("per-file-ignores") :]
    )
    rows = [line for line in ignored.splitlines() if re.match(r'\s+"[A-Z]', line)]
    assert rows
    assert [row for row in rows if " # " not in row] == []


def test_every_promised_target_is_there() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    assert {"demo", "test", "check", "dev", "bench", "docs"} <= targets


def test_ci_runs_what_the_readme_promises() -> None:
    script = REPOSITORY / ".ci/run"
    assert script.stat().st_mode & 0o111
    lines = script.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("make ")] == ["make check", "make test", "make dst SEEDS=3000"]


def test_no_tracked_file_names_a_place_of_one_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=30
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    places = re.compile("|".join(["/ro" + "ot/", "/wo" + "rk/", "/opt/py" + "pi", "/tmp/te" + "am"]))
    named = []
    for name in filter(None, listed.stdout.split("\0")):
        path = Path(REPOSITORY / name)
        if path.is_symlink() or not path.is_file():
            continue
        if places.search(path.read_bytes().decode("utf-8", "ignore")):
            named.append(name)
    assert named == []
