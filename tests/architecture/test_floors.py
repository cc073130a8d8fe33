"""The rooms keep their floors, and the checker that says so is shown to bite."""

import pytest

from tests.architecture.floors import ARROWS, floor_violations
from tests.architecture.house import imports_of, module, read_house


def test_every_arrow_between_rooms_points_down() -> None:
    assert floor_violations(read_house()) == []


def test_the_house_is_not_read_as_empty() -> None:
    names = {each.name for each in read_house()}
    assert {"perpsctl", "perpsctl.domain.errors"} <= names


def test_no_two_rooms_may_import_each_other() -> None:
    pairs = [(room, below.split(".")[0]) for room, allowed in ARROWS.items() for below in allowed]
    assert [pair for pair in pairs if pair[::-1] in pairs] == []


def test_exchange_risk_and_journal_are_strangers() -> None:
    siblings = {"exchange", "risk", "journal"}
    assert [room for room in siblings if ARROWS[room] & siblings] == []


@pytest.mark.parametrize(
    ("name", "source", "named"),
    [
        ("perpsctl.risk.judge", "from perpsctl.journal.store import Store", "perpsctl.journal.store.Store"),
        ("perpsctl.journal.store", "import perpsctl.exchange.client", "perpsctl.exchange.client"),
        ("perpsctl.exchange.client", "from perpsctl import risk", "perpsctl.risk"),
        ("perpsctl.engine.desk", "from perpsctl.exchange import client", "no arrow from engine to exchange"),
        ("perpsctl.engine.desk", "def f():\n    import perpsctl.journal\n", "perpsctl.engine.desk:2"),
        (
            "perpsctl.engine.desk",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from perpsctl.journal import store\n",
            "perpsctl.engine.desk:3",
        ),
        (
            "perpsctl.engine.desk",
            "import importlib\nimportlib.import_module('perpsctl.journal')",
            "to journal",
        ),
        ("perpsctl.engine.desk", "from ..journal.store import Store", "perpsctl.journal.store.Store"),
        (
            "perpsctl.domain.orders",
            "from perpsctl.wire import advanced_trade",
            "no arrow from domain to wire",
        ),
        ("perpsctl.domain.orders", "import msgspec", "domain uses the standard library only"),
        ("perpsctl.latch", "import rich", "latch uses the standard library only"),
        ("perpsctl.latch", "from perpsctl.settings import load", "no arrow from latch to settings"),
        ("perpsctl.simulator.ledger", "from perpsctl.exchange import signing", "no arrow from simulator"),
        (
            "perpsctl.commands.order",
            "from perpsctl.simulator import server",
            "no arrow from commands to simulator",
        ),
        (
            "perpsctl.commands.order",
            "from perpsctl.exchange import client",
            "no arrow from commands to exchange",
        ),
        ("perpsctl.bootstrap", "from perpsctl.simulator.server import serve", "no arrow from bootstrap"),
        ("perpsctl.bootstrap", "from perpsctl.commands import app", "no arrow from bootstrap to commands"),
        ("perpsctl.render.table", "from perpsctl.checks.runner import run", "no arrow from render to checks"),
        ("perpsctl.checks.probe", "from perpsctl.render import json_", "no arrow from checks to render"),
        ("perpsctl.engine.desk", "import requests", "requests lives in exchange, simulator only"),
        ("perpsctl.bootstrap", "import pydantic", "pydantic lives in settings only"),
        ("perpsctl.utils", "", "no such room"),
    ],
)
def test_a_forbidden_import_is_named_with_both_ends(name: str, source: str, named: str) -> None:
    found = floor_violations([module(name, source)])
    assert len(found) == 1
    assert name in found[0]
    assert named in found[0]


@pytest.mark.parametrize(
    ("name", "source"),
    [
        (
            "perpsctl.engine.desk",
            "from perpsctl.domain.orders import OrderIntent\nfrom perpsctl import latch",
        ),
        ("perpsctl.bootstrap", "def f():\n    from perpsctl.simulator.launcher import ensure\n"),
        ("perpsctl.commands.sim", "from perpsctl.simulator.server import serve"),
        ("perpsctl.render.table", "from perpsctl.checks.model import Report"),
        ("perpsctl.simulator.faces.us", "from perpsctl.simulator.ledger import Ledger\nimport starlette"),
        ("perpsctl.commands.app", "from perpsctl import __version__\nimport typer"),
    ],
)
def test_an_arrow_that_points_down_is_allowed(name: str, source: str) -> None:
    assert floor_violations([module(name, source)]) == []


def test_relative_imports_are_read_in_full() -> None:
    inside = module("perpsctl.wire", "from .advanced_trade import orders", is_package=True)
    assert [each.target for each in imports_of(inside)] == ["perpsctl.wire.advanced_trade.orders"]
