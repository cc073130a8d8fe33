"""Commands run in process, each on a home of its module; every document they print is held to its schema."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from perpsctl.commands.app import invoke
from perpsctl.places import exchange_folder
from perpsctl.simulator import launcher
from tests.cli.schemas import invalid

REPOSITORY = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-c", "import sys; from perpsctl.commands.app import main; sys.exit(main())")


@dataclass(frozen=True)
class Said:
    """How one command line ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout, which is as its schema says."""
        found = json.loads(self.out)
        assert invalid(found) == []
        return found

    @property
    def data(self) -> Any:
        return self.document["data"]

    @property
    def error(self) -> Any:
        return self.document["error"]


class Ask(Protocol):
    def __call__(self, *words: str) -> Said: ...


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Ask:
    """Run a command line in this process."""

    def ask(*words: str) -> Said:
        capsys.readouterr()
        code = invoke(words)
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Said(code=code, out=out, err=err)

    return ask


@pytest.fixture
def ask(run: Ask) -> Ask:
    """Run a command line in this process with --format json; the document is valid and says the exit code, if it is an error."""

    def asked(*words: str) -> Said:
        said = run(*words, "--format", "json")
        document = said.document
        if "error" in document:
            assert document["error"]["exit_code"] == said.code
        return said

    return asked


@pytest.fixture(scope="module")
def module_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home for the module; its exchange, if one was started, ends with it."""
    home = tmp_path_factory.mktemp("cli") / "home"
    yield home
    launcher.stop(exchange_folder({"PERPSCTL_HOME": str(home)}))


@pytest.fixture
def home(module_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """PERPSCTL_HOME is the module's."""
    monkeypatch.setenv("PERPSCTL_HOME", str(module_home))
    return module_home


@pytest.fixture
def exchange(home: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The module's embedded exchange runs; the test leaves no order, no fault and no engaged switch behind.

    A module of tests places more orders a minute than an operator may.
    """
    monkeypatch.setenv("PERPSCTL_LIMITS__ORDERS_PER_MINUTE_MAX", "1000")
    assert ask("sim", "start").code == 0
    yield home
    launcher.control(exchange_folder(), "DELETE", "/faults")
    if ask("killswitch", "status").data["state"] == "engaged":
        ask("killswitch", "release", "--ack", "the test is over")
    ask("order", "cancel-all")


def surroundings(home: Path) -> dict[str, str]:
    """The environment of a process of its own: this test's settings and nothing else."""
    said = {name: value for name, value in os.environ.items() if name.startswith("PERPSCTL_")}
    return said | {"PATH": os.environ["PATH"], "PERPSCTL_HOME": str(home), "PYTHONPATH": str(REPOSITORY)}


def process(*words: str, home: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command line as a process of its own."""
    return subprocess.run(
        [*COMMAND, *words],
        env=surroundings(home) | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def bid_below(ask: Ask, product: str = "BTC-PERP") -> str:
    """A price on the grid, well below the best bid and within every limit."""
    book: Mapping[str, Any] = ask("products", "book", product, "--depth", "1").data
    return str((int(book["bids"][0]["price"].split(".")[0]) - 500) // 5 * 5)


def place(ask: Ask, *more: str, price: str | None = None) -> Any:
    """One accepted order that rests below the bid: the data of its answer."""
    terms = ("--product", "BTC-PERP", "--side", "buy", "--size", "0.01", "--price", price or bid_below(ask))
    said = ask("order", "place", *terms, "--tif", "gtc", "--post-only", "--again", *more)
    assert (said.code, said.data["outcome"]) == (0, "accepted"), said.out
    return said.data
